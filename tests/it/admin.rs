//! Administration over NATS, against a real database:
//!
//! - [`verbs`]: every verb, its reply, its audit entry, and that the next lookup has it,
//! - [`audit`]: who changed what, and how that is known,
//! - [`rules`]: what is refused, and that nothing changes then,
//! - [`promotion`]: a rollout as operators do it, and the way back,
//! - [`writers`]: many writers, no lost update,
//! - [`switches`]: enable and disable, and answers, whatever state a record is in,
//! - [`commits`]: a COMMIT that fails, or whose answer is lost,
//! - [`outages`]: no database, a locked one,
//! - [`kills`]: a daemon that is killed under writes,
//! - [`hostile`]: what nobody means well.

mod audit;
mod commits;
mod hostile;
mod kills;
mod many;
mod outages;
mod promotion;
mod rules;
mod switches;
mod verbs;
mod writers;

use serde_json::{Value, json};

use crate::harness::daemon::Builder;
use crate::harness::{Daemon, Reply};
use crate::rig::Rig;

/// A daemon with an empty database.
async fn started() -> (Rig, Daemon) {
    let rig = Rig::start().await;
    let daemon = ready(rig.daemon()).await;
    (rig, daemon)
}

/// A daemon that serves.
async fn ready(builder: Builder) -> Daemon {
    let daemon = builder.spawn().await;
    daemon.wait_ready().await;
    daemon
}

/// A plain extension.
fn plain(id: &str) -> Value {
    json!({ "id": id, "type": "pre", "subject": format!("beamline.ext.{id}") })
}

/// The version that serves `tenant`, or the reason why none does.
async fn served(rig: &Rig, id: &str, tenant: &str) -> String {
    let body = json!({ "id": id, "context": { "tenant_id": tenant } });
    let reply: Reply = rig.ask("lookup", &body).await;
    match reply.header("Nats-Service-Error-Code") {
        None => reply.ok()["version"].as_str().unwrap().to_owned(),
        Some(_) => crate::rig::reason(&reply),
    }
}

/// The actions of the audit of `id`, oldest first.
async fn actions(rig: &Rig, id: &str) -> Vec<String> {
    let audit = rig.ask("audit", &json!({ "id": id })).await.ok();
    let entries = audit["entries"].as_array().unwrap().iter().rev();
    entries
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .collect()
}
