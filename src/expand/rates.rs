//! Seconds of the methods modulo primes, from operations and measurements of their own kernels.
//!
//! An operation takes as long as the kernel that does it allows, which depends on widths, degrees
//! and primes as on the machine. So where an expansion is long its network is measured itself, with
//! fewer inputs or primes: a run of about a thirtieth of the time, a few milliseconds at most,
//! gives the seconds of an operation in each phase. Where it is short a small network does, once.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::expand::carry_out::Residual;
use crate::expand::lattice::{Progress, Work, operations as on_lattice, primes_for};
use crate::expand::plan::{Route, dense_terms};
use crate::expand::stages::{Bound, Number, Row, Stage, Stages};
use crate::expand::{closed, compressed, roots};
use crate::numeric::residues::Level;

/// Operations from which on a network is measured itself.
const LONG: f64 = 2e7;

/// The part of its operations that a measurement takes, and how many at most.
const PART: f64 = 1.0 / 32.0;
const MOST: f64 = 3e7;

/// The part of the work that threads do not share.
const ALONE: f64 = 0.1;

/// Seconds of an operation in each phase, and those before any work is done.
#[derive(Clone, Copy, Debug)]
struct Rates {
    phases: [f64; 3],
    start: f64,
}

impl Rates {
    fn seconds(&self, operations: [f64; 3]) -> f64 {
        self.start + (0..3).map(|i| self.phases[i] * operations[i]).sum::<f64>()
    }
}

/// Seconds that an expansion takes, on `threads` threads.
pub(super) fn seconds(
    stages: &Stages,
    bounds: &[Bound],
    route: Route,
    phases: [f64; 3],
    threads: usize,
) -> f64 {
    let standard = standard(route);
    let long = phases.iter().sum::<f64>() >= LONG;
    let own = if long { measured(stages, bounds, route, phases, standard) } else { None };
    own.unwrap_or(standard).seconds(phases) * (ALONE + (1.0 - ALONE) / threads as f64)
}

/// Operations of one of the methods, by phase.
pub(super) fn operations(stages: &Stages, bounds: &[Bound], route: Route) -> Option<[f64; 3]> {
    match route {
        Route::Lattice => Some(on_lattice(stages, bounds)),
        Route::Closed => closed::operations(stages, bounds),
        Route::Roots => roots::operations(stages, bounds),
        Route::Compressed => compressed::operations(stages, bounds),
        Route::Composition | Route::Series => None,
    }
}

/// The rates of the network itself with fewer inputs or primes, or `None` where there is none that
/// takes as many operations as a measurement may.
fn measured(
    stages: &Stages,
    bounds: &[Bound],
    route: Route,
    phases: [f64; 3],
    standard: Rates,
) -> Option<Rates> {
    let budget = (phases.iter().sum::<f64>() * PART).min(MOST);
    let most = primes_for(bounds.iter().map(|b| b.bits).fold(0.0, f64::max));
    let mut best: Option<(f64, Stages, Vec<Bound>, [f64; 3])> = None;
    for k in [most, 16, 8, 4].into_iter().filter(|k| *k <= most) {
        let bounds = with_primes(bounds, k, most);
        let part = |n: usize| {
            let part = stages.with_inputs(n)?;
            let phases = operations(&part, &bounds, route)?;
            Some((phases.iter().sum::<f64>(), part, bounds.clone(), phases))
        };
        // A point takes more than an operation, whatever the method.
        let least = |n: usize| dense_terms(n, stages.degree()) as f64 * k as f64;
        let n = largest(stages.used.len(), |n| least(n) <= budget);
        let n = largest(n, |n| part(n).is_none_or(|(sum, ..)| sum <= budget));
        let found = part(n).filter(|(sum, ..)| *sum <= budget);
        best = best.into_iter().chain(found).reduce(|a, b| if b.0 > 2.0 * a.0 { b } else { a });
    }
    let (sum, part, bounds, phases) = best?;
    // Less is a measurement of what comes before the work.
    if sum < budget / 32.0 {
        return None;
    }
    let mut measured = time(&part, &bounds, route);
    measured[0] = (measured[0] - standard.start).max(measured[0] / 2.0);
    let rate = |i: usize| match (phases[i] > 0.0, i) {
        (false, _) => standard.phases[i],
        (true, 0) => measured[0] / phases[0],
        // Of so short a phase a good part is its constants, which do not grow with the points.
        (true, _) => (measured[i] / phases[i]).min(standard.phases[i]),
    };
    Some(Rates { phases: [rate(0), rate(1), rate(2)], start: standard.start })
}

/// The largest number up to `most` that fits, where all below it do too, or 0.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut fitting, mut not) = (0, most + 1);
    while not - fitting > 1 {
        let middle = fitting + (not - fitting) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            not = middle;
        }
    }
    fitting
}

/// Bounds that take `k` primes, of the kind that so many as `most` are.
fn with_primes(bounds: &[Bound], k: usize, most: usize) -> Vec<Bound> {
    let bits = match k == most {
        true => return bounds.to_vec(),
        // Small primes where these suffice.
        false if most < 9 => 49.99999 * (k - 1) as f64,
        false => 49.99999 * k as f64 - 3.0,
    };
    bounds.iter().map(|b| Bound { bits, ..b.clone() }).collect()
}

/// Seconds of each phase on this thread, the least of some runs: those of two milliseconds, at least
/// three. The first of a program meet cold caches.
fn time(stages: &Stages, bounds: &[Bound], route: Route) -> [f64; 3] {
    let started = Instant::now();
    let mut least = [f64::INFINITY; 3];
    for run in 0..64 {
        if run >= 3 && started.elapsed() > Duration::from_millis(2) {
            break;
        }
        let progress = Progress::default();
        let work = Work { stages, bounds, parallel: false, progress: &progress };
        if let Ok((_, t)) = Level::best().dispatch(Residual { work, route }) {
            let times = [t.evaluate, t.interpolate, t.reconstruct];
            least = std::array::from_fn(|i| least[i].min(times[i]));
        }
    }
    least
}

/// The rates of a small network that is expanded by this method, measured once.
fn standard(route: Route) -> Rates {
    static RATES: [OnceLock<Rates>; 4] = [const { OnceLock::new() }; 4];
    // Inputs; then widths and degrees.
    let (place, n, hidden): (usize, usize, &[(usize, usize)]) = match route {
        Route::Closed => (1, 4, &[(16, 6)]),
        Route::Roots => (2, 1, &[(8, 4), (8, 4), (8, 4)]),
        Route::Compressed => (3, 7, &[(3, 3), (16, 2)]),
        _ => (0, 4, &[(16, 3), (16, 3)]),
    };
    *RATES[place].get_or_init(|| {
        let of = |n: usize, hidden: &[(usize, usize)]| {
            let stages = network(n, hidden);
            let bounds = stages.bounds();
            let phases = operations(&stages, &bounds, route).unwrap_or([1.0; 3]);
            (phases, time(&stages, &bounds, route))
        };
        let (phases, times) = of(n, hidden);
        let phases =
            std::array::from_fn(|i| if phases[i] > 0.0 { times[i] / phases[i] } else { 0.0 });
        let rates = Rates { phases, start: 0.0 };
        // What hardly takes an operation is all beginning.
        let least: Vec<_> = hidden.iter().map(|_| (2, 1)).collect();
        let (phases, times) = of(n.min(3), &least);
        let start = (times.iter().sum::<f64>() - rates.seconds(phases)).max(0.0);
        Rates { start, ..rates }
    })
}

/// A network with one output and short parameters, none of which is zero.
fn network(n: usize, hidden: &[(usize, usize)]) -> Stages {
    let mut next = 0;
    let mut numbers = |count: usize| -> Vec<Number> {
        let number = |_| {
            next = (next + 11) % 61;
            Number::Dyadic { mantissa: 2 * next - 61, exponent: -6 }
        };
        (0..count).map(number).collect()
    };
    let row = |numbers: Vec<Number>| {
        let mut numbers = numbers.into_iter();
        let bias = numbers.next().unwrap_or(Number::ONE);
        Row { bias, weights: (0..).zip(numbers).collect() }
    };
    let mut stages = Vec::new();
    let mut before = n;
    for &(width, degree) in hidden {
        let rows = (0..width).map(|_| row(numbers(before + 1))).collect();
        let polynomials = (0..width).map(|_| numbers(degree + 1)).collect();
        stages.push(Stage { rows, polynomials, degrees: Vec::new() });
        before = width;
    }
    Stages::of(n, stages, vec![row(numbers(before + 1))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_fits_is_found() {
        for most in 0..20 {
            for limit in 0..25 {
                let found = largest(most, |n| {
                    assert!((1..=most).contains(&n));
                    n <= limit
                });
                assert_eq!(found, limit.min(most));
            }
        }
    }
}
