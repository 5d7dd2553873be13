//! Which overrides the circuits of this sidecar have.

use std::collections::{HashMap, HashSet};

use super::super::spot::Spot;
use crate::domain::breaker::{Tick, Transition};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::circuits::Circuit;
use crate::service::health_store::{Override, OverrideAction};
use crate::service::invoke::Tools;

/// What was last applied to each circuit that the store says something about.
#[derive(Debug, Default)]
pub(super) struct Applied {
    by_circuit: HashMap<(ExtensionId, VersionName), Known>,
    /// Whether the first list was seen. Resets in it are older than this sidecar's circuits.
    begun: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    change: u128,
    action: OverrideAction,
    /// As it was first read: read again, it differs by the jitter of its conversion.
    until: Tick,
}

impl Applied {
    /// Brings the circuits in line with `overrides`, all that are in force: what is new there is
    /// applied, what has vanished from there ends.
    pub(super) fn follow(&mut self, tools: &Tools, overrides: &[Override]) {
        let listed: HashSet<_> = overrides
            .iter()
            .map(|it| (&it.extension, &it.version))
            .collect();
        self.by_circuit.retain(|(id, version), _| {
            let stays = listed.contains(&(id, version));
            if !stays {
                lift(tools, id, version);
            }
            stays
        });
        for it in overrides {
            self.one(tools, it);
        }
        self.begun = true;
    }

    /// Brings one circuit in line. A version that the catalog does not have is left for when it
    /// does: whatever changes the catalog has this looked at again.
    pub(super) fn one(&mut self, tools: &Tools, wanted: &Override) {
        let key = (wanted.extension.clone(), wanted.version.clone());
        let Some(spot) = Spot::find(tools, key.0.as_str(), &key.1) else {
            self.by_circuit.remove(&key);
            return;
        };
        let now = tools.clock.tick();
        let old = self.by_circuit.get(&key);
        let known = match old.filter(|known| known.change == wanted.change) {
            Some(known) if known.holds(&spot, tools) => return,
            Some(known) => *known,
            None => Known {
                change: wanted.change,
                action: wanted.action,
                until: wanted
                    .until
                    .map_or(Tick::NEVER, |until| tools.clock.tick_of(until)),
            },
        };
        self.by_circuit.insert(key, known);
        if known.action == OverrideAction::Reset && !self.begun {
            return;
        }
        spot.tell(known.action.apply(&spot.circuit(), now, known.until));
    }
}

impl Known {
    /// Whether the circuit is as this wants it. Not so is one that was made anew since, or whose
    /// breaker was switched off and on again.
    fn holds(&self, spot: &Spot, tools: &Tools) -> bool {
        let now = tools.clock.tick();
        let forced = || {
            let circuit = spot.existing();
            circuit.is_some_and(|it| it.view(now).forced_until.is_some())
        };
        self.action == OverrideAction::Reset || now >= self.until || forced()
    }
}

impl OverrideAction {
    /// Does it to a circuit, until then.
    pub fn apply(self, circuit: &Circuit, now: Tick, until: Tick) -> Option<Transition> {
        match self {
            Self::Open => circuit.force_open(now, until),
            Self::Close => circuit.force_close(now, until),
            Self::Reset => circuit.reset(now),
        }
    }
}

/// Ends an override. One that has run out by itself has ended already, and what the circuit did
/// since is its own.
fn lift(tools: &Tools, id: &ExtensionId, version: &VersionName) {
    let now = tools.clock.tick();
    let Some(spot) = Spot::find(tools, id.as_str(), version) else {
        return;
    };
    if let Some(circuit) = spot.existing()
        && circuit.view(now).forced_until.is_some()
    {
        spot.tell(circuit.reset(now));
    }
}
