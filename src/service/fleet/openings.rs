//! Opened circuits that wait for the decision whether their extension stays in service.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::breaker::{CircuitState, Reason, Transition};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::observe::{Observation, Observer};

/// The circuit of a current version opened because its calls failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The extension.
    pub id: ExtensionId,
    /// The version that was current.
    pub version: VersionName,
    /// How it opened.
    pub transition: Transition,
}

/// Openings that wait, the latest one of each extension: never more than there are extensions.
#[derive(Debug, Default)]
pub struct Openings {
    waiting: Mutex<BTreeMap<ExtensionId, Opening>>,
    added: Notify,
}

impl Openings {
    /// The next one, waiting for it. For one task only.
    pub async fn next(&self) -> Opening {
        loop {
            // A statement of its own: the lock is not held while waiting.
            let first = self.lock().pop_first();
            match first {
                Some((_, opening)) => return opening,
                None => self.added.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ExtensionId, Opening>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Openings {
    fn observe(&self, observation: &Observation) {
        let Observation::Circuit {
            id,
            version,
            current: true,
            transition,
            ..
        } = observation
        else {
            return;
        };
        // An operator's wish, the memory of an earlier run and what routers report are no evidence.
        let evident = !matches!(transition.reason, Reason::Forced | Reason::Restored);
        if transition.to == CircuitState::Open && evident && !transition.hearsay {
            let opening = Opening {
                id: id.clone(),
                version: version.clone(),
                transition: *transition,
            };
            self.lock().insert(id.clone(), opening);
            self.added.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::breaker::Tick;
    use crate::service::observe::Failing;

    fn observe(openings: &Openings, id: &str, current: bool, to: CircuitState, reason: Reason) {
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
            id: ExtensionId::parse(id).unwrap(),
            version: VersionName::parse("v1").unwrap(),
            current,
            transition,
            failing: Failing::default(),
        });
    }

    #[test]
    fn only_evidence_against_a_current_version_counts_and_the_latest_of_each_waits() {
        let openings = Openings::default();
        for (id, current, to, reason) in [
            ("old", false, CircuitState::Open, Reason::ErrorRate),
            ("tried", true, CircuitState::HalfOpen, Reason::OpenTimeOver),
            ("forced", true, CircuitState::Open, Reason::Forced),
            ("restored", true, CircuitState::Open, Reason::Restored),
        ] {
            observe(&openings, id, current, to, reason);
        }
        assert_eq!(openings.next().now_or_never(), None);

        observe(&openings, "b", true, CircuitState::Open, Reason::ErrorRate);
        observe(&openings, "a", true, CircuitState::Open, Reason::SlowCalls);
        observe(
            &openings,
            "b",
            true,
            CircuitState::Open,
            Reason::TrialFailed,
        );
        let next = || {
            let opening = openings.next().now_or_never()?;
            Some((opening.id.to_string(), opening.transition.reason))
        };
        assert_eq!(next(), Some(("a".into(), Reason::SlowCalls)));
        assert_eq!(next(), Some(("b".into(), Reason::TrialFailed)));
        assert_eq!(next(), None);
    }
}
