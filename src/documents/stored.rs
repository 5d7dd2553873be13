//! The verb `get`: an id, and the stored record of its extension.

use bytes::Bytes;
use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    Array, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{ArrayBuilder, Ref, RefOr};

use super::change::of_field;
use super::request::OfOne;
use super::{time, to_bytes};
use crate::domain::extension::{Extension, Provenance};
use crate::domain::record::{self, EXTENSION, Field, Fields, INSTANCE, Kind, VERSION, Value};

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
    to_bytes(&Stored(extension))
}

struct Stored<'a>(&'a Extension);

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(extension) = self;
        let mut map = serializer.serialize_map(None)?;
        said(&mut map, EXTENSION, &record::extension(extension))?;
        let versions = extension.versions.iter().map(|version| Part {
            table: VERSION,
            fields: record::version(version),
            created: Some(&version.provenance),
        });
        map.serialize_entry("versions", &versions.collect::<Vec<_>>())?;
        let instances = extension.instances.iter().map(|instance| Part {
            table: INSTANCE,
            fields: record::instance(instance),
            created: None,
        });
        map.serialize_entry("instances", &instances.collect::<Vec<_>>())?;
        map.serialize_entry("revision", &extension.revision)?;
        let provenance = &extension.provenance;
        map.serialize_entry("created_at", &provenance.created_at.and_then(time))?;
        map.serialize_entry("updated_at", &provenance.updated_at.and_then(time))?;
        map.serialize_entry("created_by", &provenance.created_by.as_deref())?;
        map.serialize_entry("updated_by", &provenance.updated_by.as_deref())?;
        let warnings = record::warnings(extension);
        if !warnings.is_empty() {
            map.serialize_entry("warnings", &warnings)?;
        }
        map.end()
    }
}

/// A version or an instance.
struct Part<'a> {
    table: &'static [Field],
    fields: Fields<'a>,
    /// When, and by which actor, where it is known.
    created: Option<&'a Provenance>,
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        said(&mut map, self.table, &self.fields)?;
        if let Some(provenance) = self.created {
            map.serialize_entry("created_at", &provenance.created_at.and_then(time))?;
            map.serialize_entry("created_by", &provenance.created_by.as_deref())?;
        }
        map.end()
    }
}

/// Every field, null or absent where it is not set; a list is never null.
fn said<M: SerializeMap>(
    map: &mut M,
    table: &'static [Field],
    fields: &Fields<'_>,
) -> Result<(), M::Error> {
    for field in table {
        match fields.get(field.name) {
            Value::Unset if field.absent_when_unset => {}
            Value::Unset if field.kind == Kind::Ids => {
                map.serialize_entry(field.name, &[""; 0])?;
            }
            value => map.serialize_entry(field.name, value)?,
        }
    }
    Ok(())
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
