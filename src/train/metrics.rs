//! How well predictions meet targets.
//!
//! All take predictions and targets as (rows, outputs) and are meant for the *saved* network's
//! predictions, in the table's own units.
//!
//! ```
//! use ndarray::array;
//! use slnn::train::metrics;
//!
//! let (predictions, targets) = (array![[1.0], [2.0]], array![[2.0], [9.0]]);
//! assert_eq!(metrics::mae(predictions.view(), targets.view())?, 4.0);
//! assert_eq!(metrics::rmse(predictions.view(), targets.view())?, 5.0);
//! # Ok::<(), slnn::Error>(())
//! ```

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};
use crate::network::{Head, Network};
use crate::train::loss;
use crate::train::options::Loss;

/// The figures that belong to a head: errors for regression, accuracy for classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Root mean square error over rows and outputs; regression.
    pub rmse: Option<f64>,
    /// Mean absolute error over rows and outputs; regression.
    pub mae: Option<f64>,
    /// Coefficient of determination over all outputs; regression with targets that vary.
    pub r2: Option<f64>,
    /// The root mean square error of every output; regression.
    pub rmse_by_output: Option<Vec<f64>>,
    /// The fraction of right answers; classes.
    pub accuracy: Option<f64>,
    /// The mean loss of the head: squared error, or cross-entropy.
    pub loss: f64,
}

/// All figures of a network on inputs (rows, inputs) and targets (rows, outputs).
///
/// # Errors
/// When the shapes do not fit the network or each other, or there are no rows.
pub fn of(network: &Network, inputs: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<Metrics> {
    of_outputs(network.forward(inputs)?, targets, network.head())
}

/// All figures of outputs *before* the head and targets, both (rows, outputs).
///
/// # Errors
/// When the shapes differ or there are no rows.
pub fn of_outputs(outputs: Array2<f64>, targets: ArrayView2<f64>, head: Head) -> Result<Metrics> {
    let loss = loss(head, outputs.view(), targets)?;
    let mut predictions = outputs;
    head.apply(&mut predictions);
    let predictions = predictions.view();
    let none =
        Metrics { rmse: None, mae: None, r2: None, rmse_by_output: None, accuracy: None, loss };
    if head != Head::Identity {
        return Ok(Metrics { accuracy: Some(accuracy(predictions, targets, head)?), ..none });
    }
    Ok(Metrics {
        rmse: Some(rmse(predictions, targets)?),
        mae: Some(mae(predictions, targets)?),
        r2: r2(predictions, targets)?,
        rmse_by_output: Some(rmse_by_output(predictions, targets)?),
        ..none
    })
}

fn check(predictions: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<()> {
    if predictions.dim() != targets.dim() || predictions.is_empty() {
        return Err(Error::invalid(
            "predictions",
            format!("{} by {}", predictions.nrows(), predictions.ncols()),
            format!("{} by {} as the targets, and not empty", targets.nrows(), targets.ncols()),
        ));
    }
    Ok(())
}

/// The root mean square error over rows and outputs.
///
/// # Errors
/// When the shapes differ or there are no rows.
pub fn rmse(predictions: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<f64> {
    check(predictions, targets)?;
    let root = |factor: f64| {
        squares(predictions, targets, factor).sqrt() / (targets.len() as f64).sqrt() / factor
    };
    Ok(scaled(root))
}

/// The root mean square error of every output.
///
/// # Errors
/// As [`rmse`].
pub fn rmse_by_output(predictions: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<Vec<f64>> {
    check(predictions, targets)?;
    predictions
        .axis_chunks_iter(Axis(1), 1)
        .zip(targets.axis_chunks_iter(Axis(1), 1))
        .map(|(p, t)| rmse(p, t))
        .collect()
}

/// The mean absolute error over rows and outputs.
///
/// # Errors
/// As [`rmse`].
pub fn mae(predictions: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<f64> {
    check(predictions, targets)?;
    let mean = |factor: f64| {
        let errors = predictions.iter().zip(targets).map(|(p, t)| (p * factor - t * factor).abs());
        errors.sum::<f64>() / targets.len() as f64 / factor
    };
    Ok(scaled(mean))
}

/// `1 - sum (t - p)^2 / sum (t - mean)^2`, each output about its own mean, sums over all
/// outputs; `None` where the targets do not vary.
///
/// # Errors
/// As [`rmse`].
pub fn r2(predictions: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<Option<f64>> {
    check(predictions, targets)?;
    let total = |factor: f64| {
        let mut total = 0.0;
        for column in targets.columns() {
            let column = column.mapv(|t| t * factor);
            let mean = column.sum() / column.len() as f64;
            total += column.iter().map(|t| (t - mean) * (t - mean)).sum::<f64>();
        }
        total
    };
    let sums = |factor: f64| (total(factor), squares(predictions, targets, factor));
    let finite = |(total, squares): (f64, f64)| total.is_finite() && squares.is_finite();
    let (total, squares) = match sums(1.0) {
        plain if !finite(plain) => sums(SMALL),
        plain if plain.0 < TINY * TINY => Some(sums(LARGE)).filter(|s| finite(*s)).unwrap_or(plain),
        plain => plain,
    };
    Ok((total > 0.0).then(|| 1.0 - squares / total))
}

/// The fraction of rows whose largest output is the largest target; of yes or no, with a logistic head
/// or one output, of rows all of whose outputs are on the same side of 1/2 as the targets.
///
/// # Errors
/// As [`rmse`].
pub fn accuracy(predictions: ArrayView2<f64>, targets: ArrayView2<f64>, head: Head) -> Result<f64> {
    check(predictions, targets)?;
    let each = head == Head::Logistic || targets.ncols() == 1;
    // The first of equal ones.
    let class = |row: ArrayView1<f64>| {
        (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
    };
    let right = |p: ArrayView1<f64>, t: ArrayView1<f64>| match each {
        true => p.iter().zip(t).all(|(p, t)| (*p > 0.5) == (*t > 0.5)),
        false => class(p) == class(t),
    };
    let rows = predictions.rows().into_iter().zip(targets.rows());
    Ok(rows.filter(|(p, t)| right(*p, *t)).count() as f64 / targets.nrows() as f64)
}

/// The mean loss that belongs to `head`, of outputs *before* the head.
///
/// # Errors
/// As [`rmse`].
pub fn loss(head: Head, outputs: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<f64> {
    check(outputs, targets)?;
    let kind = Loss::of_head(head);
    let mut scratch = vec![0.0; targets.ncols()];
    let mut total = 0.0;
    for (y, t) in outputs.rows().into_iter().zip(targets.rows()) {
        total += loss::rows(kind, &y.to_vec(), &t.to_vec(), &mut scratch, targets.ncols());
    }
    let softmax = kind == Loss::SoftmaxCrossEntropy;
    Ok(total / if softmax { targets.nrows() } else { targets.len() } as f64)
}

/// The sum of the squared errors, everything multiplied by `factor` first.
fn squares(predictions: ArrayView2<f64>, targets: ArrayView2<f64>, factor: f64) -> f64 {
    let errors = predictions.iter().zip(targets).map(|(p, t)| p * factor - t * factor);
    errors.map(|e| e * e).sum()
}

/// A figure as it is, or computed on numbers made small or large where squares or sums leave f64.
fn scaled(figure: impl Fn(f64) -> f64) -> f64 {
    let plain = figure(1.0);
    if !plain.is_finite() {
        return figure(SMALL);
    }
    if plain >= TINY {
        return plain;
    }
    let exact = figure(LARGE);
    if exact.is_finite() { exact } else { plain }
}

/// 2^-600: the square of the largest f64 times its square is far inside f64, with room for a sum.
const SMALL: f64 = f64::from_bits((1023 - 600) << 52);
/// 2^600: the squares of the smallest f64 times it are inside f64.
const LARGE: f64 = f64::from_bits((1023 + 600) << 52);
/// 2^-450: the squares of smaller numbers lose digits.
const TINY: f64 = f64::from_bits((1023 - 450) << 52);

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn figures_of_a_small_case() {
        let predictions = array![[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]];
        let targets = array![[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        assert_eq!(accuracy(predictions.view(), targets.view(), Head::Softmax).unwrap(), 2.0 / 3.0);
        // Of yes or no every output counts, however large the others are.
        let (yes, both) = (array![[0.9, 0.6], [0.8, 0.3]], array![[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!(accuracy(yes.view(), both.view(), Head::Logistic).unwrap(), 0.5);
        assert_eq!(r2(targets.view(), targets.view()).unwrap(), Some(1.0));
        let constant = array![[1.0], [1.0]];
        assert_eq!(r2(constant.view(), constant.view()).unwrap(), None);
        let logits = array![[0.0, 0.0]];
        let loss = loss(Head::Softmax, logits.view(), array![[1.0, 0.0]].view()).unwrap();
        assert!((loss - 2f64.ln()).abs() < 1e-15);
        assert!(rmse(predictions.view(), constant.view()).is_err());
    }

    #[test]
    fn figures_of_small_numbers_are_not_lost() {
        for size in [1e-170, 1e-300] {
            let targets = array![[size], [-size]];
            let predictions = array![[1.1 * size], [-1.1 * size]];
            let (p, t) = (predictions.view(), targets.view());
            assert!((rmse(p, t).unwrap() / (0.1 * size) - 1.0).abs() < 1e-12);
            assert!((mae(p, t).unwrap() / (0.1 * size) - 1.0).abs() < 1e-12);
            assert!((r2(p, t).unwrap().unwrap() - 0.99).abs() < 1e-12);
            assert_eq!(rmse(t, t).unwrap(), 0.0);
        }
    }

    #[test]
    fn figures_of_large_numbers_are_finite() {
        let targets = array![[1e300], [-1e300]];
        let predictions = array![[1.1e300], [-1.1e300]];
        let (p, t) = (predictions.view(), targets.view());
        assert!((rmse(p, t).unwrap() / 1e299 - 1.0).abs() < 1e-12);
        assert!((mae(p, t).unwrap() / 1e299 - 1.0).abs() < 1e-12);
        assert!((r2(p, t).unwrap().unwrap() - 0.99).abs() < 1e-12);
        let wide = array![[f64::MAX], [-f64::MAX]];
        assert_eq!(r2(wide.view(), wide.view()).unwrap(), Some(1.0));
    }
}
