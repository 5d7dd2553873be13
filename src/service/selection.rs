//! Which extension and version serve a call, health considered: section 4, steps 1 to 6.
//!
//! Steps 2 to 5 are the entry's own ([`crate::domain::routing`]); this adds what only a running
//! process knows: circuits and success rates. It decides once, at admission, and what it decides is
//! not followed further: a fallback's fallback is never asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::circuits::Circuits;
use super::clock::Clock;
use super::error::RegistryError;
use super::lookup::{Lookups, refused};
use super::read::{Reads, Reason};
use crate::domain::breaker::Tick;
use crate::domain::context::Context;
use crate::domain::entry::{Entry, Refusal};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::routing::{Candidate, Resolved, Tier};

/// One call in so many tries a version that others are led around.
const TRIAL_SHARE: u64 = 20;

/// Whether and when health leads calls elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct HealthRouting {
    /// Whether it does at all.
    pub enabled: bool,
    /// The success rate under which a version gives way, 0 to 1.
    pub min_success_rate: f64,
}

/// A version of an extension that will serve a call.
#[derive(Debug, Clone)]
pub struct Target {
    entry: Arc<Entry>,
    candidate: Candidate,
    /// The extension that was asked for, where this one stands in for it.
    pub fallback_from: Option<ExtensionId>,
    /// Why this one.
    pub reason: Reason,
}

impl Target {
    /// The extension.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The fields of the version.
    pub fn resolved(&self) -> Resolved<'_> {
        self.candidate.resolve(self.entry.extension())
    }
}

/// Chooses targets.
#[derive(Debug)]
pub struct Selector {
    reads: Arc<Reads>,
    lookups: Arc<Lookups>,
    circuits: Arc<Circuits>,
    routing: HealthRouting,
    clock: Clock,
    turn: AtomicU64,
}

impl Selector {
    /// Chooses among what `reads` knows by what `circuits` say.
    pub fn new(
        reads: Arc<Reads>,
        lookups: Arc<Lookups>,
        circuits: Arc<Circuits>,
        routing: HealthRouting,
        clock: Clock,
    ) -> Self {
        Self { reads, lookups, circuits, routing, clock, turn: AtomicU64::new(0) }
    }

    /// The version that serves a call of `id`; a version that is named is not led around.
    ///
    /// # Errors
    /// As of a lookup. An open circuit is no error here: the call finds out when it is admitted.
    pub fn select(
        &self,
        id: &str,
        version: Option<&str>,
        context: &mut Context,
    ) -> Result<Target, RegistryError> {
        let (entry, _) = self.reads.get(id)?;
        self.lookups.complete(context);
        let chosen = match version {
            Some(version) => {
                let name = VersionName::parse(version)
                    .map_err(|rule| RegistryError::field("version", rule))?;
                entry.choose_version(&name)
            }
            None => entry.choose(context),
        };
        let candidate = match chosen {
            Ok(chosen) => chosen.candidate.clone(),
            Err(Refusal::AutoDisabled) if self.routing.enabled => {
                let standby = self.fallback(&entry, context);
                return standby.ok_or_else(|| refused(id, version, Refusal::AutoDisabled));
            }
            Err(refusal) => return Err(refused(id, version, refusal)),
        };
        let reason = reason(&candidate, version.is_some());
        let target = Target { entry, candidate, fallback_from: None, reason };
        if !self.routing.enabled || version.is_some() {
            return Ok(target);
        }
        Ok(self.led_around(target, context))
    }

    /// Step 6: an ailing version gives way to the current one, an open extension to a fallback.
    fn led_around(&self, target: Target, context: &Context) -> Target {
        let now = self.clock.tick();
        let target = match self.current_instead(&target, now) {
            Some(current) => Target { candidate: current, reason: Reason::Default, ..target },
            None => target,
        };
        if !self.refuses(&target, now) {
            return target;
        }
        self.fallback(&target.entry, context).unwrap_or(target)
    }

    fn current_instead(&self, target: &Target, now: Tick) -> Option<Candidate> {
        if target.candidate.is_current() {
            return None;
        }
        let resolved = target.resolved();
        let id = resolved.extension.id.as_str();
        let circuit = self.circuits.get(id, resolved.version.as_str())?;
        let refuses = circuit.refuses(now);
        let rate = circuit.view(now).success_rate;
        let ailing = rate.is_some_and(|rate| rate < self.routing.min_success_rate);
        // One call in so many goes on: without it, nobody would notice a recovery.
        let trial = || self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRIAL_SHARE);
        if !refuses && (!ailing || trial()) {
            return None;
        }
        target.entry.candidates().find(|c| c.is_current() && c.enabled()).cloned()
    }

    /// The first fallback that is enabled, of the same type, and not open.
    fn fallback(&self, entry: &Entry, context: &Context) -> Option<Target> {
        let extension = entry.extension();
        let now = self.clock.tick();
        extension.fallback.iter().find_map(|id| {
            let (standby, _) = self.reads.get(id.as_str()).ok()?;
            if standby.extension().kind != extension.kind {
                return None;
            }
            let candidate = standby.choose(context).ok()?.candidate.clone();
            let target = Target {
                entry: standby,
                candidate,
                fallback_from: Some(extension.id.clone()),
                reason: Reason::Fallback,
            };
            (!self.refuses(&target, now)).then_some(target)
        })
    }

    fn refuses(&self, target: &Target, now: Tick) -> bool {
        let resolved = target.resolved();
        let circuit =
            self.circuits.get(resolved.extension.id.as_str(), resolved.version.as_str());
        circuit.is_some_and(|circuit| circuit.refuses(now))
    }
}

/// A version that is named is chosen whatever its rules say.
fn reason(candidate: &Candidate, named: bool) -> Reason {
    match candidate.tier() {
        _ if named => Reason::Default,
        Tier::Targeting => Reason::TargetingMatch,
        Tier::Rollout => Reason::Rollout,
        Tier::Default => Reason::Default,
    }
}
