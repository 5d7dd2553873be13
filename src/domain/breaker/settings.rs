//! When a circuit opens, for how long, and how it is tried again.

use std::time::Duration;

/// Settings of one circuit. They were checked when they were made: counts are at least 1, rates
/// over 0 and up to 1, times over 0, and `open_time` is at most `max_open_time`. The default is no
/// such setting: it is there for what an extension sets to be checked over it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Whether it may open at all.
    pub enabled: bool,
    /// Consecutive failures that open.
    pub failure_threshold: u32,
    /// Error rate over the window that opens.
    pub error_rate_threshold: f64,
    /// Length of the rolling window.
    pub window: Duration,
    /// Calls in the window before a rate counts.
    pub minimum_requests: u32,
    /// When slow calls open; `None` when they do not.
    pub slow_calls: Option<SlowCalls>,
    /// Open time of the first opening; it doubles from there.
    pub open_time: Duration,
    /// Longest open time.
    pub max_open_time: Duration,
    /// Concurrent trial calls while half-open.
    pub half_open_max_requests: u32,
    /// How long a trial may be without an outcome before its permit is taken to be lost. Longer
    /// than any attempt can take, or trials that still run are joined by new ones.
    pub trial_limit: Duration,
}

/// When slow calls open a circuit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowCalls {
    /// Latency from which a call is slow, whatever its outcome.
    pub latency: Duration,
    /// Rate of slow calls over the window that opens.
    pub rate_threshold: f64,
}
