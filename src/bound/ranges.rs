//! What the pre-activations of a network can be over a box.
//!
//! Two enclosures, intersected. Interval arithmetic goes forward, layer by layer. Backward linear
//! relaxation (Zhang et al. 2018, CROWN; Singh et al. 2019, DeepPoly) writes a pre-activation as a linear
//! function of earlier and earlier layers, an activation replaced by a line below or above it
//! according to the sign of its weight, until only inputs are left, whose box gives the extremes.
//! It keeps the dependence between neurons that intervals forget. Before the first activation both
//! are exact up to rounding.

use ndarray::{Array2, ArrayView1};

use crate::approximate::value_range;
use crate::bound::chain::{Chain, Step};
use crate::bound::domain::Domain;
use crate::bound::linear::{product, rounding};
use crate::bound::relax::Relaxation;
use crate::error::{Error, Result};
use crate::network::Activation;
use crate::numeric::outward::{Interval, absolute_dot_up, add_down, add_up, mul_up, sum_up};

/// The range of one pre-activation and the lines that relax its activation there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranged {
    pub range: Interval,
    pub relaxation: Relaxation,
}

/// The ranges of every activation layer, `None` for affine ones, and those of the outputs.
pub(super) struct Ranges {
    pub layers: Vec<Option<Vec<Ranged>>>,
    pub outputs: Vec<Interval>,
}

/// The ranges of all pre-activations over the box.
///
/// Cost: for each activation layer the products of its weights with all matrices before it.
///
/// # Errors
/// When a range overflows f64.
pub(super) fn ranges(chain: &Chain, domain: &Domain) -> Result<Ranges> {
    let mut layers: Vec<Option<Vec<Ranged>>> = Vec::new();
    // What enters each layer; the last entry is what leaves the ones walked so far.
    let mut values = vec![domain.intervals().to_vec()];
    for (l, step) in chain.steps.iter().enumerate() {
        let mut after = match step {
            Step::Affine { weight, bias } => forward(weight, bias.view(), &values[l]),
            Step::Activation(units) => {
                let relaxed = relax(units, &values[l]);
                let after = units.iter().zip(&values[l]).map(|(s, r)| value_range(*s, *r));
                let after = after.collect();
                layers.push(Some(relaxed));
                after
            }
        };
        if let Step::Affine { .. } = step {
            layers.push(None);
            if layers.iter().any(Option::is_some) {
                let better = backward(chain, l, &layers, &values, domain);
                for (range, better) in after.iter_mut().zip(better) {
                    // Both hold the pre-activation, so they meet.
                    *range = range.intersection(&better).unwrap_or(*range);
                }
            }
        }
        if let Some(i) = after.iter().position(|range| !range.is_finite()) {
            return Err(Error::invalid(
                format!("layers[{l}], neuron {i}"),
                "a range over the box that leaves the numbers of f64",
                "a smaller box or smaller weights",
            ));
        }
        values.push(after);
    }
    let outputs = values.pop().unwrap_or_default();
    Ok(Ranges { layers, outputs })
}

fn relax(units: &[Activation], ranges: &[Interval]) -> Vec<Ranged> {
    units
        .iter()
        .zip(ranges)
        .map(|(activation, range)| Ranged {
            range: *range,
            relaxation: Relaxation::tightest_in_the_middle(*activation, *range),
        })
        .collect()
}

/// The image of a box by an affine map, each coordinate for itself.
fn forward(weight: &Array2<f64>, bias: ArrayView1<f64>, values: &[Interval]) -> Vec<Interval> {
    let row = |(row, bias): (ArrayView1<f64>, &f64)| {
        let terms = row.iter().zip(values).map(|(w, y)| y.scaled(*w));
        terms.fold(Interval::point(*bias), |sum, term| sum + term)
    };
    weight.rows().into_iter().zip(bias).map(row).collect()
}

/// Which of the two bounds a linear function gives.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Lower,
    Upper,
}

/// The ranges after the affine layer `top` by backward relaxation; `values[k]` encloses what
/// enters layer k.
fn backward(
    chain: &Chain,
    top: usize,
    layers: &[Option<Vec<Ranged>>],
    values: &[Vec<Interval>],
    domain: &Domain,
) -> Vec<Interval> {
    let [lower, upper] =
        [Side::Lower, Side::Upper].map(|side| bounds(chain, top, layers, values, domain, side));
    // An overflow may leave a NaN, which proves nothing.
    let or = |x: f64, otherwise: f64| if x.is_nan() { otherwise } else { x };
    let pairs = lower.into_iter().zip(upper);
    pairs
        .map(|(lower, upper)| Interval::new(or(lower, f64::NEG_INFINITY), or(upper, f64::INFINITY)))
        .collect()
}

fn bounds(
    chain: &Chain,
    top: usize,
    layers: &[Option<Vec<Ranged>>],
    values: &[Vec<Interval>],
    domain: &Domain,
    side: Side,
) -> Vec<f64> {
    let Step::Affine { weight, bias } = &chain.steps[top] else { return Vec::new() };
    // Row i of `rows` times what enters layer k, plus constant i, bounds pre-activation i. Upper
    // bounds are lower bounds of the negative, so that there is one direction only. Rounding of a
    // row changes it by at most the change of its entries times the largest values they meet.
    let sign = if side == Side::Lower { 1.0 } else { -1.0 };
    let mut rows = weight.mapv(|w| sign * w);
    let mut constants: Vec<f64> = bias.iter().map(|b| sign * b).collect();
    for k in (0..top).rev() {
        let magnitudes: Vec<f64> = values[k].iter().map(Interval::magnitude).collect();
        let largest = magnitudes.iter().copied().fold(0.0, f64::max);
        match (&chain.steps[k], &layers[k]) {
            (Step::Affine { weight, bias }, _) => {
                let sums: Vec<f64> = weight
                    .rows()
                    .into_iter()
                    .map(|row| absolute_dot_up(&row.to_vec(), &magnitudes))
                    .collect();
                for (row, constant) in rows.rows().into_iter().zip(&mut constants) {
                    let row = row.to_vec();
                    let shift = row
                        .iter()
                        .zip(bias.iter())
                        .fold(Interval::ZERO, |sum, (r, b)| sum + Interval::point(*b).scaled(*r));
                    let slack = rounding(&row, &sums, weight.ncols(), largest);
                    *constant = add_down(add_down(*constant, shift.lower), -slack);
                }
                rows = product(&rows, weight);
            }
            (Step::Activation(_), Some(units)) => {
                for (mut row, constant) in rows.rows_mut().into_iter().zip(&mut constants) {
                    let mut sum = Interval::point(*constant);
                    let mut slack = 0.0;
                    for (r, (unit, magnitude)) in row.iter_mut().zip(units.iter().zip(&magnitudes))
                    {
                        let relaxation = &unit.relaxation;
                        let line = if *r >= 0.0 { relaxation.lower } else { relaxation.upper };
                        sum = sum + Interval::point(line.offset).scaled(*r);
                        let exact = Interval::point(line.slope).scaled(*r);
                        *r *= line.slope;
                        slack = add_up(slack, mul_up(exact.radius_about(*r), *magnitude));
                    }
                    *constant = add_down(sum.lower, -slack);
                }
            }
            // Every activation layer below `top` has its ranges.
            (Step::Activation(_), None) => return vec![f64::NAN; rows.nrows()],
        }
    }
    let over_box = |(row, constant): (ArrayView1<f64>, f64)| {
        let terms = row.iter().zip(domain.intervals()).map(|(r, x)| -x.scaled(*r).lower);
        sign * add_down(constant, -sum_up(terms))
    };
    rows.rows().into_iter().zip(constants).map(over_box).collect()
}
