//! What is refused, with every fault named; nothing changes then.

use serde_json::{Value, json};

use super::{plain, started};
use crate::rig::Rig;

/// All definitions and the revision: what must not move.
async fn everything(rig: &Rig) -> (Value, Value) {
    let all = rig.ask("list", &json!({"enabled": "all"})).await.ok();
    (all, rig.stats().await["revision"].clone())
}

#[tokio::test]
async fn every_fault_is_named_with_its_value_and_rule() {
    let (rig, _daemon) = started().await;
    let bad = json!({"id": "no id", "type": "nothing", "subject": "$SYS.x", "timeout_ms": 0,
        "retry": "many", "colour": "red"});
    let reply = rig.ask("create", &bad).await;
    assert_eq!(reply.error(), (400, "invalid_request".into()));
    let faults = reply.details()["faults"].clone();
    let named = |field: &str| {
        let mut faults = faults.as_array().unwrap().iter();
        faults.find(|fault| fault["field"] == field).cloned()
    };
    assert_eq!(named("colour").unwrap()["rule"], "is unknown");
    assert_eq!(named("retry").unwrap()["value"], "many");
    assert_eq!(named("id").unwrap()["value"], "no id");

    let bad = json!({"id": "x", "type": "nothing", "subject": "$SYS.x", "timeout_ms": 0,
        "retry": 11, "rollout": {"percent": 101}});
    let reply = rig.ask("create", &bad).await;
    let faults = reply.details()["faults"].clone();
    let fields = faults.as_array().unwrap().iter();
    let fields: Vec<_> = fields
        .map(|fault| fault["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["type", "subject", "timeout_ms", "retry", "rollout"]
    );
    assert_eq!(rig.stats().await["revision"], 0);
}

#[tokio::test]
async fn what_breaks_a_rule_changes_nothing() {
    let (rig, _daemon) = started().await;
    rig.ask("create", &plain("x")).await.ok();
    rig.ask("create", &plain("y")).await.ok();
    let before = everything(&rig).await;
    let taken = json!({"id": "z", "type": "pre", "subject": "beamline.ext.x"});
    let missing = json!({"id": "nobody"});
    let long = "x".repeat(600_000);
    let mut long_key = json!({"id": "x", "circuit_breaker": {}});
    long_key["circuit_breaker"][&long] = json!(1);
    for (verb, body, number, code) in [
        ("create", plain("x"), 409, "already_exists"),
        ("create", taken, 409, "already_exists"),
        (
            "create",
            json!({"id": "health", "type": "pre", "subject": "beamline.ext.h"}),
            400,
            "invalid_request",
        ),
        (
            "create",
            json!({"id": "w", "type": "pre", "subject": "beamline.registry.lookup"}),
            400,
            "invalid_request",
        ),
        (
            "create",
            json!({"id": "w", "type": "pre", "subject": "beamline.ext.*"}),
            400,
            "invalid_request",
        ),
        (
            "create",
            json!({"id": "w", "type": "pre", "subject": "beamline.ext.w", "timeout_ms": 120_001}),
            400,
            "invalid_request",
        ),
        (
            "create",
            json!({"id": "w", "type": "pre", "subject": "beamline.ext.w", "config": []}),
            400,
            "invalid_request",
        ),
        (
            "create",
            json!({"id": "w", "type": "pre", "subject": "beamline.ext.w", "config": {"a": "\u{0}"}}),
            400,
            "invalid_request",
        ),
        (
            "create",
            json!({"id": "x'; DROP TABLE extensions; --", "type": "pre", "subject": "beamline.ext.w"}),
            400,
            "invalid_request",
        ),
        ("update", long_key, 400, "invalid_request"),
        (
            "update",
            json!({"id": "x", "config": {"a": long}}),
            413,
            "payload_too_large",
        ),
        (
            "put_version",
            json!({"id": "x", "version": "v2", "subject": "beamline.ext.v2", "metadata": {"a": long}}),
            413,
            "payload_too_large",
        ),
        (
            "create",
            json!({"id": "w", "type": "pre", "subject": "beamline.ext.w", "if_revision": 1}),
            400,
            "invalid_request",
        ),
        (
            "create",
            json!({"id": long, "type": "pre", "subject": "beamline.ext.w"}),
            400,
            "invalid_request",
        ),
        (
            "update",
            json!({"id": "x", "type": "post"}),
            400,
            "invalid_request",
        ),
        (
            "update",
            json!({"id": "x", "version": "v2"}),
            400,
            "invalid_request",
        ),
        (
            "update",
            json!({"id": "x", "subject": null}),
            400,
            "invalid_request",
        ),
        (
            "update",
            json!({"id": "x", "subject": "beamline.ext.y"}),
            409,
            "already_exists",
        ),
        (
            "update",
            json!({"id": "x", "retry": 2, "if_revision": 7}),
            409,
            "conflict",
        ),
        ("update", missing.clone(), 404, "extension_not_found"),
        ("delete", missing.clone(), 404, "extension_not_found"),
        ("enable", missing.clone(), 404, "extension_not_found"),
        (
            "disable",
            json!({"id": "x", "if_revision": 2}),
            409,
            "conflict",
        ),
        (
            "promote",
            json!({"id": "x", "version": "v9"}),
            404,
            "version_not_found",
        ),
        ("promote", json!({"id": "x"}), 400, "invalid_request"),
        (
            "delete_version",
            json!({"id": "x", "version": "v9"}),
            404,
            "version_not_found",
        ),
        (
            "delete_version",
            json!({"id": "x", "version": "v1"}),
            409,
            "conflict",
        ),
        (
            "put_instance",
            json!({"id": "x", "instance_id": "a", "subject": "beamline.ext.a", "version": "v9"}),
            404,
            "version_not_found",
        ),
        (
            "put_instance",
            json!({"id": "x", "instance_id": "a", "subject": "beamline.ext.a", "weight": 101}),
            400,
            "invalid_request",
        ),
        (
            "delete_instance",
            json!({"id": "x", "instance_id": "a"}),
            404,
            "instance_not_found",
        ),
    ] {
        let reply = rig.ask(verb, &body).await;
        let shown: String = body.to_string().chars().take(100).collect();
        assert_eq!(reply.error(), (number, code.to_owned()), "{verb} {shown}");
    }
    let exploding = br#"{"id":"x","config":{"a":1e131071}}"#;
    for (verb, malformed) in [
        ("create", &b""[..]),
        ("create", b"null"),
        ("create", b"[]"),
        ("create", b"{"),
        ("create", b"{\"id\":\"\0\"}"),
        ("create", b"\xff"),
        ("create", b"{\"id\":\"\xff\"}"),
        ("disable", b"\xff"),
        ("update", exploding),
    ] {
        let subject = format!("beamline.registry.{verb}");
        let reply = rig.client.request(&subject, malformed.to_vec()).await;
        assert_eq!(reply.error().0, 400, "{malformed:?}");
    }
    assert_eq!(everything(&rig).await, before);
    rig.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_quarantined_record_can_be_mended() {
    let (rig, _daemon) = started().await;
    let broken = "INSERT INTO extensions (id, type, subject) VALUES ('x', 'pre', 'elsewhere.x')";
    rig.sql.batch_execute(broken).await.unwrap();
    rig.wait_stats("/quarantined_total", json!(1)).await;
    let mended = json!({"id": "x", "subject": "beamline.ext.x"});
    assert_eq!(
        rig.ask("update", &mended).await.ok()["subject"],
        "beamline.ext.x"
    );
    rig.lookup("x").await.ok();
}

#[tokio::test]
async fn without_a_database_there_is_nothing_to_change() {
    let site = crate::site::Site::with(&crate::site::extensions()).await;
    let _daemon = site.start(site.daemon()).await;
    let reply = site.ask("create", &plain("x")).await;
    assert_eq!(reply.error(), (409, "read_only".into()));
    let reply = site.ask("audit", &json!({})).await;
    assert_eq!(reply.error(), (409, "read_only".into()));
}
