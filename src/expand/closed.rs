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

use crate::expand::blocks::{self, Blocks, residue};
use crate::expand::lattice::{Cancelled, Times, Word, Work, denominator, primes_for, words_for};
use crate::expand::plan::dense_terms;
use crate::expand::stages::{Bound, Stages};
use crate::numeric::modular;
use crate::numeric::residues::{Machine, Moduli, Residues};
use crate::polynomial::Packed;

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

/// Operations on residues, as [`lattice::operations`](super::lattice::operations) counts them, of
/// the units and of the blocks, or `None` where there is not one hidden layer.
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
    let words: f64 = bounds.iter().map(|b| words_for(b.bits) as f64).sum();
    let blocks = points * outputs * width * 12.0 * lanes
        + super::lattice::reconstruction(points, words, k, outputs);
    Some([lanes * (tables + numbers * CONVERSION), blocks, 0.0])
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

/// The residues of a block modulo the primes of a unit, in graded order.
#[inline(always)]
fn evaluate<R: Residues>(
    unit: &Unit<R>,
    (n, highest, width): (usize, usize, usize),
    (output, degree): (usize, usize),
    first: &[usize],
    out: &mut [[R::Word; 4]],
) {
    let moduli = &unit.moduli;
    let powers = |v: usize, e: usize| &unit.powers[(v * highest + e - 1) * width..][..width];
    let start = (output * (highest + 1) + degree) * width;
    let mut rest = degree;
    let mut levels = vec![unit.starts[start..start + width].to_vec()];
    for (v, &e) in first.iter().enumerate().filter(|(_, e)| **e > 0) {
        rest -= e;
        for (x, a) in levels[0].iter_mut().zip(powers(v, e)) {
            *x = R::mul(*x, *a, moduli);
        }
    }
    if rest == 0 {
        let zero = [R::Word::default(); 4];
        let start = if degree == 0 { unit.biases[output] } else { zero };
        let one = moduli.words(1);
        out[0] = dot(start, levels[0].iter().map(|x| (x, &one)), moduli);
        return;
    }
    levels.resize(rest, levels[0].clone());
    // The variables that occur, ascending, with their exponents; levels[l] is the product of the
    // factors before part l.
    let mut parts = vec![(first.len(), rest)];
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

struct Closed<'a, M: Machine> {
    machine: M,
    stages: &'a Stages,
    bounds: &'a [Bound],
}

impl<M: Machine> Blocks<M> for Closed<'_, M> {
    type Unit = Unit<M::R>;
    /// The first exponents.
    type Block = Vec<usize>;

    fn unit(&self, primes: [u64; 4]) -> Unit<M::R> {
        Unit::new(self.machine.token(), primes, self.stages, self.bounds)
    }

    fn of_degree(&self, m: usize) -> Vec<(Vec<usize>, usize)> {
        let n = self.stages.used.len();
        let h = (n - 1).min(2);
        let count = |first: &[usize]| {
            dense_terms(n - h - 1, (m - first.iter().sum::<usize>()) as u128) as usize
        };
        choices(h, m).into_iter().map(|first| (first.clone(), count(&first))).collect()
    }

    fn residues(
        &self,
        units: &[Unit<M::R>],
        place: (usize, usize),
        first: &Vec<usize>,
        to: &mut [Vec<[Word<M>; 4]>],
    ) {
        let stages = self.stages;
        let shape = (stages.used.len(), stages.degree() as usize, stages.hidden[0].rows.len());
        for (unit, out) in units.iter().zip(to) {
            self.machine.run(
                #[inline(always)]
                || evaluate(unit, shape, place, first, out),
            );
        }
    }
}

/// The polynomials, by the method of this module.
pub(super) fn expand<M: Machine>(
    machine: M,
    work: &Work<'_>,
) -> Result<(Vec<Packed>, Times), Cancelled> {
    blocks::expand(machine, work, &Closed { machine, stages: work.stages, bounds: work.bounds })
}

/// The choices of `h` exponents of sum at most `m`, the higher power of the earlier variable first.
fn choices(h: usize, m: usize) -> Vec<Vec<usize>> {
    match h {
        0 => vec![Vec::new()],
        1 => (0..=m).rev().map(|e| vec![e]).collect(),
        _ => (0..=m).rev().flat_map(|e| (0..=m - e).rev().map(move |f| vec![e, f])).collect(),
    }
}
