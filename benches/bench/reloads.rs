//! Full reloads with changes under continuous lookups: no miss, no torn record, little delay.
//!
//! The changes are hidden from notifications, so that the reload, which reads and compares every
//! row, is what finds and applies them. Blocks with reloads and blocks without take turns.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client as Database;

use super::load::{self, Check, Form, Job, Outcome, Pace, Running, Target};
use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::samples::median;
use super::stage::{PREFIX, Stage};
use crate::harness::Client;

/// Lookups a second in all blocks.
const RATE: u64 = 5_000;
/// Reloads in one block.
const RELOADS: usize = 20;
/// Time from the begin of one reload to that of the next.
const EVERY: Duration = Duration::from_millis(250);
/// Rows that differ at each reload.
const ROWS: usize = 1_000;

/// Reloads 200 times, in ten blocks.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let _daemon = stage.ready_daemon().await;
    let client = stage.client().await;
    let database = stage.database.connect().await;
    records::hide_changes(&database).await;

    let blocks: usize = options.or_quick(10, 2);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut updated = 0;
    for block in 0..blocks {
        without.push(start(stage).await.finish().await);
        let load = start(stage).await;
        let mut ticks = tokio::time::interval(EVERY);
        for reload in 0..RELOADS {
            ticks.tick().await;
            updated += change_and_reload(&client, &database, block * RELOADS + reload).await;
        }
        with.push(load.finish().await);
    }
    tell(report, &with, &without, blocks * RELOADS, updated);
}

async fn start(stage: &Stage) -> Running {
    let job = Job {
        target: Target::Nats {
            url: stage.nats.url(),
            prefix: PREFIX.to_owned(),
            form: Form::Json,
            check: Check::Whole,
        },
        pace: Pace::PerSecond(RATE),
        warm_up: Duration::ZERO,
        duration: EVERY * RELOADS as u32,
        extensions: records::CATALOG,
    };
    let load = load::start(&job).await;
    load.sending().await;
    load
}

/// Changes rows, reloads, and returns how many records the reload says it updated.
async fn change_and_reload(client: &Client, database: &Database, reload: usize) -> u64 {
    let first = reload * ROWS % records::CATALOG;
    records::touch(database, first, ROWS, 3_000_000 + reload as u64).await;
    let reply = client.request(&format!("{PREFIX}.reload"), "").await.ok();
    reply["updated"].as_u64().unwrap()
}

fn tell(report: &mut Report, with: &[Outcome], without: &[Outcome], reloads: usize, updated: u64) {
    let wrong: u64 = with.iter().map(|outcome| outcome.wrong).sum();
    let what = |figure| format!("{reloads} full reloads under {RATE} lookups a second: {figure}");
    report.line(
        what("records updated"),
        Asked::AtLeast((reloads * ROWS) as f64),
        updated as f64,
        "",
    );
    report.line(
        what("missing or torn"),
        Asked::AtMost(0.0),
        wrong as f64,
        "",
    );
    let p99 = |outcomes: &[Outcome]| median(outcomes.iter().map(|o| o.p99_us)) / 1e3;
    report.line(what("p99"), Asked::Nothing, p99(with), "ms");
    report.line(
        what("p99 without reloads"),
        Asked::Nothing,
        p99(without),
        "ms",
    );
    let ratios = with
        .iter()
        .zip(without)
        .map(|(with, without)| with.p99_us / without.p99_us);
    report.line(
        what("p99 against without"),
        Asked::AtMost(1.5),
        median(ratios),
        "",
    );
    for outcome in with.iter().chain(without) {
        outcome.assert_right(report, "lookups under reloads");
    }
    report.raw("reloads", json!({ "with": with, "without": without }));
}
