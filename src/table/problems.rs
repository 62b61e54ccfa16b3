//! Tables that need no file: made by a formula, or embedded in the library.
//!
//! The random ones draw from ChaCha8: the same seed gives the same table.
//!
//! ```
//! use slnn::table::problems;
//!
//! let xor = problems::xor();
//! assert_eq!(xor.targets().column(0).to_vec(), [0.0, 1.0, 1.0, 0.0]);
//! ```

use std::collections::BTreeSet;
use std::f64::consts::PI;
use std::ops::RangeInclusive;

use ndarray::{Array2, array};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::split::below;
use super::{ReadOptions, Table, csv, numbered_names};
use crate::error::{Error, Result};

/// Exclusive or on {0, 1}: 4 rows, inputs `x1`, `x2`, target `y`.
pub fn xor() -> Table {
    let inputs = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    let targets = array![[0.0], [1.0], [1.0], [0.0]];
    Table::new(inputs, targets, numbered_names(2), vec!["y".into()], "built-in: XOR")
        .expect("a fixed table")
}

/// Two spirals: `2 points_per_class` rows, inputs `x1`, `x2`, target `y` 0 or 1.
///
/// A point of class 0 is `(-cos(2n) n + 0.1 U, sin(2n) n + 0.1 U)` with
/// `n = sqrt(U) 780 2 pi / 360`, every `U` uniform on [0, 1); its negative is a point of class 1.
/// The formula is that of the SLAF authors' repository.
///
/// # Errors
/// When `points_per_class` is 0 or the table cannot be held.
pub fn two_spirals(points_per_class: usize, seed: u64) -> Result<Table> {
    const NAME: &str = "built-in: two spirals";
    let rows = points_per_class.checked_mul(2).ok_or_else(|| too_large(NAME))?;
    let mut inputs = zeros(rows, 2, NAME)?;
    let mut targets = zeros(rows, 1, NAME)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for i in 0..points_per_class {
        let n = uniform(&mut rng).sqrt() * 780.0 * 2.0 * PI / 360.0;
        let x1 = -(2.0 * n).cos() * n + 0.1 * uniform(&mut rng);
        let x2 = (2.0 * n).sin() * n + 0.1 * uniform(&mut rng);
        let j = points_per_class + i;
        (inputs[[i, 0]], inputs[[i, 1]]) = (x1, x2);
        (inputs[[j, 0]], inputs[[j, 1]]) = (-x1, -x2);
        targets[[j, 0]] = 1.0;
    }
    Table::new(inputs, targets, numbered_names(2), vec!["y".into()], NAME)
}

/// Sparse polynomial regression: inputs from N(0, 1), and `y` the sum of `monomials` different
/// monomials, each with coefficient 1 and a total degree in `degrees`.
///
/// Returns the table and the exponents of the monomials, ascending, one entry an input. For each
/// monomial a degree d is drawn, and then one of the C(inputs + d - 1, d) of that degree; all are
/// equally likely, both times.
///
/// # Errors
/// When a count is 0, there are fewer monomials than asked for, the table cannot be held, or
/// a value is out of range.
pub fn sparse_polynomial(
    inputs: usize,
    monomials: usize,
    degrees: RangeInclusive<usize>,
    rows: usize,
    seed: u64,
) -> Result<(Table, Vec<Vec<u32>>)> {
    const NAME: &str = "built-in: sparse polynomial";
    let (lowest, highest) = (*degrees.start(), *degrees.end());
    let mut available = 0u128;
    for degree in degrees {
        // No further than needed: where there are too few, this is the number of all.
        if inputs == 0 || available >= monomials as u128 {
            break;
        }
        available = available.saturating_add(count_monomials(inputs, degree));
    }
    if inputs == 0 || lowest == 0 || monomials == 0 || monomials as u128 > available {
        return Err(Error::invalid(
            NAME,
            format!("{monomials} monomials of degree {lowest} to {highest} in {inputs} inputs"),
            format!("from 1 to {available} monomials, of degree 1 or more"),
        ));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut factors = BTreeSet::new();
    while factors.len() < monomials {
        let degree = match highest - lowest {
            // No number is drawn where there is no choice.
            0 => lowest,
            more => lowest + below(&mut rng, more + 1),
        };
        factors.insert(draw_monomial(inputs, degree, &mut rng));
    }
    let mut x = zeros(rows, inputs, NAME)?;
    for value in &mut x {
        *value = StandardNormal.sample(&mut rng);
    }
    let mut y = zeros(rows, 1, NAME)?;
    for (row, value) in x.rows().into_iter().zip(&mut y) {
        *value = factors.iter().map(|m| m.iter().map(|&i| row[i]).product::<f64>()).sum();
    }
    let mut exponents: Vec<_> = factors
        .iter()
        .map(|factors| {
            let mut exponents = vec![0; inputs];
            for &input in factors {
                exponents[input] += 1;
            }
            exponents
        })
        .collect();
    exponents.sort();
    Ok((Table::new(x, y, numbered_names(inputs), vec!["y".into()], NAME)?, exponents))
}

/// Fuel consumption of 392 cars: target `mpg` from `cylinders`, `displacement`, `horsepower`,
/// `weight`, `acceleration` and `model_year`.
///
/// Auto MPG, UCI Machine Learning Repository, donated by Ross Quinlan, CC BY 4.0; the file is
/// `examples/data/autompg.csv`. Its column `origin` (1 America, 2 Europe, 3 Japan) is left out:
/// a power of such a code has no meaning that a reader of the polynomial could use.
pub fn auto_mpg() -> Table {
    let mut options = ReadOptions::targets(["mpg"]);
    options.ignore = vec!["origin".into()];
    csv::parse(include_bytes!("../../examples/data/autompg.csv"), "autompg.csv", &options)
        .expect("the embedded file is whole; a test reads it")
}

/// A uniform multiple of 2^-53 in [0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A uniform monomial as its factors: `degree` inputs, ascending, repetition allowed.
fn draw_monomial(inputs: usize, degree: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    // Robert Floyd's sample of `degree` distinct numbers below inputs + degree - 1; less their
    // ranks they are an ascending sequence with repetition, each equally likely.
    let mut chosen = BTreeSet::new();
    for i in 0..degree {
        let limit = inputs + i;
        let number = below(rng, limit);
        if !chosen.insert(number) {
            chosen.insert(limit - 1);
        }
    }
    chosen.into_iter().enumerate().map(|(rank, number)| number - rank).collect()
}

/// C(inputs + degree - 1, degree), or the largest u128 where it does not fit.
fn count_monomials(inputs: usize, degree: usize) -> u128 {
    let mut count = 1u128;
    for i in 1..=degree as u128 {
        let Some(product) = count.checked_mul(inputs as u128 + i - 1) else { return u128::MAX };
        count = product / i;
    }
    count
}

fn zeros(rows: usize, columns: usize, name: &str) -> Result<Array2<f64>> {
    let count = rows.checked_mul(columns).ok_or_else(|| too_large(name))?;
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| too_large(name))?;
    values.resize(count, 0.0);
    Array2::from_shape_vec((rows, columns), values).map_err(|_| too_large(name))
}

fn too_large(name: &str) -> Error {
    Error::invalid(name, "more numbers than memory holds", "a smaller table")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_embedded_table_is_whole() {
        let cars = auto_mpg();
        assert_eq!((cars.rows(), cars.inputs().ncols(), cars.classes()), (392, 6, None));
        assert_eq!(cars.inputs().row(0).to_vec(), [8.0, 307.0, 130.0, 3504.0, 12.0, 70.0]);
        assert_eq!(cars.targets()[[391, 0]], 31.0);
        assert_eq!(cars.target_names(), ["mpg"]);
    }

    #[test]
    fn spirals_wind_about_the_origin_and_mirror_each_other() {
        let table = two_spirals(500, 3).unwrap();
        assert_eq!(table, two_spirals(500, 3).unwrap());
        assert_ne!(table, two_spirals(500, 4).unwrap());
        let (x, y) = (table.inputs(), table.targets());
        for i in 0..500 {
            assert_eq!((y[[i, 0]], y[[500 + i, 0]]), (0.0, 1.0));
            assert_eq!((x[[i, 0]], x[[i, 1]]), (-x[[500 + i, 0]], -x[[500 + i, 1]]));
            // Without the noise, at most 0.1 a coordinate, the radius is n and the angle 2n.
            let n = x[[i, 0]].hypot(x[[i, 1]]);
            assert!(n <= 780.0 * 2.0 * PI / 360.0 + 0.15);
            let best = (-150..=150)
                .map(|step| n + f64::from(step) / 1000.0)
                .map(|n| (x[[i, 0]] + (2.0 * n).cos() * n).hypot(x[[i, 1]] - (2.0 * n).sin() * n))
                .fold(f64::INFINITY, f64::min);
            assert!(best < 0.15, "row {i} lies {best} off its spiral");
        }
        assert!(two_spirals(0, 1).is_err());
        assert!(two_spirals(usize::MAX, 1).is_err());
    }

    #[test]
    fn sparse_polynomials_are_the_sum_of_their_monomials() {
        let (table, exponents) = sparse_polynomial(6, 10, 3..=4, 20, 1).unwrap();
        assert_eq!(exponents.len(), 10);
        let degrees: BTreeSet<u32> = exponents.iter().map(|e| e.iter().sum()).collect();
        assert_eq!(degrees, [3, 4].into());
        assert!(exponents.windows(2).all(|pair| pair[0] < pair[1]));
        for (x, y) in table.inputs().rows().into_iter().zip(table.targets()) {
            let term =
                |e: &Vec<u32>| x.iter().zip(e).map(|(x, &e)| x.powi(e as i32)).product::<f64>();
            let (sum, size) = exponents
                .iter()
                .map(term)
                .fold((0.0, 0.0), |(sum, size), t| (sum + t, size + f64::abs(t)));
            // Some 3 roundings a term and 10 of the sum, on either side.
            assert!((sum - y).abs() <= 32.0 * f64::EPSILON * size);
        }
        assert_eq!(sparse_polynomial(6, 10, 3..=4, 20, 1).unwrap(), (table, exponents));
    }

    #[test]
    fn sparse_polynomials_that_do_not_exist_are_refused() {
        assert_eq!(sparse_polynomial(2, 4, 3..=3, 5, 1).unwrap().1.len(), 4);
        assert_eq!(sparse_polynomial(2, 9, 3..=4, 5, 1).unwrap().1.len(), 9);
        for (inputs, monomials, degrees) in [
            (2, 5, 3..=3),
            (2, 10, 3..=4),
            (0, 1, 3..=3),
            (2, 0, 3..=3),
            (2, 1, 0..=0),
            (2, 1, RangeInclusive::new(4, 3)),
        ] {
            assert!(sparse_polynomial(inputs, monomials, degrees, 5, 1).is_err());
        }
        assert!(sparse_polynomial(2, 1, 3..=3, usize::MAX, 1).is_err());
        assert!(sparse_polynomial(2, 1, 3..=3, 0, 1).is_err());
    }

    #[test]
    fn monomials_are_drawn_uniformly() {
        assert_eq!(count_monomials(3, 2), 6);
        assert_eq!(count_monomials(100, 3), 171_700);
        assert_eq!(count_monomials(usize::MAX, 90), u128::MAX);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut counts = BTreeMap::new();
        for _ in 0..6000 {
            *counts.entry(draw_monomial(3, 2, &mut rng)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Six standard deviations of a binomial count: sqrt(6000 * 1/6 * 5/6) is 28.9.
        assert!(counts.values().all(|&count| count.abs_diff(1000) < 174), "{counts:?}");
    }
}
