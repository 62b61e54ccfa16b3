//! From the steps that lead from the input to the output to the layers of a network.
//!
//! Scalings and shifts are folded into the affine map before or after them. Where the folded
//! numbers are exactly f64 numbers, as products of float32 numbers are, the network is the file's
//! function exactly. Elsewhere the scaling stays an affine map of its own, unless it was rounded
//! already (a batch normalisation, a division) or is too wide for a matrix; then the folded
//! numbers are rounded, and the step is reported.

use std::collections::BTreeSet;
use std::rc::Rc;

use ndarray::{Array1, Array2};

use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::network::activation::Activation;
use crate::network::layer::{Affine, Basis, Group, Layer, Mixed, Part, Slaf};

/// Widest scaling that becomes a square matrix of its own: 32 MiB.
const WIDEST_DIAGONAL: usize = 2048;

/// A number for every entry of a row, or one for all.
#[derive(Clone, Debug)]
pub(super) enum Factor {
    All(f64),
    Each(Rc<[f64]>),
}

impl Factor {
    pub fn at(&self, i: usize) -> f64 {
        match self {
            Factor::All(x) => *x,
            Factor::Each(x) => x[i],
        }
    }

    /// The same with `function` applied to each number.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Factor {
        match self {
            Factor::All(x) => Factor::All(function(*x)),
            Factor::Each(x) => Factor::Each(x.iter().map(|x| function(*x)).collect()),
        }
    }
}

/// What a step does to the values of a row.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The input itself.
    Input,
    /// A matrix: (entries before, entries after), or the other way round when `transposed`.
    Dense {
        weight: Tensor,
        transposed: bool,
    },
    /// Each entry times its number.
    Multiply(Factor),
    /// Each entry divided by its number, which is not 0.
    Divide(Factor),
    /// Each entry plus its number.
    Shift(Factor),
    Activate(Activation),
    /// A leaky ReLU with a slope for each entry.
    Slopes(Rc<[f64]>),
    /// z^k, k at least 2.
    Power(usize),
    /// The error function, which is only read as a part of GELU.
    Erf,
    Softmax,
}

/// One step from the input towards the output.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub op: Op,
    /// The step before; 0, the input, is its own parent.
    pub parent: usize,
    /// Entries of a row after the step.
    pub width: usize,
    /// The node in the file that it comes from.
    pub node: usize,
    /// Whether its numbers are rounded anyway, so that folding may round them.
    pub rounded: bool,
}

/// Numbers that may still be created; each stands for 8 bytes.
#[derive(Clone, Debug)]
pub(super) struct Budget(pub usize);

impl Budget {
    /// # Errors
    /// When fewer than `numbers` are left.
    pub fn claim(&mut self, numbers: usize) -> Result<()> {
        match self.0.checked_sub(numbers) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(Error::invalid(
                "",
                format!("{numbers} numbers that the file does not hold"),
                "a network whose size is in proportion to its file",
            )),
        }
    }
}

/// The layers, whether the last step is a softmax, and the nodes whose numbers were rounded.
pub(super) struct Folded {
    pub layers: Vec<Layer>,
    pub softmax: bool,
    pub rounded: BTreeSet<usize>,
}

/// A step that cannot be a layer: its node, and the error.
pub(super) type Misplaced = (usize, Error);

/// The layers from the input to step `last`.
///
/// # Errors
/// When a step only means something as a part of another, or memory would be out of proportion.
pub(super) fn fold(
    steps: &[Step],
    last: usize,
    budget: &mut Budget,
) -> std::result::Result<Folded, Misplaced> {
    let mut path = Vec::new();
    let mut at = last;
    while at != 0 {
        path.push(at);
        at = steps[at].parent;
    }
    path.reverse();
    let softmax = matches!(steps[last].op, Op::Softmax);
    if softmax {
        path.pop();
    }
    let mut fold = Fold {
        layers: Vec::new(),
        pending: Pending::Nothing,
        soft: None,
        width: steps[0].width,
        rounded: BTreeSet::new(),
        budget,
    };
    for &at in &path {
        fold.step(&steps[at]).map_err(|e| (steps[at].node, e))?;
    }
    fold.flush().map_err(|e| (steps[last].node, e))?;
    Ok(Folded { layers: fold.layers, softmax, rounded: fold.rounded })
}

/// The affine map that has been read but is not a layer yet.
enum Pending {
    Nothing,
    /// scale z + shift
    Diagonal {
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    /// W z + b
    Dense {
        weight: Array2<f64>,
        bias: Vec<f64>,
    },
}

struct Fold<'a> {
    layers: Vec<Layer>,
    pending: Pending,
    /// The node on whose account the numbers of the pending map are rounded, so that folding may
    /// round them again.
    soft: Option<usize>,
    /// Entries before the pending map's end.
    width: usize,
    rounded: BTreeSet<usize>,
    budget: &'a mut Budget,
}

impl Fold<'_> {
    fn step(&mut self, step: &Step) -> Result<()> {
        match &step.op {
            Op::Input => {}
            Op::Multiply(factor) => self.scale(factor, step)?,
            Op::Divide(divisor) => {
                let exact =
                    (0..divisor_count(divisor)).all(|i| has_exact_reciprocal(divisor.at(i)));
                if !exact {
                    self.rounded.insert(step.node);
                }
                let soft = Step { rounded: step.rounded || !exact, ..step.clone() };
                self.scale(&divisor.map(f64::recip), &soft)?;
            }
            Op::Shift(factor) => self.shift(factor, step)?,
            Op::Dense { weight, transposed } => {
                self.budget.claim(weight.data.len())?;
                self.dense(matrix(weight, *transposed)?, step.node)?;
            }
            Op::Activate(activation) => self.layer(Layer::Activation(*activation))?,
            Op::Slopes(slopes) => self.layer(Layer::Mixed(by_slope(slopes)?))?,
            Op::Power(k) => {
                let coefficients = Array2::from_shape_fn((1, k + 1), |(_, j)| f64::from(j == *k));
                self.layer(Layer::Slaf(Slaf::new(Basis::Monomial, coefficients)?))?;
            }
            Op::Erf => {
                return Err(Error::invalid(
                    "",
                    "an error function that is no part of GELU",
                    "x (1 + erf(x / sqrt 2)) / 2, with sqrt 2 rounded to float32 or float64",
                ));
            }
            Op::Softmax => {
                return Err(Error::invalid("", "a softmax before the end", "it at the end only"));
            }
        }
        self.width = step.width;
        Ok(())
    }

    fn layer(&mut self, layer: Layer) -> Result<()> {
        self.flush()?;
        self.layers.push(layer);
        Ok(())
    }

    /// Makes room for a scaling or shift, which changes the pending map exactly or not; starts a
    /// new map where it may not be rounded.
    fn prepare(&mut self, step: &Step, exact: bool) -> Result<()> {
        let own = step.rounded || step.width > WIDEST_DIAGONAL;
        let culprit = if own { Some(step.node) } else { self.soft };
        match (&self.pending, culprit) {
            (Pending::Diagonal { .. } | Pending::Dense { .. }, _) if exact => {}
            (Pending::Diagonal { .. } | Pending::Dense { .. }, Some(culprit)) => {
                self.rounded.insert(culprit);
            }
            _ => {
                self.flush()?;
                self.budget.claim(2 * self.width)?;
                self.pending = Pending::Diagonal {
                    scale: vec![1.0; self.width],
                    shift: vec![0.0; self.width],
                };
            }
        }
        if step.rounded {
            self.soft = Some(step.node);
        }
        Ok(())
    }

    fn scale(&mut self, factor: &Factor, step: &Step) -> Result<()> {
        let by = |x: f64, i: usize| exact_product(x, factor.at(i)).is_some();
        let exact = match &self.pending {
            Pending::Nothing => true,
            Pending::Diagonal { scale, shift } => {
                (0..self.width).all(|i| by(scale[i], i) && by(shift[i], i))
            }
            Pending::Dense { weight, bias } => {
                (0..self.width).all(|i| by(bias[i], i) && weight.row(i).iter().all(|x| by(*x, i)))
            }
        };
        self.prepare(step, exact)?;
        match &mut self.pending {
            Pending::Diagonal { scale, shift } => {
                for i in 0..scale.len() {
                    scale[i] *= factor.at(i);
                    shift[i] *= factor.at(i);
                }
            }
            Pending::Dense { weight, bias } => {
                for (i, mut row) in weight.rows_mut().into_iter().enumerate() {
                    row.mapv_inplace(|x| x * factor.at(i));
                    bias[i] *= factor.at(i);
                }
            }
            Pending::Nothing => {}
        }
        Ok(())
    }

    fn shift(&mut self, by: &Factor, step: &Step) -> Result<()> {
        let exact = match &self.pending {
            Pending::Nothing => true,
            Pending::Diagonal { shift: old, .. } | Pending::Dense { bias: old, .. } => {
                (0..self.width).all(|i| exact_sum(old[i], by.at(i)).is_some())
            }
        };
        self.prepare(step, exact)?;
        match &mut self.pending {
            Pending::Diagonal { shift: old, .. } | Pending::Dense { bias: old, .. } => {
                (0..old.len()).for_each(|i| old[i] += by.at(i));
            }
            Pending::Nothing => {}
        }
        Ok(())
    }

    fn dense(&mut self, mut weight: Array2<f64>, node: usize) -> Result<()> {
        let mut bias = vec![0.0; weight.nrows()];
        let mut soft = None;
        if let Pending::Diagonal { scale, shift } = &self.pending {
            let exact = weight.rows().into_iter().all(|row| {
                let sum = row.iter().zip(shift).try_fold(0.0, |sum, (w, t)| {
                    exact_product(*w, *t).and_then(|product| exact_sum(sum, product))
                });
                sum.is_some() && row.iter().zip(scale).all(|(w, s)| exact_product(*w, *s).is_some())
            });
            let wide = self.width > WIDEST_DIAGONAL;
            soft = self.soft.or(wide.then_some(node)).filter(|_| !exact);
            if exact || soft.is_some() {
                for (mut row, bias) in weight.rows_mut().into_iter().zip(&mut bias) {
                    *bias = dot(row.iter().copied().zip(shift.iter().copied()));
                    row.iter_mut().zip(scale).for_each(|(w, s)| *w *= s);
                }
                self.rounded.extend(soft);
                self.pending = Pending::Nothing;
            }
        }
        self.flush()?;
        self.pending = Pending::Dense { weight, bias };
        self.soft = soft;
        Ok(())
    }

    /// Makes a layer of the pending map.
    fn flush(&mut self) -> Result<()> {
        self.soft = None;
        let (weight, bias) = match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => return Ok(()),
            Pending::Dense { weight, bias } => (weight, bias),
            Pending::Diagonal { scale, shift } => {
                if scale.iter().all(|s| *s == 1.0) && shift.iter().all(|t| *t == 0.0) {
                    return Ok(());
                }
                self.budget.claim(scale.len().saturating_mul(scale.len()))?;
                (Array2::from_diag(&Array1::from(scale)), shift)
            }
        };
        self.layers.push(Layer::Affine(Affine::new(weight, Array1::from(bias))?));
        Ok(())
    }
}

fn divisor_count(factor: &Factor) -> usize {
    match factor {
        Factor::All(_) => 1,
        Factor::Each(x) => x.len(),
    }
}

/// The matrix as (entries after, entries before).
fn matrix(weight: &Tensor, transposed: bool) -> Result<Array2<f64>> {
    let &[.., rows, columns] = &weight.dims[..] else {
        return Err(Error::invalid("", "a weight without two dimensions", "a matrix"));
    };
    let array = Array2::from_shape_vec((rows, columns), weight.data.to_vec())
        .map_err(|_| Error::invalid("", "a weight of another shape", "a matrix"))?;
    if transposed { Ok(array) } else { Ok(array.t().as_standard_layout().into_owned()) }
}

/// A leaky ReLU with these slopes: a group of neurons for each.
fn by_slope(slopes: &[f64]) -> Result<Mixed> {
    let mut groups: Vec<(f64, Vec<usize>)> = Vec::new();
    let mut place = std::collections::HashMap::new();
    for (i, slope) in slopes.iter().enumerate() {
        let group = *place.entry(slope.to_bits()).or_insert_with(|| {
            groups.push((*slope, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(i);
    }
    let group = |(slope, neurons)| {
        let function = Activation::from_name("leaky_relu", Some(slope))?;
        Ok(Group { neurons, part: Part::Activation(function) })
    };
    Mixed::new(groups.into_iter().map(group).collect::<Result<_>>()?)
}

/// a b, where it is an f64 number: the rounding error of a product is an f64 number itself
/// unless it underflows, and a fused multiplication and addition finds it.
pub(super) fn exact_product(a: f64, b: f64) -> Option<f64> {
    /// 2^-900, far above where the error could underflow.
    const SMALL: f64 = f64::from_bits((1023 - 900) << 52);
    let product = a * b;
    if a == 0.0 || b == 0.0 || a.abs() == 1.0 || b.abs() == 1.0 {
        return product.is_finite().then_some(product);
    }
    let exact = product.is_finite() && product.abs() > SMALL && a.mul_add(b, -product) == 0.0;
    exact.then_some(product)
}

/// a + b, where it is an f64 number: the rounding error of a sum always is one (Knuth's TwoSum).
pub(super) fn exact_sum(a: f64, b: f64) -> Option<f64> {
    let sum = a + b;
    (sum.is_finite() && sum_error(a, b, sum) == 0.0).then_some(sum)
}

fn sum_error(a: f64, b: f64, sum: f64) -> f64 {
    let part = sum - a;
    (a - (sum - part)) + (b - part)
}

/// Whether 1 / x is an f64 number: x is a power of two, and neither end of the range is near.
pub(super) fn has_exact_reciprocal(x: f64) -> bool {
    let mantissa = x.to_bits() & ((1 << 52) - 1);
    mantissa == 0 && x.is_normal() && x.recip().is_normal()
}

/// sum a_i b_i in twice the working precision, then rounded (Ogita, Rump, Oishi 2005, Dot2).
fn dot(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut sum, mut rest) = (0.0, 0.0);
    for (a, b) in pairs {
        let product = a * b;
        let next: f64 = sum + product;
        rest += sum_error(sum, product, next) + a.mul_add(b, -product);
        sum = next;
    }
    sum + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::rational::{rational_from_f64, rational_to_f64};
    use proptest::prelude::*;

    fn rational(x: f64) -> num_rational::BigRational {
        rational_from_f64(x).unwrap()
    }

    proptest! {
        #[test]
        fn exact_is_said_of_exact_results_only(a: f64, b: f64, c: f32, d: f32) {
            prop_assume!(a.is_finite() && b.is_finite() && c.is_finite() && d.is_finite());
            for (a, b) in [(a, b), (f64::from(c), f64::from(d)), (a, f64::from(d))] {
                if let Some(product) = exact_product(a, b) {
                    prop_assert_eq!(rational(product), rational(a) * rational(b));
                }
                if let Some(sum) = exact_sum(a, b) {
                    prop_assert_eq!(rational(sum), rational(a) + rational(b));
                }
                if b != 0.0 && has_exact_reciprocal(b) {
                    prop_assert_eq!(rational(b.recip()), rational(b).recip());
                }
            }
            // Products of float32 numbers fit, away from underflow.
            if c.abs() > 1e-10 && d.abs() > 1e-10 {
                prop_assert!(exact_product(f64::from(c), f64::from(d)).is_some());
            }
        }

        #[test]
        fn dot_products_are_nearly_correctly_rounded(
            pairs in prop::collection::vec((-1e3..1e3, -1e3..1e3), 1..40),
        ) {
            let exact = pairs.iter().map(|(a, b)| rational(*a) * rational(*b));
            let nearest = rational_to_f64(&exact.sum()).unwrap();
            // |result - exact| <= u |exact| + gamma_n^2 sum |a_i b_i|, gamma_40 < 2^-47.
            let size: f64 = pairs.iter().map(|(a, b)| (a * b).abs()).sum();
            let slack = nearest.abs() * f64::EPSILON + size * 2_f64.powi(-94);
            prop_assert!((dot(pairs.iter().copied()) - nearest).abs() <= slack);
        }
    }

    #[test]
    fn powers_of_two_have_exact_reciprocals() {
        for x in [1.0, -4.0, 0.125, 2_f64.powi(1000)] {
            assert!(has_exact_reciprocal(x));
        }
        for x in
            [0.0, 3.0, 255.0, f64::INFINITY, f64::NAN, f64::MIN_POSITIVE / 2.0, 2_f64.powi(1023)]
        {
            assert!(!has_exact_reciprocal(x), "{x}");
        }
        assert_eq!(exact_product(1e-200, 1e-200), None);
        assert_eq!(exact_product(5e-324, 1.0), Some(5e-324));
        assert_eq!(exact_sum(1e16, 1.0), None);
        assert_eq!(exact_sum(f64::MAX, f64::MAX), None);
    }
}
