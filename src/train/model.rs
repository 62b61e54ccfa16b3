//! Where every parameter lies in the one vector that optimisers move, and back to a network.
//!
//! Layer by layer: weights (neurons x inputs, columns first), biases, coefficients (element by
//! element, shared or one a neuron) and, with attention, one number for each degree from 1.
//! The last affine layer has weights and biases alone.

use std::ops::Range;

use ndarray::{Array1, Array2};
use num_traits::{One, Zero};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::error::{Error, Result};
use crate::network::{Activation, Affine, Basis, Family, Group, Layer, Mixed, Part, Slaf};
use crate::numeric::Dyadic;
use crate::table::Standardisation;
use crate::train::kernel::Slafs;
use crate::train::options::{BasisKind, Options, Penalised, Penalty};

/// One affine layer and the activations after it.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub inputs: usize,
    pub neurons: usize,
    /// The SLAFs of the first neurons, if any.
    pub slaf: Option<SlafShape>,
    /// What the neurons after the SLAFs compute; `None` after the last affine layer.
    pub function: Option<Activation>,
    pub weight: Range<usize>,
    pub bias: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct SlafShape {
    pub neurons: usize,
    pub degree: usize,
    pub basis: BasisKind,
    pub shared: bool,
    pub coefficients: Range<usize>,
    /// Empty without attention.
    pub attention: Range<usize>,
}

/// The stages of a network that is being trained.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub stages: Vec<Stage>,
    pub parameters: usize,
    penalty: Penalty,
    penalised: Penalised,
}

/// Mean and scale of every stage with SLAFs, frozen.
pub(super) type Statistics = Vec<(Vec<f64>, Vec<f64>)>;

/// The random numbers of one purpose, the same whatever was drawn for others.
pub(super) fn generator(seed: u64, attempt: usize, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((attempt as u64) << 40).wrapping_add(purpose));
    rng
}

fn logistic(t: f64) -> f64 {
    1.0 / (1.0 + (-t).exp())
}

impl SlafShape {
    /// Number of rows of coefficients.
    pub fn rows(&self) -> usize {
        if self.shared { 1 } else { self.neurons }
    }

    /// Coefficients of elements from degree 1.
    pub fn penalised(&self) -> Range<usize> {
        self.coefficients.start + self.rows()..self.coefficients.end
    }

    /// The factor of element `k`: 1, or the attention.
    pub fn factor(&self, parameters: &[f64], k: usize) -> f64 {
        if k == 0 || self.attention.is_empty() {
            1.0
        } else {
            logistic(parameters[self.attention.start + k - 1])
        }
    }

    /// The kernel's numbers, with mean 0 and scale 1.
    pub fn kernel(&self) -> Slafs {
        let family = self.basis.family();
        let statistics = self.neurons * if family.is_some() { 1 } else { self.degree };
        Slafs {
            neurons: self.neurons,
            degree: self.degree,
            family,
            coefficients: vec![0.0; (self.degree + 1) * self.neurons],
            mean: vec![0.0; statistics],
            scale: vec![1.0; statistics],
        }
    }

    /// Spreads the coefficients over the neurons, attention multiplied in.
    pub fn spread(&self, parameters: &[f64], kernel: &mut Slafs) {
        let rows = self.rows();
        for k in 0..=self.degree {
            let factor = self.factor(parameters, k);
            let own = &parameters[self.coefficients.start + k * rows..][..rows];
            for i in 0..self.neurons {
                kernel.coefficients[k * self.neurons + i] =
                    factor * own[if self.shared { 0 } else { i }];
            }
        }
    }

    /// The reverse of [`SlafShape::spread`] for gradients: from `sums` ((degree + 1) x neurons)
    /// by the spread coefficients into `gradient` by the parameters.
    pub fn gather(&self, parameters: &[f64], sums: &[f64], gradient: &mut [f64]) {
        let rows = self.rows();
        for k in 0..=self.degree {
            let factor = self.factor(parameters, k);
            let sums = &sums[k * self.neurons..][..self.neurons];
            let at = self.coefficients.start + k * rows;
            let mut by_factor = 0.0;
            for (i, sum) in sums.iter().enumerate() {
                let row = if self.shared { 0 } else { i };
                gradient[at + row] += factor * sum;
                by_factor += parameters[at + row] * sum;
            }
            if k > 0 && !self.attention.is_empty() {
                gradient[self.attention.start + k - 1] += by_factor * factor * (1.0 - factor);
            }
        }
    }

    fn layer(&self, parameters: &[f64], (mean, scale): &(Vec<f64>, Vec<f64>)) -> Result<Slaf> {
        let (rows, m) = (self.rows(), self.neurons);
        let coefficients = Array2::from_shape_fn((rows, self.degree + 1), |(i, k)| {
            self.factor(parameters, k) * parameters[self.coefficients.start + k * rows + i]
        });
        let by_neuron = |x: &[f64]| Array2::from_shape_fn((m, self.degree), |(i, k)| x[k * m + i]);
        let basis = match self.basis.family() {
            Some(family) => Basis::Orthogonal {
                family,
                centre: Array1::from(mean.clone()).into(),
                scale: Array1::from(scale.clone()).into(),
            },
            None if self.basis == BasisKind::Monomial => Basis::Monomial,
            None => Basis::NormalisedMonomial {
                mean: by_neuron(mean).into(),
                scale: by_neuron(scale).into(),
            },
        };
        Slaf::new(basis, coefficients)
    }
}

impl Stage {
    fn affine(
        &self,
        parameters: &[f64],
        inputs: Option<&Standardisation>,
        outputs: Option<&Standardisation>,
    ) -> Result<Affine> {
        let weight = &parameters[self.weight.clone()];
        let shape = (self.neurons, self.inputs);
        let weight = Array2::from_shape_fn(shape, |(i, j)| weight[j * self.neurons + i]);
        let bias = Array1::from(parameters[self.bias.clone()].to_vec());
        fold(&weight, &bias, inputs, outputs)
    }

    fn activations(
        &self,
        parameters: &[f64],
        statistics: Option<&(Vec<f64>, Vec<f64>)>,
    ) -> Result<Option<Layer>> {
        let slaf = match (&self.slaf, statistics) {
            (Some(shape), Some(statistics)) => Some(shape.layer(parameters, statistics)?),
            _ => None,
        };
        Ok(match (slaf, self.function) {
            (None, None) => None,
            (None, Some(function)) => Some(Layer::Activation(function)),
            (Some(slaf), None) => Some(Layer::Slaf(slaf)),
            (Some(slaf), Some(function)) => {
                let first = self.slaf.as_ref().map_or(0, |s| s.neurons);
                let slafs = Group { neurons: (0..first).collect(), part: Part::Slaf(slaf) };
                let others = Group {
                    neurons: (first..self.neurons).collect(),
                    part: Part::Activation(function),
                };
                Some(Layer::Mixed(Mixed::new(vec![slafs, others])?))
            }
        })
    }
}

/// `W x + b` for standardised `x` and `y`, in the table's own units, every number rounded once:
/// `W'_ij = s_i W_ij r_j` with deviation `s` and reciprocal `r`, and
/// `b'_i = s_i b_i + m_i - sum_j W'_ij m_j`, exact until its rounding.
///
/// # Errors
/// When a number leaves the range of f64.
pub(super) fn fold(
    weight: &Array2<f64>,
    bias: &Array1<f64>,
    inputs: Option<&Standardisation>,
    outputs: Option<&Standardisation>,
) -> Result<Affine> {
    // Parameters are finite: training refuses others.
    let exact = |x: f64| Dyadic::from_f64(x).unwrap_or_else(Dyadic::zero);
    let outside = || {
        Error::invalid(
            "training",
            "a parameter beyond the range of f64 in the table's own units",
            "columns of moderate size: give them in other units",
        )
    };
    let mut folded_weight = weight.clone();
    let mut folded_bias = bias.clone();
    for i in 0..bias.len() {
        let (mut own, mut factor) = (exact(bias[i]), Dyadic::one());
        if let Some(outputs) = outputs {
            factor = exact(outputs.deviation()[i]);
            own = &own * &factor + exact(outputs.mean()[i]);
        }
        for j in 0..weight.ncols() {
            let mut product = exact(weight[(i, j)]);
            if outputs.is_some() {
                product = &product * &factor;
            }
            if let Some(inputs) = inputs {
                product = &product * &exact(inputs.reciprocal_deviation()[j]);
            }
            folded_weight[(i, j)] = product.to_f64().ok_or_else(outside)?;
            if let Some(inputs) = inputs {
                own = own - &exact(folded_weight[(i, j)]) * &exact(inputs.mean()[j]);
            }
        }
        folded_bias[i] = own.to_f64().ok_or_else(outside)?;
    }
    Affine::new(folded_weight, folded_bias)
}

impl Model {
    pub fn new(inputs: usize, outputs: usize, options: &Options) -> Self {
        use crate::train::options::HiddenActivation::*;
        let mut at = 0;
        let mut take = |count: usize| {
            at += count;
            at - count..at
        };
        let mut width = inputs;
        let mut stages = Vec::with_capacity(options.hidden.len() + 1);
        for (layer, &neurons) in options.hidden.iter().enumerate() {
            let (weight, bias) = (take(neurons * width), take(neurons));
            let (learned, function) = match options.activation {
                Slaf { basis, shared, attention } => (Some((basis, shared, attention)), None),
                Function(function) => (None, Some(function)),
                Hybrid { function, basis, shared, attention, .. } => {
                    (Some((basis, shared, attention)), Some(function))
                }
            };
            let slafs = options.activation.slafs(neurons);
            let degree = options.degree(layer);
            let slaf = learned.map(|(basis, shared, attention)| SlafShape {
                neurons: slafs,
                degree,
                basis,
                shared,
                coefficients: take((degree + 1) * if shared { 1 } else { slafs }),
                attention: take(if attention { degree } else { 0 }),
            });
            let function = function.filter(|_| slafs < neurons);
            stages.push(Stage { inputs: width, neurons, slaf, function, weight, bias });
            width = neurons;
        }
        let (weight, bias) = (take(outputs * width), take(outputs));
        let (slaf, function) = (None, None);
        stages.push(Stage { inputs: width, neurons: outputs, slaf, function, weight, bias });
        let Options { penalty, penalised, .. } = *options;
        Model { stages, parameters: at, penalty, penalised }
    }

    /// Random parameters: weights N(0, 1/inputs) (twice the variance for the ReLU family, which
    /// loses half of it), biases 0, coefficients 0.1 N(0, 1) with 1 added on the linear element,
    /// attention N(0, 1).
    pub fn initial(&self, seed: u64, attempt: usize) -> Vec<f64> {
        let mut rng = generator(seed, attempt, 0);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut parameters = vec![0.0; self.parameters];
        for stage in &self.stages {
            let gain = match stage.function {
                Some(Activation::Relu | Activation::LeakyRelu { .. }) => 2.0,
                _ => 1.0,
            };
            let deviation = (gain / stage.inputs as f64).sqrt();
            for w in &mut parameters[stage.weight.clone()] {
                *w = deviation * normal();
            }
            let Some(slaf) = &stage.slaf else { continue };
            let rows = slaf.rows();
            // Elements of the other families are about 1 on their interval; Hermite's grow as
            // sqrt(2^k k!), its norm.
            let mut norm = 1.0;
            for k in 0..=slaf.degree {
                let hermite = slaf.basis.family() == Some(Family::Hermite);
                if hermite && k > 0 {
                    norm *= (2.0 * k as f64).sqrt();
                }
                let linear = if hermite { 0.5 } else { 1.0 };
                for c in &mut parameters[slaf.coefficients.start + k * rows..][..rows] {
                    *c = 0.1 * normal() / norm + if k == 1 { linear } else { 0.0 };
                }
            }
            for t in &mut parameters[slaf.attention.clone()] {
                *t = normal();
            }
        }
        parameters
    }

    /// The parameters that penalties are about.
    fn penalised(&self) -> Vec<Range<usize>> {
        let weights = self.stages.iter().map(|stage| stage.weight.clone());
        let coefficients =
            self.stages.iter().filter_map(|stage| stage.slaf.as_ref()).map(SlafShape::penalised);
        match self.penalised {
            Penalised::All => weights.chain(coefficients).collect(),
            Penalised::Weights => weights.collect(),
            Penalised::Coefficients => coefficients.collect(),
            Penalised::FirstLayer => weights.take(1).collect(),
        }
    }

    /// The step that penalties of their own take, see [`Penalty::Step`].
    pub fn penalty_step(&self, parameters: &mut [f64], rate: f64, l1: f64, l2: f64) {
        if self.penalty == Penalty::Loss || (l1 == 0.0 && l2 == 0.0) {
            return;
        }
        for range in self.penalised() {
            for p in &mut parameters[range] {
                // Beyond 0 the step would be longer than the way to the minimum.
                let shrunk = *p * (1.0 - 2.0 * rate * l2).max(0.0);
                *p = shrunk.signum() * (shrunk.abs() - rate * l1).max(0.0);
            }
        }
    }

    /// Adds `l1 sum |p| + l2 sum p^2` to the loss and its derivative to the gradient, where
    /// penalties are part of the loss.
    pub fn penalise(
        &self,
        parameters: &[f64],
        l1: f64,
        l2: f64,
        gradient: Option<&mut [f64]>,
    ) -> f64 {
        if self.penalty == Penalty::Step || (l1 == 0.0 && l2 == 0.0) {
            return 0.0;
        }
        let (mut absolute, mut squares) = (0.0, 0.0);
        let mut gradient = gradient;
        for range in self.penalised() {
            for at in range {
                let p = parameters[at];
                absolute += p.abs();
                squares += p * p;
                if let Some(gradient) = gradient.as_deref_mut() {
                    let sign = if p == 0.0 { 0.0 } else { p.signum() };
                    gradient[at] += l1 * sign + 2.0 * l2 * p;
                }
            }
        }
        l1 * absolute + l2 * squares
    }

    /// The layers of the network in the table's own units.
    ///
    /// # Errors
    /// When a number leaves the range of f64 in those units.
    pub fn layers(
        &self,
        parameters: &[f64],
        statistics: &Statistics,
        inputs: Option<&Standardisation>,
        outputs: Option<&Standardisation>,
    ) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        let last = self.stages.len() - 1;
        for (s, stage) in self.stages.iter().enumerate() {
            let inputs = inputs.filter(|_| s == 0);
            let outputs = outputs.filter(|_| s == last);
            layers.push(Layer::Affine(stage.affine(parameters, inputs, outputs)?));
            layers.extend(stage.activations(parameters, statistics.get(s))?);
        }
        Ok(layers)
    }
}
