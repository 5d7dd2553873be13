//! A breaker with its attempts, driven by short commands; times in milliseconds.

use std::time::Duration;

use crate::domain::breaker::*;

pub(super) const FAIL: Outcome = Outcome::Failure(FailureKind::Timeout);

/// The daemon's defaults, except that rates need ten calls.
pub(super) fn settings() -> Settings {
    Settings {
        enabled: true,
        failure_threshold: 5,
        error_rate_threshold: 0.5,
        window: ms(60_000),
        minimum_requests: 10,
        slow_calls: None,
        open_time: ms(1000),
        max_open_time: ms(4000),
        half_open_max_requests: 3,
        trial_limit: ms(30_000),
    }
}

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn at(n: u64) -> Tick {
    Tick::at(ms(n))
}

pub(super) struct Script {
    pub(super) breaker: Breaker,
    pub(super) now: u64,
}

impl Script {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            breaker: Breaker::new(settings),
            now: 0,
        }
    }

    /// One that failed five times in a row at 0 ms, and so is open until 1000 ms.
    pub(super) fn opened() -> Self {
        let mut script = Self::new(settings());
        script.calls(&"f".repeat(5));
        script.is(CircuitState::Open);
        script
    }

    /// Half-open at 1000 ms, with its first trial.
    pub(super) fn half_opened() -> (Self, Permit) {
        let mut script = Self::opened();
        script.now = 1000;
        let permit = script.permit();
        script.is(CircuitState::HalfOpen);
        (script, permit)
    }

    pub(super) fn admit(&mut self) -> Admission {
        self.breaker.admit(at(self.now))
    }

    #[track_caller]
    pub(super) fn permit(&mut self) -> Permit {
        self.admit().permit.expect("admitted")
    }

    #[track_caller]
    pub(super) fn refused(&mut self) -> u64 {
        let wait = self.admit().permit.expect_err("refused").retry_after;
        u64::try_from(wait.as_millis()).unwrap()
    }

    pub(super) fn record(&mut self, permit: Permit, outcome: Outcome) -> Option<Transition> {
        self.breaker.record(at(self.now), permit, outcome, ms(1))
    }

    /// Calls one after the other: `s`uccess, `f`ailure, `n`eutral, `S`low success (1 s), slow
    /// failure `F`, `r`eported failure, `R`eported success; the last transition.
    #[track_caller]
    pub(super) fn calls(&mut self, outcomes: &str) -> Option<Transition> {
        let mut last = None;
        for letter in outcomes.chars() {
            let (outcome, latency) = match letter {
                's' => (Outcome::Success, 1),
                'f' => (FAIL, 1),
                'n' => (Outcome::Neutral, 1000),
                'S' => (Outcome::Success, 1000),
                'F' => (FAIL, 1000),
                'r' => (Outcome::Failure(FailureKind::Reported), 1),
                'R' => (Outcome::ReportedSuccess, 1),
                other => panic!("no outcome {other}"),
            };
            let permit = self.permit();
            let moved = self
                .breaker
                .record(at(self.now), permit, outcome, ms(latency));
            last = moved.or(last);
        }
        last
    }

    pub(super) fn view(&self) -> View {
        self.breaker.view(at(self.now))
    }

    #[track_caller]
    pub(super) fn is(&self, state: CircuitState) {
        assert_eq!(self.view().state, state, "at {} ms", self.now);
    }
}
