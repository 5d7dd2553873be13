//! What is wrong with a request that cannot be decoded: the field, and the rule in our own words.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::quote::quoted;
use crate::service::error::RegistryError;

/// Decodes `payload` again, to find out where it goes wrong.
pub(super) fn found<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RegistryError> {
    let text = std::str::from_utf8(payload).map_err(|_| malformed("the payload is not UTF-8"))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| malformed(&error.to_string()))?;
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(located)
}

/// A request that is wrong as a whole.
pub fn malformed(message: &str) -> RegistryError {
    RegistryError::InvalidRequest {
        field: None,
        message: quoted(message),
    }
}

/// The value of a field that must be there.
pub(in crate::documents) fn required<T>(field: &str, value: Option<T>) -> Result<T, RegistryError> {
    value.ok_or_else(|| RegistryError::field(field, "is missing"))
}

/// The error of a payload that is JSON.
fn located(error: serde_path_to_error::Error<serde_json::Error>) -> RegistryError {
    let path = error.path().to_string();
    let text = error.into_inner().to_string();
    // The place comes last; what is quoted before it may hold the same words.
    let before = text.rsplit_once(" at line ");
    let text = before.map_or(&*text, |(text, _)| text);
    let named = |rest: &str| rest.split('`').next().map(quoted).unwrap_or_default();
    if let Some(rest) = text.strip_prefix("duplicate field `") {
        return RegistryError::field(&named(rest), "is given twice");
    }
    if let Some(rest) = text.strip_prefix("unknown field `") {
        return RegistryError::field(&named(rest), "is unknown");
    }
    if path == "." {
        return malformed(text);
    }
    RegistryError::field(&quoted(&path), rule(text))
}

/// The rule behind the decoder's message. Its own words are Rust's, not the caller's.
fn rule(text: &str) -> String {
    const KINDS: [(&str, &str); 6] = [
        ("a string", "must be a string"),
        ("a borrowed string", "must be a string"),
        ("a boolean", "must be true or false"),
        ("a sequence", "must be a list"),
        ("a map", "must be a JSON object"),
        ("struct ", "must be a JSON object"),
    ];
    if text.starts_with("must be ") {
        return quoted(text);
    }
    let expected = text.rsplit_once(", expected ").map(|(_, kind)| kind);
    // A value of another kind is quoted, and may be these words.
    if expected.is_none() && (text.contains("surrogate") || text.contains("hex escape")) {
        return "holds half of a surrogate pair".to_owned();
    }
    let is_kind = |kind: &str| expected.is_some_and(|expected| expected.starts_with(kind));
    let known = KINDS.iter().find(|(kind, _)| is_kind(kind));
    match known {
        Some((_, rule)) => (*rule).to_owned(),
        None => format!("is wrong: {}", quoted(text)),
    }
}
