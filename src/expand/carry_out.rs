//! The expansion carried out by the method that the plan names.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::expand::compose::{compose, kept_remarks};
use crate::expand::lattice::{Cancelled, Progress, Times, Work};
use crate::expand::plan::{Prediction, SHARED, predict};
use crate::expand::{
    Coefficients, Expansion, Limits, Plan, Route, closed, compressed, plan, roots,
};
use crate::network::Network;
use crate::network::exact::ExactNetwork;
use crate::numeric::residues::{Job, Level, Machine};
use crate::polynomial::Packed;

/// How far an expansion has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Index of the layer, from 0.
    pub layer: usize,
    /// Number of layers.
    pub layers: usize,
    /// Index of the neuron that comes next, from 0.
    pub neuron: usize,
    /// Pieces of work done, and of all of them, by the methods that do not go layer by layer: slabs
    /// of the lattice, blocks of monomials, or primes. The layer is then only in proportion.
    pub piece: Option<(usize, usize)>,
}

/// Seconds by the name of the phase.
pub type Seconds = Vec<(&'static str, f64)>;

/// The exact polynomials of `network`, one an output, before its head.
///
/// Cost: as the [`Plan`] says; every coefficient is a rational in lowest terms.
///
/// # Errors
/// When a layer is not polynomial, or the plan exceeds `limits`.
pub fn expand(network: &Network, limits: &Limits) -> Result<Expansion> {
    expand_watched(network, None, limits, &mut |_| Ok(())).map(|(expansion, _)| expansion)
}

/// As [`expand`], of the part of total degree at most `max_degree` when that is given; `watch` sees
/// how far the work is and ends it by an error.
///
/// # Errors
/// As [`expand`], and those of `watch`.
pub fn expand_watched(
    network: &Network,
    max_degree: Option<u32>,
    limits: &Limits,
    watch: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<(Expansion, Plan)> {
    expand_timed(network, max_degree, limits, watch).map(|(expansion, plan, _)| (expansion, plan))
}

/// As [`expand_watched`], with the seconds that each phase of the work took, by its name.
///
/// # Errors
/// As [`expand_watched`].
pub fn expand_timed(
    network: &Network,
    max_degree: Option<u32>,
    limits: &Limits,
    watch: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<(Expansion, Plan, Seconds)> {
    let prediction = predict(network, max_degree)?;
    let plan = prediction.plan.clone();
    plan.check(limits)?;
    let layers = network.layers().len();
    let started = Instant::now();
    let (coefficients, seconds) = match plan.route {
        Route::Lattice | Route::Closed | Route::Roots | Route::Compressed => {
            let (packed, times) = in_residues(&prediction, layers, watch)?;
            let seconds = [
                ("evaluate", times.evaluate),
                ("interpolate", times.interpolate),
                ("reconstruct", times.reconstruct),
            ];
            // A method without a phase spends no time in it.
            let seconds = seconds.into_iter().filter(|(_, s)| *s > 0.0).collect();
            (Coefficients::Packed(packed), seconds)
        }
        // A plan of series is another function's.
        Route::Composition | Route::Series => {
            let exact = ExactNetwork::new(network);
            let polynomials = compose(&exact, max_degree, &mut |layer, neuron| {
                watch(Step { layer, layers, neuron, piece: None })
            })?;
            let seconds = vec![("compose", started.elapsed().as_secs_f64())];
            (Coefficients::Rational(polynomials), seconds)
        }
    };
    let expansion = Expansion::new(
        network.input_names(),
        network.outputs().to_vec(),
        coefficients,
        network.head(),
    )?;
    let cut = max_degree.filter(|q| prediction.stages.degree() > u128::from(*q));
    let about = kept_remarks(network, cut.is_none());
    Ok((expansion.with_truncated(cut).with_about(about), plan, seconds))
}

/// The exact polynomials of `network` as [`Packed`], by the cheapest method modulo primes whatever
/// its cost, on one thread or on all, at a [`Level`] of instructions: for measurements.
///
/// # Errors
/// When a layer is not polynomial, or the network is affine or too large for these methods.
pub fn expand_packed(network: &Network, parallel: bool, level: Level) -> Result<Vec<Packed>> {
    let stages = crate::expand::stages::Stages::new(network)?;
    let bounds = stages.bounds();
    let Some((route, _)) = plan::in_residues(&stages, &bounds) else {
        let found = "an affine or a very large network";
        return Err(Error::invalid("network", found, "one for methods modulo primes"));
    };
    let progress = Progress::default();
    let work = Work { stages: &stages, bounds: &bounds, parallel, progress: &progress };
    level.dispatch(Residual { work, route }).map(|(packed, _)| packed).map_err(|_| stopped())
}

fn stopped() -> Error {
    Error::Interrupted { saved: "nothing was written".into() }
}

/// One of the methods that work modulo primes.
pub(super) struct Residual<'a> {
    pub(super) work: Work<'a>,
    pub(super) route: Route,
}

impl Job for Residual<'_> {
    type Output = std::result::Result<(Vec<Packed>, Times), Cancelled>;

    fn run<M: Machine>(self, machine: M) -> Self::Output {
        let done = match self.route {
            Route::Closed => Some(closed::expand(machine, &self.work)),
            Route::Roots => roots::expand(machine, &self.work),
            Route::Compressed => compressed::expand(machine, &self.work),
            _ => None,
        };
        done.unwrap_or_else(|| self.work.run(machine))
    }
}

/// The exact polynomials by a method that works modulo primes.
fn in_residues(
    prediction: &Prediction,
    layers: usize,
    watch: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<(Vec<Packed>, Times)> {
    watch(Step { layer: 0, layers, neuron: 0, piece: None })?;
    let progress = Progress::default();
    let large = prediction.operations > SHARED;
    let parallel = large && rayon::current_num_threads() > 1;
    let Prediction { stages, bounds, plan, .. } = prediction;
    let work = Work { stages, bounds, parallel, progress: &progress };
    let job = Residual { work, route: plan.route };
    if !large {
        return Level::best().dispatch(job).map_err(|_| stopped());
    }
    // The work on a thread of its own, so that this one can watch.
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        scope.spawn(move || {
            // A receiver that is gone has an error to return.
            let _ = sender.send(Level::best().dispatch(job));
        });
        let mut watched = Instant::now();
        let mut ended = Ok(());
        loop {
            // A thread of the pool, as that of the program is, does jobs of it while it waits, to
            // the end: the work may wait for it.
            let works = parallel && rayon::yield_now() == Some(rayon::Yield::Executed);
            let pause = if works { Duration::ZERO } else { Duration::from_millis(1) };
            match receiver.recv_timeout(pause) {
                Ok(result) => return ended.and(result.map_err(|_| stopped())),
                Err(RecvTimeoutError::Disconnected) => return ended.and(Err(stopped())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if ended.is_err() || watched.elapsed() < Duration::from_millis(50) {
                continue;
            }
            watched = Instant::now();
            let total = progress.total.load(Ordering::Relaxed).max(1);
            let done = progress.done.load(Ordering::Relaxed).min(total);
            let layer = done * layers / total;
            let step = Step { layer, layers, neuron: 0, piece: Some((done, total)) };
            if let Err(error) = watch(step) {
                progress.cancelled.store(true, Ordering::Relaxed);
                ended = Err(error);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Affine, Basis, Group, Head, Input, Layer, Mixed, Part, Slaf};
    use crate::polynomial::Polynomial;
    use ndarray::{Array1, Array2};
    use num_bigint::{BigInt, BigUint};
    use num_rational::BigRational;
    use num_traits::{One, Zero};
    use proptest::prelude::*;

    /// SplitMix64 (Steele, Lea, Flood 2014).
    struct Stream(u64);

    impl Stream {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }

        /// Parameters of one of four kinds: short, full f64, rational, extreme with zeros.
        fn number(&mut self, kind: u32) -> BigRational {
            let x = self.next();
            let float = |x: f64| BigRational::from_float(x).unwrap();
            match kind {
                0 => BigRational::new(BigInt::from((x % 33) as i64 - 16), BigInt::from(8)),
                1 => float((x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0),
                2 => BigRational::new(
                    BigInt::from((x % 41) as i64 - 20),
                    BigInt::from((x >> 32) % 9 + 1),
                ),
                _ => match x % 6 {
                    0 => float(1e-300),
                    1 => float(-1e200),
                    2 | 3 => BigRational::zero(),
                    _ => float(((x >> 32) % 17) as f64 - 8.0),
                },
            }
        }

        fn matrix(&mut self, rows: usize, columns: usize, kind: u32) -> Array2<BigRational> {
            Array2::from_shape_simple_fn((rows, columns), || self.number(kind))
        }

        fn slaf(&mut self, neurons: usize, degree: usize, kind: u32) -> Slaf {
            let c = self.matrix(neurons, degree + 1, kind);
            match kind {
                2 => Slaf::new(Basis::Monomial, c).unwrap(),
                _ => Slaf::new(Basis::Monomial, c.map(float)).unwrap(),
            }
        }

        fn affine(&mut self, outputs: usize, inputs: usize, kind: u32) -> Layer {
            let weight = self.matrix(outputs, inputs, kind);
            let bias = Array1::from_shape_simple_fn(outputs, || self.number(kind));
            Layer::Affine(match kind {
                2 => Affine::new(weight, bias).unwrap(),
                _ => Affine::new(weight.map(float), bias.map(float)).unwrap(),
            })
        }
    }

    fn float(x: &BigRational) -> f64 {
        crate::numeric::rational::rational_to_f64(x).unwrap()
    }

    /// Layers: width, degree (of two kinds of neurons), and how: 0 slaf, 1 mixed, 2 two slafs, 3 no
    /// affine map before.
    fn network(
        n: usize,
        hidden: &[(usize, usize, u32)],
        outputs: usize,
        kind: u32,
        seed: u64,
    ) -> Network {
        let mut stream = Stream(seed);
        let mut layers = Vec::new();
        let mut width = n;
        for &(neurons, degree, how) in hidden {
            let neurons = if how == 3 { width } else { neurons };
            if how != 3 {
                layers.push(stream.affine(neurons, width, kind));
            }
            if how == 1 && neurons > 1 {
                let slaf = stream.slaf(neurons - 1, degree, kind);
                layers.push(Layer::Mixed(
                    Mixed::new(vec![
                        Group { neurons: (1..neurons).collect(), part: Part::Slaf(slaf) },
                        Group { neurons: vec![0], part: Part::Activation(Activation::Identity) },
                    ])
                    .unwrap(),
                ));
            } else {
                layers.push(Layer::Slaf(stream.slaf(neurons, degree, kind)));
            }
            if how == 2 {
                layers.push(Layer::Slaf(stream.slaf(neurons, 1, kind)));
            }
            width = neurons;
        }
        layers.push(stream.affine(outputs, width, kind));
        let inputs = (0..n).map(|i| Input::named(format!("x{i}"))).collect();
        let names = (0..outputs).map(|o| format!("y{o}")).collect();
        Network::new(inputs, names, layers, Head::Identity).unwrap()
    }

    fn shapes(
        inputs: std::ops::RangeInclusive<usize>,
        most: usize,
    ) -> impl Strategy<Value = Network> {
        let layer = (1_usize..=6, 0_usize..=5, 0_u32..4);
        (inputs, prop::collection::vec(layer, 1..=3), 1_usize..=3, 0_u32..4, any::<u64>()).prop_map(
            move |(n, mut hidden, outputs, kind, seed)| {
                let mut product = 1;
                for layer in &mut hidden {
                    layer.1 = layer.1.min(most / product);
                    product *= layer.1.max(1);
                }
                network(n, &hidden, outputs, kind, seed)
            },
        )
    }

    fn agrees(network: &Network) -> std::result::Result<(), TestCaseError> {
        let oracle = compose(&ExactNetwork::new(network), None, &mut |_, _| Ok(())).unwrap();
        let stages = crate::expand::stages::Stages::new(network).unwrap();
        let bounds = stages.bounds();
        let degree = oracle.iter().filter_map(Polynomial::degree).max().unwrap_or(0);
        prop_assert!(u128::from(degree) <= stages.degree());
        // The bound is a proof: no coefficient exceeds it, and the denominator is one of all.
        for (p, bound) in oracle.iter().zip(&bounds) {
            let denominator = BigInt::from(bound.odd.clone()) << bound.twos;
            for (_, c) in p.terms() {
                let integer = c * BigRational::from_integer(denominator.clone());
                prop_assert!(integer.is_integer());
                let magnitude = integer.to_integer().magnitude().clone();
                prop_assert!(magnitude <= BigUint::one() << (bound.bits.ceil() as u64));
            }
        }
        let Some(operations) = plan::lattice_operations(&stages, &bounds) else {
            prop_assert_eq!(stages.degree(), 0);
            return Ok(());
        };
        let one_layer = closed::operations(&stages, &bounds).is_some();
        let one_input = roots::operations(&stages, &bounds).is_some();
        prop_assert_eq!(one_layer, stages.hidden.len() == 1);
        prop_assert_eq!(one_input, stages.used.len() == 1);
        let narrow = compressed::operations(&stages, &bounds).is_some();
        let routes = [
            (Route::Lattice, true),
            (Route::Closed, one_layer),
            (Route::Roots, one_input),
            (Route::Compressed, narrow),
        ];
        for level in Level::ALL {
            // A fused multiply-add of the target's library takes tens of times as long.
            if level == Level::Fused && !cfg!(target_feature = "fma") && operations > 1e6 {
                continue;
            }
            for parallel in [false, true] {
                for (route, _) in routes.iter().filter(|(_, possible)| *possible) {
                    let progress = Progress::default();
                    let work =
                        Work { stages: &stages, bounds: &bounds, parallel, progress: &progress };
                    let (packed, _) = level.dispatch(Residual { work, route: *route }).unwrap();
                    for (packed, oracle) in packed.iter().zip(&oracle) {
                        prop_assert_eq!(&packed.to_polynomial(), oracle);
                    }
                }
            }
        }
        Ok(())
    }

    /// More than one affine map and no polynomial between: no stage has neurons.
    #[test]
    fn an_affine_network_is_its_own_polynomial() {
        let mut stream = Stream(7);
        for kind in 0..4 {
            let plain = network(5, &[], 2, kind, 7);
            let layers = vec![stream.affine(4, 3, kind), stream.affine(2, 4, kind)];
            let inputs = (0..3).map(|i| Input::named(format!("x{i}"))).collect();
            let names = vec!["y0".into(), "y1".into()];
            let deep = Network::new(inputs, names, layers, Head::Identity).unwrap();
            for network in [plain, deep] {
                let oracle =
                    compose(&ExactNetwork::new(&network), None, &mut |_, _| Ok(())).unwrap();
                let expansion = expand(&network, &Limits::default()).unwrap();
                assert_eq!(expansion.rational().unwrap().to_vec(), oracle);
            }
        }
    }

    /// Enough points for roots of the weights, in all degrees that have them, and a degree that has
    /// none; one output and two.
    #[test]
    fn large_lattices_agree_with_composition() {
        for (n, hidden, outputs) in [
            (4, &[(3, 3, 0), (3, 5, 1)][..], 1),
            (4, &[(3, 2, 0), (3, 7, 0)], 1),
            (9, &[(4, 2, 0), (5, 2, 1)], 2),
            (3, &[(4, 11, 0), (3, 2, 0)], 1),
            (3, &[(4, 2, 0), (3, 11, 0)], 1),
            (9, &[(4, 2, 0), (5, 3, 0)], 1),
            (5, &[(3, 3, 0), (3, 4, 0)], 1),
            (2, &[(3, 6, 0), (3, 6, 0)], 1),
        ] {
            for kind in [0, 1, 3] {
                agrees(&network(n, hidden, outputs, kind, n as u64)).unwrap();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_lattice_agrees_with_composition(network in shapes(1..=5, 8)) {
            agrees(&network)?;
        }
    }

    proptest! {
        // A case is a long composition here, or one of many primes.
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn so_it_does_with_many_inputs(network in shapes(6..=16, 2)) {
            agrees(&network)?;
        }

        #[test]
        fn and_with_one_hidden_layer(
            n in 1_usize..=6, width in 1_usize..=8, degree in 0_usize..=9, how in 0_u32..2,
            outputs in 1_usize..=3, kind in 0_u32..4, seed: u64,
        ) {
            let degree = if n > 4 { degree.min(5) } else { degree };
            agrees(&network(n, &[(width, degree, how)], outputs, kind, seed))?;
        }

        #[test]
        fn and_through_a_narrow_layer(
            n in 2_usize..=6, narrow in 1_usize..6, degree in 0_usize..=3,
            later in prop::collection::vec((1_usize..=5, 1_usize..=3, 0_u32..3), 1..=2),
            outputs in 1_usize..=3, kind in 0_u32..4, seed: u64,
        ) {
            let mut hidden = vec![(narrow.min(n - 1), degree, 0)];
            hidden.extend(later);
            let mut product = 1;
            for layer in &mut hidden {
                layer.1 = layer.1.min((if n > 4 { 6 } else { 9 }) / product);
                product *= layer.1.max(1);
            }
            agrees(&network(n, &hidden, outputs, kind, seed))?;
        }

        #[test]
        fn and_with_one_input(network in shapes(1..=1, 40)) {
            agrees(&network)?;
        }

        #[test]
        fn and_at_a_high_degree(network in shapes(1..=2, 18)) {
            agrees(&network)?;
        }
    }
}
