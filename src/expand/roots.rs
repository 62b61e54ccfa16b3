//! One input: evaluation at the roots of unity modulo primes.
//!
//! Modulo a prime p = 1 mod N, N a power of two, there is a root w of order N, and the values of a
//! polynomial at 1, w, ..., w^(N-1) give its coefficients by one number-theoretic transform:
//! c_k = sum_t P(w^t) w^(-tk) / N. So the network is evaluated at N points in residues, layer by
//! layer, and N log N operations take the place of the N^2 of differences.
//!
//! N is the degree D rounded up to a power of two. Where they are equal the transform returns the
//! sum of c_0 and c_D; P(0) tells them apart.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::expand::blocks::residue;
use crate::expand::closed::dot;
use crate::expand::lattice::{
    Cancelled, Demands, Remainders, Times, Word, Work, denominator, each, pack, primes_for,
    reconstruction, words_for,
};
use crate::expand::stages::{Bound, Stages};
use crate::numeric::modular;
use crate::numeric::residues::{Machine, Moduli, Residues};
use crate::polynomial::Packed;

/// The number of points.
fn points(degree: u128) -> usize {
    (degree as usize).next_power_of_two()
}

/// Primes above this have the bits that [`primes_for`] counts on, 2^49.99999.
const LEAST: u64 = (1 << 50) - 7_700_000_000;

/// Primes 1 modulo `order` that `stages` has an image of, descending from 2^50; `None` where there
/// are not enough of them.
fn primes(stages: &Stages, order: u64, count: usize) -> Option<Vec<u64>> {
    let most = ((1_u64 << 50) - 5) / order;
    let demands = Demands::new(stages);
    let found: Vec<u64> = (1..=most)
        .rev()
        .map(|k| k * order + 1)
        .take_while(|p| *p > LEAST)
        .filter(|p| modular::is_prime(*p) && demands.suits(*p))
        .take(count)
        .collect();
    (found.len() == count).then_some(found)
}

/// Operations on residues, as [`lattice::operations`](super::lattice::operations) counts them, or
/// `None` where there is not one input, or too high a degree.
pub(super) fn operations(stages: &Stages, bounds: &[Bound]) -> Option<[f64; 3]> {
    let degree = stages.degree();
    if stages.used.len() != 1 || !(1..=1 << 16).contains(&degree) {
        return None;
    }
    let n = points(degree) as f64;
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let k = primes_for(bits) as f64;
    // One number in 17 of those that are odd is prime: beyond this the search may fail.
    if k * 60.0 * n > (1_u64 << 50) as f64 - LEAST as f64 {
        return None;
    }
    let lanes = (k / 4.0).ceil() * 4.0;
    let rows = stages.hidden.iter().flat_map(|stage| &stage.rows).chain(&stages.outputs);
    let entries: usize = rows.map(|row| row.weights.len()).sum();
    let coefficients: usize = stages.hidden.iter().flat_map(|s| &s.polynomials).map(Vec::len).sum();
    let outputs = bounds.len() as f64;
    let each = 8.0 * entries as f64 + 12.0 * coefficients as f64;
    let search = k * 60_000.0 + lanes * 300.0 * (entries + coefficients) as f64;
    let words: f64 = bounds.iter().map(|b| words_for(b.bits) as f64).sum();
    Some([
        n * lanes * each + search,
        outputs * lanes * n * n.log2().max(1.0) * 6.0,
        reconstruction(degree as f64 + 1.0, words, k, outputs),
    ])
}

/// The images of a network modulo four primes.
struct Unit<R: Residues> {
    moduli: Moduli<R, 4>,
    /// By stage and neuron; the outputs, times their denominators, come last.
    rows: Vec<Vec<RowImage<R>>>,
    polynomials: Vec<Vec<Vec<[R::Word; 4]>>>,
    root: [R::Word; 4],
    /// The powers of the inverse root below N / 2.
    twiddles: Vec<[R::Word; 4]>,
    /// 1 / N.
    shrink: [R::Word; 4],
}

struct RowImage<R: Residues> {
    bias: [R::Word; 4],
    weights: Vec<(u32, [R::Word; 4])>,
}

impl<R: Residues> Unit<R> {
    fn new(
        token: R::Token,
        primes: [u64; 4],
        order: usize,
        stages: &Stages,
        bounds: &[Bound],
    ) -> Self {
        let moduli = Moduli::<R, 4>::new(token, primes);
        let each = |f: &dyn Fn(u64) -> u64| primes.map(|p| R::word(f(p), p));
        let mut rows: Vec<Vec<RowImage<R>>> = stages
            .hidden
            .iter()
            .map(|stage| {
                let row = stage.rows.iter().map(|row| RowImage {
                    bias: each(&|p| residue(&row.bias, p)),
                    weights: row
                        .weights
                        .iter()
                        .map(|(j, w)| (*j, each(&|p| residue(w, p))))
                        .collect(),
                });
                row.collect()
            })
            .collect();
        let outputs = stages.outputs.iter().zip(bounds).map(|(row, bound)| {
            let scales = primes.map(|p| (p, denominator(bound, p)));
            let times = |x| scales.map(|(p, d)| R::word(modular::mul(residue(x, p), d, p), p));
            RowImage {
                bias: times(&row.bias),
                weights: row.weights.iter().map(|(j, w)| (*j, times(w))).collect(),
            }
        });
        rows.push(outputs.collect());
        let polynomials = stages
            .hidden
            .iter()
            .map(|stage| {
                let images = |c: &Vec<_>| c.iter().map(|c| each(&|p| residue(c, p))).collect();
                stage.polynomials.iter().map(images).collect()
            })
            .collect();
        let roots = primes.map(|p| root(order as u64, p));
        let inverse: [R::Word; 4] = std::array::from_fn(|l| {
            R::word(modular::inv(roots[l], primes[l]).unwrap_or(1), primes[l])
        });
        let mut twiddles = vec![moduli.words(1); order / 2];
        for t in 1..twiddles.len() {
            twiddles[t] = R::mul(twiddles[t - 1], inverse, &moduli);
        }
        Unit {
            rows,
            polynomials,
            root: std::array::from_fn(|l| R::word(roots[l], primes[l])),
            twiddles,
            shrink: each(&|p| modular::inv(order as u64, p).unwrap_or(1)),
            moduli,
        }
    }

    /// The outputs at a point, by the layers in turn.
    #[inline(always)]
    fn at(&self, x: [R::Word; 4], values: &mut Vec<[R::Word; 4]>, next: &mut Vec<[R::Word; 4]>) {
        let moduli = &self.moduli;
        values.clear();
        values.push(x);
        for (l, rows) in self.rows.iter().enumerate() {
            next.clear();
            for row in rows {
                let pairs = row.weights.iter().map(|(j, w)| (w, &values[*j as usize]));
                next.push(dot(row.bias, pairs, moduli));
            }
            if let Some(polynomials) = self.polynomials.get(l) {
                for (z, c) in next.iter_mut().zip(polynomials) {
                    let mut y = c[c.len() - 1];
                    for c in c[..c.len() - 1].iter().rev() {
                        y = R::reduce(R::add(R::mul(y, *z, moduli), *c, moduli), moduli);
                    }
                    *z = y;
                }
            }
            std::mem::swap(values, next);
        }
    }

    /// The coefficients of all outputs, one list each.
    #[inline(always)]
    fn coefficients(&self, degree: usize, outputs: usize) -> Vec<Vec<[R::Word; 4]>> {
        let moduli = &self.moduli;
        let order = points(degree as u128);
        let bits = order.trailing_zeros();
        let zero = [R::Word::default(); 4];
        let mut lists = vec![vec![zero; order]; outputs];
        let (mut values, mut next) = (Vec::new(), Vec::new());
        let mut x = moduli.words(1);
        for t in 0..order {
            self.at(x, &mut values, &mut next);
            // In the order that the transform starts from.
            let place = if bits == 0 { 0 } else { t.reverse_bits() >> (usize::BITS - bits) };
            for (list, y) in lists.iter_mut().zip(&values) {
                list[place] = *y;
            }
            x = R::mul(x, self.root, moduli);
        }
        for list in &mut lists {
            self.transform(list);
        }
        if order == degree {
            self.at(zero, &mut values, &mut next);
            for (list, constant) in lists.iter_mut().zip(&values) {
                let highest = R::reduce(R::sub(list[0], *constant, moduli), moduli);
                list[0] = *constant;
                list.push(highest);
            }
        }
        for list in &mut lists {
            list.truncate(degree + 1);
        }
        lists
    }

    /// Butterflies from values in bit-reversed order to coefficients (Cooley and Tukey 1965).
    #[inline(always)]
    fn transform(&self, list: &mut [[R::Word; 4]]) {
        let moduli = &self.moduli;
        let order = list.len();
        let mut half = 1;
        while half < order {
            let step = order / (2 * half);
            for block in list.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for t in 0..half {
                    let b = R::mul(high[t], self.twiddles[t * step], moduli);
                    let a = low[t];
                    low[t] = R::reduce(R::add(a, b, moduli), moduli);
                    high[t] = R::reduce(R::sub(a, b, moduli), moduli);
                }
            }
            half *= 2;
        }
        for x in list {
            *x = R::reduce(R::mul(*x, self.shrink, moduli), moduli);
        }
    }
}

/// A root of unity whose order is exactly `order`, a power of two that divides p - 1.
fn root(order: u64, p: u64) -> u64 {
    // Half of all residues are no squares, and the power of such a one has the full order.
    (2..p)
        .map(|x| modular::pow(x, (p - 1) / order, p))
        .find(|root| order == 1 || modular::pow(*root, order / 2, p) == p - 1)
        .unwrap_or(1)
}

/// The polynomials, by the method of this module; `None` where there are not enough primes.
pub(super) fn expand<M: Machine>(
    machine: M,
    work: &Work<'_>,
) -> Option<Result<(Vec<Packed>, Times), Cancelled>> {
    let Work { stages, bounds, parallel, progress, .. } = *work;
    let degree = stages.degree() as usize;
    let order = points(degree as u128);
    let started = Instant::now();
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let primes = primes(stages, order as u64, primes_for(bits))?;
    let widths: Vec<usize> = bounds.iter().map(|b| words_for(b.bits)).collect();
    let widest = widths.iter().copied().max().unwrap_or(1);
    let remainders = Remainders::<M::R>::new(machine.token(), &primes, widest);
    let pieces = degree.div_ceil(CHUNK) * bounds.len();
    progress.total.store(remainders.units.len() + pieces, Ordering::Relaxed);
    let mut residues: Vec<Lists<M>> = vec![Lists::<M>::new(); remainders.units.len()];
    let jobs = remainders.units.iter().zip(&mut residues).collect();
    let done = each(parallel, jobs, |(unit, lists): (&[u64; 4], &mut Lists<M>)| {
        *lists = machine.run(
            #[inline(always)]
            || {
                Unit::<M::R>::new(machine.token(), *unit, order, stages, bounds)
                    .coefficients(degree, bounds.len())
            },
        );
        progress.advance()
    });
    if done.is_err() {
        return Some(Err(Cancelled));
    }
    let mut times = Times { evaluate: started.elapsed().as_secs_f64(), ..Times::default() };

    let started = Instant::now();
    let mut numerators: Vec<Vec<u64>> = widths.iter().map(|w| vec![0; (degree + 1) * w]).collect();
    let mut jobs = Vec::new();
    for (o, (numerators, words)) in numerators.iter_mut().zip(&widths).enumerate() {
        for (c, to) in numerators.chunks_mut(CHUNK * words).enumerate() {
            jobs.push((o, c * CHUNK, *words, to));
        }
    }
    let one = |(o, start, words, to): (usize, usize, usize, &mut [u64])| {
        let end = start + to.len() / words;
        let residues: Vec<&[[Word<M>; 4]]> =
            residues.iter().map(|unit| &unit[o][start..end]).collect();
        remainders.integers(machine, &residues, words, to);
        progress.advance()
    };
    let done = each(parallel, jobs, one);
    times.reconstruct = started.elapsed().as_secs_f64();
    Some(done.map(|()| (pack(stages, bounds, degree, numerators), times)))
}

/// The residues of the coefficients of each output modulo four primes.
type Lists<M> = Vec<Vec<[Word<M>; 4]>>;

/// Coefficients that are put together at a time.
const CHUNK: usize = 64;
