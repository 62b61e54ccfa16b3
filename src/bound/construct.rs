//! From a network to an SLNN with a proven error.

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use crate::approximate::{Fit, Method as FitMethod, fit, slope_range};
use crate::bound::certificate::Certificate;
use crate::bound::chain::{Chain, Step};
use crate::bound::domain::Domain;
use crate::bound::propagate::{Errors, Local, Method};
use crate::bound::ranges::{Ranges, ranges};
use crate::error::{Error, Result};
use crate::network::{Activation, Basis, Family, Layer, Network, Slaf};
use crate::numeric::outward::Interval;

/// The largest degrees that the polynomials may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Degrees {
    /// The same for all neurons.
    All(usize),
    /// One for each activation layer.
    ByLayer(Vec<usize>),
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
}

impl Request {
    /// Minimax polynomials of these degrees, errors by method C.
    pub fn degrees(degrees: Degrees) -> Self {
        Request { degrees, fit: FitMethod::Minimax, method: Method::C }
    }
}

/// What is known, and proven, of one neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neuron {
    /// What the reference's pre-activation can be over the box.
    pub range: Interval,
    /// The slopes of the lines below and above the activation on the range.
    pub lines: [f64; 2],
    /// The range, enlarged by the error that arrives: what either pre-activation can be.
    pub interval: Interval,
    /// A bound of |p - s| on the interval.
    pub error: f64,
    /// The slopes of s on the interval.
    pub slope: Interval,
}

/// An SLNN and how far it is from its reference network at most.
#[derive(Clone, Debug)]
pub struct Approximation {
    /// The SLNN.
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
    fn of_layer(&self, index: usize) -> usize {
        match self {
            Degrees::All(degree) => *degree,
            Degrees::ByLayer(degrees) => degrees[index],
        }
    }

    fn check(&self, layers: usize) -> Result<()> {
        match self {
            Degrees::ByLayer(degrees) if degrees.len() != layers => Err(Error::invalid(
                "degrees",
                format!("{}", degrees.len()),
                format!("{layers}, one for each activation layer"),
            )),
            _ => Ok(()),
        }
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
    domain.check(network)?;
    let chain = Chain::of(network)?;
    let ranges = ranges(&chain, domain)?;
    construct(network, &chain, &ranges, domain, request)
}

fn construct(
    network: &Network,
    chain: &Chain,
    ranges: &Ranges,
    domain: &Domain,
    request: &Request,
) -> Result<Approximation> {
    let hidden = chain.steps.iter().filter(|s| matches!(s, Step::Activation(_))).count();
    request.degrees.check(hidden)?;
    let mut errors = Errors::none(chain.inputs);
    let mut layers = Vec::new();
    let mut neurons = Vec::new();
    let mut degrees = Vec::new();
    for (l, (step, ranged)) in chain.steps.iter().zip(&ranges.layers).enumerate() {
        match (step, ranged) {
            (Step::Activation(units), Some(ranged)) => {
                let radii = errors.radii(request.method);
                let degree = request.degrees.of_layer(degrees.len());
                let fitted = units.par_iter().zip(ranged).zip(&radii).map(|((unit, r), radius)| {
                    let interval = r.range.widened(*radius);
                    let fit = fit(*unit, interval, degree, request.fit)?;
                    let lines = [r.relaxation.lower.slope, r.relaxation.upper.slope];
                    let neuron = Neuron {
                        range: r.range,
                        lines,
                        interval,
                        error: fit.error,
                        slope: slope_range(*unit, interval),
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
            }
            (Step::Affine { weight, .. }, _) => {
                errors = errors.affine(weight);
                layers.push(network.layers()[l].clone());
                neurons.push(None);
            }
            // `ranges` has an entry for each activation layer.
            (Step::Activation(_), None) => {}
        }
    }
    let bound = errors.radii(request.method);
    if bound.iter().any(|e| !e.is_finite()) {
        return Err(Error::invalid(
            "bound",
            "an error that leaves the numbers of f64",
            "a smaller box or a larger degree",
        ));
    }
    let by_method = Method::ALL.map(|method| (method, errors.radii(method))).to_vec();
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
        bound: bound.clone(),
    };
    Ok(Approximation { slnn, bound, by_method, certificate, degrees })
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
