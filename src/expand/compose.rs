//! Symbolic composition: the network evaluated in the algebra of polynomials.
//!
//! Every intermediate polynomial is an integer polynomial over one common
//! denominator, so that no coefficient is ever reduced to lowest terms on the way;
//! the denominator of a network of f64 parameters is a power of two, and bringing
//! two polynomials to it is a shift.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use crate::error::Result;
use crate::network::Network;
use crate::network::exact::{Algebra, ExactNetwork};
use crate::numeric::odd::common_integer;
use crate::numeric::rational::lowest_terms;
use crate::polynomial::Polynomial;

/// The exact polynomials of a network, or their parts of total degree at most `max_degree`;
/// `watch(layer, neuron)` is called before each neuron, and its error ends the work.
///
/// Truncation above a total degree is a homomorphism of rings, so cutting after every product loses
/// nothing of the part that is kept.
pub(super) fn compose(
    exact: &ExactNetwork<BigRational>,
    max_degree: Option<u32>,
    watch: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Vec<Polynomial<BigRational>>> {
    let algebra = Polynomials { variables: exact.inputs(), max_degree };
    let inputs = (0..exact.inputs())
        .map(|i| Fraction {
            numerator: algebra.truncate(Polynomial::variable(exact.inputs(), i)),
            denominator: Denominator::one(),
        })
        .collect();
    let outputs = exact.over(&algebra)?.evaluate_watched(&algebra, inputs, watch)?;
    Ok(outputs.iter().map(Fraction::to_rational).collect())
}

/// The remark that says which network is approximated, on which box, and the proven error.
pub(super) const APPROXIMATES: &str = "approximates";

/// What of the network's remarks goes into the file of its polynomials.
///
/// `evaluate` finds the class labels by the target, in the polynomial's file as in the network's;
/// a bound of the distance to another network is one of the `same` function only, whole and not
/// rounded.
pub(super) fn kept_remarks(
    network: &Network,
    same: bool,
) -> serde_json::Map<String, serde_json::Value> {
    let kept = if same { &["target", APPROXIMATES][..] } else { &["target"] };
    let about = kept.iter().filter_map(|key| network.about().get_key_value(*key));
    about.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A denominator `odd 2^twos`.
#[derive(Clone, Debug, PartialEq)]
struct Denominator {
    odd: BigInt,
    twos: u64,
}

impl Denominator {
    fn one() -> Self {
        Denominator { odd: BigInt::one(), twos: 0 }
    }

    fn of(value: &BigRational) -> Self {
        let twos = value.denom().trailing_zeros().unwrap_or(0);
        Denominator { odd: value.denom() >> twos, twos }
    }

    fn product(&self, other: &Self) -> Self {
        Denominator { odd: &self.odd * &other.odd, twos: self.twos + other.twos }
    }

    fn common(self, other: &Self) -> Self {
        Denominator { odd: common_integer(self.odd, &other.odd), twos: self.twos.max(other.twos) }
    }

    /// `value` times `self / divisor`, where `divisor` divides `self`.
    fn bring(&self, value: &BigInt, divisor: &Self) -> BigInt {
        let shifted = value << (self.twos - divisor.twos);
        if self.odd == divisor.odd { shifted } else { shifted * (&self.odd / &divisor.odd) }
    }
}

/// An integer polynomial over a common denominator.
#[derive(Clone, Debug)]
struct Fraction {
    numerator: Polynomial<BigInt>,
    denominator: Denominator,
}

impl Fraction {
    fn to_rational(&self) -> Polynomial<BigRational> {
        let Denominator { odd, twos } = &self.denominator;
        // A denominator is positive.
        self.numerator.map(|c| lowest_terms(c.clone(), odd.magnitude(), *twos))
    }
}

struct Polynomials {
    variables: usize,
    max_degree: Option<u32>,
}

impl Polynomials {
    fn truncate(&self, p: Polynomial<BigInt>) -> Polynomial<BigInt> {
        match self.max_degree {
            Some(degree) => p.truncate(degree),
            None => p,
        }
    }

    fn product(&self, a: &Polynomial<BigInt>, b: &Polynomial<BigInt>) -> Polynomial<BigInt> {
        match self.max_degree {
            Some(degree) => a.mul_truncated(b, degree),
            None => a * b,
        }
    }

    fn constant(&self, value: BigInt) -> Polynomial<BigInt> {
        Polynomial::constant(self.variables, value)
    }
}

impl Algebra for Polynomials {
    type Scalar = BigRational;
    type Element = Fraction;

    fn scalar(&self, value: &BigRational) -> Option<BigRational> {
        Some(value.clone())
    }

    fn affine(&self, weights: &[BigRational], inputs: &[Fraction], bias: &BigRational) -> Fraction {
        let products: Vec<_> = weights
            .iter()
            .zip(inputs)
            .filter(|(w, _)| !w.is_zero())
            .map(|(w, x)| (w.numer(), Denominator::of(w).product(&x.denominator), &x.numerator))
            .collect();
        let constant = Denominator::of(bias);
        let denominator =
            products.iter().fold(constant.clone(), |common, (_, d, _)| common.common(d));
        let mut numerator = self.constant(denominator.bring(bias.numer(), &constant));
        for (w, d, x) in products {
            numerator.add_scaled(&denominator.bring(w, &d), x);
        }
        Fraction { numerator, denominator }
    }

    fn polynomial(&self, coefficients: &[BigRational], z: &Fraction) -> Fraction {
        let degree = coefficients.iter().rposition(|c| !c.is_zero()).unwrap_or(0);
        let coefficients = &coefficients[..=degree];
        let common = coefficients
            .iter()
            .fold(Denominator::one(), |common, c| common.common(&Denominator::of(c)));
        let integer = |c: &BigRational| common.bring(c.numer(), &Denominator::of(c));
        // With z = Z / q: sum c_k z^k = (sum c_k Z^k q^{d-k}) / q^d, by Horner's rule.
        let mut numerator = self.constant(integer(&coefficients[degree]));
        let mut power = Denominator::one();
        for c in coefficients[..degree].iter().rev() {
            power = power.product(&z.denominator);
            let constant = (integer(c) << power.twos) * &power.odd;
            numerator = &self.product(&numerator, &z.numerator) + &self.constant(constant);
        }
        Fraction { numerator, denominator: common.product(&power) }
    }
}
