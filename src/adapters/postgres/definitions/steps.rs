//! One statement for each step of a plan.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::Parameter;
use crate::adapters::postgres::statement::run;
use crate::adapters::postgres::tables::{self, EXTENSIONS, INSTANCES, VERSIONS};
use crate::domain::edit::Step;

const SWITCH: &str =
    "UPDATE extension_definitions SET enabled = $2, auto_disabled = $3 WHERE id = $1";

const RESET_CIRCUITS: &str = "SELECT registry_reset_circuits($1)::text";

const DELETE: &str = "DELETE FROM extension_definitions WHERE id = $1";

/// Remembers of the row `$2` what its promotion would lose: its rules, and which of its values are
/// null. Of those the value that the extension has then, as a hash: once it differs, the version
/// has been given one of its own.
const REMEMBER: &str = "UPDATE extensions e SET promoted = jsonb_build_object('version', v.version, \
    'routing_rules', v.routing_rules, 'rollout', v.rollout, 'priority', v.priority, \
    'timeout_ms', CASE WHEN v.timeout_ms IS NULL THEN registry_sha256(e.timeout_ms::text) END, \
    'retry', CASE WHEN v.retry IS NULL THEN registry_sha256(e.retry::text) END, \
    'config', CASE WHEN coalesce(v.config, 'null') = 'null' \
        THEN registry_sha256(coalesce(nullif(e.config, 'null'), '{}')::text) END, \
    'metadata', CASE WHEN coalesce(v.metadata, 'null') = 'null' \
        THEN registry_sha256(coalesce(nullif(e.metadata, 'null'), '{}')::text) END) \
        || jsonb_build_object('rows', coalesce(e.promoted -> 'rows', '{}')) \
    FROM extension_versions v WHERE e.id = $1 AND v.id = $1 AND v.version = $2";

/// Remembers the row that names the current version, if there is one, as it is in force: [`KEEP_CURRENT`]
/// writes over it. What is remembered of a version without a row is forgotten.
const REMEMBER_ROW: &str = "UPDATE extensions e SET promoted = coalesce(e.promoted, '{}') \
    || jsonb_build_object('rows', \
        (SELECT coalesce(jsonb_object_agg(r.key, r.value), '{}') \
         FROM jsonb_each(e.promoted -> 'rows') AS r (key, value) \
         WHERE r.key <> e.version AND EXISTS ( \
             SELECT FROM extension_versions v WHERE v.id = e.id AND v.version = r.key)) \
        || (SELECT coalesce( \
                jsonb_object_agg(v.version, jsonb_build_object('was', to_jsonb(v.*))), '{}') \
            FROM extension_version_definitions v WHERE v.id = e.id AND v.version = e.version)) \
    WHERE e.id = $1";

/// And by which it is known later that nobody has changed the row since.
const REMEMBER_KEPT: &str = "UPDATE extensions e SET promoted = jsonb_set(e.promoted, \
        ARRAY['rows', v.version, 'kept'], to_jsonb(registry_sha256(to_jsonb(v.*)::text))) \
    FROM extension_version_definitions v \
    WHERE e.id = $1 AND v.id = e.id AND v.version = e.version \
      AND e.promoted -> 'rows' ? v.version";

/// Makes the row of the version `$2` what it was in force, where it is as it was kept; see
/// [`REMEMBER_ROW`].
const RESTORE_ROW: &str = "SELECT registry_put('versions', \
        jsonb_build_array(e.promoted #> ARRAY['rows', v.version, 'was']))::text \
    FROM extensions e JOIN extension_version_definitions v ON v.id = e.id \
    WHERE e.id = $1 AND v.version = $2 \
      AND e.promoted #>> ARRAY['rows', v.version, 'kept'] = registry_sha256(to_jsonb(v.*)::text)";

/// Rules, rollout and priority of a row that names the current version are its own, and stay. A
/// value is null again where it was null before the promotion, see [`REMEMBER`].
const KEEP_CURRENT: &str = "INSERT INTO extension_version_definitions AS kept \
    (id, version, subject, timeout_ms, retry, config, metadata, routing_rules, rollout, priority, \
    enabled) \
    SELECT id, version, subject, \
    CASE WHEN registry_sha256(timeout_ms::text) IS DISTINCT FROM was ->> 'timeout_ms' \
        THEN timeout_ms END, \
    CASE WHEN registry_sha256(retry::text) IS DISTINCT FROM was ->> 'retry' THEN retry END, \
    CASE WHEN registry_sha256(config::text) IS DISTINCT FROM was ->> 'config' THEN config END, \
    CASE WHEN registry_sha256(metadata::text) IS DISTINCT FROM was ->> 'metadata' \
        THEN metadata END, \
    nullif(was -> 'routing_rules', 'null'), nullif(was -> 'rollout', 'null'), \
    coalesce((was ->> 'priority')::integer, 0), false \
    FROM (SELECT id, version, subject, timeout_ms, retry, \
        coalesce(nullif(config, 'null'), '{}') AS config, \
        coalesce(nullif(metadata, 'null'), '{}') AS metadata, \
        CASE WHEN promoted ->> 'version' = version THEN promoted END AS was \
        FROM extensions WHERE id = $1) AS current \
    ON CONFLICT (id, version) DO UPDATE SET subject = excluded.subject, \
    timeout_ms = excluded.timeout_ms, retry = excluded.retry, config = excluded.config, \
    metadata = excluded.metadata, enabled = false";

const DISABLE_VERSION: &str =
    "UPDATE extension_version_definitions SET enabled = false WHERE id = $1 AND version = $2";

const DELETE_VERSION: &str =
    "DELETE FROM extension_version_definitions WHERE id = $1 AND version = $2";

const DELETE_INSTANCE: &str =
    "DELETE FROM extension_instance_definitions WHERE extension_id = $1 AND instance_id = $2";

const FILL_INSTANCES: &str = "UPDATE extension_instance_definitions SET version = $2 WHERE extension_id = $1 AND version IS NULL";

/// Carries out one step for the extension `id`.
pub(super) async fn carry_out(client: &Client, id: &str, step: &Step) -> Result<(), Error> {
    match step {
        Step::Insert(fields) => EXTENSIONS.put(client, std::slice::from_ref(fields)).await,
        Step::Update(patch) => tables::patch(client, id, patch).await,
        Step::ResetCircuits => reset_circuits(client, &[id]).await,
        Step::Switch {
            enabled,
            auto_disabled,
        } => {
            let parameters: [Parameter<'_>; 3] = [
                (&id, Type::TEXT),
                (enabled, Type::BOOL),
                (auto_disabled, Type::BOOL),
            ];
            run(client, SWITCH, &parameters).await
        }
        Step::Delete => run(client, DELETE, &[(&id, Type::TEXT)]).await,
        Step::PutVersion(fields) => VERSIONS.put(client, &[VERSIONS.row(id, fields)]).await,
        Step::Remember(version) => named(client, REMEMBER, id, version.as_str()).await,
        Step::KeepCurrent => {
            for sql in [REMEMBER_ROW, KEEP_CURRENT, REMEMBER_KEPT] {
                run(client, sql, &[(&id, Type::TEXT)]).await?;
            }
            Ok(())
        }
        Step::TakeRow(version) => take_row(client, id, version.as_str()).await,
        Step::DisableVersion(version) => named(client, DISABLE_VERSION, id, version).await,
        Step::DeleteVersion(version) => named(client, DELETE_VERSION, id, version.as_str()).await,
        Step::PutInstance(fields) => INSTANCES.put(client, &[INSTANCES.row(id, fields)]).await,
        Step::DeleteInstance(instance) => {
            named(client, DELETE_INSTANCE, id, instance.as_str()).await
        }
        Step::FillInstances(version) => named(client, FILL_INSTANCES, id, version.as_str()).await,
    }
}

/// Has every sidecar reset the circuits of `ids` that no override holds.
pub(super) async fn reset_circuits(client: &Client, ids: &[&str]) -> Result<(), Error> {
    run(client, RESET_CIRCUITS, &[(&ids, Type::TEXT_ARRAY)]).await
}

/// Removes the row of a version that has become the current one. One that was in force when it was the
/// current one before is in force again.
async fn take_row(client: &Client, id: &str, version: &str) -> Result<(), Error> {
    let of: [Parameter<'_>; 2] = [(&id, Type::TEXT), (&version, Type::TEXT)];
    let restored = client.query_typed(RESTORE_ROW, &of).await?;
    match restored.is_empty() {
        true => named(client, DELETE_VERSION, id, version).await,
        false => Ok(()),
    }
}

/// A statement about one part of an extension.
async fn named(client: &Client, sql: &str, id: &str, part: &str) -> Result<(), Error> {
    run(client, sql, &[(&id, Type::TEXT), (&part, Type::TEXT)]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::VERSION;

    /// Of the statements only these name columns; a new one of versions would be lost in a promotion.
    #[test]
    fn a_promotion_keeps_every_column_of_a_version() {
        let (_, kept) = KEEP_CURRENT.split_once("AS kept (id, ").unwrap();
        let (kept, _) = kept.split_once(')').unwrap();
        let fields: Vec<_> = VERSION.iter().map(|field| field.name).collect();
        let mut kept: Vec<_> = kept.split(", ").collect();
        kept.sort_by_key(|name| fields.iter().position(|field| field == name));
        assert_eq!(kept, fields);
        for field in fields {
            // A row always has these.
            let given = ["subject", "enabled"].contains(&field);
            let remembered = REMEMBER.contains(&format!("'{field}'"));
            assert_ne!(given, remembered, "{field}");
        }
    }
}
