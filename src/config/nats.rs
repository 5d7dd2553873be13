//! The NATS connection: where it goes, who it is, how it is protected.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::Surroundings;
use super::nats_address::NatsAddress;
use super::parse::{Rule, list, text};
use super::reader::Reader;
use super::secret::Secret;
use super::subjects::subject;
use super::variables::{
    NATS_CREDS, NATS_INBOX_PREFIX, NATS_NKEY, NATS_PASSWORD, NATS_TLS_CA, NATS_TLS_CERT,
    NATS_TLS_KEY, NATS_TOKEN, NATS_URL, NATS_USER,
};
use crate::domain::subject::Subject;
use crate::domain::text::without_mark;

/// Settings of the NATS connection.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// The servers, at least one.
    pub servers: Vec<NatsAddress>,
    /// Who we are to them.
    pub auth: NatsAuth,
    /// PEM file of the authorities that servers are checked against, instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// What we show to a server that asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// What our own reply subjects begin with. Where it is this user's alone, nobody else can be
    /// allowed to read what extensions answer us.
    pub inbox_prefix: Subject,
}

impl NatsSettings {
    /// Whether a connection has to be secured before anything is said on it, whatever the server:
    /// one address or one TLS file demands it of all, those learned from a cluster included.
    pub fn demands_tls(&self) -> bool {
        let files = self.tls_ca.is_some() || self.client_certificate.is_some();
        files || self.servers.iter().any(|server| server.tls)
    }
}

/// How we authenticate.
#[derive(Debug, Clone)]
pub enum NatsAuth {
    /// By nothing, or by what the server addresses carry.
    None,
    /// A credentials file. Read it at every connection: it is renewed under a running process.
    Creds(PathBuf),
    /// The seed of a user nkey.
    Nkey(Secret),
    /// User and password.
    User {
        /// The user.
        name: String,
        /// Its password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
}

/// PEM files of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<NatsSettings> {
    let surroundings = reader.surroundings;
    let [tls_ca, cert, key] = [&NATS_TLS_CA, &NATS_TLS_CERT, &NATS_TLS_KEY]
        .map(|variable| reader.optional(variable, |text| pem_file(text, surroundings)));
    reader.both_or_neither(&NATS_TLS_CERT, &NATS_TLS_KEY);
    let client_certificate = cert.zip(key);
    let auth = auth(reader);
    let servers = reader.value(&NATS_URL, list(server))?;
    if !matches!(auth, NatsAuth::None) && servers.iter().any(|server| server.login.is_some()) {
        let rule = "holds a login beside another one; give one way to authenticate";
        reader.fault(&NATS_URL, rule);
    }
    Some(NatsSettings {
        servers,
        auth,
        tls_ca,
        client_certificate: client_certificate.map(|(cert, key)| ClientCertificate { cert, key }),
        inbox_prefix: reader.value(&NATS_INBOX_PREFIX, subject)?,
    })
}

/// A file of certificates or keys that the NATS client reads, which knows no byte order mark.
fn pem_file(path: &str, surroundings: &Surroundings<'_>) -> Result<PathBuf, Rule> {
    let bytes = surroundings.bytes(Path::new(path))?;
    match without_mark(&bytes).len() == bytes.len() {
        true => Ok(path.into()),
        false => Err(format!(
            "names {path}, which begins with a byte order mark: save it without"
        )),
    }
}

/// The message never quotes the address, which may carry a password.
fn server(item: &str) -> Result<NatsAddress, Rule> {
    let rule = "must be nats:// or tls:// addresses, separated by commas; one";
    NatsAddress::parse(item).map_err(|error| format!("{rule} {error}"))
}

fn auth(reader: &mut Reader<'_>) -> NatsAuth {
    let creds = reader.readable_file(&NATS_CREDS);
    let nkey = reader.secret(&NATS_NKEY);
    let user = reader.optional(&NATS_USER, text);
    let password = reader.secret(&NATS_PASSWORD);
    let token = reader.secret(&NATS_TOKEN);
    reader.both_or_neither(&NATS_USER, &NATS_PASSWORD);
    reader.at_most_one(&[&NATS_CREDS, &NATS_NKEY, &NATS_USER, &NATS_TOKEN]);
    if let Some(nkey) = &nkey
        && !nkey.first().expose_secret().trim().starts_with("SU")
    {
        reader.fault(&NATS_NKEY, "must be the seed of a user nkey (SU...)");
    }
    match (creds, nkey, user.zip(password), token) {
        (Some(creds), ..) => NatsAuth::Creds(creds),
        (_, Some(nkey), ..) => NatsAuth::Nkey(nkey),
        (_, _, Some((name, password)), _) => NatsAuth::User { name, password },
        (_, _, _, Some(token)) => NatsAuth::Token(token),
        (None, None, None, None) => NatsAuth::None,
    }
}
