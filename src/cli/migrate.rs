//! `migrate`: the only command that changes the schema.

use std::process::ExitCode;
use std::time::Duration;

use super::{Migrate, chain, err, out};
use crate::adapters::postgres::migrate::{self, MigrateError};
use crate::adapters::postgres::patience::{self, Patience};
use crate::adapters::postgres::schema::{SchemaState, schema_state};
use crate::adapters::postgres::session::{Session, SessionError};
use crate::adapters::postgres::{PostgresError, functions, old};
use crate::config::Settings;
use crate::service::trouble::DatabaseError;

/// How long another starter's migration is waited for, and how long whoever holds the tables.
const LOCK_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot use the database")]
    Session(#[from] SessionError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    State(#[from] DatabaseError),
}

impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Self {
        Self::State(error.into())
    }
}

/// Migrates, or only says whether that is needed.
pub(super) async fn run(settings: &Settings, what: Migrate) -> ExitCode {
    let Some(database) = &settings.database else {
        return super::no_database();
    };
    let session = Session::open(&database.listen, &settings.identity.instance_id).await;
    let result = match session {
        Ok(mut session) => work(&mut session, what).await,
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            err(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn work(session: &mut Session, what: Migrate) -> Result<ExitCode, Failure> {
    if what.check {
        return check(session).await;
    }
    let tell = |holders: &[String]| {
        err(&format!(
            "waiting for a lock held by {}",
            holders.join("; ")
        ))
    };
    let client = session.client_mut();
    let migrated = migrate::migrate_telling(client, LOCK_WAIT, tell).await?;
    if let Some(old) = &migrated.old {
        out(&format!("upgraded {old}"));
    }
    for migration in &migrated.applied {
        out(&format!(
            "applied V{} {}",
            migration.version, migration.name
        ));
    }
    if migrated.functions {
        out("applied functions, views and triggers");
    } else {
        out(&schema_state(client).await?.to_string());
    }
    let patience = Patience::begin(client, LOCK_WAIT, tell).await;
    let mut patience = patience.map_err(MigrateError::Database)?;
    if what.seed {
        let added = loop {
            match migrate::seed(client).await {
                Ok(added) => break added,
                Err(error) => patience.after(client, error).await?,
            }
        };
        out(&format!("added {added} seed extensions"));
    }
    if what.new_epoch {
        let epoch = loop {
            match migrate::new_epoch(client).await {
                Ok(epoch) => break epoch,
                Err(error) => patience.after(client, error).await?,
            }
        };
        out(&format!("new epoch {epoch}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What `migrate` would do, and what stands in its way.
async fn check(session: &Session) -> Result<ExitCode, Failure> {
    let limited = patience::one_try(session.client()).await;
    limited.map_err(MigrateError::Database)?;
    let state = schema_state(session.client()).await?;
    let old = old::look(session.client())
        .await
        .map_err(MigrateError::Database)?;
    if let Some(old) = &old {
        out(&format!("would upgrade {old}"));
    }
    let current = functions_are_current(session, state).await?;
    match state {
        SchemaState::Current if !current => out("functions, views or triggers are not up to date"),
        _ => out(&state.to_string()),
    }
    let obstacles = old.map(|old| old.obstacles).unwrap_or_default();
    if !obstacles.is_empty() {
        return Err(MigrateError::Obstacles(obstacles).into());
    }
    Ok(if state.is_usable() && current {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// True also where they are not for this binary to change.
async fn functions_are_current(session: &Session, state: SchemaState) -> Result<bool, Failure> {
    if state != SchemaState::Current {
        return Ok(true);
    }
    let current = functions::are_current(session.client()).await;
    Ok(current.map_err(MigrateError::Database)?)
}
