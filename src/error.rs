//! The one error type of the library.
//!
//! Every failure that input can cause is one of these values. A message names
//! the *place* (file, row, column, key, layer), what was *found* there and what
//! was *expected*, so that a reader can mend the input without reading code.

use std::fmt;
use std::path::PathBuf;

/// The result of everything in this library that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, where, and what would have been right.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An input, a file or an argument that does not hold what it should.
    Invalid {
        /// File, row, column, key or layer, from the outside in.
        place: String,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: String,
    },
    /// An operation that needs a polynomial network met a layer that is not one.
    NotPolynomial {
        /// Index of the layer, from 0.
        layer: usize,
        /// The function in the way.
        function: String,
        /// What can be done instead.
        advice: String,
    },
    /// Work whose predicted cost is above the limit that was set.
    TooLarge(Box<TooLarge>),
    /// The caller asked to stop; what was complete has been saved.
    Interrupted {
        /// What was saved, and how to go on.
        saved: String,
    },
}

/// Work that was refused before it began, and what it would have cost.
#[derive(Clone, Debug)]
pub struct TooLarge {
    /// The work.
    pub what: String,
    /// How many terms, points or forms (as text: it may exceed any machine integer).
    pub count: String,
    /// Predicted peak memory in bytes.
    pub bytes: f64,
    /// Predicted time in seconds.
    pub seconds: f64,
    /// The limit that was exceeded.
    pub limit: String,
    /// What can be done instead.
    pub advice: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Error::Invalid { place, found, expected } => {
                write!(f, "{place}: found {found}, expected {expected}")
            }
            Error::NotPolynomial { layer, function, advice } => {
                write!(f, "layer {layer}: {function} is not a polynomial; {advice}")
            }
            Error::TooLarge(refusal) => refusal.fmt(f),
            Error::Interrupted { saved } => write!(f, "interrupted; {saved}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLarge { what, count, bytes, seconds, limit, advice } = self;
        let about = if *seconds < 1e-3 { "" } else { "about " };
        let (bytes, seconds) = (size(*bytes), duration(*seconds));
        write!(
            f,
            "{what} would take {count}, {bytes} and {about}{seconds}, above the limit of {limit}; \
             {advice}"
        )
    }
}

impl std::error::Error for TooLarge {}

impl From<TooLarge> for Error {
    fn from(refusal: TooLarge) -> Self {
        Error::TooLarge(Box::new(refusal))
    }
}

impl Error {
    /// An [`Error::Invalid`] from its three parts.
    pub fn invalid(
        place: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Error::Invalid { place: place.into(), found: found.into(), expected: expected.into() }
    }

    /// An [`Error::Io`] at `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { path: path.into(), source }
    }

    /// The same error with `outer` put before its place, as in `model.json: layers[2]: ...`.
    #[must_use]
    pub fn within(self, outer: impl std::fmt::Display) -> Self {
        match self {
            Error::Invalid { place, found, expected } => {
                let place =
                    if place.is_empty() { outer.to_string() } else { format!("{outer}: {place}") };
                Error::Invalid { place, found, expected }
            }
            other => other,
        }
    }
}

/// A size in memory for people.
pub fn size(bytes: f64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let step = ((bytes.max(1.0).log2() / 10.0).floor() as usize).min(units.len() - 1);
    match bytes / 1024f64.powi(step as i32) {
        bytes if step == 0 => format!("{bytes:.0} bytes"),
        scaled if scaled < 1e4 => format!("{scaled:.1} {}", units[step]),
        scaled => format!("{scaled:.0e} {}", units[step]),
    }
}

/// A time for people.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => "under 1 ms".into(),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s if s < 360_000.0 => format!("{:.0} h", s / 3600.0),
        s if s < 3.2e9 => format!("{:.0} days", s / 86_400.0),
        s => format!("{:.0e} years", s / 3.156e7),
    }
}

/// `text` in quotation marks, cut to a length that fits in a message.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}... ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_for_people() {
        assert_eq!(size(12.0), "12 bytes");
        assert_eq!(size(3.0 * 1024.0 * 1024.0), "3.0 MiB");
        assert_eq!(size(5.5e44), "5e32 TiB");
        assert_eq!(duration(0.25), "250 ms");
        assert_eq!(duration(7200.0), "2 h");
        assert_eq!(duration(6e75), "2e68 years");
    }

    #[test]
    fn within_puts_the_outer_place_first() {
        let error = Error::invalid("layers[2]", "null", "a number").within("model.json");
        assert_eq!(error.to_string(), "model.json: layers[2]: found null, expected a number");
    }
}
