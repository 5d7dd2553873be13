//! A breaker shared by threads, whose permits come back by themselves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::breaker::{
    Admission, Breaker, Outcome, Permit, Settings, Tick, Transition, View,
};

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
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The breaker of one version. Every call takes its lock for a few comparisons, never for I/O.
#[derive(Debug)]
pub struct Circuit<L: Lock = Mutex<Breaker>> {
    breaker: L,
}

impl<L: Lock> Circuit<L> {
    /// A closed circuit.
    pub fn new(settings: Settings) -> Self {
        Self {
            breaker: L::around(Breaker::new(settings)),
        }
    }

    /// [`Breaker::admit`], with a permit that gives itself back.
    pub fn admit(self: &Arc<Self>, now: Tick) -> Admission<CallPermit<L>> {
        let Admission { permit, transition } = self.breaker.with(|breaker| breaker.admit(now));
        Admission {
            permit: permit.map(|permit| CallPermit {
                circuit: Arc::clone(self),
                permit: Some(permit),
            }),
            transition,
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
        self.breaker.with(|breaker| breaker.force_open(now, until))
    }

    /// [`Breaker::force_close`].
    pub fn force_close(&self, now: Tick, until: Tick) -> Option<Transition> {
        self.breaker.with(|breaker| breaker.force_close(now, until))
    }

    /// [`Breaker::reset`].
    pub fn reset(&self, now: Tick) -> Option<Transition> {
        self.breaker.with(|breaker| breaker.reset(now))
    }

    /// [`Breaker::restore_open`].
    pub fn restore_open(&self, now: Tick, remaining: Duration) -> Option<Transition> {
        self.breaker
            .with(|breaker| breaker.restore_open(now, remaining))
    }

    /// [`Breaker::configure`].
    pub fn configure(&self, now: Tick, settings: Settings) -> Option<Transition> {
        self.breaker
            .with(|breaker| breaker.configure(now, settings))
    }

    /// Only for all circuits at once: [`super::Circuits::freeze`].
    pub(super) fn freeze(&self, frozen: bool) {
        self.breaker.with(|breaker| breaker.freeze(frozen));
    }
}

/// Leave for one attempt. Dropped without an outcome, as when its task is cancelled, it goes back
/// as neutral.
#[derive(Debug)]
#[must_use = "dropping it ends the attempt"]
pub struct CallPermit<L: Lock = Mutex<Breaker>> {
    circuit: Arc<Circuit<L>>,
    permit: Option<Permit>,
}

impl<L: Lock> CallPermit<L> {
    /// Takes the outcome of the attempt, and the time that it took.
    pub fn record(mut self, now: Tick, outcome: Outcome, latency: Duration) -> Option<Transition> {
        let permit = self.permit.take()?;
        let breaker = &self.circuit.breaker;
        breaker.with(|breaker| breaker.record(now, permit, outcome, latency))
    }
}

impl<L: Lock> Drop for CallPermit<L> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.circuit.breaker.with(|breaker| breaker.release(permit));
        }
    }
}
