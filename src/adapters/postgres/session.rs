//! One connection for a command that is not the daemon: migrations, checks.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error as DriverError};
use tokio_util::task::AbortOnDropHandle;

use super::address::{Address, Purpose};
use super::error::{PostgresError, describe};
use super::limit::within;
use super::settings;
use crate::config::Endpoint;

/// For the settings of a new connection.
const SETTINGS: Duration = Duration::from_secs(15);

/// Tries at the settings while the server's own limit for a statement cuts them short.
const TRIES: usize = 3;

/// Gives a new connection the settings that all of ours have.
pub(super) async fn apply_settings(client: &Client, purpose: Purpose) -> Result<(), PostgresError> {
    let [limit, others] = settings::session(purpose);
    let mut tries = 1;
    loop {
        let applied = tokio::try_join!(
            biased;
            client.batch_execute(&limit),
            client.batch_execute(&others),
        );
        match applied {
            Err(error) if tries < TRIES && error.code() == Some(&SqlState::QUERY_CANCELED) => {
                tries += 1;
            }
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                return Err(too_old(client, error).await);
            }
            outcome => return Ok(outcome.map(drop)?),
        }
    }
}

/// The error of a server that lacks one of the settings: 14 has all that are set without a look.
async fn too_old(client: &Client, error: DriverError) -> PostgresError {
    let version = "SELECT pg_catalog.current_setting('server_version')";
    let row = client.query_typed_one(version, &[]).await;
    match row.and_then(|row| row.try_get(0)) {
        Ok(version) => PostgresError::TooOld {
            version,
            lacks: describe(&error),
        },
        Err(_) => error.into(),
    }
}

/// A connection and the task that drives it; dropping it ends both.
#[derive(Debug)]
pub struct Session {
    _driver: AbortOnDropHandle<()>,
    client: Client,
}

impl Session {
    /// Connects once.
    ///
    /// # Errors
    /// In words: the settings cannot work, or the server cannot be reached or refuses.
    pub async fn open(endpoint: &Endpoint, instance_id: &str) -> Result<Self, String> {
        let address = Address::new(endpoint, Purpose::Command, instance_id);
        let address = address.map_err(|error| error.to_string())?;
        let session = Self::connect(&address, Purpose::Command).await;
        session.map_err(|error| error.sorted(&address.target).to_string())
    }

    /// The same over an address that is known.
    pub(super) async fn connect(
        address: &Address,
        purpose: Purpose,
    ) -> Result<Self, PostgresError> {
        let (client, connection) = address.connect().await?;
        // The client reports errors to the task that waits for an answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        let session = Self {
            _driver: AbortOnDropHandle::new(driver),
            client,
        };
        let applying = apply_settings(&session.client, purpose);
        within("the settings of the session", SETTINGS, applying).await?;
        Ok(session)
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
