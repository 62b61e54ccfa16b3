//! Loss and gradient over a batch: back-propagation written for SLAFs.
//!
//! [`block`] goes through the steps of a model with some rows, [`loops`] has its inner loops,
//! [`convolution`] those of convolutions; [`wide`] takes all blocks through a step at once.
//!
//! Samples are columns. A batch is cut into blocks by its size and the model's alone, and the
//! weights of an affine layer into parts; threads share blocks and parts, and every sum over blocks
//! runs in their order, so that results do not depend on the threads.

mod block;
mod convolution;
mod loops;
mod wide;

use faer::Accum;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use block::Block;
use wide::{WIDE_NEURONS, WIDE_WEIGHTS, Wide};

use crate::train::kernel::{Columns, Slafs};
use crate::train::model::{Activations, Kind, Model, Statistics, Step};
use crate::train::options::{BasisKind, Loss};
use crate::train::product::{Right, multiply};
use crate::train::real::{Real, sum_of_squares};

/// Fewest rows that make a block, where rows alone decide.
const BLOCK_ROWS: usize = 64;
/// Products of a block, where rows are expensive.
const BLOCK_PRODUCTS: usize = 1 << 27;
/// Numbers before or after one step of a block of images, which stay in a near cache.
const BLOCK_NUMBERS: usize = 1 << 17;
/// Most blocks of one batch.
const MAX_BLOCKS: usize = 16;
/// Most parts of the weights of one affine layer, and the fewest weights of one.
const MAX_PARTS: usize = 8;
const PART_WEIGHTS: usize = 4096;
/// Products of a batch from which threads pay for their start.
const PARALLEL_WORK: usize = 400_000;
/// The largest magnitude of a pre-activation that is divided by.
const SMALLEST_MAXIMUM: f64 = 1e-6;
/// Added to variances, as in the definition of the normalised monomial.
const VARIANCE_FLOOR: f64 = 1e-8;
/// Numbers that are held at once where no gradient is asked for.
const MOST_NUMBERS: usize = 1 << 25;

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

/// Which numbers dropout and the moves of images draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    pub seed: u64,
    /// Another for every batch of a run.
    pub draw: u64,
}

impl Noise {
    /// The numbers for one purpose in one block at one step.
    fn generator(self, purpose: u64, block: usize, step: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ purpose);
        // At most 16 blocks and 4096 steps.
        rng.set_stream((self.draw << 16) | ((block as u64) << 12) | step as u64);
        rng
    }
}

/// A batch: inputs (inputs x rows) and targets (outputs x rows), columns one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'a, T> {
    pub inputs: &'a [T],
    pub targets: &'a [T],
    pub rows: usize,
    /// The columns that are the batch, where it is not all of them.
    pub order: Option<&'a [usize]>,
    /// Without it, dropout lets everything pass and images stay where they are.
    pub noise: Option<Noise>,
}

/// What one evaluation goes through.
#[derive(Clone, Copy, Debug)]
struct Pass<'a, T> {
    model: &'a Model,
    parameters: &'a [T],
    batch: Batch<'a, T>,
    /// The weight of the boundary penalty of one neuron and row; 0 for none.
    boundary: f64,
}

/// Buffers for evaluating one model, and the statistics of its SLAFs.
#[derive(Clone, Debug)]
pub(super) struct Engine<T> {
    pub model: Model,
    loss: Loss,
    kernels: Vec<Option<Slafs<T>>>,
    blocks: Vec<Block<T>>,
    /// Of every step.
    wide: Vec<Wide<T>>,
    /// The fewest weights and neurons of an affine step that a batch goes through at once.
    wide_from: (usize, usize),
    sums: Vec<f64>,
    /// The weight of the boundary penalty; 0 for none.
    pub boundary: f64,
    /// The sum of the squares of the last gradient.
    pub size: f64,
}

fn each<T: Real>(
    blocks: &mut [Block<T>],
    parallel: bool,
    work: impl Fn(&mut Block<T>) + Sync + Send,
) {
    if parallel && blocks.len() > 1 {
        blocks.par_iter_mut().with_max_len(1).for_each(work);
    } else {
        blocks.iter_mut().for_each(work);
    }
}

/// Sums over blocks, in their order.
fn add_up<T>(blocks: &[Block<T>], s: usize, sums: &mut Vec<f64>) {
    sums.clear();
    sums.extend_from_slice(&blocks[0].sums[s]);
    for block in &blocks[1..] {
        for (total, part) in sums.iter_mut().zip(&block.sums[s]) {
            *total += part;
        }
    }
}

/// Where channel `i` of the activations of step `s` has its largest magnitude: block, number in it,
/// pre-activation.
fn largest<T: Real>(
    blocks: &[Block<T>],
    s: usize,
    step: &Step,
    channels: usize,
    i: usize,
    batch: Batch<T>,
) -> Option<(usize, usize, f64)> {
    let mut found: Option<(usize, usize, f64)> = None;
    for (b, block) in blocks.iter().enumerate() {
        let z = &block.before(s, batch)[..step.before * block.rows];
        for (at, z) in z.iter().enumerate().skip(i).step_by(channels) {
            let z = z.f64();
            if found.is_none_or(|(_, _, old)| z.abs() > old.abs()) {
                found = Some((b, at, z));
            }
        }
    }
    found
}

/// The derivative through `r = 1 / max |z|`: the loss depends on `z r`, so that by `r` it is
/// `sum d z / r` with `d` the derivative by `z`, and `r` moves with the largest `z*` as `-r / z*`.
fn through_largest<T: Real>(
    blocks: &mut [Block<T>],
    s: usize,
    step: &Step,
    (channels, neurons): (usize, usize),
    batch: Batch<T>,
) {
    for i in 0..neurons {
        let Some((b, at, z)) = largest(blocks, s, step, channels, i, batch) else { continue };
        if z.abs() <= SMALLEST_MAXIMUM {
            continue;
        }
        let mut sum = 0.0;
        for block in blocks.iter() {
            let own = step.before * block.rows;
            let pairs = block.before(s, batch)[..own].iter().zip(&block.slopes[s][..own]);
            let pairs = pairs.skip(i).step_by(channels);
            sum += pairs.map(|(z, d)| z.f64() * d.f64()).sum::<f64>();
        }
        blocks[b].slopes[s][at] -= T::of(sum / z);
    }
}

/// How many columns of weights make a part.
fn part_columns(neurons: usize, inputs: usize) -> usize {
    let parts = (neurons * inputs / PART_WEIGHTS).clamp(1, MAX_PARTS);
    inputs.div_ceil(parts)
}

/// The SLAFs of every step, before any statistics.
fn kernels<T: Real>(model: &Model) -> Vec<Option<Slafs<T>>> {
    let kernel = |step: &Step| match &step.kind {
        Kind::Activation(Activations { slaf: Some(slaf), .. }) => Some(slaf.kernel()),
        _ => None,
    };
    model.steps.iter().map(kernel).collect()
}

impl<T: Real> Engine<T> {
    pub fn new(model: Model, loss: Loss) -> Self {
        let kernels = kernels(&model);
        let wide = vec![Wide::default(); model.steps.len()];
        Engine {
            model,
            loss,
            kernels,
            blocks: Vec::new(),
            wide,
            wide_from: (WIDE_WEIGHTS, WIDE_NEURONS),
            sums: Vec::new(),
            boundary: 0.0,
            size: 0.0,
        }
    }

    /// Mean and scale of every step; empty vectors for steps without SLAFs.
    pub fn statistics(&self) -> Statistics {
        let wide = |x: &[T]| x.iter().map(|x| x.f64()).collect();
        let both = |k: &Slafs<T>| (wide(&k.mean), wide(&k.scale));
        self.kernels.iter().map(|k| k.as_ref().map(both).unwrap_or_default()).collect()
    }

    /// Sets those of a new engine.
    pub fn reset_statistics(&mut self) {
        self.kernels = kernels(&self.model);
    }

    /// Sets what [`Engine::statistics`] gave.
    pub fn set_statistics(&mut self, statistics: &Statistics) {
        let narrow = |x: &[f64]| x.iter().map(|x| T::of(*x)).collect();
        for (kernel, (mean, scale)) in self.kernels.iter_mut().zip(statistics) {
            if let Some(kernel) = kernel {
                (kernel.mean, kernel.scale) = (narrow(mean), narrow(scale));
            }
        }
    }

    /// The loss of a batch without penalties and, into `gradient`, its derivative by the parameters.
    ///
    /// Without a gradient a large batch is evaluated in parts.
    pub fn evaluate(
        &mut self,
        parameters: &[T],
        batch: Batch<T>,
        moments: Moments,
        gradient: Option<&mut [T]>,
    ) -> f64 {
        for (step, kernel) in self.model.steps.iter().zip(&mut self.kernels) {
            if let (Kind::Activation(Activations { slaf: Some(shape), .. }), Some(kernel)) =
                (&step.kind, kernel)
            {
                shape.spread(parameters, kernel);
            }
        }
        if gradient.is_none() && batch.rows > self.at_once() {
            return self.evaluate_in_parts(parameters, batch, moments);
        }
        let boundary = self.boundary / batch.rows as f64;
        let parallel = self.begin(batch);
        let steps = self.model.steps.len();
        let (mut from, mut begun) = (0, false);
        for s in 0..=steps {
            let wide = s < steps && self.is_wide(s);
            if s < steps && !wide && !self.sets_moments(s, moments) {
                continue;
            }
            let (kernels, loss) = (&self.kernels, self.loss);
            let pass = Pass { model: &self.model, parameters, batch, boundary };
            each(&mut self.blocks, parallel, |b| {
                if !begun {
                    b.take(pass);
                }
                for i in from..s {
                    b.forward(i, kernels[i].as_ref(), pass);
                }
                if s == steps {
                    b.loss(loss, pass);
                }
            });
            begun = true;
            from = s;
            if wide {
                self.wide[s].forward(s, pass, &mut self.blocks, parallel);
                from = s + 1;
            } else if s < steps {
                self.set_moments(s, &[batch], parameters, parallel);
            }
        }
        if let Some(gradient) = gradient {
            self.backward(parameters, batch, moments, parallel, gradient);
        }
        self.blocks.iter().map(|b| b.loss + b.penalty).sum()
    }

    /// The SLAFs of a step.
    pub fn kernel(&self, s: usize) -> Option<&Slafs<T>> {
        self.kernels[s].as_ref()
    }

    /// The smallest and the largest pre-activation of every channel of the activations of step `s`,
    /// with the SLAFs and statistics of the last evaluation, which was of these parameters.
    pub fn ranges(&mut self, s: usize, parameters: &[T], batch: Batch<T>) -> Vec<(f64, f64)> {
        let Kind::Activation(Activations { channels, .. }) = self.model.steps[s].kind else {
            return Vec::new();
        };
        let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); channels];
        for part in self.parts(batch) {
            self.arrive(s, part, parameters);
            for block in &self.blocks {
                let length = self.model.steps[s].before * block.rows;
                for z in block.before(s, part)[..length].chunks_exact(channels) {
                    for (range, z) in ranges.iter_mut().zip(z) {
                        *range = (range.0.min(z.f64()), range.1.max(z.f64()));
                    }
                }
            }
        }
        ranges
    }

    /// Rows that are evaluated at once where no gradient is asked for.
    fn at_once(&self) -> usize {
        let numbers: usize = self.model.steps.iter().map(|step| step.after).sum();
        (MOST_NUMBERS / numbers.max(1)).max(BLOCK_ROWS)
    }

    /// A batch in parts of at most [`Engine::at_once`] rows.
    fn parts<'a>(&self, batch: Batch<'a, T>) -> Vec<Batch<'a, T>> {
        let (inputs, outputs) = self.model.ends();
        let count = batch.rows.div_ceil(self.at_once());
        let part = |part: usize| {
            let (first, until) = (batch.rows * part / count, batch.rows * (part + 1) / count);
            let rows = until - first;
            match batch.order {
                Some(order) => Batch { rows, order: Some(&order[first..until]), ..batch },
                None => Batch {
                    inputs: &batch.inputs[first * inputs..until * inputs],
                    targets: &batch.targets[first * outputs..until * outputs],
                    rows,
                    ..batch
                },
            }
        };
        (0..count).map(part).collect()
    }

    /// Goes through a batch up to what arrives at step `s`.
    fn arrive(&mut self, s: usize, batch: Batch<T>, parameters: &[T]) {
        let parallel = self.begin(batch);
        let kernels = &self.kernels;
        let pass = Pass { model: &self.model, parameters, batch, boundary: 0.0 };
        each(&mut self.blocks, parallel, |b| {
            b.take(pass);
            (0..s).for_each(|i| b.forward(i, kernels[i].as_ref(), pass));
        });
    }

    /// The loss of a large batch, part by part; moments are set step by step, each over all parts.
    fn evaluate_in_parts(&mut self, parameters: &[T], batch: Batch<T>, moments: Moments) -> f64 {
        let parts = self.parts(batch);
        for s in 0..self.model.steps.len() {
            if self.sets_moments(s, moments) {
                self.set_moments(s, &parts, parameters, true);
            }
        }
        let weighted = |part: &Batch<T>| {
            let loss = self.evaluate(parameters, *part, Moments::Frozen, None);
            loss * part.rows as f64
        };
        parts.iter().map(weighted).sum::<f64>() / batch.rows as f64
    }

    /// Cuts a batch into blocks; says whether it pays to share them.
    fn begin(&mut self, batch: Batch<T>) -> bool {
        let rows = batch.rows;
        let work = rows.saturating_mul(self.model.products);
        let convolutions =
            self.model.steps.iter().filter(|step| matches!(step.kind, Kind::Conv { .. }));
        let image = convolutions.map(|step| step.before.max(step.after)).max().unwrap_or(0);
        let count = rows
            .div_ceil(BLOCK_ROWS)
            .max(work.div_ceil(BLOCK_PRODUCTS))
            .max(rows.saturating_mul(image).div_ceil(BLOCK_NUMBERS))
            .clamp(1, MAX_BLOCKS.min(rows.max(1)));
        self.blocks.resize_with(count, Block::default);
        for (b, block) in self.blocks.iter_mut().enumerate() {
            block.index = b;
            block.penalty = 0.0;
            block.first = rows * b / count;
            block.rows = rows * (b + 1) / count - block.first;
            if block.values.len() != self.model.steps.len() {
                let steps = self.model.steps.len();
                for buffers in
                    [&mut block.values, &mut block.slopes, &mut block.weights, &mut block.biases]
                {
                    buffers.resize_with(steps, Vec::new);
                }
                block.sums.resize_with(steps, Vec::new);
                block.largest.resize_with(steps, Vec::new);
            }
        }
        work >= PARALLEL_WORK
    }

    /// Whether the batch goes through step `s` at once.
    fn is_wide(&self, s: usize) -> bool {
        match &self.model.steps[s].kind {
            Kind::Affine { weight, bias } => {
                let (weights, neurons) = self.wide_from;
                weight.len() >= weights && bias.len() >= neurons && self.blocks.len() > 1
            }
            _ => false,
        }
    }

    fn sets_moments(&self, s: usize, moments: Moments) -> bool {
        let Kind::Activation(Activations { slaf: Some(slaf), .. }) = &self.model.steps[s].kind
        else {
            return false;
        };
        match slaf.basis {
            BasisKind::Monomial => false,
            BasisKind::NormalisedMonomial | BasisKind::ScaledMonomial => moments != Moments::Frozen,
            _ => moments == Moments::Start,
        }
    }

    /// Sets mean and scale of step `s` over all of `parts`; a single one has come up to that step.
    fn set_moments(&mut self, s: usize, parts: &[Batch<T>], parameters: &[T], parallel: bool) {
        let Kind::Activation(Activations { slaf: Some(shape), channels, .. }) =
            &self.model.steps[s].kind
        else {
            return;
        };
        let (basis, channels) = (shape.basis, *channels);
        let positions = self.model.steps[s].before / channels;
        let rows: usize = parts.iter().map(|part| part.rows).sum();
        let n = (rows * positions) as f64;
        // Taken out while blocks and sums are borrowed, and put back below.
        let Some(mut kernel) = self.kernels[s].take() else { return };
        let m = kernel.neurons;
        let arrive = |engine: &mut Self, part: Batch<T>| {
            if parts.len() > 1 {
                engine.arrive(s, part, parameters);
            }
        };
        if basis == BasisKind::NormalisedMonomial {
            // Parts are put together as by Chan, Golub and LeVeque 1979. The second pass over each
            // is for the variances: the difference of the mean square and the squared mean would
            // lose those of pre-activations far from 0.
            let mut moments = vec![(0.0, 0.0); kernel.degree * m];
            let mut seen = 0.0;
            for part in parts {
                arrive(self, *part);
                let own = (part.rows * positions) as f64;
                let share = own / (seen + own);
                for squares in [false, true] {
                    let constants = &kernel;
                    each(&mut self.blocks, parallel, |b| {
                        let columns = Columns { count: positions * b.rows, width: channels };
                        b.moments(s, columns, *part, constants, squares);
                    });
                    add_up(&self.blocks, s, &mut self.sums);
                    for (i, (mean, square)) in moments.iter_mut().enumerate() {
                        if squares {
                            let difference = kernel.mean[i].f64() - *mean;
                            *square += self.sums[m + i] + difference * difference * seen * share;
                            *mean += difference * share;
                        } else {
                            kernel.mean[i] = T::of(self.sums[m + i] / own);
                        }
                    }
                }
                seen += own;
            }
            for (i, (mean, square)) in moments.into_iter().enumerate() {
                kernel.mean[i] = T::of(mean);
                kernel.scale[i] = T::of(1.0 / (square / n + VARIANCE_FLOOR).sqrt());
            }
        } else if basis == BasisKind::ScaledMonomial {
            let mut maxima = vec![0.0_f64; m];
            for part in parts {
                arrive(self, *part);
                let step = &self.model.steps[s];
                for (i, maximum) in maxima.iter_mut().enumerate() {
                    let found = largest(&self.blocks, s, step, channels, i, *part);
                    *maximum = found.map_or(*maximum, |(_, _, z)| maximum.max(z.abs()));
                }
            }
            for (i, maximum) in maxima.into_iter().enumerate() {
                // A neuron that sees 0 only keeps the scale of a unit interval.
                let factor = if maximum > SMALLEST_MAXIMUM { 1.0 / maximum } else { 1.0 };
                let mut power = 1.0;
                for k in 0..kernel.degree {
                    power *= factor;
                    kernel.scale[k * m + i] = T::of(power);
                }
            }
        } else {
            let mut columns = vec![(f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0); m];
            for part in parts {
                arrive(self, *part);
                for block in &self.blocks {
                    let length = positions * channels * block.rows;
                    for z in block.before(s, *part)[..length].chunks_exact(channels) {
                        for (c, z) in columns.iter_mut().zip(z) {
                            let z = z.f64();
                            *c = (c.0.min(z), c.1.max(z), c.2 + z, c.3 + z * z);
                        }
                    }
                }
            }
            for (i, (low, high, sum, squares)) in columns.into_iter().enumerate() {
                let (centre, half) = if basis == BasisKind::Hermite {
                    let variance: f64 = (squares / n - (sum / n).powi(2)).max(0.0);
                    (sum / n, (2.0 * variance).sqrt())
                } else {
                    (0.5 * (low + high), 0.5 * (high - low))
                };
                // A neuron that sees one value only keeps the scale of a unit interval.
                kernel.mean[i] = T::of(centre);
                kernel.scale[i] = T::of(if half > 1e-6 { 1.0 / half } else { 1.0 });
            }
        }
        self.kernels[s] = Some(kernel);
    }

    fn backward(
        &mut self,
        parameters: &[T],
        batch: Batch<T>,
        moments: Moments,
        parallel: bool,
        gradient: &mut [T],
    ) {
        let first = self.model.first_trainable();
        let boundary = self.boundary / batch.rows as f64;
        let mut upper = self.model.steps.len();
        for s in (first..upper).rev() {
            let through = moments != Moments::Frozen && self.sets_moments(s, Moments::Batch);
            let wide = self.is_wide(s);
            if !through && !wide && s > first {
                continue;
            }
            let kernels = &self.kernels;
            let pass = Pass { model: &self.model, parameters, batch, boundary };
            // Sums over the batch stand between the values of these SLAFs and their pre-activations.
            let scaled = matches!(&self.model.steps[s].kind,
                Kind::Activation(Activations { slaf: Some(slaf), .. })
                    if slaf.basis == BasisKind::ScaledMonomial);
            let lower = if through || wide { s + 1 } else { s };
            each(&mut self.blocks, parallel, |b| {
                for i in (lower..upper).rev() {
                    b.backward(i, kernels[i].as_ref(), pass, i > first);
                }
                if let (true, Some(kernel)) = (through, &kernels[s]) {
                    b.through_slafs(s, kernel, pass, !scaled);
                }
                if wide {
                    let neurons = pass.model.steps[s].after;
                    b.by_biases(s, neurons, neurons);
                }
            });
            if wide {
                self.wide[s].backward(s, pass, &mut self.blocks, parallel, s > first);
            }
            if let (true, Some(kernel), Kind::Activation(a)) =
                (through, &self.kernels[s], &self.model.steps[s].kind)
            {
                let step = &self.model.steps[s];
                if scaled && s > first {
                    let widths = (a.channels, kernel.neurons);
                    through_largest(&mut self.blocks, s, step, widths, batch);
                } else if !scaled {
                    add_up(&self.blocks, s, &mut self.sums);
                    let count = batch.rows * (step.before / a.channels);
                    self.sums.iter_mut().for_each(|x| *x /= count as f64);
                }
                let means = (!scaled).then_some(&*self.sums);
                if s > first {
                    each(&mut self.blocks, parallel, |b| {
                        b.through_moments(s, kernel, pass, means);
                    });
                }
            }
            upper = s;
        }
        self.gather(parameters, batch, parallel, gradient);
    }

    /// Derivatives by the parameters, from those by what the steps give.
    fn gather(&mut self, parameters: &[T], batch: Batch<T>, parallel: bool, gradient: &mut [T]) {
        let blocks = &self.blocks;
        // Squared while they are at hand.
        let wide: Vec<bool> = (0..self.model.steps.len()).map(|s| self.is_wide(s)).collect();
        let work = |part: Part<T>| {
            let wide = wide[part.s].then_some(&self.wide[part.s]);
            sum_of_squares(part.fill(wide, blocks, batch))
        };
        self.size = 0.0;
        let mut parts = Vec::new();
        let (mut rest, mut at) = (&mut *gradient, 0);
        for (s, step) in self.model.steps.iter().enumerate() {
            let Kind::Affine { weight, .. } = &step.kind else { continue };
            let (_, behind) = rest.split_at_mut(weight.start - at);
            let (own, behind) = behind.split_at_mut(weight.len());
            (rest, at) = (behind, weight.end);
            let columns = part_columns(step.after, step.before);
            for (part, own) in own.chunks_mut(columns * step.after).enumerate() {
                let part = Part { s, step, first: part * columns, own };
                if parallel {
                    parts.push(part);
                } else {
                    self.size += work(part);
                }
            }
        }
        let squares: Vec<f64> = parts.into_par_iter().with_max_len(1).map(work).collect();
        self.size += squares.into_iter().sum::<f64>();
        let mut at = 0;
        for (s, step) in self.model.steps.iter().enumerate() {
            match &step.kind {
                Kind::Affine { weight, bias } => {
                    self.size += sum_of_squares(&gradient[at..weight.start]);
                    at = weight.end;
                    sum_blocks(blocks, &mut gradient[bias.clone()], |b| &b.biases[s]);
                }
                Kind::Conv { weight, bias, .. } => {
                    sum_blocks(blocks, &mut gradient[weight.clone()], |b| &b.weights[s]);
                    sum_blocks(blocks, &mut gradient[bias.clone()], |b| &b.biases[s]);
                }
                Kind::Activation(Activations { slaf: Some(shape), .. }) => {
                    gradient[shape.coefficients.clone()].fill(T::zero());
                    gradient[shape.attention.clone()].fill(T::zero());
                    add_up(blocks, s, &mut self.sums);
                    shape.gather(parameters, &self.sums, gradient);
                }
                _ => {}
            }
        }
        self.size += sum_of_squares(&gradient[at..]);
    }
}

/// Columns of the weights of an affine step, from the one `first` on, and derivatives by them.
struct Part<'a, T> {
    s: usize,
    step: &'a Step,
    first: usize,
    own: &'a mut [T],
}

impl<'a, T: Real> Part<'a, T> {
    fn fill(self, wide: Option<&Wide<T>>, blocks: &[Block<T>], batch: Batch<T>) -> &'a [T] {
        let Part { s, step, first, own } = self;
        let neurons = step.after;
        if let Some(wide) = wide {
            wide.by_weights(own, (s, step), first, batch);
            return own;
        }
        for (b, block) in blocks.iter().enumerate() {
            multiply(
                own,
                if b == 0 { Accum::Replace } else { Accum::Add },
                &block.slopes[s],
                Right::Rows(&block.before(s, batch)[first..], step.before),
                [neurons, block.rows],
            );
        }
        own
    }
}

/// Sums over blocks, in their order.
fn sum_blocks<T: Real>(blocks: &[Block<T>], total: &mut [T], of: impl Fn(&Block<T>) -> &Vec<T>) {
    for (b, block) in blocks.iter().enumerate() {
        let own = &of(block)[..total.len()];
        if b == 0 {
            total.copy_from_slice(own);
        } else {
            total.iter_mut().zip(own).for_each(|(total, part)| *total += *part);
        }
    }
}
