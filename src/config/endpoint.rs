//! One address of the database: a URL, and what fills the gaps in it.

use std::error::Error;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use tokio_postgres::Config;

use super::parse::{Rule, word};
use super::secret::{self, Secret};
use super::ssl_mode::SslMode;
use super::variables::DatabaseValues;

/// What a URL may set to something else, times in seconds. An attempt to connect is bounded, per
/// host. A silent connection is probed early: the system's own default is two hours. Sent data must
/// be acknowledged (Linux only).
const DEFAULTS: &str = "target_session_attrs=read-write&connect_timeout=5&keepalives_idle=10\
    &keepalives_interval=5&keepalives_retries=3&tcp_user_timeout=15";

/// One address of the database, with all that is needed to connect to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(super) config: Config,
    login: Login,
    /// `None` while it is open.
    pub(super) ssl_mode: Option<SslMode>,
    /// PEM file of the authorities that the server is checked against, instead of the system's.
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
    /// Reads a URL as libpq's users write it. `tokio_postgres` refuses `sslmode=verify-ca`,
    /// `sslmode=verify-full` and `sslrootcert`, since it leaves TLS to others: they are taken out
    /// here and honoured. No rule quotes any part of it but the names of parameters.
    pub(super) fn parse(text: &str) -> Result<Self, Rule> {
        let text = text.trim();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err("must begin with postgres:// or postgresql://".to_owned());
        }
        // What is after an `@` counts as the host, so there must be none among parameters.
        let misplaced = |(login, _): (&str, _)| {
            let mut parameters = login.split(['?', '&']).skip(1);
            parameters.any(|it| it.starts_with("user=") || it.starts_with("password="))
        };
        if text.matches('@').count() > 1 || text.split_once('@').is_some_and(misplaced) {
            return Err("must write `@` in a user name or password as `%40`".to_owned());
        }
        // A `?` before the `@` belongs to the password, as `tokio_postgres` sees it too.
        let host = text.find('@').map_or(0, |at| at + 1);
        let query = text.get(host..).and_then(|rest| rest.find('?'));
        let (place, query) = text.split_at(query.map_or(text.len(), |query| host + query));

        let (mut ssl_mode, mut ssl_root_cert, mut system) = (None, None, false);
        let mut kept = vec![DEFAULTS];
        let parameters = query.trim_start_matches('?').split('&');
        for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => {
                    let mode = word(&SslMode::ALL, SslMode::as_str)(mode);
                    ssl_mode = Some(mode.map_err(|rule| format!("has an sslmode, which {rule}"))?);
                }
                // libpq's word for the authorities of the operating system.
                Some(("sslrootcert", "system")) => system = true,
                Some(("sslrootcert", path)) => {
                    let path = percent_decode_str(path).decode_utf8_lossy();
                    ssl_root_cert = Some(PathBuf::from(&*path));
                }
                _ => kept.push(parameter),
            }
        }
        // As libpq: by default they would be looked up and not used.
        ssl_mode = ssl_mode.or(system.then_some(SslMode::VerifyFull));
        let config = format!("{place}?{}", kept.join("&")).parse();
        let config: Config = config.map_err(|error: tokio_postgres::Error| {
            let source = error.source().map(ToString::to_string);
            format!("is not a Postgres URL: {}", source.unwrap_or_default())
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("must name a host".to_owned());
        }
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
        let ports = config.get_ports();
        if ports.contains(&0) || ports.len() > 1 && ports.len() != hosts {
            let rule = "must have one port, or as many as hosts, each from 1 to 65535";
            return Err(rule.to_owned());
        }
        Ok(Self {
            config,
            login: Login::Fixed,
            ssl_mode,
            ssl_root_cert,
        })
    }

    /// Fills the gaps in it from the settings beside it; `file` is the file with the URL.
    pub(super) fn fill(
        &mut self,
        beside: &DatabaseValues,
        password: Option<&Secret>,
        file: Option<PathBuf>,
    ) {
        let config = &mut self.config;
        if config.get_dbname().is_none() {
            config.dbname(&beside.name);
        }
        if config.get_user().is_none() {
            config.user(&beside.user);
        }
        match (config.get_password(), password, file) {
            (None, Some(password), _) => {
                config.password(password.first().expose_secret());
                self.login = Login::Password(password.clone());
            }
            (Some(_), _, Some(file)) => self.login = Login::Url(file),
            _ => {}
        }
        let ssl_mode = *self.ssl_mode.get_or_insert(beside.ssl_mode);
        config.ssl_mode(ssl_mode.for_driver());
        let in_url = self.ssl_root_cert.take();
        self.ssl_root_cert = beside.ssl_root_cert.clone().or(in_url);
    }

    /// How the connection is encrypted and the server checked.
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl_mode.unwrap_or(SslMode::Prefer)
    }

    /// The driver's configuration of a connection that shows as `application_name` in
    /// `pg_stat_activity`, with the password as it was at the start. TLS is the connector's: see
    /// `ssl_mode` and `ssl_root_cert`.
    pub fn config(&self, application_name: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(application_name);
        config
    }

    /// Puts the current user and password into `config`. Takes nothing else from a URL: the address
    /// of the database does not change under a running process.
    ///
    /// # Errors
    /// The file cannot be read, or there is no URL with a password in it; `config` is as it was.
    pub fn renew_login(&self, config: &mut Config) -> Result<(), String> {
        match &self.login {
            Login::Fixed => {}
            Login::Password(password) => {
                config.password(password.current()?.expose_secret());
            }
            Login::Url(file) => {
                // The rule that it breaks may name a parameter, which in a torn text is anything.
                let url = Self::parse(secret::read(file)?.expose_secret()).ok();
                let password = url.as_ref().and_then(|url| url.config.get_password());
                let (Some(url), Some(password)) = (&url, password) else {
                    let rule = "cannot be read: it is not a Postgres URL with a password";
                    return Err(format!("{} {rule}", file.display()));
                };
                url.config.get_user().map(|user| config.user(user));
                config.password(password);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::{Settings, Surroundings};
    use super::*;

    #[test]
    fn a_login_is_renewed_from_a_url_and_from_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://ann:first@a/db").unwrap();
        let name = "EXTENSION_REGISTRY_DB_URL_FILE".into();
        let surroundings = Surroundings {
            env: BTreeMap::from([(name, file.clone().into())]),
            ..Surroundings::of_process()
        };
        let (settings, ..) = Settings::load(BTreeMap::new(), &surroundings).unwrap();
        let endpoint = settings.database.unwrap().pool;
        let renewed = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let mut config = endpoint.config("test");
            let outcome = endpoint.renew_login(&mut config);
            let login = (config.get_user(), config.get_password());
            let login = format!("{} {:?}", login.0.unwrap(), login.1.map(str::from_utf8));
            (login, outcome)
        };
        assert_eq!(
            renewed("postgres://bob:second@elsewhere/db\n"),
            ("bob Some(Ok(\"second\"))".to_owned(), Ok(()))
        );
        for useless in [
            "second",
            "postgres://bob:second?a/db",
            "postgres://bob:1?second=1",
            "postgres://bob@a/db",
            "",
        ] {
            let (login, outcome) = renewed(useless);
            assert_eq!(login, "ann Some(Ok(\"first\"))", "{useless}");
            let error = outcome.unwrap_err();
            assert!(error.contains("url cannot be read: it is "), "{error}");
            assert!(!error.contains("second"), "{error}");
        }
    }

    #[test]
    fn tls_parameters_are_taken_out_and_the_rest_is_kept() {
        let url = Endpoint::parse(
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
    fn the_systems_authorities_are_used_unless_a_mode_says_otherwise() {
        for (parameters, mode) in [
            ("sslrootcert=system", SslMode::VerifyFull),
            ("sslmode=require&sslrootcert=system", SslMode::Require),
            ("sslrootcert=system&sslmode=verify-ca", SslMode::VerifyCa),
        ] {
            let url = Endpoint::parse(&format!("postgres://a/b?{parameters}"));
            let url = url.ok().unwrap();
            assert_eq!(url.ssl_mode(), mode, "{parameters}");
            assert_eq!(url.ssl_root_cert, None, "{parameters}");
        }
    }

    #[test]
    fn faulty_urls_name_the_rule_and_never_the_text() {
        for (text, rule) in [
            ("host=hunter2", "must begin with postgres://"),
            ("mysql://hunter2@a/b", "must begin with postgres://"),
            ("postgres://u:hunter2@x@a/b", "`%40`"),
            ("postgres://u:hunter2@/b", "must name a host"),
            ("postgres://u:hunter2@a:x/b", "port"),
            ("postgres://u:hunter2@a:0/b", "each from 1 to 65535"),
            ("postgres://u:hunter2@a/b?port=6432", "as many as hosts"),
            ("postgres://a/b?user=u&password=x@hunter2", "`%40`"),
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
            let error = Endpoint::parse(text).err().unwrap();
            assert!(error.contains(rule), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
