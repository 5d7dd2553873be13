//! Each verb: what it is for, what it takes, what it answers.

use beamline_registry::adapters::nats::verb::Verb;
use beamline_registry::documents::audit::AuditArguments;
use beamline_registry::documents::cancel::CancelArguments;
use beamline_registry::documents::change;
use beamline_registry::documents::circuit::CircuitArguments;
use beamline_registry::documents::circuits::CircuitsArguments;
use beamline_registry::documents::explain::ExplainArguments;
use beamline_registry::documents::health::HealthArguments;
use beamline_registry::documents::invoke::InvokeArguments;
use beamline_registry::documents::list::ListArguments;
use beamline_registry::documents::lookup::LookupArguments;
use beamline_registry::documents::report::ReportArguments;
use beamline_registry::documents::request::Freshness;
use beamline_registry::documents::stored::GetArguments;
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, PartialSchema};

/// A verb, described.
pub(super) struct Description {
    pub(super) summary: &'static str,
    /// The schema of what it takes.
    pub(super) request: Value,
    /// The schemas of what it answers, by name, beside errors.
    pub(super) replies: &'static [&'static str],
}

pub(super) fn describe(verb: Verb) -> Description {
    let (summary, request, replies): (_, _, &[_]) = match verb {
        Verb::Lookup => (
            "Which service implements an extension, or each of many, in a context",
            schema_of::<LookupArguments<'_>>(),
            &["ServedExtension", "ServedExtensions"],
        ),
        Verb::LookupByType | Verb::List => {
            let mut request = parameters(&[listing::<ListArguments>(), freshness()]);
            // Over HTTP it is a text.
            if let Some(enabled) = request.pointer_mut("/properties/enabled") {
                *enabled = json!({"enum": [true, false, "all", null]});
            }
            ("A page of extensions", request, &["ExtensionPage"])
        }
        Verb::Get => (
            "A stored record, enabled or not",
            of_one::<GetArguments>(),
            &["Extension"],
        ),
        Verb::Explain => (
            "Why a lookup answers what it answers",
            of_one::<ExplainArguments>(),
            &["Explanation"],
        ),
        Verb::Stats => (
            "A sidecar at a glance",
            parameters(&[freshness()]),
            &["Stats"],
        ),
        Verb::Reload => (
            "Reads the source again",
            json(&change::reload_schema()),
            &["Reloaded"],
        ),
        Verb::Ping => (
            "Whether a sidecar is there",
            parameters(&[freshness()]),
            &["Pong"],
        ),
        Verb::Invoke => (
            "Calls an extension; the reply is its own",
            schema_of::<InvokeArguments<'_>>(),
            &["ExtensionReply", "CallRehearsal"],
        ),
        Verb::Audit => (
            "Who changed what, newest first",
            parameters(&[listing::<AuditArguments>()]),
            &["AuditPage"],
        ),
        Verb::Report => (
            "The outcome of a call made without the registry",
            schema_of::<ReportArguments<'_>>(),
            &["Noted"],
        ),
        Verb::Health => (
            "How one extension, or all of them, are doing",
            parameters(&[listing::<HealthArguments>(), freshness(), id()]),
            &["ExtensionHealth", "HealthPage"],
        ),
        Verb::Circuits => (
            "The circuits of a sidecar",
            parameters(&[listing::<CircuitsArguments>(), freshness()]),
            &["CircuitPage"],
        ),
        Verb::Circuit => (
            "Forces a circuit open or closed, or resets it",
            schema_of::<CircuitArguments>(),
            &["Circuit"],
        ),
        Verb::Cancel => (
            "Ends a call by its id",
            schema_of::<CancelArguments>(),
            &["Cancelled"],
        ),
        verb => return write(verb),
    };
    Description {
        summary,
        request,
        replies,
    }
}

fn write(verb: Verb) -> Description {
    let (summary, replies): (_, &[_]) = match verb {
        Verb::Create => ("Creates an extension", &["Changed"]),
        Verb::Update => ("Changes fields of an extension", &["Changed"]),
        Verb::Delete => ("Deletes an extension", &["Deleted"]),
        Verb::Enable => ("Enables an extension, or many", &["Changed", "Switched"]),
        Verb::Disable => ("Disables an extension, or many", &["Changed", "Switched"]),
        Verb::PutVersion => ("Writes a version", &["Changed"]),
        Verb::UpdateVersion => ("Changes fields of a version", &["Changed"]),
        Verb::Rollout => ("Sets the share of a version", &["Changed"]),
        Verb::DeleteVersion => ("Deletes a version", &["Changed"]),
        Verb::Promote => ("Makes a version the current one", &["Changed"]),
        Verb::PutInstance => ("Writes an instance", &["Changed"]),
        Verb::DeleteInstance => ("Deletes an instance", &["Changed"]),
        verb => panic!("{verb:?} is not described"),
    };
    let mut request = json(&change::schema(verb));
    if let Value::Object(request) = &mut request
        && !verb.needs_only_an_id()
    {
        let required = request.entry("required").or_insert_with(|| json!([]));
        match required {
            Value::Array(names) if !names.contains(&json!("id")) => names.push(json!("id")),
            _ => {}
        }
    }
    Description {
        summary,
        request,
        replies,
    }
}

fn json(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

fn schema_of<T: PartialSchema>() -> Value {
    match T::schema() {
        RefOr::T(schema) => json(&schema),
        RefOr::Ref(reference) => json(&reference),
    }
}

type Fields = Map<String, Value>;

/// The arguments of a read of one extension.
fn of_one<T: PartialSchema>() -> Value {
    let fields = [schema_of::<T>(), schema_of::<Freshness>()].map(|mut schema| {
        let fields = schema["properties"].as_object_mut();
        fields.map(std::mem::take).unwrap_or_default()
    });
    parameters(&fields)
}

/// The fields of arguments that stand in queries over HTTP.
fn listing<T: IntoParams>() -> Fields {
    let fields = T::into_params(|| Some(ParameterIn::Query)).into_iter();
    let field = |parameter: utoipa::openapi::path::Parameter| {
        let mut schema = json(&parameter.schema);
        if let (Some(about), Value::Object(schema)) = (parameter.description, &mut schema) {
            schema.insert("description".to_owned(), about.into());
        }
        (parameter.name, schema)
    };
    fields.map(field).collect()
}

fn freshness() -> Fields {
    listing::<Freshness>()
}

fn id() -> Fields {
    let schema = json!({"type": ["string", "null"], "description": "Only this extension"});
    Map::from_iter([("id".to_owned(), schema)])
}

fn parameters(fields: &[Fields]) -> Value {
    let properties: Fields = fields
        .iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    json!({"type": "object", "properties": properties})
}
