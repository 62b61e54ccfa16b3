//! Ensembles that stay one network: the mean of K networks, side by side in one.
//!
//! Networks on the same inputs, made equally deep, stand beside each other: their first affine layers
//! one above the other, every later one block by block on the diagonal, and the last one beside
//! each other, divided by K. The mean of K polynomials of degree D has degree D and the same
//! monomials, so an ensemble of SLNNs expands to a polynomial as large as that of one member.
//!
//! For classes it is the mean of the outputs before the head, so that the probabilities are the
//! normalised geometric mean of the members' probabilities.

use std::borrow::Cow;
use std::path::Path;

use ndarray::{Array, Array1, Array2, Axis, Dimension, RemoveAxis, concatenate};
use num_rational::BigRational;
use num_traits::Zero;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::json::{Cursor, Json};
use crate::network::{
    Affine, Basis, Group, Input, Layer, Matrix, Mixed, Network, Numbers, Part, Slaf, Vector,
};
use crate::numeric::rational::rational_to_f64;
use crate::table::Table;
use crate::train::checkpoint::{read_document, write_document};
use crate::train::jobs::{Job, Watch, run_all};
use crate::train::{Checkpoint, Control, Objective, Options, Progress, Trained};

/// The most networks of one ensemble.
pub(super) const MAX_MEMBERS: usize = 1024;
const FORMAT: &str = "slnn.ensemble-checkpoint";
const VERSION: usize = 1;

/// The mean of some networks as one network.
#[derive(Clone, Debug)]
pub struct Mean {
    /// The network.
    pub network: Network,
    /// Whether it is the mean exactly; else some numbers of its last layer are rounded, each once.
    pub exact: bool,
}

/// A trained ensemble.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// The mean of the members.
    pub mean: Mean,
    /// The members, in the order of their seeds.
    pub members: Vec<Trained>,
}

/// The state of the training of an ensemble: for every member its checkpoint, once it has begun.
///
/// The file is JSON, `"format": "slnn.ensemble-checkpoint", "version": 1`, with one key
/// `members`: a list of null or a [`Checkpoint`].
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleCheckpoint {
    members: Vec<Option<Checkpoint>>,
}

impl EnsembleCheckpoint {
    /// The number of members.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// Epochs done, all members together.
    pub fn epochs(&self) -> usize {
        self.members.iter().flatten().map(Checkpoint::epoch).sum()
    }

    /// Writes the checkpoint, atomically.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let members: Vec<Value> = self
            .members
            .iter()
            .map(|m| m.as_ref().map_or(Value::Null, Checkpoint::to_json))
            .collect();
        let document = json!({"format": FORMAT, "version": VERSION, "members": members});
        write_document(path, &document)
    }

    /// Reads a checkpoint; `None` where there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or is no checkpoint of an ensemble; the message names the place.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        read_document(path, Self::from_json)
    }

    fn from_json(json: &Json) -> Result<Self> {
        let mut fields = json.top().object()?;
        fields.header(FORMAT, VERSION)?;
        let member = |item: Cursor| match item.value() {
            Json::Null => Ok(None),
            own => Checkpoint::from_json(own).map(Some).map_err(|e| e.within(item.path())),
        };
        let members = fields.take("members")?.array()?.map(member).collect::<Result<_>>()?;
        fields.finish()?;
        Ok(EnsembleCheckpoint { members })
    }
}

/// The options of member `index`: those of the ensemble with the seed `seed + index 2^32`, so
/// that ensembles of different seeds below 2^32 share no member.
pub fn member_options(options: &Options, index: usize) -> Options {
    let seed = options.seed.wrapping_add((index as u64) << 32);
    Options { seed, ..options.clone() }
}

/// Trains `members` networks on `rows` of `table`, side by side, and takes their mean.
///
/// Member `i` is the network of [`train`](crate::train::train) with [`member_options`]; the
/// result does not depend on the number of threads. `None` where the control stopped it; the
/// last [`EnsembleCheckpoint`] that the control received goes on from there. Progress counts the
/// epochs of all members.
///
/// # Errors
/// As [`train`](crate::train::train); when the network is given layer by layer, `members` is 0 or above 1024, when a checkpoint has
/// another number of members, and when one of them diverged in all its attempts.
pub fn train_ensemble(
    table: &Table,
    rows: &[usize],
    options: &Options,
    members: usize,
    from: Option<EnsembleCheckpoint>,
    control: &mut dyn Control,
) -> Result<Option<Ensemble>> {
    if !(1..=MAX_MEMBERS).contains(&members) {
        return Err(Error::invalid("options.ensemble", members.to_string(), "1 to 1024 networks"));
    }
    let all: Vec<Options> = (0..members).map(|index| member_options(options, index)).collect();
    train_members(table, rows, &all, from, control)
}

/// As [`train_ensemble`], from the options of every member, which may differ in hidden layers,
/// degrees and penalties: the mean of unlike networks errs less than that of like ones.
///
/// # Errors
/// As [`train_ensemble`].
pub fn train_members(
    table: &Table,
    rows: &[usize],
    options: &[Options],
    from: Option<EnsembleCheckpoint>,
    control: &mut dyn Control,
) -> Result<Option<Ensemble>> {
    train_members_on(table, &vec![rows; options.len()], options, from, control)
}

/// As [`train_members`], every member on rows of its own, such as those of a
/// [`Lesson`](crate::train::Lesson). The box is what the boxes of all members have in common.
///
/// # Errors
/// As [`train_ensemble`], and when there are not as many lists of rows as members.
pub fn train_members_on(
    table: &Table,
    rows: &[&[usize]],
    options: &[Options],
    from: Option<EnsembleCheckpoint>,
    control: &mut dyn Control,
) -> Result<Option<Ensemble>> {
    let members = options.len();
    if !(1..=MAX_MEMBERS).contains(&members) {
        return Err(Error::invalid("options.ensemble", members.to_string(), "1 to 1024 networks"));
    }
    if rows.len() != members {
        let (found, expected) = (rows.len().to_string(), format!("{members}, one a network"));
        return Err(Error::invalid("rows of the members", found, expected));
    }
    let from = from.map_or_else(|| vec![None; members], |checkpoint| checkpoint.members);
    if from.len() != members {
        return Err(Error::invalid(
            "checkpoint: members",
            from.len().to_string(),
            format!("{members} (now given), the same as when the checkpoint was written"),
        ));
    }
    // What is wrong with the options is said before any member starts.
    for (i, own) in options.iter().enumerate() {
        own.without_layers("an ensemble")?;
        // Like members are checked once: their seeds alone differ.
        if i == 0
            || rows[i] != rows[i - 1]
            || *own != (Options { seed: own.seed, ..options[i - 1].clone() })
        {
            Objective::new(table, rows[i], own)?;
        }
    }
    let job = |((from, options), rows): ((Option<Checkpoint>, &Options), &&[usize])| Job {
        table,
        rows: rows.to_vec(),
        options: options.clone(),
        from,
    };
    let jobs: Vec<Job> = from.into_iter().zip(options).zip(rows).map(job).collect();
    let epochs = options.iter().map(|own| own.epochs).sum();
    let mut watch = Members { control, epochs };
    let answers = run_all(&jobs, &mut watch)?;
    let mut trained = Vec::with_capacity(members);
    for (index, answer) in answers.into_iter().enumerate() {
        match answer {
            None => return Ok(None),
            Some(answer) => {
                trained.push(answer.map_err(|e| e.within(format!("member {}", index + 1)))?);
            }
        }
    }
    if trained.iter().any(|member| member.stopped) {
        return Ok(None);
    }
    let networks: Vec<&Network> = trained.iter().map(|member| &member.network).collect();
    Ok(Some(Ensemble { mean: mean(&networks)?, members: trained }))
}

/// The members' progress as that of one run.
struct Members<'a> {
    control: &'a mut dyn Control,
    /// Of all members together.
    epochs: usize,
}

impl Watch for Members<'_> {
    fn progress(&mut self, runs: &[Option<Progress>]) {
        let begun = runs.iter().flatten();
        let count = begun.clone().count();
        if count == 0 {
            return;
        }
        let mean = |x: fn(&Progress) -> f64| begun.clone().map(x).sum::<f64>() / count as f64;
        self.control.progress(&Progress {
            epoch: begun.clone().map(|p| p.epoch).sum(),
            epochs: self.epochs,
            attempt: begun.clone().map(|p| p.attempt).sum(),
            loss: mean(|p| p.loss),
            validation: begun
                .clone()
                .all(|p| p.validation.is_some())
                .then(|| mean(|p| p.validation.unwrap_or(f64::NAN))),
        });
    }

    fn stop_requested(&self) -> bool {
        self.control.stop_requested()
    }

    fn checkpoint_every(&self) -> Option<usize> {
        self.control.checkpoint_every()
    }

    fn checkpoint(&mut self, runs: &[Option<Checkpoint>]) -> Result<()> {
        self.control.ensemble_checkpoint(&EnsembleCheckpoint { members: runs.to_vec() })
    }
}

/// The mean of networks of the same inputs, outputs and head, as one network.
///
/// A network with fewer layers is made as deep as the deepest by layers that change nothing, an affine
/// one and a SLAF of degree 1, before its last. Then layers of the same place must be affine in all
/// networks or in none; the last must be affine.
/// SLAFs of one basis and degree become one SLAF, other layers become groups of a mixed one. The
/// box is the intersection of the boxes.
///
/// The mean is exact when K is a power of two and the network is polynomial: weights are divided
/// by K in f64 without rounding, and a mean of biases that no f64 holds is kept as an exact
/// dyadic number. Otherwise every number of the last layer is rounded once, and
/// [`Mean::exact`] says whether that changed one. Cost: that of copying the parameters.
///
/// # Errors
/// When there is no network or they do not go together.
pub fn mean(networks: &[&Network]) -> Result<Mean> {
    let Some((first, others)) = networks.split_first() else {
        return Err(Error::invalid("ensemble", "no network", "at least one"));
    };
    if others.is_empty() {
        return Ok(Mean { network: (*first).clone(), exact: true });
    }
    let wrong = |k: usize, found: &str| {
        let expected =
            "networks of the same inputs, outputs and head, that can be made equally deep";
        Err(Error::invalid(format!("ensemble: network {}", k + 2), found, expected))
    };
    for (k, other) in others.iter().enumerate() {
        if other.input_names() != first.input_names() || other.outputs() != first.outputs() {
            return wrong(k, "other inputs or outputs");
        }
        if other.head() != first.head() {
            return wrong(k, "another head");
        }
    }
    let count = networks.iter().map(|n| n.layers().len()).max().unwrap_or(0);
    let deep = networks.iter().map(|n| deepened(n, count)).collect::<Result<Vec<_>>>()?;
    if let Some(k) = deep.iter().position(|n| n.layers().len() != count) {
        // The first may be the odd one; the message then names the second.
        return wrong(k.max(1) - 1, "another number of layers");
    }
    let networks: Vec<&Network> = deep.iter().map(Cow::as_ref).collect();
    let (networks, first) = (networks.as_slice(), networks[0]);
    let widths: Vec<Vec<usize>> = networks.iter().map(|n| n.widths()).collect();
    let polynomial = networks.iter().all(|n| n.layers().iter().all(is_polynomial));
    let mut layers = Vec::with_capacity(count);
    let mut exact = true;
    // Until the first affine layer the members still share their inputs.
    let mut divided = false;
    for l in 0..count {
        let own: Vec<&Layer> = networks.iter().map(|n| &n.layers()[l]).collect();
        let place = || format!("ensemble: layers[{l}]");
        let affine: Option<Vec<&Affine>> = own
            .iter()
            .map(|layer| if let Layer::Affine(a) = layer { Some(a) } else { None })
            .collect();
        let layer = match affine {
            Some(affine) if l + 1 == count => {
                let (layer, rounded) = last(&affine, divided, polynomial)?;
                exact &= !rounded;
                Layer::Affine(layer)
            }
            Some(affine) if divided => Layer::Affine(block_diagonal(&affine)?),
            Some(affine) => Layer::Affine(stacked(&affine)?),
            None if divided && own.iter().all(|layer| !matches!(layer, Layer::Affine(_))) => {
                let width: Vec<usize> = widths.iter().map(|w| w[l]).collect();
                beside(&own, &width)?
            }
            None if divided => {
                let found = "an affine layer in some networks and none in others";
                return Err(Error::invalid(place(), found, "the same kinds of layers"));
            }
            None => return Err(Error::invalid(place(), "no affine layer", "an affine one first")),
        };
        if l + 1 == count && !matches!(layer, Layer::Affine(_)) {
            return Err(Error::invalid(place(), "no affine layer", "an affine one last"));
        }
        divided |= matches!(layer, Layer::Affine(_));
        layers.push(layer);
    }
    let inputs = (0..first.inputs().len()).map(|i| intersection(networks, i)).collect();
    let network = Network::new(inputs, first.outputs().to_vec(), layers, first.head())?;
    Ok(Mean { network: network.with_about(first.about().clone()), exact })
}

/// The same function with `count` layers, as far as pairs of layers lead there.
fn deepened(network: &Network, count: usize) -> Result<Cow<'_, Network>> {
    let missing = (count - network.layers().len()) / 2;
    let (Some(Layer::Affine(last)), true) = (network.layers().last(), missing > 0) else {
        return Ok(Cow::Borrowed(network));
    };
    let width = last.weight().columns();
    let identity = Affine::new(Array2::<f64>::eye(width), Array1::<f64>::zeros(width))?;
    let slaf = Slaf::new(Basis::Monomial, ndarray::array![[0.0, 1.0]])?;
    let mut layers = network.layers().to_vec();
    let at = layers.len() - 1;
    for _ in 0..missing {
        layers.insert(at, Layer::Slaf(slaf.clone()));
        layers.insert(at, Layer::Affine(identity.clone()));
    }
    let (inputs, outputs) = (network.inputs().to_vec(), network.outputs().to_vec());
    Network::new(inputs, outputs, layers, network.head()).map(Cow::Owned)
}

fn is_polynomial(layer: &Layer) -> bool {
    match layer {
        Layer::Affine(_) | Layer::Slaf(_) => true,
        Layer::Mixed(mixed) => mixed.groups().iter().all(|g| matches!(g.part, Part::Slaf(_))),
        _ => false,
    }
}

fn intersection(networks: &[&Network], i: usize) -> Input {
    let own = || networks.iter().map(|n| &n.inputs()[i]);
    Input {
        name: networks[0].inputs()[i].name.clone(),
        lower: own().filter_map(|input| input.lower).reduce(f64::max),
        upper: own().filter_map(|input| input.upper).reduce(f64::min),
    }
}

/// Arrays one after the other along an axis: f64 where all are.
fn joined<D: Dimension + RemoveAxis>(parts: &[&Numbers<D>], axis: Axis) -> Result<Numbers<D>> {
    let unequal = |_| Error::invalid("ensemble", "layers of different shapes", "equal shapes");
    let floats: Option<Vec<_>> = parts
        .iter()
        .map(|part| if let Numbers::Float(a) = part { Some(a.view()) } else { None })
        .collect();
    Ok(match floats {
        Some(floats) => Numbers::Float(concatenate(axis, &floats).map_err(unequal)?),
        None => {
            let exact: Vec<Array<BigRational, D>> = parts.iter().map(|p| p.to_exact()).collect();
            let views: Vec<_> = exact.iter().map(|a| a.view()).collect();
            Numbers::Exact(concatenate(axis, &views).map_err(unequal)?)
        }
    })
}

fn biases(layers: &[&Affine]) -> Result<Vector> {
    joined(&layers.iter().map(|a| a.bias()).collect::<Vec<_>>(), Axis(0))
}

/// Layers on the same inputs, one above the other.
fn stacked(layers: &[&Affine]) -> Result<Affine> {
    let weights: Vec<&Matrix> = layers.iter().map(|a| a.weight()).collect();
    Affine::new(joined(&weights, Axis(0))?, biases(layers)?)
}

/// Layers on inputs of their own: `diag(W_1, ..., W_K)`.
fn block_diagonal(layers: &[&Affine]) -> Result<Affine> {
    let total = layers.iter().map(|a| a.weight().columns()).sum();
    let mut before = 0;
    let widened: Vec<Matrix> = layers
        .iter()
        .map(|layer| {
            let columns = before..before + layer.weight().columns();
            before = columns.end;
            widen(layer.weight(), columns.start, total)
        })
        .collect();
    Affine::new(joined(&widened.iter().collect::<Vec<_>>(), Axis(0))?, biases(layers)?)
}

/// The same rows in a matrix of `total` columns, zero but from column `first`.
fn widen(weight: &Matrix, first: usize, total: usize) -> Matrix {
    fn placed<T: Clone + Zero>(weight: &Array2<T>, first: usize, total: usize) -> Array2<T> {
        let columns = first..first + weight.ncols();
        Array2::from_shape_fn((weight.nrows(), total), |(i, j)| {
            if columns.contains(&j) { weight[(i, j - first)].clone() } else { T::zero() }
        })
    }
    match weight {
        Numbers::Float(a) => Numbers::Float(placed(a, first, total)),
        Numbers::Exact(a) => Numbers::Exact(placed(a, first, total)),
    }
}

/// The last layers beside each other, or added up where they share their inputs, divided by K;
/// also whether a number was rounded.
fn last(layers: &[&Affine], divided: bool, polynomial: bool) -> Result<(Affine, bool)> {
    let count = layers.len();
    let factor = BigRational::new(1.into(), count.into());
    let keep = polynomial && count.is_power_of_two();
    let unequal = || Error::invalid("ensemble", "layers of different widths", "equal widths");
    let add = |sum: &mut Array2<BigRational>, term: &Array2<BigRational>| {
        if sum.dim() != term.dim() {
            return Err(unequal());
        }
        sum.zip_mut_with(term, |sum, term| *sum += term);
        Ok(())
    };
    let weights = layers.iter().map(|a| a.weight().to_exact());
    let weight = if divided {
        let parts: Vec<_> = weights.collect();
        let views: Vec<_> = parts.iter().map(|w| w.view()).collect();
        concatenate(Axis(1), &views).map_err(|_| unequal())?
    } else {
        let mut sum = Array2::zeros((layers[0].weight().rows(), layers[0].weight().columns()));
        weights.into_iter().try_for_each(|w| add(&mut sum, &w))?;
        sum
    };
    let mut bias = Array1::<BigRational>::zeros(layers[0].bias().len());
    for layer in layers {
        bias.zip_mut_with(&layer.bias().to_exact(), |sum, term| *sum += term);
    }
    let (weight, first) = representable(weight.map(|w| w * &factor), keep)?;
    let (bias, second) = representable(bias.map(|b| b * &factor), keep)?;
    Ok((Affine::new(weight, bias)?, first || second))
}

/// The numbers as f64 where that changes none, else exact or rounded; also whether one changed.
fn representable<D: Dimension>(
    exact: Array<BigRational, D>,
    keep: bool,
) -> Result<(Numbers<D>, bool)> {
    let float = exact.map(|x| rational_to_f64(x).unwrap_or(f64::INFINITY));
    let numbers = Numbers::Float(float);
    if numbers.to_exact() == exact {
        return Ok((numbers, false));
    }
    if keep {
        return Ok((Numbers::Exact(exact), false));
    }
    numbers.check_finite("ensemble")?;
    Ok((numbers, true))
}

/// Activation layers of these widths beside each other.
fn beside(layers: &[&Layer], widths: &[usize]) -> Result<Layer> {
    if let Layer::Activation(function) = layers[0]
        && layers.iter().all(|l| *l == layers[0])
    {
        return Ok(Layer::Activation(*function));
    }
    let slafs: Option<Vec<&Slaf>> =
        layers.iter().map(|l| if let Layer::Slaf(s) = l { Some(s) } else { None }).collect();
    if let Some(slafs) = slafs
        && let Some(slaf) = joined_slafs(&slafs, widths)?
    {
        return Ok(Layer::Slaf(slaf));
    }
    let mut groups = Vec::new();
    let mut first = 0;
    for (layer, &width) in layers.iter().zip(widths) {
        let whole = |part| vec![Group { neurons: (first..first + width).collect(), part }];
        groups.extend(match layer {
            Layer::Slaf(slaf) => whole(Part::Slaf(slaf.clone())),
            Layer::Activation(function) => whole(Part::Activation(*function)),
            Layer::Mixed(mixed) => mixed
                .groups()
                .iter()
                .map(|group| Group {
                    neurons: group.neurons.iter().map(|i| first + i).collect(),
                    part: group.part.clone(),
                })
                .collect(),
            _ => {
                let expected = "affine layers, SLAFs, activations and mixtures of them";
                return Err(Error::invalid("ensemble", "a layer of another kind", expected));
            }
        });
        first += width;
    }
    Ok(Layer::Mixed(Mixed::new(groups)?))
}

/// One SLAF for all, with a row of coefficients a neuron; `None` where bases or degrees differ.
fn joined_slafs(slafs: &[&Slaf], widths: &[usize]) -> Result<Option<Slaf>> {
    if slafs.iter().any(|s| s.degree() != slafs[0].degree()) {
        return Ok(None);
    }
    let basis = match slafs[0].basis() {
        Basis::Monomial if slafs.iter().all(|s| *s.basis() == Basis::Monomial) => Basis::Monomial,
        Basis::NormalisedMonomial { .. } => {
            let both = slafs.iter().map(|s| match s.basis() {
                Basis::NormalisedMonomial { mean, scale } => Some((mean, scale)),
                _ => None,
            });
            let Some(both) = both.collect::<Option<Vec<_>>>() else { return Ok(None) };
            let (means, scales): (Vec<_>, Vec<_>) = both.into_iter().unzip();
            let (mean, scale) = (joined(&means, Axis(0))?, joined(&scales, Axis(0))?);
            Basis::NormalisedMonomial { mean, scale }
        }
        Basis::Orthogonal { family, .. } => {
            let both = slafs.iter().map(|s| match s.basis() {
                Basis::Orthogonal { family: own, centre, scale } if own == family => {
                    Some((centre, scale))
                }
                _ => None,
            });
            let Some(both) = both.collect::<Option<Vec<_>>>() else { return Ok(None) };
            let (centres, scales): (Vec<_>, Vec<_>) = both.into_iter().unzip();
            let (centre, scale) = (joined(&centres, Axis(0))?, joined(&scales, Axis(0))?);
            Basis::Orthogonal { family: *family, centre, scale }
        }
        Basis::Monomial => return Ok(None),
    };
    let spread: Vec<Matrix> =
        slafs.iter().zip(widths).map(|(s, &width)| spread(s.coefficients(), width)).collect();
    let coefficients = joined(&spread.iter().collect::<Vec<_>>(), Axis(0))?;
    Slaf::new(basis, coefficients).map(Some)
}

/// One row a neuron, from one row shared by all or from the rows themselves.
fn spread(coefficients: &Matrix, width: usize) -> Matrix {
    fn repeated<T: Clone>(rows: &Array2<T>, width: usize) -> Array2<T> {
        Array2::from_shape_fn((width, rows.ncols()), |(i, k)| {
            rows[(if rows.nrows() == 1 { 0 } else { i }, k)].clone()
        })
    }
    match coefficients {
        Numbers::Float(a) => Numbers::Float(repeated(a, width)),
        Numbers::Exact(a) => Numbers::Exact(repeated(a, width)),
    }
}
