//! The right to probe, which one sidecar of the fleet has at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::service::health_store::{AutoSwitch, StoreError};

/// How long the lease of a sidecar that died keeps the others from probing.
const LENGTH: Duration = Duration::from_secs(15);
/// A lease with less than this left is renewed before it is used.
const RENEW_BELOW: Duration = Duration::from_secs(8);
/// How long a refusal is believed.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// Giving it back must not hold up the end of the process; it runs out by itself.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// What this sidecar knows about the lease.
#[derive(Debug)]
pub(super) struct Lease<S> {
    store: Arc<S>,
    held_until: Option<Instant>,
    refused_until: Option<Instant>,
}

impl<S: AutoSwitch> Lease<S> {
    pub(super) fn new(store: Arc<S>) -> Self {
        Self {
            store,
            held_until: None,
            refused_until: None,
        }
    }

    /// Takes or renews it where that is due; whether it is ours now.
    pub(super) async fn hold(&mut self) -> Result<bool, StoreError> {
        let now = Instant::now();
        let lasts = |until: Instant| until > now + RENEW_BELOW;
        if self.held_until.is_some_and(lasts) {
            return Ok(true);
        }
        if self.refused_until.is_some_and(|until| until > now) {
            return Ok(false);
        }
        let taken = self.store.take_probe_lease(LENGTH).await?;
        self.held_until = taken.then_some(now + LENGTH);
        self.refused_until = (!taken).then_some(now + ASK_AGAIN);
        // It runs from before the request: a process that slept through it no longer holds it.
        Ok(taken && now.elapsed() < LENGTH)
    }

    /// Gives it back, if it may be ours.
    pub(super) async fn release(self) {
        if self.held_until.is_some() {
            let _ = timeout(RELEASE_LIMIT, self.store.release_probe_lease()).await;
        }
    }
}
