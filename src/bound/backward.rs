//! Backward linear relaxation: the least value of a linear function of a layer over the box.
//!
//! A linear function of what enters a layer is rewritten, layer by layer, as one of what entered the
//! layer before, an activation replaced by a line below or above it according to the sign of its
//! weight, until only inputs are left, whose box gives the least value (Zhang et al. 2018, CROWN;
//! Singh et al. 2019, DeepPoly). Two things sharpen it: the slope of a line below a kink is free (Xu
//! et al. 2021, alpha-CROWN), and on a part of the box where a pre-activation has one sign, that
//! activation is linear and the sign enters by a Lagrange multiplier (Wang et al. 2021, beta-CROWN).
//! Whatever slopes and multipliers are chosen, the bound holds.

use ndarray::Array2;

use crate::bound::chain::{Chain, Step};
use crate::bound::domain::Domain;
use crate::bound::linear::{absolute_dots, rounding};
use crate::bound::neuron::Ranged;
use crate::bound::relax::Line;
use crate::network::Activation;
use crate::numeric::outward::{Interval, add_down, add_up, mul_up, sum_up};

/// What a part of the box assumes of a pre-activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Nothing.
    Free,
    /// z <= 0.
    Below,
    /// z >= 0.
    Above,
}

/// How one neuron is relaxed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// The line below; it may differ from bound to bound.
    pub lower: Line,
    /// The line above.
    pub upper: Line,
    pub side: Side,
    /// The multiplier of the assumption, at least 0.
    pub multiplier: f64,
}

/// The choices for the neurons of each layer; empty for affine ones.
pub(super) type Choices = Vec<Vec<Choice>>;

/// The network up to a layer, with all that is known of its neurons.
pub(super) struct Prefix<'a> {
    pub chain: &'a Chain<'a>,
    pub domain: &'a Domain,
    /// The ranges of the activation layers so far.
    pub layers: Vec<Option<Vec<Ranged>>>,
    /// Bounds of the absolute values that enter each layer.
    magnitudes: Vec<Vec<f64>>,
    /// For affine layers: sum_j |w_ij| magnitude_j.
    sums: Vec<Vec<f64>>,
}

/// Where a bound was attained, for its improvement; nothing here has to be right.
pub(super) struct Trace {
    /// The weights that met the activations of each layer; empty for affine layers.
    pub rows: Vec<Vec<f64>>,
    /// The vertex of the box.
    pub vertex: Vec<f64>,
}

impl<'a> Prefix<'a> {
    /// Nothing but the inputs.
    pub fn new(chain: &'a Chain<'a>, domain: &'a Domain) -> Self {
        Prefix { chain, domain, layers: Vec::new(), magnitudes: Vec::new(), sums: Vec::new() }
    }

    /// Adds the next layer: what enters it and, for an activation layer, its ranges.
    pub fn push(&mut self, entering: &[Interval], ranged: Option<Vec<Ranged>>) {
        let magnitudes: Vec<f64> = entering.iter().map(Interval::magnitude).collect();
        self.sums.push(match &self.chain.steps[self.layers.len()] {
            Step::Affine { weight, .. } => absolute_dots(weight, &magnitudes),
            Step::Activation(_) => Vec::new(),
        });
        self.magnitudes.push(magnitudes);
        self.layers.push(ranged);
    }

    /// The choices that the ranges suggest, and no assumption.
    pub fn choices(&self) -> Choices {
        let free = |ranged: &Ranged| Choice {
            lower: ranged.relaxation.lower,
            upper: ranged.relaxation.upper,
            side: Side::Free,
            multiplier: 0.0,
        };
        let layers = self.layers.iter();
        layers.map(|layer| layer.iter().flatten().map(free).collect()).collect()
    }

    /// A lower bound of `row` times what leaves the last layer, plus `constant`, over the part of the box
    /// where the assumptions hold; a NaN when numbers overflow.
    ///
    /// Cost: a product of a vector with each weight matrix.
    pub fn least(
        &self,
        mut row: Vec<f64>,
        constant: f64,
        choices: &Choices,
        mut trace: Option<&mut Trace>,
    ) -> f64 {
        // Every entry of `row` is what f64 made of it; what rounding changed it by, times the
        // largest value it meets, is taken off the constant.
        let mut constant = constant;
        if let Some(trace) = trace.as_deref_mut() {
            trace.rows = vec![Vec::new(); self.layers.len()];
        }
        for k in (0..self.layers.len()).rev() {
            let magnitudes = &self.magnitudes[k];
            match &self.chain.steps[k] {
                Step::Affine { weight, bias } => {
                    let terms = row.iter().zip(bias.iter());
                    let shift = terms
                        .fold(Interval::ZERO, |sum, (r, b)| sum + Interval::point(*b).scaled(*r));
                    let largest = magnitudes.iter().copied().fold(0.0, f64::max);
                    let slack = rounding(&row, &self.sums[k], weight.ncols(), largest);
                    constant = add_down(add_down(constant, shift.lower), -slack);
                    row = times(&row, weight);
                }
                Step::Activation(_) => {
                    if let Some(trace) = trace.as_deref_mut() {
                        trace.rows[k].clone_from(&row);
                    }
                    let (mut sum, mut slack) = (Interval::point(constant), 0.0);
                    for (r, (choice, magnitude)) in
                        row.iter_mut().zip(choices[k].iter().zip(magnitudes))
                    {
                        let line = if *r >= 0.0 { choice.lower } else { choice.upper };
                        sum = sum + Interval::point(line.offset).scaled(*r);
                        // min f over z >= 0 is at least min (f - beta z), beta >= 0.
                        let tilt = match choice.side {
                            Side::Free => 0.0,
                            Side::Below => choice.multiplier,
                            Side::Above => -choice.multiplier,
                        };
                        let exact = Interval::point(line.slope).scaled(*r) + Interval::point(tilt);
                        *r = *r * line.slope + tilt;
                        slack = add_up(slack, mul_up(exact.radius_about(*r), *magnitude));
                    }
                    constant = add_down(sum.lower, -slack);
                }
            }
        }
        if let Some(trace) = trace {
            let vertex = row.iter().zip(self.domain.intervals());
            trace.vertex = vertex.map(|(r, x)| if *r >= 0.0 { x.lower } else { x.upper }).collect();
        }
        // An entry that leaves the numbers of f64 stands for one that is not known; no weight or slope
        // brings it back.
        if !row.iter().all(|r| r.is_finite()) {
            return f64::NAN;
        }
        let terms = row.iter().zip(self.domain.intervals()).map(|(r, x)| -x.scaled(*r).lower);
        add_down(constant, -sum_up(terms))
    }

    /// The pre-activations of each activation layer at the vertex of a trace, along the lines that the
    /// bound took; in f64.
    pub fn along(&self, choices: &Choices, trace: &Trace) -> Vec<Vec<f64>> {
        let mut values = trace.vertex.clone();
        let mut met = vec![Vec::new(); self.layers.len()];
        for k in 0..self.layers.len() {
            match &self.chain.steps[k] {
                Step::Affine { weight, bias } => {
                    let dot = |row: ndarray::ArrayView1<f64>| -> f64 {
                        row.iter().zip(&values).map(|(w, y)| w * y).sum()
                    };
                    let rows = weight.rows().into_iter().zip(bias.iter());
                    values = rows.map(|(row, b)| dot(row) + b).collect();
                }
                Step::Activation(_) => {
                    met[k].clone_from(&values);
                    let neurons = values.iter_mut().zip(choices[k].iter().zip(&trace.rows[k]));
                    for (value, (choice, r)) in neurons {
                        let line = if *r >= 0.0 { choice.lower } else { choice.upper };
                        *value = *value * line.slope + line.offset;
                    }
                }
            }
        }
        met
    }

    /// The activation of a neuron.
    pub fn activation(&self, layer: usize, neuron: usize) -> Option<Activation> {
        match &self.chain.steps[layer] {
            Step::Activation(units) => units.get(neuron).copied(),
            Step::Affine { .. } => None,
        }
    }
}

/// A row times a matrix, in f64.
fn times(row: &[f64], weight: &Array2<f64>) -> Vec<f64> {
    let mut product = vec![0.0; weight.ncols()];
    for (r, entries) in row.iter().zip(weight.rows()) {
        if *r != 0.0 {
            for (sum, w) in product.iter_mut().zip(entries) {
                *sum += r * w;
            }
        }
    }
    product
}
