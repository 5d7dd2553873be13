//! Writing definitions: one transaction per change, with statically written SQL only.
//!
//! The transaction takes the lock on the revision before it reads anything, so what it decides by
//! is what it changes, and no two writers wait for each other. It is two round trips: lock and
//! read; change and commit.

mod audit;
mod fate;
mod read;
mod steps;
mod write;

use std::sync::Arc;

use super::pool::Pool;

/// The port of [`crate::service::definitions`] over a pool.
#[derive(Debug)]
pub struct PostgresDefinitions {
    pool: Arc<Pool>,
}

impl PostgresDefinitions {
    /// Definitions in the database that `pool` leads to.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }
}
