//! `migrate`: the only command that changes the schema.

use std::process::ExitCode;
use std::time::Duration;

use super::{Migrate, chain, err, out};
use crate::adapters::postgres::PostgresError;
use crate::adapters::postgres::migrate::{self, MigrateError};
use crate::adapters::postgres::old;
use crate::adapters::postgres::schema::schema_state;
use crate::adapters::postgres::session::{Session, SessionError};
use crate::config::Settings;
use crate::service::trouble::DatabaseError;

/// How long another starter's migration is waited for.
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
    let migrated = migrate::migrate(session.client_mut(), LOCK_WAIT).await?;
    if let Some(old) = &migrated.old {
        out(&format!("upgraded {old}"));
    }
    for migration in &migrated.applied {
        out(&format!(
            "applied V{} {}",
            migration.version, migration.name
        ));
    }
    if migrated.applied.is_empty() {
        out(&schema_state(session.client()).await?.to_string());
    }
    if what.seed {
        out(&format!(
            "added {} seed extensions",
            migrate::seed(session.client()).await?
        ));
    }
    if what.new_epoch {
        out(&format!(
            "new epoch {}",
            migrate::new_epoch(session.client()).await?
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What `migrate` would do, and what stands in its way.
async fn check(session: &Session) -> Result<ExitCode, Failure> {
    let state = schema_state(session.client()).await?;
    let old = old::look(session.client())
        .await
        .map_err(MigrateError::Database)?;
    if let Some(old) = &old {
        out(&format!("would upgrade {old}"));
    }
    out(&state.to_string());
    let obstacles = old.map(|old| old.obstacles).unwrap_or_default();
    if !obstacles.is_empty() {
        return Err(MigrateError::Obstacles(obstacles).into());
    }
    Ok(if state.is_usable() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
