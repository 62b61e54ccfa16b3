//! (numeric)

pub mod elementary;
pub mod interval;
pub mod modular;
