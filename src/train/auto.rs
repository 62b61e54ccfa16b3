//! A network for a new table without tuning: shape, degrees, L2 and size of the ensemble chosen by
//! validation inside the training rows.
//!
//! A polynomial fits its rows with ease and then explodes on a row near their edge. What guards
//! against that here: every candidate is judged by squared error (or the loss of its head) on rows
//! that it has not seen, where one explosion outweighs everything; the rows are all held back
//! once, in folds; and the result is a mean of several networks, of two shapes where a second one
//! is nearly as good as the best.
//!
//! The search has three rounds, and its budget is a number of trainings, never a time:
//!
//! 1. every candidate on the first fold,
//! 2. the best of them on the other folds,
//! 3. the best of all with stronger and weaker L2, on all folds.
//!
//! A candidate is trained twice on a fold, from different seeds, and ranked by the loss of the mean of the
//! pair as it is measured: one whose networks explode now and then on a single row is not excused
//! by the hope that others would outvote it. The size of the ensemble follows from what the pair
//! gains: with `L_1` the mean loss of the two and `L_2` that of their mean, the loss of a mean of K is predicted
//! as `L_1 + 2 (1 - 1/K) (L_2 - L_1)`, exact in expectation for squared errors, whose part that
//! members do not share falls as 1/K.

use std::path::Path;

use ndarray::Array2;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::json::{Cursor, Json};
use crate::network::{Head, Network};
use crate::table::Table;
use crate::train::checkpoint::{Fingerprint, read_document, write_document};
use crate::train::ensemble::member_options;
use crate::train::jobs::{Job, Watch, run_all};
use crate::train::model::generator;
use crate::train::objective::{check_rows, shuffle};
use crate::train::{
    Checkpoint, Control, Objective, Optimiser, Options, Progress, Trained, metrics,
};

/// Parts into which the training rows are divided; each is held back once.
const FOLDS: usize = 4;
/// Trainings of a candidate on a fold.
const PAIR: usize = 2;
/// Sizes of an ensemble to choose from: of a power of two the mean is exact. Fewer would do on rows
/// like those held back, but not where a polynomial explodes on one that is not.
const SIZES: [usize; 2] = [8, 16];
/// Candidates of the second round.
const FINALISTS: usize = 4;
/// A smaller ensemble is preferred when it loses no more than this fraction.
const TOLERANCE: f64 = 0.01;
/// A second shape joins the ensemble when its loss is no more than so many times the least: errors
/// of unlike networks agree less than those of like ones, which then makes up for it.
const NEARLY: f64 = 1.3;
/// Candidates whose polynomial may have more monomials are left out: the result is to be expanded.
const MAX_MONOMIALS: f64 = 200_000.0;
/// Rows up to which full batches with L-BFGS pay.
const FULL_BATCH_ROWS: usize = 10_000;
const FORMAT: &str = "slnn.search-checkpoint";
const VERSION: usize = 1;

/// What a search may vary and how much it may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Hidden layers and degrees of the candidates, in the order in which they are tried.
    pub shapes: Vec<(Vec<usize>, Vec<usize>)>,
    /// The L2 of every shape.
    pub l2: Vec<f64>,
    /// The factor between neighbouring L2 of the last round; none where it is 1.
    pub step: f64,
    /// The size of the ensemble, or `None` to choose it.
    pub members: Option<usize>,
    /// The most trainings of the search; those of the ensemble afterwards are not counted.
    pub trials: usize,
}

/// One candidate and how it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Neurons of the hidden layers.
    pub hidden: Vec<usize>,
    /// Degrees of the SLAFs.
    pub degrees: Vec<usize>,
    /// Its L2.
    pub l2: f64,
    /// For every fold on which it was tried: the mean loss of single networks and that of the mean
    /// of the pair, for regression relative to the variance of the targets.
    pub losses: Vec<(f64, f64)>,
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The options of the best candidate, to train with on all rows.
    pub options: Options,
    /// Those of the best candidate of another shape, where it is nearly as good: half of the members
    /// are trained with them.
    pub second: Option<Options>,
    /// The number of networks to train and average.
    pub members: usize,
    /// The loss of the best candidate on rows held back: of a pair's mean, or of single networks
    /// where one was asked for.
    pub loss: f64,
    /// Every candidate that was tried, in the order in which they were.
    pub trials: Vec<Trial>,
}

/// The finished trainings of a search.
///
/// The file is JSON, `"format": "slnn.search-checkpoint", "version": 1`: `run` is the SHA-256 of
/// table, rows, options and search, `trials` the list of what is done, each with `hidden`,
/// `degrees`, `l2` and `losses`, a list of pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchCheckpoint {
    run: String,
    trials: Vec<Trial>,
}

impl Trial {
    /// The loss predicted for a mean of `members` networks, over the folds tried.
    pub fn predicted(&self, members: usize) -> f64 {
        let factor = 2.0 * (1.0 - 1.0 / members as f64);
        let each = |(single, pair): &(f64, f64)| single + factor * (pair - single);
        self.losses.iter().map(each).sum::<f64>() / self.losses.len() as f64
    }

    fn is(&self, hidden: &[usize], degrees: &[usize], l2: f64) -> bool {
        self.hidden == hidden && self.degrees == degrees && self.l2 == l2
    }
}

impl Choice {
    /// The options of every member, for [`train_members`](crate::train::train_members).
    pub fn member_options(&self) -> Vec<Options> {
        let own = |index| match &self.second {
            Some(second) if index >= self.members / 2 => member_options(second, index),
            _ => member_options(&self.options, index),
        };
        (0..self.members).map(own).collect()
    }
}

impl SearchCheckpoint {
    /// The number of trainings that are done.
    pub fn trainings(&self) -> usize {
        PAIR * self.trials.iter().map(|trial| trial.losses.len()).sum::<usize>()
    }

    /// Writes the checkpoint, atomically.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        // A loss that is not finite has no number in JSON: a pair of nulls.
        let loss = |x: f64| if x.is_finite() { Value::from(x) } else { Value::Null };
        let trial = |t: &Trial| {
            let losses: Vec<Value> =
                t.losses.iter().map(|(a, b)| json!([loss(*a), loss(*b)])).collect();
            json!({"hidden": t.hidden, "degrees": t.degrees, "l2": t.l2, "losses": losses})
        };
        let trials: Vec<Value> = self.trials.iter().map(trial).collect();
        let document =
            json!({"format": FORMAT, "version": VERSION, "run": self.run, "trials": trials});
        write_document(path, &document)
    }

    /// Reads a checkpoint; `None` where there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or is no checkpoint of a search; the message names the place.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        read_document(path, Self::from_json)
    }

    fn from_json(json: &Json) -> Result<Self> {
        let mut fields = json.top().object()?;
        fields.header(FORMAT, VERSION)?;
        let run = fields.take("run")?.string()?.to_string();
        let trials = fields.take("trials")?.array()?.map(|item| trial(&item));
        let trials = trials.collect::<Result<_>>()?;
        fields.finish()?;
        Ok(SearchCheckpoint { run, trials })
    }
}

fn trial(cursor: &Cursor) -> Result<Trial> {
    let counts = |cursor: Cursor| -> Result<Vec<usize>> {
        cursor.array()?.map(|item| item.index(usize::MAX)).collect()
    };
    let loss = |cursor: &Cursor| match cursor.value() {
        Json::Null => Ok(f64::INFINITY),
        _ => cursor.number(),
    };
    let mut fields = cursor.object()?;
    let pair = |item: Cursor| {
        let mut both = item.array()?;
        match (both.next(), both.next(), both.next()) {
            (Some(a), Some(b), None) => Ok((loss(&a)?, loss(&b)?)),
            _ => Err(item.expected("an array of two")),
        }
    };
    let trial = Trial {
        hidden: counts(fields.take("hidden")?)?,
        degrees: counts(fields.take("degrees")?)?,
        l2: fields.take("l2")?.number()?,
        losses: fields.take("losses")?.array()?.map(pair).collect::<Result<_>>()?,
    };
    fields.finish()?;
    Ok(trial)
}

/// C(n + d, d), as far as f64 counts.
fn monomials(inputs: usize, degree: usize) -> f64 {
    (1..=degree).map(|i| (inputs + i) as f64 / i as f64).product()
}

impl Search {
    /// The candidates for a table with so many inputs: one hidden layer of degree 2, 3 or 5, or
    /// two, of total degree 4 or 9, as far as their polynomials stay below 200,000 monomials;
    /// each with weak, middling and strong L2.
    pub fn new(inputs: usize) -> Self {
        let all = [
            (vec![24, 12], vec![3, 3]),
            (vec![16, 8], vec![3, 3]),
            (vec![24], vec![5]),
            (vec![16], vec![3]),
            (vec![16, 8], vec![2, 2]),
            (vec![8], vec![2]),
        ];
        let small = |(_, degrees): &(Vec<usize>, Vec<usize>)| {
            monomials(inputs, degrees.iter().product()) <= MAX_MONOMIALS
        };
        let mut shapes: Vec<_> = all.into_iter().filter(small).collect();
        if shapes.is_empty() {
            shapes.push((vec![8], vec![2]));
        }
        let l2 = vec![1e-2, 3e-4, 1e-5];
        Search { shapes, l2, step: 10f64.sqrt(), members: None, trials: 76 }
    }

    /// The most trainings that a search of these candidates can use.
    pub fn trainings(&self) -> usize {
        let all = self.shapes.len() * self.l2.len();
        let finalists = if all > 1 { (FOLDS - 1) * FINALISTS.min(all) } else { FOLDS - 1 };
        self.trials.min(PAIR * (all + finalists + 2 * FOLDS))
    }
}

/// The way of training that suits a search, for what the caller leaves open: up to 10,000 rows
/// L-BFGS with 1000 iterations on all rows, since the L2 is chosen and every row counts; beyond it
/// Adam with batches of 128 rows and 60 epochs, the epoch chosen by a tenth of the rows, others for
/// every network of an ensemble.
pub fn method(rows: usize, mut options: Options) -> Options {
    if rows <= FULL_BATCH_ROWS {
        (options.optimiser, options.batch, options.epochs) = (Optimiser::lbfgs(), None, 1000);
    } else {
        (options.optimiser, options.batch, options.epochs) = (Optimiser::adam(), Some(128), 60);
        options.validation = Some(0.1);
    }
    options
}

/// Chooses options for `rows` of `table`: those of `base`, with the shape, L2 and ensemble of the
/// best candidate, and those of a second.
///
/// `None` where the control stopped it; the last [`SearchCheckpoint`] that the control received
/// goes on from there. The choice does not depend on the number of threads. Progress counts
/// trainings. Cost: at most [`Search::trainings`] trainings on three quarters of the rows.
///
/// # Errors
/// When an option or row is wrong, the network is given layer by layer, there are fewer rows than 12, a checkpoint belongs to
/// another run, and when every candidate diverged.
pub fn choose(
    table: &Table,
    rows: &[usize],
    base: &Options,
    search: &Search,
    from: Option<SearchCheckpoint>,
    control: &mut dyn Control,
) -> Result<Option<Choice>> {
    base.without_layers("a search")?;
    check_rows(rows, table.rows())?;
    if rows.len() < 3 * FOLDS {
        let expected = format!("{} or more, to hold some back", 3 * FOLDS);
        return Err(Error::invalid("training rows", format!("{} rows", rows.len()), expected));
    }
    if search.shapes.is_empty() || search.l2.is_empty() || search.trials < PAIR {
        let found = "no candidates, or fewer than two trainings to try one";
        return Err(Error::invalid("options.trials", found, "a candidate and two trainings"));
    }
    let run = run_name(table, rows, base, search);
    let trials = match from {
        None => Vec::new(),
        Some(checkpoint) if checkpoint.run == run => checkpoint.trials,
        Some(_) => {
            return Err(Error::invalid(
                "checkpoint: run",
                "another table, other rows or options",
                "the same as when the checkpoint was written; or start anew without it",
            ));
        }
    };
    let mut order = rows.to_vec();
    shuffle(&mut order, &mut generator(base.seed, 0, u64::MAX - 1));
    let folds = (0..FOLDS)
        .map(|f| {
            let ends = |f: usize| order.len() * f / FOLDS;
            let (mut held, mut fit) = (order[ends(f)..ends(f + 1)].to_vec(), order.clone());
            fit.drain(ends(f)..ends(f + 1));
            held.sort_unstable();
            fit.sort_unstable();
            (fit, held)
        })
        .collect();
    let variances = table
        .select(rows)
        .targets()
        .columns()
        .into_iter()
        .map(|column| column.var(0.0))
        .map(|variance| if variance > 0.0 { variance } else { 1.0 })
        .collect();
    let used = 0;
    let mut state = State { table, base, search, folds, variances, run, trials, control, used };
    state.rounds()
}

fn run_name(table: &Table, rows: &[usize], base: &Options, search: &Search) -> String {
    let text = format!("{:?} {search:?}", Fingerprint::new(table, rows, base));
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

type Candidate = (Vec<usize>, Vec<usize>, f64);

struct State<'a> {
    table: &'a Table,
    base: &'a Options,
    search: &'a Search,
    /// Rows to train on and rows held back, of every fold.
    folds: Vec<(Vec<usize>, Vec<usize>)>,
    /// Of every target over the training rows, 1 where it is constant.
    variances: Vec<f64>,
    run: String,
    trials: Vec<Trial>,
    control: &'a mut dyn Control,
    /// Trainings of the rounds so far, done now or before a checkpoint.
    used: usize,
}

impl State<'_> {
    fn rounds(&mut self) -> Result<Option<Choice>> {
        let size = self.search.members.unwrap_or(SIZES[SIZES.len() - 1]);
        let mut all: Vec<Candidate> = Vec::new();
        for l2 in &self.search.l2 {
            let own = self.search.shapes.iter().map(|(h, d)| (h.clone(), d.clone(), *l2));
            all.extend(own);
        }
        // What is wrong with the options is said once, before anything is trained.
        for candidate in &all {
            Objective::new(self.table, &self.folds[0].0, &self.options(candidate))?;
        }
        let rank = size.min(PAIR);
        let single = all.len() == 1;
        if !self.round(&all, 0..1)? {
            return Ok(None);
        }
        let finalists = self.best(&all, rank, if single { 1 } else { FINALISTS });
        if !self.round(&finalists, 1..FOLDS)? {
            return Ok(None);
        }
        let mut finalists = self.complete(finalists);
        let best = self.best(&finalists, rank, 1).swap_remove(0);
        if self.search.step != 1.0 {
            let factors = [self.search.step, 1.0 / self.search.step];
            let near: Vec<Candidate> =
                factors.iter().map(|f| (best.0.clone(), best.1.clone(), best.2 * f)).collect();
            if !self.round(&near, 0..FOLDS)? {
                return Ok(None);
            }
            finalists.extend(near);
            finalists = self.complete(finalists);
        }
        let best = self.best(&finalists, rank, 1).swap_remove(0);
        finalists.retain(|(hidden, degrees, _)| (hidden, degrees) != (&best.0, &best.1));
        let second = self.best(&finalists, rank, 1).pop();
        let second = second.filter(|s| self.loss(s, rank) <= NEARLY * self.loss(&best, rank));
        self.choice(&best, second.as_ref(), size, rank).map(Some)
    }

    fn options(&self, (hidden, degrees, l2): &Candidate) -> Options {
        let (hidden, degrees) = (hidden.clone(), degrees.clone());
        Options { hidden, degrees, l2: *l2, ..self.base.clone() }
    }

    fn trial(&self, (hidden, degrees, l2): &Candidate) -> Option<&Trial> {
        self.trials.iter().find(|t| t.is(hidden, degrees, *l2))
    }

    fn loss(&self, candidate: &Candidate, size: usize) -> f64 {
        let loss = self.trial(candidate).map_or(f64::INFINITY, |t| t.predicted(size));
        if loss.is_nan() { f64::INFINITY } else { loss }
    }

    /// The `count` best candidates, the earlier one first where they are equal.
    fn best(&self, candidates: &[Candidate], size: usize, count: usize) -> Vec<Candidate> {
        let mut sorted = candidates.to_vec();
        sorted.sort_by(|a, b| self.loss(a, size).total_cmp(&self.loss(b, size)));
        sorted.truncate(count);
        sorted
    }

    /// Those that were tried on the most folds: the budget may have ended in the middle of a round.
    fn complete(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let folds = |c: &Candidate| self.trial(c).map_or(0, |t| t.losses.len());
        let most = candidates.iter().map(folds).max().unwrap_or(0);
        candidates.into_iter().filter(|c| folds(c) == most).collect()
    }

    /// Tries candidates on some folds, as far as the budget goes; `false` where it was stopped.
    fn round(&mut self, candidates: &[Candidate], folds: std::ops::Range<usize>) -> Result<bool> {
        let mut wanted: Vec<(Candidate, usize)> = Vec::new();
        for candidate in candidates {
            let cost = PAIR * folds.len();
            if self.used + cost > self.search.trials {
                break;
            }
            self.used += cost;
            let done = self.trial(candidate).map_or(0, |t| t.losses.len());
            let open = folds.clone().filter(|fold| *fold >= done);
            wanted.extend(open.map(|fold| (candidate.clone(), fold)));
        }
        let jobs: Vec<Job> = wanted
            .iter()
            .flat_map(|(candidate, fold)| {
                let options = self.options(candidate);
                let rows = &self.folds[*fold].0;
                (0..PAIR).map(move |member| Job {
                    rows: rows.clone(),
                    options: member_options(&options, member),
                    from: None,
                })
            })
            .collect();
        // Parts of the round between checkpoints, large enough to keep all threads at work.
        let part = PAIR * rayon::current_num_threads().max(1);
        for (part, jobs) in wanted.chunks(part).zip(jobs.chunks(PAIR * part)) {
            let epochs = self.base.epochs;
            let (before, total) = (self.done(), self.search.trainings());
            let mut watch = Trainings { control: self.control, before, total, epochs };
            let answers = run_all(self.table, jobs, &mut watch)?;
            let stopped = |a: &Option<Result<Trained>>| match a {
                None => true,
                Some(Ok(trained)) => trained.stopped,
                Some(Err(_)) => false,
            };
            if answers.iter().any(stopped) {
                return Ok(false);
            }
            let mut answers = answers.into_iter().flatten();
            for (candidate, fold) in part {
                let pair: Vec<_> = answers.by_ref().take(PAIR).collect();
                let losses = self.losses(pair, *fold)?;
                self.note(candidate, losses);
            }
            let checkpoint =
                SearchCheckpoint { run: self.run.clone(), trials: self.trials.clone() };
            self.control.search_checkpoint(&checkpoint)?;
        }
        Ok(true)
    }

    fn done(&self) -> usize {
        PAIR * self.trials.iter().map(|trial| trial.losses.len()).sum::<usize>()
    }

    fn note(&mut self, candidate: &Candidate, losses: (f64, f64)) {
        let (hidden, degrees, l2) = candidate;
        match self.trials.iter_mut().find(|t| t.is(hidden, degrees, *l2)) {
            Some(trial) => trial.losses.push(losses),
            None => self.trials.push(Trial {
                hidden: hidden.clone(),
                degrees: degrees.clone(),
                l2: *l2,
                losses: vec![losses],
            }),
        }
    }

    /// The mean loss of the networks and the loss of their mean, on the rows held back; infinite
    /// where one diverged.
    fn losses(&self, pair: Vec<Result<Trained>>, fold: usize) -> Result<(f64, f64)> {
        let diverged = (f64::INFINITY, f64::INFINITY);
        let Ok(pair) = pair.into_iter().collect::<Result<Vec<_>>>() else { return Ok(diverged) };
        let held = self.table.select(&self.folds[fold].1);
        let outputs = |t: &Trained| t.network.forward(held.inputs().view());
        let outputs = pair.iter().map(outputs).collect::<Result<Vec<_>>>()?;
        let head = pair[0].network.head();
        let mut mean = Array2::zeros(outputs[0].dim());
        outputs.iter().for_each(|y| mean += y);
        mean /= outputs.len() as f64;
        if mean.iter().any(|y: &f64| !y.is_finite()) {
            return Ok(diverged);
        }
        let loss = |y: &Array2<f64>| self.loss_of(y, held.targets(), head);
        let single = outputs.iter().map(loss).sum::<Result<f64>>()? / outputs.len() as f64;
        Ok((single, loss(&mean)?))
    }

    /// The loss of a head; for regression the mean over outputs of squared error by variance.
    fn loss_of(&self, outputs: &Array2<f64>, targets: &Array2<f64>, head: Head) -> Result<f64> {
        if head != Head::Identity {
            return Ok(metrics::of_outputs(outputs.clone(), targets.view(), head)?.loss);
        }
        let errors = metrics::rmse_by_output(outputs.view(), targets.view())?;
        let relative = errors.iter().zip(&self.variances).map(|(error, v)| error * error / v);
        Ok(relative.sum::<f64>() / errors.len() as f64)
    }

    fn choice(
        &self,
        best: &Candidate,
        second: Option<&Candidate>,
        size: usize,
        rank: usize,
    ) -> Result<Choice> {
        let (loss, measured) = (self.loss(best, size), self.loss(best, rank));
        if !measured.is_finite() {
            return Err(Error::invalid(
                "the search",
                "a loss that is not finite for every candidate",
                "moderate columns, or options of your own in place of the search",
            ));
        }
        let members = match self.search.members {
            Some(members) => members,
            // A loss predicted below 0 by noise says nothing about sizes.
            None => SIZES
                .into_iter()
                .find(|k| self.loss(best, *k) <= loss + TOLERANCE * loss.abs())
                .unwrap_or(size),
        };
        Ok(Choice {
            options: self.options(best),
            second: second.filter(|_| members > 1).map(|s| self.options(s)),
            members,
            loss: measured,
            trials: self.trials.clone(),
        })
    }
}

/// Progress in trainings.
struct Trainings<'a> {
    control: &'a mut dyn Control,
    before: usize,
    total: usize,
    epochs: usize,
}

impl Watch for Trainings<'_> {
    fn progress(&mut self, runs: &[Option<Progress>]) {
        let begun = runs.iter().flatten();
        let epochs: usize = begun.clone().map(|p| p.epoch).sum();
        let Some(last) = begun.last() else { return };
        self.control.progress(&Progress {
            epoch: self.before + epochs / self.epochs.max(1),
            epochs: self.total,
            ..last.clone()
        });
    }

    fn stop_requested(&self) -> bool {
        self.control.stop_requested()
    }

    /// A search is saved by whole trainings.
    fn checkpoint_every(&self) -> Option<usize> {
        None
    }

    fn checkpoint(&mut self, _: &[Option<Checkpoint>]) -> Result<()> {
        Ok(())
    }
}

/// Indices of the rows of `table` that lie outside the box of the network's inputs, ascending.
///
/// Outside the box a polynomial is an extrapolation: nothing that it was trained or judged on
/// says what it does there.
pub fn outside_box(network: &Network, table: &Table) -> Vec<usize> {
    let out = |(x, input): (&f64, &crate::network::Input)| {
        input.lower.is_some_and(|lower| *x < lower) || input.upper.is_some_and(|upper| *x > upper)
    };
    let rows = table.inputs().rows().into_iter().enumerate();
    rows.filter(|(_, row)| row.iter().zip(network.inputs()).any(out)).map(|(i, _)| i).collect()
}
