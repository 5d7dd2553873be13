//! Sample extensions: small NATS services like those that routers have called, which know nothing
//! of the registry.
//!
//! [`samples`] has what they answer; how it is sent, how an extension breaks, and how a cancelled
//! one stops, is here.

mod patterns;
mod samples;

use std::collections::HashMap;
use std::time::Duration;

use async_nats::{Client, HeaderName, HeaderValue, Message, Subject};
use futures_util::stream::{Stream, StreamExt, select_all};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::service::caller::CALL_ID;

/// They answer one request after the other, and should not be made to sleep for long.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// For how long a busy one wants no calls.
const BUSY_MS: &str = "2000";

/// Their ids in the fixtures, and where they listen, before the version.
const SAMPLES: [(&str, &str); 5] = [
    ("normalize_text", "beamline.ext.pre.normalize_text"),
    ("pii_guard", "beamline.ext.validate.pii_guard"),
    ("mask_sensitive_data", "beamline.ext.post.mask_pii"),
    ("mock_provider", "beamline.provider.mock"),
    ("story_teller", "beamline.provider.story_teller"),
];

/// The samples at work; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Extensions {
    /// Which one is not well, and how.
    mood: watch::Sender<(String, String)>,
    _task: AbortOnDropHandle<()>,
}

impl Extensions {
    /// Connects and subscribes all of them, to what they are asked and to what is cancelled of that.
    pub(super) async fn start(url: &str, prefix: &str) -> Result<Self, async_nats::Error> {
        let client = async_nats::connect(url).await?;
        let mut calls = Vec::new();
        for (id, subject) in SAMPLES {
            for subject in [format!("{subject}.*"), format!("{prefix}.cancelled.{id}")] {
                let subscriber = client.subscribe(subject).await?;
                calls.push(subscriber.map(move |call| (id, call)));
            }
        }
        patterns::prepare();
        client.flush().await?;
        let (mood, now) = watch::channel(Default::default());
        let serving = tokio::spawn(serve(client, select_all(calls), now));
        Ok(Self {
            mood,
            _task: AbortOnDropHandle::new(serving),
        })
    }

    /// Breaks a sample, or repairs it: one that is `silent` takes requests and answers none, one that
    /// is `failing` answers errors, one that is `busy` says when to come back, one that is `slow`
    /// pauses between the pieces of an answer.
    pub(super) fn put(&self, id: &str, mood: &str) {
        self.mood.send_replace((id.to_owned(), mood.to_owned()));
    }
}

async fn serve(
    client: Client,
    mut calls: impl Stream<Item = (&'static str, Message)> + Unpin,
    mood: watch::Receiver<(String, String)>,
) {
    // Slow answers, by their call; dropped, one stops.
    let mut tales = HashMap::new();
    while let Some((id, mut call)) = calls.next().await {
        let headers = call.headers.as_ref();
        let call_id = headers.and_then(|headers| headers.get(CALL_ID));
        let call_id = call_id.map(ToString::to_string);
        let Some(inbox) = call.reply.take() else {
            // That call was cancelled.
            tales.remove(&call_id);
            continue;
        };
        let (ill, mood) = mood.borrow().clone();
        let messages = match mood.as_str() {
            "silent" if ill == id => continue,
            "failing" if ill == id => vec![error(500, "out of order")],
            "busy" if ill == id => vec![busy()],
            _ => answer(id, &call).await,
        };
        let slow = mood == "slow" && ill == id;
        let telling = tell(client.clone(), inbox, messages, slow);
        if slow {
            let tale = AbortOnDropHandle::new(tokio::spawn(telling));
            tales.retain(|_, tale: &mut AbortOnDropHandle<()>| !tale.is_finished());
            tales.insert(call_id, tale);
        } else {
            telling.await;
        }
    }
}

async fn tell(client: Client, inbox: Subject, messages: Vec<(Headers, String)>, slowly: bool) {
    for (headers, body) in messages {
        let headers = headers.into_iter().collect();
        let sent = client.publish_with_headers(inbox.clone(), headers, body.into());
        // A client that is gone has no more calls either.
        drop(sent.await);
        if slowly {
            sleep(LONGEST_PAUSE).await;
        }
    }
}

type Headers = Vec<(HeaderName, HeaderValue)>;

/// A document, or several as a stream: each is marked as a part of one, and the last is empty.
async fn answer(id: &str, call: &Message) -> Vec<(Headers, String)> {
    let Ok(request) = serde_json::from_slice::<Value>(&call.payload) else {
        return vec![error(400, "not a request that an extension can read")];
    };
    let pause = request.pointer("/config/latency_ms");
    let pause = pause.and_then(Value::as_u64);
    sleep(Duration::from_millis(pause.unwrap_or_default()).min(LONGEST_PAUSE)).await;
    let headers = call.headers.as_ref();
    let accept = headers.and_then(|headers| headers.get("Beamline-Accept"));
    let in_pieces = accept.is_some_and(|accept| accept.as_str() == "stream");
    let documents = samples::answer(id, &request, in_pieces).into_iter();
    let bodies = documents.map(|document| document.to_string());
    if bodies.len() == 1 {
        return bodies.map(|body| (Vec::new(), body)).collect();
    }
    let parts = bodies.map(|body| ("chunk", body));
    let parts = parts.chain([("end", String::new())]);
    let messages = parts.map(|(kind, body)| (vec![header("Beamline-Stream", kind)], body));
    messages.collect()
}

/// An error as NATS services reply it.
fn error(code: u16, text: &'static str) -> (Headers, String) {
    let code = header("Nats-Service-Error-Code", &code.to_string());
    let headers = vec![code, header("Nats-Service-Error", text)];
    (headers, json!({ "error": text }).to_string())
}

/// Push-back: nobody should call again before [`BUSY_MS`] are over.
fn busy() -> (Headers, String) {
    let (mut headers, body) = error(429, "busy");
    headers.push(header("Beamline-Retry-After-Ms", BUSY_MS));
    (headers, body)
}

fn header(name: &'static str, value: &str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from(value))
}
