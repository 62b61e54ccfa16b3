//! The promise: the certified error of an SLNN holds at every point of the box.

use ndarray::{Array1, Array2, array};
use proptest::prelude::*;
use slnn::approximate::{Method as FitMethod, fit};
use slnn::bound::attack::{Budget, attack};
use slnn::bound::{
    Approximation, Certificate, Degrees, Domain, Method, Minimise, Request, approximate,
    approximate_watched, approximate_within, check,
};
use slnn::network::{Activation, Affine, Basis, Family, Head, Input, Layer, Network, Slaf};
use slnn::numeric::outward::Interval;

use crate::common::{Parameters, Stream, affine};

/// A network of f64 numbers with one activation per hidden layer.
fn network(seed: u64, inputs: usize, hidden: &[(usize, Activation)]) -> Network {
    let mut stream = Stream::new(seed, Parameters::Full);
    let mut layers = Vec::new();
    let mut width = inputs;
    for &(neurons, activation) in hidden {
        layers.push(affine(&mut stream, neurons, width));
        layers.push(Layer::Activation(activation));
        width = neurons;
    }
    layers.push(affine(&mut stream, 1 + (seed % 2) as usize, width));
    let outputs = (0..1 + seed % 2).map(|o| format!("y{o}")).collect();
    let inputs = (0..inputs).map(|i| Input::named(format!("x{i}"))).collect();
    Network::new(inputs, outputs, layers, Head::Identity).unwrap()
}

/// A network whose weights are as large as those of a trained one.
fn balanced(seed: u64, inputs: usize, hidden: &[(usize, Activation)]) -> Network {
    let mut stream = Stream::new(seed, Parameters::Full);
    let mut layers = Vec::new();
    let mut width = inputs;
    let mut map = |rows: usize, columns: usize| {
        let size = (2.0 / columns as f64).sqrt();
        let weight = Array2::from_shape_simple_fn((rows, columns), || size * stream.float());
        let bias = Array1::from_shape_simple_fn(rows, || 0.5 * stream.float());
        Layer::Affine(Affine::new(weight, bias).unwrap())
    };
    for &(neurons, activation) in hidden {
        layers.push(map(neurons, width));
        layers.push(Layer::Activation(activation));
        width = neurons;
    }
    layers.push(map(1, width));
    let inputs = (0..inputs).map(|i| Input::named(format!("x{i}"))).collect();
    Network::new(inputs, vec!["y".into()], layers, Head::Identity).unwrap()
}

/// The certificate is confirmed by the checker, and so is what a file of it holds.
fn confirmed(certificate: &Certificate) {
    let verdict = check(certificate);
    assert!(verdict.valid, "{}", verdict.reason.unwrap());
    let document = slnn::json::Json::parse(&certificate.to_json()).unwrap();
    assert_eq!(Certificate::from_document(&document).unwrap(), *certificate);
}

fn activations() -> impl Strategy<Value = Activation> {
    proptest::sample::select(Activation::ALL.to_vec())
}

fn quick(seed: u64) -> Budget {
    Budget { points: 256, starts: 4, steps: 30, seed }
}

/// The largest difference found, in every output, is proven and must not exceed any bound.
fn holds(network: &Network, domain: &Domain, made: &Approximation) {
    let found = attack(network, &made.slnn, domain, &quick(1)).unwrap();
    for (o, found) in found.iter().enumerate() {
        assert!(domain.contains(&found.at));
        for (method, bound) in &made.by_method {
            assert!(
                found.difference <= bound[o],
                "{method:?}: {} > {}",
                found.difference,
                bound[o]
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_attack_exceeds_a_bound(
        seed: u64,
        inputs in 1usize..=6,
        hidden in prop::collection::vec((1usize..=6, activations()), 1..=4),
        box_ends in prop::collection::vec((-2.0..2.0f64, 0.0..2.0f64), 6),
        degree in 1usize..=24,
        leaves in prop_oneof![Just(0usize), Just(4)],
        method in proptest::sample::select(Method::ALL.to_vec()),
    ) {
        let network = network(seed, inputs, &hidden);
        let ends = box_ends.into_iter().take(inputs).map(|(lower, width)| (lower, lower + width));
        let domain = Domain::new(ends).unwrap();
        let request = Request { method, leaves, parts: 20, ..Request::degrees(Degrees::All(degree)) };
        let made = approximate(&network, &domain, &request).unwrap();
        holds(&network, &domain, &made);
        // The same intervals for all: each method is at most the one before, up to rounding.
        for pair in made.by_method.windows(2) {
            for (coarse, fine) in pair[0].1.iter().zip(&pair[1].1) {
                prop_assert!(*fine <= coarse * (1.0 + 1e-9) + 1e-300);
            }
        }
    }

    #[test]
    fn sharper_ranges_are_ranges(
        seed: u64,
        inputs in 1usize..=3,
        hidden in prop::collection::vec(
            (1usize..=6, proptest::sample::select(vec![Activation::Relu, Activation::Abs, Activation::LeakyRelu { slope: 0.1 }])),
            2..=3,
        ),
    ) {
        let network = network(seed, inputs, &hidden);
        let domain = Domain::cube(inputs, -1.0, 1.0).unwrap();
        let with = |leaves| {
            let request = Request { leaves, ..Request::degrees(Degrees::All(8)) };
            approximate(&network, &domain, &request).unwrap()
        };
        let (plain, sharp) = (with(0), with(12));
        // The first two hidden layers only: beyond them the fits below differ, and with them the
        // enlargement of the ranges.
        let layers = plain.certificate.layers.iter().zip(&sharp.certificate.layers);
        for (plain, sharp) in layers.filter_map(|(p, s)| p.as_ref().zip(s.as_ref())).take(2) {
            for (plain, sharp) in plain.iter().zip(sharp) {
                prop_assert!(plain.range.encloses(&sharp.range));
            }
        }
        holds(&network, &domain, &sharp);
        // And every pre-activation at random points lies in its sharpened range.
        let mut stream = Stream::new(seed ^ 5, Parameters::Full);
        for _ in 0..50 {
            let x: Vec<f64> = (0..inputs).map(|_| stream.float()).collect();
            let mut values = Array2::from_shape_vec((1, inputs), x).unwrap();
            for (l, layer) in network.layers().iter().enumerate() {
                if let Some(neurons) = &sharp.certificate.layers[l] {
                    for (z, neuron) in values.iter().zip(neurons) {
                        let range = neuron.range.widened(1e-12);
                        prop_assert!(range.contains(*z), "{z} outside {range:?}");
                    }
                }
                values = single(layer, values.ncols()).forward(values.view()).unwrap();
            }
        }
    }
}

/// A network of one layer.
fn single(layer: &Layer, inputs: usize) -> Network {
    let outputs = if let Layer::Affine(a) = layer { a.weight().rows() } else { inputs };
    Network::new(
        (0..inputs).map(|i| Input::named(format!("x{i}"))).collect(),
        (0..outputs).map(|o| format!("y{o}")).collect(),
        vec![layer.clone()],
        Head::Identity,
    )
    .unwrap()
}

/// The polynomial of a fit as a layer of one neuron.
fn learned(activation: Activation, interval: Interval, degree: usize) -> (Layer, f64) {
    let fit = fit(activation, interval, degree, FitMethod::Minimax).unwrap();
    let basis = Basis::Orthogonal {
        family: Family::Chebyshev,
        centre: array![fit.centre].into(),
        scale: array![fit.scale].into(),
    };
    let coefficients = Array2::from_shape_vec((1, fit.coefficients.len()), fit.coefficients);
    (Layer::Slaf(Slaf::new(basis, coefficients.unwrap()).unwrap()), fit.error)
}

fn scalar(weight: f64, bias: f64) -> Layer {
    Layer::Affine(Affine::new(array![[weight]], Array1::from(vec![bias])).unwrap())
}

fn chain(layers: Vec<Layer>) -> Network {
    Network::new(vec![Input::named("x")], vec!["y".into()], layers, Head::Identity).unwrap()
}

/// y = ReLU(3 ReLU(x) - 1) on [-1, 1]: the inner polynomial of degree 2 leaves the inner range, and
/// the outer one of degree 40 explodes there unless its interval was enlarged first.
#[test]
fn without_the_enlargement_a_bound_is_wrong() {
    let reference = chain(vec![
        scalar(1.0, 0.0),
        Layer::Activation(Activation::Relu),
        scalar(3.0, -1.0),
        Layer::Activation(Activation::Relu),
        scalar(1.0, 0.0),
    ]);
    let domain = Domain::cube(1, -1.0, 1.0).unwrap();
    let (inner, inner_error) = learned(Activation::Relu, Interval::new(-1.0, 1.0), 2);
    let claimed = |interval| {
        let (outer, outer_error) = learned(Activation::Relu, interval, 40);
        let slnn = chain(vec![
            scalar(1.0, 0.0),
            inner.clone(),
            scalar(3.0, -1.0),
            outer,
            scalar(1.0, 0.0),
        ]);
        let found = attack(&reference, &slnn, &domain, &quick(0)).unwrap();
        (outer_error + 3.0 * inner_error, found[0].difference)
    };
    let (bound, found) = claimed(Interval::new(-1.0, 2.0));
    assert!(found > bound, "not enlarged: {found} within {bound}");
    let enlarged = Interval::new(-1.0, 2.0).widened(3.0 * inner_error);
    let (bound, found) = claimed(enlarged);
    assert!(found <= bound, "enlarged: {found} beyond {bound}");
}

/// An error measured on |z| <= 1 says nothing of |z| <= 4.
#[test]
fn an_error_holds_only_where_it_was_measured() {
    let reference = chain(vec![scalar(4.0, 0.0), Layer::Activation(Activation::Tanh)]);
    let domain = Domain::cube(1, -1.0, 1.0).unwrap();
    for (radius, right) in [(1.0, false), (4.0, true)] {
        let (layer, error) = learned(Activation::Tanh, Interval::symmetric(radius), 9);
        let slnn = chain(vec![scalar(4.0, 0.0), layer]);
        let found = attack(&reference, &slnn, &domain, &quick(0)).unwrap()[0].difference;
        assert_eq!(found <= error, right, "radius {radius}: {found} against {error}");
    }
}

#[test]
fn bounds_fall_with_the_degree_as_they_should() {
    let at = |activation, degree| {
        let network = network(8, 2, &[(6, activation), (6, activation)]);
        let domain = Domain::cube(2, -1.0, 1.0).unwrap();
        let made = approximate(&network, &domain, &Request::degrees(Degrees::All(degree)));
        made.unwrap().bound[0]
    };
    // Slope -1 in the degree.
    let (relu, later) = (at(Activation::Relu, 16), at(Activation::Relu, 64));
    assert!((3.4..4.6).contains(&(relu / later)), "{relu} {later}");
    // Geometric.
    let tanh: Vec<f64> = [4, 8, 12, 16].map(|d| at(Activation::Tanh, d)).to_vec();
    for step in tanh.windows(2) {
        assert!(step[1] < 0.5 * step[0], "{tanh:?}");
    }
    // A degree is a ceiling: more of it never makes a bound larger, beyond the accuracy of the fits.
    for activation in [Activation::Relu, Activation::Gelu, Activation::Sin, Activation::HardTanh] {
        let bounds: Vec<f64> = (1..=20).map(|d| at(activation, d)).collect();
        for step in bounds.windows(2) {
            assert!(step[1] <= 1.003 * step[0], "{activation:?} {bounds:?}");
        }
    }
}

#[test]
fn an_epsilon_is_met_and_fewer_degrees_would_not_do() {
    for activation in
        [Activation::Tanh, Activation::Sigmoid, Activation::Softplus, Activation::Silu]
    {
        let network = network(4, 3, &[(6, activation), (6, activation)]);
        let domain = Domain::cube(3, -1.0, 1.0).unwrap();
        for minimise in [Minimise::Product, Minimise::Sum] {
            for epsilon in [1e-1, 1e-3, 1e-6] {
                let request = Request::degrees(Degrees::All(1));
                let made =
                    approximate_within(&network, &domain, epsilon, minimise, &request).unwrap();
                assert!(made.bound[0] <= epsilon, "{activation:?} {epsilon}");
                holds(&network, &domain, &made);
                if minimise == Minimise::Product {
                    let product: usize = made.degrees.iter().product();
                    let equal = (product as f64).sqrt().floor() as usize;
                    let equal = Request::degrees(Degrees::All(equal.saturating_sub(1).max(1)));
                    let equal = approximate(&network, &domain, &equal).unwrap();
                    assert!(product <= 1 || equal.bound[0] > 0.9 * made.bound[0]);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn every_epsilon_is_met_and_confirmed(
        seed: u64,
        activation in proptest::sample::select(vec![
            Activation::Tanh, Activation::Sigmoid, Activation::Softplus, Activation::Silu,
            Activation::Gelu,
        ]),
        inputs in 1usize..=3,
        widths in prop::collection::vec(prop_oneof![1usize..=32, Just(32)], 1..=3),
        digits in 1.0..=8.0f64,
        minimise in proptest::sample::select(vec![Minimise::Product, Minimise::Sum]),
    ) {
        let hidden: Vec<_> = widths.into_iter().map(|width| (width, activation)).collect();
        let network = balanced(seed, inputs, &hidden);
        let domain = Domain::cube(inputs, -1.0, 1.0).unwrap();
        let epsilon = 10f64.powf(-digits);
        let request = Request::degrees(Degrees::All(1));
        let made = approximate_within(&network, &domain, epsilon, minimise, &request).unwrap();
        prop_assert!(made.bound[0] <= epsilon);
        confirmed(&made.certificate);
        holds(&network, &domain, &made);
    }

    #[test]
    fn composite_blocks_are_confirmed(
        seed: u64,
        inputs in 1usize..=3,
        hidden in prop::collection::vec(
            (1usize..=5, proptest::sample::select(vec![
                Activation::Relu, Activation::Abs, Activation::LeakyRelu { slope: 0.1 },
                Activation::LeakyRelu { slope: -2.5 }, Activation::Tanh, Activation::HardTanh,
            ])),
            1..=3,
        ),
        digits in prop::collection::vec(prop::option::of(0.0..6.0f64), 3),
        degree in 1usize..=12,
        method in proptest::sample::select(vec![Method::A, Method::B, Method::C]),
    ) {
        let network = network(seed, inputs, &hidden);
        let domain = Domain::cube(inputs, -1.0, 1.0).unwrap();
        let blocks = digits.into_iter().take(hidden.len());
        let blocks = blocks.map(|digits| digits.map(|digits| 10f64.powf(-digits))).collect();
        let request = Request { blocks, method, ..Request::degrees(Degrees::All(degree)) };
        let made = approximate(&network, &domain, &request).unwrap();
        confirmed(&made.certificate);
        holds(&network, &domain, &made);
    }
}

#[test]
fn composite_blocks_serve_kinks_at_small_errors() {
    let kinds = [
        (vec![(16, Activation::Relu), (16, Activation::Relu)], 1e-3),
        (vec![(16, Activation::Relu), (16, Activation::Relu)], 1e-6),
        (vec![(8, Activation::Abs), (8, Activation::Tanh)], 1e-4),
        (vec![(8, Activation::LeakyRelu { slope: 0.01 })], 1e-5),
    ];
    for (hidden, epsilon) in kinds {
        let network = balanced(7, 2, &hidden);
        let domain = Domain::cube(2, -1.0, 1.0).unwrap();
        let request = Request::degrees(Degrees::All(1));
        let made = approximate_within(&network, &domain, epsilon, Minimise::Sum, &request).unwrap();
        assert!(made.bound[0] <= epsilon);
        assert!(made.certificate.spans.iter().any(|span| *span > 1));
        // Not far below either, which would be work for nothing.
        assert!(made.bound[0] > 0.02 * epsilon, "{} for {epsilon}", made.bound[0]);
        confirmed(&made.certificate);
        holds(&network, &domain, &made);
    }
}

#[test]
fn a_box_of_one_point_takes_few_bands() {
    let network = network(3, 1, &[(6, Activation::Tanh), (4, Activation::Relu)]);
    let domain = Domain::cube(1, 1.0, 1.0).unwrap();
    let request = Request { method: Method::D, ..Request::degrees(Degrees::All(5)) };
    let made = approximate(&network, &domain, &request).unwrap();
    let division = made.certificate.division.as_ref().unwrap();
    let bands: usize = division.bands.iter().flatten().flatten().map(|b| b.parts().len()).sum();
    assert!(bands < 100, "{bands} bands");
    assert!(made.bound[0] < 1e-9);
    confirmed(&made.certificate);
}

/// A network of layers in the words of its file, with one input of the given box.
fn from_layers(lower: f64, upper: f64, layers: &str) -> Network {
    let text = format!(
        r#"{{"format":"slnn.network","version":1,"inputs":[{{"name":"x","lower":{lower:?},"upper":{upper:?}}}],
        "outputs":["y"],"layers":[{layers}],"head":"identity"}}"#
    );
    Network::from_json(&text).unwrap()
}

#[test]
fn unusual_networks_are_bounded_and_confirmed() {
    let unit = |name: &str| format!(r#"{{"kind":"activation","function":"{name}"}}"#);
    let one = |weight: &str, bias: &str| {
        format!(r#"{{"kind":"affine","weight":[[{weight}]],"bias":[{bias}]}}"#)
    };
    let end = one("1", "0");
    let mut all = vec![
        // A constant in the place of the identity beside others.
        (
            -0.5,
            0.5,
            format!(
                r#"{},{},{{"kind":"affine","weight":[[1],[1]],"bias":[0,0]}},
                {{"kind":"mixed","groups":[{{"neurons":[0],"layer":{}}},{{"neurons":[1],"layer":{}}}]}},{}"#,
                end,
                unit("identity"),
                unit("sin"),
                unit("identity"),
                one("1,-0.9375", "0")
            ),
            vec![0, 2],
        ),
        // Weights whose product leaves the numbers of f64.
        (
            0.0,
            1e-200,
            format!(
                r#"{{"kind":"affine","weight":[[1e160],[1e160]],"bias":[0,0]}},{},{},{},{end}"#,
                unit("relu"),
                one("1e160,-3e160", "1"),
                unit("relu"),
            ),
            vec![3, 3],
        ),
    ];
    for name in ["tanh", "sigmoid", "gelu", "silu", "sin", "softplus", "relu"] {
        // A neuron whose input is constant.
        for bias in ["0", "0.7"] {
            let first =
                format!(r#"{{"kind":"affine","weight":[[1],[2],[0]],"bias":[0,0.1,{bias}]}}"#);
            let second = r#"{"kind":"affine","weight":[[1,-1,0.5],[1,1,0.2]],"bias":[0,0]}"#;
            let (unit, last) = (unit(name), one("1,-1", "0"));
            all.push((-1.0, 1.0, format!("{first},{unit},{second},{unit},{last}"), vec![3, 3]));
        }
        // A neuron far in its tail.
        for bias in ["-13", "-40"] {
            let first = format!(r#"{{"kind":"affine","weight":[[1],[1]],"bias":[{bias},0]}}"#);
            let last = one("1,1", "0");
            all.push((-1.0, 1.0, format!("{first},{},{last}", unit(name)), vec![5]));
        }
        // Values of hardly any width enter the next layer.
        for next in ["sin", "sigmoid", "relu"] {
            let first = one("1", "-1000");
            let layers = format!("{first},{},{},{end}", unit(name), unit(next));
            all.push((0.0, 1.0, layers, vec![3, 3]));
        }
    }
    let elu = r#"{"kind":"activation","function":"elu","alpha":0}"#;
    all.push((-2.0, 1.0, format!("{end},{elu},{end},{elu},{end}"), vec![3, 3]));
    for (lower, upper, layers, degrees) in all {
        let network = from_layers(lower, upper, &layers);
        let domain = Domain::of_network(&network).unwrap();
        for method in [Method::B, Method::C, Method::C2, Method::D] {
            let degrees = Degrees::ByLayer(degrees.clone());
            let request = Request { method, parts: 8, ..Request::degrees(degrees) };
            // Numbers that no f64 bounds are an error.
            let Ok(made) = approximate(&network, &domain, &request) else { continue };
            holds(&network, &domain, &made);
            let verdict = check(&made.certificate);
            assert!(verdict.valid, "{method:?} of {layers}: {}", verdict.reason.unwrap());
        }
    }
}

#[test]
fn requests_that_do_not_fit_are_errors() {
    let network = network(0, 2, &[(3, Activation::Tanh)]);
    let domain = Domain::cube(2, -1.0, 1.0).unwrap();
    let message = |degrees: Degrees, domain: &Domain| {
        let made = approximate(&network, domain, &Request::degrees(degrees));
        made.unwrap_err().to_string()
    };
    assert!(message(Degrees::ByLayer(vec![3, 3]), &domain).contains("degrees"));
    assert!(message(Degrees::ByNeuron(vec![vec![3, 3]]), &domain).contains("degrees"));
    let other = Domain::cube(3, -1.0, 1.0).unwrap();
    assert!(message(Degrees::All(3), &other).contains("box"));
    let huge = Domain::cube(2, -1e308, 1e308).unwrap();
    assert!(message(Degrees::All(3), &huge).contains("layers["));
    assert!(Domain::new([(0.0, f64::NAN)]).is_err());
    assert!(Domain::new([(1.0, 0.0)]).is_err());
    assert!(Domain::of_network(&network).unwrap_err().to_string().contains("--box"));
    for (blocks, method, what) in [
        (vec![None, Some(0.1)], Method::C, "blocks"),
        (vec![Some(0.1)], Method::D, "method"),
        (vec![Some(1e-12)], Method::C, "deviation"),
        (vec![Some(f64::NAN)], Method::C, "deviation"),
    ] {
        let request = Request { blocks, method, ..Request::degrees(Degrees::All(3)) };
        let made = approximate(&network, &domain, &request);
        assert!(made.unwrap_err().to_string().contains(what), "{what}");
    }
    let request = Request::degrees(Degrees::All(1));
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let made = approximate_within(&network, &domain, epsilon, Minimise::Sum, &request);
        assert!(made.unwrap_err().to_string().contains("epsilon"));
    }
}

/// The part of method D is what method C cannot see: residuals do not all peak at one point.
#[test]
fn parts_sharpen_a_bound() {
    let network = network(11, 2, &[(6, Activation::Tanh), (6, Activation::Tanh)]);
    let domain = Domain::cube(2, -1.0, 1.0).unwrap();
    let bound = |method, parts| {
        let request = Request { method, parts, ..Request::degrees(Degrees::All(5)) };
        let made = approximate(&network, &domain, &request).unwrap();
        holds(&network, &domain, &made);
        made.bound[0]
    };
    let signed = bound(Method::C, 1);
    let mut before = bound(Method::C2, 1);
    assert!(before <= signed);
    for parts in [1, 16, 64, 256] {
        let now = bound(Method::D, parts);
        assert!(now <= before * (1.0 + 1e-8), "{parts} parts: {now} after {before}");
        before = now;
    }
    assert!(before < 0.8 * signed, "{before} of {signed}");
}

/// Told to stop, method D ends with what it has, which is a bound.
#[test]
fn method_d_can_be_ended_at_any_time() {
    let network = network(12, 2, &[(4, Activation::Relu)]);
    let domain = Domain::cube(2, -1.0, 1.0).unwrap();
    let request = Request { method: Method::D, ..Request::degrees(Degrees::All(6)) };
    let mut calls = 0;
    let made = approximate_watched(&network, &domain, &request, &mut |_, _| {
        calls += 1;
        calls < 3
    })
    .unwrap();
    assert_eq!(calls, 3);
    let parts = made.certificate.division.as_ref().unwrap().splits.iter().filter(|s| s.is_none());
    assert!((2..=64).contains(&parts.count()));
    holds(&network, &domain, &made);
}
