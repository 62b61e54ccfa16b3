//! A network cut into stages, and a proven bound on the coefficients of its polynomials.
//!
//! A stage is an affine map, then one polynomial for each of its neurons. Consecutive layers of
//! either kind are joined by identities, so every polynomial network has this form; what cannot
//! reach an output is left out.
//!
//! **The bound.** Replace every weight, bias and coefficient by its absolute value: the majorant
//! network. The 1-norm of the coefficients (the sum of their absolute values) satisfies |p + q| <=
//! |p| + |q|, |c p| = |c| |p| and |p q| <= |p| |q|, and the constant c has norm |c|, the variable
//! x_i has norm 1. Hence by induction over the network the norm of every neuron's polynomial is at
//! most the value of its majorant at x = (1, ..., 1), and so is each of its coefficients. The value
//! is computed with upward rounding at every step ([`Upper`]).

use std::borrow::Cow;

use num_bigint::BigUint;
use num_rational::BigRational;
use num_traits::One;

use crate::error::{Error, Result};
use crate::expand::size::check_size;
use crate::network::{
    Activation, Basis, Layer, Matrix, Network, Numbers, Part, PoolKind, Slaf, Vector,
};
use crate::numeric::odd::Odd;
use crate::numeric::rational::rational_from_f64;

/// Bits of the longest odd part of a denominator that is written down: more than all primes determine.
pub(super) const LONGEST: u64 = 1 << 19;

/// A parameter, exactly.
#[derive(Clone, Debug)]
pub(super) enum Number {
    /// `mantissa 2^exponent`, the mantissa odd or zero and below 2^53 in size.
    Dyadic { mantissa: i64, exponent: i32 },
    /// Any other.
    Rational(Box<BigRational>),
}

impl Number {
    const ZERO: Number = Number::Dyadic { mantissa: 0, exponent: 0 };
    pub(super) const ONE: Number = Number::Dyadic { mantissa: 1, exponent: 0 };

    fn from_f64(x: f64) -> Self {
        let bits = x.to_bits();
        let biased = (bits >> 52 & 0x7ff) as i32;
        let fraction = (bits & ((1 << 52) - 1)) as i64;
        let magnitude = if biased == 0 { fraction } else { fraction | 1 << 52 };
        if magnitude == 0 {
            return Number::ZERO;
        }
        let zeros = magnitude.trailing_zeros();
        let mantissa = magnitude >> zeros;
        Number::Dyadic {
            mantissa: if x < 0.0 { -mantissa } else { mantissa },
            exponent: biased.max(1) - 1075 + zeros as i32,
        }
    }

    fn from_rational(x: &BigRational) -> Self {
        let short = crate::numeric::rational::rational_to_f64(x);
        match short {
            // Exactly an f64: the common case of rationals made from f64.
            Some(y) if rational_from_f64(y).as_ref() == Some(x) => Number::from_f64(y),
            _ => Number::Rational(Box::new(x.clone())),
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        matches!(self, Number::Dyadic { mantissa: 0, .. })
    }

    /// The power of two in the denominator; negative where the numerator has one.
    fn twos(&self) -> i64 {
        match self {
            Number::Dyadic { exponent, .. } => -i64::from(*exponent),
            Number::Rational(x) => match x.denom().trailing_zeros().unwrap_or(0) {
                0 => -(x.numer().trailing_zeros().unwrap_or(0) as i64),
                twos => twos as i64,
            },
        }
    }

    /// The odd part of the denominator.
    fn odd(&self) -> Odd {
        match self {
            Number::Dyadic { .. } => Odd::one(),
            Number::Rational(x) => {
                let denominator = x.denom().magnitude();
                Odd::Known(denominator >> denominator.trailing_zeros().unwrap_or(0))
            }
        }
    }

    fn upper(&self) -> Upper {
        match self {
            // Below 2^53: exact.
            Number::Dyadic { mantissa, exponent } => {
                Upper::new(mantissa.unsigned_abs() as f64, i64::from(*exponent))
            }
            Number::Rational(x) => {
                let (n, up) = leading(x.numer().magnitude());
                let (d, down) = leading(x.denom().magnitude());
                // Truncated: the numerator is below n + 1, the denominator at least d.
                Upper::new(((n + 1) as f64 / d as f64).next_up(), up - down)
            }
        }
    }
}

/// The first 52 bits of an integer, and the power of two that belongs to them.
fn leading(x: &BigUint) -> (u64, i64) {
    let shift = x.bits().saturating_sub(52);
    ((x >> shift).iter_u64_digits().next().unwrap_or(0), shift as i64)
}

/// An upper bound of a number that is not negative: `mantissa 2^exponent`, beyond the range of f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Upper {
    /// Zero, or in [1, 2).
    mantissa: f64,
    exponent: i64,
}

impl Upper {
    const ZERO: Upper = Upper { mantissa: 0.0, exponent: 0 };
    const ONE: Upper = Upper { mantissa: 1.0, exponent: 0 };

    /// `x 2^exponent` for a normal or zero x.
    fn new(x: f64, exponent: i64) -> Self {
        if x == 0.0 {
            return Upper::ZERO;
        }
        let bits = x.to_bits();
        let own = (bits >> 52) as i64 - 1023;
        let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
        Upper { mantissa, exponent: exponent.saturating_add(own) }
    }

    fn plus(self, other: Self) -> Self {
        let (large, small) =
            if other.mantissa != 0.0 && (self.mantissa == 0.0 || other.exponent > self.exponent) {
                (other, self)
            } else {
                (self, other)
            };
        if small.mantissa == 0.0 {
            return large;
        }
        let distance = large.exponent.saturating_sub(small.exponent);
        // What is more than 60 places below is covered by the step up.
        let part = if distance > 60 { 0.0 } else { small.mantissa / (1_u64 << distance) as f64 };
        Upper::new((large.mantissa + part).next_up(), large.exponent)
    }

    fn times(self, other: Self) -> Self {
        if self.mantissa == 0.0 || other.mantissa == 0.0 {
            return Upper::ZERO;
        }
        let product = (self.mantissa * other.mantissa).next_up();
        Upper::new(product, self.exponent.saturating_add(other.exponent))
    }

    /// An upper bound of log2; `f64::log2` is off by far less than the margin.
    fn log2(self) -> f64 {
        if self.mantissa == 0.0 {
            return f64::NEG_INFINITY;
        }
        (self.exponent as f64 + self.mantissa.log2() + 1e-9).next_up()
    }
}

/// One row of an affine map.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) bias: Number,
    /// Column and weight, ascending, none zero.
    pub(super) weights: Vec<(u32, Number)>,
}

/// An affine map and one polynomial a neuron: coefficients from degree 0, the last not zero
/// unless it is the only one.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) rows: Vec<Row>,
    pub(super) polynomials: Vec<Vec<Number>>,
    /// A bound on the total degree of each pre-activation.
    pub(super) degrees: Vec<u128>,
}

impl Stage {
    /// The largest degree of a polynomial.
    pub(super) fn polynomial_degree(&self) -> usize {
        self.polynomials.iter().map(|c| c.len() - 1).max().unwrap_or(0)
    }

    /// The largest total degree of a pre-activation.
    pub(super) fn degree(&self) -> u128 {
        self.degrees.iter().copied().max().unwrap_or(0)
    }
}

/// A polynomial network in stages.
#[derive(Clone, Debug)]
pub(super) struct Stages {
    /// The number of inputs, whether or not they are used.
    pub(super) inputs: usize,
    /// The inputs that can reach an output, ascending; the first stage's columns are these.
    pub(super) used: Vec<u32>,
    pub(super) hidden: Vec<Stage>,
    pub(super) outputs: Vec<Row>,
    /// A bound on the total degree of each output.
    pub(super) output_degrees: Vec<u128>,
}

/// What is proven of one output: its coefficients are integers over `odd 2^twos`, and these are
/// below 2^bits in size.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// 1 where it is too long to be written down; then `bits` are beyond every method that reads it.
    pub(super) odd: BigUint,
    pub(super) twos: u64,
    pub(super) bits: f64,
}

/// What [`Stages`] are made from, layer by layer.
struct Builder {
    hidden: Vec<Stage>,
    /// The affine map that waits for its polynomials.
    waiting: Option<Vec<Row>>,
}

impl Builder {
    /// Adds a layer on `width` numbers that stand behind `carried` others, which stay as they are:
    /// the input of a residual waits there for what its layers make.
    fn layer(&mut self, l: usize, layer: &Layer, carried: usize, width: usize) -> Result<()> {
        match layer {
            Layer::Affine(affine) => {
                self.affine(affine_rows(affine.weight(), affine.bias()), carried);
            }
            Layer::Conv(conv) => {
                let channels = affine_rows(conv.weight(), conv.bias());
                let rows = conv.window().sources().into_iter().flat_map(|sources| {
                    let row = |channel: &Row| channel.at(&sources);
                    channels.iter().map(row).collect::<Vec<_>>()
                });
                self.affine(rows.collect(), carried);
            }
            Layer::Pool(pool) => {
                let PoolKind::Average(scale) = pool.kind() else {
                    return Err(not_polynomial(l, "max_pool (neuron 0)".into()));
                };
                let channels = pool.window().input()[2];
                let scale = Number::from_f64(scale);
                let rows = pool.window().sources().into_iter().flat_map(|sources| {
                    let row = |channel: usize| {
                        let own = sources.iter().skip(channel).step_by(channels).flatten();
                        let weights = own.map(|at| (*at as u32, scale.clone()));
                        let weights = weights.filter(|(_, w)| !w.is_zero()).collect();
                        Row { bias: Number::ZERO, weights }
                    };
                    (0..channels).map(row).collect::<Vec<_>>()
                });
                self.affine(rows.collect(), carried);
            }
            Layer::Flatten(_) => {}
            Layer::Residual(layers) => {
                let unit =
                    |i: usize| Row { bias: Number::ZERO, weights: vec![(i as u32, Number::ONE)] };
                self.affine((0..2 * width).map(|i| unit(i % width)).collect(), carried);
                let mut own = width;
                for layer in layers {
                    self.layer(l, layer, carried + width, own)?;
                    own = layer.width_after(own)?;
                }
                let sum = |i: usize| Row {
                    bias: Number::ZERO,
                    weights: vec![(i as u32, Number::ONE), ((width + i) as u32, Number::ONE)],
                };
                self.affine((0..width).map(sum).collect(), carried);
            }
            Layer::Channels(_) | Layer::Slaf(_) | Layer::Activation(_) | Layer::Mixed(_) => {
                let rows = self.waiting.take().unwrap_or_else(|| identity(carried + width));
                let mut all = linear(carried);
                match layer {
                    Layer::Channels(channels) => {
                        let own = polynomials(l, channels.layer(), channels.channels())?;
                        (0..channels.positions()).for_each(|_| all.extend_from_slice(&own));
                    }
                    layer => all.extend(polynomials(l, layer, width)?),
                }
                self.hidden.push(Stage { rows, polynomials: all, degrees: Vec::new() });
            }
        }
        Ok(())
    }

    /// Adds an affine map behind `carried` numbers.
    fn affine(&mut self, mut rows: Vec<Row>, carried: usize) {
        if let Some(rows) = self.waiting.take() {
            let polynomials = linear(rows.len());
            self.hidden.push(Stage { rows, polynomials, degrees: Vec::new() });
        }
        for (column, _) in rows.iter_mut().flat_map(|row| &mut row.weights) {
            *column += carried as u32;
        }
        let mut all = identity(carried);
        all.append(&mut rows);
        self.waiting = Some(all);
    }
}

impl Row {
    /// The row of a window's weights where these numbers lie under it, in ascending order.
    fn at(&self, sources: &[Option<usize>]) -> Row {
        let own = |(j, w): &(u32, Number)| Some((sources[*j as usize]? as u32, w.clone()));
        Row { bias: self.bias.clone(), weights: self.weights.iter().filter_map(own).collect() }
    }
}

impl Stages {
    /// # Errors
    /// When an activation that can reach an output is not a polynomial, or the network is too large.
    pub(super) fn new(network: &Network) -> Result<Self> {
        check_size(network)?;
        let mut builder = Builder { hidden: Vec::new(), waiting: None };
        let widths = network.widths();
        for (l, layer) in network.layers().iter().enumerate() {
            builder.layer(l, layer, 0, widths[l])?;
        }
        let Builder { hidden, waiting } = builder;
        let width = network.outputs().len();
        let mut stages = Stages {
            inputs: network.inputs().len(),
            used: Vec::new(),
            hidden,
            outputs: waiting.unwrap_or_else(|| identity(width)),
            output_degrees: Vec::new(),
        };
        stages.prune();
        stages.find_degrees();
        Ok(stages)
    }

    /// Bytes of the numbers, and of the neurons that hold them.
    pub(super) fn bytes(&self) -> f64 {
        let of_row =
            |row: &Row| size_of_val(row) + row.weights.capacity() * size_of::<(u32, Number)>();
        let of_list = |c: &Vec<Number>| size_of_val(c) + c.capacity() * size_of::<Number>();
        let rows = self.hidden.iter().flat_map(|stage| &stage.rows).chain(&self.outputs);
        let lists = self.hidden.iter().flat_map(|stage| &stage.polynomials);
        rows.map(of_row).chain(lists.map(of_list)).map(|bytes| bytes as f64).sum()
    }

    /// Leaves out what no output depends on, from the outputs backward.
    fn prune(&mut self) {
        let Stages { inputs, used, hidden, outputs, .. } = self;
        let mut later: &mut [Row] = outputs;
        for stage in hidden.iter_mut().rev() {
            let kept = keep_columns(later, stage.rows.len());
            let mut rows = Vec::with_capacity(kept.len());
            let mut polynomials = Vec::with_capacity(kept.len());
            for &neuron in &kept {
                let mut row = std::mem::replace(
                    &mut stage.rows[neuron as usize],
                    Row { bias: Number::ZERO, weights: Vec::new() },
                );
                let polynomial = std::mem::take(&mut stage.polynomials[neuron as usize]);
                if polynomial.len() == 1 {
                    // A constant: its pre-activation does not matter.
                    row = Row { bias: Number::ZERO, weights: Vec::new() };
                }
                rows.push(row);
                polynomials.push(polynomial);
            }
            stage.rows = rows;
            stage.polynomials = polynomials;
            later = &mut stage.rows;
        }
        *used = keep_columns(later, *inputs);
    }

    /// The polynomial of which this one is the value at W x, W the weights of the first stage: with
    /// its biases, in as many variables as it has pre-activations; `None` where these are not fewer
    /// than the inputs, or where there is one stage only.
    pub(super) fn compressed(&self) -> Option<Stages> {
        let (first, later) = self.hidden.split_first()?;
        let mut used = 0;
        let rows = first
            .rows
            .iter()
            .map(|row| {
                // A constant has no weights.
                let own = (!row.weights.is_empty()).then_some((used, Number::ONE));
                used += u32::from(own.is_some());
                Row { bias: row.bias.clone(), weights: own.into_iter().collect() }
            })
            .collect();
        if later.is_empty() || used == 0 || used as usize >= self.used.len() {
            return None;
        }
        let mut hidden = self.hidden.clone();
        hidden[0].rows = rows;
        Some(Stages::of(used as usize, hidden, self.outputs.clone()))
    }

    /// The same with the inputs that are used from the n-th on set to zero; `None` where that
    /// changes the degree.
    pub(super) fn with_inputs(&self, n: usize) -> Option<Stages> {
        let mut hidden = self.hidden.clone();
        for row in &mut hidden.first_mut()?.rows {
            row.weights.retain(|(j, _)| (*j as usize) < n);
        }
        let part = Stages::of(n, hidden, self.outputs.clone());
        (part.degree() == self.degree()).then_some(part)
    }

    /// Stages in which everything is used.
    pub(super) fn of(inputs: usize, hidden: Vec<Stage>, outputs: Vec<Row>) -> Stages {
        let used = (0..inputs as u32).collect();
        let mut stages = Stages { inputs, used, hidden, outputs, output_degrees: Vec::new() };
        stages.find_degrees();
        stages
    }

    fn find_degrees(&mut self) {
        let mut degrees: Vec<u128> = vec![1; self.used.len()];
        let of_row = |row: &Row, degrees: &[u128]| {
            row.weights.iter().map(|(j, _)| degrees[*j as usize]).max().unwrap_or(0)
        };
        for stage in &mut self.hidden {
            stage.degrees = stage.rows.iter().map(|row| of_row(row, &degrees)).collect();
            degrees = stage
                .degrees
                .iter()
                .zip(&stage.polynomials)
                .map(|(z, c)| z.saturating_mul(c.len() as u128 - 1))
                .collect();
        }
        self.output_degrees = self.outputs.iter().map(|row| of_row(row, &degrees)).collect();
    }

    /// A bound on the total degree of all outputs.
    pub(super) fn degree(&self) -> u128 {
        self.output_degrees.iter().copied().max().unwrap_or(0)
    }

    /// The number of parameters.
    pub(super) fn numbers(&self) -> usize {
        let rows = self.hidden.iter().flat_map(|stage| &stage.rows).chain(&self.outputs);
        let entries: usize = rows.map(|row| row.weights.len() + 1).sum();
        let polynomials = self.hidden.iter().flat_map(|stage| &stage.polynomials);
        entries + polynomials.map(Vec::len).sum::<usize>()
    }

    /// What is proven of the coefficients of each output.
    pub(super) fn bounds(&self) -> Vec<Bound> {
        let mut neurons =
            vec![Size { norm: Upper::ONE, twos: 0, odd: Odd::one() }; self.used.len()];
        for stage in &self.hidden {
            neurons = stage
                .rows
                .iter()
                .zip(&stage.polynomials)
                .map(|(row, c)| Size::affine(row, &neurons).polynomial(c))
                .collect();
        }
        self.outputs
            .iter()
            .map(|row| {
                let size = Size::affine(row, &neurons);
                let twos = size.twos.max(0);
                let (odd, long) = match size.odd {
                    Odd::Known(odd) if odd.is_one() => (odd, 0.0),
                    Odd::Known(odd) => {
                        let (n, shift) = leading(&odd);
                        (odd, Upper::new((n + 1) as f64, shift).log2())
                    }
                    Odd::Long(bits) => (BigUint::one(), bits),
                };
                let bits = (size.norm.log2() + twos as f64 + long).max(0.0);
                Bound { odd, twos: twos as u64, bits: bits.next_up() }
            })
            .collect()
    }
}

/// The columns that some row uses, ascending; the rows then count among these alone.
fn keep_columns(rows: &mut [Row], columns: usize) -> Vec<u32> {
    let mut position = vec![u32::MAX; columns];
    for row in rows.iter() {
        for (j, _) in &row.weights {
            position[*j as usize] = 0;
        }
    }
    let kept: Vec<u32> = (0..columns as u32).filter(|j| position[*j as usize] == 0).collect();
    if kept.len() < columns {
        for (new, j) in kept.iter().enumerate() {
            position[*j as usize] = new as u32;
        }
        for row in rows {
            for (j, _) in &mut row.weights {
                *j = position[*j as usize];
            }
        }
    }
    kept
}

/// A bound on the 1-norm of a polynomial, and a denominator of its coefficients.
#[derive(Clone, Debug)]
struct Size {
    norm: Upper,
    twos: i64,
    odd: Odd,
}

impl Size {
    fn affine(row: &Row, inputs: &[Size]) -> Self {
        let mut norm = row.bias.upper();
        let mut twos = (!row.bias.is_zero()).then(|| row.bias.twos());
        let mut odd = row.bias.odd();
        for (j, w) in &row.weights {
            let x = &inputs[*j as usize];
            if x.norm == Upper::ZERO {
                continue;
            }
            norm = norm.plus(w.upper().times(x.norm));
            let product = w.twos().saturating_add(x.twos);
            twos = Some(twos.map_or(product, |t| t.max(product)));
            if matches!(w, Number::Rational(_)) || !x.odd.is_one() {
                odd = odd.common(&x.odd.power_times(1, &w.odd(), LONGEST), LONGEST);
            }
        }
        // Zero is an integer over anything.
        Size { norm, twos: twos.unwrap_or(0), odd }
    }

    fn polynomial(&self, coefficients: &[Number]) -> Self {
        let mut norm = Upper::ZERO;
        let mut twos = None;
        let mut odd = Odd::one();
        for (k, c) in coefficients.iter().enumerate().rev() {
            norm = norm.times(self.norm).plus(c.upper());
            if !c.is_zero() {
                let term = c.twos().saturating_add(self.twos.saturating_mul(k as i64));
                twos = Some(twos.map_or(term, |t: i64| t.max(term)));
                if matches!(c, Number::Rational(_)) {
                    odd = odd.common(&c.odd(), LONGEST);
                }
            }
        }
        let odd = self.odd.power_times(coefficients.len() as u32 - 1, &odd, LONGEST);
        Size { norm, twos: twos.unwrap_or(0), odd }
    }
}

fn identity(width: usize) -> Vec<Row> {
    (0..width as u32).map(|i| Row { bias: Number::ZERO, weights: vec![(i, Number::ONE)] }).collect()
}

/// Polynomials that change nothing.
fn linear(width: usize) -> Vec<Vec<Number>> {
    vec![vec![Number::ZERO, Number::ONE]; width]
}

fn not_polynomial(layer: usize, function: String) -> Error {
    let advice = "replace it by a slaf, or approximate the network by one".into();
    Error::NotPolynomial { layer, function, advice }
}

fn affine_rows(weight: &Matrix, bias: &Vector) -> Vec<Row> {
    let bias: Vec<Number> = match bias {
        Numbers::Float(b) => b.iter().map(|x| Number::from_f64(*x)).collect(),
        Numbers::Exact(b) => b.iter().map(Number::from_rational).collect(),
    };
    bias.into_iter()
        .enumerate()
        .map(|(i, bias)| {
            let weights = match weight {
                Numbers::Float(w) => nonzero(w.row(i).iter().map(|x| Number::from_f64(*x))),
                Numbers::Exact(w) => nonzero(w.row(i).iter().map(Number::from_rational)),
            };
            Row { bias, weights }
        })
        .collect()
}

fn nonzero(row: impl Iterator<Item = Number>) -> Vec<(u32, Number)> {
    (0..).zip(row).filter(|(_, x)| !x.is_zero()).collect()
}

/// The polynomial of each neuron of a layer without weights.
fn polynomials(l: usize, layer: &Layer, width: usize) -> Result<Vec<Vec<Number>>> {
    let conventional = |function: Activation, neuron: Option<usize>| match function {
        Activation::Identity => Ok(vec![Number::ZERO, Number::ONE]),
        function => {
            let neuron = neuron.unwrap_or(0);
            Err(not_polynomial(l, format!("{} (neuron {neuron})", function.name())))
        }
    };
    match layer {
        Layer::Slaf(slaf) => Ok(slaf_polynomials(slaf, width)),
        Layer::Activation(function) => {
            let one = conventional(*function, None)?;
            Ok(vec![one; width])
        }
        Layer::Mixed(mixed) => {
            let mut all: Vec<Vec<Number>> = vec![Vec::new(); width];
            for group in mixed.groups() {
                match &group.part {
                    Part::Activation(function) => {
                        for &i in &group.neurons {
                            all[i] = conventional(*function, Some(i))?;
                        }
                    }
                    Part::Slaf(slaf) => {
                        let parts = slaf_polynomials(slaf, group.neurons.len());
                        for (&i, part) in group.neurons.iter().zip(parts) {
                            all[i] = part;
                        }
                    }
                }
            }
            Ok(all)
        }
        // The others have no polynomials of their own.
        _ => Ok(linear(width)),
    }
}

fn slaf_polynomials(slaf: &Slaf, width: usize) -> Vec<Vec<Number>> {
    let trimmed = |mut c: Vec<Number>| {
        while c.len() > 1 && c[c.len() - 1].is_zero() {
            c.pop();
        }
        if c.is_empty() { vec![Number::ZERO] } else { c }
    };
    match (slaf.basis(), slaf.coefficients()) {
        (Basis::Monomial, Numbers::Float(c)) => (0..width)
            .map(|i| {
                let row: Cow<[f64]> = match c.row(if c.nrows() == 1 { 0 } else { i }).to_slice() {
                    Some(row) => Cow::Borrowed(row),
                    None => Cow::Owned(c.row(if c.nrows() == 1 { 0 } else { i }).to_vec()),
                };
                trimmed(row.iter().map(|x| Number::from_f64(*x)).collect())
            })
            .collect(),
        _ => slaf
            .fold(width)
            .into_iter()
            .map(|p| trimmed(p.into_coefficients().iter().map(Number::from_rational).collect()))
            .collect(),
    }
}
