//! Payloads of requests over NATS: an object, a bare id, or nothing where the subject says it all.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::documents::request::{Freshness, malformed};
pub use crate::documents::request::{object, optional_object};
use crate::domain::context::{Context, Scalar};
use crate::service::error::RegistryError;

/// The arguments of a verb that is about one extension.
#[derive(Debug, Default, Deserialize)]
pub struct IdArguments<'a> {
    /// The id.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    /// Many ids, where the verb takes them.
    #[serde(borrow)]
    pub ids: Option<Vec<Cow<'a, str>>>,
    /// A version to use whatever the rules say.
    #[serde(borrow)]
    pub version: Option<Cow<'a, str>>,
    /// What the request says about itself.
    context: Option<Map<String, Value>>,
    /// The revision the answer must have seen.
    pub min_revision: Option<u64>,
    /// How long to wait for it, in milliseconds.
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
    pub fn take_context(&mut self) -> Context {
        let fields = self.context.take().unwrap_or_default();
        fields
            .into_iter()
            .filter_map(|(key, value)| Some((key, Scalar::from_json(&value)?)))
            .collect()
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

/// A payload that is nothing but an id.
pub fn bare_id(payload: &[u8]) -> Result<&str, RegistryError> {
    std::str::from_utf8(payload).map_err(|_| malformed("the payload is not UTF-8"))
}

/// The arguments of `circuit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitArguments {
    /// The extension.
    pub id: Option<String>,
    /// The version; without one, the current.
    pub version: Option<String>,
    /// What to do.
    pub action: Option<CircuitAction>,
    /// For how long, in seconds; without it until the next order.
    pub ttl_seconds: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// Who asks, where neither the subject nor a header says so.
    pub actor: Option<String>,
}

/// What can be done to a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "named after what they do")]
pub enum CircuitAction {
    Open,
    Close,
    Reset,
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
