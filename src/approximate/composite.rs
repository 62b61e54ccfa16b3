//! An activation with one kink as a block of low-degree polynomials.
//!
//! A polynomial of degree n is about 0.14 r / n from ReLU on [-r, r] at best, so that small errors take
//! huge degrees. A composition does better: max(x, 0) = x (1 + sign x) / 2, with the sign
//! approximated by s = q_k o ... o q_1 of t = x scale, each q_i odd, of degree 3 to 9, and the nearest
//! to the sign on [-1, -d_i] u [d_i, 1], where it meets what the stages before it leave (Lee et al. 2022,
//! Minimax approximation of sign function by composite polynomial for homomorphic comparison). A
//! network of squares closes the block: x s = ((x + s)^2 - (x - s)^2) / 4.

use super::remez::{Problem, Sample};
use super::{check_activation, check_interval};
use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::numeric::outward::{Interval, div_up, mul_up, sum_up, two_sum};

/// The degrees that a stage may have.
const DEGREES: [usize; 4] = [3, 5, 7, 9];

/// No chain costs more.
const MOST_COST: usize = 150;

/// The kink may be so many times the goal wide, beyond what is tried first.
const WIDTHS: [f64; 10] = [4.0, 3.75, 3.5, 3.25, 3.0, 2.5, 2.0, 1.5, 1.0, 0.5];

/// The proof gives up beyond so many parts.
const MOST_PARTS: usize = 1 << 18;

/// A chain of odd polynomials near the sign: the composition s of the stages, the first one innermost.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// The coefficients of 1, t, t^2, ... of each stage.
    pub stages: Vec<Vec<f64>>,
    /// A proven upper bound of |t| |s(t) - sign t| for t in [-1, 1].
    pub deviation: f64,
}

/// 2 linear x + 4 square x s(x scale) in the place of a function of slope a below 0 and 1 above:
/// nearly ((1 + a) x + (1 - a) x s) / 2.
///
/// With y = x + s and v = x - s it is (linear y + square y^2) + (linear v - square v^2).
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// Brings x into [-1, 1].
    pub scale: f64,
    /// The sign.
    pub sign: Sign,
    /// (1 + a) / 4 in f64.
    pub linear: f64,
    /// (1 - a) / 8 in f64.
    pub square: f64,
    /// A proven upper bound of the distance of the whole block to the activation on the interval.
    pub error: f64,
}

/// The slope below 0 of a function that is linear on both sides of 0 and has slope 1 above.
pub(crate) fn slope_below(activation: Activation) -> Option<f64> {
    match activation {
        Activation::Relu => Some(0.0),
        Activation::LeakyRelu { slope } => Some(slope),
        Activation::Abs => Some(-1.0),
        _ => None,
    }
}

impl Sign {
    /// The chain of least sum of degrees whose deviation is proven to be at most `deviation`.
    ///
    /// For each width of the kink tried, and each sum of degrees, the chain that ends nearest to the
    /// sign is kept: a stage maps a smaller spread of values to a smaller one, so that the best chain
    /// of a sum is a best chain of a smaller sum and one more stage. Time: some hundred exchanges of
    /// degree 4, and some thousand values of the chain for the proof.
    ///
    /// # Errors
    /// A deviation that is below 1e-10, where roundings of f64 would matter, or NaN.
    pub fn within(deviation: f64) -> Result<Self> {
        if deviation >= 1.0 {
            // s = 0 will do.
            return Ok(Sign { stages: vec![vec![0.0]], deviation: 1.0 });
        }
        if deviation >= 1e-10 {
            for width in WIDTHS {
                let Some(stages) = chain(width * deviation, deviation) else { continue };
                let Some(proven) = proven_deviation(&stages, deviation) else { continue };
                return Ok(Sign { stages, deviation: proven });
            }
        }
        let expected = "1e-10 or more";
        Err(Error::invalid("deviation of a composite block", deviation.to_string(), expected))
    }

    /// The degrees of the stages.
    pub fn degrees(&self) -> Vec<usize> {
        self.stages.iter().map(|stage| stage.len().saturating_sub(1)).collect()
    }
}

impl Composite {
    /// The block of a sign in the place of ReLU, leaky ReLU or the absolute value on `interval`.
    ///
    /// # Errors
    /// Another activation, an interval that does not hold 0 inside.
    pub fn new(activation: Activation, interval: Interval, sign: &Sign) -> Result<Self> {
        check_interval(interval)?;
        check_activation(activation)?;
        let slope = slope_below(activation).ok_or_else(|| {
            let expected = "relu, leaky_relu or abs";
            Error::invalid("activation", activation.name(), expected)
        })?;
        let Interval { lower, upper } = interval;
        if !(lower < 0.0 && 0.0 < upper) {
            let found = format!("[{lower}, {upper}]");
            return Err(Error::invalid("interval", found, "an interval with the kink at 0 inside"));
        }
        let size = interval.magnitude();
        let mut scale = (1.0 / size).min(f64::MAX);
        while mul_up(size, scale) > 1.0 {
            scale = scale.next_down();
        }
        let (sum, lost) = two_sum(1.0, slope);
        let (difference, lost_too) = two_sum(1.0, -slope);
        let (linear, square) = (sum / 4.0, difference / 8.0);
        // 4 square |x| |s - sign x|, x = t / scale, and what the two roundings cost: halves of them.
        let error = sum_up([
            mul_up(4.0 * square.abs(), div_up(sign.deviation, scale)),
            mul_up(lost.abs() / 2.0, size),
            mul_up(lost_too.abs() / 2.0, size),
        ]);
        Ok(Composite { scale, sign: sign.clone(), linear, square, error })
    }
}

/// The composite block of least sum of degrees that is proven to be within `target` of ReLU, leaky
/// ReLU or the absolute value on `interval`, 0 being inside.
///
/// Time: that of [`Sign::within`].
///
/// # Errors
/// As [`Composite::new`] and [`Sign::within`], the deviation being about target / |x| for the largest x.
pub fn composite(activation: Activation, interval: Interval, target: f64) -> Result<Composite> {
    let coarse = Composite::new(activation, interval, &Sign::within(1.0)?)?;
    if coarse.error <= target {
        return Ok(coarse);
    }
    // A millionth for the roundings.
    let sign = Sign::within(target / coarse.error * (1.0 - 1e-6))?;
    let block = Composite::new(activation, interval, &sign)?;
    if block.error <= target {
        return Ok(block);
    }
    let expected = "a larger one: the roundings of f64 matter";
    Err(Error::invalid("target", target.to_string(), expected))
}

/// The chain of least sum of degrees that leaves the sign on [width, 1] within `goal`.
fn chain(width: f64, goal: f64) -> Option<Vec<Vec<f64>>> {
    type Stages = Vec<Vec<f64>>;
    // The smallest value over the largest one, and the stages.
    let mut best: Vec<Option<(f64, Stages)>> = vec![Some((width.min(0.9), Vec::new()))];
    for cost in 1..=MOST_COST {
        let mut found: Option<(f64, Vec<f64>, &Stages)> = None;
        for degree in DEGREES {
            let before = cost.checked_sub(degree).and_then(|before| best[before].as_ref());
            let Some((least, stages)) = before else { continue };
            let Some((stage, error)) = stage(degree, *least) else { continue };
            if found.as_ref().is_none_or(|(smallest, ..)| error < *smallest) {
                found = Some((error, stage, stages));
            }
        }
        let next = found.map(|(error, stage, stages)| {
            let mut stages = stages.clone();
            let last = error <= goal;
            // A value above 1 leaves what the next stage is made for.
            let factor = if last { 1.0 } else { (1.0 - 1e-12) / (1.0 + error) };
            stages.push(stage.iter().map(|c| c * factor).collect());
            (last, (1.0 - error) / (1.0 + error), stages)
        });
        match next {
            Some((true, _, stages)) => return Some(stages),
            Some((false, least, stages)) => best.push(Some((least, stages))),
            None => best.push(None),
        }
    }
    None
}

/// The odd polynomial of this degree nearest to 1 on [least, 1], and its distance.
fn stage(degree: usize, least: f64) -> Option<(Vec<f64>, f64)> {
    // t q(2 t^2 - 1).
    let problem = Problem {
        degree: (degree - 1) / 2,
        range: (2.0 * least * least - 1.0, 1.0),
        kinks: &[],
        places: &[],
        least_grid: 120,
        weighted: true,
    };
    let mut sample = |xs: &[f64]| -> Vec<Sample> {
        let at = |x: &f64| {
            let t = ((1.0 + x) / 2.0).max(0.0).sqrt().max(least);
            Sample { z: t, x: *x, weight: t, value: 1.0 }
        };
        xs.iter().map(at).collect()
    };
    let solution = problem.solve(&mut sample)?;
    // t T_i(2 t^2 - 1) = (T_(2i+1) + T_|2i-1|) / 2, T_k by its recurrence.
    let mut chebyshev = vec![0.0; degree + 1];
    for (i, b) in solution.coefficients.iter().enumerate() {
        chebyshev[2 * i + 1] += b / 2.0;
        chebyshev[(2 * i).abs_diff(1)] += b / 2.0;
    }
    let (mut last, mut now) = (vec![0.0; degree + 1], vec![0.0; degree + 1]);
    last[0] = 1.0;
    now[1] = 1.0;
    let mut coefficients = vec![0.0; degree + 1];
    for c in &chebyshev[1..] {
        coefficients.iter_mut().zip(&now).for_each(|(sum, t)| *sum += c * t);
        let doubled = |j: usize| if j > 0 { 2.0 * now[j - 1] } else { 0.0 };
        let next = (0..=degree).map(|j| doubled(j) - last[j]).collect();
        last = std::mem::replace(&mut now, next);
    }
    let fine = coefficients.iter().all(|c| c.is_finite()) && solution.largest < 1.0;
    fine.then_some((coefficients, solution.largest))
}

/// A proven upper bound of t |1 - s(t)| over 0 <= t <= 1, and so, s being odd, of
/// |t| |s(t) - sign t| over [-1, 1]; `None` where that is above `limit`, or takes too long to know.
///
/// The image of an interval by a composition is the composition of the images: enclosing each of
/// them loses nothing but what the single enclosures lose, and those are close.
fn proven_deviation(stages: &[Vec<f64>], limit: f64) -> Option<f64> {
    let stages: Vec<Stage> = stages.iter().map(|stage| Stage::new(stage)).collect();
    let at = |cell: Interval| {
        let image = stages.iter().fold(cell, |image, stage| stage.image(image));
        let from_one = (Interval::point(1.0) - image).magnitude();
        if from_one.is_nan() { f64::INFINITY } else { from_one }
    };
    let mut open = vec![Interval::new(0.0, 1.0)];
    // The largest value met, from below and in f64: it only decides where to stop.
    let (mut found, mut bound) = (0.0_f64, 0.0_f64);
    let mut parts = 0;
    while let Some(cell) = open.pop() {
        let most = mul_up(cell.upper, at(cell));
        if most <= found * 1.001 {
            bound = bound.max(most);
            continue;
        }
        let middle = cell.middle();
        found = found.max(middle * at(Interval::point(middle)));
        parts += 1;
        if found > limit || parts > MOST_PARTS {
            return None;
        }
        open.extend([Interval::new(cell.lower, middle), Interval::new(middle, cell.upper)]);
    }
    (bound <= limit).then_some(bound)
}

/// A polynomial, and the short intervals of [-2, 2] outside of which its derivative is not 0, with its values there.
struct Stage<'a> {
    coefficients: &'a [f64],
    turns: Vec<[Interval; 2]>,
}

impl<'a> Stage<'a> {
    fn new(coefficients: &'a [f64]) -> Self {
        // The rounding of k c_k is less than a step of f64, by which the derivative is widened below.
        let slope = |(k, c): (usize, &f64)| k as f64 * c;
        let slopes: Vec<f64> = coefficients.iter().enumerate().skip(1).map(slope).collect();
        let slack = coefficients
            .iter()
            .enumerate()
            .map(|(k, c)| mul_up(c.abs() * k as f64, 2f64.powi(k as i32 - 53)));
        let slack = sum_up(slack);
        let mut turns = Vec::new();
        let mut open = vec![Interval::symmetric(2.0)];
        while let Some(piece) = open.pop() {
            let slope = range(&slopes, piece).widened(slack);
            if slope.lower > 0.0 || slope.upper < 0.0 {
                continue;
            }
            if piece.width() < 1e-10 || turns.len() + open.len() > 64 {
                turns.push([piece, range(coefficients, piece)]);
            } else {
                let middle = piece.middle();
                open.push(Interval::new(piece.lower, middle));
                open.push(Interval::new(middle, piece.upper));
            }
        }
        Stage { coefficients, turns }
    }

    /// An enclosure of the values over an interval: between its turns a polynomial is monotone.
    fn image(&self, interval: Interval) -> Interval {
        if !Interval::symmetric(2.0).encloses(&interval) {
            return range(self.coefficients, interval);
        }
        let at = |x: f64| range(self.coefficients, Interval::point(x));
        let ends = at(interval.lower).hull(&at(interval.upper));
        let turns = self.turns.iter().filter(|[turn, _]| turn.intersection(&interval).is_some());
        turns.fold(ends, |hull, [_, values]| hull.hull(values))
    }
}

/// An enclosure of the values of a polynomial, coefficients of 1, z, z^2, ..., over an interval.
///
/// They lie between the least and the largest Bernstein coefficient on it
/// (b_j = sum over i <= j of binomial(j, i) / binomial(n, i) a_i of sum a_i x^i on [0, 1]).
fn range(coefficients: &[f64], interval: Interval) -> Interval {
    let degree = coefficients.len().saturating_sub(1);
    let start = Interval::point(interval.lower);
    if interval.lower == interval.upper {
        let terms = coefficients.iter().rev();
        return terms.fold(Interval::ZERO, |sum, c| sum * start + Interval::point(*c));
    }
    // Taylor coefficients at the lower end, by repeated Horner division.
    let mut taylor: Vec<Interval> = coefficients.iter().map(|c| Interval::point(*c)).collect();
    for first in 0..degree {
        for i in (first..degree).rev() {
            taylor[i] = taylor[i] + start * taylor[i + 1];
        }
    }
    let width = Interval::point(interval.upper) - start;
    let mut power = Interval::point(1.0);
    for (i, a) in taylor.iter_mut().enumerate() {
        // 1 / binomial(n, i), which is an integer below 2^53.
        let share = Interval::new(
            (1.0 / binomial(degree, i)).next_down(),
            (1.0 / binomial(degree, i)).next_up(),
        );
        *a = *a * power * share;
        power = power * width;
    }
    (0..=degree)
        .map(|j| {
            let terms = (0..=j).map(|i| taylor[i].scaled(binomial(j, i)));
            terms.fold(Interval::ZERO, |sum, term| sum + term)
        })
        .reduce(|a, b| a.hull(&b))
        .unwrap_or(Interval::ZERO)
}

/// n over k, exact for the small numbers here.
fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |b, i| b * (n - i) as f64 / (i + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::rational::rational_from_f64;
    use num_rational::BigRational;
    use num_traits::{Signed, Zero};
    use proptest::prelude::*;

    fn exact(x: f64) -> BigRational {
        rational_from_f64(x).unwrap()
    }

    fn horner(coefficients: &[f64], z: &BigRational) -> BigRational {
        coefficients.iter().rev().fold(BigRational::zero(), |sum, c| sum * z + exact(*c))
    }

    /// |block - activation| in f64.
    fn off(block: &Composite, slope: f64, x: f64) -> f64 {
        let s =
            block.sign.stages.iter().fold(x * block.scale, |t, stage| {
                stage.iter().rev().fold(0.0, |sum, c| sum * t + c)
            });
        let function = if x < 0.0 { slope * x } else { x };
        (2.0 * block.linear * x + 4.0 * block.square * x * s - function).abs()
    }

    /// Nothing above the bound at x, in exact arithmetic (each stage cut to 300 bits, which costs
    /// less than 2^-200).
    fn holds(block: &Composite, activation: Activation, x: f64) -> bool {
        let unit = BigRational::from_integer(num_bigint::BigInt::from(1) << 300);
        let x = exact(x);
        let stages = block.sign.stages.iter();
        let s = stages
            .fold(&x * exact(block.scale), |t, stage| (horner(stage, &t) * &unit).floor() / &unit);
        let value =
            |y: BigRational, square: f64| exact(block.linear) * &y + exact(square) * &y * &y;
        let value = value(&x + &s, block.square) + value(&x - &s, -block.square);
        (value - activation.exact(&x).unwrap()).abs() <= exact(block.error)
    }

    #[test]
    fn blocks_reach_their_targets() {
        for (target, most) in [(1e-1, 8), (1e-2, 20), (1e-3, 32), (1e-4, 44)] {
            let interval = Interval::new(-4.0, 4.0);
            let block = composite(Activation::Relu, interval, target).unwrap();
            let degrees = block.sign.degrees();
            let found = (1..=40_000)
                .map(|i| off(&block, 0.0, 4.0 * (f64::from(i) / 40_000.0).powi(3)))
                .fold(0.0, f64::max);
            println!("{target:e}: {degrees:?}, error {:.4e}, found {found:.4e}", block.error);
            assert!(block.error <= target && found <= block.error);
            assert!(block.error <= 1.01 * found);
            assert!(degrees.iter().sum::<usize>() <= most, "{degrees:?}");
        }
    }

    #[test]
    fn what_has_no_block_is_refused() {
        let good = Interval::new(-1.0, 2.0);
        assert!(composite(Activation::Tanh, good, 0.1).is_err());
        assert!(composite(Activation::Relu, Interval::new(0.0, 2.0), 0.1).is_err());
        for target in [0.0, -1.0, f64::NAN, 1e-13] {
            assert!(composite(Activation::Relu, good, target).is_err());
        }
        let block = composite(Activation::Relu, good, 1.001).unwrap();
        assert_eq!(block.sign.degrees(), [0]);
        assert!((1.0..1.0 + 1e-14).contains(&block.error));
        let block = composite(Activation::LeakyRelu { slope: 1.0 }, good, 0.1).unwrap();
        assert_eq!(block.error, 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn blocks_hold_everywhere(
            slope in prop_oneof![Just(0.0), Just(-1.0), -2.0..3.0f64],
            lower in 0.01..20.0f64,
            upper in 0.01..20.0f64,
            accuracy in 1.0..4.0f64,
            shares in prop::collection::vec(-1.0..1.0f64, 20),
        ) {
            let activation = if slope == 0.0 {
                Activation::Relu
            } else if slope == -1.0 {
                Activation::Abs
            } else {
                Activation::LeakyRelu { slope }
            };
            let interval = Interval::new(-lower, upper);
            let target = interval.magnitude() * 10f64.powf(-accuracy);
            let block = composite(activation, interval, target).unwrap();
            prop_assert!(block.error <= target);
            let place = |x: f64| (x * lower.max(upper)).clamp(-lower, upper);
            // All over, and towards the kink.
            for share in shares {
                for x in [place(share), place(share.powi(5)), place(share * target)] {
                    prop_assert!(holds(&block, activation, x), "{x}");
                }
            }
            let worst = (1..=2000)
                .map(|i| place((f64::from(i) / 2000.0).powi(3)))
                .flat_map(|x| [x, -x])
                .filter(|x| interval.contains(*x))
                .max_by(|a, b| off(&block, slope, *a).total_cmp(&off(&block, slope, *b)))
                .unwrap();
            prop_assert!(holds(&block, activation, worst));
        }

        #[test]
        fn ranges_hold_their_values(
            coefficients in prop::collection::vec(-3.0..3.0f64, 1..11),
            lower in -1.5..1.5f64,
            width in prop_oneof![0.0..1.0f64, 0.0..1e-6f64, Just(0.0)],
            shares in prop::collection::vec(0.0..=1.0f64, 10),
        ) {
            let interval = Interval::new(lower, lower + width);
            let found = range(&coefficients, interval);
            for share in shares.into_iter().chain([0.0, 1.0]) {
                let z = (lower + share * width).clamp(interval.lower, interval.upper);
                let value = horner(&coefficients, &exact(z));
                prop_assert!(exact(found.lower) <= value && value <= exact(found.upper));
            }
        }
    }
}
