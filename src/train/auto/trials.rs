//! What has been tried, and the file of it.

use std::path::Path;

use serde_json::{Value, json};

use super::{Candidate, PAIR};
use crate::error::Result;
use crate::json::{Cursor, Json};
use crate::network::Activation;
use crate::train::checkpoint::{read_document, write_document};

const FORMAT: &str = "slnn.search-checkpoint";
const VERSION: usize = 2;

/// What a candidate is tried as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A network that learns from the table alone.
    Alone,
    /// A network of tanh that may become a part of the teacher.
    Teacher,
    /// One of ReLU.
    ReluTeacher,
    /// A network that learns from the table and a teacher.
    Taught,
}

/// One candidate and how it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What it was tried as.
    pub role: Role,
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

/// The finished trainings of a search.
///
/// The file is JSON, `"format": "slnn.search-checkpoint", "version": 2`: `run` is the SHA-256 of
/// table, rows, options and search, `trials` the list of what is done, each with `role`
/// (`alone`, `teacher`, `relu-teacher` or `taught`), `hidden`, `degrees`, `l2` and `losses`, a list of pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchCheckpoint {
    pub(super) run: String,
    pub(super) trials: Vec<Trial>,
}

/// The loss of a mean of `members` networks, from the mean loss of two and the loss of their mean;
/// infinite where one is not finite.
pub(super) fn predicted((single, pair): &(f64, f64), members: usize) -> f64 {
    if !(single.is_finite() && pair.is_finite()) {
        return f64::INFINITY;
    }
    single + 2.0 * (1.0 - 1.0 / members as f64) * (pair - single)
}

impl Trial {
    /// The loss predicted for a mean of `members` networks, over the folds tried.
    pub fn predicted(&self, members: usize) -> f64 {
        self.predicted_on(self.losses.len(), members)
    }

    /// The same over the first folds alone.
    pub(super) fn predicted_on(&self, folds: usize, members: usize) -> f64 {
        let losses = &self.losses[..folds.min(self.losses.len())];
        losses.iter().map(|pair| predicted(pair, members)).sum::<f64>() / losses.len() as f64
    }

    pub(super) fn is(&self, candidate: &Candidate) -> bool {
        let Candidate { role, hidden, degrees, l2 } = candidate;
        (self.role, self.l2) == (*role, *l2) && (&self.hidden, &self.degrees) == (hidden, degrees)
    }
}

impl Role {
    /// The activation of what teaches.
    pub(super) fn teaches(self) -> Option<Activation> {
        match self {
            Role::Teacher => Some(Activation::Tanh),
            Role::ReluTeacher => Some(Activation::Relu),
            Role::Alone | Role::Taught => None,
        }
    }

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Role::Alone => "alone",
            Role::Teacher => "teacher",
            Role::ReluTeacher => "relu-teacher",
            Role::Taught => "taught",
        }
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
            json!({
                "role": t.role.name(), "hidden": t.hidden, "degrees": t.degrees, "l2": t.l2,
                "losses": losses,
            })
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
    let role = fields.take("role")?;
    let named = [Role::Alone, Role::Teacher, Role::ReluTeacher, Role::Taught];
    let trial = Trial {
        role: match named.into_iter().find(|named| role.string().is_ok_and(|s| s == named.name())) {
            Some(named) => named,
            None => return Err(role.expected("alone, teacher, relu-teacher or taught")),
        },
        hidden: counts(fields.take("hidden")?)?,
        degrees: counts(fields.take("degrees")?)?,
        l2: fields.take("l2")?.number()?,
        losses: fields.take("losses")?.array()?.map(pair).collect::<Result<_>>()?,
    };
    fields.finish()?;
    Ok(trial)
}
