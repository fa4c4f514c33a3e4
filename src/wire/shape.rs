//! The fields that a message has to have, and what is said of one that is not as it should be.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::json;

/// A field that is missing or of the wrong type.
pub(super) struct Shape(pub(super) String);

impl Shape {
    pub(super) fn missing(name: &str) -> Shape {
        Shape(format!("{name} is missing"))
    }

    pub(super) fn wrong(name: &str, expected: &str) -> Shape {
        Shape(format!("{name} is not {expected}"))
    }

    pub(super) fn within(self, outer: &str) -> Shape {
        Shape(format!("{outer}{}", self.0))
    }
}

/// What a string says.
pub(super) fn string<'a>(field: Option<&'a RawValue>, name: &str) -> Result<Cow<'a, [u8]>, Shape> {
    let value = field.ok_or_else(|| Shape::missing(name))?;
    json::string(value).ok_or_else(|| Shape::wrong(name, "a string"))
}

/// The text of a number.
pub(super) fn number<'a>(field: Option<&'a RawValue>, name: &str) -> Result<&'a str, Shape> {
    let value = field.ok_or_else(|| Shape::missing(name))?;
    json::number(value).ok_or_else(|| Shape::wrong(name, "a number"))
}
