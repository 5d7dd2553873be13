//! What a circuit remembers since it last closed.

use std::time::Duration;

use super::outcome::FailureKind;
use super::settings::Settings;
use super::tick::Tick;
use super::transition::{LastFailure, Reason};
use super::window::Window;

/// Counters of one closed period and of the trials that may end it. Closing starts a new one: with
/// counters for life, one failure after the first recovery would open again.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) window: Window,
    pub(super) consecutive: u32,
    pub(super) failures: u64,
    pub(super) last_failure: Option<LastFailure>,
}

impl Tally {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window: Window::new(window),
            consecutive: 0,
            failures: 0,
            last_failure: None,
        }
    }

    /// Counts one call that failed, or did not.
    pub(super) fn count(&mut self, now: Tick, failure: Option<FailureKind>, slow: bool) {
        self.window.count(now, failure.is_some(), slow);
        match failure {
            None => self.consecutive = 0,
            Some(kind) => {
                self.consecutive = self.consecutive.saturating_add(1);
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(LastFailure { at: now, kind });
            }
        }
    }

    /// Why a closed circuit should open now, if it should.
    pub(super) fn reason_to_open(&self, now: Tick, settings: &Settings) -> Option<Reason> {
        if self.consecutive >= settings.failure_threshold {
            return Some(Reason::ConsecutiveFailures);
        }
        let counts = self.window.counts(now);
        if counts.calls < settings.minimum_requests {
            return None;
        }
        let reaches = |rate: Option<f64>, threshold| rate.is_some_and(|rate| rate >= threshold);
        if reaches(counts.error_rate(), settings.error_rate_threshold) {
            return Some(Reason::ErrorRate);
        }
        let slow = settings.slow_calls?;
        reaches(counts.slow_rate(), slow.rate_threshold).then_some(Reason::SlowCalls)
    }

    /// Gives the window another length. Calls cannot be moved between buckets, so it starts empty.
    pub(super) fn resize_window(&mut self, length: Duration) {
        if self.window.length != length {
            self.window = Window::new(length);
        }
    }
}
