//! The database: where it is, who we are to it, and how soon a dead connection is noticed.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

use super::parse::{self, Rule};
use super::postgres_url::{self, PostgresUrl};
use super::reader::Reader;
use super::secret::{self, Secret, UnreadableSecret};
use super::ssl_mode::SslMode;
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
    login: Login,
    /// How the connection is encrypted and the server checked.
    pub ssl_mode: SslMode,
    /// PEM file of the authorities it is checked against, instead of the system's.
    pub ssl_root_cert: Option<PathBuf>,
}

/// Where the password is renewed.
#[derive(Debug, Clone)]
enum Login {
    /// There is none, or it cannot change.
    Fixed,
    /// In a file of its own.
    Password(Secret),
    /// In the file with the whole URL.
    Url(PathBuf),
}

impl Endpoint {
    /// The driver's configuration of a connection that shows as `application_name` in
    /// `pg_stat_activity`, with the password as it was at the start. TLS is the connector's: see
    /// `ssl_mode` and `ssl_root_cert`.
    pub fn config(&self, application_name: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(application_name);
        config
    }

    /// Puts the user and the password that are valid now into `config`; of a URL nothing else,
    /// for where the database is does not change under a running process.
    ///
    /// # Errors
    /// The file cannot be read; `config` is as it was.
    pub fn renew_login(&self, config: &mut Config) -> Result<(), UnreadableSecret> {
        match &self.login {
            Login::Fixed => {}
            Login::Password(password) => {
                config.password(password.current()?.expose_secret());
            }
            Login::Url(file) => {
                // One that is no URL any more leaves what there was, which the server will judge.
                if let Ok(url) = postgres_url::parse(secret::read(file)?.expose_secret()) {
                    url.config.get_user().map(|user| config.user(user));
                    url.config.get_password().map(|word| config.password(word));
                }
            }
        }
        Ok(())
    }
}

/// What stands beside a URL, and fills the gaps in it.
struct Parts {
    name: String,
    user: String,
    password: Option<Secret>,
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<PathBuf>,
}

/// Why there is no database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum NoDatabase {
    #[error("DB_ENABLED is false")]
    Disabled,
    #[error("neither DB_URL nor DB_HOST is set")]
    NoAddress,
}

/// The database, or why there is none.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Result<DatabaseSettings, NoDatabase>> {
    let addressed = reader.is_set(&DB_URL) || reader.is_set(&DB_HOST);
    let enabled = reader.value_or(&DB_ENABLED, parse::boolean, || addressed.to_string());
    let readable = reader.readable();
    let url = |text: &str| {
        let url = postgres_url::parse(text)?;
        url.ssl_root_cert.as_deref().map(&readable).transpose()?;
        Ok(url)
    };
    let pool_url = reader.optional(&DB_URL, url);
    let listen_url = reader.optional(&DB_LISTEN_URL, url);
    let hosts = reader.optional(&DB_HOST, |text| parse::list(text, parse::text));
    let ports = reader.value(&DB_PORT, |text| parse::list(text, port));
    let parts = parts(reader);
    let pool_size = reader.number(&DB_POOL_SIZE, 1..=1000);

    if enabled == Some(true) && !addressed {
        reader.fault(
            &DB_ENABLED,
            format!("is true, but {}", NoDatabase::NoAddress),
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
        settle_with_parts(reader, url);
    }

    // Said before anything faulty is given up on, so that the source can find its own fault.
    if !addressed || enabled == Some(false) {
        let disabled = reader.is_set(&DB_ENABLED) && enabled == Some(false);
        return Some(Err(match disabled {
            true => NoDatabase::Disabled,
            false => NoDatabase::NoAddress,
        }));
    }

    let (pool_url, hosts, ports, parts) = (pool_url?, hosts?, ports?, parts?);
    let pool = match pool_url {
        Some(url) => url,
        None => from_hosts(reader, hosts.unwrap_or_default(), ports)?,
    };
    let file = |variable| reader.secret_file(variable);
    let pool = endpoint(pool, &parts, file(&DB_URL));
    let listen = match listen_url? {
        Some(url) => endpoint(url, &parts, file(&DB_LISTEN_URL)),
        None => pool.clone(),
    };
    Some(Ok(DatabaseSettings {
        pool,
        listen,
        pool_size: pool_size?,
    }))
}

/// A Kubernetes service named `extension-registry-db` injects `EXTENSION_REGISTRY_DB_PORT`, which
/// is worth a word more than that it is no number.
fn port(item: &str) -> Result<u16, Rule> {
    parse::number(item, &(1..=u16::MAX)).map_err(|rule| match item.starts_with("tcp://") {
        true => format!("{rule}; this looks like a Kubernetes service link: `enableServiceLinks: false` turns them off"),
        false => rule,
    })
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
/// listener's URL may well differ: it fills its own gaps only.) What the URL alone says is shown as
/// such, rather than a default that does not hold.
fn settle_with_parts(reader: &mut Reader<'_>, url: &PostgresUrl) {
    for (part, in_url) in [
        (&DB_NAME, url.config.get_dbname().is_some()),
        (&DB_USER, url.config.get_user().is_some()),
        (&DB_PASSWORD, url.config.get_password().is_some()),
    ] {
        if in_url && reader.is_set(part) {
            let rule = "is set, and DB_URL has one too; give one of them";
            reader.fault(part, rule);
        }
    }
    for (part, in_url) in [
        (&DB_HOST, true),
        (&DB_PORT, true),
        (&DB_NAME, url.config.get_dbname().is_some()),
        (&DB_USER, url.config.get_user().is_some()),
        (&DB_SSLMODE, url.ssl_mode.is_some()),
        (&DB_SSL_ROOT_CERT, url.ssl_root_cert.is_some()),
    ] {
        if in_url {
            reader.show(part, "(in DB_URL)");
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

/// Fills the gaps that `url` leaves with `parts` and the defaults above; `file` is where it stands.
fn endpoint(url: PostgresUrl, parts: &Parts, file: Option<PathBuf>) -> Endpoint {
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
    let login = match (config.get_password(), &parts.password, file) {
        (None, Some(password), _) => {
            config.password(password.first().expose_secret());
            Login::Password(password.clone())
        }
        (Some(_), _, Some(file)) => Login::Url(file),
        _ => Login::Fixed,
    };
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
        login,
        ssl_mode,
        ssl_root_cert: parts.ssl_root_cert.clone().or(ssl_root_cert),
    }
}
