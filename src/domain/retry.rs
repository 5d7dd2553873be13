//! Whether and when an attempt is repeated.
//!
//! Backoff is exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015):
//! callers that failed together do not come back together. Retries are a share of the calls, so a
//! dead extension does not get a multiple of its load.

use std::time::Duration;

use super::outcome::Failure;

/// The first retry waits for up to this.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// No retry waits for longer than this.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The most retries that the budget holds, and those that it begins with.
const MOST_RETRIES: u32 = 10;
/// One retry for this many calls: 20 %.
const CALLS_PER_RETRY: u32 = 5;

/// Whether a failure may be different the next time: no answer in time, no subscriber, or an error
/// code of 500 or above. An answer that breaks the protocol, or an error without a code, would come
/// again.
pub fn retryable(failure: Failure) -> bool {
    match failure {
        Failure::Timeout | Failure::NoResponders | Failure::ErrorReply { code: Some(_) } => true,
        Failure::ErrorReply { code: None } | Failure::EmptyReply | Failure::UndecodableReply => {
            false
        }
    }
}

/// How long retry number `retry` (from 1) waits: a random share, `random` in 0 to 1, of 100 ms
/// doubled with each retry. `None` when it would begin at or past the deadline, `left` from now.
pub fn backoff(retry: u32, random: f64, left: Option<Duration>) -> Option<Duration> {
    let growth = 2u32.saturating_pow(retry.saturating_sub(1));
    let longest = FIRST_BACKOFF.saturating_mul(growth).min(MAX_BACKOFF);
    let wait = longest.mul_f64(random.clamp(0.0, 1.0));
    left.is_none_or(|left| wait < left).then_some(wait)
}

/// How many retries one extension may see: a bucket that starts full and that calls refill.
///
/// Time alone refills nothing: each sidecar has its own bucket, so a rate per second would be
/// granted once by each of a fleet. gRPC's retry throttling works alike.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    /// In calls: [`CALLS_PER_RETRY`] of them pay for a retry.
    paid: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { paid: Self::FULL }
    }
}

impl RetryBudget {
    const FULL: u32 = MOST_RETRIES * CALLS_PER_RETRY;

    /// Counts a call; its retries are not calls.
    pub fn call(&mut self) {
        self.paid = Self::FULL.min(self.paid + 1);
    }

    /// Takes one retry from the budget; false when there is none.
    pub fn take(&mut self) -> bool {
        let left = self.paid.checked_sub(CALLS_PER_RETRY);
        self.paid = left.unwrap_or(self.paid);
        left.is_some()
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
