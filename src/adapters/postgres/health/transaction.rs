//! One statement as a transaction of its own, with limits, in one round trip.

use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::super::error::PostgresError;
use super::super::limit::within;
use super::super::pool;
use super::PostgresHealth;
use crate::service::health_store::StoreError;

/// For a whole call.
const CALL_LIMIT: Duration = Duration::from_secs(15);

const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL lock_timeout = '2s'";

/// The same, with one snapshot for all statements.
pub(super) const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL statement_timeout = '10s'";

/// A parameter and its type: statements are unnamed, and nobody asks the server for types.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The parameters of one statement.
pub(super) trait Parameters: Send + Sync {
    /// All of them, in order.
    fn list(&self) -> Vec<Parameter<'_>>;
}

impl Parameters for &[Parameter<'_>] {
    fn list(&self) -> Vec<Parameter<'_>> {
        self.to_vec()
    }
}

/// Whether a conflict with another transaction is worth another attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Last,
}

impl PostgresHealth {
    /// Runs `sql` and commits. A deadlock or a serialization failure is tried once more.
    pub(super) async fn transact(
        &self,
        what: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.transact_late(what, sql, || parameters).await
    }

    /// The same for parameters that are made when there is a connection to send them.
    pub(super) async fn transact_late<P: Parameters>(
        &self,
        what: &'static str,
        sql: &str,
        make: impl Fn() -> P,
    ) -> Result<Vec<Row>, StoreError> {
        for attempt in [Attempt::First, Attempt::Last] {
            let work = async |client: &Client| {
                let made = make();
                let parameters = made.list();
                let ((), rows, ()) = tokio::try_join!(
                    biased;
                    client.batch_execute(BEGIN),
                    client.query_typed(sql, &parameters),
                    client.batch_execute("COMMIT"),
                )?;
                Ok::<_, Error>(rows)
            };
            match self.attempt(what, work).await {
                Err(error) if attempt == Attempt::First && is_conflict(&error) => {}
                result => return result.map_err(|error| self.describe(&error)),
            }
        }
        Err(StoreError::Away("conflicting transactions".to_owned()))
    }

    /// Runs `work` on a connection that answers, within the limit of a call.
    pub(super) async fn run<T>(
        &self,
        what: &'static str,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let result = self.attempt(what, work).await;
        result.map_err(|error| self.describe(&error))
    }

    async fn attempt<T>(
        &self,
        what: &'static str,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, PostgresError> {
        let connection = self.pool.get().await.map_err(|error| match error {
            // A connection that cannot be had is not one that broke.
            PostgresError::Driver(error) if error.as_db_error().is_none() => {
                PostgresError::Pool(PostgresError::Driver(error).to_string())
            }
            other => other,
        })?;
        let result = within(what, CALL_LIMIT, work(&connection)).await;
        pool::put_back(connection, result)
    }

    /// The error in words of the port.
    pub(super) fn describe(&self, error: &PostgresError) -> StoreError {
        let text = format!("{}: {error}", self.pool.target());
        match error {
            PostgresError::Driver(driver)
                if driver.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) =>
            {
                StoreError::Locked(text)
            }
            PostgresError::Driver(driver) if driver.as_db_error().is_none() => {
                StoreError::Unknown(text)
            }
            PostgresError::Late { .. } => StoreError::Unknown(text),
            _ => StoreError::Away(text),
        }
    }

    /// For answers that do not have the shape they must have.
    pub(super) fn unreadable(&self, error: Error) -> StoreError {
        self.describe(&PostgresError::Driver(error))
    }

    /// For answers that cannot be.
    pub(super) fn damaged(&self, what: &'static str) -> StoreError {
        self.describe(&PostgresError::Damaged(what))
    }
}

fn is_conflict(error: &PostgresError) -> bool {
    let PostgresError::Driver(error) = error else {
        return false;
    };
    [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ]
    .iter()
    .any(|code| error.code() == Some(code))
}

/// How long ago, in milliseconds as the database takes it. Times to come are now.
pub(super) fn age_ms(time: Instant, now: Instant) -> i64 {
    milliseconds(now.saturating_duration_since(time))
}

/// A number of milliseconds as the database takes it.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    // Ages and waits beyond a century are nobody's, and would overflow a timestamp.
    const CENTURY_MS: i64 = 100 * 365 * 86_400_000;
    i64::try_from(duration.as_millis()).map_or(CENTURY_MS, |it| it.min(CENTURY_MS))
}

/// The wall time `offset_ms` after now; negative is before.
pub(super) fn moment(offset_ms: i64) -> SystemTime {
    let offset = Duration::from_millis(offset_ms.unsigned_abs());
    let now = SystemTime::now();
    let moment = if offset_ms < 0 {
        now.checked_sub(offset)
    } else {
        now.checked_add(offset)
    };
    moment.unwrap_or(now)
}

/// The moment `offset_ms` after now, by our own monotonic clock.
pub(super) fn instant(offset_ms: i64) -> Option<Instant> {
    let (offset, now) = (
        Duration::from_millis(offset_ms.unsigned_abs()),
        Instant::now(),
    );
    if offset_ms < 0 {
        now.checked_sub(offset)
    } else {
        now.checked_add(offset)
    }
}

/// The same of what has happened: where the database's clock was set back meanwhile, just now.
pub(super) fn past(offset_ms: i64) -> Option<Instant> {
    instant(offset_ms.min(0))
}

/// A count as the database takes it.
pub(super) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as the database has it; below zero is none.
pub(super) fn count(bigint: i64) -> u64 {
    u64::try_from(bigint).unwrap_or(0)
}
