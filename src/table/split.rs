//! Which rows train a network and which test it.

use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::error::{Error, Result};

/// Training and test rows of a table: disjoint, together all rows, neither empty, both ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The rows to train on.
    pub train: Vec<usize>,
    /// The rows to test on.
    pub test: Vec<usize>,
}

impl Split {
    /// A random split with the nearest whole number to `fraction` of the rows for testing, but
    /// at least one row on either side; the same for the same seed.
    ///
    /// # Errors
    /// When `fraction` is not strictly between 0 and 1, or there are fewer than two rows.
    pub fn by_fraction(rows: usize, fraction: f64, seed: u64) -> Result<Self> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::invalid(
                "test fraction",
                fraction.to_string(),
                "a number between 0 and 1",
            ));
        }
        if rows < 2 {
            return Err(Error::invalid("split", format!("{rows} rows"), "at least two"));
        }
        let count = ((rows as f64 * fraction).round() as usize).clamp(1, rows - 1);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..rows).collect();
        // Fisher and Yates, as far as it is needed.
        for i in 0..count {
            let j = i + below(&mut rng, rows - i);
            order.swap(i, j);
        }
        Split::from_listed(rows, &order[..count])
    }

    /// The split of `rows` rows whose test rows are listed, from 0.
    ///
    /// # Errors
    /// When a listed row is out of range or stands twice, and when the list is empty or
    /// leaves nothing to train on.
    pub fn from_listed(rows: usize, test_rows: &[usize]) -> Result<Self> {
        let wrong = |place: String, found: String, expected: String| {
            Err(Error::invalid(place, found, expected))
        };
        let mut is_test = vec![false; rows];
        for (index, &row) in test_rows.iter().enumerate() {
            let place = format!("test row [{index}]");
            match is_test.get_mut(row) {
                None => return wrong(place, row.to_string(), format!("a row below {rows}")),
                Some(true) => return wrong(place, format!("{row} again"), "distinct rows".into()),
                Some(flag) => *flag = true,
            }
        }
        if test_rows.is_empty() || test_rows.len() == rows {
            return wrong(
                "test rows".into(),
                format!("{} of {rows} rows", test_rows.len()),
                "at least one row to test on and one to train on".into(),
            );
        }
        let (test, train) = (0..rows).partition(|&row| is_test[row]);
        Ok(Split { train, test })
    }

    /// The split that `FILE` or `FILE:K` names, for a table of `rows` rows.
    ///
    /// # Errors
    /// As [`parse_test_rows`], [`read_splits`] and [`Split::from_listed`]; when there is no split
    /// `K`, or no `K` and several splits.
    pub fn read(argument: &str, rows: usize) -> Result<Self> {
        let (path, chosen) = parse_test_rows(argument)?;
        let file = path.display();
        let splits = read_splits(&path)?;
        let index = match chosen {
            Some(index) => index,
            None if splits.len() == 1 => 0,
            None => {
                return Err(Error::invalid(
                    file.to_string(),
                    format!("{} splits", splits.len()),
                    format!("a choice among them: {file}:0 to {file}:{}", splits.len() - 1),
                ));
            }
        };
        let test_rows = splits.get(index).ok_or_else(|| {
            Error::invalid(
                file.to_string(),
                format!("no split {index}"),
                format!("a split from 0 to {}", splits.len() - 1),
            )
        })?;
        Split::from_listed(rows, test_rows)
            .map_err(|e| e.within(format!("{file}: test_rows[{index}]")))
    }
}

/// `FILE:K` as a path and the index of a split, `FILE` as a path alone.
///
/// # Errors
/// When the path is empty or the index exceeds the machine's range.
pub fn parse_test_rows(argument: &str) -> Result<(PathBuf, Option<usize>)> {
    let wrong =
        || Error::invalid("test rows", format!("{argument:?}"), "FILE or FILE:K, with K from 0");
    let (path, index) = match argument.rsplit_once(':') {
        Some((path, digits))
            if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (path, Some(digits.parse().map_err(|_| wrong())?))
        }
        _ => (argument, None),
    };
    if path.is_empty() { Err(wrong()) } else { Ok((path.into(), index)) }
}

/// The test rows of every split in a JSON file `{"test_rows": [[row, ...], ...], ...}`.
///
/// Rows count from 0; other keys say where the splits are from and are not read.
///
/// # Errors
/// When the file cannot be read, is not such JSON, or holds no splits.
pub fn read_splits(path: &Path) -> Result<Vec<Vec<usize>>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    parse_splits(&bytes).map_err(|e| e.within(path.display()))
}

fn parse_splits(bytes: &[u8]) -> Result<Vec<Vec<usize>>> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|e| Error::invalid("", e.to_string(), "JSON with a key \"test_rows\""))?;
    let splits = value.get("test_rows");
    let Some(Value::Array(splits)) = splits else {
        let found = splits.map_or("nothing".into(), kind);
        return Err(Error::invalid("test_rows", found, "a list of lists of rows"));
    };
    if splits.is_empty() {
        return Err(Error::invalid("test_rows", "no splits", "at least one list of rows"));
    }
    let row_number = |row: &Value| row.as_u64().and_then(|row| usize::try_from(row).ok());
    let mut read = Vec::new();
    for (k, split) in splits.iter().enumerate() {
        let Value::Array(split) = split else {
            return Err(Error::invalid(format!("test_rows[{k}]"), kind(split), "a list of rows"));
        };
        let mut rows = Vec::with_capacity(split.len());
        for (i, row) in split.iter().enumerate() {
            rows.push(row_number(row).ok_or_else(|| {
                let place = format!("test_rows[{k}][{i}]");
                Error::invalid(place, kind(row), "a row number, counted from 0")
            })?);
        }
        read.push(rows);
    }
    Ok(read)
}

/// What a JSON value is, for a message.
fn kind(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => "text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// A uniform index below `count` (> 0), without bias.
///
/// Written out, so that a seed gives the same rows whatever the version of a crate.
pub(super) fn below(rng: &mut ChaCha8Rng, count: usize) -> usize {
    let count = count as u64;
    // Numbers from the last, incomplete run of `count` are drawn again.
    let incomplete = (u64::MAX % count + 1) % count;
    loop {
        let number = rng.next_u64();
        if number <= u64::MAX - incomplete {
            return (number % count) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_split_are_told_apart() {
        let parse = |argument| parse_test_rows(argument).unwrap();
        assert_eq!(parse("a.json:3"), ("a.json".into(), Some(3)));
        assert_eq!(parse("a.json"), ("a.json".into(), None));
        assert_eq!(parse("C:\\a.json"), ("C:\\a.json".into(), None));
        assert_eq!(parse("a:1:2"), ("a:1".into(), Some(2)));
        assert!(parse_test_rows(":3").is_err());
        assert!(parse_test_rows("a:99999999999999999999999").is_err());
    }

    #[test]
    fn listed_rows_are_checked() {
        let split = Split::from_listed(4, &[2, 0]).unwrap();
        assert_eq!((split.train, split.test), (vec![1, 3], vec![0, 2]));
        for (rows, listed) in [(4, &[4][..]), (4, &[1, 1]), (4, &[]), (2, &[0, 1]), (0, &[])] {
            assert!(Split::from_listed(rows, listed).is_err(), "{rows} {listed:?}");
        }
        let error = Split::from_listed(4, &[1, 9]).unwrap_err().to_string();
        assert!(error.contains("test row [1]") && error.contains('9'), "{error}");
    }

    #[test]
    fn a_split_file_says_what_is_wrong_with_it() {
        assert_eq!(parse_splits(br#"{"test_rows": [[1, 2], []]}"#).unwrap(), [vec![1, 2], vec![]]);
        for (text, place) in [
            ("{}", "test_rows"),
            (r#"{"test_rows": 3}"#, "test_rows"),
            (r#"{"test_rows": []}"#, "test_rows"),
            (r#"{"test_rows": [1]}"#, "test_rows[0]"),
            (r#"{"test_rows": [[1], [0, -1]]}"#, "test_rows[1][1]"),
            (r#"{"test_rows": [[1.5]]}"#, "test_rows[0][0]"),
            (r#"{"test_rows": [["1"]]}"#, "test_rows[0][0]"),
            ("[", "JSON"),
        ] {
            let error = parse_splits(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(place), "{text}: {error}");
        }
        assert!(parse_splits("[".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn draws_below_a_count_reach_every_number_about_equally() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut counts = [0u32; 7];
        for _ in 0..7000 {
            counts[below(&mut rng, 7)] += 1;
        }
        // Six standard deviations of a binomial count: sqrt(7000 * 1/7 * 6/7) is 29.3.
        assert!(counts.iter().all(|&count| count.abs_diff(1000) < 176), "{counts:?}");
    }
}
