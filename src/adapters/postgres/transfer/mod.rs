//! An import's side of the database: one transaction, with statically written SQL only.
//!
//! A statement writes many rows of one table at once: the triggers, which take the revision and
//! write the audit, run once per statement, and cost more than the rows.

mod transaction;

use std::sync::Arc;

use transaction::PostgresTransaction;

use super::pool::Pool;
use crate::domain::policy::Policy;
use crate::service::transfer::{Store, StoreError};

/// The port of [`crate::service::transfer`] over a pool.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Arc<Pool>,
    policy: Arc<Policy>,
}

impl PostgresStore {
    /// The database that `pool` leads to. What it holds is read by `policy`.
    pub fn new(pool: Arc<Pool>, policy: Arc<Policy>) -> Self {
        Self { pool, policy }
    }
}

impl Store for PostgresStore {
    type Transaction = PostgresTransaction;

    async fn begin(&self, changed_by: &str) -> Result<PostgresTransaction, StoreError> {
        let (pool, policy) = (Arc::clone(&self.pool), Arc::clone(&self.policy));
        PostgresTransaction::begin(pool, policy, changed_by).await
    }
}
