//! Upper bounds: sizes, times and counts beyond which the daemon refuses instead of queueing.

use std::time::Duration;

use super::parse::number;
use super::reader::Reader;
use super::variables as var;

/// The largest `max_payload` a nats-server can be configured with; more could never arrive.
const NATS_MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;

/// Upper bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Largest payload of an invocation, bytes.
    pub max_payload_bytes: usize,
    /// Largest metadata of an invocation, bytes.
    pub max_metadata_bytes: usize,
    /// Longest timeout an extension may have.
    pub max_timeout: Duration,
    /// Most retries an extension may have.
    pub max_retries: u32,
    /// Concurrent invocations.
    pub max_in_flight: usize,
    /// Concurrent invocations of one extension. May exceed `max_in_flight`, which then decides.
    pub max_in_flight_per_extension: usize,
    /// Time to finish what is in flight after SIGTERM.
    pub shutdown_grace: Duration,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<LimitSettings> {
    let bytes = || number(1..=NATS_MAX_PAYLOAD_BYTES);
    let calls = || number(1..=1_000_000);
    Some(LimitSettings {
        max_payload_bytes: reader.value(&var::MAX_PAYLOAD_BYTES, bytes())?,
        max_metadata_bytes: reader.value(&var::MAX_METADATA_BYTES, bytes())?,
        max_timeout: reader.duration(&var::MAX_TIMEOUT_MS, 0.001..=3600.0)?,
        max_retries: reader.value(&var::MAX_RETRIES, number(0..=100))?,
        max_in_flight: reader.value(&var::MAX_IN_FLIGHT, calls())?,
        max_in_flight_per_extension: reader.value(&var::MAX_IN_FLIGHT_PER_EXTENSION, calls())?,
        shutdown_grace: reader.duration(&var::SHUTDOWN_GRACE_SECONDS, 0.0..=600.0)?,
    })
}
