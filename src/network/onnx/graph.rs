//! From the nodes of a graph to the steps from its input to its output.
//!
//! Nodes are read in the file's order, which is topological. A value is a constant, a shape that
//! the graph computes with, or a *flow*: the vector that a step has made of the input. Steps
//! remember what they came from, so the compositions by which exporters spell GELU, SiLU and
//! softplus are recognised where their last node joins two flows.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::fold::{Budget, Factor, Op, Step, exact_product, exact_sum, has_exact_reciprocal};
use super::messages::{Attribute, Graph, Node};
use super::shape::{self, Dim, Refusal, Size, entries, show};
use super::tensor::{Constant, MOST_DIMENSIONS, Tensor, element};
use crate::error::{Error, Result, quote};
use crate::network::activation::Activation;

/// What can be read, for messages.
const OPERATORS: &str = "one of Gemm, MatMul, Add, Sub, Mul, Div, Neg, Pow by an integer, Relu, \
    LeakyRelu, PRelu, Tanh, Sigmoid, Softplus, Elu, Selu, Celu, Gelu, Swish, Erf in a GELU, Abs, \
    Sin, Clip, BatchNormalization, Softmax, Flatten, Reshape, Squeeze, Unsqueeze, Transpose, \
    Concat, Identity, Cast, Dropout, Constant, Scaler and LinearRegressor";

/// How far up a chain of constant factors a composition is looked for.
const LONGEST_CHAIN: usize = 6;

/// A value of the graph.
#[derive(Clone, Debug)]
enum Value {
    Float(Tensor),
    /// Numbers of a shape: one dimension of them, or a single one without dimensions.
    Sizes(Sizes),
    Flow(Flow),
    /// Whether the entries of a step are greater than a number.
    Above(usize, f64),
}

#[derive(Clone, Debug)]
struct Sizes {
    scalar: bool,
    values: Rc<[Size]>,
}

/// The entries that a step makes, and the shape they have in the graph.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub step: usize,
    pub shape: Vec<Dim>,
}

/// Reads the nodes of a graph, one after another.
pub(super) struct Reader<'a> {
    values: HashMap<&'a str, Value>,
    pub steps: Vec<Step>,
    pub budget: Budget,
    /// Nodes whose function the network only approximates, and how.
    pub approximations: Vec<(usize, String)>,
    pub remarks: Vec<String>,
    opset: i64,
    node: usize,
    output: &'a str,
}

impl From<Refusal> for Error {
    fn from((found, expected): Refusal) -> Self {
        Error::invalid("", found, expected)
    }
}

/// As in `node 3 (Gemm "/0/Gemm")`.
pub(super) fn place(index: usize, node: &Node) -> String {
    let operator = match node.op_type.as_str() {
        short if short.len() <= 40 => short.to_owned(),
        long => quote(long),
    };
    let name = if node.name.is_empty() { String::new() } else { format!(" {}", quote(&node.name)) };
    format!("node {index} ({operator}{name})")
}

/// The indices of the nodes that `output` depends on, ascending, and the names it takes from
/// outside of them.
pub(super) fn needed<'a>(graph: &'a Graph, output: &'a str) -> (Vec<usize>, HashSet<&'a str>) {
    let mut wanted = HashSet::from([output]);
    let mut nodes = Vec::new();
    for (index, node) in graph.node.iter().enumerate().rev() {
        let made = node.output.iter().filter(|name| !name.is_empty());
        // Every name is taken out, not only the first.
        if made.filter(|name| wanted.remove(name.as_str())).count() > 0 {
            nodes.push(index);
            wanted.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
        }
    }
    nodes.reverse();
    (nodes, wanted)
}

impl<'a> Reader<'a> {
    /// A reader that knows the input of `shape` and nothing else.
    pub fn new(
        input: &'a str,
        shape: Vec<Dim>,
        output: &'a str,
        opset: i64,
        budget: Budget,
    ) -> Self {
        let width = entries(&shape);
        let step = Step { op: Op::Input, parent: 0, width, node: 0, rounded: false };
        Reader {
            values: HashMap::from([(input, Value::Flow(Flow { step: 0, shape }))]),
            steps: vec![step],
            budget,
            approximations: Vec::new(),
            remarks: Vec::new(),
            opset,
            node: 0,
            output,
        }
    }

    /// Adds a constant that the file holds.
    ///
    /// # Errors
    /// When the name is taken, or an integer constant is no list.
    pub fn constant(&mut self, name: &'a str, constant: Constant) -> Result<()> {
        let value = match constant {
            Constant::Float(tensor) => Value::Float(tensor),
            Constant::Integer(dims, values) if dims.len() <= 1 => Value::Sizes(Sizes {
                scalar: dims.is_empty(),
                values: values.into_iter().map(Size::Known).collect(),
            }),
            Constant::Integer(dims, _) => {
                return Err(Error::invalid(
                    "",
                    format!("integers of the shape {dims:?}"),
                    "floating-point numbers, or a list of integers as a shape",
                ));
            }
        };
        self.define(name, value)
    }

    /// The flow called `name`, once its nodes are read.
    ///
    /// # Errors
    /// When it is a constant or a shape.
    pub fn flow(&self, name: &str) -> Result<Flow> {
        match self.values.get(name) {
            Some(Value::Flow(flow)) => Ok(flow.clone()),
            _ => Err(Error::invalid(
                "",
                "a value that does not depend on the input",
                "a function of the input",
            )),
        }
    }

    fn define(&mut self, name: &'a str, value: Value) -> Result<()> {
        if self.values.insert(name, value).is_some() {
            return Err(Error::invalid(
                "",
                format!("the value {} a second time", quote(name)),
                "distinct names",
            ));
        }
        Ok(())
    }

    /// Reads one node.
    ///
    /// # Errors
    /// When it is not supported, or does not fit its inputs.
    pub fn read(&mut self, index: usize, node: &'a Node) -> Result<()> {
        self.node = index;
        let value = match node.domain.as_str() {
            "" | "ai.onnx" => self.standard(node),
            "ai.onnx.ml" => self.machine_learning(node),
            other => Err(Error::invalid(
                "",
                format!("an operator of the domain {}", quote(other)),
                OPERATORS,
            )),
        };
        let value = value.map_err(|e| e.within(place(index, node)))?;
        match node.output.first() {
            Some(name) => self.define(name, value).map_err(|e| e.within(place(index, node))),
            None => Ok(()),
        }
    }

    fn standard(&mut self, node: &'a Node) -> Result<Value> {
        let attributes = Attributes(&node.attribute);
        match node.op_type.as_str() {
            "Identity" => self.operand(node, 0),
            "Constant" => self.literal(&attributes),
            "Cast" => self.cast(node, &attributes),
            "Dropout" => self.dropout(node),
            "Flatten" => {
                let flow = self.flow_operand(node, 0)?;
                let shape = shape::flatten(&flow.shape, attributes.integer("axis", 1)?)?;
                Ok(Value::Flow(Flow { shape, ..flow }))
            }
            "Reshape" => self.reshape(node, &attributes),
            "Squeeze" => self.squeeze(node, &attributes),
            "Unsqueeze" => self.unsqueeze(node, &attributes),
            "Transpose" => self.transpose(node, &attributes),
            "Shape" => self.shape_of(node, &attributes),
            "Gather" => self.gather(node, &attributes),
            "Slice" => self.slice(node, &attributes),
            "Concat" => self.concat(node, &attributes),
            "Gemm" => self.gemm(node, &attributes),
            "MatMul" => self.mat_mul(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Pow" => self.pow(node),
            "Neg" => {
                let flow = self.flow_operand(node, 0)?;
                Ok(self.then(&flow, Op::Multiply(Factor::All(-1.0))))
            }
            "Relu" => self.activation(node, Activation::Relu),
            "Tanh" => self.activation(node, Activation::Tanh),
            "Sigmoid" => self.activation(node, Activation::Sigmoid),
            "Softplus" => self.activation(node, Activation::Softplus),
            "Abs" => self.activation(node, Activation::Abs),
            "Sin" => self.activation(node, Activation::Sin),
            "LeakyRelu" => {
                let slope = attributes.number("alpha", f64::from(0.01_f32))?;
                let function = Activation::from_name("leaky_relu", Some(slope))?;
                self.activation(node, function)
            }
            "PRelu" => {
                let flow = self.flow_operand(node, 0)?;
                let slopes = self.numbers(node, 1)?;
                let (shape, factor) = self.broadcast(&flow.shape, &slopes)?;
                let op = match factor {
                    Factor::All(slope) => Op::Activate(Activation::LeakyRelu { slope }),
                    Factor::Each(slopes) => Op::Slopes(slopes),
                };
                Ok(self.then(&Flow { shape, ..flow }, op))
            }
            "Elu" => self.elu(node, attributes.number("alpha", 1.0)?),
            "Celu" => match attributes.number("alpha", 1.0)? {
                1.0 => self.elu(node, 1.0),
                alpha => Err(found(format!("alpha {alpha}"), "1, with which it is ELU")),
            },
            "Selu" => {
                // The defaults are those of the format, float32 numbers.
                let alpha = attributes.number("alpha", f64::from(1.673_263_2_f32))?;
                let gamma = attributes.number("gamma", f64::from(1.050_701_f32))?;
                match self.elu(node, alpha)? {
                    Value::Flow(flow) if gamma.is_finite() => {
                        Ok(self.then(&flow, Op::Multiply(Factor::All(gamma))))
                    }
                    _ => Err(found(format!("gamma {gamma}"), "a finite number")),
                }
            }
            "Gelu" => match attributes.text("approximate", "none")?.as_str() {
                "none" => self.activation(node, Activation::Gelu),
                other => Err(found(
                    format!("approximate {}", quote(other)),
                    "\"none\": GELU by the error function; its approximation by tanh is another \
                     function",
                )),
            },
            "Swish" => match attributes.number("alpha", 1.0)? {
                1.0 => self.activation(node, Activation::Silu),
                alpha => Err(found(format!("alpha {alpha}"), "1, with which it is SiLU")),
            },
            "Erf" => {
                let flow = self.flow_operand(node, 0)?;
                Ok(self.then(&flow, Op::Erf))
            }
            // No operator of the standard, but Keras writes it.
            "Erfc" => {
                let flow = self.flow_operand(node, 0)?;
                let erf = self.flow_of(&flow, Op::Erf)?;
                let minus = self.flow_of(&erf, Op::Multiply(Factor::All(-1.0)))?;
                Ok(self.then(&minus, Op::Shift(Factor::All(1.0))))
            }
            "Clip" => self.clip(node, &attributes),
            "BatchNormalization" => self.batch_normalization(node, &attributes),
            "Softmax" => self.softmax(node, &attributes),
            "LogSoftmax" => Err(found(
                "the logarithm of a softmax",
                "a softmax, or no head: export the network without its last activation",
            )),
            "Greater" => self.greater(node),
            "Where" => self.select(node),
            other => Err(found(format!("the operator {}", quote(other)), OPERATORS)),
        }
    }

    fn machine_learning(&mut self, node: &'a Node) -> Result<Value> {
        let attributes = Attributes(&node.attribute);
        match node.op_type.as_str() {
            // One dictionary a row, its values those of the tensor.
            "ZipMap" => self.operand(node, 0),
            "Scaler" => {
                let flow = self.flow_operand(node, 0)?;
                let list = |name| {
                    let numbers = attributes.numbers(name)?;
                    Ok::<_, Error>(Tensor { dims: vec![numbers.len()], data: numbers.into() })
                };
                let (_, offset) = self.broadcast(&flow.shape, &list("offset")?)?;
                let (_, scale) = self.broadcast(&flow.shape, &list("scale")?)?;
                let shifted = self.flow_of(&flow, Op::Shift(offset.map(|x| -x)))?;
                Ok(self.then(&shifted, Op::Multiply(scale)))
            }
            "LinearRegressor" => self.linear_regressor(node, &attributes),
            other => Err(found(format!("the operator {}", quote(other)), OPERATORS)),
        }
    }

    // ---- Operands and steps ----

    fn operand(&self, node: &'a Node, index: usize) -> Result<Value> {
        match self.optional(node, index)? {
            Some(value) => Ok(value),
            None => Err(found(format!("no input {index}"), "one")),
        }
    }

    fn optional(&self, node: &'a Node, index: usize) -> Result<Option<Value>> {
        let Some(name) = node.input.get(index).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        match self.values.get(name.as_str()) {
            Some(value) => Ok(Some(value.clone())),
            None => Err(found(
                format!("the value {}, which is not known there", quote(name)),
                "the input of the network, a constant, or the first output of an earlier node",
            )),
        }
    }

    fn flow_operand(&self, node: &'a Node, index: usize) -> Result<Flow> {
        match self.operand(node, index)? {
            Value::Flow(flow) => Ok(flow),
            _ => Err(found(
                format!("a constant as input {index}"),
                "a value that depends on the input of the network: let the exporter fold constants",
            )),
        }
    }

    fn numbers(&self, node: &'a Node, index: usize) -> Result<Tensor> {
        match self.operand(node, index)? {
            Value::Float(tensor) => Ok(tensor),
            Value::Flow(_) | Value::Above(..) => {
                Err(found(format!("input {index} depending on the input of the network"), CONSTANT))
            }
            Value::Sizes(_) => Err(found(format!("integers as input {index}"), CONSTANT)),
        }
    }

    /// The integers of input `index`, or of the attribute `name` where older files have them.
    fn integers(
        &self,
        node: &'a Node,
        index: usize,
        attributes: &Attributes,
        name: &str,
    ) -> Result<Option<Vec<i64>>> {
        match self.optional(node, index)? {
            None => Ok(attributes.integers(name).map(<[i64]>::to_vec)),
            Some(Value::Sizes(sizes)) => sizes
                .values
                .iter()
                .map(|size| match size {
                    Size::Known(k) => Ok(*k),
                    Size::Rows(_) => Err(found("the number of rows", format!("{name}: constants"))),
                })
                .collect::<Result<_>>()
                .map(Some),
            Some(_) => Err(found(format!("input {index} of another kind"), "constant integers")),
        }
    }

    /// The flow that `op` makes of `flow`, entry by entry.
    fn then(&mut self, flow: &Flow, op: Op) -> Value {
        self.wider(flow, op, entries(&flow.shape), flow.shape.clone())
    }

    fn wider(&mut self, flow: &Flow, op: Op, width: usize, shape: Vec<Dim>) -> Value {
        let step = Step { op, parent: flow.step, width, node: self.node, rounded: false };
        self.steps.push(step);
        Value::Flow(Flow { step: self.steps.len() - 1, shape })
    }

    fn activation(&mut self, node: &'a Node, function: Activation) -> Result<Value> {
        let flow = self.flow_operand(node, 0)?;
        Ok(self.then(&flow, Op::Activate(function)))
    }

    fn elu(&mut self, node: &'a Node, alpha: f64) -> Result<Value> {
        let function = Activation::from_name("elu", Some(alpha))?;
        self.activation(node, function)
    }

    /// The shape of a flow joined with `tensor`, and the number that meets each entry.
    fn broadcast(&mut self, shape: &[Dim], tensor: &Tensor) -> Result<(Vec<Dim>, Factor)> {
        let mismatch = || {
            found(
                format!("a constant of the shape {:?} beside {}", tensor.dims, show(shape)),
                "one number, or one for each entry",
            )
        };
        let rank = shape.len().max(tensor.dims.len());
        if rank > MOST_DIMENSIONS {
            return Err(mismatch());
        }
        let mut joined = vec![Dim::Of(1); rank - shape.len()];
        joined.extend(shape);
        let mut dims = vec![1; rank - tensor.dims.len()];
        dims.extend(&tensor.dims);
        // The constant's step along each dimension of the entries, the last one first.
        let mut axes = Vec::new();
        let mut stride = 1;
        for (dim, length) in joined.iter().zip(&dims).rev() {
            match (dim, length) {
                (Dim::Of(n), 1) => axes.push((*n, 0)),
                (Dim::Rows(_), 1) => {}
                (Dim::Of(n), length) if n == length => {
                    axes.push((*n, stride));
                    stride *= length;
                }
                _ => return Err(mismatch()),
            }
        }
        if let Some(x) = tensor.data.iter().find(|x| !x.is_finite()) {
            return Err(found(x.to_string(), "finite numbers only"));
        }
        let first = *tensor.data.first().ok_or_else(mismatch)?;
        if tensor.data.iter().all(|x| x.to_bits() == first.to_bits()) {
            return Ok((joined, Factor::All(first)));
        }
        let count = entries(&joined);
        if tensor.data.len() == count {
            return Ok((joined, Factor::Each(tensor.data.clone())));
        }
        self.budget.claim(count)?;
        let at = |mut entry: usize| {
            let mut place = 0;
            for (length, stride) in &axes {
                place += entry % length * stride;
                entry /= length;
            }
            tensor.data.get(place).copied().unwrap_or_default()
        };
        Ok((joined, Factor::Each((0..count).map(at).collect())))
    }

    // ---- Constants, shapes and what leaves a row as it is ----

    fn literal(&mut self, attributes: &Attributes) -> Result<Value> {
        let [attribute] = attributes.0 else {
            return Err(found(format!("{} attributes", attributes.0.len()), "one"));
        };
        let float = |dims, data: Vec<f64>| Value::Float(Tensor { dims, data: data.into() });
        let sizes = |scalar, values: &[i64]| {
            Value::Sizes(Sizes {
                scalar,
                values: values.iter().copied().map(Size::Known).collect(),
            })
        };
        Ok(match (attribute.name.as_str(), &attribute.t, attribute.f, attribute.i) {
            ("value", Some(tensor), ..) => match Constant::decode(tensor)? {
                Constant::Float(tensor) => Value::Float(tensor),
                Constant::Integer(dims, values) if dims.len() <= 1 => {
                    sizes(dims.is_empty(), &values)
                }
                Constant::Integer(dims, _) => {
                    return Err(found(format!("integers of the shape {dims:?}"), "a list of them"));
                }
            },
            ("value_float", _, Some(x), _) => float(Vec::new(), vec![f64::from(x)]),
            ("value_floats", ..) => {
                let data: Vec<f64> = attribute.floats.iter().map(|x| f64::from(*x)).collect();
                float(vec![data.len()], data)
            }
            ("value_int", .., Some(i)) => sizes(true, &[i]),
            ("value_ints", ..) => sizes(false, &attribute.ints),
            (other, ..) => {
                return Err(found(
                    format!("the attribute {}", quote(other)),
                    "a number or a tensor",
                ));
            }
        })
    }

    fn cast(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let to = i32::try_from(attributes.integer("to", 0)?).unwrap_or_default();
        let wrong = || found(format!("a conversion to {}", element::name(to)), "a float type");
        match self.operand(node, 0)? {
            value @ Value::Sizes(_) if matches!(to, element::INT64 | element::INT32) => Ok(value),
            // Values are real numbers here: how the file rounds them is no part of the function.
            value @ Value::Flow(_) if element::is_float(to) => Ok(value),
            value @ Value::Float(_) if to == element::DOUBLE => Ok(value),
            Value::Float(tensor) if to == element::FLOAT => {
                self.budget.claim(tensor.data.len())?;
                let data = tensor.data.iter().map(|x| f64::from(*x as f32)).collect();
                Ok(Value::Float(Tensor { data, ..tensor }))
            }
            _ => Err(wrong()),
        }
    }

    fn dropout(&mut self, node: &'a Node) -> Result<Value> {
        match self.optional(node, 2)? {
            Some(Value::Sizes(switch)) if switch.values.iter().any(|s| *s != Size::Known(0)) => {
                Err(found("dropout in training", "a network exported for inference"))
            }
            _ => self.operand(node, 0),
        }
    }

    fn reshape(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let target = match self.operand(node, 1)? {
            Value::Sizes(sizes) => sizes.values,
            _ => return Err(found("a shape of another kind", "integers")),
        };
        match self.operand(node, 0)? {
            Value::Flow(flow) => {
                let zero_is_a_length = attributes.integer("allowzero", 0)? != 0;
                match shape::reshape(&flow.shape, &target, zero_is_a_length) {
                    Ok(shape) => Ok(Value::Flow(Flow { shape, ..flow })),
                    // scikit-learn's regressors lay the outputs of all rows in one column.
                    Err(_) if self.is_last(node) && is_column(&target) => {
                        let width = entries(&flow.shape);
                        self.remarks.push(format!(
                            "{}: the file lays the {width} outputs of a row below each other; they \
                             are read side by side",
                            place(self.node, node)
                        ));
                        Ok(Value::Flow(flow))
                    }
                    Err(refusal) => Err(refusal.into()),
                }
            }
            Value::Float(tensor) => {
                let shape: Vec<Dim> = tensor.dims.iter().map(|n| Dim::Of(*n)).collect();
                let dims = dims_of(&shape::reshape(&shape, &target, false)?)?;
                Ok(Value::Float(Tensor { dims, ..tensor }))
            }
            Value::Sizes(sizes) if target.len() <= 1 => {
                Ok(Value::Sizes(Sizes { scalar: target.is_empty(), ..sizes }))
            }
            _ => Err(found("a value of another kind", "numbers")),
        }
    }

    /// Whether the node makes the output of the graph.
    fn is_last(&self, node: &Node) -> bool {
        node.output.first().is_some_and(|name| name == self.output)
    }

    fn squeeze(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let axes = self.integers(node, 1, attributes, "axes")?;
        match self.operand(node, 0)? {
            Value::Flow(flow) => {
                let shape = shape::squeeze(&flow.shape, axes.as_deref())?;
                Ok(Value::Flow(Flow { shape, ..flow }))
            }
            Value::Float(tensor) => {
                let shape: Vec<Dim> = tensor.dims.iter().map(|n| Dim::Of(*n)).collect();
                let dims = dims_of(&shape::squeeze(&shape, axes.as_deref())?)?;
                Ok(Value::Float(Tensor { dims, ..tensor }))
            }
            Value::Sizes(sizes) if sizes.values.len() == 1 => {
                Ok(Value::Sizes(Sizes { scalar: true, ..sizes }))
            }
            _ => Err(found("a value of another kind", "an axis of length 1")),
        }
    }

    fn unsqueeze(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let Some(axes) = self.integers(node, 1, attributes, "axes")? else {
            return Err(found("no axes", "constant integers"));
        };
        match self.operand(node, 0)? {
            Value::Flow(flow) => {
                let shape = shape::unsqueeze(&flow.shape, &axes, Dim::Of(1))?;
                Ok(Value::Flow(Flow { shape, ..flow }))
            }
            Value::Float(tensor) => {
                let dims = shape::unsqueeze(&tensor.dims, &axes, 1)?;
                Ok(Value::Float(Tensor { dims, ..tensor }))
            }
            Value::Sizes(sizes) if sizes.scalar && axes.len() == 1 => {
                Ok(Value::Sizes(Sizes { scalar: false, ..sizes }))
            }
            _ => Err(found("a value of another kind", "numbers")),
        }
    }

    fn transpose(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let perm = attributes.integers("perm").unwrap_or_default();
        match self.operand(node, 0)? {
            Value::Flow(flow) => {
                let shape = shape::transpose(&flow.shape, perm)?;
                Ok(Value::Flow(Flow { shape, ..flow }))
            }
            Value::Float(tensor) => {
                let order = shape::permutation(perm, tensor.dims.len())?;
                self.budget.claim(tensor.data.len())?;
                let array = ndarray::ArrayView::from_shape(&tensor.dims[..], &tensor.data)
                    .map_err(|_| lost())?;
                let turned = array.permuted_axes(order);
                let dims = turned.shape().to_vec();
                Ok(Value::Float(Tensor { dims, data: turned.iter().copied().collect() }))
            }
            _ => Err(found("a value of another kind", "numbers")),
        }
    }

    fn shape_of(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let sizes: Vec<Size> = match self.operand(node, 0)? {
            Value::Flow(flow) => flow
                .shape
                .iter()
                .map(|dim| match dim {
                    Dim::Rows(n) => Size::Rows(*n),
                    Dim::Of(n) => Size::Known(*n as i64),
                })
                .collect(),
            Value::Float(tensor) => tensor.dims.iter().map(|n| Size::Known(*n as i64)).collect(),
            _ => return Err(found("a value of another kind", "numbers")),
        };
        let end = |name, default: usize| {
            let rank = sizes.len() as i64;
            let at = attributes.integer(name, default as i64)?;
            let at = if at < 0 { at.saturating_add(rank) } else { at };
            Ok::<_, Error>(at.clamp(0, rank) as usize)
        };
        let (start, end) = (end("start", 0)?, end("end", sizes.len())?);
        let values = sizes.get(start..end).unwrap_or_default();
        Ok(Value::Sizes(Sizes { scalar: false, values: values.into() }))
    }

    fn sizes(&self, node: &'a Node, index: usize) -> Result<Sizes> {
        match self.operand(node, index)? {
            Value::Sizes(sizes) => Ok(sizes),
            _ => Err(found(
                "entries of a row picked out",
                format!("{} on shapes only", quote(&node.op_type)),
            )),
        }
    }

    fn gather(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let sizes = self.sizes(node, 0)?;
        let picks = self.sizes(node, 1)?;
        if attributes.integer("axis", 0)? != 0 || sizes.scalar {
            return Err(found("another axis", "the only one"));
        }
        self.budget.claim(picks.values.len())?;
        let values = picks
            .values
            .iter()
            .map(|pick| match pick {
                Size::Known(k) => Ok(sizes.values[shape::axis(*k, sizes.values.len())?]),
                Size::Rows(_) => Err(found("the number of rows as an index", "a constant")),
            })
            .collect::<Result<_>>()?;
        Ok(Value::Sizes(Sizes { scalar: picks.scalar, values }))
    }

    fn slice(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let sizes = self.sizes(node, 0)?;
        let rank = sizes.values.len() as i64;
        let list = |index, name| self.integers(node, index, attributes, name);
        let (starts, ends) = (list(1, "starts")?, list(2, "ends")?);
        let (axes, steps) = (list(3, "axes")?, list(4, "steps")?);
        let (Some([start]), Some([end])) = (starts.as_deref(), ends.as_deref()) else {
            return Err(found("other bounds", "one start and one end"));
        };
        if !matches!(axes.as_deref(), None | Some([0 | -1]))
            || !matches!(steps.as_deref(), None | Some([1]))
        {
            return Err(found("another axis or step", "the only axis, in steps of 1"));
        }
        let at = |k: i64| if k < 0 { k.saturating_add(rank) } else { k }.clamp(0, rank) as usize;
        let values = sizes.values.get(at(*start)..at(*end)).unwrap_or_default();
        Ok(Value::Sizes(Sizes { scalar: false, values: values.into() }))
    }

    // ---- Affine maps ----

    fn gemm(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        if attributes.integer("transA", 0)? != 0 {
            return Err(found("transA 1", "0"));
        }
        let flow = self.flow_operand(node, 0)?;
        let &[rows @ (Dim::Rows(_) | Dim::Of(1)), Dim::Of(_)] = &flow.shape[..] else {
            return Err(found(show(&flow.shape), "one row of entries for each row of the table"));
        };
        let weight = self.numbers(node, 1)?;
        if weight.dims.len() != 2 {
            return Err(found(format!("a weight of the shape {:?}", weight.dims), "a matrix"));
        }
        let transposed = attributes.integer("transB", 0)? != 0;
        let (alpha, beta) = (attributes.number("alpha", 1.0)?, attributes.number("beta", 1.0)?);
        let mut flow = self.dense(&flow, weight, transposed, |width| vec![rows, Dim::Of(width)])?;
        if alpha != 1.0 {
            let alpha = finite("alpha", alpha)?;
            flow = self.flow_of(&flow, Op::Multiply(Factor::All(alpha)))?;
        }
        let Some(bias) = self.optional(node, 2)? else { return Ok(Value::Flow(flow)) };
        let Value::Float(bias) = bias else {
            return Err(found("a bias that is no constant", CONSTANT));
        };
        let (shape, mut bias) = self.broadcast(&flow.shape, &bias)?;
        if beta != 1.0 {
            let beta = finite("beta", beta)?;
            if !each(&bias).iter().all(|x| exact_product(*x, beta).is_some()) {
                self.approximations.push((self.node, "its bias times beta is rounded".into()));
            }
            bias = bias.map(|x| x * beta);
        }
        Ok(self.then(&Flow { shape, ..flow }, Op::Shift(bias)))
    }

    /// `then`, where the value is wanted as a flow.
    fn flow_of(&mut self, flow: &Flow, op: Op) -> Result<Flow> {
        match self.then(flow, op) {
            Value::Flow(flow) => Ok(flow),
            _ => Err(lost()),
        }
    }

    /// A matrix applied to the entries of `flow`: (before, after), or (after, before) when
    /// `transposed`.
    fn dense(
        &mut self,
        flow: &Flow,
        weight: Tensor,
        transposed: bool,
        shape: impl Fn(usize) -> Vec<Dim>,
    ) -> Result<Flow> {
        let &[.., first, second] = &weight.dims[..] else { return Err(lost()) };
        let (before, after) = if transposed { (second, first) } else { (first, second) };
        let width = entries(&flow.shape);
        if before != width || after == 0 {
            return Err(found(
                format!("a weight of the shape {:?} for {width} entries", weight.dims),
                format!("one with {width} {}", if transposed { "columns" } else { "rows" }),
            ));
        }
        if let Some(x) = weight.data.iter().find(|x| !x.is_finite()) {
            return Err(found(format!("the weight {x}"), "finite numbers only"));
        }
        match self.wider(flow, Op::Dense { weight, transposed }, after, shape(after)) {
            Value::Flow(flow) => Ok(flow),
            _ => Err(lost()),
        }
    }

    fn mat_mul(&mut self, node: &'a Node) -> Result<Value> {
        match (self.operand(node, 0)?, self.operand(node, 1)?) {
            (Value::Flow(flow), Value::Float(weight)) => self.times_matrix(&flow, weight, false),
            (Value::Float(weight), Value::Flow(flow)) => self.times_matrix(&flow, weight, true),
            _ => Err(found("a product of other values", "one constant and one that is none")),
        }
    }

    /// `flow weight`, or `weight flow` when `left`.
    fn times_matrix(&mut self, flow: &Flow, mut weight: Tensor, left: bool) -> Result<Value> {
        let vector = weight.dims.len() == 1;
        if vector {
            // A vector is a single row from the left, a single column from the right.
            weight.dims.insert(usize::from(!left), 1);
        }
        let rank = weight.dims.len();
        if rank < 2 || weight.dims[..rank - 2].iter().any(|n| *n != 1) {
            return Err(found(format!("a weight of the shape {:?}", weight.dims), "a matrix"));
        }
        let shape = &flow.shape;
        // The axis along which the product sums: the last one, or for `weight flow` the one before.
        let axis = match (left, shape.len()) {
            (_, 0) => return Err(found(show(shape), "a vector or a matrix")),
            (true, n) if n >= 2 => n - 2,
            (_, n) => n - 1,
        };
        let alone = shape.iter().enumerate().all(|(a, dim)| match dim {
            Dim::Rows(_) => a != axis,
            Dim::Of(n) => a == axis || *n == 1,
        });
        if !alone {
            return Err(found(show(shape), "one row of entries for each row of the table"));
        }
        let made = |width: usize| {
            let mut new = shape.clone();
            if vector {
                new.remove(axis);
            } else {
                new[axis] = Dim::Of(width);
            }
            let missing = rank.saturating_sub(new.len().max(2));
            let padded = if vector { 0 } else { missing.min(MOST_DIMENSIONS) };
            [vec![Dim::Of(1); padded], new].concat()
        };
        Ok(Value::Flow(self.dense(flow, weight, left, made)?))
    }

    fn linear_regressor(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let flow = self.flow_operand(node, 0)?;
        let transform = attributes.text("post_transform", "NONE")?;
        if transform != "NONE" {
            return Err(found(format!("post_transform {}", quote(&transform)), "\"NONE\""));
        }
        let &[rows @ (Dim::Rows(_) | Dim::Of(1)), Dim::Of(width)] = &flow.shape[..] else {
            return Err(found(show(&flow.shape), "one row of entries for each row of the table"));
        };
        let coefficients = attributes.numbers("coefficients")?;
        let targets = usize::try_from(attributes.integer("targets", 1)?).unwrap_or_default();
        if targets == 0 || targets.checked_mul(width) != Some(coefficients.len()) {
            return Err(found(
                format!("{} coefficients", coefficients.len()),
                format!("{width} for each target"),
            ));
        }
        let weight = Tensor { dims: vec![targets, width], data: coefficients.into() };
        let flow = self.dense(&flow, weight, true, |width| vec![rows, Dim::Of(width)])?;
        let intercepts = attributes.numbers("intercepts")?;
        if intercepts.is_empty() {
            return Ok(Value::Flow(flow));
        }
        let intercepts = Tensor { dims: vec![intercepts.len()], data: intercepts.into() };
        let (_, shift) = self.broadcast(&flow.shape, &intercepts)?;
        Ok(self.then(&flow, Op::Shift(shift)))
    }

    /// Add, Sub, Mul, Div.
    fn arithmetic(&mut self, node: &'a Node) -> Result<Value> {
        let operator = node.op_type.as_str();
        match (self.operand(node, 0)?, self.operand(node, 1)?) {
            (Value::Flow(flow), Value::Float(tensor)) => {
                let (shape, factor) = self.broadcast(&flow.shape, &tensor)?;
                let flow = Flow { shape, ..flow };
                let op = match operator {
                    "Add" => Op::Shift(factor),
                    "Sub" => Op::Shift(factor.map(|x| -x)),
                    "Mul" => Op::Multiply(factor),
                    _ if each(&factor).contains(&0.0) => {
                        return Err(found("a division by 0", "other constants"));
                    }
                    _ => Op::Divide(factor),
                };
                Ok(self.then(&flow, op))
            }
            (Value::Float(tensor), Value::Flow(flow)) => {
                let (shape, factor) = self.broadcast(&flow.shape, &tensor)?;
                let flow = Flow { shape, ..flow };
                match operator {
                    "Add" => Ok(self.then(&flow, Op::Shift(factor))),
                    "Mul" => Ok(self.then(&flow, Op::Multiply(factor))),
                    "Sub" => {
                        let minus = self.flow_of(&flow, Op::Multiply(Factor::All(-1.0)))?;
                        Ok(self.then(&minus, Op::Shift(factor)))
                    }
                    _ => Err(found("a division by a value", "by constants only")),
                }
            }
            (Value::Flow(a), Value::Flow(b)) if operator == "Mul" => self.product(&a, &b),
            (Value::Flow(_), Value::Flow(_)) => Err(found(
                "two values that both depend on the input",
                "one of them constant: networks with branches are not read",
            )),
            _ => Err(found(
                "two values that do not depend on the input, or one that is no number",
                "constants folded by the exporter",
            )),
        }
    }

    fn pow(&mut self, node: &'a Node) -> Result<Value> {
        /// Highest power.
        const HIGHEST: f64 = 64.0;
        let flow = self.flow_operand(node, 0)?;
        let exponent = match self.operand(node, 1)? {
            Value::Float(tensor) => match self.broadcast(&flow.shape, &tensor)? {
                (_, Factor::All(k)) => k,
                _ => return Err(found("several exponents", "one")),
            },
            Value::Sizes(sizes) => match sizes.values[..] {
                [Size::Known(k)] => k as f64,
                _ => return Err(found("several exponents", "one")),
            },
            _ => return Err(found("an exponent that is no constant", CONSTANT)),
        };
        if exponent == 1.0 {
            return Ok(Value::Flow(flow));
        }
        if exponent.fract() != 0.0 || !(2.0..=HIGHEST).contains(&exponent) {
            return Err(found(
                format!("the exponent {exponent}"),
                format!("an integer from 1 to {HIGHEST}"),
            ));
        }
        Ok(self.then(&flow, Op::Power(exponent as usize)))
    }

    // ---- Normalisation, clipping, the head ----

    fn batch_normalization(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        if attributes.integer("training_mode", 0)? != 0 {
            return Err(found("training_mode 1", "a network exported for inference"));
        }
        let flow = self.flow_operand(node, 0)?;
        let channels = match flow.shape.get(1) {
            Some(Dim::Of(n)) if matches!(flow.shape[0], Dim::Rows(_) | Dim::Of(1)) => *n,
            _ => return Err(found(show(&flow.shape), "rows, then channels")),
        };
        let mut dims = vec![channels];
        dims.resize(flow.shape.len() - 1, 1);
        let epsilon = attributes.number("epsilon", f64::from(1e-5_f32))?;
        let mut list = |index: usize| {
            let tensor = self.numbers(node, index)?;
            if tensor.data.len() != channels {
                return Err(found(format!("{} numbers", tensor.data.len()), channels.to_string()));
            }
            if let Some(x) = tensor.data.iter().find(|x| !x.is_finite()) {
                return Err(found(x.to_string(), "finite numbers only"));
            }
            self.budget.claim(channels)?;
            Ok(tensor.data)
        };
        let (scale, bias, mean, variance) = (list(1)?, list(2)?, list(3)?, list(4)?);
        let mut rounded = false;
        let mut factors = Vec::with_capacity(channels);
        for (scale, variance) in scale.iter().zip(variance.iter()) {
            let sum = variance + epsilon;
            if !(sum.is_finite() && sum > 0.0) {
                return Err(found(format!("variance + epsilon = {sum}"), "a positive number"));
            }
            let deviation = sum.sqrt();
            let factor = scale * deviation.recip();
            rounded |= exact_sum(*variance, epsilon).is_none()
                || exact_product(deviation, deviation) != Some(sum)
                || !has_exact_reciprocal(deviation)
                || exact_product(*scale, deviation.recip()).is_none();
            factors.push(factor);
        }
        if rounded {
            self.approximations.push((
                self.node,
                "its factors, scale / sqrt(variance + epsilon), are rounded to float64".into(),
            ));
        }
        let mut step = |flow: &Flow, data: Rc<[f64]>, op: fn(Factor) -> Op| {
            let tensor = Tensor { dims: dims.clone(), data };
            let (_, factor) = self.broadcast(&flow.shape, &tensor)?;
            let flow = self.flow_of(flow, op(factor))?;
            self.steps[flow.step].rounded = rounded;
            Ok::<_, Error>(flow)
        };
        let centred = step(&flow, mean.iter().map(|x| -x).collect(), Op::Shift)?;
        let scaled = step(&centred, factors.into(), Op::Multiply)?;
        Ok(Value::Flow(step(&scaled, bias, Op::Shift)?))
    }

    fn clip(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let flow = self.flow_operand(node, 0)?;
        let end = |index, name, open: f64| match self.optional(node, index)? {
            None => attributes.number(name, open),
            Some(Value::Float(tensor)) if tensor.data.len() == 1 => Ok(tensor.data[0]),
            Some(_) => Err(found(format!("input {index} of another kind"), "one constant")),
        };
        let ends = (end(1, "min", f64::NEG_INFINITY)?, end(2, "max", f64::INFINITY)?);
        let function = match ends {
            (-1.0, 1.0) => Activation::HardTanh,
            (0.0, f64::INFINITY) => Activation::Relu,
            (min, max) => {
                return Err(found(
                    format!("the ends {min} and {max}"),
                    "-1 and 1 (hard tanh), or 0 and none (ReLU)",
                ));
            }
        };
        Ok(self.then(&flow, Op::Activate(function)))
    }

    fn softmax(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let flow = self.flow_operand(node, 0)?;
        // Before version 13 the default was 1, and all axes from there on were one.
        let default = if self.opset < 13 { 1 } else { -1 };
        let axis = shape::axis(attributes.integer("axis", default)?, flow.shape.len())?;
        if flow.shape[axis] != Dim::Of(entries(&flow.shape)) {
            return Err(found(
                format!("axis {axis} of {}", show(&flow.shape)),
                "the axis of the entries of a row",
            ));
        }
        Ok(self.then(&flow, Op::Softmax))
    }

    // ---- Where flows meet ----

    /// Values laid behind each other: shapes, or multiples and shifts of one vector, as the two
    /// probabilities 1 - p and p of a classifier.
    fn concat(&mut self, node: &'a Node, attributes: &Attributes) -> Result<Value> {
        let axis = attributes.integer("axis", 0)?;
        let values =
            (0..node.input.len()).map(|i| self.operand(node, i)).collect::<Result<Vec<_>>>()?;
        let mut flows = Vec::new();
        let mut sizes = Vec::new();
        for value in &values {
            match value {
                Value::Flow(flow) => flows.push(flow),
                Value::Sizes(list) if !list.scalar => {
                    self.budget.claim(list.values.len())?;
                    sizes.extend(list.values.iter().copied());
                }
                _ => return Err(found("a value of another kind", "shapes, or no constants")),
            }
        }
        match flows[..] {
            [] => return Ok(Value::Sizes(Sizes { scalar: false, values: sizes.into() })),
            [flow] if values.len() == 1 => return Ok(Value::Flow(flow.clone())),
            _ if flows.len() < values.len() => {
                return Err(found("constants among the inputs", "none"));
            }
            _ => {}
        }
        let rank = flows[0].shape.len();
        let axis = shape::axis(axis, rank)?;
        let mut shape = flows[0].shape.clone();
        let mut total = 0_usize;
        for flow in &flows {
            let Some(Dim::Of(n)) = flow.shape.get(axis) else {
                return Err(found(show(&flow.shape), "values joined along their entries"));
            };
            if flow.shape.len() != rank || *n != entries(&flow.shape) {
                return Err(found(show(&flow.shape), "values joined along their entries"));
            }
            total = total.saturating_add(*n);
        }
        shape[axis] = Dim::Of(total);
        let branches = || {
            found(
                "values that are made of the input in different ways",
                "multiples and shifts of one value: networks with branches are not read",
            )
        };
        let chains: Vec<Vec<usize>> = flows.iter().map(|flow| self.chain(flow.step)).collect();
        let base = chains[0]
            .iter()
            .copied()
            .find(|step| chains.iter().all(|chain| chain.contains(step)))
            .ok_or_else(branches)?;
        let width = self.steps[base].width;
        self.budget.claim(total.saturating_mul(width).saturating_add(total.saturating_mul(4)))?;
        let mut weight = vec![0.0; total * width];
        let mut shift = Vec::with_capacity(total);
        for chain in &chains {
            let (mut scale, mut offset) = (vec![1.0; width], vec![0.0; width]);
            let between = chain.iter().take_while(|step| **step != base);
            for &step in between.collect::<Vec<_>>().into_iter().rev() {
                for i in 0..width {
                    let inexact = || found("factors whose products round", "exact ones");
                    match &self.steps[step].op {
                        Op::Multiply(f) => {
                            let product = |x| exact_product(x, f.at(i)).ok_or_else(inexact);
                            (scale[i], offset[i]) = (product(scale[i])?, product(offset[i])?);
                        }
                        Op::Shift(f) => {
                            offset[i] = exact_sum(offset[i], f.at(i)).ok_or_else(inexact)?;
                        }
                        _ => return Err(branches()),
                    }
                }
            }
            for i in 0..width {
                weight[shift.len() * width + i] = scale[i];
                shift.push(offset[i]);
            }
        }
        let tensor = Tensor { dims: vec![total, width], data: weight.into() };
        let from = Flow { step: base, shape: vec![Dim::Of(1), Dim::Of(width)] };
        let stacked = self.dense(&from, tensor, true, |_| shape.clone())?;
        Ok(self.then(&stacked, Op::Shift(Factor::Each(shift.into()))))
    }

    /// `step` and those before it, as far as they are multiples and shifts.
    fn chain(&self, step: usize) -> Vec<usize> {
        let mut chain = vec![step];
        let mut at = step;
        while matches!(self.steps[at].op, Op::Multiply(_) | Op::Shift(_))
            && chain.len() < LONGEST_CHAIN
        {
            at = self.steps[at].parent;
            chain.push(at);
        }
        chain
    }

    /// A product of two flows: a square, SiLU or GELU.
    fn product(&mut self, a: &Flow, b: &Flow) -> Result<Value> {
        if a.shape != b.shape {
            return Err(found(
                format!("{} times {}", show(&a.shape), show(&b.shape)),
                "values of one shape",
            ));
        }
        if a.step == b.step {
            return Ok(self.then(a, Op::Power(2)));
        }
        for (x, gate) in [(a, b), (b, a)] {
            for (outer, gate) in self.multiples(gate.step) {
                for (inner, x) in self.multiples(x.step) {
                    let Some(factor) = exact_product(outer, inner) else { continue };
                    let at = |step| Flow { step, shape: a.shape.clone() };
                    if matches!(self.steps[gate].op, Op::Activate(Activation::Sigmoid))
                        && self.steps[gate].parent == x
                    {
                        let silu = self.flow_of(&at(x), Op::Activate(Activation::Silu))?;
                        return Ok(self.then(&silu, Op::Multiply(Factor::All(factor))));
                    }
                    let Some(half) = self.gelu_gate(gate, x) else { continue };
                    let Some(factor) = exact_product(2.0 * half, factor) else { continue };
                    self.approximations.push((
                        self.node,
                        "x (1 + erf(x / c)) / 2 is read as GELU, where c is sqrt 2; the file's c \
                         is sqrt 2 rounded"
                            .into(),
                    ));
                    let gelu = self.flow_of(&at(x), Op::Activate(Activation::Gelu))?;
                    return Ok(self.then(&gelu, Op::Multiply(Factor::All(factor))));
                }
            }
        }
        Err(found(
            "a product of two values that both depend on the input",
            "z z, z sigmoid(z) (SiLU), or z (1 + erf(z / sqrt 2)) / 2 (GELU) with sqrt 2 rounded \
             to float32 or float64; GELU by tanh is not read",
        ))
    }

    /// The ways to see `step` as a constant times an earlier step.
    fn multiples(&self, step: usize) -> Vec<(f64, usize)> {
        let mut ways = vec![(1.0, step)];
        let (mut factor, mut at) = (1.0, step);
        while ways.len() < LONGEST_CHAIN {
            let by = match self.steps[at].op {
                Op::Multiply(Factor::All(x)) => x,
                Op::Divide(Factor::All(x)) if has_exact_reciprocal(x) => x.recip(),
                _ => break,
            };
            let Some(product) = exact_product(factor, by) else { break };
            (factor, at) = (product, self.steps[at].parent);
            ways.push((factor, at));
        }
        ways
    }

    /// `p`, when `gate` is p (1 + erf(x / sqrt 2)).
    fn gelu_gate(&self, gate: usize, x: usize) -> Option<f64> {
        let Op::Shift(Factor::All(p)) = self.steps[gate].op else { return None };
        for (q, erf) in self.multiples(self.steps[gate].parent) {
            if !matches!(self.steps[erf].op, Op::Erf) || q.abs() != p.abs() {
                continue;
            }
            // The argument: x / sqrt 2, or its negative where the sum is a difference.
            let mut sign = (q / p).signum();
            let mut divided = false;
            let mut at = self.steps[erf].parent;
            for _ in 0..LONGEST_CHAIN {
                if at == x && divided && sign == 1.0 {
                    return Some(p);
                }
                match self.steps[at].op {
                    Op::Multiply(Factor::All(-1.0)) => sign = -sign,
                    Op::Multiply(Factor::All(c)) if !divided && is_root_of_half(c.abs()) => {
                        divided = true;
                        sign *= c.signum();
                    }
                    Op::Divide(Factor::All(c)) if !divided && is_root_of_two(c.abs()) => {
                        divided = true;
                        sign *= c.signum();
                    }
                    _ => break,
                }
                at = self.steps[at].parent;
            }
        }
        None
    }

    fn greater(&mut self, node: &'a Node) -> Result<Value> {
        match (self.operand(node, 0)?, self.operand(node, 1)?) {
            (Value::Flow(flow), Value::Float(tensor)) => {
                match self.broadcast(&flow.shape, &tensor)? {
                    (_, Factor::All(threshold)) => Ok(Value::Above(flow.step, threshold)),
                    _ => Err(found("several thresholds", "one")),
                }
            }
            _ => Err(found("a comparison of other values", "a value with a constant")),
        }
    }

    /// Where(z > t, z, softplus(z)) with t at least 20, which PyTorch writes for softplus.
    fn select(&mut self, node: &'a Node) -> Result<Value> {
        let values = (self.operand(node, 0)?, self.operand(node, 1)?, self.operand(node, 2)?);
        if let (Value::Above(z, threshold), Value::Flow(x), Value::Flow(y)) = values
            && x.step == z
            && x.shape == y.shape
            && self.steps[y.step].parent == z
            && matches!(self.steps[y.step].op, Op::Activate(Activation::Softplus))
            && threshold >= 20.0
        {
            self.approximations.push((
                self.node,
                format!(
                    "read as softplus everywhere; the file takes z itself for z above {threshold}, \
                     which is less by up to e^-{threshold}"
                ),
            ));
            return Ok(Value::Flow(y));
        }
        Err(found(
            "a choice between values",
            "softplus(z), or z where z is above a constant of at least 20",
        ))
    }
}

const CONSTANT: &str = "a constant of floating-point numbers";

fn found(found: impl Into<String>, expected: impl Into<String>) -> Error {
    Error::invalid("", found, expected)
}

/// For what the checks before rule out.
fn lost() -> Error {
    found("a value of another kind", "numbers")
}

fn finite(name: &str, x: f64) -> Result<f64> {
    if x.is_finite() { Ok(x) } else { Err(found(format!("{name} {x}"), "a finite number")) }
}

fn each(factor: &Factor) -> &[f64] {
    match factor {
        Factor::All(x) => std::slice::from_ref(x),
        Factor::Each(x) => x,
    }
}

/// The lengths of a shape without rows.
fn dims_of(shape: &[Dim]) -> Result<Vec<usize>> {
    shape
        .iter()
        .map(|dim| match dim {
            Dim::Of(n) => Ok(*n),
            Dim::Rows(_) => Err(found("a constant with rows", "lengths")),
        })
        .collect()
}

/// (-1, 1), or (-1).
fn is_column(target: &[Size]) -> bool {
    matches!(target, [Size::Known(-1)] | [Size::Known(-1), Size::Known(1)])
}

/// Whether c is sqrt 2 rounded to float32 or float64.
fn is_root_of_two(c: f64) -> bool {
    use std::f64::consts::SQRT_2;
    c == SQRT_2 || c == f64::from(SQRT_2 as f32)
}

/// Whether c is 1 / sqrt 2 rounded to float32 or float64.
fn is_root_of_half(c: f64) -> bool {
    use std::f64::consts::FRAC_1_SQRT_2;
    c == FRAC_1_SQRT_2 || c == f64::from(FRAC_1_SQRT_2 as f32)
}

/// The attributes of a node, by name.
struct Attributes<'a>(&'a [Attribute]);

impl<'a> Attributes<'a> {
    fn get(&self, name: &str) -> Option<&'a Attribute> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    fn integer(&self, name: &str, default: i64) -> Result<i64> {
        match self.get(name) {
            None => Ok(default),
            Some(attribute) => {
                attribute.i.ok_or_else(|| found(format!("no integer {name}"), "one"))
            }
        }
    }

    fn number(&self, name: &str, default: f64) -> Result<f64> {
        match self.get(name) {
            None => Ok(default),
            Some(attribute) => {
                attribute.f.map(f64::from).ok_or_else(|| found(format!("no number {name}"), "one"))
            }
        }
    }

    fn text(&self, name: &str, default: &str) -> Result<String> {
        match self.get(name) {
            None => Ok(default.into()),
            Some(attribute) => attribute
                .s
                .as_ref()
                .and_then(|s| std::str::from_utf8(s).ok())
                .map(str::to_owned)
                .ok_or_else(|| found(format!("no text {name}"), "one")),
        }
    }

    fn integers(&self, name: &str) -> Option<&'a [i64]> {
        self.get(name).map(|attribute| &attribute.ints[..])
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(attribute) => Ok(attribute.floats.iter().map(|x| f64::from(*x)).collect()),
        }
    }
}
