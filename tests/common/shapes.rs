//! Random shapes of SLNNs.

use proptest::prelude::*;
use slnn::network::{Head, Input, Layer, Network};

use crate::common::{Parameters, Stream, affine, slaf};

/// The shape of a random SLNN.
#[derive(Clone, Debug)]
pub struct Shape {
    pub inputs: usize,
    pub hidden: Vec<(usize, usize, usize, bool)>,
    pub outputs: usize,
    pub parameters: Parameters,
    pub seed: u64,
}

impl Shape {
    /// The product of the degrees.
    pub fn degree(&self) -> usize {
        self.hidden.iter().map(|h| h.1).product()
    }

    pub fn network(&self) -> Network {
        let mut stream = Stream::new(self.seed, self.parameters);
        let mut layers = Vec::new();
        let mut width = self.inputs;
        for &(neurons, degree, basis, shared) in &self.hidden {
            layers.push(affine(&mut stream, neurons, width));
            layers.push(Layer::Slaf(slaf(&mut stream, neurons, degree, basis, shared)));
            width = neurons;
        }
        layers.push(affine(&mut stream, self.outputs, width));
        Network::new(
            (1..=self.inputs).map(|i| Input::named(format!("x{i}"))).collect(),
            (1..=self.outputs).map(|o| format!("y{o}")).collect(),
            layers,
            Head::Identity,
        )
        .unwrap()
    }
}

/// Networks with 1 to 5 inputs, 1 to 3 hidden layers of 1 to 6 neurons, any basis, 1 to 3 outputs.
pub fn shapes(parameters: Vec<Parameters>, max_degree: usize) -> impl Strategy<Value = Shape> {
    let layer = (1_usize..=6, 1_usize..=4, 0_usize..5, any::<bool>());
    (
        1_usize..=5,
        prop::collection::vec(layer, 1..=3),
        1_usize..=3,
        prop::sample::select(parameters),
        any::<u64>(),
    )
        .prop_map(move |(inputs, mut hidden, outputs, parameters, seed)| {
            // Keeps the expansion small: the last layers give way.
            let mut product = 1;
            for layer in &mut hidden {
                layer.1 = layer.1.min((max_degree / product).max(1));
                product *= layer.1;
            }
            Shape { inputs, hidden, outputs, parameters, seed }
        })
}
