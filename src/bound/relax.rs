//! Lines below and above an activation on a range.

use crate::approximate::{slope_range, value_range};
use crate::network::Activation;
use crate::numeric::outward::{Interval, mul_up};

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
/// Halvings after which a part of a range is taken as it is.
const DEPTH: u32 = 20;
/// The precision, relative to the width of the range, to which a line touches the activation.
const TOUCH: f64 = 1e-4;

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

/// An enclosure of s(z) - slope z over the range, near to tight.
pub(super) fn residual(activation: Activation, range: Interval, slope: f64) -> Interval {
    let at =
        |z: f64| value_range(activation, Interval::point(z)) - Interval::point(z).scaled(slope);
    let ends = at(range.lower).hull(&at(range.upper));
    let mut breaks = vec![range.lower];
    breaks.extend(activation.kinks().iter().filter(|z| range.lower < **z && **z < range.upper));
    breaks.push(range.upper);
    if activation.is_piecewise_polynomial() {
        // Linear between kinks.
        return breaks.iter().fold(ends, |hull, z| hull.hull(&at(*z)));
    }
    let tolerance = mul_up(TOUCH, range.width());
    breaks.windows(2).fold(ends, |hull, piece| {
        let piece = Interval::new(piece[0], piece[1]);
        hull.hull(&smooth_residual(activation, piece, slope, tolerance, DEPTH))
    })
}

/// As [`residual`], on a range without kinks inside.
fn smooth_residual(
    activation: Activation,
    range: Interval,
    slope: f64,
    tolerance: f64,
    depth: u32,
) -> Interval {
    let at =
        |z: f64| value_range(activation, Interval::point(z)) - Interval::point(z).scaled(slope);
    let slopes = slope_range(activation, range) - Interval::point(slope);
    if slopes.lower >= 0.0 || slopes.upper <= 0.0 {
        return at(range.lower).hull(&at(range.upper));
    }
    let middle = range.middle();
    // The mean value theorem.
    let around = at(middle) + slopes * Interval::symmetric(range.radius_about(middle));
    let splits = range.lower < middle && middle < range.upper;
    if depth == 0 || !splits || around.width() <= tolerance {
        return around;
    }
    let [left, right] = [Interval::new(range.lower, middle), Interval::new(middle, range.upper)]
        .map(|half| smooth_residual(activation, half, slope, tolerance, depth - 1));
    left.hull(&right)
}
