//! Whether two networks or polynomials are the same function.
//!
//! Where both are polynomial and small enough the difference of their expansions
//! decides. Where they are too large, exact evaluation at random points modulo
//! random primes either proves them different or leaves a stated probability of
//! error. Where one is not a polynomial, the largest difference found on the box is
//! reported, and an exact value at that point proves inequality where it can.

use ndarray::Array2;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result, TooLarge};
use crate::expand::plan::{log2_sum, log2_upper, plan_exact};
use crate::expand::{Coefficients, Expansion, Limits, expand};
use crate::network::exact::{Algebra, ExactNetwork, Modulo};
use crate::network::{Head, Input, Network};
use crate::numeric::modular;
use crate::numeric::rational::{rational_from_f64, rational_to_f64};
use crate::polynomial::Polynomial;

/// Points of the box at which the largest difference is looked for.
const SAMPLES: usize = 20_000;

/// Primes are drawn from `[2^61, 2^62)`.
const PRIME_BITS: u32 = 62;

/// log2 of the error probability that random evaluation must reach.
const TARGET: f64 = -100.0;

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
    /// For polynomials with f64 coefficients: whether each coefficient is the correctly rounded one.
    pub equal_after_rounding: Option<bool>,
    /// A bound on the probability that random evaluation missed a difference.
    pub error_probability: Option<f64>,
    /// The absolute difference at [`at`](Self::at).
    pub largest_difference: Option<f64>,
    /// A point at which the two differ, or where the largest difference was found.
    pub at: Option<Vec<BigRational>>,
}

impl Comparison {
    fn decided(equal: bool, method: Method) -> Self {
        Comparison {
            equal: Some(equal),
            method,
            equal_after_rounding: None,
            error_probability: None,
            largest_difference: None,
            at: None,
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

    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        match self {
            Model::Network(network) => network.outputs(),
            Model::Expansion(expansion) => expansion.outputs(),
        }
    }

    /// The head, which stays outside every comparison.
    pub fn head(&self) -> Head {
        match self {
            Model::Network(network) => network.head(),
            Model::Expansion(expansion) => expansion.head(),
        }
    }

    /// The exact polynomials in the inputs themselves (about the centre 0).
    fn polynomials(&self, limits: &Limits) -> Result<Vec<Polynomial<BigRational>>> {
        match self {
            Model::Network(network) => Ok(expand(network, limits)?.rational()?.to_vec()),
            Model::Expansion(expansion) => expansion.about_zero(),
        }
    }

    /// Exact outputs at a rational point, or `None` where they are not rational.
    fn exact(&self, point: &[BigRational]) -> Result<Option<Vec<BigRational>>> {
        match self {
            Model::Network(network) => match network.forward_exact(point) {
                Ok(outputs) => Ok(Some(outputs)),
                Err(Error::NotPolynomial { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            Model::Expansion(expansion) => expansion
                .about_zero()?
                .iter()
                .map(|p| p.evaluate(point))
                .collect::<Result<_>>()
                .map(Some),
        }
    }

    /// Outputs before the head for a batch of points, in f64.
    fn forward(&self, points: &Array2<f64>) -> Result<Array2<f64>> {
        match self {
            Model::Network(network) => network.forward(points.view()),
            Model::Expansion(expansion) => expansion.forward(points.view()),
        }
    }
}

/// Decides whether two models are the same function (before their heads).
///
/// `domain` is the box for models that are not polynomials, `seed` the source of the random points
/// and primes: the stated probability of error is over its choice.
///
/// Cost: two expansions where the plan allows them under `limits`; otherwise a few evaluations
/// modulo primes, or of the samples.
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
    if let (Model::Network(x), Model::Network(y)) = (a, b)
        && x.layers() == y.layers()
    {
        return Ok(Comparison::decided(true, Method::SameLayers));
    }
    match (a.polynomials(limits), b.polynomials(limits)) {
        (Ok(p), Ok(q)) => by_expansion(a, b, &p, &q),
        (Err(Error::NotPolynomial { .. }), _) | (_, Err(Error::NotPolynomial { .. })) => {
            by_sampling(a, b, domain, seed)
        }
        (Err(Error::TooLarge(_)), _) | (_, Err(Error::TooLarge(_))) => {
            by_random_evaluation(a, b, seed)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn by_expansion(
    a: &Model,
    b: &Model,
    p: &[Polynomial<BigRational>],
    q: &[Polynomial<BigRational>],
) -> Result<Comparison> {
    let differences: Vec<_> = p.iter().zip(q).map(|(p, q)| p - q).collect();
    let mut answer = match differences.iter().find(|d| !d.is_zero()) {
        None => Comparison::decided(true, Method::Expansion),
        Some(difference) => {
            let point = nonzero_point(difference);
            let value = difference.evaluate(&point)?;
            Comparison {
                largest_difference: rational_to_f64(&value.abs()),
                at: Some(point),
                ..Comparison::decided(false, Method::Expansion)
            }
        }
    };
    let rounded = |model: &Model| matches!(model, Model::Expansion(e) if matches!(e.coefficients(), Coefficients::Float(_)));
    answer.equal_after_rounding = match (rounded(a), rounded(b)) {
        (true, false) => Some(is_rounding_of(p, q)),
        (false, true) => Some(is_rounding_of(q, p)),
        _ => None,
    };
    Ok(answer)
}

/// Whether every coefficient of `rounded` is the correct rounding of that of `exact`, and nothing
/// but what rounds to zero is missing.
fn is_rounding_of(rounded: &[Polynomial<BigRational>], exact: &[Polynomial<BigRational>]) -> bool {
    rounded.iter().zip(exact).all(|(rounded, exact)| {
        let expected = exact.map(|c| {
            rational_to_f64(c).and_then(rational_from_f64).unwrap_or_else(BigRational::zero)
        });
        let overflows = exact.terms().any(|(_, c)| rational_to_f64(c).is_none());
        !overflows && expected == *rounded
    })
}

/// A point with small integer entries at which a polynomial that is not zero has a value that is not.
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

/// Upper bounds on log2 of the 1-norm and of the denominator.
#[derive(Clone, Copy)]
struct Bits {
    norm: f64,
    denominator: f64,
}

impl Algebra for CoefficientBits {
    type Scalar = Bits;
    type Element = Bits;

    fn scalar(&self, value: &BigRational) -> Option<Bits> {
        let denominator = value.denom().bits() as f64;
        Some(Bits { norm: log2_upper(value), denominator })
    }
    fn affine(&self, weights: &[Bits], inputs: &[Bits], bias: &Bits) -> Bits {
        // The product of all denominators is a common one, however crude.
        weights.iter().zip(inputs).fold(*bias, |sum, (w, x)| Bits {
            norm: log2_sum(sum.norm, w.norm + x.norm),
            denominator: sum.denominator + w.denominator + x.denominator,
        })
    }
    fn polynomial(&self, coefficients: &[Bits], z: &Bits) -> Bits {
        let zero = Bits { norm: f64::NEG_INFINITY, denominator: 0.0 };
        coefficients.iter().rev().fold(zero, |sum, c| Bits {
            norm: log2_sum(sum.norm + z.norm.max(0.0), c.norm),
            denominator: sum.denominator + z.denominator + c.denominator,
        })
    }
}

/// A model that can be evaluated modulo a prime, with bounds on its size.
enum Modular {
    Network(ExactNetwork<BigRational>),
    Polynomials(Vec<Polynomial<BigRational>>),
}

impl Modular {
    fn new(model: &Model) -> Result<Self> {
        Ok(match model {
            Model::Network(network) => Modular::Network(ExactNetwork::new(network)),
            Model::Expansion(_) => Modular::Polynomials(model.polynomials(&Limits::default())?),
        })
    }

    /// log2 bounds on the degree and on the integer coefficients over a common denominator.
    fn size(&self) -> Result<(f64, f64)> {
        Ok(match self {
            Modular::Network(network) => {
                let inputs = vec![Bits { norm: 0.0, denominator: 0.0 }; network.inputs()];
                let outputs = network.over(&CoefficientBits)?.evaluate(&CoefficientBits, inputs)?;
                let bits = outputs.iter().map(|b| b.norm.max(0.0) + b.denominator).sum();
                let degree = plan_exact(network, None)?.degree;
                ((degree.max(1) as f64).log2() + 1e-9, bits)
            }
            Modular::Polynomials(polynomials) => {
                let degree = polynomials.iter().filter_map(Polynomial::degree).max().unwrap_or(0);
                let bits = polynomials
                    .iter()
                    .flat_map(|p| p.terms())
                    .map(|(_, c)| c.numer().bits() as f64 + c.denom().bits() as f64)
                    .sum();
                (f64::from(degree.max(1)).log2() + 1e-9, bits)
            }
        })
    }

    /// The outputs at a point modulo `p`, or `None` when `p` divides a denominator.
    fn evaluate(&self, point: &[u64], p: u64) -> Result<Option<Vec<u64>>> {
        match self {
            Modular::Network(network) => match network.over(&Modulo(p)) {
                Ok(network) => network.evaluate(&Modulo(p), point.to_vec()).map(Some),
                Err(_) => Ok(None),
            },
            Modular::Polynomials(polynomials) => Ok(polynomials
                .iter()
                .map(|polynomial| {
                    polynomial.terms().try_fold(0, |sum, (exponents, c)| {
                        let start = modular::reduce_rational(c, p)?;
                        let term = exponents.iter().zip(point).fold(start, |product, (&e, &x)| {
                            modular::mul(product, modular::pow(x, u64::from(e), p), p)
                        });
                        Some(modular::add(sum, term, p))
                    })
                })
                .collect()),
        }
    }
}

/// Random evaluation (Schwartz 1980, Zippel 1979) modulo random primes from `[2^61, 2^62)`.
///
/// The difference, over a common denominator, is an integer polynomial of degree at most `D` with
/// coefficients below `2^B`. Fewer than `B / 61` primes of the range divide all its coefficients, of
/// more than `2^55` there (`proofs/representation.md`); modulo any other it vanishes at no more than
/// `D / p` of the points. A value that differs proves the two different.
fn by_random_evaluation(a: &Model, b: &Model, seed: [u8; 32]) -> Result<Comparison> {
    let (p, q) = (Modular::new(a)?, Modular::new(b)?);
    let ((degree, bits), (other_degree, other_bits)) = (p.size()?, q.size()?);
    // Cross-multiplied denominators add their bits; one more for the difference.
    let unlucky = (bits + other_bits + 1.0) / 61.0;
    // Primes that divide a denominator are drawn again, so they do not count among the 2^55.
    let unlucky_prime = unlucky.log2() - (55_f64.exp2() - unlucky).max(0.0).log2();
    let unlucky_point = degree.max(other_degree) - 61.0;
    let per_trial = log2_sum(unlucky_prime, unlucky_point);
    let mut answer = Comparison {
        equal: None,
        method: Method::RandomModular,
        equal_after_rounding: None,
        error_probability: None,
        largest_difference: None,
        at: None,
    };
    if per_trial.is_nan() || per_trial >= -1.0 {
        return Err(TooLarge {
            what: "the comparison by random evaluation".into(),
            count: format!("degree 2^{degree:.0}"),
            bytes: "few".into(),
            seconds: 0.0,
            limit: "an error probability of 1/2 a trial".into(),
            advice: "the degree is too large for 62-bit primes; compare smaller networks".into(),
        }
        .into());
    }
    let trials = (TARGET / per_trial).ceil().max(1.0);
    let mut rng = ChaCha8Rng::from_seed(seed);
    let mut done = 0.0;
    while done < trials {
        let prime = modular::random_prime(&mut rng, PRIME_BITS)?;
        let point: Vec<u64> = (0..a.inputs()).map(|_| rng.random_range(0..prime)).collect();
        let (Some(x), Some(y)) = (p.evaluate(&point, prime)?, q.evaluate(&point, prime)?) else {
            // The prime divides a denominator.
            continue;
        };
        if x != y {
            answer.equal = Some(false);
            answer.at = Some(point.iter().map(|&x| BigRational::from(BigInt::from(x))).collect());
            return Ok(answer);
        }
        done += 1.0;
    }
    answer.error_probability = Some((per_trial * trials).exp2());
    Ok(answer)
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
        None => own_box(a).or_else(|| own_box(b)).ok_or_else(|| {
            Error::invalid(
                "the box",
                "none, and the models have none of their own",
                "--box, since one of the models is not a polynomial",
            )
        })?,
    };
    let mut rng = ChaCha8Rng::from_seed(seed);
    let points = Array2::from_shape_fn((SAMPLES, domain.len()), |(row, i)| {
        let (lower, upper) = domain[i];
        let u: f64 = match row % 4 {
            // Corners and faces are where differences like to be largest.
            0 => f64::from(u8::from(rng.next_u32() & 1 == 1)),
            _ => rng.random(),
        };
        (lower + (upper - lower) * u).clamp(lower, upper)
    });
    let (x, y) = (a.forward(&points)?, b.forward(&points)?);
    let mut largest = (-1.0, 0);
    for row in 0..points.nrows() {
        for (x, y) in x.row(row).iter().zip(y.row(row)) {
            let difference = (x - y).abs();
            if difference > largest.0 {
                largest = (difference, row);
            }
        }
    }
    // Samples are finite: the box is.
    let point: Vec<BigRational> =
        points.row(largest.1).iter().filter_map(|x| rational_from_f64(*x)).collect();
    let (equal, method) = match decided_at(a, b, &point)? {
        true => (Some(false), Method::Point),
        false => (None, Method::Sampling),
    };
    Ok(Comparison {
        equal,
        method,
        equal_after_rounding: None,
        error_probability: None,
        largest_difference: Some(largest.0.max(0.0)),
        at: Some(point),
    })
}

fn own_box(model: &Model) -> Option<Vec<(f64, f64)>> {
    let Model::Network(network) = model else { return None };
    network.inputs().iter().map(|Input { lower, upper, .. }| Some(((*lower)?, (*upper)?))).collect()
}

/// Whether exact values, or disjoint enclosures, at a point prove that the models differ.
fn decided_at(a: &Model, b: &Model, point: &[BigRational]) -> Result<bool> {
    let width = BigRational::new(BigInt::from(1), BigInt::from(1) << 100_u32);
    let bounds = |model: &Model| -> Result<Vec<(BigRational, BigRational)>> {
        match (model.exact(point)?, model) {
            (Some(values), _) => Ok(values.into_iter().map(|v| (v.clone(), v)).collect()),
            (None, Model::Network(network)) => Ok(network
                .forward_enclosure(point, &width)?
                .iter()
                .map(|e| (e.lower().clone(), e.upper().clone()))
                .collect()),
            (None, Model::Expansion(_)) => Ok(Vec::new()),
        }
    };
    Ok(bounds(a)?.iter().zip(&bounds(b)?).any(|(x, y)| x.1 < y.0 || y.1 < x.0))
}
