use crate::domain::source::ActiveSource;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::domain::breaker::{FailureKind, LastFailure, Reason, Tick, Transition};
use crate::domain::catalog::Counts;
use crate::domain::ids::VersionName;
use crate::service::observe::{Changed, DropReason, Load, Trigger};
use crate::service::trouble::DatabaseError;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that `observations` leave in the JSON log.
fn logged(filter: &str, observations: &[Observation]) -> Vec<Value> {
    let observer = LogObserver::default();
    written(filter, || {
        for observation in observations {
            observer.observe(observation);
        }
    })
}

/// The lines that `work` leaves in it.
fn written(filter: &str, work: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let writer = lines.clone();
    let dispatch = dispatch(filter, LogFormat::Json, false, move || writer.clone()).unwrap();
    tracing::dispatcher::with_default(&dispatch, work);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A first load.
fn loaded() -> Observation {
    Observation::Loaded(Load {
        trigger: Trigger::Files,
        source: ActiveSource::Fixtures,
        counts: Counts {
            added: 3,
            ..Counts::default()
        },
        changed: Changed {
            ids: ["a", "b", "c"]
                .map(|id| ExtensionId::parse(id).unwrap())
                .into(),
            by: None,
        },
        revision: 0,
        total: 3,
        enabled: 2,
        quarantined: 1,
        duration: Duration::from_millis(12),
    })
}

#[test]
fn lines_are_flat() {
    let lines = logged("info", &[Observation::Unchanged(Duration::ZERO), loaded()]);
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(line["message"], "data loaded");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["source"], "fixtures");
    assert_eq!(line["ids"], "a, b, c", "of files there is no audit");
    assert_eq!(
        (&line["added"], &line["duration_ms"]),
        (&3.into(), &12.into())
    );
    assert!(line["timestamp"].is_string() && line["target"].is_string());
}

#[test]
fn a_failure_is_said_once_and_again_after_a_success() {
    let failed = || Observation::LoadFailed {
        trigger: Trigger::Timer,
        error: DatabaseError::unreachable("refused").into(),
    };
    let lines = logged(
        "info",
        &[
            failed(),
            failed(),
            failed(),
            Observation::Unchanged(Duration::ZERO),
            failed(),
        ],
    );
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["error"], "the database is unreachable: refused");
    assert_eq!(lines[0]["level"], "WARN");
}

/// Nothing is kept where there is nothing: that sidecar is not ready.
#[test]
fn a_failure_before_the_first_data_does_not_speak_of_data() {
    let gone = || DatabaseError::unreachable("refused");
    let failed = || Observation::LoadFailed {
        trigger: Trigger::Timer,
        error: gone().into(),
    };
    let down = || Observation::DatabaseDown(gone());
    let lines = logged("info", &[down(), failed(), loaded(), down(), failed()]);
    let messages: Vec<_> = lines.iter().map(|line| &line["message"]).collect();
    assert_eq!(
        messages,
        [
            "database is unreachable; there is no data yet",
            "load failed; there is no data yet",
            "data loaded",
            "database is unreachable; the data is kept",
            "load failed; the data is kept",
        ]
    );
}

/// How long it was, without a look for the line of its opening.
#[test]
fn a_circuit_that_closes_says_since_when_it_had_failed() {
    let closed = Observation::Circuit {
        moved: Moved {
            id: ExtensionId::parse("a").unwrap(),
            version: VersionName::parse("v1").unwrap(),
            transition: Transition {
                from: CircuitState::HalfOpen,
                to: CircuitState::Closed,
                at: Tick::default(),
                reason: Reason::TrialSucceeded,
                retry_at: None,
                failures: 3,
                last_failure: Some(LastFailure {
                    at: Tick::default(),
                    kind: FailureKind::Timeout,
                }),
                hearsay: false,
            },
        },
        current: true,
        failing: Failing {
            since: Some(Tick::default()),
            error: None,
        },
    };
    let lines = logged("info", &[closed]);
    assert_eq!(lines[0]["message"], "circuit changed");
    assert!(lines[0]["failing_since"].is_string(), "{lines:?}");
    assert_eq!(lines[0]["last_error"], "timeout", "as in events");
}

#[test]
fn a_drop_is_said_once_per_cause() {
    let dropped = |reply_prefix: Option<&str>| Observation::Dropped {
        reason: DropReason::ReplyNotAllowed,
        reply_prefix: reply_prefix.map(str::to_owned),
    };
    let lines = logged(
        "info",
        &[
            dropped(Some("$JS")),
            dropped(Some("$JS")),
            dropped(Some("x")),
            dropped(None),
        ],
    );
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["reply_prefix"], "$JS");
    assert!(lines[2].get("reply_prefix").is_none());
}

#[test]
fn prefixes_that_callers_make_up_do_not_hide_another_cause() {
    let made_up = (0..1000).map(|n| Observation::Dropped {
        reason: DropReason::ReplyNotAllowed,
        reply_prefix: Some(format!("x{n}")),
    });
    let failed = || Observation::Dropped {
        reason: DropReason::PublishFailed,
        reply_prefix: None,
    };
    let observations: Vec<_> = made_up.chain([failed(), failed()]).collect();
    let lines = logged("info", &observations);
    assert!(lines.len() < 500, "{}", lines.len());
    let last = lines.last().unwrap();
    assert_eq!(last["reason"], "publish_failed");
}

/// CASES.md A2.
#[test]
fn lines_that_are_missing_are_reported_whatever_the_filter_takes() {
    for filter in ["info", "error", "beamline_registry=off,error"] {
        let lines = written(filter, || report_lost(7));
        let [line] = &lines[..] else {
            panic!("{filter}: {lines:?}")
        };
        assert_eq!(
            (&line["lines"], &line["level"]),
            (&7.into(), &"WARN".into())
        );
        let message = line["message"].as_str().unwrap();
        assert!(message.starts_with("7 log lines dropped"), "{message}");
    }
}

#[test]
fn a_bad_filter_is_an_error() {
    assert!(matches!(
        init("a=b=c", LogFormat::Json),
        Err(LogError::Filter(_))
    ));
}
