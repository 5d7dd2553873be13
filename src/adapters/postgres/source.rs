//! The database as a source of extensions. It is what an import writes to as well: [`super::transfer`].

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;

use super::error::PostgresError;
use super::limit::within;
use super::pool::Pool;
use super::snapshot;
use crate::domain::policy::Policy;
use crate::domain::reconcile::Everything;
use crate::service::source::{Database, Read, SourceError, Want};

/// For a connection that answers.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For a whole read, however much it reads. Within it each statement has a limit of its own.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// For the one row that shows whether anything changed.
const HEAD_LIMIT: Duration = Duration::from_secs(4);

/// Reads definitions over a pool.
#[derive(Debug)]
pub struct PostgresSource {
    pub(super) pool: Arc<Pool>,
    pub(super) policy: Arc<Policy>,
}

impl PostgresSource {
    /// A source that holds rows against `policy`.
    pub fn new(pool: Arc<Pool>, policy: Arc<Policy>) -> Self {
        Self { pool, policy }
    }
}

impl Database for PostgresSource {
    async fn read(&self, want: &Want) -> Result<Read, SourceError> {
        let work = || async |client: &Object| self.look(client, want).await;
        self.run("a read", work).await
    }

    async fn digest(&self) -> Result<(u64, u64), SourceError> {
        let work = || async |client: &Object| snapshot::digest(client).await;
        self.run("the digest", work).await
    }

    fn connections_made(&self) -> u64 {
        self.pool.made()
    }
}

impl PostgresSource {
    /// All definitions, whatever has changed.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn everything(&self) -> Result<Everything, SourceError> {
        let work = || async |client: &Object| snapshot::everything(client, &self.policy).await;
        self.run("a read", work).await
    }

    async fn run<T, W: AsyncFnOnce(&Object) -> Result<T, PostgresError>>(
        &self,
        what: &'static str,
        work: impl Fn() -> W,
    ) -> Result<T, SourceError> {
        match self.pool.read(what, CONNECT_LIMIT, READ_LIMIT, work).await {
            Ok(done) => Ok(done),
            Err(error) => Err(self.pool.explained(&error).await.into()),
        }
    }

    /// Looks at one row first, and reads on only if that shows a change; at once after a notification.
    async fn look(&self, client: &Object, want: &Want) -> Result<Read, PostgresError> {
        let policy = &self.policy;
        if let Some(known) = &want.known {
            let reaches_back = want.told || {
                match within("the revision", HEAD_LIMIT, snapshot::head(client)).await {
                    // To read everything tells what it is.
                    Err(error) if error.is_outdated() => false,
                    Err(error) => return Err(error),
                    Ok(head) if head.is(known) && want.also.is_none() => {
                        return Ok(Read::Unchanged);
                    }
                    Ok(head) => head.reaches_back_to(known),
                }
            };
            if reaches_back {
                let (direct, also) = (self.pool.is_direct(), want.also.as_ref());
                match snapshot::delta(client, direct, policy, known, also).await {
                    // A view in a table's place for one: to read everything tells what it is.
                    Err(error) if error.is_outdated() => client.statement_cache.clear(),
                    Err(error) => return Err(error),
                    Ok(Some(delta)) => return Ok(delta),
                    Ok(None) => {}
                }
            }
        }
        let everything = snapshot::everything(client, policy).await?;
        Ok(Read::Everything(everything))
    }
}
