//! STUB
#![allow(missing_docs, dead_code)]
use crate::error::Result;
use crate::network::Activation;
use crate::numeric::outward::Interval;
#[derive(Clone, Debug)]
pub struct Fit {
    pub centre: f64,
    pub scale: f64,
    pub coefficients: Vec<f64>,
    pub interval: Interval,
    pub error: f64,
    pub lower_bound: f64,
    pub at_floor: bool,
}
impl Fit {
    pub fn degree(&self) -> usize {
        self.coefficients.len().saturating_sub(1)
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Minimax,
    Interpolation,
    Chebyshev,
    Jackson,
}
pub fn fit(_a: Activation, _i: Interval, _d: usize, _m: Method) -> Result<Fit> {
    todo!()
}
pub fn slope_range(_a: Activation, _i: Interval) -> Interval {
    todo!()
}
pub fn value_range(_a: Activation, _i: Interval) -> Interval {
    todo!()
}
