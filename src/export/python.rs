//! A Python module without dependencies: `predict` in floats, `predict_exact` in fractions.
//!
//! Names reach the module as string literals only. Parameters are identifiers made from
//! them: every character but ASCII letters, digits and `_` becomes `_`, leading underscores
//! go, what is empty or begins with a digit gets `x` in front, a keyword gets `_` behind,
//! and an identifier that is taken gets `_2`, `_3`, ... behind.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use num_bigint::BigInt;

use super::write_spelled;
use crate::expand::Expansion;
use crate::network::Head;

/// Writes a Python module that evaluates the polynomials of `expansion`.
///
/// The module holds every coefficient exactly. It suits some hundred thousand terms; the
/// polynomial file suits more.
///
/// # Errors
/// When `out` fails.
pub fn python(expansion: &Expansion, out: &mut dyn Write) -> io::Result<()> {
    let parameters = identifiers(expansion.variables());
    let joined = parameters.join(", ");
    let pairs: Vec<_> = parameters
        .iter()
        .zip(expansion.variables())
        .map(|(parameter, name)| format!("{}: {}", literal(parameter), literal(name)))
        .collect();
    write!(out, "{}", DESCRIPTION)?;
    write_data(out, expansion)?;
    write!(
        out,
        "\n# The variable behind each parameter of predict and predict_exact.\n\
         PARAMETERS = {{{}}}\n",
        pairs.join(", ")
    )?;
    write!(
        out,
        "\n\ndef predict({joined}):\n    \"\"\"The outputs in floating point, after the head.\"\"\"\n    \
         return _predict(({joined},))\n\
         \n\ndef predict_exact({joined}):\n    \"\"\"The polynomials as Fractions, before the head.\"\"\"\n    \
         return _predict_exact(({joined},))\n"
    )?;
    write!(out, "{EVALUATION}")?;
    write!(
        out,
        "{}",
        match expansion.head() {
            Head::Identity => IDENTITY,
            Head::Softmax => SOFTMAX,
            Head::Logistic => LOGISTIC,
        }
    )
}

const DESCRIPTION: &str = r#""""The polynomials of a network, written by slnn.

predict evaluates in floating point: each coefficient is rounded once, and the
terms are added with a single rounding. predict_exact evaluates in rational
arithmetic and is exact for int, float and Fraction arguments. Both take one
argument a variable, in the order of VARIABLES, and return one value, or a tuple
in the order of OUTPUTS where there are several.
"""

import functools
import math
from fractions import Fraction
"#;

const EVALUATION: &str = r#"

@functools.lru_cache(maxsize=None)
def _float_terms():
    # The quotient of two ints is correctly rounded.
    return tuple(tuple((factors, p / q) for factors, p, q in terms) for terms in TERMS)


@functools.lru_cache(maxsize=None)
def _exact_terms():
    return tuple(tuple((factors, Fraction(p, q)) for factors, p, q in terms) for terms in TERMS)


def _evaluate(point, outputs, total):
    powers = {}
    values = []
    for terms in outputs:
        products = []
        for factors, product in terms:
            for factor in factors:
                if factor not in powers:
                    variable, power = factor
                    powers[factor] = point[variable] ** power
                product = product * powers[factor]
            products.append(product)
        values.append(total(products))
    return values


def _exact_point(values):
    point = [Fraction(value) for value in values]
    if CENTRE is not None:
        point = [value - Fraction(p, q) for value, (p, q) in zip(point, CENTRE)]
    return point


def _predict(values):
    point = [float(value) for value in values]
    if CENTRE is not None:
        point = [float(value) for value in _exact_point(point)]
    return _result(_head(_evaluate(point, _float_terms(), math.fsum)))


def _predict_exact(values):
    return _result(_evaluate(_exact_point(values), _exact_terms(), lambda v: sum(v, Fraction(0))))


def _result(values):
    return values[0] if len(values) == 1 else tuple(values)
"#;

const IDENTITY: &str = r#"

def _head(values):
    return values
"#;

const SOFTMAX: &str = r#"

def _head(values):
    largest = max(values)
    powers = [math.exp(value - largest) for value in values]
    total = math.fsum(powers)
    return [power / total for power in powers]
"#;

const LOGISTIC: &str = r#"

def _logistic(value):
    # Each branch keeps all digits of its side and cannot overflow.
    if value >= 0.0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)


def _head(values):
    return [_logistic(value) for value in values]
"#;

/// Writes names, centre and terms as Python literals.
pub(super) fn write_data(out: &mut dyn Write, expansion: &Expansion) -> io::Result<()> {
    let list =
        |names: &[String]| names.iter().map(|n| literal(n) + ",").collect::<Vec<_>>().join(" ");
    writeln!(out, "\nVARIABLES = ({})", list(expansion.variables()))?;
    writeln!(out, "OUTPUTS = ({})", list(expansion.outputs()))?;
    writeln!(out, "HEAD = \"{}\"", expansion.head().name())?;
    match expansion.centre() {
        None => writeln!(out, "CENTRE = None")?,
        Some(centre) => {
            let centre: Vec<_> = centre
                .iter()
                .map(|c| format!("({}, {}),", integer(c.numer()), integer(c.denom())))
                .collect();
            writeln!(
                out,
                "# Terms are in powers of variable - centre, here (numerator, denominator)."
            )?;
            writeln!(out, "CENTRE = ({})", centre.join(" "))?;
        }
    }
    if let Some(degree) = expansion.truncated() {
        writeln!(out, "# Terms of total degree above this are left out.\nTRUNCATED = {degree}")?;
    }
    write!(
        out,
        "\n# For each output its terms: (factors, numerator, denominator), where factors are\n\
         # pairs (index of the variable, power) and the fraction is the exact coefficient.\n\
         TERMS = ("
    )?;
    for o in 0..expansion.outputs().len() {
        write!(out, "\n    (")?;
        write_spelled(out, expansion.exact_terms(o), |(exponents, coefficient), text| {
            text.extend_from_slice(b"\n        ((");
            for (i, power) in exponents.iter().enumerate().filter(|(_, p)| **p > 0) {
                // Writing to a vector cannot fail.
                let _ = write!(text, "({i}, {power}),");
            }
            let (p, q) = (integer(coefficient.numer()), integer(coefficient.denom()));
            let _ = write!(text, "), {p}, {q}),");
        })?;
        write!(out, "\n    ),")?;
    }
    writeln!(out, "\n)")
}

/// An integer literal; Python reads long ones in hexadecimal only.
fn integer(value: &BigInt) -> String {
    // Its limit is 4300 decimal digits; 13000 bits are at most 3914.
    if value.bits() > 13_000 { format!("{value:#x}") } else { value.to_string() }
}

/// A string literal: letters and digits as they are, what could end it or hide in it escaped.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => {
                // Writing to a vector cannot fail.
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Words that cannot be parameters.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Distinct parameters for `names`; none begins with an underscore, as the module's own names do.
fn identifiers(names: &[String]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut uses: HashMap<String, usize> = HashMap::new();
    names
        .iter()
        .map(|name| {
            let safe: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let mut base = safe.trim_start_matches('_').to_owned();
            if base.is_empty() || base.starts_with(|c: char| c.is_ascii_digit()) {
                base.insert(0, 'x');
            }
            if KEYWORDS.contains(&base.as_str()) {
                base.push('_');
            }
            let count = uses.entry(base.clone()).or_insert(0);
            loop {
                *count += 1;
                let identifier = if *count == 1 { base.clone() } else { format!("{base}_{count}") };
                if taken.insert(identifier.clone()) {
                    return identifier;
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_distinct_and_safe() {
        let names =
            ["x1", "model year", "model_year", "class", "2nd", "_predict", "é", "\"); f(", "%"];
        let found = identifiers(&names.map(str::to_owned));
        let expected =
            ["x1", "model_year", "model_year_2", "class_", "x2nd", "predict", "x", "f_", "x_2"];
        assert_eq!(found, expected);
        let many = identifiers(&["a", "a_2", "a", "a?", "a_"].map(str::to_owned));
        assert_eq!(many, ["a", "a_2", "a_3", "a_", "a__2"]);
    }

    #[test]
    fn literals_hold_any_text() {
        assert_eq!(literal("a\"b\\\n"), r#""a\"b\\\U0000000a""#);
        assert_eq!(literal("é\u{202e}"), "\"é\\U0000202e\"");
    }
}
