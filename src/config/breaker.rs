//! Circuit breakers, in the domain's terms: the values for every extension that brings none of its
//! own.

use std::time::Duration;

use super::reader::Reader;
use super::variables::{
    BreakerValues, CIRCUIT_BREAKER_MAX_TIMEOUT_SECONDS as LONGEST,
    CIRCUIT_BREAKER_SLOW_CALL_MS as SLOW, CIRCUIT_BREAKER_SLOW_CALL_RATE_THRESHOLD as SLOW_RATE,
    CIRCUIT_BREAKER_TIMEOUT_SECONDS as FIRST,
};
use crate::domain::breaker::{Settings, SlowCalls};

/// A trial without an outcome is lost when the longest call is over, and this has passed.
const TRIAL_MARGIN: Duration = Duration::from_secs(10);

pub(super) fn settle(
    values: BreakerValues,
    longest_call: Duration,
    reader: &mut Reader<'_>,
) -> Settings {
    if values.max_timeout < values.timeout {
        let first = humantime::format_duration(values.timeout);
        let rule = format!("must be at least {}, {first}", FIRST.name);
        reader.conflict(&LONGEST, &FIRST, rule);
    }
    let (slow, rate) = (values.slow_call.is_some(), values.slow_call_rate.is_some());
    for (given, missing, alone) in [
        (&SLOW, &SLOW_RATE, slow && !rate),
        (&SLOW_RATE, &SLOW, rate && !slow),
    ] {
        if alone {
            // It would silently do nothing.
            let rule = format!("needs {} to be set too", missing.name);
            reader.conflict(given, missing, rule);
        }
    }
    let slow_calls = values.slow_call.zip(values.slow_call_rate);
    Settings {
        enabled: values.enabled,
        failure_threshold: values.failure_threshold,
        error_rate_threshold: values.error_rate_threshold,
        window: values.window,
        minimum_requests: values.minimum_requests,
        slow_calls: slow_calls.map(|(latency, rate_threshold)| SlowCalls {
            latency,
            rate_threshold,
        }),
        open_time: values.timeout,
        max_open_time: values.max_timeout,
        half_open_max_requests: values.half_open_max_requests,
        trial_limit: longest_call.saturating_add(TRIAL_MARGIN),
    }
}
