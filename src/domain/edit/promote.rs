//! Promotion: another version becomes the current one.
//!
//! The promoted row's fields move into the extension and the row goes; what the extension had is
//! kept in a row of the version that was current, disabled, with every field written out: promoting
//! it again is the rollback, whatever was changed since. Rules and rollout of the extension itself
//! stay: they decide which requests get the extension at all. The promoted row's decided which
//! requests tried it; they are out of force, and come back with the row, as do its nulls, when it
//! is replaced. A row that named the version while it was current is in force with it again, unless
//! it was changed since: there and back again, nothing has changed.

use super::plan::{EditError, Plan, Step, bounded, current};
use crate::domain::ids::VersionName;
use crate::domain::policy::Policy;
use crate::domain::record::{Fields, Gate, Record, Value};

/// The name of a promotion in the audit.
const ACTION: &str = "promoted";
/// What a version may have of its own, and the extension has else.
const OWN: [&str; 4] = ["timeout_ms", "retry", "config", "metadata"];

/// Decides how `version` becomes the current one.
pub(super) fn plan(
    record: &Record<'static>,
    version: &VersionName,
    policy: &Policy,
) -> Result<Plan, EditError> {
    if record.runs(version) {
        return Ok(Plan::default());
    }
    let promoted = record.version(version.as_str());
    let promoted = promoted.ok_or_else(|| EditError::VersionNotFound(version.clone()))?;
    let current = current(record)?;

    let patch: Fields<'_> = ["version", "subject"]
        .into_iter()
        .chain(OWN)
        .map(|name| (name, promoted.get(name).clone()))
        .filter(|(_, value)| *value != Value::Unset)
        .collect();
    let own = record.own.with(&patch);
    let checked = Gate::of(policy).extension(&own);
    checked.map_err(EditError::Invalid)?;
    let touched = [version.as_str(), current.as_str()];
    let untouched =
        |row: &&Fields<'_>| !row.text("version").is_some_and(|it| touched.contains(&it));
    let others = record.versions.iter().filter(untouched);
    let mut after = Record {
        own,
        versions: others.clone().cloned().collect(),
        instances: record.instances.clone(),
    };
    // What is kept of the current version, for the size of the result.
    let kept = ["config", "metadata"].map(|name| (name, record.own.get(name).clone()));
    after.versions.push(kept.into_iter().collect());
    bounded(Some(record), &after)?;

    // Before the version is another: instances without one were meant for what was current.
    let mut steps = vec![
        Step::FillInstances(current.clone()),
        Step::KeepCurrent,
        Step::Update(patch),
        Step::Remember(version.clone()),
        Step::TakeRow(version.clone()),
    ];
    for row in others {
        if *row.get("enabled") == Value::Switch(true) && !conditional(row) {
            let name = row.text("version").unwrap_or_default();
            steps.push(Step::DisableVersion(name.to_owned()));
        }
    }
    Ok(Plan {
        action: Some(ACTION),
        steps,
    })
}

/// Whether it is for some requests only.
fn conditional(row: &Fields<'_>) -> bool {
    let given = |name| matches!(row.get(name), Value::Json(json) if json.trim_ascii() != "{}");
    given("routing_rules") || given("rollout")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::record::VERSION;

    /// A new field of versions fails here until a promotion either takes it along or leaves it.
    #[test]
    fn each_field_of_a_version_is_taken_along_or_left() {
        let left = ["routing_rules", "rollout", "priority", "enabled"];
        let taken = ["version", "subject"].into_iter().chain(OWN);
        let fields = VERSION.iter().map(|field| field.name);
        assert_eq!(
            BTreeSet::from_iter(taken.chain(left)),
            BTreeSet::from_iter(fields)
        );
    }
}
