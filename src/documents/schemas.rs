//! What the documents look like, for OpenAPI: made from the types that they are written with, which
//! `documents/mod.rs` lists.

#![expect(
    dead_code,
    reason = "pages are joined from texts; their types are for their schemas"
)]

use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Components, RefOr};
use utoipa::{OpenApi, ToSchema};

use super::change;
use super::verb::Verb;
use super::{Documents, Messages, circuits, health, lookup, rehearsed, stored};
use crate::domain::record::{EXTENSION, field};

/// A page of extensions.
///
/// Where records are so large that no page could hold them, `omitted` lists their ids.
#[derive(ToSchema)]
pub(super) struct ExtensionPage<'a> {
    extensions: Vec<lookup::ServedExtension<'a>>,
    /// How many the filter matches in all.
    total: u64,
    /// The `cursor` of the next page, if there is one.
    next: Option<String>,
}

/// A page of extensions and how they are doing.
#[derive(ToSchema)]
pub(super) struct HealthPage<'a> {
    extensions: Vec<health::ExtensionHealth<'a>>,
    summary: health::HealthSummary,
    /// The `cursor` of the next page, if there is one.
    next: Option<String>,
}

/// A page of circuits.
#[derive(ToSchema)]
pub(super) struct CircuitPage<'a> {
    circuits: Vec<circuits::Circuit<'a>>,
    /// The `cursor` of the next page, if there is one.
    next: Option<String>,
}

/// The schemas of what goes over NATS, by name: all of HTTP, and what HTTP does not have.
pub fn messages() -> Components {
    let mut components = components();
    let others = Messages::openapi().components.unwrap_or_default();
    components.schemas.extend(others.schemas);
    components
}

/// All schemas by name: of answers, and of the bodies of changes.
pub fn components() -> Components {
    let mut components = Documents::openapi().components.unwrap_or_default();
    let stored = stored::schemas().map(|(name, schema)| (name.to_owned(), RefOr::T(schema)));
    components.schemas.extend(stored);
    for schema in components.schemas.values_mut() {
        require_everything(schema);
    }
    let rehearsed = rehearsed::schemas().map(|(name, schema)| (name.to_owned(), schema));
    components.schemas.extend(rehearsed);
    for (name, schema) in [
        ("NewExtension", change::schema(Verb::Create)),
        ("ExtensionChange", change::schema(Verb::Update)),
        ("Condition", change::schema(Verb::Delete)),
        ("ReloadRequest", change::reload_schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema.into());
    }
    components
}

/// No document leaves another field out than warnings and resting ones, which are rare, failures, which
/// need a role, and optional fields by the table of fields: what is not known is null.
fn require_everything(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema {
        let names = object.properties.keys();
        let absent =
            |name: &str| field(EXTENSION, name).is_some_and(|field| field.absent_when_unset);
        let rare = |name: &str| matches!(name, "warnings" | "failures" | "resting") || absent(name);
        let required = names.filter(|name| !rare(name));
        object.required = required.cloned().collect();
    }
}
