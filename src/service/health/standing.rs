//! The health of one extension.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{State, VersionStanding};
use crate::domain::breaker::CircuitState;
use crate::domain::entry::Entry;
use crate::domain::health::HealthSums;
use crate::domain::words::words;

/// How one extension is doing; what is the fleet's and what is not, see [the module](super).
#[derive(Debug, Clone)]
pub struct Standing {
    /// The extension.
    pub entry: Arc<Entry>,
    /// The fleet's counts and latencies.
    pub sums: HealthSums,
    /// The share of successes, 0 to 1; `None` before the first call, and after a reset.
    pub success_rate: Option<f64>,
    /// Median latency of the latest calls.
    pub p50: Option<Duration>,
    /// 95 % of them did.
    pub p95: Option<Duration>,
    /// 99 % of them did.
    pub p99: Option<Duration>,
    /// The state of its circuit.
    pub circuit: CircuitState,
    /// When that opened, unless it is closed.
    pub opened_at: Option<SystemTime>,
    /// The worst of the versions that take part.
    pub state: State,
    /// All versions, in the order in which they are tried.
    pub versions: Vec<VersionStanding>,
}

words! {
    /// What a person wants to know first. Each extension is in exactly one of these.
    pub enum Condition {
        /// Nothing is known against it, be it for want of calls, or because an operator disabled it.
        Healthy = "healthy",
        /// A version that takes part fails or rests, or the extension is auto-disabled.
        Unhealthy = "unhealthy",
        /// The worst of its versions tries whether it works again.
        HalfOpen = "half_open",
    }
}

impl Standing {
    /// The version that gives the extension its state, where it fails and is not the current one.
    pub fn ailing(&self) -> Option<&VersionStanding> {
        if matches!(self.state, State::NoData | State::Ok) {
            return None;
        }
        let worst = |it: &&VersionStanding| it.takes_part && it.state == self.state;
        let mut worst = self.versions.iter().filter(worst);
        let current = worst.clone().any(|it| it.current);
        worst.next().filter(|_| !current)
    }

    /// The verdict.
    pub const fn condition(&self) -> Condition {
        match self.state {
            State::NoData | State::Ok | State::Disabled => Condition::Healthy,
            State::HalfOpen => Condition::HalfOpen,
            State::Degraded | State::Resting | State::Open | State::AutoDisabled => {
                Condition::Unhealthy
            }
        }
    }
}
