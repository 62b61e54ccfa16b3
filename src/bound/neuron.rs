//! What is known of one neuron: its range and the proofs of that, its error, its slopes.

use crate::bound::relax::Relaxation;
use crate::numeric::outward::Interval;

/// What is known, and proven, of one neuron.
#[derive(Clone, Debug, PartialEq)]
pub struct Neuron {
    /// What the reference's pre-activation can be over the box.
    pub range: Interval,
    /// The slopes of the lines below and above the activation on the range.
    pub lines: [f64; 2],
    /// The range, enlarged by the error that arrives: what either pre-activation can be.
    pub interval: Interval,
    /// A bound of |p - s| on the interval.
    pub error: f64,
    /// The slopes of s on the interval, or those of p where they vary less: either carries the
    /// difference of the pre-activations on.
    pub slope: Interval,
    /// How the lower and the upper end of the range are proven, where the lines of all neurons alone do
    /// not prove them.
    pub proofs: [Option<Proof>; 2],
}

/// The range of one pre-activation and the lines that relax its activation there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranged {
    pub range: Interval,
    pub relaxation: Relaxation,
    /// How the two ends are proven, where the shared relaxations do not prove them.
    pub proofs: [Option<Proof>; 2],
}

/// How an end of a range is proven: the box is split by the signs of pre-activations, and on each
/// part a backward relaxation with slopes and multipliers of its own gives the bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// One backward relaxation.
    Leaf {
        /// (layer, neuron, slope of the line below), where it differs from the neuron's own.
        slopes: Vec<(usize, usize, f64)>,
        /// (layer, neuron, multiplier of the assumption made of its sign).
        multipliers: Vec<(usize, usize, f64)>,
    },
    /// The two parts where a pre-activation is at most 0 and at least 0.
    Split {
        /// The activation layer.
        layer: usize,
        /// Its neuron.
        neuron: usize,
        /// The proof where the pre-activation is at most 0.
        below: Box<Proof>,
        /// The proof where it is at least 0.
        above: Box<Proof>,
    },
}
