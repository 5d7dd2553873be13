//! Free-form JSON objects (`config`, `metadata`), kept as the text they came in.
//!
//! Only white space between tokens is left out. Text keeps numbers exact (`jsonb` holds more digits than a float), costs one allocation where a
//! tree costs one per node, and goes into a reply without being built again.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::IgnoredAny;
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
        let compact = without_white_space(text);
        if compact == "{}" {
            return Ok(Self(None));
        }
        if !compact.starts_with('{') || serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(NotAnObject);
        }
        RawValue::from_string(compact)
            .map(|raw| Self(Some(raw)))
            .map_err(|_| NotAnObject)
    }

    /// The object as JSON text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().map_or("{}", RawValue::get)
    }

    /// The values by their names; of a name given twice, the last one.
    pub fn members(&self) -> BTreeMap<String, &RawValue> {
        // The text was parsed as an object already.
        serde_json::from_str(self.as_str()).unwrap_or_default()
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

/// Leaves out the white space between tokens; what stands in strings is kept.
fn without_white_space(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let significant = |c: &char| {
        if in_string {
            in_string = escaped || *c != '"';
            escaped = !escaped && *c == '\\';
            return true;
        }
        in_string = *c == '"';
        !matches!(c, ' ' | '\n' | '\r' | '\t')
    };
    text.chars().filter(significant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_parse_and_their_text_is_kept() {
        for (text, kept) in [
            (
                r#"{"n": 12345678901234567890.10}"#,
                r#"{"n":12345678901234567890.10}"#,
            ),
            ("{\n\t\"a b\" : [ 1, 2 ]\r}", r#"{"a b":[1,2]}"#),
            (
                r#"{"q": "a \" : b", "e": "\\" }"#,
                r#"{"q":"a \" : b","e":"\\"}"#,
            ),
        ] {
            assert_eq!(JsonObject::parse(text).unwrap().as_str(), kept);
        }
        assert_eq!(JsonObject::parse(" {} ").unwrap(), JsonObject::default());
        for bad in [
            "",
            "[]",
            "1",
            "null",
            "{",
            r#"{"a":}"#,
            "{} {}",
            r#"{"a":1 2}"#,
        ] {
            assert_eq!(JsonObject::parse(bad), Err(NotAnObject), "{bad}");
        }
    }
}
