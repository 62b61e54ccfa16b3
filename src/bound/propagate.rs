//! How the errors of the activations travel to the outputs: methods A, B and C.
//!
//! The reference network has z_l = W_l y_{l-1} + b_l and y_l = s_l(z_l); the SLNN the same weights
//! and p_l for s_l. With D the difference of their pre-activations,
//!
//! ```text
//! p(zh) - s(z) = [p(zh) - s(zh)] + [s(zh) - s(z)]   in   [-eps, eps] + M D,
//! ```
//!
//! where zh and z lie in the enlarged range on which eps bounds |p - s| and M encloses s' (Clarke's
//! derivative at kinks). The polynomial's own slope never enters.
//!
//! - **A**, norms: e <- max eps + max|M| ||W|| e, in the maximum norm.
//! - **B**, by component: e <- eps + |M| o (|W| e).
//! - **C**, signed: D = T eta with independent eta in [-1, 1]; a neuron keeps mid(M) times its row and adds
//!   a symbol of its own of size eps + rad(M) max|D|. Paths that cancel are seen to cancel.
//!
//! Each bounds the next; [C2](super::joint) and [D](super::branch) go further on small boxes.

use ndarray::Array2;

use crate::bound::linear::{absolute_dots, absolute_sum, gamma, product, rounding};
use crate::numeric::outward::{Interval, add_up, mul_up, sum_up};

/// How far a neuron's polynomial is from its activation, and how steep that activation is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    /// A bound of |p - s| on the enlarged range.
    pub error: f64,
    /// The slopes of s there.
    pub slope: Interval,
}

/// A way to propagate errors; each bound is at most the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// By norms, as the theorem is usually stated.
    A,
    /// By component.
    B,
    /// By signed differences.
    C,
    /// By affine forms of the inputs, for both networks at once.
    C2,
    /// C2 on the parts of a divided box.
    D,
}

impl Method {
    /// Every method, the coarsest first.
    pub const ALL: [Method; 5] = [Method::A, Method::B, Method::C, Method::C2, Method::D];

    /// The letter.
    pub fn name(self) -> &'static str {
        match self {
            Method::A => "A",
            Method::B => "B",
            Method::C => "C",
            Method::C2 => "C2",
            Method::D => "D",
        }
    }
}

/// Bounds of the difference between the two networks at one place, by all methods.
pub(super) struct Errors {
    /// One number for all neurons.
    norm: f64,
    /// One for each neuron.
    components: Vec<f64>,
    /// (neurons, symbols): the difference is `symbols` times numbers in [-1, 1], and at most
    /// `slack` beside it, which is rounding.
    symbols: Array2<f64>,
    slack: Vec<f64>,
}

impl Errors {
    /// No difference: at the inputs.
    pub fn none(inputs: usize) -> Self {
        Errors {
            norm: 0.0,
            components: vec![0.0; inputs],
            symbols: Array2::zeros((inputs, 0)),
            slack: vec![0.0; inputs],
        }
    }

    /// Behind an affine map.
    #[must_use]
    pub fn affine(&self, weight: &Array2<f64>) -> Self {
        let norm = weight.rows().into_iter().map(absolute_sum).fold(0.0, f64::max);
        let sums: Vec<f64> = self.symbols.rows().into_iter().map(absolute_sum).collect();
        let slack = weight.rows().into_iter().zip(absolute_dots(weight, &self.slack)).map(
            |(row, slack)| {
                let row = row.to_vec();
                add_up(slack, rounding(&row, &sums, self.symbols.ncols(), 1.0))
            },
        );
        Errors {
            norm: mul_up(norm, self.norm),
            components: absolute_dots(weight, &self.components),
            symbols: product(weight, &self.symbols),
            slack: slack.collect(),
        }
    }

    /// Behind the activations.
    #[must_use]
    pub fn activation(&self, locals: &[Local]) -> Self {
        let worst = |f: fn(&Local) -> f64| locals.iter().map(f).fold(0.0, f64::max);
        let norm = add_up(worst(|l| l.error), mul_up(worst(|l| l.slope.magnitude()), self.norm));
        let components = locals.iter().zip(&self.components);
        let components = components
            .map(|(local, e)| add_up(local.error, mul_up(local.slope.magnitude(), *e)))
            .collect();

        let radii = self.radii(Method::C);
        let kept = self.symbols.ncols();
        let mut fresh = Vec::with_capacity(locals.len());
        let mut symbols = self.symbols.clone();
        for ((mut row, local), (radius, slack)) in
            symbols.rows_mut().into_iter().zip(locals).zip(radii.iter().zip(&self.slack))
        {
            let middle = local.slope.middle();
            // The rounding of a product is at most u times it, or half the least subnormal number.
            let scaled = absolute_sum(row.view());
            row.mapv_inplace(|t| t * middle);
            let rounded = add_up(
                mul_up(gamma(1), mul_up(scaled, middle.abs())),
                kept as f64 * f64::from_bits(1),
            );
            let steep = mul_up(local.slope.radius_about(middle), *radius);
            let slack = mul_up(middle.abs(), *slack);
            fresh.push(sum_up([local.error, steep, slack, rounded]));
        }
        let born: Vec<usize> = (0..fresh.len()).filter(|i| fresh[*i] > 0.0).collect();
        let mut place = vec![usize::MAX; fresh.len()];
        for (k, i) in born.iter().enumerate() {
            place[*i] = kept + k;
        }
        let all = Array2::from_shape_fn((symbols.nrows(), kept + born.len()), |(i, k)| {
            if k < kept {
                symbols[[i, k]]
            } else if k == place[i] {
                fresh[i]
            } else {
                0.0
            }
        });
        Errors { norm, components, slack: vec![0.0; all.nrows()], symbols: all }
    }

    /// A bound of the absolute difference of each neuron; C2 and D begin where C ends.
    pub fn radii(&self, method: Method) -> Vec<f64> {
        match method {
            Method::A => vec![self.norm; self.components.len()],
            Method::B => self.components.clone(),
            Method::C | Method::C2 | Method::D => {
                let rows = self.symbols.rows().into_iter().zip(&self.slack);
                let signed = rows.map(|(row, slack)| add_up(absolute_sum(row), *slack));
                signed.zip(&self.components).map(|(c, b)| c.min(*b)).collect()
            }
        }
    }
}
