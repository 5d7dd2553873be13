//! Free-form JSON objects (`config`, `metadata`), kept as the text they came in.
//!
//! Text keeps numbers exact (`jsonb` holds more digits than a float), costs one allocation where a
//! tree costs one per node, and goes into a reply without being built again.

use std::fmt;

use serde_json::value::RawValue;
use thiserror::Error;

/// The text is not a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be a JSON object")]
pub struct NotAnObject;

/// A JSON object as text; the empty one, by far the most frequent, allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct JsonObject(Option<Box<RawValue>>);

impl JsonObject {
    /// Parses `text`, which must be one valid JSON object.
    pub fn parse(text: &str) -> Result<Self, NotAnObject> {
        let text = text.trim_matches([' ', '\n', '\r', '\t']);
        if text == "{}" {
            return Ok(Self(None));
        }
        if !text.starts_with('{') {
            return Err(NotAnObject);
        }
        RawValue::from_string(text.to_owned())
            .map(|raw| Self(Some(raw)))
            .map_err(|_| NotAnObject)
    }

    /// The object as JSON text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().map_or("{}", RawValue::get)
    }

    /// The object for a serializer to copy; `None` for the empty one.
    pub fn raw(&self) -> Option<&RawValue> {
        self.0.as_deref()
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Display for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_parse_and_their_text_is_kept() {
        let exact = r#"{"n": 12345678901234567890.10}"#;
        assert_eq!(JsonObject::parse(exact).unwrap().as_str(), exact);
        assert_eq!(JsonObject::parse(" {} ").unwrap(), JsonObject::default());
        for bad in ["", "[]", "1", "null", "{", r#"{"a":}"#, "{} {}"] {
            assert_eq!(JsonObject::parse(bad), Err(NotAnObject), "{bad}");
        }
    }
}
