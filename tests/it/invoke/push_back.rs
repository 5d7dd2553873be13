use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::streams::Stream;
use super::{one, reason, record};
use crate::harness::{Answer, Behaviour, DEADLINE, Daemon, Extension, eventually};
use crate::rig::metric;
use crate::site::Site;

/// A 429 that asks for so many milliseconds.
fn busy(ms: &str) -> Answer {
    Answer::error(429).header("Beamline-Retry-After-Ms", ms)
}

/// `x` with the instances `a` and `b`, and `fields`.
async fn two(fields: Value, a: Behaviour, b: Behaviour) -> (Site, Daemon, [Extension; 2]) {
    let instances = json!([
        {"instance_id": "a", "subject": "beamline.ext.x.a"},
        {"instance_id": "b", "subject": "beamline.ext.x.b"},
    ]);
    let mut record = record("x", fields);
    record["instances"] = instances;
    let (site, daemon) = Site::serving(&json!([record])).await;
    let url = site.nats.url();
    let a = Extension::at(&url, "beamline.ext.x.a", a).await;
    let b = Extension::at(&url, "beamline.ext.x.b", b).await;
    (site, daemon, [a, b])
}

/// Who rests, as `circuits` and `explain` agree.
async fn resting(site: &Site) -> Value {
    let explained = site.send("explain", "x").await.ok()["resting"].clone();
    let circuits = site.ask("circuits", &json!({})).await.ok();
    assert_eq!(explained, circuits["circuits"][0]["resting"]);
    explained
}

#[tokio::test]
async fn nobody_notices_a_busy_instance_beside_one_that_is_well() {
    let (site, _daemon, [a, b]) = two(json!({}), busy("1000").into(), Behaviour::Echo).await;
    let begun = Instant::now();
    let mut calls = 0;
    for tries in 1..=3 {
        if tries == 3 {
            // So that it still rests when it is looked at below.
            a.behave(busy("60000").into());
        }
        eventually("one of the calls tries it", DEADLINE, async || {
            let reply = site.call("x", json!({})).await;
            reply.ok();
            assert_eq!(reply.header("Beamline-Instance"), Some("b"));
            calls += 1;
            a.count() == tries
        })
        .await;
    }
    // One call each second tries it.
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?} for {calls} calls");
    for _ in 0..10 {
        site.call("x", json!({})).await.ok();
        calls += 1;
    }
    assert_eq!((a.count(), b.count()), (3, calls));
    assert_eq!(site.circuit("x").await, "closed");
    assert_eq!(resting(&site).await[0]["instance_id"], "a");
    assert_eq!(resting(&site).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_another_the_caller_gets_the_error_and_all_who_follow_are_refused_at_once() {
    let (site, daemon, x) = one(json!({"retry": 3}), busy("60000").into()).await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.header("Nats-Service-Error-Code"), Some("429"));
    assert_eq!(reply.header("Beamline-Extension-Error"), Some("1"));
    assert_eq!(reply.header("Beamline-Retry-After-Ms"), Some("60000"));
    assert_eq!(reply.payload, r#"{"failed":429}"#);
    for _ in 0..10 {
        let refused = site.call("x", json!({})).await;
        assert_eq!(
            reason(&refused, 503, "extension_unavailable"),
            "pushed_back"
        );
        let wait = refused.details()["retry_after_ms"].as_u64().unwrap();
        assert!((1..=60_000).contains(&wait), "{wait}");
    }
    assert_eq!(x.count(), 1, "left alone, and never by `retry`");
    let resting = resting(&site).await;
    assert_eq!(resting[0]["instance_id"], Value::Null);
    assert!(resting[0]["until"].is_string(), "{resting}");
    assert_eq!(site.circuit("x").await, "closed");
    let health = site.send("health", "x").await.ok();
    let counts = &health["health"];
    assert_eq!(
        (&counts["failure_count"], &counts["success_count"]),
        (&json!(0), &json!(0)),
        "neutral"
    );
    for (series, count) in [
        (
            r#"extension_pushed_back_total{extension_id="x",version="v1"}"#,
            1.0,
        ),
        (
            r#"extension_invocations_total{extension_id="x",version="v1",status="pushed_back"}"#,
            11.0,
        ),
    ] {
        assert_eq!(metric(&daemon, series).await, Some(count), "{series}");
    }
}

#[tokio::test]
async fn after_the_rest_one_call_tries_it_and_the_others_wait_for_its_answer() {
    let (site, _daemon, x) = one(json!({}), busy("300").into()).await;
    site.call("x", json!({})).await;
    x.behave(Behaviour::Held(Answer::new("1")));
    let tries = async {
        eventually("the rest is over", DEADLINE, async || {
            let reply = site.call("x", json!({})).await;
            if x.count() == 2 {
                Ok(reply)
            } else {
                Err(reply)
            }
        })
        .await
    };
    let others = async {
        x.wait_count(2).await;
        for _ in 0..5 {
            let refused = site.call("x", json!({})).await;
            assert_eq!(
                reason(&refused, 503, "extension_unavailable"),
                "pushed_back"
            );
        }
        assert_eq!(x.count(), 2, "one at a time");
        x.behave(Behaviour::Echo);
    };
    let (tried, ()) = tokio::join!(tries, others);
    tried.ok();
    for _ in 0..5 {
        site.call("x", json!({})).await.ok();
    }
    assert_eq!(x.count(), 7);
}

#[tokio::test]
async fn a_trial_whose_caller_does_not_wait_lets_the_next_one_try() {
    let (site, _daemon, x) = one(json!({}), busy("200").into()).await;
    site.call("x", json!({})).await;
    x.behave(Behaviour::silent());
    eventually("the rest is over", DEADLINE, async || {
        let reply = site.call("x", json!({"deadline_ms": 50})).await;
        (reply.header("Nats-Service-Error-Code") == Some("504")).then_some(())
    })
    .await;
    x.behave(Behaviour::Echo);
    site.call("x", json!({})).await.ok();
}

#[tokio::test]
async fn without_a_hint_nobody_rests_but_the_call_goes_elsewhere() {
    for answer in [Answer::error(429), busy("-1"), busy("0"), busy("soon")] {
        let busy = || Behaviour::from(answer.clone());
        let (site, _daemon, [a, b]) = two(json!({"retry": 3}), busy(), busy()).await;
        for calls in 1..=3 {
            let reply = site.call("x", json!({})).await;
            assert_eq!(reply.header("Nats-Service-Error-Code"), Some("429"));
            assert_eq!(reply.header("Beamline-Retry-After-Ms"), None);
            assert_eq!(reply.header("Beamline-Attempts"), Some("2"));
            assert_eq!((a.count(), b.count()), (calls, calls), "each once");
        }
        assert_eq!(resting(&site).await, Value::Null);
        b.behave(Behaviour::Echo);
        site.call("x", json!({})).await.ok();
        site.call("x", json!({})).await.ok();
    }
}

#[tokio::test]
async fn a_503_pushes_back_only_with_a_hint() {
    for (headers, code, state) in [
        (&[("Retry-After", "1")][..], 503, "closed"),
        (&[("retry-after", "-1")], 503, "closed"),
        (&[], 503, "open"),
        (&[("Retry-After", "tomorrow")], 503, "open"),
        (&[("Retry-After", "1")], 500, "open"),
    ] {
        let mut answer = Answer::error(code);
        for (name, value) in headers {
            answer = answer.header(name, value);
        }
        let (site, _daemon, _x) = one(json!({}), answer.into()).await;
        site.call("x", json!({})).await;
        assert_eq!(site.circuit("x").await, state, "{headers:?}");
    }
}

#[tokio::test]
async fn going_elsewhere_is_paid_from_the_budget() {
    let busy = || Behaviour::error(429);
    let (site, _daemon, [a, b]) = two(json!({}), busy(), busy()).await;
    for _ in 0..40 {
        site.call("x", json!({})).await;
    }
    let attempts = a.count() + b.count();
    assert!((40 + 10..=40 + 10 + 8).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn a_stream_that_is_pushed_back_in_the_middle_ends_and_its_extension_rests() {
    let (site, _daemon, x) = one(json!({}), Behaviour::stream(2, busy("60000"))).await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(2).await;
    let error = stream.next().await;
    assert_eq!(error.header("Nats-Service-Error-Code"), Some("429"));
    assert_eq!(error.header("Beamline-Retry-After-Ms"), Some("60000"));
    let refused = site.call("x", json!({})).await;
    assert_eq!(
        reason(&refused, 503, "extension_unavailable"),
        "pushed_back"
    );
    assert_eq!((x.count(), site.circuit("x").await.as_str()), (1, "closed"));
}
