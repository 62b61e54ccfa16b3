//! `slnn describe`: what is in a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use serde_json::{Value, json};
use slnn::bound::certificate::{self, sum_of};
use slnn::bound::{Certificate, Proof};
use slnn::error::{Error, Result};
use slnn::expand::{Coefficients, ExactTerm, Expansion, Model, plan};
use slnn::export::{format_of, read_model};
use slnn::file::check_rereadable;
use slnn::json::Json;
use slnn::network::onnx::{OnnxNetwork, is_onnx};
use slnn::network::{Layer, Network, Part, Slaf};
use slnn::numeric::rational::{format_exact, rational_to_f64};
use slnn::table::Table;
use slnn::train::EnsembleCheckpoint;
use slnn::train::auto::SearchCheckpoint;

use super::answer::{Answer, Outcome, count, counted, grouped, short, short_up};
use super::input::{TableArguments, is_built_in, onnx_remarks};

/// How many of the largest terms are shown.
const SHOWN_TERMS: usize = 8;

/// How many inputs of a network are shown.
const SHOWN_INPUTS: usize = 32;

/// Says what is in a network, a polynomial, a certificate, a checkpoint or a table
#[derive(Args, Debug)]
#[command(allow_negative_numbers = true, after_help = "Example: slnn describe cars.json")]
pub struct Arguments {
    /// The file, or the name of a built-in table: xor, two-spirals, sparse-polynomial, auto-mpg
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    table: TableArguments,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let path = &arguments.file;
    let is_file = !is_built_in(path);
    if is_file {
        check_rereadable(path)?;
    }
    if is_file && is_onnx(path)? {
        let onnx = OnnxNetwork::read(path)?;
        let mut answer = network(&onnx.network)?;
        answer.set("rounded", onnx.rounded.clone());
        answer.set("remarks", onnx.remarks.clone());
        for remark in onnx_remarks(&onnx) {
            answer.line(format_args!("  {remark}"));
        }
        return Ok(answer);
    }
    // Our files begin with a brace, which no table does.
    let first = first_byte(path)?;
    if first != Some(b'{') {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            Json::read(path)?;
            refuse_other_json(path)?;
        } else if first == Some(b'[') {
            refuse_other_json(path)?;
        }
        return Ok(table(&arguments.table.read(path)?));
    }
    match format_of(path)?.as_deref() {
        Some("slnn.checkpoint") => {
            return checkpoint(&Json::read(path)?).map_err(|e| e.within(path.display()));
        }
        Some("slnn.ensemble-checkpoint") => {
            if let Some(found) = EnsembleCheckpoint::read(path)? {
                return Ok(ensemble(&found));
            }
        }
        Some("slnn.search-checkpoint") => {
            if let Some(found) = SearchCheckpoint::read(path)? {
                return Ok(search(&found));
            }
        }
        Some(certificate::FORMAT) => return Ok(certified(&Certificate::read(path)?)),
        _ => {}
    }
    match read_model(path)? {
        Model::Network(model) => network(&model),
        Model::Expansion(expansion) => Ok(polynomial(&expansion)),
    }
}

/// The first byte that is no white space; none of the name of a built-in table.
fn first_byte(path: &Path) -> Result<Option<u8>> {
    if is_built_in(path) {
        return Ok(None);
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    file.take(256).read_to_end(&mut start).map_err(|e| Error::io(path, e))?;
    Ok(start.trim_ascii_start().first().copied())
}

/// # Errors
/// When the file is JSON all the same: a list or a bare word is none of our formats.
fn refuse_other_json(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    match serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::invalid(
            path.display().to_string(),
            "JSON that is no object",
            "an object with a key \"format\": a network, a polynomial, a certificate or a checkpoint",
        )),
    }
}

fn network(network: &Network) -> Outcome {
    let mut answer = Answer::default();
    answer.set("kind", "network");
    let inputs: Vec<Value> = network
        .inputs()
        .iter()
        .map(|i| json!({"name": i.name, "lower": i.lower, "upper": i.upper}))
        .collect();
    answer.set("inputs", inputs);
    answer.set("outputs", network.outputs().to_vec());
    let widths = network.widths();
    let layers = network.layers().iter().enumerate();
    let lines: Vec<String> =
        layers.map(|(l, layer)| describe_layer(layer, widths[l], widths[l + 1])).collect();
    answer.set("layers", lines.clone());
    answer.set("parameters", network.parameters());
    answer.set("polynomial_layers", network.polynomial_layers());
    answer.set("head", network.head().name());

    answer.line("network");
    for input in network.inputs().iter().take(SHOWN_INPUTS) {
        let end = |x: Option<f64>| x.map_or("?".to_owned(), plain);
        let interval = match (input.lower, input.upper) {
            (None, None) => String::new(),
            (lower, upper) => format!("  in [{}, {}]", end(lower), end(upper)),
        };
        answer.line(format_args!("  input   {}{interval}", input.name));
    }
    let hidden = network.inputs().len().saturating_sub(SHOWN_INPUTS);
    if hidden > 0 {
        answer.line(format_args!("  and {} (--json lists them)", counted(hidden, "more input")));
    }
    for (l, line) in lines.iter().enumerate() {
        answer.line(format_args!("  layer {l} {line}"));
    }
    answer.line(format_args!("  output  {}", network.outputs().join(", ")));
    answer.line(format_args!("  head    {}", network.head().name()));
    answer.line(format_args!("  {}", counted(network.parameters(), "parameter")));
    match plan(network, None) {
        Ok(plan) => {
            answer.set("degree", count(plan.degree));
            answer.set("monomials", count(plan.terms));
            answer.line(format_args!(
                "  total degree {}, {} monomials",
                grouped(plan.degree),
                grouped(plan.terms)
            ));
        }
        Err(error @ Error::NotPolynomial { .. }) => {
            answer.set("degree", Value::Null);
            answer.set("monomials", Value::Null);
            let layers = network.polynomial_layers();
            answer.line(format_args!("  not a polynomial: {error}"));
            if layers > 0 {
                answer.line(format_args!(
                    "  up to layer {} its values are polynomials in the inputs",
                    layers - 1
                ));
            }
        }
        Err(error @ Error::TooLarge(_)) => {
            answer.set("degree", Value::Null);
            answer.set("monomials", Value::Null);
            answer.line(format_args!("  degree and monomials are not known: {error}"));
        }
        Err(error) => return Err(error),
    }
    Ok(answer)
}

/// The state of a training run; its parameters are of no use to a reader.
fn checkpoint(document: &Json) -> Outcome {
    let mut fields = document.top().object()?;
    let mut answer = Answer::default();
    answer.set("kind", "checkpoint");
    answer.line("checkpoint of a training run");
    for key in ["attempt", "epoch", "batch"] {
        let n = fields.take(key)?.index(usize::MAX)?;
        answer.set(key, n);
        answer.line(format_args!("  {key:<8}{n}"));
    }
    let parameters = fields.take("parameters")?.array()?.len();
    answer.set("parameters", parameters);
    answer.line(format_args!("  {}", counted(parameters, "parameter")));
    let options = fields.take("options")?.value().to_value();
    if let Value::Object(options) = &options {
        answer.line("  options");
        // Those that are not given are no news.
        let given = options.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        for (name, value) in given.filter(|(_, value)| *value != "None") {
            let value =
                value.strip_prefix("Some(").and_then(|v| v.strip_suffix(')')).unwrap_or(value);
            answer.line(format_args!("    {name:<14}{value}"));
        }
    }
    answer.set("options", options);
    answer.line("  the same `slnn train` command with --resume goes on from it");
    Ok(answer)
}

fn ensemble(checkpoint: &EnsembleCheckpoint) -> Answer {
    let mut answer = Answer::default();
    answer.set("kind", "ensemble-checkpoint");
    answer.set("members", checkpoint.members());
    answer.set("epochs", checkpoint.epochs());
    answer.line(format_args!(
        "checkpoint of the training of {}: {} done",
        counted(checkpoint.members(), "network"),
        counted(checkpoint.epochs(), "epoch")
    ));
    answer.line("  the same `slnn train` command with --resume goes on from it");
    answer
}

fn search(checkpoint: &SearchCheckpoint) -> Answer {
    let mut answer = Answer::default();
    answer.set("kind", "search-checkpoint");
    answer.set("trainings", checkpoint.trainings());
    answer.line(format_args!(
        "checkpoint of a search: {} done",
        counted(checkpoint.trainings(), "training")
    ));
    answer.line("  the same `slnn train --auto` command with --resume goes on from it");
    answer
}

/// What a certificate claims; whether it is true is another question.
fn certified(certificate: &Certificate) -> Answer {
    let mut answer = Answer::default();
    answer.set("kind", "certificate");
    answer.line("certificate of the difference of two networks on a box; `slnn check` checks it");
    let networks = [("network", &certificate.reference), ("slnn", &certificate.slnn)].map(
        |(name, network)| {
            let sum = sum_of(network);
            answer.set(&format!("{name}_sha256"), sum.as_str());
            (name, sum)
        },
    );
    for (name, sum) in networks {
        answer.line(format_args!("  {name:<8}SHA-256 {sum}"));
    }
    let ends = certificate.domain.intervals();
    answer.set("box", ends.iter().map(|x| json!([x.lower, x.upper])).collect::<Vec<_>>());
    for (input, x) in certificate.reference.inputs().iter().zip(ends).take(SHOWN_INPUTS) {
        let (lower, upper) = (plain(x.lower), plain(x.upper));
        answer.line(format_args!("  input   {}  in [{lower}, {upper}]", input.name));
    }
    let hidden = ends.len().saturating_sub(SHOWN_INPUTS);
    if hidden > 0 {
        answer.line(format_args!("  and {} (--json lists them)", counted(hidden, "more input")));
    }
    answer.set("method", certificate.method.name());
    answer.line(format_args!("  method  {}", certificate.method.name()));
    let neurons = || certificate.layers.iter().flatten().flatten();
    let proofs = || neurons().flat_map(|neuron| neuron.proofs.iter().flatten());
    let parts: usize = proofs().map(leaves).sum();
    answer.set("neurons", neurons().count());
    answer.set("range_proofs", proofs().count());
    answer.set("range_parts", parts);
    answer.line(format_args!(
        "  {}, {} of ranges proven with lines of their own, on {}",
        counted(neurons().count(), "neuron"),
        counted(proofs().count(), "end"),
        counted(parts, "part")
    ));
    answer.set("certified_error", certificate.bound.clone());
    for (output, bound) in certificate.reference.outputs().iter().zip(&certificate.bound) {
        answer.line(format_args!("  output  {output}  claimed within {}", short_up(*bound)));
    }
    answer
}

fn leaves(proof: &Proof) -> usize {
    match proof {
        Proof::Leaf { .. } => 1,
        Proof::Split { below, above, .. } => leaves(below) + leaves(above),
    }
}

fn describe_layer(layer: &Layer, before: usize, after: usize) -> String {
    match layer {
        Layer::Affine(_) => format!("affine  {before} -> {after}"),
        Layer::Slaf(slaf) => describe_slaf(slaf, after),
        Layer::Activation(function) => format!("activation  {}, {after} neurons", function.name()),
        Layer::Mixed(mixed) => {
            let groups = mixed.groups().iter().map(|group| match &group.part {
                Part::Slaf(slaf) => describe_slaf(slaf, group.neurons.len()),
                Part::Activation(function) => {
                    format!("{}, {}", function.name(), counted(group.neurons.len(), "neuron"))
                }
            });
            format!("mixed  {}", groups.collect::<Vec<_>>().join("; "))
        }
        Layer::Channels(channels) => {
            let inner = describe_layer(channels.layer(), channels.channels(), channels.channels());
            format!("channels  at each of {} positions: {inner}", channels.positions())
        }
        Layer::Conv(conv) => {
            let [rows, columns] = conv.window().size();
            let (from, to) = (shape(conv.window().input()), shape(conv.output()));
            format!("conv  {rows}x{columns}, {from} -> {to}")
        }
        Layer::Pool(pool) => {
            let [rows, columns] = pool.window().size();
            let (from, to) = (shape(pool.window().input()), shape(pool.output()));
            format!("{}  {rows}x{columns}, {from} -> {to}", layer.kind())
        }
        Layer::Flatten(from) => format!("flatten  {} -> {after}", shape(*from)),
        Layer::Residual(layers) => {
            let mut width = before;
            let inside = layers.iter().map(|layer| {
                let line = describe_layer(layer, width, layer.width(width));
                width = layer.width(width);
                line
            });
            format!("residual  {{ {} }}", inside.collect::<Vec<_>>().join(" | "))
        }
    }
}

fn shape([height, width, channels]: [usize; 3]) -> String {
    format!("{height}x{width}x{channels}")
}

fn describe_slaf(slaf: &Slaf, neurons: usize) -> String {
    let whose = if slaf.coefficients().rows() == 1 { "shared" } else { "one a neuron" };
    let (basis, degree) = (slaf.basis().name(), slaf.degree());
    format!("slaf  {basis} of degree {degree}, {}, {whose}", counted(neurons, "neuron"))
}

fn polynomial(expansion: &Expansion) -> Answer {
    let mut answer = Answer::default();
    let exact = !matches!(expansion.coefficients(), Coefficients::Float(_));
    // One pass over the terms, of which there may be millions: the longest denominator, and for each
    // output the terms with the largest coefficients.
    let mut bits = None;
    let leading: Vec<Vec<_>> = (0..expansion.outputs().len())
        .map(|o| {
            let mut leading: Vec<ExactTerm> = Vec::new();
            for (exponents, c) in expansion.exact_terms(o) {
                bits = bits.max(Some(c.denom().bits()));
                // Most are smaller by their lengths alone.
                if leading.len() == SHOWN_TERMS
                    && length(&c) + 2 <= length(&leading[SHOWN_TERMS - 1].1)
                {
                    continue;
                }
                let place = leading.partition_point(|(_, other)| other.abs() >= c.abs());
                if place < SHOWN_TERMS {
                    leading.truncate(SHOWN_TERMS - 1);
                    leading.insert(place, (exponents, c));
                }
            }
            leading
        })
        .collect();
    answer.set("kind", "polynomial");
    answer.set("variables", expansion.variables().to_vec());
    answer.set("outputs", expansion.outputs().to_vec());
    answer.set("terms", expansion.terms());
    answer.set("degree", expansion.degree());
    answer.set("coefficients", if exact { "rational" } else { "f64" });
    answer.set("head", expansion.head().name());
    answer.set("truncated", expansion.truncated());
    answer.set("denominator_bits", bits.unwrap_or(1));
    answer.line(format_args!(
        "polynomial in {}, {} coefficients",
        counted(expansion.variables().len(), "variable"),
        if exact { "exact rational" } else { "f64" }
    ));
    answer.line(format_args!(
        "  {}, total degree {}, denominators of up to {} bits",
        counted(expansion.terms(), "term"),
        expansion.degree(),
        bits.unwrap_or(1)
    ));
    if let Some(degree) = expansion.truncated() {
        answer.line(format_args!("  only the terms of total degree up to {degree}"));
    }
    origin(expansion, &mut answer);
    answer.line(format_args!("  head {}", expansion.head().name()));
    let mut largest = serde_json::Map::new();
    for (o, (terms, output)) in leading.iter().zip(expansion.outputs()).enumerate() {
        answer.line(format_args!(
            "  {output}: {}, the largest coefficients:",
            counted(expansion.terms_of(o), "term")
        ));
        let mut shown = Vec::new();
        for (exponents, c) in terms {
            let monomial = monomial(exponents, expansion);
            answer.line(format_args!("    {:>12}  {monomial}", approximate(c)));
            let value = nearest(c).map_or_else(|| format_exact(c).into(), Value::from);
            shown.push(json!({"monomial": monomial, "coefficient": value}));
        }
        largest.insert(output.clone(), shown.into());
    }
    answer.set("largest", largest);
    answer
}

/// Around which point a polynomial is written, and how near it is to which network.
fn origin(expansion: &Expansion, answer: &mut Answer) {
    let centre = expansion.centre().map(|centre| centre.iter().map(format_exact));
    answer.set("centre", centre.map(Iterator::collect::<Vec<_>>));
    let end = |c| nearest(c).map_or_else(|| approximate(c), plain);
    if let Some([first, others @ ..]) = expansion.centre()
        && !others.is_empty()
        && others.iter().all(|c| c == first)
    {
        let place = end(first);
        answer.line(format_args!("  in powers of the distances from {place} in every variable"));
    } else if let Some(centre) = expansion.centre() {
        let places = centre.iter().zip(expansion.variables()).take(SHOWN_INPUTS);
        let places = places.map(|(c, name)| format!("{name} {}", end(c)));
        let more = if centre.len() > SHOWN_INPUTS { ", ..." } else { "" };
        let places = places.collect::<Vec<_>>().join(", ");
        answer.line(format_args!("  in powers of the distances from {places}{more}"));
    }
    let approximates = expansion.about().get("approximates").cloned().unwrap_or_default();
    let errors: Option<Vec<f64>> =
        approximates["error"].as_array().and_then(|e| e.iter().map(Value::as_f64).collect());
    if let Some(errors) = errors.filter(|errors| errors.len() == expansion.outputs().len()) {
        let sum = approximates["network_sha256"].as_str().unwrap_or_default();
        for (output, error) in expansion.outputs().iter().zip(errors) {
            answer.line(format_args!(
                "  {output}: said to be within {} of the network of SHA-256 {sum}, on its box",
                short_up(error)
            ));
        }
    }
    answer.set("approximates", approximates);
}

/// A number from 2^(length - 1) to 2^(length + 1).
fn length(c: &BigRational) -> i64 {
    c.numer().bits() as i64 - c.denom().bits() as i64
}

/// As it was written where that is short.
fn plain(x: f64) -> String {
    let text = x.to_string();
    if text.len() <= 8 { text } else { short(x) }
}

/// The nearest f64, where there is one of that size.
fn nearest(c: &BigRational) -> Option<f64> {
    rational_to_f64(c).filter(|x| *x != 0.0 || c.is_zero())
}

/// Four digits, or beyond f64 the nearest power of two from below or above.
fn approximate(c: &BigRational) -> String {
    let power = || c.numer().bits() as i64 - c.denom().bits() as i64;
    let sign = if c.is_negative() { "-" } else { "" };
    nearest(c).map_or_else(|| format!("about {sign}2^{}", power()), short)
}

fn monomial(exponents: &[u32], expansion: &Expansion) -> String {
    let shifted = expansion.centre().is_some();
    let factors = exponents.iter().zip(expansion.variables()).filter(|(e, _)| **e > 0);
    let text: Vec<String> = factors
        .map(|(&e, name)| {
            let base = if shifted { format!("({name} - centre)") } else { name.clone() };
            if e == 1 { base } else { format!("{base}^{e}") }
        })
        .collect();
    if text.is_empty() { "1".into() } else { text.join(" ") }
}

fn table(table: &Table) -> Answer {
    let mut answer = Answer::default();
    answer.set("kind", "table");
    answer.set("rows", table.rows());
    answer.line(format_args!("table {}: {}", table.source(), counted(table.rows(), "row")));
    let mut rows = vec![["", "", "lower", "mean", "upper"].map(str::to_owned)];
    for (kind, names, values) in [
        ("inputs", table.input_names(), table.inputs()),
        ("targets", table.target_names(), table.targets()),
    ] {
        let mut columns = Vec::new();
        for (name, column) in names.iter().zip(values.columns()) {
            let lower = column.iter().copied().fold(f64::INFINITY, f64::min);
            let upper = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mean = column.iter().map(|x| x / table.rows() as f64).sum::<f64>();
            columns.push(json!({"name": name, "lower": lower, "mean": mean, "upper": upper}));
            rows.push([
                format!("  {name}"),
                kind.trim_end_matches('s').into(),
                plain(lower),
                short(mean),
                plain(upper),
            ]);
        }
        answer.set(kind, columns);
    }
    answer.set("classes", table.classes().map(<[String]>::to_vec));
    // A table of a thousand pixels is not read line by line.
    let hidden = rows.len().saturating_sub(41);
    rows.truncate(41);
    answer.table(&rows);
    if hidden > 0 {
        answer.line(format_args!("  and {} more", counted(hidden, "column")));
    }
    answer
}
