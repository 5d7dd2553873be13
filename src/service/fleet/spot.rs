//! A circuit's place: a version that the catalog has.

use std::sync::Arc;

use crate::domain::breaker::{Breaker, Tick, Transition};
use crate::domain::entry::Entry;
use crate::domain::extension::Extension;
use crate::domain::ids::{ExtensionId, VersionName};
use crate::service::circuits::{Circuit, Listed, Moved};
use crate::service::health_store::OverrideAction;
use crate::service::invoke::Tools;

/// A version of an extension, and the way to its circuit.
#[derive(Debug, Clone)]
pub struct Spot {
    tools: Tools,
    entry: Arc<Entry>,
    version: VersionName,
}

impl Spot {
    /// The spot of a version; `None` where the catalog has no such version.
    pub fn find(tools: &Tools, id: &str, version: &VersionName) -> Option<Self> {
        let entry = tools.selector.catalog().get(id)?;
        Self::of(tools, entry, version)
    }

    /// The spot of a version of `entry`; `None` where it has no such version.
    pub fn of(tools: &Tools, entry: Arc<Entry>, version: &VersionName) -> Option<Self> {
        entry.has(version).then(|| Self {
            tools: tools.clone(),
            entry,
            version: version.clone(),
        })
    }

    /// The extension.
    pub fn id(&self) -> &ExtensionId {
        &self.extension().id
    }

    /// Its record.
    pub fn extension(&self) -> &Extension {
        self.entry.extension()
    }

    /// The circuit, if there is one yet.
    pub fn existing(&self) -> Option<Arc<Circuit>> {
        self.tools.circuits.of(self.extension(), &self.version)
    }

    /// The circuit, made if there is none.
    pub fn circuit(&self) -> Arc<Circuit> {
        self.tools.circuit(&self.entry, &self.version)
    }

    /// The state of the circuit. None is made to show it: the spot may be gone by now, and what is made
    /// there stays in the way of another extension of its id.
    pub fn listed(&self) -> Listed {
        let (defaults, now) = (self.tools.runtimes.defaults(), self.tools.clock.tick());
        let closed = || Breaker::new(defaults.breaker.clone()).view(now);
        let view = self.existing().map(|circuit| circuit.view(now));
        Listed {
            id: self.id().clone(),
            version: self.version.clone(),
            incarnation: self.extension().incarnation,
            view: view.unwrap_or_else(closed),
        }
    }

    /// Applies an operator's override to the circuit, until `until`. A reset also begins health
    /// anew: the version's, and the extension's if the version is the current one.
    pub fn apply(&self, action: OverrideAction, now: Tick, until: Tick) {
        // There is nothing to reset in a circuit that there is not.
        let circuit = match action {
            OverrideAction::Reset => self.existing(),
            _ => Some(self.circuit()),
        };
        if let Some(circuit) = circuit {
            // Reports since when it failed.
            self.tell(action.apply(&circuit, now, until));
        }
        if action != OverrideAction::Reset {
            return;
        }
        let runtime = self.tools.runtimes.of(&self.entry);
        if let Some(version) = runtime.versions.get(&self.version) {
            version.reset();
        }
        if self.extension().version == self.version {
            runtime.health.outcomes.reset();
        }
    }

    /// Reports a change of the circuit.
    pub fn tell(&self, transition: Option<Transition>) {
        if let Some(transition) = transition {
            self.tools.tell(Moved {
                id: self.id().clone(),
                version: self.version.clone(),
                transition,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::breaker::CircuitState;
    use crate::domain::catalog::{Catalog, Change};
    use crate::domain::testing::{change, entry, extension};
    use crate::service::testing::tools;

    #[test]
    fn to_show_a_circuit_makes_none() {
        let (catalog, mut writer) = Catalog::new();
        writer.apply(Change {
            upserts: vec![entry(extension("e"))],
            ..change(1)
        });
        let tools = tools(catalog);
        let version = VersionName::parse("v1").unwrap();
        let spot = Spot::find(&tools, "e", &version).unwrap();
        writer.apply(Change {
            removals: vec![spot.id().clone()],
            ..change(2)
        });
        assert_eq!(spot.listed().view.state, CircuitState::Closed);
        assert!(tools.circuits.get("e", "v1").is_none());
    }
}
