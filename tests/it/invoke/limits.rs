use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::record;
use crate::harness::{Answer, Behaviour, Client, DEADLINE, Reply, eventually};
use crate::rig::metric;
use crate::site::{Site, subject};

/// `count` calls of `id` at once.
fn calls(client: &Arc<Client>, id: &'static str, count: usize) -> JoinSet<Reply> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let client = Arc::clone(client);
        calls.spawn(async move {
            let body = json!({"id": id, "payload": {}});
            client.request_json(&subject("invoke"), &body).await
        });
    }
    calls
}

async fn overloaded(calls: &mut JoinSet<Reply>, count: usize) {
    for _ in 0..count {
        let reply = calls.join_next().await.unwrap().unwrap();
        assert_eq!(reply.error(), (503, "overloaded".to_owned()));
    }
}

#[tokio::test]
async fn beyond_the_daemons_limit_calls_are_turned_away_at_once_and_lookups_go_on() {
    let fixtures = json!([record("x", json!({})), record("y", json!({}))]);
    let site = Site::with(&fixtures).await;
    let _daemon = site.start(site.daemon().setting("MAX_IN_FLIGHT", 4)).await;
    let x = site.play("x", Behaviour::Held(Answer::new("{}"))).await;
    let y = site.play("y", Behaviour::Echo).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut held = calls(&client, "x", 4);
    x.wait_count(4).await;
    overloaded(&mut calls(&client, "y", 20), 20).await;
    overloaded(&mut calls(&client, "nobody", 1), 1).await;
    for verb in ["lookup", "explain", "get"] {
        site.send(verb, "y").await.ok();
    }
    assert_eq!((y.count(), site.circuit("y").await.as_str()), (0, "closed"));
    x.behave(Behaviour::Echo);
    while let Some(reply) = held.join_next().await {
        reply.unwrap().ok();
    }
    site.call("y", json!({})).await.ok();
    client.assert_one_reply_each().await;
}

#[tokio::test]
async fn an_extensions_limit_is_its_own_and_neutral() {
    let fixtures = json!([
        record("x", json!({"metadata": {"max_in_flight": 2}})),
        record("y", json!({})),
    ]);
    let site = Site::with(&fixtures).await;
    let daemon = site.daemon().setting("MAX_IN_FLIGHT_PER_EXTENSION", 3);
    let daemon = site.start(daemon).await;
    let client = Arc::new(Client::connect(&site.nats.url()).await);
    let mut held = Vec::new();
    for (id, limit) in [("x", 2), ("y", 3)] {
        let extension = site.play(id, Behaviour::Held(Answer::new("{}"))).await;
        let mut calls = calls(&client, id, 20);
        overloaded(&mut calls, 20 - limit).await;
        extension.wait_count(limit).await;
        assert_eq!(extension.count(), limit);
        assert_eq!(site.circuit(id).await, "closed");
        held.push((extension, calls));
    }
    let counted = metric(&daemon, "extension_registry_overloaded_total").await;
    assert_eq!(counted, Some(35.0), "18 and 17");
    for (extension, calls) in &mut held {
        extension.behave(Behaviour::Echo);
        while let Some(reply) = calls.join_next().await {
            reply.unwrap().ok();
        }
    }
    for id in ["x", "y"] {
        site.call(id, json!({})).await.ok();
    }
    client.assert_one_reply_each().await;
}

/// A place is given back however a call ends.
#[tokio::test]
async fn no_end_of_a_call_keeps_its_place() {
    let fields = json!({
        "metadata": {"max_in_flight": 1}, "timeout_ms": 300, "circuit_breaker": {"enabled": false},
    });
    let site = Site::with(&json!([record("x", fields)])).await;
    let _daemon = site.start(site.daemon().setting("MAX_IN_FLIGHT", 1)).await;
    assert_eq!(
        site.call("x", json!({})).await.error().0,
        503,
        "nobody there"
    );
    let x = site.play("x", Behaviour::silent()).await;
    for (behaviour, request) in [
        (Behaviour::silent(), json!({})),
        (Behaviour::silent(), json!({"deadline_ms": 1})),
        (Behaviour::error(500), json!({})),
        (Behaviour::error(400), json!({})),
        (Behaviour::reply("no json"), json!({})),
        (Behaviour::Echo, json!({"payload": null})),
        (Behaviour::Echo, json!({"version": "v9"})),
        (Behaviour::Echo, json!({"dry_run": true})),
    ] {
        x.behave(behaviour);
        for _ in 0..3 {
            let reply = site.call("x", request.clone()).await;
            let code = reply.json()["error"]["code"].clone();
            assert_ne!(code, "overloaded", "{request}");
        }
    }
    x.behave(Behaviour::Echo);
    // It may be late, but there is a place.
    eventually("an answer in time", DEADLINE, async || {
        let reply = site.call("x", json!({})).await;
        let answered = reply.header("Nats-Service-Error-Code").is_none();
        if answered { Ok(()) } else { Err(reply) }
    })
    .await;
}
