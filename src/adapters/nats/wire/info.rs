//! The server's `INFO` and the client's `CONNECT`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a server reports about itself, as far as a client needs it. Everything has a default:
/// servers leave out what is false or empty, or write null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// The most bytes of a message, headers included.
    pub max_payload: Option<i64>,
    /// Whether it takes headers.
    #[serde(deserialize_with = "or_default")]
    pub headers: bool,
    /// Whether a connection has to be secured.
    #[serde(deserialize_with = "or_default")]
    pub tls_required: bool,
    /// Whether a connection can be secured.
    #[serde(deserialize_with = "or_default")]
    pub tls_available: bool,
    /// What a login by key has to sign.
    #[serde(deserialize_with = "or_default")]
    pub nonce: String,
    /// Other servers of the cluster, as `host:port`.
    #[serde(deserialize_with = "or_default")]
    pub connect_urls: Vec<String>,
    /// Lame duck mode: it is about to go.
    #[serde(deserialize_with = "or_default")]
    pub ldm: bool,
}

/// null is the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    json: D,
) -> Result<T, D::Error> {
    let value: Option<T> = Deserialize::deserialize(json)?;
    Ok(value.unwrap_or_default())
}

/// The login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Login {
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(rename = "pass", skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A token.
    #[serde(rename = "auth_token", skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A user's JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// A public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<String>,
    /// The server's nonce, signed with the key.
    #[serde(
        rename = "sig",
        skip_serializing_if = "Option::is_none",
        serialize_with = "signature"
    )]
    pub signature: Option<Vec<u8>>,
}

/// Base64 as in URLs, without padding.
fn signature<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes.as_deref().unwrap_or_default()))
}

/// The arguments of `CONNECT`.
#[derive(Debug, Serialize)]
pub(super) struct ConnectOptions<'a> {
    pub(super) verbose: bool,
    pub(super) pedantic: bool,
    pub(super) tls_required: bool,
    pub(super) name: &'a str,
    pub(super) lang: &'static str,
    pub(super) version: &'static str,
    /// 1: the server may announce other servers at any time.
    pub(super) protocol: u8,
    /// Messages to ourselves come back: that is how a link shows that it is alive.
    pub(super) echo: bool,
    pub(super) headers: bool,
    pub(super) no_responders: bool,
    #[serde(flatten)]
    pub(super) login: &'a Login,
}
