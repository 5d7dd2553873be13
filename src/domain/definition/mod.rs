//! The definition of an extension as a list of fields: what files say, what is compared and what is
//! shown to people. Not in it: what the machine decides (`auto_disabled`), revisions and times.
//!
//! Whoever goes through fields by name takes the lists here. Statements that write rows need typed
//! columns, and have lists of their own. Each list takes its record apart by every field, so that a
//! new field cannot be forgotten in any of them.

mod difference;
mod json;
mod warnings;

pub use difference::{Difference, differences, same};
pub use json::{JsonField, json_fields};
pub use warnings::{ignored, warnings};

use super::extension::{Extension, Instance, Version};
use super::ids::ExtensionId;
use super::json::JsonObject;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Nothing: the default, or for a version the extension's own.
    Unset,
    /// A text.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// Yes or no.
    Switch(bool),
    /// A JSON object.
    Json(&'a JsonObject),
    /// Ids, in order of preference.
    Ids(&'a [ExtensionId]),
}

/// A field by its name in files.
pub type Field<'a> = (&'static str, Value<'a>);

/// The extension's own fields, in the order in which files have them.
pub fn own(extension: &Extension) -> [Field<'_>; 13] {
    let Extension {
        id,
        kind,
        subject,
        timeout_ms,
        retry,
        enabled,
        auto_disabled: _,
        version,
        config,
        metadata,
        fallback,
        routing_rules,
        rollout,
        circuit_breaker,
        versions: _,
        instances: _,
        revision: _,
        incarnation: _,
        digest: _,
        provenance: _,
        cuts: _,
    } = extension;
    let fallback = match fallback.as_slice() {
        [] => Value::Unset,
        ids => Value::Ids(ids),
    };
    [
        ("id", Value::Text(id.as_str())),
        ("type", Value::Text(kind.as_str())),
        ("subject", Value::Text(subject.as_str())),
        ("timeout_ms", Value::Number(i64::from(*timeout_ms))),
        ("retry", Value::Number(i64::from(*retry))),
        ("enabled", Value::Switch(*enabled)),
        ("version", Value::Text(version.as_str())),
        ("config", unless_empty(config)),
        ("metadata", unless_empty(metadata)),
        ("fallback", fallback),
        (
            "routing_rules",
            object(routing_rules.as_ref().map(|it| it.source())),
        ),
        ("rollout", object(rollout.as_ref().map(|it| it.source()))),
        ("circuit_breaker", object(circuit_breaker.as_ref())),
    ]
}

/// The fields of a version.
pub fn version(version: &Version) -> [Field<'_>; 10] {
    let Version {
        version,
        subject,
        timeout_ms,
        retry,
        config,
        metadata,
        routing_rules,
        rollout,
        priority,
        enabled,
        provenance: _,
        cuts: _,
    } = version;
    [
        ("version", Value::Text(version.as_str())),
        ("subject", Value::Text(subject.as_str())),
        ("timeout_ms", number(*timeout_ms)),
        ("retry", number(*retry)),
        ("config", object(config.as_ref())),
        ("metadata", object(metadata.as_ref())),
        (
            "routing_rules",
            object(routing_rules.as_ref().map(|it| it.source())),
        ),
        ("rollout", object(rollout.as_ref().map(|it| it.source()))),
        ("priority", Value::Number(i64::from(*priority))),
        ("enabled", Value::Switch(*enabled)),
    ]
}

/// The fields of an instance.
pub fn instance(instance: &Instance) -> [Field<'_>; 5] {
    let Instance {
        instance_id,
        version,
        subject,
        weight,
        enabled,
    } = instance;
    [
        ("instance_id", Value::Text(instance_id.as_str())),
        ("version", Value::Text(version.as_str())),
        ("subject", Value::Text(subject.as_str())),
        ("weight", Value::Number(i64::from(*weight))),
        ("enabled", Value::Switch(*enabled)),
    ]
}

/// How many bytes of JSON it holds, parts included.
pub fn json_bytes(extension: &Extension) -> usize {
    fn bytes(fields: &[Field<'_>]) -> usize {
        let sizes = fields.iter().map(|(_, value)| match value {
            Value::Json(json) => json.as_str().len(),
            _ => 0,
        });
        sizes.sum()
    }
    let versions = extension.versions.iter().map(|it| bytes(&version(it)));
    bytes(&own(extension)) + versions.sum::<usize>()
}

/// An extension's own `{}` and nothing mean the same, a version's do not.
fn unless_empty(json: &JsonObject) -> Value<'_> {
    match json.raw() {
        None => Value::Unset,
        Some(_) => Value::Json(json),
    }
}

fn object(json: Option<&JsonObject>) -> Value<'_> {
    json.map_or(Value::Unset, Value::Json)
}

fn number(value: Option<u32>) -> Value<'static> {
    value.map_or(Value::Unset, |value| Value::Number(i64::from(value)))
}

#[cfg(test)]
mod tests;
