//! The training routines by name, and the parts of them that are no basis and no optimiser.
//!
//! Powers of pre-activations grow without bound; every routine is an answer to that, or to what
//! the powers do to the rest of training. They combine where that makes sense.
//!
//! | name | what it does | when | cost beside [`Routine::Clipped`] |
//! |---|---|---|---|
//! | `normalised` | every power of every neuron has mean 0 and deviation 1 over the batch, frozen at the end | the default: trains without tuning up to high degrees | two more passes over pre-activations |
//! | `clipped` | raw powers, the gradient clipped at norm 5 | low degrees; where the saved file should hold plain monomials | none |
//! | `max-scaled` | powers of `z / max abs z`, the maximum over the batch, frozen at the end | inputs with outliers, whose powers dominate deviations | one more pass |
//! | `hybrid` | SLAFs on some neurons, ReLU on the others | accuracy matters more than a polynomial: the network is none | none |
//! | `penalty-step` | the optimiser follows the data alone; L1 and L2 are a plain step of their own after it | L1 that should give exact zeros; Adam, whose scaling would distort a penalty in the loss | none |
//! | `warm-start` | coefficients begin as the least-squares fit of a given activation on the range that each neuron's pre-activations have, then they are trained | a task that a conventional activation is known to solve | one pass a hidden layer, once |
//! | `boundary` | an exponential penalty on pre-activations that leave the interval of the basis, and gradients of hidden layers clipped, each layer by itself | degrees from 10 to above 20 in an orthogonal basis, and bounded values near the edge of the data | one more pass |
//!
//! `normalised` to `warm-start` are those of the SLAF paper's authors or follow from its claim;
//! `boundary` follows arXiv 2505.11589.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::network::Activation;
use crate::train::baseline::least_squares;
use crate::train::kernel::{Columns, Scratch, Slafs};
use crate::train::model::{Activations, Kind, SlafShape, Step};
use crate::train::options::{BasisKind, HiddenActivation, Options, Penalty, Routine};
use crate::train::real::Real;

/// A training routine by its name; see the table above for what each is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Normalised monomials.
    Normalised,
    /// Raw powers with gradient clipping.
    Clipped,
    /// Powers of pre-activations divided by their largest magnitude.
    MaxScaled,
    /// SLAFs beside ReLU.
    Hybrid,
    /// Penalties as a step of their own.
    PenaltyStep,
    /// Coefficients fitted to a conventional activation first.
    WarmStart,
    /// A penalty on pre-activations that leave the interval of the basis.
    Boundary,
}

impl Named {
    /// All routines, in the order of the table above.
    pub const ALL: [Named; 7] = [
        Named::Normalised,
        Named::Clipped,
        Named::MaxScaled,
        Named::Hybrid,
        Named::PenaltyStep,
        Named::WarmStart,
        Named::Boundary,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Named::Normalised => "normalised",
            Named::Clipped => "clipped",
            Named::MaxScaled => "max-scaled",
            Named::Hybrid => "hybrid",
            Named::PenaltyStep => "penalty-step",
            Named::WarmStart => "warm-start",
            Named::Boundary => "boundary",
        }
    }

    /// The routine of that name.
    ///
    /// # Errors
    /// When there is none; the message lists all.
    pub fn from_name(name: &str) -> Result<Self> {
        Named::ALL.into_iter().find(|routine| routine.name() == name).ok_or_else(|| {
            let names: Vec<_> = Named::ALL.iter().map(|routine| routine.name()).collect();
            Error::invalid("routine", format!("{name:?}"), format!("one of {}", names.join(", ")))
        })
    }

    /// The options with this routine: its basis, and what else it sets.
    #[must_use]
    pub fn apply(self, mut options: Options) -> Options {
        let mut basis = |kind, routine| {
            options.activation.set_basis(kind);
            options.routine = routine;
        };
        match self {
            Named::Normalised => basis(BasisKind::NormalisedMonomial, Routine::Normalised),
            Named::Clipped => basis(BasisKind::Monomial, Routine::Clipped),
            Named::MaxScaled => basis(BasisKind::ScaledMonomial, Routine::Normalised),
            Named::Boundary => basis(BasisKind::Chebyshev, Routine::Boundary),
            Named::PenaltyStep => options.penalty = Penalty::Step,
            Named::WarmStart => options.warm_start = Some(Activation::Tanh),
            Named::Hybrid => {
                if let HiddenActivation::Slaf { basis, shared, attention } = options.activation {
                    let (function, fraction) = (Activation::Relu, 0.5);
                    options.activation =
                        HiddenActivation::Hybrid { function, fraction, basis, shared, attention };
                }
            }
        }
        options
    }
}

/// The largest exponent of the boundary penalty: beyond it the penalty is linear, so that no
/// pre-activation makes it infinite.
const LARGEST_EXPONENT: f64 = 30.0;

/// `exp(d (|t| - 1)) - 1` outside [-1, 1] and 0 inside, and its derivative by `t`: as steep as
/// the powers of degree `d` that it guards against.
pub(super) fn boundary(t: f64, degree: usize) -> (f64, f64) {
    let rate = degree as f64;
    let exponent = rate * (t.abs() - 1.0);
    if exponent <= 0.0 {
        return (0.0, 0.0);
    }
    let capped = exponent.min(LARGEST_EXPONENT);
    let power = capped.exp();
    (capped.exp_m1() + (exponent - capped) * power, rate * power * t.signum())
}

/// Clips the gradient of every hidden layer at `limit` by itself: those are the gradients that
/// powers amplify. A layer is an affine map or convolution and the activations behind it; the last
/// affine layer keeps its own.
pub(super) fn clip_hidden<T: Real>(steps: &[Step], limit: f64, gradient: &mut [T]) {
    let mut layer: Vec<Range<usize>> = Vec::new();
    for step in steps {
        match &step.kind {
            Kind::Affine { weight, bias } | Kind::Conv { weight, bias, .. } => {
                clip(&layer, limit, gradient);
                layer = vec![weight.clone(), bias.clone()];
            }
            Kind::Activation(Activations { slaf: Some(slaf), .. }) => {
                layer.extend([slaf.coefficients.clone(), slaf.attention.clone()]);
            }
            _ => {}
        }
    }
}

fn clip<T: Real>(ranges: &[Range<usize>], limit: f64, gradient: &mut [T]) {
    let squares = |range: &Range<usize>| -> f64 {
        gradient[range.clone()].iter().map(|g| g.f64() * g.f64()).sum()
    };
    let norm = ranges.iter().map(squares).sum::<f64>().sqrt();
    if norm > limit {
        let factor = T::of(limit / norm);
        for range in ranges {
            gradient[range.clone()].iter_mut().for_each(|g| *g *= factor);
        }
    }
}

/// Scales what makes the pre-activations behind `steps` so that none exceeds 1 in magnitude, from
/// the largest magnitudes of each neuron or channel (biases are 0 at the start): weights, or the
/// coefficients of batch normalisation. What is not made channel by channel, as a sum along a
/// residual, stays as it is.
pub(super) fn into_range<T: Real>(steps: &[Step], largest: &[f64], parameters: &mut [T]) {
    let maker = steps.iter().rfind(|step| !matches!(step.kind, Kind::Pool(_) | Kind::Dropout(_)));
    let range = match maker.map(|step| &step.kind) {
        Some(Kind::Affine { weight, .. } | Kind::Conv { weight, .. }) => weight.clone(),
        Some(Kind::Activation(Activations { slaf: Some(slaf), normalisation: true, .. })) => {
            slaf.coefficients.clone()
        }
        _ => return,
    };
    for w in parameters[range].chunks_exact_mut(largest.len()) {
        for (w, largest) in w.iter_mut().zip(largest) {
            if *largest > 0.0 {
                *w /= T::of(*largest);
            }
        }
    }
}

/// Writes the coefficients of the least-squares fit of `function` on the ranges of the
/// pre-activations, at their Chebyshev points, in the basis of the SLAF with its statistics.
///
/// One fit a neuron, or one for all neurons where they share their coefficients: a compromise,
/// since the statistics of the basis differ from neuron to neuron.
/// Cost: `8 (degree + 1)^3` flops a neuron.
pub(super) fn fit<T: Real>(
    shape: &SlafShape,
    kernel: &Slafs<T>,
    ranges: &[(f64, f64)],
    function: Activation,
    parameters: &mut [T],
) {
    let (degree, m, rows) = (kernel.degree, kernel.neurons, shape.rows());
    let count = 4 * (degree + 1);
    for row in 0..rows {
        let neurons = if shape.shared { 0..m } else { row..row + 1 };
        let mut columns = vec![Vec::new(); degree + 1];
        let mut side = Vec::new();
        for i in neurons {
            let (lower, upper) = ranges[i];
            let mut one = kernel.neuron(i);
            let mut scratch = Scratch::default();
            let single = Columns { count: 1, width: 1 };
            for j in 0..count {
                let angle = std::f64::consts::PI * (j as f64 + 0.5) / count as f64;
                let z = 0.5 * (lower + upper) + 0.5 * (upper - lower) * angle.cos();
                side.push(function.value(z));
                for (k, column) in columns.iter_mut().enumerate() {
                    one.coefficients.fill(0.0);
                    one.coefficients[k] = 1.0;
                    let mut element = [0.0];
                    one.values(&[z], &mut element, single, &mut scratch);
                    column.push(element[0]);
                }
            }
        }
        // Columns of one length: raw powers differ by many orders of magnitude.
        let norms: Vec<f64> = columns
            .iter_mut()
            .map(|column| {
                let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
                let norm = if norm > 0.0 && norm.is_finite() { norm } else { 1.0 };
                column.iter_mut().for_each(|x| *x /= norm);
                norm
            })
            .collect();
        let solution = least_squares(columns, vec![side]).swap_remove(0);
        for (k, (value, norm)) in solution.into_iter().zip(norms).enumerate() {
            // The attention multiplies what is stored.
            let own = value / norm / shape.factor(parameters, k);
            if own.is_finite() {
                parameters[shape.coefficients.start + k * rows + row] = T::of(own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_penalty_is_continuous_and_its_derivative_is_one() {
        for degree in [1, 3, 22] {
            assert_eq!(boundary(0.999, degree), (0.0, 0.0));
            let edge = 1.0 + LARGEST_EXPONENT / degree as f64;
            for t in [1.01, -1.01, 1.2, -1.3, edge + 0.5, -edge - 0.5] {
                let h = 1e-6;
                let slope = (boundary(t + h, degree).0 - boundary(t - h, degree).0) / (2.0 * h);
                let own = boundary(t, degree).1;
                assert!((slope - own).abs() <= 1e-6 * own.abs(), "{degree} {t}: {slope} {own}");
            }
            let (below, above) = (boundary(edge - 1e-9, degree).0, boundary(edge + 1e-9, degree).0);
            assert!((above - below) / below < 1e-6);
            assert!(boundary(f64::MAX, degree).0 > 0.0);
        }
    }

    #[test]
    fn names_are_read_back() {
        for routine in Named::ALL {
            assert_eq!(Named::from_name(routine.name()).unwrap(), routine);
            routine.apply(Options::default()).validate().unwrap();
        }
        assert!(Named::from_name("other").unwrap_err().to_string().contains("max-scaled"));
    }
}
