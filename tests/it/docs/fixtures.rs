//! What a file of fixtures may hold, as a JSON Schema: editors mark faults by it.
//!
//! Made from the table of fields. What is inside of their objects is here; that this is what the
//! reader of files takes is tried by `schemas`.

use beamline_registry::documents::change::of_field;
use beamline_registry::domain::ids::ExtensionId;
use beamline_registry::domain::record::{EXTENSION, Field, INSTANCE, VERSION};
use serde_json::{Map, Value, json};

/// The name of a member that readers skip: where the schema is, for an editor.
const SCHEMA: &str = "$schema";

/// Printable ASCII tokens without wildcards.
const SUBJECT: &str = r"^[!-)+-\-/-=?-~]+(\.[!-)+-\-/-=?-~]+)*$";

/// The schema.
pub(super) fn schema() -> Value {
    let text = json!({"type": "string"});
    // No map has one of these keys with a text under it.
    let single = ["id", "type", "subject"]
        .map(|name| json!({"required": [name], "properties": {name: text}}));
    let id = format!("^{}$", ExtensionId::RULE);
    json!({
        SCHEMA: "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:beamline-registry:fixtures",
        "title": "Extensions of beamline-registry, in a file",
        "description": "One extension, a list of extensions, or a map from id to extension",
        "type": ["object", "array"],
        "items": {"$ref": "#/$defs/NamedExtension"},
        "if": {
            "type": "object",
            "anyOf": single
        },
        "then": {"$ref": "#/$defs/NamedExtension"},
        "else": {
            "properties": {SCHEMA: text},
            "propertyNames": {"anyOf": [{"const": SCHEMA}, {"pattern": id}]},
            "additionalProperties": {"$ref": "#/$defs/Extension"}
        },
        "$defs": {
            "NamedExtension": {"$ref": "#/$defs/Extension", "required": ["id"]},
            "Extension": object(EXTENSION, "id", json!({
                SCHEMA: text,
                "versions": parts("Version", "version"),
                "instances": parts("Instance", "instance_id")
            })),
            "Version": object(VERSION, "version", json!({})),
            "Instance": object(INSTANCE, "instance_id", json!({}))
        }
    })
}

/// A list, whose items have their name in them, or a map, where it is the key.
fn parts(name: &str, key: &str) -> Value {
    let part = json!({"$ref": format!("#/$defs/{name}")});
    json!({
        "type": ["array", "object", "null"],
        "items": {"allOf": [part], "required": [key]},
        "additionalProperties": part
    })
}

/// An object with the fields of `table` and `others`. Its name may be a key elsewhere.
fn object(table: &'static [Field], name: &str, others: Value) -> Value {
    let fields = table.iter().filter(|field| !field.automatic);
    let mut properties = fields
        .clone()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect::<Map<_, _>>();
    if let Value::Object(others) = others {
        properties.extend(others);
    }
    let required = fields.filter(|field| field.required && field.name != name);
    let required: Vec<_> = required.map(|field| field.name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false
    })
}

fn property(field: &Field) -> Value {
    let schema = serde_json::to_value(of_field(field, !field.required));
    let mut schema = schema.unwrap_or(Value::Bool(true));
    if let (Value::Object(schema), Value::Object(inner)) = (&mut schema, inner(field.name)) {
        schema.extend(inner);
    }
    schema
}

/// What else there is to a field, by its name: of objects what they hold.
fn inner(field: &str) -> Value {
    match field {
        "subject" => json!({"pattern": SUBJECT, "maxLength": 512}),
        "fallback" => json!({"maxItems": 16}),
        "routing_rules" => {
            let scalar = ["string", "number", "boolean"];
            let list = ["string", "number", "boolean", "array"];
            json!({"additionalProperties": {"type": list, "items": {"type": scalar}}})
        }
        "rollout" => rollout(),
        "circuit_breaker" => circuit_breaker(),
        "metadata" => metadata(),
        _ => json!({}),
    }
}

fn rollout() -> Value {
    let halt = json!({
        "type": ["object", "null"],
        "properties": {
            "max_failure_rate_delta": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
            "min_requests": whole(1, 1_000_000)
        },
        "additionalProperties": false
    });
    json!({
        "properties": {
            "by": {"type": "string", "minLength": 1},
            "percent": {"type": "number", "minimum": 0, "maximum": 100},
            "salt": {"type": ["string", "null"]},
            "halt": halt
        },
        // An empty one is none.
        "dependentRequired": {"by": ["percent"], "percent": ["by"], "salt": ["by"], "halt": ["by"]},
        "additionalProperties": false
    })
}

fn circuit_breaker() -> Value {
    // As a number of the unit that its name has, or with a unit, such as `1m 30s`.
    let time = || json!({"type": ["number", "string", "null"], "exclusiveMinimum": 0});
    let rate = json!({"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1});
    let rate_or_off = json!({
        "type": ["number", "string", "null"], "exclusiveMinimum": 0, "maximum": 1
    });
    json!({
        "properties": {
            "enabled": {"type": ["boolean", "null"]},
            "failure_threshold": whole(1, 1_000_000),
            "error_rate_threshold": rate,
            "window_seconds": time(),
            "minimum_requests": whole(1, 1_000_000),
            "slow_call_ms": time(),
            "slow_call_rate_threshold": rate_or_off,
            "timeout_seconds": time(),
            "max_timeout_seconds": time(),
            "half_open_max_requests": whole(1, 10_000)
        },
        "additionalProperties": false
    })
}

fn metadata() -> Value {
    let limit = || json!({"type": ["integer", "null"], "minimum": 0});
    json!({
        "properties": {
            "max_payload_size": limit(),
            "max_metadata_size": limit(),
            "max_in_flight": limit(),
            "balance": {"enum": ["adaptive", "weighted", null]},
            "fallback_on": {"enum": ["open", null]},
            "stream": {
                "type": ["object", "null"],
                "properties": {
                    "first_chunk_ms": whole(1, 3_600_000),
                    "gap_ms": whole(1, 3_600_000),
                    "total_ms": whole(1, 3_600_000)
                },
                "additionalProperties": false
            }
        }
    })
}

fn whole(from: u32, to: u32) -> Value {
    json!({"type": ["integer", "null"], "minimum": from, "maximum": to})
}
