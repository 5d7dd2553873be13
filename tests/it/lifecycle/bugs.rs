//! A message that nobody can read costs itself: on every lane, as a request and as an extension's
//! reply. CASES.md B1 and B2.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::raw::{MALFORMED, publish_raw};
use crate::harness::{DEADLINE, Daemon, settled};
use crate::site::{Site, extensions, subject};

/// Where answers to raw requests go.
const REPLIES: &str = "_INBOX.raw";

async fn nobody_noticed(daemon: &Daemon) {
    for (metric, value) in [
        ("extension_registry_nats_restarts_total", 0.0),
        ("extension_registry_nats_up", 1.0),
    ] {
        assert_eq!(super::metric(daemon, metric).await, Some(value), "{metric}");
    }
}

#[tokio::test]
async fn a_request_whose_headers_cannot_be_read_is_refused_and_nobody_else_notices() {
    let (site, daemon) = Site::served().await;
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let mut replies = client.subscribe(REPLIES).await.unwrap();
    settled(&client).await;
    for verb in ["lookup", "invoke", "get", "list", "report", "as.me.update"] {
        for headers in MALFORMED {
            let to = subject(verb);
            publish_raw(&site.nats.addr(), &to, Some(REPLIES), headers, b"plain").await;
            let reply = timeout(DEADLINE, replies.next()).await.expect("a reply");
            let codes = reply.unwrap().headers.unwrap();
            let code = codes.get("Nats-Service-Error-Code").unwrap();
            let shown = headers.escape_ascii();
            assert_eq!(code.as_str(), "400", "{verb} {shown}");
        }
        assert_eq!(site.send("lookup", "plain").await.ok()["id"], "plain");
    }
    let dry = json!({"id": "plain", "payload": {}, "dry_run": true});
    assert_eq!(site.ask("invoke", &dry).await.ok()["dry_run"], true);
    assert_eq!(site.send("get", "plain").await.ok()["id"], "plain");
    nobody_noticed(&daemon).await;
}

#[tokio::test]
async fn a_reply_whose_headers_cannot_be_read_is_that_attempts_failure_and_nobody_else_notices() {
    let mut record = extensions()[0].clone();
    record["timeout_ms"] = json!(20_000);
    let (site, daemon) = Site::serving(&json!([record])).await;
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let at = record["subject"].as_str().unwrap().to_owned();
    let mut requests = client.subscribe(at).await.unwrap();
    settled(&client).await;
    for block in MALFORMED {
        let call = |n: u32| json!({"id": "plain", "payload": {"n": n}});
        let answering = async {
            for _ in 0..2 {
                let request = requests.next().await.unwrap();
                let to = request.reply.unwrap();
                let body: Value = serde_json::from_slice(&request.payload).unwrap();
                match body["payload"]["n"].as_u64() {
                    Some(1) => publish_raw(&site.nats.addr(), &to, None, block, b"{}").await,
                    _ => client.publish(to, "{}".into()).await.unwrap(),
                }
            }
            client.flush().await.unwrap();
        };
        let (first, second) = (call(1), call(2));
        let (bad, good, ()) = tokio::join!(
            site.ask("invoke", &first),
            site.ask("invoke", &second),
            answering
        );
        let shown = block.escape_ascii();
        assert_eq!(bad.error(), (502, "extension_error".to_owned()), "{shown}");
        assert_eq!(good.ok(), json!({}), "{shown}");
    }
    let health = site.send("health", "plain").await.ok();
    let failures = health["health"]["failure_count"].as_u64();
    assert_eq!(failures, Some(MALFORMED.len() as u64), "{health}");
    nobody_noticed(&daemon).await;
}
