//! Many writers at once: no lost update, revisions in commit order, an audit that replays.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::{plain, started};
use crate::harness::{Client, DEADLINE};

const WRITERS: u64 = 8;
const ROUNDS: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_with_if_revision_lose_no_update() {
    let (rig, _daemon) = started().await;
    let mut body = plain("x");
    body["config"] = json!({"n": 0});
    rig.ask("create", &body).await.ok();
    let url = rig.nats.url();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let url = url.clone();
            tokio::spawn(async move {
                let client = Arc::new(Client::connect(&url).await);
                for _ in 0..ROUNDS {
                    increment(&client, writer).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let record = rig.ask("get", &json!({"id": "x"})).await.ok();
    assert_eq!(
        record["config"]["n"],
        WRITERS * ROUNDS,
        "every update is there"
    );

    let audit = rig
        .ask("audit", &json!({"id": "x", "limit": 1000}))
        .await
        .ok();
    let entries = audit["entries"].as_array().unwrap();
    let revisions: Vec<_> = entries
        .iter()
        .map(|entry| entry["revision"].as_u64().unwrap())
        .collect();
    let expected: Vec<_> = (1..=WRITERS * ROUNDS + 1).rev().collect();
    assert_eq!(
        revisions, expected,
        "strictly in commit order, none skipped"
    );
    let mut replayed = json!({});
    for entry in entries.iter().rev() {
        let new = entry["changes"]["new"].as_object().unwrap();
        replayed.as_object_mut().unwrap().extend(new.clone());
    }
    for field in ["subject", "config", "timeout_ms", "enabled"] {
        assert_eq!(replayed[field], record[field], "{field}");
    }
}

/// Adds one to the record, as often as it takes.
async fn increment(client: &Client, writer: u64) {
    let begun = Instant::now();
    loop {
        let get = client.request("beamline.registry.get.x", "").await.ok();
        let n = get["config"]["n"].as_u64().unwrap();
        let body: Value =
            json!({"id": "x", "config": {"n": n + 1}, "if_revision": get["revision"]});
        let subject = format!("beamline.registry.as.w{writer}.update");
        let reply = client.request_json(&subject, &body).await;
        if reply.header("Nats-Service-Error-Code").is_none() {
            return;
        }
        // Where the machine stands still, eight may wait for longer than the daemon lets them. Then
        // nothing is written, which the answer says by its reason.
        let waited = begun.elapsed() < 3 * DEADLINE
            && reply.error() == (503, "database_unavailable".into())
            && reply.details()["reason"].is_string();
        let refused = reply.error() == (409, "conflict".into());
        assert!(waited || refused, "{reply:?}");
    }
}
