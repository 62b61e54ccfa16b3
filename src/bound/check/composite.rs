//! One neuron as several layers of the SLNN: a composition of small maps, and its distance from an
//! activation.
//!
//! The neuron's part of the layers is found from its output backwards; it may depend on no
//! other input than its own pre-activation z, so that it is a function B of one variable. On a cell
//! z = m + h u, |u| <= 1, every number is a + b u + c u^2 + noise: sums and squares keep what the
//! numbers share. Behind a polynomial of degree above 2 it is a + b u + noise where the polynomial is nearly
//! a line, and else a + noise: where inner polynomials oscillate and the ones behind them flatten
//! their values, it does not matter where in the oscillation a point is. The image of an interval by
//! a composition is the composition of the images, so each is enclosed closely. Cells are halved until
//! each is decided, in f64 intervals rounded outward.

use num_traits::Zero;

use super::dyadic;
use super::form::{Form, Piece};
use super::polynomial::{Chebyshev, admit, of_layer};
use super::residual::Decision;
use crate::network::{Affine, Layer};
use crate::numeric::Dyadic;
use crate::numeric::outward::{Interval, add_up, mul_up, sum_up};

/// The largest degree of a polynomial in a composition.
const LARGEST_DEGREE: usize = 64;
/// The most numbers that all neurons of a span may have together.
const MOST_NUMBERS: usize = 1 << 22;
/// The most work in a span: `(degree + 1)^2` for each polynomial, 1 for each weight.
const MOST_WORK: usize = 1 << 21;
/// Where the turns of a polynomial are looked for, in t; their length, and how many there may be.
pub(super) const REACH: f64 = 2.0;
const SHORTEST: f64 = 1e-9;
const MOST_TURNS: usize = 1 << 8;
/// The most cells into which an interval is cut.
const MOST_CELLS: usize = 1 << 18;

/// What the layers of a span make of each neuron.
pub(super) enum Replacement {
    /// One polynomial: all other layers leave it as it is.
    Polynomial(Chebyshev),
    Composition(Composition),
}

/// A function of one variable: affine maps and polynomials of a few numbers at a time.
pub(super) struct Composition {
    steps: Vec<Step>,
}

enum Step {
    /// The rows: numbers of the step before with their weights, and the bias.
    Affine(Vec<(Vec<(usize, Interval)>, Interval)>),
    Polynomials(Vec<Powers>),
}

/// `sum_k coefficients[k] t^k`, t = (z - centre) scale.
struct Powers {
    centre: Interval,
    scale: Interval,
    coefficients: Vec<Interval>,
    /// Pieces of |t| <= `REACH`, and the values there: on the rest of it the derivative is not 0. Empty up to
    /// degree 2.
    turns: Vec<(Interval, Interval)>,
}

/// A layer of a span, its numbers exact.
pub(super) enum Exact {
    /// The weights that are not 0 of each row, and the bias.
    Affine(Vec<(Vec<(usize, Dyadic)>, Dyadic)>),
    Polynomials(Vec<Chebyshev>),
}

/// What the layers of a span make of each of `width` neurons; `Err` says which, and why they make no
/// function of that neuron alone.
pub(super) fn replacements(
    span: &[Layer],
    width: usize,
) -> Result<Vec<Replacement>, (Option<usize>, String)> {
    let layers = layers(span, width).map_err(|what| (None, what))?;
    // Numbers that take in no neuron may belong to all of them.
    let mut work = 0;
    (0..width).map(|i| replacement(&layers, i, &mut work).map_err(|what| (Some(i), what))).collect()
}

/// The layers of a span behind `width` neurons, of which they make as many; every polynomial is one that a
/// composition may have.
pub(super) fn layers(span: &[Layer], width: usize) -> Result<Vec<Exact>, String> {
    let mut layers = Vec::with_capacity(span.len());
    let mut current = width;
    let mut numbers = 0_usize;
    let mut work = 0;
    for layer in span {
        layers.push(match layer {
            Layer::Affine(affine) => {
                numbers =
                    numbers.saturating_add(affine.weight().rows() * affine.weight().columns());
                if numbers > MOST_NUMBERS {
                    return Err(format!("more than {MOST_NUMBERS} numbers in its layers"));
                }
                current = affine.weight().rows();
                exact(affine)?
            }
            _ => {
                let all = of_layer(layer, current)?;
                if let Some(degree) = all.iter().map(Chebyshev::degree).max()
                    && degree > LARGEST_DEGREE
                {
                    return Err(format!(
                        "a polynomial of degree {degree} in a composition, where at most \
                         {LARGEST_DEGREE} is checked"
                    ));
                }
                spend(&mut work, all.iter().map(size).sum())?;
                Exact::Polynomials(all)
            }
        });
    }
    if current != width {
        return Err(format!("{current} neurons behind its layers in the slnn, not {width}"));
    }
    Ok(layers)
}

/// The pieces of |t| <= `REACH` outside of which the derivative of a polynomial of [`layers`] is not 0; none
/// up to degree 2.
pub(super) fn turns(polynomial: &Chebyshev) -> Vec<Interval> {
    powers(polynomial).turns.into_iter().map(|(turn, _)| turn).collect()
}

fn size(polynomial: &Chebyshev) -> usize {
    (polynomial.degree() + 1).pow(2)
}

fn spend(work: &mut usize, more: usize) -> Result<(), String> {
    *work = work.saturating_add(more);
    if *work > MOST_WORK {
        return Err(format!("more than {MOST_WORK} of work in its layers"));
    }
    Ok(())
}

fn exact(affine: &Affine) -> Result<Exact, String> {
    let weight = affine.weight().to_exact();
    let bias = affine.bias().to_exact();
    let rows = weight.outer_iter().zip(&bias).map(|(row, bias)| {
        let terms = row.iter().enumerate().filter(|(_, w)| *w.numer() != 0.into());
        let terms = terms.map(|(j, w)| Ok((j, admit(w)?))).collect::<Result<_, String>>()?;
        Ok((terms, admit(bias)?))
    });
    Ok(Exact::Affine(rows.collect::<Result<_, String>>()?))
}

/// What the layers make of neuron `i`, from the last one backwards.
fn replacement(layers: &[Exact], i: usize, work: &mut usize) -> Result<Replacement, String> {
    let mut wanted = vec![i];
    let mut steps = Vec::with_capacity(layers.len());
    // The one polynomial, while there is one at most and no number beside it.
    let mut single = Some(None);
    for layer in layers.iter().rev() {
        match layer {
            Exact::Affine(rows) => {
                spend(work, wanted.iter().map(|row| rows[*row].0.len()).sum())?;
                let mut before: Vec<usize> =
                    wanted.iter().flat_map(|row| rows[*row].0.iter().map(|(j, _)| *j)).collect();
                before.sort_unstable();
                before.dedup();
                let place = |j: usize| before.binary_search(&j).unwrap_or(0);
                let step = wanted.iter().map(|row| {
                    let (terms, bias) = &rows[*row];
                    let terms = terms.iter().map(|(j, w)| (place(*j), around(w)));
                    (terms.collect(), around(bias))
                });
                steps.push(Step::Affine(step.collect()));
                let the_same = |row: &usize| {
                    let (terms, bias) = &rows[*row];
                    bias.is_zero() && matches!(&terms[..], [(_, w)] if *w == Dyadic::from(1))
                };
                if !(wanted.len() == 1 && wanted.iter().all(the_same)) {
                    single = None;
                }
                wanted = before;
            }
            Exact::Polynomials(all) => {
                let polynomials = wanted.iter().map(|j| &all[*j]);
                spend(work, polynomials.clone().map(size).sum())?;
                if let Some(polynomial) = polynomials.clone().find(|p| !is_identity(p)) {
                    single = match single {
                        Some(None) => Some(Some(polynomial.clone())),
                        _ => None,
                    };
                }
                steps.push(Step::Polynomials(polynomials.map(powers).collect()));
            }
        }
    }
    if wanted.iter().any(|j| *j != i) {
        let other = wanted.into_iter().find(|j| *j != i).unwrap_or(i);
        return Err(format!("its layers in the slnn take in neuron {other} as well"));
    }
    steps.reverse();
    Ok(match single {
        Some(Some(polynomial)) => Replacement::Polynomial(polynomial),
        Some(None) => Replacement::Polynomial(Chebyshev::line(Dyadic::from(1))),
        None => Replacement::Composition(Composition { steps }),
    })
}

fn is_identity(polynomial: &Chebyshev) -> bool {
    match &polynomial.coefficients[..] {
        [c0, c1] => {
            let slope = c1 * &polynomial.scale;
            slope == Dyadic::from(1) && *c0 == polynomial.centre
        }
        _ => false,
    }
}

fn powers(polynomial: &Chebyshev) -> Powers {
    let coefficients = polynomial.powers().iter().map(around).collect();
    Powers::new(around(&polynomial.centre), around(&polynomial.scale), coefficients)
}

/// The numbers of f64 beside a dyadic, or the one that it is.
fn around(x: &Dyadic) -> Interval {
    match x.to_f64() {
        Some(near) if Dyadic::from_f64(near).as_ref() == Some(x) => Interval::point(near),
        Some(near) => Interval::new(near.next_down(), near.next_up()),
        None => UNKNOWN,
    }
}

/// Any number: what is left of an overflow.
const UNKNOWN: Interval = Interval::symmetric(f64::INFINITY);

fn known(x: Interval) -> Interval {
    if x.is_finite() { x } else { UNKNOWN }
}

impl Powers {
    fn new(centre: Interval, scale: Interval, coefficients: Vec<Interval>) -> Self {
        let factor = |(k, c): (usize, &Interval)| c.scaled(k as f64);
        let slopes: Vec<Interval> = coefficients.iter().enumerate().skip(1).map(factor).collect();
        let mut powers = Powers { centre, scale, coefficients, turns: Vec::new() };
        if powers.coefficients.len() <= 3 {
            return powers;
        }
        let mut stack = vec![Interval::symmetric(REACH)];
        while let Some(piece) = stack.pop() {
            let slope = range(&slopes, piece);
            if slope.lower > 0.0 || slope.upper < 0.0 {
                continue;
            }
            let middle = piece.middle();
            if piece.width() < SHORTEST || powers.turns.len() + stack.len() > MOST_TURNS {
                powers.turns.push((piece, range(&powers.coefficients, piece)));
            } else {
                stack.push(Interval::new(piece.lower, middle));
                stack.push(Interval::new(middle, piece.upper));
            }
        }
        powers
    }

    /// An enclosure of the values on `z`.
    ///
    /// Between the turns the polynomial is monotone, so that it is largest and smallest at the ends of
    /// the interval or in a turn.
    fn values(&self, z: Interval) -> Interval {
        let t = known((z - self.centre) * self.scale);
        if !Interval::symmetric(REACH).encloses(&t) {
            return range(&self.coefficients, t);
        }
        let at = |t: f64| range(&self.coefficients, Interval::point(t));
        let turns = self.turns.iter().filter(|(turn, _)| turn.intersection(&t).is_some());
        turns.fold(at(t.lower).hull(&at(t.upper)), |hull, (_, values)| hull.hull(values))
    }

    /// The image of a shape, for any degree: the values with `symbol` alone, or the first Taylor polynomial
    /// at the middle where that leaves less to the symbol.
    fn of_any_shape(&self, z: &Shape, symbol: usize) -> Shape {
        let values = self.values(z.range());
        let middle = values.middle();
        let radius = values.radius_about(middle);
        let constant = Shape {
            noise: vec![(symbol, Interval::point(radius))],
            ..Shape::constant(Interval::point(middle))
        };
        let t = Shape::constant(-(self.centre * self.scale)).plus(z, self.scale);
        if !t.range().is_finite() {
            return constant;
        }
        let middle = t.constant.middle();
        let still = sum_up([t.constant.radius_about(middle), t.square.magnitude(), t.loose()]);
        let taylor = taylor(&self.coefficients, middle);
        let rest = add_up(
            tail(&taylor, add_up(still, t.slope.magnitude()), 2),
            mul_up(taylor[1].magnitude(), still),
        );
        if rest < 0.5 * radius {
            Shape {
                slope: known(taylor[1] * t.slope),
                noise: vec![(symbol, Interval::point(rest))],
                ..Shape::constant(taylor[0])
            }
        } else {
            constant
        }
    }

    /// The image of a shape, for degrees up to 2.
    fn of_shape(&self, z: &Shape) -> Shape {
        let shift = Shape::constant(-(self.centre * self.scale));
        let t = shift.plus(z, self.scale);
        let mut sum = Shape::constant(self.coefficients[0]);
        if let Some(c) = self.coefficients.get(1) {
            sum = sum.plus(&t, *c);
        }
        if let Some(c) = self.coefficients.get(2) {
            sum = sum.plus(&t.squared(), *c);
        }
        sum
    }
}

/// The Taylor coefficients of sum_k coefficients[k] t^k at a point, by repeated Horner division.
fn taylor(coefficients: &[Interval], point: f64) -> Vec<Interval> {
    let mut taylor = coefficients.to_vec();
    let degree = taylor.len().saturating_sub(1);
    for first in 0..degree {
        for k in (first..degree).rev() {
            taylor[k] = known(taylor[k] + taylor[k + 1].scaled(point));
        }
    }
    taylor
}

/// An upper bound of sum |a_k| r^k over k >= `first`.
fn tail(taylor: &[Interval], radius: f64, first: usize) -> f64 {
    let terms = taylor[first.min(taylor.len())..].iter().rev();
    let sum = terms.fold(0.0, |sum, a| add_up(mul_up(sum, radius), a.magnitude()));
    (0..first).fold(sum, |sum, _| mul_up(sum, radius))
}

/// An enclosure of the values of sum_k coefficients[k] t^k on an interval.
fn range(coefficients: &[Interval], t: Interval) -> Interval {
    if !t.is_finite() {
        return UNKNOWN;
    }
    let middle = t.middle();
    if t.lower == t.upper {
        let terms = coefficients.iter().rev();
        return terms.fold(Interval::ZERO, |sum, c| known(sum.scaled(middle) + *c));
    }
    let taylor = taylor(coefficients, middle);
    let loose = tail(&taylor, t.radius_about(middle), 1);
    taylor.first().map_or(Interval::ZERO, |value| known(value.widened(loose)))
}

/// A number on a cell: constant + slope u + square u^2 + sum of noise_k eta_k, and at most rest beside it,
/// with |u| <= 1 and |eta_k| <= 1.
#[derive(Clone)]
struct Shape {
    constant: Interval,
    slope: Interval,
    square: Interval,
    /// By the number of the symbol, in order.
    noise: Vec<(usize, Interval)>,
    rest: f64,
}

impl Shape {
    fn constant(constant: Interval) -> Self {
        Shape {
            constant,
            slope: Interval::ZERO,
            square: Interval::ZERO,
            noise: Vec::new(),
            rest: 0.0,
        }
    }

    fn plus(mut self, other: &Shape, factor: Interval) -> Self {
        self.constant = self.constant + other.constant * factor;
        self.slope = self.slope + other.slope * factor;
        self.square = self.square + other.square * factor;
        self.rest = add_up(self.rest, mul_up(other.rest, factor.magnitude()));
        for (symbol, amount) in &other.noise {
            let amount = *amount * factor;
            match self.noise.binary_search_by_key(symbol, |(symbol, _)| *symbol) {
                Ok(k) => self.noise[k].1 = self.noise[k].1 + amount,
                Err(k) => self.noise.insert(k, (*symbol, amount)),
            }
        }
        self
    }

    /// A bound of what the symbols and the rest add.
    fn loose(&self) -> f64 {
        self.noise.iter().fold(self.rest, |sum, (_, amount)| add_up(sum, amount.magnitude()))
    }

    fn range(&self) -> Interval {
        let moving = self.slope * Interval::symmetric(1.0) + self.square * Interval::new(0.0, 1.0);
        known((self.constant + moving).widened(self.loose()))
    }

    fn squared(&self) -> Self {
        let (a, b, c) = (self.constant, self.slope, self.square);
        let twice = a.scaled(2.0);
        let loose = self.loose();
        let moving = add_up(b.magnitude(), c.magnitude());
        // 2 b c u^3 + c^2 u^4, and the products with the symbols that are not a's.
        let others = [
            mul_up(2.0 * b.magnitude(), c.magnitude()),
            mul_up(c.magnitude(), c.magnitude()),
            mul_up(2.0 * moving, loose),
            mul_up(loose, loose),
        ];
        let square = Shape {
            constant: a * a,
            slope: twice * b,
            square: twice * c + b * b,
            noise: Vec::new(),
            rest: others.into_iter().fold(0.0, add_up),
        };
        let symbols = Shape { noise: self.noise.clone(), ..Shape::constant(Interval::ZERO) };
        let symbols = Shape { rest: self.rest, ..symbols };
        square.plus(&symbols, twice)
    }
}

impl Composition {
    /// The function on the cell m + h u.
    fn shape(&self, m: f64, h: f64) -> Shape {
        let z = Shape { slope: Interval::point(h), ..Shape::constant(Interval::point(m)) };
        let mut numbers = vec![z];
        let mut symbols = 0;
        for step in &self.steps {
            numbers = match step {
                Step::Affine(rows) => {
                    let row = |(terms, bias): &(Vec<(usize, Interval)>, Interval)| {
                        let start = Shape::constant(*bias);
                        terms.iter().fold(start, |sum, (j, weight)| sum.plus(&numbers[*j], *weight))
                    };
                    rows.iter().map(row).collect()
                }
                Step::Polynomials(all) => {
                    let mut image = |(powers, z): (&Powers, &Shape)| {
                        if powers.coefficients.len() <= 3 {
                            return powers.of_shape(z);
                        }
                        symbols += 1;
                        powers.of_any_shape(z, symbols)
                    };
                    all.iter().zip(&numbers).map(&mut image).collect()
                }
            };
        }
        numbers.into_iter().next().unwrap_or(Shape::constant(Interval::ZERO))
    }

    /// Decides whether |B - s| <= error on a piece on which s is a line.
    pub(super) fn decide(&self, piece: &Piece, error: &Dyadic) -> Decision {
        let Form::Line { slope, offset } = &piece.form else {
            return Decision::Undecided("a composition is compared with lines only");
        };
        let (slope, offset) = (around(slope), around(offset));
        // The error claimed is an f64.
        let limit = around(error).lower;
        let ends = (around(&piece.lower).lower, around(&piece.upper).upper);
        if !(ends.0.is_finite() && ends.1.is_finite()) {
            return Decision::Undecided("its interval leaves the numbers of f64");
        }
        let mut stack = vec![ends];
        let mut cells = 0;
        while let Some((lower, upper)) = stack.pop() {
            let cell = Interval::new(lower, upper);
            let middle = cell.middle();
            let half = cell.radius_about(middle);
            let line = Shape {
                slope: slope.scaled(half),
                ..Shape::constant(slope.scaled(middle) + offset)
            };
            let off = self.shape(middle, half).plus(&line, Interval::point(-1.0)).range();
            if off.magnitude() <= limit {
                continue;
            }
            let point = slope.scaled(middle) + offset;
            let there = self.shape(middle, 0.0).range() - point;
            let least = there.lower.max(-there.upper);
            let inside = piece.lower <= dyadic(middle) && dyadic(middle) <= piece.upper;
            if least > limit.next_up() && inside {
                return Decision::Refuted { at: middle, least };
            }
            cells += 1;
            if cells > MOST_CELLS || !(lower < middle && middle < upper) {
                return Decision::Undecided("its composition needs too many cells");
            }
            stack.extend([(middle, upper), (lower, middle)]);
        }
        Decision::Proven
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;
    use crate::network::{Basis, Slaf};

    #[test]
    fn spans_of_too_much_work_are_refused() {
        let slaf = |degree: usize| {
            Layer::Slaf(Slaf::new(Basis::Monomial, Array2::<f64>::ones((1, degree + 1))).unwrap())
        };
        assert!(layers(&[slaf(64)], 10).is_ok());
        assert!(layers(&[slaf(65)], 10).err().unwrap().contains("degree 65"));
        assert!(layers(&[slaf(64)], 600).err().unwrap().contains("work"));
        // No polynomial, but numbers that take in no neuron and that all of them have.
        let affine = |width: usize, weight: f64| {
            let weight = Array2::from_elem((width, width), weight);
            Layer::Affine(Affine::new(weight, Array1::<f64>::zeros(width)).unwrap())
        };
        let span = |width| [affine(width, 0.0), affine(width, 1.0), affine(width, 1.0)];
        assert!(replacements(&span(20), 20).is_ok());
        let (neuron, what) = replacements(&span(200), 200).err().unwrap();
        assert!(neuron.is_some() && what.contains("work"), "{what}");
    }
}
