//! A value as it was given, before it is checked.

use std::borrow::Cow;
use std::fmt;

use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::domain::json::string;

/// The value of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value<'a> {
    /// Null, which is absent: the default, or for a version the extension's own.
    #[default]
    Unset,
    /// A text.
    Text(Cow<'a, str>),
    /// A number that was read already.
    Number(i64),
    /// True or false.
    Switch(bool),
    /// Any other valid JSON, numbers as they are written included.
    Json(Cow<'a, str>),
}

/// The most bytes of one value of a row: eight times what a nats-server takes by default. Writes are held
/// to less, see [`super::MAX_RECORD_BYTES`].
pub const MAX_VALUE_BYTES: usize = 8 * 1024 * 1024;
/// What stands for JSON that is larger, of which nothing is kept.
const TOO_LARGE: &str = "(larger than 8 MiB)";

impl<'a> Value<'a> {
    /// The value of valid JSON. A string that holds half of a surrogate pair is no text.
    pub fn read(json: &'a str) -> Self {
        match json.trim_ascii() {
            "null" => Self::Unset,
            "true" => Self::Switch(true),
            "false" => Self::Switch(false),
            json => string(json).map_or(Self::Json(json.into()), Self::Text),
        }
    }

    /// A text, if there is one.
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Unset, |text| Self::Text(text.into()))
    }

    /// JSON of any kind, if there is any. What is larger than [`MAX_VALUE_BYTES`] need not be whole.
    pub fn json(json: Option<&'a str>) -> Self {
        match json {
            Some(json) if json.len() > MAX_VALUE_BYTES => Self::Text(TOO_LARGE.into()),
            json => json.map_or(Self::Unset, Self::read),
        }
    }

    /// Whether it stands for JSON that was too large.
    pub fn is_too_large(&self) -> bool {
        *self == Self::Text(TOO_LARGE.into())
    }

    /// A number, if there is one.
    pub fn number(number: Option<impl Into<i64>>) -> Self {
        number.map_or(Self::Unset, |number| Self::Number(number.into()))
    }

    /// The text that it is.
    ///
    /// # Errors
    /// The rule that anything else breaks.
    pub fn as_text(&self) -> Result<&str, &'static str> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Json(json) if json.starts_with('"') => Err("holds half of a surrogate pair"),
            _ => Err("must be a string"),
        }
    }

    /// The same, on its own.
    pub fn into_owned(self) -> Value<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Unset => Value::Unset,
            Self::Text(text) => Value::Text(owned(text)),
            Self::Number(number) => Value::Number(number),
            Self::Switch(on) => Value::Switch(on),
            Self::Json(json) => Value::Json(owned(json)),
        }
    }
}

/// As JSON, which is copied as it was written.
impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unset => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Switch(on) => serializer.serialize_bool(*on),
            Self::Json(json) => serde_json::from_str::<&RawValue>(json)
                .map_err(S::Error::custom)?
                .serialize(serializer),
        }
    }
}

/// As operators read it; JSON as it is kept.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("-"),
            Self::Text(text) | Self::Json(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(on) => write!(f, "{on}"),
        }
    }
}
