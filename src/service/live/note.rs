//! What happened, in a sentence for the status page: a reader of observations, as the log is.
//!
//! What happens often (refused requests, slow consumers) is left to the metrics.

use std::time::Instant;

use tokio::sync::mpsc;

use crate::domain::breaker::{CircuitState, Reason, Transition};
use crate::domain::health::Crossing;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::quote::quoted;
use crate::domain::words::words;
use crate::service::observe::{ListenerState, Observation, Observer};

/// Notes that may wait for the feed; more are lost, the log has them all the same.
const CAPACITY: usize = 256;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Instant,
    /// How much it matters.
    pub tone: Tone,
    /// The extension it is about, if it is about one.
    pub id: Option<ExtensionId>,
    /// What, in words.
    pub text: String,
}

words! {
    /// How much something matters.
    pub enum Tone {
        /// A recovery.
        Good = "good",
        /// Neither.
        Plain = "plain",
        /// Worth a look.
        Warn = "warn",
        /// An operator should act.
        Bad = "bad",
    }
}

impl Note {
    /// Whether `other` is a repetition.
    pub fn repeats(&self, other: &Self) -> bool {
        (&self.id, &self.text) == (&other.id, &other.text)
    }

    /// The note about an observation; `None` for what the page does not show.
    fn of(observation: &Observation) -> Option<Self> {
        let (tone, id, text) = match observation {
            Observation::Circuit { moved, current, .. } => {
                let (tone, text) = circuit(&moved.version, *current, &moved.transition);
                (tone, Some(&moved.id), text)
            }
            Observation::Health(crossed) => {
                let (tone, place) = match crossed.crossing {
                    Crossing::Degraded => (Tone::Warn, "below"),
                    Crossing::Recovered => (Tone::Good, "not below"),
                };
                let rate = percent(crossed.success_rate);
                let least = percent(crossed.min_success_rate);
                let whose = whose(&crossed.version, crossed.current);
                let text = format!("success rate{whose} {rate} % is {place} {least} %");
                (tone, Some(&crossed.id), text)
            }
            Observation::RolloutHalted { share, .. } => {
                let version = &share.version;
                let text = format!("rollout of {version} halted: too many of its calls fail");
                (Tone::Bad, Some(&share.id), text)
            }
            Observation::AutoSwitched { id, disabled, .. } if *disabled => {
                (Tone::Bad, Some(id), "was disabled automatically".to_owned())
            }
            Observation::AutoSwitched { id, .. } => {
                (Tone::Good, Some(id), "was enabled automatically".to_owned())
            }
            Observation::KeptInService { id, why } => {
                (Tone::Plain, Some(id), format!("stays in service: {why}"))
            }
            Observation::ProbeAnswered(id) => {
                let text = "responds again; an operator must enable it";
                (Tone::Good, Some(id), text.to_owned())
            }
            Observation::Cut { id, what } => {
                (Tone::Warn, Some(id), format!("beyond the limits: {what}"))
            }
            Observation::Ignored { id, what } => (Tone::Warn, Some(id), what.clone()),
            other => {
                let (tone, text) = registry(other)?;
                (tone, None, text)
            }
        };
        Some(Self {
            at: Instant::now(),
            tone,
            id: id.cloned(),
            text,
        })
    }
}

fn circuit(version: &VersionName, current: bool, transition: &Transition) -> (Tone, String) {
    let (tone, word) = match transition.to {
        CircuitState::Open => (Tone::Bad, "opened"),
        CircuitState::HalfOpen => (Tone::Plain, "is half-open"),
        CircuitState::Closed => (Tone::Good, "closed"),
    };
    let (reason, whose) = (reason(transition.reason), whose(version, current));
    let mut text = format!("circuit{whose} {word}: {reason}");
    if transition.to == CircuitState::Open && transition.failures > 0 {
        let failures = transition.failures;
        let s = if failures == 1 { "" } else { "s" };
        text.push_str(&format!(" ({failures} failure{s}"));
        if let Some(last) = transition.last_failure {
            let kind = last.kind.as_str().replace('_', " ");
            text.push_str(&format!("; last: {kind}"));
        }
        text.push(')');
    }
    (tone, text)
}

/// Why a circuit moved, for a reader who does not know the codes of events.
const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::ConsecutiveFailures => "too many failures in a row",
        Reason::ErrorRate => "the error rate is too high",
        Reason::SlowCalls => "too many calls are slow",
        Reason::OpenTimeOver => "the next call is a trial",
        Reason::TrialSucceeded => "the trial call succeeded",
        Reason::TrialFailed => "the trial call failed",
        Reason::Forced => "forced by an operator",
        Reason::OverrideEnded => "the operator's override ended",
        Reason::Reset => "reset, by an operator or because the extension is enabled again",
        Reason::Disabled => "circuit breakers are switched off",
        Reason::Restored => "it was open before the restart",
    }
}

/// In hundredths of a percent, and never rounded up: a rate just below 99.5 % must not be shown as
/// that. What is added is for shares that are no binary fractions.
pub fn per_10k(share: f64) -> f64 {
    (share * 1e4 + 1e-6).floor()
}

/// The same in percent.
fn percent(share: f64) -> f64 {
    per_10k(share) / 1e2
}

/// Names a version that is not the current one.
fn whose(version: &VersionName, current: bool) -> String {
    match current {
        true => String::new(),
        false => format!(" of {version}"),
    }
}

fn registry(observation: &Observation) -> Option<(Tone, String)> {
    Some(match observation {
        Observation::Loaded(load) => {
            let words = [
                (load.counts.added, "added"),
                (load.counts.updated, "updated"),
                (load.counts.removed, "removed"),
            ];
            let words = words.into_iter().filter(|(count, _)| *count > 0);
            let words: Vec<_> = words
                .map(|(count, word)| format!("{count} {word}"))
                .collect();
            // What is quarantined is not the same, or the source.
            let words = match words.is_empty() {
                true => "no extension changed".to_owned(),
                false => words.join(", "),
            };
            let mut text = format!("revision {}: {words}", load.revision);
            if let Some(ids) = load.changed.named() {
                text.push_str(&format!(" ({ids})"));
            }
            if let Some(by) = &load.changed.by {
                text.push_str(&format!(" by {}", quoted(by)));
            }
            (Tone::Plain, text)
        }
        Observation::LoadFailed { error, .. } => {
            let error = error.outside();
            // Also before there is any.
            let text = format!("load failed: {error}; the data served is unchanged");
            (Tone::Bad, text)
        }
        Observation::Quarantined { origin, reason } => {
            (Tone::Warn, format!("{origin} is quarantined: {reason}"))
        }
        Observation::MoreNotServed(count) => {
            let text = format!("{count} more values of records are not served as written");
            (Tone::Warn, text)
        }
        Observation::SourceChanged { from, to } => {
            let (from, to) = (from.as_str(), to.as_str());
            (Tone::Warn, format!("data comes from {to} now, not {from}"))
        }
        Observation::DatabaseUp => (Tone::Good, "the database answers".to_owned()),
        Observation::DatabaseDown(error) => (Tone::Bad, error.outside()),
        Observation::Listener {
            state: ListenerState::Polling,
            ..
        } => (Tone::Warn, "no notifications, polling".to_owned()),
        Observation::Listener {
            state: ListenerState::Listening,
            ..
        } => (Tone::Good, "notifications arrive".to_owned()),
        Observation::NatsUp { connection, up } => {
            let (tone, word) = match up {
                true => (Tone::Good, "connected"),
                false => (Tone::Bad, "disconnected"),
            };
            (tone, format!("NATS {word} ({connection})"))
        }
        _ => return None,
    })
}

/// Keeps notes for the feed.
#[derive(Debug)]
pub struct NoteObserver(mpsc::Sender<Note>);

/// Notes on their way to the feed.
pub type Notes = mpsc::Receiver<Note>;

/// The observer, and what it has noted.
pub fn notes() -> (NoteObserver, Notes) {
    let (queue, notes) = mpsc::channel(CAPACITY);
    (NoteObserver(queue), notes)
}

impl Observer for NoteObserver {
    fn observe(&self, observation: &Observation) {
        if let Some(note) = Note::of(observation) {
            let _full = self.0.try_send(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::breaker::Tick;
    use crate::domain::catalog::{ActiveSource, Counts};
    use crate::domain::overload::Overload;
    use crate::service::observe::{Changed, Crossed, Load, Trigger};
    use crate::service::source::SourceError;

    fn id() -> ExtensionId {
        ExtensionId::parse("guard").unwrap()
    }

    #[track_caller]
    fn check(observation: &Observation, told: Option<(Tone, &str)>) {
        let note = Note::of(observation);
        let note = note.as_ref().map(|note| (note.tone, note.text.as_str()));
        assert_eq!(note, told, "{observation:?}");
    }

    #[test]
    fn what_matters_is_told_and_what_happens_often_is_not() {
        let crossed = |crossing, success_rate, min_success_rate| {
            Observation::Health(Crossed {
                id: id(),
                version: VersionName::parse("v1").unwrap(),
                current: true,
                crossing,
                success_rate,
                min_success_rate,
            })
        };
        let degraded = crossed(Crossing::Degraded, 0.615, 0.8);
        check(
            &degraded,
            Some((Tone::Warn, "success rate 61.5 % is below 80 %")),
        );
        let recovered = crossed(Crossing::Recovered, 0.995, 0.995);
        check(
            &recovered,
            Some((Tone::Good, "success rate 99.5 % is not below 99.5 %")),
        );
        let just_below = crossed(Crossing::Degraded, 0.99496, 0.995);
        check(
            &just_below,
            Some((Tone::Warn, "success rate 99.49 % is below 99.5 %")),
        );
        let loaded = |counts, changed| {
            Observation::Loaded(Load {
                trigger: Trigger::Notification,
                source: ActiveSource::Database,
                counts,
                changed,
                revision: 7,
                total: 5,
                enabled: 4,
                quarantined: 0,
                duration: std::time::Duration::ZERO,
            })
        };
        let told = "revision 7: 2 updated, 1 removed (a, b, gone) by alice";
        let counts = Counts {
            added: 0,
            updated: 2,
            removed: 1,
        };
        let changed = Changed {
            ids: ["a", "b", "gone"]
                .map(|id| ExtensionId::parse(id).unwrap())
                .into(),
            by: Some("alice".into()),
        };
        check(&loaded(counts, changed), Some((Tone::Plain, told)));
        let nothing = loaded(Counts::default(), Changed::default());
        let told = "revision 7: no extension changed";
        check(&nothing, Some((Tone::Plain, told)));
        let failed = Observation::LoadFailed {
            trigger: Trigger::Start,
            error: SourceError::Unreadable("no such folder".into()),
        };
        let told = "load failed: fixtures cannot be read: no such folder; the data served is \
                    unchanged";
        check(&failed, Some((Tone::Bad, told)));
        let link = Observation::NatsUp {
            connection: "lookup",
            up: false,
        };
        check(&link, Some((Tone::Bad, "NATS disconnected (lookup)")));
        check(&Observation::Overloaded(Overload::Requests), None);
        let connection = "lookup";
        check(&Observation::SlowConsumer(connection), None);
    }

    #[test]
    fn a_share_is_rounded_down_and_loses_nothing_by_that_where_it_is_exact() {
        for calls in 1..=300_u32 {
            for successes in 0..=calls {
                let share = f64::from(successes) / f64::from(calls);
                let expected = f64::from(successes * 10_000 / calls);
                assert_eq!(per_10k(share), expected, "{successes}/{calls}");
            }
        }
        assert_eq!(per_10k(0.999_999), 9999.0);
    }

    /// Enabling resets circuits too, also automatically.
    #[test]
    fn a_reset_is_not_blamed_on_an_operator_alone() {
        let reset = Transition {
            from: CircuitState::Open,
            to: CircuitState::Closed,
            at: Tick::NEVER,
            reason: Reason::Reset,
            retry_at: None,
            failures: 0,
            last_failure: None,
            hearsay: false,
        };
        let (tone, text) = circuit(&VersionName::parse("v1").unwrap(), true, &reset);
        assert_eq!(tone, Tone::Good);
        let told = "circuit closed: reset, by an operator or because the extension is ";
        assert_eq!(text, format!("{told}enabled again"));
    }

    #[tokio::test]
    async fn notes_that_nobody_takes_are_bounded() {
        let (observer, mut notes) = notes();
        for _ in 0..=CAPACITY {
            observer.observe(&Observation::DatabaseUp);
        }
        drop(observer);
        let mut kept = 0;
        while notes.recv().await.is_some() {
            kept += 1;
        }
        assert_eq!(kept, CAPACITY);
    }
}
