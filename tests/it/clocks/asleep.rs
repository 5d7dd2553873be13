use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::asleep;
use crate::harness::daemon::message;
use crate::harness::{Answer, Behaviour, DEADLINE, Daemon, Extension, Reply, eventually, settled};
use crate::invoke::record;
use crate::invoke::streams::Stream;
use crate::rig::{Rig, insert, set_timeout_ms};
use crate::schema::value;
use crate::site::Site;

const MS: Duration = Duration::from_millis(1);

/// A daemon that serves `x`, and `x`, which answers after 300 ms.
async fn slow(fields: Value) -> (Site, Daemon, Extension) {
    let site = Site::with(&json!([record("x", fields)])).await;
    let daemon = site.start(site.daemon()).await;
    let answers = Behaviour::Slow(300 * MS, Answer::new(r#"{"payload":{}}"#));
    let x = site.play("x", answers).await;
    (site, daemon, x)
}

/// 20 calls; the daemon sleeps for `time` as soon as the extension has them all.
async fn twenty(
    site: &Site,
    daemon: &Daemon,
    x: &Extension,
    body: Value,
    time: Duration,
) -> Vec<Reply> {
    let calls = join_all((0..20).map(|_| site.call("x", body.clone())));
    let (replies, ()) = tokio::join!(calls, async {
        x.wait_count(20).await;
        asleep(daemon, time).await;
    });
    replies
}

async fn blamed(site: &Site) -> u64 {
    let health = site.ask("health", &json!({"id": "x"})).await.ok();
    health["health"]["failure_count"].as_u64().unwrap()
}

/// CASES.md A4: 5 s of sleep beside a timeout of 2 s.
#[tokio::test]
async fn replies_that_arrived_while_we_slept_are_delivered() {
    let breaker = json!({"failure_threshold": 5, "timeout_seconds": 60});
    let fields = json!({"timeout_ms": 2000, "circuit_breaker": breaker});
    let (site, daemon, x) = slow(fields).await;
    for reply in twenty(&site, &daemon, &x, json!({}), 5000 * MS).await {
        reply.ok();
    }
    assert_eq!(site.circuit("x").await, "closed");
    assert_eq!(blamed(&site).await, 0);
    let told = |entry: &Value| {
        let message = message(entry)?;
        message
            .contains("process stood still for")
            .then(|| message.to_owned())
    };
    let line = daemon.wait_log("a line about it", told).await;
    assert!(line.contains("stood still for 5."), "{line}");
    let lines = daemon.log();
    let count = lines
        .iter()
        .filter(|line| line.contains("stood still"))
        .count();
    assert_eq!(count, 1, "told once");
}

/// CASES.md A4: a sleep a little longer than the timeout, the extension's or the caller's.
#[tokio::test]
async fn a_short_sleep_blames_nobody_either() {
    for (timeout_ms, patience) in [
        (1000, json!({})),
        (4000, json!({"timeout_ms": 1000})),
        (4000, json!({"deadline_ms": 1000})),
    ] {
        let (site, daemon, x) = slow(json!({"timeout_ms": timeout_ms})).await;
        for reply in twenty(&site, &daemon, &x, patience, 1300 * MS).await {
            reply.ok();
        }
        assert_eq!(site.circuit("x").await, "closed");
        assert_eq!(blamed(&site).await, 0);
    }
}

/// Nobody knows what would have come: the caller is told, the extension is not blamed, whichever
/// clock ran out. The circuit of [`record`] opens at the first failure.
#[tokio::test]
async fn silence_that_we_slept_through_is_neutral() {
    for (patience, code) in [
        (json!({}), "extension_timeout"),
        (json!({"deadline_ms": 800}), "deadline_exceeded"),
    ] {
        let fields = json!({"timeout_ms": 1000});
        let site = Site::with(&json!([record("x", fields)])).await;
        let daemon = site.start(site.daemon()).await;
        let x = site.play("x", Behaviour::silent()).await;
        for reply in twenty(&site, &daemon, &x, patience.clone(), 2000 * MS).await {
            assert_eq!(reply.error(), (504, code.to_owned()));
        }
        assert_eq!(site.circuit("x").await, "closed");
        assert_eq!(blamed(&site).await, 0);
        // Awake, the same silence is the extension's.
        eventually("it is found out", DEADLINE, async || {
            site.call("x", json!({})).await;
            site.circuit("x").await == "open"
        })
        .await;
    }
}

/// What comes after the timer would have run out, but within the time that was slept, counts.
#[tokio::test]
async fn what_was_slept_is_made_up_for() {
    let fields = json!({"timeout_ms": 1000});
    let site = Site::with(&json!([record("x", fields)])).await;
    let daemon = site.start(site.daemon()).await;
    let x = site.play("x", Behaviour::Held(Answer::new("{}"))).await;
    let (reply, ()) = tokio::join!(site.call("x", json!({})), async {
        x.wait_count(1).await;
        asleep(&daemon, 1500 * MS).await;
        x.behave(Behaviour::Echo);
    });
    reply.ok();
}

/// A call that waits for a place goes on waiting: the reply that frees one is still to come.
#[tokio::test]
async fn a_wait_for_a_place_that_we_slept_through_goes_on() {
    let fields = json!({"timeout_ms": 1000, "metadata": {"max_in_flight": 1}});
    let site = Site::with(&json!([record("x", fields)])).await;
    let daemon = site.start(site.daemon()).await;
    let x = site.play("x", Behaviour::Held(Answer::new("{}"))).await;
    let call = |tenant: &str| site.call("x", json!({"context": {"tenant_id": tenant}}));
    let mut calls: FuturesUnordered<_> = ["a", "b", "b"].into_iter().map(call).collect();
    let refused = calls.next().await.unwrap();
    assert_eq!(refused.error(), (503, "overloaded".to_owned()));
    // Of the others one has the place, and one waits for it.
    x.wait_count(1).await;
    asleep(&daemon, 1500 * MS).await;
    x.behave(Behaviour::Echo);
    while let Some(reply) = calls.next().await {
        reply.ok();
    }
}

/// The replies come while the grace period is slept through: the callers are answered all the same.
#[tokio::test]
async fn a_grace_period_that_we_slept_through_loses_no_answer() {
    let site = Site::with(&json!([record("x", json!({"timeout_ms": 5000}))])).await;
    let daemon = site.daemon().setting("SHUTDOWN_GRACE_SECONDS", 2);
    let daemon = site.start(daemon).await;
    let answers = Behaviour::Slow(1000 * MS, Answer::new(r#"{"payload":{}}"#));
    let x = site.play("x", answers).await;
    let calls = join_all((0..20).map(|_| site.call("x", json!({}))));
    let (replies, ()) = tokio::join!(calls, async {
        x.wait_count(20).await;
        daemon.sigterm();
        let draining = |entry: &Value| (message(entry)? == "draining").then_some(());
        daemon.wait_log("the drain has begun", draining).await;
        asleep(&daemon, 4000 * MS).await;
    });
    for reply in replies {
        // One that is not read soon enough after the sleep is given up, and its caller told.
        if reply.header("Nats-Service-Error-Code").is_some() {
            assert_eq!(reply.error(), (503, "shutting_down".to_owned()));
        }
    }
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

#[tokio::test]
async fn a_gap_in_a_stream_that_we_slept_through_is_none() {
    let fields = json!({"timeout_ms": 800});
    let site = Site::with(&json!([record("x", fields)])).await;
    let daemon = site.start(site.daemon()).await;
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let mut requests = client.subscribe("beamline.ext.x.v1").await.unwrap();
    settled(&client).await;
    let mut stream = Stream::of(&site, json!({})).await;
    let request = requests.next().await.unwrap();
    let to = request.reply.unwrap();
    let chunk = async |number: usize| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Beamline-Stream", "chunk");
        let body = number.to_string().into();
        client
            .publish_with_headers(to.clone(), headers, body)
            .await
            .unwrap();
        client.flush().await.unwrap();
    };
    chunk(0).await;
    stream.chunks(1).await;
    tokio::join!(asleep(&daemon, 1500 * MS), async {
        chunk(1).await;
        chunk(2).await;
    });
    let (one, two) = (stream.next().await, stream.next().await);
    assert_eq!((&one.payload[..], &two.payload[..]), (&b"1"[..], &b"2"[..]));
    assert_eq!(blamed(&site).await, 0);
    // Nothing more comes, and we sleep again: the stream ends, and nobody is blamed.
    asleep(&daemon, 1500 * MS).await;
    assert_eq!(
        stream.next().await.error(),
        (504, "extension_timeout".to_owned())
    );
    assert_eq!(site.circuit("x").await, "closed");
}

/// Replies wait in the socket for longer than a call may take to count as fast.
#[tokio::test]
async fn what_was_slept_makes_no_call_slow() {
    let breaker = json!({
        "failure_threshold": 5, "minimum_requests": 5, "slow_call_ms": 2000,
        "slow_call_rate_threshold": 0.1,
    });
    let (site, daemon, x) = slow(json!({"circuit_breaker": breaker})).await;
    for reply in twenty(&site, &daemon, &x, json!({}), 2500 * MS).await {
        reply.ok();
    }
    for _ in 0..3 {
        site.call("x", json!({})).await.ok();
    }
    assert_eq!(site.circuit("x").await, "closed");
    let health = site.ask("health", &json!({"id": "x"})).await.ok();
    let figures = &health["health"];
    assert_eq!(figures["success_count"], 23);
    for figure in ["p99_latency_ms", "avg_latency_ms"] {
        assert!(
            figures[figure].as_f64().unwrap() < 2400.0,
            "{figure}: {figures}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_a_probe_that_came_while_we_slept_counts() {
    let rig = Rig::start().await;
    rig.sql.batch_execute(&insert("x")).await.unwrap();
    let patient = "UPDATE extensions SET timeout_ms = 1000, auto_disabled = true";
    rig.sql.batch_execute(patient).await.unwrap();
    let answers = Behaviour::Slow(200 * MS, Answer::new(r#"{"payload":{}}"#));
    let x = Extension::at(&rig.nats.url(), "beamline.ext.x", answers).await;
    let builder = rig.daemon().setting("AUTO_ENABLE_ON_CIRCUIT_CLOSE", true);
    let daemon = builder.setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "4s");
    let daemon = daemon.spawn().await;
    daemon.wait_ready().await;
    x.wait_count(1).await;
    asleep(&daemon, 2000 * MS).await;
    rig.wait_timeout_ms("x", 1000).await;
    assert_eq!(x.count(), 1, "asked once");
    let awake = "SELECT (changes -> 'reason' ->> 'latency_ms')::float < 2000 \
                 FROM extension_audit_log WHERE action = 'auto_enabled'";
    assert_eq!(value(&rig.sql, awake).await, "true");
}

#[tokio::test]
async fn a_revision_that_came_while_we_slept_is_waited_for() {
    let rig = Rig::start().await;
    rig.sql.batch_execute(&insert("x")).await.unwrap();
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
    let revision = rig.stats().await["revision"].as_i64().unwrap();
    let body = json!({"id": "x", "min_revision": revision + 1, "wait_ms": 3000});
    let (reply, ()) = tokio::join!(rig.ask("lookup", &body), async {
        // Answered after the lookup was received, by the same connection.
        rig.ask("lookup", &json!({"id": "x"})).await.ok();
        tokio::join!(asleep(&daemon, 4500 * MS), async {
            rig.sql
                .batch_execute(&set_timeout_ms("x", 7))
                .await
                .unwrap();
        });
    });
    assert_eq!(reply.ok()["timeout_ms"], 7);
    let stats = rig.stats().await;
    assert_eq!(
        (&stats["listener"]["state"], &stats["database"]["state"]),
        (&json!("listening"), &json!("up"))
    );
}
