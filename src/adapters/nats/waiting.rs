//! What all requests have in common: an actor that is well-formed, a revision worth waiting for.

use std::time::Duration;

use super::subjects::Route;
use crate::service::error::RegistryError;
use crate::service::progress::{DEFAULT_WAIT, MAX_WAIT, Progress};

/// The rule for actors, as shown in error messages.
const ACTOR_RULE: &str = "must match [A-Za-z0-9_@=+-]{1,128}";

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

/// Refuses an `as.<actor>` subject whose actor could not be audited.
pub fn check_actor(route: Route, subject: &str) -> Result<(), RegistryError> {
    match route.actor(subject) {
        Some(actor) if !is_actor(actor) => Err(RegistryError::field("actor", ACTOR_RULE)),
        _ => Ok(()),
    }
}

fn is_actor(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_@=+-".contains(&b);
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}
