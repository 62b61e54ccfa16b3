//! Truncated series in floating point, every coefficient with a proven bound on its error.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use super::Watch;
use super::arithmetic::{Arithmetic, DoubleDouble, Float, LANES, Lanes};
use super::bounds::{self, INFLATE, Shadow};
use super::exact;
use super::kernel::{self, Block};
use super::layers::{Layer, Layers, Parameter, Slaf};
use super::table::Table;
use crate::error::{Error, Result};
use crate::numeric::Dyadic;
use crate::numeric::fixed::times_power;
use crate::numeric::rational::{rational_from_f64, rational_to_f64};

/// Half the distance of 1 from the next f64.
const U: f64 = f64::EPSILON / 2.0;

/// An exact number that is about to be rounded: dyadic / odd.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    dyadic: Dyadic,
    odd: BigInt,
}

impl Exact {
    fn rational(&self) -> BigRational {
        self.dyadic.to_rational() / BigRational::from(self.odd.clone())
    }

    /// The nearest f64, except that a number is 0 only where it is exactly; infinite beyond f64.
    fn nearest(&self) -> f64 {
        let rounded = match self.odd.is_one() {
            true => self.dyadic.to_f64(),
            false => rational_to_f64(&self.rational()),
        };
        let sign = if self.dyadic.is_negative() { -1.0 } else { 1.0 };
        match rounded {
            None => sign * f64::INFINITY,
            Some(x) if x == 0.0 && !self.dyadic.is_zero() => sign * f64::from_bits(1),
            Some(x) => x,
        }
    }

    fn minus(&self, x: f64) -> Self {
        // Only what is finite is taken away.
        let x = Dyadic::from_f64(x).unwrap_or_else(Dyadic::zero);
        let x = &x * &Dyadic::from(self.odd.clone());
        Exact { dyadic: &self.dyadic - &x, odd: self.odd.clone() }
    }
}

/// Floating-point arithmetic with the bounds of its errors.
pub(super) trait Precision: Arithmetic {
    /// `value` within a relative error of u or, among tiny numbers, 2^-1074; 0 only for 0.
    fn nearest(value: &Exact) -> Self::Number;
    /// The same for a parameter.
    fn parameter(value: &Parameter) -> Self::Number;
    /// The nearest f64.
    fn head(value: Self::Number) -> f64;
    /// What is left beside it.
    fn tail(value: Self::Number) -> f64;
    /// The f64 nearest to each of many.
    fn heads(many: &Self::Many) -> &Lanes;
    fn from_f64(x: f64) -> Self::Number;
    /// The error of a sum of n products of rounded numbers, relative to the sum of their sizes.
    fn delta(n: usize) -> f64;
}

fn exactly(parameter: &Parameter) -> Exact {
    match parameter {
        Parameter::Short { mantissa, exponent } => {
            let dyadic = Dyadic::new(BigInt::from(*mantissa), i64::from(*exponent));
            Exact { dyadic, odd: BigInt::one() }
        }
        Parameter::Long(dyadic) => Exact { dyadic: dyadic.clone(), odd: BigInt::one() },
        Parameter::Fraction(value) => {
            let twos = value.denom().trailing_zeros().unwrap_or(0);
            let dyadic = Dyadic::new(value.numer().clone(), -(twos as i64));
            Exact { dyadic, odd: value.denom() >> twos }
        }
    }
}

impl Precision for Float {
    fn nearest(value: &Exact) -> f64 {
        value.nearest()
    }
    fn parameter(value: &Parameter) -> f64 {
        if let Parameter::Short { mantissa, exponent } = value {
            let x = times_power(*mantissa as f64, *exponent);
            if x.abs() >= f64::MIN_POSITIVE || *mantissa == 0 {
                return x;
            }
        }
        exactly(value).nearest()
    }
    fn head(value: f64) -> f64 {
        value
    }
    fn tail(_: f64) -> f64 {
        0.0
    }
    fn heads(many: &Lanes) -> &Lanes {
        many
    }
    fn from_f64(x: f64) -> f64 {
        x
    }
    fn delta(n: usize) -> f64 {
        // Two roundings a product and sum, and of each factor once more: gamma_(n + 3).
        bounds::repeated(U, n + 3)
    }
}

impl Precision for DoubleDouble {
    fn nearest(value: &Exact) -> [f64; 2] {
        let head = value.nearest();
        if !head.is_finite() {
            return [head, 0.0];
        }
        let tail = value.minus(head);
        // 2^-1074 instead of 0 is within what underflow may lose.
        [head, if tail.dyadic.is_zero() { 0.0 } else { tail.nearest() }]
    }
    fn parameter(value: &Parameter) -> [f64; 2] {
        if let Parameter::Short { mantissa, exponent } = value {
            let x = times_power(*mantissa as f64, *exponent);
            let whole = mantissa.unsigned_abs() <= 1 << 53;
            if whole && (x.abs() >= f64::MIN_POSITIVE || *mantissa == 0) {
                return [x, 0.0];
            }
        }
        Self::nearest(&exactly(value))
    }
    fn head(value: [f64; 2]) -> f64 {
        value[0]
    }
    fn tail(value: [f64; 2]) -> f64 {
        value[1]
    }
    fn heads(many: &[Lanes; 2]) -> &Lanes {
        &many[0]
    }
    fn from_f64(x: f64) -> [f64; 2] {
        [x, 0.0]
    }
    fn delta(n: usize) -> f64 {
        DoubleDouble::sum_error(n + 2)
    }
}

/// The Taylor coefficients of a SLAF at a dyadic number z = Z 2^-e, exactly.
///
/// Over odd 2^(twos + d e) the polynomial in X, with z + X 2^-e for its argument, is an integer
/// polynomial, shifted by Z by repeated synthetic division (Horner).
fn taylor(slaf: &Slaf, z: &Dyadic) -> impl Iterator<Item = Exact> {
    let degree = slaf.degree();
    let e = (-z.exponent()).max(0) as u64;
    let shift = z.mantissa() << z.exponent().max(0) as u64;
    let mut b: Vec<BigInt> =
        slaf.integers.iter().enumerate().map(|(j, a)| a << (e * (degree - j) as u64)).collect();
    if !shift.is_zero() {
        for k in 0..degree {
            for j in (k..degree).rev() {
                let more = &b[j + 1] * &shift;
                b[j] += more;
            }
        }
    }
    let (odd, twos) = (slaf.odd.clone(), slaf.twos as i64);
    b.into_iter().enumerate().map(move |(k, b)| {
        let exponent = e as i64 * (k as i64 - degree as i64) - twos;
        Exact { dyadic: Dyadic::new(b, exponent), odd: odd.clone() }
    })
}

/// The series of the outputs, by monomial.
#[derive(Clone, Debug)]
pub(super) struct Outputs {
    pub degree: usize,
    pub values: Vec<Vec<f64>>,
    /// Proven bounds of |value - exact coefficient|.
    pub errors: Vec<Vec<f64>>,
}

impl Outputs {
    /// Whether every error is finite and at most `tolerance` times the largest exact coefficient of
    /// its output and degree, as far as is proven.
    pub fn within(&self, tolerance: f64, table: &Table) -> bool {
        self.values.iter().zip(&self.errors).all(|(values, errors)| {
            // What overflowed is no number, whatever its bound.
            values.iter().chain(errors).all(|v| v.is_finite())
                && (0..=self.degree).all(|k| {
                    let range = table.of_degree(k);
                    let worst = errors[range.clone()].iter().copied().fold(0.0, f64::max);
                    // At least one coefficient is as large as this.
                    let largest = values[range.clone()]
                        .iter()
                        .zip(&errors[range])
                        .map(|(v, e)| v.abs() - e)
                        .fold(0.0, f64::max);
                    // A rounding or two are far below the digits of the tolerance.
                    worst == 0.0 || worst <= tolerance * (1.0 - 1e-9) * largest
                })
        })
    }
}

/// Bombieri's norms of the parts of degree 0 to `degree` of each neuron of a block, from above.
fn norms<P: Precision>(
    block: &Block<P>,
    degree: usize,
    table: &Table,
    weights: &[f64],
) -> Vec<Lanes> {
    (0..=degree)
        .map(|k| {
            let (mut sum, mut any) = (Lanes::ZERO, [false; LANES]);
            for a in table.of_degree(k) {
                let x = P::heads(&block[a]);
                for l in 0..LANES {
                    sum.0[l] += x.0[l] * x.0[l] * weights[a];
                    any[l] |= x.0[l] != 0.0;
                }
            }
            for l in 0..LANES {
                // Squares may have lost 2^-1074 each, which is less than 2^-500 in the root.
                let lost = if any[l] { 2_f64.powi(-500) } else { 0.0 };
                sum.0[l] = sum.0[l].sqrt() * INFLATE + lost;
            }
            sum
        })
        .collect()
}

/// A bound on the size of a number that was rounded; not 0 where only the rounded number is.
fn magnitude<P: Precision>(rounded: P::Number, is_zero: bool) -> f64 {
    match P::head(rounded).abs() {
        0.0 if !is_zero => f64::from_bits(1),
        head => head * INFLATE,
    }
}

/// The series of `layers` up to total degree `degree`, `table`'s degree.
///
/// # Errors
/// Those of `watch`.
pub(super) fn expand<P: Precision>(
    precision: P,
    layers: &Layers,
    table: &Table,
    threads: bool,
    watch: &mut Watch,
) -> Result<Outputs> {
    let degrees = layers.degrees(table.degree);
    let multinomials = table.multinomials();
    let numbers: Vec<P::Number> = multinomials.iter().map(|m| P::from_f64(*m)).collect();
    let weights: Vec<f64> = multinomials.iter().map(|m| 1.0 / m).collect();
    // Beyond 2^53 multinomials are rounded, and beyond f64 nothing is known.
    let rounded: Vec<f64> = (0..=table.degree)
        .map(|k| {
            let largest = multinomials[table.of_degree(k)].iter().copied().fold(0.0, f64::max);
            match largest {
                m if m < 9e15 => 0.0,
                m if m < f64::INFINITY => bounds::repeated(U, 3 * k),
                _ => f64::INFINITY,
            }
        })
        .collect();
    let longest: Vec<usize> = (0..=table.degree)
        .scan(1, |longest, k| {
            *longest = table.longest(k).max(*longest);
            Some(*longest)
        })
        .collect();

    let mut blocks: Vec<Block<P>> = Vec::new();
    let mut shadows: Vec<Shadow> = Vec::new();
    let count = layers.layers.len();
    let mut width = 0;
    for (l, layer) in layers.layers.iter().enumerate() {
        let (inner, outer) = (degrees[l], degrees[l + 1]);
        let width_before = width;
        match layer {
            Layer::Affine { weights: rows, bias } => {
                let matrix: Vec<Vec<P::Number>> =
                    rows.iter().map(|row| row.iter().map(P::parameter).collect()).collect();
                let constants: Vec<P::Number> = bias.iter().map(P::parameter).collect();
                let many = |values: &dyn Fn(usize) -> P::Number, first: usize| {
                    let mut many = P::ZERO;
                    for lane in 0..LANES.min(rows.len() - first) {
                        P::set(&mut many, lane, values(first + lane));
                    }
                    many
                };
                let firsts: Vec<usize> = (0..rows.len()).step_by(LANES).collect();
                if l == 0 {
                    // The inputs themselves: constant and weights are the series.
                    blocks = firsts
                        .iter()
                        .map(|&first| {
                            let mut block = vec![many(&|i| constants[i], first)];
                            if inner == 1 {
                                block.extend(
                                    (0..layers.used.len()).map(|j| many(&|i| matrix[i][j], first)),
                                );
                            }
                            block
                        })
                        .collect();
                } else {
                    let inputs = &blocks;
                    let done = super::in_blocks(
                        &firsts,
                        threads,
                        &mut |&i| watch(l, count, i),
                        |&first| {
                            let weights: Vec<P::Many> =
                                (0..width).map(|j| many(&|i| matrix[i][j], first)).collect();
                            let bias = many(&|i| constants[i], first);
                            kernel::affine(precision, inputs, &weights, bias, LANES)
                        },
                    )?;
                    blocks = done;
                }
                width = rows.len();
                let heads: Vec<Vec<f64>> = matrix
                    .iter()
                    .zip(rows)
                    .map(|(row, exact)| {
                        let pairs = row.iter().zip(exact);
                        pairs.map(|(w, exact)| magnitude::<P>(*w, exact.is_zero())).collect()
                    })
                    .collect();
                let pairs = constants.iter().zip(bias);
                let bias: Vec<f64> =
                    pairs.map(|(b, exact)| magnitude::<P>(*b, exact.is_zero())).collect();
                let errors = match l {
                    // Only the parameters have been rounded.
                    0 => bias
                        .iter()
                        .zip(&heads)
                        .map(|(bias, row)| {
                            let mut error = vec![P::delta(1) * bias];
                            if inner == 1 {
                                let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
                                // The squares of the smallest are 0.
                                error.push(P::delta(1) * (norm + 2_f64.powi(-500)));
                            }
                            for (k, error) in error.iter_mut().enumerate() {
                                let live = if k == 0 {
                                    *bias != 0.0
                                } else {
                                    row.iter().any(|w| *w != 0.0)
                                };
                                *error =
                                    if live { *error * INFLATE + 2_f64.powi(-900) } else { 0.0 };
                            }
                            error
                        })
                        .collect(),
                    _ => bounds::affine(&heads, &bias, &shadows, P::delta(width_before + 1)),
                };
                shadows =
                    errors.into_iter().map(|error| Shadow { norm: Vec::new(), error }).collect();
                fill_norms::<P>(&mut shadows, &blocks, outer, table, &weights);
            }
            Layer::Neurons(slafs) => {
                let firsts: Vec<usize> = (0..width).step_by(LANES).collect();
                let (inputs, bounds_in) = (&blocks, &shadows);
                let done =
                    super::in_blocks(&firsts, threads, &mut |&i| watch(l, count, i), |&first| {
                        let block = &inputs[first / LANES];
                        let lanes = LANES.min(width - first);
                        let power =
                            (first..first + lanes).map(|i| slafs[i].degree()).max().unwrap_or(0);
                        let power = power.min(outer);
                        let mut t = vec![P::ZERO; power + 1];
                        let mut sizes = Vec::with_capacity(lanes);
                        for lane in 0..lanes {
                            let constant = P::get(&block[0], lane);
                            let z = Dyadic::from_f64(P::head(constant))
                                .zip(Dyadic::from_f64(P::tail(constant)));
                            let Some((head, tail)) = z else {
                                // Nothing is known of what comes of it.
                                sizes.push(vec![f64::INFINITY; slafs[first + lane].degree() + 1]);
                                continue;
                            };
                            let mut size = Vec::new();
                            for (k, value) in
                                taylor(&slafs[first + lane], &(&head + &tail)).enumerate()
                            {
                                let number = P::nearest(&value);
                                if k <= power {
                                    P::set(&mut t[k], lane, number);
                                }
                                size.push(magnitude::<P>(number, value.dyadic.is_zero()));
                            }
                            sizes.push(size);
                        }
                        let mut u = block.clone();
                        u[0] = P::ZERO;
                        let y = kernel::compose(precision, table, &numbers, &u, inner, &t, outer);
                        let step = kernel::scheme(table.variables, power, inner, outer).step;
                        let delta: Vec<f64> = (0..=outer)
                            .map(|m| match inner {
                                0 | 1 => bounds::repeated(P::delta(1), 2 * m + 3) + rounded[m],
                                _ => bounds::repeated(
                                    P::delta(longest[m] + step + 2),
                                    m.min(power) + 2,
                                ),
                            })
                            .collect();
                        let errors: Vec<Vec<f64>> = sizes
                            .iter()
                            .enumerate()
                            .map(|(lane, t)| {
                                bounds::compose(t, &bounds_in[first + lane], outer, &delta)
                            })
                            .collect();
                        (y, errors)
                    })?;
                let (next, errors): (Vec<_>, Vec<_>) = done.into_iter().unzip();
                blocks = next;
                shadows = errors
                    .into_iter()
                    .flatten()
                    .map(|error| Shadow { norm: Vec::new(), error })
                    .collect();
                fill_norms::<P>(&mut shadows, &blocks, outer, table, &weights);
            }
        }
    }

    let degree = degrees[count];
    let roots: Vec<f64> = multinomials.iter().map(|m| m.sqrt() * INFLATE).collect();
    let (mut values, mut errors) = (Vec::with_capacity(width), Vec::with_capacity(width));
    for (o, shadow) in shadows.iter().enumerate() {
        let block = &blocks[o / LANES];
        let (mut value, mut bound) =
            (Vec::with_capacity(block.len()), Vec::with_capacity(block.len()));
        for k in 0..=degree {
            for a in table.of_degree(k) {
                let x = P::get(&block[a], o % LANES);
                value.push(P::head(x));
                bound.push((roots[a] * shadow.error[k] + P::tail(x).abs()) * INFLATE);
            }
        }
        values.push(value);
        errors.push(bound);
    }
    Ok(Outputs { degree, values, errors })
}

fn fill_norms<P: Precision>(
    shadows: &mut [Shadow],
    blocks: &[Block<P>],
    degree: usize,
    table: &Table,
    weights: &[f64],
) {
    for (neurons, block) in shadows.chunks_mut(LANES).zip(blocks) {
        let norms = norms::<P>(block, degree, table, weights);
        for (lane, shadow) in neurons.iter_mut().enumerate() {
            shadow.norm = norms.iter().map(|n| n.0[lane]).collect();
        }
    }
}

/// The exact coefficients rounded once, with errors of at most half a unit in the last place.
///
/// # Errors
/// When one is beyond f64.
pub(super) fn rounded(exact: &exact::Outputs, names: &[String], table: &Table) -> Result<Outputs> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for (numerators, name) in exact.numerators.iter().zip(names) {
        let (mut value, mut error) = (Vec::new(), Vec::new());
        for k in 0..=exact.degree {
            for a in table.of_degree(k) {
                let coefficient = exact.rational(&numerators[a]);
                let x = rational_to_f64(&coefficient).ok_or_else(|| {
                    Error::invalid(
                        format!("output {name:?}, a term of degree {k}"),
                        "a coefficient beyond the range of f64",
                        "coefficients below 1.8e308; write them as rationals",
                    )
                })?;
                let same = rational_from_f64(x).is_some_and(|x| x == coefficient);
                value.push(x);
                error.push(if same { 0.0 } else { (x.abs() * U).next_up().max(f64::from_bits(1)) });
            }
        }
        values.push(value);
        errors.push(error);
    }
    Ok(Outputs { degree: exact.degree, values, errors })
}
