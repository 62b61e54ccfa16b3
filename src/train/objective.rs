//! The function that training minimises, with its gradient.

use crate::error::{Error, Result, size};
use crate::memory;
use crate::network::{Input, Network};
use crate::table::{Standardisation, Table};
use crate::train::engine::{Batch, Engine, Moments};
use crate::train::layers::LayerSpec;
use crate::train::model::{Activations, Kind, Model, Statistics, generator};
use crate::train::options::{BasisKind, Loss, Optimiser, Options, Routine};
use crate::train::real::Real;
use crate::train::routine;
use rand::Rng;

/// Deviations from the mean within which every training row's inputs are brought: a number far from
/// all others has powers that outweigh them. No column like a normal one has such a row.
const FARTHEST: f64 = 6.0;

/// Loss and gradient of a network as functions of its parameters, over the rows of a table.
///
/// Parameters are one vector, layer by layer: weights (neurons x inputs, columns first), biases,
/// coefficients (element by element; within an element one shared, or one a neuron or channel),
/// attention (one a degree from 1). The loss is that of [`Options::loss`] plus the penalties, in
/// standardised units when [`Options::standardise`] is set. Dropout lets everything pass.
///
/// `T` is the float that is computed in: `f64`, or `f32` inside training that asks for it.
#[derive(Clone, Debug)]
pub struct Objective<T = f64> {
    pub(super) engine: Engine<T>,
    pub(super) options: Options,
    pub(super) fit: Rows<T>,
    pub(super) held: Option<Rows<T>>,
    inputs: Vec<Input>,
    outputs: Vec<String>,
    constant: Vec<usize>,
    input_map: Option<Standardisation>,
    output_map: Option<Standardisation>,
}

/// Rows ready for training: inputs and targets as columns.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    pub inputs: Vec<T>,
    pub targets: Vec<T>,
    pub count: usize,
}

impl<T> Rows<T> {
    pub fn batch(&self) -> Batch<'_, T> {
        let (inputs, targets, rows) = (&self.inputs, &self.targets, self.count);
        Batch { inputs, targets, rows, order: None, noise: None }
    }
}

/// A number from 0 below `n`, from 64 random bits.
pub(super) fn below(rng: &mut impl Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// Fisher and Yates.
pub(super) fn shuffle(order: &mut [usize], rng: &mut impl Rng) {
    for i in (1..order.len()).rev() {
        order.swap(i, below(rng, i + 1));
    }
}

impl Objective {
    /// The objective on `rows` of `table`, with random initial statistics of orthogonal bases.
    ///
    /// # Errors
    /// When the options are invalid or do not go with the table, `rows` is empty, repeats a row
    /// or has one that is not in the table, or a column cannot be standardised.
    pub fn new(table: &Table, rows: &[usize], options: &Options) -> Result<Self> {
        let mut objective = Objective::build(table, rows, options)?;
        objective.start(0);
        Ok(objective)
    }
}

impl<T: Real> Objective<T> {
    /// As [`Objective::new`], in any float.
    pub(super) fn build(table: &Table, rows: &[usize], options: &Options) -> Result<Self> {
        options.validate()?;
        let (inputs, targets) = (table.inputs(), table.targets());
        options.check_size(inputs.ncols(), targets.ncols())?;
        let model = Model::new(inputs.ncols(), targets.ncols(), options)?;
        Options::check_parameters(model.parameters)?;
        check_rows(rows, table.rows())?;
        check_targets(table, rows, options.loss)?;
        let input_scaling =
            Standardisation::of(inputs, rows, table.input_names())?.within(FARTHEST, inputs, rows);
        let constant = input_scaling.constant_columns();
        let input_map = options.standardise.then_some(input_scaling);
        let output_map = if options.standardise && options.loss == Loss::MeanSquaredError {
            Some(Standardisation::of(targets, rows, table.target_names())?)
        } else {
            None
        };
        let image = !matches!(model.steps[0].kind, Kind::Affine { .. });
        let x = input_map.as_ref().map_or_else(|| inputs.clone(), |map| map.apply(inputs));
        let t = output_map.as_ref().map_or_else(|| targets.clone(), |map| map.apply(targets));
        let gather = |rows: &[usize]| {
            let mut data = Rows { inputs: Vec::new(), targets: Vec::new(), count: rows.len() };
            for &row in rows {
                let first = data.inputs.len();
                data.inputs.extend(x.row(row).iter().map(|x| T::of(*x)));
                // A constant input would be a second bias; a pixel is one for its neighbours' sake.
                if !image {
                    constant.iter().for_each(|&j| data.inputs[first + j] = T::zero());
                }
                data.targets.extend(t.row(row).iter().map(|t| T::of(*t)));
            }
            data
        };
        let (fit, held) = split(rows, options)?;
        check_batch(options, fit.len())?;
        let box_ends =
            inputs.columns().into_iter().zip(table.input_names()).map(|(column, name)| {
                let ends = rows.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, u), &row| {
                    (l.min(column[row]), u.max(column[row]))
                });
                Input { name: name.clone(), lower: Some(ends.0), upper: Some(ends.1) }
            });
        let mut engine = Engine::new(model, options.loss);
        if options.routine == Routine::Boundary {
            engine.boundary = options.boundary;
        }
        check_memory::<T>(&engine.model, options, fit.len())?;
        let objective = Objective {
            engine,
            options: options.clone(),
            fit: gather(&fit),
            held: (!held.is_empty()).then(|| gather(&held)),
            inputs: box_ends.collect(),
            outputs: table.target_names().to_vec(),
            constant: if image { Vec::new() } else { constant },
            input_map,
            output_map,
        };
        Ok(objective)
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.engine.model.parameters
    }

    /// Random parameters for an attempt, the same for the same seed; sets the intervals of
    /// orthogonal bases from the pre-activations that these parameters give.
    pub fn start(&mut self, attempt: usize) -> Vec<T> {
        let initial = self.engine.model.initial(self.options.seed, attempt);
        let mut parameters: Vec<T> = initial.into_iter().map(T::of).collect();
        let basis = self.options.activation.basis();
        let scaled =
            basis == Some(BasisKind::Monomial) && self.options.routine == Routine::Boundary;
        let adapted = scaled || self.options.warm_start.is_some();
        // Every batch sets the moments of the other bases anew.
        if adapted || basis.is_some_and(|basis| basis.family().is_some()) {
            self.engine.evaluate(&parameters, self.fit.batch(), Moments::Start, None);
        }
        if !adapted {
            return parameters;
        }
        // Step by step: the pre-activations of one follow from the SLAFs before it.
        for s in 0..self.engine.model.steps.len() {
            let Kind::Activation(Activations { slaf: Some(shape), normalisation: false, .. }) =
                self.engine.model.steps[s].kind.clone()
            else {
                continue;
            };
            let batch = self.fit.batch();
            if scaled {
                let ends = self.engine.ranges(s, &parameters, batch);
                let largest: Vec<f64> = ends.iter().map(|(l, u)| l.abs().max(u.abs())).collect();
                routine::into_range(&self.engine.model.steps[..s], &largest, &mut parameters);
                self.engine.evaluate(&parameters, batch, Moments::Start, None);
            }
            if let Some(function) = self.options.warm_start {
                let ranges = self.engine.ranges(s, &parameters, batch);
                if let Some(kernel) = self.engine.kernel(s) {
                    routine::fit(&shape, kernel, &ranges, function, &mut parameters);
                }
                self.engine.evaluate(&parameters, batch, Moments::Start, None);
            }
        }
        parameters
    }

    /// The loss on the rows that train, penalties included, and its derivative by the parameters.
    ///
    /// Normalised monomials take their moments from these rows and keep them.
    ///
    /// # Panics
    /// When `parameters` or `gradient` does not have [`Objective::parameters`] entries.
    pub fn value(&mut self, parameters: &[T], gradient: Option<&mut [T]>) -> f64 {
        self.value_with(parameters, Moments::Batch, gradient)
    }

    /// As [`Objective::value`] with the moments frozen as they were last set.
    ///
    /// # Panics
    /// As [`Objective::value`].
    pub fn value_frozen(&mut self, parameters: &[T], gradient: Option<&mut [T]>) -> f64 {
        self.value_with(parameters, Moments::Frozen, gradient)
    }

    fn value_with(
        &mut self,
        parameters: &[T],
        moments: Moments,
        mut gradient: Option<&mut [T]>,
    ) -> f64 {
        assert_eq!(parameters.len(), self.parameters(), "one number a parameter");
        let reborrowed = gradient.as_deref_mut();
        let loss = self.engine.evaluate(parameters, self.fit.batch(), moments, reborrowed);
        let Options { l1, l2, .. } = self.options;
        loss + self.engine.model.penalise(parameters, l1, l2, gradient)
    }

    /// The mean loss on the validation rows with frozen moments, without penalties.
    pub(super) fn validation(&mut self, parameters: &[T]) -> Option<f64> {
        let held = self.held.as_ref()?;
        let boundary = std::mem::take(&mut self.engine.boundary);
        let loss = self.engine.evaluate(parameters, held.batch(), Moments::Frozen, None);
        self.engine.boundary = boundary;
        Some(loss)
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.engine.statistics()
    }

    /// Names of the inputs that are constant on the rows.
    pub fn constant_inputs(&self) -> Vec<String> {
        self.constant.iter().map(|&j| self.inputs[j].name.clone()).collect()
    }

    /// The network of these parameters in the table's own units, with the moments as last set.
    ///
    /// Standardisation is folded into the first and last affine layers, every number rounded
    /// once (before a convolution it is a layer of its own), and so is batch normalisation; the
    /// weight of a constant input is 0.
    ///
    /// # Errors
    /// When a parameter is not finite in the table's own units.
    pub fn network(&self, parameters: &[T]) -> Result<Network> {
        let mut parameters: Vec<f64> = parameters.iter().map(|p| p.f64()).collect();
        let first = &self.engine.model.steps[0];
        if let Kind::Affine { weight, .. } = &first.kind {
            for &j in &self.constant {
                parameters[weight.start + j * first.after..][..first.after].fill(0.0);
            }
        }
        let layers = self.engine.model.layers(
            &parameters,
            &self.engine.statistics(),
            self.input_map.as_ref(),
            self.output_map.as_ref(),
        )?;
        Network::new(self.inputs.clone(), self.outputs.clone(), layers, self.options.loss.head())
    }
}

/// # Errors
/// When there are no rows, one is not below `count`, or one stands twice.
pub(super) fn check_rows(rows: &[usize], count: usize) -> Result<()> {
    if rows.is_empty() {
        return Err(Error::invalid("training rows", "no rows", "at least one"));
    }
    let mut seen = vec![false; count];
    for &row in rows {
        match seen.get_mut(row) {
            None => {
                let expected = format!("rows below {count}, the rows of the table");
                return Err(Error::invalid("training rows", format!("row {row}"), expected));
            }
            Some(true) => {
                return Err(Error::invalid("training rows", format!("row {row} twice"), "it once"));
            }
            Some(unseen) => *unseen = true,
        }
    }
    Ok(())
}

fn check_targets(table: &Table, rows: &[usize], loss: Loss) -> Result<()> {
    if loss == Loss::MeanSquaredError {
        return Ok(());
    }
    let targets = table.targets();
    if loss == Loss::SoftmaxCrossEntropy && targets.ncols() < 2 {
        let found = format!("one column of numbers ({}) under softmax", table.target_names()[0]);
        let expected = "class labels, or the loss logistic for a column of 0 and 1";
        return Err(Error::invalid(format!("{}: targets", table.source()), found, expected));
    }
    let place = |row: usize| format!("{}: targets, row {row} (from 0)", table.source());
    for &row in rows {
        let own = targets.row(row);
        if let Some(t) = own.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            let expected = "0, 1 or a probability between, as cross-entropy needs";
            return Err(Error::invalid(place(row), t.to_string(), expected));
        }
        let sum = own.sum();
        if loss == Loss::SoftmaxCrossEntropy && (sum - 1.0).abs() > 1e-9 {
            let expected = "probabilities of sum 1, as softmax cross-entropy needs";
            return Err(Error::invalid(place(row), format!("sum {sum}"), expected));
        }
    }
    Ok(())
}

/// Rows that train and rows held back for validation.
fn split(rows: &[usize], options: &Options) -> Result<(Vec<usize>, Vec<usize>)> {
    let Some(fraction) = options.validation else { return Ok((rows.to_vec(), Vec::new())) };
    if rows.len() < 2 {
        let found = format!("{} rows to divide", rows.len());
        return Err(Error::invalid("options.validation", found, "at least two training rows"));
    }
    let count = ((rows.len() as f64 * fraction).round() as usize).clamp(1, rows.len() - 1);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    shuffle(&mut order, &mut generator(options.seed, 0, u64::MAX));
    let (held, fit) = order.split_at_mut(count);
    held.sort_unstable();
    fit.sort_unstable();
    let pick = |order: &[usize]| order.iter().map(|&i| rows[i]).collect();
    Ok((pick(fit), pick(held)))
}

/// # Errors
/// When parameters, what the optimiser keeps of them, and what goes through the network in one batch
/// would take more than half of the free memory.
fn check_memory<T>(model: &Model, options: &Options, rows: usize) -> Result<()> {
    let (parameters, batch) = (model.parameters as f64, rows.div_ceil(batches(options, rows)));
    // Beside them the best so far, the gradient and, of L-BFGS, those of a line search.
    let copies = match options.optimiser {
        Optimiser::Adam { .. } => 5,
        Optimiser::Sgd { .. } => 4,
        Optimiser::Lbfgs { history } => 2 * history.min(options.epochs) + 9,
    };
    let numbers: usize = model.steps.iter().map(|step| step.after).sum();
    let through = 2.0 * batch as f64 * numbers as f64;
    let bytes = size_of::<T>() as f64 * (copies as f64 * parameters + through);
    let limit = memory::default_limit() as f64;
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::invalid(
        "options.hidden",
        format!(
            "{} parameters and {numbers} numbers for each of {batch} rows of a batch, which take {}",
            model.parameters,
            size(bytes)
        ),
        format!(
            "at most {}, half of the free memory: fewer neurons or smaller batches",
            size(limit)
        ),
    ))
}

fn check_batch(options: &Options, rows: usize) -> Result<()> {
    let normalised = options.activation.basis() == Some(BasisKind::NormalisedMonomial)
        || options.has_layer(|layer| matches!(layer, LayerSpec::BatchNorm));
    let smallest = rows / batches(options, rows);
    if normalised && smallest < 2 {
        let found = format!("batches of {smallest} row");
        // The option that left so few is the one to change.
        let (place, found) = match (rows, options.validation) {
            (2.., _) => ("options.batch", found),
            (_, Some(fraction)) => {
                ("options.validation", format!("{fraction}, which leaves {rows} row to train on"))
            }
            (_, None) => ("training rows", format!("{rows} row")),
        };
        let expected = "two rows or more: one row has no deviation to normalise by";
        return Err(Error::invalid(place, found, expected));
    }
    Ok(())
}

/// Number of steps in an epoch; batches differ by at most one row.
pub(super) fn batches(options: &Options, rows: usize) -> usize {
    options.batch.map_or(1, |batch| rows.div_ceil(batch))
}
