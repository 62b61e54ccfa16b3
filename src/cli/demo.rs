//! `slnn` alone: the main job on a table that is embedded in the program.
//!
//! Fuel consumption of 392 cars: a linear model, a ReLU network and an SLNN of
//! the same size are trained on the same rows; the SLNN is expanded exactly, the
//! expansion is proven equal to it, and everything is written into `slnn-demo/`.

use std::path::Path;
use std::time::Instant;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::ToPrimitive;
use rayon::prelude::*;
use serde_json::json;
use slnn::error::{Error, Result};
use slnn::expand::{Expansion, Limits, expand, prove_equal};
use slnn::export::{self, Target};
use slnn::network::{Activation, Network};
use slnn::report;
use slnn::table::{Split, Standardisation, Table, problems};
use slnn::train::{Control, HiddenActivation, Options, Quiet, baseline, metrics, train};

use super::Globals;
use super::answer::{Answer, Outcome, counted, duration, grouped, short};
use super::progress::Progress;

const DIRECTORY: &str = "slnn-demo";

/// Random validation splits by which the L2 is chosen.
const SPLITS: u64 = 4;

/// Terms of the formula that are printed.
const SHOWN: usize = 8;

/// Shows a training run on the terminal.
struct Watching(Progress);

impl Watching {
    fn new(globals: &Globals, epochs: usize, what: &str) -> Self {
        Watching(Progress::new(globals, what, epochs))
    }
}

impl Control for Watching {
    fn progress(&mut self, progress: &slnn::train::Progress) {
        self.0.at(progress.epoch, || format!("loss {}", short(progress.loss)));
    }
}

/// Runs the main job.
pub fn run(globals: &Globals) -> Outcome {
    let start = Instant::now();
    let directory = Path::new(DIRECTORY);
    if directory.exists() && !directory.is_dir() {
        let expected = "a folder, or nothing there: the files of this run are written into it";
        return Err(Error::invalid(DIRECTORY, "a file of that name", expected));
    }
    std::fs::create_dir_all(directory).map_err(|e| Error::io(directory, e))?;
    let mut answer = Answer::default();

    let table = problems::auto_mpg();
    let split = Split::by_fraction(table.rows(), 0.2, 0)?;
    let target = table.target_names()[0].clone();
    answer.line(format_args!(
        "Table     {}: {}, inputs {}; target {target}",
        table.source(),
        counted(table.rows(), "row"),
        table.input_names().join(", "),
    ));

    // Degree 2: a formula of a length that can be read, and tame outside the training rows.
    let slaf = |l2| Options { degrees: vec![2], l2, ..base_options() };
    let relu = |l2| Options {
        activation: HiddenActivation::Function(Activation::Relu),
        l2,
        ..base_options()
    };
    let penalties = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1];
    let options = best(&table, &split.train, penalties.map(slaf).to_vec())?;
    let conventional = best(&table, &split.train, penalties.map(relu).to_vec())?;
    let linear = baseline::linear_model(&table, &split.train)?;
    let relu = train(
        &table,
        &split.train,
        &conventional,
        &mut Watching::new(globals, options.epochs, "ReLU"),
    )?
    .network;
    let trained =
        train(&table, &split.train, &options, &mut Watching::new(globals, options.epochs, "SLNN"))?;
    let path = directory.join("model.json");
    trained.network.write(&path)?;
    // From here on the model is what stands in the file.
    let network = Network::read(&path)?;

    answer.line(format_args!(
        "Training  {} epochs on {}, tested on {} others; the L2 of both networks chosen by\n          \
         validation inside the training rows",
        trained.epochs,
        counted(split.train.len(), "row"),
        split.test.len(),
    ));
    answer.line("");
    let mut rows =
        vec![["", "parameters", "train rmse", "test rmse", "test r2"].map(str::to_owned)];
    let mut figures = serde_json::Map::new();
    for (name, model) in [("linear model", &linear), ("ReLU network", &relu), ("SLNN", &network)] {
        let [train, test] = [&split.train, &split.test].map(|rows| score(model, &table, rows));
        let (train, test) = (train?, test?);
        let shown = |x: Option<f64>| x.map_or("-".to_owned(), short);
        rows.push([
            name.into(),
            model.parameters().to_string(),
            shown(train.rmse),
            shown(test.rmse),
            shown(test.r2),
        ]);
        figures.insert(
            name.into(),
            json!({"parameters": model.parameters(), "train": {"rmse": train.rmse},
                   "test": {"rmse": test.rmse, "mae": test.mae, "r2": test.r2}}),
        );
    }
    answer.table(&rows);
    answer.set("models", figures);

    let expanding = Instant::now();
    let expansion = expand(&network, &Limits::default())?;
    let expanded = expanding.elapsed();
    let proof = prove_equal(&network, &expansion)?;
    answer.line("");
    answer.line(format_args!(
        "Expansion the SLNN is one polynomial of total degree {} with {} ({})",
        expansion.degree(),
        counted(expansion.terms(), "term"),
        duration(expanded.as_secs_f64()),
    ));
    answer.line(format_args!(
        "Proof     the polynomial equals the network: their exact values agree at the {} lattice \
         points\n          that determine a polynomial of degree {} in {} variables",
        grouped(proof.points as u128),
        proof.degree,
        expansion.variables().len(),
    ));

    let formula = Formula::new(&expansion, &table, &split.train)?;
    answer.line("");
    answer.line(format_args!("Formula   around the average car ({})", formula.centre_text()));
    answer.line("");
    for line in formula.lines(&target) {
        answer.line(line);
    }

    let polynomial = directory.join("polynomial.json");
    export::write(&expansion, Target::Json, &polynomial)?;
    let latex = directory.join("polynomial.tex");
    export::write(&expansion, Target::Latex, &latex)?;
    let chart = directory.join("chart.svg");
    let series = [("linear model", &linear), ("SLNN", &network)]
        .into_iter()
        .map(|(name, model)| Ok((name.to_owned(), points(model, &table, &split.test)?)))
        .collect::<Result<Vec<_>>>()?;
    let title = "Fuel consumption of cars that the models have not seen";
    let svg = report::predicted_against_measured(title, &target, &series)?;
    slnn::file::write_atomically(&chart, |w| w.write_all(svg.as_bytes()))?;

    answer.line("");
    let files = [
        (&path, "the network"),
        (&polynomial, "its polynomial, every coefficient exact"),
        (&latex, "the same for a paper"),
        (&chart, "predicted against measured"),
    ];
    for (k, (file, what)) in files.iter().enumerate() {
        let label = if k == 0 { "Files" } else { "" };
        answer.line(format_args!("{label:<9} {:<26} {what}", file.display().to_string()));
    }
    answer.line(format_args!("Done in {}.", duration(start.elapsed().as_secs_f64())));

    answer.set("rows", table.rows());
    answer.set("l2", options.l2);
    answer.set("degree", expansion.degree());
    answer.set("terms", expansion.terms());
    answer.set("equal", true);
    answer.set("points", proof.points);
    answer.set("formula", formula.to_value());
    answer.set("files", files.map(|(file, _)| file.display().to_string()).to_vec());
    answer.set("seconds", start.elapsed().as_secs_f64());
    Ok(answer)
}

/// What both networks have in common.
fn base_options() -> Options {
    Options { hidden: vec![8], epochs: 600, ..Options::default() }
}

/// The candidate with the least squared error over random validation splits of the training rows.
fn best(table: &Table, rows: &[usize], candidates: Vec<Options>) -> Result<Options> {
    let splits = (0..SPLITS)
        .map(|seed| Split::by_fraction(rows.len(), 0.25, seed))
        .collect::<Result<Vec<_>>>()?;
    let errors = candidates
        .par_iter()
        .map(|options| {
            splits.iter().try_fold(0.0, |sum, split| {
                let own = |part: &[usize]| part.iter().map(|&i| rows[i]).collect::<Vec<_>>();
                let network = train(table, &own(&split.train), options, &mut Quiet)?.network;
                let rmse = score(&network, table, &own(&split.test))?.rmse.unwrap_or(f64::INFINITY);
                Ok(sum + rmse * rmse)
            })
        })
        .collect::<Result<Vec<f64>>>()?;
    let best = (1..errors.len()).fold(0, |best, i| if errors[i] < errors[best] { i } else { best });
    Ok(candidates[best].clone())
}

fn score(model: &Network, table: &Table, rows: &[usize]) -> Result<metrics::Metrics> {
    let table = table.select(rows);
    metrics::of(model, table.inputs().view(), table.targets().view())
}

/// `(measured, predicted)` of the first target.
fn points(model: &Network, table: &Table, rows: &[usize]) -> Result<Vec<(f64, f64)>> {
    let table = table.select(rows);
    let predicted = model.predict(table.inputs().view())?;
    Ok(table.targets().column(0).iter().copied().zip(predicted.column(0).iter().copied()).collect())
}

/// The exact polynomial about the average row, its terms by how much they move the output.
struct Formula {
    names: Vec<String>,
    centre: Vec<i64>,
    constant: f64,
    /// Exponents, coefficient, and the change of the output when every input of the term is one
    /// deviation from the average.
    terms: Vec<(Vec<u32>, f64, f64)>,
}

impl Formula {
    fn new(expansion: &Expansion, table: &Table, rows: &[usize]) -> Result<Self> {
        let names = expansion.variables().to_vec();
        let moments = Standardisation::of(table.inputs(), rows, &names)?;
        // Whole numbers are easier to read, and any centre gives the same polynomial.
        let centre: Vec<i64> =
            moments.mean().iter().map(|m| m.round().to_i64().unwrap_or(0)).collect();
        let exact: Vec<_> = centre.iter().map(|&c| BigRational::from(BigInt::from(c))).collect();
        let about = expansion.recentred(&exact)?;
        let mut constant = 0.0;
        let mut terms = Vec::new();
        for (exponents, c) in about.rational()?[0].terms() {
            let c = c.to_f64().unwrap_or(f64::NAN);
            if exponents.iter().all(|e| *e == 0) {
                constant = c;
                continue;
            }
            let effect = exponents
                .iter()
                .zip(moments.deviation())
                .fold(c, |product, (&e, deviation)| product * deviation.powi(e as i32));
            terms.push((exponents.to_vec(), c, effect));
        }
        terms.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
        Ok(Formula { names, centre, constant, terms })
    }

    fn centre_text(&self) -> String {
        let pairs: Vec<_> =
            self.names.iter().zip(&self.centre).map(|(n, c)| format!("{n} {c}")).collect();
        pairs.join(", ")
    }

    fn monomial(&self, exponents: &[u32]) -> String {
        let factors = exponents.iter().enumerate().filter(|(_, e)| **e > 0).map(|(i, e)| {
            let factor = format!("({} - {})", self.names[i], self.centre[i]);
            if *e == 1 { factor } else { format!("{factor}^{e}") }
        });
        factors.collect::<Vec<_>>().join(" ")
    }

    fn lines(&self, target: &str) -> Vec<String> {
        let mut lines = vec![format!("  {target} = {}", short(self.constant))];
        for (exponents, c, effect) in self.terms.iter().take(SHOWN) {
            let sign = if *c < 0.0 { '-' } else { '+' };
            let term = format!("    {sign} {} {}", short(c.abs()), self.monomial(exponents));
            lines.push(format!("{term:<66} [{effect:+.2} {target}]"));
        }
        let rest = self.terms.len().saturating_sub(SHOWN);
        lines.push(format!("    + {}, all in the files", counted(rest, "smaller term")));
        lines.push(
            "  [ ]: what a term adds when its inputs are one standard deviation above the average"
                .into(),
        );
        lines
    }

    fn to_value(&self) -> serde_json::Value {
        let terms: Vec<_> = self
            .terms
            .iter()
            .take(SHOWN)
            .map(|(exponents, c, effect)| {
                json!({"exponents": exponents, "coefficient": c, "effect": effect})
            })
            .collect();
        json!({"centre": self.centre, "constant": self.constant, "largest_terms": terms})
    }
}
