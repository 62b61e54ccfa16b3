//! The last stage, at every point of the lattice.
//!
//! A neuron's polynomial c(z) of degree d becomes c_d g(z + s), where g has the leading coefficient
//! 1 and no terms of degree d - 1, 1 and 0: the first is removed by the shift s, and the last two,
//! which are no product, go into one polynomial an output that is tabulated with the neurons. That
//! leaves one or two products a neuron and point for degrees 2 to 4, and one more for each output.
//! With a single output of weight w that one falls away too: w c_d = +-r^d for some r, so that
//! w c_d g(z) = +-h(r z), where h has the leading coefficient 1 again.
//!
//! Vectors hold four primes, or two neurons at two primes, or four neurons at one. Where vectors of
//! eight pay they are taken by twos, side by side in every table.

use super::interpolate::{invert, power};
use super::simplex::Simplex;
use super::tabulate::{Evaluate, Images, Table};
use super::{Both, Four, Lines, Word, load};
use crate::numeric::residues::{Machine, Moduli, Residues};

/// How the neurons stand in the vectors of each table.
pub(super) struct Packing<R: Residues> {
    passes: Vec<Pass<R>>,
    /// Whether the weights are signs.
    rooted: bool,
}

/// The last stage, packed: the differences at the origin by table, and the tables.
pub(super) struct PackedStage<R: Residues> {
    pub(super) lower: Vec<Lines<R>>,
    pub(super) tables: Vec<Table<R>>,
    pub(super) packing: Packing<R>,
}

/// The vectors for some of a batch's primes.
struct Pass<R: Residues> {
    /// The first prime of the batch, and how many.
    first: usize,
    primes: usize,
    groups: Vec<Group<R>>,
}

/// Vectors of neurons of one degree, taken one or two at a time.
struct Group<R: Residues> {
    degree: usize,
    vectors: std::ops::Range<usize>,
    /// By what is taken at a time: coefficients of degrees d - 2 down to 2, each for its vectors.
    inner: Vec<Four<R>>,
    /// The weight of each output likewise; signs where roots were taken.
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

/// Packs the last stage: for each pass, vectors of neurons times primes. `differences` are those of
/// its pre-activations in the lattice `place`.
#[inline(always)]
pub(super) fn pack<M: Machine>(
    images: &Images<M::R>,
    mut differences: Lines<M::R>,
    (simplex, place): (&Simplex, (usize, usize)),
    count: usize,
    points: usize,
) -> PackedStage<M::R> {
    let m = &images.moduli.four;
    let last = images.polynomials.len() - 1;
    let (polynomials, outputs) = (&images.polynomials[last], &images.rows[last + 1]);
    let width = polynomials.len();
    let zero = m.words(0);
    let one = m.words(1);

    // 1 / (d c_d) for all neurons by one inversion.
    let mut prefix = one;
    let mut prefixes = Vec::with_capacity(width);
    let leading = |c: &[Four<M::R>]| {
        let d = c.len() as u64 - 1;
        if d < 2 { one } else { M::R::mul(c[c.len() - 1], m.words(d), m) }
    };
    for c in polynomials {
        prefixes.push(prefix);
        prefix = M::R::mul(prefix, leading(c), m);
    }
    let mut inverse = invert(prefix, m);
    let mut inverses = vec![one; width];
    for i in (0..width).rev() {
        let c = &polynomials[i];
        inverses[i] = M::R::mul(inverse, prefixes[i], m);
        inverse = M::R::mul(inverse, leading(c), m);
    }

    // Shifted polynomials, and what of them is linear.
    let mut shifts = vec![zero; width];
    let deepest = polynomials.iter().map(|c| c.len() - 1).max().unwrap_or(0);
    // By the distance of the degree from d - 2, then by neuron.
    let mut inner: Vec<Vec<Four<M::R>>> = vec![vec![zero; width]; deepest.saturating_sub(3)];
    let mut linear = vec![(zero, zero); width];
    for (i, c) in polynomials.iter().enumerate() {
        let d = c.len() - 1;
        if d < 2 {
            linear[i] = (M::R::reduce(c[0], m), c.get(1).map_or(zero, |c| M::R::reduce(*c, m)));
            continue;
        }
        // s = c_{d-1} / (d c_d); c(z' - s) by synthetic division.
        shifts[i] = M::R::reduce(M::R::mul(c[d - 1], inverses[i], m), m);
        let mut c = c.clone();
        for k in 0..d {
            for j in (k..d).rev() {
                let product = M::R::mul(c[j + 1], shifts[i], m);
                c[j] = M::R::reduce(M::R::sub(c[j], product, m), m);
            }
        }
        let inverse = M::R::mul(inverses[i], m.words(d as u64), m);
        for k in 2..=d.saturating_sub(2) {
            inner[d - 2 - k][i] = M::R::reduce(M::R::mul(c[k], inverse, m), m);
        }
        linear[i] = (c[0], c[1]);
    }

    let rows = simplex.count(place.0, place.1);
    // One polynomial an output: what is linear in the pre-activations.
    let mut rest = vec![zero; rows * outputs.len()];
    let mut weights: Vec<Vec<Four<M::R>>> = vec![vec![zero; width]; outputs.len()];
    for (o, output) in outputs.iter().enumerate() {
        let mut constant = output.bias;
        for (i, w) in &output.weights {
            let i = *i as usize;
            let slope = M::R::mul(*w, linear[i].1, m);
            let product = M::R::mul(*w, linear[i].0, m);
            constant = M::R::reduce(M::R::add(constant, product, m), m);
            // The table has z, the polynomial z' = z + s.
            let product = M::R::mul(slope, shifts[i], m);
            constant = M::R::reduce(M::R::add(constant, product, m), m);
            for r in 0..rows {
                let to = &mut rest[r * outputs.len() + o];
                let product = M::R::mul(slope, differences[r * width + i], m);
                *to = M::R::reduce(M::R::add(*to, product, m), m);
            }
            let c = &polynomials[i];
            weights[o][i] = M::R::mul(*w, c[c.len() - 1], m);
        }
        rest[o] = M::R::reduce(M::R::add(rest[o], constant, m), m);
    }

    for i in 0..width {
        differences[i] = M::R::reduce(M::R::add(differences[i], shifts[i], m), m);
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
            powers = M::R::mul(powers, root, m);
            // That of degree d - k.
            if k < d - 1 {
                let c = &mut inner[k - 2][i];
                *c = M::R::reduce(M::R::mul(*c, powers, m), m);
            }
        }
        let weight = &mut weights[0][i];
        for l in 0..4 {
            let p = m.primes[l];
            let equal = M::R::residue(powers[l], p) == M::R::residue(weight[l], p);
            weight[l] = M::R::word(if equal { 1 } else { p - 1 }, p);
        }
        for r in 0..rows {
            let x = &mut differences[r * width + i];
            *x = M::R::reduce(M::R::mul(*x, root, m), m);
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

    let (mut lower, mut tables) = (Vec::new(), Vec::new());
    let mut passes = Vec::new();
    let mut first = 0;
    for &primes in pass_widths(count, width) {
        let moduli = Both::<M::R>::new(
            m.token,
            std::array::from_fn(|l| m.primes[(first + l % primes).min(3)]),
        );
        let mut groups = Vec::new();
        let mut members: Vec<Lanes> = Vec::new();
        for (d, neurons) in &by_degree {
            let begin = members.len();
            let (mut inner_words, mut weight_words) = (Vec::new(), Vec::new());
            let at_a_time = if M::WIDE { 2 } else { 1 };
            let mut chunks = neurons.chunks(4 / primes);
            while chunks.len() > 0 {
                let start = members.len();
                for _ in 0..at_a_time {
                    // A vector without neurons is zero.
                    let neurons = chunks.next().unwrap_or_default();
                    members.push(Lanes { neurons, first, primes });
                }
                for k in 0..d.saturating_sub(3) {
                    for lanes in &members[start..] {
                        inner_words.push(lanes.gather::<M::R>(&inner[k]));
                    }
                }
                for weights in &weights {
                    for lanes in &members[start..] {
                        weight_words.push(lanes.gather::<M::R>(weights));
                    }
                }
            }
            groups.push(Group {
                degree: *d,
                vectors: begin..members.len(),
                inner: inner_words,
                weights: weight_words,
            });
        }
        let used = members.len() + outputs.len();
        // Whole lines, where vectors are taken by twos.
        let vectors = if M::WIDE { used.next_multiple_of(2) } else { used };
        let (at_origin, table) = Table::new(simplex, place, moduli, vectors, |r, to| {
            let row = &differences[r * width..][..width];
            for (to, lanes) in to.iter_mut().zip(&members) {
                *to = lanes.gather::<M::R>(row);
            }
            for o in 0..outputs.len() {
                // In the first neuron's lanes: sums over the neurons take it once.
                let lanes = Lanes { neurons: &[0], first, primes };
                to[vectors - outputs.len() + o] =
                    lanes.gather::<M::R>(&rest[r * outputs.len() + o..]);
            }
        });
        lower.push(at_origin);
        tables.push(table);
        passes.push(Pass { first, primes, groups });
        first += primes;
    }
    PackedStage { lower, tables, packing: Packing { passes, rooted } }
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

/// The last stage at the points of a walk, in vectors of `W`.
pub(super) struct Last<'a, 'o, M: Machine, const W: usize> {
    machine: M,
    tables: &'a [Table<M::R>],
    packing: &'a Packing<M::R>,
    moduli: fn(&Both<M::R>) -> &Moduli<M::R, W>,
    /// A sum an output.
    sums: Vec<[Word<M>; W]>,
    /// A list of values an output.
    out: &'a mut [&'o mut [Four<M::R>]],
    next: usize,
}

impl<'a, 'o, M: Machine, const W: usize> Last<'a, 'o, M, W> {
    pub(super) fn new(
        machine: M,
        tables: &'a [Table<M::R>],
        packing: &'a Packing<M::R>,
        moduli: fn(&Both<M::R>) -> &Moduli<M::R, W>,
        out: &'a mut [&'o mut [Four<M::R>]],
    ) -> Self {
        let sums = vec![[Word::<M>::default(); W]; out.len()];
        Last { machine, tables, packing, moduli, sums, out, next: 0 }
    }
}

/// Points whose sums stay in registers.
const ABREAST: usize = 4;

impl<M: Machine, const W: usize> Evaluate<M> for Last<'_, '_, M, W> {
    fn evaluate(&mut self, rows: &[Lines<M::R>], count: usize) {
        let machine = self.machine;
        machine.run(
            #[inline(always)]
            || {
                for t in 0..self.tables.len() {
                    let mut done = 0;
                    if self.out.len() == 1 {
                        while done + ABREAST <= count {
                            self.abreast::<ABREAST>(t, &rows[t], done);
                            done += ABREAST;
                        }
                        while done < count {
                            self.abreast::<1>(t, &rows[t], done);
                            done += 1;
                        }
                    } else {
                        while done < count {
                            self.outputs(t, &rows[t], done);
                            done += 1;
                        }
                    }
                }
            },
        );
        self.next += count;
    }
}

impl<M: Machine, const W: usize> Last<'_, '_, M, W> {
    /// The only output at `P` points from `first` on.
    #[inline(always)]
    fn abreast<const P: usize>(&mut self, t: usize, rows: &[Four<M::R>], first: usize) {
        let (table, pass) = (&self.tables[t], &self.packing.passes[t]);
        let (m, four) = ((self.moduli)(&table.moduli), &table.moduli.four);
        let v = table.vectors;
        let points = Abreast::<M::R, P> { rows: &rows[first * v..][..P * v], v };
        // The rest begins the sums, in the first vector.
        let mut sums = [[Word::<M>::default(); W]; P];
        for i in 0..P {
            sums[i] = leading::<M::R, W>(M::R::reduce(points.rows[i * v + v - 1], four));
        }
        let mut terms = 0;
        for group in &pass.groups {
            match (self.packing.rooted, group.degree) {
                (true, 2) => points.group::<2, true, W>(group, &mut sums, &mut terms, m),
                (true, 3) => points.group::<3, true, W>(group, &mut sums, &mut terms, m),
                (true, _) => points.group::<4, true, W>(group, &mut sums, &mut terms, m),
                (false, 2) => points.group::<2, false, W>(group, &mut sums, &mut terms, m),
                (false, 3) => points.group::<3, false, W>(group, &mut sums, &mut terms, m),
                (false, _) => points.group::<4, false, W>(group, &mut sums, &mut terms, m),
            }
        }
        let out = &mut self.out[0][self.next + first..][..P];
        for i in 0..P {
            pass.finish::<W>(sums[i], &mut out[i], m, four);
        }
    }

    /// All outputs at a point.
    #[inline(always)]
    fn outputs(&mut self, t: usize, rows: &[Four<M::R>], point: usize) {
        let (table, pass) = (&self.tables[t], &self.packing.passes[t]);
        let (m, four) = ((self.moduli)(&table.moduli), &table.moduli.four);
        let row = &rows[point * table.vectors..][..table.vectors];
        let outputs = self.out.len();
        let sums = &mut self.sums[..outputs];
        for o in 0..outputs {
            let rest = row[table.vectors - outputs + o];
            sums[o] = leading::<M::R, W>(M::R::reduce(rest, four));
        }
        let mut terms = 0;
        for group in &pass.groups {
            match group.degree {
                2 => weighted::<M::R, 2, W>(row, group, sums, &mut terms, m),
                3 => weighted::<M::R, 3, W>(row, group, sums, &mut terms, m),
                _ => weighted::<M::R, 4, W>(row, group, sums, &mut terms, m),
            }
        }
        for o in 0..outputs {
            pass.finish::<W>(sums[o], &mut self.out[o][self.next + point], m, four);
        }
    }
}

/// A vector, and zeros after it.
#[inline(always)]
fn leading<R: Residues, const W: usize>(x: Four<R>) -> [R::Word; W] {
    let mut all = [R::Word::default(); W];
    for l in 0..4 {
        all[l] = x[l];
    }
    all
}

impl<R: Residues> Pass<R> {
    /// Stores a sum, over the neurons of a vector too.
    #[inline(always)]
    fn finish<const W: usize>(
        &self,
        sum: [R::Word; W],
        to: &mut Four<R>,
        wide: &Moduli<R, W>,
        m: &Moduli<R, 4>,
    ) {
        let all = R::reduce(sum, wide);
        let (mut a, mut next) = ([R::Word::default(); 4], [R::Word::default(); 4]);
        for l in 0..4 {
            a[l] = all[l];
            next[l] = all[W - 4 + l];
        }
        if W == 8 {
            a = R::add(a, next, m);
        }
        if self.primes == 4 {
            *to = if W == 8 { R::reduce(a, m) } else { a };
            return;
        }
        a = R::add(a, [a[2], a[3], a[0], a[1]], m);
        if self.primes == 1 {
            a = R::add(a, [a[1], a[0], a[3], a[2]], m);
        }
        a = R::reduce(a, m);
        // One or two: no call to copy them.
        for l in 0..self.primes {
            to[self.first + l] = a[l];
        }
    }
}

/// The vectors of `P` points.
struct Abreast<'a, R: Residues, const P: usize> {
    rows: &'a [Four<R>],
    v: usize,
}

impl<R: Residues, const P: usize> Abreast<'_, R, P> {
    /// Adds the polynomials of a group, by signs or weights, to sums of so many terms.
    #[inline(always)]
    fn group<const D: usize, const SIGNED: bool, const W: usize>(
        &self,
        group: &Group<R>,
        sums: &mut [[R::Word; W]; P],
        terms: &mut usize,
        m: &Moduli<R, W>,
    ) {
        let inner = group.degree.saturating_sub(3);
        for g in (0..group.vectors.len()).step_by(W / 4) {
            let c = &group.inner[g * inner..];
            let w = load::<R, W>(&group.weights, g);
            for i in 0..P {
                let z = load::<R, W>(self.rows, i * self.v + group.vectors.start + g);
                let y = monic::<R, D, W>(R::reduce(z, m), c, inner, m);
                sums[i] = match SIGNED {
                    true => R::add_signed(sums[i], y, w, m),
                    false => R::add(sums[i], R::mul(y, w, m), m),
                };
            }
            *terms += 1;
            // Eight terms of at most 0.84 p and what came out of `reduce`: below 8 p.
            if *terms == 8 {
                *terms = 0;
                for i in 0..P {
                    sums[i] = R::reduce(sums[i], m);
                }
            }
        }
    }
}

/// Adds the polynomials of a group to the sums of each output, by its weights.
#[inline(always)]
fn weighted<R: Residues, const D: usize, const W: usize>(
    row: &[Four<R>],
    group: &Group<R>,
    sums: &mut [[R::Word; W]],
    terms: &mut usize,
    m: &Moduli<R, W>,
) {
    let inner = group.degree.saturating_sub(3);
    for g in (0..group.vectors.len()).step_by(W / 4) {
        let z = R::reduce(load::<R, W>(row, group.vectors.start + g), m);
        let y = monic::<R, D, W>(z, &group.inner[g * inner..], inner, m);
        let weights = &group.weights[g * sums.len()..];
        for o in 0..sums.len() {
            let w = load::<R, W>(weights, o * (W / 4));
            sums[o] = R::add(sums[o], R::mul(y, w, m), m);
        }
        *terms += 1;
        // As above.
        if *terms == 8 {
            *terms = 0;
            for o in 0..sums.len() {
                sums[o] = R::reduce(sums[o], m);
            }
        }
    }
}

/// z^d + c_{d-2} z^{d-2} + ... + c_2 z^2, the `inner` coefficients in descending order, for z and
/// coefficients that came out of `reduce`; at most 0.84 p, by the bounds of [`Residues`]. `D` is
/// the degree d, or 4 for all from there on.
#[inline(always)]
fn monic<R: Residues, const D: usize, const W: usize>(
    z: [R::Word; W],
    coefficients: &[Four<R>],
    inner: usize,
    m: &Moduli<R, W>,
) -> [R::Word; W] {
    let square = R::mul(z, z, m);
    match D {
        2 => square,
        3 => R::mul(square, z, m),
        _ => {
            let mut sum = R::add(square, load::<R, W>(coefficients, 0), m);
            for k in 1..inner {
                let c = load::<R, W>(coefficients, k * (W / 4));
                sum = R::add(R::mul(sum, z, m), c, m);
            }
            R::mul(sum, square, m)
        }
    }
}
