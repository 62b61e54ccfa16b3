//! Exact polynomials of millions of terms: integers of one length over one common denominator.
//!
//! A full expansion has nearly every monomial up to its degree, so [`Packed`] stores no exponents:
//! the position of a coefficient in graded order is its monomial. Each numerator takes the same
//! number of 64-bit words, in two's complement, least significant first; the denominator
//! `odd 2^twos` is shared. A coefficient of 256 bits takes 32 bytes, about a tenth of what a
//! [`Polynomial`](super::Polynomial) of [`BigRational`](num_rational::BigRational) takes.

use num_bigint::BigUint;

/// An exact polynomial with a place for every monomial of total degree up to `degree` in the
/// variables that occur.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The number of variables, whether or not all of them occur.
    pub(crate) variables: usize,
    /// The variables that occur, ascending; monomials are in these only.
    pub(crate) used: Vec<u32>,
    pub(crate) degree: u32,
    /// Words a numerator, at least 1.
    pub(crate) words: usize,
    /// One numerator a monomial, in graded order.
    pub(crate) numerators: Vec<u64>,
    /// The denominator is `odd 2^twos`.
    pub(crate) odd: BigUint,
    pub(crate) twos: u64,
}
