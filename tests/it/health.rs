//! How extensions are doing, as callers and reports make it:
//!
//! - [`figures`]: nothing is known before the first call; then counts, rates and percentiles; what
//!   callers do wrong moves nothing,
//! - [`reports`]: results of calls that routers make themselves open and close circuits,
//! - [`listings`]: pages of health and of circuits show everything exactly once,
//! - [`telemetry`]: metrics and the `health_summary` event say the same,
//! - [`why`]: which version fails, since when, how, for whom, and who may know,
//! - [`load`]: many at a time, and nothing is lost or counted twice,
//! - [`cost`]: what it costs to remember failures (ignored; run in release).

mod cost;
mod figures;
mod listings;
mod load;
mod reports;
mod telemetry;
mod why;

use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::daemon::Builder;
use crate::harness::{Daemon, Reply};
use crate::site::Site;

/// How a small extension answers.
#[derive(Clone, Copy)]
enum Behaviour {
    /// With this body.
    Reply(&'static str),
    /// With this body, after a while.
    Slow(Duration, &'static str),
    /// With an error of this number.
    Error(u16),
}

/// An extension played by the test, until it is dropped.
struct Extension(JoinHandle<()>);

impl Extension {
    /// Answers at the subject that [`service`] gives to `id`.
    async fn start(site: &Site, id: &str, behaviour: Behaviour) -> Self {
        let nats = site.client.nats().clone();
        let mut requests = nats.subscribe(subject_of(id)).await.unwrap();
        // The server has seen the subscription when it has answered since.
        site.client.assert_one_reply_each().await;
        Self(tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let Some(inbox) = request.reply else { continue };
                let mut headers = HeaderMap::new();
                let body = match behaviour {
                    Behaviour::Reply(body) => body,
                    Behaviour::Slow(time, body) => {
                        tokio::time::sleep(time).await;
                        body
                    }
                    Behaviour::Error(number) => {
                        headers.insert("Nats-Service-Error-Code", number.to_string());
                        headers.insert("Nats-Service-Error", "no");
                        r#"{"error":"no"}"#
                    }
                };
                let answering = nats.publish_with_headers(inbox, headers, body.into());
                answering.await.unwrap();
            }
        }))
    }
}

impl Drop for Extension {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn subject_of(id: &str) -> String {
    format!("beamline.ext.{id}.v1")
}

/// An extension that has all the time a loaded machine needs, and one attempt.
fn service(kind: &str, id: &str) -> Value {
    json!({
        "id": id, "type": kind, "subject": subject_of(id), "timeout_ms": 20_000, "retry": 0,
    })
}

/// A site that serves `extensions`, by a daemon with the settings that `set` makes.
async fn serving(extensions: &Value, set: impl FnOnce(Builder) -> Builder) -> (Site, Daemon) {
    let site = Site::with(extensions).await;
    let daemon = site.start(set(site.named("pod-1"))).await;
    (site, daemon)
}

async fn invoke(site: &Site, id: &str) -> Reply {
    site.ask("invoke", &json!({"id": id, "payload": {}})).await
}

/// A result that is reported and confirmed.
async fn report(site: &Site, id: &str, outcome: &str, latency_ms: f64) {
    let body = json!({"id": id, "outcome": outcome, "latency_ms": latency_ms});
    let noted = site.ask("report", &body).await.ok();
    assert_eq!(noted, json!({"ok": true}));
}

/// The `health` of one extension.
async fn health(site: &Site, id: &str) -> Value {
    let mut document = site.send(&format!("health.{id}"), "").await.ok();
    assert_eq!(document["id"], id);
    document["health"].take()
}

/// Successes and failures.
fn counts(health: &Value) -> (u64, u64) {
    let count = |field: &str| health[field].as_u64().unwrap();
    (count("success_count"), count("failure_count"))
}

fn number(object: &Value, field: &str) -> f64 {
    object[field]
        .as_f64()
        .unwrap_or_else(|| panic!("no number {field}: {object}"))
}

fn time(object: &Value, field: &str) -> std::time::SystemTime {
    let text = object[field].as_str();
    let text = text.unwrap_or_else(|| panic!("no time {field}: {object}"));
    humantime::parse_rfc3339(text).unwrap()
}
