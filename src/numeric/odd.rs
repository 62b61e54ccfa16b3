//! Odd parts of denominators, known as long as they are short enough to be of use.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{One, Zero};

/// Bits of the shorter of two numbers up to which their greatest common divisor is looked for, which
/// takes the square of them.
const SHORT: u64 = 1 << 13;

/// A common multiple of two positive numbers: the least, unless both are long and neither divides
/// the other.
///
/// Cost: a division, and the square of [`SHORT`].
pub(crate) fn common_multiple(a: BigUint, b: &BigUint) -> BigUint {
    if b.is_one() {
        return a;
    }
    let rest = &a % b;
    if rest.is_zero() {
        return a;
    }
    let other = b % &a;
    if other.is_zero() {
        return b.clone();
    }
    if a.bits().min(b.bits()) > SHORT {
        return a * b;
    }
    // That of the shorter and the rest of the longer.
    let divisor = if a.bits() < b.bits() { other.gcd(&a) } else { rest.gcd(b) };
    a * (b / divisor)
}

/// The same of positive numbers with a sign.
pub(crate) fn common_integer(a: BigInt, b: &BigInt) -> BigInt {
    common_multiple(a.into_parts().1, b.magnitude()).into()
}

/// A positive odd number, a common denominator but for powers of two.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Odd {
    Known(BigUint),
    /// An upper bound of log2 of one that is too long to be written down.
    Long(f64),
}

impl Odd {
    pub(crate) fn one() -> Self {
        Odd::Known(BigUint::one())
    }

    pub(crate) fn is_one(&self) -> bool {
        matches!(self, Odd::Known(odd) if odd.is_one())
    }

    /// An upper bound of log2; 0 of 1 alone.
    pub(crate) fn bits(&self) -> f64 {
        match self {
            Odd::Known(odd) if odd.is_one() => 0.0,
            Odd::Known(odd) => odd.bits() as f64,
            Odd::Long(bits) => *bits,
        }
    }

    /// A common multiple of both, the least where that is found at once; known up to `longest` bits.
    pub(crate) fn common(self, other: &Odd, longest: u64) -> Self {
        let bits = self.bits() + other.bits();
        match (self, other) {
            (Odd::Known(a), Odd::Known(b)) => {
                let multiple = common_multiple(a, b);
                if multiple.bits() > longest {
                    Odd::Long(multiple.bits() as f64)
                } else {
                    Odd::Known(multiple)
                }
            }
            _ => Odd::Long(bits),
        }
    }

    /// `self^power other`, known up to `longest` bits.
    pub(crate) fn power_times(&self, power: u32, other: &Odd, longest: u64) -> Self {
        let bits = self.bits() * f64::from(power) + other.bits();
        match (self, other) {
            _ if self.is_one() || power == 0 => other.clone(),
            (Odd::Known(a), Odd::Known(b)) if bits <= longest as f64 => {
                Odd::Known(a.pow(power) * b)
            }
            _ => Odd::Long(bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn common_multiples_are_the_least(a in 1..10_000_u64, b in 1..10_000_u64, c in 1..10_000_u64) {
            let (a, b, c) = (BigUint::from(a), BigUint::from(b), BigUint::from(c));
            for (a, b) in [(&a * &c, &b * &c), (a.pow(40) * &c, b.clone()), (a.clone(), b.pow(40))] {
                prop_assert_eq!(common_multiple(a.clone(), &b), a.lcm(&b));
            }
        }
    }

    #[test]
    fn long_numbers_have_a_common_multiple_at_once() {
        let (a, b) = (BigUint::from(3_u32).pow(1 << 18), BigUint::from(5_u32).pow(1 << 18));
        assert_eq!(common_multiple(a.clone(), &b), &a * &b);
        assert_eq!(common_multiple(a.clone(), &a), a);
        let multiple = &a * 7_u32;
        assert_eq!(common_multiple(a.clone(), &multiple), multiple);
        assert_eq!(common_multiple(a.clone(), &BigUint::from(21_u32)), multiple);
        assert_eq!(common_multiple(BigUint::from(21_u32), &a), multiple);
    }

    #[test]
    fn what_is_too_long_keeps_a_bound_of_its_length() {
        let three = Odd::Known(BigUint::from(3_u32));
        let known = three.power_times(100, &three, 1000);
        assert_eq!(known, Odd::Known(BigUint::from(3_u32).pow(101)));
        let long = known.power_times(100, &three, 1000);
        assert!(matches!(long, Odd::Long(bits) if bits >= 10_101.0 * 3_f64.log2()));
        assert_eq!(long.power_times(0, &three, 1000), three);
        assert_eq!(Odd::one().power_times(u32::MAX, &long, 1000), long);
        let both = three.common(&long, 1000);
        assert!(matches!(both, Odd::Long(bits) if bits >= long.bits()));
    }
}
