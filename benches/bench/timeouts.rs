//! Invocations that time out must leave nothing behind.

use std::time::Duration;

use serde_json::json;

use super::extensions::{self, BRISK_DEAD};
use super::load::{self, Check, Job, Pace};
use super::memory::resident_mb;
use super::options::Options;
use super::report::{Asked, Report, number};
use super::stage::Stage;

/// Calls under way at a time.
const IN_FLIGHT: usize = 256;
/// Length of one job; they follow each other until there have been enough calls.
const STEP: Duration = Duration::from_secs(5);

/// Calls the dead extension a million times.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let _extensions = extensions::start(stage).await;
    let daemon = stage.ready_daemon().await;
    let wanted: u64 = options.or_quick(1_000_000, 50_000);
    let job = Job {
        target: extensions::invoked(stage, BRISK_DEAD, Check::Error(504)),
        pace: Pace::InFlight(IN_FLIGHT),
        warm_up: Duration::ZERO,
        duration: options.or_quick(STEP, STEP / 5),
        extensions: 1,
    };

    // Resident memory in MB, and after how many calls.
    let mut readings = vec![(0, resident_mb(&daemon))];
    let mut calls = 0;
    while calls < wanted {
        let outcome = load::run(&job).await;
        outcome.assert_right(report, "invocations that time out");
        assert!(outcome.answers > 0, "nothing times out: {outcome:?}");
        calls += outcome.answers;
        readings.push((calls, resident_mb(&daemon)));
    }

    let at_first = readings[0].1;
    let warm = readings[1].1;
    let at_last = readings[readings.len() - 1].1;
    let called = number(calls as f64);
    let what = |figure: &str| format!("{called} invocations that time out: {figure}");
    report.line(what("resident before"), Asked::Nothing, at_first, "MB");
    report.line(what("resident after"), Asked::Nothing, at_last, "MB");
    report.line(what("growth"), Asked::AtMost(5.0), at_last - at_first, "MB");
    let since = format!("growth since the first {}", number(readings[1].0 as f64));
    report.line(what(&since), Asked::Nothing, at_last - warm, "MB");
    report.raw("timeouts_resident_mb", json!(readings));
}
