//! The values and the slopes of an activation over an interval, as tight as f64 allows.

use super::model::{quick_slope, quick_value};
use crate::network::activation::Activation;
use crate::numeric::elementary;
use crate::numeric::fixed::exponent_above;
use crate::numeric::interval::{Enclosure, dyadic, floor_scaled};
use crate::numeric::outward::Interval;
use crate::numeric::rational::rational_from_f64;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use std::f64::consts::{FRAC_PI_2, TAU};
use std::sync::OnceLock;

/// An interval that holds s(z) for every z in `interval`, its ends within a few units in the last
/// place of the extreme values.
///
/// The extremes are at the ends, at kinks, and where s' vanishes: at the one minimum of SiLU and
/// GELU, at odd multiples of pi/2 for the sine. An interval that is not finite has the range
/// [-infinity, infinity]. Time: some microseconds;
/// some tens where the values are tiny, far from 0, or no series of the function is kept yet (then
/// about a millisecond).
pub fn value_range(activation: Activation, interval: Interval) -> Interval {
    if !interval.is_finite() {
        return Interval::symmetric(f64::INFINITY);
    }
    let mut range = value_at(activation, interval.lower);
    if interval.lower == interval.upper {
        return range;
    }
    range = range.hull(&value_at(activation, interval.upper));
    for &kink in activation.kinks() {
        if interval.contains(kink) {
            range = range.hull(&value_at(activation, kink));
        }
    }
    if let Some((near, least)) = minimum(activation)
        && interval.lower < near.upper
        && near.lower < interval.upper
    {
        range = range.hull(&least);
    }
    if activation == Activation::Sin {
        range = with_extremes(range, interval, 1);
    }
    range
}

/// An interval that holds every slope (s(u) - s(v)) / (u - v) of a chord of s inside `interval`:
/// from min s' to max s', rounded outward by a few units in the last place.
///
/// This is the hull of the Clarke derivative of s restricted to the interval: a kink inside counts
/// with both of its slopes, a kink at an end only with the slope towards the inside (both, if the
/// interval is that point). The extremes of s' are at the ends and where s'' vanishes: at 0 for
/// tanh and sigmoid; at the zeros of 2 - z tanh(z/2), +-2.3993..., for SiLU; at +-sqrt 2 for GELU;
/// at multiples of pi for the sine. An interval that is not finite has the range
/// [-L, L] with the [Lipschitz constant](Activation::lipschitz) L. Time: as [`value_range`].
pub fn slope_range(activation: Activation, interval: Interval) -> Interval {
    slope_range_by(activation, interval, slope_at)
}

/// [`slope_range`] without the series of the activation.
pub(super) fn exact_slope_range(activation: Activation, interval: Interval) -> Interval {
    slope_range_by(activation, interval, exact_slope_at)
}

/// [`slope_range`] with `at` for single slopes.
fn slope_range_by(
    activation: Activation,
    interval: Interval,
    at: fn(Activation, f64) -> Interval,
) -> Interval {
    if !interval.is_finite() {
        return Interval::symmetric(activation.lipschitz());
    }
    let Interval { lower, upper } = interval;
    // Whether the part of the line left or right of a kink counts.
    let below = |kink: f64| lower < kink || upper <= kink;
    let above = |kink: f64| upper > kink || lower >= kink;
    let two = |left: f64, right: f64| {
        let slopes = [(below(0.0), left), (above(0.0), right)];
        hull(slopes.into_iter().filter(|(counts, _)| *counts).map(|(_, s)| Interval::point(s)))
    };
    let ends = || {
        let left = at(activation, lower);
        if lower == upper { left } else { left.hull(&at(activation, upper)) }
    };
    match activation {
        Activation::Identity => Interval::point(1.0),
        Activation::Relu => two(0.0, 1.0),
        Activation::LeakyRelu { slope } => two(slope, 1.0),
        Activation::Abs => two(-1.0, 1.0),
        Activation::HardTanh => {
            let flat = below(-1.0) || above(1.0);
            let steep = above(-1.0) && below(1.0);
            Interval::new(f64::from(!flat), f64::from(steep))
        }
        Activation::Elu { .. } => {
            let left = below(0.0)
                .then(|| hull([lower.min(0.0), upper.min(0.0)].map(|z| at(activation, z))));
            let right = above(0.0).then_some(Interval::point(1.0));
            hull(left.into_iter().chain(right))
        }
        Activation::Sin => with_extremes(ends(), interval, 0),
        _ => {
            let mut range = ends();
            // Where s' turns, within a few neighbours, and the value there: s' is 1-Lipschitz or
            // better and flat at the turn, so that taking in a turn just outside costs nothing.
            let (turn, peak) = match activation {
                Activation::Tanh => (0.0, 1.0),
                Activation::Sigmoid => (0.0, 0.25),
                Activation::Silu => (2.399_357_280_515_468, activation.lipschitz()),
                Activation::Gelu => (std::f64::consts::SQRT_2, activation.lipschitz()),
                _ => return range,
            };
            let near = |place: f64| lower <= place + 1e-12 && place - 1e-12 <= upper;
            if near(turn) {
                range.upper = range.upper.max(peak);
            }
            // s'(-z) = 1 - s'(z) for SiLU and GELU.
            if turn > 0.0 && near(-turn) {
                range.lower = range.lower.min((1.0 - peak).next_down());
            }
            range
        }
    }
}

/// The least interval around all; [0, 0] around none.
fn hull(intervals: impl IntoIterator<Item = Interval>) -> Interval {
    intervals.into_iter().reduce(|a, b| a.hull(&b)).unwrap_or(Interval::ZERO)
}

/// Fractional bits that resolve a number near `guess` to more than an f64 does.
fn bits_for(guess: f64) -> u32 {
    80 + (-exponent_above(guess)).clamp(0, 1150).unsigned_abs()
}

fn exact(z: f64) -> BigRational {
    // Only finite numbers come here.
    rational_from_f64(z).unwrap_or_else(BigRational::zero)
}

/// s(z), for a finite z.
fn value_at(activation: Activation, z: f64) -> Interval {
    match activation {
        Activation::Identity | Activation::Relu | Activation::Abs | Activation::HardTanh => {
            Interval::point(activation.value(z))
        }
        Activation::LeakyRelu { .. } | Activation::Elu { .. } if z >= 0.0 => Interval::point(z),
        Activation::LeakyRelu { slope } => product(slope, z),
        _ => quick_value(activation, z).unwrap_or_else(|| exact_value_at(activation, z)),
    }
}

/// a b, to the nearest f64 outward.
fn product(a: f64, b: f64) -> Interval {
    let near = a * b;
    if near.abs() < 1e-290 {
        return Interval::point(a).scaled(b);
    }
    // Exact: its last bit is no smaller than 2^-1074.
    let error = a.mul_add(b, -near);
    let lower = if error < 0.0 { near.next_down() } else { near };
    Interval::new(lower, if error > 0.0 { near.next_up() } else { near })
}

/// s(z) by [`Activation::enclose`], to the nearest f64 outward.
fn exact_value_at(activation: Activation, z: f64) -> Interval {
    let bits = bits_for(activation.value(z));
    Interval::around(&activation.enclose(&Enclosure::point(exact(z)), bits))
}

/// For the activations with a minimum: an interval that holds its place, and the values there.
fn minimum(activation: Activation) -> Option<(Interval, Interval)> {
    static SILU: OnceLock<(Interval, Interval)> = OnceLock::new();
    static GELU: OnceLock<(Interval, Interval)> = OnceLock::new();
    let (place, kept) = match activation {
        Activation::Silu => (-1.278_464_542_761_074_f64, &SILU),
        Activation::Gelu => (-0.751_791_524_693_564_5_f64, &GELU),
        _ => return None,
    };
    Some(*kept.get_or_init(|| {
        // Between the neighbours of an f64 near the minimum, which is farther from either of them
        // than the digits of the place are good for.
        let near = Interval::new(place.next_down(), place.next_up());
        let input = Enclosure::ordered(exact(near.lower), exact(near.upper));
        (near, Interval::around(&activation.enclose(&input, 80)))
    }))
}

/// `range` widened by 1 or -1 where `interval` holds a place in which sin(z + pi/2 - quarters
/// pi/2), of which `range` holds the values at the ends, has that value.
fn with_extremes(range: Interval, interval: Interval, quarters: u32) -> Interval {
    let mut range = range;
    if holds_place(interval, quarters) {
        range.upper = 1.0;
    }
    if holds_place(interval, quarters + 2) {
        range.lower = -1.0;
    }
    range
}

/// Whether `interval` holds a number (quarters + 4 m) pi/2, m an integer; in doubt, that it does.
fn holds_place(interval: Interval, quarters: u32) -> bool {
    if interval.width() > 7.0 {
        return true;
    }
    // 0 is the one such number that is rational.
    if quarters.is_multiple_of(4) && interval.contains(0.0) {
        return true;
    }
    // For numbers below 10^4 the four roundings, and those of pi, add up to less than 1e-10.
    let quick = |z: f64| {
        let turns = (z - f64::from(quarters) * FRAC_PI_2) / TAU;
        let clear = z.abs() < 1e4 && (turns - turns.round()).abs() > 1e-9;
        clear.then(|| turns.floor())
    };
    if let (Some(lower), Some(upper)) = (quick(interval.lower), quick(interval.upper)) {
        return upper > lower;
    }
    let bits = 80 + exponent_above(interval.magnitude()).max(0).unsigned_abs();
    let pi = elementary::pi(bits);
    // floor((z - quarters pi/2) / (2 pi)) with either end of pi.
    let turns = |z: f64| {
        let z = exact(z);
        let floors = [pi.lower(), pi.upper()].map(|pi| {
            let start = &z - pi * BigRational::new(quarters.into(), 2.into());
            (start / (pi * BigInt::from(2))).floor().to_integer()
        });
        let [a, b] = floors;
        if a <= b { (a, b) } else { (b, a) }
    };
    turns(interval.upper).1 > turns(interval.lower).0
}

/// s'(z) for a smooth function, and for the ELU from the left.
fn slope_at(activation: Activation, z: f64) -> Interval {
    quick_slope(activation, z).unwrap_or_else(|| exact_slope_at(activation, z))
}

/// [`slope_at`] in rational arithmetic.
fn exact_slope_at(activation: Activation, z: f64) -> Interval {
    let bits = match activation {
        Activation::Elu { .. } => bits_for(z.exp()),
        _ => bits_for(activation.derivative(z)),
    };
    let (t, one) = (exact(z.abs()), BigRational::one());
    // e^x for x <= 0 never fails.
    let exp = |x: BigRational, bits: u32| {
        let positive = Enclosure::ordered(BigRational::zero(), BigRational::one());
        elementary::exp(&x, bits).unwrap_or(positive)
    };
    let reflected = |left: Enclosure| {
        // s'(z) = 1 - s'(-z).
        if z < 0.0 { left } else { Enclosure::point(BigRational::one()).sub(&left) }
    };
    let slope = match activation {
        Activation::Sin => elementary::cos(&exact(z), bits),
        Activation::Softplus => elementary::sigmoid(&exact(z), bits),
        Activation::Elu { alpha } => {
            return Interval::around(&exp(exact(z.min(0.0)), bits).scale(&exact(alpha)));
        }
        // e / (1 + e)^2 increases with e <= 1; tanh' has e = e^(-2 |z|) and a factor 4.
        Activation::Tanh | Activation::Sigmoid => {
            let (speed, factor) = if activation == Activation::Tanh { (2, 4) } else { (1, 1) };
            let e = exp(-t * BigInt::from(speed), bits);
            let value = |e: &BigRational| {
                let whole = e + &one;
                e * BigInt::from(factor) / (&whole * &whole)
            };
            let upper = e.upper().min(&one);
            Enclosure::ordered(value(e.lower()), value(upper))
        }
        // At -t, with e = e^-t: e (1 + e - t) / (1 + e)^2.
        Activation::Silu => {
            let e = exp(-&t, bits);
            let whole = e.add(&Enclosure::point(one.clone()));
            let numerator = e.mul(&whole.sub(&Enclosure::point(t)));
            reflected(over_positive(&numerator, &whole.mul(&whole)))
        }
        // At -t: Phi(-t) - t phi(t), Phi(-t) = -s(-t) / t, phi(t) = e^(-t^2/2) / sqrt(2 pi).
        // |s''| <= 0.8 serves near 0.
        Activation::Gelu if z.abs() < 1e-18 => {
            return Interval::point(0.5).widened(z.abs());
        }
        Activation::Gelu => {
            let tail = elementary::gelu(&-&t, bits + 64);
            let phi = exp(-&t * &t / BigInt::from(2), bits + 8).mul(inverse_root_of_two_pi());
            let tail = tail.scale(&-(one.clone() / &t));
            reflected(tail.sub(&phi.scale(&t)))
        }
        _ => return Interval::symmetric(activation.lipschitz()),
    };
    Interval::around(&slope)
}

/// numerator / denominator for a denominator above 0.
fn over_positive(numerator: &Enclosure, denominator: &Enclosure) -> Enclosure {
    let (low, high) = (numerator.lower(), numerator.upper());
    let under = |value: &BigRational, up: bool| {
        let larger = value.is_negative() == up;
        value / if larger { denominator.upper() } else { denominator.lower() }
    };
    Enclosure::ordered(under(low, false), under(high, true))
}

/// 1 / sqrt(2 pi), to 2^-158.
fn inverse_root_of_two_pi() -> &'static Enclosure {
    static VALUE: OnceLock<Enclosure> = OnceLock::new();
    VALUE.get_or_init(|| {
        // 1 / (2 pi) lies between 0 and 1; floor(sqrt(floor(x 2^320))) is floor(sqrt(x) 2^160).
        let pi = elementary::pi(340);
        let inverse = |pi: &BigRational| (pi * BigInt::from(2)).recip();
        let lower = floor_scaled(&inverse(pi.upper()), 320).sqrt();
        let upper = floor_scaled(&inverse(pi.lower()), 320).sqrt() + 1;
        Enclosure::ordered(dyadic(lower, 160), dyadic(upper, 160))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn quick_values_and_slopes_are_those_of_exact_arithmetic(
            activation in proptest::sample::select(vec![
                Activation::Tanh,
                Activation::Sigmoid,
                Activation::Softplus,
                Activation::Elu { alpha: 1.0 },
                Activation::Elu { alpha: -0.7 },
                Activation::Silu,
                Activation::Gelu,
                Activation::Sin,
            ]),
            z in prop_oneof![
                -4.0..4.0f64,
                -70.0..70.0f64,
                (-9..9i32).prop_map(f64::from),
                (-9..9i32, -200..0i32).prop_map(|(k, e)| f64::from(k) + 2f64.powi(e)),
            ],
        ) {
            let z = if matches!(activation, Activation::Elu { .. }) { -z.abs() } else { z };
            let quick = [quick_value(activation, z), quick_slope(activation, z)];
            let plain = [exact_value_at(activation, z), exact_slope_at(activation, z)];
            // The last places that both round.
            let truth = activation.enclose(&Enclosure::point(exact(z)), 1000);
            if let Some(value) = quick[0] {
                prop_assert!(exact(value.lower) <= *truth.lower());
                prop_assert!(*truth.upper() <= exact(value.upper));
            }
            for (quick, plain) in quick.into_iter().zip(plain) {
                let Some(quick) = quick else { continue };
                prop_assert!(quick.intersection(&plain).is_some(), "{quick:?} {plain:?}");
                let last = quick.magnitude() * f64::EPSILON;
                prop_assert!(quick.upper - quick.lower <= 4.0 * last, "{quick:?} {plain:?}");
            }
            let leaky = product(0.1, z);
            prop_assert!(exact(leaky.lower) <= exact(0.1) * exact(z));
            prop_assert!(exact(0.1) * exact(z) <= exact(leaky.upper));
            // Where it matters there is an answer.
            if (1e-3..5.0).contains(&z.abs()) && activation != Activation::Sin {
                prop_assert!(quick[0].is_some());
            }
        }
    }
}
