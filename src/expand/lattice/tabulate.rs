//! The values of a network at every point of the principal lattice, modulo a batch of primes.
//!
//! The pre-activations of a stage are polynomials of a degree q that is small beside the degree of
//! the outputs, so they are known by their forward differences of order up to q at the origin, and
//! a walk over the lattice needs additions only: a step along an axis adds to each difference the
//! next higher one along that axis. The differences of order q are constant. Those of a stage come
//! from the values of the stage before on the lattice of degree q, recursively.
//!
//! The pre-activations of many points at a time go to [`last`](super::last) where the last stage is
//! tabulated, and to [`through`](super::through) where stages are evaluated by matrix products.

use num_rational::BigRational;

use super::interpolate::Axes;
use super::last::{Last, PackedStage, Packing, pack};
use super::simplex::{Neighbours, Simplex, each_point};
use super::through::{Products, Scratch, Store, Through};
use super::{Both, Four, Lines, load, store};
use crate::expand::stages::{Number, Row, Stages};
use crate::numeric::modular;
use crate::numeric::residues::{Machine, Moduli, Residues};

/// The parameters of a network modulo the primes of a batch, one a lane.
pub(super) struct Images<R: Residues> {
    pub(super) moduli: Both<R>,
    /// By stage: rows, then the polynomials; the outputs' rows are the last.
    pub(super) rows: Vec<Vec<RowImage<R>>>,
    pub(super) polynomials: Vec<Vec<Vec<Four<R>>>>,
}

pub(super) struct RowImage<R: Residues> {
    pub(super) bias: Four<R>,
    /// Ascending by column.
    pub(super) weights: Vec<(u32, Four<R>)>,
}

/// Powers of two modulo the primes of a batch.
struct Powers<R: Residues> {
    least: i32,
    words: Vec<Four<R>>,
}

impl<R: Residues> Powers<R> {
    #[inline(always)]
    fn new(stages: &Stages, moduli: &Moduli<R, 4>) -> Self {
        let (mut least, mut most) = (0, 0);
        each_number(stages, &mut |x| {
            if let Number::Dyadic { exponent, .. } = x {
                least = least.min(*exponent);
                most = most.max(*exponent);
            }
        });
        let mut words = vec![moduli.words(1); (most - least) as usize + 1];
        let origin = (-least) as usize;
        let half = moduli.primes.map(|p| R::word(p.div_ceil(2), p));
        for k in (0..origin).rev() {
            words[k] = R::mul(words[k + 1], half, moduli);
        }
        for k in origin + 1..words.len() {
            words[k] = R::reduce(R::add(words[k - 1], words[k - 1], moduli), moduli);
        }
        Powers { least, words }
    }

    #[inline(always)]
    fn image(&self, number: &Number, moduli: &Moduli<R, 4>) -> Four<R> {
        match number {
            Number::Dyadic { mantissa, exponent } => {
                let mantissa = R::integer(*mantissa, moduli);
                R::mul(mantissa, self.words[(exponent - self.least) as usize], moduli)
            }
            // The primes divide no denominator, by `Demands`.
            Number::Rational(x) => {
                moduli.primes.map(|p| R::word(modular::reduce_rational(x, p).unwrap_or(0), p))
            }
        }
    }
}

impl<R: Residues> Powers<R> {
    #[inline(always)]
    fn rows(&self, rows: &[Row], moduli: &Moduli<R, 4>) -> Vec<RowImage<R>> {
        let mut images = Vec::with_capacity(rows.len());
        for row in rows {
            let mut weights = Vec::with_capacity(row.weights.len());
            for (j, w) in &row.weights {
                weights.push((*j, self.image(w, moduli)));
            }
            images.push(RowImage { bias: self.image(&row.bias, moduli), weights });
        }
        images
    }
}

fn each_number<'a>(stages: &'a Stages, visit: &mut dyn FnMut(&'a Number)) {
    let rows = |rows: &'a [Row], visit: &mut dyn FnMut(&'a Number)| {
        for row in rows {
            visit(&row.bias);
            row.weights.iter().for_each(|(_, w)| visit(w));
        }
    };
    for stage in &stages.hidden {
        rows(&stage.rows, visit);
        stage.polynomials.iter().flatten().for_each(&mut *visit);
    }
    rows(&stages.outputs, visit);
}

/// What a prime must not divide: denominators, and the leading coefficients of the last stage.
pub(in crate::expand) struct Demands<'a> {
    denominators: Vec<&'a BigRational>,
    leading: Vec<&'a Number>,
}

impl<'a> Demands<'a> {
    pub(in crate::expand) fn new(stages: &'a Stages) -> Self {
        let mut denominators = Vec::new();
        each_number(stages, &mut |x| {
            if let Number::Rational(x) = x {
                denominators.push(&**x);
            }
        });
        let last = stages.hidden.last().map(|stage| &stage.polynomials[..]).unwrap_or_default();
        Demands { denominators, leading: last.iter().map(|c| &c[c.len() - 1]).collect() }
    }

    /// Whether the network has an image modulo p in which no leading coefficient of the last stage
    /// vanishes.
    pub(in crate::expand) fn suits(&self, p: u64) -> bool {
        self.denominators.iter().all(|x| modular::reduce(x.denom(), p) != 0)
            && self.leading.iter().all(|c| match c {
                Number::Dyadic { mantissa, .. } => {
                    *mantissa == 0 || !mantissa.unsigned_abs().is_multiple_of(p)
                }
                Number::Rational(x) => modular::reduce(x.numer(), p) != 0,
            })
    }
}

impl<R: Residues> Images<R> {
    /// Plain loops: closures that adaptors of iterators take are compiled without the vectors.
    #[inline(always)]
    fn new(token: R::Token, stages: &Stages, primes: [u64; 4], denominators: &[[u64; 4]]) -> Self {
        let both = Both::<R>::new(token, primes);
        let moduli = &both.four;
        let powers = Powers::new(stages, moduli);
        let mut rows = Vec::with_capacity(stages.hidden.len() + 1);
        let mut polynomials = Vec::with_capacity(stages.hidden.len());
        for stage in &stages.hidden {
            rows.push(powers.rows(&stage.rows, moduli));
            let mut images = Vec::with_capacity(stage.polynomials.len());
            for c in &stage.polynomials {
                let mut image = Vec::with_capacity(c.len());
                for x in c {
                    image.push(powers.image(x, moduli));
                }
                images.push(image);
            }
            polynomials.push(images);
        }
        // The outputs times their denominators are integers.
        let mut outputs = powers.rows(&stages.outputs, moduli);
        for o in 0..outputs.len() {
            let mut d = [R::Word::default(); 4];
            for l in 0..4 {
                d[l] = R::word(denominators[o][l], primes[l]);
            }
            outputs[o].bias = R::mul(outputs[o].bias, d, moduli);
            for (_, w) in &mut outputs[o].weights {
                *w = R::mul(*w, d, moduli);
            }
        }
        rows.push(outputs);
        Images { moduli: both, rows, polynomials }
    }
}

/// Which differences a step adds, by level: the level's lattice has the axes from its own on.
///
/// Where no more than e steps remain, differences of orders above e do not matter any more; they
/// keep the values of before.
pub(super) struct Steps {
    variables: usize,
    /// The degree of the tabulated polynomials, at least 1.
    q: usize,
    /// Steps that may go unreduced.
    unreduced: usize,
    /// Differences of order below q, by level.
    rows: Vec<usize>,
    /// By level and the largest order e below q that matters: runs of differences up to that order,
    /// ascending, where the first is, that which is added to it, and how many; those of order q are
    /// marked and count among themselves.
    sources: Vec<Vec<Vec<(u32, u32, u32)>>>,
}

/// Marks a source among the differences of order q.
const TOP: u32 = 1 << 31;

impl Steps {
    fn new(simplex: &Simplex, n: usize, q: usize, largest: u64) -> Self {
        let sources = (0..n)
            .map(|level| {
                let m = n - level;
                let mut sources: Vec<Vec<(u32, u32, u32)>> = vec![Vec::new(); q];
                let mut next = vec![0; m];
                let mut row = 0;
                each_point(m, q - 1, |point| {
                    next.copy_from_slice(point);
                    next[0] += 1;
                    let order: usize = point.iter().sum();
                    let source = if order + 1 < q {
                        simplex.rank(&next, q - 1) as u32
                    } else {
                        top_rank(simplex, &next, q) as u32 | TOP
                    };
                    for sources in &mut sources[order..] {
                        match sources.last_mut() {
                            Some((first, from, n))
                                if (*first + *n, *from + *n) == (row, source) =>
                            {
                                *n += 1;
                            }
                            _ => sources.push((row, source, 1)),
                        }
                    }
                    row += 1;
                });
                sources
            })
            .collect();
        let rows = (0..n).map(|level| simplex.count(n - level, q - 1)).collect();
        Steps { variables: n, q, unreduced: unreduced_steps(q, largest), rows, sources }
    }
}

/// How many steps in turn differences of order up to q may go unreduced, along whatever axes,
/// modulo primes up to `largest`.
///
/// A difference after s steps is a sum of differences of before, those of order j higher with
/// weights that sum up to C(s, j) (Vandermonde); each is at most p / 2 + 2 when it has been
/// reduced, and a sum is exact up to 2^53. So C(s, 0) + ... + C(s, q) may be 2^53 / (p / 2 + 2).
fn unreduced_steps(q: usize, largest: u64) -> usize {
    let most = (1_u64 << 53) / (largest / 2 + 3);
    let sum = |s: usize| {
        let (mut sum, mut term) = (0_u64, 1_u64);
        for j in 0..=q.min(s) as u64 {
            sum = sum.saturating_add(term);
            term = term.saturating_mul(s as u64 - j) / (j + 1);
        }
        sum
    };
    (0..64).take_while(|s| sum(s + 1) <= most).count()
}

/// The position of a point of degree q among those of degree exactly q, in lexicographic order.
fn top_rank(simplex: &Simplex, point: &[usize], q: usize) -> usize {
    // The last coordinate follows from the others: points of degree up to q without it, in order.
    match point.len() {
        0 | 1 => 0,
        n => simplex.rank(&point[..n - 1], q),
    }
}

/// Polynomials of which forward differences are known, `vectors` vectors a difference.
pub(super) struct Table<R: Residues> {
    pub(super) moduli: Both<R>,
    pub(super) vectors: usize,
    /// The differences of order q, which are the same everywhere, in lexicographic order.
    top: Lines<R>,
}

impl<R: Residues> Table<R> {
    /// The differences at the origin of orders below q, in lexicographic order, and the table:
    /// `row` writes the differences of each row of the lattice of degree q in `n` variables.
    pub(super) fn new(
        simplex: &Simplex,
        (n, q): (usize, usize),
        moduli: Both<R>,
        vectors: usize,
        row: impl Fn(usize, &mut [Four<R>]),
    ) -> (Lines<R>, Self) {
        let (all, below) = (simplex.count(n, q), simplex.count(n, q - 1));
        let mut lower = Lines::zeros(below * vectors);
        let mut top = Lines::zeros((all - below) * vectors);
        let mut places = lower.chunks_exact_mut(vectors.max(1));
        let mut top_places = top.chunks_exact_mut(vectors.max(1));
        let mut rows = 0..all;
        each_point(n, q, |point| {
            let order: usize = point.iter().sum();
            let place = if order < q { places.next() } else { top_places.next() };
            if let (Some(r), Some(place)) = (rows.next(), place) {
                row(r, place);
            }
        });
        (lower, Table { moduli, vectors, top })
    }
}

/// What is done with the points of a lattice.
pub(super) trait Evaluate<M: Machine> {
    /// Evaluates the next `count` points in lexicographic order: `rows` holds, by table, a row of
    /// vectors a point. They are not reduced.
    fn evaluate(&mut self, rows: &[Lines<M::R>], count: usize);
}

/// What walks write into.
pub(super) struct Room<R: Residues> {
    /// The differences at each level, by table.
    buffers: Vec<Vec<Lines<R>>>,
    /// Rows of so many points, by table.
    rows: Vec<Lines<R>>,
    points: usize,
}

/// Points that are collected; with all their pre-activations they fit into a cache.
const COLLECTED: usize = 16;

impl<R: Residues> Room<R> {
    /// For walks in the axes from `level` on, over lattices of degree up to `budget`.
    fn new(steps: &Steps, tables: &[Table<R>], level: usize, budget: usize) -> Self {
        let points = COLLECTED.max(budget + 1);
        let buffers = buffers(steps, tables, level..steps.variables - 1);
        Room { buffers, rows: room(tables, points), points }
    }
}

/// Room for so many rows of each table.
fn room<R: Residues>(tables: &[Table<R>], rows: usize) -> Vec<Lines<R>> {
    tables.iter().map(|t| Lines::zeros(rows * t.vectors)).collect()
}

/// Room for the differences at some levels.
fn buffers<R: Residues>(
    steps: &Steps,
    tables: &[Table<R>],
    levels: std::ops::Range<usize>,
) -> Vec<Vec<Lines<R>>> {
    levels.map(|level| room(tables, steps.rows[level])).collect()
}

/// Points that a walk collects, so that they are evaluated many at a time.
struct Points<'e, M: Machine, E: Evaluate<M>> {
    evaluate: &'e mut E,
    rows: &'e mut [Lines<M::R>],
    filled: usize,
    room: usize,
}

impl<M: Machine, E: Evaluate<M>> Points<'_, M, E> {
    fn flush(&mut self) {
        self.evaluate.evaluate(self.rows, self.filled);
        self.filled = 0;
    }

    /// Makes room for so many more.
    #[inline(always)]
    fn reserve(&mut self, count: usize) {
        if self.filled + count > self.room {
            self.flush();
        }
    }
}

/// The differences at a point, by table, and after how many unreduced steps they are.
type Place<'a, R> = (&'a [Lines<R>], usize);

/// A walk over a lattice.
struct Walk<'a, M: Machine> {
    machine: M,
    steps: &'a Steps,
    tables: &'a [Table<M::R>],
}

impl<M: Machine> Walk<'_, M> {
    /// Walks the lattice of degree `budget` in the axes from `level` on, in a room for these.
    fn run(
        &self,
        start: Place<'_, M::R>,
        (level, budget): (usize, usize),
        room: &mut Room<M::R>,
        to: &mut impl Evaluate<M>,
    ) {
        let Room { buffers, rows, points } = room;
        let mut points = Points { evaluate: to, rows, filled: 0, room: *points };
        self.walk(start, buffers, level, budget, &mut points);
        points.flush();
    }

    /// The same; `unreduced` is how many unreduced steps `current` is after.
    fn walk(
        &self,
        (current, unreduced): Place<'_, M::R>,
        buffers: &mut [Vec<Lines<M::R>>],
        level: usize,
        budget: usize,
        points: &mut Points<'_, M, impl Evaluate<M>>,
    ) {
        if budget < 2 {
            self.machine.run(
                #[inline(always)]
                || {
                    self.here(current, points);
                    if budget == 1 {
                        for axis in (level..self.steps.variables).rev() {
                            self.beside(current, axis, points);
                        }
                    }
                },
            );
            return;
        }
        let Some((mine, rest)) = buffers.split_first_mut() else {
            points.reserve(budget + 1);
            self.line((current, unreduced), budget, points);
            return;
        };
        self.walk((current, unreduced), rest, level + 1, budget, points);
        let mut unreduced = unreduced;
        for k in 1..budget {
            let from = (k == 1).then_some(current);
            unreduced = self.step(from, mine, level, budget - k, unreduced);
            self.walk((mine, unreduced), rest, level + 1, budget - k, points);
        }
        self.machine.run(
            #[inline(always)]
            || self.beside(mine, level, points),
        );
    }

    /// Collects the point at which these are the differences.
    #[inline(always)]
    fn here(&self, current: &[Lines<M::R>], points: &mut Points<'_, M, impl Evaluate<M>>) {
        points.reserve(1);
        for t in 0..self.tables.len() {
            let v = self.tables[t].vectors;
            let to = &mut points.rows[t][points.filled * v..][..v];
            let row = &current[t][..v];
            for i in 0..v {
                to[i] = row[i];
            }
        }
        points.filled += 1;
    }

    /// Collects the next point along an axis.
    #[inline(always)]
    fn beside(
        &self,
        current: &[Lines<M::R>],
        axis: usize,
        points: &mut Points<'_, M, impl Evaluate<M>>,
    ) {
        points.reserve(1);
        // Among differences in fewer axes, those along an axis have the same place.
        let unit = self.steps.sources[axis][0][0].1;
        for t in 0..self.tables.len() {
            let table = &self.tables[t];
            let v = table.vectors;
            let place = (unit & !TOP) as usize * v;
            let next = match unit & TOP {
                0 => &current[t][place..][..v],
                _ => &table.top[place..][..v],
            };
            let to = &mut points.rows[t][points.filled * v..][..v];
            add::<M, false>(to, &current[t][..v], next, &table.moduli);
        }
        points.filled += 1;
    }

    /// Collects the points of a line along the last axis.
    fn line(
        &self,
        (current, unreduced): Place<'_, M::R>,
        budget: usize,
        points: &mut Points<'_, M, impl Evaluate<M>>,
    ) {
        let filled = points.filled;
        points.filled += budget + 1;
        for t in 0..self.tables.len() {
            let line = Line {
                lower: &current[t],
                table: &self.tables[t],
                q: self.steps.q,
                steps: unreduced,
                unreduced: self.steps.unreduced,
                length: budget + 1,
            };
            let to = &mut points.rows[t][filled * line.table.vectors..];
            self.machine.run(
                #[inline(always)]
                // Differences of an order above the number of steps do not matter.
                || match self.steps.q.min(budget) {
                    _ if !M::UNROLLS => line.all::<M, LONG>(to),
                    1 => line.all::<M, 1>(to),
                    2 => line.all::<M, 2>(to),
                    3 => line.all::<M, 3>(to),
                    4 => line.all::<M, 4>(to),
                    5 | 6 => line.all::<M, 6>(to),
                    7..=9 => line.all::<M, 9>(to),
                    _ => line.all::<M, LONG>(to),
                },
            );
        }
    }

    /// One step along the axis of `level`, from `from` or in place, to where `remaining` more are
    /// to come; how many unreduced steps it is then.
    fn step(
        &self,
        from: Option<&[Lines<M::R>]>,
        to: &mut [Lines<M::R>],
        level: usize,
        remaining: usize,
        unreduced: usize,
    ) -> usize {
        let reduces = unreduced + 1 >= self.steps.unreduced;
        self.machine.run(
            #[inline(always)]
            || {
                if reduces {
                    self.step_by::<true>(from, to, level, remaining);
                } else {
                    self.step_by::<false>(from, to, level, remaining);
                }
            },
        );
        if reduces { 0 } else { unreduced + 1 }
    }

    #[inline(always)]
    fn step_by<const REDUCES: bool>(
        &self,
        from: Option<&[Lines<M::R>]>,
        to: &mut [Lines<M::R>],
        level: usize,
        remaining: usize,
    ) {
        let runs = &self.steps.sources[level][remaining.min(self.steps.q - 1)][..];
        let size = self.steps.rows[level];
        // By index: adaptors of iterators are not inlined across units of code generation.
        for t in 0..self.tables.len() {
            let (v, m) = (self.tables[t].vectors, &self.tables[t].moduli);
            let top = &self.tables[t].top[..];
            let to = &mut to[t][..size * v];
            for &(row, source, count) in runs {
                let (row, count) = (row as usize * v, count as usize * v);
                let later = (source & !TOP) as usize * v;
                match (from, source & TOP) {
                    (Some(from), 0) => {
                        let (own, next) = (&from[t][row..][..count], &from[t][later..][..count]);
                        add::<M, REDUCES>(&mut to[row..][..count], own, next, m);
                    }
                    (Some(from), _) => {
                        let (own, next) = (&from[t][row..][..count], &top[later..][..count]);
                        add::<M, REDUCES>(&mut to[row..][..count], own, next, m);
                    }
                    (None, 0) => {
                        // Larger in this order: they still have the values before the step, up to
                        // where this run itself has come.
                        let apart = later - row;
                        let mut done = 0;
                        while done < count {
                            let n = apart.min(count - done);
                            let (own, later) = to[row + done..].split_at_mut(apart);
                            increase::<M, REDUCES>(&mut own[..n], &later[..n], m);
                            done += n;
                        }
                    }
                    (None, _) => {
                        increase::<M, REDUCES>(&mut to[row..][..count], &top[later..][..count], m);
                    }
                }
            }
        }
    }

    /// Calls `each` with the choices of the coordinates from `level` on for which there are
    /// buffers, in order.
    fn prefixes(
        &self,
        (current, unreduced): Place<'_, M::R>,
        buffers: &mut [Vec<Lines<M::R>>],
        level: usize,
        budget: usize,
        each: &mut dyn FnMut(usize, Place<'_, M::R>),
    ) {
        let Some((mine, rest)) = buffers.split_first_mut() else {
            each(budget, (current, unreduced));
            return;
        };
        self.prefixes((current, unreduced), rest, level + 1, budget, each);
        let mut unreduced = unreduced;
        for k in 1..=budget {
            let from = (k == 1).then_some(current);
            unreduced = self.step(from, mine, level, budget - k, unreduced);
            self.prefixes((mine, unreduced), rest, level + 1, budget - k, each);
        }
    }
}

/// `to = a + b`.
#[inline(always)]
fn add<M: Machine, const REDUCES: bool>(
    to: &mut [Four<M::R>],
    a: &[Four<M::R>],
    b: &[Four<M::R>],
    moduli: &Both<M::R>,
) {
    let (mut a, mut b, mut to) = (&a[..to.len()], &b[..to.len()], to);
    if M::WIDE {
        let (all, rest) = to.as_chunks_mut::<2>();
        let (all_a, rest_a) = a.as_chunks::<2>();
        let (all_b, rest_b) = b.as_chunks::<2>();
        add_by::<M::R, 2, 8, REDUCES>(all, all_a, all_b, &moduli.eight);
        (to, a, b) = (rest, rest_a, rest_b);
    }
    let to = to.as_chunks_mut().0;
    add_by::<M::R, 1, 4, REDUCES>(to, a.as_chunks().0, b.as_chunks().0, &moduli.four);
}

#[inline(always)]
fn add_by<R: Residues, const N: usize, const W: usize, const REDUCES: bool>(
    to: &mut [[Four<R>; N]],
    a: &[[Four<R>; N]],
    b: &[[Four<R>; N]],
    m: &Moduli<R, W>,
) {
    let (a, b) = (&a[..to.len()], &b[..to.len()]);
    for i in 0..to.len() {
        let sum = R::add(load::<R, W>(&a[i], 0), load::<R, W>(&b[i], 0), m);
        store::<R, W>(&mut to[i], 0, if REDUCES { R::reduce(sum, m) } else { sum });
    }
}

/// `to += b`.
#[inline(always)]
fn increase<M: Machine, const REDUCES: bool>(
    to: &mut [Four<M::R>],
    b: &[Four<M::R>],
    moduli: &Both<M::R>,
) {
    let (mut b, mut to) = (&b[..to.len()], to);
    if M::WIDE {
        let (all, rest) = to.as_chunks_mut::<2>();
        let (all_b, rest_b) = b.as_chunks::<2>();
        increase_by::<M::R, 2, 8, REDUCES>(all, all_b, &moduli.eight);
        (to, b) = (rest, rest_b);
    }
    increase_by::<M::R, 1, 4, REDUCES>(to.as_chunks_mut().0, b.as_chunks().0, &moduli.four);
}

#[inline(always)]
fn increase_by<R: Residues, const N: usize, const W: usize, const REDUCES: bool>(
    to: &mut [[Four<R>; N]],
    b: &[[Four<R>; N]],
    m: &Moduli<R, W>,
) {
    let b = &b[..to.len()];
    for i in 0..to.len() {
        let sum = R::add(load::<R, W>(&to[i], 0), load::<R, W>(&b[i], 0), m);
        store::<R, W>(&mut to[i], 0, if REDUCES { R::reduce(sum, m) } else { sum });
    }
}

/// Stands for orders above 9: their differences do not fit into registers.
const LONG: usize = 10;

/// A line along the last axis: the differences where it begins, of orders up to q; after how many
/// unreduced steps, and how many there may be.
struct Line<'a, R: Residues> {
    lower: &'a [Four<R>],
    table: &'a Table<R>,
    q: usize,
    steps: usize,
    unreduced: usize,
    length: usize,
}

impl<R: Residues> Line<'_, R> {
    /// All vectors at all points, a row a point; `K` is at least the largest order that matters, or
    /// [`LONG`].
    #[inline(always)]
    fn all<M: Machine<R = R>, const K: usize>(&self, to: &mut [Four<R>]) {
        let mut vector = 0;
        if M::WIDE {
            while vector + 2 <= self.table.vectors {
                self.vector::<K, 8>(vector, to, &self.table.moduli.eight);
                vector += 2;
            }
        }
        for vector in vector..self.table.vectors {
            self.vector::<K, 4>(vector, to, &self.table.moduli.four);
        }
    }

    /// The difference of an order, zero above q.
    #[inline(always)]
    fn difference<const W: usize>(&self, order: usize, vector: usize) -> [R::Word; W] {
        if order < self.q {
            load::<R, W>(self.lower, order * self.table.vectors + vector)
        } else if order == self.q {
            load::<R, W>(&self.table.top, vector)
        } else {
            [R::Word::default(); W]
        }
    }

    #[inline(always)]
    fn vector<const K: usize, const W: usize>(
        &self,
        vector: usize,
        to: &mut [Four<R>],
        m: &Moduli<R, W>,
    ) {
        let v = self.table.vectors;
        store::<R, W>(to, vector, load::<R, W>(self.lower, vector));
        let mut steps = self.steps;
        if K == LONG {
            // Only the orders matter that are not above the number of steps to come.
            let count = self.q.min(self.length - 1) + 1;
            let mut d = vec![[R::Word::default(); W]; count];
            for i in 0..count {
                d[i] = self.difference::<W>(i, vector);
            }
            for t in 1..self.length {
                let changed = self.q.min(self.length - t);
                let mut low = d[0];
                for i in 0..changed {
                    let high = d[i + 1];
                    d[i] = R::add(low, high, m);
                    low = high;
                }
                steps += 1;
                if steps >= self.unreduced {
                    steps = 0;
                    for i in 0..changed {
                        d[i] = R::reduce(d[i], m);
                    }
                }
                store::<R, W>(to, t * v + vector, d[0]);
            }
            return;
        }
        let mut d = [[R::Word::default(); W]; K];
        for i in 0..K {
            d[i] = self.difference::<W>(i, vector);
        }
        let top = self.difference::<W>(K, vector);
        for t in 1..self.length {
            for i in 0..K - 1 {
                d[i] = R::add(d[i], d[i + 1], m);
            }
            d[K - 1] = R::add(d[K - 1], top, m);
            steps += 1;
            if steps >= self.unreduced {
                steps = 0;
                for i in 0..K {
                    d[i] = R::reduce(d[i], m);
                }
            }
            store::<R, W>(to, t * v + vector, d[0]);
        }
    }
}

/// The walks of an expansion, whatever the primes: the steps of the stages that are tabulated.
pub(super) struct Schedule {
    /// By stage; the last is the one from which the whole lattice is walked.
    steps: Vec<Steps>,
}

impl Schedule {
    /// For a lattice that is walked from stage `from` on, modulo primes up to `largest`.
    pub(super) fn new(
        simplex: &Simplex,
        n: usize,
        stages: &Stages,
        from: usize,
        largest: u64,
    ) -> Self {
        // The first stages may be constant; a difference table has at least order 1.
        let orders = stages.hidden[1..=from].iter().map(|s| (s.degree() as usize).max(1));
        let orders = [1].into_iter().chain(orders);
        Schedule { steps: orders.map(|q| Steps::new(simplex, n, q, largest)).collect() }
    }

    fn last(&self) -> &Steps {
        &self.steps[self.steps.len() - 1]
    }
}

/// A batch: tables from which every slab of the lattice is evaluated.
pub(super) struct Batch<R: Residues> {
    /// The differences at the origin, by table.
    lower: Vec<Lines<R>>,
    tables: Vec<Table<R>>,
    kind: Kind<R>,
}

enum Kind<R: Residues> {
    /// The last stage, packed: lanes are primes times neurons.
    Last(Packing<R>),
    /// The stages by matrix products; lanes are primes.
    Through(Products<R>),
}

/// From which stage on the lattice is walked: the one whose steps and products cost least.
pub(super) fn first_stage(simplex: &Simplex, n: usize, degree: usize, stages: &Stages) -> usize {
    let costs: Vec<f64> = (0..stages.hidden.len())
        .map(|from| through_cost(simplex, n, degree, stages, from))
        .collect();
    (0..costs.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or(0)
}

/// Operations on a residue, a lattice point and prime, when the lattice is walked from stage
/// `from`.
pub(super) fn through_cost(
    simplex: &Simplex,
    n: usize,
    degree: usize,
    stages: &Stages,
    from: usize,
) -> f64 {
    let stage = &stages.hidden[from];
    let q = (stage.degree() as usize).max(1);
    let points = simplex.count(n, degree) as f64;
    // Every node of the walk below the root takes a step of all differences that still matter.
    let nodes = |axes: usize, sum: usize| match (axes, sum) {
        (0, _) => 0,
        (_, 0) => 1,
        _ => simplex.count(axes, sum) - simplex.count(axes, sum - 1),
    };
    let steps: f64 = (0..n)
        .map(|level| {
            (0..degree)
                .map(|e| {
                    let nodes = nodes(level + 1, degree - e) - nodes(level, degree - e);
                    nodes as f64 * simplex.count(n - level, e.min(q - 1)) as f64
                })
                .sum::<f64>()
        })
        .sum::<f64>()
        / points;
    let last = stages.hidden.len() - 1;
    let width = |s: usize| stages.hidden[s].rows.len() as f64;
    // An addition, and some that reduce.
    let mut cost = 1.2 * steps * width(from);
    if from == last {
        let products = (stage.polynomial_degree().max(2) - 1) as f64 * 7.0 + 3.0;
        cost + products * width(last)
    } else {
        for s in from..=last {
            cost += 8.0 * width(s) * stages.hidden[s].polynomial_degree() as f64;
            let next = stages.hidden.get(s + 1).map_or(&stages.outputs, |stage| &stage.rows);
            let entries: usize = next.iter().map(|row| row.weights.len()).sum();
            cost += 8.0 * entries as f64;
        }
        // Short vectors, and no packing.
        1.3 * cost
    }
}

impl<R: Residues> Batch<R> {
    /// Prepares the evaluation modulo `primes`, of which the first `count` are wanted;
    /// `denominators` are the residues by which the outputs are multiplied.
    pub(super) fn new<M: Machine<R = R>>(
        machine: M,
        (simplex, neighbours): (&Simplex, &Neighbours),
        schedule: &Schedule,
        stages: &Stages,
        (primes, count): ([u64; 4], usize),
        denominators: &[[u64; 4]],
    ) -> Self {
        let n = stages.used.len();
        let images = machine.run(
            #[inline(always)]
            || Images::<R>::new(machine.token(), stages, primes, denominators),
        );
        let mut values = machine.run(
            #[inline(always)]
            || first_differences(n, &images),
        );
        let from = schedule.steps.len() - 1;
        for s in 1..=from {
            let q = schedule.steps[s].q;
            let (before, width) = (stages.hidden[s - 1].rows.len(), stages.hidden[s].rows.len());
            let place = (n, schedule.steps[s - 1].q);
            let (lower, table) = unpacked(simplex, place, images.moduli, before, &values);
            let (lower, tables) = ([lower], [table]);
            values = Lines::zeros(simplex.count(n, q) * width);
            let products = machine.run(
                #[inline(always)]
                || Products::new(&images, s - 1..s),
            );
            let steps = &schedule.steps[s - 1];
            let mut products = Through::<M> {
                machine,
                moduli: &tables[0].moduli,
                products: &products,
                scratch: Scratch::default(),
                store: Store::Rows(&mut values),
                next: 0,
            };
            let mut room = Room::new(steps, &tables, 0, q);
            let walk = Walk { machine, steps, tables: &tables };
            walk.run((&lower, 0), (0, q), &mut room, &mut products);
            let moduli = &images.moduli;
            let axes = Axes { machine, simplex, neighbours, moduli, stride: width, reduces: true };
            axes.differences(&mut values, (n, q));
        }
        let place = (n, schedule.last().q);
        machine.run(
            #[inline(always)]
            || {
                if from + 1 == stages.hidden.len() {
                    let points = simplex.count(n, stages.degree() as usize);
                    let PackedStage { lower, tables, packing } =
                        pack::<M>(&images, values, (simplex, place), count, points);
                    Batch { lower, tables, kind: Kind::Last(packing) }
                } else {
                    let width = stages.hidden[from].rows.len();
                    let (lower, table) = unpacked(simplex, place, images.moduli, width, &values);
                    let products = Products::new(&images, from..stages.hidden.len());
                    Batch { lower: vec![lower], tables: vec![table], kind: Kind::Through(products) }
                }
            },
        )
    }

    /// Calls `each` with every slab of the lattice, a choice of the first `h` coordinates, and the
    /// differences where it begins.
    pub(super) fn each_slab<M: Machine<R = R>>(
        &self,
        machine: M,
        schedule: &Schedule,
        degree: usize,
        h: usize,
        each: &mut dyn FnMut(usize, Start<'_, R>),
    ) {
        let mut next = 0;
        let steps = schedule.last();
        let mut buffers = buffers(steps, &self.tables, 0..h);
        let walk = Walk { machine, steps, tables: &self.tables };
        walk.prefixes((&self.lower, 0), &mut buffers, 0, degree, &mut |budget, at| {
            each(next, Start { budget, at });
            next += 1;
        });
    }

    /// A start to keep, with the differences that a walk from level `h` on reads.
    pub(super) fn keep(&self, start: Start<'_, R>, schedule: &Schedule, h: usize) -> OwnedStart<R> {
        let (at, unreduced) = start.at;
        let rows = schedule.last().rows[h];
        let mut own = room(&self.tables, rows);
        for (own, x) in own.iter_mut().zip(at) {
            let count = own.len();
            own.copy_from_slice(&x[..count]);
        }
        OwnedStart { budget: start.budget, at: own, unreduced }
    }

    /// Room to evaluate slabs of degree up to `budget`, of choices of the first `h` coordinates.
    pub(super) fn room(&self, schedule: &Schedule, h: usize, budget: usize) -> Room<R> {
        Room::new(schedule.last(), &self.tables, h, budget)
    }

    /// Evaluates the slab that begins at `start` into `out`, a list an output.
    pub(super) fn evaluate<M: Machine<R = R>>(
        &self,
        machine: M,
        schedule: &Schedule,
        start: Start<'_, R>,
        h: usize,
        room: &mut Room<R>,
        out: &mut [&mut [Four<R>]],
    ) {
        let Start { budget, at } = start;
        let (steps, tables) = (schedule.last(), &self.tables[..]);
        let walk = Walk { machine, steps, tables };
        match &self.kind {
            Kind::Last(packing) if M::WIDE => {
                let mut last = Last::new(machine, tables, packing, Both::eight, out);
                walk.run(at, (h, budget), room, &mut last);
            }
            Kind::Last(packing) => {
                let mut last = Last::new(machine, tables, packing, Both::four, out);
                walk.run(at, (h, budget), room, &mut last);
            }
            Kind::Through(products) => {
                let mut products = Through::<M> {
                    machine,
                    moduli: &tables[0].moduli,
                    products,
                    scratch: Scratch::default(),
                    store: Store::Outputs(out),
                    next: 0,
                };
                walk.run(at, (h, budget), room, &mut products);
            }
        }
    }
}

/// Where a slab begins: its degree, the differences there, and after how many unreduced steps.
pub(super) struct Start<'a, R: Residues> {
    pub(super) budget: usize,
    at: (&'a [Lines<R>], usize),
}

/// The same, owned.
pub(super) struct OwnedStart<R: Residues> {
    budget: usize,
    at: Vec<Lines<R>>,
    unreduced: usize,
}

impl<R: Residues> OwnedStart<R> {
    pub(super) fn borrow(&self) -> Start<'_, R> {
        Start { budget: self.budget, at: (&self.at, self.unreduced) }
    }
}

/// The differences of the first pre-activations: the bias, and the weight along each axis.
#[inline(always)]
fn first_differences<R: Residues>(n: usize, images: &Images<R>) -> Lines<R> {
    let (rows, m) = (&images.rows[0], &images.moduli.four);
    let width = rows.len();
    let mut all = Lines::zeros((n + 1) * width);
    for i in 0..width {
        all[i] = R::reduce(rows[i].bias, m);
        for (j, w) in &rows[i].weights {
            // Lexicographic: the last axis first.
            all[(n - *j as usize) * width + i] = R::reduce(*w, m);
        }
    }
    all
}

/// The table of differences that stand in rows of `width` vectors.
fn unpacked<R: Residues>(
    simplex: &Simplex,
    place: (usize, usize),
    moduli: Both<R>,
    width: usize,
    differences: &[Four<R>],
) -> (Lines<R>, Table<R>) {
    Table::new(simplex, place, moduli, width, |r, to| {
        to.copy_from_slice(&differences[r * width..][..width]);
    })
}
