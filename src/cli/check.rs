//! `slnn check`: whether a certificate is true.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use slnn::bound::Certificate;
use slnn::bound::certificate::sum_of;
use slnn::bound::check::{check_watched, coq};
use slnn::error::{Error, Result};
use slnn::expand::Model;
use slnn::file::write_atomically;

use super::Globals;
use super::answer::{Answer, Outcome, short_up};
use super::input::read_model;
use super::progress::Progress;

/// Checks a certificate, trusting nothing in it
///
/// Every claim is recomputed, in exact arithmetic where that is affordable and in outward-rounded
/// arithmetic elsewhere; the answer says which. Exit code 0 when the certificate is valid, 1 when a
/// claim is not confirmed, with its layer and neuron, or a network given is another one.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples: slnn check certificate.json --network net.onnx --slnn slnn.json\n          \
slnn check certificate.json --coq -o proof"
)]
pub struct Arguments {
    /// A certificate
    #[arg(value_name = "CERT.json")]
    certificate: PathBuf,
    /// The network that it should be about
    #[arg(long, value_name = "NET")]
    network: Option<PathBuf>,
    /// The SLNN that it should be about
    #[arg(long, value_name = "SLNN")]
    slnn: Option<PathBuf>,
    /// Write a Coq file that proves the bound, and the theories it needs, instead of checking here
    #[arg(long, requires = "output")]
    coq: bool,
    /// With --coq: a proof that takes a fraction of the time, and assumes that the processor's floating-point
    /// arithmetic is that of IEEE 754; it needs Coq's interval library
    #[arg(long, requires = "coq")]
    fast: bool,
    /// The folder for them
    #[arg(short, long, value_name = "DIR", requires = "coq")]
    output: Option<PathBuf>,
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    let certificate = Certificate::read(&arguments.certificate)?;
    let sums = [sum_of(&certificate.reference), sum_of(&certificate.slnn)];
    let mut answer = Answer::default();
    for (key, sum) in ["network_sha256", "slnn_sha256"].into_iter().zip(&sums) {
        answer.set(key, sum.as_str());
    }
    answer.set("arithmetic", Value::Null);
    let files = [("network", &arguments.network, &sums[0]), ("SLNN", &arguments.slnn, &sums[1])];
    for (what, file, sum) in files {
        if let Some(file) = file
            && !is_about(file, sum, globals)?
        {
            let reason = format!("{} is not the {what} of the certificate", file.display());
            refuse(&mut answer, &reason, None, None);
            return Ok(answer);
        }
    }
    if let Some(folder) = &arguments.output {
        return write_coq(&certificate, &sums, arguments.fast, folder, answer);
    }
    let parts = certificate.division.as_ref().map_or(0, |d| d.splits.len().div_ceil(2));
    let neurons: usize = certificate.layers.iter().flatten().map(Vec::len).sum();
    let progress = Progress::new(globals, "check", parts + neurons);
    let verdict = check_watched(&certificate, &mut |done, all| {
        progress.at(done, || format!("{done} of {all} neurons and parts"));
    });
    drop(progress);
    if let Some(failure) = &verdict.reason {
        // Without a layer it is an output that is named.
        let neuron = failure.layer.and(failure.neuron);
        refuse(&mut answer, &failure.to_string(), failure.layer, neuron);
        return Ok(answer);
    }
    let arithmetic = verdict.arithmetic;
    answer.set(
        "arithmetic",
        json!({
            "ranges": arithmetic.ranges.to_string(),
            "exact_errors": arithmetic.exact_errors,
            "outward_errors": arithmetic.outward_errors,
            "propagation": arithmetic.propagation.to_string(),
        }),
    );
    answer.set("valid", true);
    answer.set("certified_error", verdict.bound.clone());
    answer.set("reason", Value::Null);
    answer.line("valid: everywhere on the box network and SLNN differ by at most");
    for (output, bound) in certificate.reference.outputs().iter().zip(&verdict.bound) {
        answer.line(format_args!("  {}  in {output}", short_up(*bound)));
    }
    answer.line(format_args!("recomputed: {arithmetic}"));
    for (what, file, sum) in files {
        match file {
            Some(file) => answer.line(format_args!("{what} {}", file.display())),
            None => answer.line(format_args!("{what} with SHA-256 {sum}")),
        }
    }
    Ok(answer)
}

/// The theories, the instance, and the list of them that coq_makefile reads.
fn write_coq(
    certificate: &Certificate,
    sums: &[String; 2],
    fast: bool,
    folder: &Path,
    mut answer: Answer,
) -> Outcome {
    let instance = match coq::instance(certificate, sums, fast) {
        Ok(instance) => instance,
        Err(failure) => {
            let neuron = failure.layer.and(failure.neuron);
            refuse(&mut answer, &failure.to_string(), failure.layer, neuron);
            return Ok(answer);
        }
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let instance = ("Certificate.v", instance.as_str());
    let files: Vec<_> =
        coq::THEORIES.into_iter().chain(fast.then_some(coq::FAST)).chain([instance]).collect();
    let names = files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("\n");
    let project = ("_CoqProject", format!("-Q . SLNN\n{names}\n"));
    for (name, text) in files.iter().copied().chain([(project.0, project.1.as_str())]) {
        write_atomically(&folder.join(name), |w| w.write_all(text.as_bytes()))?;
    }
    answer.set("valid", Value::Null);
    answer.set("written", files.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    answer.line(format_args!(
        "written to {}; nothing is checked yet. In that folder:",
        folder.display()
    ));
    for (name, _) in files {
        answer.line(format_args!("  coqc -Q . SLNN {name}"));
    }
    Ok(answer)
}

fn is_about(file: &Path, sum: &str, globals: &Globals) -> Result<bool> {
    Ok(match read_model(file, globals)? {
        Model::Network(network) => sum_of(&network) == sum,
        Model::Expansion(_) => false,
    })
}

fn refuse(answer: &mut Answer, reason: &str, layer: Option<usize>, neuron: Option<usize>) {
    answer.set("valid", false);
    answer.set("certified_error", Value::Null);
    answer.set("reason", json!({"message": reason, "layer": layer, "neuron": neuron}));
    answer.line(format_args!("not valid: {reason}"));
    answer.is_no();
}
