//! A JSON Schema for each document that goes over NATS: what AsyncAPI says of it, with all that it
//! refers to, so that an editor or a validator needs nothing else.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::document;

const SCHEMA: &str = "$schema";
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where the schemas of the AsyncAPI document are, and where they are in a file.
const THERE: &str = "#/components/schemas/";
const HERE: &str = "#/$defs/";

/// A message of this schema has no document.
const EMPTY: &str = "Nothing";

/// The schemas, by the names of their files.
pub(in crate::docs) fn schemas() -> BTreeMap<String, Value> {
    let document = document();
    let object = |pointer| document.pointer(pointer).and_then(Value::as_object);
    let parts = (
        object("/components/messages"),
        object("/components/schemas"),
        object("/operations"),
    );
    let (Some(messages), Some(known), Some(operations)) = parts else {
        return BTreeMap::new();
    };
    let schema = |(message, about): (&String, &Value)| {
        let reference = about.pointer("/payload/$ref")?.as_str()?;
        let name = reference.strip_prefix(THERE)?;
        if name == EMPTY {
            return None;
        }
        // As an operation refers to it.
        let needle = format!("/messages/{message}\"");
        let users = operations.iter();
        let users = users.filter(|(_, operation)| operation.to_string().contains(&needle));
        let users: Vec<_> = users.map(|(operation, _)| operation.as_str()).collect();
        let file = snake(name);
        let mut schema = standalone(known.get(name)?, known)?;
        for (key, value) in [
            (SCHEMA, Value::from(DRAFT)),
            ("$id", format!("urn:beamline-registry:{file}").into()),
            ("title", format!("{name}: {}", users.join(", ")).into()),
        ] {
            schema.insert(key.to_owned(), value);
        }
        Some((file, Value::Object(schema)))
    };
    messages.iter().filter_map(schema).collect()
}

/// A schema with those it refers to, directly or not.
fn standalone(schema: &Value, known: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut schema = schema.clone();
    let mut missing = turned(&mut schema);
    let mut parts = Map::new();
    while let Some(name) = missing.pop() {
        if let Some(part) = known.get(&name)
            && !parts.contains_key(&name)
        {
            let mut part = part.clone();
            missing.extend(turned(&mut part));
            parts.insert(name, part);
        }
    }
    let Value::Object(mut schema) = schema else {
        return None;
    };
    if !parts.is_empty() {
        schema.insert("$defs".to_owned(), parts.into());
    }
    Some(schema)
}

/// Turns references to the AsyncAPI document into references within the file: the names in them.
fn turned(schema: &mut Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let mut names: Vec<_> = fields.values_mut().flat_map(turned).collect();
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(THERE).map(str::to_owned)
            {
                *reference = format!("{HERE}{name}");
                names.push(name);
            }
            names
        }
        Value::Array(items) => items.iter_mut().flat_map(turned).collect(),
        _ => Vec::new(),
    }
}

/// `LookupRequest` as `lookup_request`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
