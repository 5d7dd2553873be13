//! A constant rate of lookups while rows change: nothing may be missing, ever.

use std::time::Duration;

use serde_json::Value;

use super::load::{self, Check, Form, Job, Pace, Target};
use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::stage::{PREFIX, Stage};

/// Lookups a second.
const RATE: u64 = 10_000;
/// Time between changes of one row each.
const CHANGE_EVERY: Duration = Duration::from_millis(50);

/// Looks up every extension, over and over, while one after the other changes.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let _daemon = stage.ready_daemon().await;
    let client = stage.client().await;
    let database = stage.database.connect().await;
    let duration = Duration::from_secs(options.or_quick(60, 5));
    let job = Job {
        target: Target::Nats {
            url: stage.nats.url(),
            prefix: PREFIX.to_owned(),
            form: Form::Json,
            check: Check::Whole,
        },
        pace: Pace::PerSecond(RATE),
        warm_up: Duration::from_secs(1),
        duration,
        extensions: records::CATALOG,
    };

    let load = load::start(&job).await;
    load.sending().await;
    let changes = async {
        let mut ticks = tokio::time::interval(CHANGE_EVERY);
        for change in 0_usize.. {
            ticks.tick().await;
            let generation = 2_000_000 + change as u64;
            records::touch(&database, change * 7919 % records::CATALOG, 1, generation).await;
        }
    };
    let outcome = tokio::select! {
        outcome = load.finish() => outcome,
        () = changes => unreachable!("changes go on until the load ends"),
    };

    let what = |figure| format!("{RATE} lookups a second for {duration:?} under changes: {figure}");
    report.line(
        what("answered a second"),
        Asked::AtLeast(RATE as f64),
        outcome.per_second,
        "",
    );
    report.line(what("misses"), Asked::AtMost(0.0), outcome.wrong as f64, "");
    report.line(what("p99"), Asked::Nothing, outcome.p99_us / 1e3, "ms");
    report.line(what("max"), Asked::Nothing, outcome.max_us / 1e3, "ms");
    outcome.assert_right(report, "lookups under changes");

    let stats: Value = client.request(&format!("{PREFIX}.stats"), "").await.ok();
    let hit_rate = stats["lookups"]["hit_rate"].as_f64().unwrap_or(f64::NAN);
    report.line(what("hit rate"), Asked::AtLeast(1.0), hit_rate, "");
}
