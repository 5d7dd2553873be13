//! Whether and when an attempt is repeated.
//!
//! Backoff is exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015):
//! callers that failed together do not come back together. The budget is Finagle's and Linkerd's:
//! retries are a share of the calls, so a dead extension is not met with a multiple of its load.

use std::time::{Duration, Instant};

use super::outcome::Failure;

/// The first retry waits for up to this.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// No retry waits for longer than this.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Retries that the budget grants in a second whatever the number of calls.
const FLOOR_PER_SECOND: u32 = 10;
/// One retry for so many calls: 20 %.
const CALLS_PER_RETRY: u32 = 5;
/// The budget looks at the calls of so many seconds, the current one included.
const WINDOW_SECONDS: usize = 10;

/// Whether a failure may be different the next time: nobody answered in time, nobody was there, or
/// the extension said with a code of 500 and more that it could not. An answer that breaks the
/// protocol, or an error without a code, would come again.
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

/// How many retries one extension may see: in any ten seconds 20 % of its calls, and in any second
/// at least 10. It never lends: over its life it grants at most a retry per five calls and ten per
/// second.
///
/// Calls are counted by whole seconds, so the window is 9 to 10 s long.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    start: Instant,
    /// The current second since `start`.
    second: u64,
    seconds: [Second; WINDOW_SECONDS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    calls: u32,
    retries: u32,
}

impl RetryBudget {
    /// A budget without calls; times given to it later are at or after `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            start: now,
            second: 0,
            seconds: [Second::default(); WINDOW_SECONDS],
        }
    }

    /// Counts a call; its retries are not calls.
    pub fn call(&mut self, now: Instant) {
        if let Some(current) = self.current(now) {
            current.calls = current.calls.saturating_add(1);
        }
    }

    /// Takes one retry from the budget; false when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let retries_now = self.current(now).map_or(0, |second| second.retries);
        let (calls, retries) = self.seconds.iter().fold((0u32, 0u32), |(c, r), second| {
            (
                c.saturating_add(second.calls),
                r.saturating_add(second.retries),
            )
        });
        let granted = retries < calls / CALLS_PER_RETRY || retries_now < FLOOR_PER_SECOND;
        if let (true, Some(current)) = (granted, self.current(now)) {
            current.retries = current.retries.saturating_add(1);
        }
        granted
    }

    /// The counters of the second of `now`; a time before the current second belongs to that.
    fn current(&mut self, now: Instant) -> Option<&mut Second> {
        let second = now.saturating_duration_since(self.start).as_secs();
        let passed = second.saturating_sub(self.second);
        for gone in 1..=passed.min(WINDOW_SECONDS as u64) {
            if let Some(counters) = self.seconds.get_mut(place(self.second + gone)) {
                *counters = Second::default();
            }
        }
        self.second += passed;
        self.seconds.get_mut(place(self.second))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the remainder is below the window's length"
)]
fn place(second: u64) -> usize {
    (second % WINDOW_SECONDS as u64) as usize
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
