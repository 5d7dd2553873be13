//! Leave of a circuit for one attempt.
//!
//! The first attempt's is asked for where its version is chosen. Of calls that come together, each is
//! then chosen for with the trials of those before it in mind: what is one too many for a failing
//! version is led elsewhere, and not refused. What is refused takes no place, and waits for none.

use std::sync::Arc;
use std::time::Instant;

use super::Tools;
use super::record::Recorder;
use crate::domain::entry::Entry;
use crate::domain::ids::VersionName;
use crate::service::circuits::{CallPermit, Circuit};
use crate::service::clock::{foreseeable, wait_millis};
use crate::service::error::Unavailable;

/// Leave, or why there is none.
pub(super) type Leave = Result<CallPermit, Unavailable>;

impl Tools {
    /// The circuit of a version of `entry`, made if there is none.
    pub fn circuit(&self, entry: &Arc<Entry>, version: &VersionName) -> Arc<Circuit> {
        let settings = || self.runtimes.setup(entry).limits.breaker.clone();
        let circuits = &self.circuits;
        circuits.get_or_create(entry.extension(), version, settings)
    }

    /// Leave of `circuit` for an attempt that begins `now`.
    pub(super) fn leave(&self, circuit: &Arc<Circuit>, recorder: &Recorder, now: Instant) -> Leave {
        let admission = circuit.admit(self.clock.at(now));
        recorder.tell(admission.transition);
        admission.permit.map_err(|refused| {
            let retry_after_ms = foreseeable(refused.retry_after).map(wait_millis);
            Unavailable::CircuitOpen { retry_after_ms }
        })
    }
}

#[cfg(test)]
#[path = "leave_tests.rs"]
mod tests;
