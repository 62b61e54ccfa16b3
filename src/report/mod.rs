//! Pictures of a result, as SVG.

mod chart;

pub use chart::{Curve, beside, curves, predicted_against_measured, surface};
