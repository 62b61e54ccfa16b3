//! Bounds of p - s on an interval, p a polynomial of the SLNN and s an activation: in fixed-point
//! numbers, every rounding and every rest of a series accounted for.
//!
//! The interval is cut at the kinks of s and then, in t = (z - centre) scale, into cells
//! [t0 - h, t0 + h] on which both p and s are polynomials of a low degree K - 1 in u = (t - t0) / h
//! plus a small rest:
//!
//! - **p** by Clenshaw's recurrence on truncated power series in u. A rounding error in step k is
//!   as if c_k were another power series, so with at most e in each coefficient all of them
//!   together are at most e K sum_k sum_j |[u^j] T_k(t0 + h u)|.
//! - **T_k on a disc.** Let |t - t0| <= R lie within |t - 1| + |t + 1| <= 2 + 2d. Then t = (w + 1/w)
//!   / 2 with |w| <= r = 1 + d + sqrt(d (2 + d)) (the ellipse with foci -1 and 1), |T_k| <= r^k,
//!   |U_k| <= (k + 1) r^k, and by Cauchy's estimate with R = v h the coefficient of u^j in T_k is at
//!   most r^k / v^j. One may take d = R^2 / (2 (1 - x^2)) where x = |t0| + R < 1, by
//!   sqrt(a^2 + y^2) <= a + y^2 / (2a), and d = max(0, |t0| - 1) + R always. The rest of p from K
//!   on is then at most sum over k >= K of |c_k| r^k, times v^-K / (1 - 1/v).
//! - **s** by its Taylor series ([`Form::series`], [`Form::rest`]).
//!
//! On a cell the difference is bounded by its quadratic part, whose range is known, and the sum of
//! the absolute values of the other coefficients; where that is not enough the cell is halved, by a
//! Taylor shift, as often as it takes.

use num_bigint::BigInt;
use num_traits::One;

use super::fixed::{Ball, GRID, fixed, real_above, size_above, times_place, units_above};
use super::form::{Form, MOST_BITS, Piece};
use super::polynomial::Chebyshev;
use crate::numeric::Dyadic;
use crate::numeric::outward::{add_up, mul_up};

/// Coefficients of the polynomial on a cell, at most.
const TERMS: usize = 24;
/// Cells are so small that r^n is at most this: numbers stay small.
const GROWTH: f64 = 256.0;
/// How often a cell is halved after its expansion.
const DEEPEST: u32 = 40;
/// How many parts of a cell are halved at most.
const MOST_HALVED: usize = 100_000;
/// The largest |t| of an interval.
const FARTHEST: i64 = 2 << GRID;
/// Values of v for the rest of p.
const DISCS: [f64; 8] = [1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0];

/// Why an error below zero is never confirmed.
pub(super) const BELOW_ZERO: &str = "no room is left after rounding";

/// What is known of |p - s| <= error.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// It holds on the whole interval.
    Proven,
    /// It fails at a point.
    Refuted {
        /// Near the point.
        at: f64,
        /// A lower bound of |p - s| there.
        least: f64,
    },
    /// Neither was found; why.
    Undecided(&'static str),
}

/// Half-width, centre and the rest of p - s on one cell, expanded.
struct Expansion {
    /// Coefficients in u, in units.
    coefficients: [i128; TERMS],
    /// What they may be off by together, in units.
    slack: i128,
}

/// p - s on one piece, ready to be expanded.
struct Residual<'a> {
    form: &'a Form,
    /// Fractional bits of the units.
    bits: u32,
    /// c_k in units, rounded down.
    coefficients: Vec<i128>,
    /// Upper bounds of |c_k|.
    sizes: Vec<f64>,
    centre: Ball,
    /// 1 / scale, rounded down.
    inverse: i128,
    /// An interval of places that holds the piece, and one that lies in it.
    outer: (i64, i64),
    inner: (i64, i64),
    /// The largest |z|, and the largest z.
    size: f64,
    greatest: f64,
    /// Coefficients of an expansion.
    terms: usize,
}

/// x 2^60 rounded down, where |x| is at most about 2.
fn place_below(x: &Dyadic) -> Option<i64> {
    let place = i64::try_from(fixed(x, GRID)?.0).ok()?;
    (place.abs() <= FARTHEST).then_some(place)
}

fn place_above(x: &Dyadic) -> Option<i64> {
    place_below(&-x).map(|place| -place)
}

impl<'a> Residual<'a> {
    /// `None` where the numbers are too large or too different in size for 128 bits.
    fn new(polynomial: &Chebyshev, piece: &'a Piece) -> Option<Self> {
        let (a, b) = (polynomial.place(&piece.lower), polynomial.place(&piece.upper));
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        let outer = (place_below(&a)?, place_above(&b)?);
        let inner = (place_above(&a)?, place_below(&b)?);
        let degree = polynomial.degree();
        let sizes: Vec<f64> = polynomial.coefficients.iter().map(size_above).collect();
        // 1 / |scale| <= 2^(1 - e) for |scale| = m 2^x of x + bits(m) = e.
        let scale = &polynomial.scale;
        let length = scale.exponent() + scale.mantissa().bits() as i64;
        if length.abs() > 1000 {
            return None;
        }
        let unit = 2f64.powi(1 - length as i32);
        let size = size_above(&piece.lower).max(size_above(&piece.upper));
        let margin = 2f64.powi(-30) + unit * 2f64.powi(-56);
        // The largest number on the way: |b_k| <= sum (|c_j| + rounding) (j + 1) r^j.
        let sum = sizes
            .iter()
            .enumerate()
            .fold(1.0, |sum, (k, c)| add_up(sum, mul_up(*c, (k + 1) as f64)));
        let largest = mul_up(sum, 4.0 * GROWTH)
            .max(piece.form.magnitude(size))
            .max(4.0 * unit)
            .max(2.0 * size_above(&polynomial.centre));
        if largest >= 2f64.powi(90) {
            return None;
        }
        // Sums of 24 such numbers, and a factor below 4, stay below 2^125.
        let bits = MOST_BITS.min(117 - largest.log2().ceil() as u32);
        let inverse = inverse(scale, bits)?;
        let coefficients = polynomial.coefficients.iter().map(|c| Some(fixed(c, bits)?.0));
        let terms = match piece.form {
            Form::Line { .. } => (degree + 1).clamp(2, TERMS),
            _ => TERMS,
        };
        Some(Residual {
            form: &piece.form,
            bits,
            coefficients: coefficients.collect::<Option<_>>()?,
            sizes,
            centre: Ball::of(&polynomial.centre, bits)?,
            inverse,
            outer,
            inner,
            // Cells reach beyond the piece by a few places.
            size: add_up(size, margin),
            greatest: add_up(above(&piece.upper), margin),
            terms,
        })
    }

    /// r for the disc of `radius` about `middle`, both in t.
    fn ellipse(middle: f64, radius: f64) -> f64 {
        let far = add_up((middle.abs() - 1.0).next_up().max(0.0), radius);
        let x = add_up(middle.abs(), radius);
        let near = if x < 1.0 {
            // 1 - x is exact to a neighbour.
            let gap = ((1.0 - x).next_down() * (1.0 + x).next_down()).next_down();
            if gap > 0.0 { (mul_up(radius, radius) / (2.0 * gap)).next_up() } else { f64::INFINITY }
        } else {
            f64::INFINITY
        };
        let d = far.min(near);
        add_up(add_up(1.0, d), mul_up(d, add_up(2.0, d)).sqrt().next_up())
    }

    /// An upper bound of what the expansion on a cell leaves out, and of r^n for v = 1; `None`
    /// where the cell is too large.
    fn rest(&self, middle: i64, half: i64) -> Option<(f64, f64)> {
        let real = |place: i64| (place as f64).abs().next_up() * 2f64.powi(-(GRID as i32));
        let (t, h) = (real(middle), real(half).max(f64::MIN_POSITIVE));
        let degree = self.coefficients.len() - 1;
        let power = |r: f64| (0..degree).fold(1.0, |power, _| mul_up(power, r));
        let growth = power(Self::ellipse(t, h));
        if growth.is_nan() || growth > GROWTH {
            return None;
        }
        let rest = if degree < self.terms {
            0.0
        } else {
            let rest = |v: &f64| {
                let r = Self::ellipse(t, mul_up(*v, h));
                // Horner's scheme from the last coefficient down to c_K, then r^K v^-K.
                let sum = self.sizes[self.terms..]
                    .iter()
                    .rev()
                    .fold(0.0, |sum, c| add_up(mul_up(sum, r), *c));
                let quotient = (r / v).next_up();
                let tail = (0..self.terms).fold(sum, |sum, _| mul_up(sum, quotient));
                (tail / (1.0 - (1.0 / v).next_up()).next_down()).next_up()
            };
            DISCS.iter().map(rest).fold(f64::INFINITY, f64::min)
        };
        let (z, w) = self.in_z(middle, half)?;
        if self.form.tail_at(z, w, self.bits).is_some() {
            return Some((rest, growth));
        }
        let w = mul_up(h, real_above(self.inverse.abs() + 1, self.bits));
        let rest = add_up(rest, self.form.rest(self.size, self.greatest, w, self.terms));
        Some((rest, growth))
    }

    /// p - s on the cell with this `middle` and `half` width; `left_out` is its rest.
    fn expand(&self, middle: i64, half: i64, left_out: (f64, f64)) -> Option<Expansion> {
        let (terms, bits) = (self.terms, self.bits);
        let (twice, step) = (2 * middle, 2 * half);
        let mut after = [0_i128; TERMS];
        let mut later = [0_i128; TERMS];
        // b_k = c_k + 2 t b_{k+1} - b_{k+2}, t = t0 + h u.
        for &c in self.coefficients[1..].iter().rev() {
            let mut now = [0_i128; TERMS];
            for i in 0..terms {
                now[i] = times_place(after[i], twice) - later[i];
            }
            for i in 1..terms {
                now[i] += times_place(after[i - 1], step);
            }
            now[0] += c;
            later = after;
            after = now;
        }
        let mut coefficients = [0_i128; TERMS];
        for i in 0..terms {
            coefficients[i] = times_place(after[i], middle) - later[i];
        }
        for i in 1..terms {
            coefficients[i] += times_place(after[i - 1], half);
        }
        coefficients[0] += self.coefficients[0];
        // Three roundings of less than a unit in each coefficient of each step.
        let steps = self.coefficients.len() as f64;
        let rounding = mul_up(3.0 * (terms * terms) as f64 * steps, left_out.1);

        let (z, w) = self.in_z(middle, half)?;
        let series = self.form.series(z, w, terms, bits)?;
        let mut slack = add_up(rounding, series.beyond);
        for (coefficient, ball) in coefficients.iter_mut().zip(&series.coefficients) {
            *coefficient -= ball.middle;
            slack = add_up(slack, ball.radius);
        }
        // Sums of all coefficients must not overflow.
        if coefficients.iter().any(|a| a.abs() >= 1 << 118) {
            return None;
        }
        let slack = units_above(slack, 0).checked_add(units_above(left_out.0, bits))?;
        (slack < 1 << 120).then_some(Expansion { coefficients, slack })
    }

    /// The middle and half-width of a cell in z.
    fn in_z(&self, middle: i64, half: i64) -> Option<(Ball, Ball)> {
        // The inverse is rounded down by less than a unit, |t| <= 4, and the product is rounded.
        let offset = Ball { middle: times_place(self.inverse, middle), radius: 5.0 };
        let w = Ball { middle: times_place(self.inverse, half), radius: 5.0 };
        Some((self.centre.plus(offset)?, w))
    }

    fn to_z(&self, place: i64) -> f64 {
        match self.in_z(place, 0) {
            Some((z, _)) => z.middle as f64 * 2f64.powi(-(self.bits as i32)),
            None => f64::NAN,
        }
    }

    /// Calls `visit` with expansions on cells that together hold the piece, from the left, their
    /// rest at most `rest` where that can be reached. Ends early when `visit` returns false; `None`
    /// when there are too many cells or one cannot be expanded.
    fn cells(&self, rest: f64, mut visit: impl FnMut(&Expansion, i64, i64) -> bool) -> Option<()> {
        let most = 4096 + 16 * self.coefficients.len();
        let mut stack = vec![self.outer];
        let mut visited = 0;
        while let Some((low, high)) = stack.pop() {
            let middle = low + (high - low) / 2;
            let half = (high - middle).max(1);
            let expansion = self
                .rest(middle, half)
                .filter(|left_out| left_out.0 <= rest)
                .and_then(|left_out| self.expand(middle, half, left_out));
            let Some(expansion) = expansion else {
                if half < 1 << 8 {
                    return None;
                }
                stack.push((middle, high));
                stack.push((low, middle));
                continue;
            };
            visited += 1;
            if visited > most {
                return None;
            }
            if !visit(&expansion, middle, half) {
                break;
            }
        }
        Some(())
    }
}

/// An f64 that is not below x.
fn above(x: &Dyadic) -> f64 {
    match x.to_f64() {
        Some(nearest) => nearest.next_up(),
        None if x.is_negative() => -f64::MAX,
        None => f64::INFINITY,
    }
}

/// 2^bits / scale rounded down.
fn inverse(scale: &Dyadic, bits: u32) -> Option<i128> {
    // 2^bits / (m 2^e)
    let shift = i64::from(bits).checked_sub(scale.exponent())?;
    let numerator = BigInt::one() << u64::try_from(shift).ok()?;
    let quotient = num_integer::Integer::div_floor(&numerator, scale.mantissa());
    i128::try_from(quotient).ok().filter(|x| x.abs() < 1 << 124)
}

impl Expansion {
    /// Bounds in units on the cell: (lower, upper).
    fn bounds(&self) -> (i128, i128) {
        let [a0, a1, a2, ..] = self.coefficients;
        let others = self.coefficients[3..].iter().map(|a| a.abs()).sum::<i128>() + self.slack;
        let upper = |a0: i128, a2: i128| {
            let a1 = a1.abs();
            if a2 < 0 && a1 <= -2 * a2 {
                // The top a1^2 / (4 |a2|) above a0; four roundings to nearest, of 2^-53 each.
                let rise = a1 as f64 / (-4 * a2) as f64 * a1 as f64 * (1.0 + 2f64.powi(-48));
                a0 + rise.ceil() as i128
            } else {
                a0 + a1 + a2
            }
        };
        (-upper(-a0, -a2) - others, upper(a0, a2) + others)
    }

    /// The two halves.
    fn halves(&self, terms: usize) -> [Expansion; 2] {
        // In v = 2u, rounded down by less than a unit each; |v| <= 2 on the halves v = u' - 1 and
        // v = u' + 1.
        let mut scaled = self.coefficients;
        for (k, a) in scaled.iter_mut().enumerate() {
            *a >>= k;
        }
        let slack = self.slack + (1 << terms);
        [-1, 1].map(|side| {
            let mut coefficients = scaled;
            for i in 0..terms {
                for j in (i..terms - 1).rev() {
                    coefficients[j] += side * coefficients[j + 1];
                }
            }
            Expansion { coefficients, slack }
        })
    }
}

/// Decides whether |p - s| <= error on the piece.
pub(super) fn decide(polynomial: &Chebyshev, piece: &Piece, error: &Dyadic) -> Decision {
    if error.is_negative() {
        return Decision::Undecided(BELOW_ZERO);
    }
    let fitted;
    let mut polynomial = polynomial;
    let near = |z: &Dyadic| polynomial.place(z).abs() <= Dyadic::new(BigInt::from(17), -4);
    if !(near(&piece.lower) && near(&piece.upper)) {
        match polynomial.fitted(&piece.lower, &piece.upper) {
            Some(other) => {
                fitted = other;
                polynomial = &fitted;
            }
            None => return Decision::Undecided("the interval reaches beyond the polynomial's own"),
        }
    }
    let Some(residual) = Residual::new(polynomial, piece) else {
        return Decision::Undecided("its numbers are too large, or of too different sizes");
    };
    // An error beyond the fixed-point numbers is taken as the largest of them, which is less.
    let (limit, _) = fixed(error, residual.bits).unwrap_or((1 << 125, false));
    let size = size_above(error);
    // The first is far below what most certificates leave between the error and the claim, the
    // second below the rounding of an f64; both far above the rounding here.
    let mut decision = Decision::Undecided("its cells are too many or too small");
    for share in [-14, -62] {
        let rest = (size * 2f64.powi(share)).max(2f64.powi(24 - residual.bits as i32));
        let mut found = Decision::Proven;
        let walked = residual.cells(rest, |cell, middle, half| {
            found = decide_cell(&residual, cell, middle, half, limit);
            found == Decision::Proven
        });
        if walked.is_some() {
            decision = found;
        }
        if !matches!(decision, Decision::Undecided(_)) {
            break;
        }
    }
    decision
}

fn decide_cell(
    residual: &Residual,
    cell: &Expansion,
    middle: i64,
    half: i64,
    limit: i128,
) -> Decision {
    // The middle of a part in u, in units of 2^-DEEPEST.
    let beyond = |part: &Expansion, u: i64| {
        let here = part.coefficients[0].abs();
        let offset = (i128::from(half) * i128::from(u)) >> DEEPEST;
        let place = middle.saturating_add(offset as i64);
        let inside = residual.inner.0 < place && place < residual.inner.1;
        if here <= limit.saturating_add(part.slack) || !inside {
            return None;
        }
        let least = (here - part.slack) as f64 * 2f64.powi(-(residual.bits as i32));
        Some(Decision::Refuted { at: residual.to_z(place), least: least.next_down() })
    };
    let first = Expansion { coefficients: cell.coefficients, slack: cell.slack };
    if let Some(refuted) = beyond(&first, 0) {
        return refuted;
    }
    let mut stack = vec![(first, 0_i64, 0_u32)];
    let mut halved = 0;
    while let Some((part, u, depth)) = stack.pop() {
        let (lower, upper) = part.bounds();
        if upper <= limit && -lower <= limit {
            continue;
        }
        halved += 1;
        if depth >= DEEPEST - 1 || halved > MOST_HALVED {
            return Decision::Undecided("it is too close to the largest difference");
        }
        // Both middles before either half: where |p - s| rises above the error, one is beyond it.
        let step = 1_i64 << (DEEPEST - depth - 1);
        let [left, right] = part.halves(residual.terms);
        if let Some(refuted) = beyond(&left, u - step).or_else(|| beyond(&right, u + step)) {
            return refuted;
        }
        stack.push((right, u + step, depth + 1));
        stack.push((left, u - step, depth + 1));
    }
    Decision::Proven
}

/// Bounds of s - slope z on the piece, (lower, upper), each within about `tolerance` of the best;
/// `None` where the piece cannot be expanded.
pub(super) fn extremes(piece: &Piece, slope: &Dyadic, tolerance: f64) -> Option<(Dyadic, Dyadic)> {
    let line = Chebyshev::line(slope.clone()).fitted(&piece.lower, &piece.upper)?;
    let residual = Residual::new(&line, piece)?;
    // Above all rounding of 40 halvings.
    let tolerance = tolerance.max(2f64.powi(34 - residual.bits as i32));
    let units = units_above(tolerance, residual.bits);
    let mut greatest = [i128::MIN; 2];
    residual.cells(tolerance / 16.0, |cell, _, _| {
        // p - s and s - p.
        for (sign, greatest) in [1, -1].into_iter().zip(&mut greatest) {
            let coefficients = cell.coefficients.map(|a| sign * a);
            let cell = Expansion { coefficients, slack: cell.slack };
            *greatest = (*greatest).max(greatest_of(cell, residual.terms, *greatest, units));
        }
        true
    })?;
    let [above, below] = greatest;
    let exact = |units: i128| Dyadic::new(units.into(), -i64::from(residual.bits));
    // s - p lies in [-above, below].
    Some((exact(-above), exact(below)))
}

/// An upper bound on the cell, within about `tolerance` of the largest value there or of `known`.
fn greatest_of(cell: Expansion, terms: usize, known: i128, tolerance: i128) -> i128 {
    let mut bound = i128::MIN;
    let mut seen = known;
    let mut stack = vec![(cell, 0)];
    let mut halved = 0;
    while let Some((part, depth)) = stack.pop() {
        let (_, upper) = part.bounds();
        seen = seen.max(part.coefficients[0] - part.slack);
        if upper <= seen.saturating_add(tolerance) || depth >= DEEPEST || halved > 10_000 {
            bound = bound.max(upper);
            continue;
        }
        halved += 1;
        let [left, right] = part.halves(terms);
        stack.push((right, depth + 1));
        stack.push((left, depth + 1));
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::super::form::pieces;
    use super::*;
    use crate::network::Activation;
    use crate::numeric::interval::Enclosure;
    use num_rational::BigRational;
    use num_traits::Signed;
    use proptest::prelude::*;

    fn exact(x: f64) -> Dyadic {
        Dyadic::from_f64(x).unwrap()
    }

    /// The interpolant of the function on [a, b], with f64 coefficients.
    pub(in super::super) fn interpolant(
        function: Activation,
        a: f64,
        b: f64,
        degree: usize,
    ) -> Chebyshev {
        let (centre, radius) = ((a + b) / 2.0, (b - a) / 2.0);
        let n = degree + 1;
        let angle = |j: usize| std::f64::consts::PI * (j as f64 + 0.5) / n as f64;
        let coefficient = |k: usize| {
            let sum: f64 = (0..n)
                .map(|j| {
                    function.value(centre + radius * angle(j).cos()) * (k as f64 * angle(j)).cos()
                })
                .sum();
            exact(sum * if k == 0 { 1.0 } else { 2.0 } / n as f64)
        };
        let scale = if radius == 0.0 { 0.0 } else { 1.0 / radius };
        Chebyshev::new(exact(centre), exact(scale), (0..n).map(coefficient).collect())
    }

    /// |p - s| at z to about 200 bits.
    fn difference(polynomial: &Chebyshev, function: Activation, z: &Dyadic) -> BigRational {
        let bits = 240;
        let fixed = |x: &Dyadic| {
            let shift = x.exponent() + bits;
            let distance = shift.unsigned_abs();
            if shift < 0 { x.mantissa() >> distance } else { x.mantissa() << distance }
        };
        // Clenshaw's recurrence.
        let t = fixed(&polynomial.place(z));
        let (mut after, mut later) = (BigInt::from(0), BigInt::from(0));
        for c in polynomial.coefficients[1..].iter().rev() {
            let now = fixed(c) + ((&t * &after) >> (bits - 1)) - &later;
            later = std::mem::replace(&mut after, now);
        }
        let value = fixed(&polynomial.coefficients[0]) + ((&t * &after) >> bits) - later;
        let value = Dyadic::new(value, -bits).to_rational();
        (value - function.enclose(&Enclosure::point(z.to_rational()), 200).lower()).abs()
    }

    /// The largest difference at the ends, the kinks and the points of a grid that is fine near the
    /// ends, rounded to a dyadic number, and the decisions about `more` and `less` times it.
    fn check(
        function: Activation,
        a: f64,
        b: f64,
        degree: usize,
        points: usize,
    ) -> Result<(), TestCaseError> {
        let polynomial = interpolant(function, a, b, degree);
        let places = (0..=points).map(|j| {
            let angle = std::f64::consts::PI * j as f64 / points as f64;
            exact(((a + b) / 2.0 - (b - a) / 2.0 * angle.cos()).clamp(a, b))
        });
        let kinks = function
            .kinks()
            .iter()
            .filter(|kink| a < **kink && **kink < b)
            .map(|kink| exact(*kink));
        let largest =
            places.chain(kinks).map(|z| difference(&polynomial, function, &z)).max().unwrap();
        let largest = Enclosure::point(largest).to_f64().1;
        let decide_all = |error: f64| {
            let pieces = pieces(function, &exact(a), &exact(b)).unwrap();
            pieces
                .iter()
                .map(|piece| decide(&polynomial, piece, &exact(error)))
                .find(|decision| *decision != Decision::Proven)
                .unwrap_or(Decision::Proven)
        };
        let enough = largest * 1.0005 + 1e-17;
        prop_assert_eq!(
            decide_all(enough),
            Decision::Proven,
            "{:?} [{}, {}] {} {}",
            function,
            a,
            b,
            degree,
            largest
        );
        if largest < 1e-17 {
            // Half a thousandth of it may be below the rounding here.
            return Ok(());
        }
        let refuted = decide_all(largest * 0.9995);
        let Decision::Refuted { at, least } = refuted else {
            return Err(TestCaseError::fail(format!(
                "{function:?} [{a}, {b}] {degree} {largest}: {refuted:?}"
            )));
        };
        prop_assert!(least >= largest * 0.9995 && (a..=b).contains(&at));
        let there = Enclosure::point(difference(&polynomial, function, &exact(at))).to_f64().1;
        prop_assert!(there >= least * (1.0 - 1e-9), "{there} {least}");
        Ok(())
    }

    fn any_function() -> impl Strategy<Value = Activation> {
        let mut all = Activation::ALL[1..].to_vec();
        all.push(Activation::Elu { alpha: -1.75 });
        prop::sample::select(all)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn decisions_are_right_to_half_a_thousandth(
            function in any_function(), a in -9.0..4.0f64, width in 0.3..12.0f64, degree in 0usize..24,
        ) {
            let polynomial = interpolant(function, a, a + width, degree);
            let kinks = function.kinks();
            // Where the interpolant is the function there is nothing to tell apart.
            prop_assume!(kinks.is_empty() || degree < 1 || kinks.iter().any(|k| a + 0.1 < *k && *k < a + width - 0.1));
            prop_assume!(polynomial.degree() == degree);
            check(function, a, a + width, degree, 90 * (degree + 4))?;
        }

        /// Lines below and above: the offsets are offsets, and good ones.
        #[test]
        fn extremes_are_bounds_and_close(
            function in prop::sample::select(vec![
                Activation::Tanh, Activation::Sigmoid, Activation::Softplus, Activation::Silu,
                Activation::Gelu, Activation::Sin,
            ]),
            a in -9.0..9.0f64, width in 0.01..12.0f64, slope in -1.5..1.5f64,
        ) {
            let pieces = pieces(function, &exact(a), &exact(a + width)).unwrap();
            let (lower, upper) = extremes(&pieces[0], &exact(slope), width * 1e-10).unwrap();
            let line = Chebyshev::line(exact(slope));
            let values = (0..=400).map(|k| {
                let z = exact((a + width * f64::from(k) / 400.0).clamp(a, a + width));
                let s = function.enclose(&Enclosure::point(z.to_rational()), 150);
                let value = s.lower() - (&exact(slope) * &z).to_rational();
                prop_assert!(lower.to_rational() <= value && value <= upper.to_rational());
                prop_assert_eq!(line.place(&z), z);
                Ok(value)
            });
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let near = |x: BigRational| Enclosure::point(x).to_f64().1;
            // A point of the grid is within width / 800 of the best one; |s''| <= 1.
            let room = width * 1e-9 + width * width / 640_000.0 * 1.1;
            prop_assert!(near(values.iter().min().unwrap() - lower.to_rational()) <= room);
            prop_assert!(near(upper.to_rational() - values.iter().max().unwrap()) <= room);
        }
    }

    #[test]
    fn high_degrees_are_decided() {
        check(Activation::Relu, -4.0, 4.0, 200, 10_000).unwrap();
        check(Activation::Abs, -1.0, 3.0, 130, 12_000).unwrap();
        check(Activation::HardTanh, -6.0, 5.0, 90, 9000).unwrap();
        check(Activation::Gelu, -15.0, 25.0, 50, 4500).unwrap();
        check(Activation::Tanh, -10.0, 95.0, 60, 4500).unwrap();
    }

    /// Down to the rounding of the coefficients.
    #[test]
    fn errors_at_the_floor_are_decided() {
        check(Activation::Tanh, -0.5, 0.5, 19, 400).unwrap();
        check(Activation::Sin, -1.0, 2.0, 24, 400).unwrap();
        check(Activation::Softplus, 1.0, 1.25, 12, 400).unwrap();
    }

    #[test]
    fn hostile_numbers_are_undecided() {
        let piece = |a: f64, b: f64| pieces(Activation::Tanh, &exact(a), &exact(b)).unwrap();
        let one = exact(1.0);
        let undecided = |polynomial: &Chebyshev, a: f64, b: f64, error: f64| {
            let decision = decide(polynomial, &piece(a, b)[0], &exact(error));
            assert!(matches!(decision, Decision::Undecided(_)), "{decision:?}");
        };
        let line = |slope: Dyadic, scale: Dyadic| {
            Chebyshev::new(Dyadic::from(0), scale, vec![Dyadic::from(0), slope])
        };
        let huge = Dyadic::new(BigInt::one(), 5000);
        let tiny = Dyadic::new(BigInt::one(), -5000);
        undecided(&line(huge.clone(), one.clone()), -1.0, 1.0, 1.0);
        undecided(&line(one.clone(), tiny.clone()), 1e300, 1.5e300, 1.0);
        undecided(&line(one.clone(), huge), -1e-300, 1e300, f64::MAX);
        undecided(&line(tiny, one.clone()), -1e300, 1e300, 1e200);
        // At a point: no room for a place beside it.
        let constant = interpolant(Activation::Tanh, 3.0, 3.0, 0);
        assert_eq!(decide(&constant, &piece(3.0, 3.0)[0], &exact(2e-16)), Decision::Proven);
        undecided(&constant, 3.0, 3.0, 1e-19);
        // An error of 0 that no rounded arithmetic can confirm.
        let sine = pieces(Activation::Sin, &exact(0.0), &exact(0.0)).unwrap();
        let zero = line(Dyadic::from(0), one);
        assert!(matches!(decide(&zero, &sine[0], &exact(0.0)), Decision::Undecided(_)));
    }
}
