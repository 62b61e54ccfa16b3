//! The two floats that training computes in, and vector instructions for loops over them.

use std::fmt::Debug;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use num_traits::{Float, NumAssign};

/// `f32` or `f64`.
pub trait Real: Float + NumAssign + Debug + Default + Send + Sync + 'static {
    /// The nearest number of this type.
    fn of(x: f64) -> Self;

    /// The same number as f64.
    fn f64(self) -> f64;

    /// `c = a b`, or `c += a b`, on this thread.
    fn product(c: MatMut<Self>, accumulate: Accum, a: MatRef<Self>, b: MatRef<Self>);
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            fn of(x: f64) -> Self {
                x as $type
            }
            fn f64(self) -> f64 {
                f64::from(self)
            }
            fn product(c: MatMut<Self>, accumulate: Accum, a: MatRef<Self>, b: MatRef<Self>) {
                matmul(c, accumulate, a, b, 1.0, Par::Seq);
            }
        }
    };
}

real!(f32);
real!(f64);

/// Numbers that a loop treats alike, so that they fit vector registers.
pub(super) const LANES: usize = 8;

/// `columns` columns of `rows` numbers.
pub(super) fn matrix<T>(data: &[T], rows: usize, columns: usize) -> MatRef<'_, T> {
    MatRef::from_column_major_slice(&data[..rows * columns], rows, columns)
}

/// As [`matrix`], to be written.
pub(super) fn matrix_mut<T>(data: &mut [T], rows: usize, columns: usize) -> MatMut<'_, T> {
    MatMut::from_column_major_slice_mut(&mut data[..rows * columns], rows, columns)
}

/// Runs `work`, compiled for the widest vectors of this machine.
///
/// No sum is reordered and no product fused with a sum by this, so that results are the same on
/// every machine; what `work` calls must be inlined into it.
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Work<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            self.0()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}

/// Up to [`LANES`] numbers, zeros behind them.
#[inline(always)]
pub(super) fn load<T: Real>(from: &[T]) -> [T; LANES] {
    match from.first_chunk::<LANES>() {
        Some(all) => *all,
        None => {
            let mut some = [T::zero(); LANES];
            some.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            some
        }
    }
}

/// The first numbers of `values`, as many as there is room for.
#[inline(always)]
pub(super) fn store<T: Real>(to: &mut [T], values: [T; LANES]) {
    match to.first_chunk_mut::<LANES>() {
        Some(all) => *all = values,
        None => to.iter_mut().zip(values).for_each(|(to, value)| *to = value),
    }
}

/// The sum of squares, added up in lanes and in f64 over parts: the same on every machine.
pub(super) fn sum_of_squares<T: Real>(numbers: &[T]) -> f64 {
    vectorised(|| {
        let mut total = 0.0;
        for part in numbers.chunks(64 * LANES) {
            let mut lanes = [T::zero(); LANES];
            for chunk in part.chunks(LANES) {
                let x = load(chunk);
                for i in 0..LANES {
                    lanes[i] += x[i] * x[i];
                }
            }
            total += lanes.iter().map(|x| x.f64()).sum::<f64>();
        }
        total
    })
}
