//! Metrics and events of health.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Behaviour, Extension, invoke, report, service, serving};
use crate::events_seen::leave;
use crate::harness::{DEADLINE, Daemon, eventually};

async fn series(daemon: &Daemon) -> Vec<String> {
    let page = daemon.get("/metrics").await.body;
    let lines = page.lines().filter(|line| line.contains("extension_id="));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn metrics_begin_with_the_first_call_and_end_with_the_extension() {
    let extensions = json!([
        service("pre", "a"),
        service("pre", "b"),
        service("pre", "idle")
    ]);
    let (site, daemon) = serving(&extensions, |with| with).await;
    assert!(series(&daemon).await.is_empty());
    let _a = Extension::start(&site, "a", Behaviour::Reply("{}")).await;
    for _ in 0..3 {
        invoke(&site, "a").await.ok();
        assert_eq!(
            invoke(&site, "b").await.details()["reason"],
            "no_responders"
        );
    }
    let lines = series(&daemon).await;
    for expected in [
        "extension_invocations_total{extension_id=\"a\",version=\"v1\",status=\"success\"} 3",
        "extension_invocations_total{extension_id=\"b\",version=\"v1\",status=\"failure\"} 3",
        "extension_invocation_duration_seconds_count{extension_id=\"a\",version=\"v1\"} 3",
        "extension_invocation_duration_seconds_bucket{le=\"+Inf\",extension_id=\"b\",version=\"v1\"} 3",
        "extension_invocation_retries_total{extension_id=\"a\"} 0",
        "extension_health_success_rate{extension_id=\"a\"} 1.0",
        "extension_health_success_rate{extension_id=\"b\"} 0.0",
        "extension_auto_disabled{extension_id=\"b\"} 0",
        "extension_circuit_breaker_state{extension_id=\"a\",version=\"v1\"} 0",
        "extension_circuit_breaker_failures_total{extension_id=\"b\",version=\"v1\"} 3",
        "extension_circuit_breaker_recoveries_total{extension_id=\"b\",version=\"v1\"} 0",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected} not in {lines:#?}"
        );
    }
    let latency = "extension_health_avg_latency_ms{extension_id=\"a\"} ";
    assert!(
        lines.iter().any(|line| line.starts_with(latency)),
        "{lines:#?}"
    );
    let nobody = "extension_health_avg_latency_ms{extension_id=\"b\"}";
    assert!(
        !lines.iter().any(|line| line.starts_with(nobody)),
        "nobody was there to be timed"
    );
    assert!(!lines.iter().any(|line| line.contains("idle")));
    let page = daemon.get("/metrics").await.body;
    assert!(
        page.lines()
            .any(|line| line == "extension_invocations_in_flight 0")
    );

    site.write_fixtures(&json!([service("pre", "b")]));
    eventually("its series are gone with it", DEADLINE, async || {
        let lines = series(&daemon).await;
        let (a, b) = ("extension_id=\"a\"", "extension_id=\"b\"");
        let gone = !lines.iter().any(|line| line.contains(a));
        let kept = lines.iter().any(|line| line.contains(b));
        if gone && kept { Ok(()) } else { Err(lines) }
    })
    .await;
}

#[tokio::test]
async fn a_summary_is_told_every_so_often() {
    let extensions = json!([service("pre", "a"), service("pre", "b")]);
    let (site, _daemon) = serving(&extensions, |with| {
        with.setting("HEALTH_SUMMARY_INTERVAL_SECONDS", "100ms")
    })
    .await;
    let subject = "beamline.registry.events.health_summary";
    let mut events = site.client.nats().subscribe(subject).await.unwrap();
    for _ in 0..5 {
        report(&site, "a", "failure", 8.0).await;
    }
    let known = site.send("health", "").await.ok();
    let mut ids = Vec::new();
    let told = async {
        loop {
            let event: Value =
                serde_json::from_slice(&events.next().await.unwrap().payload).unwrap();
            assert_eq!(event["type"], "beamline.registry.health_summary");
            assert_eq!(event["source"], "/beamline-registry/pod-1");
            assert!(
                event.get("subject").is_none(),
                "it is about no extension: {event}"
            );
            ids.push(event["id"].clone());
            leave("health_summary", &event);
            if event["data"] == known["summary"] && ids.len() > 1 {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, told)
        .await
        .expect("a summary that knows");
    assert_eq!(known["summary"]["unhealthy"], 1);
    ids.dedup();
    assert!(ids.len() > 1);
}
