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

    /// The same map with larger deviations where one of `rows` lies further than `most` deviations
    /// from the mean: then that row lies at `most`.
    ///
    /// # Panics
    /// When `values` has another number of columns, or a row is not in it.
    #[must_use]
    pub fn within(mut self, most: f64, values: &Array2<f64>, rows: &[usize]) -> Self {
        assert_eq!(values.ncols(), self.mean.len(), "as many columns as were standardised");
        for (j, column) in values.columns().into_iter().enumerate() {
            let far = |row: &usize| (column[*row] - self.mean[j]).abs();
            let farthest = rows.iter().map(far).fold(0.0, f64::max) / most;
            if farthest > self.deviation[j] && (1.0 / farthest).is_normal() {
                (self.deviation[j], self.reciprocal_deviation[j]) = (farthest, 1.0 / farthest);
            }
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use num_traits::{Signed, ToPrimitive};
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("c{i}")).collect()
    }

    fn exact(x: f64) -> BigRational {
        BigRational::from_float(x).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn moments_are_those_of_exact_arithmetic(
            values in prop::collection::vec(-1.0f64..1.0, 2..30),
            exponent in -900i32..900,
            offset in -8.0f64..8.0,
        ) {
            let values: Vec<_> = values.iter().map(|x| (x + offset) * 2f64.powi(exponent)).collect();
            let count = BigRational::from(BigInt::from(values.len()));
            let mean = values.iter().map(|&x| exact(x)).sum::<BigRational>() / &count;
            let (computed, deviation) = moments(values.iter().copied(), values.len());
            let unit = exact(f64::EPSILON) * exact(values.iter().fold(0.0, |m, x| x.abs().max(m)));
            // Two sums of n terms, each of at most three times the largest value.
            let bound = &unit * &count * BigRational::from(BigInt::from(4));
            prop_assert!((exact(computed) - &mean).abs() <= bound);
            if let Some(deviation) = deviation {
                // About the computed mean, the exact mean square; relative error n + 8 roundings.
                let square = values.iter().map(|&x| (exact(x) - exact(computed)).pow(2))
                    .sum::<BigRational>() / &count;
                let ratio = exact(deviation).pow(2) / square - exact(1.0);
                prop_assert!(ratio.abs().to_f64().unwrap() <= (values.len() + 8) as f64 * f64::EPSILON);
            }
        }

        #[test]
        fn inverting_returns_the_values_and_the_mean_becomes_zero(
            values in prop::collection::vec(-1e3f64..1e3, 2..40),
        ) {
            let count = values.len();
            let column = Array2::from_shape_vec((count, 1), values.clone()).unwrap();
            let map = Standardisation::of(&column, &(0..count).collect::<Vec<_>>(), &names(1)).unwrap();
            let mapped = map.apply(&column);
            // The rounding of the mean, in units of the deviation, and of the sum itself.
            let slack = count as f64 * f64::EPSILON * (4e3 / map.deviation()[0] + count as f64);
            prop_assert!(mapped.sum().abs() <= count as f64 * slack);
            for (back, x) in map.invert(&mapped).iter().zip(&values) {
                prop_assert!((back - x).abs() <= 4.0 * f64::EPSILON * (x.abs() + 2e3));
            }
        }
    }

    #[test]
    fn only_the_selected_rows_count() {
        let values = array![[1.0], [3.0], [100.0]];
        let map = Standardisation::of(&values, &[0, 1], &names(1)).unwrap();
        assert_eq!((map.mean()[0], map.deviation()[0]), (2.0, 1.0));
        assert_eq!(map.apply(&values).column(0).to_vec(), [-1.0, 1.0, 98.0]);
    }

    #[test]
    fn a_row_far_away_widens_its_column_alone() {
        let mut values = Array2::from_shape_fn((101, 2), |(i, j)| (i % 2 + j) as f64);
        values[(50, 0)] = 1000.0;
        let rows: Vec<usize> = (0..100).collect();
        let map = Standardisation::of(&values, &rows, &names(2)).unwrap();
        assert!(map.apply(&values)[(50, 0)] > 9.0);
        let wide = map.clone().within(5.0, &values, &rows);
        let mapped = wide.apply(&values);
        assert!((mapped[(50, 0)] - 5.0).abs() < 1e-12);
        assert_eq!(mapped.column(1), map.apply(&values).column(1));
        assert_eq!(wide.mean(), map.mean());
        assert!((wide.invert(&mapped)[(50, 0)] - 1000.0).abs() < 1e-9);
        // What is not among the rows does not count, nor does a constant column.
        values[(100, 1)] = 1e9;
        assert_eq!(map.clone().within(20.0, &values, &rows), map);
        let constant = array![[0.1], [0.1]];
        let map = Standardisation::of(&constant, &[0, 1], &names(1)).unwrap();
        assert_eq!(map.clone().within(5.0, &constant, &[0, 1]), map);
    }

    #[test]
    fn a_constant_column_is_listed_and_goes_to_zero_and_back() {
        let values = array![[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]];
        let map = Standardisation::of(&values, &[0, 1, 2], &names(2)).unwrap();
        assert_eq!(map.constant_columns(), [0]);
        assert_eq!(map.reciprocal_deviation()[0], 0.0);
        assert_eq!(map.apply(&values).column(0).to_vec(), [0.0; 3]);
        assert_eq!(map.invert(&map.apply(&values)).column(0).to_vec(), [0.1; 3]);
    }

    #[test]
    fn extreme_columns_stay_finite_or_are_named() {
        for column in [[1e308, -1e308], [1e-307, 3e-307], [1e15, 1e15 + 1.0], [1e308, 1.1e308]] {
            let values = array![[column[0]], [column[1]]];
            let map = Standardisation::of(&values, &[0, 1], &names(1)).unwrap();
            let mapped = map.apply(&values);
            assert!(mapped.iter().all(|z| (z.abs() - 1.0).abs() < 1e-3), "{column:?}: {mapped}");
        }
        for column in [[0.0, 5e-324], [f64::MAX, f64::MIN]] {
            let values = array![[column[0]], [column[1]]];
            match Standardisation::of(&values, &[0, 1], &names(1)) {
                Err(error) => assert!(error.to_string().contains("column \"c0\""), "{error}"),
                Ok(map) => assert!(map.apply(&values).iter().all(|z| z.is_finite())),
            }
        }
        // A row outside the selection counts too: it would become infinite.
        let values = array![[1e-300], [2e-300], [1e300]];
        assert!(Standardisation::of(&values, &[0, 1], &names(1)).is_err());
    }
}
