//! Arithmetic modulo a prime below 2^62, for randomised identity testing.
//!
//! Two polynomials of total degree at most D that differ agree at a uniformly random point
//! modulo a prime p, which does not divide the difference, with probability at most D / p
//! (Schwartz 1980, Zippel 1979). The functions take residues in [0, p) and return such residues.
//!
//! ```
//! use slnn::numeric::modular;
//!
//! let p = 2_305_843_009_213_693_951; // 2^61 - 1
//! assert!(modular::is_prime(p));
//! let third = modular::inv(3, p).expect("3 is not 0 modulo p");
//! assert_eq!(modular::mul(third, 3, p), 1);
//! ```

use crate::error::{Error, Result};
use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::ToPrimitive;
use rand::Rng;

/// a + b modulo p.
#[inline]
pub fn add(a: u64, b: u64, p: u64) -> u64 {
    // No overflow: both are below 2^62.
    let sum = a + b;
    if sum >= p { sum - p } else { sum }
}

/// a - b modulo p.
#[inline]
pub fn sub(a: u64, b: u64, p: u64) -> u64 {
    if a >= b { a - b } else { a + p - b }
}

/// a b modulo p; also for any modulus p > 0 up to 64 bits.
#[inline]
pub fn mul(a: u64, b: u64, p: u64) -> u64 {
    // Below p, which is a u64.
    (u128::from(a) * u128::from(b) % u128::from(p)) as u64
}

/// a^exponent modulo p by repeated squaring; 0^0 is 1.
pub fn pow(a: u64, exponent: u64, p: u64) -> u64 {
    let (mut result, mut square, mut rest) = (1 % p, a, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = mul(result, square, p);
        }
        square = mul(square, square, p);
        rest >>= 1;
    }
    result
}

/// The inverse of a modulo the prime p, a^(p - 2) by Fermat; `None` for 0.
pub fn inv(a: u64, p: u64) -> Option<u64> {
    (a != 0).then(|| pow(a, p - 2, p))
}

/// The residue of an integer; time linear in its length.
pub fn reduce(value: &BigInt, p: u64) -> u64 {
    // Below p, so the conversion cannot fail.
    value.mod_floor(&BigInt::from(p)).to_u64().unwrap_or(0)
}

/// The residue of a rational number modulo the prime p; `None` when p divides the denominator.
pub fn reduce_rational(value: &BigRational, p: u64) -> Option<u64> {
    Some(mul(reduce(value.numer(), p), inv(reduce(value.denom(), p), p)?, p))
}

/// Whether n is prime, decided for every u64.
///
/// Miller-Rabin to the first twelve primes as bases: no composite number below
/// 318,665,857,834,031,151,167,461 > 2^64 passes them all (Sorenson and Webster, Strong
/// pseudoprimes to twelve prime bases, Mathematics of Computation 86, 2017).
pub fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(divisor) = BASES.into_iter().find(|base| n.is_multiple_of(*base)) {
        return n == divisor;
    }
    // n - 1 = odd 2^twos; n is odd here.
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    BASES.into_iter().all(|base| {
        let mut power = pow(base, odd, n);
        if power == 1 || power == n - 1 {
            return true;
        }
        for _ in 1..twos {
            power = mul(power, power, n);
            if power == n - 1 {
                return true;
            }
        }
        false
    })
}

/// A prime drawn uniformly from those with exactly `bits` bits; 62 gives [2^61, 2^62).
///
/// By rejection: about 0.7 `bits` candidates are tried on average. There are more than
/// 5 10^16 primes of 62 bits, so that a nonzero integer of at most B bits is 0 modulo such a
/// prime with probability below B / 61 / (5 10^16).
///
/// # Errors
/// `bits` outside 2 to 62.
pub fn random_prime(rng: &mut impl Rng, bits: u32) -> Result<u64> {
    if !(2..=62).contains(&bits) {
        return Err(Error::invalid("bits of a random prime", bits.to_string(), "2 to 62"));
    }
    loop {
        let candidate = (rng.next_u64() >> (64 - bits)) | 1 << (bits - 1);
        if is_prime(candidate) {
            return Ok(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn trial_division(n: u64) -> bool {
        n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
    }

    #[test]
    fn primality_is_that_of_trial_division() {
        for n in (0..20_000).chain(4_294_967_200..4_294_967_400) {
            assert_eq!(is_prime(n), trial_division(n), "{n}");
        }
    }

    #[test]
    fn known_pseudoprimes_are_composite() {
        // Carmichael numbers, then the least strong pseudoprimes to the first 1, 2, ..., 9 and 11
        // prime bases (OEIS A002997, A014233).
        for n in [
            561,
            1105,
            1729,
            825_265,
            321_197_185,
            2047,
            1_373_653,
            25_326_001,
            3_215_031_751,
            2_152_302_898_747,
            3_474_749_660_383,
            341_550_071_728_321,
            3_825_123_056_546_413_051,
        ] {
            assert!(!is_prime(n), "{n}");
        }
        for p in [(1 << 61) - 1, u64::MAX - 58, (1 << 62) - 57] {
            assert!(is_prime(p), "{p}");
        }
        assert!(!is_prime(u64::MAX));
        assert!(!is_prime((1 << 62) - 1));
        // The square of the largest prime below 2^32.
        assert!(!is_prime(4_294_967_291 * 4_294_967_291));
    }

    #[test]
    fn random_primes_are_primes_of_the_length_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for bits in 2..=62 {
            let p = random_prime(&mut rng, bits).unwrap();
            assert!(is_prime(p) && 64 - p.leading_zeros() == bits, "{p} of {bits} bits");
        }
        assert!(random_prime(&mut rng, 1).is_err() && random_prime(&mut rng, 63).is_err());
        // All primes of 5 bits come, about equally often.
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..5000 {
            *counts.entry(random_prime(&mut rng, 5).unwrap()).or_insert(0) += 1;
        }
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [17, 19, 23, 29, 31]);
        assert!(counts.values().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    fn prime_and_residues() -> impl Strategy<Value = (u64, [u64; 3])> {
        (any::<u64>(), 2u32..=62, any::<[u64; 3]>()).prop_map(|(seed, bits, values)| {
            let p = random_prime(&mut ChaCha8Rng::seed_from_u64(seed), bits).unwrap();
            (p, values.map(|value| value % p))
        })
    }

    proptest! {
        #[test]
        fn residues_are_a_field((p, [a, b, c]) in prime_and_residues()) {
            prop_assert_eq!(add(a, b, p), add(b, a, p));
            prop_assert_eq!(mul(a, b, p), mul(b, a, p));
            prop_assert_eq!(add(add(a, b, p), c, p), add(a, add(b, c, p), p));
            prop_assert_eq!(mul(mul(a, b, p), c, p), mul(a, mul(b, c, p), p));
            prop_assert_eq!(mul(a, add(b, c, p), p), add(mul(a, b, p), mul(a, c, p), p));
            prop_assert_eq!(sub(add(a, b, p), b, p), a);
            prop_assert_eq!(add(a, sub(0, a, p), p), 0);
            match inv(a, p) {
                Some(inverse) => prop_assert_eq!(mul(a, inverse, p), 1),
                None => prop_assert_eq!(a, 0),
            }
            prop_assert!([add(a, b, p), sub(a, b, p), mul(a, b, p)].iter().all(|r| *r < p));
            prop_assert_eq!(pow(a, 5, p), mul(a, mul(mul(a, a, p), mul(a, a, p), p), p));
        }

        #[test]
        fn reduction_is_a_homomorphism(
            (p, _) in prime_and_residues(),
            x in any::<(i128, i64)>(),
            y in any::<(i128, i64)>(),
        ) {
            prop_assume!(x.1 != 0 && y.1 != 0);
            let x = BigRational::new(x.0.into(), x.1.into());
            let y = BigRational::new(y.0.into(), y.1.into());
            prop_assert_eq!(
                reduce(&(x.numer() * y.numer()), p),
                mul(reduce(x.numer(), p), reduce(y.numer(), p), p)
            );
            prop_assert_eq!(reduce_rational(&x, p).is_none(), reduce(x.denom(), p) == 0);
            if let (Some(a), Some(b)) = (reduce_rational(&x, p), reduce_rational(&y, p)) {
                prop_assert_eq!(reduce_rational(&(&x + &y), p), Some(add(a, b, p)));
                prop_assert_eq!(reduce_rational(&(&x - &y), p), Some(sub(a, b, p)));
                prop_assert_eq!(reduce_rational(&(&x * &y), p), Some(mul(a, b, p)));
            }
        }
    }
}
