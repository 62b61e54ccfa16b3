//! Proven enclosures of elementary functions at rational points, to any number of bits.
//!
//! Every function takes a rational number and a number of fractional `bits` and returns an
//! [`Enclosure`] with dyadic end points that holds the value and is at most 2^-bits wide. Nothing
//! is trusted but integer arithmetic: numbers are intervals of fixed-point integers rounded
//! outward, series are summed with a proven bound on what is left out, and the working precision
//! is raised until the width asked for holds.
//!
//! No argument is too large. What tends to a limit (tanh, the exponential of a negative number)
//! is enclosed by its limit as soon as the difference is below the precision; time and memory are
//! otherwise polynomial in `bits` and in the length of the argument.
//!
//! ```
//! use num_rational::BigRational;
//! use slnn::numeric::elementary;
//!
//! let one = BigRational::from_integer(1.into());
//! let tanh = elementary::tanh(&one, 100);
//! assert_eq!(tanh.to_f64().0, 0.761_594_155_955_764_9_f64);
//! ```

use crate::error::{Error, Result};
use crate::numeric::interval::{Enclosure, ceil_scaled, dyadic, floor_scaled, product};
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// The largest argument of [`exp`]: its value has 5,910 bits before the point.
pub const LARGEST_EXPONENT: u32 = 4096;

/// Bits before the point beyond which [`sin`] and [`cos`] give up and answer [-1, 1].
pub const LARGEST_ANGLE_BITS: u64 = 4096;

/// pi, by Machin's formula 16 arctan(1/5) - 4 arctan(1/239).
pub fn pi(bits: u32) -> Enclosure {
    refine(bits, 0, fixed_pi)
}

/// e^z, for z at most [`LARGEST_EXPONENT`].
///
/// (e^(z / 2^s))^(2^s), the inner exponential by its Taylor series, s such that |z| / 2^s is small.
/// For z <= -w the bound e^z < 2^z serves at w bits.
///
/// # Errors
/// z above [`LARGEST_EXPONENT`].
pub fn exp(z: &BigRational, bits: u32) -> Result<Enclosure> {
    if !z.is_positive() {
        return Ok(refine(bits, 0, |w| exp_of_negative(z, w)));
    }
    if *z > BigRational::from_integer(LARGEST_EXPONENT.into()) {
        let expected = format!("at most {LARGEST_EXPONENT}");
        return Err(Error::invalid("argument of exp", "a larger number", expected));
    }
    // The value has fewer than 1.5 z + 1 bits before the point: e < 2^1.5.
    let whole = z.ceil().to_integer().to_u64().unwrap_or(0);
    Ok(refine(bits, 3 * whole / 2, |w| exp_series(&Fixed::rational(z, w), w)))
}

/// The natural logarithm of z > 0.
///
/// z = 2^k m with m in [2/3, 4/3]; ln m = 2 artanh((m - 1) / (m + 1)), argument at most 1/5, and
/// ln 2 = 2 artanh(1/3).
///
/// # Errors
/// z <= 0.
pub fn ln(z: &BigRational, bits: u32) -> Result<Enclosure> {
    if !z.is_positive() {
        return Err(Error::invalid("argument of ln", "a number <= 0", "a positive number"));
    }
    // 2^(k - 1) < z < 2^(k + 1).
    let mut k = z.numer().bits() as i64 - z.denom().bits() as i64;
    let scaled = |k: i64| {
        let shift = k.unsigned_abs();
        if k < 0 {
            (z.numer() << shift, z.denom().clone())
        } else {
            (z.numer().clone(), z.denom() << shift)
        }
    };
    let (mut n, mut d) = scaled(k);
    if &n * 3 > &d * 4 {
        k += 1;
        (n, d) = scaled(k);
    } else if &n * 3 < &d * 2 {
        k -= 1;
        (n, d) = scaled(k);
    }
    let (difference, total) = (&n - &d, &n + &d);
    let extra = u64::from(64 - k.unsigned_abs().leading_zeros());
    Ok(refine(bits, extra, |w| {
        let mantissa = artanh_series(&Fixed::ratio(&difference, &total, w), w);
        let ln_2 = artanh_series(&Fixed::ratio(&BigInt::one(), &BigInt::from(3), w), w);
        mantissa.plus(&ln_2.times_integer(&BigInt::from(k))).times_integer(&BigInt::from(2))
    }))
}

/// sin z.
///
/// z = k pi/2 + r with |r| < 1, k an integer and pi to as many more bits as z has before the
/// point; then the Taylor series of sin or cos at r. For |z| >= 2^[`LARGEST_ANGLE_BITS`] the
/// answer is [-1, 1].
pub fn sin(z: &BigRational, bits: u32) -> Enclosure {
    sin_of_quarters(z, 0, bits)
}

/// cos z = sin(z + pi/2), as [`sin`].
pub fn cos(z: &BigRational, bits: u32) -> Enclosure {
    sin_of_quarters(z, 1, bits)
}

/// tanh z = sign(z) (1 - e) / (1 + e), e = e^(-2 |z|).
pub fn tanh(z: &BigRational, bits: u32) -> Enclosure {
    let exponent = product(&z.abs(), &BigRational::from_integer((-2).into()));
    refine(bits, 0, |w| {
        let (one, e) = (Fixed::integer(1, w), exp_of_negative(&exponent, w));
        let tanh = one.minus(&e).over(&one.plus(&e), w);
        if z.is_negative() { tanh.negated() } else { tanh }
    })
}

/// The logistic sigmoid 1 / (1 + e^-z), as 1 / (1 + e) or e / (1 + e), e = e^-|z|.
pub fn sigmoid(z: &BigRational, bits: u32) -> Enclosure {
    let exponent = -z.abs();
    refine(bits, 0, |w| {
        let (one, e) = (Fixed::integer(1, w), exp_of_negative(&exponent, w));
        let numerator = if z.is_negative() { &e } else { &one };
        numerator.over(&one.plus(&e), w)
    })
}

/// softplus z = ln(1 + e^z) = max(z, 0) + ln(1 + e), e = e^-|z|.
///
/// ln(1 + e) = 2 artanh(e / (2 + e)), argument at most 1/3.
pub fn softplus(z: &BigRational, bits: u32) -> Enclosure {
    let exponent = -z.abs();
    refine(bits, 0, |w| {
        let e = exp_of_negative(&exponent, w);
        let argument = e.over(&Fixed::integer(2, w).plus(&e), w);
        positive_part(z, w).plus(&artanh_series(&argument, w).times_integer(&BigInt::from(2)))
    })
}

/// ELU: z for z >= 0, alpha (e^z - 1) below.
pub fn elu(z: &BigRational, alpha: &BigRational, bits: u32) -> Enclosure {
    if !z.is_negative() {
        return refine(bits, 0, |w| Fixed::rational(z, w));
    }
    refine(bits, length_before_point(alpha), |w| {
        let difference = exp_of_negative(z, w).minus(&Fixed::integer(1, w));
        difference.times(&Fixed::rational(alpha, w), w)
    })
}

/// SiLU: z sigmoid(z) = max(z, 0) - |z| e / (1 + e), e = e^-|z|.
///
/// For |z| >= 2 w the last term is below 2^-w: |z| e^-|z| <= (2 / e) e^(-|z| / 2), where the
/// first factor is the largest value of |z| e^(-|z| / 2).
pub fn silu(z: &BigRational, bits: u32) -> Enclosure {
    let size = z.abs();
    let exponent = -&size;
    refine(bits, 8, |w| {
        let tail = if size >= BigRational::from_integer((2 * w).into()) {
            Fixed::below_one_unit()
        } else {
            let (one, e) = (Fixed::integer(1, w), exp_of_negative(&exponent, w));
            Fixed::rational(&size, w).times(&e.over(&one.plus(&e), w), w)
        };
        positive_part(z, w).minus(&tail)
    })
}

/// The error function 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to z.
///
/// With q = z^2 it is 2 / sqrt(pi) z e^-q A(q), A(q) = sum over n of (2 q)^n / (1 3 5 ... (2 n + 1))
/// (Abramowitz and Stegun 7.1.6), a series of positive terms. For q >= w the bound
/// 1 - erf |z| <= e^-q < 2^-w serves.
pub fn erf(z: &BigRational, bits: u32) -> Enclosure {
    let q = product(z, z);
    refine(bits, 8, |w| {
        let size = if q >= BigRational::from_integer(w.into()) {
            Fixed::integer(1, w).minus(&Fixed::below_one_unit())
        } else {
            let four_over_pi = Fixed::integer(4, w).over(&fixed_pi(w), w);
            let size = Fixed::rational(&z.abs(), w).times(&four_over_pi.root(w), w);
            size.times(&gauss_series(&q, w), w)
        };
        if z.is_negative() { size.negated() } else { size }
    })
}

/// GELU: z (1 + erf(z / sqrt 2)) / 2 = z/2 + sqrt(2 / pi) q e^-q A(q), q = z^2 / 2, A as in [`erf`].
///
/// For q >= w the bound 0 <= max(z, 0) - GELU z = |z| Phi(-|z|) <= e^-q / sqrt(2 pi) < 2^-w serves
/// (Mills' ratio is below 1 / |z|).
pub fn gelu(z: &BigRational, bits: u32) -> Enclosure {
    let half = dyadic(BigInt::one(), 1);
    let half_z = product(z, &half);
    let q = product(z, &half_z);
    refine(bits, 8, |w| {
        if q >= BigRational::from_integer(w.into()) {
            return positive_part(z, w).minus(&Fixed::below_one_unit());
        }
        let two_over_pi = Fixed::integer(2, w).over(&fixed_pi(w), w);
        let even = Fixed::rational(&q, w).times(&two_over_pi.root(w), w);
        Fixed::rational(&half_z, w).plus(&even.times(&gauss_series(&q, w), w))
    })
}

/// Calls `function` with growing precision w until its interval is at most 2^-(bits + 1) wide,
/// then rounds outward to bits + 2 fractional bits: together at most 2^-bits.
///
/// It ends because the width of every function here tends to 0 as w grows. `extra` is a guess at
/// the bits that `function` loses.
fn refine(bits: u32, extra: u64, function: impl Fn(u64) -> Fixed) -> Enclosure {
    let bits = u64::from(bits);
    let mut guard = 20 + extra;
    loop {
        let value = function(bits + guard);
        if &value.upper - &value.lower <= BigInt::one() << (guard - 1) {
            let shift = guard - 2;
            let upper = dyadic(ceil_shift(&value.upper, shift), bits + 2);
            return Enclosure::ordered(dyadic(value.lower >> shift, bits + 2), upper);
        }
        guard *= 2;
    }
}

/// max(z, 0) at w bits.
fn positive_part(z: &BigRational, w: u64) -> Fixed {
    if z.is_positive() { Fixed::rational(z, w) } else { Fixed::integer(0, w) }
}

/// A number m with |value| < 2^m.
fn length_before_point(value: &BigRational) -> u64 {
    (value.numer().bits() + 1).saturating_sub(value.denom().bits())
}

/// e^z for z <= 0, at w bits.
fn exp_of_negative(z: &BigRational, w: u64) -> Fixed {
    if *z <= BigRational::from_integer(-BigInt::from(w)) {
        Fixed::below_one_unit()
    } else {
        exp_series(&Fixed::rational(z, w), w)
    }
}

/// e^z by 2^s-th power and Taylor series, for |z| below about 2^13.
///
/// z / 2^s is z read at w + s bits, without rounding; the s bits that squaring loses are those.
/// Tail: once |t| is a term of the series at |y| <= 1/2, all later ones together are below |t|.
fn exp_series(z: &Fixed, w: u64) -> Fixed {
    // |y| < 2^-reduction balances the number of terms against the number of squarings.
    let reduction = 1 + w.isqrt() / 2;
    let squarings = (z.magnitude().bits() + reduction).saturating_sub(w);
    let v = w + squarings;
    let mut term = Fixed::integer(1, v);
    let mut sum = term.clone();
    for n in 1u64.. {
        term = term.times(z, v).over_integer(n);
        sum = sum.plus(&term);
        if term.magnitude() <= BigInt::one() {
            break;
        }
    }
    sum = sum.widened(&term.magnitude());
    for _ in 0..squarings {
        sum = sum.times(&sum, v);
    }
    sum.shortened(squarings)
}

/// artanh u = sum of u^(2 n + 1) / (2 n + 1), for |u| <= 1/2.
///
/// Tail: after the term with power p it is below |p| (u^2 + u^4 + ...) <= |p| / 3.
fn artanh_series(u: &Fixed, w: u64) -> Fixed {
    let square = u.times(u, w);
    let mut power = u.clone();
    let mut sum = power.clone();
    let mut n = 1u64;
    while power.magnitude() > BigInt::one() {
        n += 2;
        power = power.times(&square, w);
        sum = sum.plus(&power.over_integer(n));
    }
    sum.widened(&power.magnitude())
}

/// arctan(1/m) = sum of (-1)^n / ((2 n + 1) m^(2 n + 1)), for m >= 2; tail as for artanh.
fn arctan_of_inverse(m: u64, w: u64) -> Fixed {
    let mut power = Fixed::integer(1, w).over_integer(m);
    let mut sum = power.clone();
    let mut n = 1u64;
    while power.magnitude() > BigInt::one() {
        n += 2;
        power = power.over_integer(m * m);
        let term = power.over_integer(n);
        sum = if n & 2 == 0 { sum.plus(&term) } else { sum.minus(&term) };
    }
    sum.widened(&power.magnitude())
}

/// pi at w bits.
fn fixed_pi(w: u64) -> Fixed {
    let (fifth, far) = (arctan_of_inverse(5, w), arctan_of_inverse(239, w));
    fifth.times_integer(&BigInt::from(16)).minus(&far.times_integer(&BigInt::from(4)))
}

/// e^-q A(q) at w bits, A(q) = sum over n of (2 q)^n / (1 3 5 ... (2 n + 1)), for 0 <= q < w.
///
/// A(q) <= sum of q^n / n! = e^q < 2^(3 q / 2), so with v = w + 3 q / 2 bits in both factors the
/// product keeps about w bits.
/// Tail: from the term n on, where 4 q <= 2 n + 3, each term is at most half the one before.
fn gauss_series(q: &BigRational, w: u64) -> Fixed {
    let whole = q.ceil().to_integer().to_u64().unwrap_or(w);
    let v = w + 3 * whole / 2 + 2;
    let twice = Fixed::rational(q, v).times_integer(&BigInt::from(2));
    let mut term = Fixed::integer(1, v);
    let mut sum = term.clone();
    for n in 1u64.. {
        term = term.times(&twice, v).over_integer(2 * n + 1);
        sum = sum.plus(&term);
        if 4 * whole <= 2 * n + 3 && term.magnitude() <= BigInt::one() {
            break;
        }
    }
    sum = sum.widened(&term.magnitude());
    sum.times(&exp_of_negative(&-q, v), v).shortened(v - w)
}

/// sin(z + quarters pi/2).
fn sin_of_quarters(z: &BigRational, quarters: u32, bits: u32) -> Enclosure {
    let length = length_before_point(z);
    if length > LARGEST_ANGLE_BITS {
        let one = BigRational::one();
        return Enclosure::ordered(-&one, one);
    }
    refine(bits, 0, |w| {
        let v = w + length + 4;
        let (angle, pi) = (Fixed::rational(z, v), fixed_pi(v));
        // The integer nearest to 2 z / pi, or its neighbour: |r| <= pi/4 + 2^-w and a little.
        let k = (&angle.lower * 4u32 + &pi.lower).div_floor(&(&pi.lower * 2u32));
        // 2 r at v bits is r at v + 1 bits.
        let twice = angle.times_integer(&BigInt::from(2)).minus(&pi.times_integer(&k));
        let r = twice.shortened(v + 1 - w);
        let square = r.times(&r, w);
        let quadrant = (k + quarters).mod_floor(&BigInt::from(4)).to_u32().unwrap_or(0);
        let value = if quadrant % 2 == 0 {
            alternating_series(r, &square, 1, w)
        } else {
            alternating_series(Fixed::integer(1, w), &square, 0, w)
        };
        if quadrant >= 2 { value.negated() } else { value }
    })
}

/// t - t r^2 / ((n + 1)(n + 2)) + ..., from the term t = r^n / n! of sin or cos, |r| < 1.
///
/// Tail: each term is at most half the one before, so that later ones are together below it.
fn alternating_series(first: Fixed, square: &Fixed, degree: u64, w: u64) -> Fixed {
    let (mut term, mut sum) = (first.clone(), first);
    let mut n = degree;
    while term.magnitude() > BigInt::one() {
        term = term.times(square, w).over_integer((n + 1) * (n + 2)).negated();
        sum = sum.plus(&term);
        n += 2;
    }
    sum.widened(&term.magnitude())
}

/// x / 2^shift rounded up.
fn ceil_shift(x: &BigInt, shift: u64) -> BigInt {
    // The right shift of a BigInt rounds towards minus infinity.
    -(-x >> shift)
}

/// The interval [lower, upper] 2^-w of real numbers; w is known to the caller and passed to the
/// operations that need it. Every operation encloses the exact result.
#[derive(Clone)]
struct Fixed {
    lower: BigInt,
    upper: BigInt,
}

impl Fixed {
    fn integer(n: u32, w: u64) -> Self {
        let value = BigInt::from(n) << w;
        Fixed { lower: value.clone(), upper: value }
    }

    fn rational(value: &BigRational, w: u64) -> Self {
        Fixed { lower: floor_scaled(value, w), upper: ceil_scaled(value, w) }
    }

    /// numerator / denominator, for a positive denominator.
    fn ratio(numerator: &BigInt, denominator: &BigInt, w: u64) -> Self {
        let (lower, rest) = (numerator << w).div_mod_floor(denominator);
        let upper = if rest.is_zero() { lower.clone() } else { &lower + 1u32 };
        Fixed { lower, upper }
    }

    /// [0, 2^-w]: a number known to lie between 0 and one unit.
    fn below_one_unit() -> Self {
        Fixed { lower: BigInt::zero(), upper: BigInt::one() }
    }

    /// The largest absolute value, in units.
    fn magnitude(&self) -> BigInt {
        self.lower.abs().max(self.upper.abs())
    }

    fn negated(&self) -> Self {
        Fixed { lower: -&self.upper, upper: -&self.lower }
    }

    fn plus(&self, other: &Self) -> Self {
        Fixed { lower: &self.lower + &other.lower, upper: &self.upper + &other.upper }
    }

    fn minus(&self, other: &Self) -> Self {
        Fixed { lower: &self.lower - &other.upper, upper: &self.upper - &other.lower }
    }

    fn times(&self, other: &Self, w: u64) -> Self {
        let (low, high) = if !self.lower.is_negative() && !other.lower.is_negative() {
            (&self.lower * &other.lower, &self.upper * &other.upper)
        } else {
            let first = &self.lower * &other.lower;
            [&self.lower * &other.upper, &self.upper * &other.lower, &self.upper * &other.upper]
                .into_iter()
                .fold((first.clone(), first), |(low, high), x| {
                    if x < low {
                        (x, high)
                    } else if x > high {
                        (low, x)
                    } else {
                        (low, high)
                    }
                })
        };
        Fixed { upper: ceil_shift(&high, w), lower: low >> w }
    }

    fn times_integer(&self, n: &BigInt) -> Self {
        let (one, other) = (&self.lower * n, &self.upper * n);
        if n.is_negative() {
            Fixed { lower: other, upper: one }
        } else {
            Fixed { lower: one, upper: other }
        }
    }

    fn over_integer(&self, n: u64) -> Self {
        let n = BigInt::from(n);
        Fixed { lower: self.lower.div_floor(&n), upper: -(-&self.upper).div_floor(&n) }
    }

    /// The quotient, for a divisor above 0.
    fn over(&self, divisor: &Self, w: u64) -> Self {
        let least = if self.lower.is_negative() { &divisor.lower } else { &divisor.upper };
        let greatest = if self.upper.is_negative() { &divisor.upper } else { &divisor.lower };
        let upper = -(-&self.upper << w).div_floor(greatest);
        Fixed { lower: (&self.lower << w).div_floor(least), upper }
    }

    /// The square root of an interval that is not below 0.
    fn root(&self, w: u64) -> Self {
        Fixed { lower: (&self.lower << w).sqrt(), upper: (&self.upper << w).sqrt() + 1u32 }
    }

    /// The interval with `by` units added on both sides.
    fn widened(&self, by: &BigInt) -> Self {
        Fixed { lower: &self.lower - by, upper: &self.upper + by }
    }

    /// The same numbers at `bits` fewer bits.
    fn shortened(&self, bits: u64) -> Self {
        Fixed { lower: &self.lower >> bits, upper: ceil_shift(&self.upper, bits) }
    }
}
