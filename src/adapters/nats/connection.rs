//! A lane's connection, which is made anew when its task dies.
//!
//! The client library runs a connection as one task. A message that makes it panic ends that task:
//! all its subscriptions end, and no command is taken any more. Whoever finds a subscription ended
//! subscribes again, which makes a new connection; whoever publishes takes the one there is then.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use async_nats::{Client, Event, Subscriber};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, broadcast};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connect::{self, Purpose};
use super::lane::{COMMAND_TIMEOUT, LaneError};
use crate::config::NatsSettings;
use crate::service::observe::{Observation, Observers};
use crate::service::status::Status;

/// A connection that lived this long is no sign of one that dies again and again.
const STABLE: Duration = Duration::from_secs(10);

/// How to connect.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) settings: NatsSettings,
    pub(super) instance_id: String,
    pub(super) purpose: Purpose,
    pub(super) status: Arc<Status>,
    pub(super) observers: Observers,
    /// Where what happens to the connection is told.
    pub(super) events: broadcast::Sender<Event>,
}

impl Recipe {
    pub(super) async fn connect(&self) -> Result<Client, async_nats::ConnectError> {
        connect::connect(
            &self.settings,
            &self.instance_id,
            self.purpose,
            Arc::clone(&self.status),
            self.observers.clone(),
            self.events.clone(),
        )
        .await
    }
}

/// The connection of a lane, shared by all who use it.
#[derive(Debug)]
pub struct Connection {
    client: ArcSwap<Client>,
    recipe: Arc<Recipe>,
    /// The lane's own: the connection's task shares its thread.
    runtime: Handle,
    life: Mutex<Life>,
    /// Cancelled when the lane is closed: what ends then has to.
    closed: CancellationToken,
}

/// The present connection's life.
#[derive(Debug)]
struct Life {
    began: Instant,
    /// Lives in a row that were short.
    short: usize,
}

impl Connection {
    pub(super) fn new(
        client: Client,
        recipe: Arc<Recipe>,
        runtime: Handle,
        closed: CancellationToken,
    ) -> Self {
        let began = Instant::now();
        Self {
            client: ArcSwap::from_pointee(client),
            recipe,
            runtime,
            life: Mutex::new(Life { began, short: 0 }),
            closed,
        }
    }

    /// The connection there is now. Not to be kept.
    pub fn client(&self) -> Guard<Arc<Client>> {
        self.client.load()
    }

    /// Who hears of what happens on it.
    pub fn observers(&self) -> &Observers {
        &self.recipe.observers
    }

    /// Whether the lane is closed, or about to be: what ends now ends for good.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Subscribes, in a queue group or not; on a new connection if the present one is dead.
    ///
    /// # Errors
    /// The lane is closed, or the connection takes no commands.
    pub async fn subscribe(
        &self,
        subject: String,
        queue_group: Option<&str>,
    ) -> Result<Subscriber, LaneError> {
        loop {
            let client = self.client.load_full();
            let (subject, group) = (subject.clone(), queue_group.map(str::to_owned));
            let subscribing = async {
                match group {
                    Some(group) => client.queue_subscribe(subject, group).await,
                    None => client.subscribe(subject).await,
                }
            };
            match timeout(COMMAND_TIMEOUT, subscribing).await {
                Ok(Ok(subscriber)) => return Ok(subscriber),
                Ok(Err(_)) => self.renew(&client).await?,
                Err(_) => return Err(LaneError::Stuck),
            }
        }
    }

    /// Makes a new connection in the place of one that is dead, unless somebody else has.
    ///
    /// # Errors
    /// The lane is closed.
    pub async fn renew(&self, dead: &Arc<Client>) -> Result<(), LaneError> {
        let mut life = self.life.lock().await;
        let connection = self.recipe.purpose.name;
        while !self.closed.is_cancelled() {
            if !Arc::ptr_eq(&self.client.load(), dead) {
                return Ok(());
            }
            connect::notice_state(
                connection,
                false,
                &self.recipe.status,
                &self.recipe.observers,
            );
            let restarted = Observation::NatsRestarted { connection };
            self.recipe.observers.observe(&restarted);
            life.short = match life.began.elapsed() < STABLE {
                true => life.short + 1,
                false => 0,
            };
            let pause = sleep(connect::pause(life.short));
            self.closed.run_until_cancelled(pause).await;
            life.began = Instant::now();
            let recipe = Arc::clone(&self.recipe);
            let connecting = self.runtime.spawn(async move { recipe.connect().await });
            if let Ok(Ok(client)) = connecting.await {
                self.client.store(Arc::new(client));
            }
        }
        Err(LaneError::Closed)
    }
}
