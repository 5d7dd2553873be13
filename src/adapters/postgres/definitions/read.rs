//! The record as it is stored, read under the lock.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use crate::adapters::postgres::columns::Columns;
use crate::domain::edit::{ExtensionFields, InstanceFields, StoredRecord, VersionFields};

const EXTENSION: &str = "SELECT id, type, subject, timeout_ms, retry, enabled, auto_disabled, \
    version, config::text, metadata::text, fallback::text, routing_rules::text, rollout::text, \
    circuit_breaker::text, revision FROM extensions WHERE id = $1";

const VERSIONS: &str = "SELECT version, subject, timeout_ms, retry, config::text, \
    metadata::text, routing_rules::text, rollout::text, priority, enabled \
    FROM extension_versions WHERE id = $1";

const INSTANCES: &str = "SELECT instance_id, version, subject, weight, enabled \
    FROM extension_instances WHERE extension_id = $1";

/// Everything stored about `id`; `None` when there is no such extension.
pub(super) async fn record(client: &Client, id: &str) -> Result<Option<StoredRecord>, Error> {
    let id: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] = [(&id, Type::TEXT)];
    let (own, versions, instances) = tokio::try_join!(
        biased;
        client.query_typed(EXTENSION, &id),
        client.query_typed(VERSIONS, &id),
        client.query_typed(INSTANCES, &id),
    )?;
    let Some(own) = own.first() else {
        return Ok(None);
    };
    let revision: i64 = own.try_get(14)?;
    Ok(Some(StoredRecord {
        extension: extension(own)?,
        versions: versions.iter().map(version).collect::<Result<_, _>>()?,
        instances: instances.iter().map(instance).collect::<Result<_, _>>()?,
        revision: u64::try_from(revision).unwrap_or(0),
    }))
}

fn extension(row: &Row) -> Result<ExtensionFields, Error> {
    let mut columns = Columns::of(row);
    Ok(ExtensionFields {
        id: columns.take()?,
        kind: columns.take()?,
        subject: columns.take()?,
        timeout_ms: columns.integer()?,
        retry: columns.integer()?,
        enabled: columns.take()?,
        auto_disabled: columns.take()?,
        version: columns.take()?,
        config: columns.take()?,
        metadata: columns.take()?,
        fallback: columns.take()?,
        routing_rules: columns.take()?,
        rollout: columns.take()?,
        circuit_breaker: columns.take()?,
    })
}

fn version(row: &Row) -> Result<VersionFields, Error> {
    let mut columns = Columns::of(row);
    Ok(VersionFields {
        version: columns.take()?,
        subject: columns.take()?,
        timeout_ms: columns.integer()?,
        retry: columns.integer()?,
        config: columns.take()?,
        metadata: columns.take()?,
        routing_rules: columns.take()?,
        rollout: columns.take()?,
        priority: columns.integer()?,
        enabled: columns.take()?,
    })
}

fn instance(row: &Row) -> Result<InstanceFields, Error> {
    let mut columns = Columns::of(row);
    Ok(InstanceFields {
        instance_id: columns.take()?,
        version: columns.take()?,
        subject: columns.take()?,
        weight: columns.integer()?,
        enabled: columns.take()?,
    })
}
