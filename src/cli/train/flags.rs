//! The flags of `slnn train`, and the options of the library that they mean.

use clap::{Args, ValueEnum};
use slnn::error::{Error, Result};
use slnn::network::{Activation, Head};
use slnn::table::{Split, Table, parse_test_rows};
use slnn::train::auto::{self, Choice, Search};
use slnn::train::rationalise::RationaliseOptions;
use slnn::train::routine::Named;
use slnn::train::{
    BasisKind, HiddenActivation, LayerSpec, Loss, Optimiser, Options, Penalised, Precision,
    Routine, Schedule,
};

use super::Arguments;
use super::fit::{checkpoint_path, search_path};
use crate::cli::input::{check_output, check_target, refuse};

/// Which rows are kept for the test.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub(super) struct TestRows {
    /// Keep this fraction of the rows, drawn by the seed, for the test
    #[arg(long, value_name = "FRACTION")]
    pub test_fraction: Option<f64>,
    /// Keep the rows listed in a JSON file {"test_rows": [[row, ...], ...]}, its split K
    #[arg(long, value_name = "FILE[:K]")]
    pub test_rows: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub(super) struct Shape {
    /// Neurons of every hidden layer, or `none` [default: 16,8]
    #[arg(long, value_name = "N,..", value_parser = parse_widths)]
    hidden: Option<Counts>,
    /// Degree of the SLAFs: one for all layers, or one each [default: 3]
    #[arg(long, value_name = "N,..", value_parser = parse_counts)]
    degree: Option<Counts>,
    /// The basis the coefficients are learned in [default: normalised-monomial]
    #[arg(long, value_name = "BASIS", value_parser = BasisKind::ALL.map(BasisKind::name))]
    basis: Option<String>,
    /// One SLAF for a whole layer instead of one a neuron
    #[arg(long)]
    shared: bool,
    /// Learn a factor for every degree of a layer
    #[arg(long)]
    attention: bool,
    /// A conventional activation instead of SLAFs: relu, tanh, leaky_relu:0.1, ...
    #[arg(long, value_name = "NAME[:PARAMETER]", value_parser = parse_activation)]
    activation: Option<Activation>,
    /// The network layer by layer, in place of --hidden and --degree, the outputs left out:
    /// conv5x5x16 (rows x columns x channels; conv3x3x8/2 moves by 2, conv3x3x8:valid has no padding),
    /// slaf4 (its degree), maxpool2, avgpool2, flatten, dense100, dropout0.5, batchnorm,
    /// residual(conv3x3x8,slaf2), relu and the other activations
    #[arg(long, value_name = "LAYER,..", value_parser = parse_layers)]
    layers: Option<Layers>,
    /// Height, width and channels of the images that the inputs are, row by row, channels last
    /// [default: as the IDX file says]
    #[arg(long, value_name = "HxW[xC]", value_parser = parse_image)]
    image: Option<Image>,
    /// Move each image that trains by up to N rows and columns, drawn anew whenever it is seen
    #[arg(long, value_name = "N")]
    shift: Option<usize>,
    /// SLAFs on this fraction of the neurons [0.5], --activation [relu] on the others
    #[arg(long, value_name = "FRACTION", num_args = 0..=1, require_equals = true,
          default_missing_value = "0.5")]
    hybrid: Option<f64>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Method")]
pub(super) struct MethodArguments {
    /// How powers are tamed, one or several of: normalised, clipped, max-scaled, hybrid,
    /// penalty-step, warm-start, boundary [default: normalised; clipped for raw monomials]
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', value_parser = parse_routine)]
    routine: Vec<Named>,
    /// Begin with SLAFs fitted to this activation on the range of their pre-activations, as
    /// --routine warm-start does with tanh
    #[arg(long, value_name = "NAME[:PARAMETER]", value_parser = parse_activation)]
    warm_start: Option<Activation>,
    /// The weight of the penalty of --routine boundary [default: 1]
    #[arg(long, value_name = "NUMBER")]
    boundary: Option<f64>,
    /// What is minimised [default: mse; for a table of classes softmax]
    #[arg(long, value_enum)]
    loss: Option<LossName>,
    /// How parameters move [default: adam]
    #[arg(long, value_enum)]
    optimiser: Option<OptimiserName>,
    /// Of SGD [default: 0.9]
    #[arg(long, value_name = "NUMBER")]
    momentum: Option<f64>,
    /// Of the first epoch [default: 0.01]
    #[arg(long, value_name = "NUMBER")]
    learning_rate: Option<f64>,
    /// constant, cosine, step:EVERY:FACTOR or exponential:DECAY [default: cosine]
    #[arg(long, value_name = "SCHEDULE", value_parser = parse_schedule)]
    schedule: Option<Schedule>,
    /// Rows a step [default: all]
    #[arg(long, value_name = "ROWS")]
    batch: Option<usize>,
    /// How often every row is seen [default: 3000]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Weight of the sum of absolute values [default: 0]
    #[arg(long, value_name = "NUMBER")]
    l1: Option<f64>,
    /// Weight of the sum of squares [default: 0.0001]
    #[arg(long, value_name = "NUMBER")]
    l2: Option<f64>,
    /// What --l1 and --l2 are about [default: all]
    #[arg(long, value_enum)]
    penalise: Option<PenalisedName>,
    /// The largest norm of the gradient
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,
    /// Take inputs and targets as they are, not brought to mean 0 and deviation 1
    #[arg(long)]
    no_standardise: bool,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Stopping")]
pub(super) struct Stopping {
    /// Hold back this fraction of the training rows and keep the epoch that is best on it
    #[arg(long, value_name = "FRACTION")]
    validation: Option<f64>,
    /// Stop after so many epochs without a better validation loss
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<usize>,
    /// Begin again up to N times a run that diverged or missed --target-loss
    #[arg(long, value_name = "N")]
    restarts: Option<usize>,
    /// Stop at this training loss: the one that is minimised, so with penalties (--l1, --l2) and,
    /// unless --no-standardise is given, of standardised targets; not the loss that is reported
    #[arg(long, value_name = "LOSS")]
    target_loss: Option<f64>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Choice")]
pub(super) struct ChoiceArguments {
    /// Choose hidden layers, degrees, L2 and the size of the ensemble by validation inside the
    /// training rows; what is given by its own flag stays as given. Trains with L-BFGS up to
    /// 10,000 rows where no optimiser is given
    #[arg(long)]
    pub auto: bool,
    /// The most trainings of --auto before the last ones [default: 76, and up to 116 more for a
    /// teacher]
    #[arg(long, value_name = "N", requires = "auto")]
    trials: Option<usize>,
    /// Let --auto try no teacher: on a regression of up to 10,000 rows it also tries SLNNs that learn,
    /// beside the table, rows that are made up of its values and labelled by some networks of
    /// tanh, of ReLU or of both together, and takes them where rows held back say that they are
    /// better
    #[arg(long, requires = "auto")]
    no_teacher: bool,
    /// Train K networks from different seeds and save their mean, one network of the same degree
    /// with the same monomials; exact where K is a power of two [default: 1; chosen by --auto]
    #[arg(long, value_name = "K")]
    ensemble: Option<usize>,
}

/// Numbers in one argument, with commas between them.
#[derive(Clone, Debug)]
struct Counts(Vec<usize>);

/// Layers in one argument, with commas between them.
#[derive(Clone, Debug)]
struct Layers(Vec<LayerSpec>);

/// Height, width and channels.
#[derive(Clone, Copy, Debug)]
struct Image([usize; 3]);

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PrecisionName {
    F64,
    F32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PenalisedName {
    /// Weights and coefficients
    All,
    /// Weights
    Weights,
    /// Coefficients
    Coefficients,
    /// Weights of the first layer
    FirstLayer,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LossName {
    Mse,
    Softmax,
    Logistic,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimiserName {
    Adam,
    Sgd,
    Lbfgs,
}

fn parse_counts(text: &str) -> std::result::Result<Counts, String> {
    let number = |part: &str| {
        part.trim().parse().map_err(|_| format!("{part:?} is not a whole number; an example: 8,8"))
    };
    text.split(',').map(number).collect::<std::result::Result<_, _>>().map(Counts)
}

fn parse_layers(text: &str) -> std::result::Result<Layers, String> {
    LayerSpec::parse_all(text).map(Layers).map_err(|e| e.to_string())
}

fn parse_image(text: &str) -> std::result::Result<Image, String> {
    let numbers: Vec<Option<usize>> = text.split('x').map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [Some(height), Some(width)] => Ok(Image([height, width, 1])),
        [Some(height), Some(width), Some(channels)] => Ok(Image([height, width, channels])),
        _ => Err(format!("{text:?} is not height x width x channels; an example: 28x28")),
    }
}

fn parse_widths(text: &str) -> std::result::Result<Counts, String> {
    if text == "none" { Ok(Counts(Vec::new())) } else { parse_counts(text) }
}

fn parse_routine(text: &str) -> std::result::Result<Named, String> {
    Named::from_name(text).map_err(|e| e.to_string())
}

fn parse_activation(text: &str) -> std::result::Result<Activation, String> {
    let (name, parameter) = match text.split_once(':') {
        None => (text, None),
        Some((name, number)) => {
            let number = number.parse().map_err(|_| format!("{number:?} is not a number"))?;
            (name, Some(number))
        }
    };
    Activation::from_name(name, parameter).map_err(|e| e.to_string())
}

fn parse_schedule(text: &str) -> std::result::Result<Schedule, String> {
    let wrong = || "one of constant, cosine, step:EVERY:FACTOR, exponential:DECAY".to_owned();
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        ["constant"] => Ok(Schedule::Constant),
        ["cosine"] => Ok(Schedule::Cosine),
        ["step", every, factor] => {
            let (every, factor) = (every.parse(), factor.parse());
            every.ok().zip(factor.ok()).map(|(every, factor)| Schedule::Step { every, factor })
        }
        .ok_or_else(wrong),
        ["exponential", decay] => {
            decay.parse().map(|decay| Schedule::Exponential { decay }).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

impl Arguments {
    pub fn options(&self, table: &Table) -> Result<Options> {
        let mut options = self.choice_method(table.rows());
        for routine in &self.method.routine {
            options = routine.apply(options);
        }
        let (shape, method, stopping) = (&self.shape, &self.method, &self.stopping);
        if let Some(hidden) = &shape.hidden {
            options.hidden.clone_from(&hidden.0);
        }
        if let Some(degree) = &shape.degree {
            options.degrees.clone_from(&degree.0);
        }
        options.activation = self.activation(&options.activation);
        options.loss = match method.loss {
            Some(LossName::Mse) => Loss::MeanSquaredError,
            Some(LossName::Softmax) => Loss::SoftmaxCrossEntropy,
            Some(LossName::Logistic) => Loss::LogisticCrossEntropy,
            None if table.classes().is_some() => Loss::SoftmaxCrossEntropy,
            None => options.loss,
        };
        options.optimiser = match method.optimiser {
            Some(OptimiserName::Adam) => Optimiser::adam(),
            Some(OptimiserName::Sgd) => Optimiser::Sgd { momentum: method.momentum.unwrap_or(0.9) },
            Some(OptimiserName::Lbfgs) => Optimiser::lbfgs(),
            None => options.optimiser,
        };
        if let (Some(momentum), false) =
            (method.momentum, matches!(options.optimiser, Optimiser::Sgd { .. }))
        {
            let found = format!("{momentum} without SGD");
            return Err(Error::invalid("--momentum", found, "--optimiser sgd beside it"));
        }
        options.clip = method.clip;
        let lbfgs = matches!(options.optimiser, Optimiser::Lbfgs { .. });
        let raw = options.activation.basis() == Some(BasisKind::Monomial);
        if raw && !lbfgs && !method.routine.iter().any(|routine| is_of_range(*routine)) {
            options.routine = Routine::Clipped;
        }
        options.warm_start = method.warm_start.or(options.warm_start);
        if let Some(weight) = method.boundary {
            if options.routine != Routine::Boundary {
                let found = format!("{weight} without the boundary routine");
                return Err(Error::invalid("--boundary", found, "--routine boundary beside it"));
            }
            options.boundary = weight;
        }
        options.penalised = match method.penalise {
            None | Some(PenalisedName::All) => Penalised::All,
            Some(PenalisedName::Weights) => Penalised::Weights,
            Some(PenalisedName::Coefficients) => Penalised::Coefficients,
            Some(PenalisedName::FirstLayer) => Penalised::FirstLayer,
        };
        set(&mut options.learning_rate, method.learning_rate);
        set(&mut options.schedule, method.schedule);
        set(&mut options.epochs, method.epochs);
        set(&mut options.l1, method.l1);
        set(&mut options.l2, method.l2);
        options.batch = method.batch.or(options.batch);
        options.validation = stopping.validation.or(options.validation);
        options.patience = stopping.patience.or(options.patience);
        set(&mut options.restarts, stopping.restarts);
        options.target_loss = stopping.target_loss.or(options.target_loss);
        set(&mut options.seed, self.seed);
        options.precision = match self.precision {
            Some(PrecisionName::F32) => Precision::F32,
            Some(PrecisionName::F64) | None => Precision::F64,
        };
        options.layers = shape.layers.as_ref().map(|layers| layers.0.clone());
        // A table of images may be learned as one of numbers.
        options.image = match &shape.layers {
            Some(_) => shape.image.map(|image| image.0).or(table.image()),
            None => None,
        };
        options.shift = shape.shift;
        options.standardise = !method.no_standardise;
        if self.choice.auto && matches!(options.optimiser, Optimiser::Lbfgs { .. }) {
            let found = "--auto, which takes L-BFGS for so few rows: it finds its own steps";
            self.refuse_steps(found, "--optimiser adam or sgd beside it")?;
        }
        options.validate().map_err(name_flag)?;
        Ok(options)
    }

    fn activation(&self, default: &HiddenActivation) -> HiddenActivation {
        let Shape { shared, attention, .. } = self.shape;
        let named = self.shape.basis.as_deref().and_then(BasisKind::from_name);
        let basis = named.or(default.basis()).unwrap_or(BasisKind::NormalisedMonomial);
        let fraction = match default {
            HiddenActivation::Hybrid { fraction, .. } => Some(*fraction),
            _ => None,
        };
        match (self.shape.activation, self.shape.hybrid.or(fraction)) {
            (None, None) => HiddenActivation::Slaf { basis, shared, attention },
            (function, Some(fraction)) => HiddenActivation::Hybrid {
                function: function.unwrap_or(Activation::Relu),
                fraction,
                basis,
                shared,
                attention,
            },
            (Some(function), None) => HiddenActivation::Function(function),
        }
    }

    /// # Errors
    /// When a file that is read would be overwritten, or what is written could not be.
    pub fn check_files(&self) -> Result<()> {
        let mut inputs = vec![self.table.as_path()];
        inputs.extend(self.columns.labels.as_deref());
        let test_rows = self.test.test_rows.as_deref().map(parse_test_rows).transpose()?;
        inputs.extend(test_rows.as_ref().map(|(path, _)| path.as_path()));
        check_output(&self.output, &inputs)?;
        if std::fs::metadata(&self.output).is_ok_and(|found| !found.is_file()) {
            let place = format!("-o {}", self.output.display());
            let expected = "a file: the network is read back from it";
            return Err(Error::invalid(place, "a pipe or a device", expected));
        }
        let (checkpoint, search) = (checkpoint_path(&self.output), search_path(&self.output));
        for (name, path) in [("checkpoint", checkpoint), ("search", search)] {
            check_target(&format!("the {name} {}", path.display()), &path, &inputs)?;
        }
        Ok(())
    }

    /// # Errors
    /// When a flag says how far steps go, where L-BFGS finds that out.
    fn refuse_steps(&self, found: &str, expected: &str) -> Result<()> {
        let MethodArguments { learning_rate, schedule, .. } = &self.method;
        let flag = match (learning_rate, schedule) {
            (Some(_), _) => "--learning-rate",
            (None, Some(_)) => "--schedule",
            (None, None) => return Ok(()),
        };
        Err(Error::invalid(flag, found, expected))
    }

    /// Flags that say nothing together; what the library refuses is not repeated here.
    ///
    /// # Errors
    /// The first flag that would go unheeded or fail after the training.
    pub fn check_combinations(&self) -> Result<()> {
        let Shape { hidden, degree, basis, shared, attention, activation, hybrid, .. } =
            &self.shape;
        let linear = hidden.as_ref().is_some_and(|hidden| hidden.0.is_empty());
        if let Some((found, expected)) = self.without_slafs() {
            let flags = [
                (linear && activation.is_some(), "--activation"),
                (degree.is_some() && self.shape.layers.is_none(), "--degree"),
                (basis.is_some(), "--basis"),
                (*shared, "--shared"),
                (*attention, "--attention"),
                (hybrid.is_some(), "--hybrid"),
                (self.method.warm_start.is_some(), "--warm-start"),
                (self.method.boundary.is_some(), "--boundary"),
            ];
            refuse(&flags, &found, expected)?;
            // The others clip and penalise weights too.
            let mut of_slafs = self.method.routine.iter().filter(|routine| {
                use Named::*;
                matches!(routine, Normalised | MaxScaled | Hybrid | WarmStart | Boundary)
            });
            if let Some(routine) = of_slafs.next() {
                let found = format!("{} with {found}", routine.name());
                return Err(Error::invalid("--routine", found, expected));
            }
        }
        if self.shape.layers.is_some() {
            let flags = [
                (hidden.is_some(), "--hidden"),
                (degree.is_some(), "--degree"),
                (activation.is_some() && hybrid.is_none(), "--activation"),
                (self.choice.auto, "--auto"),
                (self.choice.ensemble.is_some(), "--ensemble"),
            ];
            refuse(&flags, "--layers, which says it layer by layer", "one of the two left out")?;
        } else {
            let expected = "--layers beside it: other networks take the inputs one by one";
            refuse(&[(self.shape.image.is_some(), "--image")], "an image", expected)?;
        }
        if matches!(self.method.optimiser, Some(OptimiserName::Lbfgs)) {
            let found = "--optimiser lbfgs, which finds its own steps";
            self.refuse_steps(found, "another optimiser")?;
        }
        let routines = &self.method.routine;
        let of_range = routines.iter().filter(|r| is_of_range(**r));
        if of_range.clone().count() > 1 {
            let names: Vec<_> = of_range.map(|r| r.name()).collect();
            let expected = "one of normalised, clipped, max-scaled, boundary";
            return Err(Error::invalid("--routine", names.join(","), expected));
        }
        if let (true, Some(basis)) = (routines.contains(&Named::MaxScaled), basis)
            && basis != BasisKind::ScaledMonomial.name()
        {
            let found = format!("max-scaled with --basis {basis}");
            return Err(Error::invalid("--routine", found, "one of the two left out"));
        }
        if self.rationalise && (self.choice.auto || self.choice.ensemble.is_some()) {
            let flags =
                [(self.choice.auto, "--auto"), (self.choice.ensemble.is_some(), "--ensemble")];
            refuse(&flags, "--rationalise, which takes one small network", "one of the two")?;
        }
        if self.rationalise {
            let flags = [
                (activation.is_some(), "--activation"),
                (hybrid.is_some(), "--hybrid"),
                (self.shape.layers.is_some(), "--layers"),
            ];
            refuse(&flags, "--rationalise, which takes SLAFs only", "one of the two left out")?;
        }
        Ok(())
    }

    /// What leaves the network without SLAFs, and what would give it some.
    fn without_slafs(&self) -> Option<(String, &'static str)> {
        let Shape { hidden, layers, activation, hybrid, .. } = &self.shape;
        if hidden.as_ref().is_some_and(|hidden| hidden.0.is_empty()) {
            return Some(("--hidden none".into(), "hidden layers, or one of the two left out"));
        }
        if let Some(layers) = layers {
            let slaf = |layer: &LayerSpec| matches!(layer, LayerSpec::Slaf(_));
            let found = "--layers without a slaf";
            return (!layers.0.iter().any(|layer| layer.has(slaf)))
                .then(|| (found.into(), "a slaf, or one of the two left out"));
        }
        let function = activation.as_ref()?;
        let mixed = hybrid.is_some() || self.method.routine.contains(&Named::Hybrid);
        let found = format!("--activation {}, which has none", function.name());
        (!mixed).then_some((found, "--hybrid beside it, or one of the two left out"))
    }

    /// The default options, with the method of the search under --auto where none is given.
    fn choice_method(&self, rows: usize) -> Options {
        let default = Options::default();
        let MethodArguments { optimiser, batch, .. } = &self.method;
        if self.choice.auto && optimiser.is_none() && batch.is_none() {
            return auto::method(rows, default);
        }
        default
    }

    /// How many networks are trained for the mean.
    pub fn members(&self, choice: Option<&Choice>) -> usize {
        choice.map_or(self.choice.ensemble.unwrap_or(1), |choice| choice.members)
    }

    /// What --auto may vary: all that no flag fixes.
    pub fn search(&self, options: &Options, table: &Table) -> Search {
        let inputs = table.input_names().len();
        let mut search = Search::new(inputs);
        if !self.choice.no_teacher && auto::teachable(table, options) {
            search = search.with_teacher(inputs);
        }
        let (hidden, degree) = (&self.shape.hidden, &self.shape.degree);
        if let Some(hidden) = hidden {
            let degrees: Vec<Vec<usize>> = match degree {
                Some(degree) => vec![degree.0.clone()],
                // Without a hidden layer it is a linear model of any degree.
                None if hidden.0.is_empty() => vec![options.degrees.clone()],
                None => vec![vec![3], vec![2]],
            };
            search.shapes = degrees.into_iter().map(|d| (hidden.0.clone(), d)).collect();
        } else if let Some(degree) = degree {
            let fits = |hidden: &Vec<usize>| [1, hidden.len()].contains(&degree.0.len());
            search.shapes.retain(|(hidden, _)| fits(hidden));
            search.shapes.iter_mut().for_each(|(_, own)| own.clone_from(&degree.0));
            if search.shapes.is_empty() {
                search.shapes.push((vec![16; degree.0.len()], degree.0.clone()));
            }
        }
        if options.activation.basis().is_none() {
            search.shapes.iter_mut().for_each(|(_, own)| own.clone_from(&options.degrees));
        }
        let mut seen = Vec::new();
        search.shapes.retain(|shape| {
            let new = !seen.contains(shape);
            seen.push(shape.clone());
            new
        });
        if self.method.l2.is_some() {
            (search.l2, search.step) = (vec![options.l2], 1.0);
        }
        if let Some(teacher) = &mut search.teacher {
            if hidden.is_some() || degree.is_some() {
                teacher.taught.clone_from(&search.shapes);
            }
            if self.method.l2.is_some() {
                teacher.kinds.iter_mut().for_each(|own| own.taught_l2.clone_from(&search.l2));
            }
            if self.method.epochs.is_some() {
                teacher.longer = 1;
            }
        }
        search.members = self.choice.ensemble;
        set(&mut search.trials, self.choice.trials);
        search
    }

    pub fn split(&self, rows: usize, seed: u64) -> Result<Option<Split>> {
        match (&self.test.test_fraction, &self.test.test_rows) {
            (Some(fraction), _) => Split::by_fraction(rows, *fraction, seed)
                .map(Some)
                .map_err(|e| e.within("--test-fraction")),
            (None, Some(file)) => Split::read(file, rows).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Whether a routine says what keeps powers in range: only one of those makes sense.
fn is_of_range(routine: Named) -> bool {
    use Named::*;
    matches!(routine, Normalised | Clipped | MaxScaled | Boundary)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The library names fields; the user typed flags.
pub(super) fn name_flag(error: Error) -> Error {
    let Error::Invalid { place, found, expected } = error else { return error };
    let flag = match place.strip_prefix("options.") {
        None => place,
        Some("degrees") => "--degree".into(),
        Some("penalised") => "--penalise".into(),
        Some("penalty") => "--routine".into(),
        Some("activation.fraction") => "--hybrid".into(),
        Some("optimiser.momentum") => "--momentum".into(),
        Some("schedule.decay") => "--schedule".into(),
        Some(field) if field.starts_with("layers: ") => field.replacen("layers: ", "--layers: ", 1),
        Some(field) => format!("--{}", field.replace(['_', '.'], "-")),
    };
    Error::Invalid { place: flag, found, expected }
}

/// What [`rationalise`] would refuse, before the training rather than after it.
pub(super) fn check_rationalise(options: &Options, table: &Table) -> Result<()> {
    let most = RationaliseOptions::default().max_parameters;
    let mut width = table.input_names().len();
    let mut parameters = 0usize;
    for (l, &neurons) in options.hidden.iter().enumerate() {
        let degree = options.degrees.get(l).or(options.degrees.first()).copied().unwrap_or(0);
        parameters = parameters.saturating_add(neurons.saturating_mul(width + 1 + degree + 1));
        width = neurons;
    }
    parameters = parameters.saturating_add(table.target_names().len().saturating_mul(width + 1));
    let (found, expected) = if options.loss.head() != Head::Identity {
        (format!("the head {}", options.loss.head().name()), "a regression, without head".into())
    } else if parameters > most {
        (format!("a network of {parameters} parameters"), format!("at most {most}: fewer neurons"))
    } else {
        return Ok(());
    };
    Err(Error::invalid("--rationalise", found, expected))
}
