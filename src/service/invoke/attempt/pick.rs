//! Picks where an attempt goes: to an instance, or, without any, to the version itself.

use std::sync::Arc;
use std::time::Instant;

use super::Attempts;
use crate::domain::balancer::{Balance, Past};
use crate::service::caller::Caller;
use crate::service::clock::wait_millis;
use crate::service::error::Unavailable;
use crate::service::invoke::destination::Destination;
use crate::service::invoke::record::Pending;
use crate::service::invoke::trial::Trial;

impl<C: Caller> Attempts<'_, C> {
    /// Where an attempt at `begun` goes, and whether that is only tried.
    pub(super) fn pick(&self, begun: Instant) -> Result<Destination, Unavailable> {
        let resolved = self.plan.target.resolved();
        let setup = &self.plan.setup;
        let Some(mut balancer) = setup.balancer(resolved.version) else {
            return Ok(Destination::default());
        };
        let (barred, tried) = self.tried.split_at_checked(self.barred).unwrap_or_default();
        let past = Past { barred, tried };
        let other = match setup.rules(resolved.version).balance {
            Balance::Adaptive => Some(rand::random()),
            Balance::Weighted => None,
        };
        let picked = balancer.pick(resolved.instances(), past, other, begun);
        drop(balancer);
        let pick = picked.map_err(|nobody| {
            let wait = nobody
                .until
                .map(|until| until.saturating_duration_since(begun));
            let retry_after_ms = wait_millis(wait.unwrap_or_default());
            Unavailable::PushedBack { retry_after_ms }
        })?;
        let instance = pick.instance.map(|instance| instance.instance_id.clone());
        let shared = pick.tries.then(|| setup.shared_balancer(resolved.version));
        let trial = shared.flatten().map(|balancer| {
            Box::new(Trial {
                balancer: Arc::clone(balancer),
                instance: instance.clone(),
                begun,
            })
        });
        Ok(Destination {
            instance,
            _in_flight: pick.in_flight,
            measured: false,
            trial,
        })
    }

    /// After push-back, an attempt at an instance that this call has not been to; nothing has
    /// failed, so it is no retry, but it is paid from the same budget.
    pub(super) fn elsewhere(&mut self) -> Option<Pending> {
        self.barred = self.tried.len();
        if self.tried.is_empty() || !self.is_in_time() {
            return None;
        }
        let pending = self.admit().ok()?;
        self.recorder.runtime.budget().take().then_some(pending)
    }
}
