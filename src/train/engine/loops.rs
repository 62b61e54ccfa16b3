//! The inner loops of a block: rows, windows of images, activations, pools.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::_MM_HINT_T0;

use faer::MatRef;
#[cfg(target_arch = "x86_64")]
use pulp::core_arch::x86::Sse;

use crate::network::image::{Shape, copy};
use crate::network::{Activation, Pool, Window};
use crate::train::kernel::Slafs;
use crate::train::real::{LANES, Real, load, matrix, store, vectorised};
use crate::train::routine::boundary;
use crate::train::tanh;

/// Makes room for `length` numbers; buffers are kept and only ever grow.
pub(super) fn grow<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
}

/// The numbers under a window, window length x positions.
pub(super) fn windows<'a, T: Real>(
    window: &Window,
    image: &[T],
    space: &'a mut Vec<T>,
) -> MatRef<'a, T> {
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
    pub(super) fn scatter<'a, T>(window: &'a Window, columns: &'a [T], image: &'a mut [T]) -> () {
        image.fill(T::zero());
        window.scatter(columns, image);
    }
}

/// The rows of `order`, `width` numbers each, one after the other.
///
/// They lie anywhere in a large memory, and what a machine fetches ahead by itself ends with the
/// page: every page is touched before the first row is copied, so that all are waited for together,
/// and known when every row is asked for while the one before is copied.
pub(super) fn gather_rows<T: Real>(data: &[T], width: usize, order: &[usize], rows: &mut [T]) {
    const TOUCHED: usize = 256;
    /// Bytes.
    const LINE: usize = 64;
    let row = |row: &usize| &data[row * width..][..width];
    let mut sum = T::zero();
    for row in order.iter().map(row) {
        row.chunks(TOUCHED).for_each(|numbers| sum += numbers[0]);
    }
    std::hint::black_box(sum);
    let line = LINE / size_of::<T>();
    for (i, (from, to)) in order.iter().map(row).zip(rows.chunks_exact_mut(width)).enumerate() {
        // The first line of every row was touched.
        if width > line
            && let Some(next) = order.get(i + 1)
        {
            row(next).chunks(line).skip(1).for_each(|numbers| prefetch(&numbers[0]));
        }
        copy(from, to);
    }
}

/// Asks for the line of the caches on which a number lies, without waiting for it.
#[inline(always)]
fn prefetch<T>(number: &T) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse) = Sse::try_new() {
        sse._mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(number).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = number;
}

vectorised! {
    /// Makes every column the same.
    pub(super) fn repeat<'a, T>(column: &'a [T], columns: &'a mut [T]) -> () {
        for own in columns.chunks_exact_mut(column.len()) {
            copy(column, own);
        }
    }
}

vectorised! {
    /// Adds up columns as long as `sums`, in their order.
    pub(super) fn add_columns<'a, T>(columns: &'a [T], sums: &'a mut [T]) -> () {
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
pub(super) fn beyond<T: Real>(kernel: &Slafs<T>, z: &[T], channels: usize) -> f64 {
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
pub(super) fn through_beyond<T: Real>(
    kernel: &Slafs<T>,
    z: &[T],
    d: &mut [T],
    channels: usize,
    weight: f64,
) {
    for (z, d) in z.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
        for i in 0..kernel.neurons {
            let t = (z[i] - kernel.mean[i]) * kernel.scale[i];
            d[i] += T::of(weight * boundary(t.f64(), kernel.degree).1 * kernel.scale[i].f64());
        }
    }
}

/// `y = function(z)` on the channels from `first` on.
pub(super) fn values_of<T: Real>(
    function: Activation,
    z: &[T],
    y: &mut [T],
    channels: usize,
    first: usize,
) {
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
pub(super) fn slopes_of<T: Real>(
    function: Activation,
    z: &[T],
    d: &mut [T],
    channels: usize,
    first: usize,
) {
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

vectorised! {
    /// Multiplies the numbers for which a number below `kept` was drawn, 4 bytes each, by `factor`; the
    /// others become 0.
    pub(super) fn keep<'a, T>(numbers: &'a mut [T], drawn: &'a [u8], kept: u64, factor: T) -> () {
        for (x, drawn) in numbers.iter_mut().zip(drawn.as_chunks::<4>().0) {
            let passes = u64::from(u32::from_le_bytes(*drawn)) < kept;
            *x = if passes { *x * factor } else { T::zero() };
        }
    }
}

/// An image with its rows moved down and its columns to the right, and zeros where nothing was.
pub(super) fn move_image<T: Real>(
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

pub(super) fn average<T: Real>(pool: &Pool, scale: T, image: &[T], y: &mut [T]) {
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
pub(super) fn spread<T: Real>(pool: &Pool, scale: T, d: &[T], image: &mut [T]) {
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
    pub(super) fn maximum<'a, T>(
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
            for first in (0..channels).step_by(LANES) {
                let under = Under { image, size: [rows, columns], width, channels };
                let own = position * channels + first;
                let at = corner * channels + first;
                // Of a known length, vectors stay whole.
                match channels - first {
                    LANES.. => under.maximum(at, &mut y[own..][..LANES], &mut largest[own..][..LANES]),
                    n => under.maximum(at, &mut y[own..][..n], &mut largest[own..][..n]),
                }
            }
        }
    }
}

/// The numbers of an image under a window.
#[derive(Clone, Copy)]
struct Under<'a, T> {
    image: &'a [T],
    size: [usize; 2],
    /// Of the image.
    width: usize,
    channels: usize,
}

impl<T: Real> Under<'_, T> {
    /// For the channels from the one at `corner` of the image on, as many as there is room for.
    #[inline(always)]
    fn maximum(self, corner: usize, y: &mut [T], largest: &mut [u32]) {
        let Under { image, size: [rows, columns], width, channels } = self;
        let mut best = [T::neg_infinity(); LANES];
        let mut place = [corner as u32; LANES];
        for row in 0..rows {
            for column in 0..columns {
                let at = corner + (row * width + column) * channels;
                let own = load(&image[at..][..y.len()]);
                for l in 0..LANES {
                    // A NaN is taken, and kept.
                    let more = (own[l] > best[l]) | own[l].is_nan();
                    best[l] = if more { own[l] } else { best[l] };
                    place[l] = if more { at as u32 } else { place[l] };
                }
            }
        }
        store(y, best);
        for (l, largest) in largest.iter_mut().enumerate() {
            *largest = place[l] + l as u32;
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
