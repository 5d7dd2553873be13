//! Circuit breakers: the values for every extension that brings none of its own.

use std::time::Duration;

use super::parse;
use super::reader::Reader;
use super::variables::{
    CIRCUIT_BREAKER_ENABLED, CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD,
    CIRCUIT_BREAKER_FAILURE_THRESHOLD, CIRCUIT_BREAKER_HALF_OPEN_MAX_REQUESTS,
    CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS, CIRCUIT_BREAKER_MINIMUM_REQUESTS,
    CIRCUIT_BREAKER_SLOW_CALL_MS, CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD,
    CIRCUIT_BREAKER_TIMEOUT_SECONDS, CIRCUIT_BREAKER_WINDOW_SECONDS,
};

/// Settings of the circuit breakers.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerSettings {
    /// Whether failing extensions are cut off at all.
    pub enabled: bool,
    /// Consecutive failures that open.
    pub failure_threshold: u32,
    /// Rolling error rate that opens, over 0 and up to 1.
    pub error_rate_threshold: f64,
    /// Length of the rolling window.
    pub window: Duration,
    /// Requests in the window before a rate counts.
    pub minimum_requests: u32,
    /// When slow calls open; `None` when they do not.
    pub slow_calls: Option<SlowCalls>,
    /// Open time before the first trial.
    pub timeout: Duration,
    /// Longest open time, at least `timeout`.
    pub max_timeout: Duration,
    /// Concurrent trial calls.
    pub half_open_max_requests: u32,
}

/// When slow calls open a circuit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowCalls {
    /// Latency from which a call is slow.
    pub latency: Duration,
    /// Rolling rate of slow calls that opens, over 0 and up to 1.
    pub rate_threshold: f64,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<BreakerSettings> {
    let open_times = Duration::from_millis(10)..=Duration::from_secs(86_400);
    let enabled = reader.boolean(&CIRCUIT_BREAKER_ENABLED);
    let failure_threshold = reader.number(&CIRCUIT_BREAKER_FAILURE_THRESHOLD, 1..=1_000_000);
    let error_rate_threshold = reader.value(&CIRCUIT_BREAKER_ERROR_RATE_THRESHOLD, rate);
    let window = reader.duration(
        &CIRCUIT_BREAKER_WINDOW_SECONDS,
        Duration::from_millis(100)..=Duration::from_secs(3600),
    );
    let minimum_requests = reader.number(&CIRCUIT_BREAKER_MINIMUM_REQUESTS, 1..=1_000_000);
    let slow_calls = slow_calls(reader);
    let timeout = reader.duration(&CIRCUIT_BREAKER_TIMEOUT_SECONDS, open_times.clone());
    let max_timeout = reader.duration(&CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS, open_times);
    let half_open_max_requests = reader.number(&CIRCUIT_BREAKER_HALF_OPEN_MAX_REQUESTS, 1..=10_000);
    if let (Some(timeout), Some(max_timeout)) = (timeout, max_timeout)
        && max_timeout < timeout
    {
        reader.fault(
            &CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS,
            format!(
                "must be at least CIRCUIT_BREAKER_TIMEOUT_SECONDS, {}",
                humantime::format_duration(timeout)
            ),
        );
    }
    Some(BreakerSettings {
        enabled: enabled?,
        failure_threshold: failure_threshold?,
        error_rate_threshold: error_rate_threshold?,
        window: window?,
        minimum_requests: minimum_requests?,
        slow_calls: slow_calls?,
        timeout: timeout?,
        max_timeout: max_timeout?,
        half_open_max_requests: half_open_max_requests?,
    })
}

/// Both values or neither: one alone would silently do nothing.
fn slow_calls(reader: &mut Reader<'_>) -> Option<Option<SlowCalls>> {
    let latencies = Duration::from_millis(1)..=Duration::from_secs(3600);
    let latency = reader.value(&CIRCUIT_BREAKER_SLOW_CALL_MS, |text| {
        parse::unless_off(text, |text| {
            parse::duration(text, &CIRCUIT_BREAKER_SLOW_CALL_MS, &latencies)
        })
    });
    let rate_threshold = reader.value(&CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD, |text| {
        parse::unless_off(text, rate)
    });
    match (latency?, rate_threshold?) {
        (Some(latency), Some(rate_threshold)) => Some(Some(SlowCalls {
            latency,
            rate_threshold,
        })),
        (None, None) => Some(None),
        (Some(_), None) => {
            let rule = "needs CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD to be set too";
            reader.fault(&CIRCUIT_BREAKER_SLOW_CALL_MS, rule);
            None
        }
        (None, Some(_)) => {
            let rule = "needs CIRCUIT_BREAKER_SLOW_CALL_MS to be set too";
            reader.fault(&CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD, rule);
            None
        }
    }
}

/// A rate that opens a circuit. Zero would open it at every call.
fn rate(text: &str) -> Result<f64, parse::Rule> {
    match parse::number(text, &(0.0..=1.0))? {
        0.0 => Err("must be more than 0".to_owned()),
        rate => Ok(rate),
    }
}
