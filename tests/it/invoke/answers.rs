use serde_json::json;

use super::{one, reason, record, refused};
use crate::harness::{Answer, Behaviour, DEADLINE, Reply, eventually};
use crate::site::Site;

#[tokio::test]
async fn an_answer_comes_back_byte_for_byte() {
    let (site, _daemon, extension) = one(json!({"type": "validator"}), Behaviour::Echo).await;
    let large = format!(r#"{{"t":"{}"}}"#, "ä".repeat(200_000));
    for body in [
        r#"{"status":"ok"}"#,
        r#"{"status":"reject","reason":"pii"}"#,
        " \n{ \"b\" :1,\"a\":12345678901234567890.10,\"a\":1E+02 }\r\n",
        r#"{"error":null,"t":"\u00e4ä\ud83d\ude00😀\u0000"}"#,
        "null",
        "\"text\"",
        "[]",
        "-0.0",
        &large,
    ] {
        extension.behave(Behaviour::reply(body.to_owned()));
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.payload, body);
        assert_eq!(reply.header("Nats-Service-Error-Code"), None);
        assert_eq!(reply.header("Beamline-Extension-Error"), None);
    }
    assert_eq!(
        site.circuit("x").await,
        "closed",
        "a rejection is a success"
    );
}

#[tokio::test]
async fn headers_tell_who_answered_and_nothing_of_what_it_sent() {
    let instances = json!([{"instance_id": "pod-7", "subject": "beamline.ext.x.v1"}]);
    let answer = Answer::new("{}")
        .header("Secret", "1")
        .header("Beamline-Instance", "evil");
    let (site, _daemon, _extension) = one(json!({"instances": instances}), answer.into()).await;
    let reply = site.call("x", json!({})).await;
    for (name, value) in [
        ("Beamline-Extension-Id", Some("x")),
        ("Beamline-Version", Some("v1")),
        ("Beamline-Instance", Some("pod-7")),
        ("Beamline-Attempts", Some("1")),
        ("Beamline-Fallback-From", None),
        ("Secret", None),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let latency: u64 = reply
        .header("Beamline-Latency-Us")
        .unwrap()
        .parse()
        .unwrap();
    assert!(latency > 0);
}

#[tokio::test]
async fn an_extensions_own_error_is_passed_on() {
    let (site, _daemon, extension) = one(
        json!({"circuit_breaker": {"enabled": false}}),
        Behaviour::Echo,
    )
    .await;
    let plain = |body: &'static str| Answer::new(body);
    let with = |code, text| {
        let answer = plain(r#"{"odd" : 1 }"#).header("Nats-Service-Error-Code", code);
        answer.header("Nats-Service-Error", text)
    };
    for (answer, body, code, text) in [
        (with("422", "unfit"), r#"{"odd" : 1 }"#, "422", "unfit"),
        (with("503", "away; é"), r#"{"odd" : 1 }"#, "503", "away; é"),
        (with("nonsense", "odd"), r#"{"odd" : 1 }"#, "502", "odd"),
        (
            plain("").header("Nats-Service-Error-Code", "500"),
            "",
            "500",
            "extension error",
        ),
        (
            plain("no json").header("Nats-Service-Error-Code", "400"),
            "no json",
            "400",
            "extension error",
        ),
        (
            plain(r#"{"error":{"a":1}}"#),
            r#"{"error":{"a":1}}"#,
            "502",
            "extension error",
        ),
        (
            plain(r#"{"status":"error"}"#),
            r#"{"status":"error"}"#,
            "502",
            "extension error",
        ),
    ] {
        extension.behave(answer.into());
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.payload, body);
        assert_eq!(
            reply.header("Nats-Service-Error-Code"),
            Some(code),
            "{body}"
        );
        assert_eq!(reply.header("Nats-Service-Error"), Some(text), "{body}");
        assert_eq!(
            reply.header("Beamline-Extension-Error"),
            Some("1"),
            "{body}"
        );
        assert_eq!(reply.header("Beamline-Extension-Id"), Some("x"), "{body}");
    }
    // Codes below 400 are no errors.
    extension.behave(plain("{}").header("Nats-Service-Error-Code", "200").into());
    site.call("x", json!({})).await.ok();
}

/// CASES.md F4. Nothing of it is lost or turned into a header of its own, and nobody else notices.
#[tokio::test]
async fn an_errors_text_may_be_long_or_strange() {
    let (site, _daemon, extension) = one(
        json!({"circuit_breaker": {"enabled": false}}),
        Behaviour::Echo,
    )
    .await;
    let long = "e".repeat(5_000);
    for text in [
        long.as_str(),
        "a\u{1b}[2Jb\tc\u{7}d\u{0}e",
        "X: y\u{202e}",
        "é\u{85}\u{2028}é",
    ] {
        let answer = Answer::new("{}").header("Nats-Service-Error-Code", "500");
        extension.behave(answer.header("Nats-Service-Error", text).into());
        let reply = site.call("x", json!({})).await;
        assert_eq!(reply.header("Nats-Service-Error-Code"), Some("500"));
        assert_eq!(reply.header("Nats-Service-Error"), Some(text));
        assert_eq!(reply.header("Beamline-Extension-Error"), Some("1"));
        assert_eq!(reply.header("X"), None);
        assert_eq!(reply.payload, "{}");
    }
    let answer = Answer::new("{}").header("Nats-Service-Error-Code", &"5".repeat(5_000));
    extension.behave(answer.into());
    let reply = site.call("x", json!({})).await;
    assert_eq!(reply.header("Nats-Service-Error-Code"), Some("502"));
    extension.behave(Behaviour::Echo);
    site.call("x", json!({})).await.ok();
    site.client.assert_one_reply_each().await;
    let log = _daemon.log().join("\n");
    assert!(
        !log.contains(&long) && !log.contains("nats disconnected"),
        "{log}"
    );
}

#[tokio::test]
async fn an_answer_nobody_can_read_is_the_extensions_error() {
    let bodies: [&[u8]; 5] = [b"", b" \n", b"no json", b"{\"a\":1", b"{\"a\":\"\xff\"}"];
    let records = [0, 1, 2, 3, 4].map(|n| record(&format!("x{n}"), json!({"retry": 3})));
    let (site, _daemon) = Site::serving(&json!(records)).await;
    for (n, body) in bodies.into_iter().enumerate() {
        let id = format!("x{n}");
        let extension = site.play(&id, Behaviour::reply(body)).await;
        let reply = site.call(&id, json!({})).await;
        assert_eq!(reply.error(), (502, "extension_error".to_owned()));
        assert_eq!(reply.details()["id"], id);
        assert_eq!(
            reply.header("Beamline-Extension-Error"),
            None,
            "the registry says so"
        );
        assert_eq!(extension.count(), 1, "broken would come again");
        assert_eq!(site.circuit(&id).await, "open", "counted");
    }
}

#[tokio::test]
async fn errors_say_no_more_than_they_should() {
    let (site, _daemon, _extension) = one(json!({"timeout_ms": 50}), Behaviour::silent()).await;
    let secret = json!({
        "payload": {"secret": "hunter2"}, "metadata": {"m": "hunter2"}, "config": {"c": "hunter2"},
        "context": {"tenant_id": "hunter2", "trace_id": "hunter2"},
    });
    let silent = |reply: &Reply| {
        let text = format!("{:?} {:?}", reply.headers, reply.payload);
        assert!(!text.contains("hunter2"), "{text}");
    };
    let timeout = site.call("x", secret.clone()).await;
    assert_eq!(timeout.error(), (504, "extension_timeout".to_owned()));
    // Silence that this sidecar may have slept through is not counted.
    let open = eventually("it is found out", DEADLINE, async || {
        let reply = site.call("x", secret.clone()).await;
        if refused(&reply) {
            Ok(reply)
        } else {
            Err(reply)
        }
    })
    .await;
    assert_eq!(reason(&open, 503, "extension_unavailable"), "circuit_open");
    for reply in [timeout, open] {
        silent(&reply);
    }
    let log = _daemon.log().join("\n");
    assert!(!log.contains("hunter2"), "{log}");
}
