//! Administration over HTTP, against a real daemon and a real database:
//!
//! - [`roles`]: every route with every token, on every kind of daemon,
//! - [`reads`]: pages, filters, conditions, headers; before there is data,
//! - [`writes`]: every change, its conditions, its audit entry,
//! - [`hostile`]: bodies and heads that nobody means well with, and that nothing changes then,
//! - [`tokens`]: the file of tokens: its faults, and what happens when it changes,
//! - [`openapi`]: the document, by itself,
//! - [`docs`]: the commands of `docs/http.md`,
//! - [`tester`]: the document against the daemon, by a property-based tester.

mod docs;
mod hostile;
pub(crate) mod openapi;
mod reads;
mod roles;
mod tester;
mod tokens;
mod writes;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::Daemon;
use crate::harness::daemon::Builder;
use crate::harness::http::{self, HttpReply};
use crate::rig::Rig;

/// Tokens by role; the operator's is bound to a name.
const READER: &str = "reader-token-0000";
const OPERATOR: &str = "operator-token-00";
const ADMIN: &str = "admin-token-00000";
const ALICE: &str = "alice-token-00000";

/// The file of all tokens.
fn tokens() -> String {
    format!(
        "# tokens of a test\n{READER} reader\n{OPERATOR} operator\n{ADMIN} admin\n\
        {ALICE} admin alice # hers\n"
    )
}

/// A daemon with a database and tokens.
struct Api {
    addr: String,
    daemon: Daemon,
    folder: TempDir,
    rig: Rig,
}

impl Api {
    async fn start() -> Self {
        Self::with(|daemon| daemon).await
    }

    /// With settings of the test's own.
    async fn with(settings: impl FnOnce(Builder) -> Builder) -> Self {
        let rig = Rig::start().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, tokens()).unwrap();
        let daemon = rig.daemon().setting("HTTP_TOKENS_FILE", file.display());
        let daemon = settings(daemon).spawn().await;
        daemon.wait_ready().await;
        Self {
            addr: daemon.http_addr().await,
            daemon,
            folder,
            rig,
        }
    }

    /// A request of the administrator.
    async fn ask(&self, request: &str, body: &Value) -> HttpReply {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let headers = [("Authorization", format!("Bearer {ADMIN}"))];
        send(&self.addr, request, &headers, body.as_bytes()).await
    }

    /// The same, with headers besides.
    async fn ask_with(&self, request: &str, header: (&str, &str), body: &Value) -> HttpReply {
        let headers = [
            ("Authorization", format!("Bearer {ADMIN}")),
            (header.0, header.1.to_owned()),
        ];
        send(&self.addr, request, &headers, body.to_string().as_bytes()).await
    }

    /// All definitions and the revision: what must not move.
    async fn everything(&self) -> (Value, Value) {
        let all = self.ask("GET /admin/extensions?enabled=all", &Value::Null);
        let stats = self.ask("GET /admin/stats", &Value::Null);
        (all.await.json(), stats.await.json()["revision"].clone())
    }
}

/// Sends `request`, such as `GET /x`, with a body of JSON where there is one.
pub(crate) async fn send(
    addr: &str,
    request: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> HttpReply {
    let mut head = format!("{request} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let length = body.len();
        head += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    }
    let bytes = [head.as_bytes(), b"\r\n", body].concat();
    http::exchange(addr, &bytes).await.unwrap()
}

/// A plain extension.
fn plain(id: &str) -> Value {
    json!({ "id": id, "type": "pre", "subject": format!("beamline.ext.{id}") })
}

/// Status and code of an error, whose body has the one form that all errors have.
#[track_caller]
fn error(reply: &HttpReply) -> (u16, String) {
    let body = reply.json();
    let error = &body["error"];
    assert!(
        error["message"].is_string() && error["details"].is_object(),
        "{reply:?}"
    );
    let json = reply.header("content-type") == Some("application/json");
    assert!(json, "{reply:?}");
    (reply.status, error["code"].as_str().unwrap().to_owned())
}
