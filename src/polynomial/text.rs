//! Polynomials as a person writes them: `3/2 x1^2 x2 - x3 + 1`.
//!
//! Highest total degree first, within a degree in graded order. A name that is not a
//! plain word stands in double quotes, a quote in it doubled, as in CSV:
//! `2 "fixed acidity"^2`. Reading takes everything that writing makes, a `*` between
//! factors, decimal fractions (exactly) and terms in any order, repeated or not.

use std::collections::HashMap;
use std::fmt;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use super::{Coefficient, Polynomial};
use crate::error::{Error, Result, quote};
use crate::numeric::Dyadic;
use crate::numeric::rational::{MAX_TEXT_DIGITS, decimal};

/// The largest absolute power of ten that a decimal coefficient may have.
const MAX_DECIMAL_EXPONENT: i64 = 4_000;

/// A polynomial with names for its variables, to be printed; see [`Polynomial::display_with`].
#[derive(Clone, Debug)]
pub struct Named<'a, C, S> {
    polynomial: &'a Polynomial<C>,
    names: &'a [S],
}

impl<C: Coefficient> Polynomial<C> {
    /// The polynomial to be printed with these names for its variables.
    ///
    /// A variable beyond the names prints as `x` and its number from 1.
    pub fn display_with<'a, S: AsRef<str>>(&'a self, names: &'a [S]) -> Named<'a, C, S> {
        Named { polynomial: self, names }
    }
}

impl<C: Coefficient> fmt::Display for Polynomial<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display_with::<&str>(&[]).fmt(f)
    }
}

impl<C: Coefficient, S: AsRef<str>> fmt::Display for Named<'_, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = self.polynomial;
        if p.is_zero() {
            return f.write_str("0");
        }
        let mut end = p.len();
        while end > 0 {
            // One degree at a time from the highest, each in graded order.
            let degree = p.term_degree(end - 1);
            let start = degree.checked_sub(1).map_or(0, |below| p.first_above(below));
            for t in start..end {
                let c = &p.coefficients[t];
                let first = t == start && end == p.len();
                f.write_str(match (c.is_negative(), first) {
                    (true, true) => "-",
                    (true, false) => " - ",
                    (false, true) => "",
                    (false, false) => " + ",
                })?;
                let magnitude = if c.is_negative() { c.neg() } else { c.clone() };
                self.write_term(f, p.row(t), &magnitude)?;
            }
            end = start;
        }
        Ok(())
    }
}

impl<C: Coefficient, S: AsRef<str>> Named<'_, C, S> {
    fn write_term(&self, f: &mut fmt::Formatter<'_>, row: &[u32], magnitude: &C) -> fmt::Result {
        let mut separator = "";
        if *magnitude != C::one() || row.iter().all(|&e| e == 0) {
            f.write_str(&magnitude.text())?;
            separator = " ";
        }
        for (i, &exponent) in row.iter().enumerate().filter(|(_, e)| **e > 0) {
            f.write_str(separator)?;
            match self.names.get(i) {
                Some(name) => write_name(f, name.as_ref())?,
                None => write!(f, "x{}", i + 1)?,
            }
            if exponent > 1 {
                write!(f, "^{exponent}")?;
            }
            separator = " ";
        }
        Ok(())
    }
}

/// Whether a name may start with this character and stand without quotes.
fn starts_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn continues_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if name.starts_with(starts_word) && name.chars().all(continues_word) {
        f.write_str(name)
    } else {
        write!(f, "\"{}\"", name.replace('"', "\"\""))
    }
}

impl Polynomial<BigRational> {
    /// Reads a polynomial in variables of these names, such as `3/2 x1^2 x2 - x3 + 1`.
    ///
    /// Coefficients are integers, fractions `p/q` (in any terms), decimals such as `1.5` and
    /// `1e-3`, taken exactly, or dyadics such as `0x3p-4`. Factors are separated by spaces or
    /// `*`; a sum has no parentheses. Exponents are natural numbers of at most 32 bits.
    ///
    /// # Errors
    /// If the text is not of this form, naming the column, or if two names are equal.
    pub fn parse<S: AsRef<str>>(text: &str, names: &[S]) -> Result<Self> {
        let mut indices = HashMap::new();
        for (i, name) in names.iter().enumerate() {
            if indices.insert(name.as_ref(), i).is_some() {
                let place = "names of variables";
                return Err(Error::invalid(
                    place,
                    format!("{:?} twice", name.as_ref()),
                    "different names",
                ));
            }
        }
        Parser { text, rest: text, names: indices }.sum()
    }
}

/// What is left of a text, and the names that may occur in it.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    names: HashMap<&'a str, usize>,
}

impl<'a> Parser<'a> {
    /// The whole text as a sum of terms.
    fn sum(mut self) -> Result<Polynomial<BigRational>> {
        let mut terms = Vec::new();
        self.skip_space();
        let mut negative = self.take('-');
        if !negative {
            self.take('+');
        }
        loop {
            let (exponents, coefficient) = self.term()?;
            terms.push((exponents, if negative { -coefficient } else { coefficient }));
            self.skip_space();
            if self.rest.is_empty() {
                break;
            }
            negative = self.take('-');
            if !negative && !self.take('+') {
                return Err(self.wrong("+ or - between terms"));
            }
        }
        let variables = self.names.len();
        Polynomial::from_terms(variables, terms)
    }

    /// One term without its sign: factors until the next sign or the end.
    fn term(&mut self) -> Result<(Vec<u32>, BigRational)> {
        let mut exponents = vec![0u32; self.names.len()];
        let mut coefficient = BigRational::from_u64(1);
        let mut factors = 0;
        loop {
            self.skip_space();
            let starred = factors > 0 && self.take('*');
            self.skip_space();
            match self.rest.chars().next() {
                // A number later on would make "2 3 x" and "x 2" read as products; with a
                // star they say so.
                Some(c) if (c.is_ascii_digit() || c == '.') && (factors == 0 || starred) => {
                    coefficient *= self.number()?;
                }
                Some(c) if starts_word(c) || c == '"' => {
                    let i = self.name()?;
                    let power = self.power()?;
                    exponents[i] = exponents[i]
                        .checked_add(power)
                        .ok_or_else(|| self.wrong("an exponent that fits in 32 bits"))?;
                }
                Some('+' | '-') | None if factors > 0 && !starred => break,
                _ if factors > 0 && !starred => {
                    return Err(self.wrong("a variable, + or -, or the end"));
                }
                _ => return Err(self.wrong("a number or a variable")),
            }
            factors += 1;
        }
        Ok((exponents, coefficient))
    }

    /// A coefficient: hexadecimal dyadic, fraction, integer or decimal.
    fn number(&mut self) -> Result<BigRational> {
        if self.rest.starts_with("0x") {
            let start = self.rest;
            self.rest = &self.rest[2..];
            self.take_while(|c| c.is_ascii_alphanumeric());
            let signed = start[..start.len() - self.rest.len()].ends_with('p');
            if signed && self.rest.starts_with(['+', '-']) {
                self.rest = &self.rest[1..];
                self.take_while(|c| c.is_ascii_digit());
            }
            let spelling = &start[..start.len() - self.rest.len()];
            return match spelling.parse::<Dyadic>() {
                Ok(value) => Ok(value.to_rational()),
                Err(error) => {
                    self.rest = start;
                    Err(error.within(self.place()))
                }
            };
        }
        let whole = self.digits()?;
        if self.rest.starts_with('/') {
            if whole.is_empty() {
                return Err(self.wrong("digits before the stroke"));
            }
            self.rest = &self.rest[1..];
            let denominator = decimal(self.digits()?.as_bytes());
            if denominator.is_zero() {
                return Err(self.wrong("a denominator that is not zero"));
            }
            let numerator = BigInt::from(decimal(whole.as_bytes()));
            return Ok(BigRational::new(numerator, denominator.into()));
        }
        let fraction = if self.take('.') { self.digits()? } else { "" };
        if whole.is_empty() && fraction.is_empty() {
            return Err(self.wrong("digits"));
        }
        let digits = BigInt::from(decimal(format!("{whole}{fraction}").as_bytes()));
        let exponent = self.decimal_exponent()?.saturating_sub(fraction.len() as i64);
        let power = num_traits::pow(BigInt::from(10), exponent.unsigned_abs() as usize);
        Ok(if exponent >= 0 {
            BigRational::from_integer(digits * power)
        } else {
            BigRational::new(digits, power)
        })
    }

    /// The exponent of a decimal in scientific notation, 0 if there is none.
    fn decimal_exponent(&mut self) -> Result<i64> {
        let Some(after) = self.rest.strip_prefix(['e', 'E']) else { return Ok(0) };
        let unsigned = after.strip_prefix(['+', '-']).unwrap_or(after);
        // "2e" or "2ex" is 2 times a variable whose name begins with e.
        if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(0);
        }
        let before = self.rest;
        self.rest = unsigned;
        // Nothing but digits, so a failure to parse is an overflow.
        let exponent = self.digits()?.parse::<i64>().unwrap_or(i64::MAX);
        if exponent > MAX_DECIMAL_EXPONENT {
            self.rest = before;
            return Err(self.wrong("a power of ten between -4000 and 4000"));
        }
        Ok(if after.starts_with('-') { -exponent } else { exponent })
    }

    /// `^` and a natural number, or nothing for the first power.
    fn power(&mut self) -> Result<u32> {
        self.skip_space();
        if !self.take('^') {
            return Ok(1);
        }
        self.skip_space();
        let before = self.rest;
        match self.digits()?.parse() {
            Ok(power) => Ok(power),
            Err(_) => {
                self.rest = before;
                Err(self.wrong("an exponent from 0 to 4294967295"))
            }
        }
    }

    /// The index of a variable by its name, plain or in quotes.
    fn name(&mut self) -> Result<usize> {
        let before = self.rest;
        let found = if self.take('"') {
            let mut name = String::new();
            loop {
                name.push_str(self.take_while(|c| c != '"'));
                if !self.take('"') {
                    self.rest = before;
                    return Err(self.wrong("a closing quote after the name"));
                }
                if !self.take('"') {
                    break;
                }
                name.push('"');
            }
            self.names.get(name.as_str()).copied()
        } else {
            let name = self.take_while(continues_word);
            self.names.get(name).copied()
        };
        found.ok_or_else(|| {
            self.rest = before;
            self.wrong(&format!("one of the variables {}", self.known_names()))
        })
    }

    /// The names in their order, cut to a length that fits in a message.
    fn known_names(&self) -> String {
        let mut names: Vec<_> = self.names.iter().map(|(name, i)| (*i, *name)).collect();
        names.sort_unstable();
        let shown: Vec<_> = names.iter().take(8).map(|(_, name)| quote(name)).collect();
        let more = if names.len() > shown.len() { ", ..." } else { "" };
        format!("{}{more}", shown.join(", "))
    }

    /// Decimal digits, perhaps none, at most [`MAX_TEXT_DIGITS`].
    fn digits(&mut self) -> Result<&'a str> {
        let before = self.rest;
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.len() > MAX_TEXT_DIGITS {
            self.rest = before;
            return Err(self.wrong("at most 2^18 digits"));
        }
        Ok(digits)
    }

    fn take_while(&mut self, f: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !f(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Where the rest begins, in characters from 1.
    fn place(&self) -> String {
        let read = &self.text[..self.text.len() - self.rest.len()];
        format!("polynomial, column {}", read.chars().count() + 1)
    }

    fn wrong(&self, expected: &str) -> Error {
        match self.rest.chars().next() {
            None => Error::invalid(self.place(), "the end", expected),
            Some('\u{2212}' | '\u{2013}' | '\u{2014}') => {
                Error::invalid(self.place(), "a typographic minus", "the ASCII minus -")
            }
            Some(_) => Error::invalid(self.place(), quote(self.rest), expected),
        }
    }
}
