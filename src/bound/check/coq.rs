//! A certificate as a Coq file that states its bound and proves it by running the verified checker.
//!
//! The theories, `proofs/*.v`, come with it: [`THEORIES`] in the order in which they are compiled. The
//! instance is data (box, weights, polynomials, claims, bounds, bands) and the theorem `certificate`, proved by
//! `Checker.check_sound` or `Division.divided_sound` and a computation. Where the SLNN has several layers in
//! the place of one these are data too, and the theorem speaks of them, by another one, `by_layers`, which
//! `Layers.layers_spec` proves. A wrong hint or claim makes `coqc` refuse the file. What has to be trusted
//! beside Coq, its virtual machine included, is that the data and the statement are those of the certificate:
//! that the reader is right, that names of activations, weights, box, bounds and what spans replace are
//! written as they are, with layers of mixed neurons and of shared SLAFs written out, that the affine layers
//! beside spans, of which there is one copy, are the same in both networks, and that polynomials of any basis
//! are rightly made Chebyshev series and, in spans, powers. The sums of the files are a comment.

use std::fmt::Write as _;

use num_bigint::BigInt;
use num_traits::{One, Zero};

use super::composite::{self, Exact, REACH};
use super::differences::middle;
use super::polynomial::Chebyshev;
use super::{
    Failure, Outcome, Pair, Replacement, biases, carried_by_activation, dyadic, pairs, polynomial,
};
use crate::approximate::{Band, Bands};
use crate::bound::{Certificate, Division, Neuron, Proof, Split};
use crate::network::{Activation, Affine};
use crate::numeric::Dyadic;
use crate::numeric::elementary;
use crate::numeric::outward::Interval;

/// What an instance rests on, as (name, text), each after those that it uses.
pub const THEORIES: [(&str, &str); 14] = [
    ("Propagation.v", include_str!("../../../proofs/Propagation.v")),
    ("Dyadic.v", include_str!("../../../proofs/Dyadic.v")),
    ("Bernstein.v", include_str!("../../../proofs/Bernstein.v")),
    ("Tanh.v", include_str!("../../../proofs/Tanh.v")),
    ("Smooth.v", include_str!("../../../proofs/Smooth.v")),
    ("Exponential.v", include_str!("../../../proofs/Exponential.v")),
    ("Gaussian.v", include_str!("../../../proofs/Gaussian.v")),
    ("Sine.v", include_str!("../../../proofs/Sine.v")),
    ("Activations.v", include_str!("../../../proofs/Activations.v")),
    ("Linear.v", include_str!("../../../proofs/Linear.v")),
    ("Composite.v", include_str!("../../../proofs/Composite.v")),
    ("Checker.v", include_str!("../../../proofs/Checker.v")),
    ("Layers.v", include_str!("../../../proofs/Layers.v")),
    ("Division.v", include_str!("../../../proofs/Division.v")),
];

/// What an instance in the fast mode rests on besides.
pub const FAST: (&str, &str) = ("FloatMode.v", include_str!("../../../proofs/FloatMode.v"));

/// The theorem that the bound of the certificate holds, as a Coq file, to be proved exactly or, if `fast`,
/// with primitive floating-point numbers where polynomials are compared; `sums` are the SHA-256 sums of the
/// network and of the SLNN, for its first comment.
///
/// # Errors
/// What the Coq checker has no words for: shapes that do not fit, numbers that are not dyadic. Whether
/// the claims are true, and the splits of a box leave no part out, is left to `coqc`.
pub fn instance(certificate: &Certificate, sums: &[String; 2], fast: bool) -> Outcome<String> {
    let pairs = pairs(certificate)?;
    let mut out = format!(
        "(* Of the network with SHA-256 {}\n   and the SLNN with SHA-256 {}. *)\n\
         From Coq Require Import Reals ZArith List.\n\
         From SLNN Require Import Propagation Dyadic Activations Composite Checker Layers{}{}.\n\
         Import ListNotations.\nOpen Scope Z_scope.\nNotation D := Dyadic.\n\n\
         Definition box : dyadic_box := {}.\n\n",
        sums[0],
        sums[1],
        if certificate.division.is_some() { " Division" } else { "" },
        if fast { " FloatMode" } else { "" },
        list(certificate.domain.intervals().iter().map(|end| pair(end.lower, end.upper))),
    );
    let mut names = Vec::with_capacity(pairs.len());
    let mut spans = Vec::with_capacity(pairs.len());
    let mut behind = certificate.slnn.layers();
    for (l, (layer, span)) in pairs.iter().zip(&certificate.spans).enumerate() {
        let (span, others) = behind.split_at((*span).min(behind.len()));
        behind = others;
        let text = match layer {
            Pair::Affine(affine) => {
                spans.push("[]".to_owned());
                affine_layer(affine, l)?
            }
            Pair::Neurons(neurons) => {
                let mut all = Vec::with_capacity(neurons.claims.len());
                for (i, claim) in neurons.claims.iter().enumerate() {
                    let text =
                        neuron(&pairs[..l], neurons.functions[i], &neurons.replacements[i], claim);
                    all.push(text.map_err(|what| Failure::new(Some(l), Some(i), what))?);
                }
                if span.len() > 1 {
                    let steps = composite::layers(span, all.len())
                        .map_err(|what| Failure::new(Some(l), None, what))?;
                    let steps = list(steps.iter().map(composite_step));
                    let _ =
                        writeln!(out, "Definition span_{l} : list composite_step := {steps}.\n");
                    spans.push(format!("span_{l}"));
                } else {
                    spans.push("[]".to_owned());
                }
                format!("Neurons {}", list(all))
            }
        };
        let _ = writeln!(out, "Definition layer_{l} : certified_layer := {text}.\n");
        names.push(format!("layer_{l}"));
    }
    let bounds = certificate.bound.iter().map(|bound| number(&dyadic(*bound)));
    let mode = if fast { "fast_" } else { "" };
    let (divided, proof) = match &certificate.division {
        Some(division) => divided(certificate, division, &pairs, mode)?,
        None => (String::new(), format!("{mode}check_sound")),
    };
    let names = list(names);
    let (network, [reference, slnn], by_layers) = if spans.iter().any(|span| span != "[]") {
        (
            format!(
                "(* The network and the claims; of a composite block no more than its rounding. *)\n\
                 Definition layers : list certified_layer := {names}.\n\n\
                 (* What the SLNN has in the place of each of these layers, where it is more than one. *)\n\
                 Definition spans : list (list composite_step) := {}.\n\n\
                 Definition network := filled spans layers.\n\n\
                 (* The layers of the SLNN make what is said of each neuron. *)\n\
                 Theorem by_layers : forall x, length x = length box ->\n  \
                 layers_value layers spans x = slnn (network_value network) x.\n\
                 Proof. intros x Hx. apply layers_spec. rewrite Hx. vm_cast_no_check (eq_refl true). Qed.\n",
                list(spans),
            ),
            ["network_value layers", "layers_value layers spans x"],
            "intros x Hx. rewrite (by_layers x (inside_length box x Hx)).\n  \
             rewrite <- (filled_reference layers spans x). revert x Hx. ",
        )
    } else {
        (
            format!("Definition network : list certified_layer := {names}.\n"),
            ["network_value network", "slnn (network_value network) x"],
            "",
        )
    };
    let _ = write!(
        out,
        "{network}\n\
         Definition bounds : list dyadic := {}.\n\n{divided}\
         (* Everywhere on the box network and SLNN, before the head, differ by at most the bounds. *)\n\
         Theorem certificate : forall x, inside_box box x ->\n  \
         Forall2 (fun b d => (Rabs d <= value b)%R) bounds\n    \
         (zip Rminus ({slnn}) (reference ({reference}) x)).\n\
         Proof. {by_layers}apply {proof}. vm_cast_no_check (eq_refl true). Qed.\n\n\
         Print Assumptions certificate.\n",
        list(bounds),
    );
    Ok(out)
}

fn number(x: &Dyadic) -> String {
    let integer = |text: String| if text.starts_with('-') { format!("({text})") } else { text };
    format!("D {} {}", integer(x.mantissa().to_string()), integer(x.exponent().to_string()))
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join("; "))
}

fn pair(a: f64, b: f64) -> String {
    format!("({}, {})", number(&dyadic(a)), number(&dyadic(b)))
}

/// The bands and splits of methods C2 and D, and the theorem that uses them, of this mode.
///
/// Forms are rounded to multiples of a power of two far below the bounds.
fn divided(
    certificate: &Certificate,
    division: &Division,
    pairs: &[Pair],
    mode: &str,
) -> Outcome<(String, String)> {
    if division.bands.len() != pairs.len() {
        let what = format!("bands of {} layers for {}", division.bands.len(), pairs.len());
        return Err(Failure::new(None, None, what));
    }
    let layers = pairs.iter().zip(&division.bands).map(|(pair, bands)| {
        let neurons = bands.iter().enumerate().map(|(i, [values, residuals])| {
            let by_activation = match pair {
                Pair::Neurons(neurons) if i < neurons.claims.len() => {
                    carried_by_activation(neurons, i)
                }
                _ => false,
            };
            let band = |band: &Band| {
                let numbers = [band.lower, band.upper, band.slope, band.middle, band.radius];
                let numbers = numbers.map(|x| format!("({})", number(&dyadic(x))));
                format!("\n    Band {}", numbers.join(" "))
            };
            let all = |bands: &Bands| list(bands.parts().iter().map(band));
            let [values, residuals] = [values, residuals].map(all);
            format!("\n  Bands {values} {residuals} {by_activation}")
        });
        list(neurons)
    });
    let inputs = certificate.domain.len();
    if let Some(split) = division.splits.iter().flatten().find(|split| split.input >= inputs) {
        let what = format!("a split of input {} at {}, of {inputs} inputs", split.input, split.at);
        return Err(Failure::new(None, None, what));
    }
    let splits = division.splits.iter().map(|split| match split {
        Some(Split { input, at }) => {
            format!("Some ({input}%nat, {})", number(&dyadic(*at)))
        }
        None => "None".into(),
    });
    let smallest = certificate.bound.iter().copied().filter(|x| *x > 0.0).fold(1.0, f64::min);
    let digits = smallest.log2().floor() - 40.0;
    let text = format!(
        "Definition bands : list (list neuron_bands) := {}.\n\n\
         Definition splits : list (option (nat * dyadic)) := {}.\n\n",
        list(layers),
        list(splits),
    );
    Ok((text, format!("({mode}divided_sound ({digits}) box network bands splits)")))
}

fn affine_layer(affine: &Affine, l: usize) -> Outcome<String> {
    let mut rows = Vec::with_capacity(affine.weight().rows());
    for (i, row) in affine.weight().to_exact().outer_iter().enumerate() {
        let row = row.iter().map(|x| polynomial::admit(x).map(|x| number(&x)));
        let row = row
            .collect::<Result<Vec<_>, _>>()
            .map_err(|what| Failure::new(Some(l), Some(i), format!("among the weights {what}")))?;
        rows.push(format!("\n  {}", list(row)));
    }
    let bias = biases(affine, l)?;
    Ok(format!("Affine {}\n  {}", list(rows), list(bias.iter().map(number))))
}

fn neuron(
    before: &[Pair],
    function: Activation,
    replacement: &Replacement,
    claim: &Neuron,
) -> Result<String, String> {
    let name = match function {
        Activation::Identity => "Identity".into(),
        Activation::Relu => "Relu".into(),
        Activation::LeakyRelu { slope } => format!("(Leaky_relu ({}))", number(&dyadic(slope))),
        Activation::Abs => "Abs".into(),
        Activation::HardTanh => "Hard_tanh".into(),
        Activation::Tanh => "Tanh".into(),
        Activation::Sigmoid => "Sigmoid".into(),
        Activation::Softplus => "Softplus".into(),
        Activation::Elu { alpha } => format!("(Elu ({}))", number(&dyadic(alpha))),
        Activation::Silu => "Silu".into(),
        Activation::Gelu => "Gelu".into(),
        Activation::Sin => "Sin".into(),
    };
    let middle = middle(claim.slope.lower, claim.slope.upper).ok_or("a slope without a middle")?;
    let slopes = [claim.slope.lower, claim.slope.upper].map(dyadic);
    let [steepest_down, steepest_up] = match has_tables(function) {
        // The tables are not exact where the slopes are, at 0 and 1 say.
        true => [&slopes[0] - &tolerance(), &slopes[1] + &tolerance()],
        false => slopes,
    };
    let claimed = [
        claim.range.lower,
        claim.range.upper,
        claim.interval.lower,
        claim.interval.upper,
        claim.error,
    ]
    .map(dyadic);
    let claimed: Vec<_> = claimed
        .iter()
        .chain([&steepest_down, &steepest_up, &middle])
        .map(|x| format!("({})", number(x)))
        .collect();
    let line = |side: usize| {
        let slope = claim.lines[side];
        let touch = touch(function, slope, side, claim.range);
        format!("({}, {})", number(&dyadic(slope)), number(&touch))
    };
    let proof = |side: usize| match &claim.proofs[side] {
        Some(proof) => tree(proof, before),
        None => "(Leaf [] [])".into(),
    };
    let (polynomial, block) = match replacement {
        Replacement::Polynomial(polynomial) => {
            let Chebyshev { centre, scale, coefficients } = polynomial;
            let coefficients = list(coefficients.iter().map(number));
            (format!("({}) ({}) {coefficients}", number(centre), number(scale)), "None".to_owned())
        }
        // Nothing of the polynomial is used.
        Replacement::Composition(_) => ("d0 d0 []".to_owned(), block(claim.error)),
    };
    Ok(format!(
        "\n  Neuron {name} {polynomial}\n    (Claim {})\n    {} {} {} {} {block}",
        claimed.join(" "),
        line(0),
        line(1),
        proof(0),
        proof(1),
    ))
}

/// A composite block, whose steps the layers of the span say, and the power of two to which the checker
/// rounds, far below the error.
fn block(error: f64) -> String {
    let digits = if error > 0.0 { error.log2().floor() - 50.0 } else { -100.0 };
    format!("(Some (({digits}), []))")
}

/// A layer of a span.
fn composite_step(step: &Exact) -> String {
    match step {
        Exact::Affine(rows) => {
            let weights = rows.iter().map(|(terms, _)| {
                let columns = terms.iter().map(|(j, _)| j + 1).max().unwrap_or(0);
                let mut row = vec![Dyadic::zero(); columns];
                terms.iter().for_each(|(j, weight)| row[*j] = weight.clone());
                list(row.iter().map(number))
            });
            let biases = list(rows.iter().map(|(_, b)| number(b)));
            format!("\n    Combine {} {biases}", list(weights))
        }
        Exact::Polynomials(all) => {
            let stages = all.iter().map(|polynomial| {
                let coefficients = polynomial.powers();
                let turns = || segments(composite::turns(polynomial));
                let segments = if coefficients.len() > 3 { turns() } else { Vec::new() };
                let segments = segments.into_iter().map(|(lower, upper, turning)| {
                    let [lower, upper] = [lower, upper].map(|x| number(&dyadic(x)));
                    format!("Segment ({lower}) ({upper}) {turning}")
                });
                let [centre, scale] = [&polynomial.centre, &polynomial.scale].map(number);
                let coefficients = list(coefficients.iter().map(number));
                format!("\n      Stage ({centre}) ({scale}) {coefficients} {}", list(segments))
            });
            format!("\n    Apply {}", list(stages))
        }
    }
}

/// The turns of a polynomial and, between them, where it is monotone.
fn segments(mut turns: Vec<Interval>) -> Vec<(f64, f64, bool)> {
    turns.sort_by(|a, b| a.lower.total_cmp(&b.lower));
    let mut segments = Vec::new();
    let mut end = -REACH;
    for turn in turns {
        if end < turn.lower {
            segments.push((end, turn.lower, false));
        }
        segments.push((turn.lower, turn.upper, true));
        end = end.max(turn.upper);
    }
    if end < REACH {
        segments.push((end, REACH, false));
    }
    segments
}

/// The tree of a proof; the layers `before` are counted backward.
fn tree(proof: &Proof, before: &[Pair]) -> String {
    // The shapes were checked: a proof speaks of neurons of layers before.
    let step = |layer: usize| before.len().saturating_sub(layer + 1);
    match proof {
        Proof::Split { layer, neuron, below, above } => {
            let [below, above] = [below, above].map(|proof| tree(proof, before));
            format!("(Split {} {neuron} {below} {above})", step(*layer))
        }
        Proof::Leaf { slopes, multipliers } => {
            let slopes = slopes.iter().map(|&(layer, neuron, slope)| {
                let touch = match before.get(layer) {
                    Some(Pair::Neurons(neurons)) => {
                        neurons.functions.get(neuron).zip(neurons.claims.get(neuron))
                    }
                    _ => None,
                }
                .map_or_else(Dyadic::zero, |(&f, claim)| touch(f, slope, 0, claim.range));
                let (slope, touch) = (number(&dyadic(slope)), number(&touch));
                format!("({}%nat, {neuron}%nat, {slope}, {touch})", step(layer))
            });
            let multipliers = multipliers.iter().map(|&(layer, neuron, multiplier)| {
                let multiplier = number(&dyadic(multiplier));
                format!("({}%nat, {neuron}%nat, {multiplier})", step(layer))
            });
            format!("(Leaf {} {})", list(slopes), list(multipliers))
        }
    }
}

/// Whether the checker decides by tables of the function and of its derivative.
fn has_tables(function: Activation) -> bool {
    use Activation::{Elu, Gelu, Silu, Sin, Softplus};
    matches!(function, Softplus | Elu { .. } | Silu | Gelu | Sin)
}

/// More than such tables are off.
fn tolerance() -> Dyadic {
    Dyadic::new(BigInt::one(), -60)
}

/// About where a line of this slope below (`side` 0) or above (1) touches the activation on `range`.
fn touch(function: Activation, slope: f64, side: usize, range: Interval) -> Dyadic {
    if has_tables(function) {
        return dyadic(nearest(function, slope, side, range));
    }
    let (slope, stretch) = match function {
        Activation::Tanh => (slope, 1),
        Activation::Sigmoid => (4.0 * slope, 2),
        _ => return dyadic(0.0),
    };
    let sign = if side == 0 { -1.0 } else { 1.0 };
    let magnitude = if slope >= 1.0 {
        return dyadic(0.0);
    } else if slope <= 0.0 {
        dyadic(1024.0)
    } else {
        // tanh' = 1 - tanh^2, and one step of Newton from the f64 value.
        let start = dyadic((1.0 - slope).sqrt().atanh().min(1024.0));
        let value = elementary::tanh(&start.to_rational(), 160).midpoint();
        let Some(value) = Dyadic::from_rational(&value) else { return start };
        let derivative = Dyadic::from(1) - &(&value * &value);
        let excess = (&derivative - &dyadic(slope)).to_f64().unwrap_or(0.0);
        let bend = (&value * &derivative).to_f64().unwrap_or(0.0) * 2.0;
        let step = excess / bend;
        if step.is_finite() { &start + &dyadic(step) } else { start }
    };
    &(&magnitude * &dyadic(sign)) * &Dyadic::from(stretch)
}

/// About where in `range` a function with a continuous derivative is nearest to a line below (`side` 0) or
/// above (1) of this slope.
fn nearest(function: Activation, slope: f64, side: usize, range: Interval) -> f64 {
    const PARTS: u32 = 256;
    // Beyond, all but the sine are nearly lines.
    const BENT: f64 = 16.0;
    let sign = if side == 0 { 1.0 } else { -1.0 };
    let distance = |t: f64| sign * (function.value(t) - slope * t);
    let grows = |t: f64| sign * (function.derivative(t) - slope) > 0.0;
    let mut places = Vec::new();
    for (lower, upper) in
        [(range.lower, range.upper), (range.lower.max(-BENT), range.upper.min(BENT))]
    {
        if lower <= upper {
            places.extend((0..=PARTS).map(|k| {
                let share = f64::from(k) / f64::from(PARTS);
                (lower * (1.0 - share) + upper * share).max(lower).min(upper)
            }));
        }
    }
    places.sort_by(f64::total_cmp);
    places.dedup();
    let at = |k: usize| places.get(k).or(places.last()).copied().unwrap_or(0.0);
    let best =
        (0..places.len()).min_by(|a, b| distance(at(*a)).total_cmp(&distance(at(*b)))).unwrap_or(0);
    let (mut below, mut above) = (at(best.saturating_sub(1)), at(best + 1));
    if grows(below) {
        return below;
    }
    if !grows(above) {
        return above;
    }
    // The distance falls at `below` and rises at `above`.
    for _ in 0..60 {
        let middle = 0.5 * (below + above);
        if grows(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    above
}
