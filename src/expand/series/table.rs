//! The monomials of a truncated series and how they multiply.
//!
//! Monomials are numbered in graded order. Those of degree k are, in this order, x_1 times all of
//! degree k - 1, x_2 times those of degree k - 1 without x_1, and so on; so x_v times a monomial in
//! the variables from v on is found by adding a number that depends on v and the degree alone. Two
//! things follow at the cost of an addition each: every monomial's parent (itself over its first
//! variable), and the list of its divisors (from the list of what is left when the first variable
//! is taken out).
//!
//! A list is in ascending degree and symmetric: its entries p and len - 1 - p multiply to the
//! monomial. So one list serves both factors of a product, a range of degrees is a part of it, and
//! its first half is all that a square needs.

use std::ops::Range;

/// Monomials in `variables` variables up to total degree `degree`.
#[derive(Debug)]
pub(super) struct Table {
    pub variables: usize,
    pub degree: usize,
    /// The number of monomials below each degree, up to `degree + 1`.
    starts: Vec<usize>,
    /// For every monomial itself over its first variable; 0 for 1.
    parents: Vec<u32>,
    /// For every monomial its first variable; 0 for 1.
    first: Vec<u32>,
    /// For every monomial the power of its first variable.
    power: Vec<u32>,
    products: Option<Products>,
}

#[derive(Debug)]
struct Products {
    /// The divisors of every monomial, one list after the other.
    divisors: Vec<u32>,
    /// Where the list of a monomial begins, and then where its divisors of degree 1, 2, ... and
    /// beyond do: k + 2 numbers for degree k.
    places: Vec<usize>,
    /// Where the numbers in `places` of each degree begin.
    rows: Vec<usize>,
}

/// The number of monomials of degree exactly `k` in `n` variables, saturating.
pub(super) fn homogeneous(n: usize, k: usize) -> u128 {
    match n {
        0 => u128::from(k == 0),
        _ => crate::expand::plan::dense_terms(n - 1, k as u128),
    }
}

impl Table {
    /// The table, with the lists of divisors if products are asked for.
    ///
    /// Time and memory: a few numbers a monomial, and one for each of the C(2n + Q, Q) pairs of
    /// monomials whose product has degree at most Q. The caller has seen to it that both fit.
    pub fn new(variables: usize, degree: usize, products: bool) -> Self {
        let degree = if variables == 0 { 0 } else { degree };
        let mut table = Table {
            variables,
            degree,
            starts: vec![0, 1],
            parents: vec![0],
            first: vec![0],
            power: vec![0],
            products: None,
        };
        // What is added to the number of a monomial in the variables from v on when it is
        // multiplied by x_v, by the degree of the product and v.
        let mut shifts: Vec<Vec<usize>> = vec![Vec::new()];
        for k in 1..=degree {
            let (below, start) = (table.starts[k - 1], table.starts[k]);
            let mut shift = Vec::with_capacity(variables);
            let mut tail = below;
            for v in 0..variables {
                // Those of degree k - 1 in the variables from v on: a tail of their degree.
                while k > 1 && tail < start && (table.first[tail] as usize) < v {
                    tail += 1;
                }
                shift.push(table.parents.len() - tail);
                for a in tail..start {
                    let again = k > 1 && table.first[a] as usize == v;
                    table.power.push(if again { table.power[a] + 1 } else { 1 });
                    table.parents.push(a as u32);
                    table.first.push(v as u32);
                }
            }
            shifts.push(shift);
            table.starts.push(table.parents.len());
        }
        if products {
            table.products = Some(table.multiply(&shifts));
        }
        table
    }

    fn multiply(&self, shifts: &[Vec<usize>]) -> Products {
        let pairs = crate::expand::plan::dense_terms(2 * self.variables, self.degree as u128);
        let mut divisors: Vec<u32> = Vec::with_capacity(usize::try_from(pairs).unwrap_or(0));
        let mut places = Vec::new();
        let mut rows = Vec::with_capacity(self.degree + 1);
        let mut moves = Vec::new();
        for k in 0..=self.degree {
            rows.push(places.len());
            for c in self.of_degree(k) {
                let (v, power) = (self.first[c] as usize, self.power[c] as usize);
                // c = x_v^power rest.
                let mut rest = c;
                for _ in 0..power {
                    rest = self.parents[rest] as usize;
                }
                let rest_degree = k - power;
                let rest_row =
                    rows[rest_degree] + (rest - self.starts[rest_degree]) * (rest_degree + 2);
                for d in 0..=k {
                    places.push(divisors.len());
                    if k == 0 {
                        divisors.push(0);
                        continue;
                    }
                    // x_v^i times a divisor of the rest of degree d - i.
                    for i in d.saturating_sub(rest_degree)..=power.min(d) {
                        let from = d - i;
                        let list = places[rest_row + from]..places[rest_row + from + 1];
                        let shift: usize = (1..=i).map(|t| shifts[from + t][v]).sum();
                        moves.push((list, shift));
                    }
                    for (list, shift) in moves.drain(..) {
                        divisors.reserve(list.len());
                        for p in list {
                            divisors.push(divisors[p] + shift as u32);
                        }
                    }
                }
                places.push(divisors.len());
            }
        }
        Products { divisors, places, rows }
    }

    /// The number of monomials up to degree `k`.
    pub fn len(&self, k: usize) -> usize {
        self.starts[k.min(self.degree) + 1]
    }

    /// The monomials of degree k.
    pub fn of_degree(&self, k: usize) -> Range<usize> {
        self.starts[k]..self.starts[k + 1]
    }

    /// For every monomial from the first of degree 1 on: its parent, its first variable, and that
    /// one's power.
    pub fn steps(&self, degree: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (1..self.len(degree))
            .map(|a| (self.parents[a] as usize, self.first[a] as usize, self.power[a] as usize))
    }

    /// The multinomial coefficients k! / (a_1! ... a_n!) by monomial, exact up to 2^53 and beyond it
    /// within a relative error of 2 k 2^-53.
    pub fn multinomials(&self) -> Vec<f64> {
        let mut values = vec![1.0; self.len(self.degree)];
        for k in 1..=self.degree {
            for a in self.of_degree(k) {
                // The quotient is an integer; below 2^53 the product may already be above it.
                let (parent, power) = (values[self.parents[a] as usize], f64::from(self.power[a]));
                let product = parent * k as f64;
                values[a] =
                    if product <= EXACT { product / power } else { multinomial(parent, k, power) };
            }
        }
        values
    }

    /// The list of divisors of monomial c of degree k, and where in it those of degree d begin.
    #[inline(always)]
    pub fn divisors(&self, k: usize, c: usize) -> (&[u32], &[usize]) {
        let Some(products) = &self.products else { return (&[], &[]) };
        let row = products.rows[k] + (c - self.starts[k]) * (k + 2);
        let places = &products.places[row..row + k + 2];
        (&products.divisors[places[0]..places[k + 1]], places)
    }

    /// The largest number of divisors of a monomial of degree k.
    pub fn longest(&self, k: usize) -> usize {
        if self.products.is_none() {
            return 1;
        }
        self.of_degree(k).map(|c| self.divisors(k, c).0.len()).max().unwrap_or(1)
    }
}

/// 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// parent k / power, exact where the result is below 2^53.
fn multinomial(parent: f64, k: usize, power: f64) -> f64 {
    if parent <= EXACT {
        // All three are integers, the product is below 2^117.
        return (parent as u128 * k as u128 / power as u128) as f64;
    }
    parent * k as f64 / power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polynomial::{graded_rank, monomials};
    use num_traits::ToPrimitive;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tables_are_what_the_exponents_say(n in 1_usize..5, degree in 0_usize..7) {
            let table = Table::new(n, degree, true);
            let all: Vec<_> = monomials(n, degree as u32).collect();
            prop_assert_eq!(table.len(degree), all.len());
            let rank = |e: &[u32]| graded_rank(e).to_usize().unwrap();
            let multinomials = table.multinomials();
            for (a, (parent, first, power)) in table.steps(degree).enumerate() {
                let e = &all[a + 1];
                prop_assert_eq!(e.iter().position(|&e| e > 0), Some(first));
                prop_assert_eq!(e[first] as usize, power);
                let mut over = e.clone();
                over[first] -= 1;
                prop_assert_eq!(rank(&over), parent);
                let factorial = |k: u32| (1..=k).map(f64::from).product::<f64>();
                let expected = e.iter().fold(factorial(e.iter().sum()), |m, &e| m / factorial(e));
                prop_assert_eq!(multinomials[a + 1], expected);
            }
            for k in 0..=degree {
                for c in table.of_degree(k) {
                    let (list, places) = table.divisors(k, c);
                    let mut seen = std::collections::BTreeSet::new();
                    for (p, &a) in list.iter().enumerate() {
                        let b = list[list.len() - 1 - p] as usize;
                        let sum: Vec<u32> =
                            all[a as usize].iter().zip(&all[b]).map(|(a, b)| a + b).collect();
                        prop_assert_eq!(&sum, &all[c]);
                        let d = all[a as usize].iter().sum::<u32>() as usize;
                        let place = places[0] + p;
                        prop_assert!(places[d] <= place && place < places[d + 1]);
                        seen.insert(a);
                    }
                    let count: u32 = all[c].iter().map(|e| e + 1).product();
                    prop_assert_eq!(seen.len(), count as usize);
                    prop_assert_eq!(list.len(), count as usize);
                    prop_assert!(table.longest(k) >= list.len());
                }
            }
        }
    }
}
