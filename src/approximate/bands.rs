//! A function as finitely many lines, each with a proven distance.
//!
//! On a part of its interval that is short beside its oscillations, the residual p - s of a fit is
//! nearly a line; so is s on a part that is short beside its curvature. [`bands`] cuts the interval
//! so that on every part one line is near; [`Bands::over`] gives the line for any range.
//!
//! On every piece of the activation's [model](super::model) the function is a polynomial q of some
//! degree N in cos theta, |q| <= E. By Bernstein's inequality (1912) the second derivative in theta
//! is at most N^2 E, so between two angles h apart q is within N^2 E h^2 / 8 of the interpolating
//! line in theta; z itself, radius times cos theta, is within radius h^2 / 8 of its own.

use super::certificate::{Candidate, FINEST, FixedPiece, FloatPiece, ROUNDOFF, Sampled, cosine_at};
use super::model::pieces;
use super::range::value_range;
use super::{Fit, check_activation, check_interval, with_room};
use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::numeric::fixed::{exponent_above, power_of_two};
use crate::numeric::outward::{Interval, add_up, div_up, mul_up, sum_up};

/// A line near a function f: |f(z) - slope z - middle| <= radius for z in [lower, upper].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Where the band begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// The slope of the line.
    pub slope: f64,
    /// The value of the line at 0.
    pub middle: f64,
    /// How far the function is from the line at most.
    pub radius: f64,
}

/// Bands that cover an interval, from left to right and without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands(Vec<Band>);

/// Bands of s (`fit` is `None`) on `interval`, or of the residual p - s of a fit on its interval,
/// their radii `tolerance` at most where f64 resolves that, and room for a check.
///
/// Cost: some hundred values for each unit of the interval, more for smaller tolerances.
///
/// # Errors
/// As [`fit`](super::fit), and a tolerance that is not positive.
pub fn bands(
    activation: Activation,
    interval: Interval,
    fit: Option<&Fit>,
    tolerance: f64,
) -> Result<Bands> {
    let interval = fit.map_or(interval, |fit| fit.interval);
    check_interval(interval)?;
    check_activation(activation)?;
    if !(tolerance > 0.0 && tolerance.is_finite()) {
        return Err(Error::invalid("tolerance", tolerance.to_string(), "a positive number"));
    }
    let values = value_range(activation, interval);
    let constant = |lower: f64, upper: f64| {
        let part = Interval::new(lower, upper);
        let around = match fit {
            Some(fit) => Interval::symmetric(fit.error),
            None => value_range(activation, part),
        };
        Band::constant(part, around)
    };
    // A residual of nothing needs no room: it is confirmed exactly.
    let exact = fit.is_some_and(|fit| fit.error == 0.0);
    let roomy = |mut bands: Vec<Band>| {
        for band in bands.iter_mut().filter(|_| !exact) {
            band.radius = with_room(band.radius, values.magnitude());
        }
        Bands(bands)
    };
    // So short that f64 hardly tells its numbers apart: a line would be no nearer than a constant.
    let short = interval.width() <= interval.magnitude() * power_of_two(-32);
    if short || exact {
        return Ok(roomy(vec![constant(interval.lower, interval.upper)]));
    }
    let nothing = [0.0];
    // Without a fit the polynomial is 0 and the residual -s.
    let (polynomial, size) = match fit {
        Some(Fit { centre, scale, coefficients, error, .. }) => {
            (Candidate { centre: *centre, scale: *scale, coefficients }, *error)
        }
        None => (Candidate { centre: 0.0, scale: 0.0, coefficients: &nothing }, values.magnitude()),
    };
    let bits = 16 - exponent_above(tolerance);
    let model = pieces(activation, interval, bits.max(40), polynomial.coefficients.len())?;
    let cut = tolerance * power_of_two(-7);
    let quick: Option<Vec<FloatPiece>> =
        model.iter().map(|piece| FloatPiece::new(piece, polynomial, cut)).collect();
    let quick = quick.filter(|all| all.iter().all(|p| p.slack() <= tolerance * power_of_two(-5)));
    let ends: Vec<(f64, f64)> = model.iter().map(|piece| (piece.lower, piece.upper)).collect();
    let bands = if let Some(quick) = quick {
        cover_all(&quick, &ends, size, tolerance, fit.is_none(), &constant)
    } else {
        let exact = model.iter().map(|piece| FixedPiece::new(piece, polynomial, cut));
        let too_large = || Error::invalid("tolerance", tolerance.to_string(), "a larger one");
        let exact: Vec<FixedPiece> = exact.collect::<Option<_>>().ok_or_else(too_large)?;
        cover_all(&exact, &ends, size, tolerance, fit.is_none(), &constant)
    };
    Ok(roomy(bands))
}

/// Pieces narrower than this have one constant band: the angles tell nothing apart there.
const NARROWEST: f64 = f64::from_bits((1023 - 900) << 52);

/// The bands of all pieces, turned over where the pieces are of -s; `constant` makes the band of one that
/// is too narrow.
fn cover_all<S: Sampled>(
    pieces: &[S],
    ends: &[(f64, f64)],
    size: f64,
    tolerance: f64,
    turned: bool,
    constant: &dyn Fn(f64, f64) -> Band,
) -> Vec<Band> {
    let mut bands = Vec::new();
    for (piece, &(lower, upper)) in pieces.iter().zip(ends) {
        if lower >= upper {
            continue;
        }
        if upper - lower < NARROWEST {
            bands.push(constant(lower, upper));
            continue;
        }
        let first = bands.len();
        cover(&mut bands, piece, (lower, upper), size, tolerance);
        for band in bands[first..].iter_mut().filter(|_| turned) {
            (band.slope, band.middle) = (-band.slope, -band.middle);
        }
        // Of a short piece roundings may be more than what lines gain.
        let level = constant(lower, upper);
        if bands[first..].iter().all(|band| band.radius >= level.radius) {
            bands.truncate(first);
            bands.push(level);
        }
    }
    bands
}

/// Adds the bands of one piece, on which the function is at most `size`.
fn cover<S: Sampled>(
    bands: &mut Vec<Band>,
    piece: &S,
    (lower, upper): (f64, f64),
    size: f64,
    tolerance: f64,
) {
    let degree = piece.degree() as f64;
    let curvature = mul_up(mul_up(degree, degree), add_up(size, piece.slack()));
    let radius = upper / 2.0 - lower / 2.0;
    // N^2 E h^2 / 8 for neighbouring angles h = stride pi / 2^16; pi^2 / 8 < 1.2338.
    let share = |stride: u32, amount: f64| {
        let step = f64::from(stride) / f64::from(FINEST);
        mul_up(amount, mul_up(step, step) * 1.2338)
    };
    let mut stride = FINEST / 4;
    while stride > 1 && share(stride, curvature) > tolerance / 16.0 {
        stride /= 2;
    }
    let angles: Vec<u32> = (0..=FINEST / stride).rev().map(|j| j * stride).collect();
    let mut values = Vec::new();
    piece.at_angles(&angles, &mut values);
    let middle = lower / 2.0 + upper / 2.0;
    let last = angles.len() - 1;
    let points: Vec<(f64, f64)> = angles
        .iter()
        .zip(&values)
        .enumerate()
        .map(|(j, (angle, value))| {
            let z = match j {
                0 => lower,
                _ if j == last => upper,
                _ => (middle + radius * cosine_at(*angle)).clamp(lower, upper),
            };
            (z, *value)
        })
        .collect();
    // The points are off by some units in the last place of the ends, and Markov's inequality
    // bounds the slope of q in z by N^2 E / radius.
    let misplaced = mul_up(16.0 * ROUNDOFF, lower.abs().max(upper.abs()));
    let moved = mul_up(div_up(curvature, radius.next_down()), misplaced);
    let fine = Fine {
        points,
        each: sum_up([share(stride, curvature), piece.slack(), moved]),
        bow: add_up(share(stride, add_up(radius, misplaced)), misplaced),
    };
    let mut from = 0;
    while from < last {
        // Gallop to a part that is too long, then halve the last step.
        let (mut good, mut step) = (from + 1, 1);
        let mut band = fine.band(from, good);
        // Where roundings alone are more, narrow bands would be no nearer.
        let most = if band.radius <= tolerance { tolerance } else { 2.0 * band.radius };
        let mut growing = true;
        while step > 0 && good < last {
            let to = (good + step).min(last);
            let wider = fine.band(from, to);
            if wider.radius <= most {
                (good, band) = (to, wider);
                if growing {
                    step *= 2;
                }
            } else {
                growing = false;
            }
            if !growing {
                step /= 2;
            }
        }
        bands.push(band);
        from = good;
    }
}

/// A function at neighbouring points.
struct Fine {
    points: Vec<(f64, f64)>,
    /// How far the function is from interpolation between neighbours in the angle.
    each: f64,
    /// How far z is from it.
    bow: f64,
}

impl Fine {
    /// The band along the chord from one point to another.
    fn band(&self, from: usize, to: usize) -> Band {
        let part = &self.points[from..=to];
        let ((lower, first), (upper, last)) = (part[0], part[to - from]);
        let slope = (last - first) / (upper - lower);
        let slope = if slope.is_finite() { slope } else { 0.0 };
        let beside =
            |(z, value): &(f64, f64)| Interval::point(*value) - Interval::point(*z).scaled(slope);
        let hull = part[1..].iter().fold(beside(&part[0]), |hull, point| hull.hull(&beside(point)));
        // 2^-50 of a value are its own roundings.
        let largest = part.iter().fold(0.0, |m: f64, (_, value)| m.max(value.abs()));
        let slack =
            sum_up([self.each, mul_up(slope.abs(), self.bow), mul_up(power_of_two(-50), largest)]);
        let middle = hull.middle();
        Band { lower, upper, slope, middle, radius: add_up(hull.radius_about(middle), slack) }
    }
}

impl Band {
    fn constant(range: Interval, values: Interval) -> Self {
        let middle = values.middle();
        let radius = values.radius_about(middle);
        Band { lower: range.lower, upper: range.upper, slope: 0.0, middle, radius }
    }

    /// f(z) - slope z on the part of the band from `lower` to `upper`.
    fn beside(&self, lower: f64, upper: f64, slope: f64) -> Interval {
        let tilt = Interval::point(self.slope) - Interval::point(slope);
        let ends = (tilt * Interval::point(lower)).hull(&(tilt * Interval::point(upper)));
        (ends + Interval::point(self.middle)).widened(self.radius)
    }
}

impl Bands {
    /// Bands from left to right; nothing is checked.
    pub fn new(bands: Vec<Band>) -> Self {
        Bands(bands)
    }

    /// The bands, from left to right.
    pub fn parts(&self) -> &[Band] {
        &self.0
    }

    /// One band for a range inside the interval: horizontal or along the chord, what is nearer.
    ///
    /// Cost: linear in the bands that the range meets.
    pub fn over(&self, range: Interval) -> Band {
        let Interval { lower, upper } = range;
        let first = self.0.partition_point(|band| band.upper < lower);
        let parts = &self.0[first.min(self.0.len())..];
        let count = parts.partition_point(|band| band.lower <= upper);
        let parts = &parts[..count];
        let (Some(left), Some(right)) = (parts.first(), parts.last()) else {
            return Band::constant(range, Interval::symmetric(f64::INFINITY));
        };
        if parts.len() == 1 {
            return Band { lower, upper, ..*left };
        }
        let at = |band: &Band, z: f64| band.slope * z + band.middle;
        let chord = (at(right, upper) - at(left, lower)) / (upper - lower);
        let chord = if chord.is_finite() { chord } else { 0.0 };
        let along = |slope: f64| {
            let clipped = parts
                .iter()
                .map(|band| band.beside(band.lower.max(lower), band.upper.min(upper), slope));
            let hull = clipped.reduce(|a, b| a.hull(&b)).unwrap_or(Interval::ZERO);
            let middle = hull.middle();
            Band { lower, upper, slope, middle, radius: hull.radius_about(middle) }
        };
        let (level, tilted) = (along(0.0), along(chord));
        if tilted.radius < level.radius { tilted } else { level }
    }
}
