//! Sums, products and powers.
//!
//! Sums merge two sorted lists. A product multiplies every pair of terms and adds it
//! up in place: the sums are found by a mixed-radix number made of the exponents,
//! which is added where monomials are multiplied (Kronecker 1882), as an index into a
//! table when the box of exponents is small and through a hash map otherwise; the
//! result is sorted once. Fractions are multiplied as integers over common
//! denominators, since a sum of fractions costs a greatest common divisor.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;

use super::{Coefficient, Polynomial, degree_overflow, graded_order};
use crate::error::{Error, Result};

impl<C: Coefficient> Polynomial<C> {
    /// `self + other`. Cost: linear in the terms of both.
    ///
    /// # Errors
    /// If the numbers of variables differ.
    pub fn checked_add(&self, other: &Self) -> Result<Self> {
        same_variables(self, other)?;
        Ok(merge(self.clone(), other, C::clone, C::add_assign))
    }

    /// `self - other`. Cost: linear in the terms of both.
    ///
    /// # Errors
    /// If the numbers of variables differ.
    pub fn checked_sub(&self, other: &Self) -> Result<Self> {
        same_variables(self, other)?;
        Ok(merge(self.clone(), other, C::neg, C::sub_assign))
    }

    /// `self * other`. Cost: one product of coefficients a pair of terms.
    ///
    /// # Errors
    /// If the numbers of variables differ, or the total degree leaves `u32`.
    pub fn checked_mul(&self, other: &Self) -> Result<Self> {
        C::product(self, other, None)
    }

    /// The terms of `self * other` of total degree at most `degree`; the others are not computed.
    ///
    /// # Panics
    /// If the numbers of variables differ.
    #[must_use]
    pub fn mul_truncated(&self, other: &Self, degree: u32) -> Self {
        fitting(C::product(self, other, Some(degree)))
    }

    /// `factor * self`.
    #[must_use]
    pub fn scale(&self, factor: &C) -> Self {
        self.map(|c| c.mul(factor))
    }

    /// `self += factor * other`, without building the product.
    ///
    /// # Panics
    /// If the numbers of variables differ.
    pub fn add_scaled(&mut self, factor: &C, other: &Self) {
        fitting(same_variables(self, other));
        let this = std::mem::replace(self, Polynomial::zero(other.variables));
        *self = merge(this, other, |c| c.mul(factor), |sum, c| sum.add_product(c, factor));
    }

    /// `self^exponent`, with `0^0 = 1`.
    ///
    /// By repeated multiplication with `self`, which for several terms takes fewer
    /// products than repeated squaring (Fateman 1974); a single term is squared.
    ///
    /// # Errors
    /// If the total degree leaves `u32`.
    pub fn pow(&self, exponent: u32) -> Result<Self> {
        if u64::from(self.degree().unwrap_or(0)) * u64::from(exponent) > u64::from(u32::MAX) {
            return Err(degree_overflow());
        }
        if exponent > 0 && self.len() <= 1 {
            let mut result = Polynomial::zero(self.variables);
            if let Some(c) = self.coefficients.first() {
                let exponents: Vec<u32> = self.exponents.iter().map(|e| e * exponent).collect();
                result.push(&exponents, c.pow(exponent));
            }
            return Ok(result);
        }
        let mut result = Polynomial::constant(self.variables, C::one());
        for _ in 0..exponent {
            result = result.checked_mul(self)?;
        }
        Ok(result)
    }
}

/// What an operator makes of an error: the operands do not fit together.
fn fitting<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

fn same_variables<C, D>(a: &Polynomial<C>, b: &Polynomial<D>) -> Result<()> {
    if a.variables == b.variables {
        return Ok(());
    }
    Err(Error::invalid(
        "polynomials",
        format!("{} and {} variables", a.variables, b.variables),
        "the same number of variables",
    ))
}

/// The terms of both polynomials in order: `alone` makes a coefficient of one that only
/// the second has, `into` adds one that both have to that of the first.
fn merge<C: Coefficient>(
    mut first: Polynomial<C>,
    second: &Polynomial<C>,
    alone: impl Fn(&C) -> C,
    into: impl Fn(&mut C, &C),
) -> Polynomial<C> {
    if first.exponents == second.exponents && first.len() == second.len() {
        // The same monomials, as in a dense sum: nothing moves unless something cancels.
        for (sum, c) in first.coefficients.iter_mut().zip(&second.coefficients) {
            into(sum, c);
        }
        if first.coefficients.iter().any(C::is_zero) {
            first = first.map(C::clone);
        }
        return first;
    }
    let mut result = Polynomial::zero(first.variables);
    result.coefficients.reserve(first.len().max(second.len()));
    result.exponents.reserve(first.exponents.len().max(second.exponents.len()));
    let n = first.variables;
    let mut left = 0;
    let mut coefficients = std::mem::take(&mut first.coefficients).into_iter();
    let row = |t: usize| &first.exponents[t * n..(t + 1) * n];
    for (exponents, c) in second.terms() {
        let mut found = None;
        while coefficients.len() > 0 {
            match graded_order(row(left), exponents) {
                Ordering::Less => {
                    if let Some(own) = coefficients.next() {
                        result.push(row(left), own);
                    }
                    left += 1;
                }
                Ordering::Equal => {
                    found = coefficients.next();
                    left += 1;
                    break;
                }
                Ordering::Greater => break,
            }
        }
        match found {
            Some(mut sum) => {
                into(&mut sum, c);
                result.push(exponents, sum);
            }
            None => result.push(exponents, alone(c)),
        }
    }
    for own in coefficients {
        result.push(row(left), own);
        left += 1;
    }
    result
}

/// The product in any ring, without the terms above total degree `limit`.
pub(super) fn multiply<C: Coefficient>(
    a: &Polynomial<C>,
    b: &Polynomial<C>,
    limit: Option<u32>,
) -> Result<Polynomial<C>> {
    same_variables(a, b)?;
    let n = a.variables;
    let (Some(degree_a), Some(degree_b)) = (a.degree(), b.degree()) else {
        return Ok(Polynomial::zero(n));
    };
    if limit.is_none() && degree_a.checked_add(degree_b).is_none() {
        return Err(degree_overflow());
    }
    if a.len() == 1 || b.len() == 1 {
        let (term, other) = if a.len() == 1 { (a, b) } else { (b, a) };
        return Ok(multiply_term(term, other, limit));
    }
    let products = Products { a, b, limit };
    let radices: Vec<u128> =
        (0..n).map(|i| 1 + u128::from(a.degree_in(i)) + u128::from(b.degree_in(i))).collect();
    let Some(size) = radices.iter().try_fold(1u128, |size, r| size.checked_mul(*r)) else {
        let sum = |i: usize, j: usize| add_exponents(a.row(i), b.row(j)).collect::<Vec<u32>>();
        return Ok(products.gather(&mut HashMap::new(), sum));
    };
    let key =
        |row: &[u32]| row.iter().zip(&radices).fold(0, |key, (&e, r)| key * r + u128::from(e));
    let keys_a: Vec<u128> = (0..a.len()).map(|t| key(a.row(t))).collect();
    let keys_b: Vec<u128> = (0..b.len()).map(|t| key(b.row(t))).collect();
    let pairs = a.len() as u128 * b.len() as u128;
    Ok(if size <= LARGEST_TABLE.min(pairs.saturating_mul(8)) {
        let mut table = vec![EMPTY; size as usize];
        products.gather(&mut table, |i, j| (keys_a[i] + keys_b[j]) as usize)
    } else if let Ok(_size) = u64::try_from(size) {
        products.gather(&mut HashMap::new(), |i, j| (keys_a[i] + keys_b[j]) as u64)
    } else {
        products.gather(&mut HashMap::new(), |i, j| keys_a[i] + keys_b[j])
    })
}

/// The most entries of a table of sums: 64 MiB of 32-bit positions.
const LARGEST_TABLE: u128 = 1 << 24;

/// The table entry of a monomial that has not occurred yet.
const EMPTY: u32 = u32::MAX;

/// The exponents of a product of monomials whose degree is known to fit.
fn add_exponents<'a>(a: &'a [u32], b: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    a.iter().zip(b).map(|(x, y)| x + y)
}

/// The product by a single term, which keeps the order of the other's.
fn multiply_term<C: Coefficient>(
    term: &Polynomial<C>,
    other: &Polynomial<C>,
    limit: Option<u32>,
) -> Polynomial<C> {
    let mut result = Polynomial::zero(other.variables);
    let mut exponents = vec![0; other.variables];
    let (row, factor) = (term.row(0), &term.coefficients[0]);
    let room = limit.map(|limit| limit.checked_sub(term.term_degree(0)));
    for (t, (own, c)) in other.terms().enumerate() {
        match room {
            Some(None) => break,
            Some(Some(room)) if other.term_degree(t) > room => break,
            _ => {}
        }
        for ((e, x), y) in exponents.iter_mut().zip(row).zip(own) {
            *e = x + y;
        }
        result.push(&exponents, c.mul(factor));
    }
    result
}

/// Where sums of products are found by the key of their monomial.
trait Positions<K> {
    /// The position kept for `key`; `fresh` is kept and returned if there is none.
    fn find(&mut self, key: K, fresh: usize) -> usize;
}

impl Positions<usize> for Vec<u32> {
    fn find(&mut self, key: usize, fresh: usize) -> usize {
        let entry = &mut self[key];
        if *entry == EMPTY {
            // Fresh positions are below the table's length, hence below 2^24.
            *entry = fresh as u32;
        }
        *entry as usize
    }
}

impl<K: Eq + Hash> Positions<K> for HashMap<K, usize> {
    fn find(&mut self, key: K, fresh: usize) -> usize {
        *self.entry(key).or_insert(fresh)
    }
}

/// All products of a term of `a` with one of `b`.
struct Products<'a, C> {
    a: &'a Polynomial<C>,
    b: &'a Polynomial<C>,
    limit: Option<u32>,
}

impl<C: Coefficient> Products<'_, C> {
    /// Their sum: products of equal `key` are added up where `positions` says.
    fn gather<K>(
        &self,
        positions: &mut impl Positions<K>,
        key: impl Fn(usize, usize) -> K,
    ) -> Polynomial<C> {
        let Products { a, b, limit } = self;
        let degrees: Vec<u32> = (0..b.len()).map(|j| b.term_degree(j)).collect();
        let mut sum = Polynomial::zero(a.variables);
        for i in 0..a.len() {
            // Terms ascend in degree, so those within the limit come first.
            let within = match limit.map(|limit| limit.checked_sub(a.term_degree(i))) {
                None => b.len(),
                Some(None) => break,
                Some(Some(room)) => degrees.partition_point(|&degree| degree <= room),
            };
            for j in 0..within {
                let (x, y) = (&a.coefficients[i], &b.coefficients[j]);
                let fresh = sum.coefficients.len();
                let position = positions.find(key(i, j), fresh);
                if position == fresh {
                    sum.coefficients.push(x.mul(y));
                    sum.exponents.extend(add_exponents(a.row(i), b.row(j)));
                } else {
                    sum.coefficients[position].add_product(x, y);
                }
            }
        }
        sum.normalise();
        sum
    }
}

/// The product of polynomials over the fractions, by way of the integers where a common
/// denominator is not much longer than the longest one.
pub(super) fn multiply_rational(
    a: &Polynomial<BigRational>,
    b: &Polynomial<BigRational>,
    limit: Option<u32>,
) -> Result<Polynomial<BigRational>> {
    if a.len() <= 1 || b.len() <= 1 {
        return multiply(a, b, limit);
    }
    let (Some((a, common_a)), Some((b, common_b))) = (over_integers(a), over_integers(b)) else {
        return multiply(a, b, limit);
    };
    let denominator = common_a * common_b;
    let product = multiply(&a, &b, limit)?;
    let twos = denominator.trailing_zeros().unwrap_or(0);
    let odd = &denominator >> twos;
    Ok(product.map(|c| {
        // Powers of two cancel by a shift; f64 weights leave nothing else.
        let shared = c.trailing_zeros().unwrap_or(0).min(twos);
        let (numerator, rest) = (c >> shared, twos - shared);
        let common =
            if odd == BigInt::from(1) { odd.clone() } else { (&numerator % &odd).gcd(&odd) };
        BigRational::new_raw(numerator / &common, (&odd / &common) << rest)
    }))
}

/// The polynomial times the common denominator of its coefficients, and that denominator;
/// `None` when unrelated denominators make it several times as long as each.
fn over_integers(p: &Polynomial<BigRational>) -> Option<(Polynomial<BigInt>, BigInt)> {
    let longest = p.coefficients.iter().map(|c| c.denom().bits()).max().unwrap_or(0);
    let mut common = BigInt::from(1);
    for c in &p.coefficients {
        if !(&common % c.denom()).eq(&BigInt::ZERO) {
            common = common.lcm(c.denom());
            if common.bits() > 4 * longest + 64 {
                return None;
            }
        }
    }
    Some((p.map(|c| c.numer() * (&common / c.denom())), common))
}

impl<C: Coefficient> Add for &Polynomial<C> {
    type Output = Polynomial<C>;

    /// See [`Polynomial::checked_add`].
    ///
    /// # Panics
    /// If the numbers of variables differ.
    fn add(self, other: Self) -> Polynomial<C> {
        fitting(self.checked_add(other))
    }
}

impl<C: Coefficient> Sub for &Polynomial<C> {
    type Output = Polynomial<C>;

    /// See [`Polynomial::checked_sub`].
    ///
    /// # Panics
    /// If the numbers of variables differ.
    fn sub(self, other: Self) -> Polynomial<C> {
        fitting(self.checked_sub(other))
    }
}

impl<C: Coefficient> Mul for &Polynomial<C> {
    type Output = Polynomial<C>;

    /// See [`Polynomial::checked_mul`].
    ///
    /// # Panics
    /// If the numbers of variables differ or the total degree leaves `u32`.
    fn mul(self, other: Self) -> Polynomial<C> {
        fitting(self.checked_mul(other))
    }
}

impl<C: Coefficient> Neg for &Polynomial<C> {
    type Output = Polynomial<C>;

    fn neg(self) -> Polynomial<C> {
        self.map(C::neg)
    }
}

impl<C: Coefficient> AddAssign<&Polynomial<C>> for Polynomial<C> {
    /// Adds in place; coefficients are moved, not copied.
    ///
    /// # Panics
    /// If the numbers of variables differ.
    fn add_assign(&mut self, other: &Polynomial<C>) {
        fitting(same_variables(self, other));
        let this = std::mem::replace(self, Polynomial::zero(other.variables));
        *self = merge(this, other, C::clone, C::add_assign);
    }
}

impl<C: Coefficient> SubAssign<&Polynomial<C>> for Polynomial<C> {
    /// Subtracts in place; coefficients are moved, not copied.
    ///
    /// # Panics
    /// If the numbers of variables differ.
    fn sub_assign(&mut self, other: &Polynomial<C>) {
        fitting(same_variables(self, other));
        let this = std::mem::replace(self, Polynomial::zero(other.variables));
        *self = merge(this, other, C::neg, C::sub_assign);
    }
}
