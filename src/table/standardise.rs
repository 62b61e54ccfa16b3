//! The affine map that gives every column mean 0 and deviation 1.

use ndarray::{Array2, Zip};

use crate::error::{Error, Result};

/// An affine map per column, `(x - mean) reciprocal_deviation`, and its inverse.
///
/// The deviation is the population's, `sqrt(sum (x - mean)^2 / rows)`. The map multiplies by
/// a rounded reciprocal and never divides, so that folding it into a network keeps the
/// network dyadic: its numbers *are* the map, exactly.
///
/// ```
/// use ndarray::array;
/// use slnn::table::Standardisation;
///
/// let map = Standardisation::of(&array![[1.0, 5.0], [3.0, 5.0]], &[0, 1], &["a".into(), "b".into()])?;
/// assert_eq!(map.apply(&array![[4.0, 6.0]]), array![[2.0, 0.0]]);
/// assert_eq!(map.constant_columns(), [1]);
/// # Ok::<(), slnn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardisation {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    reciprocal_deviation: Vec<f64>,
}

impl Standardisation {
    /// The map for `values` (rows x columns, the columns called `names`), from the given rows.
    ///
    /// A column that is constant on those rows has deviation 0 and reciprocal 0.
    /// The sums are compensated and scaled by a power of two; two passes, O(rows columns).
    ///
    /// # Errors
    /// When there are no rows, or a column's values are so large or so close that the map
    /// would take some row of `values` (selected or not) out of the range of f64.
    ///
    /// # Panics
    /// When a row index or the number of names does not fit `values`.
    pub fn of(values: &Array2<f64>, rows: &[usize], names: &[String]) -> Result<Self> {
        assert_eq!(names.len(), values.ncols(), "one name a column");
        if rows.is_empty() {
            return Err(Error::invalid("standardisation", "no rows", "at least one row"));
        }
        let mut map =
            Standardisation { mean: vec![], deviation: vec![], reciprocal_deviation: vec![] };
        for (column, name) in values.columns().into_iter().zip(names) {
            let (mean, deviation) = moments(rows.iter().map(|&row| column[row]), rows.len());
            let reciprocal = deviation.map_or(0.0, |deviation| 1.0 / deviation);
            let deviation = deviation.unwrap_or(0.0);
            let inside = |x: &f64| ((x - mean) * reciprocal).is_finite() && (x - mean).is_finite();
            if !(reciprocal.is_finite() && deviation.is_finite() && column.iter().all(inside)) {
                return Err(Error::invalid(
                    format!("column {name:?}"),
                    format!("mean {mean:e} and deviation {deviation:e}"),
                    "values that can be standardised in f64: give the column in other units",
                ));
            }
            map.mean.push(mean);
            map.deviation.push(deviation);
            map.reciprocal_deviation.push(reciprocal);
        }
        Ok(map)
    }

    /// The mean of every column.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The deviation of every column; 0 for a constant one.
    pub fn deviation(&self) -> &[f64] {
        &self.deviation
    }

    /// The reciprocal of every deviation, rounded once; 0 for a constant column.
    pub fn reciprocal_deviation(&self) -> &[f64] {
        &self.reciprocal_deviation
    }

    /// The columns, from 0, that were constant: the map sends them to 0.
    pub fn constant_columns(&self) -> Vec<usize> {
        (0..self.deviation.len()).filter(|&column| self.deviation[column] == 0.0).collect()
    }

    /// `(x - mean) reciprocal_deviation` for every row of `values` (rows x columns).
    ///
    /// Finite for the rows that [`Standardisation::of`] was given.
    ///
    /// # Panics
    /// When `values` has another number of columns.
    pub fn apply(&self, values: &Array2<f64>) -> Array2<f64> {
        self.map(values, |x, column| (x - self.mean[column]) * self.reciprocal_deviation[column])
    }

    /// `z deviation + mean` for every row of `values` (rows x columns): the way back.
    ///
    /// # Panics
    /// When `values` has another number of columns.
    pub fn invert(&self, values: &Array2<f64>) -> Array2<f64> {
        self.map(values, |z, column| z * self.deviation[column] + self.mean[column])
    }

    fn map(&self, values: &Array2<f64>, f: impl Fn(f64, usize) -> f64) -> Array2<f64> {
        assert_eq!(values.ncols(), self.mean.len(), "as many columns as were standardised");
        let mut mapped = values.clone();
        Zip::indexed(&mut mapped).for_each(|(_, column), x| *x = f(*x, column));
        mapped
    }
}

/// Mean and population deviation, which is `None` exactly when all values are equal.
fn moments(values: impl Iterator<Item = f64> + Clone, count: usize) -> (f64, Option<f64>) {
    let (lower, upper) =
        values.clone().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, u), x| (l.min(x), u.max(x)));
    if lower == upper {
        return (lower, None);
    }
    let count = count as f64;
    // Scaled by a power of two (exactly, unless it underflows where it cannot matter), no sum
    // or square below overflows, and small columns do not vanish.
    let (down, up) = scale(lower.abs().max(upper.abs()));
    let rough = values.clone().map(|x| x * down).sum::<f64>() / count;
    let mean = rough + values.clone().map(|x| x * down - rough).sum::<f64>() / count;
    let mean = (mean * up).clamp(lower, upper);
    // The differences are scaled on their own: a column may be large and vary little.
    let (down, up) = scale((upper / 2.0 - mean / 2.0).max(mean / 2.0 - lower / 2.0));
    let square = |x: f64| ((x / 2.0 - mean / 2.0) * down).powi(2);
    let deviation = (values.map(square).sum::<f64>() / count).sqrt() * up * 2.0;
    (mean, Some(deviation))
}

/// A power of two `down` that brings `largest` to about 1, and its inverse.
fn scale(largest: f64) -> (f64, f64) {
    let exponent = largest.log2().round().clamp(-1021.0, 1021.0) as i32;
    (2f64.powi(-exponent), 2f64.powi(exponent))
}
