//! A breaker shared by threads, whose permits return on drop.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::quiet::Alarm;
use crate::domain::breaker::{
    Admission, Breaker, CircuitState, Outcome, Permit, Reason, Settings, Tick, Transition, View,
};
use crate::domain::extension::Whose;
use crate::domain::lock::locked;
use crate::service::meter::Counter;

/// A mutex around a breaker. Tests put one here that tries every order of threads.
pub trait Lock {
    /// The lock around `breaker`.
    fn around(breaker: Breaker) -> Self;

    /// Runs `work` on the breaker, alone.
    fn with<R>(&self, work: impl FnOnce(&mut Breaker) -> R) -> R;
}

impl Lock for Mutex<Breaker> {
    fn around(breaker: Breaker) -> Self {
        Self::new(breaker)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Breaker) -> R) -> R {
        work(&mut locked(self))
    }
}

/// Who takes turns at what the others avoid. Each kind of request has turns of its own: they may
/// come in step, and one kind would have all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Lookups.
    Lookups,
    /// Calls.
    Calls,
}

/// The breaker of one version. Every call takes its lock for a few comparisons, never for I/O.
#[derive(Debug)]
pub struct Circuit<L: Lock = Mutex<Breaker>> {
    /// Another extension of the same id has circuits of its own.
    pub whose: Whose,
    /// Of the record that it was made for.
    pub(super) revision: u64,
    breaker: L,
    /// Raised by whatever may make it differ from a closed circuit that never saw a failure.
    alarm: Alarm,
    /// Whether only the calls that have it know it.
    gone: AtomicBool,
    /// Lookups that met it while it ailed.
    lookups: AtomicU32,
    /// Calls that did.
    calls: AtomicU32,
    /// Attempts that failed in all its life, across its states; late ones included.
    pub failures: Counter,
    /// Times that a trial call closed it.
    pub recoveries: Counter,
    /// Attempts that were pushed back; the circuit itself does not move.
    pub pushed_back: Counter,
}

impl<L: Lock> Circuit<L> {
    /// A closed circuit that raises `alarm` when there is anything to know about it.
    pub(super) fn new(settings: Settings, alarm: Alarm, (whose, revision): (Whose, u64)) -> Self {
        Self {
            whose,
            revision,
            breaker: L::around(Breaker::new(settings)),
            alarm,
            gone: AtomicBool::new(false),
            lookups: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            failures: Counter::default(),
            recoveries: Counter::default(),
            pushed_back: Counter::default(),
        }
    }

    /// It is no circuit of the catalog's, or none any more: how it moves concerns nobody else.
    pub(super) fn goes(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether that is so. Of what the calls that have it find out nothing is to be reported.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn reported(&self, transition: Option<Transition>) -> Option<Transition> {
        transition.filter(|_| !self.is_gone())
    }

    /// Whether it is the turn of one request in `share` to go where the others are led around.
    pub fn takes_turn(&self, turns: Turns, share: u32) -> bool {
        let taken = match turns {
            Turns::Lookups => &self.lookups,
            Turns::Calls => &self.calls,
        };
        taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(share)
    }

    /// [`Breaker::admit`], with a permit that gives itself back.
    pub fn admit(self: &Arc<Self>, now: Tick) -> Admission<CallPermit<L>> {
        let Admission { permit, transition } = self.breaker.with(|breaker| breaker.admit(now));
        Admission {
            permit: permit.map(|permit| CallPermit {
                circuit: Arc::clone(self),
                permit: Some(permit),
            }),
            transition: self.reported(transition),
        }
    }

    /// [`Breaker::refuses`].
    pub fn refuses(&self, now: Tick) -> bool {
        self.breaker.with(|breaker| breaker.refuses(now))
    }

    /// [`Breaker::view`].
    pub fn view(&self, now: Tick) -> View {
        self.breaker.with(|breaker| breaker.view(now))
    }

    /// [`Breaker::force_open`].
    pub fn force_open(&self, now: Tick, until: Tick) -> Option<Transition> {
        let transition = self.breaker.with(|breaker| breaker.force_open(now, until));
        self.alarm.raise();
        transition
    }

    /// [`Breaker::force_close`].
    pub fn force_close(&self, now: Tick, until: Tick) -> Option<Transition> {
        let transition = self.breaker.with(|breaker| breaker.force_close(now, until));
        self.alarm.raise();
        transition
    }

    /// [`Breaker::reset`].
    pub fn reset(&self, now: Tick) -> Option<Transition> {
        self.breaker.with(|breaker| breaker.reset(now))
    }

    /// [`Breaker::start_over`].
    pub(super) fn start_over(&self, now: Tick) -> Option<Transition> {
        self.breaker.with(|breaker| breaker.start_over(now))
    }

    /// [`Breaker::restore_open`].
    pub fn restore_open(&self, now: Tick, remaining: Duration) -> Option<Transition> {
        let restored = self.breaker.with(|it| it.restore_open(now, remaining));
        self.alarm.raise();
        restored
    }

    /// [`Breaker::configure`].
    pub fn configure(&self, now: Tick, settings: Settings) -> Option<Transition> {
        self.breaker.with(|it| it.configure(now, settings))
    }

    /// What it raises, where something sets it apart from a circuit that never saw a failure.
    pub(super) fn ailing(&self, now: Tick) -> Option<&Alarm> {
        let view = self.view(now);
        let is_quiet = view.state == CircuitState::Closed
            && view.forced_until.is_none()
            && view.error_rate.is_none_or(|rate| rate == 0.0);
        (!is_quiet).then_some(&self.alarm)
    }

    /// Ends an override that has run out: without calls nothing else would.
    pub(super) fn expire(&self, now: Tick) -> Option<Transition> {
        self.breaker.with(|breaker| breaker.expire(now))
    }

    /// Only for all circuits at once: [`super::Circuits::freeze`].
    pub(super) fn freeze(&self, frozen: bool) {
        self.breaker.with(|breaker| breaker.freeze(frozen));
    }
}

/// Admits one attempt. Dropped without an outcome, as when its task is cancelled, it goes back
/// as neutral.
#[derive(Debug)]
#[must_use = "dropping it ends the attempt"]
pub struct CallPermit<L: Lock = Mutex<Breaker>> {
    /// The circuit that gave it.
    pub circuit: Arc<Circuit<L>>,
    permit: Option<Permit>,
}

impl<L: Lock> CallPermit<L> {
    /// Takes the outcome of the attempt, and the time that it took.
    pub fn record(mut self, now: Tick, outcome: Outcome, latency: Duration) -> Option<Transition> {
        let permit = self.permit.take()?;
        let circuit = &self.circuit;
        let failed = matches!(outcome, Outcome::Failure(_));
        if failed {
            circuit.failures.add(1);
        }
        let record = |it: &mut Breaker| it.record(now, permit, outcome, latency);
        let transition = circuit.breaker.with(record);
        // Slow successes open a circuit, too.
        if failed || transition.is_some() {
            circuit.alarm.raise();
        }
        if transition.is_some_and(|moved| moved.reason == Reason::TrialSucceeded) {
            circuit.recoveries.add(1);
        }
        circuit.reported(transition)
    }
}

impl<L: Lock> Drop for CallPermit<L> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.circuit.breaker.with(|breaker| breaker.release(permit));
        }
    }
}
