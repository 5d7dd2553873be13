//! The verb `get`: an id, and the stored record of its extension.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    Array, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{ArrayBuilder, Ref, RefOr};

use super::change::of_field;
use super::request::OfOne;
use super::{time, to_bytes};
use crate::domain::extension::Extension;
use crate::domain::record::{
    self, EXTENSION, Field, Fields, INSTANCE, Kind, VERSION, Value, field,
};

/// The arguments of `get`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = GetRequest)]
pub struct GetArguments {
    /// The id.
    pub id: Option<String>,
}

impl OfOne for GetArguments {
    fn id_mut(&mut self) -> &mut Option<String> {
        &mut self.id
    }
}

/// The record with its versions and instances, as stored.
pub fn stored(extension: &Extension) -> Bytes {
    let versions = extension.versions.iter().map(|version| StoredVersion {
        fields: said(VERSION, &record::version(version)),
        created_at: version.provenance.created_at.and_then(time),
        created_by: version.provenance.created_by.as_deref(),
    });
    let instances = extension.instances.iter();
    let instances = instances.map(|instance| said(INSTANCE, &record::instance(instance)));
    let provenance = &extension.provenance;
    to_bytes(&Stored {
        own: said(EXTENSION, &record::extension(extension)),
        versions: versions.collect(),
        instances: instances.collect(),
        revision: extension.revision,
        created_at: provenance.created_at.and_then(time),
        updated_at: provenance.updated_at.and_then(time),
        created_by: provenance.created_by.as_deref(),
        updated_by: provenance.updated_by.as_deref(),
        warnings: record::warnings(extension),
    })
}

#[derive(Serialize)]
struct Stored<'a> {
    #[serde(flatten)]
    own: Fields<'a>,
    versions: Vec<StoredVersion<'a>>,
    instances: Vec<Fields<'a>>,
    revision: u64,
    created_at: Option<String>,
    updated_at: Option<String>,
    created_by: Option<&'a str>,
    updated_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct StoredVersion<'a> {
    #[serde(flatten)]
    fields: Fields<'a>,
    created_at: Option<String>,
    created_by: Option<&'a str>,
}

/// Every field, null or absent where it is not set; a list is never null.
fn said<'a>(table: &'static [Field], fields: &Fields<'a>) -> Fields<'a> {
    let said = fields.iter().filter_map(|(name, value)| {
        let field = field(table, name)?;
        match value {
            Value::Unset if field.absent_when_unset => None,
            Value::Unset if field.kind == Kind::Ids => Some((*name, Value::Json("[]".into()))),
            value => Some((*name, value.clone())),
        }
    });
    said.collect()
}

/// Its schemas by name.
pub(super) fn schemas() -> [(&'static str, Schema); 3] {
    let warnings = ArrayBuilder::new()
        .items(Object::with_type(Type::String))
        .description(Some("What is stored but not served as stored"));
    let extension = properties(EXTENSION, false)
        .property("versions", list_of("ExtensionVersion"))
        .property("instances", list_of("ExtensionInstance"))
        .property("revision", Object::with_type(Type::Integer));
    let extension = moment(moment(extension, "created_at"), "updated_at");
    let extension = person(person(extension, "created_by"), "updated_by");
    let version = moment(properties(VERSION, true), "created_at");
    let version = person(version, "created_by");
    [
        ("Extension", extension.property("warnings", warnings).into()),
        ("ExtensionVersion", version.into()),
        ("ExtensionInstance", properties(INSTANCE, false).into()),
    ]
}

/// What was checked has every default filled in. Where it inherits, numbers may be null: the
/// extension has them.
fn properties(table: &'static [Field], inherits: bool) -> ObjectBuilder {
    let nullable = |field: &Field| match field.kind {
        Kind::Object => !field.empty_is_unset,
        Kind::Whole { to: None, .. } => inherits,
        _ => false,
    };
    let object = ObjectBuilder::new().schema_type(Type::Object);
    table.iter().fold(object, |object, field| {
        object.property(field.name, of_field(field, nullable(field)))
    })
}

fn list_of(name: &str) -> Array {
    Array::new(RefOr::Ref(Ref::from_schema_name(name)))
}

fn moment(object: ObjectBuilder, name: &str) -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    object.property(name, or_null().format(Some(format)))
}

fn person(object: ObjectBuilder, name: &str) -> ObjectBuilder {
    object.property(name, or_null())
}

fn or_null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}
