//! What is written is read back to the last bit, and whatever is not right is refused by name.

use std::fmt::Write as _;
use std::process::Command;

use crate::common::shapes::shapes;
use crate::common::{Parameters, Stream, slaf};
use ndarray::{Array1, Array2, array};
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use slnn::Polynomial;
use slnn::expand::{Coefficients, Expansion, Limits, Model, expand};
use slnn::export::{self, Target};
use slnn::network::{
    Activation, Affine, Basis, Group, Head, Input, Layer, Mixed, Network, Numbers, Part, Slaf,
};
use slnn::numeric::rational::parse_exact;
use slnn::polynomial::Packed;

/// A rational point with small entries.
fn point(seed: u64, n: usize) -> Vec<BigRational> {
    let mut stream = Stream::new(seed, Parameters::Rational);
    (0..n).map(|_| stream.rational()).collect()
}

fn names(prefix: &str, n: usize) -> Vec<String> {
    (1..=n).map(|i| format!("{prefix}{i}")).collect()
}

fn inputs(n: usize) -> Vec<Input> {
    names("x", n).into_iter().map(Input::named).collect()
}

/// Every bit pattern from a fixed stream, those that are not finite drawn again.
fn finite_bits(seed: u64) -> impl FnMut() -> f64 {
    let mut stream = Stream::new(seed, Parameters::Full);
    move || loop {
        let bits = stream.below(1 << 32) << 32 | stream.below(1 << 32);
        let x = f64::from_bits(bits);
        if x.is_finite() {
            return x;
        }
    }
}

fn text_of(expansion: &Expansion) -> String {
    let mut out = Vec::new();
    expansion.write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn rational(text: &str) -> BigRational {
    parse_exact(text).unwrap()
}

/// `2 outputs in 2 variables` with everything that a file may hold but error bounds.
fn small() -> Expansion {
    let variables = ["x1", "x2"];
    let polynomials =
        vec![Polynomial::parse("5/2 - 3/7 x1^2 x2 + x1", &variables).unwrap(), Polynomial::zero(2)];
    let variables = variables.map(str::to_owned).to_vec();
    let outputs = vec!["y".to_owned(), "zéro \"0\"\n".to_owned()];
    let mut about = serde_json::Map::new();
    about.insert("made".into(), "by hand".into());
    Expansion::new(variables, outputs, Coefficients::Rational(polynomials), Head::Softmax)
        .unwrap()
        .with_centre(Some(vec![rational("1/3"), rational("0")]))
        .unwrap()
        .with_truncated(Some(4))
        .with_about(about)
}

#[test]
fn a_million_f64_survive_in_a_network_bit_for_bit() {
    let mut next = finite_bits(1);
    let mut weight = Array2::from_shape_simple_fn((1000, 1000), &mut next);
    let special = [0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -5e-324, 0.1];
    for (cell, x) in weight.iter_mut().zip(special) {
        *cell = x;
    }
    let bias = Array1::from_shape_simple_fn(1000, &mut next);
    let layers = vec![Layer::Affine(Affine::new(weight.clone(), bias.clone()).unwrap())];
    let network = Network::new(inputs(1000), names("y", 1000), layers, Head::Identity).unwrap();

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.json");
    network.write(&path).unwrap();
    let Model::Network(read) = export::read_model(&path).unwrap() else { panic!("a network") };
    let Layer::Affine(affine) = &read.layers()[0] else { panic!("an affine layer") };
    let (Numbers::Float(w), Numbers::Float(b)) = (affine.weight(), affine.bias()) else {
        panic!("f64 numbers")
    };
    assert!(weight.iter().zip(w).all(|(x, y)| x.to_bits() == y.to_bits()));
    assert!(bias.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits()));
}

#[test]
fn f64_coefficients_survive_bit_for_bit() {
    let mut next = finite_bits(2);
    // Graded order of the powers of one variable is their order.
    let terms: Vec<_> = (0..50_000_u32).map(|e| ([e], next())).filter(|t| t.1 != 0.0).collect();
    let polynomial = Polynomial::from_terms(1, terms.iter().copied()).unwrap();
    let coefficients = Coefficients::Float(vec![polynomial]);
    let expansion =
        Expansion::new(names("x", 1), names("y", 1), coefficients, Head::Identity).unwrap();
    let read = Expansion::from_json(&text_of(&expansion)).unwrap();
    let Coefficients::Float(p) = read.coefficients() else { panic!("f64 coefficients") };
    assert_eq!(p[0].len(), terms.len());
    for ((_, written), read) in terms.iter().zip(p[0].coefficients()) {
        assert_eq!(written.to_bits(), read.to_bits());
    }
}

#[test]
fn every_layer_survives_in_f64_and_in_rationals() {
    for parameters in [Parameters::Small, Parameters::Full, Parameters::Rational] {
        let mut stream = Stream::new(7, parameters);
        let mut layers = vec![crate::common::affine(&mut stream, 3, 2)];
        for (basis, shared) in (0..5).flat_map(|b| [(b, true), (b, false)]) {
            // Degree 0 has no powers to normalise, hence rows without entries in the file.
            for degree in [0, 3] {
                layers.push(Layer::Slaf(slaf(&mut stream, 3, degree, basis, shared)));
            }
        }
        for function in Activation::ALL {
            layers.push(Layer::Activation(function));
        }
        let parts = vec![
            Group { neurons: vec![2, 0], part: Part::Slaf(slaf(&mut stream, 2, 2, 4, false)) },
            Group { neurons: vec![1], part: Part::Activation(Activation::Relu) },
        ];
        layers.push(Layer::Mixed(Mixed::new(parts).unwrap()));
        layers.push(crate::common::affine(&mut stream, 2, 3));
        let mut ends = inputs(2);
        (ends[0].lower, ends[0].upper, ends[1].upper) = (Some(-0.1), Some(1e300), Some(5e-324));
        for head in [Head::Identity, Head::Softmax, Head::Logistic] {
            let network = Network::new(ends.clone(), names("y", 2), layers.clone(), head).unwrap();
            let text = network.to_json();
            let read = Network::from_json(&text).unwrap();
            assert_eq!(read, network);
            assert_eq!(read.to_json(), text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_networks_and_their_expansions_survive(
        shape in shapes(vec![Parameters::Small, Parameters::Full, Parameters::Rational], 4),
    ) {
        let network = shape.network();
        let read = Network::from_json(&network.to_json()).unwrap();
        prop_assert_eq!(&read, &network);
        let expansion = expand(&network, &Limits::default()).unwrap();
        let read = Expansion::from_json(&text_of(&expansion)).unwrap();
        prop_assert_eq!(&read, &expansion);
        prop_assert!(read.degree() as usize <= shape.degree());
        let point = point(shape.seed, shape.inputs);
        let values = network.forward_exact(&point).unwrap();
        for (polynomial, value) in read.rational().unwrap().iter().zip(&values) {
            prop_assert_eq!(&polynomial.evaluate(&point).unwrap(), value);
        }
    }
}

#[test]
fn exact_strings_survive() {
    let huge = BigRational::new(BigInt::from(3).pow(12_000), BigInt::from(1) << 9_000_usize);
    let odd = BigRational::new(BigInt::from(7).pow(6_000), BigInt::from(3).pow(5_000));
    let numbers = [huge, odd, rational("-3/7"), rational("5"), rational("0x3p-4")];
    let polynomial =
        Polynomial::from_terms(1, numbers.iter().enumerate().map(|(e, c)| ([e as u32], c.clone())))
            .unwrap();
    let coefficients = Coefficients::Rational(vec![polynomial]);
    let expansion =
        Expansion::new(names("x", 1), names("y", 1), coefficients, Head::Identity).unwrap();
    let text = text_of(&expansion);
    assert!(text.contains("\"0x") && text.contains("\"3/16\""));
    assert_eq!(Expansion::from_json(&text).unwrap(), expansion);

    let row = Array2::from_shape_vec((1, 5), numbers.to_vec()).unwrap();
    let slaf = Slaf::new(Basis::Monomial, row).unwrap();
    let network =
        Network::new(inputs(1), names("y", 1), vec![Layer::Slaf(slaf)], Head::Identity).unwrap();
    assert_eq!(Network::from_json(&network.to_json()).unwrap(), network);
}

#[test]
fn the_polynomial_file_is_the_documented_one() {
    let p = Polynomial::parse("5/2 - 3/7 x1^2 x2", &["x1", "x2"]).unwrap();
    let coefficients = Coefficients::Rational(vec![p]);
    let expansion =
        Expansion::new(names("x", 2), vec!["y".into()], coefficients, Head::Identity).unwrap();
    let expected = r#"{"format": "slnn.polynomial", "version": 1, "variables": ["x1", "x2"], "coefficients": "rational",
 "outputs": [{"name": "y", "terms": [
    {"exponents": [0, 0], "coefficient": "5/2"},
    {"exponents": [2, 1], "coefficient": "-3/7"}]}]}
"#;
    assert_eq!(text_of(&expansion), expected);
    let float = text_of(&expansion.to_f64().unwrap().0);
    assert!(float.contains("\"coefficients\": \"f64\""));
    assert!(float.contains("\"coefficient\": -0.42857142857142855}"));
}

#[test]
fn every_key_of_the_polynomial_file_survives() {
    let expansion = small();
    assert_eq!(Expansion::from_json(&text_of(&expansion)).unwrap(), expansion);
    let document = slnn::json::Json::parse(&text_of(&expansion)).unwrap();
    assert_eq!(Expansion::from_document(&document).unwrap(), expansion);

    // Bounds on the errors, also of coefficients that are zero.
    let errors = Polynomial::from_terms(2, [([0, 0], 1e-9), ([0, 1], 1e-3), ([4, 0], 5e-324)]);
    let expansion =
        expansion.with_errors(Some(vec![errors.unwrap(), Polynomial::zero(2)])).unwrap();
    let text = text_of(&expansion);
    assert!(
        text.contains(r#"{"exponents": [0, 1], "coefficient": "0", "error": 0.001}"#),
        "{text}"
    );
    assert!(text.contains(r#"{"exponents": [1, 0], "coefficient": "1", "error": 0.0}"#), "{text}");
    assert_eq!(Expansion::from_json(&text).unwrap(), expansion);
}

#[test]
fn many_variables_are_written_as_pairs() {
    let mut terms = vec![(vec![0; 65], rational("1"))];
    for i in 0..64 {
        let mut exponents = vec![0; 65];
        (exponents[i], exponents[i + 1]) = (i as u32 + 1, 2);
        terms.push((exponents, rational("2/3")));
    }
    let coefficients = Coefficients::Rational(vec![Polynomial::from_terms(65, terms).unwrap()]);
    let expansion =
        Expansion::new(names("x", 65), names("y", 1), coefficients, Head::Identity).unwrap();
    let text = text_of(&expansion);
    assert!(text.contains("\"exponents\": \"sparse\""));
    assert!(text.contains(r#"{"exponents": [], "coefficient": "1"}"#));
    assert!(
        text.contains(r#"{"exponents": [[1, 2], [2, 2]], "coefficient": "2/3"}"#)
            || text.contains(r#"{"exponents": [[0, 1], [1, 2]], "coefficient": "2/3"}"#)
    );
    assert_eq!(Expansion::from_json(&text).unwrap(), expansion);
}

#[test]
fn terms_and_keys_may_come_in_any_order() {
    let text = r#"{"outputs": [{"terms": [{"coefficient": "-3/7", "exponents": [2, 1]}, {"exponents": [0, 0],
        "coefficient": 2.5}], "name": "y"}], "coefficients": "rational", "version": 1,
        "variables": ["x1", "x2"], "format": "slnn.polynomial"}"#;
    let expansion = Expansion::from_json(text).unwrap();
    let expected = Polynomial::parse("5/2 - 3/7 x1^2 x2", &["x1", "x2"]).unwrap();
    assert_eq!(expansion.rational().unwrap(), [expected]);
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let terms = (0..40_000_u32).map(|t| ([t % 200, t / 200], rational("1/3")));
    let coefficients = Coefficients::Rational(vec![Polynomial::from_terms(2, terms).unwrap()]);
    let expansion =
        Expansion::new(names("x", 2), names("y", 1), coefficients, Head::Identity).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| text_of(&expansion))
    };
    let one = on(1);
    assert!(one == on(3));
    assert!(Expansion::from_json(&one).unwrap() == expansion);
}

const NETWORK: &str = r#"{"format": "slnn.network", "version": 1,
 "inputs": [{"name": "x1", "lower": -1, "upper": 1}, {"name": "x2"}], "outputs": ["y"],
 "layers": [{"kind": "affine", "weight": [[1, 2], [3, 4]], "bias": [5, 6]},
  {"kind": "slaf", "basis": "chebyshev", "centre": [0, 0], "scale": [1, 1], "coefficients": [["1/2", 2, 3]]},
  {"kind": "mixed", "groups": [{"neurons": [0], "layer": {"kind": "activation", "function": "leaky_relu", "slope": 0.1}},
   {"neurons": [1], "layer": {"kind": "slaf", "basis": "normalised-monomial", "coefficients": [[1, 2]], "mean": [[0]], "scale": [[1]]}}]},
  {"kind": "affine", "weight": [[1, 2]], "bias": [0]}], "head": "identity"}"#;

const POLYNOMIAL: &str = r#"{"format": "slnn.polynomial", "version": 1, "variables": ["x1", "x2"], "coefficients": "f64",
 "head": "identity", "centre": [0, "1/2"], "truncated": 3,
 "outputs": [{"name": "y", "terms": [{"exponents": [0, 0], "coefficient": 2.5, "error": 0},
  {"exponents": [2, 1], "coefficient": -0.5, "error": 1e-9}]}, {"name": "w", "terms": []}], "about": {}}"#;

fn read(text: &str) -> slnn::Result<Model> {
    export::model_from_json(text)
}

/// `text` with the first `old` replaced, its error, which must have all `parts`.
fn refused(text: &str, old: &str, new: &str, parts: &[&str]) {
    assert!(text.contains(old), "{old}");
    let changed = text.replacen(old, new, 1);
    let message = read(&changed).expect_err(new).to_string();
    for part in parts {
        assert!(message.contains(part), "{old} -> {new}: {message:?} lacks {part:?}");
    }
}

#[test]
fn a_network_that_is_not_right_is_refused_by_name() {
    assert!(read(NETWORK).is_ok());
    for (old, new, parts) in [
        (
            "slnn.network",
            "slnn.nonsense",
            &["format", "nonsense", "slnn.polynomial", "slnn.network"][..],
        ),
        ("\"version\": 1", "\"version\": 2", &["version", "2"]),
        ("\"version\": 1", "\"version\": 1, \"version\": 1", &["\"version\" twice"]),
        ("\"version\": 1,", "", &["version"]),
        ("\"head\"", "\"hat\": 1, \"head\"", &["unknown key \"hat\""]),
        ("\"head\": \"identity\"", "\"head\": \"hat\"", &["head", "\"hat\"", "softmax"]),
        (", \"head\": \"identity\"", "", &["\"head\""]),
        ("\"bias\": [5, 6]", "\"bias\": [5, NaN]", &["line 3"]),
        ("\"bias\": [5, 6]", "\"bias\": [5, Infinity]", &["line 3"]),
        ("\"bias\": [5, 6]", "\"bias\": [5, -1e999]", &["line 3", "out of range"]),
        ("\"bias\": [5, 6]", "\"bias\": [5, null]", &["layers[0].bias[1]", "null"]),
        ("\"bias\": [5, 6]", "\"bias\": [5, \"x\"]", &["layers[0].bias[1]", "\"x\""]),
        ("\"bias\": [5, 6]", "\"bias\": [5, \"2/4\"]", &["layers[0].bias[1]", "lowest terms"]),
        ("\"bias\": [5, 6]", "\"bias\": [5]", &["layers[0]", "bias", "1 entries", "2"]),
        ("[3, 4]", "[3]", &["layers[0].weight[1]", "1 entries", "2"]),
        ("[[1, 2], [3, 4]]", "[[1], [3]]", &["layers[0]", "1 columns", "2"]),
        ("[[1, 2], [3, 4]]", "[]", &["layers[0].weight", "at least one row"]),
        ("[[1, 2], [3, 4]]", "7", &["layers[0].weight", "7"]),
        ("\"chebyshev\"", "\"chebychev\"", &["layers[1].basis", "chebychev"]),
        ("\"centre\": [0, 0]", "\"centre\": [0]", &["layers[1]", "centre"]),
        ("\"centre\": [0, 0], ", "", &["layers[1]", "centre"]),
        ("\"slope\"", "\"alpha\"", &["alpha"]),
        ("leaky_relu", "leaky", &["leaky"]),
        ("\"neurons\": [0]", "\"neurons\": [1]", &["layers[2]", "neuron 1 twice"]),
        ("\"neurons\": [0]", "\"neurons\": [9]", &["layers[2]", "neuron 9"]),
        ("\"neurons\": [0]", "\"neurons\": [-1]", &["layers[2].groups[0].neurons[0]", "-1"]),
        ("\"neurons\": [0]", "\"neurons\": [0.5]", &["layers[2].groups[0].neurons[0]", "0.5"]),
        ("\"x2\"", "\"x1\"", &["inputs", "\"x1\" twice"]),
        ("\"x2\"", "\"\"", &["inputs", "empty name"]),
        ("\"outputs\": [\"y\"]", "\"outputs\": [\"y\", \"z\"]", &["outputs", "2 names", "1"]),
        ("\"lower\": -1", "\"lower\": 2", &["inputs[0]", "lower 2"]),
        ("\"kind\": \"affine\"", "\"kind\": \"convex\"", &["layers[0].kind", "conv"]),
    ] {
        refused(NETWORK, old, new, parts);
    }
}

#[test]
fn a_polynomial_that_is_not_right_is_refused_by_name() {
    assert!(read(POLYNOMIAL).is_ok());
    for (old, new, parts) in [
        ("\"version\": 1", "\"version\": 2", &["version", "2"][..]),
        ("\"version\": 1", "\"version\": \"1\"", &["version", "\"1\""]),
        ("\"head\"", "\"hat\": 1, \"head\"", &["unknown key \"hat\""]),
        ("\"head\"", "\"head\": \"softmax\", \"head\"", &["\"head\" twice"]),
        ("\"variables\": [\"x1\", \"x2\"], ", "", &["variables"]),
        ("\"x2\"", "\"x1\"", &["variables", "\"x1\" twice"]),
        ("\"w\"", "\"y\"", &["outputs", "\"y\" twice"]),
        ("\"f64\"", "\"f32\"", &["coefficients", "f32"]),
        ("\"outputs\"", "\"exits\"", &["outputs"]),
        ("\"truncated\": 3", "\"truncated\": -3", &["truncated", "-3"]),
        ("\"centre\": [0, \"1/2\"]", "\"centre\": [0]", &["centre", "1 entries"]),
        ("\"1/2\"", "\"2/4\"", &["centre[1]", "lowest terms"]),
        ("\"about\": {}", "\"about\": []", &["about", "an object"]),
        ("\"about\": {}", "\"exponents\": \"dense\"", &["exponents", "dense", "sparse"]),
        ("\"about\": {}", "\"exponents\": \"sparse\"", &["outputs[0].terms[0].exponents", "pairs"]),
        ("[{\"name\": \"y\"", "[7, {\"name\": \"y\"", &["outputs[0]", "integer `7`", "an object"]),
        ("\"terms\": []", "\"terms\": {}", &["outputs[1]", "map", "an array"]),
        ("\"name\": \"w\", ", "", &["outputs[1]", "name"]),
        (", \"terms\": []", "", &["outputs[1]", "terms"]),
        ("\"terms\": []", "\"terms\": [], \"terms\": []", &["outputs[1]", "\"terms\" twice"]),
        (
            "\"terms\": []",
            "\"terms\": [], \"unit\": \"m\"",
            &["outputs[1]", "unknown key \"unit\""],
        ),
        ("[2, 1]", "[2]", &["outputs[0].terms[1].exponents", "1 entries", "2"]),
        ("[2, 1]", "[0, 0]", &["outputs[0].terms[1].exponents", "earlier term"]),
        ("[2, 1]", "[2, 1.5]", &["outputs[0].terms[1].exponents[1]", "1.5"]),
        ("[2, 1]", "[2, -1]", &["outputs[0].terms[1].exponents[1]", "-1"]),
        ("[2, 1]", "[2, 4294967296]", &["outputs[0].terms[1].exponents[1]", "4294967296"]),
        (
            "[2, 1]",
            "[4294967295, 1]",
            &["outputs[0].terms[1].exponents", "total degree 4294967296"],
        ),
        ("[2, 1]", "[[0, 2], [1, 1]]", &["outputs[0].terms[1].exponents", "pairs"]),
        ("[2, 1]", "\"x1\"", &["outputs[0].terms[1].exponents", "\"x1\""]),
        ("-0.5", "0", &["outputs[0].terms[0].coefficient", "zero"]),
        ("-0.5", "NaN", &["outputs[0].terms[1]", "line 4"]),
        ("-0.5", "1e999", &["outputs[0].terms[1]", "out of range"]),
        ("-0.5", "null", &["outputs[0].terms[1].coefficient", "null"]),
        ("-0.5", "\"1/2\"", &["outputs[0].terms[1].coefficient", "f64"]),
        ("-0.5", "\"2/4\"", &["outputs[0].terms[1].coefficient", "lowest terms"]),
        ("1e-9", "-1e-9", &["outputs[0].terms[1].error", "at least 0"]),
        (", \"error\": 1e-9", "", &["outputs[0].terms[1].error", "first term"]),
        (", \"error\": 0}", "}", &["outputs[0].terms[1].error", "first term"]),
        ("\"error\": 1e-9", "\"eror\": 1e-9", &["outputs[0].terms[1]", "unknown key \"eror\""]),
        (
            "\"error\": 1e-9",
            "\"error\": 1, \"error\": 1",
            &["outputs[0].terms[1]", "\"error\" twice"],
        ),
    ] {
        // The coefficient of the first term is the one that is made zero.
        let old = if new == "0" { "2.5" } else { old };
        refused(POLYNOMIAL, old, new, parts);
    }
}

#[test]
fn sparse_exponents_that_are_not_right_are_refused_by_name() {
    let text = r#"{"format": "slnn.polynomial", "version": 1, "variables": ["x1", "x2"], "coefficients": "rational",
 "exponents": "sparse", "outputs": [{"name": "y", "terms": [{"exponents": [[0, 2], [1, 1]], "coefficient": "5"}]}]}"#;
    assert!(read(text).is_ok());
    for new in [
        "[[1, 1], [0, 2]]",
        "[[0, 2], [0, 1]]",
        "[[0, 2], [1, 0]]",
        "[[0, 2], [2, 1]]",
        "[[0, 2], [1]]",
        "[[0, 2], 1]",
        "[0, [1, 1]]",
        "[0, 2]",
    ] {
        refused(text, "[[0, 2], [1, 1]]", new, &["outputs[0].terms[0].exponents"]);
    }
}

#[test]
fn hostile_nesting_is_an_error() {
    let brackets = "[".repeat(1_000_000);
    for text in [
        brackets.clone(),
        format!("{{\"a\":{brackets}"),
        NETWORK.replace("[5, 6]", &brackets),
        POLYNOMIAL.replace("[2, 1]", &brackets),
        POLYNOMIAL.replace("{}", &brackets),
        "{\"format\":".repeat(1_000_000),
    ] {
        assert!(read(&text).is_err());
        assert!(Network::from_json(&text).is_err());
        assert!(Expansion::from_json(&text).is_err());
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for text in [NETWORK.to_owned(), POLYNOMIAL.to_owned(), text_of(&small())] {
        for end in (0..text.len() - 1).filter(|end| text.is_char_boundary(*end)) {
            let cut = text[..end].trim_end();
            if cut.len() < text.trim_end().len() {
                assert!(read(cut).is_err(), "cut at {end}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_bytes_never_panic(
        polynomial in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let mut bytes = if polynomial { POLYNOMIAL } else { NETWORK }.as_bytes().to_vec();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            // Mostly characters that JSON knows, so that many changes pass the parser.
            let byte = b"0123456789-.eE[]{}\",:ntf/xp "[usize::from(byte) % 28];
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        // Whatever is accepted is written and read back as the same.
        match read(&text) {
            Ok(Model::Network(network)) => {
                prop_assert_eq!(Network::from_json(&network.to_json()).unwrap(), network);
            }
            Ok(Model::Expansion(expansion)) => {
                prop_assert_eq!(Expansion::from_json(&text_of(&expansion)).unwrap(), expansion);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

/// The polynomials of the golden files: short and long coefficients, names of every kind.
fn golden() -> Expansion {
    let variables = ["x1", "model year", "class"].map(str::to_owned).to_vec();
    let terms = [
        ([0, 0, 0], "-5/2"),
        ([1, 0, 0], "1"),
        ([2, 1, 0], "-1"),
        ([1, 1, 1], "123456789012345/7"),
        ([0, 0, 3], "-0x1p-55"),
    ];
    let terms = terms.map(|(exponents, c)| (exponents, rational(c)));
    let polynomials = vec![Polynomial::from_terms(3, terms).unwrap(), Polynomial::zero(3)];
    let outputs = vec!["y".to_owned(), "z_2".to_owned()];
    Expansion::new(variables, outputs, Coefficients::Rational(polynomials), Head::Identity).unwrap()
}

fn written(expansion: &Expansion, target: Target) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    export::write(expansion, target, &path).unwrap();
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn latex_is_exact_or_says_that_it_is_not() {
    let expected = r"% Polynomials written by slnn. Not exact: 2 of the numbers have a decimal point and are rounded to 6 significant digits; integers and fractions are exact.
\documentclass{article}
\usepackage{amsmath}
\allowdisplaybreaks
\begin{document}
\noindent Not exact: 2 of the numbers have a decimal point and are rounded to 6 significant digits; integers and fractions are exact.
\begin{align*}
y ={}& -\frac{5}{2} + x_{1} - x_{1}^{2} \, \textit{model\ year} + 1.76367 \times 10^{13} \, x_{1} \, \textit{model\ year} \, \mathit{class} \\
&{} - 2.77556 \times 10^{-17} \, \mathit{class}^{3}
\end{align*}
\begin{align*}
\mathit{z\_2} ={}& 0
\end{align*}
\end{document}
";
    assert_eq!(written(&golden(), Target::Latex), expected);
    let text = written(&small(), Target::Latex);
    assert!(text.contains("Every coefficient is exact."));
    assert!(
        text.contains(r"- \frac{3}{7} \, \left(x_{1} - \frac{1}{3}\right)^{2} \, x_{2}"),
        "{text}"
    );
    assert!(text.contains("total degree above 4") && text.contains("softmax"));
}

#[test]
fn python_has_the_terms_exactly() {
    let text = written(&golden(), Target::Python);
    let expected = r#"
VARIABLES = ("x1", "model year", "class",)
OUTPUTS = ("y", "z_2",)
HEAD = "identity"
CENTRE = None

# For each output its terms: (factors, numerator, denominator), where factors are
# pairs (index of the variable, power) and the fraction is the exact coefficient.
TERMS = (
    (
        ((), -5, 2),
        (((0, 1),), 1, 1),
        (((0, 2),(1, 1),), -1, 1),
        (((0, 1),(1, 1),(2, 1),), 123456789012345, 7),
        (((2, 3),), -1, 36028797018963968),
    ),
    (
    ),
)

# The variable behind each parameter of predict and predict_exact.
PARAMETERS = {"x1": "x1", "model_year": "model year", "class_": "class"}


def predict(x1, model_year, class_):
    """The outputs in floating point, after the head."""
    return _predict((x1, model_year, class_,))
"#;
    assert!(text.contains(expected), "{text}");
    let sympy = written(&golden(), Target::Sympy);
    assert!(sympy.contains("(((0, 1),(1, 1),(2, 1),), 123456789012345, 7),"));
    assert!(sympy.contains("Poly.from_dict(coefficients, *SYMBOLS, domain=\"QQ\")"));
}

/// Runs `script` in Python beside a module, `None` where there is no Python or no `needs`.
fn python(module: &str, needs: &str, script: &str) -> Option<String> {
    let run = |arguments: &[&str], directory: &std::path::Path| {
        Command::new("python3").args(arguments).current_dir(directory).output().ok()
    };
    let directory = tempfile::tempdir().unwrap();
    if !run(&["-c", &format!("import {needs}")], directory.path())?.status.success() {
        return None;
    }
    std::fs::write(directory.path().join("module.py"), module).unwrap();
    let output = run(&["-B", "-c", script], directory.path())?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Names that would do harm if they were code, and coefficients longer than Python reads in decimal.
fn hostile() -> Expansion {
    let variables = [
        "\"); import os; os._exit(7); (\"",
        "a\\",
        "a\n\"\"\"\nraise SystemExit(7)",
        "\u{202e}b",
        "lambda",
        "_predict",
        "température 'x'",
    ];
    let n = variables.len();
    let long = BigRational::new(BigInt::from(7).pow(6_000), BigInt::from(3).pow(10_000));
    let mut product = vec![0; n];
    (product[0], product[n - 1]) = (2, 2);
    let mut terms = vec![(vec![0; n], long.clone()), (product, -long)];
    for i in 0..n {
        let mut exponents = vec![0; n];
        exponents[i] = i as u32 + 1;
        terms.push((exponents, BigRational::new(BigInt::from(i + 1), BigInt::from(7))));
    }
    let p = Polynomial::from_terms(n, terms).unwrap();
    let centre = (0..n).map(|i| BigRational::new(BigInt::from(i), BigInt::from(3))).collect();
    Expansion::new(
        variables.map(str::to_owned).to_vec(),
        vec!["\\".into(), "{0}\"".into()],
        Coefficients::Rational(vec![p.clone(), Polynomial::zero(n)]),
        Head::Identity,
    )
    .unwrap()
    .with_centre(Some(centre))
    .unwrap()
}

/// The point at which modules are asked, as Python and as ours.
fn asked() -> (&'static str, Vec<BigRational>) {
    let ours = ["1/2", "-2", "3/5", "7", "1/9", "-1/11", "4"].map(rational).to_vec();
    ("[F(1, 2), F(-2), F(3, 5), F(7), F(1, 9), F(-1, 11), F(4)]", ours)
}

/// The exact value there, about the centre.
fn exact_value(expansion: &Expansion) -> BigRational {
    let centre = expansion.centre().unwrap();
    let shifted: Vec<_> = asked().1.iter().zip(centre).map(|(x, c)| x - c).collect();
    expansion.rational().unwrap()[0].evaluate(&shifted).unwrap()
}

/// Prints a fraction of any length: Python's own decimal conversion has a limit.
const SHOW: &str = "show = lambda v: print('%x/%x' % (v.numerator, v.denominator))";

#[test]
fn the_python_module_is_exact_and_names_do_no_harm() {
    let expansion = hostile();
    let script = format!(
        "from fractions import Fraction as F\nimport module, math\n{SHOW}\n\
         point = {}\nvalues = module.predict_exact(*point)\nassert values[1] == 0\n\
         show(values[0])\n\
         floats = module.predict(*point)\n\
         assert math.isclose(floats[0], values[0], rel_tol=1e-12) and floats[1] == 0.0\n\
         print(module.VARIABLES[0], len(set(module.PARAMETERS.values())))",
        asked().0
    );
    let Some(output) = python(&written(&expansion, Target::Python), "fractions", &script) else {
        eprintln!("skipped: no python3");
        return;
    };
    let value = exact_value(&expansion);
    let mut expected = String::new();
    let _ = writeln!(expected, "{:x}/{:x}", value.numer(), value.denom());
    let _ = writeln!(expected, "\"); import os; os._exit(7); (\" 7");
    assert_eq!(output, expected);
}

#[test]
fn the_sympy_module_is_exact() {
    let expansion = hostile();
    let script = format!(
        "from fractions import Fraction as F\nimport module, sympy\n{SHOW}\n\
         point = [sympy.Rational(v.numerator, v.denominator) for v in {}]\n\
         value = module.POLYNOMIALS[module.OUTPUTS[0]].as_expr().xreplace(dict(zip(module.SYMBOLS, point)))\n\
         show(F(int(value.p), int(value.q)))\nassert module.POLYNOMIALS[module.OUTPUTS[1]].is_zero",
        asked().0
    );
    let Some(output) = python(&written(&expansion, Target::Sympy), "sympy", &script) else {
        eprintln!("skipped: no python3 with sympy");
        return;
    };
    let value = exact_value(&expansion);
    assert_eq!(output, format!("{:x}/{:x}\n", value.numer(), value.denom()));
}

#[test]
fn heads_are_applied_by_predict_alone() {
    let p = Polynomial::parse("x1", &["x1"]).unwrap();
    for (head, expected) in [(Head::Softmax, "(0.5, 0.5)"), (Head::Logistic, "(0.5, 0.5)")] {
        let coefficients = Coefficients::Rational(vec![p.clone(), p.clone()]);
        let expansion = Expansion::new(names("x", 1), names("y", 2), coefficients, head).unwrap();
        let script = "import module; x = 0 if module.HEAD == 'logistic' else 3\n\
                      print(module.predict(x)); assert module.predict_exact(3) == (3, 3)\n\
                      if module.HEAD == 'logistic':\n    \
                      import math\n    \
                      small = math.exp(-700)\n    \
                      assert module.predict(-700) == (small, small), module.predict(-700)\n    \
                      assert module.predict(1000) == (1, 1) and module.predict(-1000) == (0, 0)";
        match python(&written(&expansion, Target::Python), "math", script) {
            Some(output) => assert_eq!(output.trim(), expected),
            None => eprintln!("skipped: no python3"),
        }
    }
}

#[test]
fn the_model_file_names_the_file_in_errors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.json");
    std::fs::write(&path, NETWORK.replace("slnn.network", "other")).unwrap();
    let message = export::read_model(&path).unwrap_err().to_string();
    assert!(message.contains("model.json: format: found the string \"other\""), "{message}");
    std::fs::write(&path, b"{\"format\": \"\xff\"}").unwrap();
    let message = export::read_model(&path).unwrap_err().to_string();
    assert!(message.contains("model.json") && message.contains("UTF-8"), "{message}");
    assert!(export::read_model(&directory.path().join("absent.json")).is_err());
    let affine = Affine::new(array![[1.0]], array![0.0]).unwrap();
    let network =
        Network::new(inputs(1), names("y", 1), vec![Layer::Affine(affine)], Head::Identity);
    network.unwrap().write(&path).unwrap();
    assert!(matches!(export::read_model(&path), Ok(Model::Network(_))));
}

// --- polynomials of millions of terms --------------------------------------------------------

/// A dense polynomial with long numerators over `odd 2^twos`.
fn dense(
    seed: u64,
    n: usize,
    degree: u32,
    odd: u32,
    twos: u32,
    bits: u64,
) -> Polynomial<BigRational> {
    let mut stream = Stream::new(seed, Parameters::Full);
    let denominator = BigInt::from(odd) << twos;
    let mut coefficient = || {
        let mut value = BigInt::from(0);
        for _ in 0..bits.div_ceil(32) {
            value = (value << 32) + stream.below(1 << 32);
        }
        let value = value >> stream.below(40);
        // Some are zero, some even, some negative.
        let value = value << (stream.below(3) * stream.below(9));
        BigRational::new(
            (value - stream.below(1 << 40)) * (stream.below(9) != 0) as i32,
            denominator.clone(),
        )
    };
    let terms =
        slnn::polynomial::monomials(n, degree).map(|e| (e, coefficient())).collect::<Vec<_>>();
    Polynomial::from_terms(n, terms).unwrap()
}

/// Both forms of the same expansion.
fn both(polynomials: Vec<Polynomial<BigRational>>) -> [Expansion; 2] {
    let n = polynomials[0].variables();
    let packed = polynomials.iter().map(|p| Packed::from_polynomial(p).unwrap()).collect();
    let outputs = names("y", polynomials.len());
    [Coefficients::Packed(packed), Coefficients::Rational(polynomials)]
        .map(|c| Expansion::new(names("x", n), outputs.clone(), c, Head::Identity).unwrap())
}

/// The reader of documents, which is another than that of texts.
fn from_document(text: &str) -> slnn::Result<Expansion> {
    Expansion::from_document(&slnn::json::Json::parse(text)?)
}

#[test]
fn packed_polynomials_are_written_and_read_like_others() {
    for (n, degree, odd, twos, bits) in [
        (1, 40, 1, 200, 230),
        (4, 6, 1, 0, 60),
        (4, 6, 1, 300, 20),
        (3, 5, 45, 7, 100),
        (3, 5, 3, 0, 640),
        (2, 7, 1, 14_000, 300),
        (2, 3, 1, 9_000, 6_000),
        (2, 2, 1, 0, 9_000),
        (70, 2, 1, 90, 130),
        (2, 0, 1, 3, 40),
    ] {
        let polynomials = vec![
            dense(1, n, degree, odd, twos, bits),
            Polynomial::zero(n),
            dense(2, n, degree.min(1), 1, 5, 64).fix(0, &rational("0")),
        ];
        let [packed, plain] = both(polynomials);
        assert_eq!(packed, plain);
        assert_eq!(packed.terms(), plain.terms());
        let text = text_of(&packed);
        assert_eq!(text, text_of(&plain));
        let read = Expansion::from_json(&text).unwrap();
        assert!(matches!(read.coefficients(), Coefficients::Packed(_)), "{n} {degree} {twos}");
        assert_eq!(read, plain);
        assert_eq!(text_of(&read), text);
        assert_eq!(read.to_rational(), plain.rational().unwrap());
        if bits < 1_000 {
            let rounded = packed.to_f64().unwrap();
            assert_eq!(rounded, plain.to_f64().unwrap());
            let text = text_of(&rounded.0);
            // Remarks are read as f64 numbers.
            assert_eq!(
                Expansion::from_json(&text).unwrap().coefficients(),
                rounded.0.coefficients()
            );
            assert_eq!(from_document(&text).unwrap().coefficients(), rounded.0.coefficients());
        }
        for target in [Target::Latex, Target::Python, Target::Sympy] {
            let directory = tempfile::tempdir().unwrap();
            let file = |name: &str, expansion: &Expansion| {
                let path = directory.path().join(name);
                export::write(expansion, target, &path).unwrap();
                std::fs::read(path).unwrap()
            };
            assert!(file("packed", &packed) == file("plain", &plain));
        }
    }
}

#[test]
fn the_bytes_of_packed_polynomials_do_not_depend_on_the_number_of_threads() {
    let [packed, plain] = both(vec![dense(5, 6, 9, 1, 70, 90)]);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let text = text_of(&packed);
            let read = Expansion::from_json(&text).unwrap();
            assert!(matches!(read.coefficients(), Coefficients::Packed(_)));
            (text, read.to_f64().unwrap(), read)
        })
    };
    let one = on(1);
    assert!(one == on(3) && one.2 == plain);
    assert!(one.1 == plain.to_f64().unwrap());
}

#[test]
fn packed_polynomials_carry_error_bounds() {
    let [packed, plain] = both(vec![dense(3, 2, 3, 1, 3, 40)]);
    let errors = Polynomial::from_terms(2, [([0, 0], 1e-9), ([4, 0], 1e-3)]).unwrap();
    let [packed, plain] =
        [packed, plain].map(|e| e.with_errors(Some(vec![errors.clone()])).unwrap());
    let text = text_of(&packed);
    assert_eq!(text, text_of(&plain));
    assert_eq!(Expansion::from_json(&text).unwrap(), plain);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Texts that are spelled in other ways, and texts with mistakes.
    #[test]
    fn texts_are_read_as_documents_are(
        seed in any::<u64>(), float: bool, sparse: bool, edits in 0_usize..4,
        replacement in proptest::sample::select(&[
            "", " ", "\n ", "0", "1", "-", "\"", "{", "}", "[", "]", ",", ":", "/", ".", "e", "\\", "\u{e9}",
            "[0, 1]", "\"1/2\"", "0.5", "-3e-2", "\"0x3p-4\"", "\"2/4\"", "00", "1.", "{}", "[]", ", ",
        ]),
    ) {
        let mut stream = Stream::new(seed, Parameters::Rational);
        let n = 1 + stream.below(3) as usize;
        let mut terms: Vec<(Vec<u32>, BigRational)> =
            slnn::polynomial::monomials(n, 3).map(|e| (e, stream.rational())).collect();
        // In any order, some of them missing, seldom one twice.
        for i in (1..terms.len()).rev() {
            terms.swap(i, stream.below(i as u64 + 1) as usize);
        }
        terms.truncate(1 + stream.below(terms.len() as u64) as usize);
        if stream.below(20) == 0 {
            terms.push(terms[0].clone());
        }
        let space = ["", " ", "\n  ", "\t"];
        let mut s = |text: &mut String| text.push_str(space[stream.below(4) as usize]);
        let mut text = format!(
            "{{\"format\": \"slnn.polynomial\", \"version\": 1, \"variables\": {:?}, \"coefficients\": {:?}",
            names("x", n),
            if float { "f64" } else { "rational" },
        );
        if sparse {
            text.push_str(", \"exponents\": \"sparse\"");
        }
        text.push_str(", \"outputs\": [{\"name\": \"y\", \"terms\": [");
        for (t, (exponents, c)) in terms.iter().enumerate() {
            text.push_str(if t == 0 { "" } else { "," });
            s(&mut text);
            let powers = exponents.iter().enumerate().filter(|(_, e)| !sparse || **e > 0);
            let powers: Vec<_> = powers
                .map(|(i, e)| if sparse { format!("[{i}, {e}]") } else { e.to_string() })
                .collect();
            let value = if float || t % 5 == 4 {
                slnn::numeric::rational::rational_to_f64(c).unwrap().to_string()
            } else {
                format!("\"{c}\"")
            };
            let keys = [("exponents", format!("[{}]", powers.join(","))), ("coefficient", value)];
            let order = if t % 3 == 0 { [1, 0] } else { [0, 1] };
            text.push('{');
            for (k, key) in order.into_iter().enumerate() {
                s(&mut text);
                let _ = write!(text, "\"{}\"", keys[key].0);
                s(&mut text);
                text.push(':');
                s(&mut text);
                text.push_str(&keys[key].1);
                s(&mut text);
                text.push_str(if k == 0 { "," } else { "}" });
            }
            s(&mut text);
        }
        text.push_str("]}], \"about\": {\"terms\": [1, {}]}}");
        for _ in 0..edits {
            let mut at = stream.below(text.len() as u64) as usize;
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let end = text[at..].char_indices().nth(stream.below(2) as usize).map_or(text.len(), |(i, _)| at + i);
            text.replace_range(at..end, replacement);
        }
        match (Expansion::from_json(&text), from_document(&text)) {
            (Ok(text), Ok(document)) => prop_assert_eq!(text, document),
            (Err(_), Err(_)) => {}
            (own, other) => prop_assert!(false, "{}\n{:?}\n{:?}", text, own.err(), other.err()),
        }
    }
}

#[test]
fn files_of_many_blocks_are_read_in_any_order_and_mistakes_in_them_are_found() {
    // Above four blocks of text.
    let [packed, _] = both(vec![dense(9, 8, 9, 1, 2_200, 2_200)]);
    let text = text_of(&packed);
    assert!(text.len() > 1 << 24);
    let read = Expansion::from_json(&text).unwrap();
    assert!(matches!(read.coefficients(), Coefficients::Packed(_)) && read == packed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("polynomial.json");
    std::fs::write(&path, &text).unwrap();
    assert!(Expansion::read(&path).unwrap() == packed);
    assert!(export::read_model(&path).unwrap() == Model::Expansion(packed.clone()));
    assert_eq!(export::format_of(&path).unwrap().as_deref(), Some("slnn.polynomial"));

    // Backwards.
    let (head, terms) = text.split_once("\"terms\": [\n").unwrap();
    let (terms, tail) = terms.split_once("]}]}").unwrap();
    let mut lines: Vec<&str> = terms.lines().map(|line| line.trim_end_matches(',')).collect();
    lines.reverse();
    let with = |lines: &[&str]| format!("{head}\"terms\": [\n{}]}}]}}{tail}", lines.join(",\n"));
    let read = Expansion::from_json(&with(&lines)).unwrap();
    assert!(matches!(read.coefficients(), Coefficients::Packed(_)) && read == packed);

    let last = lines.len() - 1;
    let mut twice = lines.clone();
    twice.push(lines[7]);
    let message = Expansion::from_json(&with(&twice)).unwrap_err().to_string();
    assert!(message.contains(&format!("outputs[0].terms[{}]", last + 1)), "{message}");
    for (old, new, part) in [
        ("\"coefficient\"", "\"coefficent\"", "coefficent"),
        ("\"coefficient\": \"", "\"coefficient\": \"0", "leading zeros"),
        ("[0, 0, ", "[0, ", "7 entries"),
        ("}", "", "line"),
    ] {
        let changed = lines[last].replacen(old, new, 1);
        let mut lines = lines.clone();
        lines[last] = &changed;
        let message = Expansion::from_json(&with(&lines)).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains(&format!("terms[{last}]")), "{message}");
    }
}
