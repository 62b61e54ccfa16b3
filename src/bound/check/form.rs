//! What an activation is on a piece of the line: a line, or an analytic function with the Taylor
//! series about a point and a proven bound on what a cut series leaves out.
//!
//! **The rest of a Taylor series.** Let s be analytic with |s| <= M on the disc of radius R about
//! m. By Cauchy's estimate |s^(k)(m)| / k! <= M / R^k, so for |z - m| <= w < R the terms from K on
//! are together at most M (w/R)^K / (1 - w/R). The bounds M, with z = x + iy in the disc:
//!
//! - tanh: |tanh z|^2 = (sinh^2 x + sin^2 y) / (sinh^2 x + cos^2 y), which is at most
//!   max(1, tan^2 y), so |tanh z| <= max(1, tan R) for R < pi/2;
//! - sigmoid z = (1 + tanh(z/2)) / 2: at most (1 + max(1, tan(R/2))) / 2 for R < pi;
//! - softplus' = sigmoid: coefficient k of softplus is coefficient k - 1 of sigmoid over k;
//! - SiLU = z sigmoid z: at most (|m| + R) times the bound of sigmoid;
//! - GELU = z Phi(z): Phi(x + iy) = Phi(x) + the integral over [0, y] of i phi(x + it) dt, and
//!   |phi(x + it)| = phi(x) e^(t^2/2), so |Phi(z)| <= 1 + R e^(R^2/2) / sqrt(2 pi);
//! - sin: |sin z| <= cosh y; exp: |e^z| = e^x.
//!
//! **Tails.** Beyond |z| = 90 the functions with limits are lines up to 2^-120:
//! |tanh z - sign z| <= 2 e^(-2|z|), sigmoid and softplus are within e^-|z| of their limits, SiLU
//! within |z| e^-|z|, which falls for |z| >= 1, and 90 e^-90 < 2^-123. |GELU z - max(z, 0)| =
//! |z| Phi(-|z|) <= e^(-z^2/2), below 2^-140 for |z| >= 14.

use std::sync::LazyLock;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::fixed::{Ball, size_above, units_above};
use crate::network::Activation;
use crate::numeric::interval::{Enclosure, dyadic, sum};
use crate::numeric::outward::{add_up, mul_up};
use crate::numeric::{Dyadic, elementary};

/// The most fractional bits of fixed-point numbers; the tails above are below one unit of it.
pub(super) const MOST_BITS: u32 = 120;

/// Fractional bits of values and slopes that are not exact, where these are not small.
const VALUE_BITS: u32 = 160;

/// What an activation is on one piece of the line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// slope z + offset.
    Line {
        /// The factor of z.
        slope: Dyadic,
        /// The value at 0.
        offset: Dyadic,
    },
    Tanh,
    Sigmoid,
    Softplus,
    Silu,
    Gelu,
    Sin,
    /// alpha (e^z - 1).
    Exponential {
        /// The factor.
        alpha: Dyadic,
    },
}

/// A closed interval and what the activation is there.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub lower: Dyadic,
    pub upper: Dyadic,
    pub form: Form,
}

/// The pieces of the activation on [lower, upper], from the left; `None` when a parameter of the
/// activation is not finite.
pub(super) fn pieces(function: Activation, lower: &Dyadic, upper: &Dyadic) -> Option<Vec<Piece>> {
    let line = |slope: i64, offset: i64| Form::Line { slope: slope.into(), offset: offset.into() };
    let forms = match function {
        Activation::Identity => vec![line(1, 0)],
        Activation::Relu | Activation::Elu { alpha: 0.0 } => vec![line(0, 0), line(1, 0)],
        Activation::LeakyRelu { slope } => {
            let slope = Dyadic::from_f64(slope)?;
            vec![Form::Line { slope, offset: Dyadic::zero() }, line(1, 0)]
        }
        Activation::Abs => vec![line(-1, 0), line(1, 0)],
        Activation::HardTanh => vec![line(0, -1), line(1, 0), line(0, 1)],
        Activation::Tanh => vec![Form::Tanh],
        Activation::Sigmoid => vec![Form::Sigmoid],
        Activation::Softplus => vec![Form::Softplus],
        Activation::Silu => vec![Form::Silu],
        Activation::Gelu => vec![Form::Gelu],
        Activation::Sin => vec![Form::Sin],
        Activation::Elu { alpha } => {
            vec![Form::Exponential { alpha: Dyadic::from_f64(alpha)? }, line(1, 0)]
        }
    };
    let kinks: Vec<Dyadic> = match function {
        Activation::HardTanh => vec![Dyadic::from(-1), Dyadic::one()],
        _ => vec![Dyadic::zero(); forms.len() - 1],
    };
    let last = forms.len() - 1;
    let piece = |(k, form): (usize, Form)| {
        let lower = if k == 0 { lower } else { lower.max(&kinks[k - 1]) };
        let upper = if k == last { upper } else { upper.min(&kinks[k]) };
        Piece { lower: lower.clone(), upper: upper.clone(), form }
    };
    let mut pieces: Vec<_> = forms.into_iter().enumerate().map(piece).collect();
    // A piece of one point is covered by its neighbour; an interval of one point has one piece.
    pieces.retain(|piece| piece.lower < piece.upper || lower == upper && piece.lower == *lower);
    pieces.retain(|piece| piece.lower <= piece.upper);
    if lower == upper {
        pieces.truncate(1);
    }
    Some(pieces)
}

impl Form {
    /// An upper bound of |s'| on the whole line, and on e^z for z <= 1.
    fn lipschitz(&self) -> f64 {
        match self {
            Form::Line { slope, .. } => size_above(slope),
            Form::Exponential { alpha } => mul_up(size_above(alpha), 3.0),
            _ => 1.2,
        }
    }

    /// About how large the numbers become on the way to the Taylor series about a point of
    /// [-size, size]; where one becomes larger there is no series, never a wrong one.
    pub(super) fn magnitude(&self, size: f64) -> f64 {
        let size = add_up(size, 2.0);
        match self {
            Form::Line { slope, offset } => {
                add_up(mul_up(size_above(slope), size), size_above(offset))
            }
            Form::Exponential { alpha } => mul_up(add_up(size_above(alpha), 1.0), 32.0),
            _ => mul_up(size, 32.0),
        }
    }

    /// The line that the function is, and the distance in units of 2^-`bits` at most, where all of
    /// z + w u lies in a tail.
    pub(super) fn tail_at(&self, z: Ball, w: Ball, bits: u32) -> Option<(Form, f64)> {
        let from = if *self == Form::Gelu { 14.0 } else { 90.0 };
        let reach = units_above(from, bits).checked_add(w.middle.abs())?;
        let reach = reach.checked_add(units_above(w.radius + z.radius + 1.0, 0))?;
        if z.middle.abs() < reach { None } else { self.tail(z.middle > 0) }
    }

    /// The line beyond the tail's beginning on the side of `positive`.
    fn tail(&self, positive: bool) -> Option<(Form, f64)> {
        let line = |slope: i64, offset: i64| {
            Some((Form::Line { slope: slope.into(), offset: offset.into() }, 1.0))
        };
        let side = i64::from(positive);
        match self {
            Form::Tanh => line(0, 2 * side - 1),
            Form::Sigmoid => line(0, side),
            Form::Softplus | Form::Silu | Form::Gelu => line(side, 0),
            Form::Exponential { alpha } if !positive => {
                let form = Form::Line { slope: Dyadic::zero(), offset: -alpha };
                Some((form, add_up(size_above(alpha), 1.0)))
            }
            _ => None,
        }
    }

    /// An upper bound of the terms of the Taylor series from `terms` on, for |z - m| <= w and any
    /// m with |m| <= `size`, m at most `greatest`; infinite where none is known.
    pub(super) fn rest(&self, size: f64, greatest: f64, w: f64, terms: usize) -> f64 {
        // tan 1.25 < 3.01, tan 1.5 < 14.11; cosh 2 < 3.77, cosh 4 < 27.4, cosh 8 < 1491.
        const TANH: [(f64, f64); 2] = [(1.25, 3.01), (1.5, 14.11)];
        let sigmoid = TANH.map(|(radius, bound)| (2.0 * radius, (1.0 + bound) / 2.0));
        // 1 + R e^(R^2/2) / sqrt(2 pi): 1.66 for R = 1, 6.90 for R = 2.
        const PHI: [(f64, f64); 2] = [(1.0, 1.67), (2.0, 6.91)];
        const SINE: [(f64, f64); 3] = [(2.0, 3.77), (4.0, 27.4), (8.0, 1491.0)];
        let times_z = |(radius, bound): (f64, f64)| (radius, mul_up(add_up(size, radius), bound));
        let best = |discs: &[(f64, f64)]| {
            let rest = |&(radius, bound): &(f64, f64)| geometric(bound, w, radius, terms);
            discs.iter().map(rest).fold(f64::INFINITY, f64::min)
        };
        match self {
            Form::Line { .. } => 0.0,
            Form::Tanh => best(&TANH),
            Form::Sigmoid => best(&sigmoid),
            Form::Softplus => {
                // sum over k >= K of w M (w/R)^(k-1) / k <= (w/K) M (w/R)^(K-1) / (1 - w/R)
                let rest = |&(radius, bound): &(f64, f64)| {
                    mul_up(geometric(bound, w, radius, terms - 1), w)
                };
                sigmoid.iter().map(rest).fold(f64::INFINITY, f64::min)
            }
            Form::Silu => best(&sigmoid.map(times_z)),
            Form::Gelu => best(&PHI.map(times_z)),
            Form::Sin => best(&SINE),
            Form::Exponential { alpha } => {
                let alpha = size_above(alpha);
                // e^x <= 3^x / 1.08 for x >= 1: a margin for the rounding of the power.
                let top = greatest.max(0.0).ceil() as i32;
                let disc = |radius: i32| {
                    let bound = mul_up(alpha, 3f64.powi(top.saturating_add(radius)));
                    (f64::from(radius), bound)
                };
                best(&[disc(2), disc(4), disc(8)])
            }
        }
    }

    /// The first `terms` coefficients in u of s(z + w u), |u| <= 1, up to errors that are together
    /// at most the radii returned and `beyond` units; without the rest of the series.
    ///
    /// Each coefficient carries the error of z: with m the middle of z, s(z + w u) differs from
    /// s(m + w u) by at most lipschitz |z - m|.
    pub(super) fn series(&self, z: Ball, w: Ball, terms: usize, bits: u32) -> Option<Series> {
        if let Form::Line { slope, offset } = self {
            let slope = Ball::of(slope, bits)?;
            let value = slope.times(z, bits)?.plus(Ball::of(offset, bits)?)?;
            let coefficients = vec![value, slope.times(w, bits)?];
            return Some(Series { coefficients, beyond: 0.0 });
        }
        if let Some((line, units)) = self.tail_at(z, w, bits) {
            let mut series = line.series(z, w, terms, bits)?;
            series.beyond = units;
            return Some(series);
        }
        // From here on z is its middle; so many units are charged for it.
        let beyond = mul_up(self.lipschitz(), z.radius);
        let place = dyadic(z.middle.into(), bits.into());
        let z = Ball::exact(z.middle);
        let mut coefficients = match self {
            Form::Line { .. } => return None,
            Form::Tanh => {
                let start = Ball::around(&elementary::tanh(&place, bits + 2), bits)?;
                let one = Ball::exact(1 << bits);
                // y' = 1 - y^2
                quadratic(start, w, terms, bits, |k, _| if k == 0 { one } else { Ball::ZERO })?
            }
            Form::Sigmoid => sigmoid(&place, w, terms, bits)?,
            Form::Softplus => {
                let start = Ball::around(&elementary::softplus(&place, bits + 2), bits)?;
                integral(start, &sigmoid(&place, w, terms, bits)?, w, bits)?
            }
            Form::Silu => times_z(&sigmoid(&place, w, terms, bits)?, z, w, bits)?,
            Form::Gelu => {
                let density = density(&place, z, w, terms, bits)?;
                let start = Ball::around(&distribution(&place, bits), bits)?;
                times_z(&integral(start, &density, w, bits)?, z, w, bits)?
            }
            Form::Sin => {
                let sine = Ball::around(&elementary::sin(&place, bits + 2), bits)?;
                let cosine = Ball::around(&elementary::cos(&place, bits + 2), bits)?;
                let cycle = [sine, cosine, sine.negated(), cosine.negated()];
                powers(w, terms, bits)?
                    .into_iter()
                    .enumerate()
                    .map(|(k, power)| power.times(cycle[k % 4], bits))
                    .collect::<Option<_>>()?
            }
            Form::Exponential { alpha } => {
                let alpha = Ball::of(alpha, bits)?;
                let value = elementary::exp(&place, bits + 2).ok()?;
                let factor = Ball::around(&value, bits)?.times(alpha, bits)?;
                let mut series: Vec<Ball> = powers(w, terms, bits)?
                    .into_iter()
                    .map(|power| power.times(factor, bits))
                    .collect::<Option<_>>()?;
                series[0] = series[0].minus(alpha)?;
                series
            }
        };
        coefficients.truncate(terms);
        Some(Series { coefficients, beyond })
    }
}

/// The beginning of a Taylor series.
#[derive(Debug)]
pub(super) struct Series {
    pub coefficients: Vec<Ball>,
    /// An error of the whole function, in units.
    pub beyond: f64,
}

/// bound (w/R)^terms / (1 - w/R), rounded up.
fn geometric(bound: f64, w: f64, radius: f64, terms: usize) -> f64 {
    let quotient = (w / radius).next_up();
    if quotient.is_nan() || quotient >= 1.0 {
        return f64::INFINITY;
    }
    let power = (0..terms).fold(bound, |power, _| mul_up(power, quotient));
    (power / (1.0 - quotient).next_down()).next_up()
}

/// y_0 = start, (k + 1) y_{k+1} = w (source(k, y) - sum of y_i y_{k-i}).
fn quadratic(
    start: Ball,
    w: Ball,
    terms: usize,
    bits: u32,
    source: impl Fn(usize, &[Ball]) -> Ball,
) -> Option<Vec<Ball>> {
    let mut y = vec![start];
    for k in 0..terms - 1 {
        let mut square = Ball::ZERO;
        for i in 0..k.div_ceil(2) {
            square = square.plus(y[i].times(y[k - i], bits)?.times_integer(2)?)?;
        }
        if k % 2 == 0 {
            square = square.plus(y[k / 2].times(y[k / 2], bits)?)?;
        }
        let slope = source(k, &y).minus(square)?;
        y.push(slope.times(w, bits)?.over(k as u32 + 1));
    }
    Some(y)
}

/// y' = y - y^2.
fn sigmoid(place: &BigRational, w: Ball, terms: usize, bits: u32) -> Option<Vec<Ball>> {
    let start = Ball::around(&elementary::sigmoid(place, bits + 2), bits)?;
    quadratic(start, w, terms, bits, |k, y| y[k])
}

/// The integral from the point on, plus `start`.
fn integral(start: Ball, derivative: &[Ball], w: Ball, bits: u32) -> Option<Vec<Ball>> {
    let mut y = vec![start];
    for (k, slope) in derivative.iter().enumerate() {
        y.push(slope.times(w, bits)?.over(k as u32 + 1));
    }
    Some(y)
}

/// (z + w u) y(u).
fn times_z(y: &[Ball], z: Ball, w: Ball, bits: u32) -> Option<Vec<Ball>> {
    (0..y.len())
        .map(|k| {
            let here = z.times(y[k], bits)?;
            if k == 0 { Some(here) } else { here.plus(w.times(y[k - 1], bits)?) }
        })
        .collect()
}

/// w^k / k!.
fn powers(w: Ball, terms: usize, bits: u32) -> Option<Vec<Ball>> {
    let mut power = Ball::exact(1 << bits);
    let mut all = vec![power];
    for k in 1..terms {
        power = power.times(w, bits)?.over(k as u32);
        all.push(power);
    }
    Some(all)
}

/// phi(z + w u), phi' = -z phi.
fn density(place: &BigRational, z: Ball, w: Ball, terms: usize, bits: u32) -> Option<Vec<Ball>> {
    let exponent = place * place * dyadic(BigInt::from(-1), 1);
    let value = elementary::exp(&exponent, bits + 2).ok()?.mul(&INVERSE_ROOT_OF_TWO_PI);
    let mut y = vec![Ball::around(&value, bits)?];
    for k in 0..terms - 1 {
        let mut slope = z.times(y[k], bits)?;
        if k > 0 {
            slope = slope.plus(w.times(y[k - 1], bits)?)?;
        }
        y.push(slope.times(w, bits)?.over(k as u32 + 1).negated());
    }
    Some(y)
}

/// Phi(z) = (1 + erf(z / sqrt 2)) / 2.
///
/// erf at a place within (1 + |z|) 2^-(bits + 2) of z / sqrt 2; its slope is below 2.
fn distribution(z: &BigRational, bits: u32) -> Enclosure {
    let root = Enclosure::point(z.clone()).mul(&INVERSE_ROOT_OF_TWO).round_outward(bits + 4);
    let middle = root.midpoint();
    let reach = root.width();
    let erf = elementary::erf(&middle, bits + 4);
    let erf = erf.add(&Enclosure::ordered(-&reach, reach));
    let half = dyadic(BigInt::one(), 1);
    erf.scale(&half).add(&Enclosure::point(half.clone()))
}

/// 1 / sqrt 2 to 200 bits.
static INVERSE_ROOT_OF_TWO: LazyLock<Enclosure> =
    LazyLock::new(|| root_of(&dyadic(BigInt::one(), 1), 200));

/// 1 / sqrt(2 pi) to about 200 bits.
static INVERSE_ROOT_OF_TWO_PI: LazyLock<Enclosure> = LazyLock::new(|| {
    let twice = elementary::pi(220).scale(&BigRational::from_integer(2.into()));
    let inverse = Enclosure::ordered(twice.upper().recip(), twice.lower().recip());
    let inverse = inverse.round_outward(220);
    root_of(inverse.lower(), 200).hull(&root_of(inverse.upper(), 200))
});

/// The square root of a positive number, at most 2^-bits wide.
fn root_of(value: &BigRational, bits: u64) -> Enclosure {
    let below = ((value.numer() << (2 * bits)) / value.denom()).sqrt();
    Enclosure::ordered(dyadic(below.clone(), bits), dyadic(below + 1, bits))
}

/// The ends of an enclosure, which are dyadic or are rounded outward.
fn ends(enclosure: &Enclosure) -> Option<(Dyadic, Dyadic)> {
    let ends = |of: &Enclosure| {
        Some((Dyadic::from_rational(of.lower())?, Dyadic::from_rational(of.upper())?))
    };
    ends(enclosure).or_else(|| ends(&enclosure.round_outward(VALUE_BITS)))
}

/// Fractional bits that leave about [`VALUE_BITS`] to numbers of the size e^-|2 z|.
fn bits_at(z: &BigRational) -> u32 {
    let most = BigRational::from_integer(400.into());
    VALUE_BITS + 3 * z.abs().min(most).to_integer().to_u32().unwrap_or(400)
}

/// Whether values of the activation at dyadic points are dyadic.
pub(super) fn is_exact(function: Activation) -> bool {
    function.is_piecewise_polynomial()
}

/// The slopes a, b of an activation that is a z for z <= 0 and b z for z >= 0; `None` for others.
pub(super) fn halves(function: Activation) -> Option<[Dyadic; 2]> {
    let (left, right) = match function {
        Activation::Relu => (Dyadic::zero(), Dyadic::one()),
        Activation::Abs => (Dyadic::from(-1), Dyadic::one()),
        Activation::LeakyRelu { slope } => (Dyadic::from_f64(slope)?, Dyadic::one()),
        _ => return None,
    };
    Some([left, right])
}

/// What s can be on [lower, upper]: exact for a piecewise polynomial, else within 2^-59 of the
/// least interval; `None` when a parameter is not finite.
pub(super) fn values(
    function: Activation,
    lower: &Dyadic,
    upper: &Dyadic,
) -> Option<(Dyadic, Dyadic)> {
    if is_exact(function) {
        let at_ends = pieces(function, lower, upper)?.into_iter().flat_map(|piece| {
            let Form::Line { slope, offset } = piece.form else { return vec![] };
            vec![&(&slope * &piece.lower) + &offset, &(&slope * &piece.upper) + &offset]
        });
        let all: Vec<_> = at_ends.collect();
        return Some((all.iter().min()?.clone(), all.iter().max()?.clone()));
    }
    if let Activation::Elu { alpha } = function {
        Dyadic::from_f64(alpha)?;
    }
    let (a, b) = (lower.to_rational(), upper.to_rational());
    if function == Activation::Sin {
        return ends(&wave(&a, &b, 1));
    }
    let bits = bits_at(&a).max(bits_at(&b));
    ends(&function.enclose(&Enclosure::ordered(a, b), bits))
}

/// sin(z + (1 - peak) pi/2) on [a, b]: 1 at the multiples (4 k + peak) of pi/2.
///
/// Between its extremes the function is monotone, so its range is the hull of the values at the
/// ends and at the extremes inside; an extreme that may be inside is counted.
fn wave(a: &BigRational, b: &BigRational, peak: i64) -> Enclosure {
    let one = BigRational::one();
    let whole = Enclosure::ordered(-&one, one.clone());
    let far = BigRational::from_integer(BigInt::one() << 64u32);
    if b - a >= BigRational::from_integer(7.into()) || a.abs() > far || b.abs() > far {
        return whole;
    }
    let value = |z: &BigRational| match peak {
        1 => elementary::sin(z, VALUE_BITS),
        _ => elementary::cos(z, VALUE_BITS),
    };
    let mut range = value(a).hull(&value(b));
    let half_pi = elementary::pi(VALUE_BITS).scale(&dyadic(BigInt::one(), 1));
    let first: BigInt = (a / half_pi.upper()).floor().to_integer() - 1;
    for n in 0..9 {
        let multiple = &first + BigInt::from(n);
        let place = half_pi.scale(&BigRational::from_integer(multiple.clone()));
        if place.upper() < a || place.lower() > b {
            continue;
        }
        let phase: BigInt = (&multiple - peak) & BigInt::from(3);
        if phase.is_zero() {
            range = range.hull(&Enclosure::point(one.clone()));
        } else if phase == BigInt::from(2) {
            range = range.hull(&Enclosure::point(-&one));
        }
    }
    // The enclosures at the ends may reach beyond.
    range.intersection(&whole).unwrap_or(whole)
}

/// What s' can be inside [lower, upper]; `None` when a parameter is not finite, or the interval is
/// one point, where any slope serves.
///
/// Exact for a piecewise polynomial and at 0, else 2^-150 wide or so. A kink counts where it is
/// strictly inside: (s(u) - s(v)) / (u - v) is a mean of the slopes between u and v.
pub(super) fn slopes(
    function: Activation,
    lower: &Dyadic,
    upper: &Dyadic,
) -> Option<(Dyadic, Dyadic)> {
    if lower == upper {
        return None;
    }
    let mut hull: Option<Enclosure> = None;
    for piece in pieces(function, lower, upper)? {
        let slope = piece.slopes();
        hull = Some(hull.map_or(slope.clone(), |hull| hull.hull(&slope)));
    }
    ends(&hull?)
}

impl Piece {
    fn slopes(&self) -> Enclosure {
        let (a, b) = (self.lower.to_rational(), self.upper.to_rational());
        let zero = BigRational::zero();
        let nearest = zero.clone().clamp(a.clone(), b.clone());
        let farthest = if a.abs() > b.abs() { &a } else { &b };
        let at = |z: &BigRational| self.form.slope(z);
        match &self.form {
            Form::Line { slope, .. } => Enclosure::point(slope.to_rational()),
            // Even, falling away from 0.
            Form::Tanh | Form::Sigmoid => at(&nearest).hull(&at(farthest)),
            // Monotone.
            Form::Softplus | Form::Exponential { .. } => at(&a).hull(&at(&b)),
            Form::Sin => wave(&a, &b, 0),
            Form::Silu | Form::Gelu => {
                // Monotone between the places where s'' vanishes. Such a place lies within 2^-60 of
                // the one taken, and the slope there within 2^-120 of the value taken, because
                // s'' = 0 at it and |s'''| <= 2.
                let turn = dyadic(self.form.turn(), 60);
                let reach = dyadic(BigInt::one(), 60);
                let slack = dyadic(BigInt::one(), 120);
                let slack = Enclosure::ordered(-&slack, slack);
                [-&turn, turn]
                    .into_iter()
                    .filter(|t| t + &reach >= a && t - &reach <= b)
                    .map(|t| at(&t).add(&slack))
                    .fold(at(&a).hull(&at(&b)), |hull, value| hull.hull(&value))
            }
        }
    }
}

impl Form {
    /// The positive place where s'' vanishes, in units of 2^-60, rounded down: for SiLU the zero
    /// 2.3993572805... of z tanh(z/2) - 2, for GELU sqrt 2.
    fn turn(&self) -> BigInt {
        match self {
            Form::Gelu => BigInt::from(1_630_477_228_166_597_776_i64),
            _ => BigInt::from(2_766_270_605_941_285_588_i64),
        }
    }

    /// s'(z).
    fn slope(&self, z: &BigRational) -> Enclosure {
        let bits = bits_at(z);
        let one = BigRational::one();
        let unit = Enclosure::ordered(BigRational::zero(), one.clone());
        let within = |x: Enclosure| x.intersection(&unit).unwrap_or_else(|| unit.clone());
        let half = dyadic(BigInt::one(), 1);
        if z.is_zero() {
            return Enclosure::point(match self {
                Form::Line { slope, .. } => slope.to_rational(),
                Form::Tanh | Form::Sin => one,
                Form::Sigmoid => dyadic(BigInt::one(), 2),
                Form::Softplus | Form::Silu | Form::Gelu => half,
                Form::Exponential { alpha } => alpha.to_rational(),
            });
        }
        // Beyond, |s'(z) - (0 or 1)| <= 2 |z| e^-|z| <= 2^-700 for SiLU, and less for GELU.
        let far = BigRational::from_integer(512.into());
        if matches!(self, Form::Silu | Form::Gelu) && z.abs() > far {
            let slack = dyadic(BigInt::one(), 700);
            let side = if z.is_positive() { one } else { BigRational::zero() };
            return Enclosure::ordered(&side - &slack, &side + &slack);
        }
        match self {
            Form::Line { slope, .. } => Enclosure::point(slope.to_rational()),
            Form::Tanh => one_minus_square(&elementary::tanh(z, bits)),
            // sigmoid' = (1 - tanh^2(z/2)) / 4
            Form::Sigmoid => one_minus_square(&elementary::tanh(&(z * &half), bits))
                .scale(&dyadic(BigInt::one(), 2)),
            Form::Softplus => within(elementary::sigmoid(z, bits)),
            Form::Silu => {
                let sigmoid = within(elementary::sigmoid(z, bits));
                let slope = one_minus_square(&elementary::tanh(&(z * &half), bits))
                    .scale(&dyadic(BigInt::one(), 2));
                sigmoid.add(&slope.scale(z))
            }
            Form::Gelu => {
                let square = z * z;
                // Enough for e^(-z^2/2), down to the least f64.
                let most = BigRational::from_integer(1600.into());
                let more = (&square).min(&most).to_integer().to_u32().unwrap_or(1600);
                let bits = VALUE_BITS + more;
                // The exponent is not positive.
                let density =
                    elementary::exp(&(square * -&half), bits).unwrap_or_else(|_| unit.clone());
                let density = density.mul(&INVERSE_ROOT_OF_TWO_PI);
                let distribution = if z.abs() < one {
                    distribution(z, bits)
                } else {
                    elementary::gelu(z, bits).scale(&z.recip()).round_outward(bits)
                };
                within(distribution).add(&density.scale(z))
            }
            Form::Sin => elementary::cos(z, bits),
            // Only at z <= 0.
            Form::Exponential { alpha } => {
                let power = elementary::exp(z, bits).unwrap_or_else(|_| unit.clone());
                within(power).scale(&alpha.to_rational())
            }
        }
    }
}

/// {1 - x^2}, for an x in [-1, 1].
fn one_minus_square(x: &Enclosure) -> Enclosure {
    let (low, high) = (x.lower().abs(), x.upper().abs());
    let least = if x.contains(&BigRational::zero()) {
        BigRational::zero()
    } else {
        low.clone().min(high.clone())
    };
    let one = BigRational::one();
    let greatest = low.max(high).min(one.clone());
    let square = |x: &BigRational| -&(x * x);
    Enclosure::ordered(sum(&one, &square(&greatest)), sum(&one, &square(&least)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_function() -> impl Strategy<Value = Activation> {
        let mut all = Activation::ALL.to_vec();
        all.extend([
            Activation::Elu { alpha: -1.75 },
            Activation::Elu { alpha: 0.0 },
            Activation::LeakyRelu { slope: -0.5 },
        ]);
        prop::sample::select(all)
    }

    fn exact(x: f64) -> Dyadic {
        Dyadic::from_f64(x).unwrap()
    }

    fn at(function: Activation, z: &BigRational) -> Enclosure {
        function.enclose(&Enclosure::point(z.clone()), 200)
    }

    fn units(x: &BigRational, bits: u32) -> BigRational {
        x * BigRational::from_integer(BigInt::one() << bits)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// The cut series and its rest, against enclosures of the function.
        #[test]
        fn series_and_rest_enclose_the_function(
            function in any_function(), place in -20.0..20.0f64, half in -6.0..0.5f64,
            u in -64i64..=64, terms in 3usize..25, bits in 60u32..=112, far in 0u32..8,
        ) {
            // Sometimes in the tails.
            let place = if far == 0 { place * 20.0 } else { place };
            let w = 2f64.powf(half);
            let (place, w) = (exact(place), exact(w));
            let (lower, upper) = (&place - &w, &place + &w);
            for piece in pieces(function, &lower, &upper).unwrap() {
                let half = Dyadic::new(BigInt::one(), -1);
                let middle = &(&piece.lower + &piece.upper) * &half;
                let w = &(&piece.upper - &piece.lower) * &half;
                let z = Ball::of(&middle, bits).unwrap();
                let w_ball = Ball::of(&w, bits).unwrap();
                let Some(series) = piece.form.series(z, w_ball, terms, bits) else {
                    return Err(TestCaseError::fail("no series"));
                };
                let rest = match piece.form.tail_at(z, w_ball, bits) {
                    Some(_) => 0.0,
                    None => piece.form.rest(
                        size_above(&middle), middle.to_f64().unwrap().next_up(), size_above(&w),
                        terms,
                    ),
                };
                if rest > 1e300 {
                    continue;
                }
                let u = Dyadic::new(u.into(), -6);
                let value = at(function, &(&middle + &(&w * &u)).to_rational());
                let mut sum = BigRational::zero();
                let mut power = BigRational::one();
                let mut slack = series.beyond;
                for ball in &series.coefficients {
                    sum += &power * BigRational::from_integer(ball.middle.into());
                    power *= u.to_rational();
                    slack += ball.radius;
                }
                let slack = BigRational::from_float(slack * 1.0001).unwrap()
                    + units(&BigRational::from_float(rest).unwrap(), bits);
                let distance = (units(value.lower(), bits) - sum).abs();
                prop_assert!(distance <= slack + BigRational::one(), "{function:?} {middle} {w} {u}");
                // The rounding stays small.
                prop_assert!(series.beyond < 1e4);
                let radii: f64 = series.coefficients.iter().map(|ball| ball.radius).sum();
                prop_assert!(radii < 1e9, "{function:?} {middle} {w} {radii}");
            }
        }

        /// Values and slopes at points of the interval lie in the hulls, and come close to their ends.
        #[test]
        fn values_and_slopes_are_least_hulls(
            function in any_function(), a in -12.0..12.0f64, width in prop_oneof![0.0..0.1f64, 0.0..9.0f64],
        ) {
            let (lower, upper) = (exact(a), exact(a + width));
            let (least, greatest) = values(function, &lower, &upper).unwrap();
            let slopes = slopes(function, &lower, &upper);
            prop_assert_eq!(slopes.is_some(), lower < upper);
            let points = (0..=400).map(|k| {
                let z = (f64::from(k) / 400.0).mul_add(width, a).clamp(a, a + width);
                let value = at(function, &exact(z).to_rational());
                prop_assert!(least.to_rational() <= *value.upper());
                prop_assert!(*value.lower() <= greatest.to_rational());
                Ok((function.value(z), function.derivative(z)))
            });
            let points = points.collect::<Result<Vec<_>, _>>()?;
            let close = |end: &Dyadic, found: f64, room: f64| {
                let distance = (end.to_f64().unwrap() - found).abs();
                distance <= room * width / 400.0 + 1e-14
            };
            let least_of = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).fold(f64::MAX, f64::min);
            let most_of = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).fold(f64::MIN, f64::max);
            prop_assert!(close(&least, least_of(|p| p.0), 2.0));
            prop_assert!(close(&greatest, most_of(|p| p.0), 2.0));
            if let Some((low, high)) = slopes {
                let (below, above) = (low.to_f64().unwrap(), high.to_f64().unwrap());
                for (_, slope) in &points[1..400] {
                    prop_assert!(below - 1e-14 <= *slope && *slope <= above + 1e-14, "{function:?} {slope}");
                }
                if function.kinks().is_empty() {
                    prop_assert!(close(&low, least_of(|p| p.1), 2.0), "{function:?}");
                    prop_assert!(close(&high, most_of(|p| p.1), 2.0), "{function:?}");
                }
            }
        }
    }

    #[test]
    fn hulls_are_exact_where_it_matters() {
        let of = |function, a: f64, b: f64| slopes(function, &exact(a), &exact(b)).unwrap().1;
        assert_eq!(of(Activation::Tanh, -1.0, 2.0), Dyadic::one());
        assert_eq!(of(Activation::Sin, -1.0, 2.0), Dyadic::one());
        assert_eq!(of(Activation::Sigmoid, -1.0, 2.0), exact(0.25));
        assert_eq!(of(Activation::Softplus, -1.0, 0.0), exact(0.5));
        // One side of a kink, and both.
        assert_eq!(of(Activation::Relu, -1.0, 0.0), Dyadic::zero());
        assert_eq!(slopes(Activation::Relu, &exact(0.0), &exact(2.0)).unwrap().0, Dyadic::one());
        assert_eq!(of(Activation::HardTanh, -3.0, -0.5), Dyadic::one());
        let sine = values(Activation::Sin, &exact(1.0), &exact(5.0)).unwrap();
        assert_eq!(sine, (-Dyadic::one(), Dyadic::one()));
        // Far out, relative to the size.
        let (low, high) = slopes(Activation::Tanh, &exact(60.0), &exact(61.0)).unwrap();
        assert!(low.to_f64().unwrap() > 1e-53 && high.to_f64().unwrap() < 1e-51);
        let (low, _) = slopes(Activation::Silu, &exact(600.0), &exact(1e300)).unwrap();
        assert!(low > exact(1.0f64.next_down()));
        assert!(slopes(Activation::Gelu, &exact(-1e300), &exact(1e300)).is_some());
        assert!(slopes(Activation::Sin, &exact(-1e300), &exact(1e300)).is_some());
    }

    /// s'' has different signs at the places taken, and one unit further.
    #[test]
    fn slopes_turn_where_they_are_said_to() {
        for form in [Form::Silu, Form::Gelu] {
            let second = |units: BigInt| {
                let z = dyadic(units, 60);
                match form {
                    // 2 - z^2
                    Form::Gelu => BigRational::from_integer(2.into()) - &z * &z,
                    _ => {
                        let tanh = elementary::tanh(&(&z / BigInt::from(2)), 200);
                        BigRational::from_integer(2.into()) - &z * tanh.lower()
                    }
                }
            };
            assert!(second(form.turn()).is_positive() && second(form.turn() + 1).is_negative());
        }
    }

    #[test]
    fn an_activation_without_a_number_has_no_pieces() {
        for function in
            [Activation::LeakyRelu { slope: f64::NAN }, Activation::Elu { alpha: f64::INFINITY }]
        {
            let (a, b) = (exact(-1.0), exact(1.0));
            assert!(pieces(function, &a, &b).is_none());
            assert!(values(function, &a, &b).is_none() && slopes(function, &a, &b).is_none());
        }
    }
}
