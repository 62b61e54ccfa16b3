//! The exact expansion alone, one thread, over sizes: terms, primes, milliseconds of processor time
//! and megabytes, beside what the plan says of them.
//!
//! `cargo bench --bench expansion [-- --write FOLDER] [NAME ...]`: networks from SplitMix64 with
//! seed 1, parameters k / 64 with |k| <= 64, or full f64 in [-1, 1) for names that end in f64.
//! With a folder every network is written there as JSON. Each case also prints one line of JSON.
//!
//! Seconds are the least of several runs, without the planning. Bytes are the most that `slnn expand`
//! has held, which plans, expands and writes the polynomial as rationals, here to nowhere.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ndarray::{Array1, Array2};
use slnn::expand::{expand_packed, plan};
use slnn::network::{Affine, Basis, Head, Input, Layer, Network, Slaf};
use slnn::numeric::residues::Level;

/// Inputs, widths of the hidden layers, degree, whether the parameters are full f64.
type Case = (usize, &'static [usize], usize, bool);

const CASES: &[Case] = &[
    (4, &[16; 2], 2, false),
    (2, &[16; 3], 3, false),
    (4, &[16; 2], 3, false),
    (16, &[32; 2], 2, false),
    (8, &[32; 3], 2, false),
    (8, &[16; 2], 3, false),
    (4, &[16; 3], 3, false),
    (10, &[32; 2], 4, false),
    (2, &[16; 3], 3, true),
    (8, &[16; 2], 3, true),
    (4, &[16; 3], 3, true),
    (2, &[4; 2], 2, false),
    (3, &[8; 1], 3, false),
    (6, &[16; 2], 2, false),
    (5, &[16; 2], 3, false),
    (6, &[16; 2], 3, false),
    (10, &[24; 3], 2, false),
    (12, &[16; 3], 2, false),
    (5, &[16; 2], 4, false),
    (7, &[24; 2], 4, false),
    (1, &[8; 4], 4, false),
    (3, &[8; 5], 2, false),
    (4, &[16; 2], 3, true),
    (6, &[16; 2], 3, true),
    (10, &[24; 3], 2, true),
    // Narrow first layers.
    (8, &[3, 16], 3, false),
    (12, &[4, 32, 16], 2, false),
    (8, &[3, 16], 3, true),
];

fn name((n, widths, degree, full): Case) -> String {
    let equal = widths.iter().all(|w| *w == widths[0]);
    let widths: Vec<String> = widths.iter().map(ToString::to_string).collect();
    let width = if equal { widths[0].clone() } else { widths.join("-") };
    let kind = if full { "_f64" } else { "" };
    format!("n{n}_w{width}_d{degree}_L{}{kind}", widths.len())
}

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

fn network((n, widths, degree, full): Case) -> slnn::Result<Network> {
    let mut stream = Stream(1);
    let mut all = Vec::new();
    let mut before = n;
    for &width in widths {
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

/// The most memory that the program holds which expands a network and writes it to nowhere.
fn peak_of(network: &Path) -> Option<f64> {
    let output = Command::new(env!("CARGO_BIN_EXE_slnn"))
        .args(["--json", "--quiet", "--threads", "1", "expand", "--no-prove", "-o", "/dev/null"])
        .arg(network)
        .output()
        .ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    answer["peak_bytes"].as_f64()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folder = None;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--write" => folder = arguments.next().map(PathBuf::from),
            "--bench" => {}
            _ => wanted.push(argument),
        }
    }
    let temporary = tempfile::tempdir()?;
    let folder = folder.as_deref().unwrap_or(temporary.path());
    let start = Instant::now();
    println!("case                 terms    primes ms         plan ms    MB       plan MB method");
    for &case in CASES {
        let name = name(case);
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let network = network(case)?;
        let path = folder.join(format!("{name}.json"));
        network.write(&path)?;
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        let plan = one.install(|| plan(&network, None))?;
        // Many calls a measurement, for a clock of milliseconds; the least of five.
        let calls = (0.1 / plan.seconds.max(1e-6)).clamp(1.0, 10_000.0) as usize;
        let repetitions = if plan.seconds > 1.0 { 2 } else { 5 };
        let mut time = f64::INFINITY;
        for _ in 0..repetitions {
            let before = seconds(start);
            for _ in 0..calls {
                std::hint::black_box(expand_packed(&network, false, Level::best())?);
            }
            time = time.min((seconds(start) - before) / calls as f64);
        }
        let (terms, primes, method) = (plan.terms, plan.primes, plan.route.name());
        let peak = peak_of(&path).unwrap_or(f64::NAN);
        println!(
            "{name:<20} {terms:<8} {primes:<6} {:<10.3} {:<10.3} {:<8.1} {:<7.1} {method}",
            time * 1e3,
            plan.seconds * 1e3,
            peak / 1e6,
            plan.bytes / 1e6,
        );
        println!(
            "{{\"case\": \"{name}\", \"terms\": {terms}, \"primes\": {primes}, \
             \"method\": \"{method}\", \"seconds\": {time}, \"predicted_seconds\": {}, \
             \"peak_bytes\": {peak}, \"predicted_bytes\": {}}}",
            plan.seconds, plan.bytes
        );
    }
    Ok(())
}
