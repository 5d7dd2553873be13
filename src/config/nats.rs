//! The NATS connection: where it goes, who it is, how it is protected.

use std::path::PathBuf;

use secrecy::SecretString;

use super::nats_address::NatsAddress;
use super::parse::{self, Rule};
use super::reader::Reader;
use super::secret::Secret;
use super::variables::{
    NATS_CREDS, NATS_INBOX_PREFIX, NATS_NKEY, NATS_PASSWORD, NATS_TLS_CA, NATS_TLS_CERT,
    NATS_TLS_KEY, NATS_TOKEN, NATS_URL, NATS_USER, Variable,
};
use crate::domain::subject::Subject;

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
    let servers = reader.value(&NATS_URL, |text| parse::list(text, server));
    let auth = auth(reader);
    let tls_ca = reader.nats_pem_file(&NATS_TLS_CA);
    let cert = reader.nats_pem_file(&NATS_TLS_CERT);
    let key = reader.nats_pem_file(&NATS_TLS_KEY);
    require_both(reader, &NATS_TLS_CERT, &NATS_TLS_KEY);
    let client_certificate = match (cert?, key?) {
        (Some(cert), Some(key)) => Some(ClientCertificate { cert, key }),
        _ => None,
    };
    let inbox_prefix = reader.value(&NATS_INBOX_PREFIX, inbox_prefix);
    let (servers, auth) = (servers?, auth?);
    if !matches!(auth, NatsAuth::None) && servers.iter().any(|server| server.login.is_some()) {
        let rule = "holds a login beside another one; give one way to authenticate";
        reader.fault(&NATS_URL, rule.to_owned());
    }
    Some(NatsSettings {
        servers,
        auth,
        tls_ca: tls_ca?,
        client_certificate,
        inbox_prefix: inbox_prefix?,
    })
}

fn inbox_prefix(text: &str) -> Result<Subject, Rule> {
    match Subject::parse(text.trim()) {
        Ok(subject) if subject.as_str().starts_with('$') => {
            Err("must not begin with `$`, which is the server's".to_owned())
        }
        Ok(subject) => Ok(subject),
        Err(error) => Err(format!("must be a subject, but {error}")),
    }
}

/// The message never quotes the address, which may carry a password.
fn server(item: &str) -> Result<NatsAddress, Rule> {
    NatsAddress::parse(item.trim()).map_err(|error| {
        format!("must be nats:// or tls:// addresses, separated by commas; one {error}")
    })
}

fn auth(reader: &mut Reader<'_>) -> Option<NatsAuth> {
    let creds = reader.readable_file(&NATS_CREDS);
    let seed = reader.optional(&NATS_NKEY, |text| match text.trim() {
        seed if seed.starts_with("SU") => Ok(SecretString::from(seed)),
        _ => Err("must be the seed of a user nkey (SU...)".to_owned()),
    });
    let file = reader.secret_file(&NATS_NKEY);
    let nkey = seed.map(|seed| seed.map(|seed| Secret::new(seed, file)));
    let user = reader.optional(&NATS_USER, parse::text);
    let password = reader.secret(&NATS_PASSWORD);
    let token = reader.secret(&NATS_TOKEN);
    require_both(reader, &NATS_USER, &NATS_PASSWORD);
    let chosen: Vec<&'static Variable> = [&NATS_CREDS, &NATS_NKEY, &NATS_USER, &NATS_TOKEN]
        .into_iter()
        .filter(|variable| reader.is_set(variable))
        .collect();
    if let [first, others @ ..] = chosen.as_slice() {
        for other in others {
            let rule = format!("is set beside {}; give one way to authenticate", first.name);
            reader.fault(other, rule);
        }
    }
    let (creds, nkey, user) = (creds?, nkey?, user?);
    let (password, token) = (password?, token?);
    Some(match (creds, nkey, user.zip(password), token) {
        (Some(creds), ..) => NatsAuth::Creds(creds),
        (_, Some(nkey), ..) => NatsAuth::Nkey(nkey),
        (_, _, Some((name, password)), _) => NatsAuth::User { name, password },
        (_, _, _, Some(token)) => NatsAuth::Token(token),
        (None, None, None, None) => NatsAuth::None,
    })
}

/// Faults whichever of two variables is set without the other.
fn require_both(reader: &mut Reader<'_>, one: &Variable, other: &Variable) {
    for (given, missing) in [(one, other), (other, one)] {
        if reader.is_set(given) && !reader.is_set(missing) {
            reader.fault(given, format!("needs {} to be set too", missing.name));
        }
    }
}
