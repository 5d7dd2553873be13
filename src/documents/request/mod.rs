//! Requests as they come, the same over NATS and HTTP: from JSON to arguments, or to an error that
//! names the field.

mod arguments;

use serde::Deserialize;

pub(in crate::documents) use self::arguments::id;
pub use self::arguments::{
    AuditArguments, CircuitsArguments, EnabledFilter, Freshness, HealthArguments, ListArguments,
    ReloadArguments,
};
use crate::domain::quote::quoted;
use crate::service::error::RegistryError;

/// What is said of a payload of another kind.
const NOT_AN_OBJECT: &str = "the payload must be a JSON object";

/// Parses a JSON object; the error names the field at fault.
pub fn object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RegistryError> {
    if payload.first() != Some(&b'{') {
        return Err(malformed(NOT_AN_OBJECT));
    }
    serde_json::from_slice(payload).or_else(|_| {
        // Only a request that fails pays for finding out where.
        let mut json = serde_json::Deserializer::from_slice(payload);
        let located: T = serde_path_to_error::deserialize(&mut json).map_err(located)?;
        json.end().map_err(|error| malformed(&error.to_string()))?;
        Ok(located)
    })
}

/// Parses a JSON object where an empty payload means an empty one.
pub fn optional_object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RegistryError> {
    let payload = payload.trim_ascii();
    object(if payload.is_empty() { b"{}" } else { payload })
}

fn located(error: serde_path_to_error::Error<serde_json::Error>) -> RegistryError {
    let path = error.path().to_string();
    let inner = error.into_inner();
    if inner.is_syntax() || inner.is_eof() || path == "." {
        return malformed(&inner.to_string());
    }
    let text = inner.to_string();
    let rule = text.split(" at line ").next().unwrap_or_default();
    RegistryError::field(&quoted(&path), format_args!("is wrong: {}", quoted(rule)))
}

/// A request that is wrong as a whole.
pub fn malformed(message: &str) -> RegistryError {
    RegistryError::InvalidRequest {
        field: None,
        message: quoted(message),
    }
}
