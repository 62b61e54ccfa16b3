//! The rate of fused multiply-adds that one core reaches, in GFLOP/s: f64, then f32.
//!
//! `rustc -O -C target-cpu=native benches/fma.rs -o fma && ./fma`

use std::hint::black_box;
use std::time::Instant;

macro_rules! rate {
    ($type:ty, $lanes:expr) => {{
        #[inline(never)]
        fn run(rounds: usize, a: $type, b: $type) -> [$type; $lanes] {
            // Ten sums hide the latency of four cycles at two a cycle.
            let (mut s0, mut s1, mut s2, mut s3, mut s4) =
                ([a; $lanes], [a; $lanes], [a; $lanes], [a; $lanes], [a; $lanes]);
            let (mut s5, mut s6, mut s7, mut s8, mut s9) =
                ([b; $lanes], [b; $lanes], [b; $lanes], [b; $lanes], [b; $lanes]);
            for _ in 0..rounds {
                for l in 0..$lanes {
                    s0[l] = s0[l].mul_add(a, b);
                    s1[l] = s1[l].mul_add(a, b);
                    s2[l] = s2[l].mul_add(a, b);
                    s3[l] = s3[l].mul_add(a, b);
                    s4[l] = s4[l].mul_add(a, b);
                    s5[l] = s5[l].mul_add(a, b);
                    s6[l] = s6[l].mul_add(a, b);
                    s7[l] = s7[l].mul_add(a, b);
                    s8[l] = s8[l].mul_add(a, b);
                    s9[l] = s9[l].mul_add(a, b);
                }
            }
            let mut sum = [0.0; $lanes];
            for s in [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9] {
                for l in 0..$lanes {
                    sum[l] += s[l];
                }
            }
            sum
        }
        let mut best = 0.0_f64;
        for _ in 0..200 {
            let started = Instant::now();
            let rounds = 20_000;
            black_box(run(rounds, black_box(0.999_9), black_box(1e-4)));
            let seconds = started.elapsed().as_secs_f64();
            best = best.max(2.0 * (rounds * 10 * $lanes) as f64 / seconds * 1e-9);
        }
        best
    }};
}

fn main() {
    println!("{:.1} {:.1}", rate!(f64, 8), rate!(f32, 16));
}
