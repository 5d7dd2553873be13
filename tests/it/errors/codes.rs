//! Every code of the contract that reads and reloads can answer.

use futures_util::future::join_all;
use serde_json::json;

use super::assert_error;
use crate::harness::{Client, DEADLINE, Daemon, FaultProxy, NatsServer};
use crate::schema::migrated;
use crate::site::{Site, subject};

#[tokio::test]
async fn each_code_has_its_number_text_and_details() {
    let (site, _daemon) = Site::served().await;
    for (verb, payload, number, code, text, details) in [
        (
            "lookup",
            "no id",
            400,
            "invalid_request",
            "invalid request",
            json!({"field": "id"}),
        ),
        (
            "list",
            "[1]",
            400,
            "invalid_request",
            "invalid request",
            json!({}),
        ),
        (
            "lookup",
            "nobody",
            404,
            "extension_not_found",
            "extension not found",
            json!({"id": "nobody", "reason": "unknown"}),
        ),
        (
            "lookup",
            "off",
            404,
            "extension_not_found",
            "extension not found",
            json!({"id": "off", "reason": "disabled"}),
        ),
        (
            "lookup",
            "acme_only",
            404,
            "extension_not_found",
            "extension not found",
            json!({"id": "acme_only", "reason": "not_targeted"}),
        ),
        (
            "lookup",
            "faulty",
            404,
            "extension_not_found",
            "extension not found",
            json!({"id": "faulty", "reason": "quarantined"}),
        ),
        (
            "lookup",
            r#"{"id":"plain","version":"v7"}"#,
            404,
            "version_not_found",
            "version not found",
            json!({"id": "plain", "version": "v7"}),
        ),
        (
            "get",
            r#"{"id":"plain","min_revision":9,"wait_ms":1}"#,
            412,
            "revision_timeout",
            "revision not reached in time",
            json!({"min_revision": 9, "revision": 0}),
        ),
    ] {
        let reply = site.send(verb, payload).await;
        assert_error(&reply, number, code, text, &details);
    }
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn codes_of_the_database() {
    let nats = NatsServer::start().await;
    let (database, sql) = migrated().await;
    let proxy = FaultProxy::start(database.addr()).await;
    sql.batch_execute(
        "INSERT INTO extensions (id, type, subject, auto_disabled)
         VALUES ('tired', 'pre', 'beamline.ext.tired', true)",
    )
    .await
    .unwrap();
    let builder = Daemon::builder()
        .nats(&nats.url())
        .setting("SOURCE", "database");
    let daemon = builder
        .database(&database.url_at(proxy.addr()))
        .spawn()
        .await;
    daemon.wait_ready().await;
    let client = Client::connect(&nats.url()).await;
    let reply = client.request(&subject("lookup"), "tired").await;
    let details = json!({"id": "tired", "reason": "auto_disabled"});
    assert_error(
        &reply,
        404,
        "extension_not_found",
        "extension not found",
        &details,
    );

    proxy.cut().await;
    let reply = client.request(&subject("reload"), "").await;
    assert_error(
        &reply,
        503,
        "database_unavailable",
        "database unavailable",
        &json!({"reason": "unreachable"}),
    );
    assert!(
        !reply.json().to_string().contains("postgres:postgres"),
        "{reply:?}"
    );
    assert_eq!(
        client.request(&subject("get"), "tired").await.ok()["auto_disabled"],
        true
    );
}

#[tokio::test]
async fn too_many_waiting_reads_are_turned_away_at_once() {
    const WAITERS: usize = 1024;
    const MORE: usize = 50;
    let (site, daemon) = Site::served().await;
    let request = json!({"id": "plain", "min_revision": 1, "wait_ms": 10_000});
    let request = request.to_string();
    // On a busy machine the client alone needs half of that for a thousand answers.
    let patience = 3 * DEADLINE;
    let lookup = subject("lookup");
    let ask = |_| site.client.try_request(&lookup, request.clone(), patience);
    let replies = join_all((0..WAITERS + MORE).map(ask)).await;
    let replies: Vec<_> = replies.into_iter().map(Option::unwrap).collect();
    let (waited, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.error().0 == 412);
    assert_eq!((waited.len(), refused.len()), (WAITERS, MORE));
    for reply in refused {
        assert_error(
            reply,
            503,
            "overloaded",
            "overloaded",
            &json!({"reason": "requests"}),
        );
    }
    site.send("lookup", "plain").await.ok();
    site.client.assert_one_reply_each().await;
    assert_eq!(daemon.exit_code(), None);
}

#[tokio::test]
async fn messages_are_short_whatever_was_sent() {
    let (site, _daemon) = Site::served().await;
    let long = "x".repeat(900_000);
    for (verb, body) in [
        ("lookup", json!({"id": "plain", "min_revision": long})),
        ("lookup", json!({"id": long})),
        ("lookup", json!({"id": "plain", "version": long})),
        ("list", json!({"enabled": long})),
        ("list", json!({"cursor": long})),
        ("list", json!({"type": long})),
        ("list", json!({"limit": long})),
        ("explain", json!({"id": "plain", "context": long})),
        ("reload", json!({long.clone(): 1})),
        ("reload", json!({"id": long})),
    ] {
        let reply = site.ask(verb, &body).await;
        assert_eq!(reply.error(), (400, "invalid_request".to_owned()), "{verb}");
        assert!(
            reply.payload.len() < 1000,
            "{verb}: {} bytes",
            reply.payload.len()
        );
    }
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_write_refuses_unknown_fields_and_names_them() {
    let (site, _daemon) = Site::served().await;
    for body in [
        json!({"force": true}),
        json!({"id": "plain", "force": true}),
    ] {
        let reply = site.ask("reload", &body).await;
        let details = json!({"field": "force"});
        assert_error(&reply, 400, "invalid_request", "invalid request", &details);
    }
    site.ask("reload", &json!({"actor": "alice"})).await.ok();
}

#[tokio::test]
async fn header_texts_never_hold_request_data() {
    let (site, _daemon) = Site::served().await;
    let hostile = "evil\r\nX-Injected: 1";
    for (verb, body) in [
        ("lookup", json!({"id": hostile})),
        ("lookup", json!({"id": "plain", "version": hostile})),
        ("lookup", json!({"id": "plain", "min_revision": hostile})),
        ("list", json!({"type": hostile, "cursor": hostile})),
        ("reload", json!({hostile: hostile})),
    ] {
        let reply = site.ask(verb, &body).await;
        assert_error(
            &reply,
            400,
            "invalid_request",
            "invalid request",
            &reply.details(),
        );
        assert_eq!(reply.header("X-Injected"), None);
    }
}
