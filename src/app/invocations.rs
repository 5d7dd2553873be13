//! Settings of calls, in the terms of the parts that make them.

use crate::config::Settings;
use crate::service::invoke::Defaults;
use crate::service::selection::HealthRouting;

/// When health leads calls elsewhere.
pub(super) fn health_routing(settings: &Settings) -> HealthRouting {
    HealthRouting {
        enabled: settings.health.routing,
        min_success_rate: settings.health.min_success_rate,
    }
}

/// What applies to an extension without settings for its calls.
pub(super) fn defaults(settings: &Settings) -> Defaults {
    let limits = &settings.limits;
    Defaults {
        max_payload_bytes: limits.max_payload_bytes,
        max_metadata_bytes: limits.max_metadata_bytes,
        max_in_flight: limits.max_in_flight_per_extension,
        breaker: settings.breaker.clone(),
        min_success_rate: settings.health.min_success_rate,
    }
}
