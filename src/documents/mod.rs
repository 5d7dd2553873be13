//! The JSON documents of the contract, the same over NATS and HTTP.
//!
//! Domain types do not serialize themselves: each document is one wire type here, filled by one
//! function that names every field. A file per verb has its arguments and its document; [`request`]
//! has what arguments have in common, [`change`] the bodies of all changes, and [`desk`] leads from
//! arguments to document.

pub mod audit;
pub mod cancel;
pub mod change;
pub mod circuit;
pub mod circuits;
pub mod committed;
pub mod desk;
pub mod dry_run;
pub mod error;
pub mod event;
pub mod explain;
pub mod headers;
pub mod health;
pub mod invoke;
pub mod list;
pub mod live;
pub mod lookup;
pub mod members;
mod page;
pub mod ping;
pub mod probe;
pub mod rehearsed;
pub mod reload;
pub mod report;
pub mod request;
mod resting;
pub mod schemas;
pub mod stats;
pub mod stored;
pub mod switch;
pub mod verb;

use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::json::JsonObject;
use crate::domain::moment::rfc3339 as time;
use crate::service::clock::Clock;

/// What goes over HTTP, for its schemas.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(
    schemas::ExtensionPage,
    schemas::HealthPage,
    schemas::CircuitPage,
    audit::AuditPage,
    committed::Committed,
    error::Envelope,
    probe::Alive,
    probe::Ready,
    reload::Reloaded,
    stats::Stats
)))]
struct Documents;

/// What goes over NATS alone, likewise.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(
    cancel::Cancelled,
    dry_run::CallRehearsal,
    event::RateCrossed,
    event::RegistryReloaded,
    event::SourceChanged,
    event::change::ExtensionChanged,
    event::change::ManyChanged,
    event::circuit::CircuitMoved,
    explain::Explained,
    lookup::ServedExtensions,
    ping::Pong,
    rehearsed::Many,
    report::Noted
)))]
struct Messages;

/// The JSON text of a document. Serializing plain structs into memory cannot fail; should it ever,
/// the reply is empty rather than absent.
pub fn to_bytes(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).map(exact).unwrap_or_default()
}

/// Gives back what a growing buffer has too much: prepared replies live as long as their record.
fn exact(buffer: Vec<u8>) -> Bytes {
    Bytes::from(buffer.into_boxed_slice())
}

fn raw(object: &JsonObject) -> &RawValue {
    let empty = || serde_json::from_str("{}").unwrap_or(RawValue::NULL);
    object.raw().unwrap_or_else(empty)
}

/// A moment as it is shown, by the wall clock as it is set now.
fn shown(at: Instant) -> Option<String> {
    time(Clock::default().wall_of(at))
}

/// A digest as it is shown: 16 hexadecimal digits.
pub fn digest(digest: u64) -> String {
    format!("{digest:016x}")
}
