//! What the probes of HTTP answer.

use serde::Serialize;
use utoipa::ToSchema;

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// `ok`.
    pub status: &'static str,
}

/// Whether requests should come.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// `ready`, `starting` or `draining`.
    pub status: &'static str,
    /// What has never been ready: `data`, `nats`.
    pub missing: Vec<&'static str>,
    /// `off`, `up`, `away` or `failing`, as in `stats`. It does not decide on the status.
    pub database: &'static str,
    /// Why the last load failed, if it did.
    pub last_error: Option<String>,
}
