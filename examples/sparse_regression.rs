//! Ten monomials hidden among the 176,851 of degree 3 in 100 inputs, read off a trained network.
//!
//!     cargo run --release --example sparse_regression [SEED]
//!
//! `y` is the sum of ten random monomials of degree 3 in 100 normal inputs, an experiment of the SLAF paper's authors. A first
//! network on all inputs, with L1 as a step of its own on its first layer, says which inputs matter: those without which
//! its error rises. A second network on these alone is trained to the end and expanded: its exact coefficients *are* the
//! list of what it has learned.

use ndarray::Axis;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use slnn::expand::{Limits, expand};
use slnn::table::problems;
use slnn::train::routine::Named;
use slnn::train::{Optimiser, Options, Penalised, Quiet, metrics, train};
use slnn::{Network, Table};

const INPUTS: usize = 100;
const MONOMIALS: usize = 10;
const DEGREE: usize = 3;
const NEURONS: usize = 64;

fn main() -> slnn::Result<()> {
    let seed = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let (table, hidden) = problems::sparse_polynomial(INPUTS, MONOMIALS, DEGREE, 30_000, seed)?;

    let base = Options { hidden: vec![NEURONS], degrees: vec![DEGREE], seed, ..Options::default() };
    let first = Named::PenaltyStep.apply(Options {
        batch: Some(500),
        epochs: 30,
        l1: 1e-2,
        l2: 0.0,
        penalised: Penalised::FirstLayer,
        ..base.clone()
    });
    let all: Vec<usize> = (0..table.rows()).collect();
    let trained = train(&table, &all, &first, &mut Quiet)?;
    let used = inputs_that_matter(&trained.network, &table)?;
    println!(
        "100-{NEURONS}-1 of degree {DEGREE}: loss {:.3} of the variance; {} of {INPUTS} inputs matter",
        trained.loss,
        used.len()
    );

    let names = used.iter().map(|&j| table.input_names()[j].clone()).collect();
    let inputs = table.inputs().select(Axis(1), &used);
    let outputs = table.target_names().to_vec();
    let fewer = Table::new(inputs, table.targets().clone(), names, outputs, "inputs that matter")?;
    let last = Options {
        optimiser: Optimiser::lbfgs(),
        epochs: 800,
        l2: 0.0,
        target_loss: Some(1e-14),
        ..base
    };
    let rows: Vec<usize> = (0..6000).collect();
    let trained = train(&fewer, &rows, &last, &mut Quiet)?;
    println!(
        "{}-{NEURONS}-1 of degree {DEGREE}: loss {:.1e} after {} iterations",
        used.len(),
        trained.loss,
        trained.epochs
    );

    let expansion = expand(&trained.network, &Limits::default())?;
    let one = BigRational::from_integer(BigInt::from(1));
    let number = |x: &BigRational| x.to_f64().unwrap_or(f64::INFINITY);
    let (mut found, mut smallest, mut largest) = (0, f64::INFINITY, 0f64);
    for (own, coefficient) in expansion.rational()?[0].terms() {
        let mut exponents = vec![0; INPUTS];
        used.iter().zip(own).for_each(|(&input, &power)| exponents[input] = power);
        if !hidden.contains(&exponents) {
            largest = largest.max(number(&coefficient.abs()));
            continue;
        }
        found += 1;
        smallest = smallest.min(number(&coefficient.abs()));
        let factors = exponents.iter().enumerate().filter(|(_, power)| **power > 0);
        let name = |(i, power): (usize, &u32)| match power {
            1 => format!("x{}", i + 1),
            _ => format!("x{}^{power}", i + 1),
        };
        let monomial: Vec<String> = factors.map(name).collect();
        println!("  {:16} 1 {:+.1e}", monomial.join(" "), number(&(coefficient - &one)));
    }
    println!(
        "{found} of {MONOMIALS} monomials; every other of {} coefficients at most {largest:.1e}",
        expansion.terms()
    );
    assert!(found == MONOMIALS && largest < 0.01 * smallest);
    Ok(())
}

/// The inputs without which, at 0 in place of their values, the squared error rises by more than a
/// hundredth of the variance of the targets.
fn inputs_that_matter(network: &Network, table: &Table) -> slnn::Result<Vec<usize>> {
    let some: Vec<usize> = (0..2000).collect();
    let some = table.select(&some);
    let targets = some.targets();
    let error = |inputs: &ndarray::Array2<f64>| -> slnn::Result<f64> {
        Ok(metrics::rmse(network.forward(inputs.view())?.view(), targets.view())?.powi(2))
    };
    let before = error(some.inputs())?;
    let mut used = Vec::new();
    for j in 0..INPUTS {
        let mut without = some.inputs().clone();
        without.column_mut(j).fill(0.0);
        if error(&without)? > before + 0.01 * targets.var(0.0) {
            used.push(j);
        }
    }
    Ok(used)
}
