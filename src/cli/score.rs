//! How well outputs fit targets, in the table's own units.

use ndarray::{ArrayView1, ArrayView2};
use serde_json::{Map, Value, json};
use slnn::network::{Head, Input};

use super::answer::short;

/// The figures of one set of rows.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// The number of rows.
    pub rows: usize,
    /// Mean squared error, or the cross-entropy of the head, over rows (and outputs, unless softmax).
    pub loss: f64,
    /// What people read.
    pub figures: Figures,
}

/// The figures that belong to a head.
#[derive(Clone, Copy, Debug)]
pub enum Figures {
    /// Of numbers.
    Regression {
        /// Root of the mean squared error over rows and outputs.
        rmse: f64,
        /// Mean absolute error over rows and outputs.
        mae: f64,
        /// `1 - sum (y - t)^2 / sum (t - mean)^2`, mean over outputs; none where a target is constant.
        r2: Option<f64>,
    },
    /// Of classes.
    Classification {
        /// The fraction of right answers: the largest output, or each output on its side of 1/2.
        accuracy: f64,
    },
}

impl Score {
    /// The score of outputs before the head against targets, both (rows, outputs), at least one row.
    pub fn of(outputs: ArrayView2<f64>, targets: ArrayView2<f64>, head: Head) -> Self {
        let rows = outputs.nrows();
        let count = outputs.len() as f64;
        let (loss, figures) = match head {
            Head::Identity => {
                let error = &outputs - &targets;
                let mse = error.mapv(|e| e * e).sum() / count;
                let r2 = r2(outputs, targets);
                let mae = error.mapv(f64::abs).sum() / count;
                (mse, Figures::Regression { rmse: mse.sqrt(), mae, r2 })
            }
            Head::Softmax => {
                let pairs = || outputs.rows().into_iter().zip(targets.rows());
                let loss = pairs().map(|(y, t)| softmax_loss(y, t)).sum::<f64>() / rows as f64;
                let right = pairs().filter(|(y, t)| largest(*y) == largest(*t)).count();
                (loss, Figures::Classification { accuracy: right as f64 / rows as f64 })
            }
            Head::Logistic => {
                let pairs = || outputs.iter().zip(targets);
                // ln(1 + e^y) - t y, without overflow.
                let loss = |(y, t): (&f64, &f64)| y.max(0.0) + (-y.abs()).exp().ln_1p() - t * y;
                let right = pairs().filter(|(y, t)| (**y > 0.0) == (**t > 0.5)).count();
                let loss = pairs().map(loss).sum::<f64>() / count;
                (loss, Figures::Classification { accuracy: right as f64 / count })
            }
        };
        Score { rows, loss, figures }
    }

    /// The JSON form.
    pub fn to_value(self) -> Value {
        let mut fields = Map::new();
        match self.figures {
            Figures::Regression { rmse, mae, r2 } => {
                fields.insert("rmse".into(), json!(rmse));
                fields.insert("mae".into(), json!(mae));
                fields.insert("r2".into(), json!(r2));
            }
            Figures::Classification { accuracy } => {
                fields.insert("accuracy".into(), json!(accuracy));
            }
        }
        fields.insert("loss".into(), json!(self.loss));
        fields.insert("rows".into(), json!(self.rows));
        Value::Object(fields)
    }

    /// The head of a table of scores of this kind.
    pub fn heading(self) -> [String; 5] {
        match self.figures {
            Figures::Regression { .. } => ["", "rows", "rmse", "mae", "r2"],
            Figures::Classification { .. } => ["", "rows", "accuracy", "loss", ""],
        }
        .map(str::to_owned)
    }

    /// The row of such a table.
    pub fn row(self, name: &str) -> [String; 5] {
        let rows = self.rows.to_string();
        match self.figures {
            Figures::Regression { rmse, mae, r2 } => {
                let r2 = r2.map_or("-".into(), |r2| format!("{r2:.4}"));
                [name.into(), rows, short(rmse), short(mae), r2]
            }
            Figures::Classification { accuracy } => {
                [name.into(), rows, format!("{accuracy:.4}"), short(self.loss), String::new()]
            }
        }
    }
}

/// The index of the largest entry, the first of equals.
pub fn largest(row: ArrayView1<f64>) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

fn softmax_loss(outputs: ArrayView1<f64>, targets: ArrayView1<f64>) -> f64 {
    let top = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = top + outputs.iter().map(|y| (y - top).exp()).sum::<f64>().ln();
    outputs.iter().zip(targets).map(|(y, t)| t * (log_sum - y)).sum()
}

fn r2(outputs: ArrayView2<f64>, targets: ArrayView2<f64>) -> Option<f64> {
    let columns = outputs.columns().into_iter().zip(targets.columns());
    let each = columns.map(|(y, t)| {
        let mean = t.sum() / t.len() as f64;
        let total: f64 = t.iter().map(|t| (t - mean).powi(2)).sum();
        let rest: f64 = y.iter().zip(t).map(|(y, t)| (y - t).powi(2)).sum();
        (total > 0.0).then(|| 1.0 - rest / total)
    });
    let each = each.collect::<Option<Vec<f64>>>()?;
    Some(each.iter().sum::<f64>() / each.len() as f64)
}

/// How many of the rows (rows, inputs) lie outside the box of `inputs`; none where it has no ends.
pub fn outside(rows: ArrayView2<f64>, inputs: &[Input]) -> Option<usize> {
    if inputs.iter().all(|input| input.lower.is_none() && input.upper.is_none()) {
        return None;
    }
    let out = |(x, input): (&f64, &Input)| {
        input.lower.is_some_and(|lower| *x < lower) || input.upper.is_some_and(|upper| *x > upper)
    };
    Some(rows.rows().into_iter().filter(|row| row.iter().zip(inputs).any(out)).count())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn scores_by_hand() {
        let score = Score::of(
            array![[1.0], [2.0], [6.0]].view(),
            array![[1.0], [3.0], [5.0]].view(),
            Head::Identity,
        );
        let Figures::Regression { rmse, mae, r2 } = score.figures else { panic!("{score:?}") };
        assert_eq!((score.loss, mae, r2), (2.0 / 3.0, 2.0 / 3.0, Some(0.75)));
        assert_eq!(rmse, (2.0_f64 / 3.0).sqrt());

        let y = array![[0.0, 0.0], [1000.0, 0.0]];
        let score = Score::of(y.view(), array![[1.0, 0.0], [0.0, 1.0]].view(), Head::Softmax);
        let Figures::Classification { accuracy } = score.figures else { panic!("{score:?}") };
        assert_eq!((accuracy, score.loss), (0.5, (2.0_f64.ln() + 1000.0) / 2.0));

        let score = Score::of(array![[-1000.0], [0.0]].view(), array![[0.0], [1.0]].view(), Head::Logistic);
        assert_eq!(score.loss, 2.0_f64.ln() / 2.0);
    }
}
