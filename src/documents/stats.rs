//! The state of this sidecar at a glance.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::ENVELOPE_BYTES;
use super::{digest, shown, time, to_bytes};
use crate::service::clock::millis;
use crate::service::invoke::{Status, Summary};
use crate::service::stats;
use crate::service::status::DatabaseState;

#[derive(Serialize, ToSchema)]
pub(super) struct Stats<'a> {
    source: &'static str,
    active_source: &'static str,
    revision: u64,
    epoch: Option<&'a str>,
    digest: String,
    total_extensions: usize,
    enabled_extensions: usize,
    quarantined: Vec<Fault<'a>>,
    quarantined_total: usize,
    /// Faults that are not in the list: there is no room for them.
    quarantined_omitted: usize,
    load_count: u64,
    error_count: u64,
    last_error: Option<&'a str>,
    #[schema(format = DateTime)]
    last_reload: Option<String>,
    last_reload_duration_ms: Option<f64>,
    staleness_ms: Option<u64>,
    lookups: LookupCounts,
    invocations: InvocationCounts,
    listener: LinkState,
    database: DatabaseLink,
    nats: LinkState,
    sidecars: Sidecars<'a>,
    settings: Settings<'a>,
    instance_id: &'a str,
    version: &'static str,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    uptime_ms: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Fault<'a> {
    origin: &'a str,
    reason: &'a str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LookupCounts {
    hits: u64,
    misses: u64,
    refused: u64,
    hit_rate: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct InvocationCounts {
    success: u64,
    failure: u64,
    timeout: u64,
    neutral: u64,
    pushed_back: u64,
    cancelled: u64,
    rejected: u64,
    overloaded: u64,
    retries: u64,
    in_flight: usize,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LinkState {
    state: &'static str,
}

/// The sidecars that share the database, this one included, as last counted.
#[derive(Serialize, ToSchema)]
pub(super) struct Sidecars<'a> {
    /// None before the first count, and without a database.
    total: u64,
    /// Of 50 of them at most, in order.
    instance_ids: &'a [String],
}

/// What distinguishes its settings from other sidecars'.
#[derive(Serialize, ToSchema)]
pub(super) struct Settings<'a> {
    /// Alike where all settings are that a fleet shares.
    fingerprint: &'a str,
    /// Those that differ from the defaults, without secrets and addresses.
    changed: &'a BTreeMap<&'static str, String>,
}

/// Why it cannot be used, while it cannot.
#[derive(Serialize, ToSchema)]
pub(super) struct DatabaseLink {
    state: &'static str,
    reason: Option<&'static str>,
    error: Option<String>,
    #[schema(format = DateTime)]
    since: Option<String>,
}

fn database(state: &DatabaseState) -> DatabaseLink {
    let down = match state {
        DatabaseState::Off | DatabaseState::Up => None,
        DatabaseState::Down(down) => Some(down),
    };
    DatabaseLink {
        state: state.as_str(),
        reason: down.map(|down| down.error.trouble.as_str()),
        error: down.map(|down| down.error.outside()),
        since: down.and_then(|down| shown(down.since.into_std())),
    }
}

/// More faults than this are only counted, as are those for which there is no room.
const MAX_FAULTS: usize = 100;

/// The catalog's revision, and the figures as JSON, with as many faults as fit into `max_bytes`.
pub fn stats(sidecar: &stats::Stats, max_bytes: usize) -> (u64, Bytes) {
    let (head, quarantine) = (sidecar.catalog.head(), sidecar.quarantine());
    let (total, enabled) = sidecar.catalog.sizes();
    let (status, lookups) = (&sidecar.status, &sidecar.lookups.meter);
    let (loads, load_errors, last_reload) = status.load_figures();
    let (last_error, sidecars) = (status.last_error(), sidecar.alive.sidecars());
    let faults = quarantine.faults();
    let mut stats = Stats {
        source: status.mode().as_str(),
        active_source: head.source.as_str(),
        revision: head.revision,
        epoch: head.epoch.as_deref(),
        digest: digest(head.digest),
        total_extensions: total,
        enabled_extensions: enabled,
        quarantined_total: faults.len(),
        quarantined: Vec::new(),
        quarantined_omitted: 0,
        load_count: loads,
        error_count: load_errors,
        last_error: last_error.as_deref(),
        last_reload: last_reload.and_then(|reload| shown(reload.at.into_std())),
        last_reload_duration_ms: last_reload.map(|reload| milliseconds(reload.duration)),
        staleness_ms: status.staleness().map(millis),
        lookups: LookupCounts {
            hits: lookups.hits.get(),
            misses: lookups.misses.get(),
            refused: lookups.refused.get(),
            hit_rate: lookups.hit_rate(),
        },
        invocations: invocations(&sidecar.runtimes.summary()),
        listener: LinkState {
            state: status.listener().as_str(),
        },
        database: database(&status.database()),
        nats: LinkState {
            state: if status.nats_up() { "up" } else { "away" },
        },
        sidecars: Sidecars {
            total: sidecars.total,
            instance_ids: &sidecars.instance_ids,
        },
        settings: Settings {
            fingerprint: &sidecar.settings.fingerprint,
            changed: &sidecar.settings.changed,
        },
        instance_id: &sidecar.instance_id,
        version: env!("CARGO_PKG_VERSION"),
        started_at: time(sidecar.started_at()),
        uptime_ms: millis(sidecar.started.elapsed()),
    };
    let mut room = max_bytes.saturating_sub(ENVELOPE_BYTES + to_bytes(&stats).len());
    for fault in faults.take(MAX_FAULTS) {
        let fault = Fault {
            origin: &fault.origin,
            reason: &fault.reason,
        };
        let Some(left) = room.checked_sub(to_bytes(&fault).len() + 1) else {
            break;
        };
        room = left;
        stats.quarantined.push(fault);
    }
    stats.quarantined_omitted = stats.quarantined_total - stats.quarantined.len();
    (head.revision, to_bytes(&stats))
}

fn invocations(summary: &Summary) -> InvocationCounts {
    InvocationCounts {
        success: summary.of(Status::Success),
        failure: summary.of(Status::Failure),
        timeout: summary.of(Status::Timeout),
        neutral: summary.of(Status::Neutral),
        pushed_back: summary.of(Status::PushedBack),
        cancelled: summary.of(Status::Cancelled),
        rejected: summary.of(Status::Rejected),
        overloaded: summary.of(Status::Overloaded),
        retries: summary.retries,
        in_flight: summary.in_flight,
    }
}

/// A duration in milliseconds with microseconds behind the point.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
