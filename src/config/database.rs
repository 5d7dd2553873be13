//! The database: whether there is one, its address, and our login.

use std::net::IpAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::endpoint::Endpoint;
use super::parse::{Rule, number};
use super::pem_file::authorities_in;
use super::reader::Reader;
use super::ssl_mode::SslMode;
use super::variables::{
    DB_ENABLED, DB_HOST, DB_LISTEN_URL, DB_NAME, DB_PASSWORD, DB_PORT, DB_SSL_ROOT_CERT,
    DB_SSLMODE, DB_URL, DB_USER, DatabaseValues,
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

/// The database, if there is one.
pub(super) fn settle(
    mut values: DatabaseValues,
    reader: &mut Reader<'_>,
) -> Option<DatabaseSettings> {
    if !reader.is_set(&DB_URL) && !reader.is_set(&DB_HOST) {
        if values.enabled {
            let rule = "is true, but neither DB_URL nor DB_HOST is set";
            reader.fault(&DB_ENABLED, rule);
        }
        if values.listen_url.is_some() {
            reader.fault(&DB_LISTEN_URL, "needs DB_URL or DB_HOST to be set too");
        }
        let parts = [&DB_PORT, &DB_NAME, &DB_USER, &DB_PASSWORD].into_iter();
        let set = parts.filter(|part| reader.is_set(part));
        let idle: Vec<_> = set.map(|part| reader.origin(part).to_string()).collect();
        if !idle.is_empty() && !reader.is_set(&DB_ENABLED) {
            let why = "no effect, as neither DB_URL nor DB_HOST is set";
            reader.warn(format!("{}: {why}", idle.join(", ")));
        }
    }
    for (variable, url) in [(&DB_URL, &values.url), (&DB_LISTEN_URL, &values.listen_url)] {
        let file = url.as_ref().and_then(|url| url.ssl_root_cert.as_deref());
        if let Some(Err(rule)) = file.map(|file| reader.surroundings.bytes(file)) {
            reader.fault(variable, rule);
        }
    }
    if let Some(url) = &values.url {
        beside(url, reader);
    }
    let (hosts, ports) = (values.hosts.take().unwrap_or_default(), &values.ports);
    if ports.len() > 1 && !hosts.is_empty() && ports.len() != hosts.len() {
        let rule = "must be one port, or as many as DB_HOST has hosts";
        reader.fault(&DB_PORT, rule);
    }
    let url = values.url.take().or_else(|| of_hosts(&hosts, ports));
    let listen_url = values.listen_url.take();
    let password = reader.secret(&DB_PASSWORD, values.password.take());
    let filled = |mut url: Endpoint, variable| {
        // What is set by itself replaces what is in the URL.
        url.ssl_mode.take_if(|_| reader.is_set(&DB_SSLMODE));
        url.fill(&values, password.as_ref(), reader.file(variable));
        url
    };
    let pool = filled(url.filter(|_| values.enabled)?, &DB_URL);
    let listen = listen_url.map(|url| filled(url, &DB_LISTEN_URL));
    let mut faults = Vec::new();
    for (url, endpoint) in [(&DB_URL, Some(&pool)), (&DB_LISTEN_URL, listen.as_ref())] {
        let beside = values.ssl_root_cert.is_some();
        let variable = if beside { &DB_SSL_ROOT_CERT } else { url };
        let rule = endpoint.and_then(|endpoint| without_authorities(endpoint, reader));
        faults.extend(rule.map(|rule| (variable, rule)));
    }
    // Both endpoints may have it from one variable.
    faults.dedup_by(|one, other| one.0.name == other.0.name);
    for (variable, rule) in faults {
        reader.fault(variable, rule);
    }
    if pool.ssl_root_cert.is_some() && pool.ssl_mode() == SslMode::Prefer {
        let what = "the database's certificate is not checked, its authorities not used";
        reader.warn(format!("sslmode is `prefer`: {what}"));
    }
    Some(DatabaseSettings {
        listen: listen.unwrap_or_else(|| pool.clone()),
        pool,
        pool_size: values.pool_size,
    })
}

/// The rule that the file of authorities breaks with which `endpoint` checks its server.
fn without_authorities(endpoint: &Endpoint, reader: &Reader<'_>) -> Option<Rule> {
    let rule = reader.broken(endpoint.ssl_root_cert.as_deref()?, authorities_in)?;
    endpoint.ssl_mode().checks_authority(true).then_some(rule)
}

/// The URL of `hosts`, `None` without any. It needs one port, or one for each.
fn of_hosts(hosts: &[String], ports: &[u16]) -> Option<Endpoint> {
    let encoded = |host| utf8_percent_encode(host, NON_ALPHANUMERIC);
    let hosts = hosts.iter().map(|host| format!("host={}", encoded(host)));
    let ports = ports.iter().map(|port| format!("port={port}"));
    let parameters = hosts.chain(ports).collect::<Vec<_>>();
    Endpoint::parse(&format!("postgres://?{}", parameters.join("&"))).ok()
}

/// A name, an IP address or the folder of a socket. The rule quotes nothing: it may be a whole URL.
pub(super) fn host(item: &str) -> Result<String, Rule> {
    let rule = "must be names, IP addresses or folders of sockets; ports go to DB_PORT";
    let inner = item.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let bare = inner.unwrap_or(item);
    // `fe80::1%eth0` names the interface too.
    let address = bare.split('%').next().unwrap_or_default();
    let is_name = |char: char| !char.is_whitespace() && !"/:@[]".contains(char);
    match address.parse::<IpAddr>() {
        Ok(_) => Ok(bare.to_owned()),
        Err(_) if item.starts_with('/') || item.chars().all(is_name) => Ok(item.to_owned()),
        Err(_) => Err(rule.to_owned()),
    }
}

/// A Kubernetes service named `extension-registry-db` injects `EXTENSION_REGISTRY_DB_PORT`, which
/// is worth a word more than that it is no number.
pub(super) fn port(item: &str) -> Result<u16, Rule> {
    number(1..=u16::MAX)(item).map_err(|rule| match item.starts_with("tcp://") {
        true => format!("{rule}; this looks like a Kubernetes service link: `enableServiceLinks: false` turns them off"),
        false => rule,
    })
}

/// A host, name, user or password that is given twice is more likely a mistake than an override.
/// (The listener's URL may well differ: it fills its own gaps only.) What only the URL sets is
/// shown as such, rather than a default that does not hold.
fn beside(url: &Endpoint, reader: &mut Reader<'_>) {
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
            reader.defaults.insert(part.name, "(in DB_URL)".to_owned());
        }
        if in_url && !overrides && reader.is_set(part) {
            reader.fault(part, "is set, and DB_URL has one too; give one of them");
        }
    }
}
