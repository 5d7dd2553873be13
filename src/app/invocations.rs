//! Settings of calls, in the terms of the parts that make them.

use std::time::Duration;

use crate::config::{BreakerSettings, Settings};
use crate::domain::breaker;
use crate::service::invoke::Defaults;
use crate::service::selection::HealthRouting;

/// Beyond the longest timeout, a trial without an outcome is lost.
const TRIAL_MARGIN: Duration = Duration::from_secs(10);

/// When health leads calls elsewhere.
pub(super) fn health_routing(settings: &Settings) -> HealthRouting {
    HealthRouting {
        enabled: settings.health.routing.enabled,
        min_success_rate: settings.health.routing.min_success_rate,
    }
}

/// What applies to an extension that says nothing about its calls.
pub(super) fn defaults(settings: &Settings) -> Defaults {
    let limits = &settings.limits;
    Defaults {
        max_payload_bytes: limits.max_payload_bytes,
        max_metadata_bytes: limits.max_metadata_bytes,
        max_in_flight: limits.max_in_flight_per_extension,
        breaker: breaker(&settings.breaker, limits.max_timeout),
        min_success_rate: settings.health.routing.min_success_rate,
    }
}

fn breaker(settings: &BreakerSettings, max_timeout: Duration) -> breaker::Settings {
    let slow_calls = settings.slow_calls.map(|slow| breaker::SlowCalls {
        latency: slow.latency,
        rate_threshold: slow.rate_threshold,
    });
    breaker::Settings {
        enabled: settings.enabled,
        failure_threshold: settings.failure_threshold,
        error_rate_threshold: settings.error_rate_threshold,
        window: settings.window,
        minimum_requests: settings.minimum_requests,
        slow_calls,
        open_time: settings.timeout,
        max_open_time: settings.max_timeout,
        half_open_max_requests: settings.half_open_max_requests,
        trial_limit: max_timeout.saturating_add(TRIAL_MARGIN),
    }
}
