//! The daemon's own time, seen from outside:
//!
//! - [`asleep`]: what it sleeps through, stopped by a signal, is nobody's silence,
//! - [`soak`]: the same under load, many times (the long version ignored),
//! - [`wall`]: the wall clock is set while it runs.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{DEADLINE, Daemon, eventually};

mod asleep;
mod soak;
mod wall;

/// Stops the daemon for so long, or a moment longer.
async fn asleep(daemon: &Daemon, time: Duration) {
    daemon.signal("STOP");
    let start = Instant::now();
    eventually("the pause is over", DEADLINE + time, async || {
        start.elapsed() >= time
    })
    .await;
    daemon.signal("CONT");
}
