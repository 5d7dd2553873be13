//! What `check` looks at in a database that lets us in: one line for each thing that is wrong.

use std::sync::Arc;

use tokio_postgres::Client;

use super::error::PostgresError;
use super::place;
use super::pool::Pool;
use super::schema::schema_state;
use super::source::PostgresSource;
use crate::domain::policy::Policy;
use crate::service::source::{Database, Read, Want};
use crate::service::trouble::DatabaseError;

/// Every table that the daemon reads.
const TABLES: [&str; 13] = [
    "extensions",
    "extension_versions",
    "extension_instances",
    "registry_revision",
    "registry_tombstones",
    "extension_health",
    "extension_health_reports",
    "extension_circuit_reports",
    "sidecar_boots",
    "circuit_overrides",
    "rollout_attempts",
    "extension_audit_log",
    "event_claims",
];

/// The schema and where it is; other sets of tables are named, which nobody reads.
///
/// # Errors
/// What makes the database unusable.
pub async fn schema(client: &Client) -> Result<String, DatabaseError> {
    let state = schema_state(client).await?;
    state.usable()?;
    // The session's path is the one schema by now; the others are found all the same.
    let place = place::find(client).await?;
    let mut text = state.to_string();
    if !place.others.is_empty() {
        let (home, others) = (place.home.unwrap_or_default(), place.others.join("`, `"));
        text.push_str(&format!(
            "; `{home}` is used, and there are such tables in `{others}` too"
        ));
    }
    Ok(text)
}

/// Everything that keeps the tables from being read, one line each.
pub async fn unreadable(client: &Client) -> Vec<DatabaseError> {
    let mut faults = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT FROM {table} LIMIT 0");
        if let Err(error) = client.batch_execute(&sql).await {
            faults.push(PostgresError::from(error).into());
        }
    }
    faults
}

/// Reads all definitions as the daemon does.
///
/// # Errors
/// Why it could not.
pub async fn read(pool: Arc<Pool>, policy: Policy) -> Result<usize, String> {
    let source = PostgresSource::new(pool, Arc::new(policy));
    match source.read(&Want::default()).await {
        Ok(Read::Everything(all)) => Ok(all.extensions.len()),
        Ok(_) => Ok(0),
        Err(error) => Err(error.to_string()),
    }
}
