//! Ten monomials hidden among the thousands in 100 inputs, read off the trained network.
//!
//!     cargo run --release --example sparse_regression [DEGREE [ROWS [NEURONS [EPOCHS [SEED]]]]]
//!
//! `y` is the sum of ten random monomials of degree 3 in 100 normal inputs, an experiment of the SLAF paper's authors. The network
//! sees numbers only; its exact expansion then *is* the list of what it has learned: the ten monomials with coefficients near
//! 1, and all others near 0.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::ToPrimitive;
use slnn::expand::{Limits, expand};
use slnn::table::problems;
use slnn::train::routine::Named;
use slnn::train::{Control, Optimiser, Options, Penalised, Progress, train};
use std::time::Instant;

const INPUTS: usize = 100;

struct Shown(Instant);

impl Control for Shown {
    fn progress(&mut self, p: &Progress) {
        if p.epoch.is_multiple_of((p.epochs / 20).max(1)) {
            println!(
                "epoch {}: loss {:.3e}, {:.0} s",
                p.epoch,
                p.loss,
                self.0.elapsed().as_secs_f64()
            );
        }
    }
}

fn main() -> slnn::Result<()> {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let argument = |i: usize, default: usize| arguments.get(i).copied().unwrap_or(default);
    let (degree, rows, neurons) = (argument(0, 3), argument(1, 30_000), argument(2, 80));
    let (epochs, seed) = (argument(3, 400), argument(4, 1));
    let lbfgs = argument(5, 1) == 1;
    let (table, hidden) = problems::sparse_polynomial(INPUTS, 10, degree, rows, seed as u64)?;
    let mut options = Options {
        hidden: vec![neurons],
        degrees: vec![degree],
        epochs,
        l2: 0.0,
        seed: seed as u64,
        ..Options::default()
    };
    if lbfgs {
        options.optimiser = Optimiser::lbfgs();
    } else {
        options = Named::PenaltyStep.apply(options);
        options.batch = Some(500);
        options.l1 = 1e-3 * argument(6, 1) as f64;
        options.penalised = Penalised::FirstLayer;
    }
    let all: Vec<usize> = (0..rows).collect();
    let trained = train(&table, &all, &options, &mut Shown(Instant::now()))?;
    println!("loss {:.3e}", trained.loss);
    let expansion = expand(&trained.network, &Limits::default())?;
    let polynomial = &expansion.rational()?[0];
    let one = BigRational::from_integer(BigInt::from(1));
    let (mut smallest, mut error, mut largest, mut found) = (f64::INFINITY, 0f64, 0f64, 0);
    for (exponents, c) in polynomial.terms() {
        let value = c.to_f64().unwrap_or(f64::INFINITY);
        if hidden.iter().any(|h| h.as_slice() == exponents) {
            found += 1;
            smallest = smallest.min(value.abs());
            error = error.max((c - &one).to_f64().unwrap_or(f64::INFINITY).abs());
        } else {
            largest = largest.max(value.abs());
        }
    }
    println!(
        "{found} of 10 found, coefficients within {error:.2e} of 1; every other of {} at most {largest:.2e}",
        polynomial.len()
    );
    Ok(())
}
