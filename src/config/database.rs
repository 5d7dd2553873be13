//! The database: whether there is one, where it is, and who we are to it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::endpoint::{Endpoint, Parts, endpoint};
use super::parse::{Rule, boolean, list, number, text};
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

const NO_ADDRESS: &str = "neither DB_URL nor DB_HOST is set";

/// The database, and why there is none if that is so.
pub(super) fn read(
    reader: &mut Reader<'_>,
) -> Option<(Option<DatabaseSettings>, Option<&'static str>)> {
    let addressed = reader.is_set(&DB_URL) || reader.is_set(&DB_HOST);
    let enabled = reader.value_or(&DB_ENABLED, &addressed.to_string(), boolean)?;
    let why_none = match addressed {
        _ if reader.is_set(&DB_ENABLED) && !enabled => Some("DB_ENABLED is false"),
        false => Some(NO_ADDRESS),
        true => None,
    };
    if enabled && !addressed {
        reader.fault(&DB_ENABLED, format!("is true, but {NO_ADDRESS}"));
    }
    if reader.is_set(&DB_LISTEN_URL) && !addressed {
        reader.fault(&DB_LISTEN_URL, "needs DB_URL or DB_HOST to be set too");
    }
    let surroundings = reader.surroundings;
    let url = |text: &str| {
        let url = postgres_url::parse(text)?;
        let file = url.ssl_root_cert.as_deref();
        file.map(|path| surroundings.bytes(path)).transpose()?;
        Ok(url)
    };
    let in_url = reader.optional(&DB_URL, url);
    let listen_url = reader.optional(&DB_LISTEN_URL, url);
    if let Some(url) = &in_url {
        settle_with_parts(reader, url);
    }
    let pool_url = in_url.or(from_hosts(reader)?);
    let parts = Parts {
        name: reader.value(&DB_NAME, text)?,
        user: reader.value(&DB_USER, text)?,
        password: reader.secret(&DB_PASSWORD),
        ssl_mode: reader
            .optional(&DB_SSLMODE, SslMode::parse)
            .filter(|_| reader.is_set(&DB_SSLMODE)),
        ssl_root_cert: reader.readable_file(&DB_SSL_ROOT_CERT),
    };
    let pool_size = reader.value(&DB_POOL_SIZE, number(1..=1000))?;
    let files = [&DB_URL, &DB_LISTEN_URL].map(|variable| reader.secret_file(variable));
    let [file, listen_file] = files;
    let database = pool_url.filter(|_| enabled).map(|url| {
        let pool = endpoint(url, &parts, file);
        let listen = listen_url.map(|url| endpoint(url, &parts, listen_file));
        DatabaseSettings {
            listen: listen.unwrap_or_else(|| pool.clone()),
            pool,
            pool_size,
        }
    });
    Some((database, why_none))
}

/// The same as a URL with all of DB_HOST and DB_PORT in it; without DB_HOST there is none.
fn from_hosts(reader: &mut Reader<'_>) -> Option<Option<PostgresUrl>> {
    let host = |host: &str| {
        Ok(format!(
            "host={}&",
            utf8_percent_encode(host, NON_ALPHANUMERIC)
        ))
    };
    let hosts = reader.optional(&DB_HOST, list(host)).unwrap_or_default();
    let ports = reader.value(&DB_PORT, list(port))?;
    if ports.len() > 1 && hosts.len() > 0 && ports.len() != hosts.len() {
        reader.fault(
            &DB_PORT,
            "must be one port, or as many as DB_HOST has hosts",
        );
    }
    let url = format!("postgres://?{}port={}", hosts.concat(), ports.join(","));
    Some(postgres_url::parse(&url).ok())
}

/// A Kubernetes service named `extension-registry-db` injects `EXTENSION_REGISTRY_DB_PORT`, which
/// is worth a word more than that it is no number.
fn port(item: &str) -> Result<String, Rule> {
    let port = number(1..=u16::MAX)(item).map(|port| port.to_string());
    port.map_err(|rule| match item.starts_with("tcp://") {
        true => format!("{rule}; this looks like a Kubernetes service link: `enableServiceLinks: false` turns them off"),
        false => rule,
    })
}

/// A host, name, user or password that is given twice is more likely a mistake than an override.
/// (The listener's URL may well differ: it fills its own gaps only.) What the URL alone says is
/// shown as such, rather than a default that does not hold.
fn settle_with_parts(reader: &mut Reader<'_>, url: &PostgresUrl) {
    for (part, in_url, overrides) in [
        (&DB_HOST, true, false),
        (&DB_PORT, true, false),
        (&DB_NAME, url.config.get_dbname().is_some(), false),
        (&DB_USER, url.config.get_user().is_some(), false),
        (&DB_PASSWORD, url.config.get_password().is_some(), false),
        (&DB_SSLMODE, url.ssl_mode.is_some(), true),
        (&DB_SSL_ROOT_CERT, url.ssl_root_cert.is_some(), true),
    ] {
        if in_url {
            reader.show(part, "(in DB_URL)");
        }
        if in_url && !overrides && reader.is_set(part) {
            reader.fault(part, "is set, and DB_URL has one too; give one of them");
        }
    }
}
