//! The server's `INFO` and the client's `CONNECT`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, from_slice, from_value, json};

/// What a server reports about itself, as far as a client needs it. Everything has a default:
/// servers leave out what is false or empty, or write null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// The most bytes of a message, headers included.
    pub max_payload: Option<i64>,
    /// Whether it takes headers.
    pub headers: bool,
    /// Whether a connection has to be secured.
    pub tls_required: bool,
    /// Whether a connection can be secured.
    pub tls_available: bool,
    /// What a login by key has to sign.
    pub nonce: String,
    /// Other servers of the cluster, as `host:port`.
    pub connect_urls: Vec<String>,
    /// Lame duck mode: it is about to go.
    pub ldm: bool,
}

impl ServerInfo {
    /// Reads an `INFO`.
    pub(super) fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        from_value(without_nulls(from_slice(json)?))
    }
}

/// The login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// A user.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// A token.
    pub token: Option<String>,
    /// A user's JWT.
    pub jwt: Option<String>,
    /// A public key.
    pub nkey: Option<String>,
    /// The server's nonce, signed with the key.
    pub signature: Option<Vec<u8>>,
}

/// The arguments of `CONNECT`, over a connection that is secured or not. `name` is what the server
/// lists us as.
pub(super) fn connect_options(name: &str, login: &Login, secured: bool) -> Value {
    let signature = login.signature.as_ref();
    without_nulls(json!({
        "verbose": false,
        "pedantic": false,
        "tls_required": secured,
        "name": name,
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        // 1: the server may announce other servers at any time.
        "protocol": 1,
        // Messages to ourselves come back: that is how a link shows that it is alive.
        "echo": true,
        "headers": true,
        "no_responders": true,
        "user": login.user,
        "pass": login.password,
        "auth_token": login.token,
        "jwt": login.jwt,
        "nkey": login.nkey,
        // As in URLs, without padding.
        "sig": signature.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)),
    }))
}

/// `json` without its members that are null: they count as absent.
fn without_nulls(mut json: Value) -> Value {
    if let Value::Object(members) = &mut json {
        members.retain(|_, value| !value.is_null());
    }
    json
}
