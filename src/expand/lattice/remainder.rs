//! Chinese remaindering: from residues to the integers, in two's complement and graded order.
//!
//! The product P of the primes exceeds 4 |x|. Up to [`GARNER`] primes, digits v_k of a mixed radix,
//! each of size at most p_k / 2 + 2, with x = sum v_k p_0 ... p_{k-1} modulo P; the sum is below
//! 0.51 P in size, so it differs from x by less than P: it is x. With more primes the explicit form
//! x = sum r_k P / p_k - q P, r_k = x (P / p_k)^-1 mod p_k, where q is the integer next to sum r_k
//! / p_k: the sum is q + x / P, |x / P| < 1/4, and its error in f64 is far below 1/4.
//! (Bernstein and Sorenson, Modular exponentiation via the explicit Chinese remainder theorem,
//! Math. Comp. 76, 2007.)

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};

use super::Word;
use crate::numeric::modular;
use crate::numeric::residues::{Machine, Moduli, Residues};

/// Primes up to which mixed digits are taken.
pub(super) const GARNER: usize = 32;

/// Primes up to which a column of 2^51 2^64 products fits in 128 bits.
pub(super) const MOST_PRIMES: usize = 8000;

/// The constants of a reconstruction.
pub(super) struct Reconstruction<R: Residues> {
    primes: Vec<u64>,
    /// By word of the result: from which digit on the factors reach it, and the factors of all
    /// digits, then that of the correction.
    columns: Vec<(usize, Vec<u64>)>,
    digits: Digits<R>,
}

enum Digits<R: Residues> {
    Garner {
        moduli: Vec<Moduli<R, 8>>,
        /// p_0 ... p_{j-1} modulo p_k for plain digits, j < k.
        products: Vec<Vec<[R::Word; 8]>>,
        inverses: Vec<[R::Word; 8]>,
    },
    Explicit {
        /// By unit of four primes.
        moduli: Vec<Moduli<R, 4>>,
        inverses: Vec<[R::Word; 4]>,
        reciprocals: Vec<f64>,
    },
}

/// The words of an integer modulo 2^(64 words).
fn words_of(x: &BigInt, words: usize) -> Vec<u64> {
    let modulus = BigInt::one() << (64 * words);
    let reduced = ((x % &modulus) + &modulus) % &modulus;
    let mut all: Vec<u64> = reduced.iter_u64_digits().collect();
    all.resize(words, 0);
    all
}

impl<R: Residues> Reconstruction<R> {
    /// For residues that stand in units of four, `places[k]` being the unit and lane of prime k.
    pub(super) fn new(token: R::Token, primes: &[u64], units: &[[u64; 4]], words: usize) -> Self {
        let k = primes.len();
        let mut factors: Vec<BigInt> = Vec::with_capacity(k + 1);
        let digits = if k <= GARNER {
            let mut product = BigUint::one();
            let mut correction = BigUint::zero();
            for p in primes {
                correction += &product * *p;
                factors.push(product.clone().into());
                product *= *p;
            }
            factors.push(-BigInt::from(correction));
            let products = primes
                .iter()
                .enumerate()
                .map(|(k, p)| {
                    let mut product = 1;
                    primes[..k]
                        .iter()
                        .map(|other| {
                            let factor = R::plain_factor(product, *p);
                            product = modular::mul(product, other % p, *p);
                            [factor; 8]
                        })
                        .collect()
                })
                .collect();
            let inverses = primes
                .iter()
                .enumerate()
                .map(|(k, p)| {
                    let product =
                        primes[..k].iter().fold(1, |product, q| modular::mul(product, q % p, *p));
                    // A product of other primes: it has an inverse.
                    [R::word(modular::inv(product, *p).unwrap_or(1), *p); 8]
                })
                .collect();
            Digits::Garner {
                moduli: primes.iter().map(|p| Moduli::new(token, [*p; 8])).collect(),
                products,
                inverses,
            }
        } else {
            let product: BigUint = primes.iter().fold(BigUint::one(), |x, p| x * *p);
            for p in primes {
                factors.push((&product / *p).into());
            }
            factors.push(-BigInt::from(product));
            let inverses = units
                .iter()
                .map(|unit| {
                    unit.map(|p| {
                        let cofactor = primes
                            .iter()
                            .filter(|q| **q != p)
                            .fold(1, |product, q| modular::mul(product, q % p, p));
                        R::word(modular::inv(cofactor, p).unwrap_or(1), p)
                    })
                })
                .collect();
            Digits::Explicit {
                moduli: units.iter().map(|unit| Moduli::new(token, *unit)).collect(),
                inverses,
                reciprocals: primes.iter().map(|p| 1.0 / *p as f64).collect(),
            }
        };
        let factors: Vec<Vec<u64>> = factors.iter().map(|x| words_of(x, words)).collect();
        let columns = (0..words)
            .map(|w| {
                let column: Vec<u64> = factors.iter().map(|f| f[w]).collect();
                let first = column.iter().position(|f| *f != 0).unwrap_or(k);
                (first, column)
            })
            .collect();
        Reconstruction { primes: primes.to_vec(), columns, digits }
    }

    /// The integers of the points of a slab, a lattice in `m` variables of degree `b`, of which
    /// `units` holds the residues; `segments[g]` takes those of degree g, the last point first.
    /// `places` are the unit and lane of each prime.
    pub(super) fn slab<M: Machine<R = R>>(
        &self,
        machine: M,
        (m, b): (usize, usize),
        units: &[&[[Word<M>; 4]]],
        places: &[(usize, usize)],
        words: usize,
        segments: &mut [&mut [u64]],
    ) {
        machine.run(
            #[inline(always)]
            || self.work((m, b), units, places, words, segments),
        );
    }

    #[inline(always)]
    fn work(
        &self,
        (m, b): (usize, usize),
        units: &[&[[R::Word; 4]]],
        places: &[(usize, usize)],
        words: usize,
        segments: &mut [&mut [u64]],
    ) {
        let k = self.primes.len();
        let terms = k + 1;
        let mut filled = vec![0_usize; b + 1];
        // The last point: all in the first coordinate.
        let mut point = vec![0; m];
        point[0] = b;
        let mut degree = b;
        let mut next = units[0].len();
        let mut digits: Vec<[u64; 8]> = vec![[0; 8]; terms];
        let mut words_of_digits: Vec<[R::Word; 8]> = vec![[R::Word::default(); 8]; k];
        let mut flat = vec![0_u64; terms];
        while next > 0 {
            let take = next.min(8);
            match &self.digits {
                Digits::Garner { moduli, products, inverses } => {
                    for (i, &(unit, lane)) in places.iter().enumerate() {
                        let source = &units[unit][next - take..next];
                        for t in 0..take {
                            words_of_digits[i][t] = source[take - 1 - t][lane];
                        }
                    }
                    for i in 0..k {
                        let m = &moduli[i];
                        let (before, here) = words_of_digits.split_at_mut(i);
                        let mut x = here[0];
                        let factors = &products[i][..i];
                        for j in 0..i {
                            x = R::sub(x, R::mul_plain(before[j], factors[j], m), m);
                            if j % 8 == 7 {
                                x = R::reduce(x, m);
                            }
                        }
                        x = R::reduce(x, m);
                        let v = R::reduce(R::mul(x, inverses[i], m), m);
                        let p = self.primes[i];
                        for t in 0..8 {
                            // At least -p / 2 - 2: positive.
                            digits[i][t] = (R::centred(v[t], p) + p as i64) as u64;
                        }
                        here[0] = R::plain(v, m);
                    }
                    digits[k] = [1; 8];
                }
                Digits::Explicit { moduli, inverses, reciprocals } => {
                    for t in 0..take {
                        let mut quotient = 0.0;
                        let index = next - 1 - t;
                        let mut unit = usize::MAX;
                        let mut r = [R::Word::default(); 4];
                        for i in 0..k {
                            let (u, lane) = places[i];
                            if u != unit {
                                unit = u;
                                let m = &moduli[u];
                                let x = units[u][index];
                                r = R::reduce(R::mul(x, inverses[u], m), m);
                            }
                            let p = self.primes[i];
                            let v = R::centred(r[lane], p);
                            quotient += v as f64 * reciprocals[i];
                            digits[i][t] = (v + p as i64) as u64;
                        }
                        // |quotient| is at most 0.51 k.
                        digits[k][t] = (quotient.round_ties_even() as i64 + k as i64) as u64;
                    }
                }
            }
            for t in 0..take {
                let place = &mut filled[degree];
                let to = &mut segments[degree][*place * words..(*place + 1) * words];
                *place += 1;
                match terms {
                    2 => few::<2>(&digits, t, &self.columns, to),
                    3 => few::<3>(&digits, t, &self.columns, to),
                    4 => few::<4>(&digits, t, &self.columns, to),
                    5 => few::<5>(&digits, t, &self.columns, to),
                    6 => few::<6>(&digits, t, &self.columns, to),
                    _ => {
                        for i in 0..terms {
                            flat[i] = digits[i][t];
                        }
                        let mut sum = 0_u128;
                        for w in 0..words {
                            let (first, column) = &self.columns[w];
                            let (flat, column) = (&flat[*first..], &column[*first..]);
                            for i in 0..flat.len() {
                                sum += u128::from(flat[i]) * u128::from(column[i]);
                            }
                            to[w] = sum as u64;
                            sum >>= 64;
                        }
                    }
                }
                // The point before, in lexicographic order.
                if point[m - 1] > 0 {
                    point[m - 1] -= 1;
                    degree -= 1;
                } else if let Some(i) = point.iter().rposition(|a| *a > 0) {
                    point[i] -= 1;
                    degree -= 1;
                    // Not the last, which is 0 here; the later ones are 0 too.
                    point[i + 1] += b - degree;
                    degree = b;
                }
            }
            next -= take;
        }
    }
}

/// The words of one integer from its `T` terms: straight through, without looking for zeros.
#[inline(always)]
fn few<const T: usize>(
    digits: &[[u64; 8]],
    t: usize,
    columns: &[(usize, Vec<u64>)],
    to: &mut [u64],
) {
    let digits = &digits[..T];
    let mut flat = [0; T];
    for i in 0..T {
        flat[i] = digits[i][t];
    }
    let mut sum = 0_u128;
    for w in 0..to.len() {
        let column = &columns[w].1[..T];
        for i in 0..T {
            sum += u128::from(flat[i]) * u128::from(column[i]);
        }
        to[w] = sum as u64;
        sum >>= 64;
    }
}
