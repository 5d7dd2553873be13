//! After the last attempt: a fallback, once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Attempts, Step};
use crate::service::caller::Caller;
use crate::service::invoke::meter::Status;
use crate::service::invoke::{Invoked, Seat};

impl<C: Caller> Attempts<'_, C> {
    /// Whether a call with `status` goes to a fallback.
    pub(super) fn may_stand_in(&self, status: Status) -> bool {
        let open_only = self.plan.rules().fallback_on_open_only;
        let led = match status {
            Status::Rejected => true,
            Status::Failure | Status::Timeout | Status::PushedBack => !open_only,
            Status::Success | Status::Neutral | Status::Cancelled | Status::Overloaded => false,
        };
        led && self.plan.spare.is_some() && self.is_in_time()
    }

    /// One attempt at the first fallback that serves, in a place of its own; nothing where that
    /// fails, too.
    pub(super) async fn stand_in(&mut self) -> Option<Invoked<C::Call>> {
        let tools = &self.invoker.tools;
        let spare = self.plan.spare.as_ref()?;
        let asked = self.plan.target.entry();
        let target = tools.selector.standby(asked, &spare.context)?;
        let runtime = tools.runtimes.of(target.entry());
        let setup = runtime.setup(target.entry(), tools.runtimes.defaults());
        let limit = setup.limits.max_in_flight;
        // It has waited long enough.
        let Ok(Seat::Taken(place)) = runtime.places.enter(&spare.context, limit) else {
            let version = target.resolved().version;
            runtime.called(version, Status::Overloaded, Duration::ZERO);
            return None;
        };
        // Nothing else holds the plan: there is no stream yet.
        Arc::get_mut(&mut self.plan)?.stand_in(target, setup)?;
        self.recorder.runtime.meter.fallbacks.add(1);
        let (entry, version) = (self.plan.target.entry(), self.plan.version());
        self.recorder = tools.recorder(runtime, entry, version);
        self.seat = Some(Seat::Taken(place));
        self.circuit = tools.circuit(entry, version);
        self.tried.clear();
        self.barred = 0;
        let status = match self.admit() {
            Err(why) => Status::refused(why),
            Ok(pending) => {
                self.number += 1;
                match self.attempt(pending).await {
                    Step::Done(invoked) => return Some(invoked),
                    Step::Ended(outcome, _) => {
                        self.may_be_done |= outcome.may_be_done();
                        Status::of(outcome)
                    }
                }
            }
        };
        self.count(status, Instant::now());
        None
    }
}
