//! Records for tests, in one line each: valid, plain, with public fields to change.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::breaker::Settings;
use super::catalog::{ActiveSource, Change};
use super::context::Context;
use super::entry::{Entry, PreparedReply};
use super::extension::{Extension, Instance, Version};
use super::json::members;
use super::policy::Policy;
use super::quarantine::{Fault, FaultyExtension, Quarantine};
use super::record::{EXTENSION, Field, Fields, Gate, INSTANCE, VERSION};
use super::rollout::Rollout;
use super::routing::Resolved;
use super::rules::Rules;
use super::subject::SubjectPattern;

/// The policy of a daemon with default settings.
pub(crate) fn policy() -> Policy {
    Policy {
        allowed_subjects: ["beamline.ext.>", "beamline.provider.>"]
            .map(|pattern| SubjectPattern::parse(pattern).unwrap())
            .into(),
        forbidden_prefixes: ["$", "_INBOX.", "beamline.registry."]
            .map(str::to_owned)
            .into(),
        max_timeout_ms: 120_000,
        max_retries: 10,
    }
}

/// The circuit breaker of a daemon with default settings.
pub(crate) const BREAKER: Settings = Settings {
    enabled: true,
    failure_threshold: 5,
    error_rate_threshold: 0.5,
    window: Duration::from_secs(60),
    minimum_requests: 20,
    slow_calls: None,
    open_time: Duration::from_secs(60),
    max_open_time: Duration::from_secs(600),
    half_open_max_requests: 3,
    trial_limit: Duration::from_secs(120),
};

/// The fields in `table` from the JSON object `json`.
pub(crate) fn said(table: &'static [Field], json: &str) -> Fields<'static> {
    let members = members(json).unwrap();
    let members = members.map(|member| (member.key.unwrap(), member.value));
    Fields::read(table, members).into_owned()
}

/// An extension of type `pre`, with more fields from `json`.
pub(crate) fn extension_with(id: &str, json: &str) -> Extension {
    let plain = format!(r#"{{"id":"{id}","type":"pre","subject":"beamline.ext.current"}}"#);
    let fields = said(EXTENSION, &plain).with(&said(EXTENSION, json));
    Gate::of(&policy()).extension(&fields).unwrap()
}

/// An enabled extension of type `pre` at version `v1`, without rules.
pub(crate) fn extension(id: &str) -> Extension {
    extension_with(id, "{}")
}

/// An enabled version, with more fields from `json`.
pub(crate) fn version_with(name: &str, json: &str) -> Version {
    let plain =
        format!(r#"{{"version":"{name}","subject":"beamline.ext.version","enabled":true}}"#);
    let fields = said(VERSION, &plain).with(&said(VERSION, json));
    Gate::of(&policy()).version(&fields, "").unwrap()
}

/// An enabled version without rules.
pub(crate) fn version(name: &str) -> Version {
    version_with(name, "{}")
}

/// An enabled instance of `v1`.
pub(crate) fn instance(name: &str) -> Instance {
    let json = format!(r#"{{"instance_id":"{name}","subject":"beamline.ext.instance"}}"#);
    let fields = said(INSTANCE, &json);
    Gate::of(&policy()).instance(&fields, "v1").unwrap()
}

/// Parsed routing rules.
pub(crate) fn rules(json: &str) -> Option<Box<Rules>> {
    Some(Box::new(Rules::parse(json).unwrap()))
}

/// A rollout by `tenant_id`.
pub(crate) fn rollout(percent: u32) -> Option<Box<Rollout>> {
    let json = format!(r#"{{"by":"tenant_id","percent":{percent}}}"#);
    Some(Box::new(Rollout::parse(&json).unwrap()))
}

/// The context that a request with this JSON object has.
pub(crate) fn context(json: &str) -> Context {
    Context::read(serde_json::from_str(json).unwrap()).unwrap()
}

/// A reply that consists of the name of the version.
pub(crate) fn prepare(resolved: &Resolved<'_>) -> PreparedReply {
    let bytes = Bytes::copy_from_slice(resolved.version.as_str().as_bytes());
    let state_at = bytes.len();
    PreparedReply { bytes, state_at }
}

/// An entry with replies made by [`prepare`].
pub(crate) fn entry(extension: Extension) -> Arc<Entry> {
    Arc::new(Entry::new(extension, &prepare))
}

/// A change of a database to `revision` that does nothing else yet.
pub(crate) fn change(revision: u64) -> Change {
    Change {
        upserts: Vec::new(),
        removals: Vec::new(),
        quarantine: Quarantine::default(),
        source: ActiveSource::Database,
        epoch: Some("epoch".into()),
        revision,
    }
}

/// The fault of an extension's own row; all its rows have `digest` and are not served.
pub(crate) fn fault(id: &str, digest: u64) -> Fault {
    Fault {
        origin: format!("extensions/{id}"),
        reason: "`subject` is empty".into(),
        extension: Some(FaultyExtension {
            id: id.into(),
            unserved_digest: Some(digest),
        }),
    }
}
