//! The outcomes of calls of each version, beside the counts of the extension as a whole.
//!
//! A version has one from its first call on, for as long as the record has the version.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::meter::DurationMeter;
use crate::domain::breaker::{CircuitState, Tick, Transition, View};
use crate::domain::failures::{Failed, FailureLog};
use crate::domain::health::{Counts, HealthGate, Outcomes};
use crate::domain::ids::VersionName;
use crate::domain::latency::{LatencyHistogram, LatencySnapshot};
use crate::domain::lock::locked;
use crate::domain::outcome::Outcome;
use crate::service::observe::Failing;

/// The versions of one extension that were called.
#[derive(Debug, Default)]
pub struct Versions(ArcSwap<Vec<Arc<VersionRuntime>>>);

/// The running side of one version.
#[derive(Debug)]
pub struct VersionRuntime {
    /// Whose it is.
    pub version: VersionName,
    /// What callers got.
    pub meter: DurationMeter,
    /// Whether it counts as degraded.
    pub gate: HealthGate,
    /// Its attempts.
    pub outcomes: Outcomes,
    /// Only where there is more than one version: of a single one it is the extension's.
    latency: OnceLock<Box<LatencyHistogram>>,
    /// For [`crate::domain::halting`], until they are reported to the fleet.
    attempts: Mutex<Vec<Attempts>>,
    /// Nothing of a version that never failed.
    log: Mutex<Option<Box<FailureLog>>>,
    /// The earliest failure of the window in which it began to fail, or when its circuit opened without
    /// one; in microseconds and 1 more, 0 while it does not fail.
    failing_since_us: AtomicU64,
}

/// How long attempts are counted together.
const TOGETHER: Duration = Duration::from_secs(5);
/// Counts that wait to be reported; the oldest is dropped for more.
const MOST_WAITING: usize = 32;

/// The outcomes of attempts of one version, made by one record of the extension and soon after each
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// The revision of the record.
    pub revision: u64,
    /// When the first of them ended.
    pub begun: Instant,
    /// Their outcomes.
    pub counts: Counts,
}

impl Versions {
    /// Those that were called.
    pub fn all(&self) -> Arc<Vec<Arc<VersionRuntime>>> {
        self.0.load_full()
    }

    /// The running side of a version, if it was called.
    pub fn get(&self, version: &VersionName) -> Option<Arc<VersionRuntime>> {
        let all = self.0.load();
        let found = all.iter().find(|it| it.version == *version);
        found.cloned()
    }

    /// The same, made if there is none.
    pub fn of(&self, version: &VersionName) -> Arc<VersionRuntime> {
        if let Some(known) = self.get(version) {
            return known;
        }
        let made = Arc::new(VersionRuntime::new(version));
        self.0.rcu(|all| {
            // Another thread may have been faster.
            if all.iter().any(|it| it.version == *version) {
                return Arc::clone(all);
            }
            let more = all.iter().chain([&made]).cloned();
            Arc::new(more.collect())
        });
        self.get(version).unwrap_or(made)
    }

    /// Forgets the versions that are gone.
    pub fn retain(&self, stays: impl Fn(&VersionName) -> bool) {
        if self.0.load().iter().all(|it| stays(&it.version)) {
            return;
        }
        self.0.rcu(|all| {
            let staying = all.iter().filter(|it| stays(&it.version));
            Arc::new(staying.cloned().collect())
        });
    }
}

impl VersionRuntime {
    fn new(version: &VersionName) -> Self {
        Self {
            version: version.clone(),
            meter: DurationMeter::default(),
            gate: HealthGate::default(),
            outcomes: Outcomes::default(),
            latency: OnceLock::new(),
            attempts: Mutex::default(),
            log: Mutex::default(),
            failing_since_us: AtomicU64::default(),
        }
    }

    /// Counts an outcome; `alone`: the extension has no other version.
    pub fn count(&self, outcome: Outcome, latency: Option<Duration>, alone: bool, now: Instant) {
        match outcome {
            Outcome::Success => self.outcomes.succeeded(),
            Outcome::Failure(_) => self.outcomes.failed(),
            Outcome::Neutral(_) => return,
        }
        if let (Some(latency), false) = (latency, alone) {
            let histogram = || Box::new(LatencyHistogram::new(now));
            self.latency.get_or_init(histogram).record(latency, now);
        }
    }

    /// Counts an attempt that a sidecar made by the record of `revision`, for comparing versions.
    pub fn compare(&self, outcome: Outcome, revision: u64, now: Instant) {
        let (successes, failures) = match outcome {
            Outcome::Success => (1, 0),
            Outcome::Failure(_) => (0, 1),
            Outcome::Neutral(_) => return,
        };
        let mut attempts = locked(&self.attempts);
        let fresh = |it: &&mut Attempts| {
            it.revision == revision && now.saturating_duration_since(it.begun) < TOGETHER
        };
        if let Some(last) = attempts.last_mut().filter(fresh) {
            last.counts.successes += successes;
            last.counts.failures += failures;
            return;
        }
        if attempts.len() >= MOST_WAITING {
            attempts.remove(0);
        }
        attempts.push(Attempts {
            revision,
            begun: now,
            counts: Counts {
                successes,
                failures,
            },
        });
    }

    /// Takes what was counted to compare versions.
    pub fn take_attempts(&self) -> Vec<Attempts> {
        std::mem::take(&mut locked(&self.attempts))
    }

    /// Begins anew after a reset of its circuit: what came before no longer speaks against it.
    pub fn reset(&self) {
        self.outcomes.reset();
        self.forgive();
    }

    /// Its circuit began anew: it is no longer held to fail by what had been in its window.
    pub(super) fn forgive(&self) {
        self.gate.clear();
        self.fails_since(None);
    }

    /// Its latencies of the last one to two minutes, where they are not the extension's.
    pub fn latencies(&self, now: Instant) -> Option<LatencySnapshot> {
        self.latency.get().map(|latency| latency.snapshot(now))
    }

    /// Since when it fails, while `view` or its success rate show that it does.
    pub fn failing_since(&self, view: &View) -> Option<Tick> {
        self.ails(view)
            .then(|| self.since().or(view.opened_at))
            .flatten()
    }

    /// Notes what an outcome has changed: `degraded` is the gate's verdict before it.
    pub(super) fn settled(&self, view: &View, transition: Option<&Transition>, degraded: bool) {
        let since = self.since();
        let ails = self.ails(view);
        // An operator may have ended what went before: this version was not informed.
        let anew = transition.is_some_and(|moved| moved.from == CircuitState::Closed) && !degraded;
        let now = match since {
            _ if !ails => None,
            Some(since) if !anew => Some(since),
            // Slow calls open it without any.
            _ => view.first_failure.or(view.opened_at),
        };
        if since != now {
            self.fails_since(now);
        }
    }

    fn fails_since(&self, since: Option<Tick>) {
        let us = since.map_or(0, |tick| tick.elapsed().as_micros().saturating_add(1));
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        self.failing_since_us.store(us, Ordering::Relaxed);
    }

    fn since(&self) -> Option<Tick> {
        let us = self.failing_since_us.load(Ordering::Relaxed);
        Some(Tick::at(Duration::from_micros(us.checked_sub(1)?)))
    }

    /// Remembers a failed attempt.
    pub(super) fn remember(&self, failed: &Failed<&str>) {
        self.failures().get_or_insert_default().push(failed);
    }

    /// What is reported of a circuit that changes: since when its version fails, and the
    /// extension's last error text.
    pub fn failing(&self) -> Failing {
        let log = self.failures();
        let last = log.as_ref().and_then(|log| log.newest_first().next());
        Failing {
            since: self.since(),
            error: last.and_then(|it| it.error.clone()),
        }
    }

    /// The same of `transition`, which no outcome has made. One that opens is since when it fails, and
    /// after one that closes nothing speaks against the version, unless it is degraded.
    pub fn failing_at(&self, transition: &Transition) -> Failing {
        let (from, to) = (transition.from, transition.to);
        let is_well = !self.gate.is_degraded();
        if is_well && from == CircuitState::Closed && to == CircuitState::Open {
            self.fails_since(Some(transition.at));
        }
        let failing = self.failing();
        if is_well && to == CircuitState::Closed {
            self.fails_since(None);
        }
        failing
    }

    /// Its last failures: a log only where there was one.
    pub fn failures(&self) -> MutexGuard<'_, Option<Box<FailureLog>>> {
        locked(&self.log)
    }

    fn ails(&self, view: &View) -> bool {
        view.state != CircuitState::Closed || self.gate.is_degraded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Failure;

    fn name(text: &str) -> VersionName {
        VersionName::parse(text).unwrap()
    }

    #[test]
    fn each_version_counts_for_itself_and_goes_when_it_is_gone() {
        let (versions, now) = (Versions::default(), Instant::now());
        let failure = Outcome::Failure(Failure::Timeout);
        versions
            .of(&name("v1"))
            .count(Outcome::Success, None, true, now);
        let v2 = versions.of(&name("v2"));
        v2.count(failure, Some(Duration::from_millis(3)), false, now);
        assert!(Arc::ptr_eq(&v2, &versions.of(&name("v2"))));
        let counts = |it: &Arc<VersionRuntime>| {
            let counts = it.outcomes.counts();
            (counts.successes, counts.failures)
        };
        let all: Vec<_> = versions.all().iter().map(counts).collect();
        assert_eq!(all, [(1, 0), (0, 1)]);
        let measured: Vec<_> = versions
            .all()
            .iter()
            .map(|it| it.latencies(now).is_some())
            .collect();
        assert_eq!(measured, [false, true]);
        assert!(
            v2.failures().is_none(),
            "no log without a failure to remember"
        );

        versions.retain(|version| version.as_str() != "v1");
        assert!(versions.get(&name("v1")).is_none());
        assert!(Arc::ptr_eq(&v2, &versions.of(&name("v2"))));
    }
}
