//! A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
//!
//!     lookup normalize_text
//!     invoke {"id":"normalize_text","payload":{"text":" Hi "}}
//!     stream {"id":"normalize_text","payload":{"text":"one two three"}}
//!     cancel                                      (ends the last stream)
#![expect(clippy::print_stdout, reason = "a program of its own")]
#![expect(clippy::disallowed_methods, reason = "a program of its own")]

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Error, HeaderMap, StatusCode};
use futures_util::StreamExt;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or(default.to_owned())
}

/// Whose answer it is. An extension's own error says that the call was carried out.
fn kind(headers: &HeaderMap) -> String {
    let said = |name: &str| headers.get(name).map(ToString::to_string);
    let Some(code) = said("Nats-Service-Error-Code") else {
        return said("Beamline-Stream").unwrap_or("ok".into());
    };
    let own = said("Beamline-Extension-Error").is_some();
    format!("{} {code}", if own { "extension" } else { "registry" })
}

/// Prints each reply with its sender: the sidecar of this pod, else one of the group.
async fn ask(nats: Client, verb: String, payload: String, head: HeaderMap) -> Result<(), Error> {
    // It would be sent after the reconnect, when nobody waits any more.
    if nats.connection_state() != State::Connected {
        return Err("disconnected".into());
    }
    let prefix = setting("SUBJECT_PREFIX", "beamline.registry");
    let mut subjects = vec![("group", format!("{prefix}.{verb}"))];
    let one = !verb.starts_with("all.");
    if one && let Ok(id) = std::env::var("INSTANCE_ID") {
        subjects.insert(0, ("local", format!("{prefix}.local.{id}.{verb}")));
    }
    for (via, subject) in subjects {
        // Not `Client::request`: it takes one reply, and leaks an entry when none comes.
        let inbox = nats.new_inbox();
        let mut replies = nats.subscribe(inbox.clone()).await?;
        let (head, payload) = (head.clone(), payload.clone().into());
        nats.publish_with_reply_and_headers(subject, inbox, head, payload)
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
    let nats = async_nats::connect(setting("NATS_URL", "nats://127.0.0.1:4222")).await?;
    let deadline_ms: u64 = setting("DEADLINE_MS", "5000").parse()?;
    let patience = Duration::from_millis(deadline_ms + 500); // The last reply has to travel.
    let (calls, mut last) = (TaskTracker::new(), String::new());
    // This thread waits for lines; the calls run on others.
    for line in std::io::stdin().lines() {
        let line = line?;
        let (verb, payload) = line.split_once(' ').unwrap_or((&line, ""));
        let (mut verb, mut payload) = (verb.to_owned(), payload.to_owned());
        let mut head = HeaderMap::new();
        head.insert("Beamline-Deadline-Ms", deadline_ms.to_string()); // Then the registry gives up.
        if verb == "stream" {
            (verb, last) = ("invoke".into(), format!("{:016x}", rand::random::<u64>()));
            head.insert("Beamline-Accept", "stream");
            head.insert("Beamline-Call-Id", &*last);
        } else if verb == "cancel" {
            // Asks every sidecar; the one that has the call answers.
            (verb, payload) = ("all.cancel".into(), format!(r#"{{"call":"{last}"}}"#));
        }
        let call = timeout(patience, ask(nats.clone(), verb, payload, head));
        calls.spawn(async move {
            // After a timeout nobody knows whether a call was carried out: it is not repeated here.
            if let Err(error) = call.await.unwrap_or_else(|late| Err(late.into())) {
                println!("failed {error}");
            }
        });
    }
    calls.close();
    calls.wait().await;
    Ok(nats.flush().await?)
}
