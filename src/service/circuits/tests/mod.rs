//! Permits under threads, and the map.

mod map;
mod permits;

use std::time::Duration;

use crate::domain::breaker::{FailureKind, Outcome, Settings, Tick};

const FAIL: Outcome = Outcome::Failure(FailureKind::Timeout);

/// Opens at the first failure, for 10 ms; three trials.
fn settings() -> Settings {
    Settings {
        enabled: true,
        failure_threshold: 1,
        error_rate_threshold: 1.0,
        window: Duration::from_secs(60),
        minimum_requests: 1000,
        slow_calls: None,
        open_time: Duration::from_millis(10),
        max_open_time: Duration::from_millis(10),
        half_open_max_requests: 3,
        trial_limit: Duration::from_secs(60),
    }
}

fn at(millis: u64) -> Tick {
    Tick::at(Duration::from_millis(millis))
}
