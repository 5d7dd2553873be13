//! The health of extensions: of one, of a page, and of all together.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::list::cursor;
use super::page::{Item, fit};
use super::request::{OfOne, numbers};
use super::stats::milliseconds;
use super::{shown, time, to_bytes};
use crate::service::error::RegistryError;
use crate::service::health::{
    FailureRow, HealthPage, HealthQuery, Standing, StateFilter, Summary, VersionStanding,
};
use crate::service::read::page_limit;
use serde::Deserialize;
use utoipa::IntoParams;

/// The arguments of `health`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HealthArguments {
    /// Only this extension.
    #[param(ignore)]
    pub id: Option<String>,
    /// Only extensions in this state, or whose circuit is.
    #[param(
        pattern = "^(open|half_open|resting|degraded|ok|no_data|disabled|auto_disabled|closed)$"
    )]
    pub state: Option<String>,
    /// The most that are returned.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
}

impl OfOne for HealthArguments {
    fn id_mut(&mut self) -> &mut Option<String> {
        &mut self.id
    }
}

impl HealthArguments {
    /// The listing that is asked for.
    ///
    /// # Errors
    /// An unknown state, or a cursor that no page has given out.
    pub fn query(&self) -> Result<HealthQuery, RegistryError> {
        let state = self.state.as_deref().map(|text| {
            let rule = || format!("must be one of {}", StateFilter::NAMES.join(", "));
            StateFilter::parse(text).ok_or_else(|| RegistryError::field("state", rule()))
        });
        let after = self.cursor.as_deref().map(super::list::parse_cursor);
        Ok(HealthQuery {
            state: state.transpose()?,
            limit: page_limit(self.limit),
            after: after.transpose()?,
        })
    }
}

/// The status before the first call, when there is no success rate.
const NO_DATA: &str = "no_data";

#[derive(Serialize, ToSchema)]
pub(super) struct ExtensionHealth<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    health: HealthFigures,
    /// The worst of the versions that take part; `disabled` or `auto_disabled` for one that may not
    /// serve.
    state: &'static str,
    /// In the order in which they are tried.
    versions: Vec<VersionHealth<'a>>,
    /// The last failures of each version, newest first; only of a single extension, and only for
    /// operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<Vec<FailedAttempt<'a>>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct VersionHealth<'a> {
    version: &'a str,
    /// Whether it is the current one.
    current: bool,
    /// Whether some context could choose it.
    takes_part: bool,
    state: &'static str,
    success_count: u64,
    failure_count: u64,
    success_rate: Option<f64>,
    p50_latency_ms: Option<f64>,
    p99_latency_ms: Option<f64>,
    /// The earliest failure in the window in which it ceased to be well.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// When calls go to it again, while all its instances rest.
    #[schema(format = DateTime)]
    rests_until: Option<String>,
}

impl<'a> VersionHealth<'a> {
    fn of(version: &'a VersionStanding) -> Self {
        Self {
            version: version.version.as_str(),
            current: version.current,
            takes_part: version.takes_part,
            state: version.state.as_str(),
            success_count: version.counts.successes,
            failure_count: version.counts.failures,
            success_rate: version.success_rate,
            p50_latency_ms: version.p50.map(milliseconds),
            p99_latency_ms: version.p99.map(milliseconds),
            failing_since: version.failing_since.and_then(time),
            rests_until: version.rests_until.and_then(shown),
        }
    }
}

/// A failed attempt.
#[derive(Serialize, ToSchema)]
pub(super) struct FailedAttempt<'a> {
    #[schema(format = DateTime)]
    at: Option<String>,
    version: &'a str,
    instance: Option<&'a str>,
    /// Which attempt of its call, from 1; null where a router reported it.
    attempt: Option<u32>,
    kind: &'static str,
    /// The code of the extension's error.
    code: Option<u32>,
    /// The extension's error text.
    error: Option<&'a str>,
    /// The id of the call, where it had one.
    call: Option<&'a str>,
    trace_id: Option<&'a str>,
    tenant_id: Option<&'a str>,
}

impl<'a> FailedAttempt<'a> {
    fn of(row: &'a FailureRow) -> Self {
        let failed = &row.failed;
        Self {
            at: shown(failed.at),
            version: row.version.as_str(),
            instance: failed.instance.as_deref(),
            attempt: (failed.attempt > 0).then_some(failed.attempt),
            kind: failed.kind.as_str(),
            code: failed.code,
            error: failed.error.as_deref(),
            call: failed.call.as_deref(),
            trace_id: failed.trace_id.as_deref(),
            tenant_id: failed.tenant_id.as_deref(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct HealthFigures {
    status: &'static str,
    success_count: u64,
    failure_count: u64,
    success_rate: Option<f64>,
    health_score: Option<f64>,
    avg_latency_ms: Option<f64>,
    p50_latency_ms: Option<f64>,
    p95_latency_ms: Option<f64>,
    p99_latency_ms: Option<f64>,
    #[schema(format = DateTime)]
    last_success: Option<String>,
    #[schema(format = DateTime)]
    last_failure: Option<String>,
    circuit_breaker_state: &'static str,
    #[schema(format = DateTime)]
    circuit_breaker_opened_at: Option<String>,
}

/// All extensions together, in listings and in events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthSummary {
    total: usize,
    enabled: usize,
    healthy: usize,
    unhealthy: usize,
    half_open: usize,
    avg_success_rate: Option<f64>,
    avg_latency_ms: Option<f64>,
    avg_p95_latency_ms: Option<f64>,
}

impl HealthSummary {
    pub(super) fn of(summary: &Summary) -> Self {
        Self {
            total: summary.total,
            enabled: summary.enabled,
            healthy: summary.healthy,
            unhealthy: summary.unhealthy,
            half_open: summary.half_open,
            avg_success_rate: summary.avg_success_rate,
            avg_latency_ms: summary.avg_latency.map(milliseconds),
            avg_p95_latency_ms: summary.avg_p95_latency.map(milliseconds),
        }
    }
}

/// How one extension is doing, with its last failures where they may be shown.
pub fn health(standing: &Standing, failures: Option<&[FailureRow]>) -> Bytes {
    let extension = standing.entry.extension();
    let Standing { sums, .. } = standing;
    to_bytes(&ExtensionHealth {
        id: extension.id.as_str(),
        kind: extension.kind.as_str(),
        health: HealthFigures {
            status: match standing.success_rate {
                None => NO_DATA,
                Some(_) => standing.condition().as_str(),
            },
            success_count: sums.counts.successes,
            failure_count: sums.counts.failures,
            success_rate: standing.success_rate,
            health_score: standing.success_rate.map(score),
            avg_latency_ms: sums.avg_latency().map(milliseconds),
            p50_latency_ms: standing.p50.map(milliseconds),
            p95_latency_ms: standing.p95.map(milliseconds),
            p99_latency_ms: standing.p99.map(milliseconds),
            last_success: sums.last_success.and_then(shown),
            last_failure: sums.last_failure.and_then(shown),
            circuit_breaker_state: standing.circuit.as_str(),
            circuit_breaker_opened_at: standing.opened_at.and_then(time),
        },
        state: standing.state.as_str(),
        versions: standing.versions.iter().map(VersionHealth::of).collect(),
        failures: failures.map(|rows| rows.iter().map(FailedAttempt::of).collect()),
    })
}

/// A rate times 100: of 57 of 100 calls 57, which as floats are 56.99999999999999.
fn score(rate: f64) -> f64 {
    (rate * 1e14).round() / 1e12
}

/// A page of extensions with the summary of all, shortened to fit `max_bytes`.
///
/// # Errors
/// Not even one extension fits.
pub fn page(page: &HealthPage, max_bytes: usize) -> Result<Bytes, RegistryError> {
    let items = page.standings.iter().map(|standing| Item {
        record: health(standing, None),
        name: standing.entry.extension().id.to_string(),
        cursor: cursor(standing.entry.extension()),
    });
    let summary = to_bytes(&HealthSummary::of(&page.summary));
    let beside = [("summary", summary)];
    fit("extensions", items, page.more, &beside, max_bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::domain::failures::Failed;
    use crate::domain::ids::VersionName;

    #[test]
    fn a_score_is_a_hundred_times_the_rate() {
        for percent in 0..=100_u8 {
            let exact = f64::from(percent);
            assert_eq!(Some(score(exact / 100.0)), Some(exact));
        }
        assert!(score(1.0 - 1e-9) < 100.0, "100 only where nothing failed");
    }

    #[test]
    fn attempts_are_counted_from_one_and_reports_are_none() {
        for (attempt, is_shown) in [(0, None), (1, Some(1)), (2, Some(2))] {
            let failed = Failed {
                attempt,
                ..Failed::reported(Instant::now()).kept()
            };
            let version = VersionName::parse("v1").unwrap();
            let row = FailureRow { version, failed };
            assert_eq!(FailedAttempt::of(&row).attempt, is_shown);
        }
    }
}
