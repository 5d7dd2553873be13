//! Errors and refusals:
//!
//! - each code has its number, in the header and in HTTP's sense, its fixed text and its details,
//! - header texts never hold request data,
//! - a reply goes only where replies may go: all else is dropped, counted, and logged once,
//! - mutating verbs need administration and, where asked for, an actor subject.

use async_nats::ConnectOptions;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::daemon::{field, message};
use crate::harness::{Client, DEADLINE, Daemon, FaultProxy, NatsServer, Reply, eventually};
use crate::schema::migrated;
use crate::site::{Site, extensions, subject};

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
        &json!({}),
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
    let request = json!({"id": "plain", "min_revision": 1, "wait_ms": 2000});
    let replies = join_all((0..WAITERS + MORE).map(|_| site.ask("lookup", &request))).await;
    let (waited, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.error().0 == 412);
    assert_eq!((waited.len(), refused.len()), (WAITERS, MORE));
    for reply in refused {
        assert_error(reply, 503, "overloaded", "overloaded", &json!({}));
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

#[tokio::test]
async fn replies_go_only_where_replies_may_go() {
    let (site, daemon) = Site::served().await;
    let options = ConnectOptions::new().skip_subject_validation(true);
    let sender = options.connect(site.nats.url()).await.unwrap();
    let refused = [
        "$JS.API.STREAM.DELETE.orders",
        "beamline.registry.lookup",
        "beamline.ext.plain.v1",
        "_INBOX.*",
        "_INBOX.a.>",
        "_INBOXES.a",
        "INBOX.a",
    ];
    let mut spy = sender.subscribe(">").await.unwrap();
    for verb in ["lookup", "get", "ping"] {
        for reply in refused {
            for _ in 0..2 {
                sender
                    .publish_with_reply(subject(verb), reply, "plain".into())
                    .await
                    .unwrap();
            }
        }
        sender.publish(subject(verb), "plain".into()).await.unwrap();
    }
    sender.flush().await.unwrap();
    let sent = 3 * (refused.len() * 2) as u64;
    let metric = "extension_registry_dropped_requests_total";
    eventually("all are counted", DEADLINE, async || {
        let page = daemon.get("/metrics").await.body;
        let value = |reason: &str| {
            let name = format!("{metric}{{reason=\"{reason}\"}} ");
            page.lines()
                .find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
        };
        let counted = (value("reply_not_allowed"), value("no_reply"));
        if counted == (Some(sent), Some(3)) {
            Ok(())
        } else {
            Err(counted)
        }
    })
    .await;

    // A good request's reply follows whatever a bad one would have caused.
    for verb in ["lookup", "get"] {
        site.send(verb, "plain").await.ok();
    }
    site.client.assert_one_reply_each().await;
    sender.publish("end", "".into()).await.unwrap();
    let mut echoes = 0;
    while let Some(seen) = futures_util::StreamExt::next(&mut spy).await {
        let named = seen.subject.as_str();
        if named == "end" {
            break;
        }
        if named == subject("lookup") {
            echoes += 1;
        }
        let answered = refused.contains(&named) && named != subject("lookup");
        assert!(!answered, "a reply to {named}");
    }
    assert_eq!(
        echoes,
        refused.len() * 2 + 2,
        "the requests themselves, and no reply among them"
    );

    let log = daemon.log();
    let said = |prefix: Option<&str>| {
        let entries = log
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries
            .filter(|entry| {
                message(entry).is_some_and(|text| text.contains("cannot be answered"))
                    && field(entry, "reply_prefix").and_then(Value::as_str) == prefix
            })
            .count()
    };
    for prefix in ["$JS", "beamline", "_INBOX", "_INBOXES", "INBOX"] {
        assert_eq!(said(Some(prefix)), 1, "{prefix} is logged once: {log:#?}");
    }
    assert_eq!(said(None), 1, "and so is a request without a reply subject");
}

#[tokio::test]
async fn other_reply_prefixes_can_be_allowed() {
    let site = Site::with(&extensions()).await;
    let _daemon = site
        .start(site.daemon().setting("REPLY_PREFIXES", "answers."))
        .await;
    let nats = site.client.nats();
    let mut answers = nats.subscribe("answers.>").await.unwrap();
    let mut inbox = nats.subscribe("_INBOX.own").await.unwrap();
    for reply in ["_INBOX.own", "answers.1"] {
        nats.publish_with_reply(subject("lookup"), reply, "plain".into())
            .await
            .unwrap();
    }
    let answer = tokio::time::timeout(DEADLINE, futures_util::StreamExt::next(&mut answers)).await;
    assert_eq!(answer.unwrap().unwrap().subject.as_str(), "answers.1");
    nats.publish("_INBOX.own", "marker".into()).await.unwrap();
    let first = tokio::time::timeout(DEADLINE, futures_util::StreamExt::next(&mut inbox)).await;
    assert_eq!(
        first.unwrap().unwrap().payload,
        "marker",
        "no longer a place for replies"
    );
}

#[tokio::test]
async fn without_administration_nothing_is_changed() {
    let site = Site::with(&extensions()).await;
    let _daemon = site
        .start(site.daemon().setting("ADMIN_ENABLED", false))
        .await;
    for verb in ["reload", "as.alice.reload", "all.reload"] {
        let reply = site.send(verb, "").await;
        assert_error(&reply, 403, "forbidden", "forbidden", &json!({}));
    }
    for verb in ["lookup", "get", "explain"] {
        site.send(verb, "plain").await.ok();
    }
    for verb in ["list", "stats", "ping", "as.alice.stats"] {
        site.send(verb, "").await.ok();
    }
}

#[tokio::test]
async fn changes_may_need_an_actor_in_the_subject() {
    let site = Site::with(&extensions()).await;
    let _daemon = site
        .start(site.daemon().setting("REQUIRE_ACTOR_SUBJECT", true))
        .await;
    let reply = site.send("reload", "").await;
    assert_error(&reply, 403, "forbidden", "forbidden", &json!({}));
    let reply = site.ask("reload", &json!({"actor": "alice"})).await;
    assert_eq!(reply.error().0, 403, "a field is no subject");
    site.send("as.alice.reload", "").await.ok();
    site.send("lookup", "plain").await.ok();
}

#[tokio::test]
async fn an_actor_is_one_token_of_harmless_characters() {
    let (site, _daemon) = Site::served().await;
    let longest = "a".repeat(128);
    for actor in ["alice", "a@b", "A_1=+-", &longest] {
        site.send(&format!("as.{actor}.lookup.plain"), "")
            .await
            .ok();
        site.send(&format!("as.{actor}.stats"), "").await.ok();
    }
    let too_long = "a".repeat(129);
    for actor in ["m\u{fc}ller", "a:b", "a'b", "$SYS", "{}", &too_long] {
        for verb in ["lookup.plain", "get.plain", "reload", "ping"] {
            let reply = site.send(&format!("as.{actor}.{verb}"), "").await;
            let details = json!({"field": "actor"});
            assert_error(&reply, 400, "invalid_request", "invalid request", &details);
        }
    }
}

#[tokio::test]
async fn an_unknown_verb_has_no_responders() {
    let (site, _daemon) = Site::served().await;
    for verb in [
        "nothing",
        "list.plain",
        "ping.plain",
        "lookup.a.b",
        "all.lookup",
        "local.x.ping",
    ] {
        assert!(site.send(verb, "").await.is_no_responders(), "{verb}");
    }
}

/// The whole shape of an error: both headers, and a body with three fields.
#[track_caller]
fn assert_error(reply: &Reply, number: u16, code: &str, text: &str, details: &Value) {
    assert_eq!(reply.error(), (number, code.to_owned()), "{reply:?}");
    assert_eq!(reply.header("Nats-Service-Error"), Some(text));
    assert_eq!(&reply.details(), details, "{reply:?}");
    let body = reply.json();
    let error = body["error"].as_object().unwrap();
    let keys: Vec<_> = error.keys().collect();
    assert_eq!(keys, ["code", "details", "message"]);
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert_eq!(body.as_object().unwrap().len(), 1);
}
