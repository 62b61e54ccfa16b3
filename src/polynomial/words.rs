//! Integers of a few 64-bit words, least significant first: what spelling, reading and rounding
//! millions of coefficients needs without an allocation for each.
//!
//! A *magnitude* is a natural number without zero words at its end. A numerator has a fixed number
//! of words, in two's complement.

use num_bigint::{BigInt, BigUint, Sign};

/// Words above which conversion between bases goes by halves, in `num-bigint`.
const LONG: usize = 64;

/// Decimal digits of one step: `10^19` is the largest power of ten below `2^64`.
const DIGITS: usize = 19;
const BASE: u64 = 10_u64.pow(DIGITS as u32);

/// `floor((2^128 - 1) / BASE) - 2^64`; `BASE` has its highest bit set.
const RECIPROCAL: u64 = (u128::MAX / BASE as u128 - (1 << 64)) as u64;

/// Two digits of each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Whether a numerator is zero.
pub(crate) fn is_zero(words: &[u64]) -> bool {
    words.iter().all(|w| *w == 0)
}

/// Whether a numerator is below zero.
pub(crate) fn is_negative(words: &[u64]) -> bool {
    words.last().is_some_and(|w| *w >> 63 == 1)
}

/// The magnitude of a numerator; whether it is negative.
pub(crate) fn magnitude(words: &[u64], magnitude: &mut Vec<u64>) -> bool {
    magnitude.clear();
    let negative = is_negative(words);
    if negative {
        let mut carry = true;
        magnitude.extend(words.iter().map(|w| {
            let (word, over) = (!w).overflowing_add(u64::from(carry));
            carry = over;
            word
        }));
    } else {
        magnitude.extend_from_slice(words);
    }
    trim(magnitude);
    negative
}

/// Writes `magnitude 2^shift`, negated or not, into the words of a numerator, which is long enough.
pub(crate) fn place(magnitude: &[u64], shift: u64, negative: bool, numerator: &mut [u64]) {
    let (skipped, bits) = ((shift / 64) as usize, shift % 64);
    numerator.fill(0);
    let mut carry = 0;
    for (k, word) in magnitude.iter().enumerate() {
        numerator[skipped + k] = word << bits | carry;
        carry = if bits == 0 { 0 } else { word >> (64 - bits) };
    }
    if carry > 0 {
        numerator[skipped + magnitude.len()] = carry;
    }
    if negative {
        let mut carry = true;
        for word in numerator {
            (*word, carry) = (!*word).overflowing_add(u64::from(carry));
        }
    }
}

/// Drops zero words at the end.
pub(crate) fn trim(magnitude: &mut Vec<u64>) {
    while magnitude.last() == Some(&0) {
        magnitude.pop();
    }
}

/// The length in bits.
pub(crate) fn bits(magnitude: &[u64]) -> u64 {
    magnitude.last().map_or(0, |w| 64 * magnitude.len() as u64 - u64::from(w.leading_zeros()))
}

/// The exponent of the highest power of two that divides a number other than zero.
pub(crate) fn trailing_zeros(magnitude: &[u64]) -> u64 {
    let whole = magnitude.iter().take_while(|w| **w == 0).count();
    64 * whole as u64 + magnitude.get(whole).map_or(0, |w| u64::from(w.trailing_zeros()))
}

/// `magnitude / 2^shift`, rounded down.
pub(crate) fn shift_right(magnitude: &mut Vec<u64>, shift: u64) {
    let whole = usize::try_from(shift / 64).unwrap_or(usize::MAX).min(magnitude.len());
    magnitude.drain(..whole);
    let bits = shift % 64;
    if bits > 0 {
        let mut high = 0;
        for word in magnitude.iter_mut().rev() {
            let low = *word << (64 - bits);
            *word = *word >> bits | high;
            high = low;
        }
    }
    trim(magnitude);
}

/// Divides by a number other than zero if that leaves no remainder; whether it does.
pub(crate) fn divide_exactly(magnitude: &mut Vec<u64>, divisor: u64) -> bool {
    let divide = |remainder: u64, word: u64| {
        let value = u128::from(remainder) << 64 | u128::from(word);
        let (quotient, remainder) = (value / u128::from(divisor), value % u128::from(divisor));
        (quotient as u64, remainder as u64)
    };
    if magnitude.iter().rev().fold(0, |remainder, word| divide(remainder, *word).1) != 0 {
        return false;
    }
    let mut remainder = 0;
    for word in magnitude.iter_mut().rev() {
        (*word, remainder) = divide(remainder, *word);
    }
    trim(magnitude);
    true
}

/// The natural number.
pub(crate) fn to_natural(magnitude: &[u64]) -> BigUint {
    BigUint::new(magnitude.iter().flat_map(|w| [*w as u32, (*w >> 32) as u32]).collect())
}

/// The integer that a numerator is.
pub(crate) fn to_integer(words: &[u64]) -> BigInt {
    let mut scratch = Vec::with_capacity(words.len());
    let sign = if magnitude(words, &mut scratch) { Sign::Minus } else { Sign::Plus };
    BigInt::from_biguint(sign, to_natural(&scratch))
}

/// The `f64` nearest to `magnitude 2^exponent`, ties to even, subnormals included; `None` where it
/// overflows.
pub(crate) fn nearest_f64(magnitude: &[u64], exponent: i64) -> Option<f64> {
    let Some((&top, rest)) = magnitude.split_last() else { return Some(0.0) };
    // The leading 64 bits, and whether anything is below them.
    let shift = top.leading_zeros();
    let (mut head, mut below) = (top << shift, false);
    if let Some((&next, rest)) = rest.split_last() {
        if shift > 0 {
            head |= next >> (64 - shift);
        }
        below = next << shift != 0 || !is_zero(rest);
    }
    let leading = exponent.saturating_add(bits(magnitude) as i64 - 1);
    if leading > 1023 {
        return None;
    }
    // 53 bits are kept, fewer among the subnormals.
    let last = leading.saturating_sub(52).max(-1074);
    let dropped = last.saturating_sub(leading).saturating_add(63);
    let kept = if dropped > 64 {
        0
    } else {
        let floor = if dropped == 64 { 0 } else { head >> dropped };
        let half = head >> (dropped - 1) & 1 == 1;
        below |= head & ((1 << (dropped - 1)) - 1) != 0;
        floor + u64::from(half && (below || floor & 1 == 1))
    };
    let power = if last >= -1022 { ((last + 1023) as u64) << 52 } else { 1 << (last + 1074) };
    // At most 2^53 times a representable power of two: the product is exact.
    let value = kept as f64 * f64::from_bits(power);
    value.is_finite().then_some(value)
}

/// `(high 2^64 + low) / BASE` and the remainder, for `high < BASE`.
///
/// Möller, Granlund, *Improved division by invariant integers* (2011), algorithm 4.
fn divide_by_base(high: u64, low: u64) -> (u64, u64) {
    let product = u128::from(RECIPROCAL) * u128::from(high);
    let estimate = product + (u128::from(high) << 64 | u128::from(low));
    let mut quotient = ((estimate >> 64) as u64).wrapping_add(1);
    let mut remainder = low.wrapping_sub(quotient.wrapping_mul(BASE));
    if remainder > estimate as u64 {
        quotient = quotient.wrapping_sub(1);
        remainder = remainder.wrapping_add(BASE);
    }
    if remainder >= BASE {
        quotient = quotient.wrapping_add(1);
        remainder -= BASE;
    }
    (quotient, remainder)
}

/// Appends a magnitude in decimal; the magnitude is used up.
pub(crate) fn write_decimal(magnitude: &mut Vec<u64>, out: &mut Vec<u8>) {
    if magnitude.len() > LONG {
        out.extend_from_slice(to_natural(magnitude).to_string().as_bytes());
        return;
    }
    // LONG words take at most 65 steps.
    let mut parts = [0; LONG + 2];
    let mut count = 0;
    while !magnitude.is_empty() {
        let mut remainder = 0;
        for word in magnitude.iter_mut().rev() {
            (*word, remainder) = divide_by_base(remainder, *word);
        }
        trim(magnitude);
        parts[count] = remainder;
        count += 1;
    }
    let mut digits = [b'0'; DIGITS];
    if count > 0 {
        write_digits(parts[count - 1], &mut digits);
    }
    let leading = digits.iter().take_while(|d| **d == b'0').count().min(DIGITS - 1);
    out.extend_from_slice(&digits[leading..]);
    for part in parts[..count.max(1) - 1].iter().rev() {
        write_digits(*part, &mut digits);
        out.extend_from_slice(&digits);
    }
}

/// All digits of a number below `BASE`.
fn write_digits(value: u64, digits: &mut [u8; DIGITS]) {
    // Three parts, so that their divisions do not wait for each other.
    let (high, low) = (value / 100_000_000, value % 100_000_000);
    let (top, middle) = (high / 100_000_000, high % 100_000_000);
    digits[0] = b'0' + (top / 100) as u8;
    digits[1..3].copy_from_slice(&PAIRS[(top % 100) as usize]);
    for (part, digits) in [middle as u32, low as u32].into_iter().zip(digits[3..].chunks_mut(8)) {
        let (high, low) = (part / 10_000, part % 10_000);
        digits[0..2].copy_from_slice(&PAIRS[(high / 100) as usize]);
        digits[2..4].copy_from_slice(&PAIRS[(high % 100) as usize]);
        digits[4..6].copy_from_slice(&PAIRS[(low / 100) as usize]);
        digits[6..8].copy_from_slice(&PAIRS[(low % 100) as usize]);
    }
}

/// Appends a small number in decimal.
pub(crate) fn write_small(value: u32, out: &mut Vec<u8>) {
    if value < 10 {
        out.push(b'0' + value as u8);
        return;
    }
    let mut digits = [0; DIGITS];
    write_digits(u64::from(value), &mut digits);
    let leading = digits.iter().take_while(|d| **d == b'0').count();
    out.extend_from_slice(&digits[leading..]);
}

/// Reads ASCII decimal digits; false if there is anything else.
pub(crate) fn read_decimal(digits: &[u8], magnitude: &mut Vec<u64>) -> bool {
    magnitude.clear();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    if digits.len() > LONG * DIGITS {
        magnitude.extend(crate::numeric::rational::decimal(digits).iter_u64_digits());
        return true;
    }
    let (first, others) = digits.split_at(digits.len() % DIGITS);
    let parts = std::iter::once(first).chain(others.chunks_exact(DIGITS));
    for part in parts.filter(|part| !part.is_empty()) {
        let mut carry = part.iter().fold(0, |value, d| value * 10 + u64::from(d - b'0'));
        for word in magnitude.iter_mut() {
            let sum = u128::from(*word) * u128::from(BASE) + u128::from(carry);
            (*word, carry) = (sum as u64, (sum >> 64) as u64);
        }
        if carry > 0 {
            magnitude.push(carry);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use num_rational::BigRational;
    use num_traits::{One, Signed};
    use proptest::prelude::*;

    use super::*;
    use crate::numeric::rational::rational_to_f64;

    /// Words with many zeros and ones, where carries and ties happen.
    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            Just(0),
            Just(u64::MAX),
            (0_u32..64).prop_map(|k| 1 << k),
            (0_u32..64).prop_map(|k| u64::MAX << k),
            Just(BASE),
            Just(BASE - 1),
        ]
    }

    fn words(longest: usize) -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(word(), 1..longest)
    }

    proptest! {
        #[test]
        fn numerators_are_integers(words in words(9)) {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let value = BigInt::from_signed_bytes_le(&bytes);
            prop_assert_eq!(to_integer(&words), value.clone());
            prop_assert_eq!(is_negative(&words), value.is_negative());
            let mut length = Vec::new();
            magnitude(&words, &mut length);
            prop_assert_eq!(bits(&length), value.bits());
            if let Some(zeros) = value.trailing_zeros() {
                prop_assert_eq!(trailing_zeros(&length), zeros);
            }
        }

        #[test]
        fn shifts_are_those_of_integers(words in words(6), shift in 0_u64..500, negative: bool) {
            let mut length = words;
            trim(&mut length);
            let value = to_natural(&length);
            let mut numerator = vec![7; length.len() + shift as usize / 64 + 2];
            place(&length, shift, negative, &mut numerator);
            let expected = BigInt::from(value.clone() << shift);
            prop_assert_eq!(to_integer(&numerator), if negative { -expected } else { expected });
            shift_right(&mut length, shift);
            prop_assert_eq!(to_natural(&length), value >> shift);
        }

        #[test]
        fn exact_quotients_are_those_of_integers(words in words(6), divisor in 1_u64..200) {
            let mut length = words;
            trim(&mut length);
            let value = to_natural(&length);
            let expected = value.clone() % divisor == BigUint::ZERO;
            prop_assert_eq!(divide_exactly(&mut length, divisor), expected);
            let expected = if expected { value / divisor } else { value };
            prop_assert_eq!(to_natural(&length), expected);
        }

        #[test]
        fn decimal_is_that_of_big_integers(words in words(LONG + 8)) {
            let mut length = words;
            trim(&mut length);
            let text = to_natural(&length).to_string();
            let (mut out, mut read) = (b"x".to_vec(), vec![3]);
            prop_assert!(read_decimal(text.as_bytes(), &mut read));
            prop_assert_eq!(&read, &length);
            write_decimal(&mut length, &mut out);
            prop_assert_eq!(std::str::from_utf8(&out[1..]).unwrap(), text);
        }

        #[test]
        fn small_numbers_are_decimal(value in prop_oneof![any::<u32>(), 0_u32..2000]) {
            let mut out = Vec::new();
            write_small(value, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }

        #[test]
        fn rounding_is_that_of_fractions(
            words in words(6),
            exponent in prop_oneof![-1500_i64..1100, -1150_i64..-950, 900_i64..1030],
        ) {
            let mut length = words;
            trim(&mut length);
            let power = BigInt::one() << exponent.unsigned_abs();
            let integer = BigInt::from(to_natural(&length));
            let value = match exponent < 0 {
                true => BigRational::new(integer, power),
                false => BigRational::from_integer(integer * power),
            };
            prop_assert_eq!(nearest_f64(&length, exponent), rational_to_f64(&value));
        }
    }

    #[test]
    fn what_is_not_decimal_is_not_read() {
        for text in ["", "-1", "12a", "1 2", "+3", "\u{664}"] {
            assert!(!read_decimal(text.as_bytes(), &mut Vec::new()), "{text:?}");
        }
        let mut zeros = vec![1];
        assert!(read_decimal(b"000", &mut zeros) && zeros == [0; 0]);
    }

    #[test]
    fn exponents_beyond_any_number_round_to_the_ends() {
        assert_eq!(nearest_f64(&[1], i64::MAX), None);
        assert_eq!(nearest_f64(&[1], i64::MIN), Some(0.0));
        assert_eq!(nearest_f64(&[3], -1076), Some(5e-324));
        assert_eq!(nearest_f64(&[1], -1075), Some(0.0));
    }
}
