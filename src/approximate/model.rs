//! An activation on an interval as finitely many polynomials, each with a proven distance.
//!
//! A piecewise-polynomial activation is its own model: one [`Shape::Line`] a piece, distance 0.
//! A smooth one is modelled on the unit intervals [k, k + 1] by Chebyshev interpolants
//! ([`Series`]), and by its asymptote where it is nearer to that than the accuracy asked for. The
//! series depend on the function, on k and on the accuracy alone; they are computed once a
//! process and kept.

use super::range::{exact_slope_range, value_range};
use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::numeric::fixed::{
    self, CIRCLE_BITS, FRACTION, chebyshev_sum, circle, exponent_above, from_f64, from_rational,
    outward, power_of_two, times_power,
};
use crate::numeric::interval::{Enclosure, dyadic, sum};
use crate::numeric::outward::{Interval, add_up, mul_up};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::One;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The longest interval on which a sine is modelled beside a polynomial with `count` coefficients;
/// beyond it the sine counts as any number of its range: no polynomial follows it there. (The
/// other functions have asymptotes.)
pub(super) fn most_units(count: usize) -> f64 {
    (4 * count).max(64) as f64
}

/// The sine is modelled up to this size; the integers and their halves are f64 there.
const FARTHEST_UNIT: f64 = 1e12;

/// The accuracies on offer: coarser would save nothing, finer is below what f64 coefficients see.
const BITS: std::ops::RangeInclusive<i32> = 16..=700;

/// How many series are kept before all are dropped.
const MOST_SERIES: usize = 1 << 14;

/// The activation on [lower, upper] to within `error`.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub lower: f64,
    pub upper: f64,
    pub shape: Shape,
    /// A proven bound on |s(z) - shape(z)| for z in [lower, upper].
    pub error: f64,
}

/// slope z + offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub slope: f64,
    pub offset: f64,
}

impl Line {
    const fn new(slope: f64, offset: f64) -> Self {
        Line { slope, offset }
    }
}

/// A polynomial in the pre-activation.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Line(Line),
    /// factor times the series, whose variable is 2 (z - first) - 1.
    Series {
        first: f64,
        factor: f64,
        series: Arc<Series>,
    },
}

/// sum_k c_k T_k(v), the c_k in units of 2^-unit.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub coefficients: Vec<i128>,
    pub unit: i32,
    /// A proven bound on the distance to the function for v in [-1, 1].
    pub error: f64,
    /// The degree of the interpolant of which this is the rounded form.
    degree: usize,
    /// A bound in units on the distance of each c_k to that of the interpolant.
    rounding: f64,
    /// The derivative by z, made when first needed.
    slope: OnceLock<Option<Slope>>,
}

/// The derivative of a [`Series`] by z: sum_k c_k T_k(v), in the same units.
#[derive(Clone, Debug)]
struct Slope {
    coefficients: Vec<i128>,
    /// A proven bound, in units, on the distance to the derivative of the function for v in [-1, 1].
    error: f64,
}

/// The pieces of an activation on [lower, upper], in order and without gaps.
///
/// `bits`, brought into 16..=700: a piece is off by about 2^-bits at most (see [`Piece::error`] for
/// what is proven), or by 2^-100 of its largest value where that is more. `interval` is finite; a
/// point gives one piece. `count` is the number of coefficients to compare with, see [`most_units`].
///
/// # Errors
/// A slope or alpha that is not finite; a failure of the arithmetic, which nothing known causes.
pub(super) fn pieces(
    activation: Activation,
    interval: Interval,
    bits: i32,
    count: usize,
) -> Result<Vec<Piece>> {
    if let Some((key, value)) = activation.parameter()
        && !value.is_finite()
    {
        return Err(Error::invalid(key, value.to_string(), "a finite number"));
    }
    let bits = bits.clamp(*BITS.start(), *BITS.end());
    let mut pieces = Vec::new();
    if let Some(lines) = lines(activation) {
        for (from, to, line) in lines {
            clip(&mut pieces, interval, from, to, Shape::Line(line), 0.0);
        }
    } else if let Some(Smooth { kind, factor, left, right }) = Smooth::of(activation) {
        // The parameter multiplies the error.
        let bits = (bits + exponent_above(factor)).clamp(*BITS.start(), *BITS.end());
        let far = kind.asymptote(bits);
        let edge = f64::from(far);
        let tail = mul_up(kind.tail(far), factor.abs());
        clip(&mut pieces, interval, f64::NEG_INFINITY, -edge, Shape::Line(left), tail);
        if kind == Kind::Exponential {
            units(&mut pieces, interval, -edge, 0.0, kind, factor, bits)?;
            clip(&mut pieces, interval, 0.0, f64::INFINITY, Shape::Line(right), 0.0);
        } else {
            units(&mut pieces, interval, -edge, edge, kind, factor, bits)?;
            clip(&mut pieces, interval, edge, f64::INFINITY, Shape::Line(right), tail);
        }
    } else {
        let long = interval.upper - interval.lower > most_units(count);
        if long || interval.magnitude() > FARTHEST_UNIT {
            let range = value_range(activation, interval);
            let shape = Shape::Line(Line::new(0.0, range.middle()));
            let error = range.radius_about(range.middle());
            clip(&mut pieces, interval, f64::NEG_INFINITY, f64::INFINITY, shape, error);
        } else {
            let start = interval.lower.floor();
            let end = interval.upper.ceil().max(start + 1.0);
            units(&mut pieces, interval, start, end, Kind::Sin, 1.0, bits)?;
        }
    }
    // Everything proven rests on this.
    let complete = pieces.first().is_some_and(|first| first.lower == interval.lower)
        && pieces.last().is_some_and(|last| last.upper == interval.upper)
        && pieces.windows(2).all(|pair| pair[0].upper == pair[1].lower);
    if complete { Ok(pieces) } else { Err(no_model(activation.name(), interval)) }
}

fn no_model(name: &str, interval: Interval) -> Error {
    let Interval { lower, upper } = interval;
    let found = format!("no model of {name} on [{lower}, {upper}]");
    Error::invalid("interval", found, "an interval that can be modelled")
}

/// The line from which the activation is 2^-bits at most on the whole interval, if there is one.
pub(super) fn single_line(activation: Activation, interval: Interval, bits: i32) -> Option<Line> {
    let ends = |from: f64, to: f64| from <= interval.lower && interval.upper <= to;
    if let Some(lines) = lines(activation) {
        return lines.into_iter().find(|&(from, to, _)| ends(from, to)).map(|(_, _, line)| line);
    }
    let Smooth { kind, factor, left, right } = Smooth::of(activation)?;
    let bits = (bits + exponent_above(factor)).clamp(*BITS.start(), *BITS.end());
    let edge = f64::from(kind.asymptote(bits));
    if ends(f64::NEG_INFINITY, -edge) {
        Some(left)
    } else if ends(if kind == Kind::Exponential { 0.0 } else { edge }, f64::INFINITY) {
        Some(right)
    } else {
        None
    }
}

/// The pieces (from, to, line) of a piecewise-linear activation.
pub(super) fn lines(activation: Activation) -> Option<Vec<(f64, f64, Line)>> {
    const FAR: f64 = f64::INFINITY;
    const IDENTITY: Line = Line::new(1.0, 0.0);
    let kinked = |slope: f64| vec![(-FAR, 0.0, Line::new(slope, 0.0)), (0.0, FAR, IDENTITY)];
    Some(match activation {
        Activation::Identity | Activation::LeakyRelu { slope: 1.0 } => vec![(-FAR, FAR, IDENTITY)],
        Activation::Relu | Activation::Elu { alpha: 0.0 } => kinked(0.0),
        Activation::LeakyRelu { slope } => kinked(slope),
        Activation::Abs => kinked(-1.0),
        Activation::HardTanh => vec![
            (-FAR, -1.0, Line::new(0.0, -1.0)),
            (-1.0, 1.0, IDENTITY),
            (1.0, FAR, Line::new(0.0, 1.0)),
        ],
        _ => return None,
    })
}

/// Adds the part of a piece on [from, to] that lies in `interval`, if it is more than a point or
/// all that there is.
fn clip(pieces: &mut Vec<Piece>, interval: Interval, from: f64, to: f64, shape: Shape, error: f64) {
    let (lower, upper) = (interval.lower.max(from), interval.upper.min(to));
    let point = interval.lower == interval.upper && lower == upper && pieces.is_empty();
    if lower < upper || point {
        pieces.push(Piece { lower, upper, shape, error });
    }
}

/// Adds the series on the unit intervals between the integers `start` and `end`.
fn units(
    pieces: &mut Vec<Piece>,
    interval: Interval,
    start: f64,
    end: f64,
    kind: Kind,
    factor: f64,
    bits: i32,
) -> Result<()> {
    let first = start.max(interval.lower.floor());
    let last = end.min(interval.upper.ceil().max(interval.lower.floor() + 1.0));
    // Some thousand integers at most, all exact in f64.
    let mut k = first;
    while k < last {
        // No series where `clip` would drop it.
        if k.max(interval.lower) < (k + 1.0).min(interval.upper) || interval.lower == interval.upper
        {
            // An integer below 2^40.
            let series = cached(kind, k as i64, bits)
                .ok_or_else(|| no_model(kind.activation().name(), Interval::new(k, k + 1.0)))?;
            let error = mul_up(series.error, factor.abs());
            clip(pieces, interval, k, k + 1.0, Shape::Series { first: k, factor, series }, error);
        }
        k += 1.0;
    }
    Ok(())
}

/// An activation that is smooth on either side of 0 and has asymptotes.
struct Smooth {
    kind: Kind,
    /// The activation is so many times the function of that kind; right of 0 an ELU is z.
    factor: f64,
    left: Line,
    right: Line,
}

impl Smooth {
    fn of(activation: Activation) -> Option<Self> {
        let (zero, identity) = (Line::new(0.0, 0.0), Line::new(1.0, 0.0));
        let (kind, factor, left, right) = match activation {
            Activation::Tanh => (Kind::Tanh, 1.0, Line::new(0.0, -1.0), Line::new(0.0, 1.0)),
            Activation::Sigmoid => (Kind::Sigmoid, 1.0, zero, Line::new(0.0, 1.0)),
            Activation::Softplus => (Kind::Softplus, 1.0, zero, identity),
            Activation::Silu => (Kind::Silu, 1.0, zero, identity),
            Activation::Gelu => (Kind::Gelu, 1.0, zero, identity),
            Activation::Elu { alpha } => {
                (Kind::Exponential, alpha, Line::new(0.0, -alpha), identity)
            }
            _ => return None,
        };
        Some(Smooth { kind, factor, left, right })
    }
}

/// The smooth functions, freed of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Tanh,
    Sigmoid,
    Softplus,
    Silu,
    Gelu,
    Sin,
    /// e^z - 1, the left part of the ELU with alpha 1.
    Exponential,
}

impl Kind {
    fn activation(self) -> Activation {
        match self {
            Kind::Tanh => Activation::Tanh,
            Kind::Sigmoid => Activation::Sigmoid,
            Kind::Softplus => Activation::Softplus,
            Kind::Silu => Activation::Silu,
            Kind::Gelu => Activation::Gelu,
            Kind::Sin => Activation::Sin,
            Kind::Exponential => Activation::Elu { alpha: 1.0 },
        }
    }

    /// The least K >= 1 for which [`tail`](Self::tail) is at most 2^-bits.
    fn asymptote(self, bits: i32) -> u32 {
        let goal = power_of_two(bits.saturating_neg());
        // The tail at 1,100 is below every f64.
        (1..1100).find(|&far| self.tail(far) <= goal).unwrap_or(1100)
    }

    /// A bound on the distance to the asymptotes beyond -+K, for K >= 1:
    /// 1 - tanh z <= 2 e^(-2 z); sigmoid z <= e^z, and 1 - sigmoid z = sigmoid(-z);
    /// softplus z <= e^z, and softplus z - z = softplus(-z); |SiLU z| <= |z| e^z for z <= -1,
    /// where it falls towards the left, and SiLU z - z = SiLU(-z); |GELU z| = |z| Phi(-|z|) <=
    /// e^(-z^2/2) / sqrt(2 pi) (Mills' ratio) for z < 0, and GELU z - z = GELU(-z). The sine has
    /// none. All with e > 2^1.4426.
    fn tail(self, far: u32) -> f64 {
        let k = i64::from(far);
        let below = |exponent: i64| {
            // floor(1.4426 exponent), at most 2^21.
            let whole = i32::try_from(exponent * 14_426 / 10_000).unwrap_or(i32::MAX);
            // Never 0: the distance is not.
            power_of_two(whole.saturating_neg()).max(f64::from_bits(1))
        };
        match self {
            Kind::Tanh => 2.0 * below(2 * k),
            Kind::Sigmoid | Kind::Softplus | Kind::Exponential => below(k),
            Kind::Silu => mul_up(f64::from(far), below(k)),
            Kind::Gelu => (0.5 * below(k * k / 2)).max(f64::from_bits(1)),
            Kind::Sin => 1.0,
        }
    }

    /// Radii rho of Bernstein ellipses inside the domain of analyticity, and 1000 log2 rho rounded
    /// down.
    ///
    /// The ellipse about [k, k + 1] has the half axes (rho + 1/rho)/4 along and (rho - 1/rho)/4
    /// across. tanh has its poles at +-i pi/2 (across at rho = 6: 1.4584), sigmoid, softplus and
    /// SiLU at +-i pi (across at rho = 12: 2.9792); the others have none.
    fn ellipses(self) -> &'static [(i64, i64)] {
        match self {
            Kind::Tanh => &[(6, 2584)],
            Kind::Sigmoid | Kind::Softplus | Kind::Silu => &[(12, 3584)],
            _ => &[
                (4, 2000),
                (6, 2584),
                (8, 3000),
                (12, 3584),
                (16, 4000),
                (24, 4584),
                (32, 5000),
                (64, 6000),
            ],
        }
    }

    /// An integer m with |s| <= 2^m on the ellipse of radius rho about [k, k + 1], k <= -1 unless
    /// the function is the sine.
    ///
    /// Write z = x + i y with |y| <= b and x <= x1 on the ellipse.
    ///
    /// - tanh: |tanh z|^2 = (sinh^2 x + sin^2 y) / (sinh^2 x + cos^2 y) <= max(1, tan^2 y), and
    ///   tan 1.4584 = cot 0.1123... <= 1 / 0.112 < 9.
    /// - sigmoid z = (1 + tanh(z/2)) / 2, tan(2.9792 / 2) <= 1 / 0.081 < 12.4: below 7.
    /// - softplus: with w = 1 + e^z, |ln w| <= |ln |w|| + |arg w|, |arg w| <= pi. |w| <= 1 + e^x, and
    ///   |w|^2 = (e^x + cos y)^2 + sin^2 y >= sin^2 b if cos y < 0, >= 1 if not; sin 2.9792 > 0.16
    ///   and -ln 0.16 < 2. So |ln w| <= pi + max(2, ln 2 + max(x1, 0)) <= 6 + max(x1, 0).
    /// - SiLU = z sigmoid z.
    /// - GELU = z Phi(z). For x <= 0: erfc v = 2/sqrt(pi) e^(-v^2) int_0^oo e^(-t^2 - 2 v t) dt for
    ///   Re v >= 0, so |erfc v| <= |e^(-v^2)| and |Phi(z)| = |erfc(-z / sqrt 2)| / 2 <=
    ///   e^((y^2 - x^2) / 2) / 2. For x > 0, Phi(z) = 1 - Phi(-z): at most
    ///   1 + e^((y^2 - x^2)/2) / 2.
    /// - |sin z| <= cosh y <= e^b.
    /// - |e^z - 1| <= e^x1 + 1 <= 2 e^max(x1, 0).
    fn log_bound(self, k: i64, rho: i64) -> i64 {
        // Everything in thousandths, rounded up.
        let along = (rho * rho + 1) * 250 / rho + 1;
        let across = (rho * rho - 1) * 250 / rho + 1;
        let rightmost = 1000 * k + 500 + along;
        let leftmost = 1000 * k + 500 - along;
        // log2 e^(x / 1000), x / 1000 times 1.4427 or 1.4426, rounded up.
        let log_exp = |x: i64| (x * if x > 0 { 14_427 } else { 14_426 }).div_euclid(10_000_000) + 1;
        // An m with n / 1000 <= 2^m, for n > 0.
        let log = |n: i64| i64::from(64 - (n / 1000 + 1).leading_zeros());
        let size = || log(leftmost.abs().max(rightmost.abs()) + across);
        match self {
            Kind::Tanh => 4,
            Kind::Sigmoid => 3,
            Kind::Softplus => log(6000 + rightmost.max(0)),
            Kind::Silu => 3 + size(),
            Kind::Gelu => {
                let least = rightmost.min(0);
                let half = log_exp((across * across - least * least) / 2000 + 1) - 1;
                size() + if rightmost > 0 { half.max(0) + 1 } else { half }
            }
            Kind::Sin => log_exp(across),
            Kind::Exponential => 1 + log_exp(rightmost.max(0)),
        }
    }
}

/// The degree, and the bits of the remainder: the interpolant of degree d on [k, k + 1] is within
/// 2^-bits of the function.
///
/// An f that is analytic with |f| <= M in the ellipse of radius rho is at most
/// 4 M rho^-d / (rho - 1) from its interpolant in the d + 1 Chebyshev points (Trefethen,
/// Approximation Theory and Approximation Practice, theorem 8.2: |a_j| <= 2 M rho^-j, and the
/// interpolant folds each a_j, j > d, onto one of its own).
fn degree_for(kind: Kind, k: i64, bits: i32) -> Option<usize> {
    kind.ellipses()
        .iter()
        .map(|&(rho, log_rho)| {
            // d log2 rho >= 2 + log2 M + bits, where rho - 1 >= 1.
            let needed = 1000 * (2 + kind.log_bound(k, rho) + i64::from(bits));
            needed.max(0).div_euclid(log_rho) + 1
        })
        .min()
        .and_then(|degree| usize::try_from(degree).ok())
        .map(|degree| degree.max(2))
}

/// The series from the store, or a new one.
fn cached(kind: Kind, k: i64, bits: i32) -> Option<Arc<Series>> {
    type Slot = Arc<OnceLock<Option<Arc<Series>>>>;
    type Store = Mutex<HashMap<(Kind, i64, i32), Slot>>;
    static STORE: OnceLock<Store> = OnceLock::new();
    let slot = {
        let store = STORE.get_or_init(Mutex::default);
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.len() >= MOST_SERIES {
            store.clear();
        }
        store.entry((kind, k, bits)).or_default().clone()
    };
    // Outside the lock of the store: others wait for this series only if they need it.
    slot.get_or_init(|| series(kind, k, bits).map(Arc::new)).clone()
}

/// The Chebyshev interpolant of a function on [k, k + 1], to about 2^-bits.
fn series(kind: Kind, k: i64, bits: i32) -> Option<Series> {
    // tanh and sine are odd; sigmoid z = 1 - sigmoid(-z); softplus, SiLU and GELU have
    // s(z) = z + s(-z).
    if k >= 0 && kind != Kind::Sin {
        let mirrored = cached(kind, -k - 1, bits)?;
        return reflected(kind, &mirrored, k);
    }
    let activation = kind.activation();
    let (start, end) = (k as f64, k as f64 + 1.0);
    let largest = activation.value(start).abs().max(activation.value(end).abs());
    // Ten bits below the goal; but values below 2^116, where the interior of the interval exceeds
    // the larger end by a factor 2 at most. (The loop checks.)
    let unit = (bits + 10).min(114 - exponent_above(largest).max(-1100));
    // With fewer than 500 of these values no sum below overflows.
    let degree = degree_for(kind, k, unit).filter(|&degree| degree < 500)?;
    let cosines = circle(degree);
    let mut values = Vec::with_capacity(degree + 1);
    let value_bits = u32::try_from(unit + 2).unwrap_or(0);
    for v in &cosines {
        // k + 1/2 + v/2.
        let middle = dyadic(BigInt::from(2 * k + 1), 1);
        let z = sum(&middle, &dyadic(BigInt::from(*v), u64::from(CIRCLE_BITS) + 1));
        let value = activation.enclose(&Enclosure::point(z), value_bits);
        let value = from_rational(value.lower(), unit)?;
        if value.unsigned_abs() >= 1 << 116 {
            return None;
        }
        values.push(value);
    }
    // The error of a value in units: the width of the enclosure (1/4), the rounding (1), and the
    // place, at most 5 d units of 2^-120 in v and half of that in z, times the slope.
    let slope = exact_slope_range(activation, Interval::new(start, end)).magnitude();
    let degree_f = degree as f64;
    let place = mul_up(mul_up(2.5 * degree_f, slope), power_of_two(unit - CIRCLE_BITS as i32));
    let value_error = add_up(1.25, place);
    // a_j = (2 / d) sum'' f_i cos(i j pi / d), first and last term halved, and the first and last
    // a_j as well. An error of the values passes to a_j at most twice; the cosines (5 d units of
    // 2^-120) and the product (1 unit) add to each of the d terms, and the division 1 unit.
    let coefficients: Vec<i128> = (0..=degree)
        .map(|j| {
            let twice: i128 = (0..=degree)
                .map(|i| {
                    let m = i * j % (2 * degree);
                    let cosine = cosines[m.min(2 * degree - m)];
                    let end = i == 0 || i == degree;
                    let weight = if end { 1 } else { 2 };
                    weight * fixed::product::<CIRCLE_BITS>(values[i], cosine)
                })
                .sum();
            let share = if j == 0 || j == degree { 2 } else { 1 };
            twice / (share * degree as i128)
        })
        .collect();
    let peak = values.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0) as f64;
    let cosine_error = mul_up(mul_up(10.0 * degree_f, peak), power_of_two(-(CIRCLE_BITS as i32)));
    let rounding = [2.0 * value_error, 2.0, cosine_error, 1.0].into_iter().fold(0.0, add_up);
    // d + 1 coefficients, and the remainder of at most one unit.
    let units = add_up(mul_up(degree_f + 1.0, rounding), 1.0);
    let mut coefficients = coefficients;
    // The last ones are often zero to the unit.
    while coefficients.len() > 1 && coefficients.last() == Some(&0) {
        coefficients.pop();
    }
    let (error, slope) = (round_up(units, unit), OnceLock::new());
    Some(Series { coefficients, unit, error, degree, rounding, slope })
}

/// The series on [k, k + 1] from that on [-k - 1, -k].
fn reflected(kind: Kind, series: &Series, k: i64) -> Option<Series> {
    // z = k + 1/2 + v/2 is -z' with v' = -v: odd powers change their sign.
    let sign = |j: usize, c: i128| if j % 2 == 1 { -c } else { c };
    let negate = matches!(kind, Kind::Tanh | Kind::Sigmoid);
    // 1, or z, takes more room than the tail on the left: the unit must leave it that room.
    let added = k as f64 + 1.0;
    let unit = series.unit.min(114 - exponent_above(added));
    let shift = u32::try_from(series.unit - unit).ok()?;
    let mut coefficients: Vec<i128> = series
        .coefficients
        .iter()
        .enumerate()
        .map(|(j, &c)| {
            // Floor: less than a unit off.
            let c = if shift < 128 { sign(j, c) >> shift } else { 0 };
            if negate { -c } else { c }
        })
        .collect();
    coefficients.resize(coefficients.len().max(2), 0);
    let rounding = if shift > 0 { series.coefficients.len() as f64 } else { 0.0 };
    let half = BigRational::new(BigInt::one(), 2.into());
    match kind {
        Kind::Tanh | Kind::Sin | Kind::Exponential => {}
        Kind::Sigmoid => coefficients[0] += from_rational(&BigRational::one(), unit)?,
        Kind::Softplus | Kind::Silu | Kind::Gelu => {
            let middle = &half + BigRational::from_integer(k.into());
            // Exact: multiples of 1/2, and the unit is finer.
            coefficients[0] += from_rational(&middle, unit)?;
            coefficients[1] += from_rational(&half, unit)?;
        }
    }
    let error = add_up(series.error, round_up(rounding, unit));
    // Old units are no coarser than the new ones; the floor adds one.
    let (degree, rounding) = (series.degree, add_up(series.rounding, 1.0));
    Some(Series { coefficients, unit, error, degree, rounding, slope: OnceLock::new() })
}

impl Series {
    /// The derivative, if its numbers have room.
    ///
    /// What the interpolant of degree d misses is sum over j > d of a_j (T_j - T_m), m <= d, with
    /// |a_j| <= 2 M rho^-j as in [`degree_for`]. Its derivative by z = k + 1/2 + v/2 is at most
    /// 8 M sum over j > d of j^2 rho^-j, since |T_j'| <= j^2. The terms fall by
    /// ((d + 2) / (d + 1))^2 / rho <= 4/9 at least (d >= 2, rho >= 4), so that this is at most
    /// 8 M (d + 1)^2 rho^(-d - 1) 9/5 <= 3.6 M (d + 1)^2 rho^-d, and 4 M rho^-d is at most a unit.
    fn slope(&self) -> Option<&Slope> {
        let make = || {
            let count = self.coefficients.len();
            // Of sum_k c_k T_k(v): e_(k-1) = e_(k+1) + 2 k c_k, and e_0 half of that; twice this.
            let mut slopes = vec![0_i128; count + 1];
            for k in (1..count).rev() {
                let term = self.coefficients[k].checked_mul(4 * k as i128)?;
                slopes[k - 1] = slopes[k + 1].checked_add(term)?;
            }
            slopes[0] /= 2;
            slopes.truncate(count.saturating_sub(1).max(1));
            // What `chebyshev_sum` needs.
            let terms = slopes.iter().enumerate().map(|(k, c)| (k as f64 + 1.0) * c.abs() as f64);
            if terms.sum::<f64>() >= power_of_two(116) {
                return None;
            }
            let degree = self.degree as f64;
            // 2 sum of k^2 <= (2/3) d (d + 1) (d + 1/2) <= (2/3) (d + 1)^3.
            let cube = (degree + 1.0).powi(3);
            let error = add_up(mul_up(cube, self.rounding), (degree + 1.0).powi(2));
            Some(Slope { coefficients: slopes, error })
        };
        self.slope.get_or_init(make).as_ref()
    }
}

/// The accuracy at which single values are read off a series.
const POINT_BITS: i32 = 88;

/// Single values are read off series this far from 0.
const FARTHEST_POINT: f64 = 64.0;

/// s(z) within a few units in the last place for a smooth function (for the ELU: its left part),
/// from the kept series; `None` where they are not as good.
///
/// Time: below a microsecond once the series is there.
pub(super) fn quick_value(activation: Activation, z: f64) -> Option<Interval> {
    let (kind, factor) = kind_of(activation)?;
    let (lowest, highest) = match kind {
        Kind::Tanh | Kind::Sin => (-1.0, 1.0),
        Kind::Sigmoid => (0.0, 1.0),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let (v, series) = place_in_series(kind, z)?;
    let error = times_power(series.error, series.unit).next_up();
    let value = near_sum(&series.coefficients, v, error, series.unit)?;
    let value = Interval::new(value.lower.max(lowest), value.upper.min(highest));
    Some(if factor == 1.0 { value } else { value.scaled(factor) })
}

/// s'(z) as [`quick_value`] has s(z).
pub(super) fn quick_slope(activation: Activation, z: f64) -> Option<Interval> {
    let (kind, factor) = kind_of(activation)?;
    let (v, series) = place_in_series(kind, z)?;
    let slope = series.slope()?;
    let value = near_sum(&slope.coefficients, v, slope.error, series.unit)?;
    let value = if factor == 1.0 { value } else { value.scaled(factor) };
    let steepest = activation.lipschitz();
    Some(Interval::new(value.lower.max(-steepest), value.upper.min(steepest)))
}

/// The smooth function that the activation is a multiple of, and the factor.
fn kind_of(activation: Activation) -> Option<(Kind, f64)> {
    match activation {
        Activation::Sin => Some((Kind::Sin, 1.0)),
        _ => Smooth::of(activation).map(|smooth| (smooth.kind, smooth.factor)),
    }
}

/// The series for a number within a unit of 2^-96 of z, and its variable there in such units.
fn place_in_series(kind: Kind, z: f64) -> Option<(i128, Arc<Series>)> {
    // At 0 there are exact values.
    if z == 0.0 || z.abs() > FARTHEST_POINT {
        return None;
    }
    // Rounded towards 0, over no integer.
    let place = from_f64(z, FRACTION as i32)?;
    let first = z.floor();
    let series = cached(kind, first as i64, POINT_BITS)?;
    // 2 (z - first) - 1.
    Some((2 * place - ((2 * first as i128 + 1) << FRACTION), series))
}

/// The sum at v widened by `error` units, if that is a few units in the last place of an f64.
fn near_sum(coefficients: &[i128], v: i128, error: f64, unit: i32) -> Option<Interval> {
    let [sum] = chebyshev_sum(coefficients, [v]);
    // The roundings of the sum; a unit of 2^-96 in z, where |s'| and |s''| are at most 2.
    let place = power_of_two(unit - FRACTION as i32 + 1);
    let radius = (add_up(add_up(error, coefficients.len() as f64), place).ceil() + 1.0) as i128;
    (radius < sum.abs() >> 53).then(|| outward(sum - radius, sum + radius, unit))
}

/// An upper bound of count 2^-unit.
fn round_up(count: f64, unit: i32) -> f64 {
    if count == 0.0 { 0.0 } else { times_power(count, -unit).next_up() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::rational::rational_from_f64;
    use num_traits::{Signed, Zero};
    use proptest::prelude::*;

    fn exact(x: f64) -> BigRational {
        rational_from_f64(x).unwrap()
    }

    /// The shape at z, exactly.
    fn value(shape: &Shape, z: &BigRational) -> BigRational {
        match shape {
            Shape::Line(line) => exact(line.slope) * z + exact(line.offset),
            Shape::Series { first, factor, series } => {
                let v = (z - exact(*first)) * BigInt::from(2) - BigRational::one();
                let (mut near, mut far) = (BigRational::zero(), BigRational::zero());
                let unit = BigRational::new(BigInt::one(), BigInt::one() << series.unit);
                let mut coefficients = series.coefficients.iter().map(|&c| &unit * BigInt::from(c));
                let first = coefficients.next().unwrap();
                for c in coefficients.rev() {
                    let next = c + &v * BigInt::from(2) * &near - &far;
                    far = std::mem::replace(&mut near, next);
                }
                (first + v * near - far) * exact(*factor)
            }
        }
    }

    fn activation() -> impl Strategy<Value = Activation> {
        let mut all = Activation::ALL.to_vec();
        all.extend([Activation::Elu { alpha: 1e-7 }, Activation::Elu { alpha: -300.0 }]);
        proptest::sample::select(all)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn pieces_cover_the_interval_within_their_errors(
            activation in activation(),
            centre in prop_oneof![-30.0..30.0f64, -3.0..3.0f64],
            half in prop_oneof![1e-3..1.0f64, 1.0..40.0f64],
            bits in 16..120i32,
            picks in prop::collection::vec((any::<prop::sample::Index>(), 0.0..=1.0f64), 3),
        ) {
            let interval = Interval::new(centre - half, centre + half);
            let pieces = pieces(activation, interval, bits, 1).unwrap();
            for (at, share) in picks {
                let piece = &pieces[at.index(pieces.len())];
                let z = exact(piece.lower)
                    + exact(share) * (exact(piece.upper) - exact(piece.lower));
                let s = activation.enclose(&Enclosure::point(z.clone()), 200);
                let p = value(&piece.shape, &z);
                let error = exact(piece.error);
                prop_assert!(&p - s.upper() <= error && s.lower() - &p <= error);
                // And no bound is far above the goal, but for a sine beyond its polynomial.
                if activation != Activation::Sin || 2.0 * half < most_units(1) {
                    prop_assert!(piece.error <= power_of_two(-bits) + 1e-27, "{}", piece.error);
                }
            }
        }
    }

    #[test]
    fn tiny_tails_are_modelled_to_their_own_size() {
        // GELU(-16) is about -1e-56: 2^-186.
        let interval = Interval::new(-16.01, -15.99);
        for piece in pieces(Activation::Gelu, interval, 280, 1).unwrap() {
            let z = exact((piece.lower + piece.upper) / 2.0);
            let s = Activation::Gelu.enclose(&Enclosure::point(z.clone()), 400);
            let off = (value(&piece.shape, &z) - s.lower()).abs();
            assert!(off <= exact(piece.error) && piece.error < 1e-79, "{:e}", piece.error);
        }
    }

    #[test]
    fn bounds_hold_on_the_ellipses() {
        // The functions at x + i y in f64, from e^z.
        type C = (f64, f64);
        let times = |a: C, b: C| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
        let over = |a: C, b: C| {
            let size = b.0 * b.0 + b.1 * b.1;
            let (re, im) = times(a, (b.0, -b.1));
            (re / size, im / size)
        };
        let exp = |z: C| (z.0.exp() * z.1.cos(), z.0.exp() * z.1.sin());
        let sigmoid = |z: C| {
            let e = exp(z);
            over(e, (1.0 + e.0, e.1))
        };
        // erf by its Maclaurin series: 2 / sqrt(pi) sum (-1)^n z^(2n+1) / (n! (2n+1)).
        let erf = |z: C| {
            let square = times(z, z);
            let (mut power, mut sum) = (z, (0.0, 0.0));
            for n in 0..120 {
                let n = f64::from(n);
                sum = (sum.0 + power.0 / (2.0 * n + 1.0), sum.1 + power.1 / (2.0 * n + 1.0));
                let next = times(power, square);
                power = (-next.0 / (n + 1.0), -next.1 / (n + 1.0));
            }
            let factor = 2.0 / std::f64::consts::PI.sqrt();
            (factor * sum.0, factor * sum.1)
        };
        let root = std::f64::consts::FRAC_1_SQRT_2;
        let value = |kind: Kind, z: C| -> f64 {
            let (re, im) = match kind {
                Kind::Tanh => {
                    let s = sigmoid((2.0 * z.0, 2.0 * z.1));
                    (2.0 * s.0 - 1.0, 2.0 * s.1)
                }
                Kind::Sigmoid => sigmoid(z),
                Kind::Softplus => {
                    let e = exp(z);
                    ((1.0 + e.0).hypot(e.1).ln(), e.1.atan2(1.0 + e.0))
                }
                Kind::Silu => times(z, sigmoid(z)),
                Kind::Gelu => {
                    let e = erf((z.0 * root, z.1 * root));
                    times((z.0 / 2.0, z.1 / 2.0), (1.0 + e.0, e.1))
                }
                Kind::Sin => (z.0.sin() * z.1.cosh(), z.0.cos() * z.1.sinh()),
                Kind::Exponential => {
                    let e = exp(z);
                    (e.0 - 1.0, e.1)
                }
            };
            re.hypot(im)
        };
        let kinds = [
            Kind::Tanh,
            Kind::Sigmoid,
            Kind::Softplus,
            Kind::Silu,
            Kind::Gelu,
            Kind::Sin,
            Kind::Exponential,
        ];
        for kind in kinds {
            for k in [-1, -2, -3, -20] {
                for &(rho, log_rho) in kind.ellipses() {
                    assert!((rho as f64).log2() * 1000.0 >= log_rho as f64);
                    // The Maclaurin series loses all digits farther out.
                    if kind == Kind::Gelu && (k < -3 || rho > 8) {
                        continue;
                    }
                    let bound = (kind.log_bound(k, rho) as f64).exp2();
                    let r = rho as f64;
                    let (along, across) = ((r + 1.0 / r) / 4.0, (r - 1.0 / r) / 4.0);
                    let largest = (0..2000)
                        .map(|i| f64::from(i) * std::f64::consts::PI / 1000.0)
                        .map(|a| (k as f64 + 0.5 + along * a.cos(), across * a.sin()))
                        .map(|z| value(kind, z))
                        .fold(0.0, f64::max);
                    assert!(largest <= bound * (1.0 + 1e-6), "{kind:?} {k} {rho}");
                    // A bound that is far off would only cost degrees, but would show a slip.
                    assert!(bound <= 40.0 * largest + 300.0, "{kind:?} {k} {rho} {bound}");
                }
            }
        }
    }

    #[test]
    fn asymptotes_are_as_near_as_promised() {
        for kind in
            [Kind::Tanh, Kind::Sigmoid, Kind::Softplus, Kind::Silu, Kind::Gelu, Kind::Exponential]
        {
            let Smooth { left, right, .. } = Smooth::of(kind.activation()).unwrap();
            for far in [1, 2, 5, 12, 30] {
                for z in [f64::from(far), f64::from(far) + 0.7] {
                    for (z, Line { slope, offset }) in [(-z, left), (z, right)] {
                        let s = kind.activation().enclose(&Enclosure::point(exact(z)), 1500);
                        let line = exact(slope) * exact(z) + exact(offset);
                        let off = (s.lower() - line).abs();
                        assert!(off <= exact(kind.tail(far)), "{kind:?} at {z}");
                    }
                }
            }
        }
    }
}
