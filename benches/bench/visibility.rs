//! From the return of COMMIT to the first lookup that shows the change.

use std::time::{Duration, Instant};

use serde_json::json;

use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::samples::{ms, percentile};
use super::stage::{PREFIX, Stage};
use crate::harness::Client;

/// How long a change may take before the run gives up on it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Changes one row after the other and asks for it until the answer is new.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let _daemon = stage.ready_daemon().await;
    let client = stage.client().await;
    let database = stage.database.connect().await;
    let changes = options.or_quick(1000, 100);

    let mut times = Vec::with_capacity(changes);
    for change in 0..changes {
        let number = change * 7919 % records::CATALOG;
        let generation = 1_000_000 + change as u64;
        records::touch(&database, number, 1, generation).await;
        let committed = Instant::now();
        match wait_visible(&client, number, generation, committed).await {
            Some(took) => times.push(ms(took)),
            None => report.wrong(format!("a change was not visible within {PATIENCE:?}")),
        }
    }
    let what = |figure| format!("commit to visible, {changes} changes: {figure}");
    report.line(what("p50"), Asked::Nothing, percentile(&times, 0.5), "ms");
    report.line(
        what("p99"),
        Asked::AtMost(10.0),
        percentile(&times, 0.99),
        "ms",
    );
    report.line(what("max"), Asked::Nothing, percentile(&times, 1.0), "ms");
    report.raw("visibility_ms", json!(times));
}

async fn wait_visible(
    client: &Client,
    number: usize,
    generation: u64,
    committed: Instant,
) -> Option<Duration> {
    let subject = format!("{PREFIX}.lookup.{}", records::id(number));
    while committed.elapsed() < PATIENCE {
        let reply = client.request(&subject, "").await.ok();
        if reply["config"]["generation"] == generation {
            return Some(committed.elapsed());
        }
    }
    None
}
