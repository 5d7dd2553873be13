//! Writing definitions: one transaction per change, with statically written SQL only.
//!
//! The transaction takes the lock on the revision before it reads anything, so it decides by the
//! same data that it changes, and no two writers wait for each other. Lock and read are one round
//! trip; each step and the commit are one more.
//!
//! `write` is the transaction and its outcome; in it, [`change`] is the work on one extension
//! ([`steps`] has its statements) and [`switch`] on many. [`audit`] only reads.

mod audit;
mod change;
mod steps;
mod switch;
mod write;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::pool::Pool;
use super::statement::Parameter;

/// The port of [`crate::service::definitions`] over a pool.
#[derive(Debug)]
pub struct PostgresDefinitions {
    pool: Arc<Pool>,
    /// Half of the pool at most is for writers: what loads, listens and flushes needs the rest
    /// while they wait for a lock.
    writers: Semaphore,
    /// Reads of the audit may be long, so they have a connection beside the pool, one at a time.
    auditors: Semaphore,
}

impl PostgresDefinitions {
    /// Definitions in the database that `pool` leads to.
    pub fn new(pool: Arc<Pool>) -> Self {
        let writers = Semaphore::new((pool.max_size() / 2).max(1));
        Self {
            pool,
            writers,
            auditors: Semaphore::new(1),
        }
    }
}
