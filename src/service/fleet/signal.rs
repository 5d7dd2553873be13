//! A sign that something may be new.

use std::sync::Arc;

use tokio::sync::watch;

/// Gives signs; several before a look count as one, and none is lost.
#[derive(Debug, Clone, Default)]
pub struct Signal(Arc<watch::Sender<()>>);

/// Waits for signs.
#[derive(Debug)]
pub struct Signs(watch::Receiver<()>);

impl Signal {
    /// Wakes all waiters, now or later.
    pub fn give(&self) {
        self.0.send_replace(());
    }

    /// A receiver of every sign from now on.
    pub fn signs(&self) -> Signs {
        Signs(self.0.subscribe())
    }
}

impl Signs {
    /// Waits for a sign; one that came since the last wait counts.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // All senders are gone.
            std::future::pending::<()>().await;
        }
    }
}
