//! The database: whether there is one, where it is, and who we are to it.

use thiserror::Error;
use tokio_postgres::Config;

use super::endpoint::{Endpoint, Parts, endpoint};
use super::parse::{self, Rule};
use super::postgres_url::{self, PostgresUrl};
use super::reader::Reader;
use super::ssl_mode::SslMode;
use super::variables::{
    DB_ENABLED, DB_HOST, DB_LISTEN_URL, DB_NAME, DB_PASSWORD, DB_POOL_SIZE, DB_PORT,
    DB_SSL_ROOT_CERT, DB_SSLMODE, DB_URL, DB_USER,
};

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
