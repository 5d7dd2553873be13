//! What `invoke` promises, asked for by a router and seen from the extension:
//!
//! - [`requests`]: what the extension receives, byte for byte; a dry run tells it and sends nothing,
//! - [`refusals`]: what is wrong or too large is refused by name, and is nobody's fault but its own,
//! - [`answers`]: what the router receives, byte for byte, errors included,
//! - [`acknowledgements`]: what JetStream replies is nobody's answer,
//! - [`forged`]: nobody can have the registry answer its own calls,
//! - [`retries`] and [`deadlines`]: what is tried again, how often, and for how long,
//! - [`circuit`]: who is protected from what, and how it ends,
//! - [`push_back`]: who is busy is left alone, and nobody is blamed,
//! - [`adaptive`]: who is slow, or says that it is busy, gets less,
//! - [`instances`], [`versions`] and [`fallbacks`]: who gets the call, and who stands in,
//! - [`stand_in`]: whoever fails has a fallback answer for it, within the call,
//! - [`limits`], [`bytes`] and [`fairness`]: how many at a time, how large, and of whom,
//! - [`cancelling`]: what nobody waits for any more ends, and its extension hears of it,
//! - [`streams`] and [`stream_limits`]: answers in pieces, and how long they may take,
//! - [`drain`] and [`link`]: calls in flight when the daemon or its link goes,
//! - [`bad_day`]: a provider that is busy or dies under load (the long versions ignored),
//! - [`load`] and [`capacity`]: a dead extension under load, and a fleet whose extension is half dead,
//! - [`soak`]: a million timeouts cost no memory (ignored; run in release).

use serde_json::{Value, json};

use crate::harness::{Behaviour, Daemon, Extension, Reply};
use crate::site::Site;

mod acknowledgements;
mod adaptive;
mod answers;
mod bad_day;
mod bytes;
mod capacity;
mod cancelling;
mod circuit;
mod deadlines;
mod drain;
mod fairness;
mod fallbacks;
mod forged;
mod instances;
mod limits;
mod link;
mod load;
mod push_back;
mod refusals;
mod requests;
mod retries;
mod soak;
mod stand_in;
mod stream_limits;
pub(crate) mod streams;
mod versions;

/// The record of an extension that is patient, never retries and, at the first failure, opens its
/// circuit for long; `fields` over that.
pub(crate) fn record(id: &str, fields: Value) -> Value {
    let mut record = json!({
        "id": id, "type": "pre", "subject": at(id), "timeout_ms": 10_000, "retry": 0,
        "circuit_breaker": {"failure_threshold": 1, "timeout_seconds": 600},
    });
    let Value::Object(fields) = fields else {
        panic!("not an object: {fields}")
    };
    record.as_object_mut().unwrap().extend(fields);
    record
}

/// The subject of [`record`].
fn at(id: &str) -> String {
    format!("beamline.ext.{id}.v1")
}

/// A daemon that serves one extension `x`, and that extension.
async fn one(fields: Value, behaviour: Behaviour) -> (Site, Daemon, Extension) {
    let (site, daemon) = Site::serving(&json!([record("x", fields)])).await;
    let extension = site.play("x", behaviour).await;
    (site, daemon, extension)
}

impl Site {
    /// Plays the extension that [`record`] makes.
    pub(crate) async fn play(&self, id: &str, behaviour: Behaviour) -> Extension {
        Extension::at(&self.nats.url(), &at(id), behaviour).await
    }

    /// Calls `id` with an empty payload; `fields` beside that.
    pub(crate) async fn call(&self, id: &str, fields: Value) -> Reply {
        let mut body = json!({"id": id, "payload": {}});
        let Value::Object(fields) = fields else {
            panic!("not an object: {fields}")
        };
        body.as_object_mut().unwrap().extend(fields);
        self.ask("invoke", &body).await
    }

    /// The state of the circuit of `id`, on which `lookup` and `explain` must agree while nobody stands
    /// in for it, and it does not change meanwhile.
    pub(crate) async fn circuit(&self, id: &str) -> String {
        let state = async |verb: &str| {
            let reply = self.send(verb, id.to_owned()).await;
            reply.ok()["circuit_breaker_state"].clone()
        };
        loop {
            let (before, looked_up) = (state("explain").await, state("lookup").await);
            if state("explain").await == before {
                assert_eq!(looked_up, before);
                return looked_up.as_str().unwrap().to_owned();
            }
        }
    }
}

/// `details.reason` of an error with this number and code.
#[track_caller]
fn reason(reply: &Reply, number: u16, code: &str) -> String {
    assert_eq!(reply.error(), (number, code.to_owned()), "{reply:?}");
    let reason = reply.details()["reason"].clone();
    reason.as_str().unwrap_or_default().to_owned()
}

/// Whether the circuit refused the call.
fn refused(reply: &Reply) -> bool {
    reply.header("Nats-Service-Error-Code") == Some("503")
        && reply.json()["error"]["details"]["reason"] == "circuit_open"
}
