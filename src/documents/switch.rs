//! Why an extension was switched automatically: for its audit entry and its event.

use std::time::Duration;

use serde::Serialize;

use super::stats::milliseconds;
use super::time;
use crate::domain::halting::{Comparison, failure_rate, least_failure_rate};
use crate::domain::health::HealthSums;
use crate::domain::ids::VersionName;
use crate::domain::rollout::Halt;
use crate::service::circuits::Moved;
use crate::service::clock::Clock;
use crate::service::fleet::halt::Share;

#[derive(Serialize)]
struct Disabled<'a> {
    reason: &'static str,
    version: &'a str,
    /// Why the circuit opened.
    circuit: &'static str,
    opened_at: Option<String>,
    failure_count: u64,
    last_failure: Option<String>,
    last_error: Option<&'static str>,
    health: Health,
}

/// Of the whole fleet, as the sidecar that switched knew it.
#[derive(Serialize)]
struct Health {
    success_count: u64,
    failure_count: u64,
    success_rate: Option<f64>,
    avg_latency_ms: Option<f64>,
    last_success: Option<String>,
}

#[derive(Serialize)]
struct Enabled<'a> {
    reason: &'static str,
    version: &'a str,
    latency_ms: f64,
}

#[derive(Serialize)]
struct HaltedFor<'a> {
    reason: &'static str,
    version: &'a str,
    requests: u64,
    failures: u64,
    failure_rate: Option<f64>,
    /// The lower end of the 99.9 % interval of the failure rate.
    least_failure_rate: Option<f64>,
    current_requests: u64,
    current_failures: u64,
    current_failure_rate: Option<f64>,
    max_failure_rate_delta: f64,
    min_requests: u64,
}

/// The figures that a version was halted for.
pub fn halted(share: &Share, halt: &Halt) -> String {
    let Comparison { version, current } = share.figures;
    text(&HaltedFor {
        reason: "failure_rate",
        version: share.version.as_str(),
        requests: version.total(),
        failures: version.failures,
        failure_rate: failure_rate(version).map(thousandths),
        least_failure_rate: least_failure_rate(version).map(thousandths),
        current_requests: current.total(),
        current_failures: current.failures,
        current_failure_rate: failure_rate(current).map(thousandths),
        max_failure_rate_delta: halt.max_failure_rate_delta,
        min_requests: halt.min_requests,
    })
}

/// As precise as it is useful.
fn thousandths(rate: f64) -> f64 {
    (rate * 1e4).round() / 1e4
}

/// The reason of an automatic disabling.
pub fn disabled(opening: &Moved, sums: &HealthSums, clock: Clock) -> String {
    let (transition, counts) = (&opening.transition, sums.counts);
    let last_failure = transition.last_failure;
    text(&Disabled {
        reason: "circuit_opened",
        version: opening.version.as_str(),
        circuit: transition.reason.as_str(),
        opened_at: time(clock.wall(transition.at)),
        failure_count: transition.failures,
        last_failure: last_failure.and_then(|last| time(clock.wall(last.at))),
        last_error: last_failure.map(|last| last.kind.as_str()),
        health: Health {
            success_count: counts.successes,
            failure_count: counts.failures,
            success_rate: counts.success_rate(),
            avg_latency_ms: sums.avg_latency().map(milliseconds),
            last_success: sums.last_success.and_then(|at| time(clock.wall_of(at))),
        },
    })
}

/// The reason of an automatic enabling.
pub fn enabled(version: &VersionName, latency: Duration) -> String {
    text(&Enabled {
        reason: "probe_answered",
        version: version.as_str(),
        latency_ms: milliseconds(latency),
    })
}

/// Serializing plain structs into memory cannot fail; should it ever, there is no reason.
fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_else(|_| "{}".to_owned())
}
