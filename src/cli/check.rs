//! `check`: the effective configuration, and whether what it names can be reached.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::table::{Column, NONE, draw};
use super::{Invocation, chain, out};
use crate::adapters::nats::connect;
use crate::adapters::postgres::session::Session;
use crate::adapters::postgres::{Pool, inspect};
use crate::app::policy;
use crate::config::{DatabaseSettings, Settings};
use crate::domain::source::SourceMode;

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the configuration and tries every server; 0 when all answer.
pub(super) async fn run(invocation: &Invocation) -> ExitCode {
    let settings = &invocation.settings;
    out(&effective(invocation));
    for warning in &invocation.warnings {
        out(&format!("warning: {warning}"));
    }
    let mut all = report("NATS", nats(settings).await);
    if let Some(database) = &settings.database {
        all &= postgres(settings, database).await;
    }
    if settings.source.mode != SourceMode::Database {
        all &= report("fixtures", fixtures(settings).await);
    }
    match all {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// One line per variable: name, value (secrets hidden) and who set it.
fn effective(invocation: &Invocation) -> String {
    let entries = &invocation.effective.0;
    let values = entries
        .iter()
        .map(|entry| entry.value.as_deref().unwrap_or(NONE));
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
    connected
        .map_err(|_| "no answer".to_owned())?
        .map_err(|error| chain(&error))
}

/// One line for each thing that is wrong; then what was found.
async fn postgres(settings: &Settings, database: &DatabaseSettings) -> bool {
    let instance_id = &settings.identity.instance_id;
    let mut found = Vec::new();
    for endpoint in [&database.pool, &database.listen] {
        let session = match Session::open(endpoint, instance_id).await {
            Ok(session) => session,
            Err(error) => return report("Postgres", Err(chain(&error))),
        };
        match inspect::schema(session.client()).await {
            Ok(state) => found.push(state),
            Err(error) => return report("Postgres", Err(error.to_string())),
        }
        let unreadable = inspect::unreadable(session.client()).await;
        if !unreadable.is_empty() {
            for error in unreadable {
                report("Postgres", Err(error.to_string()));
            }
            return false;
        }
    }
    found.dedup();
    let read = match Pool::new(database, instance_id) {
        Ok(pool) => inspect::read(Arc::new(pool), policy(settings)).await,
        Err(error) => Err(error.to_string()),
    };
    report("Postgres", read.map(|_| found.join("; ")))
}

async fn fixtures(settings: &Settings) -> Result<String, String> {
    let folder = &settings.source.fixtures_dir;
    match tokio::fs::read_dir(folder).await {
        Ok(_) => Ok(format!("{} can be read", folder.display())),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}
