#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! Neural networks as polynomials one can hold in one's hand.

pub mod error;
pub mod expand;
pub mod export;
pub mod file;
pub mod json;
pub mod network;
pub mod numeric;
pub mod polynomial;
#[cfg(feature = "cli")]
pub mod report;
pub mod table;
pub mod train;

pub use error::{Error, Result, TooLarge};
pub use network::Network;
pub use polynomial::Polynomial;
pub use table::Table;
