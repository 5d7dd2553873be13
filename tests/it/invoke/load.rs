use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, timeout};

use super::{one, record};
use crate::harness::{Behaviour, DEADLINE, Extension, eventually};
use crate::site::{Site, subject};

/// Calls offered per second.
const RATE: u32 = 200;

/// Offers [`RATE`] calls a second to `id` for `time`, and waits until each has its answer: then their
/// retries are over, too. How many they were.
async fn offer(site: &Site, id: &str, rate: u32, time: Duration) -> usize {
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    let body = json!({"id": id, "payload": {}}).to_string();
    let (start, mut ticks, mut offered) =
        (Instant::now(), interval(Duration::from_secs(1) / rate), 0);
    while start.elapsed() < time {
        ticks.tick().await;
        let (invoke, inbox) = (subject("invoke"), inbox.clone());
        let sent = client.publish_with_reply(invoke, inbox, body.clone().into());
        sent.await.unwrap();
        offered += 1;
    }
    for answered in 0..offered {
        let answer = timeout(DEADLINE, answers.next()).await;
        let answer = answer.unwrap_or_else(|_| panic!("{answered} of {offered} answered"));
        answer.unwrap();
    }
    offered
}

/// Waits until the extension's count does not grow any more: what was sent is there.
async fn settled(extension: &Extension) -> usize {
    let mut last = (extension.count(), Instant::now());
    eventually("no more requests", DEADLINE, async || {
        if extension.count() != last.0 {
            last = (extension.count(), Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(600)
    })
    .await;
    last.0
}

fn fields(breaker: &Value) -> Value {
    json!({
        "timeout_ms": 100, "retry": 3, "circuit_breaker": breaker,
        "metadata": {"max_in_flight": 4096},
    })
}

/// Without its circuit: what retries alone may add.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_extension_sees_little_more_than_its_offered_load() {
    let (site, _daemon, x) = one(fields(&json!({"enabled": false})), Behaviour::silent()).await;
    let offered = offer(&site, "x", RATE, Duration::from_secs(3)).await;
    let received = settled(&x).await;
    assert!(received > offered, "retried: {received} of {offered}");
    // Ten a second are granted whatever the share, at the end of which few calls are left to share.
    assert!(
        received <= offered + offered / 5 + 30,
        "{received} of {offered}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_it_opened_only_trials_pass_and_after_recovery_no_burst() {
    let breaker = json!({
        "failure_threshold": 5, "timeout_seconds": 0.2, "max_timeout_seconds": 0.2,
        "half_open_max_requests": 3,
    });
    let (site, _daemon, x) = one(fields(&breaker), Behaviour::silent()).await;
    eventually("it opens", DEADLINE, async || {
        site.call("x", json!({})).await;
        site.circuit("x").await == "open"
    })
    .await;
    let before = settled(&x).await;

    let start = Instant::now();
    let offered = offer(&site, "x", RATE, Duration::from_secs(2)).await;
    let in_time = start.elapsed();
    let trials = settled(&x).await - before;
    // Each opening lasts 200 ms and is followed by at most three trials.
    let openings = usize::try_from(in_time.as_millis() / 200).unwrap() + 1;
    assert!(
        (1..=3 * openings).contains(&trials),
        "{trials} trials of {offered} calls"
    );

    // From here on nothing fails, nor is tried again, that only waits for its turn.
    let mut patient = fields(&breaker);
    patient["timeout_ms"] = json!(10_000);
    site.write_fixtures(&json!([record("x", patient)]));
    eventually("the longer timeout", DEADLINE, async || {
        site.send("lookup", "x").await.ok()["timeout_ms"] == 10_000
    })
    .await;
    x.behave(Behaviour::Echo);
    eventually("closed again", DEADLINE, async || {
        site.call("x", json!({})).await;
        site.circuit("x").await == "closed"
    })
    .await;
    let before = settled(&x).await;
    let offered = offer(&site, "x", RATE, Duration::from_secs(1)).await;
    let received = settled(&x).await - before;
    assert_eq!(received, offered, "nothing was saved up, and it serves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_answers_costs_the_others_no_call() {
    let silent = json!({"timeout_ms": 2000, "circuit_breaker": {"enabled": false}});
    let fixtures = json!([record("silent", silent), record("x", json!({}))]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let silent = site.play("silent", Behaviour::silent()).await;
    let x = site.play("x", Behaviour::Echo).await;
    let others = async {
        silent.wait_count(256).await;
        for _ in 0..300 {
            site.call("x", json!({})).await.ok();
            site.send("lookup", "silent").await.ok();
        }
    };
    let (url, invoke) = (site.nats.url(), subject("invoke"));
    let flooding = crate::harness::flood(
        &url,
        &invoke,
        (3000, 512),
        |_| (HeaderMap::new(), r#"{"id":"silent","payload":1}"#.into()),
        |_, reply| {
            let error = reply.error();
            assert!(matches!(error.0, 503 | 504), "{error:?}");
        },
    );
    tokio::join!(others, flooding);
    assert_eq!(x.count(), 300, "and none of them twice");
    site.client.assert_one_reply_each().await;
}
