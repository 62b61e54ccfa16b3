//! Proven bounds on the distance between a polynomial and an activation.
//!
//! On every piece of the activation's [model](super::model) the difference q = p - shape is a
//! polynomial of some degree N in the piece's own variable y in [-1, 1]. By M. Riesz's lemma (1914), if
//! |q(cos theta)| is largest at theta*, then |q(cos theta)| >= max |q| cos(N (theta - theta*)) for
//! N |theta - theta*| <= pi / 2 (Ehlich and Zeller 1964 build grids on it). So if the largest value
//! lies between two neighbouring angles that are 2 h apart, one of the two values there is at least
//! max |q| cos(N h). [`largest`] starts from a coarse grid of angles, drops the cells of which the
//! values at both ends are too small for the maximum, and halves the others until 1 / cos(N h)
//! costs less than 1/10,000.
//!
//! The values are computed in f64 with an error bound that is known beforehand, and, where that is
//! not small beside the error of the fit, in [fixed point](crate::numeric::fixed).

use super::model::{Line, Piece, Shape, pieces};
use super::series::chebyshev_sums;
use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::numeric::Dyadic;
use crate::numeric::fixed::{
    CIRCLE_BITS, FRACTION, chebyshev_sum, circle, exponent_above, from_f64, from_rational,
    power_of_two, product, times_power, to_f64,
};
use crate::numeric::outward::{Interval, add_up, div_up, mul_up};
use crate::numeric::rational::{rational_from_f64, rational_to_f64};
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use std::f64::consts::PI;
use std::sync::OnceLock;

/// The unit roundoff of f64.
pub(super) const ROUNDOFF: f64 = f64::EPSILON / 2.0;

/// Neighbouring angles of the finest grid are pi / 2^16 apart.
pub(super) const FINEST: u32 = 1 << 16;

/// sum_k c_k T_k((z - centre) scale).
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub centre: f64,
    pub scale: f64,
    pub coefficients: &'a [f64],
}

impl Candidate<'_> {
    /// (z - centre) scale, exactly; all three are finite.
    pub fn place(&self, z: f64) -> Dyadic {
        let exact = |x: f64| Dyadic::from_f64(x).unwrap_or_else(Dyadic::zero);
        &(&exact(z) - &exact(self.centre)) * &exact(self.scale)
    }
}

/// What is proven of a polynomial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    /// At least sup |p - s|.
    pub error: f64,
    /// At most the error of any polynomial of the degree asked for.
    pub lower_bound: f64,
}

/// Bounds sup |p - s| over `interval`, and the best error of any polynomial of degree `degree`.
///
/// `expected` is a guess at the error, which decides how finely the activation is modelled; a bad
/// guess costs time or tightness. `points`: f64 places, ascending, where p - s is expected to have
/// its extremes with alternating signs. If p has degree `degree` at most and p - s alternates in
/// sign over degree + 2 of them, then no polynomial of that degree is nearer to s than the least
/// |p - s| among these (de la Vallee Poussin 1910).
///
/// The caller has checked that the interval is finite, that (z - centre) scale is in [-1, 1] on it,
/// that there are at most 1001 coefficients, all finite, and at least one.
pub(super) fn prove(
    activation: Activation,
    interval: Interval,
    polynomial: Candidate,
    expected: f64,
    degree: usize,
    points: &[f64],
) -> Result<Proof> {
    // The model may be off by 2^-20 of the error, of which 2^-60 of the polynomial's size is the
    // least to expect.
    let size = polynomial.coefficients.iter().fold(0.0_f64, |sum, c| sum + c.abs());
    let least = (size * power_of_two(-60)).max(power_of_two(-640));
    let expected = if expected.is_nan() { size } else { expected.max(least) };
    let needed = 21 - exponent_above(expected);
    let count = polynomial.coefficients.len();
    let model = pieces(activation, interval, in_steps(needed), count)?;
    let proof = estimate(&model, polynomial, expected, degree, points)?;
    if let [Piece { shape: Shape::Line(line), error, .. }] = model[..]
        && polynomial.coefficients.len() <= 2
    {
        let distance = distance_of_lines(polynomial, interval, line);
        return Ok(Proof { error: add_up(distance, error), ..proof });
    }
    Ok(proof)
}

/// The proof by a grid, in f64 if that is accurate enough beside the error expected.
fn estimate(
    model: &[Piece],
    polynomial: Candidate,
    expected: f64,
    degree: usize,
    points: &[f64],
) -> Result<Proof> {
    let cut = expected * 2e-5;
    let quick: Option<Vec<_>> =
        model.iter().map(|piece| FloatPiece::new(piece, polynomial, cut)).collect();
    if let Some(quick) = quick
        && quick.iter().all(|piece| piece.slack <= expected * 1e-4)
    {
        return Ok(conclude(&quick, degree, points));
    }
    let exact: Option<Vec<_>> =
        model.iter().map(|piece| FixedPiece::new(piece, polynomial, cut)).collect();
    Ok(conclude(&exact.ok_or_else(too_large)?, degree, points))
}

/// max |p - slope z - offset| over the interval for a p of degree 1 at most, in exact arithmetic.
fn distance_of_lines(polynomial: Candidate, interval: Interval, line: Line) -> f64 {
    let exact = |x: f64| rational_from_f64(x).unwrap_or_else(BigRational::zero);
    let coefficient = |k: usize| exact(polynomial.coefficients.get(k).copied().unwrap_or(0.0));
    [interval.lower, interval.upper]
        .map(|z| {
            let value = coefficient(0) + coefficient(1) * polynomial.place(z).to_rational();
            let difference = (value - exact(line.slope) * exact(z) - exact(line.offset)).abs();
            // The least f64 at or above it.
            Interval::around(&crate::numeric::interval::Enclosure::point(difference)).upper
        })
        .into_iter()
        .fold(0.0, f64::max)
}

/// Accuracies come in steps, so that neighbouring intervals share their series.
fn in_steps(bits: i32) -> i32 {
    16 + 24 * ((bits - 16).div_euclid(24) + 1)
}

/// s - p in fixed point, for the search of p.
pub(super) struct Evaluator(Vec<FixedPiece>);

impl Evaluator {
    /// For an activation of the given size on the interval; off by about 2^-80 of it.
    pub fn new(
        activation: Activation,
        interval: Interval,
        polynomial: Candidate,
        size: f64,
    ) -> Result<Self> {
        let bits = in_steps(84 - exponent_above(size));
        let model = pieces(activation, interval, bits, polynomial.coefficients.len())?;
        let cut = size * power_of_two(-80);
        let pieces = model.iter().map(|piece| FixedPiece::new(piece, polynomial, cut)).collect();
        Ok(Evaluator(Option::ok_or_else(pieces, too_large)?))
    }

    /// s - p at each z of the interval.
    pub fn differences(&self, zs: &[f64]) -> Vec<f64> {
        let mut differences = vec![0.0; zs.len()];
        let mut values = Vec::new();
        let home: Vec<usize> =
            zs.iter().map(|&z| self.0.partition_point(|piece| piece.ends.1 < z)).collect();
        for (i, piece) in self.0.iter().enumerate() {
            let own: Vec<usize> = (0..zs.len()).filter(|&j| home[j] == i).collect();
            let ys: Vec<i128> = own
                .iter()
                .map(|&j| piece.locate(zs[j]).and_then(|y| from_f64(y, FRACTION as i32)))
                .map(Option::unwrap_or_default)
                .collect();
            piece.values(&ys, &mut values);
            own.iter().zip(&values).for_each(|(&j, value)| differences[j] = -value);
        }
        differences
    }
}

fn too_large() -> Error {
    let found = "a polynomial or an activation whose values overflow";
    Error::invalid("coefficients and interval", found, "values below 1e300")
}

/// The polynomial q = p - shape on one piece, in the variable y in [-1, 1] of the piece.
pub(super) trait Sampled {
    /// Its degree N in y, at most.
    fn degree(&self) -> usize;
    /// A bound on | |value| - |p - s| | for the values below, apart from 2^-50 of the value itself.
    fn slack(&self) -> f64;
    /// Values at y = cos(j pi / 2^16).
    fn at_angles(&self, angles: &[u32], values: &mut Vec<f64>);
    /// The value at the point of the piece that y, |y| <= 1, stands for.
    fn at(&self, y: f64) -> f64;
    /// The part of the piece's interval to which z belongs, as y; `None` outside.
    fn locate(&self, z: f64) -> Option<f64>;
}

fn conclude<S: Sampled>(pieces: &[S], degree: usize, points: &[f64]) -> Proof {
    // 2^-50: the relative roundings of single values.
    let error = mul_up(largest(pieces), 1.0 + power_of_two(-50));
    Proof { error, lower_bound: alternation(pieces, degree, points) }
}

/// An upper bound of the largest |value| + slack over all pieces.
///
/// Let R be the result. A cell is dropped when it cannot hold a maximum above a number that R is
/// not below, and R is not below what the cells kept to the last can hold. The maximum of each
/// piece lies in one of its cells; so it is at most R.
///
/// Time for degree N: about 6 N values on every piece and 10 N more on those near the maximum.
fn largest<S: Sampled>(pieces: &[S]) -> f64 {
    /// Two neighbouring angles: the left one, and |value| + slack of both.
    struct Cell {
        left: u32,
        ends: [f64; 2],
    }
    let mut found = 0.0_f64;
    let mut values = Vec::new();
    let mut grids: Vec<(u32, Vec<Cell>)> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let mut stride = FINEST / 4;
        while stride > 1 && growth(piece.degree(), stride) > 1.18 {
            stride /= 2;
        }
        let angles: Vec<u32> = (0..=FINEST).step_by(stride as usize).collect();
        piece.at_angles(&angles, &mut values);
        for value in &mut values {
            *value = at_most(*value, piece.slack());
            found = found.max(*value);
        }
        let pairs = angles.iter().zip(values.windows(2));
        let cells = pairs.map(|(&left, ends)| Cell { left, ends: [ends[0], ends[1]] }).collect();
        grids.push((stride, cells));
    }
    let mut result = found;
    for (piece, (stride, cells)) in pieces.iter().zip(grids) {
        let (mut stride, mut cells) = (stride, cells);
        loop {
            let growth = growth(piece.degree(), stride);
            let bound = |cell: &Cell| mul_up(cell.ends[0].max(cell.ends[1]), growth);
            cells.retain(|cell| bound(cell) > found);
            if stride == 1 || growth < 1.0 + 5e-5 {
                result = cells.iter().map(bound).fold(result, f64::max);
                break;
            }
            stride /= 2;
            let middles: Vec<u32> = cells.iter().map(|cell| cell.left + stride).collect();
            piece.at_angles(&middles, &mut values);
            let mut halves = Vec::with_capacity(2 * cells.len());
            for (cell, value) in cells.iter().zip(&values) {
                let value = at_most(*value, piece.slack());
                found = found.max(value);
                let [left, right] = cell.ends;
                halves.push(Cell { left: cell.left, ends: [left, value] });
                halves.push(Cell { left: cell.left + stride, ends: [value, right] });
            }
            cells = halves;
        }
    }
    result.max(found)
}

/// An upper bound of |value| + slack; infinite for what is no number.
fn at_most(value: f64, slack: f64) -> f64 {
    let sum = add_up(value.abs(), slack);
    if sum.is_nan() { f64::INFINITY } else { sum }
}

/// An upper bound of 1 / cos(N h) for 2 h = stride pi / 2^16, by cos x >= 1 - x^2 / 2; infinite where
/// that is not above 1/2.
fn growth(degree: usize, stride: u32) -> f64 {
    let half = mul_up(f64::from(stride) / f64::from(2 * FINEST), PI.next_up());
    let x = mul_up(half, degree as f64);
    let cosine = (1.0 - mul_up(x, x) / 2.0).next_down();
    if cosine > 0.5 { div_up(1.0, cosine) } else { f64::INFINITY }
}

/// A proven lower bound on the error of every polynomial of degree `degree`: the largest, over
/// degree + 2 consecutive extremes with alternating signs, of the least |p - s|; 0 where there are
/// not as many.
fn alternation<S: Sampled>(pieces: &[S], degree: usize, points: &[f64]) -> f64 {
    let mut extremes: Vec<(bool, f64)> = Vec::with_capacity(points.len());
    let mut last = (0, f64::NEG_INFINITY);
    for &z in points {
        let found = pieces.iter().enumerate().find_map(|(i, piece)| Some((i, piece.locate(z)?)));
        let Some((i, y)) = found else { continue };
        // Strictly to the right of the point before; neighbouring pieces share an end.
        let apart = match i.checked_sub(last.0) {
            None => false,
            Some(0) => y > last.1,
            Some(1) => last.1 < 1.0 || y > -1.0,
            Some(_) => true,
        };
        if !apart {
            continue;
        }
        last = (i, y);
        let value = pieces[i].at(y);
        let least = (value.abs() * (1.0 - power_of_two(-49)) - pieces[i].slack()).next_down();
        // With a sign that is not proven the bound is 0, and so is that of every choice with it.
        let least = if least > 0.0 { least } else { 0.0 };
        let positive = value > 0.0;
        match extremes.last_mut() {
            Some((sign, size)) if *sign == positive => *size = size.max(least),
            _ => extremes.push((positive, least)),
        }
    }
    extremes
        .windows(degree + 2)
        .map(|window| window.iter().fold(f64::INFINITY, |least, (_, size)| least.min(*size)))
        .fold(0.0, f64::max)
}

/// cos(j pi / 2^16) for j = 0..=2^15.
struct Angles {
    /// At most 2^-53 off.
    float: Vec<f64>,
    /// In units of 2^-96, at most 1.1 units off.
    fixed: Vec<i128>,
}

fn angles() -> &'static Angles {
    static TABLE: OnceLock<Angles> = OnceLock::new();
    TABLE.get_or_init(|| {
        // Errors of 5 x 2^16 units of 2^-120, below 2^-101, before the roundings.
        let mut cosines = circle(FINEST as usize);
        cosines.truncate(FINEST as usize / 2 + 1);
        Angles {
            float: cosines.iter().map(|&c| to_f64(c, CIRCLE_BITS as i32)).collect(),
            fixed: cosines.iter().map(|c| c >> (CIRCLE_BITS - FRACTION)).collect(),
        }
    })
}

/// Looks up cos(j pi / 2^16) in one half of the table: cos(pi - x) = -cos x.
fn cosine<T: Copy + std::ops::Neg<Output = T>>(table: &[T], angle: u32) -> T {
    let mirrored = FINEST - angle.min(FINEST);
    if angle <= mirrored { table[angle as usize] } else { -table[mirrored as usize] }
}

/// cos(j pi / 2^16) for j up to 2^16, at most 2^-53 off.
pub(super) fn cosine_at(angle: u32) -> f64 {
    cosine(&angles().float, angle)
}

/// A piece in its own variable y in [-1, 1], exactly: z = middle + radius y.
struct Geometry {
    /// (z - centre) scale as (value at y = 0, slope).
    place: (BigRational, BigRational),
    /// The variable of the shape, likewise.
    inner: (BigRational, BigRational),
    /// The line as a series in y; `None` for a [`Shape::Series`].
    line: Option<[BigRational; 2]>,
}

impl Geometry {
    fn new(piece: &Piece, polynomial: Candidate) -> Self {
        let half = Dyadic::new(1.into(), -1);
        let map = |left: Dyadic, right: Dyadic| {
            let (middle, radius) = (&(&left + &right) * &half, &(&right - &left) * &half);
            (middle.to_rational(), radius.to_rational())
        };
        let exact = |x: f64| Dyadic::from_f64(x).unwrap_or_else(Dyadic::zero);
        let (inner, line) = match piece.shape {
            Shape::Line(Line { slope, offset }) => {
                let value = |z: f64| &(&exact(slope) * &exact(z)) + &exact(offset);
                let (middle, radius) = map(value(piece.lower), value(piece.upper));
                ((BigRational::zero(), BigRational::one()), Some([middle, radius]))
            }
            Shape::Series { first, .. } => {
                let one = Dyadic::from(1);
                let v = |z: f64| &(&(&exact(z) - &exact(first)) * &Dyadic::from(2)) - &one;
                (map(v(piece.lower), v(piece.upper)), None)
            }
        };
        let place = map(polynomial.place(piece.lower), polynomial.place(piece.upper));
        Geometry { place, inner, line }
    }
}

/// y for a z in the piece.
fn locate((lower, upper): (f64, f64), z: f64) -> Option<f64> {
    if !(lower <= z && z <= upper) {
        return None;
    }
    let y = ((z - lower) - (upper - z)) / 2.0 / (upper / 2.0 - lower / 2.0);
    Some(if y.is_nan() { 0.0 } else { y.clamp(-1.0, 1.0) })
}

/// Sums over the coefficients that error bounds need, rounded up: |c_k|, (k + 1) |c_k|,
/// B_0 + B_1 + ... with B_k = sum over j >= k of (j - k + 1) |c_j|, and k^2 |c_k| >= |p'|.
struct Sizes {
    sum: f64,
    weighted: f64,
    recurrence: f64,
    derivative: f64,
}

impl Sizes {
    fn new(coefficients: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator) -> Self {
        let mut sizes = Sizes { sum: 0.0, weighted: 0.0, recurrence: 0.0, derivative: 0.0 };
        for (k, c) in coefficients.enumerate().rev() {
            sizes.sum = add_up(sizes.sum, c.abs());
            sizes.weighted = add_up(sizes.weighted, sizes.sum);
            sizes.recurrence = add_up(sizes.recurrence, sizes.weighted);
            sizes.derivative = add_up(sizes.derivative, mul_up((k * k) as f64, c.abs()));
        }
        sizes
    }
}

/// A piece in f64.
///
/// The error of a value, with u = 2^-53:
///
/// - Clenshaw's recurrence b_k = (c_k - b_(k+2)) + (2 x) b_(k+1) as computed is exact for
///   coefficients c_k + e_k, |e_k| <= u (2 |b_(k+1)| + |c_k| + |b_(k+2)| + |b_k|) and a little, so
///   the sum is off by at most sum |e_k|, as |T_k| <= 1. With B_k as in [`Sizes`], decreasing in k,
///   |b_k| <= B_k (1 + 2^-20) and |e_k| <= 6 u B_k for at most 1001 coefficients: by induction
///   downwards, as the e_j add at most 6 u (sum over j >= k of (j - k + 1) B_j) <= 6 u 502,000 B_k to
///   b_k.
/// - The place x = m + r y is off by 5 u at most (2^-53 each for m, r, y, the product, the sum; all
///   are at most 1 in size), which the derivative multiplies: |T_k'| <= k^2 on [-1, 1].
/// - The coefficients of a series are rounded twice.
/// - Products that underflow are off by 2^-1074.
pub(super) struct FloatPiece {
    ends: (f64, f64),
    place: (f64, f64),
    coefficients: Vec<f64>,
    inner: (f64, f64),
    series: Vec<f64>,
    slack: f64,
}

impl FloatPiece {
    /// The piece with the terms of its series beyond `cut` dropped; `None` where numbers overflow.
    pub fn new(piece: &Piece, polynomial: Candidate, cut: f64) -> Option<Self> {
        let geometry = Geometry::new(piece, polynomial);
        // A number in [-1, 1] to the nearest f64, by way of 96 fractional bits: within 2^-53.
        let both = |(m, r): &(BigRational, BigRational)| {
            let near = |x| Some(to_f64(from_rational(x, FRACTION as i32)?, FRACTION as i32));
            Some((near(m)?, near(r)?))
        };
        let (place, inner) = (both(&geometry.place)?, both(&geometry.inner)?);
        let coefficients = polynomial.coefficients.to_vec();
        let mut slack = piece.error;
        let mut charge = |amount: f64| slack = add_up(slack, amount);
        let series: Vec<f64> = match (&piece.shape, geometry.line) {
            (Shape::Series { factor, series, .. }, _) => {
                let value = |c: &i128| to_f64(*c, series.unit) * factor;
                let (kept, dropped) = head(series.coefficients.iter().map(value), cut);
                charge(dropped);
                series.coefficients[..kept].iter().map(value).collect()
            }
            (Shape::Line(_), line) => {
                line.iter().flatten().map(rational_to_f64).collect::<Option<_>>()?
            }
        };
        for (list, roundings) in [(&coefficients, 0.0), (&series, 3.0)] {
            let sizes = Sizes::new(list.iter().copied());
            charge(mul_up(sizes.sum, roundings * ROUNDOFF));
            charge(mul_up(sizes.recurrence, 6.0 * ROUNDOFF));
            charge(mul_up(sizes.derivative, 5.0 * ROUNDOFF));
            // Room for the sums.
            if sizes.weighted > power_of_two(1000) {
                return None;
            }
        }
        charge(power_of_two(-1040));
        let ends = (piece.lower, piece.upper);
        slack.is_finite().then_some(FloatPiece { ends, place, coefficients, inner, series, slack })
    }

    fn values(&self, ys: &[f64], values: &mut Vec<f64>) {
        let along = |(m, r): (f64, f64)| -> Vec<f64> {
            ys.iter().map(|y| (m + r * y).clamp(-1.0, 1.0)).collect()
        };
        chebyshev_sums(&self.coefficients, &along(self.place), values);
        let mut shape = Vec::new();
        chebyshev_sums(&self.series, &along(self.inner), &mut shape);
        values.iter_mut().zip(&shape).for_each(|(p, s)| *p -= s);
    }
}

impl Sampled for FloatPiece {
    fn degree(&self) -> usize {
        self.coefficients.len().max(self.series.len()) - 1
    }

    fn slack(&self) -> f64 {
        self.slack
    }

    fn at_angles(&self, angle: &[u32], values: &mut Vec<f64>) {
        let ys: Vec<f64> = angle.iter().map(|&j| cosine_at(j)).collect();
        self.values(&ys, values);
    }

    fn at(&self, y: f64) -> f64 {
        let mut values = Vec::new();
        self.values(&[y], &mut values);
        values.first().copied().unwrap_or(0.0)
    }

    fn locate(&self, z: f64) -> Option<f64> {
        locate(self.ends, z)
    }
}

/// How many leading terms of a series to keep so that the others add up to `cut` at most, and a
/// bound on what they add up to. At least one is kept.
fn head(
    values: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator,
    cut: f64,
) -> (usize, f64) {
    let mut kept = values.len();
    let mut dropped = 0.0;
    for value in values.rev() {
        // 2^-50 for the roundings of the value itself.
        let more = add_up(dropped, mul_up(value.abs(), 1.0 + power_of_two(-50)));
        if kept <= 1 || more > cut {
            break;
        }
        dropped = more;
        kept -= 1;
    }
    // Values that underflow to 0 are below 2^-1074 each.
    (kept, add_up(dropped, power_of_two(-1060)))
}

/// A piece in fixed point: coefficients in units of 2^-unit, chosen so that the recurrence has room.
///
/// The error of a value in these units: one for each coefficient that is rounded (two with a
/// factor), one for each step of the recurrence (see [`chebyshev_sum`]); and 5 units of 2^-96 in the
/// place (one each for m, r, the product, 1.1 for y), which the derivative multiplies.
pub(super) struct FixedPiece {
    ends: (f64, f64),
    unit: i32,
    place: (i128, i128),
    coefficients: Vec<i128>,
    inner: (i128, i128),
    series: Vec<i128>,
    slack: f64,
}

impl FixedPiece {
    /// The piece with the terms of its series beyond `cut` dropped; `None` where numbers overflow.
    pub fn new(piece: &Piece, polynomial: Candidate, cut: f64) -> Option<Self> {
        let geometry = Geometry::new(piece, polynomial);
        let own = Sizes::new(polynomial.coefficients.iter().copied());
        let mut slack = piece.error;
        // The series, about, as far as it is kept.
        let values: Vec<f64> = match (&piece.shape, &geometry.line) {
            (Shape::Series { factor, series, .. }, _) => {
                let value = |c: &i128| to_f64(*c, series.unit) * factor;
                let (kept, dropped) = head(series.coefficients.iter().map(value), cut);
                slack = add_up(slack, dropped);
                series.coefficients[..kept].iter().map(value).collect()
            }
            (Shape::Line(_), line) => {
                line.iter().flatten().map(rational_to_f64).collect::<Option<_>>()?
            }
        };
        // Twice, for the roundings of these values.
        let shape = Sizes::new(values.iter().map(|c| 2.0 * c));
        // Numbers below every f64 count as 2^-1060.
        let weighted = own.weighted.max(shape.weighted).max(power_of_two(-1060));
        let derivative = add_up(own.derivative, shape.derivative);
        if !weighted.is_finite() || !derivative.is_finite() {
            return None;
        }
        let unit = 115 - exponent_above(weighted);
        let coefficients = polynomial
            .coefficients
            .iter()
            .map(|&c| from_f64(c, unit))
            .collect::<Option<Vec<_>>>()?;
        let series = match (&piece.shape, &geometry.line) {
            (Shape::Series { factor, series, .. }, _) => {
                in_unit(&series.coefficients[..values.len()], series.unit, *factor, unit)?
            }
            (Shape::Line(_), line) => {
                line.iter().flatten().map(|c| from_rational(c, unit)).collect::<Option<_>>()?
            }
        };
        let both = |(m, r): &(BigRational, BigRational)| {
            let bits = FRACTION as i32;
            Some((from_rational(m, bits)?, from_rational(r, bits)?))
        };
        let (place, inner) = (both(&geometry.place)?, both(&geometry.inner)?);
        let count = 2 * coefficients.len() + 3 * series.len();
        slack = add_up(slack, unit_times(count as f64, unit) + power_of_two(-1060));
        slack = add_up(slack, mul_up(derivative, 5.0 * power_of_two(-(FRACTION as i32))));
        let ends = (piece.lower, piece.upper);
        Some(FixedPiece { ends, unit, place, coefficients, inner, series, slack })
    }

    fn values(&self, ys: &[i128], values: &mut Vec<f64>) {
        const LANES: usize = 4;
        const ONE: i128 = 1 << FRACTION;
        values.clear();
        values.reserve(ys.len());
        for chunk in ys.chunks(LANES) {
            let y: [i128; LANES] = std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0));
            let along =
                |(m, r): (i128, i128)| y.map(|y| (m + product::<FRACTION>(r, y)).clamp(-ONE, ONE));
            let mut sums = chebyshev_sum(&self.coefficients, along(self.place));
            let shape = chebyshev_sum(&self.series, along(self.inner));
            sums.iter_mut().zip(shape).for_each(|(p, s)| *p -= s);
            values.extend(sums[..chunk.len()].iter().map(|&sum| to_f64(sum, self.unit)));
        }
    }
}

impl Sampled for FixedPiece {
    fn degree(&self) -> usize {
        self.coefficients.len().max(self.series.len()) - 1
    }

    fn slack(&self) -> f64 {
        self.slack
    }

    fn at_angles(&self, angle: &[u32], values: &mut Vec<f64>) {
        let table = &angles().fixed;
        let ys: Vec<i128> = angle.iter().map(|&j| cosine(table, j)).collect();
        self.values(&ys, values);
    }

    fn at(&self, y: f64) -> f64 {
        let mut values = Vec::new();
        // y times 2^96 rounded towards zero stands for a point of the piece as well.
        self.values(&[from_f64(y, FRACTION as i32).unwrap_or(0)], &mut values);
        values.first().copied().unwrap_or(0.0)
    }

    fn locate(&self, z: f64) -> Option<f64> {
        locate(self.ends, z)
    }
}

/// factor times numbers in units of 2^-old, in units of 2^-new: less than 2 units off. `None` on
/// overflow.
fn in_unit(numbers: &[i128], old: i32, factor: f64, new: i32) -> Option<Vec<i128>> {
    // factor = mantissa 2^exponent with 1/2 <= |mantissa| < 1, exactly in 96 bits.
    let plain = factor == 1.0;
    let exponent = if plain { 0 } else { exponent_above(factor) };
    let mantissa = from_f64(times_power(factor, -exponent), FRACTION as i32)?;
    let shift = exponent + new - old;
    let convert = |c: i128| {
        let c = match shift {
            _ if c == 0 => 0,
            0..120 => c.checked_mul(1 << shift)?,
            120.. => return None,
            -127..0 => c >> -shift,
            _ => 0,
        };
        Some(if plain { c } else { product::<FRACTION>(c, mantissa) })
    };
    numbers.iter().map(|&c| convert(c)).collect()
}

/// An upper bound of count 2^-unit.
fn unit_times(count: f64, unit: i32) -> f64 {
    times_power(count, -unit).next_up()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::elementary;
    use crate::numeric::interval::Enclosure;
    use proptest::prelude::*;

    fn exact(x: f64) -> BigRational {
        rational_from_f64(x).unwrap()
    }

    fn value(polynomial: Candidate, z: &BigRational) -> BigRational {
        let t = (z - exact(polynomial.centre)) * exact(polynomial.scale);
        let (mut near, mut far) = (BigRational::zero(), BigRational::zero());
        for c in polynomial.coefficients[1..].iter().rev() {
            let next = exact(*c) + &t * num_bigint::BigInt::from(2) * &near - &far;
            far = std::mem::replace(&mut near, next);
        }
        exact(polynomial.coefficients[0]) + t * near - far
    }

    /// Checks that | |got| - |p - s| | <= slack at z.
    fn check(
        piece: &impl Sampled,
        activation: Activation,
        polynomial: Candidate,
        z: &BigRational,
        got: f64,
    ) -> std::result::Result<(), TestCaseError> {
        let s = activation.enclose(&Enclosure::point(z.clone()), 200);
        let off = (value(polynomial, z) - s.lower() - exact(got)).abs();
        let allowed = exact(piece.slack()) + exact(got.abs()) * exact(power_of_two(-50));
        prop_assert!(off <= allowed + s.width());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn values_are_within_their_slack(
            activation in proptest::sample::select(Activation::ALL.to_vec()),
            centre in -9.0..9.0f64,
            half in prop_oneof![1e-6..1e-2f64, 0.01..10.0f64],
            coefficients in prop::collection::vec(-1.0..1.0f64, 1..30),
            size in -40..40i32,
            at in any::<prop::sample::Index>(),
            y in -1.0..=1.0f64,
            angle in 0..=FINEST,
            cut in prop_oneof![Just(0.0), Just(1e-12), Just(1e-3)],
        ) {
            let coefficients: Vec<f64> =
                coefficients.iter().map(|c| c * power_of_two(size)).collect();
            let interval = Interval::new(centre - half, centre + half);
            let scale = 0.99 / half;
            let polynomial = Candidate { centre, scale, coefficients: &coefficients };
            let model = pieces(activation, interval, 90, 30).unwrap();
            let piece = &model[at.index(model.len())];
            let quick = FloatPiece::new(piece, polynomial, cut).unwrap();
            let fixed = FixedPiece::new(piece, polynomial, cut).unwrap();
            prop_assert!(fixed.slack() <= 1e-20 * power_of_two(size.max(0)) + 1.1 * cut);

            let place = |y: &BigRational| {
                let (lower, upper) = (exact(piece.lower), exact(piece.upper));
                (&lower + &upper + (upper - lower) * y) / num_bigint::BigInt::from(2)
            };
            // 40 bits, so that 96 are enough.
            let y = (y * power_of_two(40)).round() * power_of_two(-40);
            let z = place(&exact(y));
            check(&quick, activation, polynomial, &z, quick.at(y))?;
            check(&fixed, activation, polynomial, &z, fixed.at(y))?;
            let turn = elementary::pi(200).midpoint()
                * BigRational::new(angle.into(), FINEST.into());
            let z = place(&elementary::cos(&turn, 180).midpoint());
            let mut values = Vec::new();
            quick.at_angles(&[angle], &mut values);
            check(&quick, activation, polynomial, &z, values[0])?;
            fixed.at_angles(&[angle], &mut values);
            check(&fixed, activation, polynomial, &z, values[0])?;
        }

        #[test]
        fn grids_bound_every_polynomial_closely(
            coefficients in prop::collection::vec(-1.0..1.0f64, 1..60),
            decay in 0.0..3.0f64,
        ) {
            let coefficients: Vec<f64> = coefficients
                .iter()
                .enumerate()
                .map(|(k, c)| c / (1.0 + k as f64).powf(decay))
                .collect();
            let polynomial = Candidate { centre: 0.0, scale: 1.0, coefficients: &coefficients };
            let shape = Shape::Line(Line { slope: 0.0, offset: 0.0 });
            let piece = Piece { lower: -1.0, upper: 1.0, shape, error: 0.0 };
            let bound = largest(&[FloatPiece::new(&piece, polynomial, 0.0).unwrap()]);
            let again = largest(&[FixedPiece::new(&piece, polynomial, 0.0).unwrap()]);
            prop_assert!((bound / again - 1.0).abs() < 1e-4);
            // 100 angles for each degree miss less than 1 / cos(pi / 200) = 1.00013.
            let steps = 100 * coefficients.len();
            let xs: Vec<f64> =
                (0..=steps).map(|i| (PI * i as f64 / steps as f64).cos()).collect();
            let mut values = Vec::new();
            chebyshev_sums(&coefficients, &xs, &mut values);
            let found = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            prop_assert!(found * (1.0 - 1e-13) <= bound, "{found} {bound}");
            prop_assert!(bound <= found * 1.0003 + 1e-13, "{found} {bound}");
        }
    }

    #[test]
    fn the_hardest_polynomials_touch_the_bound_between_grid_points() {
        // cos(N (theta - phase)), symmetrised: the equality case of Riesz' lemma.
        for degree in [1_u32, 2, 7, 50, 333, 1000] {
            for phase in [0.0, 1e-4, 1e-3, 0.3, 1.0] {
                let mut coefficients = vec![0.0; degree as usize + 1];
                coefficients[degree as usize] = (f64::from(degree) * phase).cos();
                let top = coefficients[degree as usize].abs();
                let polynomial = Candidate { centre: 0.0, scale: 1.0, coefficients: &coefficients };
                let shape = Shape::Line(Line { slope: 0.0, offset: 0.0 });
                let piece = Piece { lower: -1.0, upper: 1.0, shape, error: 0.0 };
                let bound = largest(&[FixedPiece::new(&piece, polynomial, 0.0).unwrap()]);
                assert!(top <= bound && bound <= 1.0003 * top, "{degree} {phase}: {bound}");
            }
        }
    }

    #[test]
    fn growth_is_above_the_secant() {
        for degree in [0_usize, 1, 10, 100, 1000] {
            for log in 0..15 {
                let stride = 1_u32 << log;
                let x = degree as f64 * f64::from(stride) * PI / f64::from(2 * FINEST);
                let growth = growth(degree, stride);
                assert!(
                    growth >= 1.0 / x.cos() || x >= std::f64::consts::FRAC_PI_2 || growth > 2.0
                );
                assert!(growth.is_infinite() || growth <= 2.0);
            }
        }
        // The finest grid is fine enough for the largest degree.
        assert!(growth(1000, 1) < 1.0003);
    }

    #[test]
    fn alternation_counts_signs() {
        // T_5 is the error of the best polynomial of degree 4 for itself: 0.
        let coefficients = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let polynomial = Candidate { centre: 0.0, scale: 1.0, coefficients: &coefficients };
        let shape = Shape::Line(Line { slope: 0.0, offset: 0.0 });
        let halves = [(-1.0, 0.25), (0.25, 1.0)].map(|(lower, upper)| {
            let piece = Piece { lower, upper, shape: shape.clone(), error: 0.0 };
            FloatPiece::new(&piece, polynomial, 0.0).unwrap()
        });
        let points: Vec<f64> = (0..=5).rev().map(|k| (PI * f64::from(k) / 5.0).cos()).collect();
        let bound = alternation(&halves, 4, &points);
        assert!(0.999_999 < bound && bound <= 1.0);
        assert_eq!(alternation(&halves, 5, &points), 0.0);
        assert_eq!(alternation(&halves, 4, &points[1..]), 0.0);
        // Points in a wrong order, twice, or outside count for nothing.
        let mut twice = points.clone();
        twice.extend([points[5], points[0], 3.0, f64::NAN]);
        assert_eq!(alternation(&halves, 4, &twice), bound);
        assert_eq!(alternation(&halves, 5, &twice), 0.0);
        assert_eq!(alternation(&halves, 0, &[0.25, 0.25]), 0.0);
    }
}
