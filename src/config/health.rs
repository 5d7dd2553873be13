//! What follows from the health of extensions, and how often it is reported.

use std::time::Duration;

use super::parse::{boolean, number};
use super::reader::Reader;
use super::variables as var;

/// Settings of health.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthSettings {
    /// Whether an open circuit disables its extension for the whole fleet.
    pub auto_disable: bool,
    /// Whether a live probe enables it again.
    pub auto_enable: bool,
    /// Share of the enabled extensions that may be auto-disabled at a time, percent.
    pub auto_disable_max_percent: u8,
    /// Whether failing versions give way to healthy ones.
    pub routing: bool,
    /// Success rate, 0 to 1, below which a version gives way.
    pub min_success_rate: f64,
    /// Time between writes of health to the database.
    pub flush_interval: Duration,
    /// Time between `health_summary` events.
    pub summary_interval: Duration,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<HealthSettings> {
    Some(HealthSettings {
        auto_disable: reader.value(&var::AUTO_DISABLE_ON_CIRCUIT_OPEN, boolean)?,
        auto_enable: reader.value(&var::AUTO_ENABLE_ON_CIRCUIT_CLOSE, boolean)?,
        auto_disable_max_percent: reader.value(&var::AUTO_DISABLE_MAX_PERCENT, number(0..=100))?,
        routing: reader.value(&var::HEALTH_BASED_ROUTING_ENABLED, boolean)?,
        min_success_rate: reader.value(
            &var::HEALTH_BASED_ROUTING_MIN_SUCCESS_RATE,
            number(0.0..=1.0),
        )?,
        flush_interval: reader.duration(&var::HEALTH_FLUSH_INTERVAL_SECONDS, 0.05..=86_400.0)?,
        summary_interval: reader
            .duration(&var::HEALTH_SUMMARY_INTERVAL_SECONDS, 0.05..=86_400.0)?,
    })
}
