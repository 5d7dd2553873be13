//! A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
//!
//! ```text
//! lookup normalize_text
//! invoke {"id":"normalize_text","payload":{"text":" Hi "}}
//! stream {"id":"normalize_text","payload":{"text":"one two three"}}
//! cancel                                      (ends the last stream)
//! ```
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program of its own"
)]

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Error, HeaderMap, StatusCode};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

/// What a reply may take on its way.
const MARGIN: Duration = Duration::from_millis(500);

#[derive(Clone)]
struct Registry {
    nats: Client,
    prefix: String,
    /// Of the sidecar in this pod.
    instance_id: Option<String>,
    deadline: Duration,
}

impl Registry {
    /// Prints the replies to a request, with who gave them: the own sidecar, else one of the group.
    async fn ask(self, verb: &str, payload: String, headers: HeaderMap) -> Result<(), Error> {
        // It would be sent after the reconnect, when nobody waits any more.
        if self.nats.connection_state() != State::Connected {
            return Err("disconnected".into());
        }
        let prefix = &self.prefix;
        let mut subjects = vec![("group", format!("{prefix}.{verb}"))];
        if let Some(id) = self.instance_id.filter(|_| !verb.starts_with("all.")) {
            subjects.insert(0, ("local", format!("{prefix}.local.{id}.{verb}")));
        }
        let end = Instant::now() + self.deadline + MARGIN;
        for (via, subject) in subjects {
            let inbox = self.nats.new_inbox();
            // Not `Client::request`: it takes one reply, and leaks an entry when none comes.
            let mut replies = self.nats.subscribe(inbox.clone()).await?;
            let (headers, payload) = (headers.clone(), payload.clone().into());
            let sent = self
                .nats
                .publish_with_reply_and_headers(subject, inbox, headers, payload);
            sent.await?;
            loop {
                let reply = timeout_at(end, replies.next()).await?;
                let reply = reply.ok_or("disconnected")?;
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
}

/// Whose answer it is. An extension's own error says that the call was carried out.
fn kind(headers: &HeaderMap) -> String {
    let own = headers.get("Beamline-Extension-Error").is_some();
    let who = if own { "extension" } else { "registry" };
    let stream = headers.get("Beamline-Stream");
    match headers.get("Nats-Service-Error-Code") {
        Some(code) => format!("{who} {code}"),
        None => stream.map_or("ok".to_owned(), ToString::to_string),
    }
}

/// The lines of standard input.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lines().map_while(Result::ok);
        lines.try_for_each(|line| sender.blocking_send(line))
    });
    receiver
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    let url = setting("NATS_URL", "nats://127.0.0.1:4222");
    let deadline_ms: u64 = setting("DEADLINE_MS", "5000").parse()?;
    let options = ConnectOptions::new().retry_on_initial_connect();
    let registry = Registry {
        nats: options.connect(url).await?,
        prefix: setting("SUBJECT_PREFIX", "beamline.registry"),
        instance_id: std::env::var("INSTANCE_ID").ok(),
        deadline: Duration::from_millis(deadline_ms),
    };
    let (mut lines, calls, mut call) = (lines(), TaskTracker::new(), String::new());
    while let Some(line) = lines.recv().await {
        let (verb, payload) = line.split_once(' ').unwrap_or((&line, ""));
        let (mut verb, mut payload) = (verb.to_owned(), payload.to_owned());
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Deadline-Ms", deadline_ms.to_string()); // After it, the registry gives up too.
        if verb == "stream" {
            (verb, call) = ("invoke".into(), format!("{:016x}", rand::random::<u64>()));
            headers.insert("Beamline-Accept", "stream");
            headers.insert("Beamline-Call-Id", &*call);
        } else if verb == "cancel" {
            // Asks every sidecar; the one that has the call answers.
            (verb, payload) = ("all.cancel".into(), format!(r#"{{"call":"{call}"}}"#));
        }
        let registry = registry.clone();
        calls.spawn(async move {
            // After a timeout nobody knows whether a call was carried out: it is not repeated here.
            if let Err(error) = registry.ask(&verb, payload, headers).await {
                println!("failed {error}");
            }
        });
    }
    calls.close();
    calls.wait().await;
    Ok(registry.nats.flush().await?)
}
