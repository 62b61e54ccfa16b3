//! A network as a chain of affine maps and activations in f64, as the analysis walks it.

use std::borrow::Cow;

use ndarray::{Array1, Array2};

use crate::error::{Error, Result};
use crate::network::{Activation, Layer, Network, Numbers, Part};
use crate::numeric::rational::rational_from_f64;

/// A network whose numbers are f64, layer by layer.
pub(super) struct Chain<'a> {
    pub inputs: usize,
    pub steps: Vec<Step<'a>>,
}

/// One layer of the network.
pub(super) enum Step<'a> {
    /// z = W y + b, weights (outputs, inputs) in standard layout.
    Affine { weight: Cow<'a, Array2<f64>>, bias: Cow<'a, Array1<f64>> },
    /// One activation for each neuron.
    Activation(Vec<Activation>),
}

impl<'a> Chain<'a> {
    /// # Errors
    /// Numbers that are no f64, and learned activations.
    pub fn of(network: &'a Network) -> Result<Self> {
        let widths = network.widths();
        let steps = network.layers().iter().enumerate().map(|(l, layer)| {
            step(layer, widths[l]).map_err(|error| error.within(format!("layers[{l}]")))
        });
        Ok(Chain { inputs: widths[0], steps: steps.collect::<Result<_>>()? })
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        let width = self.steps.iter().rev().find_map(|step| match step {
            Step::Affine { weight, .. } => Some(weight.nrows()),
            Step::Activation(_) => None,
        });
        width.unwrap_or(self.inputs)
    }
}

fn step(layer: &Layer, width: usize) -> Result<Step<'_>> {
    Ok(match layer {
        Layer::Affine(affine) => Step::Affine {
            weight: floats(affine.weight(), "weight")?,
            bias: floats(affine.bias(), "bias")?,
        },
        Layer::Activation(function) => Step::Activation(vec![*function; width]),
        Layer::Slaf(_) => return Err(learned()),
        Layer::Mixed(mixed) => {
            let mut units = vec![Activation::Identity; width];
            for group in mixed.groups() {
                let Part::Activation(function) = group.part else { return Err(learned()) };
                for &i in &group.neurons {
                    units[i] = function;
                }
            }
            Step::Activation(units)
        }
        other => {
            let found = format!("a layer of the kind {}", other.kind());
            return Err(Error::invalid("", found, "affine layers and activations alone"));
        }
    })
}

fn learned() -> Error {
    Error::invalid("", "a SLAF", "a conventional activation: a SLAF is a polynomial already")
}

/// The entries as f64, which must be what they are exactly.
fn floats<'a, D: ndarray::Dimension>(
    numbers: &'a Numbers<D>,
    place: &str,
) -> Result<Cow<'a, ndarray::Array<f64, D>>> {
    let floats = match numbers {
        Numbers::Float(array) if array.is_standard_layout() => return Ok(Cow::Borrowed(array)),
        Numbers::Float(array) => return Ok(Cow::Owned(array.as_standard_layout().into_owned())),
        Numbers::Exact(array) => {
            let floats = numbers.to_f64().as_standard_layout().into_owned();
            let same = |(x, exact)| rational_from_f64(x).as_ref() == Some(exact);
            if !floats.iter().copied().zip(array.iter()).all(same) {
                let expected = "numbers that f64 holds exactly";
                return Err(Error::invalid(place, "a rational that is no f64", expected));
            }
            floats
        }
    };
    Ok(Cow::Owned(floats))
}
