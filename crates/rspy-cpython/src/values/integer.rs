//! Integers: those of one machine word (2.7's `int`), and those of any size.

use rspy_process::{Address, Memory, word};

use crate::layout::Layout;
use crate::text::{ValueError, type_name};

/// Largest integer that is written out, in bits: some 1,200 decimal digits.
const MAX_BITS: u64 = 4096;

/// An integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integer {
    /// Its decimal digits, with its sign.
    Decimal(String),
    /// It has too many bits to be written out.
    Bits(u64),
}

/// The value of the non-negative `int` (2.7: `int` or `long`) at `at`.
pub fn integer(memory: &impl Memory, layout: &Layout, at: Address) -> Result<u64, ValueError> {
    let is_machine_word =
        layout.table.number("int", "ob_ival").is_some() && type_name(memory, layout, at)? == b"int";
    let value =
        if is_machine_word { machine_word(memory, layout, at)? } else { any_size(memory, layout, at)? };
    let unexpected = ValueError::Unexpected { at, expected: "non-negative integer of 64 bits" };
    match value {
        Integer::Decimal(digits) => digits.parse().map_err(|_| unexpected),
        Integer::Bits(_) => Err(unexpected),
    }
}

/// 2.7's `int` at `at`.
pub(super) fn machine_word(
    memory: &impl Memory,
    layout: &Layout,
    at: Address,
) -> Result<Integer, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "int" };
    let offset = layout.table.number("int", "ob_ival").ok_or(unexpected)?;
    Ok(Integer::Decimal((memory.u64(at.offset(offset))? as i64).to_string()))
}

/// The `int` (2.7: `long`) at `at`.
pub(super) fn any_size(memory: &impl Memory, layout: &Layout, at: Address) -> Result<Integer, ValueError> {
    let unexpected = ValueError::Unexpected { at, expected: "int" };
    let field = |name| layout.table.number("int", name).ok_or(unexpected);
    // `lv_tag` (3.12 and later): number of digits above three bits, of which the
    // lower two are the sign: 0 positive, 1 zero, 2 negative. Before, `ob_size` is
    // both, and negative if the number is.
    let (count, is_negative) = match layout.table.number("int", "lv_tag") {
        Some(offset) => match memory.u64(at.offset(offset))? {
            tag if tag & 3 == 1 => (0, false),
            tag if tag & 3 == 3 => return Err(unexpected),
            tag => (tag >> 3, tag & 3 == 2),
        },
        None => {
            let size = layout.object.ob_size.read(memory, at)?;
            (size.unsigned_abs(), size < 0)
        }
    };
    let bits = field("digit_bits")?;
    if !matches!(bits, 15 | 30) {
        return Err(unexpected);
    }
    let total = count.checked_mul(bits).filter(|total| *total < 1 << 40).ok_or(unexpected)?;
    if total > MAX_BITS {
        return Ok(Integer::Bits(total));
    }
    let width = if bits == 30 { 4 } else { 2 };
    let bytes = memory.bytes(at.offset(field("ob_digit")?), count as usize * width)?;
    let digits = bytes.chunks_exact(width).filter_map(|digit| word(digit, 0, width));
    let mask = (1 << bits) - 1;
    let digits: Vec<u32> = digits.map(|digit| (digit & mask) as u32).collect();
    let sign = if is_negative { "-" } else { "" };
    Ok(Integer::Decimal(format!("{sign}{}", decimal(&digits, bits))))
}

/// The decimal digits of a number whose digits in base 2^`bits` are these, the lowest first.
fn decimal(digits: &[u32], bits: u64) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = Vec::new();
    for digit in digits.iter().rev() {
        let mut carry = u64::from(*digit);
        for limb in &mut limbs {
            let value = (*limb << bits) + carry;
            *limb = value % BASE;
            carry = value / BASE;
        }
        // At most 2^30 remain, which may be two limbs.
        while carry > 0 {
            limbs.push(carry % BASE);
            carry /= BASE;
        }
    }
    let Some((highest, rest)) = limbs.split_last() else { return "0".to_owned() };
    let mut text = highest.to_string();
    for limb in rest.iter().rev() {
        text.push_str(&format!("{limb:09}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::decimal;

    #[test]
    fn digits_of_either_width_add_up() {
        assert_eq!(decimal(&[], 30), "0");
        assert_eq!(decimal(&[0], 30), "0");
        assert_eq!(decimal(&[0, 1], 30), "1073741824");
        assert_eq!(decimal(&[0, 1], 15), "32768");
        // 10**40 in base 2**30.
        assert_eq!(
            decimal(&[0, 668_304_384, 172_751_547, 175_927_511, 7523], 30),
            format!("1{}", "0".repeat(40))
        );
    }

    proptest! {
        #[test]
        fn numbers_of_128_bits_are_written_as_rust_does(value in any::<u128>(), wide in any::<bool>()) {
            let bits = if wide { 30 } else { 15 };
            let mut digits = Vec::new();
            let mut rest = value;
            while rest > 0 {
                digits.push((rest & ((1 << bits) - 1)) as u32);
                rest >>= bits;
            }
            prop_assert_eq!(decimal(&digits, bits), value.to_string());
        }
    }
}
