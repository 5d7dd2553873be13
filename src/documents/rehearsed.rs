//! The answers to a dry run, and to a change of many.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

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

#[derive(Serialize, ToSchema)]
#[schema(as = Switched)]
pub(super) struct Many<'a> {
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
    let or_rehearsal = |answer: &str| {
        let either = OneOfBuilder::new()
            .item(name(answer))
            .item(name("Rehearsal"));
        RefOr::T(Schema::OneOf(either.build()))
    };
    [
        ("Rehearsal", rehearsal.into()),
        ("Changed", or_rehearsal("Extension")),
        ("Deleted", or_rehearsal("Committed")),
    ]
}
