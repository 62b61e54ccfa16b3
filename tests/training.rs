//! Promises of training: what it reaches, that it repeats, and that it can be interrupted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView1};
use num_rational::BigRational;
use num_traits::{One, Zero};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::network::{Activation, Layer, Network};
use slnn::numeric::rational::rational_to_f64;
use slnn::table::{ReadOptions, Split, problems, read_splits};
use slnn::train::baseline::linear_model;
use slnn::train::rationalise::{RationaliseOptions, exact_residual, rationalise};
use slnn::train::{
    BasisKind, Checkpoint, Control, HiddenActivation, Loss, Optimiser, Options, Progress, Quiet,
    Routine, Schedule, Trained, metrics, resume, train,
};
use slnn::{Result, Table};

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("{prefix}{i}")).collect()
}

/// Rows of inputs uniform in [-1, 1] and targets computed from them.
fn sampled(
    rows: usize,
    inputs: usize,
    seed: u64,
    f: impl Fn(ArrayView1<f64>) -> Vec<f64>,
) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = Array2::from_shape_simple_fn((rows, inputs), || uniform(&mut rng));
    let targets: Vec<Vec<f64>> = x.rows().into_iter().map(&f).collect();
    let outputs = targets[0].len();
    let t = Array2::from_shape_vec((rows, outputs), targets.concat()).unwrap();
    Table::new(x, t, names("x", inputs), names("y", outputs), "sampled").unwrap()
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.rows()).collect()
}

fn rmse(network: &Network, table: &Table) -> f64 {
    metrics::of(network, table.inputs().view(), table.targets().view()).unwrap().rmse.unwrap()
}

/// Equal networks, bit for bit.
fn assert_same(a: &Trained, b: &Trained) {
    assert_eq!(bits(&a.network), bits(&b.network));
    assert_eq!(a.network, b.network);
    assert_eq!(a.loss.to_bits(), b.loss.to_bits());
    assert_eq!((a.best_epoch, a.restarts), (b.best_epoch, b.restarts));
}

fn bits(network: &Network) -> Vec<u64> {
    let mut bits = Vec::new();
    for layer in network.layers() {
        match layer {
            Layer::Affine(affine) => {
                bits.extend(affine.weight().to_f64().iter().map(|x| x.to_bits()));
                bits.extend(affine.bias().to_f64().iter().map(|x| x.to_bits()));
            }
            Layer::Slaf(slaf) => {
                bits.extend(slaf.coefficients().to_f64().iter().map(|x| x.to_bits()))
            }
            _ => {}
        }
    }
    bits
}

#[test]
fn xor_from_twenty_seeds_and_then_exactly() {
    let xor = problems::xor();
    let rows = all(&xor);
    let mut restarts = 0;
    for seed in 0..20 {
        let options = Options {
            hidden: vec![1],
            degrees: vec![2],
            optimiser: Optimiser::lbfgs(),
            l2: 0.0,
            target_loss: Some(1e-26),
            epochs: 300,
            restarts: 20,
            seed,
            ..Options::default()
        };
        let trained = train(&xor, &rows, &options, &mut Quiet).unwrap();
        restarts += trained.restarts;
        let residual = exact_residual(&trained.network, &xor, &rows).unwrap();
        assert!(rational_to_f64(&residual).unwrap() <= 1e-12, "seed {seed}: {residual}");
        let exact =
            rationalise(&trained.network, &xor, &rows, &RationaliseOptions::default()).unwrap();
        assert!(exact.zero && exact.residual.is_zero(), "seed {seed}: {}", exact.residual);
        // On the table's four rows and off them: x1 + x2 - 2 x1 x2 plus what vanishes on the
        // rows, a combination of x1^2 - x1 and x2^2 - x2; all with small numbers.
        let formula = expansion(&exact.network);
        for (exponents, coefficient) in &formula {
            let small = 1000.into();
            assert!(
                coefficient.denom() < &small && coefficient.numer().magnitude() < small.magnitude(),
                "seed {seed}: {exponents:?} {coefficient}"
            );
        }
        let at = |e: [u32; 2]| formula.get(&e).cloned().unwrap_or_else(BigRational::zero);
        let integer = |n: i64| BigRational::from_integer(n.into());
        assert_eq!(at([0, 0]), integer(0));
        assert_eq!(at([1, 1]), integer(-2));
        assert_eq!(at([1, 0]) + at([2, 0]), integer(1));
        assert_eq!(at([0, 1]) + at([0, 2]), integer(1));
    }
    println!("{restarts} restarts over 20 seeds");
}

/// A naive expansion of a network of two inputs, one output and monomial or normalised SLAFs.
fn expansion(network: &Network) -> BTreeMap<[u32; 2], BigRational> {
    type Terms = BTreeMap<[u32; 2], BigRational>;
    let product = |a: &Terms, b: &Terms| {
        let mut terms = Terms::new();
        for (e, c) in a {
            for (f, d) in b {
                *terms.entry([e[0] + f[0], e[1] + f[1]]).or_insert_with(BigRational::zero) += c * d;
            }
        }
        terms
    };
    let add = |to: &mut Terms, factor: &BigRational, terms: &Terms| {
        for (e, c) in terms {
            *to.entry(*e).or_insert_with(BigRational::zero) += factor * c;
        }
    };
    let one = Terms::from([([0, 0], BigRational::one())]);
    let mut state: Vec<Terms> = vec![
        Terms::from([([1, 0], BigRational::one())]),
        Terms::from([([0, 1], BigRational::one())]),
    ];
    for layer in network.layers() {
        state = match layer {
            Layer::Affine(affine) => {
                let (weight, bias) = (affine.weight().to_exact(), affine.bias().to_exact());
                let row = |(w, b): (ArrayView1<BigRational>, &BigRational)| {
                    let mut sum = Terms::new();
                    add(&mut sum, b, &one);
                    w.iter().zip(&state).for_each(|(w, y)| add(&mut sum, w, y));
                    sum
                };
                weight.rows().into_iter().zip(bias.iter()).map(row).collect()
            }
            Layer::Slaf(slaf) => {
                let polynomials = slaf.fold(state.len());
                let value = |(p, z): (slnn::polynomial::Univariate<BigRational>, &Terms)| {
                    let (mut sum, mut power) = (Terms::new(), one.clone());
                    for c in p.into_coefficients() {
                        add(&mut sum, &c, &power);
                        power = product(&power, z);
                    }
                    sum
                };
                polynomials.into_iter().zip(&state).map(value).collect()
            }
            _ => unreachable!("polynomial networks"),
        };
    }
    state.swap_remove(0)
}

#[test]
fn a_slaf_from_random_coefficients_learns_every_activation() {
    use Activation::*;
    let (rows, degree) = (121, 5);
    for function in [
        Identity,
        Relu,
        LeakyRelu { slope: 0.1 },
        Abs,
        HardTanh,
        Tanh,
        Sigmoid,
        Softplus,
        Elu { alpha: 1.0 },
        Silu,
        Gelu,
        Sin,
    ] {
        let z = |i: usize| 3.0 * (2.0 * i as f64 / (rows - 1) as f64 - 1.0);
        let x = Array2::from_shape_fn((rows, 1), |(i, _)| z(i));
        let t = Array2::from_shape_fn((rows, 1), |(i, _)| function.value(z(i)));
        let table =
            Table::new(x, t.clone(), names("z", 1), names("y", 1), function.name()).unwrap();
        // The best polynomial of the degree on the same points, by least squares on T_1..T_d.
        let chebyshev = Array2::from_shape_fn((rows, degree), |(i, k)| {
            ((k + 1) as f64 * (z(i) / 3.0).acos()).cos()
        });
        let basis = Table::new(chebyshev, t, names("t", degree), names("y", 1), "basis").unwrap();
        let best = rmse(&linear_model(&basis, &all(&basis)).unwrap(), &basis);
        let options = Options {
            hidden: vec![1],
            degrees: vec![degree],
            optimiser: Optimiser::lbfgs(),
            l2: 0.0,
            epochs: 1000,
            seed: 1,
            ..Options::default()
        };
        let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
        let own = rmse(&trained.network, &table);
        println!("{:10} best {best:.3e} trained {own:.3e}", function.name());
        assert!(own <= 1.05 * best + 1e-7, "{}: {own} against {best}", function.name());
    }
}

#[test]
fn a_hidden_polynomial_is_recovered() {
    // y = 3 x1^2 x2 - 2 x2 + 1
    let wanted = BTreeMap::from([([2, 1], 3.0), ([0, 1], -2.0), ([0, 0], 1.0)]);
    for seed in 0..10 {
        let table =
            sampled(500, 2, 100 + seed, |x| vec![3.0 * x[0] * x[0] * x[1] - 2.0 * x[1] + 1.0]);
        let options = Options {
            hidden: vec![4 + (seed as usize) % 5],
            degrees: vec![3],
            optimiser: Optimiser::lbfgs(),
            l2: 0.0,
            target_loss: Some(1e-18),
            epochs: 3000,
            restarts: 5,
            seed,
            ..Options::default()
        };
        let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
        let mut worst = 0f64;
        for (exponents, coefficient) in expansion(&trained.network) {
            let wanted = wanted.get(&exponents).copied().unwrap_or(0.0);
            worst = worst.max((rational_to_f64(&coefficient).unwrap() - wanted).abs());
        }
        println!(
            "seed {seed}: {} neurons, {} iterations, {} restarts, loss {:.1e}, worst coefficient {worst:.1e}",
            options.hidden[0], trained.epochs, trained.restarts, trained.loss
        );
        assert!(worst < 1e-6, "seed {seed}: {worst}");
    }
}

#[test]
fn the_target_loss_ends_mini_batches_too() {
    let table = sampled(90, 2, 5, |x| vec![x[0] * x[1]]);
    let options = Options {
        hidden: vec![3],
        batch: Some(20),
        epochs: 40,
        target_loss: Some(1e9),
        ..Options::default()
    };
    let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
    assert_eq!(trained.epochs, 1);
}

/// Small runs that between them use every optimiser, loss and kind of layer.
fn runs() -> Vec<(Table, Options)> {
    let smooth = sampled(90, 3, 5, |x| vec![(2.0 * x[0]).sin() + x[1] * x[2], x[0] * x[0]]);
    let classes = sampled(80, 2, 6, |x| {
        let inside = f64::from(x[0] * x[0] + x[1] * x[1] < 0.6);
        vec![inside, 1.0 - inside]
    });
    let short = Options { hidden: vec![6, 4], epochs: 12, seed: 7, ..Options::default() };
    let slaf = |basis, shared, attention| HiddenActivation::Slaf { basis, shared, attention };
    vec![
        (
            smooth.clone(),
            Options { batch: Some(16), validation: Some(0.2), l1: 1e-4, ..short.clone() },
        ),
        (
            smooth.clone(),
            Options {
                activation: slaf(BasisKind::NormalisedMonomial, true, true),
                optimiser: Optimiser::Sgd { momentum: 0.9 },
                schedule: Schedule::Step { every: 4, factor: 0.5 },
                batch: Some(30),
                clip: Some(1.0),
                ..short.clone()
            },
        ),
        (
            smooth,
            Options {
                activation: slaf(BasisKind::Chebyshev, false, false),
                optimiser: Optimiser::lbfgs(),
                // Never met, so that attempts follow each other.
                target_loss: Some(0.0),
                restarts: 1,
                ..short.clone()
            },
        ),
        (
            classes,
            Options {
                activation: HiddenActivation::Hybrid {
                    function: Activation::Relu,
                    fraction: 0.5,
                    basis: BasisKind::Monomial,
                    shared: false,
                    attention: true,
                },
                degrees: vec![2, 3],
                routine: Routine::Clipped,
                loss: Loss::SoftmaxCrossEntropy,
                schedule: Schedule::Exponential { decay: 0.9 },
                batch: Some(20),
                ..short
            },
        ),
    ]
}

/// Stops after some batches and keeps the last checkpoint, in a file.
struct Interrupted {
    left: std::cell::Cell<usize>,
    path: PathBuf,
}

impl Control for Interrupted {
    fn stop_requested(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left == 0
    }
    fn checkpoint_every(&self) -> Option<usize> {
        Some(usize::MAX)
    }
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.write(&self.path)
    }
}

#[test]
fn an_interrupted_run_ends_with_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.checkpoint");
    assert!(Checkpoint::read(&path).unwrap().is_none(), "no file is no checkpoint");
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for (table, options) in runs() {
        let rows = all(&table);
        let whole = train(&table, &rows, &options, &mut Quiet).unwrap();
        for _ in 0..3 {
            // In pieces of up to 20 batches, so in the middle of epochs too.
            let piece = |rng: &mut ChaCha8Rng| Interrupted {
                left: (1 + (rng.next_u64() % 20) as usize).into(),
                path: path.clone(),
            };
            let mut part = train(&table, &rows, &options, &mut piece(&mut rng)).unwrap();
            let mut pieces = 1;
            while part.stopped {
                let checkpoint = Checkpoint::read(&path).unwrap().unwrap();
                part = resume(&table, &rows, &options, checkpoint, &mut piece(&mut rng)).unwrap();
                pieces += 1;
            }
            assert!(pieces > 1);
            assert_same(&whole, &part);
        }
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.checkpoint");
    let (table, options) = runs().swap_remove(0);
    let rows = all(&table);
    let mut control = Interrupted { left: 5.into(), path: path.clone() };
    train(&table, &rows, &options, &mut control).unwrap();
    let refused = |table: &Table, rows: &[usize], options: &Options| {
        let checkpoint = Checkpoint::read(&path).unwrap().unwrap();
        resume(table, rows, options, checkpoint, &mut Quiet).unwrap_err().to_string()
    };
    let other = Options { learning_rate: 0.02, ..options.clone() };
    let message = refused(&table, &rows, &other);
    assert!(message.contains("options.learning_rate: found 0.01"), "{message}");
    assert!(refused(&table, &rows[1..], &options).contains("changed rows"));
    let mut inputs = table.inputs().clone();
    inputs[(0, 0)] += 1.0;
    let changed =
        Table::new(inputs, table.targets().clone(), names("x", 3), names("y", 2), "other").unwrap();
    assert!(refused(&changed, &rows, &options).contains("changed table"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever stands in a checkpoint: an error, or a run that ends.
    #[test]
    fn hostile_checkpoints_do_no_harm(
        run in 0usize..4,
        cut in prop::option::of(0.0f64..1.0),
        place in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "null", "-1", "1e308", "[]", "{}", "\"\"", "4294967296", "1e19", "[[1],[2]]", "0.5",
        ]),
    ) {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("run.checkpoint");
        let (table, options) = runs().swap_remove(run);
        let options = Options { epochs: 2, ..options };
        let rows = all(&table);
        let mut control = Interrupted { left: 2.into(), path: path.clone() };
        train(&table, &rows, &options, &mut control)?;
        let mut text = std::fs::read_to_string(&path)?;
        match cut {
            Some(fraction) => text.truncate((text.len() as f64 * fraction) as usize),
            None => {
                // Replace one value: what stands between a colon, comma or bracket and the next.
                let starts: Vec<usize> = text
                    .char_indices()
                    .filter(|(_, c)| [':', ',', '['].contains(c))
                    .map(|(i, _)| i + 1)
                    .collect();
                let start = *place.get(&starts);
                let length = text[start..].find([',', ']', '}']).unwrap_or(0);
                text.replace_range(start..start + length, value);
            }
        }
        std::fs::write(&path, text)?;
        if let Ok(Some(checkpoint)) = Checkpoint::read(&path) {
            let _ = resume(&table, &rows, &options, checkpoint, &mut Quiet);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let table = sampled(4000, 6, 3, |x| vec![x[0] * x[1] - x[2], x[3] * x[4] * x[5]]);
    let options = Options { hidden: vec![12, 8], epochs: 6, seed: 2, ..Options::default() };
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(&table, &all(&table), &options, &mut Quiet).unwrap())
    };
    let one = with(1);
    assert_same(&one, &with(2));
    assert_same(&one, &with(3));
    let other = Options { seed: 3, ..options.clone() };
    let other = train(&table, &all(&table), &other, &mut Quiet).unwrap();
    assert_ne!(bits(&one.network), bits(&other.network));
}

#[test]
fn the_saved_network_is_in_the_units_of_the_table() {
    let mut table = sampled(60, 3, 9, |x| vec![1000.0 + 50.0 * x[0] * x[1]]);
    let mut inputs = table.inputs() * 40.0 + 300.0;
    inputs.column_mut(2).fill(17.0);
    table =
        Table::new(inputs, table.targets().clone(), names("x", 3), names("y", 1), "units").unwrap();
    for standardise in [true, false] {
        let options = Options {
            hidden: vec![4],
            degrees: vec![2],
            epochs: 30,
            l2: 0.0,
            standardise,
            ..Options::default()
        };
        let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
        let targets = table.targets();
        let mean = targets.mean().unwrap();
        let deviation = if standardise {
            (targets.mapv(|t| (t - mean) * (t - mean)).mean().unwrap()).sqrt()
        } else {
            1.0
        };
        let own = rmse(&trained.network, &table) / deviation;
        assert!(
            (own - trained.loss.sqrt()).abs() <= 1e-9 * own,
            "{own} and {}",
            trained.loss.sqrt()
        );
        assert_eq!(trained.warnings.len(), 1);
        assert!(trained.warnings[0].contains("\"x3\" is constant"), "{:?}", trained.warnings);
        let Layer::Affine(first) = &trained.network.layers()[0] else { panic!("affine first") };
        assert!(first.weight().to_f64().column(2).iter().all(|w| *w == 0.0));
        let input = &trained.network.inputs()[2];
        assert_eq!((input.lower, input.upper), (Some(17.0), Some(17.0)));
    }
}

/// Keeps every progress report, and the last checkpoint.
#[derive(Default)]
struct Recorder(Vec<Progress>, Option<Checkpoint>);

impl Control for Recorder {
    fn progress(&mut self, progress: &Progress) {
        self.0.push(progress.clone());
    }
    fn checkpoint_every(&self) -> Option<usize> {
        Some(1)
    }
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.1 = Some(checkpoint.clone());
        Ok(())
    }
}

#[test]
fn early_stopping_keeps_the_best_weights() {
    // Noise that 30 neurons learn by heart.
    let mut noise = ChaCha8Rng::seed_from_u64(4).clone();
    let clean = sampled(60, 2, 8, |x| vec![x[0]]);
    let targets = clean.targets().mapv(|t| t + 0.5 * uniform(&mut noise));
    let table =
        Table::new(clean.inputs().clone(), targets, names("x", 2), names("y", 1), "noise").unwrap();
    let options = Options {
        hidden: vec![30],
        degrees: vec![4],
        l2: 0.0,
        epochs: 2000,
        validation: Some(0.3),
        patience: Some(50),
        ..Options::default()
    };
    let mut recorder = Recorder::default();
    let trained = train(&table, &all(&table), &options, &mut recorder).unwrap();
    let best = recorder.0.iter().map(|p| p.validation.unwrap()).fold(f64::INFINITY, f64::min);
    assert_eq!(trained.validation, Some(best));
    assert_eq!(recorder.0[trained.best_epoch - 1].validation, Some(best));
    assert_eq!(trained.epochs, trained.best_epoch + 50);
    assert!(trained.epochs < 2000);
    // What was saved when patience was at its end has nothing left to do.
    let last = recorder.1.unwrap();
    assert_eq!(last.epoch(), trained.epochs);
    let resumed = resume(&table, &all(&table), &options, last, &mut Quiet).unwrap();
    assert_eq!((resumed.epochs, &resumed.network), (trained.epochs, &trained.network));
}

/// Stops after so many batches.
struct After(std::cell::Cell<usize>, Option<Checkpoint>);

impl Control for After {
    fn stop_requested(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left == 0
    }
    fn checkpoint_every(&self) -> Option<usize> {
        Some(usize::MAX)
    }
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.1 = Some(checkpoint.clone());
        Ok(())
    }
}

#[test]
fn a_run_that_is_stopped_while_it_diverges_can_go_on() {
    let table = sampled(40, 2, 8, |x| vec![x[0] * x[1]]);
    let options = Options {
        learning_rate: 1e300,
        batch: Some(10),
        restarts: 1000,
        epochs: 3,
        ..Options::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.checkpoint");
    for batches in 0..12 {
        let mut after = After(batches.into(), None);
        let stopped = train(&table, &all(&table), &options, &mut after).unwrap();
        assert!(stopped.stopped, "{batches}");
        after.1.unwrap().write(&path).unwrap();
        let checkpoint = Checkpoint::read(&path).unwrap().unwrap();
        let mut after = After(2.into(), None);
        let resumed = resume(&table, &all(&table), &options, checkpoint, &mut after).unwrap();
        assert!(resumed.stopped, "{batches}");
    }
}

#[test]
fn a_start_that_is_good_enough_is_taken() {
    let table = sampled(40, 2, 8, |x| vec![x[0]]);
    for validation in [None, Some(0.3)] {
        let options = Options { target_loss: Some(1e6), validation, ..Options::default() };
        for optimiser in [Optimiser::adam(), Optimiser::lbfgs()] {
            let options = Options { optimiser, ..options.clone() };
            let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
            assert_eq!((trained.epochs, trained.restarts), (0, 0));
        }
    }
}

#[test]
fn divergence_is_an_error_with_advice_and_restarts_are_counted() {
    let table = sampled(40, 2, 8, |x| vec![x[0] * x[1]]);
    let options = Options {
        hidden: vec![8],
        optimiser: Optimiser::Sgd { momentum: 0.0 },
        learning_rate: 1e9,
        schedule: Schedule::Constant,
        epochs: 200,
        restarts: 2,
        ..Options::default()
    };
    let message = train(&table, &all(&table), &options, &mut Quiet).unwrap_err().to_string();
    assert!(message.contains("all of 3 attempts") || message.contains("3 attempts"), "{message}");
    assert!(message.contains("lower learning rate"), "{message}");
}

#[test]
fn classes_are_learned() {
    let table = sampled(200, 2, 1, |x| {
        let inside = f64::from(x[0] * x[0] + x[1] * x[1] < 0.6);
        vec![inside, 1.0 - inside]
    });
    for loss in [Loss::SoftmaxCrossEntropy, Loss::LogisticCrossEntropy] {
        let options =
            Options { hidden: vec![6], degrees: vec![2], loss, epochs: 500, ..Options::default() };
        let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
        let own =
            metrics::of(&trained.network, table.inputs().view(), table.targets().view()).unwrap();
        assert!(own.accuracy.unwrap() > 0.95, "{own:?}");
        assert_eq!(trained.network.head(), loss.head());
    }
    let regression = sampled(20, 2, 1, |x| vec![x[0]]);
    let options = Options { loss: Loss::LogisticCrossEntropy, ..Options::default() };
    let message =
        train(&regression, &all(&regression), &options, &mut Quiet).unwrap_err().to_string();
    assert!(message.contains("targets, row"), "{message}");
}

fn data() -> Option<PathBuf> {
    let root = std::env::var_os("SLNN_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let uci = root.join("uci");
    if !uci.is_dir() {
        eprintln!("skipped: no tables in {}; set SLNN_DATA", uci.display());
        return None;
    }
    Some(uci)
}

/// The default recipe on a real table: test error, mean over the first five of the fixed splits.
fn mean_test_error(name: &str, degrees: [usize; 2], limit: f64) {
    let Some(data) = data() else { return };
    let table = Table::read(&data.join(format!("{name}.csv")), &ReadOptions::default()).unwrap();
    let splits = read_splits(&data.join(format!("{name}.splits.json"))).unwrap();
    let mut sum = 0.0;
    for (k, test) in splits.iter().take(5).enumerate() {
        let split = Split::from_listed(table.rows(), test).unwrap();
        let options = Options { degrees: degrees.to_vec(), ..Options::default() };
        let trained = train(&table, &split.train, &options, &mut Quiet).unwrap();
        let error = rmse(&trained.network, &table.select(&split.test));
        let seconds = trained.seconds_per_epoch.unwrap() * trained.epochs as f64;
        println!("{name}, split {k}: test error {error:.4}, {seconds:.1} s");
        sum += error;
    }
    println!("{name}: mean {:.4}", sum / 5.0);
    assert!(sum / 5.0 <= limit, "{name}: {}", sum / 5.0);
}

#[test]
fn yacht_reaches_its_error() {
    mean_test_error("yacht", [3, 3], 0.50);
}

#[test]
fn energy_reaches_its_error() {
    mean_test_error("energy", [3, 2], 0.55);
}
