//! An attacker's afternoon: everybody who has a way in, and some who have none, try what they may not,
//! all at once, on a registry as it ships. Nothing gets through, it goes on serving, and its memory stays
//! below the limit that ships. `just attack` prints how often each door was tried.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_nats::HeaderMap;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::database::{DAEMONS, OWNERS, check};
use super::guarded::{self, User};
use super::ruled::Ruled;
use crate::harness::http::exchange;
use crate::harness::{DEADLINE, Daemon, NatsServer, eventually};
use crate::http_admin::send;
use crate::rig::metric;
use crate::schema::value;

const READER: &str = "reader-token-0000";
const REVOKED: &str = "admin-token-00000";
const LIMIT: usize = 256 << 20;

/// What is attacked.
struct Fort {
    nats: NatsServer,
    ruled: Ruled,
    daemon: Daemon,
    http: String,
    tokens: TempDir,
    tries: Mutex<BTreeMap<&'static str, usize>>,
}

impl Fort {
    async fn start() -> Self {
        let (nats, ruled) = tokio::join!(guarded::server(), Ruled::start());
        let tokens = tempfile::tempdir().unwrap();
        let file = tokens.path().join("tokens");
        std::fs::write(&file, format!("{READER} reader\n{REVOKED} admin\n")).unwrap();
        let daemon = guarded::daemon(&nats)
            .database(&ruled.url("beamline_registry"))
            .setting("SOURCE", "database")
            .setting("INSTANCE_ID", "one")
            .setting("REQUIRE_ACTOR_SUBJECT", true)
            .setting("HTTP_TOKENS_FILE", file.display())
            .setting("MAX_IN_FLIGHT_BYTES", LIMIT / 4)
            .spawn()
            .await;
        daemon.wait_ready().await;
        let http = daemon.http_addr().await;
        Self {
            nats,
            ruled,
            daemon,
            http,
            tokens,
            tries: Mutex::default(),
        }
    }

    fn tried(&self, door: &'static str, times: usize) {
        *self.tries.lock().unwrap().entry(door).or_default() += times;
    }

    /// What must not move: every definition, and every trace of a change.
    async fn treasure(&self) -> String {
        let sql =
            "SELECT concat_ws(' ', registry_digest(), (SELECT revision FROM registry_revision),
            (SELECT count(*) FROM extension_audit_log), (SELECT count(*) FROM circuit_overrides))";
        value(&self.ruled.database.connect().await, sql).await
    }

    async fn status(&self, request: &str, token: Option<&str>, headers: &[(&str, &str)]) -> u16 {
        let bearer = token.map(|token| ("Authorization", format!("Bearer {token}")));
        let others = headers
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()));
        let headers: Vec<_> = bearer.into_iter().chain(others).collect();
        send(&self.http, request, &headers, b"").await.status
    }
}

/// Verbs of administration, by everybody who has another role, in every form.
async fn other_peoples_verbs(fort: &Fort) {
    for name in ["dashboard", "router", "oscar", "normalize_text"] {
        let user = User::login(&fort.nats, name).await;
        for verb in ["create", "update", "delete", "put_version", "rollout"] {
            for form in [verb, "as.alice", "as.somebody_else", "local.one"] {
                let subject = match form {
                    form if form == verb => format!("beamline.registry.{verb}"),
                    form => format!("beamline.registry.{form}.{verb}"),
                };
                let body = json!({"id": "normalize_text", "enabled": false}).to_string();
                let sent = user.nats.publish(subject.clone(), body.into()).await;
                sent.unwrap();
                eventually(&subject, DEADLINE, async || user.may_not_publish(&subject)).await;
                fort.tried("verbs of other roles", 1);
            }
        }
    }
}

/// Answers that are to go where somebody else listens, and headers that are to be more than one.
async fn answers_to_others(fort: &Fort) {
    let router = User::login(&fort.nats, "router").await;
    let elsewhere = [
        "$JS.API.STREAM.DELETE.x",
        "beamline.registry.create",
        "beamline.ext.x",
    ];
    let before = dropped(fort).await;
    for reply in elsewhere.iter().cycle().take(300) {
        let lookup = "beamline.registry.lookup";
        let sent = router.nats.publish_with_reply(lookup, *reply, "{}".into());
        sent.await.unwrap();
        fort.tried("replies to foreign subjects", 1);
    }
    router.nats.flush().await.unwrap();
    eventually("each is dropped", DEADLINE, async || {
        dropped(fort).await - before >= 300.0
    })
    .await;
    let client = router.client().await;
    for context in [
        "a\r\nNats-Service-Error-Code: 200",
        "'; DROP TABLE extensions; --",
        "\u{1b}[2J",
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(
            "Beamline-Call-Id",
            context.replace(['\r', '\n'], " ").as_str(),
        );
        let body = json!({"id": context, "payload": {}, "context": {"tenant_id": context}});
        let invoke = "beamline.registry.invoke";
        let reply = client
            .request_with_headers(invoke, headers, body.to_string())
            .await;
        assert!(reply.error().0 >= 400, "{reply:?}");
        fort.tried("injections over NATS", 1);
    }
}

async fn dropped(fort: &Fort) -> f64 {
    let name = "extension_registry_dropped_requests_total{reason=\"reply_not_allowed\"}";
    metric(&fort.daemon, name).await.unwrap_or_default()
}

/// Replies to calls that are somebody else's, by an extension.
async fn forged_replies(fort: &Fort) {
    let extension = User::login(&fort.nats, "normalize_text").await;
    for guess in 0..100 {
        let inbox = format!("_INBOX.registry.{guess:032x}.{guess:024x}");
        let sent = extension.nats.publish(inbox, r#"{"forged":true}"#.into());
        sent.await.unwrap();
        fort.tried("forged replies", 1);
        // The client drops what it is told faster than it is heard.
        eventually("it is refused", DEADLINE, async || {
            extension.refusals().len() > guess
        })
        .await;
    }
}

/// Messages as large as there can be.
async fn huge_payloads(fort: &Fort) {
    let router = User::login(&fort.nats, "router").await.client().await;
    let text = "x".repeat(1_000_000);
    for verb in ["lookup", "explain", "invoke", "get", "report", "stats"] {
        for body in [
            json!({"id": text}),
            json!({"id": "normalize_text", "payload": {"text": text}}),
            json!({"id": "normalize_text", "context": {"tenant_id": text}}),
        ] {
            let subject = format!("beamline.registry.{verb}");
            let reply = router.request_json(&subject, &body).await;
            assert!(reply.json().is_object(), "{verb}");
            fort.tried("payloads of a megabyte", 1);
        }
    }
}

/// Every route that changes something, or tells what was, with no token and with one for less.
async fn other_peoples_routes(fort: &Fort) {
    for request in [
        "POST /admin/extensions",
        "PATCH /admin/extensions/normalize_text",
        "DELETE /admin/extensions/normalize_text",
        "POST /admin/extensions/normalize_text/enable",
        "POST /admin/extensions/normalize_text/disable",
        "POST /admin/reload",
        "GET /admin/audit",
    ] {
        for (token, expected) in [
            (None, 401),
            (Some("no-such-token-000"), 401),
            (Some(READER), 403),
        ] {
            assert_eq!(
                fort.status(request, token, &[]).await,
                expected,
                "{request}"
            );
            fort.tried("routes of other roles", 1);
        }
    }
}

/// A page on the internet, in a browser that reaches the registry.
async fn browsers(fort: &Fort) {
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
    ] {
        let head = format!(
            "GET /admin/extensions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {READER}\r\n\
             Connection: close\r\n\r\n"
        );
        let reply = exchange(&fort.http, head.as_bytes()).await.unwrap();
        assert_eq!(reply.status, 421, "{host}");
        fort.tried("rebound names", 1);
    }
    let cross_site = [("Sec-Fetch-Site", "cross-site")];
    let status = fort.status("POST /admin/reload", Some(REVOKED), &cross_site);
    assert_eq!(status.await, 403);
    fort.tried("cross-site requests", 1);
}

/// Connections that send a byte now and then, and probes that come in beside them.
async fn slow_connections(fort: &Fort) {
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut stream = TcpStream::connect(&fort.http).await.unwrap();
        let _sent = stream.write_all(b"GET /livez HTTP/1.1\r\nx: ").await;
        held.push(stream);
        fort.tried("slow connections", 1);
    }
    assert_eq!(fort.status("GET /livez", None, &[]).await, 200);
    let mut closed = 0;
    for mut stream in held {
        let _sent = stream.write_all(b"y").await;
        let read = tokio::time::timeout(DEADLINE, stream.read(&mut [0; 1])).await;
        closed += usize::from(!matches!(read, Ok(Ok(1))));
    }
    assert_eq!(closed, 400, "none is answered");
}

/// Statements beside the interface, by each role of the database.
async fn statements(fort: &Fort) {
    for (role, lists) in [
        ("beamline_registry", &[OWNERS][..]),
        ("beamline_operator", &[OWNERS, DAEMONS]),
        ("beamline_readonly", &[OWNERS, DAEMONS]),
    ] {
        let client = fort.ruled.login(role).await;
        for list in lists {
            check(&client, role, list, false).await;
            fort.tried("statements of other roles", list.len());
        }
    }
}

/// A token that is taken out of the file while it is used.
async fn a_revoked_token(fort: &Fort) {
    let file = fort.tokens.path().join("tokens");
    let audit = "GET /admin/audit";
    assert_eq!(fort.status(audit, Some(REVOKED), &[]).await, 200);
    std::fs::write(file, format!("{READER} reader\n")).unwrap();
    eventually("it is refused", DEADLINE, async || {
        fort.tried("revoked tokens", 1);
        fort.status(audit, Some(REVOKED), &[]).await == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_gets_through_and_the_registry_serves() {
    let fort = Fort::start().await;
    let before = fort.treasure().await;
    tokio::join!(
        other_peoples_verbs(&fort),
        answers_to_others(&fort),
        forged_replies(&fort),
        huge_payloads(&fort),
        other_peoples_routes(&fort),
        browsers(&fort),
        slow_connections(&fort),
        statements(&fort),
    );
    a_revoked_token(&fort).await;

    assert_eq!(fort.treasure().await, before);
    let router = User::login(&fort.nats, "router").await.client().await;
    let lookup = "beamline.registry.lookup";
    let body = json!({"id": "normalize_text"});
    let found = router.request_json(lookup, &body).await.ok();
    assert_eq!(found["id"], "normalize_text");
    let panics = metric(&fort.daemon, "extension_registry_panics_total").await;
    assert_eq!(panics, Some(0.0));
    let peak = fort.daemon.peak_memory();
    assert!(peak < LIMIT, "{peak} bytes");
    let log = fort.daemon.log().join("\n");
    for secret in [
        READER,
        REVOKED,
        "pw-registry",
        "pw-beamline_registry",
        "\u{1b}[2J",
    ] {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
    print_tries(&fort, peak);
}

#[expect(clippy::print_stdout, reason = "the figures of `just attack`")]
fn print_tries(fort: &Fort, peak: usize) {
    let tries = fort.tries.lock().unwrap();
    for (door, count) in tries.iter() {
        println!("{count:>5}  {door}");
    }
    println!("{:>5}  MiB at most", peak >> 20);
}
