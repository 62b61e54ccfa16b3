//! The promise: an SLNN *is* the polynomials it expands into, and every polynomial is an SLNN.

use crate::common::shapes::{Shape, shapes};
use crate::common::{Parameters, Stream, affine, slaf};
use num_bigint::BigInt;
use num_integer::binomial;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use proptest::prelude::*;
use slnn::expand::{Limits, expand, plan, prove_equal};
use slnn::network::exact::{ExactNetwork, Rationals};
use slnn::network::{
    Activation, Basis, Family, Group, Head, Input, Layer, Mixed, Network, Part, Slaf,
};
use slnn::{Error, Polynomial};

/// A rational point with small entries.
fn point(seed: u64, n: usize) -> Vec<BigRational> {
    let mut stream = Stream::new(seed, Parameters::Rational);
    (0..n).map(|_| stream.rational()).collect()
}

fn monomials(n: usize, degree: usize) -> u64 {
    binomial((n + degree) as u64, degree as u64)
}

fn power(x: &BigRational, k: usize) -> BigRational {
    (0..k).fold(BigRational::one(), |product, _| product * x)
}

fn integer(n: u64) -> BigRational {
    BigRational::from(BigInt::from(n))
}

fn factorial(n: usize) -> BigRational {
    (1..=n).fold(BigRational::one(), |product, k| product * integer(k as u64))
}

/// Element `k` of a family at `t` from its explicit sum, not from the recurrence.
fn element(family: Family, k: usize, t: &BigRational) -> BigRational {
    let choose = |a: usize, b: usize| integer(binomial(a as u64, b as u64));
    let one = BigRational::one();
    match family {
        Family::Chebyshev => (0..=k / 2)
            .map(|j| choose(k, 2 * j) * power(&(t * t - &one), j) * power(t, k - 2 * j))
            .sum(),
        Family::Legendre => {
            let sum: BigRational = (0..=k)
                .map(|j| {
                    choose(k, j) * choose(k, j) * power(&(t - &one), k - j) * power(&(t + &one), j)
                })
                .sum();
            sum / power(&integer(2), k)
        }
        Family::Hermite => (0..=k / 2)
            .map(|m| {
                let sign = if m % 2 == 0 { one.clone() } else { -&one };
                sign * factorial(k) * power(&(t * integer(2)), k - 2 * m)
                    / (factorial(m) * factorial(k - 2 * m))
            })
            .sum(),
    }
}

/// A SLAF from its definition in the words of its basis, as an oracle of folding.
fn naive_slaf(slaf: &Slaf, neuron: usize, z: &BigRational) -> BigRational {
    let coefficients = slaf.coefficients().to_exact();
    let row = if coefficients.nrows() == 1 { 0 } else { neuron };
    (0..coefficients.ncols())
        .map(|k| {
            let e = match slaf.basis() {
                Basis::Monomial => power(z, k),
                Basis::NormalisedMonomial { .. } if k == 0 => BigRational::one(),
                Basis::NormalisedMonomial { mean, scale } => {
                    (power(z, k) - &mean.to_exact()[(neuron, k - 1)])
                        * &scale.to_exact()[(neuron, k - 1)]
                }
                Basis::Orthogonal { family, centre, scale } => {
                    let t = (z - &centre.to_exact()[neuron]) * &scale.to_exact()[neuron];
                    element(*family, k, &t)
                }
            };
            &coefficients[(row, k)] * e
        })
        .sum()
}

/// The network evaluated layer by layer from the definitions.
fn naive_forward(network: &Network, inputs: &[BigRational]) -> Vec<BigRational> {
    let mut values = inputs.to_vec();
    for layer in network.layers() {
        values = match layer {
            Layer::Affine(affine) => {
                let (w, b) = (affine.weight().to_exact(), affine.bias().to_exact());
                (0..w.nrows())
                    .map(|i| {
                        (0..w.ncols()).map(|j| &w[(i, j)] * &values[j]).sum::<BigRational>() + &b[i]
                    })
                    .collect()
            }
            Layer::Slaf(slaf) => {
                values.iter().enumerate().map(|(i, z)| naive_slaf(slaf, i, z)).collect()
            }
            _ => panic!("the oracle knows affine and slaf layers"),
        };
    }
    values
}

const ALL: [Parameters; 3] = [Parameters::Small, Parameters::Full, Parameters::Rational];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_expansion_equals_its_network(shape in shapes(ALL.to_vec(), 8), seed: u64) {
        let network = shape.network();
        let expansion = expand(&network, &Limits::default()).unwrap();
        // Exactly, at every point of the lattice that determines a polynomial of this degree.
        prove_equal(&network, &expansion).unwrap();
        // And at a rational point, against an evaluation that knows neither folding nor algebras.
        let x = point(seed, shape.inputs);
        let expected = naive_forward(&network, &x);
        prop_assert_eq!(network.forward_exact(&x).unwrap(), expected.clone());
        for (p, y) in expansion.rational().unwrap().iter().zip(&expected) {
            prop_assert_eq!(&p.evaluate(&x).unwrap(), y);
            prop_assert!(p.degree().unwrap_or(0) as usize <= shape.degree());
            prop_assert!(p.len() as u64 <= monomials(shape.inputs, shape.degree()));
        }
    }

    #[test]
    fn degree_is_the_product_for_generic_coefficients(
        shape in shapes(vec![Parameters::Full], 8),
    ) {
        let expansion = expand(&shape.network(), &Limits::default()).unwrap();
        for p in expansion.rational().unwrap() {
            prop_assert_eq!(p.degree(), Some(shape.degree() as u32));
        }
    }

    #[test]
    fn dyadic_parameters_give_dyadic_coefficients(
        shape in shapes(vec![Parameters::Small, Parameters::Full], 8),
    ) {
        let expansion = expand(&shape.network(), &Limits::default()).unwrap();
        for p in expansion.rational().unwrap() {
            for (_, c) in p.terms() {
                prop_assert!(slnn::numeric::Dyadic::from_rational(c).is_some());
            }
        }
    }

    #[test]
    fn the_majorant_bounds_every_coefficient(shape in shapes(ALL.to_vec(), 8)) {
        let network = shape.network();
        let ones = vec![BigRational::one(); shape.inputs];
        let majorant = ExactNetwork::new(&network).majorant();
        let bounds = majorant.evaluate(&Rationals, ones).unwrap();
        let expansion = expand(&network, &Limits::default()).unwrap();
        for (p, bound) in expansion.rational().unwrap().iter().zip(bounds) {
            let norm: BigRational = p.terms().map(|(_, c)| c.abs()).sum();
            prop_assert!(norm <= bound);
        }
    }

    #[test]
    fn generic_networks_have_every_monomial(shape in shapes(vec![Parameters::Full], 8)) {
        let network = shape.network();
        let expansion = expand(&network, &Limits::default()).unwrap();
        for p in expansion.rational().unwrap() {
            prop_assert_eq!(p.len() as u64, monomials(shape.inputs, shape.degree()));
        }
        let plan = plan(&network, None).unwrap();
        prop_assert_eq!(plan.degree, shape.degree() as u128);
        prop_assert_eq!(plan.terms, expansion.terms() as u128);
    }

    #[test]
    fn folding_preserves_every_basis(degree in 0_usize..9, basis in 0_usize..5, shared: bool, seed: u64) {
        let mut stream = Stream::new(seed, Parameters::Rational);
        let slaf = slaf(&mut stream, 3, degree, basis, shared);
        for (i, p) in slaf.fold(3).iter().enumerate() {
            let z = stream.rational();
            prop_assert_eq!(p.evaluate(&z), naive_slaf(&slaf, i, &z));
        }
    }

    #[test]
    fn the_converse_round_trip_is_equal(
        n in 1_usize..=4,
        outputs in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(0_u32..4, 4), any::<u64>()), 0..6), 1..3),
    ) {
        let polynomials: Vec<Polynomial<BigRational>> = outputs
            .iter()
            .map(|terms| {
                let terms = terms.iter().map(|(exponents, seed)| {
                    let c = Stream::new(*seed, Parameters::Rational).rational();
                    (exponents[..n].to_vec(), c)
                });
                Polynomial::from_terms(n, terms).unwrap()
            })
            .collect();
        let network = Network::from_polynomials(
            (1..=n).map(|i| Input::named(format!("x{i}"))).collect(),
            (1..=polynomials.len()).map(|o| format!("y{o}")).collect(),
            &polynomials,
        )
        .unwrap();
        // One hidden layer, as the theorem says.
        prop_assert_eq!(network.layers().len(), 3);
        let expansion = expand(&network, &Limits::default()).unwrap();
        prop_assert_eq!(expansion.rational().unwrap(), &polynomials[..]);
    }

    #[test]
    fn f64_values_stay_within_their_rounding_bound(
        shape in shapes(vec![Parameters::Full], 8),
        seed: u64,
    ) {
        // Monomial bases only: there the network of absolute values bounds every rounding error.
        let mut shape = shape;
        shape.hidden.iter_mut().for_each(|layer| layer.2 = 0);
        let network = shape.network();
        let mut stream = Stream::new(seed, Parameters::Full);
        let x = ndarray::Array2::from_shape_simple_fn((1, shape.inputs), || stream.float());
        let y = network.forward(x.view()).unwrap();
        let exact: Vec<_> =
            x.iter().map(|x| BigRational::from_float(*x).unwrap()).collect();
        let values = network.forward_exact(&exact).unwrap();
        let absolute: Vec<_> = exact.iter().map(Signed::abs).collect();
        let majorant = ExactNetwork::new(&network).majorant();
        let bounds = majorant.evaluate(&Rationals, absolute).unwrap();
        // Every input and parameter passes at most this many rounded operations on its way, counted
        // once for each factor of a product: (width + 1 + 2 degree) a layer, times the degree after it.
        let mut depth = 0_u64;
        let mut width = shape.inputs;
        for (neurons, degree, ..) in &shape.hidden {
            depth = (depth + width as u64 + 1) * *degree as u64 + 2 * *degree as u64;
            width = *neurons;
        }
        depth += width as u64 + 1;
        let u = BigRational::new(BigInt::one(), BigInt::one() << 53_u32);
        let gamma = integer(depth) * &u / (BigRational::one() - integer(depth) * &u);
        for ((y, value), bound) in y.iter().zip(&values).zip(&bounds) {
            let error = BigRational::from_float(*y).unwrap() - value;
            prop_assert!(error.abs() <= &gamma * bound);
        }
    }
}

#[test]
fn hybrid_layers_are_refused_with_their_place() {
    let mut stream = Stream::new(1, Parameters::Small);
    let mixed = |function, stream: &mut Stream| {
        Layer::Mixed(
            Mixed::new(vec![
                Group { neurons: vec![0, 2], part: Part::Slaf(slaf(stream, 2, 3, 1, false)) },
                Group { neurons: vec![1], part: Part::Activation(function) },
            ])
            .unwrap(),
        )
    };
    let network = |function, stream: &mut Stream| {
        let layers = vec![affine(stream, 3, 2), mixed(function, stream), affine(stream, 1, 3)];
        let inputs = vec![Input::named("a"), Input::named("b")];
        Network::new(inputs, vec!["y".into()], layers, Head::Identity).unwrap()
    };
    let error = expand(&network(Activation::Relu, &mut stream), &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::NotPolynomial { layer: 1, .. }));
    let text = error.to_string();
    assert!(
        text.contains("layer 1") && text.contains("relu") && text.contains("neuron 1"),
        "{text}"
    );
    // Identity is a polynomial, so the same hybrid with identity expands.
    let network = network(Activation::Identity, &mut stream);
    let expansion = expand(&network, &Limits::default()).unwrap();
    prove_equal(&network, &expansion).unwrap();
}

#[test]
fn consecutive_slaf_layers_compose() {
    let mut stream = Stream::new(7, Parameters::Full);
    let layers = vec![
        affine(&mut stream, 2, 3),
        Layer::Slaf(slaf(&mut stream, 2, 2, 2, false)),
        Layer::Slaf(slaf(&mut stream, 2, 3, 0, true)),
        affine(&mut stream, 1, 2),
    ];
    let inputs = (0..3).map(|i| Input::named(format!("x{i}"))).collect();
    let network = Network::new(inputs, vec!["y".into()], layers, Head::Softmax).unwrap();
    let expansion = expand(&network, &Limits::default()).unwrap();
    assert_eq!(expansion.degree(), 6);
    // The head stays outside and is carried along.
    assert_eq!(expansion.head(), Head::Softmax);
    prove_equal(&network, &expansion).unwrap();
}

#[test]
fn lattice_agreement_is_equality() {
    let shape = Shape {
        inputs: 3,
        hidden: vec![(3, 2, 0, false), (2, 2, 3, true)],
        outputs: 2,
        parameters: Parameters::Small,
        seed: 3,
    };
    let network = shape.network();
    let expansion = expand(&network, &Limits::default()).unwrap();
    let proof = prove_equal(&network, &expansion).unwrap();
    assert_eq!((proof.points, proof.degree), (35, 4));
    // Any change of any coefficient, however small, is found, with the point at which it shows.
    let tiny = BigRational::new(BigInt::one(), BigInt::one() << 200_u32);
    for output in 0..2 {
        for (exponents, _) in expansion.rational().unwrap()[output].terms() {
            let mut changed = expansion.rational().unwrap().to_vec();
            let change = Polynomial::from_terms(3, [(exponents.to_vec(), tiny.clone())]).unwrap();
            changed[output] = &changed[output] + &change;
            let changed = slnn::expand::Expansion::new(
                expansion.variables().to_vec(),
                expansion.outputs().to_vec(),
                slnn::expand::Coefficients::Rational(changed),
                expansion.head(),
            )
            .unwrap();
            let text = prove_equal(&network, &changed).unwrap_err().to_string();
            assert!(text.contains(&format!("output \"y{}\"", output + 1)), "{text}");
        }
    }
}

#[test]
fn a_constant_network_expands_to_its_constant() {
    let polynomial = Polynomial::<BigRational>::constant(2, integer(5) / integer(3));
    let network = Network::from_polynomial(&polynomial).unwrap();
    let expansion = expand(&network, &Limits::default()).unwrap();
    assert_eq!(expansion.rational().unwrap(), [polynomial]);
    assert!(Network::from_polynomial(&Polynomial::<BigRational>::zero(0)).is_err());
    let zero = Network::from_polynomial(&Polynomial::<BigRational>::zero(1)).unwrap();
    assert!(expand(&zero, &Limits::default()).unwrap().rational().unwrap()[0].is_zero());
    assert_eq!(zero.forward_exact(&[integer(3)]).unwrap(), [BigRational::zero()]);
}
