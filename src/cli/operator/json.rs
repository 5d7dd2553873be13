//! JSON as operators give it: in an argument, in a file, on standard input, or as `KEY=VALUE`.
//!
//! Values keep their text: a number arrives with the digits that were typed.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::value::RawValue;

use super::field::Given;
use crate::domain::text::text as decoded;

/// `KEY=VALUE`, taken apart at its first `=`. The value is JSON where it reads as JSON, else a
/// string.
pub(super) fn pair(text: &str) -> Result<Given, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), lenient(value))),
        _ => Err("must be KEY=VALUE, such as tenant_id=acme or retry=2".to_owned()),
    }
}

/// JSON where `text` is JSON, else a string.
pub(super) fn lenient(text: &str) -> Box<RawValue> {
    parsed(text).unwrap_or_else(|_| value(&text))
}

/// A value; serializing one into memory cannot fail.
pub(super) fn value(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// An object of `fields`; the last one of a name counts.
pub(super) fn object(fields: impl IntoIterator<Item = Given>) -> Box<RawValue> {
    value(&fields.into_iter().collect::<BTreeMap<_, _>>())
}

/// JSON in `text` itself, in the file that it names by `@file`, or on standard input for `-`.
pub(super) fn read(text: &str) -> Result<Box<RawValue>, String> {
    // Not the reader of files that never waits: an operator may name a pipe, as `@<(...)` is one.
    let (place, bytes) = match text.strip_prefix('@') {
        Some(path) => (path, std::fs::read(path)),
        None if text == "-" => ("standard input", std::io::stdin().lock().bytes().collect()),
        None => ("the argument", Ok(text.into())),
    };
    let bytes = bytes.map_err(|error| format!("{place}: {error}"))?;
    let text = decoded(bytes).map_err(|error| format!("{place} {error}"))?;
    parsed(text.trim()).map_err(|error| format!("{place} is not valid JSON: {error}"))
}

fn parsed(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::from_str(text)
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
            let (name, json) = pair(text).unwrap();
            assert_eq!((name.as_str(), json.get()), (key, value), "{text}");
        }
        for text in ["", "key", "=value"] {
            pair(text).unwrap_err();
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
        assert!(error.contains("a.json is not valid JSON"), "{error}");
        let error = read_file(&folder.path().join("none")).unwrap_err();
        assert!(error.contains("none: "), "{error}");
    }
}
