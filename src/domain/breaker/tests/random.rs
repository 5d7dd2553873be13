//! Random sequences of everything that can happen, against the model.
//!
//! After each step the breaker answers as the model does, trials that still run are never more than
//! allowed, and at the end of each sequence time and one success lead to closed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::model::Model;
use super::script::{FAIL, at, ms};
use crate::domain::breaker::*;

/// Something that happens. Attempts are picked among those under way; times are milliseconds.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes; at times a thread comes with an earlier reading of the clock.
    Wait(i64),
    Admit,
    Finish(Index, Outcome, u64),
    /// Admitted and finished at once.
    Call(Outcome, u64),
    Release(Index),
    /// The permit never comes back.
    Lose(Index),
    ForceOpen(u64),
    ForceClose(u64),
    Reset,
    Restore(u64),
    Freeze(bool),
    Configure(Settings),
}

/// Longer than any window, open time, override or trial that is generated.
const LONG: u64 = 5000;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![5 => Just(FAIL), 4 => Just(Outcome::Success), 1 => Just(Outcome::Neutral)]
}

fn latency() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1), Just(49), Just(50)]
}

fn settings() -> impl Strategy<Value = Settings> {
    let opening = (
        prop::bool::weighted(0.95),
        1..6u32,
        prop::sample::select(vec![0.3, 0.5, 0.9, 1.0]),
        prop::sample::select(vec![120, 1200]),
        1..10u32,
        prop::option::of(prop::sample::select(vec![0.5, 0.8])),
    );
    let trying = (
        prop::sample::select(vec![10, 40]),
        prop::sample::select(vec![40, 70, 400]),
        1..4u32,
        prop::sample::select(vec![30, 100, 2000]),
    );
    (opening, trying).prop_map(
        |((enabled, row, rate, window, minimum, slow), trying)| Settings {
            enabled,
            failure_threshold: row,
            error_rate_threshold: rate,
            window: ms(window),
            minimum_requests: minimum,
            slow_calls: slow.map(|rate_threshold| SlowCalls {
                latency: ms(50),
                rate_threshold,
            }),
            open_time: ms(trying.0),
            max_open_time: ms(trying.1),
            half_open_max_requests: trying.2,
            trial_limit: ms(trying.3),
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let picked = any::<Index>;
    prop_oneof![
        12 => (0..60i64).prop_map(Step::Wait),
        1 => (-80..900i64).prop_map(Step::Wait),
        12 => Just(Step::Admit),
        8 => (picked(), outcome(), latency()).prop_map(|(i, o, l)| Step::Finish(i, o, l)),
        16 => (outcome(), latency()).prop_map(|(o, l)| Step::Call(o, l)),
        2 => picked().prop_map(Step::Release),
        2 => picked().prop_map(Step::Lose),
        1 => (0..300u64).prop_map(Step::ForceOpen),
        1 => (0..300u64).prop_map(Step::ForceClose),
        1 => Just(Step::Reset),
        1 => (0..100u64).prop_map(Step::Restore),
        2 => any::<bool>().prop_map(Step::Freeze),
        1 => settings().prop_map(Step::Configure),
    ]
}

/// A trial as the world sees it: until when it may still run.
type Trials = BTreeMap<u64, u64>;

struct Run {
    breaker: Breaker,
    model: Model,
    settings: Settings,
    under_way: BTreeMap<u64, Permit>,
    /// Attempts admitted since the circuit half-opened, and not finished.
    trials: Trials,
    now: u64,
    latest: u64,
    next_id: u64,
}

impl Run {
    fn new(settings: Settings) -> Self {
        Self {
            breaker: Breaker::new(settings.clone()),
            model: Model::new(settings.clone()),
            settings,
            under_way: BTreeMap::new(),
            trials: Trials::new(),
            now: 0,
            latest: 0,
            next_id: 0,
        }
    }

    fn tick(&self) -> Tick {
        at(self.now)
    }

    fn take(&mut self, index: &Index) -> Option<(u64, Permit)> {
        if self.under_way.is_empty() {
            return None;
        }
        let position = index.index(self.under_way.len());
        let id = *self.under_way.keys().nth(position)?;
        Some((id, self.under_way.remove(&id)?))
    }

    fn moved(&mut self, ours: Option<Transition>, model: Option<Transition>) {
        assert_eq!(ours, model);
        if ours.is_some() {
            self.trials.clear();
        }
    }

    fn admit(&mut self) -> Option<u64> {
        let id = self.next_id;
        self.next_id += 1;
        self.latest = self.latest.max(self.now);
        let Admission { permit, transition } = self.breaker.admit(self.tick());
        let (model, moved) = self.model.admit(self.now, id);
        self.moved(transition, moved);
        let waits = permit
            .as_ref()
            .map(|_| ())
            .map_err(|refused| refused.retry_after);
        assert_eq!(waits, model.map_err(ms));
        self.under_way.insert(id, permit.ok()?);
        if self.breaker.view(self.tick()).state == CircuitState::HalfOpen {
            let limit = u64::try_from(self.settings.trial_limit.as_millis()).unwrap();
            self.trials.insert(id, self.latest + limit);
            let running = self
                .trials
                .values()
                .filter(|until| **until > self.latest)
                .count();
            assert!(
                running <= self.settings.half_open_max_requests as usize,
                "{running} trials"
            );
        }
        Some(id)
    }

    fn finish(&mut self, id: u64, permit: Permit, outcome: Outcome, latency: u64) {
        self.latest = self.latest.max(self.now);
        self.trials.remove(&id);
        let ours = self
            .breaker
            .record(self.tick(), permit, outcome, ms(latency));
        let model = self.model.record(self.now, id, outcome, latency);
        self.moved(ours, model);
    }

    fn call(&mut self, outcome: Outcome, latency: u64) -> bool {
        let Some(id) = self.admit() else {
            return false;
        };
        let permit = self.under_way.remove(&id).unwrap();
        self.finish(id, permit, outcome, latency);
        true
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(time) => self.now = self.now.saturating_add_signed(*time),
            Step::Admit => {
                self.admit();
            }
            Step::Call(outcome, latency) => {
                self.call(*outcome, *latency);
            }
            Step::Finish(index, outcome, latency) => {
                if let Some((id, permit)) = self.take(index) {
                    self.finish(id, permit, *outcome, *latency);
                }
            }
            Step::Release(index) => {
                if let Some((id, permit)) = self.take(index) {
                    self.trials.remove(&id);
                    self.breaker.release(permit);
                    self.model.release(id);
                }
            }
            Step::Lose(index) => drop(self.take(index)),
            Step::Freeze(frozen) => {
                self.breaker.freeze(*frozen);
                self.model.freeze(*frozen);
            }
            order => self.order(order),
        }
        self.compare();
    }

    fn order(&mut self, order: &Step) {
        self.latest = self.latest.max(self.now);
        let (now, tick) = (self.now, self.tick());
        let (breaker, model) = (&mut self.breaker, &mut self.model);
        let (ours, theirs) = match order {
            Step::ForceOpen(ttl) => (
                breaker.force_open(tick, at(now + ttl)),
                model.force_open(now, now + ttl),
            ),
            Step::ForceClose(ttl) => (
                breaker.force_close(tick, at(now + ttl)),
                model.force_close(now, now + ttl),
            ),
            Step::Restore(time) => (
                breaker.restore_open(tick, ms(*time)),
                model.restore_open(now, *time),
            ),
            Step::Configure(settings) => {
                self.settings = settings.clone();
                (
                    breaker.configure(tick, settings.clone()),
                    model.configure(now, settings.clone()),
                )
            }
            _ => (breaker.reset(tick), model.reset(now)),
        };
        self.moved(ours, theirs);
    }

    fn compare(&self) {
        for now in [self.now, self.now + 37] {
            assert_eq!(self.breaker.view(at(now)), self.model.view(now), "at {now}");
            assert_eq!(self.breaker.refuses(at(now)), self.model.refuses(now));
        }
    }

    /// Permits still out are lost; whatever the state, the next call passes and its success closes.
    fn is_not_stuck(&mut self) {
        self.step(&Step::Freeze(false));
        self.step(&Step::Wait(LONG.cast_signed()));
        assert!(self.call(Outcome::Success, 1), "stuck");
        assert_eq!(self.breaker.view(self.tick()).state, CircuitState::Closed);
    }
}

/// `just exhaustive` asks for more than every test run can afford.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of this test, not a setting of the daemon"
)]
fn cases() -> u32 {
    match std::env::var("BEAMLINE_EXHAUSTIVE").as_deref() {
        Ok("1") => 100_000,
        _ => 1000,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn whatever_happens_the_breaker_does_as_the_model(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut run = Run::new(settings);
        for step in &steps {
            run.step(step);
        }
        run.is_not_stuck();
    }
}
