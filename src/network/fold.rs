//! Folding: any SLAF basis, with its frozen statistics, into monomial coefficients, exactly.

use ndarray::Array2;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use crate::network::layer::{Basis, Family, Slaf};
use crate::polynomial::Univariate;

impl Slaf {
    /// The polynomial that each of `width` neurons computes, in powers of its pre-activation, exactly.
    ///
    /// For the normalised basis `sum_k c_k (z^k - m_k) s_k` this is `a_k = c_k s_k` and
    /// `a_0 = c_0 - sum_k a_k m_k`; an orthogonal basis is built by its three-term recurrence
    /// in `t = (z - centre) scale`. Cost: O(degree^2) rational operations a neuron.
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

fn fold_orthogonal(
    family: Family,
    coefficients: &[BigRational],
    centre: &BigRational,
    scale: &BigRational,
) -> Univariate<BigRational> {
    let integer = |n: u32| BigRational::from(BigInt::from(n));
    let t = Univariate::new(vec![-(centre * scale), scale.clone()]);
    let mut previous = Univariate::new(vec![BigRational::one()]);
    let mut current = t.scale(&integer(family.first()));
    let mut sum = Univariate::new(vec![coefficients.first().cloned().unwrap_or_else(Zero::zero)]);
    for (k, c) in coefficients.iter().enumerate().skip(1) {
        sum = &sum + &current.scale(c);
        // The degree is at most 2^20 (checked on construction).
        let ((a, b), divisor) = family.recurrence(k as u32);
        let divisor = integer(divisor);
        let next = &(&t * &current).scale(&(integer(a) / &divisor))
            - &previous.scale(&(integer(b) / &divisor));
        previous = std::mem::replace(&mut current, next);
    }
    sum
}
