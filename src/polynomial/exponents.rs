//! Graded lexicographic order of monomials: 1, x1, x2, x1^2, x1 x2, x2^2, ...
//!
//! Ascending in total degree, and within a degree the higher power of the earlier
//! variable first. The order is compatible with products: multiplying two monomials
//! by a third does not change which comes first.

use std::cmp::Ordering;

use num_bigint::BigUint;
use num_traits::{One, Zero};

/// Compares two monomials of the same variables in graded order.
///
/// ```
/// use slnn::polynomial::graded_order;
/// assert!(graded_order(&[0, 1], &[2, 0]).is_lt()); // x2 before x1^2
/// assert!(graded_order(&[2, 0], &[1, 1]).is_lt()); // x1^2 before x1 x2
/// ```
pub fn graded_order(a: &[u32], b: &[u32]) -> Ordering {
    total_degree(a).cmp(&total_degree(b)).then_with(|| b.cmp(a))
}

/// The sum of the exponents.
pub fn total_degree(exponents: &[u32]) -> u64 {
    exponents.iter().map(|&e| u64::from(e)).sum()
}

/// The number of monomials in `variables` variables of total degree at most `degree`,
/// C(variables + degree, degree).
///
/// Cost: the smaller of the two numbers in products of a long integer by a word.
pub fn monomial_count(variables: usize, degree: u32) -> BigUint {
    count(variables as u64, u64::from(degree))
}

/// The position of a monomial in graded order, 0 for the constant.
///
/// Cost: one count of monomials a variable.
pub fn graded_rank(exponents: &[u32]) -> BigUint {
    // Before it come all monomials of lower degree; then, variable by variable, those
    // that agree so far and have a higher power here: as many as there are monomials of
    // the later variables of a degree below what this power leaves them.
    let mut rest = total_degree(exponents);
    let mut rank = count_below(exponents.len() as u64, rest);
    for (i, &exponent) in exponents.iter().enumerate() {
        rest -= u64::from(exponent);
        rank += count_below((exponents.len() - 1 - i) as u64, rest);
    }
    rank
}

/// The number of monomials of total degree below `degree`.
fn count_below(variables: u64, degree: u64) -> BigUint {
    degree.checked_sub(1).map_or_else(BigUint::zero, |highest| count(variables, highest))
}

fn count(variables: u64, degree: u64) -> BigUint {
    let (small, large) = (variables.min(degree), variables.max(degree));
    let mut count = BigUint::one();
    for k in 1..=small {
        // After this step the count is C(large + k, k), an integer.
        count *= BigUint::from(large) + k;
        count /= k;
    }
    count
}

/// All monomials of total degree at most `degree`, in graded order.
///
/// There are [`monomial_count`] of them; each is a fresh vector of length `variables`.
pub fn monomials(variables: usize, degree: u32) -> impl Iterator<Item = Vec<u32>> {
    let mut next = Some(vec![0; variables]);
    std::iter::from_fn(move || {
        let current = next.take()?;
        let mut following = current.clone();
        next = (advance(&mut following) && total_degree(&following) <= u64::from(degree))
            .then_some(following);
        Some(current)
    })
}

/// Goes to the next monomial in graded order; false without variables or beyond `u32`.
pub(super) fn advance(exponents: &mut [u32]) -> bool {
    let Some((last, earlier)) = exponents.split_last_mut() else { return false };
    let Some(more) = last.checked_add(1) else { return false };
    *last = 0;
    match earlier.iter().rposition(|&e| e > 0) {
        // Move one power from the last variable that has any to the one after it, which
        // also takes what the final variable held.
        Some(i) => {
            earlier[i] -= 1;
            exponents[i + 1] = more;
        }
        // All in the final variable: the first monomial of the next degree.
        None => exponents[0] = more,
    }
    true
}

/// Positions in graded order by table, for polynomials whose monomials can be counted in memory.
///
/// With the suffix sums `r_i = e_i + ... + e_n` of its exponents, before a monomial come, for each
/// `i`, the monomials of the `n - i + 1` variables from `i` on of a degree below `r_i`.
#[derive(Clone, Debug)]
pub(crate) struct Ranks {
    variables: usize,
    degree: u32,
    /// `below[m][r]`: the number of monomials in `m` variables of total degree below `r`.
    below: Vec<Vec<usize>>,
}

impl Ranks {
    /// Tables for monomials of total degree up to `degree`; `None` where their number leaves `usize`
    /// or the table would have more than `largest` entries.
    pub(crate) fn new(variables: usize, degree: u32, largest: usize) -> Option<Self> {
        let length = usize::try_from(degree).ok()?.checked_add(2)?;
        variables.checked_add(1)?.checked_mul(length).filter(|size| *size <= largest)?;
        let mut below = vec![vec![1; length]];
        below[0][0] = 0;
        for m in 1..=variables {
            let mut row = vec![0_usize; length];
            for r in 1..length {
                row[r] = row[r - 1].checked_add(below[m - 1][r])?;
            }
            below.push(row);
        }
        Some(Ranks { variables, degree, below })
    }

    /// The degree up to which there are positions.
    pub(crate) fn degree(&self) -> u32 {
        self.degree
    }

    /// The number of monomials.
    pub(crate) fn count(&self) -> usize {
        self.below[self.variables][self.degree as usize + 1]
    }

    /// The number of monomials in `m` variables of total degree below `r`, at most the degree plus 1.
    pub(super) fn below(&self, m: usize, r: u32) -> usize {
        self.below[m][r as usize]
    }

    /// The position of a monomial of total degree up to [`Ranks::degree`].
    pub(crate) fn rank(&self, exponents: &[u32]) -> usize {
        let mut suffix = 0;
        let mut rank = 0;
        for (i, e) in exponents.iter().rev().enumerate() {
            suffix += *e as usize;
            rank += self.below[i + 1][suffix];
        }
        rank
    }

    /// The monomial at a position below [`Ranks::count`].
    pub(crate) fn monomial(&self, mut position: usize, exponents: &mut [u32]) {
        let mut last = self.below[self.variables].partition_point(|b| *b <= position) - 1;
        position -= self.below[self.variables][last];
        for (i, e) in exponents.iter_mut().enumerate() {
            let later = self.variables - 1 - i;
            // No variable is left after the final one.
            let next = match later {
                0 => 0,
                _ => self.below[later][..=last].partition_point(|b| *b <= position) - 1,
            };
            position -= self.below[later][next];
            *e = (last - next) as u32;
            last = next;
        }
    }
}
