//! One connection to NATS: what it subscribes to, the handler, and how others send over it.
//!
//! Its thread is in [`thread`](super::thread).

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout_at;

use super::outbox::{Outbox, Unsent};
use super::thread::Running;
use crate::adapters::nats::wire::operation::Message;
use crate::adapters::nats::wire::refusal::Refusal;
use crate::adapters::nats::wire::servers::Servers;
use crate::adapters::nats::wire::write::{self, HeaderBlock};
use crate::config::NatsSettings;
use crate::service::observe::Observers;
use crate::service::status::Status;

/// For one confirmation of the server's, before it is asked again.
const ROUND_TRIP: Duration = Duration::from_secs(2);

/// A subscription to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription<T> {
    /// The subject, with `*` for ids and actors.
    pub subject: String,
    /// The queue group, unless every sidecar gets each message.
    pub queue_group: Option<String>,
    /// What its messages are.
    pub tag: T,
}

/// What answers the messages of a lane.
pub trait Handler<T>: Send + Sync + 'static {
    /// Answers `message` into `turn`, or leaves the answer to another task. Runs on the lane's
    /// thread: whatever takes long belongs elsewhere.
    fn message(&self, tag: T, message: &Message<'_>, turn: &mut Turn);

    /// These messages will be handed over next: time to have the memory fetched that they will need.
    fn foresee(&self, _messages: &mut dyn Iterator<Item = (T, Message<'_>)>) {}

    /// [`message`](Self::message) panicked over this one, and what it had appended is gone.
    fn panicked(&self, tag: T, message: &Message<'_>, turn: &mut Turn);

    /// The server does not permit what was sent to `subject`.
    fn refused(&self, _subject: &str) {}
}

/// What a lane has beside the requests that it serves: an inbox of its own, timers, and an ear for
/// what happens to the connection. All of it is called on the lane's thread.
pub trait Companion: Send + Sync + 'static {
    /// What to subscribe to from the first to the last moment of each connection.
    fn inbox(&self) -> Option<String> {
        None
    }

    /// A message for the inbox.
    fn arrived(&self, _message: &Message<'_>) {}

    /// The connection is there, or lost.
    fn link(&self, _up: bool) {}

    /// The server refuses something.
    fn refused(&self, _refusal: &Refusal) {}

    /// The server permits a subscription again that it had refused.
    fn permitted(&self, _subject: &str) {}

    /// The PONG of [`Outbox::look`] is here: all that the server had sent before it saw that PING
    /// has been dealt with.
    fn looked(&self, _number: u64) {}

    /// All messages of a turn have been dealt with, or it is time. When to come again at the
    /// latest, if not with the next message.
    fn turn_over(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// The lane is closed, and there will be no other connection.
    fn closed(&self) {}

    /// Whether the connection is still needed when it could be left for another.
    fn is_busy(&self) -> bool {
        false
    }
}

/// Nothing but requests.
impl Companion for () {}

/// What a turn sends, and scratch memory for it.
#[derive(Debug)]
pub struct Turn {
    /// When the messages of this turn had arrived.
    pub now: Instant,
    /// Operations for the server.
    pub out: Vec<u8>,
    /// For callers that need a header block.
    pub headers: HeaderBlock,
    /// The most bytes of a message that the server takes, headers included.
    pub max_payload: usize,
}

/// The thread of a connection cannot be had.
#[derive(Debug, Error)]
#[error("cannot start the {0} thread: {1}")]
pub struct ThreadError(&'static str, io::Error);

/// What the lanes of a process have in common.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "named after what they are")]
pub struct Start<'a> {
    pub settings: &'a NatsSettings,
    pub instance_id: &'a str,
    pub status: &'a Arc<Status>,
    pub observers: &'a Observers,
}

/// A lane's connection, for its senders.
pub struct Lane<T> {
    shared: Arc<Shared<T>>,
    thread: thread::Thread,
}

/// What a lane and its thread share.
pub(super) struct Shared<T> {
    pub(super) name: &'static str,
    pub(super) outbox: Arc<Outbox>,
    pub(super) served: OnceLock<Served<T>>,
    pub(super) companion: Arc<dyn Companion>,
    pub(super) up: watch::Sender<bool>,
    /// Whether the server refuses a subject of [`served`](Self::served).
    pub(super) refused: watch::Sender<bool>,
    pub(super) stop: AtomicBool,
    pub(super) status: Arc<Status>,
    pub(super) observers: Observers,
}

/// The subscription id of the companion's inbox; the ids of requests come after it.
pub(super) const INBOX: u64 = 1;

/// The subscriptions and their handler. A subscription's id is its position after [`INBOX`].
pub(super) struct Served<T> {
    subscriptions: Vec<Subscription<T>>,
    pub(super) handler: Box<dyn Handler<T>>,
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lane({})", self.shared.name)
    }
}

/// Ends the thread, politely or not.
impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T> Lane<T> {
    fn end(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.outbox.interrupt();
        self.thread.unpark();
    }
}

impl Start<'_> {
    /// Starts the thread of a lane, which begins to connect. `name` is what the lane is called in logs
    /// and metrics, and beside the instance id in the server's list of connections. It sends over
    /// `outbox`.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn lane<T: Copy + Send + Sync + 'static>(
        self,
        name: &'static str,
        outbox: Arc<Outbox>,
        companion: Arc<dyn Companion>,
    ) -> Result<Lane<T>, ThreadError> {
        self.status.nats_link(name, false);
        let shared = Arc::new(Shared {
            name,
            outbox,
            served: OnceLock::new(),
            companion,
            up: watch::Sender::new(false),
            refused: watch::Sender::new(false),
            stop: AtomicBool::new(false),
            status: Arc::clone(self.status),
            observers: self.observers.clone(),
        });
        let settings = self.settings.clone();
        let mut running = Running {
            shared: Arc::clone(&shared),
            servers: Servers::new(settings.servers.clone()),
            settings,
            client_name: format!("beamline-registry/{}/{name}", self.instance_id),
        };
        let thread = thread::Builder::new().name(format!("nats-{name}"));
        let thread = thread.spawn(move || running.run());
        let thread = thread.map_err(|error| ThreadError(name, error))?;
        let thread = thread.thread().clone();
        Ok(Lane { shared, thread })
    }
}

impl<T: Copy + Send + Sync + 'static> Lane<T> {
    /// Subscribes, now and after each reconnect. Only the first call counts.
    pub fn serve(&self, subscriptions: Vec<Subscription<T>>, handler: Box<dyn Handler<T>>) {
        let served = self.shared.served.get_or_init(|| Served {
            subscriptions,
            handler,
        });
        let outbox = &self.shared.outbox;
        outbox.subscribe(|lines| served.subscribe(lines));
    }

    /// The way out for other threads.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.shared.outbox
    }

    /// Whether there is a connection, now and later.
    pub fn up(&self) -> watch::Receiver<bool> {
        self.shared.up.subscribe()
    }

    /// Waits until a server has confirmed that it has seen every subscription.
    pub async fn confirmed(&self) {
        let mut up = self.shared.up.subscribe();
        // An error means that the thread is gone, and it never goes before the lane.
        while up.wait_for(|up| *up).await.is_ok() && !self.round_trip(ROUND_TRIP).await {}
    }

    /// Waits until a server has confirmed that it has seen every subscription, and refuses none.
    pub async fn subscribed(&self) {
        let mut refused = self.shared.refused.subscribe();
        loop {
            self.confirmed().await;
            // What the server had refused came before its confirmation.
            let is_refused = *refused.borrow();
            if !is_refused || refused.wait_for(|refused| !*refused).await.is_err() {
                return;
            }
        }
    }

    /// Waits until the server has seen all that was sent before; at once if there is no connection.
    pub async fn round_trip(&self, patience: Duration) -> bool {
        let end = tokio::time::Instant::now() + patience;
        answered(self.shared.outbox.round_trip(|_| {}), end).await
    }

    /// Ends the subscriptions to requests. Returns when every message that the server had sent for
    /// them was handled and answered, at `end`, or at once without a connection.
    pub async fn drain(&self, end: tokio::time::Instant) {
        let shared = &self.shared;
        let unsubscribed = shared.outbox.unsubscribe(|lines| shared.unsubscribe(lines));
        answered(unsubscribed, end).await;
    }

    /// Closes the connection once the server has what was sent over it, or at `end`, and ends the
    /// thread. Answers that are kept for a connection wait for one until then.
    pub async fn close(&self, end: tokio::time::Instant) {
        let outbox = &self.shared.outbox;
        let _ = timeout_at(end, outbox.none_kept()).await;
        answered(outbox.round_trip(|_| {}), end).await;
        self.end();
    }
}

async fn answered(asked: Result<oneshot::Receiver<()>, Unsent>, end: tokio::time::Instant) -> bool {
    match asked {
        Ok(answer) => matches!(timeout_at(end, answer).await, Ok(Ok(()))),
        Err(_) => false,
    }
}

impl<T> Shared<T> {
    pub(super) fn subscribe(&self, lines: &mut Vec<u8>, requests: bool) {
        if let Some(inbox) = self.companion.inbox() {
            write::subscribe(lines, &inbox, None, INBOX);
        }
        if let Some(served) = self.served.get().filter(|_| requests) {
            served.subscribe(lines);
        }
    }

    /// Whether requests come at `subject`.
    pub(super) fn serves(&self, subject: &str) -> bool {
        let served = self.served.get().into_iter();
        let mut subscriptions = served.flat_map(|served| &served.subscriptions);
        subscriptions.any(|subscription| subscription.subject == subject)
    }

    pub(super) fn unsubscribe(&self, lines: &mut Vec<u8>) {
        let served = self.served.get();
        let count = served.map_or(0, |served| served.subscriptions.len());
        for sid in (INBOX + 1..).take(count) {
            write::unsubscribe(lines, sid);
        }
    }
}

impl<T> Served<T> {
    pub(super) fn subscribe(&self, lines: &mut Vec<u8>) {
        for (sid, subscription) in (INBOX + 1..).zip(&self.subscriptions) {
            let group = subscription.queue_group.as_deref();
            write::subscribe(lines, &subscription.subject, group, sid);
        }
    }

    pub(super) fn of(&self, sid: u64) -> Option<&Subscription<T>> {
        let position = usize::try_from(sid.checked_sub(INBOX + 1)?).ok()?;
        self.subscriptions.get(position)
    }
}
