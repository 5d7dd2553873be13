//! How extensions are doing: one of them, a page of them, and all together.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::list::cursor;
use super::page::{Forms, Page, no_brief};
use super::request::numbers;
use super::stats::milliseconds;
use super::{time, to_bytes};
use crate::domain::breaker::CircuitState;
use crate::service::error::RegistryError;
use crate::service::health::HealthQuery;
use crate::service::health::{HealthPage, Standing, Summary};
use serde::Deserialize;
use utoipa::IntoParams;

/// The arguments of `health`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HealthArguments {
    /// Only this extension.
    #[param(ignore)]
    pub id: Option<String>,
    /// Only extensions whose circuit is in this state.
    #[param(pattern = "^(closed|open|half_open)$")]
    pub state: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "numbers::rows")]
    pub limit: Option<u64>,
    /// The `next` of an earlier page.
    pub cursor: Option<String>,
}

impl HealthArguments {
    /// The listing that is asked for.
    ///
    /// # Errors
    /// An unknown state, or a cursor that no page has given out.
    pub fn query(&self) -> Result<HealthQuery, RegistryError> {
        let state = self.state.as_deref().map(|text| {
            let rule = "must be closed, open or half_open";
            CircuitState::parse(text).ok_or_else(|| RegistryError::field("state", rule))
        });
        let after = self.cursor.as_deref().map(super::list::parse_cursor);
        Ok(HealthQuery {
            state: state.transpose()?,
            limit: self.limit,
            after: after.transpose()?,
        })
    }
}

/// The status before the first call, when there is no success rate.
const NO_DATA: &str = "no_data";

#[derive(Serialize, ToSchema)]
#[schema(as = ExtensionHealth)]
pub(super) struct Record<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    health: HealthBody,
}

#[derive(Serialize, ToSchema)]
#[schema(as = HealthFigures)]
pub(super) struct HealthBody {
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
#[schema(as = HealthSummary)]
pub(super) struct SummaryBody {
    total: usize,
    enabled: usize,
    healthy: usize,
    unhealthy: usize,
    half_open: usize,
    avg_success_rate: Option<f64>,
    avg_latency_ms: Option<f64>,
    avg_p95_latency_ms: Option<f64>,
}

impl SummaryBody {
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

/// How one extension is doing.
pub fn health(standing: &Standing) -> Bytes {
    let extension = standing.entry.extension();
    let Standing { sums, .. } = standing;
    to_bytes(&Record {
        id: extension.id.as_str(),
        kind: extension.kind.as_str(),
        health: HealthBody {
            status: match standing.success_rate {
                None => NO_DATA,
                Some(_) => standing.condition.as_str(),
            },
            success_count: sums.counts.successes,
            failure_count: sums.counts.failures,
            success_rate: standing.success_rate,
            health_score: standing.success_rate.map(|rate| rate * 100.0),
            avg_latency_ms: sums.avg_latency().map(milliseconds),
            p50_latency_ms: standing.p50.map(milliseconds),
            p95_latency_ms: standing.p95.map(milliseconds),
            p99_latency_ms: standing.p99.map(milliseconds),
            last_success: standing.last_success.and_then(time),
            last_failure: standing.last_failure.and_then(time),
            circuit_breaker_state: standing.circuit.as_str(),
            circuit_breaker_opened_at: standing.opened_at.and_then(time),
        },
    })
}

/// A page of extensions with the summary of all, shortened to fit `max_bytes`.
///
/// # Errors
/// Not even one extension fits.
pub fn page(page: &HealthPage, max_bytes: usize) -> Result<Bytes, RegistryError> {
    let fitting = Page {
        name: "extensions",
        items: &page.standings,
        more: page.more,
        beside: &[("summary", to_bytes(&SummaryBody::of(&page.summary)))],
    };
    let forms = Forms {
        record: |standing: &Standing| Some(health(standing)),
        brief: no_brief,
        name: |standing: &Standing| standing.entry.extension().id.to_string(),
        cursor: |standing: &Standing| cursor(standing.entry.extension()),
    };
    fitting.fit(max_bytes, &forms)
}
