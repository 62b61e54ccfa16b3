//! `slnn compare`: whether two files are the same function.

use std::path::{Path, PathBuf};

use clap::Args;
use num_rational::BigRational;
use rand::rngs::SysRng;
use rand::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use slnn::error::{Error, Result};
use slnn::expand::{Comparison, Method, Model, Stage, Step, compare_watched};
use slnn::export::read_model;
use slnn::json::{Cursor, Json};
use slnn::network::{Head, Input};
use slnn::numeric::rational::{format_exact, rational_to_f64};

use super::Globals;
use super::answer::{Answer, Outcome, short};
use super::expand::describe_plan;
use super::input::{self, LimitArguments};
use super::progress::{Gentle, Progress};

/// Decides whether two networks or polynomials are the same function
///
/// Exactly, by the difference of their expansions. Where those are too large: by random
/// evaluation modulo large primes, with a stated probability of error. Inputs and outputs are
/// matched by their names, or where these differ by position. Where they differ, or a function is no
/// polynomial: the largest difference found on a box. Exit code 0 when equal, 1 when not equal
/// or not decided.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example: slnn compare cars.json cars.polynomial.json"
)]
pub struct Arguments {
    /// A network, also in an ONNX file, or a polynomial
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Another
    #[arg(value_name = "B")]
    b: PathBuf,
    /// The box in which the largest difference is looked for: lower,upper for every input, a JSON
    /// file [[lower, upper], ...], or a network file, whose box is taken [default: the networks' own]
    #[arg(long = "box", value_name = "A,B or FILE", allow_hyphen_values = true)]
    domain: Option<String>,
    /// Where random points and primes begin: a number, or the 64 digits of an earlier answer
    /// [default: the system's randomness]
    #[arg(long, value_name = "SEED")]
    seed: Option<String>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Expand where that takes at most so many products of terms (one more for every 32 products
    /// of machine words in them); otherwise evaluate at random [default: 1e9]
    #[arg(long, value_name = "COUNT")]
    limit_operations: Option<f64>,
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    let mut limits = arguments.limits.limits()?;
    limits.operations = arguments.limit_operations;
    if let Some(count) = limits.operations.filter(|count| count.is_nan() || *count < 0.0) {
        return Err(Error::invalid("--limit-operations", count.to_string(), "a number from 0"));
    }
    let seed = seed(arguments.seed.as_deref())?;
    let (a, b) =
        (input::read_model(&arguments.a, globals)?, input::read_model(&arguments.b, globals)?);
    let domain = arguments.domain.as_deref().map(|text| parse_box(text, a.inputs())).transpose()?;
    let gentle = Gentle::begin(globals);
    let mut progress = None;
    let comparison = compare_watched(&a, &b, domain.as_deref(), &limits, seed, &mut |stage| {
        if gentle.requested() {
            return Err(Error::Interrupted { saved: "nothing was decided".into() });
        }
        match stage {
            Stage::Plan(plan) => globals.remark(describe_plan(plan)),
            Stage::Step(Step { layer, layers, neuron, .. }) => progress
                .get_or_insert_with(|| Progress::new(globals, "expand", layers))
                .at(layer, || format!("layer {layer}, neuron {neuron}")),
        }
        Ok(())
    })
    .map_err(|e| name_files(e, arguments))?;
    drop((progress, gentle));
    Ok(answer(&comparison, &a, &b, &seed))
}

/// The library speaks of models; here they are files.
fn name_files(error: Error, arguments: &Arguments) -> Error {
    let outer = format!("{} and {}", arguments.a.display(), arguments.b.display());
    error.within(outer)
}

fn answer(comparison: &Comparison, a: &Model, b: &Model, seed: &[u8; 32]) -> Answer {
    let mut answer = Answer::default();
    let at = comparison.at.as_deref();
    answer.set("equal", comparison.equal);
    answer.set("method", comparison.method.name());
    answer.set("error_probability", comparison.error_probability);
    answer.set("equal_after_rounding", comparison.equal_after_rounding);
    answer.set("largest_difference", comparison.largest_difference);
    answer.set("at", at.map(|point| Value::from_iter(point.iter().map(coordinate))));
    let before_head = a.head() != Head::Identity || b.head() != Head::Identity;
    answer.set("before_head", before_head);
    answer.set("by_position", comparison.by_position);
    answer.set("seed", hex(seed));
    let method = comparison.method.name();
    match comparison.equal {
        Some(true) => answer.line(format_args!("equal ({method})")),
        Some(false) => answer.line(format_args!("not equal ({method})")),
        None => answer.line(format_args!("not decided ({method})")),
    }
    if let Some(p) = comparison.error_probability {
        answer.line(format_args!(
            "no difference found; one is missed with probability at most {p:.1e}"
        ));
    }
    match comparison.equal_after_rounding {
        Some(true) => answer.line("every f64 coefficient is the correct rounding of the exact one"),
        Some(false) => answer.line("the f64 coefficients are not the rounded exact ones"),
        None => {}
    }
    if let (Some(difference), Some(point)) = (comparison.largest_difference, at) {
        let point: Vec<_> = point.iter().map(|x| short(nearest(x))).collect();
        answer.line(format_args!("difference {} at ({})", short(difference), point.join(", ")));
    }
    for reason in &comparison.reasons {
        answer.line(reason);
    }
    if comparison.method == Method::RandomModular && comparison.equal.is_none() {
        answer.line(
            "--limit-operations, --limit-terms, --limit-bytes and --limit-seconds set the limits",
        );
    }
    if comparison.by_position {
        answer.line("the names of inputs or outputs differ: they were compared by position");
    }
    if before_head {
        let (a, b) = (a.head().name(), b.head().name());
        let heads = if a == b { a.to_owned() } else { format!("{a} and {b}") };
        answer.line(format_args!("compared before the head ({heads})"));
    }
    if comparison.equal != Some(true) {
        answer.is_no();
    }
    answer
}

/// A number where an f64 is the coordinate, else exact text, as in our files.
fn coordinate(x: &BigRational) -> Value {
    match rational_to_f64(x) {
        Some(f) if slnn::numeric::rational::rational_from_f64(f).as_ref() == Some(x) => json!(f),
        _ => json!(format_exact(x)),
    }
}

fn nearest(x: &BigRational) -> f64 {
    rational_to_f64(x).unwrap_or(f64::NAN)
}

/// 256 bits: the error probability is over their choice, so 64 would not do by default.
fn seed(argument: Option<&str>) -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    let Some(text) = argument else {
        SysRng.try_fill_bytes(&mut seed).map_err(|e| {
            Error::invalid("the system's randomness", e.to_string(), "32 bytes; or give --seed")
        })?;
        return Ok(seed);
    };
    let wrong =
        || Error::invalid("--seed", format!("{text:?}"), "a number, or 64 hexadecimal digits");
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        for (byte, digits) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
    } else {
        let number = text.parse().map_err(|_| wrong())?;
        ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut seed);
    }
    Ok(seed)
}

fn hex(seed: &[u8; 32]) -> String {
    seed.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn parse_box(text: &str, inputs: usize) -> Result<Vec<(f64, f64)>> {
    let ends: Vec<Option<f64>> = text.split(',').map(|end| end.trim().parse().ok()).collect();
    if let [Some(lower), Some(upper)] = ends[..] {
        check_interval("--box", lower, upper)?;
        return Ok(vec![(lower, upper); inputs]);
    }
    let path = Path::new(text);
    if !path.exists() {
        return Err(Error::invalid(
            "--box",
            format!("{text:?}"),
            "two numbers lower,upper, or a file that exists",
        ));
    }
    match Json::read(path)? {
        list @ Json::Array(_) => {
            let intervals = list.top().array()?.map(|interval| interval_of(&interval));
            intervals.collect::<Result<_>>().map_err(|e| e.within(path.display()))
        }
        _ => box_of(&read_model(path)?).map_err(|e| e.within(path.display())),
    }
}

fn box_of(model: &Model) -> Result<Vec<(f64, f64)>> {
    let Model::Network(network) = model else {
        return Err(Error::invalid("format", "a polynomial", "a network, which has a box"));
    };
    let ends = |(i, input): (usize, &Input)| {
        input
            .lower
            .zip(input.upper)
            .ok_or_else(|| Error::invalid(format!("inputs[{i}]"), "no lower and upper", "a box"))
    };
    network.inputs().iter().enumerate().map(ends).collect()
}

fn interval_of(cursor: &Cursor) -> Result<(f64, f64)> {
    let ends = cursor.array()?.map(|end| end.number()).collect::<Result<Vec<_>>>()?;
    let [lower, upper] = ends[..] else {
        return Err(cursor.expected("[lower, upper]"));
    };
    check_interval(cursor.path(), lower, upper)?;
    Ok((lower, upper))
}

fn check_interval(place: &str, lower: f64, upper: f64) -> Result<()> {
    if lower.is_finite() && upper.is_finite() && lower <= upper {
        return Ok(());
    }
    Err(Error::invalid(place, format!("{lower},{upper}"), "finite numbers, the lower one first"))
}
