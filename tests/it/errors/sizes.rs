//! How large an error may be.

use async_nats::HeaderMap;
use serde_json::{Map, Value, json};

use crate::harness::{NatsServer, Reply};
use crate::site::{Site, extensions, subject};

/// More than any error needs.
const LARGE: usize = 64 * 1024;

#[track_caller]
fn assert_small(reply: &Reply, code: &str) {
    assert_eq!(reply.error().1, code);
    assert!(reply.payload.len() < LARGE, "{} bytes", reply.payload.len());
}

/// CASES.md B11, C8.
#[tokio::test]
async fn an_error_is_small_whatever_it_is_about() {
    let (site, _daemon) = Site::served().await;
    let long = "x".repeat(600_000);
    let keyed = |value: Value| Value::Object(Map::from_iter([(long.clone(), value)]));
    let invoke = |field: &str, value: Value| {
        let mut body = json!({"id": "plain", "payload": {}});
        body[field] = value;
        body
    };
    for (verb, body) in [
        ("invoke", invoke("fallback_config", keyed(json!(1)))),
        ("invoke", invoke("config", json!(long))),
        ("invoke", invoke("version", json!(long))),
        ("invoke", invoke("timeout_ms", json!(long))),
        ("invoke", invoke("id", json!(long))),
        ("lookup", json!({ "id": long })),
        ("lookup", json!({"id": "plain", "version": long})),
        ("explain", json!({"id": "plain", "version": long})),
        ("get", json!({ "id": long })),
        ("list", json!({ "type": long })),
        ("list", json!({ "cursor": long })),
        ("health", json!({ "state": long })),
        ("circuit", json!({"id": "plain", "action": long})),
        (
            "circuit",
            json!({"id": "plain", "action": "open", "reason": long}),
        ),
        ("report", json!({"id": "plain", "outcome": long})),
        ("create", keyed(json!(1))),
        ("create", json!({"id": "n", "type": long, "subject": "s"})),
        ("create", json!({"id": "n", "type": "pre", "subject": long})),
        (
            "create",
            json!({"id": "n", "type": "pre", "subject": "s", "actor": long}),
        ),
        ("update", json!({"id": "plain", "retry": long})),
    ] {
        let reply = site.ask(verb, &body).await;
        let size = reply.payload.len();
        assert!(reply.header("Nats-Service-Error-Code").is_some(), "{verb}");
        assert!(size < 4096, "{size} bytes from {verb}");
    }
    let fields = (0..2000).map(|n| (format!("{n}{}", "y".repeat(400)), json!("z".repeat(50))));
    let body = Value::Object(fields.collect());
    assert_small(&site.ask("create", &body).await, "invalid_request");

    let ids = vec!["!".repeat(9_000); 100];
    let many = site.ask("lookup", &json!({ "ids": ids })).await;
    assert!(many.payload.len() < LARGE, "{} bytes", many.payload.len());
    assert_eq!(many.ok()["errors"].as_array().unwrap().len(), 100);
    site.client.assert_one_reply_each().await;
}

/// CASES.md B11: never silence.
#[tokio::test]
async fn an_error_that_does_not_fit_is_told_in_short() {
    for max_payload in [640, 1024, 4096] {
        let nats = NatsServer::builder().max_payload(max_payload).start().await;
        let site = Site::on(nats, &extensions()).await;
        let _daemon = site.start(site.daemon()).await;
        let fields = (0..max_payload / 12).map(|n| (format!("u{n}"), json!(1)));
        let body = Value::Object(fields.collect());
        let reply = site.ask("create", &body).await;
        assert_eq!(reply.error(), (400, "invalid_request".to_owned()));
        assert!(reply.payload.len() < max_payload);
        assert!(
            !reply.json()["error"]["message"]
                .as_str()
                .unwrap()
                .is_empty()
        );
        let id = "i".repeat(128);
        let reply = site.send("lookup", id).await;
        assert_eq!(reply.error().1, "extension_not_found");
        site.client.assert_one_reply_each().await;
    }
}

/// The headers that a call's error could do without leave no room for it.
#[tokio::test]
async fn an_error_that_does_not_fit_leaves_out_what_its_call_is_known_by() {
    let nats = NatsServer::builder().max_payload(460).start().await;
    let site = Site::on(nats, &extensions()).await;
    let daemon = site.daemon().setting("INSTANCE_ID", "i".repeat(128));
    let _daemon = site.start(daemon).await;
    for _ in 0..2 {
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Call-Id", "c".repeat(128).as_str());
        let (invoke, body) = (subject("invoke"), r#"{"id":"nope","payload":1}"#);
        let asked = site.client.request_with_headers(&invoke, headers, body);
        let reply = asked.await;
        assert_eq!(reply.error().1, "extension_not_found");
        assert_eq!(reply.header("Beamline-Call-Id"), None);
    }
    site.client.assert_one_reply_each().await;
}
