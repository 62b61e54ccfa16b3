//! What a network takes before anything is computed with it: its weights, those that images share
//! once at every place, and its SLAFs in powers. Small files can hold large networks.

use crate::error::{Result, TooLarge};
use crate::network::{Layer, Network, Part};

/// The most numbers of a network that is written out, which then take 1.5 GiB and a few seconds;
/// every method goes through all of them for each of many points.
const MOST_NUMBERS: usize = 1 << 26;

/// What a neuron takes beside its weights and coefficients, in numbers.
const NEURON: usize = 40;

/// Bytes of a number, and seconds to write it out.
const BYTES: f64 = 24.0;
const SECONDS: f64 = 5e-8;

/// The most operations on words to bring all SLAFs into powers, and the seconds of one.
const MOST_WORDS: f64 = 1e10;
const WORD: f64 = 3e-9;

/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) when the network is too large to be written out,
/// with the first layer that is too much.
pub(super) fn check_size(network: &Network) -> Result<()> {
    let mut size = Size::default();
    for (l, (layer, width)) in network.layers().iter().zip(network.widths()).enumerate() {
        size.add(layer, width);
        if size.numbers > MOST_NUMBERS {
            return Err(TooLarge {
                what: format!(
                    "the network up to layer {l}, written out for every place of an image"
                ),
                count: format!("{} weights and coefficients", size.numbers),
                bytes: size.numbers as f64 * BYTES,
                seconds: size.numbers as f64 * SECONDS,
                limit: format!("{MOST_NUMBERS} of them"),
                advice: "expand one of smaller images, fewer channels or lower degrees".into(),
            }
            .into());
        }
        if size.words > MOST_WORDS {
            return Err(TooLarge {
                what: format!("the SLAFs up to layer {l}, in powers of their pre-activations"),
                count: format!("{:.1e} operations on words", size.words),
                bytes: size.numbers as f64 * BYTES,
                seconds: size.words * WORD,
                limit: format!("{MOST_WORDS:.0e} operations"),
                advice: "lower their degrees".into(),
            }
            .into());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Size {
    numbers: usize,
    words: f64,
}

impl Size {
    fn add(&mut self, layer: &Layer, width: usize) {
        let after = layer.width(width);
        let own = match layer {
            Layer::Affine(affine) => affine.weight().len(),
            Layer::Conv(conv) => conv.window().positions().saturating_mul(conv.weight().len()),
            Layer::Pool(pool) => pool.window().positions().saturating_mul(pool.window().length()),
            Layer::Slaf(slaf) => {
                self.words += slaf.fold_words(width);
                width.saturating_mul(slaf.degree() + 1)
            }
            Layer::Channels(channels) => {
                let mut one = Size::default();
                one.add(channels.layer(), channels.channels());
                self.words += one.words;
                one.numbers.saturating_mul(channels.positions())
            }
            Layer::Mixed(mixed) => mixed.groups().iter().fold(0, |sum: usize, group| {
                let Part::Slaf(slaf) = &group.part else { return sum };
                self.words += slaf.fold_words(group.neurons.len());
                sum.saturating_add(group.neurons.len().saturating_mul(slaf.degree() + 1))
            }),
            Layer::Residual(layers) => {
                let mut width = width;
                for layer in layers {
                    self.add(layer, width);
                    width = layer.width(width);
                }
                // What goes around them, and the sums.
                (layers.len() + 4).saturating_mul(width * NEURON)
            }
            Layer::Activation(_) | Layer::Flatten(_) => 0,
        };
        let neurons = after.saturating_mul(NEURON);
        self.numbers = self.numbers.saturating_add(own).saturating_add(neurons);
    }
}
