//! What an extension that never answers costs everybody else.
//!
//! Calls of a live extension and lookups go on at fixed rates, in three settings that take turns:
//! alone, beside as many more calls that are answered at once, and beside calls of the dead one,
//! of which a thousand are always under way. The first is what the dead one is held against; the
//! second tells how much of the difference is mere load.

use std::time::Duration;

use serde_json::json;

use super::extensions::{self, DEAD, ECHO};
use super::load::{self, Check, Form, Job, Outcome, Pace, Target};
use super::options::Options;
use super::records;
use super::report::{Asked, Report};
use super::samples::median;
use super::stage::{PREFIX, Stage};

/// Calls a second of the live extension, and of the one beside it.
const CALLS: u64 = 1_000;
/// Lookups a second.
const LOOKUPS: u64 = 2_000;
/// Until the dead extension's first calls have timed out, nothing is counted.
const WARM_UP: Duration = Duration::from_millis(1_500);

/// What else is called.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    Live,
    Dead,
}

/// What was measured in one setting, in the order of the rounds.
#[derive(Debug, Default)]
struct Setting {
    calls: Vec<Outcome>,
    lookups: Vec<Outcome>,
}

/// Runs all rounds.
pub(crate) async fn measure(stage: &Stage, options: &Options, report: &mut Report) {
    let _extensions = extensions::start(stage).await;
    let _daemon = stage.ready_daemon().await;
    let duration = Duration::from_secs(options.or_quick(10, 2));

    let mut settings: [Setting; 3] = Default::default();
    for round in 0..options.rounds {
        let mut order: Vec<_> = [Beside::Nothing, Beside::Live, Beside::Dead]
            .into_iter()
            .zip(&mut settings)
            .collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (beside, setting) in order {
            let (calls, lookups) = run(stage, beside, duration, report).await;
            setting.calls.push(calls);
            setting.lookups.push(lookups);
        }
        eprintln!("  round {} of {}", round + 1, options.rounds);
    }
    tell(report, &settings);
}

/// One setting, once: calls of the live extension and lookups.
async fn run(
    stage: &Stage,
    beside: Beside,
    duration: Duration,
    report: &mut Report,
) -> (Outcome, Outcome) {
    let job = |target, rate| Job {
        target,
        pace: Pace::PerSecond(rate),
        warm_up: WARM_UP,
        duration,
        extensions: records::CATALOG,
    };
    let answered = extensions::invoked(stage, ECHO, Check::Answer);
    let others = match beside {
        Beside::Nothing => None,
        Beside::Live => Some(answered.clone()),
        Beside::Dead => Some(extensions::invoked(stage, DEAD, Check::Error(504))),
    };
    let others = match others {
        Some(target) => {
            // First to begin and last to end, so that the others are never without it.
            let duration = duration + WARM_UP;
            let job = Job {
                duration,
                ..job(target, CALLS)
            };
            let load = load::start(&job).await;
            load.sending().await;
            Some(load)
        }
        None => None,
    };
    let lookups = Target::Nats {
        url: stage.nats.url(),
        prefix: PREFIX.to_owned(),
        form: Form::Json,
        check: Check::Record,
    };
    let calls = load::start(&job(answered, CALLS)).await;
    let lookups = load::start(&job(lookups, LOOKUPS)).await;
    let (calls, lookups) = tokio::join!(calls.finish(), lookups.finish());
    calls.assert_right(report, "calls of the live extension");
    lookups.assert_right(report, "lookups beside calls");
    if let Some(others) = others {
        others
            .finish()
            .await
            .assert_right(report, "calls beside them");
    }
    (calls, lookups)
}

fn tell(report: &mut Report, settings: &[Setting; 3]) {
    let [alone, live, dead] = settings;
    for (name, of) in [
        (
            "another extension",
            (|s| &s.calls) as fn(&Setting) -> &Vec<Outcome>,
        ),
        ("lookups", |s| &s.lookups),
    ] {
        let against = |other: &Setting| {
            let rounds = of(dead).iter().zip(of(other));
            median(rounds.map(|(dead, other)| dead.p99_us / other.p99_us))
        };
        let p99 = |setting| median(of(setting).iter().map(|o| o.p99_us));
        let what =
            |figure| format!("{name} beside {CALLS} calls a second without answer: {figure}");
        report.line(what("p99"), Asked::Nothing, p99(dead), "us");
        report.line(what("p99 alone"), Asked::Nothing, p99(alone), "us");
        report.line(
            what("p99 against alone"),
            Asked::AtMost(1.2),
            against(alone),
            "",
        );
        report.line(
            what("p99 against calls with answers"),
            Asked::Nothing,
            against(live),
            "",
        );
    }
    let raw = |setting: &Setting| json!({"calls": setting.calls, "lookups": setting.lookups});
    report.raw(
        "isolation",
        json!({"alone": raw(alone), "beside_live": raw(live), "beside_dead": raw(dead)}),
    );
}
