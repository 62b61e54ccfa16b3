//! Layers on images: convolution, pooling, and activations that channels share.
//!
//! An image of `height x width` positions with `channels` numbers each is one vector, row by row and
//! channels last: number `(y width + x) channels + c` belongs to channel `c` at row `y`, column `x`.
//! A convolution is an affine map of the numbers under a window, the same wherever the window
//! stands, so it is computed as a matrix product of its weights with all windows side by side
//! (Chellapilla, Puri and Simard 2006).

use std::ops::AddAssign;

use num_traits::Zero;

use crate::error::{Error, Result};
use crate::network::layer::Layer;
use crate::network::numbers::{Matrix, Vector};

/// The most numbers that one layer on images may take in or give out, and that may lie under its
/// windows at all places together.
const MAX_WIDTH: usize = 1 << 28;

/// Height, width and channels of an image.
pub type Shape = [usize; 3];

/// A window that moves over images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    input: Shape,
    size: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

/// `to = from`, of the same length; a few numbers without a call.
#[inline(always)]
#[allow(clippy::manual_memcpy, reason = "for a few numbers the call costs more than the copy")]
pub(crate) fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    let n = to.len();
    if n >= 16 {
        return to.copy_from_slice(from);
    }
    let from = &from[..n];
    for i in 0..n {
        to[i] = from[i];
    }
}

impl Window {
    /// A window of `size` (rows, columns) that moves over images of shape `input` by `stride`, with
    /// `padding` rows and columns of zeros on every side.
    ///
    /// # Errors
    /// When a dimension, size or stride is 0, a padding is not smaller than the window, the window
    /// is larger than the padded image, or the image or the windows at all places together have more
    /// than 2^28 numbers.
    pub fn new(
        input: Shape,
        size: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Result<Self> {
        check_shape("input", input)?;
        for axis in 0..2 {
            let (n, size, stride, padding) = (input[axis], size[axis], stride[axis], padding[axis]);
            let wrong = |place: &str, found: usize, expected: String| {
                Err(Error::invalid(place, found.to_string(), expected))
            };
            if stride == 0 {
                return wrong("stride", stride, "at least 1".into());
            }
            if padding >= size.max(1) {
                return wrong("padding", padding, format!("less than {size}, the window's size"));
            }
            let padded = n.saturating_add(padding).saturating_add(padding);
            if size == 0 || size > padded {
                return wrong("size", size, format!("1 to {padded}, the padded image"));
            }
            if size > MAX_WIDTH {
                return wrong("size", size, format!("at most {MAX_WIDTH}"));
            }
        }
        let window = Window { input, size, stride, padding };
        let numbers = [size[0], size[1], input[2], window.positions()];
        let product = numbers.into_iter().fold(1_usize, usize::saturating_mul);
        if product > MAX_WIDTH {
            let [rows, columns, channels, places] = numbers;
            let found = format!("{rows} x {columns} x {channels} numbers at {places} places");
            return Err(Error::invalid("windows", found, format!("at most {MAX_WIDTH} together")));
        }
        Ok(window)
    }

    /// Height, width and channels of the images.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Rows and columns of the window.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// How far it moves, by rows and by columns.
    pub fn stride(&self) -> [usize; 2] {
        self.stride
    }

    /// Rows and columns of zeros on every side of the image.
    pub fn padding(&self) -> [usize; 2] {
        self.padding
    }

    /// Rows and columns of the places where the window stands.
    pub fn places(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            (self.input[axis] + 2 * self.padding[axis] - self.size[axis]) / self.stride[axis] + 1
        })
    }

    /// The number of those places.
    pub fn positions(&self) -> usize {
        let [rows, columns] = self.places();
        rows * columns
    }

    /// Numbers of an image.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// Numbers under the window: rows x columns x channels.
    pub fn length(&self) -> usize {
        self.size[0] * self.size[1] * self.input[2]
    }

    /// Calls `visit(offset under the window, offset in the image, count)` for every run of numbers
    /// that lie side by side in both, at position `(row, column)`; the rest is padding.
    fn runs(&self, (row, column): (usize, usize), mut visit: impl FnMut(usize, usize, usize)) {
        let [_, width, channels] = self.input;
        let left = column * self.stride[1];
        let (first, until) = self.inside(left);
        if until == first {
            return;
        }
        let x = left + first - self.padding[1];
        for ky in 0..self.size[0] {
            if let Some(y) = self.line(row, ky) {
                visit(
                    (ky * self.size[1] + first) * channels,
                    (y * width + x) * channels,
                    (until - first) * channels,
                );
            }
        }
    }

    /// The numbers under the window, place by place: one column of [`Window::length`] numbers for each.
    pub(crate) fn gather<T: Copy + Zero>(&self, image: &[T], columns: &mut [T]) {
        let [_, width, channels] = self.input;
        let ([rows, across], [_, padding]) = (self.places(), self.padding);
        let (length, run) = (self.length(), self.size[1] * channels);
        for (row, ky) in (0..rows).flat_map(|row| (0..self.size[0]).map(move |ky| (row, ky))) {
            let line =
                self.line(row, ky).map(|y| &image[y * width * channels..][..width * channels]);
            for column in 0..across {
                let own = &mut columns[(row * across + column) * length + ky * run..][..run];
                let Some(line) = line else {
                    own.fill(T::zero());
                    continue;
                };
                let left = column * self.stride[1];
                if left >= padding && left + self.size[1] <= padding + width {
                    copy(&line[(left - padding) * channels..][..run], own);
                } else {
                    let (first, until) = self.inside(left);
                    own.fill(T::zero());
                    let inside = &line[(left + first - padding) * channels..];
                    let own = &mut own[first * channels..until * channels];
                    own.copy_from_slice(&inside[..own.len()]);
                }
            }
        }
    }

    /// Whether the numbers at one place under the window, from the places of one row, lie side by
    /// side in the image: then [`Window::gather_places`] is the quicker way.
    pub(crate) fn is_line_by_line(&self) -> bool {
        self.input[2] == 1 && self.stride[1] == 1
    }

    /// The transpose of [`Window::gather`], where [`Window::is_line_by_line`]: for every number under
    /// the window those of all places.
    pub(crate) fn gather_places<T: Copy + Zero>(&self, image: &[T], numbers: &mut [T]) {
        let [_, width, _] = self.input;
        let ([rows, across], [_, padding]) = (self.places(), self.padding);
        for under in 0..self.length() {
            let (ky, kx) = (under / self.size[1], under % self.size[1]);
            let first = padding.saturating_sub(kx).min(across);
            let until = (width + padding).saturating_sub(kx).min(across).max(first);
            for row in 0..rows {
                let own = &mut numbers[(under * rows + row) * across..][..across];
                match self.line(row, ky) {
                    Some(y) if until > first => {
                        own[..first].fill(T::zero());
                        own[until..].fill(T::zero());
                        let from = &image[y * width + first + kx - padding..][..until - first];
                        own[first..until].copy_from_slice(from);
                    }
                    _ => own.fill(T::zero()),
                }
            }
        }
    }

    /// The row of the image under row `ky` of a window in row `row` of its places, if not padding.
    #[inline(always)]
    fn line(&self, row: usize, ky: usize) -> Option<usize> {
        let y = (row * self.stride[0] + ky).checked_sub(self.padding[0])?;
        (y < self.input[0]).then_some(y)
    }

    /// Columns `first..until` of a window at `left` of the padded image that are not padding.
    #[inline(always)]
    fn inside(&self, left: usize) -> (usize, usize) {
        let end = (self.input[1] + self.padding[1]).saturating_sub(left);
        let first = self.padding[1].saturating_sub(left);
        (first, self.size[1].min(end).max(first))
    }

    /// The transpose of [`Window::gather`]: adds every number to where it came from. Inlined where
    /// wide vectors are to be had.
    #[inline(always)]
    pub(crate) fn scatter<T: Copy + AddAssign>(&self, columns: &[T], image: &mut [T]) {
        let [_, width, channels] = self.input;
        let ([rows, across], [_, padding]) = (self.places(), self.padding);
        let (length, run) = (self.length(), self.size[1] * channels);
        for (row, ky) in (0..rows).flat_map(|row| (0..self.size[0]).map(move |ky| (row, ky))) {
            let Some(y) = self.line(row, ky) else { continue };
            let line = &mut image[y * width * channels..][..width * channels];
            for column in 0..across {
                let left = column * self.stride[1];
                let (first, until) = self.inside(left);
                let own = &columns[(row * across + column) * length + ky * run..][..run];
                let own = &own[first * channels..until * channels];
                if own.is_empty() {
                    continue;
                }
                let line = &mut line[(left + first - padding) * channels..][..own.len()];
                for i in 0..own.len() {
                    line[i] += own[i];
                }
            }
        }
    }

    /// Where the numbers under the window come from at every place: an index into the image, or
    /// `None` for padding.
    pub(crate) fn sources(&self) -> Vec<Vec<Option<usize>>> {
        let [rows, across] = self.places();
        let place = |position: usize| {
            let mut sources = vec![None; self.length()];
            self.runs((position / across, position % across), |under, at, count| {
                for i in 0..count {
                    sources[under + i] = Some(at + i);
                }
            });
            sources
        };
        (0..rows * across).map(place).collect()
    }
}

/// # Errors
/// When a dimension is 0 or an image has more than 2^28 numbers.
pub(crate) fn check_shape(place: &str, shape: Shape) -> Result<usize> {
    let numbers = shape.iter().fold(1_usize, |product, n| product.saturating_mul(*n));
    if numbers == 0 || numbers > MAX_WIDTH {
        let found = format!("{} x {} x {}", shape[0], shape[1], shape[2]);
        let expected = "height, width and channels from 1, with a product of at most 2^28";
        return Err(Error::invalid(place, found, expected));
    }
    Ok(numbers)
}

/// A convolution: at every place of its window, `z = W y + b` of the numbers `y` under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    window: Window,
    weight: Matrix,
    bias: Vector,
}

impl Conv {
    /// A convolution from its window, `weight` (output channels, rows x columns x input channels of
    /// the window, channels last) and `bias` (output channels).
    ///
    /// # Errors
    /// When the shapes disagree, a number is not finite, or the layer gives out more than 2^28 numbers.
    pub fn new(window: Window, weight: impl Into<Matrix>, bias: impl Into<Vector>) -> Result<Self> {
        let (weight, bias) = (weight.into(), bias.into());
        if weight.is_empty() || weight.columns() != window.length() {
            return Err(Error::invalid(
                "weight",
                format!("{} by {}", weight.rows(), weight.columns()),
                format!(
                    "{} columns, one for each number under the window, and a row for each channel",
                    window.length()
                ),
            ));
        }
        if bias.len() != weight.rows() {
            return Err(Error::invalid(
                "bias",
                format!("{} entries", bias.len()),
                format!("{}, one for each row of weight", weight.rows()),
            ));
        }
        weight.check_finite("weight")?;
        bias.check_finite("bias")?;
        let [height, width] = window.places();
        check_shape("output", [height, width, weight.rows()])?;
        Ok(Conv { window, weight, bias })
    }

    /// The window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The weights: (output channels, numbers under the window).
    pub fn weight(&self) -> &Matrix {
        &self.weight
    }

    /// The bias, one entry an output channel.
    pub fn bias(&self) -> &Vector {
        &self.bias
    }

    /// Height, width and channels of what comes out.
    pub fn output(&self) -> Shape {
        let [height, width] = self.window.places();
        [height, width, self.weight.rows()]
    }
}

/// A pooling layer: one number for the window's numbers of every channel, at every place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    window: Window,
    kind: PoolKind,
}

/// What a [`Pool`] makes of the numbers of a channel under its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PoolKind {
    /// Their sum times this number: the reciprocal of their count, as f64, for a mean.
    Average(f64),
    /// The largest.
    Max,
}

impl Pool {
    /// The mean under a window, with the reciprocal of its size rounded once to f64.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn average(window: Window) -> Result<Self> {
        let [rows, columns] = window.size();
        Pool::new(window, PoolKind::Average(1.0 / (rows * columns) as f64))
    }

    /// A pooling layer.
    ///
    /// # Errors
    /// When the window has padding, or the factor of a mean is not finite.
    pub fn new(window: Window, kind: PoolKind) -> Result<Self> {
        if window.padding() != [0, 0] {
            let found = format!("{:?}", window.padding());
            return Err(Error::invalid("padding", found, "none under a pooling window"));
        }
        if let PoolKind::Average(scale) = kind
            && !scale.is_finite()
        {
            return Err(Error::invalid("scale", scale.to_string(), "a finite number"));
        }
        Ok(Pool { window, kind })
    }

    /// The window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// What is made of the numbers under it.
    pub fn kind(&self) -> PoolKind {
        self.kind
    }

    /// Height, width and channels of what comes out.
    pub fn output(&self) -> Shape {
        let [height, width] = self.window.places();
        [height, width, self.window.input()[2]]
    }
}

/// An activation layer on channels, the same at every position.
#[derive(Clone, Debug, PartialEq)]
pub struct Channels {
    positions: usize,
    channels: usize,
    layer: Box<Layer>,
}

impl Channels {
    /// The activation layer `layer` (a SLAF, an activation or a mixture) on `channels` neurons, at
    /// each of `positions` positions.
    ///
    /// # Errors
    /// When it is another layer, does not serve so many neurons, or a count is 0 or too large.
    pub fn new(positions: usize, channels: usize, layer: Layer) -> Result<Self> {
        check_shape("channels", [positions, 1, channels])?;
        if !matches!(layer, Layer::Slaf(_) | Layer::Activation(_) | Layer::Mixed(_)) {
            let expected = "a slaf, an activation or a mixed layer";
            return Err(Error::invalid("layer", format!("a layer {}", layer.kind()), expected));
        }
        layer.width_after(channels).map_err(|e| e.within("layer"))?;
        Ok(Channels { positions, channels, layer: Box::new(layer) })
    }

    /// The number of positions.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// The number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// What the channels compute.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_whose_numbers_no_memory_holds_are_refused() {
        let new = |input, size, padding| Window::new(input, size, [1, 1], padding);
        assert!(new([28, 28, 1], [5, 5], [4, 4]).is_ok());
        // The product of the sizes is 26 modulo 2^64.
        let wrapped = [3_062_868_337, 2_007_567_422];
        for (input, size, padding) in [
            ([1, 1, 1], [1000, 1000], [999, 999]),
            ([1, 1, 3], wrapped, [wrapped[0] - 1, wrapped[1] - 1]),
            ([1, 1, 1], [usize::MAX, 1], [usize::MAX - 1, 0]),
            ([1 << 14, 1 << 14, 1], [2, 1], [0, 0]),
        ] {
            let error = new(input, size, padding).map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains("at most 268435456")), "{error:?}");
        }
    }
}
