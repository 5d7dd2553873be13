use std::time::Duration;

use serde_json::{Value, json};

use super::{at, one, reason, record};
use crate::harness::{Behaviour, Extension};
use crate::site::Site;

/// Fails as often as it likes.
fn patient() -> Value {
    json!({"enabled": false})
}

#[tokio::test]
async fn what_may_help_is_tried_again_and_each_attempt_has_its_number() {
    let hasty = json!({"timeout_ms": 1200, "retry": 2, "circuit_breaker": patient()});
    let fields = json!({"retry": 2, "circuit_breaker": patient()});
    let fixtures = json!([record("hasty", hasty), record("x", fields)]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let silent = site.play("hasty", Behaviour::silent()).await;
    let reply = site.call("hasty", json!({})).await;
    assert_eq!(reply.error(), (504, "extension_timeout".to_owned()));
    silent.wait_count(3).await;
    let received = silent.received();
    let attempts = received
        .iter()
        .map(|r| r.header("Beamline-Attempt").unwrap());
    assert!(attempts.eq(["1", "2", "3"]));

    let extension = site.play("x", Behaviour::silent()).await;
    for code in [500, 503, 599] {
        let before = extension.count();
        extension.behave(Behaviour::error(code));
        let reply = site.call("x", json!({})).await;
        assert_eq!(
            reply.header("Nats-Service-Error-Code"),
            Some(code.to_string().as_str())
        );
        assert_eq!(reply.header("Beamline-Attempts"), Some("3"));
        assert_eq!(extension.count() - before, 3);
    }
    let before = extension.count();
    extension.behave(Behaviour::each(move |number, _| {
        if number - before < 2 {
            Behaviour::error(500)
        } else {
            Behaviour::Echo
        }
    }));
    let reply = site.call("x", json!({})).await;
    reply.ok();
    assert_eq!(reply.header("Beamline-Attempts"), Some("3"));
    let traces: Vec<_> = extension.received().split_off(before);
    let traces = traces
        .iter()
        .map(|r| r.header("traceparent").unwrap().to_owned());
    let mut spans: Vec<_> = traces.collect();
    spans.dedup();
    assert_eq!(spans.len(), 3, "a span each");
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn what_would_come_again_is_not_tried_again() {
    let (site, _daemon, extension) = one(
        json!({"retry": 5, "circuit_breaker": patient()}),
        Behaviour::silent(),
    )
    .await;
    for behaviour in [
        Behaviour::error(400),
        Behaviour::error(499),
        Behaviour::reply(""),
        Behaviour::reply("no json"),
        Behaviour::reply(r#"{"error":1}"#),
    ] {
        let before = extension.count();
        extension.behave(behaviour);
        let reply = site.call("x", json!({})).await;
        assert!(reply.header("Nats-Service-Error-Code").is_some());
        assert_eq!(extension.count() - before, 1, "{reply:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_its_reason_and_counts() {
    let record = record(
        "x",
        json!({"retry": 1, "circuit_breaker": {"failure_threshold": 2}}),
    );
    let (site, _daemon) = Site::serving(&json!([record])).await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(
        reason(&reply, 503, "extension_unavailable"),
        "no_responders"
    );
    assert_eq!(reply.details()["id"], "x");
    assert_eq!(site.circuit("x").await, "open", "both attempts count");
}

/// It may have done its work before it left: a caller that repeats the call must know.
#[tokio::test]
async fn nobody_there_after_a_timeout_is_no_sign_that_nothing_was_done() {
    let (site, _daemon, extension) = one(
        json!({"timeout_ms": 4000, "retry": 1, "circuit_breaker": patient()}),
        Behaviour::silent(),
    )
    .await;
    let leaving = async {
        extension.wait_count(1).await;
        extension.leave().await;
    };
    let (reply, ()) = tokio::join!(site.call("x", json!({})), leaving);
    assert_eq!(
        reason(&reply, 503, "extension_unavailable"),
        "no_responders"
    );
    assert_eq!(reply.details()["outcome"], "unknown");
    let reply = site.call("x", json!({})).await;
    assert_eq!(
        reply.details(),
        json!({"id": "x", "reason": "no_responders"}),
        "nobody there, twice"
    );
}

/// The rolling restart of an extension: its subject is empty for a moment.
#[tokio::test]
async fn a_retry_finds_another_instance_first() {
    let instances = json!([
        {"instance_id": "bad", "subject": "beamline.ext.x.bad"},
        {"instance_id": "good", "subject": "beamline.ext.x.good"},
        {"instance_id": "gone", "subject": "beamline.ext.x.gone"},
    ]);
    // In turn: by load and latency, the good one might get all of so few calls at once.
    let fields = json!({"instances": instances, "retry": 2, "metadata": {"balance": "weighted"}, "circuit_breaker": {"enabled": false, "failure_threshold": 1000}});
    let (site, _daemon) = Site::serving(&json!([record("x", fields)])).await;
    let url = site.nats.url();
    let bad = Extension::at(&url, "beamline.ext.x.bad", Behaviour::error(500)).await;
    let good = Extension::at(&url, "beamline.ext.x.good", Behaviour::Echo).await;
    // So few that the budget allows all retries.
    let mut attempts = [0; 4];
    for _ in 0..6 {
        let reply = site.call("x", json!({})).await;
        reply.ok();
        assert_eq!(reply.header("Beamline-Instance"), Some("good"));
        let number: usize = reply.header("Beamline-Attempts").unwrap().parse().unwrap();
        attempts[number] += 1;
    }
    assert_eq!(good.count(), 6);
    assert!(
        bad.count() <= 6,
        "never the same instance twice: {}",
        bad.count()
    );
    assert!(attempts[1] >= 1, "the good one has its turn: {attempts:?}");
    assert!(
        attempts[2] + attempts[3] >= 3,
        "and so have the others: {attempts:?}"
    );
}

#[tokio::test]
async fn retries_end_with_the_deadline() {
    let (site, _daemon, extension) = one(
        json!({"retry": 10, "circuit_breaker": patient()}),
        Behaviour::error(500),
    )
    .await;
    let reply = site.call("x", json!({"deadline_ms": 400})).await;
    let code = reply.header("Nats-Service-Error-Code");
    assert!(matches!(code, Some("500" | "504")), "{reply:?}");
    let left: Vec<u64> = extension
        .received()
        .iter()
        .map(|r| r.header("Beamline-Deadline-Ms").unwrap().parse().unwrap())
        .collect();
    assert!(
        left.is_sorted_by(|a, b| a >= b),
        "what is left shrinks: {left:?}"
    );
    assert!(left.iter().all(|ms| *ms <= 400), "{left:?}");
    assert!(left.len() < 11, "the waits grow beyond it: {left:?}");
}

#[tokio::test]
async fn an_open_circuit_ends_retries_and_the_last_word_is_the_extensions() {
    let breaker = json!({"failure_threshold": 2, "timeout_seconds": 600});
    let fields = json!({"retry": 5, "circuit_breaker": breaker});
    let (site, _daemon, extension) = one(fields, Behaviour::error(500)).await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.header("Nats-Service-Error-Code"), Some("500"));
    assert_eq!(reply.header("Beamline-Attempts"), Some("2"));
    assert_eq!(extension.count(), 2);
}

/// Ten at first and one for every fifth call, however long it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_keep_to_their_budget() {
    let fields = json!({"retry": 5, "circuit_breaker": patient()});
    let (site, _daemon, extension) = one(fields, Behaviour::error(500)).await;
    let calls = 500;
    crate::harness::flood(
        &site.nats.url(),
        "beamline.registry.invoke",
        (calls, 50),
        |_| {
            (
                async_nats::HeaderMap::new(),
                r#"{"id":"x","payload":1}"#.into(),
            )
        },
        |_, reply| assert_eq!(reply.header("Nats-Service-Error-Code"), Some("500")),
    )
    .await;
    let retries = extension.count() - calls;
    // What calls add to a full bucket is lost, as of those that come at once in the beginning.
    assert!((80..=10 + calls / 5).contains(&retries), "{retries}");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let before = extension.count();
    for _ in 0..4 {
        site.call("x", json!({})).await;
    }
    let attempts = extension.count() - before;
    assert!(
        (4..=5).contains(&attempts),
        "time alone grants nothing: {attempts}"
    );
}

#[tokio::test]
async fn a_slow_answer_of_an_earlier_attempt_is_not_taken_for_another() {
    let (site, _daemon, extension) = one(
        json!({"timeout_ms": 3000, "retry": 1, "circuit_breaker": patient()}),
        Behaviour::each(|number, _| {
            let body = format!("{number}");
            if number == 0 {
                Behaviour::Slow(
                    Duration::from_millis(3050),
                    crate::harness::Answer::new(body),
                )
            } else {
                Behaviour::reply(body)
            }
        }),
    )
    .await;
    let reply = site.call("x", json!({})).await;
    assert_eq!((&reply.payload[..], extension.count()), (&b"1"[..], 2));
    assert_eq!(extension.last().subject, at("x"));
    site.client.assert_one_reply_each().await;
}
