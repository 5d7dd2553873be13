//! Events are CloudEvents 1.0 on `<prefix>.events.<kind>`:
//!
//! - `registry_reloaded` whenever a load changed something, with what it changed,
//! - `source_changed` when `auto` moves from fixtures to the database,
//! - ids are unique, also across restarts of the same instance.

use std::collections::BTreeSet;

use async_nats::Subscriber;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, FaultProxy};
use crate::schema::migrated;
use crate::site::{Site, extension};

#[tokio::test]
async fn a_load_that_changes_something_is_an_event() {
    let site = Site::with(&json!([extension("pre", "a"), extension("pre", "b")])).await;
    let mut events = subscribe(&site, "beamline.registry.events.>").await;
    let _daemon = site.start(site.named("pod-1")).await;
    let event = next(&mut events).await;
    assert_envelope(&event, "registry_reloaded");
    let data = &event["data"];
    let counts = json!([
        data["added"],
        data["updated"],
        data["removed"],
        data["total"]
    ]);
    assert_eq!(counts, json!([2, 0, 0, 2]));
    let told = json!([
        data["trigger"],
        data["active_source"],
        data["revision"],
        data["quarantined"]
    ]);
    assert_eq!(told, json!(["start", "fixtures", 0, 0]));
    assert!(data["duration_ms"].is_number() && data["enabled"] == 2);

    // A reload without news is none; the next event is that of the edit.
    site.send("reload", "").await.ok();
    let mut changed = extension("pre", "b");
    changed["retry"] = json!(3);
    changed["enabled"] = json!(false);
    site.write_fixtures(&json!([changed, extension("pre", "c"), {"id": "bad"}]));
    let event = next(&mut events).await;
    assert_envelope(&event, "registry_reloaded");
    let data = &event["data"];
    let counts = json!([
        data["added"],
        data["updated"],
        data["removed"],
        data["total"]
    ]);
    assert_eq!(counts, json!([1, 1, 1, 2]));
    assert_eq!(json!([data["enabled"], data["quarantined"]]), json!([1, 1]));
    let text = event.to_string();
    assert!(
        !text.contains("beamline.ext"),
        "names and counts, never values: {text}"
    );
}

#[tokio::test]
async fn a_change_of_the_source_is_an_event() {
    let site = Site::with(&json!([extension("pre", "a")])).await;
    let (database, sql) = migrated().await;
    sql.batch_execute(
        "INSERT INTO extensions (id, type, subject) VALUES ('z', 'post', 'beamline.ext.z')",
    )
    .await
    .unwrap();
    let proxy = FaultProxy::start(database.addr()).await;
    proxy.cut().await;
    let mut events = subscribe(&site, "beamline.registry.events.source_changed").await;
    let builder = site.named("pod-1").setting("SOURCE", "auto");
    let daemon = site
        .start(builder.database(&database.url_at(proxy.addr())))
        .await;
    let reply = site.send("lookup", "a").await;
    assert_eq!(
        reply.header("Beamline-Source"),
        Some("fixtures"),
        "{reply:?}"
    );
    proxy.heal().await;
    let event = next(&mut events).await;
    assert_envelope(&event, "source_changed");
    assert_eq!(event["data"], json!({"from": "fixtures", "to": "database"}));
    let reply = site.send("lookup", "z").await;
    reply.ok();
    assert_eq!(reply.header("Beamline-Source"), None);
    drop(daemon);
}

#[tokio::test]
async fn ids_are_unique_across_events_and_restarts() {
    let site = Site::with(&json!([extension("pre", "a")])).await;
    let mut events = subscribe(&site, "beamline.registry.events.registry_reloaded").await;
    let mut ids = BTreeSet::new();
    for boot in 0..3 {
        let daemon = site.start(site.named("pod-1")).await;
        ids.insert(text(&next(&mut events).await, "id"));
        for edit in 0..3 {
            let mut changed = extension("pre", "a");
            changed["timeout_ms"] = json!(100 + boot * 10 + edit);
            site.write_fixtures(&json!([changed]));
            ids.insert(text(&next(&mut events).await, "id"));
        }
        daemon.sigterm();
        assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    }
    assert_eq!(ids.len(), 12, "{ids:#?}");
}

#[tokio::test]
async fn events_follow_the_prefix() {
    let site = Site::with(&json!([extension("pre", "a")])).await;
    let mut events = subscribe(&site, "acme.events.registry_reloaded").await;
    let _daemon = site
        .start(site.named("pod-1").setting("SUBJECT_PREFIX", "acme"))
        .await;
    assert_envelope(&next(&mut events).await, "registry_reloaded");
}

/// Subscribed for certain: the server has answered since.
async fn subscribe(site: &Site, subject: &str) -> Subscriber {
    let events = site
        .client
        .nats()
        .subscribe(subject.to_owned())
        .await
        .unwrap();
    site.client.assert_one_reply_each().await;
    events
}

async fn next(events: &mut Subscriber) -> Value {
    let event = tokio::time::timeout(DEADLINE, events.next()).await;
    serde_json::from_slice(&event.expect("an event").unwrap().payload).unwrap()
}

/// What CloudEvents 1.0 and the contract ask of every event of the sidecar `pod-1`.
fn assert_envelope(event: &Value, kind: &str) {
    let names: Vec<&String> = event.as_object().unwrap().keys().collect();
    let expected = [
        "data",
        "datacontenttype",
        "id",
        "source",
        "specversion",
        "time",
        "type",
    ];
    assert_eq!(names, expected, "no subject without an id: {event}");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], "/beamline-registry/pod-1");
    assert_eq!(event["type"], format!("beamline.registry.{kind}"));
    assert_eq!(event["datacontenttype"], "application/json");
    assert!(!text(event, "id").is_empty());
    assert!(
        humantime::parse_rfc3339(&text(event, "time")).is_ok(),
        "{event}"
    );
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap().to_owned()
}
