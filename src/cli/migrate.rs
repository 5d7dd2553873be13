//! `migrate`: the only command that changes the schema.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::{Ended, chain, database, err, failure, out};
use crate::adapters::postgres::migrate::{self, MigrateError};
use crate::adapters::postgres::patience::{self, Patience};
use crate::adapters::postgres::schema::{SchemaState, schema_state};
use crate::adapters::postgres::session::Session;
use crate::adapters::postgres::{functions, old};
use crate::config::Settings;
use crate::service::trouble::{DatabaseError, Trouble};

/// How long another starter's migration is waited for, and how long a holder of the tables.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// For an account that may not.
const OWNER: &str = "migrate with the account that owns the schema: beamline_owner where \
    deploy/postgres/roles.sql was run (run it again if another account has migrated)";

/// Where its rows are hidden from the owner too.
const HIDDEN: &str =
    "run ALTER TABLE ... DISABLE ROW LEVEL SECURITY on that table, then migrate again";

type Failure = Box<dyn Error>;

/// Migrates, or only reports whether that is needed.
pub(super) async fn run(settings: &Settings, arguments: &ArgMatches) -> Ended {
    let database = database(settings)?;
    let session = Session::open(&database.listen, &settings.identity.instance_id).await;
    let unusable = |error| failure(&format!("cannot use the database: {}", chain(&error)));
    let mut session = session.map_err(unusable)?;
    let worked = work(&mut session, arguments).await;
    worked.unwrap_or_else(|error| Err(failure(&explained(&*error))))
}

/// The error, and what to do about it where the account may not migrate.
fn explained(error: &(dyn Error + 'static)) -> String {
    let text = chain(error);
    match error.downcast_ref().and_then(MigrateError::refused) {
        Some(Trouble::NotAllowed) => format!("{text}\n{OWNER}"),
        Some(Trouble::Hidden) => format!("{text}\n{HIDDEN}"),
        _ => text,
    }
}

async fn work(session: &mut Session, arguments: &ArgMatches) -> Result<Ended, Failure> {
    if arguments.get_flag("check") {
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
    for (version, name) in &migrated.applied {
        out(&format!("applied V{version} {name}"));
    }
    if migrated.functions {
        out("applied functions, views and triggers");
    } else {
        let state = schema_state(client).await.map_err(DatabaseError::from)?;
        out(&state.to_string());
    }
    let patience = Patience::begin(client, LOCK_WAIT, tell).await;
    let mut patience = patience.map_err(MigrateError::Database)?;
    if arguments.get_flag("seed") {
        let added = loop {
            match migrate::seed(client).await {
                Ok(added) => break added,
                Err(error) => patience.after(client, error).await?,
            }
        };
        out(&format!("added {added} seed extensions"));
    }
    if arguments.get_flag("new-epoch") {
        let epoch = loop {
            match migrate::new_epoch(client).await {
                Ok(epoch) => break epoch,
                Err(error) => patience.after(client, error).await?,
            }
        };
        out(&format!("new epoch {epoch}"));
    }
    if let Some(age) = arguments.get_one::<Duration>("prune-audit") {
        let mut pruned = 0;
        loop {
            match migrate::prune_audit(client, *age).await {
                Ok(0) => break,
                Ok(more) => pruned += more,
                Err(error) => patience.after(client, error).await?,
            }
        }
        out(&format!("pruned {pruned} audit entries"));
    }
    Ok(Ok(()))
}

/// What `migrate` would do, and what prevents it.
async fn check(session: &Session) -> Result<Ended, Failure> {
    let client = session.client();
    let limited = patience::one_try(client).await;
    limited.map_err(MigrateError::Database)?;
    let state = schema_state(client).await.map_err(DatabaseError::from)?;
    let old = old::look(client).await.map_err(MigrateError::Database)?;
    if let Some(old) = &old {
        out(&format!("would upgrade {old}"));
    }
    let current = match state {
        SchemaState::Current => functions::are_current(client).await,
        // They are not for this binary to change.
        _ => Ok(true),
    };
    let current = current.map_err(MigrateError::Database)?;
    match state {
        SchemaState::Current if !current => out("functions, views or triggers are not up to date"),
        _ => out(&state.to_string()),
    }
    let obstacles = old.map(|old| old.obstacles).unwrap_or_default();
    if !obstacles.is_empty() {
        return Err(MigrateError::Obstacles(obstacles).into());
    }
    Ok(match state.is_usable() && current {
        true => Ok(()),
        false => Err(ExitCode::FAILURE),
    })
}
