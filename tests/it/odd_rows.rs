//! Rows as nobody would write them on purpose: they cost themselves only.
//!
//! - [`times`]: any time in any column, and everything answers and goes on,
//! - [`sets`]: one bad row among those that a sidecar reads as a set,
//! - [`numbers`]: counts and claims out of range.

use serde_json::{Value, json};

use crate::auto::{Player, add, disabling, ready};
use crate::harness::{DEADLINE, Daemon, Reply, eventually};
use crate::rig::Rig;
use crate::schema::{run, value};

mod numbers;
mod sets;
mod times;

/// A request to one sidecar.
async fn ask(rig: &Rig, sidecar: &str, verb: &str, body: &Value) -> Reply {
    let subject = format!("beamline.registry.local.{sidecar}.{verb}");
    rig.client.request_json(&subject, body).await
}

/// A sidecar that flushes often, disables automatically, and probes without enabling.
async fn sidecar(rig: &Rig, name: &str) -> Daemon {
    let builder = disabling(rig, name).setting("HEALTH_FLUSH_INTERVAL_SECONDS", "100ms");
    ready(builder).await
}

/// Calls `a` at a sidecar until the fleet's count of its successes has moved.
async fn wait_flushed(rig: &Rig, sidecar: &str) {
    let count = "SELECT success_count FROM extension_health WHERE extension_id = 'a'";
    let before = value(&rig.sql, count).await;
    eventually("the health of a call is flushed", DEADLINE, async || {
        let call = json!({"id": "a", "payload": {}});
        ask(rig, sidecar, "invoke", &call).await.ok();
        let now = value(&rig.sql, count).await;
        if now == before { Err(now) } else { Ok(()) }
    })
    .await;
}

/// What `stats` names, as origin and reason.
async fn quarantined(rig: &Rig, sidecar: &str) -> Vec<(String, String)> {
    let stats = ask(rig, sidecar, "stats", &json!({})).await.ok();
    let faults = stats["quarantined"].as_array().unwrap().iter();
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    faults
        .map(|fault| (text(fault, "origin"), text(fault, "reason")))
        .collect()
}
