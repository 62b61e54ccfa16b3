//! Evaluation in `f64` with a proven bound on its error.
//!
//! Every computed quantity is carried with a bound on its distance from the exact one
//! (running error analysis: Wilkinson 1963; Higham, *Accuracy and Stability of Numerical
//! Algorithms*, section 3.3). For a rounded sum or product `r`,
//!
//! - `|r - exact| <= u |r| + 2^-1075` with `u = 2^-53` (the second part: underflow), and
//! - a product of `x ± a` and `y ± b` is off by a further `|x| b + |y| a + a b`, a sum by `a + b`.
//!
//! The bounds are computed in `f64` too, by at most six rounded steps, each of which loses at
//! most the factor `1 - u` or, where it underflows, `2^-1075`. So each is enlarged by the factor
//! `1 + 2^-50` (more than `(1 - u)^-7`, which covers the enlarging product as well) and by
//! `2^-1070`. An overflow makes the bound infinite.

use ndarray::{Array1, ArrayView2};
use rayon::prelude::*;

use super::packed::Horner;
use super::{Coefficient, Packed, Polynomial, beyond_f64, words};
use crate::error::{Error, Result};

/// The unit roundoff of `f64`.
const UNIT: f64 = f64::EPSILON / 2.0;

/// What covers the roundings of a bound itself: `1 + 2^-50`.
const ENLARGE: f64 = 1.0 + 4.0 * f64::EPSILON;

/// What covers underflow in a step and in its bound: `2^-1070`.
const TINY: f64 = f64::from_bits(1 << 4);

/// The points that are evaluated side by side.
const LANES: usize = 8;

/// A computed number and a proven bound on its distance from the exact one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded {
    /// The computed number; never "not a number".
    pub value: f64,
    /// At least `|value - exact|`; infinite where nothing is known.
    pub error: f64,
}

impl Bounded {
    /// The correct rounding `value` of some number, with a bound on its distance.
    pub(super) fn rounding(value: f64, exact: bool) -> Self {
        let error = if exact { 0.0 } else { value.abs() * UNIT + f64::from_bits(1) };
        Bounded { value, error }
    }

    /// The product of two numbers that are known up to their bounds.
    fn times(self, other: Self) -> Self {
        let value = self.value * other.value;
        let carried = self.value.abs() * other.error
            + other.value.abs() * self.error
            + self.error * other.error;
        Bounded { value, error: (carried + (value.abs() * UNIT + TINY)) * ENLARGE }
    }

    /// The sum of two numbers that are known up to their bounds. Sums do not underflow.
    pub(crate) fn plus(self, other: Self) -> Self {
        let value = self.value + other.value;
        let error = ((self.error + other.error) + value.abs() * UNIT + TINY) * ENLARGE;
        Bounded { value, error }
    }

    /// `self^exponent` by repeated squaring.
    fn power(self, mut exponent: u32) -> Self {
        let mut result: Option<Self> = None;
        let mut square = self;
        loop {
            if exponent & 1 == 1 {
                result = Some(result.map_or(square, |result| result.times(square)));
            }
            exponent >>= 1;
            if exponent == 0 {
                return result.unwrap_or(Bounded { value: 1.0, error: 0.0 });
            }
            square = square.times(square);
        }
    }

    /// Nothing is known after an overflow, whatever the infinities became; the exact value may well
    /// be finite, so callers ask [`Bounded::error`] before they take the value.
    fn settled(self) -> Self {
        if self.value.is_finite() && self.error.is_finite() {
            self
        } else if self.value.is_nan() {
            Bounded { value: 0.0, error: f64::INFINITY }
        } else {
            Bounded { value: self.value, error: f64::INFINITY }
        }
    }
}

/// A number that is exactly known.
fn exactly(value: f64) -> Bounded {
    Bounded { value, error: 0.0 }
}

/// A polynomial prepared for many evaluations in `f64`, whatever its coefficients were.
///
/// The coefficients are rounded once, with bounds. The terms are walked in lexicographic
/// order, so that a monomial is one product of a power and the monomial of the earlier
/// variables, which it shares with its neighbours.
///
/// ```
/// use slnn::Polynomial;
/// use slnn::polynomial::FloatForm;
///
/// let p = Polynomial::parse("1/3 x^2 - y", &["x", "y"])?;
/// let form = FloatForm::new(&p)?;
/// let y = form.evaluate(&[3.0, 1.0])?;
/// assert!((y.value - 2.0).abs() <= y.error && y.error < 1e-14);
/// # Ok::<(), slnn::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FloatForm {
    variables: usize,
    /// The powers that occur, (variable, exponent).
    powers: Vec<(usize, u32)>,
    steps: Vec<Step>,
    /// The most nonzero exponents of a term.
    depth: usize,
}

/// One step of the walk: the product at `depth - 1` times a power becomes that at `depth`.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The number of factors of the product, 0 for the constant term.
    depth: usize,
    /// The last factor, an index into the powers; unused at depth 0.
    power: usize,
    /// The coefficient, if a term ends here.
    coefficient: Option<Bounded>,
}

impl FloatForm {
    /// Prepares a polynomial. Cost: sorting its terms.
    ///
    /// # Errors
    /// If a coefficient is beyond the range of `f64`, or not finite.
    pub fn new<C: Coefficient>(polynomial: &Polynomial<C>) -> Result<Self> {
        let mut terms = polynomial
            .terms()
            .map(|(row, c)| {
                let factors: Vec<(usize, u32)> =
                    row.iter().copied().enumerate().filter(|(_, e)| *e > 0).collect();
                c.rounded().map(|c| (factors, c)).ok_or_else(|| beyond_f64(row))
            })
            .collect::<Result<Vec<_>>>()?;
        terms.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut powers: Vec<_> = terms.iter().flat_map(|(factors, _)| factors).copied().collect();
        powers.sort_unstable();
        powers.dedup();
        let mut steps: Vec<Step> = Vec::with_capacity(terms.len());
        let mut previous: &[(usize, u32)] = &[];
        let mut depth = 0;
        for (factors, coefficient) in &terms {
            let shared = previous.iter().zip(factors).take_while(|(a, b)| a == b).count();
            for (k, factor) in factors.iter().enumerate().skip(shared) {
                // Every factor is among the powers.
                let power = powers.partition_point(|power| power < factor);
                steps.push(Step { depth: k + 1, power, coefficient: None });
            }
            match steps.last_mut() {
                Some(step) if !factors.is_empty() => step.coefficient = Some(*coefficient),
                _ => steps.push(Step { depth: 0, power: 0, coefficient: Some(*coefficient) }),
            }
            depth = depth.max(factors.len());
            previous = factors;
        }
        Ok(FloatForm { variables: polynomial.variables(), powers, steps, depth })
    }

    /// The value at a point, one number a variable, with a proven bound on its error.
    ///
    /// # Errors
    /// If the point does not have one finite entry a variable.
    pub fn evaluate(&self, point: &[f64]) -> Result<Bounded> {
        check(self.variables, point.len(), point.iter())?;
        Ok(self.walk::<1>(|i, _| exactly(point[i]))[0])
    }

    /// The values at many points, one a row, and the bounds on their errors.
    ///
    /// Cost: two products with bounds a term and point, points side by side and on all
    /// threads; the results do not depend on how many there are.
    ///
    /// # Errors
    /// If the points do not have one finite entry a variable.
    pub fn evaluate_batch(
        &self,
        points: ArrayView2<'_, f64>,
    ) -> Result<(Array1<f64>, Array1<f64>)> {
        self.evaluate_moved(points, |_, x| exactly(x))
    }

    /// As [`FloatForm::evaluate_batch`], where `entry(i, x)` takes the place of entry `i` of a point.
    pub(crate) fn evaluate_moved(
        &self,
        points: ArrayView2<'_, f64>,
        entry: impl Fn(usize, f64) -> Bounded + Sync,
    ) -> Result<(Array1<f64>, Array1<f64>)> {
        check(self.variables, points.ncols(), points.iter())?;
        let rows = points.nrows();
        let blocks: Vec<[Bounded; LANES]> = (0..rows.div_ceil(LANES))
            .into_par_iter()
            // The last block repeats its last point.
            .map(|b| self.walk(|i, lane| entry(i, points[((b * LANES + lane).min(rows - 1), i)])))
            .collect();
        let results = || blocks.iter().flatten().take(rows);
        Ok((results().map(|y| y.value).collect(), results().map(|y| y.error).collect()))
    }

    /// The condition number of the sum at a point, `sum |c_a x^a| / |P(x)|`, in `f64`.
    ///
    /// By how much relative errors of the terms are magnified in the value: 1 without
    /// cancellation, infinite where the value computes to zero. A figure, not a bound.
    ///
    /// # Errors
    /// If the point does not have one finite entry a variable.
    pub fn condition(&self, point: &[f64]) -> Result<f64> {
        let value = self.evaluate(point)?.value.abs();
        let mut magnitudes = self.clone();
        for coefficient in magnitudes.steps.iter_mut().filter_map(|step| step.coefficient.as_mut())
        {
            coefficient.value = coefficient.value.abs();
        }
        let sum = magnitudes.walk::<1>(|i, _| exactly(point[i].abs()))[0].value;
        Ok(if sum == value { 1.0 } else { sum / value })
    }

    /// The values at `N` points with their bounds; `point(i, lane)` is entry `i` of a point.
    fn walk<const N: usize>(&self, point: impl Fn(usize, usize) -> Bounded) -> [Bounded; N] {
        let powers: Vec<[Bounded; N]> = self
            .powers
            .iter()
            .map(|&(i, exponent)| std::array::from_fn(|lane| point(i, lane).power(exponent)))
            .collect();
        let zero = Bounded { value: 0.0, error: 0.0 };
        // products[d - 1] is the product of the first d factors of the current term.
        let mut products = vec![[zero; N]; self.depth];
        let mut sum: Option<[Bounded; N]> = None;
        for step in &self.steps {
            match step.depth {
                0 => {}
                1 => products[0] = powers[step.power],
                d => {
                    products[d - 1] = std::array::from_fn(|lane| {
                        products[d - 2][lane].times(powers[step.power][lane])
                    });
                }
            }
            let Some(c) = step.coefficient else { continue };
            let term = match step.depth {
                0 => [c; N],
                d => products[d - 1].map(|product| product.times(c)),
            };
            sum = Some(match sum {
                Some(sum) => std::array::from_fn(|lane| sum[lane].plus(term[lane])),
                None => term,
            });
        }
        sum.unwrap_or([zero; N]).map(Bounded::settled)
    }
}

/// # Errors
/// If a point does not have one finite entry a variable.
fn check<'a>(
    variables: usize,
    found: usize,
    mut entries: impl Iterator<Item = &'a f64>,
) -> Result<()> {
    if found != variables {
        let expected = format!("{variables}, one a variable");
        return Err(Error::invalid("point", format!("{found} entries"), expected));
    }
    match entries.find(|x| !x.is_finite()) {
        Some(x) => Err(Error::invalid("point", x.to_string(), "finite numbers")),
        None => Ok(()),
    }
}

impl<C: Coefficient> Polynomial<C> {
    /// The value at a point of `f64` numbers, computed in `f64`, with a proven bound on its
    /// distance from the exact value of this polynomial there.
    ///
    /// For many points prepare a [`FloatForm`] once.
    ///
    /// # Errors
    /// If the point does not have one finite entry a variable, or a coefficient is beyond
    /// the range of `f64`.
    pub fn evaluate_bounded(&self, point: &[f64]) -> Result<Bounded> {
        FloatForm::new(self)?.evaluate(point)
    }

    /// The values at many points, one a row, and proven bounds on their errors; see
    /// [`FloatForm::evaluate_batch`].
    ///
    /// # Errors
    /// As [`Polynomial::evaluate_bounded`].
    pub fn evaluate_batch(
        &self,
        points: ArrayView2<'_, f64>,
    ) -> Result<(Array1<f64>, Array1<f64>)> {
        FloatForm::new(self)?.evaluate_batch(points)
    }

    /// The condition number of the sum at a point; see [`FloatForm::condition`].
    ///
    /// # Errors
    /// As [`Polynomial::evaluate_bounded`].
    pub fn condition(&self, point: &[f64]) -> Result<f64> {
        FloatForm::new(self)?.condition(point)
    }
}

/// A packed polynomial prepared for many evaluations in `f64`: its coefficients, rounded once.
/// It takes 24 bytes a place.
pub(crate) struct PackedForm<'a> {
    packed: &'a Packed,
    coefficients: Vec<Option<Bounded>>,
}

/// Horner's rule at `N` points side by side.
struct FloatHorner<'a, const N: usize> {
    form: &'a PackedForm<'a>,
    /// The points in the variables that occur.
    point: Vec<[Bounded; N]>,
}

impl<const N: usize> Horner for FloatHorner<'_, N> {
    type Value = [Bounded; N];

    fn coefficient(&self, position: usize, _rest: u32) -> Option<[Bounded; N]> {
        self.form.coefficients[position].map(|c| [c; N])
    }

    fn step(
        &self,
        above: [Bounded; N],
        variable: usize,
        value: Option<[Bounded; N]>,
    ) -> [Bounded; N] {
        let x = &self.point[variable];
        std::array::from_fn(|lane| {
            let product = above[lane].times(x[lane]);
            value.map_or(product, |value| product.plus(value[lane]))
        })
    }
}

impl<'a> PackedForm<'a> {
    /// # Errors
    /// If a coefficient is beyond the range of `f64`.
    pub(crate) fn new(packed: &'a Packed) -> Result<Self> {
        let positions = 0..packed.places();
        let rounded = positions.into_par_iter().map_init(Vec::new, |scratch, position| {
            let numerator = packed.numerator(position);
            if words::is_zero(numerator) {
                return Ok(None);
            }
            let value = packed.nearest(numerator, scratch).ok_or(position)?;
            // The roundings of short numbers into the normal range are exact.
            let long = packed.odd.bits() > 1 || {
                words::magnitude(numerator, scratch);
                words::bits(scratch) - words::trailing_zeros(scratch) > 53
            };
            Ok(Some(Bounded::rounding(value, !long && value.abs() > f64::MIN_POSITIVE)))
        });
        match rounded.collect::<std::result::Result<_, usize>>() {
            Ok(coefficients) => Ok(PackedForm { packed, coefficients }),
            Err(position) => {
                let mut row = vec![0; packed.used.len()];
                packed.ranks().monomial(position, &mut row);
                let mut exponents = vec![0; packed.variables()];
                packed.used.iter().zip(row).for_each(|(i, e)| exponents[*i as usize] = e);
                Err(beyond_f64(&exponents))
            }
        }
    }
}

impl PackedForm<'_> {
    /// As [`Packed::evaluate_batch`], where `entry(i, x)` takes the place of entry `i` of a point.
    ///
    /// # Errors
    /// If the points do not have one finite entry a variable.
    pub(crate) fn evaluate_moved(
        &self,
        points: ArrayView2<'_, f64>,
        entry: impl Fn(usize, f64) -> Bounded + Sync,
    ) -> Result<(Array1<f64>, Array1<f64>)> {
        check(self.packed.variables(), points.ncols(), points.iter())?;
        let rows = points.nrows();
        let zero = Bounded { value: 0.0, error: 0.0 };
        let blocks: Vec<[Bounded; LANES]> = (0..rows.div_ceil(LANES))
            .into_par_iter()
            .map(|b| {
                // The last block repeats its last point.
                let row = |lane: usize| (b * LANES + lane).min(rows - 1);
                let at = |i: &u32| {
                    let i = *i as usize;
                    std::array::from_fn(|lane| entry(i, points[(row(lane), i)]))
                };
                let point = self.packed.used.iter().map(at).collect();
                let values = self.packed.horner(&FloatHorner { form: self, point });
                values.unwrap_or([zero; LANES]).map(Bounded::settled)
            })
            .collect();
        let results = || blocks.iter().flatten().take(rows);
        Ok((results().map(|y| y.value).collect(), results().map(|y| y.error).collect()))
    }
}

impl Packed {
    /// The values at many points, one a row, and proven bounds on their errors.
    ///
    /// Cost: a product with bounds a place and point, points side by side and on all threads, and
    /// 24 bytes a place; the results do not depend on the number of threads.
    ///
    /// # Errors
    /// If the points do not have one finite entry a variable, or a coefficient is beyond the range
    /// of `f64`.
    pub fn evaluate_batch(
        &self,
        points: ArrayView2<'_, f64>,
    ) -> Result<(Array1<f64>, Array1<f64>)> {
        PackedForm::new(self)?.evaluate_moved(points, |_, x| exactly(x))
    }
}
