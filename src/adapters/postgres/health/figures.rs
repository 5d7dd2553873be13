//! Reading the fleet's figures, and what a sidecar takes over when it starts.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::PostgresHealth;
use super::circuits;
use super::transaction::{BEGIN_SNAPSHOT, Parameter, count, instant, milliseconds, past};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::health_store::{Boot, Figures, Held, HeldCircuit, Restored, StoreError, Tally};

/// `$1` is our boot, `$2` milliseconds or null. Ages rather than times: clocks differ. Counts that
/// somebody else set to less than ours are none.
const OTHERS: &str = "SELECT h.extension_id, \
        coalesce(h.success_count, 0) - coalesce(r.success_count, 0), \
        coalesce(h.failure_count, 0) - coalesce(r.failure_count, 0), \
        h.latency_count - coalesce(r.latency_count, 0), \
        h.latency_total_us - coalesce(r.latency_total_us, 0), \
        (extract(epoch FROM h.last_success - now()) * 1000)::bigint, \
        (extract(epoch FROM h.last_failure - now()) * 1000)::bigint \
    FROM extension_health h LEFT JOIN extension_health_reports r \
        ON r.extension_id = h.extension_id AND r.boot = $1::uuid \
    WHERE $2::bigint IS NULL OR h.updated_at > now() - $2 * interval '1 ms'";

/// A boot that has not flushed yet, such as our own, has no say.
const HELD: &str = "SELECT c.extension_id, c.version, \
        (extract(epoch FROM min(c.opened_at) - now()) * 1000)::bigint, \
        (extract(epoch FROM min(c.retry_at) - now()) * 1000)::bigint \
    FROM extension_circuit_reports c JOIN live_sidecars s USING (boot) \
    WHERE s.boot <> $1::uuid AND EXISTS (SELECT FROM extensions WHERE id = c.extension_id) \
    GROUP BY c.extension_id, c.version \
    HAVING 2 * count(*) >= (SELECT count(*) FROM live_sidecars WHERE boot <> $1::uuid)";

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
    read(&rows, figures).map_err(|error| store.unreadable(error))
}

pub(super) async fn restore(store: &PostgresHealth, boot: &Boot) -> Result<Restored, StoreError> {
    let own: Parameter<'_> = (&&*boot.0, Type::TEXT);
    let everything = [own.clone(), (&None::<i64>, Type::INT8)];
    let (figure_rows, circuit_rows, override_rows) = store
        .run("restoring health", async |client| {
            let ((), figures, circuits, overrides, ()) = tokio::try_join!(
                biased;
                client.batch_execute(BEGIN_SNAPSHOT),
                client.query_typed(OTHERS, &everything),
                client.query_typed(HELD, std::slice::from_ref(&own)),
                client.query_typed(circuits::OVERRIDES, &[]),
                client.batch_execute("COMMIT"),
            )?;
            Ok((figures, circuits, overrides))
        })
        .await?;
    let restored = || {
        Ok(Restored {
            figures: read(&figure_rows, figures)?,
            circuits: read(&circuit_rows, held)?,
            overrides: read(&override_rows, circuits::in_force)?,
        })
    };
    restored().map_err(|error| store.unreadable(error))
}

/// The values of all rows but those whose ids break the rules: they are not served either.
pub(super) fn read<T>(
    rows: &[Row],
    value: fn(&Row) -> Result<Option<T>, Error>,
) -> Result<Vec<T>, Error> {
    rows.iter()
        .filter_map(|row| value(row).transpose())
        .collect()
}

fn figures(row: &Row) -> Result<Option<Figures>, Error> {
    let Ok(extension) = ExtensionId::parse(row.try_get(0)?) else {
        return Ok(None);
    };
    Ok(Some(Figures {
        extension,
        tally: Tally {
            successes: count(row.try_get(1)?),
            failures: count(row.try_get(2)?),
            latency_count: count(row.try_get(3)?),
            latency_total_us: count(row.try_get(4)?),
        },
        last_success: row.try_get::<_, Option<i64>>(5)?.and_then(past),
        last_failure: row.try_get::<_, Option<i64>>(6)?.and_then(past),
    }))
}

fn held(row: &Row) -> Result<Option<HeldCircuit>, Error> {
    let (extension, version) = (
        ExtensionId::parse(row.try_get(0)?),
        VersionName::parse(row.try_get(1)?),
    );
    let (Ok(extension), Ok(version)) = (extension, version) else {
        return Ok(None);
    };
    let now = Instant::now();
    Ok(Some(HeldCircuit {
        extension,
        version,
        state: Held::Open,
        opened_at: past(row.try_get(2)?).unwrap_or(now),
        retry_at: instant(row.try_get(3)?).unwrap_or(now),
        half_open_requests: 0,
    }))
}
