//! What a training run is asked to do, and which requests make no sense together.

use crate::error::{Error, Result};
use crate::network::{Activation, Family, Head};
use crate::train::layers::LayerSpec;

/// The largest degree of a SLAF that training accepts.
const MAX_DEGREE: usize = 64;
/// The largest number of neurons of one hidden layer.
const MAX_NEURONS: usize = 1 << 20;
/// The most layers, those in residuals counted.
const MAX_LAYERS: usize = 1000;
/// The largest number of parameters: beyond it the moments alone fill the memory.
const MAX_PARAMETERS: usize = 1 << 28;

/// Everything that determines a trained network, besides the numbers of the table.
///
/// The default is a recipe that trains well on tables of some hundred to some thousand rows:
/// full-batch Adam from a learning rate of 1e-2 to 0 along a cosine, SLAFs of degree 3 on
/// normalised monomials with batch statistics, one polynomial a neuron.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The number of neurons of every hidden layer; empty for an affine model.
    pub hidden: Vec<usize>,
    /// The network layer by layer, in place of [`Options::hidden`] and [`Options::degrees`]: for
    /// images, pooling, dropout, batch normalisation and residuals.
    pub layers: Option<Vec<LayerSpec>>,
    /// Height, width and channels, where the inputs are an image: row by row, channels last.
    pub image: Option<[usize; 3]>,
    /// Each image that trains is moved by up to so many rows and columns, drawn anew whenever it is
    /// seen, with zeros where nothing was. Losses that are reported are those of images unmoved.
    pub shift: Option<usize>,
    /// The degree of the SLAFs: one for all hidden layers, or one each.
    pub degrees: Vec<usize>,
    /// What the neurons of the hidden layers compute.
    pub activation: HiddenActivation,
    /// What keeps the powers of pre-activations in range.
    pub routine: Routine,
    /// What is minimised; it also decides the head of the network.
    pub loss: Loss,
    /// How parameters move.
    pub optimiser: Optimiser,
    /// The learning rate of the first epoch; L-BFGS chooses its own steps and ignores it.
    pub learning_rate: f64,
    /// How the learning rate changes from epoch to epoch.
    pub schedule: Schedule,
    /// How often every training row is seen; for L-BFGS, the largest number of iterations.
    pub epochs: usize,
    /// Rows a step, or `None` for all of them.
    pub batch: Option<usize>,
    /// `l1 sum |p|` is added to the loss, over all weights and all coefficients of basis
    /// elements from degree 1; biases, constant coefficients and attention are free.
    pub l1: f64,
    /// `l2 sum p^2` is added to the loss, over the same parameters as `l1`.
    pub l2: f64,
    /// Whether `l1` and `l2` are part of the loss or a step of their own.
    pub penalty: Penalty,
    /// Which parameters `l1` and `l2` are about.
    pub penalised: Penalised,
    /// The activation that SLAFs begin as, fitted on the range of their pre-activations; `None`
    /// for random coefficients.
    pub warm_start: Option<Activation>,
    /// The weight of the boundary penalty, under [`Routine::Boundary`].
    pub boundary: f64,
    /// The largest Euclidean norm of the gradient; a longer one is scaled down to it. Under
    /// [`Routine::Boundary`] that of each hidden layer's gradient by itself.
    pub clip: Option<f64>,
    /// The fraction of the training rows that is held back to choose the best epoch.
    pub validation: Option<f64>,
    /// Epochs without a better validation loss before training ends.
    pub patience: Option<usize>,
    /// How many times to begin again, from other random numbers, a run that diverged or that
    /// ended above `target_loss`. The best run is kept.
    pub restarts: usize,
    /// A training loss at which training ends: with penalties and in standardised units, as it is
    /// minimised; with mini-batches, the mean over an epoch.
    pub target_loss: Option<f64>,
    /// The seed of every random number.
    pub seed: u64,
    /// The float that training computes in. The saved network holds its weights exactly, and is
    /// evaluated in f64, either way.
    pub precision: Precision,
    /// Whether training sees the inputs, and under mean squared error the targets, with mean 0
    /// and deviation 1; an input with a training row more than six deviations from its mean less, so
    /// that the row lies at six. The saved network works in the table's own units either way.
    pub standardise: bool,
}

/// The float that training computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits: twice the speed and half the memory, enough for classes and noisy targets.
    F32,
    /// 53 bits.
    F64,
}

/// What the neurons of the hidden layers compute.
#[derive(Clone, Debug, PartialEq)]
pub enum HiddenActivation {
    /// A SLAF.
    Slaf {
        /// Its basis.
        basis: BasisKind,
        /// One polynomial for the whole layer instead of one a neuron.
        shared: bool,
        /// Learned factors `sigmoid(t_k)`, one for every degree from 1, shared by the layer.
        attention: bool,
    },
    /// A conventional activation.
    Function(Activation),
    /// A SLAF on the first neurons of every layer, a conventional activation on the others.
    Hybrid {
        /// The conventional activation.
        function: Activation,
        /// The fraction of neurons with a SLAF, rounded to the nearest count but at least
        /// one of either kind where the layer has two neurons.
        fraction: f64,
        /// The basis of the SLAF.
        basis: BasisKind,
        /// One polynomial for the SLAFs of the layer instead of one a neuron.
        shared: bool,
        /// As for [`HiddenActivation::Slaf`].
        attention: bool,
    },
}

/// The basis in which the coefficients of a SLAF are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasisKind {
    /// `z^k`.
    Monomial,
    /// `(z^k - mean_k) / sqrt(variance_k + 1e-8)`, moments of the batch while training,
    /// of all rows that trained afterwards.
    NormalisedMonomial,
    /// `(z / max |z|)^k`, the maximum over the batch while training, over all rows that trained
    /// afterwards.
    ScaledMonomial,
    /// Chebyshev polynomials on the range of the pre-activations at the start.
    Chebyshev,
    /// Legendre polynomials on the range of the pre-activations at the start.
    Legendre,
    /// Hermite polynomials in `(z - mean) / (sqrt(2) deviation)`, moments at the start.
    Hermite,
}

/// What keeps the powers of pre-activations in range while training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routine {
    /// The basis itself: batch statistics, or the interval of an orthogonal family.
    Normalised,
    /// The gradient, clipped at norm 5 where [`Options::clip`] does not say otherwise: the
    /// routine for raw powers.
    Clipped,
    /// A penalty, the mean over rows of `sum exp(d (|t| - 1)) - 1` over neurons with `|t| > 1`,
    /// where `t` is the argument of the basis and `d` the degree of the SLAF, and the gradient
    /// of each hidden layer clipped by itself, at norm 1 where [`Options::clip`] does not say
    /// otherwise; L-BFGS, whose line search bounds the step, clips nothing. After
    /// arXiv 2505.11589.
    Boundary,
}

/// How `l1` and `l2` act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// They are part of the loss.
    Loss,
    /// The optimiser follows the loss of the data; after its step with learning rate `r` every
    /// penalised parameter is multiplied by `1 - 2 r l2` and moved towards 0 by `r l1`, at most
    /// to 0. Adam's scaling does not act on it, and L1 gives exact zeros.
    Step,
}

/// Which parameters `l1` and `l2` are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalised {
    /// All weights, and all coefficients of basis elements from degree 1.
    All,
    /// All weights.
    Weights,
    /// All coefficients of basis elements from degree 1.
    Coefficients,
    /// The weights of the first layer: L1 on them chooses inputs.
    FirstLayer,
}

/// What training minimises, as a mean over rows and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// `(y - t)^2`, in standardised units when [`Options::standardise`] is set.
    MeanSquaredError,
    /// `-sum_i t_i ln softmax(y)_i` a row: one of several classes. The mean is over rows alone.
    SoftmaxCrossEntropy,
    /// `-t ln p - (1 - t) ln (1 - p)` with `p = logistic(y)`: yes or no, for every output.
    LogisticCrossEntropy,
}

/// How parameters move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// Adam (Kingma and Ba 2015, algorithm 1).
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        epsilon: f64,
    },
    /// Stochastic gradient descent, `v <- momentum v + g`, `p <- p - rate v`.
    Sgd {
        /// Decay of the velocity, 0 for none.
        momentum: f64,
    },
    /// L-BFGS with a strong Wolfe line search (Nocedal and Wright 2006, algorithms 7.4, 3.5, 3.6):
    /// full batches, small problems, high accuracy.
    Lbfgs {
        /// How many steps the curvature is estimated from.
        history: usize,
    },
}

/// How the learning rate changes; `e` is the epoch from 0, in `E` epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// It does not.
    Constant,
    /// `rate (1 + cos(pi e / E)) / 2`.
    Cosine,
    /// `rate factor^floor(e / every)`.
    Step {
        /// Epochs between changes.
        every: usize,
        /// The factor at a change.
        factor: f64,
    },
    /// `rate decay^e`.
    Exponential {
        /// The factor after every epoch.
        decay: f64,
    },
}

impl Default for Options {
    fn default() -> Self {
        Options {
            hidden: vec![16, 8],
            layers: None,
            image: None,
            shift: None,
            degrees: vec![3],
            activation: HiddenActivation::slaf(),
            routine: Routine::Normalised,
            loss: Loss::MeanSquaredError,
            optimiser: Optimiser::adam(),
            learning_rate: 1e-2,
            schedule: Schedule::Cosine,
            epochs: 3000,
            batch: None,
            l1: 0.0,
            l2: 1e-4,
            penalty: Penalty::Loss,
            penalised: Penalised::All,
            warm_start: None,
            boundary: 1.0,
            clip: None,
            validation: None,
            patience: None,
            restarts: 0,
            target_loss: None,
            seed: 0,
            precision: Precision::F64,
            standardise: true,
        }
    }
}

impl HiddenActivation {
    /// A SLAF a neuron on normalised monomials.
    pub fn slaf() -> Self {
        HiddenActivation::Slaf {
            basis: BasisKind::NormalisedMonomial,
            shared: false,
            attention: false,
        }
    }

    /// The basis where some neurons have a SLAF.
    pub fn basis(&self) -> Option<BasisKind> {
        match self {
            HiddenActivation::Slaf { basis, .. } | HiddenActivation::Hybrid { basis, .. } => {
                Some(*basis)
            }
            HiddenActivation::Function(_) => None,
        }
    }

    /// Sets the basis where some neurons have a SLAF.
    pub fn set_basis(&mut self, kind: BasisKind) {
        if let HiddenActivation::Slaf { basis, .. } | HiddenActivation::Hybrid { basis, .. } = self
        {
            *basis = kind;
        }
    }

    /// How many of `neurons` neurons have a SLAF.
    pub(crate) fn slafs(&self, neurons: usize) -> usize {
        match self {
            HiddenActivation::Slaf { .. } => neurons,
            HiddenActivation::Function(_) => 0,
            HiddenActivation::Hybrid { fraction, .. } => {
                let count = (neurons as f64 * fraction).round() as usize;
                if neurons >= 2 { count.clamp(1, neurons - 1) } else { neurons }
            }
        }
    }
}

impl BasisKind {
    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            BasisKind::Monomial => "monomial",
            BasisKind::NormalisedMonomial => "normalised-monomial",
            BasisKind::ScaledMonomial => "scaled-monomial",
            BasisKind::Chebyshev => "chebyshev",
            BasisKind::Legendre => "legendre",
            BasisKind::Hermite => "hermite",
        }
    }

    /// All bases.
    pub const ALL: [BasisKind; 6] = [
        BasisKind::Monomial,
        BasisKind::NormalisedMonomial,
        BasisKind::ScaledMonomial,
        BasisKind::Chebyshev,
        BasisKind::Legendre,
        BasisKind::Hermite,
    ];

    /// The basis of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        BasisKind::ALL.into_iter().find(|basis| basis.name() == name)
    }

    pub(crate) fn family(self) -> Option<Family> {
        match self {
            BasisKind::Monomial | BasisKind::NormalisedMonomial | BasisKind::ScaledMonomial => None,
            BasisKind::Chebyshev => Some(Family::Chebyshev),
            BasisKind::Legendre => Some(Family::Legendre),
            BasisKind::Hermite => Some(Family::Hermite),
        }
    }
}

impl Loss {
    /// The head of a network trained with this loss.
    pub fn head(self) -> Head {
        match self {
            Loss::MeanSquaredError => Head::Identity,
            Loss::SoftmaxCrossEntropy => Head::Softmax,
            Loss::LogisticCrossEntropy => Head::Logistic,
        }
    }

    /// The loss that belongs to a head.
    pub fn of_head(head: Head) -> Self {
        match head {
            Head::Identity => Loss::MeanSquaredError,
            Head::Softmax => Loss::SoftmaxCrossEntropy,
            Head::Logistic => Loss::LogisticCrossEntropy,
        }
    }
}

impl Optimiser {
    /// Adam with its usual constants, 0.9, 0.999 and 1e-8.
    pub fn adam() -> Self {
        Optimiser::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }

    /// L-BFGS with a history of 20 steps.
    pub fn lbfgs() -> Self {
        Optimiser::Lbfgs { history: 20 }
    }
}

impl Schedule {
    /// The learning rate of `epoch`, from 0, in `epochs`.
    pub fn rate(self, learning_rate: f64, epoch: usize, epochs: usize) -> f64 {
        match self {
            Schedule::Constant => learning_rate,
            Schedule::Cosine => {
                let angle = std::f64::consts::PI * epoch as f64 / epochs.max(1) as f64;
                learning_rate * 0.5 * (1.0 + angle.cos())
            }
            Schedule::Step { every, factor } => {
                let changes = epoch / every.max(1);
                learning_rate * factor.powi(changes.min(i32::MAX as usize) as i32)
            }
            Schedule::Exponential { decay } => {
                learning_rate * decay.powi(epoch.min(i32::MAX as usize) as i32)
            }
        }
    }
}

fn wrong(place: &str, found: impl std::fmt::Display, expected: &str) -> Error {
    Error::invalid(format!("options.{place}"), found.to_string(), expected)
}

impl Options {
    /// The degree of hidden layer `layer`; meaningful after [`Options::validate`].
    pub(crate) fn degree(&self, layer: usize) -> usize {
        if self.degrees.len() == 1 { self.degrees[0] } else { self.degrees[layer] }
    }

    /// The norm at which gradients are clipped, if any.
    pub(crate) fn clip_norm(&self) -> Option<f64> {
        self.clip.or(match self.routine {
            Routine::Normalised => None,
            Routine::Clipped => Some(5.0),
            Routine::Boundary => {
                (!matches!(self.optimiser, Optimiser::Lbfgs { .. })).then_some(1.0)
            }
        })
    }

    /// Checks every number and every combination.
    ///
    /// # Errors
    /// The first option that is out of range or does not go with another, and what would.
    pub fn validate(&self) -> Result<()> {
        self.validate_layers()?;
        self.validate_numbers()?;
        self.validate_combinations()
    }

    /// # Errors
    /// When a network with these inputs and outputs would have too many parameters.
    pub(crate) fn check_size(&self, inputs: usize, outputs: usize) -> Result<()> {
        if self.layers.is_some() {
            return Ok(());
        }
        let mut total = 0usize;
        let mut width = inputs;
        for (layer, &neurons) in self.hidden.iter().enumerate() {
            // Neurons, degree and width are bounded, so nothing here can overflow 64 bits.
            total = total.saturating_add(neurons.saturating_mul(width + 2 + self.degree(layer)));
            width = neurons;
        }
        total = total.saturating_add(outputs.saturating_mul(width + 1));
        Options::check_parameters(total)
            .map_err(|_| wrong("hidden", format!("{total} parameters"), "at most 2^28"))
    }

    /// # Errors
    /// When the network is given layer by layer, which `place` cannot take.
    pub(crate) fn without_layers(&self, place: &str) -> Result<()> {
        match self.layers {
            Some(_) => Err(wrong("layers", format!("layers in {place}"), "hidden and degrees")),
            None => Ok(()),
        }
    }

    /// # Errors
    /// When there are too many.
    pub(crate) fn check_parameters(parameters: usize) -> Result<()> {
        if parameters > MAX_PARAMETERS {
            return Err(wrong("layers", format!("{parameters} parameters"), "at most 2^28"));
        }
        Ok(())
    }

    fn validate_layers(&self) -> Result<()> {
        if let Some(n) = self.hidden.iter().find(|n| !(1..=MAX_NEURONS).contains(*n)) {
            return Err(wrong("hidden", format!("{n} neurons"), "1 to 2^20 neurons in a layer"));
        }
        if self.layers.is_none()
            && self.degrees.len() != 1
            && self.degrees.len() != self.hidden.len()
        {
            let expected = format!("one, or {}, one a hidden layer", self.hidden.len());
            return Err(wrong("degrees", format!("{} degrees", self.degrees.len()), &expected));
        }
        if let Some(d) = self.degrees.iter().find(|d| !(1..=MAX_DEGREE).contains(*d)) {
            return Err(wrong("degrees", d, "degrees from 1 to 64"));
        }
        if let Some(layers) = &self.layers {
            let mut count = 0;
            self.validate_specs(layers, &mut count)?;
            if count > MAX_LAYERS {
                return Err(wrong("layers", format!("{count} layers"), "at most 1000"));
            }
        }
        if let HiddenActivation::Hybrid { fraction, .. } = self.activation
            && !(fraction > 0.0 && fraction < 1.0)
        {
            return Err(wrong("activation.fraction", fraction, "a number between 0 and 1"));
        }
        Ok(())
    }

    fn validate_specs(&self, layers: &[LayerSpec], count: &mut usize) -> Result<()> {
        if layers.is_empty() {
            return Err(wrong("layers", "no layer", "at least one"));
        }
        for layer in layers {
            *count += 1;
            let bad = |expected: &str| Err(wrong("layers", layer, expected));
            match layer {
                LayerSpec::Dense(n) | LayerSpec::Conv { channels: n, .. }
                    if !(1..=MAX_NEURONS).contains(n) =>
                {
                    return bad("1 to 2^20 neurons or channels");
                }
                LayerSpec::Slaf(degree) if !(1..=MAX_DEGREE).contains(degree) => {
                    return bad("a degree from 1 to 64");
                }
                LayerSpec::Slaf(_) if self.activation.basis().is_none() => {
                    return bad("no SLAF where the activation is a conventional one");
                }
                LayerSpec::Dropout(rate) if !(0.0..1.0).contains(rate) => {
                    return bad("a probability from 0 to below 1");
                }
                LayerSpec::Residual(inside) => self.validate_specs(inside, count)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn validate_numbers(&self) -> Result<()> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let decay = |x: f64| (0.0..1.0).contains(&x);
        if !positive(self.learning_rate) {
            return Err(wrong("learning_rate", self.learning_rate, "a positive number"));
        }
        if self.epochs == 0 {
            return Err(wrong("epochs", 0, "at least one epoch"));
        }
        if self.batch == Some(0) {
            return Err(wrong("batch", 0, "at least one row a step"));
        }
        if self.patience == Some(0) {
            return Err(wrong("patience", 0, "at least one epoch"));
        }
        for (name, x) in [("l1", self.l1), ("l2", self.l2), ("boundary", self.boundary)] {
            if !(x.is_finite() && x >= 0.0) {
                return Err(wrong(name, x, "a number from 0"));
            }
        }
        if let Some(x) = self.clip.filter(|x| !positive(*x)) {
            return Err(wrong("clip", x, "a positive norm"));
        }
        if let Some(x) = self.validation.filter(|x| !(*x > 0.0 && *x < 1.0)) {
            return Err(wrong("validation", x, "a fraction between 0 and 1"));
        }
        if let Some(x) = self.target_loss.filter(|x| !(x.is_finite() && *x >= 0.0)) {
            return Err(wrong("target_loss", x, "a number from 0"));
        }
        match self.optimiser {
            Optimiser::Adam { beta1, beta2, epsilon } => {
                if !(decay(beta1) && decay(beta2)) {
                    let found = format!("{beta1} and {beta2}");
                    return Err(wrong("optimiser", found, "decays from 0 to below 1"));
                }
                if !positive(epsilon) {
                    return Err(wrong("optimiser.epsilon", epsilon, "a positive number"));
                }
            }
            Optimiser::Sgd { momentum } if !decay(momentum) => {
                return Err(wrong("optimiser.momentum", momentum, "a number from 0 to below 1"));
            }
            Optimiser::Lbfgs { history } if !(1..=1000).contains(&history) => {
                return Err(wrong("optimiser.history", history, "1 to 1000 steps"));
            }
            _ => {}
        }
        match self.schedule {
            Schedule::Step { every, factor } if every == 0 || !(factor > 0.0 && factor <= 1.0) => {
                let found = format!("every {every}, factor {factor}");
                Err(wrong("schedule", found, "every 1 or more epochs a factor in (0, 1]"))
            }
            Schedule::Exponential { decay } if !(decay > 0.0 && decay <= 1.0) => {
                Err(wrong("schedule.decay", decay, "a number in (0, 1]"))
            }
            _ => Ok(()),
        }
    }

    /// Whether one of the layers given, or a layer inside it, is such a one.
    pub(super) fn has_layer(&self, is: fn(&LayerSpec) -> bool) -> bool {
        self.layers.iter().flatten().any(|layer| layer.has(is))
    }

    fn validate_combinations(&self) -> Result<()> {
        let lbfgs = matches!(self.optimiser, Optimiser::Lbfgs { .. });
        let dropout =
            self.has_layer(|layer| matches!(layer, LayerSpec::Dropout(rate) if *rate > 0.0));
        if lbfgs {
            let refused = [
                (self.batch.is_some(), "batch", "full batches"),
                (self.l1 > 0.0, "l1", "a smooth penalty such as l2"),
                (self.penalty == Penalty::Step, "penalty", "penalties in the loss"),
                (self.shift.is_some(), "shift", "images where they are: all steps see the same"),
                (dropout, "layers: dropout", "none: all steps see the same network"),
                (
                    self.clip_norm().is_some(),
                    "clip",
                    "no clipping: its line search bounds the step",
                ),
            ];
            if let Some((_, name, expected)) = refused.into_iter().find(|(bad, ..)| *bad) {
                return Err(wrong(name, format!("{name} with L-BFGS"), expected));
            }
        }
        if let Some(shift) = self.shift {
            match (self.image, &self.layers) {
                (Some([height, width, _]), Some(_)) if shift >= height.min(width) => {
                    return Err(wrong("shift", shift, "less than the sides of the image"));
                }
                (Some(_), Some(_)) => {}
                _ => return Err(wrong("shift", shift, "layers on an image, or none")),
            }
        }
        if self.warm_start.is_some() && self.activation.basis().is_none() {
            return Err(wrong("warm_start", "a warm start without SLAFs", "SLAFs, or none"));
        }
        if self.patience.is_some() && self.validation.is_none() {
            return Err(wrong("patience", "patience without validation", "a validation fraction"));
        }
        match (self.activation.basis(), self.routine) {
            (Some(BasisKind::NormalisedMonomial), Routine::Clipped) => Err(wrong(
                "routine",
                "clipped with normalised monomials",
                "the basis monomial, or the routine normalised (with clip set if that is wanted)",
            )),
            (
                Some(
                    BasisKind::NormalisedMonomial | BasisKind::ScaledMonomial | BasisKind::Hermite,
                ),
                Routine::Boundary,
            ) => Err(wrong(
                "routine",
                "boundary with a basis without a fixed interval",
                "the basis chebyshev, legendre or monomial",
            )),
            (None, Routine::Boundary) => {
                Err(wrong("routine", "boundary without SLAFs", "SLAFs, or the routine normalised"))
            }
            (Some(BasisKind::Monomial), Routine::Normalised) if !lbfgs && self.clip.is_none() => {
                Err(wrong(
                    "routine",
                    "normalised with raw monomials",
                    "the routine clipped, a clip norm, L-BFGS, or the basis normalised-monomial",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Name and value of every option as text, in the order of the fields; equal texts mean
    /// equal options.
    pub(crate) fn entries(&self) -> Vec<(&'static str, String)> {
        macro_rules! entries {
            ($($field:ident),*) => {{
                // Without `..`, a new field that is not listed does not compile.
                let Options { $($field),* } = self;
                vec![$((stringify!($field), format!("{:?}", $field))),*]
            }};
        }
        entries!(
            hidden,
            layers,
            image,
            shift,
            degrees,
            activation,
            routine,
            loss,
            optimiser,
            learning_rate,
            schedule,
            epochs,
            batch,
            l1,
            l2,
            penalty,
            penalised,
            warm_start,
            boundary,
            clip,
            validation,
            patience,
            restarts,
            target_loss,
            seed,
            precision,
            standardise
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_nonsense_is_named() {
        Options::default().validate().unwrap();
        let message = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.validate().unwrap_err().to_string()
        };
        for (found, part) in [
            (message(|o| o.hidden = vec![4, 0]), "options.hidden: found 0 neurons"),
            (message(|o| o.degrees = vec![2, 2, 2]), "options.degrees: found 3 degrees"),
            (message(|o| o.degrees = vec![0]), "degrees from 1"),
            (message(|o| o.learning_rate = f64::NAN), "options.learning_rate: found NaN"),
            (message(|o| o.epochs = 0), "options.epochs"),
            (message(|o| o.l2 = -1.0), "options.l2"),
            (message(|o| o.validation = Some(1.0)), "options.validation"),
            (message(|o| o.patience = Some(3)), "patience without validation"),
            (message(|o| (o.patience, o.validation) = (Some(0), Some(0.1))), "at least one epoch"),
            (message(|o| o.routine = Routine::Clipped), "clipped with normalised"),
            (message(|o| o.schedule = Schedule::Exponential { decay: 1.5 }), "schedule.decay"),
            (
                message(|o| {
                    o.optimiser = Optimiser::lbfgs();
                    o.batch = Some(8);
                }),
                "batch with L-BFGS",
            ),
        ] {
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn schedules_begin_at_the_rate() {
        for schedule in [
            Schedule::Constant,
            Schedule::Cosine,
            Schedule::Step { every: 2, factor: 0.5 },
            Schedule::Exponential { decay: 0.9 },
        ] {
            assert_eq!(schedule.rate(0.25, 0, 10), 0.25);
        }
        assert_eq!(Schedule::Cosine.rate(1.0, 5, 10), 0.5);
        assert_eq!(Schedule::Step { every: 2, factor: 0.5 }.rate(1.0, 5, 10), 0.25);
    }
}
