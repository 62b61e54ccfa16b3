//! A search for the point of the box where two networks differ most.
//!
//! What it finds is a lower bound of the largest difference, and so says how tight a certified
//! upper bound is. The search is in f64: random points and vertices, then projected gradient ascent from the
//! best of them with falling steps. The answer is not: the difference at the point found is
//! enclosed in exact arithmetic.

use ndarray::{Array2, ArrayView2, Axis};
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bound::domain::Domain;
use crate::bound::linear::product;
use crate::error::{Error, Result};
use crate::network::{Basis, Family, Layer, Network, Part, Slaf};
use crate::numeric::rational::{rational_from_f64, rational_to_f64};

/// How much an attack may try.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Points drawn at random, vertices among them.
    pub points: usize,
    /// Points, the best ones, from which the ascent starts; for each output and sign.
    pub starts: usize,
    /// Steps of the ascent.
    pub steps: usize,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { points: 4096, starts: 32, steps: 120, seed: 0 }
    }
}

/// A point where two networks differ, and by how much at least.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The point, one coordinate for each input.
    pub at: Vec<f64>,
    /// A proven lower bound of the absolute difference there.
    pub difference: f64,
}

/// The largest difference found between the outputs of two networks over a box, one for each
/// output, before the heads.
///
/// Cost: forward passes of both networks at `points` points, and forward and backward ones for
/// `2 starts steps` points an output; one exact evaluation for each output.
///
/// # Errors
/// Networks with different numbers of inputs or outputs, or a box that does not fit them.
pub fn attack(a: &Network, b: &Network, domain: &Domain, budget: &Budget) -> Result<Vec<Found>> {
    domain.check(a)?;
    domain.check(b)?;
    if a.outputs().len() != b.outputs().len() {
        return Err(Error::invalid(
            "outputs",
            format!("{} and {}", a.outputs().len(), b.outputs().len()),
            "two networks with the same number of outputs",
        ));
    }
    let mut random = ChaCha8Rng::seed_from_u64(budget.seed);
    let points = sample(domain, budget.points.max(1), &mut random);
    let difference = a.forward(points.view())? - b.forward(points.view())?;
    (0..a.outputs().len())
        .map(|output| {
            let mut best: Option<Found> = None;
            for sign in [1.0, -1.0] {
                let values: Vec<f64> = difference.column(output).iter().map(|d| sign * d).collect();
                let starts = largest(&values, budget.starts.max(1));
                let start = points.select(Axis(0), &starts);
                let at = ascend(a, b, domain, output, sign, start, budget.steps)?;
                let found = Found { difference: proven(a, b, output, &at)?, at };
                if best.as_ref().is_none_or(|best| found.difference > best.difference) {
                    best = Some(found);
                }
            }
            // Both signs were tried.
            best.ok_or_else(|| Error::invalid("attack", "no point", "at least one"))
        })
        .collect()
}

/// Random points: uniform ones, vertices, and points with some coordinates at an end.
fn sample(domain: &Domain, points: usize, random: &mut ChaCha8Rng) -> Array2<f64> {
    let mut rows = Array2::zeros((points, domain.len()));
    for (k, mut row) in rows.rows_mut().into_iter().enumerate() {
        let at_ends = [0.0, 1.0, 0.5][k % 3];
        for (x, interval) in row.iter_mut().zip(domain.intervals()) {
            let part: f64 = random.random();
            *x = if random.random::<f64>() < at_ends {
                if part < 0.5 { interval.lower } else { interval.upper }
            } else {
                (interval.lower * (1.0 - part) + interval.upper * part)
                    .clamp(interval.lower, interval.upper)
            };
        }
    }
    rows
}

/// The indices of the largest values.
fn largest(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*j].total_cmp(&values[*i]).then(i.cmp(j)));
    order.truncate(count);
    order
}

/// The best point met on the way up from `start`, each row for itself.
fn ascend(
    a: &Network,
    b: &Network,
    domain: &Domain,
    output: usize,
    sign: f64,
    start: Array2<f64>,
    steps: usize,
) -> Result<Vec<f64>> {
    let rows = start.nrows();
    let mut current = start;
    let mut reached = vec![f64::NEG_INFINITY; rows];
    let mut step = vec![0.25; rows];
    let mut trial = current.clone();
    let mut gradient = Array2::zeros(current.dim());
    for _ in 0..=steps {
        let (of_a, slope_a) = with_gradient(a, trial.view(), output);
        let (of_b, slope_b) = with_gradient(b, trial.view(), output);
        for row in 0..rows {
            let value = sign * (of_a[row] - of_b[row]);
            if value > reached[row] {
                reached[row] = value;
                step[row] *= 1.2;
                current.row_mut(row).assign(&trial.row(row));
                let slope = (&slope_a.row(row) - &slope_b.row(row)) * sign;
                gradient.row_mut(row).assign(&slope);
            } else {
                step[row] *= 0.5;
            }
            // In units of the box; the longest step of a coordinate is `step` of its interval.
            let along = gradient.row(row);
            let widths = domain.intervals().iter().map(|i| i.upper - i.lower);
            let largest = along.iter().zip(widths).map(|(g, w)| (g * w).abs()).fold(0.0, f64::max);
            if !(largest > 0.0 && largest.is_finite()) {
                continue;
            }
            for (i, interval) in domain.intervals().iter().enumerate() {
                let width = interval.upper - interval.lower;
                let move_by = step[row] * width * (along[i] * width / largest);
                trial[[row, i]] =
                    (current[[row, i]] + move_by).clamp(interval.lower, interval.upper);
            }
        }
    }
    let best = (0..rows).max_by(|i, j| reached[*i].total_cmp(&reached[*j])).unwrap_or(0);
    Ok(current.row(best).to_vec())
}

/// One output at each row, and its gradient with respect to the inputs.
fn with_gradient(
    network: &Network,
    rows: ArrayView2<f64>,
    output: usize,
) -> (Vec<f64>, Array2<f64>) {
    let mut values = rows.to_owned();
    // The derivative of each neuron of each activation layer; the weights are at hand.
    let mut slopes: Vec<Option<Array2<f64>>> = Vec::new();
    for layer in network.layers() {
        if let Layer::Affine(affine) = layer {
            let transposed = affine.weight().to_f64().t().as_standard_layout().into_owned();
            values = product(&values, &transposed) + &*affine.bias().to_f64();
            slopes.push(None);
            continue;
        }
        let mut slope = Array2::zeros(values.dim());
        for i in 0..values.ncols() {
            let unit = unit(layer, i);
            for (y, s) in values.column_mut(i).iter_mut().zip(slope.column_mut(i)) {
                (*y, *s) = unit(*y);
            }
        }
        slopes.push(Some(slope));
    }
    let of_output = values.column(output).to_vec();
    let mut gradient = Array2::zeros(values.dim());
    gradient.column_mut(output).fill(1.0);
    for (layer, slope) in network.layers().iter().zip(&slopes).rev() {
        gradient = match (layer, slope) {
            (Layer::Affine(affine), _) => product(&gradient, &affine.weight().to_f64()),
            (_, Some(slope)) => gradient * slope,
            (_, None) => gradient,
        };
    }
    (of_output, gradient)
}

/// Value and derivative of neuron `i` of an activation layer.
fn unit(layer: &Layer, i: usize) -> Box<dyn Fn(f64) -> (f64, f64) + '_> {
    match layer {
        Layer::Activation(function) => Box::new(|z| function.value_and_derivative(z)),
        Layer::Slaf(slaf) => learned(slaf, i),
        Layer::Mixed(mixed) => {
            let group = mixed.groups().iter().find_map(|group| {
                let place = group.neurons.iter().position(|neuron| *neuron == i)?;
                Some((&group.part, place))
            });
            match group {
                Some((Part::Activation(function), _)) => {
                    Box::new(|z| function.value_and_derivative(z))
                }
                Some((Part::Slaf(slaf), place)) => learned(slaf, place),
                // Every neuron of a mixed layer is in a group.
                None => Box::new(|z| (z, 1.0)),
            }
        }
        Layer::Affine(_) => Box::new(|z| (z, 1.0)),
    }
}

fn learned(slaf: &Slaf, i: usize) -> Box<dyn Fn(f64) -> (f64, f64) + '_> {
    let rows = slaf.coefficients().to_f64();
    let c = rows.row(if rows.nrows() == 1 { 0 } else { i }).to_vec();
    match slaf.basis() {
        Basis::Monomial => Box::new(move |z| {
            c.iter().rev().fold((0.0, 0.0), |(y, slope), c| (y * z + c, slope * z + y))
        }),
        Basis::NormalisedMonomial { mean, scale } => {
            let (mean, scale) = (mean.to_f64().row(i).to_vec(), scale.to_f64().row(i).to_vec());
            Box::new(move |z| {
                let (mut power, mut y, mut slope) = (1.0, c[0], 0.0);
                for k in 1..c.len() {
                    slope += c[k] * scale[k - 1] * k as f64 * power;
                    power *= z;
                    y += c[k] * ((power - mean[k - 1]) * scale[k - 1]);
                }
                (y, slope)
            })
        }
        Basis::Orthogonal { family, centre, scale } => {
            let (centre, scale) = (centre.to_f64()[i], scale.to_f64()[i]);
            let family = *family;
            Box::new(move |z| orthogonal(family, &c, (z - centre) * scale, scale))
        }
    }
}

/// Value and derivative with respect to z of sum_k c_k e_k(t), t = (z - centre) scale.
fn orthogonal(family: Family, c: &[f64], t: f64, scale: f64) -> (f64, f64) {
    let first = f64::from(family.first());
    let (mut before, mut now) = ((1.0, 0.0), (first * t, first));
    let (mut y, mut slope) = (c[0], 0.0);
    for k in 1..c.len() {
        y += c[k] * now.0;
        slope += c[k] * now.1;
        let ((a, b), divisor) = family.recurrence(k as u32);
        let (a, b, divisor) = (f64::from(a), f64::from(b), f64::from(divisor));
        let next = (
            (a * t * now.0 - b * before.0) / divisor,
            (a * (now.0 + t * now.1) - b * before.1) / divisor,
        );
        before = std::mem::replace(&mut now, next);
    }
    (y, slope * scale)
}

/// A lower bound of the absolute difference of one output at a point.
fn proven(a: &Network, b: &Network, output: usize, at: &[f64]) -> Result<f64> {
    // The points come from f64 arithmetic clamped to the box, so they are finite.
    let point: Vec<BigRational> =
        at.iter().map(|x| rational_from_f64(*x).unwrap_or_default()).collect();
    let mut width = BigRational::one() / BigRational::from_integer((1u64 << 40).into());
    let mut lower = BigRational::zero();
    // A difference near to nothing needs narrower enclosures.
    for _ in 0..3 {
        let enclose = |network: &Network| network.forward_enclosure(&point, &width);
        let difference = enclose(a)?[output].sub(&enclose(b)?[output]);
        lower = difference.lower().clone().max(-difference.upper());
        if lower.is_positive()
            && lower > difference.width() * BigRational::from_integer(1000.into())
        {
            break;
        }
        width = &width * &width;
    }
    let rounded = rational_to_f64(&lower.max(BigRational::zero())).unwrap_or(f64::MAX);
    Ok(rounded.next_down().max(0.0))
}
