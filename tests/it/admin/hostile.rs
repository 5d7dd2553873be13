//! What nobody means well: each is refused or ignored, and neither tables, revision, audit nor
//! anybody's stream move.

use std::collections::BTreeSet;

use async_nats::{HeaderMap, jetstream};
use beamline_registry::adapters::nats::verb::Verb;
use serde_json::{Value, json};

use super::{plain, ready};
use crate::harness::{DEADLINE, Daemon, NatsServer, eventually};
use crate::rig::{Rig, metric};
use crate::schema::migrated;

const LARGE: usize = 1_000_000;

/// No id, version or instance id, no subject, no type and no actor.
const BAD_NAMES: &[&str] = &[
    "",
    " ",
    "*",
    ">",
    "x'; DROP TABLE extensions; --",
    "x' OR '1'='1",
    "\"x\"",
    "x/*",
    "x\\",
    "x%00",
    "x\u{0}",
    "x\ny",
    "../x",
    "$1",
    "$JS.API.STREAM.DELETE.x",
    "beamline.ext.*",
    "beamline.ext.>",
    "x\u{2028}",
    "\u{1f680}",
];

/// A valid request of each verb, and the fields that hold names.
fn requests() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let x = json!({"id": "x"});
    let version = json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2"});
    let instance = json!({"id": "x", "instance_id": "a", "subject": "beamline.ext.x.a"});
    vec![
        (
            "create",
            plain("y"),
            &["id", "type", "subject", "version", "actor"],
        ),
        (
            "update",
            json!({"id": "x", "subject": "beamline.ext.z"}),
            &["id", "subject", "actor"],
        ),
        ("delete", x.clone(), &["id", "actor"]),
        ("enable", x.clone(), &["id", "actor"]),
        ("disable", x, &["id", "actor"]),
        (
            "put_version",
            version.clone(),
            &["id", "version", "subject"],
        ),
        (
            "update_version",
            json!({"id": "x", "version": "v9", "retry": 2}),
            &["id", "version", "actor"],
        ),
        (
            "rollout",
            json!({"id": "x", "version": "v9", "percent": 10}),
            &["id", "version", "actor"],
        ),
        (
            "delete_version",
            json!({"id": "x", "version": "v9"}),
            &["id", "version"],
        ),
        (
            "promote",
            json!({"id": "x", "version": "v9"}),
            &["id", "version"],
        ),
        (
            "put_instance",
            instance,
            &["id", "instance_id", "version", "subject"],
        ),
        (
            "delete_instance",
            json!({"id": "x", "instance_id": "a"}),
            &["id", "instance_id"],
        ),
        (
            "circuit",
            json!({"id": "x", "action": "open"}),
            &["id", "version", "action", "actor"],
        ),
    ]
}

#[test]
fn every_verb_that_changes_something_is_tried() {
    let changes = Verb::ALL.into_iter().filter(|verb| verb.mutates());
    let changes = changes.filter(|verb| *verb != Verb::Reload);
    let changes: BTreeSet<_> = changes.map(Verb::as_str).collect();
    let tried = requests().into_iter().map(|(verb, ..)| verb);
    assert_eq!(BTreeSet::from_iter(tried), changes);
}

/// A JetStream server with a stream `x` that holds a message, and a daemon with an extension `x`.
async fn treasury() -> (Rig, Daemon) {
    let nats = NatsServer::builder().jetstream().start().await;
    let (database, sql) = migrated().await;
    let rig = Rig {
        client: crate::harness::Client::connect(&nats.url()).await,
        sql,
        database,
        nats,
    };
    let daemon = ready(rig.daemon()).await;
    let mut body = plain("x");
    body["config"] = json!({"keep": "me"});
    rig.ask("create", &body).await.ok();
    let context = jetstream::new(rig.client.nats().clone());
    let stream = jetstream::stream::Config {
        name: "x".into(),
        subjects: vec!["orders".into()],
        ..Default::default()
    };
    context.create_stream(stream).await.unwrap();
    let stored = context.publish("orders", "gold".into()).await.unwrap();
    stored.await.unwrap();
    (rig, daemon)
}

/// Everything that must not move: tables, revision, audit, the catalog in memory, the stream.
async fn everything(rig: &Rig) -> Value {
    let sql = "SELECT jsonb_build_object('digest', registry_digest()::text, 'revision', revision,
            'audit', (SELECT jsonb_agg(a ORDER BY id) FROM extension_audit_log a),
            'overrides', (SELECT count(*) FROM circuit_overrides),
            'tables', (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()))
        FROM registry_revision";
    let stored: Value = rig.sql.query_one(sql, &[]).await.unwrap().get(0);
    let stats = rig.stats().await;
    let all = rig.ask("list", &json!({"enabled": "all"})).await.ok();
    let context = jetstream::new(rig.client.nats().clone());
    let mut stream = context.get_stream("x").await.unwrap();
    let messages = stream.info().await.unwrap().state.messages;
    json!([stored, stats["digest"], stats["revision"], all, messages])
}

#[tokio::test]
async fn names_that_are_none_are_refused_in_every_field() {
    let (rig, _daemon) = treasury().await;
    let before = everything(&rig).await;
    let large = "x".repeat(LARGE / 2);
    for (verb, body, fields) in requests() {
        for field in fields {
            let more = match *field {
                "version" => [large.as_str(), "v 2"],
                "subject" => [large.as_str(), "beamline.ext..x"],
                _ => [large.as_str(), "a.b"],
            };
            for bad in BAD_NAMES.iter().chain(&more) {
                let mut body = body.clone();
                body[*field] = json!(bad);
                let reply = rig.ask(verb, &body).await;
                let shown: String = bad.chars().take(40).collect();
                let (number, _) = reply.error();
                assert_eq!(number, 400, "{verb} {field} {shown:?}: {reply:?}");
                assert!(reply.payload.len() < 2000, "{verb} {field} {shown:?}");
            }
        }
    }
    // Headers have neither line ends nor white space around their values.
    let in_header = |bad: &&&str| !bad.contains(['\u{0}', '\n']) && bad.trim() == **bad;
    for bad in BAD_NAMES.iter().filter(in_header) {
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Actor", *bad);
        let body = r#"{"id":"x"}"#;
        let reply = rig
            .client
            .request_with_headers("beamline.registry.disable", headers, body)
            .await;
        assert_eq!(reply.error().0, 400, "{bad:?}");
    }
    for token in ["x'--", "$JS", "x;y", "\u{e9}"] {
        for subject in [format!("disable.{token}"), format!("as.{token}.disable.x")] {
            let subject = format!("beamline.registry.{subject}");
            let reply = rig.client.request(&subject, "").await;
            assert_eq!(reply.error().0, 400, "{subject}");
        }
    }
    assert_eq!(everything(&rig).await, before);
    rig.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn bytes_that_are_no_request_change_nothing() {
    let (rig, daemon) = treasury().await;
    let before = everything(&rig).await;
    let nested = |open: &str, close: &str, depth: usize| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!(r#"{{"id":"x","config":{{"a":{open}1{close}}}}}"#).into_bytes()
    };
    let payloads = [
        vec![0; LARGE],
        vec![0xff; LARGE],
        b"{".repeat(LARGE),
        format!(r#"{{"id":"x","config":{{"a":"{}"}}}}"#, "x".repeat(LARGE)).into_bytes(),
        format!(r#"{{"id":"x","{}":1}}"#, "k".repeat(LARGE)).into_bytes(),
        nested("[", "]", 1000),
        nested("[", "]", 400_000),
        nested(r#"{"a":"#, "}", 100_000),
        br#"{"id":"x","config":{"a":"\u0000"}}"#.to_vec(),
        b"{\"id\":\"x\",\"config\":{\"a\":\"\0\"}}".to_vec(),
        br#"{"id":"x","config":{"a":"\ud800"}}"#.to_vec(),
        b"{\"id\":\"x\",\"config\":{\"a\":\"\xc3\x28\"}}".to_vec(),
        b"\xef\xbb\xbf{\"id\":\"x\"}".to_vec(),
        br#"{"id":"x","id":"x","config":{},"config":[]}"#.to_vec(),
        br#"{"id":"x","timeout_ms":1e400}"#.to_vec(),
        br#"{"id":"x","config":{"a":NaN}}"#.to_vec(),
        br#"{"id":"x"} trailing"#.to_vec(),
    ];
    // One of each way to read a body.
    for verb in ["create", "update", "put_version", "disable", "circuit"] {
        for payload in &payloads {
            let subject = format!("beamline.registry.{verb}");
            let reply = rig.client.request(&subject, payload.clone()).await;
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
            let (number, _) = reply.error();
            assert!(matches!(number, 400 | 413), "{verb} {shown:?}: {reply:?}");
        }
    }
    assert_eq!(everything(&rig).await, before);
    let panics = daemon
        .log()
        .into_iter()
        .filter(|line| line.contains("panicked"));
    assert_eq!(panics.count(), 0);
    rig.client.assert_one_reply_each().await;
}

/// What stands in data is data: it comes back as it was, through memory and through tables.
#[tokio::test]
async fn metacharacters_in_data_are_data() {
    let (rig, _daemon) = treasury().await;
    let texts: Vec<_> = BAD_NAMES
        .iter()
        .filter(|text| !text.contains('\u{0}'))
        .collect();
    let body = json!({
        "id": "y", "type": "pre", "subject": "beamline.ext.y",
        "config": {"texts": texts, "'; DROP TABLE extensions; --": "$1"},
        "metadata": {"$JS.API.STREAM.DELETE.x": texts},
        "routing_rules": {"x' OR '1'='1": texts},
    });
    let created = rig.ask("create", &body).await.ok();
    rig.ask("reload", &json!({})).await.ok();
    let stored = rig.ask("get", &json!({"id": "y"})).await.ok();
    assert_eq!(stored, created);
    for field in ["config", "metadata", "routing_rules"] {
        assert_eq!(stored[field], body[field], "{field}");
    }
    let context = json!({"x' OR '1'='1": "x/*"});
    let found = rig
        .ask("lookup", &json!({"id": "y", "context": context}))
        .await;
    assert_eq!(found.ok()["id"], "y");
    let audit = rig.ask("audit", &json!({"id": "y"})).await.ok();
    assert_eq!(
        audit["entries"][0]["changes"]["new"]["config"],
        body["config"]
    );
    let forced =
        json!({"id": "x", "action": "close", "reason": "'; DROP TABLE circuit_overrides; --"});
    rig.ask("circuit", &forced).await.ok();
    let audit = rig.ask("audit", &json!({"id": "x", "limit": 1})).await.ok();
    assert!(
        audit.to_string().contains("DROP TABLE circuit_overrides"),
        "{audit}"
    );
}

/// Whoever may not touch a stream cannot have the registry do it: such a request is dropped, and
/// not even carried out.
#[tokio::test]
async fn a_reply_subject_of_jetstream_reaches_no_stream() {
    let (rig, daemon) = treasury().await;
    let before = everything(&rig).await;
    let nats = rig.client.nats();
    let mut sent = 0;
    for reply in [
        "$JS.API.STREAM.DELETE.x",
        "$JS.API.STREAM.PURGE.x",
        "$SYS.REQ.SERVER.PING",
        "orders",
        "beamline.registry.delete.x",
    ] {
        for (verb, body, _) in requests() {
            let subject = format!("beamline.registry.{verb}");
            let body = body.to_string().into();
            nats.publish_with_reply(subject, reply, body).await.unwrap();
            sent += 1;
        }
        for verb in [
            "lookup.x",
            "get.x",
            "invoke.x",
            "stats",
            "ping",
            "as.eve.delete.x",
        ] {
            let subject = format!("beamline.registry.{verb}");
            nats.publish_with_reply(subject, reply, "".into())
                .await
                .unwrap();
            sent += 1;
        }
    }
    let name = "extension_registry_dropped_requests_total{reason=\"reply_not_allowed\"}";
    eventually("all are dropped", DEADLINE, async || {
        let dropped = metric(&daemon, name).await;
        if dropped == Some(f64::from(sent)) {
            Ok(())
        } else {
            Err(dropped)
        }
    })
    .await;
    assert_eq!(
        everything(&rig).await,
        before,
        "neither the stream nor the registry moved"
    );
}
