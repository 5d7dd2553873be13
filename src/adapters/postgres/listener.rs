//! Notifications of changes, over a connection of their own.
//!
//! A notification is only a hint that the reloader should look; so is every (re)connection, because
//! what was notified in between is lost. [`Listener::run`] owns the backoff, and what it runs
//! returns on any error (as in the worker of rust-lang's registry service). [`proof`] makes sure that
//! notifications arrive at all, [`reports`] is what follows from them.

mod proof;
mod reports;

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use self::proof::Heard;
pub use self::reports::Reports;
use super::address::{Address, Driver, Purpose};
use super::error::{PostgresError, SetupError};
use crate::config::DatabaseSettings;
use crate::service::boundary::survived;
use crate::service::observe::{ListenerState, Observation};
use crate::service::pauses::growing;
use crate::service::reload::Hint;
use crate::service::trouble::DatabaseError;

/// Where the triggers notify; see `migrations/`.
const CHANGES: &str = "beamline_registry";

/// Silence after which a heartbeat is caused. Up to half of it is added at random, so that sidecars
/// that heard the last one together do not ask for the next one together.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// For a statement on the connection, and for a heartbeat to come back.
const ANSWER: Duration = Duration::from_secs(5);
/// The first pause after a connection was lost.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Listens until it is stopped.
pub struct Listener {
    address: Address,
    reports: Reports,
    /// Silence after which a heartbeat is caused.
    pub heartbeat: Duration,
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error("the server closed the connection")]
    Closed,
    #[error("{0}")]
    Silent(DatabaseError),
    #[error("a bug in this program ended it; see the panic in the log")]
    Bug,
    #[error(
        "no notification arrives within {}; DB_LISTEN_URL must name the database that is read, \
         past any transaction pooler",
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

    /// Connects again whenever the connection is lost, after growing, jittered pauses, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (listening, looking) = (self.keep_listening(), self.reports.look_for_readers());
        let both = async { tokio::join!(listening, looking) };
        // Cancelling drops the connection, which closes it.
        let _stopped = stop.run_until_cancelled(both).await;
    }

    async fn keep_listening(&self) {
        let mut pauses = growing(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let heard = Heard {
                token: format!("{:032x}", rand::random::<u128>()),
                ..Heard::default()
            };
            let listening = survived(&self.reports.observers, self.listen(&heard));
            let Err(lost) = listening.await.unwrap_or(Err(Lost::Bug));
            self.reports.pool.notified(&self.address, false);
            self.tell(ListenerState::Polling, || lost.to_string());
            if heard.ever.load(Ordering::Relaxed) {
                // What was missed on the dead connection is found even if no new one can be had.
                self.reports.reconnected();
                pauses = growing(FIRST_PAUSE, LONGEST_PAUSE);
            }
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// One connection, from beginning to end.
    async fn listen(&self, heard: &Heard) -> Result<Infallible, Lost> {
        let (client, connection) = self.address.connect().await?;
        tokio::select! {
            lost = self.receive(connection, heard) => lost,
            lost = self.keep_proving(&client, heard) => lost,
        }
    }

    /// Drives the connection and passes on what arrives.
    async fn receive(&self, mut connection: Driver, heard: &Heard) -> Result<Infallible, Lost> {
        let mut gathered: Option<Instant> = None;
        let mut last = self.reports.progress.current();
        loop {
            let due = gathered.unwrap_or_else(Instant::now);
            let message = tokio::select! {
                biased;
                () = sleep_until(due), if gathered.is_some() => {
                    gathered = None;
                    self.reports.reload.hint(Hint::Database);
                    continue;
                }
                message = poll_fn(|context| connection.poll_message(context)) => message,
            };
            let Some(message) = message else {
                return Err(Lost::Closed);
            };
            if let AsyncMessage::Notification(notification) = message? {
                heard.note(notification.payload());
                let change = notification.channel() == CHANGES;
                let news = change && self.reports.heard(notification.payload(), &mut last);
                if news && gathered.is_none() {
                    // Among few, now; a hint given during a load causes one more.
                    let gathering = self.reports.alive.gathering().unwrap_or_default();
                    gathered = Some(Instant::now() + gathering);
                }
            }
        }
    }

    /// Reports the state if it has changed.
    fn tell(&self, state: ListenerState, cause: impl FnOnce() -> String) {
        if self.reports.status.set_listener(state) != state {
            let cause = cause();
            let observation = Observation::Listener { state, cause };
            self.reports.observers.observe(&observation);
        }
    }
}
