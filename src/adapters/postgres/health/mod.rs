//! What the fleet shares besides definitions: health, overrides, automatic switching, claims.
//!
//! What must be decided under a lock is a function of the schema (`migrations/functions/`), so each
//! call is one transaction, sent whole: no lock is held across the network, and a sidecar that
//! dies in the middle leaves nothing behind.

mod call;
mod circuits;
mod claims;
mod reports;
mod rollouts;
mod sets;
mod switch;

use std::sync::Arc;

use super::pool::Pool;
use crate::service::observe::Observers;
use crate::service::skipped::Skipped;

/// The ports of [`crate::service::health_store`] over a pool.
#[derive(Debug)]
pub struct PostgresHealth {
    pool: Arc<Pool>,
    instance_id: Box<str>,
    skipped: Arc<Skipped>,
    observers: Observers,
}

impl PostgresHealth {
    /// The store as the sidecar `instance_id` uses it. Rows that cannot be used go to `skipped`,
    /// and `observers` hear of each once.
    pub fn new(
        pool: Arc<Pool>,
        instance_id: &str,
        skipped: Arc<Skipped>,
        observers: Observers,
    ) -> Self {
        Self {
            pool,
            instance_id: instance_id.into(),
            skipped,
            observers,
        }
    }
}
