//! One connection for a command that is not the daemon: migrations, checks.

use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::address::{Address, Purpose};
use super::error::{PostgresError, SetupError};
use super::limit::within;
use crate::config::Endpoint;

/// For a new connection.
const CONNECT: Duration = Duration::from_secs(15);

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The settings cannot work.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The server cannot be reached or refuses.
    #[error("{target}: {error}")]
    Connect {
        /// Hosts, ports and database.
        target: String,
        /// What went wrong.
        error: PostgresError,
    },
}

/// A connection and the task that drives it; dropping it ends both.
#[derive(Debug)]
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects once.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn open(endpoint: &Endpoint, instance_id: &str) -> Result<Self, SessionError> {
        let address = Address::new(endpoint, Purpose::Command, instance_id)?;
        let (config, tls) = address.renewed();
        let connected = within("connecting", CONNECT, config.connect(tls)).await;
        let (client, connection) = connected.map_err(|error| SessionError::Connect {
            target: address.target,
            error,
        })?;
        // The client reports what goes wrong to whoever waits for an answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, driver })
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The connection, for transactions.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
