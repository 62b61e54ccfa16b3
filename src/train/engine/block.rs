//! One block of rows, forwards and backwards through the steps of a model.

use faer::Accum;
use rand::Rng;

use super::loops::{
    add_columns, average, beyond, gather_rows, grow, keep, maximum, move_image, repeat, scatter,
    slopes_of, spread, through_beyond, values_of, windows,
};
use super::{Batch, Pass, convolution};
use crate::network::PoolKind;
use crate::train::kernel::{Columns, Scratch, Slafs};
use crate::train::loss;
use crate::train::model::{Activations, Kind, Model};
use crate::train::objective::below;
use crate::train::options::Loss;
use crate::train::product::{Right, multiply};
use crate::train::real::{Real, matrix, matrix_mut};

/// The buffers of one block of rows; those of a step stand at its index.
#[derive(Clone, Debug)]
pub(super) struct Block<T> {
    pub(super) index: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
    /// Rows of the batch, where they had to be gathered.
    pub(super) inputs: Vec<T>,
    pub(super) targets: Vec<T>,
    /// What each step gives, and the derivatives of the loss by it.
    pub(super) values: Vec<Vec<T>>,
    pub(super) slopes: Vec<Vec<T>>,
    /// Derivatives by weights of convolutions, and by biases.
    pub(super) weights: Vec<Vec<T>>,
    pub(super) biases: Vec<Vec<T>>,
    /// Derivatives by coefficients, or moments.
    pub(super) sums: Vec<Vec<f64>>,
    /// Where the largest number under each window stands.
    pub(super) largest: Vec<Vec<u32>>,
    /// Numbers under all windows of one image, or what stands in their place.
    pub(super) columns: Vec<T>,
    pub(super) scratch: Scratch<T>,
    pub(super) loss: f64,
    /// The block's part of the boundary penalty.
    pub(super) penalty: f64,
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

impl<T: Real> Block<T> {
    /// The numbers that arrive at step `s`, all rows of the block.
    pub(super) fn before<'a>(&'a self, s: usize, batch: Batch<'a, T>) -> &'a [T] {
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
    pub(super) fn take(&mut self, Pass { model, batch, .. }: Pass<T>) {
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

    pub(super) fn forward(&mut self, s: usize, kernel: Option<&Slafs<T>>, pass: Pass<T>) {
        let Pass { parameters, batch, .. } = pass;
        let (step, rows) = (&pass.model.steps[s], self.rows);
        // Out of its place while it is written and others are read.
        let mut after = std::mem::take(&mut self.values[s]);
        grow(&mut after, step.after * rows);
        let own = &mut after[..step.after * rows];
        match &step.kind {
            Kind::Affine { weight, bias } => {
                repeat(&parameters[bias.clone()], own);
                multiply(
                    own,
                    Accum::Add,
                    &parameters[weight.clone()],
                    Right::Columns(self.before(s, batch)),
                    [step.after, step.before],
                );
            }
            Kind::Conv { window, channels, weight, bias } => {
                let mut columns = std::mem::take(&mut self.columns);
                let weights = &parameters[weight.clone()];
                let biases = &parameters[bias.clone()];
                let images = &self.before(s, batch)[..step.before * rows];
                if convolution::serves(window) {
                    convolution::forward(window, (weights, biases), images, own, &mut columns);
                } else {
                    repeat(biases, own);
                    let images = images.chunks_exact(step.before);
                    for (z, image) in own.chunks_exact_mut(step.after).zip(images) {
                        T::product(
                            matrix_mut(z, *channels, window.positions()),
                            Accum::Add,
                            matrix(weights, *channels, window.length()),
                            windows(window, image, &mut columns),
                        );
                    }
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
        let mut drawn = [0; 4096];
        for numbers in numbers.chunks_mut(drawn.len() / 4) {
            let drawn = &mut drawn[..4 * numbers.len()];
            rng.fill_bytes(drawn);
            keep(numbers, drawn, kept, factor);
        }
    }

    pub(super) fn moments(
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
    pub(super) fn loss(&mut self, loss: Loss, Pass { model, batch, .. }: Pass<T>) {
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
    pub(super) fn backward(
        &mut self,
        s: usize,
        kernel: Option<&Slafs<T>>,
        pass: Pass<T>,
        inputs: bool,
    ) {
        let Pass { parameters, batch, .. } = pass;
        let (step, rows) = (&pass.model.steps[s], self.rows);
        let length = step.before * rows;
        match &step.kind {
            Kind::Affine { weight, .. } => {
                self.by_biases(s, step.after, step.after);
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

    /// Derivatives by so many biases of a step that gives `after` numbers a row: one a neuron or one a
    /// channel.
    pub(super) fn by_biases(&mut self, s: usize, after: usize, biases: usize) {
        let sums = &mut self.biases[s];
        sums.clear();
        sums.resize(biases, T::zero());
        add_columns(&self.slopes[s][..after * self.rows], sums);
    }

    /// Adds what reaches the value before step `s` along residuals.
    pub(super) fn join(&mut self, s: usize, model: &Model, length: usize) {
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
        grow(&mut weights, weight.len());
        self.by_biases(s, step.after, bias.len());
        let d = &self.slopes[s][..step.after * rows];
        let images = &self.before(s, batch)[..step.before * rows];
        let serves = convolution::serves(window);
        if serves {
            let weights = (&mut weights[..weight.len()], channels);
            convolution::by_weights(window, weights, images, d, &mut columns);
        } else {
            let pairs = d.chunks_exact(step.after).zip(images.chunks_exact(step.before));
            for (r, (d, image)) in pairs.enumerate() {
                T::product(
                    matrix_mut(&mut weights, channels, length),
                    if r == 0 { Accum::Replace } else { Accum::Add },
                    matrix(d, channels, positions),
                    windows(window, image, &mut columns).transpose(),
                );
            }
        }
        if inputs {
            let (earlier, own) = self.slopes.split_at_mut(s);
            grow(&mut earlier[s - 1], step.before * rows);
            let (before, d) =
                (&mut earlier[s - 1][..step.before * rows], &own[0][..step.after * rows]);
            let own = &parameters[weight.clone()];
            if serves {
                convolution::by_inputs(window, (own, channels), d, before, &mut columns);
            } else {
                let pairs = before.chunks_exact_mut(step.before).zip(d.chunks_exact(step.after));
                for (before, d) in pairs {
                    T::product(
                        matrix_mut(&mut columns, length, positions),
                        Accum::Replace,
                        matrix(own, channels, length).transpose(),
                        matrix(d, channels, positions),
                    );
                    scatter(window, &columns, before);
                }
            }
        }
        (self.columns, self.weights[s]) = (columns, weights);
    }

    pub(super) fn through_slafs(&mut self, s: usize, kernel: &Slafs<T>, pass: Pass<T>, keep: bool) {
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
    pub(super) fn through_moments(
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
