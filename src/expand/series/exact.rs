//! Truncated series exactly: modulo many small primes, and then by Chinese remaindering.
//!
//! All coefficients of the outputs are integers over one denominator `odd 2^twos`, which follows from
//! those of the parameters, and smaller than what the majorant network (absolute values of all parameters)
//! yields: along a line x = t (1, ..., 1) it is a series in t whose coefficient of t^k bounds the sum of
//! the sizes of all coefficients of degree k. So many primes are taken that their product exceeds twice
//! denominator times bound. Modulo a prime below 2^25 the loops are those of f64, with a reduction every
//! 32 products: nothing that is specific to a processor, and 25 bits for little more than the price of
//! one f64.

use num_bigint::{BigInt, BigUint, Sign};
use num_rational::BigRational;
use num_traits::{One, Zero};
use rayon::prelude::*;

use super::Watch;
use super::arithmetic::{Arithmetic, LANES, Residue};
use super::kernel::{self, Block};
use super::layers::{Layer, Layers, Parameter, Slaf};
use super::table::Table;
use crate::error::{Error, Result};
use crate::numeric::fixed::{power_of_two, times_power};
use crate::numeric::modular::{inv, is_prime, mul};
use crate::numeric::odd::common_integer;
use crate::numeric::rational::lowest_terms;

/// Among the first 90,000 primes below 33,000,000 all are above 31,400,000 > 2^24.9; the others that are
/// taken are above 2^24.
const FIRST: usize = 90_000;
const FIRST_BITS: f64 = 24.9;
const FIRST_LEAST: u64 = 31_400_000;
const BITS: f64 = 24.0;
const LEAST: u64 = 1 << 24;

/// The odd part of a denominator may be this long.
const ODD_BITS: f64 = (1 << 24) as f64;

/// An upper bound `mantissa 2^exponent` of a nonnegative number of any size; mantissa 0 or in [1, 2).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    mantissa: f64,
    exponent: i64,
}

impl Size {
    const ZERO: Size = Size { mantissa: 0.0, exponent: 0 };

    fn new(value: f64, exponent: i64) -> Self {
        if value == 0.0 {
            return Size::ZERO;
        }
        // Normal: products and sums of numbers in [1, 2).
        let own = (value.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        Size { mantissa: times_power(value, -own), exponent: exponent + i64::from(own) }
    }

    fn of_integer(value: &BigUint, exponent: i64) -> Self {
        let shift = value.bits().saturating_sub(53);
        let head = (value >> shift).iter_u64_digits().next().unwrap_or(0) as f64;
        let head = if shift > 0 { head.next_up() } else { head };
        Size::new(head, exponent.saturating_add(shift as i64))
    }

    fn of(parameter: &Parameter) -> Self {
        match parameter {
            Parameter::Short { mantissa, exponent } => {
                Size::of_integer(&BigUint::from(mantissa.unsigned_abs()), i64::from(*exponent))
            }
            Parameter::Long(value) => {
                Size::of_integer(value.mantissa().magnitude(), value.exponent())
            }
            Parameter::Fraction(value) => {
                // n / d <= (n + 1 unit) 2^(1 - bits of d) 2^...: the denominator is at least 2^(bits - 1).
                let bits = value.denom().bits() as i64;
                Size::of_integer(value.numer().magnitude(), 1 - bits)
            }
        }
    }

    fn times(self, other: Self) -> Self {
        if self.mantissa == 0.0 || other.mantissa == 0.0 {
            return Size::ZERO;
        }
        let product = (self.mantissa * other.mantissa).next_up();
        Size::new(product, self.exponent.saturating_add(other.exponent))
    }

    fn plus(self, other: Self) -> Self {
        if self.mantissa == 0.0 {
            return other;
        }
        if other.mantissa == 0.0 {
            return self;
        }
        let (large, small) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let distance = large.exponent.saturating_sub(small.exponent);
        // From 2^-60 on the step upward is more than what is added.
        let added =
            if distance < 60 { small.mantissa * power_of_two(-(distance as i32)) } else { 0.0 };
        Size::new((large.mantissa + added).next_up(), large.exponent)
    }

    /// An upper bound of log2.
    fn bits(self) -> f64 {
        if self.mantissa == 0.0 { 0.0 } else { self.exponent.saturating_add(1) as f64 }
    }
}

/// A product of series in one variable, up to the length of `a`.
fn series_product(a: &[Size], b: &[Size]) -> Vec<Size> {
    let mut product = vec![Size::ZERO; a.len()];
    for (i, x) in a.iter().enumerate().filter(|(_, x)| x.mantissa != 0.0) {
        for (y, sum) in b.iter().zip(&mut product[i..]) {
            *sum = sum.plus(x.times(*y));
        }
    }
    product
}

/// What the coefficients can be, told from the parameters alone.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    /// The denominator is odd 2^twos; `None` where the odd part is too long to be written down.
    pub odd: Option<BigInt>,
    pub twos: u64,
    /// An upper bound of log2 of the largest numerator.
    pub bits: f64,
}

impl Extent {
    /// Time: the square of `degree` a parameter of the SLAFs, once a weight; above degree 32, where that
    /// would be long, the majorant network is evaluated at (1, ..., 1) instead: the sum over all degrees.
    pub fn new(layers: &Layers, degree: usize) -> Self {
        let (sums, degree) = (degree > 32, if degree > 32 { 0 } else { degree });
        let mut odd = Some(BigInt::one());
        let mut odd_bits = 0.0_f64;
        let mut twos = 0_u64;
        let mut sizes: Vec<Vec<Size>> = Vec::new();
        let lcm = |parameters: &mut dyn Iterator<Item = &Parameter>| {
            parameters.fold((0_u64, BigInt::one()), |(twos, odd), p| {
                let (own_twos, own_odd) = p.denominator();
                (twos.max(own_twos), common_integer(odd, &own_odd))
            })
        };
        for (l, layer) in layers.layers.iter().enumerate() {
            match layer {
                Layer::Affine { weights, bias } => {
                    let own = lcm(&mut weights.iter().flatten());
                    let constant = lcm(&mut bias.iter());
                    twos = twos.saturating_add(own.0).max(constant.0);
                    odd_bits += own.1.bits() as f64 + constant.1.bits() as f64 - 2.0;
                    odd = odd
                        .filter(|_| odd_bits < ODD_BITS)
                        .map(|odd| common_integer(odd * own.1, &constant.1));
                    sizes = weights
                        .iter()
                        .zip(bias)
                        .map(|(row, bias)| {
                            let mut sum = vec![Size::ZERO; degree + 1];
                            sum[0] = Size::of(bias);
                            if l == 0 {
                                let ones =
                                    row.iter().fold(Size::ZERO, |sum, w| sum.plus(Size::of(w)));
                                match sum.get_mut(1) {
                                    Some(first) => *first = ones,
                                    None if sums => sum[0] = sum[0].plus(ones),
                                    None => {}
                                }
                                return sum;
                            }
                            for (w, input) in row.iter().zip(&sizes) {
                                let w = Size::of(w);
                                for (sum, x) in sum.iter_mut().zip(input) {
                                    *sum = sum.plus(w.times(*x));
                                }
                            }
                            sum
                        })
                        .collect();
                }
                Layer::Neurons(slafs) => {
                    let largest = slafs.iter().map(Slaf::degree).max().unwrap_or(0) as u64;
                    let mut next = 0_u64;
                    for slaf in slafs {
                        for (k, c) in
                            slaf.parameters.iter().enumerate().filter(|(_, c)| !c.is_zero())
                        {
                            next = next.max(
                                c.denominator().0.saturating_add(twos.saturating_mul(k as u64)),
                            );
                        }
                    }
                    twos = next;
                    let own =
                        slafs.iter().fold(BigInt::one(), |odd, s| common_integer(odd, &s.odd));
                    let power_bits = odd_bits * largest as f64;
                    odd_bits = power_bits + own.bits() as f64 - 1.0;
                    odd = odd.filter(|_| odd_bits < ODD_BITS).map(|odd| {
                        if odd.is_one() { own.clone() } else { odd.pow(largest as u32) * &own }
                    });
                    sizes = slafs
                        .iter()
                        .zip(&sizes)
                        .map(|(slaf, z)| {
                            let mut sum = vec![Size::ZERO; degree + 1];
                            for c in slaf.parameters.iter().rev() {
                                sum = series_product(&sum, z);
                                sum[0] = sum[0].plus(Size::of(c));
                            }
                            sum
                        })
                        .collect();
                }
            }
        }
        let bound = sizes.iter().flatten().map(|s| s.bits()).fold(0.0, f64::max);
        let odd_bits = odd.as_ref().map_or(odd_bits, |odd| odd.bits() as f64);
        Extent { odd, twos, bits: bound.max(0.0) + odd_bits + twos as f64 }
    }

    /// The number of primes that determine the numerators, signs included.
    pub fn primes(&self) -> f64 {
        let count = ((self.bits + 2.0) / FIRST_BITS).ceil();
        if count <= FIRST as f64 { count } else { ((self.bits + 2.0) / BITS).ceil() }
    }
}

/// The exact series of the outputs: numerators by monomial over one denominator odd 2^twos.
#[derive(Clone, Debug)]
pub(super) struct Outputs {
    pub degree: usize,
    pub numerators: Vec<Vec<BigInt>>,
    pub odd: BigInt,
    pub twos: u64,
}

impl Outputs {
    pub fn rational(&self, numerator: &BigInt) -> BigRational {
        // A denominator is positive.
        lowest_terms(numerator.clone(), self.odd.magnitude(), self.twos)
    }
}

/// The largest primes that the residues can use, above `least` and prime to `odd`.
fn primes(count: usize, least: u64, odd: &BigInt) -> Option<Vec<u64>> {
    let mut primes = Vec::with_capacity(count);
    let mut candidate = Residue::LARGEST - 1;
    let least = least.max(if count <= FIRST { FIRST_LEAST } else { LEAST });
    while primes.len() < count {
        if candidate <= least {
            return None;
        }
        if is_prime(candidate) && (odd.is_one() || reduce(odd.magnitude(), candidate) != 0) {
            primes.push(candidate);
        }
        candidate -= 2;
    }
    Some(primes)
}

fn reduce(value: &BigUint, p: u64) -> u64 {
    // Below 2^25 2^32 + 2^32.
    value.iter_u32_digits().rev().fold(0, |rest, digit| ((rest << 32) | u64::from(digit)) % p)
}

/// One prime and what conversions to its residues need.
struct Field {
    prime: u64,
    residue: Residue,
    /// 2^k and 2^-k.
    powers: [Vec<u64>; 2],
}

/// Powers of two that are kept; an f64 needs no higher ones.
const POWERS: usize = 1200;

impl Field {
    fn new(prime: u64) -> Self {
        let half = prime.div_ceil(2);
        let powers = [2, half].map(|base| {
            let mut power = 1;
            (0..POWERS)
                .map(|_| {
                    let next = power * base % prime;
                    std::mem::replace(&mut power, next)
                })
                .collect()
        });
        Field { prime, residue: Residue::new(prime), powers }
    }

    fn power_of_two(&self, exponent: i64) -> u64 {
        let size = exponent.unsigned_abs();
        let powers = &self.powers[usize::from(exponent < 0)];
        match powers.get(size as usize) {
            Some(power) => *power,
            None => crate::numeric::modular::pow(powers[1], size, self.prime),
        }
    }

    fn signed(&self, negative: bool, size: u64) -> u64 {
        if negative && size != 0 { self.prime - size } else { size }
    }

    fn integer(&self, value: &BigInt) -> u64 {
        self.signed(value.sign() == Sign::Minus, reduce(value.magnitude(), self.prime))
    }

    /// The residue of a parameter; the prime divides no denominator.
    fn parameter(&self, value: &Parameter) -> u64 {
        let p = self.prime;
        match value {
            Parameter::Short { mantissa, exponent } => {
                let size = mantissa.unsigned_abs() % p;
                self.signed(*mantissa < 0, size * self.power_of_two(i64::from(*exponent)) % p)
            }
            Parameter::Long(value) => {
                self.integer(value.mantissa()) * self.power_of_two(value.exponent()) % p
            }
            Parameter::Fraction(value) => {
                let inverse = inv(self.integer(value.denom()), p).unwrap_or(0);
                self.integer(value.numer()) * inverse % p
            }
        }
    }

    /// As the loops want it: between -p/2 and p/2.
    fn number(&self, value: u64) -> f64 {
        self.residue.reduce(value as f64)
    }

    /// Taylor coefficients 0 to `power` at z, of the polynomial with these coefficients.
    fn taylor(&self, coefficients: &[u64], z: u64, power: usize) -> Vec<u64> {
        let mut b = coefficients.to_vec();
        let degree = b.len() - 1;
        for k in 0..degree.min(power + 1) {
            for j in (k..degree).rev() {
                b[j] = (b[j] + b[j + 1] * z) % self.prime;
            }
        }
        b.resize(power + 1, 0);
        b
    }
}

/// The residues of denominator times coefficients, by output and monomial.
fn modulo(field: &Field, layers: &Layers, table: &Table, denominator: u64) -> Vec<Vec<u32>> {
    type R = Residue;
    let arithmetic = field.residue;
    let degrees = layers.degrees(table.degree);
    let numbers = multinomials(field, table);
    let mut blocks: Vec<Block<R>> = Vec::new();
    let mut width = 0;
    for (l, layer) in layers.layers.iter().enumerate() {
        let (inner, outer) = (degrees[l], degrees[l + 1]);
        match layer {
            Layer::Affine { weights, bias } => {
                let inputs = std::mem::take(&mut blocks);
                for first in (0..weights.len()).step_by(LANES) {
                    let rows = first..weights.len().min(first + LANES);
                    let columns = if l == 0 { layers.used.len() } else { width };
                    let mut matrix = vec![R::ZERO; columns];
                    let mut constant = R::ZERO;
                    for (lane, row) in rows.enumerate() {
                        constant.0[lane] = field.number(field.parameter(&bias[row]));
                        for (many, w) in matrix.iter_mut().zip(&weights[row]) {
                            many.0[lane] = field.number(field.parameter(w));
                        }
                    }
                    blocks.push(match l {
                        0 => {
                            matrix.truncate(if inner == 1 { columns } else { 0 });
                            std::iter::once(constant).chain(matrix).collect()
                        }
                        _ => kernel::affine(arithmetic, &inputs, &matrix, constant, LANES),
                    });
                }
                width = weights.len();
            }
            Layer::Neurons(slafs) => {
                for (b, block) in blocks.iter_mut().enumerate() {
                    let slafs = &slafs[b * LANES..slafs.len().min((b + 1) * LANES)];
                    let power = slafs.iter().map(Slaf::degree).max().unwrap_or(0).min(outer);
                    let mut t = vec![R::ZERO; power + 1];
                    for (lane, slaf) in slafs.iter().enumerate() {
                        let coefficients: Vec<u64> =
                            slaf.parameters.iter().map(|c| field.parameter(c)).collect();
                        let z = arithmetic.natural(block[0].0[lane]);
                        for (t, value) in t.iter_mut().zip(field.taylor(&coefficients, z, power)) {
                            t.0[lane] = field.number(value);
                        }
                    }
                    block[0] = R::ZERO;
                    *block = kernel::compose(arithmetic, table, &numbers, block, inner, &t, outer);
                }
            }
        }
    }
    (0..width)
        .map(|o| {
            let values = blocks[o / LANES].iter();
            values
                .map(|x| (arithmetic.natural(x.0[o % LANES]) * denominator % field.prime) as u32)
                .collect()
        })
        .collect()
}

/// The multinomial coefficients as residues; the prime is above every power.
fn multinomials(field: &Field, table: &Table) -> Vec<f64> {
    let p = field.prime;
    let inverses: Vec<u64> = (0..=table.degree as u64)
        .map(|k| if k == 0 { 0 } else { inv(k, p).unwrap_or(0) })
        .collect();
    let mut values = vec![1_u64; table.len(table.degree)];
    let mut steps = table.steps(table.degree);
    for k in 1..=table.degree {
        for a in table.of_degree(k) {
            let Some((parent, _, power)) = steps.next() else { break };
            values[a] = values[parent] * (k as u64 * inverses[power] % p) % p;
        }
    }
    values.into_iter().map(|v| field.number(v)).collect()
}

/// The series of `layers` up to total degree `degree`, `table`'s degree; `extent` is theirs.
///
/// Time: for each prime that of f64 and a third more, and the remaindering.
///
/// # Errors
/// When there are not as many primes below 2^25 as are needed (coefficients of 40 million bits), and
/// those of `watch`.
pub(super) fn expand(
    layers: &Layers,
    table: &Table,
    extent: &Extent,
    threads: bool,
    watch: &mut Watch,
) -> Result<Outputs> {
    let too_long = || {
        Error::invalid(
            "coefficients",
            format!("up to {:.1e} bits", extent.bits),
            "at most 4e7 bits; use --coefficients f64, or parameters with fewer bits",
        )
    };
    let odd = extent.odd.clone().ok_or_else(too_long)?;
    if extent.bits > 4e7 {
        return Err(too_long());
    }
    let count = extent.primes() as usize;
    let primes = primes(count, table.degree as u64, &odd).ok_or_else(too_long)?;
    let order: Vec<usize> = (0..count).collect();
    let residues = super::in_blocks(&order, threads, &mut |&i| watch(i, count, 0), |&i| {
        let field = Field::new(primes[i]);
        let twos = crate::numeric::modular::pow(2, extent.twos, field.prime);
        let denominator = mul(field.integer(&odd), twos, field.prime);
        modulo(&field, layers, table, denominator)
    })?;
    let remainders = Remainders::new(&primes);
    let outputs = residues.first().map_or(0, Vec::len);
    let numerators = (0..outputs)
        .map(|o| {
            let len = residues[0][o].len();
            let one = |a: usize| remainders.integer(|i| residues[i][o][a]);
            if threads {
                (0..len).into_par_iter().map(one).collect()
            } else {
                (0..len).map(one).collect()
            }
        })
        .collect();
    let degree = layers.degrees(table.degree).last().copied().unwrap_or(0);
    Ok(Outputs { degree, numerators, odd, twos: extent.twos })
}

/// Chinese remaindering by Lagrange's formula: with P the product of the primes,
/// x = sum_i (r_i / (P / p_i) mod p_i) P / p_i modulo P, summed in a tree of products.
struct Remainders<'a> {
    primes: &'a [u64],
    /// 1 / (P / p_i) modulo p_i.
    inverses: Vec<u64>,
    tree: Node,
    product: BigUint,
    half: BigUint,
}

enum Node {
    /// P_group / p_i for primes from `first` on.
    Leaf { first: usize, cofactors: Vec<BigUint> },
    /// The halves, each with the product of the other's primes.
    Branch(Box<[(Node, BigUint); 2]>),
}

impl<'a> Remainders<'a> {
    fn new(primes: &'a [u64]) -> Self {
        let (tree, product) = Node::new(primes, 0);
        let inverses = primes
            .iter()
            .map(|&p| {
                let cofactor =
                    primes.iter().filter(|q| **q != p).fold(1, |product, q| product * (q % p) % p);
                // Distinct primes.
                inv(cofactor, p).unwrap_or(0)
            })
            .collect();
        let half = &product >> 1;
        Remainders { primes, inverses, tree, product, half }
    }

    /// The integer between -P/2 and P/2 with the residues r(i).
    fn integer(&self, r: impl Fn(usize) -> u32) -> BigInt {
        let mut any = false;
        let digits: Vec<u32> = (0..self.primes.len())
            .map(|i| {
                let r = r(i);
                any |= r != 0;
                (u64::from(r) * self.inverses[i] % self.primes[i]) as u32
            })
            .collect();
        if !any {
            return BigInt::zero();
        }
        // Fewer than as many times P as there are primes.
        let value = self.tree.sum(&digits) % &self.product;
        if value > self.half {
            BigInt::from_biguint(Sign::Minus, &self.product - value)
        } else {
            BigInt::from(value)
        }
    }
}

impl Node {
    fn new(primes: &[u64], first: usize) -> (Node, BigUint) {
        if primes.len() <= 32 {
            let product: BigUint = primes.iter().map(|p| BigUint::from(*p)).product();
            let cofactors = primes.iter().map(|p| &product / *p).collect();
            return (Node::Leaf { first, cofactors }, product);
        }
        let middle = primes.len() / 2;
        let (left, p) = Node::new(&primes[..middle], first);
        let (right, q) = Node::new(&primes[middle..], first + middle);
        let product = &p * &q;
        (Node::Branch(Box::new([(left, q), (right, p)])), product)
    }

    fn sum(&self, digits: &[u32]) -> BigUint {
        match self {
            Node::Leaf { first, cofactors } => {
                let mut sum = BigUint::zero();
                for (cofactor, digit) in cofactors.iter().zip(&digits[*first..]) {
                    sum += cofactor * *digit;
                }
                sum
            }
            Node::Branch(halves) => {
                let [(left, q), (right, p)] = &**halves;
                left.sum(digits) * q + right.sum(digits) * p
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use num_integer::Integer;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn remainders_give_the_integer_back(digits in prop::collection::vec(any::<u32>(), 0..80), negative: bool) {
            let size = BigUint::new(digits);
            let sign = if negative { Sign::Minus } else { Sign::Plus };
            let value = BigInt::from_biguint(sign, size);
            let extent = Extent { odd: Some(BigInt::one()), twos: 0, bits: value.bits() as f64 };
            let primes = primes(extent.primes() as usize, 0, &BigInt::one()).unwrap();
            let residues: Vec<u32> =
                primes.iter().map(|p| value.mod_floor(&BigInt::from(*p)).try_into().unwrap()).collect();
            prop_assert_eq!(Remainders::new(&primes).integer(|i| residues[i]), value);
        }

        #[test]
        fn sizes_are_upper_bounds(values in prop::collection::vec((any::<u64>(), -900..900i64), 1..20)) {
            let two = BigRational::from(BigInt::from(2));
            let value = |s: Size| {
                crate::numeric::rational::rational_from_f64(s.mantissa).unwrap() * two.pow(s.exponent as i32)
            };
            let (mut sum, mut product) = (Size::ZERO, Size::new(1.0, 0));
            let (mut exact_sum, mut exact_product) = (BigRational::zero(), BigRational::one());
            for (mantissa, exponent) in values {
                let exact = BigRational::from(BigInt::from(mantissa)) * two.pow(exponent as i32);
                let size = Size::of_integer(&BigUint::from(mantissa), exponent);
                prop_assert!(value(size) >= exact);
                (sum, product) = (sum.plus(size), product.times(size));
                (exact_sum, exact_product) = (exact_sum + &exact, exact_product * exact);
                prop_assert!(value(sum) >= exact_sum && value(product) >= exact_product);
                // And not far above.
                prop_assert!(value(sum) <= &exact_sum * &two && value(product) <= &exact_product * &two);
            }
        }
    }
}
