//! NumPy's `.npy` files as tables.
//!
//! The header is a Python literal of a fixed form, parsed here by hand: it needs
//! no recursion, and nothing is allocated on its word, because the size it
//! claims must be the size of the file. Format: the NumPy enhancement proposal 1,
//! versions 1.0, 2.0 and 3.0.

use std::path::Path;

use ndarray::{Array2, Axis, ShapeBuilder};

use super::{ReadOptions, Roles, Table, numbered_names, refuse_constant, shown};
use crate::error::{Error, Result};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads a one- or two-dimensional array, rows x columns; one dimension is a single column.
///
/// Element types: 64- and 32-bit floats, integers of 1 to 8 bytes, booleans, of either byte
/// order; rows or columns first. Every value must be finite and exactly an f64.
///
/// # Errors
/// When the file cannot be read, is not of this form, or is shorter or longer than its header says.
pub fn read_npy(path: &Path) -> Result<Array2<f64>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    parse(&bytes).map_err(|e| e.within(path.display()))
}

/// Reads a table whose columns are called `x1`, `x2`, ... by position.
pub(super) fn read_npy_table(path: &Path, options: &ReadOptions) -> Result<Table> {
    let array = read_npy(path)?;
    let file = path.display().to_string();
    let names = numbered_names(array.ncols());
    let roles = Roles::choose(&names, options, true, &file)?;
    let named = |columns: &[usize]| columns.iter().map(|&c| names[c].clone()).collect::<Vec<_>>();
    let inputs = array.select(Axis(1), &roles.inputs);
    let targets = array.select(Axis(1), &roles.targets);
    if options.class_labels || !options.classes.is_empty() {
        return Err(Error::invalid(
            file,
            "class labels asked of a .npy file",
            "numeric targets (write the table as CSV to use class labels)",
        ));
    }
    for &column in &roles.targets {
        refuse_constant(array.column(column), &file, &names[column])?;
    }
    Table::new(inputs, targets, named(&roles.inputs), named(&roles.targets), file)
}

fn parse(bytes: &[u8]) -> Result<Array2<f64>> {
    let (header, data) = split_header(bytes)?;
    let header = Header::parse(header).map_err(|e| e.within("header"))?;
    let (rows, columns) = match header.shape[..] {
        [rows] => (rows, 1),
        [rows, columns] => (rows, columns),
        _ => {
            return Err(Error::invalid(
                "header: shape",
                format!("{} dimensions", header.shape.len()),
                "one or two: rows and columns",
            ));
        }
    };
    let element = Element::parse(&header.descr)?;
    let claimed = rows.checked_mul(columns).and_then(|n| n.checked_mul(element.size));
    if claimed != Some(data.len()) {
        let claimed =
            claimed.map_or("more bytes than memory holds".into(), |n| format!("{n} bytes"));
        return Err(Error::invalid(
            "data",
            format!("{} bytes", data.len()),
            format!("{claimed} for {rows} rows of {columns} columns of {:?}", header.descr),
        ));
    }
    if data.is_empty() {
        return Err(Error::invalid(
            "header: shape",
            format!("{rows} rows of {columns} columns"),
            "at least one row and one column",
        ));
    }
    let mut values = Vec::with_capacity(data.len() / element.size);
    for (index, bytes) in data.chunks_exact(element.size).enumerate() {
        let value = element.value(bytes).map_err(|(found, expected)| {
            let (row, column) = match header.fortran_order {
                true => (index % rows, index / rows),
                false => (index / columns, index % columns),
            };
            Error::invalid(format!("row {row}, column x{}", column + 1), found, expected)
        })?;
        values.push(value);
    }
    let shape = (rows, columns).set_f(header.fortran_order);
    let array = Array2::from_shape_vec(shape, values).expect("the shape was checked above");
    // Rows first, whatever the file's order: a row of a table is then one piece of memory.
    Ok(if header.fortran_order { array.as_standard_layout().into_owned() } else { array })
}

/// The text of the header and the bytes behind it.
fn split_header(bytes: &[u8]) -> Result<(&str, &[u8])> {
    let wrong = |found: &str, expected: &str| Err(Error::invalid("start", found, expected));
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return wrong("another file", "a NumPy array (the bytes 93 4e 55 4d 50 59)");
    };
    let (length, rest) = match *rest {
        [1, 0, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])), rest),
        [2 | 3, 0, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
        [1..=3, 0, ..] | [] | [_] => return wrong("the end of the file", "a header"),
        [major, minor, ..] => {
            return wrong(&format!("version {major}.{minor}"), "version 1.0, 2.0 or 3.0");
        }
    };
    let Some((header, data)) = rest.split_at_checked(length) else {
        return wrong(
            &format!("{} bytes of header", rest.len()),
            &format!("{length}: the file is cut off"),
        );
    };
    match std::str::from_utf8(header) {
        Ok(header) => Ok((header, data)),
        Err(_) => wrong("a header that is not text", "a Python dictionary"),
    }
}

struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Parses `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order.
    fn parse(text: &str) -> Result<Self> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut cursor = Cursor { rest: text };
        cursor.expect('{')?;
        while !cursor.take('}') {
            let key = cursor.string()?;
            cursor.expect(':')?;
            let again = match key.as_str() {
                "descr" => descr.replace(cursor.string().map_err(|e| e.within("descr"))?).is_some(),
                "fortran_order" => fortran_order.replace(cursor.boolean()?).is_some(),
                "shape" => shape.replace(cursor.tuple()?).is_some(),
                _ => return Err(Error::invalid("", format!("the key {}", shown(&key)), KEYS)),
            };
            if again {
                return Err(Error::invalid("", format!("the key {key:?} twice"), KEYS));
            }
            if !cursor.take(',') {
                cursor.expect('}')?;
                break;
            }
        }
        if !cursor.rest.trim().is_empty() {
            return Err(Error::invalid("", shown(cursor.rest), "nothing after the dictionary"));
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => {
                Ok(Header { descr, fortran_order, shape })
            }
            _ => Err(Error::invalid("", "a missing key", KEYS)),
        }
    }
}

const KEYS: &str = "the keys descr, fortran_order and shape, once each";

/// What is left of the header to read.
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn take(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<()> {
        if self.take(token) { Ok(()) } else { Err(self.wrong(&format!("{token:?}"))) }
    }

    fn wrong(&self, expected: &str) -> Error {
        let found = if self.rest.is_empty() { "its end".into() } else { shown(self.rest) };
        Error::invalid("", found, expected)
    }

    fn string(&mut self) -> Result<String> {
        let quote = if self.take('\'') {
            '\''
        } else if self.take('"') {
            '"'
        } else {
            return Err(self.wrong("quoted text (arrays of records are not read)"));
        };
        match self.rest.split_once(quote) {
            Some((text, rest)) if !text.contains('\\') => {
                self.rest = rest;
                Ok(text.to_string())
            }
            _ => Err(self.wrong("plain text and a closing quote")),
        }
    }

    fn boolean(&mut self) -> Result<bool> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.wrong("True or False").within("fortran_order"))
    }

    fn tuple(&mut self) -> Result<Vec<usize>> {
        let mut items = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            self.rest = self.rest.trim_start();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = self.rest.split_at(digits);
            items.push(number.parse().map_err(|_| self.wrong("a length").within("shape"))?);
            // Python 2 wrote 3L.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(items)
    }
}

/// The type of an element, such as `<f8`.
struct Element {
    big_endian: bool,
    kind: u8,
    size: usize,
}

impl Element {
    fn parse(descr: &str) -> Result<Self> {
        let (order, kind, digits) = match *descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), kind, ref digits @ ..] => (order, kind, digits),
            [kind, ref digits @ ..] => (b'<', kind, digits),
            [] => (b'<', 0, &[][..]),
        };
        let size = match (kind, digits) {
            (b'b' | b'i' | b'u', b"1") => 1,
            (b'i' | b'u', b"2") => 2,
            (b'f' | b'i' | b'u', b"4") => 4,
            (b'f' | b'i' | b'u', b"8") => 8,
            _ => {
                return Err(Error::invalid(
                    "header: descr",
                    shown(descr),
                    "f8, f4, i1 to i8, u1 to u8 or b1: convert the array with .astype(float)",
                ));
            }
        };
        Ok(Element { big_endian: order == b'>', kind, size })
    }

    /// The value of `size` bytes, or what was found and expected.
    fn value(&self, bytes: &[u8]) -> std::result::Result<f64, (String, &'static str)> {
        let mut word = [0; 8];
        word[..self.size].copy_from_slice(bytes);
        if self.big_endian {
            word[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(word);
        let value = match (self.kind, self.size) {
            (b'f', 8) => f64::from_bits(bits),
            (b'f', _) => f64::from(f32::from_bits(bits as u32)),
            (b'b', _) if bits > 1 => return Err((bits.to_string(), "0 or 1")),
            (b'i', size) => {
                // The sign bit is moved to the top and spread back.
                let unused = 64 - 8 * size as u32;
                let integer = (bits << unused) as i64 >> unused;
                if integer as f64 as i128 != i128::from(integer) {
                    return Err((integer.to_string(), "an integer that is exactly an f64"));
                }
                integer as f64
            }
            _ if bits as f64 as u128 != u128::from(bits) => {
                return Err((bits.to_string(), "an integer that is exactly an f64"));
            }
            _ => bits as f64,
        };
        if value.is_finite() { Ok(value) } else { Err((value.to_string(), "a finite number")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn dictionary(descr: &str, order: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn both_orders_and_byte_orders_give_rows() {
        let bytes = file(&dictionary("|u1", "False", "(2, 3)"), &[1, 2, 3, 4, 5, 6]);
        let rows = ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        assert_eq!(parse(&bytes).unwrap(), rows);
        let bytes = file(&dictionary("|u1", "True", "(2, 3)"), &[1, 4, 2, 5, 3, 6]);
        assert_eq!(parse(&bytes).unwrap(), rows);
        assert!(parse(&bytes).unwrap().is_standard_layout());
        let bytes = file(&dictionary(">i2", "False", "(2,)"), &[0xff, 0xfe, 0x01, 0x00]);
        assert_eq!(parse(&bytes).unwrap(), ndarray::array![[-2.0], [256.0]]);
        let bytes = file(&dictionary(">f8", "False", "(1L, 1L)"), &1.5f64.to_be_bytes());
        assert_eq!(parse(&bytes).unwrap(), ndarray::array![[1.5]]);
    }

    #[test]
    fn defects_name_their_place() {
        let one = 1f64.to_le_bytes();
        let nan = f64::NAN.to_le_bytes();
        let exact = (1i64 << 53).to_le_bytes();
        assert!(parse(&file(&dictionary("<i8", "False", "(1,)"), &exact)).is_ok());
        let inexact = ((1i64 << 53) + 1).to_le_bytes();
        let most = u64::MAX.to_le_bytes();
        for (descr, order, shape, data, place) in [
            ("<f8", "False", "(1099511627776, 1099511627776)", &one[..], "data"),
            ("<f8", "False", "(1099511627776, 1)", &one, "data"),
            ("<f8", "False", "(99999999999999999999999,)", &one, "header: shape"),
            ("<f8", "False", "(1, 1, 1)", &one, "header: shape"),
            ("<f8", "False", "()", &one, "header: shape"),
            ("<f8", "False", "(0, 5)", &[], "header: shape"),
            ("<f8", "False", "(2,)", &one, "data"),
            ("<f8", "Maybe", "(1,)", &one, "header: fortran_order"),
            ("<c16", "False", "(1,)", &one, "header: descr"),
            ("", "False", "(1,)", &one, "header: descr"),
            ("<f8", "False", "(1, 1)", &nan, "row 0, column x1"),
            ("<i8", "True", "(1, 1)", &inexact, "row 0, column x1"),
            ("<u8", "False", "(1, 1)", &most, "row 0, column x1"),
            ("|b1", "False", "(1, 1)", &[2], "row 0, column x1"),
        ] {
            let error =
                parse(&file(&dictionary(descr, order, shape), data)).unwrap_err().to_string();
            assert!(error.starts_with(place), "{descr} {shape}: {error}");
        }
        for header in ["", "{", "{}", "{'descr': [('a', '<f8')]}", "{'shape': (1,), 'shape': (1,)}"]
        {
            let error = parse(&file(header, &one)).unwrap_err().to_string();
            assert!(error.starts_with("header: "), "{header}: {error}");
        }
        assert!(parse(&file(&"(".repeat(60_000), &one)).is_err());
    }
}
