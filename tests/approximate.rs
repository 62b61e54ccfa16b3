//! Polynomials for activations: errors against known best ones, against exact arithmetic, and
//! against proven lower bounds.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use proptest::prelude::*;
use slnn::approximate::{Fit, Method, bands, certify, fit, slope_range, value_range};
use slnn::network::activation::Activation;
use slnn::numeric::Dyadic;
use slnn::numeric::interval::Enclosure;
use slnn::numeric::outward::Interval;

/// The unit roundoff.
const U: f64 = f64::EPSILON / 2.0;

const METHODS: [Method; 4] =
    [Method::Minimax, Method::Interpolation, Method::Chebyshev, Method::Jackson];

fn exact(x: f64) -> BigRational {
    BigRational::from_float(x).unwrap()
}

/// The activations with their default parameters, and with unusual ones.
fn activations() -> Vec<Activation> {
    let mut all = Activation::ALL.to_vec();
    all.extend([
        Activation::LeakyRelu { slope: -0.3 },
        Activation::LeakyRelu { slope: 2.5 },
        Activation::LeakyRelu { slope: 1.0 },
        Activation::Elu { alpha: 1.7 },
        Activation::Elu { alpha: -0.6 },
        Activation::Elu { alpha: 0.0 },
    ]);
    all
}

fn activation() -> impl Strategy<Value = Activation> {
    proptest::sample::select(activations())
}

/// Intervals with half-widths from 0.01 to 16 and centres up to 16: symmetric, nearly symmetric,
/// beginning at a kink, or anywhere.
fn interval() -> impl Strategy<Value = Interval> {
    let half = (0.0..1.0f64).prop_map(|x| 0.01 * 1600f64.powf(x));
    let centre = prop_oneof![
        1 => Just(0.0),
        1 => -1e-6..1e-6f64,
        4 => -16.0..16.0f64,
    ];
    let kind = prop_oneof![3 => Just(0), 1 => Just(1), 1 => Just(2)];
    (half, centre, kind).prop_map(|(half, centre, kind)| match kind {
        0 => Interval::new(centre - half, centre + half),
        1 => Interval::new(centre.round(), centre.round() + half),
        _ => Interval::new(centre.round() - half, centre.round()),
    })
}

/// A number of the interval.
fn inside(interval: Interval, share: f64) -> f64 {
    (interval.lower + share * (interval.upper - interval.lower))
        .clamp(interval.lower, interval.upper)
}

/// sum_k c_k T_k((z - centre) scale), exactly.
fn value(fit: &Fit, z: f64) -> BigRational {
    let dyadic = |x: f64| Dyadic::from_f64(x).unwrap();
    let t = &(&dyadic(z) - &dyadic(fit.centre)) * &dyadic(fit.scale);
    let twice = &t * &Dyadic::from(2);
    let (mut near, mut far) = (Dyadic::zero(), Dyadic::zero());
    for c in fit.coefficients[1..].iter().rev() {
        let next = &(&dyadic(*c) + &(&twice * &near)) - &far;
        far = std::mem::replace(&mut near, next);
    }
    (&(&dyadic(fit.coefficients[0]) + &(&t * &near)) - &far).to_rational()
}

/// Whether |p(z) - s(z)| <= error can be true: it is false for some value in the enclosure of s(z)
/// only if it is false.
fn holds(fit: &Fit, activation: Activation, z: f64) -> bool {
    let p = value(fit, z);
    // 60 bits beyond the error.
    let bits = 60 - fit.error.max(1e-300).log2().floor() as i32;
    let s = activation.enclose(&Enclosure::point(exact(z)), bits.clamp(60, 1400) as u32);
    let error = exact(fit.error);
    &p - s.upper() <= error && s.lower() - &p <= error
}

/// 4 u max |s|, as far as rounded coefficients excuse a larger error.
fn excuse(activation: Activation, interval: Interval) -> f64 {
    4.0 * U * value_range(activation, interval).magnitude()
}

fn minimax(activation: Activation, lower: f64, upper: f64, degree: usize) -> Fit {
    fit(activation, Interval::new(lower, upper), degree, Method::Minimax).unwrap()
}

#[test]
fn the_best_errors_are_those_of_the_table() {
    // Half-width; degree and error. The last digit of the errors is rounded.
    type Row = (Activation, f64, &'static [(usize, &'static str)]);
    let rows: [Row; 7] = [
        (
            Activation::Tanh,
            1.0,
            &[
                (3, "4.55e-3"),
                (5, "3.85e-4"),
                (7, "3.27e-5"),
                (9, "2.77e-6"),
                (13, "2.00e-8"),
                (19, "1.22e-11"),
            ],
        ),
        (
            Activation::Tanh,
            2.0,
            &[
                (3, "4.55e-2"),
                (5, "1.07e-2"),
                (7, "2.53e-3"),
                (9, "5.97e-4"),
                (13, "3.34e-5"),
                (19, "4.41e-7"),
            ],
        ),
        (Activation::Tanh, 4.0, &[(5, "8.17e-2"), (9, "1.75e-2"), (13, "3.78e-3"), (17, "8.2e-4")]),
        (
            Activation::Softplus,
            2.0,
            &[(2, "7.37e-3"), (4, "4.10e-4"), (6, "2.61e-5"), (8, "1.77e-6"), (14, "6.76e-10")],
        ),
        (
            Activation::Silu,
            4.0,
            &[(4, "3.48e-2"), (8, "1.93e-3"), (12, "1.08e-4"), (14, "2.55e-5")],
        ),
        (
            Activation::Gelu,
            4.0,
            &[(4, "8.54e-2"), (8, "9.79e-3"), (12, "7.2e-4"), (16, "3.45e-5"), (20, "1.1e-6")],
        ),
        (
            Activation::Abs,
            1.0,
            &[
                (2, ".12500e0"),
                (4, ".06762e0"),
                (8, ".03469e0"),
                (12, ".02325e0"),
                (16, ".01747e0"),
                (20, ".01399e0"),
            ],
        ),
    ];
    for (activation, r, entries) in rows {
        for &(degree, listed) in entries {
            let fit = minimax(activation, -r, r, degree);
            let (digits, power) = listed.split_once('e').unwrap();
            let places = digits.split_once('.').unwrap().1.len() as i32;
            let half = 0.5 * 10f64.powi(power.parse::<i32>().unwrap() - places);
            let listed: f64 = listed.parse().unwrap();
            let about = format!("{activation:?} degree {degree}: {} for {listed}", fit.error);
            assert!(fit.error >= (listed - half) * (1.0 - 1e-12), "{about}");
            let allowed = 1.001 * (listed + half) + excuse(activation, fit.interval);
            assert!(fit.error <= allowed, "{about}");
            assert!(fit.lower_bound <= (listed + half) * (1.0 + 1e-12), "{about}");
            assert!(fit.degree() <= degree && !fit.at_floor, "{about}");
            // The sigmoid on 2 r is tanh on r, halved.
            if activation == Activation::Tanh {
                let sigmoid = minimax(Activation::Sigmoid, -2.0 * r, 2.0 * r, degree);
                assert!((2.0 * sigmoid.error / fit.error - 1.0).abs() < 1e-3, "{about}");
            }
            // ReLU = (z + |z|) / 2.
            if activation == Activation::Abs {
                let relu = minimax(Activation::Relu, -3.0, 3.0, degree);
                assert!((relu.error / (1.5 * fit.error) - 1.0).abs() < 1e-3, "{about}");
            }
        }
    }
}

#[test]
fn relu_follows_bernsteins_constant() {
    // E_n of |x| on [-1, 1] is about 0.28017 / n.
    let fit = minimax(Activation::Relu, -1.0, 1.0, 200);
    assert!((fit.error * 200.0 / 0.140_085 - 1.0).abs() < 1e-3, "{}", fit.error);
    assert!(fit.error <= 1.001 * fit.lower_bound);
}

#[test]
fn two_peaks_beside_a_kink_are_told_apart() {
    let fit = minimax(Activation::HardTanh, -14.933_321_302_330_878, 8.727_630_056_506_843, 55);
    assert!(fit.error <= 1.0002 * fit.lower_bound, "{} {}", fit.error, fit.lower_bound);
}

#[test]
fn one_side_of_a_kink_is_exact() {
    let cases = [
        (Activation::Relu, 0.1, 3.0, 1.0),
        (Activation::Relu, 0.0, 1e-9, 1.0),
        (Activation::Relu, -3.0, 0.0, 0.0),
        (Activation::Relu, -7.0, -0.1, 0.0),
        (Activation::LeakyRelu { slope: 0.01 }, -5.3, -0.7, 0.01),
        (Activation::LeakyRelu { slope: 0.01 }, 0.3, 0.7, 1.0),
        (Activation::LeakyRelu { slope: 1.0 }, -0.3, 0.7, 1.0),
        (Activation::Abs, -1e9, -1.0, -1.0),
        (Activation::Abs, 1.0, 1e100, 1.0),
        (Activation::HardTanh, 1.0, 5.0, 0.0),
        (Activation::HardTanh, -5.0, -1.5, 0.0),
        (Activation::HardTanh, -1.0, 1.0, 1.0),
        (Activation::Elu { alpha: 1.7 }, 0.0, 4.0, 1.0),
        (Activation::Identity, -1e-300, 1e-300, 1.0),
        (Activation::Identity, -1e150, 1e150, 1.0),
    ];
    for (activation, lower, upper, slope) in cases {
        for (degree, method) in [(1, Method::Minimax), (7, Method::Jackson), (64, Method::Minimax)]
        {
            let fit = fit(activation, Interval::new(lower, upper), degree, method).unwrap();
            assert_eq!(fit.error, 0.0, "{activation:?} on [{lower}, {upper}]");
            assert_eq!(fit.degree(), usize::from(slope != 0.0));
            assert!(fit.at_floor);
            for z in [lower, inside(fit.interval, 0.37), upper] {
                let s = activation.enclose(&Enclosure::point(exact(z)), 2000);
                assert_eq!(value(&fit, z), *s.lower());
            }
        }
    }
    // A constant is not enough for a line; the best one is its middle.
    let fit = minimax(Activation::Relu, 1.0, 3.0, 0);
    assert_eq!((fit.coefficients.clone(), fit.error), (vec![2.0], 1.0));
}

#[test]
fn saturated_activations_are_lines() {
    let fit = minimax(Activation::Sigmoid, 50.0, 60.0, 9);
    assert_eq!((fit.degree(), fit.coefficients[0]), (0, 1.0));
    assert!(0.0 < fit.error && fit.error < 1e-18);
    let fit = minimax(Activation::Gelu, 20.0, 30.0, 9);
    assert_eq!(fit.degree(), 1);
    assert!(fit.error < 1e-18 && holds(&fit, Activation::Gelu, 20.0));
}

#[test]
fn a_point_has_the_rounded_value() {
    for activation in activations() {
        for z in [0.0, -0.0, 0.7, -1.278_464, 14.9, -30.0, 1e10, -1e150] {
            let fit = fit(activation, Interval::point(z), 5, Method::Minimax).unwrap();
            assert_eq!(fit.coefficients, [activation.value(z)]);
            assert!(holds(&fit, activation, z), "{activation:?} at {z}: {}", fit.error);
            assert!(fit.error <= 4.0 * f64::EPSILON * activation.value(z).abs() + 1e-300);
            let error = certify(activation, Interval::point(z), z, 1.0, &fit.coefficients).unwrap();
            assert!(holds(&Fit { error, ..fit }, activation, z), "{activation:?} at {z}: {error}");
        }
    }
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let good = Interval::new(-1.0, 1.0);
    let refused = |activation, interval, degree| {
        fit(activation, interval, degree, Method::Minimax).unwrap_err().to_string()
    };
    for (lower, upper) in [
        (f64::NAN, 1.0),
        (0.0, f64::NAN),
        (1.0, -1.0),
        (0.0, f64::INFINITY),
        (f64::NEG_INFINITY, 0.0),
        (-1e200, 0.0),
    ] {
        let message = refused(Activation::Tanh, Interval::new(lower, upper), 3);
        assert!(message.starts_with("interval: found ["), "{message}");
        assert!(certify(Activation::Tanh, Interval::new(lower, upper), 0.0, 1.0, &[0.0]).is_err());
    }
    let message = refused(Activation::Tanh, good, 1001);
    assert_eq!(message, "degree: found 1001, expected at most 1000");
    let message = refused(Activation::Elu { alpha: f64::NAN }, good, 3);
    assert_eq!(message, "alpha: found NaN, expected a finite number");
    let message = refused(Activation::Elu { alpha: -1e40 }, good, 3);
    assert_eq!(message, "alpha: found -1e40, expected at most 2^64 in size");
    let huge = Activation::LeakyRelu { slope: -1e300 };
    let message = refused(huge, Interval::new(-1e100, 1e100), 3);
    assert!(message.contains("overflow"), "{message}");

    let certified = |centre, scale, coefficients: &[f64]| {
        certify(Activation::Tanh, good, centre, scale, coefficients)
    };
    assert!(certified(0.0, 1.0, &[]).is_err());
    assert!(certified(0.0, 1.0, &[0.0; 1002]).is_err());
    assert!(certified(0.0, 1.0, &[0.0, f64::NAN]).is_err());
    assert!(certified(0.0, 1.0_f64.next_up(), &[0.0]).is_err());
    assert!(certified(1e-300, 1.0, &[0.0]).is_err());
    assert!(certified(f64::NAN, 1.0, &[0.0]).is_err());
    assert!(certified(0.0, 0.0, &[0.0]).is_err());
    let error = certified(0.0, -1.0, &[0.0, -1.0]).unwrap();
    // z - tanh z at 1.
    assert!(0.238_405 < error && error < 0.2385);
    let error = certified(0.0, 1.0, &[1e300]).unwrap();
    assert!(1e300 < error && error < 1.001e300);
}

#[test]
fn unusual_intervals_are_served() {
    for activation in activations() {
        for (lower, upper) in [
            (-5e-324, 5e-324),
            (0.0, 1e-310),
            (1.0, 1.0_f64.next_up()),
            (-1.0_f64.next_up(), -1.0),
            (-1e-12, 1.0),
            (-1.0, 1e-15),
            (1e15, 1e15 + 1.0),
            (-1e140, 1e150),
            (-3e6, 1e7),
            (-700.0, -690.0),
            (3000.0, 3060.0),
            (-600.0, 300.0),
        ] {
            for (degree, method) in [(0, 0), (1, 0), (6, 0), (6, 1), (6, 2), (6, 3), (30, 0)] {
                let interval = Interval::new(lower, upper);
                let fit = fit(activation, interval, degree, METHODS[method]).unwrap();
                let about =
                    format!("{activation:?} on [{lower}, {upper}], degree {degree}: {fit:?}");
                assert!(fit.degree() <= degree && fit.lower_bound <= fit.error, "{about}");
                for share in [0.0, 0.123, 0.5, 0.777, 1.0] {
                    assert!(holds(&fit, activation, inside(interval, share)), "{about}");
                }
                // No worse than the best constant, but for the methods that do not promise it.
                let range = value_range(activation, interval);
                let flat = 0.51 * (range.upper - range.lower) + 4.0 * U * range.magnitude();
                assert!(method > 0 || fit.error <= flat + 1e-27, "{about} {flat}");
            }
        }
    }
}

#[test]
fn a_sine_that_turns_too_often_is_left_alone() {
    let fit = minimax(Activation::Sin, -1e4, 1e5, 40);
    assert_eq!((fit.error, fit.lower_bound, fit.degree()), (1.0, 1.0, 0));
}

#[test]
fn fits_do_not_depend_on_what_ran_before() {
    let all = |order: &[usize]| {
        let mut fits: Vec<(usize, Fit)> = order
            .iter()
            .map(|&i| {
                let activation = activations()[i % activations().len()];
                let centre = i as f64 / 7.0 - 3.0;
                (i, minimax(activation, centre - 2.5, centre + 2.5, 5 + i % 20))
            })
            .collect();
        fits.sort_by_key(|(i, _)| *i);
        fits
    };
    let forward: Vec<usize> = (0..60).collect();
    let backward: Vec<usize> = (0..60).rev().collect();
    let expected = all(&forward);
    let threads: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..3).map(|_| scope.spawn(|| all(&backward))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for fits in threads {
        assert_eq!(fits, expected);
    }
}

#[test]
fn the_error_falls_with_the_degree() {
    for activation in activations() {
        for interval in [Interval::new(-1.3, 4.0), Interval::new(-2.0, 2.0)] {
            let excuse = excuse(activation, interval);
            let mut before = f64::INFINITY;
            for degree in 0..34 {
                let fit = fit(activation, interval, degree, Method::Minimax).unwrap();
                let about = format!("{activation:?} degree {degree}");
                assert!(fit.error <= 1.001 * before + excuse, "{about}");
                assert!(fit.error <= 1.001 * fit.lower_bound + excuse, "{about}");
                before = fit.error;
            }
        }
    }
}

/// max |q| over [0, 1] for q in Bernstein form, exactly to within a factor 1 + 2^-12: the
/// coefficients bound q, and at the ends they are values of it.
fn largest(bernstein: &[BigRational]) -> (BigRational, BigRational) {
    let mut found = BigRational::zero();
    let mut open = vec![bernstein.to_vec()];
    let mut upper = BigRational::zero();
    let slack = BigRational::new(4097.into(), 4096.into());
    while let Some(part) = open.pop() {
        for end in [part.first(), part.last()].into_iter().flatten() {
            found = found.max(end.abs());
        }
        let bound = part.iter().map(|c| c.abs()).max().unwrap();
        if bound <= &found * &slack {
            upper = upper.max(bound);
            continue;
        }
        // De Casteljau at 1/2.
        let (mut left, mut right, mut row) = (Vec::new(), Vec::new(), part);
        while !row.is_empty() {
            left.push(row[0].clone());
            right.push(row[row.len() - 1].clone());
            row = row.windows(2).map(|pair| (&pair[0] + &pair[1]) / BigInt::from(2)).collect();
        }
        right.reverse();
        open.push(left);
        open.push(right);
    }
    (found, upper)
}

/// The Bernstein coefficients on [lower, upper] of the fit minus the activation, linear there.
fn difference(
    fit: &Fit,
    activation: Activation,
    lower: &BigRational,
    upper: &BigRational,
) -> Vec<BigRational> {
    let n = fit.degree().max(1);
    // Monomial coefficients in x with z = lower + x (upper - lower): Newton's form on n + 1 nodes
    // would do as well; here the Chebyshev recurrence on polynomials.
    let add = |a: &[BigRational], b: &[BigRational], factor: &BigRational| -> Vec<BigRational> {
        (0..a.len().max(b.len()))
            .map(|i| {
                let zero = BigRational::zero();
                a.get(i).unwrap_or(&zero) + b.get(i).unwrap_or(&zero) * factor
            })
            .collect()
    };
    let one = BigRational::one();
    let (centre, scale) = (exact(fit.centre), exact(fit.scale));
    let t = [(lower - centre) * &scale, (upper - lower) * &scale];
    let times_t = |a: &[BigRational]| {
        let shifted: Vec<_> =
            std::iter::once(BigRational::zero()).chain(a.iter().map(|c| c * &t[1])).collect();
        add(&shifted, a, &t[0])
    };
    let (mut near, mut far) = (t.to_vec(), vec![one.clone()]);
    let mut sum = vec![exact(fit.coefficients[0])];
    for c in &fit.coefficients[1..] {
        sum = add(&sum, &near, &exact(*c));
        let twice: Vec<_> = times_t(&near).iter().map(|c| c * BigInt::from(2)).collect();
        let next = add(&twice, &far, &-one.clone());
        far = std::mem::replace(&mut near, next);
    }
    let (start, end) = (activation.exact(lower).unwrap(), activation.exact(upper).unwrap());
    sum = add(&sum, &[start.clone(), end - start], &-one);
    // b_j = sum over i <= j of binomial(j, i) / binomial(n, i) a_i.
    let binomial = |n: usize, k: usize| {
        (0..k).fold(BigRational::one(), |b, i| b * BigInt::from(n - i) / BigInt::from(i + 1))
    };
    (0..=n)
        .map(|j| {
            (0..=j.min(sum.len() - 1)).map(|i| binomial(j, i) / binomial(n, i) * &sum[i]).sum()
        })
        .collect()
}

/// The error of a piecewise-linear activation, bracketed in exact arithmetic.
fn exact_error(fit: &Fit, activation: Activation) -> (BigRational, BigRational) {
    let mut places = vec![exact(fit.interval.lower), exact(fit.interval.upper)];
    places.extend(
        activation
            .kinks()
            .iter()
            .filter(|&&z| fit.interval.lower < z && z < fit.interval.upper)
            .map(|&z| exact(z)),
    );
    places.sort();
    places
        .windows(2)
        .map(|pair| largest(&difference(fit, activation, &pair[0], &pair[1])))
        .reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Against exact Bernstein coefficients with subdivision.
    #[test]
    fn piecewise_linear_errors_are_exact_to_a_ten_thousandth(
        activation in proptest::sample::select(vec![
            Activation::Relu,
            Activation::Abs,
            Activation::HardTanh,
            Activation::LeakyRelu { slope: -0.3 },
        ]),
        // Kinks near the ends as well.
        lower in prop_oneof![-3.0..-0.01f64, -1e-3..-1e-9f64],
        upper in prop_oneof![0.01..3.0f64, 1e-9..1e-3f64],
        degree in 2..10usize,
        method in 0..4usize,
    ) {
        let fit = fit(activation, Interval::new(lower, upper), degree, METHODS[method]).unwrap();
        let (least, most) = exact_error(&fit, activation);
        let error = exact(fit.error);
        prop_assert!(error >= least);
        // 2^-12 of the oracle, 5e-5 of the grid, 1e-4 of the arithmetic.
        let excuse = exact(excuse(activation, fit.interval));
        prop_assert!(error <= most * exact(1.0005) + excuse);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Every fit against exact values at random places, and against its own lower bound.
    #[test]
    fn errors_are_proven_and_nearly_the_least(
        activation in activation(),
        interval in interval(),
        degree in 0..65usize,
        shares in prop::collection::vec(0.0..=1.0f64, 6),
    ) {
        let fit = fit(activation, interval, degree, Method::Minimax).unwrap();
        prop_assert!(fit.degree() <= degree);
        prop_assert!(fit.lower_bound <= fit.error);
        let excuse = excuse(activation, interval);
        let allowed = 1.001 * fit.lower_bound + excuse;
        prop_assert!(fit.error <= allowed, "{} above {}", fit.error, allowed);
        for share in shares.into_iter().chain([0.0, 1.0]) {
            prop_assert!(holds(&fit, activation, inside(interval, share)));
        }
        for &kink in activation.kinks() {
            if interval.contains(kink) {
                prop_assert!(holds(&fit, activation, kink));
            }
        }
        // `certify` starts from other guesses.
        let again =
            certify(activation, interval, fit.centre, fit.scale, &fit.coefficients).unwrap();
        prop_assert!(again <= 1.001 * fit.error + excuse && fit.error <= 1.001 * again + excuse);
    }

    /// Certified errors of perturbed coefficients, down to the last bit, hold at the worst places
    /// found.
    #[test]
    fn perturbed_polynomials_are_certified(
        activation in activation(),
        interval in interval(),
        degree in 0..20usize,
        method in 0..4usize,
        at in any::<prop::sample::Index>(),
        size in -17.0..0.0f64,
        up in any::<bool>(),
    ) {
        let mut fit = fit(activation, interval, degree, METHODS[method]).unwrap();
        let k = at.index(fit.coefficients.len());
        let by = 10f64.powf(size) * (fit.coefficients[k].abs() + 1e-3);
        fit.coefficients[k] += if up { by } else { -by };
        fit.error =
            certify(activation, interval, fit.centre, fit.scale, &fit.coefficients).unwrap();
        // The largest error at 200 points and the kinks, in f64, then exactly.
        let p = |z: f64| {
            let t = (z - fit.centre) * fit.scale;
            let (mut near, mut far) = (0.0, 0.0);
            for c in fit.coefficients[1..].iter().rev() {
                (near, far) = (c + 2.0 * t * near - far, near);
            }
            fit.coefficients[0] + t * near - far
        };
        let worst = (0..=200)
            .map(|i| inside(interval, f64::from(i) / 200.0))
            .chain(activation.kinks().iter().copied().filter(|z| interval.contains(*z)))
            .max_by(|a, b| {
                let error = |z: f64| (p(z) - activation.value(z)).abs();
                error(*a).total_cmp(&error(*b))
            })
            .unwrap();
        prop_assert!(holds(&fit, activation, worst));
        let found = (p(worst) - activation.value(worst)).abs();
        // The certificate is no more than these points can miss, and rounding.
        prop_assert!(
            fit.error <= 1.3 * found + 100.0 * excuse(activation, interval),
            "{} for {}", fit.error, found
        );
    }

    /// Every method is certified; the minimax polynomial is the best of all.
    #[test]
    fn all_methods_are_proven(
        activation in activation(),
        interval in interval(),
        degree in 0..40usize,
        shares in prop::collection::vec(0.0..=1.0f64, 4),
    ) {
        let best = fit(activation, interval, degree, Method::Minimax).unwrap();
        for method in METHODS {
            let fit = fit(activation, interval, degree, method).unwrap();
            prop_assert!(fit.degree() <= degree);
            let allowed = 1.001 * fit.error + excuse(activation, interval);
            prop_assert!(best.error <= allowed, "{method:?}: {} {}", best.error, fit.error);
            for &share in &shares {
                prop_assert!(holds(&fit, activation, inside(interval, share)), "{method:?}");
            }
        }
    }

    /// The degree is a ceiling: a larger one does not make the error larger, but for a part of a
    /// rounding.
    #[test]
    fn more_degree_costs_nothing(
        activation in activation(),
        interval in interval(),
        degree in 0..60usize,
        more in 1..20usize,
    ) {
        let low = fit(activation, interval, degree, Method::Minimax).unwrap();
        let high = fit(activation, interval, degree + more, Method::Minimax).unwrap();
        prop_assert!(
            high.error <= 1.003 * low.error + excuse(activation, interval) / 40.0,
            "{} after {}", high.error, low.error
        );
    }

    /// The kink anywhere, at any degree: only its place in the interval matters.
    #[test]
    fn relu_scales(t in -0.999..0.999f64, exponent in -20..20i32, degree in 1..40usize) {
        let size = 2f64.powi(exponent);
        let unit = minimax(Activation::Relu, -1.0 - t, 1.0 - t, degree);
        let scaled = minimax(Activation::Relu, (-1.0 - t) * size, (1.0 - t) * size, degree);
        prop_assert!((scaled.error / (unit.error * size) - 1.0).abs() < 1e-3);
        let mirrored = minimax(Activation::Relu, -1.0 + t, 1.0 + t, degree);
        prop_assert!((mirrored.error / unit.error - 1.0).abs() < 1e-3);
    }

    #[test]
    fn values_are_enclosed(
        activation in activation(),
        interval in prop_oneof![interval(), (-1e6..1e6f64, 0.0..1e3f64)
            .prop_map(|(lower, width)| Interval::new(lower, lower + width))],
        shares in prop::collection::vec(0.0..=1.0f64, 20),
    ) {
        let range = value_range(activation, interval);
        let mut found = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
        let places = shares.into_iter().map(|share| inside(interval, share));
        let ends = [interval.lower, interval.upper];
        for z in places.chain(ends).chain(activation.kinks().iter().copied()) {
            if interval.contains(z) {
                let bits = 1200;
                let s = activation.enclose(&Enclosure::point(exact(z)), bits);
                prop_assert!(exact(range.lower) <= *s.upper() && *s.lower() <= exact(range.upper));
                found = found.hull(&Interval::point(activation.value(z)));
            }
        }
        // Tight, where no extreme is missed: the ends are values, but for minima and the sine.
        let turns = matches!(activation, Activation::Sin | Activation::Silu | Activation::Gelu);
        let slack = |x: f64| 8.0 * f64::EPSILON * x.abs() + 1e-300;
        if !turns {
            prop_assert!(found.lower - range.lower <= slack(range.lower));
            prop_assert!(range.upper - found.upper <= slack(range.upper));
        }
        let wider = Interval::new(interval.lower - 0.1, interval.upper + 0.1);
        let wider = value_range(activation, wider);
        prop_assert!(wider.lower <= range.lower + slack(range.lower));
        prop_assert!(range.upper <= wider.upper + slack(range.upper));
    }

    #[test]
    fn slopes_are_enclosed(
        activation in activation(),
        interval in interval(),
        shares in prop::collection::vec(0.0..=1.0f64, 12),
    ) {
        let slopes = slope_range(activation, interval);
        let places: Vec<f64> = shares.iter().map(|&share| inside(interval, share)).collect();
        let mut found = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
        for pair in places.windows(2) {
            if pair[0] == pair[1] {
                continue;
            }
            // A chord, exactly enclosed.
            let [u, v] = [exact(pair[0]), exact(pair[1])];
            let rise = activation
                .enclose(&Enclosure::point(u.clone()), 1300)
                .sub(&activation.enclose(&Enclosure::point(v.clone()), 1300));
            let chord = rise.scale(&(u - v).recip());
            prop_assert!(exact(slopes.lower) <= *chord.upper());
            prop_assert!(*chord.lower() <= exact(slopes.upper));
        }
        for i in 0..=2000 {
            let z = inside(interval, f64::from(i) / 2000.0);
            found = found.hull(&Interval::point(activation.derivative(z)));
        }
        // Within what 2,000 steps miss: |s''| <= 1 for the smooth, and kinks have two slopes.
        if activation.kinks().is_empty() {
            let step = interval.width() / 4000.0;
            prop_assert!(found.lower - slopes.lower <= step * step + 1e-15);
            prop_assert!(slopes.upper - found.upper <= step * step + 1e-15);
        }
        prop_assert!(slopes.magnitude() <= activation.lipschitz());
    }
}

#[test]
fn ranges_at_known_places() {
    let point = Interval::point;
    let range = |activation, lower, upper| value_range(activation, Interval::new(lower, upper));
    let slopes = |activation, lower, upper| slope_range(activation, Interval::new(lower, upper));
    assert_eq!(range(Activation::Relu, -1.0, 2.0), Interval::new(0.0, 2.0));
    assert_eq!(range(Activation::Abs, -1.5, 1.0), Interval::new(0.0, 1.5));
    assert_eq!(range(Activation::HardTanh, -3.0, 0.5), Interval::new(-1.0, 0.5));
    assert_eq!(range(Activation::Sin, 0.0, 7.5), Interval::new(-1.0, 1.0));
    assert_eq!(range(Activation::Sin, 1.0, 2.0).upper, 1.0);
    assert!(range(Activation::Sin, 1.0, 1.5).upper < 0.9975);
    assert_eq!(range(Activation::Sin, 4.0, 5.0).lower, -1.0);
    // The least values of SiLU and GELU.
    let low = range(Activation::Silu, -3.0, 1.0).lower;
    assert!((low + 0.278_464_542_761_073_8).abs() < 1e-16);
    let low = range(Activation::Gelu, -3.0, 1.0).lower;
    assert!((low + 0.169_971_207_479_903_66).abs() < 1e-16);

    assert_eq!(slopes(Activation::Relu, 0.0, 3.0), point(1.0));
    assert_eq!(slopes(Activation::Relu, -2.0, 0.0), point(0.0));
    assert_eq!(slopes(Activation::Relu, -2.0, 1e-300), Interval::new(0.0, 1.0));
    assert_eq!(slopes(Activation::Relu, 0.0, 0.0), Interval::new(0.0, 1.0));
    assert_eq!(slopes(Activation::Abs, -1.0, 1.0), Interval::new(-1.0, 1.0));
    assert_eq!(slopes(Activation::HardTanh, -0.5, 0.5), point(1.0));
    assert_eq!(slopes(Activation::HardTanh, -5.0, -1.0), point(0.0));
    assert_eq!(slopes(Activation::HardTanh, -1.0, -1.0), Interval::new(0.0, 1.0));
    assert_eq!(slopes(Activation::HardTanh, -5.0, 0.0), Interval::new(0.0, 1.0));
    let leaky = Activation::LeakyRelu { slope: -0.3 };
    assert_eq!(slopes(leaky, -1.0, 1.0), Interval::new(-0.3, 1.0));
    assert_eq!(slopes(Activation::Tanh, -1.0, 2.0).upper, 1.0);
    assert_eq!(slopes(Activation::Sigmoid, -1.0, 2.0).upper, 0.25);
    assert_eq!(slopes(Activation::Sin, -1.0, 2.0).upper, 1.0);
    assert_eq!(slopes(Activation::Sin, 3.0, 4.0).lower, -1.0);
    assert!(slopes(Activation::Sin, 1.0, 2.0).upper < 0.541);
    let silu = slopes(Activation::Silu, -9.0, 9.0);
    assert!((silu.upper - 1.099_839_320_128_867).abs() < 1e-15);
    assert!((silu.lower + 0.099_839_320_128_867).abs() < 1e-15);
    let gelu = slopes(Activation::Gelu, -9.0, 9.0);
    assert!((gelu.upper - 1.128_904_145_185_155).abs() < 1e-15);
    assert!((gelu.lower + 0.128_904_145_185_155).abs() < 1e-15);
    let gelu = slopes(Activation::Gelu, 0.0, 0.0);
    assert_eq!(gelu, point(0.5));
    let elu = slopes(Activation::Elu { alpha: 1.7 }, -1.0, 0.0);
    assert!((elu.upper - 1.7).abs() < 1e-15 && (elu.lower - 1.7 / 1f64.exp()).abs() < 1e-15);
    let elu = slopes(Activation::Elu { alpha: -0.6 }, -1.0, 1.0);
    assert!((elu.lower + 0.6).abs() < 1e-15 && elu.upper == 1.0);

    let whole = Interval::symmetric(f64::INFINITY);
    for activation in activations() {
        assert_eq!(value_range(activation, whole), whole);
        assert_eq!(slope_range(activation, whole).upper, activation.lipschitz());
    }
}

#[test]
fn bands_are_few_where_roundings_outweigh_the_tolerance() {
    let interval = Interval::new(3.0, 3.0000001);
    let fit = fit(Activation::Gelu, interval, 2, Method::Minimax).unwrap();
    for (fit, tolerance) in [(Some(&fit), fit.error / 8.0), (None, 1e-18)] {
        let made = bands(Activation::Gelu, interval, fit, tolerance).unwrap();
        assert!(made.parts().len() < 200, "{}", made.parts().len());
        let widest = made.parts().iter().map(|band| band.radius).fold(0.0, f64::max);
        assert!(widest <= 1e-7, "{widest}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Bands hold the function exactly, and one over any range does.
    #[test]
    fn bands_hold_the_function(
        k in 0..Activation::ALL.len(),
        centre in -6.0..6.0f64,
        half in 0.01..6.0f64,
        degree in 1usize..=16,
        share in 0.001..0.2f64,
        of_residual: bool,
        places in prop::collection::vec(0.0..=1.0f64, 12),
    ) {
        let activation = Activation::ALL[k];
        let interval = Interval::new(centre - half, centre + half);
        let fit = fit(activation, interval, degree, Method::Minimax).unwrap();
        let size = if of_residual { fit.error } else { interval.width() };
        let made = bands(activation, interval, of_residual.then_some(&fit), (share * size).max(1e-290));
        let made = made.unwrap();
        let parts = made.parts();
        prop_assert!(parts.windows(2).all(|pair| pair[0].upper == pair[1].lower));
        prop_assert_eq!((parts[0].lower, parts[parts.len() - 1].upper), (interval.lower, interval.upper));
        let at = |share: f64| interval.lower + share * (interval.upper - interval.lower);
        for ends in places.chunks(2) {
            let (left, right) = (at(ends[0].min(ends[1])), at(ends[0].max(ends[1])));
            let over = made.over(Interval::new(left, right));
            for k in 0..=10 {
                let z = (left + (right - left) * f64::from(k) / 10.0).clamp(left, right);
                // The function at z, enclosed.
                let s = value_range(activation, Interval::point(z));
                let f = if of_residual { residual_at(&fit, z, s) } else { s };
                let line = Interval::point(z).scaled(over.slope) + Interval::point(over.middle);
                let off = f - line;
                prop_assert!(off.lower.max(-off.upper) <= over.radius, "{off:?} at {z} of {over:?}");
            }
        }
    }
}

/// p(z) - s for s in an enclosure.
fn residual_at(fit: &Fit, z: f64, s: Interval) -> Interval {
    let t = (exact(z) - exact(fit.centre)) * exact(fit.scale);
    let (mut next, mut after) = (BigRational::zero(), BigRational::zero());
    for c in fit.coefficients[1..].iter().rev() {
        let now = exact(*c) + &t * &next * BigRational::from_integer(2.into()) - &after;
        after = std::mem::replace(&mut next, now);
    }
    let value = exact(fit.coefficients[0]) + &t * next - after;
    Interval::around(&Enclosure::point(value)) - s
}
