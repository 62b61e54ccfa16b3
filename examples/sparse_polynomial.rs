//! A polynomial hidden in data is found again, coefficient by coefficient.
//!
//!     cargo run --release --example sparse_polynomial

use ndarray::Array2;
use num_traits::ToPrimitive;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};
use slnn::expand::{Limits, expand};
use slnn::train::{Optimiser, Options, Quiet, train};
use slnn::{Polynomial, Table};

fn main() -> slnn::Result<()> {
    let names = ["x1", "x2"];
    let hidden = Polynomial::parse("3 x1^2 x2 - 2 x2 + 1", &names)?;
    println!("hidden:  y = {hidden}");
    for seed in 0..10 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let uniform = Uniform::new_inclusive(-1.0, 1.0).expect("a proper interval");
        let inputs = Array2::from_shape_simple_fn((500, 2), || uniform.sample(&mut rng));
        let targets = Array2::from_shape_fn((500, 1), |(row, _)| {
            let (x1, x2) = (inputs[(row, 0)], inputs[(row, 1)]);
            3.0 * x1 * x1 * x2 - 2.0 * x2 + 1.0
        });
        let table = Table::new(
            inputs,
            targets,
            names.map(str::to_owned).to_vec(),
            vec!["y".into()],
            "a hidden polynomial",
        )?;
        let options = Options {
            hidden: vec![6],
            degrees: vec![3],
            optimiser: Optimiser::lbfgs(),
            l2: 0.0,
            epochs: 3000,
            target_loss: Some(1e-18),
            restarts: 10,
            seed,
            ..Options::default()
        };
        let rows: Vec<usize> = (0..500).collect();
        let network = train(&table, &rows, &options, &mut Quiet)?.network;
        let expansion = expand(&network, &Limits::default())?;
        let found = &expansion.rational()?[0];
        let worst = (found - &hidden)
            .terms()
            .filter_map(|(_, difference)| difference.to_f64())
            .fold(0.0, |worst: f64, difference| worst.max(difference.abs()));
        println!("seed {seed}:  {} terms, largest error of a coefficient {worst:.1e}", found.len());
        assert!(worst <= 1e-6);
    }
    println!("Every coefficient within 1e-6, from 10 of 10 seeds.");
    Ok(())
}
