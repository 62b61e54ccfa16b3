//! What the pre-activations of a network can be over a box.
//!
//! Two enclosures, intersected: interval arithmetic, forward, and [backward linear
//! relaxation](super::backward), which keeps the dependence between neurons that intervals forget and
//! may be [sharpened](super::sharpen). Before the first activation both are exact up to rounding.

use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

use crate::approximate::value_range;
use crate::bound::backward::Prefix;
use crate::bound::chain::{Chain, Step};
use crate::bound::domain::Domain;
use crate::bound::neuron::{Proof, Ranged};
use crate::bound::relax::Relaxation;
use crate::bound::sharpen::sharpen;
use crate::error::{Error, Result};
use crate::network::Activation;
use crate::numeric::outward::Interval;

/// The ranges of every activation layer; `None` for affine ones.
pub(super) type Ranges = Vec<Option<Vec<Ranged>>>;

/// An end of a range, and its proof where it needs one of its own.
type End = (f64, Option<Proof>);

/// The ranges of all pre-activations over the box; `leaves` bounds the parts into which the box is split for
/// one end of one range (0: the shared relaxations alone).
///
/// Cost: for each neuron behind an activation two products of a vector with all weight
/// matrices before it, and some hundred for each leaf.
///
/// # Errors
/// When a range overflows f64.
pub(super) fn ranges(chain: &Chain, domain: &Domain, leaves: usize) -> Result<Ranges> {
    let mut prefix = Prefix::new(chain, domain);
    let mut values = domain.intervals().to_vec();
    let mut proofs = vec![[None, None]; values.len()];
    for (l, step) in chain.steps.iter().enumerate() {
        let after: Vec<Interval> = match step {
            Step::Affine { weight, bias } => {
                let forward = forward(weight, bias.view(), &values);
                let relaxed = prefix.layers.iter().any(Option::is_some);
                let inner = chain.steps[l + 1..].iter().any(|s| matches!(s, Step::Activation(_)));
                if relaxed && inner {
                    let rows = (0..weight.nrows()).into_par_iter();
                    let backward = rows.map(|i| {
                        let row = weight.row(i).to_vec();
                        ends(&prefix, row, bias[i], forward[i], leaves)
                    });
                    let backward: Vec<[End; 2]> = backward.collect();
                    let (after, new) = backward
                        .into_iter()
                        .map(|[(lower, below), (upper, above)]| {
                            (Interval::new(lower, upper), [below, above])
                        })
                        .unzip();
                    prefix.push(&values, None);
                    proofs = new;
                    after
                } else {
                    prefix.push(&values, None);
                    proofs = vec![[None, None]; forward.len()];
                    forward
                }
            }
            Step::Activation(units) => {
                let ranged = relax(units, &values, std::mem::take(&mut proofs));
                prefix.push(&values, Some(ranged));
                proofs = vec![[None, None]; units.len()];
                units.iter().zip(&values).map(|(s, r)| value_range(*s, *r)).collect()
            }
        };
        if let Some(i) = after.iter().position(|range| !range.is_finite()) {
            return Err(Error::invalid(
                format!("layers[{l}], neuron {i}"),
                "a range over the box that leaves the numbers of f64",
                "a smaller box or smaller weights",
            ));
        }
        values = after;
    }
    Ok(prefix.layers)
}

fn relax(
    units: &[Activation],
    ranges: &[Interval],
    proofs: Vec<[Option<Proof>; 2]>,
) -> Vec<Ranged> {
    let neurons = units.par_iter().zip(ranges).zip(proofs);
    let ranged = neurons.map(|((activation, range), proofs)| Ranged {
        range: *range,
        relaxation: Relaxation::tightest_in_the_middle(*activation, *range),
        proofs,
    });
    ranged.collect()
}

/// The image of a box by an affine map, each coordinate for itself.
fn forward(weight: &Array2<f64>, bias: ArrayView1<f64>, values: &[Interval]) -> Vec<Interval> {
    let row = |(row, bias): (ArrayView1<f64>, &f64)| {
        let terms = row.iter().zip(values).map(|(w, y)| y.scaled(*w));
        terms.fold(Interval::point(*bias), |sum, term| sum + term)
    };
    weight.rows().into_iter().zip(bias).map(row).collect()
}

/// The ends of the range of row times the last values plus bias, `forward` being known.
fn ends(prefix: &Prefix, row: Vec<f64>, bias: f64, forward: Interval, leaves: usize) -> [End; 2] {
    let choices = prefix.choices();
    // The upper end is minus the least value of the negative.
    let [lower, upper] = [(1.0, forward.lower), (-1.0, -forward.upper)].map(|(sign, known)| {
        let row: Vec<f64> = row.iter().map(|w| sign * w).collect();
        let shared = prefix.least(row.clone(), sign * bias, &choices, None);
        // A NaN from an overflow loses.
        let shared = if shared > known { shared } else { known };
        match sharpen(prefix, &row, sign * bias, leaves) {
            Some((sharp, proof)) if sharp > shared => (sharp, Some(proof)),
            _ => (shared, None),
        }
    });
    [lower, (-upper.0, upper.1)]
}
