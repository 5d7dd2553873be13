//! `migrate`: the only command that changes the schema.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::{Ended, chain, database, err, failure, out};
use crate::adapters::postgres::migrate::{self, MigrateError};
use crate::adapters::postgres::patience::{self, Patience};
use crate::adapters::postgres::schema::schema_state;
use crate::adapters::postgres::session::Session;
use crate::adapters::postgres::{functions, old};
use crate::config::Settings;
use crate::service::trouble::Trouble;

/// How long another starter's migration is waited for, and how long a holder of the tables.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// For an account that may not.
const OWNER: &str = "migrate with the account that owns the schema: beamline_owner where \
    deploy/postgres/roles.sql was run (run it again if another account has migrated)";

/// Where its rows are hidden from the owner too.
const HIDDEN: &str =
    "run ALTER TABLE ... DISABLE ROW LEVEL SECURITY on that table, then migrate again";

/// Migrates, or only reports whether that is needed.
pub(super) async fn run(settings: &Settings, arguments: &ArgMatches) -> Ended {
    let database = database(settings)?;
    let session = Session::open(&database.listen, &settings.identity.instance_id).await;
    let unusable = |error: String| failure(&format!("cannot use the database: {error}"));
    let mut session = session.map_err(unusable)?;
    let worked = match arguments.get_flag("check") {
        true => check(&session).await,
        false => work(&mut session, arguments).await.map(|()| true),
    };
    match worked {
        Ok(true) => Ok(()),
        Ok(false) => Err(ExitCode::FAILURE),
        Err(error) => Err(failure(&explained(&error))),
    }
}

/// The error, and what to do about it where the account may not migrate.
fn explained(error: &MigrateError) -> String {
    let text = chain(error);
    match error.refused() {
        Some(Trouble::NotAllowed) => format!("{text}\n{OWNER}"),
        Some(Trouble::Hidden) => format!("{text}\n{HIDDEN}"),
        _ => text,
    }
}

async fn work(session: &mut Session, arguments: &ArgMatches) -> Result<(), MigrateError> {
    let tell = |holders: &[String]| {
        err(&format!(
            "waiting for a lock held by {}",
            holders.join("; ")
        ))
    };
    let migrated = migrate::migrate_telling(session.client_mut(), LOCK_WAIT, tell).await?;
    if let Some(old) = &migrated.old {
        out(&format!("upgraded {old}"));
    }
    for (version, name) in &migrated.applied {
        out(&format!("applied V{version} {name}"));
    }
    let client = session.client();
    if migrated.functions {
        out("applied functions, views and triggers");
    } else {
        out(&schema_state(client).await?.to_string());
    }
    let mut patience = Patience::begin(client, LOCK_WAIT, tell).await?;
    if arguments.get_flag("seed") {
        let added = patience.of(client, || migrate::seed(client)).await?;
        out(&format!("added {added} seed extensions"));
    }
    if arguments.get_flag("new-epoch") {
        let epoch = patience.of(client, || migrate::new_epoch(client)).await?;
        out(&format!("new epoch {epoch}"));
    }
    if let Some(age) = arguments.get_one::<Duration>("prune-audit") {
        let mut pruned = 0;
        let prune = || migrate::prune_audit(client, *age);
        while let more @ 1.. = patience.of(client, prune).await? {
            pruned += more;
        }
        out(&format!("pruned {pruned} audit entries"));
    }
    Ok(())
}

/// What `migrate` would do, and what prevents it; whether there is nothing to do.
async fn check(session: &Session) -> Result<bool, MigrateError> {
    let client = session.client();
    patience::one_try(client).await?;
    let state = schema_state(client).await?;
    let old = old::look(client).await?;
    if let Some(old) = &old {
        out(&format!("would upgrade {old}"));
    }
    // Of another schema, they are not for this binary to change.
    let current = !state.is_current() || functions::are_current(client).await?;
    match current {
        true => out(&state.to_string()),
        false => out("functions, views or triggers are not up to date"),
    }
    let obstacles = old.map(|old| old.obstacles).unwrap_or_default();
    if !obstacles.is_empty() {
        return Err(MigrateError::Obstacles(obstacles));
    }
    Ok(state.is_usable() && current)
}
