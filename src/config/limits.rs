//! Upper bounds: sizes, times and counts beyond which the daemon refuses instead of queueing.

use std::time::Duration;

use super::reader::Reader;
use super::variables::{
    MAX_IN_FLIGHT, MAX_IN_FLIGHT_PER_EXTENSION, MAX_METADATA_BYTES, MAX_PAYLOAD_BYTES, MAX_RETRIES,
    MAX_TIMEOUT_MS, SHUTDOWN_GRACE_SECONDS,
};

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
    let max_payload_bytes = reader.number(&MAX_PAYLOAD_BYTES, 1..=NATS_MAX_PAYLOAD_BYTES);
    let max_metadata_bytes = reader.number(&MAX_METADATA_BYTES, 1..=NATS_MAX_PAYLOAD_BYTES);
    let max_timeout = reader.duration(
        &MAX_TIMEOUT_MS,
        Duration::from_millis(1)..=Duration::from_secs(3600),
    );
    let max_retries = reader.number(&MAX_RETRIES, 0..=100);
    let max_in_flight = reader.number(&MAX_IN_FLIGHT, 1..=1_000_000);
    let max_in_flight_per_extension = reader.number(&MAX_IN_FLIGHT_PER_EXTENSION, 1..=1_000_000);
    let shutdown_grace = reader.duration(
        &SHUTDOWN_GRACE_SECONDS,
        Duration::ZERO..=Duration::from_secs(600),
    );
    Some(LimitSettings {
        max_payload_bytes: max_payload_bytes?,
        max_metadata_bytes: max_metadata_bytes?,
        max_timeout: max_timeout?,
        max_retries: max_retries?,
        max_in_flight: max_in_flight?,
        max_in_flight_per_extension: max_in_flight_per_extension?,
        shutdown_grace: shutdown_grace?,
    })
}
