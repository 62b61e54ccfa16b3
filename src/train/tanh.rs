//! exp, and tanh and its derivative on columns of pre-activations, in vector registers.
//!
//! With k an integer and r = -2 |z| - k ln 2, |r| <= ln 2 / 2, and q = e^r - 1 by its Taylor
//! polynomial of degree 13 (remainder below 2^-57 |r|), m = e^(-2 |z|) - 1 = 2^k q + (2^k - 1)
//! keeps its relative accuracy also for small z; tanh |z| = -m / (2 + m), and the derivative is
//! 4 e^(-2 |z|) / (2 + m)^2. Only sums, products and one division: the same on every machine.

use crate::train::real::{Real, vectorised};

/// What takes the place of an exponent below it. There tanh is 1 in f64, its derivative below 1e-303.
const LOWEST: f64 = -700.0;
/// ln 2 in two parts, the first of so few bits that its small multiples are exact.
const LN_2: (f64, f64) = (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10);
/// A sum with it is rounded to an integer, which then stands in its lowest bits.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
/// 1/13!, ..., 1/2!, 1/1!.
const TAYLOR: [f64; 13] = {
    let mut terms = [1.0; 13];
    let (mut k, mut factorial) = (1, 1.0);
    while k <= 13 {
        factorial *= k as f64;
        terms[13 - k] = 1.0 / factorial;
        k += 1;
    }
    terms
};

/// `p` and `q` with e^t = p + p q, `p` a power of 2, for t <= 0; NaN where t is.
#[inline(always)]
fn exponential(t: f64) -> (f64, f64) {
    let t = if t < LOWEST { LOWEST } else { t };
    let shifted = t * std::f64::consts::LOG2_E + TO_INTEGER;
    let k = shifted - TO_INTEGER;
    let r = (t - k * LN_2.0) - k * LN_2.1;
    let mut q = 0.0;
    for term in TAYLOR {
        q = (q + term) * r;
    }
    (f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52), q)
}

/// e^t for t <= 0, at least e^-700; NaN where t is.
#[inline(always)]
pub(super) fn exp(t: f64) -> f64 {
    let (power, q) = exponential(t);
    power * q + power
}

/// tanh z and its derivative; NaN where z is.
#[inline(always)]
fn tanh(z: f64) -> (f64, f64) {
    let (power, q) = exponential(-2.0 * z.abs());
    let m = power * q + (power - 1.0);
    let under = 1.0 / (2.0 + m);
    ((-m * under).copysign(z), 4.0 * (power * q + power) * under * under)
}

vectorised! {
    /// `y = tanh z` on the channels from `first` on.
    pub(super) fn values<'a, T>(z: &'a [T], y: &'a mut [T], channels: usize, first: usize) -> () {
        for (z, y) in z.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for (z, y) in z[first..].iter().zip(&mut y[first..]) {
                *y = T::of(tanh(z.f64()).0);
            }
        }
    }
}

vectorised! {
    /// Turns derivatives by `tanh z` into those by `z`, on the channels from `first` on.
    pub(super) fn through<'a, T>(z: &'a [T], d: &'a mut [T], channels: usize, first: usize) -> () {
        for (z, d) in z.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
            for (z, d) in z[first..].iter().zip(&mut d[first..]) {
                *d *= T::of(tanh(z.f64()).1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Activation;

    #[test]
    fn it_is_the_tanh_of_the_standard_library_to_a_few_units_of_the_last_place() {
        assert_eq!((exp(0.0), exp(f64::NEG_INFINITY)), (1.0, exp(-700.0)));
        assert!(exp(f64::NAN).is_nan());
        let near = |own: f64, wanted: f64, z: f64| {
            let error = (own - wanted).abs();
            assert!(error <= 1e-15 * wanted.abs() + 1e-300, "{z}: {own} and not {wanted}");
        };
        for i in -4000..=4000 {
            let z = f64::from(i).powi(3) * 3e-10;
            let (value, derivative) = Activation::Tanh.value_and_derivative(z);
            near(tanh(z).0, value, z);
            near(tanh(z).1, derivative, z);
            let t = -z.abs();
            near(exp(t.max(-700.0)), t.max(-700.0).exp(), t);
        }
        for z in [0.0, 1e-300, 1e-9, 19.9, 20.1, 1e6, f64::MAX, f64::INFINITY] {
            near(tanh(z).0, z.tanh(), z);
            near(tanh(-z).0, -z.tanh(), -z);
        }
        assert!(tanh(f64::NAN).0.is_nan() && tanh(f64::NAN).1.is_nan());
        let z: Vec<f64> = (0..33).map(|i| f64::from(i) - 16.0).collect();
        let (mut y, mut d) = (vec![7.0; 33], vec![1.0; 33]);
        values(&z, &mut y, 11, 2);
        through(&z, &mut d, 11, 2);
        for i in 0..33 {
            let wanted = if i % 11 < 2 { (7.0, 1.0) } else { tanh(z[i]) };
            assert_eq!((y[i], d[i]), wanted);
        }
    }
}
