//! Limits, settings and keys: what cannot be relied on is a fault, wherever it comes from.

use serde_json::{Value, json};

use super::{faults, refused};
use crate::harness::{Behaviour, Extension, Reply};
use crate::rig::{Rig, insert, reason};
use crate::schema::run;
use crate::site::{Site, subject};

const WHOLE: &str = "must be a whole number from 0 to 9007199254740992";

/// CASES.md C5, C6, C7: a field, its value, and the rule it breaks; none for one that is sound.
fn cases() -> Vec<(&'static str, &'static str, Option<String>)> {
    let limit = |key: &str| Some(format!("`metadata` `{key}` {WHOLE}"));
    let twice = |field: &str, key: &str| Some(format!("`{field}` has the key `{key}` twice"));
    vec![
        (
            "metadata",
            r#"{"max_in_flight":"1"}"#,
            limit("max_in_flight"),
        ),
        ("metadata", r#"{"max_in_flight":1.0}"#, None),
        ("metadata", r#"{"max_payload_size":1e2}"#, None),
        (
            "metadata",
            r#"{"max_payload_size":"100B"}"#,
            limit("max_payload_size"),
        ),
        (
            "metadata",
            r#"{"max_payload_size":-1}"#,
            limit("max_payload_size"),
        ),
        (
            "metadata",
            r#"{"max_metadata_size":1.5}"#,
            limit("max_metadata_size"),
        ),
        (
            "metadata",
            r#"{"max_metadata_size":[]}"#,
            limit("max_metadata_size"),
        ),
        ("metadata", r#"{"max_in_flight":null}"#, None),
        (
            "metadata",
            r#"{"max_in_flight":1,"max_payload_size":100}"#,
            None,
        ),
        (
            "metadata",
            r#"{"max_in_flight":5,"max_in_flight":1}"#,
            twice("metadata", "max_in_flight"),
        ),
        (
            "config",
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
            twice("config", "a[0].b"),
        ),
        (
            "routing_rules",
            r#"{"t":"a","t":"b"}"#,
            twice("routing_rules", "t"),
        ),
        (
            "rollout",
            r#"{"by":"t","percent":1,"percent":99}"#,
            twice("rollout", "percent"),
        ),
        ("rollout", r#"{"by":"t","percent":1e1}"#, None),
        (
            "rollout",
            r#"{"by":"t","percent":1e400}"#,
            Some("`rollout` `percent` must be a number from 0 to 100".to_owned()),
        ),
        (
            "circuit_breaker",
            r#"{"failure_threshold":9,"failure_threshold":1}"#,
            twice("circuit_breaker", "failure_threshold"),
        ),
        (
            "circuit_breaker",
            r#"{"failure_threshold":1e1,"minimum_requests":2.0}"#,
            None,
        ),
        (
            "circuit_breaker",
            r#"{"window_seconds":1e400,"failure_threshold":1}"#,
            Some("`circuit_breaker` `window_seconds` must be a time from 100ms to 1h".to_owned()),
        ),
    ]
}

#[tokio::test]
async fn files_with_them_are_quarantined_with_the_key_and_its_place() {
    let site = Site::with(&json!([])).await;
    let entries = cases().into_iter().zip(0..).map(|((field, value, _), n)| {
        format!(r#""x{n}":{{"type":"pre","subject":"beamline.ext.x{n}","{field}":{value}}}"#)
    });
    let entries: Vec<_> = entries.collect();
    site.write_text(&format!("{{{}}}", entries.join(",")));
    let _daemon = site.start(site.daemon()).await;
    let faults = faults(&site.send("stats", "").await.ok());
    for ((_, value, rule), n) in cases().into_iter().zip(0..) {
        let fault = faults
            .iter()
            .find(|(origin, _)| origin.ends_with(&format!("#x{n}")));
        let found = fault.map(|(_, reason)| reason.split_once(": ").unwrap().1.to_owned());
        assert_eq!(found, rule, "{value}");
        let reply = site.send("get", format!("x{n}")).await;
        match rule {
            None => drop(reply.ok()),
            Some(_) => assert_eq!(reason(&reply), "quarantined"),
        }
    }
}

#[tokio::test]
async fn writes_with_them_are_refused_and_change_nothing() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let send = async |verb: &str, body: String| -> Reply {
        rig.client.request(&subject(verb), body).await
    };
    rig.ask(
        "create",
        &json!({"id": "u", "type": "pre", "subject": "beamline.ext.u"}),
    )
    .await
    .ok();
    for ((field, value, rule), n) in cases().into_iter().zip(0..) {
        let create = format!(
            r#"{{"id":"x{n}","type":"pre","subject":"beamline.ext.x{n}","{field}":{value}}}"#
        );
        let update = format!(r#"{{"id":"u","{field}":{value}}}"#);
        let version = format!(
            r#"{{"id":"u","version":"v{n}","subject":"beamline.ext.u{n}","{field}":{value}}}"#
        );
        for (verb, body) in [
            ("create", create),
            ("update", update),
            ("put_version", version),
        ] {
            if verb == "put_version" && field == "circuit_breaker" {
                continue;
            }
            let reply = send(verb, body).await;
            let Some(rule) = &rule else {
                reply.ok();
                continue;
            };
            let (named, message) = refused(&reply);
            assert_eq!((named.as_str(), &message), (field, rule), "{verb} {value}");
        }
    }
    for (verb, body) in [
        ("update", r#"{"id":"u","retry":1,"retry":2}"#),
        (
            "put_version",
            r#"{"id":"u","version":"w","subject":"beamline.ext.w","retry":1,"\u0072etry":2}"#,
        ),
    ] {
        let (field, message) = refused(&send(verb, body.to_owned()).await);
        assert_eq!(
            (field.as_str(), message.as_str()),
            ("retry", "`retry` is given twice")
        );
    }
}

/// A key given twice does not survive `jsonb`; all else must mean the same as in a file.
#[tokio::test]
async fn rows_with_them_are_quarantined_like_files() {
    let rig = Rig::start().await;
    let cases = cases();
    let of_rows = || {
        let cases = cases.iter().zip(0..);
        cases.filter(|((_, _, rule), _)| !rule.as_ref().is_some_and(|rule| rule.ends_with("twice")))
    };
    for ((field, value, _), n) in of_rows() {
        let update = format!("UPDATE extensions SET {field} = '{value}' WHERE id = 'x{n}'");
        run(&rig.sql, &format!("{}; {update}", insert(&format!("x{n}")))).await;
    }
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    let faults = faults(&rig.stats().await);
    for ((_, value, rule), n) in of_rows() {
        let fault = faults
            .iter()
            .find(|(origin, _)| *origin == format!("extensions/x{n}"));
        assert_eq!(fault.map(|(_, reason)| reason), rule.as_ref(), "{value}");
    }
}

/// The limits bind, however they are written.
#[tokio::test]
async fn a_limit_written_as_a_float_is_that_limit() {
    let site = Site::with(&json!([])).await;
    site.write_text(
        r#"{"one": {"type": "pre", "subject": "beamline.ext.one", "timeout_ms": 20000, "retry": 0,
                    "metadata": {"max_in_flight": 1.0, "max_payload_size": 1e2, "max_metadata_size": 20e-1}}}"#,
    );
    let _daemon = site.start(site.daemon()).await;
    let extension = Extension::at(&site.nats.url(), "beamline.ext.one", Behaviour::silent()).await;
    let call = |payload: Value, metadata: Value| json!({"id": "one", "payload": payload, "metadata": metadata, "deadline_ms": 20_000});
    let long = "x".repeat(100);
    let reply = site
        .ask("invoke", &call(json!({ "a": long }), json!({})))
        .await;
    assert_eq!(reply.error(), (413, "payload_too_large".to_owned()));
    assert_eq!(reply.details()["limit_bytes"], 100);
    let reply = site.ask("invoke", &call(json!({}), json!({"a": 1}))).await;
    assert_eq!(reply.details()["limit_bytes"], 2);
    let plain = call(json!({}), json!({}));
    let held = site.ask("invoke", &plain);
    let second = async {
        extension.wait_count(1).await;
        let reply = site.ask("invoke", &plain).await;
        extension.behave(Behaviour::Echo);
        reply
    };
    tokio::select! {
        reply = held => panic!("nobody answers: {reply:?}"),
        reply = second => assert_eq!(reply.error(), (503, "overloaded".to_owned())),
    }
}
