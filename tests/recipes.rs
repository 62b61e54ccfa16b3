//! Promises of the training routines and of the search: what each does, that high degrees train,
//! and that a choice repeats and goes on after an interruption.

use std::cell::Cell;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView1};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::expand::{Limits, expand, prove_equal};
use slnn::network::{Activation, Basis, Layer, Network};
use slnn::table::problems;
use slnn::train::auto::{
    Choice, Kind, Role, Search, SearchCheckpoint, Teacher, choose, method, teachable,
};
use slnn::train::routine::Named;
use slnn::train::{
    BasisKind, Control, HiddenActivation, Lesson, Loss, Objective, Options, Penalised, Penalty,
    Quiet, Routine, Trained, member_options, metrics, train, train_members, train_members_on,
};
use slnn::{Result, Table};

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Rows of inputs uniform in [-1, 1] and a target computed from them.
fn sampled(rows: usize, inputs: usize, seed: u64, f: impl Fn(ArrayView1<f64>) -> f64) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = Array2::from_shape_simple_fn((rows, inputs), || uniform(&mut rng));
    let t = Array2::from_shape_fn((rows, 1), |(i, _)| f(x.row(i)));
    let names = (1..=inputs).map(|i| format!("x{i}")).collect();
    Table::new(x, t, names, vec!["y".into()], "sampled").unwrap()
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.rows()).collect()
}

fn r2(network: &Network, table: &Table) -> f64 {
    metrics::of(network, table.inputs().view(), table.targets().view()).unwrap().r2.unwrap()
}

/// Oscillates within the box, so that high degrees have something to learn.
fn waves(seed: u64) -> Table {
    sampled(300, 2, seed, |x| (3.0 * x[0]).sin() * (2.0 * x[1]).cos() + x[0] * x[1])
}

/// Twenty of twenty seeds train at once, no attempt given up, to a good fit of rows not seen.
fn trains(routine: Named, hidden: &[usize], degree: usize, least: f64) {
    let mut worst = (f64::INFINITY, f64::INFINITY);
    for seed in 0..20 {
        let options = routine.apply(Options {
            hidden: hidden.to_vec(),
            degrees: vec![degree],
            epochs: 400,
            l2: 1e-5,
            seed,
            ..Options::default()
        });
        let (table, new) = (waves(seed), waves(1000 + seed));
        let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
        assert!(trained.warnings.is_empty(), "seed {seed}: {:?}", trained.warnings);
        assert_eq!((trained.restarts, trained.epochs), (0, 400), "seed {seed}");
        worst.0 = worst.0.min(r2(&trained.network, &table));
        worst.1 = worst.1.min(r2(&trained.network, &new));
    }
    println!(
        "{} {hidden:?} degree {degree}: worst r2 {:.4}, new {:.4}",
        routine.name(),
        worst.0,
        worst.1
    );
    assert!(worst.0 >= least, "{}: r2 {}", routine.name(), worst.0);
    assert!(worst.1.is_finite());
}

#[test]
fn degree_10_in_two_layers_trains_by_normalised_monomials() {
    trains(Named::Normalised, &[8, 4], 10, 0.9);
}

#[test]
fn degree_10_in_two_layers_trains_by_the_boundary_penalty() {
    trains(Named::Boundary, &[8, 4], 10, 0.9);
}

#[test]
fn degree_22_in_one_layer_trains_by_normalised_monomials() {
    trains(Named::Normalised, &[8], 22, 0.9);
}

#[test]
fn degree_22_in_one_layer_trains_by_the_boundary_penalty() {
    trains(Named::Boundary, &[8], 22, 0.9);
}

#[test]
fn the_boundary_penalty_keeps_pre_activations_in_the_interval() {
    let table = waves(5);
    let share_outside = |boundary: f64| {
        let options = Options {
            hidden: vec![8],
            degrees: vec![6],
            epochs: 300,
            boundary,
            ..Named::Boundary.apply(Options::default())
        };
        let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
        let (Layer::Affine(first), Layer::Slaf(slaf)) =
            (&trained.network.layers()[0], &trained.network.layers()[1])
        else {
            panic!("an affine layer and a SLAF")
        };
        let Basis::Orthogonal { centre, scale, .. } = slaf.basis() else { panic!("Chebyshev") };
        let z = table.inputs().dot(&first.weight().to_f64().t()) + &*first.bias().to_f64();
        let t = (z - &*centre.to_f64()) * &*scale.to_f64();
        t.mapv(|t| (t.abs() - 1.0).max(0.0)).sum()
    };
    let (free, bound) = (share_outside(0.0), share_outside(1.0));
    println!("beyond the interval: {free} without the penalty, {bound} with it");
    assert!(free > 1.0 && bound < 0.1 * free);
}

#[test]
fn raw_powers_begin_inside_their_interval_under_the_boundary_routine() {
    let table = waves(6);
    let mut activation = HiddenActivation::slaf();
    activation.set_basis(BasisKind::Monomial);
    let options = Options {
        hidden: vec![5, 4],
        degrees: vec![9],
        activation,
        routine: Routine::Boundary,
        ..Options::default()
    };
    let mut objective = Objective::new(&table, &all(&table), &options).unwrap();
    let start = objective.start(0);
    let with = objective.value(&start, None);
    let free = Options { boundary: 0.0, ..options.clone() };
    let mut objective = Objective::new(&table, &all(&table), &free).unwrap();
    assert_eq!(objective.start(0), start);
    assert_eq!(objective.value(&start, None), with, "no penalty at the start");
    let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
    assert!(r2(&trained.network, &table) > 0.9);
}

#[test]
fn max_scaled_powers_are_frozen_at_the_largest_pre_activation() {
    let table = waves(7);
    let options = Named::MaxScaled.apply(Options {
        hidden: vec![6],
        degrees: vec![4],
        epochs: 300,
        ..Options::default()
    });
    let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
    let (Layer::Affine(first), Layer::Slaf(slaf)) =
        (&trained.network.layers()[0], &trained.network.layers()[1])
    else {
        panic!("an affine layer and a SLAF")
    };
    let Basis::NormalisedMonomial { mean, scale } = slaf.basis() else { panic!("{slaf:?}") };
    assert!(mean.to_f64().iter().all(|m| *m == 0.0));
    let z = table.inputs().dot(&first.weight().to_f64().t()) + &*first.bias().to_f64();
    for (i, column) in z.columns().into_iter().enumerate() {
        let largest = column.iter().fold(0f64, |m, z| m.max(z.abs()));
        for k in 0..4 {
            let wanted = largest.powi(-(k as i32) - 1);
            let own = scale.to_f64()[(i, k)];
            assert!((own - wanted).abs() <= 1e-12 * wanted, "neuron {i}: {own} {wanted}");
        }
    }
    assert!(r2(&trained.network, &table) > 0.8, "{}", r2(&trained.network, &table));
}

#[test]
fn a_penalty_step_gives_exact_zeros_and_the_loss_none() {
    // Two of six inputs matter.
    let table = sampled(200, 6, 3, |x| x[0] * x[0] - x[0] * x[1]);
    let zeros = |penalty: Penalty| {
        let options = Options {
            hidden: vec![4],
            degrees: vec![2],
            epochs: 1500,
            l1: 0.02,
            l2: 0.0,
            penalty,
            penalised: Penalised::FirstLayer,
            ..Options::default()
        };
        let trained = train(&table, &all(&table), &options, &mut Quiet).unwrap();
        let Layer::Affine(first) = &trained.network.layers()[0] else { panic!("affine first") };
        let weight = first.weight().to_f64().into_owned();
        let zero = |j: usize| weight.column(j).iter().filter(|w| **w == 0.0).count();
        let counts: Vec<usize> = (0..6).map(zero).collect();
        (counts, r2(&trained.network, &table))
    };
    let (counts, fit) = zeros(Penalty::Step);
    println!("zero weights by input {counts:?}, r2 {fit:.4}");
    assert_eq!(counts[2..], [4, 4, 4, 4], "inputs that do not matter have no weight");
    assert!(counts[0] < 4 && counts[1] < 4 && fit > 0.9);
    assert_eq!(zeros(Penalty::Loss).0, [0; 6]);
}

#[test]
fn a_warm_start_begins_as_the_given_activation() {
    let table = waves(8);
    for (basis, shared, attention) in [
        (BasisKind::NormalisedMonomial, false, false),
        (BasisKind::NormalisedMonomial, true, true),
        (BasisKind::Monomial, false, true),
        (BasisKind::ScaledMonomial, false, false),
        (BasisKind::Chebyshev, false, false),
        (BasisKind::Legendre, true, false),
        (BasisKind::Hermite, false, false),
    ] {
        let options = |warm_start| Options {
            hidden: vec![6, 5],
            degrees: vec![11],
            activation: HiddenActivation::Slaf { basis, shared, attention },
            clip: Some(5.0),
            warm_start,
            ..Options::default()
        };
        let difference = |warm_start| {
            let options = options(warm_start);
            let mut objective = Objective::new(&table, &all(&table), &options).unwrap();
            let start = objective.start(0);
            objective.value(&start, None);
            let network = objective.network(&start).unwrap();
            let layers = network.layers().iter().map(|layer| match layer {
                Layer::Slaf(_) => Layer::Activation(Activation::Tanh),
                other => other.clone(),
            });
            let tanh = Network::new(
                network.inputs().to_vec(),
                network.outputs().to_vec(),
                layers.collect(),
                network.head(),
            )
            .unwrap();
            let x = table.inputs().view();
            let error = &network.forward(x).unwrap() - &tanh.forward(x).unwrap();
            error.iter().fold(0f64, |worst, e| worst.max(e.abs()))
        };
        let (cold, warm) = (difference(None), difference(Some(Activation::Tanh)));
        println!("{basis:?} shared {shared}: {warm:.1e} from tanh, {cold:.1e} without");
        // Neurons that share coefficients but not statistics must share a compromise.
        let limit = if shared { 0.4 * cold } else { 0.02 };
        assert!(warm < limit && cold > 2.0 * warm);
    }
}

#[test]
fn routines_that_make_no_sense_together_are_refused() {
    let message = |options: Options| options.validate().unwrap_err().to_string();
    let base = Options::default();
    assert!(message(Options { routine: Routine::Boundary, ..base.clone() }).contains("interval"));
    let tanh = Options { activation: HiddenActivation::Function(Activation::Tanh), ..base.clone() };
    assert!(
        message(Options { warm_start: Some(Activation::Tanh), ..tanh.clone() })
            .contains("without SLAFs")
    );
    assert!(message(Options { routine: Routine::Boundary, ..tanh }).contains("without SLAFs"));
    assert!(message(Options { boundary: f64::NAN, ..base.clone() }).contains("options.boundary"));
    let lbfgs = Options { optimiser: slnn::train::Optimiser::lbfgs(), ..base };
    assert!(message(Options { penalty: Penalty::Step, ..lbfgs }).contains("options.penalty"));
}

/// A search of four small candidates.
fn search() -> Search {
    Search {
        shapes: vec![(vec![3], vec![1]), (vec![4], vec![3])],
        l2: vec![1e-4, 1.0],
        step: 3.0,
        members: None,
        trials: 40,
        teacher: None,
    }
}

fn quick(rows: usize) -> Options {
    Options { epochs: 40, seed: 3, ..method(rows, Options::default()) }
}

fn chosen(table: &Table, search: &Search, control: &mut dyn Control) -> Result<Option<Choice>> {
    choose(table, &all(table), &quick(table.rows()), search, None, control)
}

fn same(a: &Choice, b: &Choice) {
    assert_eq!((&a.options, &a.second, a.members), (&b.options, &b.second, b.members));
    assert_eq!((&a.trials, &a.taught, &a.teacher), (&b.trials, &b.taught, &b.teacher));
}

#[test]
fn the_search_finds_the_degree_and_keeps_to_its_budget() {
    let table = sampled(80, 2, 2, |x| x[0] * x[0] * x[1] - x[1]);
    let choice = chosen(&table, &search(), &mut Quiet).unwrap().unwrap();
    assert_eq!(choice.options.degrees, [3]);
    assert!(choice.options.l2 < 1e-3 && choice.loss < 0.01, "{choice:?}");
    let trainings = |c: &Choice| 2 * c.trials.iter().map(|t| t.losses.len()).sum::<usize>();
    // In pairs: four candidates on a fold, four on three more, and one of two neighbours on four.
    assert_eq!((trainings(&choice), search().trainings()), (40, 40));
    for trials in [2, 9, 30, 1000] {
        let limited = Search { trials, ..search() };
        let choice = chosen(&table, &limited, &mut Quiet).unwrap().unwrap();
        assert!(trainings(&choice) <= limited.trainings() && limited.trainings() <= trials);
        assert!(trials < 1000 || trainings(&choice) == limited.trainings());
    }
    for (search, part) in [
        (Search { trials: 1, ..search() }, "options.trials"),
        (Search { shapes: vec![], ..search() }, "options.trials"),
        (Search { l2: vec![-1.0], ..search() }, "options.l2"),
    ] {
        let message = chosen(&table, &search, &mut Quiet).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let few = choose(&table, &[0, 1, 2, 3], &quick(4), &search(), None, &mut Quiet);
    assert!(few.unwrap_err().to_string().contains("12 or more"));
}

#[test]
fn the_choice_does_not_depend_on_rows_outside_or_on_threads() {
    let table = sampled(80, 2, 2, |x| x[0] * x[0] * x[1] - x[1]);
    let rows: Vec<usize> = (0..60).collect();
    let mut targets = table.targets().clone();
    targets.slice_mut(ndarray::s![60.., ..]).fill(1e6);
    let names = |t: &Table| (t.input_names().to_vec(), t.target_names().to_vec());
    let (inputs, outputs) = names(&table);
    let other = Table::new(table.inputs().clone(), targets, inputs, outputs, "other").unwrap();
    let with = |table: &Table, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let search = Search { trials: 16, ..search() };
        let own = || choose(table, &rows, &quick(60), &search, None, &mut Quiet);
        pool.install(own).unwrap().unwrap()
    };
    let one = with(&table, 1);
    same(&one, &with(&table, 3));
    same(&one, &with(&other, 2));
}

#[test]
fn a_second_shape_that_is_nearly_as_good_joins_the_ensemble() {
    // What no network can learn makes both shapes equally good.
    let table = sampled(80, 2, 5, |x| x[0] + (1e4 * x[1]).sin());
    let shapes = vec![(vec![3], vec![1]), (vec![3, 2], vec![1, 2])];
    let two = Search { shapes, l2: vec![1e-2], step: 1.0, ..search() };
    let choice = chosen(&table, &two, &mut Quiet).unwrap().unwrap();
    let second = choice.second.clone().unwrap();
    assert_ne!(choice.options.hidden, second.hidden);
    let members = choice.member_options();
    assert!(members.len() == choice.members && choice.members.is_power_of_two());
    for (k, own) in members.iter().enumerate() {
        let of = if k < members.len() / 2 { &choice.options } else { &second };
        assert_eq!(*own, member_options(of, k), "member {k}");
    }
    // Of unlike depths they are one network and one polynomial, the mean of all.
    let rows = all(&table);
    let made = train_members(&table, &rows, &members, None, &mut Quiet).unwrap().unwrap();
    let mut mean = Array2::<f64>::zeros((table.rows(), 1));
    for (own, member) in members.iter().zip(&made.members) {
        let alone = train(&table, &rows, own, &mut Quiet).unwrap();
        assert_eq!(alone.network, member.network);
        mean += &alone.network.forward(table.inputs().view()).unwrap();
    }
    mean /= members.len() as f64;
    let outputs = made.mean.network.forward(table.inputs().view()).unwrap();
    assert!((&outputs - &mean).iter().all(|e| e.abs() < 1e-12));
    let expansion = expand(&made.mean.network, &Limits::default()).unwrap();
    prove_equal(&made.mean.network, &expansion).unwrap();

    // A single network has no second, nor has a shape that alone can learn.
    let single = Search { members: Some(1), ..two };
    assert!(chosen(&table, &single, &mut Quiet).unwrap().unwrap().second.is_none());
    let table = sampled(80, 2, 2, |x| x[0] * x[0] * x[1] - x[1]);
    assert!(chosen(&table, &search(), &mut Quiet).unwrap().unwrap().second.is_none());
}

/// Stops after some questions and keeps what the search has found, in a file.
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
    fn search_checkpoint(&mut self, checkpoint: &SearchCheckpoint) -> Result<()> {
        checkpoint.write(&self.path)
    }
}

#[test]
fn an_interrupted_search_makes_the_same_choice() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("net.json.search");
    let table = sampled(80, 2, 2, |x| x[0] * x[0] * x[1] - x[1]);
    let whole = chosen(&table, &search(), &mut Quiet).unwrap().unwrap();
    let mut pieces = 0;
    let found = loop {
        let from = SearchCheckpoint::read(&path).unwrap();
        let mut control = Interrupted { left: (2 * pieces).into(), path: path.clone() };
        let part = choose(&table, &all(&table), &quick(80), &search(), from, &mut control).unwrap();
        pieces += 1;
        if let Some(found) = part {
            break found;
        }
    };
    assert!(pieces > 2, "{pieces}");
    same(&whole, &found);
    let from = SearchCheckpoint::read(&path).unwrap();
    assert_eq!(from.as_ref().unwrap().trainings(), 40);
    let other = Options { seed: 4, ..quick(80) };
    let run = choose(&table, &all(&table), &other, &search(), from, &mut Quiet);
    assert!(run.unwrap_err().to_string().contains("other rows or options"));
    for text in ["{}", "7", "{\"format\":\"slnn.search-checkpoint\",\"version\":2,\"run\":\"\"}"] {
        std::fs::write(&path, text).unwrap();
        assert!(SearchCheckpoint::read(&path).is_err(), "{text}");
    }
}

#[test]
fn a_search_goes_on_to_the_same_choice_from_any_round() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("net.json.search");
    // The first fold finds others best than all of them together.
    let table = sampled(60, 2, 5, |x| x[0] + (1e4 * x[1]).sin());
    let shapes = (2..9).map(|n| (vec![n], vec![2])).collect();
    let many = Search { shapes, l2: vec![1e-2, 1e-3], trials: 60, ..search() };
    let whole = chosen(&table, &many, &mut Quiet).unwrap().unwrap();
    // Everything but the last round is known already.
    let mut control = Interrupted { left: usize::MAX.into(), path: path.clone() };
    chosen(&table, &many, &mut control).unwrap().unwrap();
    let from = SearchCheckpoint::read(&path).unwrap();
    let options = quick(table.rows());
    let again = choose(&table, &all(&table), &options, &many, from, &mut Quiet);
    same(&whole, &again.unwrap().unwrap());
}

/// Saturates, so that a polynomial of high degree that meets few rows does not.
fn step(rows: usize, seed: u64) -> Table {
    sampled(rows, 3, seed, |x| (4.0 * (x[0] + x[1] - x[2])).tanh())
}

/// The networks of tanh that teach, and the SLNNs that are to learn.
fn teachers(table: &Table) -> Vec<Network> {
    let activation = HiddenActivation::Function(Activation::Tanh);
    let base = method(table.rows(), Options::default());
    let base = Options { hidden: vec![4], activation, l2: 1e-5, epochs: 200, ..base };
    let own = |k| train(table, &all(table), &member_options(&base, k), &mut Quiet).unwrap().network;
    (0..3).map(own).collect()
}

/// What two networks learn.
fn made(table: &Table, rows: &[usize], teachers: &[&Network], seed: u64) -> Lesson {
    Lesson::new(table, rows, teachers, 2, seed, &|| false).unwrap().unwrap()
}

#[test]
fn a_lesson_keeps_to_the_table_and_takes_the_median_of_its_teachers() {
    let table = step(40, 1);
    let rows: Vec<usize> = (5..40).collect();
    let networks = teachers(&table);
    let three: Vec<&Network> = networks.iter().collect();
    let lesson = made(&table, &rows, &three, 7);
    let own = lesson.table.rows() - table.rows();
    assert_eq!((own, Lesson::made(800), Lesson::made(9_000)), (2 * 6003, 6_402, 8_001));
    let first = lesson.table.select(&all(&table));
    assert_eq!((first.inputs(), first.targets()), (table.inputs(), table.targets()));
    // Every network has the training rows, and every made-up row is one network's.
    let mut seen = vec![0; lesson.table.rows()];
    for own in &lesson.rows {
        assert_eq!(own[..rows.len()], rows);
        own.iter().for_each(|row| seen[*row] += 1);
    }
    assert!(seen[..5].iter().all(|n| *n == 0) && seen[5..40].iter().all(|n| *n == 2));
    assert!(seen[40..].iter().all(|n| *n == 1));
    // No input has a value that it has in no training row, and no row is a training row throughout.
    let real = table.select(&rows);
    for (column, own) in lesson.table.inputs().columns().into_iter().zip(real.inputs().columns()) {
        assert!(column.iter().skip(40).all(|x| own.iter().any(|y| x == y)));
    }
    let new = |row: ArrayView1<f64>| real.inputs().rows().into_iter().all(|own| own != row);
    let count = lesson.table.inputs().rows().into_iter().skip(40).filter(|row| new(*row)).count();
    assert!(count > own / 2, "{count}");
    // Whatever one of three says, the median lies between the other two; labels keep to the range.
    let outputs: Vec<Array2<f64>> =
        networks.iter().map(|n| n.forward(lesson.table.inputs().view()).unwrap()).collect();
    let ends = real.targets().iter().fold((1f64, -1f64), |(l, u), t| (l.min(*t), u.max(*t)));
    for (i, label) in lesson.table.targets().iter().enumerate().skip(40) {
        let mut three: Vec<f64> = outputs.iter().map(|y| y[(i, 0)]).collect();
        three.sort_by(f64::total_cmp);
        assert_eq!(*label, three[1].clamp(ends.0, ends.1), "row {i}");
    }
    let again = made(&table, &rows, &three, 7);
    assert_eq!(again.table.inputs(), lesson.table.inputs());
    let other = made(&table, &rows, &three, 8);
    assert_ne!(other.table.inputs(), lesson.table.inputs());
    let message = |table: &Table, teachers: &[&Network]| {
        Lesson::new(table, &[0], teachers, 1, 0, &|| false).unwrap_err().to_string()
    };
    assert!(Lesson::new(&table, &rows, &three, 2, 7, &|| true).unwrap().is_none());
    assert!(message(&table, &[]).contains("no network"));
    assert!(message(&problems::xor(), &three).contains("other inputs"));
    let spirals = problems::two_spirals(10, 1).unwrap();
    assert!(message(&spirals, &three).contains("teacher"));
}

#[test]
fn slnns_that_are_taught_err_less_on_new_rows() {
    let (table, new) = (step(60, 1), step(2000, 2));
    let rows = all(&table);
    let base = method(table.rows(), Options::default());
    let base = Options { hidden: vec![12, 6], degrees: vec![3], l2: 1e-5, epochs: 300, ..base };
    let members: Vec<Options> = (0..2).map(|k| member_options(&base, k)).collect();
    let alone = train_members(&table, &rows, &members, None, &mut Quiet).unwrap().unwrap();
    let networks = teachers(&table);
    let networks: Vec<&Network> = networks.iter().collect();
    let lesson = made(&table, &rows, &networks, 0);
    let own: Vec<&[usize]> = lesson.rows.iter().map(Vec::as_slice).collect();
    let taught = train_members_on(&lesson.table, &own, &members, None, &mut Quiet);
    let taught = taught.unwrap().unwrap().mean.network;
    let (alone, learned) = (r2(&alone.mean.network, &new), r2(&taught, &new));
    assert!(1.0 - learned < 0.5 * (1.0 - alone), "alone {alone}, taught {learned}");
    // What it is given to learn does not widen the box.
    assert_eq!(taught.rows_outside_box(table.inputs().view()), Vec::<usize>::new());
    let few = train_members_on(&lesson.table, &own[..1], &members, None, &mut Quiet);
    assert!(few.unwrap_err().to_string().contains("rows of the members"));
}

/// A search whose candidates alone are too weak for the table, and one that may be taught.
fn teaching() -> Search {
    Search {
        shapes: vec![(vec![2], vec![1])],
        l2: vec![1e-2],
        step: 1.0,
        members: None,
        trials: 200,
        teacher: Some(Teacher {
            hidden: vec![vec![4]],
            kinds: vec![
                Kind {
                    networks: vec![(Role::ReluTeacher, 1e-3), (Role::Teacher, 1e-5)],
                    room: 1.0,
                    taught_l2: vec![1e-3],
                },
                Kind { networks: vec![(Role::Teacher, 1e-5)], room: 1.1, taught_l2: vec![1e-3] },
            ],
            taught: vec![(vec![8], vec![5]), (vec![2], vec![1])],
            longer: 2,
        }),
    }
}

#[test]
fn a_search_takes_a_teacher_where_it_helps_and_goes_on_to_the_same_choice() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("net.json.search");
    let (table, new) = (step(60, 1), step(500, 2));
    let with = |threads: usize, search: &Search| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| chosen(&table, search, &mut Quiet)).unwrap().unwrap()
    };
    let whole = with(1, &teaching());
    same(&whole, &with(3, &teaching()));
    assert_eq!((whole.options.degrees[0], whole.taught.len()), (5, whole.members), "{whole:?}");
    assert_eq!(whole.options.epochs, 80, "twice those of the others");
    let roles = |choice: &Choice, role| choice.trials.iter().filter(|t| t.role == role).count();
    assert_eq!(
        [Role::Alone, Role::ReluTeacher, Role::Teacher, Role::Taught]
            .map(|role| roles(&whole, role)),
        [1, 1, 1, 2]
    );
    let tried = 2 * whole.trials.iter().map(|t| t.losses.len()).sum::<usize>();
    // Two more networks of the one shape on every fold are teachers there.
    assert!(tried + 4 * 2 <= teaching().trainings(), "{tried}");
    let mut pieces = 0;
    let found = loop {
        let from = SearchCheckpoint::read(&path).unwrap();
        let mut control = Interrupted { left: (3 * pieces).into(), path: path.clone() };
        let options = quick(table.rows());
        let part = choose(&table, &all(&table), &options, &teaching(), from, &mut control);
        pieces += 1;
        if let Some(found) = part.unwrap() {
            break found;
        }
    };
    assert!(pieces > 2, "{pieces}");
    same(&whole, &found);

    // The lesson is that of the members, and the result beats the same search without a teacher.
    let fitted = |choice: &Choice| {
        let members = choice.member_options();
        let made = match choice.taught.is_empty() {
            true => train_members(&table, &all(&table), &members, None, &mut Quiet),
            false => {
                let lesson = choice.lesson(&table, &all(&table), &mut Quiet).unwrap().unwrap();
                let own: Vec<&[usize]> = lesson.rows.iter().map(Vec::as_slice).collect();
                train_members_on(&lesson.table, &own, &members, None, &mut Quiet)
            }
        };
        made.unwrap().unwrap().mean.network
    };
    let shapes = vec![(vec![8], vec![5])];
    let alone = with(1, &Search { shapes, l2: vec![1e-3], teacher: None, ..teaching() });
    assert!(alone.taught.is_empty() && alone.teacher.is_empty());
    let (alone, taught) = (r2(&fitted(&alone), &new), r2(&fitted(&whole), &new));
    assert!(taught > alone, "alone {alone}, taught {taught}");

    // Where the trainings do not suffice there is none, and where there can be none it is refused.
    let few = with(1, &Search { trials: 20, ..teaching() });
    assert_eq!((few.taught.len(), roles(&few, Role::Teacher)), (0, 0));
    let classes = Options { loss: Loss::LogisticCrossEntropy, ..quick(60) };
    assert!(!teachable(&table, &classes) && teachable(&table, &quick(60)));
    let run = choose(&table, &all(&table), &classes, &teaching(), None, &mut Quiet);
    assert!(run.unwrap_err().to_string().contains("options.teacher"));
}

#[test]
fn candidates_have_polynomials_that_can_be_expanded() {
    for inputs in [1, 2, 6, 8, 13, 60, 561] {
        let search = Search::new(inputs).with_teacher(inputs);
        assert!(!search.shapes.is_empty());
        let taught = search.teacher.iter().flat_map(|teacher| &teacher.taught);
        for (hidden, degrees) in search.shapes.iter().chain(taught) {
            assert!(hidden.len() == degrees.len());
            let degree: usize = degrees.iter().product();
            let monomials: f64 = (1..=degree).map(|i| (inputs + i) as f64 / i as f64).product();
            assert!(monomials <= 200_000.0, "{inputs} inputs: {hidden:?} {degrees:?}");
        }
    }
}

#[test]
fn rows_outside_the_box_are_named() {
    let xor = problems::xor();
    let options = Options { hidden: vec![2], epochs: 2, ..Options::default() };
    let Trained { network, .. } = train(&xor, &[0, 1], &options, &mut Quiet).unwrap();
    // Rows 0 and 1 have x1 = 0, rows 2 and 3 x1 = 1.
    assert_eq!(network.rows_outside_box(xor.inputs().view()), [2, 3]);
}
