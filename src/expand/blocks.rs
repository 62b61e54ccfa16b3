//! Results that are worked out block by block modulo primes, each block a run of neighbouring
//! monomials whose residues are put together, and freed, at once; and what the methods beside the
//! lattice share.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::expand::lattice::{
    Cancelled, Demands, Remainders, Times, Word, Work, each, pack, primes_for, words_for,
};
use crate::expand::plan::dense_terms;
use crate::expand::stages::Number;
use crate::numeric::modular;
use crate::numeric::residues::{Machine, primes};
use crate::polynomial::Packed;

/// A method that knows the monomials of each block.
pub(super) trait Blocks<M: Machine>: Sync {
    /// What it keeps of the network modulo four primes.
    type Unit: Send + Sync;

    /// Which block of an output and degree.
    type Block: Send;

    /// What is kept modulo these primes.
    fn unit(&self, primes: [u64; 4]) -> Self::Unit;

    /// The blocks of a degree in graded order, and their lengths.
    fn of_degree(&self, degree: usize) -> Vec<(Self::Block, usize)>;

    /// The residues of a block of an output and degree, by unit: `to` holds a list for each.
    fn residues(
        &self,
        units: &[Self::Unit],
        place: (usize, usize),
        block: &Self::Block,
        to: &mut [Vec<[Word<M>; 4]>],
    );
}

/// The polynomials, all blocks in parallel or in turn. Of the times the first is that of the units,
/// the second that of the blocks.
pub(super) fn expand<M: Machine, B: Blocks<M>>(
    machine: M,
    work: &Work<'_>,
    method: &B,
) -> Result<(Vec<Packed>, Times), Cancelled> {
    let Work { stages, bounds, parallel, progress, .. } = *work;
    let (n, degree) = (stages.used.len(), stages.degree() as usize);
    let started = Instant::now();
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let demands = Demands::new(stages);
    let primes: Vec<u64> = primes().filter(|p| demands.suits(*p)).take(primes_for(bits)).collect();
    let widths: Vec<usize> = bounds.iter().map(|b| words_for(b.bits)).collect();
    let widest = widths.iter().copied().max().unwrap_or(1);
    let remainders = Remainders::<M::R>::new(machine.token(), &primes, widest);
    let units: Vec<B::Unit> = remainders.units.iter().map(|unit| method.unit(*unit)).collect();
    let evaluate = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let points = dense_terms(n, degree as u128) as usize;
    let mut numerators: Vec<Vec<u64>> = widths.iter().map(|w| vec![0; points * w]).collect();
    let mut jobs = Vec::new();
    for (output, (numerators, words)) in numerators.iter_mut().zip(&widths).enumerate() {
        let mut whole = &mut numerators[..];
        for m in 0..=degree {
            for (block, count) in method.of_degree(m) {
                let (piece, others) = std::mem::take(&mut whole).split_at_mut(count * words);
                whole = others;
                jobs.push(((output, m), block, *words, piece));
            }
        }
    }
    progress.done.store(0, Ordering::Relaxed);
    progress.total.store(jobs.len(), Ordering::Relaxed);
    let one = |(place, block, words, to): ((usize, usize), B::Block, usize, &mut [u64])| {
        let count = to.len() / words;
        let room = |_| vec![[Word::<M>::default(); 4]; count];
        let mut residues: Vec<_> = units.iter().map(room).collect();
        method.residues(&units, place, &block, &mut residues);
        let residues: Vec<&[[Word<M>; 4]]> = residues.iter().map(|x| &x[..]).collect();
        remainders.integers(machine, &residues, words, to);
        progress.advance()
    };
    each(parallel, jobs, one)?;
    let interpolate = started.elapsed().as_secs_f64();
    let packed = pack(stages, bounds, degree, numerators);
    Ok((packed, Times { evaluate, interpolate, ..Times::default() }))
}

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
