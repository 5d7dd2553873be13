//! What a `reload` did.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::to_bytes;
use crate::service::reload::ReloadReport;
use serde::Deserialize;

/// The arguments of `reload`, which is no read: it refuses what it does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadArguments {
    /// Only this id.
    pub id: Option<String>,
    /// The actor, if nothing else names it.
    pub actor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    added: usize,
    updated: usize,
    removed: usize,
    total: usize,
    duration_ms: f64,
    revision: u64,
    active_source: &'static str,
}

/// The report as JSON.
pub fn reloaded(report: &ReloadReport) -> Bytes {
    to_bytes(&Reloaded {
        added: report.counts.added,
        updated: report.counts.updated,
        removed: report.counts.removed,
        total: report.total,
        duration_ms: super::stats::milliseconds(report.duration),
        revision: report.revision,
        active_source: report.source.as_str(),
    })
}
