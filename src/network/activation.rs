//! The conventional activation functions: values, derivatives, exact values, enclosures.
//!
//! An [`Activation`] acts on every neuron of its layer alike, y = s(z). Training and f64
//! evaluation use [`value`](Activation::value) and [`derivative`](Activation::derivative), which
//! are accurate to a few units in the last place for every finite pre-activation and never
//! overflow on the way. Proofs use [`exact`](Activation::exact), where the function is piecewise
//! polynomial, and [`enclose`](Activation::enclose), where it is not.
//!
//! ```
//! use slnn::network::activation::Activation;
//!
//! let relu = Activation::from_name("relu", None)?;
//! assert_eq!(relu.value_and_derivative(-2.0), (0.0, 0.0));
//! assert_eq!(Activation::Tanh.lipschitz(), 1.0);
//! # Ok::<(), slnn::Error>(())
//! ```

use crate::error::{Error, Result};
use crate::numeric::elementary;
use crate::numeric::interval::{Enclosure, dyadic};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use std::f64::consts::FRAC_1_SQRT_2;

/// A conventional activation function y = s(z).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// s(z) = z.
    Identity,
    /// s(z) = max(z, 0).
    Relu,
    /// s(z) = z for z >= 0, slope z below.
    LeakyRelu {
        /// The derivative below 0; finite.
        slope: f64,
    },
    /// s(z) = |z|.
    Abs,
    /// s(z) = min(max(z, -1), 1).
    HardTanh,
    /// s(z) = tanh z.
    Tanh,
    /// s(z) = 1 / (1 + e^-z).
    Sigmoid,
    /// s(z) = ln(1 + e^z).
    Softplus,
    /// s(z) = z for z >= 0, alpha (e^z - 1) below.
    Elu {
        /// Minus the limit at minus infinity; finite.
        alpha: f64,
    },
    /// s(z) = z / (1 + e^-z).
    Silu,
    /// s(z) = z (1 + erf(z / sqrt 2)) / 2, the form by the error function.
    Gelu,
    /// s(z) = sin z.
    Sin,
}

impl Activation {
    /// Every activation, with the default parameters (slope 0.01, alpha 1).
    pub const ALL: [Activation; 12] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::Abs,
        Activation::HardTanh,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Softplus,
        Activation::Elu { alpha: 1.0 },
        Activation::Silu,
        Activation::Gelu,
        Activation::Sin,
    ];

    /// The name that the network file uses.
    pub fn name(&self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Abs => "abs",
            Activation::HardTanh => "hard_tanh",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Softplus => "softplus",
            Activation::Elu { .. } => "elu",
            Activation::Silu => "silu",
            Activation::Gelu => "gelu",
            Activation::Sin => "sin",
        }
    }

    /// The parameter, if the function has one, with the key that the network file uses.
    pub fn parameter(&self) -> Option<(&'static str, f64)> {
        match *self {
            Activation::LeakyRelu { slope } => Some(("slope", slope)),
            Activation::Elu { alpha } => Some(("alpha", alpha)),
            _ => None,
        }
    }

    /// The activation called `name`, with `parameter` (the slope of `leaky_relu`, the alpha of
    /// `elu`) or its default.
    ///
    /// # Errors
    /// An unknown name, a parameter that is not finite, a parameter for a function without one.
    pub fn from_name(name: &str, parameter: Option<f64>) -> Result<Self> {
        let Some(found) = Self::ALL.into_iter().find(|activation| activation.name() == name) else {
            let names = Self::ALL.map(|activation| activation.name()).join(", ");
            return Err(Error::invalid("function", format!("{name:?}"), format!("one of {names}")));
        };
        let Some(value) = parameter else { return Ok(found) };
        let Some((key, _)) = found.parameter() else {
            let place = format!("function {name:?}");
            return Err(Error::invalid(place, format!("the parameter {value}"), "none"));
        };
        if !value.is_finite() {
            return Err(Error::invalid(key, value.to_string(), "a finite number"));
        }
        Ok(match found {
            Activation::LeakyRelu { .. } => Activation::LeakyRelu { slope: value },
            _ => Activation::Elu { alpha: value },
        })
    }

    /// Whether the function is a polynomial on the whole line (only the identity is).
    pub fn is_polynomial(&self) -> bool {
        *self == Activation::Identity
    }

    /// Whether the function is a polynomial on each of finitely many pieces of the line.
    pub fn is_piecewise_polynomial(&self) -> bool {
        matches!(
            self,
            Activation::Identity
                | Activation::Relu
                | Activation::LeakyRelu { .. }
                | Activation::Abs
                | Activation::HardTanh
        )
    }

    /// The points, ascending, where the formula changes: the only ones where the derivative may
    /// jump.
    pub fn kinks(&self) -> &'static [f64] {
        match self {
            Activation::Relu
            | Activation::LeakyRelu { .. }
            | Activation::Abs
            | Activation::Elu { .. } => &[0.0],
            Activation::HardTanh => &[-1.0, 1.0],
            _ => &[],
        }
    }

    /// s(z) in f64, within a few units in the last place for finite z; a NaN stays a NaN.
    #[inline]
    pub fn value(&self, z: f64) -> f64 {
        match *self {
            Activation::Identity => z,
            // The comparisons send a NaN to the branch that keeps it.
            Activation::Relu => {
                if z <= 0.0 {
                    0.0
                } else {
                    z
                }
            }
            Activation::LeakyRelu { slope } => {
                if z < 0.0 {
                    slope * z
                } else {
                    z
                }
            }
            Activation::Abs => z.abs(),
            Activation::HardTanh => z.clamp(-1.0, 1.0),
            Activation::Tanh => z.tanh(),
            Activation::Sigmoid => sigmoid(z),
            Activation::Softplus => softplus(z),
            Activation::Elu { alpha } => {
                if z < 0.0 {
                    alpha * z.exp_m1()
                } else {
                    z
                }
            }
            Activation::Silu => silu(z).0,
            Activation::Gelu => gelu(z).0,
            Activation::Sin => z.sin(),
        }
    }

    /// s'(z) in f64; at a kink the derivative from the right.
    #[inline]
    pub fn derivative(&self, z: f64) -> f64 {
        self.value_and_derivative(z).1
    }

    /// s(z) and s'(z) in f64, sharing the work; at a kink the derivative from the right.
    #[inline]
    pub fn value_and_derivative(&self, z: f64) -> (f64, f64) {
        let derivative = match *self {
            Activation::Identity => 1.0,
            Activation::Relu => f64::from(z >= 0.0),
            Activation::LeakyRelu { slope } => {
                if z < 0.0 {
                    slope
                } else {
                    1.0
                }
            }
            Activation::Abs => {
                if z < 0.0 {
                    -1.0
                } else {
                    1.0
                }
            }
            Activation::HardTanh => f64::from((-1.0..1.0).contains(&z)),
            Activation::Tanh => {
                // sech^2; 1 - tanh^2 would lose every digit for large |z|.
                let e = (-z.abs()).exp();
                let sech = 2.0 * e / (1.0 + e * e);
                sech * sech
            }
            Activation::Sigmoid => {
                let e = (-z.abs()).exp();
                e / ((1.0 + e) * (1.0 + e))
            }
            Activation::Softplus => sigmoid(z),
            Activation::Elu { alpha } => {
                if z < 0.0 {
                    alpha * z.exp()
                } else {
                    1.0
                }
            }
            Activation::Silu => return silu(z),
            Activation::Gelu => return gelu(z),
            Activation::Sin => z.cos(),
        };
        (self.value(z), derivative)
    }

    /// An upper bound on |s(u) - s(v)| / |u - v| over the whole line: the least one, rounded up.
    ///
    /// SiLU: s'' = sigma' (2 - z tanh(z/2)), so s' is largest where z tanh(z/2) = 2, at
    /// 2.3993572805..., with value 1.0998393201... GELU: s'' = phi(z) (2 - z^2), so s' is largest
    /// at sqrt 2, with value 1.1289041451...
    pub fn lipschitz(&self) -> f64 {
        match *self {
            Activation::LeakyRelu { slope } => slope.abs().max(1.0),
            Activation::Elu { alpha } => alpha.abs().max(1.0),
            Activation::Sigmoid => 0.25,
            Activation::Silu => 1.099_839_320_128_867,
            Activation::Gelu => 1.128_904_145_185_155,
            _ => 1.0,
        }
    }

    /// s(z) exactly, for a piecewise-polynomial function; `None` for the others.
    ///
    /// The slope of `leaky_relu` is the dyadic number that its f64 is.
    pub fn exact(&self, z: &BigRational) -> Option<BigRational> {
        Some(match *self {
            Activation::Identity => z.clone(),
            Activation::Relu if z.is_negative() => BigRational::zero(),
            Activation::Relu => z.clone(),
            Activation::LeakyRelu { slope } if z.is_negative() => {
                z * BigRational::from_float(slope)?
            }
            Activation::LeakyRelu { .. } => z.clone(),
            Activation::Abs => z.abs(),
            Activation::HardTanh => {
                let one = BigRational::one();
                z.clone().clamp(-one.clone(), one)
            }
            _ => return None,
        })
    }

    /// An interval that holds s(z) for every z in `input`, at most
    /// [`lipschitz`](Self::lipschitz) x (width of `input`) + 2^-bits wide.
    ///
    /// Exact end points for a piecewise-polynomial function, dyadic ones of `bits` + 4 fractional
    /// bits at most for the others. Two or three evaluations of [`elementary`]. A sine at
    /// |z| >= 2^4096 is only enclosed by [-1, 1]. A slope or alpha that is not finite, which
    /// [`from_name`](Self::from_name) refuses, counts as 0.
    pub fn enclose(&self, input: &Enclosure, bits: u32) -> Enclosure {
        match *self {
            Activation::Tanh => increasing(input, bits, elementary::tanh),
            Activation::Sigmoid => increasing(input, bits, elementary::sigmoid),
            Activation::Softplus => increasing(input, bits, elementary::softplus),
            Activation::Silu => enclose_with_minimum(input, bits, elementary::silu, &SILU),
            Activation::Gelu => enclose_with_minimum(input, bits, elementary::gelu, &GELU),
            Activation::Sin => enclose_sin(input, bits),
            Activation::Elu { alpha } => {
                let alpha = BigRational::from_float(alpha).unwrap_or_else(BigRational::zero);
                let elu = |z: &BigRational| elementary::elu(z, &alpha, bits.saturating_add(1));
                // Monotone on either side of 0.
                ends_and(input, &[0.0], elu)
            }
            _ => ends_and(input, self.kinks(), |z| {
                Enclosure::point(self.exact(z).unwrap_or_else(BigRational::zero))
            }),
        }
    }
}

/// The hull of the values at the ends of `input` and at the `points` inside: the range of a
/// function that is monotone between the points.
fn ends_and(
    input: &Enclosure,
    points: &[f64],
    function: impl Fn(&BigRational) -> Enclosure,
) -> Enclosure {
    if input.is_point() {
        return function(input.lower());
    }
    let inside = points.iter().filter_map(|point| BigRational::from_float(*point));
    [input.lower().clone(), input.upper().clone()]
        .into_iter()
        .chain(inside.filter(|point| input.contains(point)))
        .map(|z| function(&z))
        .reduce(|a, b| a.hull(&b))
        // There are two ends at least.
        .unwrap_or_else(|| function(input.lower()))
}

/// The range of an increasing function, by its values at the ends.
fn increasing(
    input: &Enclosure,
    bits: u32,
    function: impl Fn(&BigRational, u32) -> Enclosure,
) -> Enclosure {
    ends_and(input, &[], |z| function(z, bits.saturating_add(1)))
}

/// What is known of a function that falls up to one point and rises from there.
struct Minimum {
    /// floor(2^60 z) for the point z of the minimum, which is not a multiple of 2^-60.
    place: i64,
    /// A number below the least value, in units of 2^-60.
    value: i64,
    /// A bound on the second derivative, in tenths.
    curvature_tenths: i64,
}

/// s' = (1 + z + e^z) e^z / (1 + e^z)^2: the first factor increases, its zero is z* =
/// -1.2784645427610737951..., and s(z*) = 1 + z*. |s''| <= 1/2: sigma' <= 1/4 and
/// |2 - z tanh(z/2)| <= 2 for |z| <= 4; beyond, s'' is below |z| e^-|z|.
const SILU: Minimum = Minimum {
    place: -1_473_969_264_226_601_855,
    value: -321_047_759_619_754_879,
    curvature_tenths: 5,
};

/// s'(-t) = phi(t) (Mills' ratio at t - t): the ratio falls, t rises, they meet at t* =
/// 0.7517915247..., and s(-t*) = -0.1699712074... s'' = phi(z) (2 - z^2), |s''| <= 2 phi(0) < 0.8.
const GELU: Minimum = Minimum {
    place: -866_756_615_800_379_887,
    value: -195_963_460_267_573_093,
    curvature_tenths: 8,
};

/// The range of a function with one minimum z*.
///
/// Away from z* the function is monotone. Otherwise the upper end is at an end of `input`; so is
/// the lower one, unless z* lies inside: then |z* - m| <= r for the midpoint m and the radius r,
/// s'(z*) = 0, and s(z*) >= s(m) - max|s''| r^2 / 2.
fn enclose_with_minimum(
    input: &Enclosure,
    bits: u32,
    function: impl Fn(&BigRational, u32) -> Enclosure,
    minimum: &Minimum,
) -> Enclosure {
    let ends = increasing(input, bits, &function);
    let grid = |units: i64| dyadic(BigInt::from(units), 60);
    if input.is_point()
        || *input.upper() <= grid(minimum.place)
        || *input.lower() >= grid(minimum.place + 1)
    {
        return ends;
    }
    let middle = function(&input.midpoint(), bits.saturating_add(2));
    let width = input.width();
    // max|s''| r^2 / 2 with r = width / 2.
    let drop = &width * &width * BigRational::new(minimum.curvature_tenths.into(), 80.into());
    let inside = (middle.lower() - drop).max(grid(minimum.value));
    let inside = Enclosure::point(inside).round_outward(bits.saturating_add(3));
    Enclosure::ordered(inside.lower().min(ends.lower()).clone(), ends.upper().clone())
}

/// The range of the sine.
///
/// With the midpoint m and the radius r, cos has one sign on the whole of `input` when
/// |cos m| > r, because it is 1-Lipschitz: there the sine is monotone. Otherwise
/// |sin z - sin m| <= |cos m| r + r^2 / 2, and at most r.
fn enclose_sin(input: &Enclosure, bits: u32) -> Enclosure {
    let one = Enclosure::ordered(-BigRational::one(), BigRational::one());
    let width = input.width();
    if width > BigRational::from_integer(7.into()) {
        return one;
    }
    let ends = increasing(input, bits, elementary::sin);
    if input.is_point() {
        return clip(ends, &one);
    }
    let middle = input.midpoint();
    let radius = &width / BigInt::from(2);
    let cosine = elementary::cos(&middle, bits.saturating_add(2));
    if *cosine.lower() > radius || *cosine.upper() < -&radius {
        return clip(ends, &one);
    }
    let slope = cosine.lower().abs().max(cosine.upper().abs());
    let reach = (slope * &radius + &radius * &radius / BigInt::from(2)).min(radius);
    let around = Enclosure::ordered(-&reach, reach).round_outward(bits.saturating_add(3));
    clip(elementary::sin(&middle, bits.saturating_add(2)).add(&around), &one)
}

/// The part of `range` inside `limits`, two intervals that share a number.
fn clip(range: Enclosure, limits: &Enclosure) -> Enclosure {
    range.intersection(limits).unwrap_or(range)
}

/// 1 / (1 + e^-z), from an exponential that cannot overflow.
fn sigmoid(z: f64) -> f64 {
    let e = (-z.abs()).exp();
    if z < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// ln(1 + e^z) = max(z, 0) + ln(1 + e^-|z|).
fn softplus(z: f64) -> f64 {
    let tail = (-z.abs()).exp().ln_1p();
    if z <= 0.0 { tail } else { z + tail }
}

/// z sigma(z) and its derivative.
///
/// At -t, t >= 0, with e = e^-t they are -t e / (1 + e) and e (1 + e - t) / (1 + e)^2; at t,
/// s(t) = t + s(-t), which cancels at most one bit.
fn silu(z: f64) -> (f64, f64) {
    let t = z.abs();
    // Two factors e^(-t/2), the last one applied at the end: only the result may be subnormal.
    let half = (-0.5 * t).exp();
    let denominator = 1.0 + half * half;
    let value = -t / denominator * half * half;
    let derivative = (denominator - t) / (denominator * denominator) * half * half;
    if z < 0.0 { (value, derivative) } else { (z + value, 1.0 - derivative) }
}

/// z Phi(z) and its derivative Phi(z) + z phi(z), of the standard normal law.
///
/// At -t, t >= 0, both are small multiples of e^(-t^2/2), which is computed from an exact square
/// so that the relative error stays at a few units; at t, s(t) = t + s(-t).
fn gelu(z: f64) -> (f64, f64) {
    /// 1 / sqrt(2 pi), the density at 0.
    const PEAK: f64 = 0.398_942_280_401_432_7;
    let t = z.abs();
    if t >= 40.0 {
        // e^-800 is far below the smallest subnormal number.
        return if z < 0.0 { (-0.0, -0.0) } else { (z, 1.0) };
    }
    // The leading 26 bits of t have an exact square.
    let high = f64::from_bits(t.to_bits() & 0xffff_ffff_f800_0000);
    let quarter = (-0.25 * high * high).exp();
    let rest = (-0.5 * (t - high) * (t + high)).exp();
    let x = t * FRAC_1_SQRT_2;
    let (value, derivative) = if x < 1.25 {
        let tail = 0.5 * erfc_small(x);
        (-t * tail, tail - t * (PEAK * quarter * quarter * rest))
    } else {
        let scaled_tail = 0.5 * erfc_scaled(x);
        // `quarter` comes in twice, the second time at the end: only the result may be subnormal.
        (
            -t * scaled_tail * rest * quarter * quarter,
            (scaled_tail - t * PEAK) * rest * quarter * quarter,
        )
    };
    if z < 0.0 { (value, derivative) } else { (z + value, 1.0 - derivative) }
}

// The rational approximations below are those of the freely distributable mathematics library
// (fdlibm), s_erf.c, whose notice reads:
//
//   Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
//   Developed at SunPro, a Sun Microsystems, Inc. business.
//   Permission to use, copy, modify, and distribute this software is freely granted,
//   provided that this notice is preserved.

/// erfc(x) for 0 <= x < 1.25; absolute error of the approximations below 2^-57.
fn erfc_small(x: f64) -> f64 {
    if x < 0.84375 {
        let square = x * x;
        let correction = x * (horner(&CENTRE_P, square) / horner(&CENTRE_Q, square));
        if x < 0.25 { 1.0 - (x + correction) } else { 0.5 - ((x - 0.5) + correction) }
    } else {
        // 1 - 0.845..., erf(1) rounded to 24 bits, is exact.
        let s = x - 1.0;
        (1.0 - 0.845_062_911_510_467_5) - horner(&MIDDLE_P, s) / horner(&MIDDLE_Q, s)
    }
}

/// erfc(x) e^(x^2) for 1.25 <= x <= 28.3; error of the exponent below 2^-61.
fn erfc_scaled(x: f64) -> f64 {
    let s = 1.0 / (x * x);
    let exponent = if x < 1.0 / 0.35 {
        horner(&NEAR_P, s) / horner(&NEAR_Q, s)
    } else {
        horner(&FAR_P, s) / horner(&FAR_Q, s)
    };
    (exponent - 0.5625).exp() / x
}

/// sum c_k x^k, c_0 first.
fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

const CENTRE_P: [f64; 5] = [
    0.12837916709551256,
    -0.3250421072470015,
    -0.02848174957559851,
    -0.005770270296489442,
    -2.3763016656650163e-05,
];
const CENTRE_Q: [f64; 6] = [
    1.0,
    0.39791722395915535,
    0.0650222499887673,
    0.005081306281875766,
    0.00013249473800432164,
    -3.960228278775368e-06,
];
const MIDDLE_P: [f64; 7] = [
    -0.0023621185607526594,
    0.41485611868374833,
    -0.3722078760357013,
    0.31834661990116175,
    -0.11089469428239668,
    0.035478304325618236,
    -0.002166375594868791,
];
const MIDDLE_Q: [f64; 7] = [
    1.0,
    0.10642088040084423,
    0.540397917702171,
    0.07182865441419627,
    0.12617121980876164,
    0.01363708391202905,
    0.011984499846799107,
];
const NEAR_P: [f64; 8] = [
    -0.009864944034847148,
    -0.6938585727071818,
    -10.558626225323291,
    -62.375332450326006,
    -162.39666946257347,
    -184.60509290671104,
    -81.2874355063066,
    -9.814329344169145,
];
const NEAR_Q: [f64; 9] = [
    1.0,
    19.651271667439257,
    137.65775414351904,
    434.56587747522923,
    645.3872717332679,
    429.00814002756783,
    108.63500554177944,
    6.570249770319282,
    -0.0604244152148581,
];
const FAR_P: [f64; 7] = [
    -0.0098649429247001,
    -0.799283237680523,
    -17.757954917754752,
    -160.63638485582192,
    -637.5664433683896,
    -1025.0951316110772,
    -483.5191916086514,
];
const FAR_Q: [f64; 8] = [
    1.0,
    30.33806074348246,
    325.7925129965739,
    1536.729586084437,
    3199.8582195085955,
    2553.0504064331644,
    474.52854120695537,
    -22.44095244658582,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The constants of [`SILU`] and [`GELU`], proven by the signs of the derivative on either
    /// side of the minimum.
    #[test]
    fn minima_lie_where_they_are_said_to() {
        let bits = 200;
        let at = |units: i64| dyadic(BigInt::from(units), 60);
        let exp = |z: &BigRational| elementary::exp(z, bits).unwrap();
        let one = BigRational::one();
        // SiLU' has the sign of 1 + z + e^z.
        let silu_slope = |z: BigRational| exp(&z).add(&Enclosure::point(z + &one));
        assert!(silu_slope(at(SILU.place)).upper().is_negative());
        assert!(silu_slope(at(SILU.place + 1)).lower().is_positive());
        // At z < 0, GELU' = GELU z / z + z e^(-z^2 / 2) / sqrt(2 pi) has the sign of
        // 2 pi GELU(z)^2 - z^4 e^(-z^2).
        let gelu_slope = |z: BigRational| {
            let gelu = elementary::gelu(&z, bits);
            let square = &z * &z;
            let pi = elementary::pi(bits).scale(&BigRational::from_integer(2.into()));
            gelu.mul(&gelu).mul(&pi).sub(&exp(&-&square).scale(&(&square * &square)))
        };
        assert!(gelu_slope(at(GELU.place)).upper().is_negative());
        assert!(gelu_slope(at(GELU.place + 1)).lower().is_positive());
        // The minimum lies within 2^-60, so the value within 2^-120.
        for (minimum, value) in [
            (SILU, elementary::silu(&at(SILU.place), bits)),
            (GELU, elementary::gelu(&at(GELU.place), bits)),
        ] {
            let above = value.lower() - at(minimum.value);
            assert!(above > dyadic(BigInt::one(), 120) && above <= at(1));
        }
    }
}
