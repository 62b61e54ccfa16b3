//! Exclusive or by one neuron: trained, made rational, proven exact, and read as a formula.
//!
//!     cargo run --release --example xor

use slnn::expand::{Limits, expand, prove_equal};
use slnn::table::problems;
use slnn::train::rationalise::{RationaliseOptions, rationalise};
use slnn::train::{Optimiser, Options, Quiet, train};

fn main() -> slnn::Result<()> {
    let table = problems::xor();
    let rows = [0, 1, 2, 3];
    let mut restarts = 0;
    let mut formulas = Vec::new();
    for seed in 0..20 {
        let options = Options {
            hidden: vec![1],
            degrees: vec![2],
            optimiser: Optimiser::lbfgs(),
            l2: 0.0,
            epochs: 500,
            target_loss: Some(1e-26),
            restarts: 50,
            seed,
            ..Options::default()
        };
        let trained = train(&table, &rows, &options, &mut Quiet)?;
        restarts += trained.restarts;
        let outputs = trained.network.forward(table.inputs().view())?;
        let residual = (&outputs - table.targets()).iter().map(|e| e * e).sum::<f64>().sqrt();
        assert!(residual <= 1e-12, "seed {seed}: residual {residual:e}");

        // From here on nothing is rounded: small rationals, and a residual that is zero exactly.
        let rational =
            rationalise(&trained.network, &table, &rows, &RationaliseOptions::default())?;
        assert!(rational.zero, "seed {seed}: exact residual {}", rational.residual);
        let expansion = expand(&rational.network, &Limits::default())?;
        prove_equal(&rational.network, &expansion)?;
        formulas.push(expansion.rational()?[0].to_string());
    }
    println!("XOR from one neuron of degree 2: 20 of 20 seeds, {restarts} restarts in all.");
    println!("With small rationals, proven to have no error at all on the four rows:");
    formulas.sort();
    formulas.dedup();
    for formula in formulas.iter().take(5) {
        println!("  y = {formula}");
    }
    Ok(())
}
