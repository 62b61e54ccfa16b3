//! Networks described layer by layer, as `conv5x5x16,slaf4,maxpool2,dense100,slaf3`.

use std::fmt;

use crate::error::{Error, Result};
use crate::network::Activation;

/// One layer of a network to be trained. The affine layer to the outputs is added behind the last.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerSpec {
    /// An affine layer of so many neurons: `dense100`.
    Dense(usize),
    /// A convolution: `conv5x5x16` keeps the size of the image by padding, `conv5x5x16:valid` has no
    /// padding, `conv3x3x16/2` moves by 2.
    Conv {
        /// Rows and columns of the window.
        size: [usize; 2],
        /// Channels that come out.
        channels: usize,
        /// Rows and columns that the window moves by.
        stride: [usize; 2],
        /// Whether zeros around the image keep its size (divided by the stride).
        padded: bool,
    },
    /// SLAFs of this degree, one a neuron or, on images, one a channel: `slaf4`.
    Slaf(usize),
    /// A conventional activation: `relu`, `tanh`, `leaky_relu:0.1`, ...
    Activation(Activation),
    /// The mean under a window: `avgpool2`, `avgpool3x3/2`.
    AveragePool(PoolSpec),
    /// The largest under a window, channel by channel: `maxpool2`.
    MaxPool(PoolSpec),
    /// An image becomes a vector: `flatten`. Dense layers do it by themselves.
    Flatten,
    /// While training, each number is 0 with this probability: `dropout0.5`.
    Dropout(f64),
    /// Batch normalisation, of every neuron or, on images, every channel: `batchnorm`.
    BatchNorm,
    /// The layers inside, and what goes in added to what comes out: `residual(conv3x3x8,slaf2)`.
    Residual(Vec<LayerSpec>),
}

/// The window of a pooling layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// Rows and columns of the window.
    pub size: [usize; 2],
    /// Rows and columns that it moves by.
    pub stride: [usize; 2],
}

impl LayerSpec {
    /// Whether it, or a layer inside it, is such a one.
    pub fn has(&self, is: fn(&LayerSpec) -> bool) -> bool {
        match self {
            LayerSpec::Residual(layers) => layers.iter().any(|layer| layer.has(is)),
            layer => is(layer),
        }
    }

    /// Reads layers from text, with commas between them.
    ///
    /// # Errors
    /// When a layer is unknown or a number in it is none.
    pub fn parse_all(text: &str) -> Result<Vec<LayerSpec>> {
        split(text)?.into_iter().map(LayerSpec::parse).collect()
    }

    fn parse(text: &str) -> Result<LayerSpec> {
        let wrong = |expected: &str| Error::invalid("layer", format!("{text:?}"), expected);
        if let Some(inner) = text.strip_prefix("residual(").and_then(|t| t.strip_suffix(')')) {
            return Ok(LayerSpec::Residual(LayerSpec::parse_all(inner)?));
        }
        let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (name, rest) = text.split_at(digits);
        let number =
            |text: &str, expected: &str| text.parse::<usize>().map_err(|_| wrong(expected));
        match name {
            "dense" => Ok(LayerSpec::Dense(number(rest, "a count of neurons, as dense100")?)),
            "slaf" => Ok(LayerSpec::Slaf(number(rest, "a degree, as slaf3")?)),
            "dropout" => {
                let rate = rest.parse().map_err(|_| wrong("a probability, as dropout0.5"))?;
                Ok(LayerSpec::Dropout(rate))
            }
            "flatten" if rest.is_empty() => Ok(LayerSpec::Flatten),
            "batchnorm" if rest.is_empty() => Ok(LayerSpec::BatchNorm),
            "maxpool" | "avgpool" => {
                let expected = "a window, as maxpool2, maxpool2x3 or maxpool3/2 (which moves by 2)";
                let (size, stride) = stride(rest);
                let size = pair(size).ok_or_else(|| wrong(expected))?;
                let stride = match stride {
                    Some(stride) => pair(stride).ok_or_else(|| wrong(expected))?,
                    None => size,
                };
                let pool = PoolSpec { size, stride };
                Ok(match name {
                    "maxpool" => LayerSpec::MaxPool(pool),
                    _ => LayerSpec::AveragePool(pool),
                })
            }
            "conv" => {
                let expected = "rows x columns x channels, as conv5x5x16, conv5x5x16:valid (without \
                                padding) or conv3x3x16/2 (which moves by 2)";
                let (rest, padded) = match rest.strip_suffix(":valid") {
                    Some(rest) => (rest, false),
                    None => (rest, true),
                };
                let (sizes, stride) = stride(rest);
                let stride = match stride {
                    Some(stride) => pair(stride).ok_or_else(|| wrong(expected))?,
                    None => [1, 1],
                };
                let numbers: Vec<Option<usize>> =
                    sizes.split('x').map(|n| n.parse().ok()).collect();
                match numbers[..] {
                    [Some(rows), Some(columns), Some(channels)] => {
                        Ok(LayerSpec::Conv { size: [rows, columns], channels, stride, padded })
                    }
                    _ => Err(wrong(expected)),
                }
            }
            _ => {
                let (function, parameter) = match text.split_once(':') {
                    Some((function, parameter)) => (function, parameter.parse().ok()),
                    None => (text, None),
                };
                let unknown = wrong(
                    "dense, conv, slaf, maxpool, avgpool, dropout, batchnorm, flatten, residual(...) \
                     or an activation such as relu",
                );
                if text.contains(':') && parameter.is_none() {
                    return Err(unknown);
                }
                Activation::from_name(function, parameter)
                    .map(LayerSpec::Activation)
                    .map_err(|_| unknown)
            }
        }
    }
}

fn stride(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((size, stride)) => (size, Some(stride)),
        None => (text, None),
    }
}

/// `2` or `2x3`.
fn pair(text: &str) -> Option<[usize; 2]> {
    match text.split_once('x') {
        Some((rows, columns)) => Some([rows.parse().ok()?, columns.parse().ok()?]),
        None => text.parse().ok().map(|n| [n, n]),
    }
}

/// The parts between commas outside parentheses.
fn split(text: &str) -> Result<Vec<&str>> {
    let unbalanced =
        || Error::invalid("layers", format!("{text:?}"), "as many opening as closing parentheses");
    let (mut parts, mut first, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or_else(unbalanced)?,
            ',' if depth == 0 => {
                parts.push(text[first..at].trim());
                first = at + 1;
            }
            _ => {}
        }
        // Each is a call deep.
        if depth > 8 {
            return Err(Error::invalid("layers", "more than 8 residuals in one another", "fewer"));
        }
    }
    if depth > 0 {
        return Err(unbalanced());
    }
    parts.push(text[first..].trim());
    Ok(parts)
}

impl fmt::Display for LayerSpec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let window = |f: &mut fmt::Formatter, name: &str, pool: &PoolSpec| {
            let ([rows, columns], [down, across]) = (pool.size, pool.stride);
            write!(f, "{name}{rows}x{columns}/{down}x{across}")
        };
        match self {
            LayerSpec::Dense(neurons) => write!(f, "dense{neurons}"),
            LayerSpec::Conv { size: [rows, columns], channels, stride: [down, across], padded } => {
                let padding = if *padded { "" } else { ":valid" };
                write!(f, "conv{rows}x{columns}x{channels}/{down}x{across}{padding}")
            }
            LayerSpec::Slaf(degree) => write!(f, "slaf{degree}"),
            LayerSpec::Activation(function) => match function.parameter() {
                Some((_, parameter)) => write!(f, "{}:{parameter}", function.name()),
                None => f.write_str(function.name()),
            },
            LayerSpec::AveragePool(pool) => window(f, "avgpool", pool),
            LayerSpec::MaxPool(pool) => window(f, "maxpool", pool),
            LayerSpec::Flatten => f.write_str("flatten"),
            LayerSpec::Dropout(rate) => write!(f, "dropout{rate}"),
            LayerSpec::BatchNorm => f.write_str("batchnorm"),
            LayerSpec::Residual(layers) => {
                let inside: Vec<String> = layers.iter().map(LayerSpec::to_string).collect();
                write!(f, "residual({})", inside.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_as_they_are_written() {
        let text = "conv5x5x16,slaf4,maxpool2,residual(conv3x3x16/2:valid, leaky_relu:0.5,batchnorm),\
                    avgpool3x2/2,flatten,dense1024,tanh,dropout0.5";
        let layers = LayerSpec::parse_all(text).unwrap();
        assert_eq!(layers.len(), 9);
        let written: Vec<String> = layers.iter().map(LayerSpec::to_string).collect();
        assert_eq!(LayerSpec::parse_all(&written.join(",")).unwrap(), layers);
        assert_eq!(written[0], "conv5x5x16/1x1");
        assert_eq!(written[4], "avgpool3x2/2x2");
    }

    #[test]
    fn what_is_no_layer_is_named() {
        for text in [
            "",
            "dense",
            "conv5x16",
            "conv5x5xx16",
            "slaf-1",
            "maxpoolx",
            "residual(relu",
            "relu)",
            "bend3",
            "a,,b",
        ] {
            assert!(LayerSpec::parse_all(text).is_err(), "{text}");
        }
        assert!(LayerSpec::parse_all(&"residual(".repeat(100_000)).is_err());
        let found = LayerSpec::parse_all("dense8,convex").unwrap_err().to_string();
        assert!(found.contains("\"convex\""), "{found}");
    }
}
