//! Certified errors: how tight they are on networks trained here, and how they compare with the
//! bounds that ZonoPoly's authors record for published networks.
//!
//!     cargo bench --bench approximation -- [FOLDER [PICTURE.svg]]
//!
//! Without a folder: networks trained here on smooth functions of 2, 4 and 8 inputs on [-1, 1]. FOLDER holds heloc_2e5.onnx (23-64-32-1, box [0, 1]^23) and har.onnx (561-500-6, box
//! [-1, 1]^561). For each degree, the same for all neurons: the certified error, the difference that
//! an attack finds (proven at its point), the recorded bound of the peer, which is floating point
//! without account of rounding, and seconds on one thread.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ndarray::{Array2, ArrayView1, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::bound::attack::{Budget, attack};
use slnn::bound::{Approximation, Degrees, Domain, Method, Request, approximate};
use slnn::network::onnx::OnnxNetwork;
use slnn::network::{Activation, Network};
use slnn::report::{Curve, curves};
use slnn::table::Table;
use slnn::train::{HiddenActivation, Options, Quiet, train};

const DEGREES: [usize; 15] = [1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 50, 70, 100, 150, 200];

/// What the peer's result files record, by degree.
const HELOC: [f64; 15] = [
    27.796, 10.814, 8.7023, 6.0393, 4.6869, 3.8864, 2.8961, 2.2513, 1.103, 0.72649, 0.43376,
    0.30754, 0.21485, 0.14301, 0.10709,
];
const HAR: [f64; 15] = [
    97.11, 21.629, 24.277, 13.174, 13.133, 8.9454, 6.7764, 5.4233, 2.7269, 1.8176, 1.0911, 0.7794,
    0.54559, 0.3637, 0.27273,
];

fn worst(bound: &[f64]) -> f64 {
    bound.iter().copied().fold(0.0, f64::max)
}

fn timed(network: &Network, domain: &Domain, request: &Request) -> (Approximation, f64) {
    let started = Instant::now();
    let made = approximate(network, domain, request).expect("an approximation");
    (made, started.elapsed().as_secs_f64())
}

fn table(name: &str, path: &Path, ends: (f64, f64), peer: &[f64; 15], leaves: usize) -> Vec<Curve> {
    let network = OnnxNetwork::read(path).expect("a network").network;
    let domain = Domain::cube(network.inputs().len(), ends.0, ends.1).expect("a box");
    println!("\n{name}: the largest error over the outputs");
    println!("degree  certified  found      tightness  peer       to peer  seconds");
    let mut lines = ["certified", "found by attack", "ZonoPoly"]
        .map(|line| Curve { name: format!("{name}: {line}"), points: Vec::new() });
    for (degree, peer) in DEGREES.into_iter().zip(peer) {
        let request = Request { leaves, ..Request::degrees(Degrees::All(degree)) };
        let (made, seconds) = timed(&network, &domain, &request);
        let certified = worst(&made.bound);
        let found = attack(&network, &made.slnn, &domain, &Budget::default()).expect("an attack");
        let found = found.iter().map(|f| f.difference).fold(0.0, f64::max);
        println!(
            "{degree:6}  {certified:9.4e}  {found:9.4e}  {:9.3}  {peer:9.4e}  {:7.3}  {seconds:7.3}",
            certified / found,
            certified / peer
        );
        let x = (degree as f64).log10();
        for (line, y) in lines.iter_mut().zip([certified, found, *peer]) {
            line.points.push((x, y.log10()));
        }
    }
    lines.to_vec()
}

/// A network that the library trains on a smooth function of the unit cube.
fn trained(inputs: usize, hidden: &[usize], activation: Activation, epochs: usize) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(inputs as u64);
    let x = Array2::from_shape_simple_fn((1500, inputs), || random.random_range(-1.0..=1.0));
    let y = x.map_axis(Axis(1), |x: ArrayView1<f64>| {
        let waves = x.iter().zip(x.iter().cycle().skip(1));
        waves.map(|(a, b)| f64::sin(1.5 * a + b) + 0.5 * a * b).sum::<f64>()
    });
    let names = (1..=inputs).map(|i| format!("x{i}")).collect();
    let table = Table::new(x, y.insert_axis(Axis(1)), names, vec!["y".into()], "waves");
    let table = table.expect("a table");
    let options = Options {
        hidden: hidden.to_vec(),
        activation: HiddenActivation::Function(activation),
        epochs,
        l2: 1e-5,
        ..Options::default()
    };
    let rows: Vec<usize> = (0..table.rows()).collect();
    train(&table, &rows, &options, &mut Quiet).expect("a training").network
}

/// How near certified errors are to what an attack finds, by method and parts.
fn tightness() {
    println!("networks trained here, box [-1, 1]: certified / found (seconds)");
    println!(
        "network           degree  found      C              D, 200         D, 1000        D, 5000"
    );
    for (inputs, hidden, epochs) in
        [(2, &[16, 16][..], 600), (4, &[32, 32], 500), (8, &[32, 32, 32], 400)]
    {
        for (activation, degree) in [(Activation::Tanh, 9), (Activation::Relu, 20)] {
            let network = trained(inputs, hidden, activation, epochs);
            let domain = Domain::cube(inputs, -1.0, 1.0).expect("a box");
            let mut found = 0.0;
            let mut line = String::new();
            for (method, parts) in
                [(Method::C, 1), (Method::D, 200), (Method::D, 1000), (Method::D, 5000)]
            {
                let request = Request { method, parts, ..Request::degrees(Degrees::All(degree)) };
                let (made, seconds) = timed(&network, &domain, &request);
                if found == 0.0 {
                    let all = attack(&network, &made.slnn, &domain, &Budget::default());
                    found = all.expect("an attack")[0].difference;
                }
                line.push_str(&format!("{:6.3} ({seconds:5.2})  ", made.bound[0] / found));
            }
            let hidden: Vec<String> = hidden.iter().map(usize::to_string).collect();
            let name = format!("{} {inputs}-{}-1", activation.name(), hidden.join("-"));
            println!("{name:<18} {degree:5}  {found:9.3e}  {line}");
        }
    }
}

fn main() {
    // Cargo adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("one thread");
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        tightness();
        println!("give the folder of heloc_2e5.onnx and har.onnx for the comparison");
        return;
    };
    let heloc = folder.join("heloc_2e5.onnx");
    let mut lines = table("heloc", &heloc, (0.0, 1.0), &HELOC, 16);
    let network = OnnxNetwork::read(&heloc).expect("a network").network;
    let domain = Domain::cube(network.inputs().len(), 0.0, 1.0).expect("a box");
    println!("\nheloc, other degrees by layer at the same product");
    for degrees in [[20, 5], [14, 7], [40, 10], [29, 14], [200, 50], [150, 67]] {
        let request = Request::degrees(Degrees::ByLayer(degrees.to_vec()));
        let (made, seconds) = timed(&network, &domain, &request);
        println!("{degrees:?}  {:.4e}  {seconds:.3} s", worst(&made.bound));
    }
    lines.extend(table("har", &folder.join("har.onnx"), (-1.0, 1.0), &HAR, 0));
    if let Some(path) = arguments.get(1) {
        let title = "Largest difference over the box, by degree";
        let svg = curves(title, "log10 degree", "log10 error", &lines).expect("a picture");
        std::fs::write(path, svg).expect("a picture written");
    }
}
