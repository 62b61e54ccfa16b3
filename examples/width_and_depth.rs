//! Width and depth stop being hyper-parameters: two SLNNs of different width and depth but one total degree are elements
//! of one space of polynomials, and their distance in it falls while they learn one task.
//!
//!     cargo run --release --example width_and_depth [PICTURE.svg]
//!
//! One network has a hidden layer of 15 neurons of degree 4, the other two layers of 8 and 5 neurons of degree 2: both
//! are polynomials of total degree 4 in two variables, 15 numbers each. The task is a function that is no polynomial, so that both
//! must find the same compromise: the polynomial of least squared error.

use ndarray::Array2;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::ToPrimitive;
use slnn::expand::{Limits, expand};
use slnn::report::{self, Curve};
use slnn::train::baseline::linear_model;
use slnn::train::{Optimiser, Options, Quiet, train};
use slnn::{Polynomial, Table};

const SIDE: usize = 15;

fn main() -> slnn::Result<()> {
    let at = |k: usize| 2.0 * k as f64 / (SIDE - 1) as f64 - 1.0;
    let inputs = Array2::from_shape_fn((SIDE * SIDE, 2), |(i, axis)| {
        at(if axis == 0 { i % SIDE } else { i / SIDE })
    });
    let targets = Array2::from_shape_fn((SIDE * SIDE, 1), |(i, _)| {
        let (x1, x2) = (inputs[(i, 0)], inputs[(i, 1)]);
        (1.5 * x1 + x2 * x2).sin() + (x1 * x2).exp()
    });
    let names = || vec!["x1".to_owned(), "x2".to_owned()];
    let table = Table::new(inputs, targets, names(), vec!["y".into()], "two waves")?;
    let best = least_squares(&table)?;

    let wide = (vec![15], vec![4]);
    let deep = (vec![8, 5], vec![2, 2]);
    let mut curves: Vec<Curve> = [
        "coefficients: wide from deep",
        "values: wide from deep",
        "values: wide from the best polynomial",
        "values: deep from the best polynomial",
    ]
    .map(|name| Curve { name: name.into(), points: Vec::new() })
    .into();
    println!("epochs  coefficients   values   (root mean squares of the differences of the two)");
    let mut last = (0.0, 0.0);
    for epochs in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000] {
        let (wide, deep) = (learned(&table, &wide, epochs)?, learned(&table, &deep, epochs)?);
        let difference = &wide - &deep;
        let by_coefficients = norm(&difference);
        let by_values = rms(&difference, &table)?;
        println!("{epochs:6}  {by_coefficients:12.2e}  {by_values:7.1e}");
        let distances = [
            by_coefficients,
            by_values,
            rms(&(&wide - &best), &table)?,
            rms(&(&deep - &best), &table)?,
        ];
        let x = f64::from(epochs).log10();
        for (curve, distance) in curves.iter_mut().zip(distances) {
            curve.points.push((x, distance.max(1e-16).log10()));
        }
        last = (by_coefficients, by_values);
    }
    assert!(last.0 < 1e-3 && last.1 < 1e-3, "{last:?}");

    let path = std::env::args().nth(1).unwrap_or_else(|| "width_and_depth.svg".into());
    let (x, y) = ("log10 of epochs", "log10 of distance");
    let svg = report::curves("A wide and a deep SLNN become one polynomial", x, y, &curves)?;
    slnn::file::write_atomically(path.as_ref(), |w| w.write_all(svg.as_bytes()))?;
    println!("picture: {path}");
    Ok(())
}

/// What a network of this shape is after so many epochs, as an exact polynomial.
fn learned(
    table: &Table,
    (hidden, degrees): &(Vec<usize>, Vec<usize>),
    epochs: u32,
) -> slnn::Result<Polynomial<BigRational>> {
    let options = Options {
        hidden: hidden.clone(),
        degrees: degrees.clone(),
        optimiser: Optimiser::lbfgs(),
        l2: 0.0,
        epochs: epochs as usize,
        seed: 1,
        ..Options::default()
    };
    let rows: Vec<usize> = (0..table.rows()).collect();
    let network = train(table, &rows, &options, &mut Quiet)?.network;
    let expansion = expand(&network, &Limits::default())?;
    assert_eq!(expansion.degree(), 4);
    Ok(expansion.rational()?[0].clone())
}

/// The polynomial of degree 4 with the least squared error on the table: a linear model of the monomials.
fn least_squares(table: &Table) -> slnn::Result<Polynomial<BigRational>> {
    let exponents: Vec<[u32; 2]> = (1..=4u32)
        .flat_map(|degree| (0..=degree).map(move |second| [degree - second, second]))
        .collect();
    let monomial = |i: usize, e: [u32; 2]| {
        let x = table.inputs().row(i);
        x[0].powi(e[0] as i32) * x[1].powi(e[1] as i32)
    };
    let features =
        Array2::from_shape_fn((table.rows(), exponents.len()), |(i, j)| monomial(i, exponents[j]));
    let names = (1..=exponents.len()).map(|j| format!("m{j}")).collect();
    let rows: Vec<usize> = (0..table.rows()).collect();
    let outputs = vec!["y".to_owned()];
    let monomials = Table::new(features, table.targets().clone(), names, outputs, "monomials")?;
    let expansion = expand(&linear_model(&monomials, &rows)?, &Limits::default())?;
    let linear = &expansion.rational()?[0];
    // The coefficient of the j-th feature is that of the j-th monomial.
    let terms = linear.terms().map(|(powers, c)| {
        let own = powers.iter().position(|p| *p == 1).map_or([0, 0], |j| exponents[j]);
        (own.to_vec(), c.clone())
    });
    Polynomial::from_terms(2, terms)
}

/// The Euclidean norm of the coefficients, from their exact squares.
fn norm(p: &Polynomial<BigRational>) -> f64 {
    let sum: BigRational = p.terms().map(|(_, c)| c * c).sum();
    sum.to_f64().unwrap_or(f64::INFINITY).sqrt()
}

/// The root mean square over the rows, from exact values.
fn rms(p: &Polynomial<BigRational>, table: &Table) -> slnn::Result<f64> {
    let zero = || BigRational::from_integer(BigInt::from(0));
    let exact = |x: &f64| BigRational::from_float(*x).unwrap_or_else(zero);
    let mut squares = 0.0;
    for row in table.inputs().rows() {
        let point: Vec<BigRational> = row.iter().map(exact).collect();
        squares += p.evaluate(&point)?.to_f64().unwrap_or(f64::INFINITY).powi(2);
    }
    Ok((squares / table.rows() as f64).sqrt())
}
