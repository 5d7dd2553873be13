//! The answers to a dry run, and to a change of many.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type,
};
use utoipa::openapi::{Ref, RefOr};

use super::page::ENVELOPE_BYTES;
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
    let record = record.as_deref();
    to_bytes(&Rehearsed {
        changed: &rehearsal.changed,
        record: record.and_then(|json| serde_json::from_slice(json).ok()),
    })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Switched)]
pub(super) struct Many<'a> {
    changed: &'a [String],
    unchanged: &'a [String],
    /// How many ids have no room in the reply; absent where all are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<usize>,
    revision: u64,
}

/// Which of many are another now, shortened to fit `max_bytes`: what is committed must not be
/// answered as a reply that is too large.
pub fn switched(switched: &Switched, max_bytes: usize) -> Bytes {
    let mut room = max_bytes.saturating_sub(ENVELOPE_BYTES);
    let changed = fitting(&switched.changed, &mut room);
    let unchanged = fitting(&switched.unchanged, &mut room);
    let all = switched.changed.len() + switched.unchanged.len();
    let omitted = all - changed.len() - unchanged.len();
    to_bytes(&Many {
        changed,
        unchanged,
        omitted: (omitted > 0).then_some(omitted),
        revision: switched.revision,
    })
}

/// The first ids for which there is room, which they take.
fn fitting<'a>(ids: &'a [String], room: &mut usize) -> &'a [String] {
    let fit = ids.iter().take_while(|id| {
        let left = room.checked_sub(to_bytes(id).len() + 1);
        *room = left.unwrap_or(0);
        left.is_some()
    });
    ids.get(..fit.count()).unwrap_or_default()
}

/// The schemas of answers by name: of a dry run, and of a change that may be one.
pub(super) fn schemas() -> [(&'static str, RefOr<Schema>); 3] {
    let name = |name: &str| Ref::from_schema_name(name);
    let names = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String));
    let record = OneOfBuilder::new()
        .item(name("Extension"))
        .item(ObjectBuilder::new().schema_type(Type::Null));
    let rehearsal = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("changed", names)
        .property("record", record)
        .required("changed")
        .required("record");
    // Not one of them: a record has all that a deletion is answered with.
    let any_of = |answers: &[&str]| {
        let answers = answers.iter().copied().map(name);
        let any = answers.fold(AnyOfBuilder::new(), AnyOfBuilder::item);
        RefOr::T(Schema::AnyOf(any.build()))
    };
    [
        ("Rehearsal", rehearsal.into()),
        // A record that cannot be shown is answered as one that is gone.
        ("Changed", any_of(&["Extension", "Committed", "Rehearsal"])),
        ("Deleted", any_of(&["Committed", "Rehearsal"])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_many_is_answered_within_every_limit() {
        let ids = |letter: &str| (0..500).map(|n| format!("{letter}{n:0>127}")).collect();
        let many = Switched {
            changed: ids("c"),
            unchanged: ids("u"),
            revision: 7,
        };
        for (max_bytes, all_changed, all) in [
            (460, false, false),
            (4096, false, false),
            (100_000, true, false),
            (1 << 20, true, true),
            (usize::MAX, true, true),
        ] {
            let body = switched(&many, max_bytes);
            assert!(body.len() <= max_bytes, "{max_bytes}");
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let count = |name: &str| body[name].as_array().unwrap().len();
            let (changed, unchanged) = (count("changed"), count("unchanged"));
            let omitted = usize::try_from(body["omitted"].as_u64().unwrap_or(0)).unwrap();
            assert_eq!(changed + unchanged + omitted, 1000);
            assert_eq!((changed == 500, omitted == 0), (all_changed, all));
            assert_eq!(body["omitted"].is_null(), all);
            assert_eq!(body["revision"], 7);
        }
    }

    #[test]
    fn a_change_that_is_committed_and_cannot_be_shown_is_described() {
        let [_, (_, changed), _] = schemas();
        let changed = serde_json::to_value(changed).unwrap();
        let answers = changed["anyOf"].as_array().unwrap();
        let committed = serde_json::json!({"$ref": "#/components/schemas/Committed"});
        assert!(answers.contains(&committed), "{changed}");
    }
}
