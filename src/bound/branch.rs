//! Method D: the box is split, and method C2 bounds the difference on every part.
//!
//! The SLNN and the errors of its polynomials stay as they are, so a bound on every part of a cover
//! of the box is a bound on the box. The worst part is split first, in the middle of the input whose
//! width costs most; the search can be ended at any time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::bound::chain::Chain;
use crate::bound::domain::Domain;
use crate::bound::joint::{Found, Units, bound};
use crate::numeric::outward::{Interval, mul_up};

/// Room for a check that rounds otherwise.
const ROOM: f64 = 1.0 + 1e-9;

/// Parts that are split at once; the same whatever the number of threads.
const AT_ONCE: usize = 16;

/// The splits of a box from the root, each followed by those of its part below and then by those
/// of its part above; `None` for a part that is not split.
pub type Splits = Vec<Option<Split>>;

/// A box in two: where an input is at most `at`, and where it is at least that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// The input, counted from 0.
    pub input: usize,
    /// Where it is split.
    pub at: f64,
}

struct Part {
    /// Its place among the nodes.
    node: usize,
    score: f64,
    ends: Vec<Interval>,
    costs: Vec<f64>,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Part {}
impl PartialOrd for Part {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Part {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.node.cmp(&self.node))
    }
}

struct Node {
    split: Option<(Split, [usize; 2])>,
    bound: Vec<f64>,
}

/// Bounds of the differences of the outputs over the box, each at most the one in `known`, and the
/// splits that prove them.
///
/// Ends with `parts` parts, or when `go_on`, called with the number of parts and the bounds so far, says
/// so. Cost: method C2 twice for each part.
pub(super) fn divide(
    chain: &Chain,
    units: &Units,
    domain: &Domain,
    known: &[f64],
    parts: usize,
    go_on: &mut dyn FnMut(usize, &[f64]) -> bool,
) -> (Vec<f64>, Splits) {
    let score = |found: &Found| {
        let shares = found.bound.iter().zip(known).filter(|(_, known)| **known > 0.0);
        shares.map(|(found, known)| found.min(*known) / known).fold(0.0, f64::max)
    };
    let mut nodes = Vec::new();
    let mut open = BinaryHeap::new();
    let add = |nodes: &mut Vec<Node>, open: &mut BinaryHeap<Part>, ends, found: Found| {
        open.push(Part { node: nodes.len(), score: score(&found), ends, costs: found.costs });
        nodes.push(Node { split: None, bound: found.bound });
    };
    let whole = domain.intervals().to_vec();
    let found = bound(chain, units, &whole);
    add(&mut nodes, &mut open, whole, found);
    // Parts that cannot be split.
    let mut finished = 0;
    loop {
        let worst = worst_of(&nodes, known);
        let made = open.len() + finished;
        if made >= parts.max(1) || !go_on(made, &worst) {
            break;
        }
        let mut chosen = Vec::new();
        let room = AT_ONCE.min(parts - made);
        while chosen.len() < room
            && let Some(part) = open.pop()
        {
            match split(&part).filter(|_| part.score > 0.0) {
                Some(split) => chosen.push((part, split)),
                None => finished += 1,
            }
        }
        if chosen.is_empty() {
            break;
        }
        let halves: Vec<[(Vec<Interval>, Found); 2]> = chosen
            .par_iter()
            .map(|(part, split)| {
                halved(&part.ends, *split).map(|ends| {
                    let found = bound(chain, units, &ends);
                    (ends, found)
                })
            })
            .collect();
        for ((part, split), halves) in chosen.into_iter().zip(halves) {
            nodes[part.node].split = Some((split, [nodes.len(), nodes.len() + 1]));
            for (ends, found) in halves {
                add(&mut nodes, &mut open, ends, found);
            }
        }
    }
    (worst_of(&nodes, known), in_order(&nodes))
}

/// The largest bound of each output over the parts that are not split.
fn worst_of(nodes: &[Node], known: &[f64]) -> Vec<f64> {
    let mut worst = vec![0.0_f64; known.len()];
    for node in nodes.iter().filter(|node| node.split.is_none()) {
        for (worst, bound) in worst.iter_mut().zip(&node.bound) {
            *worst = worst.max(*bound);
        }
    }
    worst.iter().zip(known).map(|(worst, known)| mul_up(*worst, ROOM).min(*known)).collect()
}

/// The middle of the input that costs most; `None` where f64 has no number between its ends.
fn split(part: &Part) -> Option<Split> {
    let inputs = part.ends.iter().zip(&part.costs).enumerate();
    let splits = inputs.filter_map(|(input, (x, cost))| {
        let at = x.middle();
        (x.lower < at && at < x.upper).then_some((Split { input, at }, *cost))
    });
    splits.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(split, _)| split)
}

/// The parts below and above.
fn halved(ends: &[Interval], split: Split) -> [Vec<Interval>; 2] {
    let [mut below, mut above] = [ends.to_vec(), ends.to_vec()];
    below[split.input].upper = split.at;
    above[split.input].lower = split.at;
    [below, above]
}

fn in_order(nodes: &[Node]) -> Splits {
    let mut splits = Vec::with_capacity(nodes.len());
    let mut next = vec![0];
    while let Some(node) = next.pop() {
        match nodes[node].split {
            Some((split, [below, above])) => {
                splits.push(Some(split));
                next.extend([above, below]);
            }
            None => splits.push(None),
        }
    }
    splits
}
