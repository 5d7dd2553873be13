//! What the tests of the data side share: a nats-server, a migrated database, and short ways to ask
//! the daemon and to write SQL.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio_postgres::Client as Sql;

use crate::harness::daemon::Builder;
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, Reply, TestDatabase, eventually};
use crate::schema::migrated;

/// Servers, and connections to them. Daemons come and go; see [`Rig::daemon`].
pub(crate) struct Rig {
    pub(crate) client: Client,
    pub(crate) sql: Sql,
    pub(crate) database: TestDatabase,
    pub(crate) nats: NatsServer,
}

impl Rig {
    /// With a migrated, empty database.
    pub(crate) async fn start() -> Self {
        let (database, sql) = migrated().await;
        Self::with(database, sql).await
    }

    /// With a database as it is.
    pub(crate) async fn with(database: TestDatabase, sql: Sql) -> Self {
        let nats = NatsServer::start().await;
        let client = Client::connect(&nats.url()).await;
        Self {
            client,
            sql,
            database,
            nats,
        }
    }

    /// A daemon that serves the database, and whose timer does not fire during a test.
    pub(crate) fn daemon(&self) -> Builder {
        self.daemon_at(&self.database.url())
    }

    /// The same, with the database at another URL, such as that of a fault proxy.
    pub(crate) fn daemon_at(&self, url: &str) -> Builder {
        Daemon::builder()
            .nats(&self.nats.url())
            .database(url)
            .setting("SOURCE", "database")
            .setting("SYNC_INTERVAL_SECONDS", 3600)
    }

    /// A request to a verb.
    pub(crate) async fn ask(&self, verb: &str, body: &Value) -> Reply {
        let subject = format!("beamline.registry.{verb}");
        self.client.request_json(&subject, body).await
    }

    /// A lookup of one id.
    pub(crate) async fn lookup(&self, id: &str) -> Reply {
        self.ask("lookup", &json!({ "id": id })).await
    }

    /// A lookup that waits for a revision, which must come.
    pub(crate) async fn lookup_at(&self, id: &str, revision: i64) -> Reply {
        let body = json!({ "id": id, "min_revision": revision, "wait_ms": 10_000 });
        let reply = self.ask("lookup", &body).await;
        let late = reply.header("Nats-Service-Error-Code") == Some("412");
        assert!(!late, "revision {revision} did not come: {reply:?}");
        reply
    }

    /// `stats`, which must succeed.
    pub(crate) async fn stats(&self) -> Value {
        self.ask("stats", &json!({})).await.ok()
    }

    /// Waits until `stats` has `value` at `pointer`.
    pub(crate) async fn wait_stats(&self, pointer: &str, value: Value) -> Value {
        let what = format!("{pointer} of stats is {value}");
        eventually(&what, DEADLINE, async || {
            let stats = self.stats().await;
            let same = stats.pointer(pointer) == Some(&value);
            if same { Ok(stats) } else { Err(stats) }
        })
        .await
    }

    /// Waits until a lookup of `id` says that its `timeout_ms` is `value`: the field by which these
    /// tests tell one state of a row from another.
    pub(crate) async fn wait_timeout_ms(&self, id: &str, value: i64) {
        let what = format!("{id} has timeout_ms {value}");
        eventually(&what, DEADLINE, async || {
            let reply = self.lookup(id).await;
            let same = reply.json()["timeout_ms"] == value;
            if same { Ok(()) } else { Err(reply) }
        })
        .await;
    }
}

/// The reason of a 404.
#[track_caller]
pub(crate) fn reason(reply: &Reply) -> String {
    assert_eq!(reply.error(), (404, "extension_not_found".to_owned()));
    reply.details()["reason"].as_str().unwrap().to_owned()
}

/// An INSERT of a plain extension that the daemon serves.
pub(crate) fn insert(id: &str) -> String {
    format!(
        "INSERT INTO extensions (id, type, subject) VALUES ('{id}', 'pre', 'beamline.ext.{id}')"
    )
}

/// An UPDATE that shows in [`Rig::wait_timeout_ms`].
pub(crate) fn set_timeout_ms(id: &str, value: i64) -> String {
    format!("UPDATE extensions SET timeout_ms = {value} WHERE id = '{id}'")
}

/// The same change behind the triggers' back, as a restore without triggers makes it: no revision,
/// no notification.
pub(crate) fn silently(sql: &str) -> String {
    format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT")
}

/// The value of a metric without labels; none when it is absent.
pub(crate) async fn metric(daemon: &Daemon, name: &str) -> Option<f64> {
    let page = daemon.get("/metrics").await.body;
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The fixtures that ship with the project.
pub(crate) fn shipped_fixtures() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures/extensions"]
        .iter()
        .collect()
}
