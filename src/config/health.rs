//! What follows from the health of extensions, and how often it is told.

use std::time::Duration;

use super::reader::Reader;
use super::variables::{
    AUTO_DISABLE_MAX_PERCENT, AUTO_DISABLE_ON_CIRCUIT_OPEN, AUTO_ENABLE_ON_CIRCUIT_CLOSE,
    HEALTH_BASED_ROUTING_ENABLED, HEALTH_BASED_ROUTING_MIN_SUCCESS_RATE,
    HEALTH_FLUSH_INTERVAL_SECONDS, HEALTH_SUMMARY_INTERVAL_SECONDS,
};

/// Settings of health.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthSettings {
    /// Automatic disabling for the whole fleet.
    pub auto_disable: AutoDisable,
    /// Giving way to healthy versions.
    pub routing: HealthRouting,
    /// Time between writes of health to the database.
    pub flush_interval: Duration,
    /// Time between `health_summary` events.
    pub summary_interval: Duration,
}

/// What the machine may switch for the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoDisable {
    /// Whether an open circuit disables its extension.
    pub on_circuit_open: bool,
    /// Whether a live probe enables it again.
    pub enable_on_circuit_close: bool,
    /// Share of the enabled extensions that may be auto-disabled at a time, percent.
    pub max_percent: u8,
}

/// Giving way to healthy versions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthRouting {
    /// Whether it is done.
    pub enabled: bool,
    /// Success rate, 0 to 1, below which a version gives way.
    pub min_success_rate: f64,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<HealthSettings> {
    let intervals = Duration::from_millis(50)..=Duration::from_secs(86_400);
    let on_circuit_open = reader.boolean(&AUTO_DISABLE_ON_CIRCUIT_OPEN);
    let enable_on_circuit_close = reader.boolean(&AUTO_ENABLE_ON_CIRCUIT_CLOSE);
    let max_percent = reader.number(&AUTO_DISABLE_MAX_PERCENT, 0..=100);
    let routing = reader.boolean(&HEALTH_BASED_ROUTING_ENABLED);
    let min_success_rate = reader.number(&HEALTH_BASED_ROUTING_MIN_SUCCESS_RATE, 0.0..=1.0);
    let flush_interval = reader.duration(&HEALTH_FLUSH_INTERVAL_SECONDS, intervals.clone());
    let summary_interval = reader.duration(&HEALTH_SUMMARY_INTERVAL_SECONDS, intervals);
    Some(HealthSettings {
        auto_disable: AutoDisable {
            on_circuit_open: on_circuit_open?,
            enable_on_circuit_close: enable_on_circuit_close?,
            max_percent: max_percent?,
        },
        routing: HealthRouting {
            enabled: routing?,
            min_success_rate: min_success_rate?,
        },
        flush_interval: flush_interval?,
        summary_interval: summary_interval?,
    })
}
