//! The rate of fused multiply-adds that one core reaches, in GFLOP/s: f64, then f32.
//!
//! `rustc -O -C target-cpu=native benches/fma.rs -o fma && ./fma`, and, since the compiler prefers
//! vectors of AVX2 on some machines that have AVX-512, with `-C target-cpu=x86-64-v3 -C
//! target-feature=+avx512f`; the better counts.

use std::hint::black_box;
use std::time::Instant;

macro_rules! rate {
    ($type:ty, $lanes:expr) => {{
        /// A sum in one register.
        #[inline(always)]
        fn add(sum: &mut [$type; $lanes], a: &[$type; $lanes], b: &[$type; $lanes]) {
            for l in 0..$lanes {
                sum[l] = sum[l].mul_add(a[l], b[l]);
            }
        }
        #[inline(never)]
        fn run(rounds: usize, a: &[$type; $lanes], b: &[$type; $lanes]) -> [$type; $lanes] {
            // Ten sums hide the latency of four cycles at two a cycle.
            let (mut s0, mut s1, mut s2, mut s3, mut s4) = (*a, *a, *a, *a, *a);
            let (mut s5, mut s6, mut s7, mut s8, mut s9) = (*b, *b, *b, *b, *b);
            for _ in 0..rounds {
                add(&mut s0, a, b);
                add(&mut s1, a, b);
                add(&mut s2, a, b);
                add(&mut s3, a, b);
                add(&mut s4, a, b);
                add(&mut s5, a, b);
                add(&mut s6, a, b);
                add(&mut s7, a, b);
                add(&mut s8, a, b);
                add(&mut s9, a, b);
            }
            let mut sum = s0;
            for s in [s1, s2, s3, s4, s5, s6, s7, s8, s9] {
                add(&mut sum, a, &s);
            }
            sum
        }
        let mut best = 0.0_f64;
        for _ in 0..500 {
            let started = Instant::now();
            let rounds = 20_000;
            black_box(run(rounds, black_box(&[0.9; $lanes]), black_box(&[0.1; $lanes])));
            let seconds = started.elapsed().as_secs_f64();
            best = best.max(2.0 * (rounds * 10 * $lanes) as f64 / seconds * 1e-9);
        }
        best
    }};
}

fn main() {
    println!("{:.1} {:.1}", rate!(f64, 8), rate!(f32, 16));
}
