//! The certificate file: `"format": "slnn.certificate", "version": 1`.
//!
//! Everything that is needed to check a bound, and nothing that has to be trusted:
//!
//! ```text
//! "network", "slnn"                 the two networks, whole (network files, without remarks)
//! "network_sha256", "slnn_sha256"   SHA-256 sums of these two as canonical network files
//! "box"                             [lower, upper] for each input
//! "method"                          how errors are propagated: "A", "B", "C", "C2" or "D"
//! "spans"                           how many layers of the SLNN stand in the place of each layer of
//!                                   the network; missing where that is one for all
//! "layers"                          one entry for each layer of the network: null for an affine
//!                                   one, else an object for each neuron:
//!    "range"      what the reference's pre-activation can be over the box
//!    "lines"      slopes of the lines below and above the activation on the range, for the
//!                 backward relaxation of later ranges
//!    "interval"   the range, enlarged by the error that arrives at the neuron
//!    "error"      a bound of |p - s| on the interval
//!    "slope"      what s' can be on the interval
//!    "lower", "upper"   only where the lines of all neurons do not prove that end of the range:
//!                 {"split": [layer, neuron], "below": .., "above": ..} or, at a leaf,
//!                 {"slopes": [[layer, neuron, slope], ..], "multipliers": [[layer, neuron, multiplier], ..]}
//! "division"   only for methods C2 and D:
//!    "bands"   one entry for each layer: an empty list for an affine one, else an object for each
//!              neuron: "values" of the activation on its range, "residuals" p - s on its interval,
//!              both lists of [lower, upper, slope, middle, radius]: on [lower, upper] the function is
//!              at most radius from slope z + middle
//!    "splits"  the splits of the box, each [input, at], followed by those of the part below and then
//!              by those of the part above; null for a part that is not split
//! "bound"                           a bound of the absolute difference over the box, one an output
//! ```
//!
//! Ranges, intervals and slopes are pairs of f64, [lower, upper].

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::approximate::{Band, Bands};
use crate::bound::joint::{Unit, Units};
use crate::bound::{Domain, Method, Neuron, Proof, Split, Splits};
use crate::error::{Error, Result};
use crate::json::{Cursor, Json};
use crate::network::Network;
use crate::network::json::{number, quote, read_about};
use crate::numeric::outward::Interval;

/// The name of the format in files.
pub const FORMAT: &str = "slnn.certificate";
const VERSION: usize = 1;

/// A claim about two networks on a box, with what is needed to check it.
///
/// Reading one checks its form only, not its truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// The network with conventional activations.
    pub reference: Network,
    /// The network with polynomials in their place.
    pub slnn: Network,
    /// The box.
    pub domain: Domain,
    /// How errors are propagated.
    pub method: Method,
    /// How many layers of the SLNN stand in the place of each layer: more than one where composite
    /// blocks do.
    pub spans: Vec<usize>,
    /// The neurons of each layer; `None` for affine layers.
    pub layers: Vec<Option<Vec<Neuron>>>,
    /// What methods C2 and D prove their bound by.
    pub division: Option<Division>,
    /// The claim: a bound of the absolute difference, one for each output, before the head.
    pub bound: Vec<f64>,
}

/// How the box is divided, and the lines by which neurons are replaced on the parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Division {
    /// For each neuron of each layer, none for affine ones: its activation on its range, and the
    /// residual p - s on its interval.
    pub bands: Vec<Vec<[Bands; 2]>>,
    /// The splits.
    pub splits: Splits,
}

impl Division {
    pub(super) fn new(units: Units, splits: Splits) -> Self {
        let of_layer =
            |layer: Vec<Unit>| layer.into_iter().map(|u| [u.values, u.residuals]).collect();
        Division { bands: units.into_iter().map(of_layer).collect(), splits }
    }
}

/// The SHA-256 sum, in hexadecimal, of the network as a file without remarks.
pub fn sum_of(network: &Network) -> String {
    let canonical = network.clone().with_about(serde_json::Map::new()).to_json();
    Sha256::digest(canonical.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Certificate {
    /// Reads a certificate file.
    ///
    /// # Errors
    /// When the file cannot be read, or anything in it is unknown, missing, of the wrong kind or of the wrong
    /// shape, or a sum is not that of the network beside it.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_document(&Json::read(path)?).map_err(|e| e.within(path.display()))
    }

    /// Reads a certificate from a parsed document.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub fn from_document(document: &Json) -> Result<Self> {
        let mut fields = document.top().object()?;
        fields.header(FORMAT, VERSION)?;
        let mut network = |key: &str| -> Result<Network> {
            let network = fields.take(key)?;
            let network = Network::from_document(network.value()).map_err(|e| e.within(key))?;
            let claimed = fields.take(&format!("{key}_sha256"))?;
            let sum = sum_of(&network);
            if claimed.string()? != sum {
                return Err(claimed.expected(format!("{sum}, the sum of {key:?} in the same file")));
            }
            Ok(network)
        };
        let (reference, slnn) = (network("network")?, network("slnn")?);
        let ends = fields.take("box")?.array()?.map(|c| pair(&c)).collect::<Result<Vec<_>>>()?;
        let domain = Domain::new(ends)?;
        let method = fields.take("method")?;
        let name = method.string()?;
        let method = Method::ALL.into_iter().find(|m| m.name() == name);
        let method = method.ok_or_else(|| {
            let names = Method::ALL.map(Method::name).join(", ");
            Error::invalid("method", format!("{name:?}"), format!("one of {names}"))
        })?;
        let layers = fields.take("layers")?.array()?.map(|c| read_layer(&c));
        let layers: Vec<_> = layers.collect::<Result<_>>()?;
        let spans = match fields.take_optional("spans") {
            Some(spans) => spans.array()?.map(|c| c.index(usize::MAX)).collect::<Result<_>>()?,
            None => vec![1; layers.len()],
        };
        let division = fields.take_optional("division").map(|c| read_division(&c)).transpose()?;
        let bound = fields.take("bound")?.array()?.map(|c| c.number()).collect::<Result<_>>()?;
        read_about(&mut fields)?;
        fields.finish()?;
        Ok(Certificate { reference, slnn, domain, method, spans, layers, division, bound })
    }

    /// The text of the certificate file.
    pub fn to_json(&self) -> String {
        let mut out = format!("{{\"format\": \"{FORMAT}\", \"version\": {VERSION}");
        for (key, network) in [("network", &self.reference), ("slnn", &self.slnn)] {
            let plain = network.clone().with_about(serde_json::Map::new()).to_json();
            let _ = write!(out, ",\n\"{key}\": {}", plain.trim_end());
            let _ = write!(out, ",\n\"{key}_sha256\": {}", quote(&sum_of(network)));
        }
        let ends: Vec<_> = self.domain.intervals().iter().map(ends_of).collect();
        let _ = write!(out, ",\n\"box\": [{}]", ends.join(", "));
        let _ = write!(out, ",\n\"method\": {}", quote(self.method.name()));
        if self.spans.iter().any(|span| *span != 1) {
            let spans: Vec<_> = self.spans.iter().map(usize::to_string).collect();
            let _ = write!(out, ",\n\"spans\": [{}]", spans.join(", "));
        }
        out.push_str(",\n\"layers\": [");
        for (l, layer) in self.layers.iter().enumerate() {
            out.push_str(if l == 0 { "\n " } else { ",\n " });
            let Some(neurons) = layer else {
                out.push_str("null");
                continue;
            };
            out.push('[');
            for (i, neuron) in neurons.iter().enumerate() {
                let [below, above] = neuron.lines;
                let _ = write!(
                    out,
                    "{}{{\"range\": {}, \"lines\": {}, \"interval\": {}, \"error\": {}, \"slope\": {}",
                    if i == 0 { "" } else { ",\n  " },
                    ends_of(&neuron.range),
                    ends_of(&Interval::new(below, above)),
                    ends_of(&neuron.interval),
                    number(neuron.error),
                    ends_of(&neuron.slope),
                );
                for (key, proof) in ["lower", "upper"].iter().zip(&neuron.proofs) {
                    if let Some(proof) = proof {
                        let _ = write!(out, ",\n   \"{key}\": ");
                        write_proof(&mut out, proof);
                    }
                }
                out.push('}');
            }
            out.push(']');
        }
        let bound: Vec<_> = self.bound.iter().map(|e| number(*e)).collect();
        out.push(']');
        if let Some(division) = &self.division {
            write_division(&mut out, division);
        }
        let _ = write!(out, ",\n\"bound\": [{}]}}\n", bound.join(", "));
        out
    }

    /// Writes the certificate file, atomically.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        crate::file::write_atomically(path, |w| w.write_all(self.to_json().as_bytes()))
    }
}

fn ends_of(interval: &Interval) -> String {
    format!("[{}, {}]", number(interval.lower), number(interval.upper))
}

fn pair(cursor: &Cursor) -> Result<(f64, f64)> {
    let numbers = cursor.array()?.map(|c| c.number()).collect::<Result<Vec<_>>>()?;
    match numbers[..] {
        [lower, upper] => Ok((lower, upper)),
        _ => Err(cursor.invalid(format!("{} numbers", numbers.len()), "two, [lower, upper]")),
    }
}

fn interval(cursor: &Cursor) -> Result<Interval> {
    let (lower, upper) = pair(cursor)?;
    if lower > upper {
        return Err(cursor.invalid(format!("[{lower}, {upper}]"), "lower at most upper"));
    }
    Ok(Interval::new(lower, upper))
}

fn read_layer(cursor: &Cursor) -> Result<Option<Vec<Neuron>>> {
    if *cursor.value() == Json::Null {
        return Ok(None);
    }
    cursor.array()?.map(|c| read_neuron(&c)).collect::<Result<_>>().map(Some)
}

fn read_neuron(cursor: &Cursor) -> Result<Neuron> {
    let mut fields = cursor.object()?;
    let range = interval(&fields.take("range")?)?;
    let (below, above) = pair(&fields.take("lines")?)?;
    let enlarged = interval(&fields.take("interval")?)?;
    let error = fields.take("error")?;
    let slope = interval(&fields.take("slope")?)?;
    if error.number()? < 0.0 {
        return Err(error.expected("a number that is not negative"));
    }
    let error = error.number()?;
    let mut proof = |key| fields.take_optional(key).map(|c| read_proof(&c)).transpose();
    let proofs = [proof("lower")?, proof("upper")?];
    fields.finish()?;
    Ok(Neuron { range, lines: [below, above], interval: enlarged, error, slope, proofs })
}

fn write_division(out: &mut String, division: &Division) {
    let list = |bands: &Bands| {
        let band =
            |b: &Band| [b.lower, b.upper, b.slope, b.middle, b.radius].map(number).join(", ");
        let each: Vec<String> = bands.parts().iter().map(|b| format!("[{}]", band(b))).collect();
        format!("[{}]", each.join(", "))
    };
    out.push_str(",\n\"division\": {\"bands\": [");
    for (l, layer) in division.bands.iter().enumerate() {
        out.push_str(if l == 0 { "[" } else { ",\n  [" });
        for (i, [values, residuals]) in layer.iter().enumerate() {
            let _ = write!(
                out,
                "{}{{\"values\": {}, \"residuals\": {}}}",
                if i == 0 { "" } else { ",\n   " },
                list(values),
                list(residuals)
            );
        }
        out.push(']');
    }
    out.push_str("],\n \"splits\": [");
    for (k, split) in division.splits.iter().enumerate() {
        out.push_str(if k == 0 { "" } else { ", " });
        match split {
            Some(Split { input, at }) => {
                let _ = write!(out, "[{input}, {}]", number(*at));
            }
            None => out.push_str("null"),
        }
    }
    out.push_str("]}");
}

fn read_division(cursor: &Cursor) -> Result<Division> {
    let mut fields = cursor.object()?;
    let bands = fields.take("bands")?.array()?.map(|layer| {
        let neuron = |cursor: Cursor| {
            let mut fields = cursor.object()?;
            let both =
                [read_bands(&fields.take("values")?)?, read_bands(&fields.take("residuals")?)?];
            fields.finish()?;
            Ok(both)
        };
        layer.array()?.map(neuron).collect()
    });
    let bands = bands.collect::<Result<_>>()?;
    let splits = fields.take("splits")?.array()?.map(|c| {
        if *c.value() == Json::Null {
            return Ok(None);
        }
        match &c.array()?.collect::<Vec<_>>()[..] {
            [input, at] => Ok(Some(Split { input: input.index(usize::MAX)?, at: at.number()? })),
            other => Err(c.invalid(format!("{} entries", other.len()), "[input, at] or null")),
        }
    });
    let splits = splits.collect::<Result<_>>()?;
    fields.finish()?;
    Ok(Division { bands, splits })
}

fn read_bands(cursor: &Cursor) -> Result<Bands> {
    let bands = cursor.array()?.map(|c| {
        let numbers = c.array()?.map(|c| c.number()).collect::<Result<Vec<_>>>()?;
        match numbers[..] {
            [.., radius] if numbers.len() == 5 && radius < 0.0 => {
                Err(c.invalid(format!("the radius {radius}"), "a radius that is not negative"))
            }
            [lower, upper, slope, middle, radius] => {
                Ok(Band { lower, upper, slope, middle, radius })
            }
            _ => Err(c.invalid(
                format!("{} numbers", numbers.len()),
                "five: lower, upper, slope, middle, radius",
            )),
        }
    });
    Ok(Bands::new(bands.collect::<Result<_>>()?))
}

fn write_proof(out: &mut String, proof: &Proof) {
    match proof {
        Proof::Split { layer, neuron, below, above } => {
            let _ = write!(out, "{{\"split\": [{layer}, {neuron}], \"below\": ");
            write_proof(out, below);
            out.push_str(", \"above\": ");
            write_proof(out, above);
        }
        Proof::Leaf { slopes, multipliers } => {
            let list = |places: &[(usize, usize, f64)]| {
                let each = places.iter().map(|(k, i, x)| format!("[{k}, {i}, {}]", number(*x)));
                each.collect::<Vec<_>>().join(", ")
            };
            let _ = write!(
                out,
                "{{\"slopes\": [{}], \"multipliers\": [{}]",
                list(slopes),
                list(multipliers)
            );
        }
    }
    out.push('}');
}

/// The nesting is bounded by that of the document.
fn read_proof(cursor: &Cursor) -> Result<Proof> {
    let mut fields = cursor.object()?;
    let proof = if let Some(split) = fields.take_optional("split") {
        let place = split.array()?.map(|c| c.index(usize::MAX)).collect::<Result<Vec<_>>>()?;
        let [layer, neuron] = place[..] else {
            return Err(split.invalid(format!("{} numbers", place.len()), "[layer, neuron]"));
        };
        let mut half = |key| read_proof(&fields.take(key)?).map(Box::new);
        Proof::Split { layer, neuron, below: half("below")?, above: half("above")? }
    } else {
        let mut list = |key| -> Result<Vec<_>> {
            fields.take(key)?.array()?.map(|c| read_place(&c)).collect()
        };
        Proof::Leaf { slopes: list("slopes")?, multipliers: list("multipliers")? }
    };
    fields.finish()?;
    Ok(proof)
}

fn read_place(cursor: &Cursor) -> Result<(usize, usize, f64)> {
    let entries: Vec<_> = cursor.array()?.collect();
    match &entries[..] {
        [layer, neuron, x] => {
            Ok((layer.index(usize::MAX)?, neuron.index(usize::MAX)?, x.number()?))
        }
        _ => Err(cursor.invalid(format!("{} entries", entries.len()), "[layer, neuron, number]")),
    }
}
