//! The promises of the ONNX reader: exported networks compute what their frameworks computed,
//! folding is exact or reported, refusals name the node, nothing panics.
//!
//! The files of `tests/data/onnx` were written by `scripts/onnx-fixtures.py`.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use proptest::prelude::*;
use slnn::network::onnx::{OnnxNetwork, is_onnx};
use slnn::network::{Activation, Head, Layer, Network, Numbers};
use slnn::numeric::rational::{rational_from_f64, rational_to_f64};

use encode::{Attribute, Node, Tensor};

/// The part of the ONNX encoding that the tests write.
mod encode {
    fn varint(out: &mut Vec<u8>, mut n: u64) {
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }

    fn number(out: &mut Vec<u8>, tag: u64, n: i64) {
        varint(out, tag << 3);
        varint(out, n as u64);
    }

    fn bytes(out: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
        varint(out, tag << 3 | 2);
        varint(out, bytes.len() as u64);
        out.extend(bytes);
    }

    fn message(out: &mut Vec<u8>, tag: u64, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = Vec::new();
        fill(&mut inner);
        bytes(out, tag, &inner);
    }

    #[derive(Clone, Debug)]
    pub enum Tensor {
        Double(Vec<i64>, Vec<f64>),
        Integer(Vec<i64>, Vec<i64>),
        /// A shape without the data for it.
        Claim(Vec<i64>),
    }

    impl Tensor {
        pub fn vector(data: &[f64]) -> Tensor {
            Tensor::Double(vec![data.len() as i64], data.to_vec())
        }

        pub fn scalar(x: f64) -> Tensor {
            Tensor::Double(vec![], vec![x])
        }

        fn fill(&self, out: &mut Vec<u8>, name: &str) {
            let (dims, kind, raw) = match self {
                Tensor::Double(dims, data) => {
                    (dims, 11, data.iter().flat_map(|x| x.to_le_bytes()).collect())
                }
                Tensor::Integer(dims, data) => {
                    (dims, 7, data.iter().flat_map(|x| x.to_le_bytes()).collect())
                }
                Tensor::Claim(dims) => (dims, 11, Vec::new()),
            };
            dims.iter().for_each(|n| number(out, 1, *n));
            number(out, 2, kind);
            bytes(out, 8, name.as_bytes());
            bytes(out, 9, &raw);
        }
    }

    #[derive(Clone, Debug)]
    pub enum Attribute {
        Float(f32),
        Integer(i64),
        Text(&'static str),
    }

    #[derive(Clone, Debug)]
    pub struct Node {
        pub op: &'static str,
        pub inputs: Vec<String>,
        pub output: String,
        pub attributes: Vec<(&'static str, Attribute)>,
    }

    fn node(out: &mut Vec<u8>, node: &Node) {
        node.inputs.iter().for_each(|name| bytes(out, 1, name.as_bytes()));
        bytes(out, 2, node.output.as_bytes());
        bytes(out, 3, format!("the {}", node.op).as_bytes());
        bytes(out, 4, node.op.as_bytes());
        for (name, value) in &node.attributes {
            message(out, 5, |out| {
                bytes(out, 1, name.as_bytes());
                match value {
                    Attribute::Float(x) => {
                        varint(out, 2 << 3 | 5);
                        out.extend(x.to_le_bytes());
                    }
                    Attribute::Integer(i) => number(out, 3, *i),
                    Attribute::Text(s) => bytes(out, 4, s.as_bytes()),
                }
            });
        }
    }

    fn value(out: &mut Vec<u8>, name: &str, kind: i64, dims: &[i64]) {
        bytes(out, 1, name.as_bytes());
        message(out, 2, |out| {
            message(out, 1, |out| {
                number(out, 1, kind);
                message(out, 2, |out| {
                    for dim in dims {
                        // A length below 1 is open, and has a name.
                        message(out, 1, |out| match dim {
                            1.. => number(out, 1, *dim),
                            _ => bytes(out, 2, b"rows"),
                        });
                    }
                });
            });
        });
    }

    /// A model from `input` (doubles of the shape `dims`) to `outputs` (name and type).
    pub fn model(
        dims: &[i64],
        nodes: &[Node],
        constants: &[(String, Tensor)],
        outputs: &[(&str, i64)],
    ) -> Vec<u8> {
        let mut out = Vec::new();
        number(&mut out, 1, 8);
        bytes(&mut out, 2, b"test");
        message(&mut out, 7, |out| {
            nodes.iter().for_each(|n| message(out, 1, |out| node(out, n)));
            for (name, tensor) in constants {
                message(out, 5, |out| tensor.fill(out, name));
            }
            message(out, 11, |out| value(out, "input", 11, dims));
            for (name, kind) in outputs {
                message(out, 12, |out| value(out, name, *kind, &[]));
            }
        });
        message(&mut out, 8, |out| {
            bytes(out, 1, b"");
            number(out, 2, 17);
        });
        out
    }
}

/// A chain of nodes, each from the output of the one before and from constants.
#[derive(Default)]
struct Chain {
    nodes: Vec<Node>,
    constants: Vec<(String, Tensor)>,
}

impl Chain {
    fn constant(&mut self, tensor: Tensor) -> String {
        let name = format!("c{}", self.constants.len());
        self.constants.push((name.clone(), tensor));
        name
    }

    fn last(&self) -> String {
        self.nodes.last().map_or("input".into(), |node| node.output.clone())
    }

    fn node(&mut self, op: &'static str, inputs: Vec<String>) {
        let output = format!("v{}", self.nodes.len());
        self.nodes.push(Node { op, inputs, output, attributes: Vec::new() });
    }

    fn attribute(&mut self, name: &'static str, value: Attribute) {
        self.nodes.last_mut().unwrap().attributes.push((name, value));
    }

    /// A node from the last output, then `constants`.
    fn push(&mut self, op: &'static str, constants: impl IntoIterator<Item = Tensor>) {
        let mut inputs = vec![self.last()];
        inputs.extend(constants.into_iter().map(|tensor| self.constant(tensor)));
        self.node(op, inputs);
    }

    fn model(&self, dims: &[i64]) -> Vec<u8> {
        encode::model(dims, &self.nodes, &self.constants, &[(&self.last(), 11)])
    }

    fn read(&self, dims: &[i64]) -> slnn::Result<OnnxNetwork> {
        OnnxNetwork::from_bytes(self.model(dims))
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx")
}

fn fixture(name: &str) -> OnnxNetwork {
    OnnxNetwork::read(&folder().join(format!("{name}.onnx"))).unwrap()
}

/// The names of the files that begin with `prefix`, without `.onnx`.
fn names(prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

fn array(value: &serde_json::Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    let shape = (rows.len(), rows[0].len());
    Array2::from_shape_vec(shape, rows.concat()).unwrap()
}

#[test]
fn every_export_computes_what_its_framework_computed() {
    let mut read = 0;
    for name in names("") {
        if name.starts_with("refused-") {
            continue;
        }
        let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (inputs, expected) = (array(&rows["inputs"]), array(&rows["outputs"]));
        // Both sides compute in f64, in sums of at most 8 terms of size below 16 and at most 20
        // layers: 1e-12 is a few thousand units of rounding of such terms. Where the exporter
        // rounded parameters to float32, these differ by 2^-24 each, and the layers after them
        // multiply that by less than 100.
        let tolerance = match rows["parameters"].as_str() {
            Some("exact") => 1e-12,
            Some("float32") => 100.0 * 2_f64.powi(-24),
            other => panic!("{name}: {other:?}"),
        };
        let onnx = OnnxNetwork::read(&folder().join(format!("{name}.onnx")))
            .unwrap_or_else(|error| panic!("{error}"));
        let found = onnx.network.predict(inputs.view()).unwrap();
        assert_eq!(found.dim(), expected.dim(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            let difference = (found - expected).abs();
            assert!(difference <= tolerance, "{name}: {found} for {expected}");
        }
        // What was read is a network like any other: our own file holds it.
        assert_eq!(Network::from_json(&onnx.network.to_json()).unwrap(), onnx.network, "{name}");
        read += 1;
    }
    assert!(read >= 40, "{read}");
}

fn kinds(network: &Network) -> Vec<&'static str> {
    network
        .layers()
        .iter()
        .map(|layer| match layer {
            Layer::Activation(function) => function.name(),
            other => other.kind(),
        })
        .collect()
}

#[test]
fn layers_are_clean_and_parameters_exact() {
    let onnx = fixture("torch-script-relu");
    assert_eq!(kinds(&onnx.network), ["affine", "relu", "affine", "relu", "affine"]);
    assert_eq!(onnx.network.widths(), [5, 7, 7, 6, 6, 3]);
    assert_eq!((onnx.rounded.len(), onnx.remarks.len()), (0, 0));
    assert_eq!(onnx.network.input_names(), ["x1", "x2", "x3", "x4", "x5"]);
    assert_eq!(onnx.network.outputs(), ["y1", "y2", "y3"]);
    assert_eq!(onnx.network.about()["onnx"]["producer"], "pytorch 2.15.0");
    let Layer::Affine(first) = &onnx.network.layers()[0] else { panic!() };
    let Numbers::Float(weight) = first.weight() else { panic!() };
    assert!(weight.iter().all(|w| f64::from(*w as f32) == *w && *w != 0.0));

    let onnx = fixture("torch-script-activations");
    let silu = ["affine", "silu", "affine", "elu", "affine", "leaky_relu", "affine", "softplus"];
    assert_eq!(kinds(&onnx.network)[1..9], silu);
    assert_eq!(onnx.network.outputs(), ["y1", "y2"]);
    assert!(onnx.rounded.is_empty(), "{:?}", onnx.rounded);
    let leaky = onnx.network.layers().iter().find_map(|layer| match layer {
        Layer::Activation(Activation::LeakyRelu { slope }) => Some(*slope),
        _ => None,
    });
    assert_eq!(leaky, Some(f64::from(0.01_f32)));

    // A sigmoid at the end is a layer, a softmax the head.
    assert_eq!(fixture("torch-script-yes-or-no").network.head(), Head::Identity);
    assert_eq!(kinds(&fixture("torch-script-yes-or-no").network).last(), Some(&"sigmoid"));
    assert_eq!(fixture("torch-script-classes").network.head(), Head::Softmax);
    assert_eq!(kinds(&fixture("torch-script-square").network), ["affine", "slaf", "affine"]);
    let views = fixture("torch-script-views").network;
    assert_eq!(kinds(&views)[kinds(&views).len() - 4..], ["sin", "mixed", "affine", "abs"]);
    assert_eq!(views.outputs(), ["y"]);
}

#[test]
fn what_was_rounded_is_said() {
    let onnx = fixture("torch-script-batch-norm");
    assert_eq!(kinds(&onnx.network), ["affine", "relu", "affine"]);
    assert_eq!(onnx.rounded.len(), 3, "{:?}", onnx.rounded);
    assert!(onnx.rounded[0].starts_with("node "), "{:?}", onnx.rounded);
    assert!(onnx.rounded[0].contains("(BatchNormalization \"/0/BatchNormalization\")"));
    assert_eq!(onnx.network.about()["onnx"]["rounded"].as_array().unwrap().len(), 3);

    let onnx = fixture("torch-script-gelu");
    assert_eq!(kinds(&onnx.network), ["affine", "gelu", "affine", "gelu", "affine"]);
    assert_eq!(onnx.rounded.len(), 2, "{:?}", onnx.rounded);
    assert!(onnx.rounded[0].contains("sqrt 2"), "{:?}", onnx.rounded);
    assert!(fixture("torch-dynamo-gelu").rounded.is_empty());
    assert_eq!(fixture("torch-dynamo-activations").rounded.len(), 1);
    assert!(fixture("torch-dynamo-activations").rounded[0].contains("softplus"));

    // A standardisation in float64 is rounded, and folded all the same.
    let onnx = fixture("sklearn-float64-pipeline");
    assert_eq!(kinds(&onnx.network), ["affine", "relu", "affine", "relu", "affine"]);
    assert_eq!(onnx.rounded.len(), 1, "{:?}", onnx.rounded);
    // With float32 factors no product rounds; only the sums would, so the map stays apart.
    let onnx = fixture("sklearn-float32-pipeline");
    assert_eq!(kinds(&onnx.network)[..3], ["affine", "affine", "relu"]);
    assert!(onnx.rounded.is_empty());
}

/// The same network, whichever way it was exported.
#[test]
fn exporters_agree_to_the_last_bit() {
    for [a, b] in [
        ["torch-script-gelu", "torch-dynamo-gelu"],
        ["torch-script-gelu", "torch-dynamo-gelu-18"],
        ["torch-script-activations", "torch-dynamo-activations"],
        ["torch-script-activations", "torch-script-float64"],
        ["torch-script-batch-norm", "torch-script-batch-norm-9"],
        ["torch-script-no-bias", "torch-script-transposed"],
        ["torch-script-views", "torch-dynamo-views"],
        ["torch-script-views", "torch-dynamo-fixed-views"],
        ["sklearn-float64-two-classes", "sklearn-float64-two-classes-array"],
    ] {
        let (a, b) = (fixture(a).network, fixture(b).network);
        assert_eq!((a.layers(), a.head()), (b.layers(), b.head()));
    }
}

#[test]
fn classifiers_give_probabilities_and_regressors_every_output() {
    let onnx = fixture("sklearn-float64-three-classes");
    assert_eq!((onnx.network.head(), onnx.network.outputs().len()), (Head::Softmax, 3));
    assert!(onnx.remarks[0].contains("\"output_label\""), "{:?}", onnx.remarks);
    let onnx = fixture("sklearn-float64-two-classes");
    assert_eq!(kinds(&onnx.network), ["affine", "relu", "affine", "sigmoid", "affine"]);
    let Layer::Affine(last) = &onnx.network.layers()[4] else { panic!() };
    let (weight, bias) = (last.weight().to_f64(), last.bias().to_f64());
    assert_eq!((weight.as_slice(), bias.to_vec()), (Some(&[-1.0, 1.0][..]), vec![1.0, 0.0]));
    let onnx = fixture("sklearn-float64-two-outputs");
    assert_eq!(onnx.network.outputs(), ["y1", "y2"]);
    assert!(onnx.remarks[0].contains("side by side"), "{:?}", onnx.remarks);
    assert!(onnx.rounded.is_empty());
}

#[test]
fn refusals_name_the_node() {
    for (name, parts) in [
        ("refused-gelu-tanh", &["node ", "(Mul \"/1/Mul", "GELU by tanh"][..]),
        ("refused-gelu-tanh-dynamo", &["node 1 (Gelu \"node_gelu\")", "approximate \"tanh\""]),
        ("refused-hard-swish", &["node 1 (HardSwish \"/1/HardSwish\")", "one of Gemm, MatMul"]),
        ("refused-log-softmax", &["node 1 (LogSoftmax \"/1/LogSoftmax\")"]),
        ("refused-relu6", &["(Clip \"/1/Clip\")", "the ends 0 and 6"]),
        ("refused-residual", &["(Add \"/0/Add\")", "branches"]),
        ("refused-layer-norm", &["node 1 (LayerNormalization \"/1/LayerNormalization\")"]),
        ("refused-external-data", &["initializer \"0.weight\"", "data in another file"]),
    ] {
        let path = folder().join(format!("{name}.onnx"));
        let message = OnnxNetwork::read(&path).unwrap_err().to_string();
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        for part in parts {
            assert!(message.contains(part), "{name}: {message}");
        }
    }
    assert_eq!(names("refused-").len(), 8);
}

/// Every way to write the composition of GELU, and what only looks like it.
#[test]
fn compositions_are_recognised_by_their_meaning() {
    use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
    let scalar = Tensor::scalar;
    // x, then a gate, then their product times `outside`; x is multiplied by `inside` first.
    let gelu = |divide: bool, c: f64, plus: f64, times: f64, inside: f64, outside: f64| {
        let mut chain = Chain::default();
        chain.push("MatMul", [Tensor::Double(vec![2, 1], vec![1.0, 2.0])]);
        let x = chain.last();
        chain.push(if divide { "Div" } else { "Mul" }, [scalar(c)]);
        chain.push("Erf", []);
        chain.push("Mul", [scalar(times)]);
        chain.push("Add", [scalar(plus)]);
        let gate = chain.last();
        let inside = chain.constant(scalar(inside));
        chain.node("Mul", vec![inside, x]);
        let x = chain.last();
        chain.node("Mul", vec![gate, x]);
        chain.push("Mul", [scalar(outside)]);
        chain.read(&[-1, 2])
    };
    let (root32, half32) = (f64::from(SQRT_2 as f32), f64::from(FRAC_1_SQRT_2 as f32));
    for (divide, c, plus, times, inside, outside) in [
        (true, SQRT_2, 1.0, 1.0, 1.0, 0.5),
        (true, root32, 1.0, 1.0, 0.5, 1.0),
        (false, half32, 0.5, 0.5, 1.0, 1.0),
        (false, FRAC_1_SQRT_2, 0.5, 0.5, -1.0, -1.0),
        (false, -FRAC_1_SQRT_2, 1.0, -1.0, 0.5, 1.0),
        (true, -root32, 2.0, -2.0, 0.5, 0.5),
        (true, -root32, -2.0, 2.0, -0.5, 0.5),
    ] {
        let onnx = gelu(divide, c, plus, times, inside, outside).unwrap();
        assert_eq!(
            kinds(&onnx.network),
            ["affine", "gelu"],
            "{c} {plus} {times} {inside} {outside}"
        );
        assert_eq!(onnx.rounded.len(), 1);
    }
    // Three times a GELU is a GELU, then an affine map.
    let onnx = gelu(true, SQRT_2, 1.0, 1.0, 3.0, 0.5).unwrap();
    assert_eq!(kinds(&onnx.network), ["affine", "gelu", "affine"]);
    for (divide, c, plus, times) in [
        (true, 1.414, 1.0, 1.0),
        (false, SQRT_2, 1.0, 1.0),
        (true, FRAC_1_SQRT_2, 1.0, 1.0),
        (true, SQRT_2, 1.0, -1.0),
        (true, SQRT_2, 1.0, 2.0),
        (true, SQRT_2, 0.0, 0.0),
        (true, -SQRT_2, 1.0, 1.0),
    ] {
        let message = gelu(divide, c, plus, times, 1.0, 0.5).unwrap_err().to_string();
        assert!(message.contains("(Mul \"the Mul\")"), "{message}");
    }
    // SiLU only with the same z on both sides.
    let silu = |by: f64| {
        let mut chain = Chain::default();
        chain.push("MatMul", [Tensor::Double(vec![2, 1], vec![1.0, 2.0])]);
        let x = chain.last();
        chain.push("Mul", [scalar(by)]);
        chain.push("Sigmoid", []);
        let gate = chain.last();
        chain.node("Mul", vec![gate, x]);
        chain.read(&[-1, 2])
    };
    assert!(silu(1.702).unwrap_err().to_string().contains("(Mul \"the Mul\")"));
    let mut chain = Chain::default();
    chain.push("Sigmoid", []);
    let gate = chain.last();
    chain.node("Mul", vec!["input".into(), gate]);
    assert_eq!(kinds(&chain.read(&[-1, 2]).unwrap().network), ["silu"]);
    // An error function elsewhere is no activation of ours.
    let mut chain = Chain::default();
    chain.push("Erf", []);
    assert!(chain.read(&[-1, 2]).unwrap_err().to_string().starts_with("node 0 (Erf \"the Erf\")"));
}

#[test]
fn vectors_columns_and_fixed_rows_are_read() {
    let weight = || Tensor::Double(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let expected = ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let matrix = |onnx: &OnnxNetwork| match &onnx.network.layers()[0] {
        Layer::Affine(affine) => affine.weight().to_f64().into_owned(),
        other => panic!("{other:?}"),
    };
    // W x, of a vector and of a column; the bias is a column where the value is one.
    for (dims, bias) in [(&[3][..], vec![2]), (&[3, 1], vec![2, 1]), (&[1, 3, 1], vec![2, 1])] {
        let mut chain = Chain::default();
        let w = chain.constant(weight());
        chain.node("MatMul", vec![w, "input".into()]);
        chain.push("Add", [Tensor::Double(bias, vec![7.0, 8.0])]);
        let onnx = chain.read(dims).unwrap();
        assert_eq!(matrix(&onnx), expected);
        assert_eq!(onnx.network.outputs().len(), 2);
    }
    // x W, of a row, of rows and of a fixed number of rows.
    for dims in [&[2][..], &[1, 2], &[-1, 2], &[32, 2], &[2, 2], &[-1, 1, 2]] {
        let mut chain = Chain::default();
        chain.push("MatMul", [weight()]);
        let onnx = chain.read(dims).unwrap();
        assert_eq!(matrix(&onnx), expected.t());
        assert_eq!(onnx.remarks.len(), usize::from(dims[0] > 1 && dims.len() > 1), "{dims:?}");
    }
    // Columns are not rows.
    let mut chain = Chain::default();
    chain.push("MatMul", [weight()]);
    for dims in [&[2, -1][..], &[-1], &[-1, 3], &[-1, 2, 2], &[-1, -1, 2]] {
        assert!(chain.read(dims).is_err(), "{dims:?}");
    }
    // One input keeps its name.
    let mut chain = Chain::default();
    chain.push("Tanh", []);
    let onnx = chain.read(&[-1, 1]).unwrap();
    assert_eq!(onnx.network.input_names(), ["input"]);
    assert_eq!(onnx.network.outputs(), ["y"]);
}

#[test]
fn defects_are_errors_that_say_what_was_expected() {
    let read = |nodes: &[Node], constants: &[(String, Tensor)], outputs: &[(&str, i64)]| {
        OnnxNetwork::from_bytes(encode::model(&[-1, 2], nodes, constants, outputs))
            .unwrap_err()
            .to_string()
    };
    let node = |op, inputs: &[&str], output: &str| Node {
        op,
        inputs: inputs.iter().map(|s| s.to_string()).collect(),
        output: output.into(),
        attributes: Vec::new(),
    };
    let with = |mut node: Node, name, value| {
        node.attributes.push((name, value));
        node
    };
    let constant = |name: &str, tensor| (name.to_string(), tensor);
    let square = constant("w", Tensor::Double(vec![2, 2], vec![1.0; 4]));
    let y = [("y", 11)];
    for (nodes, constants, part) in [
        (vec![], vec![], "inputs: found none that the output depends on"),
        (vec![node("Relu", &["other"], "y")], vec![], "inputs: found none"),
        (
            vec![node("Gemm", &["input", "w", "b"], "y")],
            vec![square.clone()],
            "node 0 (Gemm \"the Gemm\"): found the value \"b\", which is not known there",
        ),
        (
            vec![node("Relu", &["t"], "y"), node("Relu", &["input"], "t")],
            vec![],
            "inputs: found none",
        ),
        (
            vec![with(node("Gemm", &["input", "w"], "y"), "transA", Attribute::Integer(1))],
            vec![square.clone()],
            "transA",
        ),
        (
            vec![with(node("Gemm", &["input", "w"], "y"), "alpha", Attribute::Float(f32::NAN))],
            vec![square.clone()],
            "alpha NaN",
        ),
        (
            vec![node("MatMul", &["input", "w"], "y")],
            vec![constant("w", Tensor::Double(vec![3, 2], vec![1.0; 6]))],
            "a weight of the shape [3, 2] for 2 entries",
        ),
        (
            vec![node("MatMul", &["input", "w"], "y")],
            vec![constant("w", Tensor::Double(vec![2, 0], vec![]))],
            "node 0",
        ),
        (
            vec![node("MatMul", &["input", "w"], "y")],
            vec![constant("w", Tensor::Double(vec![2, 1], vec![1.0, f64::INFINITY]))],
            "the weight inf",
        ),
        (
            vec![node("Div", &["input", "c"], "y")],
            vec![constant("c", Tensor::vector(&[1.0, 0.0]))],
            "a division by 0",
        ),
        (
            vec![node("Add", &["input", "c"], "y")],
            vec![constant("c", Tensor::vector(&[1.0, f64::NAN]))],
            "NaN",
        ),
        (
            vec![node("Add", &["input", "c"], "y")],
            vec![constant("c", Tensor::vector(&[1.0, 2.0, 3.0]))],
            "a constant of the shape [3] beside the shape (rows, 2)",
        ),
        (
            vec![node("Add", &["input", "c"], "y")],
            vec![constant("c", Tensor::Integer(vec![], vec![1]))],
            "node 0",
        ),
        (
            vec![node("Add", &["c", "c"], "t"), node("Add", &["input", "t"], "y")],
            vec![constant("c", Tensor::scalar(1.0))],
            "node 0",
        ),
        (
            vec![node("Softmax", &["input"], "t"), node("Relu", &["t"], "y")],
            vec![],
            "node 0 (Softmax \"the Softmax\"): found a softmax before the end",
        ),
        (
            vec![with(node("Softmax", &["input"], "y"), "axis", Attribute::Integer(0))],
            vec![],
            "axis 0",
        ),
        (
            vec![with(node("Swish", &["input"], "y"), "alpha", Attribute::Float(2.0))],
            vec![],
            "alpha 2",
        ),
        (
            vec![with(node("Gelu", &["input"], "y"), "approximate", Attribute::Text("tanh"))],
            vec![],
            "GELU by the error function",
        ),
        (
            vec![node("Pow", &["input", "c"], "y")],
            vec![constant("c", Tensor::scalar(0.5))],
            "the exponent 0.5",
        ),
        (
            vec![node("Transpose", &["input"], "t"), node("Relu", &["t"], "y")],
            vec![constant("c", Tensor::Claim(vec![5]))],
            "",
        ),
        (
            vec![node("Reshape", &["input", "s"], "t"), node("Relu", &["t"], "y")],
            vec![constant("s", Tensor::Integer(vec![2], vec![-1, 1]))],
            "node 0 (Reshape \"the Reshape\"): found the shape (rows, 2) laid out as (-1, 1)",
        ),
        (
            vec![
                node("Relu", &["input"], "a"),
                node("Tanh", &["input"], "b"),
                with(node("Concat", &["a", "b"], "y"), "axis", Attribute::Integer(1)),
            ],
            vec![],
            "node 2 (Concat \"the Concat\")",
        ),
    ] {
        if part.is_empty() {
            // A transposition of rows and entries changes no row, and unused constants no value.
            OnnxNetwork::from_bytes(encode::model(&[-1, 2], &nodes, &constants, &y)).unwrap();
            continue;
        }
        let message = read(&nodes, &constants, &y);
        assert!(message.contains(part), "{message}");
    }
    let relu = [node("Relu", &["input"], "y")];
    assert!(read(&relu, &[], &[]).contains("outputs: found none"));
    assert!(read(&relu, &[], &[("y", 11), ("z", 1)]).contains("2: \"y\", \"z\""));
    assert!(read(&relu, &[], &[("y", 7)]).contains("one output of floating-point numbers"));
}

#[test]
fn a_small_file_that_claims_much_is_refused() {
    let mut chain = Chain::default();
    chain.push("Relu", []);
    for dims in [&[1, 1 << 40][..], &[1 << 40, 1 << 40], &[i64::MAX, i64::MAX, 2], &[-1, 1 << 28]] {
        assert!(chain.read(dims).is_err(), "{dims:?}");
    }
    // One weight, used again and again.
    let mut chain = Chain::default();
    let w = chain.constant(Tensor::Double(vec![256, 256], vec![0.5; 1 << 16]));
    for _ in 0..1000 {
        let x = chain.last();
        chain.node("MatMul", vec![x, w.clone()]);
    }
    assert!(chain.read(&[-1, 256]).unwrap_err().to_string().contains("in proportion to its file"));
    // Scalings that each would become a square matrix.
    let mut chain = Chain::default();
    for _ in 0..1000 {
        chain.push("Mul", [Tensor::scalar(1.5)]);
        chain.push("Relu", []);
    }
    assert!(chain.read(&[-1, 1 << 11]).unwrap_err().to_string().contains("in proportion"));
    // A list that doubles with every node.
    let mut chain = Chain::default();
    chain.push("Shape", []);
    for _ in 0..60 {
        let x = chain.last();
        chain.node("Concat", vec![x.clone(), x]);
    }
    let shape = chain.last();
    chain.node("Reshape", vec!["input".into(), shape]);
    assert!(chain.read(&[-1, 2]).is_err());
    // Data that are not there.
    let mut chain = Chain::default();
    chain.push("MatMul", [Tensor::Claim(vec![2, 1 << 50])]);
    let message = chain.read(&[-1, 2]).unwrap_err().to_string();
    assert!(message.starts_with("initializer \"c0\": found 0 numbers"), "{message}");
    // A path of many nodes is walked without recursion.
    let mut chain = Chain::default();
    for _ in 0..20_000 {
        chain.push("Identity", []);
        chain.push("Abs", []);
    }
    assert_eq!(chain.read(&[-1, 2]).unwrap().network.layers().len(), 20_000);
}

#[test]
fn every_prefix_of_a_file_is_an_error() {
    for name in ["torch-script-gelu", "torch-dynamo-views", "sklearn-float64-two-classes"] {
        let bytes = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        let whole = OnnxNetwork::from_bytes(bytes.clone()).unwrap();
        for length in 0..bytes.len() {
            // Only after the last part that is read may a file end early.
            if let Ok(cut) = OnnxNetwork::from_bytes(bytes[..length].to_vec()) {
                assert_eq!(cut, whole, "{name} cut to {length} bytes");
                assert!(length + 64 > bytes.len(), "{name} cut to {length} bytes");
            }
        }
    }
}

#[test]
fn onnx_files_are_told_by_name_or_content() {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes, onnx) in [
        ("a.ONNX", &b"anything"[..], true),
        ("a.bin", b"\x08\x08", true),
        ("a.json", b"{\"format\"", false),
        ("a.csv", b"a,b", false),
        ("empty", b"", false),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(is_onnx(&path).unwrap(), onnx, "{name}");
        if name == "a.ONNX" {
            let message = OnnxNetwork::read(&path).unwrap_err().to_string();
            assert!(message.contains("no ONNX model"), "{message}");
        }
    }
    assert!(is_onnx(&directory.path().join("absent.json")).is_err());
    assert!(OnnxNetwork::read(&directory.path().join("absent.onnx")).is_err());
}

/// The folder of public data beside the project, unless it is absent.
fn shared_data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("SLNN_DATA").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no folder {}", folder.display());
    None
}

#[test]
fn the_public_networks_are_read() {
    let Some(folder) = shared_data() else { return };
    for (name, widths) in [
        ("heloc_2e5", &[23, 64, 64, 32, 32, 1][..]),
        ("har_2e5", &[561, 500, 500, 6]),
        ("har", &[561, 500, 500, 6]),
    ] {
        let onnx = OnnxNetwork::read(&folder.join(format!("nets/{name}.onnx"))).unwrap();
        assert_eq!(onnx.network.widths(), widths, "{name}");
        let between = ["affine", "relu"].into_iter().cycle();
        let expected: Vec<_> = between.take(widths.len() - 1).collect();
        assert_eq!(kinds(&onnx.network), expected, "{name}");
        assert!(onnx.rounded.is_empty() && onnx.remarks.is_empty(), "{name}");
        let zero = onnx.network.forward(Array2::zeros((1, widths[0])).view()).unwrap();
        assert!(zero.iter().all(|y| y.is_finite()));
    }
}

/// The program takes an ONNX file wherever it takes a network.
#[cfg(feature = "cli")]
#[test]
fn the_program_reads_networks_as_onnx() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_slnn"));
        let output = command.current_dir(&directory).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let file = |name: &str| folder().join(format!("{name}.onnx")).display().to_string();
    let (code, text, _) = run(&["describe", &file("torch-script-batch-norm")]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("(BatchNormalization ") && text.contains("head    softmax"), "{text}");
    let square = file("torch-script-square");
    let (code, _, remarks) = run(&["expand", &square, "-o", "square.json"]);
    assert_eq!(code, Some(0), "{remarks}");
    let (code, text, _) = run(&["--json", "compare", &square, "square.json"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"equal\":true"), "{text}");
    let (code, _, message) = run(&["expand", &file("torch-script-gelu"), "-o", "gelu.json"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("is read as GELU") && message.contains("layer 1: gelu"), "{message}");
    let (code, _, message) = run(&["describe", &file("refused-hard-swish")]);
    assert_eq!(code, Some(2));
    assert!(message.contains("node 1 (HardSwish "), "{message}");
}

/// One step of a random network, on exact numbers.
#[derive(Clone, Debug)]
enum Step {
    Dense { weight: Vec<f64>, after: usize, form: u8 },
    Add(Vec<f64>),
    Sub(Vec<f64>),
    From(Vec<f64>),
    Mul(Vec<f64>),
    Div(Vec<f64>),
    Neg,
    Normalise { scale: Vec<f64>, shift: Vec<f64>, mean: Vec<f64> },
    Relu,
    Abs,
    Leaky(f32),
    Slopes(Vec<f64>),
    HardTanh,
    Square,
    Nothing(u8),
}

fn exact(x: f64) -> BigRational {
    rational_from_f64(x).unwrap()
}

impl Step {
    /// What the step does, evidently.
    fn apply(&self, z: &[BigRational]) -> Vec<BigRational> {
        let each = |f: &dyn Fn(usize, &BigRational) -> BigRational| {
            z.iter().enumerate().map(|(i, z)| f(i, z)).collect()
        };
        // A list of one is a number for all.
        let at = |list: &[f64], i: usize| exact(if list.len() == 1 { list[0] } else { list[i] });
        let leaky = |z: &BigRational, slope: BigRational| {
            if z.is_negative() { z * slope } else { z.clone() }
        };
        let one = exact(1.0);
        match self {
            Step::Dense { weight, after, .. } => (0..*after)
                .map(|o| {
                    let terms = z.iter().enumerate().map(|(i, z)| exact(weight[i * after + o]) * z);
                    terms.sum()
                })
                .collect(),
            Step::Add(c) => each(&|i, z| z + at(c, i)),
            Step::Sub(c) => each(&|i, z| z - at(c, i)),
            Step::From(c) => each(&|i, z| at(c, i) - z),
            Step::Mul(c) => each(&|i, z| z * at(c, i)),
            Step::Div(c) => each(&|i, z| z / at(c, i)),
            Step::Neg => each(&|_, z| -z),
            Step::Normalise { scale, shift, mean } => {
                each(&|i, z| (z - at(mean, i)) * at(scale, i) / exact(2.0) + at(shift, i))
            }
            Step::Relu => {
                each(&|_, z| if z.is_negative() { BigRational::zero() } else { z.clone() })
            }
            Step::Abs => each(&|_, z| z.abs()),
            Step::Leaky(slope) => each(&|_, z| leaky(z, exact(f64::from(*slope)))),
            Step::Slopes(slopes) => each(&|i, z| leaky(z, at(slopes, i))),
            Step::HardTanh => each(&|_, z| z.clone().clamp(-one.clone(), one.clone())),
            Step::Square => each(&|_, z| z * z),
            Step::Nothing(_) => z.to_vec(),
        }
    }

    /// Bounds of what the step makes of values below `m`, with every number taken as positive.
    fn majorant(&self, m: &[f64]) -> Vec<f64> {
        let each =
            |f: &dyn Fn(usize, f64) -> f64| m.iter().enumerate().map(|(i, m)| f(i, *m)).collect();
        let at = |list: &[f64], i: usize| if list.len() == 1 { list[0] } else { list[i] }.abs();
        match self {
            Step::Dense { weight, after, .. } => (0..*after)
                .map(|o| m.iter().enumerate().map(|(i, m)| weight[i * after + o].abs() * m).sum())
                .collect(),
            Step::Add(c) | Step::Sub(c) | Step::From(c) => each(&|i, m| m + at(c, i)),
            Step::Mul(c) => each(&|i, m| m * at(c, i)),
            Step::Div(c) => each(&|i, m| m / at(c, i)),
            Step::Normalise { scale, shift, mean } => {
                each(&|i, m| (m + at(mean, i)) * at(scale, i) / 2.0 + at(shift, i))
            }
            Step::Leaky(slope) => each(&|_, m| m * f64::from(slope.abs()).max(1.0)),
            Step::Slopes(slopes) => each(&|i, m| m * at(slopes, i).max(1.0)),
            Step::Square => each(&|_, m| m * m),
            Step::Relu | Step::Abs | Step::HardTanh | Step::Neg | Step::Nothing(_) => m.to_vec(),
        }
    }

    /// The step as nodes, on rows of `width` entries.
    fn push(&self, chain: &mut Chain, width: usize) {
        let matrix = |rows: usize, columns: usize, data: &[f64]| {
            Tensor::Double(vec![rows as i64, columns as i64], data.to_vec())
        };
        let list = |data: &[f64]| match data {
            [x] => Tensor::scalar(*x),
            _ => Tensor::vector(data),
        };
        match self {
            Step::Dense { weight, after, form } => match form {
                0 => chain.push("MatMul", [matrix(width, *after, weight)]),
                1 => chain.push("Gemm", [matrix(width, *after, weight)]),
                // Halved weights and twice their product; the bias is 3 * 0.
                _ => {
                    let turned: Vec<f64> = (0..width * after)
                        .map(|k| weight[k % width * after + k / width] / 2.0)
                        .collect();
                    let bias = Tensor::vector(&vec![0.0; *after]);
                    chain.push("Gemm", [matrix(*after, width, &turned), bias]);
                    chain.attribute("transB", Attribute::Integer(1));
                    chain.attribute("alpha", Attribute::Float(2.0));
                    chain.attribute("beta", Attribute::Float(3.0));
                }
            },
            Step::Add(c) => chain.push("Add", [list(c)]),
            Step::Sub(c) => chain.push("Sub", [list(c)]),
            Step::From(c) => {
                let (c, x) = (chain.constant(list(c)), chain.last());
                chain.node("Sub", vec![c, x]);
            }
            Step::Mul(c) => chain.push("Mul", [list(c)]),
            Step::Div(c) => chain.push("Div", [list(c)]),
            Step::Neg => chain.push("Neg", []),
            Step::Normalise { scale, shift, mean } => {
                // Deviations of 2.
                let variance = vec![4.0; width];
                let lists = [&scale[..], shift, mean, &variance].map(Tensor::vector);
                chain.push("BatchNormalization", lists);
                chain.attribute("epsilon", Attribute::Float(0.0));
            }
            Step::Relu => chain.push("Relu", []),
            Step::Abs => chain.push("Abs", []),
            Step::Leaky(slope) => {
                chain.push("LeakyRelu", []);
                chain.attribute("alpha", Attribute::Float(*slope));
            }
            Step::Slopes(slopes) => chain.push("PRelu", [Tensor::vector(slopes)]),
            Step::HardTanh => chain.push("Clip", [-1.0, 1.0].map(Tensor::scalar)),
            Step::Square => {
                let x = chain.last();
                chain.node("Mul", vec![x.clone(), x]);
            }
            Step::Nothing(0) => chain.push("Identity", []),
            Step::Nothing(1) => chain.push("Flatten", []),
            Step::Nothing(2) => {
                chain.push("Reshape", [Tensor::Integer(vec![2], vec![-1, width as i64])]);
            }
            Step::Nothing(3) => chain.push("Reshape", [Tensor::Integer(vec![2], vec![0, -1])]),
            Step::Nothing(_) => {
                chain.push("Cast", []);
                chain.attribute("to", Attribute::Integer(1));
            }
        }
    }
}

/// Numbers that are multiples of 1/8, float32 numbers, or full float64 numbers.
fn number(kind: u8) -> BoxedStrategy<f64> {
    match kind {
        0 => (-16_i32..=16).prop_map(|k| f64::from(k) / 8.0).boxed(),
        1 => (-2.0_f32..2.0).prop_map(f64::from).boxed(),
        _ => (-2.0_f64..2.0).boxed(),
    }
}

fn step(kind: u8, width: usize) -> BoxedStrategy<Step> {
    let full = move || prop::collection::vec(number(kind), width);
    let list = move || prop_oneof![full(), prop::collection::vec(number(kind), 1)];
    let dense = (1_usize..4, 0_u8..3).prop_flat_map(move |(after, form)| {
        prop::collection::vec(number(kind), width * after).prop_map(move |weight| Step::Dense {
            weight,
            after,
            form,
        })
    });
    prop_oneof![
        4 => dense,
        2 => list().prop_map(Step::Add),
        1 => list().prop_map(Step::Sub),
        1 => list().prop_map(Step::From),
        2 => list().prop_map(Step::Mul),
        1 => prop::collection::vec(-3..4, width)
            .prop_map(|powers| Step::Div(powers.into_iter().map(|p| 2_f64.powi(p)).collect())),
        1 => (0.5_f64..2.0).prop_map(|c| Step::Div(vec![c])),
        1 => Just(Step::Neg),
        2 => (full(), full(), full())
            .prop_map(|(scale, shift, mean)| Step::Normalise { scale, shift, mean }),
        1 => Just(Step::Relu),
        1 => Just(Step::Abs),
        1 => prop::sample::select(vec![0.5_f32, 0.01, -2.0]).prop_map(Step::Leaky),
        1 => full().prop_map(Step::Slopes),
        1 => Just(Step::HardTanh),
        1 => Just(Step::Square),
        1 => (0_u8..5).prop_map(Step::Nothing),
    ]
    .boxed()
}

/// Steps that fit each other, from 3 entries.
fn steps(kind: u8) -> BoxedStrategy<Vec<Step>> {
    let mut all: BoxedStrategy<(Vec<Step>, usize)> = Just((Vec::new(), 3)).boxed();
    for _ in 0..8 {
        all = all
            .prop_flat_map(move |(steps, width)| {
                step(kind, width).prop_map(move |step| {
                    let after = if let Step::Dense { after, .. } = step { after } else { width };
                    let mut steps = steps.clone();
                    steps.push(step);
                    (steps, after)
                })
            })
            .boxed();
    }
    (all, 1_usize..9).prop_map(|((steps, _), n)| steps[..n].to_vec()).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The network is the file's function exactly, unless it says that it rounded; then nearly.
    #[test]
    fn folding_is_exact_or_reported(
        (steps, kind) in (0_u8..3).prop_flat_map(|kind| (steps(kind), Just(kind))),
        x in prop::collection::vec(-2.0_f64..2.0, 3),
    ) {
        let mut chain = Chain::default();
        let mut values: Vec<BigRational> = x.iter().map(|x| exact(*x)).collect();
        let mut majorants: Vec<f64> = x.iter().map(|x| x.abs()).collect();
        let mut exactly = true;
        for step in &steps {
            step.push(&mut chain, values.len());
            values = step.apply(&values);
            majorants = step.majorant(&majorants);
            exactly &= !matches!(step, Step::Div(c) if c.iter().any(|c| c.log2().fract() != 0.0));
        }
        let onnx = chain.read(&[-1, 3]).unwrap();
        prop_assert!(onnx.rounded.is_empty() || !exactly, "{:?}", onnx.rounded);
        let inputs: Vec<_> = x.iter().map(|x| exact(*x)).collect();
        let found = onnx.network.forward_exact(&inputs).unwrap();
        prop_assert_eq!(found.len(), values.len());
        if onnx.rounded.is_empty() {
            prop_assert_eq!(found, values);
        } else {
            // A step adds a few units of rounding relative to the majorant, and keeps the error
            // in proportion to it, a square doubling it: at most 8 * 8 * 2^8 units in 8 steps.
            for ((found, value), majorant) in found.iter().zip(&values).zip(&majorants) {
                let difference = rational_to_f64(&(found - value)).unwrap().abs();
                let allowed = 2_f64.powi(14) * f64::EPSILON * majorant;
                prop_assert!(difference <= allowed, "{difference} {:?}", onnx.rounded);
            }
        }
        // No two affine maps where one would do without rounding: small multiples of 1/8.
        if kind == 0 && steps.iter().all(|s| !matches!(s, Step::Square)) {
            let dense = steps.iter().filter(|s| matches!(s, Step::Dense { .. })).count();
            let bends = kinds(&onnx.network).iter().filter(|k| **k != "affine").count();
            let affine = onnx.network.layers().len() - bends;
            prop_assert!(affine <= dense + bends + 1, "{:?}", kinds(&onnx.network));
        }
    }

    /// Damage gives a network or an error, never a panic.
    #[test]
    fn damaged_files_never_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<u8>()), 1..5),
    ) {
        let names = names("");
        let name = &names[which.index(names.len())];
        let mut bytes = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        for (index, kind, byte) in &edits {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = *byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, *byte),
            }
        }
        if let Ok(onnx) = OnnxNetwork::from_bytes(bytes) {
            let inputs = Array2::ones((1, onnx.network.inputs().len()));
            prop_assert!(onnx.network.forward(inputs.view()).is_ok());
        }
    }
}
