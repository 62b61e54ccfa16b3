//! Bounds of p - s where both are polynomials, in integers alone.
//!
//! On a piece [a, b] the difference q = p - s is a polynomial of degree n in v = (z - a) / (b - a).
//! In Bernstein form, q = sum_j b_j C(n, j) v^j (1 - v)^(n - j), it lies between the least and the
//! greatest b_j, because the factors are not negative and add up to 1; b_0 and b_n are its values
//! at the ends. De Casteljau's scheme halves the piece. All numbers are dyadic, so that every
//! coefficient is an integer over one power of two; the halvings multiply that power by 2^n.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};

use super::form::{Form, Piece};
use super::polynomial::Chebyshev;
use super::residual::{BELOW_ZERO, Decision};
use crate::numeric::Dyadic;

/// Parts of a piece of degree n that are looked at, at most: this and `PARTS_A_DEGREE` n.
const PARTS: usize = 2000;
const PARTS_A_DEGREE: usize = 400;
/// Parts that it takes about, for a degree of 1.
const USUAL_PARTS: u64 = 40;

/// About how many 64-bit operations a decision takes; saturates.
pub(super) fn cost(polynomial: &Chebyshev, piece: &Piece) -> u64 {
    let n = polynomial.degree() as u64 + 1;
    let spread = |numbers: &mut dyn Iterator<Item = &Dyadic>| {
        let numbers = numbers.filter(|x| !x.is_zero());
        let ends = numbers.map(|x| (x.exponent(), x.exponent() + x.mantissa().bits() as i64));
        let (low, high) = ends.fold((i64::MAX, i64::MIN), |(low, high), (bottom, top)| {
            (low.min(bottom), high.max(top))
        });
        if low > high { 1 } else { high.abs_diff(low) }
    };
    let (from, to) = (polynomial.place(&piece.lower), polynomial.place(&piece.upper));
    let one = Dyadic::one();
    let place = spread(&mut [&one, &from, &to].into_iter());
    let numbers = spread(&mut polynomial.coefficients.iter());
    let words = n.saturating_mul(place + 4).saturating_add(numbers) / 64 + 16;
    words.saturating_mul(n * n).saturating_mul(USUAL_PARTS * n + 40)
}

/// Decides whether |p - s| <= error on the piece; `None` where s is no line there.
pub(super) fn decide(polynomial: &Chebyshev, piece: &Piece, error: &Dyadic) -> Option<Decision> {
    let Form::Line { slope, offset } = &piece.form else { return None };
    if error.is_negative() {
        return Some(Decision::Undecided(BELOW_ZERO));
    }
    let (from, to) = (polynomial.place(&piece.lower), polynomial.place(&piece.upper));
    let mut powers = composed(&polynomial.powers(), &from, &(&to - &from));
    powers.resize(powers.len().max(2), Dyadic::zero());
    let width = &piece.upper - &piece.lower;
    powers[0] -= &(&(slope * &piece.lower) + offset);
    powers[1] -= &(slope * &width);
    while powers.len() > 1 && powers.last().is_some_and(Dyadic::is_zero) {
        powers.pop();
    }
    let (coefficients, limit) = bernstein(&powers, error);
    Some(decide_parts(coefficients, &limit, piece, error))
}

/// sum_k powers[k] (from + step v)^k in powers of v, by Horner's scheme.
fn composed(powers: &[Dyadic], from: &Dyadic, step: &Dyadic) -> Vec<Dyadic> {
    let mut sum: Vec<Dyadic> = Vec::new();
    for power in powers.iter().rev() {
        let mut next: Vec<Dyadic> = sum.iter().map(|a| a * from).collect();
        next.push(Dyadic::zero());
        for (k, a) in sum.iter().enumerate() {
            next[k + 1] += &(a * step);
        }
        next[0] += power;
        if sum.is_empty() {
            next.truncate(1);
        }
        sum = next;
    }
    sum
}

/// The Bernstein coefficients, and the error on the same scale, all times one positive number.
///
/// sum_k a_k v^k has b_j = sum_k C(j, k) / C(n, k) a_k; the denominators divide their least common
/// multiple.
fn bernstein(powers: &[Dyadic], error: &Dyadic) -> (Vec<BigInt>, BigUint) {
    let n = powers.len() - 1;
    let binomials: Vec<BigInt> = (0..=n)
        .scan(BigInt::one(), |binomial, k| {
            let here = binomial.clone();
            *binomial = &here * (n - k) / (k + 1);
            Some(here)
        })
        .collect();
    let common = binomials.iter().fold(BigInt::one(), |common, b| common.lcm(b));
    let exponents = powers.iter().chain([error]).filter(|x| !x.is_zero()).map(Dyadic::exponent);
    let least = exponents.min().unwrap_or(0);
    let integer = |x: &Dyadic| {
        // Zero has exponent 0, whatever the least one is.
        if x.is_zero() { BigInt::zero() } else { x.mantissa() << x.exponent().abs_diff(least) }
    };
    let mut coefficients: Vec<BigInt> =
        powers.iter().zip(&binomials).map(|(a, b)| integer(a) * (&common / b)).collect();
    // Pascal's triangle: after round r, entry j > r has the sum over its last r + 1 entries.
    for r in 0..n {
        for j in (r + 1..=n).rev() {
            let (before, here) = coefficients.split_at_mut(j);
            here[0] += &before[j - 1];
        }
    }
    (coefficients, (integer(error) * common).magnitude().clone())
}

fn decide_parts(
    coefficients: Vec<BigInt>,
    limit: &BigUint,
    piece: &Piece,
    error: &Dyadic,
) -> Decision {
    let n = coefficients.len() - 1;
    let most = PARTS + PARTS_A_DEGREE * n;
    // A part: its coefficients times 2^(n depth), its left end in units of 2^-depth.
    let mut stack = vec![(coefficients, 0_u64, 0_u32)];
    let mut parts = 0;
    while let Some((part, place, depth)) = stack.pop() {
        let limit = limit << (n as u64 * u64::from(depth));
        let beyond = |b: &BigInt| *b.magnitude() > limit;
        if !part.iter().any(beyond) {
            continue;
        }
        for (end, b) in [(place, &part[0]), (place + 1, &part[n])] {
            if beyond(b) {
                return refuted(end, depth, b, &limit, piece, error);
            }
        }
        parts += 1;
        if parts > most || depth >= 60 {
            return Decision::Undecided("it is too close to the largest difference");
        }
        let (left, right) = halves(part);
        stack.push((right, 2 * place + 1, depth + 1));
        stack.push((left, 2 * place, depth + 1));
    }
    Decision::Proven
}

/// The coefficients on the two halves, times 2^n.
fn halves(mut row: Vec<BigInt>) -> (Vec<BigInt>, Vec<BigInt>) {
    let n = row.len() - 1;
    let mut left = Vec::with_capacity(n + 1);
    // Row r of the scheme, times 2^r, is row r - 1 added to itself shifted; its first entry
    // belongs to the left half and its last one to the right, which stays where it is.
    left.push(&row[0] << n);
    for r in 1..=n {
        for j in 0..=n - r {
            let (here, after) = row.split_at_mut(j + 1);
            here[j] += &after[0];
        }
        left.push(&row[0] << (n - r));
    }
    for (j, b) in row.iter_mut().enumerate() {
        // The entry at j is the last one of row n - j.
        *b <<= j;
    }
    (left, row)
}

fn refuted(
    end: u64,
    depth: u32,
    b: &BigInt,
    limit: &BigUint,
    piece: &Piece,
    error: &Dyadic,
) -> Decision {
    let part = &Dyadic::new(end.into(), -i64::from(depth)) * &(&piece.upper - &piece.lower);
    let at = (&piece.lower + &part).to_f64().unwrap_or(f64::NAN);
    // |b| / limit is |q| / error; a few thousand times the rounding is taken off.
    let least = if limit.is_zero() {
        0.0
    } else {
        let scaled: BigUint = (b.magnitude() << 60u32) / limit;
        let quotient = Dyadic::new(scaled.into(), -60);
        (&quotient * error).to_f64().unwrap_or(f64::MAX) * (1.0 - 1e-12)
    };
    Decision::Refuted { at, least }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(powers: &[Dyadic], z: &Dyadic) -> Dyadic {
        powers.iter().rev().fold(Dyadic::zero(), |sum, c| &(&sum * z) + c)
    }

    fn line(lower: i64, upper: i64, slope: i64, offset: i64) -> Piece {
        let form = Form::Line { slope: slope.into(), offset: offset.into() };
        Piece { lower: Dyadic::new(lower.into(), -3), upper: Dyadic::new(upper.into(), -3), form }
    }

    proptest! {
        /// Against values at rational points of a polynomial made of Bernstein polynomials.
        #[test]
        fn the_form_and_its_halves_are_the_polynomial(
            powers in prop::collection::vec(-1000i64..1000, 1..14), e in -9i64..9, v in 0i64..=16,
        ) {
            let powers: Vec<_> = powers.into_iter().map(|a| Dyadic::new(a.into(), e)).collect();
            let n = powers.len() - 1;
            let one = Dyadic::one();
            let (coefficients, scale) = bernstein(&powers, &one);
            let scale = Dyadic::from(BigInt::from(scale));
            let at = |coefficients: &[BigInt], v: &Dyadic| {
                let mut row: Vec<_> = coefficients.iter().cloned().map(Dyadic::from).collect();
                while row.len() > 1 {
                    let next = row.windows(2).map(|b| &(&b[0] * &(&one - v)) + &(&b[1] * v));
                    row = next.collect();
                }
                row[0].clone()
            };
            let v = Dyadic::new(v.into(), -4);
            prop_assert_eq!(at(&coefficients, &v), &value(&powers, &v) * &scale);
            let (left, right) = halves(coefficients);
            let power = Dyadic::new(BigInt::one(), n as i64);
            let half = &v * &Dyadic::new(BigInt::one(), -1);
            let expected = |v: &Dyadic| &(&value(&powers, v) * &scale) * &power;
            prop_assert_eq!(at(&left, &v), expected(&half));
            let there = &half + &Dyadic::new(BigInt::one(), -1);
            prop_assert_eq!(at(&right, &v), expected(&there));
        }

        /// The largest value on a fine grid is a lower bound; a hundredth more is proven.
        #[test]
        fn decisions_are_right(
            coefficients in prop::collection::vec(-64i64..64, 1..9),
            ends in (-12i64..12, 1i64..20), slope in -3i64..3, offset in -2i64..2,
        ) {
            let coefficients: Vec<_> =
                coefficients.into_iter().map(|c| Dyadic::new(c.into(), -4)).collect();
            let series = Chebyshev::new(Dyadic::from(1), Dyadic::new(3.into(), -3), coefficients);
            let piece = line(ends.0, ends.0 + ends.1, slope, offset);
            let powers = series.powers();
            let width = &piece.upper - &piece.lower;
            let difference = |k: i64| {
                let z = &piece.lower + &(&Dyadic::new(k.into(), -9) * &width);
                let line = &(&Dyadic::from(slope) * &z) + &Dyadic::from(offset);
                (&value(&powers, &series.place(&z)) - &line).abs()
            };
            let largest = (0..=512).map(difference).max().unwrap();
            let more = &largest * &Dyadic::new(257.into(), -8);
            let decided = decide(&series, &piece, &more).unwrap();
            prop_assert!(decided == Decision::Proven || largest.is_zero(), "{decided:?}");
            let less = &largest * &Dyadic::new(255.into(), -8);
            let refuted = decide(&series, &piece, &less).unwrap();
            if largest.is_zero() {
                prop_assert_eq!(refuted, Decision::Proven);
            } else {
                let Decision::Refuted { at, least } = refuted else {
                    return Err(TestCaseError::fail("not refuted"));
                };
                let z = Dyadic::from_f64(at).unwrap();
                prop_assert!(piece.lower <= z && z <= piece.upper);
                let line = &(&Dyadic::from(slope) * &z) + &Dyadic::from(offset);
                let there = (&value(&powers, &series.place(&z)) - &line).abs();
                prop_assert!(there > less && there >= Dyadic::from_f64(least).unwrap());
            }
        }
    }
}
