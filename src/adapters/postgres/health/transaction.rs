//! One statement as a transaction of its own, with limits, in one round trip: by itself under the
//! settings of the session, or framed by them, where a transaction pooler may be in between.

use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use tokio_postgres::{Error, Row};

use super::super::error::PostgresError;
use super::super::limit::within;
use super::super::pool;
use super::super::settings::{self, Kind, Limits};
pub(super) use super::super::statement::Parameter;
use super::super::statement::Statement;
use super::PostgresHealth;
use crate::domain::extension::Incarnation;
use crate::service::health_store::StoreError;
use crate::service::trouble::{DatabaseError, Trouble};

/// For a whole call, a connection for it included.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// What the server keeps of it.
pub(super) const LIMITS: Limits = Limits {
    statement: Duration::from_secs(10),
    lock: Duration::from_secs(2),
    idle: Duration::from_secs(15),
};

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
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.transact_within(what, CALL_LIMIT, sql, parameters)
            .await
    }

    /// The same for a caller that waits for it.
    pub(super) async fn transact_within(
        &self,
        what: &'static str,
        limit: Duration,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.transact_made(what, limit, sql, || parameters).await
    }

    /// The same for parameters that are made when there is a connection to send them.
    pub(super) async fn transact_late<P: Parameters>(
        &self,
        what: &'static str,
        sql: &'static str,
        make: impl Fn() -> P,
    ) -> Result<Vec<Row>, StoreError> {
        self.transact_made(what, CALL_LIMIT, sql, make).await
    }

    async fn transact_made<P: Parameters>(
        &self,
        what: &'static str,
        limit: Duration,
        sql: &'static str,
        make: impl Fn() -> P,
    ) -> Result<Vec<Row>, StoreError> {
        let mut direct = self.pool.is_direct();
        for attempt in [Attempt::First, Attempt::Last] {
            let work = async |client: &Object| {
                let made = make();
                match direct {
                    true => alone(client, sql, &made.list()).await,
                    false => framed(client, sql, &made.list()).await,
                }
            };
            match self.attempt(what, limit, work).await {
                Err(error) if attempt == Attempt::First && error.is_conflict() => {}
                Err(error) if attempt == Attempt::First && direct && error.is_outdated() => {
                    direct = false;
                }
                Err(error) => return Err(self.explained(&error).await),
                Ok(rows) => return Ok(rows),
            }
        }
        let conflicts = DatabaseError::new(Trouble::Conflict, "twice").at(self.pool.target());
        Err(StoreError::Failed(conflicts))
    }

    /// Runs `work` on a connection that answers, within the limit of a call.
    pub(super) async fn run<T>(
        &self,
        what: &'static str,
        work: impl AsyncFnOnce(&Object) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        match self.attempt(what, CALL_LIMIT, work).await {
            Err(error) => Err(self.explained(&error).await),
            Ok(done) => Ok(done),
        }
    }

    /// Until there is a connection nothing has been written: an error states which it was.
    async fn attempt<T>(
        &self,
        what: &'static str,
        limit: Duration,
        work: impl AsyncFnOnce(&Object) -> Result<T, Error>,
    ) -> Result<T, PostgresError> {
        let connecting = within("a connection", limit, self.pool.get()).await;
        let connection = connecting.map_err(|error| match error {
            late @ PostgresError::Late { .. } => PostgresError::Pool(late.to_string()),
            other => other,
        })?;
        let result = within(what, limit, work(&connection)).await;
        pool::put_back(connection, result)
    }

    async fn explained(&self, error: &PostgresError) -> StoreError {
        let explained = self.pool.explained(error).await;
        match error.leaves_doubt() {
            true => StoreError::Unknown(explained),
            false => StoreError::Failed(explained),
        }
    }

    /// For answers that do not have the shape they must have.
    pub(super) fn unreadable(&self, error: Error) -> StoreError {
        StoreError::Failed(PostgresError::Driver(error).sorted(self.pool.target()))
    }

    /// For answers that cannot be.
    pub(super) fn damaged(&self, what: &'static str) -> StoreError {
        StoreError::Failed(PostgresError::Damaged(what).sorted(self.pool.target()))
    }
}

async fn alone(
    client: &Object,
    sql: &'static str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, Error> {
    let types: Vec<_> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
    let statement = Statement::of(client, true, sql, &types).await?;
    statement.rows(client, parameters).await
}

async fn framed(
    client: &Object,
    sql: &'static str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, Error> {
    let begin = settings::begin(Kind::Change, LIMITS);
    let ((), rows, ()) = tokio::try_join!(
        biased;
        client.batch_execute(&begin),
        client.query_typed(sql, parameters),
        client.batch_execute("COMMIT"),
    )?;
    Ok(rows)
}

/// How long ago, in milliseconds as the database takes it. Times to come are now.
pub(super) fn age_ms(time: Instant, now: Instant) -> i64 {
    milliseconds(now.saturating_duration_since(time))
}

/// Ages and waits beyond it do not occur, and would overflow a timestamp.
pub(super) const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A number of milliseconds as the database takes it, at most a century.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.min(CENTURY).as_millis()).unwrap_or(i64::MAX)
}

/// A count as the database takes it.
pub(super) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as the database has it; below zero is none.
pub(super) fn count(bigint: i64) -> u64 {
    u64::try_from(bigint).unwrap_or(0)
}

/// An incarnation as the database takes it.
pub(super) fn uuid(Incarnation(number): Incarnation) -> String {
    format!("{number:032x}")
}
