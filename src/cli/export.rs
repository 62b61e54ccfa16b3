//! `slnn export`: a polynomial as text for people and for other programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use slnn::error::{Error, Result};
use slnn::expand::{Expansion, Model, expand_watched, plan};
use slnn::export::{DEFAULT_DIGITS, latex, python, read_model, sympy};
use slnn::file::{remove_stale, write_atomically};

use super::Globals;
use super::answer::{Answer, Outcome, counted};
use super::input::{LimitArguments, check_output};
use super::progress::{Gentle, Progress};

/// Writes a polynomial as LaTeX, Python, SymPy or JSON
///
/// A network is expanded first, within the limits.
#[derive(Args, Debug)]
#[command(after_help = "Example: slnn export cars.polynomial.json --to latex -o cars.tex")]
pub struct Arguments {
    /// A polynomial or a network
    #[arg(value_name = "POLY-or-NET.json")]
    model: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    to: Format,
    /// Where to write it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// In LaTeX, round coefficients to so many significant digits
    #[arg(long, value_name = "N")]
    digits: Option<usize>,
    #[command(flatten)]
    limits: LimitArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Format {
    /// A LaTeX document fragment
    Latex,
    /// A Python module without dependencies
    Python,
    /// A Python module that builds SymPy expressions
    Sympy,
    /// Our own file, exact rational coefficients
    Json,
    /// Our own file, each coefficient rounded once to f64
    JsonF64,
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    check_output(&arguments.output, &[&arguments.model])?;
    if let Some(digits) = arguments.digits {
        if arguments.to != Format::Latex {
            return Err(Error::invalid(
                "--digits",
                "another format",
                "--to latex: others are exact",
            ));
        }
        if !(1..=1000).contains(&digits) {
            return Err(Error::invalid("--digits", digits.to_string(), "from 1 to 1000"));
        }
    }
    let expansion = match read_model(&arguments.model)? {
        Model::Expansion(expansion) => expansion,
        Model::Network(network) => {
            let limits = arguments.limits.limits()?;
            plan(&network, None)?.check(&limits)?;
            let gentle = Gentle::begin();
            let progress = Progress::new(globals, "expand", network.layers().len());
            let watched = expand_watched(&network, None, &limits, &mut |step| {
                progress.at(step.layer, || format!("layer {}", step.layer));
                match gentle.requested() {
                    true => Err(Error::Interrupted { saved: "nothing was written".into() }),
                    false => Ok(()),
                }
            });
            watched?.0
        }
    };
    remove_stale(&arguments.output)?;
    write(arguments, &expansion)?;
    let mut answer = Answer::default();
    let name = arguments.to.to_possible_value().map_or(String::new(), |v| v.get_name().to_owned());
    answer.set("to", name.clone());
    answer.set("terms", expansion.terms());
    answer.set("outputs", expansion.outputs().len());
    answer.set("file", arguments.output.display().to_string());
    answer.line(format_args!(
        "{} written as {name} to {}",
        counted(expansion.terms(), "term"),
        arguments.output.display()
    ));
    Ok(answer)
}

fn write(arguments: &Arguments, expansion: &Expansion) -> Result<()> {
    let path = &arguments.output;
    match arguments.to {
        Format::Json => expansion.write(path),
        Format::JsonF64 => expansion.to_f64()?.0.write(path),
        Format::Latex => write_atomically(path, |out| {
            latex(expansion, arguments.digits.unwrap_or(DEFAULT_DIGITS), out)
        }),
        Format::Python => write_atomically(path, |out| python(expansion, out)),
        Format::Sympy => write_atomically(path, |out| sympy(expansion, out)),
    }
}
