//! Arrays of network parameters: f64, or exact rationals where a user wrote them.

use std::borrow::Cow;

use ndarray::{Array, Array1, Array2, Dimension, Ix1, Ix2};
use num_rational::BigRational;

use crate::error::{Error, Result};
use crate::numeric::rational::{rational_from_f64, rational_to_f64};

/// An array of parameters, all of one kind.
///
/// An f64 *is* the dyadic rational it stands for, so both kinds are exact; they
/// differ in what a file holds and in how fast they compute.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers<D: Dimension> {
    /// Finite f64 numbers.
    Float(Array<f64, D>),
    /// Rationals of any size.
    Exact(Array<BigRational, D>),
}

/// A matrix of parameters.
pub type Matrix = Numbers<Ix2>;
/// A vector of parameters.
pub type Vector = Numbers<Ix1>;

impl<D: Dimension> Numbers<D> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Numbers::Float(a) => a.len(),
            Numbers::Exact(a) => a.len(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries as f64, each correctly rounded; an entry beyond the range of f64 becomes infinite.
    pub fn to_f64(&self) -> Cow<'_, Array<f64, D>> {
        match self {
            Numbers::Float(a) => Cow::Borrowed(a),
            Numbers::Exact(a) => Cow::Owned(a.map(round)),
        }
    }

    /// The entries as rationals, exactly.
    pub fn to_exact(&self) -> Array<BigRational, D> {
        match self {
            // A layer is only built from finite numbers.
            Numbers::Float(a) => a.map(|x| rational_from_f64(*x).unwrap_or_default()),
            Numbers::Exact(a) => a.clone(),
        }
    }

    /// The same array; one without entries, which no file can tell the kind of, as f64.
    pub(crate) fn canonical(self) -> Self {
        match self {
            Numbers::Exact(a) if a.is_empty() => Numbers::Float(a.map(|_| 0.0)),
            other => other,
        }
    }

    /// # Errors
    /// When an f64 entry is NaN or infinite.
    pub(crate) fn check_finite(&self, place: &str) -> Result<()> {
        if let Numbers::Float(a) = self
            && let Some(x) = a.iter().find(|x| !x.is_finite())
        {
            return Err(Error::invalid(place, x.to_string(), "finite numbers only"));
        }
        Ok(())
    }
}

fn round(x: &BigRational) -> f64 {
    use num_traits::Signed;
    let overflow = if x.is_negative() { f64::NEG_INFINITY } else { f64::INFINITY };
    rational_to_f64(x).unwrap_or(overflow)
}

impl Matrix {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Numbers::Float(a) => a.nrows(),
            Numbers::Exact(a) => a.nrows(),
        }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        match self {
            Numbers::Float(a) => a.ncols(),
            Numbers::Exact(a) => a.ncols(),
        }
    }
}

impl From<Array2<f64>> for Matrix {
    fn from(a: Array2<f64>) -> Self {
        Numbers::Float(a)
    }
}

impl From<Array1<f64>> for Vector {
    fn from(a: Array1<f64>) -> Self {
        Numbers::Float(a)
    }
}

impl From<Array2<BigRational>> for Matrix {
    fn from(a: Array2<BigRational>) -> Self {
        Numbers::Exact(a)
    }
}

impl From<Array1<BigRational>> for Vector {
    fn from(a: Array1<BigRational>) -> Self {
        Numbers::Exact(a)
    }
}
