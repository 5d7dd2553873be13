//! Attempts of versions, reported and compared, and shares set to 0.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::call::{CALL_LIMIT, Parameter, age_ms, bigint, count, milliseconds};
use super::{PostgresHealth, Table, Unusable, named};
use crate::adapters::postgres::statement::json;
use crate::domain::halting::Comparison;
use crate::domain::health::Counts;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::fleet::halt::{Rollouts, Share, Tried};
use crate::service::health_store::StoreError;
use crate::service::skipped::Reading;

const TELL: &str = "SELECT extension_id, version, since, successes, failures, current_successes, \
    current_failures \
    FROM registry_rollout_report($1::uuid, $3::text::jsonb, $2::text::jsonb)";
const HALT: &str = "SELECT at_revision FROM registry_rollout_halt($1, $2, $3, $4::text::jsonb)";

const SHARES: Table = Table("extension_versions", &[0, 1]);

impl Rollouts for PostgresHealth {
    async fn tell(
        &self,
        batch: u128,
        tried: &[Tried],
        windows: &BTreeMap<ExtensionId, Duration>,
    ) -> Result<Vec<Share>, StoreError> {
        if windows.is_empty() {
            self.none(SHARES);
            return Ok(Vec::new());
        }
        let batch = format!("{batch:032x}");
        let windows = windows.iter().map(
            |(id, length)| serde_json::json!({"id": id.as_str(), "length": milliseconds(*length)}),
        );
        let windows = json(&windows.collect::<Vec<_>>());
        let parameters: [Parameter<'_>; 2] = [(&batch, Type::TEXT), (&windows, Type::TEXT)];
        // Ages are computed when they are sent.
        let made = |now| vec![attempts(tried, now)];
        let rows = self
            .transact_made("attempts of versions", CALL_LIMIT, TELL, &parameters, made)
            .await?;
        Ok(self.each(SHARES, Reading::Whole, &rows, share))
    }

    async fn halt(&self, share: &Share, figures: &str) -> Result<Option<u64>, StoreError> {
        let since = bigint(share.since);
        let parameters: [Parameter<'_>; 4] = [
            (&share.id.as_str(), Type::TEXT),
            (&share.version.as_str(), Type::TEXT),
            (&since, Type::INT8),
            (&figures, Type::TEXT),
        ];
        self.revision("halting a rollout", HALT, &parameters).await
    }
}

fn attempts(tried: &[Tried], now: Instant) -> String {
    let rows = tried.iter().enumerate().map(|(place, it)| {
        serde_json::json!({
            "place": place,
            "id": it.id.as_str(),
            "version": it.version.as_str(),
            "revision": bigint(it.attempts.revision),
            "age": age_ms(it.attempts.begun, now),
            "successes": bigint(it.attempts.counts.successes),
            "failures": bigint(it.attempts.counts.failures),
        })
    });
    json(&rows.collect::<Vec<_>>())
}

fn share(row: &Row) -> Result<Share, Unusable> {
    let counts = |successes, failures| {
        Ok::<_, tokio_postgres::Error>(Counts {
            successes: count(row.try_get(successes)?),
            failures: count(row.try_get(failures)?),
        })
    };
    Ok(Share {
        id: ExtensionId::parse(row.try_get(0)?).map_err(named("extension_id"))?,
        version: VersionName::parse(row.try_get(1)?).map_err(named("version"))?,
        since: count(row.try_get(2)?),
        figures: Comparison {
            version: counts(3, 4)?,
            current: counts(5, 6)?,
        },
    })
}
