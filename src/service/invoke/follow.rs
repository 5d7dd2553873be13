//! Circuits and running sides follow the catalog.

use std::collections::HashSet;
use std::sync::Mutex;

use super::Tools;
use crate::domain::breaker::CircuitState;
use crate::domain::ids::ExtensionId;
use crate::domain::lock::locked;
use crate::service::circuits::Moved;
use crate::service::observe::Observation;

/// Adapts what runs to what is configured; to be called after every change of the catalog.
#[derive(Debug)]
pub struct Follower {
    tools: Tools,
    /// All extensions that were out of service at the last change: a circuit may be made later, as
    /// when a start restores it.
    out_of_service: Mutex<HashSet<ExtensionId>>,
}

impl Follower {
    /// Follows the catalog that `tools` choose from.
    pub fn new(tools: Tools) -> Self {
        Self {
            tools,
            out_of_service: Mutex::default(),
        }
    }

    /// Forgets extensions that are gone or were made anew, and gives the others their new settings.
    /// Leaves quarantined ones as they are. An extension that is back in service, by an operator or
    /// automatically, begins with closed circuits, unless an operator holds them.
    pub fn follow(&self) {
        let (tools, runtimes) = (&self.tools, &self.tools.runtimes);
        let (catalog, now) = (tools.selector.catalog(), tools.clock.tick());
        runtimes.follow(catalog);
        let quarantine = catalog.quarantine();
        let mut moved = tools.circuits.retain(now, |id, version, circuit| {
            let Some(entry) = catalog.get(id.as_str()) else {
                let runtime = runtimes.get(id.as_str());
                let held = runtime.filter(|_| quarantine.holds(id.as_str()))?;
                return Some(held.current_setup().limits.breaker.clone());
            };
            if !circuit.whose.is(entry.extension()) {
                return None;
            }
            let settings = || runtimes.setup(&entry).limits.breaker.clone();
            entry.has(version).then(settings)
        });
        let back = self.back_in_service(catalog.out_of_service());
        for id in &back {
            moved.extend(tools.circuits.start_over(tools.clock.tick(), id));
        }
        for moved in moved {
            tools.tell(moved);
        }
        // After the reports, which have since when they failed.
        for id in &back {
            self.forgive(id);
        }
    }

    /// Forgets which versions of an extension failed, but for those that an operator holds.
    fn forgive(&self, id: &ExtensionId) {
        let tools = &self.tools;
        let Some(runtime) = tools.runtimes.get(id.as_str()) else {
            return;
        };
        for version in runtime.versions.all().iter() {
            let circuit = tools.circuits.get(id.as_str(), version.version.as_str());
            let view = circuit.map(|circuit| circuit.view(tools.clock.tick()));
            if view.is_none_or(|view| view.forced_until.is_none()) {
                version.forgive();
            }
        }
    }

    /// What was out of service at the last change and is not any more. What is quarantined is not
    /// back.
    fn back_in_service(&self, mut out: HashSet<ExtensionId>) -> Vec<ExtensionId> {
        let quarantine = self.tools.selector.catalog().quarantine();
        let mut last = locked(&self.out_of_service);
        let held = last.iter().filter(|id| quarantine.holds(id.as_str()));
        out.extend(held.cloned());
        let back = last.difference(&out).cloned().collect();
        *last = out;
        back
    }
}

impl Tools {
    /// Reports a circuit that changed.
    pub fn tell(&self, moved: Moved) {
        let entry = self.selector.catalog().get(moved.id.as_str());
        let current = (entry.as_ref()).is_some_and(|it| it.extension().version == moved.version);
        let version = match (&entry, moved.transition.to) {
            // Made where there is none yet: it keeps since when the circuit is open.
            (Some(entry), CircuitState::Open) => {
                Some(self.runtimes.of(entry).versions.of(&moved.version))
            }
            _ => {
                let runtime = self.runtimes.get(moved.id.as_str());
                runtime.and_then(|runtime| runtime.versions.get(&moved.version))
            }
        };
        let failing = version.map(|it| it.failing_at(&moved.transition));
        self.observers.observe(&Observation::Circuit {
            failing: failing.unwrap_or_default().with(&moved.transition),
            moved,
            current,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::domain::breaker::Tick;
    use crate::domain::catalog::{Catalog, CatalogWriter, Change};
    use crate::domain::extension::Extension;
    use crate::domain::failures::Failed;
    use crate::domain::quarantine::Quarantine;
    use crate::domain::testing::{change, entry, extension, fault};
    use crate::service::circuits::Circuit;
    use crate::service::invoke::{Reported, Verdict};
    use crate::service::observe::{Failing, Observer, Observers};
    use crate::service::testing::tools;

    /// Follows each change of the extension `e`, which is out of service or not.
    fn followed(tools: &Tools, mut writer: CatalogWriter) -> impl FnMut(u64, bool) {
        let follower = Follower::new(tools.clone());
        move |revision, auto_disabled| {
            let extension = Extension {
                auto_disabled,
                ..extension("e")
            };
            writer.apply(Change {
                upserts: vec![entry(extension)],
                ..change(revision)
            });
            follower.follow();
        }
    }

    /// The circuit of `e`, restored as open.
    fn opened(tools: &Tools) -> Arc<Circuit> {
        let served = tools.selector.catalog().get("e").unwrap();
        let setup = tools.runtimes.setup(&served);
        let settings = || setup.limits.breaker.clone();
        let extension = served.extension();
        let circuits = &tools.circuits;
        let circuit = circuits.get_or_create(extension, &extension.version, settings);
        circuit.restore_open(tools.clock.tick(), Duration::from_secs(60));
        circuit
    }

    #[test]
    fn a_circuit_restored_while_its_extension_was_out_of_service_closes_when_it_is_back() {
        let (catalog, writer) = Catalog::new();
        let tools = tools(catalog);
        let mut apply = followed(&tools, writer);
        apply(1, true);

        let circuit = opened(&tools);
        let state = || circuit.view(tools.clock.tick()).state;
        assert_eq!(state(), CircuitState::Open);
        apply(2, false);
        assert_eq!(state(), CircuitState::Closed);
    }

    #[test]
    fn what_is_quarantined_while_it_is_out_of_service_is_not_back() {
        let (catalog, mut writer) = Catalog::new();
        let tools = tools(catalog);
        let follower = Follower::new(tools.clone());
        let mut apply = |change| {
            writer.apply(change);
            follower.follow();
        };
        let e = |auto_disabled| {
            vec![entry(Extension {
                auto_disabled,
                ..extension("e")
            })]
        };
        apply(Change {
            upserts: e(true),
            ..change(1)
        });
        let circuit = opened(&tools);
        let state = || circuit.view(tools.clock.tick()).state;
        apply(Change {
            removals: vec![ExtensionId::parse("e").unwrap()],
            quarantine: Quarantine::new([fault("e", 1)]),
            ..change(2)
        });
        assert_eq!(state(), CircuitState::Open);
        apply(Change {
            upserts: e(false),
            ..change(3)
        });
        assert_eq!(state(), CircuitState::Closed);
    }

    #[test]
    fn what_is_back_in_service_is_not_degraded_by_what_came_before_unless_it_is_held() {
        for (held, degraded) in [(false, false), (true, true)] {
            let (catalog, writer) = Catalog::new();
            let tools = tools(catalog);
            let mut apply = followed(&tools, writer);
            apply(1, false);
            let failed = || {
                let e = Reported {
                    id: "e",
                    version: None,
                    verdict: Verdict::Failure,
                    latency: None,
                };
                tools.report(e).unwrap();
            };
            failed();
            failed();
            let served = tools.selector.catalog().get("e").unwrap();
            let version = &served.extension().version;
            let failing = || {
                let version = tools.runtimes.of(&served).versions.of(version);
                (
                    version.gate.is_degraded(),
                    version.failing().since.is_some(),
                )
            };
            assert_eq!(failing(), (true, true));
            if held {
                let circuit = tools.circuits.of(served.extension(), version).unwrap();
                circuit.force_open(tools.clock.tick(), Tick::NEVER);
            }
            apply(2, true);
            assert_eq!(failing(), (true, true));
            apply(3, false);
            assert_eq!(failing(), (degraded, degraded));
        }
    }

    /// What is reported of failures with each circuit that moves.
    #[derive(Default)]
    struct Told(Mutex<Vec<Failing>>);

    impl Observer for Told {
        fn observe(&self, observation: &Observation) {
            if let Observation::Circuit { failing, .. } = observation {
                self.0.lock().unwrap().push(failing.clone());
            }
        }
    }

    #[test]
    fn a_circuit_that_is_forced_is_not_explained_by_what_failed_long_ago() {
        let (catalog, writer) = Catalog::new();
        let told = std::sync::Arc::<Told>::default();
        let tools = Tools {
            observers: Observers::new(vec![Box::new(std::sync::Arc::clone(&told))]),
            ..tools(catalog)
        };
        followed(&tools, writer)(1, false);
        let served = tools.selector.catalog().get("e").unwrap();
        let version = &served.extension().version;
        let runtime = tools.runtimes.of(&served).versions.of(version);
        runtime.remember(&Failed {
            error: Some("last week"),
            ..Failed::reported(Instant::now())
        });
        let transition = tools
            .circuit(&served, version)
            .force_open(tools.clock.tick(), Tick::NEVER);
        tools.tell(Moved {
            id: served.extension().id.clone(),
            version: version.clone(),
            transition: transition.unwrap(),
        });
        let told = told.0.lock().unwrap();
        assert_eq!(told[0].error, None);
        assert!(told[0].since.is_some(), "as `health` has it");
    }
}
