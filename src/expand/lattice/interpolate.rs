//! From values on the principal lattice to coefficients, modulo primes.
//!
//! Forward differences along every axis, division by a!, and from Newton's basis of falling
//! factorials to monomials along every axis (Werner, Polynomial interpolation: Lagrange versus
//! Newton, Math. Comp. 43, 1984; on the simplex, Chung and Yao, SIAM J. Numer. Anal. 14, 1977).
//! A difference looks down an axis and a conversion up, where what lies outside of the lattice is
//! zero only once all differences are taken: so all differences come first.
//!
//! An element of the lattice is a row of `stride` vectors of four residues.

use super::simplex::{Alignment, Neighbours, Simplex, Subtractions};
use super::{Both, Four, Word, load, repeat, store};
use crate::numeric::residues::{Machine, Moduli, Residues};

/// The moduli of one row and what the conversions need.
#[derive(Clone, Debug)]
pub(super) struct Lanes<R: Residues> {
    pub(super) moduli: Both<R>,
    /// The words of 0, 1, 2, ... up to the degree.
    pub(super) small: Vec<Four<R>>,
    /// The words of 1 / k!.
    pub(super) inverse_factorials: Vec<Four<R>>,
}

impl<R: Residues> Lanes<R> {
    /// For lattices of degree up to `degree`; must run under [`Machine::run`].
    #[inline(always)]
    pub(super) fn new(token: R::Token, primes: [u64; 4], degree: usize) -> Self {
        let moduli = Both::<R>::new(token, primes);
        let m = &moduli.four;
        let small: Vec<_> = (0..=degree as u64).map(|k| m.words(k)).collect();
        let mut factorial = m.words(1);
        for k in &small[1..] {
            factorial = R::mul(factorial, *k, m);
        }
        let mut inverse = invert(factorial, m);
        let mut inverse_factorials = vec![inverse; degree + 1];
        for k in (1..=degree).rev() {
            inverse = R::mul(inverse, small[k], m);
            inverse_factorials[k - 1] = inverse;
        }
        Lanes { moduli, small, inverse_factorials }
    }
}

/// The inverses of residues that are not zero; a zero lane stays zero.
#[inline(always)]
pub(super) fn invert<R: Residues>(x: Four<R>, moduli: &Moduli<R, 4>) -> Four<R> {
    power(x, moduli.primes.map(|p| p - 2), moduli)
}

/// Powers, one exponent a lane, by squaring.
#[inline(always)]
pub(super) fn power<R: Residues>(
    x: Four<R>,
    exponents: [u64; 4],
    moduli: &Moduli<R, 4>,
) -> Four<R> {
    let bits = exponents.iter().map(|e| 64 - e.leading_zeros()).max().unwrap_or(0);
    let one = moduli.words(1);
    let mut result = one;
    for bit in (0..bits).rev() {
        result = R::mul(result, result, moduli);
        let factor =
            std::array::from_fn(|i| if exponents[i] >> bit & 1 == 1 { x[i] } else { one[i] });
        result = R::mul(result, factor, moduli);
    }
    result
}

/// Whether differences of an order, of which the highest to come is `last`, are reduced: every
/// third and the last, as one doubles what came out of `reduce`, and sums may be 8 p.
#[inline(always)]
fn reduces(order: usize, last: usize) -> bool {
    order.is_multiple_of(3) || order == last
}

/// Whether differences along all axes, of what came out of `reduce`, must be reduced on the way: at
/// a point a there are |a|, each of which doubles them at most.
pub(super) fn must_reduce(degree: usize, largest: u64) -> bool {
    largest / 2 + 3 > (1 << 53) >> degree.min(63)
}

/// Vectors from which on it pays to take two at a time.
const LONG: usize = 8;

/// `to -= from`.
#[inline(always)]
fn subtract<M: Machine>(
    to: &mut [Four<M::R>],
    from: &[Four<M::R>],
    reduces: bool,
    moduli: &Both<M::R>,
) {
    let (mut from, mut to) = (&from[..to.len()], to);
    if M::WIDE && to.len() >= LONG {
        let (wide, rest) = to.as_chunks_mut::<2>();
        let (by, rest_by) = from.as_chunks::<2>();
        subtract_by::<M::R, 2, 8>(wide, by, reduces, &moduli.eight);
        (to, from) = (rest, rest_by);
    }
    subtract_by::<M::R, 1, 4>(to.as_chunks_mut().0, from.as_chunks().0, reduces, &moduli.four);
}

#[inline(always)]
fn subtract_by<R: Residues, const N: usize, const W: usize>(
    to: &mut [[Four<R>; N]],
    from: &[[Four<R>; N]],
    reduces: bool,
    m: &Moduli<R, W>,
) {
    // By index: adaptors of iterators are not inlined across units of code generation.
    let from = &from[..to.len()];
    for i in 0..to.len() {
        let mut x = R::sub(load::<R, W>(&to[i], 0), load::<R, W>(&from[i], 0), m);
        if reduces {
            x = R::reduce(x, m);
        }
        store::<R, W>(&mut to[i], 0, x);
    }
}

/// `to -= k from`.
#[inline(always)]
fn subtract_multiple<M: Machine>(
    to: &mut [Four<M::R>],
    from: &[Four<M::R>],
    (k, word): (usize, Four<M::R>),
    moduli: &Both<M::R>,
) {
    let (mut from, mut to) = (&from[..to.len()], to);
    if M::WIDE && to.len() >= LONG {
        let (wide, rest) = to.as_chunks_mut::<2>();
        let (by, rest_by) = from.as_chunks::<2>();
        let word = repeat::<M::R, 8>(word);
        subtract_multiple_by::<M::R, 2, 8>(wide, by, (k, word), &moduli.eight);
        (to, from) = (rest, rest_by);
    }
    let (to, from) = (to.as_chunks_mut().0, from.as_chunks().0);
    subtract_multiple_by::<M::R, 1, 4>(to, from, (k, word), &moduli.four);
}

#[inline(always)]
fn subtract_multiple_by<R: Residues, const N: usize, const W: usize>(
    to: &mut [[Four<R>; N]],
    from: &[[Four<R>; N]],
    (k, word): (usize, [R::Word; W]),
    m: &Moduli<R, W>,
) {
    let from = &from[..to.len()];
    for i in 0..to.len() {
        let (x, y) = (load::<R, W>(&to[i], 0), load::<R, W>(&from[i], 0));
        store::<R, W>(&mut to[i], 0, R::sub_multiple(x, y, k as u64, word, m));
    }
}

/// What is done along an axis: differences of elements of `stride` vectors, conversions of single
/// ones.
pub(super) struct Axes<'a, M: Machine> {
    pub(super) machine: M,
    pub(super) simplex: &'a Simplex,
    pub(super) neighbours: &'a Neighbours,
    pub(super) moduli: &'a Both<M::R>,
    pub(super) stride: usize,
    /// Whether differences are reduced.
    pub(super) reduces: bool,
}

/// The words of 0, 1, 2, ..., by which conversions multiply.
type Nodes<'a, R> = &'a [Four<R>];

impl<M: Machine> Axes<'_, M> {
    /// Differences along all axes of a lattice in `m` variables of degree `b`.
    pub(super) fn differences(&self, x: &mut [Four<M::R>], (m, b): (usize, usize)) {
        if b == 0 {
            return;
        }
        if b == 1 {
            // The origin, and a point an axis.
            self.machine.run(
                #[inline(always)]
                || {
                    let (origin, units) = x.split_at_mut(self.stride);
                    for i in 0..m {
                        let to = &mut units[i * self.stride..][..self.stride];
                        subtract::<M>(to, origin, self.reduces, self.moduli);
                    }
                },
            );
            return;
        }
        if let Some(list) = self.neighbours.all(m, b) {
            self.machine.run(
                #[inline(always)]
                || self.listed_differences(x, list),
            );
            return;
        }
        if m == 1 {
            self.machine.run(
                #[inline(always)]
                || self.line_differences(x),
            );
            return;
        }
        for k in 0..b {
            let start = self.simplex.start(m, b, k) * self.stride;
            let end = start + self.simplex.count(m - 1, b - k) * self.stride;
            self.differences(&mut x[start..end], (m - 1, b - k));
        }
        if let Some(alignments) = self.neighbours.alignments(m - 1) {
            self.machine.run(
                #[inline(always)]
                || self.differences_along(x, (m, b), alignments),
            );
            return;
        }
        let slab = |k: usize| self.simplex.start(m, b, k) * self.stride;
        for order in 1..=b {
            for k in (order..=b).rev() {
                let (low, high) = x.split_at_mut(slab(k));
                self.combine(high, &mut low[slab(k - 1)..], (m - 1, b - k), None);
            }
        }
    }

    /// Conversions along all axes of a lattice in `m` variables of degree `b`.
    pub(super) fn conversions(
        &self,
        x: &mut [Four<M::R>],
        (m, b): (usize, usize),
        nodes: Nodes<'_, M::R>,
    ) {
        if b < 2 {
            // 1 and x are falling factorials and monomials alike.
            return;
        }
        if let Some(list) = self.neighbours.all(m, b) {
            self.machine.run(
                #[inline(always)]
                || self.listed_conversions(x, list, nodes),
            );
            return;
        }
        if m == 1 {
            self.machine.run(
                #[inline(always)]
                || self.line_conversions(x, nodes),
            );
            return;
        }
        for k in 0..b - 1 {
            let start = self.simplex.start(m, b, k);
            let end = start + self.simplex.count(m - 1, b - k);
            self.conversions(&mut x[start..end], (m - 1, b - k), nodes);
        }
        if let Some(alignments) = self.neighbours.alignments(m - 1) {
            self.machine.run(
                #[inline(always)]
                || self.conversions_along(x, (m, b), alignments, nodes),
            );
            return;
        }
        let slab = |k: usize| self.simplex.start(m, b, k);
        for node in (1..b).rev() {
            for k in node..b {
                let (low, high) = x.split_at_mut(slab(k + 1));
                let factor = Some((node, nodes[node]));
                self.combine(high, &mut low[slab(k)..], (m - 1, b - k - 1), factor);
            }
        }
    }

    /// `small -= large` without a factor, `large -= factor small` with one, where the lattice
    /// `small` is (m, e) and `large` is (m, e + 1).
    fn combine(
        &self,
        small: &mut [Four<M::R>],
        large: &mut [Four<M::R>],
        (m, e): (usize, usize),
        factor: Option<(usize, Four<M::R>)>,
    ) {
        let stride = self.stride;
        if let Some(alignments) = self.neighbours.alignments(m) {
            self.machine.run(
                #[inline(always)]
                || match factor {
                    None => self.subtract_aligned(&alignments[e], small, large, self.reduces),
                    Some(k) => self.subtract_multiple_aligned(&alignments[e], large, small, k),
                },
            );
            return;
        }
        for k in 0..=e {
            let s = self.simplex.start(m, e, k) * stride;
            let l = self.simplex.start(m, e + 1, k) * stride;
            self.combine(&mut small[s..], &mut large[l..], (m - 1, e - k), factor);
        }
    }

    /// `small -= large`, a lattice and the next larger.
    #[inline(always)]
    fn subtract_aligned(
        &self,
        alignment: &Alignment,
        small: &mut [Four<M::R>],
        large: &[Four<M::R>],
        reduces: bool,
    ) {
        let stride = self.stride;
        match alignment {
            Alignment::Points(points) if stride == 1 => {
                let m = &self.moduli.four;
                let small = &mut small[..points.len()];
                for i in 0..points.len() {
                    let x = M::R::sub(small[i], large[points[i] as usize], m);
                    small[i] = if reduces { M::R::reduce(x, m) } else { x };
                }
            }
            Alignment::Points(points) => {
                for i in 0..points.len() {
                    let to = &mut small[i * stride..][..stride];
                    let from = &large[points[i] as usize * stride..][..stride];
                    subtract::<M>(to, from, reduces, self.moduli);
                }
            }
            Alignment::Runs(runs) => {
                for &(s, l, n) in runs {
                    let (s, l, n) = (s as usize * stride, l as usize * stride, n as usize * stride);
                    let (to, from) = (&mut small[s..s + n], &large[l..l + n]);
                    subtract::<M>(to, from, reduces, self.moduli);
                }
            }
        }
    }

    /// `large -= factor small`.
    #[inline(always)]
    fn subtract_multiple_aligned(
        &self,
        alignment: &Alignment,
        large: &mut [Four<M::R>],
        small: &[Four<M::R>],
        (node, word): (usize, Four<M::R>),
    ) {
        match alignment {
            Alignment::Points(points) => {
                let (m, small) = (&self.moduli.four, &small[..points.len()]);
                for i in 0..points.len() {
                    let x = &mut large[points[i] as usize];
                    *x = M::R::sub_multiple(*x, small[i], node as u64, word, m);
                }
            }
            Alignment::Runs(runs) => {
                for &(s, l, n) in runs {
                    let (s, l, n) = (s as usize, l as usize, n as usize);
                    let (to, from) = (&mut large[l..l + n], &small[s..s + n]);
                    subtract_multiple::<M>(to, from, (node, word), self.moduli);
                }
            }
        }
    }

    /// Differences along the first axis, its inner lattices tabulated.
    #[inline(always)]
    fn differences_along(
        &self,
        x: &mut [Four<M::R>],
        (m, b): (usize, usize),
        alignments: &[Alignment],
    ) {
        let (simplex, stride) = (self.simplex, self.stride);
        for order in 1..=b {
            for k in (order..=b).rev() {
                let (low, high) = x.split_at_mut(simplex.start(m, b, k) * stride);
                let low = &low[simplex.start(m, b, k - 1) * stride..];
                let reduces = self.reduces && reduces(order, k);
                self.subtract_aligned(&alignments[b - k], high, low, reduces);
            }
        }
    }

    /// Conversions along the first axis, its inner lattices tabulated.
    #[inline(always)]
    fn conversions_along(
        &self,
        x: &mut [Four<M::R>],
        (m, b): (usize, usize),
        alignments: &[Alignment],
        nodes: Nodes<'_, M::R>,
    ) {
        let simplex = self.simplex;
        // p = c_0 + (x - 0)(c_1 + (x - 1)(c_2 + ...)): multiplied out from the innermost factor.
        for node in (1..b).rev() {
            for k in node..b {
                let (low, high) = x.split_at_mut(simplex.start(m, b, k + 1));
                let low = &mut low[simplex.start(m, b, k)..];
                let alignment = &alignments[b - k - 1];
                self.subtract_multiple_aligned(alignment, low, high, (node, nodes[node]));
            }
        }
    }

    /// Differences along `h` axes of a lattice in one variable more, one or two of them.
    #[inline(always)]
    fn outer_differences(&self, x: &mut [Four<M::R>], h: usize, b: usize) {
        let alignments = |m: usize| self.neighbours.alignments(m).unwrap_or_default();
        if h == 2 {
            for k in 0..b {
                let start = self.simplex.start(3, b, k);
                let x = &mut x[start..start + self.simplex.count(2, b - k)];
                self.differences_along(x, (2, b - k), alignments(1));
            }
        }
        self.differences_along(x, (h + 1, b), alignments(h));
    }

    /// Conversions likewise.
    #[inline(always)]
    fn outer_conversions(&self, x: &mut [Four<M::R>], h: usize, b: usize, nodes: Nodes<'_, M::R>) {
        let alignments = |m: usize| self.neighbours.alignments(m).unwrap_or_default();
        if h == 2 {
            for k in 0..b - 1 {
                let start = self.simplex.start(3, b, k);
                let x = &mut x[start..start + self.simplex.count(2, b - k)];
                self.conversions_along(x, (2, b - k), alignments(1), nodes);
            }
        }
        self.conversions_along(x, (h + 1, b), alignments(h), nodes);
    }

    /// Differences by a list.
    #[inline(always)]
    fn listed_differences(&self, x: &mut [Four<M::R>], list: &Subtractions) {
        let (m, stride) = (&self.moduli.four, self.stride);
        let list = &list.differences[..];
        if stride == 1 {
            for i in 0..list.len() {
                let (to, from) = (list[i].0 as usize, list[i].1 as usize);
                let difference = M::R::sub(x[to], x[from], m);
                x[to] = if self.reduces { M::R::reduce(difference, m) } else { difference };
            }
            return;
        }
        for i in 0..list.len() {
            let (to, from) = (list[i].0 as usize * stride, list[i].1 as usize * stride);
            let (low, high) = x.split_at_mut(to);
            subtract::<M>(&mut high[..stride], &low[from..], self.reduces, self.moduli);
        }
    }

    /// Conversions by a list.
    #[inline(always)]
    fn listed_conversions(
        &self,
        x: &mut [Four<M::R>],
        list: &Subtractions,
        nodes: Nodes<'_, M::R>,
    ) {
        let m = &self.moduli.four;
        let list = &list.conversions[..];
        for i in 0..list.len() {
            let (to, from, node) = (list[i].0 as usize, list[i].1 as usize, list[i].2 as usize);
            x[to] = M::R::sub_multiple(x[to], x[from], node as u64, nodes[node], m);
        }
    }

    #[inline(always)]
    fn line_differences(&self, x: &mut [Four<M::R>]) {
        let stride = self.stride;
        let b = x.len() / stride - 1;
        for order in 1..=b {
            let mut k = b;
            if M::WIDE && stride == 1 && b >= LONG {
                while k >= order + 2 {
                    let (here, before) = (load::<M::R, 8>(x, k - 1), load::<M::R, 8>(x, k - 2));
                    let mut difference = M::R::sub(here, before, &self.moduli.eight);
                    if self.reduces && reduces(order, k) {
                        difference = M::R::reduce(difference, &self.moduli.eight);
                    }
                    store::<M::R, 8>(x, k - 1, difference);
                    k -= 2;
                }
            }
            for k in (order..=k).rev() {
                let (low, high) = x.split_at_mut(k * stride);
                let low = &low[(k - 1) * stride..];
                let reduces = self.reduces && reduces(order, k);
                subtract::<M>(&mut high[..stride], low, reduces, self.moduli);
            }
        }
    }

    #[inline(always)]
    fn line_conversions(&self, x: &mut [Four<M::R>], nodes: Nodes<'_, M::R>) {
        let b = x.len() - 1;
        for node in (1..b).rev() {
            let mut k = node;
            if M::WIDE && b >= LONG {
                let word = repeat::<M::R, 8>(nodes[node]);
                while k + 2 <= b {
                    let (here, next) = (load::<M::R, 8>(x, k), load::<M::R, 8>(x, k + 1));
                    let m = &self.moduli.eight;
                    let difference = M::R::sub_multiple(here, next, node as u64, word, m);
                    store::<M::R, 8>(x, k, difference);
                    k += 2;
                }
            }
            for k in k..b {
                let m = &self.moduli.four;
                x[k] = M::R::sub_multiple(x[k], x[k + 1], node as u64, nodes[node], m);
            }
        }
    }
}

/// The outer axes of a lattice whose sub-lattices, by its first `h` coordinates, are separate
/// slices: differences, the weights 1 / a! of all axes, and conversions.
///
/// The differences along the other axes have been taken. For every choice of the coordinates
/// between, the outer axes and the last one span a small lattice, which is worked on in place of
/// its own: so that the memory is read and written once. Where there is no outer axis only the
/// weights are left to do.
pub(super) struct Outer<'a, M: Machine> {
    pub(super) machine: M,
    pub(super) simplex: &'a Simplex,
    pub(super) neighbours: &'a Neighbours,
    pub(super) lanes: &'a Lanes<M::R>,
    /// The number of outer axes, at most 2.
    pub(super) h: usize,
    /// The coordinate sums of the outer points, in lexicographic order, and their weights.
    pub(super) outer: Vec<(usize, Four<M::R>)>,
    /// Where there is no outer axis: the weights 1 / a! of small lattices, by variables, from 2
    /// on, and degree.
    weights: Vec<Vec<Vec<Four<M::R>>>>,
    /// Whether the differences have been reduced.
    reduced: bool,
}

/// The slices of outer points of a degree, and room for one lattice.
struct Pieces<'a, 's, R: Residues> {
    slices: &'a mut [&'s mut [Four<R>]],
    /// The outer points: the slice, the degree, and the weight of each.
    members: Vec<(usize, usize, Four<R>)>,
    local: Vec<Four<R>>,
}

/// Variables and degrees of the lattices of which weights are kept.
const WEIGHED_VARIABLES: usize = 3;
const WEIGHED_DEGREE: usize = 8;

impl<'a, M: Machine> Outer<'a, M> {
    pub(super) fn new(
        machine: M,
        (simplex, neighbours): (&'a Simplex, &'a Neighbours),
        lanes: &'a Lanes<M::R>,
        (h, reduced): (usize, bool),
        degree: usize,
    ) -> Self {
        let mut outer = Vec::with_capacity(simplex.count(h, degree));
        super::simplex::each_point(h, degree, |point| {
            let mut weight = lanes.inverse_factorials[0];
            for k in point {
                weight = machine.run(
                    #[inline(always)]
                    || M::R::mul(weight, lanes.inverse_factorials[*k], &lanes.moduli.four),
                );
            }
            outer.push((point.iter().sum(), weight));
        });
        let mut weights: Vec<Vec<Vec<Four<M::R>>>> = Vec::new();
        let most = if h == 0 { simplex.variables().min(WEIGHED_VARIABLES) } else { 0 };
        for m in 2..=most {
            let row = (0..=degree.min(WEIGHED_DEGREE)).map(|b| {
                let mut all = Vec::with_capacity(simplex.count(m, b));
                for k in 0..=b {
                    let below = match m {
                        2 => &lanes.inverse_factorials[..=b - k],
                        _ => &weights[m - 3][b - k][..],
                    };
                    machine.run(
                        #[inline(always)]
                        || {
                            for w in below {
                                let m = &lanes.moduli.four;
                                all.push(M::R::mul(*w, lanes.inverse_factorials[k], m));
                            }
                        },
                    );
                }
                all
            });
            let row = row.collect();
            weights.push(row);
        }
        Outer { machine, simplex, neighbours, lanes, h, outer, weights, reduced }
    }

    /// Works on `slices`, one an outer point of degree at most `b`, each a lattice in `m` variables
    /// of degree `b` less the point's; `weight` is that of the coordinates between that are fixed.
    pub(super) fn run(
        &self,
        slices: &mut [&mut [Four<M::R>]],
        (m, b): (usize, usize),
        weight: Four<M::R>,
    ) {
        if let ([x], 0) = (&mut *slices, self.h) {
            self.weigh(x, (m, b), weight);
            return;
        }
        let mut offsets = vec![vec![0_usize; b + 1]; m];
        // Within the smaller lattices of outer points the same point has the same place, whatever
        // the outer point of its degree.
        let mut members = Vec::new();
        for (e, w) in &self.outer {
            if *e <= b {
                members.push((members.len(), *e, *w));
            }
        }
        let local = Vec::with_capacity(self.simplex.count(self.h + 1, b));
        let mut pieces = Pieces { slices, members, local };
        self.between(&mut pieces, (m, b), weight, &mut offsets);
    }

    /// Multiplies by the weights of the points and by `weight`, where there is no outer axis.
    fn weigh(&self, x: &mut [Four<M::R>], (m, b): (usize, usize), weight: Four<M::R>) {
        let factors = match m {
            1 => Some(&self.lanes.inverse_factorials[..=b]),
            _ => self.weights.get(m - 2).and_then(|row| row.get(b)).map(|all| &all[..]),
        };
        if let Some(factors) = factors {
            self.machine.run(
                #[inline(always)]
                || {
                    if self.reduced {
                        self.multiply::<false>(x, weight, factors);
                    } else {
                        self.multiply::<true>(x, weight, factors);
                    }
                },
            );
            return;
        }
        for k in 0..=b {
            let weight = self.machine.run(
                #[inline(always)]
                || M::R::mul(weight, self.lanes.inverse_factorials[k], &self.lanes.moduli.four),
            );
            let start = self.simplex.start(m, b, k);
            let slab = &mut x[start..start + self.simplex.count(m - 1, b - k)];
            self.weigh(slab, (m - 1, b - k), weight);
        }
    }

    /// Multiplies by a weight and by factors.
    #[inline(always)]
    fn multiply<const REDUCES: bool>(
        &self,
        x: &mut [Four<M::R>],
        weight: Four<M::R>,
        factors: &[Four<M::R>],
    ) {
        let Both { four, eight } = &self.lanes.moduli;
        let factors = &factors[..x.len()];
        let mut i = 0;
        if M::WIDE {
            let w = repeat::<M::R, 8>(weight);
            while i + 2 <= x.len() {
                let mut value = load::<M::R, 8>(x, i);
                if REDUCES {
                    value = M::R::reduce(value, eight);
                }
                let weighted = M::R::mul(load::<M::R, 8>(factors, i), w, eight);
                store::<M::R, 8>(x, i, M::R::mul(value, weighted, eight));
                i += 2;
            }
        }
        for i in i..x.len() {
            let value = if REDUCES { M::R::reduce(x[i], four) } else { x[i] };
            x[i] = M::R::mul(value, M::R::mul(factors[i], weight, four), four);
        }
    }

    /// All lattices of the outer axes and the last, for the choices of the coordinates between:
    /// `m` are left, the last among them.
    fn between(
        &self,
        pieces: &mut Pieces<'_, '_, M::R>,
        (m, b): (usize, usize),
        weight: Four<M::R>,
        offsets: &mut [Vec<usize>],
    ) {
        let Some((mine, rest)) = offsets.split_first_mut() else { return };
        if b < 2 {
            self.machine.run(
                #[inline(always)]
                || self.few(pieces, (m, b), weight, mine),
            );
            return;
        }
        if m == 1 {
            let machine = self.machine;
            machine.run(
                #[inline(always)]
                || self.block(pieces, b, weight, mine),
            );
            return;
        }
        for k in 0..=b {
            for e in 0..=b - k {
                rest[0][e] = mine[e] + self.simplex.start(m, b - e, k);
            }
            let weight = self.machine.run(
                #[inline(always)]
                || M::R::mul(weight, self.lanes.inverse_factorials[k], &self.lanes.moduli.four),
            );
            self.between(pieces, (m - 1, b - k), weight, rest);
        }
    }

    /// Where at most one coordinate, of whatever axis, is 1 and the others of those left are zero.
    #[inline(always)]
    fn few(
        &self,
        Pieces { slices, members, .. }: &mut Pieces<'_, '_, M::R>,
        (m, b): (usize, usize),
        weight: Four<M::R>,
        offsets: &[usize],
    ) {
        let moduli = &self.lanes.moduli.four;
        let mut origin = [Word::<M>::default(); 4];
        for (s, e, w) in &members[..] {
            let w = M::R::mul(*w, weight, moduli);
            if *e == 0 {
                let x = &mut slices[*s][offsets[0]..][..if b == 0 { 1 } else { m + 1 }];
                origin = x[0];
                for i in 0..x.len() {
                    x[i] = M::R::mul(x[i], w, moduli);
                }
            } else if *e <= b {
                let x = &mut slices[*s][offsets[*e]];
                let difference = M::R::reduce(M::R::sub(*x, origin, moduli), moduli);
                *x = M::R::mul(difference, w, moduli);
            }
        }
    }

    #[inline(always)]
    fn block(
        &self,
        Pieces { slices, members, local }: &mut Pieces<'_, '_, M::R>,
        b: usize,
        weight: Four<M::R>,
        offsets: &[usize],
    ) {
        let Lanes { moduli, inverse_factorials, small } = self.lanes;
        let (simplex, neighbours) = (self.simplex, self.neighbours);
        let machine = self.machine;
        let axes = Axes { machine, simplex, neighbours, moduli, stride: 1, reduces: true };
        let list = neighbours.outer(self.h + 1, b);
        let h = self.h;
        local.resize(self.simplex.count(h + 1, b), [Word::<M>::default(); 4]);
        let local = &mut local[..];
        let mut next = 0;
        for (s, e, _) in &members[..] {
            if *e <= b {
                let from = &slices[*s][offsets[*e]..][..b - e + 1];
                let to = &mut local[next..][..b - e + 1];
                // Short: no call to copy it.
                for i in 0..to.len() {
                    to[i] = from[i];
                }
                next += b - e + 1;
            }
        }
        match list {
            Some(list) => axes.listed_differences(local, list),
            None => axes.outer_differences(local, h, b),
        }
        let mut next = 0;
        for (_, e, w) in &members[..] {
            if *e <= b {
                let w = M::R::mul(*w, weight, &moduli.four);
                let x = &mut local[next..next + b - e + 1];
                self.multiply::<false>(x, w, &inverse_factorials[..=b - e]);
                next += b - e + 1;
            }
        }
        match list {
            Some(list) => axes.listed_conversions(local, list, small),
            None => axes.outer_conversions(local, h, b, small),
        }
        let mut next = 0;
        for (s, e, _) in &members[..] {
            if *e <= b {
                let to = &mut slices[*s][offsets[*e]..][..b - e + 1];
                let from = &local[next..][..b - e + 1];
                for i in 0..to.len() {
                    to[i] = from[i];
                }
                next += b - e + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::must_reduce;
    use crate::numeric::residues::{primes, small_primes};

    #[test]
    fn differences_are_reduced_where_they_could_grow_too_large() {
        for p in [primes().next().unwrap(), small_primes().next().unwrap()] {
            for degree in 0..70 {
                let most = u128::from(p / 2 + 3) << degree;
                assert_eq!(must_reduce(degree, p), most > 1 << 53, "{p} {degree}");
            }
            assert!(must_reduce(300, p));
        }
    }
}
