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

/// What an extension sets; the daemon's values apply for the rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    enabled: Option<bool>,
    failure_threshold: Option<u32>,
    error_rate_threshold: Option<f64>,
    window: Option<Duration>,
    minimum_requests: Option<u32>,
    /// `Some(None)` switches off what the daemon may have on.
    slow_calls: Option<Option<SlowCalls>>,
    open_time: Option<Duration>,
    max_open_time: Option<Duration>,
    half_open_max_requests: Option<u32>,
}

/// Counts that mean something; the daemon's own variables have the same limits.
const COUNTS: RangeInclusive<u32> = 1..=1_000_000;
const TRIALS: RangeInclusive<u32> = 1..=10_000;
const WINDOWS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const LATENCIES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
const OPEN_TIMES: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(86_400);

impl Overrides {
    /// Reads `object`; the error names every key at fault.
    pub fn parse(object: &JsonObject) -> Result<Self, Vec<KeyFault>> {
        let mut reader = Reader::of(object, "");
        let overrides = Self {
            enabled: reader.read("enabled", boolean),
            failure_threshold: reader.read("failure_threshold", |v| whole(v, &COUNTS)),
            error_rate_threshold: reader.read("error_rate_threshold", rate),
            window: reader.read("window_seconds", |v| time(v, 1.0, &WINDOWS)),
            minimum_requests: reader.read("minimum_requests", |v| whole(v, &COUNTS)),
            slow_calls: slow_calls(&mut reader),
            open_time: reader.read("timeout_seconds", |v| time(v, 1.0, &OPEN_TIMES)),
            max_open_time: reader.read("max_timeout_seconds", |v| time(v, 1.0, &OPEN_TIMES)),
            half_open_max_requests: reader.read("half_open_max_requests", |v| whole(v, &TRIALS)),
        };
        if let (Some(first), Some(longest)) = (overrides.open_time, overrides.max_open_time)
            && longest < first
        {
            reader.fault("max_timeout_seconds", "must be at least `timeout_seconds`");
        }
        reader.refuse_the_rest("is not a setting of the circuit breaker");
        reader.done(overrides)
    }

    /// The daemon's settings with these in their place. Where only one of the two open times is
    /// set, the other one gives way to it.
    pub fn apply(&self, daemon: &Settings) -> Settings {
        let open_time = self.open_time.unwrap_or(daemon.open_time);
        let longest = daemon.max_open_time.max(open_time);
        let max_open_time = self.max_open_time.unwrap_or(longest);
        Settings {
            enabled: self.enabled.unwrap_or(daemon.enabled),
            failure_threshold: self.failure_threshold.unwrap_or(daemon.failure_threshold),
            error_rate_threshold: self
                .error_rate_threshold
                .unwrap_or(daemon.error_rate_threshold),
            window: self.window.unwrap_or(daemon.window),
            minimum_requests: self.minimum_requests.unwrap_or(daemon.minimum_requests),
            slow_calls: self.slow_calls.unwrap_or(daemon.slow_calls),
            open_time: open_time.min(max_open_time),
            max_open_time,
            half_open_max_requests: self
                .half_open_max_requests
                .unwrap_or(daemon.half_open_max_requests),
            trial_limit: daemon.trial_limit,
        }
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
