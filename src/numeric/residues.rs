//! Many residues at once: arithmetic modulo several primes below 2^50 in short vectors.
//!
//! [`Fma`] holds a residue as an f64 integer and multiplies by one fused multiply-add more than
//! Barrett's quotient needs: h = ab rounded, l = fma(a, b, -h) its exact error, q = rint(h / p),
//! r = fma(-q, p, h) + l. [`Montgomery`] holds a u64 and is for machines without a fused
//! multiply-add. [`Level::dispatch`] compiles a [`Job`] for what this machine has (AVX-512, or AVX2
//! with FMA, on x86-64, NEON always on aarch64) and runs it.
//!
//! Bounds for [`Fma`], p <= 2^50 - 4. Call |x| <= 0.67 p *reduced*. The quotient of a product of
//! reduced factors is off by at most 2 roundings of |ab / p| <= 0.449 2^50, that is by 0.113, so
//! |q - ab / p| <= 0.613 and |r| <= 0.67 p: reduced again. All steps but the rounding of h and q
//! are exact: |h - q p| < 2^53 is an integer, and l is one of at most 46 bits. Sums stay exact up
//! to 2^53 >= 8 p + 32; [`Residues::reduce`] brings such a sum to |x| <= p / 2 + 2.
//!
//! Factors need not be reduced as long as |ab| <= 0.9 p^2: the quotient is then off by at most
//! 0.226 before it is rounded, so that |r| <= 0.84 p. Such are z (y + c) for reduced y and z and a
//! c that came out of `reduce`: 0.67 (0.67 + 0.51) < 0.8; and z (r + c) for an r of this kind:
//! 0.67 (0.84 + 0.5) < 0.9.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::modular;

/// How residues are held and multiplied. Vectors of `W` residues, each with a modulus of its own.
pub trait Residues: Copy + Send + Sync + 'static {
    /// One residue, or one constant of a modulus.
    type Word: Copy + Default + PartialEq + Send + Sync + std::fmt::Debug + 'static;

    /// A proof that the machine has the instructions.
    type Token: Copy + Send + Sync + std::fmt::Debug;

    /// The constants of the odd prime p < 2^50 that the operations take.
    fn modulus(p: u64) -> (Self::Word, Self::Word);

    /// The form of a residue in [0, p), reduced.
    fn word(residue: u64, p: u64) -> Self::Word;

    /// The residue in [0, p) of a reduced word.
    fn residue(word: Self::Word, p: u64) -> u64;

    /// The words of an integer of at most 2^53, reduced.
    fn integer<const W: usize>(x: i64, m: &Moduli<Self, W>) -> [Self::Word; W];

    /// The integer of smallest size that is congruent to a word out of `reduce`, or within 2 of it.
    fn centred(word: Self::Word, p: u64) -> i64;

    /// The integers of [`Residues::centred`] in a form of their own, whatever the modulus.
    fn plain<const W: usize>(a: [Self::Word; W], m: &Moduli<Self, W>) -> [Self::Word; W];

    /// The product of such integers and reduced [factors](Residues::plain_factor), reduced.
    fn mul_plain<const W: usize>(
        a: [Self::Word; W],
        factors: [Self::Word; W],
        m: &Moduli<Self, W>,
    ) -> [Self::Word; W];

    /// The difference of words out of `reduce` and such integers, which `one`, the plain factor of
    /// 1, makes words; counted as a sum.
    fn sub_plain<const W: usize>(
        a: [Self::Word; W],
        b: [Self::Word; W],
        one: [Self::Word; W],
        m: &Moduli<Self, W>,
    ) -> [Self::Word; W];

    /// The form of a residue that is to be multiplied by plain integers.
    fn plain_factor(residue: u64, p: u64) -> Self::Word;

    /// a + b; up to eleven reduced words, or sixteen that came out of `reduce`, may be summed
    /// before the sum is reduced.
    fn add<const W: usize>(
        a: [Self::Word; W],
        b: [Self::Word; W],
        m: &Moduli<Self, W>,
    ) -> [Self::Word; W];

    /// a - b, counted as a sum.
    fn sub<const W: usize>(
        a: [Self::Word; W],
        b: [Self::Word; W],
        m: &Moduli<Self, W>,
    ) -> [Self::Word; W];

    /// A sum, reduced.
    fn reduce<const W: usize>(a: [Self::Word; W], m: &Moduli<Self, W>) -> [Self::Word; W];

    /// The product of reduced words, reduced; of others whose product is at most 0.9 p^2 it is at
    /// most 0.84 p.
    fn mul<const W: usize>(
        a: [Self::Word; W],
        b: [Self::Word; W],
        m: &Moduli<Self, W>,
    ) -> [Self::Word; W];

    /// a + s b for signs s, the words of 1 and -1; counted as a sum.
    fn add_signed<const W: usize>(
        a: [Self::Word; W],
        b: [Self::Word; W],
        s: [Self::Word; W],
        m: &Moduli<Self, W>,
    ) -> [Self::Word; W];

    /// a - k b, reduced, for reduced a, b and a constant k in both forms.
    fn sub_multiple<const W: usize>(
        a: [Self::Word; W],
        b: [Self::Word; W],
        k: u64,
        word: [Self::Word; W],
        m: &Moduli<Self, W>,
    ) -> [Self::Word; W];
}

/// The moduli of a vector of residues.
#[derive(Clone, Copy, Debug)]
pub struct Moduli<R: Residues, const W: usize> {
    /// The primes themselves.
    pub primes: [u64; W],
    p: [R::Word; W],
    inverse: [R::Word; W],
    /// What allows the operations.
    pub token: R::Token,
}

impl<R: Residues, const W: usize> Moduli<R, W> {
    /// The moduli of `W` lanes.
    pub fn new(token: R::Token, primes: [u64; W]) -> Self {
        let words = primes.map(R::modulus);
        Moduli { primes, p: words.map(|w| w.0), inverse: words.map(|w| w.1), token }
    }

    /// The words of an integer in every lane.
    pub fn words(&self, value: u64) -> [R::Word; W] {
        self.primes.map(|p| R::word(value % p, p))
    }
}

/// Residues as f64 integers, multiplied by fused multiply-adds of the vectors that a `T` has.
#[derive(Clone, Copy, Debug)]
pub struct Fma<T>(std::marker::PhantomData<T>);

/// 1.5 2^52: the sum with a number below 2^51 in size is rounded to an integer, to even, which
/// stands in its last bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;

/// An f64, or a vector of them, and the proof that its instructions are there.
trait Vector: Copy {
    type Token: Copy;
    const LANES: usize;
    /// The i-th vector of an array.
    fn at<const W: usize>(from: &[f64; W], i: usize) -> Self;
    fn put<const W: usize>(self, to: &mut [f64; W], i: usize);
    fn splat(x: f64, t: Self::Token) -> Self;
    fn add(self, b: Self, t: Self::Token) -> Self;
    fn sub(self, b: Self, t: Self::Token) -> Self;
    fn mul(self, b: Self, t: Self::Token) -> Self;
    /// self b + c.
    fn mul_add(self, b: Self, c: Self, t: Self::Token) -> Self;
    /// self b - c.
    fn mul_sub(self, b: Self, c: Self, t: Self::Token) -> Self;
    /// c - self b.
    fn negate_mul_add(self, b: Self, c: Self, t: Self::Token) -> Self;
}

impl Vector for f64 {
    type Token = ();
    const LANES: usize = 1;
    #[inline(always)]
    fn at<const W: usize>(from: &[f64; W], i: usize) -> f64 {
        from[i]
    }
    #[inline(always)]
    fn put<const W: usize>(self, to: &mut [f64; W], i: usize) {
        to[i] = self;
    }
    #[inline(always)]
    fn splat(x: f64, (): ()) -> f64 {
        x
    }
    #[inline(always)]
    fn add(self, b: f64, (): ()) -> f64 {
        self + b
    }
    #[inline(always)]
    fn sub(self, b: f64, (): ()) -> f64 {
        self - b
    }
    #[inline(always)]
    fn mul(self, b: f64, (): ()) -> f64 {
        self * b
    }
    #[inline(always)]
    fn mul_add(self, b: f64, c: f64, (): ()) -> f64 {
        f64::mul_add(self, b, c)
    }
    #[inline(always)]
    fn mul_sub(self, b: f64, c: f64, (): ()) -> f64 {
        f64::mul_add(self, b, -c)
    }
    #[inline(always)]
    fn negate_mul_add(self, b: f64, c: f64, (): ()) -> f64 {
        f64::mul_add(-self, b, c)
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! vector {
    ($vector:ty, $lanes:literal, $token:ty: $splat:ident $add:ident $sub:ident $mul:ident $mul_add:ident
        $mul_sub:ident $negate_mul_add:ident) => {
        impl Vector for $vector {
            type Token = $token;
            const LANES: usize = $lanes;
            #[inline(always)]
            fn at<const W: usize>(from: &[f64; W], i: usize) -> Self {
                pulp::cast(from.as_chunks::<$lanes>().0[i])
            }
            #[inline(always)]
            fn put<const W: usize>(self, to: &mut [f64; W], i: usize) {
                to.as_chunks_mut::<$lanes>().0[i] = pulp::cast(self);
            }
            #[inline(always)]
            fn splat(x: f64, t: $token) -> Self {
                t.$splat(x)
            }
            #[inline(always)]
            fn add(self, b: Self, t: $token) -> Self {
                t.$add(self, b)
            }
            #[inline(always)]
            fn sub(self, b: Self, t: $token) -> Self {
                t.$sub(self, b)
            }
            #[inline(always)]
            fn mul(self, b: Self, t: $token) -> Self {
                t.$mul(self, b)
            }
            #[inline(always)]
            fn mul_add(self, b: Self, c: Self, t: $token) -> Self {
                t.$mul_add(self, b, c)
            }
            #[inline(always)]
            fn mul_sub(self, b: Self, c: Self, t: $token) -> Self {
                t.$mul_sub(self, b, c)
            }
            #[inline(always)]
            fn negate_mul_add(self, b: Self, c: Self, t: $token) -> Self {
                t.$negate_mul_add(self, b, c)
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(pulp::f64x4, 4, V3: splat_f64x4 add_f64x4 sub_f64x4 mul_f64x4 mul_add_f64x4 mul_sub_f64x4
    negate_mul_add_f64x4);
#[cfg(target_arch = "x86_64")]
vector!(pulp::f64x8, 8, V4: splat_f64x8 add_f64x8 sub_f64x8 mul_f64x8 mul_add_f64x8 mul_sub_f64x8
    negate_mul_add_f64x8);

/// An operation on residues, written once for all vectors.
trait Operation<const N: usize> {
    fn of<V: Vector>(x: [V; N], t: V::Token) -> V;
}

/// The vectors of some instructions.
///
/// By the instructions themselves: vectors that a compiler finds in loops over arrays do not
/// survive a loop around them. No adaptor of arrays or closures here: they are not inlined.
trait Vectors: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// An operation in each of `W` lanes.
    fn each<O: Operation<N>, const N: usize, const W: usize>(self, x: [&[f64; W]; N]) -> [f64; W];
}

/// The lanes from `first` on, as many whole vectors as there are.
#[inline(always)]
fn lanes<O: Operation<N>, V: Vector, const N: usize, const W: usize>(
    t: V::Token,
    x: [&[f64; W]; N],
    first: usize,
    all: &mut [f64; W],
) {
    for i in first / V::LANES..W / V::LANES {
        let mut vectors = [V::splat(0.0, t); N];
        for j in 0..N {
            vectors[j] = V::at(x[j], i);
        }
        O::of(vectors, t).put(all, i);
    }
}

impl Vectors for () {
    #[inline(always)]
    fn each<O: Operation<N>, const N: usize, const W: usize>(self, x: [&[f64; W]; N]) -> [f64; W] {
        let mut all = [0.0; W];
        lanes::<O, f64, N, W>(self, x, 0, &mut all);
        all
    }
}

/// `W` must be a multiple of 4.
#[cfg(target_arch = "x86_64")]
impl Vectors for V3 {
    #[inline(always)]
    fn each<O: Operation<N>, const N: usize, const W: usize>(self, x: [&[f64; W]; N]) -> [f64; W] {
        let mut all = [0.0; W];
        lanes::<O, pulp::f64x4, N, W>(self, x, 0, &mut all);
        all
    }
}

/// `W` must be a multiple of 4.
#[cfg(target_arch = "x86_64")]
impl Vectors for V4 {
    #[inline(always)]
    fn each<O: Operation<N>, const N: usize, const W: usize>(self, x: [&[f64; W]; N]) -> [f64; W] {
        let mut all = [0.0; W];
        lanes::<O, pulp::f64x8, N, W>(self, x, 0, &mut all);
        lanes::<O, pulp::f64x4, N, W>(*self, x, W / 8 * 8, &mut all);
        all
    }
}

struct Add;
impl Operation<2> for Add {
    #[inline(always)]
    fn of<V: Vector>([a, b]: [V; 2], t: V::Token) -> V {
        a.add(b, t)
    }
}

struct Sub;
impl Operation<2> for Sub {
    #[inline(always)]
    fn of<V: Vector>([a, b]: [V; 2], t: V::Token) -> V {
        a.sub(b, t)
    }
}

/// The integer next to a / p, of the inverse 1 / p.
#[inline(always)]
fn quotient<V: Vector>(a: V, inverse: V, t: V::Token) -> V {
    let shift = V::splat(SHIFT, t);
    a.mul_add(inverse, shift, t).sub(shift, t)
}

struct Reduce;
impl Operation<3> for Reduce {
    #[inline(always)]
    fn of<V: Vector>([a, p, inverse]: [V; 3], t: V::Token) -> V {
        quotient(a, inverse, t).negate_mul_add(p, a, t)
    }
}

struct Product;
impl Operation<4> for Product {
    #[inline(always)]
    fn of<V: Vector>([a, b, p, inverse]: [V; 4], t: V::Token) -> V {
        let h = a.mul(b, t);
        let l = a.mul_sub(b, h, t);
        quotient(h, inverse, t).negate_mul_add(p, h, t).add(l, t)
    }
}

/// a - s b.
struct SubMultiple;
impl Operation<3> for SubMultiple {
    #[inline(always)]
    fn of<V: Vector>([a, b, s]: [V; 3], t: V::Token) -> V {
        s.negate_mul_add(b, a, t)
    }
}

/// a + s b.
struct AddMultiple;
impl Operation<3> for AddMultiple {
    #[inline(always)]
    fn of<V: Vector>([a, b, s]: [V; 3], t: V::Token) -> V {
        s.mul_add(b, a, t)
    }
}

#[allow(private_bounds)] // what has vectors is settled here
impl<T: Vectors> Residues for Fma<T> {
    type Word = f64;
    type Token = T;

    fn modulus(p: u64) -> (f64, f64) {
        (p as f64, 1.0 / p as f64)
    }
    #[inline(always)]
    fn word(residue: u64, p: u64) -> f64 {
        if residue > p / 2 { -((p - residue) as f64) } else { residue as f64 }
    }
    #[inline(always)]
    fn residue(word: f64, p: u64) -> u64 {
        let x = word as i64;
        let x = if x < 0 { x + p as i64 } else { x } as u64;
        if x >= p { x - p } else { x }
    }
    #[inline(always)]
    fn integer<const W: usize>(x: i64, m: &Moduli<Self, W>) -> [f64; W] {
        Self::reduce([x as f64; W], m)
    }
    #[inline(always)]
    fn centred(word: f64, _: u64) -> i64 {
        // A cast would look after what cannot be.
        (word + SHIFT).to_bits() as i64 - SHIFT.to_bits() as i64
    }
    #[inline(always)]
    fn plain<const W: usize>(a: [f64; W], _: &Moduli<Self, W>) -> [f64; W] {
        a
    }
    #[inline(always)]
    fn mul_plain<const W: usize>(a: [f64; W], factors: [f64; W], m: &Moduli<Self, W>) -> [f64; W] {
        Self::mul(a, factors, m)
    }
    #[inline(always)]
    fn sub_plain<const W: usize>(
        a: [f64; W],
        b: [f64; W],
        _: [f64; W],
        m: &Moduli<Self, W>,
    ) -> [f64; W] {
        Self::sub(a, b, m)
    }
    fn plain_factor(residue: u64, p: u64) -> f64 {
        Self::word(residue, p)
    }
    #[inline(always)]
    fn add<const W: usize>(a: [f64; W], b: [f64; W], m: &Moduli<Self, W>) -> [f64; W] {
        m.token.each::<Add, 2, W>([&a, &b])
    }
    #[inline(always)]
    fn sub<const W: usize>(a: [f64; W], b: [f64; W], m: &Moduli<Self, W>) -> [f64; W] {
        m.token.each::<Sub, 2, W>([&a, &b])
    }
    #[inline(always)]
    fn reduce<const W: usize>(a: [f64; W], m: &Moduli<Self, W>) -> [f64; W] {
        m.token.each::<Reduce, 3, W>([&a, &m.p, &m.inverse])
    }
    #[inline(always)]
    fn mul<const W: usize>(a: [f64; W], b: [f64; W], m: &Moduli<Self, W>) -> [f64; W] {
        m.token.each::<Product, 4, W>([&a, &b, &m.p, &m.inverse])
    }
    #[inline(always)]
    fn add_signed<const W: usize>(
        a: [f64; W],
        b: [f64; W],
        s: [f64; W],
        m: &Moduli<Self, W>,
    ) -> [f64; W] {
        m.token.each::<AddMultiple, 3, W>([&a, &b, &s])
    }
    #[inline(always)]
    fn sub_multiple<const W: usize>(
        a: [f64; W],
        b: [f64; W],
        k: u64,
        word: [f64; W],
        m: &Moduli<Self, W>,
    ) -> [f64; W] {
        if k <= 10 {
            // 0.67 (k + 1) p <= 8 p: exact. The word of k is k, as p is larger than 2 k.
            Self::reduce(m.token.each::<SubMultiple, 3, W>([&a, &b, &word]), m)
        } else {
            Self::reduce(Self::sub(a, Self::mul(b, word, m), m), m)
        }
    }
}

/// Residues as u64 in Montgomery's form x 2^64 mod p, always in [0, p).
#[derive(Clone, Copy, Debug)]
pub struct Montgomery;

impl Montgomery {
    #[inline(always)]
    fn redc(product: u128, p: u64, negative_inverse: u64) -> u64 {
        let m = (product as u64).wrapping_mul(negative_inverse);
        // Below 2 p 2^64: p < 2^50, so nothing overflows.
        let r = ((product + u128::from(m) * u128::from(p)) >> 64) as u64;
        if r >= p { r - p } else { r }
    }

    /// -1 / p modulo 2^64 by Newton's iteration: each step doubles the correct low bits.
    fn negative_inverse(p: u64) -> u64 {
        let mut x = p;
        for _ in 0..6 {
            x = x.wrapping_mul(2_u64.wrapping_sub(p.wrapping_mul(x)));
        }
        x.wrapping_neg()
    }
}

impl Residues for Montgomery {
    type Word = u64;
    type Token = ();

    fn modulus(p: u64) -> (u64, u64) {
        (p, Self::negative_inverse(p))
    }
    fn word(residue: u64, p: u64) -> u64 {
        ((u128::from(residue) << 64) % u128::from(p)) as u64
    }
    fn residue(word: u64, p: u64) -> u64 {
        Self::redc(u128::from(word), p, Self::negative_inverse(p))
    }
    fn integer<const W: usize>(x: i64, m: &Moduli<Self, W>) -> [u64; W] {
        // Primes are below 2^50.
        m.primes.map(|p| Self::word(x.rem_euclid(p as i64) as u64, p))
    }
    #[inline(always)]
    fn centred(word: u64, p: u64) -> i64 {
        let x = Self::residue(word, p) as i64;
        if x > p as i64 / 2 { x - p as i64 } else { x }
    }
    #[inline(always)]
    fn plain<const W: usize>(mut a: [u64; W], m: &Moduli<Self, W>) -> [u64; W] {
        for i in 0..W {
            a[i] = Self::centred(a[i], m.p[i]) as u64;
        }
        a
    }
    #[inline(always)]
    fn mul_plain<const W: usize>(
        a: [u64; W],
        mut factors: [u64; W],
        m: &Moduli<Self, W>,
    ) -> [u64; W] {
        for i in 0..W {
            let x = a[i] as i64;
            let product = u128::from(x.unsigned_abs()) * u128::from(factors[i]);
            let r = Self::redc(product, m.p[i], m.inverse[i]);
            factors[i] = if x < 0 { modular::sub(0, r, m.p[i]) } else { r };
        }
        factors
    }
    #[inline(always)]
    fn sub_plain<const W: usize>(
        a: [u64; W],
        b: [u64; W],
        one: [u64; W],
        m: &Moduli<Self, W>,
    ) -> [u64; W] {
        Self::sub(a, Self::mul_plain(b, one, m), m)
    }
    fn plain_factor(residue: u64, p: u64) -> u64 {
        Self::word(Self::word(residue, p), p)
    }
    #[inline(always)]
    fn add<const W: usize>(mut a: [u64; W], b: [u64; W], m: &Moduli<Self, W>) -> [u64; W] {
        for i in 0..W {
            a[i] = modular::add(a[i], b[i], m.p[i]);
        }
        a
    }
    #[inline(always)]
    fn sub<const W: usize>(mut a: [u64; W], b: [u64; W], m: &Moduli<Self, W>) -> [u64; W] {
        for i in 0..W {
            a[i] = modular::sub(a[i], b[i], m.p[i]);
        }
        a
    }
    #[inline(always)]
    fn reduce<const W: usize>(a: [u64; W], _: &Moduli<Self, W>) -> [u64; W] {
        a
    }
    #[inline(always)]
    fn mul<const W: usize>(mut a: [u64; W], b: [u64; W], m: &Moduli<Self, W>) -> [u64; W] {
        for i in 0..W {
            a[i] = Self::redc(u128::from(a[i]) * u128::from(b[i]), m.p[i], m.inverse[i]);
        }
        a
    }
    #[inline(always)]
    fn add_signed<const W: usize>(
        a: [u64; W],
        b: [u64; W],
        s: [u64; W],
        m: &Moduli<Self, W>,
    ) -> [u64; W] {
        Self::add(a, Self::mul(b, s, m), m)
    }
    #[inline(always)]
    fn sub_multiple<const W: usize>(
        a: [u64; W],
        b: [u64; W],
        _: u64,
        word: [u64; W],
        m: &Moduli<Self, W>,
    ) -> [u64; W] {
        Self::sub(a, Self::mul(b, word, m), m)
    }
}

/// Instructions that code can be compiled for, and the form of residues that is fastest there.
pub trait Machine: Copy + Send + Sync {
    /// The form of residues.
    type R: Residues;

    /// Whether kernels for every short length pay: not where there are no vectors.
    const UNROLLS: bool;

    /// Whether vectors of eight residues pay, not of four only.
    const WIDE: bool = false;

    /// The proof that the operations on residues ask for.
    fn token(self) -> <Self::R as Residues>::Token;

    /// Runs `kernel`, compiled for these instructions as far as it is inlined.
    fn run<T>(self, kernel: impl FnOnce() -> T) -> T;
}

/// AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Avx512(V4);

#[cfg(target_arch = "x86_64")]
impl Machine for Avx512 {
    type R = Fma<V4>;
    const UNROLLS: bool = true;
    const WIDE: bool = true;
    fn token(self) -> V4 {
        self.0
    }
    #[inline(always)]
    fn run<T>(self, kernel: impl FnOnce() -> T) -> T {
        self.0.vectorize(kernel)
    }
}

/// AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Avx2(V3);

#[cfg(target_arch = "x86_64")]
impl Machine for Avx2 {
    type R = Fma<V3>;
    const UNROLLS: bool = true;
    fn token(self) -> V3 {
        self.0
    }
    #[inline(always)]
    fn run<T>(self, kernel: impl FnOnce() -> T) -> T {
        self.0.vectorize(kernel)
    }
}

/// Whatever the target has, with [`Fma`]: fast where a fused multiply-add is always there.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

impl Machine for Fused {
    type R = Fma<()>;
    const UNROLLS: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
    fn token(self) {}
    #[inline(always)]
    fn run<T>(self, kernel: impl FnOnce() -> T) -> T {
        kernel()
    }
}

/// Whatever the target has, with [`Montgomery`].
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Machine for Portable {
    type R = Montgomery;
    const UNROLLS: bool = false;
    fn token(self) {}
    #[inline(always)]
    fn run<T>(self, kernel: impl FnOnce() -> T) -> T {
        kernel()
    }
}

/// Work that is written once for every [`Machine`].
pub trait Job {
    /// What it returns.
    type Output;

    /// Does the work.
    fn run<M: Machine>(self, machine: M) -> Self::Output;
}

/// The instructions to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// AVX-512, on x86-64.
    Avx512,
    /// AVX2 and FMA, on x86-64.
    Avx2,
    /// A fused multiply-add of the target, or of its library.
    Fused,
    /// 64-bit integers alone.
    Portable,
}

impl Level {
    /// All of them, the fastest first.
    pub const ALL: [Level; 4] = [Level::Avx512, Level::Avx2, Level::Fused, Level::Portable];

    /// The fastest level of this machine.
    pub fn best() -> Self {
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        let pays = |level: &Level| level.is_available() && (*level != Level::Fused || fused);
        Self::ALL.into_iter().find(pays).unwrap_or(Level::Portable)
    }

    /// Whether this machine has the instructions; the last two levels run anywhere.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => V3::try_new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx512 | Level::Avx2 => false,
            Level::Fused | Level::Portable => true,
        }
    }

    /// Does `job` at this level, or at [`Level::Portable`] where it is not available.
    pub fn dispatch<J: Job>(self, job: J) -> J::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => match V4::try_new() {
                Some(v4) => job.run(Avx512(v4)),
                None => job.run(Portable),
            },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => match V3::try_new() {
                Some(v3) => job.run(Avx2(v3)),
                None => job.run(Portable),
            },
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx512 | Level::Avx2 => job.run(Portable),
            Level::Fused => job.run(Fused),
            Level::Portable => job.run(Portable),
        }
    }
}

/// 2^50 minus the first primes of [`primes`].
const OFFSETS: [u64; 128] = [
    161, 341, 377, 545, 665, 821, 1001, 1085, 1121, 1205, 1505, 1877, 2345, 2561, 2897, 2921, 3221,
    3437, 3641, 3701, 3737, 3941, 4145, 4157, 4517, 4601, 4625, 5465, 5537, 5741, 5825, 5885, 6125,
    6137, 6221, 6281, 6341, 6701, 7001, 7181, 7805, 7925, 8021, 8225, 9077, 9161, 9245, 9281, 9437,
    9581, 9605, 9641, 9821, 10337, 10865, 11165, 11237, 11825, 12221, 12245, 12437, 12665, 12977,
    13001, 13265, 13985, 14141, 14225, 14765, 15077, 15101, 15161, 15245, 15437, 15485, 15881,
    16157, 16577, 16661, 16925, 16961, 17081, 17141, 17165, 17501, 17717, 17921, 18125, 18317,
    18377, 18521, 18821, 19181, 19397, 19685, 20357, 20441, 20525, 20561, 21005, 21065, 21497,
    21617, 22097, 22517, 22601, 22721, 22841, 22997, 23441, 23597, 23801, 23897, 24185, 24317,
    24401, 24437, 24941, 25241, 25277, 25577, 25661, 25685, 25781, 25877, 25901, 26045, 26237,
];

/// Whether p is a prime of the kind that [`primes`] lists: p = 11 modulo 12 and p is not 1 modulo 5
/// or 7.
fn is_listed(p: u64) -> bool {
    p % 12 == 11 && p % 5 != 1 && p % 7 != 1 && modular::is_prime(p)
}

/// The primes below 2^50 in descending order for which 2, 3, 5 and 7 divide p - 1 at most once, and
/// of these only 2 does: every residue is then, up to its sign, a power of degree 2, 3, 4, ..., 10.
///
/// The first 128 come from a table.
pub fn primes() -> impl Iterator<Item = u64> {
    let top = 1_u64 << 50;
    let last = top - OFFSETS[OFFSETS.len() - 1];
    // There are more than 10^12 of them: the search ends long before it reaches small numbers.
    let later = (1..last / 12).map(move |k| last - 12 * k).filter(|p| is_listed(*p));
    OFFSETS.into_iter().map(move |offset| top - offset).chain(later)
}

/// 2^45 minus the first primes of [`small_primes`].
const SMALL_OFFSETS: [u64; 32] = [
    69, 93, 429, 453, 513, 573, 753, 789, 909, 1125, 1353, 1425, 1629, 1725, 1809, 2253, 2313,
    2349, 2445, 2613, 3033, 3513, 3573, 3729, 3909, 4329, 5025, 5409, 5613, 5865, 6213, 6429,
];

/// As [`primes`], below 2^45: sums of 500 residues are exact there.
pub fn small_primes() -> impl Iterator<Item = u64> {
    let top = 1_u64 << 45;
    let last = top - SMALL_OFFSETS[SMALL_OFFSETS.len() - 1];
    let later = (1..last / 12).map(move |k| last - 12 * k).filter(|p| is_listed(*p));
    SMALL_OFFSETS.into_iter().map(move |offset| top - offset).chain(later)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_holds_the_first_primes() {
        let top = 1_u64 << 50;
        let searched: Vec<u64> =
            (1..=OFFSETS[127]).map(|k| top - k).filter(|p| is_listed(*p)).collect();
        assert_eq!(searched, primes().take(128).collect::<Vec<_>>());
        let next: Vec<u64> = primes().skip(128).take(3).collect();
        assert!(next.windows(2).all(|w| w[0] > w[1]) && next[0] < searched[127]);
        assert!(next.iter().all(|p| is_listed(*p)) && searched[0] <= top - 4);
        let top = 1_u64 << 45;
        let searched: Vec<u64> =
            (1..=SMALL_OFFSETS[31]).map(|k| top - k).filter(|p| is_listed(*p)).collect();
        assert_eq!(searched, small_primes().take(32).collect::<Vec<_>>());
        assert!(small_primes().nth(32).is_some_and(|p| is_listed(p) && p < searched[31]));
    }

    struct Check {
        primes: [u64; 8],
        a: [u64; 8],
        b: [u64; 8],
        k: u64,
    }

    impl Job for Check {
        type Output = [[u64; 8]; 8];
        fn run<M: Machine>(self, machine: M) -> Self::Output {
            machine.run(
                #[inline(always)]
                || self.work::<M::R>(machine.token()),
            )
        }
    }

    impl Check {
        #[inline(always)]
        fn work<R: Residues>(&self, token: R::Token) -> [[u64; 8]; 8] {
            let m = Moduli::<R, 8>::new(token, self.primes);
            let word = |x: [u64; 8]| std::array::from_fn(|i| R::word(x[i], self.primes[i]));
            let (a, b) = (word(self.a), word(self.b));
            let out = |x: [R::Word; 8]| std::array::from_fn(|i| R::residue(x[i], self.primes[i]));
            let product = R::mul(a, b, &m);
            let signs = word(std::array::from_fn(|i| match i % 2 {
                0 => 1,
                _ => self.primes[i] - 1,
            }));
            let mut powers = product;
            let mut many = R::reduce(a, &m);
            for _ in 0..20 {
                powers = R::mul(powers, a, &m);
            }
            for _ in 0..15 {
                many = R::add(many, R::reduce(a, &m), &m);
            }
            // Plain integers modulo the next prime, taken away and added again.
            let next: [u64; 8] = std::array::from_fn(|i| self.primes[(i + 1) % 8]);
            let others = Moduli::<R, 8>::new(token, next);
            let other = std::array::from_fn(|i| R::word(self.b[i] % next[i], next[i]));
            let other = R::reduce(other, &others);
            let one = self.primes.map(|p| R::plain_factor(1, p));
            let plain = R::plain(other, &others);
            let difference = out(R::reduce(R::sub_plain(R::reduce(a, &m), plain, one, &m), &m));
            let back = std::array::from_fn(|i| {
                let sum = difference[i] as i64 + R::centred(other[i], next[i]);
                sum.rem_euclid(self.primes[i] as i64) as u64
            });
            [
                out(product),
                out(powers),
                out(R::reduce(many, &m)),
                out(R::reduce(R::sub(a, b, &m), &m)),
                out(R::sub_multiple(product, powers, self.k, m.words(self.k), &m)),
                out(R::mul(R::add(product, R::reduce(a, &m), &m), powers, &m)),
                out(R::reduce(R::add_signed(product, powers, signs, &m), &m)),
                back,
            ]
        }
    }

    proptest! {
        #[test]
        fn every_level_computes_what_128_bits_compute(
            skip in 0_usize..120,
            small: bool,
            a: [u64; 8],
            b: [u64; 8],
            edge: [u8; 8],
            k in 0_u64..40,
        ) {
            let primes: [u64; 8] = std::array::from_fn(|i| match small {
                true => super::small_primes().nth(skip / 5 + i).unwrap(),
                false => super::primes().nth(skip + i).unwrap(),
            });
            // The ends and the middle of the range as often as the rest.
            let pick = |x: u64, e: u8, p: u64| match e % 8 {
                0 => 0,
                1 => p - 1,
                2 => p / 2,
                3 => p / 2 + 1,
                _ => x % p,
            };
            let a: [u64; 8] = std::array::from_fn(|i| pick(a[i], edge[i], primes[i]));
            let b: [u64; 8] = std::array::from_fn(|i| pick(b[i], edge[i] >> 3, primes[i]));
            let naive: [[u64; 8]; 8] = std::array::from_fn(|case| {
                std::array::from_fn(|i: usize| {
                    let p = u128::from(primes[i]);
                    let (a, b) = (u128::from(a[i]), u128::from(b[i]));
                    let powers = (0..20).fold(a * b % p, |x, _| x * a % p);
                    let value = match case {
                        0 => a * b,
                        1 => powers,
                        2 => 16 * a,
                        3 => a + p - b,
                        7 => a,
                        5 => (a * b + a) % p * powers,
                        6 if i.is_multiple_of(2) => a * b % p + powers,
                        6 => a * b % p + p - powers,
                        _ => a * b % p + p - u128::from(k) * powers % p,
                    };
                    (value % p) as u64
                })
            });
            for level in Level::ALL {
                let found = level.dispatch(Check { primes, a, b, k });
                prop_assert_eq!(found, naive, "{:?}", level);
            }
        }
    }
}
