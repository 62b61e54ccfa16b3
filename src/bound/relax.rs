//! Lines below and above an activation on a range.

use crate::approximate::{slope_range, value_range};
use crate::network::Activation;
use crate::numeric::outward::{Interval, mul_up};
use std::f64::consts::PI;

/// The line slope z + offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Its slope.
    pub slope: f64,
    /// Its value at 0.
    pub offset: f64,
}

/// A line nowhere above an activation on a range, and one nowhere below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relaxation {
    /// slope z + offset <= s(z).
    pub lower: Line,
    /// s(z) <= slope z + offset.
    pub upper: Line,
}

/// Points at which the shape of a smooth activation is looked at.
const SAMPLES: usize = 64;
/// Halvings that find where a smooth activation has a slope.
const HALVINGS: u32 = 50;

impl Relaxation {
    /// The relaxation by lines of given slopes, moved until they touch.
    pub fn with_slopes(activation: Activation, range: Interval, slopes: [f64; 2]) -> Self {
        let [lower, upper] = slopes;
        let below = residual(activation, range, lower);
        let above = if upper == lower { below } else { residual(activation, range, upper) };
        Relaxation {
            lower: Line { slope: lower, offset: below.lower },
            upper: Line { slope: upper, offset: above.upper },
        }
    }

    /// The relaxation that is tightest in the middle of the range.
    ///
    /// There the convex and the concave envelope of the activation are the best that a line can
    /// do. Their slopes are read off samples, which only costs tightness: the offsets are proven.
    pub fn tightest_in_the_middle(activation: Activation, range: Interval) -> Self {
        Self::with_slopes(activation, range, envelope_slopes(activation, range))
    }
}

/// The slopes of the convex and the concave envelope of samples over the middle of the range.
fn envelope_slopes(activation: Activation, range: Interval) -> [f64; 2] {
    let middle = range.middle();
    let step = range.upper / SAMPLES as f64 - range.lower / SAMPLES as f64;
    if step <= 0.0 {
        return [activation.derivative(middle); 2];
    }
    let mut points: Vec<f64> = (0..SAMPLES).map(|k| range.lower + step * k as f64).collect();
    points.push(range.upper);
    points.extend(activation.kinks().iter().copied().filter(|z| range.contains(*z)));
    points.sort_by(f64::total_cmp);
    points.dedup();
    let samples: Vec<_> = points.iter().map(|z| (*z, activation.value(*z))).collect();
    let over_middle = |sign: f64| {
        // Andrew's monotone chain; `sign` turns the upper hull into a lower one.
        let mut hull: Vec<(f64, f64)> = Vec::new();
        for &(x, y) in &samples {
            let y = sign * y;
            while let [.., (x1, y1), (x2, y2)] = hull[..] {
                if (y2 - y1) * (x - x2) < (y - y2) * (x2 - x1) {
                    break;
                }
                hull.pop();
            }
            hull.push((x, y));
        }
        let edge = hull.windows(2).find(|edge| middle <= edge[1].0);
        edge.map_or(0.0, |edge| sign * (edge[1].1 - edge[0].1) / (edge[1].0 - edge[0].0))
    };
    [over_middle(1.0), over_middle(-1.0)]
}

/// An enclosure of s(z) - slope z over the range, tight but for rounding.
///
/// Between kinks and inflections the function is convex or concave, so that beside its ends it has
/// one extreme at most; and where s' = slope at about c, the tangent there bounds it on its other
/// side. Time: some ten values of s and of s'.
pub(super) fn residual(activation: Activation, range: Interval, slope: f64) -> Interval {
    if activation == Activation::Sin && range.width() > LONG_SINE {
        return long_sine(range, slope);
    }
    let at =
        |z: f64| value_range(activation, Interval::point(z)) - Interval::point(z).scaled(slope);
    let mut breaks: Vec<Interval> =
        activation.kinks().iter().map(|z| Interval::point(*z)).collect();
    breaks.extend(inflections(activation, range));
    breaks.retain(|place| range.lower < place.upper && place.lower < range.upper);
    let mut hull = at(range.lower).hull(&at(range.upper));
    let mut start = range.lower;
    for place in breaks.into_iter().chain([Interval::point(range.upper)]) {
        // What the ends of the range cut off is not looked at.
        let place = Interval::new(place.lower.max(start), place.upper.min(range.upper));
        if start < place.lower {
            let piece = Interval::new(start, place.lower);
            hull = hull.hull(&at(piece.upper)).hull(&between_inflections(activation, piece, slope));
        }
        if place.lower < place.upper {
            // The mean value theorem.
            let slopes = slope_range(activation, place) - Interval::point(slope);
            hull = hull.hull(&(at(place.lower) + slopes * Interval::new(0.0, place.width())));
        }
        start = place.upper;
    }
    hull
}

/// Sines over longer ranges are looked at where the extremes are.
const LONG_SINE: f64 = 16.0;

/// As [`residual`], for the sine over a range longer than two turns and a little.
///
/// z and z + 2 pi have one sine, so that both extremes are within one turn of an end.
fn long_sine(range: Interval, slope: f64) -> Interval {
    let (left, right) = ((range.lower + 7.0).next_up(), (range.upper - 7.0).next_down());
    // A turn must be left beside each end, also where f64 are far apart.
    if range.magnitude() > FARTHEST {
        return Interval::symmetric(1.0) - range.scaled(slope);
    }
    let ends = [Interval::new(range.lower, left), Interval::new(right, range.upper)];
    let [left, right] = ends.map(|end| residual(Activation::Sin, end, slope));
    left.hull(&right)
}

/// Where numbers are farther from 0 than this, the inflections of the sine are not looked for.
const FARTHEST: f64 = 1e6;

/// Short intervals, ascending, that hold the places in the range where s'' changes its sign, apart from
/// kinks.
fn inflections(activation: Activation, range: Interval) -> Vec<Interval> {
    let around = |place: f64, radius: f64| Interval::new(place - radius, place + radius);
    let both = |place: f64| vec![around(-place, 1e-12), around(place, 1e-12)];
    match activation {
        Activation::Tanh | Activation::Sigmoid => vec![Interval::point(0.0)],
        // z tanh(z/2) = 2.
        Activation::Silu => both(2.399_357_280_515_468),
        Activation::Gelu => both(std::f64::consts::SQRT_2),
        Activation::Sin => {
            let first = (range.lower / PI).floor();
            let count = (range.upper / PI).ceil() - first;
            // k pi in f64 is off by less than 2^-52 of it.
            let place = |k: f64| around(k * PI, (k * PI).abs() * f64::EPSILON * 4.0);
            (0..=count as u32).map(|k| place(first + f64::from(k))).collect()
        }
        _ => Vec::new(),
    }
}

/// As [`residual`], of the inside of a range where s is convex or concave and has no kink inside.
fn between_inflections(activation: Activation, range: Interval, slope: f64) -> Interval {
    let slopes = slope_range(activation, range);
    let at =
        |z: f64| value_range(activation, Interval::point(z)) - Interval::point(z).scaled(slope);
    if activation.is_piecewise_polynomial() || slopes.lower >= slope || slopes.upper <= slope {
        // Monotone: the ends have been looked at.
        return at(range.upper);
    }
    // s' passes the slope once.
    let (mut left, mut right) = (range.lower, range.upper);
    let rising = activation.derivative(range.middle()) > activation.derivative(left);
    for _ in 0..HALVINGS {
        let middle = Interval::new(left, right).middle();
        if !(left < middle && middle < right) {
            break;
        }
        if (activation.derivative(middle) < slope) == rising {
            left = middle;
        } else {
            right = middle;
        }
    }
    // Inside, where s' has one value.
    let place = left.max(range.lower.next_up()).min(range.upper.next_down());
    let tilt = slope_range(activation, Interval::point(place)) - Interval::point(slope);
    at(place).widened(mul_up(tilt.magnitude(), range.radius_about(place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::elementary;
    use crate::numeric::interval::Enclosure;
    use crate::numeric::rational::rational_from_f64;
    use num_rational::BigRational;
    use num_traits::Signed;
    use proptest::prelude::*;

    fn exact(x: f64) -> BigRational {
        rational_from_f64(x).unwrap()
    }

    /// The same by halving until the mean value theorem is good to `tolerance`.
    fn by_halving(activation: Activation, range: Interval, slope: f64, tolerance: f64) -> Interval {
        let at =
            |z: f64| value_range(activation, Interval::point(z)) - Interval::point(z).scaled(slope);
        let slopes = slope_range(activation, range) - Interval::point(slope);
        if slopes.lower >= 0.0 || slopes.upper <= 0.0 {
            return at(range.lower).hull(&at(range.upper));
        }
        let middle = range.middle();
        let around = at(middle) + slopes * Interval::symmetric(range.radius_about(middle));
        let splits = range.lower < middle && middle < range.upper;
        if !splits || around.width() <= tolerance {
            return around;
        }
        [Interval::new(range.lower, middle), Interval::new(middle, range.upper)]
            .map(|half| by_halving(activation, half, slope, tolerance))
            .into_iter()
            .reduce(|a, b| a.hull(&b))
            .unwrap()
    }

    fn activation() -> impl Strategy<Value = Activation> {
        let mut all = Activation::ALL.to_vec();
        all.extend([
            Activation::LeakyRelu { slope: -0.3 },
            Activation::Elu { alpha: 1.7 },
            Activation::Elu { alpha: -0.6 },
        ]);
        proptest::sample::select(all)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn residuals_are_enclosed_and_no_wider_than_by_halving(
            activation in activation(),
            centre in prop_oneof![-12.0..12.0f64, -1.0..1.0f64, Just(0.0)],
            half in prop_oneof![1e-6..1.0f64, 1.0..20.0f64, Just(0.0)],
            slope in prop_oneof![-0.5..1.5f64, Just(0.0), Just(1.0)],
            shares in prop::collection::vec(0.0..=1.0f64, 12),
        ) {
            let range = Interval::new(centre - half, centre + half);
            let found = residual(activation, range, slope);
            let shares = shares.into_iter().chain([0.0, 1.0]);
            let inside = shares.map(|share| (range.lower + share * range.width()).min(range.upper));
            for z in inside.chain(activation.kinks().iter().copied()) {
                if !range.contains(z) {
                    continue;
                }
                let s = activation.enclose(&Enclosure::point(exact(z)), 200);
                let line = exact(slope) * exact(z);
                prop_assert!(s.upper() - &line >= exact(found.lower), "{z}");
                prop_assert!(s.lower() - &line <= exact(found.upper), "{z}");
            }
            let tolerance = 1e-3 * (half + 1e-3);
            let plain = by_halving(activation, range, slope, tolerance);
            prop_assert!(plain.widened(1e-11).encloses(&found), "{found:?} {plain:?}");
            // And not narrower than it can be.
            prop_assert!(found.widened(2.0 * tolerance).encloses(&plain), "{found:?} {plain:?}");
        }
    }

    #[test]
    fn curvatures_change_where_they_are_said_to() {
        let everywhere = Interval::new(-8.0, 8.0);
        for place in inflections(Activation::Gelu, everywhere) {
            let [near, far] =
                [place.lower.abs(), place.upper.abs()].map(|z| exact(z * z) - exact(2.0));
            assert!(near.is_negative() != far.is_negative());
        }
        for place in inflections(Activation::Silu, everywhere) {
            let [near, far] = [place.lower, place.upper].map(|z| {
                let half = elementary::tanh(&exact(z / 2.0), 100);
                half.scale(&exact(z)).sub(&Enclosure::point(exact(2.0)))
            });
            let sign = |e: &Enclosure| (e.lower().is_negative(), e.upper().is_negative());
            assert!(sign(&near) != sign(&far));
            assert!(sign(&near).0 == sign(&near).1 && sign(&far).0 == sign(&far).1);
        }
        for (k, place) in (-3..).zip(inflections(Activation::Sin, everywhere)) {
            let pi = elementary::pi(100).scale(&BigRational::from_integer(k.into()));
            assert!(exact(place.lower) <= *pi.lower() && *pi.upper() <= exact(place.upper));
        }
    }
}
