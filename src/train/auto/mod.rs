//! A network for a new table without tuning: shape, degrees, L2 and size of the ensemble chosen by
//! validation inside the training rows.
//!
//! A polynomial fits its rows with ease and then explodes on a row near their edge. What guards
//! against that here: every candidate is judged by squared error (or the loss of its head) on rows
//! that it has not seen, where one explosion outweighs everything; the rows are all held back
//! once, in folds; and the result is a mean of several networks, of two shapes where a second one
//! is nearly as good as the best.
//!
//! The search has three rounds, and three more where a teacher is asked for, and its budget is a number of trainings, never a time:
//!
//! 1. every candidate on the first fold,
//! 2. the best of them on the other folds,
//! 3. the best of all with stronger and weaker L2, on all folds,
//! 4. networks of tanh and of ReLU, on all folds,
//! 5. SLNNs that learn from a teacher, on the first fold: the networks of round 4 and some more, with the
//!    L2 that is best for all shapes together, label made-up rows ([`Lesson`]),
//! 6. the better ones of round 5 on the other folds; of a shape with two L2 the weaker is kept where
//!    it is nearly as good.
//!
//! A fold has a teacher of its own, which has not seen the rows held back either; so the folds also
//! tell whether it helps on this table. What is taught is compared with what is not by the median over
//! folds: a single fold whose rows held back have no like among the others would decide alone.
//!
//! A candidate is trained twice on a fold, from different seeds, and ranked by the loss of the mean of the
//! pair as it is measured: one whose networks explode now and then on a single row is not excused
//! by the hope that others would outvote it. The size of the ensemble follows from what the pair
//! gains: with `L_1` the mean loss of the two and `L_2` that of their mean, the loss of a mean of K is predicted
//! as `L_1 + 2 (1 - 1/K) (L_2 - L_1)`, exact in expectation for squared errors, whose part that
//! members do not share falls as 1/K.

mod search;
mod trials;

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::network::{Head, Network};
use crate::table::Table;
use crate::train::checkpoint::Fingerprint;
use crate::train::ensemble::{MAX_MEMBERS, member_options, train_members};
use crate::train::jobs::{Job, Watch, run_all};
use crate::train::model::generator;
use crate::train::objective::{check_rows, shuffle};
use crate::train::teacher::median;
use crate::train::{
    Checkpoint, Control, HiddenActivation, Lesson, Objective, Optimiser, Options, Progress,
    Routine, Trained, metrics,
};

pub use search::{Kind, Search, Teacher, method, teachable};
use trials::predicted;
pub use trials::{Role, SearchCheckpoint, Trial};

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
const TOLERANCE: f64 = 0.03;
/// A second shape joins the ensemble when its loss is no more than so many times the least: errors
/// of unlike networks agree less than those of like ones, which then makes up for it.
const NEARLY: f64 = 1.3;
/// Where the best that is taught loses no more than so many times what the best alone does, every member
/// is taught, which gains from all rows: its teacher has twice the networks then, and fewer gaps to guess
/// across.
const TAUGHT: f64 = 1.05;
/// Where it loses up to so many times that, half of them: three quarters of the rows say too little of it.
const TAUGHT_NEARLY: f64 = 2.0;
/// Of what is taught the weaker L2 is kept when its loss is no more than so many times that of the
/// stronger: made-up rows are guard enough, and with all rows weak L2 gains most.
const WEAKER: f64 = 1.2;
/// What is taught and loses more than so many times what another does explodes on some row, on whichever
/// fold that lies.
const EXPLODED: f64 = 3.0;
/// Candidates of the last round.
const BEST: usize = 2;
/// Networks of each shape in the teacher of a fold beside the pair tried there, and in that of the members.
const MORE_TEACHERS: usize = 2;
const TEACHERS: usize = 8;
/// Steps that L-BFGS remembers in a teacher: a thousand iterations come as far as four thousand with 20.
const TEACHER_HISTORY: usize = 100;

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
    /// The indices of the members that learn from a teacher.
    pub taught: Vec<usize>,
    /// The options of the networks that are the teacher together; none where no member learns from one.
    pub teacher: Vec<Options>,
    /// The loss of the best candidate on rows held back: of a pair's mean, or of single networks
    /// where one was asked for.
    pub loss: f64,
    /// Every candidate that was tried, in the order in which they were.
    pub trials: Vec<Trial>,
}

impl Choice {
    /// The options of every member, for [`train_members`].
    pub fn member_options(&self) -> Vec<Options> {
        let own = |index| match &self.second {
            Some(second) if index >= self.members / 2 => member_options(second, index),
            _ => member_options(&self.options, index),
        };
        (0..self.members).map(own).collect()
    }

    /// Trains the teacher on the rows and makes the rows that it labels; [`Lesson::rows`] of a member
    /// that is not taught are the training rows alone.
    ///
    /// `None` where the control stopped it. Cost: that of training 24 networks at most.
    ///
    /// # Errors
    /// As [`train_members`], and when no member is taught.
    pub fn lesson(
        &self,
        table: &Table,
        rows: &[usize],
        control: &mut dyn Control,
    ) -> Result<Option<Lesson>> {
        let Some(teacher) = train_members(table, rows, &self.teacher, None, control)? else {
            return Ok(None);
        };
        let teachers: Vec<&Network> = teacher.members.iter().map(|own| &own.network).collect();
        let (members, seed, stop) = (self.members, self.options.seed, || control.stop_requested());
        let Some(mut lesson) = Lesson::new(table, rows, &teachers, members, seed, &stop)? else {
            return Ok(None);
        };
        for (index, own) in lesson.rows.iter_mut().enumerate() {
            if !self.taught.contains(&index) {
                *own = rows.to_vec();
            }
        }
        Ok(Some(lesson))
    }
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
    if let Some(members) = search.members.filter(|k| !(1..=MAX_MEMBERS).contains(k)) {
        let expected = format!("from 1 to {MAX_MEMBERS}");
        return Err(Error::invalid("options.ensemble", members.to_string(), expected));
    }
    if search.shapes.is_empty() || search.l2.is_empty() || search.trials < PAIR {
        let found = "no candidates, or fewer than two trainings to try one";
        return Err(Error::invalid("options.trials", found, "a candidate and two trainings"));
    }
    if search.teacher.as_ref().is_some_and(|teacher| teacher.longer == 0) {
        return Err(Error::invalid("options.teacher", "members without an epoch", "1 or longer"));
    }
    if search.teacher.is_some() && !teachable(table, base) {
        let expected = "SLAFs, squared errors and at most 10,000 rows";
        return Err(Error::invalid("options.teacher", "a teacher", expected));
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
    let mut state = State {
        table,
        base,
        search,
        folds,
        variances,
        run,
        trials,
        control,
        used: 0,
        teachers: Vec::new(),
        tried: vec![Vec::new(); FOLDS],
        lessons: vec![None; FOLDS],
    };
    state.rounds()
}

fn run_name(table: &Table, rows: &[usize], base: &Options, search: &Search) -> String {
    let text = format!("{:?} {search:?}", Fingerprint::new(table, rows, base));
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    role: Role,
    hidden: Vec<usize>,
    degrees: Vec<usize>,
    l2: f64,
}

impl Candidate {
    /// Whether it has the same hidden layers and degrees.
    fn is_like(&self, other: &Candidate) -> bool {
        (&self.hidden, &self.degrees) == (&other.hidden, &other.degrees)
    }
}

/// Every shape with every L2.
fn candidates(role: Role, shapes: &[(Vec<usize>, Vec<usize>)], l2: &[f64]) -> Vec<Candidate> {
    let one = |l2: f64| {
        shapes.iter().cloned().map(move |(hidden, degrees)| Candidate { role, hidden, degrees, l2 })
    };
    l2.iter().flat_map(|l2| one(*l2)).collect()
}

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
    /// The kinds of networks of the teacher.
    teachers: Vec<Candidate>,
    /// Of every fold, the networks that may teach and were tried there; those of before a checkpoint once
    /// they are trained again.
    tried: Vec<Vec<(Candidate, Vec<Network>)>>,
    /// Of every fold, once it is asked for.
    lessons: Vec<Option<Arc<Lesson>>>,
}

impl State<'_> {
    fn rounds(&mut self) -> Result<Option<Choice>> {
        let size = self.search.members.unwrap_or(SIZES[SIZES.len() - 1]);
        let all = candidates(Role::Alone, &self.search.shapes, &self.search.l2);
        // What is wrong with the options is said once, before anything is trained.
        for candidate in &all {
            Objective::new(self.table, &self.folds[0].0, &self.options(candidate))?;
        }
        let rank = size.min(PAIR);
        let single = all.len() == 1;
        if !self.round(&all, 0..1)? {
            return Ok(None);
        }
        let finalists = self.best_on(1, &all, rank, if single { 1 } else { FINALISTS });
        if !self.round(&finalists, 1..FOLDS)? {
            return Ok(None);
        }
        let mut finalists = self.complete(finalists);
        if self.search.step != 1.0 {
            let best = self.best(&finalists, rank, 1).swap_remove(0);
            let factors = [self.search.step, 1.0 / self.search.step];
            let near: Vec<Candidate> =
                factors.iter().map(|f| Candidate { l2: best.l2 * f, ..best.clone() }).collect();
            if !self.round(&near, 0..FOLDS)? {
                return Ok(None);
            }
            finalists.extend(near);
            finalists = self.complete(finalists);
        }
        let best = self.best(&finalists, rank, 1).swap_remove(0);
        let taught = match self.search.affordable_teacher() {
            Some(teacher) => self.taught(teacher, rank)?,
            None => Some(Vec::new()),
        };
        let Some(taught) = taught else { return Ok(None) };
        let (best, second) = self.together(best, finalists, taught, rank);
        self.choice(&best, second.as_ref(), size, rank).map(Some)
    }

    /// The first shape of the ensemble and the second: from the best alone, all that are, and what is
    /// taught.
    fn together(
        &self,
        best: Candidate,
        mut alone: Vec<Candidate>,
        mut taught: Vec<Candidate>,
        rank: usize,
    ) -> (Candidate, Option<Candidate>) {
        let ratio = |own: &Candidate| self.ratio(own, &best, rank);
        taught.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        if let Some(own) = taught.first() {
            if ratio(own) <= TAUGHT {
                let near = |c: &&Candidate| !c.is_like(own) && self.ratio(c, own, rank) <= NEARLY;
                return (own.clone(), taught.iter().find(near).cloned());
            }
            if ratio(own) <= TAUGHT_NEARLY {
                return (best, Some(own.clone()));
            }
        }
        let loss = |c: &Candidate| self.loss(c, rank);
        alone.retain(|c| !c.is_like(&best) && loss(c) <= NEARLY * loss(&best));
        let second = self.best(&alone, rank, 1).pop();
        (best, second)
    }

    /// The rounds with a teacher: what is taught and worth it; `None` where it was stopped.
    fn taught(&mut self, teacher: &Teacher, rank: usize) -> Result<Option<Vec<Candidate>>> {
        let shapes: Vec<_> = teacher.hidden.iter().map(|h| (h.clone(), vec![1])).collect();
        let of = |networks: &[(Role, f64)]| -> Vec<Candidate> {
            networks.iter().flat_map(|(role, l2)| candidates(*role, &shapes, &[*l2])).collect()
        };
        let all = of(&teacher.networks());
        if !self.round(&all, 0..FOLDS)? {
            return Ok(None);
        }
        if !self.train_again(&all)? {
            return Ok(None);
        }
        let loss = |kind: &Kind| self.together_loss(&of(&kind.networks));
        let losses: Vec<f64> = teacher.kinds.iter().map(loss).collect::<Result<_>>()?;
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let near = |(kind, loss): &(&Kind, f64)| *loss <= kind.room * least && loss.is_finite();
        let Some((kind, _)) = teacher.kinds.iter().zip(losses).rfind(near) else {
            return Ok(Some(Vec::new()));
        };
        self.teachers = of(&kind.networks);
        self.used += FOLDS * self.teachers.len() * MORE_TEACHERS;
        let all = candidates(Role::Taught, &teacher.taught, &kind.taught_l2);
        if !self.round(&all, 0..1)? {
            return Ok(None);
        }
        let mut finalists = self.best_on(1, &all, rank, BEST);
        if !self.round(&finalists, 1..FOLDS)? {
            return Ok(None);
        }
        let loss = |c: &Candidate| self.loss(c, rank);
        let least = finalists.iter().map(loss).fold(f64::INFINITY, f64::min);
        finalists.retain(|c| loss(c) <= EXPLODED * least);
        let weaker = |strong: &Candidate, weak: &Candidate| {
            weak.is_like(strong) && weak.l2 < strong.l2 && self.ratio(weak, strong, rank) <= WEAKER
        };
        let own = finalists.iter().filter(|c| !finalists.iter().any(|other| weaker(c, other)));
        Ok(Some(own.cloned().collect()))
    }

    /// The networks of a candidate that may teach, once they were tried on a fold.
    fn tried_on(&self, fold: usize, candidate: &Candidate) -> Option<&[Network]> {
        let found = self.tried[fold].iter().find(|(own, _)| own == candidate);
        found.map(|(_, networks)| &networks[..])
    }

    /// Trains those networks that may teach and were tried before a checkpoint, which keeps their losses
    /// alone; `false` where it was stopped.
    fn train_again(&mut self, teachers: &[Candidate]) -> Result<bool> {
        let missing = |(fold, c): &(usize, &Candidate)| self.tried_on(*fold, c).is_none();
        let all = (0..FOLDS).flat_map(|fold| teachers.iter().map(move |c| (fold, c)));
        let missing: Vec<(usize, &Candidate)> = all.filter(missing).collect();
        let table = self.table;
        let job = |(fold, c): &(usize, &Candidate)| {
            let rows = self.folds[*fold].0.clone();
            let own = self.several(c, 0..PAIR).into_iter();
            own.map(move |options| Job { table, rows: rows.clone(), options, from: None })
        };
        let jobs: Vec<Job> = missing.iter().flat_map(job).collect();
        let answers = run_all(&jobs, &mut self.watch())?;
        if answers.iter().any(stopped) {
            return Ok(false);
        }
        let mut answers = answers.into_iter().flatten();
        for (fold, c) in missing {
            let pair = answers.by_ref().take(PAIR).flatten().map(|own| own.network).collect();
            self.tried[fold].push((c.clone(), pair));
        }
        Ok(true)
    }

    /// The loss of the mean of all networks of some candidates on the rows held back: that of one
    /// shape is too noisy to choose by, and unlike networks err less together than the best of them alone.
    fn together_loss(&self, candidates: &[Candidate]) -> Result<f64> {
        let mut sum = 0.0;
        for (fold, (_, held)) in self.folds.iter().enumerate() {
            let held = self.table.select(held);
            // One that diverged is left out, as it is in a teacher. The order is one whatever a
            // checkpoint knew: sums are rounded.
            let own = candidates.iter().filter_map(|c| self.tried_on(fold, c));
            let networks: Vec<&Network> = own.flatten().collect();
            let mut mean = Array2::zeros(held.targets().dim());
            for network in &networks {
                mean += &network.forward(held.inputs().view())?;
            }
            mean /= networks.len() as f64;
            if !mean.iter().all(|y: &f64| y.is_finite()) {
                return Ok(f64::INFINITY);
            }
            sum += self.loss_of(&mean, held.targets(), Head::Identity)?;
        }
        Ok(sum / FOLDS as f64)
    }

    fn options(&self, candidate: &Candidate) -> Options {
        let Candidate { role, hidden, degrees, l2 } = candidate.clone();
        let own = Options { hidden, degrees, l2, ..self.base.clone() };
        match role.teaches() {
            None if role == Role::Alone => own,
            None => {
                let longer = self.search.teacher.as_ref().map_or(1, |teacher| teacher.longer);
                Options { epochs: own.epochs.saturating_mul(longer), ..own }
            }
            // What keeps powers in range has nothing to do there.
            Some(activation) => Options {
                activation: HiddenActivation::Function(activation),
                routine: Routine::Normalised,
                warm_start: None,
                optimiser: match own.optimiser {
                    Optimiser::Lbfgs { history } => {
                        Optimiser::Lbfgs { history: history.max(TEACHER_HISTORY) }
                    }
                    other => other,
                },
                ..own
            },
        }
    }

    /// The options of some networks of a candidate.
    fn several(&self, candidate: &Candidate, indices: Range<usize>) -> Vec<Options> {
        let options = self.options(candidate);
        indices.map(|index| member_options(&options, index)).collect()
    }

    /// What is taught on a fold, by a teacher of its own; `None` where it was stopped.
    fn lesson(&mut self, fold: usize) -> Result<Option<Arc<Lesson>>> {
        if let Some(known) = &self.lessons[fold] {
            return Ok(Some(known.clone()));
        }
        let (table, rows) = (self.table, &self.folds[fold].0);
        let more = |kind: &Candidate| self.several(kind, PAIR..PAIR + MORE_TEACHERS);
        let job = |options| Job { table, rows: rows.clone(), options, from: None };
        let jobs: Vec<Job> = self.teachers.iter().flat_map(more).map(job).collect();
        let answers = run_all(&jobs, &mut self.watch())?;
        if answers.iter().any(stopped) {
            return Ok(None);
        }
        // One that diverged is left out, as long as there are others.
        let (trained, diverged): (Vec<_>, Vec<_>) =
            answers.into_iter().flatten().partition(Result::is_ok);
        let trained: Vec<Trained> = trained.into_iter().flatten().collect();
        let known = self.teachers.iter().filter_map(|kind| self.tried_on(fold, kind));
        let mut networks: Vec<&Network> = known.flatten().collect();
        networks.extend(trained.iter().map(|trained| &trained.network));
        if let (true, Some(Err(error))) = (networks.is_empty(), diverged.into_iter().next()) {
            return Err(error);
        }
        let (rows, seed, stop) =
            (&self.folds[fold].0, self.base.seed, || self.control.stop_requested());
        let Some(lesson) = Lesson::new(table, rows, &networks, PAIR, seed, &stop)? else {
            return Ok(None);
        };
        let lesson = Arc::new(lesson);
        self.lessons[fold] = Some(lesson.clone());
        Ok(Some(lesson))
    }

    fn watch(&mut self) -> Trainings<'_> {
        let (before, total) = (self.done(), self.search.trainings());
        Trainings { control: self.control, before, total }
    }

    fn trial(&self, candidate: &Candidate) -> Option<&Trial> {
        self.trials.iter().find(|t| t.is(candidate))
    }

    fn loss(&self, candidate: &Candidate, size: usize) -> f64 {
        self.loss_on(FOLDS, candidate, size)
    }

    /// How many times the loss of `other` the loss of a candidate is, the median over folds: where rows
    /// held back have no like among the others, nothing taught can know them, and that fold's loss may
    /// be as large as all others together. Infinite where the candidate diverged on a fold.
    fn ratio(&self, candidate: &Candidate, other: &Candidate, size: usize) -> f64 {
        let (Some(own), Some(other)) = (self.trial(candidate), self.trial(other)) else {
            return f64::INFINITY;
        };
        if !own.predicted(size).is_finite() {
            return f64::INFINITY;
        }
        let pairs = own.losses.iter().zip(&other.losses);
        let ratios = pairs.map(|(own, other)| predicted(own, size) / predicted(other, size));
        let ratio = median(ratios.collect());
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    }

    fn loss_on(&self, folds: usize, candidate: &Candidate, size: usize) -> f64 {
        let trial = self.trial(candidate);
        let loss = trial.map_or(f64::INFINITY, |t| t.predicted_on(folds, size));
        if loss.is_nan() { f64::INFINITY } else { loss }
    }

    /// The `count` best candidates, the earlier one first where they are equal.
    fn best(&self, candidates: &[Candidate], size: usize, count: usize) -> Vec<Candidate> {
        self.best_on(FOLDS, candidates, size, count)
    }

    /// The best on the first folds, whatever a checkpoint already knows of others.
    fn best_on(
        &self,
        folds: usize,
        candidates: &[Candidate],
        size: usize,
        count: usize,
    ) -> Vec<Candidate> {
        let mut sorted = candidates.to_vec();
        let loss = |candidate: &Candidate| self.loss_on(folds, candidate, size);
        sorted.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
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
    fn round(&mut self, candidates: &[Candidate], folds: Range<usize>) -> Result<bool> {
        // Parts of the round between checkpoints, large enough to keep all threads at work.
        let part = PAIR * rayon::current_num_threads().max(1);
        for part in self.open(candidates, folds).chunks(part) {
            if !self.try_on_folds(part)? {
                return Ok(false);
            }
            let checkpoint =
                SearchCheckpoint { run: self.run.clone(), trials: self.trials.clone() };
            self.control.search_checkpoint(&checkpoint)?;
        }
        Ok(true)
    }

    /// Candidates and folds that the budget has room for, without those that a checkpoint knows.
    fn open(&mut self, candidates: &[Candidate], folds: Range<usize>) -> Vec<(Candidate, usize)> {
        let mut open = Vec::new();
        for candidate in candidates {
            let cost = PAIR * folds.len();
            if self.used + cost > self.search.trials {
                break;
            }
            self.used += cost;
            let done = self.trial(candidate).map_or(0, |t| t.losses.len());
            let own = folds.clone().filter(|fold| *fold >= done);
            open.extend(own.map(|fold| (candidate.clone(), fold)));
        }
        open
    }

    /// Trains the pair of every candidate on its fold, all at once, and notes how it did; `false` where
    /// it was stopped.
    fn try_on_folds(&mut self, part: &[(Candidate, usize)]) -> Result<bool> {
        let mut lessons = Vec::new();
        for (candidate, fold) in part {
            let lesson = match candidate.role {
                Role::Taught => {
                    let Some(lesson) = self.lesson(*fold)? else { return Ok(false) };
                    Some(lesson)
                }
                _ => None,
            };
            lessons.push(lesson);
        }
        let mut jobs = Vec::new();
        for ((candidate, fold), lesson) in part.iter().zip(&lessons) {
            let options = self.options(candidate);
            jobs.extend((0..PAIR).map(|member| Job {
                table: lesson.as_ref().map_or(self.table, |lesson| &lesson.table),
                rows: match lesson {
                    Some(lesson) => lesson.rows[member].clone(),
                    None => self.folds[*fold].0.clone(),
                },
                options: member_options(&options, member),
                from: None,
            }));
        }
        let answers = run_all(&jobs, &mut self.watch())?;
        if answers.iter().any(stopped) {
            return Ok(false);
        }
        let mut answers = answers.into_iter().flatten();
        for (candidate, fold) in part {
            let pair: Vec<_> = answers.by_ref().take(PAIR).collect();
            if candidate.role.teaches().is_some() {
                let networks = pair.iter().flatten().map(|own| own.network.clone()).collect();
                self.tried[*fold].push((candidate.clone(), networks));
            }
            let losses = self.losses(pair, *fold)?;
            self.note(candidate, losses);
        }
        Ok(true)
    }

    /// Trainings that are done, those of the folds' teachers among them.
    fn done(&self) -> usize {
        let tried = PAIR * self.trials.iter().map(|trial| trial.losses.len()).sum::<usize>();
        let lessons = self.lessons.iter().flatten().count();
        tried + MORE_TEACHERS * self.teachers.len() * lessons
    }

    fn note(&mut self, candidate: &Candidate, losses: (f64, f64)) {
        let Candidate { role, hidden, degrees, l2 } = candidate;
        match self.trials.iter_mut().find(|t| t.is(candidate)) {
            Some(trial) => trial.losses.push(losses),
            None => self.trials.push(Trial {
                role: *role,
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

    /// What to do where everything diverges: mostly some number is far away from all others.
    fn advice(&self) -> String {
        let (fit, held) = &self.folds[0];
        let rows = [&fit[..], held].concat();
        let own = self.table.select(&rows);
        let farthest = |(name, column): (&String, ArrayView1<f64>)| {
            let (mean, deviation) = (column.mean()?, column.std(0.0).max(f64::MIN_POSITIVE));
            let far = |i: usize| (column[i] - mean).abs() / deviation;
            let i = (0..rows.len()).max_by(|a, b| far(*a).total_cmp(&far(*b)))?;
            Some((far(i), format!("{name} = {:?} in row {}", column[i], rows[i])))
        };
        let columns = own.input_names().iter().zip(own.inputs().columns());
        let found = columns.filter_map(farthest).max_by(|a, b| a.0.total_cmp(&b.0));
        let found = found.map_or(String::new(), |(deviations, found)| {
            format!(" ({found} is {deviations:.0} standard deviations from its mean)")
        });
        format!(
            "inputs without numbers far from all others{found}, or options of your own in place of \
             the search"
        )
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
                "a loss that is not finite for every candidate that was tried on all folds",
                self.advice(),
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
        let is_taught = |c: &Candidate| c.role == Role::Taught;
        let second = second.filter(|_| members > 1);
        let half = if second.is_some() { members / 2 } else { members };
        let mut taught: Vec<usize> = Vec::new();
        taught.extend(is_taught(best).then_some(0..half).into_iter().flatten());
        taught.extend(second.filter(|s| is_taught(s)).map(|_| half..members).into_iter().flatten());
        let teacher = if taught.is_empty() {
            Vec::new()
        } else {
            self.teachers.iter().flat_map(|kind| self.several(kind, 0..TEACHERS)).collect()
        };
        Ok(Choice {
            options: self.options(best),
            second: second.map(|second| self.options(second)),
            members,
            taught,
            teacher,
            loss: measured,
            trials: self.trials.clone(),
        })
    }
}

fn stopped(answer: &Option<Result<Trained>>) -> bool {
    match answer {
        None => true,
        Some(Ok(trained)) => trained.stopped,
        Some(Err(_)) => false,
    }
}

/// Progress in trainings.
struct Trainings<'a> {
    control: &'a mut dyn Control,
    before: usize,
    total: usize,
}

impl Watch for Trainings<'_> {
    fn progress(&mut self, runs: &[Option<Progress>]) {
        let begun = runs.iter().flatten();
        let done: f64 = begun.clone().map(|p| p.epoch as f64 / p.epochs.max(1) as f64).sum();
        let Some(last) = begun.last() else { return };
        self.control.progress(&Progress {
            // Those that are trained again after a checkpoint are not counted.
            epoch: (self.before + done as usize).min(self.total),
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
