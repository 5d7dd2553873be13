//! An extension: trims a text and makes it lower case; word by word for a caller that takes a stream.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "example")]

use async_nats::{Client, Error, HeaderMap, HeaderValue, Message};
use futures_util::{StreamExt, TryFutureExt, future::join_all};
use serde_json::{Value, from_slice, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Duration, sleep};

const ID: &str = "normalize_text";
const SUBJECT: &str = "beamline.ext.pre.normalize_text.v1";

async fn answer(nats: Client, request: Message) -> Result<(), Error> {
    let to = request.reply.ok_or("no reply subject")?;
    let reply = |head, body: String| nats.publish_with_headers(to.clone(), head, body.into());
    let mut head = HeaderMap::new();
    let body: Value = from_slice(&request.payload).unwrap_or_default();
    let Some(text) = body.pointer("/payload/text").and_then(Value::as_str) else {
        // 4xx is the caller's fault: it is not retried, and the circuit does not move.
        head.insert("Nats-Service-Error-Code", "422");
        head.insert("Nats-Service-Error", "no text");
        return Ok(reply(head, r#"{"error":"payload.text is missing"}"#.into()).await?);
    };
    let asked = request.headers.unwrap_or_default();
    if asked.get("Beamline-Accept") != Some(&HeaderValue::from("stream")) {
        let body = json!({"payload": {"text": text.trim().to_lowercase()}});
        return Ok(reply(head, body.to_string()).await?);
    }
    head.insert("Beamline-Stream", "chunk");
    for word in text.to_lowercase().split_whitespace() {
        reply(head.clone(), json!({"delta": word}).to_string()).await?;
        sleep(Duration::from_millis(100)).await; // This one works hard.
    }
    head.insert("Beamline-Stream", "end");
    Ok(reply(head, String::new()).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    let nats = async_nats::connect(setting("NATS_URL", "nats://127.0.0.1:4222")).await?;
    let cancelled = setting("SUBJECT_PREFIX", "beamline.registry") + ".cancelled." + ID;
    // A queue group, so that each request goes to one replica; a cancellation goes to all of them.
    let mut requests = nats.queue_subscribe(SUBJECT, ID.into()).await?;
    let mut cancellations = nats.subscribe(cancelled).await?;
    nats.flush().await?;
    println!("ready");

    let mut stop = signal(SignalKind::terminate())?;
    let mut calls = Vec::new(); // In hand: the headers and the task of each.
    loop {
        tokio::select! {
            _ = stop.recv() => requests.drain().await?, // No new calls; their stream ends.
            request = requests.next() => {
                let Some(request) = request else { break };
                let headers = request.headers.clone().unwrap_or_default();
                let call = answer(nats.clone(), request).inspect_err(|e| println!("failed: {e}"));
                calls.push((headers, tokio::spawn(call))); // The next one must not wait for it.
                calls.retain(|(_, call)| !call.is_finished());
            }
            Some(message) = cancellations.next() => {
                let named = message.headers.unwrap_or_default(); // A call, or one attempt of it.
                let Some(id) = named.get("Beamline-Call-Id") else { continue };
                for (headers, call) in &calls {
                    if named.iter().all(|(name, it)| headers.get(name.clone()) == it.first()) {
                        println!("cancelled {id}");
                        call.abort();
                    }
                }
            }
        }
    }
    join_all(calls.into_iter().map(|(_, call)| call)).await; // Those in hand are finished.
    Ok(nats.flush().await?)
}
