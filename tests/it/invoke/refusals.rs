use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{one, record};
use crate::harness::{Behaviour, NatsServer, flood};
use crate::site::{Site, subject};

#[tokio::test]
async fn bad_requests_name_the_field_and_reach_nobody() {
    let provider = record("p", json!({"type": "provider"}));
    let (site, _daemon) = Site::serving(&json!([record("x", json!({})), provider])).await;
    let extensions = [
        site.play("x", Behaviour::Echo).await,
        site.play("p", Behaviour::Echo).await,
    ];
    let deep = "[".repeat(200_000);
    let unclosed = format!(r#"{{"id":"x","payload":{deep}"#);
    for (request, field) in [
        ("", Some("id")),
        ("x", None),
        ("[]", None),
        ("null", None),
        ("{", None),
        (r#"{"id":"x","payload":1}}"#, None),
        (r#"{"id":"x","payload":1} {}"#, None),
        (r#"{"id":"x","payload":01}"#, None),
        (r#"{"id":"x","payload":NaN}"#, None),
        (unclosed.as_str(), None),
        ("{}", Some("id")),
        (r#"{"payload":1}"#, Some("id")),
        (r#"{"id":7,"payload":1}"#, Some("id")),
        (r#"{"id":"no id","payload":1}"#, Some("id")),
        (r#"{"id":"","payload":1}"#, Some("id")),
        (r#"{"id":"x"}"#, Some("payload")),
        (r#"{"id":"x","payload":null}"#, Some("payload")),
        (r#"{"id":"x","payload":1,"version":7}"#, Some("version")),
        (r#"{"id":"x","payload":1,"version":"a b"}"#, Some("version")),
        (r#"{"id":"x","payload":1,"metadata":[]}"#, Some("metadata")),
        (
            r#"{"id":"x","payload":1,"metadata":"{}"}"#,
            Some("metadata"),
        ),
        (r#"{"id":"x","payload":1,"config":1}"#, Some("config")),
        (r#"{"id":"x","payload":1,"context":[]}"#, Some("context")),
        (
            r#"{"id":"x","payload":1,"context":"acme"}"#,
            Some("context"),
        ),
        (
            r#"{"id":"x","payload":1,"timeout_ms":-1}"#,
            Some("timeout_ms"),
        ),
        (
            r#"{"id":"x","payload":1,"timeout_ms":"1s"}"#,
            Some("timeout_ms"),
        ),
        (
            r#"{"id":"x","payload":1,"deadline_ms":1.5}"#,
            Some("deadline_ms"),
        ),
        (r#"{"id":"x","payload":1,"dry_run":"yes"}"#, Some("dry_run")),
        (
            r#"{"id":"x","payload":1,"fallback_config":[]}"#,
            Some("fallback_config"),
        ),
        (
            r#"{"id":"x","payload":1,"fallback_config":{"y":1}}"#,
            Some("fallback_config.y"),
        ),
        (r#"{"id":"p","payload":1}"#, Some("payload")),
        (r#"{"id":"p","payload":"text"}"#, Some("payload")),
        (
            r#"{"id":"p","payload":{"tenant_id":"evil"}}"#,
            Some("payload.tenant_id"),
        ),
        (
            r#"{"id":"p","payload":{"tenant\u005fid":"evil"}}"#,
            Some("payload.tenant_id"),
        ),
        (
            r#"{"id":"p","payload":{"config":{}}}"#,
            Some("payload.config"),
        ),
    ] {
        let reply = site.send("invoke", request.to_owned()).await;
        let shown = request.get(..80).unwrap_or(request);
        assert_eq!(
            reply.error(),
            (400, "invalid_request".to_owned()),
            "{shown}"
        );
        assert_eq!(
            reply.details()["field"].as_str(),
            field,
            "{shown}: {reply:?}"
        );
    }
    let invalid_text = site
        .send("invoke", &b"{\"id\":\"x\",\"payload\":\"\xff\"}"[..])
        .await;
    assert_eq!(invalid_text.error().0, 400);

    let mut headers = HeaderMap::new();
    headers.insert("Beamline-Deadline-Ms", "soon");
    let (invoke, body) = (subject("invoke"), r#"{"id":"x","payload":1}"#);
    let reply = site
        .client
        .request_with_headers(&invoke, headers, body)
        .await;
    assert_eq!(reply.details()["field"], "Beamline-Deadline-Ms");

    assert_eq!(extensions.map(|extension| extension.count()), [0, 0]);
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn a_payload_as_deep_as_it_likes_passes_through() {
    let (site, _daemon, extension) = one(json!({}), Behaviour::reply("{}")).await;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let request = format!(r#"{{"id":"x","payload":{deep}}}"#);
    site.send("invoke", request).await.ok();
    assert!(extension.last().text().contains(&deep));
}

#[tokio::test]
async fn sizes_are_the_daemons_unless_the_extension_says_otherwise() {
    let fixtures = json!([
        record("plain", json!({})),
        record(
            "small",
            json!({"metadata": {"max_payload_size": 20, "max_metadata_size": 30}})
        ),
        record("odd", json!({"metadata": {"max_payload_size": 2e1}})),
    ]);
    let site = Site::with(&fixtures).await;
    let daemon = site.daemon().setting("MAX_PAYLOAD_BYTES", 100);
    let _daemon = site.start(daemon.setting("MAX_METADATA_BYTES", 50)).await;
    for (id, payload, metadata) in [("plain", 100, 50), ("small", 20, 30), ("odd", 20, 50)] {
        let extension = site.play(id, Behaviour::Echo).await;
        for (payload, metadata, what) in [
            (payload, metadata, None),
            (payload + 1, metadata, Some(("the payload", payload))),
            (payload, metadata + 1, Some(("the metadata", metadata))),
        ] {
            let text = "p".repeat(payload - 2);
            let note = "m".repeat(metadata - 8);
            let request = json!({"id": id, "payload": text, "metadata": {"m": note}});
            let reply = site.ask("invoke", &request).await;
            let Some((what, limit)) = what else {
                reply.ok();
                continue;
            };
            assert_eq!(reply.error(), (413, "payload_too_large".to_owned()), "{id}");
            assert_eq!(reply.details()["limit_bytes"], limit, "{id}");
            let message = reply.json()["error"]["message"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(message.starts_with(what), "{message}");
        }
        assert_eq!(
            (extension.count(), site.circuit(id).await.as_str()),
            (1, "closed")
        );
    }
}

#[tokio::test]
async fn what_the_server_does_not_carry_is_too_large_both_ways() {
    let nats = NatsServer::builder().max_payload(4096).start().await;
    let fixtures = json!([
        record("large", json!({"config": {"text": "c".repeat(2500)}})),
        record("x", json!({})),
    ]);
    let site = Site::on(nats, &fixtures).await;
    let daemon = site.start(site.daemon()).await;
    daemon
        .wait_line("the server's limit", |line| {
            line.contains("max_payload is 4096 bytes").then_some(())
        })
        .await;
    let large = site.play("large", Behaviour::Echo).await;
    let reply = site
        .call("large", json!({"payload": "p".repeat(2500)}))
        .await;
    assert_eq!(reply.error(), (413, "payload_too_large".to_owned()));
    assert_eq!(
        (large.count(), site.circuit("large").await.as_str()),
        (0, "closed")
    );

    // Whatever the size, it comes back as it is or not at all, and never twice.
    let x = site.play("x", Behaviour::Echo).await;
    let mut outcomes = Vec::new();
    for bytes in (3600..4096).step_by(4) {
        let body = format!("\"{}\"", "r".repeat(bytes - 2));
        x.behave(Behaviour::reply(body.clone()));
        let reply = site.call("x", json!({})).await;
        let whole = reply.header("Nats-Service-Error-Code").is_none();
        if whole {
            assert_eq!(reply.payload, body);
        } else {
            assert_eq!(reply.error(), (413, "payload_too_large".to_owned()));
        }
        outcomes.push(whole);
    }
    assert!(
        outcomes.is_sorted_by(|a, b| a >= b),
        "up to one size: {outcomes:?}"
    );
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
    assert_eq!(site.circuit("x").await, "closed");
    site.client.assert_one_reply_each().await;
}

/// LiteLLM, sglang and vllm had fleet outages from exactly this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_callers_faults_move_no_circuit() {
    let (site, _daemon, extension) = one(
        json!({"metadata": {"max_payload_size": 100}, "retry": 3}),
        Behaviour::each(|number, _| Behaviour::error([400, 404, 413, 422, 429, 499][number % 6])),
    )
    .await;
    let requests = [
        json!({"id": "x", "payload": "p".repeat(100)}),
        json!({"id": "x", "payload": {}}),
        json!({"id": "x", "payload": {}, "timeout_ms": 0}),
        json!({"id": "x", "payload": {}, "metadata": []}),
    ]
    .map(|request: Value| Bytes::from(request.to_string()));
    let mut codes = [0; 4];
    let load = (10_000, 200);
    flood(
        &site.nats.url(),
        &subject("invoke"),
        load,
        |number| (HeaderMap::new(), requests[number % 4].clone()),
        |number, reply| {
            let code: u16 = reply
                .header("Nats-Service-Error-Code")
                .unwrap()
                .parse()
                .unwrap();
            let expected = [413..414, 400..500, 504..505, 400..401];
            assert!(expected[number % 4].contains(&code), "{number}: {reply:?}");
            codes[number % 4] += 1;
        },
    )
    .await;
    assert_eq!(codes, [2500; 4]);
    assert_eq!(extension.count(), 2500, "a 4xx is never tried again");
    extension.behave(Behaviour::Echo);
    site.call("x", json!({})).await.ok();
    assert_eq!(site.circuit("x").await, "closed");
}
