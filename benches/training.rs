//! Times of an epoch of training, as JSON lines: for one thread the time of its processor, which
//! other work on the machine disturbs least; for more the time that passed. The least and the median.
//!
//! `cargo bench --bench training -- CASE PRECISION THREADS` with CASE mlp (784-128-10, cubic SLAFs,
//! 60,000 rows, batch 128), small (8-16-16-1, 1,024 rows, batch 32) or conv (the network of the paper
//! on 28 x 28 images, 2,000 rows, batch 50), or gemm for products of 512 x 512 matrices.
//! `benches/training.py` runs it beside JAX and PyTorch.

use std::time::Instant;

use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::table::Table;
use slnn::train::{
    BasisKind, Control, HiddenActivation, LayerSpec, Loss, Options, Precision, Progress, Routine,
    Schedule, train,
};

/// Seconds of this thread's processor, where the system tells.
fn processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}

struct Clock {
    last: (Instant, f64),
    epochs: Vec<(f64, f64)>,
}

impl Clock {
    fn new() -> Self {
        Clock { last: (Instant::now(), processor().unwrap_or(0.0)), epochs: Vec::new() }
    }
}

impl Control for Clock {
    fn progress(&mut self, _: &Progress) {
        let now = (Instant::now(), processor().unwrap_or(0.0));
        self.epochs.push(((now.0 - self.last.0).as_secs_f64(), now.1 - self.last.1));
        self.last = now;
    }
}

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn table(rows: usize, inputs: usize, classes: usize) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = Array2::from_shape_fn((rows, inputs), |_| uniform(&mut rng));
    let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let table = if classes > 1 {
        let labels: Vec<usize> = (0..rows).map(|i| i % classes).collect();
        Table::with_classes(x, &labels, names("x", inputs), names("", classes), "random")
    } else {
        let t = Array2::from_shape_fn((rows, 1), |(i, _)| x[(i, 0)] * x[(i, 1)] - x[(i, 2)]);
        Table::new(x, t, names("x", inputs), names("y", 1), "random")
    };
    table.unwrap_or_else(|error| panic!("{error}"))
}

/// Products in one measurement.
const ROUNDS: u32 = 60;

/// GFLOP/s of products of n x n matrices.
fn gemm<T: num_traits::Float + faer::traits::ComplexField>(n: usize) -> f64 {
    let mut c = faer::Mat::<T>::zeros(n, n);
    let a = faer::Mat::<T>::from_fn(n, n, |i, j| {
        <T as num_traits::NumCast>::from((i + j) % 7).unwrap_or(T::zero())
    });
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let before = processor().unwrap_or(0.0);
        for _ in 0..ROUNDS {
            let (a, one) = (a.as_ref(), <T as num_traits::One>::one());
            faer::linalg::matmul::matmul(
                c.as_mut(),
                faer::Accum::Replace,
                a,
                a,
                one,
                faer::Par::Seq,
            );
        }
        best = best.min((processor().unwrap_or(0.0) - before) / f64::from(ROUNDS));
    }
    2.0 * (n as f64).powi(3) / best * 1e-9
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let argument = |i: usize, default: &str| arguments.get(i).cloned().unwrap_or(default.into());
    let (case, precision, threads) = (argument(0, "small"), argument(1, "f64"), argument(2, "1"));
    let threads: usize = threads.parse().unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
    pool.build_global().unwrap_or_else(|error| panic!("{error}"));
    let single = precision == "f32";
    if case == "gemm" {
        let rate = if single { gemm::<f32>(512) } else { gemm::<f64>(512) };
        println!("{{\"case\": \"gemm\", \"precision\": \"{precision}\", \"gflops\": {rate:.1}}}");
        return;
    }
    let monomial =
        HiddenActivation::Slaf { basis: BasisKind::Monomial, shared: false, attention: false };
    let options = Options {
        activation: monomial,
        routine: Routine::Clipped,
        precision: if single { Precision::F32 } else { Precision::F64 },
        schedule: Schedule::Constant,
        learning_rate: 1e-3,
        l2: 0.0,
        standardise: false,
        degrees: vec![3],
        ..Options::default()
    };
    let (table, options) = match case.as_str() {
        "mlp" => (
            table(60_000, 784, 10),
            Options {
                hidden: vec![128],
                batch: Some(128),
                epochs: 9,
                loss: Loss::SoftmaxCrossEntropy,
                ..options
            },
        ),
        "conv" => {
            let layers =
                "conv5x5x16,slaf4,maxpool2,conv5x5x32,slaf4,maxpool2,dense1024,slaf5,dropout0.5";
            (
                table(2_000, 784, 10),
                Options {
                    layers: LayerSpec::parse_all(layers).ok(),
                    image: Some([28, 28, 1]),
                    activation: HiddenActivation::slaf(),
                    routine: Routine::Normalised,
                    batch: Some(50),
                    epochs: 4,
                    loss: Loss::SoftmaxCrossEntropy,
                    ..options
                },
            )
        }
        _ => (
            table(1_024, 8, 1),
            Options { hidden: vec![16, 16], batch: Some(32), epochs: 4_000, ..options },
        ),
    };
    let rows: Vec<usize> = (0..table.rows()).collect();
    let mut clock = Clock::new();
    // Reading and preparing are no part of an epoch: the first is left out.
    train(&table, &rows, &options, &mut clock).unwrap_or_else(|error| panic!("{error}"));
    // The processor's time is counted in ticks of some milliseconds: a quarter of a second at a time.
    let (mut own, mut sum, mut count) = (Vec::new(), 0.0, 0.0);
    for (wall, cpu) in &clock.epochs[1..] {
        sum += if threads == 1 { *cpu } else { *wall };
        count += 1.0;
        if sum >= 0.25 {
            own.push(sum / count);
            (sum, count) = (0.0, 0.0);
        }
    }
    own.sort_by(f64::total_cmp);
    let (least, median) = (own[0], own[own.len() / 2]);
    println!(
        "{{\"case\": \"{case}\", \"precision\": \"{precision}\", \"threads\": {threads}, \
         \"least\": {least:.3e}, \"median\": {median:.3e}}}"
    );
}
