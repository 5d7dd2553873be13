//! Whether everything that a start takes over from the store has arrived.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts the parts that are still to be taken over.
#[derive(Debug, Clone)]
pub struct Restored(Arc<watch::Sender<u32>>);

impl Restored {
    /// The number of missing parts.
    pub fn missing(parts: u32) -> Self {
        Self(Arc::new(watch::Sender::new(parts)))
    }

    /// One part is there.
    pub(super) fn one(&self) {
        self.0
            .send_modify(|missing| *missing = missing.saturating_sub(1));
    }

    /// Waits until nothing is missing.
    pub async fn all(&self) {
        // The sender lives as long as this handle does.
        let _ = self.0.subscribe().wait_for(|missing| *missing == 0).await;
    }
}
