//! The polynomial file: `"format": "slnn.polynomial", "version": 1`.
//!
//! ```json
//! {"format": "slnn.polynomial", "version": 1, "variables": ["x1", "x2"], "coefficients": "rational",
//!  "outputs": [{"name": "y", "terms": [
//!     {"exponents": [0, 0], "coefficient": "5/2"},
//!     {"exponents": [2, 1], "coefficient": "-3/7"}]}]}
//! ```
//!
//! With `"coefficients": "f64"` coefficients are numbers. With `"exponents": "sparse"`,
//! which writers use above 64 variables, exponents are `[variable, power]` pairs.
//! Optional keys: `head`, `centre`, `truncated`, `about` (remarks; `slnn expand` puts the box of the network
//! there, `"box": [[lower, upper], ...]`), and in each term `error`.
//!
//! Files as writers spell them are read by [`blocks`], on all threads and without holding the text.
//! The general reader walks the text of any other file, and of one with a mistake, which it names;
//! it holds one term at a time as a [`Json`] value, the others as packed exponents and coefficient.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use num_bigint::BigUint;
use num_rational::BigRational;
use num_traits::{One, Zero};
use rayon::prelude::*;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::StrRead;

use super::blocks;
use crate::error::{Error, Result};
use crate::expand::{Coefficients, ExactTerm, Expansion};
use crate::file::write_atomically;
use crate::json::{Cursor, Fields, Json, read_text};
use crate::network::Head;
use crate::network::json::{quote, read_about};
use crate::numeric::rational::{format_exact, is_short_enough, rational_from_f64};
use crate::polynomial::words::{self, write_small};
use crate::polynomial::{Coefficient, Packed, Polynomial, graded_order};

/// The name of the format in files.
pub(super) const FORMAT: &str = "slnn.polynomial";
const VERSION: usize = 1;

/// Variables up to which writers list the exponent of every one.
const DENSE_VARIABLES: usize = 64;

/// Exponents that a sparse file may unfold to; text of a few bytes stands for a whole row.
const UNFOLDED_LIMIT: usize = 1 << 30;

/// Whether so many terms of a sparse file unfold to more.
pub(super) fn unfold_beyond(terms: usize, variables: usize) -> bool {
    terms.saturating_mul(variables) > UNFOLDED_LIMIT
}

impl Expansion {
    /// Writes the polynomial file, atomically.
    ///
    /// # Errors
    /// When the file cannot be written; and those of [`Expansion::write_json`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |out| self.write_json(out))
    }

    /// Writes the text of the polynomial file. Cost: one pass over the terms.
    ///
    /// # Errors
    /// When `out` fails, an f64 coefficient or error bound is not finite, or an exact one is longer
    /// than readers take.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        self.check_finite()?;
        self.check_lengths()?;
        let list = |names: &[String]| names.iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ");
        let kind = match self.coefficients() {
            Coefficients::Rational(_) | Coefficients::Packed(_) => "rational",
            Coefficients::Float(_) => "f64",
        };
        let variables = list(self.variables());
        write!(
            out,
            "{{\"format\": \"{FORMAT}\", \"version\": {VERSION}, \"variables\": [{variables}], \
             \"coefficients\": \"{kind}\""
        )?;
        let sparse = self.variables().len() > DENSE_VARIABLES;
        if sparse {
            write!(out, ",\n \"exponents\": \"sparse\"")?;
        }
        if self.head() != Head::Identity {
            write!(out, ",\n \"head\": \"{}\"", self.head().name())?;
        }
        if let Some(centre) = self.centre() {
            let centre: Vec<_> = centre.iter().map(|c| quote(&format_exact(c))).collect();
            write!(out, ",\n \"centre\": [{}]", centre.join(", "))?;
        }
        if let Some(degree) = self.truncated() {
            write!(out, ",\n \"truncated\": {degree}")?;
        }
        write!(out, ",\n \"outputs\": [")?;
        for (o, name) in self.outputs().iter().enumerate() {
            let separator = if o == 0 { "" } else { ",\n  " };
            write!(out, "{separator}{{\"name\": {}, \"terms\": [", quote(name))?;
            let errors = self.errors().and_then(|errors| errors.get(o));
            let exact = |c: &BigRational, text: &mut Vec<u8>| {
                text.push(b'"');
                text.extend_from_slice(format_exact(c).as_bytes());
                text.push(b'"');
            };
            match self.coefficients() {
                Coefficients::Packed(p) if errors.is_none() => write_packed(out, &p[o], sparse)?,
                Coefficients::Packed(p) => {
                    write_terms(out, &p[o].to_polynomial(), errors, sparse, exact)?;
                }
                Coefficients::Rational(p) => write_terms(out, &p[o], errors, sparse, exact)?,
                Coefficients::Float(p) => {
                    write_terms(out, &p[o], errors, sparse, |c, text| write_number(*c, text))?;
                }
            }
            write!(out, "]}}")?;
        }
        write!(out, "]")?;
        if !self.about().is_empty() {
            let about = serde_json::Value::Object(self.about().clone());
            write!(out, ",\n \"about\": {about}")?;
        }
        writeln!(out, "}}")
    }

    /// JSON has no spelling for what is not finite.
    fn check_finite(&self) -> io::Result<()> {
        let float = match self.coefficients() {
            Coefficients::Float(p) => p.as_slice(),
            Coefficients::Rational(_) | Coefficients::Packed(_) => &[],
        };
        let all = float.iter().chain(self.errors().into_iter().flatten());
        match all.flat_map(Polynomial::coefficients).find(|c| !c.is_finite()) {
            None => Ok(()),
            Some(c) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a coefficient or error bound is {c}; only finite numbers can be written"),
            )),
        }
    }

    /// What is written can be read.
    fn check_lengths(&self) -> io::Result<()> {
        for (o, name) in self.outputs().iter().enumerate() {
            let sure = match self.coefficients() {
                Coefficients::Float(_) => true,
                Coefficients::Packed(p) => p[o].is_surely_short(),
                Coefficients::Rational(_) => false,
            };
            let long = |(_, c): &ExactTerm| !is_short_enough(c);
            if let Some((exponents, _)) = self.exact_terms(o).filter(|_| !sure).find(long) {
                let found = "a coefficient of more than 2^18 decimal digits and 2^20 binary places";
                let expected = "a shorter one, which readers take, or --coefficients f64";
                let place = format!("output {}, exponents {exponents:?}", quote(name));
                let refused = Error::invalid(place, found, expected);
                return Err(io::Error::new(io::ErrorKind::InvalidData, refused.to_string()));
            }
        }
        Ok(())
    }

    /// Reads a polynomial file.
    ///
    /// # Errors
    /// When the file cannot be read, or anything in it is unknown, missing, repeated, of the
    /// wrong kind or of the wrong shape; the message names the file and the place in it.
    pub fn read(path: &Path) -> Result<Expansion> {
        if let Some(expansion) = blocks::read_file(path) {
            return Ok(expansion);
        }
        let text = read_text(path)?;
        general(&text).map_err(|e| e.within(path.display()))
    }

    /// Reads the text of a polynomial file. Terms and keys may come in any order.
    ///
    /// Memory beside the text: about twice that of the result; of a text that is spelled unlike any
    /// writer's, or has a mistake in it, another 200 bytes a term.
    ///
    /// # Errors
    /// As [`Expansion::read`], without the file.
    pub fn from_json(text: &str) -> Result<Expansion> {
        blocks::read(text.as_bytes()).map_or_else(|| general(text), Ok)
    }

    /// Reads a polynomial from a parsed document.
    ///
    /// # Errors
    /// As [`Expansion::from_json`].
    pub fn from_document(document: &Json) -> Result<Expansion> {
        let mut fields = document.top().object()?;
        let mut outputs = Vec::new();
        let mut header = document.top().object()?;
        header.header(FORMAT, VERSION)?;
        for output in fields.take("outputs")?.array()? {
            let mut fields = output.object()?;
            let mut terms = Terms::default();
            for term in fields.take("terms")?.array()? {
                terms.push(&term)?;
            }
            outputs.push((fields.take("name")?.string()?.to_owned(), terms));
            fields.finish()?;
        }
        assemble(&mut fields, outputs).and_then(|expansion| fields.finish().map(|()| expansion))
    }
}

/// Appends a finite f64 in the shortest text that reads back to the same bits.
fn write_number(x: f64, text: &mut Vec<u8>) {
    // Numbers are finite and a vector takes all.
    let _ = serde_json::to_writer(text, &x);
}

/// Appends a term up to its coefficient.
fn write_exponents(exponents: &[u32], sparse: bool, text: &mut Vec<u8>) {
    text.extend_from_slice(b",\n    {\"exponents\": [");
    let start = text.len();
    for (i, power) in exponents.iter().enumerate().filter(|(_, p)| !sparse || **p > 0) {
        if text.len() > start {
            text.extend_from_slice(b", ");
        }
        if sparse {
            text.push(b'[');
            // The number of variables fits in memory, hence in a file.
            let _ = write!(text, "{i}, ");
        }
        write_small(*power, text);
        if sparse {
            text.push(b']');
        }
    }
    text.extend_from_slice(b"], \"coefficient\": ");
}

/// Takes the comma before the first term away.
struct List<'a> {
    out: &'a mut dyn Write,
    begun: bool,
}

impl Write for List<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let skipped = usize::from(!self.begun && !text.is_empty());
        self.out.write_all(&text[skipped..])?;
        self.begun |= skipped > 0;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Monomials spelled by one thread at a time, at most, bytes that they are to take about, and how
/// many such chunks are held in memory.
const PACKED_CHUNK: usize = 1 << 11;
const PACKED_BYTES: usize = 1 << 18;
const PACKED_CHUNKS: usize = 16;

/// Writes the terms in order while the next ones are spelled.
fn write_packed(out: &mut dyn Write, packed: &Packed, sparse: bool) -> io::Result<()> {
    let mut out = List { out, begun: false };
    let (ranks, spelling) = (packed.ranks(), Spelling::new(packed));
    let places = packed.places();
    // Twenty digits a word, of numerator and denominator.
    let size = 40 * packed.words + 4 * packed.variables + 40;
    let each = (PACKED_BYTES / size).clamp(1, PACKED_CHUNK);
    let spell = |batch: usize| -> Vec<Vec<u8>> {
        let start = batch * PACKED_CHUNKS * each;
        (0..PACKED_CHUNKS)
            .into_par_iter()
            .map(|chunk| {
                let start = (start + chunk * each).min(places);
                let range = start..(start + each).min(places);
                let (mut text, mut scratch) = (Vec::new(), Vec::new());
                packed.visit(&ranks, range, |exponents, numerator| {
                    write_exponents(exponents, sparse, &mut text);
                    text.push(b'"');
                    spelling.write(numerator, &mut scratch, &mut text);
                    text.extend_from_slice(b"\"}");
                });
                text
            })
            .collect()
    };
    let batches = places.div_ceil(PACKED_CHUNKS * each);
    let mut texts = spell(0);
    for batch in 1..=batches {
        let mut next = Vec::new();
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| next = spell(batch));
            texts.iter().try_for_each(|text| out.write_all(text))
        })?;
        texts = next;
    }
    Ok(())
}

/// Bits of a fraction up to which it is certainly spelled in decimal.
const DECIMAL_BITS: u64 = 13_000;

/// Denominators whose texts are kept, at most.
const DENOMINATORS: usize = 1 << 16;

/// How the coefficients of a packed polynomial are spelled: as [`format_exact`] does, with the text
/// of each denominator made once.
struct Spelling<'a> {
    packed: &'a Packed,
    /// The prime factors of the odd part of the denominator, with their exponents.
    primes: Vec<(u64, u32)>,
    /// The texts of its divisors, by the exponents of their prime factors in mixed radix; empty if
    /// there are too many, or the primes are not known.
    denominators: Vec<OnceLock<Vec<u8>>>,
}

impl<'a> Spelling<'a> {
    fn new(packed: &'a Packed) -> Self {
        let (mut primes, mut rest) = (Vec::new(), packed.odd.clone());
        let mut divisors = packed.twos.min(DECIMAL_BITS) as usize + 1;
        for p in (3_u64..1 << 10).step_by(2) {
            let mut exponent = 0;
            while (&rest % p).is_zero() {
                rest /= p;
                exponent += 1;
            }
            if exponent > 0 {
                primes.push((p, exponent));
                divisors = divisors.saturating_mul(exponent as usize + 1);
            }
        }
        let kept = if rest.is_one() && divisors <= DENOMINATORS { divisors } else { 0 };
        let denominators = std::iter::repeat_with(OnceLock::new).take(kept).collect();
        Spelling { packed, primes, denominators }
    }

    fn write(&self, numerator: &[u64], scratch: &mut Vec<u64>, text: &mut Vec<u8>) {
        let packed = self.packed;
        let negative = words::magnitude(numerator, scratch);
        let common = words::trailing_zeros(scratch).min(packed.twos);
        let left = packed.twos - common;
        let bits = words::bits(scratch) - common + left + packed.odd.bits();
        if self.denominators.is_empty() || bits > DECIMAL_BITS {
            text.extend_from_slice(format_exact(&packed.value(numerator)).as_bytes());
            return;
        }
        words::shift_right(scratch, common);
        let mut index = left as usize;
        for &(p, exponent) in &self.primes {
            let mut left = exponent;
            while left > 0 && words::divide_exactly(scratch, p) {
                left -= 1;
            }
            index = index * (exponent as usize + 1) + left as usize;
        }
        if negative {
            text.push(b'-');
        }
        words::write_decimal(scratch, text);
        if index > 0 {
            text.push(b'/');
            text.extend_from_slice(
                self.denominators[index].get_or_init(|| self.denominator(index)),
            );
        }
    }

    /// The text of the denominator with this index.
    fn denominator(&self, mut index: usize) -> Vec<u8> {
        let mut value = BigUint::one();
        for &(p, exponent) in self.primes.iter().rev() {
            let radix = exponent as usize + 1;
            value *= BigUint::from(p).pow((index % radix) as u32);
            index /= radix;
        }
        (value << index).to_string().into_bytes()
    }
}

fn write_terms<C: Coefficient>(
    out: &mut dyn Write,
    polynomial: &Polynomial<C>,
    errors: Option<&Polynomial<f64>>,
    sparse: bool,
    spell: impl Fn(&C, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let out = &mut List { out, begun: false };
    let spell_term = |(exponents, c, error): &Entry<C>, text: &mut Vec<u8>| {
        write_exponents(exponents, sparse, text);
        match c {
            Some(c) => spell(c, text),
            None => spell(&C::zero(), text),
        }
        if let Some(error) = error {
            text.extend_from_slice(b", \"error\": ");
            write_number(*error, text);
        }
        text.push(b'}');
    };
    let terms = polynomial.terms();
    match errors {
        None => {
            let entries = terms.map(|(e, c)| (e, Some(c), None));
            super::write_spelled(out, entries, spell_term)
        }
        Some(errors) => super::write_spelled(out, with_errors(terms, errors), spell_term),
    }
}

/// Exponents, coefficient (`None` for zero) and error bound of a term.
type Entry<'a, C> = (&'a [u32], Option<&'a C>, Option<f64>);

/// Joins coefficients and their error bounds; what is not there is zero.
fn with_errors<'a, C: 'a>(
    terms: impl Iterator<Item = (&'a [u32], &'a C)>,
    errors: &'a Polynomial<f64>,
) -> impl Iterator<Item = Entry<'a, C>> {
    let (mut terms, mut errors) = (terms.peekable(), errors.terms().peekable());
    std::iter::from_fn(move || {
        let order = match (terms.peek(), errors.peek()) {
            (Some((a, _)), Some((b, _))) => graded_order(a, b),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        let term = if order.is_le() { terms.next() } else { None };
        let error = if order.is_ge() { errors.next() } else { None };
        let exponents = term.map(|t| t.0).or(error.map(|e| e.0))?;
        Some((exponents, term.map(|t| t.1), Some(error.map_or(0.0, |e| *e.1))))
    })
}

/// Reads any text of a polynomial file, term by term; the oracle of [`blocks`].
///
/// # Errors
/// As [`Expansion::from_json`].
fn general(text: &str) -> Result<Expansion> {
    // First, so that a file of another kind is not called a defective one of this kind.
    header(text)?.top().object()?.header(FORMAT, VERSION)?;
    let (document, outputs) = walk(text)?;
    let mut fields = document.top().object()?;
    assemble(&mut fields, outputs).and_then(|expansion| fields.finish().map(|()| expansion))
}

/// The document without the key `outputs`, and the names and terms of these.
///
/// # Errors
/// When the text is malformed, an output lacks a key or has an unknown one, or a term is wrong
/// whatever the rest of the document says.
pub(super) fn walk(text: &str) -> Result<(Json, Vec<(String, Terms)>)> {
    let mut reading = Reading::default();
    let mut deserializer = serde_json::Deserializer::new(StrRead::new(text));
    let walk = Walk { reading: &mut reading, level: Level::Top };
    let end = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if let Some(error) = reading.failure {
        return Err(error);
    }
    end.map_err(|e| explain(&e, &reading.place()))?;
    let document = Json::Object(reading.fields);
    match reading.outputs {
        Some(outputs) => Ok((document, outputs)),
        // Not there: this is the error that says so.
        None => {
            let missing = document.top().object()?.take("outputs");
            Err(missing.map_or_else(|e| e, |c| c.expected("an array")))
        }
    }
}

/// A coefficient as the file spells it.
enum Number {
    Float(f64),
    Exact(BigRational),
}

struct Term {
    /// Where its exponents end; they begin where those of the term before end.
    end: usize,
    /// Whether the exponents are pairs, flattened.
    pairs: bool,
    coefficient: Number,
    error: Option<f64>,
}

/// The terms of one output as they were read, packed.
#[derive(Default)]
pub(super) struct Terms {
    exponents: Vec<u32>,
    terms: Vec<Term>,
}

impl Terms {
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Takes one term; what needs the rest of the document is checked by [`Terms::check`].
    fn push(&mut self, term: &Cursor) -> Result<()> {
        let mut fields = term.object()?;
        let exponents = fields.take("exponents")?;
        let Json::Array(items) = exponents.value() else {
            return Err(exponents.expected("an array"));
        };
        let pairs = matches!(items.first(), Some(Json::Array(_)));
        for (i, item) in items.iter().enumerate() {
            match item {
                Json::Array(pair) if pairs => match pair.as_slice() {
                    [variable, power] => {
                        let both = whole(variable).zip(whole(power)).map(|(v, p)| [v, p]);
                        self.exponents.extend(both.ok_or_else(|| misfit(&exponents, i, PAIR))?);
                    }
                    _ => return Err(misfit(&exponents, i, PAIR)),
                },
                power if !pairs => {
                    let power = whole(power);
                    self.exponents.push(power.ok_or_else(|| misfit(&exponents, i, POWER))?);
                }
                _ => return Err(misfit(&exponents, i, PAIR)),
            }
        }
        let place = fields.take("coefficient")?;
        let coefficient = match place.value() {
            Json::Number(x) => Number::Float(*x),
            _ => Number::Exact(place.exact()?),
        };
        let error = match fields.take_optional("error") {
            None => None,
            Some(error) => match error.number()? {
                bound if bound >= 0.0 => Some(bound),
                _ => return Err(error.expected("a bound, at least 0")),
            },
        };
        fields.finish()?;
        let zero = match &coefficient {
            Number::Float(x) => *x == 0.0,
            Number::Exact(x) => Zero::is_zero(x),
        };
        if zero && !error.is_some_and(|bound| bound > 0.0) {
            return Err(place.invalid("zero", "another coefficient: zero terms are left out"));
        }
        self.terms.push(Term { end: self.exponents.len(), pairs, coefficient, error });
        Ok(())
    }

    /// Checks what depends on the keys of the document.
    fn check(&self, o: usize, header: &Header, errors: bool) -> Result<()> {
        let Header { variables: n, sparse, float, truncated } = *header;
        let mut seen = HashSet::with_capacity(self.terms.len());
        let mut start = 0;
        for (t, term) in self.terms.iter().enumerate() {
            let refuse = |key: &str, found: String, expected: &str| {
                Err(Error::invalid(format!("outputs[{o}].terms[{t}].{key}"), found, expected))
            };
            let row = &self.exponents[start..term.end];
            start = term.end;
            let powers = row.iter().skip(usize::from(sparse)).step_by(1 + usize::from(sparse));
            if sparse {
                let variables: Vec<u32> = row.iter().step_by(2).copied().collect();
                if !term.pairs && !row.is_empty() {
                    return refuse("exponents", "powers".into(), "pairs, as the file is sparse");
                }
                if let Some(v) = variables.iter().find(|v| **v as usize >= n) {
                    let expected = format!("variables below {n}");
                    return refuse("exponents", format!("variable {v}"), &expected);
                }
                if !variables.is_sorted_by(|a, b| a < b) || powers.clone().any(|p| *p == 0) {
                    let expected = "ascending variables and powers above 0";
                    return refuse("exponents", format!("{:?}", pairs_of(row)), expected);
                }
            } else if term.pairs {
                let expected = "one power a variable, as the file is not sparse";
                return refuse("exponents", "pairs".into(), expected);
            } else if row.len() != n {
                let expected = format!("{n}, one a variable");
                return refuse("exponents", format!("{} entries", row.len()), &expected);
            }
            let degree = powers.map(|p| u64::from(*p)).sum::<u64>();
            if degree > u64::from(u32::MAX) {
                let found = format!("total degree {degree}");
                return refuse("exponents", found, "a total degree below 2^32");
            }
            if let Some(q) = truncated.filter(|q| degree > u64::from(*q)) {
                let expected = format!("at most {q}: the file says \"truncated\": {q}");
                return refuse("exponents", format!("total degree {degree}"), &expected);
            }
            if !seen.insert(row) {
                return refuse("exponents", "the monomial of an earlier term".into(), "it once");
            }
            if float && matches!(term.coefficient, Number::Exact(_)) {
                let expected = "a number, as the coefficients are f64";
                return refuse("coefficient", "a string".into(), expected);
            }
            if errors != term.error.is_some() {
                let (found, expected) = match errors {
                    true => ("no key \"error\"", "one, as in the first term"),
                    false => ("a key", "none, as in the first term"),
                };
                return refuse("error", found.into(), expected);
            }
        }
        if sparse && unfold_beyond(self.terms.len(), n) {
            return Err(Error::invalid(
                format!("outputs[{o}].terms"),
                format!("{} terms in {n} variables", self.terms.len()),
                format!("at most {UNFOLDED_LIMIT} exponents"),
            ));
        }
        Ok(())
    }

    /// The polynomial with the coefficients that `take` makes of the terms.
    fn polynomial<C: Coefficient>(
        &self,
        header: &Header,
        coefficients: impl Iterator<Item = C>,
    ) -> Result<Polynomial<C>> {
        let mut start = 0;
        let rows = self.terms.iter().map(|term| {
            let row = &self.exponents[start..term.end];
            start = term.end;
            if !header.sparse {
                return std::borrow::Cow::Borrowed(row);
            }
            let mut full = vec![0; header.variables];
            for [variable, power] in pairs_of(row) {
                full[variable as usize] = power;
            }
            full.into()
        });
        Polynomial::from_terms(header.variables, rows.zip(coefficients))
    }
}

const POWER: &str = "a whole number from 0 to 4294967295";
const PAIR: &str = "a pair of whole numbers [variable from 0, power above 0]";

fn whole(value: &Json) -> Option<u32> {
    match value {
        Json::Number(x) if x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x) => {
            Some(*x as u32)
        }
        _ => None,
    }
}

fn misfit(exponents: &Cursor, i: usize, expected: &str) -> Error {
    let item = exponents.array().map(|mut items| items.nth(i));
    item.ok().flatten().unwrap_or_else(|| exponents.clone()).expected(expected)
}

fn pairs_of(row: &[u32]) -> Vec<[u32; 2]> {
    row.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}

/// The document but for its outputs.
pub(super) struct Frame {
    variables: Vec<String>,
    sparse: bool,
    pub(super) float: bool,
    head: Head,
    centre: Option<Vec<BigRational>>,
    pub(super) truncated: Option<u32>,
    about: serde_json::Map<String, serde_json::Value>,
}

impl Frame {
    /// Takes all keys but `outputs`.
    ///
    /// # Errors
    /// When one is missing or not as it should be.
    pub(super) fn read(fields: &mut Fields) -> Result<Self> {
        fields.header(FORMAT, VERSION)?;
        let variables: Vec<String> = fields
            .take("variables")?
            .array()?
            .map(|c| c.string().map(str::to_owned))
            .collect::<Result<_>>()?;
        let kind = fields.take("coefficients")?;
        let float = match kind.string()? {
            "rational" => false,
            "f64" => true,
            _ => return Err(kind.expected("\"rational\" or \"f64\"")),
        };
        let sparse = match fields.take_optional("exponents") {
            None => false,
            Some(c) if c.string()? == "sparse" => true,
            Some(c) => return Err(c.expected("\"sparse\", or no such key")),
        };
        let head = match fields.take_optional("head") {
            None => Head::Identity,
            Some(c) => Head::from_name(c.string()?)
                .ok_or_else(|| c.expected("\"identity\", \"softmax\" or \"logistic\""))?,
        };
        let centre = fields
            .take_optional("centre")
            .map(|c| c.array()?.map(|c| c.exact()).collect::<Result<Vec<_>>>())
            .transpose()?;
        let truncated = fields
            .take_optional("truncated")
            .map(|c| whole(c.value()).ok_or_else(|| c.expected(POWER)))
            .transpose()?;
        let about = read_about(fields)?;
        Ok(Frame { variables, sparse, float, head, centre, truncated, about })
    }

    /// The expansion with these outputs.
    ///
    /// # Errors
    /// When the parts do not fit together.
    pub(super) fn expansion(
        self,
        names: Vec<String>,
        coefficients: Coefficients,
        errors: Option<Vec<Polynomial<f64>>>,
    ) -> Result<Expansion> {
        Ok(Expansion::new(self.variables, names, coefficients, self.head)?
            .with_centre(self.centre)?
            .with_truncated(self.truncated)
            .with_errors(errors)?
            .with_about(self.about))
    }
}

/// What the reading of terms needs of the other keys.
struct Header {
    variables: usize,
    sparse: bool,
    float: bool,
    truncated: Option<u32>,
}

/// Builds the expansion from the terms and the other keys of the document.
fn assemble(fields: &mut Fields, outputs: Vec<(String, Terms)>) -> Result<Expansion> {
    let frame = Frame::read(fields)?;
    let Frame { sparse, float, truncated, .. } = frame;
    let header = Header { variables: frame.variables.len(), sparse, float, truncated };
    let first = outputs.iter().find_map(|(_, terms)| terms.terms.first());
    let errors = first.is_some_and(|term| term.error.is_some());
    let mut names = Vec::with_capacity(outputs.len());
    let (mut bounds, mut floats, mut rationals) = (Vec::new(), Vec::new(), Vec::new());
    for (o, (name, mut terms)) in outputs.into_iter().enumerate() {
        terms.check(o, &header, errors)?;
        names.push(name);
        if errors {
            let errors: Vec<_> = terms.terms.iter().map(|t| t.error.unwrap_or(0.0)).collect();
            bounds.push(terms.polynomial(&header, errors.into_iter())?);
        }
        let numbers: Vec<Number> = terms
            .terms
            .iter_mut()
            .map(|t| std::mem::replace(&mut t.coefficient, Number::Float(0.0)))
            .collect();
        if float {
            // Strings were refused by the check, and JSON numbers are finite.
            let numbers = numbers.into_iter().map(|c| match c {
                Number::Float(x) => x,
                Number::Exact(_) => 0.0,
            });
            floats.push(terms.polynomial(&header, numbers)?);
        } else {
            let numbers = numbers.into_iter().map(|c| match c {
                Number::Float(x) => rational_from_f64(x).unwrap_or_default(),
                Number::Exact(x) => x,
            });
            rationals.push(terms.polynomial(&header, numbers)?);
        }
    }
    let coefficients =
        if float { Coefficients::Float(floats) } else { Coefficients::Rational(rationals) };
    frame.expansion(names, coefficients, errors.then_some(bounds))
}

/// Where in the document the walk stands.
#[derive(Clone, Copy)]
enum Level {
    Top,
    Outputs,
    Output,
    Terms,
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    /// The keys of the top level, without `outputs`.
    fields: Vec<(String, Json)>,
    outputs: Option<Vec<(String, Terms)>>,
    /// The terms of the present output.
    terms: Option<Terms>,
    output: Option<usize>,
    term: Option<usize>,
    /// The error that stopped the walk; serde's own carry no place.
    failure: Option<Error>,
}

impl Reading {
    fn place(&self) -> String {
        match (self.output, self.term) {
            (None, _) => String::new(),
            (Some(o), None) => format!("outputs[{o}]"),
            (Some(o), Some(t)) => format!("outputs[{o}].terms[{t}]"),
        }
    }

    /// Keeps an error whose place is relative to where the walk stands.
    fn fail<E: de::Error>(&mut self, error: Error) -> E {
        let outer = self.place();
        self.failure = Some(match error {
            Error::Invalid { place, found, expected } => {
                let place = match place.as_str() {
                    "" | "top level" => outer,
                    _ if outer.is_empty() => place,
                    _ => format!("{outer}.{place}"),
                };
                Error::invalid(place, found, expected)
            }
            other => other,
        });
        E::custom("refused")
    }

    /// Ends the object of a level; `fields` are its keys, without the one that was walked.
    fn close(&mut self, level: Level, fields: Vec<(String, Json)>) -> Result<()> {
        let Level::Output = level else {
            self.fields = fields;
            return Ok(());
        };
        let object = Json::Object(fields);
        let mut fields = object.top().object()?;
        let name = fields.take("name")?.string()?.to_owned();
        let Some(terms) = self.terms.take() else {
            return Err(fields.take("terms").map_or_else(|e| e, |c| c.expected("an array")));
        };
        fields.finish()?;
        self.outputs.get_or_insert_default().push((name, terms));
        Ok(())
    }
}

/// Walks down to the terms, which are taken one by one.
struct Walk<'r> {
    reading: &'r mut Reading,
    level: Level,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self.level {
            Level::Top => "an object",
            Level::Outputs => "an array, the outputs",
            Level::Output => "an object, an output",
            Level::Terms => "an array, the terms",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<(), A::Error> {
        let (walked, inner) = match self.level {
            Level::Top => ("outputs", Level::Outputs),
            Level::Output => ("terms", Level::Terms),
            _ => return Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        };
        let mut fields: Vec<(String, Json)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                let found = format!("the key {key:?} twice");
                return Err(self.reading.fail(Error::invalid("", found, "each key once")));
            }
            if key == walked {
                access.next_value_seed(Walk { reading: &mut *self.reading, level: inner })?;
            } else {
                fields.push((key, access.next_value()?));
            }
        }
        self.reading.close(self.level, fields).map_err(|e| self.reading.fail(e))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> std::result::Result<(), A::Error> {
        match self.level {
            Level::Outputs => {
                self.reading.outputs = Some(Vec::new());
                for o in 0.. {
                    self.reading.output = Some(o);
                    let walk = Walk { reading: &mut *self.reading, level: Level::Output };
                    if access.next_element_seed(walk)?.is_none() {
                        break;
                    }
                }
                self.reading.output = None;
                Ok(())
            }
            Level::Terms => {
                let mut terms = Terms::default();
                for t in 0.. {
                    self.reading.term = Some(t);
                    let Some(term) = access.next_element::<Json>()? else { break };
                    terms.push(&term.top()).map_err(|e| self.reading.fail(e))?;
                }
                self.reading.term = None;
                self.reading.terms = Some(terms);
                Ok(())
            }
            _ => Err(de::Error::invalid_type(de::Unexpected::Seq, &self)),
        }
    }
}

/// The keys `format` and `version` as one object, without reading on once both are found.
///
/// # Errors
/// When the text up to there is malformed or not an object.
pub(super) fn header(text: &str) -> Result<Json> {
    header_from(StrRead::new(text)).map_err(|e| explain(&e, ""))
}

/// As [`header`], from a file that need not be in memory; `None` where there is an error.
pub(super) fn header_of(source: impl io::Read) -> Option<Json> {
    header_from(serde_json::de::IoRead::new(source)).ok()
}

fn header_from<'de>(source: impl serde_json::de::Read<'de>) -> serde_json::Result<Json> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::new(source);
    match deserializer.deserialize_any(HeaderVisitor(&mut found)) {
        Err(e) if found.len() < 2 => Err(e),
        _ => Ok(Json::Object(found)),
    }
}

struct HeaderVisitor<'a>(&'a mut Vec<(String, Json)>);

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<(), A::Error> {
        while let Some(key) = access.next_key::<String>()? {
            if self.0.iter().any(|(held, _)| *held == key) {
                return Err(de::Error::custom(format!("the key {key:?} twice")));
            }
            if matches!(key.as_str(), "format" | "version") {
                self.0.push((key, access.next_value()?));
            } else {
                access.next_value::<IgnoredAny>()?;
            }
            if self.0.len() == 2 {
                // Ends the walk; the caller sees both keys and not this error.
                return Err(de::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

/// An error of serde in our words, at `place` in the document.
fn explain(error: &serde_json::Error, place: &str) -> Error {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let separator = if place.is_empty() { "" } else { ", " };
    let place = format!("{place}{separator}line {}, column {}", error.line(), error.column());
    match text.strip_prefix("invalid type: ").and_then(|t| t.rsplit_once(", expected ")) {
        Some((found, expected)) => Error::invalid(place, found, expected),
        None => Error::invalid(place, text, "well-formed JSON"),
    }
}
