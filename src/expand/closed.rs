//! One hidden layer: every coefficient in closed form.
//!
//! Let P = sum_i w_i p_i(b_i + sum_j a_ij x_j). By Taylor's formula for p_i at b_i and the
//! multinomial theorem the coefficient of x^e with |e| = m is
//!
//! ```text
//! sum_i w_i p_i^(m)(b_i) prod_j a_ij^{e_j} / e_j!
//! ```
//!
//! It is worked out modulo primes above the degree, four to a vector, and put together by Chinese
//! remainders. Monomials of one degree go in graded order; the product of all factors but the last
//! is kept for each neuron, so that nearly every monomial takes one product a neuron. A job is a
//! degree and a choice of the first two exponents: its monomials are neighbours in the result, and
//! only its residues are held.

use std::sync::atomic::Ordering;
use std::time::Instant;

use rayon::prelude::*;

use crate::expand::lattice::{
    Cancelled, Demands, Remainders, Times, Word, Work, primes_for, words_for,
};
use crate::expand::plan::dense_terms;
use crate::expand::stages::{Bound, Number, Stages};
use crate::numeric::modular;
use crate::numeric::residues::{Machine, Moduli, Residues, primes};
use crate::polynomial::Packed;

/// The residue of a parameter modulo a prime that does not divide its denominator.
pub(super) fn residue(number: &Number, p: u64) -> u64 {
    match number {
        Number::Dyadic { mantissa, exponent } => {
            let base = if *exponent < 0 { p.div_ceil(2) } else { 2 };
            let power = modular::pow(base, u64::from(exponent.unsigned_abs()), p);
            // The remainder is not negative and below p < 2^50.
            modular::mul(mantissa.rem_euclid(p as i64) as u64, power, p)
        }
        Number::Rational(x) => modular::reduce_rational(x, p).unwrap_or(0),
    }
}

/// The residue of the denominator of an output.
pub(super) fn denominator(bound: &Bound, p: u64) -> u64 {
    let odd = modular::reduce(&bound.odd.clone().into(), p);
    modular::mul(modular::pow(2, bound.twos, p), odd, p)
}

/// The sum of the products of reduced words, reduced.
#[inline(always)]
pub(super) fn dot<'a, R: Residues>(
    start: [R::Word; 4],
    pairs: impl Iterator<Item = (&'a [R::Word; 4], &'a [R::Word; 4])>,
    moduli: &Moduli<R, 4>,
) -> [R::Word; 4] {
    let mut sum = start;
    let mut summed = 1;
    for (a, b) in pairs {
        sum = R::add(sum, R::mul(*a, *b, moduli), moduli);
        summed += 1;
        // Up to eleven may be summed.
        if summed == 10 {
            sum = R::reduce(sum, moduli);
            summed = 1;
        }
    }
    R::reduce(sum, moduli)
}

/// Operations on residues, as [`lattice::operations`](super::lattice::operations) counts them, or
/// `None` where there is not one hidden layer.
pub(super) fn operations(stages: &Stages, bounds: &[Bound]) -> Option<[f64; 3]> {
    let [stage] = &stages.hidden[..] else { return None };
    let (n, degree) = (stages.used.len(), stages.degree());
    let points = dense_terms(n, degree) as f64;
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let k = primes_for(bits) as f64;
    let lanes = (k / 4.0).ceil() * 4.0;
    let (outputs, width) = (bounds.len() as f64, stage.rows.len() as f64);
    let entries: usize = stage.rows.iter().map(|row| row.weights.len()).sum();
    let coefficients: usize = stage.polynomials.iter().map(Vec::len).sum();
    let numbers = entries as f64 + coefficients as f64 + outputs * width;
    let tables = 8.0 * width * (n as f64 * degree as f64 + degree as f64 * degree as f64 / 2.0);
    let evaluate =
        points * outputs * width * 12.0 * lanes + lanes * (tables + numbers * CONVERSION);
    let words: f64 = bounds.iter().map(|b| words_for(b.bits) as f64).sum();
    Some([evaluate, 0.0, super::lattice::reconstruction(points, words, k, outputs)])
}

/// The image of a parameter, in operations on a residue.
const CONVERSION: f64 = 300.0;

/// Bytes at the peak beside the numerators.
pub(super) fn bytes(stages: &Stages, bounds: &[Bound], threads: usize) -> f64 {
    let (n, degree) = (stages.used.len(), stages.degree());
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let lanes = (primes_for(bits).div_ceil(4) * 4) as f64;
    let width = stages.hidden.first().map_or(0, |stage| stage.rows.len()) as f64;
    let block = dense_terms(n - 1 - (n - 1).min(2), degree) as f64;
    8.0 * lanes
        * (block * threads as f64 + width * (n as f64 + bounds.len() as f64) * degree as f64)
}

/// The tables of four primes.
struct Unit<R: Residues> {
    moduli: Moduli<R, 4>,
    /// a_ij^e / e! for e >= 1, by variable j, then e, then neuron i.
    powers: Vec<[R::Word; 4]>,
    /// The denominator times w_i p_i^(m)(b_i), by output, then m, then i.
    starts: Vec<[R::Word; 4]>,
    /// The denominator times the bias, by output.
    biases: Vec<[R::Word; 4]>,
}

impl<R: Residues> Unit<R> {
    fn new(token: R::Token, primes: [u64; 4], stages: &Stages, bounds: &[Bound]) -> Self {
        let (n, degree) = (stages.used.len(), stages.degree() as usize);
        let stage = &stages.hidden[0];
        let width = stage.rows.len();
        let zero = [R::Word::default(); 4];
        let mut powers = vec![zero; n * degree * width];
        let mut starts = vec![zero; bounds.len() * (degree + 1) * width];
        let mut biases = vec![zero; bounds.len()];
        for (lane, &p) in primes.iter().enumerate() {
            if lane > 0 && p == primes[lane - 1] {
                // Repeated: nobody reads it, but it must be reduced.
                continue;
            }
            let reciprocals: Vec<u64> =
                (1..=degree as u64).map(|e| modular::inv(e, p).unwrap_or(0)).collect();
            for (i, row) in stage.rows.iter().enumerate() {
                for (j, a) in &row.weights {
                    let a = residue(a, p);
                    let mut power = 1;
                    for e in 1..=degree {
                        power = modular::mul(power, modular::mul(a, reciprocals[e - 1], p), p);
                        let at = (*j as usize * degree + e - 1) * width + i;
                        powers[at][lane] = R::word(power, p);
                    }
                }
            }
            // p_i(b_i + t) by repeated synthetic division, times m!.
            let shifted: Vec<Vec<u64>> = stage
                .rows
                .iter()
                .zip(&stage.polynomials)
                .map(|(row, c)| {
                    let b = residue(&row.bias, p);
                    let mut c: Vec<u64> = c.iter().map(|c| residue(c, p)).collect();
                    for low in 0..c.len() {
                        for k in (low..c.len() - 1).rev() {
                            c[k] = modular::add(c[k], modular::mul(c[k + 1], b, p), p);
                        }
                    }
                    let mut factorial = 1;
                    for (m, c) in c.iter_mut().enumerate() {
                        factorial = modular::mul(factorial, (m as u64).max(1), p);
                        *c = modular::mul(*c, factorial, p);
                    }
                    c
                })
                .collect();
            for (o, (row, bound)) in stages.outputs.iter().zip(bounds).enumerate() {
                let d = denominator(bound, p);
                biases[o][lane] = R::word(modular::mul(residue(&row.bias, p), d, p), p);
                for (i, w) in &row.weights {
                    let w = modular::mul(residue(w, p), d, p);
                    for (m, c) in shifted[*i as usize].iter().enumerate().take(degree + 1) {
                        let at = (o * (degree + 1) + m) * width + *i as usize;
                        starts[at][lane] = R::word(modular::mul(w, *c, p), p);
                    }
                }
            }
        }
        Unit { moduli: Moduli::new(token, primes), powers, starts, biases }
    }
}

/// A degree and the first exponents.
struct Block {
    output: usize,
    degree: usize,
    first: Vec<usize>,
}

/// The residues of a block modulo the primes of a unit, in graded order.
#[inline(always)]
fn evaluate<R: Residues>(
    unit: &Unit<R>,
    (n, highest, width): (usize, usize, usize),
    block: &Block,
    out: &mut [[R::Word; 4]],
) {
    let moduli = &unit.moduli;
    let powers = |v: usize, e: usize| &unit.powers[(v * highest + e - 1) * width..][..width];
    let start = (block.output * (highest + 1) + block.degree) * width;
    let mut rest = block.degree;
    let mut levels = vec![unit.starts[start..start + width].to_vec()];
    for (v, &e) in block.first.iter().enumerate().filter(|(_, e)| **e > 0) {
        rest -= e;
        for (x, a) in levels[0].iter_mut().zip(powers(v, e)) {
            *x = R::mul(*x, *a, moduli);
        }
    }
    if rest == 0 {
        let zero = [R::Word::default(); 4];
        let start = if block.degree == 0 { unit.biases[block.output] } else { zero };
        let one = moduli.words(1);
        out[0] = dot(start, levels[0].iter().map(|x| (x, &one)), moduli);
        return;
    }
    levels.resize(rest, levels[0].clone());
    // The variables that occur, ascending, with their exponents; levels[l] is the product of the
    // factors before part l.
    let mut parts = vec![(block.first.len(), rest)];
    for value in out {
        let mut last = parts.len() - 1;
        let (mut v, mut e) = parts[last];
        let zero = [R::Word::default(); 4];
        *value = dot(zero, levels[last].iter().zip(powers(v, e)), moduli);
        // The next monomial, as in `polynomial::exponents`: one power moves from the last variable
        // that has any to the one after it, which also takes what the final variable held.
        let mut moved = 1;
        if v == n - 1 {
            moved += e;
            parts.pop();
            let Some(&part) = parts.last() else { return };
            last -= 1;
            (v, e) = part;
        }
        if e > 1 {
            parts[last].1 = e - 1;
            let (before, after) = levels.split_at_mut(last + 1);
            for ((x, y), a) in after[0].iter_mut().zip(&before[last]).zip(powers(v, e - 1)) {
                *x = R::mul(*y, *a, moduli);
            }
            parts.push((v + 1, moved));
        } else {
            parts[last] = (v + 1, moved);
        }
    }
}

/// The polynomials, by the method of this module.
pub(super) fn expand<M: Machine>(
    machine: M,
    work: &Work<'_>,
) -> Result<(Vec<Packed>, Times), Cancelled> {
    let Work { stages, bounds, parallel, progress, .. } = *work;
    let (n, degree) = (stages.used.len(), stages.degree() as usize);
    let width = stages.hidden[0].rows.len();
    let started = Instant::now();
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let demands = Demands::new(stages);
    let primes: Vec<u64> = primes().filter(|p| demands.suits(*p)).take(primes_for(bits)).collect();
    let widths: Vec<usize> = bounds.iter().map(|b| words_for(b.bits)).collect();
    let widest = widths.iter().copied().max().unwrap_or(1);
    let remainders = Remainders::<M::R>::new(machine.token(), &primes, widest);
    let units: Vec<Unit<M::R>> = remainders
        .units
        .iter()
        .map(|unit| Unit::new(machine.token(), *unit, stages, bounds))
        .collect();

    // Blocks in the order of the result.
    let h = (n - 1).min(2);
    let points = dense_terms(n, degree as u128) as usize;
    let mut numerators: Vec<Vec<u64>> = widths.iter().map(|w| vec![0; points * w]).collect();
    let mut jobs = Vec::new();
    for (output, (numerators, words)) in numerators.iter_mut().zip(&widths).enumerate() {
        let mut whole = &mut numerators[..];
        for m in 0..=degree {
            for first in choices(h, m) {
                let rest = m - first.iter().sum::<usize>();
                let count = dense_terms(n - h - 1, rest as u128) as usize;
                let (piece, others) = std::mem::take(&mut whole).split_at_mut(count * words);
                whole = others;
                jobs.push((Block { output, degree: m, first }, *words, piece));
            }
        }
    }
    progress.total.store(jobs.len(), Ordering::Relaxed);
    let one = |(block, words, to): (Block, usize, &mut [u64])| {
        let count = to.len() / words;
        let residues: Vec<Vec<[Word<M>; 4]>> = units
            .iter()
            .map(|unit| {
                let mut out = vec![[Word::<M>::default(); 4]; count];
                machine.run(
                    #[inline(always)]
                    || evaluate(unit, (n, degree, width), &block, &mut out),
                );
                out
            })
            .collect();
        let residues: Vec<&[[Word<M>; 4]]> = residues.iter().map(|x| &x[..]).collect();
        remainders.integers(machine, &residues, words, to);
        progress.advance()
    };
    if parallel {
        jobs.into_par_iter().with_max_len(1).try_for_each(one)?;
    } else {
        jobs.into_iter().try_for_each(one)?;
    }
    let times = Times { evaluate: started.elapsed().as_secs_f64(), ..Times::default() };
    Ok((pack(stages, bounds, degree, numerators), times))
}

/// The choices of `h` exponents of sum at most `m`, the higher power of the earlier variable first.
fn choices(h: usize, m: usize) -> Vec<Vec<usize>> {
    match h {
        0 => vec![Vec::new()],
        1 => (0..=m).rev().map(|e| vec![e]).collect(),
        _ => (0..=m).rev().flat_map(|e| (0..=m - e).rev().map(move |f| vec![e, f])).collect(),
    }
}

/// The polynomials of numerators in graded order.
pub(super) fn pack(
    stages: &Stages,
    bounds: &[Bound],
    degree: usize,
    numerators: Vec<Vec<u64>>,
) -> Vec<Packed> {
    numerators
        .into_iter()
        .zip(bounds)
        .map(|(numerators, bound)| Packed {
            variables: stages.inputs,
            used: stages.used.clone(),
            degree: degree as u32,
            words: words_for(bound.bits),
            numerators,
            odd: bound.odd.clone(),
            twos: bound.twos,
        })
        .collect()
}
