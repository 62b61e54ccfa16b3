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
    use super::super::{Engine, Moments, Noise};
    use super::*;
    use crate::train::layers::LayerSpec;
    use crate::train::model::Model;
    use crate::train::options::{Loss, Options, Routine};

    const ROWS: usize = 150;

    /// `n` numbers in [-1, 1].
    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.0 - 1.0).collect()
    }

    /// Checks the loss and its gradient with as many affine steps at once as `wanted` against those
    /// block by block, on rows as they lie and shuffled, on one thread and on several.
    fn at_once(inputs: usize, options: &Options, from: (usize, usize), wanted: usize) {
        let outputs = 3;
        let model = Model::new(inputs, outputs, options).unwrap();
        let draws = numbers(model.parameters, 1);
        let parameters: Vec<f64> = draws.into_iter().map(|x| 0.05 * x).collect();
        let (x, t) = (numbers(inputs * ROWS, 2), numbers(outputs * ROWS, 3));
        let shuffled: Vec<usize> = (0..ROWS).map(|i| i * 77 % ROWS).collect();
        let mut engine = Engine::new(model, Loss::MeanSquaredError);
        engine.boundary = if options.routine == Routine::Boundary { 0.5 } else { 0.0 };
        let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
        for (order, pool) in [(None, &pools[0]), (None, &pools[1]), (Some(&*shuffled), &pools[1])] {
            let batch = Batch {
                inputs: &x,
                targets: &t,
                rows: ROWS,
                order,
                noise: Some(Noise { seed: 5, draw: 2 }),
            };
            let mut evaluate = |from: (usize, usize)| {
                engine.wide_from = from;
                let mut gradient = vec![0.0; parameters.len()];
                let into = Some(&mut *gradient);
                let loss =
                    pool.install(|| engine.evaluate(&parameters, batch, Moments::Batch, into));
                let wide = (0..engine.model.steps.len()).filter(|s| engine.is_wide(*s)).count();
                (loss, gradient, wide)
            };
            let (loss, gradient, wide) = evaluate(from);
            assert_eq!(wide, wanted, "{options:?}");
            let (oracle, oracles, wide) = evaluate((usize::MAX, 0));
            assert_eq!(wide, 0);
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + b.abs());
            assert!(near(loss, oracle), "{loss} and not {oracle}: {options:?}");
            for (own, oracle) in gradient.iter().zip(&oracles) {
                assert!(near(*own, *oracle), "{own} and not {oracle}: {options:?}");
            }
            assert!(oracles.iter().any(|d| d.abs() > 1e-3), "{options:?}");
        }
    }

    #[test]
    fn layers_with_many_weights_take_the_batch_at_once() {
        let options = Options { hidden: vec![515, 513], degrees: vec![2, 2], ..Options::default() };
        at_once(517, &options, (WIDE_WEIGHTS, WIDE_NEURONS), 2);
    }

    #[test]
    fn every_affine_layer_gives_at_once_what_it_gives_block_by_block() {
        let layers = |text: &str| Options {
            layers: Some(LayerSpec::parse_all(text).unwrap()),
            ..Options::default()
        };
        let boundary =
            Options { routine: Routine::Boundary, ..layers("dense9,slaf3,dense4,slaf2") };
        at_once(6, &boundary, (1, 1), 3);
        at_once(6, &layers("dense9,slaf3,dense4,slaf2"), (1, 1), 3);
        at_once(
            6,
            &layers("dense9,tanh,dropout0.3,residual(dense9,batchnorm,slaf2),relu"),
            (1, 1),
            3,
        );
        at_once(6, &layers("batchnorm,dense5,residual(relu,dense5),slaf2"), (1, 1), 3);
        let image = Options {
            image: Some([5, 5, 1]),
            ..layers("conv3x3x4,slaf2,avgpool2,flatten,dense7,slaf2")
        };
        at_once(25, &image, (1, 1), 2);
    }
}
