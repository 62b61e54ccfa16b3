//! Made-up rows that a teacher labels.
//!
//! Between and beyond its rows a polynomial may do anything. Networks that saturate or bend, like those of
//! tanh and ReLU, do nothing wild there, and several together guess better than one; but they are no
//! polynomial. So they are asked what they would answer on rows that no table holds, and SLNNs learn
//! these beside the real ones (Hinton, Vinyals and Dean 2015: distillation). The label is the median of
//! their answers: a single wild one does not move it.
//!
//! A row is made from a training row in one of three ways, a third of the rows each: every input,
//! by the toss of a coin, from one of the ten rows nearest to it; one input from such a row; one
//! input from any row at all. So every input keeps to the values that it has in the table, and to the
//! training box, and single inputs also leave the company that they have there.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, Axis, concatenate};
use rand::Rng;

use crate::error::{Error, Result};
use crate::network::{Head, Network};
use crate::table::Table;
use crate::train::model::generator;
use crate::train::objective::{below, check_rows};

/// How many rows count as near.
const NEAR: usize = 10;
/// Rows up to which every one adds to those that are made up.
const FEW: usize = 1000;

/// Rows that the teachers answer between two questions whether to stop.
const AT_ONCE: usize = 4096;

/// A table with made-up rows behind its own.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The table; its first rows are those of the table that it was made from.
    pub table: Table,
    /// The rows of every network: the training rows, and made-up rows that no other has.
    pub rows: Vec<Vec<usize>>,
}

impl Lesson {
    /// How many made-up rows a network has that learns from a teacher beside so many of the table: eight
    /// for each, between 6003 and 8001. In high degree fewer leave room to explode between them.
    pub fn made(rows: usize) -> usize {
        (8 * rows.min(FEW)).max(6003).next_multiple_of(3)
    }

    /// Makes [`Lesson::made`] rows for each of `networks` networks from `rows` of a table, labelled by
    /// the median of what the `teachers` answer.
    ///
    /// Labels are kept within the range of the targets of `rows`. The same seed makes the same rows.
    /// `None` where `stopped` says so, which is asked every few thousand rows. Cost: the distance of
    /// every training row to every other, and one answer of every teacher a made-up row.
    ///
    /// # Errors
    /// When `rows` is empty, repeats a row or has one that is not in the table, when there is no teacher,
    /// and when one has other inputs or outputs, a head, or the median is not finite.
    pub fn new(
        table: &Table,
        rows: &[usize],
        teachers: &[&Network],
        networks: usize,
        seed: u64,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Self>> {
        check_rows(rows, table.rows())?;
        let wrong = |found: &str, expected: &str| Err(Error::invalid("teacher", found, expected));
        if teachers.is_empty() {
            return wrong("no network", "at least one");
        }
        if table.classes().is_some() || teachers.iter().any(|t| t.head() != Head::Identity) {
            return wrong("classes", "a regression, without head");
        }
        let (inputs, outputs) = (table.input_names(), table.target_names());
        if teachers.iter().any(|t| t.input_names() != inputs || t.outputs() != outputs) {
            return wrong("other inputs or outputs", "the table's");
        }
        let own = table.select(rows);
        let count = Self::made(rows.len());
        let inputs = made_up(own.inputs(), count * networks, &mut generator(seed, 0, u64::MAX - 2));
        let mut labels = Array2::zeros((inputs.nrows(), outputs.len()));
        let parts = inputs.axis_chunks_iter(Axis(0), AT_ONCE);
        for (inputs, mut labels) in parts.zip(labels.axis_chunks_iter_mut(Axis(0), AT_ONCE)) {
            if stopped() {
                return Ok(None);
            }
            let answers = teachers.iter().map(|t| t.forward(inputs));
            let answers = answers.collect::<Result<Vec<_>>>()?;
            for (at, label) in labels.indexed_iter_mut() {
                *label = median(answers.iter().map(|answer| answer[at]).collect());
            }
        }
        for (mut labels, targets) in labels.columns_mut().into_iter().zip(own.targets().columns()) {
            let (lower, upper) = ends(targets);
            // A comparison keeps what is not a number, for the message of the table.
            labels.mapv_inplace(|y| {
                if y < lower {
                    lower
                } else if y > upper {
                    upper
                } else {
                    y
                }
            });
        }
        let both = |first: &Array2<f64>, second: &Array2<f64>| {
            concatenate(Axis(0), &[first.view(), second.view()])
                .map_err(|_| Error::invalid("teacher", "rows of other lengths", "the table's"))
        };
        let long = Table::new(
            both(table.inputs(), &inputs)?,
            both(table.targets(), &labels)?,
            table.input_names().to_vec(),
            table.target_names().to_vec(),
            table.source(),
        )?;
        // Network k has every `networks`-th row from the k-th on, so that all have their share of each way.
        let made = |k: usize| (k..count * networks).step_by(networks).map(|i| table.rows() + i);
        let rows = (0..networks).map(|k| rows.iter().copied().chain(made(k)).collect()).collect();
        Ok(Some(Lesson { table: long, rows }))
    }
}

fn ends(column: ArrayView1<f64>) -> (f64, f64) {
    column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, u), x| (l.min(*x), u.max(*x)))
}

/// The mean of the two in the middle where there is an even number of them.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        1 => values[half],
        _ => values[half - 1] + (values[half] - values[half - 1]) / 2.0,
    }
}

/// `count` made-up rows of inputs, a third in each of the three ways, one after the other.
fn made_up(inputs: &Array2<f64>, count: usize, rng: &mut impl Rng) -> Array2<f64> {
    let (rows, columns) = inputs.dim();
    let third = |way: usize| -> Range<usize> { count * way / 3..count * (way + 1) / 3 };
    // Distances in standard deviations; what is constant makes none.
    let weights: Vec<f64> = inputs
        .columns()
        .into_iter()
        .map(|column| column.var(0.0))
        .map(|variance| if variance > 0.0 { 1.0 / variance } else { 0.0 })
        .collect();
    // Of every row that was asked for: there are more made-up rows than rows.
    let mut known: Vec<Option<Vec<usize>>> = vec![None; rows];
    let mut made = Array2::zeros((count, columns));
    for way in 0..3 {
        for i in third(way) {
            let from = below(rng, rows);
            let near = match way {
                0 | 1 => &**known[from].get_or_insert_with(|| near(inputs, &weights, from)),
                _ => &[],
            };
            let other = match near.len() {
                0 => below(rng, rows),
                n => near[below(rng, n)],
            };
            let one = below(rng, columns);
            for j in 0..columns {
                let taken = if way == 0 { below(rng, 2) == 0 } else { j == one };
                made[(i, j)] = inputs[(if taken { other } else { from }, j)];
            }
        }
    }
    made
}

/// The rows nearest to a row, itself left out.
fn near(inputs: &Array2<f64>, weights: &[f64], row: usize) -> Vec<usize> {
    let own = inputs.row(row);
    let distance = |other: ArrayView1<f64>| -> f64 {
        other.iter().zip(own).zip(weights).map(|((a, b), w)| w * (a - b) * (a - b)).sum()
    };
    let others = inputs.rows().into_iter().enumerate().filter(|(i, _)| *i != row);
    let mut all: Vec<(f64, usize)> = others.map(|(i, other)| (distance(other), i)).collect();
    // The earlier row where two are equally near.
    let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    if all.len() > NEAR {
        all.select_nth_unstable_by(NEAR, order);
        all.truncate(NEAR);
    }
    all.sort_unstable_by(order);
    all.into_iter().map(|(_, i)| i).collect()
}
