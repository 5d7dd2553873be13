//! Health to and from the fleet: flushes, as JSON, a thousand extensions in one statement; the figures of
//! the others; and what a sidecar takes over when it starts.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::call::{CALL_LIMIT, CENTURY, Parameter, age_ms, bigint, count, milliseconds, uuid};
use super::{PostgresHealth, Table, Unusable, named};
use crate::adapters::postgres::rows::incarnation;
use crate::adapters::postgres::stamp::Stamp;
use crate::adapters::postgres::statement::json;
use crate::domain::breaker::{CircuitState, Tick};
use crate::domain::health::{Counts, HealthSums};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::circuits::Listed;
use crate::service::clock::Clock;
use crate::service::health_store::{
    Boot, Figures, Flush, Flushed, HealthReports, HeldCircuit, MAX_CIRCUITS, MAX_NAMED,
    MAX_REPORTS, Report, Sidecars, StoreError, Written,
};
use crate::service::skipped::Reading;

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

/// Our own part beside the whole; nothing is computed here, where one number out of range would
/// cost all rows. `$1` is our boot, `$2` milliseconds or null.
const OTHERS: &str = "SELECT h.extension_id, h.success_count, r.success_count, h.failure_count, \
        r.failure_count, h.latency_count, r.latency_count, h.latency_total_us, \
        r.latency_total_us, h.last_success, h.last_failure, now(), e.incarnation::text \
    FROM extension_health h JOIN extensions e ON e.id = h.extension_id LEFT JOIN extension_health_reports r \
        ON r.extension_id = h.extension_id AND r.boot = $1::uuid \
    WHERE $2::bigint IS NULL OR h.updated_at > now() - $2 * interval '1 ms'";

const FIGURES: Table = Table("extension_health", &[0]);

/// A boot that has not flushed yet, such as our own, does not count. Nor does what one flushed before
/// the circuit was closed by an override: it may have stopped since, and has not heard of that.
const HELD: &str = "SELECT c.extension_id, c.version, min(c.retry_at), now(), e.incarnation::text \
    FROM extension_circuit_reports c JOIN live_sidecars s USING (boot) \
        JOIN sidecar_boots b USING (boot) JOIN extensions e \
        ON e.id = c.extension_id AND e.incarnation = coalesce(c.incarnation, e.incarnation) \
    WHERE s.boot <> $1::uuid AND NOT EXISTS (SELECT FROM circuit_overrides o \
        WHERE o.extension_id = c.extension_id AND o.version = c.version \
            AND o.action <> 'open' AND o.set_at > b.flushed_at) \
    GROUP BY c.extension_id, c.version, e.incarnation \
    HAVING 2 * count(*) >= (SELECT count(*) FROM live_sidecars WHERE boot <> $1::uuid)";

const CIRCUITS: Table = Table("extension_circuit_reports", &[0, 1]);

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
        let (sequence, interval) = (bigint(flush.sequence), milliseconds(flush.interval));
        let parameters: [Parameter<'_>; 3] = [
            (&&*flush.boot.0, Type::TEXT),
            (&sequence, Type::INT8),
            (&interval, Type::INT8),
        ];
        let made = |now| documents(flush, now);
        let rows = self
            .transact_made("a flush of health", CALL_LIMIT, FLUSH, &parameters, made)
            .await?;
        self.one(&rows, flushed)
    }

    async fn others(
        &self,
        boot: &Boot,
        changed_within: Option<Duration>,
    ) -> Result<Vec<Figures>, StoreError> {
        let within = changed_within.map(milliseconds);
        let parameters: [Parameter<'_>; 2] = [(&&*boot.0, Type::TEXT), (&within, Type::INT8)];
        let rows = self.transact("reading health", OTHERS, &parameters).await?;
        let reading = match within {
            Some(_) => Reading::Part,
            None => {
                // Circuits are read at a start only.
                self.none(CIRCUITS);
                Reading::Whole
            }
        };
        Ok(self.each(FIGURES, reading, &rows, figures))
    }

    async fn held(&self, boot: &Boot) -> Result<Vec<HeldCircuit>, StoreError> {
        let parameters: [Parameter<'_>; 1] = [(&&*boot.0, Type::TEXT)];
        let rows = self.transact("restoring health", HELD, &parameters).await?;
        Ok(self.each(CIRCUITS, Reading::Whole, &rows, held))
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

fn flushed(row: &Row) -> Result<Flushed, Error> {
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

/// Reports and circuits as `health_flush` reads them. Ages are computed when they are sent. Otherwise the
/// wait for a connection would shift them, and could swap the order of two moments.
fn documents(flush: Flush<'_>, now: Instant) -> Vec<String> {
    let reports = flush.reports.iter().map(|it| report(it, now));
    let circuits = flush.circuits.iter().take(MAX_CIRCUITS);
    let tick = Clock::default().at(now);
    let circuits = circuits.map(|it| circuit(it, tick));
    vec![
        json(&reports.collect::<Vec<_>>()),
        json(&circuits.collect::<Vec<_>>()),
    ]
}

/// A report as `health_add` reads it.
fn report(report: &Report, now: Instant) -> Value {
    let (figures, sums) = (&report.figures, report.figures.sums);
    let age = |time: Option<Instant>| time.map(|it| age_ms(it, now));
    serde_json::json!({
        "id": figures.extension.as_str(),
        "incarnation": figures.incarnation.map(uuid),
        "successes": bigint(sums.counts.successes),
        "failures": bigint(sums.counts.failures),
        "latency_count": bigint(sums.latency_count),
        "latency_total_us": bigint(sums.latency_sum_us),
        "success_age": age(sums.last_success),
        "answer_age": age(report.last_answer),
        "failure_age": age(sums.last_failure),
        "failure_threshold": integer(report.failure_threshold),
        "half_open_maximum": integer(report.half_open_max_requests),
    })
}

/// A circuit as `health_hold` reads it. One that is open and not due at any time is held open
/// without an end.
fn circuit(listed: &Listed, now: Tick) -> Value {
    let view = listed.view;
    let retry_at = match view.state {
        CircuitState::Open => view.retry_at.unwrap_or(Tick::NEVER),
        CircuitState::HalfOpen | CircuitState::Closed => now,
    };
    serde_json::json!({
        "id": listed.id.as_str(),
        "incarnation": listed.incarnation.map(uuid),
        "version": listed.version.as_str(),
        "state": view.state.as_str(),
        "age": milliseconds(view.opened_at.map_or(Duration::ZERO, |it| now.since(it))),
        "wait": milliseconds(retry_at.since(now)),
        "trials": integer(view.trials_out),
    })
}

fn integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// What the others counted: the whole less our own part. Counts that were set below that, or below
/// zero, are ignored. Clocks differ, so times are taken by how far they are from `now()`.
fn figures(row: &Row) -> Result<Figures, Unusable> {
    let extension = ExtensionId::parse(row.try_get(0)?).map_err(named("extension_id"))?;
    let of = |column| {
        row.try_get::<_, Option<i64>>(column)
            .map(|it| count(it.unwrap_or(0)))
    };
    let others = |whole, own| Ok::<_, Unusable>(of(whole)?.saturating_sub(of(own)?));
    let now: Stamp = row.try_get(11)?;
    let time = |column| -> Result<Option<Instant>, Unusable> {
        let stamp: Option<Stamp> = row.try_get(column)?;
        Ok(stamp.and_then(|stamp| stamp.past(now)))
    };
    Ok(Figures {
        extension,
        incarnation: incarnation(row.try_get(12)?),
        sums: HealthSums {
            counts: Counts {
                successes: others(1, 2)?,
                failures: others(3, 4)?,
            },
            latency_count: others(5, 6)?,
            latency_sum_us: others(7, 8)?,
            last_success: time(9)?,
            last_failure: time(10)?,
        },
    })
}

fn held(row: &Row) -> Result<HeldCircuit, Unusable> {
    let extension = ExtensionId::parse(row.try_get(0)?).map_err(named("extension_id"))?;
    let version = VersionName::parse(row.try_get(1)?).map_err(named("version"))?;
    let retry_at: Stamp = row.try_get(2)?;
    let (wait, now) = (retry_at.ahead_of(row.try_get(3)?), Instant::now());
    Ok(HeldCircuit {
        extension,
        incarnation: incarnation(row.try_get(4)?),
        version,
        retry_at: now.checked_add(wait.min(CENTURY)).unwrap_or(now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::breaker::Breaker;
    use crate::domain::catalog::Catalog;
    use crate::service::testing::tools;

    #[test]
    fn a_circuit_is_sent_with_its_age_and_one_held_without_an_end_is_not_due_soon() {
        let (catalog, _writer) = Catalog::new();
        let mut breaker = Breaker::new(tools(catalog).runtimes.defaults().breaker.clone());
        let opened = Tick::at(Duration::from_secs(100));
        let now = opened.plus(Duration::from_secs(10));
        let mut sent = |until| {
            breaker.force_open(opened, until);
            let listed = Listed {
                id: ExtensionId::parse("e").unwrap(),
                version: VersionName::parse("v1").unwrap(),
                incarnation: None,
                view: breaker.view(now),
            };
            let document = circuit(&listed, now);
            ["age", "wait"].map(|name| document[name].as_i64().unwrap())
        };
        assert_eq!(sent(now.plus(Duration::from_secs(60))), [10_000, 60_000]);
        assert_eq!(sent(Tick::NEVER), [10_000, milliseconds(CENTURY)]);
    }
}
