//! Enclosures: intervals with exact rational end points that are proven to hold a number.
//!
//! A network with transcendental activations has no exact rational output; it has an
//! [`Enclosure`] of any width one asks for. Sums and products are exact, so nothing is lost, but
//! the end points grow; [`Enclosure::round_outward`] puts them back on a grid of dyadic numbers.
//!
//! ```
//! use num_rational::BigRational;
//! use slnn::numeric::interval::Enclosure;
//!
//! let third = BigRational::new(1.into(), 3.into());
//! let enclosure = Enclosure::point(third.clone()).round_outward(10);
//! assert!(enclosure.contains(&third));
//! assert_eq!(enclosure.to_f64(), (341.0 / 1024.0, 342.0 / 1024.0));
//! ```

use crate::error::{Error, Result};
use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// A closed interval with rational end points, `lower <= upper`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosure {
    lower: BigRational,
    upper: BigRational,
}

impl Enclosure {
    /// The interval [lower, upper].
    ///
    /// # Errors
    /// `lower > upper`.
    pub fn new(lower: BigRational, upper: BigRational) -> Result<Self> {
        if lower > upper {
            let found = format!("a lower end {lower} above the upper end {upper}");
            return Err(Error::invalid("interval", found, "lower <= upper"));
        }
        Ok(Enclosure { lower, upper })
    }

    /// The interval [value, value].
    pub fn point(value: BigRational) -> Self {
        Enclosure { lower: value.clone(), upper: value }
    }

    /// [lower, upper] from ends that the caller knows to be in order.
    pub(crate) fn ordered(lower: BigRational, upper: BigRational) -> Self {
        debug_assert!(lower <= upper);
        Enclosure { lower, upper }
    }

    /// The least interval that holds all `values`; [0, 0] when there are none.
    fn hull_of(values: impl IntoIterator<Item = BigRational>) -> Self {
        let mut values = values.into_iter();
        let first = values.next().unwrap_or_else(BigRational::zero);
        values.fold(Enclosure::point(first), |hull, value| {
            if value < hull.lower {
                Enclosure { lower: value, upper: hull.upper }
            } else if value > hull.upper {
                Enclosure { lower: hull.lower, upper: value }
            } else {
                hull
            }
        })
    }

    /// The lower end point.
    pub fn lower(&self) -> &BigRational {
        &self.lower
    }

    /// The upper end point.
    pub fn upper(&self) -> &BigRational {
        &self.upper
    }

    /// upper - lower.
    pub fn width(&self) -> BigRational {
        sum(&self.upper, &-&self.lower)
    }

    /// (lower + upper) / 2.
    pub fn midpoint(&self) -> BigRational {
        product(&sum(&self.lower, &self.upper), &dyadic(BigInt::one(), 1))
    }

    /// Whether the two end points are one number.
    pub fn is_point(&self) -> bool {
        self.lower == self.upper
    }

    /// Whether `value` lies in the interval.
    pub fn contains(&self, value: &BigRational) -> bool {
        self.lower <= *value && *value <= self.upper
    }

    /// The numbers in both intervals, if there are any.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let lower = (&self.lower).max(&other.lower).clone();
        let upper = (&self.upper).min(&other.upper).clone();
        (lower <= upper).then_some(Enclosure { lower, upper })
    }

    /// The least interval around both.
    #[must_use]
    pub fn hull(&self, other: &Self) -> Self {
        Enclosure {
            lower: (&self.lower).min(&other.lower).clone(),
            upper: (&self.upper).max(&other.upper).clone(),
        }
    }

    /// {x + y}, exactly.
    pub fn add(&self, other: &Self) -> Self {
        Enclosure { lower: sum(&self.lower, &other.lower), upper: sum(&self.upper, &other.upper) }
    }

    /// {x - y}, exactly.
    pub fn sub(&self, other: &Self) -> Self {
        Enclosure {
            lower: sum(&self.lower, &-&other.upper),
            upper: sum(&self.upper, &-&other.lower),
        }
    }

    /// {x y}, exactly: the extremes are among the four products of end points.
    pub fn mul(&self, other: &Self) -> Self {
        Self::hull_of([
            product(&self.lower, &other.lower),
            product(&self.lower, &other.upper),
            product(&self.upper, &other.lower),
            product(&self.upper, &other.upper),
        ])
    }

    /// {factor x}, exactly.
    pub fn scale(&self, factor: &BigRational) -> Self {
        let (one, other) = (product(factor, &self.lower), product(factor, &self.upper));
        if factor.is_negative() {
            Enclosure { lower: other, upper: one }
        } else {
            Enclosure { lower: one, upper: other }
        }
    }

    /// The least interval around this one whose end points are multiples of 2^-bits.
    ///
    /// The width grows by less than 2^(1 - bits). Time: a division per end point, a shift where
    /// the end point is dyadic already.
    #[must_use]
    pub fn round_outward(&self, bits: u32) -> Self {
        let bits = u64::from(bits);
        Enclosure {
            lower: dyadic(floor_scaled(&self.lower, bits), bits),
            upper: dyadic(ceil_scaled(&self.upper, bits), bits),
        }
    }

    /// The greatest f64 at or below the interval and the least at or above it.
    ///
    /// Numbers beyond the finite f64 give the end points +-`f64::MAX` and +-infinity.
    pub fn to_f64(&self) -> (f64, f64) {
        (-f64_above(&-&self.lower), f64_above(&self.upper))
    }
}

/// The exponent e of a denominator 2^e; `None` for other denominators.
fn dyadic_exponent(value: &BigRational) -> Option<u64> {
    let exponent = value.denom().trailing_zeros()?;
    (exponent + 1 == value.denom().bits()).then_some(exponent)
}

/// mantissa 2^-exponent in lowest terms, without the greatest common divisor that
/// `BigRational::new` would take.
pub(crate) fn dyadic(mantissa: BigInt, exponent: u64) -> BigRational {
    let Some(zeros) = mantissa.trailing_zeros() else { return BigRational::zero() };
    let common = zeros.min(exponent);
    BigRational::new_raw(mantissa >> common, BigInt::one() << (exponent - common))
}

/// a + b; by shifts alone where both are dyadic.
pub(crate) fn sum(a: &BigRational, b: &BigRational) -> BigRational {
    match (dyadic_exponent(a), dyadic_exponent(b)) {
        (Some(x), Some(y)) => {
            let common = x.max(y);
            dyadic((a.numer() << (common - x)) + (b.numer() << (common - y)), common)
        }
        _ => a + b,
    }
}

/// a b; by shifts alone where both are dyadic.
pub(crate) fn product(a: &BigRational, b: &BigRational) -> BigRational {
    match (dyadic_exponent(a), dyadic_exponent(b)) {
        (Some(x), Some(y)) => dyadic(a.numer() * b.numer(), x + y),
        _ => a * b,
    }
}

/// floor(value 2^bits).
pub(crate) fn floor_scaled(value: &BigRational, bits: u64) -> BigInt {
    match dyadic_exponent(value) {
        // The right shift of a BigInt rounds towards minus infinity.
        Some(exponent) if exponent > bits => value.numer() >> (exponent - bits),
        Some(exponent) => value.numer() << (bits - exponent),
        None => (value.numer() << bits).div_floor(value.denom()),
    }
}

/// ceil(value 2^bits).
pub(crate) fn ceil_scaled(value: &BigRational, bits: u64) -> BigInt {
    -floor_scaled(&-value, bits)
}

/// The least f64 at or above `value`.
fn f64_above(value: &BigRational) -> f64 {
    let away = match value.numer().sign() {
        Sign::NoSign => return 0.0,
        Sign::Plus => true,
        Sign::Minus => false,
    };
    let (numerator, denominator) = (value.numer().magnitude(), value.denom().magnitude());
    // |value| lies in (2^(e-1), 2^(e+1)).
    let e = numerator.bits() as i64 - denominator.bits() as i64;
    if e > 1024 {
        return if away { f64::INFINITY } else { -f64::MAX };
    }
    // Units of 2^unit: at least 53 bits, or the grid of the subnormal numbers; where the quotient
    // comes out a bit too long the unit is doubled.
    let mut unit = (e - 53).max(-1074);
    let shift = unit.unsigned_abs();
    let scaled = |left: bool| {
        if left {
            (numerator << shift).div_rem(denominator)
        } else {
            numerator.div_rem(&(denominator << shift))
        }
    };
    let (quotient, remainder) = scaled(unit < 0);
    let mut inexact = !remainder.is_zero();
    // At most 54 bits by the choice of the unit, which is below 2^64.
    let mut mantissa = quotient.to_u64().unwrap_or(u64::MAX);
    while mantissa >> 53 != 0 {
        inexact |= mantissa & 1 == 1;
        mantissa >>= 1;
        unit += 1;
    }
    if unit > 971 {
        return if away { f64::INFINITY } else { -f64::MAX };
    }
    if away && inexact {
        mantissa += 1;
    }
    let power = if unit >= -1022 {
        f64::from_bits(((unit + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (unit + 1074))
    };
    // Exact: at most 2^53 units of at least 2^-1074. Only 2^53 2^971 overflows, to infinity,
    // which is the least f64 above.
    let magnitude = mantissa as f64 * power;
    if away { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rational(numerator: i64, denominator: u32) -> BigRational {
        BigRational::new(numerator.into(), denominator.into())
    }

    fn enclosure(ends: (i64, u32, i64, u32)) -> Enclosure {
        Enclosure::hull_of([rational(ends.0, ends.1), rational(ends.2, ends.3)])
    }

    fn ends() -> impl Strategy<Value = Enclosure> {
        // Powers of two half of the time, for the paths without a greatest common divisor.
        let denominator = || prop_oneof![1u32..2000, (0u32..31).prop_map(|e| 1 << e)];
        (any::<i64>(), denominator(), any::<i64>(), denominator()).prop_map(enclosure)
    }

    #[test]
    fn an_empty_interval_is_refused() {
        assert!(Enclosure::new(rational(1, 2), rational(1, 3)).is_err());
        let half = rational(1, 2);
        assert_eq!(Enclosure::new(half.clone(), half.clone()).unwrap(), Enclosure::point(half));
    }

    #[test]
    fn f64_ends_at_the_edges_of_the_format() {
        let power = |exponent: u32| BigRational::from_integer(BigInt::one() << exponent);
        let of = |value: BigRational| Enclosure::point(value).to_f64();
        assert_eq!(of(BigRational::zero()), (0.0, 0.0));
        assert_eq!(of(power(1023)), (2f64.powi(1023), 2f64.powi(1023)));
        assert_eq!(of(power(1024)), (f64::MAX, f64::INFINITY));
        assert_eq!(of(-power(1024)), (f64::NEG_INFINITY, -f64::MAX));
        assert_eq!(of(power(5000)), (f64::MAX, f64::INFINITY));
        assert_eq!(of(power(1024) - power(1)), (f64::MAX, f64::INFINITY));
        assert_eq!(of(power(5000).recip()), (0.0, f64::from_bits(1)));
        assert_eq!(of(-power(5000).recip()), (-f64::from_bits(1), 0.0));
        assert_eq!(of(power(1074).recip()), (f64::from_bits(1), f64::from_bits(1)));
        assert_eq!(of(rational(3, 2) / power(1074)), (f64::from_bits(1), f64::from_bits(2)));
    }

    proptest! {
        #[test]
        fn exact_arithmetic_agrees_with_bigrational(a in ends(), b in ends()) {
            // `==` on `Ratio` compares values; `reduced` checks the canonical form as well.
            let canonical = |x: &BigRational| {
                let reduced = x.reduced();
                prop_assert_eq!(x.numer(), reduced.numer());
                prop_assert_eq!(x.denom(), reduced.denom());
                Ok(())
            };
            let total = a.add(&b);
            prop_assert_eq!(total.lower(), &(a.lower() + b.lower()));
            prop_assert_eq!(total.upper(), &(a.upper() + b.upper()));
            let difference = a.sub(&b);
            prop_assert_eq!(difference.lower(), &(a.lower() - b.upper()));
            prop_assert_eq!(difference.upper(), &(a.upper() - b.lower()));
            let product = a.mul(&b);
            for x in [a.lower(), a.upper()] {
                for y in [b.lower(), b.upper()] {
                    prop_assert!(product.contains(&(x * y)));
                }
            }
            prop_assert_eq!(a.scale(b.lower()), a.mul(&Enclosure::point(b.lower().clone())));
            prop_assert_eq!(a.width(), a.upper() - a.lower());
            prop_assert_eq!(a.midpoint(), (a.upper() + a.lower()) / rational(2, 1));
            for value in [total.lower(), difference.upper(), product.lower(), &a.midpoint()] {
                canonical(value)?;
            }
        }

        #[test]
        fn outward_rounding_is_outward_and_least(a in ends(), bits in 0u32..80) {
            let rounded = a.round_outward(bits);
            let unit = dyadic(BigInt::one(), bits.into());
            prop_assert!(rounded.lower() <= a.lower() && a.upper() <= rounded.upper());
            prop_assert!(a.lower() - rounded.lower() < unit);
            prop_assert!(rounded.upper() - a.upper() < unit);
            prop_assert!((rounded.lower() / &unit).is_integer());
            prop_assert_eq!(rounded.round_outward(bits), rounded);
        }

        #[test]
        fn f64_ends_are_neighbours(n in any::<i128>(), d in 1u128.., down in 0u32..1200) {
            let value = BigRational::new(n.into(), BigInt::from(d) << down);
            let (lower, upper) = Enclosure::point(value.clone()).to_f64();
            let exact = |x: f64| BigRational::from_float(x).unwrap();
            prop_assert!(exact(lower) <= value && value <= exact(upper));
            let next = if exact(lower) == value { lower } else { lower.next_up() };
            prop_assert_eq!(upper, next);
        }

        #[test]
        fn an_f64_is_its_own_enclosure(bits in any::<u64>()) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            let exact = BigRational::from_float(x).unwrap();
            prop_assert_eq!(Enclosure::point(exact).to_f64(), (x, x));
        }
    }
}
