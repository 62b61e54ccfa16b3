//! Whether two networks or polynomials are the same function.
//!
//! Where both are polynomial and small enough the difference of their expansions
//! decides. Where they are too large, exact evaluation at random points modulo
//! random primes either proves them different or leaves a stated probability of
//! error; a few such points come before every expansion of more than a moment. Where
//! one is not a polynomial, the largest difference found on the box is reported, and
//! an exact value at that point proves inequality where it can.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use ndarray::Array2;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::expand::carry_out::Step;
use crate::expand::evaluate::EXACT_BITS;
use crate::expand::plan::{dense_terms, log2_sum, log2_upper, plan_exact};
use crate::expand::{
    Coefficients, ExactTerm, Expansion, Limits, Plan, Route, expand_watched, plan,
};
use crate::network::exact::{Algebra, ExactNetwork, Modulo};
use crate::network::{Activation, Affine, Head, Input, Layer, Network};
use crate::numeric::interval::Enclosure;
use crate::numeric::modular;
use crate::numeric::rational::{rational_from_f64, rational_to_f64};
use crate::polynomial::{Polynomial, graded_order, total_degree};

/// Points of the box at which the largest difference is looked for; fewer where polynomials have so many
/// terms that their values at all points take long.
const SAMPLES: usize = 20_000;
const FEWEST_SAMPLES: usize = 64;
const SAMPLED_TERMS: usize = 100_000_000;
/// Powers of small numbers up to this degree are written out.
const FAR_DEGREE: u32 = 100_000;

/// Primes are drawn from `[2^61, 2^62)`.
const PRIME_BITS: u32 = 62;

/// log2 of the error probability that random evaluation must reach.
const TARGET: f64 = -100.0;

/// Operations that an expansion may take where the limits say nothing: a minute or two.
const OPERATIONS: f64 = 1e9;

/// Operations below which an expansion is the quickest answer.
const CHEAP: f64 = 1e6;

/// Random points that come before an expansion that is not cheap, and before any claim about more.
const FIRST_TRIALS: usize = 2;

/// Points at which f64 overflows that are looked at exactly.
const OVERFLOWING: usize = 8;

/// Parameters times bits that exact values at a point may take: some seconds.
const POINT_WORK: f64 = (1_u64 << 34) as f64;

/// A function to compare: a network, or polynomials.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// A network.
    Network(Network),
    /// The polynomials of a network.
    Expansion(Expansion),
}

/// How a comparison was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The layers are the same, number for number.
    SameLayers,
    /// The difference of the two expansions.
    Expansion,
    /// Exact values at a point.
    Point,
    /// Exact values at random points modulo random primes.
    RandomModular,
    /// Values at sampled points of the box.
    Sampling,
}

impl Method {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Method::SameLayers => "same layers",
            Method::Expansion => "difference of the expansions",
            Method::Point => "exact values at a point",
            Method::RandomModular => "random evaluation modulo large primes",
            Method::Sampling => "sampling of the box",
        }
    }
}

/// The answer of [`compare`].
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Whether the two are equal, where that is decided.
    pub equal: Option<bool>,
    /// What decided, or what was tried.
    pub method: Method,
    /// For polynomials with f64 coefficients: whether each coefficient is the correctly rounded
    /// one.
    pub equal_after_rounding: Option<bool>,
    /// A bound on the probability that random evaluation missed a difference.
    pub error_probability: Option<f64>,
    /// The absolute difference at [`at`](Self::at).
    pub largest_difference: Option<f64>,
    /// A point at which the two differ, or where the largest difference was found; in the order of
    /// the first model's inputs.
    pub at: Option<Vec<BigRational>>,
    /// Whether inputs or outputs were matched by their position, since their names differ. Where
    /// they have the same names in another order, they are matched by name.
    pub by_position: bool,
    /// Where the answer is open: what stood in the way of another.
    pub reasons: Vec<String>,
}

/// What [`compare_watched`] tells before it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// This expansion will be carried out; not told of those that take no time.
    Plan(&'a Plan),
    /// A step of it.
    Step(Step),
}

impl Comparison {
    fn decided(equal: bool, method: Method) -> Self {
        Comparison { equal: Some(equal), ..Comparison::open(method) }
    }

    fn open(method: Method) -> Self {
        Comparison {
            equal: None,
            method,
            equal_after_rounding: None,
            error_probability: None,
            largest_difference: None,
            at: None,
            by_position: false,
            reasons: Vec::new(),
        }
    }
}

impl Model {
    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        match self {
            Model::Network(network) => network.inputs().len(),
            Model::Expansion(expansion) => expansion.variables().len(),
        }
    }

    /// The names of the inputs.
    pub fn input_names(&self) -> Vec<String> {
        match self {
            Model::Network(network) => network.input_names(),
            Model::Expansion(expansion) => expansion.variables().to_vec(),
        }
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        match self {
            Model::Network(network) => network.outputs(),
            Model::Expansion(expansion) => expansion.outputs(),
        }
    }

    /// Whether this is an expansion with f64 coefficients.
    fn is_rounded(&self) -> bool {
        matches!(self, Model::Expansion(e) if matches!(e.coefficients(), Coefficients::Float(_)))
    }

    /// The head, which stays outside every comparison.
    pub fn head(&self) -> Head {
        match self {
            Model::Network(network) => network.head(),
            Model::Expansion(expansion) => expansion.head(),
        }
    }

    /// What the polynomials in the inputs themselves cost; `None` where they are at hand.
    ///
    /// # Errors
    /// [`Error::NotPolynomial`].
    fn plan(&self) -> Result<Option<Plan>> {
        let expansion = match self {
            Model::Network(network) => return plan(network, None).map(Some),
            Model::Expansion(expansion) => expansion,
        };
        let Some(centre) = expansion.centre() else { return Ok(None) };
        // Horner's rule multiplies by the two terms of x_i + c_i, at most once a degree and
        // variable, polynomials that together have no more terms than a dense one.
        let (n, degree) = (expansion.variables().len(), u128::from(expansion.degree()));
        let bits = |c: &BigRational| (c.numer().bits() + c.denom().bits()) as f64;
        let outputs = expansion.outputs().len();
        let terms = (0..outputs).flat_map(|o| expansion.exact_terms(o));
        let own = terms.map(|(_, c)| bits(&c)).fold(1.0, f64::max);
        let shift = centre.iter().map(bits).fold(1.0, f64::max);
        let words = ((own + degree as f64 * shift) / 64.0).ceil();
        let terms = dense_terms(n, degree).saturating_mul(outputs as u128);
        let operations = 2.0 * n as f64 * degree as f64 * terms as f64 * (1.0 + words / 32.0);
        Ok(Some(Plan {
            variables: n,
            outputs,
            degree,
            terms,
            bits: 64.0 * words,
            bytes: 3.0 * terms as f64 * (4.0 * n as f64 + 80.0 + 8.0 * words),
            seconds: operations * 1e-7,
            operations,
            primes: 0,
            route: Route::Composition,
        }))
    }

    /// The polynomials in the inputs themselves (about the centre 0).
    fn polynomials(&self, watch: &mut Watch) -> Result<Cow<'_, Expansion>> {
        let network = match self {
            Model::Network(network) => network,
            Model::Expansion(expansion) if expansion.centre().is_none() => {
                return Ok(Cow::Borrowed(expansion));
            }
            Model::Expansion(expansion) => {
                let (variables, outputs) = (expansion.variables(), expansion.outputs());
                let polynomials = Coefficients::Rational(expansion.about_zero()?);
                let head = expansion.head();
                return Expansion::new(variables.to_vec(), outputs.to_vec(), polynomials, head)
                    .map(Cow::Owned);
            }
        };
        // The plan was checked before.
        let any = Limits { terms: u64::MAX, bytes: u64::MAX, seconds: None, operations: None };
        let mut step = |step| watch(Stage::Step(step));
        Ok(Cow::Owned(expand_watched(network, None, &any, &mut step)?.0))
    }

    /// Outputs before the head for a batch of points, in f64; not finite where f64 overflows.
    fn forward(&self, points: &Array2<f64>) -> Result<Array2<f64>> {
        match self {
            Model::Network(network) => network.forward(points.view()),
            Model::Expansion(expansion) => Ok(expansion.forward_where_possible(points.view())?.0),
        }
    }

    /// The outputs at a point: exact, or enclosed, or `None` where that would take too long.
    fn enclosed(&self, point: &[BigRational]) -> Result<Option<Vec<Enclosure>>> {
        let network = match self {
            Model::Network(network) => network,
            Model::Expansion(expansion) => {
                let values = expansion.evaluate_exact(point).ok();
                return Ok(values.map(|v| v.into_iter().map(Enclosure::point).collect()));
            }
        };
        let start: Vec<Bits> = point.iter().map(Bits::of).collect();
        let sizes = ExactNetwork::new(network).over(&CoefficientBits)?;
        let sizes = sizes.evaluate(&CoefficientBits, start)?;
        let bits = sizes.iter().map(Bits::total).fold(0.0, f64::max);
        let norm = sizes.iter().map(|b| b.norm).fold(0.0, f64::max);
        let parameters = network.parameters() as f64;
        if bits <= EXACT_BITS && bits * parameters <= POINT_WORK {
            match network.forward_exact(point) {
                Ok(values) => return Ok(Some(values.into_iter().map(Enclosure::point).collect())),
                Err(Error::NotPolynomial { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // The enclosure takes at most 2^16 fractional bits.
        let bits = norm + f64::from(1 << 16);
        if bits <= EXACT_BITS && bits * parameters <= POINT_WORK {
            let width = BigRational::new(BigInt::one(), BigInt::one() << 100_u32);
            return Ok(network.forward_enclosure(point, &width).ok());
        }
        Ok(None)
    }

    /// The same function with input `i` called and placed as input `inputs[i]` was, outputs alike.
    fn permuted(&self, inputs: &[usize], outputs: &[usize]) -> Result<Model> {
        let names = |names: &[String], order: &[usize]| -> Vec<String> {
            order.iter().map(|&i| names[i].clone()).collect()
        };
        let new_outputs = names(self.outputs(), outputs);
        match self {
            Model::Network(network) => {
                let matrix = |order: &[usize], inverse: bool| {
                    let mut matrix = Array2::zeros((order.len(), order.len()));
                    for (i, &o) in order.iter().enumerate() {
                        matrix[if inverse { (o, i) } else { (i, o) }] = 1.0;
                    }
                    Affine::new(matrix, ndarray::Array1::<f64>::zeros(order.len()))
                };
                let mut layers = vec![Layer::Affine(matrix(inputs, true)?)];
                layers.extend_from_slice(network.layers());
                layers.push(Layer::Affine(matrix(outputs, false)?));
                let inputs = inputs.iter().map(|&i| network.inputs()[i].clone()).collect();
                Network::new(inputs, new_outputs, layers, network.head()).map(Model::Network)
            }
            Model::Expansion(expansion) => {
                fn moved<C: crate::polynomial::Coefficient>(
                    polynomials: &[Polynomial<C>],
                    inputs: &[usize],
                    outputs: &[usize],
                ) -> Result<Vec<Polynomial<C>>> {
                    let exponents = |row: &[u32]| inputs.iter().map(|&i| row[i]).collect();
                    outputs
                        .iter()
                        .map(|&o| {
                            let terms = polynomials[o].terms();
                            let terms = terms.map(|(row, c)| (exponents(row), c.clone()));
                            Polynomial::from_terms::<Vec<u32>>(inputs.len(), terms)
                        })
                        .collect()
                }
                let coefficients = match expansion.coefficients() {
                    Coefficients::Rational(p) => Coefficients::Rational(moved(p, inputs, outputs)?),
                    Coefficients::Packed(p) => {
                        let moved = outputs.iter().map(|&o| p[o].permuted(inputs));
                        Coefficients::Packed(moved.collect::<Result<_>>()?)
                    }
                    Coefficients::Float(p) => Coefficients::Float(moved(p, inputs, outputs)?),
                };
                let centre = expansion.centre().map(|c| inputs.iter().map(|&i| c[i].clone()));
                let variables = names(expansion.variables(), inputs);
                Expansion::new(variables, new_outputs, coefficients, expansion.head())?
                    .with_truncated(expansion.truncated())
                    .with_centre(centre.map(Iterator::collect))
                    .map(Model::Expansion)
            }
        }
    }
}

type Watch<'a> = dyn FnMut(Stage) -> Result<()> + 'a;

/// Decides whether two models are the same function (before their heads).
///
/// `domain` is the box for models that are not polynomials, in the order of the first one's inputs;
/// `seed` the source of the random points and primes: the stated probability of error is over its
/// choice.
///
/// Cost: two expansions where the plan allows them under `limits` (where these say nothing of
/// operations, at most a billion); otherwise a few evaluations modulo primes, or of the samples.
///
/// # Errors
/// When the numbers of inputs or outputs differ, or a box is needed and missing.
pub fn compare(
    a: &Model,
    b: &Model,
    domain: Option<&[(f64, f64)]>,
    limits: &Limits,
    seed: [u8; 32],
) -> Result<Comparison> {
    compare_watched(a, b, domain, limits, seed, &mut |_| Ok(()))
}

/// As [`compare`]; `watch` sees every expansion and its steps before they are taken and ends the
/// work by an error.
///
/// # Errors
/// As [`compare`], and those of `watch`.
pub fn compare_watched(
    a: &Model,
    b: &Model,
    domain: Option<&[(f64, f64)]>,
    limits: &Limits,
    seed: [u8; 32],
    watch: &mut Watch,
) -> Result<Comparison> {
    if a.inputs() != b.inputs() {
        return Err(Error::invalid(
            "the second model",
            format!("{} inputs", b.inputs()),
            format!("{}, as in the first", a.inputs()),
        ));
    }
    if a.outputs().len() != b.outputs().len() {
        return Err(Error::invalid(
            "the second model",
            format!("{} outputs", b.outputs().len()),
            format!("{}, as in the first", a.outputs().len()),
        ));
    }
    let (b, by_position) = in_order(a, b)?;
    let mut answer = decide(a, &b, domain, limits, seed, watch)?;
    answer.by_position = by_position;
    Ok(answer)
}

/// `b` with its inputs and outputs in the order of those of `a`, and whether some have other names.
fn in_order<'m>(a: &Model, b: &'m Model) -> Result<(Cow<'m, Model>, bool)> {
    let inputs = order(&a.input_names(), &b.input_names());
    let outputs = order(a.outputs(), b.outputs());
    let by_position = inputs.is_none() || outputs.is_none();
    let inputs = inputs.unwrap_or_else(|| (0..a.inputs()).collect());
    let outputs = outputs.unwrap_or_else(|| (0..a.outputs().len()).collect());
    Ok((
        match inputs.is_sorted() && outputs.is_sorted() {
            true => Cow::Borrowed(b),
            false => Cow::Owned(b.permuted(&inputs, &outputs)?),
        },
        by_position,
    ))
}

/// Where each of the names `wanted` stands among those `held`, if it is the same names.
fn order(wanted: &[String], held: &[String]) -> Option<Vec<usize>> {
    let places: HashMap<_, _> = held.iter().enumerate().map(|(i, name)| (name, i)).collect();
    wanted.iter().map(|name| places.get(name).copied()).collect()
}

fn decide(
    a: &Model,
    b: &Model,
    domain: Option<&[(f64, f64)]>,
    limits: &Limits,
    seed: [u8; 32],
    watch: &mut Watch,
) -> Result<Comparison> {
    if let (Model::Network(x), Model::Network(y)) = (a, b)
        && x.layers() == y.layers()
    {
        return Ok(Comparison::decided(true, Method::SameLayers));
    }
    let plans = match (a.plan(), b.plan()) {
        (Err(Error::NotPolynomial { .. }), _) | (_, Err(Error::NotPolynomial { .. })) => {
            return by_sampling(a, b, domain, seed);
        }
        (p, q) => [p?, q?].into_iter().flatten().collect::<Vec<_>>(),
    };
    let operations = Some(limits.operations.unwrap_or(OPERATIONS));
    let limits = Limits { operations, ..limits.clone() };
    let refused = plans.iter().find_map(|plan| plan.check(&limits).err());
    let cheap = plans.iter().map(|plan| plan.operations).sum::<f64>() <= CHEAP;
    // Whether one is the other rounded is seen in their coefficients alone.
    let rounding = a.is_rounded() != b.is_rounded();
    if refused.is_none() && (cheap || rounding) {
        if !cheap {
            plans.iter().try_for_each(|plan| watch(Stage::Plan(plan)))?;
        }
        return by_expansion(a, b, domain, seed, watch);
    }
    let mut random = RandomEvaluation::new(a, b, seed);
    if let Some(answer) = random.differ(FIRST_TRIALS)? {
        return Ok(answer);
    }
    if let Some(refusal) = refused {
        let mut answer = random.finish()?;
        if answer.equal.is_none() {
            answer.reasons.push(refusal.to_string());
        }
        return Ok(answer);
    }
    plans.iter().try_for_each(|plan| watch(Stage::Plan(plan)))?;
    by_expansion(a, b, domain, seed, watch)
}

fn by_expansion(
    a: &Model,
    b: &Model,
    domain: Option<&[(f64, f64)]>,
    seed: [u8; 32],
    watch: &mut Watch,
) -> Result<Comparison> {
    let (p, q) = (a.polynomials(watch)?, b.polynomials(watch)?);
    let differences = (0..p.outputs().len()).map(|o| difference(&p, &q, o));
    let mut answer = match differences.flatten().next() {
        None => Comparison::decided(true, Method::Expansion),
        Some(difference) => {
            let near = difference.degree().is_some_and(|degree| degree <= FAR_DEGREE);
            let sampled = match box_of(a, b, domain) {
                Some(_) if near => Some(by_sampling(a, b, domain, seed)?),
                _ => None,
            };
            let (at, largest_difference) = match sampled {
                // Differences far below the values are not seen in f64.
                Some(found) if found.equal == Some(false) => (found.at, found.largest_difference),
                _ if near => {
                    let point = nonzero_point(&difference);
                    let value = difference.evaluate(&point)?;
                    (Some(point), rational_to_f64(&value.abs()))
                }
                _ => (None, None),
            };
            Comparison { largest_difference, at, ..Comparison::decided(false, Method::Expansion) }
        }
    };
    answer.equal_after_rounding = match (a, b) {
        (Model::Expansion(rounded), other) if a.is_rounded() && !other.is_rounded() => {
            Some(is_rounding_of(rounded, &q)?)
        }
        (other, Model::Expansion(rounded)) if b.is_rounded() && !other.is_rounded() => {
            Some(is_rounding_of(rounded, &p)?)
        }
        _ => None,
    };
    Ok(answer)
}

/// Terms of two polynomials side by side in graded order; `None` for one that does not occur.
fn side_by_side<'a>(
    p: impl Iterator<Item = ExactTerm<'a>>,
    q: impl Iterator<Item = ExactTerm<'a>>,
) -> impl Iterator<Item = (Cow<'a, [u32]>, [Option<Cow<'a, BigRational>>; 2])> {
    let (mut p, mut q) = (p.peekable(), q.peekable());
    std::iter::from_fn(move || {
        let order = match (p.peek(), q.peek()) {
            (Some((a, _)), Some((b, _))) => graded_order(a, b),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let left = if order.is_le() { p.next() } else { None };
        let right = if order.is_ge() { q.next() } else { None };
        let (left, right) = (left.unzip(), right.unzip());
        Some((left.0.or(right.0)?, [left.1, right.1]))
    })
}

/// A part of the difference of output `o` that is its restriction to some variables, the others 0,
/// and is not zero; `None` where the two are equal.
///
/// The variables are those of a term with the fewest, so the part has no term with fewer and is
/// small, however large the polynomials are. Only one term of them is held at a time.
fn difference(p: &Expansion, q: &Expansion, o: usize) -> Option<Polynomial<BigRational>> {
    let differing = || {
        side_by_side(p.exact_terms(o), q.exact_terms(o)).filter(|(_, [left, right])| left != right)
    };
    let mut fewest: Option<Vec<usize>> = None;
    for (exponents, _) in differing() {
        let occurring = exponents.iter().filter(|e| **e > 0).count();
        if fewest.as_ref().is_none_or(|variables| occurring < variables.len()) {
            let variables = exponents.iter().enumerate().filter(|(_, e)| **e > 0);
            fewest = Some(variables.map(|(i, _)| i).collect());
            if occurring == 0 {
                break;
            }
        }
    }
    let fewest = fewest?;
    let inside = |exponents: &[u32]| {
        let occurring = exponents.iter().filter(|e| **e > 0).count();
        occurring == fewest.len() && fewest.iter().all(|i| exponents[*i] > 0)
    };
    let part = differing().filter(|(exponents, _)| inside(exponents));
    let terms = part.map(|(exponents, [left, right])| {
        let value = |c: Option<Cow<BigRational>>| c.map_or_else(BigRational::zero, Cow::into_owned);
        (exponents, value(left) - value(right))
    });
    // Exponents of polynomials fit.
    Polynomial::from_terms(p.variables().len(), terms).ok()
}

/// Whether every coefficient of `rounded` is the correct rounding of that of `exact` about the same
/// centre and up to the same degree, and nothing but what rounds to zero is missing.
fn is_rounding_of(rounded: &Expansion, exact: &Expansion) -> Result<bool> {
    let kept = |exponents: &[u32]| {
        rounded.truncated().is_none_or(|q| total_degree(exponents) <= u64::from(q))
    };
    let moved;
    let exact = match rounded.centre() {
        None => exact,
        Some(centre) => {
            let moving = exact.rational()?.iter().map(|p| p.shift(centre));
            let polynomials = Coefficients::Rational(moving.collect::<Result<_>>()?);
            let (variables, outputs) = (exact.variables().to_vec(), exact.outputs().to_vec());
            moved = Expansion::new(variables, outputs, polynomials, exact.head())?;
            &moved
        }
    };
    Ok((0..rounded.outputs().len()).all(|o| {
        let exact = exact.exact_terms(o).filter(|(exponents, _)| kept(exponents));
        side_by_side(rounded.exact_terms(o), exact)
            .all(|(_, [rounded, exact])| is_rounding(rounded.as_deref(), exact.as_deref()))
    }))
}

/// Whether a coefficient is the correct rounding of another; none at all is zero.
fn is_rounding(rounded: Option<&BigRational>, exact: Option<&BigRational>) -> bool {
    let nearest = exact.map_or(Some(0.0), rational_to_f64).and_then(rational_from_f64);
    nearest.is_some_and(|nearest| match rounded {
        None => nearest.is_zero(),
        Some(c) => *c == nearest,
    })
}

/// A point with small integer entries at which a polynomial that is not zero has a value that is
/// not.
///
/// In each variable in turn a polynomial of degree `d` in it keeps a term for some value among
/// `0..=d`, since a nonzero univariate polynomial has at most `d` roots.
fn nonzero_point(polynomial: &Polynomial<BigRational>) -> Vec<BigRational> {
    let mut rest = polynomial.clone();
    (0..polynomial.variables())
        .map(|i| {
            let mut value = BigRational::zero();
            for candidate in 0..=rest.degree_in(i) {
                value = BigRational::from(BigInt::from(candidate));
                let fixed = rest.fix(i, &value);
                if !fixed.is_zero() {
                    rest = fixed;
                    break;
                }
            }
            value
        })
        .collect()
}

/// log2 of the size of the integer coefficients over a common denominator, for random evaluation.
struct CoefficientBits;

/// Upper bounds on log2 of the 1-norm and of the denominator, its power of two and its odd part.
#[derive(Clone, Copy)]
struct Bits {
    norm: f64,
    twos: f64,
    odd: f64,
}

impl Bits {
    const ZERO: Bits = Bits { norm: f64::NEG_INFINITY, twos: 0.0, odd: 0.0 };

    fn of(value: &BigRational) -> Self {
        let twos = value.denom().trailing_zeros().unwrap_or(0);
        let odd = value.denom().bits() - twos;
        // An odd part of one bit is 1.
        let odd = if odd == 1 { 0.0 } else { odd as f64 };
        Bits { norm: log2_upper(value), twos: twos as f64, odd }
    }

    fn total(&self) -> f64 {
        self.norm.max(0.0) + self.twos + self.odd
    }
}

impl Algebra for CoefficientBits {
    type Scalar = Bits;
    type Element = Bits;

    fn scalar(&self, value: &BigRational) -> Option<Bits> {
        Some(Bits::of(value))
    }
    fn affine(&self, weights: &[Bits], inputs: &[Bits], bias: &Bits) -> Bits {
        // Of powers of two the largest is a common denominator, of other numbers their product.
        weights.iter().zip(inputs).fold(*bias, |sum, (w, x)| Bits {
            norm: log2_sum(sum.norm, w.norm + x.norm),
            twos: sum.twos.max(w.twos + x.twos),
            odd: sum.odd + w.odd + x.odd,
        })
    }
    fn polynomial(&self, coefficients: &[Bits], z: &Bits) -> Bits {
        // Horner's rule from the leading coefficient on: a degree of d multiplies d times.
        let (last, others) = coefficients.split_last().unwrap_or((&Bits::ZERO, &[]));
        others.iter().rev().fold(*last, |sum, c| Bits {
            norm: log2_sum(sum.norm + z.norm.max(0.0), c.norm),
            twos: c.twos.max(sum.twos + z.twos),
            odd: sum.odd + z.odd + c.odd,
        })
    }
    fn activation(&self, _function: Activation, z: &Bits) -> Option<Bits> {
        // Of values at a point only: no activation grows faster than its argument, but a slope
        // has a denominator.
        Some(Bits { norm: log2_sum(z.norm, 1.0), twos: z.twos + 64.0, odd: z.odd })
    }
    fn max(&self, elements: &[Bits]) -> Option<Bits> {
        // Of values at a point only, too: it is one of them.
        let larger = |a: Bits, b: &Bits| Bits {
            norm: a.norm.max(b.norm),
            twos: a.twos.max(b.twos),
            odd: a.odd.max(b.odd),
        };
        Some(elements.iter().fold(Bits::ZERO, larger))
    }
}

/// A model that can be evaluated modulo a prime, with bounds on its size.
enum Modular<'a> {
    Network(ExactNetwork<BigRational>),
    Polynomials(&'a Expansion),
}

/// log2 of a bound on the total degree, bits of the integer coefficients of any one output over
/// their common denominator, and bits of all odd factors of denominators.
struct ModularSize {
    degree: f64,
    bits: f64,
    odd: f64,
}

impl<'a> Modular<'a> {
    fn new(model: &'a Model) -> Self {
        match model {
            Model::Network(network) => Modular::Network(ExactNetwork::new(network)),
            Model::Expansion(expansion) => Modular::Polynomials(expansion),
        }
    }

    fn size(&self) -> Result<ModularSize> {
        let (degree, outputs) = match self {
            Modular::Network(network) => {
                let inputs = vec![Bits { norm: 0.0, ..Bits::ZERO }; network.inputs()];
                let outputs = network.over(&CoefficientBits)?.evaluate(&CoefficientBits, inputs)?;
                (plan_exact(network, None)?.degree, outputs)
            }
            Modular::Polynomials(expansion) => {
                let (degree, centre) = (expansion.degree(), expansion.centre());
                // A power of x_i - c_i has the coefficients of x_i + |c_i| but for signs.
                let shift = centre.unwrap_or_default().iter().map(Bits::of).fold(
                    Bits { norm: 0.0, ..Bits::ZERO },
                    |most, c| Bits {
                        norm: most.norm.max(log2_sum(c.norm, 0.0)),
                        twos: most.twos.max(c.twos),
                        odd: most.odd + c.odd,
                    },
                );
                let powers = f64::from(degree);
                let output = |o: usize| {
                    let terms = expansion.exact_terms(o).map(|(_, c)| Bits::of(&c));
                    let mut sum = terms.fold(Bits::ZERO, |sum, c| Bits {
                        norm: log2_sum(sum.norm, c.norm),
                        twos: sum.twos.max(c.twos),
                        odd: sum.odd + c.odd,
                    });
                    if let Coefficients::Packed(packed) = expansion.coefficients() {
                        // There is one denominator for all.
                        sum.odd = packed[o].odd_bits();
                    }
                    Bits {
                        norm: sum.norm + powers * shift.norm,
                        twos: sum.twos + powers * shift.twos,
                        odd: sum.odd + powers * shift.odd,
                    }
                };
                (u128::from(degree), (0..expansion.outputs().len()).map(output).collect())
            }
        };
        Ok(ModularSize {
            degree: (degree.max(1) as f64).log2() + 1e-9,
            bits: outputs.iter().map(Bits::total).fold(0.0, f64::max),
            odd: outputs.iter().map(|b| b.odd).sum(),
        })
    }

    /// The outputs at a point modulo `p`, or `None` when `p` divides a denominator.
    fn evaluate(&self, point: &[u64], p: u64) -> Result<Option<Vec<u64>>> {
        match self {
            Modular::Network(network) => match network.over(&Modulo(p)) {
                Ok(network) => network.evaluate(&Modulo(p), point.to_vec()).map(Some),
                Err(_) => Ok(None),
            },
            Modular::Polynomials(expansion) => {
                let reduced = expansion.centre().unwrap_or_default().iter();
                let centre: Option<Vec<u64>> =
                    reduced.map(|c| modular::reduce_rational(&-c, p)).collect();
                let Some(centre) = centre else { return Ok(None) };
                let mut point = point.to_vec();
                for (x, c) in point.iter_mut().zip(centre) {
                    *x = modular::add(*x, c, p);
                }
                if let Coefficients::Packed(packed) = expansion.coefficients() {
                    return Ok(packed.iter().map(|q| q.evaluate_modulo(&point, p)).collect());
                }
                let value = |o| {
                    expansion.exact_terms(o).try_fold(0, |sum, (exponents, c)| {
                        let start = modular::reduce_rational(&c, p)?;
                        let factors = exponents.iter().zip(&point);
                        let term = factors.fold(start, |product, (&e, &x)| {
                            modular::mul(product, modular::pow(x, u64::from(e), p), p)
                        });
                        Some(modular::add(sum, term, p))
                    })
                };
                Ok((0..expansion.outputs().len()).map(value).collect())
            }
        }
    }
}

/// Random evaluation (Schwartz 1980, Zippel 1979) modulo random primes from `[2^61, 2^62)`.
///
/// The difference of an output, over a common denominator, is an integer polynomial of degree at
/// most `D` with coefficients below `2^B`. Fewer than `B / 61` primes of the range divide all its
/// coefficients, of more than `2^55` there (`proofs/representation.md`); modulo any other it
/// vanishes at no more than `D / p` of the points. A value that differs proves the two different.
struct RandomEvaluation<'a> {
    models: [Modular<'a>; 2],
    inputs: usize,
    rng: ChaCha8Rng,
    done: usize,
}

impl<'a> RandomEvaluation<'a> {
    fn new(a: &'a Model, b: &'a Model, seed: [u8; 32]) -> Self {
        let models = [Modular::new(a), Modular::new(b)];
        let rng = ChaCha8Rng::from_seed(seed);
        RandomEvaluation { models, inputs: a.inputs(), rng, done: 0 }
    }

    /// The answer "different" when the two differ at one of `trials` points.
    fn differ(&mut self, trials: usize) -> Result<Option<Comparison>> {
        let end = self.done.saturating_add(trials);
        while self.done < end {
            let prime = modular::random_prime(&mut self.rng, PRIME_BITS)?;
            let point: Vec<u64> =
                (0..self.inputs).map(|_| self.rng.random_range(0..prime)).collect();
            let [p, q] = &self.models;
            let (Some(x), Some(y)) = (p.evaluate(&point, prime)?, q.evaluate(&point, prime)?)
            else {
                // The prime divides a denominator.
                continue;
            };
            if x != y {
                let integer = |x: u64| BigRational::from(BigInt::from(x));
                return Ok(Some(Comparison {
                    at: Some(point.into_iter().map(integer).collect()),
                    ..Comparison::decided(false, Method::RandomModular)
                }));
            }
            self.done += 1;
        }
        Ok(None)
    }

    /// As many points as the error probability asks for.
    fn finish(&mut self) -> Result<Comparison> {
        let (p, q) = (self.models[0].size()?, self.models[1].size()?);
        // Cross-multiplied denominators add their bits; one more for the difference.
        let bits = p.bits + q.bits + 1.0;
        // Primes that divide a denominator, odd as they are, do not count among the 2^55.
        let primes = (55_f64.exp2() - (p.odd + q.odd) / 61.0).max(0.0);
        let unlucky_prime = (bits / 61.0).log2() - primes.log2();
        let degree = p.degree.max(q.degree);
        let unlucky_point = degree - 61.0;
        let per_trial = log2_sum(unlucky_prime, unlucky_point);
        let mut answer = Comparison::open(Method::RandomModular);
        if per_trial.is_nan() || per_trial >= -1.0 {
            let large = match unlucky_point.partial_cmp(&unlucky_prime) {
                Some(std::cmp::Ordering::Greater) => {
                    format!("the total degree, up to 2^{degree:.0}")
                }
                _ => format!("the coefficients, of up to 2^{:.0} bits", bits.log2()),
            };
            answer.reasons.push(format!(
                "no difference at {} random points, but that bounds no probability: {large}, is \
                 too large for primes of 62 bits",
                self.done
            ));
            return Ok(answer);
        }
        let trials = (TARGET / per_trial).ceil().max(1.0) as usize;
        if let Some(different) = self.differ(trials.saturating_sub(self.done))? {
            return Ok(different);
        }
        answer.error_probability = Some((per_trial * self.done as f64).exp2());
        Ok(answer)
    }
}

fn by_sampling(
    a: &Model,
    b: &Model,
    domain: Option<&[(f64, f64)]>,
    seed: [u8; 32],
) -> Result<Comparison> {
    let domain = match domain {
        Some(domain) if domain.len() == a.inputs() => domain.to_vec(),
        Some(domain) => {
            return Err(Error::invalid(
                "the box",
                format!("{} intervals", domain.len()),
                format!("{}, one for each input", a.inputs()),
            ));
        }
        None => box_of(a, b, None).ok_or_else(|| {
            Error::invalid(
                "the box",
                "none, and the models have none of their own",
                "--box, since one of the models is not a polynomial",
            )
        })?,
    };
    let mut rng = ChaCha8Rng::from_seed(seed);
    let terms: usize = [a, b].iter().map(|model| terms_at_hand(model)).sum();
    let samples = (SAMPLED_TERMS / terms.max(1)).clamp(FEWEST_SAMPLES, SAMPLES);
    let points = Array2::from_shape_fn((samples, domain.len()), |(row, i)| {
        let (lower, upper) = domain[i];
        let u: f64 = match row % 4 {
            // Corners and faces are where differences like to be largest.
            0 => f64::from(u8::from(rng.next_u32() & 1 == 1)),
            _ => rng.random(),
        };
        // Not lower + (upper - lower) u: the width of a box may overflow.
        (lower * (1.0 - u) + upper * u).clamp(lower, upper)
    });
    let (x, y) = (a.forward(&points)?, b.forward(&points)?);
    let mut largest: Option<(f64, usize)> = None;
    let mut overflowing = Vec::new();
    for row in 0..points.nrows() {
        // NaN is passed on, which a maximum would drop.
        let difference = (&x.row(row) - &y.row(row))
            .fold(0.0, |most: f64, d| if d.abs() > most || d.is_nan() { d.abs() } else { most });
        if !difference.is_finite() {
            overflowing.push(row);
        } else if largest.is_none_or(|(most, _)| difference > most) {
            largest = Some((difference, row));
        }
    }
    // Samples are finite: the box is.
    let point = |row: usize| -> Vec<BigRational> {
        points.row(row).iter().map(|x| rational_from_f64(*x).unwrap_or_default()).collect()
    };
    let mut proven: Option<(BigRational, usize)> = None;
    let closer = overflowing.iter().copied().take(OVERFLOWING);
    for row in largest.map(|(_, row)| row).into_iter().chain(closer) {
        if let Some(difference) = difference_at(a, b, &point(row))?
            && proven.as_ref().is_none_or(|(most, _)| difference > *most)
        {
            proven = Some((difference, row));
        }
    }
    if let Some((difference, row)) = proven {
        return Ok(Comparison {
            largest_difference: rational_to_f64(&difference),
            at: Some(point(row)),
            ..Comparison::decided(false, Method::Point)
        });
    }
    let mut answer = Comparison {
        largest_difference: largest.map(|(difference, _)| difference),
        at: largest.map(|(_, row)| point(row)),
        ..Comparison::open(Method::Sampling)
    };
    if !overflowing.is_empty() {
        answer.reasons.push(format!(
            "at {} of {samples} points a value is beyond f64: there nothing was compared",
            overflowing.len()
        ));
    }
    Ok(answer)
}

/// The box that is given, or that one of the models has.
fn box_of(a: &Model, b: &Model, domain: Option<&[(f64, f64)]>) -> Option<Vec<(f64, f64)>> {
    domain.map(<[_]>::to_vec).or_else(|| own_box(a)).or_else(|| own_box(b))
}

fn own_box(model: &Model) -> Option<Vec<(f64, f64)>> {
    let Model::Network(network) = model else { return None };
    network.inputs().iter().map(|Input { lower, upper, .. }| Some(((*lower)?, (*upper)?))).collect()
}

/// Terms of a model that is a polynomial.
fn terms_at_hand(model: &Model) -> usize {
    match model {
        Model::Expansion(expansion) => expansion.terms(),
        Model::Network(_) => 0,
    }
}

/// The largest difference of outputs whose exact values, or disjoint enclosures, at a point prove
/// that the models differ; an enclosed one to 2^-99.
fn difference_at(a: &Model, b: &Model, point: &[BigRational]) -> Result<Option<BigRational>> {
    let (Some(x), Some(y)) = (a.enclosed(point)?, b.enclosed(point)?) else { return Ok(None) };
    Ok(x.iter()
        .zip(&y)
        .filter(|(x, y)| x.intersection(y).is_none())
        .map(|(x, y)| (x.midpoint() - y.midpoint()).abs())
        .max())
}
