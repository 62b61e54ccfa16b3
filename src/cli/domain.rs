//! The box that a polynomial is meant for, among the remarks of its file: what lies outside, and what
//! f64 makes of values inside.

use ndarray::{Array2, ArrayView2};
use serde_json::json;
use slnn::bound::Domain;
use slnn::error::Result;
use slnn::expand::{Expansion, Model};
use slnn::network::Network;
use slnn::numeric::outward::Interval;
use slnn::numeric::rational::rational_to_f64;

use super::answer::short;

/// The remark that holds the box: lower and upper end of every variable.
const BOX: &str = "box";

/// The expansion with the box of its network, where that has one, among its remarks.
pub fn remember(expansion: Expansion, network: &Network) -> Expansion {
    let Ok(domain) = Domain::of_network(network) else { return expansion };
    let ends: Vec<_> = domain.intervals().iter().map(|x| (x.lower, x.upper)).collect();
    let mut about = expansion.about().clone();
    about.insert(BOX.into(), json!(ends));
    expansion.with_about(about)
}

/// The box among the remarks; `None` where there is none for these variables.
fn remembered(expansion: &Expansion) -> Option<Domain> {
    let ends = expansion.about().get(BOX)?.clone();
    let ends: Vec<(f64, f64)> = serde_json::from_value(ends).ok()?;
    Domain::new(ends).ok().filter(|domain| domain.len() == expansion.variables().len())
}

/// How many of the rows (rows, inputs) lie outside the box of a model; `None` where it has no ends.
pub fn outside(model: &Model, rows: ArrayView2<f64>) -> Option<usize> {
    match model {
        Model::Network(network) => {
            let has_ends = network.inputs().iter().any(|i| i.lower.is_some() || i.upper.is_some());
            has_ends.then(|| network.rows_outside_box(rows).len())
        }
        Model::Expansion(expansion) => {
            let domain = remembered(expansion)?;
            let rows = rows.rows().into_iter();
            Some(rows.filter(|row| !domain.contains(&row.to_vec())).count())
        }
    }
}

/// Terms up to which values in f64 are looked at.
const LOOKED_AT: usize = 200_000;
/// The share of its values that a polynomial may lose in f64 without a word.
const LOST: f64 = 1e-3;

/// What rounding each coefficient by at most a share of it may do.
pub struct Rounding {
    /// How it comes about.
    pub how: String,
    /// The share.
    pub share: f64,
}

impl Rounding {
    /// To the nearest f64.
    pub fn to_f64() -> Self {
        let how = "in f64 (--coefficients f64, predictions in Python)".into();
        Rounding { how, share: f64::EPSILON / 2.0 }
    }
}

/// What to say where rounding the coefficients may change values in the box of a polynomial by more than a
/// share of them: powers of numbers far from the centre cancel. `values` are those of its outputs (rows,
/// outputs) at some points.
pub fn about_rounding(
    expansion: &Expansion,
    Rounding { how, share }: &Rounding,
    values: impl FnOnce(ArrayView2<f64>) -> Result<Array2<f64>>,
) -> Option<String> {
    let domain = remembered(expansion)?;
    let ends = domain.intervals();
    if expansion.terms() > LOOKED_AT {
        return None;
    }
    let centre = match expansion.centre() {
        None => vec![0.0; ends.len()],
        Some(centre) => {
            centre.iter().map(|c| rational_to_f64(c).unwrap_or(f64::INFINITY)).collect()
        }
    };
    let reach = ends.iter().zip(&centre).map(|(x, c)| (x.lower - c).abs().max((x.upper - c).abs()));
    let reach: Vec<f64> = reach.collect();
    let points = [Interval::middle, |x: &Interval| x.lower, |x: &Interval| x.upper];
    let points = Array2::from_shape_fn((3, ends.len()), |(i, j)| points[i](&ends[j]));
    // Values beyond f64 are lost anyway.
    let values = values(points.view()).ok()?;
    for (o, (name, own)) in expansion.outputs().iter().zip(values.columns()).enumerate() {
        let lost: f64 = expansion
            .exact_terms(o)
            .map(|(exponents, c)| {
                let powers = exponents.iter().zip(&reach).filter(|(e, _)| **e > 0);
                let size = rational_to_f64(&c).map_or(f64::INFINITY, f64::abs);
                powers.fold(size, |size, (e, reach)| size * reach.powf(f64::from(*e)))
            })
            .sum::<f64>()
            * share;
        let size = own.iter().fold(0.0, |most: f64, y| most.max(y.abs()));
        if lost > LOST * size {
            let centre: Vec<_> = points.row(0).iter().map(|x| short_number(*x)).collect();
            return Some(format!(
                "{how} {name} may be off by {} in the box: powers cancel; --centre {} of `slnn \
                 expand` expands about its middle",
                short(lost),
                centre.join(",")
            ));
        }
    }
    None
}

/// A number near another, with three digits and no exponent where that is short.
fn short_number(x: f64) -> String {
    let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
    rounded.to_string()
}
