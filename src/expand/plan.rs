//! What an expansion will cost, told before it is paid.
//!
//! One walk through the network in an algebra of sizes: degree, variables, number of
//! terms and bits of every intermediate polynomial are predicted from the layer
//! below, and the products that composition will carry out are counted on the way.
//! A short measurement of this machine turns the count into seconds.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use crate::error::{Result, TooLarge, size};
use crate::expand::stages::{Bound, LONGEST, Stages};
use crate::expand::{closed, compressed, lattice, rates};
use crate::memory;
use crate::network::Network;
use crate::network::exact::{Algebra, ExactNetwork};
use crate::numeric::odd::Odd;
use crate::polynomial::Polynomial;

/// What an expansion may cost; above it, it is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Terms, over all outputs.
    pub terms: u64,
    /// Bytes of memory at the peak.
    pub bytes: u64,
    /// Seconds, if time is to be limited at all.
    pub seconds: Option<f64>,
    /// [Operations](Plan::operations), if they are to be limited; where they are not,
    /// [`compare`](crate::expand::compare()) limits them to a billion.
    pub operations: Option<f64>,
}

impl Default for Limits {
    /// Fifty million terms, half of the memory that is free (4 GiB where that is not known), any
    /// time.
    fn default() -> Self {
        let bytes = memory::default_limit();
        Limits { terms: 50_000_000, bytes, seconds: None, operations: None }
    }
}

/// How an expansion is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Layer by layer in the algebra of polynomials: where few terms or a low degree are wanted.
    Composition,
    /// Evaluation on the principal lattice and interpolation, modulo primes.
    Lattice,
    /// One hidden layer: every coefficient in closed form, modulo primes.
    Closed,
    /// One input: evaluation at roots of unity modulo primes, and number-theoretic transforms.
    Roots,
    /// A first layer narrower than the inputs: the polynomials in its pre-activations, into which
    /// these are then substituted.
    Compressed,
    /// Truncated series in several variables: the part of low degree.
    Series,
}

impl Route {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Route::Composition => "composition",
            Route::Lattice => "lattice",
            Route::Closed => "closed form",
            Route::Roots => "roots of unity",
            Route::Compressed => "compressed form",
            Route::Series => "series",
        }
    }
}

/// The predicted size and cost of an expansion.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Number of variables.
    pub variables: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Bound on the total degree: the product of the degrees of the layers. Saturates at 2^128 - 1.
    pub degree: u128,
    /// Number of terms over all outputs: exact for generic parameters, a bound for all. Saturates
    /// at 2^128 - 1.
    pub terms: u128,
    /// Bits that the largest coefficient can have, over the common denominator.
    pub bits: f64,
    /// Memory at the peak.
    pub bytes: f64,
    /// Time on this machine.
    pub seconds: f64,
    /// The same on any machine: products of two terms, plus one for every 32 products of machine
    /// words in them.
    pub operations: f64,
    /// Number of primes; none for composition, or where f64 is computed with.
    pub primes: usize,
    /// How it is carried out.
    pub route: Route,
}

impl Plan {
    /// The lattice points that determine a polynomial of this degree, `C(n + D, D)`, saturating: as
    /// many as its monomials.
    pub fn lattice_points(&self) -> u128 {
        dense_terms(self.variables, self.degree)
    }

    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) when the plan exceeds one of `limits`.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        // Exponents are 32-bit, whatever the limits say.
        let fixed = self.degree > u128::from(u32::MAX);
        let over = if fixed {
            "degree 4294967295".into()
        } else if self.terms > u128::from(limits.terms) {
            format!("{} terms", limits.terms)
        } else if self.bytes > limits.bytes as f64 {
            size(limits.bytes as f64)
        } else if let Some(seconds) = limits.seconds
            && self.seconds > seconds
        {
            format!("{seconds} s")
        } else if let Some(operations) = limits.operations
            && self.operations > operations
        {
            format!("{operations} operations")
        } else {
            return Ok(());
        };
        let count = |n: u128| match n {
            u128::MAX => "more than 3e38".into(),
            n if n >= 1_000_000_000_000_000 => format!("{:.1e}", n as f64),
            n => n.to_string(),
        };
        let raise = if fixed { "" } else { "raise the limit, " };
        Err(TooLarge {
            what: format!("the expansion to total degree {}", count(self.degree)),
            count: format!("{} terms", count(self.terms)),
            bytes: self.bytes,
            seconds: self.seconds,
            limit: over,
            advice: format!(
                "ask for the part of low degree, {raise}or train with a lower degree, fewer \
                 layers or fewer inputs"
            ),
        }
        .into())
    }
}

/// Predicts the expansion of `network`, or of its part of total degree at most `max_degree`.
///
/// Cost: one walk through the network, whatever the size of the expansion, and measurements: a
/// millisecond once, and a thirtieth of a long expansion, at most a few milliseconds.
///
/// # Errors
/// [`Error::NotPolynomial`](crate::Error::NotPolynomial) when an activation is not a polynomial.
pub fn plan(network: &Network, max_degree: Option<u32>) -> Result<Plan> {
    predict(network, max_degree).map(|prediction| prediction.plan)
}

/// A plan, and what was found on the way to it.
pub(super) struct Prediction {
    pub(super) plan: Plan,
    pub(super) stages: Stages,
    pub(super) bounds: Vec<Bound>,
    /// Operations on residues of the lattice method.
    pub(super) operations: f64,
}

/// Operations above which threads share the work, and above which someone can watch it.
pub(super) const SHARED: f64 = 2e7;

/// Operations of the lattice method below which composition is not considered.
const CHEAP: f64 = 2e7;

/// Operations on residues in one of [`Plan::operations`].
const RESIDUES: f64 = 64.0;

pub(super) fn predict(network: &Network, max_degree: Option<u32>) -> Result<Prediction> {
    let started = Instant::now();
    let stages = Stages::new(network)?;
    let bounds = stages.bounds();
    // What has been done here is done again by the expansion, then on warm caches.
    let mut preparing = started.elapsed();
    if preparing < Duration::from_millis(1) {
        let again = Instant::now();
        let _ = Stages::new(network)?.bounds();
        preparing = preparing.min(again.elapsed());
    }
    let preparing = preparing.as_secs_f64();
    // A part of low degree needs no lattice of the whole degree.
    let low = max_degree.is_some_and(|q| u128::from(q) < stages.degree());
    let in_residues = if low { None } else { in_residues(&stages, &bounds) };
    let composed = || -> Result<Plan> {
        // The walk over sizes guesses the common denominator; the bounds know it.
        let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
        let started = Instant::now();
        let plan = plan_exact(&ExactNetwork::new(network), max_degree)?;
        // To go through all parameters takes as long again, however little comes of it.
        let seconds = plan.seconds + started.elapsed().as_secs_f64();
        Ok(Plan { bits, seconds, bytes: plan.bytes + stages.bytes(), ..plan })
    };
    let (plan, operations) = match in_residues {
        None => (composed()?, 0.0),
        Some((route, phases)) => {
            let mut plan = residual_plan(&stages, &bounds, route, phases);
            plan.seconds += preparing;
            let operations = phases.iter().sum();
            if operations <= CHEAP {
                (plan, operations)
            } else {
                let composition = composed()?;
                let faster = composition.seconds < plan.seconds;
                (if faster { composition } else { plan }, operations)
            }
        }
    };
    Ok(Prediction { plan, stages, bounds, operations })
}

/// The cheapest method modulo primes and its operations by phase, or `None` where there is none.
pub(super) fn in_residues(stages: &Stages, bounds: &[Bound]) -> Option<(Route, [f64; 3])> {
    let direct = direct(stages, bounds)?;
    let compressed = compressed::operations(stages, bounds).map(|o| (Route::Compressed, o));
    Some(compressed.into_iter().fold(direct, cheaper))
}

/// The cheapest of those that take the network as it is.
pub(super) fn direct(stages: &Stages, bounds: &[Bound]) -> Option<(Route, [f64; 3])> {
    let (n, degree) = (stages.used.len(), stages.degree());
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    // An affine network is its own polynomial.
    let possible = !stages.hidden.is_empty()
        && n > 0
        && (1..=100_000).contains(&degree)
        && dense_terms(n, degree) <= 1_000_000_000
        && lattice::reconstructs(lattice::primes_for(bits));
    if !possible {
        return None;
    }
    let lattice = lattice_operations(stages, bounds).map(|_| Route::Lattice);
    [Some(Route::Closed), Some(Route::Roots), lattice]
        .into_iter()
        .flatten()
        .filter_map(|route| Some((route, rates::operations(stages, bounds, route)?)))
        .reduce(cheaper)
}

fn cheaper(a: (Route, [f64; 3]), b: (Route, [f64; 3])) -> (Route, [f64; 3]) {
    if b.1.iter().sum::<f64>() < a.1.iter().sum::<f64>() { b } else { a }
}

/// Operations of the lattice method, or `None` where it is out of the question.
pub(super) fn lattice_operations(stages: &Stages, bounds: &[Bound]) -> Option<f64> {
    let (n, degree) = (stages.used.len(), stages.degree());
    let highest = if n == 1 { 20_000 } else { 2000 };
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    // An affine network is its own polynomial.
    let possible = !stages.hidden.is_empty()
        && (1..=highest).contains(&degree)
        && n > 0
        && dense_terms(n, degree) <= 1_000_000_000
        && lattice::reconstructs(lattice::primes_for(bits));
    possible.then(|| lattice::operations(stages, bounds).iter().sum())
}

fn residual_plan(stages: &Stages, bounds: &[Bound], route: Route, phases: [f64; 3]) -> Plan {
    let points = dense_terms(stages.used.len(), stages.degree());
    let bits = bounds.iter().map(|b| b.bits).fold(0.0, f64::max);
    let words: usize = bounds.iter().map(|b| lattice::words_for(b.bits)).sum();
    let numerators = points as f64 * 8.0 * words as f64;
    let operations = phases.iter().sum::<f64>();
    let threads = if operations > SHARED { rayon::current_num_threads() } else { 1 };
    let (work, kept) = match route {
        Route::Closed => (numerators + closed::bytes(stages, bounds, threads), 0.0),
        Route::Compressed => (numerators + compressed::bytes(stages, bounds, threads), 0.0),
        _ => lattice::bytes(stages, bounds, threads),
    };
    // What is being written: two decimal digits for three bits of numerator and denominator, and
    // the exponents, in buffers of which a few are full at a time.
    let term = 0.6 * bits + 100.0;
    let text = (points as f64 * term).min(WRITTEN.max(32.0 * term));
    let constants = stages.bytes() + lattice::constants(bounds);
    Plan {
        variables: stages.inputs,
        outputs: bounds.len(),
        degree: stages.degree(),
        terms: stages
            .output_degrees
            .iter()
            .fold(0, |sum, d| sum + dense_terms(stages.used.len(), *d)),
        bits,
        bytes: work.max(numerators + kept + text) + constants + PROGRAM,
        seconds: rates::seconds(stages, bounds, route, phases, threads),
        operations: operations / RESIDUES,
        primes: lattice::primes_for(bits),
        route,
    }
}

/// Bytes of the program itself.
const PROGRAM: f64 = 1.1e7;

/// Bytes of the text that is made before it is written.
const WRITTEN: f64 = 9e6;

pub(super) fn plan_exact(
    network: &ExactNetwork<BigRational>,
    max_degree: Option<u32>,
) -> Result<Plan> {
    let cost = (Cell::new(0.0), Cell::new(0.0));
    let algebra = Sizes { max_degree, cost, rate: *COMPOSITION.get_or_init(measure_rate) };
    let inputs = (0..network.inputs()).map(Size::variable).collect();
    let mut live = 0.0_f64;
    let mut peak = 0.0_f64;
    let over = network.over(&algebra)?;
    let outputs = over.evaluate(&algebra, inputs)?;
    for size in &outputs {
        live += size.bytes(network.inputs());
        peak = peak.max(size.peak);
    }
    let degree = outputs.iter().map(|s| s.degree).max().unwrap_or(0);
    Ok(Plan {
        variables: network.inputs(),
        outputs: outputs.len(),
        degree: max_degree.map_or(degree, |q| degree.min(u128::from(q))),
        terms: outputs.iter().fold(0, |sum, s| sum.saturating_add(s.terms)),
        bits: outputs.iter().map(Size::bits).fold(0.0, f64::max),
        // Numerators become rationals: a second copy, with a denominator each.
        bytes: peak + 3.0 * live,
        seconds: algebra.cost.0.get(),
        operations: algebra.cost.1.get(),
        primes: 0,
        route: Route::Composition,
    })
}

/// The predicted size of one intermediate polynomial over its denominator.
#[derive(Clone, Debug)]
struct Size {
    degree: u128,
    variables: BTreeSet<usize>,
    terms: u128,
    /// log2 of a bound on the 1-norm of the coefficients.
    norm: f64,
    /// log2 of the power of two in the denominator, and of its odd part.
    twos: f64,
    odd: f64,
    /// Bytes needed at once on the way here.
    peak: f64,
}

impl Size {
    fn variable(i: usize) -> Self {
        Size {
            degree: 1,
            variables: BTreeSet::from([i]),
            terms: 1,
            norm: 0.0,
            twos: 0.0,
            odd: 0.0,
            peak: 0.0,
        }
    }

    fn bits(&self) -> f64 {
        (self.norm + self.twos + self.odd).max(1.0)
    }

    fn words(&self) -> f64 {
        (self.bits() / 64.0).ceil().max(1.0)
    }

    /// Exponents, the header of a big integer, its digits.
    fn bytes(&self, variables: usize) -> f64 {
        self.terms as f64 * (4.0 * variables as f64 + 40.0 + 8.0 * self.words())
    }
}

/// The number of monomials of total degree at most `degree` in `variables` variables,
/// `C(variables + degree, degree)`, saturating.
pub(super) fn dense_terms(variables: usize, degree: u128) -> u128 {
    let (variables, degree) = (variables as u128, degree);
    let mut count: u128 = 1;
    for k in 1..=variables.min(degree) {
        // C(m + k, k) = C(m + k - 1, k - 1) (m + k) / k is an integer at every step.
        let Some(product) =
            variables.max(degree).checked_add(k).and_then(|factor| count.checked_mul(factor))
        else {
            return u128::MAX;
        };
        count = product / k;
    }
    count
}

/// log2 of |value|, rounded up a little: the f64 logarithm is off by an ulp or two at most.
pub(super) fn log2_upper(value: &BigRational) -> f64 {
    if value.is_zero() {
        return f64::NEG_INFINITY;
    }
    match crate::numeric::rational::rational_to_f64(value) {
        Some(x) if x.abs() >= f64::MIN_POSITIVE => x.abs().log2() + 1e-9,
        _ => value.numer().bits() as f64 - (value.denom().bits() as f64 - 1.0),
    }
}

/// log2 of 2^a + 2^b, rounded up a little.
pub(super) fn log2_sum(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY {
        return large;
    }
    let sum = large + (small - large).exp2().ln_1p() / std::f64::consts::LN_2;
    sum + 1e-9 + 1e-15 * sum.abs()
}

/// A parameter, seen from afar.
#[derive(Clone, Debug)]
struct Magnitude {
    log2: f64,
    twos: f64,
    odd: Odd,
}

struct Sizes {
    max_degree: Option<u32>,
    /// Seconds and operations so far.
    cost: (Cell<f64>, Cell<f64>),
    rate: Rate,
}

impl Sizes {
    /// Counts `products` of terms of so many words each.
    fn pay(&self, products: f64, words: f64, other_words: f64) {
        let (seconds, operations) = &self.cost;
        seconds.set(seconds.get() + self.rate.seconds(products, words, other_words));
        operations.set(operations.get() + products * (1.0 + words * other_words / 32.0));
    }

    fn dense(&self, variables: usize, degree: u128) -> u128 {
        let degree = self.max_degree.map_or(degree, |q| degree.min(u128::from(q)));
        dense_terms(variables, degree)
    }
}

impl Algebra for Sizes {
    type Scalar = Magnitude;
    type Element = Size;

    fn scalar(&self, value: &BigRational) -> Option<Magnitude> {
        let twos = value.denom().trailing_zeros().unwrap_or(0);
        let odd = Odd::Known(value.denom().magnitude() >> twos);
        Some(Magnitude { log2: log2_upper(value), twos: twos as f64, odd })
    }

    fn affine(&self, weights: &[Magnitude], inputs: &[Size], bias: &Magnitude) -> Size {
        let mut size = Size {
            degree: 0,
            variables: BTreeSet::new(),
            terms: 1,
            norm: bias.log2,
            twos: bias.twos,
            odd: 0.0,
            peak: 0.0,
        };
        let mut lcm = bias.odd.clone();
        for (w, x) in weights.iter().zip(inputs) {
            size.peak += x.bytes(0);
            if w.log2 == f64::NEG_INFINITY {
                continue;
            }
            size.degree = size.degree.max(x.degree);
            size.variables.extend(&x.variables);
            size.terms = size.terms.saturating_add(x.terms);
            size.norm = log2_sum(size.norm, w.log2 + x.norm);
            size.twos = size.twos.max(w.twos + x.twos);
            size.odd = size.odd.max(x.odd);
            lcm = lcm.common(&w.odd, LONGEST);
            self.pay(x.terms as f64, x.words(), 1.0);
        }
        size.odd += lcm.bits();
        size.terms = size.terms.min(self.dense(size.variables.len(), size.degree));
        size.peak += inputs.iter().map(|x| x.peak).fold(0.0, f64::max);
        size
    }

    fn polynomial(&self, coefficients: &[Magnitude], z: &Size) -> Size {
        let degree = coefficients.iter().rposition(|c| c.log2 > f64::NEG_INFINITY).unwrap_or(0);
        let mut size = Size { degree: 0, terms: 1, norm: f64::NEG_INFINITY, ..z.clone() };
        let lcm = coefficients.iter().fold(Odd::one(), |lcm, c| lcm.common(&c.odd, LONGEST));
        size.odd = lcm.bits();
        size.twos = coefficients.iter().map(|c| c.twos).fold(0.0, f64::max);
        for (k, c) in coefficients[..=degree].iter().enumerate().rev() {
            if k < degree {
                let products = size.terms as f64 * z.terms as f64;
                self.pay(products, size.words(), z.words());
                size.norm += z.norm;
                size.twos += z.twos;
                size.odd += z.odd;
                size.degree = size.degree.saturating_add(z.degree);
                size.terms = size
                    .terms
                    .saturating_mul(z.terms)
                    .saturating_add(1)
                    .min(self.dense(z.variables.len(), size.degree));
            }
            size.norm = log2_sum(size.norm, c.log2);
        }
        if degree == 0 {
            size.variables.clear();
        }
        // The product is gathered beside its factors.
        size.peak = z.peak + 3.0 * size.bytes(z.variables.len());
        size
    }
}

/// Seconds for a product of two terms: a part for the monomial, a part for each pair of words.
#[derive(Clone, Copy, Debug)]
struct Rate {
    term: f64,
    word_pair: f64,
}

impl Rate {
    fn seconds(self, products: f64, words: f64, other_words: f64) -> f64 {
        products * (self.term + self.word_pair * words * other_words)
    }
}

/// Measured once.
static COMPOSITION: OnceLock<Rate> = OnceLock::new();

/// Times two small products of integer polynomials, of short and of long coefficients.
fn measure_rate() -> Rate {
    let side = 40;
    let time = |words: u32| {
        let coefficient: BigInt = (BigInt::one() << (64 * words)) - 1;
        let terms = (0..side).map(|k| (vec![k % 7, k / 7, k % 3], coefficient.clone()));
        let Ok(p) = Polynomial::from_terms(3, terms) else { return 1e-7 };
        let products = (p.len() * p.len()) as f64;
        (0..3)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(&p * &p);
                start.elapsed().as_secs_f64() / products
            })
            .fold(f64::INFINITY, f64::min)
    };
    let (short, long) = (time(1), time(16));
    let word_pair = ((long - short) / 255.0).max(1e-12);
    Rate { term: (short - word_pair).max(1e-9), word_pair }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_terms_are_binomials_and_saturate() {
        assert_eq!(dense_terms(4, 9), 715);
        assert_eq!(dense_terms(10, 16), 5_311_735);
        assert_eq!(dense_terms(0, 5), 1);
        assert_eq!(dense_terms(784, 4), 15_943_435_565);
        assert_eq!(dense_terms(1000, 1000), u128::MAX);
        assert_eq!(dense_terms(3, u128::MAX), u128::MAX);
    }

    #[test]
    fn logarithms_are_upper_bounds() {
        let x = BigRational::new(BigInt::from(3), BigInt::from(8));
        assert!((3.0_f64 / 8.0).log2() <= log2_upper(&x));
        let tiny = BigRational::new(BigInt::one(), BigInt::one() << 5000_u32);
        assert_eq!(log2_upper(&tiny), -4999.0);
        assert!((2.0_f64 + 8.0).log2() <= log2_sum(1.0, 3.0));
    }
}
