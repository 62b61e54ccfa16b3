//! What a number must do to be a coefficient, and the numbers that do it.

use std::fmt::Debug;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::evaluate::Bounded;
use super::{Polynomial, arithmetic};
use crate::error::Result;
use crate::numeric::Dyadic;
use crate::numeric::rational::{format_exact, rational_from_f64, rational_to_f64};

/// A commutative ring whose elements can stand before a monomial.
///
/// Implemented for `f64` (rounded arithmetic), [`BigInt`], [`Dyadic`] and
/// [`BigRational`] (exact). Operands are borrowed, since exact numbers own memory.
pub trait Coefficient: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// The neutral element of addition.
    fn zero() -> Self;

    /// The neutral element of multiplication.
    fn one() -> Self;

    /// The value of a natural number (for `f64`, the nearest).
    fn from_u64(value: u64) -> Self;

    /// Whether this is zero; no polynomial stores such a coefficient.
    fn is_zero(&self) -> bool;

    /// Whether this is below zero, which decides the sign in a printed sum.
    fn is_negative(&self) -> bool;

    /// `self += other`.
    fn add_assign(&mut self, other: &Self);

    /// `self -= other`.
    fn sub_assign(&mut self, other: &Self);

    /// `self * other`.
    fn mul(&self, other: &Self) -> Self;

    /// `-self`.
    fn neg(&self) -> Self;

    /// `self += a * b`, the step of which products of polynomials are made.
    fn add_product(&mut self, a: &Self, b: &Self) {
        self.add_assign(&a.mul(b));
    }

    /// `self^exponent` by repeated squaring; `0^0` is 1.
    fn pow(&self, mut exponent: u32) -> Self {
        let mut result = Self::one();
        let mut square = self.clone();
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.mul(&square);
            }
            exponent >>= 1;
            if exponent > 0 {
                square = square.mul(&square);
            }
        }
        result
    }

    /// The nearest `f64` and a bound on its distance, zero if it is exact; `None` where it
    /// overflows or is not finite.
    fn rounded(&self) -> Option<Bounded>;

    /// The text of a coefficient that is not negative, in a spelling that
    /// [`Polynomial::parse`] reads.
    fn text(&self) -> String;

    /// The product of two polynomials without the terms above total degree `limit`.
    ///
    /// A ring in which sums cost more than in the integers may go by way of them.
    ///
    /// # Errors
    /// If the numbers of variables differ, or a degree leaves `u32`.
    fn product(
        a: &Polynomial<Self>,
        b: &Polynomial<Self>,
        limit: Option<u32>,
    ) -> Result<Polynomial<Self>> {
        arithmetic::multiply(a, b, limit)
    }
}

/// Coefficients that can be divided by a natural number, as integration needs.
pub trait Field: Coefficient {
    /// `self / divisor`.
    ///
    /// # Panics
    /// If an exact type is divided by zero.
    fn divide(&self, divisor: u64) -> Self;
}

impl Coefficient for f64 {
    fn zero() -> Self {
        0.0
    }

    fn one() -> Self {
        1.0
    }

    fn from_u64(value: u64) -> Self {
        value as f64
    }

    fn is_zero(&self) -> bool {
        *self == 0.0
    }

    fn is_negative(&self) -> bool {
        *self < 0.0
    }

    fn add_assign(&mut self, other: &Self) {
        *self += other;
    }

    fn sub_assign(&mut self, other: &Self) {
        *self -= other;
    }

    fn mul(&self, other: &Self) -> Self {
        self * other
    }

    fn neg(&self) -> Self {
        -self
    }

    fn rounded(&self) -> Option<Bounded> {
        self.is_finite().then_some(Bounded { value: *self, error: 0.0 })
    }

    fn text(&self) -> String {
        // Plain digits where a person would write them; both are shortest round-trip.
        if (1e-5..1e16).contains(self) { format!("{self}") } else { format!("{self:e}") }
    }
}

impl Field for f64 {
    fn divide(&self, divisor: u64) -> Self {
        self / divisor as f64
    }
}

/// The five ring operations by the operators that exact numbers have on references.
macro_rules! ring_by_operators {
    () => {
        fn is_zero(&self) -> bool {
            Zero::is_zero(self)
        }

        fn is_negative(&self) -> bool {
            Signed::is_negative(self)
        }

        fn add_assign(&mut self, other: &Self) {
            *self += other;
        }

        fn sub_assign(&mut self, other: &Self) {
            *self -= other;
        }

        fn mul(&self, other: &Self) -> Self {
            self * other
        }

        fn neg(&self) -> Self {
            -self
        }
    };
}

impl Coefficient for BigInt {
    ring_by_operators!();

    fn zero() -> Self {
        Zero::zero()
    }

    fn one() -> Self {
        One::one()
    }

    fn from_u64(value: u64) -> Self {
        value.into()
    }

    fn rounded(&self) -> Option<Bounded> {
        Dyadic::from(self.clone()).rounded()
    }

    fn text(&self) -> String {
        format_exact(&BigRational::from_integer(self.clone()))
    }
}

impl Coefficient for Dyadic {
    fn zero() -> Self {
        Zero::zero()
    }

    fn one() -> Self {
        One::one()
    }

    fn from_u64(value: u64) -> Self {
        BigInt::from(value).into()
    }

    fn is_zero(&self) -> bool {
        Zero::is_zero(self)
    }

    fn is_negative(&self) -> bool {
        self.is_negative()
    }

    fn add_assign(&mut self, other: &Self) {
        *self += other;
    }

    fn sub_assign(&mut self, other: &Self) {
        *self -= other;
    }

    fn mul(&self, other: &Self) -> Self {
        self * other
    }

    fn neg(&self) -> Self {
        -self
    }

    fn rounded(&self) -> Option<Bounded> {
        let value = self.to_f64()?;
        Some(Bounded::rounding(value, Dyadic::from_f64(value).as_ref() == Some(self)))
    }

    fn text(&self) -> String {
        // A person reads small integers as integers.
        match u64::try_from(self.mantissa()) {
            Ok(value) if self.exponent() == 0 => value.to_string(),
            _ => self.to_string(),
        }
    }
}

impl Coefficient for BigRational {
    ring_by_operators!();

    fn zero() -> Self {
        Zero::zero()
    }

    fn one() -> Self {
        One::one()
    }

    fn from_u64(value: u64) -> Self {
        BigRational::from_integer(value.into())
    }

    fn rounded(&self) -> Option<Bounded> {
        let value = rational_to_f64(self)?;
        Some(Bounded::rounding(value, rational_from_f64(value).as_ref() == Some(self)))
    }

    fn text(&self) -> String {
        format_exact(self)
    }

    fn product(
        a: &Polynomial<Self>,
        b: &Polynomial<Self>,
        limit: Option<u32>,
    ) -> Result<Polynomial<Self>> {
        arithmetic::multiply_rational(a, b, limit)
    }
}

impl Field for BigRational {
    fn divide(&self, divisor: u64) -> Self {
        self / BigInt::from(divisor)
    }
}
