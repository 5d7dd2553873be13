//! Requests as they come, the same over NATS and HTTP: from JSON to arguments, or to an error that
//! names the field.

mod arguments;
mod fault;
mod ids;
pub mod numbers;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::arguments::{Freshness, Read};
pub use self::fault::malformed;
pub(in crate::documents) use self::fault::required;
pub use self::ids::{OfOne, object_or_bare};
pub(in crate::documents) use self::ids::{agreed_id, as_object, bare_text, id};
use crate::domain::context::Context;
use crate::service::error::RegistryError;

/// The message for a payload of another kind.
const NOT_AN_OBJECT: &str = "the payload must be a JSON object";

/// Parses a JSON object; the error names the field at fault.
pub fn object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RegistryError> {
    if payload.first() != Some(&b'{') {
        return Err(malformed(NOT_AN_OBJECT));
    }
    // Only a request that fails pays for finding out where.
    serde_json::from_slice(payload).or_else(|_| fault::found(payload))
}

/// Parses a JSON object where an empty payload means an empty one.
pub fn optional_object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RegistryError> {
    let payload = payload.trim_ascii();
    object(if payload.is_empty() { b"{}" } else { payload })
}

/// The context of a request, the same for every verb; empty where it has none.
///
/// # Errors
/// It is no object, has a key twice, or its tenant or trace id cannot be used.
pub fn context(json: Option<&RawValue>) -> Result<Context, RegistryError> {
    let read = json.map(Context::read).transpose();
    let read = read.map_err(|error| RegistryError::field(&error.key, error.rule))?;
    Ok(read.unwrap_or_default())
}

#[cfg(test)]
mod tests;
