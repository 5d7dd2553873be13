//! A provider that is busy or dies under load: briefly in every run, and as long as was asked for by
//! `just soak invoke::bad_day`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{one, reason, record};
use crate::harness::{Answer, Behaviour, Client, DEADLINE, Extension, Reply, eventually};
use crate::site::{Site, subject};

/// What a busy one asks for.
const HINT: Duration = Duration::from_secs(2);
/// How long one that dies is waited for on a quiet host.
const TIMEOUT: Duration = Duration::from_millis(300);

/// One call, as its router sees it.
struct Call {
    begun: Instant,
    took: Duration,
    reply: Reply,
}

/// Calls of `x` at a constant rate, each with this deadline.
async fn calls(site: &Site, rate: u32, span: Duration, deadline: Duration) -> Vec<Call> {
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let body = json!({"id": "x", "payload": {}, "deadline_ms": deadline.as_millis() as u64});
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let (begun, mut calls) = (Instant::now(), JoinSet::new());
    while begun.elapsed() < span {
        ticks.tick().await;
        let (client, body) = (Arc::clone(&client), body.clone());
        calls.spawn(async move {
            let begun = Instant::now();
            let reply = client.request_json(&subject("invoke"), &body).await;
            let took = begun.elapsed();
            Call { begun, took, reply }
        });
    }
    calls.join_all().await
}

fn errors(calls: &[Call]) -> Vec<&Reply> {
    let replies = calls.iter().map(|call| &call.reply);
    replies
        .filter(|reply| reply.header("Nats-Service-Error-Code").is_some())
        .collect()
}

/// p50, p99 and the longest.
fn times<'a>(calls: impl Iterator<Item = &'a Call>) -> [Duration; 3] {
    let mut took: Vec<_> = calls.map(|call| call.took).collect();
    took.sort_unstable();
    [took.len() / 2, took.len() * 99 / 100, took.len() - 1].map(|place| took[place])
}

/// `a` is busy, `b` is well: calls, and how many of them were at `a`.
async fn beside_one_that_is_well(span: Duration) -> (usize, usize) {
    let instances = json!([
        {"instance_id": "a", "subject": "beamline.ext.x.a"},
        {"instance_id": "b", "subject": "beamline.ext.x.b"},
    ]);
    // A test that stands still sends at once what it has missed.
    let fields = json!({"instances": instances, "metadata": {"max_in_flight": 2048}});
    let (site, _daemon) = Site::serving(&json!([record("x", fields)])).await;
    let url = site.nats.url();
    let busy = Answer::error(429).header("Retry-After", "2");
    let a = Extension::at(&url, "beamline.ext.x.a", busy.into()).await;
    let _b = Extension::at(&url, "beamline.ext.x.b", Behaviour::Echo).await;
    // Who comes before its first answer goes there, too.
    eventually("it says so", DEADLINE, async || {
        site.call("x", json!({})).await.ok();
        a.count() > 0
    })
    .await;
    let calls = calls(&site, 200, span, Duration::from_secs(5)).await;
    assert!(errors(&calls).is_empty(), "{:?}", errors(&calls)[0]);
    assert!((1..=10).contains(&a.count()), "{}", a.count());
    assert_eq!(site.circuit("x").await, "closed");
    (calls.len(), a.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_instance_is_asked_once_for_each_time_that_it_names() {
    let (calls, busy) = beside_one_that_is_well(Duration::from_secs(5)).await;
    println!("{calls} calls, {busy} at the busy one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten seconds: just soak invoke::bad_day"]
async fn nobody_notices_ten_seconds_of_a_busy_instance() {
    let (calls, busy) = beside_one_that_is_well(Duration::from_secs(10)).await;
    println!("{calls} calls without an error, {busy} at the busy one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten seconds: just soak invoke::bad_day"]
async fn a_busy_one_without_another_gets_one_call_for_each_hint() {
    // It takes a moment to say so: many calls are in flight when its first hint comes.
    let moment = Duration::from_millis(200);
    let arrived = Arc::<Mutex<Vec<Instant>>>::default();
    let arrivals = Arc::clone(&arrived);
    let busy = Behaviour::each(move |_, _| {
        arrivals.lock().unwrap().push(Instant::now());
        Behaviour::Slow(moment, Answer::error(429).header("Retry-After", "2"))
    });
    let (site, _daemon, x) = one(json!({}), busy).await;
    let [span, deadline] = [10, 5].map(Duration::from_secs);
    let calls = calls(&site, 200, span, deadline).await;
    let mut refused = 0;
    for Call { reply, .. } in &calls {
        if reply.header("Nats-Service-Error-Code") == Some("429") {
            assert_eq!(reply.header("Beamline-Extension-Error"), Some("1"));
            continue;
        }
        assert_eq!(reason(reply, 503, "extension_unavailable"), "pushed_back");
        let wait = reply.details()["retry_after_ms"].as_u64().unwrap();
        assert!((1..=2000).contains(&wait), "{wait}");
        refused += 1;
    }
    assert_eq!(x.count() + refused, calls.len(), "each was asked or not");
    assert_eq!(site.circuit("x").await, "closed");

    let arrived = arrived.lock().unwrap();
    let first = arrived[0];
    // The hint was on its way for as long as the machine needed.
    let in_flight = arrived
        .iter()
        .filter(|at| **at - first < moment * 2)
        .count();
    let tries = &arrived[in_flight..];
    println!(
        "{} calls; {in_flight} in flight at the first hint, {} after it",
        calls.len(),
        tries.len()
    );
    let mut last = first;
    for at in tries {
        assert!(*at - last >= HINT, "{:?} after the last", *at - last);
        last = *at;
    }
    assert!(!tries.is_empty(), "nobody has tried it since");
}

/// `x`, which dies under load; its fallback is `y`, whose own is `z`.
struct Death {
    calls: Vec<Call>,
    at: Instant,
    at_fallback: usize,
}

/// It falls silent after `well` of `span`, from one moment to the next, is waited for for `timeout`,
/// and its circuit has these settings. No caller sees an error, and nobody asks `z`.
async fn death(
    rate: u32,
    [well, span, deadline]: [Duration; 3],
    timeout: Duration,
    circuit: Value,
) -> Death {
    let fallback = |to: &str, timeout: Duration| {
        json!({
            "fallback": [to], "timeout_ms": timeout.as_millis() as u64,
            "circuit_breaker": circuit,
            // A test that stands still sends at once what it has missed.
            "metadata": {"max_in_flight": 1024},
        })
    };
    let fixtures = json!([
        record("x", fallback("y", timeout)),
        // Whose one late answer would be the end of it.
        record("y", fallback("z", DEADLINE)),
        record("z", json!({})),
    ]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let at = Instant::now() + well;
    let alive = Behaviour::each(move |_, _| match Instant::now() < at {
        true => Behaviour::Echo,
        false => Behaviour::silent(),
    });
    let _x = site.play("x", alive).await;
    let y = site.play("y", Behaviour::Echo).await;
    let z = site.play("z", Behaviour::Echo).await;
    let calls = calls(&site, rate, span, deadline).await;
    assert!(errors(&calls).is_empty(), "{:?}", errors(&calls)[0]);
    assert_eq!(z.count(), 0, "nobody asks the fallback's fallback");
    let at_fallback = y.count();
    Death {
        calls,
        at,
        at_fallback,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_under_load_is_stood_in_for_from_the_first_call() {
    let spans = [1, 3, 15].map(Duration::from_secs);
    let [.., deadline] = spans;
    // Of a shorter one too much may be slept through, which is nobody's failure.
    let timeout = Duration::from_secs(2);
    let circuit = json!({"failure_threshold": 1, "timeout_seconds": 600});
    let Death {
        calls, at_fallback, ..
    } = death(300, spans, timeout, circuit).await;
    let [_, p99, _] = times(calls.iter());
    println!(
        "{} calls, {at_fallback} at the fallback, p99 {p99:?}",
        calls.len()
    );
    assert!(at_fallback > 100, "{at_fallback}");
    // On a quiet host two timeouts; the long version is held to that.
    assert!(p99 < deadline / 2, "{p99:?} of {timeout:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten seconds: just soak invoke::bad_day"]
async fn a_death_under_500_calls_a_second_costs_no_caller_more_than_two_timeouts() {
    let (rate, spans) = (500, [2, 10, 1].map(Duration::from_secs));
    let [_, span, deadline] = spans;
    // Tried every second, which costs a few callers the timeout each time.
    let circuit = json!({"failure_threshold": 5, "timeout_seconds": 1, "max_timeout_seconds": 1});
    let death = death(rate, spans, TIMEOUT, circuit).await;
    // From those on that were in flight.
    let after = |call: &&Call| call.begun + TIMEOUT >= death.at;
    let before = times(death.calls.iter().filter(|call| !after(call)));
    let [p50, p99, longest] = times(death.calls.iter().filter(after));
    println!(
        "{} calls, {} at the fallback; p50, p99 and longest {before:?} before it died, \
         {:?} since",
        death.calls.len(),
        death.at_fallback,
        [p50, p99, longest],
    );
    let offered = rate as usize * span.as_secs() as usize;
    assert!(death.calls.len() * 10 >= offered * 9, "of {offered}");
    assert!(death.at_fallback * 2 > offered, "{}", death.at_fallback);
    assert!(p99 <= TIMEOUT * 2, "{p99:?}");
    assert!(longest <= deadline, "{longest:?}");
}
