//! JSON one level at a time: a value is text until somebody asks for its fields.
//!
//! serde_json's own types would refuse what desktop nodes take (lone surrogates in strings and
//! keys, a key that stands twice) and lose what matters (whether a number is an integer).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::ledger::{Hash, PublicKey, Signature, tally};

/// Why text is no JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextError {
    NotUtf8,
    NotJson,
}

/// The one value that `text` is; all of its syntax is checked here.
pub(super) fn value(text: &[u8]) -> Result<&RawValue, TextError> {
    tally::count(|done| done.parsed += tally::bytes(text.len()));
    let text = str::from_utf8(text).map_err(|_| TextError::NotUtf8)?;
    serde_json::from_str(text).map_err(|_| TextError::NotJson)
}

/// An object's fields of these names; of one that stands twice the last, as desktop nodes read
/// it. `None` if the value is no object.
pub(super) fn fields<'a, const N: usize>(
    value: &'a RawValue,
    names: &[&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    struct Fields<'n, const N: usize>(&'n [&'n str; N]);
    impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some(key) = map.next_key::<Text>()? {
                let field = map.next_value()?;
                let place = self.0.iter().position(|name| name.as_bytes() == &*key.0);
                if let Some(place) = place {
                    found[place] = Some(field);
                }
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(value.get());
    reader.deserialize_map(Fields(names)).ok()
}

/// Hands over the elements of an array until `each` fails. `None` if the value is no array.
pub(super) fn elements<'a, E>(
    value: &'a RawValue,
    each: impl FnMut(&'a RawValue) -> Result<(), E>,
) -> Option<Result<(), E>> {
    struct Elements<F>(F);
    impl<'de, E, F: FnMut(&'de RawValue) -> Result<(), E>> Visitor<'de> for Elements<F> {
        type Value = Result<(), E>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut result = Ok(());
            // serde_json wants the array read to its end.
            while let Some(element) = seq.next_element()? {
                if result.is_ok() {
                    result = self.0(element);
                }
            }
            Ok(result)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(value.get());
    reader.deserialize_seq(Elements(each)).ok()
}

/// A string's content: UTF-8 in which lone surrogates stand as three bytes (WTF-8). `None` if the
/// value is no string.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, [u8]>> {
    let text: Text<'_> = serde_json::from_str(value.get()).ok()?;
    Some(text.0)
}

/// A number as it is spelled. `None` if the value is no number.
pub(super) fn number(value: &RawValue) -> Option<&str> {
    let text = value.get();
    matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9')).then_some(text)
}

/// A string as bytes, in which serde_json leaves lone surrogates alone.
pub(super) struct Text<'a>(pub(super) Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(TextSeed)
    }
}

struct TextSeed;

impl<'de> Visitor<'de> for TextSeed {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(bytes.to_vec())))
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(bytes)))
    }
}

/// Whether a key is this name; for keys that are read from a stream.
pub(super) struct KeyIs(pub(super) &'static str);

impl<'de> DeserializeSeed<'de> for KeyIs {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let key = Text::deserialize(deserializer)?;
        Ok(&*key.0 == self.0.as_bytes())
    }
}

/// A number without fraction and exponent; `-0` is 0, as it is to desktop nodes.
pub(super) fn whole_number(number: &str) -> Option<u64> {
    number.parse::<i128>().ok()?.try_into().ok()
}

/// A hash from its digits, which are lower-case.
pub(super) fn digest(text: &[u8]) -> Option<Hash> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let bytes = hex::<32>(text)?;
    bytes.as_slice().try_into().ok().map(Hash::new)
}

/// A key, in either of its spellings.
pub(super) fn public_key(text: &[u8]) -> Option<PublicKey> {
    PublicKey::from_sec1(&hex::<65>(text)?)
}

/// A signature in DER.
pub(super) fn signature(text: &[u8]) -> Option<Signature> {
    Signature::from_der(&hex::<72>(text)?)
}

/// At most `N` bytes from hexadecimal digits in either case.
pub(super) fn hex<const N: usize>(text: &[u8]) -> Option<heapless::Vec<u8, N>> {
    let (pairs, odd) = text.as_chunks::<2>();
    if !odd.is_empty() || pairs.len() > N {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> &RawValue {
        value(text.as_bytes()).expect("JSON")
    }

    #[test]
    fn strings_keep_lone_surrogates_and_join_pairs() {
        for (json, bytes) in [
            (r#""\ud83d!""#, &b"\xed\xa0\xbd!"[..]),
            (r#""\ud83d\ude00""#, "😀".as_bytes()),
            (r#""\ude00\ud83d""#, b"\xed\xb8\x80\xed\xa0\xbd"),
            (r#""\ud83d\ud83d\ude00""#, b"\xed\xa0\xbd\xf0\x9f\x98\x80"),
            (r#""plain""#, b"plain"),
        ] {
            assert_eq!(&*string(read(json)).expect(json), bytes);
        }
        for json in ["[1, 2]", "1", "null", "{}", "true"] {
            assert!(string(read(json)).is_none(), "{json}");
        }
    }

    #[test]
    fn of_a_field_that_stands_twice_the_last_counts() {
        let text = r#" { "\ud800": [[]], "b": 1, "\u0061" :"x" , "b": 2 } "#;
        let [a, b, c] = fields(read(text), &["a", "b", "c"]).expect("an object");
        assert_eq!(a.map(RawValue::get), Some("\"x\""));
        assert_eq!(b.map(RawValue::get), Some("2"));
        assert!(c.is_none());
        assert!(fields(read("[]"), &["a"]).is_none());
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
        assert!(value(deep.as_bytes()).is_ok());
        let text = format!("{{\"x\": {deep}, \"a\": 1}}");
        let [a] = fields(read(&text), &["a"]).expect("an object");
        assert_eq!(a.and_then(number), Some("1"));
    }
}
