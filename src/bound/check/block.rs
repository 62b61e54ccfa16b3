//! Rows of numbers over one power of two, and their products: exact, or rounded with the error
//! counted.
//!
//! The same code works in two kinds of [`Digits`]. With big integers nothing is rounded. With 64-bit
//! integers a row keeps as many leading bits as allow sums of products in 128 bits; what the
//! rounding can have changed is returned beside every result, as an upper bound, and it is for the
//! caller to charge it.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::numeric::Dyadic;

/// The integers of a row.
pub(super) trait Digits: Clone + Send + Sync {
    /// What their products are summed in.
    type Sum: Clone + Send;
    /// Whether rows are rounded.
    const ROUNDED: bool;

    /// The integer, which fits.
    fn from_big(value: BigInt) -> Self;
    fn to_big(&self) -> BigInt;
    fn is_negative(&self) -> bool;
    fn nothing() -> Self::Sum;
    /// sum += a b
    fn add_product(sum: &mut Self::Sum, a: &Self, b: &Self);
    fn sum_to_big(sum: &Self::Sum) -> BigInt;
    fn sum_of_sizes(digits: &[Self]) -> BigInt;
    /// The largest absolute value.
    fn largest(digits: &[Self]) -> BigInt;
    /// The sums as a row whose largest number has `bits` bits, where rows are rounded: the integers,
    /// the binary exponent that was taken out, and whether any was rounded.
    fn shorten(sums: Vec<Self::Sum>, bits: u32) -> (Vec<Self>, i64, bool);
}

impl Digits for BigInt {
    type Sum = BigInt;
    const ROUNDED: bool = false;

    fn from_big(value: BigInt) -> Self {
        value
    }
    fn to_big(&self) -> BigInt {
        self.clone()
    }
    fn is_negative(&self) -> bool {
        Signed::is_negative(self)
    }
    fn nothing() -> BigInt {
        BigInt::zero()
    }
    fn add_product(sum: &mut BigInt, a: &Self, b: &Self) {
        if !a.is_zero() && !b.is_zero() {
            *sum += a * b;
        }
    }
    fn sum_to_big(sum: &BigInt) -> BigInt {
        sum.clone()
    }
    fn sum_of_sizes(digits: &[Self]) -> BigInt {
        digits.iter().fold(BigInt::zero(), |sum, d| sum + d.abs())
    }
    fn largest(digits: &[Self]) -> BigInt {
        digits.iter().map(Signed::abs).max().unwrap_or_default()
    }
    fn shorten(sums: Vec<BigInt>, _: u32) -> (Vec<Self>, i64, bool) {
        (sums, 0, false)
    }
}

impl Digits for i64 {
    type Sum = i128;
    const ROUNDED: bool = true;

    fn from_big(value: BigInt) -> Self {
        value.to_i64().unwrap_or_default()
    }
    fn to_big(&self) -> BigInt {
        BigInt::from(*self)
    }
    fn is_negative(&self) -> bool {
        *self < 0
    }
    fn nothing() -> i128 {
        0
    }
    #[inline]
    fn add_product(sum: &mut i128, a: &Self, b: &Self) {
        *sum += i128::from(*a) * i128::from(*b);
    }
    fn sum_to_big(sum: &i128) -> BigInt {
        BigInt::from(*sum)
    }
    fn sum_of_sizes(digits: &[Self]) -> BigInt {
        BigInt::from(digits.iter().map(|d| u128::from(d.unsigned_abs())).sum::<u128>())
    }
    fn largest(digits: &[Self]) -> BigInt {
        BigInt::from(digits.iter().map(|d| d.unsigned_abs()).max().unwrap_or_default())
    }
    fn shorten(sums: Vec<i128>, bits: u32) -> (Vec<Self>, i64, bool) {
        let longest =
            sums.iter().map(|s| 128 - s.unsigned_abs().leading_zeros()).max().unwrap_or(0);
        let shift = i64::from(longest) - i64::from(bits);
        if shift <= 0 {
            // At most 2^bits in size.
            let short = sums.into_iter().map(|sum| (sum << -shift) as i64);
            return (short.collect(), shift, false);
        }
        let mut rounded = false;
        let short = sums.into_iter().map(|sum| {
            let short = sum >> shift;
            rounded |= short << shift != sum;
            short as i64
        });
        (short.collect(), shift, rounded)
    }
}

/// Numbers integer_j 2^exponent, rounded down by less than one unit 2^exponent where `rounded`.
///
/// Rounding down keeps the sign, zero counted as positive.
#[derive(Clone, Debug)]
pub(super) struct Row<D> {
    digits: Vec<D>,
    exponent: i64,
    rounded: bool,
}

/// How long rows may be, and how long their integers are then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Precision {
    bits: u32,
}

impl Precision {
    /// For sums of at most `terms` products.
    pub(super) fn for_sums_of(terms: usize) -> Self {
        let length = usize::BITS - terms.leading_zeros();
        // Integers up to 2^bits: 2^(2 bits + length) <= 2^125.
        Precision { bits: (125 - length) / 2 }
    }
}

fn power(exponent: i64) -> Dyadic {
    Dyadic::new(BigInt::one(), exponent)
}

impl<D: Digits> Row<D> {
    /// The numbers, each rounded down where rows are rounded.
    pub(super) fn below(numbers: &[Dyadic], precision: Precision) -> Self {
        let nonzero = || numbers.iter().filter(|x| !x.is_zero());
        let least = nonzero().map(Dyadic::exponent).min().unwrap_or(0);
        let mut exponent = least;
        if D::ROUNDED {
            // All bits are used, so that rows may be put over one power of two by the exponents.
            let top = nonzero().map(|x| x.exponent() + x.mantissa().bits() as i64).max();
            exponent = top.unwrap_or(0) - i64::from(precision.bits);
        }
        let integer = |x: &Dyadic| {
            if x.is_zero() {
                return D::from_big(BigInt::zero());
            }
            let shift = x.exponent().abs_diff(exponent);
            D::from_big(if x.exponent() >= exponent {
                x.mantissa() << shift
            } else {
                // Rounds towards minus infinity.
                x.mantissa() >> shift
            })
        };
        let digits = numbers.iter().map(integer).collect();
        Row { digits, exponent, rounded: least < exponent }
    }

    fn shortened(sums: Vec<D::Sum>, exponent: i64, precision: Precision) -> Self {
        let (digits, shift, rounded) = D::shorten(sums, precision.bits);
        Row { digits, exponent: exponent + shift, rounded }
    }

    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    /// One unit where rounded, else zero.
    fn unit(&self) -> Dyadic {
        if self.rounded { power(self.exponent) } else { Dyadic::zero() }
    }

    /// The number held, and how far it is from the true one at most.
    pub(super) fn number(&self, j: usize) -> (Dyadic, Dyadic) {
        (Dyadic::new(self.digits[j].to_big(), self.exponent), self.unit())
    }

    /// The sum of the absolute values of the numbers held.
    pub(super) fn sum_of_sizes(&self) -> Dyadic {
        Dyadic::new(D::sum_of_sizes(&self.digits), self.exponent)
    }

    /// The sum of the absolute values of the true numbers, or a little more.
    pub(super) fn greatest_sum(&self) -> Dyadic {
        &self.sum_of_sizes() + &(&self.unit() * &Dyadic::from(self.len() as i64))
    }

    fn largest(&self) -> Dyadic {
        Dyadic::new(D::largest(&self.digits), self.exponent)
    }

    /// The row with the numbers held as its true ones, and how far each was from the former, at most.
    pub(super) fn settled(mut self) -> (Self, Dyadic) {
        let error = self.unit();
        self.rounded = false;
        (self, error)
    }
}

/// sum_j row_j x_j with x_j = `positive`_j where row_j >= 0 and `negative`_j elsewhere: the sum of
/// the numbers held, and an upper bound of its distance to the sum with the true ones.
///
/// The signs held are those of the true row, as long as it comes from [`Row::below`].
pub(super) fn dot<D: Digits>(
    row: &Row<D>,
    positive: &Row<D>,
    negative: &Row<D>,
) -> (Dyadic, Dyadic) {
    let (mut above, mut below) = (D::nothing(), D::nothing());
    for (j, r) in row.digits.iter().enumerate() {
        if r.is_negative() {
            D::add_product(&mut below, r, &negative.digits[j]);
        } else {
            D::add_product(&mut above, r, &positive.digits[j]);
        }
    }
    let part = |sum: &D::Sum, other: &Row<D>| {
        Dyadic::new(D::sum_to_big(sum), row.exponent + other.exponent)
    };
    let sum = &part(&above, positive) + &part(&below, negative);
    if !D::ROUNDED {
        return (sum, Dyadic::zero());
    }
    // |r x - r' x'| <= |r'| |x - x'| + |r - r'| (|x'| + |x - x'|)
    let mut error = Dyadic::zero();
    if positive.rounded || negative.rounded {
        error += &(&row.sum_of_sizes() * &(&positive.unit() + &negative.unit()));
    }
    if row.rounded {
        let sizes = &positive.sum_of_sizes() + &negative.sum_of_sizes();
        let units = &(&positive.unit() + &negative.unit()) * &Dyadic::from(row.len() as i64);
        error += &(&row.unit() * &(&sizes + &units));
    }
    (sum, error)
}

/// sum_k factors_k rows_k: the row held, and an upper bound of the distance of each of its numbers
/// to that of the true factors and rows. All rows have one length, and there is one for each factor.
pub(super) fn combine<D: Digits>(
    factors: &Row<D>,
    rows: &[Row<D>],
    precision: Precision,
) -> (Row<D>, Dyadic) {
    // Each factor takes its row's power of two, so that rows of different sizes add up.
    let scaled: Vec<Dyadic> = factors
        .digits
        .iter()
        .zip(rows)
        .map(|(factor, row)| Dyadic::new(factor.to_big(), factors.exponent + row.exponent))
        .collect();
    let scaled: Row<D> = Row::below(&scaled, precision);
    let mut sums = vec![D::nothing(); rows.first().map_or(0, Row::len)];
    for (factor, row) in scaled.digits.iter().zip(rows) {
        for (sum, number) in sums.iter_mut().zip(&row.digits) {
            D::add_product(sum, factor, number);
        }
    }
    let result = Row::shortened(sums, scaled.exponent, precision);
    if !D::ROUNDED {
        return (result, Dyadic::zero());
    }
    let mut error = result.unit();
    for (k, row) in rows.iter().enumerate() {
        // In units of the row: |f n - f' n'| <= |f'| |n - n'| + |f - f'| (|n'| + |n - n'|).
        let unit = power(-row.exponent);
        let largest = &(&row.largest() + &row.unit()) * &unit;
        let distance = &scaled.unit() + &(&factors.unit() * &power(row.exponent));
        error += &(&distance * &largest);
        if row.rounded {
            error += &Dyadic::new(scaled.digits[k].to_big().abs(), scaled.exponent);
        }
    }
    (result, error)
}

/// row_j x_j with x_j chosen as in [`dot`], plus the numbers `added` at their places: the row held,
/// and an upper bound of the distance of each of its numbers to the true one.
pub(super) fn multiplied<D: Digits>(
    row: &Row<D>,
    positive: &Row<D>,
    negative: &Row<D>,
    added: &[(usize, Dyadic)],
    precision: Precision,
) -> (Row<D>, Dyadic) {
    let products = row.digits.iter().enumerate().map(|(j, r)| {
        let other = if r.is_negative() { negative } else { positive };
        let mut sum = D::nothing();
        D::add_product(&mut sum, r, &other.digits[j]);
        Dyadic::new(D::sum_to_big(&sum), row.exponent + other.exponent)
    });
    let mut products: Vec<_> = products.collect();
    for (j, number) in added {
        if let Some(product) = products.get_mut(*j) {
            *product += number;
        }
    }
    let result: Row<D> = Row::below(&products, precision);
    if !D::ROUNDED {
        return (result, Dyadic::zero());
    }
    let units = &positive.unit() + &negative.unit();
    let largest = positive.largest().max(negative.largest());
    let mut error = result.unit();
    error += &(&row.largest() * &units);
    error += &(&row.unit() * &(&largest + &units));
    (result, error)
}

/// An upper bound with at most 128 bits.
pub(super) fn rounded_up(x: &Dyadic) -> Dyadic {
    let excess = x.mantissa().bits().saturating_sub(128);
    if excess == 0 {
        return x.clone();
    }
    let mantissa: BigInt = (x.mantissa() >> excess) + 1;
    Dyadic::new(mantissa, x.exponent() + excess as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = Dyadic> {
        prop_oneof![
            (any::<i64>(), -80i64..-50),
            (-9i64..9, -3i64..3),
            (any::<i64>(), -200i64..-100),
        ]
        .prop_map(|(m, e)| Dyadic::new(m.into(), e))
    }

    fn numbers(n: usize) -> impl Strategy<Value = Vec<Dyadic>> {
        prop::collection::vec(number(), n)
    }

    fn held<D: Digits>(row: &Row<D>) -> Vec<Dyadic> {
        row.digits.iter().map(|d| Dyadic::new(d.to_big(), row.exponent)).collect()
    }

    fn sum(x: impl Iterator<Item = Dyadic>) -> Dyadic {
        x.fold(Dyadic::zero(), |sum, x| sum + &x)
    }

    fn all<D: Digits>(
        factors: &[Dyadic],
        rows: &[Vec<Dyadic>],
        other: &[Dyadic],
    ) -> Result<(), TestCaseError> {
        let precision = Precision::for_sums_of(factors.len());
        let row = |x: &[Dyadic]| Row::<D>::below(x, precision);
        let (f, p, n) = (row(factors), row(&rows[0]), row(other));
        for (exact, held) in factors.iter().zip(held(&f)) {
            let distance = exact - &held;
            prop_assert!(!distance.is_negative() && (distance < f.unit() || distance.is_zero()));
        }
        let choice = |j: usize| if f.digits[j].is_negative() { &other[j] } else { &rows[0][j] };
        let products: Vec<_> = (0..factors.len()).map(|j| &factors[j] * choice(j)).collect();

        let (found, error) = dot(&f, &p, &n);
        prop_assert!((&found - &sum(products.iter().cloned())).abs() <= error);
        let added = [(1, other[0].clone())];
        for added in [&added[..], &[]] {
            let (row_of_products, error) = multiplied(&f, &p, &n, added, precision);
            for (j, (found, exact)) in held(&row_of_products).iter().zip(&products).enumerate() {
                let more = added.iter().find(|(place, _)| *place == j);
                let exact = more.map_or(exact.clone(), |(_, number)| exact + number);
                prop_assert!((found - &exact).abs() <= error);
            }
        }
        let matrix: Vec<_> = rows.iter().map(|r| row(r)).collect();
        let (combined, error) = combine(&f, &matrix, precision);
        for (j, found) in held(&combined).iter().enumerate() {
            let exact = sum(factors.iter().zip(rows).map(|(f, row)| f * &row[j]));
            prop_assert!((found - &exact).abs() <= error);
            prop_assert!(D::ROUNDED || *found == exact);
            // The bound is useful: a few bits above the last ones kept.
            let largest = |x: &[Dyadic]| x.iter().map(Dyadic::abs).max().unwrap();
            let size = rows.iter().fold(Dyadic::zero(), |sum, row| sum + &largest(row));
            prop_assert!(error <= &(&size * &largest(factors)) * &power(-50));
        }
        prop_assert!(f.sum_of_sizes() <= rounded_up(&f.sum_of_sizes()));
        Ok(())
    }

    proptest! {
        #[test]
        fn rounded_rows_are_as_far_from_exact_ones_as_they_say(
            factors in numbers(6), rows in prop::collection::vec(numbers(6), 6),
            other in numbers(6),
        ) {
            all::<BigInt>(&factors, &rows, &other)?;
            all::<i64>(&factors, &rows, &other)?;
        }
    }
}
