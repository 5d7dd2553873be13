//! Replies: which subjects may be answered, and how an answer is put on the wire.

use std::sync::{Arc, OnceLock};

use async_nats::{HeaderMap, Message, PublishErrorKind, Subject};
use bytes::Bytes;
use tokio::time::timeout;

use super::connection::Connection;
use super::gate::Gate;
use super::lane::{COMMAND_TIMEOUT, Lane};
use super::patience::within;
use crate::documents;
pub use crate::documents::desk::Answer;
use crate::documents::headers::{REVISION, SOURCE, STALE_MS};
use crate::domain::quote::quoted_within;
use crate::service::error::RegistryError;
use crate::service::observe::{DropReason, Observation, Observers};
use crate::service::status::Status;

/// The most bytes that are shown of the first token of a reply subject.
const MAX_SHOWN_PREFIX: usize = 32;
/// The number of the error code.
pub(super) const ERROR_CODE: &str = "Nats-Service-Error-Code";
/// The fixed text of the error code.
pub(super) const ERROR: &str = "Nats-Service-Error";

/// Decides which requests can be answered. The caller chooses the reply subject: without a list
/// the daemon would publish wherever it is told, `$JS.API...` included.
#[derive(Debug)]
pub struct ReplyRules {
    prefixes: Vec<String>,
    /// What our own inbox begins with, once there is one.
    own: OnceLock<String>,
    observers: Observers,
}

impl ReplyRules {
    /// Answers subjects that begin with one of `prefixes`.
    pub fn new(prefixes: Vec<String>, observers: Observers) -> Self {
        Self {
            prefixes,
            own: OnceLock::new(),
            observers,
        }
    }

    /// Never answers subjects that begin with `own`: the registry would answer its own calls in an
    /// extension's stead. Only the first call counts.
    pub fn never(&self, own: &str) {
        self.own.get_or_init(|| own.to_owned());
    }

    /// Where to answer `message`; `None`, counted, if nowhere.
    pub fn reply_to(&self, message: &Message) -> Option<Subject> {
        let reply = message.reply.as_ref();
        self.allowed(reply.map(|reply| reply.as_bytes()))?;
        reply.cloned()
    }

    /// The reply subject, if it may be answered; otherwise `None`, counted.
    pub(super) fn allowed<'r>(&self, reply: Option<&'r [u8]>) -> Option<&'r [u8]> {
        let Some(reply) = reply else {
            self.drop_request(DropReason::NoReply, None);
            return None;
        };
        let known = |prefix: &String| reply.starts_with(prefix.as_bytes());
        let odd = |byte: &u8| matches!(byte, b'*' | b'>');
        if self.prefixes.iter().any(known)
            && !reply.iter().any(odd)
            && !self.own.get().is_some_and(known)
        {
            return Some(reply);
        }
        let text = String::from_utf8_lossy(reply);
        let prefix = text.split('.').next().unwrap_or_default();
        let prefix = quoted_within(prefix, MAX_SHOWN_PREFIX);
        self.drop_request(DropReason::ReplyNotAllowed, Some(prefix));
        None
    }

    pub(super) fn drop_request(&self, reason: DropReason, reply_prefix: Option<String>) {
        self.observers.observe(&Observation::Dropped {
            reason,
            reply_prefix,
        });
    }
}

/// Why an answer did not get away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsent {
    /// The server would not take so much.
    TooLarge,
    /// The connection's task died with it; there is a new connection.
    Lost,
    /// The connection takes nothing.
    Stuck,
}

/// Publishes answers on one connection.
#[derive(Debug, Clone)]
pub struct Responder {
    connection: Arc<Connection>,
    gate: Arc<Gate>,
    rules: Arc<ReplyRules>,
    status: Arc<Status>,
}

impl Responder {
    /// Answers on the connection of `lane`.
    pub fn new(lane: &Lane, rules: Arc<ReplyRules>, status: Arc<Status>) -> Self {
        Self {
            connection: Arc::clone(lane.connection()),
            gate: Arc::clone(lane.gate()),
            rules,
            status,
        }
    }

    /// Where to answer `message`, if anywhere; see [`ReplyRules::reply_to`].
    pub fn reply_to(&self, message: &Message) -> Option<Subject> {
        self.rules.reply_to(message)
    }

    /// The most bytes that an answer may have on this connection.
    pub fn max_payload(&self) -> usize {
        self.connection.client().max_payload()
    }

    /// Publishes the answer or the error; a failure is counted and ends nothing.
    pub async fn send(&self, reply: Subject, outcome: Result<Answer, RegistryError>) {
        let answer = match outcome {
            Ok(answer) => answer,
            // Boxed, as below: every reply under way would have to hold room for it.
            Err(error) => return Box::pin(self.send_error(reply, &error)).await,
        };
        let Answer { body, revision, .. } = answer;
        // The most frequent reply by far carries no header: a header costs the server a parse.
        let plain = revision.is_none() && self.status.annotations().is_none();
        let headers = (!plain).then(|| {
            let mut headers = self.annotated();
            if let Some(revision) = revision {
                headers.insert(REVISION, revision.to_string());
            }
            headers
        });
        self.publish_or_explain(reply, headers, body).await;
    }

    /// Publishes an answer with headers of its own, or the error.
    pub async fn send_with(
        &self,
        reply: Subject,
        outcome: Result<(HeaderMap, Bytes), RegistryError>,
    ) {
        let (mut headers, body) = match outcome {
            Ok(answer) => answer,
            Err(error) => return Box::pin(self.send_error(reply, &error)).await,
        };
        self.annotate(&mut headers);
        self.publish_or_explain(reply, Some(headers), body).await;
    }

    /// Publishes one message of many.
    ///
    /// # Errors
    /// It was not sent: those after it are of no use.
    pub async fn send_piece(
        &self,
        reply: Subject,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), RegistryError> {
        self.annotate(&mut headers);
        match self.publish(reply, Some(headers), body).await {
            Err(Unsent::TooLarge) => Err(self.too_large()),
            Err(Unsent::Lost | Unsent::Stuck) => {
                self.failed();
                Err(RegistryError::Internal)
            }
            Ok(()) => Ok(()),
        }
    }

    async fn publish_or_explain(&self, reply: Subject, headers: Option<HeaderMap>, body: Bytes) {
        match self.publish(reply.clone(), headers, body).await {
            Ok(()) => {}
            // Only the client knows: the server counts the headers too, as they are on the wire.
            Err(Unsent::TooLarge) => self.send_error(reply, &self.too_large()).await,
            Err(Unsent::Lost) => self.send_error(reply, &RegistryError::Internal).await,
            Err(Unsent::Stuck) => self.failed(),
        }
    }

    fn too_large(&self) -> RegistryError {
        RegistryError::PayloadTooLarge {
            what: "the reply",
            limit_bytes: self.max_payload(),
        }
    }

    async fn send_error(&self, reply: Subject, error: &RegistryError) {
        let mut headers = self.annotated();
        headers.insert(ERROR_CODE, error.number().to_string());
        headers.insert(ERROR, error.title());
        let mut body = documents::error::error(error);
        let mut shorter = documents::error::shorter(error).into_iter();
        let mut anew = false;
        loop {
            let sent = self.publish(reply.clone(), Some(headers.clone()), body.clone());
            match sent.await {
                Ok(()) => return,
                Err(Unsent::TooLarge) => match shorter.next() {
                    Some(next) => body = next,
                    None => return self.failed(),
                },
                // Once more, on the connection that was made anew.
                Err(Unsent::Lost) if !anew => anew = true,
                Err(Unsent::Lost | Unsent::Stuck) => return self.failed(),
            }
        }
    }

    fn annotated(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.annotate(&mut headers);
        headers
    }

    fn annotate(&self, headers: &mut HeaderMap) {
        if let Some(annotations) = self.status.annotations() {
            if let Some(stale_ms) = annotations.stale_ms {
                headers.insert(STALE_MS, stale_ms.to_string());
            }
            if annotations.fixtures {
                headers.insert(SOURCE, "fixtures");
            }
        }
    }

    async fn publish(
        &self,
        reply: Subject,
        headers: Option<HeaderMap>,
        body: Bytes,
    ) -> Result<(), Unsent> {
        self.gate.pass().await;
        let client = self.connection.client();
        let publishing = async {
            match headers {
                None => client.publish(reply, body).await,
                Some(headers) => client.publish_with_headers(reply, headers, body).await,
            }
        };
        match within(COMMAND_TIMEOUT, publishing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => Err(Unsent::TooLarge),
                PublishErrorKind::InvalidSubject => Err(Unsent::Stuck),
                PublishErrorKind::Send => {
                    match timeout(COMMAND_TIMEOUT, self.connection.renew(&client)).await {
                        Ok(Ok(())) => Err(Unsent::Lost),
                        _ => Err(Unsent::Stuck),
                    }
                }
            },
            Err(_) => Err(Unsent::Stuck),
        }
    }

    fn failed(&self) {
        self.rules.drop_request(DropReason::PublishFailed, None);
    }
}
