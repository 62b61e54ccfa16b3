//! Networks: affine maps, learned activations, and what they compute.
//!
//! A [`Network`] is defined by its numbers. An f64 is the dyadic rational it
//! stands for, so the function is exact, and there are three ways to evaluate it:
//! [`Network::forward`] in f64 (batched, fast, rounded), [`Network::forward_exact`]
//! in rationals, and [`Network::forward_enclosure`] as proven rational bounds where
//! an activation is transcendental. The exact ways are one routine,
//! [`exact::ExactNetwork`], evaluated in different [`exact::Algebra`]s; symbolic
//! expansion is a further one.

pub mod activation;
mod converse;
pub mod exact;
mod fold;
mod forward;
pub mod image;
pub(crate) mod json;
mod layer;
mod numbers;
pub mod onnx;

pub use activation::Activation;
pub use image::{Channels, Conv, Pool, PoolKind, Window};
pub use layer::{Affine, Basis, Family, Group, Layer, Mixed, Part, Slaf};
pub use numbers::{Matrix, Numbers, Vector};

use ndarray::{Array1, Array2, ArrayView2};
use num_rational::BigRational;
use num_traits::One;

use crate::error::{Error, Result};
use crate::numeric::rational::rational_from_f64;

/// An input of a network: its name and, optionally, the interval it is meant for.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Name, as in the table.
    pub name: String,
    /// Lower end of the box on which the network is meant to be used.
    pub lower: Option<f64>,
    /// Upper end of that box.
    pub upper: Option<f64>,
}

impl Input {
    /// An input without a box.
    pub fn named(name: impl Into<String>) -> Self {
        Input { name: name.into(), lower: None, upper: None }
    }
}

/// What is applied to the outputs of the last layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing: regression.
    Identity,
    /// `exp(y_i) / sum_j exp(y_j)`: one of several classes.
    Softmax,
    /// `1 / (1 + exp(-y_i))` for each output: yes or no.
    Logistic,
}

impl Head {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Head::Identity => "identity",
            Head::Softmax => "softmax",
            Head::Logistic => "logistic",
        }
    }

    /// The head of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Head::Identity, Head::Softmax, Head::Logistic].into_iter().find(|h| h.name() == name)
    }
}

/// A feed-forward network: inputs, layers, head.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    inputs: Vec<Input>,
    outputs: Vec<String>,
    layers: Vec<Layer>,
    head: Head,
    about: serde_json::Map<String, serde_json::Value>,
}

impl Network {
    /// A network from its parts.
    ///
    /// # Errors
    /// When there is no input or output, a name occurs twice, a box is empty, or the
    /// layers do not fit each other, the inputs and the outputs.
    pub fn new(
        inputs: Vec<Input>,
        outputs: Vec<String>,
        layers: Vec<Layer>,
        head: Head,
    ) -> Result<Self> {
        check_names("inputs", inputs.iter().map(|i| i.name.as_str()))?;
        check_names("outputs", outputs.iter().map(String::as_str))?;
        for (i, input) in inputs.iter().enumerate() {
            let ends = [input.lower, input.upper];
            if let Some(x) = ends.into_iter().flatten().find(|x| !x.is_finite()) {
                return Err(Error::invalid(format!("inputs[{i}]"), x.to_string(), "a finite end"));
            }
            if let (Some(lower), Some(upper)) = (input.lower, input.upper)
                && lower > upper
            {
                return Err(Error::invalid(
                    format!("inputs[{i}]"),
                    format!("lower {lower} above upper {upper}"),
                    "lower at most upper",
                ));
            }
        }
        let mut width = inputs.len();
        for (l, layer) in layers.iter().enumerate() {
            width = layer.width_after(width).map_err(|e| e.within(format!("layers[{l}]")))?;
        }
        if width != outputs.len() {
            return Err(Error::invalid(
                "outputs",
                format!("{} names", outputs.len()),
                format!("{width}, the width of the last layer"),
            ));
        }
        Ok(Network { inputs, outputs, layers, head, about: serde_json::Map::new() })
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Indices of the rows (of inputs, in order) that lie outside the box, ascending; none where an
    /// input has no ends.
    ///
    /// Outside the box a polynomial is an extrapolation: nothing that it was trained or judged on
    /// says what it does there.
    pub fn rows_outside_box(&self, rows: ArrayView2<f64>) -> Vec<usize> {
        let out = |(x, input): (&f64, &Input)| {
            input.lower.is_some_and(|lower| *x < lower)
                || input.upper.is_some_and(|upper| *x > upper)
        };
        let rows = rows.rows().into_iter().enumerate();
        rows.filter(|(_, row)| row.iter().zip(&self.inputs).any(out)).map(|(i, _)| i).collect()
    }

    /// The names of the inputs, in order.
    pub fn input_names(&self) -> Vec<String> {
        self.inputs.iter().map(|i| i.name.clone()).collect()
    }

    /// The names of the outputs, in order.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The layers, from the inputs to the outputs.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What is applied to the outputs of the last layer.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Free remarks that go into the file and that readers ignore.
    pub fn about(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.about
    }

    /// The same network with other remarks.
    #[must_use]
    pub fn with_about(mut self, about: serde_json::Map<String, serde_json::Value>) -> Self {
        self.about = about;
        self
    }

    /// The network whose values at u are those of this one at u + `point`, exactly, with the same
    /// remarks. A first affine layer takes the point, `W (u + point) + b = W u + (W point + b)`; before
    /// any other comes a layer of SLAFs that add it. Its inputs have no box.
    ///
    /// Cost: a product of the first weights with the point.
    ///
    /// # Errors
    /// When there is not one number an input.
    pub fn moved(&self, point: &[BigRational]) -> Result<Network> {
        if point.len() != self.inputs.len() {
            let expected = format!("{}, one an input", self.inputs.len());
            return Err(Error::invalid("point", format!("{} numbers", point.len()), expected));
        }
        let mut layers = self.layers.clone();
        if let Some(Layer::Affine(first)) = layers.first_mut() {
            let exact = |x: &f64| rational_from_f64(*x).unwrap_or_default();
            let mut bias = first.bias().to_exact();
            match first.weight() {
                Matrix::Float(w) => add_product(&mut bias, w, exact, point),
                Matrix::Exact(w) => add_product(&mut bias, w, Clone::clone, point),
            }
            *first = Affine::new(first.weight().clone(), bias)?;
        } else {
            let rows = Array2::from_shape_fn((point.len(), 2), |(i, power)| match power {
                0 => point[i].clone(),
                _ => BigRational::one(),
            });
            layers.insert(0, Layer::Slaf(Slaf::new(Basis::Monomial, rows)?));
        }
        let inputs = self.inputs.iter().map(|input| Input::named(&*input.name)).collect();
        let moved = Network::new(inputs, self.outputs.clone(), layers, self.head)?;
        Ok(moved.with_about(self.about.clone()))
    }

    /// The number of parameters: weights, biases and coefficients (frozen statistics are not counted).
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Layer::parameters).sum()
    }

    /// The width after each layer; the first entry is the number of inputs.
    pub fn widths(&self) -> Vec<usize> {
        let mut widths = vec![self.inputs.len()];
        for layer in &self.layers {
            let before = widths[widths.len() - 1];
            // Construction has checked every layer.
            widths.push(layer.width(before));
        }
        widths
    }

    /// How many layers from the first are polynomial: all of them, or up to the first that is not.
    pub fn polynomial_layers(&self) -> usize {
        self.layers.iter().position(|l| !l.is_polynomial()).unwrap_or(self.layers.len())
    }
}

/// Adds the product of a matrix with a point.
fn add_product<T>(
    bias: &mut Array1<BigRational>,
    weight: &Array2<T>,
    exact: impl Fn(&T) -> BigRational,
    point: &[BigRational],
) {
    for (sum, row) in bias.iter_mut().zip(weight.rows()) {
        for (w, x) in row.iter().zip(point) {
            *sum += exact(w) * x;
        }
    }
}

/// # Errors
/// When there is no name, a name is empty, or one occurs twice.
pub(crate) fn check_names<'a>(place: &str, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(Error::invalid(place, "an empty name", "a name"));
        }
        if !seen.insert(name) {
            return Err(Error::invalid(place, format!("{name:?} twice"), "distinct names"));
        }
    }
    if seen.is_empty() {
        return Err(Error::invalid(place, "none", "at least one"));
    }
    Ok(())
}
