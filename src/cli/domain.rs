//! The box that a polynomial is meant for, among the remarks of its file: what lies outside, and what
//! f64 makes of values inside.

use ndarray::{Array2, ArrayView2};
use serde_json::json;
use slnn::bound::Domain;
use slnn::error::Result;
use slnn::expand::Expansion;
use slnn::network::Network;
use slnn::numeric::outward::Interval;
use slnn::numeric::rational::rational_to_f64;

use super::answer::short;

/// The remark that holds the box: lower and upper end of every variable.
const BOX: &str = "box";

/// The expansion with the box of its network, where that has one, among its remarks.
pub fn remember(expansion: Expansion, network: &Network) -> Expansion {
    let Ok(domain) = Domain::of_network(network) else { return expansion };
    let ends: Vec<_> = domain.intervals().iter().map(|x| json!([x.lower, x.upper])).collect();
    let mut about = expansion.about().clone();
    about.insert(BOX.into(), ends.into());
    expansion.with_about(about)
}

/// The box among the remarks; `None` where there is none for these variables.
fn remembered(expansion: &Expansion) -> Option<Domain> {
    let ends = expansion.about().get(BOX)?.as_array()?;
    let pair = |ends: &serde_json::Value| match &ends.as_array()?[..] {
        [lower, upper] => Some((lower.as_f64()?, upper.as_f64()?)),
        _ => None,
    };
    let ends: Vec<_> = ends.iter().map(pair).collect::<Option<_>>()?;
    Domain::new(ends).ok().filter(|domain| domain.len() == expansion.variables().len())
}

/// How many of the rows (rows, variables) lie outside the box of a polynomial; `None` without one.
pub fn outside(expansion: &Expansion, rows: ArrayView2<f64>) -> Option<usize> {
    let domain = remembered(expansion)?;
    let inside = |(x, end): (&f64, &Interval)| end.contains(*x);
    let is_out = |row: &ndarray::ArrayView1<f64>| !row.iter().zip(domain.intervals()).all(inside);
    Some(rows.rows().into_iter().filter(is_out).count())
}

/// Terms up to which values in f64 are looked at.
const LOOKED_AT: usize = 200_000;
/// The share of its values that a polynomial may lose in f64 without a word.
const LOST: f64 = 1e-3;

/// What to say where rounding the coefficients alone to f64 may change values in the box of a polynomial.
pub fn about_f64(expansion: &Expansion) -> Result<Option<String>> {
    let how = "in f64 (--coefficients f64, predictions in Python)";
    about_rounding(expansion, f64::EPSILON / 2.0, how)
}

/// What to say where rounding the coefficients by at most this share of each may change values in the box
/// of a polynomial by more than a share of them: powers of numbers far from the centre cancel.
pub fn about_rounding(expansion: &Expansion, share: f64, how: &str) -> Result<Option<String>> {
    let Some(domain) = remembered(expansion) else { return Ok(None) };
    let ends = domain.intervals();
    if expansion.terms() > LOOKED_AT {
        return Ok(None);
    }
    let centre = match expansion.centre() {
        None => vec![0.0; ends.len()],
        Some(centre) => {
            centre.iter().map(|c| rational_to_f64(c).unwrap_or(f64::INFINITY)).collect()
        }
    };
    let reach = ends.iter().zip(&centre).map(|(x, c)| (x.lower - c).abs().max((x.upper - c).abs()));
    let reach: Vec<f64> = reach.collect();
    let points: [Vec<f64>; 3] = [
        ends.iter().map(Interval::middle).collect(),
        ends.iter().map(|x| x.lower).collect(),
        ends.iter().map(|x| x.upper).collect(),
    ];
    let points_of = Array2::from_shape_fn((3, ends.len()), |(i, j)| points[i][j]);
    // Values beyond f64 are lost anyway.
    let Ok(values) = expansion.forward(points_of.view()) else { return Ok(None) };
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
            let centre: Vec<_> = points[0].iter().map(|x| short_number(*x)).collect();
            return Ok(Some(format!(
                "{how} {name} may be off by {} in the box: powers cancel; --centre {} of `slnn \
                 expand` expands about its middle",
                short(lost),
                centre.join(",")
            )));
        }
    }
    Ok(None)
}

/// A number near another, with three digits and no exponent where that is short.
fn short_number(x: f64) -> String {
    let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
    rounded.to_string()
}
