//! A Python module that builds SymPy polynomials with exact rational coefficients.

use std::io::{self, Write};

use super::python::write_data;
use crate::expand::Expansion;

/// Writes a Python module whose `POLYNOMIALS` maps each output to its `sympy.Poly`.
///
/// # Errors
/// When `out` fails.
pub fn sympy(expansion: &Expansion, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{DESCRIPTION}")?;
    write_data(out, expansion)?;
    write!(out, "{CONSTRUCTION}")
}

const DESCRIPTION: &str = r#""""The polynomials of a network, written by slnn, for SymPy.

SYMBOLS are the symbols of the variables, POLYNOMIALS maps the name of each output
to its Poly over the rationals, exactly and before the head. Poly.as_expr() makes
an expression of it.
"""

from sympy import Poly, Rational, Symbol
"#;

const CONSTRUCTION: &str = r#"
SYMBOLS = tuple(Symbol(name) for name in VARIABLES)


def _polynomial(terms):
    coefficients = {}
    for factors, p, q in terms:
        exponents = [0] * len(SYMBOLS)
        for variable, power in factors:
            exponents[variable] = power
        coefficients[tuple(exponents)] = Rational(p, q)
    polynomial = Poly.from_dict(coefficients, *SYMBOLS, domain="QQ")
    if CENTRE is None:
        return polynomial
    shift = {symbol: symbol - Rational(p, q) for symbol, (p, q) in zip(SYMBOLS, CENTRE)}
    return Poly(polynomial.as_expr().xreplace(shift), *SYMBOLS, domain="QQ")


POLYNOMIALS = dict(zip(OUTPUTS, map(_polynomial, TERMS)))
"#;
