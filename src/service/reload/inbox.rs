//! The inbox of the reloader: hints that collapse, and requests that want an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::domain::catalog::{ActiveSource, Counts};
use crate::domain::ids::ExtensionId;
use crate::domain::overload::Overload;
use crate::service::error::RegistryError;
use crate::service::observe::Trigger;
use crate::service::source::SourceError;

/// Requests that may wait for a load; more are answered `overloaded`.
const MAX_REQUESTS: usize = 64;

/// A sign that there may be something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// The database notified.
    Database,
    /// A connection to the database was lost, or is there again: notifications meanwhile were not
    /// heard, and it may be another server.
    Reconnected,
    /// A file changed.
    Files,
}

impl Hint {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn trigger(self) -> Trigger {
        match self {
            Self::Database | Self::Reconnected => Trigger::Notification,
            Self::Files => Trigger::Files,
        }
    }
}

/// What a `reload` request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadReport {
    /// What changed.
    pub counts: Counts,
    /// Entries in the catalog now.
    pub total: usize,
    /// How long the load took.
    pub duration: Duration,
    /// The catalog's revision now.
    pub revision: u64,
    /// Where its data came from.
    pub source: ActiveSource,
}

type Answer = oneshot::Sender<Result<ReloadReport, SourceError>>;

#[derive(Debug)]
struct Request {
    /// What has to be read whatever the revision: everything without one.
    id: Option<ExtensionId>,
    answer: Answer,
}

/// Requests by that id: those that want the same share a load.
type Requests = BTreeMap<Option<ExtensionId>, Vec<Answer>>;

/// Why the reloader wakes up.
#[derive(Debug)]
pub(super) enum Wake {
    Timer(Trigger),
    Hint(Hint),
    Requests(Requests),
}

impl Wake {
    /// Why the load that follows is made.
    pub(super) const fn trigger(&self) -> Trigger {
        match self {
            Self::Timer(trigger) => *trigger,
            Self::Hint(hint) => hint.trigger(),
            Self::Requests(_) => Trigger::Request,
        }
    }
}

/// Hints that nobody has followed yet.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    bits: AtomicU8,
    notify: Notify,
    /// Is notified of files as well: a load that waits for a database listens for them.
    edited: Notify,
}

impl Dirty {
    /// Takes a hint, if there is one.
    fn take(&self, hint: Hint) -> bool {
        self.bits.fetch_and(!hint.bit(), Ordering::AcqRel) & hint.bit() != 0
    }

    /// Waits until a file has changed, and takes the hint.
    pub(super) async fn edit(&self) {
        while !self.take(Hint::Files) {
            self.edited.notified().await;
        }
    }
}

/// The reloader's end.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) dirty: Arc<Dirty>,
    requests: mpsc::Receiver<Request>,
}

/// Everyone else's end.
#[derive(Debug, Clone)]
pub struct ReloadHandle {
    dirty: Arc<Dirty>,
    requests: mpsc::Sender<Request>,
}

pub(super) fn pair() -> (Inbox, ReloadHandle) {
    let dirty = Arc::new(Dirty::default());
    let (sender, requests) = mpsc::channel(MAX_REQUESTS);
    (
        Inbox {
            dirty: Arc::clone(&dirty),
            requests,
        },
        ReloadHandle {
            dirty,
            requests: sender,
        },
    )
}

/// A handle whose hints are discarded.
#[cfg(test)]
pub(crate) fn nobodys_handle() -> ReloadHandle {
    pair().1
}

impl Inbox {
    /// The next reason to load. A hint given during a load is still there after it.
    pub(super) async fn next(&mut self) -> Wake {
        loop {
            // Requests first: hints that never pause must not keep one waiting, while the load of
            // a request reads what the hints meant as well.
            if let Ok(first) = self.requests.try_recv() {
                return self.with_waiting(first);
            }
            if let Some(hint) = self.take_hint() {
                return Wake::Hint(hint);
            }
            tokio::select! {
                () = self.dirty.notify.notified() => {}
                Some(first) = self.requests.recv() => return self.with_waiting(first),
            }
        }
    }

    fn take_hint(&self) -> Option<Hint> {
        [Hint::Reconnected, Hint::Database, Hint::Files]
            .into_iter()
            .find(|hint| self.dirty.take(*hint))
    }

    fn with_waiting(&mut self, first: Request) -> Wake {
        let (mut requests, mut next) = (Requests::new(), Some(first));
        while let Some(Request { id, answer }) = next {
            requests.entry(id).or_default().push(answer);
            next = self.requests.try_recv().ok();
        }
        Wake::Requests(requests)
    }
}

impl ReloadHandle {
    /// Hints that there may be something new. Never waits; many hints make one load.
    pub fn hint(&self, hint: Hint) {
        self.dirty.bits.fetch_or(hint.bit(), Ordering::AcqRel);
        if hint == Hint::Files {
            self.dirty.edited.notify_one();
        }
        self.dirty.notify.notify_one();
    }

    /// Reads and compares everything, or one id, and waits for the outcome.
    pub async fn reload(&self, id: Option<ExtensionId>) -> Result<ReloadReport, RegistryError> {
        let (answer, outcome) = oneshot::channel();
        self.requests
            .try_send(Request { id, answer })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => RegistryError::Overloaded(Overload::Requests),
                mpsc::error::TrySendError::Closed(_) => RegistryError::ShuttingDown,
            })?;
        let result = outcome.await.map_err(|_| match self.requests.is_closed() {
            true => RegistryError::ShuttingDown,
            false => RegistryError::Internal,
        })?;
        result.map_err(|error| {
            let kept = "; the data served before is kept";
            match error {
                SourceError::Unreadable(_) | SourceError::Bug => {
                    RegistryError::SourceUnreadable(format!("{error}{kept}"))
                }
                SourceError::Database(ref database) => {
                    match RegistryError::from(database.clone()) {
                        RegistryError::DatabaseUnavailable { reason, message } => {
                            let message = format!("{message}{kept}");
                            RegistryError::DatabaseUnavailable { reason, message }
                        }
                        locked @ RegistryError::DatabaseLocked { .. } => locked,
                        // A client that may reload may see more than "internal".
                        _ => RegistryError::SourceUnreadable(format!("{}{kept}", error.outside())),
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::trouble::DatabaseError;

    #[tokio::test]
    async fn hints_collapse_and_survive_a_load() {
        let (mut inbox, handle) = pair();
        for _ in 0..100 {
            handle.hint(Hint::Database);
        }
        assert!(matches!(inbox.next().await, Wake::Hint(Hint::Database)));
        // Given while the load of the first one runs:
        handle.hint(Hint::Database);
        handle.hint(Hint::Files);
        assert!(matches!(inbox.next().await, Wake::Hint(Hint::Database)));
        assert!(matches!(inbox.next().await, Wake::Hint(Hint::Files)));
        assert!(inbox.take_hint().is_none());
    }

    #[tokio::test]
    async fn requests_that_want_the_same_share_a_load() {
        let (mut inbox, handle) = pair();
        let one = ExtensionId::parse("a").unwrap();
        let asked = [None, Some(one.clone()), None].map(|id| {
            let handle = handle.clone();
            tokio::spawn(async move { handle.reload(id).await })
        });
        while handle.requests.capacity() > MAX_REQUESTS - 3 {
            tokio::task::yield_now().await;
        }
        let Wake::Requests(requests) = inbox.next().await else {
            unreachable!()
        };
        let counts = requests.iter();
        let counts = counts.map(|(id, answers)| (id.clone(), answers.len()));
        let expected = [(None, 2), (Some(one), 1)];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
        for answer in requests.into_values().flatten() {
            let gone = DatabaseError::unreachable("gone");
            answer.send(Err(gone.into())).unwrap();
        }
        for answer in asked {
            let error = answer.await.unwrap().unwrap_err();
            assert_eq!(error.code(), "database_unavailable");
        }
    }

    #[tokio::test]
    async fn a_request_is_not_kept_waiting_by_hints_that_never_pause() {
        let (mut inbox, handle) = pair();
        let asking = handle.clone();
        let asked = tokio::spawn(async move { asking.reload(None).await });
        while handle.requests.capacity() == MAX_REQUESTS {
            tokio::task::yield_now().await;
        }
        handle.hint(Hint::Database);
        assert!(matches!(inbox.next().await, Wake::Requests(requests) if requests.len() == 1));
        assert!(matches!(inbox.next().await, Wake::Hint(Hint::Database)));
        assert_eq!(
            asked.await.unwrap(),
            Err(RegistryError::Internal),
            "forgotten by one who is still there"
        );
    }

    #[tokio::test]
    async fn the_number_of_waiting_requests_is_bounded() {
        let (_inbox, handle) = pair();
        let mut waiting = Vec::new();
        for _ in 0..MAX_REQUESTS {
            let handle = handle.clone();
            waiting.push(tokio::spawn(async move { handle.reload(None).await }));
        }
        while handle.requests.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            handle.reload(None).await,
            Err(RegistryError::Overloaded(Overload::Requests))
        );
    }
}
