//! Admission by a circuit, of one attempt.
//!
//! The first attempt is admitted where its version is chosen. Of calls that come together, each is
//! then chosen for with the trials before it in mind: one too many for a failing version goes
//! elsewhere, and is not refused. What is refused takes no place, and waits for none.

use std::sync::Arc;
use std::time::Instant;

use super::Tools;
use super::record::Recorder;
use crate::domain::entry::Entry;
use crate::domain::ids::VersionName;
use crate::service::circuits::{CallPermit, Circuit};
use crate::service::clock::{foreseeable, wait_millis};
use crate::service::error::Unavailable;

/// A permit, or why there is none.
pub(super) type Admitted = Result<CallPermit, Unavailable>;

impl Tools {
    /// The circuit of a version of `entry`, made if there is none.
    pub fn circuit(&self, entry: &Arc<Entry>, version: &VersionName) -> Arc<Circuit> {
        let settings = || self.runtimes.setup(entry).limits.breaker.clone();
        let circuits = &self.circuits;
        circuits.get_or_create(entry.extension(), version, settings)
    }

    /// Asks `circuit` to admit an attempt that begins `now`.
    pub(super) fn admit(
        &self,
        circuit: &Arc<Circuit>,
        recorder: &Recorder,
        now: Instant,
    ) -> Admitted {
        let admission = circuit.admit(self.clock.at(now));
        recorder.tell(admission.transition);
        admission.permit.map_err(|refused| {
            let retry_after_ms = foreseeable(refused.retry_after).map(wait_millis);
            Unavailable::CircuitOpen { retry_after_ms }
        })
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
