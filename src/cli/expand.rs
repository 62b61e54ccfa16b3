//! `slnn expand`: a network becomes its polynomials, or a prediction of what that costs.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use slnn::error::{Error, Result};
use slnn::expand::{Expansion, Limits, Model, Plan, expand_watched, plan, prove_equal};
use slnn::network::Network;

use super::Globals;
use super::answer::{Answer, Outcome, count, counted, duration, grouped, short, size};
use super::input::{LimitArguments, check_output, read_model};
use super::progress::{Gentle, Progress};

/// Lattice points up to which the expansion is proved equal without being asked.
const PROVE_POINTS: u128 = 20_000;

/// Variables up to which it is: a walk copies its polynomials once a variable.
const PROVE_VARIABLES: usize = 32;

/// Writes a network as exact polynomials, one an output
///
/// The plan comes first: terms, memory and time. Above the limits the expansion is refused. What
/// is written is before the head, which is named in the file. A small expansion is proved equal
/// to the network by exact values on a lattice of points before it is written.
#[derive(Args, Debug)]
#[command(after_help = "Example: slnn expand cars.json -o cars.polynomial.json")]
pub struct Arguments {
    /// The network
    #[arg(value_name = "NET.json")]
    network: PathBuf,
    /// Where to write the polynomials
    #[arg(short, long, value_name = "POLY.json", required_unless_present = "plan")]
    #[arg(conflicts_with = "plan")]
    output: Option<PathBuf>,
    /// Only predict: terms, bytes, seconds, and whether that is within the limits (else exit 1)
    #[arg(long)]
    plan: bool,
    /// Exact rationals, or each coefficient rounded once to f64
    #[arg(long, value_enum, default_value_t = Numbers::Rational)]
    coefficients: Numbers,
    /// Only the terms of total degree up to Q, each exact
    #[arg(long, value_name = "Q")]
    max_degree: Option<u32>,
    /// Prove the expansion equal to the network [default: where 20,000 lattice points suffice]
    #[arg(long, conflicts_with = "no_prove")]
    prove: bool,
    /// Leave out the proof
    #[arg(long)]
    no_prove: bool,
    #[command(flatten)]
    limits: LimitArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Numbers {
    Rational,
    F64,
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    let limits = arguments.limits.limits()?;
    if let Some(output) = &arguments.output {
        check_output(output, &[&arguments.network])?;
    }
    let Model::Network(network) = read_model(&arguments.network, globals)? else {
        return Err(Error::invalid(
            arguments.network.display().to_string(),
            "a polynomial",
            "a network; a polynomial is expanded already",
        ));
    };
    let started = Instant::now();
    let prediction = plan(&network, arguments.max_degree)?;
    let planning = started.elapsed().as_secs_f64();
    match &arguments.output {
        Some(output) => {
            globals.remark(describe_plan(&prediction));
            prediction.check(&limits)?;
            let mut answer = Answer::default();
            let (expansion, mut seconds) = expanded(arguments, &network, &limits, globals)?;
            seconds.insert(0, ("plan", planning));
            let proved = prove(arguments, &network, &expansion, &prediction, globals)?;
            if let Some((_, time)) = proved {
                seconds.push(("prove", time));
            }
            let started = Instant::now();
            let (written, underflowed) = match arguments.coefficients {
                Numbers::Rational => (expansion, 0),
                Numbers::F64 => expansion.to_f64()?,
            };
            slnn::file::remove_stale(output)?;
            written.write(output)?;
            seconds.push(("write", started.elapsed().as_secs_f64()));
            fill(&mut answer, &written, &prediction, &seconds);
            let rounded = arguments.coefficients == Numbers::F64;
            answer.set("proved", proved.is_some());
            answer.set("rounded", rounded);
            answer.set("points", proved.map(|(points, _)| points));
            answer.set("underflowed", underflowed);
            answer.set("file", output.display().to_string());
            let total: f64 = seconds.iter().map(|(_, s)| s).sum();
            answer.line(format_args!(
                "{} in {}: {}, total degree {}, in {}",
                counted(written.outputs().len(), "polynomial"),
                counted(written.variables().len(), "variable"),
                counted(written.terms(), "term"),
                written.degree(),
                duration(total),
            ));
            match (proved, written.truncated()) {
                (Some((points, _)), _) if rounded => answer.line(format_args!(
                    "the exact expansion was proved equal to the network by exact values at {}; \
                     the file holds its coefficients rounded once",
                    counted(points, "lattice point")
                )),
                (Some((points, _)), _) => answer.line(format_args!(
                    "proved equal to the network by exact values at {}",
                    counted(points, "lattice point")
                )),
                (None, Some(degree)) => answer.line(format_args!(
                    "the part of total degree up to {degree}; the network's degree is higher"
                )),
                (None, None) => answer.line(format_args!(
                    "not proved here; `slnn expand --prove` or `slnn compare {} {}` does",
                    arguments.network.display(),
                    output.display()
                )),
            }
            if underflowed > 0 {
                answer.line(format_args!(
                    "{} rounded to zero and left out",
                    counted(underflowed, "coefficient")
                ));
            }
            answer.line(format_args!("written to {}", output.display()));
            Ok(answer)
        }
        None => Ok(planned(&prediction, &limits)),
    }
}

fn planned(prediction: &Plan, limits: &Limits) -> Answer {
    let mut answer = Answer::default();
    let refusal = prediction.check(limits).err();
    answer.set("variables", prediction.variables);
    answer.set("outputs", prediction.outputs);
    answer.set("degree", count(prediction.degree));
    answer.set("terms", count(prediction.terms));
    answer.set("primes", prediction.primes);
    answer.set("method", prediction.route.name());
    answer.set("bits", prediction.bits.ceil());
    answer.set("bytes", prediction.bytes.ceil());
    answer.set("seconds", prediction.seconds);
    answer.set("feasible", refusal.is_none());
    answer.line(describe_plan(prediction));
    match refusal {
        None => answer.line("feasible"),
        Some(refusal) => {
            answer.is_no();
            answer.line(format_args!("not feasible: {refusal}"));
        }
    }
    answer
}

pub(super) fn describe_plan(plan: &Plan) -> String {
    format!(
        "plan: total degree {}, {} terms, coefficients of up to {} bits, {}, in {}",
        grouped(plan.degree),
        grouped(plan.terms),
        short(plan.bits.ceil()),
        size(plan.bytes),
        duration(plan.seconds)
    )
}

type Seconds = Vec<(&'static str, f64)>;

fn expanded(
    arguments: &Arguments,
    network: &Network,
    limits: &Limits,
    globals: &Globals,
) -> Result<(Expansion, Seconds)> {
    let gentle = Gentle::begin(globals);
    let progress = Progress::new(globals, "expand", network.layers().len());
    let started = Instant::now();
    let (expansion, _) = expand_watched(network, arguments.max_degree, limits, &mut |step| {
        if gentle.requested() {
            return Err(Error::Interrupted { saved: "nothing was written".into() });
        }
        progress.at(step.layer, || format!("layer {}, neuron {}", step.layer, step.neuron));
        Ok(())
    })?;
    if gentle.requested() {
        return Err(Error::Interrupted { saved: "nothing was written".into() });
    }
    Ok((expansion, vec![("expand", started.elapsed().as_secs_f64())]))
}

/// The number of lattice points of the proof and its seconds, or `None` where none is made.
fn prove(
    arguments: &Arguments,
    network: &Network,
    expansion: &Expansion,
    plan: &Plan,
    globals: &Globals,
) -> Result<Option<(usize, f64)>> {
    if let Some(degree) = expansion.truncated() {
        return match arguments.prove {
            false => Ok(None),
            true => Err(Error::invalid(
                "--prove",
                format!("--max-degree {degree}, which leaves terms out"),
                "the whole expansion: a part is not equal to the network",
            )),
        };
    }
    let points = lattice_points(plan);
    let cheap = points <= PROVE_POINTS && network.inputs().len() <= PROVE_VARIABLES;
    if arguments.no_prove || !(arguments.prove || cheap) {
        return Ok(None);
    }
    if points > PROVE_POINTS {
        globals.remark(format_args!("proving at {} lattice points", grouped(points)));
    }
    let started = Instant::now();
    let proof = prove_equal(network, expansion)
        .map_err(|e| e.within("the proof that the expansion is the network"))?;
    Ok(Some((proof.points, started.elapsed().as_secs_f64())))
}

/// `C(n + D, D)`, saturating.
fn lattice_points(plan: &Plan) -> u128 {
    let mut points: u128 = 1;
    for k in 1..=plan.variables as u128 {
        // C(D + k, k) = C(D + k - 1, k - 1) (D + k) / k is an integer at every step.
        match plan.degree.checked_add(k).and_then(|factor| points.checked_mul(factor)) {
            Some(product) => points = product / k,
            None => return u128::MAX,
        }
    }
    points
}

fn fill(answer: &mut Answer, expansion: &Expansion, plan: &Plan, seconds: &Seconds) {
    answer.set("variables", expansion.variables().len());
    answer.set("outputs", expansion.outputs().len());
    answer.set("degree", expansion.degree());
    answer.set("terms", expansion.terms());
    answer.set("primes", plan.primes);
    answer.set("method", plan.route.name());
    answer.set("bound_bits", plan.bits.ceil());
    answer.set(
        "seconds",
        Value::Object(seconds.iter().map(|(k, s)| ((*k).into(), json!(s))).collect()),
    );
    answer.set("peak_bytes", peak_bytes());
    answer.set("head", expansion.head().name());
    answer.set("truncated", expansion.truncated());
}

/// The most memory that this process has held, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
