//! The promise: the part of low degree is that of the whole expansion, about any centre; f64
//! coefficients are within their stated errors.

use crate::common::shapes::{Shape, shapes};
use crate::common::{Parameters, Stream, affine, slaf};
use ndarray::{Array1, Array2, array};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use proptest::prelude::*;
use slnn::expand::{
    Coefficients, Computed, Expansion, Limits, Numbers, Part, expand_part, expand_watched,
    plan_part,
};
use slnn::network::{Activation, Affine, Basis, Group, Head, Input, Layer, Mixed, Network, Slaf};
use slnn::numeric::rational::rational_from_f64;
use slnn::{Error, Polynomial};

fn no_limits() -> Limits {
    Limits { terms: u64::MAX, bytes: u64::MAX, seconds: None, operations: Some(f64::MAX) }
}

/// By symbolic composition, truncated after every product.
fn oracle(network: &Network, q: u32) -> Expansion {
    expand_watched(network, Some(q), &no_limits(), &mut |_| Ok(())).unwrap().0
}

fn part(
    network: &Network,
    q: u32,
    centre: Option<&[BigRational]>,
    numbers: Numbers,
) -> (Expansion, Computed) {
    let part = Part { max_degree: q, centre, numbers };
    let (expansion, _, computed) =
        expand_part(network, &part, &no_limits(), &mut |_| Ok(())).unwrap();
    (expansion, computed)
}

/// Every exact coefficient is within the stated error of the f64 one, and the errors are at most 1e-6 of
/// the largest of their degree.
fn check_errors(float: &Expansion, exact: &[Polynomial<BigRational>], tolerance: bool) {
    let Coefficients::Float(values) = float.coefficients() else { panic!("f64") };
    let errors = float.errors().unwrap();
    let number = |x: Option<&f64>| rational_from_f64(x.copied().unwrap_or(0.0)).unwrap();
    for ((values, errors), exact) in values.iter().zip(errors).zip(exact) {
        let difference = &values.map(|c| rational_from_f64(*c).unwrap()) - exact;
        for (exponents, c) in difference.terms() {
            let error = number(errors.coefficient(exponents));
            assert!(c.abs() <= error, "{exponents:?}: off by {c}, error {error}");
        }
        if tolerance {
            for k in 0..=errors.degree().unwrap_or(0) {
                let part = exact.homogeneous_part(k);
                let largest =
                    part.coefficients().iter().map(Signed::abs).max().unwrap_or_else(Zero::zero);
                for (_, e) in errors.homogeneous_part(k).terms() {
                    let rounded = rational_from_f64(f64::from_bits(1)).unwrap();
                    let allowed = &largest / BigRational::from(BigInt::from(1_000_000)) + rounded;
                    assert!(number(Some(e)) <= allowed, "degree {k}: error {e}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_exact_part_is_that_of_composition(
        shape in shapes(vec![Parameters::Small, Parameters::Full, Parameters::Rational], 16),
        q in 0_u32..6,
    ) {
        let network = shape.network();
        let oracle = oracle(&network, q);
        let (exact, computed) = part(&network, q, None, Numbers::Rational);
        prop_assert_eq!(computed, Computed::Exact);
        prop_assert_eq!(&exact, &oracle);
        let (float, _) = part(&network, q, None, Numbers::Float);
        check_errors(&float, oracle.rational().unwrap(), true);
        prop_assert_eq!(float.truncated(), oracle.truncated());
    }

    #[test]
    fn any_centre_is_as_good(
        shape in shapes(vec![Parameters::Small, Parameters::Full, Parameters::Rational], 6),
        q in 0_u32..7,
        seed: u64,
    ) {
        let network = shape.network();
        let mut stream = Stream::new(seed, Parameters::Rational);
        let centre: Vec<_> = (0..shape.inputs).map(|_| stream.rational()).collect();
        // The whole, moved, and then cut.
        let whole = oracle(&network, u32::MAX).recentred(&centre).unwrap();
        let cut: Vec<_> = whole.rational().unwrap().iter().map(|p| p.truncate(q)).collect();
        let (exact, _) = part(&network, q, Some(&centre), Numbers::Rational);
        prop_assert_eq!(exact.rational().unwrap(), &cut[..]);
        prop_assert_eq!(exact.centre(), Some(&centre[..]));
        let (float, _) = part(&network, q, Some(&centre), Numbers::Float);
        check_errors(&float, &cut, true);
    }

    #[test]
    fn layers_of_every_kind(seed: u64, q in 0_u32..7, parameters in prop::sample::select(vec![
        Parameters::Small, Parameters::Full, Parameters::Rational,
    ])) {
        // A SLAF on the inputs, SLAFs in a row, neurons of several degrees, a neuron that is the
        // identity, affine layers in a row, a SLAF for an output; more neurons than one block.
        let mut s = Stream::new(seed, parameters);
        let wide = 4 + s.below(20) as usize;
        let group = |neurons: Vec<usize>, part| Group { neurons, part };
        let mixed = Mixed::new(vec![
            group(vec![1], Activation::Identity.into_part()),
            group((0..wide).filter(|i| *i != 1 && i % 2 == 0).collect(), slaf_part(&mut s, wide, 3)),
            group((0..wide).filter(|i| *i != 1 && i % 2 == 1).collect(), slaf_part(&mut s, wide, 1)),
        ]).unwrap();
        let layers = vec![
            Layer::Slaf(slaf(&mut s, 3, 2, 0, false)),
            affine(&mut s, wide, 3),
            Layer::Mixed(mixed),
            affine(&mut s, 2, wide),
            affine(&mut s, 4, 2),
            Layer::Slaf(slaf(&mut s, 4, 2, 2, true)),
            Layer::Slaf(slaf(&mut s, 4, 2, 0, false)),
            affine(&mut s, 2, 4),
            Layer::Slaf(slaf(&mut s, 2, 1, 0, false)),
        ];
        let network = named(3, 2, layers);
        let oracle = oracle(&network, q);
        prop_assert_eq!(&part(&network, q, None, Numbers::Rational).0, &oracle);
        check_errors(&part(&network, q, None, Numbers::Float).0, oracle.rational().unwrap(), true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn hostile_numbers(seed: u64, q in 0_u32..4, size in prop::sample::select(vec![
        1e-300, 1e-160, 1e-80, 1e-20, 1e20, 1e75, 1e150, 1e300,
    ])) {
        // One weight far from the others, differences that cancel to zero or nearly so.
        let mut s = Stream::new(seed, Parameters::Full);
        let mut weight = s.matrix(4, 2).to_f64().into_owned();
        weight[(s.below(4) as usize, s.below(2) as usize)] = size;
        for j in 0..2 {
            weight[(3, j)] = weight[(2, j)];
        }
        let bias = array![0.5, -1.0, s.float(), 0.0];
        let bias = array![bias[0], bias[1], bias[2], bias[2]];
        let c = Array2::from_shape_fn((1, 4), |_| s.float());
        let last = array![[s.float(), s.float(), 1.0, -1.0], [0.0, 0.0, 1.0, -1.0 + 1e-12]];
        let network = named(2, 2, vec![
            Layer::Affine(Affine::new(weight, bias).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, c.clone()).unwrap()),
            Layer::Affine(Affine::new(Array2::<f64>::eye(4), Array1::<f64>::zeros(4)).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, c).unwrap()),
            Layer::Affine(Affine::new(last, array![0.0, 1.0]).unwrap()),
        ]);
        let oracle = oracle(&network, q);
        prop_assert_eq!(&part(&network, q, None, Numbers::Rational).0, &oracle);
        let wanted = Part { max_degree: q, centre: None, numbers: Numbers::Float };
        match expand_part(&network, &wanted, &no_limits(), &mut |_| Ok(())) {
            Ok((float, ..)) => check_errors(&float, oracle.rational().unwrap(), false),
            // Only because a coefficient is beyond f64.
            Err(e) => prop_assert!(oracle.to_f64().is_err(), "{}", e),
        }
    }
}

#[test]
fn bounds_hold_where_rational_weights_are_below_f64() {
    let power = |exponent: i32| BigRational::from_integer(2.into()).pow(exponent);
    let third = |exponent: i32| power(exponent) / BigRational::from_integer(3.into());
    let chain = |weights: &[BigRational]| {
        let layer = |w: &BigRational| {
            let zero = BigRational::from_integer(0.into());
            Layer::Affine(Affine::new(array![[w.clone()]], array![zero]).unwrap())
        };
        named(1, 1, weights.iter().map(layer).collect())
    };
    for weights in [
        // A weight alone, whose square is 0 in f64.
        vec![third(-700)],
        vec![third(-1073)],
        // One that is not normal, and one that is 0 in f64, after a large one.
        vec![power(500), third(-1060)],
        vec![power(900), third(-1090)],
        vec![power(900), third(-1090), power(600)],
        vec![third(-1090), power(900)],
    ] {
        let network = chain(&weights);
        let oracle = oracle(&network, 1);
        check_errors(&part(&network, 1, None, Numbers::Float).0, oracle.rational().unwrap(), false);
    }
    // As a coefficient of a SLAF.
    for tiny in [third(-1060), third(-1090)] {
        let zero = BigRational::from_integer(0.into());
        let row = array![[zero.clone(), zero, tiny]];
        let large = Affine::new(array![[power(450)]], array![third(-3)]).unwrap();
        let slaf = Slaf::new(Basis::Monomial, row).unwrap();
        let network = named(1, 1, vec![Layer::Affine(large), Layer::Slaf(slaf)]);
        let oracle = oracle(&network, 2);
        check_errors(&part(&network, 2, None, Numbers::Float).0, oracle.rational().unwrap(), false);
    }
}

trait IntoPart {
    fn into_part(self) -> slnn::network::Part;
}

impl IntoPart for Activation {
    fn into_part(self) -> slnn::network::Part {
        slnn::network::Part::Activation(self)
    }
}

/// A SLAF shared by all neurons of a group.
fn slaf_part(s: &mut Stream, neurons: usize, degree: usize) -> slnn::network::Part {
    slnn::network::Part::Slaf(slaf(s, neurons, degree, 0, true))
}

fn named(inputs: usize, outputs: usize, layers: Vec<Layer>) -> Network {
    let inputs = (1..=inputs).map(|i| Input::named(format!("x{i}"))).collect();
    let outputs = (1..=outputs).map(|o| format!("y{o}")).collect();
    Network::new(inputs, outputs, layers, Head::Identity).unwrap()
}

#[test]
fn dead_inputs_and_constants() {
    let layers = |weight: Array2<f64>| {
        vec![
            Layer::Affine(Affine::new(weight, array![0.5, 0.25]).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, array![[1.0, 2.0, 3.0]]).unwrap()),
            Layer::Affine(Affine::new(array![[1.0, -1.0]], array![0.0]).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, array![[0.0, 1.0, 1.0]]).unwrap()),
        ]
    };
    let dead = array![[0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 0.0, 1.0]];
    for weight in [dead, Array2::zeros((2, 4))] {
        let network = named(4, 1, layers(weight));
        for q in 0..=5 {
            let oracle = oracle(&network, q);
            assert_eq!(part(&network, q, None, Numbers::Rational).0, oracle);
            let (float, _) = part(&network, q, None, Numbers::Float);
            check_errors(&float, oracle.rational().unwrap(), true);
            // Nothing is left out from the network's degree on, and nothing says so.
            assert_eq!(float.truncated().is_some(), oracle.truncated().is_some());
        }
    }
    // A SLAF of degree 0 makes all that follows constant.
    let network = named(
        1,
        1,
        vec![
            Layer::Slaf(Slaf::new(Basis::Monomial, array![[3.0, 0.0]]).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, array![[1.0, 2.0]]).unwrap()),
        ],
    );
    assert_eq!(part(&network, 3, None, Numbers::Rational).0, oracle(&network, 3));
}

#[test]
fn parts_that_vanish_are_found_exactly() {
    // f(x) - f(-x): the even parts are zero, which floating point alone does not prove.
    let c = array![[0.1, 0.7, -0.3, 0.2]];
    let network = named(
        2,
        1,
        vec![
            Layer::Affine(Affine::new(array![[0.3, 0.7], [-0.3, -0.7]], array![0.1, 0.1]).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, c).unwrap()),
            Layer::Affine(Affine::new(array![[1.1, -1.1]], array![0.0]).unwrap()),
        ],
    );
    let (float, computed) = part(&network, 3, None, Numbers::Float);
    assert_eq!(computed, Computed::Exact);
    check_errors(&float, oracle(&network, 3).rational().unwrap(), true);
    // Odd functions without biases need none of it: their zeros are exact.
    let odd = array![[0.0, 0.7, 0.0, 0.2]];
    let layers = |c: &Array2<f64>| {
        vec![
            Layer::Affine(Affine::new(array![[0.3, 0.7], [0.9, -0.2]], array![0.0, 0.0]).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, c.clone()).unwrap()),
            Layer::Affine(Affine::new(array![[1.1, -1.3], [0.4, 0.2]], array![0.0, 0.0]).unwrap()),
            Layer::Slaf(Slaf::new(Basis::Monomial, c.clone()).unwrap()),
        ]
    };
    let network = named(2, 2, layers(&odd));
    let (float, _) = part(&network, 4, None, Numbers::Float);
    check_errors(&float, oracle(&network, 4).rational().unwrap(), true);
    assert!(float.errors().unwrap()[0].terms().all(|(e, _)| e.iter().sum::<u32>() % 2 == 1));
}

#[test]
fn plans_bound_what_is_done_and_refuse() {
    let shape = Shape {
        inputs: 4,
        hidden: vec![(20, 4, 0, false), (20, 4, 0, false)],
        outputs: 2,
        parameters: Parameters::Full,
        seed: 5,
    };
    let network = shape.network();
    let wanted = Part { max_degree: 4, centre: None, numbers: Numbers::Rational };
    let plan = plan_part(&network, &wanted).unwrap();
    let (expansion, again, _) =
        expand_part(&network, &wanted, &no_limits(), &mut |_| Ok(())).unwrap();
    assert_eq!((plan.plan.terms, plan.plan.degree), (2 * 70, 4));
    assert_eq!(expansion.terms(), 2 * 70);
    assert_eq!(plan.plan.primes, again.plan.primes);
    let bits = expansion
        .rational()
        .unwrap()
        .iter()
        .flat_map(|p| p.coefficients())
        .map(|c| c.numer().bits().max(c.denom().bits()))
        .max()
        .unwrap();
    assert!(bits as f64 <= plan.plan.bits && plan.plan.primes as f64 * 25.0 > bits as f64);
    let few = Limits { terms: 100, ..no_limits() };
    let refused = expand_part(&network, &wanted, &few, &mut |_| Ok(()));
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    // A network of any degree is planned at once.
    let deep = Shape { hidden: vec![(8, 4, 0, true); 30], ..shape };
    let refused = plan_part(&deep.network(), &wanted).unwrap();
    assert!(refused.plan.primes > 1_000_000_000_000, "{refused:?}");
    let huge = Part { max_degree: u32::MAX, ..wanted };
    let refused = expand_part(&deep.network(), &huge, &Limits::default(), &mut |_| Ok(()));
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
}

#[test]
fn interruptions_and_wrong_requests_are_errors() {
    let shape = Shape {
        inputs: 2,
        hidden: vec![(3, 2, 0, false)],
        outputs: 1,
        parameters: Parameters::Full,
        seed: 5,
    };
    let network = shape.network();
    for numbers in [Numbers::Rational, Numbers::Float] {
        let wanted = Part { max_degree: 2, centre: None, numbers };
        let mut count = 0;
        let stopped = expand_part(&network, &wanted, &no_limits(), &mut |_| {
            count += 1;
            if count == 2 { Err(Error::Interrupted { saved: "nothing".into() }) } else { Ok(()) }
        });
        assert!(matches!(stopped, Err(Error::Interrupted { .. })));
        let short = [BigRational::one()];
        let wanted = Part { centre: Some(&short), ..wanted };
        assert!(plan_part(&network, &wanted).is_err());
    }
    let mut layers = network.layers().to_vec();
    layers[1] = Layer::Activation(Activation::Tanh);
    let network = named(2, 1, layers);
    let wanted = Part { max_degree: 2, centre: None, numbers: Numbers::Float };
    let refused = plan_part(&network, &wanted);
    assert!(matches!(refused, Err(Error::NotPolynomial { layer: 1, .. })), "{refused:?}");
}

#[test]
fn any_number_of_threads_gives_the_same_numbers() {
    let shape = Shape {
        inputs: 5,
        hidden: vec![(40, 5, 0, false), (40, 3, 0, false)],
        outputs: 2,
        parameters: Parameters::Full,
        seed: 9,
    };
    let network = shape.network();
    for numbers in [Numbers::Rational, Numbers::Float] {
        let all = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| part(&network, 5, None, numbers))
        });
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
    }
}
