use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::record;
use crate::harness::{Behaviour, DEADLINE, Daemon, Extension, eventually, flood};
use crate::site::{Site, subject};

/// A daemon, and the instances `a`, `b`... of `x` with these weights, which are exact.
async fn pool(weights: &[u8], breaker: Value) -> (Site, Daemon, Vec<Extension>) {
    let names = ["a", "b", "c"];
    let instances: Vec<_> = names
        .iter()
        .zip(weights)
        .map(|(name, weight)| {
            json!({"instance_id": name, "subject": format!("beamline.ext.x.{name}"), "weight": weight})
        })
        .collect();
    let weighted = json!({"balance": "weighted"});
    let fields = json!({"instances": instances, "circuit_breaker": breaker, "metadata": weighted});
    let (site, daemon) = Site::serving(&json!([record("x", fields)])).await;
    let mut extensions = Vec::new();
    for name in names.iter().take(weights.len()) {
        let at = format!("beamline.ext.x.{name}");
        extensions.push(Extension::at(&site.nats.url(), &at, Behaviour::Echo).await);
    }
    (site, daemon, extensions)
}

async fn calls(site: &Site, count: usize, window: usize) {
    let request = |_| (HeaderMap::new(), r#"{"id":"x","payload":1}"#.into());
    let (url, invoke) = (site.nats.url(), subject("invoke"));
    flood(&url, &invoke, (count, window), request, |_, _| {}).await;
}

fn counts(extensions: &[Extension]) -> Vec<usize> {
    extensions.iter().map(Extension::count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_are_exact() {
    let (site, _daemon, extensions) = pool(&[70, 20, 10], Value::Null).await;
    calls(&site, 10_000, 100).await;
    for (count, exact) in counts(&extensions).into_iter().zip([7000, 2000, 1000]) {
        assert!(count.abs_diff(exact) <= exact / 100, "{count} of {exact}");
    }
}

#[tokio::test]
async fn who_fails_is_left_out_for_a_while_and_comes_back() {
    let breaker =
        json!({"failure_threshold": 2, "timeout_seconds": 4, "error_rate_threshold": 1.0});
    let (site, _daemon, extensions) = pool(&[50, 50], breaker).await;
    extensions[0].behave(Behaviour::error(500));
    while extensions[0].count() < 2 {
        calls(&site, 1, 1).await;
    }
    extensions[0].behave(Behaviour::Echo);
    let others = extensions[1].count();
    eventually("it gets calls again", DEADLINE, async || {
        calls(&site, 1, 1).await;
        extensions[0].count() > 2
    })
    .await;
    assert!(extensions[1].count() > others + 1, "it was out for a while");
    let before = counts(&extensions);
    calls(&site, 100, 1).await;
    let after = counts(&extensions);
    assert!(
        (49..=51).contains(&(after[0] - before[0])),
        "its share again: {before:?} {after:?}"
    );
}

#[tokio::test]
async fn who_is_left_out_is_explained() {
    let breaker =
        json!({"failure_threshold": 2, "timeout_seconds": 600, "error_rate_threshold": 1.0});
    let (site, _daemon, extensions) = pool(&[50, 50], breaker).await;
    let explained = site.send("explain", "x").await.ok();
    assert_eq!(explained["instances"][0].get("ejected_until"), None);
    extensions[0].behave(Behaviour::error(500));
    while extensions[0].count() < 2 {
        calls(&site, 1, 1).await;
    }
    eventually("the one that fails", DEADLINE, async || {
        let instances = site.send("explain", "x").await.ok()["instances"].clone();
        instances[0]["ejected_until"].is_string() && instances[1].get("ejected_until").is_none()
    })
    .await;
}

#[tokio::test]
async fn when_all_are_out_all_are_used() {
    // Without a circuit: it would be open by then.
    let breaker = json!({"enabled": false, "failure_threshold": 2, "timeout_seconds": 600});
    let (site, _daemon, extensions) = pool(&[50, 50], breaker).await;
    for extension in &extensions {
        extension.behave(Behaviour::error(500));
    }
    calls(&site, 40, 1).await;
    let counted = counts(&extensions);
    assert!(counted.iter().all(|count| *count >= 15), "{counted:?}");
}

#[tokio::test]
async fn changes_of_the_set_reach_the_next_call_and_no_weight_means_no_calls() {
    let (site, _daemon, extensions) = pool(&[50, 0], Value::Null).await;
    calls(&site, 10, 1).await;
    assert_eq!(counts(&extensions), [10, 0]);
    let instances = json!([
        {"instance_id": "a", "subject": "beamline.ext.x.a", "enabled": false},
        {"instance_id": "b", "subject": "beamline.ext.x.b", "weight": 1},
        {"instance_id": "c", "subject": "beamline.ext.x.c", "version": "v7"},
    ]);
    site.write_fixtures(&json!([record("x", json!({"instances": instances}))]));
    eventually("the other one", DEADLINE, async || {
        calls(&site, 1, 1).await;
        extensions[1].count() > 0
    })
    .await;
    let before = counts(&extensions);
    calls(&site, 10, 1).await;
    assert_eq!(counts(&extensions), [before[0], before[1] + 10]);

    site.write_fixtures(&json!([record("x", json!({}))]));
    let base = site.play("x", Behaviour::Echo).await;
    eventually(
        "without instances, the version's own subject",
        DEADLINE,
        async || {
            calls(&site, 1, 1).await;
            base.count() > 0
        },
    )
    .await;
}
