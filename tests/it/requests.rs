//! What requests, files and rows say, and that every verb understands the same:
//!
//! - [`context`]: who asks, numbers to the last digit, what cannot be compared,
//! - [`numbers`]: whole numbers however they are written, from every place,
//! - [`nulls`]: what is absent, and the field that an error names,
//! - [`objects`]: limits, settings and keys given twice: a fault wherever they come from,
//! - [`headers`]: found in any case, of requests and of replies,
//! - [`agreement`]: random values, every verb, and a model that shares no code with them.

mod agreement;
mod context;
mod headers;
mod nulls;
mod numbers;
mod objects;

use serde_json::{Value, json};

use crate::harness::{Behaviour, Daemon, Extension, Reply};
use crate::site::{Site, extensions};

/// A daemon with somebody who plays `plain`, with time enough for a busy machine.
async fn played() -> (Site, Daemon, Extension) {
    let mut fixtures = extensions();
    fixtures[0]["timeout_ms"] = json!(20_000);
    let (site, daemon) = Site::serving(&fixtures).await;
    let url = site.nats.url();
    let plain = Extension::at(&url, "beamline.ext.plain.v1", Behaviour::Echo).await;
    (site, daemon, plain)
}

/// The field that a 400 names, and its message.
#[track_caller]
fn refused(reply: &Reply) -> (String, String) {
    assert_eq!(
        reply.error(),
        (400, "invalid_request".to_owned()),
        "{reply:?}"
    );
    let field = reply.details()["field"].clone();
    let message = reply.json()["error"]["message"].clone();
    let [field, message] = [field, message].map(|text| {
        let text = text.as_str();
        text.unwrap_or_else(|| panic!("no field: {reply:?}"))
            .to_owned()
    });
    // Not the decoder's words, which are Rust's.
    for word in [
        "invalid type",
        "expected ",
        "u64",
        "f64",
        "borrowed",
        "at line",
    ] {
        assert!(!message.contains(word), "{message}");
    }
    (field, message)
}

/// The version that every verb chooses for a context, written as it is; they must agree.
async fn chosen(site: &Site, id: &str, context: &str) -> String {
    let one = format!(r#"{{"id":"{id}","context":{context}}}"#);
    let many = format!(r#"{{"ids":["{id}"],"context":{context}}}"#);
    let dry = format!(r#"{{"id":"{id}","payload":{{}},"dry_run":true,"context":{context}}}"#);
    let versions = [
        site.send("lookup", one.clone()).await.ok()["version"].clone(),
        site.send("lookup", many).await.ok()["extensions"][0]["version"].clone(),
        site.send("explain", one).await.ok()["version"].clone(),
        site.send("invoke", dry).await.ok()["version"].clone(),
    ];
    assert!(
        versions.iter().all(|it| *it == versions[0]),
        "{context}: {versions:?}"
    );
    versions[0]
        .as_str()
        .unwrap_or_else(|| panic!("{context}: {versions:?}"))
        .to_owned()
}

/// The refusal of a context by every verb; they must agree.
async fn refused_by_all(site: &Site, id: &str, context: &str) -> (String, String) {
    let one = format!(r#"{{"id":"{id}","context":{context}}}"#);
    let many = format!(r#"{{"ids":["{id}"],"context":{context}}}"#);
    let call = format!(r#"{{"id":"{id}","payload":{{}},"context":{context}}}"#);
    let dry = format!(r#"{{"id":"{id}","payload":{{}},"dry_run":true,"context":{context}}}"#);
    let refusals = [
        refused(&site.send("lookup", one.clone()).await),
        refused(&site.send("lookup", many).await),
        refused(&site.send("explain", one).await),
        refused(&site.send("invoke", call).await),
        refused(&site.send("invoke", dry).await),
    ];
    assert!(
        refusals.iter().all(|it| *it == refusals[0]),
        "{context}: {refusals:?}"
    );
    refusals[0].clone()
}

/// The faults in `stats`, by origin.
fn faults(stats: &Value) -> Vec<(String, String)> {
    let faults = stats["quarantined"].as_array().unwrap().iter();
    let texts = faults.map(|fault| {
        let [origin, reason] = ["origin", "reason"].map(|name| fault[name].as_str().unwrap());
        (origin.to_owned(), reason.to_owned())
    });
    texts.collect()
}
