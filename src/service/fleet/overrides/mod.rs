//! Circuits as operators want them: written to the store in order, and read from it again whenever
//! something may have changed.
//!
//! One task does both, so what it reads after a write holds that write.

mod applied;
mod queue;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use applied::Applied;
pub use queue::{Order, OverrideHandle, OverrideQueue, orders};

use super::jittered;
use crate::domain::catalog::ActiveSource;
use crate::service::boundary::survived;
use crate::service::error::{NotFoundReason, RegistryError};
use crate::service::health_store::{NewOverride, Override, Overrides, StoreError};
use crate::service::invoke::Tools;
use crate::service::observe::Observation;

/// Between attempts to read what could not be read.
const RETRY: Duration = Duration::from_secs(1);
/// The longest time between readings: a reset is there for ten minutes, and has to be seen.
const LONGEST: Duration = Duration::from_secs(300);

/// Keeps the circuits as the store's overrides want them.
#[derive(Debug)]
pub struct OverrideKeeper<S> {
    store: Arc<S>,
    tools: Tools,
    applied: Applied,
    /// All that are in force, as last read.
    listed: Option<Vec<Override>>,
    queue: OverrideQueue,
    /// The period in which overrides are read even without a notification.
    sync_interval: Duration,
}

impl<S: Overrides> OverrideKeeper<S> {
    /// A keeper that carries out what comes by `queue`.
    pub fn new(store: Arc<S>, tools: Tools, queue: OverrideQueue, sync_interval: Duration) -> Self {
        Self {
            store,
            tools,
            applied: Applied::default(),
            listed: None,
            queue,
            sync_interval: sync_interval.min(LONGEST),
        }
    }

    /// Follows the store until `stop`. `news` notifies that an override may have changed, `applied`
    /// that the catalog has: then what was read before is held against it. `restoring` is held until
    /// the circuits are as the store wants them.
    pub async fn run(
        mut self,
        news: Arc<Notify>,
        mut applied: watch::Receiver<Option<u64>>,
        restoring: TaskTrackerToken,
        stop: CancellationToken,
    ) {
        let mut restoring = Some(restoring);
        let observers = self.tools.observers.clone();
        let mut next = Instant::now();
        loop {
            let reads = self.listed.is_none();
            let looking = survived(&observers, self.look());
            let Some(read) = stop.run_until_cancelled(looking).await else {
                return;
            };
            if matches!(read, Some(Ok(true))) {
                drop(restoring.take());
            }
            let pause = match read {
                // A catalog that changes, however often, puts off no reading.
                Some(Ok(_)) => reads.then_some(self.sync_interval),
                Some(Err(_)) | None => Some(RETRY),
            };
            if let Some(pause) = pause {
                next = Instant::now() + jittered(pause);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(order) = self.queue.recv() => {
                    survived(&observers, self.carry_out(order)).await;
                }
                () = news.notified() => self.listed = None,
                Ok(()) = applied.changed() => {}
                () = sleep_until(next) => self.listed = None,
            }
        }
    }

    /// Brings the circuits in line with what was read, or where that may be outdated with the
    /// store; not before its data is what we serve, `false` until then. A failure is reported:
    /// circuits stay as they are meanwhile.
    async fn look(&mut self) -> Result<bool, StoreError> {
        let listed = match self.listed.take() {
            Some(listed) => listed,
            None if self.tools.selector.catalog().head().source != ActiveSource::Database => {
                return Ok(false);
            }
            None => {
                let overrides = self.store.overrides().await;
                overrides.inspect_err(|error| self.tell(error))?
            }
        };
        self.applied.follow(&self.tools, &listed);
        self.listed = Some(listed);
        Ok(true)
    }

    async fn carry_out(&mut self, order: Order) {
        let (wanted, answer, begun) = match order {
            Order::Write(wanted, answer, begun) => (wanted, answer, begun),
            Order::Look(answer) => {
                self.listed = None;
                let _ = self.look().await;
                let _ = answer.send(());
                return;
            }
        };
        // Marked first, then checked: a caller that gives up in between takes it as begun.
        begun.store(true, Ordering::SeqCst);
        if answer.is_closed() {
            return;
        }
        let change = rand::random();
        let written = match self.store.set_override(&wanted, change).await {
            // It is unknown whether it was written; repeated, it is written once.
            Err(StoreError::Unknown(_)) => self.store.set_override(&wanted, change).await,
            written => written,
        };
        let outcome = match written {
            Ok(true) => {
                // Read rather than assumed: another sidecar's may have come after it. Where that
                // fails, what is written holds here at least. A first list would pass a reset over.
                self.listed = None;
                if !self.applied.begun || !matches!(self.look().await, Ok(true)) {
                    let written = in_force(&wanted, change);
                    self.applied.one(&self.tools, &written, true);
                }
                Ok(())
            }
            Ok(false) => Err(RegistryError::ExtensionNotFound {
                id: wanted.extension.to_string(),
                reason: NotFoundReason::Unknown,
            }),
            Err(error) => {
                let observation = Observation::RequestFailed {
                    what: "cannot write the override",
                    error: error.database().clone(),
                };
                self.tools.observers.observe(&observation);
                Err(error.into())
            }
        };
        // The caller may have gone meanwhile; what is written holds all the same.
        let _ = answer.send(outcome);
    }

    /// A database that does not answer is reported by the task that loads data from it.
    fn tell(&self, error: &StoreError) {
        if !error.database().is_unreachable() {
            let observers = &self.tools.observers;
            observers.store_failed("reading the circuit overrides", error.clone());
        }
    }
}

/// What was just written, as it will be read.
fn in_force(wanted: &NewOverride, change: u128) -> Override {
    Override {
        extension: wanted.extension.clone(),
        incarnation: wanted.incarnation,
        version: wanted.version.clone(),
        action: wanted.action,
        change,
        until: wanted
            .ttl
            .and_then(|ttl| std::time::Instant::now().checked_add(ttl)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::time::sleep;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::domain::catalog::Catalog;
    use crate::domain::testing::change;
    use crate::service::testing::tools;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Has no overrides, and counts how often it is asked for them.
    #[derive(Debug, Default)]
    struct Store(AtomicU32);

    impl Overrides for Store {
        async fn set_override(&self, _: &NewOverride, _: u128) -> Result<bool, StoreError> {
            Ok(false)
        }

        async fn overrides(&self) -> Result<Vec<Override>, StoreError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        }
    }

    /// How often overrides are read within ten minutes without notifications, in which the catalog
    /// changes every five seconds.
    async fn reads_in_ten_minutes(sync_interval: Duration) -> u32 {
        let (catalog, mut writer) = Catalog::new();
        writer.apply(change(1));
        let (store, (_orders, queue)) = (Arc::<Store>::default(), orders());
        let keeper = OverrideKeeper::new(Arc::clone(&store), tools(catalog), queue, sync_interval);
        let (revisions, applied) = watch::channel(Some(1));
        let (restoring, stop) = (TaskTracker::new().token(), CancellationToken::new());
        tokio::spawn(keeper.run(Arc::default(), applied, restoring, stop.clone()));
        for revision in 2..120 {
            sleep(MINUTE / 12).await;
            revisions.send_replace(Some(revision));
        }
        stop.cancel();
        store.0.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_catalog_that_changes_often_puts_off_no_reading() {
        let reads = reads_in_ten_minutes(MINUTE).await;
        assert!((9..=12).contains(&reads), "{reads}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_is_seen_before_it_goes_however_seldom_the_definitions_are_read() {
        let reads = reads_in_ten_minutes(24 * 60 * MINUTE).await;
        assert!((2..=4).contains(&reads), "{reads}");
    }
}
