//! Finding the polynomial: the frame of a fit, and the polynomial of least error in it.

use super::certificate::{Candidate, Evaluator, ROUNDOFF, prove};
use super::model::{Line, lines, most_units, single_line};
use super::range::value_range;
use super::remez::{Problem, Sample};
use super::series::{add_kink, chebyshev_sums, from_values, nodes, quarter_cosines};
use super::{Fit, finite, within_unit};
use crate::error::Result;
use crate::network::activation::Activation;
use crate::numeric::fixed::{exponent_above, power_of_two};
use crate::numeric::outward::{Interval, add_up};
use std::f64::consts::PI;

/// Below this part of the largest value an error is computed in fixed point: f64 values would
/// disturb it.
const DELICATE: f64 = 1e-9;

/// An error below this part of the largest value disappears in the rounding of the coefficients.
const FLOOR: f64 = ROUNDOFF / 16.0;

/// A symmetry of the activation about 0 that holds but for a known line.
#[derive(Clone, Copy, Debug)]
enum Parity {
    /// s(z) - slope z is even.
    Even { slope: f64 },
    /// s(z) - offset is odd.
    Odd { offset: f64 },
}

/// What is fitted, and in which variable t = (z - centre) scale.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub activation: Activation,
    pub interval: Interval,
    pub degree: usize,
    pub centre: f64,
    pub scale: f64,
    /// max |s|, about.
    pub size: f64,
    parity: Option<Parity>,
}

/// A polynomial found by exchange.
struct Found {
    coefficients: Vec<f64>,
    /// The places of the extremes, ascending.
    extremes: Vec<f64>,
    /// The largest error found, before the coefficients were rounded.
    largest: f64,
}

impl Frame {
    /// `lower < upper`, both within limits.
    pub fn new(activation: Activation, interval: Interval, degree: usize) -> Self {
        let symmetric = interval.lower == -interval.upper;
        let centre = if symmetric { 0.0 } else { interval.middle() };
        let half = interval.radius_about(centre);
        let mut scale = (1.0 / half).min(power_of_two(1000));
        let fits =
            |scale: f64| within_unit(Candidate { centre, scale, coefficients: &[] }, interval);
        // The quotient is rounded once: a step or two.
        while !fits(scale) {
            scale = scale.next_down();
        }
        let parity = match activation {
            _ if !symmetric => None,
            Activation::Relu | Activation::Softplus | Activation::Silu | Activation::Gelu => {
                Some(Parity::Even { slope: 0.5 })
            }
            Activation::LeakyRelu { slope } => Some(Parity::Even { slope: 0.5 + slope / 2.0 }),
            Activation::Abs => Some(Parity::Even { slope: 0.0 }),
            Activation::Tanh | Activation::HardTanh | Activation::Sin | Activation::Identity => {
                Some(Parity::Odd { offset: 0.0 })
            }
            Activation::Sigmoid => Some(Parity::Odd { offset: 0.5 }),
            Activation::Elu { .. } => None,
        };
        // The exact odd part must be an f64.
        let parity = match (activation, parity) {
            (Activation::LeakyRelu { slope }, Some(Parity::Even { slope: half }))
                if half * 2.0 - 1.0 != slope =>
            {
                None
            }
            _ => parity.filter(|_| degree > 0),
        };
        let mut frame = Frame { activation, interval, degree, centre, scale, size: 0.0, parity };
        frame.size = (0..=16)
            .map(|i| frame.at((PI * f64::from(i) / 16.0).cos()).0)
            .map(|z| activation.value(z).abs())
            .fold(0.0, f64::max);
        frame
    }

    /// The pre-activation nearest to t that f64 has inside the interval, and its own t.
    fn at(&self, t: f64) -> (f64, f64) {
        let z = (self.centre + t / self.scale).clamp(self.interval.lower, self.interval.upper);
        (z, self.place(z))
    }

    fn place(&self, z: f64) -> f64 {
        ((z - self.centre) * self.scale).clamp(-1.0, 1.0)
    }

    fn polynomial<'a>(&self, coefficients: &'a [f64]) -> Candidate<'a> {
        Candidate { centre: self.centre, scale: self.scale, coefficients }
    }

    /// Whether the activation is a sine that turns too often for any polynomial of the degree: an
    /// interval longer than (n + 3) pi holds n + 2 of its extremes +-1, so that the error of a
    /// polynomial of degree n is at least 1 (de la Vallee Poussin), which is the error of 0.
    pub fn hopeless(&self) -> bool {
        let turns = Interval::point(self.degree as f64 + 3.0);
        self.activation == Activation::Sin
            && self.interval.upper - self.interval.lower > most_units(self.degree + 1)
            && self.interval.width() > (turns * Interval::point(PI.next_up())).upper.next_up()
    }

    /// The offset, or 0 and the slope, where the activation is a line through 0 or flat on the whole interval,
    /// or so nearly that f64 does not see the difference.
    pub fn line(&self) -> Option<Vec<f64>> {
        let bits = 62 - exponent_above(self.size);
        match single_line(self.activation, self.interval, bits)? {
            Line { slope: 0.0, offset } => Some(vec![offset]),
            Line { slope, offset: 0.0 } => Some(vec![0.0, slope]),
            _ => None,
        }
    }

    /// The Chebyshev coefficients of the interpolant, with the symmetry of the activation.
    pub fn interpolation(&self) -> Vec<f64> {
        self.transformed(self.degree + 1)
    }

    /// The coefficients, up to the degree, of the interpolant in so many points.
    fn transformed(&self, points: usize) -> Vec<f64> {
        let cosines = quarter_cosines(points);
        let values: Vec<f64> = nodes(&cosines)
            .into_iter()
            .map(|t| self.activation.value(self.centre + t / self.scale))
            .collect();
        let mut coefficients = from_values(&values, &cosines, self.degree + 1);
        self.symmetrise(&mut coefficients);
        coefficients
    }

    /// Sets the coefficients that the symmetry knows.
    fn symmetrise(&self, coefficients: &mut Vec<f64>) {
        let (first, known) = match self.parity {
            None => return,
            Some(Parity::Even { slope }) => (1, slope / self.scale),
            Some(Parity::Odd { offset }) => (0, offset),
        };
        coefficients.iter_mut().skip(first).step_by(2).for_each(|c| *c = 0.0);
        if coefficients.len() <= first && known != 0.0 {
            coefficients.resize(first + 1, 0.0);
        }
        if let Some(c) = coefficients.get_mut(first) {
            *c = known;
        }
    }

    /// The first Chebyshev coefficients of the activation: in closed form where it is piecewise
    /// linear, else those of an interpolant in many points.
    pub fn truncated(&self) -> Vec<f64> {
        let Some(lines) = lines(self.activation) else {
            return self.transformed(8 * self.degree + 256);
        };
        let mut coefficients = vec![0.0; self.degree + 1];
        let mut before: Option<f64> = None;
        for (from, to, Line { slope, offset }) in lines {
            if to <= self.interval.lower || from >= self.interval.upper {
                continue;
            }
            match before {
                None => {
                    coefficients[0] += slope * self.centre + offset;
                    if let Some(c) = coefficients.get_mut(1) {
                        *c += slope / self.scale;
                    }
                }
                Some(before) => {
                    let kink = (from - self.centre) * self.scale;
                    add_kink(&mut coefficients, kink, (slope - before) / self.scale);
                }
            }
            before = Some(slope);
        }
        self.symmetrise(&mut coefficients);
        coefficients
    }

    /// The fit with these coefficients.
    pub fn proven(&self, coefficients: Vec<f64>) -> Result<Fit> {
        let polynomial = self.polynomial(&coefficients);
        let expected = sampled_error(self.activation, self.interval, polynomial);
        self.conclude(Found { coefficients, extremes: Vec::new(), largest: expected }, false)
    }

    fn conclude(&self, found: Found, at_floor: bool) -> Result<Fit> {
        let mut coefficients = found.coefficients;
        while coefficients.len() > 1 && coefficients.last() == Some(&0.0) {
            coefficients.pop();
        }
        let Frame { activation, interval, centre, scale, .. } = *self;
        let fit = |error, lower_bound| Fit {
            centre,
            scale,
            coefficients: coefficients.clone(),
            interval,
            error,
            lower_bound,
            at_floor,
        };
        // Numbers that overflowed are found before anything is computed with them.
        finite(fit(0.0, 0.0))?;
        let expected = found.largest.max(ROUNDOFF * self.size);
        let polynomial = self.polynomial(&coefficients);
        let proof =
            prove(activation, interval, polynomial, expected, self.degree, &found.extremes)?;
        finite(fit(proof.error, proof.lower_bound))
    }

    /// The fit of least error.
    pub fn minimax(&self) -> Result<Fit> {
        let start = self.interpolation();
        let tail = start.iter().rev().take(3).fold(0.0, |m: f64, c| m.max(c.abs()));
        let mut best: Option<Fit> = None;
        if start.len() < 3 || tail >= 0.1 * DELICATE * self.size {
            let activation = self.activation;
            let mut values = |zs: &[f64]| zs.iter().map(|&z| activation.value(z)).collect();
            if let Some(mut found) = self.exchange(self.degree, &mut values)
                && found.largest >= DELICATE * self.size
            {
                self.symmetrise(&mut found.coefficients);
                let fit = self.conclude(found, false)?;
                if self.is_good(&fit) {
                    return Ok(fit);
                }
                best = Some(fit);
            }
        }
        if let Some((found, at_floor)) = self.delicate(&start)? {
            let fit = better(best, self.conclude(found, at_floor)?);
            if self.is_good(&fit) {
                return Ok(fit);
            }
            best = Some(fit);
        }
        // A last resort, which is at least not worse than the range of the activation.
        let range = value_range(self.activation, self.interval);
        let flat = self.proven(vec![range.middle()])?;
        Ok(better(best, better(Some(flat), self.proven(start)?)))
    }

    /// Whether a fit is as near to the least error as is promised.
    fn is_good(&self, fit: &Fit) -> bool {
        fit.error <= 1.0009 * fit.lower_bound + 4.0 * ROUNDOFF * self.size
    }

    /// The polynomial of least error from values in fixed point; whether its error is that of rounding.
    ///
    /// The exchange is on s - p, p the interpolant with its f64 coefficients, which is small and
    /// known to 90 bits and more; its solution is added to p.
    fn delicate(&self, start: &[f64]) -> Result<Option<(Found, bool)>> {
        let largest = start.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
        // Coefficients above the rounding of f64 reach to here; those above the floor a little further.
        let seen = start.iter().rposition(|c| c.abs() > largest * power_of_two(-48)).unwrap_or(0);
        let mut degree = self.degree.min(seen + seen / 5 + 3);
        let mut limit = self.degree;
        loop {
            let first = &start[..=degree.min(start.len() - 1)];
            let evaluator =
                Evaluator::new(self.activation, self.interval, self.polynomial(first), self.size)?;
            let mut residual = |zs: &[f64]| evaluator.differences(zs);
            let Some(found) = self.exchange(degree, &mut residual) else {
                // Too few numbers in the interval for that degree.
                if degree == 0 {
                    return Ok(None);
                }
                degree /= 2;
                limit = degree;
                continue;
            };
            let floor = FLOOR * self.size;
            if degree < limit && found.largest > floor {
                degree = limit.min(degree + degree / 4 + 3);
                continue;
            }
            let mut coefficients = found.coefficients;
            // What the exchange left out, where the symmetry knows it, is in p.
            coefficients.resize(coefficients.len().max(first.len()), 0.0);
            coefficients.iter_mut().zip(first).for_each(|(q, p)| *q += p);
            let at_floor = found.largest <= floor;
            if at_floor {
                let mut dropped = 0.0;
                while let [_, .., last] = coefficients[..]
                    && add_up(dropped, last.abs()) <= floor
                {
                    dropped += last.abs();
                    coefficients.pop();
                }
            }
            return Ok(Some((Found { coefficients, ..found }, at_floor)));
        }
    }

    /// Places where the activation may change quickly in terms of the interval: towards its kinks on
    /// every scale, towards 0 on every scale but the finest where it is smooth.
    fn busy(&self) -> Vec<f64> {
        let (points, least) = match (self.activation, self.activation.kinks()) {
            (Activation::Identity | Activation::Sin, _) => return Vec::new(),
            (_, []) => (&[0.0][..], 1.0 / 32.0),
            (_, kinks) => (kinks, 0.0),
        };
        let width = self.interval.upper - self.interval.lower;
        let steps = (2..=48).map(|j| width * (-0.5 * f64::from(j)).exp2());
        let steps = steps.filter(|&step| step > least);
        let both = steps.flat_map(|step| [step, -step]);
        both.flat_map(|step| points.iter().map(move |point| point + step)).collect()
    }

    /// Remez' exchange for a function given by its values, in the variable that the symmetry
    /// suggests: for an even function p = q(2 t^2 - 1), for an odd one p = t q(2 t^2 - 1).
    ///
    /// With a symmetry the coefficients are those of the even or odd part of the function alone.
    fn exchange(&self, degree: usize, values: &mut dyn FnMut(&[f64]) -> Vec<f64>) -> Option<Found> {
        let parity = self.parity;
        let inside = |z: &f64| self.interval.lower < *z && *z < self.interval.upper;
        let kinks = self.activation.kinks().iter().copied().filter(inside);
        let kinks: Vec<f64> = kinks.map(|z| self.place(z)).collect();
        let places: Vec<f64> =
            self.busy().into_iter().filter(inside).map(|z| self.place(z)).collect();
        // The sine turns everywhere, the others in their busy places.
        let least_grid = match self.activation {
            Activation::Sin => (4.0 * self.interval.width()).clamp(120.0, 40_000.0) as usize,
            _ => 120,
        };
        let low = self.place(self.interval.lower);
        let high = self.place(self.interval.upper);
        let Some(parity) = parity else {
            let mut sample = |ts: &[f64]| {
                let places: Vec<(f64, f64)> = ts.iter().map(|&t| self.at(t)).collect();
                let zs: Vec<f64> = places.iter().map(|place| place.0).collect();
                let values = values(&zs);
                places
                    .into_iter()
                    .zip(values)
                    .map(|((z, x), value)| Sample { z, x, weight: 1.0, value })
                    .collect()
            };
            let problem = Problem {
                degree,
                range: (low, high),
                kinks: &kinks,
                places: &places,
                least_grid,
                weighted: false,
            };
            let solution = problem.solve(&mut sample)?;
            return Some(Found {
                coefficients: solution.coefficients,
                extremes: solution.reference,
                largest: solution.largest,
            });
        };
        let odd = matches!(parity, Parity::Odd { .. });
        // x = 2 t^2 - 1 for t >= 0; the part of the function that has the symmetry.
        let folded = |t: f64| 2.0 * t * t - 1.0;
        let mut sample = |xs: &[f64]| {
            let places: Vec<(f64, f64)> =
                xs.iter().map(|&x| self.at(((1.0 + x) / 2.0).max(0.0).sqrt())).collect();
            let zs: Vec<f64> = places.iter().flat_map(|place| [place.0, -place.0]).collect();
            let values = values(&zs);
            places
                .into_iter()
                .zip(values.chunks(2))
                .map(|((z, t), pair)| {
                    let mirrored = pair.get(1).copied().unwrap_or(0.0);
                    let value = (pair[0] + if odd { -mirrored } else { mirrored }) / 2.0;
                    Sample { z, x: folded(t), weight: if odd { t } else { 1.0 }, value }
                })
                .collect()
        };
        let fold = |ts: Vec<f64>| -> Vec<f64> {
            ts.into_iter().filter(|&t| t > 0.0).map(folded).filter(|x| *x > -1.0).collect()
        };
        let (kinks, places) = (fold(kinks), fold(places));
        let problem = Problem {
            degree: if odd { (degree.max(1) - 1) / 2 } else { degree / 2 },
            range: (-1.0, folded(high)),
            kinks: &kinks,
            places: &places,
            least_grid,
            weighted: odd,
        };
        let solution = problem.solve(&mut sample)?;
        let q = solution.coefficients;
        let mut coefficients = vec![0.0; 2 * q.len()];
        for (i, b) in q.iter().enumerate() {
            if odd {
                // t T_i(2 t^2 - 1) = T_1 T_2i = (T_(2i+1) + T_|2i-1|) / 2.
                coefficients[2 * i + 1] += b / 2.0;
                coefficients[(2 * i).abs_diff(1)] += b / 2.0;
            } else {
                coefficients[2 * i] = *b;
            }
        }
        let known = match parity {
            Parity::Even { .. } => 1,
            Parity::Odd { .. } => 0,
        };
        coefficients[known] = 0.0;
        let right = solution.reference;
        let left: Vec<f64> = right.iter().rev().filter(|z| **z > 0.0).map(|z| -z).collect();
        let extremes = left.into_iter().chain(right).collect();
        Some(Found { coefficients, extremes, largest: solution.largest })
    }
}

/// The fit with the smaller error. What bounds the least error from below for one bounds it for the other.
fn better(first: Option<Fit>, second: Fit) -> Fit {
    let Some(first) = first else { return second };
    let lower_bound = first.lower_bound.max(second.lower_bound);
    let best = if first.error <= second.error { first } else { second };
    Fit { lower_bound, ..best }
}

/// The largest |p - s| at some points, in f64.
pub(super) fn sampled_error(
    activation: Activation,
    interval: Interval,
    polynomial: Candidate,
) -> f64 {
    let Interval { lower, upper } = interval;
    let (middle, half) = (interval.middle(), upper / 2.0 - lower / 2.0);
    let steps = 4 * polynomial.coefficients.len() + 16;
    let zs: Vec<f64> = (0..=steps)
        .map(|i| middle - half * (PI * i as f64 / steps as f64).cos())
        .chain(activation.kinks().iter().copied())
        .map(|z| z.clamp(lower, upper))
        .collect();
    let ts: Vec<f64> =
        zs.iter().map(|z| ((z - polynomial.centre) * polynomial.scale).clamp(-1.0, 1.0)).collect();
    let mut values = Vec::new();
    chebyshev_sums(polynomial.coefficients, &ts, &mut values);
    zs.iter().zip(values).map(|(&z, p)| (p - activation.value(z)).abs()).fold(0.0, f64::max)
}
