//! The verb `circuit`: its arguments, who may use it, and what it does without a database.

use serde_json::{Value, json};

use crate::errors::assert_error;
use crate::site::{Site, extensions};

#[tokio::test]
async fn without_a_database_it_holds_for_the_sidecar_that_answers() {
    let site = Site::with(&extensions()).await;
    let _a = site.start(site.named("a")).await;
    let _b = site.start(site.named("b")).await;
    let reply = site
        .ask(
            "local.a.circuit",
            &json!({"id": "routed", "version": "v3", "action": "open", "ttl_seconds": 60}),
        )
        .await
        .ok();
    assert_eq!(
        (&reply["version"], &reply["state"]),
        (&json!("v3"), &json!("open"))
    );
    assert_eq!(reply["forced"], reply["retry_at"], "until when");
    let fields: Vec<_> = reply.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "consecutive_failures",
            "error_rate",
            "forced",
            "id",
            "opened_at",
            "retry_at",
            "state",
            "version"
        ]
    );
    let state = async |sidecar: &str| {
        let subject = format!("local.{sidecar}.lookup");
        let body = json!({"id": "routed", "version": "v3"});
        site.ask(&subject, &body).await.ok()["circuit_breaker_state"].clone()
    };
    assert_eq!(
        (state("a").await, state("b").await),
        (json!("open"), json!("closed"))
    );
    let reply = site
        .ask(
            "local.a.circuit",
            &json!({"id": "routed", "version": "v3", "action": "reset"}),
        )
        .await
        .ok();
    assert_eq!(
        (&reply["state"], &reply["forced"]),
        (&json!("closed"), &json!(false))
    );
    assert_eq!(state("a").await, "closed");
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (site, _daemon) = Site::served().await;
    let long = "x".repeat(501);
    for (field, body) in [
        ("id", json!({"action": "open"})),
        ("id", json!({"id": "no such", "action": "open"})),
        ("id", json!({"id": 7, "action": "open"})),
        ("action", json!({"id": "plain"})),
        ("action", json!({"id": "plain", "action": "half_open"})),
        ("action", json!({"id": "plain", "action": "OPEN"})),
        (
            "version",
            json!({"id": "plain", "action": "open", "version": "v 1"}),
        ),
        (
            "ttl_seconds",
            json!({"id": "plain", "action": "open", "ttl_seconds": 0}),
        ),
        (
            "ttl_seconds",
            json!({"id": "plain", "action": "open", "ttl_seconds": 2_592_001}),
        ),
        (
            "ttl_seconds",
            json!({"id": "plain", "action": "open", "ttl_seconds": -1}),
        ),
        (
            "ttl_seconds",
            json!({"id": "plain", "action": "open", "ttl_seconds": 1.5}),
        ),
        (
            "ttl_seconds",
            json!({"id": "plain", "action": "reset", "ttl_seconds": 1}),
        ),
        (
            "reason",
            json!({"id": "plain", "action": "open", "reason": long}),
        ),
        (
            "reason",
            json!({"id": "plain", "action": "open", "reason": "a\u{0}b"}),
        ),
        (
            "actor",
            json!({"id": "plain", "action": "open", "actor": "a b"}),
        ),
        ("ttl", json!({"id": "plain", "action": "open", "ttl": 1})),
    ] {
        let reply = site.ask("circuit", &body).await;
        let details = json!({ "field": field });
        assert_error(&reply, 400, "invalid_request", "invalid request", &details);
    }
    for payload in ["", "plain", "[]", "{"] {
        let reply = site.send("circuit", payload).await;
        assert_eq!(
            reply.error(),
            (400, "invalid_request".to_owned()),
            "{payload:?}"
        );
    }
    let unknown = site
        .ask("circuit", &json!({"id": "nobody", "action": "open"}))
        .await;
    assert_eq!(unknown.error(), (404, "extension_not_found".to_owned()));
    let body = json!({"id": "plain", "version": "v9", "action": "open"});
    let unknown = site.ask("circuit", &body).await;
    assert_eq!(unknown.error(), (404, "version_not_found".to_owned()));
    let state = site.send("lookup", "plain").await.ok();
    assert_eq!(state["circuit_breaker_state"], "closed", "nothing was done");
    for seconds in [1, 2_592_000] {
        let body = json!({"id": "plain", "action": "close", "ttl_seconds": seconds});
        assert!(site.ask("circuit", &body).await.ok()["forced"].is_string());
    }
}

#[tokio::test]
async fn it_is_a_change() {
    let open = json!({"id": "plain", "action": "open"});
    let state = async |site: &Site| -> Value {
        site.send("lookup", "plain").await.ok()["circuit_breaker_state"].clone()
    };
    let site = Site::with(&extensions()).await;
    let daemon = site
        .start(site.daemon().setting("ADMIN_ENABLED", false))
        .await;
    for verb in ["circuit", "as.alice.circuit"] {
        let reply = site.ask(verb, &open).await;
        assert_error(&reply, 403, "forbidden", "forbidden", &json!({}));
    }
    assert_eq!(state(&site).await, "closed");
    drop(daemon);
    let _daemon = site
        .start(site.daemon().setting("REQUIRE_ACTOR_SUBJECT", true))
        .await;
    let reply = site.ask("circuit", &open).await;
    assert_error(&reply, 403, "forbidden", "forbidden", &json!({}));
    assert_eq!(state(&site).await, "closed");
    site.ask("as.alice.circuit", &open).await.ok();
    assert_eq!(state(&site).await, "open");
}
