//! The polynomials of the SLNN, one a neuron, as Chebyshev series with dyadic numbers.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use crate::network::{Activation, Basis, Family, Layer, Part, Slaf};
use crate::numeric::Dyadic;

/// The largest degree that is looked at.
pub(super) const LARGEST_DEGREE: usize = 4096;
/// The largest degree in another basis than Chebyshev's, which has to be converted.
const LARGEST_CONVERTED: usize = 64;
/// The most coefficients of all neurons of a layer.
const MOST_COEFFICIENTS: usize = 1 << 26;

/// The longest mantissa and the largest binary exponent of a number that is looked at: sums of
/// numbers of very different sizes would take the memory that a file asks for in a few letters.
const LONGEST: u64 = 1 << 14;
/// The most bits that a conversion may need for one number.
const MOST_BITS: u64 = 1 << 16;

/// The number as a dyadic; `Err` says why it is none, or none that is looked at.
pub(super) fn admit(x: &BigRational) -> Result<Dyadic, String> {
    let Some(x) = Dyadic::from_rational(x) else {
        return Err("a denominator that is no power of two; only dyadic numbers are checked".into());
    };
    if length(&x) > LONGEST {
        return Err(format!(
            "a number of {} bits or binary exponent {}, where at most {LONGEST} is checked",
            x.mantissa().bits(),
            x.exponent()
        ));
    }
    Ok(x)
}

fn length(x: &Dyadic) -> u64 {
    x.mantissa().bits().saturating_add(x.exponent().unsigned_abs())
}

/// `sum_k coefficients[k] T_k((z - centre) scale)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chebyshev {
    pub centre: Dyadic,
    pub scale: Dyadic,
    /// The last one is not zero, unless it is the only one.
    pub coefficients: Vec<Dyadic>,
}

impl Chebyshev {
    /// A series; a scale of zero, which makes a constant, becomes one.
    pub(super) fn new(centre: Dyadic, scale: Dyadic, mut coefficients: Vec<Dyadic>) -> Self {
        if scale.is_zero() {
            // T_k(0) is 1, 0, -1, 0, ...
            let mut value = Dyadic::zero();
            for (k, c) in coefficients.iter().enumerate().step_by(2) {
                if k % 4 == 0 {
                    value += c;
                } else {
                    value -= c;
                }
            }
            return Chebyshev { centre, scale: Dyadic::one(), coefficients: vec![value] };
        }
        while coefficients.len() > 1 && coefficients.last().is_some_and(Dyadic::is_zero) {
            coefficients.pop();
        }
        if coefficients.is_empty() {
            coefficients.push(Dyadic::zero());
        }
        Chebyshev { centre, scale, coefficients }
    }

    /// slope z + 0.
    pub(super) fn line(slope: Dyadic) -> Self {
        Self::new(Dyadic::zero(), Dyadic::one(), vec![Dyadic::zero(), slope])
    }

    pub(super) fn degree(&self) -> usize {
        self.coefficients.len() - 1
    }

    /// t at z.
    pub(super) fn place(&self, z: &Dyadic) -> Dyadic {
        &(z - &self.centre) * &self.scale
    }

    /// The coefficients in powers of t.
    pub(super) fn powers(&self) -> Vec<Dyadic> {
        let n = self.degree();
        let mut sum = vec![Dyadic::zero(); n + 1];
        // The integer coefficients of T_{k-1} and T_k.
        let (mut previous, mut current) =
            (vec![BigInt::zero(); n + 2], vec![BigInt::zero(); n + 2]);
        current[0] = BigInt::one();
        for (k, c) in self.coefficients.iter().enumerate() {
            for j in (k % 2..=k).step_by(2) {
                sum[j] += &(c * &Dyadic::from(current[j].clone()));
            }
            let factor = BigInt::from(if k == 0 { 1 } else { 2 });
            let next: Vec<_> = (0..n + 2)
                .map(|j| {
                    let shifted = if j == 0 { BigInt::zero() } else { &current[j - 1] * &factor };
                    shifted - &previous[j]
                })
                .collect();
            previous = std::mem::replace(&mut current, next);
        }
        sum
    }

    /// The same polynomial in a variable t = z 2^-e that stays in [-1, 1] for |z - centre| up to
    /// `reach`.
    fn from_powers(powers: &[Dyadic], centre: Dyadic, reach: &Dyadic) -> Self {
        let e = reach.exponent().saturating_add(reach.mantissa().bits() as i64);
        // t^k = 2^(1-k) sum of C(k, j) T_{k-2j}, the term of T_0 halved; by t T_k = (T_{k+1} +
        // T_{k-1}) / 2 in Horner's scheme.
        let half = Dyadic::new(BigInt::one(), -1);
        let mut sum = vec![Dyadic::zero(); powers.len() + 1];
        for (k, power) in powers.iter().enumerate().rev() {
            let mut next = vec![Dyadic::zero(); powers.len() + 1];
            for j in 0..powers.len() - k {
                let part = if j == 0 { sum[j].clone() } else { &sum[j] * &half };
                next[j + 1] += &part;
                if j > 0 {
                    next[j - 1] += &part;
                }
            }
            let scaled = Dyadic::new(BigInt::one(), e.saturating_mul(k as i64));
            next[0] += &(power * &scaled);
            sum = next;
        }
        let scale = Dyadic::new(BigInt::one(), -e);
        Self::new(centre, scale, sum)
    }

    /// The same polynomial, its t in [-1, 1] for z in [lower, upper]; only for small degrees.
    pub(super) fn fitted(&self, lower: &Dyadic, upper: &Dyadic) -> Option<Self> {
        if self.degree() > LARGEST_CONVERTED {
            return None;
        }
        let powers = self.powers();
        // In powers of z - centre.
        let mut factor = Dyadic::one();
        let mut scaled = Vec::new();
        for power in &powers {
            scaled.push(power * &factor);
            factor = &factor * &self.scale;
        }
        let reach = (lower - &self.centre).abs().max((upper - &self.centre).abs());
        let reach = if reach.is_zero() { Dyadic::one() } else { reach };
        Some(Self::from_powers(&scaled, self.centre.clone(), &reach))
    }
}

/// The polynomials of a layer of the SLNN; `Err` says why there are none.
pub(super) fn of_layer(layer: &Layer, width: usize) -> Result<Vec<Chebyshev>, String> {
    match layer {
        Layer::Affine(_) => Err("an affine layer, where the network has an activation".into()),
        Layer::Slaf(slaf) => of_slaf(slaf, width),
        Layer::Activation(function) => identity(*function, width),
        Layer::Mixed(mixed) => {
            let mut all = vec![None; width];
            for group in mixed.groups() {
                let part = match &group.part {
                    Part::Slaf(slaf) => of_slaf(slaf, group.neurons.len())?,
                    Part::Activation(function) => identity(*function, group.neurons.len())?,
                };
                for (&neuron, polynomial) in group.neurons.iter().zip(part) {
                    if let Some(place) = all.get_mut(neuron) {
                        *place = Some(polynomial);
                    }
                }
            }
            all.into_iter()
                .collect::<Option<_>>()
                .ok_or_else(|| "a neuron without a polynomial".into())
        }
        other => Err(format!("a layer of the kind {}, which is not checked", other.kind())),
    }
}

fn identity(function: Activation, width: usize) -> Result<Vec<Chebyshev>, String> {
    if function != Activation::Identity {
        return Err(format!("the slnn has the activation {}, no polynomial", function.name()));
    }
    Ok(vec![Chebyshev::line(Dyadic::one()); width])
}

fn of_slaf(slaf: &Slaf, width: usize) -> Result<Vec<Chebyshev>, String> {
    let degree = slaf.degree();
    if degree > LARGEST_DEGREE {
        return Err(format!(
            "a polynomial of degree {degree}, where at most {LARGEST_DEGREE} is checked"
        ));
    }
    if width.saturating_mul(degree + 1) > MOST_COEFFICIENTS {
        return Err(format!(
            "{width} polynomials of degree {degree}, where at most {MOST_COEFFICIENTS} \
             coefficients are checked"
        ));
    }
    let dyadics = |numbers: &mut dyn Iterator<Item = BigRational>| {
        numbers.map(|x| admit(&x)).collect::<Result<Vec<_>, _>>()
    };
    if let Basis::Orthogonal { family: Family::Chebyshev, centre, scale } = slaf.basis() {
        let centre = dyadics(&mut centre.to_exact().into_iter())?;
        let scale = dyadics(&mut scale.to_exact().into_iter())?;
        let coefficients = slaf.coefficients().to_exact();
        let row = |i: usize| {
            let row = if coefficients.nrows() == 1 { 0 } else { i };
            dyadics(&mut coefficients.row(row).iter().cloned())
        };
        return (0..width)
            .map(|i| Ok(Chebyshev::new(centre[i].clone(), scale[i].clone(), row(i)?)))
            .collect();
    }
    if degree > LARGEST_CONVERTED {
        let name = slaf.basis().name();
        return Err(format!(
            "degree {degree} in the basis {name}, where at most {LARGEST_CONVERTED} is checked"
        ));
    }
    let mut numbers: Vec<_> = slaf.coefficients().to_exact().into_iter().collect();
    match slaf.basis() {
        Basis::Monomial => {}
        Basis::NormalisedMonomial { mean, scale } => {
            numbers.extend(mean.to_exact().into_iter().chain(scale.to_exact()));
        }
        Basis::Orthogonal { centre, scale, .. } => {
            numbers.extend(centre.to_exact().into_iter().chain(scale.to_exact()));
        }
    }
    let longest = dyadics(&mut numbers.into_iter())?.iter().map(length).max().unwrap_or(0);
    if longest.saturating_mul(degree as u64) > MOST_BITS {
        return Err(format!(
            "numbers of {longest} bits at degree {degree} in the basis {}, where their product is \
             at most {MOST_BITS}",
            slaf.basis().name()
        ));
    }
    slaf.fold(width)
        .into_iter()
        .map(|polynomial| {
            let powers = polynomial.into_coefficients();
            // Legendre polynomials have dyadic coefficients, so that nothing is lost here.
            let powers = powers.iter().map(|x| Dyadic::from_rational(x).ok_or("no dyadic number"));
            let mut powers = powers.collect::<Result<Vec<_>, _>>()?;
            if powers.is_empty() {
                powers.push(Dyadic::zero());
            }
            Ok(Chebyshev::from_powers(&powers, Dyadic::zero(), &Dyadic::new(BigInt::one(), -1)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(powers: &[Dyadic], z: &Dyadic) -> Dyadic {
        powers.iter().rev().fold(Dyadic::zero(), |sum, c| &(&sum * z) + c)
    }

    proptest! {
        #[test]
        fn conversions_keep_the_polynomial(
            coefficients in prop::collection::vec(-100i64..100, 1..12),
            centre in -8i64..8, scale in -5i64..5, e in -5i64..3, z in -50i64..50,
        ) {
            let dyadics = coefficients.into_iter().map(Dyadic::from).collect::<Vec<_>>();
            let series =
                Chebyshev::new(centre.into(), Dyadic::new(scale.into(), e), dyadics.clone());
            let z = Dyadic::new(z.into(), -2);
            // By the recurrence.
            let t = if scale == 0 { Dyadic::zero() } else { series.place(&z) };
            let (mut previous, mut current) = (t.clone(), Dyadic::one());
            let mut expected = Dyadic::zero();
            for c in &dyadics {
                expected += &(c * &current);
                let next = &(&(&t * &current) + &(&t * &current)) - &previous;
                previous = std::mem::replace(&mut current, next);
            }
            let found = value(&series.powers(), &series.place(&z));
            prop_assert_eq!(&found, &expected);
            let fitted = series.fitted(&Dyadic::from(-13), &Dyadic::from(13)).unwrap();
            prop_assert!(fitted.place(&Dyadic::from(13)).abs() <= Dyadic::one());
            prop_assert_eq!(&value(&fitted.powers(), &fitted.place(&z)), &expected);
        }
    }
}
