//! Floating-point numbers as Python writes them: the shortest digits that read back as
//! the same number, plain from 1e-4 up to 1e16, else with an exponent of two digits.

use half::f16;

/// As `repr` of a `float`.
pub(super) fn float(value: f64) -> String {
    with_point(shortest(value))
}

/// The same of 32 bits, with the digits that those need.
pub(super) fn float32(value: f32) -> String {
    with_point(match value.is_finite() {
        true => spelled(&format!("{value:e}")),
        false => shortest(value.into()),
    })
}

/// The same of 16 bits.
pub(super) fn float16(bits: u16) -> String {
    let value = f16::from_bits(bits);
    let wide = f64::from(value);
    // Five digits tell every number of 16 bits from its neighbours.
    let shortest_digits = (0..5)
        .map(|digits| format!("{wide:.digits$e}"))
        .find(|text| text.parse().is_ok_and(|read: f64| f16::from_f64(read).to_bits() == bits));
    match shortest_digits {
        Some(text) if wide.is_finite() => with_point(spelled(&text)),
        _ => float(wide),
    }
}

/// As `repr` of a `complex`.
pub(super) fn complex(real: f64, imaginary: f64) -> String {
    let part = shortest(imaginary);
    if real == 0.0 && real.is_sign_positive() {
        return format!("{part}j");
    }
    let sign = if part.starts_with('-') { "" } else { "+" };
    format!("({}{sign}{part}j)", shortest(real))
}

/// Whole numbers of type `float` show that they are.
fn with_point(text: String) -> String {
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_whole { text + ".0" } else { text }
}

fn shortest(value: f64) -> String {
    match value {
        value if value.is_nan() => "nan".to_owned(),
        f64::INFINITY => "inf".to_owned(),
        f64::NEG_INFINITY => "-inf".to_owned(),
        value => spelled(&format!("{value:e}")),
    }
}

/// A number that is written `d.ddde±x`, as Python would write it.
fn spelled(scientific: &str) -> String {
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific.to_owned() };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific.to_owned() };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    match exponent {
        -4..0 => format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        0..16 => {
            let whole = exponent as usize + 1;
            match digits.len() <= whole {
                true => format!("{sign}{digits:0<whole$}"),
                false => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
            }
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let direction = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_are_as_python_writes_them() {
        // What python3 prints for these.
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.5, "1.5"),
            (100.0, "100.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1234567890123456.7, "1234567890123456.8"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (1e-5, "1e-05"),
            (5e-324, "5e-324"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn numpys_are_as_short_as_their_width_allows() {
        assert_eq!(float32(1.1), "1.1");
        assert_eq!(float32(16_777_216.0), "16777216.0");
        assert_eq!(float32(f32::INFINITY), "inf");
        // numpy.float16 of 0.1, 1/3, 65504, 2**-24 and infinity.
        assert_eq!(float16(0x2e66), "0.1");
        assert_eq!(float16(0x3555), "0.3333");
        assert_eq!(float16(0x7bff), "65500.0");
        assert_eq!(float16(0x0001), "6e-08");
        assert_eq!(float16(0x7c00), "inf");
    }

    #[test]
    fn complex_numbers_are_as_python_writes_them() {
        assert_eq!(complex(1.0, 2.0), "(1+2j)");
        assert_eq!(complex(0.0, -2.5), "-2.5j");
        assert_eq!(complex(-0.0, 1.0), "(-0+1j)");
        assert_eq!(complex(f64::NAN, f64::INFINITY), "(nan+infj)");
        assert_eq!(complex(1e300, -1e-7), "(1e+300-1e-07j)");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in any::<f64>()) {
            let read: f64 = float(value).parse().unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }

        #[test]
        fn halves_read_back(bits in any::<u16>()) {
            let read: f64 = float16(bits).parse().unwrap();
            let value = f16::from_bits(bits);
            prop_assert!(f16::from_f64(read) == value || (read.is_nan() && value.is_nan()));
        }
    }
}
