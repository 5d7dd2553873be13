//! A NATS connection on a thread and a single-threaded runtime of its own.
//!
//! The client library runs one connection as one task. Where that task shares its thread with the
//! code that answers, a message wakes nobody on another core: measured here, that is what makes a
//! lookup cost no more than an echo. It also
//! makes a drain lossless, see [`Lane::hold`].

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_nats::Event;
use async_nats::connection::State;
use futures_util::StreamExt;
use thiserror::Error;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connect::Purpose;
use super::connection::{Connection, Recipe};
use super::gate::Gate;
use crate::config::NatsSettings;
use crate::service::clock::standstill::timeout;
use crate::service::observe::Observers;
use crate::service::status::Status;

/// How long a command to the client may wait for room; longer means that the link is down.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one attempt of a round trip may take before the next.
const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(2);
/// Events kept for a listener that is late; the library itself keeps 128.
const EVENTS_KEPT: usize = 128;

/// Why a lane could not start or a command was not taken.
#[derive(Debug, Error)]
pub enum LaneError {
    /// No thread or runtime.
    #[error("cannot start the {0} thread: {1}")]
    Thread(&'static str, std::io::Error),
    /// Settings that no server could accept.
    #[error("cannot connect to NATS: {0}")]
    Connect(#[from] async_nats::ConnectError),
    /// The client did not take a command in time.
    #[error("the connection to NATS takes no commands")]
    Stuck,
    /// The lane's thread is gone.
    #[error("the connection to NATS is closed")]
    Closed,
}

/// One connection with its thread.
#[derive(Debug)]
pub struct Lane {
    connection: Arc<Connection>,
    runtime: Handle,
    events: broadcast::Sender<Event>,
    gate: Arc<Gate>,
    closed: CancellationToken,
    stop: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl Lane {
    /// Starts the thread and begins to connect; returns before a server has answered.
    pub async fn start(
        settings: NatsSettings,
        instance_id: String,
        purpose: Purpose,
        status: Arc<Status>,
        observers: Observers,
    ) -> Result<Self, LaneError> {
        let error = |error| LaneError::Thread(purpose.name, error);
        let runtime = Builder::new_current_thread()
            .event_interval(purpose.event_interval)
            .enable_all()
            .build()
            .map_err(error)?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (ready, connected) = oneshot::channel();
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let recipe = Arc::new(Recipe {
            settings,
            instance_id,
            purpose,
            status,
            observers,
            events: events.clone(),
        });
        let first = Arc::clone(&recipe);
        let thread = thread::Builder::new()
            .name(format!("nats-{}", purpose.name))
            .spawn(move || {
                runtime.block_on(async move {
                    if ready.send(first.connect().await).is_ok() {
                        stopped.cancelled().await;
                    }
                });
            })
            .map_err(error)?;
        let client = connected.await.map_err(|_| LaneError::Closed)??;
        let closed = CancellationToken::new();
        let connection = Connection::new(client, recipe, handle.clone(), closed.clone());
        Ok(Self {
            connection: Arc::new(connection),
            runtime: handle,
            events,
            gate: Arc::default(),
            closed,
            stop,
            thread: Some(thread),
        })
    }

    /// The connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The runtime that the connection runs on; tasks spawned there share its thread.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// What tasks on the connection's thread pass before they publish.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// What happens to the connection from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Waits until a message to ourselves comes back: the server is there, and has seen every
    /// subscription made on this connection before. A flush would only prove a socket write.
    pub async fn round_trip(&self) -> Result<(), LaneError> {
        let inbox = self.connection.client().new_inbox();
        let mut echo = self.connection.subscribe(inbox.clone(), None).await?;
        loop {
            let client = self.connection.client().clone();
            let trip = async {
                client.publish(inbox.clone(), "".into()).await.ok()?;
                echo.next().await
            };
            match timeout(ROUND_TRIP_TIMEOUT, trip).await {
                Ok(Some(_)) => return Ok(()),
                // The connection's task died.
                Ok(None) => echo = self.connection.subscribe(inbox.clone(), None).await?,
                Err(_) => {}
            }
        }
    }

    /// Writes out what is queued, then closes the connection and ends the thread, until `end`.
    pub async fn close(mut self, end: Instant) {
        self.closed.cancel();
        let client = self.connection.client().clone();
        let closing = async {
            let _ = client.flush().await;
            let _ = client.drain().await;
        };
        // Without a connection nothing can be written out.
        if client.connection_state() == State::Connected {
            let _ = timeout_at(end, closing).await;
        }
        self.stop.cancel();
        // The runtime is dropped when its thread ends, which nothing holds up.
        drop(self.thread.take());
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.closed.cancel();
        self.stop.cancel();
    }
}
