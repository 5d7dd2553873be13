//! Bodies and heads that nobody means well with: a clear error, and nothing is changed.

use serde_json::{Value, json};

use super::{ADMIN, Api, error, plain, send};
use crate::harness::http;

const LIMIT: usize = 1024 * 1024;

#[tokio::test]
async fn hostile_bodies_change_nothing() {
    let api = Api::start().await;
    api.ask("POST /admin/extensions", &plain("x")).await;
    let before = api.everything().await;
    let headers = [("Authorization", format!("Bearer {ADMIN}"))];
    let long = "a".repeat(LIMIT - 200);
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let with = |field: &str, value: Value| {
        let mut body = plain("y");
        body[field] = value;
        body.to_string().into_bytes()
    };
    let bodies: Vec<Vec<u8>> = vec![
        b"\xff\xfe".to_vec(),
        b"{\"id\":\"\xff\xfe\",\"type\":\"pre\",\"subject\":\"beamline.ext.y\"}".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"{".to_vec(),
        b"{} {}".to_vec(),
        b"{\"id\":\"y\",\"id\":1}".to_vec(),
        deep.clone().into_bytes(),
        format!(r#"{{"id":"y","type":"pre","subject":"beamline.ext.y","config":{deep}}}"#).into(),
        with("subject", json!(long)),
        with("id", json!(long)),
        with("config", json!({ "a": long })),
        with("id", json!("y'; DROP TABLE extensions; --")),
        with("id", json!("health")),
        with("id", json!("y\0")),
        with("config", json!({"a": "\0"})),
        with("subject", json!("beamline.ext.*")),
        with("subject", json!("$JS.API.STREAM.DELETE.x")),
        with("timeout_ms", json!(1e300)),
        with("fallback", json!("x")),
        with(&"f".repeat(100_000), json!(1)),
        with("actor", json!("'; DELETE FROM extensions")),
    ];
    for body in bodies {
        let reply = send(&api.addr, "POST /admin/extensions", &headers, &body).await;
        let shown = String::from_utf8_lossy(&body)
            .chars()
            .take(80)
            .collect::<String>();
        assert!((400..500).contains(&reply.status), "{shown}: {reply:?}");
        error(&reply);
        assert!(
            reply.body.len() < 20_000,
            "{shown}: {} bytes",
            reply.body.len()
        );
        let reply = send(&api.addr, "PATCH /admin/extensions/x", &headers, &body).await;
        assert!((400..500).contains(&reply.status), "{shown}: {reply:?}");
    }
    for path in [
        "y%27%3B%20DROP%20TABLE%20extensions",
        "%00",
        "%ff%fe",
        "..%2f..%2fetc",
        "x.y",
        &"x".repeat(5000),
    ] {
        for request in [
            format!("GET /admin/extensions/{path}"),
            format!("GET /admin/extensions/{path}/health"),
            format!("GET /admin/audit?id={path}"),
            format!("DELETE /admin/extensions/{path}"),
            format!("POST /admin/extensions/{path}/disable"),
        ] {
            let reply = send(&api.addr, &request, &headers, b"").await;
            let known = (400..500).contains(&reply.status) || request.contains("/audit");
            assert!(known && reply.status < 500, "{request}: {reply:?}");
        }
    }
    assert_eq!(api.everything().await, before);
}

#[tokio::test]
async fn a_body_has_a_kind_and_a_size() {
    let api = Api::start().await;
    let before = api.everything().await;
    let head = format!(
        "POST /admin/extensions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\n"
    );
    let body = plain("y").to_string();
    let length = body.len();
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        let text = format!("{head}{kind}Content-Length: {length}\r\n\r\n{body}");
        let reply = http::request(&api.addr, &text).await.unwrap();
        assert_eq!(
            error(&reply),
            (415, "unsupported_media_type".into()),
            "{kind}"
        );
    }
    let json = "Content-Type: application/json\r\n";
    let announced = format!("{head}{json}Content-Length: {}\r\n\r\n", LIMIT + 1);
    let reply = http::request(&api.addr, &announced).await.unwrap();
    assert_eq!(error(&reply), (413, "payload_too_large".into()));
    // Without a length, in chunks of 64 KiB.
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let chunked = format!(
        "{head}{json}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(17)
    );
    let reply = http::request(&api.addr, &chunked).await.unwrap();
    assert_eq!(error(&reply), (413, "payload_too_large".into()));
    let broken = format!("{head}{json}Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    let reply = http::request(&api.addr, &broken).await.unwrap();
    assert!((400..500).contains(&reply.status), "{reply:?}");
    assert_eq!(api.everything().await, before);

    let fits = format!(
        "{head}Content-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    );
    let reply = http::request(&api.addr, &fits).await.unwrap();
    assert_eq!(reply.status, 201, "{reply:?}");
}

#[tokio::test]
async fn a_head_is_bounded() {
    let api = Api::start().await;
    let many = "X-A: b\r\n".repeat(200);
    for head in [
        format!("GET /admin/stats?{} HTTP/1.1\r\n", "a".repeat(100_000)),
        format!(
            "GET /admin/stats HTTP/1.1\r\nX-A: {}\r\n",
            "a".repeat(100_000)
        ),
        format!("GET /admin/stats HTTP/1.1\r\n{many}"),
    ] {
        let reply = http::request(&api.addr, &format!("{head}Host: localhost\r\n\r\n"))
            .await
            .unwrap();
        assert_eq!(reply.status, 431, "{reply:?}");
    }
    let token = format!("Authorization: Bearer {ADMIN}\r\n");
    let twice = format!(
        "GET /admin/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}{token}\r\n"
    );
    let reply = http::request(&api.addr, &twice).await.unwrap();
    assert_eq!(
        error(&reply),
        (401, "unauthorized".into()),
        "which of them counts is no question"
    );
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("access-control-allow-origin"), None);
}
