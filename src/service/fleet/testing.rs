//! A store that switches nothing, for tests of what asks it to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::domain::extension::Incarnation;
use crate::domain::ids::ExtensionId;
use crate::service::health_store::{AutoDisabled, AutoSwitch, StoreError};

/// Counts how often it is asked to disable, or for the lease, which it gives.
#[derive(Debug, Default)]
pub(super) struct Store(pub(super) AtomicU32);

impl AutoSwitch for Store {
    async fn auto_disable(
        &self,
        _: &ExtensionId,
        _: Option<Incarnation>,
        _: &str,
        _: u8,
    ) -> Result<AutoDisabled, StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(AutoDisabled::SeenAlive)
    }

    async fn auto_enable(
        &self,
        _: &ExtensionId,
        _: Option<Incarnation>,
        _: &str,
    ) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    async fn take_probe_lease(&self, _: Duration) -> Result<bool, StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    async fn release_probe_lease(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
