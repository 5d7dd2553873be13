//! The database as a source of extensions.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;

use super::error::PostgresError;
use super::limit::within;
use super::pool::{self, Pool};
use super::schema::{SchemaState, schema_state};
use super::snapshot;
use crate::domain::policy::Policy;
use crate::service::source::{Database, Read, SourceError, Want};

/// For a whole read, however much it reads. Within it each statement has a limit of its own.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Reads definitions over a pool.
#[derive(Debug)]
pub struct PostgresSource {
    pool: Arc<Pool>,
    policy: Arc<Policy>,
}

impl PostgresSource {
    /// A source that holds rows against `policy`.
    pub fn new(pool: Arc<Pool>, policy: Arc<Policy>) -> Self {
        Self { pool, policy }
    }
}

impl Database for PostgresSource {
    async fn read(&self, want: &Want) -> Result<Read, SourceError> {
        let read = self.try_read(want).await;
        read.map_err(|error| error.into_source_error(self.pool.target()))
    }

    async fn digest(&self) -> Result<(u64, u64), SourceError> {
        let digest = self.try_digest().await;
        digest.map_err(|error| error.into_source_error(self.pool.target()))
    }
}

impl PostgresSource {
    async fn try_read(&self, want: &Want) -> Result<Read, PostgresError> {
        let connection = self.pool.get().await?;
        let work = read(&connection, &self.policy, want);
        let read = within("a read", READ_LIMIT, work).await;
        pool::put_back(connection, read)
    }

    async fn try_digest(&self) -> Result<(u64, u64), PostgresError> {
        let connection = self.pool.get().await?;
        let work = async {
            check_schema(&connection).await?;
            snapshot::digest(&connection).await
        };
        let digest = within("the digest", READ_LIMIT, work).await;
        pool::put_back(connection, digest)
    }
}

/// Looks at one row first, and reads on only if that says so.
async fn read(client: &Object, policy: &Policy, want: &Want) -> Result<Read, PostgresError> {
    check_schema(client).await?;
    if let Some(known) = &want.known {
        let head = snapshot::head(client).await?;
        if head.is(known) && want.also.is_none() {
            return Ok(Read::Unchanged);
        }
        if head.reaches_back_to(known)
            && let Some(delta) = snapshot::delta(client, policy, known, want.also.as_ref()).await?
        {
            return Ok(Read::Delta(delta));
        }
    }
    snapshot::everything(client, policy)
        .await
        .map(Read::Everything)
}

/// Once per connection, at its first use: the pool closes connections that fail, so a schema that
/// is changed under a running daemon is looked at again as soon as that hurts.
pub(super) async fn check_schema(client: &Object) -> Result<(), PostgresError> {
    if Object::metrics(client).recycle_count > 0 {
        return Ok(());
    }
    let client: &tokio_postgres::Client = client;
    match schema_state(client).await? {
        SchemaState::Behind { have, need } => Err(PostgresError::SchemaBehind {
            have: u32::try_from(have).unwrap_or(0),
            need: u32::try_from(need).unwrap_or(0),
        }),
        SchemaState::Current | SchemaState::Ahead { .. } => Ok(()),
    }
}
