//! SLAFs on columns of pre-activations: values, and value and derivative of the basis in one pass.
//!
//! Everything is element-major: number `k m + i` belongs to basis element `k` (or power `k + 1`
//! in the statistics) and neuron `i` of `m`, so that the innermost loop runs over neurons and
//! vectorises. Raw powers are the normalised ones with mean 0 and scale 1, exactly.

use crate::network::Family;

/// The numbers that SLAFs of one layer compute with.
#[derive(Clone, Debug)]
pub(super) struct Slafs {
    /// Number of neurons.
    pub neurons: usize,
    /// Degree of every neuron's polynomial.
    pub degree: usize,
    /// The orthogonal family, or `None` for powers.
    pub family: Option<Family>,
    /// Coefficients with attention multiplied in, (degree + 1) x neurons.
    pub coefficients: Vec<f64>,
    /// Mean of every power, degree x neurons; for a family the centre, 1 x neurons.
    pub mean: Vec<f64>,
    /// Reciprocal deviation of every power, degree x neurons; for a family the scale, 1 x neurons.
    pub scale: Vec<f64>,
}

/// Scratch space for one column.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    current: Vec<f64>,
    previous: Vec<f64>,
    slope: Vec<f64>,
    slope_previous: Vec<f64>,
    total: Vec<f64>,
    argument: Vec<f64>,
}

impl Scratch {
    pub fn new(neurons: usize) -> Self {
        let zeros = || vec![0.0; neurons];
        Scratch {
            current: zeros(),
            previous: zeros(),
            slope: zeros(),
            slope_previous: zeros(),
            total: zeros(),
            argument: zeros(),
        }
    }
}

impl Slafs {
    /// The SLAF of neuron `i` alone.
    pub fn neuron(&self, i: usize) -> Slafs {
        let own = |x: &[f64]| x.iter().skip(i).step_by(self.neurons).copied().collect();
        Slafs {
            neurons: 1,
            degree: self.degree,
            family: self.family,
            coefficients: own(&self.coefficients),
            mean: own(&self.mean),
            scale: own(&self.scale),
        }
    }

    /// Adds the powers `z^k`, k = 1..degree, to `sums` (degree x neurons).
    pub fn add_powers(&self, z: &[f64], sums: &mut [f64], scratch: &mut Scratch) {
        let m = self.neurons;
        let (z, power) = (&z[..m], &mut scratch.current[..m]);
        power.fill(1.0);
        for sum in sums[..self.degree * m].chunks_exact_mut(m) {
            for i in 0..m {
                power[i] *= z[i];
                sum[i] += power[i];
            }
        }
    }

    /// Adds `(z^k - mean_k)^2`, k = 1..degree, to `sums` (degree x neurons).
    pub fn add_squares(&self, z: &[f64], sums: &mut [f64], scratch: &mut Scratch) {
        let m = self.neurons;
        let (z, power) = (&z[..m], &mut scratch.current[..m]);
        power.fill(1.0);
        let rows = sums[..self.degree * m].chunks_exact_mut(m).zip(self.mean.chunks_exact(m));
        for (sum, mean) in rows {
            for i in 0..m {
                power[i] *= z[i];
                let centred = power[i] - mean[i];
                sum[i] += centred * centred;
            }
        }
    }

    /// The activations `y` of one column of pre-activations.
    pub fn values(&self, z: &[f64], y: &mut [f64], scratch: &mut Scratch) {
        let m = self.neurons;
        let (z, y) = (&z[..m], &mut y[..m]);
        y.copy_from_slice(&self.coefficients[..m]);
        match self.family {
            None => {
                let power = &mut scratch.current[..m];
                power.fill(1.0);
                let rows = self.coefficients[m..].chunks_exact(m);
                let statistics = self.mean.chunks_exact(m).zip(self.scale.chunks_exact(m));
                for (a, (mean, scale)) in rows.zip(statistics) {
                    for i in 0..m {
                        power[i] *= z[i];
                        y[i] += a[i] * ((power[i] - mean[i]) * scale[i]);
                    }
                }
            }
            Some(family) => {
                self.start(family, z, scratch);
                for k in 1..=self.degree {
                    let a = &self.coefficients[k * m..][..m];
                    for i in 0..m {
                        y[i] += a[i] * scratch.current[i];
                    }
                    if k < self.degree {
                        self.advance(family, k, scratch);
                    }
                }
            }
        }
    }

    /// From `g`, the derivative of the loss by `y`: adds that by the coefficients to `sums`
    /// ((degree + 1) x neurons) and, unless batch statistics need them first, turns `g` into
    /// the derivative by `z`.
    pub fn backward(
        &self,
        z: &[f64],
        g: &mut [f64],
        sums: &mut [f64],
        keep: bool,
        scratch: &mut Scratch,
    ) {
        let m = self.neurons;
        let (z, g) = (&z[..m], &mut g[..m]);
        let sums = &mut sums[..(self.degree + 1) * m];
        for i in 0..m {
            sums[i] += g[i];
        }
        scratch.total[..m].fill(0.0);
        match self.family {
            None => {
                let (power, total) = (&mut scratch.current[..m], &mut scratch.total[..m]);
                power.fill(1.0);
                for k in 1..=self.degree {
                    let (mean, scale) =
                        (&self.mean[(k - 1) * m..][..m], &self.scale[(k - 1) * m..][..m]);
                    let (a, sum) = (&self.coefficients[k * m..][..m], &mut sums[k * m..][..m]);
                    let factor = k as f64;
                    for i in 0..m {
                        total[i] += factor * (a[i] * scale[i]) * power[i];
                        power[i] *= z[i];
                        sum[i] += g[i] * ((power[i] - mean[i]) * scale[i]);
                    }
                }
            }
            Some(family) => {
                self.start(family, z, scratch);
                for k in 1..=self.degree {
                    let (a, sum) = (&self.coefficients[k * m..][..m], &mut sums[k * m..][..m]);
                    for i in 0..m {
                        scratch.total[i] += a[i] * scratch.slope[i];
                        sum[i] += g[i] * scratch.current[i];
                    }
                    if k < self.degree {
                        self.advance(family, k, scratch);
                    }
                }
                for i in 0..m {
                    scratch.total[i] *= self.scale[i];
                }
            }
        }
        if !keep {
            for i in 0..m {
                g[i] *= scratch.total[i];
            }
        }
    }

    /// Turns `g` into the derivative by `z` where mean and scale are moments of the batch.
    ///
    /// `sums` are the finished sums of [`Slafs::backward`], each divided by the batch: with
    /// `u = (z^k - mean) scale` and `s_0 = mean of g`, `s_k = mean of g u`, the derivative by
    /// `z^k` is `a scale (g - s_0 - u s_k)`, as for batch normalisation (Ioffe and Szegedy 2015).
    pub fn backward_through_moments(
        &self,
        z: &[f64],
        g: &mut [f64],
        sums: &[f64],
        scratch: &mut Scratch,
    ) {
        let m = self.neurons;
        let (z, g, first) = (&z[..m], &mut g[..m], &sums[..m]);
        let (power, total) = (&mut scratch.current[..m], &mut scratch.total[..m]);
        power.fill(1.0);
        total.fill(0.0);
        for k in 1..=self.degree {
            let (mean, scale) = (&self.mean[(k - 1) * m..][..m], &self.scale[(k - 1) * m..][..m]);
            let (a, sum) = (&self.coefficients[k * m..][..m], &sums[k * m..][..m]);
            let factor = k as f64;
            for i in 0..m {
                let slope = factor * (a[i] * scale[i]) * power[i];
                power[i] *= z[i];
                let u = (power[i] - mean[i]) * scale[i];
                total[i] += slope * (g[i] - first[i] - u * sum[i]);
            }
        }
        g.copy_from_slice(total);
    }

    /// Element 1 and its derivative in `current` and `slope`, element 0 in `previous`.
    fn start(&self, family: Family, z: &[f64], scratch: &mut Scratch) {
        let first = f64::from(family.first());
        for i in 0..self.neurons {
            let t = (z[i] - self.mean[i]) * self.scale[i];
            scratch.argument[i] = t;
            (scratch.previous[i], scratch.slope_previous[i]) = (1.0, 0.0);
            (scratch.current[i], scratch.slope[i]) = (first * t, first);
        }
    }

    /// From element `k` to element `k + 1`.
    fn advance(&self, family: Family, k: usize, scratch: &mut Scratch) {
        // Degrees are at most 64 here.
        let ((a, b), divisor) = family.recurrence(k as u32);
        let (a, b) = (f64::from(a) / f64::from(divisor), f64::from(b) / f64::from(divisor));
        for i in 0..self.neurons {
            let t = scratch.argument[i];
            let value = a * t * scratch.current[i] - b * scratch.previous[i];
            let slope =
                a * (scratch.current[i] + t * scratch.slope[i]) - b * scratch.slope_previous[i];
            scratch.previous[i] = scratch.current[i];
            scratch.current[i] = value;
            scratch.slope_previous[i] = scratch.slope[i];
            scratch.slope[i] = slope;
        }
    }
}
