//! How one extension is doing.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::domain::breaker::{CircuitState, View};
use crate::domain::entry::Entry;
use crate::domain::health::HealthSums;
use crate::service::clock::Clock;
use crate::service::health_store::Figures;
use crate::service::invoke::Runtime;

/// How one extension is doing; what is the fleet's and what is not, see [the module](super).
#[derive(Debug, Clone)]
pub struct Standing {
    /// The extension.
    pub entry: Arc<Entry>,
    /// The fleet's counts and latencies.
    pub sums: HealthSums,
    /// The fleet's last success, by the wall clock as it is set now.
    pub last_success: Option<SystemTime>,
    /// Its last failure, likewise.
    pub last_failure: Option<SystemTime>,
    /// The share of successes, 0 to 1; `None` before the first call.
    pub success_rate: Option<f64>,
    /// Half of the latest calls took at most so long.
    pub p50: Option<Duration>,
    /// 95 % of them did.
    pub p95: Option<Duration>,
    /// 99 % of them did.
    pub p99: Option<Duration>,
    /// The state of its circuit.
    pub circuit: CircuitState,
    /// When that opened, unless it is closed.
    pub opened_at: Option<SystemTime>,
    /// The verdict.
    pub condition: Condition,
}

/// What a person wants to know first. Each extension is in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing is known against it, be it for want of calls.
    Healthy,
    /// Its circuit is open, its rolling success rate is below the minimum, or the machine has
    /// taken it out of service.
    Unhealthy,
    /// Its circuit tries whether it works again.
    HalfOpen,
}

impl Condition {
    /// The condition as it stands in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Standing {
    /// Joins what is known of `entry`: by its own calls, its circuit, and the others' figures.
    pub(super) fn new(
        entry: Arc<Entry>,
        runtime: Option<&Runtime>,
        view: Option<View>,
        flushed: Option<Figures>,
        clock: &Clock,
        now: Instant,
    ) -> Self {
        let own = runtime.map(|runtime| runtime.health.sums());
        let own = own.unwrap_or_default();
        let sums = flushed.map_or(own, |figures| own.with(&HealthSums::from(&figures)));
        // An idle extension costs no look at a histogram.
        let latencies = runtime.map(|runtime| runtime.health.latency().snapshot(now));
        let percentile = |q| latencies.as_ref()?.percentile(q);
        let circuit = view.map_or(CircuitState::Closed, |view| view.state);
        let degraded = runtime.is_some_and(|runtime| runtime.gate.is_degraded());
        let condition = match circuit {
            CircuitState::HalfOpen => Condition::HalfOpen,
            CircuitState::Open => Condition::Unhealthy,
            CircuitState::Closed if degraded || entry.extension().auto_disabled => {
                Condition::Unhealthy
            }
            CircuitState::Closed => Condition::Healthy,
        };
        Self {
            success_rate: own
                .counts
                .success_rate()
                .or_else(|| sums.counts.success_rate()),
            p50: percentile(0.5),
            p95: percentile(0.95),
            p99: percentile(0.99),
            circuit,
            opened_at: view
                .and_then(|view| view.opened_at)
                .map(|tick| clock.wall(tick)),
            condition,
            last_success: sums.last_success.map(|at| clock.wall_of(at)),
            last_failure: sums.last_failure.map(|at| clock.wall_of(at)),
            sums,
            entry,
        }
    }
}
