//! Polynomials in one variable, by their coefficients from degree 0.

use std::ops::{Add, Mul, Neg, Sub};

use super::{Coefficient, Polynomial};
use crate::error::Result;

/// A polynomial in one variable: coefficients ascending in degree, the last not zero.
///
/// ```
/// use slnn::polynomial::Univariate;
///
/// let p = Univariate::new(vec![1.0, 0.0, 3.0]); // 1 + 3 z^2
/// assert_eq!(p.evaluate(&2.0), 13.0);
/// assert_eq!(p.compose(&Univariate::new(vec![1.0, 1.0])).coefficients(), [4.0, 6.0, 3.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Univariate<C>(Vec<C>);

impl<C: Coefficient> Univariate<C> {
    /// The polynomial with `coefficients[k]` before the k-th power; zeros at the end are dropped.
    pub fn new(mut coefficients: Vec<C>) -> Self {
        while coefficients.last().is_some_and(C::is_zero) {
            coefficients.pop();
        }
        Univariate(coefficients)
    }

    /// The zero polynomial.
    pub fn zero() -> Self {
        Univariate(Vec::new())
    }

    /// The constant polynomial `value`.
    pub fn constant(value: C) -> Self {
        Univariate::new(vec![value])
    }

    /// Whether this is the zero polynomial.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The coefficients, ascending in degree; none for the zero polynomial.
    pub fn coefficients(&self) -> &[C] {
        &self.0
    }

    /// The coefficients, ascending in degree, without a copy.
    pub fn into_coefficients(self) -> Vec<C> {
        self.0
    }

    /// The degree, `None` for the zero polynomial.
    pub fn degree(&self) -> Option<usize> {
        self.0.len().checked_sub(1)
    }

    /// The value at `z` by Horner's rule, in the arithmetic of `C`.
    pub fn evaluate(&self, z: &C) -> C {
        self.0.iter().rev().fold(C::zero(), |mut value, c| {
            value = value.mul(z);
            value.add_assign(c);
            value
        })
    }

    /// `factor * self`.
    #[must_use]
    pub fn scale(&self, factor: &C) -> Self {
        self.map(|c| c.mul(factor))
    }

    /// Applies `f` to every coefficient.
    pub fn map<D: Coefficient>(&self, f: impl FnMut(&C) -> D) -> Univariate<D> {
        Univariate::new(self.0.iter().map(f).collect())
    }

    /// The derivative.
    #[must_use]
    pub fn derivative(&self) -> Self {
        let powers = (1..).map(C::from_u64);
        Univariate::new(self.0.iter().skip(1).zip(powers).map(|(c, k)| c.mul(&k)).collect())
    }

    /// The polynomial `self(inner(z))`, by Horner's rule.
    #[must_use]
    pub fn compose(&self, inner: &Self) -> Self {
        self.0.iter().rev().fold(Univariate::zero(), |value, c| {
            &(&value * inner) + &Univariate::constant(c.clone())
        })
    }

    /// The polynomial in several variables that `self` makes of `inner`, by Horner's rule.
    ///
    /// # Errors
    /// If the total degree leaves `u32`.
    pub fn of(&self, inner: &Polynomial<C>) -> Result<Polynomial<C>> {
        self.0.iter().rev().try_fold(Polynomial::zero(inner.variables()), |value, c| {
            let mut value = value.checked_mul(inner)?;
            value += &Polynomial::constant(inner.variables(), c.clone());
            Ok(value)
        })
    }

    /// Coefficient by coefficient, as far as the longer one goes.
    fn zip(&self, other: &Self, into: impl Fn(&mut C, &C)) -> Self {
        let mut sum = self.0.clone();
        sum.resize(self.0.len().max(other.0.len()), C::zero());
        for (c, own) in sum.iter_mut().zip(&other.0) {
            into(c, own);
        }
        Univariate::new(sum)
    }
}

impl<C: Coefficient> Add for &Univariate<C> {
    type Output = Univariate<C>;

    fn add(self, other: Self) -> Univariate<C> {
        self.zip(other, C::add_assign)
    }
}

impl<C: Coefficient> Sub for &Univariate<C> {
    type Output = Univariate<C>;

    fn sub(self, other: Self) -> Univariate<C> {
        self.zip(other, C::sub_assign)
    }
}

impl<C: Coefficient> Mul for &Univariate<C> {
    type Output = Univariate<C>;

    fn mul(self, other: Self) -> Univariate<C> {
        if self.is_zero() || other.is_zero() {
            return Univariate::zero();
        }
        let mut product = vec![C::zero(); self.0.len() + other.0.len() - 1];
        for (i, a) in self.0.iter().enumerate() {
            for (sum, b) in product[i..].iter_mut().zip(&other.0) {
                sum.add_product(a, b);
            }
        }
        Univariate::new(product)
    }
}

impl<C: Coefficient> Neg for &Univariate<C> {
    type Output = Univariate<C>;

    fn neg(self) -> Univariate<C> {
        self.map(C::neg)
    }
}
