//! Several training runs side by side, on as many threads as the pool has.
//!
//! Every run is the same as on its own: threads take whole runs, and what a run computes depends
//! on its options alone. The calling thread keeps the [`Watch`]: it shows the progress, asks
//! whether to stop, and hands on the newest checkpoint of every run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Result;
use crate::table::Table;
use crate::train::{Checkpoint, Control, Options, Progress, Trained, resume, train};

/// How often the calling thread looks whether it should stop.
const PAUSE: Duration = Duration::from_millis(50);

/// One run: its table and rows, its options, and where it goes on from.
#[derive(Clone, Debug)]
pub(super) struct Job<'a> {
    pub table: &'a Table,
    pub rows: Vec<usize>,
    pub options: Options,
    pub from: Option<Checkpoint>,
}

/// What the runs together tell and ask of the calling thread.
pub(super) trait Watch {
    /// The newest progress of every run that has begun.
    fn progress(&mut self, runs: &[Option<Progress>]);
    /// Whether all runs should stop.
    fn stop_requested(&self) -> bool;
    /// Epochs between the checkpoints of a run; `None` for no checkpoints.
    fn checkpoint_every(&self) -> Option<usize>;
    /// The newest checkpoint of every run.
    ///
    /// # Errors
    /// What the implementation says; all runs end with it.
    fn checkpoint(&mut self, runs: &[Option<Checkpoint>]) -> Result<()>;
}

/// What the runs have written down so far.
#[derive(Debug)]
struct Board {
    progress: Vec<Option<Progress>>,
    checkpoints: Vec<Option<Checkpoint>>,
    /// Whether a checkpoint has changed since it was last handed on.
    fresh: bool,
    done: Vec<Option<Result<Trained>>>,
    /// Threads that may still take a run.
    working: usize,
}

/// What all threads see.
struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
    stop: AtomicBool,
    next: AtomicUsize,
    every: Option<usize>,
}

impl Shared {
    /// A thread that panicked has left whole entries behind: every one is set in one assignment.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The control of one run: it writes on the board.
struct Member<'a> {
    shared: &'a Shared,
    index: usize,
}

impl Control for Member<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.shared.board().progress[self.index] = Some(progress.clone());
    }

    fn stop_requested(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn checkpoint_every(&self) -> Option<usize> {
        self.shared.every
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let mut board = self.shared.board();
        board.checkpoints[self.index] = Some(checkpoint.clone());
        board.fresh = true;
        Ok(())
    }
}

/// Says that a thread takes no more runs, however it ends.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.board().working -= 1;
        self.0.changed.notify_all();
    }
}

/// Runs all jobs; the answers stand in their order, `None` for one that was never begun.
///
/// # Errors
/// What [`Watch::checkpoint`] says.
pub(super) fn run_all(jobs: &[Job], watch: &mut dyn Watch) -> Result<Vec<Option<Result<Trained>>>> {
    let threads = rayon::current_num_threads().min(jobs.len());
    let shared = Shared {
        board: Mutex::new(Board {
            progress: vec![None; jobs.len()],
            checkpoints: jobs.iter().map(|job| job.from.clone()).collect(),
            fresh: false,
            done: jobs.iter().map(|_| None).collect(),
            working: threads,
        }),
        changed: Condvar::new(),
        stop: AtomicBool::new(watch.stop_requested()),
        next: AtomicUsize::new(0),
        every: watch.checkpoint_every(),
    };
    // A run that has a thread to itself shares no rows with others. This also keeps it from waiting
    // for a pool whose only thread is the one that waits for the runs.
    let alone = jobs.len() >= rayon::current_num_threads();
    let work = || {
        let _leaving = Leaving(&shared);
        let _pool = alone.then(pool_of_one);
        while !shared.stop.load(Ordering::Relaxed) {
            let index = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { break };
            let mut member = Member { shared: &shared, index };
            let answer = match job.from.clone() {
                Some(from) => resume(job.table, &job.rows, &job.options, from, &mut member),
                None => train(job.table, &job.rows, &job.options, &mut member),
            };
            shared.board().done[index] = Some(answer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
        let kept = attend(&shared, watch);
        // The threads end at their next batch when the watch failed.
        shared.stop.fetch_or(kept.is_err(), Ordering::Relaxed);
        kept
    })?;
    let board = shared.board.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The last checkpoints of runs that were stopped.
    if board.fresh {
        watch.checkpoint(&board.checkpoints)?;
    }
    Ok(board.done)
}

/// Makes this thread a pool by itself, as long as the answer lives; without one its parallel loops go
/// to the pool of all.
fn pool_of_one() -> Option<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok()
}

/// What the calling thread does while the others work.
///
/// # Errors
/// What [`Watch::checkpoint`] says.
fn attend(shared: &Shared, watch: &mut dyn Watch) -> Result<()> {
    let mut board = shared.board();
    while board.working > 0 {
        let waited = shared.changed.wait_timeout(board, PAUSE);
        board = waited.unwrap_or_else(PoisonError::into_inner).0;
        let progress = board.progress.clone();
        let fresh = std::mem::take(&mut board.fresh).then(|| board.checkpoints.clone());
        // The watch may write files: nobody waits for the board meanwhile.
        drop(board);
        watch.progress(&progress);
        if watch.stop_requested() {
            shared.stop.store(true, Ordering::Relaxed);
        }
        if let Some(checkpoints) = fresh {
            watch.checkpoint(&checkpoints)?;
        }
        board = shared.board();
    }
    Ok(())
}
