//! Stages by matrix products at every point of a lattice; the lanes are primes.

use super::tabulate::{Evaluate, Images, RowImage};
use super::{Both, Four, Lines, Word, load, repeat, store};
use crate::numeric::residues::{Machine, Moduli, Residues};

/// Stages in the form in which they are applied, all parameters out of `reduce`.
pub(super) struct Products<R: Residues> {
    stages: Vec<Product<R>>,
}

/// The polynomials of a stage, and the affine map after it.
struct Product<R: Residues> {
    neurons: usize,
    /// The coefficients of each neuron, the lowest first; zero above a neuron's degree.
    powers: Vec<Vec<Four<R>>>,
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
        let m = &images.moduli.four;
        let mut all = Vec::with_capacity(stages.len());
        for s in stages {
            let polynomials = &images.polynomials[s];
            let neurons = polynomials.len();
            let mut most = 0;
            for c in polynomials {
                most = most.max(c.len());
            }
            let mut powers = vec![vec![m.words(0); neurons]; most];
            for i in 0..neurons {
                for k in 0..polynomials[i].len() {
                    powers[k][i] = R::reduce(polynomials[i][k], m);
                }
            }
            let rows = &images.rows[s + 1];
            let mut blocks = Vec::with_capacity(rows.len().div_ceil(4));
            for first in (0..rows.len()).step_by(4) {
                let rows = &rows[first..rows.len().min(first + 4)];
                blocks.push(Block::new(rows, neurons, m));
            }
            all.push(Product { neurons, powers, blocks, rows: rows.len() });
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

/// Stages by matrix products at the points of a walk.
pub(super) struct Through<'a, 'o, M: Machine> {
    pub(super) machine: M,
    pub(super) moduli: &'a Both<M::R>,
    pub(super) products: &'a Products<M::R>,
    pub(super) scratch: Scratch<M::R>,
    pub(super) store: Store<'a, 'o, M::R>,
    /// The point that comes next.
    pub(super) next: usize,
}

pub(super) struct Scratch<R: Residues> {
    z: Vec<Four<R>>,
    y: Vec<Four<R>>,
}

impl<R: Residues> Default for Scratch<R> {
    fn default() -> Self {
        Scratch { z: Vec::new(), y: Vec::new() }
    }
}

/// Where the values go: a row of the lattice's neurons a point, or a list an output.
pub(super) enum Store<'a, 'o, R: Residues> {
    Rows(&'a mut [Four<R>]),
    Outputs(&'a mut [&'o mut [Four<R>]]),
}

impl<M: Machine> Evaluate<M> for Through<'_, '_, M> {
    fn evaluate(&mut self, rows: &[Lines<M::R>], count: usize) {
        let machine = self.machine;
        machine.run(
            #[inline(always)]
            || {
                let v = self.products.stages[0].neurons;
                for point in 0..count {
                    self.point(&rows[0][point * v..][..v]);
                }
            },
        );
    }
}

impl<M: Machine> Through<'_, '_, M> {
    #[inline(always)]
    fn point(&mut self, row: &[Four<M::R>]) {
        let m = self.moduli;
        let Scratch { z, y } = &mut self.scratch;
        let zero = [Word::<M>::default(); 4];
        z.resize(row.len(), zero);
        for i in 0..row.len() {
            z[i] = M::R::reduce(row[i], &m.four);
        }
        for s in 0..self.products.stages.len() {
            let product = &self.products.stages[s];
            y.resize(product.neurons, zero);
            z.resize(product.neurons.max(product.blocks.len() * 4), zero);
            product.polynomials::<M>(z, y, m);
            if M::WIDE {
                product.rows::<8, 2>(y, z, &m.eight);
            } else {
                product.rows::<4, 4>(y, z, &m.four);
            }
            z.truncate(product.rows);
        }
        match &mut self.store {
            Store::Rows(rows) => {
                let to = &mut rows[self.next * z.len()..][..z.len()];
                for i in 0..to.len() {
                    to[i] = z[i];
                }
            }
            Store::Outputs(outputs) => {
                for o in 0..z.len() {
                    outputs[o][self.next] = z[o];
                }
            }
        }
        self.next += 1;
    }
}

impl<R: Residues> Product<R> {
    /// The polynomials at z, whose parts came out of `reduce`.
    ///
    /// By the bounds of [`Residues`] every product is at most 0.84 p, so every sum 1.34 p.
    #[inline(always)]
    fn polynomials<M: Machine<R = R>>(&self, z: &[Four<R>], y: &mut [Four<R>], m: &Both<R>) {
        let mut i = 0;
        if M::WIDE {
            while i + 2 <= self.neurons {
                self.polynomial::<8>(z, y, i, &m.eight);
                i += 2;
            }
        }
        for i in i..self.neurons {
            self.polynomial::<4>(z, y, i, &m.four);
        }
    }

    #[inline(always)]
    fn polynomial<const W: usize>(
        &self,
        z: &[Four<R>],
        y: &mut [Four<R>],
        i: usize,
        m: &Moduli<R, W>,
    ) {
        let (z, powers) = (load::<R, W>(z, i), &self.powers[..]);
        let mut sum = load::<R, W>(&powers[powers.len() - 1], i);
        for k in (0..powers.len() - 1).rev() {
            sum = R::add(R::mul(sum, z, m), load::<R, W>(&powers[k], i), m);
        }
        store::<R, W>(y, i, sum);
    }

    /// The affine map at y, of at most 1.34 p, out of `reduce`: 1.34 times 0.5 is below 0.9. Four
    /// rows are `N` vectors of `W`.
    #[inline(always)]
    fn rows<const W: usize, const N: usize>(
        &self,
        y: &[Four<R>],
        z: &mut [Four<R>],
        m: &Moduli<R, W>,
    ) {
        for b in 0..self.blocks.len() {
            let block = &self.blocks[b];
            let mut sums = [[R::Word::default(); W]; N];
            for r in 0..N {
                sums[r] = load::<R, W>(&block.bias, r * (W / 4));
            }
            let count = block.columns.len();
            let weights = &block.weights[..count];
            for first in (0..count).step_by(8) {
                for k in first..count.min(first + 8) {
                    let y = repeat::<R, W>(y[block.columns[k] as usize]);
                    for r in 0..N {
                        let w = load::<R, W>(&weights[k], r * (W / 4));
                        sums[r] = R::add(sums[r], R::mul(w, y, m), m);
                    }
                }
                // What came out of `reduce` and eight terms of 0.84 p: below 8 p.
                for r in 0..N {
                    sums[r] = R::reduce(sums[r], m);
                }
            }
            for r in 0..N {
                store::<R, W>(z, 4 * b + r * (W / 4), sums[r]);
            }
        }
    }
}
