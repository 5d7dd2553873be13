//! A circuit that opens, is tried and closes; a success rate that crosses the minimum.

use super::*;
use crate::events_seen::{EventsSeen, assert_about};

const CIRCUIT: [&str; 3] = ["circuit_opened", "circuit_half_opened", "circuit_closed"];

#[tokio::test]
async fn a_circuit_is_told_as_it_opens_is_tried_and_closes() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let events = EventsSeen::start(&rig.nats).await;
    let _daemon = ready(sidecar(&rig, "pod-1")).await;
    let player = Player::start(&rig.nats.url(), "a").await;

    player.fail(500);
    for _ in 0..3 {
        assert_eq!(error_code(&invoke(&rig, "pod-1", "a").await), Some("500"));
    }
    player.recover();
    eventually("calls pass again", DEADLINE, async || {
        error_code(&invoke(&rig, "pod-1", "a").await).is_none()
    })
    .await;

    let told = events.wait("a", &CIRCUIT, 3).await;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, CIRCUIT);
    for (kind, event) in &told {
        assert_about(event, kind, "a");
        let data = &event["data"];
        assert_eq!(
            (&data["version"], &data["current"]),
            (&"v1".into(), &true.into())
        );
    }
    let [opened, half_opened, closed] = [0, 1, 2].map(|n| told[n].1["data"].clone());
    let moves = [&opened, &half_opened, &closed].map(|data| {
        let texts = ["from", "to", "reason"].map(|name| data[name].as_str().unwrap());
        texts.join(" ")
    });
    assert_eq!(
        moves,
        [
            "closed open consecutive_failures",
            "open half_open open_time_over",
            "half_open closed trial_succeeded",
        ]
    );
    assert_eq!(
        (&opened["failure_count"], &opened["last_error"]),
        (&3.into(), &"error".into())
    );
    let at = |name: &str| humantime::parse_rfc3339(opened[name].as_str().unwrap()).unwrap();
    assert!(at("last_failure") <= at("retry_at"));
    let open_for = at("retry_at").duration_since(at("opened_at")).unwrap();
    let planned = std::time::Duration::from_millis(300);
    assert!(open_for.abs_diff(planned).as_millis() <= 1, "{opened}");
    assert!(closed["retry_at"].is_null());
}

/// CASES.md F2. Whichever call completes the minimum of requests, a failure or a success.
#[tokio::test]
async fn every_other_failing_call_opens_the_circuit_and_degrades_the_health() {
    let rig = Rig::start().await;
    add(&rig, &["odd", "even"], &[]).await;
    let events = EventsSeen::start(&rig.nats).await;
    let _daemon = ready(rig.daemon().setting("INSTANCE_ID", "pod-1")).await;
    for (id, failing) in [("odd", 1), ("even", 0)] {
        let player = Player::start(&rig.nats.url(), id).await;
        for call in 1..=20 {
            player.fail(if call % 2 == failing { 500 } else { 0 });
            invoke(&rig, "pod-1", id).await;
        }
        let told = events
            .wait(id, &["circuit_opened", "health_degraded"], 2)
            .await;
        let (opened, degraded): (Vec<_>, Vec<_>) =
            told.iter().partition(|(kind, _)| kind == "circuit_opened");
        assert_eq!((opened.len(), degraded.len()), (1, 1), "{told:?}");
        assert_eq!(opened[0].1["data"]["reason"], "error_rate");
        let data = json!({
            "id": id, "version": "v1", "current": true,
            "success_rate": 0.5, "min_success_rate": 0.8,
        });
        assert_eq!(degraded[0].1["data"], data);
    }
}

/// CASES.md F3.
#[tokio::test]
async fn what_is_held_open_without_an_end_is_due_at_no_time() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let events = EventsSeen::start(&rig.nats).await;
    let daemon = ready(sidecar(&rig, "pod-1")).await;
    let order = |ttl: Value| json!({"id": "a", "action": "open", "ttl_seconds": ttl});
    let held = rig.ask("circuit", &order(Value::Null)).await.ok();
    assert_eq!(held["retry_at"], Value::Null);
    assert_eq!(held["forced"], true);
    let told = events.wait("a", &["circuit_opened"], 1).await;
    let data = told[0].1["data"].as_object().unwrap();
    assert_eq!(data.get("retry_at"), Some(&Value::Null), "{data:?}");
    let circuits = rig.ask("circuits", &json!({})).await.ok();
    assert_eq!(circuits["circuits"][0]["retry_at"], Value::Null);
    let refused = invoke(&rig, "pod-1", "a").await;
    let details = refused.details();
    assert_eq!(details["reason"], "circuit_open");
    assert_eq!(
        details.get("retry_after_ms"),
        Some(&Value::Null),
        "{details}"
    );
    let live = daemon.get("/admin/extensions/health").await;
    assert_eq!(live.status, 200);

    // With an end, all of them say when.
    let held = rig.ask("circuit", &order(json!(60))).await.ok();
    assert!(held["retry_at"].is_string(), "{held}");
    let refused = invoke(&rig, "pod-1", "a").await;
    assert!(refused.details()["retry_after_ms"].is_u64());
}

#[tokio::test]
async fn a_success_rate_that_crosses_the_minimum_is_told_both_ways() {
    let rig = Rig::start().await;
    add(&rig, &["a"], &[]).await;
    let events = EventsSeen::start(&rig.nats).await;
    let builder = sidecar(&rig, "pod-1")
        .setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 1000)
        .setting("CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD", 1)
        .setting("CIRCUIT_BREAKER_MINIMUM_REQUESTS", 4)
        .setting("CIRCUIT_BREAKER_WINDOW_SECONDS", 600);
    let _daemon = ready(builder).await;
    let player = Player::start(&rig.nats.url(), "a").await;
    // After the fourth call, half of them have failed; after the tenth, two of ten, which is the
    // minimum again.
    for call in 1..=12 {
        player.fail(if call == 3 || call == 4 { 500 } else { 0 });
        invoke(&rig, "pod-1", "a").await;
    }
    let told = events
        .wait("a", &["health_degraded", "health_recovered"], 2)
        .await;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["health_degraded", "health_recovered"]);
    for ((kind, event), rate) in told.iter().zip([0.5, 0.8]) {
        assert_about(event, kind, "a");
        let data = json!({
            "id": "a", "version": "v1", "current": true,
            "success_rate": rate, "min_success_rate": 0.8,
        });
        assert_eq!(event["data"], data);
    }
}
