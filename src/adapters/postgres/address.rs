//! Where a connection goes, under which name, and how it is encrypted.

use std::time::Duration;

use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::warn;

use super::error::{PostgresError, SetupError};
use super::limit::within;
use super::tls;
use crate::config::Endpoint;
use crate::domain::words::words;

/// Postgres cuts names of connections to 63 bytes, which would take the purpose off their end.
const MAX_APPLICATION_NAME: usize = 63;

/// For a new connection.
const CONNECT: Duration = Duration::from_secs(15);

words! {
    /// What a connection is for.
    pub enum Purpose {
        /// Notifications.
        Listen = "listen",
        /// Queries.
        Pool = "pool",
        /// A command that is not the daemon.
        Command = "command",
    }
}

impl Purpose {
    /// The connection's name in `pg_stat_activity`. Of an instance id that is too long the end is
    /// kept, which is its random part.
    pub fn application_name(self, instance_id: &str) -> String {
        let purpose = self.as_str();
        let room = MAX_APPLICATION_NAME - "beamline-registry//".len() - purpose.len();
        let id = instance_id
            .get(instance_id.len().saturating_sub(room)..)
            .unwrap_or(instance_id);
        format!("beamline-registry/{id}/{purpose}")
    }
}

/// All that the driver needs to connect.
pub(super) struct Address {
    endpoint: Endpoint,
    config: Config,
    tls: MakeRustlsConnect,
    /// Hosts, ports and database, for messages.
    pub(super) target: String,
}

impl Address {
    pub(super) fn new(
        endpoint: &Endpoint,
        purpose: Purpose,
        instance_id: &str,
    ) -> Result<Self, SetupError> {
        let config = endpoint.config(&purpose.application_name(instance_id));
        Ok(Self {
            endpoint: endpoint.clone(),
            tls: connector(endpoint)?,
            target: target(&config),
            config,
        })
    }

    /// What a pooler tells apart: it may treat one account otherwise than another.
    pub(super) fn route(&self) -> (&str, Option<&str>) {
        (&self.target, self.config.get_user())
    }

    /// For one attempt to connect: passwords and certificates are renewed under a running process,
    /// so their files are read again. What cannot be read now is used as it was at the start.
    pub(super) fn renewed(&self) -> (Config, MakeRustlsConnect) {
        let mut config = self.config.clone();
        if let Err(error) = self.endpoint.renew_login(&mut config) {
            warn!(database = self.target, %error, "the password was not reloaded; the previous one stays in use");
        }
        let tls = connector(&self.endpoint).unwrap_or_else(|error| {
            warn!(database = self.target, %error, "the certificates were not reloaded; the previous ones stay in use");
            self.tls.clone()
        });
        (config, tls)
    }

    /// Connects once.
    pub(super) async fn connect(&self) -> Result<(Client, Driver), PostgresError> {
        let (config, tls) = self.renewed();
        let connecting = async { config.connect(tls).await.map_err(PostgresError::Connect) };
        within("connecting", CONNECT, connecting).await
    }
}

/// What drives a connection.
pub(super) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

fn connector(endpoint: &Endpoint) -> Result<MakeRustlsConnect, SetupError> {
    tls::connector(endpoint.ssl_mode(), endpoint.ssl_root_cert.as_deref())
}

/// `host:port,host:port/database`.
fn target(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(n, host)| {
        // One port may be given for all hosts.
        let port = ports.get(n).or(ports.first()).unwrap_or(&5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => folder.display().to_string(),
        }
    });
    let database = config.get_dbname().unwrap_or_default();
    format!("{}/{database}", hosts.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_what_postgres_keeps() {
        let name = Purpose::Listen.application_name("pod-1");
        assert_eq!(name, "beamline-registry/pod-1/listen");
        let long = format!("{}-end", "x".repeat(80));
        for purpose in [Purpose::Listen, Purpose::Pool] {
            let name = purpose.application_name(&long);
            assert_eq!(name.len(), MAX_APPLICATION_NAME);
            assert!(
                name.ends_with(&format!("-end/{}", purpose.as_str())),
                "{name}"
            );
        }
    }

    #[test]
    fn a_target_names_every_host_and_no_secret() {
        for (url, expected) in [
            ("postgres://u:secret@a,b/beamline", "a:5432,b:5432/beamline"),
            ("postgres://u:secret@a:1,b:2/x", "a:1,b:2/x"),
            ("host=/run/pg dbname=x password=secret", "/run/pg/x"),
        ] {
            assert_eq!(target(&url.parse().unwrap()), expected);
        }
    }
}
