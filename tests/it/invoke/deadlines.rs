use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::one;
use crate::harness::{Answer, Behaviour};
use crate::site::{Site, subject};

const EXCEEDED: (u16, &str) = (504, "deadline_exceeded");

/// A call with a deadline in header and body.
async fn hurried(site: &Site, header: Option<&str>, fields: Value) -> (u16, String) {
    let mut headers = HeaderMap::new();
    if let Some(ms) = header {
        headers.insert("Beamline-Deadline-Ms", ms);
    }
    let mut body = json!({"id": "x", "payload": {}});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let invoke = subject("invoke");
    let reply = site
        .client
        .request_with_headers(&invoke, headers, body.to_string());
    reply.await.error()
}

#[tokio::test]
async fn the_nearest_deadline_ends_the_call_wherever_it_stands() {
    let fields = json!({"timeout_ms": 60_000, "retry": 3});
    let (site, _daemon, extension) = one(fields, Behaviour::silent()).await;
    for (header, fields) in [
        (Some("400"), json!({})),
        (None, json!({"deadline_ms": 400})),
        (None, json!({"timeout_ms": 400})),
        (
            Some("400"),
            json!({"deadline_ms": 50_000, "timeout_ms": 40_000}),
        ),
        (Some("50000"), json!({"deadline_ms": 400})),
        (
            Some("50000"),
            json!({"deadline_ms": 40_000, "timeout_ms": 400}),
        ),
    ] {
        let error = hurried(&site, header, fields.clone()).await;
        assert_eq!((error.0, error.1.as_str()), EXCEEDED, "{header:?} {fields}");
    }
    extension.wait_count(6).await;
    assert_eq!(extension.count(), 6, "not tried again");
    let left = extension.received();
    let mut left = left
        .iter()
        .map(|r| r.header("Beamline-Deadline-Ms").unwrap());
    assert!(left.all(|ms| ms.parse::<u64>().unwrap() <= 400));
    assert_eq!(
        site.circuit("x").await,
        "closed",
        "400 ms of a minute tell nothing"
    );
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    let (site, _daemon, extension) = one(json!({}), Behaviour::Echo).await;
    for (header, fields) in [
        (Some("0"), json!({})),
        (None, json!({"deadline_ms": 0})),
        (None, json!({"timeout_ms": 0})),
    ] {
        let error = hurried(&site, header, fields).await;
        assert_eq!((error.0, error.1.as_str()), EXCEEDED);
    }
    assert_eq!(extension.count(), 0);
    assert_eq!(site.circuit("x").await, "closed");
}

#[tokio::test]
async fn a_deadline_beyond_the_timeout_changes_nothing() {
    let (site, _daemon, extension) = one(json!({"timeout_ms": 1000}), Behaviour::silent()).await;
    let fields = json!({"deadline_ms": u64::MAX, "timeout_ms": u64::MAX});
    let error = hurried(&site, Some("18446744073709551615"), fields).await;
    assert_eq!(error, (504, "extension_timeout".to_owned()));
    extension.wait_count(1).await;
    assert_eq!(
        extension.last().header("Beamline-Deadline-Ms"),
        Some("1000")
    );
    assert_eq!(site.circuit("x").await, "open");
}

#[tokio::test]
async fn silence_through_a_fair_part_of_the_timeout_counts() {
    // Without history, a fifth of the timeout is fair.
    let (site, _daemon, _extension) = one(json!({"timeout_ms": 4000}), Behaviour::silent()).await;
    let error = hurried(&site, None, json!({"deadline_ms": 600})).await;
    assert_eq!((error.0, error.1.as_str()), EXCEEDED);
    assert_eq!(site.circuit("x").await, "closed", "15 %");
    let error = hurried(&site, None, json!({"deadline_ms": 2400})).await;
    assert_eq!((error.0, error.1.as_str()), EXCEEDED);
    assert_eq!(site.circuit("x").await, "open", "60 %");
}

/// What a caller did not wait for must not pass for the time that the extension needs: else a dead
/// one, whose callers are all in a hurry, would be given more and more time and never be found out.
#[tokio::test]
async fn a_dead_extension_is_found_out_by_hurried_callers_alone() {
    let breaker = json!({"failure_threshold": 3, "timeout_seconds": 600});
    let fields = json!({"timeout_ms": 4000, "circuit_breaker": breaker});
    let (site, _daemon, _extension) = one(fields, Behaviour::silent()).await;
    for _ in 0..3 {
        assert_eq!(site.circuit("x").await, "closed");
        let error = hurried(&site, None, json!({"timeout_ms": 1800})).await;
        assert_eq!((error.0, error.1.as_str()), EXCEEDED);
    }
    assert_eq!(site.circuit("x").await, "open");
}

#[tokio::test]
async fn with_history_the_extension_may_claim_the_time_it_usually_takes() {
    let usual = Behaviour::Slow(Duration::from_millis(250), Answer::new("{}"));
    let (site, _daemon, extension) = one(json!({"timeout_ms": 4000}), usual).await;
    for _ in 0..3 {
        site.call("x", json!({})).await.ok();
    }
    extension.behave(Behaviour::silent());
    let error = hurried(&site, None, json!({"deadline_ms": 220})).await;
    assert_eq!((error.0, error.1.as_str()), EXCEEDED);
    assert_eq!(site.circuit("x").await, "closed", "below its p99");
    let error = hurried(&site, None, json!({"deadline_ms": 2000})).await;
    assert_eq!((error.0, error.1.as_str()), EXCEEDED);
    assert_eq!(site.circuit("x").await, "open", "over its p99");
}
