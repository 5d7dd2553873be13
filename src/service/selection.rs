//! Which extension and version serve a request, health considered: section 4, steps 1 to 6.
//!
//! Steps 2 to 5 are the entry's own ([`crate::domain::routing`]); this adds what only a running
//! process knows: circuits and success rates. It decides at admission, and once more where a call
//! has failed that is not a fallback itself: a fallback's fallback is never asked.

use std::sync::Arc;

use super::circuits::{Circuit, Circuits, Turns};
use super::clock::Clock;
use super::error::{NotFoundReason, RegistryError};
use crate::domain::breaker::{CircuitState, Tick, View};
use crate::domain::catalog::Catalog;
use crate::domain::context::Context;
use crate::domain::entry::{Chosen, Entry, PreparedReply, Refusal};
use crate::domain::extension::Extension;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::routing::{Candidate, Resolved, Tier};
use crate::domain::words::words;

/// One request of each kind in this many tries a version that the others avoid.
const TRIAL_SHARE: u32 = 20;

words! {
    /// Why a request is served by what it is served by, or by nothing.
    pub enum Reason {
        /// Rules matched.
        TargetingMatch = "targeting_match",
        /// A rollout's bucket is in.
        Rollout = "rollout",
        /// Neither rules nor a rollout were needed.
        Default = "default",
        /// No version takes part.
        NotTargeted = "not_targeted",
        /// It is disabled, by an operator or automatically.
        Disabled = "disabled",
        /// What the rules chose fails, and the current version or a fallback serves.
        Fallback = "fallback",
        /// The circuit is open, and there is no fallback.
        CircuitOpen = "circuit_open",
    }
}

/// A version of an extension that will serve a request.
#[derive(Debug, Clone)]
pub struct Target {
    entry: Arc<Entry>,
    candidate: Candidate,
    /// The prepared reply to a lookup.
    pub reply: PreparedReply,
    /// The extension that was asked for, if this one is its fallback.
    pub fallback_from: Option<ExtensionId>,
    /// Why this one.
    pub reason: Reason,
}

impl Target {
    fn new(entry: &Arc<Entry>, chosen: Chosen<'_>, reason: Reason) -> Self {
        Self {
            entry: Arc::clone(entry),
            candidate: chosen.candidate.clone(),
            reply: chosen.reply.clone(),
            fallback_from: None,
            reason,
        }
    }

    /// The extension.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The fields of the version.
    pub fn resolved(&self) -> Resolved<'_> {
        self.candidate.resolve(self.entry.extension())
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// A version to use regardless of rules and health.
    pub version: Option<&'a VersionName>,
    /// What rules and rollouts read, completed by the deployment's defaults.
    pub context: &'a Context,
    /// Which kind of request this is, some of which try what the others avoid; an explanation is
    /// none.
    pub turns: Option<Turns>,
}

/// Chooses targets.
#[derive(Debug)]
pub struct Selector {
    /// What it chooses from.
    pub catalog: Arc<Catalog>,
    /// Is used where a context has none.
    pub environment: Option<String>,
    /// What it chooses by.
    pub circuits: Arc<Circuits>,
    /// Whether health leads calls elsewhere at all.
    pub health_routing: bool,
    /// The success rate under which a version gives way, 0 to 1.
    pub min_success_rate: f64,
    /// The clock of the circuits.
    pub clock: Clock,
}

impl Selector {
    /// The catalog it chooses from.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Whether health makes no difference at the moment, to any request for this id.
    pub fn is_quiet(&self, id: &str) -> bool {
        self.circuits.is_quiet(id)
    }

    /// Adds what the deployment knows about every request.
    pub fn complete(&self, context: &mut Context) {
        if let Some(environment) = &self.environment {
            context.set_default("environment", environment);
        }
    }

    /// The entry of `id`.
    ///
    /// # Errors
    /// A malformed id, an unknown or a quarantined one.
    pub fn entry(&self, id: &str) -> Result<Arc<Entry>, RegistryError> {
        self.catalog.get(id).ok_or_else(|| self.absent(id))
    }

    /// Why there is no entry for `id`.
    pub fn absent(&self, id: &str) -> RegistryError {
        if let Err(rule) = ExtensionId::parse(id) {
            return RegistryError::field("id", rule);
        }
        let reason = match self.catalog.quarantine().holds(id) {
            true => NotFoundReason::Quarantined,
            false => NotFoundReason::Unknown,
        };
        let id = id.to_owned();
        RegistryError::ExtensionNotFound { id, reason }
    }

    /// What serves a request for `entry`; fallbacks are looked up with `find`.
    ///
    /// # Errors
    /// Why the entry does not serve. An open circuit is no error: a call finds out when it is
    /// admitted.
    pub fn select(
        &self,
        entry: &Arc<Entry>,
        wanted: Wanted<'_>,
        find: impl Fn(&str) -> Option<Arc<Entry>>,
    ) -> Result<Target, Refusal> {
        let named = wanted.version.is_some();
        let chosen = match wanted.version {
            Some(version) => entry.choose_version(version),
            None => entry.choose(wanted.context),
        };
        let led = self.health_routing && !named;
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(Refusal::AutoDisabled) if led && serves_but_for_the_machine(entry, wanted) => {
                let standby = self.fallback(entry, wanted, find);
                return standby.ok_or(Refusal::AutoDisabled);
            }
            Err(refusal) => return Err(refusal),
        };
        let reason = reason(chosen.candidate, named);
        let target = Target::new(entry, chosen, reason);
        if self.is_quiet(entry.extension().id.as_str()) {
            return Ok(target);
        }
        let (now, ruled) = (self.clock.tick(), target.clone());
        let target = match led {
            true => self.led_around(target, wanted, now),
            false => target,
        };
        if !self.refuses(&target, now) {
            return Ok(target);
        }
        let standby = led.then(|| self.fallback(entry, wanted, find));
        // A version that fails too often still serves some, and an open one nobody.
        let ruled = || Some(ruled).filter(|ruled| !self.refuses(ruled, now));
        Ok(standby.flatten().or_else(ruled).unwrap_or(Target {
            reason: Reason::CircuitOpen,
            ..target
        }))
    }

    /// The fallback of an extension whose call has failed: none without health-based routing.
    pub fn standby(&self, entry: &Entry, context: &Context) -> Option<Target> {
        let find = |id: &str| self.catalog.get(id);
        let wanted = Wanted {
            version: None,
            context,
            turns: Some(Turns::Calls),
        };
        let led = self.health_routing;
        led.then(|| self.fallback(entry, wanted, find)).flatten()
    }

    /// The state of a version's circuit; closed before its first call.
    pub fn state(&self, extension: &Extension, version: &VersionName) -> CircuitState {
        let view = self.view(extension, version);
        view.map_or(CircuitState::Closed, |view| view.state)
    }

    /// What a version's circuit shows; `None` before its first call.
    pub fn view(&self, extension: &Extension, version: &VersionName) -> Option<View> {
        let circuit = self.circuits.of(extension, version)?;
        Some(circuit.view(self.clock.tick()))
    }

    /// A failing version gives way to the current one, where that takes part.
    fn led_around(&self, target: Target, wanted: Wanted<'_>, now: Tick) -> Target {
        if target.candidate.is_current() || !self.ails(&target, wanted.turns, now) {
            return target;
        }
        let extension = target.entry.extension();
        let current = target.entry.current().filter(|current| {
            let candidate = current.candidate;
            candidate.takes_part(extension, wanted.context)
        });
        match current {
            Some(current) => Target::new(&target.entry, current, Reason::Fallback),
            None => target,
        }
    }

    fn ails(&self, target: &Target, turns: Option<Turns>, now: Tick) -> bool {
        let Some(circuit) = self.circuit(target) else {
            return false;
        };
        if circuit.refuses(now) {
            return true;
        }
        let rate = circuit.view(now).success_rate;
        // Some calls go on: without them, a recovery would go unnoticed.
        rate.is_some_and(|rate| rate < self.min_success_rate)
            && !turns.is_some_and(|turns| circuit.takes_turn(turns, TRIAL_SHARE))
    }

    /// The first fallback that is enabled, of the same type, and not open; never the extension itself.
    /// Its own failing versions give way as they do where it is asked for itself.
    fn fallback(
        &self,
        entry: &Entry,
        wanted: Wanted<'_>,
        find: impl Fn(&str) -> Option<Arc<Entry>>,
    ) -> Option<Target> {
        let extension = entry.extension();
        let now = self.clock.tick();
        let mut others = extension.fallback.iter().filter(|id| **id != extension.id);
        others.find_map(|id| {
            let standby = find(id.as_str())?;
            if standby.extension().kind != extension.kind {
                return None;
            }
            let chosen = standby.choose(wanted.context).ok()?;
            let target = Target::new(&standby, chosen, Reason::Fallback);
            let target = Target {
                fallback_from: Some(extension.id.clone()),
                ..self.led_around(target, wanted, now)
            };
            (!self.refuses(&target, now)).then_some(target)
        })
    }

    fn refuses(&self, target: &Target, now: Tick) -> bool {
        self.circuit(target)
            .is_some_and(|circuit| circuit.refuses(now))
    }

    fn circuit(&self, target: &Target) -> Option<Arc<Circuit>> {
        let resolved = target.resolved();
        self.circuits.of(resolved.extension, resolved.version)
    }
}

/// Whether a version would serve if the extension were not auto-disabled.
fn serves_but_for_the_machine(entry: &Entry, wanted: Wanted<'_>) -> bool {
    let extension = entry.extension();
    entry
        .candidates()
        .any(|candidate| candidate.takes_part(extension, wanted.context))
}

/// A version that is named is chosen regardless of its rules.
fn reason(candidate: &Candidate, named: bool) -> Reason {
    match candidate.tier() {
        _ if named => Reason::Default,
        Tier::Targeting => Reason::TargetingMatch,
        Tier::Rollout => Reason::Rollout,
        Tier::Default => Reason::Default,
    }
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
