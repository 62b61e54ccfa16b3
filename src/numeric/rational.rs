//! Fractions: conversion to and from `f64` and text, and simple neighbours.
//!
//! Conversions either are exact or round once, to nearest with ties to even.
//! Text has one spelling a number (see [`parse_exact`]), so equal numbers are
//! equal strings in every file.
//!
//! ```
//! use slnn::numeric::rational::{format_exact, parse_exact, simplest_between};
//!
//! let third = parse_exact("1/3")?;
//! assert_eq!(format_exact(&third), "1/3");
//! assert!(parse_exact("2/6").is_err());
//! let near = simplest_between(&parse_exact("33/100")?, &parse_exact("17/50")?);
//! assert_eq!(near, third);
//! # Ok::<(), slnn::Error>(())
//! ```

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::dyadic::{Dyadic, MAX_TEXT_EXPONENT, nearest_f64};
use crate::error::{Error, Result, quote};

/// The most decimal digits that [`parse_exact`] reads in a numerator or denominator.
pub const MAX_TEXT_DIGITS: usize = 1 << 18;

/// Decimal digits (numerator and denominator together) above which [`format_exact`]
/// writes a dyadic number in hexadecimal.
const HEX_ABOVE_DIGITS: u64 = 4_000;

/// The exact value of `x`, or `None` if `x` is infinite or not a number.
pub fn rational_from_f64(x: f64) -> Option<BigRational> {
    Dyadic::from_f64(x).map(|value| value.to_rational())
}

/// The `f64` nearest to `value`, ties to even, subnormals included; `None` where it overflows.
///
/// One long division of about 66 bits of quotient.
pub fn rational_to_f64(value: &BigRational) -> Option<f64> {
    let (numerator, denominator) = (value.numer().magnitude(), value.denom().magnitude());
    // A quotient of 66 or 67 bits: more than 54, so the remainder only breaks ties.
    let shift = 66 + denominator.bits() as i64 - numerator.bits() as i64;
    let distance = shift.unsigned_abs();
    let (quotient, remainder) = if shift >= 0 {
        (numerator << distance).div_rem(denominator)
    } else {
        numerator.div_rem(&(denominator << distance))
    };
    let magnitude = nearest_f64(&quotient, -shift, !remainder.is_zero())?;
    Some(if value.is_negative() { -magnitude } else { magnitude })
}

/// `numerator / (odd 2^twos)` in lowest terms, `odd` odd.
///
/// The greatest common divisor is one with the odd part alone, which is short where a network has
/// few denominators that are no powers of two; num-integer's takes a pass over the numbers a bit.
pub(crate) fn lowest_terms(numerator: BigInt, odd: &BigUint, twos: u64) -> BigRational {
    let common = numerator.trailing_zeros().unwrap_or(twos).min(twos);
    let numerator = numerator >> common;
    if odd.is_one() {
        // Odd over a power of two, or an integer.
        return BigRational::new_raw(numerator, BigInt::one() << (twos - common));
    }
    let odd = BigInt::from(odd.clone());
    let divisor = (&numerator % &odd).gcd(&odd);
    BigRational::new_raw(numerator / &divisor, (odd / divisor) << (twos - common))
}

/// Reads an exact number in one of its two canonical spellings.
///
/// They are `-?p[/q]` in lowest terms (`-3/7`, `5`, `0`) and, for a nonzero dyadic,
/// `-?0xHEXp[+-]E` with an odd mantissa (`0x3p-4`), |E| at most 2^20. At most
/// [`MAX_TEXT_DIGITS`] decimal digits are read on either side of the stroke.
///
/// # Errors
/// On anything else, naming the canonical form: `2/4`, `+1`, `01`, `1/0`, `-0`, `1.5`.
pub fn parse_exact(text: &str) -> Result<BigRational> {
    let body = text.strip_prefix('-').unwrap_or(text);
    if body.starts_with("0x") {
        return text.parse::<Dyadic>().map(|value| value.to_rational());
    }
    let refuse = |expected: &str| Error::invalid("exact number", quote(text), expected);
    let negative = body.len() < text.len();
    let (numerator, denominator) = match body.split_once('/') {
        Some((p, q)) => (natural(p, text)?, Some(natural(q, text)?)),
        None => (natural(body, text)?, None),
    };
    if negative && numerator.is_zero() {
        return Err(refuse("zero written as 0"));
    }
    let numerator = if negative { -BigInt::from(numerator) } else { BigInt::from(numerator) };
    let Some(denominator) = denominator.map(BigInt::from) else {
        return Ok(BigRational::from_integer(numerator));
    };
    if denominator.is_zero() {
        return Err(refuse("a denominator that is not zero"));
    }
    if denominator.is_one() || numerator.is_zero() {
        return Err(refuse("an integer written without a denominator"));
    }
    if !coprime(numerator.magnitude(), denominator.magnitude()) {
        return Err(refuse("a fraction p/q in lowest terms"));
    }
    Ok(BigRational::new_raw(numerator, denominator))
}

/// Writes an exact number in its canonical spelling: rational, or hexadecimal for a
/// dyadic of more than about 4,000 decimal digits.
pub fn format_exact(value: &BigRational) -> String {
    let bits = value.numer().bits() + value.denom().bits();
    // log10(2) = 0.30103.
    if bits.saturating_mul(30_103) / 100_000 > HEX_ABOVE_DIGITS
        && let Some(dyadic) = Dyadic::from_rational(value)
        && dyadic.exponent().unsigned_abs() <= MAX_TEXT_EXPONENT.unsigned_abs()
    {
        return dyadic.to_string();
    }
    value.to_string()
}

/// Bits of a numerator and of a denominator that are read in any case: 10^d has more than 3.321 d.
pub(crate) const SURELY_SHORT: u64 = MAX_TEXT_DIGITS as u64 * 3321 / 1000;

/// Whether [`parse_exact`] takes what [`format_exact`] writes: both keep to a length.
pub fn is_short_enough(value: &BigRational) -> bool {
    if value.numer().bits().max(value.denom().bits()) <= SURELY_SHORT {
        return true;
    }
    let text = format_exact(value);
    let body = text.trim_start_matches('-');
    body.starts_with("0x") || body.split('/').all(|digits| digits.len() <= MAX_TEXT_DIGITS)
}

/// The fraction of smallest denominator in the closed interval between two fractions.
///
/// Among several of that denominator, the one nearest to zero. The ends may come in
/// either order. Continued fractions: one division a partial quotient, as many as the
/// ends have in common (Graham, Knuth, Patashnik, *Concrete Mathematics*, section 4.5).
pub fn simplest_between(one_end: &BigRational, other_end: &BigRational) -> BigRational {
    let (lower, upper) =
        if one_end <= other_end { (one_end, other_end) } else { (other_end, one_end) };
    if lower.is_positive() {
        simplest_positive(lower.clone(), upper.clone())
    } else if upper.is_negative() {
        -simplest_positive(-upper, -lower)
    } else {
        BigRational::zero()
    }
}

/// [`simplest_between`] for `0 < lower <= upper`.
fn simplest_positive(mut lower: BigRational, mut upper: BigRational) -> BigRational {
    let mut quotients = Vec::new();
    let mut value = loop {
        let ceiling = lower.ceil();
        if ceiling <= upper {
            break ceiling;
        }
        // No integer between the ends: both have this integer part, and the
        // simplest fraction is found among the reciprocals of what remains.
        let floor = lower.floor();
        (lower, upper) = ((&upper - &floor).recip(), (&lower - &floor).recip());
        quotients.push(floor);
    };
    while let Some(quotient) = quotients.pop() {
        value = quotient + value.recip();
    }
    value
}

/// The convergents of the continued fraction of `value`, from its integer part to itself.
///
/// Each is the best approximation among fractions of no larger denominator.
pub fn convergents(value: &BigRational) -> impl Iterator<Item = BigRational> {
    let mut rest = (value.numer().clone(), value.denom().clone());
    let mut previous = (BigInt::zero(), BigInt::one());
    let mut current = (BigInt::one(), BigInt::zero());
    std::iter::from_fn(move || {
        if rest.1.is_zero() {
            return None;
        }
        let (quotient, remainder) = rest.0.div_mod_floor(&rest.1);
        rest = (std::mem::replace(&mut rest.1, remainder.clone()), remainder);
        let next = (&quotient * &current.0 + &previous.0, &quotient * &current.1 + &previous.1);
        previous = std::mem::replace(&mut current, next);
        // Neighbouring convergents have determinant 1, so the terms are lowest.
        Some(BigRational::new_raw(current.0.clone(), current.1.clone()))
    })
}

/// A natural number in decimal without sign and leading zeros; `whole` is quoted in the error.
fn natural(digits: &str, whole: &str) -> Result<BigUint> {
    let refuse = |expected: &str| Error::invalid("exact number", quote(whole), expected);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refuse("an exact number: -?p[/q] in lowest terms or -?0xHEXp[+-]E"));
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(refuse("decimal digits without leading zeros"));
    }
    if digits.len() > MAX_TEXT_DIGITS {
        return Err(refuse(
            "at most 2^18 decimal digits (a dyadic number may be spelled -?0xHEXp[+-]E)",
        ));
    }
    Ok(decimal(digits.as_bytes()))
}

/// The value of ASCII decimal digits, by halves: the cost of a few products of that length.
pub(crate) fn decimal(digits: &[u8]) -> BigUint {
    const CHUNK: usize = 18;
    // Base 10^18 digits, least significant first, then neighbours joined until one is left.
    let mut parts: Vec<BigUint> = digits
        .rchunks(CHUNK)
        .map(|chunk| chunk.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0')))
        .map(BigUint::from)
        .collect();
    let mut base = BigUint::from(10u64.pow(CHUNK as u32));
    while parts.len() > 1 {
        parts = parts
            .chunks(2)
            .map(|pair| match pair {
                [low, high] => high * &base + low,
                [low] => low.clone(),
                _ => BigUint::zero(),
            })
            .collect();
        if parts.len() > 1 {
            base = &base * &base;
        }
    }
    parts.pop().unwrap_or_default()
}

/// Whether two naturals have no common factor.
///
/// Lehmer's algorithm (Knuth, *The Art of Computer Programming* 2, section 4.5.2, algorithm L):
/// the leading words decide about thirty bits' worth of Euclid's quotients at once. The binary
/// algorithm of `num-integer` takes a pass over the numbers for every bit, which would let a
/// short file of long fractions keep a reader busy.
fn coprime(a: &BigUint, b: &BigUint) -> bool {
    let (mut a, mut b) = if a >= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
    while b.bits() > 64 {
        let shift = a.bits() - 62;
        match lehmer_step(leading(&a, shift), leading(&b, shift)) {
            // The leading bits do not even determine one quotient.
            None => (a, b) = (b.clone(), a % b),
            Some([[p, q], [r, s]]) => {
                (a, b) = (combination(&a, p, &b, q), combination(&a, r, &b, s));
            }
        }
    }
    a.gcd(&b).is_one()
}

/// `value / 2^shift` rounded down, for a quotient known to fit.
fn leading(value: &BigUint, shift: u64) -> i128 {
    (value >> shift).iter_u64_digits().next().unwrap_or(0).into()
}

/// The product of Euclid's steps that numbers with these leading bits have in common, as a
/// matrix of cofactors; `None` if there are none.
fn lehmer_step(mut x: i128, mut y: i128) -> Option<[[i64; 2]; 2]> {
    let [[mut p, mut q], [mut r, mut s]]: [[i128; 2]; 2] = [[1, 0], [0, 1]];
    while y + r != 0 && y + s != 0 {
        // The quotient at both ends of what the unseen bits may add.
        let quotient = (x + p) / (y + r);
        if quotient != (x + q) / (y + s) {
            break;
        }
        (p, r) = (r, p - quotient * r);
        (q, s) = (s, q - quotient * s);
        (x, y) = (y, x - quotient * y);
    }
    // Cofactors are no longer than the 62 bits that they were made from.
    (q != 0).then_some([[p as i64, q as i64], [r as i64, s as i64]])
}

/// `a p + b q`, which is not negative though one of the cofactors may be.
fn combination(a: &BigUint, p: i64, b: &BigUint, q: i64) -> BigUint {
    let (left, right) = (a * p.unsigned_abs(), b * q.unsigned_abs());
    match (p < 0, q < 0) {
        (true, _) => right - left,
        (_, true) => left - right,
        _ => left + right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coprime_is_a_greatest_common_divisor_of_one() {
        // Pseudo-random numbers of many lengths, and neighbours of the Fibonacci numbers,
        // whose quotients are all 1.
        let mut state = 1_u64;
        let mut number = |words: u64| {
            (0..words).fold(BigUint::one(), |value, _| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (value << 64) + (state ^ state >> 29)
            })
        };
        let mut pairs = vec![(BigUint::from(1_u8), BigUint::from(1_u8))];
        for _ in 0..1500 {
            let (a, b) = pairs[pairs.len() - 1].clone();
            pairs.push((&a + &b, a));
        }
        for k in 0..200 {
            let (a, b, common) = (number(k % 9 + 1), number(k / 9 % 9 + 1), number(k % 3));
            pairs.push((&a * &common, &b * &common));
            pairs.push((a, b));
        }
        let mut found = [0, 0];
        for (a, b) in &pairs {
            for (a, b) in [(a.clone(), b.clone()), (b.clone(), a + 2_u8), (a * b, b.clone())] {
                let expected = a.gcd(&b).is_one();
                assert_eq!(coprime(&a, &b), expected, "{a} and {b}");
                found[usize::from(expected)] += 1;
            }
        }
        assert!(found[0] > 100 && found[1] > 100, "both answers occur: {found:?}");
    }
}
