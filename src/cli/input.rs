//! What the verbs read, and where they may write.

use std::path::{Path, PathBuf};

use clap::Args;
use ndarray::Array2;
use slnn::error::{Error, Result};
use slnn::expand::{Limits, Model};
use slnn::export;
use slnn::file::{check_rereadable, check_writable};
use slnn::network::onnx::{OnnxNetwork, is_onnx};
use slnn::table::{ReadOptions, Table, column_names, problems, read_inputs, read_targets};

use super::Globals;

/// How to read a table.
#[derive(Args, Clone, Debug)]
pub struct TableArguments {
    /// The columns to learn; by default the last one that is not ignored
    ///
    /// A column of text holds class labels, and the network gets one output a class.
    #[arg(long, value_name = "NAME,..", value_parser = names)]
    target: Option<Names>,
    /// Columns to leave out
    #[arg(long, value_name = "NAME,..", value_parser = names)]
    ignore: Option<Names>,
    /// The labels of an IDX file of images
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Read a target of numbers as class labels
    #[arg(long)]
    pub classes: bool,
    /// The first line of the CSV file holds numbers, not names: columns are x1, x2, ...
    #[arg(long)]
    pub no_header: bool,
    /// What separates the fields of a CSV file [default: a comma; in a .tsv file a tab]
    #[arg(long, value_name = "CHARACTER")]
    pub delimiter: Option<char>,
}

/// Names of columns.
#[derive(Clone, Debug)]
struct Names(Vec<String>);

/// Names between commas; one with a comma of its own in double quotes, as in a CSV file.
fn names(text: &str) -> std::result::Result<Names, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    match reader.records().next() {
        None => Ok(Names(vec![String::new()])),
        Some(Ok(record)) => Ok(Names(record.iter().map(str::to_owned).collect())),
        Some(Err(error)) => Err(error.to_string()),
    }
}

impl TableArguments {
    fn targets(&self) -> &[String] {
        self.target.as_ref().map_or(&[], |names| &names.0)
    }

    fn ignored(&self) -> &[String] {
        self.ignore.as_ref().map_or(&[], |names| &names.0)
    }

    fn options(&self) -> Result<ReadOptions> {
        let delimiter = match self.delimiter {
            None => None,
            Some(c) if c.is_ascii() && !matches!(c, '"' | '\n' | '\r') => Some(c as u8),
            Some(c) => {
                return Err(Error::invalid("--delimiter", format!("{c:?}"), "one ASCII character"));
            }
        };
        Ok(ReadOptions {
            targets: self.targets().to_vec(),
            ignore: self.ignored().to_vec(),
            has_header: !self.no_header,
            delimiter,
            class_labels: self.classes,
            labels: self.labels.clone(),
            ..ReadOptions::default()
        })
    }

    /// The table called `name`: a built-in one, or a file.
    ///
    /// # Errors
    /// As [`Table::read`]; when a built-in table is asked for another target than its own.
    pub fn read(&self, name: &Path) -> Result<Table> {
        let Some(table) = built_in(name) else {
            check_rereadable(name)?;
            return Table::read(name, &self.options()?);
        };
        let table = table?;
        self.check_built_in(&table)?;
        Ok(table)
    }

    /// # Errors
    /// When columns or labels are chosen that a built-in table does not have.
    fn check_built_in(&self, table: &Table) -> Result<()> {
        if !(self.targets().is_empty() || self.targets() == table.target_names()) {
            return Err(Error::invalid(
                "--target",
                self.targets().join(","),
                format!("{}, the target of this built-in table", table.target_names().join(",")),
            ));
        }
        if !self.ignored().is_empty() {
            return Err(Error::invalid(
                "--ignore",
                self.ignored().join(","),
                "nothing: a built-in table is taken whole",
            ));
        }
        let of_files = [
            (self.no_header, "--no-header"),
            (self.delimiter.is_some(), "--delimiter"),
            (self.classes, "--classes"),
        ];
        refuse(&of_files, "a built-in table", "a file, or the flag left out")?;
        if let Some(labels) = &self.labels {
            let found = labels.display().to_string();
            return Err(Error::invalid("--labels", found, "an IDX file of images beside it"));
        }
        Ok(())
    }

    /// The inputs called `names` (rows x names) and, where the table has them, the targets of
    /// `outputs` (rows x outputs); `remembered` is the column that held them in training.
    ///
    /// # Errors
    /// As [`read_inputs`] and [`read_targets`], and when an input is ignored or a target.
    pub fn read_for(
        &self,
        name: &Path,
        names: &[String],
        outputs: &[String],
        remembered: Option<String>,
    ) -> Result<(Array2<f64>, Option<Array2<f64>>)> {
        for (flag, columns) in [("--target", self.targets()), ("--ignore", self.ignored())] {
            if let Some(column) = columns.iter().find(|column| names.contains(column)) {
                let expected = "other columns than the inputs of the model";
                return Err(Error::invalid(flag, format!("{column:?}, an input"), expected));
            }
        }
        let Some(table) = built_in(name) else {
            check_rereadable(name)?;
            let mut options = self.options()?;
            if let Some(target) = remembered.filter(|_| options.targets.is_empty())
                && options.labels.is_none()
                && column_names(name, &options)?.contains(&target)
            {
                options.targets.push(target);
            }
            return Ok((
                read_inputs(name, names, &options)?,
                read_targets(name, outputs, &options)?,
            ));
        };
        let table = table?;
        self.check_built_in(&table)?;
        let columns = names
            .iter()
            .map(|name| {
                table.input_names().iter().position(|held| held == name).ok_or_else(|| {
                    Error::invalid(
                        table.source(),
                        format!("no column named {name:?}"),
                        format!("one of {}", table.input_names().join(", ")),
                    )
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let targets = (table.target_names() == outputs).then(|| table.targets().clone());
        Ok((table.inputs().select(ndarray::Axis(1), &columns), targets))
    }
}

/// The tables that need no file. Their sizes and seeds are fixed, so that the name says everything
/// about the numbers.
const BUILT_IN: [(&str, Made); 4] = [
    ("xor", || Ok(problems::xor())),
    ("two-spirals", || problems::two_spirals(1000, 0)),
    ("sparse-polynomial", || {
        problems::sparse_polynomial(10, 5, 3..=3, 2000, 0).map(|(table, _)| table)
    }),
    ("auto-mpg", || Ok(problems::auto_mpg())),
];

type Made = fn() -> Result<Table>;

/// Whether that is the name of a built-in table.
pub fn is_built_in(name: &Path) -> bool {
    BUILT_IN.iter().any(|(own, _)| Path::new(own) == name)
}

/// The built-in table of that name.
///
/// # Errors
/// When a file has that name.
fn built_in(name: &Path) -> Option<Result<Table>> {
    let (_, table) = BUILT_IN.iter().find(|(own, _)| Path::new(own) == name)?;
    if name.is_file() {
        let found = "the name of a built-in table and of a file";
        let expected = format!("./{} for the file, or another folder", name.display());
        return Some(Err(Error::invalid(name.display().to_string(), found, expected)));
    }
    Some(table())
}

/// # Errors
/// The first of some flags that is given, where none makes sense.
pub fn refuse(flags: &[(bool, &str)], found: &str, expected: &str) -> Result<()> {
    match flags.iter().find(|(given, _)| *given) {
        Some((_, flag)) => Err(Error::invalid(*flag, found, expected)),
        None => Ok(()),
    }
}

/// Reads a network or a polynomial; where an ONNX file was rounded or a part of it passed over,
/// that is remarked.
///
/// # Errors
/// As [`export::read_model`].
pub fn read_model(path: &Path, globals: &Globals) -> Result<Model> {
    if !is_onnx(path)? {
        let is_table = path.extension().is_some_and(|end| end == "csv" || end == "tsv");
        return export::read_model(path).map_err(|error| match is_table {
            true => Error::invalid(
                path.display().to_string(),
                "a table",
                "a network or a polynomial, and a table after it where one is read",
            ),
            false => error,
        });
    }
    let onnx = OnnxNetwork::read(path)?;
    for remark in onnx_remarks(&onnx) {
        globals.remark(format_args!("{}: {remark}", path.display()));
    }
    Ok(Model::Network(onnx.network))
}

/// What is to be said of a network from an ONNX file.
pub fn onnx_remarks(onnx: &OnnxNetwork) -> Vec<String> {
    let mut remarks = onnx.remarks.clone();
    remarks.extend(onnx.rounded.iter().cloned());
    if !onnx.rounded.is_empty() {
        remarks.push("everything that follows is about the network with these roundings".into());
    }
    remarks
}

/// How much an expansion may cost.
#[derive(Args, Clone, Debug)]
pub struct LimitArguments {
    /// Refuse an expansion with more terms [default: 50000000]
    #[arg(long, value_name = "TERMS")]
    limit_terms: Option<u64>,
    /// Refuse an expansion that needs more memory, such as 6GiB [default: half of what is free]
    #[arg(long, visible_alias = "memory", value_name = "BYTES", value_parser = parse_bytes)]
    limit_bytes: Option<u64>,
    /// Refuse an expansion that takes longer [default: any time]
    #[arg(long, value_name = "SECONDS")]
    limit_seconds: Option<f64>,
}

/// A number of bytes, plain or with a unit.
fn parse_bytes(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("{text:?} is not a number of bytes; examples: 6000000000, 6GB, 6GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1_u64 << 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale)).ok_or_else(wrong)
}

impl LimitArguments {
    /// The limits, the library's own where none was given.
    ///
    /// # Errors
    /// When the seconds are not a positive number.
    pub fn limits(&self) -> Result<Limits> {
        if let Some(s) = self.limit_seconds.filter(|s| !(s.is_finite() && *s > 0.0)) {
            return Err(Error::invalid("--limit-seconds", s.to_string(), "a positive number"));
        }
        let default = Limits::default();
        Ok(Limits {
            terms: self.limit_terms.unwrap_or(default.terms),
            bytes: self.limit_bytes.unwrap_or(default.bytes),
            seconds: self.limit_seconds.or(default.seconds),
            operations: None,
        })
    }
}

/// Refuses an output that would fail after the work, or would replace an input.
///
/// # Errors
/// When the output is one of `inputs`, is a folder, or lies in a folder that is not there or that
/// cannot be written.
pub fn check_output(output: &Path, inputs: &[&Path]) -> Result<()> {
    check_target(&format!("-o {}", output.display()), output, inputs)
}

/// Whether two names are of one file, which need not be there yet.
pub fn is_same_place(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| {
        path.canonicalize().ok().or_else(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Some(folder.unwrap_or(Path::new(".")).canonicalize().ok()?.join(path.file_name()?))
        })
    };
    whole(one).is_some_and(|one| whole(other) == Some(one))
}

/// As [`check_output`] for any file that will be written, called `place` in messages.
///
/// # Errors
/// As [`check_output`].
pub fn check_target(place: &str, output: &Path, inputs: &[&Path]) -> Result<()> {
    if output == Path::new("-") {
        let expected = "the name of a file; ./- is one";
        return Err(Error::invalid(place, "no file but standard output", expected));
    }
    if output.is_dir() {
        return Err(Error::invalid(place, "a folder", "the name of a file to write"));
    }
    let parent = output.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|p| !p.is_dir()) {
        return Err(Error::invalid(
            place,
            format!("no folder {}", parent.display()),
            "a folder that exists: make it first",
        ));
    }
    if inputs.iter().any(|input| is_same_place(output, input)) {
        return Err(Error::invalid(place, "an input of the same command", "another name"));
    }
    check_writable(output)
        .map_err(|e| Error::invalid(place, e.to_string(), "a place that can be written"))
}
