use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::record;
use crate::harness::{Answer, Behaviour, Client, Extension, Reply};
use crate::site::{Site, subject};

/// Calls of `x` at a constant rate, each with its answer and how long that took.
async fn calls(site: &Site, rate: u32, span: Duration) -> Vec<(Reply, Duration)> {
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let (begun, mut calls) = (Instant::now(), JoinSet::new());
    while begun.elapsed() < span {
        ticks.tick().await;
        let client = Arc::clone(&client);
        calls.spawn(async move {
            let begun = Instant::now();
            let body = json!({"id": "x", "payload": {}, "deadline_ms": 5000});
            let reply = client.request_json(&subject("invoke"), &body).await;
            (reply, begun.elapsed())
        });
    }
    calls.join_all().await
}

fn errors(calls: &[(Reply, Duration)]) -> Vec<&Reply> {
    let replies = calls.iter().map(|(reply, _)| reply);
    replies
        .filter(|reply| reply.header("Nats-Service-Error-Code").is_some())
        .collect()
}

fn p99(calls: &[(Reply, Duration)]) -> Duration {
    let mut took: Vec<_> = calls.iter().map(|(_, took)| *took).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_instance_is_asked_once_for_each_time_that_it_names() {
    let instances = json!([
        {"instance_id": "a", "subject": "beamline.ext.x.a"},
        {"instance_id": "b", "subject": "beamline.ext.x.b"},
    ]);
    let fixtures = json!([record("x", json!({"instances": instances}))]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let url = site.nats.url();
    let busy = Answer::error(429).header("Retry-After", "2");
    let a = Extension::at(&url, "beamline.ext.x.a", busy.into()).await;
    let _b = Extension::at(&url, "beamline.ext.x.b", Behaviour::Echo).await;
    let calls = calls(&site, 200, Duration::from_secs(5)).await;
    println!("{} calls, {} at the busy one", calls.len(), a.count());
    assert!(errors(&calls).is_empty(), "{:?}", errors(&calls)[0]);
    assert!((1..=10).contains(&a.count()), "{}", a.count());
    assert_eq!(site.circuit("x").await, "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_under_load_is_stood_in_for_from_the_first_call() {
    let fallback = |to: &str| json!({"fallback": [to], "timeout_ms": 300});
    let fixtures = json!([
        record("x", fallback("y")),
        record("y", fallback("z")),
        record("z", Value::Object(serde_json::Map::new())),
    ]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let dies = Instant::now() + Duration::from_secs(1);
    let alive = Behaviour::each(move |_, _| match Instant::now() < dies {
        true => Behaviour::Echo,
        false => Behaviour::silent(),
    });
    let _x = site.play("x", alive).await;
    let y = site.play("y", Behaviour::Echo).await;
    let z = site.play("z", Behaviour::Echo).await;
    let calls = calls(&site, 300, Duration::from_secs(3)).await;
    println!(
        "{} calls, {} at the fallback, p99 {:?}",
        calls.len(),
        y.count(),
        p99(&calls)
    );
    assert!(errors(&calls).is_empty(), "{:?}", errors(&calls)[0]);
    assert!(y.count() > 100, "{}", y.count());
    assert_eq!(z.count(), 0, "nobody asks the fallback's fallback");
    assert!(
        p99(&calls) < Duration::from_millis(600) * 2,
        "{:?}",
        p99(&calls)
    );
}
