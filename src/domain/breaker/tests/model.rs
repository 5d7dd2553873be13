//! The breaker once more, naive: it keeps every call and every attempt and searches them each time.
//!
//! Written from the contract, not from the implementation: no serial numbers, no buckets, no
//! counters. Times are whole milliseconds.

use std::collections::BTreeMap;

use super::script::at;
use crate::domain::breaker::*;

/// Lengths of a window in the settings are multiples of this many milliseconds.
const BUCKETS: u64 = 12;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Closed { since: u64 },
    Open { since: u64, until: u64 },
    HalfOpen { opened_at: u64, full_until: u64 },
}

/// A counted call since the circuit last closed.
#[derive(Debug)]
struct Call {
    at: u64,
    failed: bool,
    slow: bool,
    /// Not once the window has been given another length.
    in_window: bool,
}

/// An attempt under way.
#[derive(Debug, Default)]
struct Attempt {
    stale: bool,
    tainted: bool,
    trial: bool,
}

#[derive(Debug)]
pub(super) struct Model {
    settings: Settings,
    clock: u64,
    phase: Phase,
    held: Option<u64>,
    frozen: bool,
    calls: Vec<Call>,
    attempts: BTreeMap<u64, Attempt>,
    last_open_time: Option<u64>,
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: 0,
            phase: Phase::Closed { since: 0 },
            held: None,
            frozen: false,
            calls: Vec::new(),
            attempts: BTreeMap::new(),
            last_open_time: None,
        }
    }

    /// The wait of a refused call, or leave for attempt `id`.
    pub(super) fn admit(&mut self, now: u64, id: u64) -> (Result<(), u64>, Option<Transition>) {
        let mut moved = self.pass(now);
        if let Phase::Open { since, until } = self.phase
            && self.clock >= until
        {
            let phase = Phase::HalfOpen {
                opened_at: since,
                full_until: 0,
            };
            moved = self.go(phase, Reason::OpenTimeOver);
        }
        if let Some(wait) = self.wait(self.clock) {
            return (Err(wait), moved);
        }
        if self.trials_out() >= self.settings.half_open_max_requests {
            self.attempts.values_mut().for_each(|a| a.trial = false);
        }
        let trial = if let Phase::HalfOpen { full_until, .. } = &mut self.phase {
            *full_until = (*full_until).max(self.clock + millis(self.settings.trial_limit));
            true
        } else {
            false
        };
        self.attempts.insert(
            id,
            Attempt {
                trial,
                ..Attempt::default()
            },
        );
        (Ok(()), moved)
    }

    pub(super) fn record(
        &mut self,
        now: u64,
        id: u64,
        outcome: Outcome,
        latency: u64,
    ) -> Option<Transition> {
        let moved = self.pass(now);
        let attempt = self.attempts.remove(&id).unwrap();
        if self.frozen || attempt.stale || attempt.tainted || outcome == Outcome::Neutral {
            return moved;
        }
        let failed = outcome != Outcome::Success;
        let slow = self.settings.slow_calls;
        self.calls.push(Call {
            at: self.clock,
            failed,
            slow: slow.is_some_and(|slow| latency >= millis(slow.latency)),
            in_window: true,
        });
        match self.phase {
            Phase::HalfOpen { .. } if failed => self.open(Reason::TrialFailed),
            Phase::HalfOpen { .. } => {
                self.go(Phase::Closed { since: self.clock }, Reason::TrialSucceeded)
            }
            _ if self.held.is_some() || !self.settings.enabled => None,
            _ => self.reason().and_then(|reason| self.open(reason)),
        }
    }

    pub(super) fn release(&mut self, id: u64) {
        self.attempts.remove(&id).unwrap();
    }

    pub(super) fn force_open(&mut self, now: u64, until: u64) -> Option<Transition> {
        self.clock = self.clock.max(now);
        if !self.settings.enabled {
            return None;
        }
        self.held = Some(until);
        let since = match self.phase {
            Phase::Closed { .. } => self.clock,
            Phase::Open { since, .. } => since,
            Phase::HalfOpen { opened_at, .. } => opened_at,
        };
        self.go(Phase::Open { since, until }, Reason::Forced)
    }

    pub(super) fn force_close(&mut self, now: u64, until: u64) -> Option<Transition> {
        self.clock = self.clock.max(now);
        let moved = self.anew(Reason::Forced);
        self.held = Some(until);
        moved
    }

    pub(super) fn reset(&mut self, now: u64) -> Option<Transition> {
        self.clock = self.clock.max(now);
        self.anew(Reason::Reset)
    }

    pub(super) fn restore_open(&mut self, now: u64, remaining: u64) -> Option<Transition> {
        self.clock = self.clock.max(now);
        let closed = matches!(self.phase, Phase::Closed { .. });
        if !closed || self.held.is_some() || !self.settings.enabled {
            return None;
        }
        self.last_open_time = Some(millis(self.settings.open_time));
        let until = self.clock + remaining.min(millis(self.settings.max_open_time));
        self.go(
            Phase::Open {
                since: self.clock,
                until,
            },
            Reason::Restored,
        )
    }

    pub(super) fn freeze(&mut self, frozen: bool) {
        if self.frozen {
            self.attempts
                .values_mut()
                .for_each(|a| a.tainted |= !frozen);
        }
        self.frozen = frozen;
    }

    pub(super) fn configure(&mut self, now: u64, settings: Settings) -> Option<Transition> {
        self.clock = self.clock.max(now);
        if settings.window != self.settings.window {
            self.calls
                .iter_mut()
                .for_each(|call| call.in_window = false);
        }
        self.settings = settings;
        if self.settings.enabled {
            return None;
        }
        self.held = None;
        match self.phase {
            Phase::Closed { .. } => None,
            _ => self.anew(Reason::Disabled),
        }
    }

    pub(super) fn refuses(&self, now: u64) -> bool {
        let now = now.max(self.clock);
        self.held.is_none_or(|until| until > now) && self.wait(now).is_some()
    }

    pub(super) fn view(&self, now: u64) -> View {
        let now = now.max(self.clock);
        if self.held.is_some_and(|until| until <= now) {
            return View {
                state: CircuitState::Closed,
                consecutive_failures: 0,
                error_rate: None,
                success_rate: None,
                first_failure: None,
                opened_at: None,
                retry_at: None,
                trials_out: 0,
                forced_until: None,
                hearsay: false,
                frozen: self.frozen,
            };
        }
        let (calls, failures, _) = self.window(now);
        let quotient = |part: u32| (calls > 0).then(|| f64::from(part) / f64::from(calls));
        let (opened_at, retry_at) = match self.phase {
            Phase::Closed { .. } => (None, None),
            Phase::Open { since, until } => (Some(at(since)), Some(at(until))),
            Phase::HalfOpen { opened_at, .. } => (Some(at(opened_at)), None),
        };
        View {
            state: self.state(),
            consecutive_failures: self.consecutive(),
            error_rate: quotient(failures),
            success_rate: quotient(calls - failures)
                .filter(|_| calls >= self.settings.minimum_requests),
            first_failure: self.first_failure(now),
            opened_at,
            retry_at,
            trials_out: self.trials_out(),
            forced_until: self.held.map(at),
            hearsay: false,
            frozen: self.frozen,
        }
    }

    /// Time passes, and an override with it.
    fn pass(&mut self, now: u64) -> Option<Transition> {
        self.clock = self.clock.max(now);
        match self.held {
            Some(until) if until <= self.clock => self.anew(Reason::OverrideEnded),
            _ => None,
        }
    }

    fn state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    fn trials_out(&self) -> u32 {
        u32::try_from(self.attempts.values().filter(|a| a.trial).count()).unwrap()
    }

    fn wait(&self, now: u64) -> Option<u64> {
        match self.phase {
            Phase::Open { until, .. } if now < until => Some(until - now),
            Phase::HalfOpen { full_until, .. }
                if self.trials_out() >= self.settings.half_open_max_requests
                    && now < full_until =>
            {
                Some((full_until - now).min(1000))
            }
            _ => None,
        }
    }

    fn consecutive(&self) -> u32 {
        let failures = self.calls.iter().rev().take_while(|call| call.failed);
        u32::try_from(failures.count()).unwrap()
    }

    fn first_failure(&self, now: u64) -> Option<Tick> {
        let failed = self.recent(now).into_iter().filter(|call| call.failed);
        failed.map(|call| at(call.at)).min()
    }

    fn recent(&self, now: u64) -> Vec<&Call> {
        let bucket = |at: u64| at / (millis(self.settings.window) / BUCKETS);
        let calls = self.calls.iter();
        calls
            .filter(|call| call.in_window && bucket(call.at) + BUCKETS > bucket(now))
            .collect()
    }

    /// Calls, failures and slow calls.
    fn window(&self, now: u64) -> (u32, u32, u32) {
        let recent = self.recent(now);
        let count = |n: usize| u32::try_from(n).unwrap();
        (
            count(recent.len()),
            count(recent.iter().filter(|call| call.failed).count()),
            count(recent.iter().filter(|call| call.slow).count()),
        )
    }

    fn reason(&self) -> Option<Reason> {
        if self.consecutive() >= self.settings.failure_threshold {
            return Some(Reason::ConsecutiveFailures);
        }
        let (calls, failures, slow) = self.window(self.clock);
        if calls < self.settings.minimum_requests {
            return None;
        }
        let rate = |part: u32| f64::from(part) / f64::from(calls);
        if rate(failures) >= self.settings.error_rate_threshold {
            return Some(Reason::ErrorRate);
        }
        let limits = self.settings.slow_calls?;
        (rate(slow) >= limits.rate_threshold).then_some(Reason::SlowCalls)
    }

    fn open(&mut self, reason: Reason) -> Option<Transition> {
        let first = millis(self.settings.open_time);
        let longest = millis(self.settings.max_open_time);
        let open_time = match (self.last_open_time, self.phase) {
            (None, _) => first,
            (Some(last), Phase::Closed { since }) if self.clock - since >= last => first,
            (Some(last), _) => (last * 2).max(first),
        };
        let open_time = open_time.min(longest);
        self.last_open_time = Some(open_time);
        let until = self.clock + open_time;
        self.go(
            Phase::Open {
                since: self.clock,
                until,
            },
            reason,
        )
    }

    fn anew(&mut self, reason: Reason) -> Option<Transition> {
        self.held = None;
        self.last_open_time = None;
        self.go(Phase::Closed { since: self.clock }, reason)
    }

    fn go(&mut self, phase: Phase, reason: Reason) -> Option<Transition> {
        let from = self.state();
        self.phase = phase;
        for attempt in self.attempts.values_mut() {
            attempt.stale = true;
            attempt.trial = false;
        }
        let mut failures = self.calls.iter().filter(|call| call.failed);
        let moved = Transition {
            from,
            to: self.state(),
            at: at(self.clock),
            reason,
            retry_at: match phase {
                Phase::Open { until, .. } => Some(at(until)),
                _ => None,
            },
            failures: failures.clone().count() as u64,
            last_failure: failures.next_back().map(|call| LastFailure {
                at: at(call.at),
                kind: FailureKind::Timeout,
            }),
            hearsay: false,
        };
        if let Phase::Closed { .. } = phase {
            self.calls.clear();
        }
        (moved.from != moved.to).then_some(moved)
    }
}
