//! The network file: `"format": "slnn.network", "version": 1`.
//!
//! A JSON number is an f64, bit for bit; a JSON string is an exact rational in
//! canonical spelling. An array that holds a string is exact as a whole.
//!
//! Images lie in rows, channels last (see [`image`](crate::network::image)); layers on them spell out
//! their shapes:
//!
//! ```text
//! {"kind": "conv", "input": [height, width, channels], "size": [rows, columns], "stride": [1, 1],
//!  "padding": [0, 0], "weight": [[...], ...], "bias": [...]}       one row of weights a channel that comes
//!                                                    out: window row by row, column by column, channels last
//! {"kind": "average_pool", "input": [...], "size": [2, 2], "stride": [2, 2], "scale": 0.25}   the sum times the scale
//! {"kind": "max_pool", "input": [...], "size": [2, 2], "stride": [2, 2]}
//! {"kind": "flatten", "shape": [height, width, channels]}
//! {"kind": "channels", "positions": n, "channels": m, "layer": {"kind": "slaf", ...}}     at each position alike
//! {"kind": "residual", "layers": [...]}                                           their outputs plus their inputs
//! ```

use std::fmt::Write as _;
use std::path::Path;

use num_rational::BigRational;

use crate::error::{Error, Result};
use crate::json::{Cursor, Fields, Json};
use crate::network::activation::Activation;
use crate::network::image::{Channels, Conv, Pool, PoolKind, Shape, Window};
use crate::network::layer::{Affine, Basis, Family, Group, Layer, Mixed, Part, Slaf};
use crate::network::numbers::{Matrix, Numbers, Vector};
use crate::network::{Head, Input, Network};
use crate::numeric::rational::format_exact;

/// The name of the format in files.
pub const FORMAT: &str = "slnn.network";
const VERSION: usize = 1;

impl Network {
    /// Reads a network file.
    ///
    /// # Errors
    /// When the file cannot be read, or anything in it is unknown, missing, of the wrong kind or
    /// of the wrong shape; the message names the file and the place in it.
    pub fn read(path: &Path) -> Result<Network> {
        Network::from_document(&Json::read(path)?).map_err(|e| e.within(path.display()))
    }

    /// Reads a network from the text of a network file.
    ///
    /// # Errors
    /// As [`Network::read`], without the file.
    pub fn from_json(text: &str) -> Result<Network> {
        Network::from_document(&Json::parse(text)?)
    }

    /// Reads a network from a parsed document.
    ///
    /// # Errors
    /// As [`Network::from_json`].
    pub fn from_document(document: &Json) -> Result<Network> {
        let mut fields = document.top().object()?;
        fields.header(FORMAT, VERSION)?;
        let inputs =
            fields.take("inputs")?.array()?.map(|c| read_input(&c)).collect::<Result<_>>()?;
        let outputs = fields
            .take("outputs")?
            .array()?
            .map(|c| c.string().map(str::to_owned))
            .collect::<Result<_>>()?;
        let layers =
            fields.take("layers")?.array()?.map(|c| read_layer(&c)).collect::<Result<_>>()?;
        let head = fields.take("head")?;
        let head = Head::from_name(head.string()?)
            .ok_or_else(|| head.expected("\"identity\", \"softmax\" or \"logistic\""))?;
        let about = read_about(&mut fields)?;
        fields.finish()?;
        Ok(Network::new(inputs, outputs, layers, head)?.with_about(about))
    }

    /// The text of the network file.
    pub fn to_json(&self) -> String {
        let mut out =
            format!("{{\"format\": \"{FORMAT}\", \"version\": {VERSION},\n \"inputs\": [");
        for (i, input) in self.inputs.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let _ = write!(out, "{separator}{{\"name\": {}", quote(&input.name));
            for (key, end) in [("lower", input.lower), ("upper", input.upper)] {
                if let Some(end) = end {
                    let _ = write!(out, ", \"{key}\": {}", number(end));
                }
            }
            out.push('}');
        }
        let outputs: Vec<_> = self.outputs.iter().map(|o| quote(o)).collect();
        let _ = write!(out, "],\n \"outputs\": [{}],\n \"layers\": [", outputs.join(", "));
        for (l, layer) in self.layers.iter().enumerate() {
            out.push_str(if l == 0 { "\n  " } else { ",\n  " });
            write_layer(&mut out, layer);
        }
        let _ = write!(out, "],\n \"head\": \"{}\"", self.head.name());
        if !self.about.is_empty() {
            let about = serde_json::Value::Object(self.about.clone());
            let _ = write!(out, ",\n \"about\": {about}");
        }
        out.push_str("}\n");
        out
    }

    /// Writes the network file, atomically.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        crate::file::write_atomically(path, |w| w.write_all(self.to_json().as_bytes()))
    }
}

/// Takes the optional `about` object, which readers otherwise ignore.
pub(crate) fn read_about(
    fields: &mut Fields,
) -> Result<serde_json::Map<String, serde_json::Value>> {
    match fields.take_optional("about") {
        None => Ok(serde_json::Map::new()),
        Some(about) => match about.value().to_value() {
            serde_json::Value::Object(map) => Ok(map),
            _ => Err(about.expected("an object")),
        },
    }
}

fn read_input(cursor: &Cursor) -> Result<Input> {
    let mut fields = cursor.object()?;
    let name = fields.take("name")?.string()?.to_owned();
    let lower = fields.take_optional("lower").map(|c| c.number()).transpose()?;
    let upper = fields.take_optional("upper").map(|c| c.number()).transpose()?;
    fields.finish()?;
    Ok(Input { name, lower, upper })
}

fn read_layer(cursor: &Cursor) -> Result<Layer> {
    read_layer_at(cursor, 0)
}

fn read_layer_at(cursor: &Cursor, depth: usize) -> Result<Layer> {
    let mut fields = cursor.object()?;
    let kind = fields.take("kind")?;
    let place = cursor.path();
    let layer = match kind.string()? {
        "affine" => {
            let weight = read_matrix(&fields.take("weight")?)?;
            let bias = read_vector(&fields.take("bias")?)?;
            Layer::Affine(Affine::new(weight, bias).map_err(|e| e.within(place))?)
        }
        "slaf" => Layer::Slaf(read_slaf(&mut fields, place)?),
        "activation" => Layer::Activation(read_activation(&mut fields, place)?),
        "mixed" => {
            let groups = fields
                .take("groups")?
                .array()?
                .map(|c| read_group(&c, depth))
                .collect::<Result<_>>()?;
            Layer::Mixed(Mixed::new(groups).map_err(|e| e.within(place))?)
        }
        "channels" => {
            let count = |cursor: Cursor| cursor.index(u32::MAX as usize);
            let (positions, channels) =
                (count(fields.take("positions")?)?, count(fields.take("channels")?)?);
            let layer = read_inner(&fields.take("layer")?, depth)?;
            Layer::Channels(Channels::new(positions, channels, layer).map_err(|e| e.within(place))?)
        }
        "conv" => {
            let padding = read_counts(&fields.take("padding")?)?;
            let window = read_window(&mut fields, padding).map_err(|e| e.within(place))?;
            let weight = read_matrix(&fields.take("weight")?)?;
            let bias = read_vector(&fields.take("bias")?)?;
            Layer::Conv(Conv::new(window, weight, bias).map_err(|e| e.within(place))?)
        }
        name @ ("average_pool" | "max_pool") => {
            let window = read_window(&mut fields, [0, 0]).map_err(|e| e.within(place))?;
            let kind = match name {
                "max_pool" => PoolKind::Max,
                _ => PoolKind::Average(fields.take("scale")?.number()?),
            };
            Layer::Pool(Pool::new(window, kind).map_err(|e| e.within(place))?)
        }
        "flatten" => Layer::Flatten(read_counts(&fields.take("shape")?)?),
        "residual" => Layer::Residual(
            fields
                .take("layers")?
                .array()?
                .map(|c| read_inner(&c, depth))
                .collect::<Result<_>>()?,
        ),
        _ => {
            return Err(kind.expected(
                "\"affine\", \"slaf\", \"activation\", \"mixed\", \"channels\", \"conv\", \
                 \"average_pool\", \"max_pool\", \"flatten\" or \"residual\"",
            ));
        }
    };
    fields.finish()?;
    Ok(layer)
}

/// How deep layers may lie in layers.
const MOST_NESTED: usize = 16;

fn read_inner(cursor: &Cursor, depth: usize) -> Result<Layer> {
    if depth == MOST_NESTED {
        return Err(cursor.expected(format!("layers in at most {MOST_NESTED} others")));
    }
    read_layer_at(cursor, depth + 1)
}

fn read_counts<const N: usize>(cursor: &Cursor) -> Result<[usize; N]> {
    let counts: Vec<usize> =
        cursor.array()?.map(|c| c.index(u32::MAX as usize)).collect::<Result<_>>()?;
    counts.try_into().map_err(|_| cursor.expected(format!("an array of {N} counts")))
}

fn read_window(fields: &mut Fields, padding: [usize; 2]) -> Result<Window> {
    let input: Shape = read_counts(&fields.take("input")?)?;
    let size = read_counts(&fields.take("size")?)?;
    Window::new(input, size, read_counts(&fields.take("stride")?)?, padding)
}

fn read_group(cursor: &Cursor, depth: usize) -> Result<Group> {
    let mut fields = cursor.object()?;
    // A neuron's index is checked against the width by `Mixed::new`.
    let neurons = fields
        .take("neurons")?
        .array()?
        .map(|c| c.index(u32::MAX as usize))
        .collect::<Result<_>>()?;
    let layer = fields.take("layer")?;
    let part = match read_inner(&layer, depth)? {
        Layer::Slaf(slaf) => Part::Slaf(slaf),
        Layer::Activation(function) => Part::Activation(function),
        other => {
            let found = format!("a layer of the kind {}", other.kind());
            return Err(layer.invalid(&found, "a slaf or an activation"));
        }
    };
    fields.finish()?;
    Ok(Group { neurons, part })
}

fn read_slaf(fields: &mut Fields, place: &str) -> Result<Slaf> {
    let name = fields.take("basis")?;
    let orthogonal = |family, fields: &mut Fields| -> Result<Basis> {
        Ok(Basis::Orthogonal {
            family,
            centre: read_vector(&fields.take("centre")?)?,
            scale: read_vector(&fields.take("scale")?)?,
        })
    };
    let coefficients = read_matrix(&fields.take("coefficients")?)?;
    let basis = match name.string()? {
        "monomial" => Basis::Monomial,
        "normalised-monomial" => {
            // A SLAF of degree 0 has no powers to normalise, hence rows without entries.
            let mean = read_rows(&fields.take("mean")?, true)?;
            let scale = read_rows(&fields.take("scale")?, true)?;
            Basis::NormalisedMonomial { mean, scale }
        }
        "chebyshev" => orthogonal(Family::Chebyshev, fields)?,
        "legendre" => orthogonal(Family::Legendre, fields)?,
        "hermite" => orthogonal(Family::Hermite, fields)?,
        _ => {
            return Err(name.expected(
                "\"monomial\", \"normalised-monomial\", \"chebyshev\", \"legendre\" or \"hermite\"",
            ));
        }
    };
    Slaf::new(basis, coefficients).map_err(|e| e.within(place))
}

fn read_activation(fields: &mut Fields, place: &str) -> Result<Activation> {
    let name = fields.take("function")?;
    let plain = Activation::from_name(name.string()?, None).map_err(|e| e.within(place))?;
    // Only the key that belongs to the function is taken, so any other is an unknown key.
    let Some((key, _)) = plain.parameter() else { return Ok(plain) };
    let parameter = fields.take_optional(key).map(|c| c.number()).transpose()?;
    Activation::from_name(plain.name(), parameter).map_err(|e| e.within(place))
}

fn collect<D: ndarray::Dimension>(
    cells: &[Cursor],
    shape: impl ndarray::ShapeBuilder<Dim = D> + Clone,
    place: &Cursor,
) -> Result<Numbers<D>> {
    let misfit = |_| place.expected("an array of that shape");
    if cells.iter().any(|c| matches!(c.value(), Json::String(_))) {
        let exact = cells.iter().map(Cursor::exact).collect::<Result<Vec<BigRational>>>()?;
        ndarray::Array::from_shape_vec(shape, exact).map(Numbers::Exact).map_err(misfit)
    } else {
        let float = cells
            .iter()
            .map(|c| match c.value() {
                Json::Number(x) => Ok(*x),
                _ => Err(c.expected("a number, or an exact number in a string")),
            })
            .collect::<Result<Vec<f64>>>()?;
        ndarray::Array::from_shape_vec(shape, float).map(Numbers::Float).map_err(misfit)
    }
}

fn read_vector(cursor: &Cursor) -> Result<Vector> {
    let cells: Vec<_> = cursor.array()?.collect();
    collect(&cells, cells.len(), cursor)
}

fn read_matrix(cursor: &Cursor) -> Result<Matrix> {
    read_rows(cursor, false)
}

fn read_rows(cursor: &Cursor, empty_rows: bool) -> Result<Matrix> {
    let mut cells = Vec::new();
    let (mut rows, mut columns) = (0, 0);
    for row in cursor.array()? {
        let before = cells.len();
        cells.extend(row.array()?);
        let found = cells.len() - before;
        if rows == 0 {
            columns = found;
        }
        if found != columns || (found == 0 && !empty_rows) {
            return Err(row.invalid(
                format!("{found} entries"),
                if columns == 0 {
                    "at least one".into()
                } else {
                    format!("{columns}, as in row 0")
                },
            ));
        }
        rows += 1;
    }
    if rows == 0 {
        return Err(cursor.expected("at least one row"));
    }
    collect(&cells, (rows, columns), cursor)
}

/// A JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A finite f64 in the shortest text that reads back to the same bits.
pub(crate) fn number(x: f64) -> String {
    serde_json::Number::from_f64(x).map_or_else(|| "null".into(), |n| n.to_string())
}

fn write_vector(out: &mut String, key: &str, vector: &Vector) {
    let cells: Vec<_> = match vector {
        Numbers::Float(a) => a.iter().map(|x| number(*x)).collect(),
        Numbers::Exact(a) => a.iter().map(|x| quote(&format_exact(x))).collect(),
    };
    let _ = write!(out, ", \"{key}\": [{}]", cells.join(", "));
}

fn write_matrix(out: &mut String, key: &str, matrix: &Matrix) {
    let rows: Vec<Vec<String>> = match matrix {
        Numbers::Float(a) => {
            a.rows().into_iter().map(|r| r.iter().map(|x| number(*x)).collect()).collect()
        }
        Numbers::Exact(a) => a
            .rows()
            .into_iter()
            .map(|r| r.iter().map(|x| quote(&format_exact(x))).collect())
            .collect(),
    };
    let rows: Vec<_> = rows.into_iter().map(|r| format!("[{}]", r.join(", "))).collect();
    let _ = write!(out, ", \"{key}\": [{}]", rows.join(",\n    "));
}

fn write_layer(out: &mut String, layer: &Layer) {
    match layer {
        Layer::Affine(affine) => {
            out.push_str("{\"kind\": \"affine\"");
            write_matrix(out, "weight", affine.weight());
            write_vector(out, "bias", affine.bias());
            out.push('}');
        }
        Layer::Slaf(slaf) => write_slaf(out, slaf),
        Layer::Activation(function) => write_activation(out, *function),
        Layer::Mixed(mixed) => {
            out.push_str("{\"kind\": \"mixed\", \"groups\": [");
            for (g, group) in mixed.groups().iter().enumerate() {
                let separator = if g == 0 { "" } else { ",\n   " };
                let _ = write!(out, "{separator}{{\"neurons\": {:?}, \"layer\": ", group.neurons);
                match &group.part {
                    Part::Slaf(slaf) => write_slaf(out, slaf),
                    Part::Activation(function) => write_activation(out, *function),
                }
                out.push('}');
            }
            out.push_str("]}");
        }
        Layer::Channels(channels) => {
            let (positions, count) = (channels.positions(), channels.channels());
            let _ = write!(
                out,
                "{{\"kind\": \"channels\", \"positions\": {positions}, \"channels\": {count}, \"layer\": "
            );
            write_layer(out, channels.layer());
            out.push('}');
        }
        Layer::Conv(conv) => {
            write_window(out, layer.kind(), conv.window());
            let _ = write!(out, ", \"padding\": {:?}", conv.window().padding());
            write_matrix(out, "weight", conv.weight());
            write_vector(out, "bias", conv.bias());
            out.push('}');
        }
        Layer::Pool(pool) => {
            write_window(out, layer.kind(), pool.window());
            if let PoolKind::Average(scale) = pool.kind() {
                let _ = write!(out, ", \"scale\": {}", number(scale));
            }
            out.push('}');
        }
        Layer::Flatten(shape) => {
            let _ = write!(out, "{{\"kind\": \"flatten\", \"shape\": {shape:?}}}");
        }
        Layer::Residual(layers) => {
            out.push_str("{\"kind\": \"residual\", \"layers\": [");
            for (l, layer) in layers.iter().enumerate() {
                out.push_str(if l == 0 { "\n   " } else { ",\n   " });
                write_layer(out, layer);
            }
            out.push_str("]}");
        }
    }
}

fn write_window(out: &mut String, kind: &str, window: &Window) {
    let (input, size, stride) = (window.input(), window.size(), window.stride());
    let _ = write!(
        out,
        "{{\"kind\": \"{kind}\", \"input\": {input:?}, \"size\": {size:?}, \"stride\": {stride:?}"
    );
}

fn write_slaf(out: &mut String, slaf: &Slaf) {
    let _ = write!(out, "{{\"kind\": \"slaf\", \"basis\": \"{}\"", slaf.basis().name());
    write_matrix(out, "coefficients", slaf.coefficients());
    match slaf.basis() {
        Basis::Monomial => {}
        Basis::NormalisedMonomial { mean, scale } => {
            write_matrix(out, "mean", mean);
            write_matrix(out, "scale", scale);
        }
        Basis::Orthogonal { centre, scale, .. } => {
            write_vector(out, "centre", centre);
            write_vector(out, "scale", scale);
        }
    }
    out.push('}');
}

fn write_activation(out: &mut String, function: Activation) {
    let _ = write!(out, "{{\"kind\": \"activation\", \"function\": \"{}\"", function.name());
    if let Some((key, parameter)) = function.parameter() {
        let _ = write!(out, ", \"{key}\": {}", number(parameter));
    }
    out.push('}');
}

/// An error for a document that is neither of the formats a reader knows.
pub(crate) fn unknown_format(found: &Cursor, known: &[&str]) -> Error {
    found.expected(known.iter().map(|k| format!("{k:?}")).collect::<Vec<_>>().join(" or "))
}
