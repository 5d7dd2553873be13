//! Read your own writes: waiting until the catalog has a revision.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};

use super::error::RegistryError;
use crate::domain::overload::Overload;

use crate::service::clock::standstill::timeout;

/// How long a read with `min_revision` waits by default.
pub const DEFAULT_WAIT: Duration = Duration::from_millis(1000);
/// The longest a read may ask to wait.
pub const MAX_WAIT: Duration = Duration::from_millis(MAX_WAIT_MS);
/// Likewise, in milliseconds.
pub const MAX_WAIT_MS: u64 = 10_000;
/// How many reads may wait at a time. Waiting must take no place from working requests: code that
/// bounds requests has this many extra places.
pub const MAX_WAITERS: usize = 1024;

/// Informs waiting reads of the applied revision.
#[derive(Debug, Clone)]
pub struct Progress {
    /// `None` before anything was applied.
    applied: Arc<watch::Sender<Option<u64>>>,
    /// Whether a first load is done, its report included.
    begun: Arc<watch::Sender<bool>>,
    waiters: Arc<Semaphore>,
    /// A read begins to wait.
    wanted: Arc<Notify>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            applied: Arc::new(watch::Sender::new(None)),
            begun: Arc::new(watch::Sender::new(false)),
            waiters: Arc::new(Semaphore::new(MAX_WAITERS)),
            wanted: Arc::default(),
        }
    }
}

impl Progress {
    /// Announces that every entry of `revision` is visible.
    pub fn announce(&self, revision: u64) {
        self.applied.send_replace(Some(revision));
    }

    /// The revision announced last; 0 before the first.
    pub fn current(&self) -> u64 {
        self.applied.borrow().unwrap_or(0)
    }

    /// Follows the revisions announced; `None` before the first.
    pub fn follow(&self) -> watch::Receiver<Option<u64>> {
        self.applied.subscribe()
    }

    /// Announces that a load is done, and that its observers have heard of it.
    pub fn loaded(&self) {
        self.begun
            .send_if_modified(|begun| !std::mem::replace(begun, true));
    }

    /// Waits until a first load is done.
    pub async fn first_load(&self) {
        // The sender lives as long as this handle does.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Whether anything has been applied.
    pub fn has_begun(&self) -> bool {
        self.applied.borrow().is_some()
    }

    /// Waits for `min_revision`, if a request names one, for its time. Documents refuse one that is too
    /// long even where nothing has to be waited for: whether a request is valid must not depend on
    /// the moment.
    ///
    /// # Errors
    /// It did not come in time, or would have to be waited for by too many.
    pub async fn wait(
        &self,
        min_revision: Option<u64>,
        wait_ms: Option<u64>,
    ) -> Result<(), RegistryError> {
        let Some(wanted) = min_revision.filter(|wanted| *wanted > self.current()) else {
            return Ok(());
        };
        let Ok(_place) = self.waiters.try_acquire() else {
            return Err(RegistryError::Overloaded(Overload::Requests));
        };
        self.wanted.notify_one();
        let patience = wait_ms.map_or(DEFAULT_WAIT, Duration::from_millis);
        self.reached(wanted, patience.min(MAX_WAIT)).await
    }

    /// Waits until a read begins to wait; one that has since the last call counts. For one caller.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits at most `wait` until `wanted` has been applied, without taking a place of the reads
    /// that wait. Only for callers whose number is bounded already, such as changes.
    pub async fn reached(&self, wanted: u64, wait: Duration) -> Result<(), RegistryError> {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|revision| revision.unwrap_or(0) >= wanted);
        match timeout(wait, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(RegistryError::ShuttingDown),
            Err(_) => Err(RegistryError::RevisionTimeout {
                wanted,
                current: self.current(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_until_the_revision_is_there_or_time_is_up() {
        let progress = Progress::default();
        assert_eq!(progress.reached(0, DEFAULT_WAIT).await, Ok(()));
        let timed_out = progress.reached(1, DEFAULT_WAIT).await;
        assert_eq!(
            timed_out,
            Err(RegistryError::RevisionTimeout {
                wanted: 1,
                current: 0
            })
        );

        let announcer = progress.clone();
        let (waited, ()) = tokio::join!(progress.reached(2, DEFAULT_WAIT), async {
            announcer.announce(1);
            tokio::task::yield_now().await;
            announcer.announce(2);
        });
        assert_eq!(waited, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_waiters_is_bounded() {
        let progress = Progress::default();
        let waiting: Vec<_> = (0..MAX_WAITERS)
            .map(|_| {
                let progress = progress.clone();
                tokio::spawn(async move { progress.wait(Some(1), Some(10_000)).await })
            })
            .collect();
        while progress.waiters.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            progress.wait(Some(1), Some(10_000)).await,
            Err(RegistryError::Overloaded(Overload::Requests))
        );
        let writer = tokio::spawn({
            let progress = progress.clone();
            async move { progress.reached(1, MAX_WAIT).await }
        });
        tokio::task::yield_now().await;
        assert!(
            !writer.is_finished(),
            "a change is not turned away by those who wait for it"
        );
        progress.announce(1);
        assert_eq!(writer.await.unwrap(), Ok(()));
        for waiter in waiting {
            assert_eq!(waiter.await.unwrap(), Ok(()));
        }
    }
}
