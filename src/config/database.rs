//! The database: where it is, who we are to it, and how soon a dead connection is noticed.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

use super::parse::{self, Rule};
use super::postgres_url::{self, PostgresUrl};
use super::reader::Reader;
use super::variables::{
    DB_ENABLED, DB_HOST, DB_LISTEN_URL, DB_NAME, DB_PASSWORD, DB_POOL_SIZE, DB_PORT,
    DB_SSL_ROOT_CERT, DB_SSLMODE, DB_URL, DB_USER,
};

/// Bounds one connection attempt, per host. A URL's `connect_timeout` wins.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A silent connection is probed after this; the system's own default is two hours. A URL's
/// `keepalives_idle`, `keepalives_interval` and `keepalives_retries` win.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Sent data must be acknowledged within this (Linux only). A URL's `tcp_user_timeout` wins.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// Settings of the database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where queries go.
    pub pool: Endpoint,
    /// Where LISTEN goes; the same unless `DB_LISTEN_URL` names a direct address.
    pub listen: Endpoint,
    /// Connections in the pool, at least one.
    pub pool_size: usize,
}

/// One address of the database, with all that is needed to connect to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    config: Config,
    /// How the connection is encrypted and the server checked.
    pub ssl_mode: SslMode,
    /// PEM file of the authorities it is checked against, instead of the system's.
    pub ssl_root_cert: Option<PathBuf>,
}

impl Endpoint {
    /// The driver's configuration of a connection that shows as `application_name` in
    /// `pg_stat_activity`. TLS is the connector's: see `ssl_mode` and `ssl_root_cert`.
    pub fn config(&self, application_name: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(application_name);
        config
    }
}

/// How a connection is encrypted and the server checked, as libpq defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can, unchecked.
    Prefer,
    /// Encrypted; checked against the root certificate if there is one.
    Require,
    /// Encrypted, the certificate's authority checked.
    VerifyCa,
    /// Encrypted, authority and host name checked.
    VerifyFull,
}

impl SslMode {
    /// Parses libpq's words.
    pub(super) fn parse(text: &str) -> Result<Self, Rule> {
        parse::word(
            text,
            &[
                ("disable", Self::Disable),
                ("prefer", Self::Prefer),
                ("require", Self::Require),
                ("verify-ca", Self::VerifyCa),
                ("verify-full", Self::VerifyFull),
            ],
        )
    }

    /// The driver knows only whether to encrypt; checking is the connector's.
    fn for_driver(self) -> tokio_postgres::config::SslMode {
        match self {
            Self::Disable => tokio_postgres::config::SslMode::Disable,
            Self::Prefer => tokio_postgres::config::SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        }
    }
}

/// What stands beside a URL, and fills the gaps in it.
struct Parts {
    name: String,
    user: String,
    password: Option<SecretString>,
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<PathBuf>,
}

/// The database, or `None` within when there is none or it is disabled.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Option<DatabaseSettings>> {
    let enabled = reader.optional(&DB_ENABLED, parse::boolean);
    let readable = reader.readable();
    let url = |text: &str| {
        let url = postgres_url::parse(text)?;
        url.ssl_root_cert.as_deref().map(&readable).transpose()?;
        Ok(url)
    };
    let pool_url = reader.optional(&DB_URL, url);
    let listen_url = reader.optional(&DB_LISTEN_URL, url);
    let hosts = reader.optional(&DB_HOST, |text| parse::list(text, parse::text));
    let ports = reader.value(&DB_PORT, |text| {
        parse::list(text, |port| parse::number::<u16>(port, &(1..=u16::MAX)))
    });
    let parts = parts(reader);
    let pool_size = reader.number(&DB_POOL_SIZE, 1..=1000);

    let addressed = reader.is_set(&DB_URL) || reader.is_set(&DB_HOST);
    if enabled == Some(Some(true)) && !addressed {
        reader.fault(
            &DB_ENABLED,
            "is true, but neither DB_URL nor DB_HOST is set",
        );
    }
    if reader.is_set(&DB_LISTEN_URL) && !addressed {
        reader.fault(&DB_LISTEN_URL, "needs DB_URL or DB_HOST to be set too");
    }
    if reader.is_set(&DB_URL) {
        for part in [&DB_HOST, &DB_PORT] {
            if reader.is_set(part) {
                reader.fault(part, "is set beside DB_URL; give one of them");
            }
        }
    }
    if let Some(Some(url)) = &pool_url {
        refuse_contradictions(reader, url);
    }

    let (pool_url, hosts, ports, parts) = (pool_url?, hosts?, ports?, parts?);
    let pool = match (pool_url, hosts) {
        (Some(url), _) => url,
        (None, Some(hosts)) => from_hosts(reader, hosts, ports)?,
        (None, None) => return Some(None),
    };
    let pool = endpoint(pool, &parts);
    let listen = match listen_url? {
        Some(url) => endpoint(url, &parts),
        None => pool.clone(),
    };
    let pool_size = pool_size?;
    let settings = DatabaseSettings {
        pool,
        listen,
        pool_size,
    };
    Some(Some(settings).filter(|_| enabled != Some(Some(false))))
}

fn parts(reader: &mut Reader<'_>) -> Option<Parts> {
    let name = reader.value(&DB_NAME, parse::text);
    let user = reader.value(&DB_USER, parse::text);
    let password = reader.secret(&DB_PASSWORD);
    let ssl_mode = reader.value(&DB_SSLMODE, SslMode::parse);
    let ssl_root_cert = reader.readable_file(&DB_SSL_ROOT_CERT);
    let explicit_mode = reader.is_set(&DB_SSLMODE);
    Some(Parts {
        name: name?,
        user: user?,
        password: password?,
        ssl_mode: Some(ssl_mode?).filter(|_| explicit_mode),
        ssl_root_cert: ssl_root_cert?,
    })
}

/// A name, user or password that is given twice is more likely a mistake than an override. (The
/// listener's URL may well differ: it fills its own gaps only.)
fn refuse_contradictions(reader: &mut Reader<'_>, url: &PostgresUrl) {
    for (part, in_url) in [
        (&DB_NAME, url.config.get_dbname().is_some()),
        (&DB_USER, url.config.get_user().is_some()),
        (&DB_PASSWORD, url.config.get_password().is_some()),
    ] {
        if in_url && reader.is_set(part) {
            reader.fault(part, "is set, and DB_URL has one too; give one of them");
        }
    }
}

fn from_hosts(reader: &mut Reader<'_>, hosts: Vec<String>, ports: Vec<u16>) -> Option<PostgresUrl> {
    if ports.len() > 1 && ports.len() != hosts.len() {
        reader.fault(
            &DB_PORT,
            "must be one port, or as many as DB_HOST has hosts",
        );
        return None;
    }
    let mut config = Config::new();
    for host in hosts {
        config.host(host);
    }
    for port in ports {
        config.port(port);
    }
    Some(PostgresUrl {
        config,
        ssl_mode: None,
        ssl_root_cert: None,
        parameters: Default::default(),
    })
}

/// Fills the gaps that `url` leaves with `parts` and the defaults above.
fn endpoint(url: PostgresUrl, parts: &Parts) -> Endpoint {
    let PostgresUrl {
        mut config,
        ssl_mode,
        ssl_root_cert,
        parameters,
    } = url;
    let unset = |parameter: &str| !parameters.contains(parameter);
    if config.get_dbname().is_none() {
        config.dbname(&parts.name);
    }
    if config.get_user().is_none() {
        config.user(&parts.user);
    }
    if let (None, Some(password)) = (config.get_password(), &parts.password) {
        config.password(password.expose_secret());
    }
    if unset("target_session_attrs") {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if unset("keepalives_idle") {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    if unset("keepalives_interval") {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if unset("keepalives_retries") {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    let ssl_mode = parts.ssl_mode.or(ssl_mode).unwrap_or(SslMode::Prefer);
    config.ssl_mode(ssl_mode.for_driver());
    Endpoint {
        config,
        ssl_mode,
        ssl_root_cert: parts.ssl_root_cert.clone().or(ssl_root_cert),
    }
}
