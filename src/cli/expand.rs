//! `slnn expand`: a network becomes its polynomials, or a prediction of what that costs.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use num_rational::BigRational;
use serde_json::{Value, json};
use slnn::error::{Error, Result};
use slnn::expand::{
    Coefficients, Computed, Expansion, Limits, Model, Part, Plan, Step, compressed, expand_part,
    expand_timed, plan, plan_part, proof_seconds, prove_equal,
};
use slnn::network::Network;
use slnn::numeric::rational::{parse_exact, rational_from_f64};

use super::Globals;
use super::answer::{Answer, Outcome, count, counted, duration, grouped, short, size};
use super::domain::{Rounding, about_rounding, remember};
use super::input::{LimitArguments, check_output, read_model};
use super::progress::{Gentle, Progress};

/// Lattice points up to which the expansion is proved equal without being asked.
const PROVE_POINTS: u128 = 20_000;

/// Predicted seconds up to which it is.
const PROVE_SECONDS: f64 = 10.0;

/// Seconds from which on a proof is announced.
const TOLD_SECONDS: f64 = 1.0;

/// Variables up to which it is: a walk copies its polynomials once a variable.
const PROVE_VARIABLES: usize = 32;

/// Writes a network as exact polynomials, one an output
///
/// The plan comes first: terms, memory and time. Above the limits the expansion is refused. What
/// is written is before the head, which is named in the file. A small expansion is proved equal
/// to the network by exact values on a lattice of points before it is written.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example: slnn expand cars.json -o cars.polynomial.json"
)]
pub struct Arguments {
    /// The network, or an ONNX file with one
    #[arg(value_name = "NET")]
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
    /// Only the terms of total degree up to Q, each exact, or in f64 with a proven bound of its error
    #[arg(long, value_name = "Q")]
    max_degree: Option<u32>,
    /// Powers of x_i - centre_i; one number an input, or one for all
    #[arg(long, value_name = "A,..", value_delimiter = ',', allow_hyphen_values = true)]
    centre: Vec<String>,
    /// Polynomials in the pre-activations of the first layer, z1, z2, ..., which are fewer than the inputs
    #[arg(long, conflicts_with_all = ["max_degree", "centre"])]
    compressed: bool,
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
    let inputs = network.inputs().len();
    let network = match arguments.compressed {
        true => compressed(&network).map_err(|e| e.within("--compressed"))?,
        false => network,
    };
    let centre = centre(&arguments.centre, network.inputs().len())?;
    let part = arguments.max_degree.map(|max_degree| Part {
        max_degree,
        centre: centre.as_deref(),
        numbers: match arguments.coefficients {
            Numbers::Rational => slnn::expand::Numbers::Rational,
            Numbers::F64 => slnn::expand::Numbers::Float,
        },
    });
    // What is whole is expanded about 0, so the network is moved there.
    let about_0 = match &centre {
        Some(centre) if part.is_none() => Cow::Owned(network.moved(centre)?),
        _ => Cow::Borrowed(&network),
    };
    let prediction = match &part {
        Some(part) => plan_part(&network, part)?.plan,
        None => plan(&about_0, None)?,
    };
    if let (Some(part), true) = (&part, arguments.prove) {
        check_provable(&network, part)?;
    }
    let planning = started.elapsed().as_secs_f64();
    let Some(output) = &arguments.output else { return Ok(planned(&prediction, &limits)) };
    globals.remark(describe_plan(&prediction));
    prediction.check(&limits)?;
    let mut answer = Answer::default();
    let (expansion, computed, mut seconds) = expanded(part.as_ref(), &about_0, &limits, globals)?;
    seconds.insert(0, ("plan", planning));
    let expansion = match about_0 {
        Cow::Owned(_) => expansion.with_centre(centre)?,
        Cow::Borrowed(_) => expansion,
    };
    let proved = prove(arguments, &network, &expansion, &prediction, &limits, globals)?;
    if let Some((_, time)) = proved {
        seconds.push(("prove", time));
    }
    let started = Instant::now();
    // What the variables are belongs to the compressed form.
    let expansion = match network.about().get("variables").filter(|_| arguments.compressed) {
        Some(variables) => {
            let mut about = expansion.about().clone();
            about.insert("variables".into(), variables.clone());
            expansion.with_about(about)
        }
        None => expansion,
    };
    let expansion = remember(expansion, &network);
    let advice = match arguments.compressed {
        true => None,
        false => about_rounding(&expansion, &Rounding::to_f64(), |points| network.forward(points)),
    };
    let (written, underflowed) = match arguments.coefficients {
        Numbers::Rational => (expansion, 0),
        Numbers::F64 => expansion.to_f64()?,
    };
    slnn::file::remove_stale(output)?;
    written.write(output)?;
    seconds.push(("write", started.elapsed().as_secs_f64()));
    fill(&mut answer, &written, &prediction, &seconds);
    answer.set("computed", computed.map(Computed::name));
    answer.set("proved", proved.is_some());
    answer.set("rounded", arguments.coefficients == Numbers::F64);
    answer.set("points", proved.map(|(points, _)| points));
    answer.set("underflowed", underflowed);
    answer.set("file", output.display().to_string());
    tell(&mut answer, arguments, (&written, output, &seconds), computed, proved);
    if arguments.compressed {
        answer.line(format_args!(
            "in the pre-activations of the first layer, which the file's remarks define: {} inputs",
            inputs
        ));
    }
    if underflowed > 0 {
        answer.line(format_args!(
            "{} rounded to zero and left out",
            counted(underflowed, "coefficient")
        ));
    }
    answer.line(format_args!("written to {}", output.display()));
    if let Some(advice) = advice {
        answer.line(advice);
    }
    Ok(answer)
}

/// What the expansion is, how it was computed, and whether it was proved.
fn tell(
    answer: &mut Answer,
    arguments: &Arguments,
    (written, output, seconds): (&Expansion, &Path, &[(&str, f64)]),
    computed: Option<Computed>,
    proved: Option<(usize, f64)>,
) {
    let rounded = arguments.coefficients == Numbers::F64;
    let phases = ["plan", "expand", "prove", "write"];
    let total: f64 =
        seconds.iter().filter(|(phase, _)| phases.contains(phase)).map(|(_, s)| s).sum();
    answer.line(format_args!(
        "{} in {}: {}, total degree {}, in {}",
        counted(written.outputs().len(), "polynomial"),
        counted(written.variables().len(), "variable"),
        counted(written.terms(), "term"),
        written.degree(),
        duration(total),
    ));
    if let Some(computed) = computed
        && rounded
    {
        answer.line(format_args!(
            "computed in {}; each term carries a proven bound of its error",
            match computed {
                Computed::Exact => "exact numbers, and rounded once",
                computed => computed.name(),
            }
        ));
    }
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
        // Said above.
        (None, None) if rounded && computed.is_some() => {}
        (None, Some(degree)) => answer.line(format_args!(
            "the part of total degree up to {degree}; the network's degree is higher"
        )),
        (None, None) if arguments.compressed => {
            answer.line("not proved here; `slnn expand --compressed --prove` does")
        }
        (None, None) => answer.line(format_args!(
            "not proved here; `slnn expand --prove` or `slnn compare {} {}` does",
            arguments.network.display(),
            output.display()
        )),
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

/// The centre that was asked for, one number an input.
///
/// # Errors
/// When there are other numbers of them, or one is not a number.
fn centre(texts: &[String], inputs: usize) -> Result<Option<Vec<BigRational>>> {
    let number = |text: &String| {
        let decimal = || rational_from_f64(text.parse().ok()?);
        parse_exact(text).ok().or_else(decimal).ok_or_else(|| {
            Error::invalid("--centre", format!("{text:?}"), "numbers such as 0.5, -3 or 1/3")
        })
    };
    match texts {
        [] => Ok(None),
        [one] => Ok(Some(vec![number(one)?; inputs])),
        all if all.len() == inputs => all.iter().map(number).collect::<Result<_>>().map(Some),
        all => Err(Error::invalid(
            "--centre",
            format!("{} numbers", all.len()),
            format!("{inputs}, one an input, or one for all"),
        )),
    }
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
    part: Option<&Part>,
    network: &Network,
    limits: &Limits,
    globals: &Globals,
) -> Result<(Expansion, Option<Computed>, Seconds)> {
    let gentle = Gentle::begin(globals);
    let progress = Progress::new(globals, "expand", network.layers().len());
    let started = Instant::now();
    let mut watch = |step: Step| {
        if gentle.requested() {
            return Err(Error::Interrupted { saved: "nothing was written".into() });
        }
        let Step { layer, layers, neuron, piece } = step;
        match piece {
            Some((done, total)) => progress.at(layer, || format!("piece {done} of {total}")),
            // Exact parts go from prime to prime.
            None if layers > network.layers().len() + 1 => {
                progress.at(layer * network.layers().len() / layers, || {
                    format!("prime {layer} of {layers}")
                });
            }
            None => progress.at(layer, || format!("layer {layer}, neuron {neuron}")),
        }
        Ok(())
    };
    let mut seconds = vec![("expand", 0.0)];
    let (expansion, computed) = match part {
        Some(part) => {
            let (expansion, _, computed) = expand_part(network, part, limits, &mut watch)?;
            (expansion, Some(computed))
        }
        None => {
            let (expansion, _, phases) = expand_timed(network, None, limits, &mut watch)?;
            seconds.extend(phases);
            (expansion, None)
        }
    };
    seconds[0].1 = started.elapsed().as_secs_f64();
    if gentle.requested() {
        return Err(Error::Interrupted { saved: "nothing was written".into() });
    }
    Ok((expansion, computed, seconds))
}

/// # Errors
/// When a part is no expansion that could be proved equal to its network.
fn check_provable(network: &Network, part: &Part) -> Result<()> {
    let whole = plan(network, None).is_ok_and(|plan| plan.degree <= u128::from(part.max_degree));
    let (found, expected) = if !whole {
        let found = format!("--max-degree {}, which leaves terms out", part.max_degree);
        (found, "the whole expansion: a part is not equal to the network")
    } else if part.numbers == slnn::expand::Numbers::Float {
        let found = "--max-degree with --coefficients f64, which rounds";
        (found.into(), "exact coefficients")
    } else {
        return Ok(());
    };
    Err(Error::invalid("--prove", found, expected))
}

/// The number of lattice points of the proof and its seconds, or `None` where none is made.
fn prove(
    arguments: &Arguments,
    network: &Network,
    expansion: &Expansion,
    plan: &Plan,
    limits: &Limits,
    globals: &Globals,
) -> Result<Option<(usize, f64)>> {
    // What is left out or rounded equals nothing; that it was asked for was refused before.
    if expansion.truncated().is_some() || matches!(expansion.coefficients(), Coefficients::Float(_))
    {
        return Ok(None);
    }
    let points = plan.lattice_points();
    let unasked = !arguments.prove;
    let many = points > PROVE_POINTS || network.inputs().len() > PROVE_VARIABLES;
    if arguments.no_prove || unasked && many {
        return Ok(None);
    }
    let seconds = proof_seconds(network, plan);
    let most = limits.seconds.map_or(PROVE_SECONDS, |all| PROVE_SECONDS.min(all - plan.seconds));
    if unasked && seconds > most {
        return Ok(None);
    }
    if seconds > TOLD_SECONDS {
        globals.remark(format_args!(
            "proving at {} lattice points, in about {} of processor time",
            grouped(points),
            duration(seconds)
        ));
    }
    let started = Instant::now();
    let proof = prove_equal(network, expansion)
        .map_err(|e| e.within("the proof that the expansion is the network"))?;
    Ok(Some((proof.points, started.elapsed().as_secs_f64())))
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
