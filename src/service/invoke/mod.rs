//! Calling an extension on behalf of a router.
//!
//! One straight line: choose the target, check sizes ([`plan`]), ask its circuit ([`admission`]),
//! take a place ([`places`]), then attempts ([`attempt`]): sent to an instance ([`destination`]),
//! judged, recorded; each later one asks the circuit again. The outcome of an attempt is decided in
//! [`crate::domain::outcome`]; what follows from it for circuit, health and instance is recorded in
//! one place ([`record`]). From call to call, [`runtime`] keeps what belongs to an extension, and
//! [`versions`] what belongs to one of its versions; [`follow`] fits both to the catalog.

mod admission;
mod answer;
mod attempt;
mod cancelling;
mod destination;
mod follow;
mod limits;
mod meter;
mod places;
mod plan;
mod record;
mod report;
mod request;
mod resting;
mod runtime;
#[cfg(test)]
mod same;
mod spare;
mod stream;
mod trial;
mod versions;

use std::sync::Arc;
use std::time::Instant;

pub use answer::{Answered, ERROR_CODE, ErrorHeaders, Trail};
pub use cancelling::{Cancellable, Messenger};
pub use follow::Follower;
pub use limits::Limits;
pub use meter::{DurationMeter, InvocationMeter, Status, Summary};
pub use places::{Place, Places, Seat};
pub use plan::Plan;
pub use report::{Reported, Verdict};
pub use request::{Invocation, known_as};
pub use resting::Resting;
pub use runtime::{Runtime, Runtimes, Setup};
pub use stream::{CHUNK, END, Piece, STREAM, Streaming};
pub use versions::{Attempts, VersionRuntime, Versions};

use self::admission::Admitted;
use self::spare::Spare;
use crate::domain::call_id::CallId;
use crate::domain::entry::Entry;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::caller::{CallHeaders, Caller};
use crate::service::circuits::{Circuit, Circuits, Turns};
use crate::service::clock::Clock;
use crate::service::error::RegistryError;
use crate::service::lookup::{named, refused};
use crate::service::observe::Observers;
use crate::service::selection::{Selector, Target, Wanted};
use crate::service::spans::{OpenSpan, Spans, Work};
use record::Recorder;

/// What calls need besides a way to make them; shared with the code that shows or switches
/// circuits.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Chooses what to call.
    pub selector: Arc<Selector>,
    /// The running sides of the extensions.
    pub runtimes: Arc<Runtimes>,
    /// Their circuits.
    pub circuits: Arc<Circuits>,
    /// The clock of the circuits.
    pub clock: Clock,
    /// The observers.
    pub observers: Observers,
    /// Which calls are recorded in traces.
    pub spans: Spans,
}

/// Calls extensions.
#[derive(Debug)]
pub struct Invoker<C> {
    tools: Tools,
    caller: C,
    cancellable: Arc<Cancellable>,
}

/// A call that was accepted: all of its request has been read.
#[derive(Debug)]
pub struct Accepted {
    plan: Arc<Plan>,
    recorder: Recorder,
    /// The version's, for all attempts: later the catalog may have forgotten it.
    circuit: Arc<Circuit>,
    /// None where its circuit is open.
    seat: Option<Seat>,
    /// For the first attempt; asked for again by what waited for a place.
    admitted: Option<Admitted>,
}

impl Accepted {
    /// What the call is known by, where it may be cancelled.
    pub fn call_id(&self) -> Option<&CallId> {
        self.plan.call_id.as_ref()
    }
}

/// The outcome of a call.
#[derive(Debug)]
pub enum Invoked<S> {
    /// One message.
    Answer(Answered),
    /// Many, one after the other. Boxed: it is rare, and every call would be as large.
    Stream(Box<Streaming<S>>),
}

impl<C: Caller> Invoker<C> {
    /// Calls through `caller`; those that have an id are among the `cancellable`.
    pub fn new(tools: Tools, caller: C, cancellable: Arc<Cancellable>) -> Self {
        Self {
            tools,
            caller,
            cancellable,
        }
    }

    /// Shows to `show` what would be sent, where to and with which headers. Nothing is sent or
    /// counted.
    ///
    /// # Errors
    /// The errors of a call that are known before it is made.
    pub fn rehearse<T>(
        &self,
        invocation: &mut Invocation<'_>,
        show: impl FnOnce(&Plan, &str, &CallHeaders<'_>) -> T,
    ) -> Result<T, RegistryError> {
        let target = self.choose(invocation, false)?;
        let setup = self.tools.runtimes.glance(target.entry());
        let plan = Plan::new(invocation, target, setup)?;
        let now = tokio::time::Instant::now();
        let (ends, _) = plan.attempt_ends(now);
        let subject = plan.next_subject(now.into_std());
        let headers = plan.headers(1, now, ends, rand::random());
        Ok(show(&plan, &subject, &headers))
    }

    /// Decides what to call, and whether the call may be made.
    ///
    /// # Errors
    /// It may not.
    pub fn accept(&self, invocation: &mut Invocation<'_>) -> Result<Accepted, RegistryError> {
        let received = invocation.received.into_std();
        let spans = &self.tools.spans;
        let mut span = spans.begin(Work::Invoke, invocation.traceparent, received);
        // Anything else there is no id, and may be as long as a request.
        if let (Some(span), Ok(id)) = (&mut span, ExtensionId::parse(invocation.id)) {
            span.note("beamline.extension.id", id);
        }
        let accepted = self.decide(invocation, &mut span);
        if let (Err(error), Some(span)) = (&accepted, &span) {
            span.end(Some(error.code()));
        }
        accepted
    }

    /// Makes the call, and returns the extension's answer or the beginning of it.
    ///
    /// # Errors
    /// Why there is no answer of the extension to pass on.
    pub async fn call(&self, accepted: Accepted) -> Result<Invoked<C::Call>, RegistryError> {
        let known = accepted.plan.known.as_ref();
        let cancel = known.map(|known| known.cancel.clone());
        let mut attempts = attempt::Attempts::new(self, accepted);
        let Some(cancel) = cancel else {
            return attempts.run().await;
        };
        // Boxed: every call's task would have to hold room for it.
        let running = Box::pin(attempts.run());
        let ran = cancel.run_until_cancelled(running).await;
        ran.unwrap_or_else(|| Err(attempts.cancelled()))
    }

    /// `span` is taken by the plan as soon as there is one.
    fn decide(
        &self,
        invocation: &mut Invocation<'_>,
        span: &mut Option<OpenSpan>,
    ) -> Result<Accepted, RegistryError> {
        let target = self.choose(invocation, true)?;
        let runtime = self.tools.runtimes.of(target.entry());
        let setup = runtime.setup(target.entry(), self.tools.runtimes.defaults());
        let version = target.resolved().version.clone();
        let mut plan = Plan::new(invocation, target, setup).inspect_err(|_| {
            // The caller's own fault.
            let took = self.tools.clock.awake_since(invocation.received.into_std());
            runtime.called(&version, Status::Neutral, took);
        })?;
        let recorder = self.tools.recorder(runtime, plan.target.entry(), &version);
        let circuit = self.tools.circuit(plan.target.entry(), &version);
        let admitted = self.tools.admit(&circuit, &recorder, Instant::now());
        let (runtime, limit) = (&recorder.runtime, plan.setup.limits.max_in_flight);
        let enter = || runtime.places.enter(&invocation.context, limit);
        let seat = admitted.is_ok().then(enter).transpose().map_err(|why| {
            let took = self.tools.clock.awake_since(invocation.received.into_std());
            recorder.called(Status::Overloaded, took);
            RegistryError::Overloaded(why)
        })?;
        // Much may change until a place is free.
        let waits = matches!(seat, Some(Seat::Awaited(_)));
        let admitted = (!waits).then_some(admitted);
        runtime.budget().call();
        plan.spare = Spare::of(invocation, &plan.target);
        plan.known = plan.call_id.clone().map(|id| self.cancellable.know(id));
        Ok(Accepted {
            recorder,
            plan: Arc::new(plan.traced(span.take())),
            circuit,
            seat,
            admitted,
        })
    }

    fn choose(&self, invocation: &mut Invocation<'_>, real: bool) -> Result<Target, RegistryError> {
        let selector = &self.tools.selector;
        let named = named(invocation.version)?;
        let entry = selector.entry(invocation.id)?;
        selector.complete(&mut invocation.context);
        let wanted = Wanted {
            version: named.as_ref(),
            context: &invocation.context,
            turns: real.then_some(Turns::Calls),
        };
        let catalog = selector.catalog();
        let target = selector
            .select(&entry, wanted, |id| catalog.get(id))
            .map_err(|refusal| refused(invocation.id, invocation.version, refusal))?;
        if real && target.fallback_from.is_some() {
            self.tools.runtimes.of(&entry).meter.fallbacks.add(1);
        }
        Ok(target)
    }
}

impl Tools {
    /// Records the outcomes of calls of `version`.
    fn recorder(&self, runtime: Arc<Runtime>, entry: &Entry, version: &VersionName) -> Recorder {
        Recorder {
            version: runtime.versions.of(version),
            alone: entry.has_one_version(),
            clock: self.clock,
            observers: self.observers.clone(),
            min_success_rate: self.selector.min_success_rate,
            runtime,
        }
    }
}
