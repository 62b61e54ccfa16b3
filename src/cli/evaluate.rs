//! `slnn evaluate`: the values of a network or a polynomial on the rows of a table.

use std::path::PathBuf;

use clap::Args;
use ndarray::{Array2, ArrayView1};
use slnn::error::{Error, Result};
use slnn::expand::Model;
use slnn::file::write_atomically;
use slnn::network::Head;

use super::Globals;
use super::answer::{Answer, Outcome, counted};
use super::domain::outside;
use super::input::{TableArguments, check_output, read_model};
use super::score::{Score, check_finite};

/// Writes the outputs for every row of a table
///
/// One column an output, after the head; for classes a column `label` with the likeliest. The
/// inputs are found in the table by their names; where it has the targets too, the outputs are
/// scored.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example: slnn evaluate cars.json cars.csv -o predictions.csv"
)]
pub struct Arguments {
    /// A network, also in an ONNX file, or a polynomial
    #[arg(value_name = "NET-or-POLY")]
    model: PathBuf,
    /// A CSV, .npy or IDX file with the inputs, or the name of a built-in table
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// Where to write the outputs
    #[arg(short, long, value_name = "PREDICTIONS.csv")]
    output: PathBuf,
    /// For a polynomial, add a column NAME_bound: a proven bound on the rounding error
    #[arg(long)]
    bounds: bool,
    #[command(flatten)]
    columns: TableArguments,
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    let mut files = vec![arguments.model.as_path(), &arguments.table];
    files.extend(arguments.columns.labels.as_deref());
    check_output(&arguments.output, &files)?;
    let model = read_model(&arguments.model, globals)?;
    let (names, outputs, head) = match &model {
        Model::Network(n) => (n.input_names(), n.outputs().to_vec(), n.head()),
        Model::Expansion(e) => (e.variables().to_vec(), e.outputs().to_vec(), e.head()),
    };
    let remembered = remembered_target(&model);
    let (inputs, targets) =
        arguments.columns.read_for(&arguments.table, &names, &outputs, remembered)?;

    let (values, bounds) = match (&model, arguments.bounds) {
        (Model::Network(network), false) => (network.forward(inputs.view())?, None),
        (Model::Expansion(expansion), false) => (expansion.forward(inputs.view())?, None),
        (Model::Expansion(expansion), true) if head == Head::Identity => {
            let (values, bounds) = expansion.forward_with_bounds(inputs.view())?;
            (values, Some(bounds))
        }
        (Model::Network(_), true) => {
            return Err(Error::invalid(
                "--bounds",
                "a network",
                "a polynomial: expand the network first",
            ));
        }
        (Model::Expansion(_), true) => {
            return Err(Error::invalid(
                "--bounds",
                format!("the head {}", head.name()),
                "a polynomial without a head: bounds hold before the head",
            ));
        }
    };

    let of_table = |error: Error| error.within(arguments.table.display());
    check_finite(&values, &outputs).map_err(of_table)?;
    let score =
        targets.map(|targets| Score::of(values.clone(), targets.view(), head)).transpose()?;
    let outside = outside(&model, inputs.view());
    let mut predictions = values;
    head.apply(&mut predictions);
    write(arguments, &outputs, &predictions, bounds.as_ref(), head)?;

    let mut answer = Answer::default();
    answer.set("rows", predictions.nrows());
    answer.set("outputs", outputs);
    answer.set("outside_box", outside);
    answer.set("score", score.as_ref().map(Score::to_value));
    answer.set("file", arguments.output.display().to_string());
    answer.line(format_args!(
        "{} written to {}",
        counted(predictions.nrows(), "row"),
        arguments.output.display()
    ));
    if let Some(score) = score {
        answer.table(&[score.heading(), score.row("table")]);
    }
    if let Some(outside) = outside.filter(|rows| *rows > 0) {
        answer.line(format_args!(
            "outside the training box, where the outputs mean little: {outside} of {}",
            counted(predictions.nrows(), "row")
        ));
    }
    Ok(answer)
}

/// The column that held the class labels when the network was trained.
fn remembered_target(model: &Model) -> Option<String> {
    let about = match model {
        Model::Network(network) => network.about(),
        Model::Expansion(expansion) => expansion.about(),
    };
    about.get("target").and_then(|name| name.as_str()).map(str::to_owned)
}

/// A name that no other column has.
fn free(mut name: String, others: &[String]) -> String {
    while others.contains(&name) {
        name.push('_');
    }
    name
}

/// The index of the largest entry, the first of equals.
fn largest(row: ArrayView1<f64>) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

fn write(
    arguments: &Arguments,
    outputs: &[String],
    values: &Array2<f64>,
    bounds: Option<&Array2<f64>>,
    head: Head,
) -> Result<()> {
    let mut names = outputs.to_vec();
    if bounds.is_some() {
        for name in outputs {
            names.push(free(format!("{name}_bound"), &names));
        }
    }
    let labelled = head == Head::Softmax;
    if labelled {
        names.push(free("label".into(), &names));
    }
    slnn::file::remove_stale(&arguments.output)?;
    write_atomically(&arguments.output, |out| {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(&names)?;
        for (index, row) in values.rows().into_iter().enumerate() {
            let bounds = bounds.map(|bounds| bounds.row(index));
            let numbers = row.iter().chain(bounds.iter().flatten());
            let mut record: Vec<String> = numbers.map(|x| format!("{x:?}")).collect();
            if labelled {
                record.push(outputs[largest(row)].clone());
            }
            writer.write_record(record)?;
        }
        writer.flush()
    })
}
