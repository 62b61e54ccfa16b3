//! `slnn train`: a table becomes a network.
//!
//! What it reports is measured on the network as it stands in the file, read back.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use slnn::error::{Error, Result};
use slnn::expand::plan;
use slnn::file::remove_stale;
use slnn::network::{Activation, Head, Network};
use slnn::numeric::rational::{format_exact, rational_to_f64};
use slnn::table::{Split, Table, parse_test_rows};
use slnn::train::auto::{self, Choice, Search, SearchCheckpoint, Teacher};
use slnn::train::rationalise::{RationaliseOptions, rationalise};
use slnn::train::routine::Named;
use slnn::train::{
    BasisKind, Checkpoint, Control, EnsembleCheckpoint, HiddenActivation, LayerSpec, Lesson, Loss,
    Optimiser, Options, Penalised, Precision, Routine, Schedule, Trained, resume, train,
    train_ensemble, train_members, train_members_on,
};

use super::Globals;
use super::answer::{Answer, Outcome, complain, count, counted, duration, grouped, short};
use super::input::{TableArguments, check_output, check_target};
use super::progress::{Gentle, Progress};
use super::score::{Score, check_finite};

/// Learns a network from a table
///
/// Inputs are all columns but the targets. The saved network works in the table's own units. A
/// checkpoint stands beside it while training runs; Ctrl-C stops after the batch and saves it,
/// and --resume goes on to the same bytes as a run that was never stopped.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example: slnn train cars.csv --target mpg --hidden 8,8 --degree 3 \
--test-fraction 0.1 -o cars.json"
)]
pub struct Arguments {
    /// A CSV, .npy or IDX file, or a built-in table: xor, two-spirals, sparse-polynomial, auto-mpg
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// Where to write the network
    #[arg(short, long, value_name = "NET.json")]
    output: PathBuf,
    #[command(flatten)]
    columns: TableArguments,
    #[command(flatten)]
    test: TestRows,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    method: MethodArguments,
    #[command(flatten)]
    stopping: Stopping,
    #[command(flatten)]
    choice: ChoiceArguments,
    /// The seed of every random number
    #[arg(long, help_heading = "Run", value_name = "N")]
    seed: Option<u64>,
    /// The float that training computes in; the saved weights are exact either way [default: f64]
    #[arg(long, help_heading = "Run", value_enum)]
    precision: Option<PrecisionName>,
    /// Go on from the checkpoint beside the output
    #[arg(long, help_heading = "Run")]
    resume: bool,
    /// Write a checkpoint every N epochs; 0 for none but at Ctrl-C [default: every 10 seconds]
    #[arg(long, help_heading = "Run", value_name = "N")]
    checkpoint_every: Option<usize>,
    /// Propose small rationals near the parameters and prove that they fit the table exactly
    #[arg(long, help_heading = "Run")]
    rationalise: bool,
}

/// Which rows are kept for the test.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
struct TestRows {
    /// Keep this fraction of the rows, drawn by the seed, for the test
    #[arg(long, value_name = "FRACTION")]
    test_fraction: Option<f64>,
    /// Keep the rows listed in a JSON file {"test_rows": [[row, ...], ...]}, its split K
    #[arg(long, value_name = "FILE[:K]")]
    test_rows: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
struct Shape {
    /// Neurons of every hidden layer, or `none` [default: 16,8]
    #[arg(long, value_name = "N,..", value_parser = parse_widths)]
    hidden: Option<Counts>,
    /// Degree of the SLAFs: one for all layers, or one each [default: 3]
    #[arg(long, value_name = "N,..", value_parser = parse_counts)]
    degree: Option<Counts>,
    /// The basis the coefficients are learned in [default: normalised-monomial]
    #[arg(long, value_name = "BASIS", value_parser = BASES)]
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

const BASES: [&str; 6] =
    ["monomial", "normalised-monomial", "scaled-monomial", "chebyshev", "legendre", "hermite"];

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Method")]
struct MethodArguments {
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
struct Stopping {
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
struct ChoiceArguments {
    /// Choose hidden layers, degrees, L2 and the size of the ensemble by validation inside the
    /// training rows; what is given by its own flag stays as given. Trains with L-BFGS up to
    /// 10,000 rows where no optimiser is given
    #[arg(long)]
    auto: bool,
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
enum PrecisionName {
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
    fn options(&self, table: &Table) -> Result<Options> {
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
    fn check_files(&self) -> Result<()> {
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
    fn check_combinations(&self) -> Result<()> {
        let Shape { hidden, degree, basis, shared, attention, activation, hybrid, .. } =
            &self.shape;
        let refuse = |flags: &[(bool, &str)], found: &str, expected: &str| match flags
            .iter()
            .find(|(given, _)| *given)
        {
            Some((_, flag)) => Err(Error::invalid(*flag, found, expected)),
            None => Ok(()),
        };
        let linear = hidden.as_ref().is_some_and(|hidden| hidden.0.is_empty());
        if linear {
            let flags = [(activation.is_some(), "--activation")];
            refuse(&flags, "--hidden none", "hidden layers, or one of the two left out")?;
        }
        if let Some((found, expected)) = self.without_slafs() {
            let flags = [
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

    /// What --auto may vary: all that no flag fixes.
    fn search(&self, options: &Options, table: &Table) -> Search {
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

    fn split(&self, rows: usize, seed: u64) -> Result<Option<Split>> {
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
fn name_flag(error: Error) -> Error {
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

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    let output = &arguments.output;
    arguments.check_files()?;
    arguments.check_combinations()?;
    let table = arguments.columns.read(&arguments.table)?;
    let options = arguments.options(&table)?;
    if arguments.rationalise {
        check_rationalise(&options, &table)?;
    }
    let split = arguments.split(table.rows(), options.seed)?;
    let rows = match &split {
        Some(split) => split.train.clone(),
        None => (0..table.rows()).collect(),
    };

    let started = Instant::now();
    let choice = match arguments.choice.auto {
        true => Some(choose(arguments, &table, &rows, &options, globals)?),
        false => None,
    };
    let members =
        choice.as_ref().map_or(arguments.choice.ensemble.unwrap_or(1), |choice| choice.members);
    let options = choice.as_ref().map_or(options, |choice| choice.options.clone());
    let (trained, resumed) = fit(arguments, &table, &rows, &options, choice.as_ref(), globals)?;
    let seconds = started.elapsed().as_secs_f64();

    let rationalised = match arguments.rationalise {
        true => Some(rationalise(&trained.network, &table, &rows, &RationaliseOptions::default())?),
        false => None,
    };
    // Rationals that do not fit are no better than the numbers they were to replace.
    let network = match &rationalised {
        Some(proposal) if proposal.zero => proposal.network.clone(),
        _ => trained.network.clone(),
    };
    // Figures of outputs that are not numbers would be none.
    let outputs = network.forward(table.select(&rows).inputs().view())?;
    check_finite(&outputs, network.outputs()).map_err(|e| e.within("the trained network"))?;
    let mut about = network.about().clone();
    if let Some(target) = table.label_column() {
        // `evaluate` finds the labels by it.
        about.insert("target".into(), target.into());
    }
    network.with_about(about).write(output)?;
    remove_checkpoint(&checkpoint_path(output))?;
    if arguments.choice.auto {
        remove_checkpoint(&search_path(output))?;
    }

    let network = Network::read(output)?;
    let mut answer = Answer::default();
    answer.set("parameters", network.parameters());
    answer.set("epochs", trained.epochs);
    answer.set("best_epoch", trained.best_epoch);
    answer.set("seconds", seconds);
    answer.set("seconds_per_epoch", trained.seconds_per_epoch);
    let mut scores = Vec::new();
    let mut warnings = trained.warnings;
    for (name, rows) in [("train", Some(&rows)), ("test", split.as_ref().map(|s| &s.test))] {
        let score = rows.map(|rows| score(&network, &table.select(rows))).transpose()?;
        if matches!(score, Some(None)) {
            warnings.push(format!("the outputs of some {name} rows are beyond f64: no figures"));
        }
        let score = score.flatten();
        answer.set(name, score.as_ref().map(Score::to_value));
        scores.extend(score.map(|score| (name, score)));
    }
    if let [(_, own), (_, test)] = &scores[..]
        && let (Some(own), Some(test)) = (own.r2(), test.r2())
        && own - test > FAR_APART
    {
        warnings.push(
            "the test rows are fitted far worse than the training rows: a lower degree, fewer neurons, \
             more --l2 or --auto would learn less by heart"
                .into(),
        );
    }
    let outside: Option<Vec<usize>> = split.as_ref().map(|split| {
        let own = network.rows_outside_box(table.select(&split.test).inputs().view());
        own.into_iter().map(|i| split.test[i]).collect()
    });
    let size = match plan(&network, None) {
        Err(error) if !matches!(error, Error::NotPolynomial { .. } | Error::TooLarge(_)) => {
            return Err(error);
        }
        size => size,
    };
    answer.set("degree", size.as_ref().map_or(Value::Null, |plan| count(plan.degree)));
    answer.set("monomials", size.as_ref().map_or(Value::Null, |plan| count(plan.terms)));
    answer.set("test_outside_box", outside.as_ref().map(Vec::len));
    answer.set("test_outside_rows", outside.clone());
    answer.set("ensemble", members);
    answer.set("mean_exact", trained.exact);
    answer.set("auto", choice.as_ref().map(choice_value));
    answer.set("seed", options.seed);
    answer.set("restarts", trained.restarts);
    answer.set("resumed_from_epoch", resumed);
    answer.set("warnings", warnings.clone());
    answer.set("rationalised", rationalised.as_ref().map(|proposal| proposal.zero));
    answer.set("residual", rationalised.as_ref().map(|proposal| format_exact(&proposal.residual)));
    answer.set("file", output.display().to_string());

    let mut lines: Vec<_> = scores.iter().take(1).map(|(_, score)| score.heading()).collect();
    lines.extend(scores.iter().map(|(name, score)| score.row(name)));
    answer.table(&lines);
    answer.line(format_args!(
        "{} from {}: {}, {} in {}{}",
        table.target_names().join(", "),
        counted(table.input_names().len(), "input"),
        counted(network.parameters(), "parameter"),
        counted(trained.epochs, "epoch"),
        duration(seconds),
        if trained.restarts == 0 {
            String::new()
        } else {
            format!(", {}", counted(trained.restarts, "restart"))
        }
    ));
    match size {
        Ok(plan) => answer.line(format_args!(
            "a polynomial of total degree {}: {} monomials",
            grouped(plan.degree),
            grouped(plan.terms)
        )),
        Err(Error::TooLarge(error)) => {
            answer.line(format_args!("a polynomial of a degree that is not known: {error}"));
        }
        Err(_) => {
            answer.line("not a polynomial: a conventional activation or max pooling is in it");
        }
    }
    if let Some(choice) = &choice {
        answer.line(format_args!("chosen by validation: {}", described(choice)));
    }
    if members > 1 {
        answer.line(match trained.exact {
            true => format!("the mean of {members} networks, exactly"),
            false => format!(
                "the mean of {members} networks, the numbers of its last layer each rounded once"
            ),
        });
    }
    if let (Some(outside), Some(split)) = (&outside, &split) {
        answer.line(format_args!(
            "outside the training box: {} of {}{}",
            outside.len(),
            counted(split.test.len(), "test row"),
            listed(outside)
        ));
    }
    match rationalised {
        None => {}
        Some(proposal) if proposal.zero => answer.line(format_args!(
            "rationalised: {} of {} parameters are small rationals, and the residual over the \
             training rows is exactly 0: proved",
            proposal.replaced, proposal.parameters
        )),
        Some(proposal) => {
            answer.is_no();
            let residual = rational_to_f64(&proposal.residual).unwrap_or(f64::INFINITY);
            answer.line(format_args!(
                "not rationalised: the rationals found leave a sum of squares of {}; the network \
                 is as it was trained",
                short(residual)
            ));
        }
    }
    if let Some(target) = options.target_loss {
        let standardised = options.standardise && options.loss == Loss::MeanSquaredError;
        answer.line(format_args!(
            "training loss {}, penalties included{} (--target-loss {target})",
            short(trained.loss),
            if standardised { ", of standardised targets" } else { "" },
        ));
    }
    for warning in &warnings {
        answer.line(format_args!("warning: {warning}"));
    }
    answer.line(format_args!("written to {}", output.display()));
    Ok(answer)
}

/// The first of some rows, in brackets; nothing where there are none.
fn listed(rows: &[usize]) -> String {
    const NAMED: usize = 10;
    let named: Vec<String> = rows.iter().take(NAMED).map(usize::to_string).collect();
    match rows.len() {
        0 => String::new(),
        n if n <= NAMED => format!(" (rows {})", named.join(", ")),
        n => format!(" (rows {} and {} more)", named.join(", "), n - NAMED),
    }
}

fn described(choice: &Choice) -> String {
    let text = |counts: &[usize]| counts.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let flags = |options: &Options| {
        let Options { hidden, degrees, l2, activation, .. } = options;
        if hidden.is_empty() {
            return format!("--hidden none --l2 {}", short(*l2));
        }
        let degree = match activation.basis() {
            Some(_) => format!(" --degree {}", text(degrees)),
            None => String::new(),
        };
        format!("--hidden {}{degree} --l2 {}", text(hidden), short(*l2))
    };
    let second = choice.second.as_ref().map(|second| format!(" and {}", flags(second)));
    let taught = match choice.taught.len() {
        0 => String::new(),
        count => {
            format!(", {count} of them taught by {}", counted(choice.teacher.len(), "network"))
        }
    };
    format!(
        "{}{} --ensemble {}{taught}, of {}",
        flags(&choice.options),
        second.unwrap_or_default(),
        choice.members,
        counted(choice.trials.len(), "candidate")
    )
}

fn choice_value(choice: &Choice) -> Value {
    let trials: Vec<Value> = choice
        .trials
        .iter()
        .map(|t| {
            json!({
                "role": t.role.name(), "hidden": t.hidden, "degree": t.degrees, "l2": t.l2,
                "losses": t.losses,
            })
        })
        .collect();
    json!({
        "hidden": choice.options.hidden, "degree": choice.options.degrees,
        "l2": choice.options.l2, "ensemble": choice.members, "loss": choice.loss,
        "trials": trials,
        "second": choice.second.as_ref().map(|second| {
            json!({"hidden": second.hidden, "degree": second.degrees, "l2": second.l2})
        }),
        "taught": choice.taught,
        "teacher": choice.teacher.iter().map(|own| {
            let activation = match own.activation {
                HiddenActivation::Function(function) => Some(function.name()),
                HiddenActivation::Slaf { .. } | HiddenActivation::Hybrid { .. } => None,
            };
            json!({"activation": activation, "hidden": own.hidden, "l2": own.l2})
        }).collect::<Vec<_>>(),
    })
}

/// Searches, or goes on with a search.
fn choose(
    arguments: &Arguments,
    table: &Table,
    rows: &[usize],
    options: &Options,
    globals: &Globals,
) -> Result<Choice> {
    let path = search_path(&arguments.output);
    remove_stale(&path)?;
    let left = checkpoint_path(&arguments.output);
    if arguments.resume && left.exists() && !path.exists() {
        let found = "the checkpoint of a run without a search";
        let expected = "none: remove it, or leave out --resume";
        return Err(Error::invalid(left.display().to_string(), found, expected));
    }
    let checkpoint = match arguments.resume {
        true => SearchCheckpoint::read(&path)?,
        // What an earlier run left would be in the way of going on with this one.
        false => {
            remove_checkpoint(&path)?;
            remove_checkpoint(&left)?;
            None
        }
    };
    let search = arguments.search(options, table);
    let teacher = search.affordable_teacher();
    let taught = teacher.map_or(0, Teacher::candidates);
    let teachers = teacher.map_or(0, Teacher::teachers);
    globals.remark(format_args!(
        "choosing among {}: at most {} of {} on three quarters of {}",
        counted(search.shapes.len() * search.l2.len() + teachers + taught, "candidate"),
        counted(search.trainings(), "training"),
        counted(options.epochs, "epoch"),
        counted(rows.len(), "row"),
    ));
    if let Some(teacher) = teacher {
        globals.remark(format_args!(
            "a teacher for {}: up to {} more, {} as long (--no-teacher leaves this out)",
            counted(taught, "candidate"),
            counted(Lesson::made(rows.len()), "made-up row"),
            counted(teacher.longer, "time"),
        ));
    }
    if let Some(checkpoint) = &checkpoint {
        globals.remark(format_args!(
            "{} stands after {}",
            path.display(),
            counted(checkpoint.trainings(), "training")
        ));
    }
    let mut watch = Watch {
        gentle: Gentle::begin(globals),
        progress: Progress::new(globals, "choose", search.trainings()),
        path: path.clone(),
        every: Some(1),
        written: Instant::now(),
    };
    let chosen = auto::choose(table, rows, options, &search, checkpoint, &mut watch);
    chosen.map_err(name_flag)?.ok_or_else(|| Error::Interrupted {
        saved: match path.exists() {
            true => format!(
                "the trainings so far are in {}: the same command with --resume goes on",
                path.display()
            ),
            false => "no training had ended: nothing is saved".into(),
        },
    })
}

/// A trained network, or the mean of several.
struct Fitted {
    network: Network,
    epochs: usize,
    /// Of one network alone.
    best_epoch: Option<usize>,
    /// The mean over the networks.
    loss: f64,
    warnings: Vec<String>,
    seconds_per_epoch: Option<f64>,
    restarts: usize,
    /// Whether the network is the mean of the members exactly.
    exact: bool,
}

impl Fitted {
    fn of(members: Vec<Trained>, network: Network, exact: bool) -> Self {
        let count = members.len();
        let mut seconds: Vec<f64> = members.iter().filter_map(|m| m.seconds_per_epoch).collect();
        seconds.sort_by(f64::total_cmp);
        let mut warnings: Vec<String> = Vec::new();
        for warning in members.iter().flat_map(|m| &m.warnings) {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        Fitted {
            network,
            epochs: members.iter().map(|m| m.epochs).sum(),
            best_epoch: if count == 1 { Some(members[0].best_epoch) } else { None },
            loss: members.iter().map(|m| m.loss).sum::<f64>() / count as f64,
            warnings,
            seconds_per_epoch: seconds.get(seconds.len() / 2).copied(),
            restarts: members.iter().map(|m| m.restarts).sum(),
            exact,
        }
    }
}

/// The checkpoint of one network or of an ensemble.
enum Saved {
    One(Box<Checkpoint>),
    Many(EnsembleCheckpoint),
}

impl Saved {
    fn read(path: &Path, members: usize) -> Result<Option<Self>> {
        Ok(match members {
            1 => Checkpoint::read(path)?.map(Box::new).map(Saved::One),
            _ => EnsembleCheckpoint::read(path)?.map(Saved::Many),
        })
    }

    fn epoch(&self) -> usize {
        match self {
            Saved::One(checkpoint) => checkpoint.epoch(),
            Saved::Many(checkpoint) => checkpoint.epochs(),
        }
    }
}

/// The made-up rows of the members that are taught; `None` where none is.
///
/// The teacher has no checkpoint: it is trained again to the same bytes.
fn lesson(
    choice: &Choice,
    table: &Table,
    rows: &[usize],
    globals: &Globals,
) -> Result<Option<Lesson>> {
    if choice.taught.is_empty() {
        return Ok(None);
    }
    let epochs = choice.teacher.iter().map(|own| own.epochs).sum();
    let progress = Progress::new(globals, "teacher", epochs);
    let mut watch = TeacherWatch { gentle: Gentle::begin(globals), progress };
    let lesson = choice.lesson(table, rows, &mut watch).map_err(name_flag)?;
    lesson.map(Some).ok_or_else(|| Error::Interrupted {
        saved: "the search is saved: the same command with --resume goes on".into(),
    })
}

/// Trains, or goes on from a checkpoint; also the epoch it went on from.
fn fit(
    arguments: &Arguments,
    table: &Table,
    rows: &[usize],
    options: &Options,
    choice: Option<&Choice>,
    globals: &Globals,
) -> Result<(Fitted, Option<usize>)> {
    let members = choice.map_or(arguments.choice.ensemble.unwrap_or(1), |choice| choice.members);
    let others = choice.filter(|choice| choice.second.is_some() || !choice.taught.is_empty());
    let lesson = others.map(|choice| lesson(choice, table, rows, globals)).transpose()?.flatten();
    let path = checkpoint_path(&arguments.output);
    remove_stale(&arguments.output)?;
    remove_stale(&path)?;
    let checkpoint = match arguments.resume {
        // One member that is taught has the checkpoint of an ensemble too.
        true => Saved::read(&path, if lesson.is_some() { 2 } else { members })?,
        false => None,
    };
    let shown = path.display();
    match &checkpoint {
        Some(checkpoint) => {
            globals.remark(format_args!("{shown} stands after epoch {}", checkpoint.epoch()));
        }
        // After a search it is to be expected.
        None if arguments.resume && arguments.choice.auto => {}
        None if arguments.resume => {
            globals.remark(format_args!("no checkpoint {shown}: starting anew"));
        }
        None if path.exists() => globals.remark(format_args!(
            "starting anew: the checkpoint {shown} of an earlier run will be replaced \
             (--resume would go on from it)"
        )),
        None => {}
    }
    let epochs = match others {
        Some(choice) => choice.member_options().iter().map(|own| own.epochs).sum(),
        None => options.epochs.saturating_mul(members),
    };
    let mut watch = Watch {
        gentle: Gentle::begin(globals),
        progress: Progress::new(globals, "train", epochs),
        path: path.clone(),
        every: arguments.checkpoint_every,
        written: Instant::now(),
    };
    let resumed = checkpoint.as_ref().map(Saved::epoch);
    let within = |e: Error| if resumed.is_some() { e.within(path.display()) } else { e };
    let stopped = |epochs: Option<usize>| Error::Interrupted {
        saved: format!(
            "the state{} is in {shown}: the same command with --resume goes on",
            epochs.map_or_else(String::new, |n| format!(" after {}", counted(n, "epoch")))
        ),
    };
    let one = match checkpoint {
        Some(Saved::One(checkpoint)) => {
            Some(resume(table, rows, options, *checkpoint, &mut watch).map_err(within))
        }
        None if members == 1 && lesson.is_none() => Some(train(table, rows, options, &mut watch)),
        other => {
            let from = if let Some(Saved::Many(from)) = other { Some(from) } else { None };
            let ensemble = match (others.map(Choice::member_options), &lesson) {
                (Some(options), Some(Lesson { table, rows })) => {
                    let rows: Vec<&[usize]> = rows.iter().map(Vec::as_slice).collect();
                    train_members_on(table, &rows, &options, from, &mut watch)
                }
                (Some(options), None) => train_members(table, rows, &options, from, &mut watch),
                (None, _) => train_ensemble(table, rows, options, members, from, &mut watch),
            };
            let ensemble = ensemble.map_err(within).map_err(name_flag)?;
            let Some(ensemble) = ensemble else { return Err(stopped(None)) };
            let (network, exact) = (ensemble.mean.network, ensemble.mean.exact);
            return Ok((Fitted::of(ensemble.members, network, exact), resumed));
        }
    };
    let Some(trained) = one else { return Err(stopped(None)) };
    let trained = trained.map_err(|e| match name_flag(e) {
        // The test took the others.
        Error::Invalid { place, found, expected } if place == "training rows" => {
            let flag = match arguments.test {
                TestRows { test_fraction: Some(_), .. } => "--test-fraction".into(),
                TestRows { test_rows: Some(_), .. } => "--test-rows".into(),
                _ => place,
            };
            Error::invalid(flag, format!("{found} to train on"), expected)
        }
        other => other,
    })?;
    if trained.stopped {
        return Err(stopped(Some(trained.epochs)));
    }
    let network = trained.network.clone();
    Ok((Fitted::of(vec![trained], network, true), resumed))
}

/// Shows where training stands, keeps its checkpoint, and stops it at Ctrl-C.
struct Watch {
    gentle: Gentle,
    progress: Progress,
    path: PathBuf,
    every: Option<usize>,
    written: Instant,
}

impl Watch {
    /// Whether it is time to write, so that small epochs do not write thousands of files.
    fn due(&self) -> bool {
        self.every.is_some() || self.stop_requested() || self.written.elapsed() >= CHECKPOINT_TIME
    }

    /// A checkpoint that cannot be written is no reason to end what trains, unless it was to stop.
    fn keep(&mut self, written: Result<()>) -> Result<()> {
        self.written = Instant::now();
        match written {
            Err(error) if !self.stop_requested() => {
                complain(&format!("no checkpoint, and training goes on: {error}"));
                Ok(())
            }
            written => written,
        }
    }
}

/// An r2 of training and test rows that differs by more deserves a word.
const FAR_APART: f64 = 0.5;
/// Time between checkpoints where no number of epochs is given.
const CHECKPOINT_TIME: Duration = Duration::from_secs(10);

impl Control for Watch {
    fn progress(&mut self, progress: &slnn::train::Progress) {
        self.progress.at(progress.epoch, || {
            let validation = progress.validation.map(|v| format!(", validation {}", short(v)));
            let attempt = match progress.attempt {
                0 => String::new(),
                restarts => format!(", restart {restarts}"),
            };
            let validation = validation.unwrap_or_default();
            format!("loss {}{validation}{attempt}", short(progress.loss))
        });
    }

    fn stop_requested(&self) -> bool {
        self.gentle.requested()
    }

    fn checkpoint_every(&self) -> Option<usize> {
        Some(match self.every {
            // Never by the count, but still when training is stopped.
            Some(0) => usize::MAX,
            Some(epochs) => epochs,
            None => 1,
        })
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        if self.due() { self.keep(checkpoint.write(&self.path)) } else { Ok(()) }
    }

    fn ensemble_checkpoint(&mut self, checkpoint: &EnsembleCheckpoint) -> Result<()> {
        if self.due() { self.keep(checkpoint.write(&self.path)) } else { Ok(()) }
    }

    fn search_checkpoint(&mut self, checkpoint: &SearchCheckpoint) -> Result<()> {
        self.keep(checkpoint.write(&self.path))
    }
}

/// Shows how far the teacher is, and stops it at Ctrl-C.
struct TeacherWatch {
    gentle: Gentle,
    progress: Progress,
}

impl Control for TeacherWatch {
    fn progress(&mut self, progress: &slnn::train::Progress) {
        self.progress.at(progress.epoch, || format!("loss {}", short(progress.loss)));
    }

    fn stop_requested(&self) -> bool {
        self.gentle.requested()
    }
}

/// The figures, or `None` where an output is not finite.
fn score(network: &Network, table: &Table) -> Result<Option<Score>> {
    let outputs = network.forward(table.inputs().view())?;
    match outputs.iter().all(|y| y.is_finite()) {
        true => Score::of(outputs, table.targets().view(), network.head()).map(Some),
        false => Ok(None),
    }
}

/// What [`rationalise`] would refuse, before the training rather than after it.
fn check_rationalise(options: &Options, table: &Table) -> Result<()> {
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

fn remove_checkpoint(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

/// The trainings of a search that belong to an output.
fn search_path(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".search");
    name.into()
}

/// The checkpoint that belongs to an output.
fn checkpoint_path(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".checkpoint");
    name.into()
}
