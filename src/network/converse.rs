//! The converse of expansion: every polynomial is an SLNN with one hidden layer.
//!
//! A monomial `x^a` of total degree `m` is a sum of `m`-th powers of linear forms, by the
//! mixed finite difference of orders `a` of `t -> (t . x)^m` at 0:
//!
//! ```text
//! x^a = 1/m!  sum_{0 <= j <= a} (-1)^{m - |j|} C(a_1, j_1) ... C(a_n, j_n) (j . x)^m
//! ```
//!
//! Forms that are multiples of one another share a neuron, whose SLAF collects
//! all their powers. The proof is in `proofs/representation.md`.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Zero};

use crate::error::{Error, Result, TooLarge};
use crate::network::layer::{Affine, Basis, Layer, Slaf};
use crate::network::numbers::{Matrix, Vector};
use crate::network::{Head, Input, Network};
use crate::polynomial::Polynomial;

/// Coefficients that one conversion may take; a monomial `x^a` of degree `m` takes up to
/// `prod (a_i + 1)` linear forms of `m + 1` coefficients.
const COEFFICIENT_LIMIT: u64 = 1 << 22;

impl Network {
    /// An exact SLNN with one hidden layer of monomial SLAFs, one per neuron, whose outputs are
    /// `polynomials`, in the variables `inputs`.
    ///
    /// Cost: for each term `x^a`, `prod (a_i + 1)` linear forms. Each output has neurons of its own.
    ///
    /// # Errors
    /// When the numbers of names and polynomials disagree, a polynomial has another number of
    /// variables, or more than 2^22 coefficients would be needed.
    pub fn from_polynomials(
        inputs: Vec<Input>,
        outputs: Vec<String>,
        polynomials: &[Polynomial<BigRational>],
    ) -> Result<Network> {
        if outputs.len() != polynomials.len() {
            return Err(Error::invalid(
                "outputs",
                format!("{} names", outputs.len()),
                format!("{}, one for each polynomial", polynomials.len()),
            ));
        }
        let n = inputs.len();
        let mut needed: u64 = 0;
        for (o, polynomial) in polynomials.iter().enumerate() {
            if polynomial.variables() != n {
                return Err(Error::invalid(
                    format!("polynomials[{o}]"),
                    format!("{} variables", polynomial.variables()),
                    format!("{n}, the number of inputs"),
                ));
            }
            for (exponents, _) in polynomial.terms() {
                let forms = exponents
                    .iter()
                    .fold(1_u64, |product, &a| product.saturating_mul(u64::from(a) + 1));
                let degree: u64 = exponents.iter().map(|&a| u64::from(a)).sum();
                needed = needed.saturating_add(forms.saturating_mul(degree + 1));
            }
        }
        if needed > COEFFICIENT_LIMIT {
            return Err(TooLarge {
                what: "the one-hidden-layer network".into(),
                count: format!("{needed} coefficients"),
                bytes: needed as f64 * 128.0,
                seconds: needed as f64 * 1e-6,
                limit: format!("{COEFFICIENT_LIMIT} coefficients"),
                advice: "truncate the polynomial to a lower degree first".into(),
            }
            .into());
        }

        let mut rows: Vec<Vec<f64>> = Vec::new();
        let mut slafs: Vec<Vec<BigRational>> = Vec::new();
        let mut owners: Vec<usize> = Vec::new();
        for (o, polynomial) in polynomials.iter().enumerate() {
            for (direction, slaf) in powers_of_forms(polynomial) {
                rows.push(direction.into_iter().map(f64::from).collect());
                slafs.push(slaf);
                owners.push(o);
            }
        }
        if rows.is_empty() {
            // Only constants: one idle neuron keeps the shape of a network.
            rows.push(vec![0.0; n]);
            slafs.push(vec![BigRational::zero()]);
            owners.push(0);
        }
        let neurons = rows.len();
        let degree = slafs.iter().map(Vec::len).max().unwrap_or(1);
        let weight = Array2::from_shape_fn((neurons, n), |(i, j)| rows[i][j]);
        let coefficients = Array2::from_shape_fn((neurons, degree), |(i, k)| {
            slafs[i].get(k).cloned().unwrap_or_else(BigRational::zero)
        });
        let idle = polynomials.iter().all(|p| p.degree().unwrap_or(0) == 0);
        let mix = Array2::from_shape_fn((outputs.len(), neurons), |(o, i)| {
            if owners[i] == o && !idle { 1.0 } else { 0.0 }
        });
        let constants = Array1::from_iter(
            polynomials.iter().map(|p| p.coefficient(&vec![0; n]).cloned().unwrap_or_default()),
        );
        let layers = vec![
            Layer::Affine(Affine::new(weight, Array1::<f64>::zeros(neurons))?),
            Layer::Slaf(Slaf::new(Basis::Monomial, Matrix::from(coefficients))?),
            Layer::Affine(Affine::new(mix, Vector::from(constants))?),
        ];
        Network::new(inputs, outputs, layers, Head::Identity)
    }

    /// As [`Network::from_polynomials`] for a single polynomial, with inputs `x1, x2, ...` and output `y`.
    ///
    /// ```
    /// use slnn::{Network, Polynomial, expand};
    ///
    /// let names = ["x1".to_string(), "x2".to_string()];
    /// let p = Polynomial::parse("3/2 x1^2 x2 - x2 + 1", &names)?;
    /// let network = Network::from_polynomial(&p)?;
    /// assert_eq!(expand::expand(&network, &expand::Limits::default())?.rational()?[0], p);
    /// # Ok::<(), slnn::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Network::from_polynomials`], and for a polynomial in no variable.
    pub fn from_polynomial(polynomial: &Polynomial<BigRational>) -> Result<Network> {
        let inputs = (1..=polynomial.variables()).map(|i| Input::named(format!("x{i}"))).collect();
        Network::from_polynomials(inputs, vec!["y".into()], std::slice::from_ref(polynomial))
    }
}

/// The polynomial without its constant term as a sum over primitive directions `u` of `p_u(u . x)`.
fn powers_of_forms(polynomial: &Polynomial<BigRational>) -> BTreeMap<Vec<u32>, Vec<BigRational>> {
    let mut forms: BTreeMap<Vec<u32>, Vec<BigRational>> = BTreeMap::new();
    for (exponents, coefficient) in polynomial.terms() {
        let degree: usize = exponents.iter().map(|&a| a as usize).sum();
        if degree == 0 {
            continue;
        }
        let factorial = (1..=degree).fold(BigInt::one(), |product, k| product * k);
        let scaled = coefficient / BigRational::from(factorial);
        let mut j = vec![0_u32; exponents.len()];
        while advance(&mut j, exponents) {
            let gcd = j.iter().fold(0, |gcd, &entry| entry.gcd(&gcd));
            let direction: Vec<u32> = j.iter().map(|&entry| entry / gcd).collect();
            let total: usize = j.iter().map(|&entry| entry as usize).sum();
            let mut factor = BigInt::from(gcd).pow(degree as u32);
            for (&a, &entry) in exponents.iter().zip(&j) {
                factor *= num_integer::binomial(BigInt::from(a), BigInt::from(entry));
            }
            if (degree - total) % 2 == 1 {
                factor = -factor;
            }
            let slaf = forms.entry(direction).or_default();
            if slaf.len() <= degree {
                slaf.resize(degree + 1, BigRational::zero());
            }
            slaf[degree] += &scaled * BigRational::from(factor);
        }
    }
    forms.retain(|_, slaf| slaf.iter().any(|c| !c.is_zero()));
    forms
}

/// The next `j` with `0 <= j <= bound`, counting like an odometer; false after the last.
fn advance(j: &mut [u32], bound: &[u32]) -> bool {
    for (entry, &limit) in j.iter_mut().zip(bound) {
        if *entry < limit {
            *entry += 1;
            return true;
        }
        *entry = 0;
    }
    false
}
