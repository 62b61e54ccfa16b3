//! The promise: the cost is told first, the expansion is exact, and equality is decided, not guessed.

use crate::common::shapes::{Shape, shapes};
use crate::common::{Parameters, Stream, affine};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use proptest::prelude::*;
use slnn::expand::{
    Coefficients, Expansion, Limits, Method, Model, compare, expand, expand_watched, plan,
    prove_equal,
};
use slnn::network::{
    Activation, Affine, Basis, Conv, Family, Head, Input, Layer, Network, Slaf, Window,
};
use slnn::polynomial::Packed;
use slnn::{Error, Polynomial};

const SEED: [u8; 32] = [7; 32];

fn no_limits() -> Limits {
    Limits { terms: u64::MAX, bytes: u64::MAX, seconds: None, operations: Some(f64::MAX) }
}

/// Too small for any expansion of degree above 1.
fn tight() -> Limits {
    Limits { terms: 1, ..no_limits() }
}

fn equal(a: &Model, b: &Model, limits: &Limits) -> slnn::expand::Comparison {
    compare(a, b, None, limits, SEED).unwrap()
}

/// The network with its first hidden layer's neurons in reverse order: the same function.
fn reversed(shape: &Shape) -> Network {
    let network = shape.network();
    let mut layers = network.layers().to_vec();
    let flip = |a: &ndarray::Array2<BigRational>, axis: usize| {
        let mut a = a.clone();
        a.invert_axis(ndarray::Axis(axis));
        a
    };
    let (Layer::Affine(first), Layer::Slaf(slaf), Layer::Affine(second)) =
        (&layers[0], &layers[1], &layers[2])
    else {
        unreachable!()
    };
    let mut bias = first.bias().to_exact();
    bias.invert_axis(ndarray::Axis(0));
    let first = Affine::new(flip(&first.weight().to_exact(), 0), bias).unwrap();
    let coefficients = flip(&slaf.coefficients().to_exact(), 0);
    let slaf = Slaf::new(Basis::Monomial, coefficients).unwrap();
    let second =
        Affine::new(flip(&second.weight().to_exact(), 1), second.bias().to_exact()).unwrap();
    layers.splice(0..3, [Layer::Affine(first), Layer::Slaf(slaf), Layer::Affine(second)]);
    let (inputs, outputs) = (network.inputs().to_vec(), network.outputs().to_vec());
    Network::new(inputs, outputs, layers, network.head()).unwrap()
}

fn monomial(mut shape: Shape) -> Shape {
    shape.hidden.iter_mut().for_each(|layer| layer.2 = 0);
    shape
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_plan_bounds_the_expansion(
        shape in shapes(vec![Parameters::Small, Parameters::Full, Parameters::Rational], 8),
    ) {
        let network = shape.network();
        let plan = plan(&network, None).unwrap();
        let expansion = expand(&network, &no_limits()).unwrap();
        prop_assert!(expansion.terms() as u128 <= plan.terms);
        prop_assert!(u128::from(expansion.degree()) <= plan.degree);
        if shape.parameters != Parameters::Rational {
            // One power of two serves all: the integer coefficients fit the predicted bits.
            for p in expansion.rational().unwrap() {
                let common = p.terms().map(|(_, c)| c.denom().bits()).max().unwrap_or(1);
                for (_, c) in p.terms() {
                    let integer = c.abs() * BigRational::from(BigInt::one() << (common - 1));
                    prop_assert!(integer.is_integer());
                    prop_assert!(integer.to_integer().bits() as f64 <= plan.bits + 1.0);
                }
            }
        }
    }

    #[test]
    fn the_low_degree_part_is_that_of_the_whole(
        shape in shapes(vec![Parameters::Small, Parameters::Rational], 8),
        degree in 0_u32..6,
    ) {
        let network = shape.network();
        let whole = expand(&network, &no_limits()).unwrap();
        let (part, plan) =
            expand_watched(&network, Some(degree), &no_limits(), &mut |_| Ok(())).unwrap();
        for (part, whole) in part.rational().unwrap().iter().zip(whole.rational().unwrap()) {
            prop_assert_eq!(part, &whole.truncate(degree));
        }
        prop_assert!(part.terms() as u128 <= plan.terms);
        prop_assert_eq!(part.truncated().is_some(), shape.degree() as u32 > degree
            && slnn::expand::plan(&network, None).unwrap().degree > u128::from(degree));
    }

    #[test]
    fn comparison_finds_equality_and_every_change(
        shape in shapes(vec![Parameters::Full], 6),
        which: u64,
    ) {
        let mut shape = monomial(shape);
        shape.hidden.iter_mut().for_each(|layer| layer.3 = false);
        let network = shape.network();
        let (a, b) = (Model::Network(network.clone()), Model::Network(reversed(&shape)));
        let expansion = expand(&network, &no_limits()).unwrap();
        let p = Model::Expansion(expansion.clone());
        for other in [&b, &p] {
            let answer = equal(&a, other, &no_limits());
            prop_assert_eq!(answer.equal, Some(true));
            // Without room for the expansion the answer is a probability, never the word equal.
            if shape.degree() > 1 && matches!(other, Model::Network(_)) && shape.hidden[0].0 > 1 {
                let answer = equal(&a, other, &tight());
                prop_assert_eq!(answer.method, Method::RandomModular);
                prop_assert_eq!(answer.equal, None);
                prop_assert!(answer.error_probability.unwrap() <= 2_f64.powi(-100));
            }
        }
        // Change one coefficient by one part in 2^300: both ways of comparing notice.
        let o = which as usize % shape.outputs;
        let mut changed = expansion.rational().unwrap().to_vec();
        let tiny = BigRational::new(BigInt::one(), BigInt::one() << 300_u32);
        let term = which as usize % changed[o].len();
        let exponents = changed[o].terms().nth(term).unwrap().0.to_vec();
        let change = Polynomial::from_terms(shape.inputs, [(exponents, tiny)]).unwrap();
        changed[o] = &changed[o] + &change;
        let changed = Model::Expansion(
            Expansion::new(
                expansion.variables().to_vec(),
                expansion.outputs().to_vec(),
                Coefficients::Rational(changed),
                expansion.head(),
            )
            .unwrap(),
        );
        for limits in [no_limits(), tight()] {
            let answer = equal(&a, &changed, &limits);
            prop_assert_eq!(answer.equal, Some(false));
            // The point given is a witness.
            let at = answer.at.unwrap();
            let Model::Expansion(changed) = &changed else { unreachable!() };
            let values: Vec<_> =
                changed.rational().unwrap().iter().map(|p| p.evaluate(&at).unwrap()).collect();
            prop_assert_ne!(values, network.forward_exact(&at).unwrap());
        }
    }

    #[test]
    fn rounding_is_recognised(shape in shapes(vec![Parameters::Full], 6)) {
        let network = shape.network();
        let expansion = expand(&network, &no_limits()).unwrap();
        let (rounded, underflowed) = expansion.to_f64().unwrap();
        prop_assert_eq!(underflowed, 0);
        let a = Model::Network(network);
        let answer = equal(&a, &Model::Expansion(rounded.clone()), &no_limits());
        prop_assert_eq!(answer.equal_after_rounding, Some(true));
        // One coefficient one ulp off is no rounding.
        let Coefficients::Float(mut polynomials) = rounded.coefficients().clone() else {
            unreachable!()
        };
        let mut terms: Vec<_> =
            polynomials[0].terms().map(|(e, c)| (e.to_vec(), *c)).collect();
        terms[0].1 = terms[0].1.next_up();
        polynomials[0] = Polynomial::from_terms(shape.inputs, terms).unwrap();
        let off = Expansion::new(
            rounded.variables().to_vec(),
            rounded.outputs().to_vec(),
            Coefficients::Float(polynomials),
            rounded.head(),
        )
        .unwrap();
        let answer = equal(&a, &Model::Expansion(off), &no_limits());
        prop_assert_eq!(answer.equal, Some(false));
        prop_assert_eq!(answer.equal_after_rounding, Some(false));
    }
}

/// The same expansion in the form of polynomials of millions of terms.
fn packed(expansion: &Expansion) -> Expansion {
    let polynomials = expansion.rational().unwrap().iter();
    let packed = polynomials.map(|p| Packed::from_polynomial(p).unwrap()).collect();
    let (variables, outputs) = (expansion.variables().to_vec(), expansion.outputs().to_vec());
    Expansion::new(variables, outputs, Coefficients::Packed(packed), expansion.head())
        .unwrap()
        .with_centre(expansion.centre().map(<[_]>::to_vec))
        .unwrap()
        .with_truncated(expansion.truncated())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn packed_expansions_are_compared_proved_and_evaluated_like_others(
        shape in shapes(vec![Parameters::Small, Parameters::Full, Parameters::Rational], 4),
        which: u64,
        values in proptest::collection::vec(-9.0_f64..9.0, 24),
    ) {
        let network = shape.network();
        let n = shape.inputs;
        let plain = expand(&network, &no_limits()).unwrap();
        let own = packed(&plain);
        prop_assert_eq!(&own, &plain);
        prop_assert_eq!(&plain, &own);
        prop_assert_eq!((own.terms(), own.degree()), (plain.terms(), plain.degree()));
        prop_assert_eq!(prove_equal(&network, &own).unwrap(), prove_equal(&network, &plain).unwrap());
        for o in 0..shape.outputs {
            prop_assert!(own.exact_terms(o).eq(plain.exact_terms(o)));
            prop_assert_eq!(own.terms_of(o), plain.terms_of(o));
        }

        // Values within their bounds of each other, about a centre too.
        let points = ndarray::Array2::from_shape_fn((6, n), |(row, i)| values[(row * 4 + i) % 24]);
        let centre: Vec<_> = (0..n).map(|i| BigRational::new(BigInt::from(i + 1), 7.into())).collect();
        let moved = plain.recentred(&centre).unwrap();
        let again = expand(&network.moved(&centre).unwrap(), &no_limits()).unwrap();
        prop_assert_eq!(&again.with_centre(Some(centre.clone())).unwrap(), &moved);
        // Where SLAFs come first, which take no point.
        let (inputs, outputs) = (network.inputs().to_vec(), network.outputs().to_vec());
        let squares = Slaf::new(Basis::Monomial, ndarray::array![[0.5, 1.0, 0.25]]).unwrap();
        let layers = [Layer::Slaf(squares)].into_iter().chain(network.layers().iter().cloned());
        let first = Network::new(inputs, outputs, layers.collect(), network.head()).unwrap();
        let moved_first = expand(&first, &no_limits()).unwrap().recentred(&centre).unwrap();
        let again = expand(&first.moved(&centre).unwrap(), &no_limits()).unwrap();
        prop_assert_eq!(&again.with_centre(Some(centre)).unwrap(), &moved_first);
        for (own, plain) in [(&own, &plain), (&packed(&moved), &moved)] {
            let (x, a) = own.forward_with_bounds(points.view()).unwrap();
            let (y, b) = plain.forward_with_bounds(points.view()).unwrap();
            for ((x, a), (y, b)) in x.iter().zip(&a).zip(y.iter().zip(&b)) {
                prop_assert!((x - y).abs() <= (a + b) * (1.0 + 1e-12), "{} {}", x, y);
            }
        }

        // With the inputs in another order, which are matched by name.
        let mut changed = plain.rational().unwrap().to_vec();
        let o = which as usize % shape.outputs;
        let exponents = slnn::polynomial::monomials(n, 2).nth(which as usize % (n + 1)).unwrap();
        let one = Polynomial::from_terms(n, [(exponents, BigRational::one())]).unwrap();
        changed[o] = &changed[o] + &one;
        let changed = |form: fn(&Expansion) -> Expansion| {
            let (variables, outputs) = (plain.variables().to_vec(), plain.outputs().to_vec());
            let coefficients = Coefficients::Rational(changed.clone());
            form(&Expansion::new(variables, outputs, coefficients, plain.head()).unwrap())
        };
        let network = Model::Network(network);
        for limits in [no_limits(), tight()] {
            for (a, b) in [
                (&network, &own), (&Model::Expansion(own.clone()), &plain),
                (&Model::Expansion(plain.clone()), &backwards(&own)), (&network, &packed(&moved)),
            ] {
                let answer = equal(a, &Model::Expansion(b.clone()), &limits);
                prop_assert!(answer.equal == Some(true) || answer.error_probability.is_some());
            }
            for changed in [changed(packed), backwards(&changed(packed)), changed(Expansion::clone)] {
                for a in [&network, &Model::Expansion(own.clone()), &Model::Expansion(plain.clone())] {
                    let answer = equal(a, &Model::Expansion(changed.clone()), &limits);
                    prop_assert_eq!(answer.equal, Some(false));
                    let at = answer.at.unwrap();
                    prop_assert!(!one.evaluate(&at).unwrap().is_zero(), "a witness");
                }
            }
        }
        let (rounded, _) = own.to_f64().unwrap();
        prop_assert_eq!(&rounded, &plain.to_f64().unwrap().0);
        let answer = equal(&Model::Expansion(own), &Model::Expansion(rounded), &no_limits());
        prop_assert_eq!(answer.equal_after_rounding, Some(true));
    }
}

/// The same packed expansion with its variables in the reverse order.
fn backwards(expansion: &Expansion) -> Expansion {
    let n = expansion.variables().len();
    let order: Vec<usize> = (0..n).rev().collect();
    let Coefficients::Packed(polynomials) = expansion.coefficients() else { unreachable!() };
    let moved = polynomials.iter().map(|p| p.permuted(&order).unwrap()).collect();
    let variables = order.iter().map(|&i| expansion.variables()[i].clone()).collect();
    let outputs = expansion.outputs().to_vec();
    Expansion::new(variables, outputs, Coefficients::Packed(moved), expansion.head()).unwrap()
}

#[test]
fn random_evaluation_tells_models_apart() {
    let network = deep(3, 2, 3);
    let a = Model::Network(network.clone());
    let same = equal(&a, &bare_twin(&a), &tight());
    assert_eq!((same.equal, same.method), (None, Method::RandomModular));
    // The last bit of any one weight of the first layer.
    let Layer::Affine(first) = &network.layers()[0] else { unreachable!() };
    for i in 0..first.weight().rows() {
        let mut weight = first.weight().to_f64().into_owned();
        weight[(i, 1)] = weight[(i, 1)].next_up();
        let mut layers = network.layers().to_vec();
        layers[0] = Layer::Affine(Affine::new(weight, first.bias().clone()).unwrap());
        let (inputs, outputs) = (network.inputs().to_vec(), network.outputs().to_vec());
        let other = Network::new(inputs, outputs, layers, Head::Identity).unwrap();
        let answer = equal(&a, &Model::Network(other), &tight());
        assert_eq!((answer.equal, answer.method), (Some(false), Method::RandomModular));
    }
}

#[test]
fn the_error_probability_follows_the_theorem() {
    // One neuron and one power: y = x^3 with integer parameters, so everything is known by hand.
    let network = |last: f64| {
        let layers = vec![
            Layer::Affine(Affine::new(ndarray::array![[1.0]], ndarray::array![0.0]).unwrap()),
            Layer::Slaf(
                Slaf::new(Basis::Monomial, ndarray::array![[0.0, 0.0, 0.0, last]]).unwrap(),
            ),
        ];
        Network::new(vec![Input::named("x")], vec!["y".into()], layers, Head::Identity).unwrap()
    };
    let a = Model::Network(network(1.0));
    let answer = equal(&a, &bare_twin(&a), &tight());
    let probability = answer.error_probability.unwrap();
    // Two draws are enough: each errs with at least 3 / 2^62, and at most 3 / 2^61 and a few bits
    // out of 61 over 2^55.
    assert!(probability <= 2_f64.powi(-100), "{probability}");
    assert!(probability >= (3.0 / 2_f64.powi(62)).powi(2), "{probability}");
}

fn deep(inputs: usize, layers: usize, degree: usize) -> Network {
    Shape {
        inputs,
        hidden: vec![(4, degree, 0, false); layers],
        outputs: 1,
        parameters: Parameters::Full,
        seed: 5,
    }
    .network()
}

#[test]
fn what_would_explode_is_refused_with_its_cost_and_a_way_out() {
    for network in [deep(30, 4, 4), deep(5, 40, 9), deep(1, 60, 9)] {
        let Err(Error::TooLarge(refusal)) = expand(&network, &Limits::default()) else {
            panic!("an expansion of this size must be refused");
        };
        assert!(!refusal.count.is_empty() && refusal.bytes > 0.0);
        assert!(refusal.advice.contains("low degree"), "{refusal}");
        // The plan itself is cheap and finite in any case.
        let plan = plan(&network, None).unwrap();
        assert!(plan.check(&Limits::default()).is_err());
        // Its low-degree part is not refused where that is small.
        if network.layers().len() < 10 {
            let low = expand_watched(&network, Some(1), &Limits::default(), &mut |_| Ok(()));
            assert!(low.unwrap().0.terms() <= 31);
        }
    }
    let limits = Limits { seconds: Some(0.0), ..no_limits() };
    assert!(matches!(expand(&deep(3, 2, 3), &limits), Err(Error::TooLarge(_))));
    let limits = Limits { bytes: 100, ..no_limits() };
    assert!(expand(&deep(3, 2, 3), &limits).unwrap_err().to_string().contains("100 bytes"));
}

#[test]
fn what_would_not_fit_is_refused_before_it_is_written_out() {
    let refused = |network: &Network, part: &str| match plan(network, None) {
        Err(Error::TooLarge(refusal)) => {
            let text = refusal.to_string();
            assert!(text.contains(part), "{text}");
        }
        other => panic!("{other:?}"),
    };
    // 90,000 weights in a file are 2 * 10^8 at all places of the image.
    let conv = |from: usize, to: usize| {
        let window = Window::new([48, 48, from], [1, 1], [1, 1], [0, 0]).unwrap();
        let weight = ndarray::Array2::from_elem((to, from), 1.0);
        Layer::Conv(Conv::new(window, weight, ndarray::Array1::<f64>::zeros(to)).unwrap())
    };
    let inputs = (0..48 * 48).map(|i| Input::named(format!("x{i}"))).collect();
    let outputs = (0..48 * 48 * 300).map(|i| format!("y{i}")).collect();
    let layers = vec![conv(1, 300), conv(300, 300)];
    let network = Network::new(inputs, outputs, layers, Head::Identity).unwrap();
    refused(&network, "up to layer 1");

    let coefficients = ndarray::Array2::from_elem((1, 20_001), 1.0);
    let (centre, scale) = (ndarray::arr1(&[0.5]).into(), ndarray::arr1(&[1.0]).into());
    let basis = Basis::Orthogonal { family: Family::Chebyshev, centre, scale };
    let layers = vec![Layer::Slaf(Slaf::new(basis, coefficients).unwrap())];
    let inputs = vec![Input::named("x")];
    let network = Network::new(inputs, vec!["y".into()], layers, Head::Identity).unwrap();
    refused(&network, "the SLAFs up to layer 0");
}

#[test]
fn an_expansion_stops_when_told_to() {
    let network = deep(4, 2, 2);
    let mut steps = Vec::new();
    // A part of low degree is composed neuron by neuron.
    let stopped = expand_watched(&network, Some(3), &Limits::default(), &mut |step| {
        steps.push((step.layer, step.neuron));
        match steps.len() {
            6 => Err(Error::Interrupted { saved: "nothing to save".into() }),
            _ => Ok(()),
        }
    });
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    assert_eq!(steps, [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]);
}

#[test]
fn extreme_weights_expand_exactly() {
    let weights = ndarray::array![[1e-300, 1e300], [f64::MIN_POSITIVE, -f64::MAX]];
    let layers = vec![
        Layer::Affine(Affine::new(weights, ndarray::array![5e-324, 1.0]).unwrap()),
        Layer::Slaf(
            Slaf::new(Basis::Monomial, ndarray::array![[0.0, 1.0, 1e-308], [1.0, 0.0, 1e308]])
                .unwrap(),
        ),
        Layer::Affine(Affine::new(ndarray::array![[1.0, -1.0]], ndarray::array![0.0]).unwrap()),
    ];
    let inputs = vec![Input::named("a"), Input::named("b")];
    let network = Network::new(inputs, vec!["y".into()], layers, Head::Identity).unwrap();
    let expansion = expand(&network, &Limits::default()).unwrap();
    slnn::expand::prove_equal(&network, &expansion).unwrap();
    // Some of these coefficients are beyond f64: the answer is an error, not an infinity.
    assert!(expansion.to_f64().unwrap_err().to_string().contains("beyond the range"));
}

#[test]
fn cancellation_to_zero_leaves_no_term() {
    let layers = vec![
        Layer::Affine(
            Affine::new(ndarray::array![[1.0, 1.0], [1.0, 1.0]], ndarray::array![0.5, 0.5])
                .unwrap(),
        ),
        Layer::Slaf(Slaf::new(Basis::Monomial, ndarray::array![[1.0, 2.0, 3.0]]).unwrap()),
        Layer::Affine(Affine::new(ndarray::array![[1.0, -1.0]], ndarray::array![0.0]).unwrap()),
    ];
    let inputs = vec![Input::named("a"), Input::named("b")];
    let network = Network::new(inputs, vec!["y".into()], layers, Head::Identity).unwrap();
    let expansion = expand(&network, &Limits::default()).unwrap();
    assert!(expansion.rational().unwrap()[0].is_zero());
    slnn::expand::prove_equal(&network, &expansion).unwrap();
}

fn conventional(function: Activation, seed: u64) -> Network {
    let mut stream = Stream::new(seed, Parameters::Full);
    let layers =
        vec![affine(&mut stream, 3, 2), Layer::Activation(function), affine(&mut stream, 1, 3)];
    let input = |name: &str| Input { name: name.into(), lower: Some(-1.0), upper: Some(1.0) };
    Network::new(vec![input("a"), input("b")], vec!["y".into()], layers, Head::Identity).unwrap()
}

#[test]
fn conventional_networks_are_told_apart_by_a_proven_point() {
    for function in [Activation::Relu, Activation::Tanh, Activation::Gelu] {
        let (a, b) = (conventional(function, 1), conventional(function, 2));
        let same = equal(&Model::Network(a.clone()), &Model::Network(a.clone()), &no_limits());
        assert_eq!((same.equal, same.method), (Some(true), Method::SameLayers));
        let other = equal(&Model::Network(a.clone()), &Model::Network(b), &no_limits());
        assert_eq!((other.equal, other.method), (Some(false), Method::Point));
        assert!(other.largest_difference.unwrap() > 0.0);
        let at = other.at.unwrap();
        assert!(at.iter().all(|x| x.abs() <= BigRational::one()));
        // A network without a box of its own needs one.
        let mut bare = a.inputs().to_vec();
        bare.iter_mut().for_each(|input| (input.lower, input.upper) = (None, None));
        let bare = Model::Network(
            Network::new(
                bare,
                a.outputs().to_vec(),
                conventional(function, 3).layers().to_vec(),
                Head::Identity,
            )
            .unwrap(),
        );
        let text =
            compare(&bare, &bare_twin(&bare), None, &no_limits(), SEED).unwrap_err().to_string();
        assert!(text.contains("box"), "{text}");
        assert!(
            compare(&bare, &bare_twin(&bare), Some(&[(0.0, 1.0); 2]), &no_limits(), SEED).is_ok()
        );
    }
}

/// The same function with different layers: an identity layer at the end.
fn bare_twin(model: &Model) -> Model {
    let Model::Network(network) = model else { unreachable!() };
    let mut layers = network.layers().to_vec();
    layers.push(Layer::Activation(Activation::Identity));
    Model::Network(
        Network::new(network.inputs().to_vec(), network.outputs().to_vec(), layers, network.head())
            .unwrap(),
    )
}

#[test]
fn mismatched_faces_are_errors() {
    let (a, b) = (Model::Network(deep(2, 1, 2)), Model::Network(deep(3, 1, 2)));
    let text = compare(&a, &b, None, &no_limits(), SEED).unwrap_err().to_string();
    assert!(text.contains("3 inputs") && text.contains('2'), "{text}");
    let zero = Expansion::new(
        vec!["x".into()],
        vec!["y".into()],
        Coefficients::Rational(vec![Polynomial::zero(2)]),
        Head::Identity,
    );
    assert!(zero.is_err());
}

/// `layers` of two neurons of degree 3 in two inputs, the last coefficient given.
fn tower(layers: usize, last: f64) -> Network {
    let affine = || {
        let weight = ndarray::array![[1.1, 0.3], [0.2, 0.4]];
        Layer::Affine(Affine::new(weight, ndarray::array![0.1, 0.2]).unwrap())
    };
    let slaf =
        || Layer::Slaf(Slaf::new(Basis::Monomial, ndarray::array![[0.1, 0.3, 0.7, last]]).unwrap());
    let layers = (0..layers).flat_map(|_| [affine(), slaf()]).collect();
    let inputs = vec![Input::named("a"), Input::named("b")];
    Network::new(inputs, vec!["y".into(), "z".into()], layers, Head::Identity).unwrap()
}

#[test]
fn what_would_take_hours_is_answered_at_random() {
    // More products of long numbers than the default allows.
    let network = deep(5, 2, 9);
    let limits = Limits { terms: u64::MAX, bytes: u64::MAX, ..Limits::default() };
    assert!(plan(&network, None).unwrap().operations > 1e9);
    let a = Model::Network(network);
    let answer = equal(&a, &bare_twin(&a), &limits);
    assert_eq!((answer.equal, answer.method), (None, Method::RandomModular));
    assert!(answer.error_probability.unwrap() <= 2_f64.powi(-100));
    assert!(answer.reasons[0].contains("operations"), "{:?}", answer.reasons);
}

#[test]
fn one_point_proves_a_difference_of_any_degree() {
    for layers in [30, 60, 700] {
        let (a, b) = (tower(layers, 0.2), tower(layers, 0.21));
        let answer = equal(&Model::Network(a.clone()), &Model::Network(b), &Limits::default());
        assert_eq!((answer.equal, answer.method), (Some(false), Method::RandomModular));
        let a = Model::Network(a);
        let answer = equal(&a, &bare_twin(&a), &Limits::default());
        assert_eq!(answer.equal, None);
        let small = answer.error_probability.is_some_and(|p| p <= 2_f64.powi(-100));
        assert_eq!(small, layers == 30);
        if !small {
            // Nothing is claimed, and the message says why.
            assert_eq!(answer.error_probability, None);
            assert!(answer.reasons[0].contains("too large for primes"), "{:?}", answer.reasons);
        }
    }
}

/// `layers` and a ReLU behind them, on the box [-1, 1].
fn with_relu(mut layers: Vec<Layer>) -> Model {
    layers.push(Layer::Activation(Activation::Relu));
    let input = Input { name: "a".into(), lower: Some(-1.0), upper: Some(1.0) };
    Model::Network(Network::new(vec![input], vec!["y".into()], layers, Head::Identity).unwrap())
}

#[test]
fn points_where_f64_overflows_are_compared_exactly() {
    let overflowing = |bias: f64| {
        let affine = |w, b| Layer::Affine(Affine::new(w, b).unwrap());
        with_relu(vec![
            affine(ndarray::array![[1e200], [1e200]], ndarray::array![0.0, 0.0]),
            Layer::Slaf(Slaf::new(Basis::Monomial, ndarray::array![[0.0, 0.0, 1.0]]).unwrap()),
            affine(ndarray::array![[1.0, -1.0]], ndarray::array![bias]),
        ])
    };
    let answer = equal(&overflowing(0.0), &overflowing(2.0), &no_limits());
    assert_eq!((answer.equal, answer.method), (Some(false), Method::Point));
    assert_eq!(answer.largest_difference, Some(2.0));
    // The width of this box is beyond f64, and every point of it is a point.
    let identity = |bias: f64| {
        let affine = Affine::new(ndarray::array![[1.0]], ndarray::array![bias]).unwrap();
        with_relu(vec![Layer::Affine(affine)])
    };
    let whole = [(-f64::MAX, f64::MAX)];
    let answer =
        compare(&identity(0.0), &identity(1e300), Some(&whole), &no_limits(), SEED).unwrap();
    assert_eq!((answer.equal, answer.at.unwrap().len()), (Some(false), 1));
}

#[test]
fn a_point_of_unbounded_cost_is_left_undecided() {
    let deep = |last: f64| {
        let layers = (0..12).flat_map(|_| {
            let affine = Affine::new(ndarray::array![[1.1]], ndarray::array![0.1]).unwrap();
            let row = ndarray::array![[0.1, 0.3, 0.7, 0.2, 0.5, 0.2, 0.1, last]];
            [Layer::Affine(affine), Layer::Slaf(Slaf::new(Basis::Monomial, row).unwrap())]
        });
        with_relu(layers.collect())
    };
    let answer = equal(&deep(0.3), &deep(0.31), &no_limits());
    assert_eq!((answer.equal, answer.method), (None, Method::Sampling));
}

#[test]
fn rounding_is_recognised_about_a_centre_and_up_to_a_degree() {
    let network = deep(2, 2, 2);
    let whole = expand(&network, &no_limits()).unwrap();
    let third = BigRational::new(BigInt::from(1), BigInt::from(3));
    let centred = whole.recentred(&[third.clone(), -third]).unwrap();
    let part = expand_watched(&network, Some(2), &no_limits(), &mut |_| Ok(())).unwrap().0;
    let a = Model::Network(network);
    for expansion in [centred, part] {
        let rounded = Model::Expansion(expansion.to_f64().unwrap().0);
        for (a, b) in [(&a, &rounded), (&rounded, &a)] {
            let answer = equal(a, b, &no_limits());
            assert_eq!(answer.equal, Some(false));
            assert_eq!(answer.equal_after_rounding, Some(true));
        }
    }
}
