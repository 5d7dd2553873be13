//! What was checked, written out again: every field with its final value.

use super::{Fields, Record, Value};
use crate::domain::extension::{Extension, Instance, Version};
use crate::domain::json::JsonObject;
use crate::domain::rollout::Rollout;
use crate::domain::rules::Rules;

/// The whole definition of an extension: all but what the daemon decides.
pub fn record(extension: &Extension) -> Record<'_> {
    Record {
        own: self::extension(extension).without("auto_disabled"),
        versions: extension.versions.iter().map(version).collect(),
        instances: extension.instances.iter().map(instance).collect(),
    }
}

/// The extension's own fields.
pub fn extension(it: &Extension) -> Fields<'_> {
    let ids: Vec<_> = it.fallback.iter().map(|id| id.as_str()).collect();
    let fallback = (!ids.is_empty()).then(|| serde_json::Value::from(ids).to_string());
    let fallback = fallback.map_or(Value::Unset, |json| Value::Json(json.into()));
    let rules = it.routing_rules.as_deref().map(Rules::source);
    let rollout = it.rollout.as_deref().map(Rollout::source);
    Fields(vec![
        ("id", text(it.id.as_str())),
        ("type", text(it.kind.as_str())),
        ("subject", text(it.subject.as_str())),
        ("timeout_ms", Value::Number(it.timeout_ms.into())),
        ("retry", Value::Number(it.retry.into())),
        ("enabled", Value::Switch(it.enabled)),
        ("auto_disabled", Value::Switch(it.auto_disabled)),
        ("version", text(it.version.as_str())),
        ("owner", Value::text(it.owner.as_deref())),
        ("config", object(Some(&it.config))),
        ("metadata", object(Some(&it.metadata))),
        ("fallback", fallback),
        ("routing_rules", object(rules)),
        ("rollout", object(rollout)),
        ("circuit_breaker", object(it.circuit_breaker.as_deref())),
    ])
}

/// The fields of a version.
pub fn version(it: &Version) -> Fields<'_> {
    let rules = it.routing_rules.as_deref().map(Rules::source);
    let rollout = it.rollout.as_deref().map(Rollout::source);
    Fields(vec![
        ("version", text(it.version.as_str())),
        ("subject", text(it.subject.as_str())),
        ("timeout_ms", Value::number(it.timeout_ms)),
        ("retry", Value::number(it.retry)),
        ("config", object(it.config.as_ref())),
        ("metadata", object(it.metadata.as_ref())),
        ("routing_rules", object(rules)),
        ("rollout", object(rollout)),
        ("priority", Value::Number(it.priority.into())),
        ("enabled", Value::Switch(it.enabled)),
    ])
}

/// The fields of an instance.
pub fn instance(it: &Instance) -> Fields<'_> {
    Fields(vec![
        ("instance_id", text(it.instance_id.as_str())),
        ("version", text(it.version.as_str())),
        ("subject", text(it.subject.as_str())),
        ("weight", Value::Number(it.weight.into())),
        ("enabled", Value::Switch(it.enabled)),
    ])
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn object(json: Option<&JsonObject>) -> Value<'_> {
    json.map_or(Value::Unset, |json| Value::Json(json.as_str().into()))
}
