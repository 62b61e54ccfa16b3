//! From a network to an SLNN with a proven error.

use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::approximate::{Fit, Method as FitMethod, bands, fit, slope_range};
use crate::bound::branch::divide;
use crate::bound::budget::sensitivities;
use crate::bound::certificate::{Certificate, Division, sum_of};
use crate::bound::chain::{Chain, Step};
use crate::bound::domain::Domain;
use crate::bound::joint::{Unit, Units};
use crate::bound::propagate::{Errors, Local, Method};
use crate::bound::ranges::{Ranges, ranges};
use crate::bound::sharpen::Proof;
use crate::error::{Error, Result};
use crate::network::{Activation, Basis, Family, Layer, Network, Slaf};
use crate::numeric::outward::{Interval, add_up};

/// The largest degrees that the polynomials may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Degrees {
    /// The same for all neurons.
    All(usize),
    /// One for each activation layer.
    ByLayer(Vec<usize>),
    /// One for each neuron of each activation layer.
    ByNeuron(Vec<Vec<usize>>),
}

/// What is asked of an approximation.
#[derive(Clone, Debug)]
pub struct Request {
    /// The degrees; ceilings.
    pub degrees: Degrees,
    /// How activations are fitted.
    pub fit: FitMethod,
    /// How errors are propagated.
    pub method: Method,
    /// Into how many parts the box may be split to prove one end of one range; 0 for none.
    pub leaves: usize,
    /// Into how many parts method D may split the box.
    pub parts: usize,
}

impl Request {
    /// Minimax polynomials of these degrees, errors by method C.
    pub fn degrees(degrees: Degrees) -> Self {
        Request { degrees, fit: FitMethod::Minimax, method: Method::C, leaves: 16, parts: 1000 }
    }
}

/// Called while the box is split, with the number of parts and the bounds so far; no more splits
/// when it says no.
pub type Watch<'a> = dyn FnMut(usize, &[f64]) -> bool + 'a;

/// What is known, and proven, of one neuron.
#[derive(Clone, Debug, PartialEq)]
pub struct Neuron {
    /// What the reference's pre-activation can be over the box.
    pub range: Interval,
    /// The slopes of the lines below and above the activation on the range.
    pub lines: [f64; 2],
    /// The range, enlarged by the error that arrives: what either pre-activation can be.
    pub interval: Interval,
    /// A bound of |p - s| on the interval.
    pub error: f64,
    /// The slopes of s on the interval, or those of p where they vary less: either carries the
    /// difference of the pre-activations on.
    pub slope: Interval,
    /// How the lower and the upper end of the range are proven, where the lines of all neurons alone do
    /// not prove them.
    pub proofs: [Option<Proof>; 2],
}

/// An SLNN and how far it is from its reference network at most.
#[derive(Clone, Debug)]
pub struct Approximation {
    /// The SLNN; `approximates` among its remarks says which network, box and bound it belongs to.
    pub slnn: Network,
    /// A bound of the absolute difference over the box, one for each output, before the head.
    pub bound: Vec<f64>,
    /// The same by every method, on the same intervals, the coarsest first.
    pub by_method: Vec<(Method, Vec<f64>)>,
    /// All that is needed to check the bound.
    pub certificate: Certificate,
    /// The largest degree used in each activation layer.
    pub degrees: Vec<usize>,
}

impl Degrees {
    /// The degree of a neuron of the activation layer `layer`, counted without affine ones.
    fn of(&self, layer: usize, neuron: usize) -> usize {
        match self {
            Degrees::All(degree) => *degree,
            Degrees::ByLayer(degrees) => degrees[layer],
            Degrees::ByNeuron(degrees) => degrees[layer][neuron],
        }
    }

    /// # Errors
    /// When there is not one degree for each of the layers, or neurons, of these widths.
    fn check(&self, widths: &[usize]) -> Result<()> {
        let (found, expected) = match self {
            Degrees::All(_) => return Ok(()),
            Degrees::ByLayer(degrees) => (vec![degrees.len()], vec![widths.len()]),
            Degrees::ByNeuron(degrees) => (degrees.iter().map(Vec::len).collect(), widths.to_vec()),
        };
        if found == expected {
            return Ok(());
        }
        Err(Error::invalid(
            "degrees",
            format!("{found:?}"),
            format!("{expected:?}: one for each activation layer, or for each neuron of each"),
        ))
    }
}

/// An SLNN with the weights of `network` and a bound of its error over the box.
///
/// The activation of every neuron is replaced by a polynomial fitted on the range of its
/// pre-activation, *after* that range has been enlarged by the error that earlier layers make.
/// Networks without a conventional activation come back unchanged, with bound 0.
///
/// Cost: the ranges, one fit for each neuron, one product of matrices for each layer.
///
/// # Errors
/// A box or degrees that do not fit the network, learned activations in it, numbers that f64 does not hold,
/// an overflow.
pub fn approximate(network: &Network, domain: &Domain, request: &Request) -> Result<Approximation> {
    approximate_watched(network, domain, request, &mut |_, _| true)
}

/// As [`approximate`], under the eyes of `watch`, which can end method D at any time.
///
/// # Errors
/// As [`approximate`].
pub fn approximate_watched(
    network: &Network,
    domain: &Domain,
    request: &Request,
    watch: &mut Watch,
) -> Result<Approximation> {
    domain.check(network)?;
    let chain = Chain::of(network)?;
    let ranges = ranges(&chain, domain, request.leaves)?;
    construct(network, &chain, &ranges, domain, request, watch)
}

pub(super) fn construct(
    network: &Network,
    chain: &Chain,
    ranges: &Ranges,
    domain: &Domain,
    request: &Request,
    watch: &mut Watch,
) -> Result<Approximation> {
    let widths = chain.steps.iter().filter_map(|step| match step {
        Step::Activation(units) => Some(units.len()),
        Step::Affine { .. } => None,
    });
    request.degrees.check(&widths.collect::<Vec<_>>())?;
    let mut errors = Errors::none(chain.inputs);
    let mut layers = Vec::new();
    let mut neurons = Vec::new();
    let mut degrees = Vec::new();
    let mut all_fits = Vec::new();
    for (l, (step, ranged)) in chain.steps.iter().zip(ranges).enumerate() {
        match (step, ranged) {
            (Step::Activation(units), Some(ranged)) => {
                let radii = errors.radii(request.method);
                let hidden = degrees.len();
                let fitted = units.par_iter().zip(ranged).zip(&radii).enumerate();
                let fitted = fitted.map(|(i, ((unit, r), radius))| {
                    let degree = request.degrees.of(hidden, i);
                    let interval = r.range.widened(*radius);
                    let fit = fit(*unit, interval, degree, request.fit)?;
                    let lines = [r.relaxation.lower.slope, r.relaxation.upper.slope];
                    let neuron = Neuron {
                        range: r.range,
                        lines,
                        interval,
                        error: fit.error,
                        slope: narrower(slope_range(*unit, interval), polynomial_slopes(&fit)),
                        proofs: r.proofs.clone(),
                    };
                    Ok((fit, neuron))
                });
                let fitted =
                    fitted.collect::<Vec<Result<_>>>().into_iter().enumerate().map(|(i, fit)| {
                        fit.map_err(|e: Error| e.within(format!("layers[{l}], neuron {i}")))
                    });
                let (fits, layer): (Vec<Fit>, Vec<Neuron>) =
                    fitted.collect::<Result<Vec<_>>>()?.into_iter().unzip();
                let locals: Vec<Local> =
                    layer.iter().map(|n| Local { error: n.error, slope: n.slope }).collect();
                errors = errors.activation(&locals);
                degrees.push(fits.iter().map(Fit::degree).max().unwrap_or(0));
                layers.push(learned(units, &fits)?);
                neurons.push(Some(layer));
                all_fits.push(fits);
            }
            (Step::Affine { weight, .. }, _) => {
                errors = errors.affine(weight);
                layers.push(network.layers()[l].clone());
                neurons.push(None);
                all_fits.push(Vec::new());
            }
            // `ranges` has an entry for each activation layer.
            (Step::Activation(_), None) => {}
        }
    }
    let mut bound = errors.radii(request.method);
    if bound.iter().any(|e| !e.is_finite()) {
        return Err(Error::invalid(
            "bound",
            "an error that leaves the numbers of f64",
            "a smaller box or a larger degree",
        ));
    }
    let signed = [Method::A, Method::B, Method::C];
    let mut by_method = signed.map(|method| (method, errors.radii(method))).to_vec();
    let mut division = None;
    if request.method > Method::C {
        let units = known(chain, &neurons, &all_fits)?;
        let weights = sensitivities(chain, &neurons);
        let weights: Vec<Vec<f64>> = weights.iter().map(|w| w.sum_axis(Axis(0)).to_vec()).collect();
        let parts = if request.method == Method::D { request.parts } else { 1 };
        let splits;
        (bound, splits) = divide(chain, &units, domain, &weights, &bound, parts, watch);
        by_method.push((request.method, bound.clone()));
        division = Some(Division::new(units, splits));
    }
    let slnn = Network::new(
        network.inputs().to_vec(),
        network.outputs().to_vec(),
        layers,
        network.head(),
    )?;
    let certificate = Certificate {
        reference: network.clone(),
        slnn: slnn.clone(),
        domain: domain.clone(),
        method: request.method,
        layers: neurons,
        division,
        bound: bound.clone(),
    };
    let slnn = slnn.with_about(about(network, domain, &bound));
    Ok(Approximation { slnn, bound, by_method, certificate, degrees })
}

/// What the SLNN's file says of its origin; its expansion's file says it too.
fn about(network: &Network, domain: &Domain, bound: &[f64]) -> serde_json::Map<String, Value> {
    let ends = domain.intervals().iter().map(|x| json!([x.lower, x.upper]));
    let approximates = json!({
        "network_sha256": sum_of(network),
        "box": Value::from_iter(ends),
        "error": bound,
    });
    let target = network.about().get_key_value("target").map(|(k, v)| (k.clone(), v.clone()));
    target.into_iter().chain([("approximates".to_owned(), approximates)]).collect()
}

/// The share of an error, or of the width of a range, that lines instead of curves may cost.
const BAND: f64 = 0.04;
const BEND: f64 = 0.002;

/// What method C2 needs to know of every neuron.
fn known(chain: &Chain, layers: &[Option<Vec<Neuron>>], fits: &[Vec<Fit>]) -> Result<Units> {
    let units = chain.steps.iter().zip(layers).zip(fits).enumerate();
    let of_layer = units.map(|(l, ((step, neurons), fits))| {
        let (Step::Activation(functions), Some(neurons)) = (step, neurons) else {
            return Ok(Vec::new());
        };
        let of_neuron = (0..functions.len()).into_par_iter().map(|i| {
            let (activation, neuron, fit) = (functions[i], &neurons[i], &fits[i]);
            let least = f64::MIN_POSITIVE;
            let bend = (BEND * neuron.range.width()).max(least);
            Ok(Unit {
                activation,
                range: neuron.range,
                interval: neuron.interval,
                slope: neuron.slope,
                of_polynomial: !neuron.slope.encloses(&slope_range(activation, neuron.interval)),
                values: bands(activation, neuron.range, None, bend)?,
                residuals: bands(
                    activation,
                    fit.interval,
                    Some(fit),
                    (BAND * fit.error).max(least),
                )?,
            })
        });
        let of_neuron: Result<Vec<Unit>> = of_neuron.collect::<Vec<_>>().into_iter().collect();
        of_neuron.map_err(|error| error.within(format!("layers[{l}]")))
    });
    of_layer.collect()
}

/// The interval with less between its ends; the first where they are equal.
fn narrower(a: Interval, b: Interval) -> Interval {
    if b.is_finite() && b.width() < a.width() { b } else { a }
}

/// An enclosure of p' on the interval of a fit: about its constant Chebyshev coefficient by the sum
/// of the absolute values of the others, which is exact up to degree 2.
///
/// The coefficients of the derivative in t are c'_(k-1) = c'_(k+1) + 2 k c_k, the first halved
/// (Mason and Handscomb 2003, section 2.4.5).
fn polynomial_slopes(fit: &Fit) -> Interval {
    let mut derivative = [Interval::ZERO; 2];
    let mut others = 0.0;
    for (k, c) in fit.coefficients.iter().enumerate().skip(1).rev() {
        let next = derivative[1] + Interval::point(*c).scaled(2.0 * k as f64);
        if k > 1 {
            others = add_up(others, next.magnitude());
        }
        derivative = [next, derivative[0]];
    }
    let constant = derivative[0].scaled(0.5);
    constant.widened(others).scaled(fit.scale)
}

/// The layer of the polynomials, their coefficients filled up with zeros to one length.
fn learned(units: &[Activation], fits: &[Fit]) -> Result<Layer> {
    if units.iter().all(|unit| *unit == Activation::Identity) {
        return Ok(Layer::Activation(Activation::Identity));
    }
    let length = fits.iter().map(|fit| fit.coefficients.len()).max().unwrap_or(1);
    let mut coefficients = Array2::zeros((fits.len(), length));
    for (mut row, fit) in coefficients.rows_mut().into_iter().zip(fits) {
        for (c, fitted) in row.iter_mut().zip(&fit.coefficients) {
            *c = *fitted;
        }
    }
    let centre: Array1<f64> = fits.iter().map(|fit| fit.centre).collect();
    let scale: Array1<f64> = fits.iter().map(|fit| fit.scale).collect();
    let basis =
        Basis::Orthogonal { family: Family::Chebyshev, centre: centre.into(), scale: scale.into() };
    Ok(Layer::Slaf(Slaf::new(basis, coefficients)?))
}
