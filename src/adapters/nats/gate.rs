//! Keeps tasks of a lane from publishing while its connection stands still for a drain.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Open nearly always; whoever publishes passes it.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
    opened: Notify,
}

impl Gate {
    /// Returns when the gate is open: at once, but for the moment of a drain.
    pub async fn pass(&self) {
        while self.closed.load(Ordering::Acquire) {
            let opened = self.opened.notified();
            // Asked again after listening: it may have been opened in between.
            if self.closed.load(Ordering::Acquire) {
                opened.await;
            }
        }
    }

    /// Holds everyone up until [`Gate::open`].
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Lets everyone pass.
    pub(super) fn open(&self) {
        self.closed.store(false, Ordering::Release);
        self.opened.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_comes_while_it_is_closed_passes_when_it_opens() {
        let gate = Arc::new(Gate::default());
        gate.pass().await;
        gate.close();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { gate.pass().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        gate.open();
        for task in waiting {
            task.await.unwrap();
        }
    }
}
