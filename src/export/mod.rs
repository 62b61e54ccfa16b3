//! Polynomials as files: our own JSON, LaTeX, Python, SymPy.
//!
//! [`write()`] writes any of them atomically; [`read_model`] reads our own two formats back, and ONNX.
//! The polynomial file ([`Expansion::write`], [`Expansion::read`]) holds everything an
//! [`Expansion`] does; the others are for people and other programs. Terms are spelled in
//! parallel and written in order, so the bytes do not depend on the number of threads and
//! the whole text is never in memory.
//!
//! ```
//! use slnn::Polynomial;
//! use slnn::expand::{Coefficients, Expansion};
//! use slnn::network::Head;
//!
//! let variables = vec!["x1".to_owned(), "x2".to_owned()];
//! let p = Polynomial::parse("3/2 x1^2 x2 - x2 + 1", &["x1", "x2"])?;
//! let outputs = vec!["y".to_owned()];
//! let expansion =
//!     Expansion::new(variables, outputs, Coefficients::Rational(vec![p]), Head::Identity)?;
//!
//! let mut file = Vec::new();
//! expansion.write_json(&mut file).expect("a vector takes all");
//! assert_eq!(Expansion::from_json(&String::from_utf8_lossy(&file))?, expansion);
//! # Ok::<(), slnn::Error>(())
//! ```

mod blocks;
mod json;
mod latex;
mod python;
mod sympy;

pub use latex::{DEFAULT_DIGITS, latex};
pub use python::python;
pub use sympy::sympy;

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::expand::{Expansion, Model};
use crate::file::{check_rereadable, write_atomically};
use crate::json::read_text;
use crate::network::Network;
use crate::network::json::{FORMAT as NETWORK, unknown_format};
use crate::network::onnx::{OnnxNetwork, is_onnx};

/// What a polynomial can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Our own file, the coefficients as they are.
    Json,
    /// Our own file, each coefficient rounded once to f64.
    JsonF64,
    /// A LaTeX document, long coefficients rounded to [`DEFAULT_DIGITS`].
    Latex,
    /// A Python module without dependencies.
    Python,
    /// A Python module that builds SymPy polynomials.
    Sympy,
}

impl Target {
    /// Every target.
    pub const ALL: [Target; 5] =
        [Target::Json, Target::JsonF64, Target::Latex, Target::Python, Target::Sympy];

    /// The name, as the program spells it.
    pub fn name(self) -> &'static str {
        match self {
            Target::Json => "json",
            Target::JsonF64 => "json-f64",
            Target::Latex => "latex",
            Target::Python => "python",
            Target::Sympy => "sympy",
        }
    }

    /// The target of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }
}

/// Writes `expansion` to `path` as `target`, atomically.
///
/// # Errors
/// When the file cannot be written, or a coefficient is beyond the range of f64 and the
/// target holds f64 numbers.
pub fn write(expansion: &Expansion, target: Target, path: &Path) -> Result<()> {
    match target {
        Target::Json => expansion.write(path),
        Target::JsonF64 => expansion.to_f64()?.0.write(path),
        Target::Latex => write_atomically(path, |out| latex(expansion, DEFAULT_DIGITS, out)),
        Target::Python => write_atomically(path, |out| python(expansion, out)),
        Target::Sympy => write_atomically(path, |out| sympy(expansion, out)),
    }
}

/// Reads a network or a polynomial, whichever the file holds: one of our own files, or a network
/// as ONNX ([`OnnxNetwork`]).
///
/// # Errors
/// When the file cannot be read or is none of them; the message names the place in it.
pub fn read_model(path: &Path) -> Result<Model> {
    check_rereadable(path)?;
    if is_onnx(path)? {
        return OnnxNetwork::read(path).map(|onnx| Model::Network(onnx.network));
    }
    if let Some(expansion) = blocks::read_file(path) {
        return Ok(Model::Expansion(expansion));
    }
    let text = read_text(path)?;
    model_from_json(&text).map_err(|e| e.within(path.display()))
}

/// Reads a network or a polynomial from the text of its file.
///
/// # Errors
/// As [`read_model`], without the file.
pub fn model_from_json(text: &str) -> Result<Model> {
    let header = json::header(text)?;
    let format = header.top().object()?.take("format")?;
    match format.string()? {
        NETWORK => Network::from_json(text).map(Model::Network),
        json::FORMAT => Expansion::from_json(text).map(Model::Expansion),
        _ => Err(unknown_format(&format, &[NETWORK, json::FORMAT])),
    }
}

/// The value of the key `format` of a JSON file, if there is one.
///
/// # Errors
/// When the file cannot be read, or is malformed before that key.
pub fn format_of(path: &Path) -> Result<Option<String>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let header = match json::header_of(BufReader::new(file)) {
        Some(header) => header,
        None => json::header(&read_text(path)?).map_err(|e| e.within(path.display()))?,
    };
    let format = header.top().object()?.take_optional("format");
    Ok(format.and_then(|format| format.string().ok().map(str::to_owned)))
}

/// Terms spelled by one thread at a time.
const CHUNK: usize = 1 << 8;

/// Terms held in memory as text.
const BATCH: usize = 1 << 14;

/// Writes what `spell` appends for each item, in order; items are spelled in parallel.
fn write_spelled<T: Send + Sync>(
    out: &mut dyn Write,
    mut items: impl Iterator<Item = T>,
    spell: impl Fn(&T, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let mut batch = Vec::new();
    loop {
        batch.clear();
        batch.extend(items.by_ref().take(BATCH));
        if batch.is_empty() {
            return Ok(());
        }
        let texts: Vec<Vec<u8>> = batch
            .par_chunks(CHUNK)
            .map(|chunk| {
                let mut text = Vec::new();
                chunk.iter().for_each(|item| spell(item, &mut text));
                text
            })
            .collect();
        for text in texts {
            out.write_all(&text)?;
        }
    }
}
