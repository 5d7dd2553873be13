//! Whether the link is alive, asked when a call got no answer in time.
//!
//! A server that is stopped, or a network that swallows everything, looks like extensions that do
//! not answer until the library notices, up to three pings later. So before the silence is held
//! against an extension, a message to ourselves has to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use super::super::connection::Connection;
use super::super::gate::Gate;
use super::super::lane::Lane;
use crate::service::clock::standstill;

/// How long the message may take. A link, or a process, that is slower than this explains silence.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long it may take behind the backlog of a standstill.
const PATIENCE_AFTER_STANDSTILL: Duration = Duration::from_secs(3);
/// How long after its message a verdict holds, so that calls which end at a time share one message.
const FRESH: Duration = Duration::from_millis(20);
/// The last token of the message's subject; no call has it.
const NAME: &str = "pulse";

/// Asks the link for a sign of life.
#[derive(Debug)]
pub(super) struct Pulse {
    connection: Arc<Connection>,
    gate: Arc<Gate>,
    subject: String,
    returned: watch::Sender<()>,
    /// Whether one has ever come back. Where permissions forbid it none does, which says nothing.
    proven: AtomicBool,
    last: Mutex<Option<Verdict>>,
}

#[derive(Debug, Clone, Copy)]
struct Verdict {
    /// When the message was sent: it proves nothing about replies that came later.
    sent: Instant,
    alive: bool,
}

impl Pulse {
    /// Over the connection and the inbox that calls use.
    pub(super) fn new(lane: &Lane, inbox_prefix: &str) -> Self {
        Self {
            connection: Arc::clone(lane.connection()),
            gate: Arc::clone(lane.gate()),
            subject: format!("{inbox_prefix}{NAME}"),
            returned: watch::Sender::new(()),
            proven: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    /// Sends the first one, when there is a connection, so that later ones are proof.
    pub(super) async fn begin(&self) {
        let _ = timeout(PATIENCE, self.publish()).await;
    }

    /// Takes notice of a message to the inbox that answers no call.
    pub(super) fn arrived(&self, last_token: &str) {
        if last_token == NAME {
            self.proven.store(true, Ordering::Relaxed);
            self.returned.send_replace(());
        }
    }

    /// Whether the link is alive now, as far as can be known.
    pub(super) async fn is_alive(&self) -> bool {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(verdict) = *last
            && verdict.sent + FRESH >= asked
        {
            return verdict.alive;
        }
        let sent = Instant::now();
        let patience = match standstill::lately() {
            true => PATIENCE_AFTER_STANDSTILL,
            false => PATIENCE,
        };
        let returned = standstill::timeout(patience, self.round_trip()).await;
        let returned = returned.is_ok();
        let alive = returned || !self.proven.load(Ordering::Relaxed);
        *last = Some(Verdict { sent, alive });
        alive
    }

    async fn round_trip(&self) {
        let mut returned = self.returned.subscribe();
        self.publish().await;
        let _ = returned.changed().await;
    }

    async fn publish(&self) {
        self.gate.pass().await;
        let subject = self.subject.clone();
        // Not published, it cannot return, and whoever waits for it gives up in time.
        let client = self.connection.client();
        let _ = client.publish(subject, Bytes::new()).await;
    }
}
