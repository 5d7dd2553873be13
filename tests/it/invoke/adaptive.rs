use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::record;
use crate::harness::{Answer, Behaviour, Daemon, Extension, flood};
use crate::site::{Site, subject};

/// A daemon, and the equal instances `a`, `b`... of `x`; neither circuits nor ejection help.
async fn pool<const N: usize>(behaviours: [Behaviour; N]) -> (Site, Daemon, Vec<Extension>) {
    let names = ["a", "b", "c"];
    let at = |name: &str| format!("beamline.ext.x.{name}");
    let instances = names.iter().take(N);
    let instances: Vec<_> = instances
        .map(|name| json!({"instance_id": name, "subject": at(name)}))
        .collect();
    let breaker = json!({"enabled": false, "failure_threshold": 1000});
    let fields = json!({"instances": instances, "circuit_breaker": breaker});
    let (site, daemon) = Site::serving(&json!([record("x", fields)])).await;
    let mut extensions = Vec::new();
    for (name, behaviour) in names.iter().zip(behaviours) {
        extensions.push(Extension::at(&site.nats.url(), &at(name), behaviour).await);
    }
    (site, daemon, extensions)
}

/// So many calls get through to `a`, of as many as `count`, `window` of them at a time.
async fn share_of_a(site: &Site, extensions: &[Extension], count: usize, window: usize) -> usize {
    let before = extensions[0].count();
    let request = |_| (HeaderMap::new(), r#"{"id":"x","payload":1}"#.into());
    let (url, invoke) = (site.nats.url(), subject("invoke"));
    flood(&url, &invoke, (count, window), request, |_, _| {}).await;
    extensions[0].count() - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_instance_gets_little() {
    let slow = Behaviour::Slow(Duration::from_millis(300), Answer::new("1"));
    let (site, _daemon, all) = pool([slow, Behaviour::Echo, Behaviour::Echo]).await;
    let share = share_of_a(&site, &all, 600, 6).await;
    assert!((1..60).contains(&share), "{share}");
}

#[tokio::test]
async fn an_instance_that_fails_at_once_gets_little() {
    let (site, _daemon, all) = pool([Behaviour::error(500), Behaviour::Echo]).await;
    let share = share_of_a(&site, &all, 400, 1).await;
    assert!((1..40).contains(&share), "{share}");
}

#[tokio::test]
async fn what_an_instance_says_of_its_load_counts_for_a_while() {
    let says = |load: &str| Behaviour::from(Answer::new("1").header("beamline-load", load));
    let (site, _daemon, all) = pool([says("1000"), says("0")]).await;
    // The first call of each is about nothing.
    let share = share_of_a(&site, &all, 100, 1).await;
    assert!((1..=3).contains(&share), "{share}");
}

#[tokio::test]
async fn streams_count_as_calls_as_long_as_they_last() {
    let (site, _daemon, all) = pool([Behaviour::endless(1), Behaviour::Echo]).await;
    let mut headers = HeaderMap::new();
    headers.insert("Beamline-Accept", "stream");
    let request = |_| (headers.clone(), r#"{"id":"x","payload":1}"#.into());
    let (url, invoke) = (site.nats.url(), subject("invoke"));
    // Each of these takes a turn of `a` that does not end.
    flood(&url, &invoke, (64, 64), request, |_, _| {}).await;
    let share = share_of_a(&site, &all, 50, 1).await;
    assert!(share <= 5, "{share}");
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let (site, _daemon) = Site::serving(&json!([record("x", json!({}))])).await;
    let fields = json!({"metadata": {"balance": "random"}});
    let (bad, _daemon) = Site::serving(&json!([record("x", fields)])).await;
    let warnings = bad.send("explain", "x").await.ok()["warnings"].clone();
    let named = warnings.to_string();
    assert!(
        named.contains("`balance` must be `adaptive` or `weighted`"),
        "{named}"
    );
    assert_eq!(
        site.send("explain", "x").await.ok()["warnings"],
        Value::Null
    );
}
