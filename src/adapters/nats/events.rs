//! Events: observations worth publishing, as CloudEvents under `<prefix>.events`.

use async_nats::Client;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::lane::COMMAND_TIMEOUT;
use super::subjects::Layout;
use crate::documents::event::{Envelopes, Event, change_events};
use crate::service::fleet::changes::ChangeEvents;
use crate::service::health_store::RevisionChanges;
use crate::service::observe::{Observation, Observer};

/// Events that may wait for the connection; more are lost, the log has them all the same.
const CAPACITY: usize = 256;

/// Turns observations into events, in the order in which they happen.
#[derive(Debug)]
pub struct EventObserver {
    envelopes: std::sync::Mutex<Envelopes>,
    queue: mpsc::Sender<Event>,
}

/// Turns the fleet's changes into events.
#[derive(Debug, Clone)]
pub struct ChangePublisher {
    instance_id: String,
    queue: mpsc::Sender<Event>,
}

/// Events on their way to the connection.
#[derive(Debug)]
pub struct EventQueue(mpsc::Receiver<Event>);

/// The observer and the queue it fills. The queue can wait for a connection to be made.
pub fn channel(envelopes: Envelopes) -> (EventObserver, EventQueue) {
    let (queue, events) = mpsc::channel(CAPACITY);
    (
        EventObserver {
            envelopes: std::sync::Mutex::new(envelopes),
            queue,
        },
        EventQueue(events),
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
            let _ = self.queue.try_send(event);
        }
    }
}

impl EventQueue {
    /// Publishes events until every observer is gone or the task is aborted.
    pub async fn publish(mut self, client: Client, layout: Layout) {
        while let Some(event) = self.0.recv().await {
            let subject = layout.event(event.kind, event.subject.as_deref());
            let publishing = client.publish(subject, event.body);
            let _ = timeout(COMMAND_TIMEOUT, publishing).await;
        }
    }
}
