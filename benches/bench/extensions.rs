//! Extensions to invoke: one that answers a small document, and two that never answer.
//!
//! As async-nats' documentation shows a responder, in a process of their own. They join the stage's
//! 10,000 extensions only when something is measured with them.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::load::{Check, Target};
use super::stage::{self, PREFIX, Stage};
use crate::harness::{DEADLINE, Process};

/// Answers at once.
pub(crate) const ECHO: &str = "bench_echo";
/// Never answers; its calls time out after a second.
pub(crate) const DEAD: &str = "bench_dead";
/// Never answers; its calls time out after ten milliseconds.
pub(crate) const BRISK_DEAD: &str = "bench_brisk_dead";

/// What [`ECHO`] answers.
pub(crate) const ANSWER: &str = r#"{"payload":{"text":"hello there"},"metadata":{"changed":true}}"#;

/// The message that all are called with.
fn message() -> Value {
    json!({"text": "  Hello there, general. I have a question about my order.  ", "lang": "en"})
}

/// Puts the extensions into the database, where they are not yet, and starts what answers for them;
/// returns when it is subscribed.
pub(crate) async fn start(stage: &Stage) -> Process {
    let database = stage.database.connect().await;
    for (id, timeout_ms) in [(ECHO, 5_000), (DEAD, 1_000), (BRISK_DEAD, 10)] {
        let statement = format!(
            r#"INSERT INTO extensions
                 (id, type, subject, timeout_ms, retry, config, metadata, circuit_breaker)
               VALUES ('{id}', 'pre', '{}', {timeout_ms}, 0,
                 '{{"lowercase":true,"trim_whitespace":true}}', '{{"max_in_flight":4096}}',
                 '{{"enabled":false}}')
               ON CONFLICT (id) DO NOTHING"#,
            subject(id)
        );
        database.batch_execute(&statement).await.unwrap();
    }
    let process = stage::role("extensions", &["extensions", &stage.nats.url()]).await;
    let line = |line: &str| (line == "subscribed").then_some(());
    process
        .wait_line("its subscriptions", DEADLINE, line)
        .await
        .unwrap();
    process
}

/// Calls of `id` through the registry.
pub(crate) fn invoked(stage: &Stage, id: &str, check: Check) -> Target {
    let body = json!({"id": id, "payload": message(), "context": {"tenant_id": "acme"}});
    Target::Same {
        url: stage.nats.url(),
        subject: format!("{PREFIX}.invoke"),
        headers: Vec::new(),
        body: body.to_string(),
        check,
    }
}

/// The same calls without the registry: what it would send, sent by the caller itself.
pub(crate) async fn called_directly(stage: &Stage, id: &str, check: Check) -> Target {
    let client = stage.client().await;
    let rehearsal = json!({
        "id": id, "payload": message(), "context": {"tenant_id": "acme"}, "dry_run": true
    });
    let reply = client
        .request_json(&format!("{PREFIX}.invoke"), &rehearsal)
        .await;
    let request = &reply.ok()["request"];
    let headers = request["headers"].as_object().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Target::Same {
        url: stage.nats.url(),
        subject: text(&request["subject"]),
        headers: headers
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        body: request["body"].to_string(),
        check,
    }
}

fn subject(id: &str) -> String {
    format!("beamline.ext.pre.{id}.v1")
}

/// Serves them until it is killed.
pub(crate) fn main(url: &str) {
    Runtime::new().unwrap().block_on(async {
        let client = async_nats::connect(url).await.unwrap();
        let mut calls = client.subscribe(subject(ECHO)).await.unwrap();
        for id in [DEAD, BRISK_DEAD] {
            let mut unanswered = client.subscribe(subject(id)).await.unwrap();
            tokio::spawn(async move { while unanswered.next().await.is_some() {} });
        }
        client.flush().await.unwrap();
        println!("subscribed");
        while let Some(call) = calls.next().await {
            if let Some(reply) = call.reply {
                client.publish(reply, ANSWER.into()).await.unwrap();
            }
        }
    });
}
