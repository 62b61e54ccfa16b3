//! Checkpoints: the complete state of a training run, from which it goes on to the same bytes.
//!
//! The file is JSON, `"format": "slnn.checkpoint", "version": 1`, with these keys:
//!
//! | key | value |
//! |---|---|
//! | `table`, `rows` | SHA-256 of the table's numbers and names, and of the training rows, in hexadecimal |
//! | `options` | every option by name, as text |
//! | `attempt`, `epoch`, `batch` | attempts, epochs and batches that are done; random numbers are functions of the seed and these |
//! | `sum` | the losses of the batches done in this epoch |
//! | `parameters` | the vector that [`Objective`](super::Objective) describes |
//! | `memory` | `{"kind": "adam", "first": [...], "second": [...], "steps": n}`, `{"kind": "sgd", "velocity": [...]}`, or `{"kind": "lbfgs", "pairs": [[s, y], ...]}` |
//! | `statistics` | `[mean, scale]` for every step of the way, empty where there is no SLAF |
//! | `stale` | epochs without a better validation loss |
//! | `attempt_score` | the best validation loss of this attempt, or null |
//! | `best` | null, or `score`, `attempt`, `epoch`, `parameters`, `statistics` of the best so far |
//! | `warnings` | what has been found out so far |

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::file::write_atomically;
use crate::json::{Cursor, Json};
use crate::table::Table;
use crate::train::model::Statistics;
use crate::train::objective::{Objective, batches};
use crate::train::optimiser::Memory;
use crate::train::options::{Optimiser, Options};
use crate::train::real::Real;

const FORMAT: &str = "slnn.checkpoint";
const VERSION: usize = 1;

/// The complete state of a training run.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    fingerprint: Fingerprint,
    state: State<f64>,
}

/// What a run is a function of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fingerprint {
    table: String,
    rows: String,
    options: Vec<(String, String)>,
}

/// What a run has come to; in a file its numbers are f64, which hold f32 as they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State<T> {
    pub attempt: usize,
    pub epoch: usize,
    pub batch: usize,
    pub sum: f64,
    pub parameters: Vec<T>,
    pub memory: Memory<T>,
    pub statistics: Statistics,
    pub stale: usize,
    pub attempt_score: Option<f64>,
    pub best: Option<Best<T>>,
    pub warnings: Vec<String>,
}

/// The best parameters so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Best<T> {
    pub score: f64,
    pub attempt: usize,
    pub epoch: usize,
    pub parameters: Vec<T>,
    pub statistics: Statistics,
}

impl<T: Real> State<T> {
    /// The same state in another float.
    pub fn convert<U: Real>(&self) -> State<U> {
        let all = |x: &[T]| -> Vec<U> { x.iter().map(|x| U::of(x.f64())).collect() };
        let memory = match &self.memory {
            Memory::Adam { first, second, steps } => {
                Memory::Adam { first: all(first), second: all(second), steps: *steps }
            }
            Memory::Sgd { velocity } => Memory::Sgd { velocity: all(velocity) },
            Memory::Lbfgs { pairs } => {
                Memory::Lbfgs { pairs: pairs.iter().map(|(s, y)| (all(s), all(y))).collect() }
            }
        };
        let best = self.best.as_ref().map(|best| Best {
            score: best.score,
            attempt: best.attempt,
            epoch: best.epoch,
            parameters: all(&best.parameters),
            statistics: best.statistics.clone(),
        });
        State {
            attempt: self.attempt,
            epoch: self.epoch,
            batch: self.batch,
            sum: self.sum,
            parameters: all(&self.parameters),
            memory,
            statistics: self.statistics.clone(),
            stale: self.stale,
            attempt_score: self.attempt_score,
            best,
            warnings: self.warnings.clone(),
        }
    }
}

/// Writes a document as one line, atomically.
pub(super) fn write_document(path: &Path, document: &Value) -> Result<()> {
    write_atomically(path, |writer| {
        writer.write_all(document.to_string().as_bytes())?;
        writer.write_all(b"\n")
    })
}

/// Reads a document; `None` where there is no such file.
pub(super) fn read_document<D>(
    path: &Path,
    from_json: impl FnOnce(&Json) -> Result<D>,
) -> Result<Option<D>> {
    if !path.try_exists().map_err(|e| Error::io(path, e))? {
        return Ok(None);
    }
    let json = Json::read(path)?;
    from_json(&json).map(Some).map_err(|e| e.within(path.display()))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Fingerprint {
    pub fn new(table: &Table, rows: &[usize], options: &Options) -> Self {
        let mut hash = Sha256::new();
        for names in [table.input_names(), table.target_names()] {
            hash.update((names.len() as u64).to_le_bytes());
            for name in names {
                hash.update((name.len() as u64).to_le_bytes());
                hash.update(name.as_bytes());
            }
        }
        for numbers in [table.inputs(), table.targets()] {
            hash.update((numbers.nrows() as u64).to_le_bytes());
            for x in numbers {
                hash.update(x.to_bits().to_le_bytes());
            }
        }
        let table = hexadecimal(hash);
        let mut hash = Sha256::new();
        for row in rows {
            hash.update((*row as u64).to_le_bytes());
        }
        let options =
            options.entries().into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        Fingerprint { table, rows: hexadecimal(hash), options }
    }
}

impl Checkpoint {
    pub(super) fn new(fingerprint: Fingerprint, state: State<f64>) -> Self {
        Checkpoint { fingerprint, state }
    }

    /// Epochs done in the current attempt.
    pub fn epoch(&self) -> usize {
        self.state.epoch
    }

    /// Writes the checkpoint, atomically.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_document(path, &self.to_json())
    }

    /// Reads a checkpoint; `None` where there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or is not a checkpoint; the message names the place.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        read_document(path, Self::from_json)
    }

    pub(super) fn to_json(&self) -> Value {
        let Checkpoint { fingerprint, state } = self;
        let options: serde_json::Map<String, Value> = fingerprint
            .options
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let memory = match &state.memory {
            Memory::Adam { first, second, steps } => {
                json!({"kind": "adam", "first": first, "second": second, "steps": steps})
            }
            Memory::Sgd { velocity } => json!({"kind": "sgd", "velocity": velocity}),
            Memory::Lbfgs { pairs } => json!({"kind": "lbfgs", "pairs": pairs}),
        };
        let best = state.best.as_ref().map(|best| {
            json!({
                "score": best.score, "attempt": best.attempt, "epoch": best.epoch,
                "parameters": best.parameters, "statistics": best.statistics,
            })
        });
        json!({
            "format": FORMAT, "version": VERSION,
            "table": fingerprint.table, "rows": fingerprint.rows, "options": options,
            "attempt": state.attempt, "epoch": state.epoch, "batch": state.batch,
            "sum": state.sum, "parameters": state.parameters, "memory": memory,
            "statistics": state.statistics, "stale": state.stale,
            "attempt_score": state.attempt_score, "best": best, "warnings": state.warnings,
        })
    }

    pub(super) fn from_json(json: &Json) -> Result<Self> {
        let mut fields = json.top().object()?;
        fields.header(FORMAT, VERSION)?;
        let options = fields.take("options")?;
        // The order in which an object lists its keys is the writer's.
        let Json::Object(listed) = options.value() else {
            return Err(options.expected("an object"));
        };
        let mut own = options.object()?;
        let options = listed
            .iter()
            .map(|(name, _)| Ok((name.clone(), own.take(name)?.string()?.to_string())))
            .collect::<Result<_>>()?;
        let fingerprint = Fingerprint {
            table: fields.take("table")?.string()?.to_string(),
            rows: fields.take("rows")?.string()?.to_string(),
            options,
        };
        let state = State {
            attempt: fields.take("attempt")?.index(usize::MAX)?,
            epoch: fields.take("epoch")?.index(usize::MAX)?,
            batch: fields.take("batch")?.index(usize::MAX)?,
            sum: fields.take("sum")?.number()?,
            parameters: numbers(&fields.take("parameters")?)?,
            memory: memory(&fields.take("memory")?)?,
            statistics: statistics(&fields.take("statistics")?)?,
            stale: fields.take("stale")?.index(usize::MAX)?,
            attempt_score: optional(&fields.take("attempt_score")?, Cursor::number)?,
            best: optional(&fields.take("best")?, best)?,
            warnings: fields
                .take("warnings")?
                .array()?
                .map(|w| w.string().map(str::to_string))
                .collect::<Result<_>>()?,
        };
        fields.finish()?;
        Ok(Checkpoint { fingerprint, state })
    }

    /// The state, where it belongs to this table, these rows and options.
    ///
    /// # Errors
    /// When it does not, or does not fit the network.
    pub(super) fn check<T: Real>(
        self,
        own: &Fingerprint,
        objective: &Objective<T>,
    ) -> Result<State<T>> {
        let Checkpoint { fingerprint, state } = self;
        let changed = |place: String, found: &str, expected: &str| {
            let advice = "the same as when the checkpoint was written; or start anew without it";
            Err(Error::invalid(
                format!("checkpoint: {place}"),
                found,
                if expected.is_empty() {
                    advice.into()
                } else {
                    format!("{expected} (now given), {advice}")
                },
            ))
        };
        for (place, old, new) in
            [("table", &fingerprint.table, &own.table), ("rows", &fingerprint.rows, &own.rows)]
        {
            if old != new {
                return changed(place.into(), &format!("a changed {place} (SHA-256 {old})"), new);
            }
        }
        for (name, now) in &own.options {
            match fingerprint.options.iter().find(|(n, _)| n == name) {
                Some((_, old)) if old == now => {}
                Some((_, old)) => return changed(format!("options.{name}"), old, now),
                None => return changed(format!("options.{name}"), "nothing", now),
            }
        }
        if let Some((name, old)) =
            fingerprint.options.iter().find(|(n, _)| own.options.iter().all(|(m, _)| m != n))
        {
            return changed(format!("options.{name}"), old, "");
        }
        check_state(&state, objective)?;
        Ok(state.convert())
    }
}

/// A file may claim anything: everything that later indexes or counts is checked here.
fn check_state<T: Real>(state: &State<f64>, objective: &Objective<T>) -> Result<()> {
    let (options, parameters) = (&objective.options, objective.parameters());
    let wrong = |place: &str, found: String, expected: String| {
        Err(Error::invalid(format!("checkpoint: {place}"), found, expected))
    };
    let count = |place: &str, found: usize, most: usize| {
        if found <= most {
            Ok(())
        } else {
            wrong(place, found.to_string(), format!("at most {most}"))
        }
    };
    let length = |place: &str, found: usize| {
        let expected = format!("{parameters}, one a parameter");
        if found == parameters {
            Ok(())
        } else {
            wrong(place, format!("{found} numbers"), expected)
        }
    };
    count("attempt", state.attempt, options.restarts)?;
    count("epoch", state.epoch, options.epochs)?;
    count("batch", state.batch, batches(options, objective.fit.count) - 1)?;
    length("parameters", state.parameters.len())?;
    match (&state.memory, options.optimiser) {
        (Memory::Adam { first, second, .. }, Optimiser::Adam { .. }) => {
            length("memory.first", first.len())?;
            length("memory.second", second.len())?;
        }
        (Memory::Sgd { velocity }, Optimiser::Sgd { .. }) => {
            length("memory.velocity", velocity.len())?;
        }
        (Memory::Lbfgs { pairs }, Optimiser::Lbfgs { history }) => {
            count("memory.pairs", pairs.len(), history)?;
            for (s, y) in pairs {
                length("memory.pairs", s.len())?;
                length("memory.pairs", y.len())?;
            }
        }
        _ => {
            return wrong(
                "memory.kind",
                "another optimiser's".into(),
                "the optimiser's own".into(),
            );
        }
    }
    let own = objective.statistics();
    let fits = |other: &Statistics| {
        own.len() == other.len()
            && own.iter().zip(other).all(|(a, b)| (a.0.len(), a.1.len()) == (b.0.len(), b.1.len()))
    };
    if !fits(&state.statistics) {
        return wrong("statistics", "other shapes".into(), "those of the network".into());
    }
    if let Some(best) = &state.best {
        length("best.parameters", best.parameters.len())?;
        if !fits(&best.statistics) {
            return wrong("best.statistics", "other shapes".into(), "those of the network".into());
        }
    }
    Ok(())
}

fn numbers(cursor: &Cursor) -> Result<Vec<f64>> {
    cursor.array()?.map(|item| item.number()).collect()
}

fn optional<'a, T>(
    cursor: &Cursor<'a>,
    read: impl FnOnce(&Cursor<'a>) -> Result<T>,
) -> Result<Option<T>> {
    if *cursor.value() == Json::Null { Ok(None) } else { read(cursor).map(Some) }
}

fn pair(cursor: &Cursor) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut items = cursor.array()?;
    match (items.next(), items.next(), items.next()) {
        (Some(first), Some(second), None) => Ok((numbers(&first)?, numbers(&second)?)),
        _ => Err(cursor.expected("an array of two")),
    }
}

fn statistics(cursor: &Cursor) -> Result<Statistics> {
    cursor.array()?.map(|item| pair(&item)).collect()
}

fn memory(cursor: &Cursor) -> Result<Memory<f64>> {
    let mut fields = cursor.object()?;
    let kind = fields.take("kind")?;
    let memory = match kind.string()? {
        "adam" => Memory::Adam {
            first: numbers(&fields.take("first")?)?,
            second: numbers(&fields.take("second")?)?,
            steps: fields.take("steps")?.index(usize::MAX)?,
        },
        "sgd" => Memory::Sgd { velocity: numbers(&fields.take("velocity")?)? },
        "lbfgs" => Memory::Lbfgs { pairs: statistics(&fields.take("pairs")?)? },
        _ => return Err(kind.expected("\"adam\", \"sgd\" or \"lbfgs\"")),
    };
    fields.finish()?;
    Ok(memory)
}

fn best(cursor: &Cursor) -> Result<Best<f64>> {
    let mut fields = cursor.object()?;
    let best = Best {
        score: fields.take("score")?.number()?,
        attempt: fields.take("attempt")?.index(usize::MAX)?,
        epoch: fields.take("epoch")?.index(usize::MAX)?,
        parameters: numbers(&fields.take("parameters")?)?,
        statistics: statistics(&fields.take("statistics")?)?,
    };
    fields.finish()?;
    Ok(best)
}
