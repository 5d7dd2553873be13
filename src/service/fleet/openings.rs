//! Opened circuits that wait for the decision whether their extension stays in service.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::domain::breaker::{CircuitState, Reason};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::lock::locked;
use crate::service::circuits::Moved;
use crate::service::observe::{Observation, Observer};

type Key = (ExtensionId, VersionName);

/// Circuits that opened because their calls failed, the latest opening of each: never more than there
/// are circuits. Whether it is of the current version is asked when it is decided on.
#[derive(Debug, Default)]
pub struct Openings {
    waiting: Mutex<BTreeMap<Key, Moved>>,
    added: Notify,
}

impl Openings {
    /// The next one, waiting for it. For one task only.
    pub async fn next(&self) -> Moved {
        loop {
            // A statement of its own: the lock is not held while waiting.
            let first = locked(&self.waiting).pop_first();
            match first {
                Some((_, opening)) => return opening,
                None => self.added.notified().await,
            }
        }
    }
}

impl Observer for Openings {
    fn observe(&self, observation: &Observation) {
        let Observation::Circuit { moved, .. } = observation else {
            return;
        };
        let transition = &moved.transition;
        // An operator's wish, the memory of an earlier run and what routers report are no evidence.
        let evident = !matches!(transition.reason, Reason::Forced | Reason::Restored);
        if transition.to == CircuitState::Open && evident && !transition.hearsay {
            let key = (moved.id.clone(), moved.version.clone());
            locked(&self.waiting).insert(key, moved.clone());
            self.added.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::breaker::{Tick, Transition};
    use crate::service::observe::Failing;

    fn observe(openings: &Openings, of: (&str, &str), to: CircuitState, reason: Reason) {
        let transition = Transition {
            from: CircuitState::HalfOpen,
            to,
            at: Tick::default(),
            reason,
            retry_at: None,
            failures: 1,
            last_failure: None,
            hearsay: false,
        };
        openings.observe(&Observation::Circuit {
            moved: Moved {
                id: ExtensionId::parse(of.0).unwrap(),
                version: VersionName::parse(of.1).unwrap(),
                transition,
            },
            // By the time of the decision it may be.
            current: false,
            failing: Failing::default(),
        });
    }

    #[test]
    fn only_evidence_counts_and_the_latest_of_each_circuit_waits() {
        let openings = Openings::default();
        for (id, to, reason) in [
            ("tried", CircuitState::HalfOpen, Reason::OpenTimeOver),
            ("forced", CircuitState::Open, Reason::Forced),
            ("restored", CircuitState::Open, Reason::Restored),
        ] {
            observe(&openings, (id, "v1"), to, reason);
        }
        assert_eq!(openings.next().now_or_never(), None);

        let (open, b) = (CircuitState::Open, ("b", "v1"));
        observe(&openings, b, open, Reason::ErrorRate);
        observe(&openings, ("a", "v1"), open, Reason::SlowCalls);
        observe(&openings, b, open, Reason::TrialFailed);
        observe(&openings, ("b", "v2"), open, Reason::ErrorRate);
        let next = || {
            let opening = openings.next().now_or_never()?;
            let of = format!("{} {}", opening.id, opening.version);
            Some((of, opening.transition.reason))
        };
        assert_eq!(next(), Some(("a v1".into(), Reason::SlowCalls)));
        assert_eq!(next(), Some(("b v1".into(), Reason::TrialFailed)));
        assert_eq!(next(), Some(("b v2".into(), Reason::ErrorRate)));
        assert_eq!(next(), None);
    }
}
