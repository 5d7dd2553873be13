//! Payloads of requests over NATS: an object, a bare id, or nothing if the subject has everything.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::documents::request::{Freshness, context, malformed, numbers};
pub use crate::documents::request::{object, optional_object};
use crate::domain::context::Context;
use crate::service::error::RegistryError;

/// The arguments of a verb that is about one extension.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = LookupRequest)]
pub struct IdArguments<'a> {
    /// The id.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub id: Option<Cow<'a, str>>,
    /// Many ids, where the verb takes them.
    #[serde(borrow)]
    #[schema(value_type = Option<Vec<String>>)]
    pub ids: Option<Vec<Cow<'a, str>>>,
    /// A version to use regardless of the rules.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub version: Option<Cow<'a, str>>,
    /// The request's context, unread.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    context: Option<&'a RawValue>,
    /// The revision the answer must have seen.
    #[serde(default, deserialize_with = "numbers::any")]
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
    #[serde(default, deserialize_with = "numbers::waits_ms")]
    #[schema(maximum = 10000)]
    pub wait_ms: Option<u64>,
}

impl<'a> IdArguments<'a> {
    /// Reads a payload and the id in the subject, if there is one: a JSON object, a bare id, or
    /// nothing where the subject says it all.
    pub fn read(payload: &'a [u8], subject_id: Option<&'a str>) -> Result<Self, RegistryError> {
        let payload = payload.trim_ascii();
        let mut arguments = match payload.first() {
            None => Self::default(),
            Some(b'{') => object(payload)?,
            Some(_) => Self {
                id: Some(bare_id(payload)?.into()),
                ..Self::default()
            },
        };
        arguments.id = agreed_id(arguments.id, subject_id)?;
        Ok(arguments)
    }

    /// The id, which must be there.
    pub fn id(&self) -> Result<&str, RegistryError> {
        self.id
            .as_deref()
            .ok_or_else(|| RegistryError::field("id", "is missing"))
    }

    /// How new the answer must be.
    pub fn freshness(&self) -> Freshness {
        Freshness {
            min_revision: self.min_revision,
            wait_ms: self.wait_ms,
        }
    }

    /// The context, without what no rule can compare.
    pub fn context(&self) -> Result<Context, RegistryError> {
        context(self.context)
    }
}

/// The id of the payload or of the subject; one in both must agree.
pub fn agreed_id<'a>(
    id: Option<Cow<'a, str>>,
    subject_id: Option<&'a str>,
) -> Result<Option<Cow<'a, str>>, RegistryError> {
    match (id, subject_id) {
        (Some(id), Some(subject_id)) if id != subject_id => {
            let rule = "differs from the id in the subject";
            Err(RegistryError::field("id", rule))
        }
        (id, subject_id) => Ok(subject_id.map(Cow::from).or(id)),
    }
}

/// The payload as an object: an empty payload is an empty object, and a bare text is the value of
/// `bare`.
///
/// # Errors
/// It is not UTF-8.
pub fn as_object<'a>(payload: &'a [u8], bare: &str) -> Result<Cow<'a, [u8]>, RegistryError> {
    let payload = payload.trim_ascii();
    match payload.first() {
        None => Ok(Cow::Borrowed(b"{}")),
        Some(b'{') => Ok(Cow::Borrowed(payload)),
        Some(_) => {
            let object = serde_json::json!({ bare: bare_id(payload)? });
            Ok(Cow::Owned(object.to_string().into_bytes()))
        }
    }
}

/// A payload that is nothing but an id.
fn bare_id(payload: &[u8]) -> Result<&str, RegistryError> {
    std::str::from_utf8(payload).map_err(|_| malformed("the payload is not UTF-8"))
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
