//! Polynomial files of millions of terms, read block by block on all threads.
//!
//! Only the terms of one block are in memory as text. What is read here is a file as writers spell
//! it: the keys that say what terms are come before them, and strings in terms have no escapes;
//! white space, the order of the keys of a term and the order of terms are free. Of any other file,
//! and of one with a mistake in it, nothing is said here: the answer is `None`, and the general
//! reader, which names places, takes the file from its beginning.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::One;
use rayon::prelude::*;

use super::json::{FORMAT, Frame, unfold_beyond, walk};
use crate::expand::{Coefficients, Expansion};
use crate::json::Json;
use crate::numeric::Dyadic;
use crate::numeric::rational::MAX_TEXT_DIGITS;
use crate::polynomial::{Packed, Polynomial, Ranks, monomial_count, words};

/// Bytes of text that are parsed together, and of the parts that threads take.
const BLOCK: usize = 1 << 22;
const PART: usize = 1 << 17;

/// Bytes that are parsed at the beginning of an array, twice as many each time: arrays may be many.
const FIRST: usize = 1 << 12;

/// Levels of the document above which the general reader takes over.
const DEPTH: usize = 64;

/// Entries of a table of positions: 32 MiB.
const LARGEST_TABLE: usize = 1 << 22;

/// Bits of an odd part of denominators above which they are left to the general reader, or their
/// common multiple to polynomials term by term.
const LONGEST_ODD: u64 = 1 << 12;

/// The polynomials of a file, if it is one to be read here.
pub(super) fn read_file(path: &Path) -> Option<Expansion> {
    // What cannot be read twice is left to the general reader.
    let regular = std::fs::metadata(path).is_ok_and(|found| found.is_file());
    if regular { read(File::open(path).ok()?) } else { None }
}

/// The polynomials of the text of a file, if it is one to be read here.
pub(super) fn read(source: impl Read) -> Option<Expansion> {
    let mut input = Input { source, buffer: Vec::new(), at: 0, ended: false };
    input.fill()?;
    if !begins(&input.buffer) {
        return None;
    }
    let (skeleton, lists) = document(&mut input)?;
    drop(input);
    let (document, outputs) = walk(&skeleton).ok()?;
    let mut fields = document.top().object().ok()?;
    let frame = Frame::read(&mut fields).ok()?;
    fields.finish().ok()?;
    if lists.len() != outputs.len() || outputs.iter().any(|(_, terms)| !terms.is_empty()) {
        return None;
    }
    let names = outputs.into_iter().map(|(name, _)| name).collect();
    if lists.iter().any(|list| frame.truncated.is_some_and(|q| list.degree > q)) {
        return None;
    }
    // The general reader says so.
    if lists.iter().any(|list| list.sparse && unfold_beyond(list.terms, list.variables)) {
        return None;
    }
    let coefficients = if frame.float {
        let polynomials = lists.into_iter().map(List::floats);
        Coefficients::Float(polynomials.collect::<Option<_>>()?)
    } else if lists.iter().all(List::is_dense) {
        Coefficients::Packed(lists.into_iter().map(List::packed).collect::<Option<_>>()?)
    } else {
        Coefficients::Rational(lists.into_iter().map(List::rationals).collect::<Option<_>>()?)
    };
    frame.expansion(names, coefficients, None).ok()
}

/// Whether a text begins with the key `format` of a polynomial file.
fn begins(text: &[u8]) -> bool {
    let mut rest = text;
    [b"{".as_slice(), b"\"format\"", b":", b"\"", FORMAT.as_bytes(), b"\""].iter().all(|token| {
        let found = rest.trim_ascii_start().strip_prefix(*token);
        rest = found.unwrap_or(rest);
        found.is_some()
    })
}

/// The text that is at hand: the bytes of `buffer` from `at` on.
struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Input<R> {
    /// Reads until a block is at hand, or the text ends; `None` where reading fails.
    fn fill(&mut self) -> Option<()> {
        if self.ended || self.buffer.len() - self.at >= BLOCK {
            return Some(());
        }
        // Two blocks, so that what moves is no more than what was taken.
        self.buffer.drain(..self.at);
        self.at = 0;
        let missing = (2 * BLOCK - self.buffer.len()) as u64;
        let read = self.source.by_ref().take(missing).read_to_end(&mut self.buffer).ok()?;
        self.ended = (read as u64) < missing;
        Some(())
    }

    fn next(&mut self) -> Option<u8> {
        if self.at == self.buffer.len() {
            self.fill()?;
        }
        let byte = self.buffer.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn peek(&mut self) -> Option<u8> {
        let byte = self.next()?;
        self.at -= 1;
        Some(byte)
    }
}

/// A container that has been opened: an object with the latest key in it, or an array.
struct Opened {
    object: bool,
    key: Vec<u8>,
    /// Whether a key comes next.
    awaiting: bool,
}

/// The document without its terms, and the terms of each output. The former is not yet known to be
/// well-formed.
fn document<R: Read>(input: &mut Input<R>) -> Option<(String, Vec<List>)> {
    let (mut skeleton, mut lists) = (Vec::new(), Vec::new());
    let mut opened: Vec<Opened> = Vec::new();
    let mut kind = None;
    while let Some(byte) = input.next() {
        skeleton.push(byte);
        match byte {
            b'"' => {
                let start = skeleton.len();
                loop {
                    let byte = input.next()?;
                    skeleton.push(byte);
                    match byte {
                        b'"' => break,
                        b'\\' => skeleton.push(input.next()?),
                        _ => {}
                    }
                }
                if let Some(Opened { key, awaiting: true, .. }) = opened.last_mut() {
                    key.clear();
                    key.extend_from_slice(&skeleton[start..skeleton.len() - 1]);
                }
            }
            b'[' if is_terms(&opened) => {
                if kind.is_none() {
                    kind = Some(Kind::of(&skeleton)?);
                }
                lists.push(terms(input, kind.as_ref()?)?);
                skeleton.push(b']');
            }
            b'{' | b'[' => {
                let object = byte == b'{';
                opened.push(Opened { object, key: Vec::new(), awaiting: object });
                if opened.len() > DEPTH {
                    return None;
                }
            }
            b'}' | b']' => {
                opened.pop()?;
            }
            b',' | b':' => {
                if let Some(opened) = opened.last_mut() {
                    opened.awaiting = opened.object && byte == b',';
                }
            }
            _ => {}
        }
    }
    Some((String::from_utf8(skeleton).ok()?, lists))
}

/// Whether an array that begins inside these containers is that of the terms of an output.
fn is_terms(opened: &[Opened]) -> bool {
    match opened {
        [top, array, output] => {
            top.key == b"outputs" && !array.object && output.key == b"terms" && !output.awaiting
        }
        _ => false,
    }
}

/// What the document says of its terms.
struct Kind {
    variables: usize,
    sparse: bool,
    float: bool,
}

impl Kind {
    /// From the document up to its first terms.
    fn of(skeleton: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(skeleton).ok()?;
        let Json::Object(fields) = Json::parse(&format!("{text}]}}]}}")).ok()? else { return None };
        let field = |key: &str| fields.iter().find(|(held, _)| held == key).map(|(_, value)| value);
        let Json::Array(variables) = field("variables")? else { return None };
        let Json::String(coefficients) = field("coefficients")? else { return None };
        let float = coefficients == "f64";
        Some(Kind { variables: variables.len(), sparse: field("exponents").is_some(), float })
    }
}

/// The terms of one output.
struct List {
    variables: usize,
    sparse: bool,
    occurs: Vec<bool>,
    degree: u32,
    terms: usize,
    /// Whether they came in graded order, each once.
    ascending: bool,
    ranks: Ranks,
    blocks: Vec<Block>,
    /// The odd parts of denominators.
    odds: Vec<BigUint>,
}

/// The terms of a part of the text.
#[derive(Default)]
struct Block {
    /// The positions of their monomials among those of all variables.
    positions: Vec<usize>,
    floats: Vec<f64>,
    exacts: Vec<Exact>,
    /// The magnitudes of the numerators, one after the other.
    words: Vec<u64>,
}

/// A fraction in lowest terms but for the words of its numerator.
#[derive(Clone, Copy)]
struct Exact {
    words: u32,
    twos: u32,
    /// An index among the odd parts of denominators.
    odd: u32,
    negative: bool,
}

/// Reads terms up to the end of their array.
fn terms<R: Read>(input: &mut Input<R>, kind: &Kind) -> Option<List> {
    let mut list = List {
        variables: kind.variables,
        sparse: kind.sparse,
        occurs: vec![false; kind.variables],
        degree: 0,
        terms: 0,
        ascending: true,
        ranks: Ranks::new(kind.variables, 0, LARGEST_TABLE)?,
        blocks: Vec::new(),
        odds: Vec::new(),
    };
    let mut known = HashMap::new();
    let mut last = None;
    let mut window = FIRST;
    loop {
        while matches!(input.peek()?, b' ' | b'\n' | b'\r' | b'\t') {
            input.next();
        }
        if input.peek()? == b']' {
            input.next();
            return Some(list);
        }
        input.fill()?;
        let text = &input.buffer[input.at..];
        let text = &text[..window.min(text.len())];
        // A term ends with the only closing brace in it; longer ones than a block are not read here.
        let Some(end) = text.iter().rposition(|b| *b == b'}').map(|at| at + 1) else {
            if text.len() < window || window == BLOCK {
                return None;
            }
            window *= 2;
            continue;
        };
        let count = end.div_ceil(PART);
        let cut = |k: usize| {
            let near = k * end / count - 1;
            near + text[near..end].iter().position(|b| *b == b'}').map_or(0, |at| at + 1)
        };
        let cuts: Vec<usize> = std::iter::once(0).chain((1..=count).map(cut)).collect();
        let first = list.terms == 0;
        let parts: Vec<Option<Part>> = cuts
            .par_windows(2)
            .enumerate()
            .map(|(k, cut)| Part::parse(&text[cut[0]..cut[1]], kind, first && k == 0))
            .collect();
        let mut taken = end;
        for (part, cut) in parts.into_iter().zip(&cuts) {
            let part = part?;
            let ends = part.end;
            list.take(part, &mut known, &mut last)?;
            if let Some(end) = ends {
                taken = cut + end;
                break;
            }
        }
        input.at += taken;
        window = (2 * window).min(BLOCK);
    }
}

/// Terms as they are spelled.
#[derive(Default)]
struct Part {
    block: Block,
    /// One row of exponents a term: all powers, or pairs.
    rows: Vec<u32>,
    /// Where each row ends.
    ends: Vec<usize>,
    odds: Vec<BigUint>,
    /// Where the array ends, before its bracket, if it does.
    end: Option<usize>,
}

impl Part {
    fn parse(text: &[u8], kind: &Kind, mut first: bool) -> Option<Self> {
        // The odd part of most denominators comes first.
        let mut part = Part { odds: vec![BigUint::one()], ..Part::default() };
        let mut parser =
            Parser { rest: text, denominators: HashMap::new(), latest: None, scratch: Vec::new() };
        loop {
            parser.space();
            match parser.rest.first() {
                None => return Some(part),
                Some(b']') => {
                    part.end = Some(text.len() - parser.rest.len());
                    return Some(part);
                }
                _ => {}
            }
            if !first {
                parser.token(b',')?;
            }
            first = false;
            parser.term(kind, &mut part)?;
        }
    }
}

struct Parser<'a> {
    rest: &'a [u8],
    /// The power of two and the index of the odd part of denominators by their digits, and the
    /// latest of them.
    denominators: HashMap<&'a [u8], (u32, u32)>,
    latest: Option<(&'a [u8], (u32, u32))>,
    scratch: Vec<u64>,
}

impl<'a> Parser<'a> {
    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn token(&mut self, token: u8) -> Option<()> {
        self.space();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == token).then_some(())
    }

    /// Whether a token comes next, which is taken then.
    fn take(&mut self, token: u8) -> bool {
        self.space();
        let found = self.rest.first() == Some(&token);
        self.rest = &self.rest[usize::from(found)..];
        found
    }

    /// What is in quotes, if it has no escapes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.token(b'"')?;
        let end = self.rest.iter().position(|b| *b == b'"')?;
        let (string, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        (!string.contains(&b'\\')).then_some(string)
    }

    /// A whole number as JSON spells it.
    fn whole(&mut self) -> Option<u32> {
        self.space();
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits == 0 || digits > 10 || digits > 1 && number[0] == b'0' {
            return None;
        }
        let value = number.iter().fold(0, |value, d| value * 10 + u64::from(d - b'0'));
        u32::try_from(value).ok()
    }

    fn term(&mut self, kind: &Kind, part: &mut Part) -> Option<()> {
        self.token(b'{')?;
        let (mut exponents, mut coefficient) = (false, false);
        loop {
            let key = self.string()?;
            self.token(b':')?;
            match key {
                b"exponents" if !exponents => {
                    exponents = true;
                    self.exponents(kind, part)?;
                }
                b"coefficient" if !coefficient => {
                    coefficient = true;
                    self.coefficient(kind, part)?;
                }
                _ => return None,
            }
            if !self.take(b',') {
                break;
            }
        }
        self.token(b'}')?;
        (exponents && coefficient).then_some(())
    }

    fn exponents(&mut self, kind: &Kind, part: &mut Part) -> Option<()> {
        self.token(b'[')?;
        let start = part.rows.len();
        if !self.take(b']') {
            loop {
                if kind.sparse {
                    self.token(b'[')?;
                    part.rows.push(self.whole()?);
                    self.token(b',')?;
                }
                part.rows.push(self.whole()?);
                if kind.sparse {
                    self.token(b']')?;
                }
                if !self.take(b',') {
                    break;
                }
            }
            self.token(b']')?;
        }
        part.ends.push(part.rows.len());
        (kind.sparse || part.rows.len() - start == kind.variables).then_some(())
    }

    fn coefficient(&mut self, kind: &Kind, part: &mut Part) -> Option<()> {
        self.space();
        if self.rest.first() == Some(&b'"') {
            let text = self.string()?;
            return if kind.float { None } else { self.exact(text, part) };
        }
        let x = self.number()?;
        if x == 0.0 {
            return None;
        }
        if kind.float {
            part.block.floats.push(x);
            return Some(());
        }
        self.dyadic(&Dyadic::from_f64(x)?, part)
    }

    /// A finite number as JSON spells it.
    fn number(&mut self) -> Option<f64> {
        let length = self.rest.iter().take_while(|b| b"+-.eE0123456789".contains(b)).count();
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        let body = text.strip_prefix(b"-").unwrap_or(text);
        let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
        // JSON is stricter than Rust: no plus, no leading zeros, digits on both sides of the point.
        let whole = digits(body);
        if whole == 0 || whole > 1 && body[0] == b'0' {
            return None;
        }
        if let Some(fraction) = body[whole..].strip_prefix(b".")
            && digits(fraction) == 0
        {
            return None;
        }
        let x: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        x.is_finite().then_some(x)
    }

    /// A number other than zero in one of the canonical spellings.
    fn exact(&mut self, text: &'a [u8], part: &mut Part) -> Option<()> {
        let body = text.strip_prefix(b"-").unwrap_or(text);
        if body.starts_with(b"0x") {
            let value: Dyadic = std::str::from_utf8(text).ok()?.parse().ok()?;
            return self.dyadic(&value, part);
        }
        let (numerator, denominator) = match body.iter().position(|b| *b == b'/') {
            Some(stroke) => (&body[..stroke], Some(&body[stroke + 1..])),
            None => (body, None),
        };
        let natural = |digits: &[u8], magnitude: &mut Vec<u64>| {
            // A leading zero, or zero itself, is for the general reader.
            let canonical = digits.first() != Some(&b'0') && digits.len() <= MAX_TEXT_DIGITS;
            (canonical && words::read_decimal(digits, magnitude)).then_some(())
        };
        let (twos, odd) = match (denominator, self.latest) {
            (None, _) => (0, 0),
            (Some(digits), Some((latest, parts))) if digits == latest => parts,
            (Some(digits), _) => {
                let parts = match self.denominators.get(digits) {
                    Some(parts) => *parts,
                    None => {
                        let mut value = Vec::new();
                        natural(digits, &mut value)?;
                        let twos = words::trailing_zeros(&value);
                        words::shift_right(&mut value, twos);
                        // 1 is no denominator, and long ones take another reader.
                        if twos == 0 && value == [1] || words::bits(&value) > LONGEST_ODD {
                            return None;
                        }
                        let parts = (twos as u32, part.odd(words::to_natural(&value)));
                        self.denominators.insert(digits, parts);
                        parts
                    }
                };
                self.latest = Some((digits, parts));
                parts
            }
        };
        let magnitude = &mut self.scratch;
        natural(numerator, magnitude)?;
        let other = &part.odds[odd as usize];
        if twos > 0 && magnitude[0] & 1 == 0 || odd > 0 && !coprime(magnitude, other) {
            return None;
        }
        part.push(magnitude, twos, odd, body.len() < text.len());
        Some(())
    }

    fn dyadic(&mut self, value: &Dyadic, part: &mut Part) -> Option<()> {
        let mantissa = value.mantissa();
        let (up, down) = match value.exponent() {
            up @ 0.. => (up as u64, 0),
            down => (0, u32::try_from(down.unsigned_abs()).ok()?),
        };
        let magnitude: Vec<u64> = (mantissa.magnitude() << up).iter_u64_digits().collect();
        part.push(&magnitude, down, 0, value.is_negative());
        Some(())
    }
}

impl Part {
    /// The index of an odd part of denominators, which may be there already.
    fn odd(&mut self, odd: BigUint) -> u32 {
        if odd.is_one() {
            return 0;
        }
        self.odds.push(odd);
        self.odds.len() as u32 - 1
    }

    fn push(&mut self, magnitude: &[u64], twos: u32, odd: u32, negative: bool) {
        self.block.words.extend_from_slice(magnitude);
        self.block.exacts.push(Exact { words: magnitude.len() as u32, twos, odd, negative });
    }
}

/// Whether a natural number and an odd one have no common factor.
fn coprime(magnitude: &[u64], odd: &BigUint) -> bool {
    let value = words::to_natural(magnitude) % odd;
    value.gcd(odd).is_one()
}

impl List {
    /// Takes the terms of a part; `known` has the indices of odd parts, `last` the last position.
    fn take(
        &mut self,
        mut part: Part,
        known: &mut HashMap<BigUint, u32>,
        last: &mut Option<usize>,
    ) -> Option<()> {
        let indices: Vec<u32> = part
            .odds
            .into_iter()
            .map(|odd| {
                *known.entry(odd).or_insert_with_key(|odd| {
                    self.odds.push(odd.clone());
                    self.odds.len() as u32 - 1
                })
            })
            .collect();
        part.block.exacts.iter_mut().for_each(|exact| exact.odd = indices[exact.odd as usize]);
        let (mut start, mut full) = (0, Vec::new());
        part.block.positions.reserve_exact(part.ends.len());
        for end in part.ends {
            let mut row = &part.rows[start..end];
            start = end;
            if self.sparse {
                row = unfold(row, self.variables, &mut full)?;
            }
            let degree = u32::try_from(crate::polynomial::total_degree(row)).ok()?;
            if degree > self.degree {
                self.degree = degree;
                if degree > self.ranks.degree() {
                    let table = |degree| Ranks::new(self.variables, degree, LARGEST_TABLE);
                    self.ranks = table(degree.saturating_mul(2)).or_else(|| table(degree))?;
                }
            }
            self.occurs.iter_mut().zip(row).for_each(|(occurs, e)| *occurs |= *e > 0);
            let position = self.ranks.rank(row);
            self.ascending &= last.is_none_or(|last| last < position);
            *last = Some(position);
            part.block.positions.push(position);
        }
        part.block.words.shrink_to_fit();
        part.block.exacts.shrink_to_fit();
        part.block.floats.shrink_to_fit();
        self.terms += part.block.positions.len();
        self.blocks.push(part.block);
        Some(())
    }

    /// The variables that occur.
    fn used(&self) -> Vec<u32> {
        let occurring = self.occurs.iter().enumerate().filter(|(_, occurs)| **occurs);
        occurring.map(|(i, _)| i as u32).collect()
    }

    /// The common denominator, unless its odd part is long.
    fn denominator(&self) -> Option<(BigUint, u64)> {
        let mut lcm = BigUint::one();
        for odd in &self.odds {
            lcm = lcm.lcm(odd);
            if lcm.bits() > LONGEST_ODD {
                return None;
            }
        }
        let twos = self.blocks.iter().flat_map(|block| &block.exacts).map(|exact| exact.twos).max();
        Some((lcm, u64::from(twos.unwrap_or(0))))
    }

    /// The number of words of the longest numerator over a common denominator.
    fn words(&self, (odd, twos): &(BigUint, u64)) -> usize {
        let factors: Vec<u64> = self.odds.iter().map(|own| (odd / own).bits()).collect();
        let mut bits = 0;
        for block in &self.blocks {
            let mut rest = block.words.as_slice();
            for exact in &block.exacts {
                let (magnitude, others) = rest.split_at(exact.words as usize);
                rest = others;
                // A factor of one bit is 1.
                let factor = factors[exact.odd as usize];
                let factor = if factor == 1 { 0 } else { factor };
                bits = bits.max(words::bits(magnitude) + factor + twos - u64::from(exact.twos));
            }
        }
        (bits / 64 + 1) as usize
    }

    /// Whether a place for every monomial takes no more memory than the terms one by one.
    fn is_dense(&self) -> bool {
        let Some(denominator) = self.denominator() else { return false };
        // A polynomial has its headers; a term its exponents, those of four vectors, and its words.
        let words: usize = self.blocks.iter().map(|block| block.words.len()).sum();
        let alone = (self.terms + 1) * (4 * self.variables + 128) + 16 * words;
        let places = monomial_count(self.used().len(), self.degree);
        places * self.words(&denominator) * 8_u32 <= BigUint::from(alone)
    }

    /// The exact polynomial with a place for every monomial; `None` where a monomial is repeated.
    fn packed(self) -> Option<Packed> {
        let (odd, twos) = self.denominator()?;
        let size = self.words(&(odd.clone(), twos));
        let used = self.used();
        let places = Ranks::new(used.len(), self.degree, LARGEST_TABLE)?;
        let mut numerators = vec![0; places.count().checked_mul(size)?];
        let factors: Vec<BigUint> = self.odds.iter().map(|own| &odd / own).collect();
        let mut row = vec![0; self.variables];
        let mut own = vec![0; used.len()];
        for block in self.blocks {
            let mut rest = block.words.as_slice();
            for (position, exact) in block.positions.into_iter().zip(block.exacts) {
                let (magnitude, others) = rest.split_at(exact.words as usize);
                rest = others;
                let place = if used.len() == self.variables {
                    position
                } else {
                    self.ranks.monomial(position, &mut row);
                    own.iter_mut().zip(&used).for_each(|(e, i)| *e = row[*i as usize]);
                    places.rank(&own)
                };
                let numerator = &mut numerators[place * size..(place + 1) * size];
                if !words::is_zero(numerator) {
                    return None;
                }
                let factor = &factors[exact.odd as usize];
                let shift = twos - u64::from(exact.twos);
                if factor.is_one() {
                    words::place(magnitude, shift, exact.negative, numerator);
                } else {
                    let product: Vec<u64> =
                        (words::to_natural(magnitude) * factor).iter_u64_digits().collect();
                    words::place(&product, shift, exact.negative, numerator);
                }
            }
        }
        Packed::new(self.variables, used, self.degree, size, numerators, (odd, twos)).ok()
    }

    /// The exact polynomial term by term; `None` where a monomial is repeated.
    fn rationals(self) -> Option<Polynomial<BigRational>> {
        let odds = self.odds.clone();
        self.gather(|block| {
            let mut rest = block.words.as_slice();
            let fraction = |exact: Exact| {
                let (magnitude, others) = rest.split_at(exact.words as usize);
                rest = others;
                let sign = if exact.negative { Sign::Minus } else { Sign::Plus };
                let numerator = BigInt::from_biguint(sign, words::to_natural(magnitude));
                let denominator = BigInt::from(odds[exact.odd as usize].clone()) << exact.twos;
                BigRational::new_raw(numerator, denominator)
            };
            block.exacts.iter().copied().map(fraction).collect()
        })
    }

    /// The polynomial of f64 coefficients; `None` where a monomial is repeated.
    fn floats(self) -> Option<Polynomial<f64>> {
        self.gather(|block| std::mem::take(&mut block.floats))
    }

    fn gather<C: crate::polynomial::Coefficient>(
        self,
        mut coefficients: impl FnMut(&mut Block) -> Vec<C>,
    ) -> Option<Polynomial<C>> {
        let (variables, ranks) = (self.variables, self.ranks);
        let terms = self.blocks.into_iter().flat_map(|mut block| {
            let coefficients = coefficients(&mut block);
            block.positions.into_iter().zip(coefficients)
        });
        let terms = terms.map(|(position, c)| {
            let mut row = vec![0; variables];
            ranks.monomial(position, &mut row);
            (row, c)
        });
        let polynomial = Polynomial::from_terms(variables, terms).ok()?;
        // Equal monomials would have been added up.
        (self.ascending || polynomial.len() == self.terms).then_some(polynomial)
    }
}

/// The powers of all variables from the pairs of those that occur.
fn unfold<'f>(pairs: &[u32], variables: usize, full: &'f mut Vec<u32>) -> Option<&'f [u32]> {
    full.clear();
    full.resize(variables, 0);
    let mut next = 0;
    for pair in pairs.chunks(2) {
        let [variable, power] = *pair else { return None };
        let variable = variable as usize;
        if variable < next || variable >= variables || power == 0 {
            return None;
        }
        full[variable] = power;
        next = variable + 1;
    }
    Some(full)
}
