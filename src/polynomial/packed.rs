//! Exact polynomials of millions of terms: integers of one length over one common denominator.
//!
//! A full expansion has nearly every monomial up to its degree, so [`Packed`] stores no exponents:
//! the position of a coefficient in graded order is its monomial. Each numerator takes the same
//! number of 64-bit words, in two's complement, least significant first; the denominator
//! `odd 2^twos` is shared. A coefficient of 256 bits takes 32 bytes, about a tenth of what a
//! [`Polynomial`] of [`BigRational`] takes.

use std::ops::Range;

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive};
use rayon::prelude::*;

use super::exponents::{Ranks, advance, monomial_count};
use super::{Polynomial, beyond_f64, words};
use crate::error::{Error, Result};
use crate::numeric::rational::{SURELY_SHORT, lowest_terms, rational_to_f64};
use crate::numeric::{Dyadic, modular};

/// The most words that a conversion takes: 8 GiB.
const LARGEST: usize = 1 << 30;

/// Monomials that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// An exact polynomial with a place for every monomial of total degree up to a bound in the
/// variables that occur.
///
/// ```
/// use slnn::Polynomial;
/// use slnn::polynomial::Packed;
///
/// let p = Polynomial::parse("3/2 x^2 - x y + 1/4", &["x", "y"])?;
/// let packed = Packed::from_polynomial(&p)?;
/// assert_eq!(packed.len(), 3);
/// assert_eq!(packed.coefficient(&[1, 1]), p.coefficient(&[1, 1]).cloned());
/// assert_eq!(packed, p);
/// # Ok::<(), slnn::Error>(())
/// ```
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

impl Packed {
    /// Whether every coefficient can be written and read again, told from sizes alone.
    pub(crate) fn is_surely_short(&self) -> bool {
        (64 * self.words as u64).max(self.odd.bits() + self.twos) <= SURELY_SHORT
    }

    /// The polynomial of these parts.
    ///
    /// `numerators` holds `words` words for each monomial of total degree up to `degree` in the
    /// variables `used`, in graded order; zeros are no terms. The denominator is `odd 2^twos`, not
    /// necessarily in lowest terms.
    ///
    /// # Errors
    /// When `used` does not ascend below `variables`, `odd` is even, or the number of words is not
    /// as stated.
    pub fn new(
        variables: usize,
        used: Vec<u32>,
        degree: u32,
        words: usize,
        numerators: Vec<u64>,
        (odd, twos): (BigUint, u64),
    ) -> Result<Self> {
        let inside = used.last().is_none_or(|v| (*v as usize) < variables);
        if !inside || !used.is_sorted_by(|a, b| a < b) {
            let expected = format!("ascending indices below {variables}");
            return Err(Error::invalid("variables that occur", format!("{used:?}"), expected));
        }
        if !odd.is_odd() {
            return Err(Error::invalid("odd part of the denominator", "an even number", "odd"));
        }
        let count = monomial_count(used.len(), degree);
        if words == 0 || count * words != BigUint::from(numerators.len()) {
            return Err(Error::invalid(
                "numerators",
                format!("{} words", numerators.len()),
                format!("{words} for each monomial up to degree {degree}, at least 1"),
            ));
        }
        Ok(Packed { variables, used, degree, words, numerators, odd, twos })
    }

    /// The same polynomial in this form.
    ///
    /// # Errors
    /// When the monomials up to its degree cannot be held in memory, whatever it has of them.
    pub fn from_polynomial(polynomial: &Polynomial<BigRational>) -> Result<Self> {
        let variables = polynomial.variables();
        let used: Vec<u32> =
            (0..variables).filter(|&i| polynomial.degree_in(i) > 0).map(|i| i as u32).collect();
        let degree = polynomial.degree().unwrap_or(0);
        let (mut odd, mut twos) = (BigInt::one(), 0);
        for (_, c) in polynomial.terms() {
            let own = c.denom().trailing_zeros().unwrap_or(0);
            twos = twos.max(own);
            odd = odd.lcm(&(c.denom() >> own));
        }
        let common = &odd << twos;
        let numerator = |c: &BigRational| c.numer() * (&common / c.denom());
        let bits = polynomial.coefficients().iter().map(|c| numerator(c).bits()).max().unwrap_or(0);
        let words = (bits / 64 + 1) as usize;
        let size = (monomial_count(used.len(), degree) * words).to_usize();
        let size = size.filter(|size| *size <= LARGEST);
        let ranks = size.and_then(|_| Ranks::new(used.len(), degree, LARGEST));
        let (Some(size), Some(ranks)) = (size, ranks) else {
            return Err(Error::invalid(
                "polynomial",
                format!("degree {degree} in {} variables", used.len()),
                "one whose monomials up to that degree can be held in memory",
            ));
        };
        let mut numerators = vec![0; size];
        let mut row = vec![0; used.len()];
        for (exponents, c) in polynomial.terms() {
            row.iter_mut().zip(&used).for_each(|(e, i)| *e = exponents[*i as usize]);
            let n = numerator(c);
            let magnitude: Vec<u64> = n.magnitude().iter_u64_digits().collect();
            let start = ranks.rank(&row) * words;
            let negative = n.sign() == num_bigint::Sign::Minus;
            words::place(&magnitude, 0, negative, &mut numerators[start..start + words]);
        }
        let odd = odd.magnitude().clone();
        Ok(Packed { variables, used, degree, words, numerators, odd, twos })
    }

    /// The number of variables, whether or not all of them occur.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// The number of terms, which are not zero. Cost: a pass over the numerators.
    pub fn len(&self) -> usize {
        let chunks = self.numerators.par_chunks(self.words * CHUNK);
        chunks
            .map(|chunk| chunk.chunks_exact(self.words).filter(|n| !words::is_zero(n)).count())
            .sum()
    }

    /// Whether there are no terms; the same as [`Packed::is_zero`].
    pub fn is_empty(&self) -> bool {
        self.is_zero()
    }

    /// Whether this is the zero polynomial.
    pub fn is_zero(&self) -> bool {
        words::is_zero(&self.numerators)
    }

    /// The total degree, `None` for the zero polynomial.
    pub fn degree(&self) -> Option<u32> {
        let last = self.numerators.chunks_exact(self.words).rposition(|n| !words::is_zero(n))?;
        let mut row = vec![0; self.used.len()];
        self.ranks().monomial(last, &mut row);
        Some(row.iter().sum())
    }

    /// The number of monomials that have a place, terms or not.
    pub(crate) fn places(&self) -> usize {
        self.numerators.len() / self.words
    }

    /// The common denominator `odd 2^twos`.
    pub fn denominator(&self) -> BigInt {
        BigInt::from(self.odd.clone()) << self.twos
    }

    /// The coefficient of a monomial, `None` if it does not occur.
    pub fn coefficient(&self, exponents: &[u32]) -> Option<BigRational> {
        if exponents.len() != self.variables {
            return None;
        }
        let row: Vec<u32> = self.used.iter().map(|i| exponents[*i as usize]).collect();
        let total = super::total_degree(exponents);
        if total > u64::from(self.degree) || total != super::total_degree(&row) {
            return None;
        }
        let numerator = self.numerator(self.ranks().rank(&row));
        (!words::is_zero(numerator)).then(|| self.value(numerator))
    }

    /// The numerator at a position.
    pub(super) fn numerator(&self, position: usize) -> &[u64] {
        &self.numerators[position * self.words..(position + 1) * self.words]
    }

    /// The coefficient of this numerator, in lowest terms.
    pub(crate) fn value(&self, numerator: &[u64]) -> BigRational {
        lowest_terms(words::to_integer(numerator), &self.odd, self.twos)
    }

    /// The terms in graded order, each as its exponents and its coefficient in lowest terms.
    pub fn terms(&self) -> PackedTerms<'_> {
        PackedTerms { packed: self, row: vec![0; self.used.len()], position: 0 }
    }

    /// The tables that [`Packed::visit`] needs.
    pub(crate) fn ranks(&self) -> Ranks {
        // A table has at most three times as many entries as there are monomials, in one variable.
        Ranks::new(self.used.len(), self.degree, usize::MAX)
            .expect("monomials that are in memory can be counted")
    }

    /// Shows the exponents and the numerator of every term with a position in `range`, in order.
    pub(crate) fn visit(
        &self,
        ranks: &Ranks,
        range: Range<usize>,
        mut show: impl FnMut(&[u32], &[u64]),
    ) {
        let mut row = vec![0; self.used.len()];
        let mut exponents = vec![0; self.variables];
        if range.is_empty() {
            return;
        }
        ranks.monomial(range.start, &mut row);
        for position in range {
            let numerator = self.numerator(position);
            if !words::is_zero(numerator) {
                if row.len() == exponents.len() {
                    show(&row, numerator);
                } else {
                    self.used.iter().zip(&row).for_each(|(i, e)| exponents[*i as usize] = *e);
                    show(&exponents, numerator);
                }
            }
            advance(&mut row);
        }
    }

    /// The same polynomial, term by term. It takes about ten times the memory.
    pub fn to_polynomial(&self) -> Polynomial<BigRational> {
        self.unfold(|numerator| self.value(numerator))
    }

    /// The polynomial of the numerators, over [`Packed::denominator`].
    pub fn to_numerators(&self) -> Polynomial<BigInt> {
        self.unfold(words::to_integer)
    }

    fn unfold<C>(&self, coefficient: impl Fn(&[u64]) -> C) -> Polynomial<C> {
        let mut result = Polynomial::zero(self.variables);
        self.visit(&self.ranks(), 0..self.places(), |exponents, numerator| {
            result.exponents.extend_from_slice(exponents);
            result.coefficients.push(coefficient(numerator));
        });
        result
    }

    /// Every coefficient rounded once to the nearest `f64`, ties to even, and how many rounded to
    /// zero, which are left out.
    ///
    /// # Errors
    /// If a coefficient is beyond the range of `f64`.
    pub fn to_f64(&self) -> Result<(Polynomial<f64>, usize)> {
        self.rounded().map_err(|exponents| beyond_f64(&exponents))
    }

    /// As [`Packed::to_f64`], with the first monomial whose coefficient is beyond `f64` as the error.
    pub(crate) fn rounded(&self) -> std::result::Result<(Polynomial<f64>, usize), Vec<u32>> {
        let (ranks, places) = (self.ranks(), self.places());
        let mut result = Polynomial::zero(self.variables);
        let mut underflowed = 0;
        // A few chunks at a time, so that little is held twice.
        let starts: Vec<usize> = (0..places).step_by(CHUNK).collect();
        for batch in starts.chunks(64) {
            let parts: Vec<_> = batch
                .par_iter()
                .map(|&start| {
                    let mut part = Polynomial::zero(self.variables);
                    let (mut zeros, mut beyond) = (0, None);
                    let mut scratch = Vec::new();
                    let range = start..(start + CHUNK).min(places);
                    self.visit(&ranks, range, |exponents, numerator| {
                        match self.nearest(numerator, &mut scratch) {
                            None => beyond = beyond.take().or_else(|| Some(exponents.to_vec())),
                            Some(0.0) => zeros += 1,
                            Some(c) => {
                                part.exponents.extend_from_slice(exponents);
                                part.coefficients.push(c);
                            }
                        }
                    });
                    (part, zeros, beyond)
                })
                .collect();
            for (part, zeros, beyond) in parts {
                if let Some(exponents) = beyond {
                    return Err(exponents);
                }
                result.exponents.extend(part.exponents);
                result.coefficients.extend(part.coefficients);
                underflowed += zeros;
            }
        }
        Ok((result, underflowed))
    }

    /// The nearest `f64` of a coefficient, `None` where it overflows.
    pub(super) fn nearest(&self, numerator: &[u64], scratch: &mut Vec<u64>) -> Option<f64> {
        if !self.odd.is_one() {
            let n = words::to_integer(numerator);
            return rational_to_f64(&BigRational::new_raw(n, self.denominator()));
        }
        let negative = words::magnitude(numerator, scratch);
        // A denominator of 2^63 bits is in no memory.
        let value = words::nearest_f64(scratch, -i64::try_from(self.twos).unwrap_or(i64::MAX))?;
        Some(if negative { -value } else { value })
    }

    /// The bits of the longest numerator and of the denominator.
    pub(crate) fn bits(&self) -> (u64, u64) {
        let mut scratch = Vec::new();
        let bits = self.numerators.chunks_exact(self.words).map(|n| {
            words::magnitude(n, &mut scratch);
            words::bits(&scratch)
        });
        (bits.max().unwrap_or(0), self.odd.bits() + self.twos)
    }

    /// The bits of the odd part of the denominator, 0 for 1.
    pub(crate) fn odd_bits(&self) -> f64 {
        if self.odd.is_one() { 0.0 } else { self.odd.bits() as f64 }
    }

    /// The polynomial whose variable `i` is variable `order[i]` of this one.
    ///
    /// # Errors
    /// When `order` does not hold each variable once.
    pub fn permuted(&self, order: &[usize]) -> Result<Self> {
        let mut places = vec![None; self.variables];
        for (new, &old) in order.iter().enumerate() {
            if let Some(place) = places.get_mut(old) {
                *place = Some(new as u32);
            }
        }
        let whole = order.len() == self.variables && places.iter().all(Option::is_some);
        if !whole {
            let expected = "each variable once";
            return Err(Error::invalid("order of variables", format!("{order:?}"), expected));
        }
        let moved: Vec<u32> = self.used.iter().filter_map(|old| places[*old as usize]).collect();
        let mut used = moved.clone();
        used.sort_unstable();
        // Where each variable that occurs stands among those of the result.
        let columns: Vec<usize> =
            moved.iter().map(|new| used.partition_point(|other| other < new)).collect();
        let ranks = self.ranks();
        let mut numerators = vec![0; self.numerators.len()];
        let mut row = vec![0; self.used.len()];
        let mut target = row.clone();
        for numerator in self.numerators.chunks_exact(self.words) {
            columns.iter().zip(&row).for_each(|(column, e)| target[*column] = *e);
            let start = ranks.rank(&target) * self.words;
            numerators[start..start + self.words].copy_from_slice(numerator);
            advance(&mut row);
        }
        Ok(Packed { used, numerators, odd: self.odd.clone(), ..*self })
    }

    /// The value at a point, one number a variable.
    ///
    /// Horner's rule on integers over one denominator: a long product a place.
    ///
    /// # Errors
    /// If the point does not have one entry a variable.
    pub fn evaluate(&self, point: &[BigRational]) -> Result<BigRational> {
        if point.len() != self.variables {
            let expected = format!("{}, one a variable", self.variables);
            return Err(Error::invalid("point", format!("{} entries", point.len()), expected));
        }
        // x_i = X_i / q: the sum of n_a X^a q^{D - |a|}, over q^D times the denominator.
        let point: Vec<&BigRational> = self.used.iter().map(|i| &point[*i as usize]).collect();
        let common = point.iter().fold(BigInt::one(), |lcm, x| lcm.lcm(x.denom()));
        let twos = common.trailing_zeros().unwrap_or(0);
        let horner = Exact {
            packed: self,
            point: point.iter().map(|x| x.numer() * (&common / x.denom())).collect(),
            odd: &common >> twos,
            twos,
        };
        let value = self.horner(&horner).unwrap_or_default();
        let odd = BigInt::from(self.odd.clone()) * horner.odd.pow(self.degree);
        let twos = self.twos + twos * u64::from(self.degree);
        if odd.is_one() {
            // No greatest common divisor of long numbers.
            return Ok(Dyadic::new(value, -(twos as i64)).to_rational());
        }
        Ok(BigRational::new(value, odd << twos))
    }

    /// The value at a point of residues modulo a prime below `2^63`, `None` where it divides the
    /// denominator.
    ///
    /// # Panics
    /// If the point does not have one entry a variable.
    pub(crate) fn evaluate_modulo(&self, point: &[u64], prime: u64) -> Option<u64> {
        assert_eq!(point.len(), self.variables, "one entry a variable");
        let denominator = modular::mul(
            modular::reduce(&self.odd.clone().into(), prime),
            modular::pow(2, self.twos, prime),
            prime,
        );
        let inverse = modular::inv(denominator, prime)?;
        let horner = Residues {
            packed: self,
            point: self.used.iter().map(|i| point[*i as usize]).collect(),
            prime,
            // 2^64 modulo the prime, to the number of words.
            wrap: modular::pow(modular::pow(2, 64, prime), self.words as u64, prime),
        };
        Some(modular::mul(self.horner(&horner).unwrap_or(0), inverse, prime))
    }

    /// Horner's rule in each variable, the last outermost; `None` where `rule` has no values.
    pub(super) fn horner<H: Horner>(&self, rule: &H) -> Option<H::Value> {
        let (ranks, degree) = (self.ranks(), self.degree);
        let n = self.used.len();
        // For the variables from the last down: the power that is being added, and the sum of those
        // above it.
        let mut levels: Vec<(u32, Option<H::Value>)> = Vec::new();
        // The sum of the powers, and what the variables of the levels contribute to the position.
        let (mut sum, mut partial) = (0, 0);
        loop {
            if levels.len() < n && sum < degree {
                levels.push((degree - sum, None));
                sum = degree;
                partial += ranks.below(levels.len(), sum);
            }
            // The other variables have the power 0; their contributions add up to a difference.
            let rest = ranks.below(n, sum + 1) - ranks.below(levels.len(), sum + 1);
            let mut value = rule.coefficient(partial + rest, degree - sum);
            loop {
                let depth = levels.len();
                let Some((power, above)) = levels.last_mut() else { return value };
                value = match above.take() {
                    None => value,
                    Some(above) => Some(rule.step(above, n - depth, value)),
                };
                partial -= ranks.below(depth, sum);
                if *power == 0 {
                    levels.pop();
                    continue;
                }
                *power -= 1;
                *above = value;
                sum -= 1;
                partial += ranks.below(depth, sum);
                break;
            }
        }
    }
}

/// The arithmetic of [`Packed::horner`].
pub(super) trait Horner {
    type Value;

    /// The coefficient at a position, and `rest`, the degree that its monomial leaves free.
    fn coefficient(&self, position: usize, rest: u32) -> Option<Self::Value>;

    /// `above x + value`, for `x` the variable of this index among those that occur.
    fn step(&self, above: Self::Value, variable: usize, value: Option<Self::Value>) -> Self::Value;
}

/// Integers: the polynomial made homogeneous by a variable that is `odd 2^twos`.
struct Exact<'a> {
    packed: &'a Packed,
    point: Vec<BigInt>,
    odd: BigInt,
    twos: u64,
}

impl Horner for Exact<'_> {
    type Value = BigInt;

    fn coefficient(&self, position: usize, rest: u32) -> Option<BigInt> {
        let numerator = self.packed.numerator(position);
        if words::is_zero(numerator) {
            return None;
        }
        let n = words::to_integer(numerator) << (self.twos * u64::from(rest));
        Some(if self.odd.is_one() { n } else { n * self.odd.pow(rest) })
    }

    fn step(&self, above: BigInt, variable: usize, value: Option<BigInt>) -> BigInt {
        let product = above * &self.point[variable];
        match value {
            Some(value) => product + value,
            None => product,
        }
    }
}

/// Residues modulo a prime.
struct Residues<'a> {
    packed: &'a Packed,
    point: Vec<u64>,
    prime: u64,
    wrap: u64,
}

impl Horner for Residues<'_> {
    type Value = u64;

    fn coefficient(&self, position: usize, _rest: u32) -> Option<u64> {
        let numerator = self.packed.numerator(position);
        let residue = numerator.iter().rev().fold(0, |residue, word| {
            let value = u128::from(residue) << 64 | u128::from(*word);
            (value % u128::from(self.prime)) as u64
        });
        Some(match words::is_negative(numerator) {
            true => modular::sub(residue, self.wrap, self.prime),
            false => residue,
        })
    }

    fn step(&self, above: u64, variable: usize, value: Option<u64>) -> u64 {
        let product = modular::mul(above, self.point[variable], self.prime);
        modular::add(product, value.unwrap_or(0), self.prime)
    }
}

/// Equal as polynomials, whatever the denominators and the places kept.
impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        if self.variables != other.variables {
            return false;
        }
        let alike = self.used == other.used
            && self.degree == other.degree
            && self.words == other.words
            && self.odd == other.odd
            && self.twos == other.twos;
        if alike {
            return self.numerators == other.numerators;
        }
        self.terms().eq(other.terms())
    }
}

impl PartialEq<Polynomial<BigRational>> for Packed {
    fn eq(&self, other: &Polynomial<BigRational>) -> bool {
        let mut own = self.terms();
        let same = |(row, c): (&[u32], &BigRational)| {
            own.next().is_some_and(|(exponents, own)| exponents == row && own == *c)
        };
        self.variables == other.variables() && other.terms().all(same) && own.next().is_none()
    }
}

/// The terms of a packed polynomial in graded order; see [`Packed::terms`].
#[derive(Clone, Debug)]
pub struct PackedTerms<'a> {
    packed: &'a Packed,
    /// The monomial at the position, in the variables that occur.
    row: Vec<u32>,
    position: usize,
}

impl Iterator for PackedTerms<'_> {
    type Item = (Vec<u32>, BigRational);

    fn next(&mut self) -> Option<Self::Item> {
        let packed = self.packed;
        while self.position < packed.places() {
            let numerator = packed.numerator(self.position);
            let term = (!words::is_zero(numerator)).then(|| {
                let mut exponents = vec![0; packed.variables];
                packed.used.iter().zip(&self.row).for_each(|(i, e)| exponents[*i as usize] = *e);
                (exponents, packed.value(numerator))
            });
            self.position += 1;
            advance(&mut self.row);
            if term.is_some() {
                return term;
            }
        }
        None
    }
}
