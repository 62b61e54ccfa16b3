//! Derivatives and integrals.

use std::collections::HashMap;

use super::{Coefficient, Field, Polynomial, degree_overflow};
use crate::error::Result;

impl<C: Coefficient> Polynomial<C> {
    /// The partial derivative by variable `i`.
    ///
    /// # Panics
    /// If there is no variable `i`.
    #[must_use]
    pub fn derivative(&self, i: usize) -> Self {
        self.check_index(i);
        let mut result = Polynomial::zero(self.variables);
        // Dividing all monomials by the same one keeps their order.
        for (exponents, c) in self.terms().filter(|(exponents, _)| exponents[i] > 0) {
            let start = result.exponents.len();
            result.push(exponents, c.mul(&C::from_u64(u64::from(exponents[i]))));
            if let Some(exponent) = result.exponents.get_mut(start + i) {
                *exponent -= 1;
            }
        }
        result
    }
}

impl<C: Field> Polynomial<C> {
    /// The integral by variable `i` from 0: the polynomial `Q` with derivative `self` that
    /// is zero where `x_i = 0`.
    ///
    /// # Errors
    /// If the total degree leaves `u32`.
    ///
    /// # Panics
    /// If there is no variable `i`.
    pub fn antiderivative(&self, i: usize) -> Result<Self> {
        self.check_index(i);
        if self.degree() == Some(u32::MAX) {
            return Err(degree_overflow());
        }
        let mut result = Polynomial::zero(self.variables);
        for (exponents, c) in self.terms() {
            let start = result.exponents.len();
            result.push(exponents, c.divide(u64::from(exponents[i]) + 1));
            if let Some(exponent) = result.exponents.get_mut(start + i) {
                *exponent += 1;
            }
        }
        Ok(result)
    }

    /// The integral over the box of the points with `bounds[i].0 <= x_i <= bounds[i].1`.
    ///
    /// Without variables the box is a point and the integral the constant. Cost: one product
    /// for each nonzero exponent.
    ///
    /// # Errors
    /// If there is not one pair of bounds a variable.
    pub fn integrate_box(&self, bounds: &[(C, C)]) -> Result<C> {
        self.check_length("bounds of the box", bounds.len())?;
        // The integral of x_i^e along its side, for each power that occurs.
        let mut sides: HashMap<(usize, u32), C> = HashMap::new();
        let mut sum = C::zero();
        for (exponents, c) in self.terms() {
            let mut term = c.clone();
            for (i, &exponent) in exponents.iter().enumerate() {
                let side = sides.entry((i, exponent)).or_insert_with(|| {
                    let (lower, upper) = &bounds[i];
                    // u^(e+1) - l^(e+1), where e + 1 may be one more than fits.
                    let mut difference = upper.pow(exponent).mul(upper);
                    difference.sub_assign(&lower.pow(exponent).mul(lower));
                    difference.divide(u64::from(exponent) + 1)
                });
                term = term.mul(side);
            }
            sum.add_assign(&term);
        }
        Ok(sum)
    }
}
