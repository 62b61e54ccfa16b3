//! The last stage, at every point of the lattice.
//!
//! A neuron's polynomial c(z) of degree d becomes c_d g(z + s), where g has the leading coefficient
//! 1 and no terms of degree d - 1, 1 and 0: the first is removed by the shift s, and the last two,
//! which are no product, go into one polynomial an output that is tabulated with the neurons. That
//! leaves one or two products a neuron and point for degrees 2 to 4, and one more for each output.
//! With a single output of weight w that one falls away too: w c_d = +-r^d for some r, so that
//! w c_d g(z) = +-h(r z), where h has the leading coefficient 1 again.
//!
//! Vectors hold four primes, or two neurons at two primes, or four neurons at one.

use super::Four;
use super::interpolate::{invert, power};
use super::tabulate::{Images, Line, Table};
use crate::numeric::residues::{Machine, Moduli, Residues};

/// How the neurons stand in the vectors of each table.
pub(super) struct Packing<R: Residues> {
    passes: Vec<Pass<R>>,
    /// Whether the weights are signs.
    rooted: bool,
}

/// The vectors for some of a batch's primes.
struct Pass<R: Residues> {
    /// The first prime of the batch, and how many.
    first: usize,
    primes: usize,
    groups: Vec<Group<R>>,
}

/// Vectors of neurons of one degree.
struct Group<R: Residues> {
    degree: usize,
    vectors: std::ops::Range<usize>,
    /// Coefficients of degrees d - 2 down to 2, for each vector.
    inner: Vec<Four<R>>,
    /// The weight of each output, for each vector: vector-major; signs where roots were taken.
    weights: Vec<Four<R>>,
}

/// Neurons in the lanes of vectors, `primes` lanes each.
struct Lanes<'a> {
    neurons: &'a [usize],
    first: usize,
    primes: usize,
}

impl Lanes<'_> {
    /// The vector of a row with a value a neuron.
    #[inline(always)]
    fn gather<R: Residues>(&self, row: &[Four<R>]) -> Four<R> {
        let mut vector = [R::Word::default(); 4];
        for l in 0..4 {
            if l / self.primes < self.neurons.len() {
                vector[l] = row[self.neurons[l / self.primes]][self.first + l % self.primes];
            }
        }
        vector
    }
}

/// Packs the last stage: for each pass, vectors of neurons times primes.
#[inline(always)]
pub(super) fn pack<R: Residues>(
    images: &Images<R>,
    mut table: Table<R>,
    count: usize,
    points: usize,
) -> (Vec<Table<R>>, Packing<R>) {
    let m = &images.moduli;
    let last = images.polynomials.len() - 1;
    let (polynomials, outputs) = (&images.polynomials[last], &images.rows[last + 1]);
    let width = polynomials.len();
    let zero = m.words(0);
    let one = m.words(1);

    // 1 / (d c_d) for all neurons by one inversion.
    let mut prefix = one;
    let mut prefixes = Vec::with_capacity(width);
    let leading = |c: &[Four<R>]| {
        let d = c.len() as u64 - 1;
        if d < 2 { one } else { R::mul(c[c.len() - 1], m.words(d), m) }
    };
    for c in polynomials {
        prefixes.push(prefix);
        prefix = R::mul(prefix, leading(c), m);
    }
    let mut inverse = invert(prefix, m);
    let mut inverses = vec![one; width];
    for i in (0..width).rev() {
        let c = &polynomials[i];
        inverses[i] = R::mul(inverse, prefixes[i], m);
        inverse = R::mul(inverse, leading(c), m);
    }

    // Shifted polynomials, and what of them is linear.
    let mut shifts = vec![zero; width];
    let deepest = polynomials.iter().map(|c| c.len() - 1).max().unwrap_or(0);
    // By the distance of the degree from d - 2, then by neuron.
    let mut inner: Vec<Vec<Four<R>>> = vec![vec![zero; width]; deepest.saturating_sub(3)];
    let mut linear = vec![(zero, zero); width];
    for (i, c) in polynomials.iter().enumerate() {
        let d = c.len() - 1;
        if d < 2 {
            linear[i] = (R::reduce(c[0], m), c.get(1).map_or(zero, |c| R::reduce(*c, m)));
            continue;
        }
        // s = c_{d-1} / (d c_d); c(z' - s) by synthetic division.
        shifts[i] = R::reduce(R::mul(c[d - 1], inverses[i], m), m);
        let mut c = c.clone();
        for k in 0..d {
            for j in (k..d).rev() {
                let product = R::mul(c[j + 1], shifts[i], m);
                c[j] = R::reduce(R::sub(c[j], product, m), m);
            }
        }
        let inverse = R::mul(inverses[i], m.words(d as u64), m);
        for k in 2..=d.saturating_sub(2) {
            inner[d - 2 - k][i] = R::reduce(R::mul(c[k], inverse, m), m);
        }
        linear[i] = (c[0], c[1]);
    }

    let rows = table.lower.len() / width.max(1);
    let tops = table.top.len() / width.max(1);
    // One polynomial an output: what is linear in the pre-activations.
    let mut rest_lower = vec![zero; rows * outputs.len()];
    let mut rest_top = vec![zero; tops * outputs.len()];
    let mut weights: Vec<Vec<Four<R>>> = vec![vec![zero; width]; outputs.len()];
    for (o, output) in outputs.iter().enumerate() {
        let mut constant = output.bias;
        for (i, w) in &output.weights {
            let i = *i as usize;
            let slope = R::mul(*w, linear[i].1, m);
            let product = R::mul(*w, linear[i].0, m);
            constant = R::reduce(R::add(constant, product, m), m);
            // The table has z, the polynomial z' = z + s.
            let product = R::mul(slope, shifts[i], m);
            constant = R::reduce(R::add(constant, product, m), m);
            for (to, from) in [(&mut rest_lower, &table.lower), (&mut rest_top, &table.top)] {
                for r in 0..from.len() / width {
                    let to = &mut to[r * outputs.len() + o];
                    let product = R::mul(slope, from[r * width + i], m);
                    *to = R::reduce(R::add(*to, product, m), m);
                }
            }
            let c = &polynomials[i];
            weights[o][i] = R::mul(*w, c[c.len() - 1], m);
        }
        rest_lower[o] = R::reduce(R::add(rest_lower[o], constant, m), m);
    }

    for i in 0..width.min(table.lower.len()) {
        table.lower[i] = R::reduce(R::add(table.lower[i], shifts[i], m), m);
    }
    let degree = |i: usize| polynomials[i].len() - 1;
    let rooted = outputs.len() == 1 && points >= ROOTED && (0..width).all(|i| degree(i) <= 10);
    for i in 0..width {
        let d = degree(i);
        if d < 2 || !rooted {
            continue;
        }
        let mut exponents = [0; 4];
        for l in 0..4 {
            exponents[l] = root_exponent(d as u64, m.primes[l]);
        }
        let root = power(weights[0][i], exponents, m);
        let mut powers = root;
        for k in 2..=d {
            powers = R::mul(powers, root, m);
            // That of degree d - k.
            if k < d - 1 {
                let c = &mut inner[k - 2][i];
                *c = R::reduce(R::mul(*c, powers, m), m);
            }
        }
        let weight = &mut weights[0][i];
        for l in 0..4 {
            let p = m.primes[l];
            let equal = R::residue(powers[l], p) == R::residue(weight[l], p);
            weight[l] = R::word(if equal { 1 } else { p - 1 }, p);
        }
        for rows in [&mut table.lower, &mut table.top] {
            for r in 0..rows.len() / width {
                let x = &mut rows[r * width + i];
                *x = R::reduce(R::mul(*x, root, m), m);
            }
        }
    }

    // Neurons by degree; those of degree below 2 have gone into the rest.
    let mut degrees: Vec<usize> =
        polynomials.iter().map(|c| c.len() - 1).filter(|d| *d > 1).collect();
    degrees.sort_unstable();
    degrees.dedup();
    let by_degree: Vec<(usize, Vec<usize>)> = degrees
        .into_iter()
        .map(|d| (d, (0..width).filter(|i| polynomials[*i].len() == d + 1).collect()))
        .collect();

    let mut tables = Vec::new();
    let mut passes = Vec::new();
    let mut first = 0;
    for &primes in pass_widths(count, width) {
        let moduli = Moduli::<R, 4>::new(
            m.token,
            std::array::from_fn(|l| m.primes[(first + l % primes).min(3)]),
        );
        let mut groups = Vec::new();
        let mut members: Vec<Lanes> = Vec::new();
        for (d, neurons) in &by_degree {
            let begin = members.len();
            let (mut inner_words, mut weight_words) = (Vec::new(), Vec::new());
            for neurons in neurons.chunks(4 / primes) {
                let lanes = Lanes { neurons, first, primes };
                for k in 0..d.saturating_sub(3) {
                    inner_words.push(lanes.gather::<R>(&inner[k]));
                }
                for weights in &weights {
                    weight_words.push(lanes.gather::<R>(weights));
                }
                members.push(lanes);
            }
            groups.push(Group {
                degree: *d,
                vectors: begin..members.len(),
                inner: inner_words,
                weights: weight_words,
            });
        }
        let vectors = members.len() + outputs.len();
        let gather = |from: &[Four<R>], rest: &[Four<R>]| {
            let rows = rest.len() / outputs.len();
            let mut to = Vec::with_capacity(vectors * rows);
            for r in 0..rows {
                let row = &from[r * width..(r + 1) * width];
                for lanes in &members {
                    to.push(lanes.gather::<R>(row));
                }
                for o in 0..outputs.len() {
                    // In the first neuron's lanes: sums over the neurons take it once.
                    let lanes = Lanes { neurons: &[0], first, primes };
                    to.push(lanes.gather::<R>(&rest[r * outputs.len() + o..]));
                }
            }
            to
        };
        let (lower, top) = (gather(&table.lower, &rest_lower), gather(&table.top, &rest_top));
        tables.push(Table { moduli, vectors, lower, top });
        passes.push(Pass { first, primes, groups });
        first += primes;
    }
    (tables, Packing { passes, rooted })
}

/// Lattice points from which on roots of the weights pay.
const ROOTED: usize = 2000;

/// An e such that x^e is, up to a factor -1 of x, a root of degree d of x modulo p, for d from 1 to
/// 10: the inverse of d modulo (p - 1) / 2, as x^((p - 1) / 2) is 1 or -1 unless x is zero.
fn root_exponent(d: u64, p: u64) -> u64 {
    let order = (p - 1) / 2;
    let mut multiple = 1;
    // The primes are chosen so that these degrees have an inverse; no sum overflows.
    for _ in 0..d {
        if multiple % d == 0 {
            break;
        }
        multiple += order;
    }
    multiple / d
}

/// How many primes each pass takes, so that few lanes are idle.
fn pass_widths(count: usize, width: usize) -> &'static [usize] {
    match count {
        1 => &[1],
        2 => &[2],
        // In one pass a quarter of the lanes is idle, in two the sums of the outputs are.
        3 if width > 4 => &[2, 1],
        _ => &[4],
    }
}

/// The line of a walk through the last stage.
pub(super) struct Last<'a, 'o, M: Machine> {
    pub(super) machine: M,
    pub(super) tables: &'a [Table<M::R>],
    pub(super) packing: &'a Packing<M::R>,
    pub(super) outputs: usize,
    pub(super) q: usize,
    /// Steps that may go unreduced.
    pub(super) unreduced: usize,
    pub(super) accumulators: Vec<Four<M::R>>,
    pub(super) differences: Vec<Four<M::R>>,
    /// As many zeros as a table has vectors.
    pub(super) zeros: &'a [Four<M::R>],
    /// A list of values an output.
    pub(super) out: &'a mut [&'o mut [Four<M::R>]],
}

/// A line: the differences of a pass where it begins, `order` of them of `vectors` vectors each,
/// then those of order q; after how many unreduced steps, and how many there may be.
struct Beginning<'a, R: Residues> {
    lower: &'a [Four<R>],
    table: &'a Table<R>,
    q: usize,
    steps: usize,
    unreduced: usize,
}

impl<M: Machine> Line<M> for Last<'_, '_, M> {
    fn line(&mut self, lower: &[Vec<Four<M::R>>], offset: usize, budget: usize, steps: usize) {
        let machine = self.machine;
        machine.run(
            #[inline(always)]
            || match (self.outputs, budget) {
                _ if !M::UNROLLS => self.work::<LONG>(lower, offset, budget, steps),
                (1, 0) => self.short::<1>(lower, offset, steps),
                (1, 1) => self.short::<2>(lower, offset, steps),
                (1, 2) => self.short::<3>(lower, offset, steps),
                (1, 3) => self.short::<4>(lower, offset, steps),
                // Differences of an order above the number of steps do not matter.
                _ => match self.q.min(budget) {
                    0 => self.work::<0>(lower, offset, budget, steps),
                    1 => self.work::<1>(lower, offset, budget, steps),
                    2 => self.work::<2>(lower, offset, budget, steps),
                    3 => self.work::<3>(lower, offset, budget, steps),
                    4 => self.work::<4>(lower, offset, budget, steps),
                    5 | 6 => self.work::<6>(lower, offset, budget, steps),
                    7..=9 => self.work::<9>(lower, offset, budget, steps),
                    _ => self.work::<LONG>(lower, offset, budget, steps),
                },
            },
        );
    }
}

/// Stands for orders above 9: their differences do not fit into registers.
const LONG: usize = 10;

impl<M: Machine> Last<'_, '_, M> {
    /// `K` is at least the largest order that matters, or [`LONG`].
    #[inline(always)]
    fn work<const K: usize>(
        &mut self,
        lower: &[Vec<Four<M::R>>],
        offset: usize,
        budget: usize,
        steps: usize,
    ) {
        let length = budget + 1;
        let outputs = self.outputs;
        let room = &mut self.differences[..];
        for t in 0..self.tables.len() {
            let (table, pass) = (&self.tables[t], &self.packing.passes[t]);
            let m = &table.moduli;
            let begin =
                Beginning { lower: &lower[t], table, q: self.q, steps, unreduced: self.unreduced };
            let sums = &mut self.accumulators[..outputs * length];
            // The rest of each output begins the sum.
            for o in 0..outputs {
                let sums = &mut sums[o * length..][..length];
                begin.line::<K>(
                    table.vectors - outputs + o,
                    length,
                    room,
                    #[inline(always)]
                    |t, z| sums[t] = z,
                );
            }
            // Eight terms of at most 0.84 p and what came out of `reduce`: below 8 p.
            let mut terms = 0;
            for group in &pass.groups {
                let inner = group.degree.saturating_sub(3);
                for g in 0..group.vectors.len() {
                    let vector = group.vectors.start + g;
                    let c = &group.inner[g * inner..][..inner];
                    let weights = &group.weights[g * outputs..][..outputs];
                    match (self.packing.rooted, group.degree) {
                        (true, 2) => begin.signed::<K, 2>(vector, c, weights[0], sums, room),
                        (true, 3) => begin.signed::<K, 3>(vector, c, weights[0], sums, room),
                        (true, _) => begin.signed::<K, 4>(vector, c, weights[0], sums, room),
                        (false, 2) => begin.weighted::<K, 2>(vector, c, weights, sums, room),
                        (false, 3) => begin.weighted::<K, 3>(vector, c, weights, sums, room),
                        (false, _) => begin.weighted::<K, 4>(vector, c, weights, sums, room),
                    }
                    terms += 1;
                    if terms == 8 {
                        terms = 0;
                        for i in 0..sums.len() {
                            sums[i] = M::R::reduce(sums[i], m);
                        }
                    }
                }
            }
            for o in 0..outputs {
                let out = &mut self.out[o][offset..][..length];
                for t in 0..length {
                    pass.finish(sums[o * length + t], &mut out[t], m);
                }
            }
        }
    }

    /// A line of `L` points, at most 4, of a single output: its sums stay in registers.
    #[inline(always)]
    fn short<const L: usize>(&mut self, lower: &[Vec<Four<M::R>>], offset: usize, steps: usize) {
        for t in 0..self.tables.len() {
            let (table, pass) = (&self.tables[t], &self.packing.passes[t]);
            let m = &table.moduli;
            let v = table.vectors;
            let begin = Short::<M::R, L> {
                rows: std::array::from_fn(
                    #[inline(always)]
                    |order| match order {
                        _ if order < self.q => &lower[t][order * v..][..v],
                        _ if order == self.q => &table.top[..v],
                        _ => &self.zeros[..v],
                    },
                ),
                // Three steps from reduced differences are always exact.
                reduces: steps + L > self.unreduced,
                m,
            };
            // The rest begins the sums.
            let mut sums = begin.values(v - 1);
            let mut terms = 0;
            for group in &pass.groups {
                match (self.packing.rooted, group.degree) {
                    (true, 2) => begin.group::<2, true>(group, &mut sums, &mut terms),
                    (true, 3) => begin.group::<3, true>(group, &mut sums, &mut terms),
                    (true, _) => begin.group::<4, true>(group, &mut sums, &mut terms),
                    (false, 2) => begin.group::<2, false>(group, &mut sums, &mut terms),
                    (false, 3) => begin.group::<3, false>(group, &mut sums, &mut terms),
                    (false, _) => begin.group::<4, false>(group, &mut sums, &mut terms),
                }
            }
            let out = &mut self.out[0][offset..][..L];
            for t in 0..L {
                pass.finish(sums[t], &mut out[t], m);
            }
        }
    }
}

impl<R: Residues> Pass<R> {
    /// Stores a sum, over the neurons of a vector too.
    #[inline(always)]
    fn finish(&self, sum: Four<R>, to: &mut Four<R>, m: &Moduli<R, 4>) {
        let mut a = R::reduce(sum, m);
        if self.primes == 4 {
            *to = a;
            return;
        }
        a = R::add(a, [a[2], a[3], a[0], a[1]], m);
        if self.primes == 1 {
            a = R::add(a, [a[1], a[0], a[3], a[2]], m);
        }
        a = R::reduce(a, m);
        to[self.first..self.first + self.primes].copy_from_slice(&a[..self.primes]);
    }
}

/// Where a line of `L` points begins: its differences of orders 0, ..., L - 1, a row each.
struct Short<'a, R: Residues, const L: usize> {
    rows: [&'a [Four<R>]; L],
    /// Whether the differences must be reduced before they are added up.
    reduces: bool,
    m: &'a Moduli<R, 4>,
}

impl<R: Residues, const L: usize> Short<'_, R, L> {
    /// The values of a vector along the line, out of `reduce`.
    #[inline(always)]
    fn values(&self, vector: usize) -> [Four<R>; L] {
        let mut d = [[R::Word::default(); 4]; L];
        for i in 0..L {
            d[i] = self.rows[i][vector];
        }
        if self.reduces {
            for i in 0..L {
                d[i] = R::reduce(d[i], self.m);
            }
        }
        // After t rounds d[t] is the value at t.
        for t in 1..L {
            for i in (t..L).rev() {
                d[i] = R::add(d[i], d[i - 1], self.m);
            }
        }
        for i in 0..L {
            d[i] = R::reduce(d[i], self.m);
        }
        d
    }

    /// Adds the polynomials of a group, by signs or weights, to sums of so many terms.
    #[inline(always)]
    fn group<const D: usize, const SIGNED: bool>(
        &self,
        group: &Group<R>,
        sums: &mut [Four<R>; L],
        terms: &mut usize,
    ) {
        let m = self.m;
        let inner = group.degree.saturating_sub(3);
        for g in 0..group.vectors.len() {
            let z = self.values(group.vectors.start + g);
            let (c, w) = (&group.inner[g * inner..][..inner], group.weights[g]);
            for t in 0..L {
                let y = monic::<R, D>(z[t], c, m);
                sums[t] = match SIGNED {
                    true => R::add_signed(sums[t], y, w, m),
                    false => R::add(sums[t], R::mul(y, w, m), m),
                };
            }
            *terms += 1;
            // As below: eight terms of at most 0.84 p and what came out of `reduce`.
            if *terms == 8 {
                *terms = 0;
                for t in 0..L {
                    sums[t] = R::reduce(sums[t], m);
                }
            }
        }
    }
}

/// z^d + c_{d-2} z^{d-2} + ... + c_2 z^2, the coefficients in descending order, for z and
/// coefficients that came out of `reduce`; at most 0.84 p, by the bounds of [`Residues`]. `D` is
/// the degree d, or 4 for all from there on.
#[inline(always)]
fn monic<R: Residues, const D: usize>(
    z: Four<R>,
    coefficients: &[Four<R>],
    m: &Moduli<R, 4>,
) -> Four<R> {
    let square = R::mul(z, z, m);
    match (D, coefficients) {
        (3, _) => R::mul(square, z, m),
        (4, [first, rest @ ..]) => {
            let mut sum = R::add(square, *first, m);
            for c in rest {
                sum = R::add(R::mul(sum, z, m), *c, m);
            }
            R::mul(sum, square, m)
        }
        _ => square,
    }
}

impl<R: Residues> Beginning<'_, R> {
    /// Adds a vector's polynomials, by a sign each, to the sums of the only output.
    #[inline(always)]
    fn signed<const K: usize, const D: usize>(
        &self,
        vector: usize,
        coefficients: &[Four<R>],
        sign: Four<R>,
        sums: &mut [Four<R>],
        room: &mut [Four<R>],
    ) {
        let m = &self.table.moduli;
        self.line::<K>(
            vector,
            sums.len(),
            room,
            #[inline(always)]
            |t, z| sums[t] = R::add_signed(sums[t], monic::<R, D>(z, coefficients, m), sign, m),
        );
    }

    /// Adds a vector's polynomials to the sums of each output, by its weights.
    #[inline(always)]
    fn weighted<const K: usize, const D: usize>(
        &self,
        vector: usize,
        coefficients: &[Four<R>],
        weights: &[Four<R>],
        sums: &mut [Four<R>],
        room: &mut [Four<R>],
    ) {
        let m = &self.table.moduli;
        let length = sums.len() / weights.len();
        self.line::<K>(
            vector,
            length,
            room,
            #[inline(always)]
            |t, z| {
                let y = monic::<R, D>(z, coefficients, m);
                for o in 0..weights.len() {
                    let sum = &mut sums[o * length + t];
                    *sum = R::add(*sum, R::mul(y, weights[o], m), m);
                }
            },
        );
    }

    /// The difference of an order, zero above q.
    #[inline(always)]
    fn difference(&self, order: usize, vector: usize) -> Four<R> {
        if order < self.q {
            self.lower[order * self.table.vectors + vector]
        } else if order == self.q {
            self.table.top[vector]
        } else {
            [R::Word::default(); 4]
        }
    }

    /// Calls `visit` with the values of one vector along the line, out of `reduce`.
    #[inline(always)]
    fn line<const K: usize>(
        &self,
        vector: usize,
        length: usize,
        room: &mut [Four<R>],
        mut visit: impl FnMut(usize, Four<R>),
    ) {
        let m = &self.table.moduli;
        visit(0, R::reduce(self.lower[vector], m));
        if K == 0 {
            return;
        }
        let mut steps = self.steps;
        if K == LONG {
            // Only the orders matter that are not above the number of steps to come.
            let count = self.q.min(length - 1) + 1;
            let d = &mut room[..count];
            for i in 0..count {
                d[i] = self.difference(i, vector);
            }
            for t in 1..length {
                let changed = self.q.min(length - t);
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
                visit(t, R::reduce(d[0], m));
            }
            return;
        }
        let mut d = [[R::Word::default(); 4]; K];
        for i in 0..K {
            d[i] = self.difference(i, vector);
        }
        let top = self.difference(K, vector);
        for t in 1..length {
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
            visit(t, R::reduce(d[0], m));
        }
    }
}
