//! Progress on a terminal, and Ctrl-C.
//!
//! Ctrl-C ends the program at once, as anywhere else, except while a verb holds a
//! [`Gentle`]: then the first one is a request that the verb sees in
//! [`Gentle::requested`] and answers by saving and ending, which may take as long as one
//! product of polynomials, so a remark says so; the second ends the program.
//! Files are written atomically, so the end may come at any moment.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Globals;
use super::answer::complain;

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
pub struct Progress(ProgressBar);

impl Progress {
    /// Progress through `length` steps of `what`.
    pub fn new(globals: &Globals, what: &str, length: usize) -> Self {
        let target = if globals.quiet {
            ProgressDrawTarget::hidden()
        } else {
            // Draws nothing where standard error is no terminal.
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(length as u64), target);
        let template = "{prefix} {wide_bar} {pos}/{len}  {msg}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress(bar)
    }

    /// The position reached, and what to say about it.
    pub fn at(&self, position: usize, message: impl FnOnce() -> String) {
        if !self.0.is_hidden() {
            self.0.set_message(message());
            self.0.set_position(position as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
