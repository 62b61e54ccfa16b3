//! A first layer narrower than the inputs: the compressed form, and expansion from it.
//!
//! In the w pre-activations z = W x + b of the first layer the network is a polynomial P of
//! C(w + D, D) terms, fewer than the C(n + D, D) in its n inputs where w < n. Let P(b + y) be the
//! sum of its homogeneous parts P_m(y). By Taylor's formula the coefficient of x^e with |e| = m in
//! P(b + W x) is
//!
//! ```text
//! (w_1 . d)^{e_1} ... (w_n . d)^{e_n} P_m / e!
//! ```
//!
//! where w_j is the j-th column of W and d the gradient in y. The derivatives T_g = d^g P_m of a
//! homogeneous part make w . d a contraction, (w . d T)_g = sum_i w_i T_{g + 1_i}, and the last
//! variable, which takes what is left of the degree, an evaluation: sum_g T_g w_n^g / g!.
//!
//! It is worked out modulo primes, four to a vector, and put together by Chinese remainders, as in
//! [`closed`](super::closed). A block is a degree and the first exponent: its monomials are
//! neighbours in the result, and only its residues are held.

use std::time::Instant;

use num_rational::BigRational;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::expand::blocks::{self, Blocks, residue};
use crate::expand::carry_out::Residual;
use crate::expand::lattice::{
    Cancelled, Times, Word, Work, denominator, primes_for, reconstruction, words_for,
};
use crate::expand::plan::{dense_terms, direct};
use crate::expand::stages::{Bound, Stages};
use crate::network::{Input, Layer, Network};
use crate::numeric::modular;
use crate::numeric::rational::format_exact;
use crate::numeric::residues::{Job, Machine, Moduli, Residues};
use crate::polynomial::{Packed, Ranks, words};

/// The network from the pre-activations of its first layer on, which become its inputs z1, z2, ...
///
/// Its expansion is the compressed form: with z = W x + b, which is written into the remarks, it is
/// the whole network exactly, and it has C(w + D, D) terms for w neurons instead of C(n + D, D).
///
/// # Errors
/// When the first layer is no affine map to fewer neurons than there are inputs, or the last.
pub fn compressed(network: &Network) -> Result<Network> {
    let refuse = |found: String| {
        let expected = "a network whose first layer is an affine map to fewer neurons than inputs";
        Err(Error::invalid("compressed form", found, expected))
    };
    let Some((Layer::Affine(first), later)) = network.layers().split_first() else {
        return refuse("another first layer".into());
    };
    let (neurons, inputs) = (first.weight().rows(), first.weight().columns());
    if neurons >= inputs || later.is_empty() {
        return refuse(format!("{inputs} inputs, {neurons} neurons, {} more layers", later.len()));
    }
    let (weight, bias) = (first.weight().to_exact(), first.bias().to_exact());
    let names = network.input_names();
    let definitions: Vec<Value> = (0..neurons)
        .map(|i| {
            let weights: Map<String, Value> = names
                .iter()
                .zip(weight.row(i))
                .filter(|(_, w)| **w != BigRational::default())
                .map(|(name, w)| (name.clone(), format_exact(w).into()))
                .collect();
            json!({"name": format!("z{}", i + 1), "weights": weights, "bias": format_exact(&bias[i])})
        })
        .collect();
    // A bound of the distance to another network is one of the whole.
    let target = network.about().get_key_value("target");
    let mut about: Map<String, Value> =
        target.map(|(k, v)| (k.clone(), v.clone())).into_iter().collect();
    about.insert("variables".into(), definitions.into());
    let inputs = (1..=neurons).map(|i| Input::named(format!("z{i}"))).collect();
    let outputs = network.outputs().to_vec();
    Ok(Network::new(inputs, outputs, later.to_vec(), network.head())?.with_about(about))
}

/// C(n, k) as a number of operations.
fn choose(n: usize, k: usize) -> f64 {
    dense_terms(n - k, k as u128) as f64
}

/// Operations on residues, as [`lattice::operations`](super::lattice::operations) counts them, or
/// `None` where the first layer is not narrower than the inputs, or closed forms have more to
/// offer.
pub(super) fn operations(stages: &Stages, bounds: &[Bound]) -> Option<[f64; 3]> {
    let inner = stages.compressed()?;
    let (n, w, degree) = (stages.used.len(), inner.used.len(), stages.degree() as usize);
    let inner_bounds = inner.bounds();
    let (_, phases) = direct(&inner, &inner_bounds)?;
    let bits = |bounds: &[Bound]| bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let k = primes_for(bits(bounds)) as f64;
    let lanes = (k / 4.0).ceil() * 4.0;
    let mut products = 0.0;
    for left in 0..=degree {
        // Prefixes of j exponents after which `left` of the degree is left, whatever the degree.
        let prefixes = |j: usize| choose(j + degree - left, j);
        let chain = if left == 0 { 0.0 } else { w as f64 * choose(w + left - 1, w) };
        products += (0..n - 1).map(|j| prefixes(j) * chain).sum::<f64>();
        products += prefixes(n - 1) * choose(w - 1 + left, w - 1);
    }
    let terms = dense_terms(w, degree as u128) as f64;
    let words: f64 = inner_bounds.iter().map(|b| words_for(b.bits) as f64).sum();
    let outputs = bounds.len() as f64;
    let images = k * terms * (outputs * 100.0 + 40.0 * words);
    let points = dense_terms(n, degree as u128) as f64;
    let words: f64 = bounds.iter().map(|b| words_for(b.bits) as f64).sum();
    let blocks = outputs * lanes * 8.0 * products + reconstruction(points, words, k, outputs);
    Some([phases.iter().sum::<f64>() + images, blocks, 0.0])
}

/// Bytes at the peak beside the numerators.
pub(super) fn bytes(stages: &Stages, bounds: &[Bound], threads: usize) -> f64 {
    let Some(inner) = stages.compressed() else { return 0.0 };
    let (n, w, degree) = (stages.used.len(), inner.used.len(), stages.degree());
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let lanes = (primes_for(bits).div_ceil(4) * 4) as f64;
    let block = dense_terms(n - 2, degree) as f64;
    let terms = dense_terms(w, degree) as f64;
    8.0 * lanes * (block * threads as f64 + (bounds.len() + 1) as f64 * terms)
}

/// Where the derivatives of a homogeneous part stand, in graded order.
struct Derivatives {
    w: usize,
    /// Where those of each order begin among those of all orders, and the number of all.
    starts: Vec<usize>,
    /// By order r from 1 on: for each g of order r - 1 the places of g + 1_i in order r.
    raised: Vec<Vec<u32>>,
    /// The exponents of each place among all.
    exponents: Vec<Vec<u32>>,
}

impl Derivatives {
    fn new(w: usize, degree: usize) -> Option<Self> {
        let ranks = Ranks::new(w, degree as u32, usize::MAX)?;
        let below = |r: u128| r.checked_sub(1).map_or(0, |r| dense_terms(w, r) as usize);
        let starts: Vec<usize> = (0..=degree as u128 + 1).map(below).collect();
        let exponents: Vec<Vec<u32>> = (0..ranks.count())
            .map(|place| {
                let mut g = vec![0; w];
                ranks.monomial(place, &mut g);
                g
            })
            .collect();
        let raised = (1..=degree)
            .map(|r| {
                let lower = &exponents[starts[r - 1]..starts[r]];
                let raise = |g: &Vec<u32>, i: usize| {
                    let mut g = g.clone();
                    g[i] += 1;
                    (ranks.rank(&g) - starts[r]) as u32
                };
                lower.iter().flat_map(|g| (0..w).map(move |i| raise(g, i))).collect()
            })
            .collect();
        Some(Derivatives { w, starts, raised, exponents })
    }

    fn of_order(&self, r: usize) -> std::ops::Range<usize> {
        self.starts[r]..self.starts[r + 1]
    }
}

/// The tables of four primes.
struct Unit<R: Residues> {
    moduli: Moduli<R, 4>,
    /// The derivatives of the outputs' homogeneous parts times their denominators, by output, then
    /// in graded order.
    tensors: Vec<Vec<[R::Word; 4]>>,
    /// w_ij / e for e >= 1, by variable j, then e, then neuron i.
    columns: Vec<[R::Word; 4]>,
    /// w_n^g / g! in graded order.
    last: Vec<[R::Word; 4]>,
}

impl<R: Residues> Unit<R> {
    fn new(
        token: R::Token,
        primes: [u64; 4],
        derivatives: &Derivatives,
        (stages, bounds): (&Stages, &[Bound]),
        (inner, packed): (&Stages, &[Packed]),
    ) -> Self {
        let (n, w, degree) = (stages.used.len(), derivatives.w, stages.degree() as usize);
        let zero = [R::Word::default(); 4];
        let places = derivatives.exponents.len();
        let mut tensors = vec![vec![zero; places]; packed.len()];
        let mut columns = vec![zero; n * degree * w];
        let mut last = vec![zero; places];
        let rows: Vec<_> =
            stages.hidden[0].rows.iter().filter(|row| !row.weights.is_empty()).collect();
        debug_assert_eq!(rows.len(), inner.used.len());
        for (lane, &p) in primes.iter().enumerate() {
            if lane > 0 && p == primes[lane - 1] {
                // Repeated: nobody reads it, but it must be reduced.
                continue;
            }
            // The primes exceed the degree, and divide no denominator: all of these have inverses.
            let inverse = |x: u64| modular::inv(x, p).unwrap_or(0);
            let factorials: Vec<u64> = std::iter::once(1)
                .chain((1..=degree as u64).scan(1, |f, k| {
                    *f = modular::mul(*f, k, p);
                    Some(*f)
                }))
                .collect();
            let factorial = |g: &[u32]| {
                g.iter().fold(1, |product, e| modular::mul(product, factorials[*e as usize], p))
            };
            let mut scratch = Vec::new();
            for ((to, packed), bound) in tensors.iter_mut().zip(packed).zip(bounds) {
                let own = Bound { odd: packed.odd.clone(), twos: packed.twos, bits: 0.0 };
                let scale = modular::mul(denominator(bound, p), inverse(denominator(&own, p)), p);
                let numerators = packed.numerators.chunks_exact(packed.words);
                for ((to, numerator), g) in
                    to.iter_mut().zip(numerators).zip(&derivatives.exponents)
                {
                    let negative = words::magnitude(numerator, &mut scratch);
                    let size = scratch.iter().rev().fold(0_u64, |rest, x| {
                        ((u128::from(rest) << 64 | u128::from(*x)) % u128::from(p)) as u64
                    });
                    let value = modular::mul(size, modular::mul(scale, factorial(g), p), p);
                    let value = if negative { modular::sub(0, value, p) } else { value };
                    to[lane] = R::word(value, p);
                }
            }
            let mut final_column = vec![0; w];
            for (i, row) in rows.iter().enumerate() {
                for (j, a) in &row.weights {
                    let (j, a) = (*j as usize, residue(a, p));
                    if j == n - 1 {
                        final_column[i] = a;
                    }
                    for e in 1..=degree {
                        let value = modular::mul(a, inverse(e as u64), p);
                        columns[(j * degree + e - 1) * w + i][lane] = R::word(value, p);
                    }
                }
            }
            for (to, g) in last.iter_mut().zip(&derivatives.exponents) {
                let power = final_column
                    .iter()
                    .zip(g)
                    .fold(1, |x, (a, e)| modular::mul(x, modular::pow(*a, u64::from(*e), p), p));
                to[lane] = R::word(modular::mul(power, inverse(factorial(g)), p), p);
            }
        }
        Unit { moduli: Moduli::new(token, primes), tensors, columns, last }
    }
}

/// Residues of neighbouring monomials, in graded order.
struct Substitution<'a, M: Machine> {
    machine: M,
    derivatives: &'a Derivatives,
    unit: &'a Unit<M::R>,
    degree: usize,
    out: &'a mut [[Word<M>; 4]],
    next: usize,
}

impl<M: Machine> Substitution<'_, M> {
    /// All monomials of a degree that have this power of the first variable.
    fn block(&mut self, (output, m): (usize, usize), first: usize, rooms: &mut [Room<M>]) {
        let Some((room, later)) = rooms.split_first_mut() else { return };
        let from = &self.unit.tensors[output][self.derivatives.of_order(m)];
        let machine = self.machine;
        machine.run(
            #[inline(always)]
            || self.chain(from, room, (m, 0), first),
        );
        let from = if first == 0 { from } else { &room[self.derivatives.of_order(m - first)] };
        self.monomials(from, 1, m - first, later);
    }

    /// The monomials in the variables from `v` on of degree r, from derivatives of that order;
    /// `rooms` hold those of lower orders, one a variable but the last.
    fn monomials(&mut self, from: &[[Word<M>; 4]], v: usize, r: usize, rooms: &mut [Room<M>]) {
        let machine = self.machine;
        match rooms {
            [] => machine.run(
                #[inline(always)]
                || self.last(from, r),
            ),
            [room] => machine.run(
                #[inline(always)]
                || {
                    self.chain(from, room, (r, v), r);
                    for e in (1..=r).rev() {
                        self.last(&room[self.derivatives.of_order(r - e)], r - e);
                    }
                    self.last(from, r);
                },
            ),
            [room, later @ ..] => {
                machine.run(
                    #[inline(always)]
                    || self.chain(from, room, (r, v), r),
                );
                for e in (1..=r).rev() {
                    let from = &room[self.derivatives.of_order(r - e)];
                    self.monomials(from, v + 1, r - e, later);
                }
                self.monomials(from, v + 1, r, later);
            }
        }
    }

    /// (w_v . d)^e / e! of derivatives of order r, for e from 1 to `most`.
    #[inline(always)]
    fn chain(
        &self,
        from: &[[Word<M>; 4]],
        room: &mut Room<M>,
        (r, v): (usize, usize),
        most: usize,
    ) {
        let (w, m) = (self.derivatives.w, &self.unit.moduli);
        for e in 1..=most {
            let (lower, here) = room.split_at_mut(self.derivatives.starts[r - e + 1]);
            let to = &mut lower[self.derivatives.starts[r - e]..];
            let from = if e == 1 { from } else { &here[..] };
            let column = &self.unit.columns[(v * self.degree + e - 1) * w..][..w];
            let raised = &self.derivatives.raised[r - e][..];
            // By index: adaptors of iterators are not inlined across units of code generation.
            for g in 0..to.len() {
                let places = &raised[g * w..][..w];
                let mut sum = M::R::mul(column[0], from[places[0] as usize], m);
                for i in 1..w {
                    sum = M::R::add(sum, M::R::mul(column[i], from[places[i] as usize], m), m);
                    // Up to eleven may be summed.
                    if i % 8 == 7 {
                        sum = M::R::reduce(sum, m);
                    }
                }
                to[g] = M::R::reduce(sum, m);
            }
        }
    }

    /// The monomial that takes degree r in the last variable.
    #[inline(always)]
    fn last(&mut self, from: &[[Word<M>; 4]], r: usize) {
        let m = &self.unit.moduli;
        let last = &self.unit.last[self.derivatives.of_order(r)];
        let from = &from[..last.len()];
        let mut sum = M::R::mul(from[0], last[0], m);
        for i in 1..last.len() {
            sum = M::R::add(sum, M::R::mul(from[i], last[i], m), m);
            if i % 8 == 7 {
                sum = M::R::reduce(sum, m);
            }
        }
        self.out[self.next] = M::R::reduce(sum, m);
        self.next += 1;
    }
}

/// Derivatives of all orders.
type Room<M> = Vec<[Word<M>; 4]>;

/// The polynomials, by the method of this module; `None` where it does not apply.
pub(super) fn expand<M: Machine>(
    machine: M,
    work: &Work<'_>,
) -> Option<std::result::Result<(Vec<Packed>, Times), Cancelled>> {
    let inner = work.stages.compressed()?;
    let inner_bounds = inner.bounds();
    let (route, _) = direct(&inner, &inner_bounds)?;
    let derivatives = Derivatives::new(inner.used.len(), work.stages.degree() as usize)?;
    let started = Instant::now();
    let inner_work = Work { stages: &inner, bounds: &inner_bounds, ..*work };
    let first = Residual { work: inner_work, route }.run(machine);
    Some(first.and_then(|(packed, _)| {
        let inner_seconds = started.elapsed().as_secs_f64();
        let Work { stages, bounds, .. } = *work;
        let method = Compressed {
            machine,
            stages,
            bounds,
            derivatives: &derivatives,
            inner: &inner,
            packed: &packed,
        };
        let (packed, mut times) = blocks::expand(machine, work, &method)?;
        times.evaluate += inner_seconds;
        Ok((packed, times))
    }))
}

struct Compressed<'a, M: Machine> {
    machine: M,
    stages: &'a Stages,
    bounds: &'a [Bound],
    derivatives: &'a Derivatives,
    inner: &'a Stages,
    packed: &'a [Packed],
}

impl<M: Machine> Blocks<M> for Compressed<'_, M> {
    type Unit = Unit<M::R>;
    /// The power of the first variable.
    type Block = usize;

    fn unit(&self, primes: [u64; 4]) -> Unit<M::R> {
        let inner = (self.inner, self.packed);
        let whole = (self.stages, self.bounds);
        Unit::new(self.machine.token(), primes, self.derivatives, whole, inner)
    }

    fn of_degree(&self, m: usize) -> Vec<(usize, usize)> {
        let later = self.stages.used.len() - 2;
        (0..=m).rev().map(|e| (e, dense_terms(later, (m - e) as u128) as usize)).collect()
    }

    fn residues(
        &self,
        units: &[Unit<M::R>],
        place: (usize, usize),
        first: &usize,
        to: &mut [Vec<[Word<M>; 4]>],
    ) {
        let (machine, derivatives) = (self.machine, self.derivatives);
        let degree = self.stages.degree() as usize;
        let room = |_| vec![[Word::<M>::default(); 4]; derivatives.exponents.len()];
        let mut rooms: Vec<Room<M>> = (1..self.stages.used.len()).map(room).collect();
        for (unit, out) in units.iter().zip(to) {
            Substitution { machine, derivatives, unit, degree, out, next: 0 }
                .block(place, *first, &mut rooms);
        }
    }
}
