//! What reads have in common: a revision worth waiting for.

use std::time::Duration;

use crate::service::error::RegistryError;
use crate::service::progress::{DEFAULT_WAIT, MAX_WAIT, Progress};

/// Waits for `min_revision`, if the request names one.
pub async fn wait(
    progress: &Progress,
    min_revision: Option<u64>,
    wait_ms: Option<u64>,
) -> Result<(), RegistryError> {
    let patience = patience(wait_ms)?;
    match min_revision {
        Some(wanted) => progress.reached(wanted, patience).await,
        None => Ok(()),
    }
}

/// How long a request is willing to wait. Too long is refused even where nothing has to be waited
/// for: whether a request is valid must not depend on the moment.
pub fn patience(wait_ms: Option<u64>) -> Result<Duration, RegistryError> {
    let wait = wait_ms.map_or(DEFAULT_WAIT, Duration::from_millis);
    if wait > MAX_WAIT {
        let rule = format!("must be at most {}", MAX_WAIT.as_millis());
        return Err(RegistryError::field("wait_ms", rule));
    }
    Ok(wait)
}
