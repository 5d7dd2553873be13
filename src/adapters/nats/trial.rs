//! What `check` tries with a server that lets us in: each right that the daemon needs, used once.
//!
//! A subscription in the queue group takes requests from the sidecars that run. So each is dropped
//! at once, and a request that comes in between is answered `shutting_down`, which every router
//! retries elsewhere. What is not in a group reaches its real addressee as well, which answers it.

use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::ask::Asker;
use super::connect::alone;
use super::respond::{ERROR, ERROR_CODE};
use super::server::{most_subscriptions, subscriptions};
use super::subjects::Layout;
use super::wire::refusal::Refusal;
use crate::config::{NatsAddress, NatsSettings};
use crate::documents;
use crate::service::error::RegistryError;

/// How long one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the client may take to hand on what the server complained of before its answer.
const COMPLAINTS: Duration = Duration::from_millis(50);

/// A subject that the server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The subject.
    pub subject: String,
    /// The group it was subscribed in, if any.
    pub queue_group: Option<String>,
    /// The server's words.
    pub words: String,
}

/// A connection to one server.
#[derive(Debug)]
pub struct Trial {
    asker: Asker,
    token: String,
    /// Ours alone.
    inbox: String,
    /// Our own messages come back here: with each the server has read what was sent before it.
    echo: Subscriber,
}

impl Trial {
    /// Connects to `server` alone, with the login of `settings`.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn connect(
        settings: &NatsSettings,
        server: &NatsAddress,
        instance_id: &str,
    ) -> Result<Self, String> {
        let settings = alone(settings, server);
        let name = format!("beamline-registry/{instance_id}/check");
        let connecting = timeout(PATIENCE, Asker::reach(&settings, &name, PATIENCE)).await;
        let asker = connecting.map_err(|_| "no answer".to_owned())??;
        let inbox = asker.client.new_inbox();
        let echo = asker.client.subscribe(heard_at(&inbox)).await;
        Ok(Self {
            token: format!("{:08x}", rand::random::<u32>()),
            echo: echo.map_err(|error| error.to_string())?,
            inbox,
            asker,
        })
    }

    /// The server's name and version.
    pub fn server(&self) -> String {
        let server = self.asker.client.server_info();
        format!("{}, version {}", server.server_name, server.version)
    }

    /// The most bytes of a message that it takes.
    pub fn max_payload(&self) -> usize {
        self.asker.client.server_info().max_payload
    }

    /// A token that is not used elsewhere.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// How long a message to our own inbox takes. When it is back, the server has read all that was
    /// sent before it.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn round_trip(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let subject = format!("{}.{}", self.inbox, self.token);
        let (client, sent_to) = (&self.asker.client, subject.clone());
        let trip = async {
            client.publish(sent_to, "".into()).await.ok()?;
            self.echo.next().await
        };
        match timeout(PATIENCE, trip).await {
            Ok(Some(_)) => Ok(begun.elapsed()),
            _ => {
                let ways = [subject, heard_at(&self.inbox)];
                let why = ways.iter().find_map(|way| self.asker.refusal(way));
                Err(why.unwrap_or_else(|| "no answer".to_owned()))
            }
        }
    }

    /// Publishes an empty message at a subject that is not used elsewhere.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn publishes(&mut self, subject: &str) -> Result<(), String> {
        self.sent(subject, Vec::new()).await
    }

    /// Publishes an event that only reports the check.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn event(&mut self, subject: &str) -> Result<(), String> {
        let event = json!({
            "specversion": "1.0", "id": format!("check-{}", self.token),
            "source": "/beamline-registry/check", "type": "beamline.registry.check", "data": {},
        });
        self.sent(subject, event.to_string().into_bytes()).await
    }

    async fn sent(&mut self, subject: &str, body: Vec<u8>) -> Result<(), String> {
        let client = &self.asker.client;
        let sent = client.publish(subject.to_owned(), body.into()).await;
        sent.map_err(|error| error.to_string())?;
        self.round_trip().await?;
        sleep(COMPLAINTS).await;
        self.asker.refusal(subject).map_or(Ok(()), Err)
    }

    /// Subscribes to everything that a daemon serves; how many subjects that are, and those refused.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn subscribes(&mut self, layout: &Layout) -> Result<(usize, Vec<Refused>), String> {
        let wanted = subscriptions(layout);
        for (subject, queue_group) in &wanted {
            let (client, subject) = (&self.asker.client, subject.clone());
            let tried = match queue_group {
                Some(group) => client.queue_subscribe(subject, group.clone()).await,
                None => client.subscribe(subject).await,
            };
            let mut subscriber = tried.map_err(|error| error.to_string())?;
            let ended = subscriber.unsubscribe().await;
            ended.map_err(|error| error.to_string())?;
            self.round_trip().await?;
            if queue_group.is_some() {
                self.turn_away(&mut subscriber).await;
            }
        }
        sleep(COMPLAINTS).await;
        let (count, wanted) = (wanted.len(), wanted.into_iter());
        let refused = wanted.filter_map(|(subject, queue_group)| {
            Some(Refused {
                words: self.asker.refusal(&subject)?,
                subject,
                queue_group,
            })
        });
        Ok((count, refused.collect()))
    }

    /// Has as many subscriptions at a time as the daemon's connection with the most, all of them to
    /// subjects below our own inbox; how many that are.
    ///
    /// # Errors
    /// The server takes fewer, or the connection broke.
    pub async fn holds(&mut self, layout: &Layout) -> Result<usize, String> {
        let most = most_subscriptions(layout);
        let mut held = Vec::new();
        // One is the echo.
        for number in 1..most {
            let subject = format!("{}.{number}", self.inbox);
            let subscriber = self.asker.client.subscribe(subject).await;
            held.push(subscriber.map_err(|error| error.to_string())?);
        }
        self.round_trip().await?;
        sleep(COMPLAINTS).await;
        for subscriber in &mut held {
            let ended = subscriber.unsubscribe().await;
            ended.map_err(|error| error.to_string())?;
        }
        let full = self.asker.complaint(&Refusal::Full.to_string());
        full.map_or(Ok(most), Err)
    }

    /// Answers what came in between.
    async fn turn_away(&self, subscriber: &mut Subscriber) {
        let error = RegistryError::ShuttingDown;
        let mut headers = HeaderMap::new();
        headers.insert(ERROR_CODE, error.number().to_string().as_str());
        headers.insert(ERROR, error.title());
        let body = documents::error::error(&error);
        while let Some(Some(Message { reply, .. })) = subscriber.next().now_or_never() {
            if let Some(reply) = reply {
                let (headers, body) = (headers.clone(), body.clone());
                let client = &self.asker.client;
                let _ = client.publish_with_headers(reply, headers, body).await;
            }
        }
    }
}

/// Where messages below `inbox` are heard: as deep as the daemon hears extensions, since a right to one
/// token below the prefix is not enough for that.
fn heard_at(inbox: &str) -> String {
    format!("{inbox}.*")
}
