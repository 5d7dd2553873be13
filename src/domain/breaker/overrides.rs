//! Settings that an extension brings itself: the JSON object `circuit_breaker` of its record.
//!
//! Keys are the daemon's variables in lower case without their prefix. Times are numbers in the
//! unit that ends the key's name, or texts such as `"1m 30s"`. `null` means the daemon's value.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::settings::{Settings, SlowCalls};
use crate::domain::decimal::Decimal;
use crate::domain::json::{JsonObject, KeyFault, Reader, string};
use crate::domain::whole::whole;

/// Counts that mean something; the daemon's own variables have the same limits.
const COUNTS: RangeInclusive<u32> = 1..=1_000_000;
const TRIALS: RangeInclusive<u32> = 1..=10_000;
const WINDOWS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const LATENCIES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
const OPEN_TIMES: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(86_400);

impl Settings {
    /// These, the daemon's, with what an extension sets by `object` in their place. Where it sets
    /// only one of the two open times, the other one gives way to it.
    ///
    /// # Errors
    /// Every key at fault, whatever these settings are.
    pub fn overridden(&self, object: &JsonObject) -> Result<Self, Vec<KeyFault>> {
        let (mut reader, mut own) = (Reader::of(object, ""), self.clone());
        let count = |value: &str| whole(value, &COUNTS);
        let window = |value: &str| time(value, 1.0, &WINDOWS);
        let open_time = |value: &str| time(value, 1.0, &OPEN_TIMES);
        reader.set(&mut own.enabled, "enabled", boolean);
        reader.set(&mut own.failure_threshold, "failure_threshold", count);
        reader.set(&mut own.error_rate_threshold, "error_rate_threshold", rate);
        reader.set(&mut own.window, "window_seconds", window);
        reader.set(&mut own.minimum_requests, "minimum_requests", count);
        own.slow_calls = slow_calls(&mut reader).unwrap_or(own.slow_calls);
        let first = reader.read("timeout_seconds", open_time);
        let longest = reader.read("max_timeout_seconds", open_time);
        let trials = &mut own.half_open_max_requests;
        reader.set(trials, "half_open_max_requests", |v| whole(v, &TRIALS));
        if let (Some(first), Some(longest)) = (first, longest)
            && longest < first
        {
            reader.fault("max_timeout_seconds", "must be at least `timeout_seconds`");
        }
        reader.refuse_the_rest("is not a setting of the circuit breaker");
        let first = first.unwrap_or(self.open_time);
        own.max_open_time = longest.unwrap_or(self.max_open_time.max(first));
        own.open_time = first.min(own.max_open_time);
        reader.done(own)
    }
}

/// Both or neither: one alone would silently do nothing where the daemon has slow calls off.
fn slow_calls(reader: &mut Reader<'_>) -> Option<Option<SlowCalls>> {
    const LATENCY: &str = "slow_call_ms";
    const RATE: &str = "slow_call_rate_threshold";
    let faults_before = reader.faults.len();
    let latency = reader.read(LATENCY, |v| unless_off(v, |v| time(v, 1e-3, &LATENCIES)));
    let rate_threshold = reader.read(RATE, |v| unless_off(v, rate));
    if reader.faults.len() > faults_before {
        return None;
    }
    match (latency, rate_threshold) {
        (Some(Some(latency)), Some(Some(rate_threshold))) => Some(Some(SlowCalls {
            latency,
            rate_threshold,
        })),
        (Some(Some(_)), _) => {
            reader.fault(LATENCY, "needs `slow_call_rate_threshold` to be set too");
            None
        }
        (_, Some(Some(_))) => {
            reader.fault(RATE, "needs `slow_call_ms` to be set too");
            None
        }
        (None, None) => None,
        _ => Some(None),
    }
}

fn boolean(value: &str) -> Result<bool, String> {
    let value = value.parse();
    value.map_err(|_| "must be true or false".to_owned())
}

/// Zero would open at every call.
fn rate(value: &str) -> Result<f64, String> {
    let rate = number(value).filter(|rate| *rate > 0.0 && *rate <= 1.0);
    rate.ok_or_else(|| "must be a number over 0 and up to 1".to_owned())
}

/// A number that is compared with measurements: a float will do.
fn number(value: &str) -> Option<f64> {
    Decimal::parse(value)?;
    value.parse().ok()
}

/// A number of units of `unit` seconds, or humantime.
fn time(value: &str, unit: f64, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let time = match serde_json::from_str::<String>(value) {
        Ok(text) => humantime::parse_duration(&text).ok(),
        Err(_) => number(value).and_then(|n| Duration::try_from_secs_f64(n * unit).ok()),
    };
    time.filter(|time| range.contains(time)).ok_or_else(|| {
        let [from, to] = [range.start(), range.end()].map(|t| humantime::format_duration(*t));
        format!("must be a time from {from} to {to}")
    })
}

fn unless_off<T>(
    value: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if string(value).as_deref() == Some("off") {
        return Ok(None);
    }
    let value = parse(value).map(Some);
    value.map_err(|rule| format!("{rule}, or \"off\""))
}
