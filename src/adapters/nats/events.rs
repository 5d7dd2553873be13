//! Events: observations worth publishing, as CloudEvents under `<prefix>.events`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::link::lane::Companion;
use super::link::outbox::{Outbox, Unsent};
use super::subjects::Layout;
use super::wire::refusal::Refusal;
use super::wire::write::{self, HeaderBlock};
use crate::documents::event::{Envelopes, Event, change_events};
use crate::domain::lock::locked;
use crate::service::boundary::survived;
use crate::service::fleet::changes::ChangeEvents;
use crate::service::health_store::RevisionChanges;
use crate::service::meter::Count;
use crate::service::observe::{Observation, Observer, Observers};

/// Events that may wait for the connection; more are lost, the log has them all the same.
const CAPACITY: usize = 256;
/// By which a stream knows an event that it has already.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The pause while the connection takes no more.
const AGAIN: Duration = Duration::from_millis(100);

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
    /// Counts the events that were not published.
    pub dropped: Count,
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
            // No other sidecar will publish it: it waits for room. An error means that the daemon
            // ends.
            let _ = self.queue.send(event).await;
        }
    }
}

impl Observer for EventObserver {
    fn observe(&self, observation: &Observation) {
        let mut envelopes = locked(&self.envelopes);
        if let Some(event) = envelopes.event(observation) {
            // A full queue means a link that is down: delivery is at most once.
            if self.queue.try_send(event).is_err() {
                self.dropped.add(1);
            }
        }
    }
}

/// What becomes of events that are lost. Hears on their connection which of them the server did not
/// publish.
#[derive(Debug)]
pub struct Losses {
    /// The subjects of events.
    pub layout: Layout,
    /// How many are lost.
    pub dropped: Count,
    /// Observers of each.
    pub observers: Observers,
}

impl Losses {
    fn report(&self, kind: Option<&'static str>, why: String) {
        self.dropped.add(1);
        let observation = Observation::EventDropped { kind, why };
        self.observers.observe(&observation);
    }
}

impl Companion for Losses {
    fn refused(&self, refusal: &Refusal) {
        if let Refusal::Publish(subject) = refusal
            && self.layout.is_event(subject)
        {
            self.report(None, refusal.to_string());
        }
    }
}

/// Publishes events. One that cannot be published costs itself only.
#[derive(Debug)]
pub struct Publisher {
    /// Where they go.
    pub outbox: Arc<Outbox>,
    /// Whether there is a connection.
    pub up: watch::Receiver<bool>,
    /// What hears of those that do not get there.
    pub losses: Arc<Losses>,
}

impl Publisher {
    /// Publishes until `stop`, and then what is waiting.
    pub async fn run(mut self, mut queue: EventQueue, stop: CancellationToken) {
        let losses = Arc::clone(&self.losses);
        loop {
            let turn = async {
                tokio::select! {
                    biased;
                    Some(event) = queue.events.recv() => self.publish(event, &stop).await,
                    () = stop.cancelled() => return false,
                }
                true
            };
            if survived(&losses.observers, turn).await == Some(false) {
                return;
            }
        }
    }

    /// Without a limit: changes were claimed, and no other sidecar publishes them. While the link
    /// is down the queue fills, and other events are lost there.
    async fn publish(&mut self, event: Event, stop: &CancellationToken) {
        let kind = Some(event.kind);
        if event.body.is_empty() {
            let why = "it cannot be written as JSON".to_owned();
            return self.losses.report(kind, why);
        }
        let layout = &self.losses.layout;
        let subject = layout.event(event.kind, event.subject.as_deref());
        let (subject, body) = (subject.as_bytes(), &event.body);
        let mut headers = HeaderBlock::default();
        // An id is made of tokens: it has no line break.
        let _ = headers.push(MESSAGE_ID, &event.id);
        loop {
            let limit = self.outbox.max_payload();
            let publish = |out: &mut Vec<u8>, _: &mut _| {
                let fits = headers.wire_len() + body.len() <= limit;
                if fits {
                    write::publish_with_headers(out, subject, None, &headers, body);
                }
                fits
            };
            let again = match self.outbox.submit(publish) {
                Ok(true) => return,
                Ok(false) => {
                    let why = format!("it is larger than the {limit} bytes that the server takes");
                    return self.losses.report(kind, why);
                }
                Err(Unsent::Full) => stop.run_until_cancelled(sleep(AGAIN)).await,
                Err(Unsent::Down) => {
                    let up = self.up.wait_for(|up| *up);
                    let up = stop.run_until_cancelled(up).await;
                    // An error means that there will be no other connection.
                    up.and_then(Result::ok).map(drop)
                }
            };
            if again.is_none() {
                return self.losses.dropped.add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// As where a process ends before it serves: its tasks end a little later than its connections.
    #[tokio::test]
    async fn an_event_whose_connection_is_gone_for_good_is_lost_at_once() {
        let dropped = Count::default();
        let losses = Losses {
            layout: Layout {
                prefix: "registry".to_owned(),
                queue_group: "registry".to_owned(),
                instance_id: "one".to_owned(),
            },
            dropped: dropped.clone(),
            observers: Observers::new(Vec::new()),
        };
        let (connection, up) = watch::channel(false);
        let mut publisher = Publisher {
            outbox: Arc::default(),
            up,
            losses: Arc::new(losses),
        };
        let stop = CancellationToken::new();
        let event = || Event {
            id: "1".into(),
            kind: "registry_reloaded",
            subject: None,
            body: "{}".into(),
        };
        let waits = publisher.publish(event(), &stop).now_or_never();
        assert_eq!((waits, dropped.get()), (None, 0));
        drop(connection);
        let over = publisher.publish(event(), &stop).now_or_never();
        assert_eq!((over, dropped.get()), (Some(()), 1));
    }
}
