//! One address of the database: what a URL says, and what fills the gaps in it.

use std::path::PathBuf;

use secrecy::ExposeSecret;
use tokio_postgres::Config;

use super::postgres_url::{self, PostgresUrl};
use super::secret::{self, Secret};
use super::ssl_mode::SslMode;

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
    /// The file cannot be read, or there is no URL with a password in it; `config` is as it was.
    pub fn renew_login(&self, config: &mut Config) -> Result<(), String> {
        match &self.login {
            Login::Fixed => {}
            Login::Password(password) => {
                config.password(password.current()?.expose_secret());
            }
            Login::Url(file) => {
                // The rule that it breaks may name a parameter, which in a torn text is anything.
                let url = postgres_url::parse(secret::read(file)?.expose_secret()).ok();
                let password = url.as_ref().and_then(|url| url.config.get_password());
                let (Some(url), Some(password)) = (&url, password) else {
                    let rule = "cannot be read: it is no Postgres URL with a password";
                    return Err(format!("{} {rule}", file.display()));
                };
                url.config.get_user().map(|user| config.user(user));
                config.password(password);
            }
        }
        Ok(())
    }
}

/// What stands beside a URL, and fills the gaps in it.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) ssl_mode: Option<SslMode>,
    pub(super) ssl_root_cert: Option<PathBuf>,
}

/// Fills the gaps that `url` leaves with `parts`; `file` is where it stands.
pub(super) fn endpoint(url: PostgresUrl, parts: &Parts, file: Option<PathBuf>) -> Endpoint {
    let mut config = url.config;
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
    let ssl_mode = parts.ssl_mode.or(url.ssl_mode).unwrap_or(SslMode::Prefer);
    config.ssl_mode(ssl_mode.for_driver());
    Endpoint {
        config,
        login,
        ssl_mode,
        ssl_root_cert: parts.ssl_root_cert.clone().or(url.ssl_root_cert),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_renewed_from_a_url_and_from_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let parts = Parts {
            name: "beamline".to_owned(),
            user: "beamline".to_owned(),
            password: None,
            ssl_mode: None,
            ssl_root_cert: None,
        };
        let url = postgres_url::parse("postgres://ann:first@a/db")
            .ok()
            .unwrap();
        let endpoint = endpoint(url, &parts, Some(file.clone()));
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
}
