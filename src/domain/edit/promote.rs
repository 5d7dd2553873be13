//! Promotion: another version becomes the current one.
//!
//! The promoted row's fields move into the extension and the row goes; what the extension had is
//! kept in a row of the version that was current, disabled, with every field written out: promoting
//! it again is the rollback, whatever was changed since. Rules and rollout of the extension itself
//! stay: they say who gets the extension at all. Those of the promoted row said who was to try it;
//! they are out of force, and come back with the row, as do its nulls, when it is replaced: there
//! and back again, nothing has changed.

use super::columns::ExtensionColumns;
use super::plan::{EditError, Plan, Step};
use super::size;
use super::stored::{ExtensionFields, StoredRecord, VersionFields};
use crate::domain::ids::VersionName;
use crate::domain::policy::Policy;

/// The name of a promotion in the audit.
const ACTION: &str = "promoted";

/// Decides how `version` becomes the current one.
pub(super) fn plan(
    stored: &StoredRecord,
    version: &VersionName,
    policy: &Policy,
) -> Result<Plan, EditError> {
    let mut steps = Vec::new();
    if stored.runs(version) {
        return Ok(Plan {
            action: None,
            steps,
        });
    }
    let rows = &stored.versions;
    let promoted = rows.iter().find(|row| row.version == version.as_str());
    let promoted = promoted.ok_or_else(|| EditError::VersionNotFound(version.clone()))?;
    let current = stored.current()?;

    let extension = promote(&stored.extension, promoted);
    extension
        .draft()
        .check(policy)
        .map_err(EditError::Invalid)?;
    let known = [version.as_str(), current.as_str()];
    let others = rows
        .iter()
        .filter(|row| !known.contains(&row.version.as_str()));
    let mut after = StoredRecord {
        extension,
        versions: others.clone().cloned().collect(),
        ..stored.clone()
    };
    after.versions.push(kept(&stored.extension, &current));
    size::bounded(Some(stored), &after)?;

    // Before the version is another: instances without one were meant for what was current.
    steps.push(Step::FillInstances(current.clone()));
    steps.push(Step::KeepCurrent);
    steps.push(Step::Update(Box::new(ExtensionColumns::promoted(promoted))));
    steps.push(Step::Remember(version.clone()));
    steps.push(Step::DeleteVersion(version.clone()));
    for row in others {
        if row.enabled == Some(true) && !conditional(row) {
            steps.push(Step::DisableVersion(row.version.clone()));
        }
    }
    Ok(Plan {
        action: Some(ACTION),
        steps,
    })
}

/// The extension with the fields of the version where that has its own.
fn promote(own: &ExtensionFields, version: &VersionFields) -> ExtensionFields {
    ExtensionFields {
        subject: version.subject.clone(),
        version: Some(version.version.clone()),
        timeout_ms: version.timeout_ms.or(own.timeout_ms),
        retry: version.retry.or(own.retry),
        config: version.config.clone().or_else(|| own.config.clone()),
        metadata: version.metadata.clone().or_else(|| own.metadata.clone()),
        ..own.clone()
    }
}

/// What is kept of the current version, for the size of the result.
fn kept(own: &ExtensionFields, current: &VersionName) -> VersionFields {
    VersionFields {
        version: current.to_string(),
        subject: own.subject.clone(),
        config: own.config.clone(),
        metadata: own.metadata.clone(),
        ..VersionFields::default()
    }
}

/// Whether it is for some requests only.
fn conditional(row: &VersionFields) -> bool {
    let given = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim);
        text.is_some_and(|text| text != "null" && text != "{}")
    };
    given(&row.routing_rules) || given(&row.rollout)
}
