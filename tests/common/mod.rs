//! Random networks for property tests.

pub mod shapes;

use ndarray::{Array1, Array2};
use num_bigint::BigInt;
use num_rational::BigRational;
use slnn::network::{Affine, Basis, Family, Layer, Matrix, Slaf, Vector};

/// How the numbers of a random network are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parameters {
    /// `k / 8` with `|k| <= 16`: zeros and coincidences happen.
    Small,
    /// Full f64 mantissas of size about 1.
    Full,
    /// Rationals with odd denominators.
    Rational,
}

/// A stream of parameters from a seed; ChaCha is not needed for tests.
#[derive(Clone, Debug)]
pub struct Stream(u64, pub Parameters);

impl Stream {
    pub fn new(seed: u64, parameters: Parameters) -> Self {
        Stream(seed.wrapping_mul(2) + 1, parameters)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn float(&mut self) -> f64 {
        match self.1 {
            Parameters::Full => (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0,
            _ => (self.below(33) as f64 - 16.0) / 8.0,
        }
    }

    pub fn rational(&mut self) -> BigRational {
        let numerator = self.below(41) as i64 - 20;
        BigRational::new(BigInt::from(numerator), BigInt::from(self.below(9) + 1))
    }

    pub fn matrix(&mut self, rows: usize, columns: usize) -> Matrix {
        match self.1 {
            Parameters::Rational => {
                Array2::from_shape_simple_fn((rows, columns), || self.rational()).into()
            }
            _ => Array2::from_shape_simple_fn((rows, columns), || self.float()).into(),
        }
    }

    pub fn vector(&mut self, len: usize) -> Vector {
        match self.1 {
            Parameters::Rational => Array1::from_shape_simple_fn(len, || self.rational()).into(),
            _ => Array1::from_shape_simple_fn(len, || self.float()).into(),
        }
    }
}

pub fn affine(stream: &mut Stream, outputs: usize, inputs: usize) -> Layer {
    let (weight, bias) = (stream.matrix(outputs, inputs), stream.vector(outputs));
    Layer::Affine(Affine::new(weight, bias).unwrap())
}

/// A SLAF in basis number `basis` of five.
pub fn slaf(
    stream: &mut Stream,
    neurons: usize,
    degree: usize,
    basis: usize,
    shared: bool,
) -> Slaf {
    let coefficients = stream.matrix(if shared { 1 } else { neurons }, degree + 1);
    let basis = match basis {
        0 => Basis::Monomial,
        1 => Basis::NormalisedMonomial {
            mean: stream.matrix(neurons, degree),
            scale: stream.matrix(neurons, degree),
        },
        family => Basis::Orthogonal {
            family: [Family::Chebyshev, Family::Legendre, Family::Hermite][family - 2],
            centre: stream.vector(neurons),
            scale: stream.vector(neurons),
        },
    };
    Slaf::new(basis, coefficients).unwrap()
}
