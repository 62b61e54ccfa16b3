//! One evaluation of a network, in any algebra over the rationals.
//!
//! A polynomial network is built from sums, products and rational constants, so the
//! same walk through its layers gives its value at a rational point, its value
//! modulo a prime, a bound on its coefficients, its degree, or its polynomials
//! themselves, according to the [`Algebra`] it is carried out in.

use std::borrow::Cow;

use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::activation::Activation;
use crate::network::image::PoolKind;
use crate::network::layer::{Layer, Part, Slaf};
use crate::network::numbers::Matrix;
use crate::numeric::interval::Enclosure;
use crate::numeric::rational::rational_from_f64;
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

    /// The largest of at least one element, or `None` when the algebra cannot express it.
    fn max(&self, _elements: &[Self::Element]) -> Option<Self::Element> {
        None
    }
}

/// The most weights of [`ExactNetwork::written_out`].
pub(crate) const MAX_WRITTEN_OUT: usize = 1 << 24;

/// What one neuron computes after its pre-activation.
#[derive(Clone, Debug)]
pub(crate) enum Neuron<S> {
    /// Coefficients of the powers of the pre-activation, at least one.
    Polynomial(Vec<S>),
    Activation(Activation),
}

/// One layer.
#[derive(Clone, Debug)]
pub(crate) enum ExactLayer<S> {
    Affine {
        weights: Vec<Vec<S>>,
        bias: Vec<S>,
    },
    /// One activation a neuron, over and over where there are more neurons.
    Neurons(Vec<Neuron<S>>),
    /// An affine map that is applied at many places, each given by what lies under it there, `None`
    /// for padding: the outputs of the first place, then those of the second.
    Shared {
        weights: Vec<Vec<S>>,
        bias: Vec<S>,
        zero: S,
        places: Vec<Vec<Option<usize>>>,
    },
    /// The largest of the elements at these places.
    Max(Vec<Vec<usize>>),
    /// `ones` is twice the scalar 1.
    Residual {
        layers: Vec<ExactLayer<S>>,
        ones: Vec<S>,
        zero: S,
    },
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
        let layers = network.layers().iter().zip(network.widths());
        ExactNetwork {
            inputs: network.inputs().len(),
            layers: layers.map(|(layer, width)| exact(layer, width)).collect(),
        }
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

    /// The layers as affine maps and neurons alone, each with the place of the network's layer that
    /// it comes from: what shares weights is written out, and a residual carries its input along
    /// in neurons that compute the identity.
    ///
    /// # Errors
    /// When a largest number is asked for, which is no polynomial, or there are more than 2^24
    /// weights, zeros included.
    pub(crate) fn written_out(&self) -> Result<Vec<(usize, Cow<'_, ExactLayer<BigRational>>)>> {
        let mut all = WrittenOut { layers: Vec::new(), weights: 0 };
        let mut width = self.inputs;
        for (l, layer) in self.layers.iter().enumerate() {
            width = all.push(l, layer, 0, width)?;
        }
        Ok(all.layers)
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
        let layers = self.layers.iter().enumerate();
        let layers = layers.map(|(l, layer)| map_layer(layer, l, &row)).collect::<Result<_>>()?;
        Ok(ExactNetwork { inputs: self.inputs, layers })
    }
}

/// See [`ExactNetwork::written_out`].
struct WrittenOut<'a> {
    layers: Vec<(usize, Cow<'a, ExactLayer<BigRational>>)>,
    weights: usize,
}

impl<'a> WrittenOut<'a> {
    /// Adds a layer on `width` numbers that stand behind `carried` others; gives its own width.
    fn push(
        &mut self,
        l: usize,
        layer: &'a ExactLayer<BigRational>,
        carried: usize,
        width: usize,
    ) -> Result<usize> {
        let polynomial = || vec![BigRational::zero(), BigRational::one()];
        match layer {
            ExactLayer::Affine { bias, .. } if carried == 0 => {
                self.layers.push((l, Cow::Borrowed(layer)));
                Ok(bias.len())
            }
            ExactLayer::Affine { weights, bias } => {
                let rows = weights.iter().zip(bias).map(|(row, bias)| {
                    let own = row.iter().enumerate();
                    (own.map(|(j, w)| (carried + j, w.clone())).collect(), bias.clone())
                });
                self.affine(l, carried, carried + width, rows)
            }
            ExactLayer::Neurons(neurons) if carried == 0 && neurons.len() == width => {
                self.layers.push((l, Cow::Borrowed(layer)));
                Ok(width)
            }
            ExactLayer::Neurons(neurons) => {
                let identities = (0..carried).map(|_| Neuron::Polynomial(polynomial()));
                let own = neurons.iter().cycle().take(width).cloned();
                let all = identities.chain(own).collect();
                self.layers.push((l, Cow::Owned(ExactLayer::Neurons(all))));
                Ok(width)
            }
            ExactLayer::Shared { weights, bias, places, .. } => {
                let channels = weights.len();
                let rows = (0..places.len() * channels).map(|i| {
                    let (sources, channel) = (&places[i / channels], i % channels);
                    let own = sources.iter().zip(&weights[channel]);
                    let own = own.filter_map(|(at, w)| at.map(|at| (carried + at, w.clone())));
                    (own.collect(), bias[channel].clone())
                });
                self.affine(l, carried, carried + width, rows)
            }
            ExactLayer::Max(_) => Err(not_polynomial(l, "max_pool (neuron 0)".into())),
            ExactLayer::Residual { layers, .. } => {
                let one = || BigRational::one();
                let twice = (0..2 * width)
                    .map(|i| (vec![(carried + i % width, one())], BigRational::zero()));
                self.affine(l, carried, carried + width, twice)?;
                let mut own = width;
                for layer in layers {
                    own = self.push(l, layer, carried + width, own)?;
                }
                let sums = (0..width).map(|i| {
                    let both = vec![(carried + i, one()), (carried + width + i, one())];
                    (both, BigRational::zero())
                });
                self.affine(l, carried, carried + 2 * width, sums)
            }
        }
    }

    /// Adds an affine layer on `columns` numbers, of which the first `carried` stay; gives the
    /// number of the other rows.
    fn affine(
        &mut self,
        l: usize,
        carried: usize,
        columns: usize,
        rows: impl ExactSizeIterator<Item = (Vec<(usize, BigRational)>, BigRational)>,
    ) -> Result<usize> {
        let count = rows.len();
        let own = (carried + count).saturating_mul(columns);
        self.weights = self.weights.saturating_add(own);
        if self.weights > MAX_WRITTEN_OUT {
            return Err(Error::invalid(
                format!("layers[{l}]"),
                format!("{} weights when written out as matrices", self.weights),
                "at most 2^24: a smaller image or fewer channels",
            ));
        }
        let kept = (0..carried).map(|i| (vec![(i, BigRational::one())], BigRational::zero()));
        let (weights, bias) = kept
            .chain(rows)
            .map(|(entries, bias)| {
                let mut row = vec![BigRational::zero(); columns];
                for (j, w) in entries {
                    row[j] += w;
                }
                (row, bias)
            })
            .unzip();
        self.layers.push((l, Cow::Owned(ExactLayer::Affine { weights, bias })));
        Ok(count)
    }
}

fn not_polynomial(layer: usize, function: String) -> Error {
    let advice = "replace it by a slaf, or approximate the network by one".into();
    Error::NotPolynomial { layer, function, advice }
}

/// Maps the scalars of a row; the second argument says where it stands.
type MapRow<'a, S> = dyn Fn(&Vec<BigRational>, &dyn Fn() -> String) -> Result<Vec<S>> + 'a;

fn map_layer<S>(
    layer: &ExactLayer<BigRational>,
    l: usize,
    row: &MapRow<S>,
) -> Result<ExactLayer<S>> {
    let rows = |weights: &[Vec<BigRational>]| {
        weights.iter().map(|w| row(w, &|| format!("layers[{l}].weight"))).collect::<Result<_>>()
    };
    let bias_of = |bias| row(bias, &|| format!("layers[{l}].bias"));
    let single = |x: &BigRational| {
        let found = row(&vec![x.clone()], &|| format!("layers[{l}]"))?;
        found.into_iter().next().ok_or_else(|| {
            Error::invalid(format!("layers[{l}]"), x.to_string(), "a number in the algebra")
        })
    };
    Ok(match layer {
        ExactLayer::Affine { weights, bias } => {
            ExactLayer::Affine { weights: rows(weights)?, bias: bias_of(bias)? }
        }
        ExactLayer::Neurons(neurons) => {
            let neuron = |neuron: &Neuron<BigRational>| {
                Ok(match neuron {
                    Neuron::Activation(f) => Neuron::Activation(*f),
                    Neuron::Polynomial(c) => {
                        Neuron::Polynomial(row(c, &|| format!("layers[{l}].coefficients"))?)
                    }
                })
            };
            ExactLayer::Neurons(neurons.iter().map(neuron).collect::<Result<_>>()?)
        }
        ExactLayer::Shared { weights, bias, zero, places } => ExactLayer::Shared {
            weights: rows(weights)?,
            bias: bias_of(bias)?,
            zero: single(zero)?,
            places: places.clone(),
        },
        ExactLayer::Max(places) => ExactLayer::Max(places.clone()),
        ExactLayer::Residual { layers, ones, zero } => ExactLayer::Residual {
            layers: layers.iter().map(|layer| map_layer(layer, l, row)).collect::<Result<_>>()?,
            ones: row(ones, &|| format!("layers[{l}]"))?,
            zero: single(zero)?,
        },
    })
}

/// A layer on `width` neurons.
fn exact(layer: &Layer, width: usize) -> ExactLayer<BigRational> {
    let rows = |weight: &Matrix| weight.to_exact().rows().into_iter().map(|r| r.to_vec()).collect();
    let polynomials = |slaf: &Slaf, neurons: usize| -> Vec<Neuron<BigRational>> {
        let folded = slaf.fold(neurons).into_iter();
        folded.map(|p| Neuron::Polynomial(coefficients(p))).collect()
    };
    match layer {
        Layer::Affine(affine) => ExactLayer::Affine {
            weights: rows(affine.weight()),
            bias: affine.bias().to_exact().to_vec(),
        },
        Layer::Slaf(slaf) => ExactLayer::Neurons(polynomials(slaf, width)),
        Layer::Activation(function) => {
            ExactLayer::Neurons(vec![Neuron::Activation(*function); width])
        }
        Layer::Mixed(mixed) => {
            let mut neurons = vec![Neuron::Activation(Activation::Identity); width];
            for group in mixed.groups() {
                let parts = match &group.part {
                    Part::Activation(f) => vec![Neuron::Activation(*f); group.neurons.len()],
                    Part::Slaf(slaf) => polynomials(slaf, group.neurons.len()),
                };
                for (&i, part) in group.neurons.iter().zip(parts) {
                    neurons[i] = part;
                }
            }
            ExactLayer::Neurons(neurons)
        }
        Layer::Channels(channels) => exact(channels.layer(), channels.channels()),
        Layer::Conv(conv) => ExactLayer::Shared {
            weights: rows(conv.weight()),
            bias: conv.bias().to_exact().to_vec(),
            zero: BigRational::zero(),
            places: conv.window().sources(),
        },
        Layer::Pool(pool) => {
            let channels = pool.window().input()[2];
            // A pooling window has no padding.
            let own = |place: &[Option<usize>], c: usize| -> Vec<usize> {
                place.iter().skip(c).step_by(channels).flatten().copied().collect()
            };
            let places = pool.window().sources();
            let outputs: Vec<Vec<usize>> =
                places.iter().flat_map(|place| (0..channels).map(|c| own(place, c))).collect();
            match pool.kind() {
                PoolKind::Max => ExactLayer::Max(outputs),
                PoolKind::Average(scale) => {
                    let scale = rational_from_f64(scale).unwrap_or_default();
                    let [rows, columns] = pool.window().size();
                    ExactLayer::Shared {
                        weights: vec![vec![scale; rows * columns]],
                        bias: vec![BigRational::zero()],
                        zero: BigRational::zero(),
                        places: outputs
                            .into_iter()
                            .map(|own| own.into_iter().map(Some).collect())
                            .collect(),
                    }
                }
            }
        }
        Layer::Flatten(_) => ExactLayer::Neurons(vec![Neuron::Activation(Activation::Identity)]),
        Layer::Residual(layers) => {
            let mut width = width;
            let mut inside = Vec::with_capacity(layers.len());
            for layer in layers {
                inside.push(exact(layer, width));
                width = layer.width_after(width).unwrap_or(width);
            }
            let (ones, zero) = (vec![BigRational::one(); 2], BigRational::zero());
            ExactLayer::Residual { layers: inside, ones, zero }
        }
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
            values = evaluate_layer(layer, l, algebra, values, watch)?;
        }
        Ok(values)
    }
}

/// Called before each neuron, with its layer.
type Watch<'a> = dyn FnMut(usize, usize) -> Result<()> + 'a;

fn evaluate_layer<A: Algebra>(
    layer: &ExactLayer<A::Scalar>,
    l: usize,
    algebra: &A,
    values: Vec<A::Element>,
    watch: &mut Watch,
) -> Result<Vec<A::Element>> {
    let mut next = Vec::new();
    match layer {
        ExactLayer::Affine { weights, bias } => {
            for (i, (weights, bias)) in weights.iter().zip(bias).enumerate() {
                watch(l, i)?;
                next.push(algebra.affine(weights, &values, bias));
            }
        }
        ExactLayer::Neurons(neurons) => {
            for (i, (neuron, z)) in neurons.iter().cycle().zip(&values).enumerate() {
                watch(l, i)?;
                next.push(match neuron {
                    Neuron::Polynomial(coefficients) => algebra.polynomial(coefficients, z),
                    Neuron::Activation(Activation::Identity) => z.clone(),
                    Neuron::Activation(function) => {
                        algebra.activation(*function, z).ok_or_else(|| {
                            not_polynomial(l, format!("{} (neuron {i})", function.name()))
                        })?
                    }
                });
            }
        }
        ExactLayer::Shared { weights, bias, zero, places } => {
            let padding = algebra.affine(&[], &[], zero);
            for sources in places {
                let source = |source: &Option<usize>| match source {
                    Some(at) => values[*at].clone(),
                    None => padding.clone(),
                };
                let under: Vec<_> = sources.iter().map(source).collect();
                for (weights, bias) in weights.iter().zip(bias) {
                    watch(l, next.len())?;
                    next.push(algebra.affine(weights, &under, bias));
                }
            }
        }
        ExactLayer::Max(places) => {
            for (i, places) in places.iter().enumerate() {
                watch(l, i)?;
                let under: Vec<_> = places.iter().map(|at| values[*at].clone()).collect();
                let largest = algebra.max(&under);
                next.push(
                    largest.ok_or_else(|| not_polynomial(l, format!("max_pool (neuron {i})")))?,
                );
            }
        }
        ExactLayer::Residual { layers, ones, zero } => {
            let mut branch = values.clone();
            for layer in layers {
                branch = evaluate_layer(layer, l, algebra, branch, watch)?;
            }
            let both = values.into_iter().zip(branch);
            next.extend(both.map(|(x, y)| algebra.affine(ones, &[x, y], zero)));
        }
    }
    Ok(next)
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
    fn max(&self, elements: &[BigRational]) -> Option<BigRational> {
        elements.iter().max().cloned()
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
    fn max(&self, elements: &[Enclosure]) -> Option<Enclosure> {
        let lower = elements.iter().map(Enclosure::lower).max()?;
        let upper = elements.iter().map(Enclosure::upper).max()?;
        Some(Enclosure::ordered(lower.clone(), upper.clone()))
    }
}
