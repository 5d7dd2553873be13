//! The audit, newest first.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::{IntoParams, ToSchema};

use super::page::{ENVELOPE_BYTES, Item, fit};
use super::request::id;
use super::request::numbers;
use super::{time, to_bytes};
use crate::domain::moment;
use crate::service::definitions::{ACTIONS, AuditEntry, AuditQuery, When};
use crate::service::error::RegistryError;
use crate::service::read::page_limit;

/// The arguments of `audit`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditArguments {
    /// Only entries of this extension.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$", example = "mask_pii")]
    pub id: Option<String>,
    /// Only what this one changed.
    pub by: Option<String>,
    /// Only this action, as entries have it.
    pub action: Option<String>,
    /// Only from this moment on: in RFC 3339, or an age, as in `1h`.
    pub since: Option<String>,
    /// Only up to this moment, likewise.
    pub until: Option<String>,
    /// The most that are returned.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// Only entries before this one: the `next` of an earlier page.
    #[serde(default, deserialize_with = "numbers::any")]
    pub before: Option<u64>,
}

impl AuditArguments {
    /// The entries that are asked for.
    ///
    /// # Errors
    /// The field at fault.
    pub fn query(&self) -> Result<AuditQuery, RegistryError> {
        Ok(AuditQuery {
            extension: id(self.id.as_deref())?,
            by: self.by.as_deref().map(by).transpose()?,
            action: self.action.as_deref().map(action).transpose()?,
            since: when("since", self.since.as_deref())?,
            until: when("until", self.until.as_deref())?,
            before: self.before,
            limit: page_limit(self.limit),
        })
    }
}

/// A text that an entry can have: the database stores no other.
fn by(text: &str) -> Result<String, RegistryError> {
    match text.contains('\0') {
        true => Err(RegistryError::field("by", "holds the character \\u0000")),
        false => Ok(text.to_owned()),
    }
}

/// Another one is misspelt: an empty page would mean that nobody did it.
fn action(text: &str) -> Result<String, RegistryError> {
    let rule = || format!("must be one of {}", ACTIONS.join(", "));
    match ACTIONS.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(RegistryError::field("action", rule())),
    }
}

fn when(field: &str, text: Option<&str>) -> Result<Option<When>, RegistryError> {
    let Some(text) = text else { return Ok(None) };
    let at = moment::parse(text).map(When::At);
    let when = at.or_else(|| humantime::parse_duration(text).ok().map(When::Ago));
    when.map(Some).ok_or_else(|| {
        let rule = "must be a time in RFC 3339 (2026-11-29T08:00:00Z), or how long ago (1h)";
        RegistryError::field(field, rule)
    })
}

#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "pages are joined from texts; this is for their schema"
)]
pub(super) struct AuditPage<'a> {
    entries: Vec<EntryBody<'a>>,
    next: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryBody<'a> {
    id: i64,
    extension_id: &'a str,
    action: &'a str,
    changed_by: Option<&'a str>,
    actor_source: &'a str,
    #[schema(value_type = Option<Object>)]
    changes: Option<&'a RawValue>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
    revision: Option<u64>,
}

/// A page of entries, shortened to fit `max_bytes`; `more`: there are others after them. An entry
/// larger than a reply is shown without what changed.
///
/// # Errors
/// Not even the first entry fits so.
pub fn audit(entries: &[AuditEntry], more: bool, max_bytes: usize) -> Result<Bytes, RegistryError> {
    let room = max_bytes.saturating_sub(ENVELOPE_BYTES);
    let items = entries.iter().map(|entry| {
        let mut shown = body(entry);
        let mut record = to_bytes(&shown);
        if record.len() >= room {
            shown.changes = None;
            record = to_bytes(&shown);
        }
        Item {
            record,
            name: entry.id.to_string(),
            // A number below 1 is none that `before` takes: the database gives none out.
            cursor: u64::try_from(entry.id).ok().filter(|id| *id > 0),
        }
    });
    fit("entries", items, more, &[], max_bytes)
}

/// The entry for readers who may not see values: of `changes` the names of the fields that differ,
/// none where all of the extension is new or gone.
pub fn without_values(entry: AuditEntry) -> AuditEntry {
    #[derive(Deserialize)]
    struct Changes<'a> {
        #[serde(borrow)]
        old: BTreeMap<String, &'a RawValue>,
        #[serde(borrow)]
        new: BTreeMap<String, &'a RawValue>,
    }
    let changes = entry.changes.as_deref().map_or("", RawValue::get);
    let fields = serde_json::from_str::<Changes<'_>>(changes).ok();
    let fields = fields.map(|Changes { old, new }| {
        let fields: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let value =
            |of: &BTreeMap<String, &RawValue>, field: &str| of.get(field).map(ToString::to_string);
        let differs = |field: &&String| value(&old, field) != value(&new, field);
        to_raw_value(&fields.into_iter().filter(differs).collect::<Vec<_>>())
    });
    AuditEntry {
        changes: fields.and_then(Result::ok),
        ..entry
    }
}

fn body(entry: &AuditEntry) -> EntryBody<'_> {
    EntryBody {
        id: entry.id,
        extension_id: &entry.extension_id,
        action: &entry.action,
        changed_by: entry.changed_by.as_deref(),
        actor_source: &entry.actor_source,
        changes: entry.changes.as_deref(),
        timestamp: entry.timestamp.and_then(time),
        revision: entry.revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(changes: &str) -> AuditEntry {
        AuditEntry {
            id: 1,
            extension_id: "x".into(),
            action: "updated".into(),
            changed_by: None,
            actor_source: "none".into(),
            changes: serde_json::from_str(changes).ok(),
            timestamp: None,
            revision: None,
        }
    }

    #[test]
    fn an_entry_larger_than_a_page_is_shown_without_what_changed() {
        let large = entry(&format!(r#"{{"old":"{}"}}"#, "x".repeat(2000)));
        let shown = |max_bytes| {
            let page = audit(std::slice::from_ref(&large), false, max_bytes).unwrap();
            let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
            assert!(page["omitted"].is_null() && page["next"].is_null());
            page["entries"][0]["changes"].is_object()
        };
        assert!(shown(4000));
        assert!(!shown(2000));
    }

    #[test]
    fn a_text_that_no_entry_can_have_is_a_fault_that_is_named() {
        for (field, known, unknown) in [("by", "alice", "a\0b"), ("action", "updated", "update")] {
            let arguments = |text: &str| {
                let json = serde_json::json!({ field: text }).to_string();
                serde_json::from_str::<AuditArguments>(&json).unwrap()
            };
            assert!(arguments(known).query().is_ok());
            let fault = arguments(unknown).query().unwrap_err();
            assert_eq!(
                fault.details()[0],
                ("field", serde_json::Value::from(field))
            );
        }
    }

    #[test]
    fn names_of_fields_are_all_that_is_left_of_values() {
        for (changes, fields) in [
            (
                r#"{"old":{"config":{"key":"secret"},"retry":1},"new":{"config":{},"retry":1,"owner":"x"}}"#,
                Some(r#"["config","owner"]"#),
            ),
            (r#"{"old":null,"new":{"config":{"key":"secret"}}}"#, None),
            (r#"{"old":{"config":1}}"#, None),
            (r#"["secret"]"#, None),
        ] {
            let shown = without_values(entry(changes)).changes;
            assert_eq!(shown.as_deref().map(RawValue::get), fields, "{changes}");
        }
    }
}
