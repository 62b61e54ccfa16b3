//! One evaluation of a network, in any algebra over the rationals.
//!
//! A polynomial network is built from sums, products and rational constants, so the
//! same walk through its layers gives its value at a rational point, its value
//! modulo a prime, a bound on its coefficients, its degree, or its polynomials
//! themselves, according to the [`Algebra`] it is carried out in.

use num_rational::BigRational;
use num_traits::{Signed, Zero};

use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::activation::Activation;
use crate::network::layer::{Layer, Part};
use crate::numeric::interval::Enclosure;
use crate::numeric::{Dyadic, modular};

/// Where a network can be evaluated: scalars for its parameters, elements for its values.
pub trait Algebra {
    /// A parameter of the network.
    type Scalar;
    /// A value that flows through the network.
    type Element: Clone;

    /// The image of a rational parameter, or `None` when it has none here.
    fn scalar(&self, value: &BigRational) -> Option<Self::Scalar>;

    /// `sum_j weights[j] inputs[j] + bias`.
    fn affine(
        &self,
        weights: &[Self::Scalar],
        inputs: &[Self::Element],
        bias: &Self::Scalar,
    ) -> Self::Element;

    /// `sum_k coefficients[k] z^k`; there is at least one coefficient.
    fn polynomial(&self, coefficients: &[Self::Scalar], z: &Self::Element) -> Self::Element;

    /// A conventional activation, or `None` when the algebra cannot express it.
    fn activation(&self, _function: Activation, _z: &Self::Element) -> Option<Self::Element> {
        None
    }
}

/// What one neuron computes after its pre-activation.
#[derive(Clone, Debug)]
pub(crate) enum Neuron<S> {
    /// Coefficients of the powers of the pre-activation, at least one.
    Polynomial(Vec<S>),
    Activation(Activation),
}

/// One layer: rows of weights, or what each neuron computes.
#[derive(Clone, Debug)]
pub(crate) enum ExactLayer<S> {
    Affine { weights: Vec<Vec<S>>, bias: Vec<S> },
    Neurons(Vec<Neuron<S>>),
}

/// A network with its parameters as scalars of an algebra and every SLAF folded.
#[derive(Clone, Debug)]
pub struct ExactNetwork<S> {
    inputs: usize,
    layers: Vec<ExactLayer<S>>,
}

impl ExactNetwork<BigRational> {
    /// The network with rational parameters, every SLAF in monomial form.
    pub fn new(network: &Network) -> Self {
        let widths = network.widths();
        let layers = network
            .layers()
            .iter()
            .zip(&widths)
            .map(|(layer, &width)| match layer {
                Layer::Affine(affine) => ExactLayer::Affine {
                    weights: affine
                        .weight()
                        .to_exact()
                        .rows()
                        .into_iter()
                        .map(|r| r.to_vec())
                        .collect(),
                    bias: affine.bias().to_exact().to_vec(),
                },
                Layer::Slaf(slaf) => ExactLayer::Neurons(
                    slaf.fold(width)
                        .into_iter()
                        .map(|p| Neuron::Polynomial(coefficients(p)))
                        .collect(),
                ),
                Layer::Activation(function) => {
                    ExactLayer::Neurons(vec![Neuron::Activation(*function); width])
                }
                Layer::Mixed(mixed) => {
                    let mut neurons = vec![Neuron::Activation(Activation::Identity); width];
                    for group in mixed.groups() {
                        let parts = match &group.part {
                            Part::Activation(f) => {
                                vec![Neuron::Activation(*f); group.neurons.len()]
                            }
                            Part::Slaf(slaf) => slaf
                                .fold(group.neurons.len())
                                .into_iter()
                                .map(|p| Neuron::Polynomial(coefficients(p)))
                                .collect(),
                        };
                        for (&i, part) in group.neurons.iter().zip(parts) {
                            neurons[i] = part;
                        }
                    }
                    ExactLayer::Neurons(neurons)
                }
            })
            .collect();
        ExactNetwork { inputs: network.inputs().len(), layers }
    }

    /// The same network with every parameter replaced by its absolute value: the majorant network.
    #[must_use]
    pub fn majorant(&self) -> Self {
        self.map(&|x: &BigRational| Some(x.abs())).unwrap_or_else(|_| self.clone())
    }

    /// Whether every parameter is an integer over a power of two.
    pub fn is_dyadic(&self) -> bool {
        self.map(&|x: &BigRational| Dyadic::from_rational(x)).is_ok()
    }

    /// The same network over the scalars of `algebra`.
    ///
    /// # Errors
    /// When a parameter has no image there.
    pub fn over<A: Algebra>(&self, algebra: &A) -> Result<ExactNetwork<A::Scalar>> {
        self.map(&|x: &BigRational| algebra.scalar(x))
    }

    fn map<S>(&self, image: &impl Fn(&BigRational) -> Option<S>) -> Result<ExactNetwork<S>> {
        let row = |row: &Vec<BigRational>, place: &dyn Fn() -> String| {
            row.iter()
                .map(|x| {
                    image(x).ok_or_else(|| {
                        Error::invalid(
                            place(),
                            x.to_string(),
                            "a number with an image in the algebra",
                        )
                    })
                })
                .collect::<Result<Vec<S>>>()
        };
        let layers = self
            .layers
            .iter()
            .enumerate()
            .map(|(l, layer)| {
                Ok(match layer {
                    ExactLayer::Affine { weights, bias } => ExactLayer::Affine {
                        weights: weights
                            .iter()
                            .map(|w| row(w, &|| format!("layers[{l}].weight")))
                            .collect::<Result<_>>()?,
                        bias: row(bias, &|| format!("layers[{l}].bias"))?,
                    },
                    ExactLayer::Neurons(neurons) => ExactLayer::Neurons(
                        neurons
                            .iter()
                            .map(|neuron| {
                                Ok(match neuron {
                                    Neuron::Activation(f) => Neuron::Activation(*f),
                                    Neuron::Polynomial(c) => Neuron::Polynomial(row(c, &|| {
                                        format!("layers[{l}].coefficients")
                                    })?),
                                })
                            })
                            .collect::<Result<_>>()?,
                    ),
                })
            })
            .collect::<Result<_>>()?;
        Ok(ExactNetwork { inputs: self.inputs, layers })
    }
}

fn coefficients(p: crate::polynomial::Univariate<BigRational>) -> Vec<BigRational> {
    let mut coefficients = p.into_coefficients();
    if coefficients.is_empty() {
        coefficients.push(BigRational::zero());
    }
    coefficients
}

impl<S> ExactNetwork<S> {
    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The layers, for those who take them a layer at a time.
    pub(crate) fn layers(&self) -> &[ExactLayer<S>] {
        &self.layers
    }

    /// The outputs of the last layer (before the head) at `inputs`.
    ///
    /// # Errors
    /// When the number of inputs is wrong, or the algebra has no image of an activation.
    pub fn evaluate<A: Algebra<Scalar = S>>(
        &self,
        algebra: &A,
        inputs: Vec<A::Element>,
    ) -> Result<Vec<A::Element>> {
        self.evaluate_watched(algebra, inputs, &mut |_, _| Ok(()))
    }

    /// As [`ExactNetwork::evaluate`], calling `watch(layer, neuron)` before each neuron;
    /// its error ends the walk.
    ///
    /// # Errors
    /// As [`ExactNetwork::evaluate`], and those of `watch`.
    pub fn evaluate_watched<A: Algebra<Scalar = S>>(
        &self,
        algebra: &A,
        inputs: Vec<A::Element>,
        watch: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Vec<A::Element>> {
        if inputs.len() != self.inputs {
            return Err(Error::invalid(
                "inputs",
                format!("{} values", inputs.len()),
                format!("{}, one for each input of the network", self.inputs),
            ));
        }
        let mut values = inputs;
        for (l, layer) in self.layers.iter().enumerate() {
            let mut next = Vec::new();
            match layer {
                ExactLayer::Affine { weights, bias } => {
                    for (i, (weights, bias)) in weights.iter().zip(bias).enumerate() {
                        watch(l, i)?;
                        next.push(algebra.affine(weights, &values, bias));
                    }
                }
                ExactLayer::Neurons(neurons) => {
                    for (i, (neuron, z)) in neurons.iter().zip(&values).enumerate() {
                        watch(l, i)?;
                        next.push(match neuron {
                            Neuron::Polynomial(coefficients) => algebra.polynomial(coefficients, z),
                            Neuron::Activation(Activation::Identity) => z.clone(),
                            Neuron::Activation(function) => algebra
                                .activation(*function, z)
                                .ok_or_else(|| Error::NotPolynomial {
                                    layer: l,
                                    function: format!("{} (neuron {i})", function.name()),
                                    advice: "replace it by a slaf, or approximate the network \
                                                 by one"
                                        .into(),
                                })?,
                        });
                    }
                }
            }
            values = next;
        }
        Ok(values)
    }
}

/// The rationals: exact values of networks of SLAFs and piecewise-polynomial activations.
#[derive(Clone, Copy, Debug)]
pub struct Rationals;

impl Algebra for Rationals {
    type Scalar = BigRational;
    type Element = BigRational;

    fn scalar(&self, value: &BigRational) -> Option<BigRational> {
        Some(value.clone())
    }
    fn affine(&self, w: &[BigRational], x: &[BigRational], bias: &BigRational) -> BigRational {
        w.iter().zip(x).fold(bias.clone(), |sum, (w, x)| sum + w * x)
    }
    fn polynomial(&self, coefficients: &[BigRational], z: &BigRational) -> BigRational {
        coefficients.iter().rev().fold(BigRational::zero(), |sum, c| sum * z + c)
    }
    fn activation(&self, function: Activation, z: &BigRational) -> Option<BigRational> {
        function.exact(z)
    }
}

/// The dyadic rationals: the same values, without a greatest common divisor in sight.
#[derive(Clone, Copy, Debug)]
pub struct Dyadics;

impl Algebra for Dyadics {
    type Scalar = Dyadic;
    type Element = Dyadic;

    fn scalar(&self, value: &BigRational) -> Option<Dyadic> {
        Dyadic::from_rational(value)
    }
    fn affine(&self, w: &[Dyadic], x: &[Dyadic], bias: &Dyadic) -> Dyadic {
        w.iter().zip(x).fold(bias.clone(), |sum, (w, x)| &sum + &(w * x))
    }
    fn polynomial(&self, coefficients: &[Dyadic], z: &Dyadic) -> Dyadic {
        coefficients.iter().rev().fold(Dyadic::zero(), |sum, c| &(&sum * z) + c)
    }
}

/// The integers modulo a prime.
#[derive(Clone, Copy, Debug)]
pub struct Modulo(
    /// The prime, below 2^62.
    pub u64,
);

impl Algebra for Modulo {
    type Scalar = u64;
    type Element = u64;

    fn scalar(&self, value: &BigRational) -> Option<u64> {
        modular::reduce_rational(value, self.0)
    }
    fn affine(&self, w: &[u64], x: &[u64], bias: &u64) -> u64 {
        w.iter()
            .zip(x)
            .fold(*bias, |sum, (w, x)| modular::add(sum, modular::mul(*w, *x, self.0), self.0))
    }
    fn polynomial(&self, coefficients: &[u64], z: &u64) -> u64 {
        coefficients
            .iter()
            .rev()
            .fold(0, |sum, c| modular::add(modular::mul(sum, *z, self.0), *c, self.0))
    }
}

/// Rational intervals, kept short by rounding outward to `bits` fractional bits.
#[derive(Clone, Copy, Debug)]
pub struct Enclosures {
    /// Fractional bits of every intermediate end point.
    pub bits: u32,
}

impl Algebra for Enclosures {
    type Scalar = BigRational;
    type Element = Enclosure;

    fn scalar(&self, value: &BigRational) -> Option<BigRational> {
        Some(value.clone())
    }
    fn affine(&self, w: &[BigRational], x: &[Enclosure], bias: &BigRational) -> Enclosure {
        w.iter()
            .zip(x)
            .fold(Enclosure::point(bias.clone()), |sum, (w, x)| sum.add(&x.scale(w)))
            .round_outward(self.bits)
    }
    fn polynomial(&self, coefficients: &[BigRational], z: &Enclosure) -> Enclosure {
        coefficients.iter().rev().fold(Enclosure::point(BigRational::zero()), |sum, c| {
            sum.mul(z).add(&Enclosure::point(c.clone())).round_outward(self.bits)
        })
    }
    fn activation(&self, function: Activation, z: &Enclosure) -> Option<Enclosure> {
        Some(function.enclose(z, self.bits))
    }
}
