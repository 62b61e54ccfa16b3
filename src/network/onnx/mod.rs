//! Networks from ONNX files, as PyTorch, Keras and scikit-learn export them.
//!
//! A feed-forward network of affine maps and the activations of [`Activation`](crate::network::Activation) is read as the
//! real function that the graph describes: parameters are exact (float16, bfloat16, float32 and
//! float64 numbers all are f64 numbers), and how an ONNX runtime would round on the way is no part
//! of it. Consecutive linear operators are folded into affine layers where that is exact. The few
//! places where the network differs from the file's function are listed in
//! [`OnnxNetwork::rounded`].
//!
//! Read are `Gemm` (transA = 0), `MatMul`, `Add`, `Sub`, `Mul` and `Div` with constants, `Neg`,
//! `BatchNormalization`, `Scaler`, `LinearRegressor`, `Relu`, `LeakyRelu`, `PRelu`, `Tanh`,
//! `Sigmoid`, `Softplus`, `Elu`, `Selu`, `Celu` (alpha = 1), `Gelu` (by the error function),
//! `Swish` (alpha = 1), `Abs`, `Sin`, `Clip` to [-1, 1] or [0, inf), powers with integer
//! exponents, and the compositions that exporters write for GELU, SiLU and softplus; `Softmax` at
//! the end becomes [`Head::Softmax`]. A sigmoid at the end stays a layer. What leaves the values
//! of a row alone (`Identity`, `Cast` between float types, `Dropout`, and `Flatten`, `Reshape`,
//! `Squeeze`, `Unsqueeze` and `Transpose` that keep them in order) is passed over. Anything else
//! is an error that names the node.
//!
//! Format: ONNX, operator sets 7 and later; data must be inside the file.

mod fold;
mod graph;
mod messages;
mod shape;
mod tensor;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result, quote};
use crate::network::{Head, Input, Network};
use fold::{Budget, fold};
use graph::{Flow, Reader, needed, place};
use messages::{Graph, Model, ValueInfo};
use shape::{Dim, entries};
use tensor::{Constant, MOST_DIMENSIONS, element};

/// Largest file, 2 GiB: the limit of the encoding itself.
const LARGEST_FILE: u64 = 1 << 31;

/// Oldest operator set: from here on shapes are broadcast as in NumPy.
const OLDEST_OPERATORS: i64 = 7;

/// Numbers that a small file may unfold to; a larger one may unfold in proportion.
const LEAST_BUDGET: usize = 1 << 24;

/// A network from an ONNX file, and where it differs from the file's function.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxNetwork {
    /// The network. Its inputs are called x1, x2, ... (a single one as in the file), its outputs
    /// y1, y2, ... (a single one y); the key `onnx` of [`Network::about`] has the producer and
    /// what was rounded.
    pub network: Network,
    /// Where the network is not exactly the function that the file describes, a sentence a node:
    /// what is proved of the network is proved of it as it is held here. Empty when it is exact.
    pub rounded: Vec<String>,
    /// What was passed over, such as the labels beside the probabilities of a classifier.
    pub remarks: Vec<String>,
}

impl OnnxNetwork {
    /// Reads an ONNX file; the memory it takes is in proportion to the file.
    ///
    /// # Errors
    /// When the file cannot be read, is above 2 GiB, is not ONNX, keeps its data in another file,
    /// or holds anything but a feed-forward network of supported operators; the message names the
    /// file and the node.
    pub fn read(path: &Path) -> Result<OnnxNetwork> {
        let failed = |e| Error::io(path, e);
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large.
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(Error::invalid(
                path.display().to_string(),
                "a file above 2 GiB",
                "a smaller one",
            ));
        }
        OnnxNetwork::from_bytes(bytes).map_err(|e| e.within(path.display()))
    }

    /// Reads a network from the bytes of an ONNX file.
    ///
    /// # Errors
    /// As [`OnnxNetwork::read`], without the file.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<OnnxNetwork> {
        let budget = Budget(LEAST_BUDGET.saturating_add(bytes.len().saturating_mul(4)));
        let model = Model::decode(Bytes::from(bytes)).map_err(|e| {
            Error::invalid("", format!("bytes that are no ONNX model ({e})"), "an ONNX file")
        })?;
        if model.ir_version.is_none() {
            return Err(Error::invalid("", "no version", "an ONNX file"));
        }
        let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let versions = model.opset_import.iter().filter(|set| standard(&set.domain));
        let operators = versions.map(|set| set.version).max();
        let named = model.opset_import.iter().any(|set| !standard(&set.domain));
        let operators = match operators {
            Some(version) if version >= OLDEST_OPERATORS => version,
            // A model whose operators all are of other domains need not name the standard ones.
            None if named => i64::MAX,
            Some(version) => {
                return Err(Error::invalid(
                    "opset_import",
                    format!("version {version}"),
                    format!("{OLDEST_OPERATORS} or later"),
                ));
            }
            None => {
                return Err(Error::invalid(
                    "opset_import",
                    "nothing",
                    "a version of the operators",
                ));
            }
        };
        let Some(graph) = &model.graph else {
            return Err(Error::invalid("graph", "nothing", "a graph"));
        };
        let producer = format!("{} {}", model.producer_name, model.producer_version);
        read_graph(graph, operators, &budget, producer.trim())
    }
}

/// Whether the file is taken for an ONNX file: by its name, or by its first byte, the tag of the
/// version that every exporter writes first and no text begins with.
///
/// # Errors
/// When the file cannot be read.
pub fn is_onnx(path: &Path) -> Result<bool> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
        return Ok(true);
    }
    let mut first = Vec::new();
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    file.take(1).read_to_end(&mut first).map_err(|e| Error::io(path, e))?;
    Ok(first == [0x08])
}

fn read_graph(
    graph: &Graph,
    operators: i64,
    budget: &Budget,
    producer: &str,
) -> Result<OnnxNetwork> {
    let mut remarks = Vec::new();
    let output = choose_output(graph, &mut remarks)?;
    let (nodes, wanted) = needed(graph, output);
    let input = choose_input(graph, &wanted)?;
    let shapes = shapes_of(input)?;
    let mut first_error = None;
    for shape in shapes {
        let reader = || {
            let mut reader =
                Reader::new(&input.name, shape.clone(), output, operators, budget.clone());
            // Eight numbers are the size of a name.
            reader
                .budget
                .claim(entries(&shape).saturating_mul(8))
                .map_err(|e| e.within(format!("input {}", quote(&input.name))))?;
            for tensor in graph.initializer.iter().filter(|t| wanted.contains(t.name.as_str())) {
                Constant::decode(tensor)
                    .and_then(|constant| reader.constant(&tensor.name, constant))
                    .map_err(|e| e.within(format!("initializer {}", quote(&tensor.name))))?;
            }
            for &index in &nodes {
                reader.read(index, &graph.node[index])?;
            }
            let flow =
                reader.flow(output).map_err(|e| e.within(format!("output {}", quote(output))))?;
            finish(graph, reader, &flow, &input.name, producer)
        };
        match reader() {
            Ok(mut onnx) => {
                if let [Dim::Rows(Some(n)), ..] = shape[..] {
                    remarks.push(format!(
                        "the first dimension of the input, {n}, is taken for the number of rows"
                    ));
                }
                onnx.remarks.splice(0..0, remarks);
                return Ok(onnx);
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| Error::invalid("graph", "nothing", "a network")))
}

/// The network of the steps up to `flow`.
fn finish(
    graph: &Graph,
    mut reader: Reader,
    flow: &Flow,
    input: &str,
    producer: &str,
) -> Result<OnnxNetwork> {
    let at = |index: usize| match graph.node.get(index) {
        Some(node) => place(index, node),
        None => "graph".into(),
    };
    let folded = fold(&reader.steps, flow.step, &mut reader.budget)
        .map_err(|(node, error)| error.within(at(node)))?;
    let mut rounded: Vec<(usize, String)> = reader.approximations;
    for node in folded.rounded {
        if rounded.iter().all(|(other, _)| *other != node) {
            rounded.push((
                node,
                "its numbers are rounded to float64 when they are folded into an affine map".into(),
            ));
        }
    }
    rounded.sort();
    let rounded: Vec<String> =
        rounded.into_iter().map(|(node, how)| format!("{}: {how}", at(node))).collect();

    let (before, after) = (reader.steps[0].width, reader.steps[flow.step].width);
    let inputs = match before {
        1 => vec![Input::named(input)],
        n => (1..=n).map(|i| Input::named(format!("x{i}"))).collect(),
    };
    let outputs = match after {
        1 => vec!["y".to_owned()],
        n => (1..=n).map(|o| format!("y{o}")).collect(),
    };
    let head = if folded.softmax { Head::Softmax } else { Head::Identity };
    let mut source = Map::new();
    source.insert("producer".into(), producer.into());
    source.insert("rounded".into(), Json::from(rounded.clone()));
    let about = Map::from_iter([("onnx".to_owned(), Json::Object(source))]);
    let network = Network::new(inputs, outputs, folded.layers, head)?.with_about(about);
    Ok(OnnxNetwork { network, rounded, remarks: reader.remarks })
}

/// The type of the elements of a graph's input or output, where it is a tensor that says so.
fn element_of(value: &ValueInfo) -> Option<i32> {
    value.kind.as_ref()?.tensor.as_ref().map(|tensor| tensor.element)
}

/// The output that is not a label: scikit-learn's classifiers have both.
fn choose_output<'a>(graph: &'a Graph, remarks: &mut Vec<String>) -> Result<&'a str> {
    let is_label =
        |value: &ValueInfo| element_of(value).is_some_and(|e| e != 0 && !element::is_float(e));
    let (labels, values): (Vec<_>, Vec<_>) = graph.output.iter().partition(|v| is_label(v));
    let [output] = values[..] else {
        let names: Vec<_> = graph.output.iter().map(|value| quote(&value.name)).collect();
        let found = match names.len() {
            0 => "none".to_owned(),
            n => format!("{n}: {}", names[..n.min(8)].join(", ")),
        };
        return Err(Error::invalid("outputs", found, "one output of floating-point numbers"));
    };
    for label in labels {
        let kind = element::name(element_of(label).unwrap_or_default());
        remarks.push(format!("the output {} is left out: it holds {kind}", quote(&label.name)));
    }
    Ok(&output.name)
}

/// The input that the output depends on, among those that are no constants.
fn choose_input<'a>(graph: &'a Graph, wanted: &HashSet<&str>) -> Result<&'a ValueInfo> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let open = graph.input.iter().filter(|v| !constants.contains(v.name.as_str()));
    let used: Vec<_> = open.filter(|v| wanted.contains(v.name.as_str())).collect();
    match used[..] {
        [input] => Ok(input),
        [] => Err(Error::invalid("inputs", "none that the output depends on", "one")),
        [a, b, ..] => Err(Error::invalid(
            "inputs",
            format!("{}: {}, {}", used.len(), quote(&a.name), quote(&b.name)),
            "one that holds every input of the network",
        )),
    }
}

/// The shapes that the input may have, the likelier one first.
///
/// The first dimension counts rows, unless it is the only one or 1. Where it has another fixed
/// length it may be a dimension of the entries instead, as in the column vectors of some files.
fn shapes_of(input: &ValueInfo) -> Result<Vec<Vec<Dim>>> {
    let wrong = |found: String, expected: &str| {
        Error::invalid(format!("input {}", quote(&input.name)), found, expected)
    };
    match element_of(input) {
        Some(kind) if element::is_float(kind) => {}
        Some(kind) => return Err(wrong(element::name(kind), "floating-point numbers")),
        None => return Err(wrong("a value that is no tensor".into(), "floating-point numbers")),
    }
    let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let Some(shape) = tensor.and_then(|tensor| tensor.shape.as_ref()) else {
        return Err(wrong("no shape".into(), "a shape: export with the number of inputs fixed"));
    };
    if shape.dim.is_empty() || shape.dim.len() > MOST_DIMENSIONS {
        return Err(wrong(
            format!("{} dimensions", shape.dim.len()),
            "rows and inputs (at most 32 dimensions)",
        ));
    }
    // An open length has a name, nothing, or a number below 1.
    let lengths: Vec<Option<usize>> = shape
        .dim
        .iter()
        .map(|dim| dim.value.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0))
        .collect();
    let mut fixed = Vec::new();
    let mut product = Some(1_usize);
    for (axis, length) in lengths.iter().enumerate() {
        match length {
            Some(n) => {
                fixed.push(Dim::Of(*n));
                product = product.and_then(|product| product.checked_mul(*n));
            }
            None if axis == 0 && lengths.len() > 1 => fixed.push(Dim::Rows(None)),
            None => {
                return Err(wrong(
                    format!("an open length at the axis {axis}"),
                    "open lengths for rows only: export with the number of inputs fixed",
                ));
            }
        }
    }
    if product.is_none() {
        return Err(wrong("more entries than can be counted".into(), "a smaller shape"));
    }
    match fixed[..] {
        [Dim::Of(n), _, ..] if n > 1 => {
            let mut rows = fixed.clone();
            rows[0] = Dim::Rows(Some(n));
            Ok(vec![rows, fixed])
        }
        _ => Ok(vec![fixed]),
    }
}
