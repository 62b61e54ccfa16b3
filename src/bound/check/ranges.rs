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
