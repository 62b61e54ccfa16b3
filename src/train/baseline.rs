//! The least-squares linear model: what a trained network has to beat.

use ndarray::{Array1, Array2};

use crate::error::Result;
use crate::network::{Head, Input, Layer, Network};
use crate::table::{Standardisation, Table};
use crate::train::model::fold;
use crate::train::objective::check_rows;

/// The affine map of least squared error on `rows` of `table`, as a network of one layer.
///
/// Householder QR with column pivoting (Golub and Van Loan, section 5.4) of the standardised
/// inputs; an input that depends linearly on others, up to rounding, gets weight 0.
/// Cost: `4 rows inputs^2` flops.
///
/// # Errors
/// When a row is not in the table or stands twice, or a column cannot be standardised.
pub fn linear_model(table: &Table, rows: &[usize]) -> Result<Network> {
    check_rows(rows, table.rows())?;
    let input_map = Standardisation::of(table.inputs(), rows, table.input_names())?;
    let output_map = Standardisation::of(table.targets(), rows, table.target_names())?;
    let columns = |values: &Array2<f64>| -> Vec<Vec<f64>> {
        values.columns().into_iter().map(|c| rows.iter().map(|&row| c[row]).collect()).collect()
    };
    // Standardised columns have mean 0, so the bias is 0 in these units.
    let matrix = columns(&input_map.apply(table.inputs()));
    let sides = columns(&output_map.apply(table.targets()));
    let solutions = least_squares(matrix, sides);
    let shape = (table.targets().ncols(), table.inputs().ncols());
    let weight = Array2::from_shape_fn(shape, |(i, j)| solutions[i][j]);
    let bias = Array1::zeros(shape.0);
    let layer = Layer::Affine(fold(&weight, &bias, Some(&input_map), Some(&output_map))?);
    let inputs = table
        .input_names()
        .iter()
        .zip(table.inputs().columns())
        .map(|(name, column)| {
            let own = rows.iter().map(|&row| column[row]);
            Input {
                name: name.clone(),
                lower: own.clone().reduce(f64::min),
                upper: own.reduce(f64::max),
            }
        })
        .collect();
    Network::new(inputs, table.target_names().to_vec(), vec![layer], Head::Identity)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// For every right-hand side, a least-squares solution of `matrix x = side`; all are columns.
pub(super) fn least_squares(mut matrix: Vec<Vec<f64>>, mut sides: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = matrix.len();
    let rows = matrix.first().map_or(0, Vec::len);
    let mut order: Vec<usize> = (0..n).collect();
    let mut diagonal = Vec::new();
    for k in 0..n.min(rows) {
        let norms: Vec<f64> = matrix[k..].iter().map(|c| dot(&c[k..], &c[k..])).collect();
        let largest =
            (0..norms.len()).fold(0, |best, j| if norms[j] > norms[best] { j } else { best });
        matrix.swap(k, k + largest);
        order.swap(k, k + largest);
        let norm = norms[largest].sqrt();
        let first = diagonal.first().map_or(norm, |d: &f64| d.abs());
        if norm <= first * rows.max(n) as f64 * f64::EPSILON {
            break;
        }
        // The reflection of the column onto a multiple of the unit vector, away from itself.
        let alpha = if matrix[k][k] > 0.0 { -norm } else { norm };
        let mut v = matrix[k][k..].to_vec();
        v[0] -= alpha;
        let half = dot(&v, &v) / 2.0;
        let others = matrix[k + 1..].iter_mut().chain(&mut sides);
        for column in others {
            let factor = dot(&v, &column[k..]) / half;
            column[k..].iter_mut().zip(&v).for_each(|(c, v)| *c -= factor * v);
        }
        diagonal.push(alpha);
    }
    let rank = diagonal.len();
    let solve = |side: &Vec<f64>| {
        let mut x = vec![0.0; n];
        for k in (0..rank).rev() {
            let known: f64 = (k + 1..rank).map(|j| matrix[j][k] * x[order[j]]).sum();
            x[order[k]] = (side[k] - known) / diagonal[k];
        }
        x
    };
    sides.iter().map(solve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn names(prefix: &str, count: usize) -> Vec<String> {
        (0..count).map(|i| format!("{prefix}{i}")).collect()
    }

    #[test]
    fn an_affine_table_is_recovered_though_a_column_repeats_and_another_is_constant() {
        let x = array![[0., 0., 7., 1.], [1., 2., 7., 1.], [2., 4., 7., 5.], [5., 10., 7., 2.]];
        let t = Array2::from_shape_fn((4, 2), |(i, j)| match j {
            0 => 2.0 * x[(i, 0)] + x[(i, 3)],
            _ => x[(i, 3)] - x[(i, 0)] - 1.0,
        });
        let table = Table::new(x.clone(), t.clone(), names("x", 4), names("y", 2), "test").unwrap();
        let network = linear_model(&table, &[0, 1, 2, 3]).unwrap();
        let answers = network.forward(x.view()).unwrap();
        assert!((&answers - &t).iter().all(|e| e.abs() < 1e-12), "{answers}");
        let Layer::Affine(affine) = &network.layers()[0] else { panic!("one affine layer") };
        let weight = affine.weight().to_f64();
        assert_eq!(weight[(0, 2)], 0.0);
        assert!(weight[(0, 0)] == 0.0 || weight[(0, 1)] == 0.0, "one of the dependent inputs");
    }

    #[test]
    fn the_residual_is_orthogonal_to_every_input() {
        let x = array![[0.3, 1.0], [0.7, -2.0], [1.1, 0.5], [-0.2, 3.0], [2.0, 1.5]];
        let t = array![[1.0], [-1.0], [0.5], [2.0], [7.0]];
        let table = Table::new(x.clone(), t.clone(), names("x", 2), names("y", 1), "test").unwrap();
        let network = linear_model(&table, &[0, 1, 2, 3, 4]).unwrap();
        let residual = &t - &network.forward(x.view()).unwrap();
        for column in x.columns() {
            let product: f64 = column.iter().zip(&residual).map(|(a, b)| a * b).sum();
            assert!(product.abs() < 1e-12);
        }
        assert!(residual.sum().abs() < 1e-12);
    }
}
