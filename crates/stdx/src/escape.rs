//! Bytes for human eyes: printable ASCII as it is, everything else as an escape.

use std::fmt;

/// Displays bytes: `a b` stays, `\n` `\r` `\t` `\0`-style control characters and non-ASCII become `\xNN`,
/// a backslash becomes `\\` and a double quote `\"`. Two different byte strings never print alike.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                b'"' => f.write_str("\\\"")?,
                0x20..=0x7e => fmt::Write::write_char(f, char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The escaped form as a string of its own.
pub fn escape_bytes(bytes: &[u8]) -> String {
    Escaped(bytes).to_string()
}

/// Reads what [`Escaped`] prints; `None` where the text is not such a form.
pub fn unescape_bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                rest = tail;
            }
            (b'\\', [b'"', tail @ ..]) => {
                bytes.push(b'"');
                rest = tail;
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let high = char::from(*high).to_digit(16)?;
                let low = char::from(*low).to_digit(16)?;
                bytes.push((high * 16 + low) as u8);
                rest = tail;
            }
            (b'\\' | b'"', _) => return None,
            (0x20..=0x7e, tail) => {
                bytes.push(first);
                rest = tail;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        let text = escape_bytes(&all);
        assert!(text.is_ascii());
        assert_eq!(unescape_bytes(&text), Some(all));
    }

    #[test]
    fn prints_what_a_reader_expects() {
        assert_eq!(escape_bytes(b"a\\\"\n\xff"), "a\\\\\\\"\\x0a\\xff");
        assert_eq!(format!("{:?}", Escaped(b"k\0")), "\"k\\x00\"");
    }

    #[test]
    fn refuses_what_it_never_prints() {
        for text in ["\\", "\\x1", "\\xzz", "\\n", "\u{e9}", "\""] {
            assert_eq!(unescape_bytes(text), None, "{text:?}");
        }
    }
}
