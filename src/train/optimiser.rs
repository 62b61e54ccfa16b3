//! Adam, gradient descent with momentum, and L-BFGS.

use rayon::prelude::*;

use crate::train::options::{Optimiser, Options, Routine};
use crate::train::real::{Real, vectorised};

/// Parameters that one thread moves at a time.
const PART: usize = 1 << 13;
/// Parameters from which threads pay for their start.
const PARALLEL: usize = 1 << 15;

/// The moments of a first-order method, or the history of L-BFGS.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Memory<T> {
    Adam {
        first: Vec<T>,
        second: Vec<T>,
        steps: usize,
    },
    Sgd {
        velocity: Vec<T>,
    },
    /// Pairs of parameter and gradient differences, oldest first.
    Lbfgs {
        pairs: Vec<(Vec<T>, Vec<T>)>,
    },
}

/// How an iteration of L-BFGS ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Iteration {
    Stepped,
    /// No lower loss is to be found in this float: a minimum as far as it can be told.
    Converged,
}

impl<T: Real> Memory<T> {
    pub fn new(optimiser: Optimiser, parameters: usize) -> Self {
        let zeros = || vec![T::zero(); parameters];
        match optimiser {
            Optimiser::Adam { .. } => Memory::Adam { first: zeros(), second: zeros(), steps: 0 },
            Optimiser::Sgd { .. } => Memory::Sgd { velocity: zeros() },
            Optimiser::Lbfgs { .. } => Memory::Lbfgs { pairs: Vec::new() },
        }
    }

    /// One step of Adam or of gradient descent along `gradient`, whose squares sum to `size`; it is
    /// clipped on the way.
    pub fn step(
        &mut self,
        options: &Options,
        rate: f64,
        parameters: &mut [T],
        gradient: &[T],
        size: f64,
    ) {
        // Under the boundary routine the gradients are clipped layer by layer before.
        let clip = options.clip_norm().filter(|_| options.routine != Routine::Boundary);
        let factor = match clip {
            Some(limit) if size.sqrt() > limit => T::of(limit / size.sqrt()),
            _ => T::one(),
        };
        let parallel = parameters.len() >= PARALLEL;
        match (self, options.optimiser) {
            (Memory::Adam { first, second, steps }, Optimiser::Adam { beta1, beta2, epsilon }) => {
                *steps += 1;
                // A power beyond i32 is 0 in f64 for any decay below 1 that matters.
                let power = (*steps).min(i32::MAX as usize) as i32;
                let (bias1, bias2) = (1.0 - beta1.powi(power), 1.0 - beta2.powi(power));
                let constants = Adam {
                    factor,
                    decay: [T::of(beta1), T::of(beta2)],
                    share: [T::of(1.0 - beta1), T::of(1.0 - beta2)],
                    rate: T::of(rate / bias1),
                    correction: T::of(1.0 / bias2),
                    epsilon: T::of(epsilon),
                };
                if !parallel {
                    return adam(constants, parameters, gradient, first, second);
                }
                let moments = first.par_chunks_mut(PART).zip(second.par_chunks_mut(PART));
                let moved = parameters.par_chunks_mut(PART).zip(gradient.par_chunks(PART));
                moved.zip(moments).for_each(|((p, g), (m, v))| adam(constants, p, g, m, v));
            }
            (Memory::Sgd { velocity }, Optimiser::Sgd { momentum }) => {
                let (momentum, rate) = (T::of(momentum), T::of(rate));
                for ((p, g), v) in parameters.iter_mut().zip(gradient).zip(velocity) {
                    *v = momentum * *v + *g * factor;
                    *p -= rate * *v;
                }
            }
            // L-BFGS moves by `iterate`, and memories are made for their options.
            _ => {}
        }
    }
}

/// The constants of one step of Adam.
#[derive(Clone, Copy, Debug)]
struct Adam<T> {
    /// Of the gradient.
    factor: T,
    decay: [T; 2],
    share: [T; 2],
    /// Divided by the bias of the first moment.
    rate: T,
    /// The reciprocal of the bias of the second moment.
    correction: T,
    epsilon: T,
}

vectorised! {
    /// Moves parameters and moments along the gradient.
    fn adam<'a, T>(
        constants: Adam<T>,
        parameters: &'a mut [T],
        gradient: &'a [T],
        first: &'a mut [T],
        second: &'a mut [T],
    ) -> () {
        let [decay1, decay2] = constants.decay;
        let [share1, share2] = constants.share;
        let Adam { factor, rate, correction, epsilon, .. } = constants;
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((p, g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            let g = *g * factor;
            *m = decay1 * *m + share1 * g;
            *v = decay2 * *v + share2 * (g * g);
            *p -= rate * *m / ((*v * correction).sqrt() + epsilon);
        }
    }
}

fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.f64() * b.f64()).sum()
}

/// One iteration of L-BFGS on `objective`, which gives the loss and fills the gradient.
///
/// `loss` and `gradient` belong to `parameters` before and after. The direction is the
/// two-loop recursion (Nocedal and Wright 2006, algorithm 7.4), the step satisfies the strong
/// Wolfe conditions (algorithms 3.5 and 3.6) with constants 1e-4 and 0.9.
pub(super) fn iterate<T: Real>(
    pairs: &mut Vec<(Vec<T>, Vec<T>)>,
    history: usize,
    parameters: &mut Vec<T>,
    loss: &mut f64,
    gradient: &mut Vec<T>,
    mut objective: impl FnMut(&[T], &mut [T]) -> f64,
) -> Iteration {
    loop {
        let direction = direction(pairs, gradient);
        let slope = dot(&direction, gradient);
        if slope < 0.0
            && let Some(step) = search(
                parameters,
                *loss,
                slope,
                &direction,
                first_step(pairs, gradient),
                &mut objective,
            )
        {
            let difference = |a: &[T], b: &[T]| a.iter().zip(b).map(|(a, b)| *a - *b).collect();
            let moved: Vec<T> = difference(&step.point, parameters);
            let turned: Vec<T> = difference(&step.gradient, gradient);
            // Positive curvature keeps the estimate positive definite.
            if dot(&moved, &turned) > f64::EPSILON * dot(&turned, &turned) {
                if pairs.len() == history {
                    pairs.remove(0);
                }
                pairs.push((moved, turned));
            }
            (*parameters, *loss, *gradient) = (step.point, step.loss, step.gradient);
            return Iteration::Stepped;
        }
        // A stale curvature estimate may be what fails: steepest descent has the last word.
        if pairs.is_empty() {
            return Iteration::Converged;
        }
        pairs.clear();
    }
}

fn first_step<T: Real>(pairs: &[(Vec<T>, Vec<T>)], gradient: &[T]) -> f64 {
    if pairs.is_empty() { 1.0 / dot(gradient, gradient).sqrt().max(1.0) } else { 1.0 }
}

fn direction<T: Real>(pairs: &[(Vec<T>, Vec<T>)], gradient: &[T]) -> Vec<T> {
    let mut direction: Vec<T> = gradient.iter().map(|g| -*g).collect();
    let add = |direction: &mut [T], factor: f64, vector: &[T]| {
        let factor = T::of(factor);
        direction.iter_mut().zip(vector).for_each(|(d, v)| *d += factor * *v);
    };
    let mut factors = Vec::with_capacity(pairs.len());
    for (s, y) in pairs.iter().rev() {
        let factor = dot(s, &direction) / dot(s, y);
        add(&mut direction, -factor, y);
        factors.push(factor);
    }
    if let Some((s, y)) = pairs.last() {
        let scale = T::of(dot(s, y) / dot(y, y));
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((s, y), factor) in pairs.iter().zip(factors.iter().rev()) {
        let back = dot(y, &direction) / dot(s, y);
        add(&mut direction, factor - back, s);
    }
    direction
}

/// A point on the search line.
struct Step<T> {
    length: f64,
    loss: f64,
    slope: f64,
    point: Vec<T>,
    gradient: Vec<T>,
}

const SUFFICIENT: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
const MAX_TRIALS: usize = 40;

/// The strong Wolfe line search; `None` where no lower loss is found.
fn search<T: Real>(
    start: &[T],
    loss: f64,
    slope: f64,
    direction: &[T],
    first: f64,
    objective: &mut impl FnMut(&[T], &mut [T]) -> f64,
) -> Option<Step<T>> {
    let mut at = |length: f64| {
        let step = T::of(length);
        let point: Vec<T> = start.iter().zip(direction).map(|(x, d)| *x + step * *d).collect();
        let mut gradient = vec![T::zero(); point.len()];
        let loss = objective(&point, &mut gradient);
        let slope = dot(&gradient, direction);
        Step { length, loss, slope, point, gradient }
    };
    // NaN fails every one of these comparisons and so counts as too high.
    let low_enough =
        |s: &Step<T>| s.loss <= loss + SUFFICIENT * s.length * slope && s.slope.is_finite();
    let flat_enough = |s: &Step<T>| s.slope.abs() <= -CURVATURE * slope;
    let mut low = Step { length: 0.0, loss, slope, point: Vec::new(), gradient: Vec::new() };
    let mut high: Option<Step<T>> = None;
    let mut length = first;
    for _ in 0..MAX_TRIALS {
        let trial = at(length);
        if !low_enough(&trial) || trial.loss >= low.loss {
            high = Some(trial);
        } else if flat_enough(&trial) {
            return (trial.loss < loss).then_some(trial);
        } else if let Some(old) = &high {
            if trial.slope * (old.length - trial.length) >= 0.0 {
                high = Some(low);
            }
            low = trial;
        } else if trial.slope >= 0.0 {
            high = Some(std::mem::replace(&mut low, trial));
        } else {
            low = trial;
        }
        length = match &high {
            None => 2.0 * low.length.max(length),
            Some(high) => between(&low, high),
        };
        if !length.is_finite() || length == low.length {
            break;
        }
    }
    // The conditions cannot be met in floats close to a minimum; any decrease is still progress.
    (low.length > 0.0 && low.loss < loss).then_some(low)
}

/// The minimum of the cubic through both ends, kept away from them; the middle where it has none.
fn between<T>(low: &Step<T>, high: &Step<T>) -> f64 {
    let width = high.length - low.length;
    let middle = low.length + 0.5 * width;
    let d1 = low.slope + high.slope - 3.0 * (low.loss - high.loss) / (low.length - high.length);
    let d2 = (d1 * d1 - low.slope * high.slope).sqrt() * width.signum();
    let cubic = high.length - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2);
    let (a, b) = (low.length + 0.1 * width, low.length + 0.9 * width);
    if cubic.is_finite() && cubic > a.min(b) && cubic < a.max(b) { cubic } else { middle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lbfgs_minimises_the_rosenbrock_function() {
        let rosenbrock = |p: &[f64], g: &mut [f64]| {
            let (a, b) = (1.0 - p[0], p[1] - p[0] * p[0]);
            g[0] = -2.0 * a - 400.0 * p[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        };
        let mut parameters = vec![-1.2, 1.0];
        let mut gradient = vec![0.0; 2];
        let mut loss = rosenbrock(&parameters, &mut gradient);
        let mut pairs = Vec::new();
        for _ in 0..100 {
            let before = loss;
            let end =
                iterate(&mut pairs, 10, &mut parameters, &mut loss, &mut gradient, rosenbrock);
            assert!(loss <= before);
            if end == Iteration::Converged {
                break;
            }
        }
        assert!(loss < 1e-20, "{loss}");
        assert!((parameters[0] - 1.0).abs() < 1e-8 && (parameters[1] - 1.0).abs() < 1e-8);
    }

    #[test]
    fn a_gradient_is_clipped_at_its_norm() {
        let options = Options {
            optimiser: Optimiser::Sgd { momentum: 0.0 },
            clip: Some(1.0),
            ..Options::default()
        };
        let mut memory = Memory::new(options.optimiser, 2);
        let mut parameters = vec![0.0_f64, 0.0];
        memory.step(&options, 1.0, &mut parameters, &[3.0, 4.0], 25.0);
        assert!((parameters[0] + 0.6).abs() < 1e-15 && (parameters[1] + 0.8).abs() < 1e-15);
    }
}
