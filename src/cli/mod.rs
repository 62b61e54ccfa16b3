//! The command line: a verb a file; each reads, calls the library and answers.
//!
//! A verb gets its own arguments and the [`Globals`] and returns an
//! [`Outcome`](answer::Outcome): what to print, or an error of the library. Exit codes: 0 done,
//! 1 the answer is no, 2 bad input or usage, 130 interrupted.

mod answer;
mod approximate;
mod check;
mod compare;
mod demo;
mod describe;
mod domain;
mod evaluate;
mod expand;
mod export;
mod input;
mod progress;
mod score;
mod train;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use slnn::error::{Error, Result};

/// Trains networks with learned polynomial activations and writes them as exact polynomials.
///
/// Without a verb: the main job on an embedded table. It trains, expands exactly, proves the
/// expansion equal to the network, prints the formula and writes everything into slnn-demo/.
#[derive(Debug, Parser)]
#[command(name = "slnn", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Option<Verb>,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 the answer is no (not equal, not \
decided, not valid), 2 bad input or usage, 130 interrupted.\n\
Example: slnn train cars.csv --target mpg --hidden 8,8 --degree 3 -o cars.json";

/// What every verb is told.
#[derive(Args, Debug)]
pub struct Globals {
    /// Answer with one JSON object on standard output, errors included
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks on standard error
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Threads to compute with; the results do not depend on it [default: one a core]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
}

impl Globals {
    /// A remark on standard error, for people.
    pub fn remark(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            answer::complain(&text.to_string());
        }
    }

    fn start_threads(&self) -> Result<()> {
        // Without a number, one a core.
        let threads = self.threads.unwrap_or(0);
        if self.threads.is_some() && !(1..=1024).contains(&threads) {
            return Err(Error::invalid(
                "--threads",
                threads.to_string(),
                "a number from 1 to 1024",
            ));
        }
        // This thread is one of them: training forks and joins thousands of times a second, and a
        // thread outside would have to be woken each time.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
        pool.build_global().map_err(|e| {
            Error::invalid("--threads", format!("{threads}, which failed: {e}"), "fewer threads")
        })
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Train(Box<train::Arguments>),
    Expand(expand::Arguments),
    Evaluate(evaluate::Arguments),
    Compare(compare::Arguments),
    Approximate(approximate::Arguments),
    Check(check::Arguments),
    Describe(describe::Arguments),
    Export(export::Arguments),
}

/// Parses the command line, does what it says, prints the answer.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return answer::usage(&error),
    };
    let globals = &cli.globals;
    let outcome = globals.start_threads().and_then(|()| match &cli.verb {
        None => demo::run(globals),
        Some(Verb::Train(arguments)) => train::run(arguments, globals),
        Some(Verb::Expand(arguments)) => expand::run(arguments, globals),
        Some(Verb::Evaluate(arguments)) => evaluate::run(arguments, globals),
        Some(Verb::Compare(arguments)) => compare::run(arguments, globals),
        Some(Verb::Approximate(arguments)) => approximate::run(arguments, globals),
        Some(Verb::Check(arguments)) => check::run(arguments, globals),
        Some(Verb::Describe(arguments)) => describe::run(arguments),
        Some(Verb::Export(arguments)) => export::run(arguments, globals),
    });
    answer::finish(globals, outcome)
}
