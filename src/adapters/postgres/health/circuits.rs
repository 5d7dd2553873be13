//! Circuits forced by operators: written with their audit entry, and announced to every sidecar.

use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::call::{Parameter, milliseconds};
use super::{PostgresHealth, Table, Unusable, named};
use crate::adapters::postgres::rows::incarnation;
use crate::adapters::postgres::stamp::Stamp;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::health_store::{NewOverride, Override, OverrideAction, Overrides, StoreError};
use crate::service::skipped::Reading;

/// For an operator's order: the operator waits for it.
const OVERRIDE_LIMIT: Duration = Duration::from_secs(4);

/// A reset stays for ten minutes: longer than any sidecar goes without looking. The lock keeps the
/// extension from going before its override can go with it.
const SET: &str = "
    WITH known AS (SELECT id FROM extensions WHERE id = $1 FOR KEY SHARE),
    before AS (
        SELECT jsonb_build_object('version', version, 'action', action, 'until', until,
            'reason', reason) AS document
        FROM circuit_overrides
        WHERE extension_id = $1 AND version = $2 AND action <> 'reset'
          AND (until IS NULL OR until > now())),
    written AS (
        INSERT INTO circuit_overrides AS o
            (extension_id, version, action, change, until, reason, set_by, actor_source)
        SELECT id, $2, $3, $4::uuid,
            now() + CASE $3 WHEN 'reset' THEN interval '10 minutes'
                            ELSE $5 * interval '1 ms' END,
            $6, $7, $8
        FROM known
        ON CONFLICT (extension_id, version) DO UPDATE
        SET action = EXCLUDED.action, change = EXCLUDED.change, until = EXCLUDED.until,
            reason = EXCLUDED.reason, set_by = EXCLUDED.set_by,
            actor_source = EXCLUDED.actor_source, set_at = now()
        WHERE o.change <> EXCLUDED.change
        RETURNING o.*)
    SELECT pg_notify('beamline_registry', 'override')::text,
        (SELECT registry_audit_override(extension_id, set_by, actor_source,
            (SELECT document FROM before),
            jsonb_build_object('version', version, 'action', action,
                'until', CASE WHEN action <> 'reset' THEN until END, 'reason', reason))::text
         FROM written)
    FROM known";

/// All in force, in the order in which [`in_force`] takes the columns.
const OVERRIDES: &str = "SELECT o.extension_id, o.version, o.action, o.change::text, \
        o.until, now(), e.incarnation::text \
    FROM circuit_overrides o LEFT JOIN extensions e ON e.id = o.extension_id \
    WHERE o.until IS NULL OR o.until > now()";

const TABLE: Table = Table("circuit_overrides", &[0, 1]);

impl Overrides for PostgresHealth {
    async fn set_override(&self, new: &NewOverride, change: u128) -> Result<bool, StoreError> {
        let change = format!("{change:032x}");
        let ttl = new.ttl.map(milliseconds);
        let parameters: [Parameter<'_>; 8] = [
            (&new.extension.as_str(), Type::TEXT),
            (&new.version.as_str(), Type::TEXT),
            (&new.action.as_str(), Type::TEXT),
            (&change, Type::TEXT),
            (&ttl, Type::INT8),
            (&new.reason, Type::TEXT),
            (&new.actor.name(), Type::TEXT),
            (&new.actor.source().as_str(), Type::TEXT),
        ];
        let none = |_| Vec::new();
        let rows = self
            .transact_made("an override", OVERRIDE_LIMIT, SET, &parameters, none)
            .await?;
        Ok(!rows.is_empty())
    }

    async fn overrides(&self) -> Result<Vec<Override>, StoreError> {
        let rows = self.transact("reading overrides", OVERRIDES, &[]).await?;
        Ok(self.each(TABLE, Reading::Whole, &rows, in_force))
    }
}

/// A row of [`OVERRIDES`]. An end at infinity is none: it holds until it is changed.
fn in_force(row: &Row) -> Result<Override, Unusable> {
    let action: &str = row.try_get(2)?;
    let unknown = || format!("`action` is {action}, which this binary does not know");
    // A uuid in text is 32 hexadecimal digits and some hyphens.
    let change = row.try_get::<_, &str>(3)?.replace('-', "");
    let (until, now): (Option<Stamp>, Stamp) = (row.try_get(4)?, row.try_get(5)?);
    Ok(Override {
        extension: ExtensionId::parse(row.try_get(0)?).map_err(named("extension_id"))?,
        incarnation: row.try_get::<_, Option<&str>>(6)?.and_then(incarnation),
        version: VersionName::parse(row.try_get(1)?).map_err(named("version"))?,
        action: OverrideAction::named(action).ok_or_else(unknown)?,
        change: u128::from_str_radix(&change, 16)?,
        until: until.and_then(|until| Instant::now().checked_add(until.ahead_of(now))),
    })
}
