//! SLAFs on columns of pre-activations: values, and value and derivative of the basis in one pass.
//!
//! Constants are element-major: number `k m + i` belongs to basis element `k` (or power `k + 1`
//! in the statistics) and neuron `i` of `m`. Raw powers are the normalised ones with mean 0 and
//! scale 1, exactly; a scale is applied to the constant that multiplies the power, or once to a sum over
//! columns. Products and sums are fused where they are in the definition, on machines without such an
//! instruction in software: results are the same on all. Neurons are taken [`LANES`] at a time, with their constants and everything
//! between at hand in registers; sums over columns are added up in f64 part by part.

use std::ops::Range;

use crate::network::Family;
use crate::train::real::{LANES, Real, load, store, vectorised};

/// Numbers of the columns that are worked on at a time: they stay in the nearest cache.
const AT_ONCE: usize = 2048;

type Lanes<T> = [T; LANES];

/// The numbers that SLAFs of one layer compute with.
#[derive(Clone, Debug)]
pub(super) struct Slafs<T> {
    /// Number of neurons.
    pub neurons: usize,
    /// Degree of every neuron's polynomial.
    pub degree: usize,
    /// The orthogonal family, or `None` for powers.
    pub family: Option<Family>,
    /// Whether the powers are raw: mean 0 and scale 1, which then need not be applied.
    pub raw: bool,
    /// Coefficients with attention multiplied in, (degree + 1) x neurons.
    pub coefficients: Vec<T>,
    /// Mean of every power, degree x neurons; for a family the centre, 1 x neurons.
    pub mean: Vec<T>,
    /// Reciprocal deviation of every power, degree x neurons; for a family the scale, 1 x neurons.
    pub scale: Vec<T>,
}

/// What one basis element of a tile of neurons computes with.
#[derive(Clone, Copy, Debug)]
struct Element<T> {
    /// Of powers with the scale multiplied in.
    coefficient: Lanes<T>,
    mean: Lanes<T>,
    scale: Lanes<T>,
    /// `k` times the coefficient; powers need it.
    slope: Lanes<T>,
    /// `s_k` of [`Slafs::backward_through_moments`], or a sum over columns.
    sum: Lanes<T>,
    /// Of the recurrence to the next element of a family.
    recurrence: (T, T),
}

/// Space for the constants of one tile.
#[derive(Clone, Debug)]
pub(super) struct Scratch<T>(Vec<Element<T>>);

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Scratch(Vec::new())
    }
}

/// Columns of numbers, the first `neurons` of each of which are worked on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub count: usize,
    pub width: usize,
}

/// All tiles `(first neuron, neurons, columns)`, columns in parts that stay in the nearest cache.
struct Tiles {
    neurons: usize,
    columns: usize,
    at_once: usize,
    neuron: usize,
    column: usize,
}

impl Tiles {
    #[inline(always)]
    fn new(neurons: usize, columns: Columns) -> Self {
        let at_once = (AT_ONCE / columns.width).max(LANES);
        Tiles { neurons, columns: columns.count, at_once, neuron: 0, column: 0 }
    }
}

impl Iterator for Tiles {
    type Item = (usize, usize, Range<usize>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.neuron >= self.neurons {
            self.neuron = 0;
            self.column += self.at_once;
        }
        if self.column >= self.columns {
            return None;
        }
        let i = self.neuron;
        self.neuron += LANES;
        let until = (self.column + self.at_once).min(self.columns);
        Some((i, LANES.min(self.neurons - i), self.column..until))
    }
}

impl<T: Real> Slafs<T> {
    /// The SLAF of neuron `i` alone, in f64.
    pub fn neuron(&self, i: usize) -> Slafs<f64> {
        let own = |x: &[T]| x.iter().skip(i).step_by(self.neurons).map(|x| x.f64()).collect();
        Slafs {
            neurons: 1,
            degree: self.degree,
            family: self.family,
            raw: self.raw,
            coefficients: own(&self.coefficients),
            mean: own(&self.mean),
            scale: own(&self.scale),
        }
    }

    /// The constants of neurons `i..i + n`, sums at 0.
    #[inline(always)]
    fn load<'a>(&self, i: usize, n: usize, scratch: &'a mut Scratch<T>) -> &'a mut [Element<T>] {
        let m = self.neurons;
        let elements = &mut scratch.0;
        let zero = [T::zero(); LANES];
        elements.clear();
        for k in 0..=self.degree {
            let mut coefficient = load(&self.coefficients[k * m + i..][..n]);
            let (mean, scale) = match self.family {
                None if k == 0 => (zero, [T::one(); LANES]),
                None => (
                    load(&self.mean[(k - 1) * m + i..][..n]),
                    load(&self.scale[(k - 1) * m + i..][..n]),
                ),
                Some(_) => (load(&self.mean[i..][..n]), load(&self.scale[i..][..n])),
            };
            let mut slope = zero;
            for l in 0..LANES {
                if self.family.is_none() {
                    coefficient[l] *= scale[l];
                }
                slope[l] = T::of(k as f64) * coefficient[l];
            }
            let recurrence = match self.family {
                // Degrees are at most 64 here.
                Some(family) if k > 0 => {
                    let ((a, b), divisor) = family.recurrence(k as u32);
                    let divisor = f64::from(divisor);
                    (T::of(f64::from(a) / divisor), T::of(f64::from(b) / divisor))
                }
                _ => (T::zero(), T::zero()),
            };
            elements.push(Element { coefficient, mean, scale, slope, sum: zero, recurrence });
        }
        elements
    }

    /// Adds the sums of a tile to `sums`.
    #[inline(always)]
    fn add(&self, elements: &[Element<T>], i: usize, n: usize, sums: &mut [f64]) {
        for (k, element) in elements.iter().enumerate() {
            let own = &mut sums[k * self.neurons + i..][..n];
            for (total, sum) in own.iter_mut().zip(element.sum) {
                *total += sum.f64();
            }
        }
    }

    /// Adds the powers `z^k`, k = 0..degree, to `sums` ((degree + 1) x neurons).
    pub fn add_powers(
        &self,
        z: &[T],
        columns: Columns,
        sums: &mut [f64],
        scratch: &mut Scratch<T>,
    ) {
        add_powers(self, z, columns, sums, scratch);
    }

    /// Adds `(z^k - mean_k)^2`, k = 1..degree, to `sums` ((degree + 1) x neurons).
    pub fn add_squares(
        &self,
        z: &[T],
        columns: Columns,
        sums: &mut [f64],
        scratch: &mut Scratch<T>,
    ) {
        add_squares(self, z, columns, sums, scratch);
    }

    /// The activations `y` of columns of pre-activations.
    pub fn values(&self, z: &[T], y: &mut [T], columns: Columns, scratch: &mut Scratch<T>) {
        values(self, z, y, columns, scratch);
    }

    /// From `g`, the derivative of the loss by `y`: adds that by the coefficients to `sums`
    /// ((degree + 1) x neurons) and, unless batch statistics need them first, turns `g` into
    /// the derivative by `z`.
    pub fn backward(
        &self,
        z: &[T],
        g: &mut [T],
        columns: Columns,
        sums: &mut [f64],
        keep: bool,
        scratch: &mut Scratch<T>,
    ) {
        backward(self, z, g, columns, sums, keep, scratch);
    }

    /// Turns `g` into the derivative by `z` where mean and scale are moments of the batch.
    ///
    /// `means` are the finished sums of [`Slafs::backward`], each divided by the batch: with
    /// `u = (z^k - mean) scale` and `s_0 = mean of g`, `s_k = mean of g u`, the derivative by
    /// `z^k` is `a scale (g - s_0 - u s_k)`, as for batch normalisation (Ioffe and Szegedy 2015).
    pub fn backward_through_moments(
        &self,
        z: &[T],
        g: &mut [T],
        columns: Columns,
        means: &[f64],
        scratch: &mut Scratch<T>,
    ) {
        backward_through_moments(self, z, g, columns, means, scratch);
    }
}

/// Does the work on columns with the elements of a low degree in an array of known length, which
/// stays in registers with its sums: in memory each sum would wait for the one before. Where the
/// tile is whole, its number of neurons is known too: otherwise vectors fall into pieces.
macro_rules! in_registers {
    ($n:ident, $elements:ident => $work:expr) => {
        if $n == LANES {
            let $n = LANES;
            in_registers!($elements => $work);
        } else {
            in_registers!($elements => $work);
        }
    };
    ($elements:ident => $work:expr) => {
        match $elements.len() {
            3 => in_registers!(3, $elements => $work),
            4 => in_registers!(4, $elements => $work),
            5 => in_registers!(5, $elements => $work),
            6 => in_registers!(6, $elements => $work),
            _ => $work,
        }
    };
    ($length:literal, $elements:ident => $work:expr) => {
        if let Some(given) = $elements.first_chunk_mut::<$length>() {
            let mut own = *given;
            {
                let $elements = &mut own;
                $work;
            }
            *given = own;
        }
    };
}

vectorised! {
    fn add_powers<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], columns: Columns, sums: &'a mut [f64], scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            in_registers!(n, elements => for column in range {
                let z = load(&z[column * columns.width + i..][..n]);
                let mut power = [T::one(); LANES];
                for element in &mut elements[1..] {
                    for l in 0..LANES {
                        power[l] *= z[l];
                        element.sum[l] += power[l];
                    }
                }
            });
            slafs.add(elements, i, n, sums);
        }
    }
}

vectorised! {
    fn add_squares<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], columns: Columns, sums: &'a mut [f64], scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            in_registers!(n, elements => for column in range {
                let z = load(&z[column * columns.width + i..][..n]);
                let mut power = [T::one(); LANES];
                for element in &mut elements[1..] {
                    for l in 0..LANES {
                        power[l] *= z[l];
                        let centred = power[l] - element.mean[l];
                        element.sum[l] = centred.mul_add(centred, element.sum[l]);
                    }
                }
            });
            slafs.add(elements, i, n, sums);
        }
    }
}

vectorised! {
    fn values<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], y: &'a mut [T], columns: Columns, scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            in_registers!(n, elements => for column in range {
                let at = column * columns.width + i;
                let z = load(&z[at..][..n]);
                let mut value = elements[0].coefficient;
                match slafs.family {
                    None if slafs.raw => {
                        let mut power = [T::one(); LANES];
                        for e in &elements[1..] {
                            for l in 0..LANES {
                                power[l] *= z[l];
                                value[l] = e.coefficient[l].mul_add(power[l], value[l]);
                            }
                        }
                    }
                    None => {
                        let mut power = [T::one(); LANES];
                        for e in &elements[1..] {
                            for l in 0..LANES {
                                power[l] *= z[l];
                                value[l] =
                                    e.coefficient[l].mul_add(power[l] - e.mean[l], value[l]);
                            }
                        }
                    }
                    Some(family) => {
                        let mut state = Recurrence::start(family, &z, &elements[0]);
                        for e in &elements[1..] {
                            for l in 0..LANES {
                                value[l] =
                                    e.coefficient[l].mul_add(state.current[l], value[l]);
                            }
                            state.advance(e.recurrence);
                        }
                    }
                }
                store(&mut y[at..][..n], value);
            });
        }
    }
}

vectorised! {
    fn backward<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], g: &'a mut [T], columns: Columns, sums: &'a mut [f64], keep: bool, scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            in_registers!(n, elements => for column in range {
                let at = column * columns.width + i;
                let z = load(&z[at..][..n]);
                let mut own = load(&g[at..][..n]);
                let mut slope = [T::zero(); LANES];
                for l in 0..LANES {
                    elements[0].sum[l] += own[l];
                }
                match slafs.family {
                    None if slafs.raw => {
                        let mut power = [T::one(); LANES];
                        for e in &mut elements[1..] {
                            for l in 0..LANES {
                                slope[l] = e.slope[l].mul_add(power[l], slope[l]);
                                power[l] *= z[l];
                                e.sum[l] = own[l].mul_add(power[l], e.sum[l]);
                            }
                        }
                    }
                    None => {
                        let mut power = [T::one(); LANES];
                        for e in &mut elements[1..] {
                            for l in 0..LANES {
                                slope[l] = e.slope[l].mul_add(power[l], slope[l]);
                                power[l] *= z[l];
                                e.sum[l] = own[l].mul_add(power[l] - e.mean[l], e.sum[l]);
                            }
                        }
                    }
                    Some(family) => {
                        let scale = elements[0].scale;
                        let mut state = Recurrence::start(family, &z, &elements[0]);
                        for e in &mut elements[1..] {
                            for l in 0..LANES {
                                slope[l] = e.coefficient[l].mul_add(state.slope[l], slope[l]);
                                e.sum[l] = own[l].mul_add(state.current[l], e.sum[l]);
                            }
                            state.advance(e.recurrence);
                        }
                        for l in 0..LANES {
                            slope[l] *= scale[l];
                        }
                    }
                }
                if !keep {
                    for l in 0..LANES {
                        own[l] *= slope[l];
                    }
                    store(&mut g[at..][..n], own);
                }
            });
            if slafs.family.is_none() {
                for e in &mut elements[1..] {
                    for l in 0..LANES {
                        e.sum[l] *= e.scale[l];
                    }
                }
            }
            slafs.add(elements, i, n, sums);
        }
    }
}

vectorised! {
    fn backward_through_moments<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], g: &'a mut [T], columns: Columns, means: &'a [f64], scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            for (k, element) in elements.iter_mut().enumerate() {
                let own = &means[k * slafs.neurons + i..][..n];
                for (s, mean) in element.sum.iter_mut().zip(own) {
                        *s = T::of(*mean);
                    }
            }
            let first = elements[0].sum;
            for e in &mut elements[1..] {
                for l in 0..LANES {
                    e.sum[l] *= -e.scale[l];
                }
            }
            in_registers!(n, elements => for column in range {
                let at = column * columns.width + i;
                let z = load(&z[at..][..n]);
                let own = load(&g[at..][..n]);
                let mut total = [T::zero(); LANES];
                let mut power = [T::one(); LANES];
                for e in &elements[1..] {
                    for l in 0..LANES {
                        let slope = e.slope[l] * power[l];
                        power[l] *= z[l];
                        let rest = e.sum[l].mul_add(power[l] - e.mean[l], own[l] - first[l]);
                        total[l] = slope.mul_add(rest, total[l]);
                    }
                }
                store(&mut g[at..][..n], total);
            });
        }
    }
}

/// An element of a family and the one before, with their derivatives by the argument.
struct Recurrence<T> {
    argument: Lanes<T>,
    previous: Lanes<T>,
    current: Lanes<T>,
    slope_previous: Lanes<T>,
    slope: Lanes<T>,
}

impl<T: Real> Recurrence<T> {
    /// At element 1.
    #[inline(always)]
    fn start(family: Family, z: &Lanes<T>, constants: &Element<T>) -> Self {
        let first = T::of(f64::from(family.first()));
        let (zero, one) = ([T::zero(); LANES], [T::one(); LANES]);
        let mut state = Recurrence {
            argument: zero,
            previous: one,
            current: zero,
            slope_previous: zero,
            slope: [first; LANES],
        };
        for l in 0..LANES {
            state.argument[l] = (z[l] - constants.mean[l]) * constants.scale[l];
            state.current[l] = first * state.argument[l];
        }
        state
    }

    /// To the next element.
    #[inline(always)]
    fn advance(&mut self, (a, b): (T, T)) {
        for l in 0..LANES {
            let t = self.argument[l];
            let value = a * t * self.current[l] - b * self.previous[l];
            let slope = a * (self.current[l] + t * self.slope[l]) - b * self.slope_previous[l];
            self.previous[l] = self.current[l];
            self.current[l] = value;
            self.slope_previous[l] = self.slope[l];
            self.slope[l] = slope;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::real::levels;

    /// All that a kernel computes from columns of pre-activations, one after the other.
    fn everything<T: Real>(slafs: &Slafs<T>, z: &[T], g: &[T], columns: Columns) -> [Vec<f64>; 6] {
        let scratch = &mut Scratch::default();
        let sums = || vec![0.0; (slafs.degree + 1) * slafs.neurons];
        let (mut powers, mut squares, mut by_coefficients) = (sums(), sums(), sums());
        let (mut y, mut through, mut moments) = (g.to_vec(), g.to_vec(), g.to_vec());
        slafs.values(z, &mut y, columns, scratch);
        slafs.backward(z, &mut through, columns, &mut by_coefficients, false, scratch);
        if slafs.family.is_none() {
            slafs.add_powers(z, columns, &mut powers, scratch);
            slafs.add_squares(z, columns, &mut squares, scratch);
            slafs.backward_through_moments(z, &mut moments, columns, &by_coefficients, scratch);
        }
        let wide = |x: Vec<T>| x.into_iter().map(T::f64).collect();
        [powers, squares, wide(y), by_coefficients, wide(through), wide(moments)]
    }

    /// The same by the definitions, in f64, number by number.
    fn naive(slafs: &Slafs<f64>, z: &[f64], g: &[f64], columns: Columns) -> [Vec<f64>; 6] {
        let (m, d) = (slafs.neurons, slafs.degree);
        let sums = || vec![0.0; (d + 1) * m];
        let (mut powers, mut squares, mut by_coefficients) = (sums(), sums(), sums());
        let (mut y, mut through, mut moments) = (g.to_vec(), g.to_vec(), g.to_vec());
        let at = |column: usize, i: usize| column * columns.width + i;
        let u = |z: f64, k: usize, i: usize| match k {
            0 => 1.0,
            _ => (z.powi(k as i32) - slafs.mean[(k - 1) * m + i]) * slafs.scale[(k - 1) * m + i],
        };
        let slope = |z: f64, k: usize, i: usize| {
            k as f64
                * slafs.coefficients[k * m + i]
                * slafs.scale[(k - 1) * m + i]
                * z.powi(k as i32 - 1)
        };
        for (column, i) in (0..columns.count).flat_map(|c| (0..m).map(move |i| (c, i))) {
            let (z, g) = (z[at(column, i)], g[at(column, i)]);
            for k in 0..=d {
                by_coefficients[k * m + i] += g * u(z, k, i);
                if k > 0 {
                    powers[k * m + i] += z.powi(k as i32);
                    squares[k * m + i] += (z.powi(k as i32) - slafs.mean[(k - 1) * m + i]).powi(2);
                }
            }
            y[at(column, i)] = (0..=d).map(|k| slafs.coefficients[k * m + i] * u(z, k, i)).sum();
            through[at(column, i)] = g * (1..=d).map(|k| slope(z, k, i)).sum::<f64>();
        }
        for (column, i) in (0..columns.count).flat_map(|c| (0..m).map(move |i| (c, i))) {
            let (z, g, s) = (z[at(column, i)], g[at(column, i)], &by_coefficients);
            let term = |k: usize| slope(z, k, i) * (g - s[i] - u(z, k, i) * s[k * m + i]);
            moments[at(column, i)] = (1..=d).map(term).sum();
        }
        [powers, squares, y, by_coefficients, through, moments]
    }

    /// `n` numbers in [-1, 1].
    fn numbers(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.0 - 1.0).collect()
    }

    #[test]
    fn kernels_are_those_of_the_definitions_alike_at_every_level() {
        for (neurons, degree) in [(1, 1), (5, 2), (16, 3), (17, 4), (40, 5), (3, 8)] {
            for raw in [true, false] {
                let columns = Columns { count: 203, width: neurons + 2 };
                let n = columns.count * columns.width;
                let (z, g) = (numbers(n, 1), numbers(n, 2));
                let all = degree * neurons;
                let slafs = Slafs {
                    neurons,
                    degree,
                    family: None,
                    raw,
                    coefficients: numbers(all + neurons, 3),
                    mean: if raw { vec![0.0; all] } else { numbers(all, 4) },
                    scale: if raw { vec![1.0; all] } else { numbers(all, 5) },
                };
                let own = levels::same(|| everything(&slafs, &z, &g, columns));
                for (own, wanted) in own.iter().zip(naive(&slafs, &z, &g, columns)) {
                    for (own, wanted) in own.iter().zip(wanted) {
                        let most = 1e-12 * (1.0 + wanted.abs());
                        assert!((own - wanted).abs() <= most, "{own} and not {wanted}");
                    }
                }
                let narrow = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<_>>();
                let single = Slafs {
                    neurons,
                    degree,
                    family: None,
                    raw,
                    coefficients: narrow(&slafs.coefficients),
                    mean: narrow(&slafs.mean),
                    scale: narrow(&slafs.scale),
                };
                levels::same(|| everything(&single, &narrow(&z), &narrow(&g), columns));
            }
        }
    }

    #[test]
    fn families_are_alike_at_every_level() {
        for family in [Family::Chebyshev, Family::Legendre, Family::Hermite] {
            let (neurons, degree) = (18, 4);
            let columns = Columns { count: 100, width: neurons };
            let n = columns.count * columns.width;
            let slafs = Slafs {
                neurons,
                degree,
                family: Some(family),
                raw: false,
                coefficients: numbers((degree + 1) * neurons, 1),
                mean: numbers(neurons, 2),
                scale: numbers(neurons, 3),
            };
            levels::same(|| everything(&slafs, &numbers(n, 4), &numbers(n, 5), columns));
        }
    }
}
