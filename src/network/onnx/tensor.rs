//! Constants of an ONNX graph: every floating-point number is exactly an f64.

use std::rc::Rc;

use super::messages::TensorData;
use crate::error::{Error, Result};

/// Types of elements, by their numbers in the format.
pub(super) mod element {
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const UINT16: i32 = 4;
    pub const INT16: i32 = 5;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const STRING: i32 = 8;
    pub const BOOL: i32 = 9;
    pub const FLOAT16: i32 = 10;
    pub const DOUBLE: i32 = 11;
    pub const UINT32: i32 = 12;
    pub const UINT64: i32 = 13;
    pub const BFLOAT16: i32 = 16;

    /// Whether the numbers are floating-point ones that are exactly f64 numbers.
    pub fn is_float(element: i32) -> bool {
        matches!(element, FLOAT | DOUBLE | FLOAT16 | BFLOAT16)
    }

    /// The name of a type for messages.
    pub fn name(element: i32) -> String {
        let name = match element {
            FLOAT => "float32",
            UINT8 => "uint8",
            INT8 => "int8",
            UINT16 => "uint16",
            INT16 => "int16",
            INT32 => "int32",
            INT64 => "int64",
            STRING => "text",
            BOOL => "booleans",
            FLOAT16 => "float16",
            DOUBLE => "float64",
            UINT32 => "uint32",
            UINT64 => "uint64",
            BFLOAT16 => "bfloat16",
            _ => return format!("elements of type number {element}"),
        };
        name.into()
    }
}

/// Most dimensions of a value.
pub(super) const MOST_DIMENSIONS: usize = 32;

/// A constant of floating-point numbers, the last dimension fastest.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub dims: Vec<usize>,
    pub data: Rc<[f64]>,
}

/// A constant.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Float(Tensor),
    /// Integers and booleans: shapes, axes, switches. Dimensions and numbers.
    Integer(Vec<usize>, Vec<i64>),
}

impl Constant {
    /// The constant that `message` holds.
    ///
    /// # Errors
    /// When its data are in another file, are of a type that is not read, or do not fill its shape.
    pub fn decode(message: &TensorData) -> Result<Constant> {
        if message.data_location != 0 || !message.external_data.is_empty() {
            return Err(Error::invalid(
                "",
                "data in another file",
                "data in the file itself: export or save the model with its data inside",
            ));
        }
        let (dims, count) = shape(&message.dims)?;
        let raw = &message.raw_data[..];
        let typed = |found: usize| length(found, count, "numbers", &dims);
        let sized = |bytes: usize| {
            let expected = count.checked_mul(bytes).ok_or_else(|| too_large(&message.dims))?;
            length(raw.len(), expected, "bytes", &dims)
        };
        let float =
            |data: Vec<f64>| Constant::Float(Tensor { dims: dims.clone(), data: data.into() });
        let is_raw = !raw.is_empty();
        Ok(match message.data_type {
            element::FLOAT if is_raw => {
                sized(4)?;
                float(words(raw).map(|w| f64::from(f32::from_le_bytes(w))).collect())
            }
            element::FLOAT => {
                typed(message.float_data.len())?;
                float(message.float_data.iter().map(|x| f64::from(*x)).collect())
            }
            element::DOUBLE if is_raw => {
                sized(8)?;
                float(words(raw).map(f64::from_le_bytes).collect())
            }
            element::DOUBLE => {
                typed(message.double_data.len())?;
                float(message.double_data.clone())
            }
            kind @ (element::FLOAT16 | element::BFLOAT16) => {
                let number = if kind == element::FLOAT16 { half } else { brain };
                if is_raw {
                    sized(2)?;
                    float(words(raw).map(|w| number(u16::from_le_bytes(w))).collect())
                } else {
                    typed(message.int32_data.len())?;
                    // Each number is the lower half of an integer.
                    float(message.int32_data.iter().map(|bits| number(*bits as u16)).collect())
                }
            }
            element::INT64 if is_raw => {
                sized(8)?;
                Constant::Integer(dims.clone(), words(raw).map(i64::from_le_bytes).collect())
            }
            element::INT64 => {
                typed(message.int64_data.len())?;
                Constant::Integer(dims.clone(), message.int64_data.clone())
            }
            element::INT32 if is_raw => {
                sized(4)?;
                let numbers = words(raw).map(|w| i64::from(i32::from_le_bytes(w)));
                Constant::Integer(dims.clone(), numbers.collect())
            }
            element::BOOL if is_raw => {
                sized(1)?;
                Constant::Integer(dims.clone(), raw.iter().map(|b| i64::from(*b)).collect())
            }
            element::INT32 | element::BOOL => {
                typed(message.int32_data.len())?;
                let numbers = message.int32_data.iter().map(|x| i64::from(*x));
                Constant::Integer(dims.clone(), numbers.collect())
            }
            other => {
                return Err(Error::invalid(
                    "",
                    element::name(other),
                    "float64, float32, float16 or bfloat16 (int64 or int32 in shapes)",
                ));
            }
        })
    }
}

/// The dimensions, and the number of elements.
fn shape(dims: &[i64]) -> Result<(Vec<usize>, usize)> {
    if dims.len() > MOST_DIMENSIONS {
        return Err(Error::invalid(
            "",
            format!("{} dimensions", dims.len()),
            format!("at most {MOST_DIMENSIONS}"),
        ));
    }
    let mut count = 1_usize;
    let mut lengths = Vec::with_capacity(dims.len());
    for &dim in dims {
        let length = usize::try_from(dim)
            .map_err(|_| Error::invalid("", format!("the dimension {dim}"), "a length"))?;
        count = count.checked_mul(length).ok_or_else(|| too_large(dims))?;
        lengths.push(length);
    }
    Ok((lengths, count))
}

fn too_large(dims: &[i64]) -> Error {
    Error::invalid("", format!("the shape {dims:?}"), "a shape whose data memory can hold")
}

fn length(found: usize, expected: usize, unit: &str, dims: &[usize]) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid("", format!("{found} {unit}"), format!("{expected} for the shape {dims:?}")))
}

/// The words of `N` bytes; the caller has checked that they fill `bytes`.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|chunk| {
        let mut word = [0; N];
        word.copy_from_slice(chunk);
        word
    })
}

/// The value of an IEEE 754 binary16 number: 1 sign bit, 5 of the exponent, 10 of the fraction.
pub(super) fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match (bits >> 10) & 0x1f {
        // Subnormal: units of 2^-24.
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// The value of a bfloat16 number: the upper half of a binary32 number.
pub(super) fn brain(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_numbers_are_exact() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103515625e-05),
            (0x0001, 5.960464477539063e-08),
            (0x03ff, 6.097555160522461e-05),
            (0x3555, 0.333251953125),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!((brain(0x3f80), brain(0xc049)), (1.0, -3.140625));
        // Every finite number, from its definition: (-1)^s 2^(e - 15) (1 + f / 1024).
        for bits in 0..=u16::MAX {
            let (sign, e, f) = (bits >> 15, i32::from((bits >> 10) & 31), f64::from(bits & 1023));
            if e == 31 {
                continue;
            }
            let magnitude = match e {
                0 => f / 1024.0 * 2_f64.powi(-14),
                _ => (1.0 + f / 1024.0) * 2_f64.powi(e - 15),
            };
            assert_eq!(half(bits), if sign == 1 { -magnitude } else { magnitude });
        }
    }

    #[test]
    fn data_must_fill_the_shape() {
        let tensor = |dims: &[i64], data_type, bytes: &[u8]| TensorData {
            dims: dims.to_vec(),
            data_type,
            raw_data: bytes.to_vec().into(),
            ..TensorData::default()
        };
        assert!(Constant::decode(&tensor(&[2], element::FLOAT, &[0; 8])).is_ok());
        for message in [
            tensor(&[2], element::FLOAT, &[0; 7]),
            tensor(&[3], element::FLOAT, &[0; 8]),
            tensor(&[-1], element::FLOAT, &[0; 8]),
            tensor(&[i64::MAX, i64::MAX], element::FLOAT, &[0; 8]),
            tensor(&[i64::MAX], element::DOUBLE, &[0; 8]),
            tensor(&[1 << 40], element::DOUBLE, &[]),
            tensor(&[1; 40], element::FLOAT, &[0; 4]),
            tensor(&[1], element::STRING, &[0; 4]),
            tensor(&[1], 99, &[0; 4]),
        ] {
            assert!(Constant::decode(&message).is_err(), "{message:?}");
        }
    }
}
