//! Affine steps with so many weights that a batch goes through them at once: block by block they
//! would be fetched, and put in the order of a matrix product, for a few rows each time.

use faer::{Accum, MatMut};
use rayon::prelude::*;

use super::block::Block;
use super::loops::{grow, repeat};
use super::{Batch, MAX_PARTS, Pass};
use crate::train::model::{Kind, Step};
use crate::train::real::{Real, matrix, matrix_mut};

/// The fewest weights of such a step.
pub(super) const WIDE_WEIGHTS: usize = 1 << 18;
/// The fewest neurons, so that there are parts for several threads.
pub(super) const WIDE_NEURONS: usize = 2 * PART_ROWS;
/// Parts of a product are multiples of so many rows, which fill registers in either float.
const PART_ROWS: usize = 96;

/// What arrives at such a step, where it does not lie together anyhow, and what it gives or the
/// derivatives by it: all rows of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Wide<T> {
    pub(super) before: Vec<T>,
    pub(super) after: Vec<T>,
    slopes: Vec<T>,
}

/// The rows of a product in parts that threads share, the same for any number of them.
fn parts<T: Real>(
    mut product: MatMut<T>,
    parallel: bool,
    work: impl Fn(usize, MatMut<T>) + Sync + Send,
) {
    let rows = product.nrows().div_ceil(MAX_PARTS).next_multiple_of(PART_ROWS);
    let mut parts = Vec::with_capacity(MAX_PARTS);
    let mut first = 0;
    while product.nrows() > 0 {
        let own = rows.min(product.nrows());
        let (part, rest) = product.split_at_row_mut(own);
        parts.push((first, part));
        (product, first) = (rest, first + rows);
    }
    if parallel {
        parts.into_par_iter().with_max_len(1).for_each(|(first, part)| work(first, part));
    } else {
        parts.into_iter().for_each(|(first, part)| work(first, part));
    }
}

/// Whether what arrives at step `s` is the batch as it is given.
fn lies_together<T>(s: usize, batch: Batch<T>) -> bool {
    s == 0 && batch.order.is_none()
}

impl<T: Real> Wide<T> {
    /// Through step `s`, from and to the blocks.
    pub(super) fn forward(
        &mut self,
        s: usize,
        Pass { model, parameters, batch, .. }: Pass<T>,
        blocks: &mut [Block<T>],
        parallel: bool,
    ) {
        let step = &model.steps[s];
        let Kind::Affine { weight, bias } = &step.kind else { return };
        let rows = batch.rows;
        if !lies_together(s, batch) {
            grow(&mut self.before, step.before * rows);
            for block in blocks.iter() {
                let own = step.before * block.rows;
                self.before[step.before * block.first..][..own]
                    .copy_from_slice(&block.before(s, batch)[..own]);
            }
        }
        grow(&mut self.after, step.after * rows);
        repeat(&parameters[bias.clone()], &mut self.after[..step.after * rows]);
        let weights = matrix(&parameters[weight.clone()], step.after, step.before);
        let before = if lies_together(s, batch) { batch.inputs } else { &self.before };
        let before = matrix(before, step.before, rows);
        parts(matrix_mut(&mut self.after, step.after, rows), parallel, |first, part| {
            let weights = weights.subrows(first, part.nrows());
            T::product(part, Accum::Add, weights, before);
        });
        for block in blocks {
            let own = step.after * block.rows;
            grow(&mut block.values[s], own);
            block.values[s][..own].copy_from_slice(&self.after[step.after * block.first..][..own]);
        }
    }

    /// Takes the derivatives by what step `s` gives from the blocks and, where `inputs` asks for
    /// them, gives back those by what arrives.
    pub(super) fn backward(
        &mut self,
        s: usize,
        Pass { model, parameters, batch, .. }: Pass<T>,
        blocks: &mut [Block<T>],
        parallel: bool,
        inputs: bool,
    ) {
        let step = &model.steps[s];
        let Kind::Affine { weight, .. } = &step.kind else { return };
        let rows = batch.rows;
        for block in blocks.iter() {
            let own = step.after * block.rows;
            self.after[step.after * block.first..][..own].copy_from_slice(&block.slopes[s][..own]);
        }
        if !inputs {
            return;
        }
        grow(&mut self.slopes, step.before * rows);
        let weights = matrix(&parameters[weight.clone()], step.after, step.before);
        let d = matrix(&self.after, step.after, rows);
        parts(matrix_mut(&mut self.slopes, step.before, rows), parallel, |first, part| {
            let weights = weights.subcols(first, part.nrows()).transpose();
            T::product(part, Accum::Replace, weights, d);
        });
        for block in blocks {
            let own = step.before * block.rows;
            grow(&mut block.slopes[s - 1], own);
            block.slopes[s - 1][..own]
                .copy_from_slice(&self.slopes[step.before * block.first..][..own]);
            block.join(s, model, own);
        }
    }

    /// The derivative by columns `first..` of the weights, all rows at once.
    pub(super) fn by_weights(
        &self,
        own: &mut [T],
        (s, step): (usize, &Step),
        first: usize,
        batch: Batch<T>,
    ) {
        let columns = own.len() / step.after;
        let before = if lies_together(s, batch) { batch.inputs } else { &self.before };
        T::product(
            matrix_mut(own, step.after, columns),
            Accum::Replace,
            matrix(&self.after, step.after, batch.rows),
            matrix(before, step.before, batch.rows).subrows(first, columns).transpose(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Engine, Moments};
    use super::*;
    use crate::train::model::Model;
    use crate::train::options::{BasisKind, HiddenActivation, Loss, Options};

    /// `n` numbers in [-1, 1].
    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.0 - 1.0).collect()
    }

    #[test]
    fn a_batch_at_once_gives_what_its_rows_give_in_small_batches() {
        let activation =
            HiddenActivation::Slaf { basis: BasisKind::Monomial, shared: false, attention: false };
        let options = Options {
            hidden: vec![515, 513],
            degrees: vec![2, 2],
            activation,
            ..Options::default()
        };
        let (inputs, outputs, rows, part) = (517, 3, 150, 30);
        let model = Model::new(inputs, outputs, &options).unwrap();
        let parameters: Vec<f64> =
            numbers(model.parameters, 1).into_iter().map(|x| 0.05 * x).collect();
        let (x, t) = (numbers(inputs * rows, 2), numbers(outputs * rows, 3));
        let mut engine = Engine::new(model, Loss::MeanSquaredError);
        let mut evaluate = |first: usize, rows: usize| {
            let mut gradient = vec![0.0; parameters.len()];
            let batch = Batch {
                inputs: &x[first * inputs..][..rows * inputs],
                targets: &t[first * outputs..][..rows * outputs],
                rows,
                order: None,
                noise: None,
            };
            let loss = engine.evaluate(&parameters, batch, Moments::Batch, Some(&mut gradient));
            let wide = (0..engine.model.steps.len()).filter(|s| engine.is_wide(*s)).count();
            (loss, gradient, wide)
        };
        let (loss, gradient, wide) = evaluate(0, rows);
        assert_eq!(wide, 2);
        let (mut mean, mut means) = (0.0, vec![0.0; gradient.len()]);
        for first in (0..rows).step_by(part) {
            let (loss, gradient, wide) = evaluate(first, part);
            assert_eq!(wide, 0);
            mean += loss * part as f64 / rows as f64;
            for (mean, own) in means.iter_mut().zip(gradient) {
                *mean += own * part as f64 / rows as f64;
            }
        }
        assert!((loss - mean).abs() <= 1e-12 * (1.0 + mean.abs()), "{loss} and not {mean}");
        for (own, wanted) in gradient.iter().zip(&means) {
            assert!((own - wanted).abs() <= 1e-12 * (1.0 + wanted.abs()), "{own} and not {wanted}");
        }
        assert!(means.iter().any(|d| d.abs() > 1e-3));
    }
}
