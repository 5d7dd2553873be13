//! The one call that tries an instance after its rest.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::domain::balancer::Balancer;
use crate::domain::ids::InstanceId;
use crate::domain::lock::locked;
use crate::domain::rest::Rest;

/// While there is one, no other call goes there; dropped, the next call may.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) balancer: Arc<Mutex<Balancer>>,
    /// Without one, the version's own subject.
    pub(super) instance: Option<InstanceId>,
    pub(super) begun: Instant,
}

impl Trial {
    /// It was answered without another push-back: all calls may go there again.
    pub(super) fn answered(&self) {
        self.rest(|rest| rest.answered(self.begun));
    }

    fn rest(&self, change: impl FnOnce(&mut Rest)) {
        let mut balancer = locked(&self.balancer);
        if let Some(rest) = balancer.rest(self.instance.as_ref()) {
            change(rest);
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.rest(Rest::left);
    }
}
