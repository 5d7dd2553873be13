//! The answers to a dry run, and to a change of many.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::stored::stored;
use super::to_bytes;
use crate::service::definitions::{Rehearsal, Switched};

#[derive(Serialize)]
struct Rehearsed<'a> {
    changed: &'a [String],
    record: Option<&'a RawValue>,
}

/// What a change would do.
pub fn rehearsed(rehearsal: &Rehearsal) -> Bytes {
    let record = rehearsal.record.as_ref().map(stored);
    to_bytes(&Rehearsed {
        changed: &rehearsal.changed,
        record: record
            .as_ref()
            .and_then(|json| serde_json::from_slice(json).ok()),
    })
}

#[derive(Serialize)]
struct Many<'a> {
    changed: &'a [String],
    unchanged: &'a [String],
    revision: u64,
}

/// Which of many are another now.
pub fn switched(switched: &Switched) -> Bytes {
    to_bytes(&Many {
        changed: &switched.changed,
        unchanged: &switched.unchanged,
        revision: switched.revision,
    })
}
