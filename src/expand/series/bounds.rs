//! Proven bounds on the errors of series in floating point.
//!
//! A series is bounded by one number a degree: Bombieri's norm of its homogeneous part of degree k,
//! [p]^2 = sum over |a| = k of |p_a|^2 / C(a), with the multinomial coefficient C(a) = k! / a!
//! (Beauzamy, Bombieri, Enflo and Montgomery, *Products of polynomials in many variables*, 1990). It
//! is a norm, it sees absolute values only, |p_a| <= sqrt(C(a)) [p], and [p q] <= [p] [q]: for p of
//! degree m, q of degree n and |c| = m + n, by Cauchy and Schwarz
//!
//! |sum_a p_a q_(c-a)|^2 <= sum_a C(a) C(c-a) . sum_a |p_a|^2 / C(a) |q_(c-a)|^2 / C(c-a),
//!
//! the first sum is C(c) by Vandermonde's identity; divide by it and sum over c. On powers of linear
//! forms it is an equality, so that the bounds stay tight through a network.
//!
//! The exact series of a neuron is its computed one plus an error with [error_k] <= E_k; N_k is
//! at least the norm of the computed part of degree k. With t_k the Taylor coefficients of a SLAF at
//! the computed constant, and N and E read as series in one variable, N_0 = 0,
//!
//! - exact arithmetic turns the error into one of at most sum_k |t_k| ((N + E)^k - N^k);
//! - rounding adds at most delta sum_k |t_k| N^k, where every term of the computed result has been
//!   multiplied by factors 1 + d with a product between 1 - delta and 1 + delta;
//! - underflow adds at most 2^-1074 an operation, amplified by what it is then multiplied by.
//!
//! These bounds are themselves computed in f64 from nonnegative numbers only: sums and products of
//! fewer than 2^30 of them are accurate to 2^-22, which [`INFLATE`] makes good; what underflows in
//! them is made good with that of the series.

/// 1 + 2^-20: more than what fewer than 2^30 roundings lose in a sum of products of nonnegative numbers.
pub(super) const INFLATE: f64 = 1.0 + 1.0 / (1_u64 << 20) as f64;

/// 2^-960: operations, at most 2^50 a coefficient and neuron, times 2^-1074, times the square root of
/// the number of monomials of a degree, at most 2^16; and more for underflow in the bounds themselves.
const UNDERFLOW: f64 = f64::from_bits((1023 - 960) << 52);

/// Bounds of a neuron's series, by degree.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shadow {
    /// Norms of the computed series.
    pub norm: Vec<f64>,
    /// Norms of its error.
    pub error: Vec<f64>,
}

/// a += factor b c as series in one variable.
fn add_product(a: &mut [f64], b: &[f64], c: &[f64], factor: f64) {
    for (i, b) in b.iter().enumerate().filter(|(_, b)| **b != 0.0) {
        for (c, a) in c.iter().zip(&mut a[i..]) {
            *a += factor * b * c;
        }
    }
}

/// (1 + delta)^count - 1, from above; infinite where that is not small.
pub(super) fn repeated(delta: f64, count: usize) -> f64 {
    let sum = delta * count as f64;
    if sum < 0.01 { 1.02 * sum } else { f64::INFINITY }
}

/// The error of an affine map: |weights| of each output, |bias|, the inputs' bounds, and the error
/// of a sum of as many products and two more roundings, relative to the sum of their sizes.
pub(super) fn affine(
    weights: &[Vec<f64>],
    bias: &[f64],
    inputs: &[Shadow],
    delta: f64,
) -> Vec<Vec<f64>> {
    let len = inputs.first().map_or(1, |s| s.norm.len());
    weights
        .iter()
        .zip(bias)
        .map(|(row, bias)| {
            let mut error = vec![0.0; len];
            let mut live = vec![false; len];
            error[0] = delta * bias;
            live[0] = *bias != 0.0;
            for (w, input) in row.iter().zip(inputs).filter(|(w, _)| **w != 0.0) {
                for m in 0..len {
                    // Weights that are not normal lose more than their share.
                    error[m] += w * (input.error[m] + delta * input.norm[m])
                        + UNDERFLOW * (input.error[m] + input.norm[m]);
                    live[m] |= input.norm[m] != 0.0 || input.error[m] != 0.0;
                }
            }
            let underflow = (1.0 + row.iter().sum::<f64>()) * UNDERFLOW;
            finish(&mut error, live.into_iter(), underflow);
            error
        })
        .collect()
}

fn finish(error: &mut [f64], live: impl Iterator<Item = bool>, underflow: f64) {
    for (error, live) in error.iter_mut().zip(live) {
        *error = if live { *error * INFLATE + underflow } else { 0.0 };
        if error.is_nan() {
            *error = f64::INFINITY;
        }
    }
}

/// The error of a composition with a SLAF of Taylor coefficients `t` (exact where they are 0), up to
/// degree `outer`. `delta[m]` is the error of every term of degree m relative to its size.
pub(super) fn compose(t: &[f64], u: &Shadow, outer: usize, delta: &[f64]) -> Vec<f64> {
    let len = outer + 1;
    let mut norm = u.norm.clone();
    let mut error = u.error.clone();
    norm.resize(len, 0.0);
    error.resize(len, 0.0);
    // The constant is in the coefficients.
    norm[0] = 0.0;
    let total: Vec<f64> = norm.iter().zip(&error).map(|(n, e)| n + e).collect();
    let pattern: Vec<f64> = total.iter().map(|x| f64::from(u8::from(*x != 0.0))).collect();
    let one = |len: usize| {
        let mut one = vec![0.0; len];
        one[0] = 1.0;
        one
    };
    // N^k, (N + E)^k - N^k, and where (N + E)^k is not zero, which must not underflow.
    let (mut power, mut lost, mut live) = (one(len), vec![0.0; len], one(len));
    let mut result = vec![0.0; len];
    let mut alive = vec![false; len];
    for (k, t) in t.iter().enumerate() {
        if k > 0 {
            let (mut p, mut l, mut v) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
            add_product(&mut l, &lost, &total, 1.0);
            add_product(&mut l, &power, &error, 1.0);
            add_product(&mut p, &power, &norm, 1.0);
            add_product(&mut v, &live, &pattern, 1.0);
            v.iter_mut().for_each(|x| *x = x.min(1.0));
            (power, lost, live) = (p, l, v);
        }
        if *t != 0.0 {
            for m in 0..len {
                result[m] += t.abs() * (lost[m] + delta[m] * power[m]);
                alive[m] |= live[m] != 0.0;
            }
        }
    }
    // What is lost by underflow is multiplied by fewer than t.len() factors of at most this size.
    let size = 2.0 + total.iter().sum::<f64>();
    let coefficients = 1.0 + t.iter().map(|t| t.abs()).sum::<f64>();
    let underflow = UNDERFLOW * coefficients * size.powi(t.len().min(1 << 20) as i32);
    finish(&mut result, alive.into_iter(), underflow);
    result
}
