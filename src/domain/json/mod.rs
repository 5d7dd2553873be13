//! Free-form JSON objects (`config`, `metadata`), kept as the text they came in.
//!
//! Only white space between tokens is left out. Text keeps numbers exact (`jsonb` holds more digits
//! than a float), costs one allocation where a tree costs one per node, and goes into a reply
//! without being built again.

mod members;
mod reader;
mod repeated;
mod scan;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use thiserror::Error;

pub use self::members::{Member, members};
pub use self::reader::Reader;
pub use self::repeated::check_keys;
use self::scan::Quoted;
pub use self::scan::{string, strings};
use super::quote::quoted;

/// Between tokens.
const WHITE_SPACE: [char; 4] = [' ', '\n', '\r', '\t'];

/// Why a text is not a JSON object that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ObjectError {
    /// Something else, or not JSON at all.
    #[error("must be a JSON object")]
    NotAnObject,
    /// It, or an object within it, has a key twice: the one at this place, such as
    /// `limits.items[2].max`.
    #[error("has the key `{}` twice", quoted(.0))]
    Twice(String),
    /// A key within it is half of a surrogate pair.
    #[error("has a key that holds half of a surrogate pair")]
    KeyIsNoText,
}

/// A key of an object and the rule that its value breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{key}` {rule}")]
pub struct KeyFault {
    /// The key as it was written.
    pub key: String,
    /// The rule, readable after the key.
    pub rule: String,
}

impl KeyFault {
    /// That `key` breaks `rule`.
    pub fn new(key: impl Into<String>, rule: impl Into<String>) -> Self {
        let (key, rule) = (key.into(), rule.into());
        Self { key, rule }
    }
}

/// A JSON object as text; the empty one, by far the most frequent, allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct JsonObject(Option<Box<RawValue>>);

impl JsonObject {
    /// Parses `text`, which must be one valid JSON object without a key given twice.
    pub fn parse(text: &str) -> Result<Self, ObjectError> {
        let compact = compact(text);
        if compact == "{}" {
            return Ok(Self(None));
        }
        if !compact.starts_with('{') {
            return Err(ObjectError::NotAnObject);
        }
        let raw = RawValue::from_string(compact).map_err(|_| ObjectError::NotAnObject)?;
        check_keys(raw.get())?;
        Ok(Self(Some(raw)))
    }

    /// The object as JSON text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().map_or("{}", RawValue::get)
    }

    /// The values by their names.
    pub fn members(&self) -> BTreeMap<String, &RawValue> {
        // The text was parsed as an object already, and its keys are texts.
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

/// JSON without the white space between tokens; the contents of strings are kept. What is no valid JSON
/// does not become so: two numbers stay two.
pub fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((tokens, string)) = rest.split_once('"') {
        let after = Quoted::split(string).1;
        let string = rest.get(tokens.len()..rest.len() - after.len());
        push_tokens(&mut compact, tokens);
        compact.push_str(string.unwrap_or_default());
        rest = after;
    }
    push_tokens(&mut compact, rest);
    compact
}

/// Adds `tokens`, in which no string is, without the white space between them.
fn push_tokens(compact: &mut String, tokens: &str) {
    let is_mark = |byte: Option<u8>| byte.is_none_or(|byte| b"{}[],:\"".contains(&byte));
    for token in tokens.split(WHITE_SPACE).filter(|token| !token.is_empty()) {
        if !is_mark(compact.bytes().next_back()) && !is_mark(token.bytes().next()) {
            compact.push(' ');
        }
        compact.push_str(token);
    }
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
        assert_ne!(
            JsonObject::parse(r#"{"a":1}"#),
            JsonObject::parse(r#"{"a":2}"#)
        );
        assert_eq!(
            JsonObject::parse(r#"{"a": 1}"#).unwrap().to_string(),
            r#"{"a":1}"#
        );
        for bad in [
            "",
            "[]",
            "1",
            "null",
            "{",
            r#"{"a":}"#,
            "{} {}",
            r#"{"a":1 2}"#,
            "{\"a\":[tr\nue]}",
            r#"{"a":1."b"}"#,
        ] {
            let refused = JsonObject::parse(bad);
            assert_eq!(refused, Err(ObjectError::NotAnObject), "{bad}");
        }
    }

    #[test]
    fn keys_that_cannot_be_relied_on_are_refused_with_their_place() {
        for (text, rule) in [
            (
                r#"{"a":1, "b":[{"c":1,"\u0063":2}]}"#,
                "has the key `b[0].c` twice",
            ),
            (
                r#"{"a":{"\ude00":1}}"#,
                "has a key that holds half of a surrogate pair",
            ),
        ] {
            let refused = JsonObject::parse(text).map_err(|error| error.to_string());
            assert_eq!(refused, Err(rule.to_owned()), "{text}");
        }
        let long = "k".repeat(100_000);
        let refused = JsonObject::parse(&format!(r#"{{"{long}":1,"{long}":2}}"#));
        assert!(refused.unwrap_err().to_string().len() < 300);
        // A value that is no text does no harm here: it is kept and passed on.
        let kept = r#"{"a":"\ud800"}"#;
        assert_eq!(JsonObject::parse(kept).unwrap().as_str(), kept);
    }
}
