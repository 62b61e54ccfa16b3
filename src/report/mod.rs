//! Pictures of a result, as SVG.

mod chart;

pub use chart::{Curve, curves, predicted_against_measured, surface};
