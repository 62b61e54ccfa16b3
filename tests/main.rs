//! Every integration test in one binary, so that the library is compiled in and linked once.
//! One file: `cargo test --test suite expansion::`.

mod activation;
mod approximate;
mod check;
#[cfg(feature = "cli")]
mod cli;
mod common;
mod ensemble;
mod equality;
mod expansion;
mod formats;
mod gradients;
#[cfg(feature = "cli")]
mod interruption;
mod layers;
mod network;
mod onnx;
mod polynomial;
mod recipes;
mod representation;
mod series;
mod table;
mod theorem;
mod training;
