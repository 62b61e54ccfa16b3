//! Exact and rigorous numbers, below everything else in the house.
//!
//! [`Dyadic`] is an integer times a power of two: the ring in which every
//! finite `f64` lives exactly. [`rational`] converts between `f64`, text and
//! fractions with one correct rounding or none. [`interval`] and [`elementary`]
//! enclose what has no rational value, [`outward`] does so in f64 for whole networks, [`fixed`] has
//! numbers of 128 bits for where f64 is too short, [`modular`] computes modulo large primes,
//! [`residues`] modulo many primes at once.

pub mod dyadic;
pub mod elementary;
pub mod fixed;
pub mod interval;
pub mod modular;
pub(crate) mod odd;
pub mod outward;
pub mod rational;
pub mod residues;

pub use dyadic::Dyadic;
