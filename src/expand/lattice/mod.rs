//! Exact expansion by evaluation and interpolation modulo primes.
//!
//! The network is evaluated at every point of the principal lattice {a in N^n : |a| <= D}, D the
//! total degree, modulo primes below 2^50 whose product exceeds four times the proven bound on the
//! integer coefficients ([`stages`](super::stages)); the values determine the polynomial of degree
//! D, whose coefficients are interpolated modulo each prime and put together by Chinese remainders.
//!
//! [`tabulate`] evaluates, with [`last`] and [`through`], [`interpolate`] interpolates,
//! [`remainder`] reconstructs, [`simplex`] knows where everything stands. Large work is cut into
//! slabs, the points of one choice of the first two coordinates; the result does not depend on how
//! many threads share them.

// What copies slices is a call: it is not inlined across units of code generation.
#![allow(clippy::manual_memcpy)]

mod interpolate;
mod last;
mod remainder;
mod simplex;
mod tabulate;
mod through;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use interpolate::{Axes, Lanes, Outer, must_reduce};
use remainder::Reconstruction;
use simplex::{Neighbours, Simplex, each_point};
pub(super) use tabulate::Demands;
use tabulate::{Batch, OwnedStart, Room, Schedule};

use crate::expand::stages::{Bound, Stages};
use crate::numeric::modular;
use crate::numeric::residues::{Job, Machine, Moduli, Residues, primes, small_primes};
use crate::polynomial::Packed;

/// How far the work is, for whoever watches; set `cancelled` to end it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) done: AtomicUsize,
    pub(super) total: AtomicUsize,
    pub(super) cancelled: AtomicBool,
}

/// The work was cancelled by who watched.
#[derive(Debug)]
pub(super) struct Cancelled;

impl Progress {
    pub(super) fn advance(&self) -> Result<(), Cancelled> {
        self.done.fetch_add(1, Ordering::Relaxed);
        if self.cancelled.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
    }
}

/// What an expansion took.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    pub(super) evaluate: f64,
    pub(super) interpolate: f64,
    pub(super) reconstruct: f64,
}

/// The number of primes that a bound of so many bits takes: their product exceeds 4 2^bits.
pub(super) fn primes_for(bits: f64) -> usize {
    // Each of the first million primes is above 2^49.99999.
    ((bits + 2.0) / 49.99999).floor() as usize + 1
}

/// The primes of an expansion: small ones, which save reductions, where no more of them are needed.
fn choose_primes(stages: &Stages, bits: f64) -> Vec<u64> {
    let k = primes_for(bits);
    let demands = Demands::new(stages);
    // Each of the first million small primes is above 2^44.999.
    if bits + 2.0 < 44.999 * k as f64 {
        small_primes().filter(|p| demands.suits(*p)).take(k).collect()
    } else {
        primes().filter(|p| demands.suits(*p)).take(k).collect()
    }
}

/// Whether so many primes can be put together here.
pub(super) fn reconstructs(primes: usize) -> bool {
    primes <= remainder::MOST_PRIMES
}

/// Words that an integer of at most 2^bits takes in two's complement.
pub(super) fn words_for(bits: f64) -> usize {
    (bits.ceil() as usize + 2).div_ceil(64)
}

/// An expansion, ready to be carried out.
pub(super) struct Work<'a> {
    pub(super) stages: &'a Stages,
    pub(super) bounds: &'a [Bound],
    pub(super) parallel: bool,
    pub(super) progress: &'a Progress,
}

/// Operations on a residue that the expansion takes, by phase: evaluation, interpolation,
/// reconstruction. An operation is one of the seven of a product, of a vector's lanes each; what is
/// quicker or slower than those of the evaluation counts less or more.
pub(super) fn operations(stages: &Stages, bounds: &[Bound]) -> [f64; 3] {
    let (n, degree) = (stages.used.len(), stages.degree() as usize);
    let simplex = Simplex::new(n, degree);
    let from = tabulate::first_stage(&simplex, n, degree, stages);
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let k = primes_for(bits);
    let points = simplex.count(n, degree) as f64;
    let mut evaluate = points * tabulate::through_cost(&simplex, n, degree, stages, from);
    for s in 1..=from {
        let q = stages.hidden[s].degree() as usize;
        let points = simplex.count(n, q) as f64;
        let entries: usize = stages.hidden[s].rows.iter().map(|row| row.weights.len()).sum();
        evaluate += points * 3.0 * entries as f64;
    }
    let outputs = bounds.len() as f64;
    let lanes = (k.div_ceil(4) * 4) as f64;
    let along = n as f64 * degree as f64 / (n as f64 + 1.0);
    let words: f64 = bounds.iter().map(|b| words_for(b.bits) as f64).sum();
    // Differences by sums alone, conversions by a product where a node is large.
    let passes = outputs * points * lanes * (8.0 * along + 16.0) * 0.4;
    [
        evaluate * k as f64 + lanes * stages.numbers() as f64 * IMAGE,
        passes,
        passes + reconstruction(points, words, k as f64, outputs),
    ]
}

/// Operations to take up a parameter modulo a prime.
const IMAGE: f64 = 150.0;

/// Bytes below which a block that is freed stays with the allocator.
const KEPT: usize = 1 << 17;

/// Bytes at the peak of the work, and those that are held beside the integers after it.
pub(super) fn bytes(stages: &Stages, bounds: &[Bound], threads: usize) -> (f64, f64) {
    let (n, degree) = (stages.used.len(), stages.degree() as usize);
    let simplex = Simplex::new(n, degree);
    let k = primes_for(bounds.iter().map(|b| b.bits).fold(0.0, f64::max));
    let h = cut_axes(n, simplex.count(n, degree), k, threads > 1);
    let at_once = threads.min(simplex.count(h, degree));
    let words: usize = bounds.iter().map(|b| words_for(b.bits)).sum();
    let units = k.div_ceil(4) * bounds.len();
    let residues = simplex.count(n, degree) * units * 32;
    let mut kept = 0;
    each_point(h, degree, |point| {
        let slab = simplex.count(n - h, degree - point.iter().sum::<usize>()) * 32;
        kept += if slab < KEPT { slab * units } else { 0 };
    });
    // The integers of the first slabs, beside their residues.
    let integers = at_once * simplex.count(n - h, degree) * words * 8;
    // The differences with which threads begin.
    let stage = &stages.hidden[tabulate::first_stage(&simplex, n, degree, stages)];
    let q = (stage.degree() as usize).max(1);
    // Padded to vectors of eight, the outputs' beside them.
    let words =
        (stage.rows.len() * k.min(4)).next_multiple_of(8) + (4 * bounds.len()).next_multiple_of(8);
    let starts = if threads > 1 { simplex.count(h, degree) } else { 0 };
    // Those of the outer levels once, of the others by thread.
    let levels = |levels: std::ops::Range<usize>| -> usize {
        levels.map(|level| simplex.count(n - level, q - 1)).sum()
    };
    let rows = simplex.count(n, q)
        + starts * simplex.count(n - h, q - 1)
        + levels(0..h)
        + at_once * levels(h..n);
    // Before they are packed.
    let unpacked = simplex.count(n, q) * (stage.rows.len() + bounds.len()) * 32;
    let differences = words * rows * 8 + unpacked;
    ((residues + integers.max(differences)) as f64, kept as f64)
}

/// Bytes of the constants of the reconstruction.
pub(super) fn constants(bounds: &[Bound]) -> f64 {
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    remainder::bytes(primes_for(bits), words_for(bits))
}

/// Operations of the reconstruction of so many points, from k primes, to `words` words in all: a
/// product of words counts 3.5.
pub(super) fn reconstruction(points: f64, words: f64, k: f64, outputs: f64) -> f64 {
    let digits = if k <= remainder::GARNER as f64 { 1.5 * k * k + 20.0 * k } else { 30.0 * k };
    points * (3.5 * words * k + outputs * digits)
}

impl Job for Work<'_> {
    type Output = Result<(Vec<Packed>, Times), Cancelled>;

    fn run<M: Machine>(self, machine: M) -> Self::Output {
        expand(machine, &self)
    }
}

/// Does each of `jobs`, in parallel or in turn.
///
/// In parallel each is a job of the pool of its own: a thread that does some while it waits for
/// others comes back after one.
pub(super) fn each<J: Send>(
    parallel: bool,
    jobs: Vec<J>,
    work: impl Fn(J) -> Result<(), Cancelled> + Sync + Send,
) -> Result<(), Cancelled> {
    if !parallel {
        return jobs.into_iter().try_for_each(work);
    }
    let cancelled = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        for job in jobs {
            let (work, cancelled) = (&work, &cancelled);
            scope.spawn(move |_| {
                if !cancelled.load(Ordering::Relaxed) && work(job).is_err() {
                    cancelled.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    if cancelled.into_inner() { Err(Cancelled) } else { Ok(()) }
}

fn slices<R: Residues>(vectors: &mut [Lines<R>]) -> Vec<&mut [Four<R>]> {
    vectors.iter_mut().map(|x| &mut x[..]).collect()
}

/// The pieces of several wholes, by piece first.
fn transpose<T>(pieces: Vec<Vec<T>>, count: usize) -> Vec<Vec<T>> {
    let mut by_piece: Vec<Vec<T>> = (0..count).map(|_| Vec::with_capacity(pieces.len())).collect();
    for pieces in pieces {
        for (to, piece) in by_piece.iter_mut().zip(pieces) {
            to.push(piece);
        }
    }
    by_piece
}

pub(super) type Word<M> = <<M as Machine>::R as Residues>::Word;

/// Lattice points up to which all are one slab, as they fit into the second-level cache: a megabyte of
/// residues, and less where threads share the slabs or, with many primes, one takes long. Unit tests
/// cut small lattices too, whose polynomials are soon composed.
fn uncut(primes: usize, parallel: bool) -> usize {
    match (parallel || primes > 64, cfg!(test)) {
        (true, true) => 200,
        (false, true) => 500,
        (true, false) => 1 << 13,
        (false, false) => 1 << 15,
    }
}

/// The coordinates whose choices are the slabs; what fits into a cache need not be cut.
fn cut_axes(n: usize, points: usize, primes: usize, parallel: bool) -> usize {
    if points <= uncut(primes, parallel) { 0 } else { (n - 1).min(2) }
}

/// The residues of four primes, or of fewer primes and several neurons.
type Four<R> = [<R as Residues>::Word; 4];

/// Vectors that begin on a line of the cache: loads of two at a time are slow across lines.
struct Lines<R: Residues> {
    words: Vec<R::Word>,
    /// The words before the first line.
    before: usize,
    vectors: usize,
}

/// Bytes of a line.
const LINE: usize = 64;

impl<R: Residues> Lines<R> {
    fn zeros(vectors: usize) -> Self {
        let word = size_of::<R::Word>();
        let words = vec![R::Word::default(); 4 * vectors + LINE / word - 1];
        let beyond = words.as_ptr().addr() % LINE;
        Lines { words, before: (LINE - beyond) % LINE / word, vectors }
    }
}

impl<R: Residues> std::ops::Deref for Lines<R> {
    type Target = [Four<R>];

    #[inline(always)]
    fn deref(&self) -> &[Four<R>] {
        self.words[self.before..][..4 * self.vectors].as_chunks().0
    }
}

impl<R: Residues> std::ops::DerefMut for Lines<R> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [Four<R>] {
        self.words[self.before..][..4 * self.vectors].as_chunks_mut().0
    }
}

/// The moduli of such vectors, one or two at a time.
#[derive(Clone, Copy, Debug)]
struct Both<R: Residues> {
    four: Moduli<R, 4>,
    eight: Moduli<R, 8>,
}

impl<R: Residues> Both<R> {
    fn new(token: R::Token, primes: [u64; 4]) -> Self {
        let twice = std::array::from_fn(|i| primes[i % 4]);
        Both { four: Moduli::new(token, primes), eight: Moduli::new(token, twice) }
    }

    #[inline(always)]
    fn four(&self) -> &Moduli<R, 4> {
        &self.four
    }

    #[inline(always)]
    fn eight(&self) -> &Moduli<R, 8> {
        &self.eight
    }
}

/// The residues of a vector and, where `W` is 8, of the next.
///
/// By index here and below: what flattens or copies slices is not inlined across units of code
/// generation.
#[inline(always)]
fn load<R: Residues, const W: usize>(x: &[Four<R>], place: usize) -> [R::Word; W] {
    let x = &x[place..place + W / 4];
    let mut all = [R::Word::default(); W];
    for i in 0..W {
        all[i] = x[i / 4][i % 4];
    }
    all
}

/// The place of [`load`].
#[inline(always)]
fn store<R: Residues, const W: usize>(x: &mut [Four<R>], place: usize, all: [R::Word; W]) {
    let x = &mut x[place..place + W / 4];
    for i in 0..W {
        x[i / 4][i % 4] = all[i];
    }
}

/// A vector as often as it has room.
#[inline(always)]
fn repeat<R: Residues, const W: usize>(x: Four<R>) -> [R::Word; W] {
    let mut all = [R::Word::default(); W];
    for i in 0..W {
        all[i] = x[i % 4];
    }
    all
}

fn expand<M: Machine>(machine: M, work: &Work<'_>) -> Result<(Vec<Packed>, Times), Cancelled> {
    let Work { stages, bounds, parallel, progress, .. } = *work;
    let (n, degree) = (stages.used.len(), stages.degree() as usize);
    let mut times = Times::default();
    let started = Instant::now();
    let simplex = Simplex::new(n, degree);
    let from = tabulate::first_stage(&simplex, n, degree, stages);
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let primes = choose_primes(stages, bits);
    let points = simplex.count(n, degree);
    let outputs = bounds.len();
    let h = cut_axes(n, points, primes.len(), parallel);
    let m = n - h;
    let neighbours = Neighbours::new(&simplex, h);
    let largest = primes.iter().copied().max().unwrap_or(1);
    // The differences along outer axes go on from those within slabs.
    let reduces = h > 0 || must_reduce(degree, largest);

    // The slabs, by the sums of their first coordinates.
    let mut sums = Vec::with_capacity(simplex.count(h, degree));
    each_point(h, degree, |point| sums.push(point.iter().sum::<usize>()));
    let sizes = || sums.iter().map(|e| simplex.count(m, degree - e));

    // Residues by output and unit of four primes, each slab on its own: it is freed once its
    // integers are known, which take less room.
    let (units, places) = by_fours(&primes);
    let mut residues: Vec<Vec<Lines<M::R>>> =
        (0..outputs * units.len()).map(|_| sizes().map(Lines::zeros).collect()).collect();
    let lanes: Vec<Lanes<M::R>> = units
        .iter()
        .map(|unit| {
            machine.run(
                #[inline(always)]
                || Lanes::new(machine.token(), *unit, degree),
            )
        })
        .collect();
    progress.total.store(units.len() * sums.len() + residues.len() + sums.len(), Ordering::Relaxed);

    let schedule = Schedule::new(&simplex, n, stages, from, largest);
    for (u, batch) in primes.chunks(4).enumerate() {
        let mine = residues.iter_mut().enumerate().filter(|(i, _)| i % units.len() == u);
        let slabs = transpose(mine.map(|(_, x)| slices(x)).collect(), sums.len());
        let task = Evaluation {
            machine,
            work,
            simplex: &simplex,
            neighbours: &neighbours,
            schedule: &schedule,
            lanes: &lanes[u],
            count: batch.len(),
            h,
            reduces,
        };
        task.batch(units[u], slabs)?;
    }
    times.evaluate = started.elapsed().as_secs_f64();

    let started = Instant::now();
    // By unit: the outputs have them in common.
    let outers: Vec<_> = lanes
        .iter()
        .map(|lanes| Outer::new(machine, (&simplex, &neighbours), lanes, (h, reduces), degree))
        .collect();
    for (i, x) in residues.iter_mut().enumerate() {
        let (lanes, outer) = (&lanes[i % units.len()], &outers[i % units.len()]);
        let one = lanes.inverse_factorials[0];
        let mut slices = slices(x);
        if parallel && m >= 2 {
            // The coordinate after the outer ones cuts every slab alike.
            let mut jobs = Vec::new();
            for k in 0..=degree {
                let mut part = Vec::new();
                for (slice, e) in slices.iter_mut().zip(&sums) {
                    if e + k <= degree {
                        let size = simplex.count(m - 1, degree - e - k);
                        let (piece, rest) = std::mem::take(slice).split_at_mut(size);
                        *slice = rest;
                        part.push(piece);
                    }
                }
                jobs.push((k, part));
            }
            each(true, jobs, |(k, mut part)| {
                outer.run(&mut part, (m - 1, degree - k), lanes.inverse_factorials[k]);
                if progress.cancelled.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
            })?;
        } else {
            outer.run(&mut slices, (m, degree), one);
        }
        progress.advance()?;
    }
    times.interpolate = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let widths: Vec<usize> = bounds.iter().map(|b| words_for(b.bits)).collect();
    let widest = widths.iter().copied().max().unwrap_or(1);
    let reconstruction = Reconstruction::<M::R>::new(machine.token(), &primes, &units, widest);
    let mut numerators: Vec<Vec<u64>> = widths.iter().map(|w| vec![0; points * w]).collect();
    // In graded order, a degree holds the slabs in descending order of their first coordinates.
    let mut segments: Vec<Vec<Vec<&mut [u64]>>> =
        sums.iter().map(|_| widths.iter().map(|_| Vec::new()).collect()).collect();
    for (o, (numerators, words)) in numerators.iter_mut().zip(&widths).enumerate() {
        let mut whole = &mut numerators[..];
        for g in 0..=degree {
            for (s, e) in sums.iter().enumerate().rev().filter(|(_, e)| **e <= g) {
                let length = simplex.count(m - 1, g - e) * words;
                let (piece, rest) = std::mem::take(&mut whole).split_at_mut(length);
                whole = rest;
                segments[s][o].push(piece);
            }
        }
    }
    let jobs: Vec<_> = sums.iter().zip(transpose(residues, sums.len())).zip(segments).collect();
    each(parallel, jobs, |((e, mut slab), mut segments)| {
        let place = (m, degree - e);
        for (x, lanes) in slab.iter_mut().zip(lanes.iter().cycle()) {
            let (simplex, neighbours) = (&simplex, &neighbours);
            let moduli = &lanes.moduli;
            let axes = Axes { machine, simplex, neighbours, moduli, stride: 1, reduces };
            axes.conversions(x, place, &lanes.small);
        }
        for (o, segments) in segments.iter_mut().enumerate() {
            let units: Vec<&[Four<M::R>]> =
                slab[o * units.len()..(o + 1) * units.len()].iter().map(|x| &x[..]).collect();
            reconstruction.slab(machine, place, &units, &places, widths[o], segments);
        }
        progress.advance()
    })?;
    times.reconstruct = started.elapsed().as_secs_f64();

    Ok((pack(stages, bounds, degree, numerators), times))
}

/// Primes in units of four, of which the last repeats its last prime, and the unit and lane of each.
fn by_fours(primes: &[u64]) -> (Vec<[u64; 4]>, Vec<(usize, usize)>) {
    let units = primes.chunks(4);
    let units = units.map(|unit| std::array::from_fn(|l| unit[l.min(unit.len() - 1)])).collect();
    (units, (0..primes.len()).map(|i| (i / 4, i % 4)).collect())
}

/// The residue of the denominator of an output.
pub(super) fn denominator(bound: &Bound, p: u64) -> u64 {
    let odd = modular::reduce(&bound.odd.clone().into(), p);
    modular::mul(modular::pow(2, bound.twos, p), odd, p)
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

/// The evaluation modulo four primes, and the differences within its slabs.
struct Evaluation<'a, M: Machine> {
    machine: M,
    work: &'a Work<'a>,
    simplex: &'a Simplex,
    neighbours: &'a Neighbours,
    schedule: &'a Schedule,
    lanes: &'a Lanes<M::R>,
    /// How many of the primes differ.
    count: usize,
    h: usize,
    /// Whether differences are reduced.
    reduces: bool,
}

impl<M: Machine> Evaluation<'_, M> {
    /// By slab, the values of each output.
    fn batch(&self, primes: [u64; 4], slabs: Vec<Vec<&mut [Four<M::R>]>>) -> Result<(), Cancelled> {
        let Evaluation { machine, simplex, neighbours, schedule, h, .. } = *self;
        let Work { stages, bounds, parallel, progress, .. } = *self.work;
        let denominators: Vec<[u64; 4]> =
            bounds.iter().map(|bound| primes.map(|p| denominator(bound, p))).collect();
        let batch = Batch::<M::R>::new(
            machine,
            (simplex, neighbours),
            schedule,
            stages,
            (primes, self.count),
            &denominators,
        );
        let degree = stages.degree() as usize;
        let m = stages.used.len() - h;
        let room = || batch.room(schedule, h, degree);
        let slab = |room: &mut Room<M::R>,
                    start: tabulate::Start<'_, M::R>,
                    out: &mut [&mut [Four<M::R>]]| {
            let budget = start.budget;
            batch.evaluate(machine, schedule, start, h, room, out);
            for x in out.iter_mut() {
                let moduli = &self.lanes.moduli;
                let reduces = self.reduces;
                let axes = Axes { machine, simplex, neighbours, moduli, stride: 1, reduces };
                axes.differences(x, (m, budget));
            }
            progress.advance()
        };
        if parallel {
            let mut starts: Vec<OwnedStart<M::R>> = Vec::new();
            batch.each_slab(machine, schedule, degree, h, &mut |_, start| {
                starts.push(batch.keep(start, schedule, h));
            });
            let jobs: Vec<_> = starts.into_iter().zip(slabs).collect();
            each(true, jobs, |(start, mut out)| slab(&mut room(), start.borrow(), &mut out))
        } else {
            let mut slabs = slabs;
            let mut room = room();
            let mut result = Ok(());
            batch.each_slab(machine, schedule, degree, h, &mut |s, start| {
                if result.is_ok() {
                    result = slab(&mut room, start, &mut slabs[s]);
                }
            });
            result
        }
    }
}

/// Chinese remainders of lists of integers, for the methods beside the lattice.
pub(super) struct Remainders<R: Residues> {
    /// The primes by fours; the last is repeated where they do not fill their unit.
    pub(super) units: Vec<[u64; 4]>,
    places: Vec<(usize, usize)>,
    reconstruction: Reconstruction<R>,
}

impl<R: Residues> Remainders<R> {
    /// For integers of at most `words` words and primes whose product exceeds four times their
    /// size.
    pub(super) fn new(token: R::Token, primes: &[u64], words: usize) -> Self {
        let (units, places) = by_fours(primes);
        let reconstruction = Reconstruction::new(token, primes, &units, words);
        Remainders { units, places, reconstruction }
    }

    /// Writes the integers of `words` words each of which `residues` holds the residues by unit.
    pub(super) fn integers<M: Machine<R = R>>(
        &self,
        machine: M,
        residues: &[&[Four<M::R>]],
        words: usize,
        to: &mut [u64],
    ) {
        // A lattice in one variable is a list.
        let mut segments: Vec<&mut [u64]> = to.chunks_mut(words).collect();
        let place = (1, segments.len() - 1);
        self.reconstruction.slab(machine, place, residues, &self.places, words, &mut segments);
    }
}
