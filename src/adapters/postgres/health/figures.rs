//! Reading the fleet's figures, and what a sidecar takes over when it starts.

use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::PostgresHealth;
use super::call::{CENTURY, LIMITS, Parameter, count, milliseconds};
use super::sets::{Table, Unusable, named};
use crate::adapters::postgres::rows::incarnation;
use crate::adapters::postgres::stamp::Stamp;
use crate::adapters::postgres::transaction::Transaction;
use crate::domain::health::{Counts, HealthSums};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::health_store::{Boot, Figures, Held, HeldCircuit, Restored, StoreError};
use crate::service::skipped::Reading;

/// Our own part beside the whole; nothing is reckoned here, where one number out of range would
/// cost all rows. `$1` is our boot, `$2` milliseconds or null.
const OTHERS: &str = "SELECT h.extension_id, h.success_count, r.success_count, h.failure_count, \
        r.failure_count, h.latency_count, r.latency_count, h.latency_total_us, \
        r.latency_total_us, h.last_success, h.last_failure, now(), e.incarnation::text \
    FROM extension_health h JOIN extensions e ON e.id = h.extension_id LEFT JOIN extension_health_reports r \
        ON r.extension_id = h.extension_id AND r.boot = $1::uuid \
    WHERE $2::bigint IS NULL OR h.updated_at > now() - $2 * interval '1 ms'";

const FIGURES: Table = Table {
    name: "extension_health",
    keys: &[0],
};

/// A boot that has not flushed yet, such as our own, does not count. Nor does what one flushed before
/// the circuit was closed by an override: it may have stopped since, and has not heard of that.
const HELD: &str = "SELECT c.extension_id, c.version, min(c.opened_at), min(c.retry_at), now(), \
        e.incarnation::text \
    FROM extension_circuit_reports c JOIN live_sidecars s USING (boot) \
        JOIN sidecar_boots b USING (boot) JOIN extensions e \
        ON e.id = c.extension_id AND e.incarnation = coalesce(c.incarnation, e.incarnation) \
    WHERE s.boot <> $1::uuid AND NOT EXISTS (SELECT FROM circuit_overrides o \
        WHERE o.extension_id = c.extension_id AND o.version = c.version \
            AND o.action <> 'open' AND o.set_at > b.flushed_at) \
    GROUP BY c.extension_id, c.version, e.incarnation \
    HAVING 2 * count(*) >= (SELECT count(*) FROM live_sidecars WHERE boot <> $1::uuid)";

const CIRCUITS: Table = Table {
    name: "extension_circuit_reports",
    keys: &[0, 1],
};

pub(super) async fn others(
    store: &PostgresHealth,
    boot: &Boot,
    changed_within: Option<Duration>,
) -> Result<Vec<Figures>, StoreError> {
    let within = changed_within.map(milliseconds);
    let parameters: [Parameter<'_>; 2] = [(&&*boot.0, Type::TEXT), (&within, Type::INT8)];
    let rows = store
        .transact("reading health", OTHERS, &parameters)
        .await?;
    let reading = match within {
        Some(_) => Reading::Part,
        None => {
            // Circuits are read at a start only.
            store.none(CIRCUITS);
            Reading::Whole
        }
    };
    Ok(store.each(FIGURES, reading, &rows, figures))
}

pub(super) async fn restore(store: &PostgresHealth, boot: &Boot) -> Result<Restored, StoreError> {
    let own: Parameter<'_> = (&&*boot.0, Type::TEXT);
    let everything = [own.clone(), (&None::<i64>, Type::INT8)];
    let (figure_rows, circuit_rows) = store
        .run("restoring health", async |client| {
            let reading = async {
                tokio::try_join!(
                    biased;
                    client.query_typed(OTHERS, &everything),
                    client.query_typed(HELD, std::slice::from_ref(&own)),
                )
            };
            Transaction::snapshot(LIMITS).send(client, reading).await
        })
        .await?;
    let whole = Reading::Whole;
    Ok(Restored {
        figures: store.each(FIGURES, whole, &figure_rows, figures),
        circuits: store.each(CIRCUITS, whole, &circuit_rows, held),
    })
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
    let (opened_at, retry_at): (Stamp, Stamp) = (row.try_get(2)?, row.try_get(3)?);
    let (stored_now, now) = (row.try_get(4)?, Instant::now());
    let wait = retry_at.ahead_of(stored_now).min(CENTURY);
    Ok(HeldCircuit {
        extension,
        incarnation: incarnation(row.try_get(5)?),
        version,
        state: Held::Open,
        opened_at: opened_at.past(stored_now).unwrap_or(now),
        retry_at: now.checked_add(wait).unwrap_or(now),
        half_open_requests: 0,
    })
}
