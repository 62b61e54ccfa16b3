//! The numbers that a series is computed with, [`LANES`] at a time: one neuron a lane.
//!
//! Three arithmetics share every loop: [`Float`], [`DoubleDouble`] and [`Residue`]. A sum of
//! products is the only operation; what each promises of it:
//!
//! - Float: |error| <= gamma_n sum |a_i b_i| in any order and with or without fused operations
//!   (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1).
//! - DoubleDouble: the leading parts are summed with their exact errors (Ogita, Rump and Oishi,
//!   *Accurate sum and dot product*, 2005); see [`DoubleDouble::sum_error`].
//! - Residue: exact, modulo a prime below 2^25, in integers below 2^53.
//!
//! Underflow adds at most 2^-1074 a product to the first two.

use crate::numeric::outward::two_sum;

/// Neurons that one operation works on.
pub(super) const LANES: usize = 16;

/// Products that are added before [`Arithmetic::settle`] is called.
pub(super) const SETTLE: usize = 32;

/// One f64 a neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub(super) struct Lanes(pub [f64; LANES]);

impl Lanes {
    pub const ZERO: Lanes = Lanes([0.0; LANES]);
}

/// a b + c, with one rounding where `FUSED` (the processor can) and else with two.
#[inline(always)]
fn product_sum<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Numbers in which sums of products are computed.
pub(super) trait Arithmetic: Copy + Send + Sync {
    /// One number.
    type Number: Copy + Send + Sync;
    /// One number a neuron.
    type Many: Copy + Send + Sync;
    /// A sum that is being added up.
    type Sum: Copy;

    const ZERO: Self::Many;

    fn begin(self) -> Self::Sum;
    /// A sum that begins with a number.
    fn resume(self, from: Self::Many) -> Self::Sum;
    /// sum += a b.
    fn add<const FUSED: bool>(self, sum: &mut Self::Sum, a: &Self::Many, b: &Self::Many);
    /// sum += a b with the same a for all neurons.
    fn add_scaled<const FUSED: bool>(self, sum: &mut Self::Sum, a: Self::Number, b: &Self::Many);
    /// sum = 2 sum; only after `settle`.
    fn double(self, sum: &mut Self::Sum);
    /// Called after at most [`SETTLE`] products.
    fn settle(self, sum: &mut Self::Sum);
    /// The sum; only after `settle`.
    fn end(self, sum: Self::Sum) -> Self::Many;
    fn get(many: &Self::Many, lane: usize) -> Self::Number;
    fn set(many: &mut Self::Many, lane: usize, value: Self::Number);
}

/// f64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Float;

impl Arithmetic for Float {
    type Number = f64;
    type Many = Lanes;
    type Sum = Lanes;

    const ZERO: Lanes = Lanes::ZERO;

    #[inline(always)]
    fn begin(self) -> Lanes {
        Lanes::ZERO
    }
    #[inline(always)]
    fn resume(self, from: Lanes) -> Lanes {
        from
    }
    #[inline(always)]
    fn add<const FUSED: bool>(self, sum: &mut Lanes, a: &Lanes, b: &Lanes) {
        for l in 0..LANES {
            sum.0[l] = product_sum::<FUSED>(a.0[l], b.0[l], sum.0[l]);
        }
    }
    #[inline(always)]
    fn add_scaled<const FUSED: bool>(self, sum: &mut Lanes, a: f64, b: &Lanes) {
        for l in 0..LANES {
            sum.0[l] = product_sum::<FUSED>(a, b.0[l], sum.0[l]);
        }
    }
    #[inline(always)]
    fn double(self, sum: &mut Lanes) {
        for l in 0..LANES {
            sum.0[l] *= 2.0;
        }
    }
    #[inline(always)]
    fn settle(self, _: &mut Lanes) {}
    #[inline(always)]
    fn end(self, sum: Lanes) -> Lanes {
        sum
    }
    #[inline(always)]
    fn get(many: &Lanes, lane: usize) -> f64 {
        many.0[lane]
    }
    #[inline(always)]
    fn set(many: &mut Lanes, lane: usize, value: f64) {
        many.0[lane] = value;
    }
}

/// The integers modulo a prime below [`Residue::LARGEST`], as integers between -p/2 and p/2 in f64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residue {
    prime: f64,
    inverse: f64,
}

impl Residue {
    /// With |r| <= p/2 (1 + 2^-20), [`SETTLE`] products and what was left before them stay below
    /// 2^53: 32 (1.65e7)^2 + 1.7e7 < 9.0e15, so that every sum is exact, fused or not.
    pub const LARGEST: u64 = 33_000_000;

    pub fn new(prime: u64) -> Self {
        Residue { prime: prime as f64, inverse: 1.0 / prime as f64 }
    }

    /// x minus the nearest multiple of the prime, for an integer |x| < 2^53.
    ///
    /// The quotient is below 2^30, so its error is below 2^-22 before it is rounded; the product and
    /// the difference are integers below 2^53 + 2^25 that are exact: the result is at most p/2 + p 2^-22.
    #[inline(always)]
    pub fn reduce(self, x: f64) -> f64 {
        // Adding and taking away 1.5 2^52 rounds to an integer.
        const INTEGER: f64 = 6_755_399_441_055_744.0;
        let quotient = (x * self.inverse + INTEGER) - INTEGER;
        x - quotient * self.prime
    }

    /// The representative in [0, p).
    pub fn natural(self, x: f64) -> u64 {
        let x = self.reduce(x);
        (if x < 0.0 { x + self.prime } else { x }) as u64
    }
}

impl Arithmetic for Residue {
    type Number = f64;
    type Many = Lanes;
    type Sum = Lanes;

    const ZERO: Lanes = Lanes::ZERO;

    #[inline(always)]
    fn begin(self) -> Lanes {
        Lanes::ZERO
    }
    #[inline(always)]
    fn resume(self, from: Lanes) -> Lanes {
        from
    }
    #[inline(always)]
    fn add<const FUSED: bool>(self, sum: &mut Lanes, a: &Lanes, b: &Lanes) {
        Float.add::<FUSED>(sum, a, b);
    }
    #[inline(always)]
    fn add_scaled<const FUSED: bool>(self, sum: &mut Lanes, a: f64, b: &Lanes) {
        Float.add_scaled::<FUSED>(sum, a, b);
    }
    #[inline(always)]
    fn double(self, sum: &mut Lanes) {
        for l in 0..LANES {
            sum.0[l] = self.reduce(2.0 * sum.0[l]);
        }
    }
    #[inline(always)]
    fn settle(self, sum: &mut Lanes) {
        for l in 0..LANES {
            sum.0[l] = self.reduce(sum.0[l]);
        }
    }
    #[inline(always)]
    fn end(self, sum: Lanes) -> Lanes {
        sum
    }
    #[inline(always)]
    fn get(many: &Lanes, lane: usize) -> f64 {
        many.0[lane]
    }
    #[inline(always)]
    fn set(many: &mut Lanes, lane: usize, value: f64) {
        many.0[lane] = value;
    }
}

/// Unevaluated sums of two f64, the second about 2^-53 of the first or smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct DoubleDouble;

/// a b and its error, exact but for underflow; infinite or no number where a or b is above 2^996
/// and the processor cannot fuse (Veltkamp's splitting; Dekker 1971).
#[inline(always)]
fn two_product<const FUSED: bool>(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    if FUSED {
        return (product, a.mul_add(b, -product));
    }
    let split = |x: f64| {
        let shifted = 134_217_729.0 * x;
        let high = shifted - (shifted - x);
        (high, x - high)
    };
    let ((a1, a0), (b1, b0)) = (split(a), split(b));
    (product, a0 * b0 - (((product - a1 * b1) - a0 * b1) - a1 * b0))
}

impl DoubleDouble {
    /// A bound of the relative error of a sum of n products, relative to S = sum |a_i b_i|.
    ///
    /// With u = 2^-53: the leading sum is exact but for the n errors that TwoSum returns, each at most
    /// u S (1 + n u). They, the errors of the products (u each) and the products with lower parts (2 u
    /// each, the lowest one dropped, u^2) are added in f64: 5 n roundings on numbers whose sizes add up to
    /// at most (n + 4) u S (1 + small). The end renormalises exactly but for what it rounds, u^2 S.
    /// Together at most (5 n (n + 4) + n + 2) u^2 S (1 + small).
    pub fn sum_error(n: usize) -> f64 {
        let (n, u) = (n as f64, f64::EPSILON / 2.0);
        8.0 * (n + 4.0) * (n + 4.0) * u * u
    }
}

impl Arithmetic for DoubleDouble {
    type Number = [f64; 2];
    type Many = [Lanes; 2];
    type Sum = [Lanes; 2];

    const ZERO: [Lanes; 2] = [Lanes::ZERO; 2];

    #[inline(always)]
    fn begin(self) -> [Lanes; 2] {
        Self::ZERO
    }
    #[inline(always)]
    fn resume(self, from: [Lanes; 2]) -> [Lanes; 2] {
        from
    }
    #[inline(always)]
    fn add<const FUSED: bool>(self, sum: &mut [Lanes; 2], a: &[Lanes; 2], b: &[Lanes; 2]) {
        for l in 0..LANES {
            let ([a1, a0], [b1, b0]) = ([a[0].0[l], a[1].0[l]], [b[0].0[l], b[1].0[l]]);
            let (product, error) = two_product::<FUSED>(a1, b1);
            let (high, lost) = two_sum(sum[0].0[l], product);
            let low = product_sum::<FUSED>(a1, b0, product_sum::<FUSED>(a0, b1, error));
            sum[0].0[l] = high;
            sum[1].0[l] += low + lost;
        }
    }
    #[inline(always)]
    fn add_scaled<const FUSED: bool>(self, sum: &mut [Lanes; 2], a: [f64; 2], b: &[Lanes; 2]) {
        let many = [Lanes([a[0]; LANES]), Lanes([a[1]; LANES])];
        self.add::<FUSED>(sum, &many, b);
    }
    #[inline(always)]
    fn double(self, sum: &mut [Lanes; 2]) {
        for part in sum {
            for l in 0..LANES {
                part.0[l] *= 2.0;
            }
        }
    }
    #[inline(always)]
    fn settle(self, _: &mut [Lanes; 2]) {}
    #[inline(always)]
    fn end(self, sum: [Lanes; 2]) -> [Lanes; 2] {
        let mut result = Self::ZERO;
        for l in 0..LANES {
            let (high, low) = two_sum(sum[0].0[l], sum[1].0[l]);
            (result[0].0[l], result[1].0[l]) = (high, low);
        }
        result
    }
    #[inline(always)]
    fn get(many: &[Lanes; 2], lane: usize) -> [f64; 2] {
        [many[0].0[lane], many[1].0[lane]]
    }
    #[inline(always)]
    fn set(many: &mut [Lanes; 2], lane: usize, value: [f64; 2]) {
        (many[0].0[lane], many[1].0[lane]) = (value[0], value[1]);
    }
}

/// A loop that is compiled for several processors.
pub(super) trait Job {
    /// Runs it with fused operations or without.
    fn run<const FUSED: bool>(self);
}

/// Runs `job` with AVX2 and fused operations where the processor has them.
#[inline]
pub(super) fn dispatch<J: Job>(job: J) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        struct Fused<J>(J);
        impl<J: Job> pulp::NullaryFnOnce for Fused<J> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                self.0.run::<true>();
            }
        }
        return simd.vectorize(Fused(job));
    }
    // A fused operation that is not native is a call of a function.
    if cfg!(target_arch = "aarch64") { job.run::<true>() } else { job.run::<false>() }
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

    fn many(x: f64) -> Lanes {
        Lanes([x; LANES])
    }

    fn sum<A: Arithmetic, const FUSED: bool>(
        arithmetic: A,
        pairs: &[(A::Many, A::Many)],
    ) -> A::Many {
        let mut sum = arithmetic.begin();
        for pairs in pairs.chunks(SETTLE) {
            for (a, b) in pairs {
                arithmetic.add::<FUSED>(&mut sum, a, b);
            }
            arithmetic.settle(&mut sum);
        }
        arithmetic.end(sum)
    }

    /// Numbers that cancel, of sizes far apart.
    fn number() -> impl Strategy<Value = f64> {
        (-1.0..1.0f64, -30..30i32).prop_map(|(x, e)| x * 2_f64.powi(e))
    }

    proptest! {
        #[test]
        fn residues_are_exact(values in prop::collection::vec((any::<u32>(), any::<u32>(), any::<bool>()), 1..200)) {
            let p = 32_999_999;
            let field = Residue::new(p);
            // The ends of the range, where sums are largest, come often.
            let residue = |x: u32, end: bool| match end {
                true => (p / 2) as f64,
                false => field.reduce(f64::from(x)),
            };
            let pairs: Vec<_> = values
                .iter()
                .map(|(a, b, end)| (many(residue(*a, *end)), many(residue(*b, *end))))
                .collect();
            let expected = pairs.iter().fold(0_i128, |sum, (a, b)| {
                sum + a.0[0] as i128 * b.0[0] as i128
            });
            for got in [sum::<_, true>(field, &pairs), sum::<_, false>(field, &pairs)] {
                prop_assert_eq!(i128::from(field.natural(got.0[0])), expected.rem_euclid(i128::from(p)));
                prop_assert!(got.0[0].abs() <= p as f64 / 2.0 + 8.0);
            }
        }

        #[test]
        fn double_double_sums_are_within_their_bound(
            values in prop::collection::vec((number(), number(), number(), number(), any::<bool>()), 1..80),
        ) {
            // Each product comes again with the other sign and a little change.
            let mut pairs = Vec::new();
            let low = |high: f64, x: f64| two_sum(high, high * x * 2_f64.powi(-84));
            for (a, b, x, y, again) in &values {
                let ((a1, a0), (b1, b0)) = (low(*a, *x), low(*b, *y));
                pairs.push(([a1, a0], [b1, b0]));
                if *again {
                    pairs.push(([-a1, a0], [b1, -b0]));
                }
            }
            let value = |x: [f64; 2]| exact(x[0]) + exact(x[1]);
            let products = || pairs.iter().map(|(a, b)| value(*a) * value(*b));
            let total: BigRational = products().sum();
            let size = products().fold(BigRational::zero(), |sum, x| sum + x.abs());
            let bound = size * exact(DoubleDouble::sum_error(pairs.len()));
            let lanes: Vec<_> = pairs.iter().map(|(a, b)| (a.map(many), b.map(many))).collect();
            for got in [sum::<_, true>(DoubleDouble, &lanes), sum::<_, false>(DoubleDouble, &lanes)] {
                let got = value([got[0].0[0], got[1].0[0]]);
                prop_assert!((got - &total).abs() <= bound);
            }
        }
    }
}
