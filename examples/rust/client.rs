//! A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
//!
//!     lookup normalize_text
//!     invoke {"id":"normalize_text","payload":{"text":" Hi "}}
//!     stream {"id":"normalize_text","payload":{"text":"one two three"}}
//!     cancel                                      (ends the last stream)
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "example")]

use async_nats::{Client, Error, HeaderMap, StatusCode, connection::State};
use futures_util::{StreamExt, TryFutureExt};
use tokio::time::{Duration, timeout};
use tokio_util::task::TaskTracker;

/// Whose answer it is. An extension's own error says that the call was carried out.
fn kind(headers: &HeaderMap) -> String {
    let said = |name: &str| headers.get(name).map(ToString::to_string);
    let who = said("Beamline-Extension-Error").map_or("registry", |_| "extension");
    match said("Nats-Service-Error-Code") {
        Some(code) => format!("{who} {code}"),
        None => said("Beamline-Stream").unwrap_or("ok".into()),
    }
}

/// Prints each reply with its sender: the sidecar of this pod, else one of the group.
async fn ask(nats: Client, verb: String, payload: String, head: HeaderMap) -> Result<(), Error> {
    if nats.connection_state() != State::Connected {
        return Err("disconnected".into()); // It would be sent later, when nobody waits any more.
    }
    let prefix = std::env::var("SUBJECT_PREFIX").unwrap_or("beamline.registry".into());
    let mut subjects = vec![("group", format!("{prefix}.{verb}"))];
    let one = !verb.starts_with("all.");
    if one && let Ok(id) = std::env::var("INSTANCE_ID") {
        subjects.insert(0, ("local", format!("{prefix}.local.{id}.{verb}")));
    }
    for (via, to) in subjects {
        // Not `Client::request`: it takes one reply, and leaks an entry when none comes.
        let inbox = nats.new_inbox();
        let mut replies = nats.subscribe(inbox.clone()).await?;
        nats.publish_with_reply_and_headers(to, inbox, head.clone(), payload.clone().into())
            .await?;
        while let Some(reply) = replies.next().await {
            if reply.status == Some(StatusCode::NO_RESPONDERS) {
                break; // Nobody is there, says the server at once; nothing was carried out.
            }
            let kind = kind(&reply.headers.unwrap_or_default());
            println!("{via} {kind} {}", String::from_utf8_lossy(&reply.payload));
            if kind != "chunk" {
                return Ok(());
            }
        }
    }
    Err("no responders".into())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = std::env::var("NATS_URL").unwrap_or("nats://127.0.0.1:4222".into());
    let deadline_ms = std::env::var("DEADLINE_MS").unwrap_or("5000".into());
    let wait = Duration::from_millis(deadline_ms.parse::<u64>()? + 500); // A reply has to travel.
    let nats = async_nats::connect(url).await?;
    let (calls, mut last) = (TaskTracker::new(), String::new());
    for line in std::io::stdin().lines() {
        let line = line?; // This thread waits for it; the calls run on others.
        let (verb, payload) = line.split_once(' ').unwrap_or((&line, ""));
        let (mut verb, mut payload) = (verb.to_owned(), payload.to_owned());
        let mut head = HeaderMap::new();
        head.insert("Beamline-Deadline-Ms", &*deadline_ms); // Then the registry gives up, too.
        if verb == "stream" {
            (verb, last) = ("invoke".into(), format!("{:016x}", rand::random::<u64>()));
            head.insert("Beamline-Accept", "stream");
            head.insert("Beamline-Call-Id", &*last);
        } else if verb == "cancel" {
            // Asks every sidecar; the one that has the call answers.
            (verb, payload) = ("all.cancel".into(), format!(r#"{{"call":"{last}"}}"#));
        }
        // After a timeout nobody knows whether a call was carried out: it is not repeated here.
        let call = timeout(wait, ask(nats.clone(), verb, payload, head))
            .unwrap_or_else(|late| Err(late.into()))
            .inspect_err(|error| println!("failed {error}"));
        calls.spawn(call);
    }
    calls.close();
    calls.wait().await;
    Ok(nats.flush().await?)
}
