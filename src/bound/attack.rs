//! A search for the point of the box where two networks differ most.
//!
//! What it finds is a lower bound of the largest difference, and so says how tight a certified
//! upper bound is. The search is in f64: random points and vertices, then projected gradient ascent from the
//! best of them with falling steps. The answer is not: the difference at the point found is enclosed.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use num_rational::BigRational;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::approximate::value_range;
use crate::bound::domain::Domain;
use crate::bound::linear::product;
use crate::error::{Error, Result};
use crate::network::{Basis, Family, Layer, Network, Numbers, Part, Slaf};
use crate::numeric::Dyadic;
use crate::numeric::interval::Enclosure;
use crate::numeric::outward::{Interval, add_up, mul_up};
use crate::numeric::rational::rational_from_f64;

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

/// Numbers that the random points and the outputs there may be: 1 GiB.
const MOST_NUMBERS: usize = 1 << 27;

impl Budget {
    /// That the points of networks with so many inputs and outputs fit in memory.
    ///
    /// # Errors
    /// When there are too many.
    pub fn check(&self, inputs: usize, outputs: usize) -> Result<()> {
        // A number a coordinate; outputs of both networks, their difference and its order.
        let most = MOST_NUMBERS / (inputs + 4 * outputs).max(1);
        let starts = self.starts.min(self.points);
        if self.points <= most && starts.saturating_mul(2) <= most {
            return Ok(());
        }
        let expected = format!("at most {most} with {inputs} inputs and {outputs} outputs");
        Err(Error::invalid("attack", format!("{} points", self.points), expected))
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
/// Networks with different numbers of inputs or outputs, a box that does not fit them, or more points
/// than fit in memory.
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
    budget.check(domain.len(), a.outputs().len())?;
    let mut random = ChaCha8Rng::seed_from_u64(budget.seed);
    let points = sample(domain, budget.points.max(1), &mut random);
    let difference = a.forward(points.view())? - b.forward(points.view())?;
    // Upwards and downwards from every output.
    let climbs: Vec<(usize, f64)> =
        (0..a.outputs().len()).flat_map(|output| [(output, 1.0), (output, -1.0)]).collect();
    let found = climbs.par_iter().map(|&(output, sign)| {
        let values: Vec<f64> = difference.column(output).iter().map(|d| sign * d).collect();
        let starts = largest(&values, budget.starts.max(1));
        let start = points.select(Axis(0), &starts);
        let at = ascend(a, b, domain, output, sign, start, budget.steps)?;
        Ok(Found { difference: proven(a, b, output, &at)?, at })
    });
    let found: Vec<Found> = found.collect::<Vec<_>>().into_iter().collect::<Result<_>>()?;
    let better =
        |pair: &[Found]| pair[usize::from(pair[1].difference > pair[0].difference)].clone();
    Ok(found.chunks_exact(2).map(better).collect())
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
        let mut slopes_of_one = vec![0.0; values.nrows()];
        for i in 0..values.ncols() {
            let mut of_one = values.column(i).to_vec();
            unit(layer, i)(&mut of_one, &mut slopes_of_one);
            values.column_mut(i).assign(&ArrayView1::from(&of_one));
            slope.column_mut(i).assign(&ArrayView1::from(&slopes_of_one));
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

/// Replaces the pre-activations of one neuron by its values, and fills in its derivatives there.
type Unit<'a> = Box<dyn Fn(&mut [f64], &mut [f64]) + 'a>;

/// Neuron `i` of an activation layer.
fn unit(layer: &Layer, i: usize) -> Unit<'_> {
    match layer {
        Layer::Activation(function) => each(|z| function.value_and_derivative(z)),
        Layer::Slaf(slaf) => learned(slaf, i),
        Layer::Mixed(mixed) => {
            let group = mixed.groups().iter().find_map(|group| {
                let place = group.neurons.iter().position(|neuron| *neuron == i)?;
                Some((&group.part, place))
            });
            match group {
                Some((Part::Activation(function), _)) => each(|z| function.value_and_derivative(z)),
                Some((Part::Slaf(slaf), place)) => learned(slaf, place),
                // Every neuron of a mixed layer is in a group.
                None => each(|z| (z, 1.0)),
            }
        }
        // Networks of other layers are refused before.
        _ => each(|z| (z, 1.0)),
    }
}

fn each<'a>(function: impl Fn(f64) -> (f64, f64) + 'a) -> Unit<'a> {
    Box::new(move |values, slopes| {
        for (y, slope) in values.iter_mut().zip(slopes) {
            (*y, *slope) = function(*y);
        }
    })
}

fn learned(slaf: &Slaf, i: usize) -> Unit<'_> {
    let rows = slaf.coefficients().to_f64();
    let c = rows.row(if rows.nrows() == 1 { 0 } else { i }).to_vec();
    match slaf.basis() {
        Basis::Monomial => each(move |z| {
            c.iter().rev().fold((0.0, 0.0), |(y, slope), c| (y * z + c, slope * z + y))
        }),
        Basis::NormalisedMonomial { mean, scale } => {
            let (mean, scale) = (mean.to_f64().row(i).to_vec(), scale.to_f64().row(i).to_vec());
            each(move |z| {
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
            let first = f64::from(family.first());
            let steps = (1..c.len() as u32).map(|k| {
                let ((a, b), divisor) = family.recurrence(k);
                (f64::from(a) / f64::from(divisor), f64::from(b) / f64::from(divisor))
            });
            let steps: Vec<(f64, f64)> = steps.collect();
            Box::new(move |values, slopes| {
                for (values, slopes) in values.chunks_mut(LANES).zip(slopes.chunks_mut(LANES)) {
                    let mut t = [0.0; LANES];
                    t.iter_mut().zip(&*values).for_each(|(t, z)| *t = (z - centre) * scale);
                    let (y, slope) = orthogonal(&c, first, &steps, t);
                    values.iter_mut().zip(y).for_each(|(value, y)| *value = y);
                    slopes.iter_mut().zip(slope).for_each(|(s, slope)| *s = slope * scale);
                }
            })
        }
    }
}

/// Points at which a series is summed at once: its degree may be high.
const LANES: usize = 8;

/// Values and derivatives with respect to t of sum_k c_k e_k(t), where e_1 = first t and
/// e_(k+1) = a t e_k - b e_(k-1), (a, b) = steps[k - 1].
fn orthogonal(
    c: &[f64],
    first: f64,
    steps: &[(f64, f64)],
    t: [f64; LANES],
) -> ([f64; LANES], [f64; LANES]) {
    let (mut before, mut now) = ([1.0; LANES], t.map(|t| first * t));
    let (mut slope_before, mut slope_now) = ([0.0; LANES], [first; LANES]);
    let (mut y, mut slope) = ([c[0]; LANES], [0.0; LANES]);
    for (c, (a, b)) in c[1..].iter().zip(steps) {
        for j in 0..LANES {
            y[j] += c * now[j];
            slope[j] += c * slope_now[j];
            let next = a * t[j] * now[j] - b * before[j];
            let slope_next = a * (now[j] + t[j] * slope_now[j]) - b * slope_before[j];
            before[j] = std::mem::replace(&mut now[j], next);
            slope_before[j] = std::mem::replace(&mut slope_now[j], slope_next);
        }
    }
    (y, slope)
}

/// A lower bound of the absolute difference of one output at a point.
fn proven(a: &Network, b: &Network, output: usize, at: &[f64]) -> Result<f64> {
    if let (Some(a), Some(b)) = (enclose(a, at), enclose(b, at)) {
        let difference = a[output] - b[output];
        return Ok(difference.lower.max(-difference.upper).max(0.0));
    }
    // The points come from f64 arithmetic clamped to the box, so they are finite.
    let point: Vec<BigRational> =
        at.iter().map(|x| rational_from_f64(*x).unwrap_or_default()).collect();
    let width = BigRational::new(1.into(), (1u64 << 50).into());
    let enclose = |network: &Network| network.forward_enclosure(&point, &width);
    let difference = enclose(a)?[output].sub(&enclose(b)?[output]);
    let lower = difference.lower().clone().max(-difference.upper());
    Ok(Interval::around(&Enclosure::point(lower)).lower.max(0.0))
}

/// The outputs at a point, enclosed in f64; `None` where a layer has no enclosure here.
///
/// A SLAF is evaluated exactly in the middle of the interval that arrives and moves from there by
/// at most its slope times the radius, so that widths grow as the network's slopes do and not as
/// interval recurrences would make them.
fn enclose(network: &Network, at: &[f64]) -> Option<Vec<Interval>> {
    let mut values: Vec<Interval> = at.iter().map(|x| Interval::point(*x)).collect();
    for layer in network.layers() {
        values = match layer {
            Layer::Affine(affine) => {
                let (Numbers::Float(weight), Numbers::Float(bias)) =
                    (affine.weight(), affine.bias())
                else {
                    return None;
                };
                let rows = weight.rows().into_iter().zip(bias);
                rows.map(|(row, bias)| {
                    let terms = row.iter().zip(&values);
                    terms.fold(Interval::point(*bias), |sum, (w, y)| sum + y.scaled(*w))
                })
                .collect()
            }
            Layer::Activation(function) => {
                values.iter().map(|z| value_range(*function, *z)).collect()
            }
            Layer::Slaf(slaf) => {
                let neurons = values.iter().enumerate();
                neurons.map(|(i, z)| enclose_slaf(slaf, i, *z)).collect::<Option<_>>()?
            }
            Layer::Mixed(mixed) => {
                let mut after = values.clone();
                for group in mixed.groups() {
                    for (place, &i) in group.neurons.iter().enumerate() {
                        after[i] = match &group.part {
                            Part::Activation(function) => value_range(*function, values[i]),
                            Part::Slaf(slaf) => enclose_slaf(slaf, place, values[i])?,
                        };
                    }
                }
                after
            }
            _ => return None,
        };
    }
    values.iter().all(Interval::is_finite).then_some(values)
}

/// As [`enclose`], one neuron: of a SLAF of powers, or of a Chebyshev one near the interval of its basis.
fn enclose_slaf(slaf: &Slaf, i: usize, z: Interval) -> Option<Interval> {
    let Numbers::Float(rows) = slaf.coefficients() else { return None };
    let c = rows.row(if rows.nrows() == 1 { 0 } else { i }).to_vec();
    let middle = z.middle();
    let (value, slope) = match slaf.basis() {
        Basis::Monomial => powers(&c, middle, z)?,
        Basis::Orthogonal { family: Family::Chebyshev, centre, scale } => {
            let (Numbers::Float(centre), Numbers::Float(scale)) = (centre, scale) else {
                return None;
            };
            chebyshev(&c, centre[i], scale[i], middle, z)?
        }
        _ => return None,
    };
    let near = Interval::new(value.next_down(), value.next_up());
    Some(near.widened(mul_up(slope, z.radius_about(middle))))
}

/// The value at `middle` to the nearest f64, and a bound of the slope on `z`.
fn powers(c: &[f64], middle: f64, z: Interval) -> Option<(f64, f64)> {
    // Horner's scheme with its derivative, exactly.
    let (mut value, mut slope) = (Dyadic::from(0), Dyadic::from(0));
    let t = Dyadic::from_f64(middle)?;
    for c in c.iter().rev() {
        slope = &(&slope * &t) + &value;
        value = &(&value * &t) + &Dyadic::from_f64(*c)?;
    }
    // The slope moves by the second derivative; a hundredth covers the rounding of the sum.
    let second =
        |(k, c): (usize, &f64)| c.abs() * (k * (k - 1)) as f64 * z.magnitude().powi(k as i32 - 2);
    let second: f64 = 1.01 * c.iter().enumerate().skip(2).map(second).sum::<f64>();
    let slope = slope.to_f64()?.abs().next_up();
    Some((value.to_f64()?, add_up(slope, mul_up(second, z.radius_about(middle)))))
}

/// As [`powers`], for a Chebyshev series.
fn chebyshev(c: &[f64], centre: f64, scale: f64, middle: f64, z: Interval) -> Option<(f64, f64)> {
    let dyadic = Dyadic::from_f64;
    let t = &(&dyadic(middle)? - &dyadic(centre)?) * &dyadic(scale)?;
    // Clenshaw's recurrence, exactly.
    let twice = &t + &t;
    let (mut next, mut after) = (Dyadic::from(0), Dyadic::from(0));
    for c in c.iter().skip(1).rev() {
        let now = &(&(&twice * &next) - &after) + &dyadic(*c)?;
        after = std::mem::replace(&mut next, now);
    }
    let value = (&(&(&t * &next) - &after) + &dyadic(c[0])?).to_f64()?;
    if matches!(c, [_] | [_, _]) {
        // A line, on all of which its slope is known.
        return Some((value, c.get(1).map_or(0.0, |c| mul_up(c.abs(), scale.abs()))));
    }
    // |T_k'| <= k^2 r^k on |t| <= (r + 1/r) / 2; a hundredth covers the rounding of the sum.
    let furthest = (z - Interval::point(centre)).scaled(scale).magnitude().max(1.0);
    if furthest > 1.01 {
        return None;
    }
    let r = furthest + (furthest * furthest - 1.0).sqrt();
    let slope = |(k, c): (usize, &f64)| c.abs() * (k * k) as f64 * r.powi(k as i32);
    let slope: f64 = 1.01 * scale.abs() * c.iter().enumerate().map(slope).sum::<f64>();
    Some((value, slope))
}
