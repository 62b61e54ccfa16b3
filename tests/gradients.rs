//! Gradients of training: against finite differences for everything that trains, and for
//! polynomial networks within a proven rounding bound of the exact rational gradient.

use ndarray::Array2;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slnn::Table;
use slnn::network::{Activation, Basis, Layer, Network};
use slnn::numeric::rational::rational_from_f64;
use slnn::train::{
    BasisKind, HiddenActivation, Loss, Objective, Optimiser, Options, Penalised, Routine,
};

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    // 20 random bits: exact arithmetic on these numbers stays short.
    (rng.next_u64() >> 44) as f64 / f64::from(1 << 19) - 1.0
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("{prefix}{i}")).collect()
}

/// A table of uniform numbers; under cross-entropy the targets are one-hot.
fn table(rows: usize, inputs: usize, outputs: usize, loss: Loss, seed: u64) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = Array2::from_shape_simple_fn((rows, inputs), || uniform(&mut rng));
    let mut t = Array2::from_shape_simple_fn((rows, outputs), || uniform(&mut rng));
    if loss != Loss::MeanSquaredError {
        t.fill(0.0);
        for i in 0..rows {
            t[(i, i % outputs)] = 1.0;
        }
    }
    Table::new(x, t, names("x", inputs), names("y", outputs), "random").unwrap()
}

fn activations() -> Vec<Activation> {
    use Activation::*;
    vec![
        Identity,
        Relu,
        LeakyRelu { slope: 0.1 },
        Abs,
        HardTanh,
        Tanh,
        Sigmoid,
        Softplus,
        Elu { alpha: 0.7 },
        Silu,
        Gelu,
        Sin,
    ]
}

fn bases() -> impl Strategy<Value = BasisKind> {
    use BasisKind::*;
    prop::sample::select(vec![
        Monomial,
        NormalisedMonomial,
        ScaledMonomial,
        Chebyshev,
        Legendre,
        Hermite,
    ])
}

fn hidden_activation() -> impl Strategy<Value = HiddenActivation> {
    let function = prop::sample::select(activations());
    prop_oneof![
        4 => (bases(), any::<bool>(), any::<bool>())
            .prop_map(|(basis, shared, attention)| HiddenActivation::Slaf { basis, shared, attention }),
        2 => function.clone().prop_map(HiddenActivation::Function),
        2 => (function, bases(), any::<bool>(), any::<bool>()).prop_map(
            |(function, basis, shared, attention)| HiddenActivation::Hybrid {
                function, fraction: 0.5, basis, shared, attention,
            }
        ),
    ]
}

/// The gradient at `parameters` by back-propagation against differences of fourth order, but for
/// parameters at a kink.
pub(crate) fn agrees_with_differences(
    objective: &mut Objective,
    parameters: &[f64],
    frozen: bool,
) -> Result<(), TestCaseError> {
    objective.value(parameters, None);
    let mut value = |p: &[f64], g: Option<&mut [f64]>| {
        if frozen { objective.value_frozen(p, g) } else { objective.value(p, g) }
    };
    let mut gradient = vec![0.0; parameters.len()];
    value(parameters, Some(&mut gradient));
    let h = 1e-4;
    let mut compared = 0;
    for i in 0..parameters.len() {
        let mut at = |step: f64| {
            let mut moved = parameters.to_vec();
            moved[i] += step;
            value(&moved, None)
        };
        let f = [at(-2.0 * h), at(-h), at(0.0), at(h), at(2.0 * h)];
        let difference = (8.0 * (f[3] - f[1]) - f[4] + f[0]) / (12.0 * h);
        // At a kink within the stencil the one-sided slopes differ by more than curvature.
        let bend = (f[4] - 3.0 * f[3] + 3.0 * f[2] - f[1])
            .abs()
            .max((f[3] - 3.0 * f[2] + 3.0 * f[1] - f[0]).abs());
        let size = 1.0 + gradient[i].abs() + f[2].abs();
        if bend / h > 1e-6 * size {
            continue;
        }
        compared += 1;
        prop_assert!(
            (difference - gradient[i]).abs() <= 1e-5 * size,
            "parameter {i} of {}: {} by differences, {} by back-propagation",
            parameters.len(),
            difference,
            gradient[i]
        );
    }
    prop_assert!(2 * compared > parameters.len(), "{compared} of {} compared", parameters.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Every layer kind, basis, loss, penalty and routine: the fourth-order central difference
    /// (8 (f(h) - f(-h)) - f(2h) + f(-2h)) / (12 h).
    #[test]
    fn gradients_agree_with_finite_differences(
        hidden in prop::collection::vec(1usize..5, 0..3),
        degree in 1usize..5,
        activation in hidden_activation(),
        loss in prop::sample::select(vec![
            Loss::MeanSquaredError, Loss::SoftmaxCrossEntropy, Loss::LogisticCrossEntropy,
        ]),
        (inputs, outputs) in (1usize..4, 2usize..4),
        // Above 64 rows a batch has several blocks.
        rows in prop_oneof![4usize..12, 60usize..140],
        (l1, l2) in (prop::sample::select(vec![0.0, 0.01]), prop::sample::select(vec![0.0, 0.02])),
        penalised in prop::sample::select(vec![
            Penalised::All, Penalised::Weights, Penalised::Coefficients, Penalised::FirstLayer,
        ]),
        (standardise, frozen, bounded) in any::<(bool, bool, bool)>(),
        seed in any::<u64>(),
    ) {
        let table = table(rows, inputs, outputs, loss, seed);
        let all: Vec<usize> = (0..rows).collect();
        use BasisKind::{Chebyshev, Legendre, Monomial};
        let routine = match activation.basis() {
            Some(Monomial | Chebyshev | Legendre) if bounded => Routine::Boundary,
            Some(Monomial) => Routine::Clipped,
            _ => Routine::Normalised,
        };
        let options = Options {
            hidden, degrees: vec![degree], activation, routine, loss, l1, l2, penalised, standardise, seed,
            ..Options::default()
        };
        let mut objective = Objective::new(&table, &all, &options)?;
        let mut parameters = objective.start(0);
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        parameters.iter_mut().for_each(|p| *p += 0.3 * uniform(&mut rng));
        agrees_with_differences(&mut objective, &parameters, frozen)?;
    }
}

/// What the gradient of a polynomial network is made of.
trait Number: Clone {
    fn of(x: f64) -> Self;
    fn times(&self, other: &Self) -> Self;
    /// The sum of terms, of which the first is added and the second kind subtracted.
    fn sum(added: Vec<Self>, subtracted: Vec<Self>) -> Self;
    /// The quotient by a whole number.
    fn over(&self, n: usize) -> Self;
}

impl Number for BigRational {
    fn of(x: f64) -> Self {
        rational_from_f64(x).unwrap()
    }
    fn times(&self, other: &Self) -> Self {
        self * other
    }
    fn sum(added: Vec<Self>, subtracted: Vec<Self>) -> Self {
        added.into_iter().sum::<BigRational>() - subtracted.into_iter().sum::<BigRational>()
    }
    fn over(&self, n: usize) -> Self {
        self / BigRational::from_integer(n.into())
    }
}

/// A bound on the sum of the absolute values of all products of inputs that an expression
/// expands to, and on the roundings that any of these products meets.
///
/// The a-priori bound (Higham, *Accuracy and Stability of Numerical Algorithms*, lemma 3.1): a
/// computed sum or product is the exact one times 1 + delta, |delta| <= u. Expand the computed
/// expression into products of inputs: each comes out multiplied by one factor 1 + delta for
/// every rounding between its leaves and the root. A product meets the roundings of both its
/// factors and one more; a term of a sum of n terms, in whatever order they are added, its own
/// and at most n - 1 more (a fused multiply-add, or an addition of zero, only leaves one out).
/// So the error of the whole is at most gamma_K times the sum of the absolute values, with
/// gamma_K = K u / (1 - K u) and K the largest number of roundings. Nothing here underflows.
#[derive(Clone, Debug)]
struct Counted {
    magnitude: BigRational,
    roundings: usize,
}

impl Counted {
    fn bound(&self) -> BigRational {
        let u = BigRational::new(1.into(), (1u64 << 53).into());
        let k = BigRational::from_integer(self.roundings.into()) * u;
        &self.magnitude * &k / (BigRational::one() - &k)
    }
}

impl Number for Counted {
    fn of(x: f64) -> Self {
        Counted { magnitude: rational_from_f64(x.abs()).unwrap(), roundings: 0 }
    }
    fn times(&self, other: &Self) -> Self {
        Counted {
            magnitude: &self.magnitude * &other.magnitude,
            roundings: self.roundings + other.roundings + 1,
        }
    }
    fn sum(added: Vec<Self>, subtracted: Vec<Self>) -> Self {
        let terms = added.len() + subtracted.len();
        let all = added.into_iter().chain(subtracted);
        let zero = Counted { magnitude: BigRational::zero(), roundings: 0 };
        let mut sum = all.fold(zero, |sum, term| Counted {
            magnitude: sum.magnitude + term.magnitude,
            roundings: sum.roundings.max(term.roundings),
        });
        sum.roundings += terms.saturating_sub(1);
        sum
    }
    fn over(&self, n: usize) -> Self {
        Counted {
            magnitude: &self.magnitude / BigRational::from_integer(n.into()),
            roundings: self.roundings + 1,
        }
    }
}

/// `z^k` by repeated multiplication, k from 0.
fn powers<N: Number>(z: &N, degree: usize) -> Vec<N> {
    let mut powers = vec![N::of(1.0)];
    for k in 0..degree {
        powers.push(powers[k].times(z));
    }
    powers
}

/// Mean and scale of power `k` and neuron `i`; 0 and 1 for plain powers.
fn statistics(basis: &Basis, i: usize, k: usize) -> (f64, f64) {
    match basis {
        Basis::NormalisedMonomial { mean, scale } => {
            (mean.to_f64()[(i, k - 1)], scale.to_f64()[(i, k - 1)])
        }
        _ => (0.0, 1.0),
    }
}

/// The gradient of the mean squared error by naive back-propagation, row after row, in the
/// order of the parameters that [`Objective`] documents.
fn naive_gradient<N: Number>(network: &Network, table: &Table) -> Vec<N> {
    let entries = table.targets().len();
    let mut by_row: Vec<Vec<N>> = Vec::new();
    for (x, t) in table.inputs().rows().into_iter().zip(table.targets().rows()) {
        let mut states: Vec<Vec<N>> = vec![x.iter().map(|x| N::of(*x)).collect()];
        for layer in network.layers() {
            let y = &states[states.len() - 1];
            let next = match layer {
                Layer::Affine(affine) => {
                    let (weight, bias) = (affine.weight().to_f64(), affine.bias().to_f64());
                    let row = |(w, b): (ndarray::ArrayView1<f64>, &f64)| {
                        let products = w.iter().zip(y).map(|(w, y)| N::of(*w).times(y));
                        N::sum(std::iter::once(N::of(*b)).chain(products).collect(), vec![])
                    };
                    weight.rows().into_iter().zip(bias.iter()).map(row).collect()
                }
                Layer::Slaf(slaf) => {
                    let c = slaf.coefficients().to_f64();
                    let value = |(i, z): (usize, &N)| {
                        let row = if c.nrows() == 1 { 0 } else { i };
                        let powers = powers(z, slaf.degree());
                        let term = |k: usize| {
                            let (mean, scale) = statistics(slaf.basis(), i, k);
                            let centred = N::sum(vec![powers[k].clone()], vec![N::of(mean)]);
                            N::of(c[(row, k)]).times(&centred.times(&N::of(scale)))
                        };
                        let terms = (1..=slaf.degree()).map(term);
                        N::sum(std::iter::once(N::of(c[(row, 0)])).chain(terms).collect(), vec![])
                    };
                    y.iter().enumerate().map(value).collect()
                }
                _ => unreachable!("polynomial networks"),
            };
            states.push(next);
        }
        let y = &states[states.len() - 1];
        let residual = |(y, t): (&N, &f64)| {
            N::sum(vec![y.clone()], vec![N::of(*t)]).times(&N::of(2.0)).over(entries)
        };
        let mut d: Vec<N> = y.iter().zip(t).map(residual).collect();
        let mut parts: Vec<Vec<N>> = Vec::new();
        for (layer, y) in network.layers().iter().zip(&states).rev() {
            match layer {
                Layer::Affine(affine) => {
                    let weight = affine.weight().to_f64();
                    let mut own = Vec::new();
                    for y in y {
                        own.extend(d.iter().map(|d| d.times(y)));
                    }
                    own.extend(d.iter().cloned());
                    parts.push(own);
                    let back = |column: ndarray::ArrayView1<f64>| {
                        let products = column.iter().zip(&d).map(|(w, d)| N::of(*w).times(d));
                        N::sum(products.collect(), vec![])
                    };
                    d = weight.columns().into_iter().map(back).collect();
                }
                Layer::Slaf(slaf) => {
                    let c = slaf.coefficients().to_f64();
                    let (mut own, mut back) = (Vec::new(), Vec::new());
                    for k in 0..=slaf.degree() {
                        let by_neuron = y.iter().zip(&d).enumerate().map(|(i, (z, d))| {
                            if k == 0 {
                                return d.clone();
                            }
                            let (mean, scale) = statistics(slaf.basis(), i, k);
                            let power = powers(z, k)[k].clone();
                            let u = N::sum(vec![power], vec![N::of(mean)]).times(&N::of(scale));
                            d.times(&u)
                        });
                        if c.nrows() == 1 {
                            own.push(N::sum(by_neuron.collect(), vec![]));
                        } else {
                            own.extend(by_neuron);
                        }
                    }
                    for (i, (z, d)) in y.iter().zip(&d).enumerate() {
                        let row = if c.nrows() == 1 { 0 } else { i };
                        let powers = powers(z, slaf.degree());
                        let terms = (1..=slaf.degree()).map(|k| {
                            let (_, scale) = statistics(slaf.basis(), i, k);
                            let slope = N::of(c[(row, k)]).times(&N::of(scale));
                            N::of(k as f64).times(&slope).times(&powers[k - 1])
                        });
                        // The library starts its sum from zero and multiplies by attention 1.
                        back.push(d.times(&N::sum(terms.collect(), vec![])));
                    }
                    parts.push(own);
                    d = back;
                }
                _ => unreachable!("polynomial networks"),
            }
        }
        parts.reverse();
        by_row.push(parts.concat());
    }
    (0..by_row[0].len())
        .map(|i| N::sum(by_row.iter().map(|row| row[i].clone()).collect(), vec![]))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn gradients_of_polynomial_networks_keep_to_the_proven_bound(
        hidden in prop::collection::vec(1usize..4, 1..3),
        degree in 1usize..4,
        normalised in any::<bool>(),
        shared in any::<bool>(),
        (inputs, outputs, rows) in (1usize..3, 1usize..3, 3usize..9),
        seed in any::<u64>(),
    ) {
        let table = table(rows, inputs, outputs, Loss::MeanSquaredError, seed);
        let all: Vec<usize> = (0..rows).collect();
        let basis = if normalised { BasisKind::NormalisedMonomial } else { BasisKind::Monomial };
        let options = Options {
            hidden, degrees: vec![degree],
            activation: HiddenActivation::Slaf { basis, shared, attention: false },
            optimiser: Optimiser::lbfgs(),
            l2: 0.0, standardise: false, seed,
            ..Options::default()
        };
        let mut objective = Objective::new(&table, &all, &options)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
        let parameters: Vec<f64> =
            objective.start(0).iter().map(|_| uniform(&mut rng)).collect();
        objective.value(&parameters, None);
        let network = objective.network(&parameters)?;
        let mut gradient = vec![0.0; parameters.len()];
        objective.value_frozen(&parameters, Some(&mut gradient));
        let exact = naive_gradient::<BigRational>(&network, &table);
        let counted = naive_gradient::<Counted>(&network, &table);
        prop_assert_eq!(exact.len(), gradient.len());
        for (i, ((computed, exact), counted)) in gradient.iter().zip(&exact).zip(&counted).enumerate() {
            let error = (rational_from_f64(*computed).unwrap() - exact).abs();
            prop_assert!(
                error <= counted.bound(),
                "parameter {i}: {computed} is {error} from the exact {exact}"
            );
        }
    }
}
