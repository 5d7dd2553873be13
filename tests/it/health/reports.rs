//! `report`: what routers tell of their own calls.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{counts, health, report, service, serving, time};
use crate::harness::{DEADLINE, eventually};
use crate::rig::{metric, reason};
use crate::site::{Site, extensions, subject};

/// A result that nobody waits to see confirmed.
async fn tell(site: &Site, body: &Value) {
    let payload = body.to_string().into();
    site.client
        .nats()
        .publish(subject("report"), payload)
        .await
        .unwrap();
}

#[tokio::test]
async fn failures_open_the_circuit_and_a_success_closes_it_by_trial() {
    for with_reply in [true, false] {
        let (site, daemon) = serving(&json!([service("pre", "a")]), |with| {
            with.setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "100ms")
                // Nothing about administration: reports are not changes.
                .setting("ADMIN_ENABLED", "false")
        })
        .await;
        let say = async |outcome: &str| {
            let body = json!({"id": "a", "outcome": outcome, "latency_ms": 5});
            if with_reply {
                assert_eq!(site.ask("report", &body).await.ok(), json!({"ok": true}));
            } else {
                tell(&site, &body).await;
            }
        };
        let state = async || {
            let circuits = site.send("circuits", "").await.ok();
            circuits["circuits"][0]["state"].as_str().map(str::to_owned)
        };
        for _ in 0..4 {
            say("failure").await;
        }
        eventually("four failures are known", DEADLINE, async || {
            let circuits = site.send("circuits", "").await.ok();
            circuits["circuits"][0]["consecutive_failures"] == 4
        })
        .await;
        assert_eq!(state().await.as_deref(), Some("closed"));
        say("failure").await;
        eventually("the fifth opens it", DEADLINE, async || {
            state().await.as_deref() == Some("open")
        })
        .await;
        let known = health(&site, "a").await;
        assert_eq!(counts(&known), (0, 5));
        assert_eq!(known["circuit_breaker_state"], "open");
        assert!(time(&known, "circuit_breaker_opened_at") <= SystemTime::now());

        let closed = eventually("a success closes it", DEADLINE, async || {
            say("success").await;
            let known = health(&site, "a").await;
            let closed = known["circuit_breaker_state"] == "closed";
            closed.then_some(known)
        })
        .await;
        assert_eq!(closed["circuit_breaker_opened_at"], Value::Null);
        assert_eq!(counts(&closed).1, 5);
        assert!(counts(&closed).0 >= 1, "{closed}");
        let metrics = daemon.get("/metrics").await.body;
        for (name, value) in [("state", 0), ("failures_total", 5), ("recoveries_total", 1)] {
            let line = format!(
                "extension_circuit_breaker_{name}{{extension_id=\"a\",version=\"v1\"}} {value}"
            );
            assert!(
                metrics.lines().any(|l| l == line),
                "{line} not in {metrics}"
            );
        }
        let dropped = "extension_registry_dropped_requests_total{reason=\"no_reply\"}";
        assert_eq!(metric(&daemon, dropped).await, None);
        site.client.assert_one_reply_each().await;
    }
}

#[tokio::test]
async fn an_open_circuit_says_until_when() {
    let (site, _daemon) = serving(&json!([service("pre", "a")]), |with| {
        with.setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 1000)
            .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", 1000)
    })
    .await;
    for _ in 0..7 {
        report(&site, "a", "failure", 1.0).await;
    }
    let listed = site.send("circuits", "").await.ok();
    let circuit = &listed["circuits"][0];
    let expected = json!({
        "id": "a", "version": "v1", "state": "open", "consecutive_failures": 5,
        "error_rate": 1.0, "opened_at": circuit["opened_at"], "retry_at": circuit["retry_at"],
        "forced": false,
    });
    assert_eq!(circuit, &expected, "what comes after the opening is late");
    let open_for = time(circuit, "retry_at").duration_since(time(circuit, "opened_at"));
    let off = open_for.unwrap().as_secs_f64() - 1000.0;
    assert!(off.abs() < 5.0, "{circuit}");
    assert_eq!(counts(&health(&site, "a").await), (0, 7), "but it counts");
    let refused = super::invoke(&site, "a").await;
    assert_eq!(refused.details()["reason"], "circuit_open");
    let left = refused.details()["retry_after_ms"].as_u64().unwrap();
    assert!(Duration::from_millis(left) <= Duration::from_secs(1000));
}

#[tokio::test]
async fn a_version_has_a_circuit_of_its_own() {
    let (site, _daemon) = Site::served().await;
    let body = json!({"id": "routed", "version": "v3", "outcome": "failure"});
    for _ in 0..5 {
        site.ask("report", &body).await.ok();
    }
    let listed = site.send("circuits", "").await.ok();
    for (id, count) in [("routed", 1), ("plain", 0)] {
        let bare = site.send("circuits", id).await.ok();
        assert_eq!(bare["circuits"].as_array().unwrap().len(), count, "of {id}");
    }
    let circuits = listed["circuits"].as_array().unwrap();
    assert_eq!(circuits.len(), 1);
    assert_eq!(
        (&circuits[0]["version"], &circuits[0]["state"]),
        (&json!("v3"), &json!("open"))
    );
    let health = health(&site, "routed").await;
    assert_eq!(
        health["circuit_breaker_state"], "closed",
        "the current version's"
    );
    assert_eq!(counts(&health), (0, 5), "of all versions");
    assert_eq!(health["avg_latency_ms"], Value::Null, "none was told");
}

#[tokio::test]
async fn what_is_wrong_with_a_report_is_named() {
    let site = Site::with(&extensions()).await;
    let _daemon = site.start(site.daemon()).await;
    for (body, field) in [
        (json!({"id": "plain", "outcome": "timeout"}), "outcome"),
        (json!({"id": "plain"}), "outcome"),
        (json!({"outcome": "success"}), "id"),
        (
            json!({"id": "plain", "outcome": "success", "latency_ms": "5"}),
            "latency_ms",
        ),
        (
            json!({"id": "plain", "outcome": "success", "latency_ms": -5}),
            "latency_ms",
        ),
        (
            json!({"id": "plain", "outcome": "success", "version": ".."}),
            "version",
        ),
    ] {
        let reply = site.ask("report", &body).await;
        assert_eq!(reply.error(), (400, "invalid_request".to_owned()), "{body}");
        assert_eq!(reply.details(), json!({"field": field}), "{body}");
        tell(&site, &body).await;
    }
    let body = json!({"id": "nobody", "outcome": "success"});
    assert_eq!(reason(&site.ask("report", &body).await), "unknown");
    let body = json!({"id": "plain", "version": "v9", "outcome": "success"});
    let reply = site.ask("report", &body).await;
    assert_eq!(reply.error(), (404, "version_not_found".to_owned()));
    assert_eq!(site.send("report", "plain").await.error().0, 400);
    let body = json!({"id": "plain", "outcome": "success", "trace": "unknown fields are fine"});
    site.ask("report", &body).await.ok();
    assert_eq!(counts(&health(&site, "plain").await), (1, 0));
    site.client.assert_one_reply_each().await;
}
