//! The promise: a network has one value at a point, and every way to compute it agrees.

use crate::common::{Parameters, Stream, affine, slaf};
use ndarray::Array2;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed};
use proptest::prelude::*;
use slnn::network::{Activation, Group, Head, Input, Layer, Mixed, Network, Part};

/// A rational point with small entries.
fn point(seed: u64, n: usize) -> Vec<BigRational> {
    let mut stream = Stream::new(seed, Parameters::Rational);
    (0..n).map(|_| stream.rational()).collect()
}

fn power_of_two(exponent: i32) -> BigRational {
    let power = BigRational::from(BigInt::one() << exponent.unsigned_abs());
    if exponent < 0 { power.recip() } else { power }
}

/// Two inputs, a hybrid of a SLAF and `first`, a layer of `second`, two outputs.
fn hybrid(first: Activation, second: Activation, seed: u64, parameters: Parameters) -> Network {
    let mut stream = Stream::new(seed, parameters);
    let mixed = Mixed::new(vec![
        Group { neurons: vec![3, 0], part: Part::Slaf(slaf(&mut stream, 2, 3, 2, false)) },
        Group { neurons: vec![1, 2], part: Part::Activation(first) },
    ])
    .unwrap();
    let layers = vec![
        affine(&mut stream, 4, 2),
        Layer::Mixed(mixed),
        affine(&mut stream, 3, 4),
        Layer::Activation(second),
        affine(&mut stream, 2, 3),
    ];
    let inputs = vec![Input::named("a"), Input::named("b")];
    Network::new(inputs, vec!["y".into(), "z".into()], layers, Head::Identity).unwrap()
}

fn any_activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(Activation::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn enclosures_are_as_narrow_as_asked_and_agree_with_f64(
        first in any_activation(),
        second in any_activation(),
        seed: u64,
    ) {
        let network = hybrid(first, second, seed, Parameters::Small);
        let mut stream = Stream::new(seed ^ 1, Parameters::Small);
        let x = Array2::from_shape_simple_fn((1, 2), || stream.float());
        let point: Vec<_> = x.iter().map(|x| BigRational::from_float(*x).unwrap()).collect();
        let y = network.forward(x.view()).unwrap();
        let (wide, narrow) = (power_of_two(-20), power_of_two(-90));
        let coarse = network.forward_enclosure(&point, &wide).unwrap();
        let fine = network.forward_enclosure(&point, &narrow).unwrap();
        for ((coarse, fine), y) in coarse.iter().zip(&fine).zip(&y) {
            prop_assert!(coarse.width() <= wide && fine.width() <= narrow);
            // Two true enclosures of one number meet.
            prop_assert!(coarse.intersection(fine).is_some());
            // Not a bound on rounding: a misplaced constant or function would be far outside.
            let error = (BigRational::from_float(*y).unwrap() - fine.lower()).abs();
            let scale = fine.lower().abs() + BigRational::one();
            prop_assert!(error <= scale * power_of_two(-25), "{first:?} {second:?} {y}");
        }
    }

    #[test]
    fn exact_values_lie_in_their_enclosures(seed: u64, first in 0_usize..5, second in 0_usize..5) {
        let pieces = [
            Activation::Identity,
            Activation::Relu,
            Activation::LeakyRelu { slope: 0.125 },
            Activation::Abs,
            Activation::HardTanh,
        ];
        let network = hybrid(pieces[first], pieces[second], seed, Parameters::Rational);
        let point = point(seed, 2);
        let exact = network.forward_exact(&point).unwrap();
        let enclosed = network.forward_enclosure(&point, &power_of_two(-50)).unwrap();
        for (exact, enclosed) in exact.iter().zip(&enclosed) {
            prop_assert!(enclosed.contains(exact));
        }
    }

    #[test]
    fn a_batch_is_its_rows(seed: u64, rows in 1_usize..40, function in any_activation()) {
        let network = hybrid(function, function, seed, Parameters::Full);
        let mut stream = Stream::new(seed, Parameters::Full);
        let x = Array2::from_shape_simple_fn((rows, 2), || stream.float());
        let all = network.forward(x.view()).unwrap();
        // A column-major view of the same numbers is the same batch.
        let columns = x.t().as_standard_layout().into_owned();
        prop_assert_eq!(&network.forward(columns.t()).unwrap(), &all);
        for row in 0..rows {
            let one = network.forward(x.slice(ndarray::s![row..row + 1, ..])).unwrap();
            for (a, b) in one.iter().zip(all.row(row)) {
                prop_assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()));
            }
        }
    }
}

#[test]
fn transcendental_networks_have_no_rational_value() {
    let network = hybrid(Activation::Tanh, Activation::Relu, 1, Parameters::Small);
    let text = network.forward_exact(&point(1, 2)).unwrap_err().to_string();
    assert!(text.contains("layer 1") && text.contains("tanh"), "{text}");
    assert!(network.forward_enclosure(&point(1, 2), &BigRational::from(BigInt::from(0))).is_err());
}

#[test]
fn heads_turn_outputs_into_probabilities() {
    let mut values = ndarray::array![[1000.0, 1000.0], [0.0, -800.0]];
    Head::Softmax.apply(&mut values);
    assert_eq!(values, ndarray::array![[0.5, 0.5], [1.0, 0.0]]);
    let mut values = ndarray::array![[0.0, 1000.0, -1000.0]];
    Head::Logistic.apply(&mut values);
    assert_eq!(values, ndarray::array![[0.5, 1.0, 0.0]]);
}

#[test]
fn misfitting_parts_are_errors_that_name_their_place() {
    use slnn::network::{Affine, Basis, Slaf};
    let affine = |rows: usize, columns: usize| {
        Layer::Affine(
            Affine::new(Array2::<f64>::ones((rows, columns)), ndarray::Array1::<f64>::zeros(rows))
                .unwrap(),
        )
    };
    let network = |layers| {
        Network::new(vec![Input::named("x")], vec!["y".into()], layers, Head::Identity)
            .unwrap_err()
            .to_string()
    };
    let text = network(vec![affine(2, 1), affine(1, 3)]);
    assert!(text.contains("layers[1]: weight: found 3 columns, expected 2"), "{text}");
    let text = network(vec![affine(2, 1)]);
    assert!(text.contains("outputs: found 1 names, expected 2"), "{text}");
    let slaf = Slaf::new(Basis::Monomial, Array2::<f64>::ones((3, 2))).unwrap();
    let text = network(vec![affine(2, 1), Layer::Slaf(slaf), affine(1, 2)]);
    assert!(text.contains("layers[1]") && text.contains("3 neurons"), "{text}");
    assert!(Slaf::new(Basis::Monomial, Array2::from_elem((1, 2), f64::NAN)).is_err());
    assert!(Affine::new(Array2::<f64>::ones((1, 1)), ndarray::Array1::<f64>::zeros(2)).is_err());
    let twice =
        Mixed::new(vec![Group { neurons: vec![0, 0], part: Part::Activation(Activation::Relu) }]);
    assert!(twice.unwrap_err().to_string().contains("neuron 0 twice"));
}
