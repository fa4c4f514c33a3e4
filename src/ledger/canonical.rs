//! The pieces of the text that is hashed and signed (PROTOCOL.md section 2), and where they go: no
//! block is ever held as text to be hashed.

use sha2::{Digest, Sha256};

use super::tally;

/// Takes text piece by piece.
pub trait Sink {
    /// Takes the next piece, which is ASCII.
    fn put(&mut self, piece: &[u8]);
}

/// Hashes text, and counts it.
#[derive(Default)]
pub struct Digester {
    sha: Sha256,
    length: usize,
}

impl Digester {
    /// The SHA-256 of the text.
    pub fn finish(self) -> [u8; 32] {
        tally::count(|done| done.hashed += tally::bytes(self.length));
        self.sha.finalize().into()
    }
}

impl Sink for Digester {
    fn put(&mut self, piece: &[u8]) {
        self.sha.update(piece);
        self.length += piece.len();
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

/// Counts the text and keeps none of it.
#[derive(Default)]
pub struct Length(pub usize);

impl Sink for Length {
    fn put(&mut self, piece: &[u8]) {
        self.0 += piece.len();
    }
}

/// Puts `bytes` as lower-case hexadecimal digits.
pub fn hex(sink: &mut impl Sink, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        sink.put(&[
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]);
    }
}

/// Puts a whole number.
pub fn number(sink: &mut impl Sink, value: u64) {
    use core::fmt::Write;
    let mut text = heapless::String::<20>::new();
    write!(text, "{value}").expect("20 digits hold every 64-bit number");
    sink.put(text.as_bytes());
}

/// Puts a string in quotes, everything outside printable ASCII escaped.
///
/// `text` is UTF-8 in which lone surrogates may stand as three bytes (WTF-8), since JSON's
/// escapes can spell them and desktop nodes take them.
pub fn string(sink: &mut impl Sink, text: &[u8]) {
    sink.put(b"\"");
    escaped(sink, text);
    sink.put(b"\"");
}

/// Puts what stands between a string's quotes; of a text in pieces, each of whole characters, one after
/// the other.
pub fn escaped(sink: &mut impl Sink, text: &[u8]) {
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let plain = rest
            .iter()
            .take_while(|b| matches!(b, 0x20..=0x7e) && !matches!(b, b'"' | b'\\'))
            .count();
        sink.put(&rest[..plain]);
        if plain > 0 {
            rest = &rest[plain..];
            continue;
        }
        let (code, width) = first_character(rest, first);
        escape(sink, code);
        rest = &rest[width..];
    }
}

/// The beginning of WTF-8 text that has at most `most` bytes and ends behind a whole character. Not
/// empty if `text` is not, however its bytes are broken, where `most` is 4 at least.
pub fn beginning(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most {
        return text;
    }
    let begins = |at: &usize| !matches!(text[*at], 0x80..=0xbf);
    let end = (most.saturating_sub(3).max(1)..=most).rev().find(begins);
    &text[..end.unwrap_or(most)]
}

/// The first character of WTF-8 and its width in bytes.
pub(super) fn first_character(text: &[u8], first: u8) -> (u32, usize) {
    let (width, lead) = match first {
        0..=0x7f => (1, first),
        0x80..=0xdf => (2, first & 0x1f),
        0xe0..=0xef => (3, first & 0x0f),
        0xf0..=0xff => (4, first & 0x07),
    };
    let width = width.min(text.len());
    let code = text[1..width].iter().fold(u32::from(lead), |code, byte| {
        code << 6 | u32::from(byte & 0x3f)
    });
    (code, width)
}

fn escape(sink: &mut impl Sink, code: u32) {
    let short: &[u8] = match code {
        0x22 => b"\\\"",
        0x5c => b"\\\\",
        0x0a => b"\\n",
        0x0d => b"\\r",
        0x09 => b"\\t",
        0x08 => b"\\b",
        0x0c => b"\\f",
        0x1_0000.. => {
            let offset = code - 0x1_0000;
            escape_unit(sink, 0xd800 | offset >> 10 & 0x3ff);
            return escape_unit(sink, 0xdc00 | offset & 0x3ff);
        }
        _ => return escape_unit(sink, code),
    };
    sink.put(short);
}

fn escape_unit(sink: &mut impl Sink, unit: u32) {
    let [_, _, high, low] = unit.to_be_bytes();
    sink.put(b"\\u");
    hex(sink, &[high, low]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, value);
        String::from_utf8(out).expect("escapes are ASCII")
    }

    #[test]
    fn every_kind_of_character_is_escaped_as_python_does() {
        assert_eq!(text(b"a/b\x7f"), r#""a/b\u007f""#);
        assert_eq!(
            text("\u{8}\u{c}\n\r\t\"\\\0".as_bytes()),
            r#""\b\f\n\r\t\"\\\u0000""#
        );
        assert_eq!(text("é日😀".as_bytes()), r#""\u00e9\u65e5\ud83d\ude00""#);
    }

    #[test]
    fn a_lone_surrogate_keeps_its_number() {
        assert_eq!(text(b"\xed\xa0\xbd!"), r#""\ud83d!""#);
    }

    #[test]
    fn a_text_in_pieces_is_the_same_text() {
        let name = "a\"é日😀\u{1}".repeat(9);
        let mut name = name.into_bytes();
        name.extend(b"\xed\xa0\xbd\xed\xa0\xbd!");
        for most in 4..40 {
            let (mut out, mut rest) = (Vec::new(), &name[..]);
            while !rest.is_empty() {
                let piece = beginning(rest, most);
                assert!(!piece.is_empty() && piece.len() <= most);
                escaped(&mut out, piece);
                rest = &rest[piece.len()..];
            }
            let out = String::from_utf8(out).expect("escapes are ASCII");
            assert_eq!(format!("\"{out}\""), text(&name));
        }
        assert_eq!(beginning(&[0x80; 9], 5).len(), 5);
    }

    #[test]
    fn cut_or_broken_bytes_end() {
        for broken in [
            &b"\xf0"[..],
            b"\xf0\x9f",
            b"\x80\x80",
            b"\xff\xff\xff\xff\xff",
        ] {
            assert!(text(broken).is_ascii());
        }
    }
}
