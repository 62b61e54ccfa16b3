//! The loops: a layer of truncated series, [`LANES`] neurons at a time.
//!
//! A series is an array by monomial, so that one operation serves all neurons of a block. An affine
//! layer is a dense product; a SLAF is composed by the scheme of Paterson and Stockmeyer (*On the
//! number of nonscalar multiplications necessary to evaluate polynomials*, 1973) after the constant of
//! its argument has been moved into its coefficients (Taylor's shift). Without a constant u^k has no
//! monomial below degree k, so powers above the truncation vanish and products have few pairs. Where
//! the argument is linear the powers are known: the coefficient of x^a in (w . x)^k is
//! k! / (a_1! ... a_n!) w^a.

use super::arithmetic::{Arithmetic, Job, SETTLE, dispatch};
use super::table::{Table, homogeneous};

/// One block of neurons: for every monomial up to some degree a coefficient a neuron.
pub(super) type Block<A> = Vec<<A as Arithmetic>::Many>;

/// sum_j weights[j] inputs[j] + bias, for one block of outputs; `inputs` are the blocks of all
/// `weights.len()` input neurons.
pub(super) fn affine<A: Arithmetic>(
    arithmetic: A,
    inputs: &[Block<A>],
    weights: &[A::Many],
    bias: A::Many,
    lanes: usize,
) -> Block<A> {
    let mut output = vec![A::ZERO; inputs.first().map_or(1, Vec::len)];
    dispatch(Affine { arithmetic, inputs, weights, bias, lanes, output: &mut output });
    output
}

struct Affine<'a, A: Arithmetic> {
    arithmetic: A,
    inputs: &'a [Block<A>],
    weights: &'a [A::Many],
    bias: A::Many,
    lanes: usize,
    output: &'a mut [A::Many],
}

impl<A: Arithmetic> Job for Affine<'_, A> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Affine { arithmetic, inputs, weights, bias, lanes, output } = self;
        const ROWS: usize = 3;
        let mut first = 0;
        let mut tiles = output.chunks_exact_mut(ROWS);
        for tile in &mut tiles {
            let mut sums = [arithmetic.begin(); ROWS];
            if first == 0 {
                sums[0] = arithmetic.resume(bias);
            }
            let mut pending = 0;
            for (input, weights) in inputs.iter().zip(weights.chunks(lanes)) {
                let rows: [&A::Many; ROWS] = std::array::from_fn(|r| &input[first + r]);
                for (lane, weight) in weights.iter().enumerate() {
                    for r in 0..ROWS {
                        arithmetic.add_scaled::<FUSED>(&mut sums[r], A::get(rows[r], lane), weight);
                    }
                }
                pending += lanes;
                if pending + lanes > SETTLE {
                    for sum in &mut sums {
                        arithmetic.settle(sum);
                    }
                    pending = 0;
                }
            }
            for r in 0..ROWS {
                arithmetic.settle(&mut sums[r]);
                tile[r] = arithmetic.end(sums[r]);
            }
            first += ROWS;
        }
        for (r, out) in tiles.into_remainder().iter_mut().enumerate() {
            let row = first + r;
            let mut sum = if row == 0 { arithmetic.resume(bias) } else { arithmetic.begin() };
            let mut pending = 0;
            for (input, weights) in inputs.iter().zip(weights.chunks(lanes)) {
                for (lane, weight) in weights.iter().enumerate() {
                    arithmetic.add_scaled::<FUSED>(&mut sum, A::get(&input[row], lane), weight);
                }
                pending += lanes;
                if pending + lanes > SETTLE {
                    arithmetic.settle(&mut sum);
                    pending = 0;
                }
            }
            arithmetic.settle(&mut sum);
            *out = arithmetic.end(sum);
        }
    }
}

/// A factor of a product and the degrees in which it can have monomials.
#[derive(Clone, Copy)]
struct Factor<'a, A: Arithmetic> {
    values: &'a [A::Many],
    low: usize,
    high: usize,
}

/// output = a b + sum of t u, up to degree `high`; a b is a square where `b` is `None`.
struct Product<'a, A: Arithmetic> {
    arithmetic: A,
    table: &'a Table,
    a: Factor<'a, A>,
    b: Option<Factor<'a, A>>,
    /// Coefficients and what they multiply.
    more: &'a [(A::Many, Factor<'a, A>)],
    high: usize,
    output: &'a mut [A::Many],
}

impl<A: Arithmetic> Job for Product<'_, A> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Product { arithmetic, table, a, b, more, high, output } = self;
        let square = b.is_none();
        let b = b.unwrap_or(a);
        for k in 0..=high {
            // The degrees of the divisor that is taken from a.
            let (from, to) =
                (a.low.max(k.saturating_sub(b.high)), a.high.min(k.saturating_sub(b.low)));
            let empty = from > to || k < b.low;
            for c in table.of_degree(k) {
                let mut sum = arithmetic.begin();
                if !empty {
                    let (list, places) = table.divisors(k, c);
                    let range = places[from] - places[0]..places[to + 1] - places[0];
                    let range =
                        if square { range.start..(list.len() / 2).max(range.start) } else { range };
                    // Divisor p times divisor len - 1 - p.
                    let (first, last) = (
                        &list[range.clone()],
                        &list[list.len() - range.end..list.len() - range.start],
                    );
                    let mut chunks = first.chunks(SETTLE);
                    let mut partners = last.rchunks(SETTLE);
                    while let (Some(first), Some(last)) = (chunks.next(), partners.next()) {
                        for (i, j) in first.iter().zip(last.iter().rev()) {
                            arithmetic.add::<FUSED>(
                                &mut sum,
                                &a.values[*i as usize],
                                &b.values[*j as usize],
                            );
                        }
                        arithmetic.settle(&mut sum);
                    }
                    if square {
                        arithmetic.double(&mut sum);
                        if list.len() % 2 == 1 && from <= k / 2 {
                            let root = &a.values[list[list.len() / 2] as usize];
                            arithmetic.add::<FUSED>(&mut sum, root, root);
                            arithmetic.settle(&mut sum);
                        }
                    }
                }
                for more in more.chunks(SETTLE) {
                    for (t, u) in more {
                        if (u.low..=u.high).contains(&k) {
                            arithmetic.add::<FUSED>(&mut sum, t, &u.values[c]);
                        }
                    }
                    arithmetic.settle(&mut sum);
                }
                output[c] = arithmetic.end(sum);
            }
        }
    }
}

/// How a composition goes: to what power tables of powers reach, and what that costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scheme {
    /// Powers up to this one are computed; Horner's rule goes on in it.
    pub step: usize,
    /// Products of coefficients, a neuron.
    pub products: f64,
}

/// The cheapest scheme for a SLAF of degree at least `power` on a series of degree `inner` in
/// `variables` variables, truncated above `outer`; `power` is at most `outer`.
pub(super) fn scheme(variables: usize, power: usize, inner: usize, outer: usize) -> Scheme {
    let sizes: Vec<f64> = (0..=outer).map(|k| homogeneous(variables, k) as f64).collect();
    let all: f64 = sizes.iter().sum();
    if inner <= 1 {
        return Scheme { step: 1, products: 2.0 * all };
    }
    // The number of monomials below each degree.
    let below: Vec<f64> = std::iter::once(0.0)
        .chain(sizes.iter().scan(0.0, |sum, size| {
            *sum += size;
            Some(*sum)
        }))
        .collect();
    let pairs = |a: (usize, usize), b: (usize, usize), high: usize| -> f64 {
        (a.0..=a.1.min(high))
            .map(|i| sizes[i] * (below[b.1.min(high - i) + 1] - below[b.0]).max(0.0))
            .sum()
    };
    let cost = |step: usize| {
        let high = |j: usize| (j * inner).min(outer);
        let powers: f64 = (2..=step)
            .map(|j| match j % 2 {
                0 => pairs((j / 2, high(j / 2)), (j / 2, high(j / 2)), outer) / 2.0,
                _ => pairs((j - 1, high(j - 1)), (1, high(1)), outer),
            })
            .sum();
        let groups = (power.max(1) - 1) / step;
        let mut reached = high(power - groups * step).min(outer - groups * step);
        let mut horner = 0.0;
        for g in (0..groups).rev() {
            let limit = outer - g * step;
            horner += pairs((0, reached), (step, high(step)), limit);
            reached = (reached + high(step)).min(limit);
        }
        powers + horner + power as f64 * all
    };
    // The best step is near the square root.
    let most = (2 * power.isqrt() + 2).min(power.max(1));
    (1..=most).map(|step| Scheme { step, products: cost(step) }).fold(
        Scheme { step: 1, products: f64::INFINITY },
        |best, s| {
            if s.products < best.products { s } else { best }
        },
    )
}

/// sum_k t[k] u^k up to degree `outer`, for one block: u has degree at most `inner` and no constant.
///
/// `t` has at most `outer` + 1 entries, `multinomials` are those of the table in the arithmetic's
/// numbers; they serve where u is linear.
pub(super) fn compose<A: Arithmetic>(
    arithmetic: A,
    table: &Table,
    multinomials: &[A::Number],
    u: &Block<A>,
    inner: usize,
    t: &[A::Many],
    outer: usize,
) -> Block<A> {
    let mut output = vec![A::ZERO; table.len(outer)];
    let power = t.len() - 1;
    if inner <= 1 {
        dispatch(Linear { arithmetic, table, multinomials, u, t, output: &mut output });
        return output;
    }
    let Scheme { step, .. } = scheme(table.variables, power, inner, outer);
    let high = |j: usize| (j * inner).min(outer);
    let mut powers: Vec<Block<A>> = Vec::with_capacity(step);
    let one = [A::ZERO];
    {
        let mut first = u[..table.len(high(1)).min(u.len())].to_vec();
        first.resize(table.len(high(1)), A::ZERO);
        powers.push(first);
    }
    for j in 2..=step {
        let mut next = vec![A::ZERO; table.len(high(j))];
        let factor = |i: usize| Factor { values: &powers[i - 1][..], low: i, high: high(i) };
        let (a, b) =
            if j % 2 == 0 { (factor(j / 2), None) } else { (factor(j - 1), Some(factor(1))) };
        dispatch(Product { arithmetic, table, a, b, more: &[], high: high(j), output: &mut next });
        powers.push(next);
    }
    let factor = |j: usize| Factor { values: &powers[j - 1][..], low: j, high: high(j) };
    let groups = (power.max(1) - 1) / step;
    // What Horner's rule has so far; it will be multiplied by u^step as many times as groups remain.
    let mut sum: Block<A> = Vec::new();
    let mut reached = 0;
    for g in (0..=groups).rev() {
        let limit = outer - g * step;
        let last = if g == groups { power - g * step } else { step - 1 };
        let more: Vec<_> = (1..=last).map(|j| (t[g * step + j], factor(j))).collect();
        let next_reached = match g == groups {
            true => high(last).min(limit),
            false => (reached + high(step)).max(high(last)).min(limit),
        };
        let mut next = vec![A::ZERO; table.len(next_reached)];
        let (a, b) = match g == groups {
            true => (
                Factor { values: &one[..], low: 1, high: 0 },
                Factor { values: &one[..], low: 0, high: 0 },
            ),
            false => (Factor { values: &sum[..], low: 0, high: reached }, factor(step)),
        };
        dispatch(Product {
            arithmetic,
            table,
            a,
            b: Some(b),
            more: &more,
            high: next_reached,
            output: &mut next,
        });
        // u^0 is 1; no other part has a constant.
        next[0] = t[g * step];
        (sum, reached) = (next, next_reached);
    }
    output[..sum.len()].copy_from_slice(&sum);
    output
}

/// sum_k t[k] u^k for linear u.
struct Linear<'a, A: Arithmetic> {
    arithmetic: A,
    table: &'a Table,
    multinomials: &'a [A::Number],
    u: &'a [A::Many],
    t: &'a [A::Many],
    output: &'a mut [A::Many],
}

impl<A: Arithmetic> Job for Linear<'_, A> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Linear { arithmetic, table, multinomials, u, t, output } = self;
        output[0] = t[0];
        let degree = t.len() - 1;
        // First the products w^a of the coefficients of u, each from its parent's.
        for (a, (parent, variable, _)) in table.steps(degree).enumerate() {
            output[a + 1] = match parent {
                0 => u[a + 1],
                _ => {
                    let mut product = arithmetic.begin();
                    arithmetic.add::<FUSED>(&mut product, &output[parent], &u[1 + variable]);
                    arithmetic.settle(&mut product);
                    arithmetic.end(product)
                }
            };
        }
        for k in 1..=degree {
            for a in table.of_degree(k) {
                let mut factor = arithmetic.begin();
                arithmetic.add_scaled::<FUSED>(&mut factor, multinomials[a], &t[k]);
                arithmetic.settle(&mut factor);
                let mut product = arithmetic.begin();
                arithmetic.add::<FUSED>(&mut product, &arithmetic.end(factor), &output[a]);
                arithmetic.settle(&mut product);
                output[a] = arithmetic.end(product);
            }
        }
    }
}
