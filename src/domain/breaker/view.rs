//! What a circuit shows: listings, health and routing read this.

use super::machine::Breaker;
use super::state::{CircuitState, State};
use super::tally::Tally;
use super::tick::Tick;

/// A circuit at one moment. Figures are those since it last closed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// The state. An open circuit whose time is over stays open until a call comes.
    pub state: CircuitState,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Failures per call over the window; `None` before the first call.
    pub error_rate: Option<f64>,
    /// Successes per call over the window; `None` below the minimum of requests.
    pub success_rate: Option<f64>,
    /// The time of the earliest failure of the window, to the millisecond.
    pub first_failure: Option<Tick>,
    /// When it last opened, unless it is closed.
    pub opened_at: Option<Tick>,
    /// When the first trial may pass, or the override ends; only while open, and not where it is held
    /// open without an end.
    pub retry_at: Option<Tick>,
    /// Trial calls without an outcome; only while half-open.
    pub trials_out: u32,
    /// Until when an operator holds it in this state.
    pub forced_until: Option<Tick>,
    /// Whether it is not closed for what routers reported alone.
    pub hearsay: bool,
    /// Whether outcomes are ignored because our own link is down.
    pub frozen: bool,
}

impl Breaker {
    /// The circuit at `now`; nothing changes.
    pub fn view(&self, now: Tick) -> View {
        let now = now.max(self.latest);
        let over = self.override_over(now);
        let fresh;
        let (state, tally) = if over {
            fresh = Tally::new(self.settings.window);
            (State::Closed { since: now }, &fresh)
        } else {
            (self.state, &self.tally)
        };
        let counts = tally.window.counts(now);
        let enough = counts.calls >= self.settings.minimum_requests;
        let (retry_at, trials_out) = match state {
            State::Closed { .. } => (None, 0),
            State::Open { until, .. } => (until.due(), 0),
            State::HalfOpen { permits_out, .. } => (None, permits_out),
        };
        View {
            state: state.name(),
            consecutive_failures: tally.consecutive,
            error_rate: counts.error_rate(),
            success_rate: counts.success_rate().filter(|_| enough),
            first_failure: tally.window.first_failure(now),
            opened_at: state.opened_at(),
            retry_at,
            trials_out,
            forced_until: self.held_until.filter(|_| !over),
            hearsay: self.hearsay && !over,
            frozen: self.frozen,
        }
    }
}
