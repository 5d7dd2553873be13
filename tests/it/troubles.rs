//! A database that is there and cannot be used, or is silent. Whatever it is, the last good data
//! serves, the condition has its own words and is never called unreachable, and it is over by
//! itself:
//!
//! - [`hidden`]: row security on each table, and what stands in the place of one, or of a column,
//! - [`rights`]: each right of the daemon's account taken away in turn,
//! - [`settings`]: what a server, a database or an account sets for our sessions,
//! - [`places`]: tables in another schema, twice, or in a database that is not UTF8,
//! - [`digests`]: what changed without a revision while nobody was connected,
//! - [`silence`]: who gets no answer is told so in time,
//! - [`refusals`]: what the database does not take,
//! - [`outside`]: what is told to those who need not know where it is.

use serde_json::{Value, json};
use tokio_postgres::Client as Sql;

use crate::access::ruled::Ruled;
use crate::harness::daemon::Builder;
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, Reply, eventually};
use crate::schema::run;

mod digests;
mod hidden;
mod outside;
mod places;
mod refusals;
mod rights;
mod settings;
mod silence;

/// The extension that must be served at all times.
const SERVED: &str = "normalize_text";

/// A server of its own with the roles that ship, and who may do everything there.
struct Stage {
    ruled: Ruled,
    nats: NatsServer,
    client: Client,
    superuser: Sql,
}

impl Stage {
    async fn start() -> Self {
        let (nats, ruled) = tokio::join!(NatsServer::start(), Ruled::start());
        let client = Client::connect(&nats.url()).await;
        let superuser = ruled.database.connect().await;
        // One to probe, so that the lease of the prober is wanted.
        let out = "UPDATE extensions SET auto_disabled = true WHERE id = 'pii_guard'";
        run(&superuser, out).await;
        Self {
            ruled,
            nats,
            client,
            superuser,
        }
    }

    fn builder(&self, url: &str) -> Builder {
        Daemon::builder()
            .nats(&self.nats.url())
            .database(url)
            .setting("SOURCE", "database")
            .setting("SYNC_INTERVAL_SECONDS", 0.5)
            .setting("HEALTH_FLUSH_INTERVAL_SECONDS", 0.3)
            .setting("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 0.3)
    }

    /// A daemon that has all it needs, as the role `name`.
    async fn daemon(&self, name: &str) -> Daemon {
        let daemon = self.builder(&self.ruled.url(name)).spawn().await;
        daemon.wait_ready().await;
        daemon
    }

    async fn ask(&self, verb: &str, body: &Value) -> Reply {
        let subject = format!("beamline.registry.{verb}");
        self.client.request_json(&subject, body).await
    }

    /// The last good data serves.
    async fn serves(&self) {
        self.ask("lookup", &json!({ "id": SERVED })).await.ok();
    }

    async fn database_state(&self) -> Value {
        self.ask("stats", &json!({})).await.ok()["database"].clone()
    }

    async fn wait_state(&self, state: &str) -> Value {
        eventually(&format!("the database is {state}"), DEADLINE, async || {
            self.serves().await;
            let now = self.database_state().await;
            if now["state"] == state {
                Ok(now)
            } else {
                Err(now)
            }
        })
        .await
    }

    /// Everything that needs the database, once.
    async fn works(&self) -> Result<(), String> {
        let new = json!({"id": "new", "type": "pre", "subject": "beamline.ext.new"});
        let version = json!({"id": "new", "version": "v2", "subject": "beamline.ext.new.v2"});
        let again = json!({"id": "new", "version": "v2", "subject": "beamline.ext.new.v3"});
        let named = json!({"id": "new", "version": "v2"});
        let instance = json!({"id": "new", "instance_id": "a", "subject": "beamline.ext.new.a"});
        let heavier = json!({"id": "new", "instance_id": "a", "subject": "beamline.ext.new.b"});
        let mut failed = Vec::new();
        for (verb, body) in [
            ("create", new),
            ("update", json!({"id": "new", "retry": 2})),
            ("disable", json!({"id": "new"})),
            ("enable", json!({"id": "new"})),
            ("put_version", version),
            ("put_version", again),
            ("delete_version", named),
            ("put_instance", instance),
            ("put_instance", heavier),
            ("delete_instance", json!({"id": "new", "instance_id": "a"})),
            ("delete", json!({"id": "new"})),
            ("audit", json!({})),
            (
                "circuit",
                json!({"id": SERVED, "action": "open", "ttl_seconds": 60}),
            ),
            ("circuit", json!({"id": SERVED, "action": "reset"})),
            ("reload", json!({})),
        ] {
            self.serves().await;
            let reply = self.ask(verb, &body).await;
            // What an attempt before has left over, or could not make.
            let leftover = ["404", "409"].map(Some);
            let code = reply.header("Nats-Service-Error-Code");
            if code.is_some() && !leftover.contains(&code) {
                let text = reply.json().to_string();
                assert!(!text.contains("unreachable"), "{verb}: {text}");
                assert!(!text.contains(" is away"), "{verb}: {text}");
                failed.push(format!("{verb}: {text}"));
            }
        }
        let report = json!({"id": SERVED, "outcome": "success", "latency_ms": 1});
        self.ask("report", &report).await;
        let state = self.database_state().await;
        if state["state"] != "up" {
            assert_ne!(state["state"], "away", "{state}");
            failed.push(state.to_string());
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(failed.join("\n"))
        }
    }

    /// The number of flushes written so far.
    async fn flushes(&self) -> i64 {
        let sql = "SELECT coalesce(sum(sequence), 0)::bigint FROM sidecar_boots";
        self.superuser.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Whether a line of the log has all of these words.
fn logged(daemon: &Daemon, words: &[&str]) -> bool {
    let has = |line: &String| words.iter().all(|word| line.contains(word));
    daemon.log().iter().any(has)
}

/// Waits until it has.
async fn wait_logged(daemon: &Daemon, words: &[&str]) {
    eventually(&format!("the log has {words:?}"), DEADLINE, async || {
        logged(daemon, words)
    })
    .await;
}
