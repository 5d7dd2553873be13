//! A visitor at the registry: asks, shows, waits, and hears the events.

use std::time::Duration;

use async_nats::{Client, HeaderMap, HeaderValue, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::PATIENCE;
use crate::cli::demo::screen::Screen;

/// Between two looks at something that has not happened yet.
const PAUSE: Duration = Duration::from_millis(25);
/// For an event that what was just seen should have caused; it travels by itself.
const EVENT_PATIENCE: Duration = Duration::from_secs(1);

/// What takes an answer in pieces.
pub(super) const STREAMING: [(&str, &str); 1] = [("Beamline-Accept", "stream")];

/// A connection to the registry's server, as routers and operators have one.
#[derive(Debug)]
pub(in crate::cli::demo) struct Visit {
    pub(super) screen: Screen,
    prefix: String,
    client: Client,
    events: Subscriber,
}

impl Visit {
    /// Connects, and hears every event from now on.
    pub(super) async fn begin(screen: Screen, url: &str, prefix: &str) -> Result<Self, String> {
        let client = async_nats::connect(url).await.map_err(text)?;
        let events = client
            .subscribe(format!("{prefix}.events.>"))
            .await
            .map_err(text)?;
        // A message to oneself: when it is back, the server knows of the subscription before it.
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await.map_err(text)?;
        client.publish(inbox, Bytes::new()).await.map_err(text)?;
        next(&mut echo).await?;
        Ok(Self {
            screen,
            prefix: prefix.to_owned(),
            client,
            events,
        })
    }

    /// Asks until somebody answers: before that the server says that there is no responder. Each of
    /// the daemon's connections is asked, as they do not subscribe at the same moment.
    pub(super) async fn wait_until_served(&mut self) -> Result<(), String> {
        for (verb, payload) in [
            ("ping", ""),
            ("lookup", "normalize_text"),
            ("invoke.normalize_text", r#"{"payload":"","dry_run":true}"#),
        ] {
            self.until("the registry did not come up", verb, payload, is_served)
                .await?;
        }
        self.hear_that("registry_reloaded").await
    }

    /// Asks once, and shows request and reply.
    pub(super) async fn show(&mut self, verb: &str, payload: &str) -> Result<(), String> {
        let asked = Instant::now();
        let reply = self.ask(verb, payload).await?;
        if !is_served(&reply) {
            return Err(format!("nobody serves {}", self.subject(verb)));
        }
        self.tell(verb, payload, &reply, asked.elapsed());
        self.hear();
        Ok(())
    }

    /// Shows a request and the reply that it got.
    pub(super) fn tell(&self, verb: &str, payload: &str, reply: &Message, took: Duration) {
        self.screen.request(&self.subject(verb), payload);
        self.screen.reply(&headers(reply), &reply.payload, took);
    }

    /// Asks again and again until the reply is as `wanted`: that reply, the time it took, and how
    /// many were asked for. `otherwise` says what did not happen.
    pub(super) async fn until(
        &self,
        otherwise: &str,
        verb: &str,
        payload: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<(Message, Duration, usize), String> {
        let deadline = Instant::now() + PATIENCE;
        for asked in 1.. {
            let begun = Instant::now();
            let reply = self.ask(verb, payload).await?;
            if wanted(&reply) {
                return Ok((reply, begun.elapsed(), asked));
            }
            if Instant::now() > deadline {
                break;
            }
            sleep(PAUSE).await;
        }
        Err(otherwise.to_owned())
    }

    /// Asks for an answer in pieces and shows each as it comes; the last one is empty, or an error.
    pub(super) async fn show_stream(&mut self, verb: &str, payload: &str) -> Result<(), String> {
        self.screen
            .request_stream(&self.subject(verb), &STREAMING, payload);
        let asked = Instant::now();
        let mut headers_sent = HeaderMap::new();
        for (name, value) in STREAMING {
            headers_sent.insert(name, value);
        }
        let mut replies = self.send(verb, payload, headers_sent).await?;
        loop {
            let reply = next(&mut replies).await?;
            self.screen
                .reply(&headers(&reply), &reply.payload, asked.elapsed());
            if header(&reply, "Beamline-Stream") != Some("chunk") {
                return Ok(());
            }
        }
    }

    /// Shows the events of what has just been seen to happen.
    pub(super) async fn hear_of_it(&mut self) {
        if let Ok(Some(event)) = timeout(EVENT_PATIENCE, self.events.next()).await {
            self.screen.event(&event.subject, &event.payload);
        }
        self.hear();
    }

    /// Shows the events that have come meanwhile.
    fn hear(&mut self) {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            self.screen.event(&event.subject, &event.payload);
        }
    }

    /// Shows events up to one of this kind, which has to come.
    pub(super) async fn hear_that(&mut self, kind: &str) -> Result<(), String> {
        let wanted = format!("{}.events.{kind}", self.prefix);
        loop {
            let event = next(&mut self.events).await?;
            self.screen.event(&event.subject, &event.payload);
            if *event.subject == *wanted {
                return Ok(());
            }
        }
    }

    /// Shows events until the connection ends.
    pub(in crate::cli::demo) async fn listen(mut self) {
        while let Some(event) = self.events.next().await {
            self.screen.event(&event.subject, &event.payload);
        }
    }

    async fn ask(&self, verb: &str, payload: &str) -> Result<Message, String> {
        let mut replies = self.send(verb, payload, HeaderMap::new()).await?;
        next(&mut replies).await
    }

    async fn send(
        &self,
        verb: &str,
        payload: &str,
        headers: HeaderMap,
    ) -> Result<Subscriber, String> {
        let inbox = self.client.new_inbox();
        let replies = self.client.subscribe(inbox.clone()).await.map_err(text)?;
        let (subject, payload) = (self.subject(verb), payload.to_owned().into());
        let sending = self
            .client
            .publish_with_reply_and_headers(subject, inbox, headers, payload);
        sending.await.map_err(text)?;
        Ok(replies)
    }

    fn subject(&self, verb: &str) -> String {
        format!("{}.{verb}", self.prefix)
    }
}

/// Whether it was not the server that answered, for want of anybody else.
fn is_served(reply: &Message) -> bool {
    reply.status != Some(StatusCode::NO_RESPONDERS)
}

/// A header of a reply.
pub(super) fn header<'a>(reply: &'a Message, name: &str) -> Option<&'a str> {
    reply.headers.as_ref()?.get(name).map(HeaderValue::as_str)
}

/// A text in a reply's document, by JSON pointer.
pub(super) fn field(reply: &Message, pointer: &str) -> Option<String> {
    let document: Value = serde_json::from_slice(&reply.payload).ok()?;
    document.pointer(pointer)?.as_str().map(str::to_owned)
}

async fn next(messages: &mut Subscriber) -> Result<Message, String> {
    let next = timeout(PATIENCE, messages.next()).await;
    next.ok()
        .flatten()
        .ok_or_else(|| "no answer in time".to_owned())
}

/// All headers, in the order of their names.
fn headers(reply: &Message) -> Vec<(String, String)> {
    let headers = reply.headers.iter().flat_map(|headers| headers.iter());
    let mut headers: Vec<_> = headers
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    headers.sort();
    headers
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
