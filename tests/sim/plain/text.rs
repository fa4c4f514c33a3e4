//! The text that is hashed and signed, as Python's `json.dumps` makes it.

use ring::digest;

use super::{Block, Time, Transaction, hex};

pub fn sha256(text: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("32 bytes")
}

impl Transaction {
    /// What its author signs.
    pub fn text(&self) -> String {
        format!(
            "{{\"requester\": \"{}\", \"timestamp\": {}, \"type\": {}, \"uid\": {}}}",
            hex(&self.key),
            self.time.text(),
            if self.release { 2 } else { 1 },
            string(&self.name)
        )
    }

    /// The first half of the hash of what is signed.
    pub fn id(&self) -> [u8; 16] {
        *sha256(&self.text()).first_chunk().expect("32 bytes")
    }
}

impl Block {
    /// What its hash is of.
    pub fn text(&self) -> String {
        let texts: Vec<String> = self.transactions.iter().map(Transaction::text).collect();
        format!(
            "{{\"index\": {}, \"nonce\": {}, \"prev_hash\": \"{}\", \"timestamp\": {}, \
             \"transactions\": [{}]}}",
            self.index,
            self.nonce,
            hex(&self.prev_hash),
            self.time.text(),
            texts.join(", ")
        )
    }
}

impl Time {
    pub fn text(self) -> String {
        match self {
            Time::Integer(value) => value.to_string(),
            Time::Float(value) => float(value),
        }
    }
}

/// A string in quotes, ASCII only.
pub fn string(name: &[u8]) -> String {
    let mut text = String::from("\"");
    let mut bytes = name.iter().copied();
    while let Some(first) = bytes.next() {
        let (more, lead) = match first {
            0..0x80 => (0, first),
            0x80..0xe0 => (1, first & 0x1f),
            0xe0..0xf0 => (2, first & 0x0f),
            0xf0.. => (3, first & 0x07),
        };
        let tail = bytes.by_ref().take(more);
        let code = tail.fold(u32::from(lead), |code, byte| {
            code * 64 + u32::from(byte & 0x3f)
        });
        match char::from_u32(code) {
            Some('"') => text.push_str("\\\""),
            Some('\\') => text.push_str("\\\\"),
            Some('\n') => text.push_str("\\n"),
            Some('\r') => text.push_str("\\r"),
            Some('\t') => text.push_str("\\t"),
            Some('\u{8}') => text.push_str("\\b"),
            Some('\u{c}') => text.push_str("\\f"),
            Some(plain @ ' '..='~') => text.push(plain),
            Some(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
            None => text.push_str(&format!("\\u{code:04x}")),
        }
    }
    text.push('"');
    text
}

/// As Python spells a double: the fewest digits that read back to it, and of those the nearest.
pub fn float(value: f64) -> String {
    let (digits, exponent) = shortest(value.abs());
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let point = exponent + 1;
    let count = digits.len() as i32;
    let plain = if !(-4..16).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() {
            ""
        } else {
            &format!(".{rest}")
        };
        let side = if exponent < 0 { '-' } else { '+' };
        format!("{first}{rest}e{side}{:02}", exponent.abs())
    } else if point <= 0 {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else if count <= point {
        format!("{digits}{}.0", "0".repeat((point - count) as usize))
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        format!("{whole}.{fraction}")
    };
    format!("{sign}{plain}")
}

/// The digits without a point, and the power of ten of the first one.
fn shortest(value: f64) -> (String, i32) {
    for places in 0..17 {
        let rounded = format!("{value:.places$e}");
        let (digits, exponent) = rounded.split_once('e').expect("an exponent");
        let number: u64 = digits.replace('.', "").parse().expect("digits");
        let exponent: i32 = exponent.parse().expect("a number");
        // The nearest of so few digits need not read back where the one beside it does: below a
        // power of two doubles are closer to each other.
        for near in [number, number + 1, number.saturating_sub(1)] {
            let same = format!("{near}e{}", exponent - places as i32).parse() == Ok(value);
            if same && near.to_string().len() == places + 1 {
                return (near.to_string(), exponent);
            }
        }
    }
    panic!("17 digits are enough for {value}");
}
