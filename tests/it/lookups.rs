//! Lookups, as a router sees them:
//!
//! - [`replies`]: the reply has exactly the contract's fields, and no header in the normal case,
//! - [`ids`]: an id may stand in the subject, in a JSON object or alone; contradictions are refused,
//! - [`routing`]: context, version and the deployment's environment choose the version,
//! - [`many`]: many ids are answered from one revision, each for itself, up to 100,
//! - [`revisions`]: `min_revision` reads one's own writes, or says in time that it cannot.

mod ids;
mod many;
mod replies;
mod revisions;
mod routing;

use serde_json::Value;

/// The version of a record; else the reason or the code of an error.
fn outcome(body: &Value) -> String {
    let error = &body["error"];
    [
        &body["version"],
        &error["details"]["reason"],
        &error["code"],
    ]
    .into_iter()
    .find_map(Value::as_str)
    .unwrap_or_else(|| panic!("neither record nor error: {body}"))
    .to_owned()
}

fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}
