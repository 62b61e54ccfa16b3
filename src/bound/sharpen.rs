//! Sharper ends of ranges: slopes and multipliers made for one bound, and branching on kinks.

use std::cmp::Ordering;

use crate::bound::backward::{Choices, Prefix, Side, Trace};
use crate::bound::neuron::Proof;
use crate::bound::relax::Line;
use crate::network::Activation;
use crate::numeric::outward::Interval;

/// Steps of the ascent on each leaf.
const STEPS: usize = 30;
/// The length of the first of them: of a slope as it is, of a multiplier relative to the weights.
const RATE: f64 = 0.15;
/// Splits between the root and a leaf; a file must not nest too deep.
const DEPTH: usize = 40;

/// A part of the box, its bound and the choices that give it.
struct Part {
    bound: f64,
    choices: Choices,
    /// The split that would help most.
    branch: Option<(usize, usize)>,
    /// Where it stands in the tree: the splits from the root.
    path: Vec<(usize, usize, Side)>,
}

/// A lower bound, better than that of the shared relaxations where possible, of `row` times what
/// leaves the prefix plus `constant`, and its proof; `None` when there is nothing to choose.
///
/// Cost: [`STEPS`] backward and forward passes a leaf.
pub(super) fn sharpen(
    prefix: &Prefix,
    row: &[f64],
    constant: f64,
    leaves: usize,
) -> Option<(f64, Proof)> {
    let choices = prefix.choices();
    let open = open_neurons(prefix);
    if leaves == 0 || open.is_empty() {
        return None;
    }
    let root = improve(prefix, row, constant, choices, Vec::new(), &open);
    let mut parts = vec![root];
    while parts.len() < leaves {
        let (worst, part) =
            parts.iter().enumerate().min_by(|(_, a), (_, b)| a.bound.total_cmp(&b.bound))?;
        let Some((layer, neuron)) = part.branch.filter(|_| part.path.len() < DEPTH) else { break };
        let part = parts.swap_remove(worst);
        for side in [Side::Below, Side::Above] {
            let mut choices = part.choices.clone();
            let line = one_sided(prefix.activation(layer, neuron)?, side);
            let choice = &mut choices[layer][neuron];
            (choice.lower, choice.upper, choice.side, choice.multiplier) = (line, line, side, 0.0);
            let mut path = part.path.clone();
            path.push((layer, neuron, side));
            parts.push(improve(prefix, row, constant, choices, path, &open));
        }
    }
    let bound = parts.iter().map(|part| part.bound).fold(f64::INFINITY, f64::min);
    let proof = tree(prefix, &parts.iter().collect::<Vec<_>>(), 0)?;
    Some((bound, proof))
}

/// The neurons whose kink at 0 lies inside their range and whose activation is convex: those with a
/// choice of slope, and worth a split.
fn open_neurons(prefix: &Prefix) -> Vec<(usize, usize)> {
    let mut open = Vec::new();
    for (k, layer) in prefix.layers.iter().enumerate() {
        for (i, ranged) in layer.iter().flatten().enumerate() {
            let inside = ranged.range.lower < 0.0 && 0.0 < ranged.range.upper;
            if inside && prefix.activation(k, i).is_some_and(|s| slopes(s).is_some()) {
                open.push((k, i));
            }
        }
    }
    open
}

/// The slopes left and right of a convex kink at 0 where the value is 0.
fn slopes(activation: Activation) -> Option<Interval> {
    match activation {
        Activation::Relu => Some(Interval::new(0.0, 1.0)),
        Activation::Abs => Some(Interval::new(-1.0, 1.0)),
        Activation::LeakyRelu { slope } if slope <= 1.0 => Some(Interval::new(slope, 1.0)),
        _ => None,
    }
}

/// The line that such an activation is on one side of 0.
fn one_sided(activation: Activation, side: Side) -> Line {
    let slopes = slopes(activation).unwrap_or(Interval::ZERO);
    let slope = if side == Side::Below { slopes.lower } else { slopes.upper };
    Line { slope, offset: 0.0 }
}

/// Projected ascent on slopes and multipliers (Adam, Kingma and Ba 2015), the best point kept.
fn improve(
    prefix: &Prefix,
    row: &[f64],
    constant: f64,
    mut choices: Choices,
    path: Vec<(usize, usize, Side)>,
    open: &[(usize, usize)],
) -> Part {
    let mut best = Part { bound: f64::NEG_INFINITY, choices: choices.clone(), branch: None, path };
    let mut moments = vec![(0.0, 0.0); open.len()];
    let weight_of = |r: f64| if r == 0.0 { 1.0 } else { r.abs() };
    for step in 0..STEPS {
        let mut trace = Trace { rows: Vec::new(), vertex: Vec::new() };
        let bound = prefix.least(row.to_vec(), constant, &choices, Some(&mut trace));
        let met = prefix.along(&choices, &trace);
        if bound > best.bound {
            best.bound = bound;
            best.choices.clone_from(&choices);
            best.branch = most_loose(prefix, &choices, &trace, &met, open);
        }
        let (decay, count) = (0.93f64.powi(step as i32), step as i32 + 1);
        for (&(k, i), (first, second)) in open.iter().zip(&mut moments) {
            let (r, z) = (trace.rows[k][i], met[k][i]);
            let choice = &mut choices[k][i];
            // The derivative of the bound, where it has one.
            let (gradient, rate) = match choice.side {
                Side::Free => (if r > 0.0 { r * z } else { 0.0 }, RATE),
                Side::Below => (z, RATE * weight_of(r)),
                Side::Above => (-z, RATE * weight_of(r)),
            };
            *first = 0.9 * *first + 0.1 * gradient;
            *second = 0.99 * *second + 0.01 * gradient * gradient;
            let (m, v) =
                (*first / (1.0 - 0.9f64.powi(count)), *second / (1.0 - 0.99f64.powi(count)));
            if v <= 0.0 || !v.is_finite() {
                continue;
            }
            let change = rate * decay * m / v.sqrt();
            if choice.side == Side::Free {
                let range = prefix.activation(k, i).and_then(slopes).unwrap_or(Interval::ZERO);
                let slope = (choice.lower.slope + change).clamp(range.lower, range.upper);
                choice.lower = Line { slope, offset: 0.0 };
            } else {
                choice.multiplier = (choice.multiplier + change).max(0.0);
            }
        }
    }
    best
}

/// The neuron whose line is furthest from its activation, weighted, where the bound is attained.
fn most_loose(
    prefix: &Prefix,
    choices: &Choices,
    trace: &Trace,
    met: &[Vec<f64>],
    open: &[(usize, usize)],
) -> Option<(usize, usize)> {
    let looseness = |&(k, i): &(usize, usize)| {
        let (choice, r, z) = (&choices[k][i], trace.rows[k][i], met[k][i]);
        if choice.side != Side::Free {
            return 0.0;
        }
        let line = if r >= 0.0 { choice.lower } else { choice.upper };
        let value = prefix.activation(k, i).map_or(0.0, |s| s.value(z));
        r.abs() * (line.slope * z + line.offset - value).abs()
    };
    let loose = open.iter().map(|place| (looseness(place), *place));
    let worst = loose.max_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal))?;
    (worst.0 > 0.0).then_some(worst.1)
}

/// The tree whose leaves are the parts that share a path of length `depth`.
fn tree(prefix: &Prefix, parts: &[&Part], depth: usize) -> Option<Proof> {
    let first = parts.first()?;
    if parts.len() == 1 {
        return Some(leaf(prefix, first));
    }
    let &(layer, neuron, _) = first.path.get(depth)?;
    let half = |side: Side| {
        let on_side = |part: &&&Part| part.path.get(depth).is_some_and(|split| split.2 == side);
        let here: Vec<&Part> = parts.iter().filter(on_side).copied().collect();
        tree(prefix, &here, depth + 1).map(Box::new)
    };
    Some(Proof::Split { layer, neuron, below: half(Side::Below)?, above: half(Side::Above)? })
}

fn leaf(prefix: &Prefix, part: &Part) -> Proof {
    let (mut slopes, mut multipliers) = (Vec::new(), Vec::new());
    for (k, layer) in prefix.layers.iter().enumerate() {
        let neurons = layer.iter().flatten().zip(&part.choices[k]).enumerate();
        for (i, (ranged, choice)) in neurons {
            match choice.side {
                Side::Free if choice.lower != ranged.relaxation.lower => {
                    slopes.push((k, i, choice.lower.slope));
                }
                Side::Free => {}
                Side::Below | Side::Above => multipliers.push((k, i, choice.multiplier)),
            }
        }
    }
    Proof::Leaf { slopes, multipliers }
}
