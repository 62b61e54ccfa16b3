//! Intervals of f64 rounded outward: fast enclosures for whole networks.
//!
//! The sums and products of IEEE 754 are correctly rounded to nearest, so the exact result lies
//! between the neighbours of the computed one; a step outward by [`f64::next_up`] and
//! [`f64::next_down`] therefore encloses it, in any rounding error, underflow and overflow
//! included, and without touching the processor's rounding mode. Sums step only when the exact
//! error (Knuth 1969, TwoSum) says that they must.
//!
//! Overflow gives infinite ends, which enclose but prove nothing; a caller that needs finite ends
//! asks [`Interval::is_finite`].
//!
//! ```
//! use slnn::numeric::outward::Interval;
//!
//! let tenth = Interval::point(0.1);
//! let sum = (0..10).fold(Interval::ZERO, |sum, _| sum + tenth);
//! assert!(sum.lower <= 1.0 && 1.0 <= sum.upper && sum.width() < 1e-15);
//! ```

use std::ops::{Add, Mul, Neg, Sub};

use crate::numeric::interval::Enclosure;

/// A closed interval with f64 ends, `lower <= upper`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// a + b and the exact error of it (Knuth 1969).
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let shadow = sum - a;
    (sum, (a - (sum - shadow)) + (b - shadow))
}

/// The least f64 at or above a + b.
#[inline]
pub fn add_up(a: f64, b: f64) -> f64 {
    let (sum, error) = two_sum(a, b);
    // Where the sum overflows the error is no number, and the step stays at infinity.
    if error <= 0.0 { sum } else { sum.next_up() }
}

/// The greatest f64 at or below a + b.
#[inline]
pub fn add_down(a: f64, b: f64) -> f64 {
    -add_up(-a, -b)
}

/// An upper bound of a b, at most two neighbours above it.
#[inline]
pub fn mul_up(a: f64, b: f64) -> f64 {
    // Also 0 times infinity: an infinite end stands for a finite number that is not known.
    if a == 0.0 || b == 0.0 { 0.0 } else { (a * b).next_up() }
}

/// A lower bound of a b, at most two neighbours below it.
#[inline]
pub fn mul_down(a: f64, b: f64) -> f64 {
    -mul_up(-a, b)
}

/// An upper bound of a / b for b > 0, at most two neighbours above it.
#[inline]
pub fn div_up(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { (a / b).next_up() }
}

/// An upper bound of the sum of `terms`.
pub fn sum_up(terms: impl IntoIterator<Item = f64>) -> f64 {
    terms.into_iter().fold(0.0, add_up)
}

/// An upper bound of sum |a_i| b_i, for b_i >= 0.
pub fn absolute_dot_up(a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>) -> f64 {
    a.into_iter().zip(b).fold(0.0, |sum, (a, b)| add_up(sum, mul_up(a.abs(), b)))
}

impl Interval {
    /// [0, 0].
    pub const ZERO: Interval = Interval { lower: 0.0, upper: 0.0 };

    /// [lower, upper] from ends that the caller knows to be in order.
    #[inline]
    pub const fn new(lower: f64, upper: f64) -> Self {
        Interval { lower, upper }
    }

    /// [x, x].
    #[inline]
    pub const fn point(x: f64) -> Self {
        Interval { lower: x, upper: x }
    }

    /// [-radius, radius].
    #[inline]
    pub const fn symmetric(radius: f64) -> Self {
        Interval { lower: -radius, upper: radius }
    }

    /// The least f64 interval around an enclosure.
    pub fn around(enclosure: &Enclosure) -> Self {
        let (lower, upper) = enclosure.to_f64();
        Interval { lower, upper }
    }

    /// Whether both ends are finite and in order.
    #[inline]
    pub fn is_finite(&self) -> bool {
        self.lower.is_finite() && self.upper.is_finite() && self.lower <= self.upper
    }

    /// Whether `x` lies in the interval.
    #[inline]
    pub fn contains(&self, x: f64) -> bool {
        self.lower <= x && x <= self.upper
    }

    /// Whether all of `other` lies in the interval.
    #[inline]
    pub fn encloses(&self, other: &Self) -> bool {
        self.lower <= other.lower && other.upper <= self.upper
    }

    /// An upper bound of upper - lower.
    #[inline]
    pub fn width(&self) -> f64 {
        add_up(self.upper, -self.lower)
    }

    /// A number of the interval near its middle.
    #[inline]
    pub fn middle(&self) -> f64 {
        (self.lower / 2.0 + self.upper / 2.0).clamp(self.lower, self.upper)
    }

    /// An upper bound of the distance from `x` to any point of the interval.
    #[inline]
    pub fn radius_about(&self, x: f64) -> f64 {
        add_up(self.upper, -x).max(add_up(x, -self.lower))
    }

    /// The largest absolute value in the interval.
    #[inline]
    pub fn magnitude(&self) -> f64 {
        self.upper.abs().max(self.lower.abs())
    }

    /// The least interval around both.
    #[inline]
    #[must_use]
    pub fn hull(&self, other: &Self) -> Self {
        Interval { lower: self.lower.min(other.lower), upper: self.upper.max(other.upper) }
    }

    /// The numbers in both; `None` when there are none.
    #[inline]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let both =
            Interval { lower: self.lower.max(other.lower), upper: self.upper.min(other.upper) };
        (both.lower <= both.upper).then_some(both)
    }

    /// An enclosure of [lower - radius, upper + radius].
    #[inline]
    #[must_use]
    pub fn widened(&self, radius: f64) -> Self {
        Interval { lower: add_down(self.lower, -radius), upper: add_up(self.upper, radius) }
    }

    /// An enclosure of factor times the interval.
    #[inline]
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let (low, high) =
            if factor < 0.0 { (self.upper, self.lower) } else { (self.lower, self.upper) };
        Interval { lower: mul_down(factor, low), upper: mul_up(factor, high) }
    }
}

impl Add for Interval {
    type Output = Interval;
    #[inline]
    fn add(self, other: Self) -> Self {
        Interval {
            lower: add_down(self.lower, other.lower),
            upper: add_up(self.upper, other.upper),
        }
    }
}

impl Sub for Interval {
    type Output = Interval;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Interval {
    type Output = Interval;
    #[inline]
    fn neg(self) -> Self {
        Interval { lower: -self.upper, upper: -self.lower }
    }
}

impl Mul for Interval {
    type Output = Interval;
    #[inline]
    fn mul(self, other: Self) -> Self {
        let ends = [
            (self.lower, other.lower),
            (self.lower, other.upper),
            (self.upper, other.lower),
            (self.upper, other.upper),
        ];
        ends.into_iter().fold(
            Interval { lower: f64::INFINITY, upper: f64::NEG_INFINITY },
            |hull, (a, b)| Interval {
                lower: hull.lower.min(mul_down(a, b)),
                upper: hull.upper.max(mul_up(a, b)),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::rational::rational_from_f64;
    use num_rational::BigRational;
    use proptest::prelude::*;

    /// Any finite f64, the extremes of the format among them.
    fn finite() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
            -4.0..4.0f64,
            proptest::sample::select(vec![
                0.0,
                -0.0,
                f64::MAX,
                f64::MIN,
                f64::from_bits(1),
                f64::MIN_POSITIVE,
                1.0,
                -1.0,
            ]),
        ]
    }

    fn interval() -> impl Strategy<Value = Interval> {
        (finite(), finite()).prop_map(|(a, b)| Interval::new(a.min(b), a.max(b)))
    }

    /// Whether an interval with possibly infinite ends holds a rational.
    fn holds(interval: Interval, value: &BigRational) -> bool {
        let below = interval.lower == f64::NEG_INFINITY
            || rational_from_f64(interval.lower).is_some_and(|lower| lower <= *value);
        let above = interval.upper == f64::INFINITY
            || rational_from_f64(interval.upper).is_some_and(|upper| *value <= upper);
        below && above
    }

    fn exact(x: f64) -> BigRational {
        rational_from_f64(x).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn operations_enclose_the_exact_results(a in interval(), b in interval(), f in finite()) {
            for x in [a.lower, a.upper] {
                for y in [b.lower, b.upper] {
                    let (p, q) = (exact(x), exact(y));
                    prop_assert!(holds(a + b, &(&p + &q)));
                    prop_assert!(holds(a - b, &(&p - &q)));
                    prop_assert!(holds(a * b, &(&p * &q)));
                }
                prop_assert!(holds(a.scaled(f), &(exact(x) * exact(f))));
            }
            let width = Interval::new(f64::NEG_INFINITY, a.width());
            prop_assert!(holds(width, &(exact(a.upper) - exact(a.lower))));
            prop_assert!(a.contains(a.middle()));
            let radius = a.radius_about(f);
            for x in [a.lower, a.upper] {
                let distance = exact(x) - exact(f);
                prop_assert!(holds(Interval::symmetric(radius), &distance));
            }
        }

        #[test]
        fn sums_are_the_nearest_bounds(a in -1e9..1e9f64, b in -1e-3..1e3f64) {
            let total = exact(a) + exact(b);
            let (down, up) = (add_down(a, b), add_up(a, b));
            prop_assert!(exact(down) <= total && total <= exact(up));
            prop_assert!(up == down || up == down.next_up());
        }

        #[test]
        fn quotients_and_dots_are_bounds(
            a in finite(),
            b in 1e-300..1e300f64,
            v in prop::collection::vec((-1e3..1e3f64, 0.0..1e3f64), 0..20),
        ) {
            let above = Interval::new(f64::NEG_INFINITY, div_up(a, b));
            prop_assert!(holds(above, &(exact(a) / exact(b))));
            let (x, y): (Vec<f64>, Vec<f64>) = v.into_iter().unzip();
            let sum: BigRational = x.iter().zip(&y).map(|(x, y)| exact(x.abs()) * exact(*y)).sum();
            prop_assert!(holds(Interval::new(0.0, absolute_dot_up(x, y)), &sum));
        }
    }
}
