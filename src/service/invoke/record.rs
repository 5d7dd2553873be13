//! What follows from the outcome of an attempt: for the circuit, the health, the instance.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::plan::Plan;
use super::runtime::Runtime;
use crate::domain::breaker::{self, FailureKind, Transition};
use crate::domain::ejection::EjectionSettings;
use crate::domain::ids::InstanceId;
use crate::domain::outcome::{Failure, Neutral, Outcome};
use crate::service::circuits::CallPermit;
use crate::service::clock::Clock;
use crate::service::observe::{Observation, Observers};

/// An attempt whose outcome is still to come; dropped without one, nothing moves.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) permit: CallPermit,
    pub(super) instance: Option<InstanceId>,
    pub(super) begun: Instant,
}

/// Whom outcomes are told.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    pub(super) clock: Clock,
    pub(super) observers: Observers,
    pub(super) runtime: Arc<Runtime>,
}

impl Recorder {
    /// Records the outcome of an attempt that ends now.
    pub(super) fn record(&self, plan: &Plan, pending: Pending, outcome: Outcome) {
        let now = Instant::now();
        let latency = now.saturating_duration_since(pending.begun);
        self.count(outcome, latency, now);
        if let Some(instance) = &pending.instance {
            self.turn(plan, instance, pending.begun, now, outcome);
        }
        let transition = pending.permit.record(self.clock.at(now), verdict(outcome), latency);
        self.tell(plan, transition);
    }

    /// Tells of a circuit that changed.
    pub(super) fn tell(&self, plan: &Plan, transition: Option<Transition>) {
        if let Some(transition) = transition {
            let resolved = plan.target.resolved();
            self.observers.observe(&Observation::Circuit {
                id: resolved.extension.id.clone(),
                version: resolved.version.clone(),
                transition,
            });
        }
    }

    fn count(&self, outcome: Outcome, latency: Duration, now: Instant) {
        let (health, wall) = (&self.runtime.health, SystemTime::now());
        match outcome {
            Outcome::Success => health.succeeded(Some(latency), now, wall),
            Outcome::Failure(failure) => {
                health.failed(failure.has_latency().then_some(latency), now, wall);
            }
            Outcome::Neutral(Neutral::CallerFault) => health.caller_fault(),
            Outcome::Neutral(_) => health.neutral(),
        }
    }

    fn turn(
        &self,
        plan: &Plan,
        instance: &InstanceId,
        begun: Instant,
        now: Instant,
        outcome: Outcome,
    ) {
        let Some(mut balancer) = plan.setup.balancer(plan.version()) else { return };
        let breaker = &plan.setup.limits.breaker;
        match outcome {
            Outcome::Success => balancer.succeeded(instance, begun),
            Outcome::Failure(_) => {
                let settings = EjectionSettings {
                    failure_threshold: breaker.failure_threshold,
                    open_time: breaker.open_time,
                    max_open_time: breaker.max_open_time,
                };
                balancer.failed(instance, begun, now, &settings);
            }
            Outcome::Neutral(_) => {}
        }
    }
}

/// The outcome as a circuit sees it.
fn verdict(outcome: Outcome) -> breaker::Outcome {
    let kind = match outcome {
        Outcome::Success => return breaker::Outcome::Success,
        Outcome::Neutral(_) => return breaker::Outcome::Neutral,
        Outcome::Failure(Failure::Timeout) => FailureKind::Timeout,
        Outcome::Failure(Failure::NoResponders) => FailureKind::NoResponders,
        Outcome::Failure(Failure::EmptyReply | Failure::UndecodableReply) => FailureKind::BadReply,
        Outcome::Failure(Failure::ErrorReply { .. }) => FailureKind::Error,
    };
    breaker::Outcome::Failure(kind)
}
