//! Whether a notification from one connection reaches another, for `check`.
//!
//! Behind a transaction pooler it does not: the daemon would find changes at its next safety sync
//! only.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use tokio_postgres::AsyncMessage;

use super::address::{Address, Purpose};
use super::error::PostgresError;
use super::limit::within;
use super::session::{Session, SessionError};
use crate::config::DatabaseSettings;

/// A channel that is not used elsewhere: no daemon takes it for a change.
const CHANNEL: &str = "beamline_registry_check";
/// For a notification to come back, and for everything before it.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a notification takes from the one address to the other.
///
/// # Errors
/// No connection, or nothing comes back in time.
pub async fn notification(
    settings: &DatabaseSettings,
    instance_id: &str,
) -> Result<Duration, SessionError> {
    let address = Address::new(&settings.listen, Purpose::Command, instance_id)?;
    let giver = Session::open(&settings.pool, instance_id).await?;
    let trip = async {
        let (client, mut connection) = address.connect().await?;
        let heard = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message? {
                    return Ok(());
                }
            }
            let (what, limit) = ("a notification", ANSWER);
            Err(PostgresError::Late { what, limit })
        };
        let given = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
            let begun = Instant::now();
            giver
                .client()
                .batch_execute(&format!("NOTIFY {CHANNEL}"))
                .await?;
            Ok::<_, PostgresError>(begun)
        };
        let ((), begun) = tokio::try_join!(heard, given)?;
        Ok::<_, PostgresError>(begun.elapsed())
    };
    let taken: Result<_, PostgresError> = within("a notification", ANSWER, trip).await;
    taken.map_err(|error| error.sorted(&address.target).into())
}
