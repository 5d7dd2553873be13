use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::record;
use super::streams::Stream;
use crate::harness::daemon::message;
use crate::harness::{Answer, Behaviour, Client, DEADLINE, Daemon, Reply};
use crate::site::{Site, subject};

const CALLS: usize = 20;

fn fixtures() -> serde_json::Value {
    json!([record("x", json!({})), record("quick", json!({}))])
}

fn calls(client: &Arc<Client>, id: &'static str) -> JoinSet<Reply> {
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let client = Arc::clone(client);
        calls.spawn(async move {
            let body = json!({"id": id, "payload": {}});
            client.request_json(&subject("invoke"), &body).await
        });
    }
    calls
}

async fn draining(daemon: &Daemon) {
    daemon
        .wait_log("that it drains", |entry| {
            (message(entry)? == "draining").then_some(())
        })
        .await;
}

#[tokio::test]
async fn calls_in_flight_are_finished_or_told_and_none_is_lost() {
    let site = Site::with(&fixtures()).await;
    let daemon = site.daemon().setting("SHUTDOWN_GRACE_SECONDS", 4);
    let daemon = site.start(daemon).await;
    let quick = site.play("quick", Behaviour::Held(Answer::new("{}"))).await;
    let silent = site.play("x", Behaviour::silent()).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let (mut finished, mut given_up) = (calls(&client, "quick"), calls(&client, "x"));
    quick.wait_count(CALLS).await;
    silent.wait_count(CALLS).await;
    daemon.sigterm();
    draining(&daemon).await;
    quick.behave(Behaviour::Echo);
    while let Some(reply) = finished.join_next().await {
        reply.unwrap().ok();
    }
    while let Some(reply) = given_up.join_next().await {
        let reply = reply.unwrap();
        assert_eq!(reply.error(), (503, "shutting_down".to_owned()));
        // It was sent, so nobody knows whether it may be repeated.
        assert_eq!(reply.details(), json!({"outcome": "unknown"}));
    }
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    assert!(
        site.send("invoke", r#"{"id":"x","payload":1}"#)
            .await
            .is_no_responders()
    );
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_call_that_pauses_before_a_retry_is_told() {
    const ALL: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let fields = json!({"retry": 10, "circuit_breaker": {"enabled": false}});
    let records: Vec<_> = ALL.iter().map(|id| record(id, fields.clone())).collect();
    let site = Site::with(&json!(records)).await;
    let daemon = site.daemon().setting("SHUTDOWN_GRACE_SECONDS", "10ms");
    let daemon = site.start(daemon).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let (mut failing, mut calls) = (Vec::new(), JoinSet::new());
    for id in ALL {
        failing.push(site.play(id, Behaviour::error(500)).await);
        let client = Arc::clone(&client);
        calls.spawn(async move {
            let body = json!({"id": id, "payload": {}});
            client.request_json(&subject("invoke"), &body).await
        });
    }
    // From the fifth attempt on a pause takes up to 1.6 seconds.
    for extension in &failing {
        extension.wait_count(5).await;
    }
    daemon.sigterm();
    while let Some(reply) = calls.join_next().await {
        let reply = reply.unwrap();
        assert_eq!(reply.error(), (503, "shutting_down".to_owned()));
        assert_eq!(reply.details(), json!({"outcome": "unknown"}));
    }
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_stream_in_flight_ends_with_an_error() {
    let site = Site::with(&fixtures()).await;
    let daemon = site.daemon().setting("SHUTDOWN_GRACE_SECONDS", 1);
    let daemon = site.start(daemon).await;
    let _x = site.play("x", Behaviour::endless(3)).await;
    let mut stream = Stream::of(&site, json!({})).await;
    stream.chunks(3).await;
    daemon.sigterm();
    assert_eq!(
        stream.next().await.error(),
        (503, "shutting_down".to_owned())
    );
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

/// With another sidecar in the group: nothing is refused, nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_of_two_leaves_under_load() {
    let site = Site::with(&fixtures()).await;
    let _stays = site.start(site.named("stays")).await;
    let quick = site.play("quick", Behaviour::Echo).await;
    for _ in 0..3 {
        let leaves = site.start(site.named("leaves")).await;
        let before = quick.count();
        let load = async {
            let request = |_| {
                let body = r#"{"id":"quick","payload":1}"#;
                (async_nats::HeaderMap::new(), body.into())
            };
            let invoke = subject("invoke");
            crate::harness::flood(
                &site.nats.url(),
                &invoke,
                (3000, 50),
                request,
                |_, reply| {
                    reply.ok();
                },
            )
            .await;
        };
        let leave = async {
            quick.wait_count(before + 500).await;
            leaves.sigterm();
            assert_eq!(leaves.wait_exit(DEADLINE).await, 0);
        };
        tokio::join!(load, leave);
        assert_eq!(quick.count() - before, 3000, "each once");
    }
}
