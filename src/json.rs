//! Strict JSON: every number an f64, every surprise an error that names its place.
//!
//! `serde_json` does the parsing (its recursion limit bounds hostile nesting);
//! this module refuses what it would let pass in silence, such as a key given
//! twice, and keeps the path from the top of the document, as in
//! `layers[2].weight[0][3]`, for every message.

use std::fmt;
use std::path::Path;

use num_rational::BigRational;
use serde_json::Deserializer;
use serde_json::de::StrRead;

use crate::error::{Error, Result};
use crate::numeric::rational::{parse_exact, rational_from_f64};

/// A parsed JSON value; object keys keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number, as the nearest f64.
    Number(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, its keys distinct.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a whole document.
    ///
    /// # Errors
    /// Malformed text, a key given twice, a number beyond the range of f64, or
    /// nesting beyond 128 levels; the message has line and column.
    pub fn parse(text: &str) -> Result<Json> {
        let mut deserializer = Deserializer::new(StrRead::new(text));
        serde::Deserialize::deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value))
            .map_err(|e| {
                let text = e.to_string();
                let reason = text.split(" at line ").next().unwrap_or("malformed text");
                Error::invalid(
                    format!("line {}, column {}", e.line(), e.column()),
                    reason,
                    "well-formed JSON",
                )
            })
    }

    /// Reads and parses a file; the path stands in front of every message.
    ///
    /// # Errors
    /// As [`Json::parse`], and when the file cannot be read or is not UTF-8.
    pub fn read(path: &Path) -> Result<Json> {
        Json::parse(&read_text(path)?).map_err(|e| e.within(path.display()))
    }

    /// A cursor at the top of the document.
    pub fn top(&self) -> Cursor<'_> {
        Cursor { value: self, path: String::new() }
    }

    /// The same value for `serde_json`, used to write back what readers ignore.
    pub fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(x) => serde_json::Number::from_f64(*x).map_or(Value::Null, Value::Number),
            Json::String(s) => Value::String(s.clone()),
            Json::Array(items) => Value::Array(items.iter().map(Json::to_value).collect()),
            Json::Object(fields) => {
                Value::Object(fields.iter().map(|(k, v)| (k.clone(), v.to_value())).collect())
            }
        }
    }

    fn kind(&self) -> String {
        match self {
            Json::Null => "null".into(),
            Json::Bool(b) => b.to_string(),
            Json::Number(x) => format!("the number {x}"),
            Json::String(s) if s.chars().count() > 40 => {
                format!("the string {:?}...", s.chars().take(40).collect::<String>())
            }
            Json::String(s) => format!("the string {s:?}"),
            Json::Array(items) => format!("an array of {}", items.len()),
            Json::Object(_) => "an object".into(),
        }
    }
}

/// The text of a JSON file.
///
/// # Errors
/// When the file cannot be read, is not UTF-8 or begins with a byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    if bytes.starts_with("\u{feff}".as_bytes()) {
        let expected = "JSON text, which has none";
        return Err(Error::invalid(path.display().to_string(), "a byte order mark", expected));
    }
    String::from_utf8(bytes).map_err(|e| {
        Error::invalid(
            path.display().to_string(),
            format!("a byte that is not UTF-8 at offset {}", e.utf8_error().valid_up_to()),
            "JSON text in UTF-8",
        )
    })
}

/// A value together with its path from the top of the document.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    value: &'a Json,
    path: String,
}

/// The fields of one object, taken one by one; what is left over is an error.
#[derive(Debug)]
pub struct Fields<'a> {
    fields: Vec<(&'a str, &'a Json)>,
    path: String,
}

impl<'a> Cursor<'a> {
    /// The path from the top, empty at the top itself.
    pub fn path(&self) -> &str {
        if self.path.is_empty() { "top level" } else { &self.path }
    }

    /// The value under the cursor.
    pub fn value(&self) -> &'a Json {
        self.value
    }

    /// An error at this place, for a value that is not `expected`.
    pub fn expected(&self, expected: impl Into<String>) -> Error {
        Error::invalid(self.path(), self.value.kind(), expected)
    }

    /// An error at this place with its own words for what was found.
    pub fn invalid(&self, found: impl Into<String>, expected: impl Into<String>) -> Error {
        Error::invalid(self.path(), found, expected)
    }

    /// The fields of an object.
    ///
    /// # Errors
    /// When the value is not an object.
    pub fn object(&self) -> Result<Fields<'a>> {
        match self.value {
            Json::Object(fields) => Ok(Fields {
                fields: fields.iter().map(|(k, v)| (k.as_str(), v)).collect(),
                path: self.path.clone(),
            }),
            _ => Err(self.expected("an object")),
        }
    }

    /// The items of an array.
    ///
    /// # Errors
    /// When the value is not an array.
    pub fn array(&self) -> Result<impl ExactSizeIterator<Item = Cursor<'a>> + use<'a>> {
        match self.value {
            Json::Array(items) => {
                let path = self.path.clone();
                Ok(items
                    .iter()
                    .enumerate()
                    .map(move |(i, value)| Cursor { value, path: format!("{path}[{i}]") }))
            }
            _ => Err(self.expected("an array")),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// When the value is not a string.
    pub fn string(&self) -> Result<&'a str> {
        match self.value {
            Json::String(s) => Ok(s),
            _ => Err(self.expected("a string")),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// When the value is not a number.
    pub fn number(&self) -> Result<f64> {
        match self.value {
            Json::Number(x) => Ok(*x),
            _ => Err(self.expected("a number")),
        }
    }

    /// A whole number from 0 to `limit`.
    ///
    /// # Errors
    /// When the value is not one.
    pub fn index(&self, limit: usize) -> Result<usize> {
        match self.value {
            // Beyond 2^53 an f64 no longer says which integer was meant.
            Json::Number(x)
                if x.fract() == 0.0
                    && *x >= 0.0
                    && *x <= limit as f64
                    && *x <= 9_007_199_254_740_992.0 =>
            {
                Ok(*x as usize)
            }
            _ => Err(self.expected(format!("a whole number from 0 to {limit}"))),
        }
    }

    /// An exact number: a JSON number stands for its f64, a string for a rational.
    ///
    /// # Errors
    /// When the value is neither, or the string is not in a canonical spelling.
    pub fn exact(&self) -> Result<BigRational> {
        match self.value {
            // JSON has no spelling for a number that is not finite.
            Json::Number(x) => {
                rational_from_f64(*x).ok_or_else(|| self.expected("a finite number"))
            }
            Json::String(s) => parse_exact(s).map_err(|e| e.within(self.path())),
            _ => Err(self.expected("a number, or an exact number in a string")),
        }
    }
}

impl<'a> Fields<'a> {
    /// Takes a field that must be there.
    ///
    /// # Errors
    /// When the key is missing.
    pub fn take(&mut self, key: &str) -> Result<Cursor<'a>> {
        self.take_optional(key).ok_or_else(|| {
            // A misspelt key is among those that nobody has taken yet.
            let others: Vec<_> =
                self.fields.iter().take(8).map(|(k, _)| format!("{k:?}")).collect();
            let found = match others.as_slice() {
                [] => format!("no key {key:?}"),
                others => format!("no key {key:?} beside {}", others.join(", ")),
            };
            Error::invalid(self.place(), found, format!("the key {key:?}"))
        })
    }

    /// Takes a field that may be there.
    pub fn take_optional(&mut self, key: &str) -> Option<Cursor<'a>> {
        let position = self.fields.iter().position(|(k, _)| *k == key)?;
        let (_, value) = self.fields.remove(position);
        let path = if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) };
        Some(Cursor { value, path })
    }

    /// Ends the reading of the object.
    ///
    /// # Errors
    /// When a key was not taken: it is unknown here.
    pub fn finish(self) -> Result<()> {
        match self.fields.first() {
            None => Ok(()),
            Some((key, _)) => Err(Error::invalid(
                self.place(),
                format!("the unknown key {key:?}"),
                "only the keys of this format",
            )),
        }
    }

    /// Takes `format` and `version`, which every file of this library begins with.
    ///
    /// # Errors
    /// When they are not `format` and `version`.
    pub fn header(&mut self, format: &str, version: usize) -> Result<()> {
        let found = self.take("format")?;
        if found.string()? != format {
            return Err(found.expected(format!("{format:?}")));
        }
        let found = self.take("version")?;
        if found.index(usize::MAX)? != version {
            return Err(found.expected(format!("version {version}, the one this program reads")));
        }
        Ok(())
    }

    fn place(&self) -> &str {
        if self.path.is_empty() { "top level" } else { &self.path }
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> std::result::Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> std::result::Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_f64<E>(self, value: f64) -> std::result::Result<Json, E> {
        Ok(Json::Number(value))
    }
    fn visit_u64<E>(self, value: u64) -> std::result::Result<Json, E> {
        Ok(Json::Number(value as f64))
    }
    fn visit_i64<E>(self, value: i64) -> std::result::Result<Json, E> {
        Ok(Json::Number(value as f64))
    }
    fn visit_str<E>(self, value: &str) -> std::result::Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> std::result::Result<Json, E> {
        Ok(Json::String(value))
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(
        self,
        mut access: A,
    ) -> std::result::Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }
    fn visit_map<A: serde::de::MapAccess<'de>>(
        self,
        mut access: A,
    ) -> std::result::Result<Json, A::Error> {
        let mut fields = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((key, value)) = access.next_entry::<String, Json>()? {
            if !seen.insert(key.clone()) {
                return Err(serde::de::Error::custom(format!("the key {key:?} twice")));
            }
            fields.push((key, value));
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprises_are_errors_that_name_their_place() {
        for (text, part) in [
            ("{\"a\": 1, \"a\": 2}", "the key \"a\" twice"),
            ("{\"a\": 1e999}", "out of range"),
            ("[1, 2", "EOF"),
            ("[1] 2", "trailing"),
            ("[NaN]", "expected value"),
            (&"[".repeat(1_000_000), "recursion"),
        ] {
            let message = Json::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert!(message.contains("line 1"), "{message}");
        }
    }

    #[test]
    fn paths_lead_to_the_value() {
        let json = Json::parse(r#"{"a": [{"b": "x"}], "c": 1}"#).unwrap();
        let mut fields = json.top().object().unwrap();
        let item = fields.take("a").unwrap().array().unwrap().next().unwrap();
        let error = item.object().unwrap().take("b").unwrap().number().unwrap_err();
        assert_eq!(error.to_string(), "a[0].b: found the string \"x\", expected a number");
        assert!(fields.finish().unwrap_err().to_string().contains("unknown key \"c\""));
    }
}
