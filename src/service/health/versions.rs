//! The health of each version of an extension, and the resulting state of the extension.
//!
//! A failing canary is never green: an extension's state is the worst of the versions that some
//! request could be served by. Everything here is by this sidecar's own calls, but for the counts of
//! an extension with a single version, which are the fleet's.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Health, Standing};
use crate::domain::breaker::CircuitState;
use crate::domain::entry::{Entry, Refusal};
use crate::domain::failures::Failed;
use crate::domain::health::{Counts, Outcomes};
use crate::domain::ids::VersionName;
use crate::domain::routing::Candidate;
use crate::domain::words::words;
use crate::service::invoke::Runtime;

words! {
    /// How an extension, or one of its versions, is doing; from the best to the worst.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum State {
        /// It was not called yet, or not since a reset.
        NoData = "no_data",
        /// Nothing is known against it.
        Ok = "ok",
        /// Its rolling success rate is below the minimum.
        Degraded = "degraded",
        /// It asked to be left alone: all its instances rest.
        Resting = "resting",
        /// Its circuit tries whether it works again.
        HalfOpen = "half_open",
        /// Its circuit is open.
        Open = "open",
        /// The extension is out of service: its circuit opened.
        AutoDisabled = "auto_disabled",
        /// An operator took the extension out of service.
        Disabled = "disabled",
    }
}

/// How one version is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionStanding {
    /// The version.
    pub version: VersionName,
    /// Whether it is the current one.
    pub current: bool,
    /// Whether some context could choose it.
    pub takes_part: bool,
    /// Its own state, whether it takes part or not.
    pub state: State,
    /// The outcomes of attempts.
    pub counts: Counts,
    /// The share of successes, 0 to 1; of a single version it is the extension's.
    pub success_rate: Option<f64>,
    /// Median latency of the latest calls.
    pub p50: Option<Duration>,
    /// 99 % of them did.
    pub p99: Option<Duration>,
    /// The earliest failure in the window in which it ceased to be well.
    pub failing_since: Option<SystemTime>,
    /// When calls go to it again, while it rests.
    pub rests_until: Option<Instant>,
}

/// A failed attempt of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    /// The version that was called.
    pub version: VersionName,
    /// What is known of it.
    pub failed: Failed<Box<str>>,
}

/// The state of an extension whose versions are doing like this.
pub(super) fn overall(entry: &Entry, versions: &[VersionStanding]) -> State {
    match entry.admitted() {
        Err(Refusal::Disabled) => State::Disabled,
        Err(_) => State::AutoDisabled,
        Ok(()) => {
            let taking_part = versions.iter().filter(|it| it.takes_part);
            let worst = taking_part.map(|it| it.state).max();
            worst.unwrap_or(State::NoData)
        }
    }
}

impl Health {
    /// How an extension is doing, in a word.
    pub fn state(&self, entry: &Arc<Entry>) -> State {
        self.standing(Arc::clone(entry), Instant::now()).state
    }

    /// A version; `whole` is what is known of all the versions of its extension together, and
    /// `elsewhere` whether other sidecars have called that, as far as it still says something.
    pub(super) fn version(
        &self,
        (candidate, takes_part): (&Candidate, bool),
        runtime: Option<&Runtime>,
        whole: &Standing,
        elsewhere: bool,
        now: Instant,
    ) -> VersionStanding {
        let (entry, clock) = (&whole.entry, &self.tools.clock);
        let resolved = candidate.resolve(entry.extension());
        let version = resolved.version;
        let own = runtime.and_then(|runtime| runtime.versions.get(version));
        let own = own.as_deref();
        let circuit = self.tools.circuits.of(entry.extension(), version);
        let view = circuit.map(|circuit| circuit.view(clock.at(now)));
        let rests_until = runtime.and_then(|runtime| runtime.rests_until(&resolved, now));
        let outcomes = own.map(|own| &own.outcomes);
        let counts = outcomes.map(Outcomes::counts).unwrap_or_default();
        let lately = outcomes.map(Outcomes::since_reset).unwrap_or_default();
        let current = candidate.is_current();
        let state = match view.map_or(CircuitState::Closed, |view| view.state) {
            CircuitState::Open => State::Open,
            CircuitState::HalfOpen => State::HalfOpen,
            CircuitState::Closed if rests_until.is_some() => State::Resting,
            CircuitState::Closed if own.is_some_and(|own| own.gate.is_degraded()) => {
                State::Degraded
            }
            // "No data" must not be shown beside a thousand successes of the other sidecars.
            CircuitState::Closed if lately.total() > 0 || current && elsewhere => State::Ok,
            CircuitState::Closed => State::NoData,
        };
        let alone = entry.has_one_version();
        let latencies = own.and_then(|own| own.latencies(now));
        // Since it is alone nothing has been added to its own.
        let percentile = |q, of_all: Option<Duration>| match alone {
            true => of_all,
            false => latencies.as_ref()?.percentile(q),
        };
        // A circuit that another run of this sidecar left open has no failures here.
        let since = view.and_then(|view| match own {
            Some(own) => own.failing_since(&view),
            None => view.opened_at,
        });
        VersionStanding {
            version: version.clone(),
            current,
            takes_part,
            state,
            counts: if alone { whole.sums.counts } else { counts },
            success_rate: match alone {
                true => whole.success_rate,
                false => lately.success_rate(),
            },
            p50: percentile(0.5, whole.p50),
            p99: percentile(0.99, whole.p99),
            failing_since: since.map(|tick| clock.wall(tick)),
            rests_until,
        }
    }

    /// The last failures of all versions that the extension has, newest first.
    pub fn failures(&self, entry: &Entry) -> Vec<FailureRow> {
        let Some(runtime) = self.tools.runtimes.known(entry.extension()) else {
            return Vec::new();
        };
        let mut rows = Vec::<FailureRow>::new();
        let versions = runtime.versions.all();
        for version in versions.iter().filter(|it| entry.has(&it.version)) {
            let log = version.failures();
            let failed = log.iter().flat_map(|log| log.newest_first());
            rows.extend(failed.map(|failed| FailureRow {
                version: version.version.clone(),
                failed: failed.clone(),
            }));
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.failed.at));
        rows
    }
}
