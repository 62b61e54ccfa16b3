//! Ten monomials of degree 3 and 4 hidden among the 4,598,126 of up to degree 4 in 100 inputs, read off a trained network.
//!
//!     cargo run --release --example sparse_regression [SEED]
//!
//! `y` is the sum of ten random monomials in 100 normal inputs, each of degree 3 or 4, an experiment of the SLAF paper's
//! authors. Such a `y` correlates with nothing of a lower degree than its monomials, so that a network on all inputs sees
//! next to no gradient; but its *size* does: where an input that matters is large, `|y|` tends to be. So a first network,
//! of degree 2, learns the root of `|y|` from all inputs and is expanded: its coefficients of squares say which inputs
//! matter. A second network, of degree 4, learns `y` from these alone and is expanded: its exact coefficients *are* the
//! list of what it has learned.

use ndarray::Axis;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use slnn::expand::{Limits, expand};
use slnn::table::problems;
use slnn::train::{Optimiser, Options, Quiet, train};
use slnn::{Network, Table};

const INPUTS: usize = 100;
const MONOMIALS: usize = 10;
/// The degree of the network of the size, and its neurons: a quadratic form in 100 inputs of which some 30 matter.
const FIRST: (usize, usize) = (2, 64);
/// The same of the network that is read: a product of four inputs alone takes eight neurons.
const SECOND: (usize, usize) = (4, 192);

fn main() -> slnn::Result<()> {
    let seed = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let (table, hidden) = problems::sparse_polynomial(INPUTS, MONOMIALS, 3..=4, 60_000, seed)?;

    let options = |(degree, neurons)| Options {
        hidden: vec![neurons],
        degrees: vec![degree],
        optimiser: Optimiser::Lbfgs { history: 100 },
        l2: 0.0,
        seed,
        ..Options::default()
    };
    let (names, outputs) = (table.input_names().to_vec(), table.target_names().to_vec());
    let roots = table.targets().mapv(|y| y.abs().sqrt());
    let size = Table::new(table.inputs().clone(), roots, names, outputs, "root of the size")?;
    let all: Vec<usize> = (0..size.rows()).collect();
    let first = Options { epochs: 100, ..options(FIRST) };
    let trained = train(&size, &all, &first, &mut Quiet)?;
    let used = inputs_that_matter(&trained.network)?;
    println!(
        "{INPUTS}-{}-1 of degree {}, size: loss {:.3} of the variance; {} of {INPUTS} inputs matter",
        FIRST.1,
        FIRST.0,
        trained.loss,
        used.len()
    );

    let names = used.iter().map(|&j| table.input_names()[j].clone()).collect();
    let inputs = table.inputs().select(Axis(1), &used);
    let outputs = table.target_names().to_vec();
    let fewer = Table::new(inputs, table.targets().clone(), names, outputs, "inputs that matter")?;
    let rows: Vec<usize> = (0..12_000).collect();
    let second = Options { epochs: 8000, target_loss: Some(1e-8), ..options(SECOND) };
    let trained = train(&fewer, &rows, &second, &mut Quiet)?;
    println!(
        "{}-{}-1 of degree {}: loss {:.1e} after {} iterations",
        used.len(),
        SECOND.1,
        SECOND.0,
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

/// The inputs whose square has a coefficient that stands out from those of products of two inputs, which for the most
/// part are noise: more than four times their root mean square.
fn inputs_that_matter(network: &Network) -> slnn::Result<Vec<usize>> {
    let (mut squares, mut products) = ([0.0; INPUTS], Vec::new());
    for (exponents, coefficient) in expand(network, &Limits::default())?.rational()?[0].terms() {
        let coefficient = coefficient.to_f64().unwrap_or(f64::INFINITY);
        if let Some(input) = exponents.iter().position(|&power| power == 2) {
            squares[input] = coefficient;
        } else if exponents.iter().sum::<u32>() == 2 {
            products.push(coefficient * coefficient);
        }
    }
    let noise = (products.iter().sum::<f64>() / products.len() as f64).sqrt();
    Ok((0..INPUTS).filter(|&input| squares[input] > 4.0 * noise).collect())
}
