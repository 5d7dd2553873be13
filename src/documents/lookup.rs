//! The verb `lookup`: one extension or many, and the records that serve.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::error::ErrorDetails;
use super::page::ENVELOPE_BYTES;
use super::request::{agreed_id, bare_text, context, numbers, object, required};
use super::{raw, to_bytes};
use crate::domain::breaker::CircuitState;
use crate::domain::context::Context;
use crate::domain::entry::PreparedReply;
use crate::domain::extension::Instance;
use crate::domain::quote::quoted;
use crate::domain::routing::Resolved;
use crate::service::error::RegistryError;
use crate::service::lookup::{MAX_IDS, Many};

/// The arguments of `lookup`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = LookupRequest)]
pub struct LookupArguments<'a> {
    /// The id.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub id: Option<Cow<'a, str>>,
    /// Many ids, in place of one.
    #[serde(borrow, default, deserialize_with = "ids")]
    #[schema(value_type = Option<Vec<String>>)]
    pub ids: Option<Vec<Cow<'a, str>>>,
    /// A version to use regardless of the rules.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub version: Option<Cow<'a, str>>,
    /// What rules and rollouts read.
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

/// A list of ids, and of too many no more than show that: each takes several times its bytes.
fn ids<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Vec<Cow<'de, str>>>, D::Error> {
    struct Bounded;
    impl<'de> Visitor<'de> for Bounded {
        type Value = Option<Vec<Cow<'de, str>>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut ids = Vec::new();
            while let Some(id) = list.next_element()? {
                if ids.len() <= MAX_IDS {
                    ids.push(id);
                }
            }
            Ok(Some(ids))
        }
    }
    json.deserialize_any(Bounded)
}

/// The ids that a lookup is about.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// One.
    One(&'a str),
    /// Many, all of one revision.
    Many(Vec<&'a str>),
}

impl<'a> LookupArguments<'a> {
    /// Reads a JSON object, a bare id, or nothing where the subject says it all.
    ///
    /// # Errors
    /// The field at fault; also an id that is not the one in the subject.
    pub fn read(payload: &'a [u8], subject_id: Option<&'a str>) -> Result<Self, RegistryError> {
        let payload = payload.trim_ascii();
        let mut arguments = match payload.first() {
            None => Self::default(),
            Some(b'{') => object(payload)?,
            Some(_) => Self {
                id: Some(bare_text(payload)?.into()),
                ..Self::default()
            },
        };
        arguments.id = agreed_id(arguments.id, subject_id)?;
        Ok(arguments)
    }

    /// The ids.
    ///
    /// # Errors
    /// There is none, there are too many, or one and many are mixed.
    pub fn asked(&self) -> Result<Asked<'_>, RegistryError> {
        let Some(ids) = &self.ids else {
            return required("id", self.id.as_deref()).map(Asked::One);
        };
        if self.id.is_some() {
            return Err(RegistryError::field("ids", "cannot be combined with `id`"));
        }
        if self.version.is_some() {
            return Err(RegistryError::field("version", "needs one `id`"));
        }
        if !(1..=MAX_IDS).contains(&ids.len()) {
            let rule = format!("must have 1 to {MAX_IDS} ids");
            return Err(RegistryError::field("ids", rule));
        }
        Ok(Asked::Many(ids.iter().map(AsRef::as_ref).collect()))
    }

    /// The context, without what no rule can compare.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn context(&self) -> Result<Context, RegistryError> {
        context(self.context)
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct ServedExtension<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    timeout_ms: u32,
    retry: u32,
    enabled: bool,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[schema(value_type = Object)]
    config: &'a RawValue,
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
    fallback: Vec<&'a str>,
    instances: Vec<ServedInstance<'a>>,
    circuit_breaker_state: &'static str,
    revision: u64,
    /// Only in listings: the worst of the versions that take part.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ServedInstance<'a> {
    instance_id: &'a str,
    subject: &'a str,
    weight: u8,
}

/// Makes the reply of one version ready, once, when its record is applied.
pub fn prepare(resolved: &Resolved<'_>) -> PreparedReply {
    let extension = resolved.extension;
    let state = CircuitState::Closed.as_str();
    let bytes = to_bytes(&ServedExtension {
        id: extension.id.as_str(),
        kind: extension.kind.as_str(),
        subject: resolved.subject.as_str(),
        timeout_ms: resolved.timeout_ms,
        retry: resolved.retry,
        enabled: extension.enabled,
        version: resolved.version.as_str(),
        owner: extension.owner.as_deref(),
        config: raw(resolved.config),
        metadata: raw(resolved.metadata),
        fallback: extension.fallback.iter().map(|id| id.as_str()).collect(),
        instances: resolved.instances().map(instance).collect(),
        circuit_breaker_state: state,
        revision: extension.revision,
        state: None,
    });
    // Nothing but digits comes after it, so its last occurrence is the field's value.
    let state_at = bytes
        .windows(state.len())
        .rposition(|word| word == state.as_bytes())
        .unwrap_or(bytes.len());
    PreparedReply { bytes, state_at }
}

fn instance(instance: &Instance) -> ServedInstance<'_> {
    ServedInstance {
        instance_id: instance.instance_id.as_str(),
        subject: instance.subject.as_str(),
        weight: instance.weight,
    }
}

/// What a lookup of many finds, all of one revision.
#[derive(ToSchema)]
#[expect(dead_code, reason = "joined of prepared replies; this says of which")]
pub(super) struct ServedExtensions<'a> {
    extensions: Vec<ServedExtension<'a>>,
    errors: Vec<Miss<'a>>,
    revision: u64,
}

/// An id that was not found, and why.
#[derive(Serialize, ToSchema)]
pub(super) struct Miss<'a> {
    id: &'a str,
    #[serde(flatten)]
    error: ErrorDetails,
}

fn miss(id: &str, error: &RegistryError) -> Bytes {
    to_bytes(&Miss {
        id: &quoted(id),
        error: ErrorDetails::of(error),
    })
}

/// The answer to a lookup of many ids: prepared replies joined, not parsed. A reply for which
/// `max_bytes` have no room is an error of its id.
pub fn many(many: &Many<'_>, max_bytes: usize) -> Bytes {
    let errors = many.errors.iter().map(|(id, error)| miss(id, error));
    let mut errors: Vec<_> = errors.collect();
    let replies = || many.found.iter().map(|(_, reply)| reply);
    let size = ENVELOPE_BYTES + with_commas(&errors) + with_commas(replies());
    if size <= max_bytes {
        return joined(replies(), &errors, many.revision, size);
    }
    let found = fitting(many, &mut errors, max_bytes);
    joined(found, &errors, many.revision, max_bytes)
}

/// The replies for which there is room; the others become errors.
fn fitting<'m>(many: &'m Many<'_>, errors: &mut Vec<Bytes>, max_bytes: usize) -> Vec<&'m Bytes> {
    let too_large = RegistryError::PayloadTooLarge {
        what: "the reply",
        limit_bytes: max_bytes,
    };
    let left_out = many.found.iter().map(|(id, _)| miss(id, &too_large));
    let left_out: Vec<_> = left_out.collect();
    // An error takes room as well: each reply has to leave it for those after it.
    let mut used = ENVELOPE_BYTES + with_commas(&*errors) + with_commas(&left_out);
    let mut found = Vec::with_capacity(many.found.len());
    for ((_, reply), left_out) in many.found.iter().zip(left_out) {
        let instead = (used + reply.len()).saturating_sub(left_out.len());
        if instead <= max_bytes {
            used = instead;
            found.push(reply);
        } else {
            errors.push(left_out);
        }
    }
    found
}

fn with_commas<'a>(documents: impl IntoIterator<Item = &'a Bytes>) -> usize {
    documents.into_iter().map(|it| it.len() + 1).sum()
}

fn joined<'a>(
    found: impl IntoIterator<Item = &'a Bytes>,
    errors: &[Bytes],
    revision: u64,
    size: usize,
) -> Bytes {
    let mut body = Vec::with_capacity(size);
    body.extend_from_slice(br#"{"extensions":"#);
    join(&mut body, found);
    body.extend_from_slice(br#","errors":"#);
    join(&mut body, errors);
    body.extend_from_slice(br#","revision":"#);
    body.extend_from_slice(revision.to_string().as_bytes());
    body.push(b'}');
    body.into()
}

/// Appends a JSON list of documents that are JSON text already.
pub(super) fn join<'a>(body: &mut Vec<u8>, documents: impl IntoIterator<Item = &'a Bytes>) {
    body.push(b'[');
    for (i, document) in documents.into_iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(document);
    }
    body.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_beyond_those_that_are_too_many_are_not_kept() {
        for (given, kept) in [(1, 1), (MAX_IDS, MAX_IDS), (100_000, MAX_IDS + 1)] {
            let payload = format!(r#"{{"ids":[{}]}}"#, vec![r#""a""#; given].join(","));
            let arguments = LookupArguments::read(payload.as_bytes(), None).unwrap();
            assert_eq!(arguments.ids.as_ref().map(Vec::len), Some(kept));
            assert_eq!(arguments.asked().is_ok(), given <= MAX_IDS);
        }
        let none = LookupArguments::read(br#"{"id":"a","ids":null}"#, None).unwrap();
        assert_eq!(none.asked(), Ok(Asked::One("a")));
        for ids in ["{}", "1", r#""a""#, "[1]"] {
            let payload = format!(r#"{{"ids":{ids}}}"#);
            let error = LookupArguments::read(payload.as_bytes(), None).unwrap_err();
            assert_eq!(error.number(), 400, "{ids}");
        }
    }
}
