//! Waiting for locks while daemons work: a little at a time, so that no query queues for long
//! behind ours, up to a limit, and naming the holder of the lock.

use std::time::{Duration, Instant};

use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, Error, Transaction};

use super::migrate::MigrateError;
use crate::domain::quote::quoted;

/// For one try. A daemon waits longer for a lock (1.5 s to read, 2 s to write), so it notices
/// nothing; Postgres takes a table from its own vacuum after 1 s.
const TRY: Duration = Duration::from_millis(1200);
/// Between two tries, in which queries that queued behind us have their turn.
const PAUSE: Duration = Duration::from_secs(2);

/// Other transactions with a lock in the schema of the registry, and what identifies each.
const HOLDERS: &str = "SELECT DISTINCT l.virtualtransaction, CASE \
        WHEN l.pid IS NULL THEN 'a prepared transaction (pg_prepared_xacts)' \
        ELSE format('pid %s, %s, %s', l.pid, \
            coalesce(nullif(a.application_name, ''), a.backend_type, 'no application name'), \
            coalesce(a.usename, 'no user')) \
        || coalesce(', since ' || to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'), '') END \
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_stat_activity a USING (pid) \
    WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid() \
        AND c.relnamespace = quote_ident(current_schema())::regnamespace \
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    ORDER BY 2";

/// What is left of the patience of one command.
#[derive(Debug)]
pub struct Patience<T> {
    until: Instant,
    tell: T,
    told: Vec<String>,
}

impl<T: FnMut(&[String])> Patience<T> {
    /// As [`one_try`]; `tell` is called with the holder of the lock, whenever that changes.
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn begin(client: &Client, wait: Duration, tell: T) -> Result<Self, Error> {
        one_try(client).await?;
        Ok(Self {
            until: Instant::now() + wait,
            tell,
            told: Vec::new(),
        })
    }

    /// What `work` returns, tried again as long as it fails for want of a lock.
    ///
    /// # Errors
    /// Its own, if it is about something else; [`MigrateError::Held`] when the wait is over.
    pub async fn of<D>(
        &mut self,
        client: &Client,
        work: impl AsyncFn() -> Result<D, MigrateError>,
    ) -> Result<D, MigrateError> {
        loop {
            match work().await {
                Ok(done) => return Ok(done),
                Err(error) => self.after(client, error).await?,
            }
        }
    }

    /// Pauses after something that changed nothing for want of a lock, to be tried again.
    ///
    /// # Errors
    /// `error`, if it is about something else; [`MigrateError::Held`] when the wait is over.
    pub(super) async fn after(
        &mut self,
        client: &Client,
        error: MigrateError,
    ) -> Result<(), MigrateError> {
        // A lock that did not come, or came between others'.
        let about_locks = [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ];
        if !refusal(&error).is_some_and(|it| about_locks.contains(it.code())) {
            return Err(error);
        }
        // A transaction that holds a lock before the pause and after it is in the way.
        let before = holders(client).await?;
        let left = self.until.saturating_duration_since(Instant::now());
        tokio::time::sleep(PAUSE.min(left)).await;
        let mut names = Vec::new();
        for (transaction, name) in holders(client).await? {
            if before.iter().any(|(known, _)| *known == transaction) {
                names.push(name);
            }
        }
        if left.is_zero() {
            return Err(MigrateError::Held(names));
        }
        if !names.is_empty() && names != self.told {
            (self.tell)(&names);
            self.told = names;
        }
        Ok(())
    }
}

/// From now on statements of `client` wait one try for a lock.
///
/// # Errors
/// What Postgres answers.
pub async fn one_try(client: &Client) -> Result<(), Error> {
    let limit = format!("SET lock_timeout = {}", TRY.as_millis());
    client.batch_execute(&limit).await
}

/// Locks all `tables` within one try.
pub(super) async fn lock(
    transaction: &Transaction<'_>,
    tables: impl IntoIterator<Item = &str>,
    mode: &str,
) -> Result<(), Error> {
    let until = Instant::now() + TRY;
    for table in tables {
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        // 0 would mean no limit.
        let lock = format!(
            "SET LOCAL lock_timeout = {}; LOCK TABLE {table} IN {mode} MODE",
            left.max(1)
        );
        transaction.batch_execute(&lock).await?;
    }
    let limit = format!("SET LOCAL lock_timeout = {}", TRY.as_millis());
    transaction.batch_execute(&limit).await
}

async fn holders(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let rows = client.query(HOLDERS, &[]).await?;
    let holder = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, quoted(row.try_get(1)?)));
    rows.iter().map(holder).collect()
}

/// The database's own answer, where it is the cause.
pub(super) fn refusal(error: &MigrateError) -> Option<&DbError> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let refusal = error.downcast_ref().and_then(Error::as_db_error);
        if refusal.is_some() {
            return refusal;
        }
        cause = error.source();
    }
    None
}
