//! SLAFs on columns of pre-activations: values, and value and derivative of the basis in one pass.
//!
//! Constants are element-major: number `k m + i` belongs to basis element `k` (or power `k + 1`
//! in the statistics) and neuron `i` of `m`. Raw powers are the normalised ones with mean 0 and
//! scale 1, exactly. Neurons are taken [`LANES`] at a time, with their constants and everything
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
    coefficient: Lanes<T>,
    mean: Lanes<T>,
    scale: Lanes<T>,
    /// `k` times coefficient times scale.
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
            let coefficient = load(&self.coefficients[k * m + i..][..n]);
            let (mean, scale) = match self.family {
                None if k == 0 => (zero, zero),
                None => (
                    load(&self.mean[(k - 1) * m + i..][..n]),
                    load(&self.scale[(k - 1) * m + i..][..n]),
                ),
                Some(_) => (load(&self.mean[i..][..n]), load(&self.scale[i..][..n])),
            };
            let mut slope = zero;
            for l in 0..LANES {
                slope[l] = T::of(k as f64) * (coefficient[l] * scale[l]);
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

vectorised! {
    fn add_powers<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], columns: Columns, sums: &'a mut [f64], scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            for column in range {
                let z = load(&z[column * columns.width + i..][..n]);
                let mut power = [T::one(); LANES];
                for element in &mut elements[1..] {
                    for l in 0..LANES {
                        power[l] *= z[l];
                        element.sum[l] += power[l];
                    }
                }
            }
            slafs.add(elements, i, n, sums);
        }
    }
}

vectorised! {
    fn add_squares<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], columns: Columns, sums: &'a mut [f64], scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            for column in range {
                let z = load(&z[column * columns.width + i..][..n]);
                let mut power = [T::one(); LANES];
                for element in &mut elements[1..] {
                    for l in 0..LANES {
                        power[l] *= z[l];
                        let centred = power[l] - element.mean[l];
                        element.sum[l] += centred * centred;
                    }
                }
            }
            slafs.add(elements, i, n, sums);
        }
    }
}

vectorised! {
    fn values<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], y: &'a mut [T], columns: Columns, scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = &*slafs.load(i, n, scratch);
            for column in range {
                let at = column * columns.width + i;
                let z = load(&z[at..][..n]);
                let mut value = elements[0].coefficient;
                match slafs.family {
                    None if slafs.raw => {
                        let mut power = [T::one(); LANES];
                        for e in &elements[1..] {
                            for l in 0..LANES {
                                power[l] *= z[l];
                                value[l] += e.coefficient[l] * power[l];
                            }
                        }
                    }
                    None => {
                        let mut power = [T::one(); LANES];
                        for e in &elements[1..] {
                            for l in 0..LANES {
                                power[l] *= z[l];
                                value[l] +=
                                    e.coefficient[l] * ((power[l] - e.mean[l]) * e.scale[l]);
                            }
                        }
                    }
                    Some(family) => {
                        let mut state = Recurrence::start(family, &z, &elements[0]);
                        for e in &elements[1..] {
                            for l in 0..LANES {
                                value[l] += e.coefficient[l] * state.current[l];
                            }
                            state.advance(e.recurrence);
                        }
                    }
                }
                store(&mut y[at..][..n], value);
            }
        }
    }
}

vectorised! {
    fn backward<'a, T>(slafs: &'a Slafs<T>, z: &'a [T], g: &'a mut [T], columns: Columns, sums: &'a mut [f64], keep: bool, scratch: &'a mut Scratch<T>) -> () {
        for (i, n, range) in Tiles::new(slafs.neurons, columns) {
            let elements = slafs.load(i, n, scratch);
            for column in range {
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
                                slope[l] += e.slope[l] * power[l];
                                power[l] *= z[l];
                                e.sum[l] += own[l] * power[l];
                            }
                        }
                    }
                    None => {
                        let mut power = [T::one(); LANES];
                        for e in &mut elements[1..] {
                            for l in 0..LANES {
                                slope[l] += e.slope[l] * power[l];
                                power[l] *= z[l];
                                e.sum[l] += own[l] * ((power[l] - e.mean[l]) * e.scale[l]);
                            }
                        }
                    }
                    Some(family) => {
                        let scale = elements[0].scale;
                        let mut state = Recurrence::start(family, &z, &elements[0]);
                        for e in &mut elements[1..] {
                            for l in 0..LANES {
                                slope[l] += e.coefficient[l] * state.slope[l];
                                e.sum[l] += own[l] * state.current[l];
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
            let elements = &*elements;
            let first = elements[0].sum;
            for column in range {
                let at = column * columns.width + i;
                let z = load(&z[at..][..n]);
                let own = load(&g[at..][..n]);
                let mut total = [T::zero(); LANES];
                let mut power = [T::one(); LANES];
                for e in &elements[1..] {
                    for l in 0..LANES {
                        let slope = e.slope[l] * power[l];
                        power[l] *= z[l];
                        let u = (power[l] - e.mean[l]) * e.scale[l];
                        total[l] += slope * (own[l] - first[l] - u * e.sum[l]);
                    }
                }
                store(&mut g[at..][..n], total);
            }
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
