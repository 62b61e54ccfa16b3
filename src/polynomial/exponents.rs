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
        next = successor(&current).filter(|e| total_degree(e) <= u64::from(degree));
        Some(current)
    })
}

/// The next monomial in graded order; `None` without variables or beyond `u32`.
fn successor(exponents: &[u32]) -> Option<Vec<u32>> {
    let mut next = exponents.to_vec();
    let (last, earlier) = next.split_last_mut()?;
    let tail = std::mem::take(last);
    match earlier.iter().rposition(|&e| e > 0) {
        // Move one power from the last variable that has any to the one after it, which
        // also takes what the final variable held.
        Some(i) => {
            next[i] -= 1;
            next[i + 1] = tail.checked_add(1)?;
        }
        // All in the final variable: the first monomial of the next degree.
        None => next[0] = tail.checked_add(1)?,
    }
    Some(next)
}
