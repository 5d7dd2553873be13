//! Proof that notifications arrive: then silence means that nothing has changed.
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
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;

use super::{ANSWER, CHANGES, Listener, Lost};
use crate::adapters::postgres::address::Purpose;
use crate::adapters::postgres::error::PostgresError;
use crate::adapters::postgres::limit::{punctual, within};
use crate::adapters::postgres::session;
use crate::adapters::postgres::transaction::{Limits, Transaction};
use crate::service::observe::ListenerState;
use crate::service::trouble::{DatabaseError, Trouble};

/// Where sidecars prove that notifications arrive.
const HEARTBEATS: &str = "beamline_registry_heartbeat";
/// Silence after which the connection is asked whether it still is one.
const PULSE: Duration = Duration::from_secs(2);
/// For the answer, before the database is suspected.
const SUSPICION: Duration = Duration::from_millis(1500);
/// For the answer over the pool, before it is called unreachable. Together less than five seconds.
const SECOND_OPINION: Duration = Duration::from_millis(1300);
/// What the server keeps of a notification that the pool sends.
const PROOF: Transaction = Transaction::change(Limits::all(SECOND_OPINION));

/// What has arrived over a connection.
#[derive(Default)]
pub(super) struct Heard {
    /// Of its signs the one that came since the last wait counts.
    pub(super) latest: Notify,
    pub(super) ever: AtomicBool,
    /// What the pool notifies to prove it.
    pub(super) token: String,
    pub(super) proven: AtomicBool,
}

impl Heard {
    pub(super) fn note(&self, payload: &str) {
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

impl Listener {
    /// Subscribes, and makes sure that silence means that nothing happens.
    pub(super) async fn keep_proving(
        &self,
        client: &Client,
        heard: &Heard,
    ) -> Result<Infallible, Lost> {
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
}
