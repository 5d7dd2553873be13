//! An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.
#![expect(clippy::print_stdout, reason = "a program of its own")]
#![expect(clippy::disallowed_methods, reason = "a program of its own")]

use std::time::Duration;

use async_nats::{Client, Error, HeaderMap, HeaderValue, Message};
use futures_util::{StreamExt, TryFutureExt, future::join_all};
use serde_json::{Value, from_slice, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

const ID: &str = "normalize_text";
const SUBJECT: &str = "beamline.ext.pre.normalize_text.v1";

async fn answer(client: Client, request: Message) -> Result<(), Error> {
    let to = request.reply.ok_or("no reply subject")?;
    let reply = |head, body: String| client.publish_with_headers(to.clone(), head, body.into());
    let mut head = HeaderMap::new();
    let body: Value = from_slice(&request.payload)?;
    let Some(text) = body.pointer("/payload/text").and_then(Value::as_str) else {
        // 4xx is the caller's fault: it is not retried, and the circuit does not move.
        head.insert("Nats-Service-Error-Code", "422");
        head.insert("Nats-Service-Error", "no text");
        return Ok(reply(head, r#"{"error":"payload.text is missing"}"#.into()).await?);
    };
    let headers = request.headers.unwrap_or_default();
    let accept = headers.get("Beamline-Accept").map(HeaderValue::as_str);
    if accept != Some("stream") {
        let body = json!({"payload": {"text": text.trim().to_lowercase()}});
        return Ok(reply(head, body.to_string()).await?);
    }
    head.insert("Beamline-Stream", "chunk");
    for word in text.to_lowercase().split_whitespace() {
        reply(head.clone(), json!({"delta": word}).to_string()).await?;
        tokio::time::sleep(Duration::from_millis(100)).await; // This one works hard.
    }
    head.insert("Beamline-Stream", "end");
    Ok(reply(head, String::new()).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    let client = async_nats::connect(setting("NATS_URL", "nats://127.0.0.1:4222")).await?;
    let prefix = setting("SUBJECT_PREFIX", "beamline.registry");
    // A queue group, so that each request goes to one replica; a cancellation goes to all of them.
    let mut requests = client.queue_subscribe(SUBJECT, ID.into()).await?;
    let mut cancellations = client.subscribe(format!("{prefix}.cancelled.{ID}")).await?;
    client.flush().await?;
    println!("ready");

    let mut stop = signal(SignalKind::terminate())?;
    let mut calls: Vec<(HeaderMap, JoinHandle<_>)> = Vec::new(); // In hand, with their headers.
    loop {
        tokio::select! {
            _ = stop.recv() => requests.drain().await?, // No new calls; their stream ends.
            request = requests.next() => {
                let Some(request) = request else { break };
                calls.retain(|(_, call)| !call.is_finished());
                let headers = request.headers.clone().unwrap_or_default();
                let call = answer(client.clone(), request);
                let call = call.inspect_err(|error| println!("failed: {error}"));
                calls.push((headers, tokio::spawn(call))); // The next one must not wait for it.
            }
            Some(message) = cancellations.next() => {
                let named = message.headers.unwrap_or_default();
                let Some(id) = named.get("Beamline-Call-Id") else { continue };
                let whole = named.get("Beamline-Attempt").is_none(); // Not one attempt of it.
                for (headers, call) in &calls {
                    let same = |name: &str| headers.get(name) == named.get(name);
                    if same("Beamline-Call-Id") && (whole || same("Beamline-Attempt")) {
                        println!("cancelled {id}");
                        call.abort();
                    }
                }
            }
        }
    }
    join_all(calls.into_iter().map(|(_, call)| call)).await; // Those in hand are finished.
    Ok(client.flush().await?)
}
