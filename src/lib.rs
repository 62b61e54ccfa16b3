#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! Neural networks as polynomials one can hold in one's hand.
//!
//! An SLNN is a network whose activations are learned polynomials (SLAFs: weighted sums of basis
//! elements; Goyal, Goyal, Lall 2019). Such a network *is* a collection of polynomials of finite
//! degree, and this library finds them exactly, in rational arithmetic:
//!
//! ```text
//!   table ──train──▶ network ──expand──▶ polynomials ──export──▶ JSON, LaTeX, Python, SymPy
//!                       ▲                    │
//!                       └── prove_equal ─────┘   from_polynomial leads back
//! ```
//!
//! ```
//! use slnn::expand::{Limits, expand, prove_equal};
//! use slnn::table::problems;
//! use slnn::train::{Optimiser, Options, Quiet, train};
//!
//! // A table: here exclusive or, elsewhere `Table::read`.
//! let table = problems::xor();
//!
//! // One neuron whose activation is a learned polynomial of degree 2.
//! let options = Options {
//!     hidden: vec![1],
//!     degrees: vec![2],
//!     optimiser: Optimiser::lbfgs(),
//!     l2: 0.0,
//!     target_loss: Some(1e-24),
//!     restarts: 20,
//!     epochs: 500,
//!     ..Options::default()
//! };
//! let network = train(&table, &[0, 1, 2, 3], &options, &mut Quiet)?.network;
//!
//! // The network is a polynomial of degree 2 in two variables, with every coefficient exact.
//! let expansion = expand(&network, &Limits::default())?;
//! assert_eq!(expansion.degree(), 2);
//!
//! // Not nearly: the exact values agree at the six points that determine such a polynomial.
//! assert_eq!(prove_equal(&network, &expansion)?.points, 6);
//! # Ok::<(), slnn::Error>(())
//! ```
//!
//! Networks with ReLU, tanh and their like come to this by [`bound::approximate`](bound::approximate()):
//! an SLNN with the same weights, a proven bound of the largest difference on a box, and a
//! certificate that [`bound::check`](bound::check()) confirms by code of its own.
//!
//! Where to look: [`table`] reads data, [`train`] learns, [`network`] holds and evaluates,
//! [`bound`] replaces other activations, [`expand`] finds the polynomials and proves them, [`export`]
//! writes them, [`polynomial`] computes with them. The exact numbers below are `num_rational::BigRational`, the arrays `ndarray`.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod approximate;
pub mod bound;
pub mod error;
pub mod expand;
pub mod export;
pub mod file;
pub mod json;
pub mod memory;
pub mod network;
pub mod numeric;
pub mod polynomial;
#[cfg(feature = "cli")]
pub mod report;
pub mod table;
pub mod train;

pub use error::{Error, Result, TooLarge};
pub use expand::Expansion;
pub use network::Network;
pub use polynomial::Polynomial;
pub use table::Table;
