//! The answer to a lookup.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::error::ErrorBody;
use super::{raw, to_bytes};
use crate::domain::breaker::CircuitState;
use crate::domain::entry::PreparedReply;
use crate::domain::extension::Instance;
use crate::domain::routing::Resolved;
use crate::service::lookup::Many;

#[derive(Serialize, ToSchema)]
#[schema(as = ServedExtension)]
pub(super) struct Record<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    timeout_ms: u32,
    retry: u32,
    enabled: bool,
    version: &'a str,
    #[schema(value_type = Object)]
    config: &'a RawValue,
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
    fallback: Vec<&'a str>,
    instances: Vec<InstanceBody<'a>>,
    circuit_breaker_state: &'static str,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ServedInstance)]
pub(super) struct InstanceBody<'a> {
    instance_id: &'a str,
    subject: &'a str,
    weight: u8,
}

/// Makes the reply of one version ready, once, when its record is applied.
pub fn prepare(resolved: &Resolved<'_>) -> PreparedReply {
    let extension = resolved.extension;
    let state = CircuitState::Closed.as_str();
    let bytes = to_bytes(&Record {
        id: extension.id.as_str(),
        kind: extension.kind.as_str(),
        subject: resolved.subject.as_str(),
        timeout_ms: resolved.timeout_ms,
        retry: resolved.retry,
        enabled: extension.enabled,
        version: resolved.version.as_str(),
        config: raw(resolved.config),
        metadata: raw(resolved.metadata),
        fallback: extension.fallback.iter().map(|id| id.as_str()).collect(),
        instances: resolved.instances().map(instance).collect(),
        circuit_breaker_state: state,
        revision: extension.revision,
    });
    // Nothing but digits comes after it, so its last occurrence is the field's value.
    let state_at = bytes
        .windows(state.len())
        .rposition(|word| word == state.as_bytes())
        .unwrap_or(bytes.len());
    PreparedReply { bytes, state_at }
}

fn instance(instance: &Instance) -> InstanceBody<'_> {
    InstanceBody {
        instance_id: instance.instance_id.as_str(),
        subject: instance.subject.as_str(),
        weight: instance.weight,
    }
}

#[derive(Serialize)]
struct MissBody<'a> {
    id: &'a str,
    #[serde(flatten)]
    error: ErrorBody,
}

/// The answer to a lookup of many ids: prepared replies joined, not parsed.
pub fn many(many: &Many) -> Bytes {
    let errors: Vec<_> = many
        .errors
        .iter()
        .map(|(id, error)| MissBody {
            id,
            error: ErrorBody::of(error),
        })
        .collect();
    let found: usize = many.found.iter().map(|reply| reply.len() + 1).sum();
    let mut body = Vec::with_capacity(found + 64 + errors.len() * 160);
    body.extend_from_slice(br#"{"extensions":"#);
    join(&mut body, &many.found);
    body.extend_from_slice(br#","errors":"#);
    body.extend_from_slice(&to_bytes(&errors));
    body.extend_from_slice(br#","revision":"#);
    body.extend_from_slice(many.revision.to_string().as_bytes());
    body.push(b'}');
    body.into()
}

/// Appends a JSON list of documents that are JSON text already.
pub(super) fn join(body: &mut Vec<u8>, documents: &[Bytes]) {
    body.push(b'[');
    for (i, document) in documents.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(document);
    }
    body.push(b']');
}
