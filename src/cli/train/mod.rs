//! `slnn train`: a table becomes a network.
//!
//! [`flags`] reads the command line, [`fit`] searches and trains; here is what comes before and after.
//!
//! What it reports is measured on the network as it stands in the file, read back.

mod fit;
mod flags;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use slnn::error::{Error, Result};
use slnn::expand::{Plan, plan};
use slnn::network::Network;
use slnn::numeric::rational::{format_exact, rational_to_f64};
use slnn::table::{Split, Table};
use slnn::train::auto::Choice;
use slnn::train::rationalise::{RationaliseOptions, Rationalised, rationalise};
use slnn::train::{HiddenActivation, Loss, Options};

use fit::{Fitted, checkpoint_path, choose, fit, remove_checkpoint, search_path};
use flags::{
    ChoiceArguments, MethodArguments, PrecisionName, Shape, Stopping, TestRows, check_rationalise,
};

use super::Globals;
use super::answer::{Answer, Outcome, count, counted, duration, grouped, short};
use super::input::TableArguments;
use super::score::{Score, check_finite};

/// Learns a network from a table
///
/// Inputs are all columns but the targets. The saved network works in the table's own units. A
/// checkpoint stands beside it while training runs; Ctrl-C stops after the batch and saves it,
/// and --resume goes on to the same bytes as a run that was never stopped.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example: slnn train cars.csv --target mpg --hidden 8,8 --degree 3 \
--test-fraction 0.1 -o cars.json"
)]
pub struct Arguments {
    /// A CSV, .npy or IDX file, or a built-in table: xor, two-spirals, sparse-polynomial, auto-mpg
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// Where to write the network
    #[arg(short, long, value_name = "NET.json")]
    output: PathBuf,
    #[command(flatten)]
    columns: TableArguments,
    #[command(flatten)]
    test: TestRows,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    method: MethodArguments,
    #[command(flatten)]
    stopping: Stopping,
    #[command(flatten)]
    choice: ChoiceArguments,
    /// The seed of every random number
    #[arg(long, help_heading = "Run", value_name = "N")]
    seed: Option<u64>,
    /// The float that training computes in; the saved weights are exact either way [default: f64]
    #[arg(long, help_heading = "Run", value_enum)]
    precision: Option<PrecisionName>,
    /// Go on from the checkpoint beside the output
    #[arg(long, help_heading = "Run")]
    resume: bool,
    /// Write a checkpoint every N epochs; 0 for none but at Ctrl-C [default: every 10 seconds]
    #[arg(long, help_heading = "Run", value_name = "N")]
    checkpoint_every: Option<usize>,
    /// Propose small rationals near the parameters and prove that they fit the table exactly
    #[arg(long, help_heading = "Run")]
    rationalise: bool,
}

/// An r2 of training and test rows that differs by more deserves a word.
const FAR_APART: f64 = 0.5;

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    let output = &arguments.output;
    arguments.check_files()?;
    arguments.check_combinations()?;
    let table = arguments.columns.read(&arguments.table)?;
    let options = arguments.options(&table)?;
    if arguments.rationalise {
        check_rationalise(&options, &table)?;
    }
    let split = arguments.split(table.rows(), options.seed)?;
    let rows = match &split {
        Some(split) => split.train.clone(),
        None => (0..table.rows()).collect(),
    };

    let started = Instant::now();
    let choice = match arguments.choice.auto {
        true => Some(choose(arguments, &table, &rows, &options, globals)?),
        false => None,
    };
    let options = choice.as_ref().map_or(options, |choice| choice.options.clone());
    let (trained, resumed) = fit(arguments, &table, &rows, &options, choice.as_ref(), globals)?;
    let seconds = started.elapsed().as_secs_f64();

    let rationalised = match arguments.rationalise {
        true => Some(rationalise(&trained.network, &table, &rows, &RationaliseOptions::default())?),
        false => None,
    };
    // Rationals that do not fit are no better than the numbers they were to replace.
    let network = match &rationalised {
        Some(proposal) if proposal.zero => proposal.network.clone(),
        _ => trained.network.clone(),
    };
    // Figures of outputs that are not numbers would be none.
    let outputs = network.forward(table.select(&rows).inputs().view())?;
    check_finite(&outputs, network.outputs()).map_err(|e| e.within("the trained network"))?;
    let mut about = network.about().clone();
    if let Some(target) = table.label_column() {
        // `evaluate` finds the labels by it.
        about.insert("target".into(), target.into());
    }
    network.with_about(about).write(output)?;
    remove_checkpoint(&checkpoint_path(output))?;
    if arguments.choice.auto {
        remove_checkpoint(&search_path(output))?;
    }

    let seen = measure(Network::read(output)?, &table, &rows, split.as_ref())?;
    let made = Made { options, choice, trained, resumed, rationalised, seconds };
    Ok(answer(arguments, &table, &made, &seen))
}

/// What became of a table.
struct Made {
    options: Options,
    choice: Option<Choice>,
    trained: Fitted,
    /// The epoch that the training went on from.
    resumed: Option<usize>,
    rationalised: Option<Rationalised>,
    seconds: f64,
}

/// What is found of a network.
struct Seen {
    network: Network,
    /// Of the rows by their name, `train` and `test`, where the outputs are numbers.
    scores: Vec<(&'static str, Score)>,
    /// The test rows, and those outside of the training box.
    tested: Option<(usize, Vec<usize>)>,
    /// The plan of its expansion, or why there is none.
    size: Result<Plan>,
    warnings: Vec<String>,
}

fn measure(network: Network, table: &Table, rows: &[usize], split: Option<&Split>) -> Result<Seen> {
    let (mut scores, mut warnings) = (Vec::new(), Vec::new());
    for (name, rows) in [("train", Some(rows)), ("test", split.map(|split| &*split.test))] {
        let Some(rows) = rows else { continue };
        match score(&network, &table.select(rows))? {
            Some(score) => scores.push((name, score)),
            None => {
                warnings
                    .push(format!("the outputs of some {name} rows are beyond f64: no figures"));
            }
        }
    }
    if let [(_, own), (_, test)] = &scores[..]
        && let (Some(own), Some(test)) = (own.r2(), test.r2())
        && own - test > FAR_APART
    {
        warnings.push(
            "the test rows are fitted far worse than the training rows: a lower degree, fewer neurons, \
             more --l2 or --auto would learn less by heart"
                .into(),
        );
    }
    let tested = split.map(|split| {
        let own = network.rows_outside_box(table.select(&split.test).inputs().view());
        (split.test.len(), own.into_iter().map(|i| split.test[i]).collect())
    });
    let size = match plan(&network, None) {
        Err(error) if !matches!(error, Error::NotPolynomial { .. } | Error::TooLarge(_)) => {
            return Err(error);
        }
        size => size,
    };
    Ok(Seen { network, scores, tested, size, warnings })
}

fn answer(arguments: &Arguments, table: &Table, made: &Made, seen: &Seen) -> Answer {
    let Made { options, choice, trained, rationalised, .. } = made;
    let Seen { network, scores, size, .. } = seen;
    let members = arguments.members(choice.as_ref());
    let warnings: Vec<String> = trained.warnings.iter().chain(&seen.warnings).cloned().collect();
    let mut answer = Answer::default();
    answer.set("parameters", network.parameters());
    answer.set("epochs", trained.epochs);
    answer.set("best_epoch", trained.best_epoch);
    answer.set("seconds", made.seconds);
    answer.set("seconds_per_epoch", trained.seconds_per_epoch);
    for name in ["train", "test"] {
        let score = scores.iter().find(|(own, _)| *own == name);
        answer.set(name, score.map(|(_, score)| score.to_value()));
    }
    answer.set("degree", size.as_ref().map_or(Value::Null, |plan| count(plan.degree)));
    answer.set("monomials", size.as_ref().map_or(Value::Null, |plan| count(plan.terms)));
    answer.set("test_outside_box", seen.tested.as_ref().map(|(_, outside)| outside.len()));
    answer.set("test_outside_rows", seen.tested.as_ref().map(|(_, outside)| outside.clone()));
    answer.set("ensemble", members);
    answer.set("mean_exact", trained.exact);
    answer.set("auto", choice.as_ref().map(choice_value));
    answer.set("seed", options.seed);
    answer.set("restarts", trained.restarts);
    answer.set("resumed_from_epoch", made.resumed);
    answer.set("warnings", warnings.clone());
    answer.set("rationalised", rationalised.as_ref().map(|proposal| proposal.zero));
    answer.set("residual", rationalised.as_ref().map(|proposal| format_exact(&proposal.residual)));
    answer.set("file", arguments.output.display().to_string());

    let mut lines: Vec<_> = scores.iter().take(1).map(|(_, score)| score.heading()).collect();
    lines.extend(scores.iter().map(|(name, score)| score.row(name)));
    answer.table(&lines);
    answer.line(format_args!(
        "{} from {}: {}, {} in {}{}",
        table.target_names().join(", "),
        counted(table.input_names().len(), "input"),
        counted(network.parameters(), "parameter"),
        counted(trained.epochs, "epoch"),
        duration(made.seconds),
        if trained.restarts == 0 {
            String::new()
        } else {
            format!(", {}", counted(trained.restarts, "restart"))
        }
    ));
    match size {
        Ok(plan) => answer.line(format_args!(
            "a polynomial of total degree {}: {} monomials",
            grouped(plan.degree),
            grouped(plan.terms)
        )),
        Err(Error::TooLarge(error)) => {
            answer.line(format_args!("a polynomial of a degree that is not known: {error}"));
        }
        Err(_) => {
            answer.line("not a polynomial: a conventional activation or max pooling is in it");
        }
    }
    if let Some(choice) = choice {
        answer.line(format_args!("chosen by validation: {}", described(choice)));
    }
    if members > 1 {
        answer.line(match trained.exact {
            true => format!("the mean of {members} networks, exactly"),
            false => format!(
                "the mean of {members} networks, the numbers of its last layer each rounded once"
            ),
        });
    }
    if let Some((rows, outside)) = &seen.tested {
        answer.line(format_args!(
            "outside the training box: {} of {}{}",
            outside.len(),
            counted(*rows, "test row"),
            listed(outside)
        ));
    }
    match rationalised {
        None => {}
        Some(proposal) if proposal.zero => answer.line(format_args!(
            "rationalised: {} of {} parameters are small rationals, and the residual over the \
             training rows is exactly 0: proved",
            proposal.replaced, proposal.parameters
        )),
        Some(proposal) => {
            answer.is_no();
            let residual = rational_to_f64(&proposal.residual).unwrap_or(f64::INFINITY);
            answer.line(format_args!(
                "not rationalised: the rationals found leave a sum of squares of {}; the network \
                 is as it was trained",
                short(residual)
            ));
        }
    }
    if let Some(target) = options.target_loss {
        let standardised = options.standardise && options.loss == Loss::MeanSquaredError;
        answer.line(format_args!(
            "training loss {}, penalties included{} (--target-loss {target})",
            short(trained.loss),
            if standardised { ", of standardised targets" } else { "" },
        ));
    }
    for warning in &warnings {
        answer.line(format_args!("warning: {warning}"));
    }
    answer.line(format_args!("written to {}", arguments.output.display()));
    answer
}

/// The first of some rows, in brackets; nothing where there are none.
fn listed(rows: &[usize]) -> String {
    const NAMED: usize = 10;
    let named: Vec<String> = rows.iter().take(NAMED).map(usize::to_string).collect();
    match rows.len() {
        0 => String::new(),
        n if n <= NAMED => format!(" (rows {})", named.join(", ")),
        n => format!(" (rows {} and {} more)", named.join(", "), n - NAMED),
    }
}

fn described(choice: &Choice) -> String {
    let text = |counts: &[usize]| counts.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let flags = |options: &Options| {
        let Options { hidden, degrees, l2, activation, .. } = options;
        if hidden.is_empty() {
            return format!("--hidden none --l2 {}", short(*l2));
        }
        let degree = match activation.basis() {
            Some(_) => format!(" --degree {}", text(degrees)),
            None => String::new(),
        };
        format!("--hidden {}{degree} --l2 {}", text(hidden), short(*l2))
    };
    let second = choice.second.as_ref().map(|second| format!(" and {}", flags(second)));
    let taught = match choice.taught.len() {
        0 => String::new(),
        count => {
            format!(", {count} of them taught by {}", counted(choice.teacher.len(), "network"))
        }
    };
    format!(
        "{}{} --ensemble {}{taught}, of {}",
        flags(&choice.options),
        second.unwrap_or_default(),
        choice.members,
        counted(choice.trials.len(), "candidate")
    )
}

fn choice_value(choice: &Choice) -> Value {
    let trials: Vec<Value> = choice
        .trials
        .iter()
        .map(|t| {
            json!({
                "role": t.role.name(), "hidden": t.hidden, "degree": t.degrees, "l2": t.l2,
                "losses": t.losses,
            })
        })
        .collect();
    json!({
        "hidden": choice.options.hidden, "degree": choice.options.degrees,
        "l2": choice.options.l2, "ensemble": choice.members, "loss": choice.loss,
        "trials": trials,
        "second": choice.second.as_ref().map(|second| {
            json!({"hidden": second.hidden, "degree": second.degrees, "l2": second.l2})
        }),
        "taught": choice.taught,
        "teacher": choice.teacher.iter().map(|own| {
            let activation = match own.activation {
                HiddenActivation::Function(function) => Some(function.name()),
                HiddenActivation::Slaf { .. } | HiddenActivation::Hybrid { .. } => None,
            };
            json!({"activation": activation, "hidden": own.hidden, "l2": own.l2})
        }).collect::<Vec<_>>(),
    })
}

/// The figures, or `None` where an output is not finite.
fn score(network: &Network, table: &Table) -> Result<Option<Score>> {
    let outputs = network.forward(table.inputs().view())?;
    match outputs.iter().all(|y| y.is_finite()) {
        true => Score::of(outputs, table.targets().view(), network.head()).map(Some),
        false => Ok(None),
    }
}
