//! How a name is shown and typed. What would move the cursor, or cannot be seen, is spelled as JSON does it,
//! and so is the backslash: two names never look the same unless they were shortened, and what is shown of
//! one that was not can be typed.

use core::fmt::{self, Write};

use super::canonical::first_character;
use super::transaction::Uid;
use crate::limits::{Full, NAME_SHOWN};

/// Characters of a long name's end that are shown.
const TAIL: usize = NAME_SHOWN / 4;

/// Characters that cannot be seen: those of the category Cf of Unicode 16.0, line and paragraph separators,
/// and what it calls default ignorable, such as variation selectors and fillers.
const HIDDEN: [(u32, u32); 25] = [
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// As on a screen: in one line, and a name of more than [`NAME_SHOWN`] characters without its middle, in
/// whose place stands how much that is. No name has that text, since its backslash would be two.
impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begins = |byte: &&u8| !matches!(byte, 0x80..=0xbf);
        let count = self.as_wtf8().iter().filter(begins).count();
        let long = Full::NameShown.when(count > NAME_SHOWN);
        for (at, code) in self.characters().enumerate() {
            if !long || at < NAME_SHOWN - TAIL || at >= count - TAIL {
                put(f, code)?;
            } else if at == NAME_SHOWN - TAIL {
                write!(f, "\\[{}-more]", count - NAME_SHOWN)?;
            }
        }
        Ok(())
    }
}

impl Uid {
    /// The whole name as a JSON string, which says exactly what the name is.
    pub fn to_json(&self) -> String {
        let mut text = "\"".to_owned();
        for code in self.characters() {
            if code == u32::from('"') {
                text.push('\\');
            }
            put(&mut text, code).expect("a string takes all");
        }
        text + "\""
    }

    /// The name that somebody types as it is shown. A backslash that is no escape stands for itself, as
    /// most people mean it.
    pub fn read_shown(text: &str) -> Uid {
        let mut name = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, escape)) = rest.split_once('\\') {
            name.extend(before.as_bytes());
            let (code, length) = escaped(escape).unwrap_or((u32::from('\\'), 0));
            push(&mut name, code);
            rest = &escape[length..];
        }
        name.extend(rest.as_bytes());
        Uid::from_wtf8(name)
    }

    fn characters(&self) -> impl Iterator<Item = u32> {
        let mut rest = self.as_wtf8();
        core::iter::from_fn(move || {
            let (code, width) = first_character(rest, *rest.first()?);
            rest = &rest[width..];
            Some(code)
        })
    }
}

fn put(out: &mut impl Write, code: u32) -> fmt::Result {
    let hidden = HIDDEN
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&code));
    match char::from_u32(code).filter(|c| !hidden && !c.is_control()) {
        Some('\\') => out.write_str("\\\\"),
        Some(character) => out.write_char(character),
        None if code < 0x1_0000 => write!(out, "\\u{code:04x}"),
        None => {
            let [high, low] = [(code - 0x1_0000) >> 10, code & 0x3ff];
            write!(out, "\\u{:04x}\\u{:04x}", 0xd800 | high, 0xdc00 | low)
        }
    }
}

/// The character that an escape means, without its backslash, and the bytes of it: `\`, `uXXXX`, two of
/// these, or what a console without UTF-8 shows, `u{X}`.
fn escaped(text: &str) -> Option<(u32, usize)> {
    if text.starts_with('\\') {
        return Some((u32::from('\\'), 1));
    }
    if let Some((digits, _)) = text
        .strip_prefix("u{")
        .and_then(|rest| rest.split_once('}'))
    {
        let code = number(digits).filter(|code| digits.len() <= 6 && *code < 0x11_0000)?;
        return Some((code, digits.len() + 3));
    }
    let unit = |text: &str| number(text.strip_prefix('u')?.get(..4)?);
    let first = unit(text)?;
    let second = text[5..].strip_prefix('\\').and_then(unit);
    Some(match (first, second) {
        (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) => {
            (0x1_0000 + (((first & 0x3ff) << 10) | (second & 0x3ff)), 11)
        }
        _ => (first, 5),
    })
}

fn number(digits: &str) -> Option<u32> {
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
}

/// Adds a character; two surrogates that make a pair become the one that they mean.
fn push(name: &mut Vec<u8>, code: u32) {
    let byte = |shift: u32| 0x80 | ((code >> shift) & 0x3f) as u8;
    match char::from_u32(code) {
        Some(character) => name.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => match (name.as_slice(), code) {
            ([.., 0xed, a @ 0xa0..=0xaf, b], 0xdc00..=0xdfff) => {
                let high = (u32::from(*a & 0xf) << 6) | u32::from(*b & 0x3f);
                name.truncate(name.len() - 3);
                push(name, 0x1_0000 + ((high << 10) | (code & 0x3ff)));
            }
            _ => name.extend([0xed, byte(6), byte(0)]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> String {
        Uid::from(name).to_string()
    }

    #[test]
    fn names_cannot_draw_on_the_screen_nor_hide_anything() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}"), "a\\u001b[2Jb\\u202e");
        assert_eq!(shown("a\\u001b[2Jb"), "a\\\\u001b[2Jb");
        assert_eq!(shown("na\u{ef}ve 😀 日本 \u{301}"), "naïve 😀 日本 \u{301}");
        let hidden = "\u{61c}\u{200b}\u{2028}\u{ad}\u{fe0f}\u{e0061}\u{7f}\u{9b}\u{3164}\u{feff}";
        assert_eq!(
            shown(hidden),
            "\\u061c\\u200b\\u2028\\u00ad\\ufe0f\\udb40\\udc61\\u007f\\u009b\\u3164\\ufeff"
        );
        let lone = Uid::from_wtf8(b"x\xed\xa0\xbd".to_vec());
        assert_eq!(lone.to_string(), "x\\ud83d");
    }

    #[test]
    fn what_is_shown_can_be_typed_and_is_what_json_says() {
        let mut names: Vec<Uid> = (0..=0x10_ffff)
            .filter_map(char::from_u32)
            .map(|character| Uid::from(format!("u{character}u").as_str()))
            .collect();
        for name in [
            "\\u001b",
            "\\\\",
            "\\u{e9}",
            "\\",
            "\\ud83d\\ude00",
            "\"",
            "a\\\"b",
        ] {
            names.push(name.into());
        }
        for name in [
            &b"\xed\xa0\xbd"[..],
            b"\xed\xb8\x80\xed\xa0\xbdx",
            b"\xed\xa0\xbd\\ude00",
        ] {
            names.push(Uid::read_wtf8(name).expect("a name"));
        }
        for name in names {
            let shown = name.to_string();
            assert_eq!(Uid::read_shown(&shown), name, "{shown}");
            let json = name.to_json();
            if str::from_utf8(name.as_wtf8()).is_ok() {
                let said: String = serde_json::from_str(&json).expect("JSON");
                assert_eq!(said.as_bytes(), name.as_wtf8());
            }
            assert_eq!(json[1..json.len() - 1].replace("\\\"", "\""), shown);
        }
    }

    #[test]
    fn a_typed_backslash_is_mostly_itself() {
        for (typed, means) in [
            ("C:\\tools\\x", "C:\\tools\\x"),
            (
                "\\users \\u12 \\u{} \\u{110000} \\u+123 \\",
                "\\users \\u12 \\u{} \\u{110000} \\u+123 \\",
            ),
            ("\\u00e9 \\u{e9} \\\\u00e9", "é é \\u00e9"),
            ("\\ud83d\\ude00\\u{d83d}\\u{de00}", "😀😀"),
        ] {
            let name = Uid::read_shown(typed);
            assert_eq!(name, Uid::from(means), "{typed}");
            assert!(Uid::read_wtf8(name.as_wtf8()).is_some());
        }
    }

    #[test]
    fn a_long_name_is_shown_without_its_middle() {
        let name = |length: usize| "é".repeat(length - 1) + "x";
        assert_eq!(shown(&name(NAME_SHOWN)), name(NAME_SHOWN));
        let long = shown(&name(NAME_SHOWN + 7));
        let head = "é".repeat(NAME_SHOWN - TAIL);
        assert_eq!(long, format!("{head}\\[7-more]{}", name(TAIL)));
        let long = shown(&"\u{1}".repeat(1 << 20));
        assert!(long.len() < 7 * NAME_SHOWN, "{}", long.len());
        let whole = Uid::from(name(1_000).as_str()).to_json();
        assert_eq!(whole, format!("\"{}\"", name(1_000)));
    }
}
