//! From a network to its polynomials, exactly.
//!
//! [`plan`](plan()) tells what an expansion costs, [`expand`](expand()) carries it out,
//! [`prove_equal`] proves the result equal to the network by exact values on the
//! principal lattice, and [`compare`](compare()) decides whether two networks or
//! polynomials are the same function.
//!
//! ```
//! use ndarray::array;
//! use slnn::network::{Affine, Basis, Head, Input, Layer, Network, Slaf};
//! use slnn::expand::{Limits, expand, prove_equal};
//!
//! // One neuron: (x1 - x2)^2, which is XOR on {0, 1}^2.
//! let network = Network::new(
//!     vec![Input::named("x1"), Input::named("x2")],
//!     vec!["y".into()],
//!     vec![
//!         Layer::Affine(Affine::new(array![[1.0, -1.0]], array![0.0])?),
//!         Layer::Slaf(Slaf::new(Basis::Monomial, array![[0.0, 0.0, 1.0]])?),
//!     ],
//!     Head::Identity,
//! )?;
//! let expansion = expand(&network, &Limits::default())?;
//! assert_eq!(expansion.rational()?[0].to_string(), "x1^2 - 2 x1 x2 + x2^2");
//! prove_equal(&network, &expansion)?;
//! # Ok::<(), slnn::Error>(())
//! ```

mod carry_out;
mod compare;
mod compose;
mod evaluate;
mod lattice;
mod plan;
mod prove;
mod stages;

pub use carry_out::{Step, expand, expand_on_lattice, expand_watched};
pub use compare::{Comparison, Method, Model, Stage, compare, compare_watched};
pub use plan::{Limits, Plan, Route, plan};
pub use prove::{Proof, prove_equal};

use num_rational::BigRational;
use num_traits::Zero;

use crate::error::{Error, Result};
use crate::network::{Head, check_names};
use crate::numeric::rational::{rational_from_f64, rational_to_f64};
use crate::polynomial::Polynomial;

/// The polynomials of a network, one an output, with the names they are read with.
#[derive(Clone, Debug, PartialEq)]
pub struct Expansion {
    variables: Vec<String>,
    outputs: Vec<String>,
    head: Head,
    coefficients: Coefficients,
    centre: Option<Vec<BigRational>>,
    truncated: Option<u32>,
    errors: Option<Vec<Polynomial<f64>>>,
    about: serde_json::Map<String, serde_json::Value>,
}

/// The coefficients of an expansion: exact, or each rounded once to f64.
#[derive(Clone, Debug, PartialEq)]
pub enum Coefficients {
    /// Exact rationals.
    Rational(Vec<Polynomial<BigRational>>),
    /// Finite f64 numbers.
    Float(Vec<Polynomial<f64>>),
}

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

    /// The exact polynomials.
    ///
    /// # Errors
    /// When the coefficients are f64.
    pub fn rational(&self) -> Result<&[Polynomial<BigRational>]> {
        match &self.coefficients {
            Coefficients::Rational(polynomials) => Ok(polynomials),
            Coefficients::Float(_) => {
                Err(Error::invalid("coefficients", "f64", "exact rational coefficients"))
            }
        }
    }

    /// The polynomials with each f64 coefficient taken for the dyadic rational it is.
    pub fn to_rational(&self) -> Vec<Polynomial<BigRational>> {
        match &self.coefficients {
            Coefficients::Rational(polynomials) => polynomials.clone(),
            // Coefficients are finite: arithmetic and readers refuse all else.
            Coefficients::Float(polynomials) => polynomials
                .iter()
                .map(|p| p.map(|c| rational_from_f64(*c).unwrap_or_else(BigRational::zero)))
                .collect(),
        }
    }

    /// The same polynomials with every coefficient rounded once to the nearest f64, ties to even,
    /// and the number of terms that rounded to zero.
    ///
    /// # Errors
    /// When a coefficient is beyond the range of f64; the message names its monomial.
    pub fn to_f64(&self) -> Result<(Expansion, usize)> {
        let Coefficients::Rational(polynomials) = &self.coefficients else {
            return Ok((self.clone(), 0));
        };
        let mut underflowed = 0;
        let mut rounded = Vec::with_capacity(polynomials.len());
        for (polynomial, name) in polynomials.iter().zip(&self.outputs) {
            let mut terms = Vec::with_capacity(polynomial.len());
            for (exponents, c) in polynomial.terms() {
                let value = rational_to_f64(c).ok_or_else(|| {
                    Error::invalid(
                        format!("output {name:?}, exponents {exponents:?}"),
                        "a coefficient beyond the range of f64",
                        "coefficients below 1.8e308; write them as rationals",
                    )
                })?;
                if value == 0.0 {
                    underflowed += 1;
                } else {
                    terms.push((exponents.to_vec(), value));
                }
            }
            rounded.push(Polynomial::from_terms(self.variables.len(), terms)?);
        }
        let mut about = self.about.clone();
        if underflowed > 0 {
            about.insert("underflowed".into(), underflowed.into());
        }
        Ok((
            Expansion { coefficients: Coefficients::Float(rounded), about, ..self.clone() },
            underflowed,
        ))
    }

    /// The number of terms, over all outputs.
    pub fn terms(&self) -> usize {
        match &self.coefficients {
            Coefficients::Rational(p) => p.iter().map(Polynomial::len).sum(),
            Coefficients::Float(p) => p.iter().map(Polynomial::len).sum(),
        }
    }

    /// The largest total degree; 0 when every polynomial is constant.
    pub fn degree(&self) -> u32 {
        match &self.coefficients {
            Coefficients::Rational(p) => p.iter().filter_map(Polynomial::degree).max().unwrap_or(0),
            Coefficients::Float(p) => p.iter().filter_map(Polynomial::degree).max().unwrap_or(0),
        }
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
            return Err(Error::invalid(
                "centre",
                format!("{} entries", c.len()),
                format!("{}, one a variable", self.variables.len()),
            ));
        }
        self.centre = centre;
        Ok(self)
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
        let moved = Expansion { coefficients: Coefficients::Rational(Vec::new()), ..self.clone() }
            .with_centre(Some(centre.to_vec()))?;
        let polynomials = polynomials.iter().map(|p| p.shift(centre)).collect::<Result<_>>()?;
        Ok(Expansion { coefficients: Coefficients::Rational(polynomials), ..moved })
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
