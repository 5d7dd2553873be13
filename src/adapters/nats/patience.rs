//! Time limits for commands to the client.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use tokio::time::error::Elapsed;

use crate::service::clock::standstill::timeout;

/// Like [`timeout`], but pays for a timer only where there is something to wait for: a command
/// nearly always finds room at once.
pub async fn within<F: Future>(limit: Duration, command: F) -> Result<F::Output, Elapsed> {
    let mut command = pin!(command);
    match poll!(command.as_mut()) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => timeout(limit, command).await,
    }
}
