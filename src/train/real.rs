//! The two floats that training computes in, and vector instructions for loops over them.

use std::fmt::Debug;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use num_traits::{Float, NumAssign};
use pulp::{Simd, WithSimd};

/// `f32` or `f64`.
pub trait Real: Float + NumAssign + Debug + Default + Send + Sync + 'static {
    /// The nearest number of this type.
    fn of(x: f64) -> Self;

    /// The same number as f64.
    fn f64(self) -> f64;

    /// `c = a b`, or `c += a b`, on this thread.
    fn product(c: MatMut<Self>, accumulate: Accum, a: MatRef<Self>, b: MatRef<Self>);

    /// Numbers that a register holds.
    type Vector<S: Simd>: Copy;

    /// How many.
    fn lanes<S: Simd>() -> usize;

    /// The same number in all lanes.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// `a + b`, number by number.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `a b + c`, rounded once.
    fn fused<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// The whole vectors of a slice.
    fn vectors<S: Simd>(numbers: &[Self]) -> &[Self::Vector<S>];

    /// As [`Real::vectors`], to be written.
    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Vector<S>];
}

macro_rules! real {
    ($type:ty, $vector:ident: $lanes:ident $splat:ident $add:ident $fused:ident $vectors:ident $vectors_mut:ident) => {
        impl Real for $type {
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $type
            }
            #[inline(always)]
            fn f64(self) -> f64 {
                f64::from(self)
            }
            fn product(c: MatMut<Self>, accumulate: Accum, a: MatRef<Self>, b: MatRef<Self>) {
                matmul(c, accumulate, a, b, 1.0, Par::Seq);
            }
            type Vector<S: Simd> = S::$vector;
            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }
            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
                simd.$splat(x)
            }
            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$fused(a, b, c)
            }
            #[inline(always)]
            fn vectors<S: Simd>(numbers: &[Self]) -> &[S::$vector] {
                S::$vectors(numbers).0
            }
            #[inline(always)]
            fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::$vector] {
                S::$vectors_mut(numbers).0
            }
        }
    };
}

real!(f32, f32s: F32_LANES splat_f32s add_f32s mul_add_f32s as_simd_f32s as_mut_simd_f32s);
real!(f64, f64s: F64_LANES splat_f64s add_f64s mul_add_f64s as_simd_f64s as_mut_simd_f64s);

/// Numbers that a loop treats alike, so that they fit vector registers.
pub(super) const LANES: usize = 16;

/// `columns` columns of `rows` numbers.
pub(super) fn matrix<T>(data: &[T], rows: usize, columns: usize) -> MatRef<'_, T> {
    MatRef::from_column_major_slice(&data[..rows * columns], rows, columns)
}

/// As [`matrix`], to be written.
pub(super) fn matrix_mut<T>(data: &mut [T], rows: usize, columns: usize) -> MatMut<'_, T> {
    MatMut::from_column_major_slice_mut(&mut data[..rows * columns], rows, columns)
}

/// Does `work` with the widest vectors of this machine.
#[inline(always)]
pub(super) fn widest<W: WithSimd>(work: W) -> W::Output {
    #[cfg(all(test, target_arch = "x86_64"))]
    match levels::FORCED.get() {
        Some(levels::Level::Avx512(v4)) => return Simd::vectorize(v4, work),
        Some(levels::Level::Avx2(v3)) => return Simd::vectorize(v3, work),
        Some(levels::Level::Portable) => return work.with_simd(pulp::Scalar),
        None => {}
    }
    pulp::Arch::new().dispatch(work)
}

/// The same work at every level of vectors that the machine has.
#[cfg(test)]
pub(super) mod levels {
    #[cfg(target_arch = "x86_64")]
    use pulp::x86::{V3, V4};

    #[cfg(target_arch = "x86_64")]
    #[derive(Clone, Copy)]
    pub(in crate::train) enum Level {
        Avx512(V4),
        Avx2(V3),
        Portable,
    }

    #[cfg(target_arch = "x86_64")]
    thread_local! {
        pub(super) static FORCED: std::cell::Cell<Option<Level>> = const { std::cell::Cell::new(None) };
    }

    /// What `work` gives, the same at every level.
    pub(in crate::train) fn same<R: PartialEq + std::fmt::Debug>(work: impl Fn() -> R) -> R {
        let result = work();
        #[cfg(target_arch = "x86_64")]
        {
            let wide = [V4::try_new().map(Level::Avx512), V3::try_new().map(Level::Avx2)];
            for level in wide.into_iter().flatten().chain([Level::Portable]) {
                FORCED.set(Some(level));
                let own = work();
                FORCED.set(None);
                assert_eq!(own, result);
            }
        }
        result
    }
}

/// A function whose body is compiled for the widest vectors of this machine.
///
/// No sum is reordered and no product fused with a sum by this (`mul_add` is fused on every machine), so
/// that results are the same on every machine. What the body calls must be inlined into it, and a closure need not be.
macro_rules! vectorised {
    ($(#[$doc:meta])* $vis:vis fn $name:ident<$life:lifetime, $t:ident>(
        $($arg:ident: $type:ty),* $(,)?
    ) -> $out:ty $body:block) => {
        $(#[$doc])*
        $vis fn $name<$life, $t: Real>($($arg: $type),*) -> $out {
            struct Work<A>(A);
            impl<$life, $t: Real> pulp::NullaryFnOnce for Work<($($type,)*)> {
                type Output = $out;
                #[inline(always)]
                fn call(self) -> $out {
                    let ($($arg,)*) = self.0;
                    $body
                }
            }
            $crate::train::real::widest(Work(($($arg,)*)))
        }
    };
}
pub(super) use vectorised;

/// Up to [`LANES`] numbers, zeros behind them.
#[inline(always)]
pub(super) fn load<T: Real>(from: &[T]) -> [T; LANES] {
    if let Some(all) = from.first_chunk::<LANES>() {
        return *all;
    }
    let mut some = [T::zero(); LANES];
    for (to, from) in some.iter_mut().zip(from) {
        *to = *from;
    }
    some
}

/// The first numbers of `values`, as many as there is room for.
#[inline(always)]
pub(super) fn store<T: Real>(to: &mut [T], values: [T; LANES]) {
    if let Some(all) = to.first_chunk_mut::<LANES>() {
        *all = values;
        return;
    }
    for (to, value) in to.iter_mut().zip(values) {
        *to = value;
    }
}

vectorised! {
    /// The sum of squares, added up in lanes and in f64 over parts: the same on every machine.
    pub(super) fn sum_of_squares<'a, T>(numbers: &'a [T]) -> f64 {
        // So many that no sum waits for the one before.
        const SUMS: usize = 32;
        let mut total = 0.0;
        for part in numbers.chunks(128 * SUMS) {
            let mut sums = [T::zero(); SUMS];
            let mut chunks = part.chunks_exact(SUMS);
            for x in &mut chunks {
                for i in 0..SUMS {
                    sums[i] += x[i] * x[i];
                }
            }
            for (sum, x) in sums.iter_mut().zip(chunks.remainder()) {
                *sum += *x * *x;
            }
            for x in sums {
                total += x.f64();
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_summed_alike_at_every_level() {
        for n in [0, 1, 31, 32, 33, 4096, 10_001] {
            let numbers: Vec<f64> = (0..n).map(|i| f64::from(i % 17) - 8.0).collect();
            let naive: f64 = numbers.iter().map(|x| x * x).sum();
            assert_eq!(levels::same(|| sum_of_squares(&numbers)), naive);
            let numbers: Vec<f32> = numbers.iter().map(|x| *x as f32 * 0.1).collect();
            let naive: f64 = numbers.iter().map(|x| f64::from(*x).powi(2)).sum();
            let own = levels::same(|| sum_of_squares(&numbers));
            assert!(
                (own - naive).abs() <= 128.0 * f64::from(f32::EPSILON) * naive,
                "{own} {naive}"
            );
        }
    }
}
