//! Extensions whose circuit opened are taken out of service for the whole fleet.
//!
//! One pod's bad network must not disable an extension for the fleet: nothing is decided while our
//! own link is not steady, the database refuses what another sidecar has just seen alive, and it
//! holds the cap. What it refuses is reconsidered when the circuit opens the next time. It knows what
//! the others have flushed: a sidecar that is not alone waits until that holds all that they had seen
//! when the circuit opened.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::link::Link;
use super::openings::Openings;
use super::{Alive, FleetFigures, pauses};
use crate::domain::breaker::CircuitState;
use crate::domain::catalog::ActiveSource;
use crate::domain::entry::Entry;
use crate::domain::extension::Extension;
use crate::domain::health::HealthSums;
use crate::service::boundary::survived;
use crate::service::circuits::Moved;
use crate::service::clock::Clock;
use crate::service::health_store::{AutoDisabled, AutoSwitch, StoreError};
use crate::service::invoke::Tools;
use crate::service::observe::Observation;

/// Openings decided on at a time: one whose row stays locked holds up no other.
const AT_A_TIME: usize = 8;
/// Openings that wait for the flushes of the others at a time; more are kept by [`Openings`].
const HELD: usize = 1000;
/// The longest wait for those flushes.
const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// How long the trial of a circuit is waited for.
const TRIAL: Duration = Duration::from_secs(60);

/// Writes as a JSON document why an extension is taken out of service, for its audit entry and its event:
/// the opening that led to it, what the fleet has counted, and the clock of both.
pub type WriteDisableCause = fn(&Moved, &HealthSums, Clock) -> String;

/// Takes extensions out of service.
#[derive(Debug)]
pub struct AutoDisabler<S> {
    /// Decides for the fleet.
    pub store: Arc<S>,
    /// What there is to decide.
    pub openings: Arc<Openings>,
    /// Whether anything may be decided now.
    pub link: Arc<Link>,
    /// The circuits, and the observers.
    pub tools: Tools,
    /// What the other sidecars counted.
    pub others: Arc<FleetFigures>,
    /// Which there are.
    pub alive: Alive,
    /// The name of this one among them.
    pub instance_id: Box<str>,
    /// Within which time each flushes what it has seen.
    pub flush_interval: Duration,
    /// Share of the enabled extensions that may be out of service at a time, percent.
    pub max_percent: u8,
    /// The document of a cause.
    pub write_cause: WriteDisableCause,
}

impl<S: AutoSwitch> AutoDisabler<S> {
    /// Decides on every opening until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.decide_all()).await;
    }

    async fn decide_all(&self) {
        let (mut held, mut deciding) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let due = !held.is_empty() && deciding.len() < AT_A_TIME;
            let room = held.len() < HELD;
            tokio::select! {
                opening = self.openings.next(), if room => held.push(self.hold(opening)),
                Some(opening) = held.next(), if due => {
                    deciding.push(survived(&self.tools.observers, self.decide(opening)));
                }
                Some(_) = deciding.next(), if !deciding.is_empty() => {}
            }
        }
    }

    /// Waits until the others have flushed what they had seen before; where there are none, not at all.
    /// For no longer than half of the time that the circuit stays open: it is to be found open.
    async fn hold(&self, opening: Moved) -> Moved {
        let sidecars = self.alive.sidecars();
        // Where none is known they have not been counted yet.
        let is_alone = matches!(&*sidecars.instance_ids, [only] if **only == *self.instance_id);
        if !is_alone {
            let opened = &opening.transition;
            let half = opened.retry_at.map(|retry| retry.since(opened.at) / 2);
            let most = half.unwrap_or(LONGEST_HOLD).min(LONGEST_HOLD);
            sleep(self.flush_interval.min(most)).await;
        }
        opening
    }

    /// Tries while the circuit stays open. The end of a trial is waited for: a circuit that is open for
    /// a shorter time than [`AutoDisabler::hold`] takes would never be found open.
    async fn decide(&self, opening: Moved) {
        let (opening, begun) = (&opening, Instant::now());
        let observers = &self.tools.observers;
        for pause in pauses() {
            let Some((entry, state)) = self.blamed(opening) else {
                return;
            };
            let open = state == CircuitState::Open;
            if !open && begun.elapsed() > TRIAL {
                return;
            }
            if open && self.link.is_steady() {
                match self.disable(opening, entry.extension()).await {
                    Ok(outcome) => return self.tell(opening, outcome),
                    Err(error) => observers.store_failed("auto-disabling", error),
                }
            }
            sleep(pause).await;
        }
    }

    /// Of which extension the reason still holds: the version serves, and its circuit is open by itself,
    /// or being tried. One that closed meanwhile may be open again for what only routers report.
    fn blamed(&self, opening: &Moved) -> Option<(Arc<Entry>, CircuitState)> {
        let (tools, catalog) = (&self.tools, self.tools.selector.catalog());
        // What files define may be called elsewhere than what the database has by the same id.
        if catalog.head().source != ActiveSource::Database {
            return None;
        }
        let entry = catalog.get(&opening.id)?;
        if entry.admitted().is_err() || entry.extension().version != opening.version {
            return None;
        }
        let circuit = tools.circuits.of(entry.extension(), &opening.version)?;
        let view = circuit.view(tools.clock.tick());
        let evident = view.forced_until.is_none() && !view.hearsay;
        let ails = view.state != CircuitState::Closed && evident;
        ails.then_some((entry, view.state))
    }

    async fn disable(
        &self,
        opening: &Moved,
        extension: &Extension,
    ) -> Result<AutoDisabled, StoreError> {
        let cause = (self.write_cause)(opening, &self.sums(extension), self.tools.clock);
        let switch =
            self.store
                .auto_disable(&opening.id, extension.incarnation, &cause, self.max_percent);
        switch.await
    }

    fn sums(&self, extension: &Extension) -> HealthSums {
        let runtime = self.tools.runtimes.known(extension);
        let own = runtime.map(|it| it.health.sums()).unwrap_or_default();
        own.with(&self.others.of(extension))
    }

    fn tell(&self, opening: &Moved, outcome: AutoDisabled) {
        let id = opening.id.clone();
        let why = match outcome {
            AutoDisabled::Disabled(revision) => {
                return self.tools.observers.observe(&Observation::AutoSwitched {
                    id,
                    disabled: true,
                    revision,
                });
            }
            AutoDisabled::CapReached => "the limit of auto-disabled extensions is reached",
            AutoDisabled::SeenAlive => "another sidecar saw it succeed within the last minute",
            AutoDisabled::AlreadyDisabled | AutoDisabled::Gone => return,
        };
        let kept = Observation::KeptInService { id, why };
        self.tools.observers.observe(&kept);
    }
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
