//! The values of a network at every point of the principal lattice, modulo a batch of primes.
//!
//! The pre-activations of a stage are polynomials of a degree q that is small beside the degree of
//! the outputs, so they are known by their forward differences of order up to q at the origin, and
//! a walk over the lattice needs additions only: a step along an axis adds to each difference the
//! next higher one along that axis. The differences of order q are constant. Those of a stage come
//! from the values of the stage before on the lattice of degree q, recursively.
//!
//! In the last stage a neuron's polynomial c(z) of degree d becomes c_d g(z + s), where g has the
//! leading coefficient 1 and no terms of degree d - 1, 1 and 0: the first is removed by the shift s,
//! and the last two, which are no product, go into one polynomial an output that is tabulated with
//! the neurons. That leaves one or two products a neuron and point for degrees 2 to 4, and one more
//! for each output. With a single output of weight w that one falls away too: w c_d = +-r^d for some
//! r, so that w c_d g(z) = +-h(r z), where h has the leading coefficient 1 again.

use super::interpolate::{differences, invert, power};
use super::simplex::{Simplex, each_point};
use crate::expand::stages::{Number, Row, Stages};
use crate::numeric::modular;
use crate::numeric::residues::{Machine, Moduli, Residues};

type Word<M> = <<M as Machine>::R as Residues>::Word;

/// The parameters of a network modulo the primes of a batch, one a lane.
struct Images<R: Residues, const W: usize> {
    moduli: Moduli<R, W>,
    /// By stage: rows, then the polynomials; the outputs' rows are the last.
    rows: Vec<Vec<RowImage<R, W>>>,
    polynomials: Vec<Vec<Vec<[R::Word; W]>>>,
}

struct RowImage<R: Residues, const W: usize> {
    bias: [R::Word; W],
    weights: Vec<(u32, [R::Word; W])>,
}

/// Powers of two modulo the primes of a batch.
struct Powers<R: Residues, const W: usize> {
    least: i32,
    words: Vec<[R::Word; W]>,
}

impl<R: Residues, const W: usize> Powers<R, W> {
    #[inline(always)]
    fn new(stages: &Stages, moduli: &Moduli<R, W>) -> Self {
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
    fn image(&self, number: &Number, moduli: &Moduli<R, W>) -> [R::Word; W] {
        match number {
            Number::Dyadic { mantissa, exponent } => {
                let mantissa = R::integer(*mantissa, moduli);
                R::mul(mantissa, self.words[(exponent - self.least) as usize], moduli)
            }
            // The primes divide no denominator: `suits` was asked.
            Number::Rational(x) => {
                moduli.primes.map(|p| R::word(modular::reduce_rational(x, p).unwrap_or(0), p))
            }
        }
    }
}

fn each_number(stages: &Stages, visit: &mut dyn FnMut(&Number)) {
    let rows = |rows: &[Row], visit: &mut dyn FnMut(&Number)| {
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

/// Whether the network has an image modulo p in which no leading coefficient of the last stage
/// vanishes.
pub(in crate::expand) fn suits(stages: &Stages, p: u64) -> bool {
    let mut all = true;
    each_number(stages, &mut |x| {
        if let Number::Rational(x) = x {
            all &= modular::reduce(x.denom(), p) != 0;
        }
    });
    let leading = stages.hidden.last().map(|stage| &stage.polynomials[..]).unwrap_or_default();
    all && leading.iter().all(|c| match &c[c.len() - 1] {
        Number::Dyadic { mantissa, .. } => *mantissa == 0 || mantissa.unsigned_abs() % p != 0,
        Number::Rational(x) => modular::reduce(x.numer(), p) != 0,
    })
}

impl<R: Residues, const W: usize> Images<R, W> {
    #[inline(always)]
    fn new(token: R::Token, stages: &Stages, primes: [u64; W], denominators: &[[u64; W]]) -> Self {
        let moduli = Moduli::<R, W>::new(token, primes);
        let powers = Powers::new(stages, &moduli);
        let row = |row: &Row| RowImage {
            bias: powers.image(&row.bias, &moduli),
            weights: row.weights.iter().map(|(j, w)| (*j, powers.image(w, &moduli))).collect(),
        };
        let mut rows: Vec<Vec<_>> =
            stages.hidden.iter().map(|stage| stage.rows.iter().map(row).collect()).collect();
        // The outputs times their denominators are integers.
        rows.push(
            stages
                .outputs
                .iter()
                .zip(denominators)
                .map(|(output, d)| {
                    let d = std::array::from_fn(|i| R::word(d[i], primes[i]));
                    let mut image = row(output);
                    image.bias = R::mul(image.bias, d, &moduli);
                    for (_, w) in &mut image.weights {
                        *w = R::mul(*w, d, &moduli);
                    }
                    image
                })
                .collect(),
        );
        let polynomials = stages
            .hidden
            .iter()
            .map(|stage| {
                stage
                    .polynomials
                    .iter()
                    .map(|c| c.iter().map(|x| powers.image(x, &moduli)).collect())
                    .collect()
            })
            .collect();
        Images { moduli, rows, polynomials }
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
    /// Differences of order below q, by level.
    rows: Vec<usize>,
    /// By level and the largest order e below q that matters: each difference up to that order,
    /// ascending, and the one that is added to it; those of order q are marked and count among
    /// themselves.
    sources: Vec<Vec<Vec<(u32, u32)>>>,
}

/// Marks a source among the differences of order q.
const TOP: u32 = 1 << 31;

impl Steps {
    fn new(simplex: &Simplex, n: usize, q: usize) -> Self {
        let sources = (0..n)
            .map(|level| {
                let m = n - level;
                let mut sources: Vec<Vec<(u32, u32)>> =
                    (0..q).map(|e| Vec::with_capacity(simplex.count(m, e))).collect();
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
                        sources.push((row, source));
                    }
                    row += 1;
                });
                sources
            })
            .collect();
        let rows = (0..n).map(|level| simplex.count(n - level, q - 1)).collect();
        Steps { variables: n, q, rows, sources }
    }

    /// How many steps in turn may go unreduced, along whatever axes.
    ///
    /// A difference after s steps is a sum of differences of before, those of order j higher with
    /// weights that sum up to C(s, j) (Vandermonde); each is at most p / 2 + 2 when it has been
    /// reduced, and a sum is exact up to 2^53. So C(s, 0) + ... + C(s, q) may be 2^53 / (p / 2 + 2).
    fn unreduced(&self, primes: &[u64]) -> usize {
        let largest = primes.iter().copied().max().unwrap_or(1);
        let most = (1_u64 << 53) / (largest / 2 + 3);
        let sum = |s: usize| {
            let (mut sum, mut term) = (0_u64, 1_u64);
            for j in 0..=self.q.min(s) as u64 {
                sum = sum.saturating_add(term);
                term = term.saturating_mul(s as u64 - j) / (j + 1);
            }
            sum
        };
        (0..64).take_while(|s| sum(s + 1) <= most).count()
    }
}

/// The position of a point of degree q among those of degree exactly q, in lexicographic order.
fn top_rank(simplex: &Simplex, point: &[usize], q: usize) -> usize {
    // The last coordinate follows from the others: points of degree up to q without it, in order.
    match point.len() {
        0 | 1 => 0,
        n => simplex.rank(&point[..n - 1], q),
    }
}

/// Forward differences at the origin of some polynomials, `vectors` vectors a difference.
#[derive(Clone)]
pub(super) struct Table<R: Residues, const W: usize> {
    pub(super) moduli: Moduli<R, W>,
    pub(super) vectors: usize,
    /// Those of order below q, and those of order q; in lexicographic order.
    lower: Vec<[R::Word; W]>,
    top: Vec<[R::Word; W]>,
}

/// What is done along a line of the lattice, given the differences where it begins.
pub(super) trait Line<M: Machine, const W: usize> {
    /// `lower` holds at least q rows a table, after so many unreduced steps.
    fn line(&mut self, lower: &[Vec<[Word<M>; W]>], offset: usize, budget: usize, steps: usize);
}

/// The differences at a point, by table, and after how many unreduced steps they are.
type Place<'a, M, const W: usize> = (&'a [Vec<[Word<M>; W]>], usize);

/// A walk over a lattice.
struct Walk<'a, M: Machine, const W: usize> {
    machine: M,
    simplex: &'a Simplex,
    steps: &'a Steps,
    tables: &'a [Table<M::R, W>],
    /// Steps that may go unreduced.
    unreduced: usize,
}

impl<'a, M: Machine, const W: usize> Walk<'a, M, W> {
    fn new(
        machine: M,
        simplex: &'a Simplex,
        steps: &'a Steps,
        tables: &'a [Table<M::R, W>],
    ) -> Self {
        let unreduced = tables.iter().map(|t| steps.unreduced(&t.moduli.primes)).min().unwrap_or(0);
        Walk { machine, simplex, steps, tables, unreduced }
    }

    /// Walks the lattice of degree `budget` in the axes from `level` on; `offset` is where it
    /// begins, `unreduced` how many unreduced steps `current` is after.
    fn walk(
        &self,
        (current, unreduced): (&[Vec<[Word<M>; W]>], usize),
        buffers: &mut [Vec<Vec<[Word<M>; W]>>],
        (level, budget, offset): (usize, usize, usize),
        line: &mut impl Line<M, W>,
    ) {
        let Some((mine, rest)) = buffers.split_first_mut() else {
            line.line(current, offset, budget, unreduced);
            return;
        };
        self.walk((current, unreduced), rest, (level + 1, budget, offset), line);
        let m = self.steps.variables - level - 1;
        let mut offset = offset;
        let mut unreduced = unreduced;
        for k in 1..=budget {
            offset += self.simplex.count(m, budget + 1 - k);
            let from = (k == 1).then_some(current);
            unreduced = self.step(from, mine, level, budget - k, unreduced);
            self.walk((mine, unreduced), rest, (level + 1, budget - k, offset), line);
        }
    }

    /// One step along the axis of `level`, from `from` or in place, to where `remaining` more are
    /// to come; how many unreduced steps it is then.
    fn step(
        &self,
        from: Option<&[Vec<[Word<M>; W]>]>,
        to: &mut [Vec<[Word<M>; W]>],
        level: usize,
        remaining: usize,
        unreduced: usize,
    ) -> usize {
        let reduces = unreduced + 1 >= self.unreduced;
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
        from: Option<&[Vec<[Word<M>; W]>]>,
        to: &mut [Vec<[Word<M>; W]>],
        level: usize,
        remaining: usize,
    ) {
        let sources = &self.steps.sources[level][remaining.min(self.steps.q - 1)][..];
        let size = self.steps.rows[level];
        // By index: adaptors of iterators are not inlined across units of code generation.
        for t in 0..self.tables.len() {
            let (v, m) = (self.tables[t].vectors, &self.tables[t].moduli);
            let top = &self.tables[t].top[..];
            let to = &mut to[t][..size * v];
            for &(row, source) in sources {
                let row = row as usize;
                match from {
                    Some(from) => {
                        let from = &from[t][..size * v];
                        let source = match source & TOP {
                            0 => &from[source as usize * v..],
                            _ => &top[(source ^ TOP) as usize * v..],
                        };
                        let (source, own) = (&source[..v], &from[row * v..][..v]);
                        let to = &mut to[row * v..][..v];
                        for i in 0..v {
                            let sum = M::R::add(own[i], source[i], m);
                            to[i] = if REDUCES { M::R::reduce(sum, m) } else { sum };
                        }
                    }
                    None => {
                        let (own, later) = to.split_at_mut((row + 1) * v);
                        let source = match source & TOP {
                            // Larger in this order: it still has the value before the step.
                            0 => &later[(source as usize - row - 1) * v..],
                            _ => &top[(source ^ TOP) as usize * v..],
                        };
                        let (source, own) = (&source[..v], &mut own[row * v..][..v]);
                        for i in 0..v {
                            let sum = M::R::add(own[i], source[i], m);
                            own[i] = if REDUCES { M::R::reduce(sum, m) } else { sum };
                        }
                    }
                }
            }
        }
    }

    /// Calls `each` with the choices of the coordinates from `level` to `h`, in order.
    fn prefixes(
        &self,
        current: Place<'_, M, W>,
        level: usize,
        h: usize,
        budget: usize,
        each: &mut dyn FnMut(usize, Place<'_, M, W>),
    ) {
        if level == h {
            each(budget, current);
            return;
        }
        self.prefixes(current, level + 1, h, budget, each);
        let mut mine: Vec<_> = current.0.to_vec();
        let mut unreduced = current.1;
        for k in 1..=budget {
            let from = (k == 1).then_some(current.0);
            unreduced = self.step(from, &mut mine, level, budget - k, unreduced);
            self.prefixes((&mine, unreduced), level + 1, h, budget - k, each);
        }
    }
}

/// Room for the differences at each level that is walked.
fn buffers<R: Residues, const W: usize>(
    steps: &Steps,
    tables: &[Table<R, W>],
    from: usize,
) -> Vec<Vec<Vec<[R::Word; W]>>> {
    (from..steps.variables - 1)
        .map(|level| {
            let rows = steps.rows[level];
            tables.iter().map(|t| vec![[R::Word::default(); W]; rows * t.vectors]).collect()
        })
        .collect()
}

/// A batch: tables from which every slab of the lattice is evaluated.
pub(super) struct Batch<R: Residues, const W: usize> {
    pub(super) steps: Steps,
    images: Images<R, W>,
    kind: Kind<R, W>,
}

enum Kind<R: Residues, const W: usize> {
    /// The last stage, packed: lanes are primes times neurons.
    Last { tables: Vec<Table<R, 8>>, passes: Vec<Pass<R>>, outputs: usize, rooted: bool },
    /// From stage `from` on by matrix products; lanes are primes.
    Through { tables: Vec<Table<R, W>>, from: usize },
}

/// How the neurons of the last stage stand in vectors for some of a batch's primes.
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
    inner: Vec<[R::Word; 8]>,
    /// The weight of each output, for each vector: vector-major; signs where roots were taken.
    weights: Vec<[R::Word; 8]>,
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
    let mut cost = 2.0 * steps * width(from);
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

impl<R: Residues, const W: usize> Batch<R, W> {
    /// Prepares the evaluation modulo `primes`, of which the first `count` are wanted, from stage
    /// `from` on; `denominators` are the residues by which the outputs are multiplied.
    pub(super) fn new<M: Machine<R = R>>(
        machine: M,
        simplex: &Simplex,
        stages: &Stages,
        (primes, count): ([u64; W], usize),
        denominators: &[[u64; W]],
        from: usize,
    ) -> Self {
        let n = stages.used.len();
        let images = machine.run(
            #[inline(always)]
            || Images::<R, W>::new(machine.token(), stages, primes, denominators),
        );
        let mut steps = Steps::new(simplex, n, 1);
        let mut table = machine.run(
            #[inline(always)]
            || first_table(n, &images),
        );
        for s in 1..=from {
            // The first stages may be constant; a difference table has at least order 1.
            let q = (stages.hidden[s].degree() as usize).max(1);
            let width = stages.hidden[s].rows.len();
            let size = simplex.count(n, q);
            let mut values = vec![[R::Word::default(); W]; size * width];
            let tables = [table];
            let mut line = Through::<M, W> {
                machine,
                tables: &tables,
                images: &images,
                stages: s - 1..s,
                scratch: Scratch::default(),
                q: steps.q,
                store: Store::Rows(&mut values),
            };
            let root = [tables[0].lower.clone()];
            let mut room = buffers(&steps, &tables, 0);
            Walk::new(machine, simplex, &steps, &tables).walk(
                (&root, 0),
                &mut room,
                (0, q, 0),
                &mut line,
            );
            differences(machine, simplex, &mut values, width, (n, q), &images.moduli);
            table = split(n, q, width, images.moduli, &values);
            steps = Steps::new(simplex, n, q);
        }
        let kind = if from + 1 == stages.hidden.len() {
            machine.run(
                #[inline(always)]
                || last_stage(&images, table, count, simplex.count(n, stages.degree() as usize)),
            )
        } else {
            Kind::Through { tables: vec![table], from }
        };
        Batch { steps, images, kind }
    }

    /// Calls `each` with every slab of the lattice, a choice of the first `h` coordinates, and the
    /// differences where it begins.
    pub(super) fn each_slab<M: Machine<R = R>>(
        &self,
        machine: M,
        simplex: &Simplex,
        degree: usize,
        h: usize,
        each: &mut dyn FnMut(usize, Start<'_, R, W>),
    ) {
        let mut next = 0;
        match &self.kind {
            Kind::Last { tables, .. } => {
                let root: Vec<_> = tables.iter().map(|t| t.lower.clone()).collect();
                let walk = Walk::new(machine, simplex, &self.steps, tables);
                walk.prefixes((&root, 0), 0, h, degree, &mut |budget, at| {
                    each(next, Start::Last(budget, at));
                    next += 1;
                });
            }
            Kind::Through { tables, .. } => {
                let root: Vec<_> = tables.iter().map(|t| t.lower.clone()).collect();
                let walk = Walk::new(machine, simplex, &self.steps, tables);
                walk.prefixes((&root, 0), 0, h, degree, &mut |budget, at| {
                    each(next, Start::Through(budget, at));
                    next += 1;
                });
            }
        }
    }

    /// Evaluates the slab that begins at `start` into `out`: for each output the vectors of four
    /// primes, in turn.
    pub(super) fn evaluate<M: Machine<R = R>>(
        &self,
        machine: M,
        simplex: &Simplex,
        start: Start<'_, R, W>,
        h: usize,
        out: &mut [&mut [[R::Word; 4]]],
    ) {
        match (&self.kind, start) {
            (Kind::Last { tables, passes, outputs, rooted }, Start::Last(budget, at)) => {
                let walk = Walk::new(machine, simplex, &self.steps, tables);
                let mut line = Last {
                    machine,
                    unreduced: walk.unreduced,
                    tables,
                    passes,
                    outputs: *outputs,
                    rooted: *rooted,
                    units: out.len() / outputs,
                    q: self.steps.q,
                    accumulators: Vec::new(),
                    differences: vec![[R::Word::default(); 8]; self.steps.q + 1],
                    out,
                };
                let mut room = buffers(&self.steps, tables, h);
                walk.walk(at, &mut room, (h, budget, 0), &mut line);
            }
            (Kind::Through { tables, from }, Start::Through(budget, at)) => {
                let walk = Walk::new(machine, simplex, &self.steps, tables);
                let mut line = Through::<M, W> {
                    machine,
                    tables,
                    images: &self.images,
                    stages: *from..self.images.polynomials.len(),
                    scratch: Scratch::default(),
                    q: self.steps.q,
                    store: Store::Units(out),
                };
                let mut room = buffers(&self.steps, tables, h);
                walk.walk(at, &mut room, (h, budget, 0), &mut line);
            }
            // A start is made by the same batch.
            _ => {}
        }
    }
}

/// Where a slab begins: its degree, the differences there, and after how many unreduced steps.
pub(super) enum Start<'a, R: Residues, const W: usize> {
    Last(usize, (&'a [Vec<[R::Word; 8]>], usize)),
    Through(usize, (&'a [Vec<[R::Word; W]>], usize)),
}

/// The same, owned.
pub(super) enum OwnedStart<R: Residues, const W: usize> {
    Last(usize, Vec<Vec<[R::Word; 8]>>, usize),
    Through(usize, Vec<Vec<[R::Word; W]>>, usize),
}

impl<R: Residues, const W: usize> Start<'_, R, W> {
    /// The degree of the slab.
    pub(super) fn budget(&self) -> usize {
        match self {
            Start::Last(budget, _) | Start::Through(budget, _) => *budget,
        }
    }

    pub(super) fn to_owned(&self) -> OwnedStart<R, W> {
        match self {
            Start::Last(b, (at, steps)) => OwnedStart::Last(*b, at.to_vec(), *steps),
            Start::Through(b, (at, steps)) => OwnedStart::Through(*b, at.to_vec(), *steps),
        }
    }
}

impl<R: Residues, const W: usize> OwnedStart<R, W> {
    pub(super) fn borrow(&self) -> Start<'_, R, W> {
        match self {
            OwnedStart::Last(b, at, steps) => Start::Last(*b, (at, *steps)),
            OwnedStart::Through(b, at, steps) => Start::Through(*b, (at, *steps)),
        }
    }
}

/// The differences of the first pre-activations: the bias, and the weight along each axis.
#[inline(always)]
fn first_table<R: Residues, const W: usize>(n: usize, images: &Images<R, W>) -> Table<R, W> {
    let rows = &images.rows[0];
    let width = rows.len();
    let mut top = vec![images.moduli.words(0); n * width];
    for (i, row) in rows.iter().enumerate() {
        for (j, w) in &row.weights {
            // Lexicographic: the last axis first.
            top[(n - 1 - *j as usize) * width + i] = R::reduce(*w, &images.moduli);
        }
    }
    let lower = rows.iter().map(|row| R::reduce(row.bias, &images.moduli)).collect();
    Table { moduli: images.moduli, vectors: width, lower, top }
}

/// Differences of all orders in lexicographic order, as a table.
fn split<R: Residues, const W: usize>(
    n: usize,
    q: usize,
    width: usize,
    moduli: Moduli<R, W>,
    values: &[[R::Word; W]],
) -> Table<R, W> {
    let (mut lower, mut top) = (Vec::new(), Vec::new());
    let mut rows = values.chunks_exact(width.max(1));
    each_point(n, q, |point| {
        let row = rows.next().unwrap_or_default();
        let order: usize = point.iter().sum();
        if order < q { &mut lower } else { &mut top }.extend_from_slice(row);
    });
    Table { moduli, vectors: width, lower, top }
}

/// The line of a walk that evaluates stages by matrix products, its lanes primes.
struct Through<'a, 'o, M: Machine, const W: usize> {
    machine: M,
    tables: &'a [Table<M::R, W>],
    images: &'a Images<M::R, W>,
    /// The stages whose polynomials are applied; the row after the last is the result.
    stages: std::ops::Range<usize>,
    scratch: Scratch<M::R, W>,
    q: usize,
    store: Store<'a, 'o, M::R, W>,
}

struct Scratch<R: Residues, const W: usize> {
    differences: Vec<[R::Word; W]>,
    z: Vec<[R::Word; W]>,
    y: Vec<[R::Word; W]>,
}

impl<R: Residues, const W: usize> Default for Scratch<R, W> {
    fn default() -> Self {
        Scratch { differences: Vec::new(), z: Vec::new(), y: Vec::new() }
    }
}

enum Store<'a, 'o, R: Residues, const W: usize> {
    Rows(&'a mut [[R::Word; W]]),
    Units(&'a mut [&'o mut [[R::Word; 4]]]),
}

impl<M: Machine, const W: usize> Line<M, W> for Through<'_, '_, M, W> {
    fn line(&mut self, lower: &[Vec<[Word<M>; W]>], offset: usize, budget: usize, _: usize) {
        let machine = self.machine;
        machine.run(
            #[inline(always)]
            || self.work(&lower[0], offset, budget),
        );
    }
}

impl<M: Machine, const W: usize> Through<'_, '_, M, W> {
    #[inline(always)]
    fn work(&mut self, lower: &[[Word<M>; W]], offset: usize, budget: usize) {
        let table = &self.tables[0];
        let moduli = &table.moduli;
        let (q, v) = (self.q, table.vectors);
        let Scratch { differences, z, y } = &mut self.scratch;
        differences.clear();
        differences.extend_from_slice(&lower[..q * v]);
        for x in differences.iter_mut() {
            *x = M::R::reduce(*x, moduli);
        }
        for t in 0..=budget {
            z.clear();
            z.extend_from_slice(&differences[..v]);
            for s in self.stages.clone() {
                y.clear();
                let polynomials = &self.images.polynomials[s];
                y.resize(polynomials.len(), moduli.words(0));
                for i in 0..polynomials.len() {
                    let (z, c) = (z[i], &polynomials[i][..]);
                    let mut sum = M::R::reduce(c[c.len() - 1], moduli);
                    for k in (0..c.len() - 1).rev() {
                        let product = M::R::mul(sum, z, moduli);
                        sum = M::R::reduce(M::R::add(product, c[k], moduli), moduli);
                    }
                    y[i] = sum;
                }
                let rows = &self.images.rows[s + 1];
                z.clear();
                z.resize(rows.len(), moduli.words(0));
                for i in 0..rows.len() {
                    let mut sum = rows[i].bias;
                    let weights = &rows[i].weights[..];
                    for k in 0..weights.len() {
                        let (j, w) = weights[k];
                        sum = M::R::add(sum, M::R::mul(w, y[j as usize], moduli), moduli);
                        if k % 8 == 7 {
                            sum = M::R::reduce(sum, moduli);
                        }
                    }
                    z[i] = M::R::reduce(sum, moduli);
                }
            }
            match &mut self.store {
                Store::Rows(rows) => {
                    let width = z.len();
                    rows[(offset + t) * width..][..width].copy_from_slice(z);
                }
                Store::Units(units) => {
                    let each = units.len() / z.len();
                    for (o, value) in z.iter().enumerate() {
                        for u in 0..each {
                            let unit = &mut units[o * each + u][offset + t];
                            unit.copy_from_slice(&value[4 * u..4 * u + 4]);
                        }
                    }
                }
            }
            if t == budget {
                break;
            }
            for i in 0..q {
                let (own, later) = differences.split_at_mut((i + 1) * v);
                let next = if i + 1 < q { &later[..v] } else { &table.top[..v] };
                let own = &mut own[i * v..][..v];
                for i in 0..v {
                    own[i] = M::R::reduce(M::R::add(own[i], next[i], moduli), moduli);
                }
            }
        }
    }
}

/// Packs the last stage: for each pass, vectors of neurons times primes.
#[inline(always)]
fn last_stage<R: Residues, const W: usize>(
    images: &Images<R, W>,
    mut table: Table<R, W>,
    count: usize,
    points: usize,
) -> Kind<R, W> {
    let m = &images.moduli;
    let last = images.polynomials.len() - 1;
    let (polynomials, outputs) = (&images.polynomials[last], &images.rows[last + 1]);
    let width = polynomials.len();
    let zero = m.words(0);
    let one = m.words(1);

    // 1 / (d c_d) for all neurons by one inversion.
    let mut prefix = one;
    let mut prefixes = Vec::with_capacity(width);
    let leading = |c: &[[R::Word; W]]| {
        let d = c.len() as u64 - 1;
        if d < 2 { one } else { R::mul(c[c.len() - 1], m.words(d), m) }
    };
    for c in polynomials {
        prefixes.push(prefix);
        prefix = R::mul(prefix, leading(c), m);
    }
    let mut inverse = invert(prefix, m);
    let mut inverses = vec![one; width];
    for (i, c) in polynomials.iter().enumerate().rev() {
        inverses[i] = R::mul(inverse, prefixes[i], m);
        inverse = R::mul(inverse, leading(c), m);
    }

    // Shifted polynomials, and what of them is linear.
    let mut shifts = vec![zero; width];
    let mut inner: Vec<Vec<[R::Word; W]>> = vec![Vec::new(); width];
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
        inner[i] = (2..=d.saturating_sub(2))
            .rev()
            .map(|k| R::reduce(R::mul(c[k], inverse, m), m))
            .collect();
        linear[i] = (c[0], c[1]);
    }

    let rows = table.lower.len() / width.max(1);
    let tops = table.top.len() / width.max(1);
    // One polynomial an output: what is linear in the pre-activations.
    let mut rest_lower = vec![zero; rows * outputs.len()];
    let mut rest_top = vec![zero; tops * outputs.len()];
    let mut weights: Vec<Vec<[R::Word; W]>> = vec![vec![zero; width]; outputs.len()];
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
    let exponents: Option<Vec<Vec<u64>>> = match outputs.len() {
        1 if points >= ROOTED => polynomials
            .iter()
            .map(|c| m.primes.iter().map(|p| root_exponent(c.len() as u64 - 1, *p)).collect())
            .collect(),
        _ => None,
    };
    let rooted = exponents.is_some();
    for (i, exponents) in exponents.iter().flatten().enumerate() {
        let d = polynomials[i].len() - 1;
        if d < 2 {
            continue;
        }
        let root = power(weights[0][i], std::array::from_fn(|l| exponents[l]), m);
        let mut powers = root;
        for k in 2..=d {
            powers = R::mul(powers, root, m);
            // That of degree d - k.
            if k < d - 1 {
                let c = &mut inner[i][k - 2];
                *c = R::reduce(R::mul(*c, powers, m), m);
            }
        }
        let weight = weights[0][i];
        weights[0][i] = std::array::from_fn(|l| {
            let p = m.primes[l];
            let equal = R::residue(powers[l], p) == R::residue(weight[l], p);
            R::word(if equal { 1 } else { p - 1 }, p)
        });
        for rows in [&mut table.lower, &mut table.top] {
            for x in rows[i..].iter_mut().step_by(width) {
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
    for primes in pass_widths(count, width) {
        let side = 8 / primes;
        let lane = |l: usize| (first + l % primes).min(W - 1);
        let moduli = Moduli::<R, 8>::new(m.token, std::array::from_fn(|l| m.primes[lane(l)]));
        let gather = |neurons: &[usize], value: &dyn Fn(usize) -> [R::Word; W]| -> [R::Word; 8] {
            std::array::from_fn(|l| match neurons.get(l / primes) {
                Some(i) => value(*i)[lane(l)],
                None => zero[0],
            })
        };
        let mut groups = Vec::new();
        let mut members: Vec<&[usize]> = Vec::new();
        for (d, neurons) in &by_degree {
            let begin = members.len();
            let (mut inner_words, mut weight_words) = (Vec::new(), Vec::new());
            for part in neurons.chunks(side) {
                members.push(part);
                for k in 0..d.saturating_sub(3) {
                    inner_words.push(gather(part, &|i| inner[i][k]));
                }
                for weights in &weights {
                    weight_words.push(gather(part, &|i| weights[i]));
                }
            }
            groups.push(Group {
                degree: *d,
                vectors: begin..members.len(),
                inner: inner_words,
                weights: weight_words,
            });
        }
        let vectors = members.len() + outputs.len();
        let pack = |from: &[[R::Word; W]], rest: &[[R::Word; W]]| {
            let mut to = Vec::with_capacity(vectors * rest.len() / outputs.len().max(1));
            for (row, rest) in from.chunks_exact(width.max(1)).zip(rest.chunks_exact(outputs.len()))
            {
                for part in &members {
                    to.push(gather(part, &|i| row[i]));
                }
                for value in rest {
                    to.push(std::array::from_fn(
                        |l| if l < primes { value[lane(l)] } else { zero[0] },
                    ));
                }
            }
            to
        };
        let lower = pack(&table.lower, &rest_lower);
        let top = pack(&table.top, &rest_top);
        tables.push(Table { moduli, vectors, lower, top });
        passes.push(Pass { first, primes, groups });
        first += primes;
    }
    Kind::Last { tables, passes, outputs: outputs.len(), rooted }
}

/// Lattice points from which on roots of the weights pay.
const ROOTED: usize = 2000;

/// An e such that x^e is, up to a factor -1 of x, a root of degree d of x modulo p: the inverse of d
/// modulo (p - 1) / 2, as x^((p - 1) / 2) is 1 or -1 unless x is zero.
fn root_exponent(d: u64, p: u64) -> Option<u64> {
    let order = (p - 1) / 2;
    match d {
        0 | 1 => Some(1),
        // No product overflows: degrees that have roots are small.
        2..=10 => (0..d).map(|k| k * order + 1).find(|x| x % d == 0).map(|x| x / d),
        _ => None,
    }
}

/// How many primes each pass takes, so that few lanes are idle: powers of two that cover `count`.
fn pass_widths(count: usize, width: usize) -> Vec<usize> {
    let vectors = |primes: usize| (width * primes).div_ceil(8) + 1;
    let mut best: Vec<(usize, Vec<usize>)> = vec![(0, Vec::new())];
    for covered in 1..=count {
        let mut choice: Option<(usize, Vec<usize>)> = None;
        for primes in [1, 2, 4, 8] {
            // What is covered twice is computed for nothing: only the last pass may reach beyond.
            let before = covered.saturating_sub(primes);
            if covered < count && primes > covered {
                continue;
            }
            let cost = best[before].0 + vectors(primes);
            if choice.as_ref().is_none_or(|c| cost < c.0) {
                let mut widths = best[before].1.clone();
                widths.push(primes);
                choice = Some((cost, widths));
            }
        }
        best.push(choice.unwrap_or((0, Vec::new())));
    }
    // The wide ones first, so that none begins amid four primes and ends beyond.
    let mut widths = best.pop().map(|b| b.1).unwrap_or_default();
    widths.sort_unstable_by(|a, b| b.cmp(a));
    widths
}

/// The line of a walk through the packed last stage.
struct Last<'a, 'o, M: Machine> {
    machine: M,
    tables: &'a [Table<M::R, 8>],
    passes: &'a [Pass<M::R>],
    outputs: usize,
    /// Whether the weights are signs.
    rooted: bool,
    units: usize,
    q: usize,
    /// Steps that may go unreduced.
    unreduced: usize,
    accumulators: Vec<[Word<M>; 8]>,
    differences: Vec<[Word<M>; 8]>,
    out: &'a mut [&'o mut [[Word<M>; 4]]],
}

impl<M: Machine> Line<M, 8> for Last<'_, '_, M> {
    fn line(&mut self, lower: &[Vec<[Word<M>; 8]>], offset: usize, budget: usize, steps: usize) {
        let machine = self.machine;
        machine.run(
            #[inline(always)]
            || match self.q {
                1 => self.work::<1>(lower, offset, budget, steps),
                2 => self.work::<2>(lower, offset, budget, steps),
                3 => self.work::<3>(lower, offset, budget, steps),
                4 => self.work::<4>(lower, offset, budget, steps),
                _ => self.work::<0>(lower, offset, budget, steps),
            },
        );
    }
}

impl<M: Machine> Last<'_, '_, M> {
    #[inline(always)]
    fn work<const Q: usize>(
        &mut self,
        lower: &[Vec<[Word<M>; 8]>],
        offset: usize,
        budget: usize,
        steps: usize,
    ) {
        let length = budget + 1;
        let outputs = self.outputs;
        let zero = [Word::<M>::default(); 8];
        if self.accumulators.len() < outputs * length {
            self.accumulators.resize(outputs * length, zero);
        }
        let accumulators = &mut self.accumulators[..outputs * length];
        let differences = &mut self.differences[..];
        let how = (length, steps, self.unreduced);
        for t in 0..self.tables.len() {
            let (table, pass, lower) = (&self.tables[t], &self.passes[t], &lower[t][..]);
            let m = &table.moduli;
            let v = table.vectors;
            let neurons = v - outputs;
            // The rest of each output begins the sum.
            for o in 0..outputs {
                let line = &mut accumulators[o * length..][..length];
                let from = (v, neurons + o, self.q);
                walk_line::<M::R, Q>(
                    lower,
                    &table.top,
                    from,
                    how,
                    m,
                    differences,
                    #[inline(always)]
                    |t, z| line[t] = z,
                );
            }
            // Eight terms of at most 0.84 p and what came out of `reduce`: below 8 p.
            let mut sums = 0;
            for group in &pass.groups {
                let d = group.degree;
                let inner = d.saturating_sub(3);
                for g in 0..group.vectors.len() {
                    let from = (v, group.vectors.start + g, self.q);
                    let coefficients = &group.inner[g * inner..(g + 1) * inner];
                    let weights = &group.weights[g * outputs..(g + 1) * outputs];
                    if self.rooted {
                        let sign = weights[0];
                        walk_line::<M::R, Q>(
                            lower,
                            &table.top,
                            from,
                            how,
                            m,
                            differences,
                            #[inline(always)]
                            |t, z| {
                                let y = monic::<M::R>(z, d, coefficients, m);
                                accumulators[t] = M::R::add_signed(accumulators[t], y, sign, m);
                            },
                        );
                    } else {
                        walk_line::<M::R, Q>(
                            lower,
                            &table.top,
                            from,
                            how,
                            m,
                            differences,
                            #[inline(always)]
                            |t, z| {
                                let y = monic::<M::R>(z, d, coefficients, m);
                                for o in 0..weights.len() {
                                    let a = &mut accumulators[o * length + t];
                                    *a = M::R::add(*a, M::R::mul(y, weights[o], m), m);
                                }
                            },
                        );
                    }
                    sums += 1;
                    if sums == 8 {
                        sums = 0;
                        for i in 0..accumulators.len() {
                            accumulators[i] = M::R::reduce(accumulators[i], m);
                        }
                    }
                }
            }
            // Sums over the neurons of a vector.
            let (first, primes) = (pass.first, pass.primes);
            for o in 0..outputs {
                for t in 0..length {
                    let mut a = M::R::reduce(accumulators[o * length + t], m);
                    if primes < 8 {
                        let other = [a[4], a[5], a[6], a[7], a[0], a[1], a[2], a[3]];
                        a = M::R::add(a, other, m);
                        if primes < 4 {
                            let other = [a[2], a[3], a[0], a[1], a[6], a[7], a[4], a[5]];
                            a = M::R::add(a, other, m);
                            if primes < 2 {
                                let other = [a[1], a[0], a[3], a[2], a[5], a[4], a[7], a[6]];
                                a = M::R::add(a, other, m);
                            }
                        }
                        a = M::R::reduce(a, m);
                    }
                    let units = &mut self.out[o * self.units..(o + 1) * self.units];
                    if primes >= 4 {
                        units[first / 4][offset + t] = [a[0], a[1], a[2], a[3]];
                        if primes == 8 && self.units == 2 {
                            units[1][offset + t] = [a[4], a[5], a[6], a[7]];
                        }
                    } else {
                        let to = &mut units[first / 4][offset + t];
                        for l in 0..primes {
                            to[first % 4 + l] = a[l];
                        }
                    }
                }
            }
        }
    }
}

/// z^d + c_{d-2} z^{d-2} + ... + c_2 z^2, the coefficients in descending order, for z and
/// coefficients that came out of `reduce`; at most 0.84 p, by the bounds of [`Residues`].
#[inline(always)]
fn monic<R: Residues>(
    z: [R::Word; 8],
    d: usize,
    coefficients: &[[R::Word; 8]],
    m: &Moduli<R, 8>,
) -> [R::Word; 8] {
    let square = R::mul(z, z, m);
    match (d, coefficients) {
        (2, _) => square,
        (3, _) => R::mul(square, z, m),
        (_, [first, rest @ ..]) => {
            let mut sum = R::add(square, *first, m);
            for c in rest {
                sum = R::add(R::mul(sum, z, m), *c, m);
            }
            R::mul(sum, square, m)
        }
        // A degree above 3 has coefficients.
        _ => square,
    }
}

/// Calls `visit` with the values of one vector along a line, out of `reduce`; `lower` is after so
/// many unreduced steps, of which there may be `unreduced`.
#[inline(always)]
fn walk_line<R: Residues, const Q: usize>(
    lower: &[[R::Word; 8]],
    top: &[[R::Word; 8]],
    (vectors, vector, q): (usize, usize, usize),
    (length, steps, unreduced): (usize, usize, usize),
    m: &Moduli<R, 8>,
    room: &mut [[R::Word; 8]],
    mut visit: impl FnMut(usize, [R::Word; 8]),
) {
    visit(0, R::reduce(lower[vector], m));
    if length == 1 {
        return;
    }
    let top = top[vector];
    if Q == 0 {
        // Only the orders matter that are not above the number of steps to come.
        let count = q.min(length - 1) + 1;
        let d = &mut room[..count];
        for i in 0..count {
            d[i] = if i < q { lower[i * vectors + vector] } else { top };
        }
        let mut steps = steps;
        for t in 1..length {
            let changed = q.min(length - t);
            let mut low = d[0];
            for i in 0..changed {
                let high = d[i + 1];
                d[i] = R::add(low, high, m);
                low = high;
            }
            steps += 1;
            if steps >= unreduced {
                steps = 0;
                for i in 0..changed {
                    d[i] = R::reduce(d[i], m);
                }
            }
            visit(t, R::reduce(d[0], m));
        }
        return;
    }
    let mut d: [[R::Word; 8]; Q] = std::array::from_fn(|i| lower[i * vectors + vector]);
    let mut steps = steps;
    for t in 1..length {
        for i in 0..Q - 1 {
            d[i] = R::add(d[i], d[i + 1], m);
        }
        d[Q - 1] = R::add(d[Q - 1], top, m);
        steps += 1;
        if steps >= unreduced {
            steps = 0;
            for d in &mut d {
                *d = R::reduce(*d, m);
            }
        }
        visit(t, R::reduce(d[0], m));
    }
}
