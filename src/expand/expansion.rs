//! The polynomials of a network with the names they are read with.

use std::borrow::Cow;
use std::sync::OnceLock;

use num_rational::BigRational;
use num_traits::Zero;

use crate::error::{Error, Result};
use crate::expand::compose::APPROXIMATES;
use crate::network::{Head, check_names};
use crate::numeric::rational::{rational_from_f64, rational_to_f64};
use crate::polynomial::{Packed, Polynomial};

/// The polynomials of a network, one an output, with the names they are read with.
#[derive(Clone, Debug)]
pub struct Expansion {
    variables: Vec<String>,
    outputs: Vec<String>,
    head: Head,
    coefficients: Coefficients,
    /// Packed polynomials term by term, once somebody has asked for them.
    unpacked: OnceLock<Vec<Polynomial<BigRational>>>,
    centre: Option<Vec<BigRational>>,
    truncated: Option<u32>,
    errors: Option<Vec<Polynomial<f64>>>,
    about: serde_json::Map<String, serde_json::Value>,
}

/// Equal where all parts are; exact polynomials are, whichever form they have.
impl PartialEq for Expansion {
    fn eq(&self, other: &Self) -> bool {
        self.variables == other.variables
            && self.outputs == other.outputs
            && self.head == other.head
            && self.centre == other.centre
            && self.truncated == other.truncated
            && self.errors == other.errors
            && self.about == other.about
            && self.coefficients == other.coefficients
    }
}

/// The coefficients of an expansion: exact, or each rounded once to f64.
#[derive(Clone, Debug)]
pub enum Coefficients {
    /// Exact rationals.
    Rational(Vec<Polynomial<BigRational>>),
    /// Exact rationals of millions of terms, over one denominator a polynomial.
    Packed(Vec<Packed>),
    /// Finite f64 numbers.
    Float(Vec<Polynomial<f64>>),
}

impl PartialEq for Coefficients {
    fn eq(&self, other: &Self) -> bool {
        use Coefficients::{Float, Packed, Rational};
        match (self, other) {
            (Rational(p), Rational(q)) => p == q,
            (Packed(p), Packed(q)) => p == q,
            (Packed(p), Rational(q)) | (Rational(q), Packed(p)) => {
                p.len() == q.len() && p.iter().zip(q).all(|(p, q)| p == q)
            }
            (Float(p), Float(q)) => p == q,
            (Float(_), _) | (_, Float(_)) => false,
        }
    }
}

/// A term with its exact coefficient.
pub type ExactTerm<'a> = (Cow<'a, [u32]>, Cow<'a, BigRational>);

impl Expansion {
    /// An expansion from its parts.
    ///
    /// # Errors
    /// When names are missing, empty or repeated, a polynomial has another number of variables,
    /// or an f64 coefficient is not finite.
    pub fn new(
        variables: Vec<String>,
        outputs: Vec<String>,
        coefficients: Coefficients,
        head: Head,
    ) -> Result<Self> {
        check_names("variables", variables.iter().map(String::as_str))?;
        check_names("outputs", outputs.iter().map(String::as_str))?;
        let counts: Vec<usize> = match &coefficients {
            Coefficients::Rational(p) => p.iter().map(Polynomial::variables).collect(),
            Coefficients::Packed(p) => p.iter().map(Packed::variables).collect(),
            Coefficients::Float(p) => p.iter().map(Polynomial::variables).collect(),
        };
        if counts.len() != outputs.len() {
            return Err(Error::invalid(
                "outputs",
                format!("{} polynomials", counts.len()),
                format!("{}, one for each name", outputs.len()),
            ));
        }
        if let Some(o) = counts.iter().position(|&n| n != variables.len()) {
            return Err(Error::invalid(
                format!("outputs[{o}]"),
                format!("{} variables", counts[o]),
                format!("{}, as there are names", variables.len()),
            ));
        }
        if let Coefficients::Float(polynomials) = &coefficients
            && let Some(c) =
                polynomials.iter().flat_map(|p| p.coefficients()).find(|c| !c.is_finite())
        {
            return Err(Error::invalid("coefficients", c.to_string(), "finite numbers only"));
        }
        Ok(Expansion {
            variables,
            outputs,
            head,
            coefficients,
            unpacked: OnceLock::new(),
            centre: None,
            truncated: None,
            errors: None,
            about: serde_json::Map::new(),
        })
    }

    /// The names of the variables.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The head that stays outside the polynomials.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The polynomials with their coefficients.
    pub fn coefficients(&self) -> &Coefficients {
        &self.coefficients
    }

    /// The exact polynomials, term by term. Packed ones are unpacked the first time, which takes
    /// ten times their memory; [`Expansion::exact_terms`] does not.
    ///
    /// # Errors
    /// When the coefficients are f64.
    pub fn rational(&self) -> Result<&[Polynomial<BigRational>]> {
        match &self.coefficients {
            Coefficients::Rational(polynomials) => Ok(polynomials),
            Coefficients::Packed(packed) => {
                Ok(self.unpacked.get_or_init(|| packed.iter().map(Packed::to_polynomial).collect()))
            }
            Coefficients::Float(_) => {
                Err(Error::invalid("coefficients", "f64", "exact rational coefficients"))
            }
        }
    }

    /// The polynomials with each f64 coefficient taken for the dyadic rational it is.
    pub fn to_rational(&self) -> Vec<Polynomial<BigRational>> {
        match &self.coefficients {
            Coefficients::Rational(polynomials) => polynomials.clone(),
            Coefficients::Packed(packed) => packed.iter().map(Packed::to_polynomial).collect(),
            // Coefficients are finite: arithmetic and readers refuse all else.
            Coefficients::Float(polynomials) => polynomials
                .iter()
                .map(|p| p.map(|c| rational_from_f64(*c).unwrap_or_else(BigRational::zero)))
                .collect(),
        }
    }

    /// The terms of output `o` in graded order, an f64 coefficient taken for the dyadic rational it
    /// is. Nothing is held beside the term.
    ///
    /// # Panics
    /// If there is no output `o`.
    pub fn exact_terms(&self, o: usize) -> Box<dyn Iterator<Item = ExactTerm<'_>> + '_> {
        match &self.coefficients {
            Coefficients::Rational(p) => {
                Box::new(p[o].terms().map(|(e, c)| (Cow::Borrowed(e), Cow::Borrowed(c))))
            }
            Coefficients::Packed(p) => {
                Box::new(p[o].terms().map(|(e, c)| (Cow::Owned(e), Cow::Owned(c))))
            }
            // Coefficients are finite: arithmetic and readers refuse all else.
            Coefficients::Float(p) => Box::new(p[o].terms().map(|(e, c)| {
                (Cow::Borrowed(e), Cow::Owned(rational_from_f64(*c).unwrap_or_default()))
            })),
        }
    }

    /// The same polynomials with every coefficient rounded once to the nearest f64, ties to even,
    /// and the number of terms that rounded to zero.
    ///
    /// # Errors
    /// When a coefficient is beyond the range of f64; the message names its monomial.
    pub fn to_f64(&self) -> Result<(Expansion, usize)> {
        let beyond = |o: usize, exponents: &[u32]| {
            Error::invalid(
                format!("output {:?}, exponents {exponents:?}", self.outputs[o]),
                "a coefficient beyond the range of f64",
                "coefficients below 1.8e308; write them as rationals",
            )
        };
        let mut underflowed = 0;
        let rounded = match &self.coefficients {
            Coefficients::Float(_) => return Ok((self.clone(), 0)),
            Coefficients::Packed(packed) => {
                let each = packed.iter().enumerate().map(|(o, p)| {
                    let (rounded, zeros) = p.rounded().map_err(|e| beyond(o, &e))?;
                    underflowed += zeros;
                    Ok(rounded)
                });
                each.collect::<Result<Vec<_>>>()?
            }
            Coefficients::Rational(polynomials) => {
                let each = polynomials.iter().enumerate().map(|(o, p)| {
                    let rounded = p.try_map(|exponents, c| {
                        rational_to_f64(c).ok_or_else(|| beyond(o, exponents))
                    })?;
                    underflowed += p.len() - rounded.len();
                    Ok(rounded)
                });
                each.collect::<Result<Vec<_>>>()?
            }
        };
        let mut about = self.about.clone();
        // A bound of the distance to another network is one of these polynomials, not of rounded ones.
        about.remove(APPROXIMATES);
        if underflowed > 0 {
            about.insert("underflowed".into(), underflowed.into());
        }
        let mut expansion = self.with_coefficients(Coefficients::Float(rounded));
        expansion.about = about;
        // Bounds of errors are about the coefficients before rounding.
        expansion.errors = None;
        Ok((expansion, underflowed))
    }

    /// The same names and remarks with other coefficients.
    fn with_coefficients(&self, coefficients: Coefficients) -> Self {
        Expansion {
            variables: self.variables.clone(),
            outputs: self.outputs.clone(),
            head: self.head,
            coefficients,
            unpacked: OnceLock::new(),
            centre: self.centre.clone(),
            truncated: self.truncated,
            errors: self.errors.clone(),
            about: self.about.clone(),
        }
    }

    /// The number of terms of output `o`.
    ///
    /// # Panics
    /// If there is no output `o`.
    pub fn terms_of(&self, o: usize) -> usize {
        match &self.coefficients {
            Coefficients::Rational(p) => p[o].len(),
            Coefficients::Packed(p) => p[o].len(),
            Coefficients::Float(p) => p[o].len(),
        }
    }

    /// The number of terms, over all outputs.
    pub fn terms(&self) -> usize {
        (0..self.outputs.len()).map(|o| self.terms_of(o)).sum()
    }

    /// The largest total degree; 0 when every polynomial is constant.
    pub fn degree(&self) -> u32 {
        let degree = match &self.coefficients {
            Coefficients::Rational(p) => p.iter().filter_map(Polynomial::degree).max(),
            Coefficients::Packed(p) => p.iter().filter_map(Packed::degree).max(),
            Coefficients::Float(p) => p.iter().filter_map(Polynomial::degree).max(),
        };
        degree.unwrap_or(0)
    }

    /// The point about which the polynomials are written: terms are powers of `x_i - centre_i`.
    pub fn centre(&self) -> Option<&[BigRational]> {
        self.centre.as_deref()
    }

    /// The same polynomials read about another centre.
    ///
    /// # Errors
    /// When the number of entries is not the number of variables.
    pub fn with_centre(mut self, centre: Option<Vec<BigRational>>) -> Result<Self> {
        if let Some(c) = &centre
            && c.len() != self.variables.len()
        {
            return Err(self.misfit(c));
        }
        self.centre = centre;
        Ok(self)
    }

    /// The error of a centre with another number of entries than there are variables.
    fn misfit(&self, centre: &[BigRational]) -> Error {
        Error::invalid(
            "centre",
            format!("{} entries", centre.len()),
            format!("{}, one a variable", self.variables.len()),
        )
    }

    /// The same exact polynomials written about `centre`: terms become powers of `x_i - centre_i`.
    ///
    /// Cost: a composition with `n` polynomials of two terms.
    ///
    /// # Errors
    /// When the coefficients are f64, the polynomials are truncated or about another centre
    /// already, or the number of entries is not the number of variables.
    pub fn recentred(&self, centre: &[BigRational]) -> Result<Expansion> {
        let polynomials = self.rational()?;
        if self.truncated.is_some() || self.centre.is_some() {
            let found = "polynomials that are truncated or about another centre";
            return Err(Error::invalid("expansion", found, "whole polynomials about 0"));
        }
        if centre.len() != self.variables.len() {
            return Err(self.misfit(centre));
        }
        let polynomials = polynomials.iter().map(|p| p.shift(centre)).collect::<Result<_>>()?;
        self.with_coefficients(Coefficients::Rational(polynomials))
            .with_centre(Some(centre.to_vec()))
    }

    /// The total degree above which terms were left out, if any were.
    pub fn truncated(&self) -> Option<u32> {
        self.truncated
    }

    /// The same polynomials, marked as the part of total degree up to `degree`.
    #[must_use]
    pub fn with_truncated(mut self, degree: Option<u32>) -> Self {
        self.truncated = degree;
        self
    }

    /// Proven bounds on the errors of the coefficients, as polynomials with the same exponents.
    pub fn errors(&self) -> Option<&[Polynomial<f64>]> {
        self.errors.as_deref()
    }

    /// The same polynomials with bounds on the errors of their coefficients.
    ///
    /// # Errors
    /// When there is not one polynomial of bounds an output, in the same variables.
    pub fn with_errors(mut self, errors: Option<Vec<Polynomial<f64>>>) -> Result<Self> {
        if let Some(errors) = &errors {
            let fits = errors.len() == self.outputs.len()
                && errors.iter().all(|p| p.variables() == self.variables.len());
            if !fits {
                return Err(Error::invalid(
                    "errors",
                    format!("{} polynomials of bounds", errors.len()),
                    format!(
                        "{}, one an output, in {} variables",
                        self.outputs.len(),
                        self.variables.len()
                    ),
                ));
            }
        }
        self.errors = errors;
        Ok(self)
    }

    /// Free remarks that go into the file and that readers ignore.
    pub fn about(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.about
    }

    /// The same expansion with other remarks.
    #[must_use]
    pub fn with_about(mut self, about: serde_json::Map<String, serde_json::Value>) -> Self {
        self.about = about;
        self
    }
}
