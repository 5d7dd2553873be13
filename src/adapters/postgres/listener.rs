//! Notifications of changes, over a connection of their own.
//!
//! A notification is only a hint that the reloader should look; so is every (re)connection, because
//! what was notified in between is lost. [`Listener::run`] owns the backoff, and what it runs
//! returns on any error (as in the worker of rust-lang's registry service).
//!
//! A connection can look alive and deliver nothing: behind a transaction pooler, in another database
//! than the one that is read, or through a network that swallows packets. So one counts as listening
//! only once a notification has come through it that the pool sent: its own come back to it also
//! behind a pooler. When none has come for a while, one is caused on a channel for that purpose. All
//! sidecars share that channel: whichever asks first proves the connections of all, which keeps the
//! database's load the same however many there are (the report suppression of IGMP).
//!
//! Between heartbeats an empty query shows whether the database answers at all: it begins no
//! transaction, takes no lock and writes nothing, so that a thousand sidecars may ask every other
//! second. Without an answer, the pool is tried too before the database is reported as unreachable:
//! one connection that broke is not the database.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;

use super::address::{Address, Driver, Purpose};
use super::error::{PostgresError, SetupError};
use super::limit::{punctual, within};
use super::pool::Pool;
use super::session;
use super::transaction::{Limits, Transaction};
use crate::config::DatabaseSettings;
use crate::service::boundary::survived;
use crate::service::fleet::{Alive, Signal};
use crate::service::observe::{ListenerState, Observation, Observers};
use crate::service::pauses::growing;
use crate::service::progress::Progress;
use crate::service::reload::{Hint, ReloadHandle};
use crate::service::status::Status;
use crate::service::trouble::{DatabaseError, Trouble};

/// Where the triggers notify; see `migrations/`.
const CHANGES: &str = "beamline_registry";
/// What is notified there of an override; else a revision, or something that needs a look at all.
const OVERRIDE: &str = "override";
/// Where sidecars prove that notifications arrive.
const HEARTBEATS: &str = "beamline_registry_heartbeat";

/// Silence after which a heartbeat is caused. Up to half of it is added at random, so that sidecars
/// that heard the last one together do not ask for the next one together.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// For a statement on the connection, and for a heartbeat to come back.
const ANSWER: Duration = Duration::from_secs(5);
/// Silence after which the connection is asked whether it still is one.
const PULSE: Duration = Duration::from_secs(2);
/// For the answer, before the database is suspected.
const SUSPICION: Duration = Duration::from_millis(1500);
/// For the answer over the pool, before it is called unreachable. Together less than five seconds.
const SECOND_OPINION: Duration = Duration::from_millis(1300);
/// What the server keeps of a notification that the pool sends.
const PROOF: Transaction = Transaction::change(Limits::all(SECOND_OPINION));
/// The first pause after a connection was lost.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between looks for what reads wait for, while no notifications arrive.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The receivers of what a listener hears.
#[derive(Debug, Clone)]
pub struct Reports {
    /// Hears that there may be something new.
    pub reload: ReloadHandle,
    /// Hears that overrides may have changed: they are notified on the same channel.
    pub overrides: Signal,
    /// Knows which revision is served.
    pub progress: Progress,
    /// Among many sidecars, notifications are gathered.
    pub alive: Alive,
    /// Keeps the listener's state.
    pub status: Arc<Status>,
    /// Hear when the state changes.
    pub observers: Observers,
    /// Is asked too when the listener's connection is silent.
    pub pool: Arc<Pool>,
}

impl Reports {
    /// What was missed may have been anything.
    fn reconnected(&self) {
        self.reload.hint(Hint::Reconnected);
        self.overrides.give();
    }

    /// Reads a notification; whether a look at the definitions is due. A revision that is served
    /// already is not new, nor does an override concern the reader of definitions. Revisions come in
    /// their order: one that is not above the `last` is of another history.
    fn heard(&self, payload: &str, last: &mut u64) -> bool {
        match payload.parse::<u64>() {
            Ok(revision) => {
                let before = std::mem::replace(last, revision);
                revision > self.progress.current() || revision <= before
            }
            Err(_) if payload == OVERRIDE => {
                self.overrides.give();
                false
            }
            Err(_) => {
                self.overrides.give();
                true
            }
        }
    }

    /// While no notifications arrive, looks for what reads wait for: it is committed, as a rule, and
    /// the sync is far. A database that cannot be used is tried again in any case.
    async fn look_for_readers(&self) {
        loop {
            self.progress.wanted().await;
            let polling = self.status.listener() != ListenerState::Listening;
            if polling && self.status.database_up() != Some(false) {
                self.reload.hint(Hint::Database);
                sleep(LOOK_AGAIN).await;
            }
        }
    }

    fn silent(&self, error: &DatabaseError) {
        if self.status.database_silent(error) {
            let down = Observation::DatabaseDown(error.clone());
            self.observers.observe(&down);
        }
    }
}

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

    /// Subscribes, and makes sure that silence means that nothing happens.
    async fn keep_proving(&self, client: &Client, heard: &Heard) -> Result<Infallible, Lost> {
        let listen = format!("LISTEN {CHANGES}; LISTEN {HEARTBEATS}");
        let subscribing = async {
            let settings = session::apply_settings(client, Purpose::Listen);
            let listening = async { Ok(client.batch_execute(&listen).await?) };
            tokio::try_join!(biased; settings, listening)
        };
        within("LISTEN", ANSWER, subscribing).await?;
        // Listen first, load then: a change between the two is notified.
        self.reports.reconnected();
        let notify = format!("NOTIFY {HEARTBEATS}");
        loop {
            self.answered("NOTIFY", client.batch_execute(&notify))
                .await?;
            if !self.hears(client, heard, ANSWER).await? {
                return Err(Lost::Deaf);
            }
            self.prove(client, heard).await?;
            self.tell(ListenerState::Listening, || {
                format!("notifications of {} arrive", self.address.target)
            });
            let mut again = Instant::now() + self.heartbeat;
            loop {
                self.reports.status.database_alive();
                let silence = self.heartbeat.mul_f64(rand::random_range(1.0..1.5));
                if !self.hears(client, heard, silence).await? {
                    break;
                }
                // The pool had no connection; what is heard meanwhile is others'.
                if !heard.is_proven() && Instant::now() >= again {
                    self.prove(client, heard).await?;
                    again = Instant::now() + self.heartbeat;
                }
            }
        }
    }

    /// Sends the notification that proves this connection over one of the pool's; whether that was
    /// possible. The pool may have none to give now, or a schema that is behind.
    async fn pool_notifies(&self, heard: &Heard) -> bool {
        let (what, limit) = ("NOTIFY", SECOND_OPINION);
        let notify = format!("NOTIFY {HEARTBEATS}, '{}'", heard.token);
        let work = async |client: &Object| {
            let notifying = client.batch_execute(&notify);
            PROOF.send(client, notifying).await
        };
        let notifying = self.reports.pool.run(what, limit, limit, work);
        within(what, limit, notifying).await.is_ok()
    }

    /// Has the pool send that notification, and waits for it; others prove nothing, they may be another
    /// database's. The pool hears whether it has arrived.
    async fn prove(&self, client: &Client, heard: &Heard) -> Result<(), Lost> {
        if !heard.is_proven() && self.pool_notifies(heard).await {
            let end = Instant::now() + ANSWER;
            while !heard.is_proven() {
                let left = end.saturating_duration_since(Instant::now());
                if !self.hears(client, heard, left).await? {
                    return Err(Lost::Deaf);
                }
            }
        }
        let pool = &self.reports.pool;
        pool.notified(&self.address, heard.is_proven());
        Ok(())
    }

    /// Whether something is heard within `limit`. The connection is asked meanwhile.
    async fn hears(&self, client: &Client, heard: &Heard, limit: Duration) -> Result<bool, Lost> {
        let end = Instant::now() + limit;
        loop {
            let pulse = Instant::now() + PULSE;
            tokio::select! {
                biased;
                () = heard.latest.notified() => return Ok(true),
                () = sleep_until(end.min(pulse)) => {}
            }
            if end <= pulse {
                // A timer that fires late is not the other side's silence: what came counts.
                let came = punctual(end, heard.latest.notified()).await;
                return Ok(came.is_some());
            }
            self.answered("a round trip", client.batch_execute(""))
                .await?;
            if self.reports.status.listener() == ListenerState::Listening {
                self.reports.status.database_alive();
            }
        }
    }

    /// The answer to a statement. Where it is late, the pool is asked: if it has no answer either,
    /// the database is silent, else this connection has some more time.
    async fn answered(
        &self,
        what: &'static str,
        statement: impl Future<Output = Result<(), tokio_postgres::Error>>,
    ) -> Result<(), Lost> {
        let mut statement = pin!(statement);
        let begun = Instant::now();
        if let Some(outcome) = punctual(begun + SUSPICION, statement.as_mut()).await {
            return Ok(outcome?);
        }
        let opinion = self.reports.pool.answers(SECOND_OPINION);
        let limit = ANSWER;
        tokio::select! {
            biased;
            outcome = statement.as_mut() => return Ok(outcome?),
            opinion = opinion => {
                if let Err(error) = opinion
                    && error.trouble() == Trouble::Unreachable
                {
                    let error = DatabaseError::from(error).at(&self.address.target);
                    self.reports.silent(&error);
                    return Err(Lost::Silent(error));
                }
            }
        }
        match punctual(begun + limit, statement).await {
            Some(outcome) => Ok(outcome?),
            None => Err(PostgresError::Late { what, limit }.into()),
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

/// What has arrived over a connection.
#[derive(Default)]
struct Heard {
    /// Of its signs the one that came since the last wait counts.
    latest: Notify,
    ever: AtomicBool,
    /// What the pool notifies to prove it.
    token: String,
    proven: AtomicBool,
}

impl Heard {
    fn note(&self, payload: &str) {
        self.ever.store(true, Ordering::Relaxed);
        if payload == self.token {
            self.proven.store(true, Ordering::Relaxed);
        }
        self.latest.notify_one();
    }

    fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }
}
