//! Changes of extensions, published once per fleet: names of fields, never values.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Event, event};
use crate::domain::ids::ExtensionId;
use crate::service::health_store::{Change, MAX_CHANGES, RevisionChanges};

/// `data` of an event of one extension that changed.
#[derive(Serialize, ToSchema)]
pub(in crate::documents) struct ExtensionChanged<'a> {
    id: &'a str,
    revision: u64,
    /// Its actor.
    changed_by: Option<&'a str>,
    /// Changes of the revision, this one included.
    total: u64,
    /// The names of the fields that changed; none where all of the extension is new or gone.
    #[schema(value_type = Vec<String>)]
    changed: &'a [Box<str>],
    /// Of an automatic change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    reason: Option<&'a RawValue>,
}

/// Of a revision with more changes than are published one by one.
#[derive(Serialize, ToSchema)]
pub(in crate::documents) struct ManyChanged<'a> {
    revision: u64,
    changed_by: Option<&'a str>,
    total: u64,
    added: u64,
    updated: u64,
    removed: u64,
    /// The first of them.
    ids: Vec<&'a str>,
}

/// The events of one revision, published by `instance_id` for the fleet: the n-th is
/// `<epoch>-<revision>-<n>`, from any publisher, with the time of the change. An id that breaks the
/// rules of ids has no event, as it has no place in a subject; such a row is quarantined.
pub fn change_events(instance_id: &str, epoch: &str, changes: &RevisionChanges) -> Vec<Event> {
    let (revision, at) = (changes.revision, changes.at);
    if usize::try_from(changes.total).is_ok_and(|total| total > MAX_CHANGES) {
        let (id, data) = (format!("{epoch}-{revision}-1"), ManyChanged::of(changes));
        return vec![event(instance_id, id, "registry_reloaded", None, at, data)];
    }
    let numbered = (1..).zip(&changes.changes);
    let published = numbered.filter(|(_, change)| ExtensionId::parse(&change.extension).is_ok());
    let events = published.map(|(number, change)| {
        let id = format!("{epoch}-{revision}-{number}");
        let subject = Some(&*change.extension);
        let data = ExtensionChanged::new(change, changes);
        event(instance_id, id, change.kind.as_str(), subject, at, data)
    });
    events.collect()
}

impl<'a> ExtensionChanged<'a> {
    fn new(change: &'a Change, all: &'a RevisionChanges) -> Self {
        let reason = change.reason.as_deref();
        Self {
            id: &change.extension,
            revision: all.revision,
            changed_by: all.changed_by.as_deref(),
            total: all.total,
            changed: &change.fields,
            reason: reason.and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

impl<'a> ManyChanged<'a> {
    fn of(all: &'a RevisionChanges) -> Self {
        let ids = all.changes.iter().map(|change| &*change.extension);
        Self {
            revision: all.revision,
            changed_by: all.changed_by.as_deref(),
            total: all.total,
            added: all.created,
            updated: all.total.saturating_sub(all.created + all.deleted),
            removed: all.deleted,
            ids: ids.filter(|id| ExtensionId::parse(id).is_ok()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Value, json};

    use super::*;
    use crate::service::health_store::ChangeKind;

    fn change(extension: &str, kind: ChangeKind, fields: &[&str], reason: Option<&str>) -> Change {
        Change {
            extension: extension.into(),
            kind,
            fields: fields.iter().map(|field| Box::from(*field)).collect(),
            reason: reason.map(Box::from),
        }
    }

    #[test]
    fn events_have_the_same_id_whoever_publishes_them() {
        let changes = RevisionChanges {
            revision: 7,
            at: UNIX_EPOCH.checked_add(Duration::from_secs(1)),
            total: 3,
            created: 1,
            deleted: 1,
            changed_by: Some("alice".into()),
            changes: vec![
                change("a", ChangeKind::Created, &[], None),
                change("no id *", ChangeKind::Deleted, &[], None),
                change(
                    "b",
                    ChangeKind::AutoDisabled,
                    &["auto_disabled"],
                    Some(r#"{"n": 5}"#),
                ),
            ],
        };
        let told: Vec<_> = change_events("pod-1", "e0", &changes)
            .into_iter()
            .map(|event| {
                let body: Value = serde_json::from_slice(&event.body).unwrap();
                assert_eq!(event.subject.as_deref(), body["subject"].as_str());
                assert_eq!(body["time"], "1970-01-01T00:00:01.000000Z");
                let id = body["id"].as_str().unwrap().to_owned();
                (event.kind, id, body["data"].clone())
            })
            .collect();
        let created = json!({
            "id": "a", "revision": 7, "changed_by": "alice", "total": 3, "changed": []
        });
        let disabled = json!({
            "id": "b", "revision": 7, "changed_by": "alice", "total": 3,
            "changed": ["auto_disabled"], "reason": {"n": 5}
        });
        assert_eq!(
            told,
            [
                ("extension_created", "e0-7-1".to_owned(), created),
                ("auto_disabled", "e0-7-3".to_owned(), disabled),
            ]
        );
    }

    #[test]
    fn more_changes_than_are_told_one_by_one_are_one_event_with_counts_ids_and_who() {
        let ids: Vec<_> = (0..100).map(|n| format!("x{n}")).collect();
        let disabled = |id: &String| change(id, ChangeKind::Disabled, &["enabled"], None);
        let changes = RevisionChanges {
            revision: 7,
            at: None,
            total: 125,
            created: 0,
            deleted: 5,
            changed_by: Some("alice".into()),
            changes: ids.iter().map(disabled).collect(),
        };
        let events = change_events("pod-1", "e0", &changes);
        let [event] = &events[..] else {
            panic!("{events:?}")
        };
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!((event.kind, &*event.id), ("registry_reloaded", "e0-7-1"));
        assert_eq!(
            (&body["id"], event.subject.as_deref()),
            (&json!("e0-7-1"), None)
        );
        let data = json!({
            "revision": 7, "changed_by": "alice", "total": 125, "added": 0, "updated": 120,
            "removed": 5, "ids": ids
        });
        assert_eq!(body["data"], data);
    }
}
