//! Loss and gradient over a batch: back-propagation written for SLAFs.
//!
//! Samples are columns. A batch is cut into blocks by its size and the model's alone, and the
//! weights of an affine layer into parts; threads share blocks and parts, and every sum over blocks
//! runs in their order, so that results do not depend on the threads.

use faer::{Accum, MatRef};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::network::image::{Shape, copy};
use crate::network::{Activation, Pool, PoolKind, Window};
use crate::train::kernel::{Columns, Scratch, Slafs};
use crate::train::loss;
use crate::train::model::{Activations, Kind, Model, Statistics, Step};
use crate::train::objective::below;
use crate::train::options::{BasisKind, Loss};
use crate::train::real::{
    LANES, Real, load, matrix, matrix_mut, store, sum_of_squares, vectorised,
};
use crate::train::routine::boundary;
use crate::train::tanh;

/// Fewest rows that make a block, where rows alone decide.
const BLOCK_ROWS: usize = 64;
/// Products of a block, where rows are expensive.
const BLOCK_PRODUCTS: usize = 1 << 27;
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
    sums: Vec<f64>,
    /// The weight of the boundary penalty; 0 for none.
    pub boundary: f64,
    /// The sum of the squares of the last gradient.
    pub size: f64,
}

/// The buffers of one block of rows; those of a step stand at its index.
#[derive(Clone, Debug)]
struct Block<T> {
    index: usize,
    first: usize,
    rows: usize,
    /// Rows of the batch, where they had to be gathered.
    inputs: Vec<T>,
    targets: Vec<T>,
    /// What each step gives, and the derivatives of the loss by it.
    values: Vec<Vec<T>>,
    slopes: Vec<Vec<T>>,
    /// Derivatives by weights of convolutions, and by biases.
    weights: Vec<Vec<T>>,
    biases: Vec<Vec<T>>,
    /// Derivatives by coefficients, or moments.
    sums: Vec<Vec<f64>>,
    /// Where the largest number under each window stands.
    largest: Vec<Vec<u32>>,
    /// Numbers under all windows of one image.
    columns: Vec<T>,
    scratch: Scratch<T>,
    loss: f64,
    /// The block's part of the boundary penalty.
    penalty: f64,
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        Block {
            index: 0,
            first: 0,
            rows: 0,
            inputs: Vec::new(),
            targets: Vec::new(),
            values: Vec::new(),
            slopes: Vec::new(),
            weights: Vec::new(),
            biases: Vec::new(),
            sums: Vec::new(),
            largest: Vec::new(),
            columns: Vec::new(),
            scratch: Scratch::default(),
            loss: 0.0,
            penalty: 0.0,
        }
    }
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

/// Makes room for `length` numbers; buffers are kept and only ever grow.
fn grow<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
}

/// How many columns of weights make a part.
fn part_columns(neurons: usize, inputs: usize) -> usize {
    let parts = (neurons * inputs / PART_WEIGHTS).clamp(1, MAX_PARTS);
    inputs.div_ceil(parts)
}

impl<T: Real> Engine<T> {
    pub fn new(model: Model, loss: Loss) -> Self {
        let kernel = |step: &Step| match &step.kind {
            Kind::Activation(Activations { slaf: Some(slaf), .. }) => Some(slaf.kernel()),
            _ => None,
        };
        let kernels = model.steps.iter().map(kernel).collect();
        Engine {
            model,
            loss,
            kernels,
            blocks: Vec::new(),
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
            if s < steps && !self.sets_moments(s, moments) {
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
            if s < steps {
                self.set_moments(s, &[batch], parameters, parallel);
            }
            from = s;
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
        let count = rows
            .div_ceil(BLOCK_ROWS)
            .max(work.div_ceil(BLOCK_PRODUCTS))
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
            if !through && s > first {
                continue;
            }
            let kernels = &self.kernels;
            let pass = Pass { model: &self.model, parameters, batch, boundary };
            // Sums over the batch stand between the values of these SLAFs and their pre-activations.
            let scaled = matches!(&self.model.steps[s].kind,
                Kind::Activation(Activations { slaf: Some(slaf), .. })
                    if slaf.basis == BasisKind::ScaledMonomial);
            let lower = if through { s + 1 } else { s };
            each(&mut self.blocks, parallel, |b| {
                for i in (lower..upper).rev() {
                    b.backward(i, kernels[i].as_ref(), pass, i > first);
                }
                if let (true, Some(kernel)) = (through, &kernels[s]) {
                    b.through_slafs(s, kernel, pass, !scaled);
                }
            });
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
        let work = |part: Part<T>| sum_of_squares(part.fill(blocks, batch));
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
    fn fill(self, blocks: &[Block<T>], batch: Batch<T>) -> &'a [T] {
        let Part { s, step, first, own } = self;
        let neurons = step.after;
        let columns = own.len() / neurons;
        for (b, block) in blocks.iter().enumerate() {
            let before = matrix(block.before(s, batch), step.before, block.rows);
            T::product(
                matrix_mut(own, neurons, columns),
                if b == 0 { Accum::Replace } else { Accum::Add },
                matrix(&block.slopes[s], neurons, block.rows),
                before.subrows(first, columns).transpose(),
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

impl<T: Real> Block<T> {
    /// The numbers that arrive at step `s`, all rows of the block.
    fn before<'a>(&'a self, s: usize, batch: Batch<'a, T>) -> &'a [T] {
        match (s, batch.order) {
            (0, Some(_)) => &self.inputs,
            (0, None) => {
                let width = batch.inputs.len() / batch.rows;
                &batch.inputs[self.first * width..][..self.rows * width]
            }
            _ => &self.values[s - 1],
        }
    }

    /// Gathers the rows of the block, where the batch has an order; images are moved on the way.
    fn take(&mut self, Pass { model, batch, .. }: Pass<T>) {
        let Some(order) = batch.order else { return };
        let (inputs, outputs) = model.ends();
        grow(&mut self.inputs, self.rows * inputs);
        grow(&mut self.targets, self.rows * outputs);
        let order = &order[self.first..self.first + self.rows];
        gather_rows(batch.inputs, inputs, order, &mut self.inputs);
        gather_rows(batch.targets, outputs, order, &mut self.targets);
        if let (Some((shape, most)), Some(noise)) = (model.shift, batch.noise) {
            let mut rng = noise.generator(0x73_6869_6674, self.index, 0);
            let mut offset = || below(&mut rng, 2 * most + 1) as isize - most as isize;
            let mut moved = vec![T::zero(); inputs];
            for image in self.inputs[..self.rows * inputs].chunks_exact_mut(inputs) {
                move_image(image, &mut moved, shape, (offset(), offset()));
                image.copy_from_slice(&moved);
            }
        }
    }

    fn forward(&mut self, s: usize, kernel: Option<&Slafs<T>>, pass: Pass<T>) {
        let Pass { parameters, batch, .. } = pass;
        let (step, rows) = (&pass.model.steps[s], self.rows);
        // Out of its place while it is written and others are read.
        let mut after = std::mem::take(&mut self.values[s]);
        grow(&mut after, step.after * rows);
        let own = &mut after[..step.after * rows];
        match &step.kind {
            Kind::Affine { weight, bias } => {
                repeat(&parameters[bias.clone()], own);
                T::product(
                    matrix_mut(own, step.after, rows),
                    Accum::Add,
                    matrix(&parameters[weight.clone()], step.after, step.before),
                    matrix(self.before(s, batch), step.before, rows),
                );
            }
            Kind::Conv { window, channels, weight, bias } => {
                let mut columns = std::mem::take(&mut self.columns);
                let (length, positions) = (window.length(), window.positions());
                repeat(&parameters[bias.clone()], own);
                let images = self.before(s, batch).chunks_exact(step.before);
                for (z, image) in own.chunks_exact_mut(step.after).zip(images) {
                    T::product(
                        matrix_mut(z, *channels, positions),
                        Accum::Add,
                        matrix(&parameters[weight.clone()], *channels, length),
                        windows(window, image, &mut columns),
                    );
                }
                self.columns = columns;
            }
            Kind::Activation(a) => {
                let columns = Columns { count: step.before / a.channels * rows, width: a.channels };
                let mut scratch = std::mem::take(&mut self.scratch);
                let z = &self.before(s, batch)[..step.before * rows];
                let mut penalty = 0.0;
                if let Some(kernel) = kernel {
                    kernel.values(z, own, columns, &mut scratch);
                    if pass.boundary > 0.0 && !a.normalisation {
                        penalty = pass.boundary * beyond(kernel, z, a.channels);
                    }
                }
                if let Some(function) = a.function {
                    let first = kernel.map_or(0, |k| k.neurons);
                    values_of(function, z, own, a.channels, first);
                }
                self.scratch = scratch;
                self.penalty += penalty;
            }
            Kind::Pool(pool) => {
                let mut largest = std::mem::take(&mut self.largest[s]);
                if pool.kind() == PoolKind::Max {
                    grow(&mut largest, step.after * rows);
                }
                let images = self.before(s, batch).chunks_exact(step.before);
                for (r, (y, image)) in own.chunks_exact_mut(step.after).zip(images).enumerate() {
                    match pool.kind() {
                        PoolKind::Average(scale) => average(pool, T::of(scale), image, y),
                        PoolKind::Max => {
                            maximum(
                                pool.window(),
                                image,
                                y,
                                &mut largest[r * step.after..][..step.after],
                            );
                        }
                    }
                }
                self.largest[s] = largest;
            }
            Kind::Dropout(rate) => {
                own.copy_from_slice(&self.before(s, batch)[..step.before * rows]);
                self.drop(s, *rate, own, batch);
            }
            Kind::Add(value) => {
                own.copy_from_slice(&self.before(s, batch)[..step.before * rows]);
                let other = &self.before(*value, batch)[..step.before * rows];
                own.iter_mut().zip(other).for_each(|(y, x)| *y += *x);
            }
            Kind::Flatten(_) => own.copy_from_slice(&self.before(s, batch)[..step.before * rows]),
        }
        self.values[s] = after;
    }

    /// Sets to 0 what dropout drops, and scales the rest so that the mean stays.
    fn drop(&self, s: usize, rate: f64, numbers: &mut [T], batch: Batch<T>) {
        let Some(noise) = batch.noise else { return };
        let mut rng = noise.generator(0x64_726f_706f_7574, self.index, s);
        let kept = ((1.0 - rate) * 2f64.powi(32)) as u64;
        let factor = T::of(1.0 / (1.0 - rate));
        for x in numbers {
            *x = if u64::from(rng.next_u32()) < kept { *x * factor } else { T::zero() };
        }
    }

    fn moments(
        &mut self,
        s: usize,
        columns: Columns,
        batch: Batch<T>,
        kernel: &Slafs<T>,
        squares: bool,
    ) {
        let (mut sums, mut scratch) =
            (std::mem::take(&mut self.sums[s]), std::mem::take(&mut self.scratch));
        sums.clear();
        sums.resize((kernel.degree + 1) * kernel.neurons, 0.0);
        let z = self.before(s, batch);
        if squares {
            kernel.add_squares(z, columns, &mut sums, &mut scratch);
        } else {
            kernel.add_powers(z, columns, &mut sums, &mut scratch);
        }
        (self.sums[s], self.scratch) = (sums, scratch);
    }

    /// The loss of the block, and its derivative by the outputs.
    fn loss(&mut self, loss: Loss, Pass { model, batch, .. }: Pass<T>) {
        let outputs = model.ends().1;
        let last = self.values.len() - 1;
        let length = outputs * self.rows;
        let mut slopes = std::mem::take(&mut self.slopes[last]);
        grow(&mut slopes, length);
        let targets = match batch.order {
            Some(_) => &self.targets[..length],
            None => &batch.targets[self.first * outputs..][..length],
        };
        let y = &self.values[last][..length];
        let total = loss::rows(loss, y, targets, &mut slopes[..length], outputs);
        let rows = batch.rows as f64;
        let entries = if loss == Loss::SoftmaxCrossEntropy { rows } else { rows * outputs as f64 };
        let entries_of = T::of(entries);
        for d in &mut slopes[..length] {
            *d /= entries_of;
        }
        self.slopes[last] = slopes;
        self.loss = total / entries;
    }

    /// Derivatives by what arrives at step `s` where `inputs` asks for them, and by its biases,
    /// coefficients and the weights of a convolution.
    fn backward(&mut self, s: usize, kernel: Option<&Slafs<T>>, pass: Pass<T>, inputs: bool) {
        let Pass { parameters, batch, .. } = pass;
        let (step, rows) = (&pass.model.steps[s], self.rows);
        let length = step.before * rows;
        match &step.kind {
            Kind::Affine { weight, bias } => {
                let mut sums = std::mem::take(&mut self.biases[s]);
                sums.clear();
                sums.resize(bias.len(), T::zero());
                add_columns(&self.slopes[s][..step.after * rows], &mut sums);
                self.biases[s] = sums;
                if inputs {
                    let (earlier, own) = self.slopes.split_at_mut(s);
                    grow(&mut earlier[s - 1], length);
                    T::product(
                        matrix_mut(&mut earlier[s - 1], step.before, rows),
                        Accum::Replace,
                        matrix(&parameters[weight.clone()], step.after, step.before).transpose(),
                        matrix(&own[0], step.after, rows),
                    );
                }
            }
            Kind::Conv { .. } => self.through_conv(s, pass, inputs),
            Kind::Activation(a) => {
                if let Some(kernel) = kernel {
                    self.through_slafs(s, kernel, pass, false);
                }
                if !inputs {
                    return;
                }
                let mut slopes = std::mem::take(&mut self.slopes[s]);
                let z = &self.before(s, batch)[..length];
                if let (Some(kernel), true) = (kernel, pass.boundary > 0.0 && !a.normalisation) {
                    through_beyond(kernel, z, &mut slopes[..length], a.channels, pass.boundary);
                }
                if let Some(function) = a.function {
                    let first = kernel.map_or(0, |k| k.neurons);
                    slopes_of(function, z, &mut slopes[..length], a.channels, first);
                }
                std::mem::swap(&mut self.slopes[s - 1], &mut slopes);
                self.slopes[s] = slopes;
            }
            Kind::Pool(pool) => {
                let (earlier, own) = self.slopes.split_at_mut(s);
                grow(&mut earlier[s - 1], length);
                let before = &mut earlier[s - 1][..length];
                before.fill(T::zero());
                let pairs =
                    before.chunks_exact_mut(step.before).zip(own[0].chunks_exact(step.after));
                for (r, (before, d)) in pairs.enumerate() {
                    match pool.kind() {
                        PoolKind::Average(scale) => spread(pool, T::of(scale), d, before),
                        PoolKind::Max => {
                            let largest = &self.largest[s][r * step.after..][..step.after];
                            for (d, at) in d.iter().zip(largest) {
                                before[*at as usize] += *d;
                            }
                        }
                    }
                }
            }
            Kind::Dropout(rate) => {
                let mut slopes = std::mem::take(&mut self.slopes[s]);
                self.drop(s, *rate, &mut slopes[..length], batch);
                std::mem::swap(&mut self.slopes[s - 1], &mut slopes);
                self.slopes[s] = slopes;
            }
            Kind::Add(_) | Kind::Flatten(_) => {
                let (earlier, own) = self.slopes.split_at_mut(s);
                grow(&mut earlier[s - 1], length);
                earlier[s - 1][..length].copy_from_slice(&own[0][..length]);
            }
        }
        if inputs {
            self.join(s, pass.model, length);
        }
    }

    /// Adds what reaches the value before step `s` along residuals.
    fn join(&mut self, s: usize, model: &Model, length: usize) {
        if !model.joins {
            return;
        }
        for (a, step) in model.steps.iter().enumerate().skip(s + 1) {
            if matches!(step.kind, Kind::Add(value) if value == s) {
                let (earlier, later) = self.slopes.split_at_mut(a);
                let own = earlier[s - 1][..length].iter_mut();
                own.zip(&later[0][..length]).for_each(|(to, from)| *to += *from);
            }
        }
    }

    fn through_conv(&mut self, s: usize, pass: Pass<T>, inputs: bool) {
        let Pass { parameters, batch, .. } = pass;
        let (step, rows) = (&pass.model.steps[s], self.rows);
        let Kind::Conv { window, channels, weight, bias } = &step.kind else { return };
        let channels = *channels;
        let (length, positions) = (window.length(), window.positions());
        let mut columns = std::mem::take(&mut self.columns);
        let mut weights = std::mem::take(&mut self.weights[s]);
        let mut sums = std::mem::take(&mut self.biases[s]);
        grow(&mut weights, weight.len());
        sums.clear();
        sums.resize(bias.len(), T::zero());
        let d = &self.slopes[s][..step.after * rows];
        add_columns(d, &mut sums);
        let images = self.before(s, batch).chunks_exact(step.before);
        for (r, (d, image)) in d.chunks_exact(step.after).zip(images).enumerate() {
            T::product(
                matrix_mut(&mut weights, channels, length),
                if r == 0 { Accum::Replace } else { Accum::Add },
                matrix(d, channels, positions),
                windows(window, image, &mut columns).transpose(),
            );
        }
        if inputs {
            let (earlier, own) = self.slopes.split_at_mut(s);
            grow(&mut earlier[s - 1], step.before * rows);
            let before = earlier[s - 1][..step.before * rows].chunks_exact_mut(step.before);
            for (before, d) in before.zip(own[0].chunks_exact(step.after)) {
                T::product(
                    matrix_mut(&mut columns, length, positions),
                    Accum::Replace,
                    matrix(&parameters[weight.clone()], channels, length).transpose(),
                    matrix(d, channels, positions),
                );
                scatter(window, &columns, before);
            }
        }
        (self.columns, self.weights[s], self.biases[s]) = (columns, weights, sums);
    }

    fn through_slafs(&mut self, s: usize, kernel: &Slafs<T>, pass: Pass<T>, keep: bool) {
        let (step, batch) = (&pass.model.steps[s], pass.batch);
        let Kind::Activation(a) = &step.kind else { return };
        let (mut sums, mut scratch) =
            (std::mem::take(&mut self.sums[s]), std::mem::take(&mut self.scratch));
        let mut slopes = std::mem::take(&mut self.slopes[s]);
        sums.clear();
        sums.resize((kernel.degree + 1) * kernel.neurons, 0.0);
        let columns = Columns { count: step.before / a.channels * self.rows, width: a.channels };
        kernel.backward(self.before(s, batch), &mut slopes, columns, &mut sums, keep, &mut scratch);
        (self.sums[s], self.scratch, self.slopes[s]) = (sums, scratch, slopes);
    }

    /// To what arrives at step `s`, and through the moments of the batch where `means` are given.
    fn through_moments(
        &mut self,
        s: usize,
        kernel: &Slafs<T>,
        pass: Pass<T>,
        means: Option<&[f64]>,
    ) {
        let (step, batch) = (&pass.model.steps[s], pass.batch);
        let Kind::Activation(Activations { channels, function, .. }) = &step.kind else { return };
        let channels = *channels;
        let length = step.before * self.rows;
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut slopes = std::mem::take(&mut self.slopes[s]);
        let columns = Columns { count: step.before / channels * self.rows, width: channels };
        let z = self.before(s, batch);
        if let Some(means) = means {
            kernel.backward_through_moments(z, &mut slopes, columns, means, &mut scratch);
        }
        if let Some(function) = function {
            slopes_of(*function, z, &mut slopes[..length], channels, kernel.neurons);
        }
        std::mem::swap(&mut self.slopes[s - 1], &mut slopes);
        (self.slopes[s], self.scratch) = (slopes, scratch);
        self.join(s, pass.model, length);
    }
}

/// The numbers under a window, window length x positions.
fn windows<'a, T: Real>(window: &Window, image: &[T], space: &'a mut Vec<T>) -> MatRef<'a, T> {
    let (length, positions) = (window.length(), window.positions());
    grow(space, length * positions);
    if window.is_line_by_line() {
        window.gather_places(image, space);
        return matrix(space, positions, length).transpose();
    }
    window.gather(image, space);
    matrix(space, length, positions)
}

vectorised! {
    /// The transpose of [`windows`].
    fn scatter<'a, T>(window: &'a Window, columns: &'a [T], image: &'a mut [T]) -> () {
        image.fill(T::zero());
        window.scatter(columns, image);
    }
}

/// The rows of `order`, `width` numbers each, one after the other.
///
/// They lie anywhere in a large memory, and what a machine fetches ahead by itself ends with the
/// page: every page is touched before the first row is copied, so that all are waited for together.
fn gather_rows<T: Real>(data: &[T], width: usize, order: &[usize], rows: &mut [T]) {
    const TOUCHED: usize = 256;
    let row = |row: &usize| &data[row * width..][..width];
    let mut sum = T::zero();
    for row in order.iter().map(row) {
        row.chunks(TOUCHED).for_each(|numbers| sum += numbers[0]);
    }
    std::hint::black_box(sum);
    for (from, to) in order.iter().map(row).zip(rows.chunks_exact_mut(width)) {
        copy(from, to);
    }
}

vectorised! {
    /// Makes every column the same.
    fn repeat<'a, T>(column: &'a [T], columns: &'a mut [T]) -> () {
        for own in columns.chunks_exact_mut(column.len()) {
            copy(column, own);
        }
    }
}

vectorised! {
    /// Adds up columns as long as `sums`, in their order.
    fn add_columns<'a, T>(columns: &'a [T], sums: &'a mut [T]) -> () {
        let width = sums.len();
        for (tile, sums) in sums.chunks_mut(LANES).enumerate() {
            let mut total = load(sums);
            for column in columns.chunks_exact(width) {
                let x = load(&column[tile * LANES..][..sums.len()]);
                for l in 0..LANES {
                    total[l] += x[l];
                }
            }
            store(sums, total);
        }
    }
}

/// The boundary penalty of columns of pre-activations.
fn beyond<T: Real>(kernel: &Slafs<T>, z: &[T], channels: usize) -> f64 {
    let mut total = 0.0;
    for z in z.chunks_exact(channels) {
        for i in 0..kernel.neurons {
            let t = (z[i] - kernel.mean[i]) * kernel.scale[i];
            total += boundary(t.f64(), kernel.degree).0;
        }
    }
    total
}

/// Adds the derivative of `weight` times [`beyond`] to `d`.
fn through_beyond<T: Real>(kernel: &Slafs<T>, z: &[T], d: &mut [T], channels: usize, weight: f64) {
    for (z, d) in z.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
        for i in 0..kernel.neurons {
            let t = (z[i] - kernel.mean[i]) * kernel.scale[i];
            d[i] += T::of(weight * boundary(t.f64(), kernel.degree).1 * kernel.scale[i].f64());
        }
    }
}

/// `y = function(z)` on the channels from `first` on.
fn values_of<T: Real>(function: Activation, z: &[T], y: &mut [T], channels: usize, first: usize) {
    if function == Activation::Relu {
        return relu(z, y, channels, first);
    }
    if function == Activation::Tanh {
        return tanh::values(z, y, channels, first);
    }
    for (z, y) in z.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
        for (z, y) in z[first..].iter().zip(&mut y[first..]) {
            *y = T::of(function.value(z.f64()));
        }
    }
}

vectorised! {
    fn relu<'a, T>(z: &'a [T], y: &'a mut [T], channels: usize, first: usize) -> () {
        for (z, y) in z.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for (z, y) in z[first..].iter().zip(&mut y[first..]) {
                *y = if *z <= T::zero() { T::zero() } else { *z };
            }
        }
    }
}

/// Turns derivatives by `function(z)` into those by `z`, on the channels from `first` on.
fn slopes_of<T: Real>(function: Activation, z: &[T], d: &mut [T], channels: usize, first: usize) {
    if function == Activation::Relu {
        return through_relu(z, d, channels, first);
    }
    if function == Activation::Tanh {
        return tanh::through(z, d, channels, first);
    }
    for (z, d) in z.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
        for (z, d) in z[first..].iter().zip(&mut d[first..]) {
            *d *= T::of(function.derivative(z.f64()));
        }
    }
}

vectorised! {
    fn through_relu<'a, T>(z: &'a [T], d: &'a mut [T], channels: usize, first: usize) -> () {
        for (z, d) in z.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
            for (z, d) in z[first..].iter().zip(&mut d[first..]) {
                *d = if *z >= T::zero() { *d } else { T::zero() };
            }
        }
    }
}

/// An image with its rows moved down and its columns to the right, and zeros where nothing was.
fn move_image<T: Real>(
    image: &[T],
    moved: &mut [T],
    [height, width, channels]: Shape,
    (down, right): (isize, isize),
) {
    moved.fill(T::zero());
    let ends = |size: usize, by: isize| {
        let by = by.clamp(-(size as isize), size as isize);
        (by.max(0) as usize, (-by).max(0) as usize, size - by.unsigned_abs())
    };
    let ((to_y, from_y, rows), (to_x, from_x, columns)) = (ends(height, down), ends(width, right));
    for y in 0..rows {
        let to = ((to_y + y) * width + to_x) * channels;
        let from = ((from_y + y) * width + from_x) * channels;
        moved[to..][..columns * channels].copy_from_slice(&image[from..][..columns * channels]);
    }
}

/// For every place of a window and every number under it: the place, where the window stands, and
/// the position in the image.
fn under(window: &Window) -> impl Iterator<Item = (usize, usize)> + use<> {
    let ([_, width, _], [rows, columns]) = (window.input(), window.size());
    let ([down, across], [_, places]) = (window.stride(), window.places());
    let count = rows * columns;
    (0..window.positions() * count).map(move |i| {
        let (position, own) = (i / count, i % count);
        let (y, x) = (position / places * down, position % places * across);
        (position, (y + own / columns) * width + x + own % columns)
    })
}

fn average<T: Real>(pool: &Pool, scale: T, image: &[T], y: &mut [T]) {
    let channels = pool.window().input()[2];
    y.fill(T::zero());
    for (position, at) in under(pool.window()) {
        add(
            &mut y[position * channels..][..channels],
            &image[at * channels..][..channels],
            T::one(),
        );
    }
    y.iter_mut().for_each(|y| *y *= scale);
}

/// The transpose of [`average`].
fn spread<T: Real>(pool: &Pool, scale: T, d: &[T], image: &mut [T]) {
    let channels = pool.window().input()[2];
    for (position, at) in under(pool.window()) {
        add(&mut image[at * channels..][..channels], &d[position * channels..][..channels], scale);
    }
}

fn add<T: Real>(to: &mut [T], from: &[T], scale: T) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += scale * *from;
    }
}

vectorised! {
    /// The first of the largest numbers under the window, and where it stands.
    fn maximum<'a, T>(
        window: &'a Window,
        image: &'a [T],
        y: &'a mut [T],
        largest: &'a mut [u32],
    ) -> () {
        let [_, width, channels] = window.input();
        let ([rows, columns], [down, across]) = (window.size(), window.stride());
        let [_, places] = window.places();
        for position in 0..window.positions() {
            let corner = position / places * down * width + position % places * across;
            let mut first = 0;
            while first < channels {
                let n = LANES.min(channels - first);
                let mut best = [T::neg_infinity(); LANES];
                let mut place = [(corner * channels + first) as u32; LANES];
                for row in 0..rows {
                    for column in 0..columns {
                        let at = (corner + row * width + column) * channels + first;
                        let own = load(&image[at..][..n]);
                        for l in 0..LANES {
                            // A NaN is taken, and kept.
                            let more = (own[l] > best[l]) | own[l].is_nan();
                            best[l] = if more { own[l] } else { best[l] };
                            place[l] = if more { at as u32 } else { place[l] };
                        }
                    }
                }
                let own = position * channels + first;
                store(&mut y[own..][..n], best);
                for (l, largest) in largest[own..][..n].iter_mut().enumerate() {
                    *largest = place[l] + l as u32;
                }
                first += LANES;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_in_their_order() {
        for width in [1, 10, 784] {
            let data: Vec<f32> = (0..30 * width).map(|i| i as f32).collect();
            let order = [7, 0, 29, 7, 13];
            let mut rows = vec![-1.0; order.len() * width];
            gather_rows(&data, width, &order, &mut rows);
            let wanted = order.iter().flat_map(|row| &data[row * width..][..width]);
            assert!(rows.iter().eq(wanted));
        }
    }

    #[test]
    fn moved_images_have_zeros_where_nothing_was() {
        let [height, width, channels] = [4_isize, 3, 2];
        let image: Vec<f64> = (1..=24).map(f64::from).collect();
        for (down, right) in (-2..=2).flat_map(|y| (-2..=2).map(move |x| (y, x))) {
            let mut moved = vec![f64::NAN; image.len()];
            move_image(&image, &mut moved, [4, 3, 2], (down, right));
            for (at, number) in moved.into_iter().enumerate() {
                let at = at as isize;
                let (y, x) = (at / (width * channels), at / channels % width);
                let (y, x) = (y - down, x - right);
                let inside = (0..height).contains(&y) && (0..width).contains(&x);
                let from = (y * width + x) * channels + at % channels;
                assert_eq!(number, if inside { image[from as usize] } else { 0.0 });
            }
        }
    }
}
