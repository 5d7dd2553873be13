//! Events: observations worth publishing, as CloudEvents under `<prefix>.events`.

use async_nats::Client;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::lane::COMMAND_TIMEOUT;
use super::subjects::Layout;
use crate::documents::event::{Envelopes, Event};
use crate::service::observe::{Observation, Observer};

/// Events that may wait for the connection; more are lost, the log has them all the same.
const CAPACITY: usize = 256;

/// Turns observations into events, in the order in which they happen.
#[derive(Debug)]
pub struct EventObserver {
    envelopes: std::sync::Mutex<Envelopes>,
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
            let publishing = client.publish(layout.event(event.kind), event.body);
            let _ = timeout(COMMAND_TIMEOUT, publishing).await;
        }
    }
}
