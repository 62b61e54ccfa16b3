//! The box on which a network is looked at.

use crate::error::{Error, Result};
use crate::network::Network;
use crate::numeric::outward::Interval;

/// A box: one closed interval with finite f64 ends for each input.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain(Vec<Interval>);

impl Domain {
    /// The box with these (lower, upper) ends, one pair for each input.
    ///
    /// # Errors
    /// An end that is not finite, or a lower end above the upper one.
    pub fn new(ends: impl IntoIterator<Item = (f64, f64)>) -> Result<Self> {
        let mut intervals = Vec::new();
        for (i, (lower, upper)) in ends.into_iter().enumerate() {
            let interval = Interval { lower, upper };
            if !interval.is_finite() {
                return Err(Error::invalid(
                    format!("box[{i}]"),
                    format!("[{lower}, {upper}]"),
                    "two finite ends, lower at most upper",
                ));
            }
            intervals.push(interval);
        }
        Ok(Domain(intervals))
    }

    /// [lower, upper] for each of `inputs` inputs.
    ///
    /// # Errors
    /// As [`Domain::new`].
    pub fn cube(inputs: usize, lower: f64, upper: f64) -> Result<Self> {
        Self::new(std::iter::repeat_n((lower, upper), inputs))
    }

    /// The box that the network's file gives, the range of its training rows for instance.
    ///
    /// # Errors
    /// An input without two ends.
    pub fn of_network(network: &Network) -> Result<Self> {
        let ends = network.inputs().iter().map(|input| match (input.lower, input.upper) {
            (Some(lower), Some(upper)) => Ok((lower, upper)),
            _ => Err(Error::invalid(
                format!("input {:?}", input.name),
                "no lower and upper end in the network's file",
                "a box: --box a,b for all inputs, or ends in the file",
            )),
        });
        Self::new(ends.collect::<Result<Vec<_>>>()?)
    }

    /// The intervals, one for each input.
    pub fn intervals(&self) -> &[Interval] {
        &self.0
    }

    /// The number of inputs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no input.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the point (one coordinate for each input) lies in the box.
    pub fn contains(&self, point: &[f64]) -> bool {
        self.0.len() == point.len() && self.0.iter().zip(point).all(|(i, x)| i.contains(*x))
    }

    /// # Errors
    /// When the box does not have one interval for each input of the network.
    pub(crate) fn check(&self, network: &Network) -> Result<()> {
        if self.len() != network.inputs().len() {
            return Err(Error::invalid(
                "box",
                format!("{} intervals", self.len()),
                format!("{}, one for each input of the network", network.inputs().len()),
            ));
        }
        Ok(())
    }
}
