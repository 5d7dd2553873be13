//! The one kind of transaction: what it may do, its limits, and how it is sent.
//!
//! Most are sent whole ([`Transaction::send`]): one round trip, no lock is held across the network, and
//! one whose sender disappears still ends. They read, or write what may be repeated, so the fate
//! of their COMMIT is never asked. The others decide by what they read, so they are open for a while
//! ([`Transaction::begin`]): changes of definitions, whose COMMIT, if it gets no answer, is looked up
//! ([`super::commit`]).
//!
//! Each repeats the settings that can hide rows or end it, see [`super::settings`]. Migrations, which
//! no pooler may come between, have the driver's own transactions.

use std::time::Duration;

use tokio_postgres::{Client, Error};

/// Limits that the server keeps for us, also where a pooler keeps the session of a daemon that is
/// gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For each statement.
    pub(super) statement: Duration,
    /// For each lock.
    pub(super) lock: Duration,
    /// Between two statements.
    pub(super) idle: Duration,
}

impl Limits {
    /// The same for each of them.
    pub(super) const fn all(limit: Duration) -> Self {
        Self {
            statement: limit,
            lock: limit,
            idle: limit,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction {
    mode: &'static str,
    /// `None` for the session's.
    limits: Option<Limits>,
}

impl Transaction {
    /// Sees one moment, and changes nothing.
    pub(super) const fn snapshot(limits: Limits) -> Self {
        Self {
            mode: "REPEATABLE READ READ ONLY",
            limits: Some(limits),
        }
    }

    /// Changes something, and sees what was committed before each of its statements: whatever the
    /// default is, what is read after a lock must be as of then.
    pub(super) const fn change(limits: Limits) -> Self {
        Self {
            mode: "READ COMMITTED",
            limits: Some(limits),
        }
    }

    /// The same; where the connection is `direct`, it relies on what its session has set.
    pub(super) fn on(self, direct: bool) -> Self {
        let limits = self.limits.filter(|_| !direct);
        Self { limits, ..self }
    }

    /// Sends it whole, without waiting between its parts. What `statements` sends it must send when it
    /// is first polled.
    pub(super) async fn send<T>(
        self,
        client: &Client,
        statements: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let opening = self.opening();
        let statements = Box::pin(statements);
        let ((), done, ()) = tokio::try_join!(
            biased;
            client.batch_execute(&opening),
            statements,
            client.batch_execute("COMMIT"),
        )?;
        Ok(done)
    }

    /// Begins it, with its `first` statements in the same round trip.
    pub(super) async fn begin<T>(
        self,
        client: &Client,
        first: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let opening = self.opening();
        let first = Box::pin(first);
        let ((), done) = tokio::try_join!(biased; client.batch_execute(&opening), first)?;
        Ok(done)
    }

    fn opening(self) -> String {
        let begin = format!("BEGIN ISOLATION LEVEL {}", self.mode);
        let Some(limits) = self.limits else {
            return begin;
        };
        // 0 would mean no limit.
        let ms = |limit: Duration| limit.as_millis().max(1);
        format!(
            "{begin}; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL row_security = off",
            ms(limits.statement),
            ms(limits.lock),
            ms(limits.idle),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        statement: Duration::from_secs(2),
        lock: Duration::ZERO,
        idle: Duration::from_secs(5),
    };

    #[test]
    fn every_transaction_makes_hidden_rows_an_error_and_has_limits() {
        for transaction in [Transaction::snapshot(LIMITS), Transaction::change(LIMITS)] {
            let sql = transaction.on(false).opening();
            assert!(sql.starts_with("BEGIN ISOLATION LEVEL "), "{sql}");
            for setting in [
                "statement_timeout = 2000",
                "lock_timeout = 1;",
                "idle_in_transaction_session_timeout = 5000",
                "row_security = off",
            ] {
                assert!(sql.contains(setting), "{sql}");
            }
        }
    }

    #[test]
    fn one_on_a_direct_connection_has_what_its_session_has() {
        for (transaction, opening) in [
            (
                Transaction::snapshot(LIMITS),
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            ),
            (
                Transaction::change(LIMITS),
                "BEGIN ISOLATION LEVEL READ COMMITTED",
            ),
        ] {
            assert_eq!(transaction.on(true).opening(), opening);
        }
    }
}
