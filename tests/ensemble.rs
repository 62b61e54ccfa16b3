//! Promises of ensembles: the mean of networks is one network, exactly where that is said, the same
//! for any number of threads, and its training goes on after an interruption to the same bytes.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};
use num_rational::BigRational;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::expand::{Limits, expand, prove_equal};
use slnn::network::{
    Activation, Affine, Basis, Family, Group, Head, Input, Layer, Mixed, Network, Part, Slaf,
};
use slnn::table::problems;
use slnn::train::{
    BasisKind, Checkpoint, Control, Ensemble, EnsembleCheckpoint, HiddenActivation, Options, Quiet,
    mean, member_options, train, train_ensemble,
};
use slnn::{Polynomial, Result, Table};

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// A random SLAF in basis number `basis` of four.
fn slaf(rng: &mut ChaCha8Rng, neurons: usize, degree: usize, basis: usize, shared: bool) -> Slaf {
    let rows = if shared { 1 } else { neurons };
    let coefficients = Array2::from_shape_simple_fn((rows, degree + 1), || uniform(rng));
    let matrix = |rng: &mut ChaCha8Rng| {
        Array2::from_shape_simple_fn((neurons, degree), || uniform(rng)).into()
    };
    let vector =
        |rng: &mut ChaCha8Rng| Array1::from_shape_simple_fn(neurons, || uniform(rng)).into();
    let basis = match basis {
        0 => Basis::Monomial,
        1 => Basis::NormalisedMonomial { mean: matrix(rng), scale: matrix(rng) },
        2 => {
            Basis::Orthogonal { family: Family::Chebyshev, centre: vector(rng), scale: vector(rng) }
        }
        _ => Basis::Orthogonal { family: Family::Hermite, centre: vector(rng), scale: vector(rng) },
    };
    Slaf::new(basis, coefficients).unwrap()
}

fn affine(rng: &mut ChaCha8Rng, outputs: usize, inputs: usize) -> Layer {
    let weight = Array2::from_shape_simple_fn((outputs, inputs), || uniform(rng));
    let bias = Array1::from_shape_simple_fn(outputs, || uniform(rng));
    Layer::Affine(Affine::new(weight, bias).unwrap())
}

/// What one hidden layer of a random network is.
#[derive(Clone, Debug)]
struct Hidden {
    neurons: usize,
    degree: usize,
    basis: usize,
    shared: bool,
    mixed: bool,
}

fn network(seed: u64, inputs: usize, outputs: usize, hidden: &[Hidden]) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut layers = Vec::new();
    let mut width = inputs;
    for h in hidden {
        layers.push(affine(&mut rng, h.neurons, width));
        let whole = slaf(&mut rng, h.neurons, h.degree, h.basis, h.shared);
        layers.push(if h.mixed {
            let neurons = (0..h.neurons).rev().collect();
            Layer::Mixed(Mixed::new(vec![Group { neurons, part: Part::Slaf(whole) }]).unwrap())
        } else {
            Layer::Slaf(whole)
        });
        width = h.neurons;
    }
    layers.push(affine(&mut rng, outputs, width));
    let names =
        |prefix: &str, n: usize| (1..=n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let named = names("x", inputs).into_iter().map(Input::named).collect();
    Network::new(named, names("y", outputs), layers, Head::Identity).unwrap()
}

fn polynomials(network: &Network) -> Vec<Polynomial<BigRational>> {
    expand(network, &Limits::default()).unwrap().rational().unwrap().to_vec()
}

fn hidden() -> impl Strategy<Value = Hidden> {
    (1usize..4, 1usize..4, 0usize..4, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(neurons, degree, basis, shared, mixed)| Hidden { neurons, degree, basis, shared, mixed },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Members differ in widths, bases and degrees, and where `uneven` in depth.
    #[test]
    fn the_expansion_of_a_mean_is_the_mean_of_the_expansions(
        members in prop_oneof![Just(2usize), Just(4), Just(3), Just(1)],
        depth in 0usize..3,
        uneven in any::<bool>(),
        shapes in prop::collection::vec(hidden(), 12),
        alike in any::<bool>(),
        (inputs, outputs) in (1usize..4, 1usize..3),
        seed in any::<u32>(),
    ) {
        let networks: Vec<Network> = (0..members)
            .map(|k| {
                let first = if alike { 0 } else { k * depth };
                let own = &shapes[first % 10..][..depth.saturating_sub(usize::from(uneven) * (k % 2))];
                network(u64::from(seed) + k as u64, inputs, outputs, own)
            })
            .collect();
        let made = mean(&networks.iter().collect::<Vec<_>>())?;
        let file = made.network.to_json();
        prop_assert_eq!(&Network::from_json(&file)?, &made.network, "a file keeps it");
        if alike && !uneven && depth > 0 && !shapes[0].mixed {
            prop_assert!(matches!(made.network.layers()[1], Layer::Slaf(_)), "one SLAF for all");
        }
        let factor = BigRational::new(1.into(), members.into());
        let all: Vec<_> = networks.iter().map(polynomials).collect();
        let expansion = expand(&made.network, &Limits::default())?;
        let own = expansion.rational()?;
        for (o, own) in own.iter().enumerate() {
            let mut sum = all[0][o].clone();
            for member in &all[1..] {
                sum = &sum + &member[o];
            }
            let wanted = sum.map(|c| c * &factor);
            if made.exact {
                prop_assert_eq!(own, &wanted);
            } else {
                prop_assert_eq!(members, 3, "a power of two is exact");
                // Rounding is one unit in the last place of numbers of the last layer.
                for (_, difference) in (own - &wanted).terms() {
                    let size = slnn::numeric::rational::rational_to_f64(difference).unwrap().abs();
                    prop_assert!(size < 1e-9, "{}", size);
                }
            }
        }
        prove_equal(&made.network, &expansion)?;
    }
}

#[test]
fn conventional_networks_have_a_mean_too() {
    let mut networks = Vec::new();
    for (k, function) in [Activation::Relu, Activation::Relu, Activation::Tanh].iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(k as u64);
        let layers =
            vec![affine(&mut rng, 3, 2), Layer::Activation(*function), affine(&mut rng, 1, 3)];
        let inputs = vec![
            Input { name: "a".into(), lower: Some(-1.0 - k as f64), upper: Some(2.0) },
            Input::named("b"),
        ];
        networks.push(Network::new(inputs, vec!["y".into()], layers, Head::Logistic).unwrap());
    }
    let x = Array2::from_shape_fn((5, 2), |(i, j)| i as f64 / 3.0 - j as f64);
    for count in [2, 3] {
        let some: Vec<&Network> = networks[..count].iter().collect();
        let made = mean(&some).unwrap();
        let mut wanted = Array2::<f64>::zeros((5, 1));
        some.iter().for_each(|n| wanted += &n.forward(x.view()).unwrap());
        wanted /= count as f64;
        let own = made.network.forward(x.view()).unwrap();
        assert!((&own - &wanted).iter().all(|e| e.abs() < 1e-14), "{own} {wanted}");
        assert_eq!(made.network.head(), Head::Logistic);
        assert_eq!(made.network.inputs()[0].lower, Some(-1.0), "the box is the intersection");
        let kind = &made.network.layers()[1];
        assert_eq!(matches!(kind, Layer::Activation(Activation::Relu)), count == 2, "{kind:?}");
    }
}

#[test]
fn networks_that_do_not_go_together_are_refused() {
    let one = Hidden { neurons: 2, degree: 2, basis: 0, shared: false, mixed: false };
    let plain = network(1, 2, 1, std::slice::from_ref(&one));
    let mut headed = network(2, 2, 1, std::slice::from_ref(&one));
    headed = Network::new(
        headed.inputs().to_vec(),
        headed.outputs().to_vec(),
        headed.layers().to_vec(),
        Head::Logistic,
    )
    .unwrap();
    let mut twice = network(2, 2, 1, std::slice::from_ref(&one)).layers().to_vec();
    twice.insert(2, twice[1].clone());
    let named = ["x1", "x2"].map(Input::named).to_vec();
    let twice = Network::new(named, vec!["y1".into()], twice, Head::Identity).unwrap();
    for (other, part) in [
        (network(2, 3, 1, std::slice::from_ref(&one)), "other inputs or outputs"),
        (headed, "another head"),
    ] {
        let message = mean(&[&plain, &other]).unwrap_err().to_string();
        assert!(message.contains("network 2") && message.contains(part), "{message}");
    }
    let message = mean(&[&plain, &twice]).unwrap_err().to_string();
    assert!(message.contains("number of layers"), "{message}");
    assert!(mean(&[]).unwrap_err().to_string().contains("no network"));
}

fn options() -> Options {
    Options { hidden: vec![5, 3], degrees: vec![2], epochs: 30, seed: 4, ..Options::default() }
}

fn ensemble(table: &Table, members: usize, control: &mut dyn Control) -> Option<Ensemble> {
    let rows: Vec<usize> = (0..table.rows()).collect();
    train_ensemble(table, &rows, &options(), members, None, control).unwrap()
}

#[test]
fn members_are_single_trainings_and_threads_change_nothing() {
    let table = problems::two_spirals(60, 3).unwrap();
    let rows: Vec<usize> = (0..table.rows()).collect();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| ensemble(&table, 4, &mut Quiet).unwrap())
    };
    let one = with(1);
    assert!(one.mean.exact);
    for (k, member) in one.members.iter().enumerate() {
        let alone = train(&table, &rows, &member_options(&options(), k), &mut Quiet).unwrap();
        assert_eq!(alone.network.to_json(), member.network.to_json(), "member {k}");
    }
    for threads in [2, 3] {
        assert_eq!(with(threads).mean.network.to_json(), one.mean.network.to_json());
    }
    // Seed 4 with its members, and not those of another seed.
    assert_eq!(member_options(&options(), 0).seed, 4);
    assert_ne!(member_options(&options(), 1).seed, 5);
}

/// Stops after some questions and keeps the last checkpoint, in a file.
struct Interrupted {
    left: Cell<usize>,
    path: PathBuf,
}

impl Control for Interrupted {
    fn stop_requested(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left == 0
    }
    fn checkpoint_every(&self) -> Option<usize> {
        Some(1)
    }
    fn checkpoint(&mut self, _: &Checkpoint) -> Result<()> {
        panic!("an ensemble has checkpoints of its own")
    }
    fn ensemble_checkpoint(&mut self, checkpoint: &EnsembleCheckpoint) -> Result<()> {
        checkpoint.write(&self.path)
    }
}

fn piece(path: &Path, left: usize) -> Interrupted {
    Interrupted { left: left.into(), path: path.to_owned() }
}

#[test]
fn an_interrupted_ensemble_ends_with_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.checkpoint");
    let table = problems::two_spirals(2000, 3).unwrap();
    let rows: Vec<usize> = (0..table.rows()).collect();
    let whole = ensemble(&table, 3, &mut Quiet).unwrap();
    assert!(EnsembleCheckpoint::read(&path).unwrap().is_none());
    // Stopped before anything began, then every 50 ms or so.
    let mut left = 0;
    let mut part = ensemble(&table, 3, &mut piece(&path, left));
    let mut pieces = 1;
    while part.is_none() {
        left += 1;
        let from = EnsembleCheckpoint::read(&path).unwrap();
        part = train_ensemble(&table, &rows, &options(), 3, from, &mut piece(&path, left)).unwrap();
        pieces += 1;
    }
    assert!(pieces > 1);
    assert_eq!(part.unwrap().mean.network.to_json(), whole.mean.network.to_json());

    // A checkpoint of another number of members or other options is refused.
    let mut control = piece(&path, usize::MAX);
    train_ensemble(&table, &rows, &options(), 2, None, &mut control).unwrap();
    let from = || EnsembleCheckpoint::read(&path).unwrap();
    let refused = |options: &Options, members: usize| {
        let run = train_ensemble(&table, &rows, options, members, from(), &mut Quiet);
        run.unwrap_err().to_string()
    };
    assert!(refused(&options(), 3).contains("checkpoint: members: found 2"));
    let other = Options { l2: 0.5, ..options() };
    assert!(refused(&other, 2).contains("options.l2"), "{}", refused(&other, 2));
    for text in
        ["{}", "[]", "{\"format\":\"slnn.ensemble-checkpoint\",\"version\":1,\"members\":[7]}"]
    {
        std::fs::write(&path, text).unwrap();
        assert!(EnsembleCheckpoint::read(&path).is_err(), "{text}");
    }
}

#[test]
fn a_member_that_diverges_is_named() {
    let table = problems::xor();
    let options = Options {
        hidden: vec![3],
        activation: HiddenActivation::Slaf {
            basis: BasisKind::Chebyshev,
            shared: false,
            attention: false,
        },
        optimiser: slnn::train::Optimiser::Sgd { momentum: 0.0 },
        learning_rate: 1e12,
        epochs: 100,
        ..Options::default()
    };
    let run = train_ensemble(&table, &[0, 1, 2, 3], &options, 2, None, &mut Quiet);
    let message = run.unwrap_err().to_string();
    assert!(message.contains("member 1"), "{message}");
    for members in [0, 1025] {
        let run = train_ensemble(&table, &[0, 1, 2, 3], &options, members, None, &mut Quiet);
        assert!(run.unwrap_err().to_string().contains("options.ensemble"));
    }
}
