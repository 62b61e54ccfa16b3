//! Progress on a terminal, and Ctrl-C.
//!
//! Ctrl-C ends the program at once, as anywhere else, except while a verb holds a
//! [`Gentle`]: then the first one is a request that the verb sees in
//! [`Gentle::requested`] and answers by saving and ending, which may take as long as one
//! product of polynomials, so a remark says so; the second ends the program.
//! Files are written atomically, so the end may come at any moment.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Globals;
use super::answer::{complain, duration};

static GENTLE: AtomicBool = AtomicBool::new(false);
static REQUESTED: AtomicBool = AtomicBool::new(false);
static QUIET: AtomicBool = AtomicBool::new(false);
static HANDLER: Once = Once::new();

/// While it lives, Ctrl-C asks instead of killing.
#[derive(Debug)]
pub struct Gentle(());

impl Gentle {
    /// Begins to catch Ctrl-C (and a request to terminate).
    pub fn begin(globals: &Globals) -> Self {
        QUIET.store(globals.quiet, Ordering::SeqCst);
        HANDLER.call_once(|| {
            // Without a handler the system's own, which ends the program, stays in place.
            let _ = ctrlc::set_handler(|| {
                if !GENTLE.load(Ordering::SeqCst) || REQUESTED.swap(true, Ordering::SeqCst) {
                    complain("interrupted");
                    std::process::exit(130);
                }
                if !QUIET.load(Ordering::SeqCst) {
                    complain("stopping; Ctrl-C again stops at once");
                }
            });
        });
        GENTLE.store(true, Ordering::SeqCst);
        Gentle(())
    }

    /// Whether Ctrl-C was pressed.
    pub fn requested(&self) -> bool {
        REQUESTED.load(Ordering::SeqCst)
    }
}

impl Drop for Gentle {
    fn drop(&mut self) {
        GENTLE.store(false, Ordering::SeqCst);
    }
}

/// A line of progress on standard error; nothing where that is no terminal, or under --quiet.
#[derive(Debug)]
pub struct Progress {
    what: String,
    length: usize,
    shown: bool,
    started: Instant,
    /// When the line was last drawn.
    drawn: Cell<Option<Instant>>,
}

/// Between two drawings of the line.
const PAUSE: Duration = Duration::from_millis(250);
/// Columns that every terminal has.
const COLUMNS: usize = 79;
/// Back to the first column, and what stands there is gone.
const CLEAR: &str = "\r\x1b[K";

impl Progress {
    /// Progress through `length` steps of `what`.
    pub fn new(globals: &Globals, what: &str, length: usize) -> Self {
        let shown = !globals.quiet && std::io::stderr().is_terminal();
        Progress {
            what: what.to_owned(),
            length,
            shown,
            started: Instant::now(),
            drawn: Cell::new(None),
        }
    }

    /// The position reached, and what to say about it.
    pub fn at(&self, position: usize, message: impl FnOnce() -> String) {
        if !self.shown || self.drawn.get().is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        self.drawn.set(Some(Instant::now()));
        let Progress { what, length, .. } = self;
        let mut line = format!("{what} {position}/{length}  {}", message());
        if 0 < position && position <= *length {
            let each = self.started.elapsed().as_secs_f64() / position as f64;
            line.push_str(&format!("  {} left", duration(each * (length - position) as f64)));
        }
        let line: String = line.chars().take(COLUMNS).collect();
        // A line that cannot be shown is no failure.
        let _ = write!(std::io::stderr(), "{CLEAR}{line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.get().is_some() {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}
