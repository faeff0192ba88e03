//! Integers that fit 64 bits.

use rspy_process::{Address, Memory};

use crate::layout::Layout;
use crate::text::{ValueError, type_name};

/// The value of the non-negative `int` (2.7: `int` or `long`) at `at`.
pub fn integer(memory: &impl Memory, layout: &Layout, at: Address) -> Result<u64, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "non-negative integer of 64 bits" };
    let field = |name| layout.table.number("int", name).ok_or(unexpected);
    let is_machine_word =
        layout.table.number("int", "ob_ival").is_some() && type_name(memory, layout, at)? == b"int";
    if is_machine_word {
        let value = memory.u64(at.offset(field("ob_ival")?))? as i64;
        return u64::try_from(value).map_err(|_| unexpected);
    }
    // `lv_tag` (3.12 and later): number of digits above three bits, of which the
    // lower two are the sign: 0 positive, 1 zero. Before, `ob_size` is both.
    let digits = match layout.table.number("int", "lv_tag") {
        Some(offset) => {
            let tag = memory.u64(at.offset(offset))?;
            if tag & 3 > 1 {
                return Err(unexpected);
            }
            tag >> 3
        }
        None => u64::try_from(layout.object.ob_size.read(memory, at)?).map_err(|_| unexpected)?,
    };
    let bits = field("digit_bits")?;
    if digits > 5 || !matches!(bits, 15 | 30) {
        return Err(unexpected);
    }
    let start = at.offset(field("ob_digit")?);
    let width = if bits == 30 { 4 } else { 2 };
    let bytes = memory.bytes(start, (digits * width) as usize)?;
    let mut value = 0u64;
    for digit in bytes.chunks_exact(width as usize).rev() {
        let digit = rspy_process::word(digit, 0, width as usize).ok_or(unexpected)?;
        value = value.checked_mul(1 << bits).and_then(|value| value.checked_add(digit)).ok_or(unexpected)?;
    }
    Ok(value)
}
