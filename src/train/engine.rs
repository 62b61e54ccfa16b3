//! Loss and gradient over a batch: back-propagation written for SLAFs.
//!
//! Samples are columns. A batch is cut into blocks by its size alone; threads share blocks and
//! every sum over blocks runs in their order, so that results do not depend on the threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::network::Activation;
use crate::train::kernel::{Scratch, Slafs};
use crate::train::model::{Model, Stage, Statistics};
use crate::train::options::{BasisKind, Loss};
use crate::train::routine::boundary;

/// Fewest rows that make a block.
const BLOCK_ROWS: usize = 64;
/// Most blocks of one batch; each has its own gradient.
const MAX_BLOCKS: usize = 16;
/// Rows times parameters from which threads pay for their start.
const PARALLEL_WORK: usize = 400_000;
/// The largest magnitude of a pre-activation that is divided by.
const SMALLEST_MAXIMUM: f64 = 1e-6;
/// Added to variances, as in the definition of the normalised monomial.
const VARIANCE_FLOOR: f64 = 1e-8;

/// Where the statistics of SLAFs come from in one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moments {
    /// Normalised monomials take them from the batch; gradients flow through them.
    Batch,
    /// From the last evaluation that set them.
    Frozen,
    /// As `Batch`, and orthogonal families set their interval too.
    Start,
}

/// A batch: inputs (inputs x rows) and targets (outputs x rows), columns one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'a> {
    pub inputs: &'a [f64],
    pub targets: &'a [f64],
    pub rows: usize,
}

/// Buffers for evaluating one model, and the statistics of its SLAFs.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub model: Model,
    loss: Loss,
    kernels: Vec<Option<Slafs>>,
    blocks: Vec<Block>,
    sums: Vec<f64>,
    /// The weight of the boundary penalty; 0 for none.
    pub boundary: f64,
}

/// The buffers of one block of rows.
#[derive(Clone, Debug, Default)]
struct Block {
    first: usize,
    rows: usize,
    /// Pre-activations and activations of every stage, neurons x rows.
    z: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    /// Derivatives of the loss by either.
    d: Vec<Vec<f64>>,
    gradient: Vec<f64>,
    sums: Vec<f64>,
    scratch: Scratch,
    loss: f64,
    /// The block's part of the boundary penalty.
    penalty: f64,
}

fn matrix(data: &[f64], rows: usize, columns: usize) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice(&data[..rows * columns], rows, columns)
}

fn matrix_mut(data: &mut [f64], rows: usize, columns: usize) -> MatMut<'_, f64> {
    MatMut::from_column_major_slice_mut(&mut data[..rows * columns], rows, columns)
}

fn each(blocks: &mut [Block], parallel: bool, work: impl Fn(&mut Block) + Sync + Send) {
    if parallel {
        blocks.par_iter_mut().for_each(work);
    } else {
        blocks.iter_mut().for_each(work);
    }
}

/// Where neuron `i` of stage `s` has its largest magnitude: block, row in it, pre-activation.
fn largest(blocks: &[Block], s: usize, width: usize, i: usize) -> Option<(usize, usize, f64)> {
    let mut found: Option<(usize, usize, f64)> = None;
    for (b, block) in blocks.iter().enumerate() {
        for (row, z) in block.z[s][..width * block.rows].iter().skip(i).step_by(width).enumerate() {
            if found.is_none_or(|(_, _, old)| z.abs() > old.abs()) {
                found = Some((b, row, *z));
            }
        }
    }
    found
}

/// The derivative through `r = 1 / max |z|`: the loss depends on `z r`, so that by `r` it is
/// `sum d z / r` with `d` the derivative by `z`, and `r` moves with the largest `z*` as `-r / z*`.
fn through_largest(blocks: &mut [Block], s: usize, width: usize, neurons: usize) {
    for i in 0..neurons {
        let Some((b, row, z)) = largest(blocks, s, width, i) else { continue };
        if z.abs() <= SMALLEST_MAXIMUM {
            continue;
        }
        let mut sum = 0.0;
        for block in blocks.iter() {
            let own = width * block.rows;
            let pairs = block.z[s][..own].iter().zip(&block.d[s][..own]).skip(i).step_by(width);
            sum += pairs.map(|(z, d)| z * d).sum::<f64>();
        }
        blocks[b].d[s][row * width + i] -= sum / z;
    }
}

/// Sums over blocks, in their order.
fn add_up(blocks: &[Block], sums: &mut [f64]) {
    sums.fill(0.0);
    for block in blocks {
        for (total, part) in sums.iter_mut().zip(&block.sums) {
            *total += part;
        }
    }
}

impl Engine {
    pub fn new(model: Model, loss: Loss) -> Self {
        let kernels = model.stages.iter().map(|s| s.slaf.as_ref().map(|s| s.kernel())).collect();
        Engine { model, loss, kernels, blocks: Vec::new(), sums: Vec::new(), boundary: 0.0 }
    }

    /// Mean and scale of every stage; empty vectors for stages without SLAFs.
    pub fn statistics(&self) -> Statistics {
        let both = |k: &Slafs| (k.mean.clone(), k.scale.clone());
        self.kernels.iter().map(|k| k.as_ref().map(both).unwrap_or_default()).collect()
    }

    /// Sets what [`Engine::statistics`] gave.
    pub fn set_statistics(&mut self, statistics: &Statistics) {
        for (kernel, (mean, scale)) in self.kernels.iter_mut().zip(statistics) {
            if let Some(kernel) = kernel {
                kernel.mean.clone_from(mean);
                kernel.scale.clone_from(scale);
            }
        }
    }

    /// The loss of a batch without penalties and, into `gradient`, its derivative by the parameters.
    pub fn evaluate(
        &mut self,
        parameters: &[f64],
        batch: Batch,
        moments: Moments,
        gradient: Option<&mut [f64]>,
    ) -> f64 {
        self.cut(batch.rows, gradient.is_some());
        for (stage, kernel) in self.model.stages.iter().zip(&mut self.kernels) {
            if let (Some(shape), Some(kernel)) = (&stage.slaf, kernel) {
                shape.spread(parameters, kernel);
            }
        }
        let parallel = batch.rows.saturating_mul(self.model.parameters) >= PARALLEL_WORK;
        for s in 0..self.model.stages.len() {
            let stage = &self.model.stages[s];
            each(&mut self.blocks, parallel, |b| b.affine(s, stage, parameters, batch));
            self.set_moments(s, batch.rows, moments, parallel);
            let kernel = self.kernels[s].as_ref();
            if let (Some(kernel), true) = (kernel, self.boundary > 0.0) {
                let (width, weight) =
                    (self.model.stages[s].neurons, self.boundary / batch.rows as f64);
                each(&mut self.blocks, parallel, |b| b.add_boundary(s, width, kernel, weight));
            }
            if s + 1 < self.model.stages.len() {
                let stage = &self.model.stages[s];
                each(&mut self.blocks, parallel, |b| b.activate(s, stage, kernel));
            }
        }
        let (loss, outputs) = (self.loss, self.model.stages[self.model.stages.len() - 1].neurons);
        each(&mut self.blocks, parallel, |b| b.loss(loss, outputs, batch));
        let total = self.blocks.iter().map(|b| b.loss + b.penalty).sum();
        if let Some(gradient) = gradient {
            self.backward(parameters, batch, moments, parallel, gradient);
        }
        total
    }

    /// The SLAFs of a stage.
    pub fn kernel(&self, s: usize) -> Option<&Slafs> {
        self.kernels[s].as_ref()
    }

    /// The smallest and the largest pre-activation of every neuron of a stage in the last
    /// evaluation.
    pub fn ranges(&self, s: usize) -> Vec<(f64, f64)> {
        let width = self.model.stages[s].neurons;
        let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); width];
        for block in &self.blocks {
            for z in block.z[s][..width * block.rows].chunks_exact(width) {
                for (range, &z) in ranges.iter_mut().zip(z) {
                    *range = (range.0.min(z), range.1.max(z));
                }
            }
        }
        ranges
    }

    /// Cuts a batch of `rows` rows into blocks; buffers are kept and only ever grow.
    fn cut(&mut self, rows: usize, gradient: bool) {
        let count = rows.div_ceil(BLOCK_ROWS).clamp(1, MAX_BLOCKS);
        self.blocks.resize_with(count, Block::default);
        let widest = self.model.stages.iter().map(|s| s.neurons).max().unwrap_or(0);
        let most = self.kernels.iter().flatten().map(|k| (k.degree + 4) * k.neurons).max();
        let grow = |v: &mut Vec<f64>, length: usize| {
            if v.len() < length {
                v.resize(length, 0.0);
            }
        };
        self.sums.resize(most.unwrap_or(0), 0.0);
        for (b, block) in self.blocks.iter_mut().enumerate() {
            block.penalty = 0.0;
            (block.first, block.rows) =
                (rows * b / count, rows * (b + 1) / count - rows * b / count);
            let stages = self.model.stages.len();
            for buffers in [&mut block.z, &mut block.y, &mut block.d] {
                buffers.resize_with(stages, Vec::new);
            }
            for (s, stage) in self.model.stages.iter().enumerate() {
                let length = stage.neurons * block.rows;
                grow(&mut block.z[s], length);
                grow(&mut block.d[s], length);
                if s + 1 < stages {
                    grow(&mut block.y[s], length);
                }
            }
            if gradient {
                grow(&mut block.gradient, self.model.parameters);
            }
            if block.sums.len() != self.sums.len() {
                block.sums.resize(self.sums.len(), 0.0);
                block.scratch = Scratch::new(widest);
            }
        }
    }

    fn set_moments(&mut self, s: usize, rows: usize, moments: Moments, parallel: bool) {
        let Some(shape) = &self.model.stages[s].slaf else { return };
        let (basis, width) = (shape.basis, self.model.stages[s].neurons);
        let set = match basis {
            BasisKind::Monomial => false,
            BasisKind::NormalisedMonomial | BasisKind::ScaledMonomial => moments != Moments::Frozen,
            _ => moments == Moments::Start,
        };
        if !set {
            return;
        }
        // Taken out while blocks and sums are borrowed, and put back below.
        let Some(mut kernel) = self.kernels[s].take() else { return };
        let m = kernel.neurons;
        let n = rows as f64;
        match basis {
            BasisKind::NormalisedMonomial => {
                let length = kernel.degree * m;
                each(&mut self.blocks, parallel, |b| {
                    b.sum(s, width, |z, sums, scratch| kernel.add_powers(z, sums, scratch));
                });
                add_up(&self.blocks, &mut self.sums);
                for (mean, sum) in kernel.mean.iter_mut().zip(&self.sums[..length]) {
                    *mean = sum / n;
                }
                // A second pass: the difference of the mean square and the squared mean would
                // lose the variance of pre-activations far from 0.
                each(&mut self.blocks, parallel, |b| {
                    b.sum(s, width, |z, sums, scratch| kernel.add_squares(z, sums, scratch));
                });
                add_up(&self.blocks, &mut self.sums);
                for (scale, sum) in kernel.scale.iter_mut().zip(&self.sums[..length]) {
                    *scale = 1.0 / (sum / n + VARIANCE_FLOOR).sqrt();
                }
            }
            BasisKind::ScaledMonomial => {
                for i in 0..m {
                    let largest =
                        largest(&self.blocks, s, width, i).map_or(0.0, |(_, _, z)| z.abs());
                    // A neuron that sees 0 only keeps the scale of a unit interval.
                    let factor = if largest > SMALLEST_MAXIMUM { 1.0 / largest } else { 1.0 };
                    let mut power = 1.0;
                    for k in 0..kernel.degree {
                        power *= factor;
                        kernel.scale[k * m + i] = power;
                    }
                }
            }
            basis => {
                let mut columns = vec![(f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0); m];
                for block in &self.blocks {
                    for z in block.z[s][..width * block.rows].chunks_exact(width) {
                        for (c, &z) in columns.iter_mut().zip(z) {
                            *c = (c.0.min(z), c.1.max(z), c.2 + z, c.3 + z * z);
                        }
                    }
                }
                for (i, (low, high, sum, squares)) in columns.into_iter().enumerate() {
                    let (centre, half) = if basis == BasisKind::Hermite {
                        let variance = (squares / n - (sum / n).powi(2)).max(0.0);
                        (sum / n, (2.0 * variance).sqrt())
                    } else {
                        (0.5 * (low + high), 0.5 * (high - low))
                    };
                    // A neuron that sees one value only keeps the scale of a unit interval.
                    kernel.mean[i] = centre;
                    kernel.scale[i] = if half > 1e-6 { 1.0 / half } else { 1.0 };
                }
            }
        }
        self.kernels[s] = Some(kernel);
    }

    fn backward(
        &mut self,
        parameters: &[f64],
        batch: Batch,
        moments: Moments,
        parallel: bool,
        gradient: &mut [f64],
    ) {
        each(&mut self.blocks, parallel, |b| b.gradient.fill(0.0));
        gradient.fill(0.0);
        for s in (0..self.model.stages.len()).rev() {
            let stage = &self.model.stages[s];
            if let Some(function) = stage.function {
                each(&mut self.blocks, parallel, |b| b.through_function(s, stage, function));
            }
            if let (Some(shape), Some(kernel)) = (&stage.slaf, &self.kernels[s]) {
                let through =
                    moments != Moments::Frozen && shape.basis == BasisKind::NormalisedMonomial;
                let width = stage.neurons;
                each(&mut self.blocks, parallel, |b| b.through_slafs(s, width, kernel, through));
                add_up(&self.blocks, &mut self.sums);
                shape.gather(parameters, &self.sums, gradient);
                if through {
                    self.sums.iter_mut().for_each(|x| *x /= batch.rows as f64);
                    let means = &self.sums;
                    each(&mut self.blocks, parallel, |b| {
                        b.through_moments(s, width, kernel, means);
                    });
                }
                if moments != Moments::Frozen && shape.basis == BasisKind::ScaledMonomial {
                    through_largest(&mut self.blocks, s, width, kernel.neurons);
                }
                if self.boundary > 0.0 {
                    let weight = self.boundary / batch.rows as f64;
                    each(&mut self.blocks, parallel, |b| {
                        b.through_boundary(s, width, kernel, weight);
                    });
                }
            }
            each(&mut self.blocks, parallel, |b| b.through_affine(s, stage, parameters, batch));
        }
        for stage in &self.model.stages {
            for range in [stage.weight.clone(), stage.bias.clone()] {
                for block in &self.blocks {
                    for (total, part) in
                        gradient[range.clone()].iter_mut().zip(&block.gradient[range.clone()])
                    {
                        *total += part;
                    }
                }
            }
        }
    }
}

impl Block {
    /// `z = W y + b`.
    fn affine(&mut self, s: usize, stage: &Stage, parameters: &[f64], batch: Batch) {
        let before = match s {
            0 => &batch.inputs[self.first * stage.inputs..],
            _ => &self.y[s - 1],
        };
        let z = &mut self.z[s][..stage.neurons * self.rows];
        let bias = &parameters[stage.bias.clone()];
        z.chunks_exact_mut(stage.neurons).for_each(|z| z.copy_from_slice(bias));
        matmul(
            matrix_mut(z, stage.neurons, self.rows),
            Accum::Add,
            matrix(&parameters[stage.weight.clone()], stage.neurons, stage.inputs),
            matrix(before, stage.inputs, self.rows),
            1.0,
            Par::Seq,
        );
    }

    fn sum(&mut self, s: usize, width: usize, add: impl Fn(&[f64], &mut [f64], &mut Scratch)) {
        self.sums.fill(0.0);
        for z in self.z[s][..width * self.rows].chunks_exact(width) {
            add(z, &mut self.sums, &mut self.scratch);
        }
    }

    fn activate(&mut self, s: usize, stage: &Stage, kernel: Option<&Slafs>) {
        let width = stage.neurons;
        let first = kernel.map_or(0, |k| k.neurons);
        let z = self.z[s][..width * self.rows].chunks_exact(width);
        let y = self.y[s][..width * self.rows].chunks_exact_mut(width);
        for (z, y) in z.zip(y) {
            if let Some(kernel) = kernel {
                kernel.values(z, y, &mut self.scratch);
            }
            if let Some(function) = stage.function {
                for (y, z) in y[first..].iter_mut().zip(&z[first..]) {
                    *y = function.value(*z);
                }
            }
        }
    }

    /// The loss of the block, and its derivative by the outputs.
    fn loss(&mut self, loss: Loss, outputs: usize, batch: Batch) {
        let last = self.z.len() - 1;
        let y = self.z[last][..outputs * self.rows].chunks_exact(outputs);
        let d = self.d[last][..outputs * self.rows].chunks_exact_mut(outputs);
        let targets = batch.targets[self.first * outputs..].chunks_exact(outputs);
        let rows = batch.rows as f64;
        let mut total = 0.0;
        for ((y, d), t) in y.zip(d).zip(targets) {
            total += row_loss(loss, y, t, d);
        }
        let entries = if loss == Loss::SoftmaxCrossEntropy { rows } else { rows * outputs as f64 };
        for d in &mut self.d[last][..outputs * self.rows] {
            *d /= entries;
        }
        self.loss = total / entries;
    }

    fn through_function(&mut self, s: usize, stage: &Stage, function: Activation) {
        let width = stage.neurons;
        let first = stage.slaf.as_ref().map_or(0, |k| k.neurons);
        let z = self.z[s][..width * self.rows].chunks_exact(width);
        for (z, d) in z.zip(self.d[s].chunks_exact_mut(width)) {
            for (d, z) in d[first..].iter_mut().zip(&z[first..]) {
                *d *= function.derivative(*z);
            }
        }
    }

    fn through_slafs(&mut self, s: usize, width: usize, kernel: &Slafs, keep: bool) {
        self.sums.fill(0.0);
        let z = self.z[s][..width * self.rows].chunks_exact(width);
        for (z, d) in z.zip(self.d[s].chunks_exact_mut(width)) {
            kernel.backward(z, d, &mut self.sums, keep, &mut self.scratch);
        }
    }

    /// Adds the boundary penalty of a stage.
    fn add_boundary(&mut self, s: usize, width: usize, kernel: &Slafs, weight: f64) {
        for z in self.z[s][..width * self.rows].chunks_exact(width) {
            for i in 0..kernel.neurons {
                let t = (z[i] - kernel.mean[i]) * kernel.scale[i];
                self.penalty += weight * boundary(t, kernel.degree).0;
            }
        }
    }

    fn through_boundary(&mut self, s: usize, width: usize, kernel: &Slafs, weight: f64) {
        let z = self.z[s][..width * self.rows].chunks_exact(width);
        for (z, d) in z.zip(self.d[s].chunks_exact_mut(width)) {
            for i in 0..kernel.neurons {
                let t = (z[i] - kernel.mean[i]) * kernel.scale[i];
                d[i] += weight * boundary(t, kernel.degree).1 * kernel.scale[i];
            }
        }
    }

    fn through_moments(&mut self, s: usize, width: usize, kernel: &Slafs, means: &[f64]) {
        let z = self.z[s][..width * self.rows].chunks_exact(width);
        for (z, d) in z.zip(self.d[s].chunks_exact_mut(width)) {
            kernel.backward_through_moments(z, d, means, &mut self.scratch);
        }
    }

    /// Derivatives by weights, biases and the activations before.
    fn through_affine(&mut self, s: usize, stage: &Stage, parameters: &[f64], batch: Batch) {
        let (neurons, inputs, rows) = (stage.neurons, stage.inputs, self.rows);
        let (earlier, own) = self.d.split_at_mut(s);
        let d = &own[0][..neurons * rows];
        let before = match s {
            0 => &batch.inputs[self.first * inputs..],
            _ => &self.y[s - 1],
        };
        matmul(
            matrix_mut(&mut self.gradient[stage.weight.clone()], neurons, inputs),
            Accum::Replace,
            matrix(d, neurons, rows),
            matrix(before, inputs, rows).transpose(),
            1.0,
            Par::Seq,
        );
        let bias = &mut self.gradient[stage.bias.clone()];
        for d in d.chunks_exact(neurons) {
            bias.iter_mut().zip(d).for_each(|(b, d)| *b += d);
        }
        if let Some(before) = earlier.last_mut() {
            matmul(
                matrix_mut(before, inputs, rows),
                Accum::Replace,
                matrix(&parameters[stage.weight.clone()], neurons, inputs).transpose(),
                matrix(d, neurons, rows),
                1.0,
                Par::Seq,
            );
        }
    }
}

/// The loss of one row before the mean, and its derivative by the outputs `y` into `d`.
pub(super) fn row_loss(loss: Loss, y: &[f64], t: &[f64], d: &mut [f64]) -> f64 {
    let mut total = 0.0;
    match loss {
        Loss::MeanSquaredError => {
            for ((y, t), d) in y.iter().zip(t).zip(d) {
                let r = y - t;
                *d = 2.0 * r;
                total += r * r;
            }
        }
        Loss::LogisticCrossEntropy => {
            for ((y, t), d) in y.iter().zip(t).zip(d) {
                // softplus(y) - t y, without overflow.
                let small = (-y.abs()).exp();
                let p = if *y >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) };
                *d = p - t;
                total += y.max(0.0) - t * y + small.ln_1p();
            }
        }
        Loss::SoftmaxCrossEntropy => {
            let largest = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut sum = 0.0;
            for (y, d) in y.iter().zip(d.iter_mut()) {
                *d = (y - largest).exp();
                sum += *d;
            }
            let logarithm = sum.ln() + largest;
            // The targets of a row may be any distribution; their sum is 1 up to rounding.
            let mass: f64 = t.iter().sum();
            for ((y, t), d) in y.iter().zip(t).zip(d) {
                *d = mass * (*d / sum) - t;
                total += t * (logarithm - y);
            }
        }
    }
    total
}
