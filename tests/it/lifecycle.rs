//! The daemon's life:
//!
//! - [`start`]: HTTP first, then data, then NATS; who is away is waited for,
//! - [`outages`]: NATS may leave and return; readiness stays, the metrics tell,
//! - [`stop`]: a signal ends it in good order, whatever it is doing,
//! - [`drain`]: SIGTERM under load loses no request.

mod drain;
mod outages;
mod start;
mod stop;

use crate::harness::Daemon;

/// The value of a metric without labels; none when it is absent.
async fn metric(daemon: &Daemon, name: &str) -> Option<f64> {
    let page = daemon.get("/metrics").await.body;
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
