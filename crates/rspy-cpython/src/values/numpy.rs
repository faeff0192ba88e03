//! NumPy's scalars and arrays. Their structures are part of NumPy's ABI, the same in
//! all versions (`arrayscalars.h`, `ndarraytypes.h`): offsets are from the end of the
//! object's header.

use rspy_process::{Address, Memory, word};

use super::kind::Scalar;
use super::value::Value;
use crate::layout::Layout;
use crate::text::ValueError;

/// Most dimensions an array has (`NPY_MAXDIMS` of NumPy 2; 32 before).
const MAX_DIMENSIONS: u32 = 64;

/// The value of the scalar at `at`; `None` for one that 64 bits cannot hold.
pub(super) fn scalar(
    memory: &impl Memory,
    layout: &Layout,
    at: Address,
    scalar: Scalar,
) -> Result<Option<Value>, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "NumPy scalar" };
    let header = layout.table.number("object", "size").ok_or(unexpected)?;
    let start = at.offset(header);
    let unsigned = |width: usize| -> Result<u64, ValueError> {
        word(&memory.bytes(start, width)?, 0, width).ok_or(unexpected)
    };
    let single = |bits: u64| f32::from_bits(bits as u32);
    Ok(Some(match scalar {
        Scalar::Bool => Value::Bool(unsigned(1)? != 0),
        Scalar::Signed(width) => {
            let unused = 64 - 8 * width as u32;
            Value::Int((((unsigned(width)? << unused) as i64) >> unused).to_string())
        }
        Scalar::Unsigned(width) => Value::Int(unsigned(width)?.to_string()),
        Scalar::Float16 => Value::Float16(unsigned(2)? as u16),
        Scalar::Float32 => Value::Float32(single(unsigned(4)?)),
        Scalar::Float64 => Value::Float(f64::from_bits(unsigned(8)?)),
        Scalar::Extended => {
            // Aligned to 16 bytes.
            let bytes: [u8; 10] = memory.array(at.offset(header.next_multiple_of(16)))?;
            return Ok(extended(&bytes).map(Value::Float));
        }
        Scalar::Complex64 => {
            let both = unsigned(8)?;
            Value::Complex { real: widened(single(both)), imaginary: widened(single(both >> 32)) }
        }
        Scalar::Complex128 => Value::Complex {
            real: f64::from_bits(unsigned(8)?),
            imaginary: f64::from_bits(memory.u64(start.offset(8))?),
        },
    }))
}

/// The number of 64 bits that has the shortest digits of one of 32: 1.1 is to show as 1.1.
fn widened(single: f32) -> f64 {
    format!("{single:e}").parse().unwrap_or(f64::from(single))
}

/// The x87's number of 80 bits, where one of 64 bits is exactly the same.
fn extended(bytes: &[u8; 10]) -> Option<f64> {
    let mantissa = word(bytes, 0, 8)?;
    let top = word(bytes, 8, 2)?;
    let sign = (top >> 15) << 63;
    let exponent = (top & 0x7fff) as i32;
    if exponent == 0 && mantissa == 0 {
        return Some(f64::from_bits(sign));
    }
    // Its highest bit is the 1 before the point, which is understood in 64 bits.
    let fraction = mantissa & !(1 << 63);
    if fraction & 0x7ff != 0 {
        return None;
    }
    let exponent = match exponent {
        0x7fff => 0x7ff,
        _ => u64::try_from(exponent - 16_383 + 1023).ok().filter(|exponent| (1..0x7ff).contains(exponent))?,
    };
    Some(f64::from_bits(sign | exponent << 52 | fraction >> 11))
}

/// Shape and element type of the array at `at`: `(3, 4) float64`.
pub(super) fn array(memory: &impl Memory, layout: &Layout, at: Address) -> Result<String, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "NumPy array" };
    let header = layout.table.number("object", "size").ok_or(unexpected)?;
    // PyArrayObject_fields: data, nd, dimensions, strides, base, descr.
    let fields = memory.bytes(at.offset(header), 48)?;
    let dimensions = word(&fields, 8, 4).ok_or(unexpected)? as u32;
    let shape = word(&fields, 16, 8).map(Address).ok_or(unexpected)?;
    let element = word(&fields, 40, 8).map(Address).ok_or(unexpected)?;
    if dimensions > MAX_DIMENSIONS {
        return Err(unexpected);
    }
    let shape = memory.bytes(shape, dimensions as usize * 8)?;
    let shape = shape.chunks_exact(8).filter_map(|length| word(length, 0, 8));
    let items = shape.map(|length| Value::Int((length as i64).to_string())).collect();
    let shape = Value::Sequence { kind: super::SequenceKind::Tuple, items, more: false };
    // PyArray_Descr: typeobj, kind, type, byteorder, flags, type_num.
    let descr = memory.bytes(element.offset(header), 16)?;
    let foreign = if word(&descr, 10, 1) == Some(u64::from(b'>')) { ">" } else { "" };
    let number = word(&descr, 12, 4).ok_or(unexpected)?;
    let name = usize::try_from(number).ok().and_then(|number| ELEMENTS.get(number));
    Ok(format!("{shape} {foreign}{}", name.unwrap_or(&"user-defined")))
}

/// Names of `NPY_TYPES`, in its order, as `dtype.name` has them on 64-bit Linux.
static ELEMENTS: [&str; 24] = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "int64",
    "uint64",
    "float32",
    "float64",
    "float128",
    "complex64",
    "complex128",
    "complex256",
    "object",
    "bytes",
    "str",
    "void",
    "datetime64",
    "timedelta64",
    "float16",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_80_bits_are_given_where_64_can_hold_them() {
        let of = |top: u16, mantissa: u64| {
            let mut bytes = [0; 10];
            bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
            bytes[8..].copy_from_slice(&top.to_le_bytes());
            extended(&bytes)
        };
        assert_eq!(of(0x3fff, 0xc000_0000_0000_0000), Some(1.5));
        assert_eq!(of(0xc000, 0x8000_0000_0000_0000), Some(-2.0));
        assert_eq!(of(0, 0), Some(0.0));
        assert_eq!(of(0x7fff, 0x8000_0000_0000_0000), Some(f64::INFINITY));
        // 1 + 2**-63, and 2**16000.
        assert_eq!(of(0x3fff, 0x8000_0000_0000_0001), None);
        assert_eq!(of(0x7e7f, 0x8000_0000_0000_0000), None);
    }

    #[test]
    fn singles_keep_their_digits() {
        assert_eq!(widened(1.1).to_string(), "1.1");
        assert!(widened(f32::NAN).is_nan());
        assert_eq!(widened(f32::NEG_INFINITY), f64::NEG_INFINITY);
    }
}
