//! `slnn export`: a polynomial as text for people and for other programs.

use std::path::PathBuf;

use clap::Args;
use ndarray::ArrayView2;
use slnn::error::Error;
use slnn::expand::{Model, expand_watched, plan};
use slnn::export::{DEFAULT_DIGITS, Target, latex, write};
use slnn::file::{remove_stale, write_atomically};

use super::Globals;
use super::answer::{Answer, Outcome, counted};
use super::domain::{Rounding, about_rounding, remember};
use super::input::{LimitArguments, check_output, read_model};
use super::progress::{Gentle, Progress};

/// Writes a polynomial as LaTeX, Python, SymPy or JSON
///
/// A network is expanded first, within the limits.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example: slnn export cars.polynomial.json --to latex -o cars.tex"
)]
pub struct Arguments {
    /// A polynomial or a network
    #[arg(value_name = "POLY-or-NET.json")]
    model: PathBuf,
    /// latex, python (no dependencies), sympy, json (exact) or json-f64 (rounded once)
    #[arg(long, value_name = "FORMAT", value_parser = parse_target)]
    to: Target,
    /// Where to write it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// In LaTeX, round long coefficients to so many significant digits
    #[arg(long, value_name = "N")]
    digits: Option<usize>,
    #[command(flatten)]
    limits: LimitArguments,
}

fn parse_target(name: &str) -> std::result::Result<Target, String> {
    Target::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Target::ALL.iter().map(|target| target.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    check_output(&arguments.output, &[&arguments.model])?;
    if let Some(digits) = arguments.digits {
        if arguments.to != Target::Latex {
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
    let expansion = match read_model(&arguments.model, globals)? {
        Model::Expansion(expansion) => expansion,
        Model::Network(network) => {
            let limits = arguments.limits.limits()?;
            plan(&network, None)?.check(&limits)?;
            let gentle = Gentle::begin(globals);
            let progress = Progress::new(globals, "expand", network.layers().len());
            let watched = expand_watched(&network, None, &limits, &mut |step| {
                progress.at(step.layer, || format!("layer {}", step.layer));
                match gentle.requested() {
                    true => Err(Error::Interrupted { saved: "nothing was written".into() }),
                    false => Ok(()),
                }
            });
            remember(watched?.0, &network)
        }
    };
    remove_stale(&arguments.output)?;
    match (arguments.to, arguments.digits) {
        (Target::Latex, Some(digits)) => {
            write_atomically(&arguments.output, |out| latex(&expansion, digits, out))?;
        }
        (target, _) => write(&expansion, target, &arguments.output)?,
    }
    let mut answer = Answer::default();
    let name = arguments.to.name();
    answer.set("to", name);
    answer.set("terms", expansion.terms());
    answer.set("outputs", expansion.outputs().len());
    answer.set("file", arguments.output.display().to_string());
    answer.line(format_args!(
        "{} written as {name} to {}",
        counted(expansion.terms(), "term"),
        arguments.output.display()
    ));
    let rounding = match arguments.to {
        Target::Python | Target::JsonF64 => Some(Rounding::to_f64()),
        Target::Latex => {
            let digits = arguments.digits.unwrap_or(DEFAULT_DIGITS);
            let how = format!("with {digits} digits (--digits)");
            Some(Rounding { how, share: 0.5 * 0.1_f64.powi(digits as i32 - 1) })
        }
        Target::Json | Target::Sympy => None,
    };
    let values = |points: ArrayView2<f64>| expansion.forward(points);
    if let Some(advice) = rounding.and_then(|own| about_rounding(&expansion, &own, values)) {
        answer.line(advice);
    }
    Ok(answer)
}
