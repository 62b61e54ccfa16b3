//! One activation on an interval: one polynomial, and a proven bound on its error.
//!
//! A network with conventional activations becomes an SLNN when every activation s is replaced by a
//! polynomial p on the interval of its pre-activations. [`fit`] finds p in the Chebyshev basis,
//! with f64 coefficients, and proves an upper bound of sup |p - s|; [`certify`] proves one for any
//! polynomial. The bound is about real numbers: the polynomial is the exact one that the f64 numbers
//! define, the activation is the exact function, and z is any real number of the interval.
//!
//! ```
//! use slnn::approximate::{fit, Method};
//! use slnn::network::activation::Activation;
//! use slnn::numeric::outward::Interval;
//!
//! let fit = fit(Activation::Tanh, Interval::new(-2.0, 2.0), 9, Method::Minimax)?;
//! assert_eq!(fit.degree(), 9);
//! // The best error of any polynomial of this degree is 5.97e-4.
//! assert!(5.965e-4 < fit.lower_bound && fit.lower_bound <= fit.error && fit.error < 5.976e-4);
//! # Ok::<(), slnn::Error>(())
//! ```
//!
//! How: `minimax` and `remez` find the polynomial of least error by exchange, `series` the plainer ones,
//! all in f64; `model` turns the activation into finitely many polynomials with proven remainders;
//! `certificate` bounds the difference on each of them; `range` has values and slopes over intervals.
//! [`composite`] replaces an activation with a kink by a chain of low-degree polynomials.

mod bands;
mod certificate;
mod composite;
mod minimax;
mod model;
mod range;
mod remez;
mod series;

pub use bands::{Band, Bands, bands};
pub(crate) use composite::slope_below;
pub use composite::{Composite, Sign, composite};
pub use range::{slope_range, value_range};

use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::numeric::Dyadic;
use crate::numeric::fixed::{exponent_above, power_of_two};
use crate::numeric::interval::Enclosure;
use crate::numeric::outward::{Interval, add_up, mul_up};
use crate::numeric::rational::rational_from_f64;
use certificate::{Candidate, ROUNDOFF, prove};
use minimax::Frame;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

/// A bound of a difference from a function of at most `size`, made so much larger that a check in
/// fixed-point numbers, which proves it in another way, can confirm it: far less than an f64 resolves.
pub(crate) fn with_room(bound: f64, size: f64) -> f64 {
    let least = mul_up(size.max(1.0), power_of_two(-70));
    mul_up(bound, 1.0 + power_of_two(-40)).max(add_up(bound, least))
}

/// The largest degree.
pub const LARGEST_DEGREE: usize = 1000;

/// The largest size of an end of an interval, 2^500.
pub const LARGEST_END: f64 = f64::from_bits((500 + 1023) << 52);

/// A polynomial sum_k c_k T_k((z - centre) scale) and a proven bound on its distance to an activation
/// on an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The number that is subtracted from the pre-activation.
    pub centre: f64,
    /// The factor that brings the difference into [-1, 1], on all of the interval.
    pub scale: f64,
    /// c_0, c_1, ...: at least one, and at most the degree asked for plus one.
    pub coefficients: Vec<f64>,
    /// Where the bound holds.
    pub interval: Interval,
    /// A proven upper bound of |p(z) - s(z)| for z in the interval.
    pub error: f64,
    /// No polynomial of the degree asked for has a smaller error than this; 0 where none is proven.
    pub lower_bound: f64,
    /// Whether the degree asked for was not needed: the error is that of rounding the coefficients
    /// to f64, or 0.
    pub at_floor: bool,
}

impl Fit {
    /// The degree of the polynomial, at most the one asked for.
    pub fn degree(&self) -> usize {
        self.coefficients.len().saturating_sub(1)
    }
}

/// How the polynomial is chosen. The bound is proven for all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The polynomial of least largest error, by Remez' exchange.
    Minimax,
    /// The interpolant in the Chebyshev points of the first kind.
    Interpolation,
    /// The truncated Chebyshev series.
    Chebyshev,
    /// The Chebyshev series damped by Jackson's factors: a larger error, but no overshoot beside kinks.
    Jackson,
}

/// A polynomial of degree at most `degree` that is near an activation on `interval`, with its proven error.
///
/// The degree is a ceiling: a polynomial of lower degree is returned where it is as good, as for
/// an odd function on a symmetric interval, or where f64 coefficients resolve no more. On one side of a
/// kink the function is linear, and the result is that line, its error exactly 0 where the numbers
/// allow it. With [`Method::Minimax`] the error is within 1/1,000 of the least possible one plus
/// 4 x 2^-53 max |s|, as far as is known; `lower_bound` proves it for the single fit. (Where s is
/// smooth and its values on the interval are below 1e-12, another 1e-27 at most.)
///
/// The same arguments give the same fit, whatever ran before. Time: milliseconds for degree 20,
/// quadratic in the degree; the first fit of a smooth function in a process computes its models,
/// about a millisecond for a unit of the interval.
///
/// # Errors
/// An interval with ends that are not numbers, out of order or above 2^500 in size; a degree
/// above 1000; an activation with a parameter that is not finite, or an alpha beyond 2^64; numbers
/// that overflow.
pub fn fit(
    activation: Activation,
    interval: Interval,
    degree: usize,
    method: Method,
) -> Result<Fit> {
    check_interval(interval)?;
    check_activation(activation)?;
    if degree > LARGEST_DEGREE {
        let expected = format!("at most {LARGEST_DEGREE}");
        return Err(Error::invalid("degree", degree.to_string(), expected));
    }
    if interval.lower == interval.upper {
        return at_point(activation, interval);
    }
    let frame = Frame::new(activation, interval, degree);
    if frame.hopeless() {
        return Ok(Fit { lower_bound: 1.0, at_floor: false, ..on_line(&frame, vec![0.0])? });
    }
    if let Some(line) = frame.line()
        && (degree >= 1 || line.len() == 1)
    {
        return on_line(&frame, line);
    }
    match method {
        Method::Minimax => frame.minimax(),
        Method::Interpolation => frame.proven(frame.interpolation()),
        Method::Chebyshev => frame.proven(frame.truncated()),
        Method::Jackson => {
            let damped = frame.truncated().into_iter().zip(series::jackson(degree));
            frame.proven(damped.map(|(c, factor)| c * factor).collect())
        }
    }
}

/// A proven upper bound of |p(z) - s(z)| over the interval, p = sum_k c_k T_k((z - centre) scale).
///
/// The bound is within about 1/1,000 of the true value, as long as that is not below the rounding of
/// the coefficients. Time: as [`fit`], without the search.
///
/// # Errors
/// As [`fit`]; also no coefficients, coefficients that are not finite, or (z - centre) scale outside
/// [-1, 1] for a z of the interval.
pub fn certify(
    activation: Activation,
    interval: Interval,
    centre: f64,
    scale: f64,
    coefficients: &[f64],
) -> Result<f64> {
    check_interval(interval)?;
    check_activation(activation)?;
    if coefficients.is_empty() || coefficients.len() > LARGEST_DEGREE + 1 {
        let expected = format!("1 to {}", LARGEST_DEGREE + 1);
        return Err(Error::invalid("coefficients", coefficients.len().to_string(), expected));
    }
    if let Some((k, c)) = coefficients.iter().enumerate().find(|(_, c)| !c.is_finite()) {
        let place = format!("coefficients[{k}]");
        return Err(Error::invalid(place, c.to_string(), "a finite number"));
    }
    let polynomial = Candidate { centre, scale, coefficients };
    if !centre.is_finite()
        || !scale.is_finite()
        || scale == 0.0
        || !within_unit(polynomial, interval)
    {
        return Err(Error::invalid(
            "centre and scale",
            format!("{centre} and {scale} for [{}, {}]", interval.lower, interval.upper),
            "(z - centre) scale in [-1, 1] on the interval, and a scale that is not 0",
        ));
    }
    let expected = minimax::sampled_error(activation, interval, polynomial);
    Ok(prove(activation, interval, polynomial, expected, LARGEST_DEGREE, &[])?.error)
}

fn check_interval(interval: Interval) -> Result<()> {
    let Interval { lower, upper } = interval;
    if interval.is_finite() && interval.magnitude() <= LARGEST_END {
        return Ok(());
    }
    let expected = "two numbers in order, at most 2^500 in size";
    Err(Error::invalid("interval", format!("[{lower}, {upper}]"), expected))
}

/// The largest alpha, in size.
const MOST_ALPHA: f64 = (1_u128 << 64) as f64;

fn check_activation(activation: Activation) -> Result<()> {
    match (activation, activation.parameter()) {
        (_, Some((key, value))) if !value.is_finite() => {
            Err(Error::invalid(key, value.to_string(), "a finite number"))
        }
        // Beyond it a check could not confirm the error.
        (Activation::Elu { alpha }, _) if alpha.abs() > MOST_ALPHA => {
            Err(Error::invalid("alpha", format!("{alpha:e}"), "at most 2^64 in size"))
        }
        _ => Ok(()),
    }
}

/// Whether (z - centre) scale lies in [-1, 1] on the interval.
fn within_unit(polynomial: Candidate, interval: Interval) -> bool {
    [interval.lower, interval.upper].iter().all(|&z| polynomial.place(z).abs() <= Dyadic::one())
}

/// The constant at an interval that is one number.
fn at_point(activation: Activation, interval: Interval) -> Result<Fit> {
    let z = interval.lower;
    let value = activation.value(z);
    let exact = |x: f64| rational_from_f64(x).unwrap_or_else(BigRational::zero);
    let bits = 120 + (-exponent_above(value)).clamp(0, 1100).unsigned_abs();
    let enclosure = activation.enclose(&Enclosure::point(exact(z)), bits);
    let distance = |end: &BigRational| (end - exact(value)).abs();
    let error = distance(enclosure.lower()).max(distance(enclosure.upper()));
    let error = Interval::around(&Enclosure::point(error)).upper;
    finite(Fit {
        centre: z,
        scale: 1.0,
        coefficients: vec![value],
        interval,
        error,
        lower_bound: 0.0,
        at_floor: true,
    })
}

/// The line that the activation is on the interval, exactly or to less than f64 resolves.
fn on_line(frame: &Frame, coefficients: Vec<f64>) -> Result<Fit> {
    let interval = frame.interval;
    let (centre, scale) = if coefficients.len() == 1 {
        (frame.centre, frame.scale)
    } else {
        // A power of two for scale and no centre: c_1 = slope / scale is exact.
        (0.0, power_of_two((-exponent_above(interval.magnitude())).min(1000)))
    };
    let coefficients: Vec<f64> =
        coefficients.iter().enumerate().map(|(k, c)| if k == 1 { c / scale } else { *c }).collect();
    let polynomial = Candidate { centre, scale, coefficients: &coefficients };
    let expected = ROUNDOFF * frame.size;
    let proof = prove(frame.activation, interval, polynomial, expected, frame.degree, &[])?;
    let (error, lower_bound) = (proof.error, proof.lower_bound);
    finite(Fit { centre, scale, coefficients, interval, error, lower_bound, at_floor: true })
}

/// The fit, if its numbers are.
fn finite(fit: Fit) -> Result<Fit> {
    if fit.error.is_finite() && fit.coefficients.iter().all(|c| c.is_finite()) {
        return Ok(fit);
    }
    let Interval { lower, upper } = fit.interval;
    let expected =
        "one on which the values of the activation and of the polynomial do not overflow";
    Err(Error::invalid("interval", format!("[{lower}, {upper}]"), expected))
}
