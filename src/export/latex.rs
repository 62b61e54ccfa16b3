//! LaTeX: a document that compiles, with a formula for each output.
//!
//! A coefficient whose numerator and denominator have at most 12 digits is printed
//! exactly, as an integer or a fraction. A longer one is rounded, and then it has a
//! decimal point; the document says how many were.

use std::fmt::Write as _;
use std::io::{self, Write};

use num_bigint::BigUint;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::expand::Expansion;
use crate::network::Head;

/// Significant digits of a rounded coefficient, unless others are asked for.
pub const DEFAULT_DIGITS: usize = 6;

/// Numerators and denominators below this are printed exactly.
const SHORT: u64 = 1_000_000_000_000;

/// Characters after which a line of a formula is broken, as they appear in print.
const LINE: usize = 60;

/// Lines of one `align*`: TeX typesets each as a whole, in memory.
const LINES: usize = 100;

/// Writes a LaTeX document with a formula for each output of `expansion`.
///
/// Coefficients too long to print (more than 12 digits in numerator or denominator) are
/// rounded to `digits` significant digits, to nearest with ties to even; at least two, so
/// that each has the decimal point by which rounded coefficients are known.
///
/// # Errors
/// When `out` fails.
pub fn latex(expansion: &Expansion, digits: usize, out: &mut dyn Write) -> io::Result<()> {
    let digits = digits.max(2);
    let centre = expansion.centre().unwrap_or_default();
    let mut rounded = centre.iter().filter(|c| !is_short(c)).count();
    for o in 0..expansion.outputs().len() {
        rounded += expansion.exact_terms(o).filter(|(_, c)| !is_short(c)).count();
    }
    let accuracy = match rounded {
        0 => "Every coefficient is exact.".to_owned(),
        _ => format!(
            "Not exact: {rounded} of the numbers have a decimal point and are rounded to {digits} \
             significant digits; integers and fractions are exact."
        ),
    };
    writeln!(out, "% Polynomials written by slnn. {accuracy}")?;
    let names = expansion.variables().iter().chain(expansion.outputs());
    if !names.into_iter().all(|n| n.is_ascii()) {
        writeln!(out, "% Names have characters beyond ASCII: compile with lualatex or xelatex.")?;
    }
    writeln!(out, "\\documentclass{{article}}\n\\usepackage{{amsmath}}\n\\allowdisplaybreaks")?;
    writeln!(out, "\\begin{{document}}\n\\noindent {accuracy}")?;
    if let Some(degree) = expansion.truncated() {
        writeln!(out, "Terms of total degree above {degree} are left out.")?;
    }
    if expansion.head() != Head::Identity {
        let head = expansion.head().name();
        writeln!(out, "The outputs of the network are the {head} of these values.")?;
    }
    let factors: Vec<(String, usize)> = expansion
        .variables()
        .iter()
        .enumerate()
        .map(|(i, name)| factor(name, centre.get(i), digits))
        .collect();
    for (o, name) in expansion.outputs().iter().enumerate() {
        writeln!(out, "\\begin{{align*}}")?;
        write!(out, "{} ={{}}&", symbol(name))?;
        let (mut width, mut lines, mut empty) = (0, 1, true);
        for (exponents, coefficient) in expansion.exact_terms(o) {
            let (text, term_width) = term(&exponents, &coefficient, &factors, digits);
            if width > 0 && width + term_width > LINE {
                width = 0;
                lines += 1;
                if lines > LINES {
                    lines = 1;
                    write!(out, "\n\\end{{align*}}\n\\begin{{align*}}\n&{{}}")?;
                } else {
                    write!(out, " \\\\\n&{{}}")?;
                }
            }
            write!(
                out,
                "{}{text}",
                match (empty, coefficient.is_negative()) {
                    (true, false) => " ",
                    (true, true) => " -",
                    (false, false) => " + ",
                    (false, true) => " - ",
                }
            )?;
            (empty, width) = (false, width + term_width);
        }
        writeln!(out, "{}\n\\end{{align*}}", if empty { " 0" } else { "" })?;
    }
    writeln!(out, "\\end{{document}}")
}

/// A term without its sign, and its width in print.
fn term(
    exponents: &[u32],
    coefficient: &BigRational,
    factors: &[(String, usize)],
    digits: usize,
) -> (String, usize) {
    let constant = exponents.iter().all(|e| *e == 0);
    let (mut text, mut width) = match coefficient.abs().is_one() && !constant {
        true => (String::new(), 3),
        false => {
            let (text, width) = magnitude(coefficient, digits);
            (text, width + 3)
        }
    };
    for ((factor, factor_width), power) in factors.iter().zip(exponents).filter(|(_, p)| **p > 0) {
        if !text.is_empty() {
            text.push_str(" \\, ");
        }
        text.push_str(factor);
        width += factor_width;
        if *power > 1 {
            // Writing to a string cannot fail.
            let _ = write!(text, "^{{{power}}}");
            width += power.to_string().len();
        }
    }
    (text, width)
}

/// What the powers of one variable are taken of, and its width.
fn factor(name: &str, centre: Option<&BigRational>, digits: usize) -> (String, usize) {
    let (symbol, width) = (symbol(name), name.chars().count());
    match centre.filter(|c| !c.is_zero()) {
        None => (symbol, width),
        Some(c) => {
            let sign = if c.is_negative() { '+' } else { '-' };
            let (shift, shift_width) = magnitude(c, digits);
            (format!("\\left({symbol} {sign} {shift}\\right)"), width + shift_width + 5)
        }
    }
}

/// The absolute value of a number, exact where it is short, and its width.
fn magnitude(value: &BigRational, digits: usize) -> (String, usize) {
    if !is_short(value) {
        return rounded(value, digits);
    }
    let (p, q) = (value.numer().magnitude().to_string(), value.denom().to_string());
    let width = p.len().max(q.len());
    (if value.is_integer() { p } else { format!("\\frac{{{p}}}{{{q}}}") }, width)
}

fn is_short(value: &BigRational) -> bool {
    let short = |n: &BigUint| n.to_u64().is_some_and(|n| n < SHORT);
    short(value.numer().magnitude()) && short(value.denom().magnitude())
}

/// The absolute value rounded to significant digits, always with a decimal point.
fn rounded(value: &BigRational, digits: usize) -> (String, usize) {
    let (significand, exponent) = significant(value, digits);
    let places = digits as i64 - 1 - exponent;
    // Positional from 0.0001 up, while a digit is left after the point.
    if (-4..digits as i64 - 1).contains(&exponent) {
        let text = format!("{significand:0>width$}", width = places.unsigned_abs() as usize + 1);
        let (whole, fraction) = text.split_at(text.len() - places.unsigned_abs() as usize);
        return (format!("{whole}.{fraction}"), text.len() + 1);
    }
    let (first, rest) = significand.split_at(1);
    (format!("{first}.{rest} \\times 10^{{{exponent}}}"), digits + 6)
}

/// `|value|` to `digits` significant decimal digits, as (digits, exponent of the first),
/// rounded to nearest with ties to even.
fn significant(value: &BigRational, digits: usize) -> (String, i64) {
    let (p, q) = (value.numer().magnitude(), value.denom().magnitude());
    if p.is_zero() {
        return ("0".repeat(digits), 0);
    }
    let ten = |power: i64| BigUint::from(10_u32).pow(power.unsigned_abs() as u32);
    let (low, high) = (ten(digits as i64 - 1), ten(digits as i64));
    // At most one off; the loop mends it.
    let mut exponent = ((p.bits() as f64 - q.bits() as f64) * std::f64::consts::LOG10_2) as i64;
    loop {
        let shift = digits as i64 - 1 - exponent;
        let (p, q) = match shift >= 0 {
            true => (p * ten(shift), q.clone()),
            false => (p.clone(), q * ten(shift)),
        };
        let (mut quotient, remainder) = p.div_rem(&q);
        if quotient >= high {
            exponent += 1;
        } else if quotient < low {
            exponent -= 1;
        } else {
            let twice: BigUint = remainder << 1_u32;
            if twice > q || (twice == q && quotient.is_odd()) {
                quotient += BigUint::one();
            }
            if quotient == high {
                return (low.to_string(), exponent + 1);
            }
            return (quotient.to_string(), exponent);
        }
    }
}

/// A name in mathematics: `x`, `x_{12}`, `\mathit{model\_year}`.
fn symbol(name: &str) -> String {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match (letters.len() == 1 && letters.chars().all(|c| c.is_ascii_alphabetic()), plain) {
        (true, _) if letters.len() == name.len() => name.to_owned(),
        (true, _) => format!("{letters}_{{{}}}", &name[1..]),
        (false, true) => format!("\\mathit{{{}}}", name.replace('_', "\\_")),
        (false, false) => format!("\\textit{{{}}}", escape(name)),
    }
}

/// Text in which no character is a command.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            // The usual font has no straight quotation mark.
            '"' => escaped.push_str("''"),
            '_' | '&' | '%' | '$' | '#' | '{' | '}' => escaped.extend(['\\', c]),
            // A line break or another control character would end the formula.
            c if c.is_control() || c.is_whitespace() => escaped.push_str("\\ "),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;
    use crate::numeric::rational::rational_from_f64;

    proptest! {
        /// The standard library prints the exact value of an f64, rounded alike.
        #[test]
        fn significant_digits_are_those_of_the_standard_library(
            bits in any::<u64>(), digits in 2_usize..20,
        ) {
            let x = f64::from_bits(bits).abs();
            prop_assume!(x.is_finite() && x > 0.0);
            let (significand, exponent) = significant(&rational_from_f64(x).unwrap(), digits);
            let (first, rest) = significand.split_at(1);
            prop_assert_eq!(format!("{first}.{rest}e{exponent}"), format!("{x:.*e}", digits - 1));
        }
    }

    #[test]
    fn ties_go_to_even_and_carries_move_the_exponent() {
        let ratio = |p: i64, q: i64| BigRational::new(BigInt::from(p), BigInt::from(q));
        assert_eq!(significant(&ratio(125, 1000), 2), ("12".into(), -1));
        assert_eq!(significant(&ratio(135, 1000), 2), ("14".into(), -1));
        assert_eq!(significant(&ratio(-9996, 10), 3), ("100".into(), 3));
        assert_eq!(rounded(&ratio(2, 3), 3).0, "0.667");
        assert_eq!(rounded(&ratio(20_000, 3), 3).0, "6.67 \\times 10^{3}");
        assert_eq!(rounded(&ratio(200, 3), 3).0, "66.7");
        assert_eq!(rounded(&ratio(1, 30_000), 2).0, "3.3 \\times 10^{-5}");
    }

    #[test]
    fn names_are_text_and_never_commands() {
        for (name, expected) in [
            ("x", "x"),
            ("x12", "x_{12}"),
            ("model_year", "\\mathit{model\\_year}"),
            ("a\\end{document}", "\\textit{a\\textbackslash{}end\\{document\\}}"),
            ("100% %\n$", "\\textit{100\\%\\ \\%\\ \\$}"),
        ] {
            assert_eq!(symbol(name), expected);
        }
    }
}
