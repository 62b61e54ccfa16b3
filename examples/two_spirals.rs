//! Two interleaved spirals: an SLNN as one polynomial in two variables, and its picture.
//!
//!     cargo run --release --example two_spirals [PICTURE.svg]

use ndarray::Array2;
use slnn::expand::{Limits, expand, plan};
use slnn::report;
use slnn::table::problems;
use slnn::train::{BasisKind, HiddenActivation, Loss, Options, Quiet, metrics, train};

fn main() -> slnn::Result<()> {
    let table = problems::two_spirals(1000, 1)?;
    let rows: Vec<usize> = (0..table.rows()).collect();
    let options = Options {
        hidden: vec![24, 12],
        degrees: vec![5],
        activation: HiddenActivation::Slaf {
            basis: BasisKind::Chebyshev,
            shared: false,
            attention: false,
        },
        loss: Loss::LogisticCrossEntropy,
        batch: Some(128),
        epochs: 1200,
        clip: Some(5.0),
        l2: 0.0,
        ..Options::default()
    };
    let network = train(&table, &rows, &options, &mut Quiet)?.network;

    // Points of the same spirals that training has not seen.
    let test = problems::two_spirals(1000, 2)?;
    let score = metrics::of(&network, test.inputs().view(), test.targets().view())?;
    let accuracy = score.accuracy.unwrap_or(0.0);
    println!(
        "accuracy on {} new points: {accuracy:.4}, with {} parameters",
        test.rows(),
        network.parameters()
    );
    assert!(accuracy >= 0.98);

    let predicted = plan(&network, None)?;
    println!(
        "planned: degree {}, {} terms, {:.0} bits",
        predicted.degree, predicted.terms, predicted.bits
    );
    let expansion = expand(&network, &Limits::default())?;
    println!(
        "the boundary is the zero set of one polynomial with {} exact terms",
        expansion.terms()
    );
    assert_eq!(expansion.degree(), 25);

    let path = std::env::args().nth(1).unwrap_or_else(|| "two_spirals.svg".into());
    let (side, extent) = (120, 15.0);
    let step = 2.0 * extent / side as f64;
    let grid = Array2::from_shape_fn((side * side, 2), |(cell, axis)| {
        let index = if axis == 0 { cell % side } else { cell / side };
        -extent + (index as f64 + 0.5) * step
    });
    let values = network.predict(grid.view())?;
    let values =
        Array2::from_shape_fn((side, side), |(row, column)| values[(row * side + column, 0)]);
    let points: Vec<_> = (0..table.rows())
        .map(|i| (table.inputs()[(i, 0)], table.inputs()[(i, 1)], table.targets()[(i, 0)] > 0.5))
        .collect();
    let frame = ((-extent, extent), (-extent, extent));
    let svg = report::surface("Two spirals, one polynomial", frame, &values, &points)?;
    slnn::file::write_atomically(path.as_ref(), |w| w.write_all(svg.as_bytes()))?;
    println!("picture: {path}");
    Ok(())
}
