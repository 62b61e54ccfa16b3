//! Training: from a table to a [`Network`] in the table's own units.
//!
//! [`train`] minimises a [`Loss`] over the rows it is given, as [`Options`] says, and answers
//! with a network into which the standardisation of inputs and targets, the attention factors
//! and the frozen statistics of normalised monomials are folded. A [`Control`] sees the
//! progress, can stop the run after any batch, and receives checkpoints from which [`resume`]
//! goes on to the same bytes. Results depend on the seed, never on the number of threads.
//!
//! [`train_ensemble`] averages several networks into one; [`auto`] chooses options by validation
//! inside the training rows; [`routine`] names the ways to keep powers in check.
//!
//! ```
//! use slnn::table::problems;
//! use slnn::train::{Optimiser, Options, Quiet, train};
//!
//! let xor = problems::xor();
//! let options = Options {
//!     hidden: vec![1],
//!     degrees: vec![2],
//!     optimiser: Optimiser::lbfgs(),
//!     l2: 0.0,
//!     target_loss: Some(1e-14),
//!     restarts: 10,
//!     epochs: 200,
//!     ..Options::default()
//! };
//! let trained = train(&xor, &[0, 1, 2, 3], &options, &mut Quiet)?;
//! let answers = trained.network.predict(xor.inputs().view())?;
//! assert!((&answers - xor.targets()).iter().all(|error| error.abs() < 1e-6));
//! # Ok::<(), slnn::Error>(())
//! ```

pub mod auto;
pub mod baseline;
mod checkpoint;
mod engine;
mod ensemble;
mod jobs;
mod kernel;
mod layers;
mod loss;
pub mod metrics;
mod model;
mod objective;
mod optimiser;
mod options;
mod product;
pub mod rationalise;
mod real;
pub mod routine;
mod tanh;
mod teacher;

use std::time::Instant;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::table::Table;

pub use checkpoint::Checkpoint;
pub use ensemble::{
    Ensemble, EnsembleCheckpoint, Mean, mean, member_options, train_ensemble, train_members,
    train_members_on,
};
pub use layers::{LayerSpec, PoolSpec};
pub use objective::Objective;
pub use options::{
    BasisKind, HiddenActivation, Loss, Optimiser, Options, Penalised, Penalty, Precision, Routine,
    Schedule,
};
pub use teacher::Lesson;

use checkpoint::{Best, Fingerprint, State};
use engine::{Batch, Moments, Noise};
use model::generator;
use objective::{batches, shuffle};
use optimiser::{Iteration, Memory, iterate};
use real::{Real, sum_of_squares};

/// What a training run tells and asks of its surroundings; every method has a default.
pub trait Control {
    /// Called after every epoch.
    fn progress(&mut self, _progress: &Progress) {}

    /// Asked before every batch: whether to stop here.
    fn stop_requested(&self) -> bool {
        false
    }

    /// Epochs between checkpoints; `None` for no checkpoints at all.
    fn checkpoint_every(&self) -> Option<usize> {
        None
    }

    /// Receives a checkpoint, every so many epochs and when the run is stopped.
    ///
    /// # Errors
    /// What the implementation says; training ends with it.
    fn checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<()> {
        Ok(())
    }

    /// Receives the checkpoints of an ensemble in place of those of its members.
    ///
    /// # Errors
    /// What the implementation says; training ends with it.
    fn ensemble_checkpoint(&mut self, _checkpoint: &EnsembleCheckpoint) -> Result<()> {
        Ok(())
    }

    /// Receives what a search has found so far, see [`auto::choose`].
    ///
    /// # Errors
    /// What the implementation says; the search ends with it.
    fn search_checkpoint(&mut self, _checkpoint: &auto::SearchCheckpoint) -> Result<()> {
        Ok(())
    }
}

/// A [`Control`] that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Control for Quiet {}

/// Where a training run stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Epochs done in this attempt.
    pub epoch: usize,
    /// Epochs asked for.
    pub epochs: usize,
    /// The attempt, from 0; every restart is one more.
    pub attempt: usize,
    /// Mean loss over the epoch, penalties included.
    pub loss: f64,
    /// Loss on the validation rows, where some are held back.
    pub validation: Option<f64>,
}

/// A trained network and how it came about.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The network, in the table's own units.
    pub network: Network,
    /// Epochs done in the last attempt.
    pub epochs: usize,
    /// The epoch that the network comes from, counted from 1, and 0 for the random start.
    pub best_epoch: usize,
    /// Its training loss, penalties included, in the units of training.
    pub loss: f64,
    /// Its loss on the validation rows.
    pub validation: Option<f64>,
    /// What a person should know: constant inputs, attempts that diverged.
    pub warnings: Vec<String>,
    /// Median time of an epoch, training alone, in seconds; `None` where none was run.
    pub seconds_per_epoch: Option<f64>,
    /// Restarts used.
    pub restarts: usize,
    /// Whether [`Control::stop_requested`] ended the run.
    pub stopped: bool,
}

/// Trains a network on `rows` of `table`.
///
/// Cost of an epoch: about six flops a weight and row, and five to ten a coefficient and row.
///
/// # Errors
/// When the options or rows are invalid or do not fit the table, when every attempt diverged,
/// and when a checkpoint cannot be written.
pub fn train(
    table: &Table,
    rows: &[usize],
    options: &Options,
    control: &mut dyn Control,
) -> Result<Trained> {
    match options.precision {
        Precision::F32 => run_in::<f32>(table, rows, options, None, control),
        Precision::F64 => run_in::<f64>(table, rows, options, None, control),
    }
}

/// Goes on from a checkpoint, to the same network as an uninterrupted [`train`].
///
/// # Errors
/// As [`train`], and when table, rows or an option are not those of the checkpoint.
pub fn resume(
    table: &Table,
    rows: &[usize],
    options: &Options,
    checkpoint: Checkpoint,
    control: &mut dyn Control,
) -> Result<Trained> {
    match options.precision {
        Precision::F32 => run_in::<f32>(table, rows, options, Some(checkpoint), control),
        Precision::F64 => run_in::<f64>(table, rows, options, Some(checkpoint), control),
    }
}

fn run_in<T: Real>(
    table: &Table,
    rows: &[usize],
    options: &Options,
    checkpoint: Option<Checkpoint>,
    control: &mut dyn Control,
) -> Result<Trained> {
    let mut objective = Objective::<T>::build(table, rows, options)?;
    let fingerprint = Fingerprint::new(table, rows, options);
    let state = match checkpoint {
        None => begin(&mut objective, 0, Vec::new(), None),
        Some(checkpoint) => checkpoint.check(&fingerprint, &objective)?,
    };
    objective.engine.set_statistics(&state.statistics);
    Run::new(objective, state, fingerprint, control).run()
}

fn begin<T: Real>(
    objective: &mut Objective<T>,
    attempt: usize,
    warnings: Vec<String>,
    best: Option<Best<T>>,
) -> State<T> {
    // Those of an attempt before may be none.
    objective.engine.reset_statistics();
    let parameters = objective.start(attempt);
    State {
        attempt,
        epoch: 0,
        batch: 0,
        sum: 0.0,
        memory: Memory::new(objective.options.optimiser, parameters.len()),
        parameters,
        statistics: objective.statistics(),
        stale: 0,
        attempt_score: None,
        best,
        warnings,
    }
}

/// One warning for all constant inputs: a table of images has hundreds.
fn constant_inputs_warning(names: &[String]) -> Option<String> {
    const NAMED: usize = 5;
    let quoted: Vec<_> = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect();
    let listed = quoted.join(", ");
    let rest = "constant on the training rows";
    match names.len() {
        0 => None,
        1 => Some(format!("input {listed} is {rest}: its weight is 0")),
        n if n <= NAMED => Some(format!("inputs {listed} are {rest}: their weights are 0")),
        n => {
            Some(format!("inputs {listed} and {} more are {rest}: their weights are 0", n - NAMED))
        }
    }
}

/// How an epoch ended.
enum End {
    Complete {
        loss: f64,
    },
    /// The target loss is met, or L-BFGS finds no lower loss.
    Final,
    Diverged,
    Stopped,
}

struct Run<'a, T> {
    objective: Objective<T>,
    options: Options,
    state: State<T>,
    fingerprint: Fingerprint,
    control: &'a mut dyn Control,
    gradient: Vec<T>,
    /// Loss and gradient at the current parameters, where L-BFGS left them.
    known: Option<(f64, Vec<T>)>,
    seconds: Vec<f64>,
}

impl<'a, T: Real> Run<'a, T> {
    fn new(
        objective: Objective<T>,
        state: State<T>,
        fingerprint: Fingerprint,
        control: &'a mut dyn Control,
    ) -> Self {
        let (options, parameters) = (objective.options.clone(), objective.parameters());
        let (gradient, seconds) = (vec![T::zero(); parameters], Vec::new());
        Run { objective, options, state, fingerprint, control, gradient, known: None, seconds }
    }

    fn run(mut self) -> Result<Trained> {
        loop {
            match self.attempt()? {
                End::Stopped if self.is_finite() => return self.stop(),
                // Nothing could go on from numbers that are none.
                End::Stopped | End::Diverged => {
                    let State { attempt, epoch, .. } = self.state;
                    self.state.warnings.push(format!(
                        "attempt {} diverged in epoch {}: lower the learning rate, or clip the gradient",
                        attempt + 1,
                        epoch + 1
                    ));
                }
                End::Complete { .. } | End::Final => {
                    let loss = self.objective.value(&self.state.parameters, None);
                    if self.objective.held.is_none() && loss.is_finite() {
                        self.offer(loss);
                    }
                    // The start may have been all there was to do.
                    if self.state.attempt_score.is_none() {
                        self.validate();
                    }
                    if self.options.target_loss.is_none_or(|target| loss <= target) {
                        break;
                    }
                }
            }
            if self.state.attempt == self.options.restarts {
                break;
            }
            let State { attempt, warnings, best, .. } = self.state;
            self.state = begin(&mut self.objective, attempt + 1, warnings, best);
            self.known = None;
        }
        match self.state.best.take() {
            Some(best) => self.trained(best, false),
            None => Err(Error::invalid(
                "training",
                format!(
                    "a loss that is not finite in every one of {} attempts",
                    self.state.attempt + 1
                ),
                "a lower learning rate, a clip norm, a lower degree or more l2",
            )),
        }
    }

    /// Whether parameters and statistics are.
    fn is_finite(&self) -> bool {
        let statistics = self.objective.statistics();
        let all = statistics.iter().flat_map(|(mean, scale)| mean.iter().chain(scale));
        self.state.parameters.iter().all(|p| p.is_finite()) && all.copied().all(f64::is_finite)
    }

    /// Epochs until the attempt ends.
    fn attempt(&mut self) -> Result<End> {
        while self.state.epoch < self.options.epochs {
            // A checkpoint may have been written when patience was at its end.
            if self.options.patience.is_some_and(|limit| self.state.stale >= limit) {
                break;
            }
            let started = Instant::now();
            let end = self.epoch();
            let seconds = started.elapsed().as_secs_f64();
            let loss = match end {
                End::Complete { loss } => loss,
                other => return Ok(other),
            };
            self.seconds.push(seconds);
            self.state.epoch += 1;
            let validation = self.validate();
            self.control.progress(&Progress {
                epoch: self.state.epoch,
                epochs: self.options.epochs,
                attempt: self.state.attempt,
                loss,
                validation,
            });
            // The loss of mini-batches is known at the end of the epoch only.
            if self.options.target_loss.is_some_and(|target| loss <= target) {
                return Ok(End::Final);
            }
            if self
                .control
                .checkpoint_every()
                .is_some_and(|n| self.state.epoch.is_multiple_of(n.max(1)))
            {
                self.checkpoint()?;
            }
        }
        Ok(End::Final)
    }

    /// One pass over the rows that train.
    fn epoch(&mut self) -> End {
        if matches!(self.options.optimiser, Optimiser::Lbfgs { .. }) {
            return self.iteration();
        }
        let Options { epochs, learning_rate, schedule, seed, l1, l2, .. } = self.options;
        let hidden_limit =
            self.options.clip_norm().filter(|_| self.options.routine == Routine::Boundary);
        let rate = schedule.rate(learning_rate, self.state.epoch, epochs);
        let count = self.objective.fit.count;
        let steps = batches(&self.options, count);
        let mut order: Vec<usize> = Vec::new();
        // Images that are moved are gathered first, like those of a mini-batch.
        let gathered = steps > 1 || self.options.shift.is_some();
        if gathered {
            order = (0..count).collect();
        }
        if steps > 1 {
            let purpose = 1 + self.state.epoch as u64;
            shuffle(&mut order, &mut generator(seed, self.state.attempt, purpose));
        }
        while self.state.batch < steps {
            if self.control.stop_requested() {
                return End::Stopped;
            }
            let b = self.state.batch;
            let Objective { engine, options, fit, .. } = &mut self.objective;
            let batch = Batch {
                rows: count * (b + 1) / steps - count * b / steps,
                order: gathered.then(|| &order[count * b / steps..count * (b + 1) / steps]),
                noise: Some(Noise {
                    seed,
                    draw: ((self.state.attempt as u64) << 36)
                        .wrapping_add((self.state.epoch * steps + b) as u64),
                }),
                ..fit.batch()
            };
            let (parameters, gradient) = (&self.state.parameters, &mut self.gradient);
            let loss = engine.evaluate(parameters, batch, Moments::Batch, Some(gradient));
            let penalty = engine.model.penalise(parameters, options.l1, options.l2, Some(gradient));
            let loss = loss + penalty;
            let size = if penalty == 0.0 { engine.size } else { sum_of_squares(&self.gradient) };
            if !(loss.is_finite() && size.is_finite()) {
                return End::Diverged;
            }
            if steps == 1 && self.options.target_loss.is_some_and(|target| loss <= target) {
                return End::Final;
            }
            let model = &self.objective.engine.model;
            if let Some(limit) = hidden_limit {
                routine::clip_hidden(&model.steps, limit, &mut self.gradient);
            }
            self.state.memory.step(
                &self.options,
                rate,
                &mut self.state.parameters,
                &self.gradient,
                size,
            );
            model.penalty_step(&mut self.state.parameters, rate, l1, l2);
            self.state.sum += loss;
            self.state.batch += 1;
        }
        let loss = self.state.sum / steps as f64;
        (self.state.batch, self.state.sum) = (0, 0.0);
        if self.state.parameters.iter().any(|p| !p.is_finite()) {
            return End::Diverged;
        }
        End::Complete { loss }
    }

    /// One iteration of L-BFGS.
    fn iteration(&mut self) -> End {
        if self.control.stop_requested() {
            return End::Stopped;
        }
        let (mut loss, mut gradient) = match self.known.take() {
            Some(known) => known,
            None => {
                let loss = self.objective.value(&self.state.parameters, Some(&mut self.gradient));
                (loss, self.gradient.clone())
            }
        };
        let size = sum_of_squares(&gradient);
        if !(loss.is_finite() && size.is_finite()) {
            return End::Diverged;
        }
        if self.options.target_loss.is_some_and(|target| loss <= target) || size == 0.0 {
            return End::Final;
        }
        let (Memory::Lbfgs { pairs }, Optimiser::Lbfgs { history }) =
            (&mut self.state.memory, self.options.optimiser)
        else {
            return End::Final;
        };
        let objective = &mut self.objective;
        let end = iterate(
            pairs,
            history,
            &mut self.state.parameters,
            &mut loss,
            &mut gradient,
            |parameters, gradient| objective.value(parameters, Some(gradient)),
        );
        if end == Iteration::Converged {
            return End::Final;
        }
        self.known = Some((loss, gradient));
        End::Complete { loss }
    }

    /// The validation loss of the current parameters, frozen; keeps them where they are the best.
    fn validate(&mut self) -> Option<f64> {
        self.objective.held.as_ref()?;
        self.objective.value(&self.state.parameters, None);
        let score = self.objective.validation(&self.state.parameters)?;
        if score.is_finite() && self.state.attempt_score.is_none_or(|old| score < old) {
            self.state.attempt_score = Some(score);
            self.state.stale = 0;
            self.offer(score);
        } else {
            self.state.stale += 1;
        }
        Some(score)
    }

    /// Keeps the current parameters and statistics where `score` is the lowest of all attempts.
    fn offer(&mut self, score: f64) {
        if self.state.best.as_ref().is_none_or(|best| score < best.score) {
            self.state.best = Some(Best {
                score,
                attempt: self.state.attempt,
                epoch: self.state.epoch,
                parameters: self.state.parameters.clone(),
                statistics: self.objective.statistics(),
            });
        }
    }

    fn checkpoint(&mut self) -> Result<()> {
        let checkpoint = Checkpoint::new(self.fingerprint.clone(), self.state.convert());
        self.control.checkpoint(&checkpoint)
    }

    fn stop(mut self) -> Result<Trained> {
        if self.control.checkpoint_every().is_some() {
            self.checkpoint()?;
        }
        let best = match self.state.best.take() {
            Some(best) if self.objective.held.is_some() => best,
            _ => {
                let mut score = self.objective.value(&self.state.parameters, None);
                if !(score.is_finite() && self.is_finite()) {
                    // On its way to divergence: no network yet but the start.
                    self.state.parameters = self.objective.start(self.state.attempt);
                    score = self.objective.value(&self.state.parameters, None);
                }
                Best {
                    score,
                    attempt: self.state.attempt,
                    epoch: self.state.epoch,
                    parameters: self.state.parameters.clone(),
                    statistics: self.objective.statistics(),
                }
            }
        };
        self.trained(best, true)
    }

    fn trained(mut self, best: Best<T>, stopped: bool) -> Result<Trained> {
        self.objective.engine.set_statistics(&best.statistics);
        let mut warnings: Vec<String> =
            constant_inputs_warning(&self.objective.constant_inputs()).into_iter().collect();
        warnings.append(&mut self.state.warnings);
        let network = self.objective.network(&best.parameters)?;
        self.seconds.sort_by(f64::total_cmp);
        Ok(Trained {
            network,
            epochs: self.state.epoch,
            best_epoch: best.epoch,
            loss: self.objective.value_frozen(&best.parameters, None),
            validation: self.objective.validation(&best.parameters),
            warnings,
            seconds_per_epoch: self.seconds.get(self.seconds.len() / 2).copied(),
            restarts: self.state.attempt,
            stopped,
        })
    }
}
