//! One statement for each step of a plan.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use crate::domain::edit::{ExtensionColumns, Step};
use crate::domain::extension::{Extension, Instance, Version};

pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

const INSERT: &str = "INSERT INTO extensions (id, type, subject, timeout_ms, retry, enabled, \
    auto_disabled, version, config, metadata, fallback, routing_rules, rollout, circuit_breaker) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb, \
    $11::text::jsonb, $12::text::jsonb, $13::text::jsonb, $14::text::jsonb)";

/// Only what changes is written: a value that the daemon would write another way stays as it is.
const UPDATE: &str = "UPDATE extensions SET subject = coalesce($2, subject), \
    version = coalesce($3, version), timeout_ms = coalesce($4, timeout_ms), \
    retry = coalesce($5, retry), enabled = coalesce($6, enabled), \
    config = coalesce($7::text::jsonb, config), metadata = coalesce($8::text::jsonb, metadata), \
    fallback = CASE WHEN $9 THEN $10::text::jsonb ELSE fallback END, \
    routing_rules = CASE WHEN $11 THEN $12::text::jsonb ELSE routing_rules END, \
    rollout = CASE WHEN $13 THEN $14::text::jsonb ELSE rollout END, \
    circuit_breaker = CASE WHEN $15 THEN $16::text::jsonb ELSE circuit_breaker END WHERE id = $1";

const SWITCH: &str = "UPDATE extensions SET enabled = $2, auto_disabled = $3 WHERE id = $1";

/// As an operator's reset, which every sidecar heeds once; overrides in force stay.
const RESET_CIRCUITS: &str = "WITH versions AS ( \
        SELECT id, version FROM extensions WHERE id = $1 \
        UNION SELECT id, version FROM extension_versions WHERE id = $1), \
    reset AS ( \
        INSERT INTO circuit_overrides AS o \
            (extension_id, version, action, change, until, set_by, actor_source) \
        SELECT id, version, 'reset', gen_random_uuid(), now() + interval '10 minutes', \
            registry_actor(), registry_actor_source() \
        FROM versions \
        ON CONFLICT (extension_id, version) DO UPDATE \
        SET action = excluded.action, change = excluded.change, until = excluded.until, \
            reason = NULL, set_by = excluded.set_by, actor_source = excluded.actor_source, \
            set_at = now() \
        WHERE o.action = 'reset' OR o.until <= now() \
        RETURNING true) \
    SELECT pg_notify('beamline_registry', 'override')::text WHERE EXISTS (SELECT FROM reset)";

const DELETE: &str = "DELETE FROM extensions WHERE id = $1";

const PUT_VERSION: &str = "INSERT INTO extension_versions (id, version, subject, timeout_ms, \
    retry, config, metadata, routing_rules, rollout, priority, enabled) \
    VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8::text::jsonb, \
    $9::text::jsonb, $10, $11) \
    ON CONFLICT (id, version) DO UPDATE SET subject = excluded.subject, \
    timeout_ms = excluded.timeout_ms, retry = excluded.retry, config = excluded.config, \
    metadata = excluded.metadata, routing_rules = excluded.routing_rules, \
    rollout = excluded.rollout, priority = excluded.priority, enabled = excluded.enabled";

/// Remembers of the row `$2` what its promotion would lose: its rules, and which of its values are
/// null. Of those the value that the extension has then, as a hash: once it is another, somebody has
/// given the version one of its own.
const REMEMBER: &str = "UPDATE extensions e SET promoted = jsonb_build_object('version', v.version, \
    'routing_rules', v.routing_rules, 'rollout', v.rollout, 'priority', v.priority, \
    'timeout_ms', CASE WHEN v.timeout_ms IS NULL THEN md5(e.timeout_ms::text) END, \
    'retry', CASE WHEN v.retry IS NULL THEN md5(e.retry::text) END, \
    'config', CASE WHEN coalesce(v.config, 'null') = 'null' \
        THEN md5(coalesce(e.config, '{}')::text) END, \
    'metadata', CASE WHEN coalesce(v.metadata, 'null') = 'null' \
        THEN md5(coalesce(e.metadata, '{}')::text) END) \
    FROM extension_versions v WHERE e.id = $1 AND v.id = $1 AND v.version = $2";

/// Rules, rollout and priority of a row that names the current version are its own, and stay. A
/// value is null again where it was null before the promotion, see [`REMEMBER`].
const KEEP_CURRENT: &str = "INSERT INTO extension_versions AS kept \
    (id, version, subject, timeout_ms, retry, config, metadata, routing_rules, rollout, priority, \
    enabled) \
    SELECT id, version, subject, \
    CASE WHEN md5(timeout_ms::text) IS DISTINCT FROM was ->> 'timeout_ms' THEN timeout_ms END, \
    CASE WHEN md5(retry::text) IS DISTINCT FROM was ->> 'retry' THEN retry END, \
    CASE WHEN md5(config::text) IS DISTINCT FROM was ->> 'config' THEN config END, \
    CASE WHEN md5(metadata::text) IS DISTINCT FROM was ->> 'metadata' THEN metadata END, \
    nullif(was -> 'routing_rules', 'null'), nullif(was -> 'rollout', 'null'), \
    coalesce((was ->> 'priority')::integer, 0), false \
    FROM (SELECT id, version, subject, timeout_ms, retry, coalesce(config, '{}') AS config, \
        coalesce(metadata, '{}') AS metadata, \
        CASE WHEN promoted ->> 'version' = version THEN promoted END AS was \
        FROM extensions WHERE id = $1) AS current \
    ON CONFLICT (id, version) DO UPDATE SET subject = excluded.subject, \
    timeout_ms = excluded.timeout_ms, retry = excluded.retry, config = excluded.config, \
    metadata = excluded.metadata, enabled = false";

const DISABLE_VERSION: &str =
    "UPDATE extension_versions SET enabled = false WHERE id = $1 AND version = $2";

const DELETE_VERSION: &str = "DELETE FROM extension_versions WHERE id = $1 AND version = $2";

const PUT_INSTANCE: &str = "INSERT INTO extension_instances (extension_id, instance_id, version, \
    subject, weight, enabled) VALUES ($1, $2, $3, $4, $5, $6) \
    ON CONFLICT (extension_id, instance_id) DO UPDATE SET version = excluded.version, \
    subject = excluded.subject, weight = excluded.weight, enabled = excluded.enabled";

const DELETE_INSTANCE: &str =
    "DELETE FROM extension_instances WHERE extension_id = $1 AND instance_id = $2";

const FILL_INSTANCES: &str =
    "UPDATE extension_instances SET version = $2 WHERE extension_id = $1 AND version IS NULL";

/// Carries out one step for the extension `id`.
pub(super) async fn carry_out(client: &Client, id: &str, step: &Step) -> Result<(), Error> {
    match step {
        Step::Insert(extension) => insert(client, extension).await,
        Step::Update(columns) => update(client, id, columns).await,
        Step::ResetCircuits => run(client, RESET_CIRCUITS, &[(&id, Type::TEXT)]).await,
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
        Step::PutVersion(version) => put_version(client, id, version).await,
        Step::Remember(version) => named(client, REMEMBER, id, version.as_str()).await,
        Step::KeepCurrent => run(client, KEEP_CURRENT, &[(&id, Type::TEXT)]).await,
        Step::DisableVersion(version) => named(client, DISABLE_VERSION, id, version).await,
        Step::DeleteVersion(version) => named(client, DELETE_VERSION, id, version.as_str()).await,
        Step::PutInstance(instance) => put_instance(client, id, instance).await,
        Step::DeleteInstance(instance) => {
            named(client, DELETE_INSTANCE, id, instance.as_str()).await
        }
        Step::FillInstances(version) => named(client, FILL_INSTANCES, id, version.as_str()).await,
    }
}

async fn insert(client: &Client, it: &Extension) -> Result<(), Error> {
    let (timeout_ms, retry) = (integer(it.timeout_ms), integer(it.retry));
    let fallback = (!it.fallback.is_empty()).then(|| {
        let ids: Vec<_> = it.fallback.iter().map(|id| id.as_str()).collect();
        serde_json::Value::from(ids).to_string()
    });
    let routing_rules = it.routing_rules.as_ref().map(|it| it.source().as_str());
    let rollout = it.rollout.as_ref().map(|it| it.source().as_str());
    let circuit_breaker = it.circuit_breaker.as_ref().map(|it| it.as_str());
    let parameters: [Parameter<'_>; 14] = [
        (&it.id.as_str(), Type::TEXT),
        (&it.kind.as_str(), Type::TEXT),
        (&it.subject.as_str(), Type::TEXT),
        (&timeout_ms, Type::INT4),
        (&retry, Type::INT4),
        (&it.enabled, Type::BOOL),
        (&it.auto_disabled, Type::BOOL),
        (&it.version.as_str(), Type::TEXT),
        (&it.config.as_str(), Type::TEXT),
        (&it.metadata.as_str(), Type::TEXT),
        (&fallback, Type::TEXT),
        (&routing_rules, Type::TEXT),
        (&rollout, Type::TEXT),
        (&circuit_breaker, Type::TEXT),
    ];
    run(client, INSERT, &parameters).await
}

async fn update(client: &Client, id: &str, it: &ExtensionColumns) -> Result<(), Error> {
    let parameters: [Parameter<'_>; 16] = [
        (&id, Type::TEXT),
        (&it.subject, Type::TEXT),
        (&it.version, Type::TEXT),
        (&it.timeout_ms, Type::INT4),
        (&it.retry, Type::INT4),
        (&it.enabled, Type::BOOL),
        (&it.config, Type::TEXT),
        (&it.metadata, Type::TEXT),
        (&it.fallback.is_some(), Type::BOOL),
        (&it.fallback.as_ref().and_then(Option::as_ref), Type::TEXT),
        (&it.routing_rules.is_some(), Type::BOOL),
        (
            &it.routing_rules.as_ref().and_then(Option::as_ref),
            Type::TEXT,
        ),
        (&it.rollout.is_some(), Type::BOOL),
        (&it.rollout.as_ref().and_then(Option::as_ref), Type::TEXT),
        (&it.circuit_breaker.is_some(), Type::BOOL),
        (
            &it.circuit_breaker.as_ref().and_then(Option::as_ref),
            Type::TEXT,
        ),
    ];
    run(client, UPDATE, &parameters).await
}

async fn put_version(client: &Client, id: &str, it: &Version) -> Result<(), Error> {
    let (timeout_ms, retry) = (it.timeout_ms.map(integer), it.retry.map(integer));
    let config = it.config.as_ref().map(|it| it.as_str());
    let metadata = it.metadata.as_ref().map(|it| it.as_str());
    let routing_rules = it.routing_rules.as_ref().map(|it| it.source().as_str());
    let rollout = it.rollout.as_ref().map(|it| it.source().as_str());
    let parameters: [Parameter<'_>; 11] = [
        (&id, Type::TEXT),
        (&it.version.as_str(), Type::TEXT),
        (&it.subject.as_str(), Type::TEXT),
        (&timeout_ms, Type::INT4),
        (&retry, Type::INT4),
        (&config, Type::TEXT),
        (&metadata, Type::TEXT),
        (&routing_rules, Type::TEXT),
        (&rollout, Type::TEXT),
        (&it.priority, Type::INT4),
        (&it.enabled, Type::BOOL),
    ];
    run(client, PUT_VERSION, &parameters).await
}

async fn put_instance(client: &Client, id: &str, it: &Instance) -> Result<(), Error> {
    let weight = i32::from(it.weight);
    let parameters: [Parameter<'_>; 6] = [
        (&id, Type::TEXT),
        (&it.instance_id.as_str(), Type::TEXT),
        (&it.version.as_str(), Type::TEXT),
        (&it.subject.as_str(), Type::TEXT),
        (&weight, Type::INT4),
        (&it.enabled, Type::BOOL),
    ];
    run(client, PUT_INSTANCE, &parameters).await
}

/// A statement about one part of an extension.
async fn named(client: &Client, sql: &str, id: &str, part: &str) -> Result<(), Error> {
    run(client, sql, &[(&id, Type::TEXT), (&part, Type::TEXT)]).await
}

async fn run(client: &Client, sql: &str, parameters: &[Parameter<'_>]) -> Result<(), Error> {
    client.query_typed(sql, parameters).await.map(drop)
}

/// Limits were checked: no timeout and no number of retries comes near 2^31.
fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
