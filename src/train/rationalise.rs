//! From a trained network of f64 numbers to one of small rationals, with its residual proven.
//!
//! A network that fits its table to rounding error usually sits in a family of exact solutions
//! (a neuron may be scaled, shifted, swapped), and some of them are written with small
//! rationals. [`rationalise`] walks through the parameters from the first layer on, replaces one
//! by the simplest rational close to it, keeps it, and refits the others in f64; the last affine
//! layer, which enters linearly, is solved for exactly. Whatever it finds, the sum of squared
//! residuals is then *computed exactly* over all rows: zero means zero.

use ndarray::{Array1, Array2};
use num_rational::BigRational;
use num_traits::{One, Zero};

use crate::error::{Error, Result};
use crate::network::{Affine, Basis, Head, Layer, Network, Slaf};
use crate::numeric::rational::{rational_from_f64, rational_to_f64, simplest_between};
use crate::table::Table;
use crate::train::objective::check_rows;

/// How far [`rationalise`] may go.
#[derive(Clone, Debug, PartialEq)]
pub struct RationaliseOptions {
    /// The largest number of parameters that is tried.
    pub max_parameters: usize,
    /// The largest number of Levenberg-Marquardt iterations after each replacement.
    pub iterations: usize,
}

impl Default for RationaliseOptions {
    fn default() -> Self {
        RationaliseOptions { max_parameters: 200, iterations: 40 }
    }
}

/// A network of rationals and the exact residual it leaves.
#[derive(Clone, Debug)]
pub struct Rationalised {
    /// The network; its SLAFs are in monomial form, one polynomial a neuron.
    pub network: Network,
    /// The exact sum of squared residuals over rows and outputs.
    pub residual: BigRational,
    /// Whether the residual is zero: the network then *is* the table, proven.
    pub zero: bool,
    /// How many parameters became the small rationals that were proposed.
    pub replaced: usize,
    /// How many parameters there are.
    pub parameters: usize,
}

/// Half-widths, relative to the larger of 1 and the parameter, of the intervals in which the
/// simplest rational is proposed.
const WINDOWS: [f64; 9] = [0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 1e-5, 1e-7, 1e-9];
/// Relative to the targets' sum of squares, what counts as no residual in f64.
const NOTHING: f64 = 1e-24;

/// Looks for small rationals that fit `rows` of `table` as well as the network does.
///
/// Cost: for each parameter up to ten refits, each of at most [`RationaliseOptions::iterations`]
/// iterations of `rows parameters^2` flops.
///
/// # Errors
/// When the network has an activation that is not a SLAF, a head, or too many parameters, or
/// does not fit the table.
pub fn rationalise(
    network: &Network,
    table: &Table,
    rows: &[usize],
    options: &RationaliseOptions,
) -> Result<Rationalised> {
    check_rows(rows, table.rows())?;
    let mut search = Search::new(network, table, rows, options)?;
    search.refit(None);
    let first_of_last = search.layers.last().map_or(0, Shape::at);
    for parameter in 0..first_of_last {
        search.replace(parameter);
    }
    if !search.solve_last(first_of_last)? {
        for parameter in first_of_last..search.values.len() {
            search.replace(parameter);
        }
    }
    let replaced = search.fixed.iter().flatten().count();
    let rational = search.network(network)?;
    let residual = exact_residual(&rational, table, rows)?;
    Ok(Rationalised {
        network: rational,
        zero: residual.is_zero(),
        residual,
        replaced,
        parameters: search.values.len(),
    })
}

/// The exact sum of squared residuals of a network over rows and outputs.
///
/// # Errors
/// When the network has an activation without rational values, or does not fit the table.
pub fn exact_residual(network: &Network, table: &Table, rows: &[usize]) -> Result<BigRational> {
    let mut sum = BigRational::zero();
    for &row in rows {
        let answers = network.forward_exact(&exact(table.inputs().row(row)))?;
        if answers.len() != table.targets().ncols() {
            return Err(Error::invalid(
                "network",
                format!("{} outputs", answers.len()),
                format!("{}, the targets of the table", table.targets().ncols()),
            ));
        }
        for (y, t) in answers.into_iter().zip(exact(table.targets().row(row))) {
            let difference = y - t;
            sum += &difference * &difference;
        }
    }
    Ok(sum)
}

fn exact(values: ndarray::ArrayView1<f64>) -> Vec<BigRational> {
    // A table holds finite numbers only.
    values.iter().map(|x| rational_from_f64(*x).unwrap_or_default()).collect()
}

/// A layer and where its parameters begin: weights row by row and biases, or the coefficients of
/// neuron after neuron, by ascending degree.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Affine { inputs: usize, outputs: usize, at: usize },
    Powers { neurons: usize, degree: usize, at: usize },
}

impl Shape {
    fn at(&self) -> usize {
        match *self {
            Shape::Affine { at, .. } | Shape::Powers { at, .. } => at,
        }
    }
}

struct Search<'a> {
    options: &'a RationaliseOptions,
    layers: Vec<Shape>,
    values: Vec<f64>,
    fixed: Vec<Option<BigRational>>,
    inputs: Array2<f64>,
    targets: Array2<f64>,
    /// The sum of squares that a replacement has to keep.
    accepted: f64,
    nothing: f64,
}

impl<'a> Search<'a> {
    fn new(
        network: &Network,
        table: &Table,
        rows: &[usize],
        options: &'a RationaliseOptions,
    ) -> Result<Self> {
        let table = table.select(rows);
        let (inputs, targets) = (table.inputs().clone(), table.targets().clone());
        if (network.inputs().len(), network.outputs().len()) != (inputs.ncols(), targets.ncols()) {
            return Err(Error::invalid(
                "network",
                format!("{} inputs, {} outputs", network.inputs().len(), network.outputs().len()),
                format!("{} and {}, as the table", inputs.ncols(), targets.ncols()),
            ));
        }
        if network.head() != Head::Identity {
            let found = format!("a {} head", network.head().name());
            return Err(Error::invalid("head", found, "a regression network, without head"));
        }
        let (mut layers, mut values) = (Vec::new(), Vec::new());
        for (l, (layer, width)) in network.layers().iter().zip(network.widths()).enumerate() {
            let at = values.len();
            match layer {
                Layer::Affine(affine) => {
                    let weight = affine.weight().to_f64();
                    values.extend(weight.iter());
                    values.extend(affine.bias().to_f64().iter());
                    layers.push(Shape::Affine { inputs: width, outputs: weight.nrows(), at });
                }
                Layer::Slaf(slaf) => {
                    let degree = slaf.degree();
                    for polynomial in slaf.fold(width) {
                        let mut own = polynomial.into_coefficients();
                        own.resize(degree + 1, BigRational::zero());
                        values.extend(own.iter().map(|c| rational_to_f64(c).unwrap_or(f64::NAN)));
                    }
                    layers.push(Shape::Powers { neurons: width, degree, at });
                }
                _ => {
                    return Err(Error::invalid(
                        format!("layers[{l}]"),
                        "a layer that is neither affine nor a SLAF",
                        "affine layers and SLAFs alone",
                    ));
                }
            }
        }
        if values.len() > options.max_parameters || values.iter().any(|v| !v.is_finite()) {
            return Err(Error::invalid(
                "network",
                format!("{} parameters", values.len()),
                format!("at most {} of moderate size", options.max_parameters),
            ));
        }
        if !matches!(layers.last(), Some(Shape::Affine { .. })) {
            return Err(Error::invalid("layers", "no affine layer at the end", "one"));
        }
        let nothing = NOTHING * targets.iter().map(|t| t * t).sum::<f64>().max(f64::MIN_POSITIVE);
        let fixed = vec![None; values.len()];
        let mut search =
            Search { options, layers, values, fixed, inputs, targets, accepted: 0.0, nothing };
        search.accepted = f64::INFINITY;
        Ok(search)
    }

    /// Proposes rationals for one parameter, the simplest first, until the others can be refitted.
    fn replace(&mut self, parameter: usize) {
        let (old, value) = (self.values.clone(), self.values[parameter]);
        let mut tried: Vec<BigRational> = Vec::new();
        let proposals =
            std::iter::once(BigRational::zero()).chain(WINDOWS.iter().filter_map(|w| {
                let width = w * value.abs().max(1.0);
                let (a, b) = (rational_from_f64(value - width)?, rational_from_f64(value + width)?);
                Some(simplest_between(&a, &b))
            }));
        for proposal in proposals {
            if tried.contains(&proposal) {
                continue;
            }
            let Some(near) = rational_to_f64(&proposal) else { continue };
            self.values[parameter] = near;
            self.fixed[parameter] = Some(proposal.clone());
            if self.refit(Some(self.accepted)) {
                return;
            }
            self.values.clone_from(&old);
            self.fixed[parameter] = None;
            tried.push(proposal);
        }
    }

    /// Levenberg and Marquardt over the parameters that are not fixed. With a `target`, whether
    /// the sum of squares comes down to it; without, the best is taken as it comes.
    fn refit(&mut self, target: Option<f64>) -> bool {
        let free: Vec<usize> =
            (0..self.values.len()).filter(|&i| self.fixed[i].is_none()).collect();
        let good = |sum: f64| target.is_some_and(|t| sum <= t);
        let (mut residuals, mut jacobian) = self.residuals(&self.values, &free);
        let mut sum = square(&residuals);
        let mut damping = 1e-6;
        for _ in 0..self.options.iterations {
            if good(sum) || free.is_empty() || sum == 0.0 {
                break;
            }
            let before = sum;
            // A few dampings, then this is a minimum for f64.
            for _ in 0..12 {
                let step = damped_step(&jacobian, &residuals, free.len(), damping);
                let mut trial = self.values.clone();
                free.iter().zip(&step).for_each(|(&i, s)| trial[i] += s);
                let (r, j) = self.residuals(&trial, &free);
                let new = square(&r);
                if new < sum {
                    (self.values, residuals, jacobian, sum) = (trial, r, j, new);
                    damping = (damping * 0.1).max(1e-15);
                    break;
                }
                damping *= 10.0;
            }
            let slow = sum > 0.999 * before;
            if slow {
                break;
            }
        }
        let reached = target.is_none_or(|t| sum <= t);
        if reached {
            // Later replacements may not add up to a worse fit.
            self.accepted = self.accepted.min(sum * (1.0 + 1e-9)).max(self.nothing);
        }
        reached && sum.is_finite()
    }

    /// Residuals (rows x outputs, one after the other) and their derivatives by the free
    /// parameters, one row each.
    fn residuals(&self, values: &[f64], free: &[usize]) -> (Vec<f64>, Vec<f64>) {
        let outputs = self.targets.ncols();
        let mut residuals = Vec::new();
        let mut jacobian = Vec::new();
        let mut by_parameter = vec![0.0; values.len()];
        for (x, t) in self.inputs.rows().into_iter().zip(self.targets.rows()) {
            let mut states = vec![x.to_vec()];
            for layer in &self.layers {
                let next = forward(layer, values, &states[states.len() - 1]);
                states.push(next);
            }
            let y = &states[states.len() - 1];
            for o in 0..outputs {
                residuals.push(y[o] - t[o]);
                let mut d = vec![0.0; outputs];
                d[o] = 1.0;
                for (layer, state) in self.layers.iter().zip(&states).rev() {
                    d = backward(layer, values, state, &d, &mut by_parameter);
                }
                jacobian.extend(free.iter().map(|&i| by_parameter[i]));
            }
        }
        (residuals, jacobian)
    }

    /// Solves the last affine layer exactly, where what comes before is rational and an exact
    /// solution exists; says whether it does.
    fn solve_last(&mut self, first_of_last: usize) -> Result<bool> {
        let known: Option<Vec<BigRational>> = self.fixed[..first_of_last].iter().cloned().collect();
        let Some(known) = known else { return Ok(false) };
        let Some((Shape::Affine { inputs, outputs, at }, hidden)) = self.layers.split_last() else {
            return Ok(false);
        };
        let (inputs, outputs, at) = (*inputs, *outputs, *at);
        let mut system = Vec::new();
        for (x, t) in self.inputs.rows().into_iter().zip(self.targets.rows()) {
            let mut state = exact(x);
            for layer in hidden {
                state = forward_exact(layer, &known, &state);
            }
            state.push(BigRational::one());
            state.extend(exact(t));
            system.push(state);
        }
        let Some(solutions) = solve(system, inputs + 1) else { return Ok(false) };
        for (o, solution) in solutions.into_iter().enumerate() {
            for (j, value) in solution.into_iter().enumerate() {
                let position =
                    if j < inputs { at + o * inputs + j } else { at + outputs * inputs + o };
                self.values[position] = rational_to_f64(&value).unwrap_or(f64::NAN);
                self.fixed[position] = Some(value);
            }
        }
        Ok(true)
    }

    /// The network of the rationals found, and of the exact f64 values of the parameters left.
    fn network(&self, original: &Network) -> Result<Network> {
        let value = |i: usize| match &self.fixed[i] {
            Some(value) => value.clone(),
            None => rational_from_f64(self.values[i]).unwrap_or_default(),
        };
        let layers = self
            .layers
            .iter()
            .map(|layer| match *layer {
                Shape::Affine { inputs, outputs, at } => {
                    let shape = (outputs, inputs);
                    let weight = Array2::from_shape_fn(shape, |(i, j)| value(at + i * inputs + j));
                    let bias = Array1::from_shape_fn(outputs, |i| value(at + outputs * inputs + i));
                    Affine::new(weight, bias).map(Layer::Affine)
                }
                Shape::Powers { neurons, degree, at } => {
                    let shape = (neurons, degree + 1);
                    let coefficients =
                        Array2::from_shape_fn(shape, |(i, k)| value(at + i * (degree + 1) + k));
                    Slaf::new(Basis::Monomial, coefficients).map(Layer::Slaf)
                }
            })
            .collect::<Result<_>>()?;
        Network::new(
            original.inputs().to_vec(),
            original.outputs().to_vec(),
            layers,
            original.head(),
        )
    }
}

fn square(residuals: &[f64]) -> f64 {
    residuals.iter().map(|r| r * r).sum()
}

fn forward(layer: &Shape, values: &[f64], x: &[f64]) -> Vec<f64> {
    match *layer {
        Shape::Affine { inputs, outputs, at } => (0..outputs)
            .map(|i| {
                let row = &values[at + i * inputs..][..inputs];
                let bias = values[at + outputs * inputs + i];
                row.iter().zip(x).fold(bias, |sum, (w, x)| sum + w * x)
            })
            .collect(),
        Shape::Powers { degree, at, .. } => x
            .iter()
            .enumerate()
            .map(|(i, z)| {
                let own = &values[at + i * (degree + 1)..][..degree + 1];
                own.iter().rev().fold(0.0, |sum, c| sum * z + c)
            })
            .collect(),
    }
}

fn forward_exact(layer: &Shape, values: &[BigRational], x: &[BigRational]) -> Vec<BigRational> {
    match *layer {
        Shape::Affine { inputs, outputs, at } => (0..outputs)
            .map(|i| {
                let row = &values[at + i * inputs..][..inputs];
                let bias = values[at + outputs * inputs + i].clone();
                row.iter().zip(x).fold(bias, |sum, (w, x)| sum + w * x)
            })
            .collect(),
        Shape::Powers { degree, at, .. } => x
            .iter()
            .enumerate()
            .map(|(i, z)| {
                let own = &values[at + i * (degree + 1)..][..degree + 1];
                own.iter().rev().fold(BigRational::zero(), |sum, c| sum * z + c)
            })
            .collect(),
    }
}

/// Derivatives by the parameters of the layer and, returned, by its inputs `x`, from `d` by its outputs.
fn backward(
    layer: &Shape,
    values: &[f64],
    x: &[f64],
    d: &[f64],
    by_parameter: &mut [f64],
) -> Vec<f64> {
    let mut by_input = vec![0.0; x.len()];
    match *layer {
        Shape::Affine { inputs, outputs, at } => {
            for (i, d) in d.iter().enumerate() {
                for j in 0..inputs {
                    by_parameter[at + i * inputs + j] = d * x[j];
                    by_input[j] += d * values[at + i * inputs + j];
                }
                by_parameter[at + outputs * inputs + i] = *d;
            }
        }
        Shape::Powers { degree, at, .. } => {
            for (i, (z, d)) in x.iter().zip(d).enumerate() {
                let mut power = 1.0;
                for k in 0..=degree {
                    let at = at + i * (degree + 1) + k;
                    by_parameter[at] = d * power;
                    if k < degree {
                        by_input[i] += d * (k + 1) as f64 * values[at + 1] * power;
                    }
                    power *= z;
                }
            }
        }
    }
    by_input
}

/// The step `-(J'J + damping diag(J'J))^-1 J'r`, by Cholesky.
fn damped_step(jacobian: &[f64], residuals: &[f64], n: usize, damping: f64) -> Vec<f64> {
    let mut matrix = vec![0.0; n * n];
    let mut side = vec![0.0; n];
    for (row, r) in jacobian.chunks_exact(n).zip(residuals) {
        for i in 0..n {
            side[i] -= row[i] * r;
            for j in 0..=i {
                matrix[i * n + j] += row[i] * row[j];
            }
        }
    }
    let largest = (0..n).map(|i| matrix[i * n + i]).fold(f64::MIN_POSITIVE, f64::max);
    for i in 0..n {
        // The second part keeps directions in which nothing changes from being singular.
        matrix[i * n + i] += damping * matrix[i * n + i] + 1e-3 * damping * largest;
    }
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
            let rest = matrix[i * n + j] - known;
            matrix[i * n + j] = if i == j {
                rest.max(f64::EPSILON * damping * largest).sqrt()
            } else {
                rest / matrix[j * n + j]
            };
        }
    }
    for i in 0..n {
        let known: f64 = (0..i).map(|k| matrix[i * n + k] * side[k]).sum();
        side[i] = (side[i] - known) / matrix[i * n + i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| matrix[k * n + i] * side[k]).sum();
        side[i] = (side[i] - known) / matrix[i * n + i];
    }
    side
}

/// Solves a linear system over the rationals by Gauss and Jordan: every row has `unknowns`
/// coefficients and then its right-hand sides. Unknowns that are free become 0; `None` where
/// there is no solution. One solution for each right-hand side.
fn solve(mut system: Vec<Vec<BigRational>>, unknowns: usize) -> Option<Vec<Vec<BigRational>>> {
    let sides = system.first()?.len() - unknowns;
    let mut pivots = Vec::new();
    for column in 0..unknowns {
        let done = pivots.len();
        let Some(found) = (done..system.len()).find(|&r| !system[r][column].is_zero()) else {
            continue;
        };
        system.swap(done, found);
        let inverse = system[done][column].recip();
        system[done].iter_mut().for_each(|x| *x *= &inverse);
        let pivot = system[done].clone();
        for (r, row) in system.iter_mut().enumerate() {
            if r != done && !row[column].is_zero() {
                let factor = row[column].clone();
                row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= &factor * p);
            }
        }
        pivots.push(column);
    }
    if system[pivots.len()..].iter().any(|row| row[unknowns..].iter().any(|x| !x.is_zero())) {
        return None;
    }
    let solution = |side: usize| {
        let mut x = vec![BigRational::zero(); unknowns];
        for (row, &column) in system.iter().zip(&pivots) {
            x[column] = row[unknowns + side].clone();
        }
        x
    };
    Some((0..sides).map(solution).collect())
}
