//! `check`: the effective configuration, and whether what it names can be reached.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use super::{Invocation, chain, out, table};
use crate::adapters::nats::connect;
use crate::adapters::postgres::schema::schema_state;
use crate::adapters::postgres::session::Session;
use crate::config::{DatabaseSettings, Settings};
use crate::domain::source::SourceMode;

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the configuration and tries every server; 0 when all answer.
pub(super) async fn run(invocation: &Invocation) -> ExitCode {
    let settings = &invocation.settings;
    out(&table(&invocation.effective));
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
    if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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

async fn postgres(settings: &Settings, database: &DatabaseSettings) -> Result<String, String> {
    let instance_id = &settings.identity.instance_id;
    let mut found = Vec::new();
    for endpoint in [&database.pool, &database.listen] {
        let session = Session::open(endpoint, instance_id)
            .await
            .map_err(|e| chain(&e))?;
        let state = schema_state(session.client())
            .await
            .map_err(|error| chain(&error))?;
        if !state.is_usable() {
            return Err(format!("{state}: run `beamline-registry migrate`"));
        }
        found.push(state.to_string());
    }
    found.dedup();
    Ok(found.join("; "))
}

async fn fixtures(settings: &Settings) -> Result<String, String> {
    let folder = &settings.source.fixtures_dir;
    match tokio::fs::read_dir(folder).await {
        Ok(_) => Ok(format!("{} can be read", folder.display())),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}
