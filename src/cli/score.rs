//! The figures of a set of rows, for people and for machines.

use ndarray::{Array2, ArrayView2};
use serde_json::{Map, Value, json};
use slnn::error::{Error, Result};
use slnn::network::Head;
use slnn::train::metrics::{self, Metrics};

use super::answer::short;

/// The figures of one set of rows, in the table's own units.
#[derive(Clone, Debug)]
pub struct Score {
    rows: usize,
    metrics: Metrics,
}

impl Score {
    /// The share of the targets' variance that is explained, of a regression.
    pub fn r2(&self) -> Option<f64> {
        self.metrics.r2
    }

    /// The score of outputs before the head against targets, both (rows, outputs).
    ///
    /// # Errors
    /// When the shapes differ or there are no rows.
    pub fn of(outputs: Array2<f64>, targets: ArrayView2<f64>, head: Head) -> Result<Self> {
        let metrics = metrics::of_outputs(outputs, targets, head)?;
        Ok(Score { rows: targets.nrows(), metrics })
    }

    /// The JSON form: the figures of the head, and no others.
    pub fn to_value(&self) -> Value {
        let Metrics { rmse, mae, r2, rmse_by_output, accuracy, loss } = &self.metrics;
        let mut fields = Map::new();
        if let Some(accuracy) = accuracy {
            fields.insert("accuracy".into(), json!(accuracy));
        } else {
            fields.insert("rmse".into(), json!(rmse));
            fields.insert("mae".into(), json!(mae));
            fields.insert("r2".into(), json!(r2));
            if let Some(each) = rmse_by_output.as_ref().filter(|each| each.len() > 1) {
                fields.insert("rmse_by_output".into(), json!(each));
            }
        }
        fields.insert("loss".into(), json!(loss));
        fields.insert("rows".into(), json!(self.rows));
        Value::Object(fields)
    }

    /// The head of a table of scores of this kind.
    pub fn heading(&self) -> [String; 5] {
        match self.metrics.accuracy {
            None => ["", "rows", "rmse", "mae", "r2"],
            Some(_) => ["", "rows", "accuracy", "loss", ""],
        }
        .map(str::to_owned)
    }

    /// The row of such a table.
    pub fn row(&self, name: &str) -> [String; 5] {
        let shown = |x: Option<f64>| x.map_or("-".to_owned(), short);
        let Metrics { rmse, mae, r2, accuracy, loss, .. } = &self.metrics;
        let rows = self.rows.to_string();
        match accuracy {
            None => [name.into(), rows, shown(*rmse), shown(*mae), shown(*r2)],
            Some(_) => [name.into(), rows, shown(*accuracy), short(*loss), String::new()],
        }
    }
}

/// # Errors
/// When an output (rows, outputs) is not a finite number; the message names its row.
pub fn check_finite(outputs: &Array2<f64>, names: &[String]) -> Result<()> {
    match outputs.indexed_iter().find(|(_, y)| !y.is_finite()) {
        None => Ok(()),
        Some(((row, o), y)) => Err(Error::invalid(
            format!("row {row}, output {:?}", names[o]),
            y.to_string(),
            "a finite number: inputs nearer to those of the training, or a lower degree",
        )),
    }
}
