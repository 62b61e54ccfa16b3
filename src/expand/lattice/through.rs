//! Stages by matrix products at every point of a lattice; the lanes are primes.

use super::Four;
use super::tabulate::{Images, Line, RowImage, Table};
use crate::numeric::residues::{Machine, Moduli, Residues};

/// Stages in the form in which they are applied, all parameters out of `reduce`.
pub(super) struct Products<R: Residues> {
    stages: Vec<Product<R>>,
}

/// The polynomials of a stage, and the affine map after it.
struct Product<R: Residues> {
    polynomials: Vec<Vec<Four<R>>>,
    blocks: Vec<Block<R>>,
    rows: usize,
}

/// Four rows of an affine map side by side, so that their sums do not wait for each other: the
/// columns that some of them use, and the weights there.
struct Block<R: Residues> {
    bias: [Four<R>; 4],
    columns: Vec<u32>,
    weights: Vec<[Four<R>; 4]>,
}

impl<R: Residues> Products<R> {
    /// For stages of a network; must run under [`Machine::run`].
    #[inline(always)]
    pub(super) fn new(images: &Images<R>, stages: std::ops::Range<usize>) -> Self {
        let m = &images.moduli;
        let mut all = Vec::with_capacity(stages.len());
        for s in stages {
            let mut polynomials = images.polynomials[s].clone();
            for polynomial in &mut polynomials {
                for c in polynomial {
                    *c = R::reduce(*c, m);
                }
            }
            let rows = &images.rows[s + 1];
            let mut blocks = Vec::with_capacity(rows.len().div_ceil(4));
            for first in (0..rows.len()).step_by(4) {
                let rows = &rows[first..rows.len().min(first + 4)];
                blocks.push(Block::new(rows, polynomials.len(), m));
            }
            all.push(Product { polynomials, blocks, rows: rows.len() });
        }
        Products { stages: all }
    }
}

impl<R: Residues> Block<R> {
    #[inline(always)]
    fn new(rows: &[RowImage<R>], inputs: usize, m: &Moduli<R, 4>) -> Self {
        let mut used = vec![false; inputs];
        for row in rows {
            for (j, _) in &row.weights {
                used[*j as usize] = true;
            }
        }
        let mut columns = Vec::with_capacity(inputs);
        for j in 0..inputs {
            if used[j] {
                columns.push(j as u32);
            }
        }
        let zero = [R::Word::default(); 4];
        let mut bias = [zero; 4];
        let mut weights = vec![[zero; 4]; columns.len()];
        for r in 0..rows.len() {
            bias[r] = R::reduce(rows[r].bias, m);
            let mut k = 0;
            for (j, w) in &rows[r].weights {
                // Both ascend, and every column of a row is among those of the block.
                while columns[k] < *j {
                    k += 1;
                }
                weights[k][r] = R::reduce(*w, m);
            }
        }
        Block { bias, columns, weights }
    }
}

/// The line of a walk that evaluates stages by matrix products.
pub(super) struct Through<'a, 'o, M: Machine> {
    pub(super) machine: M,
    pub(super) tables: &'a [Table<M::R>],
    pub(super) products: &'a Products<M::R>,
    pub(super) q: usize,
    pub(super) scratch: Scratch<M::R>,
    pub(super) store: Store<'a, 'o, M::R>,
}

pub(super) struct Scratch<R: Residues> {
    differences: Vec<Four<R>>,
    z: Vec<Four<R>>,
    y: Vec<Four<R>>,
}

impl<R: Residues> Default for Scratch<R> {
    fn default() -> Self {
        Scratch { differences: Vec::new(), z: Vec::new(), y: Vec::new() }
    }
}

/// Where the values go: a row of the lattice's neurons a point, or a list an output.
pub(super) enum Store<'a, 'o, R: Residues> {
    Rows(&'a mut [Four<R>]),
    Outputs(&'a mut [&'o mut [Four<R>]]),
}

impl<M: Machine> Line<M> for Through<'_, '_, M> {
    fn line(&mut self, lower: &[Vec<Four<M::R>>], offset: usize, budget: usize, _: usize) {
        let machine = self.machine;
        machine.run(
            #[inline(always)]
            || self.work(&lower[0], offset, budget),
        );
    }
}

impl<M: Machine> Through<'_, '_, M> {
    #[inline(always)]
    fn work(&mut self, lower: &[Four<M::R>], offset: usize, budget: usize) {
        let table = &self.tables[0];
        let m = &table.moduli;
        let (q, v) = (self.q, table.vectors);
        let Scratch { differences, z, y } = &mut self.scratch;
        let zero = [<M::R as Residues>::Word::default(); 4];
        differences.clear();
        differences.extend_from_slice(&lower[..q * v]);
        for i in 0..differences.len() {
            differences[i] = M::R::reduce(differences[i], m);
        }
        for t in 0..=budget {
            z.clear();
            z.extend_from_slice(&differences[..v]);
            for s in 0..self.products.stages.len() {
                let product = &self.products.stages[s];
                y.resize(product.polynomials.len(), zero);
                product.polynomials(z, y, m);
                z.resize(product.blocks.len() * 4, zero);
                product.rows(y, z, m);
                z.truncate(product.rows);
            }
            match &mut self.store {
                Store::Rows(rows) => {
                    let width = z.len();
                    rows[(offset + t) * width..][..width].copy_from_slice(z);
                }
                Store::Outputs(outputs) => {
                    for o in 0..z.len() {
                        outputs[o][offset + t] = z[o];
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
                    own[i] = M::R::reduce(M::R::add(own[i], next[i], m), m);
                }
            }
        }
    }
}

impl<R: Residues> Product<R> {
    /// The polynomials at z, whose parts came out of `reduce`.
    ///
    /// By the bounds of [`Residues`] every product is at most 0.84 p, so every sum 1.34 p.
    #[inline(always)]
    fn polynomials(&self, z: &[Four<R>], y: &mut [Four<R>], m: &Moduli<R, 4>) {
        for i in 0..y.len() {
            let (z, c) = (z[i], &self.polynomials[i][..]);
            let mut sum = c[c.len() - 1];
            for k in (0..c.len() - 1).rev() {
                sum = R::add(R::mul(sum, z, m), c[k], m);
            }
            y[i] = sum;
        }
    }

    /// The affine map at y, of at most 1.34 p, out of `reduce`: 1.34 times 0.5 is below 0.9.
    #[inline(always)]
    fn rows(&self, y: &[Four<R>], z: &mut [Four<R>], m: &Moduli<R, 4>) {
        for b in 0..self.blocks.len() {
            let block = &self.blocks[b];
            let mut sums = block.bias;
            let count = block.columns.len();
            let weights = &block.weights[..count];
            for first in (0..count).step_by(8) {
                for k in first..count.min(first + 8) {
                    let (y, w) = (y[block.columns[k] as usize], &weights[k]);
                    for r in 0..4 {
                        sums[r] = R::add(sums[r], R::mul(w[r], y, m), m);
                    }
                }
                // What came out of `reduce` and eight terms of 0.84 p: below 8 p.
                for r in 0..4 {
                    sums[r] = R::reduce(sums[r], m);
                }
            }
            for r in 0..4 {
                z[4 * b + r] = sums[r];
            }
        }
    }
}
