//! Events: observations worth publishing, as CloudEvents under `<prefix>.events`.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Event as LinkEvent, PublishErrorKind, ServerError};
use tokio::sync::{broadcast, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::subjects::Layout;
use crate::documents::event::{Envelopes, Event, change_events};
use crate::service::boundary::survived;
use crate::service::fleet::changes::ChangeEvents;
use crate::service::health_store::RevisionChanges;
use crate::service::meter::Count;
use crate::service::observe::{Observation, Observer, Observers};

/// Events that may wait for the connection; more are lost, the log has them all the same.
const CAPACITY: usize = 256;
/// The pause while a connection that died is made anew.
const ANEW: Duration = Duration::from_millis(100);
/// How the server says that it did not publish; the subject follows, quoted.
const PUBLISH_DENIED: &str = "Permissions Violation for Publish to \"";

/// Turns observations into events, in the order in which they happen.
#[derive(Debug)]
pub struct EventObserver {
    envelopes: std::sync::Mutex<Envelopes>,
    queue: mpsc::Sender<Event>,
    dropped: Count,
}

/// Turns the fleet's changes into events.
#[derive(Debug, Clone)]
pub struct ChangePublisher {
    instance_id: String,
    queue: mpsc::Sender<Event>,
}

/// Events on their way to the connection.
#[derive(Debug)]
pub struct EventQueue {
    events: mpsc::Receiver<Event>,
    dropped: Count,
}

/// The observer and the queue it fills. The queue can wait for a connection to be made.
pub fn channel(envelopes: Envelopes) -> (EventObserver, EventQueue) {
    let (queue, events) = mpsc::channel(CAPACITY);
    let dropped = Count::default();
    (
        EventObserver {
            envelopes: std::sync::Mutex::new(envelopes),
            queue,
            dropped: dropped.clone(),
        },
        EventQueue { events, dropped },
    )
}

impl EventObserver {
    /// Publishes the fleet's changes, as the sidecar `instance_id`, over the same queue.
    pub fn changes(&self, instance_id: &str) -> ChangePublisher {
        ChangePublisher {
            instance_id: instance_id.to_owned(),
            queue: self.queue.clone(),
        }
    }
}

impl ChangeEvents for ChangePublisher {
    async fn tell(&self, epoch: &str, changes: &RevisionChanges) {
        for event in change_events(&self.instance_id, epoch, changes) {
            // Nobody else will tell of it: it waits for room. An error means that the daemon ends.
            let _ = self.queue.send(event).await;
        }
    }
}

impl Observer for EventObserver {
    fn observe(&self, observation: &Observation) {
        let mut envelopes = self
            .envelopes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(event) = envelopes.event(observation) {
            // A full queue means a link that is down: events are news, not a journal.
            if self.queue.try_send(event).is_err() {
                self.dropped.add(1);
            }
        }
    }
}

impl EventQueue {
    /// Counts the events that were not published.
    pub fn dropped(&self) -> Count {
        self.dropped.clone()
    }
}

/// Publishes events. One that cannot be published costs itself only.
#[derive(Debug)]
pub struct Publisher {
    connection: Arc<Connection>,
    link: broadcast::Receiver<LinkEvent>,
    layout: Layout,
    observers: Observers,
}

impl Publisher {
    /// Publishes on `connection`; `link` tells what the server says there.
    pub fn new(
        connection: Arc<Connection>,
        link: broadcast::Receiver<LinkEvent>,
        layout: Layout,
        observers: Observers,
    ) -> Self {
        Self {
            connection,
            link,
            layout,
            observers,
        }
    }

    /// Publishes until `stop`, and then what is waiting.
    pub async fn run(mut self, mut queue: EventQueue, stop: CancellationToken) {
        let observers = self.observers.clone();
        loop {
            let turn = async {
                tokio::select! {
                    biased;
                    Ok(said) = self.link.recv() => self.heed(&said, &queue.dropped),
                    Some(event) = queue.events.recv() => {
                        self.publish(event, &queue.dropped, &stop).await;
                    }
                    () = stop.cancelled() => return false,
                }
                true
            };
            if survived(&observers, turn).await == Some(false) {
                return;
            }
        }
    }

    /// Without a limit: changes were claimed, and nobody else tells of them. While the link is down
    /// the queue fills, and what is merely news is lost there.
    async fn publish(&self, event: Event, dropped: &Count, stop: &CancellationToken) {
        if event.body.is_empty() {
            let why = "it cannot be written as JSON".to_owned();
            return self.drop_event(Some(event.kind), why, dropped);
        }
        let subject = self.layout.event(event.kind, event.subject.as_deref());
        loop {
            let client = self.connection.client().clone();
            let publishing = client.publish(subject.clone(), event.body.clone());
            let published = tokio::select! {
                biased;
                published = publishing => published,
                () = stop.cancelled() => return dropped.add(1),
            };
            match published {
                Ok(()) => return,
                // The connection's task died.
                Err(error) if error.kind() == PublishErrorKind::Send => {
                    if stop.run_until_cancelled(sleep(ANEW)).await.is_none() {
                        return dropped.add(1);
                    }
                }
                Err(error) => return self.drop_event(Some(event.kind), error.to_string(), dropped),
            }
        }
    }

    /// What the server does not let us publish is lost, too; it says so afterwards.
    fn heed(&self, said: &LinkEvent, dropped: &Count) {
        let LinkEvent::ServerError(ServerError::Other(text)) = said else {
            return;
        };
        let subject = text.strip_prefix(PUBLISH_DENIED);
        if subject.is_some_and(|subject| self.layout.is_event(subject)) {
            self.drop_event(None, text.clone(), dropped);
        }
    }

    fn drop_event(&self, kind: Option<&'static str>, why: String, dropped: &Count) {
        dropped.add(1);
        let observation = Observation::EventDropped { kind, why };
        self.observers.observe(&observation);
    }
}
