//! Asking registries from outside: one connection for the length of a command.
//!
//! Each request has an inbox of its own, so that one reply, a stream of replies and the replies of
//! a whole fleet are read in the same way. Every wait has a limit; a request that the server
//! refuses to pass on is reported as such, instead of looking like one without an answer.

use std::time::Duration;

use async_nats::{Client, Event, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::connect::{addresses, by_login, options, urls};
pub use super::subjects::To;
use super::wire::servers::pause;
use crate::config::NatsSettings;
use crate::domain::{acknowledgement, header};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// No server takes us.
    #[error("cannot connect to NATS at {servers}: {why}")]
    Unreachable {
        /// The servers, without credentials.
        servers: String,
        /// The text of the last one.
        why: String,
    },
    /// The server has no subscriber for it.
    #[error("no responders")]
    NoResponders,
    /// Nothing came in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Silent(Duration),
    /// The server does not let us.
    #[error("the NATS server refuses: {0}")]
    Refused(String),
    /// The connection is gone for good.
    #[error("the connection to NATS was closed")]
    Closed,
}

/// What is known of the connection.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// Whether it is up.
    pub up: bool,
    /// The first complaints of the server, such as permissions that are missing.
    pub refusals: Vec<String>,
    /// Lower bound of the messages that were dropped because they came faster than they were read.
    pub dropped: u64,
}

impl Link {
    /// What the server complained of about `subject`.
    fn refusal(&self, subject: &str) -> Option<String> {
        let quoted = format!("\"{subject}\"");
        let mut refusals = self.refusals.iter();
        refusals.find(|words| words.contains(&quoted)).cloned()
    }
}

/// Complaints kept: more than a check can cause, which uses every right once.
const MAX_REFUSALS: usize = 256;

/// A connection to ask over.
#[derive(Debug)]
pub struct Asker {
    pub(super) client: Client,
    link: watch::Receiver<Link>,
}

/// The replies to one request, or the messages of one subscription.
#[derive(Debug)]
pub struct Replies {
    inbox: Subscriber,
    /// The subjects of the replies and of the request: errors of the server name either.
    subjects: Vec<String>,
    link: watch::Receiver<Link>,
}

/// One message.
#[derive(Debug)]
pub struct Reply {
    /// The subject it arrived on: the inbox, or an event's.
    pub subject: String,
    /// Where it wants an answer, if it does.
    pub reply: Option<String>,
    /// Its headers, in no order.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
}

impl Reply {
    /// The first value of the header `name`: by its exact name, else ignoring ASCII case. Of several of
    /// those, the first by name counts, as the client library keeps no order.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().filter_map(|(known, values)| {
            let known: &str = known.as_ref();
            Some((known, values.first()?.as_str()))
        });
        let mut named: Vec<_> = named.collect();
        named.sort_unstable();
        header::find(named, name)
    }
}

/// The servers of `settings`, without credentials.
pub fn servers(settings: &NatsSettings) -> String {
    urls(settings).collect::<Vec<_>>().join(", ")
}

impl Asker {
    /// Connects within `patience`, to servers with a login of their own one after the other; `name` is
    /// shown in the server's list of connections.
    ///
    /// # Errors
    /// [`AskError::Unreachable`].
    pub async fn connect(
        settings: &NatsSettings,
        name: &str,
        patience: Duration,
    ) -> Result<Self, AskError> {
        let end = Instant::now() + patience;
        let mut why = String::new();
        let groups = by_login(settings);
        for (left, group) in (1..=groups.len()).rev().zip(&groups) {
            // One that is silent leaves the others their share.
            let share = u32::try_from(left).unwrap_or(u32::MAX);
            let share = end.saturating_duration_since(Instant::now()) / share;
            why = match timeout(share, Self::reach(group, name, share)).await {
                Ok(Ok(asker)) => return Ok(asker),
                Ok(Err(why)) => why,
                Err(_) => "no answer".to_owned(),
            };
        }
        let servers = servers(settings);
        Err(AskError::Unreachable { servers, why })
    }

    /// Connects to any of the servers.
    pub(super) async fn reach(
        settings: &NatsSettings,
        name: &str,
        patience: Duration,
    ) -> Result<Self, String> {
        // It is not seen before the connection is up.
        let (sender, link) = watch::channel(Link {
            up: true,
            ..Link::default()
        });
        let options = options(settings, patience)?
            .name(name)
            .reconnect_delay_callback(|attempts| pause(attempts, rand::random()))
            .event_callback(move |event| {
                notice(&sender, &event);
                async {}
            });
        let client = options.connect(addresses(settings)).await;
        let client = client.map_err(|error| error.to_string())?;
        Ok(Self { client, link })
    }

    /// Sends a request, and returns when it is on its way.
    ///
    /// # Errors
    /// The connection is closed, or not even takes the request within `patience`.
    pub async fn ask(
        &self,
        subject: String,
        headers: HeaderMap,
        body: Bytes,
        patience: Duration,
    ) -> Result<Replies, AskError> {
        let inbox = self.client.new_inbox();
        let sending = async {
            let mut replies = self.subscribe(inbox.clone()).await?;
            replies.subjects.push(subject.clone());
            let client = &self.client;
            let sent = if headers.is_empty() {
                client.publish_with_reply(subject, inbox, body).await
            } else {
                let sent = client.publish_with_reply_and_headers(subject, inbox, headers, body);
                sent.await
            };
            // What is too large for the server is refused by the client itself.
            sent.map_err(|error| AskError::Refused(error.to_string()))?;
            Ok(replies)
        };
        let sent = timeout(patience, sending).await;
        sent.unwrap_or(Err(AskError::Silent(patience)))
    }

    /// Listens to `subject`, also after a reconnect.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn subscribe(&self, subject: String) -> Result<Replies, AskError> {
        let inbox = self.client.subscribe(subject.clone()).await;
        Ok(Replies {
            inbox: inbox.map_err(|_| AskError::Closed)?,
            subjects: vec![subject],
            link: self.link.clone(),
        })
    }

    /// What the server complained of about `subject`.
    pub(super) fn refusal(&self, subject: &str) -> Option<String> {
        self.link.borrow().refusal(subject)
    }

    /// The first complaint of the server that has these words.
    pub(super) fn complaint(&self, words: &str) -> Option<String> {
        let link = self.link.borrow();
        let mut complaints = link.refusals.iter();
        complaints.find(|it| it.contains(words)).cloned()
    }

    /// What happens to the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }
}

impl Replies {
    /// The next message.
    ///
    /// # Errors
    /// None came within `patience`, none can come, or the server refuses.
    pub async fn next(&mut self, patience: Duration) -> Result<Reply, AskError> {
        tokio::select! {
            biased;
            message = answer(&mut self.inbox) => {
                let message = message.ok_or(AskError::Closed)?;
                if message.status == Some(StatusCode::NO_RESPONDERS) {
                    return Err(AskError::NoResponders);
                }
                Ok(Reply {
                    subject: message.subject.to_string(),
                    reply: message.reply.map(|reply| reply.to_string()),
                    headers: message.headers.unwrap_or_default(),
                    body: message.payload,
                })
            }
            refusal = refusal(&mut self.link, &self.subjects) => Err(AskError::Refused(refusal)),
            () = sleep(patience) => Err(AskError::Silent(patience)),
        }
    }
}

/// The next message, acknowledgements of JetStream streams aside.
async fn answer(inbox: &mut Subscriber) -> Option<Message> {
    loop {
        let message = inbox.next().await?;
        let bare = message.headers.as_ref().is_none_or(HeaderMap::is_empty);
        if !bare || acknowledgement::stream(&message.payload).is_none() {
            return Some(message);
        }
    }
}

/// Waits until the server complains of one of `subjects`.
async fn refusal(link: &mut watch::Receiver<Link>, subjects: &[String]) -> String {
    let news = |link: &Link| subjects.iter().find_map(|subject| link.refusal(subject));
    loop {
        let found = news(&link.borrow_and_update());
        if let Some(refusal) = found {
            return refusal;
        }
        if link.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn notice(link: &watch::Sender<Link>, event: &Event) {
    link.send_if_modified(|link| {
        match event {
            Event::Connected => return !std::mem::replace(&mut link.up, true),
            Event::Disconnected | Event::Closed => return std::mem::replace(&mut link.up, false),
            Event::ServerError(error) if link.refusals.len() < MAX_REFUSALS => {
                link.refusals.push(error.to_string());
            }
            Event::SlowConsumer(_) => link.dropped = link.dropped.saturating_add(1),
            _ => return false,
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_comes_first_and_case_does_not_matter_then() {
        let mut reply = Reply {
            subject: String::new(),
            reply: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        assert_eq!(reply.header("Beamline-Actor"), None);
        for (name, value) in [
            ("beamline-actor", "lower"),
            ("BEAMLINE-ACTOR", "upper"),
            ("BEAMLINE-ACTOR", "second"),
            ("Beamline-Actors", "other"),
        ] {
            reply.headers.append(name, value);
        }
        assert_eq!(reply.header("Beamline-Actor"), Some("upper"));
        reply.headers.insert("Beamline-Actor", "exact");
        assert_eq!(reply.header("Beamline-Actor"), Some("exact"));
        assert_eq!(reply.header("beamline-actor"), Some("lower"));
    }

    #[test]
    fn a_link_changes_only_with_news() {
        let (sender, mut link) = watch::channel(Link::default());
        let mut changes = |event| {
            notice(&sender, &event);
            let changed = link.has_changed().unwrap();
            (changed, link.borrow_and_update().clone())
        };
        assert!(changes(Event::Connected).0);
        assert!(!changes(Event::Connected).0);
        let (changed, link) = changes(Event::SlowConsumer(7));
        assert!(changed && link.up);
        assert_eq!(link.dropped, 1);
        assert!(!changes(Event::LameDuckMode).0);
        assert!(!changes(Event::Disconnected).1.up);
    }
}
