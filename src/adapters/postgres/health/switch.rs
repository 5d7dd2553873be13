//! Automatic switching for the whole fleet, and the lease of the one that probes.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::PostgresHealth;
use super::call::{Parameter, count, milliseconds, uuid};
use crate::domain::extension::Incarnation;
use crate::domain::ids::ExtensionId;
use crate::service::health_store::{AutoDisabled, AutoSwitch, StoreError};

const DISABLE: &str =
    "SELECT outcome, at_revision FROM registry_auto_disable($1, $2::uuid, $3::jsonb, $4, $5)";
const ENABLE: &str = "SELECT at_revision FROM registry_auto_enable($1, $2::uuid, $3::jsonb, $4)";

/// The clock rather than the transaction's time: the row may have been waited for. A lease for
/// longer than any sidecar takes one is invalid.
const TAKE: &str = "INSERT INTO probe_lease AS l (holder, until) \
    VALUES ($1, clock_timestamp() + $2 * interval '1 ms') \
    ON CONFLICT (singleton) DO UPDATE \
    SET holder = $1, until = clock_timestamp() + $2 * interval '1 ms' \
    WHERE l.holder = $1 OR l.until NOT BETWEEN clock_timestamp() \
        AND clock_timestamp() + $2 * interval '1 ms' + interval '1 minute' \
    RETURNING true";
const RELEASE: &str = "DELETE FROM probe_lease WHERE holder = $1";

impl AutoSwitch for PostgresHealth {
    async fn auto_disable(
        &self,
        extension: &ExtensionId,
        incarnation: Option<Incarnation>,
        reason: &str,
        max_percent: u8,
    ) -> Result<AutoDisabled, StoreError> {
        let (max_percent, incarnation) = (i32::from(max_percent), incarnation.map(uuid));
        let parameters: [Parameter<'_>; 5] = [
            (&extension.as_str(), Type::TEXT),
            (&incarnation, Type::TEXT),
            (&reason, Type::TEXT),
            (&max_percent, Type::INT4),
            (&&*self.instance_id, Type::TEXT),
        ];
        let rows = self
            .transact("auto-disabling", DISABLE, &parameters)
            .await?;
        let (outcome, revision): (Box<str>, Option<i64>) =
            self.one(&rows, |row| Ok((row.try_get(0)?, row.try_get(1)?)))?;
        match (&*outcome, revision) {
            ("disabled", Some(revision)) => Ok(AutoDisabled::Disabled(count(revision))),
            ("cap_reached", _) => Ok(AutoDisabled::CapReached),
            ("seen_alive", _) => Ok(AutoDisabled::SeenAlive),
            ("already_disabled", _) => Ok(AutoDisabled::AlreadyDisabled),
            ("gone", _) => Ok(AutoDisabled::Gone),
            _ => Err(self.damaged("an unknown outcome of registry_auto_disable")),
        }
    }

    async fn auto_enable(
        &self,
        extension: &ExtensionId,
        incarnation: Option<Incarnation>,
        reason: &str,
    ) -> Result<Option<u64>, StoreError> {
        let incarnation = incarnation.map(uuid);
        let parameters: [Parameter<'_>; 4] = [
            (&extension.as_str(), Type::TEXT),
            (&incarnation, Type::TEXT),
            (&reason, Type::TEXT),
            (&&*self.instance_id, Type::TEXT),
        ];
        self.revision("auto-enabling", ENABLE, &parameters).await
    }

    async fn take_probe_lease(&self, ttl: Duration) -> Result<bool, StoreError> {
        let ttl = milliseconds(ttl);
        let parameters: [Parameter<'_>; 2] =
            [(&&*self.instance_id, Type::TEXT), (&ttl, Type::INT8)];
        let rows = self.transact("the probe lease", TAKE, &parameters).await?;
        Ok(!rows.is_empty())
    }

    async fn release_probe_lease(&self) -> Result<(), StoreError> {
        let parameters: [Parameter<'_>; 1] = [(&&*self.instance_id, Type::TEXT)];
        self.transact("the probe lease", RELEASE, &parameters)
            .await?;
        Ok(())
    }
}

impl PostgresHealth {
    /// The revision of what a function has done; it has none where it did nothing.
    pub(super) async fn revision(
        &self,
        what: &'static str,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<u64>, StoreError> {
        let rows = self.transact(what, sql, parameters).await?;
        self.one(&rows, |row| {
            let revision: Option<i64> = row.try_get(0)?;
            Ok(revision.map(count))
        })
    }
}
