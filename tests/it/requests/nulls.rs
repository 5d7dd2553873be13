//! Null is absent, and an error names its field.

use serde_json::{Value, json};

use super::{played, refused};
use crate::rig::Rig;
use crate::site::{Site, subject};

/// CASES.md C4: every optional field of every read, null.
#[tokio::test]
async fn null_is_absent_in_reads_and_calls() {
    let (site, _daemon, _plain) = played().await;
    for (verb, given, optional) in [
        (
            "lookup",
            r#""id":"plain""#,
            &["ids", "version", "context", "min_revision", "wait_ms"][..],
        ),
        (
            "lookup",
            r#""ids":["plain"]"#,
            &["id", "version", "context", "min_revision", "wait_ms"],
        ),
        (
            "explain",
            r#""id":"plain""#,
            &["version", "context", "min_revision", "wait_ms"],
        ),
        ("get", r#""id":"plain""#, &["min_revision", "wait_ms"]),
        (
            "list",
            r#""a":1"#,
            &[
                "type",
                "enabled",
                "limit",
                "cursor",
                "min_revision",
                "wait_ms",
            ],
        ),
        (
            "lookup_by_type",
            r#""type":"pre""#,
            &["enabled", "limit", "cursor", "min_revision"],
        ),
        (
            "health",
            r#""a":1"#,
            &["id", "state", "limit", "cursor", "min_revision", "wait_ms"],
        ),
        (
            "circuits",
            r#""a":1"#,
            &["limit", "cursor", "min_revision", "wait_ms"],
        ),
        ("stats", r#""a":1"#, &["min_revision", "wait_ms"]),
        ("ping", r#""a":1"#, &["min_revision", "wait_ms"]),
        ("reload", r#""actor":"a""#, &["id"]),
        ("reload", r#""id":"plain""#, &["actor"]),
        (
            "report",
            r#""id":"plain","outcome":"success""#,
            &["version", "latency_ms"],
        ),
        (
            "invoke",
            r#""id":"plain","payload":{}"#,
            &[
                "version",
                "metadata",
                "config",
                "fallback_config",
                "context",
                "timeout_ms",
                "deadline_ms",
                "dry_run",
            ],
        ),
        (
            "circuit",
            r#""id":"plain","action":"reset""#,
            &["version", "ttl_seconds", "reason", "actor"],
        ),
    ] {
        for field in optional {
            let body = format!(r#"{{{given},"{field}":null}}"#);
            site.send(verb, body).await.ok();
        }
        let all: Vec<_> = optional
            .iter()
            .map(|field| format!(r#","{field}":null"#))
            .collect();
        site.send(verb, format!("{{{given}{}}}", all.concat()))
            .await
            .ok();
    }
    let nested = r#"{"id":"plain","payload":{},"context":{"tenant_id":null,"trace_id":null},
                     "fallback_config":{"x":null}}"#;
    let echoed = site.send("invoke", nested).await.ok();
    assert_eq!(
        (&echoed["tenant_id"], &echoed["trace_id"]),
        (&Value::Null, &Value::Null)
    );
}

/// The same of writes, where null is no default.
#[tokio::test]
async fn null_is_absent_in_writes() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let x = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x", "if_revision": null});
    rig.ask("create", &x).await.ok();
    let rollout = json!({"by": "user_id", "percent": 5, "salt": "s", "halt": {}});
    let v2 =
        json!({"id": "x", "version": "v2", "subject": "beamline.ext.x.v2", "rollout": rollout});
    rig.ask("put_version", &v2).await.ok();
    for (verb, given, optional) in [
        (
            "disable",
            json!({"id": "x"}),
            &["ids", "selector", "if_revision", "actor", "dry_run"][..],
        ),
        (
            "enable",
            json!({"ids": ["x"]}),
            &["id", "selector", "if_revision", "actor", "dry_run"],
        ),
        (
            "enable",
            json!({"selector": {"type": "pre"}}),
            &["id", "ids", "if_revision"],
        ),
        (
            "rollout",
            json!({"id": "x", "version": "v2", "percent": 20}),
            &["by", "salt", "halt", "if_revision"],
        ),
        (
            "delete_version",
            json!({"id": "x", "version": "v2", "dry_run": true}),
            &["actor"],
        ),
    ] {
        let mut body = given;
        for field in optional {
            body[*field] = Value::Null;
        }
        rig.ask(verb, &body).await.ok();
    }
    let version = &rig.ask("get", &json!({"id": "x"})).await.ok()["versions"][0];
    assert_eq!(
        version["rollout"],
        json!({"by": "user_id", "percent": 20, "salt": "s", "halt": {}})
    );
    for field in ["type", "version"] {
        let refused = rig.ask("update", &json!({"id": "x", field: null})).await;
        assert_eq!(refused.details()["field"], field);
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let (site, _daemon) = Site::served().await;
    for (verb, body, field, rule) in [
        (
            "invoke",
            r#"{"id":"plain","payload":null}"#,
            "payload",
            "must not be null",
        ),
        ("invoke", r#"{"id":"plain"}"#, "payload", "is missing"),
        ("invoke.plain", "", "payload", "is missing"),
        ("invoke.plain", "{}", "payload", "is missing"),
        ("invoke", "", "id", "is missing"),
        ("invoke", r#"{"id":null,"payload":{}}"#, "id", "is missing"),
        (
            "invoke",
            r#"{"id":"plain","payload":{},"dry_run":1}"#,
            "dry_run",
            "must be true or false",
        ),
        (
            "invoke",
            r#"{"id":"plain","payload":{},"config":[]}"#,
            "config",
            "must be a JSON object",
        ),
        (
            "invoke",
            r#"{"id":"plain","payload":{},"version":2}"#,
            "version",
            "must be a string",
        ),
        (
            "invoke",
            r#"{"id":"plain","payload":{},"config":{"a":{"b":1,"b":2}}}"#,
            "config",
            "has the key `a.b` twice",
        ),
        (
            "invoke",
            r#"{"id":"plain","payload":{},"fallback_config":{"x":{},"x":{}}}"#,
            "fallback_config",
            "has the key `x` twice",
        ),
        (
            "invoke",
            r#"{"id":"plain","payload":{},"fallback_config":{"x":1}}"#,
            "fallback_config.x",
            "must be a JSON object",
        ),
        (
            "invoke",
            r#"{"id":"plain","payload":{},"payload":{}}"#,
            "payload",
            "is given twice",
        ),
        ("lookup", "", "id", "is missing"),
        ("lookup", "{}", "id", "is missing"),
        ("lookup", r#"{"id":null}"#, "id", "is missing"),
        ("lookup", r#"{"id":7}"#, "id", "must be a string"),
        (
            "lookup",
            r#"{"id":"\ud800"}"#,
            "id",
            "holds half of a surrogate pair",
        ),
        (
            "lookup",
            r#"{"id":"plain","id":"plain"}"#,
            "id",
            "is given twice",
        ),
        (
            "lookup",
            r#"{"id":"plain","\u0069d":"plain"}"#,
            "id",
            "is given twice",
        ),
        ("lookup", r#"{"ids":"plain"}"#, "ids", "must be a list"),
        (
            "lookup",
            r#"{"ids":["plain",null]}"#,
            "ids[1]",
            "must be a string",
        ),
        (
            "lookup",
            r#"{"id":"plain","context":{},"context":{}}"#,
            "context",
            "is given twice",
        ),
        ("explain", "", "id", "is missing"),
        ("get", "{}", "id", "is missing"),
        ("lookup_by_type", "", "type", "is missing"),
        (
            "list",
            r#"{"enabled":"some"}"#,
            "enabled",
            "must be true, false or \"all\"",
        ),
        (
            "list",
            r#"{"enabled":1e400}"#,
            "enabled",
            "must be true, false or \"all\"",
        ),
        ("report", "", "outcome", "is missing"),
        ("report", r#"{"outcome":"success"}"#, "id", "is missing"),
        (
            "report",
            r#"{"id":"plain","outcome":"success","latency_ms":1e400}"#,
            "latency_ms",
            "must be a number from 0 to 86400000",
        ),
        ("circuit", "", "id", "is missing"),
        ("circuit", r#"{"id":"plain"}"#, "action", "is missing"),
        (
            "circuit",
            r#"{"id":"plain","action":"ajar"}"#,
            "action",
            "must be open, close or reset",
        ),
        (
            "circuit",
            r#"{"id":"plain","action":"open","until":1}"#,
            "until",
            "is unknown",
        ),
        ("reload", r#"{"idd":"plain"}"#, "idd", "is unknown"),
        (
            "reload",
            r#"{"actor":"no name"}"#,
            "actor",
            "must match [A-Za-z0-9_@=+-]{1,128}",
        ),
        (
            "reload",
            r#"{"id":"plain","id":"off"}"#,
            "id",
            "is given twice",
        ),
    ] {
        let (named, message) = refused(&site.send(verb, body).await);
        assert_eq!(named, field, "{verb} {body}: {message}");
        assert_eq!(message, format!("`{field}` {rule}"), "{verb} {body}");
    }
}

#[tokio::test]
async fn null_is_the_default_in_writes_and_what_is_missing_is_named() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let optional = [
        "timeout_ms",
        "retry",
        "enabled",
        "version",
        "config",
        "metadata",
        "fallback",
        "routing_rules",
        "rollout",
        "circuit_breaker",
        "actor",
    ];
    let mut body = json!({"id": "x", "type": "pre", "subject": "beamline.ext.x"});
    body.as_object_mut()
        .unwrap()
        .extend(optional.map(|field| (field.to_owned(), Value::Null)));
    let created = rig.ask("create", &body).await.ok();
    let plain = json!({"id": "y", "type": "pre", "subject": "beamline.ext.y"});
    let plain = rig.ask("create", &plain).await.ok();
    for field in [
        "timeout_ms",
        "retry",
        "enabled",
        "version",
        "config",
        "metadata",
        "fallback",
    ] {
        assert_eq!(created[field], plain[field], "{field}");
    }
    let set = json!({
        "id": "x", "timeout_ms": 7, "retry": 3, "enabled": false, "config": {"a": 1},
        "metadata": {"max_in_flight": 3}, "fallback": ["y"], "routing_rules": {"t": 1},
        "rollout": {"by": "t", "percent": 5}, "circuit_breaker": {"failure_threshold": 3},
    });
    rig.ask("update", &set).await.ok();
    let mut back = json!({"id": "x", "if_revision": null, "actor": null});
    for field in set
        .as_object()
        .unwrap()
        .keys()
        .filter(|field| *field != "id")
    {
        back[field] = Value::Null;
    }
    let mut updated = rig.ask("update", &back).await.ok();
    for of_the_change in ["revision", "updated_at", "updated_by"] {
        updated[of_the_change] = created[of_the_change].clone();
    }
    assert_eq!(updated, created);
    let version = r#"{"id":"x","version":"v2","subject":"beamline.ext.x2","timeout_ms":null,"retry":null,
        "config":null,"metadata":null,"routing_rules":null,"rollout":null,"priority":null,"enabled":null}"#;
    rig.client
        .request(&subject("put_version"), version)
        .await
        .ok();
    let instance = r#"{"id":"x","instance_id":"a","subject":"beamline.ext.xa","version":null,"weight":null,"enabled":null}"#;
    rig.client
        .request(&subject("put_instance"), instance)
        .await
        .ok();
    rig.client
        .request(
            &subject("audit"),
            r#"{"id":null,"limit":null,"before":null}"#,
        )
        .await
        .ok();
    for (verb, body, field) in [
        ("create", "", "id"),
        ("create", r#"{"id":"z","type":"pre"}"#, "subject"),
        (
            "create",
            r#"{"id":"z","type":"pre","subject":null}"#,
            "subject",
        ),
        ("create", r#"{"id":"z","subject":"beamline.ext.z"}"#, "type"),
        ("update", r#"{"id":"x","subject":null}"#, "subject"),
        ("put_version", r#"{"id":"x","version":"v3"}"#, "subject"),
        (
            "put_version",
            r#"{"id":"x","subject":"beamline.ext.x3"}"#,
            "version",
        ),
        ("put_instance", r#"{"id":"x","instance_id":"b"}"#, "subject"),
        ("promote", r#"{"id":"x","version":null}"#, "version"),
        ("delete", "", "id"),
        ("delete", r#"{"id":"x","id":"y"}"#, "id"),
    ] {
        let reply = rig.client.request(&subject(verb), body).await;
        let (named, message) = refused(&reply);
        assert_eq!(named, field, "{verb} {body}: {message}");
    }
}
