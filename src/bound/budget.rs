//! Degrees that meet a given error at the least cost.
//!
//! By the adjoint of method C the error of neuron (l, i) reaches the outputs with weight J_{l,i}, so
//! that the bound is near to sum J_{l,i} eps_{l,i}(degree). Degrees grow where that sum falls most for
//! what the growth costs, until the prediction meets the error asked for; then the bound is proven, and
//! where it misses, the aim is lowered and the choice repeated. Only the final proof counts.
//!
//! Where the degrees that kinks ask for are out of reach, or more work than a chain of low degrees, the
//! neurons with a kink become composite blocks; each layer of blocks then gets an equal part of the error.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

use crate::approximate::{Composite, Method as FitMethod, Sign, fit, slope_below};
use crate::bound::chain::{Chain, Step};
use crate::bound::construct::{Approximation, Degrees, Request, Watch, construct};
use crate::bound::domain::Domain;
use crate::bound::neuron::Neuron;
use crate::bound::propagate::Method;
use crate::bound::ranges::ranges;
use crate::bound::sensitivity::sensitivities;
use crate::error::{Error, Result};
use crate::network::{Activation, Layer, Network};
use crate::numeric::outward::Interval;

/// What the degrees should keep small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimise {
    /// The product of the degrees of the layers, which is the total degree: for expansion.
    Product,
    /// The sum of the degrees of all neurons: for evaluation.
    Sum,
}

/// The largest degree that is tried.
const LARGEST_DEGREE: usize = 400;
/// How often the aim is lowered before giving up.
const ROUNDS: usize = 16;
/// Degrees above it are not fitted to know the error beside a kink.
const FITTED: usize = 64;
/// The degree up to which polynomials may take less work than composite blocks.
const WORTHWHILE: usize = 100;
/// A bound below this share of what is allowed leaves degrees to be saved.
const FAR: f64 = 0.8;
/// How much degree a look ahead skips: odd and even functions gain by every second degree only.
const AHEAD: usize = 3;

/// An SLNN with the weights of `network` whose difference from it over the box is proven to be at most
/// `epsilon` on every output.
///
/// `request` says how; its degrees and blocks are not used. Neurons with a kink become composite blocks where
/// polynomials of degrees up to 400 do not reach `epsilon` and, with [`Minimise::Sum`], where the blocks
/// take less work; with methods C2 and D they do not. Cost: fits of all neurons at the degrees that are
/// looked at, and a few constructions.
///
/// # Errors
/// As [`approximate`](crate::bound::approximate), and when `epsilon` is not positive or is not reached; the message has
/// the smallest bound found.
pub fn approximate_within(
    network: &Network,
    domain: &Domain,
    epsilon: f64,
    minimise: Minimise,
    request: &Request,
) -> Result<Approximation> {
    approximate_within_watched(network, domain, epsilon, minimise, request, &mut |_, _| true)
}

/// As [`approximate_within`], under the eyes of `watch`, which can end the divisions of method D at any time.
///
/// # Errors
/// As [`approximate_within`].
pub fn approximate_within_watched(
    network: &Network,
    domain: &Domain,
    epsilon: f64,
    minimise: Minimise,
    request: &Request,
    watch: &mut Watch,
) -> Result<Approximation> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(Error::invalid("epsilon", epsilon.to_string(), "a positive number"));
    }
    domain.check(network)?;
    let chain = Chain::of(network)?;
    let ranges = ranges(&chain, domain, request.leaves)?;
    let mut with = |degrees: Degrees, blocks: Vec<Option<f64>>| {
        let request = Request { degrees, blocks, ..request.clone() };
        construct(network, &chain, &ranges, domain, &request, watch)
    };
    let first = with(Degrees::All(3), Vec::new())?;
    let mut best = f64::INFINITY;
    let mut planner = Planner::new(&chain, &first.certificate.layers, request.fit);
    let blocks_serve = request.method <= Method::C && planner.has_kinks();
    let largest = if minimise == Minimise::Sum { WORTHWHILE } else { LARGEST_DEGREE };
    let plain = if blocks_serve && planner.out_of_reach(largest, epsilon)? {
        None
    } else {
        search(epsilon, &mut best, first.clone(), |made, aim| {
            let mut plan = Planner::new(&chain, &made.certificate.layers, request.fit);
            let degrees = plan.choose(aim, minimise)?;
            Ok((with(Degrees::ByNeuron(degrees), Vec::new())?, plan.exhausted))
        })?
    };
    let composite = if blocks_serve && (plain.is_none() || minimise == Minimise::Sum) {
        search(epsilon, &mut best, first, |made, aim| {
            let mut plan = Planner::new(&chain, &made.certificate.layers, request.fit);
            let (blocks, rest) = plan.blocks(aim)?;
            let degrees = plan.choose(rest, minimise)?;
            Ok((with(Degrees::ByNeuron(degrees), blocks)?, plan.exhausted))
        })?
    } else {
        None
    };
    let found = match (plain, composite) {
        (Some(plain), Some(composite)) if work(&composite) < work(&plain) => Some(composite),
        (plain, composite) => plain.or(composite),
    };
    found.ok_or_else(|| {
        Error::invalid(
            "epsilon",
            format!("{epsilon:e}; the smallest bound reached is {best:.3e}"),
            "a larger epsilon or a smaller box",
        )
    })
}

/// Tries aims until the bound is at most `epsilon`, and once more where it is far below; `None` where that does
/// not come. `best` keeps the smallest bound met.
fn search(
    epsilon: f64,
    best: &mut f64,
    first: Approximation,
    mut attempt: impl FnMut(&Approximation, f64) -> Result<(Approximation, bool)>,
) -> Result<Option<Approximation>> {
    let mut made = first;
    let mut aim = 0.98 * epsilon;
    let mut before = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (next, exhausted) = attempt(&made, aim)?;
        let bound = next.bound.iter().copied().fold(0.0, f64::max);
        if bound <= epsilon {
            if bound > FAR * epsilon {
                return Ok(Some(next));
            }
            // What was known of the errors on the way came from a coarse first attempt.
            let (again, _) = attempt(&next, aim * 0.98 * epsilon / bound)?;
            let fits = again.bound.iter().all(|bound| *bound <= epsilon);
            return Ok(Some(if fits { again } else { next }));
        }
        if bound >= before && exhausted {
            break;
        }
        before = before.min(bound);
        *best = best.min(bound);
        aim *= (0.98 * epsilon / bound).clamp(0.25, 0.98);
        made = next;
    }
    Ok(None)
}

/// Products that one evaluation of the activations takes, about.
fn work(made: &Approximation) -> usize {
    let of_row = |row: ArrayView1<f64>| match row.iter().rposition(|c| *c != 0.0) {
        Some(degree) if degree > 1 => degree,
        _ => 0,
    };
    let of_layer = |layer: &Layer| match layer {
        Layer::Slaf(slaf) => slaf.coefficients().to_f64().rows().into_iter().map(of_row).sum(),
        _ => 0,
    };
    made.slnn.layers().iter().map(of_layer).sum()
}

/// The neurons that composite blocks can replace: with a kink at 0 inside their interval.
fn kinked(units: &[&[Activation]], intervals: &[Vec<Interval>]) -> Vec<Vec<bool>> {
    let layers = units.iter().zip(intervals);
    layers
        .map(|(units, intervals)| {
            let inside = |z: &Interval| z.lower < 0.0 && 0.0 < z.upper;
            let neurons = units.iter().zip(intervals);
            neurons.map(|(unit, z)| slope_below(*unit).is_some() && inside(z)).collect()
        })
        .collect()
}

/// The degrees under consideration and what they are predicted to give.
struct Planner<'a> {
    units: Vec<&'a [Activation]>,
    intervals: Vec<Vec<Interval>>,
    /// (outputs, neurons) of each activation layer.
    weights: Vec<Array2<f64>>,
    fit: FitMethod,
    /// The error of a neuron at a degree: (layer, neuron, degree).
    errors: HashMap<(usize, usize, usize), f64>,
    /// Whether degrees stopped growing before the aim was met.
    exhausted: bool,
    /// The neurons that composite blocks can replace, and whether they do.
    kinked: Vec<Vec<bool>>,
    replaced: bool,
}

impl<'a> Planner<'a> {
    fn new(chain: &'a Chain, layers: &[Option<Vec<Neuron>>], fit: FitMethod) -> Self {
        let units = chain.steps.iter().filter_map(|step| match step {
            Step::Activation(units) => Some(units.as_slice()),
            Step::Affine { .. } => None,
        });
        let units: Vec<&[Activation]> = units.collect();
        let intervals =
            layers.iter().flatten().map(|layer| layer.iter().map(|n| n.interval).collect());
        let intervals: Vec<Vec<Interval>> = intervals.collect();
        Planner {
            kinked: kinked(&units, &intervals),
            replaced: false,
            units,
            intervals,
            weights: sensitivities(chain, layers),
            fit,
            errors: HashMap::new(),
            exhausted: false,
        }
    }

    fn has_kinks(&self) -> bool {
        self.kinked.iter().flatten().any(|kinked| *kinked)
    }

    /// Whether polynomials of this degree cannot be expected to bring the neurons with a kink to `epsilon`, even
    /// if their intervals become shorter.
    fn out_of_reach(&mut self, degree: usize, epsilon: f64) -> Result<bool> {
        let mut sums = vec![0.0; self.weights.first().map_or(0, Array2::nrows)];
        for layer in 0..self.units.len() {
            let neurons = 0..self.units[layer].len();
            let neurons = neurons.filter(|i| self.kinked[layer][*i]).collect();
            let share = self.share(&Group { layer, neurons, degree }, degree)?;
            sums.iter_mut().zip(share).for_each(|(sum, share)| *sum += share);
        }
        Ok(sums.iter().any(|error| *error > 4.0 * epsilon))
    }

    /// Replaces the neurons with a kink: the deviation of each layer's blocks, so that each layer of them and
    /// each layer of other neurons gets an equal part of `aim`; and what is left for the others.
    fn blocks(&mut self, aim: f64) -> Result<(Vec<Option<f64>>, f64)> {
        self.replaced = true;
        let coarsest = Sign::within(1.0)?;
        let mut costs = Vec::new();
        let mut others = 0;
        for (layer, kinked) in self.kinked.iter().enumerate() {
            let neurons = (0..kinked.len()).filter(|i| kinked[*i]);
            let errors = neurons.map(|i| {
                let (unit, interval) = (self.units[layer][i], self.intervals[layer][i]);
                Ok((i, Composite::new(unit, interval, &coarsest)?.error))
            });
            let errors: Vec<(usize, f64)> = errors.collect::<Result<_>>()?;
            let rows = self.weights[layer].rows().into_iter();
            let of_output = rows.map(|row| errors.iter().map(|(i, e)| row[*i] * e).sum());
            let cost = of_output.fold(0.0, f64::max);
            costs.push((!errors.is_empty()).then_some(cost));
            others += usize::from(errors.len() < kinked.len());
        }
        let parts = (costs.iter().flatten().count() + others).max(1);
        let each = aim / parts as f64;
        let deviation = |cost: f64| if cost > each { each / cost } else { 1.0 };
        let deviations = costs.into_iter().map(|cost| cost.map(deviation)).collect();
        Ok((deviations, each * others as f64))
    }

    /// Fits the neurons of a group at a degree, those that were not fitted at it before.
    fn prepare(&mut self, group: &Group, degree: usize) -> Result<()> {
        let layer = group.layer;
        let missing: Vec<usize> = group
            .neurons
            .iter()
            .copied()
            .filter(|i| !self.errors.contains_key(&(layer, *i, degree)))
            .collect();
        let fits: Vec<Result<f64>> = missing
            .par_iter()
            .map(|&i| {
                if self.replaced && self.kinked[layer][i] {
                    return Ok(0.0);
                }
                let (unit, interval) = (self.units[layer][i], self.intervals[layer][i]);
                // Beside a kink the error falls as 1 / degree (Bernstein 1914): a fit of a lower degree tells.
                let least = if self.kinked[layer][i] { degree.min(FITTED) } else { degree };
                Ok(fit(unit, interval, least, self.fit)?.error * least as f64 / degree as f64)
            })
            .collect();
        for (i, error) in missing.into_iter().zip(fits) {
            self.errors.insert((layer, i, degree), error?);
        }
        Ok(())
    }

    /// What a group at a degree adds to the bound of each output.
    fn share(&mut self, group: &Group, degree: usize) -> Result<Vec<f64>> {
        self.prepare(group, degree)?;
        let weights = &self.weights[group.layer];
        let of_output = |row: ArrayView1<f64>| -> f64 {
            let errors = group.neurons.iter();
            errors.map(|&i| row[i] * self.errors[&(group.layer, i, degree)]).sum()
        };
        Ok(weights.rows().into_iter().map(of_output).collect())
    }

    /// Degrees for all neurons whose predicted bound is at most `aim`.
    fn choose(&mut self, aim: f64, minimise: Minimise) -> Result<Vec<Vec<usize>>> {
        let mut groups = self.groups(minimise);
        let mut shares = Vec::new();
        for group in &groups {
            shares.push(self.share(group, group.degree)?);
        }
        let outputs = shares.first().map_or(0, Vec::len);
        let total =
            |shares: &[Vec<f64>], o: usize| -> f64 { shares.iter().map(|share| share[o]).sum() };
        let cost = |group: &Group, degree: usize| match minimise {
            Minimise::Product => (degree as f64).ln(),
            Minimise::Sum => (degree * group.neurons.len()) as f64,
        };
        // The best step of each group is found once, and again when the group has moved or another output has become the
        // worst one.
        let mut steps: Vec<Option<(usize, f64)>> = vec![None; groups.len()];
        let mut worst_before = usize::MAX;
        loop {
            let worst = (0..outputs)
                .max_by(|a, b| total(&shares, *a).total_cmp(&total(&shares, *b)))
                .unwrap_or(0);
            if outputs == 0 || total(&shares, worst) <= aim {
                break;
            }
            if worst != worst_before {
                steps.iter_mut().for_each(|step| *step = None);
                worst_before = worst;
            }
            let mut best: Option<(usize, usize, f64)> = None;
            for g in 0..groups.len() {
                if steps[g].is_none() {
                    let group = groups[g].clone();
                    let mut found = (group.degree, 0.0);
                    for ahead in ladder(group.degree) {
                        let gain = shares[g][worst] - self.share(&group, ahead)?[worst];
                        let rate = gain / (cost(&group, ahead) - cost(&group, group.degree));
                        if rate > found.1 {
                            found = (ahead, rate);
                        }
                    }
                    steps[g] = Some(found);
                }
                if let Some((degree, rate)) = steps[g]
                    && rate > best.map_or(0.0, |b| b.2)
                {
                    best = Some((g, degree, rate));
                }
            }
            let Some((g, degree, _)) = best else {
                self.exhausted = true;
                break;
            };
            groups[g].degree = degree;
            shares[g] = self.share(&groups[g].clone(), degree)?;
            steps[g] = None;
        }
        // Steps were coarse: take back what is not needed.
        for g in 0..groups.len() {
            while groups[g].degree > 1 {
                let lower = self.share(&groups[g].clone(), groups[g].degree - 1)?;
                let before = std::mem::replace(&mut shares[g], lower);
                if (0..outputs).any(|o| total(&shares, o) > aim) {
                    shares[g] = before;
                    break;
                }
                groups[g].degree -= 1;
            }
        }
        let mut degrees: Vec<Vec<usize>> =
            self.units.iter().map(|units| vec![1; units.len()]).collect();
        for group in groups {
            for i in group.neurons {
                degrees[group.layer][i] = group.degree;
            }
        }
        Ok(degrees)
    }

    fn groups(&self, minimise: Minimise) -> Vec<Group> {
        let layers = self.units.iter().enumerate();
        match minimise {
            Minimise::Product => layers
                .map(|(layer, units)| Group {
                    layer,
                    neurons: (0..units.len()).collect(),
                    degree: 1,
                })
                .collect(),
            Minimise::Sum => layers
                .flat_map(|(layer, units)| {
                    (0..units.len()).map(move |i| Group { layer, neurons: vec![i], degree: 1 })
                })
                .collect(),
        }
    }
}

/// Neurons of a layer that share their degree.
#[derive(Clone)]
struct Group {
    layer: usize,
    neurons: Vec<usize>,
    degree: usize,
}

/// The degrees to which one may step: all the next ones, or by an eighth where degrees are large.
fn ladder(degree: usize) -> impl Iterator<Item = usize> {
    let step = (degree / 8).max(1);
    (1..=AHEAD).map(move |k| degree + k * step).filter(|degree| *degree <= LARGEST_DEGREE)
}
