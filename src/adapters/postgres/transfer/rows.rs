//! The statements that write rows, many at a time.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::columns::{Extensions, Instances, Versions};
use crate::domain::extension::Extension;
use crate::domain::ids::ExtensionId;

const INSERT: &str = "INSERT INTO extensions (id, type, subject, timeout_ms, retry, enabled, \
    version, config, metadata, fallback, routing_rules, rollout, circuit_breaker) \
    SELECT id, type, subject, timeout_ms, retry, enabled, version, config::jsonb, \
        metadata::jsonb, fallback::jsonb, routing_rules::jsonb, rollout::jsonb, \
        circuit_breaker::jsonb \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::boolean[], \
        $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]) \
        AS n (id, type, subject, timeout_ms, retry, enabled, version, config, metadata, fallback, \
            routing_rules, rollout, circuit_breaker)";

/// `auto_disabled` is the machine's, and stays.
const UPDATE: &str = "UPDATE extensions e SET type = n.type, subject = n.subject, \
        timeout_ms = n.timeout_ms, retry = n.retry, enabled = n.enabled, version = n.version, \
        config = n.config::jsonb, metadata = n.metadata::jsonb, fallback = n.fallback::jsonb, \
        routing_rules = n.routing_rules::jsonb, rollout = n.rollout::jsonb, \
        circuit_breaker = n.circuit_breaker::jsonb, promoted = NULL \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::boolean[], \
        $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]) \
        AS n (id, type, subject, timeout_ms, retry, enabled, version, config, metadata, fallback, \
            routing_rules, rollout, circuit_breaker) \
    WHERE e.id = n.id";

/// No subject begins with a space, and no two ids are the same.
const VACATE: &str = "UPDATE extensions SET subject = ' ' || id WHERE id = ANY ($1)";

const DELETE_VERSIONS: &str = "DELETE FROM extension_versions v WHERE v.id = ANY ($1) \
    AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS n (id, version) \
        WHERE n.id = v.id AND n.version = v.version)";

const DELETE_INSTANCES: &str = "DELETE FROM extension_instances i WHERE i.extension_id = ANY ($1) \
    AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS n (id, instance_id) \
        WHERE n.id = i.extension_id AND n.instance_id = i.instance_id)";

/// All versions of an extension are put, also the ones that did not differ: a change of the current
/// version switches off the row of the one before.
const PUT_VERSIONS: &str = "INSERT INTO extension_versions (id, version, subject, timeout_ms, \
        retry, config, metadata, routing_rules, rollout, priority, enabled) \
    SELECT id, version, subject, timeout_ms, retry, config::jsonb, metadata::jsonb, \
        routing_rules::jsonb, rollout::jsonb, priority, enabled \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::text[], \
        $7::text[], $8::text[], $9::text[], $10::integer[], $11::boolean[]) \
        AS n (id, version, subject, timeout_ms, retry, config, metadata, routing_rules, rollout, \
            priority, enabled) \
    ON CONFLICT (id, version) DO UPDATE SET subject = excluded.subject, \
        timeout_ms = excluded.timeout_ms, retry = excluded.retry, config = excluded.config, \
        metadata = excluded.metadata, routing_rules = excluded.routing_rules, \
        rollout = excluded.rollout, priority = excluded.priority, enabled = excluded.enabled";

const PUT_INSTANCES: &str = "INSERT INTO extension_instances (extension_id, instance_id, \
        version, subject, weight, enabled) \
    SELECT id, instance_id, version, subject, weight, enabled \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::boolean[]) \
        AS n (id, instance_id, version, subject, weight, enabled) \
    ON CONFLICT (extension_id, instance_id) DO UPDATE SET version = excluded.version, \
        subject = excluded.subject, weight = excluded.weight, enabled = excluded.enabled";

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Adds extensions that are not there, with their parts.
pub(super) async fn create(client: &Client, all: &[&Extension]) -> Result<(), Error> {
    extensions(client, INSERT, &Extensions::of(all)).await?;
    put_versions(client, &Versions::of(all)).await?;
    put_instances(client, &Instances::of(all)).await
}

/// Replaces extensions that are there, and their parts.
pub(super) async fn replace(client: &Client, all: &[&Extension]) -> Result<(), Error> {
    let (own, versions, instances) = (Extensions::of(all), Versions::of(all), Instances::of(all));
    extensions(client, UPDATE, &own).await?;
    let (ids, kept) = (&own.ids, &versions);
    delete(client, DELETE_VERSIONS, ids, &kept.ids, &kept.versions).await?;
    let kept = &instances;
    delete(client, DELETE_INSTANCES, ids, &kept.ids, &kept.instances).await?;
    put_versions(client, &versions).await?;
    put_instances(client, &instances).await
}

/// Takes their subjects from extensions.
pub(super) async fn vacate(client: &Client, ids: &[&ExtensionId]) -> Result<(), Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
    run(client, VACATE, &[(&ids, Type::TEXT_ARRAY)]).await
}

async fn extensions(client: &Client, sql: &str, it: &Extensions<'_>) -> Result<(), Error> {
    let parameters: [Parameter<'_>; 13] = [
        (&it.ids, Type::TEXT_ARRAY),
        (&it.kinds, Type::TEXT_ARRAY),
        (&it.subjects, Type::TEXT_ARRAY),
        (&it.timeouts_ms, Type::INT4_ARRAY),
        (&it.retries, Type::INT4_ARRAY),
        (&it.enabled, Type::BOOL_ARRAY),
        (&it.versions, Type::TEXT_ARRAY),
        (&it.configs, Type::TEXT_ARRAY),
        (&it.metadata, Type::TEXT_ARRAY),
        (&it.fallbacks, Type::TEXT_ARRAY),
        (&it.routing_rules, Type::TEXT_ARRAY),
        (&it.rollouts, Type::TEXT_ARRAY),
        (&it.circuit_breakers, Type::TEXT_ARRAY),
    ];
    run(client, sql, &parameters).await
}

async fn put_versions(client: &Client, it: &Versions<'_>) -> Result<(), Error> {
    if it.ids.is_empty() {
        return Ok(());
    }
    let parameters: [Parameter<'_>; 11] = [
        (&it.ids, Type::TEXT_ARRAY),
        (&it.versions, Type::TEXT_ARRAY),
        (&it.subjects, Type::TEXT_ARRAY),
        (&it.timeouts_ms, Type::INT4_ARRAY),
        (&it.retries, Type::INT4_ARRAY),
        (&it.configs, Type::TEXT_ARRAY),
        (&it.metadata, Type::TEXT_ARRAY),
        (&it.routing_rules, Type::TEXT_ARRAY),
        (&it.rollouts, Type::TEXT_ARRAY),
        (&it.priorities, Type::INT4_ARRAY),
        (&it.enabled, Type::BOOL_ARRAY),
    ];
    run(client, PUT_VERSIONS, &parameters).await
}

async fn put_instances(client: &Client, it: &Instances<'_>) -> Result<(), Error> {
    if it.ids.is_empty() {
        return Ok(());
    }
    let parameters: [Parameter<'_>; 6] = [
        (&it.ids, Type::TEXT_ARRAY),
        (&it.instances, Type::TEXT_ARRAY),
        (&it.versions, Type::TEXT_ARRAY),
        (&it.subjects, Type::TEXT_ARRAY),
        (&it.weights, Type::INT4_ARRAY),
        (&it.enabled, Type::BOOL_ARRAY),
    ];
    run(client, PUT_INSTANCES, &parameters).await
}

/// Removes the parts of `ids` that are not among those kept.
async fn delete(
    client: &Client,
    sql: &str,
    ids: &[&str],
    kept_of: &[&str],
    kept: &[&str],
) -> Result<(), Error> {
    let parameters: [Parameter<'_>; 3] = [
        (&ids, Type::TEXT_ARRAY),
        (&kept_of, Type::TEXT_ARRAY),
        (&kept, Type::TEXT_ARRAY),
    ];
    run(client, sql, &parameters).await
}

async fn run(client: &Client, sql: &str, parameters: &[Parameter<'_>]) -> Result<(), Error> {
    client.query_typed(sql, parameters).await.map(drop)
}
