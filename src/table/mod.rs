//! Tables: rows of numbers with named columns, some of them targets.
//!
//! [`Table::read`] takes CSV, NumPy `.npy` and IDX files and refuses whatever a
//! network should not be trained on (a missing value, text among numbers, an
//! infinite number, a constant target), naming the file, the line and the
//! column. [`Standardisation`] is the affine map that puts columns on one scale,
//! [`Split`] divides rows into training and test, and [`problems`] holds tables
//! that need no file.
//!
//! ```
//! use slnn::table::{Split, problems};
//!
//! let cars = problems::auto_mpg();
//! assert_eq!((cars.rows(), cars.target_names()), (392, &["mpg".to_string()][..]));
//! let split = Split::by_fraction(cars.rows(), 0.1, 1)?;
//! assert_eq!(cars.select(&split.test).rows(), 39);
//! # Ok::<(), slnn::Error>(())
//! ```

mod csv;
mod idx;
mod npy;
pub mod problems;
mod split;
mod standardise;

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};

pub use self::csv::{read_csv, write_csv};
pub use self::idx::read_idx_images;
pub use self::npy::read_npy;
pub use self::split::{Split, parse_test_rows, read_splits};
pub use self::standardise::Standardisation;

/// Finite numbers in named columns: inputs, and the targets to learn from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    inputs: Array2<f64>,
    targets: Array2<f64>,
    input_names: Vec<String>,
    target_names: Vec<String>,
    classes: Option<Vec<String>>,
    label_column: Option<String>,
    image: Option<[usize; 3]>,
    source: String,
}

impl Table {
    /// A table of numeric targets, from `inputs` (rows x inputs) and `targets` (rows x targets).
    ///
    /// `source` says where the numbers come from, for messages and reports.
    ///
    /// # Errors
    /// When the shapes and names do not fit, there are no rows, inputs or targets, a name
    /// stands twice among the inputs or among the targets, or a number is not finite.
    pub fn new(
        inputs: Array2<f64>,
        targets: Array2<f64>,
        input_names: Vec<String>,
        target_names: Vec<String>,
        source: impl Into<String>,
    ) -> Result<Self> {
        let source = source.into();
        let bad = |found: String, expected: String| Err(Error::invalid(&source, found, expected));
        if inputs.nrows() != targets.nrows() {
            return bad(
                format!("{} rows of targets", targets.nrows()),
                format!("{}, one for every row of inputs", inputs.nrows()),
            );
        }
        if inputs.nrows() == 0 {
            return bad("no rows".into(), "at least one row".into());
        }
        for (kind, array, names) in
            [("input", &inputs, &input_names), ("target", &targets, &target_names)]
        {
            if array.ncols() == 0 {
                return bad(format!("no {kind} columns"), "at least one".into());
            }
            if names.len() != array.ncols() {
                return bad(
                    format!("{} {kind} names", names.len()),
                    format!("{}, one for every {kind} column", array.ncols()),
                );
            }
            let mut seen = HashSet::new();
            if let Some(name) = names.iter().find(|name| !seen.insert(*name)) {
                return bad(format!("the {kind} name {name:?} twice"), "distinct names".into());
            }
            for ((row, column), value) in array.indexed_iter() {
                if !value.is_finite() {
                    return Err(Error::invalid(
                        format!("{source}: row {row}, column {:?}", names[column]),
                        value.to_string(),
                        "a finite number",
                    ));
                }
            }
        }
        let (classes, label_column, image) = (None, None, None);
        Ok(Table {
            inputs,
            targets,
            input_names,
            target_names,
            classes,
            label_column,
            image,
            source,
        })
    }

    /// A table whose target is a class: `labels` holds, for every row, an index into `classes`.
    ///
    /// The targets become one-hot, one column a class, named by the class.
    ///
    /// # Errors
    /// As [`Table::new`], when a label is not below the number of classes, and when the
    /// one-hot targets would take more than a gigabyte.
    pub fn with_classes(
        inputs: Array2<f64>,
        labels: &[usize],
        input_names: Vec<String>,
        classes: Vec<String>,
        source: impl Into<String>,
    ) -> Result<Self> {
        let source = source.into();
        let targets = one_hot(labels, classes.len()).map_err(|e| e.within(&source))?;
        let mut table = Table::new(inputs, targets, input_names, classes.clone(), source)?;
        table.classes = Some(classes);
        Ok(table)
    }

    /// Reads a table from a CSV, `.npy` or IDX file.
    ///
    /// The format follows the name (`.csv` and `.tsv`; `.npy`; `.idx` and `...ubyte` for IDX) and, for
    /// any other name, the first bytes; what is neither NumPy nor IDX is CSV. CSV and IDX may be
    /// gzip. An IDX file needs [`ReadOptions::labels`].
    ///
    /// # Errors
    /// When the file cannot be read or has a defect; the message names file, line and column.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self> {
        let format = Format::of(path)?;
        format.check_options(path, options)?;
        match format {
            Format::Csv => read_csv(path, options),
            Format::Npy => npy::read_npy_table(path, options),
            Format::Idx => {
                let labels = options.labels.as_deref().ok_or_else(|| {
                    Error::invalid(
                        path.display().to_string(),
                        "IDX images alone",
                        "the IDX file of their labels beside them (--labels FILE)",
                    )
                })?;
                read_idx_images(path, labels)
            }
        }
    }

    /// Number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.inputs.nrows()
    }

    /// The inputs, rows x inputs.
    pub fn inputs(&self) -> &Array2<f64> {
        &self.inputs
    }

    /// The targets, rows x targets; one-hot when the table has [classes](Table::classes).
    pub fn targets(&self) -> &Array2<f64> {
        &self.targets
    }

    /// The name of every input column.
    pub fn input_names(&self) -> &[String] {
        &self.input_names
    }

    /// The name of every target column.
    pub fn target_names(&self) -> &[String] {
        &self.target_names
    }

    /// The class names, when the target was a class label; they are the target names too.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// The column that held the class labels, where they stood in a column with a name.
    pub fn label_column(&self) -> Option<&str> {
        self.label_column.as_deref()
    }

    /// Height, width and channels of the images that the inputs are, row by row and channels last,
    /// where the file says so.
    pub fn image(&self) -> Option<[usize; 3]> {
        self.image
    }

    /// Where the numbers come from: a file, or the name of a built-in problem.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The table of the given rows, in the given order.
    ///
    /// # Panics
    /// When an index is not below [`Table::rows`].
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Table {
            inputs: self.inputs.select(Axis(0), rows),
            targets: self.targets.select(Axis(0), rows),
            input_names: self.input_names.clone(),
            target_names: self.target_names.clone(),
            classes: self.classes.clone(),
            label_column: self.label_column.clone(),
            image: self.image,
            source: self.source.clone(),
        }
    }
}

/// How to read a table: which columns are what, and what the file does not say itself.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The target columns; when empty, the last column that is not ignored.
    ///
    /// Where columns have no names (`.npy`, or CSV without a header) they are called `x1`,
    /// `x2`, ... by position, and a plain number, counted from 1, names one too.
    pub targets: Vec<String>,
    /// Columns that are neither inputs nor targets, such as text.
    pub ignore: Vec<String>,
    /// Whether the first line of a CSV file holds the column names.
    pub has_header: bool,
    /// What separates the fields of a CSV file; by default a comma, in a `.tsv` file a tab.
    pub delimiter: Option<u8>,
    /// Read a numeric target as class labels.
    pub class_labels: bool,
    /// The classes in their order, for a table that must agree with another; any other label
    /// is then an error. When empty, the classes are the labels found, sorted.
    pub classes: Vec<String>,
    /// The labels that belong to an IDX file of images.
    pub labels: Option<PathBuf>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            targets: Vec::new(),
            ignore: Vec::new(),
            has_header: true,
            delimiter: None,
            class_labels: false,
            classes: Vec::new(),
            labels: None,
        }
    }
}

impl ReadOptions {
    /// The default options with these target columns.
    pub fn targets<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        ReadOptions { targets: names.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// Reads the inputs called `names`, in that order, from a table that may have other columns.
///
/// Returns rows x names. In an IDX file the inputs are the pixels `x1`, `x2`, ... in row order.
///
/// # Errors
/// As [`Table::read`], for the named columns alone, and when one is absent.
pub fn read_inputs(path: &Path, names: &[String], options: &ReadOptions) -> Result<Array2<f64>> {
    let file = path.display().to_string();
    match Format::of(path)? {
        Format::Csv => csv::read_columns(path, names, options),
        Format::Npy => {
            let array = read_npy(path)?;
            let held = numbered_names(array.ncols());
            pick(array.view(), &held, names, &file)
        }
        Format::Idx => {
            let array = idx::read_pixels(path)?;
            let held = numbered_names(array.ncols());
            pick(array.view(), &held, names, &file)
        }
    }
}

/// Reads the targets of a model with outputs `names` where the table has them: rows x names, or
/// `None`.
///
/// They stand in the columns [`ReadOptions::targets`], one an output; or `names` are classes and
/// the labels stand in its only one, or in the IDX file [`ReadOptions::labels`], and the answer is
/// one-hot in the order of `names`. Without such columns they are those called `names`, if all are
/// there. What is to be ignored is not read.
///
/// # Errors
/// When a column of the options is not there, the columns have a defect, or a label is not one of
/// `names`.
pub fn read_targets(
    path: &Path,
    names: &[String],
    options: &ReadOptions,
) -> Result<Option<Array2<f64>>> {
    let format = Format::of(path)?;
    format.check_options(path, options)?;
    match format {
        Format::Csv => csv::read_target_columns(path, names, options),
        Format::Npy => {
            let array = read_npy(path)?;
            let held = numbered_names(array.ncols());
            let file = path.display().to_string();
            match target_columns(&held, true, names, options, &file)? {
                Some(columns) if columns.len() == names.len() => {
                    Ok(Some(array.select(Axis(1), &columns)))
                }
                Some(_) => Err(Error::invalid(
                    file,
                    "class labels asked of a .npy file",
                    format!("{} numeric targets", names.len()),
                )),
                None => Ok(None),
            }
        }
        Format::Idx => match &options.labels {
            None => Ok(None),
            Some(labels) => idx::read_one_hot(labels, names).map(Some),
        },
    }
}

/// The names of the columns of a table; `x1`, `x2`, ... where they have none.
///
/// # Errors
/// When the file cannot be read.
pub fn column_names(path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
    Ok(match Format::of(path)? {
        Format::Csv => csv::read_names(path, options)?,
        Format::Npy => numbered_names(read_npy(path)?.ncols()),
        Format::Idx => numbered_names(idx::read_pixels(path)?.ncols()),
    })
}

/// The columns of the targets of a model with outputs `names`: one an output, or a single one of
/// labels.
fn target_columns(
    held: &[String],
    numbered: bool,
    names: &[String],
    options: &ReadOptions,
    file: &str,
) -> Result<Option<Vec<usize>>> {
    let find = |name: &String| find_column(held, name, numbered, file);
    let ignored = options.ignore.iter().map(find).collect::<Result<Vec<_>>>()?;
    let columns = options.targets.iter().map(find).collect::<Result<Vec<_>>>()?;
    let columns = match columns.len() {
        0 => match names.iter().all(|name| held.contains(name)) {
            true => names.iter().map(find).collect::<Result<_>>()?,
            false => return Ok(None),
        },
        n if n == names.len() || n == 1 => columns,
        n => {
            return Err(Error::invalid(
                file,
                format!("{n} targets"),
                format!("{}, one for every output, or a single column of labels", names.len()),
            ));
        }
    };
    Ok((!columns.iter().any(|column| ignored.contains(column))).then_some(columns))
}

enum Format {
    Csv,
    Npy,
    Idx,
}

impl Format {
    /// # Errors
    /// When an option is given that says nothing about such a file.
    fn check_options(&self, path: &Path, options: &ReadOptions) -> Result<()> {
        let place = || path.display().to_string();
        match self {
            Format::Idx if !(options.targets.is_empty() && options.ignore.is_empty()) => {
                let named = options.targets.iter().chain(&options.ignore);
                let found =
                    format!("columns to choose ({})", listed(&named.cloned().collect::<Vec<_>>()));
                Err(Error::invalid(place(), found, "none: an IDX file is taken whole"))
            }
            Format::Csv | Format::Npy if options.labels.is_some() => {
                let found = "a file of labels beside it";
                let expected = "none (--labels belongs to IDX images; --target names a column)";
                Err(Error::invalid(place(), found, expected))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When the file is packed: there is no need to, and those of NumPy never are.
    fn npy(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let start = first_bytes(file).map_err(|e| Error::io(path, e))?;
        if start.starts_with(GZIP_MAGIC) {
            let expected = "a NumPy file as numpy.save writes it: unpack it first";
            return Err(Error::invalid(path.display().to_string(), "a gzip file", expected));
        }
        Ok(Format::Npy)
    }

    fn of(path: &Path) -> Result<Self> {
        let name = name_without_gz(path);
        if name.ends_with(".csv") || name.ends_with(".tsv") {
            return Ok(Format::Csv);
        }
        if name.ends_with(".npy") {
            return Self::npy(path);
        }
        if name.ends_with(".idx") || name.ends_with("ubyte") {
            return Ok(Format::Idx);
        }
        let open = || std::fs::File::open(path).map_err(|e| Error::io(path, e));
        let mut start = first_bytes(open()?).map_err(|e| Error::io(path, e))?;
        if start.starts_with(GZIP_MAGIC) {
            start = first_bytes(MultiGzDecoder::new(open()?)).map_err(|e| Error::io(path, e))?;
        }
        Ok(if start.starts_with(npy::MAGIC) {
            return Self::npy(path);
        } else if start.starts_with(&[0, 0]) {
            Format::Idx
        } else {
            Format::Csv
        })
    }
}

/// How a gzip file begins.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

fn first_bytes(file: impl Read) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(6).read_to_end(&mut start)?;
    Ok(start)
}

/// The name of a file in lower case, without the ending of a gzip file.
fn name_without_gz(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.strip_suffix(".gz").map_or(name.clone(), str::to_owned)
}

/// `x1`, `x2`, ...: the names of columns that have none.
fn numbered_names(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("x{i}")).collect()
}

/// Which columns are inputs and which are targets.
struct Roles {
    inputs: Vec<usize>,
    targets: Vec<usize>,
}

impl Roles {
    fn choose(names: &[String], options: &ReadOptions, numbered: bool, file: &str) -> Result<Self> {
        let find = |name: &String| find_column(names, name, numbered, file);
        let mut ignored = HashSet::new();
        for name in &options.ignore {
            let name = &names[find(name)?];
            // Columns to be ignored may share a name.
            ignored.extend((0..names.len()).filter(|&column| names[column] == *name));
        }
        let mut targets = options.targets.iter().map(find).collect::<Result<Vec<_>>>()?;
        if targets.is_empty() {
            targets.extend((0..names.len()).rev().find(|column| !ignored.contains(column)));
        }
        let mut taken = ignored.clone();
        for &target in &targets {
            if !taken.insert(target) {
                let twice = if ignored.contains(&target) {
                    "a target and ignored"
                } else {
                    "a target twice"
                };
                return Err(Error::invalid(
                    file,
                    format!("column {:?} as {twice}", names[target]),
                    "it to be named once",
                ));
            }
        }
        let inputs: Vec<_> = (0..names.len()).filter(|column| !taken.contains(column)).collect();
        if inputs.is_empty() {
            return Err(Error::invalid(
                file,
                format!("no input columns among {}", listed(names)),
                "at least one column that is neither a target nor ignored",
            ));
        }
        Ok(Roles { inputs, targets })
    }
}

/// The index of the column called `name`; where columns have no names, a number from 1 does too.
fn find_column(names: &[String], name: &str, numbered: bool, file: &str) -> Result<usize> {
    let by_number =
        || name.parse::<usize>().ok().filter(|n| numbered && (1..=names.len()).contains(n));
    names.iter().position(|held| held == name).or_else(|| by_number().map(|n| n - 1)).ok_or_else(
        || {
            Error::invalid(
                file,
                format!("no column named {}", shown(name)),
                format!("one of {}", listed(names)),
            )
        },
    )
}

/// The columns `names` of `array`, whose columns are called `held`, in the order of `names`.
fn pick(
    array: ArrayView2<f64>,
    held: &[String],
    names: &[String],
    file: &str,
) -> Result<Array2<f64>> {
    let columns = names
        .iter()
        .map(|name| find_column(held, name, false, file))
        .collect::<Result<Vec<_>>>()?;
    Ok(array.select(Axis(1), &columns))
}

/// One-hot encoding, rows x classes.
fn one_hot(labels: &[usize], classes: usize) -> Result<Array2<f64>> {
    // A small file can name many classes in many rows: the product must not be taken on trust.
    const MOST: usize = 1 << 27;
    if labels.len().checked_mul(classes).is_none_or(|numbers| numbers > MOST) {
        return Err(Error::invalid(
            "target",
            format!("{classes} classes in {} rows", labels.len()),
            "class labels that repeat (rows times classes at most 2^27)",
        ));
    }
    let mut targets = Array2::zeros((labels.len(), classes));
    for (row, &label) in labels.iter().enumerate() {
        if label >= classes {
            return Err(Error::invalid(
                format!("row {row}"),
                format!("label {label}"),
                format!("a label below {classes}"),
            ));
        }
        targets[[row, label]] = 1.0;
    }
    Ok(targets)
}

/// Refuses a target that is the same number in every row: there is nothing to learn.
fn refuse_constant(values: ArrayView1<f64>, file: &str, name: &str) -> Result<()> {
    let first = values[0];
    if values.iter().any(|value| *value != first) {
        return Ok(());
    }
    Err(Error::invalid(
        format!("{file}: target column {}", shown(name)),
        format!("{first} in all {} rows", values.len()),
        "a target that is not constant",
    ))
}

/// Text from a file as it may stand in a message: quoted, escaped, and cut when long.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        format!("{text:?}")
    } else {
        format!("{:?}...", text.chars().take(MOST).collect::<String>())
    }
}

/// A list of names as it may stand in a message, cut when long.
fn listed(names: &[String]) -> String {
    const MOST: usize = 30;
    let mut text: Vec<_> = names.iter().take(MOST).map(|name| shown(name)).collect();
    if names.len() > MOST {
        text.push(format!("... ({} in all)", names.len()));
    }
    text.join(", ")
}
