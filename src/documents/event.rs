//! Events as CloudEvents 1.0 in JSON.

pub(super) mod change;
pub(super) mod circuit;

use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::health::HealthSummary;
use super::{time, to_bytes};
use crate::service::clock::Clock;
use crate::service::observe::Observation;

pub use change::change_events;
use circuit::CircuitMoved;

/// All kinds, by name.
pub const KINDS: [&str; 16] = [
    "circuit_opened",
    "circuit_half_opened",
    "circuit_closed",
    "health_degraded",
    "health_recovered",
    "health_summary",
    "registry_reloaded",
    "source_changed",
    "extension_created",
    "extension_updated",
    "extension_deleted",
    "extension_enabled",
    "extension_disabled",
    "auto_disabled",
    "auto_enabled",
    "rollout_halted",
];

#[derive(Serialize)]
struct CloudEvent<'a, T> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    /// Left out where the clock shows what cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    data: T,
}

/// `data` of `registry_reloaded`, of one sidecar.
#[derive(Serialize, ToSchema)]
pub(super) struct RegistryReloaded {
    trigger: &'static str,
    active_source: &'static str,
    added: usize,
    updated: usize,
    removed: usize,
    total: usize,
    enabled: usize,
    quarantined: usize,
    revision: u64,
    duration_ms: f64,
}

/// `data` of `source_changed`.
#[derive(Serialize, ToSchema)]
pub(super) struct SourceChanged {
    from: &'static str,
    to: &'static str,
}

/// `data` of `health_degraded` and `health_recovered`.
#[derive(Serialize, ToSchema)]
pub(super) struct RateCrossed<'a> {
    id: &'a str,
    version: &'a str,
    /// Whether the version is the current one, whose rate is the extension's.
    current: bool,
    success_rate: f64,
    min_success_rate: f64,
}

/// An event ready to be published.
#[derive(Debug)]
pub struct Event {
    /// The CloudEvent's id, which is unique: consumers that store events store each once by it.
    pub id: Box<str>,
    /// The token after `<prefix>.events.`.
    pub kind: &'static str,
    /// The token after that: the extension it is about, if it is about one.
    pub subject: Option<Box<str>>,
    /// The CloudEvent.
    pub body: Bytes,
}

/// Makes the events of one sidecar, numbered since its start.
#[derive(Debug)]
pub struct Envelopes {
    instance_id: String,
    boot: String,
    clock: Clock,
    next: u64,
}

impl Envelopes {
    /// Events of `instance_id`; `boot` sets its ids apart from those before a restart. Moments of
    /// circuits are read by `clock`.
    pub fn new(instance_id: &str, boot: String, clock: Clock) -> Self {
        Self {
            instance_id: instance_id.to_owned(),
            boot,
            clock,
            next: 1,
        }
    }

    /// The event for an observation; `None` for what is not published.
    pub fn event(&mut self, observation: &Observation) -> Option<Event> {
        let event = match observation {
            Observation::Loaded(load) => {
                let data = RegistryReloaded {
                    trigger: load.trigger.as_str(),
                    active_source: load.source.as_str(),
                    added: load.counts.added,
                    updated: load.counts.updated,
                    removed: load.counts.removed,
                    total: load.total,
                    enabled: load.enabled,
                    quarantined: load.quarantined,
                    revision: load.revision,
                    duration_ms: super::stats::milliseconds(load.duration),
                };
                self.wrap("registry_reloaded", None, data)
            }
            Observation::HealthSummary(summary) => {
                self.wrap("health_summary", None, HealthSummary::of(summary))
            }
            Observation::SourceChanged { from, to } => {
                let data = SourceChanged {
                    from: from.as_str(),
                    to: to.as_str(),
                };
                self.wrap("source_changed", None, data)
            }
            Observation::Circuit {
                moved,
                current,
                failing,
            } => {
                let data = CircuitMoved::new(moved, *current, failing, self.clock);
                self.wrap(
                    circuit::kind(&moved.transition),
                    Some(moved.id.as_str()),
                    data,
                )
            }
            Observation::Health(crossed) => {
                let id = crossed.id.as_str();
                let data = RateCrossed {
                    id,
                    version: crossed.version.as_str(),
                    current: crossed.current,
                    success_rate: crossed.success_rate,
                    min_success_rate: crossed.min_success_rate,
                };
                self.wrap(crossed.crossing.as_str(), Some(id), data)
            }
            _ => return None,
        };
        Some(event)
    }

    fn wrap(&mut self, kind: &'static str, subject: Option<&str>, data: impl Serialize) -> Event {
        let id = format!("{}-{}-{}", self.instance_id, self.boot, self.next);
        self.next += 1;
        let now = Some(SystemTime::now());
        event(&self.instance_id, id, kind, subject, now, data)
    }
}

fn event(
    instance_id: &str,
    id: String,
    kind: &'static str,
    subject: Option<&str>,
    at: Option<SystemTime>,
    data: impl Serialize,
) -> Event {
    let body = to_bytes(&CloudEvent {
        specversion: "1.0",
        id: id.clone(),
        source: format!("/beamline-registry/{instance_id}"),
        kind: format!("beamline.registry.{kind}"),
        subject,
        time: at.and_then(time),
        datacontenttype: "application/json",
        data,
    });
    Event {
        id: id.into(),
        kind,
        subject: subject.map(Box::from),
        body,
    }
}
