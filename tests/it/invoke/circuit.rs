use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{one, reason, record, refused};
use crate::harness::{Answer, Behaviour, Client, DEADLINE, Extension, eventually};
use crate::site::{Site, subject};

fn breaker(fields: Value) -> Value {
    json!({ "circuit_breaker": fields })
}

#[tokio::test]
async fn the_threshold_opens_and_an_open_circuit_answers_at_once() {
    let fields = breaker(json!({"failure_threshold": 3, "timeout_seconds": 60}));
    let (site, _daemon, extension) = one(fields, Behaviour::error(500)).await;
    for n in 1..=3 {
        assert_eq!(site.circuit("x").await, "closed", "{n}");
        site.call("x", json!({})).await;
    }
    assert_eq!(site.circuit("x").await, "open");
    extension.behave(Behaviour::Echo);
    for _ in 0..20 {
        let reply = site.call("x", json!({})).await;
        assert_eq!(reason(&reply, 503, "extension_unavailable"), "circuit_open");
        let wait = reply.details()["retry_after_ms"].as_u64().unwrap();
        assert!((1..=60_000).contains(&wait), "{wait}");
    }
    assert_eq!(extension.count(), 3, "nothing passes");
    let explained = site.send("explain", "x").await.ok();
    assert_eq!(explained["reason"], "circuit_open");
    // A version that is named is refused like any other call.
    let named = site.call("x", json!({"version": "v1"})).await;
    assert!(refused(&named), "{named:?}");
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_success_in_between_starts_the_count_anew() {
    let fields = breaker(json!({"failure_threshold": 3, "minimum_requests": 1000}));
    let pattern = |number, _: &_| match number % 3 {
        2 => Behaviour::Echo,
        _ => Behaviour::error(500),
    };
    let (site, _daemon, extension) = one(fields, Behaviour::each(pattern)).await;
    for _ in 0..30 {
        site.call("x", json!({})).await;
    }
    assert_eq!(
        (extension.count(), site.circuit("x").await.as_str()),
        (30, "closed")
    );
}

#[tokio::test]
async fn the_error_rate_opens_too() {
    let fields = breaker(json!({"error_rate_threshold": 0.5, "minimum_requests": 20}));
    let pattern = |number, _: &_| match number % 2 {
        0 => Behaviour::Echo,
        _ => Behaviour::error(500),
    };
    let (site, _daemon, extension) = one(fields, Behaviour::each(pattern)).await;
    for _ in 0..30 {
        site.call("x", json!({})).await;
    }
    assert_eq!(
        (extension.count(), site.circuit("x").await.as_str()),
        (20, "open")
    );
}

#[tokio::test]
async fn each_extension_has_settings_of_its_own() {
    let fixtures = json!([
        record("strict", breaker(json!({"failure_threshold": 1}))),
        record("never", breaker(json!({"enabled": false}))),
        record("default", breaker(Value::Null)),
    ]);
    let site = Site::with(&fixtures).await;
    let daemon = site
        .daemon()
        .setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 4);
    let _daemon = site.start(daemon).await;
    for (id, passed) in [("strict", 1), ("never", 10), ("default", 4)] {
        let extension = site.play(id, Behaviour::error(500)).await;
        for _ in 0..10 {
            site.call(id, json!({})).await;
        }
        assert_eq!(extension.count(), passed, "{id}");
    }
    let changed = record("strict", breaker(json!({"enabled": false})));
    site.write_fixtures(&json!([changed]));
    eventually(
        "a circuit that is switched off closes",
        DEADLINE,
        async || site.circuit("strict").await == "closed",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_get_no_more_trials_than_there_are() {
    let fields = breaker(json!({
        "failure_threshold": 1, "timeout_seconds": 0.05, "half_open_max_requests": 3,
    }));
    let (site, _daemon, extension) = one(fields, Behaviour::error(500)).await;
    site.call("x", json!({})).await;
    extension.behave(Behaviour::Held(Answer::new("{}")));
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut calls = JoinSet::new();
    let mut refusals = 0;
    eventually("trials", DEADLINE, async || {
        volley(&client, &mut calls);
        extension.count() > 1
    })
    .await;
    for _ in 0..5 {
        volley(&client, &mut calls);
    }
    let sent = calls.len();
    while refusals < sent - 3 {
        let reply = calls.join_next().await.unwrap().unwrap();
        assert!(refused(&reply), "{reply:?}");
        refusals += 1;
    }
    // They were sent before the last refusal, on another connection.
    extension.wait_count(1 + 3).await;
    assert_eq!(extension.count(), 1 + 3, "trials of {sent} calls");
    assert_eq!(site.circuit("x").await, "half_open");
    extension.behave(Behaviour::Echo);
    while let Some(reply) = calls.join_next().await {
        reply.unwrap().ok();
    }
    assert_eq!(site.circuit("x").await, "closed", "one success closes");
    volley(&client, &mut calls);
    while let Some(reply) = calls.join_next().await {
        reply.unwrap().ok();
    }
    client.assert_one_reply_each().await;
}

fn volley(client: &Arc<Client>, calls: &mut JoinSet<crate::harness::Reply>) {
    for _ in 0..20 {
        let client = Arc::clone(client);
        calls.spawn(async move {
            let body = r#"{"id":"x","payload":1}"#;
            client.request(&subject("invoke"), body).await
        });
    }
}

#[tokio::test]
async fn a_trial_that_fails_opens_for_longer() {
    let fields = breaker(json!({
        "failure_threshold": 1, "timeout_seconds": 0.5, "max_timeout_seconds": 600,
    }));
    let (site, _daemon, extension) = one(fields, Behaviour::error(500)).await;
    let (mut tried, mut seen) = (Instant::now(), BTreeSet::new());
    eventually("refusals after three failures", DEADLINE, async || {
        let asked = Instant::now();
        let reply = site.call("x", json!({})).await;
        let failures = u32::try_from(extension.count()).unwrap();
        if !refused(&reply) {
            tried = asked;
            return Err(failures);
        }
        let wait = reply.details()["retry_after_ms"].as_u64().unwrap();
        let open_time = 500 * 2u64.pow(failures - 1);
        // What is left, and what may have gone by since.
        let range = wait..=wait + 1 + u64::try_from(tried.elapsed().as_millis()).unwrap();
        assert!(range.contains(&open_time), "{failures}: {range:?}");
        seen.insert(failures);
        // While this test stands still a time may pass unseen.
        if seen.len() == 3 {
            Ok(())
        } else {
            Err(failures)
        }
    })
    .await;
}

/// resilience4j #903, #935 and #1389: a trial that says nothing must not keep its place.
#[tokio::test]
async fn trials_without_a_verdict_leave_room_for_the_next() {
    let fields = breaker(json!({
        "failure_threshold": 1, "timeout_seconds": 0.05, "half_open_max_requests": 1,
    }));
    let (site, _daemon, extension) = one(fields, Behaviour::error(500)).await;
    site.call("x", json!({})).await;
    extension.behave(Behaviour::error(422));
    eventually("a trial", DEADLINE, async || {
        site.call("x", json!({})).await;
        extension.count() > 1
    })
    .await;
    for fields in [
        json!({}),
        json!({"deadline_ms": 0}),
        json!({"metadata": {"m": "m".repeat(70_000)}}),
    ] {
        for _ in 0..3 {
            let reply = site.call("x", fields.clone()).await;
            assert!(!refused(&reply), "{reply:?}");
        }
    }
    extension.behave(Behaviour::silent());
    let reply = site.call("x", json!({"deadline_ms": 20})).await;
    assert_eq!(reply.error(), (504, "deadline_exceeded".to_owned()));
    assert_eq!(site.circuit("x").await, "half_open");
    extension.behave(Behaviour::Echo);
    site.call("x", json!({})).await.ok();
    assert_eq!(site.circuit("x").await, "closed");
}

/// A call that began before the circuit opened tells its caller what it came to, and the circuit
/// nothing.
#[tokio::test]
async fn a_late_success_does_not_close() {
    let fields = breaker(json!({"failure_threshold": 2, "timeout_seconds": 600}));
    let (site, _daemon, extension) = one(
        fields,
        Behaviour::each(|number, _| match number {
            0 => Behaviour::Held(Answer::new("{}")),
            _ => Behaviour::error(500),
        }),
    )
    .await;
    let (late, ()) = tokio::join!(site.call("x", json!({})), async {
        extension.wait_count(1).await;
        for _ in 0..2 {
            site.call("x", json!({})).await;
        }
        assert_eq!(site.circuit("x").await, "open");
        extension.behave(Behaviour::Echo);
    });
    late.ok();
    assert_eq!(site.circuit("x").await, "open");
    assert!(refused(&site.call("x", json!({})).await));
}

/// Five calls in flight when the circuit opens and closes again must not open it once more.
#[tokio::test]
async fn late_failures_do_not_open_again() {
    let fields = breaker(json!({"failure_threshold": 1, "timeout_seconds": 0.05}));
    let (site, _daemon, extension) = one(fields, Behaviour::Held(Answer::error(500))).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut late = JoinSet::new();
    volley(&client, &mut late);
    extension.wait_count(20).await;
    let held = extension;
    let other = fail_once_then_close(&site).await;
    held.behave(Behaviour::error(500));
    while let Some(reply) = late.join_next().await {
        let reply = reply.unwrap();
        assert_eq!(reply.header("Nats-Service-Error-Code"), Some("500"));
    }
    assert_eq!(site.circuit("x").await, "closed");
    drop(other);
}

/// Both listen at the subject, so each request reaches both, and the first answer counts.
async fn fail_once_then_close(site: &Site) -> Extension {
    let other = site.play("x", Behaviour::error(500)).await;
    site.call("x", json!({})).await;
    assert_eq!(site.circuit("x").await, "open");
    other.behave(Behaviour::Echo);
    eventually("closed again", DEADLINE, async || {
        site.call("x", json!({})).await;
        site.circuit("x").await == "closed"
    })
    .await;
    other
}
