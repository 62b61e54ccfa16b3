//! The independent check of a certificate: every number in it is a claim, and is recomputed.
//!
//! Nothing is shared with the code that made the certificate but the types of numbers and networks.
//! For the reference F, the SLNN P and the box, [`check`] verifies in this order
//!
//! 1. the shapes: equal affine layers, for each activation layer one polynomial layer or several layers
//!    that keep the neurons apart, finite numbers;
//! 2. `range`: F's pre-activations over the box lie in it (intervals, backward relaxation, and the
//!    same on each part of the box where `lower` or `upper` split it);
//! 3. `slope`: the slopes of the activation on the interval lie in it, or those of its polynomial;
//! 4. `interval`: the range and the difference that arrives, by the certificate's method, fit in it;
//! 5. `bound`: the difference at each output, by the method, is at most it;
//!    Methods C2 and D begin with that of C, and go on part by part;
//! 6. `error`: |p - s| is at most it on the interval, for the polynomial p exactly, or for the
//!    composition of polynomials that stands in the place of one.
//!
//! Each step uses only claims that other steps verify, and the order of the argument is the order
//! of the layers: the ranges speak of F alone; given them, the differences of the layers before
//! decide how far P's pre-activations can be from F's, so that both lie in the interval, on which the
//! error and the slopes hold, which give the differences behind the layer.
//!
//! Where it is affordable, by a count of operations, the arithmetic is exact: all numbers of the
//! networks are dyadic, so are sums and products of them. Elsewhere it is fixed-point with the
//! rounding charged, never plain floating point. [`Arithmetic`] says which was used.

mod bernstein;
mod block;
mod composite;
pub mod coq;
mod differences;
mod division;
mod fixed;
mod form;
mod polynomial;
mod ranges;
mod residual;

use std::fmt;

use num_bigint::BigInt;
use num_traits::Zero;
use rayon::prelude::*;

use self::block::{Digits, Precision, Row};
use self::composite::Replacement;
use self::differences::{Claim, Differences};
use self::polynomial::Chebyshev;
use self::ranges::{Intervals, Walk, Wanted};
use self::residual::Decision;
use crate::bound::{Certificate, Domain, Method, Neuron, Proof};
use crate::network::{Activation, Affine, Layer, Matrix, Numbers, Part};
use crate::numeric::Dyadic;
use crate::numeric::outward::Interval;

/// Operations on words up to which ranges, and likewise differences, are computed exactly.
const EXACT_WORK: u64 = 1 << 29;
/// The same for all errors together, and for one neuron that rounded arithmetic leaves undecided.
const EXACT_ERRORS: u64 = 1 << 33;
const EXACT_ERROR: u64 = 1 << 31;
/// The most that checking the errors may take, in squares of degrees; about an hour on one core.
const MOST_ERRORS: u64 = 1 << 34;
/// What a composition counts among them.
const WORK_OF_COMPOSITION: u64 = 1 << 16;
/// Splits between the root of a proof and a leaf, at most: a file cannot nest as deep.
const DEEPEST_PROOF: usize = 128;
/// Neurons, or parts of the box, between two reports of progress.
const AT_ONCE: usize = 64;

/// The answer of [`check`].
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether every claim was confirmed, so that the bound is proven.
    pub valid: bool,
    /// The first claim that was not confirmed.
    pub reason: Option<Failure>,
    /// What is proven: the bound of each output, as the certificate claims it; empty when not valid.
    pub bound: Vec<f64>,
    /// How the claims were recomputed.
    pub arithmetic: Arithmetic,
}

/// A claim that was not confirmed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The layer, counted from 0; `None` where the failure is of no single layer.
    pub layer: Option<usize>,
    /// The neuron in the layer or, without a layer, the output; counted from 0.
    pub neuron: Option<usize>,
    /// What was found and what the certificate says.
    pub what: String,
}

impl Failure {
    fn new(layer: Option<usize>, neuron: Option<usize>, what: impl Into<String>) -> Self {
        Failure { layer, neuron, what: what.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.layer, self.neuron) {
            (Some(layer), Some(neuron)) => write!(f, "layers[{layer}], neuron {neuron}: ")?,
            (Some(layer), None) => write!(f, "layers[{layer}]: ")?,
            (None, Some(output)) => write!(f, "output {output}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.what)
    }
}

/// How a part of the recomputation was rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing was rounded.
    Exact,
    /// Sums and products are exact; values of transcendental activations are enclosed to more than
    /// 100 bits.
    Enclosed,
    /// Rounded to 50 bits and more, with the rounding charged outward.
    Outward,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Exact => "exact",
            Mode::Enclosed => "exact but for enclosed activation values",
            Mode::Outward => "rounded outward",
        })
    }
}

/// How the claims were recomputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// The ranges.
    pub ranges: Mode,
    /// The neurons whose error was confirmed in exact arithmetic.
    pub exact_errors: usize,
    /// The neurons whose error was confirmed in arithmetic rounded outward.
    pub outward_errors: usize,
    /// The differences, behind the intervals and the bound.
    pub propagation: Mode,
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arithmetic { ranges, exact_errors, outward_errors, propagation } = self;
        write!(f, "ranges {ranges}, errors ")?;
        match (exact_errors, outward_errors) {
            (_, 0) => write!(f, "exact")?,
            (0, _) => write!(f, "rounded outward")?,
            _ => write!(
                f,
                "exact on {exact_errors} neurons and rounded outward on {outward_errors}"
            )?,
        }
        write!(f, ", propagation {propagation}")
    }
}

/// Checks a certificate; see the [module](self) for what that is.
///
/// Never panics, and trusts nothing in the certificate. What is too large to be checked (degrees
/// above 4096, numbers of thousands of digits) is not valid, with that reason. A claim that is true
/// but cannot be confirmed, because it leaves too little room, is not valid either.
///
/// Neurons are checked in parallel; the answer does not depend on it.
pub fn check(certificate: &Certificate) -> Verdict {
    check_watched(certificate, &mut |_, _| {})
}

/// As [`check`], calling `watch(done, all)` now and then with the number of parts of the box and of
/// errors of neurons that have been checked, and of those that there are.
pub fn check_watched(certificate: &Certificate, watch: &mut dyn FnMut(usize, usize)) -> Verdict {
    let mut arithmetic = Arithmetic {
        ranges: Mode::Outward,
        exact_errors: 0,
        outward_errors: 0,
        propagation: Mode::Outward,
    };
    let parts = certificate
        .division
        .as_ref()
        .map_or(0, |division| division.splits.iter().filter(|split| split.is_none()).count());
    let neurons: usize = certificate.layers.iter().flatten().map(Vec::len).sum();
    let mut progress = Progress { watch, done: 0, all: parts + neurons };
    let reason = examine(certificate, &mut arithmetic, &mut progress).err();
    Verdict {
        valid: reason.is_none(),
        bound: if reason.is_none() { certificate.bound.clone() } else { vec![] },
        reason,
        arithmetic,
    }
}

type Outcome<T> = Result<T, Failure>;

/// A layer of both networks.
enum Pair<'a> {
    Affine(&'a Affine),
    Neurons(Neurons<'a>),
}

struct Neurons<'a> {
    functions: Vec<Activation>,
    /// What the SLNN has in their place.
    replacements: Vec<Replacement>,
    claims: &'a [Neuron],
}

/// Tells how much has been checked.
struct Progress<'a> {
    watch: &'a mut dyn FnMut(usize, usize),
    done: usize,
    all: usize,
}

impl Progress<'_> {
    fn advance(&mut self, by: usize) {
        self.done += by;
        (self.watch)(self.done, self.all);
    }
}

fn examine(
    certificate: &Certificate,
    arithmetic: &mut Arithmetic,
    progress: &mut Progress,
) -> Outcome<()> {
    progress.advance(0);
    let pairs = pairs(certificate)?;
    let inputs = certificate.domain.len();

    let transcendental = pairs.iter().any(|pair| match pair {
        Pair::Affine(_) => false,
        Pair::Neurons(neurons) => neurons.functions.iter().any(|f| !form::is_exact(*f)),
    });
    let numbers = Spreads::of(&pairs);
    let exact = numbers.work_of_ranges(inputs) <= EXACT_WORK;
    arithmetic.ranges = match (exact, transcendental) {
        (false, _) => Mode::Outward,
        (true, true) => Mode::Enclosed,
        (true, false) => Mode::Exact,
    };
    if exact {
        check_ranges::<BigInt>(&certificate.domain, &pairs)?;
    } else {
        check_ranges::<i64>(&certificate.domain, &pairs)?;
    }
    check_slopes(&pairs)?;
    let exact = numbers.work_of_differences(inputs, over_the_box(certificate.method)) <= EXACT_WORK;
    arithmetic.propagation = if exact { Mode::Exact } else { Mode::Outward };
    let known = if exact {
        check_differences::<BigInt>(certificate, &pairs)?
    } else {
        check_differences::<i64>(certificate, &pairs)?
    };
    if certificate.method > Method::C {
        arithmetic.propagation = Mode::Outward;
        division::check(certificate, &pairs, &known, progress)?;
    } else if certificate.division.is_some() {
        let what = format!("a division, which method {} has none of", certificate.method.name());
        return Err(Failure::new(None, None, what));
    }
    check_errors(&pairs, arithmetic, progress)
}

/// The number that an f64 is; callers have seen that it is finite.
fn dyadic(x: f64) -> Dyadic {
    Dyadic::from_f64(x).unwrap_or_else(Dyadic::zero)
}

// ---------------------------------------------------------------------------------------------
// Shapes
// ---------------------------------------------------------------------------------------------

/// The layers of both networks, side by side, with every shape checked.
fn pairs(certificate: &Certificate) -> Outcome<Vec<Pair<'_>>> {
    let (reference, slnn) = (&certificate.reference, &certificate.slnn);
    let whole = |what: String| Err(Failure::new(None, None, what));
    if reference.input_names() != slnn.input_names() {
        return whole("the inputs of the two networks are not the same".into());
    }
    if reference.outputs() != slnn.outputs() {
        return whole("the outputs of the two networks are not the same".into());
    }
    if reference.head() != slnn.head() {
        return whole("the heads of the two networks are not the same".into());
    }
    let (inputs, ends) = (reference.inputs().len(), certificate.domain.len());
    if inputs != ends {
        return whole(format!("a box of {ends} intervals for {inputs} inputs"));
    }
    if certificate.domain.intervals().iter().any(|interval| !interval.is_finite()) {
        return whole("a box that is not finite".into());
    }
    let (layers, spans) = (reference.layers().len(), &certificate.spans);
    let spanned = spans.iter().fold(0_usize, |sum, span| sum.saturating_add(*span));
    if slnn.layers().len() != spanned || spans.len() != layers || certificate.layers.len() != layers
    {
        return whole(format!(
            "{layers} layers of the network, {} of the slnn and {} in the certificate, {} spans of \
             {spanned} layers in all",
            slnn.layers().len(),
            certificate.layers.len(),
            spans.len(),
        ));
    }
    let (outputs, bounds) = (reference.outputs().len(), certificate.bound.len());
    if outputs != bounds {
        return whole(format!("{bounds} bounds for {outputs} outputs"));
    }
    if let Some(o) = certificate.bound.iter().position(|bound| !bound.is_finite()) {
        let what = format!("the bound {} is not finite", certificate.bound[o]);
        return Err(Failure::new(None, Some(o), what));
    }
    let widths = reference.widths();
    let mut pairs = Vec::with_capacity(layers);
    let mut first = 0;
    for l in 0..layers {
        let claims = certificate.layers[l].as_deref();
        let layer = (&reference.layers()[l], &slnn.layers()[first..first + spans[l]]);
        first += spans[l];
        pairs.push(
            pair(layer, claims, widths[l])
                .map_err(|(neuron, what)| Failure::new(Some(l), neuron, what))?,
        );
        for (i, claim) in claims.into_iter().flatten().enumerate() {
            for (end, proof) in ["lower", "upper"].iter().zip(&claim.proofs) {
                let Some(proof) = proof else { continue };
                check_proof(proof, &pairs[..l], &mut Vec::new()).map_err(|what| {
                    Failure::new(Some(l), Some(i), format!("the proof of the {end} end: {what}"))
                })?;
            }
        }
    }
    Ok(pairs)
}

/// Whether a proof speaks of neurons of the layers `before` only, splits what can be split, at most
/// once on a path, and has multipliers of assumptions only, none negative.
fn check_proof(
    proof: &Proof,
    before: &[Pair],
    split: &mut Vec<(usize, usize)>,
) -> Result<(), String> {
    let activation = |layer: usize, neuron: usize| match before.get(layer) {
        Some(Pair::Neurons(neurons)) => neurons.functions.get(neuron).copied(),
        _ => None,
    };
    let named = |layer: usize, neuron: usize| {
        activation(layer, neuron)
            .ok_or_else(|| format!("no activation [{layer}, {neuron}] in the layers before"))
    };
    match proof {
        Proof::Split { layer, neuron, below, above } => {
            let function = named(*layer, *neuron)?;
            if form::halves(function).is_none() {
                let name = function.name();
                return Err(format!(
                    "a split at [{layer}, {neuron}], where {name} is no two lines"
                ));
            }
            if split.contains(&(*layer, *neuron)) {
                return Err(format!("a second split at [{layer}, {neuron}] on one path"));
            }
            if split.len() >= DEEPEST_PROOF {
                return Err(format!("more than {DEEPEST_PROOF} splits on one path"));
            }
            split.push((*layer, *neuron));
            check_proof(below, before, split)?;
            check_proof(above, before, split)?;
            split.pop();
        }
        Proof::Leaf { slopes, multipliers } => {
            for (lists, numbers) in [("slope", slopes), ("multiplier", multipliers)] {
                let mut places: Vec<_> = numbers.iter().map(|(k, i, _)| (*k, *i)).collect();
                places.sort_unstable();
                if let Some(twice) = places.windows(2).find(|pair| pair[0] == pair[1]) {
                    let (layer, neuron) = twice[0];
                    return Err(format!("a second {lists} of [{layer}, {neuron}] in one leaf"));
                }
            }
            for &(layer, neuron, slope) in slopes {
                named(layer, neuron)?;
                if !slope.is_finite() {
                    return Err(format!("the slope {slope} of [{layer}, {neuron}]"));
                }
                if split.contains(&(layer, neuron)) {
                    return Err(format!("a slope of [{layer}, {neuron}], which is split"));
                }
            }
            for &(layer, neuron, multiplier) in multipliers {
                if !split.contains(&(layer, neuron)) {
                    return Err(format!("a multiplier of [{layer}, {neuron}], which is not split"));
                }
                if !(multiplier.is_finite() && multiplier >= 0.0) {
                    return Err(format!("the multiplier {multiplier} of [{layer}, {neuron}]"));
                }
            }
        }
    }
    Ok(())
}

/// The backward relaxations that confirming a proof takes.
fn leaves(proof: &Proof) -> u64 {
    match proof {
        Proof::Leaf { .. } => 1,
        Proof::Split { below, above, .. } => leaves(below) + leaves(above),
    }
}

fn pair<'a>(
    (reference, slnn): (&'a Layer, &'a [Layer]),
    claims: Option<&'a [Neuron]>,
    width: usize,
) -> Result<Pair<'a>, (Option<usize>, String)> {
    let layer = |what: &str| Err((None, what.to_owned()));
    if let Layer::Affine(affine) = reference {
        let [Layer::Affine(other)] = slnn else {
            return layer("an affine layer that is not one in the slnn");
        };
        if claims.is_some() {
            return layer("claims about the neurons of an affine layer");
        }
        if let Some(row) = differing_row(affine, other) {
            let what = "the weights or the bias are not the same in the two networks";
            return Err((Some(row), what.to_owned()));
        }
        return Ok(Pair::Affine(affine));
    }
    let functions = functions(reference, width).map_err(|what| (None, what))?;
    let replacements = match slnn {
        [layer] => {
            let polynomials = polynomial::of_layer(layer, width).map_err(|what| (None, what))?;
            polynomials.into_iter().map(Replacement::Polynomial).collect()
        }
        span => composite::replacements(span, width)?,
    };
    let Some(claims) = claims else {
        return layer("no claims about the neurons of an activation layer");
    };
    if claims.len() != width || functions.len() != width || replacements.len() != width {
        return Err((None, format!("claims about {} neurons of {width}", claims.len())));
    }
    for (i, claim) in claims.iter().enumerate() {
        let intervals =
            [("range", claim.range), ("interval", claim.interval), ("slope", claim.slope)];
        for (name, interval) in intervals {
            if !interval.is_finite() {
                let what = format!(
                    "the {name} [{}, {}] is no finite interval",
                    interval.lower, interval.upper
                );
                return Err((Some(i), what));
            }
        }
        if claim.lines.iter().any(|slope| !slope.is_finite()) {
            return Err((Some(i), "a line whose slope is not finite".into()));
        }
        if !(claim.error.is_finite() && claim.error >= 0.0) {
            return Err((Some(i), format!("the error {} is no finite size", claim.error)));
        }
        if functions[i].parameter().is_some_and(|(_, value)| !value.is_finite()) {
            return Err((Some(i), "a parameter of the activation that is not finite".into()));
        }
    }
    Ok(Pair::Neurons(Neurons { functions, replacements, claims }))
}

/// The first row in which two affine maps differ as exact numbers, or 0 where their shapes do.
fn differing_row(a: &Affine, b: &Affine) -> Option<usize> {
    let shape = |affine: &Affine| (affine.weight().rows(), affine.weight().columns());
    if shape(a) != shape(b) {
        return Some(0);
    }
    let weights = match (a.weight(), b.weight()) {
        (Numbers::Float(a), Numbers::Float(b)) => {
            a.outer_iter().zip(b.outer_iter()).position(|(a, b)| a != b)
        }
        (a, b) => {
            let (a, b) = (a.to_exact(), b.to_exact());
            a.outer_iter().zip(b.outer_iter()).position(|(a, b)| a != b)
        }
    };
    let (a, b) = (a.bias().to_exact(), b.bias().to_exact());
    let biases = a.iter().zip(&b).position(|(a, b)| a != b);
    match (weights, biases) {
        (Some(weights), Some(biases)) => Some(weights.min(biases)),
        (weights, biases) => weights.or(biases),
    }
}

/// The activations of a layer of the reference, one a neuron.
fn functions(layer: &Layer, width: usize) -> Result<Vec<Activation>, String> {
    let polynomial = || Err("a slaf in the network, which has activations only".to_owned());
    match layer {
        Layer::Activation(function) => Ok(vec![*function; width]),
        Layer::Affine(_) | Layer::Slaf(_) => polynomial(),
        Layer::Mixed(mixed) => {
            let mut functions = vec![Activation::Identity; width];
            for group in mixed.groups() {
                let Part::Activation(function) = &group.part else { return polynomial() };
                for &neuron in &group.neurons {
                    if let Some(place) = functions.get_mut(neuron) {
                        *place = *function;
                    }
                }
            }
            Ok(functions)
        }
        other => Err(format!("a layer of the kind {}, which is not checked", other.kind())),
    }
}

// ---------------------------------------------------------------------------------------------
// The work of exact arithmetic
// ---------------------------------------------------------------------------------------------

/// How many bits the numbers of the layers span, and their shapes.
struct Spreads {
    /// For an affine layer rows, columns and bits, for an activation layer bits of slopes.
    layers: Vec<(Option<(u64, u64)>, u64)>,
    /// For an activation layer, the backward relaxations that its ranges take.
    walks: Vec<u64>,
}

impl Spreads {
    fn of(pairs: &[Pair]) -> Self {
        let spread = |numbers: &mut dyn Iterator<Item = f64>| {
            let mut ends = (0_i64, -1_i64);
            for x in numbers.filter(|x| *x != 0.0) {
                let top = exponent(x);
                ends =
                    if ends.0 > ends.1 { (top, top) } else { (ends.0.min(top), ends.1.max(top)) };
            }
            (ends.1 - ends.0).max(0) as u64 + 53
        };
        let layer = |pair: &Pair| match pair {
            Pair::Affine(affine) => {
                let shape = (affine.weight().rows() as u64, affine.weight().columns() as u64);
                let bits = match affine.weight() {
                    Numbers::Float(weight) => spread(&mut weight.iter().copied()),
                    Numbers::Exact(weight) => {
                        let length =
                            |x: &num_rational::BigRational| x.numer().bits() + x.denom().bits();
                        2 * weight.iter().map(length).max().unwrap_or(0)
                    }
                };
                (Some(shape), bits)
            }
            Pair::Neurons(neurons) => {
                let numbers = neurons.claims.iter().flat_map(|claim| {
                    [claim.lines[0], claim.lines[1], claim.slope.lower, claim.slope.upper]
                });
                (None, spread(&mut numbers.collect::<Vec<_>>().into_iter()))
            }
        };
        let walks = |pair: &Pair| match pair {
            Pair::Affine(_) => 0,
            Pair::Neurons(neurons) => {
                let proofs = neurons.claims.iter().flat_map(|claim| claim.proofs.iter().flatten());
                2 * neurons.claims.len() as u64 + proofs.map(leaves).sum::<u64>()
            }
        };
        Spreads {
            layers: pairs.iter().map(layer).collect(),
            walks: pairs.iter().map(walks).collect(),
        }
    }

    /// A product of numbers of so many bits, its addition and its memory included.
    fn product(bits: u64, others: u64) -> u64 {
        16 + (bits / 64 + 1) * (others / 64 + 1)
    }

    fn work_of_ranges(&self, inputs: usize) -> u64 {
        let mut work = 0_u64;
        let mut width = inputs as u64;
        for (l, (shape, bits)) in self.layers.iter().enumerate() {
            if let Some((rows, columns)) = shape {
                work = work.saturating_add(2 * rows * columns * Self::product(*bits, 64));
                width = *rows;
                continue;
            }
            // The walks back from here, for both ends of every neuron.
            let walks = self.walks[l];
            let mut long = 0;
            for (k, (shape, bits)) in self.layers[..l].iter().enumerate().rev() {
                let products = match shape {
                    Some((rows, _)) if k + 1 == l => *rows,
                    Some((rows, columns)) => rows * columns,
                    None => width,
                };
                let one = Self::product(long, *bits);
                work = work.saturating_add(walks.saturating_mul(products.saturating_mul(one)));
                long += bits + 16;
            }
        }
        work
    }

    fn work_of_differences(&self, inputs: usize, method: Method) -> u64 {
        let mut work = 0_u64;
        let (mut long, mut symbols, mut width) = (53, 0_u64, inputs as u64);
        for (shape, bits) in &self.layers {
            let products = match shape {
                Some((rows, columns)) => {
                    let part = if method == Method::C { symbols + 1 } else { 0 };
                    width = *rows;
                    rows.saturating_mul(*columns).saturating_mul(part + 1)
                }
                None => {
                    symbols += width;
                    width.saturating_mul(symbols)
                }
            };
            work = work.saturating_add(products.saturating_mul(Self::product(long, *bits)));
            long += bits + 16;
        }
        work
    }
}

/// The binary exponent of x.
fn exponent(x: f64) -> i64 {
    ((x.to_bits() >> 52) & 0x7ff) as i64
}

// ---------------------------------------------------------------------------------------------
// Ranges, slopes, differences
// ---------------------------------------------------------------------------------------------

fn precision(pairs: &[Pair], inputs: usize) -> Precision {
    let width = |pair: &Pair| match pair {
        Pair::Affine(affine) => affine.weight().rows(),
        Pair::Neurons(_) => 0,
    };
    Precision::for_sums_of(pairs.iter().map(width).max().unwrap_or(0).max(inputs))
}

fn rows<D: Digits>(weight: &Matrix, l: usize, precision: Precision) -> Outcome<Vec<Row<D>>> {
    match weight {
        Numbers::Float(weight) => Ok(weight
            .outer_iter()
            .map(|row| Row::below(&row.iter().map(|x| dyadic(*x)).collect::<Vec<_>>(), precision))
            .collect()),
        Numbers::Exact(weight) => weight
            .outer_iter()
            .enumerate()
            .map(|(i, row)| {
                let numbers = row.iter().map(polynomial::admit).collect::<Result<Vec<_>, _>>();
                let numbers = numbers.map_err(|what| {
                    Failure::new(Some(l), Some(i), format!("among the weights {what}"))
                })?;
                Ok(Row::below(&numbers, precision))
            })
            .collect(),
    }
}

fn biases(affine: &Affine, l: usize) -> Outcome<Vec<Dyadic>> {
    let exact = affine.bias().to_exact();
    let admit = |(i, x)| {
        polynomial::admit(x)
            .map_err(|what| Failure::new(Some(l), Some(i), format!("the bias is {what}")))
    };
    exact.iter().enumerate().map(admit).collect()
}

fn check_ranges<D: Digits>(domain: &Domain, pairs: &[Pair]) -> Outcome<()> {
    let precision = precision(pairs, domain.len());
    let mut weights = Vec::with_capacity(pairs.len());
    for (l, pair) in pairs.iter().enumerate() {
        weights.push(match pair {
            Pair::Affine(affine) => rows::<D>(affine.weight(), l, precision)?,
            Pair::Neurons(_) => vec![],
        });
    }
    let ends = domain.intervals();
    let domain = Intervals {
        lower: ends.iter().map(|end| dyadic(end.lower)).collect(),
        upper: ends.iter().map(|end| dyadic(end.upper)).collect(),
    };
    let last = pairs.iter().rposition(|pair| matches!(pair, Pair::Neurons(_)));
    let mut walk = Walk::new(domain, precision);
    for (l, pair) in pairs.iter().enumerate() {
        let neurons = match pair {
            Pair::Affine(affine) => {
                walk.affine(&weights[l], &biases(affine, l)?);
                continue;
            }
            Pair::Neurons(neurons) => neurons,
        };
        let claimed = Intervals {
            lower: neurons.claims.iter().map(|claim| dyadic(claim.range.lower)).collect(),
            upper: neurons.claims.iter().map(|claim| dyadic(claim.range.upper)).collect(),
        };
        let proofs = neurons.claims.iter().map(|claim| &claim.proofs).collect();
        let found = walk.refined(&Wanted { ends: &claimed, proofs });
        for (i, claim) in neurons.claims.iter().enumerate() {
            if found.lower[i] < claimed.lower[i] || found.upper[i] > claimed.upper[i] {
                let [lower, upper] = [&found.lower[i], &found.upper[i]].map(shown);
                let what = format!(
                    "the range is recomputed as [{lower}, {upper}], the certificate says [{}, {}]",
                    claim.range.lower, claim.range.upper
                );
                return Err(Failure::new(Some(l), Some(i), what));
            }
        }
        if Some(l) == last {
            break;
        }
        let lines: Vec<_> = neurons.claims.iter().map(|claim| claim.lines.map(dyadic)).collect();
        walk.activations(&neurons.functions, &claimed, &lines).map_err(|i| {
            Failure::new(Some(l), Some(i), "the activation cannot be enclosed on the range")
        })?;
    }
    Ok(())
}

/// A number for people, with all the digits of an f64.
fn shown(x: &Dyadic) -> String {
    x.to_f64().map_or_else(|| "a number beyond f64".into(), |x| x.to_string())
}

fn check_slopes(pairs: &[Pair]) -> Outcome<()> {
    for (l, pair) in pairs.iter().enumerate() {
        let Pair::Neurons(neurons) = pair else { continue };
        let found = |(function, claim): (&Activation, &Neuron)| {
            form::slopes(*function, &dyadic(claim.interval.lower), &dyadic(claim.interval.upper))
        };
        let found: Vec<_> =
            neurons.functions.par_iter().zip(neurons.claims.par_iter()).map(found).collect();
        for (i, (found, claim)) in found.into_iter().zip(neurons.claims).enumerate() {
            // On an interval of one point nothing is claimed.
            let Some((lower, upper)) = found else { continue };
            let of_polynomial = match &neurons.replacements[i] {
                Replacement::Polynomial(polynomial) => polynomial_slopes(polynomial, claim),
                Replacement::Composition(_) => None,
            };
            let holds = encloses(claim.slope, &lower, &upper)
                || of_polynomial
                    .is_some_and(|(lower, upper)| encloses(claim.slope, &lower, &upper));
            if !holds {
                let what = format!(
                    "the slopes on the interval are [{}, {}], the certificate says [{}, {}]",
                    shown(&lower),
                    shown(&upper),
                    claim.slope.lower,
                    claim.slope.upper
                );
                return Err(Failure::new(Some(l), Some(i), what));
            }
        }
    }
    Ok(())
}

fn encloses(claimed: Interval, lower: &Dyadic, upper: &Dyadic) -> bool {
    dyadic(claimed.lower) <= *lower && *upper <= dyadic(claimed.upper)
}

/// Whether the slopes claimed are those of the activation, which is so on an interval of one point.
fn carried_by_activation(neurons: &Neurons, i: usize) -> bool {
    let claim = &neurons.claims[i];
    let [lower, upper] = [claim.interval.lower, claim.interval.upper].map(dyadic);
    form::slopes(neurons.functions[i], &lower, &upper)
        .is_none_or(|(lower, upper)| encloses(claim.slope, &lower, &upper))
}

/// What p' can be on the interval of the claim: about the constant Chebyshev coefficient of p' by the
/// sizes of the others; `None` where the interval leaves that of the basis.
fn polynomial_slopes(polynomial: &Chebyshev, claim: &Neuron) -> Option<(Dyadic, Dyadic)> {
    let one = Dyadic::from(1);
    let ends = [claim.interval.lower, claim.interval.upper];
    if ends.iter().any(|z| polynomial.place(&dyadic(*z)).abs() > one) {
        return None;
    }
    // T_k' = 2 k (T_{k-1} + T_{k-3} + ...), the last term halved where it is T_0.
    let mut slopes = vec![Dyadic::zero(); polynomial.coefficients.len()];
    for (k, c) in polynomial.coefficients.iter().enumerate().skip(1) {
        for j in (0..k).rev().step_by(2) {
            let factor = if j == 0 { k } else { 2 * k };
            slopes[j] += &(c * &Dyadic::from(factor as i64));
        }
    }
    let (constant, others) = slopes.split_first()?;
    let spread = others.iter().fold(Dyadic::zero(), |sum, c| &sum + &c.abs());
    let ends = [constant - &spread, constant + &spread].map(|end| &end * &polynomial.scale);
    let [a, b] = ends;
    Some(if a <= b { (a, b) } else { (b, a) })
}

/// The method by which differences travel over the whole box; C2 and D begin with C.
fn over_the_box(method: Method) -> Method {
    method.min(Method::C)
}

/// Which outputs have their bound confirmed: all, but for methods C2 and D.
fn check_differences<D: Digits>(certificate: &Certificate, pairs: &[Pair]) -> Outcome<Vec<bool>> {
    let inputs = certificate.domain.len();
    let precision = precision(pairs, inputs);
    let method = over_the_box(certificate.method);
    let mut differences = Differences::<D>::new(method, inputs, precision);
    for (l, pair) in pairs.iter().enumerate() {
        let neurons = match pair {
            Pair::Affine(affine) => {
                differences.affine(&rows(affine.weight(), l, precision)?);
                continue;
            }
            Pair::Neurons(neurons) => neurons,
        };
        for (i, (bound, claim)) in differences.bounds().iter().zip(neurons.claims).enumerate() {
            let lower = &dyadic(claim.range.lower) - bound;
            let upper = &dyadic(claim.range.upper) + bound;
            if lower < dyadic(claim.interval.lower) || upper > dyadic(claim.interval.upper) {
                let what = format!(
                    "the range and the difference {} that arrives make [{}, {}], the interval is \
                     [{}, {}]",
                    shown(bound),
                    shown(&lower),
                    shown(&upper),
                    claim.interval.lower,
                    claim.interval.upper
                );
                return Err(Failure::new(Some(l), Some(i), what));
            }
        }
        let claims: Option<Vec<_>> = neurons.claims.iter().map(propagated).collect();
        let Some(claims) = claims else {
            return Err(Failure::new(Some(l), None, "a slope without a middle"));
        };
        differences.activations(&claims);
    }
    let mut known = vec![true; certificate.bound.len()];
    for (o, (found, claimed)) in differences.bounds().iter().zip(&certificate.bound).enumerate() {
        known[o] = *found <= dyadic(*claimed);
        if !known[o] && method == certificate.method {
            let found = shown(found);
            let what =
                format!("the bound is recomputed as {found}, the certificate says {claimed}");
            return Err(Failure::new(None, Some(o), what));
        }
    }
    Ok(known)
}

fn propagated(claim: &Neuron) -> Option<Claim> {
    Some(Claim {
        error: dyadic(claim.error),
        lower: dyadic(claim.slope.lower),
        upper: dyadic(claim.slope.upper),
        middle: differences::middle(claim.slope.lower, claim.slope.upper)?,
    })
}

// ---------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------

/// The claim that |p - s| <= error on an interval.
struct Residual<'a> {
    layer: usize,
    neuron: usize,
    replacement: &'a Replacement,
    function: Activation,
    claim: &'a Neuron,
}

impl Residual<'_> {
    fn pieces(&self) -> Vec<form::Piece> {
        let interval = self.claim.interval;
        let (lower, upper) = (dyadic(interval.lower), dyadic(interval.upper));
        form::pieces(self.function, &lower, &upper).unwrap_or_default()
    }

    /// Operations of an exact decision; `None` where there is none.
    fn exact_work(&self) -> Option<u64> {
        let Replacement::Polynomial(polynomial) = self.replacement else { return None };
        let of_piece = |piece: &form::Piece| match piece.form {
            form::Form::Line { .. } => Some(bernstein::cost(polynomial, piece)),
            _ => None,
        };
        let work = self.pieces().iter().map(of_piece).collect::<Option<Vec<_>>>()?;
        Some(work.into_iter().fold(0, u64::saturating_add))
    }

    /// The decision, and whether it was made in exact arithmetic.
    fn decide(&self, exact: bool) -> (Decision, bool) {
        let error = dyadic(self.claim.error);
        let pieces = self.pieces();
        if pieces.is_empty() {
            return (Decision::Undecided("no activation to be compared with"), false);
        }
        let polynomial = match self.replacement {
            Replacement::Polynomial(polynomial) => polynomial,
            Replacement::Composition(composition) => {
                let decisions = pieces.iter().map(|piece| composition.decide(piece, &error));
                let mut open = decisions.filter(|decision| *decision != Decision::Proven);
                return (open.next().unwrap_or(Decision::Proven), false);
            }
        };
        // All of a neuron or nothing, as the work was counted.
        let exact = exact && pieces.iter().all(|p| matches!(p.form, form::Form::Line { .. }));
        let mut all_exact = true;
        for piece in pieces {
            let cheap = || bernstein::cost(polynomial, &piece) <= EXACT_ERROR;
            let mut decision = None;
            if exact {
                decision = bernstein::decide(polynomial, &piece, &error);
            }
            let mut exactly = decision.is_some();
            let mut decision =
                decision.unwrap_or_else(|| self.decide_rounded(polynomial, &piece, &error));
            if let Decision::Undecided(_) = decision
                && !exactly
                && cheap()
                && let Some(decided) = bernstein::decide(polynomial, &piece, &error)
            {
                (decision, exactly) = (decided, true);
            }
            all_exact &= exactly;
            if decision != Decision::Proven {
                return (decision, all_exact);
            }
        }
        (Decision::Proven, all_exact)
    }

    fn decide_rounded(
        &self,
        polynomial: &Chebyshev,
        piece: &form::Piece,
        error: &Dyadic,
    ) -> Decision {
        if holds_values(polynomial, self.function, piece, error) {
            return Decision::Proven;
        }
        residual::decide(polynomial, piece, error)
    }

    fn failure(&self, decision: &Decision) -> Option<Failure> {
        let error = self.claim.error;
        let what = match decision {
            Decision::Proven => return None,
            Decision::Refuted { at, least } => {
                format!("the error at {at} is at least {least:e}, the certificate says {error:e}")
            }
            Decision::Undecided(why) => format!("the error {error:e} cannot be confirmed: {why}"),
        };
        Some(Failure::new(Some(self.layer), Some(self.neuron), what))
    }
}

/// Whether the polynomial is a constant that is at most `error` from all values of s on the piece,
/// which are best possible.
fn holds_values(
    polynomial: &Chebyshev,
    function: Activation,
    piece: &form::Piece,
    error: &Dyadic,
) -> bool {
    let [constant] = &polynomial.coefficients[..] else { return false };
    form::values(function, &piece.lower, &piece.upper).is_some_and(|(least, greatest)| {
        (constant - &least) <= *error && (&greatest - constant) <= *error
    })
}

fn check_errors(
    pairs: &[Pair],
    arithmetic: &mut Arithmetic,
    progress: &mut Progress,
) -> Outcome<()> {
    let mut residuals = Vec::new();
    for (layer, pair) in pairs.iter().enumerate() {
        let Pair::Neurons(neurons) = pair else { continue };
        for (neuron, claim) in neurons.claims.iter().enumerate() {
            let replacement = &neurons.replacements[neuron];
            let function = neurons.functions[neuron];
            residuals.push(Residual { layer, neuron, replacement, function, claim });
        }
    }
    let work = residuals.iter().map(|residual| match residual.replacement {
        Replacement::Polynomial(polynomial) => (polynomial.degree() as u64 + 8).pow(2),
        Replacement::Composition(_) => WORK_OF_COMPOSITION,
    });
    if work.fold(0, u64::saturating_add) > MOST_ERRORS {
        let what = "polynomials of too high degrees for so many neurons: it would take hours";
        return Err(Failure::new(None, None, what));
    }
    // All that can be exact is, or nothing.
    let works: Vec<_> = residuals.par_iter().map(Residual::exact_work).collect();
    let exact = works.into_iter().flatten().fold(0, u64::saturating_add) <= EXACT_ERRORS;
    for some in residuals.chunks(AT_ONCE) {
        let decisions: Vec<_> = some.par_iter().map(|residual| residual.decide(exact)).collect();
        for (residual, (decision, exactly)) in some.iter().zip(&decisions) {
            if let Some(failure) = residual.failure(decision) {
                return Err(failure);
            }
            if *exactly {
                arithmetic.exact_errors += 1;
            } else {
                arithmetic.outward_errors += 1;
            }
        }
        progress.advance(some.len());
    }
    Ok(())
}
