//! From a network to an SLNN with a proven error.

use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::approximate::{
    Composite, Fit, Method as FitMethod, Sign, bands, fit, slope_below, slope_range, value_range,
    with_room,
};
use crate::bound::branch::divide;
use crate::bound::certificate::{Certificate, Division, sum_of};
use crate::bound::chain::{Chain, Step};
use crate::bound::domain::Domain;
use crate::bound::joint::{Unit, Units};
use crate::bound::neuron::{Neuron, Ranged};
use crate::bound::propagate::{Errors, Local, Method};
use crate::bound::ranges::{Ranges, ranges};
use crate::bound::sensitivity::sensitivities;
use crate::error::{Error, Result};
use crate::network::{Activation, Affine, Basis, Family, Layer, Network, Slaf};
use crate::numeric::outward::{Interval, add_up, mul_up};

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
    /// For each activation layer the [deviation](Sign::deviation) of the composite blocks that
    /// take the place of neurons with a kink at 0 inside their interval; empty for no blocks.
    pub blocks: Vec<Option<f64>>,
}

impl Request {
    /// Minimax polynomials of these degrees, errors by method C.
    pub fn degrees(degrees: Degrees) -> Self {
        Request {
            degrees,
            fit: FitMethod::Minimax,
            method: Method::C,
            leaves: 16,
            parts: 1000,
            blocks: Vec::new(),
        }
    }
}

/// Called while the box is split, with the number of parts and the bounds so far; no more splits
/// when it says no.
pub type Watch<'a> = dyn FnMut(usize, &[f64]) -> bool + 'a;

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
    /// The largest degree used in each activation layer; that of a composite block is twice the product
    /// of the degrees of its stages.
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
        match self {
            Degrees::All(_) => Ok(()),
            Degrees::ByLayer(degrees) if degrees.len() == widths.len() => Ok(()),
            Degrees::ByLayer(degrees) => Err(Error::invalid(
                "degrees",
                format!("{} degrees", degrees.len()),
                format!("one, or one for each of {} activation layers", widths.len()),
            )),
            Degrees::ByNeuron(degrees) => {
                let found: Vec<usize> = degrees.iter().map(Vec::len).collect();
                if found == widths {
                    return Ok(());
                }
                let expected = format!("{widths:?}: one for each neuron of each activation layer");
                Err(Error::invalid("degrees", format!("{found:?} degrees by layer"), expected))
            }
        }
    }
}

/// An SLNN with the weights of `network` and a bound of its error over the box.
///
/// The activation of every neuron is replaced by a polynomial fitted on the range of its
/// pre-activation, *after* that range has been enlarged by the error that earlier layers make.
/// Networks without a conventional activation come back unchanged, with bound 0.
/// A layer with composite blocks becomes several layers.
///
/// Cost: the ranges, one fit for each neuron, one product of matrices for each layer.
///
/// # Errors
/// A box, degrees or blocks that do not fit the network, learned activations in it, blocks with methods
/// C2 or D, numbers that f64 does not hold, an overflow.
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
    let widths: Vec<usize> = widths.collect();
    request.degrees.check(&widths)?;
    check_blocks(request, widths.len())?;
    let mut errors = Errors::none(chain.inputs);
    let mut layers = Vec::new();
    let mut spans = Vec::new();
    let mut neurons = Vec::new();
    let mut degrees = Vec::new();
    let mut all_fits = Vec::new();
    for (l, (step, ranged)) in chain.steps.iter().zip(ranges).enumerate() {
        let before = layers.len();
        match (step, ranged) {
            (Step::Activation(units), Some(ranged)) => {
                let radii = errors.radii(request.method);
                let hidden = degrees.len();
                let within = |e: Error| e.within(format!("layers[{l}]"));
                let sign = request.blocks.get(hidden).copied().flatten();
                let sign = sign.map(Sign::within).transpose().map_err(within)?;
                let made = units.par_iter().zip(ranged).zip(&radii).enumerate();
                let made = made.map(|(i, ((unit, ranged), radius))| {
                    let degree = request.degrees.of(hidden, i);
                    replace(*unit, ranged, *radius, degree, request.fit, sign.as_ref())
                });
                let made =
                    made.collect::<Vec<Result<_>>>().into_iter().enumerate().map(|(i, made)| {
                        made.map_err(|e: Error| within(e.within(format!("neuron {i}"))))
                    });
                let (made, layer): (Vec<Replaced>, Vec<Neuron>) =
                    made.collect::<Result<Vec<_>>>()?.into_iter().unzip();
                let locals: Vec<Local> =
                    layer.iter().map(|n| Local { error: n.error, slope: n.slope }).collect();
                errors = errors.activation(&locals);
                degrees.push(made.iter().map(Replaced::degree).max().unwrap_or(0));
                neurons.push(Some(layer));
                if let Some(fits) = fits_of(&made) {
                    layers.push(learned(units, &fits)?);
                    all_fits.push(fits);
                } else {
                    layers.extend(blocks(&made, sign.as_ref().map_or(&[], |s| &s.stages))?);
                    all_fits.push(Vec::new());
                }
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
        spans.push(layers.len() - before);
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
        let parts = if request.method == Method::D { request.parts } else { 1 };
        let splits;
        (bound, splits) = divide(chain, &units, domain, &bound, parts, watch);
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
        spans,
        layers: neurons,
        division,
        bound: bound.clone(),
    };
    let slnn = slnn.with_about(about(network, domain, &bound));
    Ok(Approximation { slnn, bound, by_method, certificate, degrees })
}

/// # Errors
/// When there is not one entry for each activation layer, or method C2 or D is to propagate blocks.
fn check_blocks(request: &Request, layers: usize) -> Result<()> {
    if request.blocks.is_empty() {
        return Ok(());
    }
    if request.blocks.len() != layers {
        let expected = format!("{layers}, one for each activation layer");
        return Err(Error::invalid("blocks", request.blocks.len().to_string(), expected));
    }
    if request.method > Method::C {
        let expected = "A, B or C, by which the errors of composite blocks are propagated";
        return Err(Error::invalid("method", request.method.name(), expected));
    }
    Ok(())
}

/// What takes the place of an activation.
enum Replaced {
    Fit(Fit),
    Block(Composite),
}

impl Replaced {
    fn degree(&self) -> usize {
        match self {
            Replaced::Fit(fit) => fit.degree(),
            // The product by x and the square.
            Replaced::Block(block) => block
                .sign
                .degrees()
                .iter()
                .fold(2, |product: usize, d| product.saturating_mul((*d).max(1))),
        }
    }
}

/// What takes the place of one neuron's activation, and what is known of it, `radius` being a bound of the
/// difference that arrives.
fn replace(
    unit: Activation,
    ranged: &Ranged,
    radius: f64,
    degree: usize,
    method: FitMethod,
    sign: Option<&Sign>,
) -> Result<(Replaced, Neuron)> {
    let interval = ranged.range.widened(radius);
    let slopes = slope_range(unit, interval);
    let kinked = slope_below(unit).is_some() && interval.lower < 0.0 && 0.0 < interval.upper;
    let (made, error, slope) = match sign.filter(|_| kinked) {
        Some(sign) => {
            let block = Composite::new(unit, interval, sign)?;
            // Room for a check that proves the error in another way.
            let error = mul_up(block.error, ROOM);
            (Replaced::Block(block), error, slopes)
        }
        None => {
            // The identity is what the SLNN has, of whatever degree the others are.
            let degree = if unit == Activation::Identity { degree.max(1) } else { degree };
            let mut fit = fit(unit, interval, degree, method)?;
            if fit.error > 0.0 {
                fit.error = with_room(fit.error, value_range(unit, interval).magnitude());
            }
            let mut slope = narrower(slopes, polynomial_slopes(&fit));
            if !unit.is_piecewise_polynomial() {
                // The same room for slopes, whose enclosures differ in their last digits.
                slope = slope.widened(mul_up(slope.magnitude(), SLOPE_ROOM));
            }
            let error = fit.error;
            (Replaced::Fit(fit), error, slope)
        }
    };
    let lines = [ranged.relaxation.lower.slope, ranged.relaxation.upper.slope];
    let proofs = ranged.proofs.clone();
    Ok((made, Neuron { range: ranged.range, lines, interval, error, slope, proofs }))
}

/// The share of the largest slope by which slopes of curves are widened: 2^-40.
const SLOPE_ROOM: f64 = 1.0 / (1_u64 << 40) as f64;

/// The share by which the error of a composite block is enlarged.
const ROOM: f64 = 1.001;

/// The identity.
fn the_same() -> Fit {
    Fit {
        centre: 0.0,
        scale: 1.0,
        coefficients: vec![0.0, 1.0],
        interval: Interval::ZERO,
        error: 0.0,
        lower_bound: 0.0,
        at_floor: true,
    }
}

/// The fits, where all neurons have one.
fn fits_of(made: &[Replaced]) -> Option<Vec<Fit>> {
    let fit = |made: &Replaced| match made {
        Replaced::Fit(fit) => Some(fit.clone()),
        Replaced::Block(_) => None,
    };
    made.iter().map(fit).collect()
}

/// The layers in the place of one with composite blocks: the pre-activations x of all neurons with t = x scale of
/// the blocks behind them; a layer for the other neurons; the stages of the sign on the t; x + s
/// and x - s; their squares; and the sums.
fn blocks(made: &[Replaced], stages: &[Vec<f64>]) -> Result<Vec<Layer>> {
    let width = made.len();
    let composites = made.iter().enumerate().filter_map(|(i, made)| match made {
        Replaced::Block(block) => Some((i, block)),
        Replaced::Fit(_) => None,
    });
    let composites: Vec<(usize, &Composite)> = composites.collect();
    let all = width + composites.len();
    let affine = |weight: Array2<f64>| {
        let rows = weight.nrows();
        Ok::<_, Error>(Layer::Affine(Affine::new(weight, Array1::<f64>::zeros(rows))?))
    };
    let slaf = |degree: usize, row: &dyn Fn(usize, &mut [f64])| {
        let mut coefficients = Array2::zeros((all, degree.max(1) + 1));
        for (i, mut places) in coefficients.rows_mut().into_iter().enumerate() {
            // The rows of a new array are slices.
            if let Some(places) = places.as_slice_mut() {
                row(i, places);
            }
        }
        Ok::<_, Error>(Layer::Slaf(Slaf::new(Basis::Monomial, coefficients)?))
    };
    let mut apart = Array2::zeros((all, width));
    let mut signs = Array2::eye(all);
    let mut sums = Array2::zeros((width, all));
    for i in 0..width {
        (apart[[i, i]], sums[[i, i]]) = (1.0, 1.0);
    }
    for (k, (i, block)) in composites.iter().enumerate() {
        apart[[width + k, *i]] = block.scale;
        signs[[*i, width + k]] = 1.0;
        (signs[[width + k, *i]], signs[[width + k, width + k]]) = (1.0, -1.0);
        sums[[*i, width + k]] = 1.0;
    }
    let mut layers = vec![affine(apart)?];
    if made.iter().any(|made| matches!(made, Replaced::Fit(_))) {
        let fit = |i: usize| match made.get(i) {
            Some(Replaced::Fit(fit)) => fit.clone(),
            _ => the_same(),
        };
        layers.push(chebyshev(&(0..all).map(fit).collect::<Vec<_>>())?);
    }
    for stage in stages {
        layers.push(slaf(stage.len() - 1, &|i, places| {
            if i < width {
                places[1] = 1.0;
            } else {
                places[..stage.len()].copy_from_slice(stage);
            }
        })?);
    }
    layers.push(affine(signs)?);
    let mut squares: Vec<(f64, f64)> = vec![(1.0, 0.0); all];
    for (k, (i, block)) in composites.iter().enumerate() {
        squares[*i] = (block.linear, block.square);
        squares[width + k] = (block.linear, -block.square);
    }
    layers.push(slaf(2, &|i, places| (places[1], places[2]) = squares[i])?);
    layers.push(affine(sums)?);
    Ok(layers)
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
    let mut weights = sensitivities(chain, layers).into_iter();
    let units = chain.steps.iter().zip(layers).zip(fits).enumerate();
    let of_layer = units.map(|(l, ((step, neurons), fits))| {
        let (Step::Activation(functions), Some(neurons)) = (step, neurons) else {
            return Ok(Vec::new());
        };
        // One for each activation layer.
        let weights = weights.next().map(|of_outputs| of_outputs.sum_axis(Axis(0)));
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
                weight: weights.as_ref().map_or(1.0, |weights| weights[i]),
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
    chebyshev(fits)
}

fn chebyshev(fits: &[Fit]) -> Result<Layer> {
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
