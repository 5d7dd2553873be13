//! CASES.md B4: headers are found by their exact name, else in any case.

use async_nats::HeaderMap;
use serde_json::json;

use super::played;
use crate::harness::{Answer, Behaviour, Extension};
use crate::rig::Rig;
use crate::site::{Site, subject};

/// Ways in which senders write a name.
fn spellings(name: &str) -> [String; 3] {
    [name.to_owned(), name.to_lowercase(), name.to_uppercase()]
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, *value);
    }
    headers
}

#[tokio::test]
async fn requests_may_write_names_in_any_case() {
    let (site, _daemon, extension) = played().await;
    let call = async |pairs: &[(&str, &str)]| {
        let body = r#"{"id":"plain","payload":{}}"#;
        let client = &site.client;
        client
            .request_with_headers(&subject("invoke"), headers(pairs), body)
            .await
            .ok();
        extension.last()
    };
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (deadline, accept) in spellings("Beamline-Deadline-Ms")
        .iter()
        .zip(&spellings("Beamline-Accept"))
    {
        let received = call(&[
            (deadline, "15000"),
            (accept, "stream"),
            ("TraceParent", parent),
        ])
        .await;
        let left: u64 = received
            .header("Beamline-Deadline-Ms")
            .unwrap()
            .parse()
            .unwrap();
        assert!(left <= 15_000, "{deadline}: {left}");
        assert_eq!(
            received.header("Beamline-Accept"),
            Some("stream"),
            "{accept}"
        );
        let traceparent = received.header("traceparent").unwrap();
        assert!(
            traceparent.contains("0af7651916cd43dd8448eb211c80319c"),
            "{traceparent}"
        );
    }
    // The exact name counts before others.
    let received = call(&[("beamline-accept", "stream"), ("Beamline-Accept", "whole")]).await;
    assert_eq!(received.header("Beamline-Accept"), None);
}

#[tokio::test]
async fn an_actor_is_audited_whatever_the_case_of_its_header() {
    let rig = Rig::start().await;
    let daemon = rig.daemon().spawn().await;
    daemon.wait_ready().await;
    for (name, n) in spellings("Beamline-Actor").iter().zip(0..) {
        let body =
            json!({"id": format!("x{n}"), "type": "pre", "subject": format!("beamline.ext.x{n}")});
        let client = &rig.client;
        let (subject, headers) = (subject("create"), headers(&[(name, "alice")]));
        let created = client.request_with_headers(&subject, headers, body.to_string());
        assert_eq!(created.await.ok()["created_by"], "alice", "{name}");
    }
    let audit = rig.ask("audit", &json!({})).await.ok();
    for entry in audit["entries"].as_array().unwrap() {
        assert_eq!(
            (&entry["changed_by"], &entry["actor_source"]),
            (&json!("alice"), &json!("header"))
        );
    }
}

#[tokio::test]
async fn extensions_may_write_names_in_any_case() {
    let fixtures = json!([{"id": "x", "type": "pre", "subject": "beamline.ext.x", "retry": 0,
        "circuit_breaker": {"failure_threshold": 1, "timeout_seconds": 600}}]);
    for name in [
        "Nats-Service-Error-Code",
        "nats-service-error-code",
        "NATS-SERVICE-ERROR-CODE",
    ] {
        let (site, _daemon) = Site::serving(&fixtures).await;
        let answer = Answer::new("{}")
            .header(name, "500")
            .header("nats-service-error", "broken");
        let answer = Behaviour::Answers([answer].into());
        let _extension = Extension::at(&site.nats.url(), "beamline.ext.x", answer).await;
        let reply = site.ask("invoke", &json!({"id": "x", "payload": {}})).await;
        assert_eq!(
            reply.header("Nats-Service-Error-Code"),
            Some("500"),
            "{name}: {reply:?}"
        );
        assert_eq!(reply.header("Nats-Service-Error"), Some("broken"));
        assert_eq!(reply.header("Beamline-Extension-Error"), Some("1"));
        let circuit = site.send("lookup", "x").await.json()["circuit_breaker_state"].clone();
        assert_eq!(circuit, "open", "{name} is a failure");
    }
    let (site, _daemon) = Site::serving(&fixtures).await;
    let chunks = [
        Answer::new(r#"{"n":1}"#).header("beamline-stream", "chunk"),
        Answer::new("").header("BEAMLINE-STREAM", "end"),
    ];
    let _extension = Extension::at(
        &site.nats.url(),
        "beamline.ext.x",
        Behaviour::Answers(chunks.into()),
    )
    .await;
    let accept = headers(&[("beamline-accept", "stream")]);
    let body = r#"{"id":"x","payload":{}}"#;
    let client = &site.client;
    let pieces = client
        .request_several(&subject("invoke"), accept, body, 2)
        .await;
    let kinds: Vec<_> = pieces
        .iter()
        .map(|piece| piece.header("Beamline-Stream"))
        .collect();
    assert_eq!(kinds, [Some("chunk"), Some("end")]);
}
