//! Folding: any SLAF basis, with its frozen statistics, into monomial coefficients, exactly.

use ndarray::Array2;
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Pow, Zero};

use crate::network::layer::{Basis, Family, Slaf};
use crate::numeric::Dyadic;
use crate::numeric::odd::common_integer;
use crate::polynomial::Univariate;

impl Slaf {
    /// The polynomial that each of `width` neurons computes, in powers of its pre-activation, exactly.
    ///
    /// For the normalised basis `sum_k c_k (z^k - m_k) s_k` this is `a_k = c_k s_k` and
    /// `a_0 = c_0 - sum_k a_k m_k`; an orthogonal basis is built by its three-term recurrence
    /// in `t = (z - centre) scale`. Cost: O(degree^2) operations on exact numbers a neuron, of
    /// O(degree) words for an orthogonal basis.
    ///
    /// # Panics
    /// When the SLAF does not serve `width` neurons (a [`Network`](crate::Network) checks this).
    pub fn fold(&self, width: usize) -> Vec<Univariate<BigRational>> {
        assert!(self.check_width(width).is_ok(), "a slaf that does not serve {width} neurons");
        let coefficients = self.coefficients().to_exact();
        let row = |i: usize| {
            let row = if coefficients.nrows() == 1 { 0 } else { i };
            coefficients.row(row).to_vec()
        };
        match self.basis() {
            Basis::Monomial => (0..width).map(|i| Univariate::new(row(i))).collect(),
            Basis::NormalisedMonomial { mean, scale } => {
                let (mean, scale) = (mean.to_exact(), scale.to_exact());
                (0..width).map(|i| fold_normalised(row(i), &mean, &scale, i)).collect()
            }
            Basis::Orthogonal { family, centre, scale } => {
                let (centre, scale) = (centre.to_exact(), scale.to_exact());
                let rows: Vec<_> = (0..coefficients.nrows()).map(row).collect();
                let places: Vec<_> = centre.into_iter().zip(scale).collect();
                fold_orthogonal(*family, &rows, &places)
            }
        }
    }

    /// About how many operations on words [`Slaf::fold`] takes for `width` neurons of an orthogonal
    /// basis: half of the square of the degree for each neuron, on integers that grow by the bits of
    /// centre and scale with every degree.
    pub(crate) fn fold_words(&self, width: usize) -> f64 {
        let Basis::Orthogonal { centre, scale, .. } = self.basis() else { return 0.0 };
        let bits = |x: &BigRational| (x.numer().bits() + x.denom().bits()) as f64;
        let of_neuron = |(centre, scale): (&BigRational, &BigRational)| bits(centre) + bits(scale);
        let (centre, scale) = (centre.to_exact(), scale.to_exact());
        let each = centre.iter().zip(&scale).map(of_neuron).sum::<f64>() / centre.len() as f64;
        width as f64 * (self.degree() as f64).powi(3) * each / 128.0
    }
}

fn fold_normalised(
    mut coefficients: Vec<BigRational>,
    mean: &Array2<BigRational>,
    scale: &Array2<BigRational>,
    neuron: usize,
) -> Univariate<BigRational> {
    for k in 1..coefficients.len() {
        let folded = &coefficients[k] * &scale[(neuron, k - 1)];
        let constant = &folded * &mean[(neuron, k - 1)];
        coefficients[0] -= constant;
        coefficients[k] = folded;
    }
    Univariate::new(coefficients)
}

/// `places` are centre and scale of each neuron, `rows` the coefficients of each or of all.
fn fold_orthogonal(
    family: Family,
    rows: &[Vec<BigRational>],
    places: &[(BigRational, BigRational)],
) -> Vec<Univariate<BigRational>> {
    let over_one_denominator = |row: &Vec<BigRational>| {
        let common = row.iter().fold(BigInt::one(), |d, c| common_integer(d, c.denom()));
        let row = row.iter().map(|c| c.numer() * (&common / c.denom())).collect();
        (row, common)
    };
    let (rows, denominators): (Vec<_>, Vec<_>) = rows.iter().map(over_one_denominator).unzip();
    let in_t = in_powers_of_t(family, &rows);
    let all = places.iter().zip(in_t.iter().zip(&denominators).cycle());
    all.map(|((centre, scale), (in_t, denominator))| {
        in_powers_of_z(in_t, denominator, centre, scale)
    })
    .collect()
}

/// A polynomial with dyadic coefficients in `t = (z - centre) scale`, in powers of z.
///
/// With `scale = S / Q`, `centre = C / R` and y = R z it is
/// `sum_j p_j S^j (Q R)^(d-j) (y - C)^j / (Q R)^d`: integers, shifted by C in sums and products by C
/// alone, without a greatest common divisor on the way.
fn in_powers_of_z(
    in_t: &[Dyadic],
    denominator: &BigInt,
    centre: &BigRational,
    scale: &BigRational,
) -> Univariate<BigRational> {
    let degree = in_t.len() - 1;
    let twos = in_t.iter().map(Dyadic::exponent).min().unwrap_or(0);
    let common = PowerOfTwoTimes::new(scale.denom() * centre.denom());
    let mut power = BigInt::one();
    let mut shifted = Vec::with_capacity(degree + 1);
    for (j, p) in in_t.iter().enumerate() {
        let integer = p.mantissa() << (p.exponent() - twos).unsigned_abs();
        shifted.push(common.power_times(degree - j, integer * &power));
        power *= scale.numer();
    }
    if !centre.is_zero() {
        for i in 0..degree {
            for j in (i..degree).rev() {
                let product = &shifted[j + 1] * centre.numer();
                shifted[j] -= product;
            }
        }
    }
    let below = PowerOfTwoTimes::new(common.power_times(degree, denominator.clone()));
    let above = PowerOfTwoTimes::new(centre.denom().clone());
    let quotient = |(i, integer): (usize, BigInt)| {
        let numerator = above.power_times(i, integer);
        let exponent = twos - below.twos as i64;
        if below.odd.is_one() {
            return Dyadic::new(numerator, exponent).to_rational();
        }
        // Of two long numbers, the second short where it can be.
        let divisor = (&numerator % &below.odd).gcd(&below.odd);
        let numerator = Dyadic::new(numerator / &divisor, exponent).to_rational();
        let (above, twos) = numerator.into_raw();
        BigRational::new_raw(above, twos * (&below.odd / divisor))
    };
    Univariate::new(shifted.into_iter().enumerate().map(quotient).collect())
}

/// A positive integer `odd 2^twos`: what is multiplied by powers of two alone is shifted.
struct PowerOfTwoTimes {
    odd: BigInt,
    twos: u64,
}

impl PowerOfTwoTimes {
    fn new(x: BigInt) -> Self {
        let twos = x.trailing_zeros().unwrap_or(0);
        PowerOfTwoTimes { odd: x >> twos, twos }
    }

    /// `x` times the power `n` of this integer.
    fn power_times(&self, n: usize, x: BigInt) -> BigInt {
        let shifted = x << (self.twos * n as u64);
        if self.odd.is_one() { shifted } else { shifted * Pow::pow(&self.odd, n) }
    }
}

/// For each of `rows`, the sum of the elements times its integers, in powers of t: the elements of
/// every family have dyadic coefficients, though Legendre's recurrence divides.
fn in_powers_of_t(family: Family, rows: &[Vec<BigInt>]) -> Vec<Vec<Dyadic>> {
    let terms = rows.first().map_or(0, Vec::len);
    let mut sums = vec![vec![Dyadic::zero(); terms]; rows.len()];
    let mut previous = Vec::new();
    let mut current = vec![Dyadic::one()];
    for k in 0..terms {
        for (sum, row) in sums.iter_mut().zip(rows) {
            let factor = Dyadic::from(row[k].clone());
            // Every element is even or odd.
            for j in (k % 2..=k).step_by(2).filter(|_| !factor.is_zero()) {
                sum[j] += &(&current[j] * &factor);
            }
        }
        let next = element(family, k, &previous, &current);
        previous = std::mem::replace(&mut current, next);
    }
    sums
}

/// Element k + 1 of a family from those before it, in powers of t.
fn element(family: Family, k: usize, previous: &[Dyadic], current: &[Dyadic]) -> Vec<Dyadic> {
    let ((a, b), divisor) = match k {
        0 => ((family.first(), 0), 1),
        // The degree is at most 2^20 (checked on construction).
        k => family.recurrence(k as u32),
    };
    let (a, b) = (Dyadic::from(i64::from(a)), Dyadic::from(i64::from(b)));
    let mut next = vec![Dyadic::zero(); k + 2];
    for j in (1 - k % 2..=k + 1).step_by(2) {
        let mut x = if j > 0 { &current[j - 1] * &a } else { Dyadic::zero() };
        if let Some(y) = previous.get(j) {
            x -= &(y * &b);
        }
        let twos = divisor.trailing_zeros();
        next[j] = Dyadic::new(x.mantissa() / (divisor >> twos), x.exponent() - i64::from(twos));
    }
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum of the elements by their recurrence, on polynomials in z.
    fn naive(
        family: Family,
        coefficients: &[BigRational],
        centre: &BigRational,
        scale: &BigRational,
    ) -> Univariate<BigRational> {
        let integer = |n: u32| BigRational::from_integer(BigInt::from(n));
        let t = Univariate::new(vec![-(centre * scale), scale.clone()]);
        let mut previous = Univariate::new(vec![BigRational::one()]);
        let mut current = t.scale(&integer(family.first()));
        let mut sum = Univariate::new(vec![coefficients[0].clone()]);
        for (k, c) in coefficients.iter().enumerate().skip(1) {
            sum = &sum + &current.scale(c);
            let ((a, b), divisor) = family.recurrence(k as u32);
            let next = &(&t * &current).scale(&integer(a)) - &previous.scale(&integer(b));
            let next = next.map(|c| c / BigInt::from(divisor));
            previous = std::mem::replace(&mut current, next);
        }
        sum
    }

    fn any_rational() -> impl Strategy<Value = BigRational> {
        let quotient = |(n, d): (i64, i64)| BigRational::new(BigInt::from(n), BigInt::from(d));
        prop_oneof![
            Just(BigRational::zero()),
            (-99_i64..99, prop::sample::select(vec![1, 2, 3, 8, 12])).prop_map(quotient),
            any::<i64>().prop_map(move |n| quotient((n, 1 << 40))),
        ]
    }

    proptest! {
        #[test]
        fn folding_is_the_recurrence_in_z(
            family in prop::sample::select(vec![
                Family::Chebyshev, Family::Legendre, Family::Hermite,
            ]),
            rows in prop::collection::vec(prop::collection::vec(any_rational(), 9), 1..3),
            terms in 1_usize..=9,
            centre in any_rational(),
            scale in any_rational(),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|row| row[..terms].to_vec()).collect();
            let places = vec![(centre.clone(), scale.clone()); rows.len()];
            let folded = fold_orthogonal(family, &rows, &places);
            for (row, folded) in rows.iter().zip(folded) {
                prop_assert_eq!(folded, naive(family, row, &centre, &scale));
            }
        }
    }
}
