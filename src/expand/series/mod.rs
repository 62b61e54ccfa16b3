//! The part of low total degree of a network's polynomials, by truncated series.
//!
//! Truncation above total degree Q is a homomorphism of rings, so that truncating after every layer
//! loses nothing: each neuron is its series up to degree Q and the rest is never computed.
//! `table` numbers the monomials and lists their divisors, `kernel` carries a layer out for many
//! neurons at once, in one of the arithmetics of `arithmetic`: f64 or double-double with the proven bounds of
//! `bounds` (`float`), or residues modulo primes, for exact results (`exact`).

mod arithmetic;
mod bounds;
mod cost;
mod exact;
mod float;
mod kernel;
mod layers;
mod table;

use std::time::Instant;

use num_rational::BigRational;
use rayon::prelude::*;

use crate::error::Result;
use crate::expand::compose::kept_remarks;
use crate::expand::plan::dense_terms;
use crate::expand::size::check_size;
use crate::expand::{Coefficients, Expansion, Limits, Plan, Route, Step};
use crate::network::Network;
use crate::network::exact::ExactNetwork;
use crate::polynomial::{Coefficient, Polynomial};
use arithmetic::{DoubleDouble, Float};
use cost::Costs;
use exact::Extent;
use layers::{Layer, Layers};
use table::Table;

/// Sees how far the work has come, as layer (or prime), the number of them, and neuron; its error
/// ends the work.
pub(crate) type Watch<'a> = dyn FnMut(usize, usize, usize) -> Result<()> + 'a;

/// f(item) for every item, in their order; on several threads if `threads`, and `watch` sees the
/// items that come next.
fn in_blocks<T: Sync, R: Send>(
    items: &[T],
    threads: bool,
    watch: &mut dyn FnMut(&T) -> Result<()>,
    f: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>> {
    let mut results = Vec::with_capacity(items.len());
    let at_once = if threads { rayon::current_num_threads() } else { 1 };
    for items in items.chunks(at_once) {
        watch(&items[0])?;
        match items {
            [item] => results.push(f(item)),
            _ => results.par_extend(items.par_iter().map(&f)),
        }
    }
    Ok(results)
}

/// The largest error of a coefficient, relative to the largest coefficient of its output and degree.
const TOLERANCE: f64 = 1e-6;

/// In what numbers the low-degree part is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Exact rationals.
    Rational,
    /// f64, each with a proven bound of its error: at most 1e-6 of the largest coefficient of its
    /// output and degree.
    Float,
}

/// How the coefficients of a low-degree part were computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed {
    /// In f64, with running bounds of the errors.
    Float,
    /// In double-double, since f64 was not enough.
    DoubleDouble,
    /// Exactly, modulo primes.
    Exact,
}

impl Computed {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Computed::Float => "f64",
            Computed::DoubleDouble => "double-double",
            Computed::Exact => "exact",
        }
    }
}

/// The part of low total degree that is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part<'a> {
    /// The largest total degree that is kept.
    pub max_degree: u32,
    /// The point about which the polynomials are written; 0 without.
    pub centre: Option<&'a [BigRational]>,
    /// The numbers.
    pub numbers: Numbers,
}

/// The predicted cost of a low-degree part in each arithmetic.
#[derive(Clone, Debug, PartialEq)]
pub struct PartPlan {
    /// Sizes, and the cost of the numbers asked for, in f64 where that is asked for.
    pub plan: Plan,
    /// Bytes and seconds in f64, in double-double, and exactly.
    pub costs: [(f64, f64); 3],
}

/// A network that is ready for expansion to a total degree.
struct Series {
    layers: Layers,
    degree: usize,
    truncated: Option<u32>,
    extent: Extent,
    /// Whether f64 and double-double are tried.
    tries: [bool; 2],
    plan: PartPlan,
}

/// Predicts the cost of [`expand_part`].
///
/// Cost: a walk through the network with numbers of one word, and a millisecond of measurement.
///
/// # Errors
/// When a layer is not polynomial or the centre does not fit.
pub fn plan_part(network: &Network, part: &Part) -> Result<PartPlan> {
    Ok(Series::new(network, part)?.plan)
}

/// The part of total degree at most `max_degree` of the polynomials of `network`, about a centre,
/// before its head.
///
/// With [`Numbers::Float`] f64 is tried, then double-double, then the exact coefficients are rounded
/// once; what bounds the errors is proven, and what decides is whether they are small enough.
/// `watch` sees every step before it is taken and ends the work by an error.
///
/// Cost: as [`plan_part`] says. C(2n + Q, Q) products of coefficients are a product of series in n
/// inputs; a SLAF of degree d takes at most about 2 sqrt(d) of them, and fewer of low degrees.
///
/// # Errors
/// When a layer is not polynomial, the centre does not fit, a coefficient is beyond the range of
/// f64, or the plan exceeds `limits`; and those of `watch`.
pub fn expand_part(
    network: &Network,
    part: &Part,
    limits: &Limits,
    watch: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<(Expansion, PartPlan, Computed)> {
    let series = Series::new(network, part)?;
    series.plan.plan.check(limits)?;
    let mut watch = |layer, layers, neuron| watch(Step { layer, layers, neuron, piece: None });
    let products =
        series.layers.layers.iter().filter(|l| matches!(l, Layer::Neurons(_))).count() > 1;
    let table = Table::new(series.layers.used.len(), series.degree, products);
    let [float, double, exact] = series.plan.costs;
    // No thread below a millisecond of work.
    let threads = |seconds: f64| seconds > 1e-3 && rayon::current_num_threads() > 1;
    let exact_outputs = |watch: &mut Watch| {
        exact::expand(&series.layers, &table, &series.extent, threads(exact.1), watch)
    };
    let monomials = Monomials { inputs: series.layers.inputs, used: &series.layers.used };
    let (coefficients, errors, computed) = match part.numbers {
        Numbers::Rational => {
            let outputs = exact_outputs(&mut watch)?;
            let polynomials = outputs
                .numerators
                .iter()
                .map(|o| {
                    monomials.polynomial(outputs.degree, o.iter().map(|c| outputs.rational(c)))
                })
                .collect::<Result<_>>()?;
            (Coefficients::Rational(polynomials), None, Computed::Exact)
        }
        Numbers::Float => {
            let mut found = None;
            if series.tries[0] {
                let outputs =
                    float::expand(Float, &series.layers, &table, threads(float.1), &mut watch)?;
                found = outputs.within(TOLERANCE, &table).then_some((outputs, Computed::Float));
            }
            if found.is_none() && series.tries[1] {
                let outputs = float::expand(
                    DoubleDouble,
                    &series.layers,
                    &table,
                    threads(double.1),
                    &mut watch,
                )?;
                found =
                    outputs.within(TOLERANCE, &table).then_some((outputs, Computed::DoubleDouble));
            }
            let (outputs, computed) = match found {
                Some(found) => found,
                None => {
                    let plan =
                        Plan { bytes: exact.0, seconds: exact.1, ..series.plan.plan.clone() };
                    plan.check(limits).map_err(|e| {
                        e.within("f64 and double-double do not prove six digits of every degree")
                    })?;
                    let outputs = exact_outputs(&mut watch)?;
                    (float::rounded(&outputs, network.outputs(), &table)?, Computed::Exact)
                }
            };
            let polynomials = |values: &[Vec<f64>]| {
                values
                    .iter()
                    .map(|o| monomials.polynomial(outputs.degree, o.iter().copied()))
                    .collect::<Result<Vec<_>>>()
            };
            let errors = polynomials(&outputs.errors)?;
            (Coefficients::Float(polynomials(&outputs.values)?), Some(errors), computed)
        }
    };
    let expansion = Expansion::new(
        network.input_names(),
        network.outputs().to_vec(),
        coefficients,
        network.head(),
    )?
    .with_centre(part.centre.map(<[_]>::to_vec))?
    .with_errors(errors)?
    .with_truncated(series.truncated)
    .with_about(kept_remarks(
        network,
        series.truncated.is_none() && part.numbers == Numbers::Rational,
    ));
    Ok((expansion, series.plan, computed))
}

/// Where the monomials of the inputs that matter stand among those of all inputs.
struct Monomials<'a> {
    inputs: usize,
    used: &'a [usize],
}

impl Monomials<'_> {
    fn polynomial<C: Coefficient>(
        &self,
        degree: usize,
        coefficients: impl Iterator<Item = C>,
    ) -> Result<Polynomial<C>> {
        let mut exponents = vec![0; self.used.len()];
        let mut first = true;
        let terms = coefficients.map(|c| {
            if !std::mem::take(&mut first) {
                next_monomial(&mut exponents);
            }
            let mut all = vec![0; self.inputs];
            for (&i, &e) in self.used.iter().zip(&exponents) {
                all[i] = e;
            }
            (all, c)
        });
        debug_assert!(u32::try_from(degree).is_ok());
        Polynomial::from_terms(self.inputs, terms)
    }
}

/// The next monomial in graded order.
fn next_monomial(exponents: &mut [u32]) {
    let Some((last, earlier)) = exponents.split_last_mut() else { return };
    let tail = std::mem::take(last);
    match earlier.iter().rposition(|&e| e > 0) {
        Some(i) => {
            earlier[i] -= 1;
            exponents[i + 1] = tail + 1;
        }
        None => exponents[0] = tail + 1,
    }
}

impl Series {
    fn new(network: &Network, part: &Part) -> Result<Self> {
        let started = Instant::now();
        check_size(network)?;
        let layers = Layers::new(&ExactNetwork::new(network), part.centre)?;
        let whole = layers.degree();
        let truncated = (whole > u128::from(part.max_degree)).then_some(part.max_degree);
        let degree = whole.min(u128::from(part.max_degree)) as usize;
        let (variables, outputs) = (layers.used.len(), layers.widths().last().unwrap_or(0));
        let each = dense_terms(variables, degree as u128);
        let terms = each.saturating_mul(outputs as u128);
        let extent = Extent::new(&layers, degree);
        let Costs { each: mut costs, products, shorter: tries } =
            cost::costs(&layers, degree, &extent);
        // What has been done here is done again by the expansion.
        let preparing = started.elapsed().as_secs_f64();
        costs.iter_mut().for_each(|cost| cost.1 += preparing);
        let ((bytes, seconds), primes) = match part.numbers {
            Numbers::Float if tries[0] => (costs[0], 0.0),
            _ => (costs[2], extent.primes()),
        };
        let plan = Plan {
            variables: network.inputs().len(),
            outputs,
            degree: degree as u128,
            terms,
            bits: extent.bits,
            bytes,
            seconds,
            operations: products,
            // Saturates.
            primes: primes as usize,
            route: Route::Series,
        };
        let plan = PartPlan { plan, costs };
        Ok(Series { layers, degree, truncated, extent, tries, plan })
    }
}
