//! Tables as comma-separated text.
//!
//! Strict where a silent guess would spoil a model: every cell of an input or
//! target column is a finite number, except that one target column may hold class
//! labels throughout. Numbers are read to the nearest f64 and written with the
//! shortest digits that read back to the same bits.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord};
use flate2::read::MultiGzDecoder;
use ndarray::{Array2, ArrayView2};

use super::{
    ReadOptions, Roles, Table, find_column, listed, numbered_names, refuse_constant, shown,
};
use crate::error::{Error, Result};
use crate::file::write_atomically;

/// Reads a table from CSV text in UTF-8, plain or gzip, with quoting as in RFC 4180.
///
/// A target of text becomes one-hot classes, sorted by name (numeric labels by value).
///
/// # Errors
/// A missing value (empty, `NA`, `N/A`, `?`, `nan`, `null`, `none`), text in a numeric column, an
/// infinite number, a ragged row, no rows, a header that holds numbers, an empty or repeated name,
/// an unknown column, several text targets and a constant target; the message names the file,
/// the line and the column.
pub fn read_csv(path: &Path, options: &ReadOptions) -> Result<Table> {
    let bytes = read_text(path)?;
    parse(&bytes, &path.display().to_string(), &with_delimiter(path, options))
}

/// Writes `values` (rows x names) as CSV with a header, atomically.
///
/// Reading the file gives the same bits again, and the same names if they have no white space
/// around them.
///
/// # Errors
/// When the number of names is not the number of columns, or the file cannot be written.
pub fn write_csv(path: &Path, names: &[String], values: ArrayView2<f64>) -> Result<()> {
    if names.len() != values.ncols() {
        return Err(Error::invalid(
            path.display().to_string(),
            format!("{} names", names.len()),
            format!("{}, one for every column", values.ncols()),
        ));
    }
    write_atomically(path, |out| {
        let mut writer = ::csv::Writer::from_writer(out);
        writer.write_record(names)?;
        for row in values.rows() {
            writer.write_record(row.iter().map(|value| format!("{value:?}")))?;
        }
        writer.flush()
    })
}

/// The columns `names` in that order, rows x names.
pub(super) fn read_columns(
    path: &Path,
    names: &[String],
    options: &ReadOptions,
) -> Result<Array2<f64>> {
    let bytes = read_text(path)?;
    let file = path.display().to_string();
    let sheet =
        Sheet::open(&bytes, &file, &with_delimiter(path, options), |name| names.contains(name))?;
    sheet.numbers(&sheet.find(names)?)
}

/// The targets `names` where there are any, numeric or as classes.
pub(super) fn read_target_columns(
    path: &Path,
    names: &[String],
    options: &ReadOptions,
) -> Result<Option<Array2<f64>>> {
    let bytes = read_text(path)?;
    let file = path.display().to_string();
    let sheet = Sheet::open(&bytes, &file, &with_delimiter(path, options), |name| {
        names.contains(name) || options.targets.contains(name)
    })?;
    let Some(columns) = super::target_columns(&sheet.names, sheet.numbered, names, options, &file)?
    else {
        return Ok(None);
    };
    if columns.len() == names.len() {
        return sheet.numbers(&columns).map(Some);
    }
    let mut labels = Labels::among(names);
    sheet.visit(|row| row.label(columns[0], &mut labels))?;
    super::one_hot(&labels.rows, names.len()).map(Some)
}

/// The names in the header, or `x1`, `x2`, ...
pub(super) fn read_names(path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
    let bytes = read_text(path)?;
    let file = path.display().to_string();
    Ok(Sheet::open(&bytes, &file, &with_delimiter(path, options), |_| false)?.names)
}

/// The bytes of a file, unpacked where it is gzip.
fn read_text(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    if !bytes.starts_with(super::GZIP_MAGIC) {
        return Ok(bytes);
    }
    // A small file can unpack to a thousand times its size.
    let most = crate::memory::default_limit();
    let mut text = Vec::new();
    MultiGzDecoder::new(&bytes[..]).take(most).read_to_end(&mut text).map_err(|e| {
        let found = format!("a gzip file that cannot be unpacked ({e})");
        Error::invalid(path.display().to_string(), found, "a whole one, with nothing behind it")
    })?;
    if text.len() as u64 >= most {
        let expected = "text that fits in half of the memory that is free";
        return Err(Error::invalid(path.display().to_string(), "more when unpacked", expected));
    }
    Ok(text)
}

fn with_delimiter(path: &Path, options: &ReadOptions) -> ReadOptions {
    let name = super::name_without_gz(path);
    let tabs = name.ends_with(".tsv");
    let delimiter = options.delimiter.or(tabs.then_some(b'\t'));
    ReadOptions { delimiter, ..options.clone() }
}

/// [`read_csv`] on bytes; `file` stands in messages.
pub(super) fn parse(bytes: &[u8], file: &str, options: &ReadOptions) -> Result<Table> {
    let sheet = Sheet::open(bytes, file, options, |name| !options.ignore.contains(name))?;
    let roles = Roles::choose(&sheet.names, options, sheet.numbered, file)?;
    let several = roles.targets.len() > 1;
    let numbers_are_labels = options.class_labels || !options.classes.is_empty();
    if several && numbers_are_labels {
        return Err(Error::invalid(
            file,
            format!("{} target columns", roles.targets.len()),
            "a single one, to be read as class labels",
        ));
    }
    let mut inputs = Vec::new();
    let mut target = None;
    let rows = sheet.visit(|row| {
        for &column in &roles.inputs {
            inputs.push(row.number(column)?);
        }
        let first = roles.targets[0];
        // The first row decides whether the target is a number or a label; a later row that
        // disagrees is a defect of the table, not a reason to change the reading.
        let target = target.get_or_insert_with(|| {
            if numbers_are_labels || (!several && row.is_text(first)) {
                Target::Labels(Labels::among(&options.classes))
            } else {
                Target::Numbers(Vec::new())
            }
        });
        match target {
            Target::Labels(labels) => {
                if !numbers_are_labels && !row.is_text(first) && !is_missing(row.cell(first)) {
                    let expected = "a class label as in the rows before \
                                    (--classes takes numbers as labels)";
                    return Err(row.wrong(first, shown(row.cell(first)), expected));
                }
                row.label(first, labels)
            }
            Target::Numbers(values) => {
                for &column in &roles.targets {
                    if row.is_text(column) {
                        let expected = if several {
                            "a number (class labels are read from a single target only)"
                        } else {
                            "a number as in the rows before (--classes takes numbers as labels)"
                        };
                        return Err(row.wrong(column, shown(row.cell(column)), expected));
                    }
                    values.push(row.number(column)?);
                }
                Ok(())
            }
        }
    })?;
    let names = |columns: &[usize]| columns.iter().map(|&c| sheet.names[c].clone()).collect();
    let inputs = array(rows, inputs);
    let input_names = names(&roles.inputs);
    let target_names: Vec<_> = names(&roles.targets);
    match target {
        Some(Target::Labels(labels)) => {
            let (labels, classes) = labels.sorted(&options.classes);
            // Equal numbers stand side by side.
            let value = |name: &String| name.parse::<f64>().ok();
            let twice =
                |pair: &&[String]| value(&pair[0]).is_some_and(|x| value(&pair[1]) == Some(x));
            if let Some([a, b]) = classes.windows(2).find(twice) {
                return Err(Error::invalid(
                    format!("{file}: target column {}", shown(&target_names[0])),
                    format!("the classes {} and {}", shown(a), shown(b)),
                    "one spelling of a number",
                ));
            }
            if labels.iter().all(|label| *label == labels[0]) {
                return Err(Error::invalid(
                    format!("{file}: target column {}", shown(&target_names[0])),
                    format!("the class {} in all {rows} rows", shown(&classes[labels[0]])),
                    "at least two classes",
                ));
            }
            let table = Table::with_classes(inputs, &labels, input_names, classes, file)?;
            Ok(Table { label_column: target_names.into_iter().next(), ..table })
        }
        Some(Target::Numbers(values)) => {
            let targets = array(rows, values);
            for (column, name) in targets.columns().into_iter().zip(&target_names) {
                refuse_constant(column, file, name)?;
            }
            Table::new(inputs, targets, input_names, target_names, file)
        }
        // `visit` refuses a sheet without rows.
        None => Err(no_rows(file)),
    }
}

/// What has been read of the target columns.
enum Target {
    /// Row by row, one number a target.
    Numbers(Vec<f64>),
    Labels(Labels),
}

/// The class labels met so far, each with an index, and the index in every row.
struct Labels {
    known: BTreeMap<String, usize>,
    /// Whether a label that is not known is an error.
    closed: bool,
    rows: Vec<usize>,
}

impl Labels {
    /// Only `classes`, or any label if there are none.
    fn among(classes: &[String]) -> Self {
        let known = classes.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        Labels { known, closed: !classes.is_empty(), rows: Vec::new() }
    }

    /// The index of every row's class, and the classes: those given, or else those found,
    /// sorted by value when all are numbers and as text otherwise.
    fn sorted(self, given: &[String]) -> (Vec<usize>, Vec<String>) {
        if self.closed {
            return (self.rows, given.to_vec());
        }
        let mut order: Vec<(String, usize)> = self.known.into_iter().collect();
        let value = |name: &str| name.parse::<f64>().ok();
        if order.iter().all(|(name, _)| value(name).is_some()) {
            // A stable sort: spellings of one number keep the order of their text.
            order.sort_by(|(a, _), (b, _)| {
                value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        let mut place = vec![0; order.len()];
        for (new, (_, old)) in order.iter().enumerate() {
            place[*old] = new;
        }
        let rows = self.rows.into_iter().map(|old| place[old]).collect();
        (rows, order.into_iter().map(|(name, _)| name).collect())
    }
}

/// CSV text with its columns named, not yet read further.
struct Sheet<'a> {
    text: &'a str,
    file: &'a str,
    delimiter: u8,
    names: Vec<String>,
    /// Whether the names are `x1`, `x2`, ... for want of a header.
    numbered: bool,
}

impl<'a> Sheet<'a> {
    /// Opens a sheet; only column names that are `needed` must be sound.
    fn open(
        bytes: &'a [u8],
        file: &'a str,
        options: &ReadOptions,
        needed: impl Fn(&String) -> bool,
    ) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let line = line_of(bytes, e.valid_up_to());
            Error::invalid(
                format!("{file}: line {line}"),
                format!("the byte 0x{:02x}", bytes[e.valid_up_to()]),
                "text in UTF-8",
            )
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let delimiter = options.delimiter.unwrap_or(b',');
        let mut sheet =
            Sheet { text, file, delimiter, names: Vec::new(), numbered: !options.has_header };
        let mut first = StringRecord::new();
        if !sheet.read(&mut sheet.reader(), &mut first)? {
            return Err(no_rows(file));
        }
        sheet.names = if options.has_header {
            let names: Vec<String> = first.iter().map(|name| name.trim().to_string()).collect();
            sheet.check_header(&names, needed)?;
            names
        } else {
            numbered_names(first.len())
        };
        Ok(sheet)
    }

    fn check_header(&self, names: &[String], needed: impl Fn(&String) -> bool) -> Result<()> {
        let wrong = |column: usize, found: String, expected: &str| {
            let place = format!("{}: header, column {}", self.file, column + 1);
            Err(Error::invalid(place, found, expected))
        };
        if let [only] = names
            && let Some(other) = [';', '\t', '|'].into_iter().find(|&c| only.contains(c))
        {
            let expected = format!(
                "columns separated by {:?} (--delimiter sets another character)",
                char::from(self.delimiter)
            );
            return wrong(0, format!("one column, with {other:?} in its name"), &expected);
        }
        let mut seen = HashSet::new();
        for (column, name) in names.iter().enumerate() {
            if !needed(name) {
                continue;
            }
            if name.is_empty() {
                let expected = "a column name (--ignore \"\" leaves a nameless column out)";
                return wrong(column, "no name".into(), expected);
            }
            if name.parse::<f64>().is_ok() {
                let expected = "a column name (--no-header reads a table whose first line is data)";
                return wrong(column, format!("the number {}", shown(name)), expected);
            }
            if !seen.insert(name) {
                return wrong(column, format!("the name {} again", shown(name)), "distinct names");
            }
        }
        Ok(())
    }

    fn reader(&self) -> ::csv::Reader<&'a [u8]> {
        ReaderBuilder::new()
            .has_headers(false)
            // Ragged rows are met in `visit`, which can name the column that is missing.
            .flexible(true)
            .delimiter(self.delimiter)
            .from_reader(self.text.as_bytes())
    }

    fn read(&self, reader: &mut ::csv::Reader<&[u8]>, record: &mut StringRecord) -> Result<bool> {
        let start = reader.position().byte() as usize;
        let found = reader.read_record(record);
        let found = found.map_err(|e| Error::invalid(self.file, e.to_string(), "CSV text"))?;
        // Only the last record can reach the end, and with it all that an open quote swallows.
        if found
            && reader.position().byte() as usize >= self.text.len()
            && let Some((quote, column)) =
                open_quote(&self.text.as_bytes()[start..], self.delimiter)
        {
            let line = line_of(self.text.as_bytes(), start + quote);
            let name = self.names.get(column).map_or(format!("{}", column + 1), |n| shown(n));
            return Err(Error::invalid(
                format!("{}: line {line}, column {name}", self.file),
                "a quote that begins a field and is never closed",
                "another quote at the end of the field",
            ));
        }
        Ok(found)
    }

    fn find(&self, names: &[String]) -> Result<Vec<usize>> {
        names.iter().map(|name| find_column(&self.names, name, self.numbered, self.file)).collect()
    }

    /// The given columns of every row, rows x columns.
    fn numbers(&self, columns: &[usize]) -> Result<Array2<f64>> {
        let mut values = Vec::new();
        let rows = self.visit(|row| {
            for &column in columns {
                values.push(row.number(column)?);
            }
            Ok(())
        })?;
        Ok(array(rows, values))
    }

    /// Calls `each` on every row below the header, and returns their number, at least 1.
    fn visit(&self, mut each: impl FnMut(Row) -> Result<()>) -> Result<usize> {
        let mut reader = self.reader();
        let mut record = StringRecord::new();
        if !self.numbered {
            self.read(&mut reader, &mut record)?;
        }
        let mut rows = 0;
        while self.read(&mut reader, &mut record)? {
            let row = Row { sheet: self, record: &record };
            if record.len() != self.names.len() {
                let missing = self.names.get(record.len());
                let at = match missing {
                    Some(name) => format!(", column {} is missing", shown(name)),
                    None => format!(
                        ", after the last column {}",
                        shown(&self.names[self.names.len() - 1])
                    ),
                };
                return Err(Error::invalid(
                    format!("{}: line {}{at}", self.file, row.line()),
                    format!("{} fields", record.len()),
                    format!("{}, one for every column", self.names.len()),
                ));
            }
            each(row)?;
            rows += 1;
        }
        if rows == 0 { Err(no_rows(self.file)) } else { Ok(rows) }
    }
}

/// One row of a sheet, with as many cells as there are columns.
struct Row<'a> {
    sheet: &'a Sheet<'a>,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn cell(&self, column: usize) -> &str {
        self.record[column].trim()
    }

    fn is_text(&self, column: usize) -> bool {
        !is_missing(self.cell(column)) && self.cell(column).parse::<f64>().is_err()
    }

    fn number(&self, column: usize) -> Result<f64> {
        let cell = self.cell(column);
        match cell.parse::<f64>() {
            _ if is_missing(cell) => Err(self.wrong(
                column,
                if cell.is_empty() { "nothing".into() } else { shown(cell) },
                &format!(
                    "a number: fill in missing values or remove their rows first (--ignore {:?} \
                     leaves the column out)",
                    self.sheet.names[column]
                ),
            )),
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(self.wrong(column, shown(cell), "a finite number (at most 1.8e308)")),
            Err(_) => {
                let name = &self.sheet.names[column];
                let expected = format!("a number (--ignore {name:?} leaves the column out)");
                Err(self.wrong(column, shown(cell), &expected))
            }
        }
    }

    fn label(&self, column: usize, labels: &mut Labels) -> Result<()> {
        let cell = self.cell(column);
        if is_missing(cell) {
            let name = &self.sheet.names[column];
            let expected = format!("a class label (--ignore {name:?} leaves the column out)");
            return Err(self.wrong(column, shown(cell), &expected));
        }
        let index = match labels.known.get(cell) {
            Some(&index) => index,
            None if labels.closed => {
                let known: Vec<_> = labels.known.keys().cloned().collect();
                let expected = format!(
                    "a known class: {} (--ignore {:?} leaves the column out)",
                    listed(&known),
                    self.sheet.names[column]
                );
                return Err(self.wrong(column, shown(cell), &expected));
            }
            None => {
                let index = labels.known.len();
                labels.known.insert(cell.to_string(), index);
                index
            }
        };
        labels.rows.push(index);
        Ok(())
    }

    fn wrong(&self, column: usize, found: String, expected: &str) -> Error {
        let name = shown(&self.sheet.names[column]);
        let place = format!("{}: line {}, column {name}", self.sheet.file, self.line());
        Error::invalid(place, found, expected)
    }

    /// The line of the file on which the row starts, from 1.
    fn line(&self) -> usize {
        let text = self.sheet.text.as_bytes();
        let start = self.record.position().map_or(0, |position| position.byte() as usize);
        // The reader's position lies before any blank lines that it skipped.
        let blank = text[start..].iter().take_while(|&&b| b == b'\n' || b == b'\r').count();
        line_of(text, start + blank)
    }
}

/// The line, from 1, that holds the byte at `offset`; any of \n, \r\n and \r ends a line.
fn line_of(text: &[u8], offset: usize) -> usize {
    let ends =
        |i: &usize| text[*i] == b'\n' || (text[*i] == b'\r' && text.get(i + 1) != Some(&b'\n'));
    1 + (0..offset).filter(ends).count()
}

/// Where the quote stands that is still open at the end of a record, and in which field, if one is.
/// Quotes open a field at its beginning only, and two of them inside stand for one.
fn open_quote(record: &[u8], delimiter: u8) -> Option<(usize, usize)> {
    let mut open = None;
    let (mut at_start, mut field) = (true, 0);
    let mut bytes = record.iter().enumerate().peekable();
    while let Some((i, &byte)) = bytes.next() {
        if open.is_some() {
            if byte == b'"' && bytes.next_if(|(_, next)| **next == b'"').is_none() {
                open = None;
            }
            at_start = false;
        } else if at_start && byte == b'"' {
            open = Some((i, field));
        } else {
            field += usize::from(byte == delimiter);
            // Line ends come before a record, where the reader skipped blank lines, or at its end.
            at_start = [delimiter, b'\n', b'\r'].contains(&byte);
        }
    }
    open
}

fn is_missing(cell: &str) -> bool {
    ["", "?", "na", "n/a", "nan", "+nan", "-nan", "null", "none"]
        .iter()
        .any(|mark| cell.eq_ignore_ascii_case(mark))
}

fn no_rows(file: &str) -> Error {
    Error::invalid(file, "no rows", "a header and at least one row of numbers")
}

fn array(rows: usize, values: Vec<f64>) -> Array2<f64> {
    let columns = values.len() / rows;
    Array2::from_shape_vec((rows, columns), values)
        .expect("every row adds the same number of values")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, options: &ReadOptions) -> Result<Table> {
        parse(text.as_bytes(), "t.csv", options)
    }

    #[test]
    fn any_columns_are_targets_and_the_last_one_by_default() {
        let text = "a,b,c\n1,2,3\n4,5,7\n";
        let table = read(text, &ReadOptions::targets(["c", "a"])).unwrap();
        assert_eq!(table.target_names(), ["c", "a"]);
        assert_eq!(table.targets(), ndarray::array![[3.0, 1.0], [7.0, 4.0]]);
        assert_eq!(table.inputs(), ndarray::array![[2.0], [5.0]]);
        let table =
            read(text, &ReadOptions { ignore: vec!["c".into()], ..Default::default() }).unwrap();
        assert_eq!(
            (table.input_names(), table.target_names()),
            (&["a".into()][..], &["b".into()][..])
        );
    }

    #[test]
    fn without_a_header_columns_are_numbered_from_one() {
        let options = ReadOptions { has_header: false, ..ReadOptions::targets(["1"]) };
        let table = read("1,2,3\n4,5,7\n", &options).unwrap();
        assert_eq!(table.target_names(), ["x1"]);
        assert_eq!(table.input_names(), ["x2", "x3"]);
        assert_eq!(table.rows(), 2);
    }

    #[test]
    fn labels_become_sorted_one_hot_classes() {
        let table = read("a,kind\n1,pear\n2, apple \n3,\"pear\"\n", &Default::default()).unwrap();
        assert_eq!(table.classes().unwrap(), ["apple", "pear"]);
        assert_eq!(table.target_names(), ["apple", "pear"]);
        assert_eq!(table.targets(), ndarray::array![[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
    }

    #[test]
    fn numeric_labels_are_sorted_by_value_and_given_classes_keep_their_order() {
        let text = "a,digit\n1,10\n2,9\n3,9\n";
        let options = ReadOptions { class_labels: true, ..Default::default() };
        assert_eq!(read(text, &options).unwrap().classes().unwrap(), ["9", "10"]);
        let classes = vec!["10".to_string(), "8".into(), "9".into()];
        let options = ReadOptions { classes: classes.clone(), ..Default::default() };
        let table = read(text, &options).unwrap();
        assert_eq!(table.classes().unwrap(), classes);
        assert_eq!(table.targets().row(1).to_vec(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_byte_order_mark_quotes_and_blank_lines_are_read_over() {
        let table =
            read("\u{feff}\"a, \"\"b\"\"\",y\r\n\r\n1e-3,2\r\n\n3,4", &Default::default()).unwrap();
        assert_eq!(table.input_names(), ["a, \"b\""]);
        assert_eq!(table.inputs(), ndarray::array![[1e-3], [3.0]]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_named() {
        let rest = "b,3\nc,4\n".repeat(200);
        for text in [
            format!("a,y\n1,2\n\"3,4\n{rest}"),
            format!("a,y\n1,b\n2,\"c\"\"\n{rest}"),
            "\u{feff}a,y\r\n\r\n1,\"2\r\n".into(),
        ] {
            let message = read(&text, &Default::default()).unwrap_err().to_string();
            assert!(message.starts_with("t.csv: line 3, column \""), "{message}");
            assert!(message.contains("found a quote"), "{message}");
        }
        let message = read("a,\"y\n1,2\n", &Default::default()).unwrap_err().to_string();
        assert!(message.starts_with("t.csv: line 1, column 2: found a quote"), "{message}");
        // Quotes inside of a field, and closed ones at the end.
        let text = "size,y\n1,5\" pipe\n2,\"4\"\" pipe\"\n3,\"\"\"\"";
        let table = read(text, &Default::default()).unwrap();
        assert_eq!(table.classes().unwrap(), ["\"", "4\" pipe", "5\" pipe"]);
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        let text = b"a\nb\r\nc\rd\n\ne";
        let lines: Vec<_> = (0..text.len()).map(|offset| line_of(text, offset)).collect();
        assert_eq!(lines, [1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6]);
    }

    #[test]
    fn a_defect_after_blank_lines_and_quoted_line_ends_is_placed_on_its_own_line() {
        for ends in ["\n", "\r\n"] {
            let text = format!("\"a{ends}b\",y{ends}1,2{ends}{ends}{ends}3,4{ends}5,oops{ends}");
            let message = read(&text, &Default::default()).unwrap_err().to_string();
            assert!(message.starts_with("t.csv: line 7, column \"y\""), "{message}");
        }
    }
}
