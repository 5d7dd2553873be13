//! Circuit breakers: the values for every extension that brings none of its own.

use std::time::Duration;

use super::parse::{Rule, boolean, duration, number, unless_off};
use super::reader::Reader;
use super::variables as var;
use crate::domain::breaker::{Settings, SlowCalls};

/// A trial without an outcome is lost when the longest timeout has passed, and this.
const TRIAL_MARGIN: Duration = Duration::from_secs(10);

/// `max_timeout` is the longest that a call may take.
pub(super) fn read(reader: &mut Reader<'_>, max_timeout: Duration) -> Option<Settings> {
    let (first, longest) = (
        &var::CIRCUIT_BREAKER_TIMEOUT_SECONDS,
        &var::CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS,
    );
    let open_time = reader.duration(first, 0.01..=86_400.0)?;
    let max_open_time = reader.duration(longest, 0.01..=86_400.0)?;
    if max_open_time < open_time {
        let open_time = humantime::format_duration(open_time);
        reader.conflict(
            longest,
            first,
            format!("must be at least {}, {open_time}", first.name),
        );
    }
    Some(Settings {
        enabled: reader.value(&var::CIRCUIT_BREAKER_ENABLED, boolean)?,
        failure_threshold: reader.value(
            &var::CIRCUIT_BREAKER_FAILURE_THRESHOLD,
            number(1..=1_000_000),
        )?,
        error_rate_threshold: reader.value(&var::CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD, rate)?,
        window: reader.duration(&var::CIRCUIT_BREAKER_WINDOW_SECONDS, 0.1..=3600.0)?,
        minimum_requests: reader.value(
            &var::CIRCUIT_BREAKER_MINIMUM_REQUESTS,
            number(1..=1_000_000),
        )?,
        slow_calls: slow_calls(reader)?,
        open_time,
        max_open_time,
        half_open_max_requests: reader.value(
            &var::CIRCUIT_BREAKER_HALF_OPEN_MAX_REQUESTS,
            number(1..=10_000),
        )?,
        trial_limit: max_timeout.saturating_add(TRIAL_MARGIN),
    })
}

/// Both values or neither: one alone would silently do nothing.
fn slow_calls(reader: &mut Reader<'_>) -> Option<Option<SlowCalls>> {
    let (time, share) = (
        &var::CIRCUIT_BREAKER_SLOW_CALL_MS,
        &var::CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD,
    );
    let latency = reader.value(time, unless_off(duration(time, 0.001..=3600.0)))?;
    let rate_threshold = reader.value(share, unless_off(rate))?;
    if latency.is_some() != rate_threshold.is_some() {
        let (given, missing) = if latency.is_some() {
            (time, share)
        } else {
            (share, time)
        };
        reader.conflict(
            given,
            missing,
            format!("needs {} to be set too", missing.name),
        );
    }
    let slow_calls = latency.zip(rate_threshold);
    Some(slow_calls.map(|(latency, rate_threshold)| SlowCalls {
        latency,
        rate_threshold,
    }))
}

/// A rate that opens a circuit. Zero would open it at every call.
fn rate(text: &str) -> Result<f64, Rule> {
    match number(0.0..=1.0)(text)? {
        0.0 => Err("must be more than 0".to_owned()),
        rate => Ok(rate),
    }
}
