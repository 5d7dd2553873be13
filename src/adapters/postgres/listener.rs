//! Notifications of changes, over a connection of their own.
//!
//! A notification is only a hint that the reloader should look; so is every (re)connection, because
//! what was notified in between is lost. [`Listener::run`] owns the backoff, and what it runs
//! returns on any error (as in the worker of rust-lang's registry service).
//!
//! A connection can look alive and deliver nothing: behind a transaction pooler, or through a
//! network that swallows packets. So one counts as listening only once a notification has come
//! through it, and when none has come for a while, one is caused on a channel for that purpose. All
//! sidecars share that channel: whichever asks first proves the connections of all, which keeps the
//! database's load the same however many there are (the report suppression of IGMP).

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::BackoffBuilder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_postgres::{AsyncMessage, Client, Connection};
use tokio_util::sync::CancellationToken;

use super::address::{Address, Purpose};
use super::error::{PostgresError, SetupError};
use super::limit::within;
use crate::config::DatabaseSettings;
use crate::service::clock::standstill::timeout;
use crate::service::fleet::Signal;
use crate::service::observe::{ListenerState, Observation, Observers};
use crate::service::reload::{Hint, ReloadHandle};
use crate::service::status::Status;

/// Where the triggers notify; see `migrations/`.
const CHANGES: &str = "beamline_registry";
/// Where sidecars prove that notifications arrive.
const HEARTBEATS: &str = "beamline_registry_heartbeat";

/// Silence after which a heartbeat is caused. Up to half of it is added at random, so that sidecars
/// that heard the last one together do not ask for the next one together.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// For a statement on the connection, and for a heartbeat to come back.
const ANSWER: Duration = Duration::from_secs(5);
/// For a new connection.
const CONNECT: Duration = Duration::from_secs(15);
/// The first pause after a connection was lost.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whom a listener tells what it hears.
#[derive(Debug, Clone)]
pub struct Reports {
    /// Is told that there may be something new.
    pub reload: ReloadHandle,
    /// Likewise: overrides of circuits are notified on the same channel.
    pub overrides: Signal,
    /// Keeps the listener's state.
    pub status: Arc<Status>,
    /// Are told when the state changes.
    pub observers: Observers,
}

impl Reports {
    fn hint(&self) {
        self.reload.hint(Hint::Database);
        self.overrides.give();
    }
}

/// Listens until it is stopped.
pub struct Listener {
    address: Address,
    reports: Reports,
    heartbeat: Duration,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address.target)
    }
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error("the server closed the connection")]
    Closed,
    #[error(
        "no notification comes back within {}; behind a transaction pooler, DB_LISTEN_URL must \
         name the database itself",
        humantime::format_duration(ANSWER)
    )]
    Deaf,
}

impl From<tokio_postgres::Error> for Lost {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl Listener {
    /// A listener that is not running yet.
    ///
    /// # Errors
    /// Certificates that are missing or unusable.
    pub fn new(
        settings: &DatabaseSettings,
        instance_id: &str,
        reports: Reports,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            address: Address::new(&settings.listen, Purpose::Listen, instance_id)?,
            reports,
            heartbeat: HEARTBEAT,
        })
    }

    /// Causes a heartbeat after so much silence instead of ten seconds.
    #[must_use]
    pub fn with_heartbeat(mut self, silence: Duration) -> Self {
        self.heartbeat = silence;
        self
    }

    /// Connects again whenever the connection is lost, after growing, jittered pauses, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        // Cancelling drops the connection, which closes it.
        let _stopped = stop.run_until_cancelled(self.keep_listening()).await;
    }

    async fn keep_listening(&self) {
        let mut pauses = fresh_pauses();
        loop {
            let heard = Heard::default();
            let Err(lost) = self.listen(&heard).await;
            self.tell(ListenerState::Polling, || lost.to_string());
            if heard.anything() {
                // What was missed on the dead connection is found even if no new one can be had.
                self.reports.hint();
                pauses = fresh_pauses();
            }
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// One connection, from beginning to end.
    async fn listen(&self, heard: &Heard) -> Result<Infallible, Lost> {
        let (config, tls) = self.address.renewed();
        let (client, connection) = within("connecting", CONNECT, config.connect(tls)).await?;
        tokio::select! {
            lost = self.receive(connection, heard) => lost,
            lost = self.keep_proving(&client, heard) => lost,
        }
    }

    /// Drives the connection and passes on what arrives.
    async fn receive<S, T>(
        &self,
        mut connection: Connection<S, T>,
        heard: &Heard,
    ) -> Result<Infallible, Lost>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        T: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message? {
                heard.note();
                if notification.channel() == CHANGES {
                    self.reports.hint();
                }
            }
        }
        Err(Lost::Closed)
    }

    /// Subscribes, and makes sure that silence means that nothing happens.
    async fn keep_proving(&self, client: &Client, heard: &Heard) -> Result<Infallible, Lost> {
        let listen = format!("LISTEN {CHANGES}; LISTEN {HEARTBEATS}");
        within("LISTEN", ANSWER, client.batch_execute(&listen)).await?;
        // Listen first, load then: a change between the two is notified.
        self.reports.hint();
        let notify = format!("NOTIFY {HEARTBEATS}");
        loop {
            within("NOTIFY", ANSWER, client.batch_execute(&notify)).await?;
            let answer = timeout(ANSWER, heard.something()).await;
            answer.map_err(|_elapsed| Lost::Deaf)?;
            self.tell(ListenerState::Listening, || {
                format!("notifications of {} arrive", self.address.target)
            });
            let silence = self.heartbeat.mul_f64(rand::random_range(1.0..1.5));
            while timeout(silence, heard.something()).await.is_ok() {}
        }
    }

    /// Tells of the state if it is another one.
    fn tell(&self, state: ListenerState, cause: impl FnOnce() -> String) {
        if self.reports.status.set_listener(state) != state {
            let cause = cause();
            let observation = Observation::Listener { state, cause };
            self.reports.observers.observe(&observation);
        }
    }
}

/// Whether anything has arrived over a connection.
#[derive(Default)]
struct Heard {
    latest: Notify,
    ever: AtomicBool,
}

impl Heard {
    fn note(&self) {
        self.ever.store(true, Ordering::Relaxed);
        self.latest.notify_one();
    }

    fn anything(&self) -> bool {
        self.ever.load(Ordering::Relaxed)
    }

    /// Waits for the next sign; one that came since the last wait counts.
    async fn something(&self) {
        self.latest.notified().await;
    }
}

fn fresh_pauses() -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build()
}
