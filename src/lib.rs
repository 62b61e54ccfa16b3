#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! Neural networks as polynomials one can hold in one's hand.

pub mod error;
pub mod file;
pub mod json;
pub mod numeric;
pub mod polynomial;
pub mod table;
pub mod network;
pub mod train;
pub mod expand;
pub mod export;
#[cfg(feature = "cli")]
pub mod report;

pub use error::{Error, Result};
pub use network::Network;
pub use polynomial::Polynomial;
pub use table::Table;
