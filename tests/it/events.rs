//! Events are CloudEvents 1.0 on `<prefix>.events.<kind>`:
//!
//! - `registry_reloaded` whenever a load changed something, with what it changed,
//! - `source_changed` when `auto` moves from fixtures to the database,
//! - one that cannot be published is dropped and counted, and ends nothing,
//! - a stream knows an event that it has already by its header `Nats-Msg-Id`,
//! - ids are unique, also across restarts of the same instance.

use std::collections::BTreeSet;

use async_nats::{Subscriber, jetstream};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::events_seen::leave;
use crate::harness::{DEADLINE, FaultProxy, NatsServer, eventually};
use crate::rig::metric;
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
    leave("source_changed", &event);
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

#[tokio::test]
async fn a_stream_that_captures_an_event_twice_holds_it_once() {
    let nats = NatsServer::builder().jetstream().start().await;
    let site = Site::on(nats, &json!([extension("pre", "a")])).await;
    let context = jetstream::new(site.client.nats().clone());
    let config = jetstream::stream::Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["beamline.registry.events.>".to_owned()],
        ..Default::default()
    };
    let mut stream = context.create_stream(config).await.unwrap();
    let mut events = subscribe(&site, "beamline.registry.events.registry_reloaded").await;
    let _daemon = site.start(site.named("pod-1")).await;
    let event = events.next().await.unwrap();
    let id = event.headers.as_ref().and_then(|it| it.get("Nats-Msg-Id"));
    let body: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(id.map(|id| id.as_str()), body["id"].as_str());

    // The server hands an event on before it stores it.
    let before = eventually("the event is stored", DEADLINE, async || {
        let messages = stream.info().await.unwrap().state.messages;
        (messages > 0).then_some(messages)
    })
    .await;
    let (headers, payload) = (event.headers.clone().unwrap(), event.payload.clone());
    let again = context.publish_with_headers(event.subject.clone(), headers, payload);
    let stored = again.await.unwrap().await.unwrap();
    assert!(stored.duplicate);
    assert_eq!(stream.info().await.unwrap().state.messages, before);
}

const DROPPED: &str = "extension_registry_events_dropped_total";

/// CASES.md B5.
#[tokio::test]
async fn an_event_that_is_too_large_is_dropped_and_counted_and_ends_nothing() {
    let nats = NatsServer::builder().max_payload(460).start().await;
    let record = |id: &str| extension("pre", id);
    let site = Site::on(nats, &json!([record("a")])).await;
    let daemon = site.start(site.named("p")).await;
    let report = json!({"id": "a", "outcome": "failure"});
    let mut before = metric(&daemon, DROPPED).await.unwrap();
    for round in 0..2 {
        for _ in 0..5 {
            site.ask("report", &report).await.ok();
        }
        eventually("the event is counted", DEADLINE, async || {
            metric(&daemon, DROPPED).await > Some(before)
        })
        .await;
        before = metric(&daemon, DROPPED).await.unwrap();
        let reset = json!({"id": "a", "action": "reset"});
        site.ask("circuit", &reset).await.ok();
        assert_eq!(daemon.exit_code(), None, "round {round}");
    }
    daemon
        .wait_line("the loss", |line| {
            line.contains("an event was dropped").then_some(())
        })
        .await;
}

#[tokio::test]
async fn an_event_that_may_not_be_published_is_counted() {
    let denied = "authorization { users: [
        { user: d, password: d, permissions: { publish: { deny: \"beamline.registry.events.>\" } } }
        { user: t, password: t }
    ] }
    no_auth_user: t";
    let nats = NatsServer::builder().config(denied).start().await;
    let site = Site::on(nats, &json!([extension("pre", "a")])).await;
    let login = site
        .daemon()
        .setting("NATS_USER", "d")
        .setting("NATS_PASSWORD", "d");
    let daemon = site.start(login).await;
    eventually("the event is counted", DEADLINE, async || {
        metric(&daemon, DROPPED).await > Some(0.0)
    })
    .await;
    site.send("lookup", "a").await.ok();
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
