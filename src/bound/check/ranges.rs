//! What the pre-activations of the reference can be over the box, recomputed.
//!
//! Two ways, of which the better one counts at each end of each neuron:
//!
//! - forward: an affine map of intervals, from the values that the activations before have on their
//!   ranges;
//! - backward: a pre-activation is an affine form in the values of the layer before. Where y = s(z),
//!   a term r y is at least r (a z + c) with the line below s when r >= 0 and the line above when
//!   r < 0 (for an upper bound the other way round), which gives a form in z; so on back to the
//!   inputs, and the form is evaluated on the box. The slope a of a line comes from the
//!   certificate, any will do; the offset c is the least (greatest) value of s(z) - a z on the
//!   range, found here.
//!
//! What rounding may have changed in a coefficient is charged with the largest size of the value
//! that it belongs to.

use num_traits::Zero;
use rayon::prelude::*;

use super::block::{Digits, Precision, Row, combine, dot, multiplied, rounded_up};
use super::fixed::size_above;
use super::form::{Form, pieces, values};
use super::residual::extremes;
use crate::network::Activation;
use crate::numeric::Dyadic;

/// Intervals, one a neuron.
#[derive(Clone, Debug)]
pub(super) struct Intervals {
    pub lower: Vec<Dyadic>,
    pub upper: Vec<Dyadic>,
}

impl Intervals {
    /// The sum of the largest absolute values, rounded up.
    fn size(&self) -> Dyadic {
        let size = |(lower, upper): (&Dyadic, &Dyadic)| lower.abs().max(upper.abs());
        let sizes = self.lower.iter().zip(&self.upper).map(size);
        sizes.fold(Dyadic::zero(), |sum, size| rounded_up(&(sum + &size)))
    }
}

/// A layer as the walk back sees it.
enum Step<'a, D> {
    Affine {
        weights: &'a [Row<D>],
        bias: Row<D>,
    },
    /// Lines: their slopes and offsets, below and above.
    Lines {
        slopes: [Row<D>; 2],
        offsets: [Row<D>; 2],
    },
}

/// The layers walked so far.
pub(super) struct Walk<'a, D> {
    precision: Precision,
    domain: [Row<D>; 2],
    steps: Vec<Step<'a, D>>,
    /// The sizes of the values before each step.
    sizes: Vec<Dyadic>,
    /// The values now.
    pub now: Intervals,
}

impl<'a, D: Digits> Walk<'a, D> {
    pub(super) fn new(domain: Intervals, precision: Precision) -> Self {
        let rows = [&domain.lower, &domain.upper].map(|end| Row::below(end, precision));
        Walk { precision, domain: rows, steps: vec![], sizes: vec![], now: domain }
    }

    /// Walks through an affine layer.
    pub(super) fn affine(&mut self, weights: &'a [Row<D>], bias: &[Dyadic]) {
        let [lower, upper] =
            [&self.now.lower, &self.now.upper].map(|end| Row::below(end, self.precision));
        let images: Vec<[Dyadic; 2]> = weights
            .par_iter()
            .zip(bias)
            .map(|(row, bias)| {
                let (least, slack) = dot(row, &lower, &upper);
                let (greatest, more) = dot(row, &upper, &lower);
                [&(&least - &slack) + bias, &(&greatest + &more) + bias]
            })
            .collect();
        self.sizes.push(self.now.size());
        let (lower, upper) = images.into_iter().map(|[lower, upper]| (lower, upper)).unzip();
        self.now = Intervals { lower, upper };
        self.steps.push(Step::Affine { weights, bias: Row::below(bias, self.precision) });
    }

    /// The values now, by the backward relaxation too.
    ///
    /// After a single affine layer the intervals are exact and it is skipped.
    pub(super) fn refined(&self) -> Intervals {
        if self.steps.len() < 2 {
            return self.now.clone();
        }
        let ends: Vec<(Dyadic, Dyadic)> = (0..self.now.lower.len())
            .into_par_iter()
            .map(|i| {
                let lower = self.backward(i, 0).max(self.now.lower[i].clone());
                let upper = self.backward(i, 1).min(self.now.upper[i].clone());
                (lower, upper)
            })
            .collect();
        let (lower, upper) = ends.into_iter().unzip();
        Intervals { lower, upper }
    }

    /// A lower (`side` 0) or upper (1) bound of value `i` now.
    fn backward(&self, i: usize, side: usize) -> Dyadic {
        let mut constant = Dyadic::zero();
        let mut charge = Dyadic::zero();
        let mut steps = self.steps.iter().zip(&self.sizes).rev().peekable();
        let start = match steps.peek() {
            Some((Step::Affine { weights, bias }, size)) => {
                let (row, error) = weights[i].clone().settled();
                charge += &(&error * *size);
                let (value, error) = bias.number(i);
                constant += &value;
                charge += &error;
                steps.next();
                row
            }
            _ => {
                let unit = |j: usize| Dyadic::from(i64::from(j == i));
                let unit: Vec<_> = (0..self.now.lower.len()).map(unit).collect();
                Row::below(&unit, self.precision)
            }
        };
        let mut row: Row<D> = start;
        for (step, size) in steps {
            let ((added, slack), (next, error)) = match step {
                Step::Affine { weights, bias } => {
                    (dot(&row, bias, bias), combine(&row, weights, self.precision))
                }
                Step::Lines { slopes, offsets } => (
                    dot(&row, &offsets[side], &offsets[1 - side]),
                    multiplied(&row, &slopes[side], &slopes[1 - side], self.precision),
                ),
            };
            constant += &added;
            charge += &(&slack + &(&error * size));
            // The error contains that of the row returned.
            row = next.settled().0;
        }
        let (value, slack) = dot(&row, &self.domain[side], &self.domain[1 - side]);
        charge += &slack;
        constant += &value;
        if side == 0 { constant - &charge } else { constant + &charge }
    }

    /// Walks through an activation layer on verified `ranges`, with the slopes of the lines below and
    /// above; `Err` is a neuron whose activation has no values.
    pub(super) fn activations(
        &mut self,
        functions: &[Activation],
        ranges: &Intervals,
        lines: &[[Dyadic; 2]],
    ) -> Result<(), usize> {
        let image = |i: usize| values(functions[i], &ranges.lower[i], &ranges.upper[i]).ok_or(i);
        let images: Vec<_> =
            (0..functions.len()).into_par_iter().map(image).collect::<Result<_, _>>()?;
        let offsets: Vec<[Dyadic; 2]> = (0..functions.len())
            .into_par_iter()
            .map(|i| {
                let range = (&ranges.lower[i], &ranges.upper[i]);
                let (below, above) = offsets(functions[i], range, &lines[i]).ok_or(i)?;
                Ok([below, above])
            })
            .collect::<Result<_, usize>>()?;
        let row = |numbers: &[[Dyadic; 2]], side: usize| {
            let numbers: Vec<_> = numbers.iter().map(|n| n[side].clone()).collect();
            Row::below(&numbers, self.precision)
        };
        self.steps.push(Step::Lines {
            slopes: [row(lines, 0), row(lines, 1)],
            offsets: [row(&offsets, 0), row(&offsets, 1)],
        });
        self.sizes.push(ranges.size());
        let (lower, upper) = images.into_iter().unzip();
        self.now = Intervals { lower, upper };
        Ok(())
    }
}

/// The least value of s(z) - a z on the range for the slope a below, and the greatest for the slope
/// above; rounded outward for what is no piecewise polynomial.
pub(super) fn offsets(
    function: Activation,
    (lower, upper): (&Dyadic, &Dyadic),
    slopes: &[Dyadic; 2],
) -> Option<(Dyadic, Dyadic)> {
    let width = size_above(&(upper - lower));
    let mut hull: Option<(Dyadic, Dyadic)> = None;
    for piece in pieces(function, lower, upper)? {
        let of_slope = |a: &Dyadic| -> Option<(Dyadic, Dyadic)> {
            if let Form::Line { slope, offset } = &piece.form {
                // A line is least and greatest at the ends.
                let at = |z: &Dyadic| &(&(slope - a) * z) + offset;
                let (first, last) = (at(&piece.lower), at(&piece.upper));
                return Some(if first <= last { (first, last) } else { (last, first) });
            }
            if let Some(found) = extremes(&piece, a, width * 2f64.powi(-36)) {
                return Some(found);
            }
            // Without cells: s and the line apart.
            let (least, greatest) = values(function, &piece.lower, &piece.upper)?;
            let (first, last) = (a * &piece.lower, a * &piece.upper);
            let (first, last) = if first <= last { (first, last) } else { (last, first) };
            Some((&least - &last, &greatest - &first))
        };
        let (below, above) = (of_slope(&slopes[0])?.0, of_slope(&slopes[1])?.1);
        hull = Some(match hull {
            None => (below, above),
            Some((least, greatest)) => (least.min(below), greatest.max(above)),
        });
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    const WIDTH: usize = 4;

    /// Weights, biases, activations and slopes of layers of four neurons.
    #[derive(Clone, Debug)]
    struct Layers {
        weights: Vec<Vec<f64>>,
        functions: Vec<Activation>,
        slopes: Vec<[f64; 2]>,
        domain: Vec<(f64, f64)>,
    }

    fn layers() -> impl Strategy<Value = Layers> {
        let weights = prop::collection::vec(prop::collection::vec(-1.5..1.5f64, 20), 3);
        let functions = prop::sample::select(vec![
            Activation::Relu,
            Activation::Abs,
            Activation::HardTanh,
            Activation::LeakyRelu { slope: 0.1 },
            Activation::Tanh,
            Activation::Gelu,
            Activation::Sin,
            Activation::Elu { alpha: 1.0 },
        ]);
        let functions = prop::collection::vec(functions, 3);
        let slopes = prop::collection::vec([-0.2..1.0f64, -0.2..1.0f64], 3 * WIDTH);
        let domain = prop::collection::vec((-1.0..0.5f64, 0.0..1.0f64), WIDTH);
        (weights, functions, slopes, domain).prop_map(|(weights, functions, slopes, domain)| {
            Layers { weights, functions, slopes, domain }
        })
    }

    fn exact(x: f64) -> Dyadic {
        Dyadic::from_f64(x).unwrap()
    }

    impl Layers {
        fn domain(&self) -> Intervals {
            Intervals {
                lower: self.domain.iter().map(|(lower, _)| exact(*lower)).collect(),
                upper: self.domain.iter().map(|(lower, width)| exact(lower + width)).collect(),
            }
        }

        /// The ranges of the three layers; an f64 interval around each is what is walked on from.
        fn walked<D: Digits>(&self) -> Vec<Intervals> {
            let precision = Precision::for_sums_of(WIDTH);
            let rows: Vec<Vec<Row<D>>> = self
                .weights
                .iter()
                .map(|w| {
                    let row = |i: usize| w[5 * i..5 * i + 4].iter().map(|x| exact(*x));
                    (0..WIDTH).map(|i| Row::below(&row(i).collect::<Vec<_>>(), precision)).collect()
                })
                .collect();
            let mut walk = Walk::new(self.domain(), precision);
            let mut all = vec![];
            for (l, rows) in rows.iter().enumerate() {
                let biases: Vec<_> =
                    (0..WIDTH).map(|i| exact(self.weights[l][5 * i + 4])).collect();
                walk.affine(rows, &biases);
                let found = walk.refined();
                let room = 1e-9;
                let claimed = Intervals {
                    lower: found.lower.iter().map(|x| exact(x.to_f64().unwrap() - room)).collect(),
                    upper: found.upper.iter().map(|x| exact(x.to_f64().unwrap() + room)).collect(),
                };
                all.push(found);
                let slopes = &self.slopes[l * WIDTH..(l + 1) * WIDTH];
                let slopes: Vec<_> = slopes.iter().map(|s| s.map(exact)).collect();
                walk.activations(&[self.functions[l]; WIDTH], &claimed, &slopes).unwrap();
            }
            all
        }

        /// The pre-activations at a point of the box.
        fn at(&self, shares: &[f64]) -> Vec<Vec<f64>> {
            let mut values: Vec<f64> =
                self.domain.iter().zip(shares).map(|((lower, width), s)| lower + s * width).collect();
            let mut all = vec![];
            for (w, function) in self.weights.iter().zip(&self.functions) {
                let image = |i: usize| {
                    values.iter().zip(&w[5 * i..]).map(|(x, w)| x * w).sum::<f64>() + w[5 * i + 4]
                };
                let next: Vec<f64> = (0..WIDTH).map(image).collect();
                values = next.iter().map(|z| function.value(*z)).collect();
                all.push(next);
            }
            all
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn ranges_hold_the_values_and_rounding_costs_little(
            layers in layers(), shares in prop::collection::vec([0.0..=1.0f64; WIDTH], 20),
        ) {
            let (one, other) = (layers.walked::<BigInt>(), layers.walked::<i64>());
            for (l, (exactly, rounded)) in one.iter().zip(&other).enumerate() {
                for i in 0..WIDTH {
                    let [low, high] = [&exactly.lower[i], &exactly.upper[i]].map(|x| x.to_f64().unwrap());
                    let [below, above] = [&rounded.lower[i], &rounded.upper[i]].map(|x| x.to_f64().unwrap());
                    // The first layer is walked from the same numbers, later ones from rounded ranges.
                    prop_assert!(l > 0 || rounded.lower[i] <= exactly.lower[i]);
                    prop_assert!(l > 0 || exactly.upper[i] <= rounded.upper[i]);
                    prop_assert!((low - below).abs() < 1e-13 && (high - above).abs() < 1e-13);
                    for shares in &shares {
                        let z = layers.at(shares)[l][i];
                        prop_assert!(low - 1e-12 <= z && z <= high + 1e-12);
                    }
                }
            }
        }

        /// With the slopes of the relaxation at hand the backward bound keeps what intervals lose:
        /// x - x through two neurons that the same line bounds.
        #[test]
        fn forms_cancel_where_intervals_do_not(weight in 0.1..2.0f64) {
            let precision = Precision::for_sums_of(2);
            let row = |x: &[f64]| {
                Row::<i64>::below(&x.iter().map(|x| exact(*x)).collect::<Vec<_>>(), precision)
            };
            let (first, second) = ([row(&[weight]), row(&[weight])], [row(&[1.0, -1.0])]);
            let domain = Intervals { lower: vec![exact(-1.0)], upper: vec![exact(1.0)] };
            let mut walk = Walk::new(domain, precision);
            walk.affine(&first, &[Dyadic::zero(), Dyadic::zero()]);
            let ranges = walk.refined();
            let half = exact(0.5);
            let slopes = [[half.clone(), half.clone()], [half.clone(), half]];
            walk.activations(&[Activation::Relu; 2], &ranges, &slopes).unwrap();
            walk.affine(&second, &[Dyadic::zero()]);
            let width = |intervals: &Intervals| {
                (&intervals.upper[0] - &intervals.lower[0]).to_f64().unwrap()
            };
            prop_assert!((width(&walk.now) - 2.0 * weight).abs() < 1e-14);
            // Each relu is between z/2 and z/2 + weight/2.
            prop_assert!((width(&walk.refined()) - weight).abs() < 1e-14);
        }
    }

    #[test]
    fn offsets_are_exact_for_lines_and_close_for_others() {
        let (a, b) = (exact(-1.0), exact(3.0));
        let of = |function, below: f64, above: f64| {
            offsets(function, (&a, &b), &[exact(below), exact(above)]).unwrap()
        };
        assert_eq!(of(Activation::Relu, 1.0, 0.75), (exact(0.0), exact(0.75)));
        assert_eq!(of(Activation::Abs, 0.0, 0.5), (exact(0.0), exact(1.5)));
        assert_eq!(of(Activation::HardTanh, 0.5, 0.5), (exact(-0.5), exact(0.5)));
        // tanh z - z falls.
        let (below, above) = of(Activation::Tanh, 1.0, 1.0);
        let close = |x: &Dyadic, y: f64| (x.to_f64().unwrap() - y).abs() < 1e-10;
        assert!(close(&below, 3f64.tanh() - 3.0) && close(&above, 1.0 - 1f64.tanh()));
        // Where there are no cells: still bounds.
        let (a, b) = (exact(-1e300), exact(1e300));
        let (below, above) =
            offsets(Activation::Tanh, (&a, &b), &[exact(1.0), exact(1.0)]).unwrap();
        assert!(below <= a && above >= b);
    }
}
