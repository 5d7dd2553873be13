//! A Postgres URL as libpq's users write it.
//!
//! `tokio_postgres` refuses `sslmode=verify-ca`, `sslmode=verify-full` and `sslrootcert`, since it
//! leaves TLS to others. They are taken out of the URL here and honoured.

use std::error::Error;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;

use super::parse::Rule;
use super::ssl_mode::SslMode;

/// What a URL may set to something else, times in seconds. An attempt to connect is bounded, per
/// host. A silent connection is probed early: the system's own default is two hours. Sent data must
/// be acknowledged (Linux only).
const DEFAULTS: &str = "target_session_attrs=read-write&connect_timeout=5&keepalives_idle=10\
    &keepalives_interval=5&keepalives_retries=3&tcp_user_timeout=15";

/// A URL taken apart. No `Debug`: `tokio_postgres` hides the password, but not what a user may
/// have put into `options`.
pub(super) struct PostgresUrl {
    pub(super) config: Config,
    pub(super) ssl_mode: Option<SslMode>,
    pub(super) ssl_root_cert: Option<PathBuf>,
}

/// Takes `text` apart. No rule quotes any part of it but the names of parameters.
pub(super) fn parse(text: &str) -> Result<PostgresUrl, Rule> {
    let text = text.trim();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err("must begin with postgres:// or postgresql://".to_owned());
    }
    if text.matches('@').count() > 1 {
        return Err("must write `@` in a user name or password as `%40`".to_owned());
    }
    // A `?` before the `@` belongs to the password, as `tokio_postgres` sees it too.
    let host = text.find('@').map_or(0, |at| at + 1);
    let query = text.get(host..).and_then(|rest| rest.find('?'));
    let (place, query) = text.split_at(query.map_or(text.len(), |query| host + query));

    let (mut ssl_mode, mut ssl_root_cert) = (None, None);
    let mut kept = vec![DEFAULTS];
    let parameters = query.trim_start_matches('?').split('&');
    for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => {
                let mode = SslMode::parse(mode);
                ssl_mode = Some(mode.map_err(|rule| format!("has an sslmode, which {rule}"))?);
            }
            // `system` is libpq's word for the authorities of the operating system.
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", path)) => {
                let path = percent_decode_str(path).decode_utf8_lossy();
                ssl_root_cert = Some(PathBuf::from(&*path));
            }
            _ => kept.push(parameter),
        }
    }
    let config = format!("{place}?{}", kept.join("&")).parse();
    let config: Config = config.map_err(|error: tokio_postgres::Error| {
        let source = error.source().map(ToString::to_string);
        format!("is not a Postgres URL: {}", source.unwrap_or_default())
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("must name a host".to_owned());
    }
    Ok(PostgresUrl {
        config,
        ssl_mode,
        ssl_root_cert,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tls_parameters_are_taken_out_and_the_rest_is_kept() {
        let url = parse(
            "postgres://u:p%40ss@a:1,b/db?sslmode=verify-full&sslrootcert=%2Fca.pem&connect_timeout=3",
        )
        .ok()
        .unwrap();
        assert_eq!(url.ssl_mode, Some(SslMode::VerifyFull));
        assert_eq!(url.ssl_root_cert, Some(PathBuf::from("/ca.pem")));
        assert_eq!(url.config.get_hosts().len(), 2);
        assert_eq!(url.config.get_ports(), [1, 5432]);
        assert_eq!(url.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(
            url.config.get_connect_timeout(),
            Some(&Duration::from_secs(3))
        );
        assert_eq!(url.config.get_keepalives_idle(), Duration::from_secs(10));
    }

    #[test]
    fn faulty_urls_name_the_rule_and_never_the_text() {
        for (text, rule) in [
            ("host=hunter2", "must begin with postgres://"),
            ("mysql://hunter2@a/b", "must begin with postgres://"),
            ("postgres://u:hunter2@x@a/b", "`%40`"),
            ("postgres://u:hunter2@/b", "must name a host"),
            ("postgres://u:hunter2@a:x/b", "port"),
            (
                "postgres://u:hunter2@a/b?sslcert=x",
                "unknown option `sslcert`",
            ),
            (
                "postgres://u:hunter2@a/b?sslmode=maybe",
                "has an sslmode, which must be one of",
            ),
            ("postgres://u:hunter2@a/b?x", "is not a Postgres URL"),
        ] {
            let error = parse(text).err().unwrap();
            assert!(error.contains(rule), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
