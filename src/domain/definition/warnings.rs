//! What a record says and is not served as it says.

use super::{Field, Value, own, version};
use crate::domain::extension::Extension;

/// The fields of a version that count for nothing in a row that names the current version.
const OWN: [&str; 5] = ["subject", "timeout_ms", "retry", "config", "metadata"];

/// Everything of it that readers should know: what was cut to a limit, what is ignored.
pub fn warnings(extension: &Extension) -> Vec<String> {
    extension.all_cuts().chain(ignored(extension)).collect()
}

/// A row that names the current version has rules, rollout and `enabled` to add. Fields in which it
/// differs from the extension count for nothing; whoever wrote them meant something by it.
pub fn ignored(extension: &Extension) -> Option<String> {
    let mut rows = extension.versions.iter();
    let row = rows.find(|row| row.version == extension.version)?;
    let extensions: &[Field<'_>] = &own(extension);
    let differs = |(name, value): &Field<'_>| {
        let theirs = extensions.iter().find(|(other, _)| other == name);
        OWN.contains(name)
            && *value != Value::Unset
            && theirs.is_some_and(|(_, theirs)| !alike(*value, *theirs))
    };
    let fields = version(row);
    let mut named: Vec<_> = fields
        .iter()
        .filter(|field| differs(field))
        .map(|(name, _)| *name)
        .collect();
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

/// An empty object is what an extension without one has.
fn alike(row: Value<'_>, own: Value<'_>) -> bool {
    match (row, own) {
        (Value::Json(json), Value::Unset) => json.raw().is_none(),
        (row, own) => row == own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::draft::VersionDraft;
    use crate::domain::json::JsonObject;
    use crate::domain::testing::{extension, policy};

    /// What is said of an extension whose current version has this row.
    fn of(row: VersionDraft<'_>) -> Option<String> {
        let mut extension = extension("a");
        extension.config = JsonObject::parse(r#"{"a":1}"#).unwrap();
        extension.versions.push(row.check(&policy()).unwrap());
        ignored(&extension)
    }

    fn row() -> VersionDraft<'static> {
        VersionDraft {
            version: "v1",
            subject: "beamline.ext.current",
            ..VersionDraft::default()
        }
    }

    #[test]
    fn what_is_set_in_the_row_of_the_current_version_and_differs_is_named() {
        let differing = VersionDraft {
            subject: "beamline.ext.other",
            timeout_ms: Some(7),
            retry: Some(1),
            config: Some("{}"),
            metadata: Some("{}"),
            priority: Some(3),
            ..row()
        };
        assert_eq!(
            of(differing).as_deref(),
            Some(
                "version row v1 differs from the extension in subject, timeout_ms, config, \
                 priority: it names the current version, so only its rules, rollout and enabled \
                 count"
            )
        );
    }

    #[test]
    fn what_is_the_same_or_not_set_or_of_another_version_is_nothing_to_say() {
        let same = VersionDraft {
            timeout_ms: Some(5000),
            config: Some(r#"{"a":1}"#),
            metadata: Some("null"),
            routing_rules: Some(r#"{"tenant_id":"acme"}"#),
            ..row()
        };
        let other = VersionDraft {
            version: "v2",
            timeout_ms: Some(7),
            ..row()
        };
        for quiet in [row(), same, other] {
            assert_eq!(of(quiet), None);
        }
    }
}
