//! `check`: the effective configuration, and whether what it names can be reached.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::table::{Column, NONE, draw};
use super::{Ended, Invocation, chain, out};
use crate::adapters::nats::connect;
use crate::adapters::postgres::session::Session;
use crate::adapters::postgres::{Pool, inspect};
use crate::app::policy;
use crate::config::{DatabaseSettings, Settings};
use crate::domain::source::SourceMode;

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the configuration and tries every server; 0 when all answer.
pub(super) async fn run(invocation: &Invocation) -> Ended {
    let settings = &invocation.settings;
    out(&effective(invocation));
    for warning in &invocation.warnings {
        out(&format!("warning: {warning}"));
    }
    let mut all = report("NATS", nats(settings).await);
    if let Some(database) = &settings.database {
        all &= report("Postgres", postgres(settings, database).await);
    }
    if settings.source.mode != SourceMode::Database {
        all &= report("fixtures", fixtures(settings).await);
    }
    match all {
        true => Ok(()),
        false => Err(ExitCode::FAILURE),
    }
}

/// One line per variable: name, value (secrets hidden) and who set it.
fn effective(invocation: &Invocation) -> String {
    let entries = &invocation.effective.0;
    let values = entries.iter().map(|entry| entry.value.as_deref());
    let values = values.map(|value| value.unwrap_or(NONE));
    let columns = vec![
        Column::new("variable", entries.iter().map(|entry| entry.name.as_str())),
        Column::new("value", values),
        Column::new("from", entries.iter().map(|entry| entry.origin.to_string())),
    ];
    draw(columns, &invocation.screen)
}

fn report(what: &str, outcome: Result<String, String>) -> bool {
    match &outcome {
        Ok(found) => out(&format!("{what}: {found}")),
        Err(problem) => out(&format!("{what}: FAILED: {problem}")),
    }
    outcome.is_ok()
}

async fn nats(settings: &Settings) -> Result<String, String> {
    let connecting = connect::try_once(&settings.nats, &settings.identity.instance_id);
    let connected = timeout(PATIENCE, connecting).await;
    let connected = connected.map_err(|_| "no answer")?;
    connected.map_err(|error| chain(&error))
}

/// What was found; else what is wrong, one line for each thing.
async fn postgres(settings: &Settings, database: &DatabaseSettings) -> Result<String, String> {
    let instance_id = &settings.identity.instance_id;
    let mut found = Vec::new();
    for endpoint in [&database.pool, &database.listen] {
        let session = Session::open(endpoint, instance_id).await;
        let session = session.map_err(|error| chain(&error))?;
        let schema = inspect::schema(session.client()).await;
        found.push(schema.map_err(|error| error.to_string())?);
        let unreadable = inspect::unreadable(session.client()).await;
        let unreadable: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
        if !unreadable.is_empty() {
            return Err(unreadable.join("\nPostgres: FAILED: "));
        }
    }
    found.dedup();
    let pool = Pool::new(database, instance_id).map_err(|error| error.to_string())?;
    inspect::read(Arc::new(pool), policy(settings)).await?;
    Ok(found.join("; "))
}

async fn fixtures(settings: &Settings) -> Result<String, String> {
    let folder = &settings.source.fixtures_dir;
    match tokio::fs::read_dir(folder).await {
        Ok(_) => Ok(format!("{} can be read", folder.display())),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}
