//! Dyadic numbers: an integer times a power of two.
//!
//! Every finite `f64` is one, and sums, differences and products of dyadics are
//! dyadics again, so a network with `f64` weights and polynomial activations can
//! be worked out exactly here with no division and no greatest common divisor.
//!
//! ```
//! use slnn::numeric::Dyadic;
//!
//! let tenth = Dyadic::from_f64(0.1).ok_or("finite")?;
//! let sum = &(&tenth + &tenth) + &tenth;
//! assert_ne!(sum, Dyadic::from_f64(0.3).ok_or("finite")?); // 0.1 is not a tenth
//! assert_eq!(sum.to_f64(), Some(0.30000000000000004)); // one rounding, at the end
//! assert_eq!("0x3p-4".parse::<Dyadic>()?.to_f64(), Some(0.1875));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use num_bigint::{BigInt, BigUint, Sign};
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use crate::error::{Error, Result, quote};

/// The largest absolute binary exponent that text may ask for.
///
/// Adding numbers whose exponents differ by E takes about E bits, so a reader
/// that took any exponent would hand its memory to whoever wrote the file.
pub const MAX_TEXT_EXPONENT: i64 = 1 << 20;

/// An exact number `mantissa * 2^exponent`, its mantissa odd (or both zero).
///
/// The form is canonical, so equal numbers have equal parts. Addition aligns the
/// two exponents: its cost is the distance between them in bits. Comparison looks
/// at the leading bits first and aligns only when they agree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dyadic {
    mantissa: BigInt,
    exponent: i64,
}

impl Dyadic {
    /// The number `mantissa * 2^exponent`, brought to the canonical form.
    ///
    /// # Panics
    /// If the exponent of the canonical form is above `i64::MAX`.
    pub fn new(mantissa: BigInt, exponent: i64) -> Self {
        match mantissa.trailing_zeros() {
            None => Dyadic { mantissa, exponent: 0 },
            Some(0) => Dyadic { mantissa, exponent },
            Some(zeros) => {
                Dyadic { mantissa: mantissa >> zeros, exponent: sum(exponent, zeros as i64) }
            }
        }
    }

    /// The exact value of `x`, or `None` if `x` is infinite or not a number.
    pub fn from_f64(x: f64) -> Option<Self> {
        if !x.is_finite() {
            return None;
        }
        let bits = x.to_bits();
        let biased = (bits >> 52 & 0x7ff) as i64;
        let fraction = bits & ((1 << 52) - 1);
        // A subnormal has no implicit bit and the exponent of the least normal.
        let magnitude = if biased == 0 { fraction } else { fraction | 1 << 52 };
        let magnitude = BigInt::from(magnitude);
        let mantissa = if x.is_sign_negative() { -magnitude } else { magnitude };
        Some(Dyadic::new(mantissa, biased.max(1) - 1075))
    }

    /// The fraction as a dyadic, or `None` if its denominator is not a power of two.
    pub fn from_rational(value: &BigRational) -> Option<Self> {
        let exponent = value.denom().trailing_zeros().unwrap_or(0);
        if exponent + 1 != value.denom().bits() {
            return None;
        }
        Some(Dyadic::new(value.numer().clone(), -(exponent as i64)))
    }

    /// The odd mantissa; zero for zero.
    pub fn mantissa(&self) -> &BigInt {
        &self.mantissa
    }

    /// The binary exponent that belongs to [`Dyadic::mantissa`]; zero for zero.
    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    /// The same number as a fraction in lowest terms; it takes about `|exponent|` bits.
    pub fn to_rational(&self) -> BigRational {
        // An odd mantissa and a power of two have no common factor: no gcd.
        let shift = self.exponent.unsigned_abs();
        if self.exponent >= 0 {
            BigRational::from_integer(&self.mantissa << shift)
        } else {
            BigRational::new_raw(self.mantissa.clone(), BigInt::one() << shift)
        }
    }

    /// The nearest `f64`, ties to even, subnormals included; `None` where it overflows.
    pub fn to_f64(&self) -> Option<f64> {
        let magnitude = nearest_f64(self.mantissa.magnitude(), self.exponent, false)?;
        Some(if self.mantissa.is_negative() { -magnitude } else { magnitude })
    }

    /// The absolute value.
    #[must_use]
    pub fn abs(&self) -> Self {
        Dyadic { mantissa: self.mantissa.abs(), exponent: self.exponent }
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.mantissa.is_negative()
    }
}

/// The sum of two exponents.
///
/// Text gives exponents of at most 2^20 and `f64` of at most 1074; only products
/// add them, and 2^43 factors do not fit in any memory.
fn sum(a: i64, b: i64) -> i64 {
    a.checked_add(b).expect("a dyadic exponent leaves i64 only after 2^43 factors")
}

/// The `f64` nearest to `(magnitude + rest) * 2^exponent`, ties to even.
///
/// `rest` is a number in (0, 1) when `sticky`, else 0; with a rest the magnitude
/// must have more than 54 bits, so that the rest lies below the rounding position.
/// `None` if the result is above the largest finite `f64`.
pub(super) fn nearest_f64(magnitude: &BigUint, exponent: i64, sticky: bool) -> Option<f64> {
    let bits = magnitude.bits() as i64;
    if bits == 0 {
        return Some(0.0);
    }
    let leading = exponent.saturating_add(bits - 1);
    if leading > 1023 {
        return None;
    }
    // The weight of the last place kept: 53 bits, fewer among the subnormals.
    let last = (leading.saturating_sub(52)).max(-1074);
    let dropped = last.saturating_sub(exponent);
    let kept = if dropped <= 0 {
        low_u64(&(magnitude << dropped.unsigned_abs()))
    } else if dropped > bits + 1 {
        0
    } else {
        let dropped = dropped.unsigned_abs();
        let floor = low_u64(&(magnitude >> dropped));
        let half = magnitude.bit(dropped - 1);
        let below_half = sticky || magnitude.trailing_zeros().unwrap_or(0) < dropped - 1;
        floor + u64::from(half && (below_half || floor & 1 == 1))
    };
    // At most 2^53 times a representable power of two: the product is exact.
    let value = kept as f64 * power_of_two(last);
    value.is_finite().then_some(value)
}

/// The value of an integer known to fit in 64 bits.
fn low_u64(value: &BigUint) -> u64 {
    value.iter_u64_digits().next().unwrap_or(0)
}

/// `2^exponent` for an exponent in -1074..=1023.
fn power_of_two(exponent: i64) -> f64 {
    if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (exponent + 1074))
    }
}

impl Zero for Dyadic {
    fn zero() -> Self {
        Dyadic { mantissa: BigInt::zero(), exponent: 0 }
    }

    fn is_zero(&self) -> bool {
        self.mantissa.is_zero()
    }
}

impl One for Dyadic {
    fn one() -> Self {
        Dyadic { mantissa: BigInt::one(), exponent: 0 }
    }
}

impl From<BigInt> for Dyadic {
    fn from(value: BigInt) -> Self {
        Dyadic::new(value, 0)
    }
}

impl From<i64> for Dyadic {
    fn from(value: i64) -> Self {
        Dyadic::new(value.into(), 0)
    }
}

impl AddAssign<&Dyadic> for Dyadic {
    fn add_assign(&mut self, other: &Dyadic) {
        if other.is_zero() {
            return;
        }
        if self.is_zero() {
            self.clone_from(other);
            return;
        }
        let mantissa = std::mem::take(&mut self.mantissa);
        // Wrapping: the distance of two i64 always fits in u64.
        let distance = self.exponent.abs_diff(other.exponent);
        *self = match self.exponent.cmp(&other.exponent) {
            Ordering::Equal => Dyadic::new(mantissa + &other.mantissa, self.exponent),
            // Odd plus even is odd: already canonical.
            Ordering::Greater => Dyadic {
                mantissa: (mantissa << distance) + &other.mantissa,
                exponent: other.exponent,
            },
            Ordering::Less => Dyadic {
                mantissa: mantissa + (&other.mantissa << distance),
                exponent: self.exponent,
            },
        };
    }
}

impl SubAssign<&Dyadic> for Dyadic {
    fn sub_assign(&mut self, other: &Dyadic) {
        *self += &-other;
    }
}

impl MulAssign<&Dyadic> for Dyadic {
    fn mul_assign(&mut self, other: &Dyadic) {
        *self = &*self * other;
    }
}

impl<'a> Mul<&'a Dyadic> for &Dyadic {
    type Output = Dyadic;

    fn mul(self, other: &'a Dyadic) -> Dyadic {
        if self.is_zero() || other.is_zero() {
            return Dyadic::zero();
        }
        // Odd times odd is odd: already canonical.
        Dyadic {
            mantissa: &self.mantissa * &other.mantissa,
            exponent: sum(self.exponent, other.exponent),
        }
    }
}

impl<'a> Add<&'a Dyadic> for &Dyadic {
    type Output = Dyadic;

    fn add(self, other: &'a Dyadic) -> Dyadic {
        self.clone() + other
    }
}

impl<'a> Sub<&'a Dyadic> for &Dyadic {
    type Output = Dyadic;

    fn sub(self, other: &'a Dyadic) -> Dyadic {
        self.clone() - other
    }
}

impl Neg for &Dyadic {
    type Output = Dyadic;

    fn neg(self) -> Dyadic {
        Dyadic { mantissa: -&self.mantissa, exponent: self.exponent }
    }
}

impl Neg for Dyadic {
    type Output = Dyadic;

    fn neg(self) -> Dyadic {
        Dyadic { mantissa: -self.mantissa, exponent: self.exponent }
    }
}

impl Add<&Dyadic> for Dyadic {
    type Output = Dyadic;

    fn add(mut self, other: &Dyadic) -> Dyadic {
        self += other;
        self
    }
}

impl Sub<&Dyadic> for Dyadic {
    type Output = Dyadic;

    fn sub(mut self, other: &Dyadic) -> Dyadic {
        self -= other;
        self
    }
}

impl Add for Dyadic {
    type Output = Dyadic;

    fn add(self, other: Dyadic) -> Dyadic {
        self + &other
    }
}

impl Sub for Dyadic {
    type Output = Dyadic;

    fn sub(self, other: Dyadic) -> Dyadic {
        self - &other
    }
}

impl Mul for Dyadic {
    type Output = Dyadic;

    fn mul(self, other: Dyadic) -> Dyadic {
        &self * &other
    }
}

impl Ord for Dyadic {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |d: &Dyadic| match d.mantissa.sign() {
            Sign::Minus => -1,
            Sign::NoSign => 0,
            Sign::Plus => 1,
        };
        let signs = sign(self).cmp(&sign(other));
        if signs.is_ne() || self.is_zero() {
            return signs;
        }
        // i128: an exponent plus a bit length may leave i64.
        let leading = |d: &Dyadic| i128::from(d.exponent) + i128::from(d.mantissa.bits());
        let magnitudes = leading(self).cmp(&leading(other)).then_with(|| {
            // Same leading bit, so the distance is at most a mantissa's length.
            let distance = self.exponent.abs_diff(other.exponent);
            let (a, b) = (self.mantissa.magnitude(), other.mantissa.magnitude());
            match self.exponent.cmp(&other.exponent) {
                Ordering::Equal => a.cmp(b),
                Ordering::Greater => (a << distance).cmp(b),
                Ordering::Less => a.cmp(&(b << distance)),
            }
        });
        if self.is_negative() { magnitudes.reverse() } else { magnitudes }
    }
}

impl PartialOrd for Dyadic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The canonical spelling `-?0xHEXp[+-]E`, lower-case digits; zero is `0`.
impl fmt::Display for Dyadic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let sign = if self.is_negative() { "-" } else { "" };
        write!(f, "{sign}0x{:x}p{:+}", self.mantissa.magnitude(), self.exponent)
    }
}

/// Reads the canonical spelling and nothing else; |E| is at most [`MAX_TEXT_EXPONENT`].
impl FromStr for Dyadic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "0" {
            return Ok(Dyadic::zero());
        }
        let refuse = |expected: &str| Error::invalid("dyadic number", quote(text), expected);
        let form = || {
            refuse(
                "the form -?0xHEXp[+-]E: lower-case digits without leading zeros, a sign on the \
                 exponent, as in 0x3p-4",
            )
        };
        let (negative, body) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (digits, exponent) =
            body.strip_prefix("0x").and_then(|rest| rest.split_once('p')).ok_or_else(form)?;
        let canonical_digits = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits.is_empty() || digits.starts_with('0') || !canonical_digits {
            return Err(form());
        }
        let (down, power) = match exponent.as_bytes().first() {
            Some(b'+') => (false, &exponent[1..]),
            Some(b'-') => (true, &exponent[1..]),
            _ => return Err(form()),
        };
        let leading_zero = power.len() > 1 && power.starts_with('0') || down && power == "0";
        if power.is_empty() || leading_zero || !power.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        // Nothing but digits is left, so a failure to parse is an overflow.
        let power = power.parse::<i64>().unwrap_or(i64::MAX);
        if power > MAX_TEXT_EXPONENT {
            return Err(refuse("a binary exponent between -2^20 and 2^20"));
        }
        let magnitude = BigInt::parse_bytes(digits.as_bytes(), 16).ok_or_else(form)?;
        if !magnitude.bit(0) {
            return Err(refuse("an odd mantissa (halve it and raise the exponent)"));
        }
        let mantissa = if negative { -magnitude } else { magnitude };
        Ok(Dyadic { mantissa, exponent: if down { -power } else { power } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_exponents_compare_without_aligning() {
        let huge = Dyadic::new(BigInt::from(3), i64::MAX);
        let tiny = Dyadic::new(BigInt::from(3), i64::MIN);
        assert!(huge > tiny && -huge.clone() < tiny && huge > Dyadic::zero());
        assert_eq!(huge.to_f64(), None);
        assert_eq!(tiny.to_f64(), Some(0.0));
    }

    #[test]
    fn text_that_is_not_canonical_is_refused() {
        for text in [
            "",
            "0x",
            "0x3",
            "0x3p",
            "0x3p4",
            "0x3p+04",
            "0x3p-0",
            "0x2p+1",
            "0x03p+1",
            "0xAp+1",
            "+0x3p+1",
            "0x0p+0",
            "-0",
            "0x3p+1048577",
            "0x3p+99999999999999999999",
            "--0x3p+1",
            "0x-3p+1",
            "0x3p+-1",
            "1",
        ] {
            assert!(text.parse::<Dyadic>().is_err(), "{text:?} was read");
        }
        assert!("0x3p-1048576".parse::<Dyadic>().is_ok());
    }
}
