//! Polynomials in several variables, as sums of terms in graded order.
//!
//! [`Polynomial<C>`] is a sparse sum of terms, each a coefficient and the exponents
//! of its monomial. The coefficients may be `f64`, or exact: [`BigInt`],
//! [`Dyadic`] or [`BigRational`]. Over the exact types every
//! operation is exact and equal polynomials are equal values.
//!
//! ```
//! use slnn::Polynomial;
//! use slnn::numeric::rational::parse_exact;
//!
//! let p = Polynomial::parse("3/2 x1^2 x2 - x2 + 1", &["x1", "x2"])?;
//! let q = p.derivative(0);
//! assert_eq!(q.to_string(), "3 x1 x2");
//! assert_eq!((&p * &q).degree(), Some(5));
//! let point = [parse_exact("1/3")?, parse_exact("2")?];
//! assert_eq!(p.evaluate(&point)?, parse_exact("-2/3")?);
//! # Ok::<(), slnn::Error>(())
//! ```
//!
//! **Sizes.** The total degree of every polynomial fits in `u32`. The operators `+`,
//! `-`, `*` are for polynomials that are known to fit together: like those of `ndarray`
//! they panic when the numbers of variables differ, and `*` when the degree would leave
//! `u32`. [`Polynomial::checked_add`] and its kin return an error instead; so do powers,
//! substitutions and integrals, which can raise a degree far.

mod arithmetic;
mod calculus;
mod coefficient;
mod evaluate;
mod exponents;
mod packed;
mod substitute;
mod text;
mod univariate;
pub(crate) mod words;

use std::ops::Range;

use num_bigint::BigInt;
use num_rational::BigRational;

pub use coefficient::{Coefficient, Field};
pub(crate) use evaluate::PackedForm;
pub use evaluate::{Bounded, FloatForm};
pub(crate) use exponents::Ranks;
pub use exponents::{graded_order, graded_rank, monomial_count, monomials, total_degree};
pub use packed::{Packed, PackedTerms};
pub use text::Named;
pub use univariate::Univariate;

use crate::error::{Error, Result};
use crate::numeric::Dyadic;
use crate::numeric::rational::rational_to_f64;

/// A polynomial in a fixed number of variables: terms in graded order, none of them zero.
///
/// Storage is flat: one row of exponents and one coefficient a term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Polynomial<C> {
    variables: usize,
    /// Row-major, one row of `variables` exponents a term.
    exponents: Vec<u32>,
    coefficients: Vec<C>,
}

impl<C> Polynomial<C> {
    /// The zero polynomial in `variables` variables.
    pub fn zero(variables: usize) -> Self {
        Polynomial { variables, exponents: Vec::new(), coefficients: Vec::new() }
    }

    /// The number of variables, whether or not all of them occur.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// The number of terms.
    pub fn len(&self) -> usize {
        self.coefficients.len()
    }

    /// Whether there are no terms; the same as [`Polynomial::is_zero`].
    pub fn is_empty(&self) -> bool {
        self.coefficients.is_empty()
    }

    /// Whether this is the zero polynomial.
    pub fn is_zero(&self) -> bool {
        self.is_empty()
    }

    /// The terms in graded order, each as its exponents and its coefficient.
    pub fn terms(&self) -> Terms<'_, C> {
        Terms { polynomial: self, range: 0..self.len() }
    }

    /// The coefficients in graded order of their monomials.
    pub fn coefficients(&self) -> &[C] {
        &self.coefficients
    }

    /// The coefficient of a monomial, `None` if it does not occur. Cost: a binary search.
    pub fn coefficient(&self, exponents: &[u32]) -> Option<&C> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match graded_order(self.row(middle), exponents) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(&self.coefficients[middle]),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The total degree, `None` for the zero polynomial.
    pub fn degree(&self) -> Option<u32> {
        // Terms ascend in degree.
        self.len().checked_sub(1).map(|last| self.term_degree(last))
    }

    /// The highest power of variable `i`, 0 for the zero polynomial.
    ///
    /// # Panics
    /// If there is no variable `i`.
    pub fn degree_in(&self, i: usize) -> u32 {
        self.check_index(i);
        (0..self.len()).map(|t| self.row(t)[i]).max().unwrap_or(0)
    }

    /// The exponents of term `t`.
    fn row(&self, t: usize) -> &[u32] {
        &self.exponents[t * self.variables..(t + 1) * self.variables]
    }

    /// The total degree of term `t`; every stored term's fits in `u32`.
    fn term_degree(&self, t: usize) -> u32 {
        self.row(t).iter().sum()
    }

    fn check_index(&self, i: usize) {
        assert!(i < self.variables, "variable {i} of a polynomial in {}", self.variables);
    }

    /// Checks that something has one entry a variable.
    fn check_length(&self, what: &str, found: usize) -> Result<()> {
        if found == self.variables {
            return Ok(());
        }
        Err(Error::invalid(
            what,
            format!("{found} entries"),
            format!("{}, one a variable", self.variables),
        ))
    }
}

impl<C: Coefficient> Polynomial<C> {
    /// The constant polynomial `value`.
    pub fn constant(variables: usize, value: C) -> Self {
        let mut result = Polynomial::zero(variables);
        if !value.is_zero() {
            result.exponents = vec![0; variables];
            result.coefficients.push(value);
        }
        result
    }

    /// The polynomial that is variable `i` (counted from 0).
    ///
    /// # Panics
    /// If there is no variable `i`.
    pub fn variable(variables: usize, i: usize) -> Self {
        let mut result = Polynomial::constant(variables, C::one());
        result.check_index(i);
        result.exponents[i] = 1;
        result
    }

    /// The sum of the given terms, in any order; terms of equal exponents are added up.
    ///
    /// # Errors
    /// If a row of exponents does not have one entry a variable, or a total degree
    /// does not fit in `u32`.
    pub fn from_terms<E: AsRef<[u32]>>(
        variables: usize,
        terms: impl IntoIterator<Item = (E, C)>,
    ) -> Result<Self> {
        let mut result = Polynomial::zero(variables);
        for (t, (exponents, coefficient)) in terms.into_iter().enumerate() {
            let exponents = exponents.as_ref();
            result
                .check_length("exponents", exponents.len())
                .map_err(|e| e.within(format!("term {t}")))?;
            if u32::try_from(total_degree(exponents)).is_err() {
                return Err(degree_overflow().within(format!("term {t}")));
            }
            result.exponents.extend_from_slice(exponents);
            result.coefficients.push(coefficient);
        }
        result.normalise();
        Ok(result)
    }

    /// Applies `f` to every coefficient and leaves out the terms that become zero.
    pub fn map<D: Coefficient>(&self, mut f: impl FnMut(&C) -> D) -> Polynomial<D> {
        let mut result = Polynomial::zero(self.variables);
        for (exponents, coefficient) in self.terms() {
            result.push(exponents, f(coefficient));
        }
        result
    }

    /// As [`Polynomial::map`], with the exponents in view and until the first error.
    ///
    /// # Errors
    /// The first that `f` returns.
    pub fn try_map<D: Coefficient>(
        &self,
        mut f: impl FnMut(&[u32], &C) -> Result<D>,
    ) -> Result<Polynomial<D>> {
        let mut result = Polynomial::zero(self.variables);
        for (exponents, coefficient) in self.terms() {
            result.push(exponents, f(exponents, coefficient)?);
        }
        Ok(result)
    }

    /// The terms of total degree at most `degree`.
    #[must_use]
    pub fn truncate(&self, degree: u32) -> Self {
        self.slice(0..self.first_above(degree))
    }

    /// The terms of total degree exactly `degree`.
    #[must_use]
    pub fn homogeneous_part(&self, degree: u32) -> Self {
        let start = degree.checked_sub(1).map_or(0, |below| self.first_above(below));
        self.slice(start..self.first_above(degree))
    }

    /// The index of the first term above total degree `degree`. Cost: a binary search.
    fn first_above(&self, degree: u32) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.term_degree(middle) <= degree { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn slice(&self, range: Range<usize>) -> Self {
        let n = self.variables;
        Polynomial {
            variables: n,
            exponents: self.exponents[range.start * n..range.end * n].to_vec(),
            coefficients: self.coefficients[range].to_vec(),
        }
    }

    /// Appends a term that comes after all others in graded order, unless it is zero.
    fn push(&mut self, exponents: &[u32], coefficient: C) {
        if !coefficient.is_zero() {
            self.exponents.extend_from_slice(exponents);
            self.coefficients.push(coefficient);
        }
    }

    /// Restores the invariants: sorts, adds up equal monomials in their given order, drops zeros.
    fn normalise(&mut self) {
        // Most come in order.
        let ordered = |t: usize| graded_order(self.row(t - 1), self.row(t)).is_lt();
        if (1..self.len()).all(ordered) && !self.coefficients.iter().any(C::is_zero) {
            return;
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| graded_order(self.row(a), self.row(b)));
        let mut coefficients: Vec<Option<C>> =
            std::mem::take(&mut self.coefficients).into_iter().map(Some).collect();
        let mut sorted = Polynomial::zero(self.variables);
        let mut order = order.into_iter().peekable();
        while let Some(t) = order.next() {
            // Every index occurs once in the order, so none is taken twice.
            let mut sum = coefficients[t].take().unwrap_or_else(C::zero);
            while let Some(other) = order.next_if(|&other| self.row(other) == self.row(t)) {
                if let Some(coefficient) = &coefficients[other] {
                    sum.add_assign(coefficient);
                }
            }
            sorted.push(self.row(t), sum);
        }
        *self = sorted;
    }
}

impl Polynomial<f64> {
    /// The same polynomial with exact coefficients.
    ///
    /// # Errors
    /// If a coefficient is infinite or not a number.
    pub fn to_dyadic(&self) -> Result<Polynomial<Dyadic>> {
        self.try_map(|exponents, c| {
            Dyadic::from_f64(*c).ok_or_else(|| {
                let place = format!("coefficient of exponents {exponents:?}");
                Error::invalid(place, c.to_string(), "a finite number")
            })
        })
    }
}

impl Polynomial<BigInt> {
    /// The same polynomial over the fractions.
    pub fn to_rational(&self) -> Polynomial<BigRational> {
        self.map(|c| BigRational::from_integer(c.clone()))
    }
}

impl Polynomial<Dyadic> {
    /// The same polynomial over the fractions.
    pub fn to_rational(&self) -> Polynomial<BigRational> {
        self.map(Dyadic::to_rational)
    }
}

impl Polynomial<BigRational> {
    /// Every coefficient rounded once to the nearest `f64`; those that round to zero are left out.
    ///
    /// # Errors
    /// If a coefficient is beyond the range of `f64`.
    pub fn to_f64(&self) -> Result<Polynomial<f64>> {
        self.try_map(|exponents, c| rational_to_f64(c).ok_or_else(|| beyond_f64(exponents)))
    }
}

/// The error of a coefficient that `f64` cannot hold.
fn beyond_f64(exponents: &[u32]) -> Error {
    Error::invalid(
        format!("coefficient of exponents {exponents:?}"),
        "a magnitude beyond the range of f64",
        "at most 1.8e308",
    )
}

/// The error of a total degree that leaves `u32`.
fn degree_overflow() -> Error {
    Error::invalid("total degree", "more than 4294967295", "a degree that fits in 32 bits")
}

/// The terms of a polynomial in graded order; see [`Polynomial::terms`].
#[derive(Clone, Debug)]
pub struct Terms<'a, C> {
    polynomial: &'a Polynomial<C>,
    range: Range<usize>,
}

impl<'a, C> Terms<'a, C> {
    fn at(&self, t: usize) -> (&'a [u32], &'a C) {
        (self.polynomial.row(t), &self.polynomial.coefficients[t])
    }
}

impl<'a, C> Iterator for Terms<'a, C> {
    type Item = (&'a [u32], &'a C);

    fn next(&mut self) -> Option<Self::Item> {
        self.range.next().map(|t| self.at(t))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.range.nth(n).map(|t| self.at(t))
    }
}

impl<C> DoubleEndedIterator for Terms<'_, C> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.range.next_back().map(|t| self.at(t))
    }
}

impl<C> ExactSizeIterator for Terms<'_, C> {}
