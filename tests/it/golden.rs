//! `tests/golden`: one exchange per file, for clients in any language; see the README there.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::docs::layout::laid_out;
use crate::docs::{file, settle};
use crate::harness::{Client, Daemon, Extension, NatsServer, Reply};
use crate::played;

/// Where they are.
pub(crate) const FOLDER: &str = "tests/golden";

#[derive(Deserialize)]
struct Exchange {
    about: String,
    request: Box<RawValue>,
}

#[derive(Deserialize)]
struct Request {
    subject: String,
    payload: Option<Box<RawValue>>,
    text: Option<String>,
}

/// A daemon on the folder's fixtures, and whoever plays their extensions.
pub(crate) struct Golden {
    pub(crate) nats: NatsServer,
    _daemon: Daemon,
    _players: Vec<Extension>,
}

impl Golden {
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::start().await;
        let players = played::seeds(&nats.url()).await;
        let daemon = Daemon::builder()
            .nats(&nats.url())
            .fixtures(&file(FOLDER).join("fixtures"))
            .setting("SOURCE", "fixtures")
            .spawn()
            .await;
        daemon.wait_ready().await;
        Self {
            nats,
            _daemon: daemon,
            _players: players,
        }
    }
}

#[tokio::test]
async fn every_exchange_is_real() {
    let golden = Golden::start().await;
    let client = Client::connect(&golden.nats.url()).await;
    let mut files: Vec<_> = std::fs::read_dir(file(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    files.sort();
    assert!(files.len() > 20, "where are they? {files:?}");
    for name in files {
        let path = format!("{FOLDER}/{name}");
        let text = std::fs::read_to_string(file(&path)).unwrap();
        let exchange: Exchange = serde_json::from_str(&text).unwrap();
        let request: Request = serde_json::from_str(exchange.request.get()).unwrap();
        let payload = match (request.payload, request.text) {
            (Some(payload), None) => payload.get().to_owned(),
            (None, Some(text)) => text,
            _ => panic!("{name}: either a payload or a text"),
        };
        let reply = client.request(&request.subject, payload).await;
        settle(&path, &written(&exchange, &reply));
    }
}

/// The file as it should be, with everything in the order in which it came.
fn written(exchange: &Exchange, reply: &Reply) -> String {
    let about = json!(exchange.about);
    let request = exchange.request.get();
    let headers = json!(headers(reply));
    let body = std::str::from_utf8(&reply.payload).unwrap();
    let reply = format!(r#"{{"headers":{headers},"body":{body}}}"#);
    laid_out(&format!(
        r#"{{"about":{about},"request":{request},"reply":{reply}}}"#
    )) + "\n"
}

fn headers(reply: &Reply) -> Map<String, Value> {
    let headers = reply.headers.iter();
    headers
        .map(|(name, values)| (name.to_string(), json!(values[0].as_str())))
        .collect()
}
