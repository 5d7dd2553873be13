//! The body of an error reply.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::to_bytes;
use crate::domain::quote::quoted;
use crate::service::error::RegistryError;

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
        let details = error.details().into_iter();
        let details = details.map(|(name, value)| (name.to_owned(), value));
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
