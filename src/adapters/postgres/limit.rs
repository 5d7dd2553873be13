//! Nothing waits for Postgres without a limit.

use std::time::Duration;

use super::error::PostgresError;

use crate::service::clock::standstill::timeout;

/// The outcome of `work`, or [`PostgresError::Late`] after `limit`; `what` names it then.
pub(super) async fn within<T, E>(
    what: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, PostgresError>
where
    PostgresError: From<E>,
{
    let late = |_elapsed| PostgresError::Late { what, limit };
    Ok(timeout(limit, work).await.map_err(late)??)
}
