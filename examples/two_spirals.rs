//! Two interleaved spirals: an SLNN of 531 parameters beside a ReLU network of 1,801, and a picture of both.
//!
//!     cargo run --release --example two_spirals [PICTURE.svg]
//!
//! The SLNN is 2-20-20-1 with one SLAF of degree 7 a layer, shared by its neurons, and learned factors for its degrees;
//! its decision boundary is the zero set of one polynomial of degree 49 in two variables. The ReLU network is 2-40-40-1.

use ndarray::Array2;
use slnn::Table;
use slnn::expand::{Limits, expand};
use slnn::network::{Activation, Network};
use slnn::report;
use slnn::table::problems;
use slnn::train::{BasisKind, HiddenActivation, Loss, Objective, Options, Quiet, metrics, train};

fn main() -> slnn::Result<()> {
    let table = problems::two_spirals(8000, 1)?;
    // Points of the same spirals that training has not seen.
    let test = problems::two_spirals(8000, 2)?;
    let (basis, shared, attention) = (BasisKind::Chebyshev, true, true);
    let slaf = HiddenActivation::Slaf { basis, shared, attention };
    let (slnn, accuracy) = trained(&table, &test, "SLNN", &[20, 20], slaf)?;
    let relu = HiddenActivation::Function(Activation::Relu);
    let (relu, _) = trained(&table, &test, "ReLU", &[40, 40], relu)?;
    assert!(accuracy >= 0.995);

    let expansion = expand(&slnn, &Limits::default())?;
    println!(
        "the SLNN's boundary is the zero set of one polynomial of degree {} with {} exact terms",
        expansion.degree(),
        expansion.terms()
    );

    let path = std::env::args().nth(1).unwrap_or_else(|| "two_spirals.svg".into());
    let pictures =
        [surface("SLNN, one polynomial", &slnn, &test)?, surface("ReLU network", &relu, &test)?];
    let svg = report::beside(&pictures)?;
    slnn::file::write_atomically(path.as_ref(), |w| w.write_all(svg.as_bytes()))?;
    println!("picture: {path}");
    Ok(())
}

/// The trained network and its accuracy on the test points.
fn trained(
    table: &Table,
    test: &Table,
    name: &str,
    hidden: &[usize],
    activation: HiddenActivation,
) -> slnn::Result<(Network, f64)> {
    let rows: Vec<usize> = (0..table.rows()).collect();
    let options = Options {
        hidden: hidden.to_vec(),
        degrees: vec![7],
        activation,
        loss: Loss::LogisticCrossEntropy,
        batch: Some(256),
        epochs: 40,
        clip: Some(5.0),
        l2: 0.0,
        ..Options::default()
    };
    let parameters = Objective::new(table, &rows, &options)?.parameters();
    let network = train(table, &rows, &options, &mut Quiet)?.network;
    let score = metrics::of(&network, test.inputs().view(), test.targets().view())?;
    let accuracy = score.accuracy.unwrap_or(0.0);
    println!(
        "{name}: {parameters} parameters, accuracy on {} new points {accuracy:.4}",
        test.rows()
    );
    Ok((network, accuracy))
}

/// The answers of a network over the plane, with some of the points upon them.
fn surface(title: &str, network: &Network, test: &Table) -> slnn::Result<String> {
    let (side, extent) = (120, 15.0);
    let step = 2.0 * extent / side as f64;
    let grid = Array2::from_shape_fn((side * side, 2), |(cell, axis)| {
        let index = if axis == 0 { cell % side } else { cell / side };
        -extent + (index as f64 + 0.5) * step
    });
    let values = network.predict(grid.view())?;
    let values =
        Array2::from_shape_fn((side, side), |(row, column)| values[(row * side + column, 0)]);
    let point = |i: usize| {
        let x = test.inputs().row(i);
        (x[0], x[1], test.targets()[(i, 0)] > 0.5)
    };
    let points: Vec<_> = (0..test.rows()).step_by(8).map(point).collect();
    report::surface(title, ((-extent, extent), (-extent, extent)), &values, &points)
}
