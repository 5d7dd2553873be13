//! JSON as operators give it: in an argument, in a file, on standard input, or as `KEY=VALUE`.
//!
//! Values keep their text: a number arrives with the digits that were typed.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::text::text as decoded;

/// `KEY=VALUE`. The value is JSON where it reads as JSON, else a string.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: Box<RawValue>,
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value.get() == other.value.get()
    }
}

impl Pair {
    /// Takes `text` apart at its first `=`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: lenient(value),
            }),
            _ => Err("must be KEY=VALUE, such as tenant_id=acme or retry=2".to_owned()),
        }
    }
}

/// JSON where `text` is JSON, else a string.
pub(super) fn lenient(text: &str) -> Box<RawValue> {
    parsed(text).unwrap_or_else(|_| string(text))
}

/// A string.
pub(super) fn string(text: &str) -> Box<RawValue> {
    value(&Value::from(text))
}

/// A value; serializing one into memory cannot fail.
pub(super) fn value(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// An object of `fields`; the last one of a name counts.
pub(super) fn object(fields: impl IntoIterator<Item = (String, Box<RawValue>)>) -> Box<RawValue> {
    value(&fields.into_iter().collect::<BTreeMap<_, _>>())
}

/// The fields of an object.
pub(super) fn fields(object: &RawValue) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_str(object.get()).ok()
}

/// JSON in `text` itself, in the file that it names by `@file`, or on standard input for `-`.
pub(super) fn read(text: &str) -> Result<Box<RawValue>, String> {
    let (place, text) = match text.strip_prefix('@') {
        Some(path) => (path.to_owned(), file(path)?),
        None if text == "-" => ("standard input".to_owned(), stdin()?),
        None => ("the argument".to_owned(), text.to_owned()),
    };
    parsed(text.trim()).map_err(|error| format!("{place} is no JSON: {error}"))
}

fn parsed(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::from_str(text)
}

fn file(path: &str) -> Result<String, String> {
    // Not the reader of files that waits for nobody: a person may name a pipe, as `@<(...)` is one.
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    decoded(bytes).map_err(|error| format!("{path} {error}"))
}

fn stdin() -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.map_err(|error| format!("standard input: {error}"))?;
    decoded(bytes).map_err(|error| format!("standard input {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_where_they_read_as_json() {
        for (text, key, value) in [
            ("tenant_id=acme", "tenant_id", r#""acme""#),
            ("retry=2", "retry", "2"),
            ("rate=1.50", "rate", "1.50"),
            (
                "big=123456789012345678901234567890",
                "big",
                "123456789012345678901234567890",
            ),
            ("enabled=true", "enabled", "true"),
            ("config=null", "config", "null"),
            (r#"config={"a": 1}"#, "config", r#"{"a": 1}"#),
            (r#"version="1""#, "version", r#""1""#),
            ("note=a=b", "note", r#""a=b""#),
            ("empty=", "empty", r#""""#),
            ("broken={", "broken", r#""{""#),
        ] {
            let pair = Pair::parse(text).unwrap();
            assert_eq!(
                (pair.key.as_str(), pair.value.get()),
                (key, value),
                "{text}"
            );
        }
        for text in ["", "key", "=value"] {
            Pair::parse(text).unwrap_err();
        }
    }

    #[test]
    fn documents_come_from_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, " {\"a\": 1.0}\n").unwrap();
        let read_file = |path: &std::path::Path| read(&format!("@{}", path.display()));
        assert_eq!(read_file(&path).unwrap().get(), "{\"a\": 1.0}");
        std::fs::write(&path, "{").unwrap();
        let error = read_file(&path).unwrap_err();
        assert!(error.contains("a.json is no JSON"), "{error}");
        let error = read_file(&folder.path().join("none")).unwrap_err();
        assert!(error.contains("none: "), "{error}");
    }
}
