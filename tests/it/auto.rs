//! What the machine does by itself, in the order of contract 3.5:
//!
//! - [`circuit_events`]: circuits and success rates are told as they move,
//! - [`disable`]: an open circuit takes its extension out of service for the fleet, within the cap,
//! - [`probes`]: who is asked whether it is alive, with what, and what follows,
//! - [`outage`]: our own link down opens and disables nothing.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use async_nats::{HeaderMap, Message};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::harness::daemon::{Builder, field, message};
use crate::harness::{DEADLINE, Daemon, Reply, eventually, settled};
use crate::rig::Rig;
use crate::schema::{run, value};

mod circuit_events;
mod disable;
mod outage;
mod probes;

/// No error's number: no answer at all.
const SILENT: u16 = u16::MAX;

/// An extension played by the test, on a connection of its own.
pub(crate) struct Player {
    code: Arc<AtomicU16>,
    received: Arc<Mutex<Vec<Message>>>,
    _playing: AbortOnDropHandle<()>,
}

impl Player {
    /// Listens on the subject that [`add`] gives to `id`, for all instances and versions.
    pub(crate) async fn start(url: &str, id: &str) -> Self {
        let nats = async_nats::connect(url).await.unwrap();
        let mut requests = nats.subscribe(format!("beamline.ext.{id}")).await.unwrap();
        settled(&nats).await;
        let code = Arc::new(AtomicU16::new(0));
        let received = Arc::<Mutex<Vec<Message>>>::default();
        let (answers, seen) = (Arc::clone(&code), Arc::clone(&received));
        let playing = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let reply = request.reply.clone().unwrap();
                seen.lock().unwrap().push(request);
                let mut headers = HeaderMap::new();
                match answers.load(Ordering::Relaxed) {
                    SILENT => continue,
                    0 => headers.insert("Player", "well"),
                    code => headers.insert("Nats-Service-Error-Code", code.to_string()),
                }
                let body = r#"{"payload":{}}"#.into();
                let _ = nats.publish_with_headers(reply, headers, body).await;
            }
        });
        Self {
            code,
            received,
            _playing: AbortOnDropHandle::new(playing),
        }
    }

    /// Answers with an error of this number from now on.
    pub(crate) fn fail(&self, code: u16) {
        self.code.store(code, Ordering::Relaxed);
    }

    /// Answers nothing from now on.
    fn fall_silent(&self) {
        self.fail(SILENT);
    }

    pub(crate) fn recover(&self) {
        self.fail(0);
    }

    /// The probes among what it received.
    pub(crate) fn probes(&self) -> Vec<Message> {
        let received = self.received.lock().unwrap();
        let is_probe = |message: &&Message| {
            let headers = message.headers.as_ref();
            headers.is_some_and(|headers| headers.get("Beamline-Probe").is_some())
        };
        received.iter().filter(is_probe).cloned().collect()
    }
}

/// A sidecar whose circuits open at the third failure, for 300 ms.
fn sidecar(rig: &Rig, name: &str) -> Builder {
    rig.daemon()
        .setting("INSTANCE_ID", name)
        .setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 3)
        .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "300ms")
        .setting("CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS", "300ms")
}

/// The same, that disables automatically.
pub(crate) fn disabling(rig: &Rig, name: &str) -> Builder {
    sidecar(rig, name)
        .setting("AUTO_DISABLE_ON_CIRCUIT_OPEN", true)
        .setting("AUTO_DISABLE_MAX_PERCENT", 100)
}

pub(crate) async fn ready(builder: Builder) -> Daemon {
    let daemon = builder.spawn().await;
    daemon.wait_ready().await;
    daemon
}

/// Adds extensions that are not retried; `more` is further columns and their values.
pub(crate) async fn add(rig: &Rig, ids: &[&str], more: &[(&str, &str)]) {
    for id in ids {
        let columns: String = more.iter().map(|(name, _)| format!(", {name}")).collect();
        let values: String = more.iter().map(|(_, it)| format!(", {it}")).collect();
        let sql = format!(
            "INSERT INTO extensions (id, type, subject, retry, timeout_ms{columns})
             SELECT '{id}', 'pre', 'beamline.ext.{id}', 0, 10000{values}"
        );
        run(&rig.sql, &sql).await;
    }
}

/// Calls `id` through the sidecar `name`.
pub(crate) async fn invoke(rig: &Rig, name: &str, id: &str) -> Reply {
    let body = json!({"id": id, "payload": {"text": "hello"}});
    let subject = format!("beamline.registry.local.{name}.invoke");
    rig.client.request_json(&subject, &body).await
}

/// Looks `id` up at the sidecar `name`.
async fn lookup(rig: &Rig, name: &str, id: &str) -> Reply {
    let subject = format!("beamline.registry.local.{name}.lookup");
    rig.client
        .request_json(&subject, &json!({ "id": id }))
        .await
}

/// Waits until `id` is served by the sidecar, or not for this reason.
async fn wait_reason(rig: &Rig, name: &str, id: &str, reason: Option<&str>) {
    let what = format!("{name} says {reason:?} of {id}");
    eventually(&what, DEADLINE, async || {
        let reply = lookup(rig, name, id).await;
        let same = reply.json()["error"]["details"]["reason"].as_str() == reason;
        if same { Ok(()) } else { Err(reply) }
    })
    .await;
}

/// The audit's automatic entries for `id`, oldest first.
async fn automatic(rig: &Rig, id: &str) -> String {
    let sql = format!(
        "SELECT string_agg(action, ' ' ORDER BY id) FROM extension_audit_log
         WHERE extension_id = '{id}' AND action LIKE 'auto%' AND changed_by LIKE 'sidecar:%'"
    );
    value(&rig.sql, &sql).await
}

/// The number of an error; none of a success.
fn error_code(reply: &Reply) -> Option<&str> {
    reply.header("Nats-Service-Error-Code")
}

/// How many lines with this message about `id` the daemon has logged.
fn logged(daemon: &Daemon, text: &str, id: &str) -> usize {
    let about = |line: &String| {
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        message(&entry) == Some(text) && field(&entry, "extension_id") == Some(&id.into())
    };
    daemon.log().iter().filter(|line| about(line)).count()
}
