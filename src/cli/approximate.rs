//! `slnn approximate`: a network becomes an SLNN with a certified error.

use std::path::PathBuf;
use std::time::Instant;

use clap::{ArgGroup, Args, ValueEnum};
use serde_json::{Value, json};
use slnn::approximate::Method as FitMethod;
use slnn::bound::attack::{Budget, attack};
use slnn::bound::certificate::sum_of;
use slnn::bound::{
    Approximation, Degrees, Domain, Method, Minimise, Request, Watch, approximate_watched,
    approximate_within_watched,
};
use slnn::error::{Error, Result};
use slnn::expand::Model;
use slnn::file::write_together;

use super::Globals;
use super::answer::{Answer, Outcome, counted, duration, short, short_up};
use super::compare::parse_box;
use super::input::{check_output, check_target, is_same_place, read_model, refuse};
use super::progress::{Gentle, Progress};

/// Replaces activations by polynomials and proves how far the networks are apart on a box
///
/// The SLNN has the same weights. The bound holds at every point of the box, for the networks as
/// real arithmetic evaluates them with their f64 numbers. The certificate is all that is needed to
/// check it. The largest difference that an attack finds says how tight it is.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    group = ArgGroup::new("what").required(true).args(["epsilon", "degree"]),
    after_help = "Example: slnn approximate net.json --box -1,1 --epsilon 0.01 -o slnn.json \
--certificate cert.json"
)]
pub struct Arguments {
    /// The network, or an ONNX file with one
    #[arg(value_name = "NET")]
    network: PathBuf,
    /// The box: lower,upper for every input, a JSON file [[lower, upper], ...], or a network file
    /// whose box is taken [default: the box of the network's file]
    #[arg(long = "box", value_name = "A,B or FILE", allow_hyphen_values = true)]
    domain: Option<String>,
    /// The error allowed on every output; degrees are chosen
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// The largest degree of the polynomials: one for all layers, or one for each
    #[arg(long, value_name = "N[,N]", value_delimiter = ',')]
    degree: Vec<usize>,
    /// What --epsilon keeps small: the total degree, for expansion, or the work of an evaluation
    #[arg(long, value_enum, default_value_t = Goal::Expansion, conflicts_with = "degree")]
    minimise: Goal,
    /// How errors are propagated: A by norms, B by component, C with their signs, C2 jointly with the
    /// inputs, D by C2 on the parts of a divided box [default: C, and D with few inputs where the
    /// attack finds that C is loose]
    #[arg(long, value_enum, ignore_case = true)]
    method: Option<Propagation>,
    /// How activations are fitted
    #[arg(long, value_enum, default_value_t = Fitting::Minimax)]
    fit: Fitting,
    /// Parts into which the box may be split to sharpen one end of one range; 0 for none
    #[arg(long, value_name = "N", default_value_t = 16)]
    leaves: usize,
    /// Parts into which method D may split the box [default: 1000]
    #[arg(long, value_name = "N")]
    parts: Option<usize>,
    /// Seconds after which method D splits no further [default: no limit]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Points from which the attack begins; 0 for no attack
    #[arg(long, value_name = "N", default_value_t = 4096)]
    attack: usize,
    /// Where the attack's random numbers begin
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Where to write the SLNN
    #[arg(short, long, value_name = "SLNN.json")]
    output: PathBuf,
    /// Where to write the certificate
    #[arg(long, value_name = "CERT.json")]
    certificate: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Goal {
    Expansion,
    Evaluation,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Propagation {
    A,
    B,
    C,
    C2,
    D,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Fitting {
    /// The best possible, by exchange
    Minimax,
    /// Interpolation at Chebyshev points
    Interpolation,
    /// The truncated Chebyshev series
    Chebyshev,
    /// The Chebyshev series with Jackson's damping
    Jackson,
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    check_output(&arguments.output, &[&arguments.network])?;
    if let Some(certificate) = &arguments.certificate {
        let place = format!("--certificate {}", certificate.display());
        check_target(&place, certificate, &[&arguments.network])?;
        if is_same_place(certificate, &arguments.output) {
            let expected = "another name than the SLNN's";
            return Err(Error::invalid(
                "--certificate",
                certificate.display().to_string(),
                expected,
            ));
        }
    }
    if let Some(most) = arguments.seconds.filter(|most| most.is_nan() || *most < 0.0) {
        return Err(Error::invalid("--seconds", most.to_string(), "a number from 0"));
    }
    // Where no method is named D may follow, but not where an epsilon chose the degrees.
    let divides = match arguments.method {
        Some(method) => method == Propagation::D,
        None => arguments.epsilon.is_none(),
    };
    if !divides {
        let flags =
            [(arguments.parts.is_some(), "--parts"), (arguments.seconds.is_some(), "--seconds")];
        refuse(&flags, "another method than D", "--method D beside it")?;
    }
    let Model::Network(network) = read_model(&arguments.network, globals)? else {
        return Err(Error::invalid(
            arguments.network.display().to_string(),
            "a polynomial",
            "a network",
        ));
    };
    let domain = match &arguments.domain {
        Some(text) => Domain::new(parse_box(text, network.inputs().len())?)?,
        None => Domain::of_network(&network)?,
    };
    let default = Request::degrees(match arguments.degree[..] {
        [degree] => Degrees::All(degree),
        _ => Degrees::ByLayer(arguments.degree.clone()),
    });
    let request = Request {
        fit: match arguments.fit {
            Fitting::Minimax => FitMethod::Minimax,
            Fitting::Interpolation => FitMethod::Interpolation,
            Fitting::Chebyshev => FitMethod::Chebyshev,
            Fitting::Jackson => FitMethod::Jackson,
        },
        method: match arguments.method {
            Some(Propagation::A) => Method::A,
            Some(Propagation::B) => Method::B,
            Some(Propagation::C) | None => Method::C,
            Some(Propagation::C2) => Method::C2,
            Some(Propagation::D) => Method::D,
        },
        leaves: arguments.leaves,
        parts: arguments.parts.unwrap_or(default.parts),
        ..default
    };
    let budget = Budget { points: arguments.attack, seed: arguments.seed, ..Budget::default() };
    // The library names fields; the user typed flags.
    let failed = |error: Error| match error {
        Error::Invalid { place, found, expected } => match place.as_str() {
            "epsilon" | "attack" => Error::invalid(format!("--{place}"), found, expected),
            "degrees" => Error::invalid("--degree", found, expected),
            _ => Error::Invalid { place, found, expected }.within(arguments.network.display()),
        },
        error => error.within(arguments.network.display()),
    };
    budget.check(domain.len(), network.outputs().len()).map_err(failed)?;
    let minimise = match arguments.minimise {
        Goal::Expansion => Minimise::Product,
        Goal::Evaluation => Minimise::Sum,
    };
    let started = Instant::now();
    let mut made = match arguments.epsilon {
        Some(epsilon) => divided(&request, arguments, globals, None, &mut |watch| {
            approximate_within_watched(&network, &domain, epsilon, minimise, &request, watch)
        }),
        None => divided(&request, arguments, globals, None, &mut |watch| {
            approximate_watched(&network, &domain, &request, watch)
        }),
    }
    .map_err(failed)?;
    let mut seconds = started.elapsed().as_secs_f64();
    let found = if arguments.attack > 0 {
        globals.remark("looking for the largest difference");
        let found = attack(&network, &made.slnn, &domain, &budget)?;
        Some(found.iter().map(|f| f.difference).collect::<Vec<_>>())
    } else {
        None
    };
    let mut method = request.method;
    if let Some(found) = &found
        && arguments.method.is_none()
        && arguments.epsilon.is_none()
        && worth_dividing(&made, found)
    {
        method = Method::D;
        let started = Instant::now();
        let request = Request { method, ..request };
        made = divided(&request, arguments, globals, Some(found), &mut |watch| {
            approximate_watched(&network, &domain, &request, watch)
        })
        .map_err(failed)?;
        seconds += started.elapsed().as_secs_f64();
    }
    // Both are proven; where they contradict each other, nothing of it may be used.
    let refuted = |found: &Vec<f64>| found.iter().zip(&made.bound).any(|(f, bound)| f > bound);
    if found.as_ref().is_some_and(refuted) {
        let what =
            "a difference proven to be larger than the certified error: a defect of this program";
        return Err(failed(Error::invalid(
            "certified error",
            what,
            "a larger one; nothing is written",
        )));
    }
    let (slnn, certificate) = (made.slnn.to_json(), made.certificate.to_json());
    let mut files = vec![(&*arguments.output, slnn)];
    files.extend(arguments.certificate.as_deref().map(|path| (path, certificate)));
    write_together(&files)?;
    Ok(answer(arguments, &made, found.as_deref(), method, seconds))
}

/// A bound no larger than so many times what an attack finds is left as it is.
const TIGHT: f64 = 1.1;
/// Above so many inputs or neurons dividing the box gains little for its time.
const MOST_INPUTS: usize = 8;
const MOST_NEURONS: usize = 256;

fn is_tight(bound: &[f64], found: &[f64]) -> bool {
    bound.iter().zip(found).all(|(bound, found)| *bound <= TIGHT * found)
}

fn worth_dividing(made: &Approximation, found: &[f64]) -> bool {
    let certificate = &made.certificate;
    let neurons: usize = certificate.layers.iter().flatten().map(Vec::len).sum();
    let small = certificate.domain.len() <= MOST_INPUTS && neurons <= MOST_NEURONS;
    // Where no difference is found there is nothing that says how loose the bound is.
    let told = found.iter().any(|found| *found > 0.0);
    small && told && !is_tight(&made.bound, found)
}

/// What `approximate` makes. Method D ends early by --seconds, by Ctrl-C, and where the bound is tight
/// beside what was found.
fn divided(
    request: &Request,
    arguments: &Arguments,
    globals: &Globals,
    found: Option<&[f64]>,
    approximate: &mut dyn FnMut(&mut Watch) -> Result<Approximation>,
) -> Result<Approximation> {
    let started = Instant::now();
    // Method D has a bound at any time, so that an interruption loses nothing.
    let gentle = (request.method == Method::D).then(|| Gentle::begin(globals));
    let progress = Progress::new(globals, "split", request.parts);
    approximate(&mut |parts, bound| {
        let worst = bound.iter().copied().fold(0.0, f64::max);
        progress.at(parts, || format!("certified {}", short(worst)));
        let late = arguments.seconds.is_some_and(|most| started.elapsed().as_secs_f64() >= most);
        let stopped = gentle.as_ref().is_some_and(Gentle::requested);
        let tight = found.is_some_and(|found| is_tight(bound, found));
        !(late || stopped || tight)
    })
}

fn answer(
    arguments: &Arguments,
    made: &Approximation,
    found: Option<&[f64]>,
    method: Method,
    seconds: f64,
) -> Answer {
    let mut answer = Answer::default();
    let tightness: Option<Vec<f64>> =
        found.map(|found| made.bound.iter().zip(found).map(|(c, f)| c / f).collect());
    answer.set("certified_error", made.bound.clone());
    answer.set("found_error", found.map(<[f64]>::to_vec));
    let finite = |x: &f64| if x.is_finite() { json!(x) } else { Value::Null };
    answer.set("tightness", tightness.as_ref().map(|t| Value::from_iter(t.iter().map(finite))));
    answer.set("degrees", made.degrees.clone());
    answer.set("method", method.name());
    let by_method = made.by_method.iter();
    let by_method =
        by_method.map(|(method, bound)| (method.name().to_owned(), json!(bound))).collect();
    answer.set("certified_error_by_method", Value::Object(by_method));
    answer.set("seconds", seconds);
    answer.set("slnn_sha256", sum_of(&made.slnn));
    answer.set("file", arguments.output.display().to_string());
    let certificate = arguments.certificate.as_ref().map(|path| path.display().to_string());
    answer.set("certificate", certificate.clone());

    let degrees: Vec<_> = made.degrees.iter().map(usize::to_string).collect();
    answer.line(format_args!(
        "SLNN with degrees {} by layer, in {}",
        if degrees.is_empty() { "none".to_owned() } else { degrees.join(", ") },
        duration(seconds)
    ));
    let mut rows =
        vec![["output", "certified error", "found by attack", "tightness"].map(str::to_owned)];
    for (o, (name, bound)) in made.slnn.outputs().iter().zip(&made.bound).enumerate() {
        let shown = |list: Option<&[f64]>| list.map_or("-".to_owned(), |list| short(list[o]));
        rows.push([name.clone(), short_up(*bound), shown(found), shown(tightness.as_deref())]);
    }
    answer.table(&rows);
    answer.line(format_args!(
        "certified by method {} at every point of the box in {}, for real arithmetic",
        method.name(),
        counted(made.certificate.domain.len(), "dimension"),
    ));
    match certificate {
        Some(path) => answer.line(format_args!("certificate in {path}")),
        None => answer.line("no certificate written; --certificate CERT.json does"),
    }
    answer.line(format_args!("written to {}", arguments.output.display()));
    answer
}
