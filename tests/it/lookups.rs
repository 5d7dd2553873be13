//! Lookups, as a router sees them:
//!
//! - the reply has exactly the contract's fields, and no header in the normal case,
//! - an id may stand in the subject, in a JSON object or alone; contradictions are refused,
//! - context, version and the deployment's environment choose the version of section 4,
//! - many ids are answered from one revision, each for itself, up to 100,
//! - `min_revision` reads one's own writes on any sidecar, or says in time that it cannot.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Client, Daemon, NatsServer};
use crate::schema::migrated;
use crate::site::{Site, subject};

#[tokio::test]
async fn a_reply_has_exactly_the_contracts_fields() {
    let (site, _daemon) = Site::served().await;
    let plain = site.send("lookup", "plain").await;
    let expected = json!({
        "id": "plain", "type": "pre", "subject": "beamline.ext.plain.v1",
        "timeout_ms": 100, "retry": 0, "enabled": true, "version": "v1",
        "config": {"lowercase": true}, "metadata": {"owner": "text"},
        "fallback": [], "instances": [], "circuit_breaker_state": "closed", "revision": 0,
    });
    assert_eq!(plain.ok(), expected);
    assert!(plain.headers.is_empty(), "{plain:?}");

    let routed = site.send("lookup", "routed").await.ok();
    let expected = json!({
        "id": "routed", "type": "validator", "subject": "beamline.ext.routed.v1",
        "timeout_ms": 200, "retry": 2, "enabled": true, "version": "v1",
        "config": {"strict": true}, "metadata": {}, "fallback": ["plain"],
        "instances": [
            {"instance_id": "blue", "subject": "beamline.ext.routed.v1.blue", "weight": 30},
            {"instance_id": "green", "subject": "beamline.ext.routed.v1.green", "weight": 70},
        ],
        "circuit_breaker_state": "closed", "revision": 0,
    });
    assert_eq!(routed, expected);

    let defaults = site.send(
        "lookup",
        r#"{"id":"acme_only","context":{"tenant_id":"acme"}}"#,
    );
    let defaults = defaults.await.ok();
    assert_eq!(
        (&defaults["timeout_ms"], &defaults["retry"]),
        (&json!(5000), &json!(1))
    );
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn an_id_can_be_given_in_every_way() {
    let (site, daemon) = Site::served().await;
    let stats = site.send("stats", "").await.ok();
    let local = format!("local.{}", stats["instance_id"].as_str().unwrap());
    let expected = site.send("lookup", "plain").await.payload;
    for (verb, payload) in [
        ("lookup", "  plain\r\n"),
        ("lookup", r#"{"id":"plain"}"#),
        ("lookup", " {\"id\" : \"plain\"}\n"),
        (
            "lookup",
            r#"{"id":"pl\u0061in","version":null,"context":null,"ids":null}"#,
        ),
        (
            "lookup",
            r#"{"id":"plain","context":{},"a field of the future":[1]}"#,
        ),
        ("lookup.plain", ""),
        ("lookup.plain", " \n"),
        ("lookup.plain", "{}"),
        ("lookup.plain", "plain"),
        ("lookup.plain", r#"{"id":"plain"}"#),
    ] {
        for form in ["", "as.alice.", &format!("{local}.")] {
            let reply = site.send(&format!("{form}{verb}"), payload).await;
            assert_eq!(reply.payload, expected, "{form}{verb} {payload}");
        }
    }
    site.client.assert_one_reply_each().await;
    assert_eq!(daemon.exit_code(), None);
}

#[tokio::test]
async fn what_is_no_lookup_is_refused_and_named() {
    let (site, _daemon) = Site::served().await;
    for (verb, payload, field) in [
        ("lookup", "", Some("id")),
        ("lookup", "{}", Some("id")),
        ("lookup", r#"{"id":null}"#, Some("id")),
        ("lookup", r#"{"id":""}"#, Some("id")),
        ("lookup", r#"{"id":7}"#, Some("id")),
        ("lookup", r#"{"id":"no spaces"}"#, Some("id")),
        ("lookup", "no spaces", Some("id")),
        ("lookup", "\"plain\"", Some("id")),
        ("lookup", "[\"plain\"]", Some("id")),
        ("lookup.plain", "routed", Some("id")),
        ("lookup.plain", r#"{"id":"routed"}"#, Some("id")),
        ("lookup.pl\u{e4}in", "", Some("id")),
        (
            "lookup",
            r#"{"id":"plain","version":"v 1"}"#,
            Some("version"),
        ),
        ("lookup", r#"{"id":"plain","version":1}"#, Some("version")),
        (
            "lookup",
            r#"{"id":"plain","context":"prod"}"#,
            Some("context"),
        ),
        (
            "lookup",
            r#"{"id":"plain","min_revision":-1}"#,
            Some("min_revision"),
        ),
        (
            "lookup",
            r#"{"id":"plain","min_revision":1,"wait_ms":"1s"}"#,
            Some("wait_ms"),
        ),
        ("lookup", r#"{"id":"plain","ids":["plain"]}"#, Some("ids")),
        (
            "lookup",
            r#"{"ids":["plain"],"version":"v1"}"#,
            Some("version"),
        ),
        ("lookup", r#"{"ids":[]}"#, Some("ids")),
        ("lookup", r#"{"ids":"plain"}"#, Some("ids")),
        ("lookup", r#"{"ids":["plain",1]}"#, Some("ids[1]")),
        ("lookup", r#"{"id":"plain""#, None),
        ("lookup", r#"{"id":"plain"} {}"#, None),
    ] {
        let reply = site.send(verb, payload).await;
        let said = (reply.error(), reply.details()["field"].clone());
        let expected = ((400, "invalid_request".to_owned()), json!(field));
        assert_eq!(said, expected, "{verb} {payload}: {reply:?}");
    }
}

/// Sections 4.1 to 4.5, end to end.
#[tokio::test]
async fn context_and_version_choose_the_version() {
    let (site, _daemon) = Site::served().await;
    for (request, expected) in [
        (json!({"id": "routed"}), "v1"),
        (
            json!({"id": "routed", "context": {"environment": "prod"}}),
            "v1",
        ),
        (
            json!({"id": "routed", "context": {"environment": ["staging"]}}),
            "v1",
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging"}}),
            "v2",
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging", "tenant_id": "x"}}),
            "v2",
        ),
        (
            json!({"id": "routed", "context": {"environment": "staging", "tenant_id": "acme"}}),
            "v3",
        ),
        (json!({"id": "routed", "context": {"user_id": "u-1"}}), "v4"),
        (json!({"id": "routed", "context": {"user_id": 7}}), "v4"),
        (
            json!({"id": "routed", "context": {"user_id": "u-1", "environment": "staging"}}),
            "v2",
        ),
        (json!({"id": "routed", "version": "v1"}), "v1"),
        (json!({"id": "routed", "version": "v3"}), "v3"),
        (
            json!({"id": "routed", "version": "v5"}),
            "version_not_found",
        ),
        (
            json!({"id": "routed", "version": "v9"}),
            "version_not_found",
        ),
        (
            json!({"id": "acme_only", "context": {"tenant_id": "acme"}}),
            "v1",
        ),
        (
            json!({"id": "acme_only", "context": {"tenant_id": "other"}}),
            "not_targeted",
        ),
        (json!({"id": "acme_only"}), "not_targeted"),
        (json!({"id": "acme_only", "version": "v1"}), "v1"),
        (json!({"id": "off"}), "disabled"),
        (json!({"id": "off", "version": "v1"}), "disabled"),
        (json!({"id": "faulty"}), "quarantined"),
        (json!({"id": "nobody"}), "unknown"),
    ] {
        let reply = site.ask("lookup", &request).await;
        assert_eq!(outcome(&reply.json()), expected, "{request}");
    }
    let v3 = site
        .send("lookup", r#"{"id":"routed","version":"v3"}"#)
        .await
        .ok();
    let overlaid = json!([v3["timeout_ms"], v3["retry"], v3["config"], v3["subject"]]);
    assert_eq!(
        overlaid,
        json!([7, 0, {"strict": false}, "beamline.ext.routed.v3"])
    );
    assert_eq!(
        v3["instances"].as_array().unwrap().len(),
        1,
        "only its own: {v3}"
    );
    let v2 = site
        .send("lookup", r#"{"id":"routed","version":"v2"}"#)
        .await
        .ok();
    let inherited = json!([v2["timeout_ms"], v2["retry"], v2["config"]]);
    assert_eq!(inherited, json!([200, 2, {"strict": true}]));
}

#[tokio::test]
async fn the_deployments_environment_is_the_contexts_default() {
    let site = Site::with(&crate::site::extensions()).await;
    let _daemon = site
        .start(site.daemon().setting("ENVIRONMENT", "staging"))
        .await;
    for (context, version) in [
        (json!(null), "v2"),
        (json!({"tenant_id": "acme"}), "v3"),
        (json!({"environment": "prod"}), "v1"),
        (json!({"environment": null}), "v2"),
    ] {
        let request = json!({"id": "routed", "context": context});
        assert_eq!(
            site.ask("lookup", &request).await.ok()["version"],
            version,
            "{request}"
        );
        let many = json!({"ids": ["routed"], "context": context});
        let many = site.ask("lookup", &many).await.ok();
        assert_eq!(many["extensions"][0]["version"], version, "{request}");
    }
}

#[tokio::test]
async fn many_ids_are_answered_each_for_itself_and_in_order() {
    let (site, _daemon) = Site::served().await;
    let ids = [
        "routed",
        "off",
        "plain",
        "nobody",
        "no spaces",
        "faulty",
        "acme_only",
        "plain",
    ];
    let request = json!({"ids": ids, "context": {"environment": "staging"}});
    let reply = site.ask("lookup", &request).await;
    assert_eq!(reply.header("Beamline-Revision"), Some("0"));
    let body = reply.ok();
    assert_eq!(keys(&body), ["errors", "extensions", "revision"]);
    assert_eq!(body["revision"], 0);

    let found = body["extensions"].as_array().unwrap();
    let versions: Vec<_> = found.iter().map(|x| (&x["id"], &x["version"])).collect();
    let (v1, v2) = (&json!("v1"), &json!("v2"));
    assert_eq!(
        versions,
        [
            (&json!("routed"), v2),
            (&json!("plain"), v1),
            (&json!("plain"), v1)
        ]
    );
    let single = json!({"id": "routed", "context": {"environment": "staging"}});
    assert_eq!(
        found[0],
        site.ask("lookup", &single).await.ok(),
        "the same record as alone"
    );

    let errors = body["errors"].as_array().unwrap();
    for (error, (id, outcome_expected)) in errors.iter().zip([
        ("off", "disabled"),
        ("nobody", "unknown"),
        ("no spaces", "invalid_request"),
        ("faulty", "quarantined"),
        ("acme_only", "not_targeted"),
    ]) {
        assert_eq!(keys(error), ["code", "details", "id", "message"]);
        assert_eq!(error["id"], id);
        assert_eq!(
            outcome(&json!({ "error": error })),
            outcome_expected,
            "{error}"
        );
    }
    assert_eq!(errors.len(), 5);
}

#[tokio::test]
async fn at_most_a_hundred_ids_are_taken() {
    let (site, _daemon) = Site::served().await;
    let ids = |n: usize| json!({"ids": vec!["plain"; n]});
    let hundred = site.ask("lookup", &ids(100)).await.ok();
    assert_eq!(hundred["extensions"].as_array().unwrap().len(), 100);
    let more = site.ask("lookup", &ids(101)).await;
    assert_eq!(more.error(), (400, "invalid_request".to_owned()));
    assert_eq!(more.details()["field"], "ids");
}

#[tokio::test]
async fn the_revision_is_a_header_only_where_the_contract_says() {
    let (site, _daemon) = Site::served().await;
    for (verb, payload, expected) in [
        ("lookup", "plain", None),
        ("lookup", r#"{"id":"plain","version":"v1"}"#, None),
        ("lookup", r#"{"id":"plain","min_revision":0}"#, Some("0")),
        ("lookup", r#"{"ids":["plain"]}"#, Some("0")),
        ("list", "", Some("0")),
        ("lookup_by_type", "pre", Some("0")),
        ("get", "plain", Some("0")),
        ("explain", "plain", Some("0")),
        ("stats", "", Some("0")),
        ("ping", "", None),
        ("reload", "", None),
    ] {
        let reply = site.send(verb, payload).await;
        reply.ok();
        assert_eq!(
            reply.header("Beamline-Revision"),
            expected,
            "{verb} {payload}"
        );
    }
}

#[tokio::test]
async fn a_write_is_read_on_any_sidecar() {
    let nats = NatsServer::start().await;
    let (database, sql) = migrated().await;
    let sidecar = |name: &str| {
        let builder = Daemon::builder()
            .nats(&nats.url())
            .database(&database.url());
        builder
            .setting("SOURCE", "database")
            .setting("INSTANCE_ID", name)
            .spawn()
    };
    let daemons = [sidecar("one").await, sidecar("two").await];
    for daemon in &daemons {
        daemon.wait_ready().await;
    }
    let client = Client::connect(&nats.url()).await;
    for n in 1..=20 {
        let write = format!(
            "INSERT INTO extensions (id, type, subject, timeout_ms)
             VALUES ('a', 'pre', 'beamline.ext.a', {n})
             ON CONFLICT (id) DO UPDATE SET timeout_ms = excluded.timeout_ms"
        );
        sql.batch_execute(&write).await.unwrap();
        let revision: i64 = sql
            .query_one("SELECT revision FROM registry_revision", &[])
            .await
            .unwrap()
            .get(0);
        let request = json!({"id": "a", "min_revision": revision, "wait_ms": 10_000});
        let many = json!({"ids": ["a"], "min_revision": revision, "wait_ms": 10_000});
        for name in ["one", "two"] {
            let at = |verb: &str| subject(&format!("local.{name}.{verb}"));
            let reply = client.request_json(&at("lookup"), &request).await;
            let said: i64 = reply.header("Beamline-Revision").unwrap().parse().unwrap();
            assert!(said >= revision, "{said} < {revision}");
            let body = reply.ok();
            assert_eq!(
                (&body["timeout_ms"], &body["revision"]),
                (&json!(n), &json!(revision))
            );
            for verb in ["lookup", "get", "explain", "list", "stats"] {
                let reply = client
                    .request_json(&at(verb), &many_or(&many, &request, verb))
                    .await;
                let said: i64 = reply.header("Beamline-Revision").unwrap().parse().unwrap();
                assert!(said >= revision, "{verb}: {said} < {revision}");
                reply.ok();
            }
        }
    }
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_revision_that_does_not_come_is_told_in_time() {
    let (site, _daemon) = Site::served().await;
    let start = Instant::now();
    let ask = |wait_ms: u64| {
        let site = &site;
        async move {
            let request = json!({"id": "plain", "min_revision": 5, "wait_ms": wait_ms});
            (wait_ms, site.ask("lookup", &request).await, start.elapsed())
        }
    };
    for (wait_ms, reply, took) in join_all([0, 1, 200, 1000].map(ask)).await {
        assert_eq!(reply.error(), (412, "revision_timeout".to_owned()));
        assert_eq!(reply.details(), json!({"min_revision": 5, "revision": 0}));
        assert!(
            took >= Duration::from_millis(wait_ms),
            "{wait_ms} ms: after {took:?}"
        );
    }
    let start = Instant::now();
    let reply = site
        .send("lookup", r#"{"id":"plain","min_revision":1}"#)
        .await;
    assert_eq!(reply.error().0, 412);
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "the default is a second"
    );

    for verb in ["lookup", "get", "explain", "list", "stats"] {
        for min_revision in [0, 5] {
            let request = json!({"id": "plain", "min_revision": min_revision, "wait_ms": 10_001});
            let reply = site.ask(verb, &request).await;
            assert_eq!(
                reply.error(),
                (400, "invalid_request".to_owned()),
                "{verb} {request}"
            );
            assert_eq!(reply.details()["field"], "wait_ms");
        }
    }
    site.client.assert_one_reply_each().await;
}

/// `lookup` takes the request for many ids, the other verbs the one for one.
fn many_or(many: &Value, one: &Value, verb: &str) -> Value {
    if verb == "lookup" { many } else { one }.clone()
}

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
