//! Events about changes, published once per fleet: by the sidecar that claims their revision.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Alive;
use crate::domain::catalog::{ActiveSource, Catalog};
use crate::service::boundary::survived;
use crate::service::health_store::{Claims, RevisionChanges};
use crate::service::observe::Observers;
use crate::service::progress::Progress;
use crate::service::status::Status;

/// How often a link that is down is looked at.
const LINK_PAUSE: Duration = Duration::from_secs(1);

/// Port: where events about changes go.
pub trait ChangeEvents: Send + Sync + 'static {
    /// Takes the changes of a revision; waits for room rather than losing any.
    fn tell(&self, epoch: &str, changes: &RevisionChanges) -> impl Future<Output = ()> + Send;
}

/// Claims revisions as they are applied.
#[derive(Debug)]
pub struct ChangeTeller<S, E> {
    /// Knows whose events are published.
    pub store: Arc<S>,
    /// Takes the events.
    pub events: E,
    /// The catalog whose revisions are published.
    pub catalog: Arc<Catalog>,
    /// Its revisions as they are applied.
    pub progress: Progress,
    /// How many sidecars want the same.
    pub alive: Alive,
    /// Whether events can be published at all.
    pub status: Arc<Status>,
    /// Observers of failures.
    pub observers: Observers,
}

impl<S: Claims, E: ChangeEvents> ChangeTeller<S, E> {
    /// Claims and publishes until `stop`, which is heeded between turns only: what is claimed is
    /// published.
    pub async fn run(self, stop: CancellationToken) {
        let mut applied = self.progress.follow();
        applied.mark_changed();
        while let Some(Ok(())) = stop.run_until_cancelled(applied.changed()).await {
            // Of many, nearly all find that another one was there first.
            if let Some(turn) = self.alive.turn() {
                stop.run_until_cancelled(sleep(turn)).await;
                applied.mark_unchanged();
            }
            survived(&self.observers, self.catch_up(&stop)).await;
        }
    }

    /// Claims until everything that was applied has a publisher.
    async fn catch_up(&self, stop: &CancellationToken) {
        let mut pauses = super::pauses();
        while !stop.is_cancelled() {
            // A sidecar that cannot publish leaves the claim to others.
            if !self.status.nats_up() {
                stop.run_until_cancelled(sleep(LINK_PAUSE)).await;
                continue;
            }
            let head = self.catalog.head();
            let Some(epoch) = head.epoch.as_deref() else {
                return;
            };
            if head.source != ActiveSource::Database {
                return;
            }
            match self.store.claim(epoch, head.revision).await {
                Ok(None) => return,
                Ok(Some(claimed)) => {
                    pauses = super::pauses();
                    for changes in &claimed.revisions {
                        self.events.tell(epoch, changes).await;
                    }
                }
                Err(error) => {
                    self.observers.store_failed("claiming events", error);
                    let pause = pauses.next().unwrap_or(LINK_PAUSE);
                    stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
    }
}
