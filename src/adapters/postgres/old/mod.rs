//! A database that the old system made: what it looks like, what prevents its upgrade, and the step
//! that brings its tables to where the migrations begin.
//!
//! Two kinds are known, distinguished by their columns: the seeds' SQL in its two phases, and the
//! `011_extensions_registry.sql` that the original deployed. The step is one transaction: it
//! locks the tables, looks for everything that cannot be carried over, and changes something only
//! when there is nothing of that kind. Afterwards the tables are as V1 makes them, so a `migrate`
//! that ends in between picks up there. Its SQL is in `migrations/old/`.

mod kinds;
mod obstacles;
mod report;
mod shape;

use tokio_postgres::{Client, GenericClient};

pub use report::Findings;
use shape::{AUDIT, HEALTH, INSTANCES, Shape, VERSIONS};

use super::migrate::MigrateError;
use super::patience;

const TYPES: &str = include_str!("../../../../migrations/old/types.sql");
const TRIGGERS: &str = include_str!("../../../../migrations/old/triggers.sql");
const KEYS: &str = include_str!("../../../../migrations/old/keys.sql");
const EXTENSIONS: &str = include_str!("../../../../migrations/old/extensions.sql");
const VERSIONS_ORIGINAL: &str = include_str!("../../../../migrations/old/versions_original.sql");
const VERSIONS_ANY: &str = include_str!("../../../../migrations/old/versions.sql");
const INSTANCES_ANY: &str = include_str!("../../../../migrations/old/instances.sql");
const HEALTH_ORIGINAL: &str = include_str!("../../../../migrations/old/health_original.sql");
const HEALTH_ANY: &str = include_str!("../../../../migrations/old/health.sql");
const AUDIT_ORIGINAL: &str = include_str!("../../../../migrations/old/audit_original.sql");
const AUDIT_ANY: &str = include_str!("../../../../migrations/old/audit.sql");

/// What an upgrade of this database would do; `None` where there is nothing of the old system, or
/// its tables are upgraded already. Changes nothing and locks nothing.
///
/// # Errors
/// What Postgres answers.
pub async fn look(client: &impl GenericClient) -> Result<Option<Findings>, tokio_postgres::Error> {
    match Shape::read(client).await? {
        Some(shape) => report::findings(client, &shape).await.map(Some),
        None => Ok(None),
    }
}

/// Brings the tables of the old system to what V1 makes. The caller holds the migration lock.
pub(super) async fn prepare(client: &mut Client) -> Result<Option<Findings>, MigrateError> {
    let transaction = client.transaction().await?;
    let Some(shape) = Shape::read(&transaction).await? else {
        return Ok(None);
    };
    // Rows that a policy hides would be left behind: with this they are an error.
    transaction
        .batch_execute("SET LOCAL row_security = off")
        .await?;
    patience::lock(&transaction, shape.ordinary(), "ACCESS EXCLUSIVE").await?;
    let findings = report::findings(&transaction, &shape).await?;
    if !findings.obstacles.is_empty() {
        return Err(MigrateError::Obstacles(findings.obstacles));
    }
    convert(&transaction, &shape).await?;
    transaction.commit().await?;
    Ok(Some(findings))
}

async fn convert(client: &impl GenericClient, shape: &Shape) -> Result<(), tokio_postgres::Error> {
    let mut resting = Vec::new();
    for table in shape.tables() {
        for row in client.query(TRIGGERS, &[&table]).await? {
            client.batch_execute(row.try_get(0)?).await?;
            resting.push(row.try_get::<_, String>(1)?);
        }
    }
    for row in client.query(TYPES, &[]).await? {
        let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let kind: String = row.try_get(4)?;
        let change = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}");
        client.batch_execute(&change).await?;
    }
    for step in steps(shape) {
        client.batch_execute(step).await?;
    }
    for wake in resting {
        client.batch_execute(&wake).await?;
    }
    Ok(())
}

/// In this order: parts take from their extension what they lack.
fn steps(shape: &Shape) -> impl Iterator<Item = &'static str> {
    let steps = [
        (true, KEYS),
        (true, EXTENSIONS),
        (shape.column(VERSIONS, "enabled"), VERSIONS_ORIGINAL),
        (shape.has(VERSIONS), VERSIONS_ANY),
        (shape.has(INSTANCES), INSTANCES_ANY),
        (shape.original_health(), HEALTH_ORIGINAL),
        (shape.has(HEALTH), HEALTH_ANY),
        (shape.original_audit(), AUDIT_ORIGINAL),
        (shape.has(AUDIT), AUDIT_ANY),
    ];
    let due = steps.into_iter().filter(|(due, _)| *due);
    due.map(|(_, step)| step)
}
