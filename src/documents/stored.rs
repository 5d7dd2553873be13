//! The stored record of an extension, as `get` answers it.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{raw, time, to_bytes};
use crate::domain::definition::warnings;
use crate::domain::extension::{Extension, Instance, Version};

#[derive(Serialize, ToSchema)]
#[schema(as = Extension)]
pub(super) struct Stored<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    timeout_ms: u32,
    retry: u32,
    enabled: bool,
    auto_disabled: bool,
    version: &'a str,
    #[schema(value_type = Object)]
    config: &'a RawValue,
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
    fallback: Vec<&'a str>,
    #[schema(value_type = Option<Object>)]
    routing_rules: Option<&'a RawValue>,
    #[schema(value_type = Option<Object>)]
    rollout: Option<&'a RawValue>,
    #[schema(value_type = Option<Object>)]
    circuit_breaker: Option<&'a RawValue>,
    versions: Vec<StoredVersion<'a>>,
    instances: Vec<StoredInstance<'a>>,
    revision: u64,
    #[schema(format = DateTime)]
    created_at: Option<String>,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    created_by: Option<&'a str>,
    updated_by: Option<&'a str>,
    /// What the record says and is not served as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExtensionVersion)]
pub(super) struct StoredVersion<'a> {
    version: &'a str,
    subject: &'a str,
    timeout_ms: Option<u32>,
    retry: Option<u32>,
    #[schema(value_type = Option<Object>)]
    config: Option<&'a RawValue>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    #[schema(value_type = Option<Object>)]
    routing_rules: Option<&'a RawValue>,
    #[schema(value_type = Option<Object>)]
    rollout: Option<&'a RawValue>,
    priority: i32,
    enabled: bool,
    #[schema(format = DateTime)]
    created_at: Option<String>,
    created_by: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExtensionInstance)]
pub(super) struct StoredInstance<'a> {
    instance_id: &'a str,
    version: &'a str,
    subject: &'a str,
    weight: u8,
    enabled: bool,
}

/// The record with its versions and instances, as stored.
pub fn stored(extension: &Extension) -> Bytes {
    let provenance = &extension.provenance;
    to_bytes(&Stored {
        id: extension.id.as_str(),
        kind: extension.kind.as_str(),
        subject: extension.subject.as_str(),
        timeout_ms: extension.timeout_ms,
        retry: extension.retry,
        enabled: extension.enabled,
        auto_disabled: extension.auto_disabled,
        version: extension.version.as_str(),
        config: raw(&extension.config),
        metadata: raw(&extension.metadata),
        fallback: extension.fallback.iter().map(|id| id.as_str()).collect(),
        routing_rules: extension
            .routing_rules
            .as_ref()
            .map(|rules| raw(rules.source())),
        rollout: extension
            .rollout
            .as_ref()
            .map(|rollout| raw(rollout.source())),
        circuit_breaker: extension.circuit_breaker.as_ref().map(raw),
        versions: extension.versions.iter().map(version).collect(),
        instances: extension.instances.iter().map(instance).collect(),
        revision: extension.revision,
        created_at: provenance.created_at.and_then(time),
        updated_at: provenance.updated_at.and_then(time),
        created_by: provenance.created_by.as_deref(),
        updated_by: provenance.updated_by.as_deref(),
        warnings: Some(warnings(extension)).filter(|warnings| !warnings.is_empty()),
    })
}

fn version(version: &Version) -> StoredVersion<'_> {
    StoredVersion {
        version: version.version.as_str(),
        subject: version.subject.as_str(),
        timeout_ms: version.timeout_ms,
        retry: version.retry,
        config: version.config.as_ref().map(raw),
        metadata: version.metadata.as_ref().map(raw),
        routing_rules: version
            .routing_rules
            .as_ref()
            .map(|rules| raw(rules.source())),
        rollout: version
            .rollout
            .as_ref()
            .map(|rollout| raw(rollout.source())),
        priority: version.priority,
        enabled: version.enabled,
        created_at: version.provenance.created_at.and_then(time),
        created_by: version.provenance.created_by.as_deref(),
    }
}

fn instance(instance: &Instance) -> StoredInstance<'_> {
    StoredInstance {
        instance_id: instance.instance_id.as_str(),
        version: instance.version.as_str(),
        subject: instance.subject.as_str(),
        weight: instance.weight,
        enabled: instance.enabled,
    }
}
