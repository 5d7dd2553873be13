//! One change: a place among the writers, attempts, and what their outcome means.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use tokio_postgres::error::{DbError, SqlState};

use super::PostgresDefinitions;
use super::transact::{Ended, Work};
use crate::adapters::postgres::commit::Uncommitted;
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::punctual;
use crate::domain::edit::EditError;
use crate::domain::policy::Policy;
use crate::service::definitions::{AuditEntry, AuditQuery};
use crate::service::definitions::{Definitions, Switch, Switched, Write, WriteError, Written};
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

/// By when what is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) prepared: Instant,
    pub(super) committed: Instant,
    pub(super) answered: Instant,
}

impl Deadlines {
    fn from_now() -> Self {
        let now = Instant::now();
        Self {
            prepared: now + PREPARED_AFTER,
            committed: now + COMMITTED_AFTER,
            answered: now + ANSWERED_AFTER,
        }
    }
}

impl Definitions for PostgresDefinitions {
    async fn write(&self, write: &Write, policy: &Policy) -> Result<Written, WriteError> {
        self.work(write, policy).await
    }

    async fn switch(&self, switch: &Switch, policy: &Policy) -> Result<Switched, WriteError> {
        self.work(switch, policy).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<(Vec<AuditEntry>, bool), WriteError> {
        self.read_audit(query).await
    }
}

impl PostgresDefinitions {
    /// A wait in vain is blamed on a lock only if the database reports one.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, WriteError> {
        let turn = punctual(Instant::now() + TURN_LIMIT, self.writers.acquire()).await;
        if let Some(Ok(turn)) = turn {
            return Ok(turn);
        }
        let blocked_by = self.pool.blocker(WHOSE_LIMIT).await;
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
        let deadlines = Deadlines::from_now();
        let _turn = self.turn().await?;
        let mut attempt = 1;
        loop {
            match self.attempt(work, policy, deadlines).await {
                Err(WriteError::Failed(error))
                    if error.trouble == Trouble::Conflict && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt<W: Work>(
        &self,
        work: &W,
        policy: &Policy,
        deadlines: Deadlines,
    ) -> Result<W::Done, WriteError> {
        match self.transact(work, policy, deadlines).await {
            Ok(done) => Ok(done),
            Err(Ended::Refused((None, refused))) => Err(WriteError::Refused(refused)),
            Err(Ended::Refused((Some(id), refused))) => Err(WriteError::RefusedFor(id, refused)),
            Err(Ended::Failed(Uncommitted::Failed(error))) => Err(self.failure(&error).await),
            Err(Ended::Failed(Uncommitted::Unknown)) => {
                Err(WriteError::Unknown("COMMIT got no answer".to_owned()))
            }
        }
    }

    /// Why nothing was written.
    async fn failure(&self, error: &PostgresError) -> WriteError {
        let refusal = error.driver().and_then(tokio_postgres::Error::as_db_error);
        match refusal.and_then(taken) {
            // Made meanwhile by a transaction that bypassed the lock; the lock makes it rare.
            Some(("extensions", "id")) => WriteError::Refused(EditError::AlreadyExists),
            Some((_, "subject")) => WriteError::SubjectTaken,
            _ => WriteError::Failed(self.explained(error).await),
        }
    }

    /// A statement that was cancelled for its length may have waited for one lock after another.
    async fn explained(&self, error: &PostgresError) -> DatabaseError {
        let explained = self.pool.explained(error).await;
        if explained.trouble != Trouble::Slow {
            return explained;
        }
        match self.pool.blocker(SLOW_LIMIT).await {
            Some(blocked_by) => DatabaseError {
                trouble: Trouble::Locked,
                blocked_by: Some(blocked_by),
                ..explained
            },
            None => explained,
        }
    }
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
