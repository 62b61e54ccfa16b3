//! Values of a network: in f64 for a batch, exactly at a rational point, or enclosed.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2, Axis};
use num_rational::BigRational;
use num_traits::Zero;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::network::exact::{Dyadics, Enclosures, ExactNetwork, Rationals};
use crate::network::image::{Conv, Pool, PoolKind};
use crate::network::layer::{Affine, Basis, Family, Layer, Part, Slaf};
use crate::network::numbers::{Matrix, Vector};
use crate::network::{Head, Network};
use crate::numeric::Dyadic;
use crate::numeric::interval::Enclosure;

/// Fractional bits beyond which an enclosure is given up.
const ENCLOSURE_BITS: u32 = 1 << 16;

/// The most numbers of one layer that a thread of [`Network::forward`] holds at once.
const FORWARD_NUMBERS: usize = 1 << 23;

impl Network {
    /// The outputs of the last layer, before the head, for a batch: (rows, inputs) to (rows, outputs).
    ///
    /// Rounded f64 arithmetic in the network's own bases. Cost: two flops a weight and row, and
    /// about two (monomial) to five (normalised) a coefficient.
    ///
    /// # Errors
    /// When the number of columns is not the number of inputs.
    pub fn forward(&self, inputs: ArrayView2<f64>) -> Result<Array2<f64>> {
        if inputs.ncols() != self.inputs.len() {
            return Err(Error::invalid(
                "inputs",
                format!("{} columns", inputs.ncols()),
                format!("{}, one for each input of the network", self.inputs.len()),
            ));
        }
        // The layers between are wide where there are images, so that not all rows go at once; how
        // many do depends on the network alone, and so do the values.
        let widest = self.widths().into_iter().max().unwrap_or(1).max(1);
        let rows = (FORWARD_NUMBERS / widest).max(1);
        let mut outputs = Array2::zeros((inputs.nrows(), self.outputs.len()));
        let parts = inputs.axis_chunks_iter(Axis(0), rows);
        let parts: Vec<_> = parts.zip(outputs.axis_chunks_iter_mut(Axis(0), rows)).collect();
        parts.into_par_iter().for_each(|(inputs, mut outputs)| {
            let inputs = inputs.as_standard_layout().into_owned();
            outputs
                .assign(&self.layers.iter().fold(inputs, |values, layer| forward(layer, values)));
        });
        Ok(outputs)
    }

    /// As [`Network::forward`], with the head applied: class probabilities, or the outputs themselves.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn predict(&self, inputs: ArrayView2<f64>) -> Result<Array2<f64>> {
        let mut values = self.forward(inputs)?;
        self.head.apply(&mut values);
        Ok(values)
    }

    /// The exact outputs before the head, for SLAFs and piecewise-polynomial activations.
    ///
    /// # Errors
    /// When the number of inputs is wrong or an activation has no rational values.
    pub fn forward_exact(&self, inputs: &[BigRational]) -> Result<Vec<BigRational>> {
        let network = ExactNetwork::new(self);
        // Dyadic arithmetic needs no greatest common divisors, but knows no kinks.
        let dyadic: Option<Vec<_>> = inputs.iter().map(Dyadic::from_rational).collect();
        if let Some(dyadic) = dyadic
            && let Ok(over) = network.over(&Dyadics)
            && let Ok(outputs) = over.evaluate(&Dyadics, dyadic)
        {
            return Ok(outputs.iter().map(Dyadic::to_rational).collect());
        }
        network.evaluate(&Rationals, inputs.to_vec())
    }

    /// Rational intervals of at most `width` that contain the exact outputs before the head.
    ///
    /// The precision is doubled until the width is met.
    ///
    /// # Errors
    /// When the number of inputs is wrong, `width` is not positive, or the width is not met with
    /// 65,536 fractional bits.
    pub fn forward_enclosure(
        &self,
        inputs: &[BigRational],
        width: &BigRational,
    ) -> Result<Vec<Enclosure>> {
        if *width <= BigRational::zero() {
            return Err(Error::invalid("width", width.to_string(), "a positive width"));
        }
        let network = ExactNetwork::new(self);
        let mut bits = 64;
        loop {
            let points = inputs.iter().cloned().map(Enclosure::point).collect();
            let outputs = network.evaluate(&Enclosures { bits }, points)?;
            if outputs.iter().all(|y| y.width() <= *width) {
                return Ok(outputs);
            }
            if bits >= ENCLOSURE_BITS {
                return Err(Error::invalid(
                    "width",
                    "a width that is not reached with 65,536 fractional bits",
                    "a larger width",
                ));
            }
            bits *= 2;
        }
    }
}

impl Head {
    /// Applies the head in place to outputs of shape (rows, outputs).
    pub fn apply(self, values: &mut Array2<f64>) {
        match self {
            Head::Identity => {}
            Head::Logistic => values.mapv_inplace(logistic),
            Head::Softmax => {
                for mut row in values.rows_mut() {
                    // Subtracting the largest leaves the quotients as they are and cannot overflow.
                    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    row.mapv_inplace(|y| (y - largest).exp());
                    let sum = row.sum();
                    row.mapv_inplace(|y| y / sum);
                }
            }
        }
    }
}

fn logistic(y: f64) -> f64 {
    if y >= 0.0 {
        1.0 / (1.0 + (-y).exp())
    } else {
        let e = y.exp();
        e / (1.0 + e)
    }
}

fn forward(layer: &Layer, mut values: Array2<f64>) -> Array2<f64> {
    match layer {
        Layer::Affine(affine) => return forward_affine(affine, &values),
        Layer::Conv(conv) => return forward_conv(conv, &values),
        Layer::Pool(pool) => return forward_pool(pool, &values),
        Layer::Slaf(slaf) => {
            let slaf = FloatSlaf::new(slaf);
            for mut row in values.rows_mut() {
                row.iter_mut().enumerate().for_each(|(i, z)| *z = slaf.value(i, *z));
            }
        }
        Layer::Activation(function) => values.mapv_inplace(|z| function.value(z)),
        Layer::Mixed(mixed) => {
            for group in mixed.groups() {
                match &group.part {
                    Part::Activation(function) => {
                        for &i in &group.neurons {
                            values.column_mut(i).mapv_inplace(|z| function.value(z));
                        }
                    }
                    Part::Slaf(slaf) => {
                        let slaf = FloatSlaf::new(slaf);
                        for mut row in values.rows_mut() {
                            for (place, &i) in group.neurons.iter().enumerate() {
                                row[i] = slaf.value(place, row[i]);
                            }
                        }
                    }
                }
            }
        }
        Layer::Channels(channels) => {
            // Channels lie last, so that every position is a row of its own.
            let (rows, shape) =
                (values.nrows(), (values.len() / channels.channels(), channels.channels()));
            let width = values.ncols();
            let numbers = values.into_raw_vec_and_offset().0;
            let positions = Array2::from_shape_vec(shape, numbers).unwrap_or_default();
            let numbers = forward(channels.layer(), positions).into_raw_vec_and_offset().0;
            return Array2::from_shape_vec((rows, width), numbers).unwrap_or_default();
        }
        Layer::Flatten(_) => {}
        Layer::Residual(layers) => {
            let branch = layers.iter().fold(values.clone(), |values, layer| forward(layer, values));
            values += &branch;
        }
    }
    values
}

fn forward_conv(conv: &Conv, inputs: &Array2<f64>) -> Array2<f64> {
    let (weight, bias) = (conv.weight().to_f64(), conv.bias().to_f64());
    let (weight, window) = (weight.as_standard_layout(), conv.window());
    let (positions, channels, length) = (window.positions(), bias.len(), window.length());
    let mut outputs = Array2::zeros((inputs.nrows(), positions * channels));
    let mut columns = vec![0.0; positions * length];
    for (image, mut output) in inputs.rows().into_iter().zip(outputs.rows_mut()) {
        // Arrays in standard layout are always slices.
        let (Some(image), Some(y), Some(w)) =
            (image.as_slice(), output.as_slice_mut(), weight.as_slice())
        else {
            continue;
        };
        window.gather(image, &mut columns);
        y.chunks_exact_mut(channels)
            .for_each(|y| y.iter_mut().zip(&*bias).for_each(|(y, b)| *y = *b));
        matmul(
            MatMut::from_column_major_slice_mut(y, channels, positions),
            Accum::Add,
            MatRef::from_row_major_slice(w, channels, length),
            MatRef::from_column_major_slice(&columns, length, positions),
            1.0,
            Par::Seq,
        );
    }
    outputs
}

fn forward_pool(pool: &Pool, inputs: &Array2<f64>) -> Array2<f64> {
    let window = pool.window();
    let (positions, channels) = (window.positions(), window.input()[2]);
    let mut outputs = Array2::zeros((inputs.nrows(), positions * channels));
    let mut columns = vec![0.0; positions * window.length()];
    for (image, mut output) in inputs.rows().into_iter().zip(outputs.rows_mut()) {
        let (Some(image), Some(y)) = (image.as_slice(), output.as_slice_mut()) else { continue };
        window.gather(image, &mut columns);
        for (y, under) in y.chunks_exact_mut(channels).zip(columns.chunks_exact(window.length())) {
            y.copy_from_slice(&under[..channels]);
            for own in under[channels..].chunks_exact(channels) {
                for (y, x) in y.iter_mut().zip(own) {
                    *y = match pool.kind() {
                        PoolKind::Average(_) => *y + x,
                        // A NaN is taken, and kept.
                        PoolKind::Max if *x <= *y || y.is_nan() => *y,
                        PoolKind::Max => *x,
                    };
                }
            }
            if let PoolKind::Average(scale) = pool.kind() {
                y.iter_mut().for_each(|y| *y *= scale);
            }
        }
    }
    outputs
}

fn forward_affine(affine: &Affine, inputs: &Array2<f64>) -> Array2<f64> {
    let (weight, bias) = (affine.weight().to_f64(), affine.bias().to_f64());
    let (rows, n, m) = (inputs.nrows(), weight.ncols(), weight.nrows());
    let mut outputs = Array2::<f64>::zeros((rows, m));
    for mut row in outputs.rows_mut() {
        row.assign(&*bias);
    }
    let (weight, inputs) = (weight.as_standard_layout(), inputs.as_standard_layout());
    let slices = (outputs.as_slice_mut(), inputs.as_slice(), weight.as_slice());
    // Arrays in standard layout are always slices.
    if let (Some(y), Some(x), Some(w)) = slices {
        matmul(
            MatMut::from_row_major_slice_mut(y, rows, m),
            Accum::Add,
            MatRef::from_row_major_slice(x, rows, n),
            MatRef::from_row_major_slice(w, m, n).transpose(),
            1.0,
            Par::Seq,
        );
    }
    outputs
}

/// A SLAF with its numbers in f64, ready for many evaluations.
struct FloatSlaf {
    /// Coefficients of one row, and of all in their order.
    length: usize,
    coefficients: Vec<f64>,
    basis: FloatBasis,
}

enum FloatBasis {
    Monomial,
    Normalised { mean: Vec<f64>, scale: Vec<f64> },
    Orthogonal { family: Family, centre: Vec<f64>, scale: Vec<f64> },
}

impl FloatSlaf {
    fn new(slaf: &Slaf) -> Self {
        let matrix = |matrix: &Matrix| matrix.to_f64().iter().copied().collect();
        let vector = |vector: &Vector| vector.to_f64().to_vec();
        let basis = match slaf.basis() {
            Basis::Monomial => FloatBasis::Monomial,
            Basis::NormalisedMonomial { mean, scale } => {
                FloatBasis::Normalised { mean: matrix(mean), scale: matrix(scale) }
            }
            Basis::Orthogonal { family, centre, scale } => FloatBasis::Orthogonal {
                family: *family,
                centre: vector(centre),
                scale: vector(scale),
            },
        };
        let length = slaf.degree() + 1;
        FloatSlaf { length, coefficients: matrix(slaf.coefficients()), basis }
    }

    /// The activation of neuron `i` at the pre-activation `z`.
    fn value(&self, i: usize, z: f64) -> f64 {
        let degree = self.length - 1;
        let row = if self.coefficients.len() == self.length { 0 } else { i };
        let c = &self.coefficients[row * self.length..][..self.length];
        match &self.basis {
            FloatBasis::Monomial => c.iter().rev().fold(0.0, |sum, c| sum * z + c),
            FloatBasis::Normalised { mean, scale } => {
                let own = mean[i * degree..][..degree].iter().zip(&scale[i * degree..][..degree]);
                let mut power = 1.0;
                let mut sum = c[0];
                for (c, (mean, scale)) in c[1..].iter().zip(own) {
                    power *= z;
                    sum += c * ((power - mean) * scale);
                }
                sum
            }
            FloatBasis::Orthogonal { family, centre, scale } => {
                orthogonal(*family, c, (z - centre[i]) * scale[i])
            }
        }
    }
}

/// `sum_k c_k e_k(t)` by the forward recurrence, which is stable inside the interval.
fn orthogonal(family: Family, c: &[f64], t: f64) -> f64 {
    let (mut previous, mut current) = (1.0, f64::from(family.first()) * t);
    let mut sum = c[0];
    for k in 1..c.len() {
        sum += c[k] * current;
        let ((a, b), divisor) = family.recurrence(k as u32);
        let next = (f64::from(a) * t * current - f64::from(b) * previous) / f64::from(divisor);
        previous = std::mem::replace(&mut current, next);
    }
    sum
}
