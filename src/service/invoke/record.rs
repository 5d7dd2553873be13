//! What follows from the outcome of an attempt: for the circuit, the health, and where it went.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer;
use super::destination::Destination;
use super::meter::Status;
use super::plan::Plan;
use super::runtime::Runtime;
use super::versions::VersionRuntime;
use crate::domain::breaker::{self, CircuitState, FailureKind, Transition};
use crate::domain::call_id::CallId;
use crate::domain::failures::Failed;
use crate::domain::ids::InstanceId;
use crate::domain::outcome::{Failure, Neutral, Outcome};
use crate::domain::traceparent::SpanId;
use crate::service::caller::Reply;
use crate::service::circuits::{CallPermit, Moved};
use crate::service::clock::Clock;
use crate::service::observe::{Crossed, Failing, Observation, Observers};
use crate::service::patience::Patience;

/// An attempt whose outcome is still to come; dropped without one, nothing moves.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) permit: CallPermit,
    pub(super) destination: Destination,
    pub(super) begun: Instant,
    /// Which attempt of its call it is, from 1.
    pub(super) number: u32,
    /// Its span, as sent to the extension.
    pub(super) span_id: SpanId,
}

/// Observers of the outcomes of one version's calls.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    pub(super) clock: Clock,
    pub(super) observers: Observers,
    pub(super) runtime: Arc<Runtime>,
    /// What is counted of the version alone.
    pub(super) version: Arc<VersionRuntime>,
    /// Whether there is no other version.
    pub(super) alone: bool,
    /// The success rate under which an extension is degraded, 0 to 1.
    pub(super) min_success_rate: f64,
}

impl Recorder {
    /// Waits for the reply of the extension.
    pub(super) fn patience(&self) -> Patience<'_> {
        Patience {
            clock: self.clock,
            observers: &self.observers,
            id: &self.runtime.id,
        }
    }

    /// Records the outcome of an attempt that ends `now`: with the extension's last message, where
    /// there was one, and the time from its begin to its answer, where that was measured.
    pub(super) fn record(
        &self,
        plan: &Plan,
        pending: Pending,
        outcome: Outcome,
        reply: Option<&Reply>,
        latency: Option<Duration>,
        now: Instant,
    ) {
        // What a caller did not wait for is not the time that the extension needs: counted as such
        // it would grow with every hurried call, and a dead extension would never be found out.
        let timed_out = outcome == Outcome::Failure(Failure::Timeout);
        let whole = latency.filter(|latency| !timed_out || *latency >= plan.timeout);
        self.count(outcome, whole, now);
        if outcome == Outcome::Success {
            self.runtime.health.answered(now);
        }
        plan.trace_attempt(&pending, Status::of(outcome));
        // While circuits are frozen, extensions recover, and so do their instances.
        let frozen = || pending.permit.circuit.view(self.clock.at(now)).frozen;
        let target = plan.target.entry();
        if target.halts() && !frozen() {
            let revision = target.extension().revision;
            self.version.compare(outcome, revision, now);
        }
        let destination = &pending.destination;
        if destination.instance.is_some() {
            let begun = (!frozen()).then_some(pending.begun);
            destination.judged(plan, outcome, begun, latency, now);
        }
        if let Outcome::Neutral(Neutral::PushedBack { rest }) = outcome {
            pending.permit.circuit.pushed_back.add(1);
            destination.pushed_back(plan, rest, now);
        }
        // What was not measured does not count as slow.
        let latency = latency.unwrap_or_default();
        if let Outcome::Failure(failure) = outcome {
            self.remember(plan, &pending, failure, reply, now);
        }
        self.settle(pending.permit, now, verdict(outcome), latency);
    }

    /// Gives a circuit its outcome, and reports what changes with it.
    pub(super) fn settle(
        &self,
        permit: CallPermit,
        now: Instant,
        outcome: breaker::Outcome,
        latency: Duration,
    ) {
        let circuit = Arc::clone(&permit.circuit);
        let transition = permit.record(self.clock.at(now), outcome, latency);
        if outcome == breaker::Outcome::Neutral || circuit.is_gone() {
            return self.tell(transition);
        }
        let view = circuit.view(self.clock.at(now));
        let (version, degraded) = (&self.version, self.version.gate.is_degraded());
        let before = transition.map(|_| version.failing());
        // After a success, too: with the call that completes the minimum of requests there is a rate
        // for the first time, whatever its outcome.
        let rate = view.success_rate;
        let crossing = version.gate.observe(rate, self.min_success_rate, now);
        version.settled(&view, transition.as_ref(), degraded);
        // One that closes reports since when it had been failing.
        let failing = match view.state {
            CircuitState::Closed => before,
            _ => transition.map(|_| version.failing()),
        };
        self.tell_failing(transition, failing.unwrap_or_default());
        if let (Some(crossing), Some(success_rate)) = (crossing, rate) {
            self.observers.observe(&Observation::Health(Crossed {
                id: self.runtime.id.clone(),
                version: version.version.clone(),
                current: self.runtime.is_current(&version.version),
                crossing,
                success_rate,
                min_success_rate: self.min_success_rate,
            }));
        }
    }

    /// Reports a circuit that no outcome has changed.
    pub(super) fn tell(&self, transition: Option<Transition>) {
        if let Some(moved) = &transition {
            self.tell_failing(transition, self.version.failing_at(moved));
        }
    }

    fn tell_failing(&self, transition: Option<Transition>, failing: Failing) {
        if let Some(transition) = transition {
            let version = &self.version.version;
            self.observers.observe(&Observation::Circuit {
                failing: failing.with(&transition),
                moved: Moved {
                    id: self.runtime.id.clone(),
                    version: version.clone(),
                    transition,
                },
                current: self.runtime.is_current(version),
            });
        }
    }

    /// Counts a call that is over, and the time that it took as a whole.
    pub(super) fn called(&self, status: Status, took: Duration) {
        self.runtime.meter.statuses.count(status);
        self.version.meter.record(status, took);
    }

    /// Remembers a failed attempt for `health`.
    fn remember(
        &self,
        plan: &Plan,
        pending: &Pending,
        failure: Failure,
        reply: Option<&Reply>,
        now: Instant,
    ) {
        let code = match failure {
            Failure::ErrorReply { code } => code,
            _ => None,
        };
        let error = reply.and_then(|reply| answer::said(reply, failure));
        let instance = pending.destination.instance.as_ref();
        self.version.remember(&Failed {
            at: now,
            attempt: pending.number,
            kind: kind(failure),
            code,
            error: error.as_deref(),
            instance: instance.map(InstanceId::as_str),
            call: plan.call_id.as_ref().map(CallId::as_str),
            trace_id: plan.on_behalf.trace_id.as_deref(),
            tenant_id: plan.on_behalf.tenant_id.as_deref(),
        });
    }

    /// Counts an outcome in the extension's health; without a latency where none was measured.
    pub(super) fn count(&self, outcome: Outcome, latency: Option<Duration>, now: Instant) {
        let health = &self.runtime.health;
        let known = match outcome {
            Outcome::Failure(failure) => latency.filter(|_| failure.has_latency()),
            _ => latency,
        };
        self.version.count(outcome, known, self.alone, now);
        match outcome {
            Outcome::Success => health.succeeded(latency, now),
            Outcome::Failure(_) => health.failed(known, now),
            Outcome::Neutral(_) => {}
        }
    }
}

/// The outcome as a circuit sees it.
fn verdict(outcome: Outcome) -> breaker::Outcome {
    match outcome {
        Outcome::Success => breaker::Outcome::Success,
        Outcome::Neutral(_) => breaker::Outcome::Neutral,
        Outcome::Failure(failure) => breaker::Outcome::Failure(kind(failure)),
    }
}

/// How it failed, for circuits and operators.
const fn kind(failure: Failure) -> FailureKind {
    match failure {
        Failure::Timeout => FailureKind::Timeout,
        Failure::NoResponders => FailureKind::NoResponders,
        Failure::EmptyReply | Failure::UndecodableReply => FailureKind::BadReply,
        Failure::ErrorReply { .. } => FailureKind::Error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::catalog::{Catalog, Change};
    use crate::domain::extension::Extension;
    use crate::domain::ids::VersionName;
    use crate::domain::testing::{change, entry, extension, version};
    use crate::service::invoke::{Follower, Tools};
    use crate::service::observe::Observer;
    use crate::service::testing;

    /// Whether each circuit that moved was the current version's.
    #[derive(Default)]
    struct Told(Mutex<Vec<bool>>);

    impl Observer for Told {
        fn observe(&self, observation: &Observation) {
            if let Observation::Circuit { current, .. } = observation {
                self.0.lock().unwrap().push(*current);
            }
        }
    }

    #[test]
    fn a_circuit_is_the_extensions_by_the_record_in_force_when_it_moves() {
        let (catalog, mut writer) = Catalog::new();
        let told = Arc::<Told>::default();
        let tools = Tools {
            observers: Observers::new(vec![Box::new(Arc::clone(&told))]),
            ..testing::tools(catalog)
        };
        let follower = Follower::new(tools.clone());
        let mut promote = |revision, current, other| {
            let extension = Extension {
                version: VersionName::parse(current).unwrap(),
                versions: vec![version(other)],
                ..extension("e")
            };
            writer.apply(Change {
                upserts: vec![entry(extension)],
                ..change(revision)
            });
            follower.follow();
        };
        promote(1, "v1", "v2");

        let called = tools.selector.catalog().get("e").unwrap();
        let v2 = VersionName::parse("v2").unwrap();
        let recorder = tools.recorder(tools.runtimes.of(&called), &called, &v2);
        let setup = tools.runtimes.setup(&called);
        let settings = || setup.limits.breaker.clone();
        let circuits = &tools.circuits;
        let circuit = circuits.get_or_create(called.extension(), &v2, settings);
        let now = Instant::now();
        let permit = || circuit.admit(tools.clock.at(now)).permit.unwrap();
        let permits = [permit(), permit()];
        promote(2, "v2", "v1");

        let failed = breaker::Outcome::Failure(FailureKind::Error);
        for permit in permits {
            recorder.settle(permit, now, failed, Duration::ZERO);
        }
        assert_eq!(*told.0.lock().unwrap(), [true]);
    }

    /// How much was reported.
    #[derive(Default)]
    struct Counted(Mutex<u32>);

    impl Observer for Counted {
        fn observe(&self, _: &Observation) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn what_late_attempts_show_of_an_extension_that_is_gone_is_not_reported() {
        let (catalog, mut writer) = Catalog::new();
        let counted = Arc::<Counted>::default();
        let tools = Tools {
            observers: Observers::new(vec![Box::new(Arc::clone(&counted))]),
            ..testing::tools(catalog)
        };
        writer.apply(Change {
            upserts: vec![entry(extension("e"))],
            ..change(1)
        });
        let called = tools.selector.catalog().get("e").unwrap();
        let (id, version) = (&called.extension().id, &called.extension().version);
        let recorder = tools.recorder(tools.runtimes.of(&called), &called, version);
        let setup = tools.runtimes.setup(&called);
        let settings = || setup.limits.breaker.clone();
        let circuits = &tools.circuits;
        let circuit = circuits.get_or_create(called.extension(), version, settings);
        let now = Instant::now();
        let permit = || circuit.admit(tools.clock.at(now)).permit.unwrap();
        let permits = [permit(), permit()];
        writer.apply(Change {
            removals: vec![id.clone()],
            ..change(2)
        });
        Follower::new(tools.clone()).follow();

        let failed = breaker::Outcome::Failure(FailureKind::Error);
        for permit in permits {
            recorder.settle(permit, now, failed, Duration::ZERO);
        }
        let state = circuit.view(tools.clock.at(now)).state;
        assert_eq!((state, *counted.0.lock().unwrap()), (CircuitState::Open, 0));
    }
}
