//! IDX files, plain or gzip, as the MNIST digits come in.
//!
//! An IDX file is the bytes 0, 0, type, number of dimensions; the dimensions as
//! big-endian 32-bit numbers; then the elements, last dimension fastest
//! (<http://yann.lecun.com/exdb/mnist/>). Nothing is allocated on the header's
//! word: its size is first held against what the file can contain.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ndarray::Array2;

use super::{GZIP_MAGIC, Table, listed, numbered_names};
use crate::error::{Error, Result};

/// The element type of unsigned bytes.
const BYTE: u8 = 0x08;

/// A byte of DEFLATE becomes at most this many bytes.
const GZIP_MOST: u64 = 1032;

/// Reads images and their labels: inputs are the pixels of an image in row order, called `x1`,
/// `x2`, ...; the targets are one-hot classes called `0`, `1`, ... up to the largest label.
///
/// A byte `p` becomes `p / 255`, correctly rounded (not `p` times a rounded reciprocal), so that
/// 0 and 255 are 0 and 1 exactly; elements of any other type are taken as they are.
///
/// # Errors
/// When a file cannot be read, is not IDX, is shorter or longer than its header says or damaged
/// in its gzip check sum, when the numbers of images and labels differ, when a number is not
/// finite, and when all labels are the same.
pub fn read_idx_images(images: &Path, labels: &Path) -> Result<Table> {
    let (pixels, shape) = read_images(images)?;
    let file = labels.display().to_string();
    let found = read_labels(labels)?;
    if found.len() != pixels.nrows() {
        return Err(Error::invalid(
            file,
            format!("{} labels", found.len()),
            format!("{}, one for every image of {}", pixels.nrows(), images.display()),
        ));
    }
    if found.iter().all(|label| *label == found[0]) {
        return Err(Error::invalid(
            file,
            format!("the label {} in all {} rows", found[0], found.len()),
            "at least two classes",
        ));
    }
    let largest = found.iter().copied().max().unwrap_or(0);
    let classes = (0..=largest).map(|label| label.to_string()).collect();
    let names = numbered_names(pixels.ncols());
    let mut table =
        Table::with_classes(pixels, &found, names, classes, images.display().to_string())?;
    table.image = shape;
    Ok(table)
}

/// The pixels of every image, images x pixels.
pub(super) fn read_pixels(path: &Path) -> Result<Array2<f64>> {
    read_images(path).map(|(pixels, _)| pixels)
}

/// The pixels, and height, width and channels of an image where there are two or three dimensions.
fn read_images(path: &Path) -> Result<(Array2<f64>, Option<[usize; 3]>)> {
    let (header, mut values) = read(path).map_err(|e| e.within(path.display()))?;
    if header.dimensions.len() < 2 {
        return Err(Error::invalid(
            path.display().to_string(),
            "one dimension (are these the labels?)",
            "images: the number of images, then their height and width",
        ));
    }
    if header.element == BYTE {
        values.iter_mut().for_each(|value| *value /= 255.0);
    }
    let rows = header.dimensions[0];
    let columns = values.len() / rows;
    let shape = match header.dimensions[1..] {
        [height, width] => Some([height, width, 1]),
        [height, width, channels] => Some([height, width, channels]),
        _ => None,
    };
    let pixels = Array2::from_shape_vec((rows, columns), values)
        .expect("as many values as the dimensions say");
    Ok((pixels, shape))
}

/// Labels as one-hot rows in the order of `classes`.
pub(super) fn read_one_hot(path: &Path, classes: &[String]) -> Result<Array2<f64>> {
    let labels = read_labels(path)?;
    let mut places = Vec::with_capacity(labels.len());
    for (row, label) in labels.iter().enumerate() {
        let name = label.to_string();
        places.push(classes.iter().position(|class| *class == name).ok_or_else(|| {
            Error::invalid(
                format!("{}: row {row}", path.display()),
                format!("the label {name}"),
                format!("one of {}", listed(classes)),
            )
        })?);
    }
    super::one_hot(&places, classes.len()).map_err(|e| e.within(path.display()))
}

fn read_labels(path: &Path) -> Result<Vec<usize>> {
    let within = |e: Error| e.within(path.display());
    let (header, values) = read(path).map_err(within)?;
    if header.dimensions.len() != 1 || header.element != BYTE {
        return Err(within(Error::invalid(
            "header",
            format!("type 0x{:02x}, {} dimensions", header.element, header.dimensions.len()),
            "labels: bytes (type 0x08) in one dimension",
        )));
    }
    Ok(values.into_iter().map(|byte| byte as usize).collect())
}

struct Header {
    element: u8,
    dimensions: Vec<usize>,
}

/// The whole file: its header and its elements, as they are.
fn read(path: &Path) -> Result<(Header, Vec<f64>)> {
    let io = |e| Error::io(path, e);
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let length = file.get_ref().metadata().map_err(io)?.len();
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic).map_err(io)?;
    file.rewind().map_err(io)?;
    if magic == GZIP_MAGIC {
        parse(&mut BufReader::new(MultiGzDecoder::new(file)), length.saturating_mul(GZIP_MOST))
    } else {
        parse(&mut file, length)
    }
}

/// Reads an IDX stream that cannot hold more than `most` bytes.
fn parse(stream: &mut impl Read, most: u64) -> Result<(Header, Vec<f64>)> {
    let mut start = [0; 4];
    fill(stream, &mut start, "header", "the four bytes of the IDX magic number")?;
    let [0, 0, element, dimensions] = start else {
        return Err(Error::invalid(
            "header",
            format!("the bytes {start:02x?}"),
            "IDX: two zero bytes, the type, the number of dimensions",
        ));
    };
    let size = match element {
        BYTE | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => {
            return Err(Error::invalid(
                "header",
                format!("the type 0x{element:02x}"),
                "0x08, 0x09, 0x0b, 0x0c, 0x0d or 0x0e",
            ));
        }
    };
    let mut header = Header { element, dimensions: Vec::new() };
    let mut count = 1usize;
    for index in 0..dimensions {
        let mut word = [0; 4];
        fill(stream, &mut word, "header", &format!("{dimensions} dimensions"))?;
        let dimension = u32::from_be_bytes(word) as usize;
        if dimension == 0 {
            return Err(Error::invalid(format!("dimension {index}"), "0", "at least 1"));
        }
        count = count.saturating_mul(dimension);
        header.dimensions.push(dimension);
    }
    if dimensions == 0 {
        return Err(Error::invalid("header", "no dimensions", "at least one"));
    }
    if count.checked_mul(size).is_none_or(|bytes| bytes as u64 > most) {
        return Err(Error::invalid(
            "header",
            format!("dimensions {:?}", header.dimensions),
            format!("no more elements than the file can hold ({most} bytes): is it cut off?"),
        ));
    }
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        Error::invalid("header", format!("{count} elements"), "a table that fits in memory")
    })?;
    let mut buffer = vec![0; size * (1 << 13)];
    while values.len() < count {
        let bytes = &mut buffer[..size * (count - values.len()).min(1 << 13)];
        fill(stream, bytes, "elements", &format!("{count} elements"))?;
        values.extend(bytes.chunks_exact(size).map(|bytes| value(element, bytes)));
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let row = index / (count / header.dimensions[0]);
        return Err(Error::invalid(
            format!("row {row}, element {index}"),
            values[index].to_string(),
            "a finite number",
        ));
    }
    // Reading to the end also makes gzip verify its check sum.
    match stream.read(&mut [0]) {
        Ok(0) => Ok((header, values)),
        Ok(_) => {
            Err(Error::invalid("end", "more bytes", format!("the end after {count} elements")))
        }
        Err(e) => Err(Error::invalid("end", e.to_string(), "an undamaged file")),
    }
}

/// One element; each is exactly an f64.
fn value(element: u8, bytes: &[u8]) -> f64 {
    match (element, bytes) {
        (BYTE, &[a]) => f64::from(a),
        (0x09, &[a]) => f64::from(a as i8),
        (0x0b, &[a, b]) => f64::from(i16::from_be_bytes([a, b])),
        (0x0c, &[a, b, c, d]) => f64::from(i32::from_be_bytes([a, b, c, d])),
        (0x0d, &[a, b, c, d]) => f64::from(f32::from_be_bytes([a, b, c, d])),
        (_, &[a, b, c, d, e, f, g, h]) => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("the size belongs to the type"),
    }
}

fn fill(stream: &mut impl Read, bytes: &mut [u8], place: &str, expected: &str) -> Result<()> {
    stream.read_exact(bytes).map_err(|e| {
        let found = match e.kind() {
            std::io::ErrorKind::UnexpectedEof => "the end of the file".to_string(),
            _ => e.to_string(),
        };
        Error::invalid(place, found, expected)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_bytes(bytes: &[u8]) -> Result<(Header, Vec<f64>)> {
        parse(&mut &*bytes, bytes.len() as u64)
    }

    #[test]
    fn every_element_type_is_read_big_end_first() {
        let one = [0, 0, 0, 1];
        for (element, data, value) in [
            (0x08, &[200][..], 200.0),
            (0x09, &[200], -56.0),
            (0x0b, &[0xff, 0xfe], -2.0),
            (0x0c, &[0x80, 0, 0, 0], -2147483648.0),
            (0x0d, &1.5f32.to_be_bytes(), 1.5),
            (0x0e, &0.1f64.to_be_bytes(), 0.1),
        ] {
            let bytes = [&[0, 0, element, 1], &one[..], data].concat();
            assert_eq!(parse_bytes(&bytes).unwrap().1, [value], "type {element:#x}");
        }
    }

    #[test]
    fn a_header_is_not_believed() {
        let huge = [0xff; 4];
        for (bytes, place) in [
            ([&[0, 0, 8, 3][..], &huge, &huge, &huge].concat(), "header: found dimensions"),
            ([&[0, 0, 8, 2][..], &huge, &huge].concat(), "header: found dimensions"),
            ([&[0, 0, 14, 1][..], &[0, 0, 0, 2], &[0; 8]].concat(), "elements: found the end"),
            ([&[0, 0, 8, 255][..], &huge].concat(), "header: found the end of the file"),
            ([&[0, 0, 8, 1][..], &[0; 4]].concat(), "dimension 0"),
            (vec![0, 0, 8, 0], "header: found no dimensions"),
            (vec![0, 0, 10, 1, 0, 0, 0, 1, 5], "header: found the type 0x0a"),
            (vec![1, 0, 8, 1, 0, 0, 0, 1, 5], "header: found the bytes"),
            (vec![0, 0, 8, 1, 0, 0, 0, 1, 5, 6], "end: found more bytes"),
            ([&[0, 0, 14, 1][..], &[0, 0, 0, 1], &f64::NAN.to_be_bytes()].concat(), "row 0"),
        ] {
            let error = parse_bytes(&bytes).err().unwrap().to_string();
            assert!(error.starts_with(place), "{bytes:?}: {error}");
        }
    }
}
