//! One statement for each step of a plan.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use crate::domain::edit::Step;
use crate::domain::extension::{Extension, Instance, Version};

pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

const INSERT: &str = "INSERT INTO extensions (id, type, subject, timeout_ms, retry, enabled, \
    auto_disabled, version, config, metadata, fallback, routing_rules, rollout, circuit_breaker) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb, \
    $11::text::jsonb, $12::text::jsonb, $13::text::jsonb, $14::text::jsonb)";

const UPDATE: &str = "UPDATE extensions SET type = $2, subject = $3, timeout_ms = $4, \
    retry = $5, enabled = $6, auto_disabled = $7, version = $8, config = $9::text::jsonb, \
    metadata = $10::text::jsonb, fallback = $11::text::jsonb, \
    routing_rules = $12::text::jsonb, rollout = $13::text::jsonb, \
    circuit_breaker = $14::text::jsonb WHERE id = $1";

const DELETE: &str = "DELETE FROM extensions WHERE id = $1";

const PUT_VERSION: &str = "INSERT INTO extension_versions (id, version, subject, timeout_ms, \
    retry, config, metadata, routing_rules, rollout, priority, enabled) \
    VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb, $8::text::jsonb, \
    $9::text::jsonb, $10, $11) \
    ON CONFLICT (id, version) DO UPDATE SET subject = excluded.subject, \
    timeout_ms = excluded.timeout_ms, retry = excluded.retry, config = excluded.config, \
    metadata = excluded.metadata, routing_rules = excluded.routing_rules, \
    rollout = excluded.rollout, priority = excluded.priority, enabled = excluded.enabled";

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
    let of = |name: &dyn AsRef<str>| name.as_ref().to_owned();
    match step {
        Step::Insert(extension) => write_extension(client, INSERT, extension).await,
        Step::Update(extension) => write_extension(client, UPDATE, extension).await,
        Step::Delete => run(client, DELETE, &[(&id, Type::TEXT)]).await,
        Step::PutVersion(version) => put_version(client, id, version).await,
        Step::DeleteVersion(version) => {
            let version = of(&version.as_str());
            let parameters: [Parameter<'_>; 2] = [(&id, Type::TEXT), (&version, Type::TEXT)];
            run(client, DELETE_VERSION, &parameters).await
        }
        Step::PutInstance(instance) => put_instance(client, id, instance).await,
        Step::DeleteInstance(instance) => {
            let instance = of(&instance.as_str());
            let parameters: [Parameter<'_>; 2] = [(&id, Type::TEXT), (&instance, Type::TEXT)];
            run(client, DELETE_INSTANCE, &parameters).await
        }
        Step::FillInstances(version) => {
            let version = of(&version.as_str());
            let parameters: [Parameter<'_>; 2] = [(&id, Type::TEXT), (&version, Type::TEXT)];
            run(client, FILL_INSTANCES, &parameters).await
        }
    }
}

async fn write_extension(client: &Client, sql: &str, it: &Extension) -> Result<(), Error> {
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
    run(client, sql, &parameters).await
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

async fn run(client: &Client, sql: &str, parameters: &[Parameter<'_>]) -> Result<(), Error> {
    client.query_typed(sql, parameters).await.map(drop)
}

/// Limits were checked: no timeout and no number of retries comes near 2^31.
fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
