//! Where every parameter lies in the one vector that optimisers move, and back to a network.
//!
//! Layer by layer: weights (neurons x inputs, columns first; of a convolution channels x numbers
//! under the window), biases, coefficients (element by element, shared or one a neuron or channel)
//! and, with attention, one number for each degree from 1. The last affine layer has weights and
//! biases alone.

use std::ops::Range;

use ndarray::{Array1, Array2};
use num_traits::{One, Zero};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::error::{Error, Result};
use crate::network::image::Shape;
use crate::network::{
    Activation, Affine, Basis, Channels, Conv, Family, Group, Layer, Mixed, Part, Pool, PoolKind,
    Slaf, Window,
};
use crate::numeric::Dyadic;
use crate::table::Standardisation;
use crate::train::kernel::Slafs;
use crate::train::layers::{LayerSpec, PoolSpec};
use crate::train::options::{BasisKind, HiddenActivation, Options, Penalised, Penalty};
use crate::train::real::{LANES, Real, load, vectorised};

/// One step of the way from inputs to outputs; step `s` makes value `s + 1`, value 0 are the inputs.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub kind: Kind,
    /// Numbers a row, before and after.
    pub before: usize,
    pub after: usize,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// `z = W y + b`
    Affine {
        weight: Range<usize>,
        bias: Range<usize>,
    },
    Conv {
        window: Window,
        channels: usize,
        weight: Range<usize>,
        bias: Range<usize>,
    },
    Activation(Activations),
    Pool(Pool),
    /// While training, numbers become 0 with this probability.
    Dropout(f64),
    /// Adds this value.
    Add(usize),
    Flatten(Shape),
}

/// The activations of the channels of an image, or of the neurons of a layer.
#[derive(Clone, Debug)]
pub(super) struct Activations {
    pub channels: usize,
    /// The SLAFs of the first channels, if any.
    pub slaf: Option<SlafShape>,
    /// What the channels after the SLAFs compute.
    pub function: Option<Activation>,
    /// Whether this is batch normalisation: a SLAF of degree 1 that starts as the identity.
    pub normalisation: bool,
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

/// A network that is being trained.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub steps: Vec<Step>,
    pub parameters: usize,
    /// Products of a number and a weight on the way of one row.
    pub products: usize,
    /// Whether there is a residual.
    pub joins: bool,
    /// The shape of the images, and by how many rows and columns they are moved at most.
    pub shift: Option<(Shape, usize)>,
    penalty: Penalty,
    penalised: Penalised,
}

/// Mean and scale of every step with SLAFs, frozen; empty for the others.
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
    pub fn factor<T: Real>(&self, parameters: &[T], k: usize) -> f64 {
        if k == 0 || self.attention.is_empty() {
            1.0
        } else {
            logistic(parameters[self.attention.start + k - 1].f64())
        }
    }

    /// The kernel's numbers, with mean 0 and scale 1.
    pub fn kernel<T: Real>(&self) -> Slafs<T> {
        let family = self.basis.family();
        let statistics = self.neurons * if family.is_some() { 1 } else { self.degree };
        Slafs {
            neurons: self.neurons,
            degree: self.degree,
            family,
            raw: self.basis == BasisKind::Monomial,
            coefficients: vec![T::zero(); (self.degree + 1) * self.neurons],
            mean: vec![T::zero(); statistics],
            scale: vec![T::one(); statistics],
        }
    }

    /// Spreads the coefficients over the neurons, attention multiplied in.
    pub fn spread<T: Real>(&self, parameters: &[T], kernel: &mut Slafs<T>) {
        let rows = self.rows();
        for k in 0..=self.degree {
            let factor = T::of(self.factor(parameters, k));
            let own = &parameters[self.coefficients.start + k * rows..][..rows];
            for i in 0..self.neurons {
                kernel.coefficients[k * self.neurons + i] =
                    factor * own[if self.shared { 0 } else { i }];
            }
        }
    }

    /// The reverse of [`SlafShape::spread`] for gradients: from `sums` ((degree + 1) x neurons)
    /// by the spread coefficients into `gradient` by the parameters.
    pub fn gather<T: Real>(&self, parameters: &[T], sums: &[f64], gradient: &mut [T]) {
        let rows = self.rows();
        for k in 0..=self.degree {
            let factor = self.factor(parameters, k);
            let sums = &sums[k * self.neurons..][..self.neurons];
            let at = self.coefficients.start + k * rows;
            let mut by_factor = 0.0;
            let mut shared = 0.0;
            for (i, sum) in sums.iter().enumerate() {
                let row = if self.shared { 0 } else { i };
                if self.shared {
                    shared += factor * sum;
                } else {
                    gradient[at + row] += T::of(factor * sum);
                }
                by_factor += parameters[at + row].f64() * sum;
            }
            if self.shared {
                gradient[at] += T::of(shared);
            }
            if k > 0 && !self.attention.is_empty() {
                gradient[self.attention.start + k - 1] +=
                    T::of(by_factor * factor * (1.0 - factor));
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

impl Activations {
    /// The layer on the channels.
    fn layer(
        &self,
        parameters: &[f64],
        statistics: &(Vec<f64>, Vec<f64>),
    ) -> Result<Option<Layer>> {
        let slaf =
            self.slaf.as_ref().map(|shape| shape.layer(parameters, statistics)).transpose()?;
        Ok(match (slaf, self.function) {
            (None, None) => None,
            (None, Some(function)) => Some(Layer::Activation(function)),
            (Some(slaf), None) => Some(Layer::Slaf(slaf)),
            (Some(slaf), Some(function)) => {
                let first = self.slaf.as_ref().map_or(0, |s| s.neurons);
                let slafs = Group { neurons: (0..first).collect(), part: Part::Slaf(slaf) };
                let others = Group {
                    neurons: (first..self.channels).collect(),
                    part: Part::Activation(function),
                };
                Some(Layer::Mixed(Mixed::new(vec![slafs, others])?))
            }
        })
    }
}

/// Parameters are finite: training refuses others.
fn exact(x: f64) -> Dyadic {
    Dyadic::from_f64(x).unwrap_or_else(Dyadic::zero)
}

fn outside() -> Error {
    Error::invalid(
        "training",
        "a parameter beyond the range of f64 in the table's own units",
        "columns of moderate size: give them in other units",
    )
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

/// What a [`Model`] is built from, step by step.
struct Builder<'a> {
    options: &'a Options,
    model: Model,
    width: usize,
    /// Height, width and channels where the numbers are an image.
    shape: Option<Shape>,
}

fn wrong(layer: &LayerSpec, found: impl Into<String>, expected: impl Into<String>) -> Error {
    Error::invalid(format!("options.layers: {layer}"), found, expected)
}

impl Builder<'_> {
    fn take(&mut self, count: usize) -> Range<usize> {
        let first = self.model.parameters;
        self.model.parameters = first.saturating_add(count);
        first..self.model.parameters
    }

    fn push(&mut self, kind: Kind, after: usize) {
        self.model.steps.push(Step { kind, before: self.width, after });
        self.width = after;
    }

    fn dense(&mut self, neurons: usize) {
        if let Some(shape) = self.shape.take() {
            self.push(Kind::Flatten(shape), self.width);
        }
        let products = self.width.saturating_mul(neurons);
        self.model.products = self.model.products.saturating_add(products);
        let (weight, bias) = (self.take(products), self.take(neurons));
        self.push(Kind::Affine { weight, bias }, neurons);
    }

    /// SLAFs, or what [`HiddenActivation`] says, on every channel or neuron.
    fn activation(&mut self, activation: &HiddenActivation, degree: usize) {
        use HiddenActivation::*;
        let channels = self.shape.map_or(self.width, |shape| shape[2]);
        let (learned, function) = match *activation {
            Slaf { basis, shared, attention } => (Some((basis, shared, attention)), None),
            Function(function) => (None, Some(function)),
            Hybrid { function, basis, shared, attention, .. } => {
                (Some((basis, shared, attention)), Some(function))
            }
        };
        let slafs = activation.slafs(channels);
        let slaf = learned.map(|(basis, shared, attention)| SlafShape {
            neurons: slafs,
            degree,
            basis,
            shared,
            coefficients: self.take((degree + 1) * if shared { 1 } else { slafs }),
            attention: self.take(if attention { degree } else { 0 }),
        });
        let function = function.filter(|_| slafs < channels);
        let activations = Activations { channels, slaf, function, normalisation: false };
        self.push(Kind::Activation(activations), self.width);
    }

    fn image(&self, layer: &LayerSpec) -> Result<Shape> {
        self.shape.ok_or_else(|| {
            wrong(layer, "no image before it", "inputs that are images, and no dense layer before")
        })
    }

    fn pool(&mut self, layer: &LayerSpec, pool: &PoolSpec, max: bool) -> Result<()> {
        let window = Window::new(self.image(layer)?, pool.size, pool.stride, [0, 0])
            .map_err(|e| e.within(format!("options.layers: {layer}")))?;
        let pool = if max { Pool::new(window, PoolKind::Max) } else { Pool::average(window) }?;
        self.shape = Some(pool.output());
        self.push(Kind::Pool(pool), pool.output().iter().product());
        Ok(())
    }

    fn layer(&mut self, layer: &LayerSpec) -> Result<()> {
        match layer {
            LayerSpec::Dense(neurons) => self.dense(*neurons),
            LayerSpec::Slaf(degree) => self.activation(&self.options.activation, *degree),
            LayerSpec::Activation(function) => {
                self.activation(&HiddenActivation::Function(*function), 0);
            }
            LayerSpec::BatchNorm => {
                self.activation(&HiddenActivation::slaf(), 1);
                if let Some(Step { kind: Kind::Activation(a), .. }) = self.model.steps.last_mut() {
                    a.normalisation = true;
                }
            }
            LayerSpec::Dropout(rate) => self.push(Kind::Dropout(*rate), self.width),
            LayerSpec::Flatten => {
                let shape = self.image(layer)?;
                self.shape = None;
                self.push(Kind::Flatten(shape), self.width);
            }
            LayerSpec::AveragePool(pool) => self.pool(layer, pool, false)?,
            LayerSpec::MaxPool(pool) => self.pool(layer, pool, true)?,
            LayerSpec::Conv { size, channels, stride, padded } => {
                let padding = if *padded { size.map(|n| n.saturating_sub(1) / 2) } else { [0, 0] };
                if *padded && size.iter().any(|n| n.is_multiple_of(2)) {
                    let expected = "odd rows and columns, or :valid behind it";
                    return Err(wrong(layer, "an even window with padding", expected));
                }
                let window = Window::new(self.image(layer)?, *size, *stride, padding)
                    .map_err(|e| e.within(format!("options.layers: {layer}")))?;
                let [height, width] = window.places();
                let length = window.length().saturating_mul(*channels);
                let products = length.saturating_mul(window.positions());
                self.model.products = self.model.products.saturating_add(products);
                let (weight, bias) = (self.take(length), self.take(*channels));
                self.shape = Some([height, width, *channels]);
                let after = height.saturating_mul(width).saturating_mul(*channels);
                self.push(Kind::Conv { window, channels: *channels, weight, bias }, after);
            }
            LayerSpec::Residual(layers) => {
                let (value, width, shape) = (self.model.steps.len(), self.width, self.shape);
                for layer in layers {
                    self.layer(layer)?;
                }
                if (self.width, self.shape) != (width, shape) {
                    let sizes = |width: usize, shape: Option<Shape>| match shape {
                        Some([h, w, c]) => format!("{h}x{w}x{c}"),
                        None => width.to_string(),
                    };
                    let found = format!("{} behind it", sizes(self.width, self.shape));
                    let expected = format!("{} as before it", sizes(width, shape));
                    return Err(wrong(layer, found, expected));
                }
                self.push(Kind::Add(value), width);
                self.model.joins = true;
            }
        }
        Ok(())
    }
}

impl Model {
    /// The model of `options` for so many inputs and outputs.
    ///
    /// # Errors
    /// When the layers do not fit one another or the inputs.
    pub fn new(inputs: usize, outputs: usize, options: &Options) -> Result<Self> {
        let Options { penalty, penalised, .. } = *options;
        let (steps, parameters, products, joins) = (Vec::new(), 0, 0, false);
        let shift = options.image.zip(options.shift);
        let model = Model { steps, parameters, products, joins, shift, penalty, penalised };
        let mut builder = Builder { options, model, width: inputs, shape: None };
        match &options.layers {
            None => {
                for (layer, &neurons) in options.hidden.iter().enumerate() {
                    builder.dense(neurons);
                    builder.activation(&options.activation, options.degree(layer));
                }
            }
            Some(layers) => {
                if let Some(shape) = options.image
                    && shape.iter().product::<usize>() != inputs
                {
                    let [h, w, c] = shape;
                    let found = format!("{h} x {w} x {c}");
                    let expected = format!("a product of {inputs}, the number of inputs");
                    return Err(Error::invalid("options.image", found, expected));
                }
                builder.shape = options.image;
                for layer in layers {
                    builder.layer(layer)?;
                }
            }
        }
        builder.dense(outputs);
        Ok(builder.model)
    }

    /// Numbers of inputs and of outputs.
    pub fn ends(&self) -> (usize, usize) {
        let ends = self.steps.first().zip(self.steps.last());
        ends.map_or((0, 0), |(first, last)| (first.before, last.after))
    }

    /// The first step with parameters: derivatives by what comes before it serve nothing.
    pub fn first_trainable(&self) -> usize {
        let trainable = |step: &Step| match &step.kind {
            Kind::Affine { .. } | Kind::Conv { .. } => true,
            Kind::Activation(a) => a.slaf.is_some(),
            _ => false,
        };
        self.steps.iter().position(trainable).unwrap_or(0)
    }

    /// Random parameters: weights N(0, 1/inputs) (twice the variance for the ReLU family, which
    /// loses half of it), biases 0, coefficients 0.1 N(0, 1) with 1 added on the linear element,
    /// attention N(0, 1), batch normalisation with factor 1.
    pub fn initial(&self, seed: u64, attempt: usize) -> Vec<f64> {
        let mut rng = generator(seed, attempt, 0);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut parameters = vec![0.0; self.parameters];
        for (s, step) in self.steps.iter().enumerate() {
            let (weight, inputs) = match &step.kind {
                Kind::Affine { weight, .. } => (weight.clone(), step.before),
                Kind::Conv { weight, window, .. } => (weight.clone(), window.length()),
                _ => (0..0, 1),
            };
            let next = self.steps[s + 1..].iter().find_map(|step| match &step.kind {
                Kind::Activation(a) if !a.normalisation => Some(a.function),
                Kind::Affine { .. } | Kind::Conv { .. } => Some(None),
                _ => None,
            });
            let gain = match next.flatten() {
                Some(Activation::Relu | Activation::LeakyRelu { .. }) => 2.0,
                _ => 1.0,
            };
            let deviation = (gain / inputs as f64).sqrt();
            for w in &mut parameters[weight] {
                *w = deviation * normal();
            }
            let Kind::Activation(Activations { slaf: Some(slaf), normalisation, .. }) = &step.kind
            else {
                continue;
            };
            let rows = slaf.rows();
            if *normalisation {
                parameters[slaf.coefficients.start + rows..slaf.coefficients.end].fill(1.0);
                continue;
            }
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
        let weights = self.steps.iter().filter_map(|step| match &step.kind {
            Kind::Affine { weight, .. } | Kind::Conv { weight, .. } => Some(weight.clone()),
            _ => None,
        });
        let coefficients = self.steps.iter().filter_map(|step| match &step.kind {
            Kind::Activation(Activations { slaf: Some(slaf), normalisation: false, .. }) => {
                Some(slaf.penalised())
            }
            _ => None,
        });
        match self.penalised {
            Penalised::All => weights.chain(coefficients).collect(),
            Penalised::Weights => weights.collect(),
            Penalised::Coefficients => coefficients.collect(),
            Penalised::FirstLayer => weights.take(1).collect(),
        }
    }

    /// The step that penalties of their own take, see [`Penalty::Step`].
    pub fn penalty_step<T: Real>(&self, parameters: &mut [T], rate: f64, l1: f64, l2: f64) {
        if self.penalty == Penalty::Loss || (l1 == 0.0 && l2 == 0.0) {
            return;
        }
        for range in self.penalised() {
            for p in &mut parameters[range] {
                // Beyond 0 the step would be longer than the way to the minimum.
                let shrunk = p.f64() * (1.0 - 2.0 * rate * l2).max(0.0);
                *p = T::of(shrunk.signum() * (shrunk.abs() - rate * l1).max(0.0));
            }
        }
    }

    /// Adds `l1 sum |p| + l2 sum p^2` to the loss and its derivative to the gradient, where
    /// penalties are part of the loss.
    pub fn penalise<T: Real>(
        &self,
        parameters: &[T],
        l1: f64,
        l2: f64,
        gradient: Option<&mut [T]>,
    ) -> f64 {
        if self.penalty == Penalty::Step || (l1 == 0.0 && l2 == 0.0) {
            return 0.0;
        }
        let (mut absolute, mut squares) = (0.0, 0.0);
        let mut gradient = gradient;
        for range in self.penalised() {
            let own = gradient.as_deref_mut().map(|g| &mut g[range.clone()]);
            let (a, s) = penalise(&parameters[range], T::of(l1), T::of(2.0 * l2), own);
            absolute += a;
            squares += s;
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
        // What is added to them takes the standardised inputs too.
        let first_is_affine =
            matches!(self.steps.first().map(|s| &s.kind), Some(Kind::Affine { .. }))
                && !self.steps.iter().any(|step| matches!(step.kind, Kind::Add(0)));
        if let (Some(map), false) = (inputs, first_is_affine) {
            // Convolutions with padding cannot take it up, nor can a residual.
            layers.push(Layer::Slaf(standardise(map)?));
        }
        let inputs = inputs.filter(|_| first_is_affine);
        let source = Source { parameters, statistics, inputs, outputs };
        self.layers_of(0..self.steps.len(), &source, &mut layers)?;
        Ok(layers)
    }

    fn layers_of(
        &self,
        range: Range<usize>,
        source: &Source,
        layers: &mut Vec<Layer>,
    ) -> Result<()> {
        let parameters = source.parameters;
        let mut s = range.start;
        // Where a normalisation finds the affine map that it is folded into.
        let mut foldable = false;
        while s < range.end {
            // The outermost residual that begins here.
            let end = (s..range.end)
                .rev()
                .find(|&a| matches!(self.steps[a].kind, Kind::Add(value) if value == s));
            if let Some(end) = end {
                let mut inside = Vec::new();
                self.layers_of(s..end, source, &mut inside)?;
                layers.push(Layer::Residual(inside));
                (s, foldable) = (end + 1, false);
                continue;
            }
            let step = &self.steps[s];
            let last = s + 1 == self.steps.len();
            let affine = matches!(step.kind, Kind::Affine { .. } | Kind::Conv { .. });
            match &step.kind {
                Kind::Affine { weight, bias } => {
                    let own = &parameters[weight.clone()];
                    let shape = (step.after, step.before);
                    let weight = Array2::from_shape_fn(shape, |(i, j)| own[j * step.after + i]);
                    let bias = Array1::from(parameters[bias.clone()].to_vec());
                    let inputs = source.inputs.filter(|_| s == 0);
                    let outputs = source.outputs.filter(|_| last);
                    layers.push(Layer::Affine(fold(&weight, &bias, inputs, outputs)?));
                }
                Kind::Conv { window, channels, weight, bias } => {
                    let own = &parameters[weight.clone()];
                    let shape = (*channels, window.length());
                    let weight = Array2::from_shape_fn(shape, |(i, j)| own[j * channels + i]);
                    let bias = Array1::from(parameters[bias.clone()].to_vec());
                    layers.push(Layer::Conv(Conv::new(*window, weight, bias)?));
                }
                Kind::Activation(a) => {
                    let none = (Vec::new(), Vec::new());
                    let statistics = source.statistics.get(s).unwrap_or(&none);
                    let normalised = match (a.normalisation, &a.slaf, layers.last()) {
                        (true, Some(slaf), Some(layer)) if foldable => {
                            slaf.normalise(parameters, statistics, layer)?
                        }
                        _ => None,
                    };
                    if let Some(layer) = normalised {
                        layers.pop();
                        layers.push(layer);
                    } else if let Some(layer) = a.layer(parameters, statistics)? {
                        let positions = step.before / a.channels;
                        layers.push(match layer {
                            Layer::Activation(_) => layer,
                            layer if positions == 1 => layer,
                            layer => Layer::Channels(Channels::new(positions, a.channels, layer)?),
                        });
                    }
                }
                Kind::Pool(pool) => layers.push(Layer::Pool(*pool)),
                Kind::Flatten(shape) => layers.push(Layer::Flatten(*shape)),
                Kind::Dropout(_) | Kind::Add(_) => {}
            }
            foldable = affine;
            s += 1;
        }
        Ok(())
    }
}

/// What the layers of a network are made of.
struct Source<'a> {
    parameters: &'a [f64],
    statistics: &'a Statistics,
    inputs: Option<&'a Standardisation>,
    outputs: Option<&'a Standardisation>,
}

impl SlafShape {
    /// The affine map or convolution `layer` with batch normalisation behind it, as one: with
    /// `factor_i = c_i1 scale_i`, `W'_ij = factor_i W_ij` and
    /// `b'_i = factor_i (b_i - mean_i) + c_i0`, each exact until its rounding.
    fn normalise(
        &self,
        parameters: &[f64],
        (mean, scale): &(Vec<f64>, Vec<f64>),
        layer: &Layer,
    ) -> Result<Option<Layer>> {
        let (weight, bias) = match layer {
            Layer::Affine(affine) => (affine.weight().to_f64(), affine.bias().to_f64()),
            Layer::Conv(conv) => (conv.weight().to_f64(), conv.bias().to_f64()),
            _ => return Ok(None),
        };
        let (mut weight, mut bias) = (weight.into_owned(), bias.into_owned());
        let own = &parameters[self.coefficients.clone()];
        for i in 0..self.neurons {
            let factor = &exact(own[self.neurons + i]) * &exact(scale[i]);
            for w in weight.row_mut(i) {
                *w = (&exact(*w) * &factor).to_f64().ok_or_else(outside)?;
            }
            let shifted = (exact(bias[i]) - exact(mean[i])) * factor + exact(own[i]);
            bias[i] = shifted.to_f64().ok_or_else(outside)?;
        }
        Ok(Some(match layer {
            Layer::Conv(conv) => Layer::Conv(Conv::new(*conv.window(), weight, bias)?),
            _ => Layer::Affine(Affine::new(weight, bias)?),
        }))
    }
}

/// `(x - mean) reciprocal_deviation`, exactly, as a layer.
fn standardise(map: &Standardisation) -> Result<Slaf> {
    let column = |x: &[f64]| Array2::from_shape_fn((x.len(), 1), |(i, _)| x[i]);
    let (mean, scale) = (column(map.mean()).into(), column(map.reciprocal_deviation()).into());
    let coefficients = ndarray::arr2(&[[0.0, 1.0]]);
    Slaf::new(Basis::NormalisedMonomial { mean, scale }, coefficients)
}

vectorised! {
    /// The sums of `|p|` and `p^2`; adds `l1 sign p + twice p` to the gradient.
    fn penalise<'a, T>(p: &'a [T], l1: T, twice: T, gradient: Option<&'a mut [T]>) -> (f64, f64) {
        let (mut absolute, mut squares) = (0.0, 0.0);
        for part in p.chunks(64 * LANES) {
            let (mut a, mut s) = ([T::zero(); LANES], [T::zero(); LANES]);
            for chunk in part.chunks(LANES) {
                let x = load(chunk);
                for i in 0..LANES {
                    a[i] += x[i].abs();
                    s[i] += x[i] * x[i];
                }
            }
            for i in 0..LANES {
                absolute += a[i].f64();
                squares += s[i].f64();
            }
        }
        if let Some(gradient) = gradient {
            for (g, p) in gradient.iter_mut().zip(p) {
                let positive = if *p > T::zero() { l1 } else { T::zero() };
                let negative = if *p < T::zero() { l1 } else { T::zero() };
                *g += positive - negative + twice * *p;
            }
        }
        (absolute, squares)
    }
}
