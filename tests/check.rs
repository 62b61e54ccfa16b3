//! The promise: the checker accepts certificates that are true and leave a little room, and nothing
//! that is false.
//!
//! Some of the certificates here are made by hand: plain interval arithmetic, interpolating
//! polynomials, errors found on a fine grid, everything in f64 with some room added. The others are
//! those that `approximate` makes, which leave as little room as it can.

use ndarray::{Array1, Array2};
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use slnn::approximate::{Band, Bands};
use slnn::bound::attack::{Budget, attack};
use slnn::bound::check::{Failure, Mode, Verdict, check_watched};
use slnn::bound::{
    Certificate, Degrees, Division, Domain, Method, Neuron, Proof, Request, approximate, check,
};
use slnn::network::{
    Activation, Affine, Basis, Family, Group, Head, Input, Layer, Matrix, Mixed, Network, Part,
    Slaf,
};
use slnn::numeric::outward::Interval;

use crate::common::{Parameters, Stream, affine};

/// The methods that do not divide the box.
const SIGNED: [Method; 3] = [Method::A, Method::B, Method::C];

/// What the random networks are made of.
#[derive(Clone, Debug)]
struct Shape {
    inputs: usize,
    /// Width, activation, degree of each hidden layer.
    hidden: Vec<(usize, Activation, usize)>,
    outputs: usize,
    method: Method,
    seed: u64,
}

fn widened(interval: Interval, room: f64) -> Interval {
    Interval::new(interval.lower - room, interval.upper + room)
}

fn grid(interval: Interval, points: usize) -> Vec<f64> {
    let at = |k: usize| {
        let share = (1.0 - (std::f64::consts::PI * k as f64 / points as f64).cos()) / 2.0;
        (interval.lower + share * (interval.upper - interval.lower))
            .clamp(interval.lower, interval.upper)
    };
    (0..=points).map(at).collect()
}

fn hull(values: impl Iterator<Item = f64>) -> Interval {
    let empty = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
    values.fold(empty, |hull, x| Interval::new(hull.lower.min(x), hull.upper.max(x)))
}

/// Centre, scale and Chebyshev coefficients of the interpolant.
fn interpolant(function: Activation, on: Interval, degree: usize) -> (f64, f64, Vec<f64>) {
    let (centre, radius) = ((on.lower + on.upper) / 2.0, (on.upper - on.lower) / 2.0);
    let n = degree + 1;
    let angle = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / n as f64;
    let coefficient = |k: usize| {
        let term =
            |j| function.value(centre + radius * angle(j).cos()) * (k as f64 * angle(j)).cos();
        (0..n).map(term).sum::<f64>() * if k == 0 { 1.0 } else { 2.0 } / n as f64
    };
    (centre, 1.0 / radius, (0..n).map(coefficient).collect())
}

fn value((centre, scale, coefficients): &(f64, f64, Vec<f64>), z: f64) -> f64 {
    let angle = ((z - centre) * scale).clamp(-1.0, 1.0).acos();
    coefficients.iter().enumerate().map(|(k, c)| c * (k as f64 * angle).cos()).sum()
}

/// The claims about one neuron, and its polynomial.
fn neuron(
    function: Activation,
    range: Interval,
    arrives: f64,
    degree: usize,
) -> (Neuron, (f64, f64, Vec<f64>)) {
    let range = widened(range, 1e-9);
    let interval = widened(range, arrives * (1.0 + 1e-9) + 1e-9);
    let polynomial = interpolant(function, interval, degree);
    let mut points = grid(interval, 60 * (degree + 4));
    points.extend(function.kinks().iter().filter(|kink| interval.contains(**kink)));
    let error = points.iter().map(|z| (value(&polynomial, *z) - function.value(*z)).abs());
    let error = error.fold(0.0, f64::max) * 1.02 + 1e-11;
    let slopes = hull(points.iter().map(|z| function.derivative(*z)));
    let chord =
        (function.value(range.upper) - function.value(range.lower)) / (range.upper - range.lower);
    let lines = match function {
        Activation::Relu => [if range.upper > -range.lower { 1.0 } else { 0.0 }, chord],
        _ => [chord, chord],
    };
    let room = 2.0 / points.len() as f64;
    let slope = widened(slopes, if function.is_piecewise_polynomial() { 0.0 } else { room });
    (Neuron { range, lines, interval, error, slope, proofs: [None, None] }, polynomial)
}

impl Shape {
    fn certificate(&self) -> Certificate {
        let mut stream = Stream::new(self.seed, Parameters::Full);
        let mut matrix = |rows: usize, columns: usize| {
            let size = (2.0 / columns as f64).sqrt();
            Array2::from_shape_simple_fn((rows, columns), || size * stream.float())
        };
        let ends: Vec<_> = (0..self.inputs).map(|j| (-0.5 - 0.1 * j as f64, 0.75)).collect();
        let domain = Domain::new(ends).unwrap();
        let mut values: Vec<Interval> = domain.intervals().to_vec();
        let (mut reference, mut slnn, mut layers) = (vec![], vec![], vec![]);
        // Method A, method B, and method C: a matrix of symbols.
        let mut norm = 0.0;
        let mut each = Array1::<f64>::zeros(self.inputs);
        let mut symbols = Array2::<f64>::zeros((self.inputs, 0));
        let more = 1.0 + 1e-9;
        let bounds = |norm: f64, each: &Array1<f64>, symbols: &Array2<f64>| match self.method {
            Method::A => vec![norm; each.len()],
            Method::B => each.to_vec(),
            _ => symbols
                .outer_iter()
                .zip(each)
                .map(|(row, each)| row.iter().map(|x| x.abs()).sum::<f64>().min(*each) * more)
                .collect(),
        };
        let widths = self.hidden.iter().map(|h| h.0).chain([self.outputs]);
        for (h, width) in widths.enumerate() {
            let (weight, bias) = (matrix(width, values.len()), matrix(1, width).row(0).to_owned());
            let affine = Affine::new(weight.clone(), bias.clone()).unwrap();
            reference.push(Layer::Affine(affine.clone()));
            slnn.push(Layer::Affine(affine));
            layers.push(None);
            let image = |i: usize| {
                let ends = |sign: f64| {
                    let term = |(w, v): (&f64, &Interval)| {
                        w * if w * sign > 0.0 { v.upper } else { v.lower }
                    };
                    weight.row(i).iter().zip(&values).map(term).sum::<f64>() + bias[i]
                };
                widened(Interval::new(ends(-1.0), ends(1.0)), 1e-9)
            };
            values = (0..width).map(image).collect();
            let sizes = weight.mapv(f64::abs);
            norm *= sizes.rows().into_iter().map(|row| row.sum()).fold(0.0, f64::max) * more;
            each = sizes.dot(&each) * more;
            symbols = weight.dot(&symbols);
            let Some(&(_, function, degree)) = self.hidden.get(h) else { break };
            reference.push(Layer::Activation(function));
            let arrives = bounds(norm, &each, &symbols);
            let made: Vec<_> =
                (0..width).map(|i| neuron(function, values[i], arrives[i], degree)).collect();
            let neurons: Vec<Neuron> = made.iter().map(|(neuron, _)| neuron.clone()).collect();
            let column = |of: fn(&(f64, f64, Vec<f64>)) -> f64| {
                Array1::from_iter(made.iter().map(|(_, p)| of(p)))
            };
            let coefficients = Array2::from_shape_fn((width, degree + 1), |(i, k)| made[i].1.2[k]);
            let basis = Basis::Orthogonal {
                family: Family::Chebyshev,
                centre: column(|p| p.0).into(),
                scale: column(|p| p.1).into(),
            };
            slnn.push(Layer::Slaf(Slaf::new(basis, coefficients).unwrap()));
            let error = neurons.iter().map(|n| n.error).fold(0.0, f64::max);
            let slope = neurons.iter().map(|n| n.slope.magnitude()).fold(0.0, f64::max);
            norm = (error + slope * norm) * more;
            let mut next = Array2::zeros((width, symbols.ncols() + width));
            for (i, n) in neurons.iter().enumerate() {
                let middle = n.slope.middle();
                for (j, x) in symbols.row(i).iter().enumerate() {
                    next[(i, j)] = middle * x;
                }
                let spread = n.slope.radius_about(middle);
                next[(i, symbols.ncols() + i)] = (n.error + spread * arrives[i]) * more;
                each[i] = (n.error + n.slope.magnitude() * each[i]) * more;
            }
            symbols = next;
            values = neurons
                .iter()
                .map(|n| {
                    let on_grid = grid(n.range, 200).into_iter().map(|z| function.value(z));
                    let width = n.range.upper - n.range.lower;
                    widened(hull(on_grid), 0.02 * width * function.lipschitz())
                })
                .collect();
            layers.push(Some(neurons));
        }
        let bound = bounds(norm, &each, &symbols).iter().map(|b| b * more + 1e-12).collect();
        let network = |layers| {
            let inputs = (0..self.inputs).map(|j| Input::named(format!("x{j}"))).collect();
            let outputs = (0..self.outputs).map(|o| format!("y{o}")).collect();
            Network::new(inputs, outputs, layers, Head::Identity).unwrap()
        };
        Certificate {
            reference: network(reference),
            slnn: network(slnn),
            domain,
            method: self.method,
            spans: vec![1; layers.len()],
            layers,
            division: None,
            bound,
        }
    }
}

fn shape(function: Activation, method: Method) -> Shape {
    let hidden = vec![(4, function, 7), (3, function, 9)];
    Shape { inputs: 2, hidden, outputs: 2, method, seed: 5 }
}

fn base() -> Certificate {
    shape(Activation::Tanh, Method::C).certificate()
}

#[track_caller]
fn accepted(certificate: &Certificate) -> Verdict {
    let verdict = check(certificate);
    assert!(verdict.valid, "{}", verdict.reason.unwrap());
    assert_eq!(verdict.bound, certificate.bound);
    verdict
}

/// The reason for which it is refused.
#[track_caller]
fn refused(certificate: &Certificate) -> Failure {
    let verdict = check(certificate);
    assert!(!verdict.valid && verdict.bound.is_empty(), "accepted");
    verdict.reason.unwrap()
}

#[track_caller]
fn refused_at(certificate: &Certificate, layer: usize, neuron: usize, what: &str) {
    let failure = refused(certificate);
    assert_eq!((failure.layer, failure.neuron), (Some(layer), Some(neuron)), "{failure}");
    assert!(failure.what.contains(what), "{failure}");
    assert!(failure.to_string().starts_with(&format!("layers[{layer}], neuron {neuron}: ")));
}

fn claim(certificate: &mut Certificate, layer: usize, neuron: usize) -> &mut Neuron {
    &mut certificate.layers[layer].as_mut().unwrap()[neuron]
}

fn any_function() -> impl Strategy<Value = Activation> {
    prop::sample::select(Activation::ALL.to_vec())
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let layer = (1usize..6, any_function(), 1usize..14);
    let method = prop::sample::select(SIGNED.to_vec());
    (1usize..4, prop::collection::vec(layer, 1..4), 1usize..3, method, any::<u64>()).prop_map(
        |(inputs, hidden, outputs, method, seed)| Shape { inputs, hidden, outputs, method, seed },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn honest_certificates_are_accepted_and_true(shape in any_shape()) {
        let certificate = shape.certificate();
        let verdict = check(&certificate);
        prop_assert!(verdict.valid, "{}", verdict.reason.unwrap());
        prop_assert_eq!(counterexample(&certificate, shape.seed), None);
        // Read back, it is the same certificate with the same verdict.
        let document = slnn::json::Json::parse(&certificate.to_json()).unwrap();
        prop_assert_eq!(check(&Certificate::from_document(&document).unwrap()), verdict);
    }

    /// Whatever is accepted is true, as far as can be found out at points.
    #[test]
    fn mutants_are_refused_or_true(
        shape in any_shape(), kind in 0usize..9, place in any::<(u64, u64)>(), size in -14i32..3,
    ) {
        let mut certificate = shape.certificate();
        let activations: Vec<usize> =
            (0..certificate.layers.len()).filter(|l| certificate.layers[*l].is_some()).collect();
        let layer = activations[place.0 as usize % activations.len()];
        let width = certificate.layers[layer].as_ref().unwrap().len();
        let neuron = place.1 as usize % width;
        let factor = 1.0 - 2f64.powi(size);
        let change = |interval: &mut Interval, upper: bool| {
            let middle = interval.middle();
            let end = if upper { &mut interval.upper } else { &mut interval.lower };
            *end = middle + (*end - middle) * factor;
        };
        let upper = place.0 >> 40 & 1 == 1;
        let mut names = false;
        match kind {
            0 => change(&mut claim(&mut certificate, layer, neuron).range, upper),
            1 => change(&mut claim(&mut certificate, layer, neuron).interval, upper),
            2 => change(&mut claim(&mut certificate, layer, neuron).slope, upper),
            3 => claim(&mut certificate, layer, neuron).error *= factor,
            4 => claim(&mut certificate, layer, neuron).lines[usize::from(upper)] += factor,
            5 => {
                let output = place.1 as usize % certificate.bound.len();
                certificate.bound[output] *= factor;
                names = size > -14 && certificate.bound[output] > 1e-6;
            }
            6 => {
                let flip = |x: f64| f64::from_bits(x.to_bits() ^ 1 << (place.0 % 56));
                certificate.slnn = with_slaf(&certificate.slnn, layer, |coefficients| {
                    let k = (place.0 >> 8) as usize % coefficients.ncols();
                    coefficients[(neuron, k)] = flip(coefficients[(neuron, k)]);
                });
            }
            7 => certificate.layers[layer].as_mut().unwrap().swap(0, width - 1),
            _ => {
                // The same in both copies.
                let flip = |weight: &mut Array2<f64>| {
                    let x = &mut weight[(neuron, 0)];
                    *x = f64::from_bits(x.to_bits() ^ 1 << (place.0 % 52));
                };
                certificate.reference = with_weight(&certificate.reference, layer - 1, flip);
                certificate.slnn = with_weight(&certificate.slnn, layer - 1, flip);
            }
        }
        let verdict = check(&certificate);
        // Narrow bounds are always found out: they have room for 1e-8 only.
        prop_assert!(!(names && verdict.valid), "{}", factor);
        if verdict.valid {
            prop_assert_eq!(counterexample(&certificate, shape.seed), None);
        }
    }
}

/// The network with the coefficients of one layer changed.
fn with_slaf(network: &Network, layer: usize, change: impl Fn(&mut Array2<f64>)) -> Network {
    rebuilt(network, layer, |old| {
        let Layer::Slaf(slaf) = old else { panic!("no slaf") };
        let mut coefficients = slaf.coefficients().to_f64().into_owned();
        change(&mut coefficients);
        if coefficients.iter().any(|c| !c.is_finite()) {
            return old.clone();
        }
        Layer::Slaf(Slaf::new(slaf.basis().clone(), coefficients).unwrap())
    })
}

fn with_weight(network: &Network, layer: usize, change: impl Fn(&mut Array2<f64>)) -> Network {
    rebuilt(network, layer, |old| {
        let Layer::Affine(affine) = old else { panic!("not affine") };
        let mut weight = affine.weight().to_f64().into_owned();
        change(&mut weight);
        Layer::Affine(Affine::new(weight, affine.bias().clone()).unwrap())
    })
}

fn rebuilt(network: &Network, layer: usize, change: impl Fn(&Layer) -> Layer) -> Network {
    let mut layers = network.layers().to_vec();
    layers[layer] = change(&layers[layer]);
    let (inputs, outputs) = (network.inputs().to_vec(), network.outputs().to_vec());
    Network::new(inputs, outputs, layers, network.head()).unwrap()
}

#[test]
fn each_claim_is_needed() {
    let mut tried = 0;
    for method in SIGNED {
        for function in [Activation::Tanh, Activation::Relu, Activation::Silu] {
            let base = shape(function, method).certificate();
            let verdict = accepted(&base);
            assert_eq!(verdict.arithmetic.propagation, Mode::Exact);
            let exact = function == Activation::Relu;
            let expected = if exact { (Mode::Exact, 7, 0) } else { (Mode::Enclosed, 0, 7) };
            let arithmetic = verdict.arithmetic;
            let found = (arithmetic.ranges, arithmetic.exact_errors, arithmetic.outward_errors);
            assert_eq!(found, expected);

            // The ranges of the first layer leave 1e-8.
            let mut broken = base.clone();
            claim(&mut broken, 1, 2).range.lower += 1e-6;
            refused_at(&broken, 1, 2, "the range is recomputed as");
            let mut broken = base.clone();
            claim(&mut broken, 1, 3).range.upper -= 1e-6;
            refused_at(&broken, 1, 3, "the range is recomputed as");
            // Half of the range of a later layer.
            let mut broken = base.clone();
            let range = &mut claim(&mut broken, 3, 1).range;
            range.upper = range.middle();
            refused_at(&broken, 3, 1, "the range is recomputed as");

            let mut broken = base.clone();
            claim(&mut broken, 3, 2).interval = base.layers[3].as_ref().unwrap()[2].range;
            refused_at(&broken, 3, 2, "the difference");
            let mut broken = base.clone();
            claim(&mut broken, 3, 0).interval.lower += 1e-6;
            refused_at(&broken, 3, 0, "the difference");

            for layer in [1, 3] {
                // Not one of a line, which the interpolant is.
                let bent = |n: &Neuron| n.error > 1e-6;
                let neurons = base.layers[layer].as_ref().unwrap();
                let Some(neuron) = neurons.iter().position(bent) else { continue };
                tried += 1;
                let mut broken = base.clone();
                claim(&mut broken, layer, neuron).error *= 0.97;
                refused_at(&broken, layer, neuron, "is at least");
                let mut broken = base.clone();
                let slope = &mut claim(&mut broken, layer, neuron).slope;
                slope.upper -= 0.02 + 0.1 * (slope.upper - slope.lower);
                slope.lower = slope.lower.min(slope.upper);
                refused_at(&broken, layer, neuron, "the slopes on the interval");
                let mut broken = base.clone();
                let error = base.layers[layer].as_ref().unwrap()[neuron].error;
                broken.slnn = with_slaf(&base.slnn, layer, |c| c[(neuron, 0)] += 3.0 * error);
                refused_at(&broken, layer, neuron, "is at least");
            }
            let mut broken = base.clone();
            broken.bound[1] *= 0.9999;
            let failure = refused(&broken);
            assert_eq!((failure.layer, failure.neuron), (None, Some(1)), "{failure}");
            assert!(failure.to_string().starts_with("output 1: the bound is recomputed as"));

            // More error in a layer is less truth in the next.
            let mut broken = base.clone();
            for neuron in broken.layers[1].iter_mut().flatten() {
                neuron.error *= 1.01;
            }
            let failure = refused(&broken);
            assert_eq!(failure.layer, Some(3), "{failure}");
        }
    }
    assert!(tried > 6, "{tried}");
}

#[test]
fn both_networks_must_fit() {
    let base = base();
    let other = |network: &Network| with_weight(network, 2, |w| w[(1, 3)] = w[(1, 3)].next_up());
    let mut broken = base.clone();
    broken.slnn = other(&base.slnn);
    refused_at(&broken, 2, 1, "weights or the bias");
    let mut broken = base.clone();
    broken.reference = other(&base.reference);
    refused_at(&broken, 2, 1, "weights or the bias");

    let mut broken = base.clone();
    broken.layers.pop();
    assert_eq!(refused(&broken).layer, None);
    let mut broken = base.clone();
    broken.layers[3] = None;
    assert_eq!(refused(&broken).layer, Some(3));
    let mut broken = base.clone();
    broken.layers[2] = broken.layers[1].clone();
    assert_eq!(refused(&broken).layer, Some(2));
    let mut broken = base.clone();
    broken.layers[1].as_mut().unwrap().pop();
    assert_eq!(refused(&broken).layer, Some(1));
    let mut broken = base.clone();
    broken.bound.pop();
    assert!(refused(&broken).what.contains("bounds"));
    let mut broken = base.clone();
    broken.domain = Domain::cube(3, -0.1, 0.1).unwrap();
    assert!(refused(&broken).what.contains("box"));
    let mut broken = base.clone();
    broken.slnn = base.reference.clone();
    assert_eq!(refused(&broken).layer, Some(1));
    let mut broken = base.clone();
    broken.reference = base.slnn.clone();
    assert_eq!(refused(&broken).layer, Some(1));

    let renamed = |head, first: &str, output: &str| {
        let inputs = vec![Input::named(first), Input::named("x1")];
        let outputs = vec![output.to_owned(), "y1".to_owned()];
        Network::new(inputs, outputs, base.slnn.layers().to_vec(), head).unwrap()
    };
    for (head, first, output, what) in [
        (Head::Softmax, "x0", "y0", "heads"),
        (Head::Identity, "z", "y0", "inputs"),
        (Head::Identity, "x0", "z", "outputs"),
    ] {
        let mut broken = base.clone();
        broken.slnn = renamed(head, first, output);
        assert!(refused(&broken).what.contains(what));
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    let base = base();
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        type Change = fn(&mut Neuron, f64);
        let changes: [Change; 8] = [
            |n, x| n.range.lower = x,
            |n, x| n.range.upper = x,
            |n, x| n.lines[0] = x,
            |n, x| n.lines[1] = x,
            |n, x| n.interval.upper = x,
            |n, x| n.error = x,
            |n, x| n.slope.lower = x,
            |n, x| n.slope.upper = x,
        ];
        for change in changes {
            let mut broken = base.clone();
            change(claim(&mut broken, 3, 1), x);
            let failure = refused(&broken);
            assert_eq!((failure.layer, failure.neuron), (Some(3), Some(1)), "{failure}");
        }
        let mut broken = base.clone();
        broken.bound[1] = x;
        assert_eq!(refused(&broken).neuron, Some(1));
    }
    let mut broken = base.clone();
    claim(&mut broken, 1, 1).error = -1e-3;
    assert_eq!(refused(&broken).layer, Some(1));
    let mut broken = base.clone();
    broken.bound[0] = -1.0;
    refused(&broken);
    // The largest numbers: nothing overflows, nothing is believed.
    let mut broken = base.clone();
    claim(&mut broken, 3, 1).slope = Interval::new(-f64::MAX, f64::MAX);
    refused(&broken);
    let mut broken = base.clone();
    let everything = Interval::new(-f64::MAX, f64::MAX);
    for layer in [1, 3] {
        for neuron in broken.layers[layer].as_mut().unwrap() {
            *neuron = Neuron {
                range: everything,
                lines: [-f64::MAX, f64::MAX],
                interval: everything,
                error: f64::MAX,
                slope: everything,
                proofs: [None, None],
            };
        }
    }
    refused(&broken);
    let function = Activation::LeakyRelu { slope: f64::NAN };
    let mut broken = base.clone();
    broken.reference = rebuilt(&base.reference, 1, |_| Layer::Activation(function));
    assert_eq!(refused(&broken).layer, Some(1));
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    let base = base();
    let with_layer = |layer: Layer| {
        let mut broken = base.clone();
        broken.slnn = rebuilt(&base.slnn, 1, |_| layer.clone());
        let failure = refused(&broken);
        assert_eq!(failure.layer, Some(1), "{failure}");
    };
    for degree in [65, 5000, 1 << 20] {
        let coefficients = Array2::from_elem((1, degree + 1), 1e-3);
        with_layer(Layer::Slaf(Slaf::new(Basis::Monomial, coefficients).unwrap()));
    }
    let chebyshev = |coefficients: Matrix, scale: BigRational| {
        let exact = |x: BigRational| Array1::from_elem(4, x);
        let basis = Basis::Orthogonal {
            family: Family::Chebyshev,
            centre: exact(BigRational::from_integer(0.into())).into(),
            scale: exact(scale).into(),
        };
        with_layer(Layer::Slaf(Slaf::new(basis, coefficients).unwrap()));
    };
    let one = BigRational::from_integer(1.into());
    let huge = BigRational::from_integer(BigInt::from(1) << (1 << 20));
    chebyshev(Array2::from_elem((4, 5001), 1e-3).into(), one.clone());
    chebyshev(Array2::from_elem((4, 9), huge.clone()).into(), one.clone());
    chebyshev(Array2::from_elem((4, 9), 1.0).into(), huge.recip());
    // 2^12000 is looked at, and is nothing that fits.
    let large = BigRational::from_integer(BigInt::from(1) << 12_000);
    chebyshev(Array2::from_elem((4, 60), large.clone()).into(), one.clone());
    chebyshev(Array2::from_elem((4, 60), 1.0).into(), large);
    chebyshev(Array2::from_elem((4, 9), 1.0).into(), BigRational::new(1.into(), 3.into()));

    let mut broken = base.clone();
    let weight = |network: &Network| {
        rebuilt(network, 0, |_| {
            let bias = Array1::<f64>::zeros(4);
            Layer::Affine(Affine::new(Array2::from_elem((4, 2), huge.clone()), bias).unwrap())
        })
    };
    (broken.reference, broken.slnn) = (weight(&base.reference), weight(&base.slnn));
    assert!(refused(&broken).what.contains("weights"));
}

/// A layer of a mixture, polynomials in other bases, an identity, two activation layers in a row.
fn unusual() -> Certificate {
    let affine = |weight: Array2<f64>| {
        let bias = Array1::from_elem(weight.nrows(), 0.125);
        Layer::Affine(Affine::new(weight, bias).unwrap())
    };
    let first = affine(ndarray::array![[1.0, -0.5], [0.25, 0.75], [-1.0, 0.5]]);
    let second = affine(ndarray::array![[0.5, -1.0, 2.0], [1.0, 1.0, 1.0]]);
    let last = affine(ndarray::array![[1.0, -2.0]]);
    let group = |neurons: Vec<usize>, part| Group { neurons, part };
    let mixed = Mixed::new(vec![
        group(vec![2], Part::Activation(Activation::Identity)),
        group(vec![1, 0], Part::Activation(Activation::Abs)),
    ]);
    let square = Slaf::new(Basis::Monomial, ndarray::array![[0.125, 0.0, 0.875]]).unwrap();
    let polynomials = Mixed::new(vec![
        group(vec![1, 0], Part::Slaf(square)),
        group(vec![2], Part::Activation(Activation::Identity)),
    ]);
    let basis = Basis::Orthogonal {
        family: Family::Legendre,
        centre: ndarray::array![0.5, 0.25].into(),
        scale: ndarray::array![0.25, 0.5].into(),
    };
    // s(z) = z = 0.5 + 4 P_1((z - 0.5) / 4), and 0.25 + 2 P_1((z - 0.25) / 2).
    let legendre = Slaf::new(basis, ndarray::array![[0.5, 4.0], [0.25, 2.0]]).unwrap();
    let network = |layers| {
        let inputs = vec![Input::named("a"), Input::named("b")];
        Network::new(inputs, vec!["y".into()], layers, Head::Logistic).unwrap()
    };
    let identity = Layer::Activation(Activation::Identity);
    let reference = vec![
        first.clone(),
        Layer::Mixed(mixed.unwrap()),
        second.clone(),
        Layer::Activation(Activation::Relu),
        identity.clone(),
        last.clone(),
    ];
    let line = Slaf::new(Basis::Monomial, ndarray::array![[0.0, 1.0]]).unwrap();
    let slnn = vec![
        first,
        Layer::Mixed(polynomials.unwrap()),
        second,
        Layer::Slaf(line),
        Layer::Slaf(legendre),
        last,
    ];
    let claims = |ranges: &[[f64; 2]], room: &[f64], error: &[f64], slope: &[[f64; 2]]| {
        let one = |i: usize| Neuron {
            range: Interval::new(ranges[i][0], ranges[i][1]),
            lines: [0.0, 0.5],
            interval: Interval::new(ranges[i][0] - room[i], ranges[i][1] + room[i]),
            error: error[i],
            slope: Interval::new(slope[i][0], slope[i][1]),
            proofs: [None, None],
        };
        Some((0..ranges.len()).map(one).collect())
    };
    // On [-1, 1], 0.125 + 0.875 z^2 - |z| is 0.125 at 0 and 0 at 1, and -0.1607... between.
    let bumps = [[-0.5, 1.0], [-0.25, 0.75], [-1.0, 0.75]];
    let both = [-1.0, 1.0];
    // The inputs are in [0, 0.5] x [0, 0.5].
    let layers = vec![
        None,
        claims(&bumps, &[0.0; 3], &[0.17, 0.17, 0.0], &[both, both, [1.0; 2]]),
        None,
        // The differences that arrive: 0.5 0.17 + 1 0.17, and 0.34. relu(z) - z is at most -z.
        claims(&[[-3.0, 3.0], [-1.0, 3.0]], &[0.3, 0.4], &[3.3, 1.4], &[[0.0, 1.0]; 2]),
        claims(&[[0.0, 3.0]; 2], &[3.6, 1.8], &[0.0; 2], &[[1.0; 2]; 2]),
        None,
    ];
    Certificate {
        reference: network(reference),
        slnn: network(slnn),
        domain: Domain::cube(2, 0.0, 0.5).unwrap(),
        method: Method::B,
        spans: vec![1; layers.len()],
        layers,
        division: None,
        bound: vec![8.0],
    }
}

#[test]
fn unusual_layers_are_checked() {
    let base = unusual();
    for method in SIGNED {
        let mut certificate = base.clone();
        certificate.method = method;
        if method == Method::A {
            // One number for all neurons: 3.5 0.17 at the fourth layer.
            for neuron in certificate.layers[3].iter_mut().flatten() {
                neuron.interval = Interval::new(-3.6, 3.6);
                neuron.error = 3.6;
            }
            for neuron in certificate.layers[4].iter_mut().flatten() {
                neuron.interval = Interval::new(-4.3, 7.3);
            }
            certificate.bound = vec![13.0];
        }
        let verdict = accepted(&certificate);
        let arithmetic = verdict.arithmetic;
        assert_eq!((arithmetic.exact_errors, arithmetic.outward_errors), (7, 0));
        assert_eq!(arithmetic.ranges, Mode::Exact);
        assert_eq!(arithmetic.to_string(), "ranges exact, errors exact, propagation exact");
        let mut broken = certificate.clone();
        claim(&mut broken, 1, 1).error = 0.16;
        refused_at(&broken, 1, 1, "is at least");
        // p is s exactly: no error at all, and none is confirmed with another coefficient.
        let mut broken = certificate.clone();
        broken.slnn = with_slaf(&certificate.slnn, 4, |c| c[(1, 0)] = c[(1, 0)].next_up());
        refused_at(&broken, 4, 1, "is at least");
    }
}

/// A relu on one side of its kink, where the polynomial is the relu.
#[test]
fn errors_of_zero_are_confirmed_exactly() {
    for (sign, slope) in [(1.0, 1.0), (-1.0, 0.0)] {
        let affine = Affine::new(ndarray::array![[0.1]], ndarray::array![sign * 0.7]).unwrap();
        let layers = |middle| {
            let last = Affine::new(ndarray::array![[3.0]], ndarray::array![0.0]).unwrap();
            vec![Layer::Affine(affine.clone()), middle, Layer::Affine(last)]
        };
        let network = |middle| {
            let outputs = vec!["y".into()];
            Network::new(vec![Input::named("x")], outputs, layers(middle), Head::Identity).unwrap()
        };
        let line = Slaf::new(Basis::Monomial, ndarray::array![[0.0, slope]]).unwrap();
        let range = Interval::new(sign * 0.7 - 0.11, sign * 0.7 + 0.11);
        let neuron = Neuron {
            range,
            lines: [slope; 2],
            interval: range,
            error: 0.0,
            slope: Interval::point(slope),
            proofs: [None, None],
        };
        let mut certificate = Certificate {
            reference: network(Layer::Activation(Activation::Relu)),
            slnn: network(Layer::Slaf(line)),
            domain: Domain::cube(1, -1.0, 1.0).unwrap(),
            method: Method::C,
            spans: vec![1; 3],
            layers: vec![None, Some(vec![neuron]), None],
            division: None,
            bound: vec![0.0],
        };
        accepted(&certificate);
        let bent = ndarray::array![[0.0, slope, 1e-300]];
        let bent = Slaf::new(Basis::Monomial, bent).unwrap();
        certificate.slnn = network(Layer::Slaf(bent));
        refused_at(&certificate, 1, 0, "is at least");
    }
}

#[test]
fn progress_counts_neurons() {
    let mut seen = vec![];
    let verdict = check_watched(&base(), &mut |done, all| seen.push((done, all)));
    assert!(verdict.valid);
    assert_eq!(seen, [(0, 7), (7, 7)]);
}

/// A certificate with composite blocks: the SLNN's layers are affine, then x and t = x scale, stages of the
/// sign, x + s and x - s, squares, sums, affine.
fn with_blocks() -> Certificate {
    let first = ndarray::array![[1.0, 0.5], [-0.75, 1.25], [0.25, -0.5]];
    let layers = vec![
        Layer::Affine(Affine::new(first, ndarray::array![0.125, -0.25, 0.0]).unwrap()),
        Layer::Activation(Activation::Relu),
        Layer::Affine(
            Affine::new(ndarray::array![[1.0, -1.5, 2.0]], ndarray::array![0.0]).unwrap(),
        ),
    ];
    let names = vec![Input::named("x0"), Input::named("x1")];
    let network = Network::new(names, vec!["y".into()], layers, Head::Identity).unwrap();
    let domain = Domain::cube(2, -1.0, 1.0).unwrap();
    let request = Request { blocks: vec![Some(1e-3)], ..Request::degrees(Degrees::All(3)) };
    let certificate = approximate(&network, &domain, &request).unwrap().certificate;
    accepted(&certificate);
    assert!(certificate.spans[1] > 5);
    certificate
}

#[test]
fn changed_composite_blocks_are_refused() {
    let base = with_blocks();
    let last = base.slnn.layers().len() - 1;
    // The errors are within a few thousandths of the least ones that hold.
    for i in 0..3 {
        let mut tight = base.clone();
        claim(&mut tight, 1, i).error *= 0.99;
        refused_at(&tight, 1, i, "error");
        let mut steep = base.clone();
        claim(&mut steep, 1, i).slope.upper *= 0.99;
        refused_at(&steep, 1, i, "slopes");
    }
    let changed = |layer: usize, at: (usize, usize), factor: f64, more: f64| {
        let change = |numbers: &mut Array2<f64>| numbers[at] = numbers[at] * factor + more;
        let mut certificate = base.clone();
        certificate.slnn = match base.slnn.layers()[layer] {
            Layer::Affine(_) => with_weight(&base.slnn, layer, change),
            _ => with_slaf(&base.slnn, layer, change),
        };
        certificate
    };
    // The first stage of the sign for the second neuron, and its way around the stages.
    refused_at(&changed(2, (4, 1), 1.02, 0.0), 1, 1, "error");
    refused_at(&changed(2, (1, 1), 1.02, 0.0), 1, 1, "error");
    // The scale, the sum x + s, a square, and the last sum of the third neuron.
    refused_at(&changed(1, (5, 2), 0.5, 0.0), 1, 2, "error");
    refused_at(&changed(last - 3, (2, 5), 0.99, 0.0), 1, 2, "error");
    refused_at(&changed(last - 2, (2, 2), 1.01, 0.0), 1, 2, "error");
    refused_at(&changed(last - 1, (2, 2), 0.99, 0.0), 1, 2, "error");
    // A neuron that takes in another one, at the beginning, in the middle and at the end.
    refused_at(&changed(1, (3, 1), 1.0, 1e-300), 1, 0, "take in neuron 1");
    refused_at(&changed(last - 3, (0, 4), 1.0, 1e-300), 1, 0, "take in neuron 1");
    refused_at(&changed(last - 1, (0, 1), 1.0, 1e-300), 1, 0, "take in neuron 1");
    // The spans must be those of the layers.
    for spans in
        [vec![1; 3], vec![2, base.spans[1] - 1, 1], vec![1, base.spans[1]], vec![usize::MAX; 3]]
    {
        refused(&Certificate { spans, ..base.clone() });
    }
    // Overflow proves nothing.
    refused_at(&changed(2, (4, 1), 1.0, 1e308), 1, 1, "error");
    refused_at(&changed(last - 2, (2, 2), 1.0, -1e308), 1, 2, "error");
}

/// The certificate that `approximate` makes of a random network.
fn made(
    seed: u64,
    inputs: usize,
    hidden: &[(usize, Activation)],
    degree: usize,
    method: Method,
    leaves: usize,
) -> Certificate {
    let mut stream = Stream::new(seed, Parameters::Full);
    let (mut layers, mut width) = (vec![], inputs);
    for &(neurons, function) in hidden {
        layers.push(affine(&mut stream, neurons, width));
        layers.push(Layer::Activation(function));
        width = neurons;
    }
    let outputs = 1 + (seed % 2) as usize;
    layers.push(affine(&mut stream, outputs, width));
    let names = (0..inputs).map(|j| Input::named(format!("x{j}"))).collect();
    let outputs = (0..outputs).map(|o| format!("y{o}")).collect();
    let network = Network::new(names, outputs, layers, Head::Identity).unwrap();
    let ends = (0..inputs).map(|_| {
        let lower = 1.5 * stream.float();
        (lower, lower + 1.0 + stream.float())
    });
    let domain = Domain::new(ends.collect::<Vec<_>>()).unwrap();
    let request = Request { method, leaves, parts: 6, ..Request::degrees(Degrees::All(degree)) };
    approximate(&network, &domain, &request).unwrap().certificate
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn certificates_of_approximations_are_accepted(
        seed: u64,
        inputs in 1usize..=4,
        hidden in prop::collection::vec((1usize..=5, any_function()), 0..=3),
        degree in 1usize..=20,
        method in prop::sample::select(Method::ALL.to_vec()),
        leaves in prop_oneof![Just(0usize), Just(8)],
    ) {
        let certificate = made(seed, inputs, &hidden, degree, method, leaves);
        let verdict = check(&certificate);
        prop_assert!(verdict.valid, "{}", verdict.reason.unwrap());
        let document = slnn::json::Json::parse(&certificate.to_json()).unwrap();
        prop_assert_eq!(check(&Certificate::from_document(&document).unwrap()), verdict);
    }
}

/// Every activation with every method, with and without parts, so that none is missed.
#[test]
fn every_activation_and_method_is_accepted() {
    for (k, function) in Activation::ALL.into_iter().enumerate() {
        for (m, method) in Method::ALL.into_iter().enumerate() {
            let hidden = [(2, function), (2, function)];
            let degree = 2 + 5 * ((k + m) % 3);
            accepted(&made(k as u64, 2, &hidden, degree, method, 8 * ((k + m) % 2)));
        }
    }
}

/// Certificates whose later ranges need proofs by parts.
fn with_parts(seed: u64) -> Certificate {
    let kinked = [Activation::Relu, Activation::Abs, Activation::LeakyRelu { slope: 0.125 }];
    let function = kinked[(seed % 3) as usize];
    let hidden = [(5, function), (5, function), (4, function)];
    let method = Method::ALL[(seed / 3 % 3) as usize];
    made(seed, 1 + (seed % 2) as usize, &hidden, 6, method, 8)
}

/// Layer, neuron and end of every proof.
fn proofs(certificate: &Certificate) -> Vec<(usize, usize, usize)> {
    let mut places = vec![];
    for (l, layer) in certificate.layers.iter().enumerate() {
        for (i, neuron) in layer.iter().flatten().enumerate() {
            places.extend((0..2).filter(|e| neuron.proofs[*e].is_some()).map(|e| (l, i, e)));
        }
    }
    places
}

/// The nodes of the tree that `wanted` says yes to, from the root.
fn nodes<'a>(proof: &'a mut Proof, wanted: fn(&Proof) -> bool, found: &mut Vec<&'a mut Proof>) {
    if wanted(proof) {
        found.push(proof);
    } else if let Proof::Split { below, above, .. } = proof {
        nodes(below, wanted, found);
        nodes(above, wanted, found);
    }
}

#[test]
fn proofs_are_needed_and_must_be_well_formed() {
    let mut needed = 0;
    for seed in 0..9 {
        let base = with_parts(seed);
        accepted(&base);
        let places = proofs(&base);
        for &(l, i, end) in places.iter().take(6) {
            let with = |proof: Option<Proof>| {
                let mut other = base.clone();
                claim(&mut other, l, i).proofs[end] = proof;
                other
            };
            // Some sharpen an end by less than rounding had cost it.
            if let Some(failure) = check(&with(None)).reason {
                assert_eq!((failure.layer, failure.neuron), (Some(l), Some(i)), "{failure}");
                assert!(failure.what.contains("the range is recomputed as"), "{failure}");
                needed += 1;
            }

            let leaf = |slopes: &[(usize, usize, f64)], multipliers: &[(usize, usize, f64)]| {
                Proof::Leaf { slopes: slopes.to_vec(), multipliers: multipliers.to_vec() }
            };
            let split = |layer, neuron, below: Proof, above: Proof| {
                let (below, above) = (Box::new(below), Box::new(above));
                Some(Proof::Split { layer, neuron, below, above })
            };
            let whole = || base.layers[l].as_ref().unwrap()[i].proofs[end].clone().unwrap();
            // The end itself would be proven: it is the form that is refused.
            for (broken, what) in [
                (split(l, 0, whole(), whole()), "no activation"),
                (split(0, 0, whole(), whole()), "no activation"),
                (split(1, 5, whole(), whole()), "no activation"),
                (split(usize::MAX, 0, whole(), whole()), "no activation"),
                (
                    split(1, 0, split(1, 0, leaf(&[], &[]), leaf(&[], &[])).unwrap(), whole()),
                    "a second split",
                ),
                (split(1, 0, leaf(&[(1, 0, 0.5)], &[]), whole()), "which is split"),
                (split(1, 0, leaf(&[], &[(1, 0, -0.5)]), whole()), "the multiplier"),
                (split(1, 0, leaf(&[], &[(1, 0, f64::NAN)]), whole()), "the multiplier"),
                (split(1, 0, leaf(&[], &[(1, 0, f64::INFINITY)]), whole()), "the multiplier"),
                (Some(leaf(&[], &[(1, 0, 0.5)])), "which is not split"),
                (Some(leaf(&[(1, 0, f64::NAN)], &[])), "the slope"),
                (Some(leaf(&[(1, 0, 0.5), (1, 0, 0.25)], &[])), "a second slope"),
                (Some(leaf(&[(2, 0, 0.5)], &[])), "no activation"),
                (Some(leaf(&[(1, 7, 0.5)], &[])), "no activation"),
            ] {
                let failure = refused(&with(broken));
                assert_eq!((failure.layer, failure.neuron), (Some(l), Some(i)), "{failure}");
                assert!(failure.what.starts_with("the proof of the "), "{failure}");
                assert!(failure.what.contains(what), "{failure}");
            }
        }
    }
    assert!(needed > 20, "{needed}");
    // What is no two lines cannot be split.
    let mut broken = made(3, 2, &[(3, Activation::Tanh), (3, Activation::Relu)], 5, Method::B, 0);
    let leaf = || Box::new(Proof::Leaf { slopes: vec![], multipliers: vec![] });
    let split = Proof::Split { layer: 1, neuron: 0, below: leaf(), above: leaf() };
    claim(&mut broken, 3, 0).proofs[0] = Some(split);
    assert!(refused(&broken).what.contains("no two lines"));
    let mut deep = Proof::Leaf { slopes: vec![], multipliers: vec![] };
    for neuron in 0..1000 {
        deep = Proof::Split { layer: 1, neuron, below: leaf(), above: Box::new(deep) };
    }
    claim(&mut broken, 3, 0).proofs[0] = Some(deep);
    refused(&broken);
}

/// A point at which something that the certificate claims is seen to be false, by plain f64
/// arithmetic with much more room than it needs.
fn counterexample(certificate: &Certificate, seed: u64) -> Option<String> {
    let room = |x: f64| 1e-9 * (1.0 + x.abs());
    let outside = |z: f64, on: Interval| z < on.lower - room(z) || z > on.upper + room(z);
    for (l, layer) in certificate.layers.iter().enumerate() {
        let Some(neurons) = layer else { continue };
        for (i, neuron) in neurons.iter().enumerate() {
            let Layer::Activation(function) = &certificate.reference.layers()[l] else { continue };
            let mut steep = None;
            let mut points = grid(neuron.interval, 150);
            points.extend(function.kinks().iter().filter(|z| neuron.interval.contains(**z)));
            for z in points {
                let error = (polynomial(certificate, l, i, z) - function.value(z)).abs();
                if error > neuron.error + room(error) {
                    return Some(format!("layer {l} neuron {i} at {z}: {error}"));
                }
                let inside = neuron.interval.lower < z && z < neuron.interval.upper;
                let slope = function.derivative(z);
                let kink = function.kinks().contains(&z);
                steep =
                    steep.or((inside && !kink && outside(slope, neuron.slope)).then_some(slope));
            }
            // The slopes of p serve as well.
            let chords = grid(neuron.interval, 40);
            let chord = |z: &[f64]| {
                let [left, right] = [z[0], z[1]].map(|z| polynomial(certificate, l, i, z));
                (right - left) / (z[1] - z[0])
            };
            let apart =
                |slope: f64| outside(slope, neuron.slope.widened(1e-6 * (1.0 + slope.abs())));
            if let Some(slope) = steep
                && chords.windows(2).filter(|z| z[1] - z[0] > 1e-6).any(|z| apart(chord(z)))
            {
                return Some(format!("layer {l} neuron {i}: slope {slope}"));
            }
            let bands = certificate.division.iter().flat_map(|division| {
                let [values, residuals] = &division.bands[l][i];
                let each = |bands: &Bands, of_values| {
                    bands.parts().iter().map(move |b| (*b, of_values)).collect::<Vec<_>>()
                };
                [each(values, true), each(residuals, false)].concat()
            });
            for (band, of_values) in bands {
                for z in grid(Interval::new(band.lower, band.upper), 8) {
                    let s = function.value(z);
                    let value = if of_values { s } else { polynomial(certificate, l, i, z) - s };
                    let off = (value - band.slope * z - band.middle).abs();
                    if off > band.radius + room(value) {
                        return Some(format!("layer {l} neuron {i}: {off} at {z} of {band:?}"));
                    }
                }
            }
        }
    }
    let ends = certificate.domain.intervals();
    let mut stream = Stream::new(seed, Parameters::Full);
    for k in 0..120 {
        let share = |stream: &mut Stream| match (ends.len(), stream.below(3)) {
            (1, _) => f64::from(k) / 119.0,
            (_, 0) => 0.0,
            (_, 1) => 1.0,
            _ => (stream.float() + 1.0) / 2.0,
        };
        let at = |x: &Interval| x.lower + share(&mut stream) * (x.upper - x.lower);
        let x: Vec<f64> = ends.iter().map(at).collect();
        let (mut one, mut other) = (x.clone(), x);
        for (l, layer) in certificate.reference.layers().iter().enumerate() {
            match layer {
                Layer::Affine(affine) => {
                    let (weight, bias) = (affine.weight().to_f64(), affine.bias().to_f64());
                    let image =
                        |x: &[f64]| (weight.dot(&Array1::from(x.to_vec())) + &*bias).to_vec();
                    (one, other) = (image(&one), image(&other));
                }
                Layer::Activation(function) => {
                    let neurons = certificate.layers[l].as_ref().unwrap();
                    for (i, neuron) in neurons.iter().enumerate() {
                        if outside(one[i], neuron.range) || outside(other[i], neuron.interval) {
                            return Some(format!("layer {l} neuron {i}: {} {}", one[i], other[i]));
                        }
                        one[i] = function.value(one[i]);
                        other[i] = polynomial(certificate, l, i, other[i]);
                    }
                }
                _ => return None,
            }
        }
        for ((one, other), bound) in one.iter().zip(&other).zip(&certificate.bound) {
            if (one - other).abs() > bound + room(*one) {
                return Some(format!("output {one} {other}"));
            }
        }
    }
    let budget = Budget { points: 32, starts: 1, steps: 6, seed };
    let (reference, slnn) = (&certificate.reference, &certificate.slnn);
    let found = attack(reference, slnn, &certificate.domain, &budget).ok()?;
    let beyond = found.iter().zip(&certificate.bound).find(|(found, b)| found.difference > **b);
    beyond.map(|(found, _)| format!("attack: {}", found.difference))
}

/// The polynomial of a neuron of the SLNN at z.
fn polynomial(certificate: &Certificate, layer: usize, neuron: usize, z: f64) -> f64 {
    let Layer::Slaf(slaf) = &certificate.slnn.layers()[layer] else { return z };
    let Basis::Orthogonal { centre, scale, .. } = slaf.basis() else { return f64::NAN };
    let t = (z - centre.to_f64()[neuron]) * scale.to_f64()[neuron];
    let (mut after, mut later) = (0.0, 0.0);
    for c in slaf.coefficients().to_f64().row(neuron).iter().rev() {
        (after, later) = (c + 2.0 * t * after - later, after);
    }
    after - t * later
}

const KINDS: [&str; 15] = [
    "range",
    "range and proof",
    "interval",
    "error times 0.99",
    "slope",
    "lines",
    "bound",
    "bit of a coefficient",
    "weight in one copy",
    "weight in both copies",
    "swapped neurons",
    "dropped proof",
    "dropped split",
    "multiplier",
    "slope in a proof",
];

/// The certificate with one thing in it changed, `None` where there is no such thing.
fn mutant(base: &Certificate, kind: &str, stream: &mut Stream) -> Option<Certificate> {
    let mut certificate = base.clone();
    let mut any = |n: usize| stream.below(n as u64) as usize;
    let activations: Vec<usize> =
        (0..base.layers.len()).filter(|l| base.layers[*l].is_some()).collect();
    let layer = activations[any(activations.len())];
    let width = base.layers[layer].as_ref()?.len();
    let neuron = any(width);
    let upper = any(2) == 1;
    let factor = [0.3, 0.9, 0.99, 0.9999, 1.0 - 1e-7][any(5)];
    let shrink = |interval: &mut Interval| {
        let middle = interval.middle();
        let end = if upper { &mut interval.upper } else { &mut interval.lower };
        *end = middle + (*end - middle) * factor;
    };
    let places = proofs(base);
    let place = if places.is_empty() { None } else { Some(places[any(places.len())]) };
    fn proof_at(c: &mut Certificate, (l, i, end): (usize, usize, usize)) -> &mut Proof {
        claim(c, l, i).proofs[end].as_mut().unwrap()
    }
    match kind {
        "range" => shrink(&mut claim(&mut certificate, layer, neuron).range),
        "interval" => shrink(&mut claim(&mut certificate, layer, neuron).interval),
        "error times 0.99" => claim(&mut certificate, layer, neuron).error *= 0.99,
        "slope" => shrink(&mut claim(&mut certificate, layer, neuron).slope),
        "lines" => claim(&mut certificate, layer, neuron).lines[usize::from(upper)] += 1.0 - factor,
        "bound" => {
            let output = any(base.bound.len());
            certificate.bound[output] *= factor;
        }
        "bit of a coefficient" => {
            let bit = any(63);
            let column = any(64);
            if !matches!(base.slnn.layers()[layer], Layer::Slaf(_)) {
                return None;
            }
            certificate.slnn = with_slaf(&base.slnn, layer, |coefficients| {
                let k = column % coefficients.ncols();
                let c = &mut coefficients[(neuron, k)];
                *c = f64::from_bits(c.to_bits() ^ 1 << bit);
            });
        }
        "weight in one copy" | "weight in both copies" => {
            let bit = any(52);
            let flip = |weight: &mut Array2<f64>| {
                let x = &mut weight[(neuron, 0)];
                *x = f64::from_bits(x.to_bits() ^ 1 << bit);
            };
            if kind == "weight in both copies" || upper {
                certificate.reference = with_weight(&base.reference, layer - 1, flip);
            }
            if kind == "weight in both copies" || !upper {
                certificate.slnn = with_weight(&base.slnn, layer - 1, flip);
            }
        }
        "swapped neurons" => {
            if width < 2 {
                return None;
            }
            certificate.layers[layer].as_mut()?.swap(neuron, (neuron + 1) % width);
        }
        "dropped proof" => {
            let (l, i, end) = place?;
            claim(&mut certificate, l, i).proofs[end] = None;
        }
        "range and proof" => {
            // A bolder end, and another multiplier in every leaf to reach it.
            let (l, i, end) = place?;
            let interval = &mut claim(&mut certificate, l, i).range;
            let middle = interval.middle();
            let bold = if end == 1 { &mut interval.upper } else { &mut interval.lower };
            *bold = middle + (*bold - middle) * factor;
            let mut leaves = vec![];
            let leaf = |proof: &Proof| matches!(proof, Proof::Leaf { .. });
            nodes(proof_at(&mut certificate, (l, i, end)), leaf, &mut leaves);
            for leaf in leaves {
                if let Proof::Leaf { multipliers, .. } = leaf {
                    let size = [0.5, 1.5, 10.0][any(3)];
                    multipliers.iter_mut().for_each(|m| m.2 *= size);
                }
            }
        }
        "dropped split" => {
            let mut splits = vec![];
            let split = |proof: &Proof| matches!(proof, Proof::Split { .. });
            nodes(proof_at(&mut certificate, place?), split, &mut splits);
            let n = splits.len();
            let chosen = splits.into_iter().nth(any(n.max(1)))?;
            if let Proof::Split { below, above, .. } = chosen {
                // With its assumption gone a multiplier must go, or be refused.
                *chosen = if upper { (**above).clone() } else { (**below).clone() };
            }
        }
        "multiplier" | "slope in a proof" => {
            let mut leaves = vec![];
            let leaf = |proof: &Proof| matches!(proof, Proof::Leaf { .. });
            nodes(proof_at(&mut certificate, place?), leaf, &mut leaves);
            let n = leaves.len();
            let Some(Proof::Leaf { slopes, multipliers }) = leaves.into_iter().nth(any(n)) else {
                return None;
            };
            let list = if kind == "multiplier" { multipliers } else { slopes };
            if list.is_empty() {
                return None;
            }
            let entry = any(list.len());
            let change = [-1.0, -0.1, 0.01, 1.0, 1e9][any(5)];
            list[entry].2 += change;
        }
        _ => panic!("{kind}"),
    }
    Some(certificate)
}

/// More than two thousand certificates with one thing changed: whatever is accepted is true, as far as
/// points can tell, and what must be refused is.
#[test]
fn thousands_of_mutants_are_refused_or_true() {
    let kinked: Vec<Certificate> = (0..9).map(with_parts).collect();
    let mut others = vec![];
    for (k, function) in Activation::ALL.into_iter().enumerate() {
        let hidden = [(2, function), (1, Activation::ALL[(k + 5) % Activation::ALL.len()])];
        let method = Method::ALL[k % 3];
        others.push(made(100 + k as u64, 1 + k % 3, &hidden, 3 + k % 7, method, 8 * (k % 2)));
    }
    let mut stream = Stream::new(7, Parameters::Full);
    let mut tally = vec![[0_usize; 2]; KINDS.len()];
    for round in 0.. {
        if tally.iter().flatten().sum::<usize>() > 2100 {
            break;
        }
        // Enclosures take their time.
        let others = others.iter().filter(|_| round % 3 == 0);
        for base in kinked.iter().chain(others) {
            for (kind, counts) in KINDS.iter().zip(&mut tally) {
                let Some(certificate) = mutant(base, kind, &mut stream) else { continue };
                if certificate == *base {
                    continue;
                }
                let verdict = check(&certificate);
                counts[usize::from(verdict.valid)] += 1;
                if verdict.valid {
                    assert_eq!(counterexample(&certificate, 1), None, "{kind}");
                } else {
                    assert!(verdict.bound.is_empty() && verdict.reason.is_some());
                }
            }
        }
    }
    for (kind, [refused, accepted]) in KINDS.iter().zip(&tally) {
        println!("{kind}: {refused} refused, {accepted} accepted");
        assert!(*refused > 0, "no {kind} was refused");
        assert!(*kind != "weight in one copy" || *accepted == 0);
    }
}

/// The same with what divides the box: bands, and the splits.
#[test]
fn mutants_of_divisions_are_refused_or_true() {
    let functions = [Activation::Tanh, Activation::Relu, Activation::Silu, Activation::Abs];
    let bases: Vec<Certificate> = functions
        .into_iter()
        .enumerate()
        .map(|(k, function)| {
            let method = if k == 0 { Method::C2 } else { Method::D };
            made(40 + k as u64, 1 + k % 2, &[(2, function), (2, function)], 3 + k, method, 0)
        })
        .collect();
    let mut stream = Stream::new(8, Parameters::Full);
    let kinds =
        ["radius", "slope", "dropped band", "moved split", "dropped split", "bound", "none"];
    let mut tally = vec![[0_usize; 2]; kinds.len()];
    for base in &bases {
        accepted(base);
        for round in 0..60 {
            let kind = round % kinds.len();
            let mut certificate = base.clone();
            let mut any = |n: usize| stream.below(n as u64) as usize;
            let division = certificate.division.as_mut().unwrap();
            let layer = 1 + 2 * any(2);
            let (neuron, which) = (any(2), any(2));
            let mut parts = division.bands[layer][neuron][which].parts().to_vec();
            let part = any(parts.len());
            match kinds[kind] {
                "radius" => parts[part].radius *= [0.5, 0.9, 0.99][any(3)],
                "slope" => parts[part].slope += [1e-9, 0.01, -1.0][any(3)],
                "dropped band" => drop(parts.remove(part)),
                "bound" => certificate.bound[0] *= [0.999, 0.3][any(2)],
                "none" => {}
                kind => {
                    let split = any(division.splits.len());
                    match &mut division.splits[split] {
                        Some(split) if kind == "moved split" => split.at += 0.01,
                        Some(_) => division.splits[split] = None,
                        None => drop(division.splits.remove(split)),
                    }
                }
            }
            division.bands[layer][neuron][which] = Bands::new(parts);
            if kinds[kind] == "none" {
                certificate.division = None;
            }
            let verdict = check(&certificate);
            tally[kind][usize::from(verdict.valid)] += 1;
            if verdict.valid {
                assert_eq!(counterexample(&certificate, 1), None, "{}", kinds[kind]);
            }
        }
    }
    for (kind, [refused, _]) in kinds.iter().zip(&tally) {
        assert!(*refused > 0, "no {kind} was refused");
    }
}

/// A band of a radius below zero would take away from what its neighbours say.
#[test]
fn radii_below_zero_are_refused() {
    let layer = |numbers: [f64; 2]| {
        let [weight, bias] = numbers;
        Layer::Affine(
            Affine::new(Array2::from_elem((1, 1), weight), Array1::from_elem(1, bias)).unwrap(),
        )
    };
    let network = |middle: Layer| {
        let layers = vec![layer([1.0, 0.0]), middle, layer([1.0, 0.0])];
        Network::new(vec![Input::named("x")], vec!["y".into()], layers, Head::Identity).unwrap()
    };
    let line = |coefficients: [f64; 2]| {
        let coefficients = Array2::from_shape_vec((1, 2), coefficients.to_vec()).unwrap();
        let zero = Array1::<f64>::zeros(1);
        let (family, one) = (Family::Chebyshev, Array1::<f64>::ones(1));
        let basis = Basis::Orthogonal { family, centre: zero.into(), scale: one.into() };
        network(Layer::Slaf(Slaf::new(basis, coefficients).unwrap()))
    };
    let band = |lower, upper, slope, middle, radius| Band { lower, upper, slope, middle, radius };
    let whole = Interval::symmetric(1.0);
    let forged = |function, polynomial, error, slope, values, residuals| Certificate {
        reference: network(Layer::Activation(function)),
        slnn: line(polynomial),
        domain: Domain::cube(1, -1.0, 1.0).unwrap(),
        method: Method::D,
        spans: vec![1; 3],
        layers: vec![
            None,
            Some(vec![Neuron {
                range: whole,
                lines: [0.0, 0.5],
                interval: whole,
                error,
                slope,
                proofs: [None, None],
            }]),
            None,
        ],
        division: Some(Division {
            bands: vec![vec![], vec![[Bands::new(values), Bands::new(residuals)]], vec![]],
            splits: vec![None],
        }),
        bound: vec![0.01],
    };
    // 1/2 + z/2 is 1/2 from max(z, 0) at 0; without the first band the rest is small.
    let values = vec![band(-1.0, 0.0, 0.0, 0.0, 0.0), band(0.0, 1.0, 1.0, 0.0, 0.0)];
    let of = |radius| {
        let residuals =
            vec![band(-1.0, 0.999, 0.25, 0.25, radius), band(0.999, 1.0, -0.5, 0.5, 0.0)];
        let slope = Interval::new(0.0, 1.0);
        forged(Activation::Relu, [0.5, 0.5], 0.5, slope, values.clone(), residuals)
    };
    assert!(refused(&of(0.5)).what.contains("not confirmed"));
    assert!(refused(&of(-0.5)).what.contains("radius"));
    // Beyond the fixed-point numbers, too. z is 0.24 from tanh z at 1.
    let of = |radius| {
        let residuals = vec![
            band(-1.0, -0.001, 0.0, 0.0, radius),
            band(-0.001, 0.001, 0.0, 0.0, 1e-3),
            band(0.001, 1.0, 0.0, 0.0, radius),
        ];
        let values = vec![band(-1.0, 1.0, 0.0, 0.0, 1.0)];
        let slope = Interval::new(0.0, 1.0);
        forged(Activation::Tanh, [0.0, 1.0], 0.25, slope, values, residuals)
    };
    assert!(refused(&of(0.25)).what.contains("not confirmed"));
    assert!(refused(&of(-1e30)).what.contains("radius"));
    let document = slnn::json::Json::parse(&of(-1e30).to_json()).unwrap();
    let error = Certificate::from_document(&document).unwrap_err().to_string();
    assert!(error.contains("radius"), "{error}");
}

/// What the checker may use of the crate: numbers, networks, and the types of a certificate.
#[test]
fn the_checker_shares_no_code_with_what_it_checks() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bound/check");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (at, _) in text.match_indices("crate::") {
            let path: String = text[at..].chars().take_while(|c| *c != ';').collect();
            let types = ["Certificate", "Division", "Domain", "Method", "Neuron", "Proof", "Split"];
            // The lines of a division.
            let bands = path == "crate::approximate::{Band, Bands}";
            let allowed = match path.strip_prefix("crate::bound::") {
                Some(names) => names
                    .split(|c: char| !c.is_alphanumeric())
                    .all(|name| name.is_empty() || types.contains(&name)),
                None => path.starts_with("crate::numeric") || path.starts_with("crate::network"),
            };
            assert!(allowed || bands, "{path}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}
