//! The layers of a network: affine maps, SLAFs, conventional activations, mixtures, layers on images.

use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::network::image::{Channels, Conv, Pool, PoolKind, Shape, check_shape};
use crate::network::numbers::{Matrix, Vector};

/// One layer of a network.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// `z = W y + b`
    Affine(Affine),
    /// A learned polynomial for each neuron.
    Slaf(Slaf),
    /// One conventional activation for all neurons.
    Activation(Activation),
    /// Groups of neurons with an activation layer each.
    Mixed(Mixed),
    /// An activation layer on the channels of an image, the same at every position.
    Channels(Channels),
    /// The same affine map at every place of a window that moves over an image.
    Conv(Conv),
    /// The mean or the largest number under a window, channel by channel.
    Pool(Pool),
    /// An image, read as a vector: the numbers stay as they are.
    Flatten(Shape),
    /// `y + f(y)`, where `f` are these layers and gives out as many numbers as it takes.
    Residual(Vec<Layer>),
}

/// The affine map `z = W y + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    weight: Matrix,
    bias: Vector,
}

/// A self-learnable activation function: a weighted sum of basis elements.
///
/// Neuron `i` computes `sum_k c[i][k] e_k(z_i)`, where `e_k` is element `k` of the basis.
#[derive(Clone, Debug, PartialEq)]
pub struct Slaf {
    basis: Basis,
    coefficients: Matrix,
}

/// The basis of a SLAF; element `k` has degree `k`.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    /// `z^k`
    Monomial,
    /// `(z^k - mean_k) scale_k` for `k >= 1`, and 1 for `k = 0`; both matrices are (neurons, degree).
    NormalisedMonomial {
        /// Mean of each power over the training rows.
        mean: Matrix,
        /// Reciprocal deviation of each power over the training rows.
        scale: Matrix,
    },
    /// An orthogonal family in `t = (z - centre) scale`; both vectors have one entry a neuron.
    Orthogonal {
        /// Which family.
        family: Family,
        /// Centre of the interval.
        centre: Vector,
        /// Reciprocal half-width of the interval.
        scale: Vector,
    },
}

/// A family of orthogonal polynomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Chebyshev polynomials of the first kind, `T_{k+1} = 2 t T_k - T_{k-1}`.
    Chebyshev,
    /// Legendre polynomials, `(k+1) P_{k+1} = (2k+1) t P_k - k P_{k-1}`.
    Legendre,
    /// Physicists' Hermite polynomials, `H_{k+1} = 2 t H_k - 2k H_{k-1}`.
    Hermite,
}

/// Several activation layers side by side, each on its own neurons.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    width: usize,
    groups: Vec<Group>,
}

/// The neurons of one part of a [`Mixed`] layer, and what they compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Indices of the neurons, from 0.
    pub neurons: Vec<usize>,
    /// What they compute; a SLAF here has as many neurons as the group.
    pub part: Part,
}

/// What one group of a [`Mixed`] layer computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A SLAF on the neurons of the group.
    Slaf(Slaf),
    /// A conventional activation.
    Activation(Activation),
}

fn shape(place: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Error {
    Error::invalid(place, found.to_string(), expected.to_string())
}

impl Affine {
    /// An affine map from `weight` (outputs, inputs) and `bias` (outputs).
    ///
    /// # Errors
    /// When the shapes disagree, a dimension is zero, or a number is not finite.
    pub fn new(weight: impl Into<Matrix>, bias: impl Into<Vector>) -> Result<Self> {
        let (weight, bias) = (weight.into(), bias.into());
        if weight.is_empty() {
            return Err(shape("weight", "no entry", "at least one row and one column"));
        }
        if bias.len() != weight.rows() {
            return Err(shape(
                "bias",
                format!("{} entries", bias.len()),
                format!("{}, one for each row of weight", weight.rows()),
            ));
        }
        weight.check_finite("weight")?;
        bias.check_finite("bias")?;
        Ok(Affine { weight, bias })
    }

    /// The weights, (outputs, inputs).
    pub fn weight(&self) -> &Matrix {
        &self.weight
    }

    /// The bias, one entry an output.
    pub fn bias(&self) -> &Vector {
        &self.bias
    }
}

impl Family {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Family::Chebyshev => "chebyshev",
            Family::Legendre => "legendre",
            Family::Hermite => "hermite",
        }
    }

    /// `(a, b)` of the recurrence `e_{k+1} = a t e_k - b e_{k-1}`, for `k >= 1`, as `(numerators, common divisor)`.
    pub(crate) fn recurrence(self, k: u32) -> ((u32, u32), u32) {
        match self {
            Family::Chebyshev => ((2, 1), 1),
            Family::Legendre => ((2 * k + 1, k), k + 1),
            Family::Hermite => ((2, 2 * k), 1),
        }
    }

    /// The factor of `t` in element 1.
    pub(crate) fn first(self) -> u32 {
        if self == Family::Hermite { 2 } else { 1 }
    }
}

impl Basis {
    /// The name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Basis::Monomial => "monomial",
            Basis::NormalisedMonomial { .. } => "normalised-monomial",
            Basis::Orthogonal { family, .. } => family.name(),
        }
    }
}

impl Slaf {
    /// A SLAF from its basis and its coefficients: one row shared by the layer, or one a neuron;
    /// column `k` belongs to basis element `k`.
    ///
    /// # Errors
    /// When there is no coefficient, shapes disagree, or a number is not finite.
    pub fn new(basis: Basis, coefficients: impl Into<Matrix>) -> Result<Self> {
        let coefficients = coefficients.into();
        let basis = match basis {
            // Without powers to normalise there are no entries.
            Basis::NormalisedMonomial { mean, scale } => {
                Basis::NormalisedMonomial { mean: mean.canonical(), scale: scale.canonical() }
            }
            other => other,
        };
        if coefficients.is_empty() {
            return Err(shape("coefficients", "no entry", "at least one row and one column"));
        }
        coefficients.check_finite("coefficients")?;
        let (rows, degree) = (coefficients.rows(), coefficients.columns() - 1);
        // The recurrences of the bases count in 32 bits.
        if degree > 1 << 20 {
            return Err(shape("coefficients", format!("degree {degree}"), "a degree up to 2^20"));
        }
        let neurons = match &basis {
            Basis::Monomial => None,
            Basis::NormalisedMonomial { mean, scale } => {
                for (name, matrix) in [("mean", mean), ("scale", scale)] {
                    matrix.check_finite(name)?;
                    if matrix.columns() != degree
                        || matrix.rows() != mean.rows()
                        || matrix.rows() == 0
                    {
                        return Err(shape(
                            name,
                            format!("{} by {}", matrix.rows(), matrix.columns()),
                            format!("{} by {degree}, neurons by degree", mean.rows().max(1)),
                        ));
                    }
                }
                Some(mean.rows())
            }
            Basis::Orthogonal { centre, scale, .. } => {
                centre.check_finite("centre")?;
                scale.check_finite("scale")?;
                if centre.len() != scale.len() || centre.is_empty() {
                    return Err(shape(
                        "scale",
                        format!("{} entries", scale.len()),
                        format!("{}, one a neuron as in centre", centre.len().max(1)),
                    ));
                }
                Some(centre.len())
            }
        };
        if let Some(neurons) = neurons
            && rows != 1
            && rows != neurons
        {
            return Err(shape(
                "coefficients",
                format!("{rows} rows"),
                format!("1 row shared by the layer, or {neurons}, one a neuron"),
            ));
        }
        Ok(Slaf { basis, coefficients })
    }

    /// The basis.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The coefficients: one row shared by the layer, or one a neuron.
    pub fn coefficients(&self) -> &Matrix {
        &self.coefficients
    }

    /// The degree that the shape allows; leading coefficients may be zero.
    pub fn degree(&self) -> usize {
        self.coefficients.columns() - 1
    }

    /// The number of neurons, or `None` where one polynomial serves a layer of any width.
    pub fn neurons(&self) -> Option<usize> {
        match &self.basis {
            Basis::Monomial if self.coefficients.rows() == 1 => None,
            Basis::Monomial => Some(self.coefficients.rows()),
            Basis::NormalisedMonomial { mean, .. } => Some(mean.rows()),
            Basis::Orthogonal { centre, .. } => Some(centre.len()),
        }
    }

    /// # Errors
    /// When the SLAF cannot serve `width` neurons.
    pub(crate) fn check_width(&self, width: usize) -> Result<()> {
        match self.neurons() {
            Some(neurons) if neurons != width => Err(shape(
                "coefficients",
                format!("a slaf of {neurons} neurons"),
                format!("{width}, the width of the layer before"),
            )),
            _ => Ok(()),
        }
    }
}

impl Mixed {
    /// A mixed layer from groups that together hold every neuron exactly once.
    ///
    /// # Errors
    /// When a neuron is missing or listed twice, a group is empty, or a SLAF does not fit its group.
    pub fn new(groups: Vec<Group>) -> Result<Self> {
        let width = groups.iter().map(|g| g.neurons.len()).sum();
        let mut seen = vec![false; width];
        for (g, group) in groups.iter().enumerate() {
            let place = format!("groups[{g}].neurons");
            if group.neurons.is_empty() {
                return Err(shape(&place, "no neuron", "at least one"));
            }
            for &neuron in &group.neurons {
                match seen.get_mut(neuron) {
                    None => {
                        return Err(shape(
                            &place,
                            format!("neuron {neuron}"),
                            format!("every neuron from 0 to {} exactly once", width - 1),
                        ));
                    }
                    Some(true) => {
                        return Err(shape(&place, format!("neuron {neuron} twice"), "it once"));
                    }
                    Some(unseen) => *unseen = true,
                }
            }
            if let Part::Slaf(slaf) = &group.part {
                slaf.check_width(group.neurons.len())
                    .map_err(|e| e.within(format!("groups[{g}].layer")))?;
            }
        }
        if width == 0 {
            return Err(shape("groups", "no group", "at least one"));
        }
        Ok(Mixed { width, groups })
    }

    /// The number of neurons.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The groups, in the order given.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }
}

impl Layer {
    /// The name in files.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Affine(_) => "affine",
            Layer::Slaf(_) => "slaf",
            Layer::Activation(_) => "activation",
            Layer::Mixed(_) => "mixed",
            Layer::Channels(_) => "channels",
            Layer::Conv(_) => "conv",
            Layer::Pool(pool) => match pool.kind() {
                PoolKind::Average(_) => "average_pool",
                PoolKind::Max => "max_pool",
            },
            Layer::Flatten(_) => "flatten",
            Layer::Residual(_) => "residual",
        }
    }

    /// The number of parameters: weights, biases and coefficients (frozen statistics are not counted).
    pub fn parameters(&self) -> usize {
        let slaf = |s: &Slaf| s.coefficients().len();
        match self {
            Layer::Affine(a) => a.weight.len() + a.bias.len(),
            Layer::Conv(c) => c.weight().len() + c.bias().len(),
            Layer::Slaf(s) => slaf(s),
            Layer::Activation(_) | Layer::Pool(_) | Layer::Flatten(_) => 0,
            Layer::Mixed(m) => {
                m.groups.iter().map(|g| if let Part::Slaf(s) = &g.part { slaf(s) } else { 0 }).sum()
            }
            Layer::Channels(c) => c.layer().parameters(),
            Layer::Residual(layers) => layers.iter().map(Layer::parameters).sum(),
        }
    }

    /// Whether every output is a polynomial in the inputs.
    pub fn is_polynomial(&self) -> bool {
        match self {
            Layer::Affine(_) | Layer::Slaf(_) | Layer::Conv(_) | Layer::Flatten(_) => true,
            Layer::Activation(function) => function.is_polynomial(),
            Layer::Mixed(mixed) => mixed.groups.iter().all(|group| match &group.part {
                Part::Slaf(_) => true,
                Part::Activation(function) => function.is_polynomial(),
            }),
            Layer::Channels(channels) => channels.layer().is_polynomial(),
            Layer::Pool(pool) => pool.kind() != PoolKind::Max,
            Layer::Residual(layers) => layers.iter().all(Layer::is_polynomial),
        }
    }

    /// The width after this layer, which fits the width `before` it.
    pub fn width(&self, before: usize) -> usize {
        self.width_after(before).unwrap_or(before)
    }

    /// The width after this layer, from the width before it.
    ///
    /// # Errors
    /// When the layer does not fit `width`.
    pub(crate) fn width_after(&self, width: usize) -> Result<usize> {
        let fits = |place: &str, own: usize, after: usize| {
            if own == width {
                return Ok(after);
            }
            let expected = format!("{width}, the width before this layer");
            Err(shape(place, format!("{own} numbers"), expected))
        };
        let size = |shape: Shape| shape.iter().product::<usize>();
        match self {
            Layer::Affine(affine) if affine.weight.columns() != width => Err(shape(
                "weight",
                format!("{} columns", affine.weight.columns()),
                format!("{width}, the width before this layer"),
            )),
            Layer::Affine(affine) => Ok(affine.weight.rows()),
            Layer::Slaf(slaf) => slaf.check_width(width).map(|()| width),
            Layer::Activation(_) => Ok(width),
            Layer::Mixed(mixed) if mixed.width != width => Err(shape(
                "groups",
                format!("{} neurons", mixed.width),
                format!("{width}, the width before this layer"),
            )),
            Layer::Mixed(_) => Ok(width),
            Layer::Channels(c) => fits("channels", c.positions() * c.channels(), width),
            Layer::Conv(conv) => fits("input", conv.window().inputs(), size(conv.output())),
            Layer::Pool(pool) => fits("input", pool.window().inputs(), size(pool.output())),
            Layer::Flatten(shape) => fits("shape", check_shape("shape", *shape)?, width),
            Layer::Residual(layers) => {
                let mut after = width;
                for (l, layer) in layers.iter().enumerate() {
                    after =
                        layer.width_after(after).map_err(|e| e.within(format!("layers[{l}]")))?;
                }
                if after != width {
                    return Err(shape(
                        "layers",
                        format!("{after} numbers after the last of them"),
                        format!("{width}, as before the first: the two are added"),
                    ));
                }
                Ok(width)
            }
        }
    }
}
