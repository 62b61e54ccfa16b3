//! temporary
use ndarray::{Array2, ArrayView2};
use crate::error::Result;
use crate::expand::Expansion;
impl Expansion {
    /// temporary
    pub fn forward(&self, inputs: ArrayView2<f64>) -> Result<Array2<f64>> { Ok(inputs.to_owned()) }
}
