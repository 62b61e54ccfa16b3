//! Products of matrices with a proven bound on their rounding.
//!
//! A product of k terms computed in any order, fused or not, is off by at most gamma_k = k u / (1 -
//! k u) times the product of the absolute values, u = 2^-53 (Higham 2002, section 3.1), and by k
//! times the least subnormal number where a product underflows.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView1};

use crate::numeric::outward::{absolute_dot_up, add_up, mul_up, sum_up};

/// An upper bound of gamma_k; infinite where the theorem does not apply.
pub(super) fn gamma(terms: usize) -> f64 {
    let ku = terms as f64 * (f64::EPSILON / 2.0);
    // k u is below 1e-3 in any memory; 1.001 covers the quotient and the rounding here.
    if ku < 1e-4 { ku * 1.001 } else { f64::INFINITY }
}

/// The nearest matrix to a b that f64 arithmetic gives: (m, k) times (k, n).
pub(super) fn product(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    let mut c = Array2::<f64>::zeros((m, n));
    let (a, b) = (a.as_standard_layout(), b.as_standard_layout());
    // Arrays in standard layout are always slices.
    if let (Some(c), Some(a), Some(b)) = (c.as_slice_mut(), a.as_slice(), b.as_slice()) {
        matmul(
            MatMut::from_row_major_slice_mut(c, m, n),
            Accum::Replace,
            MatRef::from_row_major_slice(a, m, k),
            MatRef::from_row_major_slice(b, k, n),
            1.0,
            Par::Seq,
        );
    }
    c
}

/// An upper bound of what rounding in [`product`] changes, summed over a row: |row| are the
/// absolute entries of a row of a, `sums[k]` an upper bound of sum_j |b_kj| v_j, `columns` the
/// number of columns of b and `largest` an upper bound of every v_j.
pub(super) fn rounding(row: &[f64], sums: &[f64], columns: usize, largest: f64) -> f64 {
    let total = absolute_dot_up(row.iter().copied(), sums.iter().copied());
    let tiny = mul_up((row.len() * columns) as f64, mul_up(f64::from_bits(1), largest));
    add_up(mul_up(gamma(row.len()), total), tiny)
}

/// Upper bounds of sum_j |w_ij| v_j for v_j >= 0, one for each row.
pub(super) fn absolute_dots(weight: &Array2<f64>, values: &[f64]) -> Vec<f64> {
    let rows = weight.rows().into_iter();
    rows.map(|row| absolute_dot_up(row.iter().copied(), values.iter().copied())).collect()
}

/// An upper bound of sum_j |t_j|.
pub(super) fn absolute_sum(row: ArrayView1<f64>) -> f64 {
    sum_up(row.iter().map(|t| t.abs()))
}
