//! Where an attempt goes, to an instance or to the version itself, and what its outcome means there:
//! for load, ejection and rest.

use std::time::{Duration, Instant};

use super::plan::Plan;
use super::trial::Trial;
use crate::domain::ids::InstanceId;
use crate::domain::load::{InFlight, LOAD};
use crate::domain::outcome::{Neutral, Outcome};
use crate::service::caller::Reply;

/// Where an attempt goes.
#[derive(Debug, Default)]
pub(super) struct Destination {
    /// The instance; without any, the version's own subject.
    pub(super) instance: Option<InstanceId>,
    /// Counts as its load.
    pub(super) _in_flight: Option<InFlight>,
    /// Whether the balancer knows its latency already.
    pub(super) measured: bool,
    /// Where it is the one attempt that tries what has rested.
    pub(super) trial: Option<Box<Trial>>,
}

impl Destination {
    /// The attempt has begun to be answered by `reply`, with `latency` where it goes on.
    pub(super) fn heard(&mut self, plan: &Plan, reply: &Reply, latency: Option<Duration>) {
        let said = reply.headers.get(LOAD);
        let Some(instance) = self.instance.as_ref() else {
            return;
        };
        if said.is_none() && latency.is_none() {
            return;
        }
        let mut balancer = plan.setup.balancer(plan.version());
        let load = balancer.as_mut().and_then(|it| it.load(instance));
        let (Some(load), now) = (load, Instant::now()) else {
            return;
        };
        if let Some(said) = said {
            load.said(said, now);
        }
        if let Some(latency) = latency {
            load.took(latency, now);
            self.measured = true;
        }
    }

    /// The attempt was answered without push-back.
    pub(super) fn answered(&mut self) {
        if let Some(trial) = self.trial.take() {
            trial.answered();
        }
    }

    /// What `outcome` means for an instance: for its ejection, if the attempt began at `begun` and
    /// circuits are not frozen, and for its load.
    pub(super) fn judged(
        &self,
        plan: &Plan,
        outcome: Outcome,
        begun: Option<Instant>,
        latency: Option<Duration>,
        now: Instant,
    ) {
        let Some(instance) = &self.instance else {
            return;
        };
        let Some(mut balancer) = plan.setup.balancer(plan.version()) else {
            return;
        };
        if let Some(begun) = begun {
            match outcome {
                Outcome::Success => balancer.succeeded(instance, begun),
                Outcome::Failure(_) => {
                    balancer.failed(instance, begun, now, &plan.setup.limits.breaker);
                }
                Outcome::Neutral(_) => {}
            }
        }
        let Some(latency) = latency else {
            return;
        };
        match outcome {
            Outcome::Success if self.measured => {}
            Outcome::Success => {
                if let Some(load) = balancer.load(instance) {
                    load.took(latency, now);
                }
            }
            Outcome::Failure(_) | Outcome::Neutral(Neutral::PushedBack { .. }) => {
                balancer.disappointed(instance, latency, plan.timeout, now);
            }
            Outcome::Neutral(_) => {}
        }
    }

    /// Lets what asked for it rest for `rest`, also while circuits are frozen.
    pub(super) fn pushed_back(&self, plan: &Plan, rest: Option<Duration>, now: Instant) {
        let until = rest.and_then(|rest| now.checked_add(rest));
        let balancer = plan.setup.balancer(plan.version());
        if let (Some(until), Some(mut balancer)) = (until, balancer)
            && let Some(rest) = balancer.rest(self.instance.as_ref())
        {
            rest.until(until);
        }
    }
}
