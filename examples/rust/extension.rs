//! An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program of its own"
)]

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Error, HeaderMap, Message};
use futures_util::StreamExt;
use serde_json::{Value, from_slice, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{self, Receiver};
use tokio_util::task::TaskTracker;

const ID: &str = "normalize_text";
const SUBJECT: &str = "beamline.ext.pre.normalize_text.v1";
/// Between two words of a stream: this one works hard.
const PAUSE: Duration = Duration::from_millis(100);

async fn answer(client: &Client, request: &Message) -> Result<(), Error> {
    let body: Value = from_slice(&request.payload)?;
    let Some(text) = body.pointer("/payload/text").and_then(Value::as_str) else {
        // 4xx is the caller's fault: it is not retried, and the circuit does not move.
        let error = [
            ("Nats-Service-Error-Code", "422"),
            ("Nats-Service-Error", "no text"),
        ];
        let body = json!({"error": "payload.text is missing"});
        return reply(client, request, body.to_string(), &error).await;
    };
    let text = text.trim().to_lowercase();
    if header(request, "Beamline-Accept") != Some("stream") {
        return reply(
            client,
            request,
            json!({"payload": {"text": text}}).to_string(),
            &[],
        )
        .await;
    }
    for word in text.split_whitespace() {
        let body = json!({"delta": word}).to_string();
        reply(client, request, body, &[("Beamline-Stream", "chunk")]).await?;
        tokio::time::sleep(PAUSE).await;
    }
    reply(
        client,
        request,
        String::new(),
        &[("Beamline-Stream", "end")],
    )
    .await
}

async fn reply(
    client: &Client,
    request: &Message,
    body: String,
    fields: &[(&str, &str)],
) -> Result<(), Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.insert(*name, *value);
    }
    let to = request.reply.clone().ok_or("no reply subject")?;
    Ok(client
        .publish_with_headers(to, headers, body.into())
        .await?)
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}

/// Waits for a cancellation of this request: of its call, or of this attempt alone.
async fn cancelled(request: &Message, mut news: Receiver<Message>) {
    loop {
        let Ok(message) = news.recv().await else {
            continue;
        };
        let same = |name| header(&message, name) == header(request, name);
        let whole = header(&message, "Beamline-Attempt").is_none();
        if same("Beamline-Call-Id") && (whole || same("Beamline-Attempt")) {
            let call = header(request, "Beamline-Call-Id");
            return println!("cancelled {}", call.unwrap_or_default());
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    let url = setting("NATS_URL", "nats://127.0.0.1:4222");
    let client = ConnectOptions::new()
        .retry_on_initial_connect()
        .connect(url)
        .await?;
    let prefix = setting("SUBJECT_PREFIX", "beamline.registry");
    // A queue group, so that each request goes to one replica; a cancellation goes to all of them.
    let mut requests = client.queue_subscribe(SUBJECT, ID.to_owned()).await?;
    let mut cancellations = client.subscribe(format!("{prefix}.cancelled.{ID}")).await?;
    client.flush().await?;
    println!("ready");

    let (news, _) = broadcast::channel(64);
    let (teller, calls) = (news.clone(), TaskTracker::new());
    tokio::spawn(async move {
        while let Some(message) = cancellations.next().await {
            let _nobody_listens = teller.send(message);
        }
    });
    let mut stop = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = stop.recv() => requests.drain().await?, // No new calls; its stream ends.
            request = requests.next() => {
                let Some(request) = request else { break };
                let (client, news) = (client.clone(), news.subscribe());
                calls.spawn(async move {
                    tokio::select! {
                        answered = answer(&client, &request) => {
                            answered.unwrap_or_else(|error| println!("failed: {error}"));
                        }
                        () = cancelled(&request, news) => {}
                    }
                });
            }
        }
    }
    calls.close();
    calls.wait().await; // Those in hand are finished.
    Ok(client.flush().await?)
}
