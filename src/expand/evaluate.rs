//! Values of the polynomials, each with a proven bound on its error.
//!
//! The expanded form of a network cancels: at high degree its terms are many orders
//! of magnitude larger than their sum. So a value whose proven f64 bound is not small
//! is computed again exactly, and rounded once.

use ndarray::{Array2, ArrayView1, ArrayView2};
use num_rational::BigRational;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::expand::{Coefficients, Expansion};
use crate::numeric::Dyadic;
use crate::numeric::rational::{rational_from_f64, rational_to_f64};
use crate::polynomial::{Bounded, Coefficient, FloatForm, Packed, PackedForm, Polynomial};

/// The relative bound above which a value is computed exactly: 40 correct bits are kept.
const RELATIVE: f64 = 1.0 / (1_u64 << 40) as f64;

impl Expansion {
    /// The exact polynomials in the variables themselves, whatever the centre they are written
    /// about.
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

    /// The exact outputs at a point, about whatever centre the polynomials are written.
    ///
    /// # Errors
    /// When the point does not have one entry a variable, or the numbers become too long.
    pub(super) fn evaluate_exact(&self, point: &[BigRational]) -> Result<Vec<BigRational>> {
        let point: Vec<_> = match self.centre() {
            Some(centre) => point.iter().zip(centre).map(|(x, c)| x - c).collect(),
            None => point.to_vec(),
        };
        if let Coefficients::Packed(packed) = self.coefficients() {
            let value = |p: &Packed| check_packed_bits(p, &point).and_then(|()| p.evaluate(&point));
            return packed.iter().map(value).collect();
        }
        let value = |p: &Polynomial<BigRational>| {
            check_bits(p, &point, rational_bits, rational_bits)?;
            p.evaluate(&point)
        };
        self.to_rational().iter().map(value).collect()
    }

    /// The outputs before the head for a batch, (rows, variables) to (rows, outputs), each within a
    /// relative error of 2^-40.
    ///
    /// Cost: two products a term and row in f64, and an exact evaluation for each row whose proven
    /// bound is larger.
    ///
    /// # Errors
    /// When the inputs are not finite or not one column a variable, a value is beyond f64, or one
    /// needs exact numbers of more than 2^22 bits.
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
        let (values, bounds, failure) = self.forward_where_possible(inputs)?;
        failure.map_or(Ok((values, bounds)), Err)
    }

    /// As [`Expansion::forward_with_bounds`], with NaN for a value that cannot be had, and the
    /// first such failure.
    ///
    /// # Errors
    /// When the inputs are not finite or not one column a variable.
    pub(super) fn forward_where_possible(
        &self,
        inputs: ArrayView2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>, Option<Error>)> {
        let forms: Vec<Form> = match self.coefficients() {
            Coefficients::Packed(packed) => packed.iter().map(Form::Packed).collect(),
            _ => self.to_rational().into_iter().map(Form::Terms).collect(),
        };
        let shape = (inputs.nrows(), forms.len());
        let (mut values, mut bounds) = (Array2::zeros(shape), Array2::zeros(shape));
        // Moving the point costs a subtraction a variable; moving the polynomial would cost terms.
        let moves: Option<Option<Vec<Bounded>>> =
            self.centre().map(|centre| centre.iter().map(|c| (-c).rounded()).collect());
        let mut failure = None;
        let entry = |i: usize, x: f64| {
            let x = Bounded { value: x, error: 0.0 };
            moves.iter().flatten().fold(x, |x, moves| x.plus(moves[i]))
        };
        for (o, form) in forms.iter().enumerate() {
            // A number beyond f64: nothing is known before the exact values.
            let unknown = || {
                let unknown = ndarray::Array1::from_elem(inputs.nrows(), f64::INFINITY);
                Ok((unknown.clone(), unknown))
            };
            let (mut value, mut bound) = match form {
                _ if matches!(moves, Some(None)) => unknown(),
                Form::Terms(p) => FloatForm::new(p)
                    .map_or_else(|_| unknown(), |form| form.evaluate_moved(inputs, entry)),
                Form::Packed(p) => PackedForm::new(p)
                    .map_or_else(|_| unknown(), |form| form.evaluate_moved(inputs, entry)),
            }?;
            // An infinite value or bound says that an intermediate result was too large for f64.
            let loose: Vec<usize> = (0..inputs.nrows())
                .filter(|&row| {
                    !(bound[row].is_finite() && bound[row] <= RELATIVE * value[row].abs())
                })
                .collect();
            let exact = ExactForm::new(form, self.centre());
            let rounded: Vec<Result<f64>> = loose
                .par_iter()
                .map(|&row| {
                    let place = || format!("row {row}, output {:?}", self.outputs()[o]);
                    let value = exact.at(inputs.row(row)).map_err(|e| e.within(place()))?;
                    value.ok_or_else(|| {
                        Error::invalid(
                            place(),
                            "a value beyond the range of f64",
                            "inputs nearer to the box of the network",
                        )
                    })
                })
                .collect();
            for (row, y) in loose.into_iter().zip(rounded) {
                match y {
                    Ok(y) => {
                        value[row] = y;
                        // Half an ulp, or half the smallest subnormal, rounded up.
                        bound[row] = y.abs() * f64::EPSILON / 2.0 + f64::from_bits(1);
                    }
                    Err(error) => {
                        (value[row], bound[row]) = (f64::NAN, f64::INFINITY);
                        failure = failure.or(Some(error));
                    }
                }
            }
            values.column_mut(o).assign(&value);
            bounds.column_mut(o).assign(&bound);
        }
        Ok((values, bounds, failure))
    }
}

/// Bits of the longest number that an exact value may take on the way: a second or two a product.
pub(super) const EXACT_BITS: f64 = (1 << 22) as f64;

/// A polynomial to evaluate.
enum Form<'a> {
    Terms(Polynomial<BigRational>),
    Packed(&'a Packed),
}

/// A polynomial over the cheapest exact numbers that hold its coefficients and its centre.
enum ExactForm<'a> {
    Packed(&'a Packed, Option<&'a [BigRational]>),
    Dyadic(Polynomial<Dyadic>, Option<Vec<Dyadic>>),
    Rational(&'a Polynomial<BigRational>, Option<&'a [BigRational]>),
}

impl<'a> ExactForm<'a> {
    fn new(form: &'a Form, centre: Option<&'a [BigRational]>) -> Self {
        let polynomial = match form {
            Form::Terms(polynomial) => polynomial,
            Form::Packed(packed) => return ExactForm::Packed(packed, centre),
        };
        let dyadic = |c: &BigRational| Dyadic::from_rational(c);
        let moved: Option<Vec<_>> = centre.unwrap_or_default().iter().map(dyadic).collect();
        match moved {
            Some(moved) if polynomial.terms().all(|(_, c)| dyadic(c).is_some()) => {
                // All coefficients are dyadic: none becomes zero here.
                let polynomial = polynomial.map(|c| dyadic(c).unwrap_or_else(Coefficient::zero));
                ExactForm::Dyadic(polynomial, centre.map(|_| moved))
            }
            _ => ExactForm::Rational(polynomial, centre),
        }
    }

    /// The correctly rounded value, or `None` beyond f64.
    ///
    /// # Errors
    /// When the point is not finite or not one entry a variable, or the numbers become too long.
    fn at(&self, point: ArrayView1<f64>) -> Result<Option<f64>> {
        let not_finite = || Error::invalid("inputs", "NaN or infinity", "finite numbers");
        let moved = |centre: &Option<&[BigRational]>| {
            let point: Option<Vec<_>> = point.iter().map(|x| rational_from_f64(*x)).collect();
            let point = point.ok_or_else(not_finite)?;
            Ok::<_, Error>(match centre {
                Some(centre) => point.iter().zip(*centre).map(|(x, c)| x - c).collect(),
                None => point,
            })
        };
        match self {
            ExactForm::Dyadic(p, centre) => {
                let point: Option<Vec<_>> = point.iter().map(|x| Dyadic::from_f64(*x)).collect();
                let mut point = point.ok_or_else(not_finite)?;
                if let Some(centre) = centre {
                    point = point.iter().zip(centre).map(|(x, c)| x - c).collect();
                }
                let bits = |x: &Dyadic| {
                    // A power of 1 is no longer than 1.
                    let mantissa = x.mantissa().bits();
                    let mantissa = if mantissa <= 1 { 0 } else { mantissa };
                    (mantissa + x.exponent().unsigned_abs()) as f64
                };
                check_bits(p, &point, bits, bits)?;
                p.evaluate(&point).map(|y| y.to_f64())
            }
            ExactForm::Packed(p, centre) => {
                let point = moved(centre)?;
                check_packed_bits(p, &point)?;
                p.evaluate(&point).map(|y| rational_to_f64(&y))
            }
            ExactForm::Rational(p, centre) => {
                let point = moved(centre)?;
                check_bits(p, &point, rational_bits, rational_bits)?;
                p.evaluate(&point).map(|y| rational_to_f64(&y))
            }
        }
    }
}

/// Bits of a fraction that its powers multiply: none for 0 and 1.
fn rational_bits(x: &BigRational) -> f64 {
    let long = |bits: u64| if bits <= 1 { 0 } else { bits };
    (long(x.numer().bits()) + long(x.denom().bits())) as f64
}

/// # Errors
/// When a term at `point` takes more than [`EXACT_BITS`] bits.
fn check_bits<C: Coefficient>(
    polynomial: &Polynomial<C>,
    point: &[C],
    entry: impl Fn(&C) -> f64,
    coefficient: impl Fn(&C) -> f64,
) -> Result<()> {
    let lengths: Vec<f64> = point.iter().map(entry).collect();
    let longest = polynomial
        .terms()
        .map(|(exponents, c)| {
            let powers = exponents.iter().zip(&lengths).map(|(&e, bits)| f64::from(e) * bits);
            powers.sum::<f64>() + coefficient(c)
        })
        .fold(0.0, f64::max);
    check_longest(longest)
}

/// # Errors
/// When a number of Horner's rule at `point` takes more than [`EXACT_BITS`] bits.
fn check_packed_bits(packed: &Packed, point: &[BigRational]) -> Result<()> {
    // Over one denominator the entries are as long as the longest and all denominators.
    let longest = point.iter().map(|x| x.numer().bits()).max().unwrap_or(0) as f64;
    let denominators: f64 = match point.iter().all(|x| x.denom().magnitude().count_ones() == 1) {
        true => point.iter().map(|x| x.denom().bits() as f64).fold(0.0, f64::max),
        false => point.iter().map(|x| x.denom().bits() as f64).sum(),
    };
    let (numerator, denominator) = packed.bits();
    let degree = f64::from(packed.degree().unwrap_or(0));
    check_longest(degree * (longest + denominators) + (numerator + denominator) as f64)
}

/// # Errors
/// When a number is longer than [`EXACT_BITS`] bits.
fn check_longest(longest: f64) -> Result<()> {
    if longest <= EXACT_BITS {
        return Ok(());
    }
    Err(Error::invalid(
        "",
        format!("a value that f64 does not hold well and that takes {longest:.1e} bits exactly"),
        "at most 2^22 bits: inputs nearer to the box of the network, or a lower degree",
    ))
}
