//! Chinese remaindering: from residues to the integers, in two's complement and graded order.
//!
//! The product P of the primes exceeds 4 |x|. Up to [`GARNER`] primes, digits v_k of a mixed radix,
//! each of size at most p_k / 2 + 2, with x = sum v_k p_0 ... p_{k-1} modulo P; the sum is below
//! 0.51 P in size, so it differs from x by less than P: it is x. Up to four primes are the lanes of one
//! vector, more stand in a vector each, eight points abreast. With more primes the explicit form
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

/// Mixed digits that are put together by Horner's rule.
const HORNER: usize = 8;

/// The constants of a reconstruction.
pub(super) struct Reconstruction<R: Residues> {
    primes: Vec<u64>,
    /// The words of what is added in the end to the sum of mixed digits, each with its prime added.
    correction: Vec<u64>,
    /// With more than [`HORNER`] primes, by word of the result: from which digit on the factors reach
    /// it, and the factors of all digits, then that of the correction.
    columns: Vec<(usize, Vec<u64>)>,
    digits: Digits<R>,
}

enum Digits<R: Residues> {
    /// Up to four primes.
    Lanes(Lanes<R>),
    Many(Many<R>),
}

/// Primes that are the lanes of one vector.
struct Lanes<R: Residues> {
    moduli: Moduli<R, 4>,
    /// By digit but the last: what it is divided by, the inverse of its prime.
    inverses: Vec<[R::Word; 4]>,
    /// The plain factor of 1.
    one: [R::Word; 4],
}

enum Many<R: Residues> {
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

/// By word, from which digit on the factors reach it, and all factors; one factor is there at a time.
fn columns(
    factors: impl Iterator<Item = BigInt>,
    count: usize,
    words: usize,
) -> Vec<(usize, Vec<u64>)> {
    let mut columns = vec![vec![0; count]; words];
    for (i, factor) in factors.enumerate() {
        for (column, word) in columns.iter_mut().zip(words_of(&factor, words)) {
            column[i] = word;
        }
    }
    let reached = |column: &Vec<u64>| column.iter().position(|f| *f != 0).unwrap_or(count - 1);
    columns.into_iter().map(|column| (reached(&column), column)).collect()
}

/// Bytes of the constants for `k` primes and integers of `words` words.
pub(super) fn bytes(k: usize, words: usize) -> f64 {
    if k <= HORNER { 0.0 } else { 8.0 * (k + 1) as f64 * words as f64 }
}

impl<R: Residues> Reconstruction<R> {
    /// For residues that stand in units of four, `places[k]` being the unit and lane of prime k.
    pub(super) fn new(token: R::Token, primes: &[u64], units: &[[u64; 4]], words: usize) -> Self {
        let k = primes.len();
        let mut correction = Vec::new();
        let mut all_columns = Vec::new();
        let digits = if k <= GARNER {
            let mut factors: Vec<BigInt> = Vec::with_capacity(k + 1);
            let mut product = BigUint::one();
            let mut sum = BigUint::zero();
            for p in primes {
                sum += &product * *p;
                factors.push(product.clone().into());
                product *= *p;
            }
            factors.push(-BigInt::from(sum));
            correction = words_of(&factors[k], words);
            if let [unit] = units {
                // The last prime stands in all lanes that are left over, which nobody reads.
                let inverse = |p: u64| {
                    unit.map(|other| R::word(modular::inv(p % other, other).unwrap_or(0), other))
                };
                let digits = Digits::Lanes(Lanes {
                    moduli: Moduli::new(token, *unit),
                    inverses: primes[..k - 1].iter().map(|p| inverse(*p)).collect(),
                    one: unit.map(|p| R::plain_factor(1, p)),
                });
                return Reconstruction {
                    primes: primes.to_vec(),
                    correction,
                    columns: all_columns,
                    digits,
                };
            }
            if k > HORNER {
                all_columns = columns(factors.into_iter(), k + 1, words);
            }
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
            Many::Garner {
                moduli: primes.iter().map(|p| Moduli::new(token, [*p; 8])).collect(),
                products,
                inverses,
            }
        } else {
            let product: BigUint = primes.iter().fold(BigUint::one(), |x, p| x * *p);
            let cofactors = primes.iter().map(|p| (&product / *p).into());
            let last = std::iter::once_with(|| -BigInt::from(product.clone()));
            all_columns = columns(cofactors.chain(last), k + 1, words);
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
            Many::Explicit {
                moduli: units.iter().map(|unit| Moduli::new(token, *unit)).collect(),
                inverses,
                reciprocals: primes.iter().map(|p| 1.0 / *p as f64).collect(),
            }
        };
        let digits = Digits::Many(digits);
        Reconstruction { primes: primes.to_vec(), correction, columns: all_columns, digits }
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
        let mut to = Graded::new(m, b, words, segments);
        let k = self.primes.len();
        match &self.digits {
            Digits::Lanes(lanes) => match k {
                1 => self.lanes::<1>(units[0], lanes, &mut to),
                2 => self.lanes::<2>(units[0], lanes, &mut to),
                3 => self.lanes::<3>(units[0], lanes, &mut to),
                _ => self.lanes::<4>(units[0], lanes, &mut to),
            },
            Digits::Many(many) => self.by_eights(many, units, places, words, &mut to),
        }
    }

    /// All points, eight abreast.
    #[inline(always)]
    fn by_eights(
        &self,
        many: &Many<R>,
        units: &[&[[R::Word; 4]]],
        places: &[(usize, usize)],
        words: usize,
        to: &mut Graded<'_, '_>,
    ) {
        let k = self.primes.len();
        let terms = k + 1;
        let mut next = units[0].len();
        let mut digits: Vec<[u64; 8]> = vec![[0; 8]; terms];
        let mut words_of_digits: Vec<[R::Word; 8]> = vec![[R::Word::default(); 8]; k];
        let mut flat = vec![0_u64; terms];
        while next > 0 {
            let take = next.min(8);
            match many {
                Many::Garner { moduli, products, inverses } => {
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
                Many::Explicit { moduli, inverses, reciprocals } => {
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
                let to = to.next();
                match k {
                    5 => self.horner::<5>(std::array::from_fn(|i| digits[i][t]), to),
                    6 => self.horner::<6>(std::array::from_fn(|i| digits[i][t]), to),
                    7 => self.horner::<7>(std::array::from_fn(|i| digits[i][t]), to),
                    8 => self.horner::<8>(std::array::from_fn(|i| digits[i][t]), to),
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
            }
            next -= take;
        }
    }

    /// All points, where the primes are the lanes of one vector: a digit is what is left in its
    /// lane once those before are subtracted and divided by their primes.
    #[inline(always)]
    fn lanes<const K: usize>(
        &self,
        unit: &[[R::Word; 4]],
        Lanes { moduli: m, inverses, one }: &Lanes<R>,
        to: &mut Graded<'_, '_>,
    ) {
        for point in (0..unit.len()).rev() {
            let mut x = unit[point];
            let mut digits = [0; K];
            for k in 0..K {
                x = R::reduce(x, m);
                let p = self.primes[k];
                // At least -p / 2 - 2: positive.
                digits[k] = (R::centred(x[k], p) + p as i64) as u64;
                if k + 1 < K {
                    let plain = [R::plain(x, m)[k]; 4];
                    // Both parts are about p / 2 at most, as is the inverse: below 0.9 p^2.
                    x = R::mul(R::sub_plain(x, plain, *one, m), inverses[k], m);
                }
            }
            self.horner::<K>(digits, to.next());
        }
    }

    /// The words of an integer from mixed digits, each with its prime added, by Horner's rule.
    #[inline(always)]
    fn horner<const K: usize>(&self, digits: [u64; K], to: &mut [u64]) {
        let primes = &self.primes[..K];
        let mut words = [0; K];
        words[0] = digits[K - 1];
        for k in (0..K - 1).rev() {
            let mut sum = u128::from(digits[k]);
            for w in 0..K - 1 - k {
                sum += u128::from(words[w]) * u128::from(primes[k]);
                words[w] = sum as u64;
                sum >>= 64;
            }
            words[K - 1 - k] = sum as u64;
        }
        let mut sum = 0_u128;
        for w in 0..to.len() {
            // No integer takes more words than there are primes.
            let word = words.get(w).copied().unwrap_or(0);
            sum += u128::from(word) + u128::from(self.correction[w]);
            to[w] = sum as u64;
            sum >>= 64;
        }
    }
}

/// Where the integers of a lattice's points go, the last point first.
struct Graded<'a, 's> {
    /// By degree.
    segments: &'a mut [&'s mut [u64]],
    filled: Vec<usize>,
    words: usize,
    /// The degree of the lattice, the point that comes next and its degree.
    most: usize,
    point: Vec<usize>,
    degree: usize,
}

impl<'a, 's> Graded<'a, 's> {
    fn new(m: usize, b: usize, words: usize, segments: &'a mut [&'s mut [u64]]) -> Self {
        // The last point: all in the first coordinate.
        let mut point = vec![0; m];
        point[0] = b;
        Graded { segments, filled: vec![0; b + 1], words, most: b, point, degree: b }
    }

    #[inline(always)]
    fn next(&mut self) -> &mut [u64] {
        let (degree, last) = (self.degree, self.point.len() - 1);
        // The point before, in lexicographic order.
        if self.point[last] > 0 {
            self.point[last] -= 1;
            self.degree -= 1;
        } else if let Some(i) = self.point.iter().rposition(|a| *a > 0) {
            self.point[i] -= 1;
            // Not the last, which is 0 here; the later ones are 0 too.
            self.point[i + 1] += self.most + 1 - degree;
            self.degree = self.most;
        }
        let place = self.filled[degree] * self.words;
        self.filled[degree] += 1;
        &mut self.segments[degree][place..place + self.words]
    }
}
