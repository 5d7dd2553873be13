//! The rules by which a circuit moves.

use std::time::Duration;

use super::outcome::Outcome;
use super::serials::{Permit, Serials};
use super::settings::Settings;
use super::state::State;
use super::tally::Tally;
use super::tick::Tick;
use super::transition::{Reason, Transition};

/// The longest wait named to a caller refused while trials run: one of them may close at any time.
const TRIAL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The answer to a call that wants to pass, and what asking for it changed.
#[derive(Debug)]
pub struct Admission<P = Permit> {
    /// A permit for one attempt, or none.
    pub permit: Result<P, Refused>,
    /// The circuit half-opened, or an override ran out.
    pub transition: Option<Transition>,
}

/// The circuit lets no call pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When asking again may help.
    pub retry_after: Duration,
}

/// A circuit breaker.
///
/// Moments may arrive slightly out of order, as threads read the clock before they come in here;
/// an earlier one counts as the latest seen.
#[derive(Debug)]
pub struct Breaker {
    pub(super) settings: Settings,
    pub(super) state: State,
    /// Until when an operator holds the state.
    pub(super) held_until: Option<Tick>,
    /// Whether our own link is down, which makes every outcome neutral.
    pub(super) frozen: bool,
    pub(super) tally: Tally,
    /// The same without what routers reported, from the first report on.
    pub(super) own: Option<Box<Tally>>,
    /// Whether it is open, or half open, for what they reported alone.
    pub(super) hearsay: bool,
    pub(super) serials: Serials,
    /// The last open time, from which the next one grows.
    pub(super) last_open_time: Option<Duration>,
    pub(super) latest: Tick,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Settings) -> Self {
        Self {
            tally: Tally::new(settings.window),
            settings,
            state: State::Closed {
                since: Tick::default(),
            },
            own: None,
            hearsay: false,
            held_until: None,
            frozen: false,
            serials: Serials::default(),
            last_open_time: None,
            latest: Tick::default(),
        }
    }

    /// Asks for a permit. The first one after the open time half-opens the circuit; there
    /// is no timer that would.
    pub fn admit(&mut self, now: Tick) -> Admission {
        let now = self.advance(now);
        let mut transition = self.end_override(now);
        if let State::Open { since, until } = self.state
            && now >= until
        {
            let half_open = State::HalfOpen {
                opened_at: since,
                permits_out: 0,
                deadline: now,
            };
            transition = self.change(now, half_open, Reason::OpenTimeOver);
        }
        Admission {
            permit: self.permit(now),
            transition,
        }
    }

    fn permit(&mut self, now: Tick) -> Result<Permit, Refused> {
        if let Some(retry_after) = self.refusal(now) {
            return Err(Refused { retry_after });
        }
        if let State::HalfOpen {
            permits_out,
            deadline,
            ..
        } = &mut self.state
        {
            if *permits_out >= self.settings.half_open_max_requests {
                *permits_out = 0;
                self.serials.forget_permits();
            }
            *permits_out = permits_out.saturating_add(1);
            *deadline = now.plus(self.settings.trial_limit).max(*deadline);
        }
        Ok(self.serials.issue())
    }

    /// Takes the outcome of an attempt, and the time that it took.
    pub fn record(
        &mut self,
        now: Tick,
        permit: Permit,
        outcome: Outcome,
        latency: Duration,
    ) -> Option<Transition> {
        let now = self.advance(now);
        let ended = self.end_override(now);
        let counts = self.serials.counts(&permit) && !self.frozen;
        self.release(permit);
        if counts {
            self.count(now, outcome, latency)
        } else {
            ended
        }
    }

    /// Takes back a permit without an outcome, as of an attempt that was cancelled.
    pub fn release(&mut self, permit: Permit) {
        if let State::HalfOpen { permits_out, .. } = &mut self.state
            && self.serials.holds_permit(&permit)
        {
            *permits_out = permits_out.saturating_sub(1);
        }
    }

    fn count(&mut self, now: Tick, outcome: Outcome, latency: Duration) -> Option<Transition> {
        let failure = match outcome {
            Outcome::Neutral => return None,
            Outcome::Success | Outcome::ReportedSuccess => None,
            Outcome::Failure(kind) => Some(kind),
        };
        let limit = self.settings.slow_calls.map(|slow| slow.latency);
        let slow = limit.is_some_and(|limit| latency >= limit);
        let hearsay = outcome.is_hearsay();
        if hearsay && self.own.is_none() {
            self.own = Some(Box::new(self.tally.clone()));
        }
        self.tally.count(now, failure, slow);
        if let Some(own) = self.own.as_mut().filter(|_| !hearsay) {
            own.count(now, failure, slow);
        }
        match (self.state, failure) {
            (State::HalfOpen { .. }, None) => {
                self.change(now, State::Closed { since: now }, Reason::TrialSucceeded)
            }
            (State::HalfOpen { .. }, Some(_)) => self.open(now, Reason::TrialFailed, hearsay),
            (State::Closed { .. }, _) if self.settings.enabled && self.held_until.is_none() => {
                let reason = self.tally.reason_to_open(now, &self.settings)?;
                self.open(now, reason, false)
            }
            // Held closed or switched off; and to open outdates every permit.
            (State::Closed { .. } | State::Open { .. }, _) => None,
        }
    }

    /// Whether a call now would be refused: open and not due for a trial, or all trials taken. For
    /// routing, which then looks elsewhere; nothing changes.
    pub fn refuses(&self, now: Tick) -> bool {
        let now = now.max(self.latest);
        !self.override_over(now) && self.refusal(now).is_some()
    }

    /// The wait to name to a call that may not pass now.
    pub(super) fn refusal(&self, now: Tick) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } if now < until => Some(until.since(now)),
            State::HalfOpen {
                permits_out,
                deadline,
                ..
            } if permits_out >= self.settings.half_open_max_requests && now < deadline => {
                Some(deadline.since(now).min(TRIAL_RETRY_AFTER))
            }
            _ => None,
        }
    }

    pub(super) fn advance(&mut self, now: Tick) -> Tick {
        self.latest = self.latest.max(now);
        self.latest
    }

    pub(super) fn override_over(&self, now: Tick) -> bool {
        self.held_until.is_some_and(|until| now >= until)
    }

    /// Ends an override that has run out, as the next call would.
    pub fn expire(&mut self, now: Tick) -> Option<Transition> {
        let now = self.advance(now);
        self.end_override(now)
    }

    fn end_override(&mut self, now: Tick) -> Option<Transition> {
        match self.override_over(now) {
            true => self.start_anew(now, Reason::OverrideEnded),
            false => None,
        }
    }

    /// Opens. What reports alone opened stays hearsay until attempts of ours would have opened it too;
    /// `reported` says that a report was what opened it now.
    fn open(&mut self, now: Tick, reason: Reason, reported: bool) -> Option<Transition> {
        let unproved = |own: &Tally| own.reason_to_open(now, &self.settings).is_none();
        let again = reason == Reason::TrialFailed;
        self.hearsay = (self.hearsay || !again) && self.own.as_deref().is_some_and(unproved);
        let hearsay = self.hearsay || reported;
        let open_time = self.next_open_time(now);
        self.last_open_time = Some(open_time);
        let until = now.plus(open_time);
        let opened = self.change(now, State::Open { since: now, until }, reason);
        opened.map(|opened| Transition { hearsay, ..opened })
    }

    /// Twice the last open time, unless the circuit has since been closed for as long as that.
    fn next_open_time(&self, now: Tick) -> Duration {
        let closed_for = match self.state {
            State::Closed { since } => now.since(since),
            State::Open { .. } | State::HalfOpen { .. } => Duration::ZERO,
        };
        let last = self.last_open_time.filter(|last| closed_for < *last);
        let twice = last.map_or(Duration::ZERO, |last| last.saturating_mul(2));
        let longest = self.settings.max_open_time;
        twice.max(self.settings.open_time).min(longest)
    }

    /// Closed, with nothing remembered.
    pub(super) fn start_anew(&mut self, now: Tick, reason: Reason) -> Option<Transition> {
        self.held_until = None;
        self.last_open_time = None;
        self.change(now, State::Closed { since: now }, reason)
    }

    /// Every way from state to state leads through here, so none forgets to outdate permits or, on
    /// closing, to begin a new tally.
    pub(super) fn change(&mut self, now: Tick, state: State, reason: Reason) -> Option<Transition> {
        let transition = Transition {
            from: self.state.name(),
            to: state.name(),
            at: now,
            reason,
            retry_at: match state {
                State::Open { until, .. } => until.due(),
                State::Closed { .. } | State::HalfOpen { .. } => None,
            },
            failures: self.tally.failures,
            last_failure: self.tally.last_failure,
            hearsay: false,
        };
        self.serials.change_state();
        if matches!(state, State::Closed { .. }) {
            self.tally = Tally::new(self.settings.window);
            self.own = None;
            self.hearsay = false;
        }
        self.state = state;
        (transition.from != transition.to).then_some(transition)
    }
}
