//! Faulty input is set aside and named, in `stats`, in the log, by a metric and in the reason of a
//! 404, while everything else serves:
//!
//! - rows: of an extension, of its current version (nothing of it serves), of another version or of
//!   an instance (the rest of it serves), or a second one of an id; a repaired row serves again at
//!   once,
//! - files: one that is no JSON, an entry that breaks a rule, an id that is taken; a file that is
//!   broken by an edit keeps what it held,
//! - [`ignored`]: what a row of the current version says in vain is told of,
//! - an edit is served within a second, also where Kubernetes turns a link to a new folder,
//! - [`many`]: also among ten thousand files (ignored; run in release).

use serde_json::Value;

use crate::harness::Daemon;
use crate::harness::daemon::{field, message};

mod files;
mod ignored;
mod many;
mod rows;

const QUARANTINED: &str = "extension_registry_quarantined";

/// The origins that `stats` names.
fn origins(stats: &Value) -> Vec<&str> {
    let faults = stats["quarantined"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| fault["origin"].as_str().unwrap())
        .collect()
}

/// Waits for the log entry about `origin`, and returns the reason it gives.
async fn logged(daemon: &Daemon, origin: &str) -> String {
    daemon
        .wait_log(&format!("a word on {origin}"), |entry| {
            let about = message(entry)? == "quarantined" && field(entry, "origin")? == origin;
            about.then(|| field(entry, "reason")?.as_str().map(str::to_owned))?
        })
        .await
}
