//! Products in vectors of AVX-512, of factors where they lie.
//!
//! General products first copy their factors into an order of their own, which takes a tenth of the
//! time where the columns are as few as the rows of a batch. Here a tile of the product stays in
//! registers while it goes through the inner dimension once, and the caches do the rest: every
//! number is one sum of fused multiply-adds in the order of that dimension.

use faer::Accum;
use pulp::NullaryFnOnce;
use pulp::x86::V4;

use super::Right;
use crate::train::real::Real;

/// Most rows: of more, the columns of the left factor are so far apart that they fall on few lines
/// of the caches.
const MOST_ROWS: usize = 256;
/// Most bytes of a factor: they are gone through again and again, and stay in the second cache.
const NEAR: usize = 1 << 20;
/// Most bytes of the inner dimension: so much of a few columns stays in the nearest cache.
const NEAREST: usize = 1 << 13;

/// As [`multiply`](super::multiply); `false`, and nothing done, where faer does as well or better.
pub(super) fn multiply<T: Real>(
    c: &mut [T],
    accumulate: Accum,
    a: &[T],
    right: Right<T>,
    [rows, inner]: [usize; 2],
) -> bool {
    let (columns, lanes) = (c.len() / rows.max(1), T::lanes::<V4>());
    let (b, stride, high, columnwise) = match right {
        Right::Columns(b) => (b, inner, 4 * lanes, true),
        Right::Rows(b, stride) => (b, stride, 2 * lanes, false),
    };
    let bytes = |numbers: usize| numbers.saturating_mul(size_of::<T>());
    let fits = (1..=MOST_ROWS).contains(&rows)
        && rows.is_multiple_of(high)
        && (1..=NEAREST).contains(&bytes(inner))
        && bytes(rows * inner) <= NEAR
        && bytes(inner * columns) <= NEAR;
    let Some(t) = V4::try_new().filter(|_| fits) else { return false };
    let add = matches!(accumulate, Accum::Add);
    let mut job = Job { t, c, add, a, b, stride, rows, inner, first: 0 };
    while job.first < columns {
        let job = &mut job;
        let rest = columns - job.first;
        job.first += match (columnwise, rest) {
            (true, 6..) => t.vectorize(Columns6(job)),
            (true, 4..) => t.vectorize(Columns4(job)),
            (true, 2..) => t.vectorize(Columns2(job)),
            (true, _) => t.vectorize(Columns1(job)),
            (false, 14..) => t.vectorize(Rows14(job)),
            (false, 8..) => t.vectorize(Rows8(job)),
            (false, 4..) => t.vectorize(Rows4(job)),
            (false, 2..) => t.vectorize(Rows2(job)),
            (false, _) => t.vectorize(Rows1(job)),
        };
    }
    true
}

struct Job<'a, T> {
    t: V4,
    c: &'a mut [T],
    add: bool,
    a: &'a [T],
    b: &'a [T],
    /// Between the columns or rows of `b`.
    stride: usize,
    rows: usize,
    inner: usize,
    /// The next column.
    first: usize,
}

/// The next columns of the product, as many as there are `$j`, in tiles of as many vectors as there
/// are `$i`.
///
/// Sums, vectors of the left factor and a number of the right one fill 29 to 31 of 32 registers. It is
/// spelled out number by number, and compiled by itself: of loops over the sums a compiler leaves
/// some, and the sums in memory. Where the right factor lies column by column a tile has fewer of
/// them, because each takes a pointer.
macro_rules! strip {
    ($name:ident: $order:ident, $high:literal x $wide:literal, $i:tt $j:tt) => {
        struct $name<'a, 'b, T>(&'b mut Job<'a, T>);

        impl<T: Real> NullaryFnOnce for $name<'_, '_, T> {
            type Output = usize;

            #[inline(always)]
            fn call(self) -> usize {
                let Job { t, add, a, b, stride, rows, inner, first, .. } = *self.0;
                let c = &mut self.0.c[first * rows..][..$wide * rows];
                let high = $high * T::lanes::<V4>();
                for begin in (0..rows).step_by(high) {
                    let a = &a[begin..];
                    let mut sums = [[T::splat(t, T::zero()); $high]; $wide];
                    strip!(@$order b, first, stride, inner, (a, rows, high, t, sums) $i $j);
                    strip!(@store c, rows, begin, high, (add, t, sums) $i $j);
                }
                $wide
            }
        }
    };
    (@columns $b:ident, $first:ident, $stride:ident, $inner:ident, $to:tt $i:tt [$($j:literal)*]) => {
        let b = &$b[$first * $stride..];
        let columns = [$(&b[$j * $stride..][..$inner]),*];
        for p in 0..$inner {
            strip!(@add p, $to $i [$($j columns[$j][p];)*]);
        }
    };
    (@rows $b:ident, $first:ident, $stride:ident, $inner:ident, $to:tt $i:tt [$($j:literal)*]) => {
        let b = &$b[$first..];
        for p in 0..$inner {
            let b = &b[p * $stride..][..[$($j),*].len()];
            strip!(@add p, $to $i [$($j b[$j];)*]);
        }
    };
    (@add $p:ident, ($a:ident, $rows:ident, $high:ident, $t:ident, $sums:ident) [$($i:literal)*] $b:tt) => {
        let own = T::vectors::<V4>(&$a[$p * $rows..][..$high]);
        let left = [$(own[$i]),*];
        strip!(@by left, $t, $sums, [$($i)*] $b);
    };
    (@by $left:ident, $t:ident, $sums:ident, $i:tt [$($j:literal $b:expr;)*]) => {
        $(
            let right = T::splat($t, $b);
            strip!(@sum $left, right, $t, $sums, $i $j);
        )*
    };
    (@sum $left:ident, $right:ident, $t:ident, $sums:ident, [$($i:literal)*] $j:literal) => {
        $($sums[$j][$i] = T::fused($t, $left[$i], $right, $sums[$j][$i]);)*
    };
    (@store $c:ident, $rows:ident, $begin:ident, $high:ident, $from:tt $i:tt [$($j:literal)*]) => {
        $(
            let own = T::vectors_mut::<V4>(&mut $c[$j * $rows + $begin..][..$high]);
            strip!(@put own, $from $i $j);
        )*
    };
    (@put $own:ident, ($add:ident, $t:ident, $sums:ident) [$($i:literal)*] $j:literal) => {
        $(
            let sum = $sums[$j][$i];
            let sum = if $add { T::plus($t, sum, $own[$i]) } else { sum };
            $own[$i] = sum;
        )*
    };
}

strip!(Columns6: columns, 4 x 6, [0 1 2 3] [0 1 2 3 4 5]);
strip!(Columns4: columns, 4 x 4, [0 1 2 3] [0 1 2 3]);
strip!(Columns2: columns, 4 x 2, [0 1 2 3] [0 1]);
strip!(Columns1: columns, 4 x 1, [0 1 2 3] [0]);
strip!(Rows14: rows, 2 x 14, [0 1] [0 1 2 3 4 5 6 7 8 9 10 11 12 13]);
strip!(Rows8: rows, 2 x 8, [0 1] [0 1 2 3 4 5 6 7]);
strip!(Rows4: rows, 2 x 4, [0 1] [0 1 2 3]);
strip!(Rows2: rows, 2 x 2, [0 1] [0 1]);
strip!(Rows1: rows, 2 x 1, [0 1] [0]);
