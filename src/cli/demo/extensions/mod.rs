//! Sample extensions: small NATS services like those that routers have called. Each is a task with
//! a connection of its own, as if it ran elsewhere, and knows nothing of the registry.
//!
//! What they answer is a function of the request; how it is sent, and how an extension breaks, is
//! told here once for all.

mod mask_sensitive_data;
mod mock_provider;
mod normalize_text;
mod patterns;
mod pii_guard;
mod request;
mod story_teller;

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use request::Request;

/// One sample.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Its id in the fixtures.
    id: &'static str,
    /// Where it listens, all versions of it.
    subject: &'static str,
    answer: fn(&Request) -> Answer,
}

const SAMPLES: [Sample; 5] = [
    Sample {
        id: "normalize_text",
        subject: "beamline.ext.pre.normalize_text.*",
        answer: normalize_text::answer,
    },
    Sample {
        id: "pii_guard",
        subject: "beamline.ext.validate.pii_guard.v1",
        answer: pii_guard::answer,
    },
    Sample {
        id: "mask_sensitive_data",
        subject: "beamline.ext.post.mask_pii.v1",
        answer: mask_sensitive_data::answer,
    },
    Sample {
        id: "mock_provider",
        subject: "beamline.provider.mock.v1",
        answer: mock_provider::answer,
    },
    Sample {
        id: "story_teller",
        subject: "beamline.provider.story_teller.v1",
        answer: story_teller::answer,
    },
];

/// What a sample has to say to a request.
#[derive(Debug)]
enum Answer {
    /// A document.
    Whole(Value),
    /// A document that takes its time.
    After(Duration, Value),
    /// A stream of documents.
    Chunks(Vec<Value>),
}

/// How a sample is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It answers.
    Well,
    /// It takes requests and answers none.
    Silent,
    /// It answers every request with an error.
    Failing,
}

/// The samples at work; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Extensions {
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    id: &'static str,
    mood: watch::Sender<Mood>,
    _task: AbortOnDropHandle<()>,
}

impl Extensions {
    /// Connects and subscribes all of them.
    pub(super) async fn start(url: &str) -> Result<Self, async_nats::Error> {
        let mut running = Vec::new();
        for sample in SAMPLES {
            let client = async_nats::connect(url).await?;
            let calls = client.subscribe(sample.subject).await?;
            client.flush().await?;
            let (mood, now) = watch::channel(Mood::Well);
            let serving = tokio::spawn(serve(sample, client, calls, now));
            running.push(Running {
                id: sample.id,
                mood,
                _task: AbortOnDropHandle::new(serving),
            });
        }
        Ok(Self { running })
    }

    /// Breaks a sample, or repairs it.
    pub(super) fn put(&self, id: &str, mood: Mood) {
        let named = self.running.iter().filter(|running| running.id == id);
        for running in named {
            running.mood.send_replace(mood);
        }
    }
}

async fn serve(sample: Sample, client: Client, mut calls: Subscriber, mood: watch::Receiver<Mood>) {
    while let Some(call) = calls.next().await {
        let Some(inbox) = call.reply.clone() else {
            continue;
        };
        let mood = *mood.borrow();
        let messages = match mood {
            Mood::Silent => continue,
            Mood::Failing => error(500, "out of order"),
            Mood::Well => answer(sample, &call).await,
        };
        if send(&client, &inbox, messages).await.is_err() {
            return;
        }
    }
}

async fn send(
    client: &Client,
    inbox: &Subject,
    messages: Vec<(HeaderMap, Bytes)>,
) -> Result<(), async_nats::Error> {
    for (headers, body) in messages {
        if headers.is_empty() {
            client.publish(inbox.clone(), body).await?;
        } else {
            let inbox = inbox.clone();
            client.publish_with_headers(inbox, headers, body).await?;
        }
    }
    Ok(())
}

async fn answer(sample: Sample, call: &Message) -> Vec<(HeaderMap, Bytes)> {
    let Some(request) = Request::read(call) else {
        return error(400, "not a request that an extension can read");
    };
    match (sample.answer)(&request) {
        Answer::Whole(document) => vec![plain(&document)],
        Answer::After(pause, document) => {
            sleep(pause).await;
            vec![plain(&document)]
        }
        Answer::Chunks(chunks) => stream(&chunks),
    }
}

fn plain(document: &Value) -> (HeaderMap, Bytes) {
    (HeaderMap::new(), document.to_string().into())
}

/// Every message of a stream says that it is one; the last is empty.
fn stream(chunks: &[Value]) -> Vec<(HeaderMap, Bytes)> {
    let marked = |kind: &'static str, body: Bytes| {
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Stream", kind);
        (headers, body)
    };
    let chunks = chunks.iter();
    chunks
        .map(|chunk| marked("chunk", chunk.to_string().into()))
        .chain([marked("end", Bytes::new())])
        .collect()
}

/// An error as NATS services reply it.
fn error(code: u16, text: &'static str) -> Vec<(HeaderMap, Bytes)> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Service-Error-Code", code.to_string());
    headers.insert("Nats-Service-Error", text);
    vec![(headers, json!({ "error": text }).to_string().into())]
}
