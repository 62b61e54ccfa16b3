//! The promise: every expansion is the symbolic composition of its network, coefficient by coefficient.

use crate::common::{Parameters, Stream, slaf};
use ndarray::{Array1, Array2};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use proptest::prelude::*;
use slnn::Polynomial;
use slnn::expand::{Coefficients, Expansion, Limits, Route, compressed, expand, plan};
use slnn::network::{
    Activation, Affine, Basis, Group, Head, Input, Layer, Mixed, Network, Part, Slaf,
};

/// The polynomials of a network by sums and products of polynomials, layer by layer.
fn composition(network: &Network) -> Vec<Polynomial<BigRational>> {
    let n = network.inputs().len();
    let mut values: Vec<_> = (0..n).map(|i| Polynomial::variable(n, i)).collect();
    let of = |slaf: &Slaf, values: &[Polynomial<BigRational>]| -> Vec<Polynomial<BigRational>> {
        let folded = slaf.fold(values.len());
        folded.iter().zip(values).map(|(p, z)| p.of(z).unwrap()).collect()
    };
    for layer in network.layers() {
        values = match layer {
            Layer::Affine(affine) => {
                let (w, b) = (affine.weight().to_exact(), affine.bias().to_exact());
                (0..w.nrows())
                    .map(|i| {
                        let mut sum = Polynomial::constant(n, b[i].clone());
                        for (w, value) in w.row(i).iter().zip(&values) {
                            sum.add_scaled(w, value);
                        }
                        sum
                    })
                    .collect()
            }
            Layer::Slaf(slaf) => of(slaf, &values),
            Layer::Mixed(mixed) => {
                let mut after = values.clone();
                for group in mixed.groups() {
                    let mine: Vec<_> = group.neurons.iter().map(|i| values[*i].clone()).collect();
                    let mine = match &group.part {
                        Part::Slaf(slaf) => of(slaf, &mine),
                        _ => mine,
                    };
                    group.neurons.iter().zip(mine).for_each(|(i, p)| after[*i] = p);
                }
                after
            }
            _ => panic!("the oracle knows polynomial layers"),
        };
    }
    values
}

/// How numbers are drawn: the kinds of [`Parameters`], numbers that are mostly zero, and numbers
/// from 1e-300 to 1e200.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Of(Parameters),
    Sparse,
    Extreme,
}

const KINDS: [Kind; 5] = [
    Kind::Of(Parameters::Small),
    Kind::Of(Parameters::Full),
    Kind::Of(Parameters::Rational),
    Kind::Sparse,
    Kind::Extreme,
];

struct Draw(Stream, Kind);

impl Draw {
    fn new(seed: u64, kind: Kind) -> Self {
        let parameters = if let Kind::Of(p) = kind { p } else { Parameters::Small };
        Draw(Stream::new(seed, parameters), kind)
    }

    fn number(&mut self) -> f64 {
        match (self.1, self.0.below(6)) {
            (Kind::Sparse, 0..4) => 0.0,
            (Kind::Extreme, 0) => 1e-300,
            (Kind::Extreme, 1) => -1e200,
            (Kind::Extreme, 2) => 5e-324,
            (Kind::Extreme, 3) => 0.0,
            _ => self.0.float(),
        }
    }

    fn affine(&mut self, outputs: usize, inputs: usize) -> Layer {
        if let Kind::Of(_) = self.1 {
            return crate::common::affine(&mut self.0, outputs, inputs);
        }
        let weight = Array2::from_shape_simple_fn((outputs, inputs), || self.number());
        let bias = Array1::from_shape_simple_fn(outputs, || self.number());
        Layer::Affine(Affine::new(weight, bias).unwrap())
    }

    fn slaf(&mut self, neurons: usize, degree: usize, basis: usize, shared: bool) -> Slaf {
        if let Kind::Of(_) = self.1 {
            return slaf(&mut self.0, neurons, degree, basis, shared);
        }
        let rows = if shared { 1 } else { neurons };
        let c = Array2::from_shape_simple_fn((rows, degree + 1), || self.number());
        Slaf::new(Basis::Monomial, c).unwrap()
    }
}

/// A hidden layer: neurons, degree, basis, shared coefficients, and whether the neurons have
/// different degrees.
type Hidden = (usize, usize, usize, bool, bool);

#[derive(Clone, Debug)]
struct Shape {
    inputs: usize,
    hidden: Vec<Hidden>,
    outputs: usize,
    kind: Kind,
    /// Whether the last layer's neurons come twice, with opposite weights but for one constant.
    cancels: bool,
    seed: u64,
}

impl Shape {
    fn network(&self) -> Network {
        let mut draw = Draw::new(self.seed, self.kind);
        let mut layers = Vec::new();
        let mut width = self.inputs;
        for &(neurons, degree, basis, shared, mixed) in &self.hidden {
            layers.push(draw.affine(neurons, width));
            layers.push(if mixed && neurons > 1 {
                // One neuron without a SLAF, one of degree below the others', the others.
                let mut groups =
                    vec![Group { neurons: vec![1], part: Part::Activation(Activation::Identity) }];
                let low = Part::Slaf(draw.slaf(1, degree.saturating_sub(1), basis, shared));
                groups.push(Group { neurons: vec![0], part: low });
                if neurons > 2 {
                    let slaf = draw.slaf(neurons - 2, degree, basis, shared);
                    groups.push(Group { neurons: (2..neurons).collect(), part: Part::Slaf(slaf) });
                }
                Layer::Mixed(Mixed::new(groups).unwrap())
            } else {
                Layer::Slaf(draw.slaf(neurons, degree, basis, shared))
            });
            width = neurons;
        }
        if self.cancels {
            let Layer::Affine(affine) = draw.affine(self.outputs, width) else { unreachable!() };
            let weight = affine.weight().to_exact();
            let opposite = weight.map(|w| -w);
            let both = ndarray::concatenate![ndarray::Axis(1), weight, opposite];
            let twice = Array2::from_shape_fn((2 * width, width), |(i, j)| {
                BigRational::from_integer(BigInt::from(i32::from(i % width == j)))
            });
            let mut apart = Array1::from_elem(2 * width, BigRational::zero());
            apart[width] = BigRational::one();
            layers.push(Layer::Affine(Affine::new(twice, apart).unwrap()));
            layers.push(Layer::Affine(Affine::new(both, affine.bias().to_exact()).unwrap()));
        } else {
            layers.push(draw.affine(self.outputs, width));
        }
        let inputs = (1..=self.inputs).map(|i| Input::named(format!("x{i}"))).collect();
        let outputs = (1..=self.outputs).map(|o| format!("y{o}")).collect();
        Network::new(inputs, outputs, layers, Head::Identity).unwrap()
    }
}

fn shapes(
    inputs: std::ops::RangeInclusive<usize>,
    widths: std::ops::RangeInclusive<usize>,
    most: usize,
) -> impl Strategy<Value = Shape> {
    let hidden = (widths, 0_usize..=4, 0_usize..5, any::<bool>(), prop::bool::weighted(0.3));
    let hidden = prop::collection::vec(hidden, 1..=3);
    let kind = prop::sample::select(KINDS.to_vec());
    let cancels = prop::bool::weighted(0.15);
    (inputs, hidden, 1_usize..=3, kind, cancels, any::<u64>()).prop_map(
        move |(inputs, mut hidden, outputs, kind, cancels, seed)| {
            // The later layers give way; extreme numbers have denominators of thousands of bits.
            let most = if kind == Kind::Extreme { most.min(4) } else { most };
            let mut product = 1;
            for layer in &mut hidden {
                layer.1 = layer.1.min((most / product).max(1));
                product *= layer.1.max(1);
            }
            Shape { inputs, hidden, outputs, kind, cancels, seed }
        },
    )
}

/// So many cases, or as many as the environment says.
fn cases(count: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(count),
    }
}

fn expansion_of(network: &Network) -> Expansion {
    let limits = Limits { terms: u64::MAX, bytes: u64::MAX, seconds: None, operations: None };
    expand(network, &limits).unwrap()
}

/// Expanded, it is the composition, and its coefficients are within the bound of the plan.
fn agrees(network: &Network) -> Result<(), TestCaseError> {
    let (expansion, plan) = (expansion_of(network), plan(network, None).unwrap());
    let oracle = composition(network);
    prop_assert_eq!(expansion.rational().unwrap(), &oracle[..]);
    for p in &oracle {
        prop_assert!(p.len() as u128 <= plan.terms);
        prop_assert!(p.degree().is_none_or(|d| u128::from(d) <= plan.degree));
        // An integer over a common denominator is at least the numerator in lowest terms.
        let bits = p.coefficients().iter().map(|c| c.numer().bits()).max().unwrap_or(0);
        prop_assert!(bits as f64 <= plan.bits.max(0.0) + 1.0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn small_networks(shape in shapes(1..=4, 1..=4, 6)) {
        agrees(&shape.network())?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn one_input(shape in shapes(1..=1, 1..=3, 16)) {
        agrees(&shape.network())?;
    }

    #[test]
    fn one_neuron(shape in shapes(1..=4, 1..=1, 8)) {
        agrees(&shape.network())?;
    }

    #[test]
    fn a_first_layer_narrower_than_the_inputs(
        shape in shapes(3..=6, 1..=2, 6), first in 1_usize..=2,
    ) {
        let mut shape = shape;
        shape.hidden[0].0 = first;
        agrees(&shape.network())?;
    }

    #[test]
    fn the_compressed_form_is_the_network_with_its_first_layer_put_in(
        shape in shapes(2..=5, 1..=4, 6), first in 1_usize..=4,
    ) {
        let mut shape = shape;
        shape.hidden[0].0 = first.min(shape.inputs - 1);
        let network = shape.network();
        let inner = compressed(&network).unwrap();
        prop_assert_eq!(inner.inputs().len(), shape.hidden[0].0);
        let Layer::Affine(affine) = &network.layers()[0] else { unreachable!() };
        let (w, b) = (affine.weight().to_exact(), affine.bias().to_exact());
        // Each z_i = sum_j w_ij x_j + b_i, by its definition in the remarks too.
        let z: Vec<_> = (0..w.nrows())
            .map(|i| {
                let mut z = Polynomial::constant(shape.inputs, b[i].clone());
                for j in 0..shape.inputs {
                    z.add_scaled(&w[(i, j)], &Polynomial::variable(shape.inputs, j));
                }
                z
            })
            .collect();
        for (z, said) in z.iter().zip(inner.about()["variables"].as_array().unwrap()) {
            let number = |text: &serde_json::Value| {
                slnn::numeric::rational::parse_exact(text.as_str().unwrap()).unwrap()
            };
            let mut stated = Polynomial::constant(shape.inputs, number(&said["bias"]));
            for (name, weight) in said["weights"].as_object().unwrap() {
                let j = network.input_names().iter().position(|n| n == name).unwrap();
                stated.add_scaled(&number(weight), &Polynomial::variable(shape.inputs, j));
            }
            prop_assert_eq!(&stated, z);
        }
        let expansion = expansion_of(&inner);
        for (p, oracle) in expansion.rational().unwrap().iter().zip(composition(&network)) {
            let mut whole = Polynomial::zero(shape.inputs);
            for (exponents, c) in p.terms() {
                let mut term = Polynomial::constant(shape.inputs, c.clone());
                for (z, e) in z.iter().zip(exponents) {
                    term = term.checked_mul(&z.pow(*e).unwrap()).unwrap();
                }
                whole = &whole + &term;
            }
            prop_assert_eq!(whole, oracle);
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn thirty_inputs(shape in shapes(30..=30, 1..=4, 2)) {
        agrees(&shape.network())?;
    }
}

#[test]
fn a_wide_layer_after_a_narrow_one_is_expanded_through_the_compressed_form() {
    let hidden = vec![(2, 3, 0, false, false), (24, 2, 0, false, false)];
    for kind in [Kind::Of(Parameters::Small), Kind::Of(Parameters::Rational)] {
        let shape =
            Shape { inputs: 7, hidden: hidden.clone(), outputs: 2, kind, cancels: false, seed: 3 };
        let network = shape.network();
        assert_eq!(plan(&network, None).unwrap().route, Route::Compressed);
        assert_eq!(Route::Compressed.name(), "compressed form");
        agrees(&network).unwrap();
    }
}

/// A network of one input that multiplies it by these numbers, one an output.
fn multiples(factors: &[BigRational]) -> Network {
    let weight = Array2::from_shape_vec((factors.len(), 1), factors.to_vec()).unwrap();
    let affine = Affine::new(weight, Array1::from_elem(factors.len(), BigRational::zero()));
    let one = Affine::new(ndarray::array![[1.0]], ndarray::array![0.0]).unwrap();
    let square = Slaf::new(Basis::Monomial, ndarray::array![[0.0, 0.0, 1.0]]).unwrap();
    let layers = vec![Layer::Affine(one), Layer::Slaf(square), Layer::Affine(affine.unwrap())];
    let outputs = (1..=factors.len()).map(|o| format!("y{o}")).collect();
    Network::new(vec![Input::named("x")], outputs, layers, Head::Identity).unwrap()
}

fn dyadic(mantissa: i64, exponent: i32) -> BigRational {
    let power = BigRational::from_integer(BigInt::one() << exponent.unsigned_abs());
    let mantissa = BigRational::from_integer(mantissa.into());
    if exponent < 0 { mantissa / power } else { mantissa * power }
}

#[test]
fn coefficients_round_once_to_the_nearest_even_down_to_subnormal_numbers() {
    let quarter = dyadic(1, -1076);
    let (exact, nearest): (Vec<_>, Vec<_>) = [
        // Halfway between two numbers of 53 bits, and a little beside.
        (dyadic((1 << 53) + 1, 0), 2_f64.powi(53)),
        (dyadic((1 << 53) + 3, 0), 2_f64.powi(53) + 4.0),
        (dyadic(-((1 << 53) + 1), 0), -(2_f64.powi(53))),
        (dyadic((1 << 53) + 1, 0) + dyadic(1, -900), 2_f64.powi(53) + 2.0),
        (dyadic((1 << 53) + 3, 0) - dyadic(1, -900), 2_f64.powi(53) + 2.0),
        // Subnormal numbers have fewer bits: rounding to 53 first would round twice.
        (dyadic(3, -1075), 2.0 * 5e-324),
        (dyadic(5, -1075), 2.0 * 5e-324),
        (dyadic(5, -1075) + &quarter, 3.0 * 5e-324),
        (dyadic(1, -1075) + &quarter, 5e-324),
        (dyadic((1 << 53) - 1, -1075), f64::MIN_POSITIVE),
        // One third of the largest: not dyadic.
        (dyadic(1, 1023) / BigRational::from_integer(3.into()), 2_f64.powi(1023) / 3.0),
        // Just below halfway to 2^1024.
        (dyadic((1 << 54) - 1, 970) - dyadic(1, 0), f64::MAX),
    ]
    .into_iter()
    .unzip();
    let expansion = expansion_of(&multiples(&exact));
    let (rounded, underflowed) = expansion.to_f64().unwrap();
    assert_eq!(underflowed, 0);
    let Coefficients::Float(rounded) = rounded.coefficients() else { unreachable!() };
    for ((p, nearest), exact) in rounded.iter().zip(&nearest).zip(&exact) {
        let found = p.coefficient(&[2]).copied();
        assert_eq!(found.map(f64::to_bits), Some(nearest.to_bits()), "{exact}: {found:?}");
        // The library's own conversion of rationals is another routine.
        if nearest.is_normal() {
            assert_eq!(exact.to_f64(), Some(*nearest));
        }
    }
}

#[test]
fn what_rounds_to_zero_is_counted_and_what_is_beyond_f64_is_an_error() {
    // Half the least subnormal number is halfway, and zero is even.
    let expansion = expansion_of(&multiples(&[dyadic(1, -1075), dyadic(-1, -2000), dyadic(1, 0)]));
    let (rounded, underflowed) = expansion.to_f64().unwrap();
    assert_eq!((underflowed, rounded.terms()), (2, 1));
    assert_eq!(rounded.about()["underflowed"], 2);
    for beyond in [dyadic((1 << 54) - 1, 970), dyadic(1, 1024), dyadic(-1, 5000)] {
        let expansion = expansion_of(&multiples(&[dyadic(1, 0), beyond]));
        let error = expansion.to_f64().unwrap_err().to_string();
        assert!(error.contains("y2") && error.contains("[2]"), "{error}");
        assert!(error.contains("beyond the range of f64"), "{error}");
    }
}
