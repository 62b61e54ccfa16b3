//! Convolutions whose window moves by one place at a time, read from the image itself.
//!
//! Side by side the numbers under all windows are many times those of the image, and output channels
//! are few for a general matrix product. Here a tile of sums, places by channels, stays in registers
//! while it goes through the numbers under its windows, in the same order on every machine.

use pulp::{Simd, WithSimd};

use super::loops::grow;
use crate::network::Window;
use crate::network::image::Shape;
use crate::train::real::{Real, widest};

/// Numbers behind an image that the last tile may read without using them.
const SPARE: usize = 16;
/// The most numbers of two vectors.
const WIDEST: usize = 32;

/// Whether this is the quicker way for a window on this machine.
pub(super) fn serves(window: &Window) -> bool {
    struct HasVectors;
    impl WithSimd for HasVectors {
        type Output = bool;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> bool {
            !S::IS_SCALAR
        }
    }
    // Backwards it goes through as many places as the image has, whatever few come out.
    let [height, width, _] = window.input();
    window.stride() == [1, 1] && height * width <= 4 * window.positions() && widest(HasVectors)
}

/// `z = W y + b` at every place of a window on `images`, into `z` (channels x places x images).
pub(super) fn forward<T: Real>(
    window: &Window,
    (weight, bias): (&[T], &[T]),
    images: &[T],
    z: &mut [T],
    space: &mut Vec<T>,
) {
    let [height, width, channels] = window.input();
    let padded = Padded { image: [height, width, channels], margin: window.padding() };
    let channels = bias.len();
    let weights = Weights { numbers: weight, turned: false };
    widest(Slide { images, padded, size: window.size(), weights, bias, channels, z, space });
}

/// The derivative by the images, from `d`, that by what [`forward`] gives: the windows of the
/// transposed map, whose weights stand the other way round.
pub(super) fn by_inputs<T: Real>(
    window: &Window,
    (weight, channels): (&[T], usize),
    d: &[T],
    images: &mut [T],
    space: &mut Vec<T>,
) {
    let ([rows, across], size) = (window.places(), window.size());
    let margin = [0, 1].map(|axis| size[axis] - 1 - window.padding()[axis]);
    let padded = Padded { image: [rows, across, channels], margin };
    let channels = window.input()[2];
    let weights = Weights { numbers: weight, turned: true };
    widest(Slide { images: d, padded, size, weights, bias: &[], channels, z: images, space });
}

/// The derivative by the weights, into `weight` (channels x numbers under the window), from `d`,
/// that by what [`forward`] gives.
pub(super) fn by_weights<T: Real>(
    window: &Window,
    (weight, channels): (&mut [T], usize),
    images: &[T],
    d: &[T],
    space: &mut Vec<T>,
) {
    let padded = Padded { image: window.input(), margin: window.padding() };
    widest(ByWeights { images, padded, size: window.size(), d, channels, weight, space });
}

/// Images with zeros on every side.
#[derive(Clone, Copy)]
struct Padded {
    image: Shape,
    margin: [usize; 2],
}

impl Padded {
    fn size(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.image[axis] + 2 * self.margin[axis])
    }

    fn length(&self) -> usize {
        let [rows, columns] = self.size();
        rows * columns * self.image[2] + SPARE
    }

    /// Puts an image between the zeros, channel by channel.
    fn place_channels<T: Real>(&self, image: &[T], padded: &mut [T]) {
        let ([_, width, channels], [down, right]) = (self.image, self.margin);
        let [rows, columns] = self.size();
        for (y, line) in image.chunks_exact(width * channels).enumerate() {
            let at = (y + down) * columns + right;
            // Four places are written side by side.
            let fours = line.chunks_exact(4 * channels);
            let (rest, first) = (fours.remainder(), width / 4 * 4);
            for (x, four) in fours.enumerate() {
                let (left, right) = four.split_at(2 * channels);
                let (pairs, last) = (left.split_at(channels), right.split_at(channels));
                let own = [pairs.0, pairs.1, last.0, last.1];
                for c in 0..channels {
                    let to = &mut padded[c * rows * columns + at + 4 * x..][..4];
                    for p in 0..4 {
                        to[p] = own[p][c];
                    }
                }
            }
            for (x, own) in rest.chunks_exact(channels).enumerate() {
                for (c, number) in own.iter().enumerate() {
                    padded[c * rows * columns + at + first + x] = *number;
                }
            }
        }
    }

    /// Puts an image between the zeros as it is, channels last.
    fn place<T: Real>(&self, image: &[T], padded: &mut [T]) {
        let ([_, width, channels], [down, right]) = (self.image, self.margin);
        let columns = self.size()[1];
        for (y, line) in image.chunks_exact(width * channels).enumerate() {
            let at = ((y + down) * columns + right) * channels;
            padded[at..][..line.len()].copy_from_slice(line);
        }
    }
}

/// The weights of a convolution (channels x numbers under the window).
#[derive(Clone, Copy)]
struct Weights<'a, T> {
    numbers: &'a [T],
    /// From what goes out to what comes in, with the window the other way round.
    turned: bool,
}

impl<T: Real> Weights<'_, T> {
    /// Fills `packed`: for every `block` channels of `outputs`, and every number under the window
    /// channel by channel, the weights of those channels, zeros after the last.
    fn pack(self, size: [usize; 2], [inputs, outputs]: [usize; 2], block: usize, packed: &mut [T]) {
        let [rows, columns] = size;
        let mut packed = packed.chunks_exact_mut(block);
        for first in (0..outputs).step_by(block) {
            let own = block.min(outputs - first);
            for input in 0..inputs {
                for at in 0..rows * columns {
                    let (start, step) = match self.turned {
                        false => ((at * inputs + input) * outputs + first, 1),
                        true => {
                            let at = rows * columns - 1 - at;
                            ((at * outputs + first) * inputs + input, inputs)
                        }
                    };
                    let Some(to) = packed.next() else { return };
                    let from = self.numbers[start..].iter().step_by(step);
                    to[..own].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    to[own..].fill(T::zero());
                }
            }
        }
    }
}

/// Does `$body` for every `$i` below the constant `$n`, at most 14, without a loop: only then do
/// arrays that it indexes stay in registers.
macro_rules! unrolled {
    ($i:ident < $n:ident => $body:block) => {
        unrolled!($i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    ($i:ident, $n:ident, $body:block, $($at:literal)*) => {
        $(if $at < $n {
            let $i: usize = $at;
            $body
        })*
    };
}

/// Whether tiles of `a` numbers cover `n` at least as well as those of `b`.
#[inline(always)]
fn covers(n: usize, a: usize, b: usize) -> bool {
    n.next_multiple_of(a) <= n.next_multiple_of(b)
}

/// The weights at every place of a window that moves over padded images.
struct Slide<'a, T> {
    images: &'a [T],
    padded: Padded,
    size: [usize; 2],
    weights: Weights<'a, T>,
    /// Zeros where it is empty.
    bias: &'a [T],
    channels: usize,
    z: &'a mut [T],
    space: &'a mut Vec<T>,
}

impl<T: Real> WithSimd for Slide<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let across = self.padded.size()[1] + 1 - self.size[1];
        match (S::REGISTER_COUNT >= 32, self.channels > T::lanes::<S>(), covers(across, 14, 8)) {
            (true, true, true) => self.tiles::<S, 2, 14>(simd),
            (true, true, false) => self.tiles::<S, 2, 8>(simd),
            (true, false, true) => self.tiles::<S, 1, 14>(simd),
            (true, false, false) => self.tiles::<S, 1, 8>(simd),
            (false, true, _) => self.tiles::<S, 2, 6>(simd),
            (false, false, _) => self.tiles::<S, 1, 6>(simd),
        }
    }
}

impl<T: Real> Slide<'_, T> {
    /// In tiles of `V` vectors of channels at `P` places of a row.
    #[inline(always)]
    fn tiles<S: Simd, const V: usize, const P: usize>(self, simd: S) {
        let Slide { images, padded, size, weights, bias, channels, z, space } = self;
        let ([rows, columns], [_, _, inputs]) = (size, padded.image);
        let [height, width] = padded.size();
        let (down, across) = (height + 1 - rows, width + 1 - columns);
        let (block, length) = (V * T::lanes::<S>(), rows * columns * inputs);
        let all = channels.next_multiple_of(block);
        grow(space, all * (length + 1) + padded.length());
        let (packed, rest) = space.split_at_mut(all * length);
        let (start, image) = rest.split_at_mut(all);
        weights.pack(size, [inputs, channels], block, packed);
        start.fill(T::zero());
        start[..bias.len()].copy_from_slice(bias);
        let image = &mut image[..padded.length()];
        image.fill(T::zero());
        let numbers: usize = padded.image.iter().product();
        let pairs = images.chunks_exact(numbers).zip(z.chunks_exact_mut(down * across * channels));
        for (own, z) in pairs {
            padded.place_channels(own, image);
            let blocks = T::vectors::<S>(packed).chunks_exact(length * V);
            for (b, packed) in blocks.enumerate() {
                let first = b * block;
                let Some(start) = T::vectors::<S>(start)[b * V..].first_chunk::<V>() else { break };
                let valid = block.min(channels - first);
                for y in 0..down {
                    for x in (0..across).step_by(P) {
                        // The last tile of a row goes over places of the one before once more.
                        let x = x.min(across.saturating_sub(P));
                        let mut sums = [[T::splat(simd, T::zero()); V]; P];
                        unrolled!(p < P => {
                            sums[p] = *start;
                        });
                        let mut weights = packed.as_chunks::<V>().0.iter();
                        for c in 0..inputs {
                            for ky in 0..rows {
                                let at = (c * height + y + ky) * width + x;
                                let line = &image[at..][..columns - 1 + P];
                                for kx in 0..columns {
                                    let (Some(numbers), Some(weights)) =
                                        (line[kx..].first_chunk::<P>(), weights.next())
                                    else {
                                        break;
                                    };
                                    unrolled!(p < P => {
                                        let number = T::splat(simd, numbers[p]);
                                        for v in 0..V {
                                            sums[p][v] =
                                                T::fused(simd, weights[v], number, sums[p][v]);
                                        }
                                    });
                                }
                            }
                        }
                        unrolled!(p < P => {
                            if x + p < across {
                                let at = (y * across + x + p) * channels + first;
                                if valid == block {
                                    let to = T::vectors_mut::<S>(&mut z[at..]).first_chunk_mut::<V>();
                                    to.into_iter().for_each(|to| *to = sums[p]);
                                } else {
                                    let mut own = [T::zero(); WIDEST];
                                    let to = T::vectors_mut::<S>(&mut own).first_chunk_mut::<V>();
                                    to.into_iter().for_each(|to| *to = sums[p]);
                                    let to = &mut z[at..][..valid];
                                    to.copy_from_slice(&own[..valid]);
                                }
                            }
                        });
                    }
                }
            }
        }
    }
}

/// The derivative by the weights of a window that moves over padded images.
struct ByWeights<'a, T> {
    images: &'a [T],
    padded: Padded,
    size: [usize; 2],
    d: &'a [T],
    channels: usize,
    weight: &'a mut [T],
    space: &'a mut Vec<T>,
}

impl<T: Real> WithSimd for ByWeights<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let run = self.size[1] * self.padded.image[2];
        match (S::REGISTER_COUNT >= 32, self.channels > T::lanes::<S>(), covers(run, 10, 5)) {
            (true, true, true) => self.tiles::<S, 2, 10>(simd),
            (true, true, false) => self.tiles::<S, 2, 5>(simd),
            (true, false, true) => self.tiles::<S, 1, 10>(simd),
            (true, false, false) => self.tiles::<S, 1, 5>(simd),
            (false, true, _) => self.tiles::<S, 2, 6>(simd),
            (false, false, _) => self.tiles::<S, 1, 6>(simd),
        }
    }
}

impl<T: Real> ByWeights<'_, T> {
    /// In tiles of `V` vectors of channels by `Q` numbers side by side under the window.
    #[inline(always)]
    fn tiles<S: Simd, const V: usize, const Q: usize>(self, simd: S) {
        let ByWeights { images, padded, size, d, channels, weight, space } = self;
        let ([rows, columns], [_, _, inputs]) = (size, padded.image);
        let [height, width] = padded.size();
        let (down, across) = (height + 1 - rows, width + 1 - columns);
        let (block, run) = (V * T::lanes::<S>(), columns * inputs);
        let all = channels.next_multiple_of(block);
        let places = down * across;
        grow(space, all * (rows * run + places) + padded.length());
        let (totals, rest) = space.split_at_mut(all * rows * run);
        let (spread, image) = rest.split_at_mut(all * places);
        totals.fill(T::zero());
        if all > channels {
            spread.fill(T::zero());
        }
        let image = &mut image[..padded.length()];
        image.fill(T::zero());
        let numbers: usize = padded.image.iter().product();
        for (own, d) in images.chunks_exact(numbers).zip(d.chunks_exact(places * channels)) {
            padded.place(own, image);
            let d = if all == channels {
                d
            } else {
                for (to, from) in spread.chunks_exact_mut(all).zip(d.chunks_exact(channels)) {
                    to[..channels].copy_from_slice(from);
                }
                &*spread
            };
            let (d, totals) = (T::vectors::<S>(d), T::vectors_mut::<S>(totals));
            let stride = all / T::lanes::<S>();
            for v0 in (0..stride).step_by(V) {
                for ky in 0..rows {
                    for q0 in (0..run).step_by(Q) {
                        let mut sums = [[T::splat(simd, T::zero()); V]; Q];
                        for y in 0..down {
                            let at = (y + ky) * width * inputs + q0;
                            let line = &image[at..][..(across - 1) * inputs + Q];
                            let d = &d[y * across * stride..][..across * stride];
                            for x in 0..across {
                                let (Some(numbers), Some(d)) = (
                                    line[x * inputs..].first_chunk::<Q>(),
                                    d[x * stride + v0..].first_chunk::<V>(),
                                ) else {
                                    break;
                                };
                                unrolled!(q < Q => {
                                    let number = T::splat(simd, numbers[q]);
                                    for v in 0..V {
                                        sums[q][v] = T::fused(simd, d[v], number, sums[q][v]);
                                    }
                                });
                            }
                        }
                        unrolled!(q < Q => {
                            if q0 + q < run {
                                let to = &mut totals[(ky * run + q0 + q) * stride + v0..][..V];
                                for v in 0..V {
                                    to[v] = T::plus(simd, sums[q][v], to[v]);
                                }
                            }
                        });
                    }
                }
            }
        }
        for (to, from) in weight.chunks_exact_mut(channels).zip(totals.chunks_exact(all)) {
            to.copy_from_slice(&from[..channels]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::train::real::levels;

    /// What comes out, and the derivatives by inputs and weights.
    fn everything<T: Real>(
        window: &Window,
        (weight, bias): (&[T], &[T]),
        images: &[T],
        d: &[T],
    ) -> [Vec<f64>; 3] {
        let nan = |n: usize| vec![T::nan(); n];
        let (mut z, mut before, mut by) = (nan(d.len()), nan(images.len()), nan(weight.len()));
        let (space, channels) = (&mut nan(100), bias.len());
        forward(window, (weight, bias), images, &mut z, space);
        by_inputs(window, (weight, channels), d, &mut before, space);
        by_weights(window, (&mut by, channels), images, d, space);
        [z, before, by].map(|numbers| numbers.into_iter().map(T::f64).collect())
    }

    /// The same by the definitions, number by number.
    fn naive(
        window: &Window,
        (weight, bias): (&[f64], &[f64]),
        images: &[f64],
        d: &[f64],
    ) -> [Vec<f64>; 3] {
        let channels = bias.len();
        let mut z: Vec<f64> = bias.iter().copied().cycle().take(d.len()).collect();
        let (mut before, mut by) = (vec![0.0; images.len()], vec![0.0; weight.len()]);
        let sources = window.sources();
        for r in 0..images.len() / window.inputs() {
            for (place, under) in sources.iter().enumerate() {
                for (under, source) in under.iter().enumerate() {
                    let Some(source) = source else { continue };
                    for o in 0..channels {
                        let out = (r * sources.len() + place) * channels + o;
                        let (own, at) = (under * channels + o, r * window.inputs() + source);
                        z[out] += weight[own] * images[at];
                        before[at] += weight[own] * d[out];
                        by[own] += images[at] * d[out];
                    }
                }
            }
        }
        [z, before, by]
    }

    /// `n` numbers in [-1, 1], of a few bits.
    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 257) as f64 / 128.0 - 1.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn convolutions_are_those_of_the_definition_alike_at_every_level(
            (height, width, inputs) in (1_usize..17, 1_usize..31, 1_usize..6),
            (rows, columns) in (1_usize..6, 1_usize..6),
            (down, right) in (0_usize..5, 0_usize..5),
            channels in 1_usize..40,
            count in 1_usize..4,
        ) {
            let padding = [down.min(rows - 1), right.min(columns - 1)];
            let Ok(window) =
                Window::new([height, width, inputs], [rows, columns], [1, 1], padding)
            else {
                return Ok(());
            };
            let weight = numbers(channels * window.length(), 1);
            let bias = numbers(channels, 2);
            let images = numbers(count * window.inputs(), 3);
            let d = numbers(count * window.positions() * channels, 4);
            let wanted = naive(&window, (&weight, &bias), &images, &d);
            let own = levels::same(|| everything(&window, (&weight, &bias), &images, &d));
            // All sums are exact in f64.
            prop_assert_eq!(&own, &wanted);
            let narrow = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<_>>();
            let (weight, bias, images, d) =
                (narrow(&weight), narrow(&bias), narrow(&images), narrow(&d));
            let own = levels::same(|| everything(&window, (&weight, &bias), &images, &d));
            for (own, wanted) in own.iter().flatten().zip(wanted.iter().flatten()) {
                prop_assert!((own - wanted).abs() <= 1e-3, "{} and not {}", own, wanted);
            }
        }
    }
}
