//! How far the values of the two networks can be apart, recomputed layer by layer.
//!
//! With z and z' the pre-activations of reference and SLNN, and m any number, p(z') - s(z) =
//! [p(z') - s(z')] + [s(z') - s(z)], where the first term is at most the error and the second is
//! a slope of s between z and z' times (z' - z):
//!
//! - **A**: one number e for all neurons; behind an affine layer ||W|| e in the infinity norm, behind
//!   an activation layer the largest error plus the largest |slope| times e.
//! - **B**: one number a neuron; |W| e, then error_i + |slope|_i e_i.
//! - **C**: the differences are linear forms T eta in symbols eta in [-1, 1], one for each neuron
//!   passed. Behind an affine layer W T; behind an activation row i is multiplied by a number m_i in
//!   the middle of the slopes, and gets a symbol of size error_i + max|slope - m_i| r_i, where
//!   r_i is the bound before. A neuron's bound is the smaller of sum |T_ij| and the bound of B.
//!
//! Errors, slopes and weights are dyadic, so that nothing needs to be rounded; where rows are
//! rounded, what that can have changed is carried along as one more number for each neuron.

use num_traits::{One, Zero};
use rayon::prelude::*;

use super::block::{Digits, Precision, Row, combine, dot, multiplied, rounded_up};
use crate::bound::Method;
use crate::numeric::Dyadic;

/// What the certificate says of a neuron, as far as differences go.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// |p - s| on the interval.
    pub error: Dyadic,
    /// The slopes of s.
    pub lower: Dyadic,
    pub upper: Dyadic,
    /// A number between the slopes.
    pub middle: Dyadic,
}

impl Claim {
    fn steepest(&self) -> Dyadic {
        self.lower.abs().max(self.upper.abs())
    }
}

/// The differences at one place of the networks.
pub(super) struct Differences<D> {
    method: Method,
    precision: Precision,
    /// Method A.
    norm: Dyadic,
    /// Method B.
    each: Vec<Dyadic>,
    /// Method C: the rows of T in parts, a part for each activation layer that an affine layer
    /// followed; then, for each neuron, the size of a symbol of its own, and what rounding may have
    /// changed.
    parts: Vec<Vec<Row<D>>>,
    own: Vec<Dyadic>,
    rounding: Vec<Dyadic>,
}

impl<D: Digits> Differences<D> {
    /// None at the `inputs`.
    pub(super) fn new(method: Method, inputs: usize, precision: Precision) -> Self {
        let zeros = vec![Dyadic::zero(); inputs];
        Differences {
            method,
            precision,
            norm: Dyadic::zero(),
            each: zeros.clone(),
            parts: vec![],
            own: zeros.clone(),
            rounding: zeros,
        }
    }

    fn short(x: Dyadic) -> Dyadic {
        if D::ROUNDED { rounded_up(&x) } else { x }
    }

    /// The bounds, one a neuron, by the method.
    pub(super) fn bounds(&self) -> Vec<Dyadic> {
        match self.method {
            Method::A => vec![self.norm.clone(); self.each.len()],
            Method::B => self.each.clone(),
            Method::C | Method::C2 | Method::D => {
                (0..self.each.len()).map(|i| self.joint(i).min(self.each[i].clone())).collect()
            }
        }
    }

    /// Method C alone.
    fn joint(&self, i: usize) -> Dyadic {
        let sum = self.parts.iter().fold(Dyadic::zero(), |sum, part| sum + &part[i].sum_of_sizes());
        Self::short(&(sum + &self.own[i]) + &self.rounding[i])
    }

    /// Behind an affine layer.
    pub(super) fn affine(&mut self, weights: &[Row<D>]) {
        match self.method {
            Method::A => {
                let sizes = weights.iter().map(Row::greatest_sum);
                let norm = sizes.max().unwrap_or_else(Dyadic::zero);
                self.norm = Self::short(&norm * &self.norm);
                self.each = vec![Dyadic::zero(); weights.len()];
            }
            Method::B => self.each = self.spread(weights, &self.each),
            Method::C | Method::C2 | Method::D => {
                self.each = self.spread(weights, &self.each);
                self.mix(weights);
            }
        }
    }

    /// |W| x for x >= 0, not below it.
    fn spread(&self, weights: &[Row<D>], x: &[Dyadic]) -> Vec<Dyadic> {
        let negative: Vec<_> = x.iter().map(|x| -x).collect();
        let [positive, negative] = [x, &negative].map(|x| Row::below(x, self.precision));
        weights
            .par_iter()
            .map(|row| {
                let (sum, slack) = dot(row, &positive, &negative);
                Self::short(&sum + &slack)
            })
            .collect()
    }

    /// W T.
    fn mix(&mut self, weights: &[Row<D>]) {
        let mut rounding = self.spread(weights, &self.rounding);
        let own = Row::below(&self.own, self.precision);
        let mut parts = Vec::new();
        let sources = self.parts.iter().map(Some).chain([None]);
        for source in sources {
            if source.is_none() && self.own.iter().all(Zero::is_zero) {
                continue;
            }
            let rows: Vec<(Row<D>, Dyadic)> = weights
                .par_iter()
                .map(|row| match source {
                    Some(part) => combine(row, part, self.precision),
                    None => multiplied(row, &own, &own, &[], self.precision),
                })
                .collect();
            let mut part = Vec::with_capacity(rows.len());
            for ((row, error), rounding) in rows.into_iter().zip(&mut rounding) {
                // Each number of the row belongs to a symbol of size 1 at most.
                let symbols = Dyadic::from(row.len() as i64);
                *rounding = Self::short(&*rounding + &(&error * &symbols));
                part.push(row.settled().0);
            }
            parts.push(part);
        }
        self.parts = parts;
        self.own = vec![Dyadic::zero(); weights.len()];
        self.rounding = rounding;
    }

    /// Behind an activation layer.
    pub(super) fn activations(&mut self, claims: &[Claim]) {
        let bounds = self.bounds();
        let greatest = |of: &mut dyn Iterator<Item = Dyadic>| of.max().unwrap_or_else(Dyadic::zero);
        match self.method {
            Method::A => {
                let error = greatest(&mut claims.iter().map(|claim| claim.error.clone()));
                let slope = greatest(&mut claims.iter().map(Claim::steepest));
                self.norm = Self::short(&error + &(&slope * &self.norm));
            }
            Method::B | Method::C | Method::C2 | Method::D => {
                for (each, claim) in self.each.iter_mut().zip(claims) {
                    *each = Self::short(&claim.error + &(&claim.steepest() * each));
                }
            }
        }
        if self.method < Method::C {
            return;
        }
        for (i, claim) in claims.iter().enumerate() {
            let size = claim.middle.abs();
            let other = (&claim.upper - &claim.middle).abs();
            let spread = other.max((&claim.middle - &claim.lower).abs());
            let fresh = &claim.error + &(&spread * &bounds[i]);
            // A symbol of the neuron's own before joins the new one: they stay together.
            self.own[i] = Self::short(&(&size * &self.own[i]) + &fresh);
            let mut rounding = &size * &self.rounding[i];
            for part in &mut self.parts {
                let symbols = part[i].len();
                let factors = vec![claim.middle.clone(); symbols];
                let factors = Row::below(&factors, self.precision);
                let (row, error) = multiplied(&part[i], &factors, &factors, &[], self.precision);
                rounding += &(&error * &Dyadic::from(symbols as i64));
                part[i] = row.settled().0;
            }
            self.rounding[i] = Self::short(rounding);
        }
    }
}

/// The f64 nearest to the middle of two, which lies between them.
pub(super) fn middle(lower: f64, upper: f64) -> Option<Dyadic> {
    let half = Dyadic::new(num_bigint::BigInt::one(), -1);
    let sum = &Dyadic::from_f64(lower)? + &Dyadic::from_f64(upper)?;
    let nearest = (&sum * &half).to_f64()?;
    Dyadic::from_f64(nearest.clamp(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    const WIDTH: usize = 3;

    type Claims = Vec<(f64, f64, f64)>;

    /// The bounds behind two activation layers and three affine ones.
    fn walked<D: Digits>(method: Method, weights: &[Vec<f64>], claims: &[Claims]) -> Vec<Dyadic> {
        let exact = |x: f64| Dyadic::from_f64(x).unwrap();
        let precision = Precision::for_sums_of(2 * WIDTH);
        let rows = |w: &[f64]| -> Vec<Row<D>> {
            w.chunks(WIDTH)
                .map(|w| Row::below(&w.iter().map(|x| exact(*x)).collect::<Vec<_>>(), precision))
                .collect()
        };
        let mut differences = Differences::<D>::new(method, WIDTH, precision);
        for (w, claims) in weights.iter().zip(claims) {
            differences.affine(&rows(w));
            let claim = |(error, lower, width): &(f64, f64, f64)| Claim {
                error: exact(*error),
                lower: exact(*lower),
                upper: exact(lower + width),
                middle: middle(*lower, lower + width).unwrap(),
            };
            let claims: Vec<_> = claims.iter().map(claim).collect();
            differences.activations(&claims);
        }
        differences.affine(&rows(&weights[2]));
        differences.bounds()
    }

    /// The same by plain loops in f64, method C.
    fn oracle(weights: &[Vec<f64>], claims: &[Claims]) -> Vec<f64> {
        let mut each = vec![0.0; WIDTH];
        let mut rows: Vec<Vec<f64>> = vec![vec![]; WIDTH];
        let bounds = |each: &[f64], rows: &[Vec<f64>]| -> Vec<f64> {
            let sum = |row: &Vec<f64>| row.iter().map(|x| x.abs()).sum::<f64>();
            rows.iter().zip(each).map(|(row, each)| sum(row).min(*each)).collect()
        };
        for (l, w) in weights.iter().enumerate() {
            let at = |i: usize, k: usize| w[i * WIDTH + k];
            let columns = rows[0].len();
            rows = (0..WIDTH)
                .map(|i| {
                    let entry = |j: usize| (0..WIDTH).map(|k| at(i, k) * rows[k][j]).sum();
                    (0..columns).map(entry).collect()
                })
                .collect();
            each = (0..WIDTH).map(|i| (0..WIDTH).map(|k| at(i, k).abs() * each[k]).sum()).collect();
            let Some(claims) = claims.get(l) else { break };
            let before = bounds(&each, &rows);
            for (i, (error, lower, width)) in claims.iter().enumerate() {
                let (middle, upper) = (lower + width / 2.0, lower + width);
                for x in &mut rows[i] {
                    *x *= middle;
                }
                for j in 0..WIDTH {
                    rows[i].push(if i == j { error + width / 2.0 * before[i] } else { 0.0 });
                }
                each[i] = error + lower.abs().max(upper.abs()) * each[i];
            }
        }
        bounds(&each, &rows)
    }

    proptest! {
        #[test]
        fn methods_agree_with_plain_loops_and_with_each_other(
            weights in prop::collection::vec(prop::collection::vec(-2.0..2.0f64, 9), 3),
            claims in prop::collection::vec(
                prop::collection::vec((0.0..1.0f64, -1.0..1.0f64, 0.0..1.0f64), WIDTH), 2),
        ) {
            let mut all = vec![];
            for method in [Method::A, Method::B, Method::C] {
                let one = walked::<BigInt>(method, &weights, &claims);
                let other = walked::<i64>(method, &weights, &claims);
                for (exactly, rounded) in one.iter().zip(&other) {
                    prop_assert!(exactly <= rounded);
                    let (exactly, rounded) = (exactly.to_f64().unwrap(), rounded.to_f64().unwrap());
                    prop_assert!(rounded <= exactly + 1e-14);
                }
                all.push(one);
            }
            let oracle = oracle(&weights, &claims);
            for i in 0..WIDTH {
                prop_assert!(all[2][i] <= all[1][i] && all[1][i] <= all[0][i]);
                prop_assert!((all[2][i].to_f64().unwrap() - oracle[i]).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn the_middle_is_between() {
        for (lower, upper) in [(0.0, 1.0), (-f64::MAX, f64::MAX), (1.0, 1.0f64.next_up())] {
            let middle = middle(lower, upper).unwrap().to_f64().unwrap();
            assert!((lower..=upper).contains(&middle));
        }
    }
}
