//! What keeps the sidecars of a fleet in step, seen from outside: real daemons, a real database,
//! extensions played by the test.
//!
//! - [`sums`]: what all sidecars counted adds up, through restarts and outages,
//! - [`chaos`]: also through kills in the middle of a flush,
//! - [`figures`]: what a sidecar knows of the others,
//! - [`circuits`]: what a start takes over,
//! - [`overrides`]: the verb `circuit` holds for every sidecar,
//! - [`replaced`]: an id that is deleted and made again begins anew, everywhere,
//! - [`verb`]: its arguments, and who may use it,
//! - [`statements`]: calls cost the database nothing,
//! - [`thousand`]: nor do a thousand sidecars cost it much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_nats::HeaderMap;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::daemon::Builder;
use crate::harness::{DEADLINE, Daemon, Reply, eventually, settled};
use crate::rig::{Rig, insert};

mod chaos;
mod circuits;
mod figures;
mod overrides;
mod replaced;
mod statements;
mod sums;
mod thousand;
mod verb;

/// Often, so that what a flush brings is soon there.
const OFTEN: &str = "100ms";
/// Never during a test.
const NEVER: &str = "1h";

/// A database with extensions that the test plays.
struct Fleet {
    rig: Rig,
}

impl Fleet {
    /// With these extensions in the database: no retries, so that a call is an attempt.
    async fn with(extensions: &[&str]) -> Self {
        let rig = Rig::start().await;
        for id in extensions {
            rig.sql.batch_execute(&insert(id)).await.unwrap();
        }
        let patient = "UPDATE extensions SET retry = 0, timeout_ms = 10000";
        rig.sql.batch_execute(patient).await.unwrap();
        Self { rig }
    }

    /// A sidecar by this name that flushes every `interval` and opens a circuit at the second
    /// failure, for longer than any test takes.
    fn sidecar(&self, name: &str, interval: &str) -> Builder {
        self.rig
            .daemon()
            .setting("INSTANCE_ID", name)
            .setting("HEALTH_FLUSH_INTERVAL_SECONDS", interval)
            .setting("CIRCUIT_BREAKER_FAILURE_THRESHOLD", 2)
            .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 600)
    }

    /// The same, started and ready.
    async fn started(&self, name: &str, interval: &str) -> Daemon {
        let daemon = self.sidecar(name, interval).spawn().await;
        daemon.wait_ready().await;
        daemon
    }

    /// A request to one sidecar.
    async fn ask(&self, sidecar: &str, verb: &str, body: &Value) -> Reply {
        let subject = format!("beamline.registry.local.{sidecar}.{verb}");
        self.rig.client.request_json(&subject, body).await
    }

    /// So many calls, one after the other, whatever they come to.
    async fn call(&self, sidecar: &str, id: &str, times: usize) {
        for _ in 0..times {
            let body = json!({"id": id, "payload": {}});
            self.ask(sidecar, "invoke", &body).await;
        }
    }

    /// An order that must be carried out.
    async fn order(&self, sidecar: &str, order: &Value) -> Value {
        self.ask(sidecar, "circuit", order).await.ok()
    }

    /// The state of the circuit of the current version, as lookups show it.
    async fn state(&self, sidecar: &str, id: &str) -> String {
        let reply = self.ask(sidecar, "lookup", &json!({ "id": id })).await;
        let state = &reply.ok()["circuit_breaker_state"];
        state.as_str().unwrap().to_owned()
    }

    async fn wait_state(&self, sidecar: &str, id: &str, wanted: &str) {
        let what = format!("{id} is {wanted} at {sidecar}");
        eventually(&what, DEADLINE, async || {
            let state = self.state(sidecar, id).await;
            if state == wanted { Ok(()) } else { Err(state) }
        })
        .await;
    }

    /// Successes and failures in `extension_health`.
    async fn sums(&self, id: &str) -> (u64, u64) {
        let sql = "SELECT success_count, failure_count FROM extension_health
            WHERE extension_id = $1";
        let row = self.rig.sql.query_opt(sql, &[&id]).await.unwrap();
        let count = |row: &tokio_postgres::Row, n| row.get::<_, i64>(n).cast_unsigned();
        row.map_or((0, 0), |row| (count(&row, 0), count(&row, 1)))
    }

    async fn wait_sums(&self, id: &str, wanted: (u64, u64)) {
        let what = format!("the sums of {id} are {wanted:?}");
        eventually(&what, DEADLINE, async || {
            let sums = self.sums(id).await;
            if sums == wanted { Ok(()) } else { Err(sums) }
        })
        .await;
    }

    /// The one value of a query, as text; empty for null.
    async fn value(&self, sql: &str) -> String {
        let sql = format!("SELECT ({sql})::text");
        let row = self.rig.sql.query_one(&sql, &[]).await.unwrap();
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    /// Waits until a query has this value.
    async fn wait_value(&self, sql: &str, wanted: &str) {
        eventually(sql, DEADLINE, async || {
            let value = self.value(sql).await;
            if value == wanted { Ok(()) } else { Err(value) }
        })
        .await;
    }
}

/// Ends a daemon in good order.
async fn stop(daemon: Daemon) {
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

/// An extension that answers every call, well or badly, and counts.
struct Played {
    answered: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Played {
    /// Plays the extension `id` of [`insert`].
    async fn start(fleet: &Fleet, id: &str) -> Self {
        let nats = fleet.rig.client.nats().clone();
        let subject = format!("beamline.ext.{id}");
        let mut requests = nats.subscribe(subject).await.unwrap();
        settled(&nats).await;
        let (answered, failing) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counter, fails) = (Arc::clone(&answered), Arc::clone(&failing));
        let task = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let reply = request.reply.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let sent = if fails.load(Ordering::SeqCst) {
                    let mut headers = HeaderMap::new();
                    headers.insert("Nats-Service-Error-Code", "500");
                    nats.publish_with_headers(reply, headers, "{}".into()).await
                } else {
                    nats.publish(reply, r#"{"payload":{}}"#.into()).await
                };
                sent.unwrap();
            }
        });
        Self {
            answered,
            failing,
            task,
        }
    }

    fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.task.abort();
    }
}
