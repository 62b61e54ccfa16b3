//! Certified errors of published networks against the bounds that ZonoPoly's authors record.
//!
//!     cargo bench --bench approximation -- FOLDER [PICTURE.svg]
//!
//! FOLDER holds heloc_2e5.onnx (23-64-32-1, box [0, 1]^23) and har.onnx (561-500-6, box
//! [-1, 1]^561). For each degree, the same for all neurons: the certified error, the difference that
//! an attack finds (proven at its point), the recorded bound of the peer, which is floating point
//! without account of rounding, and seconds on one thread.

use std::path::{Path, PathBuf};
use std::time::Instant;

use slnn::bound::attack::{Budget, attack};
use slnn::bound::{Approximation, Degrees, Domain, Request, approximate};
use slnn::network::Network;
use slnn::network::onnx::OnnxNetwork;
use slnn::report::{Curve, curves};

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

fn main() {
    // Cargo adds --bench; without a folder there is nothing to measure.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(folder) = arguments.first().map(PathBuf::from) else {
        println!("give the folder of heloc_2e5.onnx and har.onnx");
        return;
    };
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("one thread");
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
