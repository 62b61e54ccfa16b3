//! (network)
pub mod activation;
