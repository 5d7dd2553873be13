//! The document: whole by itself. That the daemon keeps to it is tried by `just api-test`.

use serde_json::Value;

use super::Api;
use crate::site::Site;

/// Appends every reference in `value`.
pub(crate) fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let (_site, daemon) = Site::served().await;
    let reply = daemon.get("/openapi.json").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let document = reply.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let used = found.iter().any(|it| it.ends_with(&format!("/{name}")));
        assert!(used, "{name} is not used");
    }
}

/// The types that documents are written with, and those that describe them, are the same but for
/// pages, which are joined of texts: their fields are compared here.
#[tokio::test]
async fn pages_have_the_fields_that_are_described() {
    let api = Api::start().await;
    let document = api.daemon.get("/openapi.json").await.json();
    for (path, schema) in [
        ("/admin/extensions", "ExtensionPage"),
        ("/admin/extensions/health", "HealthPage"),
        ("/admin/circuits", "CircuitPage"),
        ("/admin/audit", "AuditPage"),
    ] {
        let page = api.ask(&format!("GET {path}"), &Value::Null).await.json();
        let described = &document["components"]["schemas"][schema]["properties"];
        let names = |value: &Value| -> Vec<String> {
            let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&page), names(described), "{path}");
    }
}

/// Else a client would send each member as a parameter of its own. Reads ignore what they do not know,
/// and it would get all extensions.
#[tokio::test]
async fn an_object_in_a_query_is_described_as_json() {
    let (_site, daemon) = Site::served().await;
    let document = daemon.get("/openapi.json").await.json();
    let parameters = &document["paths"]["/admin/extensions"]["get"]["parameters"];
    let mut parameters = parameters.as_array().unwrap().iter();
    let selector = parameters.find(|it| it["name"] == "selector").unwrap();
    let schema = &selector["content"]["application/json"]["schema"];
    assert_eq!(schema["type"], "object", "{selector}");
    assert!(selector["schema"].is_null(), "{selector}");
}
