//! What a truncated series costs: operations are counted, a short measurement turns them into seconds.

use std::time::Instant;

use super::arithmetic::{Arithmetic, DoubleDouble, Float, LANES, Residue};
use super::exact::Extent;
use super::kernel;
use super::layers::{Layer, Layers, Slaf};
use super::table::Table;
use crate::expand::plan::dense_terms;

/// Degrees above this are not planned in detail, and not expanded.
const LARGEST_DEGREE: usize = 1 << 16;

/// Seconds a product of coefficients, a neuron, in f64, in double-double and modulo a prime, where
/// machines must agree on what is cheaper.
const TYPICAL: [f64; 3] = [1e-10, 8e-10, 2e-10];

/// What a truncated series costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// Bytes and seconds in f64, in double-double and exactly.
    pub each: [(f64, f64); 3],
    /// Products of coefficients in f64.
    pub products: f64,
    /// Whether f64 and double-double take no longer than exact arithmetic, on every machine alike: what
    /// is computed depends on it.
    pub shorter: [bool; 2],
}

/// The costs of the series to a degree.
pub(super) fn costs(layers: &Layers, degree: usize, extent: &Extent) -> Costs {
    let variables = layers.used.len();
    let monomials = dense_terms(variables, degree as u128) as f64;
    let outputs = layers.widths().last().unwrap_or(0) as f64;
    if degree > LARGEST_DEGREE || monomials > 1e12 {
        let bytes = monomials * 8.0 * outputs.max(1.0);
        return Costs {
            each: [(bytes, f64::INFINITY); 3],
            products: f64::INFINITY,
            shorter: [true; 2],
        };
    }
    let degrees = layers.degrees(degree);
    let padded = |width: usize| width.next_multiple_of(LANES) as f64;
    let (mut products, mut live, mut scratch, mut scalars, mut parameters) =
        (0.0, 0.0_f64, 1.0_f64, 0.0, 0.0);
    let mut width = variables;
    let mut composed = 0;
    for ((l, layer), after) in layers.layers.iter().enumerate().zip(layers.widths()) {
        let (inner, outer) = (degrees[l], degrees[l + 1]);
        let size = dense_terms(variables, outer as u128) as f64;
        match layer {
            Layer::Affine { .. } => {
                if l > 0 {
                    products += size * width as f64 * padded(after);
                }
                parameters += ((width + 1) * after) as f64;
                scalars += (outer * width * after) as f64;
                live = live.max((padded(width) + padded(after)) * size);
            }
            Layer::Neurons(slafs) => {
                let own = slafs.iter().map(Slaf::degree).max().unwrap_or(0);
                let scheme = kernel::scheme(variables, own.min(outer), inner, outer);
                products += scheme.products * padded(after);
                parameters += ((own + 1) * after) as f64;
                // Exact Taylor coefficients, and bounds: products of series in one variable.
                scalars += after as f64
                    * own as f64
                    * (50.0 * own as f64 + 2.0 * (outer as f64 + 1.0).powi(2));
                live = live.max(2.0 * padded(after) * size);
                scratch = scratch.max((scheme.step as f64 + 3.0) * LANES as f64 * size);
                composed += 1;
            }
        }
        width = after;
    }
    let (pairs, places) = match composed {
        0 | 1 => (0.0, 0.0),
        _ => (dense_terms(2 * variables, degree as u128) as f64, monomials * (degree as f64 + 2.0)),
    };
    let table = 4.0 * pairs + 8.0 * places + 28.0 * monomials;
    let building = 2e-9 * (pairs + 8.0 * places) + 2e-8 * monomials;
    let threads = rayon::current_num_threads() as f64;
    // Exponents of all inputs twice, and what belongs to a term.
    let term = 8.0 * layers.inputs as f64 + 80.0;
    let written = outputs * monomials * term;
    let sorting = outputs * monomials * (8e-7 + 5e-9 * layers.inputs as f64);
    let numbers = 3e-9 * scalars + 1e-8 * parameters;
    let (primes, words) = (extent.primes(), extent.bits / 64.0 + 1.0);
    let coefficients = outputs * monomials;
    let float = table + 8.0 * (live + threads * scratch) + 32.0 * coefficients + written;
    let double = table + 16.0 * (live + threads * scratch) + 32.0 * coefficients + written;
    let exact = table
        + 8.0 * threads * (live + scratch)
        + 4.0 * primes * coefficients
        // The numerator, and then a fraction with a denominator of its own.
        + coefficients * (3.0 * 8.0 * words + term);
    let seconds = |rates: [f64; 3]| {
        [
            building + 2.0 * sorting + numbers + rates[0] * products,
            building + 2.0 * sorting + 2.0 * numbers + rates[1] * products,
            building
                + sorting
                + primes * (1e-8 * parameters + rates[2] * products)
                + 4e-9 * primes * primes
                + coefficients * (6e-8 * primes + 1.5e-10 * primes * primes),
        ]
    };
    let ([own_float, own_double, own_exact], typical) = (seconds(measure()), seconds(TYPICAL));
    Costs {
        each: [(float, own_float), (double, own_double), (exact, own_exact)],
        products,
        shorter: [typical[0] <= typical[2], typical[1] <= typical[2]],
    }
}

/// Seconds a product of coefficients, a neuron, in f64, in double-double and modulo a prime.
fn measure() -> [f64; 3] {
    let table = Table::new(8, 5, true);
    [
        time(Float, &table, 1.0),
        time(DoubleDouble, &table, [1.0, 0.0]),
        time(Residue::new(32_999_999), &table, 1.0),
    ]
}

fn time<A: Arithmetic>(arithmetic: A, table: &Table, one: A::Number) -> f64 {
    let mut many = A::ZERO;
    (0..LANES).for_each(|lane| A::set(&mut many, lane, one));
    let (degree, power) = (table.degree, table.degree);
    let mut u = vec![many; table.len(degree)];
    u[0] = A::ZERO;
    let t = vec![many; power + 1];
    let numbers = vec![one; u.len()];
    let products = kernel::scheme(table.variables, power, degree, degree).products * LANES as f64;
    (0..3)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(kernel::compose(
                arithmetic, table, &numbers, &u, degree, &t, degree,
            ));
            start.elapsed().as_secs_f64() / products
        })
        .fold(f64::INFINITY, f64::min)
}
