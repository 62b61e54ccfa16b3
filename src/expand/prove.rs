//! A proof that polynomials are a network, by values instead of polynomial arithmetic.
//!
//! Two polynomials of total degree at most `D` that agree on the principal lattice
//! `{a in N^n : a_1 + ... + a_n <= D}` are equal (`proofs/representation.md`). So the
//! network is evaluated layer by layer, exactly, at every lattice point, and compared
//! with the value of its expansion there. Neither residues and interpolation nor polynomial
//! arithmetic of the expansion is trusted. What the two share is the bound `D` on the degree, the
//! folding of each SLAF into powers of its pre-activation, which is tested against the bases' own
//! definitions, and, where polynomials are composed, [`ExactNetwork`] and its walk from layer to
//! layer, of which only the numbers differ.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::One;
use rayon::prelude::*;

use crate::error::{Error, Result, TooLarge};
use crate::expand::plan::{Plan, dense_terms, plan_exact};
use crate::expand::{Coefficients, Expansion};
use crate::network::Network;
use crate::network::exact::{Dyadics, ExactNetwork, Rationals};
use crate::numeric::Dyadic;
use crate::polynomial::Polynomial;

/// Variables that a proof may walk, one call deep each.
const VARIABLE_LIMIT: usize = 2_048;

/// Lattice points that a proof may take.
const POINT_LIMIT: u128 = 1_000_000;

/// Seconds that a point takes by itself, and for every parameter of the network: with short numbers, for
/// products of numbers of so many words, and for greatest common divisors of fractions. Measured on
/// networks of 45 to 36,609 parameters and 300 to 6,700 bits.
const OF_POINT: f64 = 4e-5;
const OF_PARAMETER: f64 = 5e-8;
const OF_PRODUCT: f64 = 4e-10;
const OF_DIVISOR: f64 = 1.3e-8;

/// About how many seconds of processor time [`prove_equal`] takes for a network of this plan, the same
/// on every machine.
pub fn proof_seconds(network: &Network, plan: &Plan) -> f64 {
    let words = plan.bits.max(64.0) / 64.0;
    let divisors = match ExactNetwork::new(network).is_dyadic() {
        true => 0.0,
        false => OF_DIVISOR * words * words,
    };
    let parameter = OF_PARAMETER + OF_PRODUCT * words.powf(1.6) + divisors;
    let points = dense_terms(network.inputs().len(), plan.degree) as f64;
    points * (OF_POINT + network.parameters() as f64 * parameter)
}

/// The extent of a proof of equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The number of lattice points at which both sides were evaluated exactly.
    pub points: usize,
    /// The total degree that bounds both sides.
    pub degree: u32,
}

/// Proves that `expansion` is equal to `network` (before the head), as polynomials over the
/// rationals, or finds a point at which they differ.
///
/// Cost: `C(n + D, D)` exact evaluations of the network, on all threads, and about as many
/// operations on the polynomial as it has terms, `D` times over.
///
/// # Errors
/// When the two differ (the message gives the output, the point and both values), have different
/// inputs or outputs, a layer is not polynomial, or the lattice has more than a million points.
pub fn prove_equal(network: &Network, expansion: &Expansion) -> Result<Proof> {
    check_face(network, expansion)?;
    let exact = ExactNetwork::new(network);
    let plan = plan_exact(&exact, None)?;
    let degree = plan.degree.max(u128::from(expansion.degree()));
    let n = network.inputs().len();
    let points = dense_terms(n, degree);
    // Beyond 2^32 the lattice is beyond the limit in any number of variables.
    let affordable = points <= POINT_LIMIT && n <= VARIABLE_LIMIT;
    let (true, Ok(degree)) = (affordable, u32::try_from(degree)) else {
        return Err(TooLarge {
            what: "the proof by lattice points".into(),
            count: format!("{points} points"),
            bytes: points as f64 * 8.0 * n as f64,
            seconds: points as f64 * 1e-4,
            limit: format!("{POINT_LIMIT} points in {VARIABLE_LIMIT} variables"),
            advice: "compare the two by expansion instead".into(),
        }
        .into());
    };

    // p = numerator / common, so that the lattice sees integers only.
    let (common, numerators): (Vec<BigInt>, Vec<Polynomial<BigInt>>) =
        match (expansion.coefficients(), expansion.centre()) {
            (Coefficients::Packed(packed), None) => {
                packed.iter().map(|p| (p.denominator(), p.to_numerators())).unzip()
            }
            _ => {
                let fraction = |p: &Polynomial<BigRational>| {
                    let common = p.terms().fold(BigInt::one(), |lcm, (_, c)| lcm.lcm(c.denom()));
                    let numerators = p.map(|c| c.numer() * (&common / c.denom()));
                    (common, numerators)
                };
                expansion.about_zero()?.iter().map(fraction).unzip()
            }
        };

    let values = LatticeNetwork::new(exact)?;
    // The last variable is walked in parallel: one slab of the lattice for each of its values.
    let slabs: Vec<u32> = (0..=degree).collect();
    let counts = slabs
        .par_iter()
        .map(|&last| {
            let mut point = vec![0; n];
            point[n - 1] = last;
            let fixed: Vec<_> =
                numerators.iter().map(|p| p.fix(n - 1, &BigInt::from(last))).collect();
            let mut count = 0;
            walk(&fixed, n - 1, degree - last, &mut point, &mut |point, p| {
                count += 1;
                let y = values.at(point)?;
                for (o, ((p, common), y)) in p.iter().zip(&common).zip(&y).enumerate() {
                    // p / common = y, without the common divisors of fractions.
                    if p * y.denom() != y.numer() * common {
                        let p = BigRational::new(p.clone(), common.clone());
                        return Err(Error::invalid(
                            format!("output {:?} at {point:?}", network.outputs()[o]),
                            format!("the polynomial's value {p}"),
                            format!("the network's value {y}"),
                        ));
                    }
                }
                Ok(())
            })?;
            Ok(count)
        })
        .collect::<Result<Vec<usize>>>()?;
    Ok(Proof { points: counts.iter().sum(), degree })
}

/// # Errors
/// When the two do not have the same inputs and outputs.
fn check_face(network: &Network, expansion: &Expansion) -> Result<()> {
    let names = network.input_names();
    for (place, found, expected) in [
        ("variables", expansion.variables(), names.as_slice()),
        ("outputs", expansion.outputs(), network.outputs()),
    ] {
        if found != expected {
            return Err(Error::invalid(place, format!("{found:?}"), format!("{expected:?}")));
        }
    }
    Ok(())
}

/// Sees a lattice point and the values of the polynomials there.
type Visit<'a> = dyn FnMut(&[u32], &[BigInt]) -> Result<()> + 'a;

/// Visits every lattice point with `rest` left to spend on the first `free` variables; `p` are the
/// polynomials with the others fixed.
fn walk(
    p: &[Polynomial<BigInt>],
    free: usize,
    rest: u32,
    point: &mut Vec<u32>,
    visit: &mut Visit,
) -> Result<()> {
    // With nothing left to spend the other variables are 0: only the constant term speaks.
    if free == 0 || rest == 0 {
        let zero = vec![0; point.len()];
        let values: Vec<_> =
            p.iter().map(|p| p.coefficient(&zero).cloned().unwrap_or_default()).collect();
        return visit(point, &values);
    }
    for value in 0..=rest {
        point[free - 1] = value;
        let fixed: Vec<_> = p.iter().map(|p| p.fix(free - 1, &BigInt::from(value))).collect();
        walk(&fixed, free - 1, rest - value, point, visit)?;
    }
    point[free - 1] = 0;
    Ok(())
}

/// The network over the cheapest exact numbers that hold its parameters.
enum LatticeNetwork {
    Dyadic(ExactNetwork<Dyadic>),
    Rational(ExactNetwork<BigRational>),
}

impl LatticeNetwork {
    fn new(exact: ExactNetwork<BigRational>) -> Result<Self> {
        Ok(match exact.over(&Dyadics) {
            Ok(dyadic) => LatticeNetwork::Dyadic(dyadic),
            Err(_) => LatticeNetwork::Rational(exact),
        })
    }

    fn at(&self, point: &[u32]) -> Result<Vec<BigRational>> {
        let integers = point.iter().map(|&x| BigInt::from(x));
        match self {
            LatticeNetwork::Dyadic(network) => Ok(network
                .evaluate(&Dyadics, integers.map(|x| Dyadic::new(x, 0)).collect())?
                .iter()
                .map(Dyadic::to_rational)
                .collect()),
            LatticeNetwork::Rational(network) => {
                network.evaluate(&Rationals, integers.map(BigRational::from).collect())
            }
        }
    }
}
