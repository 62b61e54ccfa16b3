//! `slnn check`: whether a certificate is true.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use slnn::bound::Certificate;
use slnn::bound::certificate::sum_of;
use slnn::bound::check::check_watched;
use slnn::error::Result;
use slnn::network::Network;

use super::Globals;
use super::answer::{Answer, Outcome, short};
use super::progress::Progress;

/// Checks a certificate, trusting nothing in it
///
/// Every claim is recomputed, in exact arithmetic where that is affordable and in outward-rounded
/// arithmetic elsewhere; the answer says which. Exit code 0 when the certificate is valid, 1 when a
/// claim is not confirmed, with its layer and neuron, or a network given is another one.
#[derive(Args, Debug)]
#[command(after_help = "Example: slnn check cars.certificate.json --network cars.json")]
pub struct Arguments {
    /// A certificate
    #[arg(value_name = "CERT.json")]
    certificate: PathBuf,
    /// The network that it should be about
    #[arg(long, value_name = "NET.json")]
    network: Option<PathBuf>,
    /// The SLNN that it should be about
    #[arg(long, value_name = "SLNN.json")]
    slnn: Option<PathBuf>,
}

pub fn run(arguments: &Arguments, globals: &Globals) -> Outcome {
    let certificate = Certificate::read(&arguments.certificate)?;
    let sums = [sum_of(&certificate.reference), sum_of(&certificate.slnn)];
    let mut answer = Answer::default();
    for (key, sum) in ["network_sha256", "slnn_sha256"].into_iter().zip(&sums) {
        answer.set(key, sum.as_str());
    }
    let files = [("network", &arguments.network, &sums[0]), ("SLNN", &arguments.slnn, &sums[1])];
    for (what, file, sum) in files {
        if let Some(file) = file
            && !is_about(file, sum)?
        {
            let reason =
                format!("{}: not the {what} that the certificate is about", file.display());
            refuse(&mut answer, &reason, None, None);
            return Ok(answer);
        }
    }
    let neurons = certificate.layers.iter().flatten().map(Vec::len).sum();
    let progress = Progress::new(globals, "check", neurons);
    let verdict = check_watched(&certificate, &mut |done, all| {
        progress.at(done, || format!("{done} of {all} neurons"));
    });
    drop(progress);
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
    if let Some(failure) = &verdict.reason {
        refuse(&mut answer, &failure.to_string(), failure.layer, failure.neuron);
        return Ok(answer);
    }
    answer.set("valid", true);
    answer.set("certified_error", verdict.bound.clone());
    answer.line("valid");
    for (output, bound) in certificate.reference.outputs().iter().zip(&verdict.bound) {
        answer.line(format_args!("{output}: the two differ by at most {}", short(*bound)));
    }
    answer.line(format_args!("recomputed: {arithmetic}"));
    for (what, file, sum) in files {
        if file.is_none() {
            answer.line(format_args!("{what} certified: SHA-256 {sum}"));
        }
    }
    Ok(answer)
}

fn is_about(file: &Path, sum: &str) -> Result<bool> {
    Ok(sum_of(&Network::read(file)?) == sum)
}

fn refuse(answer: &mut Answer, reason: &str, layer: Option<usize>, neuron: Option<usize>) {
    answer.set("valid", false);
    answer.set("certified_error", serde_json::Value::Null);
    answer.set("reason", reason);
    answer.set("layer", layer);
    answer.set("neuron", neuron);
    answer.line(format_args!("not valid: {reason}"));
    answer.is_no();
}
