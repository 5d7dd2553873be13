//! Nothing waits for Postgres without a limit.
//!
//! Time in which this process stood still is not counted: what has arrived by then has not been read
//! yet.

use std::time::Duration;

use tokio::time::Instant;

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
    match timeout(limit, work).await {
        Ok(outcome) => Ok(outcome?),
        Err(_elapsed) => Err(PostgresError::Late { what, limit }),
    }
}

/// The same up to a moment that several steps share.
pub(super) async fn until<T, E>(
    what: &'static str,
    deadline: Instant,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, PostgresError>
where
    PostgresError: From<E>,
{
    let limit = deadline.saturating_duration_since(Instant::now());
    within(what, limit, work).await
}

/// The outcome of `work`; `None` when it has none at `deadline`.
pub(super) async fn punctual<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    let limit = deadline.saturating_duration_since(Instant::now());
    timeout(limit, work).await.ok()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    /// A process that stood still finds its timer long past, and the answer in the socket.
    #[tokio::test(start_paused = true)]
    async fn a_limit_that_passed_while_we_stood_still_gives_the_answer_time() {
        let deadline = Instant::now() + Duration::from_secs(1);
        let answer = async {
            tokio::time::sleep(Duration::from_millis(6200)).await;
            7
        };
        let mut waiting = pin!(punctual(deadline, answer));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(waiting.await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_not_waited_for_longer_than_the_limit() {
        let begun = Instant::now();
        let limit = Duration::from_secs(1);
        let silence = std::future::pending::<Result<(), PostgresError>>();
        let late = within("it", limit, silence).await.unwrap_err();
        assert_eq!(late.to_string(), "it took longer than 1s");
        assert!(begun.elapsed() < 2 * limit);
    }
}
