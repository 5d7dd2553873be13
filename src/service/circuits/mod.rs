//! The circuits of this sidecar, one per (extension, version).
//!
//! They live apart from the catalog and survive its reloads. A change of a circuit returns the
//! transition, and the caller reports it to the observers; nothing is logged or published here.

mod circuit;
mod quiet;

use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use papaya::Equivalent;

use self::quiet::Quiet;
use crate::domain::breaker::{Settings, Tick, Transition, View};
use crate::domain::extension::{Extension, Incarnation, Whose};
use crate::domain::ids::{ExtensionId, VersionName};
use crate::domain::lock::locked;

pub use circuit::{CallPermit, Circuit, Lock, Turns};

/// All circuits. Finding one takes no lock; there are as many as versions that were called.
#[derive(Debug, Default)]
pub struct Circuits {
    map: papaya::HashMap<Key, Arc<Circuit>, RandomState>,
    /// Whether our own link is down. Locked while circuits are made, frozen or configured, so that
    /// none is made with what has just become outdated.
    frozen: Mutex<bool>,
    /// Of which extensions none needs a look; lowered by [`Circuits::calm`].
    quiet: Arc<Quiet>,
}

/// A circuit that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The extension.
    pub id: ExtensionId,
    /// Its version.
    pub version: VersionName,
    /// What changed.
    pub transition: Transition,
}

/// A circuit in a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The extension.
    pub id: ExtensionId,
    /// Its version.
    pub version: VersionName,
    /// Which extension of the id it is, once a source has given it.
    pub incarnation: Option<Incarnation>,
    /// Its state.
    pub view: View,
}

impl Circuits {
    /// The circuit, if there has been a call yet.
    pub fn get(&self, id: &str, version: &str) -> Option<Arc<Circuit>> {
        self.map.pin().get(&KeyRef { id, version }).cloned()
    }

    /// The circuit of a version of this extension, and of none that had its id before, if there has been
    /// a call yet.
    pub fn of(&self, extension: &Extension, version: &VersionName) -> Option<Arc<Circuit>> {
        let circuit = self.get(extension.id.as_str(), version.as_str());
        circuit.filter(|circuit| circuit.whose.is(extension))
    }

    /// The circuit, made with `settings` where there is none. Ask only for what the catalog has,
    /// read at that moment. A call of an extension that was replaced by another with its id gets a
    /// circuit of its own, which nobody else sees.
    pub fn get_or_create(
        &self,
        extension: &Extension,
        version: &VersionName,
        settings: impl Fn() -> Settings,
    ) -> Arc<Circuit> {
        if let Some(circuit) = self.of(extension, version) {
            return circuit;
        }
        let frozen = locked(&self.frozen);
        let make = || {
            let whose = (Whose::of(extension), extension.revision);
            let alarm = self.quiet.alarm(extension.id.as_str());
            let circuit = Circuit::new(settings(), alarm, whose);
            circuit.freeze(*frozen);
            Arc::new(circuit)
        };
        let key = || Key {
            id: extension.id.clone(),
            version: version.clone(),
        };
        let pinned = self.map.pin();
        let circuit = pinned.get_or_insert_with(key(), make);
        if circuit.whose.is(extension) {
            return Arc::clone(circuit);
        }
        let own = make();
        if circuit.revision < extension.revision {
            // A call that chose its version before the extension was made anew made it since then.
            circuit.goes();
            pinned.insert(key(), Arc::clone(&own));
        } else {
            own.goes();
        }
        own
    }

    /// Follows the catalog: circuits without settings are gone, the others get theirs.
    pub fn retain(
        &self,
        now: Tick,
        settings: impl Fn(&ExtensionId, &VersionName, &Circuit) -> Option<Settings>,
    ) -> Vec<Moved> {
        let _none_is_made = locked(&self.frozen);
        let map = self.map.pin();
        let mut moved = Vec::new();
        for (key, circuit) in &map {
            match settings(&key.id, &key.version, circuit) {
                None => {
                    circuit.goes();
                    map.remove(key);
                }
                Some(settings) => {
                    let transition = circuit.configure(now, settings);
                    moved.extend(transition.map(|transition| key.moved(transition)));
                }
            }
        }
        moved
    }

    /// Resets the circuits of an extension that no operator holds.
    pub fn start_over(&self, now: Tick, id: &ExtensionId) -> Vec<Moved> {
        let map = self.map.pin();
        let own = map.iter().filter(|(key, _)| key.id == *id);
        own.filter_map(|(key, circuit)| Some(key.moved(circuit.start_over(now)?)))
            .collect()
    }

    /// Freezes or thaws all circuits, and those to come, as our own link goes and returns.
    pub fn freeze(&self, frozen: bool) {
        let mut state = locked(&self.frozen);
        *state = frozen;
        for circuit in self.map.pin().values() {
            circuit.freeze(frozen);
        }
    }

    /// Whether all circuits of an extension are closed and have seen no failure lately, so that none
    /// needs a look.
    pub fn is_quiet(&self, id: &str) -> bool {
        self.quiet.is_quiet(id)
    }

    /// What time alone does: overrides run out, and failures leave their windows. To be called
    /// every now and then.
    pub fn calm(&self, now: Tick) -> Vec<Moved> {
        let map = self.map.pin();
        let expired = map.iter().filter_map(|(key, circuit)| {
            let transition = circuit.expire(now)?;
            Some(key.moved(transition))
        });
        let moved = expired.collect();
        self.quiet
            .look(map.values().filter_map(|circuit| circuit.ailing(now)));
        moved
    }

    /// The ids of the extensions that have any.
    pub fn ids(&self) -> Vec<ExtensionId> {
        let map = self.map.pin();
        map.keys().map(|key| key.id.clone()).collect()
    }

    /// All circuits, by id and version.
    pub fn snapshot(&self, now: Tick) -> Vec<Listed> {
        let map = self.map.pin();
        let mut listed: Vec<_> = map
            .iter()
            .map(|(key, circuit)| Listed {
                id: key.id.clone(),
                version: key.version.clone(),
                incarnation: circuit.whose.incarnation(),
                view: circuit.view(now),
            })
            .collect();
        listed.sort_unstable_by(|a, b| (&a.id, &a.version).cmp(&(&b.id, &b.version)));
        listed
    }

    #[cfg(test)]
    pub(crate) fn is_frozen(&self) -> bool {
        *locked(&self.frozen)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    id: ExtensionId,
    version: VersionName,
}

impl Key {
    fn moved(&self, transition: Transition) -> Moved {
        Moved {
            id: self.id.clone(),
            version: self.version.clone(),
            transition,
        }
    }
}

/// A key as it is looked up, without a clone of either name: those hash as their texts do.
#[derive(Hash)]
struct KeyRef<'a> {
    id: &'a str,
    version: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.id == key.id.as_str() && self.version == key.version.as_str()
    }
}

#[cfg(test)]
mod tests;
