//! Invocations a second and their latency, beside calls of the same extension without the registry.
//!
//! Both send the extension the same bytes. Through the registry a call takes two round trips over
//! NATS instead of one, so that 2.0 times the time and 0.5 of the rate are the limits.

use super::contest::{self, LEVELS};
use super::extensions::{self, ECHO};
use super::load::Check;
use super::options::Options;
use super::report::{Asked, Report};
use super::stage::Stage;

const INVOKED: &str = "through the registry";
const DIRECT: &str = "called directly";

/// Runs all rounds.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let _extensions = extensions::start(stage).await;
    let _daemon = stage.ready_daemon().await;
    let contestants = [
        (INVOKED, extensions::invoked(stage, ECHO, Check::Answer)),
        (
            DIRECT,
            extensions::called_directly(stage, ECHO, Check::Answer).await,
        ),
    ];
    let outcomes = contest::run(&contestants, options, report).await;
    for level in LEVELS {
        let ratio = |figure| outcomes.ratio((INVOKED, DIRECT), level, figure);
        let what = |figure| format!("invoke, {level} in flight, against a direct call: {figure}");
        let rate = if level == 64 {
            Asked::AtLeast(0.45)
        } else {
            Asked::Nothing
        };
        let p50 = if level == 1 {
            Asked::AtMost(2.2)
        } else {
            Asked::Nothing
        };
        report.line(what("rate"), rate, ratio(|o| o.per_second), "");
        report.line(what("p50"), p50, ratio(|o| o.p50_us), "");
        report.line(what("p99"), Asked::Nothing, ratio(|o| o.p99_us), "");
    }
    outcomes.tell(&contestants, "invoke", report);
}
