//! The NATS connection: its address, its login, its protection.

use std::path::PathBuf;

use nkeys::KeyPair;
use secrecy::SecretString;

use super::credentials::credentials;
use super::nats_address::NatsAddress;
use super::parse::Rule;
use super::pem_file::{authorities_in, certificates_in, private_key_in};
use super::reader::Reader;
use super::secret::Secret;
use super::variables::{
    NATS_CREDS, NATS_NKEY, NATS_PASSWORD, NATS_TLS_CA, NATS_TLS_CERT, NATS_TLS_KEY, NATS_TOKEN,
    NATS_URL, NATS_USER, NatsValues,
};
use crate::domain::subject::Subject;
use crate::domain::text::without_mark;

/// Settings of the NATS connection.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// The servers, at least one.
    pub servers: Vec<NatsAddress>,
    /// Our login.
    pub auth: NatsAuth,
    /// PEM file of the authorities that servers are checked against, instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// What we show to a server that asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// What our own reply subjects begin with. If it is this user's alone, no other user can be
    /// allowed to read what extensions answer us.
    pub inbox_prefix: Subject,
}

impl NatsSettings {
    /// Whether a connection has to be secured before anything is sent on it, whatever the server:
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

pub(super) fn settle(values: NatsValues, reader: &mut Reader<'_>) -> NatsSettings {
    // Files without which no attempt to connect can succeed.
    reader.look(&NATS_TLS_CA, values.tls_ca.as_deref(), authorities_in);
    reader.look(&NATS_TLS_CERT, values.tls_cert.as_deref(), certificates_in);
    reader.look(&NATS_TLS_KEY, values.tls_key.as_deref(), private_key_in);
    reader.look(&NATS_CREDS, values.creds.as_deref(), login_in);
    reader.both_or_neither(&NATS_TLS_CERT, &NATS_TLS_KEY);
    reader.both_or_neither(&NATS_USER, &NATS_PASSWORD);
    let logins = [&NATS_CREDS, &NATS_NKEY, &NATS_USER, &NATS_TOKEN];
    let set = logins.into_iter().filter(|login| reader.is_set(login));
    let set: Vec<_> = set.collect();
    for (one, other) in set.iter().zip(set.iter().skip(1)) {
        let rule = format!("is set beside {}; give one way to authenticate", one.name);
        reader.fault(other, rule);
    }
    if !set.is_empty() && values.servers.iter().any(|server| server.login.is_some()) {
        let rule = "holds a login beside another one; give one way to authenticate";
        reader.fault(&NATS_URL, rule);
    }
    let nkey = reader.secret(&NATS_NKEY, values.nkey);
    let password = reader.secret(&NATS_PASSWORD, values.password);
    let token = reader.secret(&NATS_TOKEN, values.token);
    let auth = match (values.creds, nkey, values.user.zip(password), token) {
        (Some(creds), ..) => NatsAuth::Creds(creds),
        (_, Some(nkey), ..) => NatsAuth::Nkey(nkey),
        (_, _, Some((name, password)), _) => NatsAuth::User { name, password },
        (_, _, _, Some(token)) => NatsAuth::Token(token),
        (None, None, None, None) => NatsAuth::None,
    };
    let certificate = values.tls_cert.zip(values.tls_key);
    NatsSettings {
        servers: values.servers,
        auth,
        tls_ca: values.tls_ca,
        client_certificate: certificate.map(|(cert, key)| ClientCertificate { cert, key }),
        inbox_prefix: values.inbox_prefix,
    }
}

fn login_in(text: &[u8]) -> Result<(), String> {
    let text = str::from_utf8(without_mark(text)).map_err(|_| "is not UTF-8".to_owned())?;
    credentials(text).map(drop).map_err(str::to_owned)
}

/// The message never quotes the address, which may carry a password.
pub(super) fn server(item: &str) -> Result<NatsAddress, Rule> {
    let rule = "must be nats:// or tls:// addresses, separated by commas, with logins \
        percent-encoded; one";
    NatsAddress::parse(item).map_err(|error| format!("{rule} {error}"))
}

/// What a user's nkey is made from. The parser's own words are not passed on: they may quote a part
/// of the seed.
pub(super) fn seed(text: &str) -> Result<SecretString, Rule> {
    let seed = text.trim();
    match seed.starts_with("SU") && KeyPair::from_seed(seed).is_ok() {
        true => Ok(text.into()),
        false => Err("must be the seed of a user nkey (SU..., 58 characters)".to_owned()),
    }
}
