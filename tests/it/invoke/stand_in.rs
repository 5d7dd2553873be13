use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use serde_json::{Value, json};

use super::streams::Stream;
use super::{at, record};
use crate::harness::{Answer, Behaviour, Daemon, Extension, Reply, flood};
use crate::rig::metric;
use crate::site::{Site, subject};

/// `x` with the fallback `y`, which has `z`; `fields` over those of `x` and `y`. Circuits never open.
async fn trio(x: Value, y: Value) -> (Site, Daemon) {
    let patient = |id: &str, fallback: &str, fields: Value| {
        let mut record = record(id, fields);
        record["circuit_breaker"] = json!({"enabled": false});
        record["fallback"] = json!([fallback]);
        record
    };
    let fixtures = [
        patient("x", "y", x),
        patient("y", "z", y),
        record("z", json!({})),
    ];
    Site::serving(&json!(fixtures)).await
}

/// Who answered, for whom, after how many attempts.
fn trail(reply: &Reply) -> [Option<&str>; 3] {
    [
        "Beamline-Extension-Id",
        "Beamline-Fallback-From",
        "Beamline-Attempts",
    ]
    .map(|name| reply.header(name))
}

#[tokio::test]
async fn a_call_that_fails_or_is_pushed_back_is_answered_by_the_fallback() {
    let (site, daemon) = trio(json!({"timeout_ms": 2500}), json!({})).await;
    let y = site.play("y", Behaviour::Echo).await;
    let reply = site.call("x", json!({})).await;
    reply.ok();
    assert_eq!(
        trail(&reply),
        [Some("y"), Some("x"), Some("2")],
        "nobody there"
    );
    let x = site.play("x", Behaviour::silent()).await;
    for (behaviour, calls) in [
        (Behaviour::silent(), 1),
        (Behaviour::error(500), 2),
        (Behaviour::reply(""), 3),
        (Behaviour::error(429), 4),
    ] {
        x.behave(behaviour);
        let reply = site.call("x", json!({})).await;
        reply.ok();
        assert_eq!(trail(&reply), [Some("y"), Some("x"), Some("2")], "{calls}");
        assert_eq!((x.count(), y.count()), (calls, calls + 1));
        assert_eq!(y.last().header("Beamline-Attempt"), Some("2"));
    }
    // While it rests, too, and then it is not asked.
    x.behave(Answer::error(429).header("Retry-After", "60").into());
    for attempts in ["2", "1"] {
        let reply = site.call("x", json!({})).await;
        assert_eq!(trail(&reply), [Some("y"), Some("x"), Some(attempts)]);
    }
    assert_eq!(x.count(), 5);
    for (series, count) in [
        (r#"extension_fallbacks_total{extension_id="x"}"#, Some(7.0)),
        (r#"extension_fallbacks_total{extension_id="y"}"#, Some(0.0)),
        (
            r#"extension_invocations_total{extension_id="x",version="v1",status="timeout"}"#,
            Some(1.0),
        ),
        (
            r#"extension_invocations_total{extension_id="x",version="v1",status="failure"}"#,
            Some(3.0),
        ),
        (
            r#"extension_invocations_total{extension_id="x",version="v1",status="pushed_back"}"#,
            Some(3.0),
        ),
        (
            r#"extension_invocations_total{extension_id="y",version="v1",status="success"}"#,
            Some(7.0),
        ),
    ] {
        assert_eq!(metric(&daemon, series).await, count, "{series}");
    }
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn where_the_fallback_fails_too_the_error_is_that_of_the_first() {
    let (site, _daemon) = trio(json!({"retry": 1}), json!({"retry": 3})).await;
    let x = site.play("x", Behaviour::error(507)).await;
    let y = site.play("y", Behaviour::silent()).await;
    let z = site.play("z", Behaviour::Echo).await;
    for behaviour in [
        Behaviour::error(500),
        Behaviour::error(422),
        Behaviour::error(429),
        Behaviour::reply("?"),
    ] {
        let before = y.count();
        y.behave(behaviour);
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.header("Nats-Service-Error-Code"), Some("507"));
        assert_eq!(trail(&reply), [Some("x"), None, Some("2")]);
        assert_eq!(y.count() - before, 1, "one attempt");
    }
    assert_eq!((x.count(), z.count()), (8, 0));
}

#[tokio::test]
async fn an_error_says_that_the_fallback_may_have_done_it() {
    let (site, _daemon) = trio(json!({}), json!({"timeout_ms": 2500})).await;
    let y = site.play("y", Behaviour::silent()).await;
    for (behaviour, outcome) in [
        (Behaviour::silent(), json!("unknown")),
        (Behaviour::error(422), Value::Null),
    ] {
        y.behave(behaviour);
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.details()["reason"], "no_responders");
        assert_eq!(reply.details()["outcome"], outcome);
    }
    assert_eq!(y.count(), 2);
}

#[tokio::test]
async fn what_is_nobodys_fault_or_asked_for_by_name_stays_where_it_is() {
    let (site, _daemon) = trio(json!({"timeout_ms": 4000}), json!({})).await;
    let x = site.play("x", Behaviour::error(422)).await;
    let y = site.play("y", Behaviour::Echo).await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.header("Nats-Service-Error-Code"), Some("422"));
    x.behave(Behaviour::error(500));
    let reply = site.call("x", json!({"version": "v1"})).await;
    assert_eq!(reply.header("Nats-Service-Error-Code"), Some("500"));
    x.behave(Behaviour::silent());
    for deadline in [90, 2000] {
        let reply = site.call("x", json!({"deadline_ms": deadline})).await;
        assert_eq!(reply.error(), (504, "deadline_exceeded".to_owned()));
    }
    // Within 90 ms it may not have been sent.
    assert!((3..=4).contains(&x.count()), "{}", x.count());
    assert_eq!(y.count(), 0);
}

#[tokio::test]
async fn with_fallback_on_open_only_an_open_circuit_leads_there() {
    let fields = json!({"fallback": ["y"], "metadata": {"fallback_on": "open"}});
    let fixtures = json!([record("x", fields), record("y", json!({}))]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let x = site.play("x", Behaviour::error(500)).await;
    let y = site.play("y", Behaviour::Echo).await;
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.header("Nats-Service-Error-Code"), Some("500"));
    let reply = site.call("x", json!({})).await;
    assert_eq!(trail(&reply), [Some("y"), Some("x"), Some("1")]);
    assert_eq!((x.count(), y.count()), (1, 1));
}

#[tokio::test]
async fn the_callers_deadline_holds_for_both() {
    let (site, _daemon) = trio(json!({"timeout_ms": 2000}), json!({})).await;
    let x = site.play("x", Behaviour::silent()).await;
    let y = site.play("y", Behaviour::silent()).await;
    let begun = Instant::now();
    let reply = site.call("x", json!({"deadline_ms": 4000})).await;
    assert_eq!(reply.error(), (504, "extension_timeout".to_owned()));
    assert_eq!(reply.details()["id"], "x");
    let took = begun.elapsed();
    // The timeouts of both would be twelve seconds.
    assert!((4000..9000).contains(&took.as_millis()), "{took:?}");
    y.wait_count(1).await;
    let left = y
        .last()
        .header("Beamline-Deadline-Ms")
        .unwrap()
        .parse::<u64>();
    assert!((1..=2000).contains(&left.unwrap()), "what is left");
    assert_eq!((x.count(), y.count()), (1, 1));
}

#[tokio::test]
async fn the_fallback_is_sent_what_it_would_have_been_sent_had_it_been_asked_for() {
    let fields = |config: &str| json!({"type": "provider", "config": {config: 1}});
    let (site, _daemon) = trio(fields("of_x"), fields("of_y")).await;
    let _x = site.play("x", Behaviour::error(500)).await;
    let y = site.play("y", Behaviour::Echo).await;
    let request = json!({
        "payload": {"model": "m", "n": 1.50}, "metadata": {"m": [1]}, "config": {"not": "there"},
        "fallback_config": {"y": {"b": 2}, "z": {"c": 3}},
        "context": {"tenant_id": "acme", "trace_id": 7},
    });
    site.call("x", request.clone()).await.ok();
    let stood_in = y.last();
    assert_eq!(
        stood_in.text(),
        r#"{"trace_id":7,"tenant_id":"acme","provider_id":"y","model":"m","n":1.5,"metadata":{"m":[1]},"config":{"b":2,"of_y":1}}"#
    );
    assert_eq!(stood_in.subject, at("y"));
    assert_eq!(stood_in.header("Beamline-Extension-Id"), Some("y"));
}

#[tokio::test]
async fn the_fallback_has_places_and_limits_of_its_own() {
    for limit in ["max_in_flight", "max_payload_size"] {
        let (site, _daemon) = trio(json!({}), json!({"metadata": {limit: 0}})).await;
        let _x = site.play("x", Behaviour::error(500)).await;
        let y = site.play("y", Behaviour::Echo).await;
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.header("Nats-Service-Error-Code"), Some("500"));
        assert_eq!(y.count(), 0, "{limit}");
    }
    // While the fallback works, the place at the first is free.
    let (site, _daemon) = trio(json!({"metadata": {"max_in_flight": 1}}), json!({})).await;
    let x = site.play("x", Behaviour::error(500)).await;
    let y = site.play("y", Behaviour::Held(Answer::new("1"))).await;
    let both = async {
        let (a, b) = tokio::join!(site.call("x", json!({})), async {
            y.wait_count(1).await;
            site.call("x", json!({})).await
        });
        (a.ok(), b.ok())
    };
    let release = async {
        y.wait_count(2).await;
        y.behave(Behaviour::Echo);
    };
    tokio::join!(both, release);
    assert_eq!(x.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_first_dies_under_load_no_caller_gets_an_error() {
    let breaker = json!({"failure_threshold": 5, "timeout_seconds": 600});
    let fields = json!({"timeout_ms": 2000, "fallback": ["y"], "circuit_breaker": breaker});
    let fixtures = json!([
        record("x", fields),
        record("y", json!({"fallback": ["z"]})),
        record("z", json!({}))
    ]);
    let (site, _daemon) = Site::serving(&fixtures).await;
    let x = site.play(
        "x",
        Behaviour::each(|number, _| {
            if number < 500 {
                Behaviour::Echo
            } else {
                Behaviour::silent()
            }
        }),
    );
    let x: Extension = x.await;
    let y = site.play("y", Behaviour::Echo).await;
    let z = site.play("z", Behaviour::Echo).await;
    let request = |_| (HeaderMap::new(), r#"{"id":"x","payload":1}"#.into());
    let mut by_y = 0;
    flood(
        &site.nats.url(),
        &subject("invoke"),
        (2000, 50),
        request,
        |_, reply| {
            assert_eq!(reply.header("Nats-Service-Error-Code"), None, "{reply:?}");
            by_y += usize::from(reply.header("Beamline-Extension-Id") == Some("y"));
        },
    )
    .await;
    // More than 1,500 where an answer of the first came too late.
    assert!(by_y >= 1500, "{by_y}");
    assert_eq!((y.count(), z.count()), (by_y, 0));
    assert!(x.count() < 600, "then its circuit is open: {}", x.count());
}

#[tokio::test]
async fn a_first_chunk_that_does_not_come_is_the_fallbacks() {
    let fields = json!({"metadata": {"stream": {"first_chunk_ms": 2000}}});
    let (site, _daemon) = trio(fields, json!({})).await;
    let _x = site.play("x", Behaviour::silent()).await;
    let _y = site.play("y", Behaviour::stream(1, Answer::end())).await;
    let begun = Instant::now();
    let mut stream = Stream::of(&site, json!({})).await;
    let first = stream.next().await;
    assert_eq!(
        (&first.payload[..], first.header("Beamline-Seq")),
        (&b"0"[..], Some("1"))
    );
    assert_eq!(trail(&first), [Some("y"), Some("x"), Some("2")]);
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(9)).contains(&took),
        "{took:?}"
    );
    assert_eq!(stream.next().await.header("Beamline-Stream"), Some("end"));
    // Afterwards nobody stands in.
    let y = &_y;
    y.behave(Behaviour::stream(1, Answer::error(500)));
    let mut stream = Stream::of(&site, json!({})).await;
    stream.next().await;
    assert_eq!(
        stream.next().await.header("Nats-Service-Error-Code"),
        Some("500")
    );
}
