//! A circuit's place: a version that the catalog has.

use std::sync::Arc;

use crate::domain::breaker::{Tick, Transition};
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
    pub(super) fn extension(&self) -> &Extension {
        self.entry.extension()
    }

    /// The version.
    pub fn version(&self) -> &VersionName {
        &self.version
    }

    /// The circuit, if there is one yet.
    pub fn existing(&self) -> Option<Arc<Circuit>> {
        self.tools.circuits.of(self.extension(), &self.version)
    }

    /// The circuit, made if there is none.
    pub fn circuit(&self) -> Arc<Circuit> {
        let setup = self.tools.runtimes.setup(&self.entry);
        let settings = || setup.limits.breaker.clone();
        let circuits = &self.tools.circuits;
        circuits.get_or_create(self.extension(), &self.version, settings)
    }

    /// The state of the circuit.
    pub fn listed(&self) -> Listed {
        let circuit = self.circuit();
        Listed {
            id: self.id().clone(),
            version: self.version.clone(),
            incarnation: circuit.whose.incarnation(),
            view: circuit.view(self.tools.clock.tick()),
        }
    }

    /// Does what an operator wants to the circuit, until then. With a reset health begins anew, too:
    /// of the version, and of the extension if it is the current one.
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
