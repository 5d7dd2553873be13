//! One call: one statement as a transaction of its own, with limits, in one round trip. Where a
//! transaction pooler may be in between it is a [`Transaction`]; else it is sent by itself, under the
//! settings of the session.

use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

pub(super) use super::super::columns::count;
use super::super::error::PostgresError;
use super::super::statement::rows;
pub(super) use super::super::statement::{Parameter, bigint};
use super::super::transaction::{Limits, Transaction};
use super::PostgresHealth;
use crate::domain::extension::Incarnation;
use crate::service::health_store::StoreError;
use crate::service::trouble::Trouble;

/// For a whole call, a connection for it included.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Attempts while other transactions get in the way.
const ATTEMPTS: usize = 2;

/// What the server keeps of it.
const LIMITS: Limits = Limits {
    statement: Duration::from_secs(10),
    lock: Duration::from_secs(2),
    idle: Duration::from_secs(15),
};

impl PostgresHealth {
    /// Runs `sql` and commits. A deadlock or a serialization failure is tried once more.
    pub(super) async fn transact(
        &self,
        what: &'static str,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.transact_made(what, CALL_LIMIT, sql, parameters, |_| Vec::new())
            .await
    }

    /// The same within `limit`. The last parameters are texts that are made when there is a connection to
    /// send them.
    pub(super) async fn transact_made(
        &self,
        what: &'static str,
        limit: Duration,
        sql: &'static str,
        parameters: &[Parameter<'_>],
        make: impl Fn(Instant) -> Vec<String>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut direct = self.pool.is_direct();
        let mut attempt = 1;
        loop {
            let work = async |client: &Object| {
                let texts = make(Instant::now());
                let mut all = parameters.to_vec();
                let texts = texts.iter().map(|text| text as &(dyn ToSql + Sync));
                all.extend(texts.map(|text| (text, Type::TEXT)));
                let rows = rows(client, direct, sql, &all);
                match direct {
                    true => rows.await,
                    false => Transaction::change(LIMITS).send(client, rows).await,
                }
            };
            match self.pool.run(what, limit, limit, work).await {
                Err(error) if attempt < ATTEMPTS && error.trouble() == Trouble::Conflict => {}
                Err(error) if attempt < ATTEMPTS && direct && error.is_outdated() => {
                    direct = false;
                }
                Err(error) => return Err(self.explained(&error).await),
                Ok(rows) => return Ok(rows),
            }
            attempt += 1;
        }
    }

    async fn explained(&self, error: &PostgresError) -> StoreError {
        let explained = self.pool.explained(error).await;
        match error.leaves_doubt() {
            true => StoreError::Unknown(explained),
            false => StoreError::Failed(explained),
        }
    }

    /// What the one row of an answer holds.
    pub(super) fn one<T>(
        &self,
        rows: &[Row],
        read: impl FnOnce(&Row) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let row = rows.first().ok_or_else(|| self.damaged("no answer"))?;
        read(row).map_err(|error| {
            StoreError::Failed(PostgresError::Driver(error).sorted(self.pool.target()))
        })
    }

    /// For answers that cannot be.
    pub(super) fn damaged(&self, what: &'static str) -> StoreError {
        StoreError::Failed(PostgresError::Damaged(what).sorted(self.pool.target()))
    }
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

/// An incarnation as the database takes it.
pub(super) fn uuid(Incarnation(number): Incarnation) -> String {
    format!("{number:032x}")
}
