use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::record;
use crate::harness::{Answer, Behaviour, Client, Daemon, Extension, NatsServer, Reply};
use crate::rig::metric;
use crate::site::{Site, subject};

const MIB: usize = 1 << 20;

/// Extension `x` on a server that takes large messages, and a daemon whose calls may hold `bytes`.
async fn holding(bytes: usize, behaviour: Behaviour) -> (Site, Daemon, Extension) {
    // All requests of a test may be on their way at a time: by default a server takes who has not read
    // 64 MiB for dead.
    let nats = NatsServer::builder().max_payload(9 * MIB);
    let nats = nats.config("max_pending: 3GB").start().await;
    let fields = json!({"timeout_ms": 60_000, "metadata": {"max_in_flight": 512}});
    let site = Site::on(nats, &json!([record("x", fields)])).await;
    let daemon = site
        .daemon()
        .setting("MAX_IN_FLIGHT_BYTES", bytes)
        .setting("MAX_PAYLOAD_BYTES", 2 * MIB);
    let daemon = site.start(daemon).await;
    let extension = site.play("x", behaviour).await;
    (site, daemon, extension)
}

/// `count` calls at once with `bytes` of text each.
fn calls(client: &Arc<Client>, count: usize, bytes: usize) -> JoinSet<Reply> {
    let body = json!({"id": "x", "payload": {"text": "x".repeat(bytes)}});
    let body = Bytes::from(body.to_string());
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let (client, body) = (Arc::clone(client), body.clone());
        calls.spawn(async move { client.request(&subject("invoke"), body).await });
    }
    calls
}

/// JSON of `bytes`.
fn text(bytes: usize) -> Answer {
    Answer::new(Value::from("x".repeat(bytes)).to_string())
}

fn assert_too_many_bytes(reply: &Reply) {
    assert_eq!(reply.error(), (503, "overloaded".to_owned()));
    assert_eq!(reply.details(), json!({"reason": "bytes"}));
}

#[tokio::test]
async fn requests_that_would_hold_too_much_are_refused_until_others_are_answered() {
    let held = Behaviour::Held(Answer::new("{}"));
    let (site, daemon, x) = holding(3 * MIB, held).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut first = calls(&client, 2, MIB);
    x.wait_count(2).await;
    for reply in calls(&client, 3, MIB).join_all().await {
        assert_too_many_bytes(&reply);
    }
    let mut small = calls(&client, 1, 1000);
    x.wait_count(3).await;
    x.behave(Behaviour::reply("{}"));
    first.spawn(async move { small.join_next().await.unwrap().unwrap() });
    for reply in first.join_all().await {
        reply.ok();
    }
    for reply in calls(&client, 2, MIB).join_all().await {
        reply.ok();
    }
    let refused = metric(&daemon, "extension_registry_overloaded_total").await;
    assert_eq!(refused, Some(3.0));
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_reply_that_would_hold_too_much_is_nobodys_failure() {
    let (site, _daemon, x) = holding(3 * MIB, text(4 * MIB).into()).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    for reply in calls(&client, 3, 1000).join_all().await {
        assert_too_many_bytes(&reply);
    }
    assert_eq!(site.circuit("x").await, "closed");
    // What was let go is free again.
    x.behave(text(2 * MIB).into());
    for _ in 0..3 {
        for reply in calls(&client, 1, 1000).join_all().await {
            assert_eq!(reply.ok().as_str().map(str::len), Some(2 * MIB));
        }
    }
    client.assert_one_reply_each().await;
}

/// `count` calls at once, with replies eight times as large as requests, each answered or refused; the
/// most memory that the daemon had.
async fn crowd(count: usize, bytes: usize, budget: usize) -> usize {
    let (site, daemon, _x) = holding(budget, text(8 * bytes).into()).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut calls = calls(&client, count, bytes);
    let (mut answered, mut refused) = (0, 0);
    while let Some(reply) = calls.join_next().await {
        let reply = reply.unwrap();
        let server = || site.nats.process().map(|process| process.log());
        assert!(
            !reply.is_no_responders(),
            "{:#?} {:#?}",
            daemon.log(),
            server()
        );
        if reply.header("Nats-Service-Error-Code").is_none() {
            assert_eq!(reply.ok().as_str().map(str::len), Some(8 * bytes));
            answered += 1;
        } else {
            let is_refused = reply.error() == (503, "overloaded".to_owned());
            assert!(is_refused, "{reply:?}: {:#?}", daemon.log());
            refused += 1;
        }
    }
    assert_eq!((answered + refused, answered > 0), (count, true));
    client.assert_one_reply_each().await;
    daemon.peak_memory()
}

#[tokio::test]
async fn a_crowd_of_large_calls_holds_what_it_may() {
    let peak = crowd(64, MIB / 8, 4 * MIB).await;
    assert!(peak < 128 * MIB, "{peak} bytes");
}

/// One by one its headers would take many times their bytes, which nothing counts.
#[tokio::test]
async fn a_reply_of_many_headers_takes_no_more_than_its_bytes() {
    let many = (0..8 * MIB / 5).fold(Answer::new("{}"), |answer, _| answer.header("a", ""));
    let (site, daemon, _x) = holding(64 * MIB, many.into()).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    for reply in calls(&client, 2, 1000).join_all().await {
        assert_eq!(reply.ok(), json!({}));
    }
    let peak = daemon.peak_memory();
    assert!(peak < 128 * MIB, "{peak} bytes");
}

/// What the pod's limit of 256Mi has to hold, and a quarter of it for calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half a gigabyte at once: just soak invoke::bytes"]
async fn five_hundred_calls_with_large_replies_fit_the_shipped_limits() {
    let peak = crowd(512, MIB, 64 * MIB).await;
    eprintln!("{} MiB at most", peak / MIB);
    assert!(peak < 256 * MIB, "{peak} bytes");
}
