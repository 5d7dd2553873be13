//! A NATS client that counts: every request of it must get exactly one reply.
//!
//! It uses one inbox of its own, as routers do, and keeps all that arrives there, so that a second
//! reply to a request is seen even when nobody waits for it any more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::watch;

use super::wait::DEADLINE;

/// After the last reply that is expected, how long for one too many.
const QUIET: Duration = Duration::from_millis(300);
/// Status of a reply by the server itself: nobody is subscribed to the subject.
const NO_RESPONDERS: u16 = 503;

/// A connection with an inbox.
pub(crate) struct Client {
    nats: async_nats::Client,
    inbox: String,
    next: AtomicU64,
    arrived: Arc<Mutex<BTreeMap<u64, Vec<Reply>>>>,
    count: watch::Receiver<usize>,
}

/// One message that answers a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The headers; empty when it has none.
    pub(crate) headers: HeaderMap,
    /// The body, byte for byte.
    pub(crate) payload: Bytes,
    status: Option<u16>,
}

/// Returns when the server has seen all that was sent over `nats`: subscriptions above all. A flush
/// only says that the socket has taken it.
pub(crate) async fn settled(nats: &async_nats::Client) {
    let inbox = nats.new_inbox();
    let mut echo = nats.subscribe(inbox.clone()).await.unwrap();
    nats.publish(inbox, Bytes::new()).await.unwrap();
    let echo = tokio::time::timeout(DEADLINE, echo.next());
    echo.await.expect("an echo");
}

impl Client {
    /// Connects to a server; it reconnects as the library does.
    pub(crate) async fn connect(url: &str) -> Self {
        Self::over(async_nats::connect(url).await.unwrap()).await
    }

    /// Uses a connection made with options of the test's own.
    pub(crate) async fn over(nats: async_nats::Client) -> Self {
        let inbox = nats.new_inbox();
        let mut replies = nats.subscribe(format!("{inbox}.*")).await.unwrap();
        nats.flush().await.unwrap();
        let arrived = Arc::new(Mutex::new(BTreeMap::<u64, Vec<Reply>>::new()));
        let (counter, count) = watch::channel(0);
        let sink = Arc::clone(&arrived);
        tokio::spawn(async move {
            while let Some(message) = replies.next().await {
                let token = message
                    .subject
                    .rsplit('.')
                    .next()
                    .and_then(|id| id.parse().ok());
                let Some(id) = token else { continue };
                sink.lock()
                    .unwrap()
                    .entry(id)
                    .or_default()
                    .push(Reply::from(message));
                counter.send_modify(|count| *count += 1);
            }
        });
        Self {
            nats,
            inbox,
            next: AtomicU64::new(0),
            arrived,
            count,
        }
    }

    /// The connection underneath, to subscribe and to publish.
    pub(crate) fn nats(&self) -> &async_nats::Client {
        &self.nats
    }

    /// Sends a request and returns its first reply.
    pub(crate) async fn request(&self, subject: &str, payload: impl Into<Bytes>) -> Reply {
        self.request_with_headers(subject, HeaderMap::new(), payload)
            .await
    }

    /// Sends a request with a JSON body and returns its first reply.
    pub(crate) async fn request_json(&self, subject: &str, body: &Value) -> Reply {
        self.request(subject, body.to_string()).await
    }

    /// Sends a request with headers and returns its first reply.
    pub(crate) async fn request_with_headers(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: impl Into<Bytes>,
    ) -> Reply {
        let id = self.send(subject, headers, payload.into()).await;
        match tokio::time::timeout(DEADLINE, self.wait_replies(id, 1)).await {
            Ok(mut replies) => replies.remove(0),
            Err(_) => panic!("no reply from {subject} within {DEADLINE:?}"),
        }
    }

    /// Sends a request and returns its first reply, or none within `patience`. A reply that comes
    /// later does not count against [`assert_one_reply_each`](Self::assert_one_reply_each).
    pub(crate) async fn try_request(
        &self,
        subject: &str,
        payload: impl Into<Bytes>,
        patience: Duration,
    ) -> Option<Reply> {
        let id = self.send(subject, HeaderMap::new(), payload.into()).await;
        let reply = tokio::time::timeout(patience, self.wait_replies(id, 1))
            .await
            .ok();
        Some(reply?.remove(0))
    }

    /// Sends one request to many, and returns the replies when none has come for `quiet`.
    pub(crate) async fn request_all(
        &self,
        subject: &str,
        payload: impl Into<Bytes>,
        quiet: Duration,
    ) -> Vec<Reply> {
        self.request_all_with_headers(subject, HeaderMap::new(), payload, quiet)
            .await
    }

    /// The same with headers.
    pub(crate) async fn request_all_with_headers(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: impl Into<Bytes>,
        quiet: Duration,
    ) -> Vec<Reply> {
        let id = self.send(subject, headers, payload.into()).await;
        self.collect(id, 1, quiet).await
    }

    /// Sends a request that has `wanted` replies, and returns them, with one too many if it comes
    /// soon, or those that came until the deadline.
    pub(crate) async fn request_several(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: impl Into<Bytes>,
        wanted: usize,
    ) -> Vec<Reply> {
        let id = self.send(subject, headers, payload.into()).await;
        self.collect(id, wanted, QUIET).await
    }

    /// The replies once there are `wanted` of them and none has come for `quiet`.
    async fn collect(&self, id: u64, wanted: usize, quiet: Duration) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            let is_whole = replies.len() >= wanted;
            let patience = if is_whole { quiet } else { DEADLINE };
            let more = self.wait_replies(id, replies.len() + 1);
            match tokio::time::timeout(patience, more).await {
                Ok(more) => replies = more,
                Err(_) => break,
            }
        }
        self.arrived.lock().unwrap().remove(&id);
        replies
    }

    /// Panics when a request of [`request`](Self::request) and its like got more than one reply.
    ///
    /// Whatever was published before this call by those connected to the same server has arrived
    /// when it looks.
    pub(crate) async fn assert_one_reply_each(&self) {
        self.round_trip().await;
        let arrived = self.arrived.lock().unwrap();
        for (id, replies) in arrived.iter() {
            assert_eq!(replies.len(), 1, "replies to request {id}: {replies:#?}");
        }
    }

    /// A message to the own inbox: when it is there, everything sent before it is.
    async fn round_trip(&self) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.nats
            .publish(format!("{}.{id}", self.inbox), Bytes::new())
            .await
            .unwrap();
        tokio::time::timeout(DEADLINE, self.wait_replies(id, 1))
            .await
            .expect("a round trip");
    }

    async fn send(&self, subject: &str, headers: HeaderMap, payload: Bytes) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let reply = format!("{}.{id}", self.inbox);
        let subject = subject.to_owned();
        let sent = if headers.is_empty() {
            self.nats.publish_with_reply(subject, reply, payload).await
        } else {
            self.nats
                .publish_with_reply_and_headers(subject, reply, headers, payload)
                .await
        };
        sent.unwrap();
        id
    }

    async fn wait_replies(&self, id: u64, wanted: usize) -> Vec<Reply> {
        let mut count = self.count.clone();
        loop {
            count.borrow_and_update();
            if let Some(replies) = self.arrived.lock().unwrap().get(&id)
                && replies.len() >= wanted
            {
                return replies.clone();
            }
            count
                .changed()
                .await
                .expect("the inbox is open as long as the client is");
        }
    }
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// Whether the server answered, because nobody is subscribed.
    pub(crate) fn is_no_responders(&self) -> bool {
        self.status == Some(NO_RESPONDERS)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The body of a success; panics on an error.
    pub(crate) fn ok(&self) -> Value {
        assert!(!self.is_no_responders(), "no subscriber on its subject");
        assert_eq!(self.error_number(), None, "an error: {self:?}");
        self.json()
    }

    /// The error's number and code, which header and body must agree to have; panics on a success.
    pub(crate) fn error(&self) -> (u16, String) {
        let number = self
            .error_number()
            .unwrap_or_else(|| panic!("no error: {self:?}"));
        let code = self.json()["error"]["code"].as_str().map(str::to_owned);
        (
            number,
            code.unwrap_or_else(|| panic!("an error without a code: {self:?}")),
        )
    }

    /// `details` of an error.
    pub(crate) fn details(&self) -> Value {
        self.json()["error"]["details"].clone()
    }

    fn error_number(&self) -> Option<u16> {
        let number = self.header("Nats-Service-Error-Code")?;
        Some(
            number
                .parse()
                .unwrap_or_else(|_| panic!("not a number: {number}")),
        )
    }
}

impl From<Message> for Reply {
    fn from(message: Message) -> Self {
        Self {
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
            status: message.status.map(|status| status.as_u16()),
        }
    }
}
