//! The part of low degree of deep networks: seconds of CPU on one thread, and the errors that are proven.
//!
//!     cargo bench --bench series -- [--exact]
//!
//! Networks with weights N(0, 1/fan-in) from seed 1 and degree-8 polynomials, fitted to tanh on [-4, 4]
//! or drawn for each neuron; the whole library call is timed. With --exact also exact coefficients.

use std::time::Instant;

use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use slnn::approximate::{Method, fit};
use slnn::expand::{Limits, Numbers, Part, expand_part, plan_part};
use slnn::network::{Activation, Affine, Basis, Family, Head, Input, Layer, Network, Slaf};
use slnn::numeric::outward::Interval;

fn network(inputs: usize, hidden: &[usize], degree: usize, fitted: bool) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let fit =
        fit(Activation::Tanh, Interval::new(-4.0, 4.0), degree, Method::Minimax).expect("a fit");
    let (mut layers, mut width) = (Vec::new(), inputs);
    let affine = |rows: usize, width: usize, rng: &mut ChaCha8Rng| {
        let normal = Normal::new(0.0, 1.0 / (width as f64).sqrt()).expect("a deviation");
        let weight = Array2::from_shape_simple_fn((rows, width), || normal.sample(rng));
        let bias = Array1::from_shape_simple_fn(rows, || normal.sample(rng));
        Layer::Affine(Affine::new(weight, bias).expect("a layer"))
    };
    for &neurons in hidden {
        layers.push(affine(neurons, width, &mut rng));
        let slaf = if fitted {
            let same = |x: f64| Array1::from_elem(neurons, x);
            let row =
                Array2::from_shape_fn((1, fit.coefficients.len()), |(_, k)| fit.coefficients[k]);
            let basis = Basis::Orthogonal {
                family: Family::Chebyshev,
                centre: same(fit.centre).into(),
                scale: same(fit.scale).into(),
            };
            Slaf::new(basis, row)
        } else {
            // Sizes as of the Taylor series of a smooth function.
            let normal = Normal::new(0.0, 1.0).expect("a deviation");
            let coefficients = Array2::from_shape_fn((neurons, degree + 1), |(_, k)| {
                normal.sample(&mut rng) / (1..=k).map(|k| k as f64).product::<f64>()
            });
            Slaf::new(Basis::Monomial, coefficients)
        };
        layers.push(Layer::Slaf(slaf.expect("a slaf")));
        width = neurons;
    }
    layers.push(affine(1, width, &mut rng));
    let inputs = (1..=inputs).map(|i| Input::named(format!("x{i}"))).collect();
    Network::new(inputs, vec!["y".into()], layers, Head::Identity).expect("a network")
}

/// Seconds that this thread has computed, where the system tells.
fn cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}

fn main() {
    let exact = std::env::args().any(|a| a == "--exact");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    println!(
        "case                              terms   planned s  CPU s    wall s   computed       largest error / largest coefficient"
    );
    let three = [100, 100, 100];
    for (name, inputs, hidden, degree, fitted, q) in [
        ("10 in, 3 x 100, tanh fit, Q = 4", 10, &three[..], 8, true, 4),
        ("10 in, 3 x 100, tanh fit, Q = 6", 10, &three, 8, true, 6),
        ("10 in, 3 x 100, tanh fit, Q = 8", 10, &three, 8, true, 8),
        ("10 in, 3 x 100, a neuron, Q = 6", 10, &three, 8, false, 6),
        ("10 in, 3 x 100, a neuron, Q = 8", 10, &three, 8, false, 8),
        ("30 in, 3 x 100, tanh fit, Q = 4", 30, &three, 8, true, 4),
        ("100 in, 2 x 64, tanh fit, Q = 3", 100, &[64, 64], 8, true, 3),
        ("2 in, 2 x 50, tanh fit, Q = 60", 2, &[50, 50], 8, true, 60),
        ("10 in, 3 x 100, tanh fit, Q = 9", 10, &three, 8, true, 9),
    ] {
        let network = network(inputs, hidden, degree, fitted);
        for numbers in [Numbers::Float, Numbers::Rational] {
            let small = q <= 6 && inputs == 10 && fitted;
            if numbers == Numbers::Rational && !(exact && small) {
                continue;
            }
            let part = Part { max_degree: q, centre: None, numbers };
            let planned = plan_part(&network, &part).expect("a plan");
            one.install(|| {
                let (started, before) = (Instant::now(), cpu());
                let (expansion, _, computed) =
                    expand_part(&network, &part, &Limits::default(), &mut |_| Ok(()))
                        .expect("an expansion");
                let wall = started.elapsed().as_secs_f64();
                let cpu = cpu().zip(before).map_or(f64::NAN, |(after, before)| after - before);
                let worst = match (expansion.errors(), expansion.coefficients()) {
                    (Some(errors), slnn::expand::Coefficients::Float(p)) => (0..=q)
                        .map(|k| {
                            let largest = |p: &slnn::Polynomial<f64>| {
                                let part = p.homogeneous_part(k);
                                part.coefficients().iter().fold(0.0, |m: f64, c| m.max(c.abs()))
                            };
                            let (error, value) = (largest(&errors[0]), largest(&p[0]));
                            if error == 0.0 { 0.0 } else { error / value }
                        })
                        .fold(0.0, f64::max),
                    _ => 0.0,
                };
                println!(
                    "{name:<33} {:>6}  {:>9.4} {cpu:>8.4} {wall:>8.4}   {:<14} {worst:.1e}",
                    expansion.terms(),
                    planned.plan.seconds,
                    computed.name(),
                );
            });
        }
    }
}
