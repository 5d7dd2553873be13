//! The daemon's life:
//!
//! - [`bugs`]: a message that nobody can read costs itself,
//! - [`deadline`]: it is gone a second after the grace period, whatever is unreachable,
//! - [`log`]: whatever becomes of the log's reader costs lines and nothing else,
//! - [`signals`]: which signals drain, and which do nothing,
//! - [`start`]: HTTP first, then data, then NATS; who is away is waited for,
//! - [`outages`]: NATS may leave and return; readiness stays, the metrics tell,
//! - [`stop`]: a signal ends it in good order, whatever it is doing,
//! - [`drain`]: SIGTERM under load loses no request,
//! - [`endurance`]: restarts, frozen servers and lame ducks, again and again (ignored).

mod bugs;
mod deadline;
mod drain;
mod endurance;
mod log;
mod outages;
mod signals;
mod start;
mod stop;

use crate::harness::Daemon;

/// The value of a metric without labels; none when it is absent.
async fn metric(daemon: &Daemon, name: &str) -> Option<f64> {
    let page = daemon.get("/metrics").await.body;
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
