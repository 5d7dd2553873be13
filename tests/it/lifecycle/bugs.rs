//! A message that nobody can read. CASES.md B1 and B2.
//!
//! A lookup's costs itself. Where the client library reads, it ends the task of the connection, which is
//! made anew, until that is ours as well.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::daemon::field;
use crate::harness::{Behaviour, DEADLINE, Extension, eventually};
use crate::site::{Site, extensions, subject};

const PATIENCE: Duration = Duration::from_millis(500);
const RESTARTS: &str = "extension_registry_nats_restarts_total";

/// Publishes to `subject` a message that the client library panics at.
async fn poison(site: &Site, subject: &str) {
    publish(site, subject, b"NATS/1.0\r\nX: a\rb\r\n\r\n").await;
}

/// Where answers to [`publish`] go.
const REPLIES: &str = "_INBOX.raw";

/// Publishes `plain` under `headers`, which the official client would not send.
async fn publish(site: &Site, subject: &str, headers: &[u8]) {
    let (block, whole) = (headers.len(), headers.len() + "plain".len());
    let begin = format!(
        "CONNECT {{\"headers\":true,\"verbose\":false}}\r\n\
         HPUB {subject} {REPLIES} {block} {whole}\r\n"
    );
    let bytes = [begin.as_bytes(), headers, b"plain\r\nPING\r\n"].concat();
    let mut stream = TcpStream::connect(site.nats.addr()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut said = Vec::new();
    // The server has passed it on when it answers.
    while !String::from_utf8_lossy(&said).contains("PONG") {
        assert!(stream.read_buf(&mut said).await.unwrap() > 0, "{said:?}");
    }
}

async fn answers(site: &Site, rest: &str, payload: &str) {
    eventually("it answers again", DEADLINE, async || {
        let subject = subject(rest);
        let reply = site
            .client
            .try_request(&subject, payload.to_owned(), PATIENCE)
            .await;
        reply.is_some_and(|reply| !reply.is_no_responders())
    })
    .await;
}

#[tokio::test]
async fn a_lookup_whose_headers_cannot_be_read_is_refused_and_nobody_else_notices() {
    let (site, daemon) = Site::served().await;
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let mut replies = client.subscribe(REPLIES).await.unwrap();
    client.flush().await.unwrap();
    for headers in [
        &b"NATS/1.0\r\nX: a\rb\r\n\r\n"[..],
        b"NATS/1.0\r\nX: a\nb\r\n\r\n",
        b"NATS/1.0\r\nX: caf\xe9\r\n\r\n",
        b"NATS/1.0\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\nX Y: 1\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"NATS/1.0\r\n",
    ] {
        publish(&site, &subject("lookup"), headers).await;
        let reply = timeout(DEADLINE, replies.next())
            .await
            .expect("a reply")
            .unwrap();
        let codes = reply.headers.unwrap();
        let code = codes.get("Nats-Service-Error-Code").unwrap();
        assert_eq!(code.as_str(), "400", "{}", headers.escape_ascii());
        assert_eq!(site.send("lookup", "plain").await.ok()["id"], "plain");
    }
    assert_eq!(super::metric(&daemon, RESTARTS).await, Some(0.0));
    assert_eq!(
        super::metric(&daemon, "extension_registry_nats_up").await,
        Some(1.0)
    );
}

#[tokio::test]
async fn a_connection_whose_task_dies_is_made_anew() {
    let (site, daemon) = Site::served().await;
    let dry = json!({"id": "plain", "payload": {}, "dry_run": true}).to_string();
    let mut restarts = 0.0;
    for (rest, payload) in [("get", "plain"), ("invoke", &*dry)] {
        for _ in 0..2 {
            poison(&site, &subject(rest)).await;
            restarts += 1.0;
            eventually("a connection is made anew", DEADLINE, async || {
                super::metric(&daemon, RESTARTS).await == Some(restarts)
            })
            .await;
            answers(&site, rest, payload).await;
        }
    }
    eventually("all links are up", DEADLINE, async || {
        super::metric(&daemon, "extension_registry_nats_up").await == Some(1.0)
    })
    .await;
    answers(&site, "stats", "").await;
    let pong = site.client.request("$SRV.PING.beamline-registry", "").await;
    assert!(!pong.is_no_responders(), "discovery is back, too");
    let at = |entry: &Value| Some(field(entry, "at")?.as_str()?.to_owned());
    let at = daemon.wait_log("where it panicked", at).await;
    assert!(
        at.contains("header.rs") || at.contains("async-nats"),
        "{at}"
    );
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

#[tokio::test]
async fn calls_under_way_end_as_with_a_lost_link() {
    let mut record = extensions()[0].clone();
    record["timeout_ms"] = json!(20_000);
    let (site, daemon) = Site::serving(&json!([record])).await;
    let (url, at) = (site.nats.url(), record["subject"].as_str().unwrap());
    let x = Extension::at(&url, at, Behaviour::silent()).await;
    let call = json!({"id": "plain", "payload": {}});
    let poisoned = async {
        x.wait_count(1).await;
        poison(&site, &subject("invoke")).await;
    };
    let (reply, ()) = tokio::join!(site.ask("invoke", &call), poisoned);
    assert_eq!(reply.error(), (503, "extension_unavailable".to_owned()));
    assert_eq!(reply.details()["reason"], "link_down");
    x.behave(Behaviour::Echo);
    eventually("calls are made again", DEADLINE, async || {
        let body = call.to_string();
        let reply = site
            .client
            .try_request(&subject("invoke"), body, PATIENCE)
            .await;
        reply.is_some_and(|reply| reply.header("Beamline-Extension-Id") == Some("plain"))
    })
    .await;
    assert_eq!(daemon.exit_code(), None);
}
