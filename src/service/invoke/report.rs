//! What routers report of extensions that they call directly.

use std::time::{Duration, Instant};

use super::Tools;
use crate::domain::breaker::{self, FailureKind};
use crate::domain::failures::Failed;
use crate::domain::outcome::{Failure, Outcome};
use crate::domain::words::words;
use crate::service::error::RegistryError;
use crate::service::lookup::named;

words! {
    /// What a router saw.
    pub enum Verdict {
        /// The extension answered.
        Success = "success",
        /// It did not, or not well.
        Failure = "failure",
    }
}

/// A call that a router made itself.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    /// The extension.
    pub id: &'a str,
    /// The version; without one, the current.
    pub version: Option<&'a str>,
    /// What the router saw.
    pub verdict: Verdict,
    /// How long it took.
    pub latency: Option<Duration>,
}

impl Tools {
    /// Counts a reported result in the circuit and the health of the extension. A report is
    /// hearsay: it moves this sidecar's circuit at most, and decides nothing for the fleet.
    ///
    /// A circuit that would have refused the call ignores it: it is open, and a result of a call
    /// made before it opened no longer counts.
    ///
    /// # Errors
    /// No such extension or version.
    pub fn report(&self, reported: Reported<'_>) -> Result<(), RegistryError> {
        let named = named(reported.version)?;
        let entry = self.selector.entry(reported.id)?;
        let extension = entry.extension();
        let version = named.as_ref().unwrap_or(&extension.version);
        if !entry.has(version) {
            return Err(RegistryError::VersionNotFound {
                id: reported.id.to_owned(),
                version: version.to_string(),
                serving: false,
            });
        }
        let recorder = self.recorder(self.runtimes.of(&entry), &entry, version);
        let now = Instant::now();
        let (outcome, verdict) = match reported.verdict {
            Verdict::Success => (breaker::Outcome::ReportedSuccess, Outcome::Success),
            Verdict::Failure => (
                breaker::Outcome::Failure(FailureKind::Reported),
                Outcome::Failure(Failure::ErrorReply { code: None }),
            ),
        };
        recorder.count(verdict, reported.latency, now);
        if reported.verdict == Verdict::Failure {
            recorder.version.remember(&Failed::reported(now));
        }
        let circuit = self.circuit(&entry, version);
        let admission = circuit.admit(self.clock.at(now));
        recorder.tell(admission.transition);
        if let Ok(permit) = admission.permit {
            let latency = reported.latency.unwrap_or_default();
            recorder.settle(permit, now, outcome, latency);
        }
        Ok(())
    }
}
