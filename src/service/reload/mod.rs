//! The one path by which data reaches the catalog.
//!
//! Start, notification, timer, file change and request all end in the same load; notifications are
//! hints that set a flag, and the flag is looked at again after every load, so one that arrives
//! during a load is never lost. The old data serves while a load runs or fails.
//!
//! [`inbox`] gathers hints and requests, [`loader`] makes a load of them.

mod inbox;
mod loader;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub(crate) use inbox::nobodys_handle;
pub use inbox::{Hint, ReloadHandle, ReloadReport};
pub use loader::Loader;

use crate::domain::catalog::CatalogWriter;
use crate::domain::entry::PrepareReply;
use crate::service::boundary::survived;
use crate::service::observe::{Observers, Trigger};
use crate::service::pauses::growing;
use crate::service::progress::Progress;
use crate::service::source::{Database, Fixtures, SourceError};
use crate::service::status::Status;
use inbox::{Inbox, Wake};

/// The first pause after a failed load.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest pause after failed loads, before jitter.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// The task that owns the catalog's writer.
pub struct Reloader<D, F> {
    loader: Loader<D, F>,
    inbox: Inbox,
}

/// What a [`Reloader`] works with.
pub struct Parts<D, F> {
    /// The one handle that may change the catalog.
    pub writer: CatalogWriter,
    /// Makes the prepared replies.
    pub prepare: Arc<PrepareReply>,
    /// The database, unless the mode is fixtures.
    pub database: Option<Arc<D>>,
    /// The files, unless the mode is database.
    pub fixtures: Option<F>,
    /// Shared state of the sources.
    pub status: Arc<Status>,
    /// Observers of applied revisions.
    pub progress: Progress,
    /// Observers of everything else.
    pub observers: Observers,
    /// Called after each change of the catalog, by the task that made it, before it is announced.
    pub applied: Box<dyn Fn() + Send + Sync>,
    /// The period of the safety sync.
    pub sync_interval: Duration,
}

impl<D: Database, F: Fixtures> Reloader<D, F> {
    /// A reloader and the handle by which others reach it.
    pub fn new(parts: Parts<D, F>) -> (Self, ReloadHandle) {
        let (inbox, handle) = inbox::pair();
        let loader = Loader::new(parts, Arc::clone(&inbox.dirty));
        (Self { loader, inbox }, handle)
    }

    /// Loads until `stop`; a failed load is tried again with growing, jittered pauses.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pauses = growing(FIRST_RETRY, LONGEST_RETRY);
        let mut next = Instant::now();
        let mut failing = false;
        let mut wake = Wake::Timer(Trigger::Start);
        loop {
            let by_timer = matches!(wake, Wake::Timer(_));
            // A request for a load waits for it; nothing waits for the others.
            let asked = matches!(wake, Wake::Requests(_));
            let load = self.survive(wake);
            let done = match asked {
                true => load.await,
                false => match stop.run_until_cancelled(load).await {
                    Some(done) => done,
                    None => return,
                },
            };
            // Files that were read while the database cannot be used satisfy a waiting request; it
            // is asked again as soon as after any other failure.
            let failed = !done || self.loader.parts.status.database_up() == Some(false);
            // Hints and requests, however often they come, put off neither the sync, which finds
            // unannounced changes, nor the next attempt.
            if by_timer || failed != failing {
                let pause = if failed {
                    pauses.next().unwrap_or(LONGEST_RETRY)
                } else {
                    pauses = growing(FIRST_RETRY, LONGEST_RETRY);
                    self.loader.parts.sync_interval
                };
                next = Instant::now() + pause;
                failing = failed;
            }
            // The timer before the inbox, which may never be empty. It cannot keep the inbox
            // waiting: its next turn is a pause after the end of this one.
            wake = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(next) => Wake::Timer(Trigger::Timer),
                wake = self.inbox.next() => wake,
            };
        }
    }

    /// Whether a load succeeded. One that panics is a failed load.
    async fn survive(&mut self, wake: Wake) -> bool {
        let (observers, trigger) = (self.loader.parts.observers.clone(), wake.trigger());
        let answered = survived(&observers, self.answer(wake)).await;
        if answered.is_none() {
            self.loader.panicked(trigger);
        }
        answered.is_some_and(|result| result.is_ok())
    }

    /// One load, for everyone who asked for it before it began.
    async fn answer(&mut self, wake: Wake) -> Result<(), SourceError> {
        match wake {
            Wake::Timer(_) | Wake::Hint(_) => {
                if matches!(wake, Wake::Hint(Hint::Reconnected)) {
                    self.loader.compare();
                }
                self.loader.load(wake.trigger(), None).await.map(drop)
            }
            Wake::Requests(requests) => {
                let mut outcome = Ok(());
                for (id, answers) in requests {
                    let result = self.loader.load(Trigger::Request, id.as_ref()).await;
                    outcome = outcome.and(result.as_ref().map(drop).map_err(Clone::clone));
                    for answer in answers {
                        // The caller may have gone; the load served the others.
                        let _ = answer.send(result.clone());
                    }
                }
                outcome
            }
        }
    }
}

#[cfg(test)]
mod tests;
