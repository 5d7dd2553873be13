//! Invocations a second and their latency, beside calls of the same extension without the registry.
//!
//! Both send the extension the same bytes. Through the registry a call takes two round trips over
//! NATS instead of one, so that 2.0 times the time and 0.5 of the rate are the limits.

use super::contest::{self, LEVELS};
use super::cpu::Watched;
use super::extensions::{self, ECHO};
use super::load::Check;
use super::options::Options;
use super::report::{Asked, Report};
use super::stage::{REGISTRY, Stage};

const INVOKED: &str = "through the registry";
const DIRECT: &str = "called directly";

/// Runs all rounds.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let extensions = extensions::start(stage).await;
    let daemon = stage.ready_daemon().await;
    let contestants = [
        (INVOKED, extensions::invoked(stage, ECHO, Check::Answer)),
        (
            DIRECT,
            extensions::called_directly(stage, ECHO, Check::Answer).await,
        ),
    ];
    let mut watched = stage.watched(&daemon);
    watched.push(Watched::new("extension", extensions.pid()));
    let outcomes = contest::run(&contestants, watched, options, report).await;
    for level in LEVELS {
        let ratio = |figure| outcomes.ratio((INVOKED, DIRECT), level, figure);
        let what = |figure| format!("invoke, {level} in flight, against a direct call: {figure}");
        let (mut rate, mut p50, mut p99) = (Asked::Nothing, Asked::Nothing, Asked::Nothing);
        match level {
            1 => p50 = Asked::AtMost(2.05),
            64 => (rate, p99) = (Asked::AtLeast(0.5), Asked::AtMost(2.2)),
            256 => rate = Asked::AtLeast(0.45),
            _ => rate = Asked::AtLeast(0.5),
        }
        report.line(what("rate"), rate, ratio(|o| o.per_second), "");
        report.line(what("p50"), p50, ratio(|o| o.p50_us), "");
        report.line(what("p99"), p99, ratio(|o| o.p99_us), "");
    }
    let cpu = outcomes.cpu_us(INVOKED, 64, REGISTRY);
    let what = "invoke, 64 in flight: CPU of the registry a call";
    report.line(what, Asked::AtMost(3.5), cpu, "us");
    outcomes.tell(&contestants, "invoke", report);
}
