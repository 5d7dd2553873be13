//! `examples/`: in each language an extension and a router's side, with its official client library;
//! Erlang has none and brings its own.
//!
//! - the golden exchanges pass through both: the extension plays `normalize_text`, the client asks;
//! - a stream, a deadline and a cancellation, and whose error an error is;
//! - a router that calls by itself and sends no headers, bodies that nobody expects, and cancellations
//!   that name no call;
//! - both go on while sidecars and the NATS server come and go, and finish what is in hand at the end.
//!
//! Run where a language's tools are, which `just test` installs (`scripts/examples`); with
//! `BEAMLINE_EXAMPLES=required`, what `.ci/run` sets, a missing one is a fault.

mod language;
mod session;

use std::time::Duration;

use async_nats::{HeaderMap, Subscriber};
use futures_util::StreamExt;
use serde_json::{Value, json};

use self::language::Language;
use self::session::Session;
use crate::docs::{file, volatile};
use crate::golden::FOLDER;
use crate::harness::{Client, DEADLINE, Daemon, NatsServer, Process, eventually};
use crate::played;

/// What the extensions of all languages play.
const PLAYED: &str = "beamline.ext.pre.normalize_text.v1";

/// The same tests for each language.
macro_rules! languages {
    ($($name:ident: $language:expr;)*) => { $(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn golden_exchanges_pass() {
                if $language.is_here() {
                    golden_exchanges($language).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn streams_end_at_deadlines_and_when_cancelled() {
                if $language.is_here() {
                    streams_and_errors($language).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn unusual_messages_get_an_answer_and_end_nothing() {
                if $language.is_here() {
                    unusual_messages($language).await;
                }
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn both_outlive_sidecars_and_servers_and_finish_what_is_in_hand() {
                if $language.is_here() {
                    outliving($language).await;
                }
            }
        }
    )* };
}

languages! {
    python: Language::Python;
    javascript: Language::JavaScript;
    go: Language::Go;
    erlang: Language::Erlang;
    rust: Language::Rust;
}

/// A sidecar on the golden fixtures, whose extensions have time enough for a busy machine.
async fn sidecar(nats: &NatsServer, instance_id: &str) -> Daemon {
    let daemon = Daemon::builder()
        .nats(&nats.url())
        .fixtures(&file(FOLDER).join("fixtures"))
        .setting("SOURCE", "fixtures")
        .setting("INSTANCE_ID", instance_id)
        .spawn()
        .await;
    daemon.wait_ready().await;
    daemon
}

async fn golden_exchanges(language: Language) {
    let nats = NatsServer::start().await;
    let _others = played::all_but(PLAYED, &nats.url()).await;
    let _extension = language.extension(&nats.url()).await;
    let _daemon = sidecar(&nats, "pod-1").await;
    let mut client = language.client(&nats.url(), &[]).await;
    let mut passed = 0;
    for entry in std::fs::read_dir(file(FOLDER)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let exchange: Value = serde_json::from_str(&text).unwrap();
        let request = &exchange["request"];
        let subject = request["subject"].as_str().unwrap();
        let verb = subject.strip_prefix("beamline.registry.").unwrap();
        let payload = match request["text"].as_str() {
            Some(text) => text.to_owned(),
            None => request["payload"].to_string(),
        };
        let said = client.ask(&format!("{verb} {payload}")).await;
        let (headers, body) = (&exchange["reply"]["headers"], &exchange["reply"]["body"]);
        let expected = match headers["Nats-Service-Error-Code"].as_str() {
            None => "ok".to_owned(),
            Some(code) if headers["Beamline-Extension-Error"].is_null() => {
                format!("registry {code}")
            }
            Some(code) => format!("extension {code}"),
        };
        assert_eq!(said.kind, expected, "{}: {said:?}", path.display());
        let same = alike(body, &said.json());
        assert!(same, "{}: {body} is not {said:?}", path.display());
        passed += 1;
    }
    assert!(passed > 20, "where are they? {passed}");
}

/// Whether `real` is what the file says, whose mark stands for anything.
fn alike(file: &Value, real: &Value) -> bool {
    match (file, real) {
        (Value::String(mark), _) if mark == volatile::MARK => !real.is_null(),
        (Value::Object(file), Value::Object(real)) => {
            let same = |(name, value): (&String, &Value)| {
                real.get(name).is_some_and(|real| alike(value, real))
            };
            file.len() == real.len() && file.iter().all(same)
        }
        (Value::Array(file), Value::Array(real)) => {
            file.len() == real.len() && file.iter().zip(real).all(|(file, real)| alike(file, real))
        }
        _ => file == real,
    }
}

async fn streams_and_errors(language: Language) {
    let nats = NatsServer::start().await;
    let extension = language.extension(&nats.url()).await;
    let _daemon = sidecar(&nats, "pod-1").await;
    let mut client = language.client(&nats.url(), &[]).await;

    // Whose error it is.
    let own = client.ask(&call("invoke", json!({}))).await;
    assert_eq!(
        (&*own.via, &*own.kind),
        ("local", "extension 422"),
        "{own:?}"
    );
    let ours = client.ask(r#"invoke {"id":"nobody","payload":{}}"#).await;
    assert_eq!(ours.kind, "registry 503", "{ours:?}");
    assert_eq!(ours.json()["error"]["details"]["reason"], "no_responders");

    // To its end.
    let stream = client
        .whole(&call("stream", json!({"text": "One two"})))
        .await;
    let kinds: Vec<_> = stream.iter().map(|said| said.kind.as_str()).collect();
    assert_eq!(kinds, ["chunk", "chunk", "end"]);
    assert_eq!(stream[0].json(), json!({"delta": "one"}));

    // Ended by somebody: both sides hear of it.
    let long = call("stream", json!({"text": "word ".repeat(200)}));
    client.send(&long).await;
    assert_eq!(client.next().await.kind, "chunk");
    client.send("cancel").await;
    let mut ends = Vec::new();
    while ends.len() < 2 {
        let said = client.next().await;
        ends.extend((said.kind != "chunk").then_some(said.kind));
    }
    ends.sort();
    assert_eq!(
        ends,
        ["ok", "registry 499"],
        "the order to cancel, and the stream"
    );
    wait_line(&extension, "cancelled ").await;

    // Ended by the caller's own deadline.
    let mut hasty = language
        .client(&nats.url(), &[("DEADLINE_MS", "300")])
        .await;
    // For a last reply that is half a second late it does not wait.
    let last = eventually("the registry ends it", DEADLINE, async || {
        let last = hasty.whole(&long).await.pop().unwrap();
        match last.kind.as_str() {
            "registry 504" => Ok(last),
            _ => Err(last),
        }
    })
    .await;
    assert_eq!(last.json()["error"]["code"], "deadline_exceeded");
}

async fn unusual_messages(language: Language) {
    let nats = NatsServer::start().await;
    let _extension = language.extension(&nats.url()).await;
    let client = Client::connect(&nats.url()).await;
    // Without a reply subject: there is no answer, and the next message has one.
    let sent = client.nats().publish(PLAYED, "{}".into());
    sent.await.unwrap();
    for (body, code) in [
        (r#"{"payload":{"text":" Hello "}}"#, None),
        (r#"{"payload":{"text":7}}"#, Some("422")),
        (r#"{"payload":["text"]}"#, Some("422")),
        (r#"{"payload":null}"#, Some("422")),
        ("{}", Some("422")),
        ("[]", Some("422")),
        ("null", Some("422")),
        ("no json", Some("422")),
        ("", Some("422")),
    ] {
        let reply = client.request(PLAYED, body).await;
        assert_eq!(
            reply.header("Nats-Service-Error-Code"),
            code,
            "{body}: {reply:?}"
        );
    }

    let nats = client.nats();
    let headers = |name: &str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        headers
    };
    let inbox = nats.new_inbox();
    let mut pieces = nats.subscribe(inbox.clone()).await.unwrap();
    let stream = headers("Beamline-Accept", "stream");
    let body = r#"{"payload":{"text":"a b c d e f"}}"#.into();
    let sent = nats.publish_with_reply_and_headers(PLAYED, inbox, stream, body);
    sent.await.unwrap();
    assert_eq!(piece(&mut pieces).await, "chunk");
    let cancelled = "beamline.registry.cancelled.normalize_text";
    let other = headers("Other", "1");
    nats.publish(cancelled, "".into()).await.unwrap();
    let sent = nats.publish_with_headers(cancelled, other, "".into());
    sent.await.unwrap();
    for _ in 1..6 {
        assert_eq!(piece(&mut pieces).await, "chunk");
    }
    assert_eq!(piece(&mut pieces).await, "end");
}

/// What the next message of a stream is.
async fn piece(pieces: &mut Subscriber) -> String {
    let message = tokio::time::timeout(DEADLINE, pieces.next()).await;
    let message = message.expect("a piece").unwrap();
    let headers = message.headers.unwrap_or_default();
    headers.get("Beamline-Stream").unwrap().to_string()
}

async fn outliving(language: Language) {
    let mut nats = NatsServer::start().await;
    let extension = language.extension(&nats.url()).await;
    let one = sidecar(&nats, "pod-1").await;
    let two = sidecar(&nats, "pod-2").await;
    let mut client = language.client(&nats.url(), &[]).await;

    served(&mut client, "local").await;
    one.sigkill();
    served(&mut client, "group").await;
    two.sigkill();
    let hello = call("invoke", json!({"text": "hello"}));
    eventually("nobody is there", DEADLINE, async || {
        let said = client.ask(&hello).await;
        said.line
            .contains("no responders")
            .then_some(())
            .ok_or(said)
    })
    .await;
    let _one = sidecar(&nats, "pod-1").await;
    served(&mut client, "local").await;

    nats.stop().await;
    let said = client.ask(&hello).await;
    assert_eq!(said.via, "failed", "{said:?}");
    nats.start_again().await;
    served(&mut client, "local").await;

    // The end of the extension, in the midst of a stream: that one is finished, and no other begun.
    client
        .send(&call("stream", json!({"text": "a b c d e f"})))
        .await;
    assert_eq!(client.next().await.kind, "chunk");
    extension.signal("TERM");
    let mut chunks = 1;
    let end = loop {
        let said = client.next().await;
        match said.kind.as_str() {
            "chunk" => chunks += 1,
            _ => break said,
        }
    };
    assert_eq!((chunks, &*end.kind), (6, "end"), "{end:?}");
    assert_eq!(extension.wait_exit(DEADLINE).await, 0);
    // The server may take a moment to see that its connection is closed.
    eventually("no call is taken", DEADLINE, async || {
        let said = client.ask(&hello).await;
        match said.kind == "registry 503" && said.line.contains("no_responders") {
            true => Ok(()),
            false => Err(said),
        }
    })
    .await;
    assert_eq!(client.close().await, Some(0));
}

/// Waits until a call is served, by whom it should be.
async fn served(client: &mut Session, via: &str) {
    let hello = call("invoke", json!({"text": " Hello "}));
    // The longest pause of a client between two connections is on top.
    eventually(via, DEADLINE + Duration::from_secs(10), async || {
        let said = client.ask(&hello).await;
        match (said.via == via, said.kind.as_str()) {
            (true, "ok") => {
                assert_eq!(said.json(), json!({"payload": {"text": "hello"}}));
                Ok(())
            }
            _ => Err(said),
        }
    })
    .await;
}

/// A line that asks for `normalize_text`.
fn call(verb: &str, payload: Value) -> String {
    format!(
        "{verb} {}",
        json!({"id": "normalize_text", "payload": payload})
    )
}

async fn wait_line(process: &Process, start: &str) {
    let found = process.wait_line(start, DEADLINE, |line| {
        line.starts_with(start).then_some(())
    });
    found.await.unwrap();
}
