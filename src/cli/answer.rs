//! Answers: for people as text, for machines as one JSON object.
//!
//! Nothing here panics on a closed pipe: a reader that has seen enough ends the
//! printing, not the program's verdict.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use serde_json::{Map, Value};
use slnn::error::{Error, Result};
pub use slnn::error::{duration, size};

use super::Globals;

/// What a verb returns.
pub type Outcome = Result<Answer>;

/// The answer of a verb, in both its forms.
#[derive(Debug, Default)]
pub struct Answer {
    fields: Map<String, Value>,
    text: String,
    no: bool,
}

impl Answer {
    /// Sets a key of the JSON form; a number that is not finite becomes null.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.fields.insert(key.to_owned(), value.into());
    }

    /// Adds a line to the text.
    pub fn line(&mut self, line: impl std::fmt::Display) {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// Adds a table to the text: the first column to the left, the others to the right.
    pub fn table<const N: usize>(&mut self, rows: &[[String; N]]) {
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..N).map(width).collect();
        for row in rows {
            let mut line = format!("{:<1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            self.line(line.trim_end());
        }
    }

    /// Makes the answer a no: exit code 1.
    pub fn is_no(&mut self) {
        self.no = true;
    }
}

/// Prints the outcome and says how the program ends.
pub fn finish(globals: &Globals, outcome: Outcome) -> ExitCode {
    let (object, text, code) = match outcome {
        Ok(answer) => (answer.fields, answer.text, u8::from(answer.no)),
        Err(error) => {
            complain(&format!("error: {error}"));
            let code = if matches!(error, Error::Interrupted { .. }) { 130 } else { 2 };
            (error_object(&error.to_string()), String::new(), code)
        }
    };
    let printed =
        if globals.json { print(&format!("{}\n", Value::Object(object))) } else { print(&text) };
    match printed {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("error: standard output: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Prints what the parser of the command line has to say: help, the version, or an error.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help into a closed pipe is help enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let _ = error.print();
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let message = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or(&text);
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        // Already an error of usage: there is no worse exit code to give.
        let _ = print(&format!("{}\n", Value::Object(error_object(&line))));
    }
    ExitCode::from(2)
}

/// A line on standard error, where nothing can be done about a failure to print.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn error_object(message: &str) -> Map<String, Value> {
    Map::from_iter([("error".to_owned(), Value::from(message))])
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A number for people: four significant digits.
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let magnitude = x.abs().log10().floor() as i32;
    if !(-4..7).contains(&magnitude) {
        return format!("{x:.3e}");
    }
    format!("{x:.*}", (3 - magnitude).max(0) as usize)
}

/// As `short`, but never below the number: a bound stays one when it is shown.
pub fn short_up(x: f64) -> String {
    let text = format!("{x:.3e}");
    let Some((digits, exponent)) = text.split_once('e') else { return short(x) };
    if text.parse::<f64>().is_ok_and(|shown| shown >= x) {
        return short(x);
    }
    // Rounded down: one more in the last of the four digits.
    let digits: i64 = digits.replace('.', "").parse().unwrap_or_default();
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{}e{}", digits + 1, exponent - 3).parse().map_or_else(|_| short(x), short)
}

/// A count for machines: an integer where JSON readers hold it exactly, else the nearest f64.
pub fn count(n: u128) -> Value {
    match u64::try_from(n) {
        Ok(n) if n <= 1 << 53 => Value::from(n),
        _ => Value::from(n as f64),
    }
}

/// A count for people, as a number of digits or as a power of ten.
pub fn grouped(n: u128) -> String {
    if n >= 1_000_000_000_000_000 {
        return if n == u128::MAX { "more than 3e38".into() } else { format!("{:.2e}", n as f64) };
    }
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 row`, `2 rows`.
pub fn counted(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n as u128), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_shown_by_the_next_number_of_four_digits() {
        for (x, text) in [
            (0.250_004_7, "0.2501"),
            (0.25, "0.2500"),
            (0.999_91, "1.000"),
            (1.234_4e-9, "1.235e-9"),
            (9.999_1e8, "1.000e9"),
            (0.0, "0"),
        ] {
            assert_eq!(short_up(x), text);
        }
        assert_eq!(short_up(f64::INFINITY), "inf");
    }
}
