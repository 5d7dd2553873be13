//! The body of an error reply.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::to_bytes;
use crate::domain::quote::{MAX_QUOTED_BYTES, quoted};
use crate::service::error::{BadField, Detail, RegistryError};

/// `{"code", "message", "details"}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetails {
    code: &'static str,
    message: String,
    #[schema(value_type = Object)]
    details: Map<String, Value>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct Envelope {
    error: ErrorDetails,
}

impl ErrorDetails {
    /// The body for `error`.
    pub fn of(error: &RegistryError) -> Self {
        let details = error.details().into_iter().map(|(name, detail)| {
            let value = match detail {
                Detail::Text(text) => Value::String(text),
                Detail::Number(number) => Value::from(number),
                Detail::Nothing => Value::Null,
                Detail::Fields(faults) => faults.iter().map(fault).collect(),
            };
            (name.to_owned(), value)
        });
        Self {
            code: error.code(),
            message: error.to_string(),
            details: details.collect(),
        }
    }
}

/// The whole error reply: `{"error": {...}}`.
pub fn error(error: &RegistryError) -> Bytes {
    to_bytes(&Envelope {
        error: ErrorDetails::of(error),
    })
}

/// The reply in shorter and shorter forms, for when the whole one is too large to be sent: with the
/// first fault only, and with only the code.
pub fn shorter(error: &RegistryError) -> [Bytes; 2] {
    let title = error.title();
    let mut first = ErrorDetails::of(error);
    first.details.remove("faults");
    first.message = quoted(&first.message);
    let error = Envelope { error: first };
    [to_bytes(&error), plain(error.error.code, title)]
}

/// An error without details that only one way of asking has.
pub fn plain(code: &'static str, message: &str) -> Bytes {
    to_bytes(&Envelope {
        error: ErrorDetails {
            code,
            message: message.to_owned(),
            details: Map::new(),
        },
    })
}

fn fault(fault: &BadField) -> Value {
    let value = fault.value.as_ref().map(|text| {
        let whole = serde_json::from_str(text).ok();
        let whole = whole.filter(|_| text.len() <= MAX_QUOTED_BYTES);
        whole.unwrap_or_else(|| Value::String(quoted(text)))
    });
    json!({ "field": quoted(&fault.field), "value": value, "rule": quoted(&fault.rule) })
}
