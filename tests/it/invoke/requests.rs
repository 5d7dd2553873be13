use async_nats::HeaderMap;
use serde_json::json;

use super::{at, one, record};
use crate::harness::{Behaviour, Extension};
use crate::site::{Site, subject};

/// White space, digits and spellings that a parser would not give back.
const PAYLOAD: &str = r#"{ "n" : 12345678901234567890.10, "e":1E+02,"t":"ä\u00e4 \n" ,"n":-0.0 }"#;
const METADATA: &str = r#"{"k" :[ 1,2 ]}"#;
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn each_type_receives_its_body_byte_for_byte() {
    let kinds = ["pre", "validator", "post", "provider"];
    let config = json!({"a": 1, "b": {"x": 1}, "c": null});
    let records = kinds.map(|kind| record(kind, json!({"type": kind, "config": config})));
    let (site, _daemon) = Site::serving(&json!(records)).await;
    for kind in kinds {
        let extension = site.play(kind, Behaviour::Echo).await;
        let request = format!(
            r#"{{"id":"{kind}","payload": {PAYLOAD} ,"metadata":{METADATA},
            "config":{{"b":{{"y" : 2.50}},"\u0063":7}},
            "context":{{"trace_id":"t-\"1","tenant_id":"acmé","policy_id":"p"}}}}"#
        );
        let answer = site.send("invoke", request).await;
        let config = r#"{"a":1,"b":{"y" : 2.50},"c":7}"#;
        let middle = match kind {
            "provider" => {
                let fields = PAYLOAD.trim_matches(['{', '}']).trim();
                format!(r#""provider_id":"provider",{fields}"#)
            }
            _ => format!(r#""payload":{PAYLOAD}"#),
        };
        let expected = format!(
            r#"{{"trace_id":"t-\"1","tenant_id":"acmé",{middle},"metadata":{METADATA},"config":{config}}}"#
        );
        assert_eq!(extension.last().text(), expected, "{kind}");
        assert_eq!(answer.payload, expected, "{kind}: and back");
        answer.ok();
    }
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn what_the_request_does_not_say_is_null_or_empty() {
    let config = json!({"own": [1, {"deep": true}]});
    let (site, _daemon, extension) = one(json!({"config": config}), Behaviour::Echo).await;
    let expected = r#"{"trace_id":null,"tenant_id":null,"payload":[],"metadata":{},"config":{"own":[1,{"deep":true}]}}"#;
    for request in [
        r#"{"id":"x","payload":[]}"#,
        r#"{"id":"x","payload":[],"metadata":null,"config":null,"context":null,"version":null,
            "timeout_ms":null,"deadline_ms":null,"fallback_config":null,"unknown":1}"#,
        r#"{"id":"x","payload":[],"config":{},"context":{"tenant_id":null,"trace_id":null}}"#,
    ] {
        site.send("invoke", request).await.ok();
        assert_eq!(extension.last().text(), expected, "{request}");
    }
    // Numbers and booleans are no text.
    let context = json!({"tenant_id": 7, "trace_id": false});
    site.call("x", json!({ "context": context })).await.ok();
    let body = extension.last().json();
    assert_eq!(
        (&body["tenant_id"], &body["trace_id"]),
        (&json!(7), &json!(false))
    );
}

#[tokio::test]
async fn the_id_may_stand_in_the_subject_and_everywhere_a_router_asks() {
    let site = Site::with(&json!([record("x", json!({}))])).await;
    let _daemon = site.start(site.named("pod-1")).await;
    let extension = site.play("x", Behaviour::Echo).await;
    let forms = ["invoke", "as.alice.invoke", "local.pod-1.invoke"];
    for (n, form) in forms.into_iter().enumerate() {
        site.ask(form, &json!({"id": "x", "payload": 1})).await.ok();
        let with_id = format!("{form}.x");
        site.ask(&with_id, &json!({"payload": 1})).await.ok();
        site.ask(&with_id, &json!({"payload": 1, "id": "x"}))
            .await
            .ok();
        let other = site.ask(&with_id, &json!({"payload": 1, "id": "y"})).await;
        assert_eq!(other.error(), (400, "invalid_request".to_owned()));
        assert_eq!(other.details()["field"], "id");
        assert_eq!(extension.count(), 3 * (n + 1), "{form}");
    }
    site.client.assert_one_reply_each().await;
}

#[tokio::test]
async fn headers_tell_the_extension_what_it_needs_to_know() {
    let (site, _daemon, extension) = one(json!({"timeout_ms": 9000}), Behaviour::Echo).await;
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", CALLER);
    headers.insert("tracestate", "vendor=1,other=2");
    headers.insert("Beamline-Accept", "stream");
    headers.insert("Beamline-Actor", "nobody's business");
    let body = json!({"id": "x", "payload": {}, "deadline_ms": 5000}).to_string();
    let invoke = subject("invoke");
    let answer = site
        .client
        .request_with_headers(&invoke, headers, body)
        .await;
    answer.ok();

    let received = extension.last();
    let [_, trace, span, flags] = parts(received.header("traceparent").unwrap());
    assert_eq!(
        (trace.as_str(), flags.as_str()),
        ("4bf92f3577b34da6a3ce929d0e0e4736", "01")
    );
    assert_ne!(span, "00f067aa0ba902b7", "a child of the caller's span");
    for (name, value) in [
        ("tracestate", "vendor=1,other=2"),
        ("Beamline-Extension-Id", "x"),
        ("Beamline-Version", "v1"),
        ("Beamline-Attempt", "1"),
        ("Beamline-Accept", "stream"),
    ] {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    let left: u64 = received
        .header("Beamline-Deadline-Ms")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=5000).contains(&left), "{left}");
    assert_eq!(received.header("Beamline-Actor"), None);

    site.call("x", json!({})).await.ok();
    let received = extension.last();
    let [version, trace, ..] = parts(received.header("traceparent").unwrap());
    assert_eq!((version.as_str(), trace.len()), ("00", 32));
    assert_ne!(
        trace, "4bf92f3577b34da6a3ce929d0e0e4736",
        "a trace of its own"
    );
    assert_eq!(received.header("tracestate"), None);
    assert_eq!(received.header("Beamline-Accept"), None);
    assert_eq!(
        received.header("Beamline-Deadline-Ms"),
        Some("9000"),
        "its own timeout"
    );
}

#[tokio::test]
async fn trace_headers_are_found_however_they_are_spelled() {
    let (site, _daemon, extension) = one(json!({}), Behaviour::Echo).await;
    // As Go's propagators write them through `http.Header`.
    let mut headers = HeaderMap::new();
    headers.insert("Traceparent", CALLER);
    headers.insert("Tracestate", "vendor=1");
    // Sent apart, they are one list all the same.
    headers.append("Tracestate", "other=2");
    let body = r#"{"id":"x","payload":{}}"#;
    let invoke = subject("invoke");
    let answer = site
        .client
        .request_with_headers(&invoke, headers, body)
        .await;
    answer.ok();
    let received = extension.last();
    let [_, trace, ..] = parts(received.header("traceparent").unwrap());
    assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(received.header("tracestate"), Some("vendor=1,other=2"));
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_sent_and_sends_nothing() {
    let instances = json!([
        {"instance_id": "a", "subject": "beamline.ext.x.a", "weight": 50},
        {"instance_id": "b", "subject": "beamline.ext.x.b", "weight": 50},
    ]);
    let (site, daemon, base) = one(
        json!({"instances": instances, "config": {"z": 1.50}, "timeout_ms": 8000}),
        Behaviour::Echo,
    )
    .await;
    let url = site.nats.url();
    let a = Extension::at(&url, "beamline.ext.x.a", Behaviour::Echo).await;
    let b = Extension::at(&url, "beamline.ext.x.b", Behaviour::Echo).await;
    let mut request = json!({
        "id": "x", "payload": {"text": "ä"}, "metadata": {"m": 1}, "config": {"y": 2},
        "context": {"tenant_id": "acme", "trace_id": "t"}, "timeout_ms": 60_000,
    });
    for turn in 0..4 {
        request["dry_run"] = json!(true);
        let rehearsal = site.ask("invoke", &request).await;
        let again = site.ask("invoke", &request).await.ok();
        let document = rehearsal.ok();
        assert_eq!(
            document["request"]["subject"], again["request"]["subject"],
            "no turn taken"
        );
        assert_eq!(
            (a.count() + b.count(), base.count()),
            (turn, 0),
            "nothing sent"
        );
        assert_eq!(
            (&document["dry_run"], &document["reason"]),
            (&json!(true), &json!("default"))
        );
        assert_eq!(document["request"]["timeout_ms"], 8000);

        request["dry_run"] = json!(false);
        site.ask("invoke", &request).await.ok();
        let sent = [&a, &b].map(|e| e.received()).into_iter().flatten();
        let sent = sent
            .filter(|sent| *sent.subject == document["request"]["subject"])
            .last();
        let sent = sent.expect("the instance whose turn was told");
        let text = String::from_utf8(rehearsal.payload.to_vec()).unwrap();
        assert!(
            text.contains(&format!(r#""body":{}"#, sent.text())),
            "{text}\n{}",
            sent.text()
        );
        let told = document["request"]["headers"].as_object().unwrap();
        assert_eq!(told.len(), sent.headers.len());
        for (name, value) in told {
            let fresh = name == "traceparent";
            let same = sent.header(name) == value.as_str();
            assert!(same || fresh, "{name}: {value} {:?}", sent.header(name));
        }
    }
    let metrics = daemon.get("/metrics").await.body;
    assert!(!metrics.contains(r#"status="neutral""#), "{metrics}");
}

#[tokio::test]
async fn a_dry_run_of_what_cannot_be_called_is_the_calls_error() {
    let large = json!({"metadata": {"max_payload_size": 10}});
    let off = record("off", json!({"enabled": false}));
    let (site, _daemon) = Site::serving(&json!([record("x", large), off])).await;
    for (request, number) in [
        (json!({"id": "x", "payload": "more than ten bytes"}), 413),
        (json!({"id": "off", "payload": 1}), 404),
        (json!({"id": "nobody", "payload": 1}), 404),
        (json!({"id": "x", "payload": 1, "version": "v9"}), 404),
        (json!({"id": "x"}), 400),
    ] {
        for dry_run in [true, false] {
            let mut request = request.clone();
            request["dry_run"] = json!(dry_run);
            let error = site.ask("invoke", &request).await.error();
            assert_eq!(error.0, number, "{request}");
        }
    }
    let dry = json!({"id": "x", "payload": 1, "dry_run": true});
    let document = site.ask("invoke", &dry).await.ok();
    assert_eq!(
        document["request"]["subject"],
        at("x"),
        "nobody needs to listen"
    );
}

fn parts(traceparent: &str) -> [String; 4] {
    let parts: Vec<_> = traceparent.split('-').map(str::to_owned).collect();
    parts.try_into().unwrap()
}
