//! The insides of string literals, as Python reads them back.

use std::fmt::{self, Formatter};

/// Code points between double quotes.
pub(super) fn write_text(f: &mut Formatter<'_>, code_points: &[u32]) -> fmt::Result {
    for code in code_points {
        match char::from_u32(*code) {
            Some(shown) if !is_hidden(shown) => write_shown(f, shown)?,
            _ => match code {
                0x0a => f.write_str("\\n")?,
                0x0d => f.write_str("\\r")?,
                0x09 => f.write_str("\\t")?,
                0..=0xff => write!(f, "\\x{code:02x}")?,
                0x100..=0xffff => write!(f, "\\u{code:04x}")?,
                _ => write!(f, "\\U{code:08x}")?,
            },
        }
    }
    Ok(())
}

/// Bytes between double quotes.
pub(super) fn write_bytes(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        match byte {
            0x20..=0x7e => write_shown(f, char::from(*byte))?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            _ => write!(f, "\\x{byte:02x}")?,
        }
    }
    Ok(())
}

fn write_shown(f: &mut Formatter<'_>, shown: char) -> fmt::Result {
    match shown {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        _ => write!(f, "{shown}"),
    }
}

/// What a terminal would act on or not show: control characters, line and paragraph
/// separators, what changes the direction of text, and what has no width.
fn is_hidden(shown: char) -> bool {
    shown.is_control()
        || matches!(shown, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}')
        || matches!(shown, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(shown, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::values::{BytesKind, Value};

    fn text(code_points: &[u32]) -> String {
        Value::Text { code_points: code_points.to_vec(), more: false, unicode: false }.to_string()
    }

    fn of(text: &str) -> Vec<u32> {
        text.chars().map(u32::from).collect()
    }

    /// What a Python literal means, for the escapes that are written here.
    fn meaning(literal: &str) -> Vec<u32> {
        let mut inside = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap().chars();
        let mut code_points = Vec::new();
        while let Some(next) = inside.next() {
            assert_ne!(next, '"');
            if next != '\\' {
                code_points.push(u32::from(next));
                continue;
            }
            let escape = inside.next().unwrap();
            let digits = match escape {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            let hex: String = inside.by_ref().take(digits).collect();
            code_points.push(match escape {
                'n' => 10,
                'r' => 13,
                't' => 9,
                'x' | 'u' | 'U' => u32::from_str_radix(&hex, 16).unwrap(),
                other => u32::from(other),
            });
        }
        code_points
    }

    #[test]
    fn what_misleads_is_escaped() {
        assert_eq!(text(&of("a\"b'c\\")), r#""a\"b'c\\""#);
        assert_eq!(text(&of("a\nb\tc\0\u{7f}")), r#""a\nb\tc\x00\x7f""#);
        assert_eq!(text(&of("é中😀")), "\"é中😀\"");
        assert_eq!(text(&[0xd800, 0x202e, 0x11_0000]), r#""\ud800\u202e\U00110000""#);
        let bytes = Value::Bytes { kind: BytesKind::Bytes, bytes: b"a\"\xff\n".to_vec(), more: true };
        assert_eq!(bytes.to_string(), r#"b"a\"\xff\n...""#);
    }

    proptest! {
        #[test]
        fn literals_mean_what_they_were_made_of(code_points in prop::collection::vec(0..0x11_0000u32, 0..40)) {
            prop_assert_eq!(meaning(&text(&code_points)), code_points);
        }

        #[test]
        fn bytes_mean_what_they_were_made_of(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let literal = Value::Bytes { kind: BytesKind::ByteString, bytes: bytes.clone(), more: false };
            let bytes: Vec<u32> = bytes.into_iter().map(u32::from).collect();
            prop_assert_eq!(meaning(&literal.to_string()), bytes);
        }
    }
}
