//! `migrate`: the only command that changes the schema.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::{Ended, chain, database, failure, out};
use crate::adapters::postgres::migrate::{self, MigrateError};
use crate::adapters::postgres::old;
use crate::adapters::postgres::schema::{SchemaState, schema_state};
use crate::adapters::postgres::session::Session;
use crate::config::Settings;
use crate::service::trouble::DatabaseError;

/// How long another starter's migration is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(60);

type Failure = Box<dyn Error>;

/// Migrates, or only says whether that is needed.
pub(super) async fn run(settings: &Settings, arguments: &ArgMatches) -> Ended {
    let database = database(settings)?;
    let session = Session::open(&database.listen, &settings.identity.instance_id).await;
    let unusable = |error| failure(&format!("cannot use the database: {}", chain(&error)));
    let mut session = session.map_err(unusable)?;
    let worked = work(&mut session, arguments).await;
    worked.unwrap_or_else(|error| Err(failure(&chain(&*error))))
}

async fn work(session: &mut Session, arguments: &ArgMatches) -> Result<Ended, Failure> {
    if arguments.get_flag("check") {
        return check(session).await;
    }
    let migrated = migrate::migrate(session.client_mut(), LOCK_WAIT).await?;
    if let Some(old) = &migrated.old {
        out(&format!("upgraded {old}"));
    }
    for migration in &migrated.applied {
        let (version, name) = (migration.version, &migration.name);
        out(&format!("applied V{version} {name}"));
    }
    if migrated.applied.is_empty() {
        out(&schema(session).await?.to_string());
    }
    if arguments.get_flag("seed") {
        let count = migrate::seed(session.client()).await?;
        out(&format!("added {count} seed extensions"));
    }
    if arguments.get_flag("new-epoch") {
        let epoch = migrate::new_epoch(session.client()).await?;
        out(&format!("new epoch {epoch}"));
    }
    Ok(Ok(()))
}

async fn schema(session: &Session) -> Result<SchemaState, DatabaseError> {
    Ok(schema_state(session.client()).await?)
}

/// What `migrate` would do, and what stands in its way.
async fn check(session: &Session) -> Result<Ended, Failure> {
    let state = schema(session).await?;
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
    Ok(match state.is_usable() {
        true => Ok(()),
        false => Err(ExitCode::FAILURE),
    })
}
