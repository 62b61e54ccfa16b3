//! A network as the series see it: about a centre, in the inputs that it looks at.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};

use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::network::exact::{ExactLayer, ExactNetwork, MAX_WRITTEN_OUT, Neuron};
use crate::numeric::Dyadic;
use crate::numeric::odd::common_integer;

/// A parameter in its shortest form.
#[derive(Clone, Debug)]
pub(super) enum Parameter {
    /// mantissa 2^exponent; an f64 weight is one.
    Short {
        mantissa: i64,
        exponent: i32,
    },
    Long(Dyadic),
    Fraction(BigRational),
}

impl Parameter {
    fn new(value: &BigRational) -> Self {
        match Dyadic::from_rational(value) {
            None => Parameter::Fraction(value.clone()),
            Some(dyadic) => match (dyadic.mantissa().to_i64(), i32::try_from(dyadic.exponent())) {
                (Some(mantissa), Ok(exponent)) => Parameter::Short { mantissa, exponent },
                _ => Parameter::Long(dyadic),
            },
        }
    }

    pub fn is_zero(&self) -> bool {
        match self {
            Parameter::Short { mantissa, .. } => *mantissa == 0,
            Parameter::Long(value) => value.is_zero(),
            Parameter::Fraction(value) => value.is_zero(),
        }
    }

    /// The denominator: its power of two and its odd part.
    pub fn denominator(&self) -> (u64, BigInt) {
        match self {
            Parameter::Short { exponent, .. } => {
                ((-i64::from(*exponent)).max(0) as u64, BigInt::one())
            }
            Parameter::Long(value) => ((-value.exponent()).max(0) as u64, BigInt::one()),
            Parameter::Fraction(value) => {
                let twos = value.denom().trailing_zeros().unwrap_or(0);
                (twos, value.denom() >> twos)
            }
        }
    }
}

/// The polynomial of a neuron: integers over odd 2^twos, the last not zero unless it is the only one.
#[derive(Clone, Debug)]
pub(super) struct Slaf {
    pub parameters: Vec<Parameter>,
    pub integers: Vec<BigInt>,
    pub odd: BigInt,
    pub twos: u64,
}

impl Slaf {
    fn new(coefficients: &[BigRational]) -> Self {
        let last = coefficients.iter().rposition(|c| !c.is_zero()).unwrap_or(0);
        let coefficients = &coefficients[..=last];
        let common =
            coefficients.iter().fold(BigInt::one(), |common, c| common_integer(common, c.denom()));
        let twos = common.trailing_zeros().unwrap_or(0);
        Slaf {
            parameters: coefficients.iter().map(Parameter::new).collect(),
            integers: coefficients.iter().map(|c| c.numer() * (&common / c.denom())).collect(),
            odd: common >> twos,
            twos,
        }
    }

    pub fn degree(&self) -> usize {
        self.parameters.len() - 1
    }
}

#[derive(Clone, Debug)]
pub(super) enum Layer {
    Affine { weights: Vec<Vec<Parameter>>, bias: Vec<Parameter> },
    Neurons(Vec<Slaf>),
}

/// The network as polynomials in y_i = x_i - centre_i, for the inputs i that matter.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    /// The number of inputs, and those with a weight that is not zero, ascending.
    pub inputs: usize,
    pub used: Vec<usize>,
    /// The first is affine.
    pub layers: Vec<Layer>,
}

/// The inputs that an affine layer looks at, and the layer in these, about the centre.
fn affine(
    inputs: usize,
    weights: &[Vec<BigRational>],
    bias: &[BigRational],
    centre: Option<&[BigRational]>,
) -> (Vec<usize>, Layer) {
    let used: Vec<usize> =
        (0..inputs).filter(|&j| weights.iter().any(|row| !row[j].is_zero())).collect();
    let bias = weights.iter().zip(bias).map(|(row, b)| match centre {
        None => Parameter::new(b),
        // W (y + centre) + b.
        Some(centre) => {
            let pairs = row.iter().zip(centre);
            Parameter::new(&pairs.fold(b.clone(), |sum, (w, c)| sum + w * c))
        }
    });
    let bias = bias.collect();
    let row = |row: &Vec<BigRational>| used.iter().map(|&j| Parameter::new(&row[j])).collect();
    let weights = weights.iter().map(row).collect();
    (used, Layer::Affine { weights, bias })
}

/// The same of the identity, where a network begins with neurons.
fn identity(inputs: usize, centre: Option<&[BigRational]>) -> Result<(Vec<usize>, Layer)> {
    let weights = inputs.saturating_mul(inputs);
    if weights > MAX_WRITTEN_OUT {
        return Err(Error::invalid(
            "layers[0]",
            format!("neurons on {inputs} inputs, an identity of {weights} weights"),
            "at most 2^24 weights: an affine layer before it, of fewer neurons",
        ));
    }
    let weight = |one| Parameter::Short { mantissa: i64::from(one), exponent: 0 };
    let row = |i| (0..inputs).map(|j| weight(i == j)).collect();
    let bias = match centre {
        None => vec![weight(false); inputs],
        Some(centre) => centre.iter().map(Parameter::new).collect(),
    };
    let layer = Layer::Affine { weights: (0..inputs).map(row).collect(), bias };
    Ok(((0..inputs).collect(), layer))
}

impl Layers {
    /// # Errors
    /// When a layer is not polynomial, a matrix would have more than 2^24 weights, or `centre` does not have one entry an input.
    pub fn new(
        network: &ExactNetwork<BigRational>,
        centre: Option<&[BigRational]>,
    ) -> Result<Self> {
        let inputs = network.inputs();
        if let Some(centre) = centre
            && centre.len() != inputs
        {
            return Err(Error::invalid(
                "centre",
                format!("{} entries", centre.len()),
                format!("{inputs}, one an input"),
            ));
        }
        let written_out = network.written_out()?;
        let mut layers = Vec::with_capacity(written_out.len() + 1);
        let mut rest = &written_out[..];
        let first = rest.split_first().map(|((_, layer), others)| (&**layer, others));
        let (used, first) = match first {
            Some((ExactLayer::Affine { weights, bias }, others)) => {
                rest = others;
                affine(inputs, weights, bias, centre)
            }
            _ => identity(inputs, centre)?,
        };
        layers.push(first);
        for (l, layer) in rest {
            layers.push(match &**layer {
                ExactLayer::Affine { weights, bias } => Layer::Affine {
                    weights: weights
                        .iter()
                        .map(|row| row.iter().map(Parameter::new).collect())
                        .collect(),
                    bias: bias.iter().map(Parameter::new).collect(),
                },
                ExactLayer::Neurons(neurons) => Layer::Neurons(
                    neurons
                        .iter()
                        .enumerate()
                        .map(|(i, neuron)| match neuron {
                            Neuron::Polynomial(coefficients) => Ok(Slaf::new(coefficients)),
                            Neuron::Activation(Activation::Identity) => {
                                Ok(Slaf::new(&[BigRational::zero(), BigRational::one()]))
                            }
                            Neuron::Activation(function) => Err(Error::NotPolynomial {
                                layer: *l,
                                function: format!("{} (neuron {i})", function.name()),
                                advice: "replace it by a slaf, or approximate the network by one"
                                    .into(),
                            }),
                        })
                        .collect::<Result<_>>()?,
                ),
                // Written out before.
                _ => continue,
            });
        }
        Ok(Layers { inputs, used, layers })
    }

    /// Bounds of the total degrees of the neurons after each layer, the largest, saturating: zero weights
    /// and SLAFs of low degree are seen.
    fn largest_degrees(&self) -> Vec<u128> {
        let mut degrees: Vec<u128> = vec![1; self.used.len()];
        self.layers
            .iter()
            .map(|layer| {
                degrees = match layer {
                    Layer::Affine { weights, .. } => weights
                        .iter()
                        .map(|row| {
                            let live = row.iter().zip(&degrees).filter(|(w, _)| !w.is_zero());
                            live.map(|(_, degree)| *degree).max().unwrap_or(0)
                        })
                        .collect(),
                    Layer::Neurons(slafs) => slafs
                        .iter()
                        .zip(&degrees)
                        .map(|(slaf, degree)| degree.saturating_mul(slaf.degree() as u128))
                        .collect(),
                };
                degrees.iter().copied().max().unwrap_or(0)
            })
            .collect()
    }

    /// A bound of the total degree of the outputs.
    pub fn degree(&self) -> u128 {
        self.largest_degrees().last().copied().unwrap_or(0)
    }

    /// The number of neurons after each layer.
    pub fn widths(&self) -> impl Iterator<Item = usize> {
        self.layers.iter().map(|layer| match layer {
            Layer::Affine { bias, .. } => bias.len(),
            Layer::Neurons(slafs) => slafs.len(),
        })
    }

    /// The degree of the series before each layer and after the last, truncated above `degree`.
    pub fn degrees(&self, degree: usize) -> Vec<usize> {
        let first = u128::from(!self.used.is_empty());
        std::iter::once(first)
            .chain(self.largest_degrees())
            .map(|own| own.min(degree as u128) as usize)
            .collect()
    }
}
