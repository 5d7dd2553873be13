//! One circuit.

use bytes::Bytes;
use serde::Serialize;

use super::{time, to_bytes};
use crate::domain::breaker::Tick;
use crate::service::circuits::Listed;
use crate::service::clock::Clock;

#[derive(Serialize)]
struct Circuit<'a> {
    id: &'a str,
    version: &'a str,
    state: &'static str,
    consecutive_failures: u32,
    error_rate: Option<f64>,
    opened_at: Option<String>,
    retry_at: Option<String>,
    forced: bool,
}

/// The circuit as JSON; its times are those of `clock`. One that is forced open without an end has
/// no `retry_at`.
pub fn circuit(listed: &Listed, clock: Clock) -> Bytes {
    let Listed { id, version, view } = listed;
    let wall = |tick| time(clock.wall(tick));
    let retry_at = view.retry_at.filter(|at| *at != Tick::NEVER);
    to_bytes(&Circuit {
        id: id.as_str(),
        version: version.as_str(),
        state: view.state.as_str(),
        consecutive_failures: view.consecutive_failures,
        error_rate: view.error_rate,
        opened_at: view.opened_at.map(wall),
        retry_at: retry_at.map(wall),
        forced: view.forced_until.is_some(),
    })
}
