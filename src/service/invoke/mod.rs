//! Calling an extension on behalf of a router.
//!
//! One straight line: choose the target, check sizes, take a place, then attempts: admitted by the
//! circuit, sent to an instance, judged, recorded. What an attempt came to is decided in
//! [`crate::domain::outcome`]; what follows from it for circuit, health and instance is recorded in
//! one place ([`record`]).

mod answer;
mod attempt;
mod limits;
mod meter;
mod plan;
mod record;
mod request;
mod runtime;
mod stream;

use std::sync::Arc;

pub use answer::{Answered, ErrorHeaders, Trail};
pub use limits::{Defaults, Limits};
pub use meter::{InvocationMeter, Status};
pub use plan::Plan;
pub use request::Invocation;
pub use runtime::{Runtime, Runtimes, Setup};
pub use stream::{END, Piece, STREAM, Streaming};

use crate::service::caller::Caller;
use crate::service::circuits::Circuits;
use crate::service::clock::Clock;
use crate::service::error::RegistryError;
use crate::service::observe::Observers;
use crate::service::selection::Selector;

/// Calls extensions.
#[derive(Debug)]
pub struct Invoker<C> {
    selector: Arc<Selector>,
    runtimes: Arc<Runtimes>,
    circuits: Arc<Circuits>,
    caller: C,
    clock: Clock,
    observers: Observers,
}

/// What a call came to.
#[derive(Debug)]
pub enum Invoked<S> {
    /// One message.
    Answer(Answered),
    /// Many, one after the other.
    Stream(Streaming<S>),
}

impl<C: Caller> Invoker<C> {
    /// Calls through `caller`.
    pub fn new(
        selector: Arc<Selector>,
        runtimes: Arc<Runtimes>,
        circuits: Arc<Circuits>,
        caller: C,
        clock: Clock,
        observers: Observers,
    ) -> Self {
        Self { selector, runtimes, circuits, caller, clock, observers }
    }

    /// What would be sent, and to whom. Nothing is sent or counted.
    pub fn plan(&self, invocation: &mut Invocation<'_>) -> Result<Plan, RegistryError> {
        let target =
            self.selector.select(invocation.id, invocation.version, &mut invocation.context)?;
        let setup = self.runtimes.of(target.entry()).setup(target.entry(), self.runtimes.defaults());
        Plan::new(invocation, target, setup)
    }

    /// Calls the extension and returns its answer, or the beginning of it.
    pub async fn invoke(
        &self,
        invocation: &mut Invocation<'_>,
    ) -> Result<Invoked<C::Call>, RegistryError> {
        let plan = Arc::new(self.plan(invocation)?);
        let runtime = self.runtimes.of(plan.target.entry());
        let place = runtime.enter(plan.setup.limits.max_in_flight);
        let Ok(place) = place else {
            runtime.meter.record(Status::Overloaded, invocation.received.elapsed());
            return Err(RegistryError::Overloaded);
        };
        runtime.budget().call(std::time::Instant::now());
        attempt::Attempts::new(self, plan, runtime, place).run().await
    }
}
