//! Who changed what, newest first.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{time, to_bytes};
use crate::service::definitions::AuditEntry;

#[derive(Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(super) struct Audit<'a> {
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

/// Room for the names, numbers and short texts of an entry.
const ENTRY_BYTES: usize = 400;
/// Room for everything around the entries, headers included.
const ENVELOPE_BYTES: usize = 512;

/// A page of entries, shortened to fit `max_bytes`; `more` says that there are others after them.
pub fn audit(entries: &[AuditEntry], more: bool, max_bytes: usize) -> Bytes {
    let mut room = max_bytes.saturating_sub(ENVELOPE_BYTES);
    let fits = entries.iter().take_while(|entry| {
        let fits = room.checked_sub(bytes(entry));
        room = fits.unwrap_or(0);
        fits.is_some()
    });
    let mut shown: Vec<_> = fits.map(body).collect();
    if shown.is_empty() {
        // An entry larger than a reply: shown without what changed, rather than for ever in the way.
        shown.extend(entries.first().map(|entry| EntryBody {
            changes: None,
            ..body(entry)
        }));
    }
    // A number below 1 is none that `before` takes: the database gives none out.
    let next = shown.last().and_then(|entry| u64::try_from(entry.id).ok());
    let next = next.filter(|id| *id > 0 && (more || shown.len() < entries.len()));
    to_bytes(&Audit {
        entries: shown,
        next,
    })
}

/// At most so many bytes in a reply. A name by plain SQL may need escapes.
fn bytes(entry: &AuditEntry) -> usize {
    let changes = entry.changes.as_ref();
    let changes = changes.map_or(0, |changes| changes.get().len());
    let by = entry.changed_by.as_ref().map_or(0, |name| name.len());
    changes + entry.extension_id.len() + 2 * by + ENTRY_BYTES
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
