//! Applies `migrations/`: in order, each in a transaction of its own, once, however many start; then
//! the functions, see [`super::functions`].
//!
//! The SQL is embedded, so the binary alone can migrate. refinery takes no lock; an advisory lock
//! of the session does, which needs a direct connection: behind a transaction pooler it would lock
//! another session.

use std::time::Duration;

use tokio_postgres::{Client, error::SqlState};

use super::error::PostgresError;
use super::functions;
use super::old::{self, Findings};
use super::patience::{Patience, refusal};
use super::schema::{SchemaState, SchemaVersion, schema_state};
use super::sort::of_refusal;
use crate::service::trouble::{DatabaseError, Trouble};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Only the file names that refinery knows are migrations; this one is run by [`seed`].
const SEED: &str = include_str!("../../../migrations/seed/extensions.sql");

/// Key of the advisory lock, `beamline` in ASCII. Advisory locks are per database.
const LOCK_KEY: i64 = 0x6265_616d_6c69_6e65;

/// No entry is older.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What a migration did.
#[derive(Debug, Default)]
pub struct Migrated {
    /// What was found of the old system, and upgraded.
    pub old: Option<Findings>,
    /// The migrations that were applied, by number and name: none when the schema was current, or
    /// ahead.
    pub applied: Vec<(SchemaVersion, String)>,
    /// Whether functions, views and triggers were.
    pub functions: bool,
}

/// Why a migration did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Another starter holds the lock.
    #[error("another migration of this database is running and did not finish within {}", humantime::format_duration(*.0))]
    Locked(Duration),
    /// A database of the old system holds what cannot be carried over. Nothing was changed.
    #[error("nothing was changed, because this cannot be carried over:\n  {}\nchange it, then migrate again", .0.join("\n  "))]
    Obstacles(Vec<String>),
    /// Other transactions held what was to be changed until the wait was over; their names, where
    /// they hold it still. What was applied before stays.
    #[error("tables of the registry are held by {}: end that transaction, then migrate again", named(.0))]
    Held(Vec<String>),
    /// A migration failed and was rolled back, the earlier ones stay; or an applied one differs
    /// from the file of the same number.
    #[error("the schema could not be migrated")]
    Migration(#[from] refinery::Error),
    /// Postgres refused or became unreachable.
    #[error("the database did not answer as expected")]
    Database(#[from] tokio_postgres::Error),
    /// This is not a database to make tables in, or they are somewhere else in it, or what needs them
    /// came first.
    #[error(transparent)]
    Unusable(#[from] DatabaseError),
}

impl MigrateError {
    /// What the database refuses, where that is the cause.
    pub fn refused(&self) -> Option<Trouble> {
        refusal(self).map(of_refusal)
    }
}

impl From<PostgresError> for MigrateError {
    fn from(error: PostgresError) -> Self {
        Self::Unusable(error.into())
    }
}

/// The version that this binary brings a schema to.
pub(super) fn newest() -> SchemaVersion {
    let runner = embedded::migrations::runner();
    let versions = runner.get_migrations().iter().map(|it| it.version());
    versions.max().unwrap_or(0)
}

/// Brings the schema up to date, an old system's included, and returns what it did.
///
/// Waits up to `wait` (rounded up to milliseconds) for another starter that is migrating, and as
/// long for transactions that hold its tables. When the future is dropped, closing the connection
/// gives the lock back.
///
/// # Errors
/// See [`MigrateError`]; a later call picks up where this one stopped.
pub async fn migrate(client: &mut Client, wait: Duration) -> Result<Migrated, MigrateError> {
    migrate_telling(client, wait, |_| {}).await
}

/// The same; `tell` is called with the holder of the lock.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_telling(
    client: &mut Client,
    wait: Duration,
    tell: impl FnMut(&[String]),
) -> Result<Migrated, MigrateError> {
    lock(client, wait).await?;
    let result = locked(client, wait, tell).await;
    // A failed unlock means a broken connection, whose end releases the lock as well.
    let limits = client.batch_execute("SET lock_timeout = 0").await;
    let unlocked = client
        .execute("SELECT pg_advisory_unlock($1)", &[&LOCK_KEY])
        .await;
    let migrated = result?;
    limits?;
    unlocked?;
    Ok(migrated)
}

async fn locked(
    client: &mut Client,
    wait: Duration,
    tell: impl FnMut(&[String]),
) -> Result<Migrated, MigrateError> {
    // However large a table is.
    client.batch_execute("SET statement_timeout = 0").await?;
    let mut patience = Patience::begin(client, wait, tell).await?;
    let mut done = Migrated::default();
    let SchemaState { have, need } = schema_state(client).await?;
    if have > need {
        // refinery takes migrations that it has no file of for an error.
        return Ok(done);
    }
    let rights = functions::rights(client).await?;
    while let Err(error) = apply(client, &rights, &mut done).await {
        patience.after(client, error).await?;
    }
    if done.functions {
        // Daemons that wait for this schema look at once, not at their next attempt.
        client.batch_execute("NOTIFY beamline_registry").await?;
    }
    Ok(done)
}

/// Goes on where it was ended before.
async fn apply(
    client: &mut Client,
    rights: &[String],
    done: &mut Migrated,
) -> Result<(), MigrateError> {
    if let Some(old) = old::prepare(client).await? {
        done.old = Some(old);
    }
    let outcome = embedded::migrations::runner().run_async(client).await;
    // What was applied before one that has to wait is not applied again.
    let report = outcome.as_ref().map_or_else(refinery::Error::report, Some);
    let applied = report
        .into_iter()
        .flat_map(refinery::Report::applied_migrations);
    let named = applied.map(|migration| (migration.version(), migration.name().to_owned()));
    done.applied.extend(named);
    outcome?;
    if !functions::are_current(client).await? {
        functions::apply(client, rights).await?;
        done.functions = true;
    }
    Ok(())
}

/// The holders of the lock, in words.
fn named(holders: &[String]) -> String {
    match holders {
        [] => "others, a moment each".to_owned(),
        _ => holders.join("; "),
    }
}

/// The limit is set for one transaction only; the advisory lock outlives it with the session.
async fn lock(client: &mut Client, wait: Duration) -> Result<(), MigrateError> {
    let transaction = client.transaction().await?;
    // 0 would mean no limit.
    let limit = format!(
        "{}ms",
        wait.as_micros().div_ceil(1000).clamp(1, i32::MAX as u128)
    );
    transaction
        .execute("SELECT set_config('lock_timeout', $1, true)", &[&limit])
        .await?;
    match transaction
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK_KEY])
        .await
    {
        Ok(_) => Ok(transaction.commit().await?),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Err(MigrateError::Locked(wait))
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds the six seed extensions and answers how many were missing; existing ones stay as they are.
///
/// # Errors
/// [`MigrateError::Unusable`] before [`migrate`].
pub async fn seed(client: &Client) -> Result<u64, MigrateError> {
    needs_schema(client).await?;
    Ok(client.execute(SEED, &[]).await?)
}

/// Begins a new epoch and answers it: after a restore, so that every sidecar loads everything
/// instead of trusting revisions of a history that did not happen. It goes on after the last revision
/// on record, also where the row was lost, or restored without the audit: a second entry of one
/// revision could be taken for the first. What changes from here on has its events, also before a
/// sidecar has seen the epoch.
///
/// # Errors
/// [`MigrateError::Unusable`] before [`migrate`].
pub async fn new_epoch(client: &Client) -> Result<String, MigrateError> {
    needs_schema(client).await?;
    // last_xid is forgotten because transaction numbers start again in another cluster.
    let row = client
        .query_one(
            "WITH begun AS (
                 INSERT INTO registry_revision (revision)
                 SELECT greatest(0, (SELECT max(revision) FROM extensions),
                     (SELECT max(revision) FROM registry_tombstones),
                     (SELECT max(revision) FROM extension_audit_log))
                 ON CONFLICT (singleton) DO UPDATE
                 SET epoch = gen_random_uuid(), last_xid = NULL, changed_at = now(),
                     revision = greatest(registry_revision.revision, excluded.revision)
                 RETURNING epoch, revision),
             claimed AS (
                 UPDATE event_claims AS c SET epoch = begun.epoch, revision = begun.revision
                 FROM begun)
             SELECT epoch::text, pg_notify('beamline_registry', 'epoch')::text FROM begun",
            &[],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// Deletes some audit entries older than `age` whose events are published; 0 when none is left.
///
/// # Errors
/// [`MigrateError::Unusable`] before [`migrate`].
pub async fn prune_audit(client: &Client, age: Duration) -> Result<u64, MigrateError> {
    needs_schema(client).await?;
    let seconds = i64::try_from(age.min(CENTURY).as_secs()).unwrap_or(i64::MAX);
    let sql = "SELECT registry_prune_audit($1::bigint * interval '1 s')";
    let pruned: i64 = client.query_one(sql, &[&seconds]).await?.try_get(0)?;
    Ok(pruned.unsigned_abs())
}

async fn needs_schema(client: &Client) -> Result<(), MigrateError> {
    Ok(schema_state(client).await?.usable()?)
}
