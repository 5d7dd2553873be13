//! What a record holds that is not served as written.

use super::{Value, extension, version};
use crate::domain::call_rules::CallRules;
use crate::domain::extension::Extension;
use crate::domain::json::JsonObject;
use crate::domain::metadata::OwnLimits;

/// The fields of a version that count for nothing in a row that names the current version.
const OWN: [&str; 5] = ["subject", "timeout_ms", "retry", "config", "metadata"];

/// Everything of it that readers should know: what was cut to a limit, what is ignored.
pub fn warnings(extension: &Extension) -> Vec<String> {
    extension.all_cuts().chain(ignored(extension)).collect()
}

/// What of it is ignored.
pub fn ignored(it: &Extension) -> Vec<String> {
    let own = unreadable(&it.metadata);
    // Of a row that names the current version, `metadata` counts for nothing.
    let others = it.versions.iter().filter(|row| row.version != it.version);
    let others = others.flat_map(|row| {
        let faults = row.metadata.iter().flat_map(unreadable);
        let limits = row.metadata.as_ref();
        let limits = limits.map(|row| without_effect(&it.metadata, row));
        let faults = faults.chain(limits.unwrap_or_default());
        faults.map(|fault| format!("version {}: {fault}", row.version))
    });
    let current = row_of_current(it).into_iter();
    current.chain(own).chain(others).collect()
}

/// The settings of calls in `metadata` that cannot be read.
fn unreadable(metadata: &JsonObject) -> Vec<String> {
    let faults = CallRules::read(metadata).1.into_iter();
    let faults = faults.map(|fault| format!("metadata: {fault}; the default applies"));
    faults.collect()
}

/// The limits in the `metadata` of a version that are not the extension's own, which hold for all
/// versions.
fn without_effect(own: &JsonObject, row: &JsonObject) -> Vec<String> {
    // One that cannot be read is a fault of the record.
    let [own, row] = [own, row].map(|it| OwnLimits::read(it).unwrap_or_default().named());
    let both = row.into_iter().zip(own);
    let differ = both.filter(|((_, row), (_, own))| row.is_some() && row != own);
    let keys = differ.map(|((key, _), _)| key);
    keys.map(|key| format!("metadata: `{key}` has no effect: limits are the extension's"))
        .collect()
}

/// A row that names the current version has rules, rollout and `enabled` to add. Fields in which it
/// differs from the extension count for nothing; their author meant something by them.
fn row_of_current(it: &Extension) -> Option<String> {
    let row = it.versions.iter().find(|row| row.version == it.version)?;
    let (own, fields) = (extension(it), version(row));
    let differs = |name: &&str| {
        let value = fields.get(name);
        *value != Value::Unset && value != own.get(name)
    };
    let mut named: Vec<_> = OWN.into_iter().filter(differs).collect();
    if row.priority != 0 {
        named.push("priority");
    }
    (!named.is_empty()).then(|| {
        format!(
            "version row {} differs from the extension in {}: it names the current version, so \
             only its rules, rollout and enabled count",
            row.version,
            named.join(", ")
        )
    })
}
