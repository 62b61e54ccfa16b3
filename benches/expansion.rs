//! The exact expansion alone, one thread, over sizes: terms, primes, milliseconds of processor time
//! and megabytes of coefficients.
//!
//! `cargo bench --bench expansion [-- --write FOLDER] [NAME ...]`: networks from SplitMix64 with
//! seed 1, parameters k / 64 with |k| <= 64, or full f64 in [-1, 1) for names that end in f64.
//! With a folder every network is written there as JSON. Each case also prints one line of JSON.

use std::time::Instant;

use ndarray::{Array1, Array2};
use slnn::expand::{expand_on_lattice, plan};
use slnn::network::{Affine, Basis, Head, Input, Layer, Network, Slaf};
use slnn::numeric::residues::Level;

/// Inputs, width, degree, hidden layers, whether the parameters are full f64.
const CASES: &[(usize, usize, usize, usize, bool)] = &[
    (4, 16, 2, 2, false),
    (2, 16, 3, 3, false),
    (4, 16, 3, 2, false),
    (16, 32, 2, 2, false),
    (8, 32, 2, 3, false),
    (8, 16, 3, 2, false),
    (4, 16, 3, 3, false),
    (10, 32, 4, 2, false),
    (2, 16, 3, 3, true),
    (8, 16, 3, 2, true),
    (4, 16, 3, 3, true),
    (2, 4, 2, 2, false),
    (3, 8, 3, 1, false),
    (6, 16, 2, 2, false),
    (5, 16, 3, 2, false),
    (6, 16, 3, 2, false),
    (10, 24, 2, 3, false),
    (12, 16, 2, 3, false),
    (5, 16, 4, 2, false),
    (7, 24, 4, 2, false),
    (1, 8, 4, 4, false),
    (3, 8, 2, 5, false),
    (4, 16, 3, 2, true),
    (6, 16, 3, 2, true),
    (10, 24, 2, 3, true),
];

struct Stream(u64);

impl Stream {
    fn number(&mut self, full: bool) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        match full {
            true => (z >> 11) as f64 / (1_u64 << 52) as f64 - 1.0,
            false => ((z % 129) as f64 - 64.0) / 64.0,
        }
    }

    fn matrix(&mut self, rows: usize, columns: usize, full: bool) -> Array2<f64> {
        Array2::from_shape_simple_fn((rows, columns), || self.number(full))
    }

    fn affine(&mut self, outputs: usize, inputs: usize, full: bool) -> slnn::Result<Layer> {
        let weight = self.matrix(outputs, inputs, full);
        let bias = Array1::from_shape_simple_fn(outputs, || self.number(full));
        Affine::new(weight, bias).map(Layer::Affine)
    }
}

fn network(
    (n, width, degree, layers, full): (usize, usize, usize, usize, bool),
) -> slnn::Result<Network> {
    let mut stream = Stream(1);
    let mut all = Vec::new();
    let mut before = n;
    for _ in 0..layers {
        all.push(stream.affine(width, before, full)?);
        let coefficients = stream.matrix(width, degree + 1, full);
        all.push(Layer::Slaf(Slaf::new(Basis::Monomial, coefficients)?));
        before = width;
    }
    all.push(stream.affine(1, before, full)?);
    let inputs = (1..=n).map(|i| Input::named(format!("x{i}"))).collect();
    Network::new(inputs, vec!["y".into()], all, Head::Identity)
}

/// Processor time of this thread where the system tells, else time on the wall.
fn seconds(start: Instant) -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let field = text.and_then(|t| t.split_whitespace().next().and_then(|x| x.parse::<f64>().ok()));
    field.map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds * 1e-9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folder = None;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--write" => folder = arguments.next(),
            "--bench" => {}
            _ => wanted.push(argument),
        }
    }
    let start = Instant::now();
    println!("case                 terms  primes  ms         MB");
    for &case in CASES {
        let (n, width, degree, layers, full) = case;
        let name = format!("n{n}_w{width}_d{degree}_L{layers}{}", if full { "_f64" } else { "" });
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let network = network(case)?;
        if let Some(folder) = &folder {
            network.write(&std::path::Path::new(folder).join(format!("{name}.json")))?;
        }
        let plan = plan(&network, None)?;
        // Many calls a measurement, for a clock of milliseconds; the median of five.
        let calls = (0.02 / plan.seconds.max(1e-6)).clamp(1.0, 1000.0) as usize;
        let repetitions = if plan.seconds > 1.0 { 1 } else { 5 };
        let mut times = Vec::new();
        for _ in 0..repetitions {
            let before = seconds(start);
            for _ in 0..calls {
                std::hint::black_box(expand_on_lattice(&network, false, Level::best())?);
            }
            times.push((seconds(start) - before) / calls as f64);
        }
        times.sort_by(f64::total_cmp);
        let (time, terms, primes) = (times[times.len() / 2], plan.terms, plan.primes);
        let megabytes = plan.bytes / 1e6;
        println!("{name:<20} {terms:<6} {primes:<7} {:<10.3} {megabytes:.1}", time * 1e3);
        println!(
            "{{\"case\": \"{name}\", \"terms\": {terms}, \"primes\": {primes}, \"seconds\": {time}, \
             \"predicted_seconds\": {}, \"bytes\": {}}}",
            plan.seconds, plan.bytes
        );
    }
    Ok(())
}
