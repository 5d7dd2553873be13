//! The share of a failing version is set to 0: `rollout.halt`.
//!
//! Every sidecar reports the attempts that it made, and gets the sums over all. A sidecar that sees
//! a version failing has the store set its share to 0; one of them succeeds. While our own link is
//! not steady nothing is decided here: the failures may be our own.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::jittered;
use super::link::Link;
use crate::domain::catalog::ActiveSource;
use crate::domain::halting::Comparison;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::rollout::Halt;
use crate::service::boundary::survived;
use crate::service::health_store::StoreError;
use crate::service::invoke::{Attempts, Tools};
use crate::service::observe::Observation;

/// Attempts of one version, on their way to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The extension.
    pub id: ExtensionId,
    /// Its version.
    pub version: VersionName,
    /// Their outcomes.
    pub attempts: Attempts,
}

/// The outcomes of the attempts of all sidecars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The extension.
    pub id: ExtensionId,
    /// A version of it that may have to give up its share.
    pub version: VersionName,
    /// The revision since which its figures are.
    pub since: u64,
    /// Its figures, and the current version's.
    pub figures: Comparison,
}

/// Port: what the fleet knows of its rollouts. Every call is bounded in time.
pub trait Rollouts: Send + Sync + 'static {
    /// Adds attempts, and returns the sums for the extensions in `windows`, within that time.
    /// A batch that is repeated adds nothing. Without windows nothing is added, and nothing asked.
    fn tell(
        &self,
        batch: u128,
        tried: &[Tried],
        windows: &BTreeMap<ExtensionId, Duration>,
    ) -> impl Future<Output = Result<Vec<Share>, StoreError>> + Send;

    /// Sets the share of a version to 0, where its figures are still those since `since`: in this
    /// revision, or not, where another sidecar was faster, or it has changed since. `figures` is a JSON
    /// document for audit and event.
    fn halt(
        &self,
        share: &Share,
        figures: &str,
    ) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;
}

/// Writes the figures that a version is halted for as a JSON document.
pub type WriteFigures = fn(&Share, &Halt) -> String;

/// Compares versions for as long as the daemon runs.
#[derive(Debug)]
pub struct Halter<S> {
    /// What the fleet knows.
    pub store: Arc<S>,
    /// Whether anything may be decided now.
    pub link: Arc<Link>,
    /// The outcomes of calls, and the observers.
    pub tools: Tools,
    /// Time between looks.
    pub interval: Duration,
    /// The document of the figures.
    pub write_figures: WriteFigures,
}

/// A batch that the store may not have yet.
#[derive(Debug, Default)]
struct Batch {
    number: u128,
    tried: Vec<Tried>,
}

impl<S: Rollouts> Halter<S> {
    /// Reports and compares until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&self) {
        let mut batch = Batch::default();
        loop {
            sleep(jittered(self.interval)).await;
            let turn = survived(&self.tools.observers, self.turn(&mut batch)).await;
            if let Some(Err(error)) = turn {
                let observers = &self.tools.observers;
                observers.store_failed("comparing versions", error);
            }
        }
    }

    async fn turn(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let windows = self.windows();
        // What could not be reported is reported again unchanged: it may have been written.
        if batch.tried.is_empty() {
            *batch = Batch {
                number: rand::random(),
                tried: self.gather(windows.keys()),
            };
        }
        let told = self.store.tell(batch.number, &batch.tried, &windows);
        let shares = told.await?;
        batch.tried.clear();
        let mut judged = Ok(());
        for share in shares {
            // One that cannot be halted now, as when somebody has its row locked, holds up no other.
            judged = judged.and(self.judge(&share).await);
        }
        judged
    }

    /// The extensions that may have to be halted and were called here, each with how old figures may be.
    fn windows(&self) -> BTreeMap<ExtensionId, Duration> {
        let (catalog, runtimes) = (self.tools.selector.catalog(), &self.tools.runtimes);
        // What files define cannot be changed here.
        if catalog.head().source != ActiveSource::Database {
            return BTreeMap::new();
        }
        let called = runtimes.all().into_iter();
        let halting = called.filter_map(|runtime| {
            let id = &runtime.id;
            let entry = catalog.get(id.as_str()).filter(|entry| entry.halts())?;
            let setup = runtime.setup(&entry, runtimes.defaults());
            Some((id.clone(), setup.limits.breaker.window))
        });
        halting.collect()
    }

    fn gather<'a>(&self, ids: impl Iterator<Item = &'a ExtensionId>) -> Vec<Tried> {
        let mut tried = Vec::new();
        for id in ids {
            let Some(runtime) = self.tools.runtimes.get(id.as_str()) else {
                continue;
            };
            for version in runtime.versions.all().iter() {
                tried.extend(version.take_attempts().into_iter().map(|attempts| Tried {
                    id: id.clone(),
                    version: version.version.clone(),
                    attempts,
                }));
            }
        }
        tried
    }

    async fn judge(&self, share: &Share) -> Result<(), StoreError> {
        let catalog = self.tools.selector.catalog();
        // By the change that its figures begin with it may be allowed more.
        if catalog.revision() < share.since {
            return Ok(());
        }
        let entry = catalog.get(share.id.as_str());
        let halt = entry.and_then(|entry| entry.halt(&share.version));
        let Some(halt) = halt.filter(|halt| share.figures.halts(halt)) else {
            return Ok(());
        };
        if !self.link.is_steady() {
            return Ok(());
        }
        let figures = (self.write_figures)(share, &halt);
        if let Some(revision) = self.store.halt(share, &figures).await? {
            self.tools.observers.observe(&Observation::RolloutHalted {
                share: share.clone(),
                revision,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "halt_tests.rs"]
mod tests;
