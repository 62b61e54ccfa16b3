//! Folding: any SLAF basis, with its frozen statistics, into monomial coefficients, exactly.

use ndarray::Array2;
use num_bigint::BigInt;
use num_rational::BigRational;

use crate::network::layer::{Basis, Family, Slaf};
use crate::numeric::Dyadic;
use crate::polynomial::{Coefficient, Univariate};

impl Slaf {
    /// The polynomial that each of `width` neurons computes, in powers of its pre-activation, exactly.
    ///
    /// For the normalised basis `sum_k c_k (z^k - m_k) s_k` this is `a_k = c_k s_k` and
    /// `a_0 = c_0 - sum_k a_k m_k`; an orthogonal basis is built by its three-term recurrence
    /// in `t = (z - centre) scale`. Cost: O(degree^2) operations on exact numbers a neuron.
    ///
    /// # Panics
    /// When the SLAF does not serve `width` neurons (a [`Network`](crate::Network) checks this).
    pub fn fold(&self, width: usize) -> Vec<Univariate<BigRational>> {
        assert!(self.check_width(width).is_ok(), "a slaf that does not serve {width} neurons");
        let coefficients = self.coefficients().to_exact();
        let row = |i: usize| {
            let row = if coefficients.nrows() == 1 { 0 } else { i };
            coefficients.row(row).to_vec()
        };
        match self.basis() {
            Basis::Monomial => (0..width).map(|i| Univariate::new(row(i))).collect(),
            Basis::NormalisedMonomial { mean, scale } => {
                let (mean, scale) = (mean.to_exact(), scale.to_exact());
                (0..width).map(|i| fold_normalised(row(i), &mean, &scale, i)).collect()
            }
            Basis::Orthogonal { family, centre, scale } => {
                let (centre, scale) = (centre.to_exact(), scale.to_exact());
                (0..width)
                    .map(|i| fold_orthogonal(*family, &row(i), &centre[i], &scale[i]))
                    .collect()
            }
        }
    }
}

fn fold_normalised(
    mut coefficients: Vec<BigRational>,
    mean: &Array2<BigRational>,
    scale: &Array2<BigRational>,
    neuron: usize,
) -> Univariate<BigRational> {
    for k in 1..coefficients.len() {
        let folded = &coefficients[k] * &scale[(neuron, k - 1)];
        let constant = &folded * &mean[(neuron, k - 1)];
        coefficients[0] -= constant;
        coefficients[k] = folded;
    }
    Univariate::new(coefficients)
}

/// In dyadic numbers where all parameters are: no greatest common divisor then. The elements of every
/// family have dyadic coefficients, though Legendre's recurrence divides.
fn fold_orthogonal(
    family: Family,
    coefficients: &[BigRational],
    centre: &BigRational,
    scale: &BigRational,
) -> Univariate<BigRational> {
    let dyadic = coefficients.iter().map(Dyadic::from_rational).collect::<Option<Vec<_>>>();
    match (dyadic, Dyadic::from_rational(centre), Dyadic::from_rational(scale)) {
        (Some(coefficients), Some(centre), Some(scale)) => {
            let divide = |x: &Dyadic, divisor: u32| {
                let twos = divisor.trailing_zeros();
                Dyadic::new(x.mantissa() / (divisor >> twos), x.exponent() - i64::from(twos))
            };
            recurrence(family, &coefficients, &centre, &scale, divide).map(Dyadic::to_rational)
        }
        _ => {
            let divide = |x: &BigRational, divisor: u32| x / BigInt::from(divisor);
            recurrence(family, coefficients, centre, scale, divide)
        }
    }
}

/// The sum of the elements by their three-term recurrence.
fn recurrence<C: Coefficient>(
    family: Family,
    coefficients: &[C],
    centre: &C,
    scale: &C,
    divide: impl Fn(&C, u32) -> C,
) -> Univariate<C> {
    let integer = |n: u32| C::from_u64(u64::from(n));
    let t = Univariate::new(vec![centre.mul(scale).neg(), scale.clone()]);
    let mut previous = Univariate::new(vec![C::one()]);
    let mut current = t.scale(&integer(family.first()));
    let mut sum = Univariate::new(vec![coefficients.first().cloned().unwrap_or_else(C::zero)]);
    for (k, c) in coefficients.iter().enumerate().skip(1) {
        sum = &sum + &current.scale(c);
        // The degree is at most 2^20 (checked on construction).
        let ((a, b), divisor) = family.recurrence(k as u32);
        let mut next = &(&t * &current).scale(&integer(a)) - &previous.scale(&integer(b));
        if divisor > 1 {
            next = next.map(|c| divide(c, divisor));
        }
        previous = std::mem::replace(&mut current, next);
    }
    sum
}
