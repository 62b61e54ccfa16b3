//! How much the error of one neuron weighs in the bounds of the outputs: the adjoint of method C.
//!
//! A choice of degrees or of splits is guided by it; nothing is proven with it.

use ndarray::Array2;

use crate::bound::chain::{Chain, Step};
use crate::bound::neuron::Neuron;

/// How much the error of each neuron weighs in the bound of each output, in f64: (outputs, neurons)
/// for each activation layer.
pub(super) fn sensitivities(chain: &Chain, layers: &[Option<Vec<Neuron>>]) -> Vec<Array2<f64>> {
    let outputs = chain.outputs();
    // The signed path and what has lost its sign on the way.
    let (mut signed, mut absolute) = (Array2::eye(outputs), Array2::zeros((outputs, outputs)));
    let mut weights = Vec::new();
    for (step, layer) in chain.steps.iter().zip(layers).rev() {
        match (step, layer) {
            (Step::Affine { weight, .. }, _) => {
                signed = signed.dot(&**weight);
                absolute = absolute.dot(&weight.mapv(f64::abs));
            }
            (Step::Activation(_), Some(neurons)) => {
                weights.push(signed.mapv(f64::abs) + &absolute);
                for (i, neuron) in neurons.iter().enumerate() {
                    let middle = neuron.slope.middle();
                    let radius = neuron.slope.radius_about(middle);
                    let lost = signed.column(i).mapv(|s: f64| s.abs() * radius);
                    signed.column_mut(i).mapv_inplace(|s| s * middle);
                    absolute.column_mut(i).mapv_inplace(|a| a * neuron.slope.magnitude());
                    absolute.column_mut(i).zip_mut_with(&lost, |a, l| *a += l);
                }
            }
            (Step::Activation(_), None) => {}
        }
    }
    weights.reverse();
    weights
}
