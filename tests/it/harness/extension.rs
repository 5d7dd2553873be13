//! An extension, played: it answers as the test says, and keeps what it received.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::settled;
use super::wait::{DEADLINE, eventually};

/// Requests kept; older ones are only counted.
const KEPT: usize = 1000;

/// An extension on a connection of its own; gone on drop.
pub(crate) struct Extension {
    client: async_nats::Client,
    stage: Arc<Stage>,
    playing: JoinHandle<()>,
}

/// What it does with a request.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// These messages, one after the other; none for one that is silent.
    Answers(Arc<[Answer]>),
    /// The request's own body.
    Echo,
    /// One message after a while.
    Slow(Duration, Answer),
    /// One message as soon as it is told to behave otherwise.
    Held(Answer),
    /// Another behaviour for each request: its number, from 0, and the request.
    Each(Arc<Chooser>),
}

type Chooser = dyn Fn(usize, &Received) -> Behaviour + Send + Sync;

/// One message of an extension.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

/// One request that it received.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

struct Stage {
    behaviour: watch::Sender<Behaviour>,
    kept: Mutex<VecDeque<Received>>,
    count: watch::Sender<usize>,
}

impl Extension {
    /// Listens at `subject`, known to the server on return.
    pub(crate) async fn at(url: &str, subject: &str, behaviour: Behaviour) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let requests = client.subscribe(subject.to_owned()).await.unwrap();
        let extension = Self::over(client, requests, behaviour);
        settled(&extension.client).await;
        extension
    }

    /// On a connection and a subscription of the test's own, which the server may not know yet.
    pub(crate) fn over(
        client: async_nats::Client,
        mut requests: Subscriber,
        behaviour: Behaviour,
    ) -> Self {
        let stage = Arc::new(Stage {
            behaviour: watch::Sender::new(behaviour),
            kept: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let (player, replies) = (Arc::clone(&stage), client.clone());
        let playing = tokio::spawn(async move {
            while let Some(message) = requests.next().await {
                player.play(message, &replies).await;
            }
        });
        Self {
            client,
            stage,
            playing,
        }
    }

    /// Behaves otherwise from now on; what it held, it lets go.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.stage.behaviour.send_replace(behaviour);
    }

    /// How many requests it has received.
    pub(crate) fn count(&self) -> usize {
        *self.stage.count.borrow()
    }

    /// Waits until it has received `wanted` requests.
    pub(crate) async fn wait_count(&self, wanted: usize) {
        eventually("requests at the extension", DEADLINE, async || {
            let count = self.count();
            if count >= wanted { Ok(()) } else { Err(count) }
        })
        .await;
    }

    /// The last requests, oldest first.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.stage.kept.lock().unwrap().iter().cloned().collect()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Received {
        self.received().pop().expect("a request")
    }

    /// Leaves its subject, and returns when the server knows.
    pub(crate) async fn leave(mut self) {
        self.playing.abort();
        let _cancelled = (&mut self.playing).await;
        settled(&self.client).await;
    }
}

impl Drop for Extension {
    fn drop(&mut self) {
        self.playing.abort();
    }
}

impl Stage {
    async fn play(self: &Arc<Self>, message: Message, replies: &async_nats::Client) {
        let request = Received {
            subject: message.subject.to_string(),
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
        };
        let mut script = self.behaviour.subscribe();
        let mut behaviour = script.borrow_and_update().clone();
        while let Behaviour::Each(choose) = &behaviour {
            behaviour = choose(self.count(), &request);
        }
        self.keep(request.clone());
        let Some(to) = message.reply else { return };
        let client = replies.clone();
        match behaviour {
            Behaviour::Answers(answers) => {
                for answer in answers.iter() {
                    answer.send(&client, &to).await;
                }
            }
            Behaviour::Echo => Answer::new(request.payload).send(&client, &to).await,
            Behaviour::Slow(pause, answer) => {
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    answer.send(&client, &to).await;
                });
            }
            Behaviour::Held(answer) => {
                tokio::spawn(async move {
                    if script.changed().await.is_ok() {
                        answer.send(&client, &to).await;
                    }
                });
            }
            Behaviour::Each(_) => {}
        }
    }

    fn count(&self) -> usize {
        *self.count.borrow()
    }

    fn keep(&self, request: Received) {
        let mut kept = self.kept.lock().unwrap();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(request);
        drop(kept);
        self.count.send_modify(|count| *count += 1);
    }
}

impl Behaviour {
    /// Never answers.
    pub(crate) fn silent() -> Self {
        Self::Answers([].into())
    }

    /// Answers `body`.
    pub(crate) fn reply(body: impl Into<Bytes>) -> Self {
        Answer::new(body).into()
    }

    /// Answers an error with a code of its own.
    pub(crate) fn error(code: u16) -> Self {
        Answer::error(code).into()
    }

    /// `chunks` numbered pieces of a stream, without an end.
    pub(crate) fn endless(chunks: usize) -> Self {
        Self::Answers((0..chunks).map(Answer::chunk).collect())
    }

    /// The same, and `last` after them.
    pub(crate) fn stream(chunks: usize, last: Answer) -> Self {
        Self::Answers((0..chunks).map(Answer::chunk).chain([last]).collect())
    }

    /// Chooses for each request: its number, from 0, and the request.
    pub(crate) fn each(choose: impl Fn(usize, &Received) -> Self + Send + Sync + 'static) -> Self {
        Self::Each(Arc::new(choose))
    }
}

impl From<Answer> for Behaviour {
    fn from(answer: Answer) -> Self {
        Self::Answers([answer].into())
    }
}

impl Answer {
    /// A body without headers.
    pub(crate) fn new(body: impl Into<Bytes>) -> Self {
        Self {
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// With a header more.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value);
        self
    }

    /// An error as NATS services reply it.
    pub(crate) fn error(code: u16) -> Self {
        Self::new(format!(r#"{{"failed":{code}}}"#))
            .header("Nats-Service-Error-Code", &code.to_string())
            .header("Nats-Service-Error", "played")
    }

    /// A numbered piece of a stream.
    pub(crate) fn chunk(number: usize) -> Self {
        Self::new(number.to_string()).header("Beamline-Stream", "chunk")
    }

    /// The end of a stream.
    pub(crate) fn end() -> Self {
        Self::default().header("Beamline-Stream", "end")
    }

    async fn send(&self, client: &async_nats::Client, to: &async_nats::Subject) {
        let (to, body) = (to.clone(), self.body.clone());
        let sent = if self.headers.is_empty() {
            client.publish(to, body).await
        } else {
            let headers = self.headers.clone();
            client.publish_with_headers(to, headers, body).await
        };
        sent.unwrap();
    }
}

impl Received {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }
}
