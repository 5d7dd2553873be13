//! What the schema promises to those who write SQL and to those who follow it:
//!
//! - [`triggers`]: every change of a definition takes one revision per transaction, one
//!   notification and one audit entry; everything else is silent,
//! - [`audit`]: an entry says who, and what changed; nobody else can write one,
//! - [`pages`]: pages of it read no more than they answer, and what is old and told is pruned,
//! - [`definitions`]: what a definition is, and a change of it; records as JSON,
//! - [`rows`]: digests and tombstones follow the rows, and an INSERT may leave columns out,
//! - [`commit_order`]: whoever reads the rows above its own revision never misses one,
//! - [`upgrade`]: a database of the old system becomes the same as a new one and keeps its rows,
//! - [`original`]: so does one of the original's deployed SQL,
//! - [`starters`]: migrations are applied once, however many start,
//! - [`year`]: what a year leaves behind.

use std::time::Duration;

use beamline_registry::adapters::postgres::migrate::migrate;
use tokio_postgres::Client;

use crate::harness::{DEADLINE, TestDatabase};

mod audit;
mod commit_order;
mod definitions;
pub(crate) mod original;
mod pages;
mod rows;
mod starters;
pub(crate) mod triggers;
pub(crate) mod upgrade;
mod year;

/// Two extensions, `a` with a version and an instance. A batch without BEGIN is one transaction,
/// so all of it has revision 1.
const CATALOG: &str = "
    INSERT INTO extensions (id, type, subject) VALUES ('a', 'pre', 's.a'), ('b', 'post', 's.b');
    INSERT INTO extension_versions (id, version, subject) VALUES ('a', 'v0', 's.a.v0');
    INSERT INTO extension_instances (extension_id, instance_id, subject) VALUES ('a', 'i', 's.i');";

/// Too short for anybody else to finish.
const NO_WAIT: Duration = Duration::from_millis(1);

/// A migrated, empty database and a connection to it.
pub(crate) async fn migrated() -> (TestDatabase, Client) {
    let database = TestDatabase::create().await;
    let mut client = database.connect().await;
    migrate(&mut client, DEADLINE).await.unwrap();
    (database, client)
}

/// Runs statements that must succeed.
pub(crate) async fn run(client: &Client, sql: &str) {
    let result = tokio::time::timeout(DEADLINE, client.batch_execute(sql)).await;
    result
        .unwrap_or_else(|_| panic!("no end of: {sql}"))
        .unwrap_or_else(|error| panic!("{:?} from: {sql}", error.as_db_error()));
}

/// The one value of a query, as text.
pub(crate) async fn value(client: &Client, sql: &str) -> String {
    let row = client
        .query_one(&format!("SELECT ({sql})::text"), &[])
        .await;
    let row = row.unwrap_or_else(|error| panic!("{:?} from: {sql}", error.as_db_error()));
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

/// The revision of the catalog.
pub(crate) async fn revision(client: &Client) -> i64 {
    value(client, "SELECT revision FROM registry_revision")
        .await
        .parse()
        .unwrap()
}

/// The revision of one extension.
async fn revision_of(client: &Client, id: &str) -> i64 {
    let sql = format!("SELECT revision FROM extensions WHERE id = '{id}'");
    value(client, &sql).await.parse().unwrap()
}

/// The audit entries from `revision` on, oldest first, as `<extension> <action>`.
async fn actions(client: &Client, revision: i64) -> Vec<String> {
    let rows = client
        .query(
            "SELECT extension_id || ' ' || action FROM extension_audit_log
             WHERE revision >= $1 ORDER BY id",
            &[&revision],
        )
        .await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

/// An INSERT of a plain extension.
fn insert(id: &str) -> String {
    format!("INSERT INTO extensions (id, type, subject) VALUES ('{id}', 'pre', 's.{id}')")
}
