//! Values of the polynomials, each with a proven bound on its error.
//!
//! The expanded form of a network cancels: at high degree its terms are many orders
//! of magnitude larger than their sum. So a value whose proven f64 bound is not small
//! is computed again exactly, and rounded once.

use ndarray::{Array2, ArrayView1, ArrayView2};
use num_rational::BigRational;
use num_traits::Zero;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::expand::Expansion;
use crate::numeric::Dyadic;
use crate::numeric::rational::{rational_from_f64, rational_to_f64};
use crate::polynomial::{FloatForm, Polynomial};

/// The relative bound above which a value is computed exactly: 40 correct bits are kept.
const RELATIVE: f64 = 1.0 / (1_u64 << 40) as f64;

impl Expansion {
    /// The exact polynomials in the variables themselves, whatever the centre they are written about.
    ///
    /// # Errors
    /// When a degree is beyond 2^32 on the way.
    pub fn about_zero(&self) -> Result<Vec<Polynomial<BigRational>>> {
        let polynomials = self.to_rational();
        match self.centre() {
            None => Ok(polynomials),
            Some(centre) => {
                let back: Vec<_> = centre.iter().map(|c| -c).collect();
                polynomials.iter().map(|p| p.shift(&back)).collect()
            }
        }
    }

    /// The outputs before the head for a batch, (rows, variables) to (rows, outputs), each within a
    /// relative error of 2^-40.
    ///
    /// Cost: two products a term and row in f64, and an exact evaluation for each row whose proven
    /// bound is larger.
    ///
    /// # Errors
    /// When the inputs are not finite or not one column a variable, or a value is beyond f64.
    pub fn forward(&self, inputs: ArrayView2<f64>) -> Result<Array2<f64>> {
        self.forward_with_bounds(inputs).map(|(values, _)| values)
    }

    /// As [`Expansion::forward`], with a proven bound on the absolute error of each value.
    ///
    /// # Errors
    /// As [`Expansion::forward`].
    pub fn forward_with_bounds(
        &self,
        inputs: ArrayView2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        let polynomials = self.about_zero()?;
        let shape = (inputs.nrows(), polynomials.len());
        let (mut values, mut bounds) = (Array2::zeros(shape), Array2::zeros(shape));
        for (o, polynomial) in polynomials.iter().enumerate() {
            let (mut value, mut bound) = match FloatForm::new(polynomial) {
                Ok(form) => form.evaluate_batch(inputs)?,
                // A coefficient beyond f64: nothing is known before the exact values.
                Err(_) => {
                    let unknown = ndarray::Array1::from_elem(inputs.nrows(), f64::INFINITY);
                    (unknown.clone(), unknown)
                }
            };
            let loose: Vec<usize> = (0..inputs.nrows())
                .filter(|&row| bound[row] > RELATIVE * value[row].abs())
                .collect();
            let exact = ExactForm::new(polynomial);
            let rounded = loose
                .par_iter()
                .map(|&row| {
                    exact.at(inputs.row(row))?.ok_or_else(|| {
                        Error::invalid(
                            format!("row {row}, output {:?}", self.outputs()[o]),
                            "a value beyond the range of f64",
                            "inputs nearer to the box of the network",
                        )
                    })
                })
                .collect::<Result<Vec<f64>>>()?;
            for (row, y) in loose.into_iter().zip(rounded) {
                value[row] = y;
                // Half an ulp, or half the smallest subnormal, rounded up.
                bound[row] = y.abs() * f64::EPSILON / 2.0 + f64::from_bits(1);
            }
            values.column_mut(o).assign(&value);
            bounds.column_mut(o).assign(&bound);
        }
        Ok((values, bounds))
    }
}

/// A polynomial over the cheapest exact numbers that hold its coefficients.
enum ExactForm<'a> {
    Dyadic(Polynomial<Dyadic>),
    Rational(&'a Polynomial<BigRational>),
}

impl<'a> ExactForm<'a> {
    fn new(polynomial: &'a Polynomial<BigRational>) -> Self {
        if polynomial.terms().all(|(_, c)| Dyadic::from_rational(c).is_some()) {
            // All coefficients are dyadic: none becomes zero here.
            ExactForm::Dyadic(
                polynomial.map(|c| Dyadic::from_rational(c).unwrap_or_else(Dyadic::zero)),
            )
        } else {
            ExactForm::Rational(polynomial)
        }
    }

    /// The correctly rounded value, or `None` beyond f64.
    ///
    /// # Errors
    /// When the point is not finite or not one entry a variable.
    fn at(&self, point: ArrayView1<f64>) -> Result<Option<f64>> {
        let not_finite = || Error::invalid("inputs", "NaN or infinity", "finite numbers");
        match self {
            ExactForm::Dyadic(p) => {
                let point: Option<Vec<_>> = point.iter().map(|x| Dyadic::from_f64(*x)).collect();
                p.evaluate(&point.ok_or_else(not_finite)?).map(|y| y.to_f64())
            }
            ExactForm::Rational(p) => {
                let point: Option<Vec<_>> = point.iter().map(|x| rational_from_f64(*x)).collect();
                p.evaluate(&point.ok_or_else(not_finite)?).map(|y| rational_to_f64(&y))
            }
        }
    }
}
