//! From values on the principal lattice to coefficients, modulo primes.
//!
//! Forward differences along every axis, division by a!, and from Newton's basis of falling
//! factorials to monomials along every axis (Werner, Polynomial interpolation: Lagrange versus
//! Newton, Math. Comp. 43, 1984; on the simplex, Chung and Yao, SIAM J. Numer. Anal. 14, 1977).
//! A difference looks down an axis and a conversion up, where what lies outside of the lattice is
//! zero only once all differences are taken: so all differences come first.
//!
//! An element of the lattice is a row of `stride` vectors of four residues.

use super::Four;
use super::simplex::Simplex;
use crate::numeric::residues::{Machine, Moduli, Residues};

/// The moduli of one row and what the conversions need.
#[derive(Clone, Debug)]
pub(super) struct Lanes<R: Residues> {
    pub(super) moduli: Moduli<R, 4>,
    /// The words of 0, 1, 2, ... up to the degree.
    small: Vec<Four<R>>,
    /// The words of 1 / k!.
    pub(super) inverse_factorials: Vec<Four<R>>,
}

impl<R: Residues> Lanes<R> {
    /// For lattices of degree up to `degree`; must run under [`Machine::run`].
    #[inline(always)]
    pub(super) fn new(token: R::Token, primes: [u64; 4], degree: usize) -> Self {
        let moduli = Moduli::<R, 4>::new(token, primes);
        let small: Vec<_> = (0..=degree as u64).map(|k| moduli.words(k)).collect();
        let mut factorial = moduli.words(1);
        for k in &small[1..] {
            factorial = R::mul(factorial, *k, &moduli);
        }
        let mut inverse = invert(factorial, &moduli);
        let mut inverse_factorials = vec![inverse; degree + 1];
        for k in (1..=degree).rev() {
            inverse = R::mul(inverse, small[k], &moduli);
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

/// Differences along all axes of a lattice in `m` variables of degree `b`.
pub(super) fn differences<M: Machine>(
    machine: M,
    simplex: &Simplex,
    x: &mut [Four<M::R>],
    stride: usize,
    (m, b): (usize, usize),
    moduli: &Moduli<M::R, 4>,
) {
    if b == 0 {
        return;
    }
    if m <= 3 {
        machine.run(
            #[inline(always)]
            || small_differences::<M::R>(simplex, x, stride, m, b, moduli),
        );
        return;
    }
    for k in 0..b {
        let start = simplex.start(m, b, k) * stride;
        let end = start + simplex.count(m - 1, b - k) * stride;
        differences(machine, simplex, &mut x[start..end], stride, (m - 1, b - k), moduli);
    }
    first_axis(machine, simplex, x, stride, (m, b), Direction::Differences, moduli, &[]);
}

/// Conversions along all axes of a lattice in `m` variables of degree `b`.
pub(super) fn conversions<M: Machine>(
    machine: M,
    simplex: &Simplex,
    x: &mut [Four<M::R>],
    (m, b): (usize, usize),
    lanes: &Lanes<M::R>,
) {
    if b < 2 {
        // 1 and x are falling factorials and monomials alike.
        return;
    }
    if m <= 3 {
        machine.run(
            #[inline(always)]
            || small_conversions::<M::R>(simplex, x, m, b, lanes),
        );
        return;
    }
    for k in 0..b - 1 {
        let start = simplex.start(m, b, k);
        let end = start + simplex.count(m - 1, b - k);
        conversions(machine, simplex, &mut x[start..end], (m - 1, b - k), lanes);
    }
    first_axis(machine, simplex, x, 1, (m, b), Direction::Conversions, &lanes.moduli, &lanes.small);
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Differences,
    Conversions,
}

/// Along the first axis alone: by alignments that are tabulated, or by recursion over them.
#[allow(clippy::too_many_arguments)]
fn first_axis<M: Machine>(
    machine: M,
    simplex: &Simplex,
    x: &mut [Four<M::R>],
    stride: usize,
    (m, b): (usize, usize),
    direction: Direction,
    moduli: &Moduli<M::R, 4>,
    small: &[Four<M::R>],
) {
    if simplex.tabulates(m - 1) {
        machine.run(
            #[inline(always)]
            || match direction {
                Direction::Differences => {
                    differences_along::<M::R>(simplex, x, stride, m, b, moduli);
                }
                Direction::Conversions => {
                    conversions_along::<M::R>(simplex, x, m, b, moduli, small);
                }
            },
        );
        return;
    }
    let slab = |k: usize| simplex.start(m, b, k) * stride;
    match direction {
        Direction::Differences => {
            for order in 1..=b {
                for k in (order..=b).rev() {
                    let (low, high) = x.split_at_mut(slab(k));
                    let inner = (m - 1, b - k);
                    let low = &mut low[slab(k - 1)..];
                    combine(machine, simplex, high, low, stride, inner, None, moduli);
                }
            }
        }
        Direction::Conversions => {
            for node in (1..b).rev() {
                for k in node..b {
                    let (low, high) = x.split_at_mut(slab(k + 1));
                    let inner = (m - 1, b - k - 1);
                    let factor = Some((node as u64, small[node]));
                    combine(
                        machine,
                        simplex,
                        high,
                        &mut low[slab(k)..],
                        stride,
                        inner,
                        factor,
                        moduli,
                    );
                }
            }
        }
    }
}

/// `small -= large` without a factor, `large -= factor small` with one, where the lattice `small`
/// is (m, e) and `large` is (m, e + 1).
#[allow(clippy::too_many_arguments)]
fn combine<M: Machine>(
    machine: M,
    simplex: &Simplex,
    small: &mut [Four<M::R>],
    large: &mut [Four<M::R>],
    stride: usize,
    (m, e): (usize, usize),
    factor: Option<(u64, Four<M::R>)>,
    moduli: &Moduli<M::R, 4>,
) {
    if simplex.tabulates(m) {
        machine.run(
            #[inline(always)]
            || match factor {
                None => {
                    for &(s, l, n) in simplex.runs(m, e) {
                        let (s, l, n) =
                            (s as usize * stride, l as usize * stride, n as usize * stride);
                        subtract::<M::R>(&mut small[s..s + n], &large[l..l + n], true, moduli);
                    }
                }
                Some((k, word)) => {
                    for &(s, l, n) in simplex.runs(m, e) {
                        let (s, l, n) = (s as usize, l as usize, n as usize);
                        subtract_multiple::<M::R>(
                            &mut large[l..l + n],
                            &small[s..s + n],
                            k,
                            word,
                            moduli,
                        );
                    }
                }
            },
        );
        return;
    }
    for k in 0..=e {
        let s = simplex.start(m, e, k) * stride;
        let l = simplex.start(m, e + 1, k) * stride;
        combine(
            machine,
            simplex,
            &mut small[s..],
            &mut large[l..],
            stride,
            (m - 1, e - k),
            factor,
            moduli,
        );
    }
}

/// Whether differences of an order, of which the highest to come is `last`, are reduced: every third
/// and the last, as one doubles what came out of `reduce`, and sums may be 8 p.
#[inline(always)]
fn reduces(order: usize, last: usize) -> bool {
    order.is_multiple_of(3) || order == last
}

#[inline(always)]
fn subtract<R: Residues>(
    to: &mut [Four<R>],
    from: &[Four<R>],
    reduces: bool,
    moduli: &Moduli<R, 4>,
) {
    // By index: adaptors of iterators are not inlined across units of code generation.
    let from = &from[..to.len()];
    if reduces {
        for i in 0..to.len() {
            to[i] = R::reduce(R::sub(to[i], from[i], moduli), moduli);
        }
    } else {
        for i in 0..to.len() {
            to[i] = R::sub(to[i], from[i], moduli);
        }
    }
}

#[inline(always)]
fn subtract_multiple<R: Residues>(
    to: &mut [Four<R>],
    from: &[Four<R>],
    k: u64,
    word: Four<R>,
    moduli: &Moduli<R, 4>,
) {
    let from = &from[..to.len()];
    for i in 0..to.len() {
        to[i] = R::sub_multiple(to[i], from[i], k, word, moduli);
    }
}

/// Differences along the first axis, its inner lattices tabulated.
#[inline(always)]
pub(super) fn differences_along<R: Residues>(
    simplex: &Simplex,
    x: &mut [Four<R>],
    stride: usize,
    m: usize,
    b: usize,
    moduli: &Moduli<R, 4>,
) {
    for order in 1..=b {
        for k in (order..=b).rev() {
            let (low, high) = x.split_at_mut(simplex.start(m, b, k) * stride);
            let low = &low[simplex.start(m, b, k - 1) * stride..];
            for &(s, l, n) in simplex.runs(m - 1, b - k) {
                let (s, l, n) = (s as usize * stride, l as usize * stride, n as usize * stride);
                subtract::<R>(&mut high[s..s + n], &low[l..l + n], reduces(order, k), moduli);
            }
        }
    }
}

/// Conversions along the first axis, its inner lattices tabulated.
#[inline(always)]
pub(super) fn conversions_along<R: Residues>(
    simplex: &Simplex,
    x: &mut [Four<R>],
    m: usize,
    b: usize,
    moduli: &Moduli<R, 4>,
    small: &[Four<R>],
) {
    // p = c_0 + (x - 0)(c_1 + (x - 1)(c_2 + ...)): multiplied out from the innermost factor.
    for node in (1..b).rev() {
        for k in node..b {
            let (low, high) = x.split_at_mut(simplex.start(m, b, k + 1));
            let low = &mut low[simplex.start(m, b, k)..];
            for &(s, l, n) in simplex.runs(m - 1, b - k - 1) {
                let (s, l, n) = (s as usize, l as usize, n as usize);
                subtract_multiple::<R>(
                    &mut low[l..l + n],
                    &high[s..s + n],
                    node as u64,
                    small[node],
                    moduli,
                );
            }
        }
    }
}

/// Differences along all axes for at most three variables: no recursion, so that all is inlined.
#[inline(always)]
fn small_differences<R: Residues>(
    simplex: &Simplex,
    x: &mut [Four<R>],
    stride: usize,
    m: usize,
    b: usize,
    moduli: &Moduli<R, 4>,
) {
    if m == 3 {
        for k in 0..b {
            let start = simplex.start(3, b, k) * stride;
            let x = &mut x[start..start + simplex.count(2, b - k) * stride];
            plane_differences::<R>(simplex, x, stride, 2, b - k, moduli);
        }
        differences_along::<R>(simplex, x, stride, 3, b, moduli);
    } else {
        plane_differences::<R>(simplex, x, stride, m, b, moduli);
    }
}

#[inline(always)]
fn plane_differences<R: Residues>(
    simplex: &Simplex,
    x: &mut [Four<R>],
    stride: usize,
    m: usize,
    b: usize,
    moduli: &Moduli<R, 4>,
) {
    if m == 2 {
        for k in 0..b {
            let start = simplex.start(2, b, k) * stride;
            line_differences::<R>(&mut x[start..start + (b - k + 1) * stride], stride, moduli);
        }
        differences_along::<R>(simplex, x, stride, 2, b, moduli);
    } else {
        line_differences::<R>(x, stride, moduli);
    }
}

#[inline(always)]
fn line_differences<R: Residues>(x: &mut [Four<R>], stride: usize, moduli: &Moduli<R, 4>) {
    let b = x.len() / stride - 1;
    for order in 1..=b {
        for k in (order..=b).rev() {
            let (low, high) = x.split_at_mut(k * stride);
            let low = &low[(k - 1) * stride..];
            subtract::<R>(&mut high[..stride], low, reduces(order, k), moduli);
        }
    }
}

/// Conversions along all axes for at most three variables.
#[inline(always)]
fn small_conversions<R: Residues>(
    simplex: &Simplex,
    x: &mut [Four<R>],
    m: usize,
    b: usize,
    lanes: &Lanes<R>,
) {
    if m == 3 {
        for k in 0..b - 1 {
            let start = simplex.start(3, b, k);
            let x = &mut x[start..start + simplex.count(2, b - k)];
            plane_conversions::<R>(simplex, x, 2, b - k, lanes);
        }
        conversions_along::<R>(simplex, x, 3, b, &lanes.moduli, &lanes.small);
    } else {
        plane_conversions::<R>(simplex, x, m, b, lanes);
    }
}

#[inline(always)]
fn plane_conversions<R: Residues>(
    simplex: &Simplex,
    x: &mut [Four<R>],
    m: usize,
    b: usize,
    lanes: &Lanes<R>,
) {
    if m == 2 {
        for k in 0..b - 1 {
            let start = simplex.start(2, b, k);
            line_conversions::<R>(&mut x[start..start + b - k + 1], lanes);
        }
        conversions_along::<R>(simplex, x, 2, b, &lanes.moduli, &lanes.small);
    } else {
        line_conversions::<R>(x, lanes);
    }
}

#[inline(always)]
fn line_conversions<R: Residues>(x: &mut [Four<R>], lanes: &Lanes<R>) {
    let b = x.len() - 1;
    for node in (1..b).rev() {
        for k in node..b {
            x[k] = R::sub_multiple(x[k], x[k + 1], node as u64, lanes.small[node], &lanes.moduli);
        }
    }
}

/// The outer axes of a lattice whose sub-lattices, by its first `h` coordinates, are separate
/// slices: differences, the weights 1 / a! of all axes, and conversions.
///
/// The differences along the other axes have been taken. For every choice of the coordinates
/// between, the outer axes and the last one span a small lattice, which is worked on in place of
/// its own: so that the memory is read and written once.
pub(super) struct Outer<'a, M: Machine> {
    pub(super) machine: M,
    pub(super) simplex: &'a Simplex,
    pub(super) lanes: &'a Lanes<M::R>,
    /// The number of outer axes, at most 2.
    pub(super) h: usize,
    /// The coordinate sums of the outer points, in lexicographic order, and their weights.
    pub(super) outer: Vec<(usize, Four<M::R>)>,
}

impl<'a, M: Machine> Outer<'a, M> {
    pub(super) fn new(
        machine: M,
        simplex: &'a Simplex,
        lanes: &'a Lanes<M::R>,
        h: usize,
        degree: usize,
    ) -> Self {
        let mut outer = Vec::with_capacity(simplex.count(h, degree));
        super::simplex::each_point(h, degree, |point| {
            let mut weight = lanes.inverse_factorials[0];
            for k in point {
                weight = machine.run(
                    #[inline(always)]
                    || M::R::mul(weight, lanes.inverse_factorials[*k], &lanes.moduli),
                );
            }
            outer.push((point.iter().sum(), weight));
        });
        Outer { machine, simplex, lanes, h, outer }
    }

    /// Works on `slices`, one an outer point of degree at most `b`, each a lattice in `m` variables of
    /// degree `b` less the point's; `weight` is that of the coordinates between that are fixed.
    pub(super) fn run(
        &self,
        slices: &mut [&mut [Four<M::R>]],
        (m, b): (usize, usize),
        weight: Four<M::R>,
    ) {
        let mut offsets = vec![vec![0_usize; b + 1]; m];
        let mut local = Vec::with_capacity(self.simplex.count(self.h + 1, b));
        // Within the smaller lattices of outer points the same point has the same place, whatever the
        // outer point of its degree.
        let members: Vec<(usize, usize, Four<M::R>)> = {
            let mut all = Vec::new();
            let mut s = 0;
            for (e, w) in &self.outer {
                if *e <= b {
                    all.push((s, *e, *w));
                    s += 1;
                }
            }
            all
        };
        self.between(slices, &members, m, b, weight, &mut offsets, &mut local);
    }

    #[allow(clippy::too_many_arguments)]
    fn between(
        &self,
        slices: &mut [&mut [Four<M::R>]],
        members: &[(usize, usize, Four<M::R>)],
        m: usize,
        b: usize,
        weight: Four<M::R>,
        offsets: &mut [Vec<usize>],
        local: &mut Vec<Four<M::R>>,
    ) {
        let Some((mine, rest)) = offsets.split_first_mut() else { return };
        if m == 1 {
            let machine = self.machine;
            machine.run(
                #[inline(always)]
                || self.block(slices, members, b, weight, mine, local),
            );
            return;
        }
        for k in 0..=b {
            for e in 0..=b - k {
                rest[0][e] = mine[e] + self.simplex.start(m, b - e, k);
            }
            let weight = self.machine.run(
                #[inline(always)]
                || M::R::mul(weight, self.lanes.inverse_factorials[k], &self.lanes.moduli),
            );
            self.between(slices, members, m - 1, b - k, weight, rest, local);
        }
    }

    #[inline(always)]
    fn block(
        &self,
        slices: &mut [&mut [Four<M::R>]],
        members: &[(usize, usize, Four<M::R>)],
        b: usize,
        weight: Four<M::R>,
        offsets: &[usize],
        local: &mut Vec<Four<M::R>>,
    ) {
        let Lanes { moduli, inverse_factorials, small } = self.lanes;
        local.clear();
        for (s, e, _) in members {
            if *e <= b {
                // Short: no call to copy it.
                for x in &slices[*s][offsets[*e]..][..b - e + 1] {
                    local.push(*x);
                }
            }
        }
        let h = self.h;
        if b > 0 && h == 2 {
            for k in 0..b {
                let start = self.simplex.start(3, b, k);
                let x = &mut local[start..start + self.simplex.count(2, b - k)];
                differences_along::<M::R>(self.simplex, x, 1, 2, b - k, moduli);
            }
        }
        if b > 0 && h > 0 {
            differences_along::<M::R>(self.simplex, local, 1, h + 1, b, moduli);
        }
        let mut next = 0;
        for (_, e, w) in members {
            if *e <= b {
                let w = M::R::mul(*w, weight, moduli);
                let x = &mut local[next..next + b - e + 1];
                let f = &inverse_factorials[..x.len()];
                for i in 0..x.len() {
                    x[i] = M::R::mul(M::R::mul(x[i], w, moduli), f[i], moduli);
                }
                next += b - e + 1;
            }
        }
        if b > 1 && h == 2 {
            for k in 0..b - 1 {
                let start = self.simplex.start(3, b, k);
                let x = &mut local[start..start + self.simplex.count(2, b - k)];
                conversions_along::<M::R>(self.simplex, x, 2, b - k, moduli, small);
            }
        }
        if b > 1 && h > 0 {
            conversions_along::<M::R>(self.simplex, local, h + 1, b, moduli, small);
        }
        let mut next = 0;
        for (s, e, _) in members {
            if *e <= b {
                for x in &mut slices[*s][offsets[*e]..][..b - e + 1] {
                    *x = local[next];
                    next += 1;
                }
            }
        }
    }
}
