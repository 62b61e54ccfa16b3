//! Fixed-point numbers in an i128: what f64 cannot resolve, at a few nanoseconds a product.
//!
//! A number x stands as an integer n with x = n 2^-bits, where the caller knows `bits`. Every
//! routine says how many units (2^-bits) it may be off, so that a proof can charge them. Nothing
//! here allocates but [`circle`].
//!
//! ```
//! use slnn::numeric::fixed::{chebyshev_sum, from_f64, to_f64, FRACTION};
//!
//! // 1 T_0 + 2 T_1 + 3 T_2 at 1/4, in units of 2^-80: 1 + 1/2 + 3 (2/16 - 1).
//! let coefficients: Vec<i128> = [1_i128, 2, 3].map(|c| c << 80).to_vec();
//! let quarter = from_f64(0.25, FRACTION as i32).ok_or("range")?;
//! assert_eq!(to_f64(chebyshev_sum(&coefficients, [quarter])[0], 80), -1.125);
//! # Ok::<(), &str>(())
//! ```

use crate::numeric::elementary;
use crate::numeric::interval::floor_scaled;
use crate::numeric::outward::Interval;
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{ToPrimitive, Zero};

/// Fractional bits of an argument in [-1, 1].
pub const FRACTION: u32 = 96;

/// Fractional bits of the cosines of [`circle`].
pub const CIRCLE_BITS: u32 = 120;

/// a b / 2^SHIFT rounded towards zero, so less than one unit off; 64 <= SHIFT < 128.
///
/// The caller knows |a|, |b| <= 2^126 and |a b| < 2^(126 + SHIFT). Four products of 64 bits.
#[inline]
pub fn product<const SHIFT: u32>(a: i128, b: i128) -> i128 {
    const { assert!(SHIFT >= 64 && SHIFT < 128) };
    let (x, y) = (a.unsigned_abs(), b.unsigned_abs());
    let (x1, x0) = (x >> 64, x & u128::from(u64::MAX));
    let (y1, y0) = (y >> 64, y & u128::from(u64::MAX));
    // x y = high 2^128 + middle 2^64 + less than 2^64; the middle is below 2^127 + 2^64.
    let high = x1 * y1;
    let middle = x1 * y0 + x0 * y1 + ((x0 * y0) >> 64);
    let size = ((high << (128 - SHIFT)) + (middle >> (SHIFT - 64))) as i128;
    if (a < 0) != (b < 0) { -size } else { size }
}

/// 2^exponent, 0 or infinity beyond the format.
pub fn power_of_two(exponent: i32) -> f64 {
    match exponent {
        ..-1074 => 0.0,
        -1074..-1022 => f64::from_bits(1 << (exponent + 1074)),
        -1022..1024 => f64::from_bits(((exponent + 1023) as u64) << 52),
        1024.. => f64::INFINITY,
    }
}

/// x 2^exponent: exact where the result is a normal number, else at most 2^-1074 off, and infinite
/// on overflow.
pub fn times_power(x: f64, exponent: i32) -> f64 {
    let mut x = x;
    let mut left = exponent.clamp(-4000, 4000);
    // The partial products move towards the result, so that one of them is subnormal, and rounds,
    // only where the result is; later steps make its error smaller.
    while left > 1000 {
        x *= power_of_two(1000);
        left -= 1000;
    }
    while left < -1000 {
        x *= power_of_two(-1000);
        left += 1000;
    }
    x * power_of_two(left)
}

/// x 2^bits rounded towards zero, so less than one unit off; `None` from 2^126 on and for numbers
/// that are not finite.
pub fn from_f64(x: f64, bits: i32) -> Option<i128> {
    if !x.is_finite() {
        return None;
    }
    let pattern = x.to_bits();
    let biased = (pattern >> 52 & 0x7ff) as i32;
    let fraction = i128::from(pattern & ((1 << 52) - 1));
    let size = if biased == 0 { fraction } else { fraction | 1 << 52 };
    let shift = i64::from(biased.max(1) - 1075) + i64::from(bits);
    let size = if size == 0 || shift < -53 {
        0
    } else if shift < 0 {
        size >> -shift
    } else if shift + 53 <= 126 {
        size << shift
    } else {
        return None;
    };
    Some(if x < 0.0 { -size } else { size })
}

/// floor(value 2^bits); `None` from 2^126 on.
pub fn from_rational(value: &BigRational, bits: i32) -> Option<i128> {
    let scaled = if bits >= 0 {
        floor_scaled(value, u64::from(bits.unsigned_abs()))
    } else {
        value.numer().div_floor(&(value.denom() << bits.unsigned_abs()))
    };
    if scaled.bits() > 126 { None } else { scaled.to_i128() }
}

/// The nearest f64 to value 2^-bits; below the normal numbers one of the two nearest.
pub fn to_f64(value: i128, bits: i32) -> f64 {
    times_power(value as f64, bits.saturating_neg())
}

/// An f64 interval around [lower, upper] 2^-bits, the least one where its ends are above the least
/// normal number;
/// `lower <= upper`.
pub fn outward(lower: i128, upper: i128, bits: i32) -> Interval {
    let below = |value: i128| {
        let near = value as f64;
        // 2^127 itself is no i128, and becomes the largest.
        let over = near as i128 > value || near == power_of_two(127);
        let near = if over { near.next_down() } else { near };
        // What overflows is above all f64, not infinite.
        let scaled = times_power(near, bits.saturating_neg()).min(f64::MAX);
        // Below the normal numbers the power rounds, up to the least of them too.
        if near != 0.0 && scaled.abs() <= f64::MIN_POSITIVE { scaled.next_down() } else { scaled }
    };
    Interval::new(below(lower), -below(upper.saturating_neg()))
}

/// The sums over k of c_k T_k(x), one for each x: Clenshaw's recurrence
/// b_k = c_k + 2 x b_(k+1) - b_(k+2).
///
/// `coefficients` in any unit, x in units of 2^-96, |x| <= 1. For n + 1 coefficients with
/// sum over k of (k + 1) |c_k| < 2^117 units and n < 2^20 nothing overflows and a result is at most
/// n + 1 units off: the b_k as computed are the exact ones of coefficients that differ from the
/// c_k by less than a unit each (the rounding of the product), and |T_k(x)| <= 1; and
/// |b_k| <= sum over j >= k of (j - k + 1) |c_j|, because |U_i(x)| <= i + 1.
///
/// Time: n products an x.
pub fn chebyshev_sum<const LANES: usize>(coefficients: &[i128], x: [i128; LANES]) -> [i128; LANES] {
    let Some((first, rest)) = coefficients.split_first() else { return [0; LANES] };
    let (mut near, mut far) = ([0_i128; LANES], [0_i128; LANES]);
    for c in rest.iter().rev() {
        for lane in 0..LANES {
            let next = product::<{ FRACTION - 1 }>(near[lane], x[lane]) + (c - far[lane]);
            far[lane] = near[lane];
            near[lane] = next;
        }
    }
    std::array::from_fn(|lane| product::<FRACTION>(near[lane], x[lane]) + (first - far[lane]))
}

/// cos(j pi / m) for j = 0..=m in units of 2^-120, each at most 5 m units off; 1 <= m <= 2^20.
///
/// Powers w^j of w = e^(i pi / m), each the product of two earlier ones, from a proven enclosure
/// of w. With e_j the error of the complex number w^j in units: e_1 <= 1.6, and
/// e_(j+k) <= e_j + e_k + 2 sqrt 2 and a little, since each part is the difference or sum of two
/// products that are less than a unit off; e_j <= 5 j - 3 follows by induction.
///
/// Time: 4 products a cosine and two enclosures. An m out of range gives an empty list.
pub fn circle(m: usize) -> Vec<i128> {
    if m == 0 || m > 1 << 20 {
        return Vec::new();
    }
    let angle = elementary::pi(CIRCLE_BITS + 10).midpoint() / BigInt::from(m);
    let fixed = |enclosure: crate::numeric::interval::Enclosure| {
        // Between -1 and 1.
        from_rational(enclosure.lower(), CIRCLE_BITS as i32).unwrap_or_default()
    };
    let root = (
        fixed(elementary::cos(&angle, CIRCLE_BITS + 4)),
        fixed(elementary::sin(&angle, CIRCLE_BITS + 4)),
    );
    let times = |a: (i128, i128), b: (i128, i128)| {
        let p = product::<CIRCLE_BITS>;
        (p(a.0, b.0) - p(a.1, b.1), p(a.0, b.1) + p(a.1, b.0))
    };
    let half = m / 2;
    let mut powers = vec![(1_i128 << CIRCLE_BITS, 0), root];
    while powers.len() <= half {
        let last = powers.len() - 1;
        let count = last.min(half - last);
        for i in 1..=count {
            powers.push(times(powers[last], powers[i]));
        }
    }
    // cos(pi - x) = -cos x; the middle of an even m is exactly 0.
    (0..=m)
        .map(|j| {
            if 2 * j == m {
                0
            } else if j <= half {
                powers[j].0
            } else {
                -powers[m - j].0
            }
        })
        .collect()
}

/// An integer e with |value| <= 2^e; -1100 for zero.
pub fn exponent_above(value: f64) -> i32 {
    if value.is_zero() {
        return -1100;
    }
    let biased = (value.to_bits() >> 52 & 0x7ff) as i32;
    // 2^(biased - 1023) <= |value| < 2^(biased - 1022), also for the subnormal numbers from above.
    biased - 1022
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::interval::Enclosure;
    use crate::numeric::rational::{rational_from_f64, rational_to_f64};
    use num_traits::{One, Signed};
    use proptest::prelude::*;

    fn unit(bits: u32) -> BigRational {
        BigRational::new(BigInt::one(), BigInt::one() << bits)
    }

    fn rational(value: i128, bits: u32) -> BigRational {
        BigRational::from_integer(value.into()) * unit(bits)
    }

    #[test]
    fn cosines_of_small_circles_are_known() {
        let one = 1_i128 << CIRCLE_BITS;
        assert_eq!(circle(1), [one, -one]);
        let fourth = circle(4);
        assert_eq!((fourth[0], fourth[2], fourth[4]), (one, 0, -one));
        assert!((to_f64(fourth[1], 120) - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-16);
        let third = circle(3);
        assert!((third[1] - one / 2).abs() <= 15 && third[2] == -third[1]);
        assert!(circle(0).is_empty() && circle((1 << 20) + 1).is_empty());
    }

    #[test]
    fn cosines_are_as_near_as_promised() {
        for m in [1, 2, 3, 7, 20, 64, 1000, 1 << 16] {
            let cosines = circle(m);
            assert_eq!(cosines.len(), m + 1);
            let pi = elementary::pi(160).midpoint();
            for j in (0..=m).step_by(1 + m / 50) {
                let angle = &pi * BigRational::new(j.into(), m.into());
                let exact = elementary::cos(&angle, 150).midpoint();
                let distance = (rational(cosines[j], CIRCLE_BITS) - exact).abs();
                let allowed = rational(5 * m as i128, CIRCLE_BITS) + unit(140);
                assert!(distance <= allowed, "{j} of {m}");
            }
        }
    }

    #[test]
    fn powers_at_the_edges_of_the_format() {
        assert_eq!(power_of_two(-1074), f64::from_bits(1));
        assert_eq!(power_of_two(-1075), 0.0);
        assert_eq!(power_of_two(1023), 2f64.powi(1023));
        assert_eq!(times_power(f64::from_bits(1), 2000), 2f64.powi(926));
        assert_eq!(times_power(2f64.powi(1000), -2074), f64::from_bits(1));
        assert_eq!(times_power(1.0, -4000), 0.0);
        assert_eq!(times_power(1.0, 4000), f64::INFINITY);
        assert_eq!(exponent_above(1.0), 1);
        assert_eq!(exponent_above(0.75), 0);
        assert_eq!(exponent_above(f64::from_bits(1)), -1022);
    }

    fn outward_is_least(lower: i128, upper: i128, bits: i32) {
        let two = BigRational::from_integer(2.into());
        let exact = |value: i128| BigRational::from_integer(value.into()) * two.pow(-bits);
        let found = outward(lower, upper, bits);
        let least = Interval::around(&Enclosure::ordered(exact(lower), exact(upper)));
        assert!(found.encloses(&least), "{found:?} {lower} {upper} {bits}");
        if least.lower.abs().min(least.upper.abs()) > f64::MIN_POSITIVE {
            assert_eq!(found, least);
        }
    }

    #[test]
    fn outward_encloses_at_the_ends_of_both_ranges() {
        let ends = [1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, i128::MAX - 1, i128::MAX];
        for value in ends.into_iter().flat_map(|x| [x, -x]) {
            for bits in (1015..1080).chain(1140..1150).chain(-900..-890).chain([0, 126, 127]) {
                outward_is_least(value, value, bits);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn products_are_less_than_a_unit_off(a in any::<i128>(), b in any::<i128>(), down in 2u32..100) {
            let a = a >> 2;
            let b = (b >> 31) >> (down / 2);
            let exact = BigRational::from_integer(BigInt::from(a) * BigInt::from(b));
            let check = |got: i128, shift: u32| {
                let difference = (&exact * unit(shift) - BigRational::from_integer(got.into())).abs();
                difference < BigRational::one()
            };
            prop_assert!(check(product::<96>(a, b), 96));
            prop_assert!(check(product::<95>(a, b), 95));
            prop_assert!(check(product::<120>(a, b), 120));
            let c = b >> 30;
            let exact = BigRational::from_integer(BigInt::from(a) * BigInt::from(c));
            let got = BigRational::from_integer(product::<65>(a, c).into());
            prop_assert!((exact * unit(65) - got).abs() < BigRational::one());
        }

        #[test]
        fn conversions_are_less_than_a_unit_off(
            x in prop_oneof![any::<u64>().prop_map(f64::from_bits), -1e3..1e3f64],
            bits in -1200..1200i32,
        ) {
            prop_assume!(x.is_finite());
            let two = BigRational::from_integer(2.into());
            let exact = rational_from_f64(x).unwrap() * two.pow(bits);
            match from_f64(x, bits) {
                Some(got) => {
                    let got = BigRational::from_integer(got.into());
                    prop_assert!((&exact - &got).abs() < BigRational::one());
                    prop_assert!(got.abs() <= exact.abs());
                }
                None => prop_assert!(exact.abs() >= two.pow(125)),
            }
            let value = rational_from_f64(x).unwrap();
            match from_rational(&value, bits) {
                Some(got) => prop_assert_eq!(BigInt::from(got), exact.floor().to_integer()),
                None => prop_assert!(exact.abs() >= two.pow(125)),
            }
        }

        #[test]
        fn back_to_the_nearest_f64(value in any::<i128>(), down in 0u32..127, bits in -900..1150i32) {
            let value = value >> down;
            let two = BigRational::from_integer(2.into());
            let exact = BigRational::from_integer(value.into()) * two.pow(-bits);
            let got = to_f64(value, bits);
            let Some(nearest) = rational_to_f64(&exact) else {
                prop_assert!(got.is_infinite() && (got > 0.0) == (value > 0));
                return Ok(());
            };
            if nearest.abs() >= f64::MIN_POSITIVE {
                prop_assert_eq!(got, nearest);
            } else {
                prop_assert!((got - nearest).abs() <= f64::from_bits(1));
            }
        }

        #[test]
        fn outward_encloses(value in any::<i128>(), down in 0u32..127, more in 0..1000i128, bits in -900..1150i32) {
            let value = value >> down;
            outward_is_least(value, value.saturating_add(more), bits);
        }

        #[test]
        fn sums_are_as_near_as_promised(
            coefficients in prop::collection::vec(any::<i128>(), 0..40),
            x in -1.0..=1.0f64,
            y in any::<i128>(),
        ) {
            let coefficients: Vec<i128> = coefficients
                .iter()
                .enumerate()
                .map(|(k, c)| (c >> 16) / (40 * (k as i128 + 1)))
                .collect();
            let one = 1_i128 << FRACTION;
            for x in [from_f64(x, FRACTION as i32).unwrap(), y % (one + 1), one, -one, 0] {
                let t = rational(x, FRACTION);
                // T_k by its recurrence, exactly.
                let (mut a, mut b) = (BigRational::one(), t.clone());
                let mut exact = BigRational::zero();
                for c in &coefficients {
                    exact += &a * BigRational::from_integer((*c).into());
                    let next = &t * &b * BigInt::from(2) - &a;
                    a = std::mem::replace(&mut b, next);
                }
                let [got, again] = chebyshev_sum(&coefficients, [x, x]);
                prop_assert_eq!(got, again);
                let off = (exact - BigRational::from_integer(got.into())).abs();
                prop_assert!(off <= BigRational::from_integer(coefficients.len().into()));
            }
        }
    }
}
