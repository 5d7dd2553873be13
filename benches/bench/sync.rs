//! Reading everything from Postgres, and reading that nothing has changed.

use serde_json::{Value, json};

use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::samples::median;
use super::stage::{self, PREFIX, Stage};
use crate::harness::{Client, DEADLINE, TestDatabase, eventually};

/// Extensions in the larger database.
const LARGE: usize = 100_000;
/// Time between syncs without news.
const SYNC_EVERY: &str = "500ms";
/// Such syncs before those that are watched.
const SYNCS_BEFORE: u64 = 4;
/// Such syncs that are watched; all in all fewer than there are between two comparisons of digests.
const SYNCS_WATCHED: u64 = 5;

/// Measures both sizes.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    full(
        stage,
        &stage.database,
        records::CATALOG,
        100.0,
        options,
        report,
    )
    .await;
    let large = stage::database(&stage.postgres, LARGE).await;
    full(stage, &large, LARGE, 1000.0, options, report).await;
    nothing_changed(stage, report).await;
}

/// The first load into an empty catalog, a reload that finds nothing new, and one that finds every
/// row changed; all as the daemon itself times them.
async fn full(
    stage: &Stage,
    database: &TestDatabase,
    extensions: usize,
    limit_ms: f64,
    options: &Options,
    report: &mut Report,
) {
    let rows = database.connect().await;
    records::hide_changes(&rows).await;
    let (mut first, mut same, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let daemon = stage.daemon_on(database).spawn().await;
        daemon.wait_ready().await;
        let client = stage.client().await;
        let stats = ask(&client, "stats").await;
        assert_eq!(stats["total_extensions"], extensions);
        first.push(stats["last_reload_duration_ms"].as_f64().unwrap());
        same.push(reload(&client, 0).await);
        records::touch(&rows, 0, extensions, 4_000_000 + round as u64).await;
        changed.push(reload(&client, extensions).await);
    }
    let what = |figure| format!("full sync of {extensions}: {figure}");
    let raw = json!({ "first": first, "nothing_new": same, "all_changed": changed });
    report.line(
        what("first load"),
        Asked::AtMost(limit_ms),
        median(first),
        "ms",
    );
    report.line(
        what("no changes"),
        Asked::AtMost(limit_ms),
        median(same),
        "ms",
    );
    report.line(
        what("every row changed"),
        Asked::AtMost(limit_ms),
        median(changed),
        "ms",
    );
    report.raw(&format!("sync_{extensions}_ms"), raw);
}

async fn ask(client: &Client, verb: &str) -> Value {
    client.request(&format!("{PREFIX}.{verb}"), "").await.ok()
}

async fn reload(client: &Client, updated: usize) -> f64 {
    let report = ask(client, "reload").await;
    assert_eq!(report["updated"], updated, "{report}");
    report["duration_ms"].as_f64().unwrap()
}

/// Rows that Postgres read from the tables of definitions while syncs found nothing new.
///
/// A backend reports what it read when a second has passed since its last report, so a few syncs go
/// by before the first look: until then the load at the start still shows up.
async fn nothing_changed(stage: &Stage, report: &mut Report) {
    let database = stage.database.connect().await;
    let daemon = stage
        .daemon()
        .setting("SYNC_INTERVAL_SECONDS", SYNC_EVERY)
        .spawn()
        .await;
    daemon.wait_ready().await;
    let client = stage.client().await;
    wait_loads(&client, SYNCS_BEFORE).await;
    let before = rows_read(&database).await;
    wait_loads(&client, SYNCS_WATCHED).await;
    let rows = rows_read(&database).await - before;
    drop(daemon);
    report.line(
        "rows of definitions read by a sync without news",
        Asked::AtMost(0.0),
        rows as f64 / SYNCS_WATCHED as f64,
        "",
    );
}

async fn wait_loads(client: &Client, wanted: u64) {
    let before = loads(client).await;
    eventually("syncs without news", DEADLINE, async || {
        loads(client).await >= before + wanted
    })
    .await;
}

async fn loads(client: &Client) -> u64 {
    ask(client, "stats").await["load_count"].as_u64().unwrap()
}

async fn rows_read(database: &tokio_postgres::Client) -> i64 {
    let sum =
        "SELECT pg_stat_clear_snapshot(), sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
        FROM pg_stat_user_tables
        WHERE relname IN ('extensions', 'extension_versions', 'extension_instances')";
    database.query_one(sum, &[]).await.unwrap().get(1)
}
