//! An import's side of the database: one transaction, with statically written SQL only.
//!
//! A statement writes many rows of one table at once: the triggers, which take the revision and
//! write the audit, run once per statement, and cost more than the rows. Until COMMIT is sent, whatever
//! fails has changed nothing: the connection is closed then, and the database rolls back.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::commit::{LOCK, Uncommitted, begin, mark};
use super::error::PostgresError;
use super::limit::within;
use super::pool::{self, Pool, Whole};
use super::snapshot;
use super::source::PostgresSource;
use super::statement::Parameter;
use super::tables::{EXTENSIONS, INSTANCES, Table, VERSIONS};
use super::transaction::{Limits, Transaction};
use crate::domain::ids::ExtensionId;
use crate::domain::policy::Policy;
use crate::domain::record::Fields;
use crate::service::clock::standstill::timeout;
use crate::service::transfer::{self, StoreError, Stored, Wanted};
use crate::service::trouble::{DatabaseError, Trouble};

/// For one step, a little more than the database's own limit for a statement.
const STEP_LIMIT: Duration = Duration::from_secs(70);
/// For COMMIT, before the database is asked for its outcome.
const COMMIT_LIMIT: Duration = Duration::from_secs(20);

/// How long the database is asked about a lost commit.
const PATIENCE: Duration = Duration::from_secs(8);

/// A lock is waited for longer than a daemon's writers do, and no longer than an operator likes.
const IMPORT: Transaction = Transaction::change(Limits {
    statement: Duration::from_secs(60),
    lock: Duration::from_secs(5),
    idle: Duration::from_secs(60),
});

const AS_WRITTEN: &str = "SELECT json::jsonb::text FROM unnest($1::text[]) WITH ORDINALITY \
    AS given (json, place) ORDER BY place";

const HOLDERS: &str = "SELECT subject, id FROM extensions WHERE subject = ANY ($1)";

/// No subject begins with a space, and no two ids are the same.
const VACATE: &str = "UPDATE extension_definitions SET subject = ' ' || id WHERE id = ANY ($1)";

/// See [`transfer::Transaction`].
#[derive(Debug)]
pub struct PostgresTransaction {
    connection: Whole,
    pool: Arc<Pool>,
    policy: Arc<Policy>,
}

impl PostgresSource {
    /// Begins the transaction of an import, by `changed_by` in the audit.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn import(&self, changed_by: &str) -> Result<PostgresTransaction, StoreError> {
        let beginning = async {
            let connection = self.pool.get_whole().await?;
            // The database account identifies the importer.
            begin(&connection, IMPORT, changed_by, "database").await?;
            Ok::<_, PostgresError>(connection)
        };
        let begun = within("beginning", STEP_LIMIT, beginning).await;
        let connection = begun.map_err(|error| explained(&self.pool, &error))?;
        Ok(PostgresTransaction {
            connection,
            pool: Arc::clone(&self.pool),
            policy: Arc::clone(&self.policy),
        })
    }
}

impl PostgresTransaction {
    /// One step of the transaction.
    async fn step<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let done = within("a step of the import", STEP_LIMIT, work).await;
        done.map_err(|error| explained(&self.pool, &error))
    }

    /// The answers of a statement about `texts`.
    async fn list<T>(
        &self,
        sql: &str,
        texts: &[&str],
        read: fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, StoreError> {
        let parameters: [Parameter<'_>; 1] = [(&texts, Type::TEXT_ARRAY)];
        let listing = async {
            let rows = self.connection.query_typed(sql, &parameters).await?;
            rows.iter().map(read).collect::<Result<_, Error>>()
        };
        self.step(listing).await
    }
}

impl transfer::Transaction for PostgresTransaction {
    async fn as_written(&self, texts: &[&str]) -> Result<Vec<String>, StoreError> {
        self.list(AS_WRITTEN, texts, |row| row.try_get(0)).await
    }

    async fn lock(self) -> Result<Self, StoreError> {
        match self.step(self.connection.batch_execute(LOCK)).await {
            Ok(()) => Ok(self),
            Err(StoreError::Failed(error)) if error.trouble == Trouble::Locked => {
                // Asked with a connection of its own, and the pool may have a single place.
                drop(self.connection);
                Err(StoreError::Failed(DatabaseError {
                    blocked_by: self.pool.blocker(COMMIT_LIMIT, false).await,
                    ..error
                }))
            }
            Err(error) => Err(error),
        }
    }

    async fn stored(&self) -> Result<Stored, StoreError> {
        let reading = snapshot::records(&self.connection, &self.policy);
        let (extensions, faults) = self.step(reading).await?;
        Ok(Stored { extensions, faults })
    }

    async fn holders(&self, subjects: &[&str]) -> Result<Vec<(String, String)>, StoreError> {
        let holder = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
        self.list(HOLDERS, subjects, holder).await
    }

    async fn vacate(&self, ids: &[&ExtensionId]) -> Result<(), StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
        self.list(VACATE, &ids, |_| Ok(())).await.map(drop)
    }

    async fn create(&self, wanted: &[&Wanted<'_>]) -> Result<(), StoreError> {
        let [own, versions, instances] = rows(wanted);
        let client = &self.connection;
        self.step(EXTENSIONS.put(client, &own)).await?;
        self.step(VERSIONS.put(client, &versions)).await?;
        self.step(INSTANCES.put(client, &instances)).await
    }

    /// All versions are put, also the ones that did not differ: a change of the current version
    /// switches off the row of the one before.
    async fn replace(&self, wanted: &[&Wanted<'_>]) -> Result<(), StoreError> {
        let ids: Vec<_> = wanted.iter().map(|it| it.extension.id.as_str()).collect();
        let [own, versions, instances] = rows(wanted);
        let client = &self.connection;
        self.step(EXTENSIONS.put(client, &own)).await?;
        self.step(VERSIONS.remove_others(client, &ids, &versions))
            .await?;
        self.step(INSTANCES.remove_others(client, &ids, &instances))
            .await?;
        self.step(VERSIONS.put(client, &versions)).await?;
        self.step(INSTANCES.put(client, &instances)).await
    }

    async fn commit(self) -> Result<Option<u64>, StoreError> {
        let mark = self.step(mark(&self.connection)).await?;
        let (pool, limit) = (self.pool, Instant::now() + COMMIT_LIMIT);
        let committing = pool.commit(self.connection, mark.as_ref(), limit, limit + PATIENCE);
        match committing.await {
            Ok(()) => Ok(mark.map(|mark| mark.revision)),
            Err(Uncommitted::Failed(error)) => Err(explained(&pool, &error)),
            Err(Uncommitted::Unknown) => {
                let target = pool.target();
                Err(StoreError::Unknown(format!(
                    "{target}: COMMIT got no answer"
                )))
            }
        }
    }

    async fn roll_back(self) {
        let rolling_back = self.connection.batch_execute("ROLLBACK");
        // A connection that is closed instead has the same effect.
        if let Ok(Ok(())) = timeout(COMMIT_LIMIT, rolling_back).await {
            pool::ended(self.connection);
        }
    }
}

/// Records as rows of the three tables.
fn rows<'a>(wanted: &[&'a Wanted<'a>]) -> [Vec<Fields<'a>>; 3] {
    let parts = |table: &Table, parts: fn(&'a Wanted<'a>) -> &'a [Fields<'a>]| {
        let rows = wanted.iter().flat_map(|it| {
            let id = it.extension.id.as_str();
            parts(it).iter().map(|part| table.row(id, part))
        });
        rows.collect()
    };
    [
        wanted.iter().map(|it| it.record.own.clone()).collect(),
        parts(&VERSIONS, |it| &it.record.versions),
        parts(&INSTANCES, |it| &it.record.instances),
    ]
}

/// What an error means for an import; the holder of a lock is not looked up.
fn explained(pool: &Pool, error: &PostgresError) -> StoreError {
    StoreError::Failed(error.sorted(pool.target()))
}
