//! Chebyshev sums and coefficients in f64: good approximations, proven later.

use std::f64::consts::PI;

/// The sums over k of c_k T_k(x) for all x in [-1, 1], by Clenshaw's recurrence.
///
/// Three operations a coefficient and point, eight points at a time. The order of the operations
/// is part of the error analysis in [`certificate`](super::certificate).
pub(super) fn chebyshev_sums(coefficients: &[f64], xs: &[f64], sums: &mut Vec<f64>) {
    const LANES: usize = 8;
    sums.clear();
    sums.reserve(xs.len() + LANES);
    let Some((first, rest)) = coefficients.split_first() else {
        sums.resize(xs.len(), 0.0);
        return;
    };
    for chunk in xs.chunks(LANES) {
        let mut x = [0.0; LANES];
        x[..chunk.len()].copy_from_slice(chunk);
        let twice = x.map(|x| 2.0 * x);
        let (mut near, mut far) = ([0.0; LANES], [0.0; LANES]);
        for &c in rest.iter().rev() {
            for lane in 0..LANES {
                let next = twice[lane] * near[lane] + (c - far[lane]);
                far[lane] = near[lane];
                near[lane] = next;
            }
        }
        sums.extend((0..LANES).map(|lane| x[lane] * near[lane] + (first - far[lane])));
    }
    sums.truncate(xs.len());
}

/// cos(j pi / (2 n)) for j = 0..4 n.
pub(super) fn quarter_cosines(n: usize) -> Vec<f64> {
    (0..4 * n).map(|j| (PI * j as f64 / (2 * n) as f64).cos()).collect()
}

/// The n Chebyshev points of the first kind cos((2 j + 1) pi / (2 n)).
pub(super) fn nodes(cosines: &[f64]) -> Vec<f64> {
    (0..cosines.len() / 4).map(|j| cosines[2 * j + 1]).collect()
}

/// The first `count` Chebyshev coefficients of the polynomial of degree n - 1 through `values` at
/// the [`nodes`]: c_k = 2/n sum over j of f_j cos(k (2 j + 1) pi / (2 n)), half of it for k = 0.
///
/// Time: n `count`.
pub(super) fn from_values(values: &[f64], cosines: &[f64], count: usize) -> Vec<f64> {
    let n = values.len();
    (0..count.min(n))
        .map(|k| {
            // The angle k (2 j + 1), modulo 4 n, in steps of 2 k.
            let (mut angle, mut sum) = (k, 0.0);
            for value in values {
                sum += value * cosines[angle];
                angle += 2 * k;
                if angle >= 4 * n {
                    angle -= 4 * n;
                }
            }
            sum * if k == 0 { 1.0 } else { 2.0 } / n as f64
        })
        .collect()
}

/// Adds the first Chebyshev coefficients of jump max(t - kink, 0) on [-1, 1].
///
/// With kink = cos a: c_0 = (sin a - a cos a) / pi, c_1 = (a - sin a cos a) / pi and c_k =
/// (sin((k - 1) a) / (k (k - 1)) - sin((k + 1) a) / (k (k + 1))) / pi, from integrating
/// (cos x - cos a) cos(k x) over 0 <= x <= a.
pub(super) fn add_kink(coefficients: &mut [f64], kink: f64, jump: f64) {
    let a = kink.clamp(-1.0, 1.0).acos();
    for (k, c) in coefficients.iter_mut().enumerate() {
        let n = k as f64;
        *c += jump / PI
            * match k {
                0 => a.sin() - a * a.cos(),
                1 => a - a.sin() * a.cos(),
                _ => {
                    ((n - 1.0) * a).sin() / (n * (n - 1.0))
                        - ((n + 1.0) * a).sin() / (n * (n + 1.0))
                }
            };
    }
}

/// Jackson's factors for degree n, which make the truncated series a positive kernel:
/// ((N - k) cos(k pi / N) + sin(k pi / N) cot(pi / N)) / N with N = n + 2
/// (Jackson 1911; in this form: Weisse et al., Reviews of Modern Physics 78, 2006).
pub(super) fn jackson(degree: usize) -> impl Iterator<Item = f64> {
    let n = (degree + 2) as f64;
    (0..=degree).map(move |k| {
        let (k, step) = (k as f64, PI / n);
        ((n - k) * (k * step).cos() + (k * step).sin() / step.tan()) / n
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(coefficients: &[f64], x: f64) -> f64 {
        let terms = coefficients.iter().enumerate();
        terms.map(|(k, c)| c * (k as f64 * x.acos()).cos()).sum()
    }

    proptest! {
        #[test]
        fn sums_and_transforms_agree_with_their_definitions(
            coefficients in prop::collection::vec(-1.0..1.0f64, 1..40),
            xs in prop::collection::vec(-1.0..=1.0f64, 0..20),
        ) {
            let mut sums = vec![7.0; 3];
            chebyshev_sums(&coefficients, &xs, &mut sums);
            prop_assert_eq!(sums.len(), xs.len());
            for (got, x) in sums.iter().zip(&xs) {
                prop_assert!((got - sum(&coefficients, *x)).abs() < 1e-11);
            }
            let cosines = quarter_cosines(coefficients.len());
            let values: Vec<f64> =
                nodes(&cosines).into_iter().map(|x| sum(&coefficients, x)).collect();
            let back = from_values(&values, &cosines, values.len());
            for (a, b) in coefficients.iter().zip(&back) {
                prop_assert!((a - b).abs() < 1e-11);
            }
        }

        #[test]
        fn the_series_of_a_kink_is_the_limit_of_interpolants(
            kink in -1.2..1.2f64,
            jump in -2.0..2.0f64,
        ) {
            let cosines = quarter_cosines(20_000);
            let values: Vec<f64> =
                nodes(&cosines).into_iter().map(|x| jump * (x - kink).max(0.0)).collect();
            let many = from_values(&values, &cosines, 30);
            let mut coefficients = vec![0.0; 30];
            add_kink(&mut coefficients, kink, jump);
            if kink < -1.0 {
                // The caller adds kinks inside the interval only; this is the line to the right.
                coefficients[0] -= jump * (1.0 + kink);
            }
            for (a, b) in coefficients.iter().zip(&many) {
                prop_assert!((a - b).abs() < 1e-7, "{a} {b}");
            }
        }
    }

    #[test]
    fn jackson_factors_fall_from_one() {
        for degree in [0, 1, 2, 10, 100] {
            let factors: Vec<f64> = jackson(degree).collect();
            assert_eq!(factors.len(), degree + 1);
            assert!((factors[0] - 1.0).abs() < 1e-12);
            assert!(factors.windows(2).all(|pair| pair[0] > pair[1] && pair[1] >= 0.0));
        }
        // For degree n the kernel 1 + 2 sum g_k cos(k x) is not negative.
        let factors: Vec<f64> = jackson(12).collect();
        for i in 0..1000 {
            let x = f64::from(i) * PI / 1000.0;
            let tail: f64 = (1..=12).map(|k| factors[k] * (k as f64 * x).cos()).sum();
            assert!(1.0 + 2.0 * tail > -1e-12);
        }
    }
}
