//! Products of the weights of a layer and a batch, and of a batch and derivatives.
//!
//! Where the machine has AVX-512 and the shape allows it, by `avx512`, which is written for them;
//! everywhere else by faer.

#[cfg(target_arch = "x86_64")]
mod avx512;

use faer::{Accum, MatRef};

use crate::train::real::{Real, matrix, matrix_mut};

/// The right factor, inner dimension x columns.
#[derive(Clone, Copy, Debug)]
pub(super) enum Right<'a, T> {
    /// Column after column.
    Columns(&'a [T]),
    /// Row after row, one every so many numbers.
    Rows(&'a [T], usize),
}

/// `c = a b`, or `c += a b`, for `a` of `rows` x `inner` and `c` with `rows` rows, column after
/// column.
pub(super) fn multiply<T: Real>(
    c: &mut [T],
    accumulate: Accum,
    a: &[T],
    right: Right<T>,
    [rows, inner]: [usize; 2],
) {
    #[cfg(target_arch = "x86_64")]
    if avx512::multiply(c, accumulate, a, right, [rows, inner]) {
        return;
    }
    let columns = c.len() / rows;
    let right = match right {
        Right::Columns(b) => matrix(b, inner, columns),
        Right::Rows(b, stride) => {
            MatRef::from_row_major_slice_with_stride(b, inner, columns, stride)
        }
    };
    T::product(matrix_mut(c, rows, columns), accumulate, matrix(a, rows, inner), right);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Row by column, in f64.
    fn naive<T: Real>(
        c: &mut [T],
        accumulate: Accum,
        a: &[T],
        right: Right<T>,
        [rows, inner]: [usize; 2],
    ) {
        for (at, c) in c.iter_mut().enumerate() {
            let (i, j) = (at % rows, at / rows);
            let mut sum = if matches!(accumulate, Accum::Add) { c.f64() } else { 0.0 };
            for p in 0..inner {
                let b = match right {
                    Right::Columns(b) => b[j * inner + p],
                    Right::Rows(b, stride) => b[p * stride + j],
                };
                sum += a[p * rows + i].f64() * b.f64();
            }
            *c = T::of(sum);
        }
    }

    /// Small integers, whose products and sums are exact in either float and any order.
    fn integers<T: Real>(n: usize, seed: usize) -> Vec<T> {
        (0..n).map(|i| T::of(((i * 7919 + seed * 104_729) % 2003 % 9) as f64 - 4.0)).collect()
    }

    fn same_as_naive<T: Real>(rows: usize, inner: usize, columns: usize, beside: usize) {
        let a = integers::<T>(rows * inner, 1);
        let stride = columns + beside;
        let (by_columns, by_rows) = (integers(inner * columns, 2), integers(inner * stride, 3));
        for right in [Right::Columns(&by_columns), Right::Rows(&by_rows, stride)] {
            for accumulate in [Accum::Replace, Accum::Add] {
                let mut c = integers::<T>(rows * columns, 4);
                let mut wanted = c.clone();
                multiply(&mut c, accumulate, &a, right, [rows, inner]);
                naive(&mut wanted, accumulate, &a, right, [rows, inner]);
                assert_eq!(c, wanted, "{rows} x {inner} x {columns}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_are_those_of_the_definition(
            rows in prop_oneof![1..140_usize, (1..10_usize).prop_map(|n| 32 * n)],
            inner in 1..70_usize,
            columns in 1..40_usize,
            beside in 0..5_usize,
        ) {
            same_as_naive::<f64>(rows, inner, columns, beside);
            same_as_naive::<f32>(rows, inner, columns, beside);
        }
    }

    #[test]
    fn large_products_are_those_of_the_definition() {
        for (rows, inner, columns) in [(128, 784, 64), (256, 512, 9), (128, 1500, 7), (64, 3, 300)]
        {
            same_as_naive::<f64>(rows, inner, columns, 0);
            same_as_naive::<f32>(rows, inner, columns, 0);
        }
    }
}
