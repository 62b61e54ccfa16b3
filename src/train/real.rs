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

/// A function whose body is compiled for the widest vectors of this machine.
///
/// No sum is reordered and no product fused with a sum by this, so that results are the same on
/// every machine. What the body calls must be inlined into it, and a closure need not be.
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
            pulp::Arch::new().dispatch(Work(($($arg,)*)))
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
        let mut total = 0.0;
        for part in numbers.chunks(64 * LANES) {
            let mut lanes = [T::zero(); LANES];
            for chunk in part.chunks(LANES) {
                let x = load(chunk);
                for i in 0..LANES {
                    lanes[i] += x[i] * x[i];
                }
            }
            for x in lanes {
                total += x.f64();
            }
        }
        total
    }
}
