//! What the body of a change may have, field by field, as OpenAPI says it.

use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};

use super::WriteVerb;

/// The body of a change over HTTP.
pub fn schema(verb: WriteVerb) -> Object {
    let required: &[&str] = match verb {
        WriteVerb::Create => &["id", "type", "subject"],
        _ => &[],
    };
    let mut object = closed();
    for field in verb.fields() {
        // Known only to be refused with a reason.
        let refused = match verb {
            WriteVerb::Create => field == "if_revision",
            WriteVerb::Update => ["type", "version"].contains(&field),
            _ => false,
        };
        if !refused {
            object = object.property(field, property(field, required.contains(&field)));
        }
    }
    for field in required {
        object = object.required(*field);
    }
    object.build()
}

/// The body of a reload.
pub fn reload_schema() -> Object {
    let fields = ["id", "actor"];
    let object = fields.into_iter().fold(closed(), |object, field| {
        object.property(field, property(field, false))
    });
    object.build()
}

/// One field, where it stands in a path, a query or a header: there it has no null.
pub fn schema_of(field: &str) -> Schema {
    property(field, true)
}

fn closed() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn property(field: &str, required: bool) -> Schema {
    let typed = |kind: Type| {
        let kinds = match required {
            true => SchemaType::Type(kind),
            false => SchemaType::from_iter([kind, Type::Null]),
        };
        ObjectBuilder::new().schema_type(kinds)
    };
    let text = || typed(Type::String);
    let whole = || {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
        typed(Type::Integer).format(Some(format))
    };
    let object = match field {
        "id" => text()
            .pattern(Some("^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"))
            .examples(["mask_pii"]),
        "type" => text().enum_values(Some(["pre", "validator", "post", "provider"])),
        "subject" => text()
            .description(Some("Within ALLOWED_SUBJECTS, and no other extension's"))
            .examples(["beamline.ext.mask_pii.v1"]),
        "timeout_ms" => whole()
            .minimum(Some(1))
            .description(Some("At most MAX_TIMEOUT_MS")),
        "retry" => whole()
            .minimum(Some(0))
            .description(Some("At most MAX_RETRIES")),
        "enabled" => typed(Type::Boolean),
        "version" => text().pattern(Some("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")),
        "actor" => text()
            .pattern(Some("^[A-Za-z0-9_@=+-]{1,128}$"))
            .description(Some("Who asks, where neither token nor header says so")),
        "if_revision" => whole().minimum(Some(0)).description(Some(
            "The revision that the record must have, as `If-Match`",
        )),
        "fallback" => {
            let kinds = SchemaType::from_iter([Type::Array, Type::Null]);
            let item = ObjectBuilder::new().schema_type(Type::String);
            return ArrayBuilder::new().schema_type(kinds).items(item).into();
        }
        // `config`, `metadata`, `routing_rules`, `rollout`, `circuit_breaker`: JSON objects.
        _ => typed(Type::Object),
    };
    object.into()
}
