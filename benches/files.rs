//! Polynomial files of millions of terms: written, read, rounded.
//!
//!     cargo bench --bench files -- [VARIABLES DEGREE BITS [FOLDER]]
//!
//! Without arguments: 10 variables, degree 16, 230-bit numerators over 2^224, as the expansion of a
//! network of 10 inputs, 32 neurons a layer, SLAFs of degree 4 and two hidden layers has 5,311,735. The
//! numerators are random, half of them negative. Seconds are by the wall clock; CPU seconds and the most
//! memory that the process has held are the system's, where it tells. The file goes to FOLDER, or to that
//! of temporary files, and is removed.

use std::path::PathBuf;
use std::time::Instant;

use ndarray::Array2;
use num_bigint::BigUint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::Expansion;
use slnn::expand::Coefficients;
use slnn::network::Head;
use slnn::polynomial::{Packed, monomial_count};

fn status(path: &str, line: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|l| l.strip_prefix(line))?.split_whitespace().next()?.parse().ok()
}

/// CPU seconds of this process, by ticks of a hundredth.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (wall, before) = (Instant::now(), cpu());
    let result = work();
    let peak = status("/proc/self/status", "VmHWM:").map_or(f64::NAN, |kib| kib as f64 / 1024.0);
    let (seconds, cpu) = (wall.elapsed().as_secs_f64(), cpu() - before);
    println!("{what:<28} {seconds:8.2} s {cpu:8.2} s CPU {peak:8.0} MiB at the peak so far");
    result
}

fn random(n: usize, degree: u32, bits: u64, twos: u64) -> Packed {
    let words = (bits / 64 + 1) as usize;
    let count = usize::try_from(monomial_count(n, degree)).expect("a count that fits in memory");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut numerators = vec![0; count * words];
    for numerator in numerators.chunks_exact_mut(words) {
        numerator.fill_with(|| rng.next_u64());
        // The sign reaches from bit `bits` to the end.
        let top = &mut numerator[words - 1];
        *top = ((*top << (63 - bits % 64)) as i64 >> (63 - bits % 64)) as u64;
    }
    let used = (0..n as u32).collect();
    Packed::new(n, used, degree, words, numerators, (BigUint::from(1_u32), twos)).expect("a fit")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number =
        |i: usize, default: u64| arguments.get(i).map_or(default, |a| a.parse().expect("a number"));
    let (n, degree, bits) = (number(0, 10) as usize, number(1, 16) as u32, number(2, 230));
    let folder = arguments.get(3).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join("slnn-bench-files.json");

    let packed = timed("random numerators", || random(n, degree, bits, 224));
    let variables = (1..=n).map(|i| format!("x{i}")).collect();
    let coefficients = Coefficients::Packed(vec![packed]);
    let expansion =
        Expansion::new(variables, vec!["y".into()], coefficients, Head::Identity).expect("names");
    println!("{} terms", timed("terms counted", || expansion.terms()));
    timed("written as rationals", || expansion.write(&path).expect("a file"));
    let size = std::fs::metadata(&path).expect("a file").len();
    println!("{:.3} GB", size as f64 / 1e9);
    let read = timed("read back", || Expansion::read(&path).expect("a polynomial"));
    println!("packed: {}", matches!(read.coefficients(), Coefficients::Packed(_)));
    println!("equal: {}", timed("compared", || read == expansion));
    drop(read);
    let points = Array2::from_shape_fn((8, n), |(row, i)| ((row * n + i) as f64).sin());
    timed("8 points in f64, then exact", || expansion.forward(points.view()).expect("values"));
    let (rounded, _) = timed("rounded to f64", || expansion.to_f64().expect("within f64"));
    timed("written as f64", || rounded.write(&path).expect("a file"));
    let read = timed("read back", || Expansion::read(&path).expect("a polynomial"));
    println!("equal: {}", read == rounded);
    std::fs::remove_file(&path).expect("the file");
}
