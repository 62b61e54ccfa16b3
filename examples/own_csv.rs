//! Your own table: read a CSV file, train, expand, prove, predict.
//!
//!     cargo run --release --example own_csv -- TABLE.csv TARGET
//!
//! Without arguments: the three species of iris, from examples/data.

use std::path::PathBuf;

use slnn::Table;
use slnn::expand::{Limits, expand, prove_equal};
use slnn::table::{ReadOptions, Split};
use slnn::train::{Loss, Options, Quiet, metrics, train};

fn main() -> slnn::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let iris = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/iris.csv");
    let path = arguments.next().map_or_else(|| PathBuf::from(iris), PathBuf::from);
    let target = arguments.next().unwrap_or_else(|| "species".into());

    let table = Table::read(&path, &ReadOptions::targets([target.as_str()]))?;
    let split = Split::by_fraction(table.rows(), 0.2, 1)?;
    let classes = table.classes().map(<[String]>::len);
    let options = Options {
        hidden: vec![6],
        degrees: vec![2],
        epochs: 500,
        l2: 1e-3,
        loss: if classes.is_some() { Loss::SoftmaxCrossEntropy } else { Loss::MeanSquaredError },
        ..Options::default()
    };
    let network = train(&table, &split.train, &options, &mut Quiet)?.network;

    let test = table.select(&split.test);
    let score = metrics::of(&network, test.inputs().view(), test.targets().view())?;
    match (score.accuracy, score.rmse) {
        (Some(accuracy), _) => println!("test accuracy {accuracy:.3} on {} rows", test.rows()),
        (_, Some(rmse)) => println!("test rmse {rmse:.4} on {} rows", test.rows()),
        _ => {}
    }
    if path.ends_with("iris.csv") {
        assert!(score.accuracy.is_some_and(|accuracy| accuracy >= 0.9));
    }

    let expansion = expand(&network, &Limits::default())?;
    let proof = prove_equal(&network, &expansion)?;
    println!(
        "{} exact polynomials of degree {} with {} terms, equal to the network at all {} points \
         that determine them",
        expansion.outputs().len(),
        expansion.degree(),
        expansion.terms(),
        proof.points
    );
    // The polynomials predict what the network predicts.
    let outputs = expansion.forward(test.inputs().view())?;
    let expected = network.forward(test.inputs().view())?;
    let scale = expected.iter().fold(1.0_f64, |scale, y| scale.max(y.abs()));
    assert!((&outputs - &expected).iter().all(|e| e.abs() <= 1e-6 * scale));
    Ok(())
}
