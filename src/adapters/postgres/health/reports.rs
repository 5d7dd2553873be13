//! Flushes, as arrays: one per column, so that a thousand extensions are one statement.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::PostgresHealth;
use super::figures;
use super::transaction::{Parameter, Parameters, age_ms, bigint, count, milliseconds};
use crate::domain::ids::ExtensionId;
use crate::service::health_store::{
    Boot, Figures, Flush, Flushed, HealthReports, Held, HeldCircuit, MAX_CIRCUITS, MAX_REPORTS,
    Report, Restored, StoreError, Written,
};

const REGISTER: &str = "INSERT INTO sidecar_boots (instance_id, flush_interval) \
    VALUES ($1, $2 * interval '1 ms') RETURNING boot::text";

const FLUSH: &str = "SELECT fenced, last_sequence, left_out FROM health_flush($1::uuid, $2, \
    $3 * interval '1 ms', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

const TIDY: &str = "WITH expired AS (DELETE FROM circuit_overrides WHERE until < now()) \
    SELECT health_fold()";

impl HealthReports for PostgresHealth {
    async fn register(&self, interval: Duration) -> Result<Boot, StoreError> {
        let interval = milliseconds(interval);
        let parameters: [Parameter<'_>; 2] =
            [(&&*self.instance_id, Type::TEXT), (&interval, Type::INT8)];
        let rows = self.transact("a boot", REGISTER, &parameters).await?;
        let row = rows.first().ok_or_else(|| self.damaged("no boot"))?;
        row.try_get(0)
            .map(Boot)
            .map_err(|error| self.unreadable(error))
    }

    async fn flush(&self, flush: Flush<'_>) -> Result<Flushed, StoreError> {
        if flush.reports.len() > MAX_REPORTS {
            return Err(self.damaged("a flush has too many reports"));
        }
        let columns = || Columns::of(flush, Instant::now());
        let rows = self
            .transact_late("a flush of health", FLUSH, columns)
            .await?;
        let row = rows.first().ok_or_else(|| self.damaged("no flush"))?;
        flushed(row).map_err(|error| self.unreadable(error))
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

    async fn tidy(&self) -> Result<u64, StoreError> {
        let rows = self.transact("tidying health", TIDY, &[]).await?;
        let row = rows.first().ok_or_else(|| self.damaged("no answer"))?;
        let folded = row.try_get(0).map_err(|error| self.unreadable(error))?;
        Ok(count(folded))
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

/// The arguments of `health_flush`. Ages are those of the moment in which they are sent: the time
/// that a connection was waited for would make what they are the age of later, and the older of two
/// moments could become the younger one.
struct Columns<'a> {
    boot: &'a str,
    sequence: i64,
    interval: i64,
    reports: ReportColumns<'a>,
    circuits: CircuitColumns<'a>,
}

impl<'a> Columns<'a> {
    fn of(flush: Flush<'a>, now: Instant) -> Self {
        Self {
            boot: &flush.boot.0,
            sequence: bigint(flush.sequence),
            interval: milliseconds(flush.interval),
            reports: ReportColumns::of(flush.reports, now),
            circuits: CircuitColumns::of(flush.circuits, now),
        }
    }
}

impl Parameters for Columns<'_> {
    fn list(&self) -> Vec<Parameter<'_>> {
        let Self {
            reports, circuits, ..
        } = self;
        vec![
            (&self.boot, Type::TEXT),
            (&self.sequence, Type::INT8),
            (&self.interval, Type::INT8),
            (&reports.ids, Type::TEXT_ARRAY),
            (&reports.successes, Type::INT8_ARRAY),
            (&reports.failures, Type::INT8_ARRAY),
            (&reports.latency_counts, Type::INT8_ARRAY),
            (&reports.latency_totals_us, Type::INT8_ARRAY),
            (&reports.success_ages, Type::INT8_ARRAY),
            (&reports.failure_ages, Type::INT8_ARRAY),
            (&reports.failure_thresholds, Type::INT4_ARRAY),
            (&reports.half_open_maxima, Type::INT4_ARRAY),
            (&circuits.ids, Type::TEXT_ARRAY),
            (&circuits.versions, Type::TEXT_ARRAY),
            (&circuits.states, Type::TEXT_ARRAY),
            (&circuits.ages, Type::INT8_ARRAY),
            (&circuits.waits, Type::INT8_ARRAY),
            (&circuits.trials, Type::INT4_ARRAY),
        ]
    }
}

/// The arguments of `health_add`.
#[derive(Default)]
struct ReportColumns<'a> {
    ids: Vec<&'a str>,
    successes: Vec<i64>,
    failures: Vec<i64>,
    latency_counts: Vec<i64>,
    latency_totals_us: Vec<i64>,
    success_ages: Vec<Option<i64>>,
    failure_ages: Vec<Option<i64>>,
    failure_thresholds: Vec<i32>,
    half_open_maxima: Vec<i32>,
}

impl<'a> ReportColumns<'a> {
    fn of(reports: &'a [Report], now: Instant) -> Self {
        let mut columns = Self::default();
        for report in reports {
            let Report {
                figures,
                failure_threshold,
                half_open_max_requests,
            } = report;
            columns.ids.push(figures.extension.as_str());
            columns.successes.push(bigint(figures.tally.successes));
            columns.failures.push(bigint(figures.tally.failures));
            columns
                .latency_counts
                .push(bigint(figures.tally.latency_count));
            columns
                .latency_totals_us
                .push(bigint(figures.tally.latency_total_us));
            columns
                .success_ages
                .push(figures.last_success.map(|it| age_ms(it, now)));
            columns
                .failure_ages
                .push(figures.last_failure.map(|it| age_ms(it, now)));
            columns.failure_thresholds.push(integer(*failure_threshold));
            columns
                .half_open_maxima
                .push(integer(*half_open_max_requests));
        }
        columns
    }
}

/// The arguments of `health_hold`.
#[derive(Default)]
struct CircuitColumns<'a> {
    ids: Vec<&'a str>,
    versions: Vec<&'a str>,
    states: Vec<&'static str>,
    ages: Vec<i64>,
    waits: Vec<i64>,
    trials: Vec<i32>,
}

impl<'a> CircuitColumns<'a> {
    fn of(circuits: &'a [HeldCircuit], now: Instant) -> Self {
        let mut columns = Self::default();
        for circuit in circuits.iter().take(MAX_CIRCUITS) {
            let wait = circuit.retry_at.saturating_duration_since(now);
            columns.ids.push(circuit.extension.as_str());
            columns.versions.push(circuit.version.as_str());
            columns.states.push(match circuit.state {
                Held::Open => "open",
                Held::HalfOpen => "half_open",
            });
            columns.ages.push(age_ms(circuit.opened_at, now));
            columns.waits.push(milliseconds(wait));
            columns.trials.push(integer(circuit.half_open_requests));
        }
        columns
    }
}

fn integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
