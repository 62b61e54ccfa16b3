//! The polynomial of least largest error, by Remez' exchange.
//!
//! Nothing here is proven, and nothing needs to be: the result is a polynomial with f64
//! coefficients, whose error is proven afterwards.

use super::series::{chebyshev_sums, from_values, nodes, quarter_cosines};
use crate::numeric::fixed::times_power;
use std::f64::consts::PI;

/// Grid points between two neighbouring extremes of the error, about.
const DENSITY: usize = 12;

/// The exchange stops after so many steps.
const MOST_STEPS: usize = 100;

/// How often a place between grid points is improved.
const REFINEMENTS: usize = 4;

/// A peak this much of the largest of its run on the grid may exceed it between grid points.
const NEARLY: f64 = 0.95;

/// The error is level when its largest value exceeds the levelled one by this part at most.
const LEVEL: f64 = 1e-5;

/// The function at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The place as the caller knows it.
    pub z: f64,
    /// The variable of the polynomial, in [-1, 1].
    pub x: f64,
    /// The factor of the polynomial; positive but for isolated places.
    pub weight: f64,
    /// The value that weight times polynomial should have.
    pub value: f64,
}

/// A polynomial q and how far value - weight q(x) was found to go.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    /// The Chebyshev coefficients of q.
    pub coefficients: Vec<f64>,
    /// The places of degree + 2 extremes of the error, in the order of x.
    pub reference: Vec<f64>,
    /// The largest error found.
    pub largest: f64,
}

/// What to solve.
pub(super) struct Problem<'a> {
    /// The degree of q.
    pub degree: usize,
    /// The range of x.
    pub range: (f64, f64),
    /// Places strictly inside the range where the function is not smooth.
    pub kinks: &'a [f64],
    /// Other places in the range to look at, where the error may change quickly.
    pub places: &'a [f64],
    /// How many grid points there are at least.
    pub least_grid: usize,
    /// Whether the weight is sqrt((1 + x) / 2), of an odd function in t = sqrt((1 + x) / 2).
    pub weighted: bool,
}

/// An extreme of the error.
#[derive(Clone, Copy)]
struct Extreme {
    sample: Sample,
    error: f64,
}

impl Problem<'_> {
    /// The best polynomial found: the exchange has converged, or made no progress for a while.
    ///
    /// Every step levels the error on degree + 2 places, which are the extremes of the error of the step before
    /// with alternating signs, the largest of all among them (multiple exchange; Pachon and Trefethen
    /// 2009). `sample` gives the function near the x asked for. `None` where places coincide, as they do
    /// when the range is a few f64 wide.
    ///
    /// Time: about 12 n^2 multiplications a step for degree n, and some 5 to 15 steps.
    pub fn solve(&self, sample: &mut dyn FnMut(&[f64]) -> Vec<Sample>) -> Option<Solution> {
        let count = self.degree + 2;
        let cosines = quarter_cosines(self.degree + 1);
        let (grid, corners) = self.grid(sample);
        if grid.len() < count {
            return None;
        }
        let xs: Vec<f64> = grid.iter().map(|s| s.x).collect();
        let angles: Vec<f64> = xs.iter().map(|x| x.clamp(-1.0, 1.0).acos()).collect();
        let mut reference = self.start(sample);
        let mut best: Option<Solution> = None;
        let (mut highest, mut idle) = (0.0, 0);
        let mut values = Vec::new();
        for _ in 0..MOST_STEPS {
            let Some((level, coefficients)) = levelled(&reference, &cosines) else { break };
            chebyshev_sums(&coefficients, &xs, &mut values);
            let errors: Vec<f64> =
                grid.iter().zip(&values).map(|(s, q)| s.value - s.weight * q).collect();
            if errors.iter().any(|e| !e.is_finite()) {
                break;
            }
            let runs = runs(&errors);
            let mut peaks: Vec<Peak> = runs
                .iter()
                .flatten()
                .map(|&i| Peak::new(i, &grid, &angles, &errors, &corners))
                .collect();
            for _ in 0..REFINEMENTS {
                let proposals: Vec<Option<f64>> = peaks.iter().map(Peak::proposal).collect();
                let asked: Vec<f64> = proposals.iter().flatten().map(|a| a.cos()).collect();
                let answers = sample(&asked);
                let places: Vec<f64> = answers.iter().map(|s| s.x).collect();
                chebyshev_sums(&coefficients, &places, &mut values);
                let open = peaks.iter_mut().zip(&proposals).filter(|(_, p)| p.is_some());
                for ((peak, _), (s, q)) in open.zip(answers.iter().zip(&values)) {
                    peak.improve(*s, s.value - s.weight * q);
                }
            }
            // The largest of each run.
            let mut rest = &peaks[..];
            let mut candidates: Vec<Extreme> = Vec::with_capacity(runs.len());
            for run in &runs {
                let (own, others) = rest.split_at(run.len());
                let size = |peak: &&Peak| peak.best.error.abs();
                let largest = own.iter().max_by(|a, b| size(a).total_cmp(&size(b)));
                candidates.extend(largest.map(|peak| peak.best));
                rest = others;
            }
            let largest = candidates.iter().fold(0.0_f64, |m, e| m.max(e.error.abs()));
            // In exact arithmetic the level rises with every step; where it rises too little to be seen, the
            // largest error may still fall.
            idle += 1;
            if level.abs() > highest * (1.0 + LEVEL) {
                (highest, idle) = (level.abs(), 0);
            }
            if best.as_ref().is_none_or(|best| largest < best.largest) {
                idle = 0;
                let mut places = candidates.clone();
                thin(&mut places, count);
                let reference = places.iter().map(|e| e.sample.z).collect();
                best = Some(Solution { coefficients, reference, largest });
            }
            if largest <= level.abs() * (1.0 + LEVEL) || idle >= 6 {
                break;
            }
            if candidates.len() >= count {
                thin(&mut candidates, count);
                reference = candidates.iter().map(|e| e.sample).collect();
            } else if !exchange_one(&mut reference, &candidates, level) {
                break;
            }
        }
        best
    }

    /// Samples at angles evenly spaced over the range, and at the kinks; whether each is a kink.
    fn grid(&self, sample: &mut dyn FnMut(&[f64]) -> Vec<Sample>) -> (Vec<Sample>, Vec<bool>) {
        let steps = (DENSITY * (self.degree + 2)).max(self.least_grid);
        let (low, high) = self.range;
        let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
        let mut xs: Vec<(f64, bool)> = (0..=steps)
            .map(|i| (middle - half * (PI * i as f64 / steps as f64).cos(), false))
            .chain(self.places.iter().map(|&x| (x, false)))
            .chain(self.kinks.iter().map(|&x| (x, true)))
            .collect();
        xs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let samples = sample(&xs.iter().map(|x| x.0).collect::<Vec<_>>());
        let (mut grid, mut corners): (Vec<Sample>, Vec<bool>) = Default::default();
        for (s, (_, kink)) in samples.into_iter().zip(xs) {
            match grid.last() {
                Some(last) if s.x <= last.x => {
                    // The kink replaces what it coincides with.
                    if kink && s.x == last.x {
                        grid.pop();
                        corners.pop();
                        grid.push(s);
                        corners.push(true);
                    }
                }
                _ => {
                    grid.push(s);
                    corners.push(kink);
                }
            }
        }
        (grid, corners)
    }

    /// The extremes of the Chebyshev polynomial that has the right number of them.
    fn start(&self, sample: &mut dyn FnMut(&[f64]) -> Vec<Sample>) -> Vec<Sample> {
        let count = self.degree + 2;
        let (low, high) = self.range;
        let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
        // With the weight: those of T_(2 count - 1) in t > 0, doubled angles.
        let step =
            if self.weighted { 2.0 * PI / (2 * count - 1) as f64 } else { PI / (count - 1) as f64 };
        let xs: Vec<f64> =
            (0..count).rev().map(|k| middle + half * (step * k as f64).cos()).collect();
        sample(&xs)
    }
}

/// The polynomial q with value - weight q(x) = +-h, of alternating sign, on the reference: h and the
/// Chebyshev coefficients of q.
fn levelled(reference: &[Sample], cosines: &[f64]) -> Option<(f64, Vec<f64>)> {
    let weights = barycentric(reference)?;
    let sign = |k: usize| if k.is_multiple_of(2) { 1.0 } else { -1.0 };
    let (mut above, mut below) = (0.0, 0.0);
    for (k, (s, l)) in reference.iter().zip(&weights).enumerate() {
        above += l * s.value / s.weight;
        below += l * sign(k) / s.weight;
    }
    let level = above / below;
    if !level.is_finite() {
        return None;
    }
    let targets: Vec<f64> =
        reference.iter().enumerate().map(|(k, s)| (s.value - sign(k) * level) / s.weight).collect();
    let values: Vec<f64> = nodes(cosines)
        .into_iter()
        .map(|x| {
            let (mut above, mut below) = (0.0, 0.0);
            for ((s, l), target) in reference.iter().zip(&weights).zip(&targets) {
                if x == s.x {
                    return *target;
                }
                let share = l / (x - s.x);
                above += share * target;
                below += share;
            }
            above / below
        })
        .collect();
    Some((level, from_values(&values, cosines, values.len())))
}

/// 1 / product over j != k of (x_k - x_j) for every k, up to a common factor; `None` where two
/// places coincide.
fn barycentric(reference: &[Sample]) -> Option<Vec<f64>> {
    let parts: Vec<(f64, i32)> = reference
        .iter()
        .enumerate()
        .map(|(k, at)| {
            let (mut product, mut exponent) = (1.0_f64, 0);
            for (j, other) in reference.iter().enumerate() {
                if j != k {
                    // Times 2: the factors multiply to about 1 on an interval of length 2.
                    product *= 2.0 * (at.x - other.x);
                    if product.abs() < 1e-140 {
                        product *= 2.0_f64.powi(400);
                        exponent -= 400;
                    } else if product.abs() > 1e140 {
                        product *= 2.0_f64.powi(-400);
                        exponent += 400;
                    }
                }
            }
            (product, exponent)
        })
        .collect();
    if parts.iter().any(|(product, _)| *product == 0.0 || !product.is_finite()) {
        return None;
    }
    let least = parts.iter().map(|(_, exponent)| *exponent).min()?;
    Some(parts.iter().map(|(product, e)| times_power(1.0 / product, least - e)).collect())
}

/// For every run of errors with one sign, the places of its peaks that may be its largest between grid
/// points: beside a kink a run has two.
fn runs(errors: &[f64]) -> Vec<Vec<usize>> {
    let places = (0..errors.len()).filter(|&i| errors[i] != 0.0).collect::<Vec<_>>();
    let runs = places.chunk_by(|&i, &j| (errors[i] > 0.0) == (errors[j] > 0.0));
    let size = |i: &usize| errors[*i].abs();
    runs.map(|run| {
        let largest = run.iter().map(size).fold(0.0, f64::max);
        let peak = |&k: &usize| {
            size(&run[k]) >= NEARLY * largest
                && (k == 0 || size(&run[k - 1]) < size(&run[k]))
                && run.get(k + 1).is_none_or(|next| size(next) <= size(&run[k]))
        };
        (0..run.len()).filter(peak).map(|k| run[k]).collect()
    })
    .collect()
}

/// A peak of |error| between two angles, about which less is known.
struct Peak {
    best: Extreme,
    angle: f64,
    /// Angle and error on the left (the larger angle) and right; `None` at ends and kinks.
    bracket: Option<[(f64, f64); 2]>,
}

impl Peak {
    fn new(i: usize, grid: &[Sample], angles: &[f64], errors: &[f64], corners: &[bool]) -> Self {
        // The nearest neighbours of which the error is smaller by more than its rounding: grid
        // points may all but coincide.
        let smaller = |j: &usize| {
            errors[*j] / errors[i] < 1.0 - 1e-9 || corners[*j] || *j == 0 || *j + 1 == grid.len()
        };
        let inside = i > 0 && i + 1 < grid.len() && !corners[i];
        let neighbours = || Some([(0..i).rev().find(smaller)?, (i + 1..grid.len()).find(smaller)?]);
        let bracket = if inside { neighbours() } else { None };
        Peak {
            best: Extreme { sample: grid[i], error: errors[i] },
            angle: angles[i],
            bracket: bracket
                .map(|ends| ends.map(|j| (angles[j], errors[j])))
                // Angles near 0 and pi may coincide.
                .filter(|[left, right]| left.0 > angles[i] && angles[i] > right.0),
        }
    }

    /// The angle of the vertex of the parabola through the three points, or a point in the wider
    /// half where that is not new.
    fn proposal(&self) -> Option<f64> {
        let [left, right] = self.bracket?;
        let (to_left, to_right) = (left.0 - self.angle, right.0 - self.angle);
        let (a, b) = ((left.1 - self.best.error) / to_left, (right.1 - self.best.error) / to_right);
        let curvature = (a - b) / (to_left - to_right);
        let shift = -(a - curvature * to_left) / (2.0 * curvature);
        let small = 1e-3 * (to_left - to_right);
        let good = shift.abs() > small && to_right + small < shift && shift < to_left - small;
        let wider = if to_left > -to_right { to_left } else { to_right };
        // Where the vertex is the peak itself, a point close by shortens the bracket most.
        let shift = if good {
            shift
        } else if shift.abs() <= small {
            wider.signum() * 2.0 * small
        } else {
            0.38 * wider
        };
        Some(self.angle + shift)
    }

    /// Takes in the error at a place inside the bracket.
    fn improve(&mut self, sample: Sample, error: f64) {
        let angle = sample.x.clamp(-1.0, 1.0).acos();
        let Some([left, right]) = self.bracket else { return };
        if !(right.0 < angle && angle < left.0) || angle == self.angle || !error.is_finite() {
            self.bracket = None;
            return;
        }
        if error * self.best.error.signum() > self.best.error.abs() {
            let old = (self.angle, self.best.error);
            self.bracket = Some(if angle > self.angle { [left, old] } else { [old, right] });
            self.best = Extreme { sample, error };
            self.angle = angle;
        } else {
            let new = (angle, error);
            self.bracket = Some(if angle > self.angle { [new, right] } else { [left, new] });
        }
    }
}

/// Drops extremes until `count` are left, so that the signs still alternate and the largest stays.
fn thin(extremes: &mut Vec<Extreme>, count: usize) {
    while extremes.len() > count {
        let size = |i: usize| extremes[i].error.abs();
        let last = extremes.len() - 1;
        if extremes.len() == count + 1 {
            let end = if size(0) < size(last) { 0 } else { last };
            extremes.remove(end);
            continue;
        }
        let least = (0..=last).min_by(|&a, &b| size(a).total_cmp(&size(b))).unwrap_or(0);
        if least == 0 || least == last {
            extremes.remove(least);
        } else {
            let first = if size(least - 1) < size(least + 1) { least - 1 } else { least };
            extremes.drain(first..first + 2);
        }
    }
}

/// Puts the largest extreme into the reference in the place of a neighbour, so that the signs of
/// the errors still alternate; whether that changed anything.
fn exchange_one(reference: &mut Vec<Sample>, candidates: &[Extreme], level: f64) -> bool {
    let Some(largest) =
        candidates.iter().max_by(|a, b| a.error.abs().total_cmp(&b.error.abs())).copied()
    else {
        return false;
    };
    let x = largest.sample.x;
    if reference.iter().any(|s| s.x == x) {
        return false;
    }
    // The error at place k of the reference has the sign of (-1)^k level.
    let same = |k: usize| (level > 0.0) == ((k.is_multiple_of(2)) == (largest.error > 0.0));
    let after = reference.iter().filter(|s| s.x < x).count();
    let count = reference.len();
    if after == 0 {
        if !same(0) {
            reference.pop();
            reference.insert(0, largest.sample);
        } else {
            reference[0] = largest.sample;
        }
    } else if after == count {
        if !same(count - 1) {
            reference.remove(0);
            reference.push(largest.sample);
        } else {
            reference[count - 1] = largest.sample;
        }
    } else {
        let k = if same(after - 1) { after - 1 } else { after };
        reference[k] = largest.sample;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solve(degree: usize, kinks: &[f64], function: impl Fn(f64) -> f64) -> Solution {
        let problem = Problem {
            degree,
            range: (-1.0, 1.0),
            kinks,
            places: &[],
            least_grid: 120,
            weighted: false,
        };
        let sample = |xs: &[f64]| -> Vec<Sample> {
            xs.iter().map(|&x| Sample { z: x, x, weight: 1.0, value: function(x) }).collect()
        };
        problem.solve(&mut { sample }).unwrap()
    }

    #[test]
    fn powers_and_poles_have_their_known_errors() {
        for degree in 0..30 {
            // x^(n+1) minus its best polynomial of degree n is T_(n+1) / 2^n.
            let solution = solve(degree, &[], |x| x.powi(degree as i32 + 1));
            let error = 0.5f64.powi(degree as i32);
            assert!((solution.largest / error - 1.0).abs() < 1e-5 + 1e-14 / error);
            assert_eq!(solution.reference.len(), degree + 2);
            // 1 / (x - a): (a - sqrt(a^2 - 1))^n / (a^2 - 1) (Chebyshev).
            let a = 1.25;
            let solution = solve(degree, &[], |x| 1.0 / (x - a));
            let error = 0.5f64.powi(degree as i32) / 0.5625;
            assert!((solution.largest / error - 1.0).abs() < 1e-5 + 1e-13 / error);
        }
    }

    #[test]
    fn kinks_are_found_and_levelled() {
        // The best parabola for |x| is x^2 + 1/8.
        let solution = solve(3, &[0.0], f64::abs);
        assert!((solution.largest - 0.125).abs() < 1e-6);
        for (coefficient, expected) in solution.coefficients.iter().zip([0.625, 0.0, 0.5, 0.0]) {
            assert!((coefficient - expected).abs() < 1e-6);
        }
        for kinks in [&[-0.9][..], &[0.3], &[0.999_999], &[-0.2, 0.1], &[-0.99, 0.7]] {
            for degree in [1, 2, 5, 17, 60] {
                let function =
                    |x: f64| kinks.iter().zip([1.0, -2.5]).map(|(k, c)| c * (x - k).max(0.0)).sum();
                let solution = solve(degree, kinks, function);
                let mut values = Vec::new();
                chebyshev_sums(&solution.coefficients, &solution.reference, &mut values);
                let errors: Vec<f64> =
                    solution.reference.iter().zip(&values).map(|(x, q)| function(*x) - q).collect();
                assert!(errors.windows(2).all(|pair| pair[0] * pair[1] < 0.0));
                let least = errors.iter().fold(f64::INFINITY, |m: f64, e| m.min(e.abs()));
                assert!(solution.largest <= least * 1.0001, "{kinks:?} {degree}");
            }
        }
    }

    #[test]
    fn thinning_keeps_the_signs_and_the_largest() {
        let errors = [0.3, -1.0, 0.1, -0.2, 2.0, -0.9, 0.8];
        for count in 1..7 {
            let mut extremes: Vec<Extreme> = errors
                .iter()
                .enumerate()
                .map(|(i, &error)| {
                    let x = i as f64;
                    Extreme { sample: Sample { z: x, x, weight: 1.0, value: 0.0 }, error }
                })
                .collect();
            thin(&mut extremes, count);
            assert_eq!(extremes.len(), count);
            assert!(extremes.windows(2).all(|pair| pair[0].error * pair[1].error < 0.0));
            assert!(extremes.iter().any(|e| e.error == 2.0));
        }
    }
}
