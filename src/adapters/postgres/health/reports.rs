//! Flushes, as JSON: a thousand extensions are one statement.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_postgres::types::Type;

use super::PostgresHealth;
use super::call::{CALL_LIMIT, Parameter, Parameters, age_ms, bigint, count, milliseconds, uuid};
use super::figures;
use crate::adapters::postgres::statement::json;
use crate::domain::ids::ExtensionId;
use crate::service::health_store::{
    Boot, Figures, Flush, Flushed, HealthReports, HeldCircuit, MAX_CIRCUITS, MAX_NAMED,
    MAX_REPORTS, Report, Restored, Sidecars, StoreError, Written,
};

const REGISTER: &str = "INSERT INTO sidecar_boots (instance_id, flush_interval) \
    VALUES ($1, $2 * interval '1 ms') RETURNING boot::text";

const FLUSH: &str = "SELECT fenced, last_sequence, left_out FROM health_flush($1::uuid, $2, \
    $3 * interval '1 ms', $4::text::jsonb, $5::text::jsonb)";

/// Those too that have not flushed yet: they serve. A sidecar that has restarted has two boots for a while.
/// Its name is as long as an instance id may be.
const ALIVE: &str = "SELECT count(DISTINCT instance_id), \
        coalesce((array_agg(DISTINCT left(instance_id, 255)))[1:$1], '{}') \
    FROM sidecar_boots WHERE folded_at IS NULL \
      AND flushed_at BETWEEN now() - health_patience(flush_interval) AND now() + interval '1 minute'";

const TIDY: &str = "WITH expired AS (DELETE FROM circuit_overrides WHERE until < now()) \
    SELECT health_fold()";

impl HealthReports for PostgresHealth {
    async fn register(&self, interval: Duration) -> Result<Boot, StoreError> {
        let interval = milliseconds(interval);
        let parameters: [Parameter<'_>; 2] =
            [(&&*self.instance_id, Type::TEXT), (&interval, Type::INT8)];
        let rows = self.transact("a boot", REGISTER, &parameters).await?;
        self.one(&rows, |row| row.try_get(0).map(Boot))
    }

    async fn flush(&self, flush: Flush<'_>) -> Result<Flushed, StoreError> {
        if flush.reports.len() > MAX_REPORTS {
            return Err(self.damaged("a flush has too many reports"));
        }
        let columns = || Arguments::of(flush, Instant::now());
        let rows = self
            .transact_made("a flush of health", CALL_LIMIT, FLUSH, columns)
            .await?;
        self.one(&rows, flushed)
    }

    async fn others(
        &self,
        boot: &Boot,
        changed_within: Option<Duration>,
    ) -> Result<Vec<Figures>, StoreError> {
        figures::others(self, boot, changed_within).await
    }

    async fn restore(&self, boot: &Boot) -> Result<Restored, StoreError> {
        figures::restore(self, boot).await
    }

    async fn alive(&self) -> Result<Sidecars, StoreError> {
        let named = i32::try_from(MAX_NAMED).unwrap_or(i32::MAX);
        let parameters: [Parameter<'_>; 1] = [(&named, Type::INT4)];
        let rows = self
            .transact("counting sidecars", ALIVE, &parameters)
            .await?;
        self.one(&rows, |row| {
            Ok(Sidecars {
                total: count(row.try_get(0)?),
                instance_ids: row.try_get(1)?,
            })
        })
    }

    async fn tidy(&self) -> Result<u64, StoreError> {
        let rows = self.transact("tidying health", TIDY, &[]).await?;
        self.one(&rows, |row| row.try_get(0).map(count))
    }
}

fn flushed(row: &tokio_postgres::Row) -> Result<Flushed, tokio_postgres::Error> {
    let fenced: bool = row.try_get(0)?;
    let sequence: Option<i64> = row.try_get(1)?;
    let held_back: Option<Vec<Option<&str>>> = row.try_get(2)?;
    let held_back = held_back.unwrap_or_default();
    let written = sequence.map(|sequence| Written {
        sequence: count(sequence),
        held_back: held_back
            .into_iter()
            .filter_map(|id| ExtensionId::parse(id?).ok())
            .collect(),
    });
    Ok(match written {
        Some(written) if !fenced => Flushed::Written(written),
        written => Flushed::Fenced(written),
    })
}

/// The arguments of `health_flush`. Ages are computed when they are sent. Otherwise the wait for a
/// connection would shift them, and could swap the order of two moments.
struct Arguments<'a> {
    boot: &'a str,
    sequence: i64,
    interval: i64,
    reports: String,
    circuits: String,
}

impl<'a> Arguments<'a> {
    fn of(flush: Flush<'a>, now: Instant) -> Self {
        let reports: Vec<_> = flush
            .reports
            .iter()
            .map(|it| ReportRow::of(it, now))
            .collect();
        let circuits = flush.circuits.iter().take(MAX_CIRCUITS);
        let circuits: Vec<_> = circuits.map(|it| CircuitRow::of(it, now)).collect();
        Self {
            boot: &flush.boot.0,
            sequence: bigint(flush.sequence),
            interval: milliseconds(flush.interval),
            reports: json(&reports),
            circuits: json(&circuits),
        }
    }
}

impl Parameters for Arguments<'_> {
    fn list(&self) -> Vec<Parameter<'_>> {
        vec![
            (&self.boot, Type::TEXT),
            (&self.sequence, Type::INT8),
            (&self.interval, Type::INT8),
            (&self.reports, Type::TEXT),
            (&self.circuits, Type::TEXT),
        ]
    }
}

/// A report as `health_add` reads it.
#[derive(Serialize)]
struct ReportRow<'a> {
    id: &'a str,
    incarnation: Option<String>,
    successes: i64,
    failures: i64,
    latency_count: i64,
    latency_total_us: i64,
    success_age: Option<i64>,
    answer_age: Option<i64>,
    failure_age: Option<i64>,
    failure_threshold: i32,
    half_open_maximum: i32,
}

impl<'a> ReportRow<'a> {
    fn of(report: &'a Report, now: Instant) -> Self {
        let (figures, sums) = (&report.figures, report.figures.sums);
        Self {
            id: figures.extension.as_str(),
            incarnation: figures.incarnation.map(uuid),
            successes: bigint(sums.counts.successes),
            failures: bigint(sums.counts.failures),
            latency_count: bigint(sums.latency_count),
            latency_total_us: bigint(sums.latency_sum_us),
            success_age: sums.last_success.map(|it| age_ms(it, now)),
            answer_age: report.last_answer.map(|it| age_ms(it, now)),
            failure_age: sums.last_failure.map(|it| age_ms(it, now)),
            failure_threshold: integer(report.failure_threshold),
            half_open_maximum: integer(report.half_open_max_requests),
        }
    }
}

/// A circuit as `health_hold` reads it.
#[derive(Serialize)]
struct CircuitRow<'a> {
    id: &'a str,
    incarnation: Option<String>,
    version: &'a str,
    state: &'static str,
    age: i64,
    wait: i64,
    trials: i32,
}

impl<'a> CircuitRow<'a> {
    fn of(circuit: &'a HeldCircuit, now: Instant) -> Self {
        Self {
            id: circuit.extension.as_str(),
            incarnation: circuit.incarnation.map(uuid),
            version: circuit.version.as_str(),
            state: circuit.state.as_str(),
            age: age_ms(circuit.opened_at, now),
            wait: milliseconds(circuit.retry_at.saturating_duration_since(now)),
            trials: integer(circuit.half_open_requests),
        }
    }
}

fn integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
