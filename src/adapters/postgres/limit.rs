//! Nothing waits for Postgres without a limit.
//!
//! A limit that passes while this process stood still is nobody's silence: what has arrived by then
//! has not been read yet. So a timer that fires late gives the answer a little more time.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::error::PostgresError;

/// A timer that fires so much after its time shows that this process stood still.
const LATE: Duration = Duration::from_millis(100);
/// What the answer gets then.
const GRACE: Duration = Duration::from_millis(500);
/// How often it does: a machine that is always late has limits too.
const GRACES: usize = 3;

/// The outcome of `work`, or [`PostgresError::Late`] after `limit`; `what` names it then.
pub(super) async fn within<T, E>(
    what: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, PostgresError>
where
    PostgresError: From<E>,
{
    match punctual(Instant::now() + limit, work).await {
        Some(outcome) => Ok(outcome?),
        None => Err(PostgresError::Late { what, limit }),
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
pub(super) async fn punctual<T>(mut deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..=GRACES {
        tokio::select! {
            biased;
            outcome = &mut work => return Some(outcome),
            () = sleep_until(deadline) => {}
        }
        let now = Instant::now();
        if now.saturating_duration_since(deadline) < LATE {
            break;
        }
        deadline = now + GRACE;
    }
    None
}

#[cfg(test)]
mod tests {
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
        assert!(begun.elapsed() < limit + LATE);
    }
}
