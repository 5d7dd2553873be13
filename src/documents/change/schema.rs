//! What the body of a change may have, field by field, in the terms of OpenAPI.

use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};

use crate::documents::verb::Verb;
use crate::domain::actor::Actor;
use crate::domain::ids::InstanceId;
use crate::domain::record::{EXTENSION, Field, Kind, field};

/// The body of a change. The id may stand elsewhere.
pub fn schema(verb: Verb) -> Object {
    let mut object = closed();
    for name in verb.fields() {
        // Known only to be refused with a reason.
        let refused = match verb {
            Verb::Create => name == "if_revision",
            Verb::Update => ["type", "version"].contains(&name),
            _ => false,
        };
        if refused {
            continue;
        }
        let required = verb.requires(name);
        object = match field(verb.table(), name) {
            Some(field) => object.property(name, of_field(field, !required)),
            None => object.property(name, property(name, !required)),
        };
        if required {
            object = object.required(name);
        }
    }
    object.build()
}

/// The body of a reload.
pub fn reload_schema() -> Object {
    let fields = ["id", "actor"];
    let object = fields.into_iter().fold(closed(), |object, field| {
        object.property(field, property(field, true))
    });
    object.build()
}

/// One field, in a path, a query or a header: there it has no null.
pub fn schema_of(field: &str) -> Schema {
    property(field, false)
}

fn closed() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn property(name: &str, nullable: bool) -> Schema {
    if let Some(field) = field(EXTENSION, name) {
        return of_field(field, nullable);
    }
    let object = match name {
        "ids" => {
            let kinds = kinds(Type::Array, nullable);
            let items = ObjectBuilder::new().schema_type(Type::String);
            let ids = ArrayBuilder::new().schema_type(kinds).items(items);
            return ids.max_items(Some(1000)).into();
        }
        "instance_id" => {
            typed(Type::String, nullable).pattern(Some(format!("^{}$", InstanceId::RULE)))
        }
        "percent" => typed(Type::Number, nullable)
            .minimum(Some(0))
            .maximum(Some(100)),
        "by" | "salt" => typed(Type::String, nullable),
        "halt" | "selector" => typed(Type::Object, nullable),
        "dry_run" => typed(Type::Boolean, nullable)
            .description(Some("Whether to check the change without committing it")),
        "actor" => typed(Type::String, nullable)
            .pattern(Some(format!("^{}$", Actor::RULE)))
            .description(Some("The actor, if neither token nor header names one")),
        // `if_revision`.
        _ => whole(nullable).minimum(Some(0)).description(Some(
            "The revision that the record must have, as `If-Match`",
        )),
    };
    object.into()
}

/// The values of a field of a record.
pub fn of_field(field: &Field, nullable: bool) -> Schema {
    let object = match field.kind {
        Kind::Text if !field.words.is_empty() => {
            typed(Type::String, nullable).enum_values(Some(field.words.iter().copied()))
        }
        Kind::Text => typed(Type::String, nullable)
            .pattern(field.pattern.map(|pattern| format!("^{pattern}$"))),
        Kind::Whole { from, to } => whole(nullable).minimum(Some(from)).maximum(to),
        Kind::Switch => typed(Type::Boolean, nullable),
        Kind::Object => typed(Type::Object, nullable),
        Kind::Ids => {
            let item = ObjectBuilder::new().schema_type(Type::String);
            let kinds = kinds(Type::Array, nullable);
            return ArrayBuilder::new().schema_type(kinds).items(item).into();
        }
    };
    object
        .description(field.note)
        .examples(field.example)
        .into()
}

fn typed(kind: Type, nullable: bool) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kinds(kind, nullable))
}

fn kinds(kind: Type, nullable: bool) -> SchemaType {
    match nullable {
        true => SchemaType::from_iter([kind, Type::Null]),
        false => SchemaType::Type(kind),
    }
}

fn whole(nullable: bool) -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    typed(Type::Integer, nullable).format(Some(format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::change::{Body, read};
    use crate::domain::testing::policy;
    use crate::service::error::RegistryError;

    #[test]
    fn what_is_required_is_what_is_missing_without_it() {
        for verb in [
            Verb::Create,
            Verb::Update,
            Verb::Delete,
            Verb::Enable,
            Verb::Disable,
            Verb::PutVersion,
            Verb::UpdateVersion,
            Verb::Rollout,
            Verb::DeleteVersion,
            Verb::Promote,
            Verb::PutInstance,
            Verb::DeleteInstance,
        ] {
            let actor = |_: Option<&str>| Ok(Actor::anonymous());
            let read = read(verb, Body::of_id("x"), None, &policy(), actor);
            let mut missing = match read {
                Err(RegistryError::BadFields(faults)) => faults,
                other => {
                    assert!(other.is_ok(), "{verb:?}");
                    Vec::new()
                }
            };
            missing.retain(|fault| &*fault.rule == "is missing");
            let mut missing: Vec<_> = missing.iter().map(|fault| &*fault.field).collect();
            let required = schema(verb).required;
            let mut required: Vec<_> = required.iter().map(String::as_str).collect();
            required.retain(|name| *name != "id");
            missing.sort_unstable();
            required.sort_unstable();
            assert_eq!(missing, required, "{verb:?}");
        }
    }
}
