//! Fixed-point numbers of 128 bits, with a proven bound of their error.
//!
//! A number x is held as an integer m and a radius r in units of 2^-F, |x 2^F - m| <= r, where F is
//! known to the caller. Places on the line are coarser, integers in units of 2^-[`GRID`].

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use crate::numeric::interval::Enclosure;
use crate::numeric::outward::{add_up, mul_up};
use crate::numeric::{Dyadic, interval};

/// Fractional bits of a place on the line of t.
pub(super) const GRID: u32 = 60;

/// Integers beyond this are refused, so that sums of a few never overflow.
const LARGEST: i128 = 1 << 125;

/// a t 2^-60 rounded down, for a `place` t in units of 2^-60.
///
/// # Panics
/// Or a wrong value, when |a t| 2^-60 is above 2^126: callers bound their numbers beforehand.
#[inline]
pub(super) fn times_place(a: i128, place: i64) -> i128 {
    let (high, low) = (a >> 64, i128::from(a as u64));
    let place = i128::from(place);
    // The first product is below 2^(126 - 64 + 60), the second below 2^127: |place| < 2^63.
    ((high * place) << (64 - GRID)) + ((low * place) >> GRID)
}

/// a b 2^-shift rounded towards zero; `None` where that is above [`LARGEST`].
#[inline]
pub(super) fn times(a: i128, b: i128, shift: u32) -> Option<i128> {
    let negative = (a < 0) != (b < 0);
    let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
    if a > LARGEST as u128 || b > LARGEST as u128 {
        return None;
    }
    const LOW: u128 = (1 << 64) - 1;
    let (ah, al, bh, bl) = (a >> 64, a & LOW, b >> 64, b & LOW);
    // Each product is below 2^125, so that their sum does not overflow.
    let middle = ah * bl + al * bh;
    let (low, carry) = (al * bl).overflowing_add(middle << 64);
    let high = ah * bh + (middle >> 64) + u128::from(carry);
    let size = match shift {
        0 if high == 0 => low,
        1..128 if high >> shift == 0 => (high << (128 - shift)) | (low >> shift),
        _ => return None,
    };
    (size <= LARGEST as u128).then_some(if negative { -(size as i128) } else { size as i128 })
}

/// The value 2^F rounded down, and whether bits were lost; `None` above [`LARGEST`].
pub(super) fn fixed(value: &Dyadic, bits: u32) -> Option<(i128, bool)> {
    let shift = value.exponent().checked_add(i64::from(bits))?;
    let mantissa = value.mantissa();
    if shift >= 0 {
        if mantissa.bits() + shift.unsigned_abs() > 125 {
            return None;
        }
        return Some((mantissa.to_i128()? << shift, false));
    }
    let distance = shift.unsigned_abs();
    if mantissa.bits() > distance.saturating_add(125) {
        return None;
    }
    if distance > mantissa.bits() {
        return Some((if mantissa.is_negative() { -1 } else { 0 }, true));
    }
    // The right shift of a BigInt rounds towards minus infinity; an odd mantissa loses bits.
    Some(((mantissa >> distance).to_i128()?, true))
}

/// An upper bound of |value| as an f64, infinite beyond the format.
pub(super) fn size_above(value: &Dyadic) -> f64 {
    match value.to_f64() {
        None => f64::INFINITY,
        Some(x) if Dyadic::from_f64(x).as_ref() == Some(value) => x.abs(),
        // To nearest: the neighbour is beyond.
        Some(x) => x.abs().next_up(),
    }
}

/// m 2^-bits as an f64 that is not below it.
pub(super) fn real_above(m: i128, bits: u32) -> f64 {
    // The conversion is to nearest and the scaling exact: both numbers are normal or zero.
    if m == 0 { 0.0 } else { (m as f64).next_up() * 2f64.powi(-(bits as i32)) }
}

/// The least integer at or above x 2^bits, for x >= 0; at most [`LARGEST`], so infinity too.
pub(super) fn units_above(x: f64, bits: u32) -> i128 {
    let scaled = x * 2f64.powi(bits as i32);
    // The product is exact unless it overflows; a conversion saturates.
    if scaled >= LARGEST as f64 { LARGEST } else { scaled.ceil() as i128 }
}

/// A number with its error, in units of 2^-F; F is passed to the operations that need it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ball {
    /// The middle.
    pub middle: i128,
    /// The distance to the number, at most.
    pub radius: f64,
}

impl Ball {
    pub(super) const ZERO: Ball = Ball { middle: 0, radius: 0.0 };

    pub(super) fn exact(middle: i128) -> Self {
        Ball { middle, radius: 0.0 }
    }

    pub(super) fn of(value: &Dyadic, bits: u32) -> Option<Self> {
        let (middle, inexact) = fixed(value, bits)?;
        Some(Ball { middle, radius: f64::from(inexact) })
    }

    /// The numbers of an enclosure.
    pub(super) fn around(enclosure: &Enclosure, bits: u32) -> Option<Self> {
        let floor = |x| interval::floor_scaled(x, u64::from(bits));
        let (lower, upper): (BigInt, BigInt) = (floor(enclosure.lower()), floor(enclosure.upper()));
        if lower.bits().max(upper.bits()) > 124 {
            return None;
        }
        let (lower, upper) = (lower.to_i128()?, upper.to_i128()? + 1);
        let middle = lower + (upper - lower) / 2;
        Some(Ball { middle, radius: ((upper - middle) as f64).next_up() })
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let middle = self.middle + other.middle;
        let small = middle.abs() <= LARGEST;
        small.then_some(Ball { middle, radius: add_up(self.radius, other.radius) })
    }

    pub(super) fn negated(self) -> Self {
        Ball { middle: -self.middle, radius: self.radius }
    }

    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated())
    }

    /// |a b - m_a m_b| <= |m_a| r_b + |m_b| r_a + r_a r_b, and one unit for the rounding.
    pub(super) fn times(self, other: Self, bits: u32) -> Option<Self> {
        let middle = times(self.middle, other.middle, bits)?;
        let (a, b) = (real_above(self.middle.abs(), bits), real_above(other.middle.abs(), bits));
        let both = mul_up(self.radius, other.radius) * 2f64.powi(-(bits as i32));
        let mixed = add_up(mul_up(a, other.radius), mul_up(b, self.radius));
        // Twice the product of the radii covers an underflow of it.
        Some(Ball { middle, radius: add_up(add_up(mixed, 2.0 * both), 2.0) })
    }

    pub(super) fn times_integer(self, n: i64) -> Option<Self> {
        let middle = self.middle.checked_mul(i128::from(n))?;
        let small = middle.abs() <= LARGEST;
        // Conversion of the integer: below 2^53 wherever this is used, rounded otherwise.
        let factor = (n.unsigned_abs() as f64).next_up();
        small.then_some(Ball { middle, radius: mul_up(self.radius, factor) })
    }

    /// The quotient by a small positive integer.
    pub(super) fn over(self, n: u32) -> Self {
        let middle = self.middle / i128::from(n);
        Ball { middle, radius: add_up((self.radius / f64::from(n)).next_up(), 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_rational::BigRational;
    use proptest::prelude::*;

    fn holds(ball: Ball, value: &BigRational, bits: u32) -> bool {
        let unit = BigRational::from_integer(BigInt::from(1) << bits);
        let distance = (value * unit - BigRational::from_integer(ball.middle.into())).abs();
        distance <= BigRational::from_float(ball.radius).unwrap()
    }

    fn rational(m: i128, bits: u32) -> BigRational {
        BigRational::new(m.into(), BigInt::from(1) << bits)
    }

    proptest! {
        #[test]
        fn products_are_right(a in -(1i128 << 120)..1i128 << 120, b in -(1i128 << 70)..1i128 << 70,
                              shift in 0u32..128, place in any::<i64>()) {
            let exact = BigInt::from(a) * BigInt::from(b);
            let size: BigInt = exact.magnitude().clone().into();
            let size = size >> shift;
            let negative = (a < 0) != (b < 0);
            let expected = (size <= BigInt::from(LARGEST)).then(|| {
                let size = size.to_i128().unwrap();
                if negative { -size } else { size }
            });
            prop_assert_eq!(times(a, b, shift), expected);
            let product: BigInt = (BigInt::from(a) * BigInt::from(place)) >> GRID;
            prop_assert_eq!(times_place(a, place), product.to_i128().unwrap());
        }

        #[test]
        fn balls_hold_the_exact_results(
            a in (-(1i128 << 105)..1i128 << 105, 0i128..1 << 40, -1.0..1.0f64),
            b in (-(1i128 << 105)..1i128 << 105, 0i128..1 << 40, -1.0..1.0f64),
            n in -1000i64..1000,
            d in 1u32..50,
        ) {
            let bits = 100;
            let ball = |x: (i128, i128, f64)| Ball { middle: x.0, radius: x.1 as f64 };
            // A number of the ball.
            let number = |x: (i128, i128, f64)| rational(x.0 + (x.1 as f64 * x.2) as i128, bits);
            let (p, q, x, y) = (ball(a), ball(b), number(a), number(b));
            prop_assert!(holds(p.times(q, bits).unwrap(), &(&x * &y), bits));
            prop_assert!(holds(p.plus(q).unwrap(), &(&x + &y), bits));
            prop_assert!(holds(p.minus(q).unwrap(), &(&x - &y), bits));
            let integer = |n: i64| BigRational::from_integer(n.into());
            prop_assert!(holds(p.times_integer(n).unwrap(), &(&x * integer(n)), bits));
            prop_assert!(holds(p.over(d), &(&x / integer(d.into())), bits));
        }

        #[test]
        fn dyadics_are_rounded_down(m in any::<i64>(), e in -200i64..60, bits in 0u32..120) {
            let value = Dyadic::new(m.into(), e);
            let ball = Ball::of(&value, bits);
            let exact = value.to_rational();
            if let Some(ball) = ball {
                prop_assert!(holds(ball, &exact, bits));
            } else {
                prop_assert!(exact.abs() * rational(1 << 60, 0) >= rational(LARGEST, bits) / rational(1 << 62, 0));
            }
            let above = size_above(&value);
            prop_assert!(BigRational::from_float(above).unwrap() >= exact.abs());
        }
    }
}
