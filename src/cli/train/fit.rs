//! Searches and trainings that can be interrupted: their checkpoints, and what is shown of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use slnn::error::{Error, Result};
use slnn::file::remove_stale;
use slnn::network::Network;
use slnn::table::Table;
use slnn::train::auto::{self, Choice, SearchCheckpoint, Teacher};
use slnn::train::{
    Checkpoint, Control, EnsembleCheckpoint, Lesson, Options, Trained, resume, train,
    train_ensemble, train_members, train_members_on,
};

use super::Arguments;
use super::flags::{TestRows, name_flag};
use crate::cli::Globals;
use crate::cli::answer::{complain, counted, short};
use crate::cli::progress::{Gentle, Progress};

/// Time between checkpoints where no number of epochs is given.
const CHECKPOINT_TIME: Duration = Duration::from_secs(10);

/// Searches, or goes on with a search.
pub(super) fn choose(
    arguments: &Arguments,
    table: &Table,
    rows: &[usize],
    options: &Options,
    globals: &Globals,
) -> Result<Choice> {
    let path = search_path(&arguments.output);
    remove_stale(&path)?;
    let left = checkpoint_path(&arguments.output);
    if arguments.resume && left.exists() && !path.exists() {
        let found = "the checkpoint of a run without a search";
        let expected = "none: remove it, or leave out --resume";
        return Err(Error::invalid(left.display().to_string(), found, expected));
    }
    let checkpoint = match arguments.resume {
        true => SearchCheckpoint::read(&path)?,
        // What an earlier run left would be in the way of going on with this one.
        false => {
            remove_checkpoint(&path)?;
            remove_checkpoint(&left)?;
            None
        }
    };
    let search = arguments.search(options, table);
    let teacher = search.affordable_teacher();
    let taught = teacher.map_or(0, Teacher::candidates);
    let teachers = teacher.map_or(0, Teacher::teachers);
    globals.remark(format_args!(
        "choosing among {}: at most {} of {} on three quarters of {}",
        counted(search.shapes.len() * search.l2.len() + teachers + taught, "candidate"),
        counted(search.trainings(), "training"),
        counted(options.epochs, "epoch"),
        counted(rows.len(), "row"),
    ));
    if let Some(teacher) = teacher {
        globals.remark(format_args!(
            "a teacher for {}: up to {} more, {} as long (--no-teacher leaves this out)",
            counted(taught, "candidate"),
            counted(Lesson::made(rows.len()), "made-up row"),
            counted(teacher.longer, "time"),
        ));
    }
    if let Some(checkpoint) = &checkpoint {
        globals.remark(format_args!(
            "{} stands after {}",
            path.display(),
            counted(checkpoint.trainings(), "training")
        ));
    }
    let mut watch = Watch {
        gentle: Gentle::begin(globals),
        progress: Progress::new(globals, "choose", search.trainings()),
        path: path.clone(),
        every: Some(1),
        written: Instant::now(),
    };
    let chosen = auto::choose(table, rows, options, &search, checkpoint, &mut watch);
    chosen.map_err(name_flag)?.ok_or_else(|| Error::Interrupted {
        saved: match path.exists() {
            true => format!(
                "the trainings so far are in {}: the same command with --resume goes on",
                path.display()
            ),
            false => "no training had ended: nothing is saved".into(),
        },
    })
}

/// A trained network, or the mean of several.
pub(super) struct Fitted {
    pub network: Network,
    pub epochs: usize,
    /// Of one network alone.
    pub best_epoch: Option<usize>,
    /// The mean over the networks.
    pub loss: f64,
    pub warnings: Vec<String>,
    pub seconds_per_epoch: Option<f64>,
    pub restarts: usize,
    /// Whether the network is the mean of the members exactly.
    pub exact: bool,
}

impl Fitted {
    fn of(members: Vec<Trained>, network: Network, exact: bool) -> Self {
        let count = members.len();
        let mut seconds: Vec<f64> = members.iter().filter_map(|m| m.seconds_per_epoch).collect();
        seconds.sort_by(f64::total_cmp);
        let mut warnings: Vec<String> = Vec::new();
        for warning in members.iter().flat_map(|m| &m.warnings) {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        Fitted {
            network,
            epochs: members.iter().map(|m| m.epochs).sum(),
            best_epoch: if count == 1 { Some(members[0].best_epoch) } else { None },
            loss: members.iter().map(|m| m.loss).sum::<f64>() / count as f64,
            warnings,
            seconds_per_epoch: seconds.get(seconds.len() / 2).copied(),
            restarts: members.iter().map(|m| m.restarts).sum(),
            exact,
        }
    }
}

/// The checkpoint of one network or of an ensemble.
enum Saved {
    One(Box<Checkpoint>),
    Many(EnsembleCheckpoint),
}

impl Saved {
    fn read(path: &Path, members: usize) -> Result<Option<Self>> {
        Ok(match members {
            1 => Checkpoint::read(path)?.map(Box::new).map(Saved::One),
            _ => EnsembleCheckpoint::read(path)?.map(Saved::Many),
        })
    }

    fn epoch(&self) -> usize {
        match self {
            Saved::One(checkpoint) => checkpoint.epoch(),
            Saved::Many(checkpoint) => checkpoint.epochs(),
        }
    }
}

/// The made-up rows of the members that are taught; `None` where none is.
///
/// The teacher has no checkpoint: it is trained again to the same bytes.
fn lesson(
    choice: &Choice,
    table: &Table,
    rows: &[usize],
    globals: &Globals,
) -> Result<Option<Lesson>> {
    if choice.taught.is_empty() {
        return Ok(None);
    }
    let epochs = choice.teacher.iter().map(|own| own.epochs).sum();
    let progress = Progress::new(globals, "teacher", epochs);
    let mut watch = TeacherWatch { gentle: Gentle::begin(globals), progress };
    let lesson = choice.lesson(table, rows, &mut watch).map_err(name_flag)?;
    lesson.map(Some).ok_or_else(|| Error::Interrupted {
        saved: "the search is saved: the same command with --resume goes on".into(),
    })
}

/// Trains, or goes on from a checkpoint; also the epoch it went on from.
pub(super) fn fit(
    arguments: &Arguments,
    table: &Table,
    rows: &[usize],
    options: &Options,
    choice: Option<&Choice>,
    globals: &Globals,
) -> Result<(Fitted, Option<usize>)> {
    let members = arguments.members(choice);
    let others = choice.filter(|choice| choice.second.is_some() || !choice.taught.is_empty());
    let lesson = others.map(|choice| lesson(choice, table, rows, globals)).transpose()?.flatten();
    let path = checkpoint_path(&arguments.output);
    remove_stale(&arguments.output)?;
    remove_stale(&path)?;
    let checkpoint = match arguments.resume {
        // One member that is taught has the checkpoint of an ensemble too.
        true => Saved::read(&path, if lesson.is_some() { 2 } else { members })?,
        false => None,
    };
    let shown = path.display();
    match &checkpoint {
        Some(checkpoint) => {
            globals.remark(format_args!("{shown} stands after epoch {}", checkpoint.epoch()));
        }
        // After a search it is to be expected.
        None if arguments.resume && arguments.choice.auto => {}
        None if arguments.resume => {
            globals.remark(format_args!("no checkpoint {shown}: starting anew"));
        }
        None if path.exists() => globals.remark(format_args!(
            "starting anew: the checkpoint {shown} of an earlier run will be replaced \
             (--resume would go on from it)"
        )),
        None => {}
    }
    let epochs = match others {
        Some(choice) => choice.member_options().iter().map(|own| own.epochs).sum(),
        None => options.epochs.saturating_mul(members),
    };
    let mut watch = Watch {
        gentle: Gentle::begin(globals),
        progress: Progress::new(globals, "train", epochs),
        path: path.clone(),
        every: arguments.checkpoint_every,
        written: Instant::now(),
    };
    let resumed = checkpoint.as_ref().map(Saved::epoch);
    let within = |e: Error| if resumed.is_some() { e.within(path.display()) } else { e };
    let stopped = |epochs: Option<usize>| Error::Interrupted {
        saved: format!(
            "the state{} is in {shown}: the same command with --resume goes on",
            epochs.map_or_else(String::new, |n| format!(" after {}", counted(n, "epoch")))
        ),
    };
    let one = match checkpoint {
        Some(Saved::One(checkpoint)) => {
            Some(resume(table, rows, options, *checkpoint, &mut watch).map_err(within))
        }
        None if members == 1 && lesson.is_none() => Some(train(table, rows, options, &mut watch)),
        other => {
            let from = if let Some(Saved::Many(from)) = other { Some(from) } else { None };
            let ensemble = match (others.map(Choice::member_options), &lesson) {
                (Some(options), Some(Lesson { table, rows })) => {
                    let rows: Vec<&[usize]> = rows.iter().map(Vec::as_slice).collect();
                    train_members_on(table, &rows, &options, from, &mut watch)
                }
                (Some(options), None) => train_members(table, rows, &options, from, &mut watch),
                (None, _) => train_ensemble(table, rows, options, members, from, &mut watch),
            };
            let ensemble = ensemble.map_err(within).map_err(name_flag)?;
            let Some(ensemble) = ensemble else { return Err(stopped(None)) };
            let (network, exact) = (ensemble.mean.network, ensemble.mean.exact);
            return Ok((Fitted::of(ensemble.members, network, exact), resumed));
        }
    };
    let Some(trained) = one else { return Err(stopped(None)) };
    let trained = trained.map_err(|e| match name_flag(e) {
        // The test took the others.
        Error::Invalid { place, found, expected } if place == "training rows" => {
            let flag = match arguments.test {
                TestRows { test_fraction: Some(_), .. } => "--test-fraction".into(),
                TestRows { test_rows: Some(_), .. } => "--test-rows".into(),
                _ => place,
            };
            Error::invalid(flag, format!("{found} to train on"), expected)
        }
        other => other,
    })?;
    if trained.stopped {
        return Err(stopped(Some(trained.epochs)));
    }
    let network = trained.network.clone();
    Ok((Fitted::of(vec![trained], network, true), resumed))
}

/// Shows where training stands, keeps its checkpoint, and stops it at Ctrl-C.
struct Watch {
    gentle: Gentle,
    progress: Progress,
    path: PathBuf,
    every: Option<usize>,
    written: Instant,
}

impl Watch {
    /// Whether it is time to write, so that small epochs do not write thousands of files.
    fn due(&self) -> bool {
        self.every.is_some() || self.stop_requested() || self.written.elapsed() >= CHECKPOINT_TIME
    }

    /// A checkpoint that cannot be written is no reason to end what trains, unless it was to stop.
    fn keep(&mut self, written: Result<()>) -> Result<()> {
        self.written = Instant::now();
        match written {
            Err(error) if !self.stop_requested() => {
                complain(&format!("no checkpoint, and training goes on: {error}"));
                Ok(())
            }
            written => written,
        }
    }
}

impl Control for Watch {
    fn progress(&mut self, progress: &slnn::train::Progress) {
        self.progress.at(progress.epoch, || {
            let validation = progress.validation.map(|v| format!(", validation {}", short(v)));
            let attempt = match progress.attempt {
                0 => String::new(),
                restarts => format!(", restart {restarts}"),
            };
            let validation = validation.unwrap_or_default();
            format!("loss {}{validation}{attempt}", short(progress.loss))
        });
    }

    fn stop_requested(&self) -> bool {
        self.gentle.requested()
    }

    fn checkpoint_every(&self) -> Option<usize> {
        Some(match self.every {
            // Never by the count, but still when training is stopped.
            Some(0) => usize::MAX,
            Some(epochs) => epochs,
            None => 1,
        })
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        if self.due() { self.keep(checkpoint.write(&self.path)) } else { Ok(()) }
    }

    fn ensemble_checkpoint(&mut self, checkpoint: &EnsembleCheckpoint) -> Result<()> {
        if self.due() { self.keep(checkpoint.write(&self.path)) } else { Ok(()) }
    }

    fn search_checkpoint(&mut self, checkpoint: &SearchCheckpoint) -> Result<()> {
        self.keep(checkpoint.write(&self.path))
    }
}

/// Shows how far the teacher is, and stops it at Ctrl-C.
struct TeacherWatch {
    gentle: Gentle,
    progress: Progress,
}

impl Control for TeacherWatch {
    fn progress(&mut self, progress: &slnn::train::Progress) {
        self.progress.at(progress.epoch, || format!("loss {}", short(progress.loss)));
    }

    fn stop_requested(&self) -> bool {
        self.gentle.requested()
    }
}

pub(super) fn remove_checkpoint(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

/// The trainings of a search that belong to an output.
pub(super) fn search_path(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".search");
    name.into()
}

/// The checkpoint that belongs to an output.
pub(super) fn checkpoint_path(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".checkpoint");
    name.into()
}
