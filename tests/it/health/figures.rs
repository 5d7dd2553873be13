//! What `health` says of one extension.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Behaviour, Extension, counts, health, invoke, number, report, service, serving, time};
use crate::rig::{metric, reason};
use crate::site::Site;

#[tokio::test]
async fn before_the_first_call_nothing_is_known() {
    let (site, daemon) = Site::served().await;
    let expected = json!({
        "id": "plain", "type": "pre",
        "health": {
            "status": "no_data", "success_count": 0, "failure_count": 0, "success_rate": null,
            "health_score": null, "avg_latency_ms": null, "p50_latency_ms": null,
            "p95_latency_ms": null, "p99_latency_ms": null, "last_success": null,
            "last_failure": null, "circuit_breaker_state": "closed",
            "circuit_breaker_opened_at": null,
        },
        "state": "no_data",
        "versions": [{
            "version": "v1", "current": true, "takes_part": true, "state": "no_data",
            "success_count": 0, "failure_count": 0, "success_rate": null, "p50_latency_ms": null,
            "p99_latency_ms": null, "failing_since": null, "rests_until": null,
        }],
        "failures": [],
    });
    for (rest, payload) in [
        ("health.plain", ""),
        ("health", "plain"),
        ("health", r#"{"id":"plain"}"#),
        ("as.alice.health.plain", "{}"),
    ] {
        assert_eq!(site.send(rest, payload).await.ok(), expected, "{rest}");
    }
    let off = site.send("health.off", "").await.ok();
    assert_eq!(off["health"]["status"], "no_data", "disabled, but known");
    for (id, why) in [("nobody", "unknown"), ("faulty", "quarantined")] {
        assert_eq!(reason(&site.send("health", id).await), why);
    }
    let listing = site.send("health", "").await.ok();
    assert_eq!(
        listing["summary"],
        json!({
            "total": 4, "enabled": 3, "healthy": 4, "unhealthy": 0, "half_open": 0,
            "avg_success_rate": null, "avg_latency_ms": null, "avg_p95_latency_ms": null,
        }),
        "idle is not ill"
    );
    let circuits = site.send("circuits", "").await.ok();
    assert_eq!(circuits, json!({"circuits": [], "next": null}));
    let metrics = daemon.get("/metrics").await.body;
    assert!(!metrics.contains("extension_id="), "{metrics}");
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn invocations_count_with_their_times_and_latencies() {
    let (site, _daemon) = serving(&json!([service("pre", "a")]), |with| {
        with.setting("CIRCUIT_BREAKER_MINIMUM_REQUESTS", 4)
    })
    .await;
    let started = SystemTime::now();
    let slow = Duration::from_millis(20);
    let extension = Extension::start(&site, "a", Behaviour::Slow(slow, r#"{"payload":1}"#)).await;
    for _ in 0..3 {
        invoke(&site, "a").await.ok();
    }
    drop(extension);
    let _failing = Extension::start(&site, "a", Behaviour::Error(500)).await;
    let error = invoke(&site, "a").await;
    assert_eq!(error.header("Beamline-Extension-Error"), Some("1"));

    let health = health(&site, "a").await;
    assert_eq!(counts(&health), (3, 1));
    assert_eq!(health["success_rate"], 0.75);
    assert_eq!(health["health_score"], 75.0);
    assert_eq!(health["status"], "unhealthy", "3 of 4 is below 0.8");
    // Three of four calls took 20 ms and more; a bucket is at most 1/32 off.
    assert!(number(&health, "p50_latency_ms") > 19.0, "{health}");
    assert!(number(&health, "avg_latency_ms") >= 15.0, "{health}");
    let (success, failure) = (time(&health, "last_success"), time(&health, "last_failure"));
    assert!(success <= failure && failure <= SystemTime::now());
    // What is shown has microseconds, what was measured more.
    assert!(success >= started - Duration::from_micros(1));
    let stats = site.send("stats", "").await.ok();
    assert_eq!(
        stats["invocations"],
        json!({
            "success": 3, "failure": 1, "timeout": 0, "neutral": 0, "pushed_back": 0,
            "cancelled": 0, "rejected": 0,
            "overloaded": 0, "retries": 0, "in_flight": 0,
        })
    );
}

#[tokio::test]
async fn percentiles_are_those_of_the_latencies() {
    let (site, _daemon) = serving(&json!([service("provider", "a")]), |with| with).await;
    for call in 0..100 {
        let latency_ms = if call < 96 { 10.0 } else { 100.0 };
        report(&site, "a", "success", latency_ms).await;
    }
    let health = health(&site, "a").await;
    for (field, expected) in [
        ("p50_latency_ms", 10.0),
        ("p95_latency_ms", 10.0),
        ("p99_latency_ms", 100.0),
        ("avg_latency_ms", 13.6),
    ] {
        let off = number(&health, field) / expected - 1.0;
        assert!(off.abs() <= 1.0 / 32.0, "{field}: {health}");
    }
    assert_eq!(counts(&health), (100, 0));
    assert_eq!(
        (&health["success_rate"], &health["status"]),
        (&json!(1.0), &json!("healthy"))
    );
}

#[tokio::test]
async fn a_validators_rejection_is_a_success() {
    let (site, _daemon) = serving(&json!([service("validator", "guard")]), |with| with).await;
    let rejection = r#"{"status":"reject","reason":"pii"}"#;
    let _extension = Extension::start(&site, "guard", Behaviour::Reply(rejection)).await;
    for _ in 0..10 {
        assert_eq!(invoke(&site, "guard").await.payload, rejection);
    }
    let health = health(&site, "guard").await;
    assert_eq!(counts(&health), (10, 0));
    assert_eq!(health["circuit_breaker_state"], "closed");
}

#[tokio::test]
async fn what_callers_do_wrong_moves_nothing() {
    let mut small = service("pre", "small");
    small["metadata"] = json!({"max_payload_size": 100});
    let extensions = json!([service("pre", "picky"), small]);
    let (site, daemon) = serving(&extensions, |with| {
        with.setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 1)
    })
    .await;
    let _picky = Extension::start(&site, "picky", Behaviour::Error(422)).await;
    for _ in 0..20 {
        let refused = invoke(&site, "picky").await;
        assert_eq!(refused.header("Nats-Service-Error-Code"), Some("422"));
        let large = json!({"id": "small", "payload": {"text": "x".repeat(200)}});
        let refused = site.ask("invoke", &large).await;
        assert_eq!(refused.error(), (413, "payload_too_large".to_owned()));
    }
    for id in ["picky", "small"] {
        let health = health(&site, id).await;
        assert_eq!(
            (counts(&health), &health["status"]),
            ((0, 0), &json!("no_data"))
        );
        assert_eq!(health["circuit_breaker_state"], "closed");
    }
    let metrics = daemon.get("/metrics").await.body;
    let neutral =
        "extension_invocations_total{extension_id=\"picky\",version=\"v1\",status=\"neutral\"} 20";
    assert!(metrics.lines().any(|line| line == neutral), "{metrics}");
    assert!(
        !metrics.contains("extension_health_success_rate"),
        "{metrics}"
    );
    assert!(!metrics.contains(
        "extension_circuit_breaker_failures_total{extension_id=\"picky\",version=\"v1\"} 1"
    ));
}

#[tokio::test]
async fn after_a_reset_nothing_is_known_and_nothing_uncounted() {
    let (site, daemon) = serving(&json!([service("pre", "a")]), |with| with).await;
    report(&site, "a", "failure", 5.0).await;
    let rate = "extension_health_success_rate{extension_id=\"a\"}";
    assert_eq!(metric(&daemon, rate).await, Some(0.0));
    let reset = json!({"id": "a", "action": "reset"});
    site.ask("circuit", &reset).await.ok();
    let known = health(&site, "a").await;
    assert_eq!(
        (&known["status"], &known["success_rate"]),
        (&json!("no_data"), &json!(null))
    );
    assert_eq!(counts(&known), (0, 1));
    assert_eq!(metric(&daemon, rate).await, None);
    report(&site, "a", "success", 5.0).await;
    let known = health(&site, "a").await;
    assert_eq!(known["success_rate"], 1.0);
    assert_eq!(counts(&known), (1, 1));
}
