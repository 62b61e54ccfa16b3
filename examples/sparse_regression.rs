//! Ten monomials hidden among the 176,851 of degree 3 in 100 inputs, read off the trained network.
//!
//!     cargo run --release --example sparse_regression [DEGREE [SEED]]
//!
//! `y` is the sum of ten random monomials of degree 3 in 100 normal inputs, an experiment of the SLAF paper's authors. L1 as a
//! step of its own on the first layer takes the inputs that do not matter out of the network, exactly; what is left is
//! expanded, and its exact coefficients *are* the list of what the network has learned.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use slnn::Network;
use slnn::error::Error;
use slnn::expand::{Limits, expand};
use slnn::network::{Affine, Layer};
use slnn::table::problems;
use slnn::train::routine::Named;
use slnn::train::{Options, Penalised, Quiet, train};

const INPUTS: usize = 100;
const MONOMIALS: usize = 10;

fn main() -> slnn::Result<()> {
    let mut arguments = std::env::args().skip(1).filter_map(|a| a.parse().ok());
    let mut argument = |default: usize| arguments.next().unwrap_or(default);
    let (degree, seed) = (argument(3), argument(1) as u64);
    let (rows, neurons, epochs) = (argument(30_000), argument(64), argument(100));
    let (batch, l1) = (argument(500), argument(1000) as f64 * 1e-6);
    let (table, hidden) = problems::sparse_polynomial(INPUTS, MONOMIALS, degree, rows, seed)?;
    let options = Named::PenaltyStep.apply(Options {
        hidden: vec![neurons],
        degrees: vec![degree],
        batch: Some(batch),
        epochs,
        l1,
        l2: 0.0,
        penalised: Penalised::FirstLayer,
        seed,
        ..Options::default()
    });
    let all: Vec<usize> = (0..rows).collect();
    let trained = train(&table, &all, &options, &mut Quiet)?;
    let (network, used) = without_unused_inputs(&trained.network)?;
    println!(
        "{} rows, 100-{neurons}-1 of degree {degree}, loss {:.1e} of the variance; {} inputs are used",
        rows,
        trained.loss,
        used.len()
    );
    let expansion = expand(&network, &Limits::default())?;
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

/// The network without inputs whose weights are all 0, and the inputs that it keeps: the same
/// polynomial in fewer variables.
fn without_unused_inputs(network: &Network) -> slnn::Result<(Network, Vec<usize>)> {
    let Some((Layer::Affine(first), others)) = network.layers().split_first() else {
        return Err(Error::invalid("network", "no affine layer first", "a trained network"));
    };
    let weight = first.weight().to_f64();
    let used: Vec<usize> =
        (0..weight.ncols()).filter(|&j| weight.column(j).iter().any(|w| *w != 0.0)).collect();
    let kept = weight.select(ndarray::Axis(1), &used);
    let mut layers = vec![Layer::Affine(Affine::new(kept, first.bias().clone())?)];
    layers.extend_from_slice(others);
    let inputs = used.iter().map(|&j| network.inputs()[j].clone()).collect();
    let network = Network::new(inputs, network.outputs().to_vec(), layers, network.head())?;
    Ok((network, used))
}
