//! One change: a place among the writers, attempts, the transaction, and what its outcome means. Until
//! COMMIT is sent, whatever fails has changed nothing; after that, only the database knows.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::{Parameter, PostgresDefinitions};
use crate::adapters::postgres::commit::{LOCK, Mark, Uncommitted, begin};
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::{punctual, until};
use crate::adapters::postgres::pool;
use crate::adapters::postgres::statement::run;
use crate::adapters::postgres::transaction::{Limits, Transaction};
use crate::domain::actor::Actor;
use crate::domain::edit::EditError;
use crate::domain::policy::Policy;
use crate::service::definitions::{
    AuditEntry, AuditQuery, Definitions, Pending, Switch, Switched, Write, WriteError, Written,
};
use crate::service::trouble::{DatabaseError, Trouble};

/// Attempts while other transactions get in the way.
const ATTEMPTS: usize = 3;
/// For a place among the writers: as long as the database waits for a lock.
const TURN_LIMIT: Duration = Duration::from_secs(2);
/// For the query for the holder of the lock, which all waiting writers make at the same time.
const WHOSE_LIMIT: Duration = Duration::from_millis(2500);
/// The same after a statement that took too long.
const SLOW_LIMIT: Duration = Duration::from_millis(1000);
/// For everything before COMMIT, from the beginning. A connection, its check, the wait for a turn
/// and for a lock are all part of it.
const PREPARED_AFTER: Duration = Duration::from_millis(3800);
/// For the answer to COMMIT, before the database is asked for its outcome.
const COMMITTED_AFTER: Duration = Duration::from_millis(4200);
/// For all steps: the caller gets an answer within five seconds.
const ANSWERED_AFTER: Duration = Duration::from_millis(4800);

/// For a lock, before the database reports its holder.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// What remains for the answer when a lock is given up.
const ROOM: Duration = Duration::from_millis(400);
/// Between two statements.
const IDLE_LIMIT: Duration = Duration::from_secs(5);

const NAME_ACTION: &str = "SELECT set_config('beamline.action', $1, true)";

/// Why a transaction did not commit, as far as is known.
pub(super) enum Ended {
    /// A rule was broken, as in [`WriteError::Refused`]: rolled back.
    Refused(Option<String>, EditError),
    /// It failed before COMMIT was sent, or is not known to be committed.
    Failed(Uncommitted),
}

impl From<EditError> for Ended {
    fn from(refused: EditError) -> Self {
        Self::Refused(None, refused)
    }
}

impl From<PostgresError> for Ended {
    fn from(error: PostgresError) -> Self {
        Self::Failed(Uncommitted::Failed(error))
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        PostgresError::from(error).into()
    }
}

/// The result of a transaction once it is committed, and what it has written.
pub(super) type Prepared<T> = (T, Option<Mark>);

/// What is done in a transaction, under the lock on the revision.
pub(super) trait Work: Sync {
    /// Its result.
    type Done: Send;

    /// Its actor.
    fn actor(&self) -> &Actor;

    /// Whether everything is done but the commit.
    fn dry_run(&self) -> bool;

    /// Does it.
    fn carry_out(
        &self,
        client: &Client,
        policy: &Policy,
    ) -> impl Future<Output = Result<Prepared<Self::Done>, Ended>> + Send;
}

impl Definitions for PostgresDefinitions {
    fn write<'a>(&'a self, write: &'a Write, policy: &'a Policy) -> Pending<'a, Written> {
        Box::pin(self.work(write, policy))
    }

    fn switch<'a>(&'a self, switch: &'a Switch, policy: &'a Policy) -> Pending<'a, Switched> {
        Box::pin(self.work(switch, policy))
    }

    fn audit<'a>(&'a self, query: &'a AuditQuery) -> Pending<'a, (Vec<AuditEntry>, bool)> {
        Box::pin(self.read_audit(query))
    }
}

impl PostgresDefinitions {
    /// A wait in vain is blamed on a lock only if the database reports one.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, WriteError> {
        let turn = punctual(Instant::now() + TURN_LIMIT, self.writers.acquire()).await;
        if let Some(Ok(turn)) = turn {
            return Ok(turn);
        }
        let blocked_by = self.pool.blocker(WHOSE_LIMIT, false).await;
        let trouble = match blocked_by {
            Some(_) => Trouble::Locked,
            None => Trouble::Slow,
        };
        Err(WriteError::Failed(DatabaseError {
            blocked_by,
            ..DatabaseError::new(trouble, "other changes wait before this one")
                .at(self.pool.target())
        }))
    }

    async fn work<W: Work>(&self, work: &W, policy: &Policy) -> Result<W::Done, WriteError> {
        let begun = Instant::now();
        let _turn = self.turn().await?;
        let mut attempt = 1;
        loop {
            let error = match self.transact(work, policy, begun).await {
                Ok(done) => return Ok(done),
                Err(Ended::Refused(of, refused)) => WriteError::Refused(of, refused),
                Err(Ended::Failed(Uncommitted::Failed(error))) => self.failure(&error).await,
                Err(Ended::Failed(Uncommitted::Unknown)) => {
                    WriteError::Unknown("COMMIT got no answer".to_owned())
                }
            };
            match &error {
                WriteError::Failed(failed)
                    if failed.trouble == Trouble::Conflict && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                _ => return Err(error),
            }
        }
    }

    /// Does `work` on a connection of its own.
    async fn transact<W: Work>(
        &self,
        work: &W,
        policy: &Policy,
        begun: Instant,
    ) -> Result<W::Done, Ended> {
        let prepared_by = begun + PREPARED_AFTER;
        let connection = until("a connection", prepared_by, self.pool.get_whole()).await?;
        let preparing = prepare(&connection, work, policy, prepared_by);
        let preparing = async { Ok::<_, PostgresError>(preparing.await) };
        let (done, mark) = match until("the change", prepared_by, preparing).await?? {
            Ok(prepared) if !work.dry_run() => prepared,
            ended => {
                // The transaction is rolled back, so the connection can be used again.
                pool::ended(connection);
                return ended.map(|(done, _)| done);
            }
        };
        let (limit, answered) = (begun + COMMITTED_AFTER, begun + ANSWERED_AFTER);
        let committed = self.pool.commit(connection, mark.as_ref(), limit, answered);
        committed.await.map_err(Ended::Failed)?;
        Ok(done)
    }

    /// Why nothing was written.
    async fn failure(&self, error: &PostgresError) -> WriteError {
        let refusal = error.driver().and_then(tokio_postgres::Error::as_db_error);
        let refused = match refusal.and_then(taken) {
            // Made meanwhile by a transaction that bypassed the lock; the lock makes it rare.
            Some(("extensions", "id")) => EditError::AlreadyExists,
            Some((_, "subject")) => EditError::SubjectTaken,
            _ => return WriteError::Failed(self.explained(error).await),
        };
        WriteError::Refused(None, refused)
    }

    /// A statement that was cancelled for its length may have waited for one lock after another.
    async fn explained(&self, error: &PostgresError) -> DatabaseError {
        let explained = self.pool.explained(error).await;
        if explained.trouble != Trouble::Slow {
            return explained;
        }
        match self.pool.blocker(SLOW_LIMIT, false).await {
            Some(blocked_by) => DatabaseError {
                trouble: Trouble::Locked,
                blocked_by: Some(blocked_by),
                ..explained
            },
            None => explained,
        }
    }
}

/// The limits hold also where a pooler keeps the session of a daemon that is gone. They run out
/// before ours do, so that the database reports the cause. The one for a lock holds for each of the
/// two that a row has.
fn change(prepared_by: Instant) -> Transaction {
    let rest = prepared_by.saturating_duration_since(Instant::now());
    let rest = rest.saturating_sub(ROOM);
    Transaction::change(Limits {
        statement: rest,
        lock: rest.min(LOCK_LIMIT),
        idle: IDLE_LIMIT,
    })
}

/// Everything but COMMIT; with an inner error, a rule that is broken, and in a dry run, rolled back.
async fn prepare<W: Work>(
    client: &Client,
    work: &W,
    policy: &Policy,
    prepared_by: Instant,
) -> Result<Result<Prepared<W::Done>, Ended>, Ended> {
    let (change, actor) = (change(prepared_by), work.actor());
    tokio::try_join!(
        biased;
        begin(client, change, actor.name(), actor.source().as_str()),
        client.batch_execute(LOCK),
    )?;
    let prepared = match work.carry_out(client, policy).await {
        Err(failed @ Ended::Failed(_)) => return Err(failed),
        prepared => prepared,
    };
    if prepared.is_err() || work.dry_run() {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(prepared)
}

/// The name that all that follows has in the audit.
pub(super) async fn name_action(client: &Client, action: &str) -> Result<(), Error> {
    let action: [Parameter<'_>; 1] = [(&action, Type::TEXT)];
    run(client, NAME_ACTION, &action).await
}

/// The table and the column whose value another row has. A constraint may have any name, and one
/// that is named after a column may be about something else.
fn taken(refusal: &DbError) -> Option<(&str, &str)> {
    if *refusal.code() != SqlState::UNIQUE_VIOLATION {
        return None;
    }
    Some((refusal.table()?, key(refusal.detail()?)?))
}

/// The columns of `Key (subject)=(x) already exists.`, which is so in every language.
fn key(detail: &str) -> Option<&str> {
    let (_, key) = detail.split_once('(')?;
    key.split_once(")=(").map(|(columns, _)| columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_row_that_exists_is_found_in_every_language() {
        for (detail, columns) in [
            ("Key (subject)=(a.b) already exists.", Some("subject")),
            (
                "Schlüssel »(subject)=(a.b)« existiert bereits.",
                Some("subject"),
            ),
            (
                "Key (id, version)=(a, v1) already exists.",
                Some("id, version"),
            ),
            ("Failing row contains (a, b).", None),
            ("", None),
        ] {
            assert_eq!(key(detail), columns, "{detail}");
        }
    }
}
