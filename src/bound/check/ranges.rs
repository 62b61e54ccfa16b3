//! What the pre-activations of the reference can be over the box, recomputed.
//!
//! Three ways, tried in this order at each end of each neuron until one reaches the claim:
//!
//! - forward: an affine map of intervals, from the values that the activations before have on their
//!   ranges;
//! - backward: a pre-activation is an affine form in the values of the layer before. Where y = s(z),
//!   a term r y is at least r (a z + c) with the line below s when r >= 0 and the line above when
//!   r < 0 (for an upper bound the other way round), which gives a form in z; so on back to the
//!   inputs, and the form is evaluated on the box. The slope a of a line comes from the
//!   certificate, any will do; the offset c is the least (greatest) value of s(z) - a z on the
//!   range, found here;
//! - by parts: where the certificate has a tree of splits, backward on every leaf. On the part of
//!   the box where a pre-activation z has a sign, s is one line, which takes the place of both; and a
//!   form f is at least f + b z where z <= 0, and at least f - b z where z >= 0, for any b >= 0
//!   (an upper bound the other way round). The two parts of a split hold the whole box, so that the
//!   least bound of the leaves holds on it.
//!
//! What rounding may have changed in a coefficient is charged with the largest size of the value
//! that it belongs to.

use num_traits::Zero;
use rayon::prelude::*;

use super::block::{Digits, Precision, Row, combine, dot, multiplied, rounded_up};
use super::dyadic;
use super::fixed::size_above;
use super::form::{Form, halves, pieces, values};
use super::residual::extremes;
use crate::bound::Proof;
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
    Affine { weights: &'a [Row<D>], bias: Row<D> },
    Lines(Box<Lines<D>>),
}

/// An activation layer and the lines that bound it on its ranges.
struct Lines<D> {
    functions: Vec<Activation>,
    ranges: Intervals,
    /// Slopes and offsets, below and above.
    slopes: [Vec<Dyadic>; 2],
    offsets: [Vec<Dyadic>; 2],
    /// The same as rows.
    rows: Rows<D>,
}

struct Rows<D> {
    slopes: [Row<D>; 2],
    offsets: [Row<D>; 2],
}

impl<D: Digits> Rows<D> {
    fn of(slopes: &[Vec<Dyadic>; 2], offsets: &[Vec<Dyadic>; 2], precision: Precision) -> Self {
        let rows = |numbers: &[Vec<Dyadic>; 2]| {
            [&numbers[0], &numbers[1]].map(|numbers| Row::below(numbers, precision))
        };
        Rows { slopes: rows(slopes), offsets: rows(offsets) }
    }
}

/// A sign that a pre-activation has on a part of the box.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Assumption {
    layer: usize,
    neuron: usize,
    /// Whether it is at least 0; else it is at most 0.
    above: bool,
}

/// A part of the box, and what the certificate chooses there.
struct Part<'p> {
    assumed: &'p [Assumption],
    /// Layer, neuron and slope of lines below that are not the layer's own.
    slopes: &'p [(usize, usize, f64)],
    /// Layer, neuron and multiplier of assumptions.
    multipliers: &'p [(usize, usize, f64)],
}

impl Part<'_> {
    /// What is added to the coefficients of a form at layer `k`, for a lower (`side` 0) or an upper
    /// bound (1).
    fn tilts(&self, k: usize, side: usize) -> Vec<(usize, Dyadic)> {
        let mut tilts = Vec::new();
        for assumption in self.assumed.iter().filter(|assumption| assumption.layer == k) {
            let of = |(layer, neuron, _): &&(usize, usize, f64)| {
                (*layer, *neuron) == (k, assumption.neuron)
            };
            for (_, neuron, multiplier) in self.multipliers.iter().filter(of) {
                let size = dyadic(*multiplier);
                let negative = assumption.above == (side == 0);
                tilts.push((*neuron, if negative { -size } else { size }));
            }
        }
        tilts
    }

    /// The lines of layer `k` on this part, where they are not the layer's own; `Err` when an
    /// activation has no values.
    fn lines<D: Digits>(
        &self,
        k: usize,
        lines: &Lines<D>,
        precision: Precision,
    ) -> Result<Option<Rows<D>>, ()> {
        let assumed = || self.assumed.iter().filter(|assumption| assumption.layer == k);
        let chosen = || self.slopes.iter().filter(|slope| slope.0 == k);
        if assumed().next().is_none() && chosen().next().is_none() {
            return Ok(None);
        }
        let (mut slopes, mut offsets) = (lines.slopes.clone(), lines.offsets.clone());
        for &(_, i, slope) in chosen() {
            let range =
                (lines.ranges.lower.get(i).ok_or(())?, lines.ranges.upper.get(i).ok_or(())?);
            let below = dyadic(slope);
            let both = [below.clone(), slopes[1][i].clone()];
            offsets[0][i] = self::offsets(lines.functions[i], range, &both).ok_or(())?.0;
            slopes[0][i] = below;
        }
        // Last: an assumption holds whatever slope is chosen.
        for &Assumption { neuron: i, above, .. } in assumed() {
            let [left, right] = lines.functions.get(i).and_then(|f| halves(*f)).ok_or(())?;
            for side in 0..2 {
                slopes[side][i] = if above { right.clone() } else { left.clone() };
                offsets[side][i] = Dyadic::zero();
            }
        }
        Ok(Some(Rows::of(&slopes, &offsets, precision)))
    }
}

/// What the certificate says of the ends of the ranges of a layer.
pub(super) struct Wanted<'a> {
    pub ends: &'a Intervals,
    /// The proofs of lower and upper ends, one pair a neuron.
    pub proofs: Vec<&'a [Option<Proof>; 2]>,
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

    /// The values now, each end refined until it reaches what is wanted, or all ways are tried.
    ///
    /// After a single affine layer the intervals are exact, and are not refined.
    pub(super) fn refined(&self, wanted: &Wanted) -> Intervals {
        if self.steps.len() < 2 {
            return self.now.clone();
        }
        let ends: Vec<(Dyadic, Dyadic)> = (0..self.now.lower.len())
            .into_par_iter()
            .map(|i| (self.end(i, 0, wanted), self.end(i, 1, wanted)))
            .collect();
        let (lower, upper) = ends.into_iter().unzip();
        Intervals { lower, upper }
    }

    /// A lower (`side` 0) or upper (1) bound of value `i` now.
    fn end(&self, i: usize, side: usize, wanted: &Wanted) -> Dyadic {
        let ends = |intervals: &'_ Intervals| {
            let ends = if side == 0 { &intervals.lower } else { &intervals.upper };
            ends[i].clone()
        };
        let goal = ends(wanted.ends);
        let reached = |bound: &Dyadic| if side == 0 { *bound >= goal } else { *bound <= goal };
        let best = |a: Dyadic, b: Option<Dyadic>| match b {
            Some(b) if side == 0 => a.max(b),
            Some(b) => a.min(b),
            None => a,
        };
        let mut bound = ends(&self.now);
        if !reached(&bound) {
            bound = best(bound, self.backward(i, side, None));
        }
        let proof = wanted.proofs.get(i).and_then(|proofs| proofs[side].as_ref());
        if let Some(proof) = proof.filter(|_| !reached(&bound)) {
            bound = best(bound, self.by_parts(i, side, proof, &mut Vec::new()));
        }
        bound
    }

    /// As [`Walk::backward`], by the parts of a proof.
    fn by_parts(
        &self,
        i: usize,
        side: usize,
        proof: &Proof,
        assumed: &mut Vec<Assumption>,
    ) -> Option<Dyadic> {
        match proof {
            Proof::Leaf { slopes, multipliers } => {
                self.backward(i, side, Some(&Part { assumed, slopes, multipliers }))
            }
            Proof::Split { layer, neuron, below, above } => {
                let mut on_side = |above: bool, proof: &Proof| {
                    assumed.push(Assumption { layer: *layer, neuron: *neuron, above });
                    let bound = self.by_parts(i, side, proof, assumed);
                    assumed.pop();
                    bound
                };
                let (left, right) = (on_side(false, below)?, on_side(true, above)?);
                Some(if side == 0 { left.min(right) } else { left.max(right) })
            }
        }
    }

    /// A lower (`side` 0) or upper (1) bound of value `i` now, on the whole box or a part of it;
    /// `None` when an activation has no values.
    fn backward(&self, i: usize, side: usize, part: Option<&Part>) -> Option<Dyadic> {
        let mut constant = Dyadic::zero();
        let mut charge = Dyadic::zero();
        let mut steps = self.steps.iter().zip(&self.sizes).enumerate().rev().peekable();
        let start = match steps.peek() {
            Some((_, (Step::Affine { weights, bias }, size))) => {
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
        for (k, (step, size)) in steps {
            let ((added, slack), (next, error)) = match step {
                Step::Affine { weights, bias } => {
                    (dot(&row, bias, bias), combine(&row, weights, self.precision))
                }
                Step::Lines(lines) => {
                    let (mut tilts, mut own) = (vec![], None);
                    if let Some(part) = part {
                        tilts = part.tilts(k, side);
                        own = part.lines(k, lines, self.precision).ok()?;
                    }
                    let Rows { slopes, offsets } = own.as_ref().unwrap_or(&lines.rows);
                    (
                        dot(&row, &offsets[side], &offsets[1 - side]),
                        multiplied(&row, &slopes[side], &slopes[1 - side], &tilts, self.precision),
                    )
                }
            };
            constant += &added;
            charge += &(&slack + &(&error * size));
            // The error contains that of the row returned.
            row = next.settled().0;
        }
        let (value, slack) = dot(&row, &self.domain[side], &self.domain[1 - side]);
        charge += &slack;
        constant += &value;
        Some(if side == 0 { constant - &charge } else { constant + &charge })
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
        let offsets: Vec<(Dyadic, Dyadic)> = (0..functions.len())
            .into_par_iter()
            .map(|i| {
                let range = (&ranges.lower[i], &ranges.upper[i]);
                offsets(functions[i], range, &lines[i]).ok_or(i)
            })
            .collect::<Result<_, usize>>()?;
        let (below, above) = offsets.into_iter().unzip();
        let slopes = [0, 1].map(|side| lines.iter().map(|l| l[side].clone()).collect::<Vec<_>>());
        let offsets = [below, above];
        self.steps.push(Step::Lines(Box::new(Lines {
            functions: functions.to_vec(),
            ranges: ranges.clone(),
            rows: Rows::of(&slopes, &offsets, self.precision),
            slopes,
            offsets,
        })));
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
            if let Some(found) = extremes(&piece, a, width * 2f64.powi(-62)) {
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

    /// The values, refined as if nothing were enough.
    fn all_ways<D: Digits>(walk: &Walk<D>) -> Intervals {
        let of = |x: f64| vec![exact(x); walk.now.lower.len()];
        let ends = Intervals { lower: of(1e300), upper: of(-1e300) };
        walk.refined(&Wanted { ends: &ends, proofs: vec![] })
    }

    impl Layers {
        fn domain(&self) -> Intervals {
            Intervals {
                lower: self.domain.iter().map(|(lower, _)| exact(*lower)).collect(),
                upper: self.domain.iter().map(|(lower, width)| exact(lower + width)).collect(),
            }
        }

        /// The ranges of the three layers, refined in every way; an f64 interval around each is what is walked on from.
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
                let found = all_ways(&walk);
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
            let mut values: Vec<f64> = self
                .domain
                .iter()
                .zip(shares)
                .map(|((lower, width), s)| lower + s * width)
                .collect();
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

    /// A tree whose splits, slopes and multipliers come from `numbers`.
    fn tree(numbers: &mut dyn Iterator<Item = f64>, path: &mut Vec<(usize, usize)>) -> Proof {
        let mut next = |below: usize| {
            let share = numbers.next().unwrap_or(0.5).rem_euclid(1.0);
            (share * below as f64) as usize
        };
        let place = (1 + 2 * next(2), next(WIDTH));
        if path.len() < 3 && next(4) > 0 && !path.contains(&place) {
            path.push(place);
            let mut half = || Box::new(tree(numbers, path));
            let (below, above) = (half(), half());
            path.pop();
            return Proof::Split { layer: place.0, neuron: place.1, below, above };
        }
        let mut slopes = vec![];
        if !path.contains(&place) {
            slopes.push((place.0, place.1, numbers.next().unwrap_or(0.5)));
        }
        let multiplier = |(layer, neuron): &(usize, usize)| {
            let size = numbers.next().unwrap_or(0.5).abs();
            (*layer, *neuron, if size < 0.5 { 0.0 } else { size })
        };
        Proof::Leaf { slopes, multipliers: path.iter().map(multiplier).collect() }
    }

    impl Layers {
        /// Bounds by parts of the pre-activations of the third layer.
        fn by_parts<D: Digits>(&self, proofs: &[Proof]) -> Vec<[Dyadic; 2]> {
            let precision = Precision::for_sums_of(WIDTH);
            let number = |l: usize, i: usize, j: usize| exact(self.weights[l][5 * i + j]);
            let rows = |l: usize| -> Vec<Row<D>> {
                let row = |i: usize| (0..WIDTH).map(|j| number(l, i, j)).collect::<Vec<_>>();
                (0..WIDTH).map(|i| Row::below(&row(i), precision)).collect()
            };
            let rows: Vec<_> = (0..3).map(rows).collect();
            let mut walk = Walk::new(self.domain(), precision);
            for (l, rows) in rows.iter().enumerate() {
                let biases: Vec<_> = (0..WIDTH).map(|i| number(l, i, WIDTH)).collect();
                walk.affine(rows, &biases);
                if l < 2 {
                    let ranges = all_ways(&walk);
                    let slopes = &self.slopes[l * WIDTH..(l + 1) * WIDTH];
                    let slopes: Vec<_> = slopes.iter().map(|s| s.map(exact)).collect();
                    walk.activations(&[self.functions[l]; WIDTH], &ranges, &slopes).unwrap();
                }
            }
            let end = |i: usize, side: usize, proof: &Proof| {
                walk.by_parts(i, side, proof, &mut vec![]).unwrap()
            };
            let both = |(i, proof): (usize, &Proof)| [0, 1].map(|side| end(i, side, proof));
            proofs.iter().enumerate().map(both).collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Whatever is split and chosen, the bounds hold.
        #[test]
        fn bounds_by_parts_hold(
            mut layers in layers(),
            functions in prop::collection::vec(prop::sample::select(vec![
                Activation::Relu, Activation::Abs, Activation::LeakyRelu { slope: -0.5 },
                Activation::LeakyRelu { slope: 1.5 },
            ]), 2),
            numbers in prop::collection::vec(-2.0..2.0f64, 400),
            shares in prop::collection::vec(prop::array::uniform4(0.0..=1.0f64), 40),
        ) {
            layers.functions[..2].copy_from_slice(&functions);
            let mut numbers = numbers.into_iter();
            let proofs: Vec<_> = (0..WIDTH).map(|_| tree(&mut numbers, &mut vec![])).collect();
            let exactly = layers.by_parts::<BigInt>(&proofs);
            let rounded = layers.by_parts::<i64>(&proofs);
            for (i, (exactly, rounded)) in exactly.iter().zip(&rounded).enumerate() {
                let [low, high] = [0, 1].map(|side| exactly[side].to_f64().unwrap());
                let [below, above] = [0, 1].map(|side| rounded[side].to_f64().unwrap());
                prop_assert!((low - below).abs() < 1e-12 && (high - above).abs() < 1e-12);
                for shares in &shares {
                    let z = layers.at(shares)[2][i];
                    prop_assert!(low - 1e-11 <= z && z <= high + 1e-11);
                }
            }
        }
    }

    /// 3 |x - 1/4| - |x| on [-1, 1]: its least value, -1/4, needs splits and multipliers.
    #[test]
    fn splits_and_multipliers_sharpen() {
        let precision = Precision::for_sums_of(2);
        let row = |x: &[f64]| {
            Row::<BigInt>::below(&x.iter().map(|x| exact(*x)).collect::<Vec<_>>(), precision)
        };
        // z_0 = x - 1/4, z_1 = x; s = (|z_0|, |z_1|), f = 3 |z_0| - |z_1|.
        let (first, second) = ([row(&[1.0]), row(&[1.0])], [row(&[3.0, -1.0])]);
        let domain = Intervals { lower: vec![exact(-1.0)], upper: vec![exact(1.0)] };
        let mut walk = Walk::new(domain, precision);
        walk.affine(&first, &[exact(-0.25), exact(0.0)]);
        let ranges = all_ways(&walk);
        let zero = || exact(0.0);
        let slopes = [[zero(), zero()], [zero(), zero()]];
        walk.activations(&[Activation::Abs; 2], &ranges, &slopes).unwrap();
        walk.affine(&second, &[zero()]);
        let leaf = |multipliers: &[(usize, usize, f64)]| {
            Box::new(Proof::Leaf { slopes: vec![], multipliers: multipliers.to_vec() })
        };
        let left = Proof::Leaf { slopes: vec![(1, 0, -1.0)], multipliers: vec![(1, 1, 2.0)] };
        let left = Box::new(left);
        let split =
            |neuron: usize, below, above| Box::new(Proof::Split { layer: 1, neuron, below, above });
        let least = |proof: &Proof| walk.by_parts(0, 0, proof, &mut vec![]).unwrap();
        assert_eq!(least(&leaf(&[])), exact(-1.0));
        // The least value is at x = 1/4: f = 3/4 - 4 x on [0, 1/4], f = 2 x - 3/4 to the right of it,
        // and f = 3/4 - 2 x to the left.
        let weights = |below: f64, above: f64| {
            let right = split(0, leaf(&[(1, 0, below), (1, 1, 0.0)]), leaf(&[(1, 0, above)]));
            least(&split(1, left.clone(), right))
        };
        assert_eq!(weights(4.0, 2.0), exact(-0.25));
        assert!(weights(0.0, 2.0) < exact(-1.0) && weights(4.0, 0.0) < exact(-1.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn ranges_hold_the_values_and_rounding_costs_little(
            layers in layers(), shares in prop::collection::vec(prop::array::uniform4(0.0..=1.0f64), 20),
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
            let ranges = all_ways(&walk);
            let half = exact(0.5);
            let slopes = [[half.clone(), half.clone()], [half.clone(), half]];
            walk.activations(&[Activation::Relu; 2], &ranges, &slopes).unwrap();
            walk.affine(&second, &[Dyadic::zero()]);
            let width = |intervals: &Intervals| {
                (&intervals.upper[0] - &intervals.lower[0]).to_f64().unwrap()
            };
            prop_assert!((width(&walk.now) - 2.0 * weight).abs() < 1e-14);
            // Each relu is between z/2 and z/2 + weight/2.
            prop_assert!((width(&all_ways(&walk)) - weight).abs() < 1e-14);
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
