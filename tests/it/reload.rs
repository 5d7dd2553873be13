//! How changes of a source reach lookups:
//!
//! - a notified change is visible at once; without LISTEN the timer finds it, and `stats` and a
//!   metric say that nobody listens,
//! - a change that is committed and notified while a load runs is not lost,
//! - a listener that is killed again and again costs no change,
//! - `reload` reads everything, or one id, in every mode; an error says so and keeps the data,
//! - another epoch or a lower revision is another history: everything is read,
//! - rows changed without a revision are found by the digest at the tenth sync, in quiet times and
//!   in busy ones,
//! - [`large`]: a change among 300,000 extensions is visible as soon as among a thousand (ignored;
//!   run in release).

use serde_json::json;

use crate::harness::Daemon;
use crate::rig::{Rig, insert};
use crate::schema::run;

mod large;
mod notified;
mod requested;
mod rewritten;

/// A database with the extensions `a`, `b` and `c`, of one revision.
async fn three_rows() -> Rig {
    let rig = Rig::start().await;
    run(&rig.sql, &["a", "b", "c"].map(insert).join(";")).await;
    rig
}

/// Waits until changes are notified.
async fn wait_listening(rig: &Rig, daemon: &Daemon) {
    daemon.wait_ready().await;
    rig.wait_stats("/listener/state", json!("listening")).await;
}
