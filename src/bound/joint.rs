//! Method C2: the reference's pre-activations and the differences as affine forms of the same
//! symbols, the inputs among them.
//!
//! Over a box with middle c and half-widths r an input is c + r xi, xi in [-1, 1]. The pre-activation
//! z of the reference and the difference D of the SLNN's pre-activation from it are both carried as
//! affine forms in these xi and in symbols that come later (Stolfi and Figueiredo 1997). On the local
//! ranges an activation is near a line, s(z) in lambda z + mu + [-delta, delta], and so is the residual,
//! p(z) - s(z) in alpha z + beta + [-gamma, gamma]; with M the slopes of s there,
//!
//! ```text
//! p(z + D) - s(z)  in  alpha (z + D) + beta + mid(M) D + [gamma + rad(M) max|D|] eta.
//! ```
//!
//! Where M encloses the slopes of p in place of those of s, the residual counts at z:
//! alpha z + beta takes the place of alpha (z + D) + beta. What makes method C loose, that every
//! residual is as large as it can be at once, goes once the box is smaller than the oscillations of
//! the residuals.

use ndarray::{Array2, ArrayView1};

use crate::approximate::{Bands, slope_range};
use crate::bound::chain::{Chain, Step};
use crate::bound::linear::{absolute_dots, absolute_sum, gamma, product, rounding};
use crate::network::Activation;
use crate::numeric::outward::{Interval, add_up, mul_up, sum_up};

/// What is known of a neuron over the whole box.
pub(super) struct Unit {
    pub activation: Activation,
    /// What the reference's pre-activation can be.
    pub range: Interval,
    /// What either pre-activation can be.
    pub interval: Interval,
    /// The slopes by which the difference is carried on, and whether they are those of p.
    pub slope: Interval,
    pub of_polynomial: bool,
    /// The activation as lines on the range.
    pub values: Bands,
    /// The residual p - s as lines on the interval.
    pub residuals: Bands,
    /// How much an error of the neuron costs at the outputs, about.
    pub weight: f64,
}

/// What is known of the neurons of each layer; empty for affine ones.
pub(super) type Units = Vec<Vec<Unit>>;

/// What method C2 proves over a part of the box.
pub(super) struct Found {
    /// A bound of the absolute difference of each output.
    pub bound: Vec<f64>,
    /// How much each input's width costs, about; for the choice of a split.
    pub costs: Vec<f64>,
}

/// A value of each neuron as an affine form: centre + symbols times numbers in [-1, 1], and at most
/// slack beside it.
struct Forms {
    centre: Vec<f64>,
    /// (neurons, symbols) for each family of symbols.
    symbols: Vec<Array2<f64>>,
    slack: Vec<f64>,
}

impl Forms {
    /// Behind an affine map without its bias.
    fn affine(&self, weight: &Array2<f64>) -> Self {
        let mut slack = absolute_dots(weight, &self.slack);
        let rows = || weight.rows().into_iter().map(|row| row.to_vec());
        let dot = |row: ArrayView1<f64>| row.iter().zip(&self.centre).map(|(w, c)| w * c).sum();
        let centre = weight.rows().into_iter().map(dot).collect();
        let sizes: Vec<f64> = self.centre.iter().map(|c| c.abs()).collect();
        for (slack, row) in slack.iter_mut().zip(rows()) {
            *slack = add_up(*slack, rounding(&row, &sizes, 1, 1.0));
        }
        let symbols = self.symbols.iter().map(|symbols| {
            let sums: Vec<f64> = symbols.rows().into_iter().map(absolute_sum).collect();
            for (slack, row) in slack.iter_mut().zip(rows()) {
                *slack = add_up(*slack, rounding(&row, &sums, symbols.ncols(), 1.0));
            }
            product(weight, symbols)
        });
        let symbols = symbols.collect();
        Forms { centre, symbols, slack }
    }

    fn shift(&mut self, bias: ArrayView1<f64>) {
        for ((centre, slack), b) in self.centre.iter_mut().zip(&mut self.slack).zip(bias) {
            let sum = *centre + b;
            *slack = add_up(*slack, mul_up(gamma(1), sum.abs()));
            *centre = sum;
        }
    }

    /// What each form can be.
    fn range(&self, i: usize) -> Interval {
        Interval::point(self.centre[i]).widened(self.radius(i))
    }

    fn radius(&self, i: usize) -> f64 {
        let sums = self.symbols.iter().map(|symbols| absolute_sum(symbols.row(i)));
        sums.fold(self.slack[i], add_up)
    }
}

/// The lines by which one neuron is replaced over the part.
struct Lines {
    /// s(z) in slope z + middle, and radius.
    value: (f64, f64, f64),
    /// The difference in alpha z + steep D + beta, and fresh.
    alpha: f64,
    steep: f64,
    beta: f64,
    fresh: f64,
}

/// Bounds of the differences of the outputs over a part of the box, by method C2; infinite where f64
/// overflows.
///
/// Cost: three products of matrices with each weight matrix; the bands of every neuron that
/// its local ranges meet.
pub(super) fn bound(chain: &Chain, units: &Units, part: &[Interval]) -> Found {
    let inputs = part.len();
    let centre: Vec<f64> = part.iter().map(Interval::middle).collect();
    let radii: Vec<f64> = part.iter().zip(&centre).map(|(x, c)| x.radius_about(*c)).collect();
    let own = Array2::from_shape_fn((inputs, inputs), |(i, j)| if i == j { radii[i] } else { 0.0 });
    let mut z = Forms { centre, symbols: vec![own], slack: vec![0.0; inputs] };
    // The symbols of z, then those of its own.
    let mut d = Forms {
        centre: vec![0.0; inputs],
        symbols: vec![Array2::zeros((inputs, inputs)), Array2::zeros((inputs, 0))],
        slack: vec![0.0; inputs],
    };
    let mut costs = vec![0.0; inputs];
    for (step, units) in chain.steps.iter().zip(units) {
        match step {
            Step::Affine { weight, bias } => {
                (z, d) = (z.affine(weight), d.affine(weight));
                z.shift(bias.view());
            }
            Step::Activation(_) => {
                let lines: Vec<Lines> =
                    (0..units.len()).map(|i| lines(&units[i], &z, &d, i)).collect();
                for (i, lines) in lines.iter().enumerate() {
                    let row = z.symbols[0].row(i);
                    let width = z.radius(i);
                    if width > 0.0 {
                        for (cost, g) in costs.iter_mut().zip(row) {
                            *cost += units[i].weight * lines.fresh * g.abs() / width;
                        }
                    }
                }
                d = differences(&z, &d, &lines);
                z = values(&z, &lines);
                // z's fresh symbols have no part in the differences yet.
                let grown = z.symbols[0].ncols();
                d.symbols[0] = widened(&d.symbols[0], grown);
            }
        }
    }
    let outputs = d.centre.len();
    let bound = (0..outputs).map(|o| {
        let size = add_up(d.centre[o].abs(), d.radius(o));
        if size.is_nan() { f64::INFINITY } else { size }
    });
    Found { bound: bound.collect(), costs }
}

fn lines(unit: &Unit, z: &Forms, d: &Forms, i: usize) -> Lines {
    let within = |found: Interval, known: Interval| found.intersection(&known).unwrap_or(known);
    let reference = within(z.range(i), unit.range);
    let difference = d.range(i);
    // The SLNN's pre-activation, its symbols added before their sizes are.
    let both = |z: f64, d: f64| (z + d).abs().next_up();
    let shared = z.symbols[0]
        .row(i)
        .iter()
        .zip(d.symbols[0].row(i))
        .map(|(z, d)| both(*z, *d))
        .fold(0.0, add_up);
    let radius = sum_up([shared, absolute_sum(d.symbols[1].row(i)), z.slack[i], d.slack[i]]);
    let centre = Interval::point(z.centre[i]) + Interval::point(d.centre[i]);
    let slnn = within(within(centre.widened(radius), reference + difference), unit.interval);

    let value = unit.values.over(reference);
    let residual = unit.residuals.over(if unit.of_polynomial { reference } else { slnn });
    let local = slope_range(unit.activation, reference.hull(&slnn));
    let slope = if unit.of_polynomial { unit.slope } else { within(local, unit.slope) };
    let middle = slope.middle();
    let steep = if unit.of_polynomial { middle } else { residual.slope + middle };
    // The sum of the two slopes is rounded.
    let rounded = mul_up(gamma(1), steep.abs());
    let loose = add_up(slope.radius_about(middle), rounded);
    let fresh = add_up(residual.radius, mul_up(loose, difference.magnitude()));
    Lines {
        value: (value.slope, value.middle, value.radius),
        alpha: residual.slope,
        steep,
        beta: residual.middle,
        fresh,
    }
}

/// The forms behind the activations, one fresh symbol for each.
fn values(z: &Forms, lines: &[Lines]) -> Forms {
    let (width, kept) = z.symbols[0].dim();
    let mut symbols = widened(&z.symbols[0], kept + width);
    let mut centre = Vec::with_capacity(width);
    for (i, line) in lines.iter().enumerate() {
        let (slope, middle, radius) = line.value;
        let sum = slope * z.centre[i] + middle;
        let scaled =
            mul_up(slope.abs(), add_up(absolute_sum(z.symbols[0].row(i)), z.centre[i].abs()));
        let rounded = mul_up(gamma(2), sum_up([scaled, scaled, middle.abs()]));
        let tiny = (kept + 2) as f64 * f64::from_bits(1);
        centre.push(sum);
        symbols.row_mut(i).iter_mut().take(kept).for_each(|g| *g *= slope);
        symbols[[i, kept + i]] = sum_up([radius, mul_up(slope.abs(), z.slack[i]), rounded, tiny]);
    }
    Forms { centre, symbols: vec![symbols], slack: vec![0.0; width] }
}

/// The differences behind the activations: one more symbol of their own for each.
fn differences(z: &Forms, d: &Forms, lines: &[Lines]) -> Forms {
    let (width, kept) = d.symbols[1].dim();
    let mut shared = d.symbols[0].clone();
    let mut own = widened(&d.symbols[1], kept + width);
    let mut centre = Vec::with_capacity(width);
    for (i, line) in lines.iter().enumerate() {
        let Lines { alpha, steep, beta, fresh, .. } = *line;
        centre.push(alpha * z.centre[i] + steep * d.centre[i] + beta);
        let size = |form: &Forms, families: usize| {
            let sums = form.symbols[..families].iter().map(|symbols| absolute_sum(symbols.row(i)));
            sums.fold(form.centre[i].abs(), add_up)
        };
        let sizes =
            sum_up([mul_up(alpha.abs(), size(z, 1)), mul_up(steep.abs(), size(d, 2)), beta.abs()]);
        // Two products and two sums make every entry.
        let rounded = mul_up(gamma(4), sizes);
        let tiny = (3 * (shared.ncols() + kept) + 3) as f64 * f64::from_bits(1);
        for (entry, g) in shared.row_mut(i).iter_mut().zip(z.symbols[0].row(i)) {
            *entry = *entry * steep + alpha * g;
        }
        own.row_mut(i).iter_mut().take(kept).for_each(|g| *g *= steep);
        own[[i, kept + i]] = sum_up([
            fresh,
            mul_up(alpha.abs(), z.slack[i]),
            mul_up(steep.abs(), d.slack[i]),
            rounded,
            tiny,
        ]);
    }
    Forms { centre, symbols: vec![shared, own], slack: vec![0.0; width] }
}

/// The matrix with zero columns added.
fn widened(matrix: &Array2<f64>, columns: usize) -> Array2<f64> {
    let kept = matrix.ncols();
    Array2::from_shape_fn(
        (matrix.nrows(), columns),
        |(i, k)| if k < kept { matrix[[i, k]] } else { 0.0 },
    )
}
